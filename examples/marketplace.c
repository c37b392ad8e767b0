/* Reads a layer of a catalog that is on the Marketplace: over HTTP, because what is read is counted; whatever
 * connector the application's other layers have. Needs a Marketplace subscription, and says how long it
 * lasts. */
#include <stdio.h>
#include <stdlib.h>
#include <streamlayer/streamlayer.h>
#include <string.h>
#include <time.h>

/* The terms on which the application reads the catalog. */
static sl_status tell_terms(sl_client *client, const char *hrn, sl_error *error)
{
    sl_marketplace_list *list = NULL;
    sl_marketplace_subscription each = {.struct_size = sizeof each};
    sl_status status = sl_marketplace_list_get(client, NULL, &list, error);
    for (size_t i = 0; sl_marketplace_list_at(list, i, &each); i++) {
        char until[32] = "without end";
        time_t end = (time_t)(each.terms.until_ms / 1000);
        struct tm parts;
        if (strcmp(each.hrn, hrn) != 0)
            continue;
        if (each.terms.until_ms >= 0 && gmtime_r(&end, &parts))
            strftime(until, sizeof until, "until %Y-%m-%d", &parts);
        fprintf(stderr, "subscribed %s, %d KBps\n", until, each.terms.out_kbps);
    }
    sl_marketplace_list_destroy(&list);
    return status;
}

static sl_status read_messages(sl_consumer *consumer, long count, sl_error *error)
{
    sl_status status = SL_OK;
    while (count > 0 && !status) {
        sl_batch *batch = NULL;
        status = sl_consumer_poll(consumer, 1000, (size_t)count, &batch, error);
        for (size_t i = 0; i < sl_batch_count(batch); i++, count--) {
            size_t size;
            const char *payload = sl_message_payload(sl_batch_message(batch, i), &size);
            printf("%.*s\n", (int)size, payload ? payload : "");
        }
        if (batch && !status)
            status = sl_consumer_commit(consumer, batch, error);
        sl_batch_destroy(&batch);
    }
    return status;
}

int main(int argc, char **argv)
{
    sl_client *client = NULL;
    sl_consumer *consumer = NULL;
    sl_consumer_options *options = NULL;
    sl_error error = {.text = "usage: marketplace HRN LAYER COUNT"};
    long count = argc == 4 ? strtol(argv[3], NULL, 10) : 0;

    bool wrong = count < 1 || sl_client_create(NULL, NULL, NULL, &client, &error) ||
                 tell_terms(client, argv[1], &error) || sl_consumer_options_create(&options) ||
                 sl_consumer_options_set_connector(options, "http-connector") ||
                 sl_consumer_options_set_start(options, SL_START_BEGIN) ||
                 sl_consumer_create(client, argv[1], argv[2], options, &consumer, &error) ||
                 read_messages(consumer, count, &error);
    /* Forbidden: there is no subscription, it has ended, or its volume is used up; the text says which.
     * Trying again does not help before there is another one. */
    if (wrong)
        fprintf(stderr, "%s%s\n", error.status == SL_FORBIDDEN ? "the Marketplace refuses: " : "",
                error.text);
    sl_consumer_options_destroy(&options);
    sl_consumer_close(&consumer, NULL);
    sl_client_destroy(&client);
    return wrong;
}
