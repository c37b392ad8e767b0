/* Produces one message to a stream layer and consumes one: the first that the default group has not read, an
 * older one where it has a backlog. Configuration: application.conf, or STREAMLAYER_CONFIG. */
#include <stdio.h>
#include <streamlayer/streamlayer.h>

int main(int argc, char **argv)
{
    sl_client *client = NULL;
    sl_producer *producer = NULL;
    sl_consumer *consumer = NULL;
    sl_message *message = NULL;
    sl_batch *batch = NULL;
    sl_error error = {.text = "usage: hello HRN LAYER"};
    size_t size = 0;

    bool wrong = argc != 3 || sl_client_create(NULL, NULL, NULL, &client, &error) ||
                 sl_consumer_create(client, argv[1], argv[2], NULL, &consumer, &error) ||
                 sl_producer_create(client, argv[1], argv[2], NULL, &producer, &error) ||
                 sl_message_create(&message) || sl_message_set_partition_id(message, "car-7", 5) ||
                 sl_message_set_payload(message, "52.52,13.40", 11) ||
                 sl_producer_send(producer, message, NULL, -1, &error) ||
                 sl_producer_flush(producer, 30000, &error) ||
                 sl_consumer_poll(consumer, 30000, 1, &batch, &error);
    if (!wrong && !batch) /* without a delivery callback (producer.c) nobody knows why */
        wrong = snprintf(error.text, sizeof error.text,
                         "nothing was received within 30 s: the message was not delivered, or another "
                         "member of the group has it") > 0;
    wrong = wrong || sl_consumer_commit(consumer, batch, &error);
    if (wrong) {
        fprintf(stderr, "%s\n", error.text);
    } else {
        const char *payload = sl_message_payload(sl_batch_message(batch, 0), &size);
        printf("%.*s\n", (int)size, payload);
    }
    sl_batch_destroy(&batch);
    sl_message_destroy(&message);
    sl_producer_close(&producer, 30000, NULL);
    sl_consumer_close(&consumer, NULL);
    sl_client_destroy(&client);
    return wrong;
}
