#include "suite.h"
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* --- failing
 * ------------------------------------------------------------------------------------------------ */

void must_(sl_status status, const sl_error *error, const char *what, const char *file, int line)
{
    if (status == SL_OK)
        return;
    print_error("%s\n  is: %s\n  text: %s\n", what, sl_status_text(status),
                error && error->status == status ? error->text : "(the error was not filled)");
    _fail(file, line);
}

void must_fail_(sl_status status, sl_status wanted, const sl_error *error, const char *what, const char *file,
                int line)
{
    if (status == wanted && error->status == wanted && error->text[0] && !strchr(error->text, '\n'))
        return;
    print_error("%s\n  is: %s\n  wanted: %s\n  the error's status: %s\n  its text: %s\n", what,
                sl_status_text(status), sl_status_text(wanted), sl_status_text(error->status), error->text);
    _fail(file, line);
}

void assert_says_(const char *text, const char *piece, const char *file, int line)
{
    if (strstr(text, piece))
        return;
    print_error("the text \"%s\"\n  does not hold \"%s\"\n", text, piece);
    _fail(file, line);
}

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void breathe(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
}

/* --- the platform
 * -------------------------------------------------------------------------------------------- */

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    if (!value || !*value)
        fail_msg("%s is not set: this suite is run by ctest", name);
    return value;
}

const char *producer_connector(void)
{
    return variable("SL_TEST_PRODUCER");
}

const char *consumer_connector(void)
{
    return variable("SL_TEST_CONSUMER");
}

const char *platform_value(const char *name)
{
    static char value[1024];
    char file[1024];
    snprintf(file, sizeof file, "%s/env", variable("STREAMLAYER_TEST_PLATFORM"));
    FILE *in = fopen(file, "r");
    if (!in)
        fail_msg("the platform is not running: cannot read %s", file);
    size_t size = strlen(name);
    bool found = false;
    while (!found && fgets(value, sizeof value, in))
        found = !strncmp(value, name, size) && value[size] == '=';
    fclose(in);
    if (!found)
        fail_msg("%s has no %s", file, name);
    value[strcspn(value, "\n")] = '\0';
    return value + size + 1;
}

#define CONNECTOR "here.platform.data-client.stream.connector."

sl_config *config_make(void)
{
    sl_error error = {0};
    sl_config *config = NULL;
    must(sl_config_create(&config, &error), &error);
    must(sl_config_load_file(config, platform_value("CONFIG"), &error), &error);
    must(sl_config_set(config, CONNECTOR "producer", producer_connector(), &error), &error);
    must(sl_config_set(config, CONNECTOR "consumer", consumer_connector(), &error), &error);
    return config;
}

static pthread_mutex_t warning_lock = PTHREAD_MUTEX_INITIALIZER;
static char warning[SL_ERROR_TEXT_SIZE];

static void log_line(void *opaque, sl_log_level level, const char *text)
{
    (void)opaque;
    if (level > SL_LOG_WARNING)
        return;
    (void)fprintf(stderr, "  library: %s\n", text);
    pthread_mutex_lock(&warning_lock);
    snprintf(warning, sizeof warning, "%s", text);
    pthread_mutex_unlock(&warning_lock);
}

const char *last_warning(void)
{
    static char copy[sizeof warning];
    pthread_mutex_lock(&warning_lock);
    memcpy(copy, warning, sizeof copy);
    pthread_mutex_unlock(&warning_lock);
    return copy;
}

sl_client *client_make_of(const char *path, ...)
{
    sl_error error = {0};
    sl_client *client = NULL;
    sl_config *config = config_make();
    va_list more;
    va_start(more, path);
    for (; path; path = va_arg(more, const char *))
        must(sl_config_set(config, path, va_arg(more, const char *), &error), &error);
    va_end(more);
    must(sl_client_create(config, log_line, NULL, &client, &error), &error);
    sl_config_destroy(&config);
    assert_null(config);
    return client;
}

sl_client *client_make_with(const char *path, const char *value)
{
    return client_make_of(path, value, NULL);
}

sl_client *client_make(void)
{
    return client_make_with(NULL, NULL);
}

