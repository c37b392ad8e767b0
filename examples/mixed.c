/* Mixed connectors: copies messages from one layer to another. Which connector each side uses is mixed.conf's
 * business, which is laid over the usual configuration. */
#include <stdio.h>
#include <stdlib.h>
#include <streamlayer/streamlayer.h>

/* The first failure of a message, kept until a flush has returned: reports come on a thread of the library's.
 */
static void delivered(void *opaque, void *message_opaque, const sl_delivery *delivery)
{
    sl_error *failure = opaque;
    (void)message_opaque;
    if (sl_delivery_status(delivery) && !failure->status)
        *failure = *sl_delivery_error(delivery);
}

/* Received messages are sent on as they are: key, payload, timestamp and headers. failure: of a delivery. */
static sl_status copy(sl_consumer *consumer, sl_producer *producer, size_t count, const sl_error *failure,
                      sl_error *error)
{
    sl_status status = SL_OK;
    while (count && !status) {
        sl_batch *batch = NULL;
        status = sl_consumer_poll(consumer, 1000, count, &batch, error);
        for (size_t i = 0; i < sl_batch_count(batch) && !status; i++, count--)
            status = sl_producer_send(producer, sl_batch_message(batch, i), NULL, -1, error);
        /* Committed when they have arrived, so that none is lost when the program ends in between. */
        if (batch && !status)
            status = sl_producer_flush(producer, 30000, error);
        if (batch && !status && failure->status) {
            *error = *failure;
            status = error->status;
        }
        if (batch && !status)
            status = sl_consumer_commit(consumer, batch, error);
        sl_batch_destroy(&batch);
    }
    return status;
}

int main(int argc, char **argv)
{
    sl_config *config = NULL;
    sl_client *client = NULL;
    sl_producer *producer = NULL;
    sl_consumer *consumer = NULL;
    sl_consumer_options *options = NULL;
    sl_producer_options *reports = NULL;
    sl_error failure = {0};
    sl_error error = {.text = "usage: mixed mixed.conf HRN FROM-LAYER TO-LAYER COUNT"};

    bool wrong =
        argc != 6 || sl_config_create(&config, &error) || sl_config_load(config, NULL, &error) ||
        sl_config_load_file(config, argv[1], &error) ||
        sl_client_create(config, NULL, NULL, &client, &error) || sl_consumer_options_create(&options) ||
        sl_consumer_options_set_start(options, SL_START_BEGIN) ||
        sl_consumer_options_set_auto_commit(options, false, 0) || sl_producer_options_create(&reports) ||
        sl_producer_options_set_delivery(reports, delivered, &failure) ||
        sl_consumer_create(client, argv[2], argv[3], options, &consumer, &error) ||
        sl_producer_create(client, argv[2], argv[4], reports, &producer, &error);
    if (!wrong) {
        printf("%s to %s\n", sl_consumer_connector(consumer), sl_producer_connector(producer));
        wrong = copy(consumer, producer, strtoul(argv[5], NULL, 10), &failure, &error) != SL_OK;
    }
    if (wrong)
        fprintf(stderr, "%s\n", error.text);
    sl_consumer_options_destroy(&options);
    sl_producer_options_destroy(&reports);
    sl_consumer_close(&consumer, NULL);
    sl_producer_close(&producer, 30000, NULL);
    sl_client_destroy(&client);
    sl_config_destroy(&config);
    return wrong;
}
