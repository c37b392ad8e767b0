/* Large payloads: sends a file as one message, and writes what the default group receives next to another:
 * the same, or an older message where the group has a backlog. Over 1 MiB the library stores the payload as a
 * blob, and the message carries its handle; this consumer fetches it itself, when it wants it, where others
 * have polls do it (stream.consumer.resolve). */
#include <stdio.h>
#include <stdlib.h>
#include <streamlayer/streamlayer.h>

/* The file as the message's payload, which stays the caller's. */
static void *set_payload(sl_message *message, const char *name, sl_error *error)
{
    FILE *file = fopen(name, "rb");
    char *data = NULL;
    long end = -1;
    bool read = false;
    if (file && !fseek(file, 0, SEEK_END) && (end = ftell(file)) >= 0 && !fseek(file, 0, SEEK_SET)) {
        data = malloc((size_t)end + 1);
        read = data && fread(data, 1, (size_t)end, file) == (size_t)end;
    }
    if (!read)
        snprintf(error->text, sizeof error->text, "%.500s cannot be read", name);
    if (file)
        fclose(file);
    if (read && !sl_message_set_payload(message, data, (size_t)end))
        return data;
    free(data);
    return NULL;
}

static bool write_file(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(name, "wb");
    if (!file)
        return false;
    bool written = fwrite(data, 1, size, file) == size;
    return !fclose(file) && written;
}

/* The payload: in the message, or in the blob that it names. */
static sl_status save(sl_consumer *consumer, const sl_batch *batch, const char *name, sl_error *error)
{
    size_t size;
    void *fetched = NULL;
    if (!batch) {
        snprintf(error->text, sizeof error->text, "nothing was received within 30 s");
        return SL_TIMED_OUT;
    }
    const sl_message *message = sl_batch_message(batch, 0);
    const void *payload = sl_message_payload(message, &size);
    const char *handle = sl_message_data_handle(message);
    sl_status status = handle ? sl_consumer_resolve(consumer, message, &fetched, &size, error) : SL_OK;
    if (!status)
        printf("%zu bytes, %s\n", size, handle ? "in a blob" : "in the message");
    if (!status && !write_file(name, fetched ? fetched : payload, size)) {
        snprintf(error->text, sizeof error->text, "%.500s cannot be written", name);
        status = SL_IO;
    }
    sl_free(fetched);
    return status;
}

/* Told on a thread of the library's, before the flush returns. */
static void delivered(void *opaque, void *message_opaque, const sl_delivery *delivery)
{
    (void)message_opaque;
    if (sl_delivery_status(delivery))
        *(sl_error *)opaque = *sl_delivery_error(delivery);
}

int main(int argc, char **argv)
{
    sl_client *client = NULL;
    sl_producer *producer = NULL;
    sl_producer_options *sending = NULL;
    sl_consumer *consumer = NULL;
    sl_consumer_options *options = NULL;
    sl_message *message = NULL;
    sl_batch *batch = NULL;
    void *data = NULL;
    sl_error failed = {.status = SL_OK}, error = {.text = "usage: large HRN LAYER FILE COPY"};

    bool wrong =
        argc != 5 || sl_message_create(&message) || !(data = set_payload(message, argv[3], &error)) ||
        sl_client_create(NULL, NULL, NULL, &client, &error) || sl_consumer_options_create(&options) ||
        sl_consumer_options_set_resolve(options, false) ||
        sl_consumer_options_set_start(options, SL_START_END) ||
        sl_consumer_create(client, argv[1], argv[2], options, &consumer, &error) ||
        sl_producer_options_create(&sending) ||
        sl_producer_options_set_delivery(sending, delivered, &failed) ||
        sl_producer_create(client, argv[1], argv[2], sending, &producer, &error) ||
        sl_producer_send(producer, message, NULL, -1, &error) || sl_producer_flush(producer, 60000, &error);
    if (!wrong && failed.status) {
        error = failed;
        wrong = true;
    }
    wrong = wrong || sl_consumer_poll(consumer, 30000, 1, &batch, &error) ||
            save(consumer, batch, argv[4], &error) || sl_consumer_commit(consumer, batch, &error);
    if (wrong)
        fprintf(stderr, "%s\n", error.text);
    free(data);
    sl_batch_destroy(&batch);
    sl_message_destroy(&message);
    sl_consumer_options_destroy(&options);
    sl_producer_options_destroy(&sending);
    sl_producer_close(&producer, 30000, NULL);
    sl_consumer_close(&consumer, NULL);
    sl_client_destroy(&client);
    return wrong;
}