static void make_layer(sl_client *client, int partitions, const char *encoding, struct layer *layer)
{
    static unsigned made;
    sl_error error = {0};
    sl_catalog *catalog = NULL;
    char id[64];
    snprintf(id, sizeof id, "it-%x-%" PRIx64 "-%u", (unsigned)getpid(), (uint64_t)now_ms() & 0xffffffffff,
             made++);
    snprintf(layer->group, sizeof layer->group, "%s.a", id);
    snprintf(layer->other_group, sizeof layer->other_group, "%s.b", id);
    must(sl_catalog_create(client, id, NULL, &catalog, &error), &error);
    snprintf(layer->hrn, sizeof layer->hrn, "%s", sl_catalog_hrn(catalog));
    sl_catalog_destroy(&catalog);
    const sl_layer_spec spec = {.struct_size = sizeof spec,
                                .id = LAYER,
                                .content_type = "application/octet-stream",
                                .content_encoding = encoding,
                                .parallelization = partitions};
    must(sl_layer_create(client, layer->hrn, &spec, &error), &error);
    must(sl_catalog_get(client, layer->hrn, &catalog, &error), &error);
    assert_int_equal(sl_catalog_layer_count(catalog), 1);
    const char *topic = sl_catalog_layer_topic(catalog, 0);
    snprintf(layer->topic, sizeof layer->topic, "%s", topic ? topic : "");
    sl_catalog_destroy(&catalog);
}

void layer_make(sl_client *client, int partitions, struct layer *layer)
{
    make_layer(client, partitions, NULL, layer);
}

void layer_make_gzip(sl_client *client, int partitions, struct layer *layer)
{
    make_layer(client, partitions, "gzip", layer);
}

/* --- producing
 * ----------------------------------------------------------------------------------------------- */

void tally_init(struct tally *tally, size_t messages)
{
    memset(tally, 0, sizeof *tally);
    pthread_mutex_init(&tally->lock, NULL);
    if (messages) {
        tally->reports = calloc(messages, 1);
        assert_non_null(tally->reports);
    }
}

void tally_free(struct tally *tally)
{
    pthread_mutex_destroy(&tally->lock);
    free(tally->reports);
    tally->reports = NULL;
}

void tally_count(void *opaque, void *message_opaque, const sl_delivery *delivery)
{
    struct tally *tally = opaque;
    pthread_mutex_lock(&tally->lock);
    if (sl_delivery_status(delivery) == SL_OK) {
        tally->delivered++;
        tally->offset = sl_delivery_offset(delivery);
    } else {
        tally->failed++;
        tally->timed_out += sl_delivery_status(delivery) == SL_TIMED_OUT;
        if (sl_delivery_error(delivery))
            tally->error = *sl_delivery_error(delivery);
    }
    if (tally->reports && message_opaque && tally->reports[(uintptr_t)message_opaque - 1] < 255)
        tally->reports[(uintptr_t)message_opaque - 1]++;
    pthread_mutex_unlock(&tally->lock);
}

size_t tally_total(struct tally *tally)
{
    pthread_mutex_lock(&tally->lock);
    size_t total = tally->delivered + tally->failed;
    pthread_mutex_unlock(&tally->lock);
    return total;
}

sl_producer *producer_make(sl_client *client, const struct layer *layer, struct tally *tally)
{
    sl_error error = {0};
    sl_producer *producer = NULL;
    sl_producer_options *options = NULL;
    must(sl_producer_options_create(&options), NULL);
    if (tally)
        must(sl_producer_options_set_delivery(options, tally_count, tally), NULL);
    must(sl_producer_create(client, layer->hrn, LAYER, options, &producer, &error), &error);
    sl_producer_options_destroy(&options);
    assert_null(options);
    assert_string_equal(sl_producer_connector(producer), producer_connector());
    return producer;
}

void producer_finish(sl_producer **producer, struct tally *tally, size_t messages)
{
    sl_error error = {0};
    must(sl_producer_flush(*producer, WAIT_MS, &error), &error);
    assert_int_equal(sl_producer_queued(*producer, NULL), 0);
    if (tally) {
        if (tally->failed)
            fail_msg("%zu messages failed, the last with: %s", tally->failed, tally->error.text);
        assert_int_equal(tally->delivered, messages);
    }
    must(sl_producer_close(producer, WAIT_MS, &error), &error);
    assert_null(*producer);
}

