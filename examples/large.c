/* Large payloads: sends a file as one message, and writes what is received to another. Over 1 MiB the library
 * stores the payload as a blob, and the message carries its handle; this consumer fetches it itself, when it
 * wants it, where others have polls do it (stream.consumer.resolve). */
#include <stdio.h>
#include <stdlib.h>
#include <streamlayer/streamlayer.h>

static void *read_file(const char *name, size_t *size)
{
    FILE *file = fopen(name, "rb");
    char *data = NULL;
    long end;
    if (file && !fseek(file, 0, SEEK_END) && (end = ftell(file)) > 0 && !fseek(file, 0, SEEK_SET)) {
        *size = (size_t)end;
        data = malloc(*size);
        if (data && fread(data, 1, *size, file) != *size) {
            free(data);
            data = NULL;
        }
    }
    if (file)
        fclose(file);
    return data;
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
static sl_status save(sl_consumer *consumer, const sl_message *message, const char *name, sl_error *error)
{
    size_t size;
    void *fetched = NULL;
    const void *payload = sl_message_payload(message, &size);
    const char *handle = sl_message_data_handle(message);
    sl_status status = handle ? sl_consumer_resolve(consumer, message, &fetched, &size, error) : SL_OK;
    if (!status)
        printf("%zu bytes, %s\n", size, handle ? "in a blob" : "in the message");
    if (!status && !write_file(name, fetched ? fetched : payload, size)) {
        snprintf(error->text, sizeof error->text, "%s cannot be written", name);
        status = SL_IO;
    }
    sl_free(fetched);
    return status;
}

int main(int argc, char **argv)
{
    sl_client *client = NULL;
    sl_producer *producer = NULL;
    sl_consumer *consumer = NULL;
    sl_consumer_options *options = NULL;
    sl_message *message = NULL;
    sl_batch *batch = NULL;
    size_t size = 0;
    sl_error error = {.text = "usage: large HRN LAYER FILE COPY"};
    void *data = argc == 5 ? read_file(argv[3], &size) : NULL;

    bool wrong = !data || sl_client_create(NULL, NULL, NULL, &client, &error) ||
                 sl_consumer_options_create(&options) || sl_consumer_options_set_resolve(options, false) ||
                 sl_consumer_options_set_start(options, SL_START_END) ||
                 sl_consumer_create(client, argv[1], argv[2], options, &consumer, &error) ||
                 sl_producer_create(client, argv[1], argv[2], NULL, &producer, &error) ||
                 sl_message_create(&message) || sl_message_set_payload(message, data, size) ||
                 sl_producer_send(producer, message, NULL, -1, &error) ||
                 sl_producer_flush(producer, 60000, &error) ||
                 sl_consumer_poll(consumer, 30000, 1, &batch, &error) ||
                 save(consumer, sl_batch_message(batch, 0), argv[4], &error) ||
                 sl_consumer_commit(consumer, batch, &error);
    if (wrong)
        fprintf(stderr, "%s\n", error.text);
    free(data);
    sl_batch_destroy(&batch);
    sl_message_destroy(&message);
    sl_consumer_options_destroy(&options);
    sl_producer_close(&producer, 30000, NULL);
    sl_consumer_close(&consumer, NULL);
    sl_client_destroy(&client);
    return wrong;
}
