/* The smallest consumer that loses nothing: prints messages, and commits them when they are printed. What it
 * has not committed when it ends is delivered again to its group. Configuration: application.conf,
 * STREAMLAYER_CONFIG, or the current context. */
#include <stdio.h>
#include <stdlib.h>
#include <streamlayer/streamlayer.h>

static void print(const sl_message *message)
{
    size_t key_size, size;
    const char *key = sl_message_partition_id(message, &key_size); /* NULL: a foreign message without one */
    const char *payload = sl_message_payload(message, &size);
    printf("%.*s\t%.*s\n", (int)key_size, key ? key : "", (int)size, payload ? payload : "");
}

int main(int argc, char **argv)
{
    sl_client *client = NULL;
    sl_consumer *consumer = NULL;
    sl_consumer_options *options = NULL;
    sl_error error = {.text = "usage: consumer HRN LAYER GROUP COUNT"};
    long left = argc == 5 ? strtol(argv[4], NULL, 10) : 0;

    bool wrong = left < 1 || sl_client_create(NULL, NULL, NULL, &client, &error) ||
                 sl_consumer_options_create(&options) || sl_consumer_options_set_group(options, argv[3]) ||
                 sl_consumer_options_set_start(options, SL_START_BEGIN) ||
                 sl_consumer_options_set_auto_commit(options, false, 0) ||
                 sl_consumer_create(client, argv[1], argv[2], options, &consumer, &error);
    while (!wrong && left > 0) {
        sl_batch *batch = NULL;
        wrong = sl_consumer_poll(consumer, 1000, (size_t)left, &batch, &error) != SL_OK;
        if (wrong && error.retriable && !error.fatal) { /* the platform is away: the next poll tries again */
            fprintf(stderr, "%s\n", error.text);
            wrong = false;
        }
        for (size_t i = 0; i < sl_batch_count(batch); i++, left--)
            print(sl_batch_message(batch, i));
        if (batch && !wrong) /* NULL: a second passed without a message */
            wrong = fflush(stdout) || sl_consumer_commit(consumer, batch, &error);
        sl_batch_destroy(&batch);
    }
    if (wrong)
        fprintf(stderr, "%s\n", error.text);
    sl_consumer_options_destroy(&options);
    sl_consumer_close(&consumer, NULL);
    sl_client_destroy(&client);
    return wrong;
}