void send_message(sl_producer *producer, const sl_message *message)
{
    sl_error error = {0};
    must(sl_producer_send(producer, message, NULL, WAIT_MS, &error), &error);
}

void send_text(sl_producer *producer, const char *key, const char *text)
{
    sl_message *message = NULL;
    must(sl_message_create(&message), NULL);
    if (key)
        must(sl_message_set_partition_id(message, key, strlen(key)), NULL);
    must(sl_message_set_payload(message, text, strlen(text)), NULL);
    send_message(producer, message);
    sl_message_destroy(&message);
    assert_null(message);
}

unsigned char *bytes_make(size_t size, unsigned seed)
{
    unsigned char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    uint32_t value = seed * 2654435761u + 1;
    for (size_t i = 0; i < size; i++) {
        value = value * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(value >> 24);
    }
    return bytes;
}

void sha256_of(const void *data, size_t size, char out[65])
{
    unsigned char sum[32];
    assert_int_equal(EVP_Digest(data, size, sum, NULL, EVP_sha256(), NULL), 1);
    for (size_t i = 0; i < sizeof sum; i++)
        snprintf(out + i * 2, 3, "%02x", sum[i]);
}

void send_bytes(sl_producer *producer, const char *key, const void *bytes, size_t size)
{
    sl_message *message = NULL;
    must(sl_message_create(&message), NULL);
    must(sl_message_set_partition_id(message, key, strlen(key)), NULL);
    must(sl_message_set_payload(message, bytes, size), NULL);
    send_message(producer, message);
    sl_message_destroy(&message);
}

void assert_payload(const sl_message *message, const void *bytes, size_t size)
{
    size_t length = 0;
    const void *payload = sl_message_payload(message, &length);
    assert_non_null(payload);
    assert_int_equal(length, size);
    if (memcmp(payload, bytes, size))
        fail_msg("a payload of %zu bytes has other bytes than those sent", size);
}

void send_numbers(sl_producer *producer, int first, int count, int keys)
{
    for (int i = 0; i < count; i++) {
        char key[24], text[24];
        snprintf(key, sizeof key, "key-%d", i % keys);
        snprintf(text, sizeof text, "%d", first + i);
        send_text(producer, key, text);
    }
}

void produce_numbers(sl_client *client, const struct layer *layer, int first, int count, int keys)
{
    struct tally tally;
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, layer, &tally);
    send_numbers(producer, first, count, keys);
    producer_finish(&producer, &tally, (size_t)count);
    tally_free(&tally);
}

/* --- consuming
 * ----------------------------------------------------------------------------------------------- */

sl_consumer *consumer_make_by(const char *connector, sl_client *client, const struct layer *layer,
                              const char *group, sl_start start)
{
    sl_error error = {0};
    sl_consumer *consumer = NULL;
    sl_consumer_options *options = NULL;
    must(sl_consumer_options_create(&options), NULL);
    if (group)
        must(sl_consumer_options_set_group(options, group), NULL);
    must(sl_consumer_options_set_start(options, start), NULL);
    must(sl_consumer_options_set_connector(options, connector), NULL);
    must(sl_consumer_options_set_auto_commit(options, false, 0), NULL);
    must(sl_consumer_create(client, layer->hrn, LAYER, options, &consumer, &error), &error);
    sl_consumer_options_destroy(&options);
    assert_null(options);
    assert_string_equal(sl_consumer_connector(consumer), connector);
    return consumer;
}

sl_consumer *consumer_make(sl_client *client, const struct layer *layer, const char *group, sl_start start)
{
    return consumer_make_by(consumer_connector(), client, layer, group, start);
}

void consumer_close(sl_consumer **consumer)
{
    sl_error error = {0};
    must(sl_consumer_close(consumer, &error), &error);
    assert_null(*consumer);
}

