/* The smallest producer that is told what became of each message: sends each line of its input.
 * Configuration: application.conf, STREAMLAYER_CONFIG, or the current context. */
#include <stdatomic.h>
#include <stdio.h>
#include <streamlayer/streamlayer.h>
#include <string.h>

/* Called once for each message, on a thread of the library's. */
static void delivered(void *opaque, void *message_opaque, const sl_delivery *delivery)
{
    atomic_int *failed = opaque;
    (void)message_opaque;
    if (sl_delivery_status(delivery) == SL_OK)
        return;
    fprintf(stderr, "not delivered: %s\n", sl_delivery_error(delivery)->text);
    ++*failed;
}

static sl_status send_lines(sl_producer *producer, const char *key, sl_error *error)
{
    char line[65536];
    sl_message *message = NULL;
    sl_status status = sl_message_create(&message);
    /* Messages with the same partition id keep their order. */
    if (!status && key)
        status = sl_message_set_partition_id(message, key, strlen(key));
    while (!status && fgets(line, sizeof line, stdin)) {
        status = sl_message_set_payload(message, line, strcspn(line, "\n"));
        if (!status) /* it is copied; where the queue is full, this waits (-1: for as long as it takes) */
            status = sl_producer_send(producer, message, NULL, -1, error);
    }
    sl_message_destroy(&message);
    return status;
}

int main(int argc, char **argv)
{
    atomic_int failed = 0;
    sl_client *client = NULL;
    sl_producer *producer = NULL;
    sl_producer_options *options = NULL;
    sl_error error = {.text = "usage: producer HRN LAYER [PARTITION-ID]"};

    bool wrong = argc < 3 || argc > 4 || sl_client_create(NULL, NULL, NULL, &client, &error) ||
                 sl_producer_options_create(&options) ||
                 sl_producer_options_set_delivery(options, delivered, &failed) ||
                 sl_producer_create(client, argv[1], argv[2], options, &producer, &error) ||
                 send_lines(producer, argc == 4 ? argv[3] : NULL, &error);
    sl_producer_options_destroy(&options);
    /* Waits up to 30 s for what is under way; what is left then is reported as failed. */
    if (sl_producer_close(&producer, 30000, wrong ? NULL : &error))
        wrong = true;
    sl_client_destroy(&client);
    if (wrong)
        fprintf(stderr, "%s\n", error.text);
    return wrong || failed;
}