bool receive_once(sl_consumer *consumer, struct inbox *inbox, int timeout_ms, size_t max)
{
    sl_error error = {0};
    sl_batch *batch = NULL;
    must(sl_consumer_poll(consumer, timeout_ms, max, &batch, &error), &error);
    if (!batch)
        return false;
    size_t count = sl_batch_count(batch);
    assert_true(count > 0);
    assert_true(max == 0 || count <= max);
    inbox->batches = realloc(inbox->batches, (inbox->batch_count + 1) * sizeof *inbox->batches);
    inbox->messages = realloc(inbox->messages, (inbox->count + count) * sizeof *inbox->messages);
    assert_non_null(inbox->batches);
    assert_non_null(inbox->messages);
    inbox->batches[inbox->batch_count++] = batch;
    for (size_t i = 0; i < count; i++) {
        inbox->messages[inbox->count] = sl_batch_message(batch, i);
        assert_non_null(inbox->messages[inbox->count]);
        inbox->count++;
    }
    assert_null(sl_batch_message(batch, count));
    return true;
}

void receive(sl_consumer *consumer, struct inbox *inbox, size_t count)
{
    int64_t end = now_ms() + WAIT_MS;
    while (inbox->count < count) {
        if (now_ms() > end)
            fail_msg("%zu messages were expected, %zu came", count, inbox->count);
        receive_once(consumer, inbox, 1000, 0);
    }
}

void receive_nothing(sl_consumer *consumer, int timeout_ms)
{
    struct inbox inbox = {0};
    char text[80];
    int64_t end = now_ms() + timeout_ms;
    do {
        if (receive_once(consumer, &inbox, 100, 0) && inbox.count)
            fail_msg("a message came that should not: \"%s\"", text_of(inbox.messages[0], text, sizeof text));
    } while (now_ms() < end);
    inbox_free(&inbox);
}

void inbox_free(struct inbox *inbox)
{
    for (size_t i = 0; i < inbox->batch_count; i++) {
        sl_batch_destroy(&inbox->batches[i]);
        assert_null(inbox->batches[i]);
    }
    free(inbox->batches);
    free(inbox->messages);
    *inbox = (struct inbox){0};
}

const char *text_of(const sl_message *message, char *buffer, size_t size)
{
    size_t length = 0;
    const void *payload = sl_message_payload(message, &length);
    assert_non_null(payload);
    if (length > size - 1)
        length = size - 1;
    memcpy(buffer, payload, length);
    buffer[length] = '\0';
    return buffer;
}

int number_of(const sl_message *message)
{
    char text[24], *end = NULL;
    long number = strtol(text_of(message, text, sizeof text), &end, 10);
    if (end == text || *end)
        fail_msg("\"%s\" is not a number", text);
    return (int)number;
}

void assert_numbers(const struct inbox *inbox, int first, int count)
{
    unsigned char *seen = calloc((size_t)count + 1, 1);
    assert_non_null(seen);
    for (size_t i = 0; i < inbox->count; i++) {
        int number = number_of(inbox->messages[i]) - first;
        if (number < 0 || number >= count)
            fail_msg("%d came, which is not of %d … %d", number + first, first, first + count - 1);
        if (seen[number]++)
            fail_msg("%d came twice", number + first);
    }
    for (int i = 0; i < count; i++)
        if (!seen[i])
            fail_msg("%d did not come", first + i);
    free(seen);
}

/* --- readers
 * ------------------------------------------------------------------------------------------------- */

static void *read_on(void *opaque)
{
    struct reader *reader = opaque;
    for (;;) {
        sl_batch *batch = NULL;
        sl_error error = {0};
        sl_status status = sl_consumer_poll(reader->consumer, 100, 0, &batch, &error);
        if (!status && batch && reader->commits) {
            status = sl_consumer_commit(reader->consumer, batch, &error);
            if (status == SL_KAFKA) /* the group has moved the partition: it comes again there */
                status = SL_OK;
        }
        pthread_mutex_lock(&reader->lock);
        if (status != SL_OK) {
            reader->error = error;
            reader->failed = true;
        }
        for (size_t i = 0; i < sl_batch_count(batch); i++) {
            /* No cmocka here: its failures belong to the main thread. */
            size_t size = 0;
            const char *payload = sl_message_payload(sl_batch_message(batch, i), &size);
            char text[24] = "";
            if (payload && size < sizeof text)
                memcpy(text, payload, size);
            int *more = realloc(reader->numbers, (reader->count + 1) * sizeof *more);
            if (!more)
                abort();
            reader->numbers = more;
            reader->numbers[reader->count++] = (int)strtol(text, NULL, 10);
        }
        bool stop = reader->stop || reader->failed;
        pthread_mutex_unlock(&reader->lock);
        sl_batch_destroy(&batch);
        if (stop)
            return NULL;
    }
}

static void start(struct reader *reader, sl_consumer *consumer, bool commits)
{
    memset(reader, 0, sizeof *reader);
    reader->consumer = consumer;
    reader->commits = commits;
    pthread_mutex_init(&reader->lock, NULL);
    assert_int_equal(pthread_create(&reader->thread, NULL, read_on, reader), 0);
}

void reader_start(struct reader *reader, sl_consumer *consumer)
{
    start(reader, consumer, false);
}

void reader_start_committing(struct reader *reader, sl_consumer *consumer)
{
    start(reader, consumer, true);
}

size_t reader_count(struct reader *reader, int from)
{
    size_t count = 0;
    pthread_mutex_lock(&reader->lock);
    for (size_t i = 0; i < reader->count; i++)
        count += reader->numbers[i] >= from;
    bool failed = reader->failed;
    pthread_mutex_unlock(&reader->lock);
    if (failed)
        fail_msg("a poll failed: %s: %s", sl_status_text(reader->error.status), reader->error.text);
    return count;
}

void reader_stop(struct reader *reader, bool close)
{
    pthread_mutex_lock(&reader->lock);
    reader->stop = true;
    pthread_mutex_unlock(&reader->lock);
    pthread_join(reader->thread, NULL);
    if (reader->failed)
        fail_msg("a poll failed: %s: %s", sl_status_text(reader->error.status), reader->error.text);
    if (close)
        consumer_close(&reader->consumer);
}

void reader_free(struct reader *reader)
{
    free(reader->numbers);
    pthread_mutex_destroy(&reader->lock);
}

static size_t reader_total(struct reader *reader)
{
    return reader_count(reader, INT32_MIN);
}

void readers_settle(sl_producer *producer, struct reader *const *readers, size_t count)
{
    sl_error error = {0};
    int64_t end = now_ms() + WAIT_MS;
    for (;;) {
        size_t before[8], total = 0, came = 0;
        bool all = true;
        for (size_t i = 0; i < count; i++) {
            before[i] = reader_total(readers[i]);
            total += before[i];
        }
        /* Enough keys for every partition to get some. */
        send_numbers(producer, -100, 100, 100);
        must(sl_producer_flush(producer, WAIT_MS, &error), &error);
        int64_t round = now_ms() + 5000;
        do {
            breathe();
            came = 0;
            all = true;
            for (size_t i = 0; i < count; i++) {
                size_t now = reader_total(readers[i]);
                came += now;
                all = all && now > before[i];
            }
        } while (came < total + 100 && now_ms() < round);
        if (all && came == total + 100)
            return;
        if (now_ms() > end)
            fail_msg("the group did not share its partitions out: of 100 probes %zu came, %s", came - total,
                     all ? "to all members" : "not to all members");
    }
}

void readers_wait(struct reader *const *readers, size_t count, size_t numbers)
{
    int64_t end = now_ms() + WAIT_MS;
    for (;;) {
        size_t came = 0;
        for (size_t i = 0; i < count; i++)
            came += reader_count(readers[i], 0);
        if (came >= numbers)
            return;
        if (now_ms() > end)
            fail_msg("%zu messages were expected, %zu came", numbers, came);
        breathe();
    }
}

void assert_shared(struct reader *const *readers, size_t readers_count, int count)
{
    unsigned char *seen = calloc((size_t)count, 1);
    assert_non_null(seen);
    for (size_t r = 0; r < readers_count; r++) {
        for (size_t i = 0; i < readers[r]->count; i++) {
            int number = readers[r]->numbers[i];
            if (number >= count)
                fail_msg("%d came, which nobody wrote", number);
            if (number >= 0 && seen[number]++)
                fail_msg("%d came twice", number);
        }
    }
    for (int i = 0; i < count; i++)
        if (!seen[i])
            fail_msg("%d did not come", i);
    free(seen);
}
