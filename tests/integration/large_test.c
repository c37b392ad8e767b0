/* Payloads over what travels inside a message: blobs beside the layer. */
#include "suite.h"
#include <dirent.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1024 * 1024 };

/* At the bounds: the last that is inline, the first blob, the last and the first beyond one ingest call. */
static const size_t bounds[] = {MIB, MIB + 1, 20 * MIB, 20 * MIB + 1};
enum { BOUNDS = sizeof bounds / sizeof *bounds };

static void assert_stated(const sl_message *message, const void *bytes, size_t size)
{
    char sum[65];
    sha256_of(bytes, size, sum);
    assert_non_null(sl_message_data_handle(message));
    assert_int_equal(sl_message_data_size(message), size);
    assert_non_null(sl_message_checksum(message));
    assert_string_equal(sl_message_checksum(message), sum);
}

static void sizes_at_the_bounds(void **state)
{
    (void)state;
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    unsigned char *bytes = bytes_make(20 * MIB + 1, 1);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    for (size_t i = 0; i < BOUNDS; i++)
        send_bytes(producer, "k", bytes, bounds[i]);
    producer_finish(&producer, &tally, BOUNDS);
    assert_int_equal(tally.offset.offset, BOUNDS - 1);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, BOUNDS);
    assert_null(sl_message_data_handle(inbox.messages[0]));
    for (size_t i = 0; i < BOUNDS; i++) {
        assert_payload(inbox.messages[i], bytes, bounds[i]);
        assert_int_equal(sl_message_offset(inbox.messages[i]).offset, i);
        if (i)
            assert_stated(inbox.messages[i], bytes, bounds[i]);
    }
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    free(bytes);
    sl_client_destroy(&client);
}

/* A part of the blob, or what is left of it behind first. */
static void check_range(sl_client *client, const struct layer *layer, const char *handle,
                        const unsigned char *bytes, size_t size, int64_t first, int64_t count)
{
    sl_error error = {0};
    void *data = NULL;
    size_t got = 99, wanted = (size_t)first < size ? size - (size_t)first : 0;
    if (count >= 0 && (size_t)count < wanted)
        wanted = (size_t)count;
    must(sl_blob_get(client, layer->hrn, LAYER, handle, first, count, &data, &got, &error), &error);
    assert_non_null(data);
    assert_int_equal(got, wanted);
    assert_int_equal(memcmp(data, bytes + (wanted ? first : 0), wanted), 0);
    assert_int_equal(((char *)data)[got], 0);
    sl_free(data);
}

/* Without resolving by itself: handle, size and checksum come, the payload when it is asked for, in parts
 * too. */
static void sizes_at_the_bounds_on_request(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_client *client = client_make_with(SETTING("stream.consumer.resolve"), "false");
    layer_make(client, 1, &layer);
    unsigned char *bytes = bytes_make(20 * MIB + 1, 2);
    sl_producer *producer = producer_make(client, &layer, NULL);
    for (size_t i = 0; i < BOUNDS; i++)
        send_bytes(producer, "k", bytes, bounds[i]);
    producer_finish(&producer, NULL, 0);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, BOUNDS);
    assert_null(sl_message_data_handle(inbox.messages[0]));
    assert_payload(inbox.messages[0], bytes, bounds[0]);
    void *data = NULL;
    size_t size = 0;
    must_fail(sl_consumer_resolve(consumer, inbox.messages[0], &data, &size, &error), SL_INVALID_ARGUMENT,
              &error);
    for (size_t i = 1; i < BOUNDS; i++) {
        const sl_message *message = inbox.messages[i];
        assert_null(sl_message_payload(message, &size));
        assert_int_equal(size, 0);
        assert_stated(message, bytes, bounds[i]);
        must(sl_consumer_resolve(consumer, message, &data, &size, &error), &error);
        assert_int_equal(size, bounds[i]);
        assert_int_equal(memcmp(data, bytes, size), 0);
        sl_free(data);
        const char *handle = sl_message_data_handle(message);
        int64_t stored = -1;
        must(sl_blob_size(client, layer.hrn, LAYER, handle, &stored, &error), &error);
        assert_int_equal(stored, bounds[i]);
        check_range(client, &layer, handle, bytes, bounds[i], 0, 1);
        check_range(client, &layer, handle, bytes, bounds[i], MIB - 1, 2);
        check_range(client, &layer, handle, bytes, bounds[i], (int64_t)bounds[i] - 1, 100);
        check_range(client, &layer, handle, bytes, bounds[i], (int64_t)bounds[i], 1); /* nothing is left */
        check_range(client, &layer, handle, bytes, bounds[i], MIB, -1);
    }
    inbox_free(&inbox);
    consumer_close(&consumer);
    free(bytes);
    sl_client_destroy(&client);
}

/* What is over the reader's bound comes without its payload; whoever allows more gets it. */
static void over_the_bound_of_the_reader(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_client *client = client_make();
    sl_client *modest = client_make_with(SETTING("stream.blob.max-size"), "1500000");
    layer_make(client, 1, &layer);
    unsigned char *bytes = bytes_make(2 * MIB, 3);
    sl_producer *producer = producer_make(client, &layer, NULL);
    send_bytes(producer, "k", bytes, 1500001);
    send_bytes(producer, "k", bytes, 1500000);
    producer_finish(&producer, NULL, 0);
    sl_consumer *consumer = consumer_make(modest, &layer, layer.group, SL_START_BEGIN);
    receive(consumer, &inbox, 2);
    size_t size = 99;
    assert_null(sl_message_payload(inbox.messages[0], &size));
    assert_stated(inbox.messages[0], bytes, 1500001);
    assert_payload(inbox.messages[1], bytes, 1500000);
    void *data = NULL;
    must_fail(sl_consumer_resolve(consumer, inbox.messages[0], &data, &size, &error), SL_TOO_LARGE, &error);
    assert_says(error.text, "stream.blob.max-size");
    consumer_close(&consumer);
    consumer = consumer_make(client, &layer, layer.other_group, SL_START_BEGIN);
    must(sl_consumer_resolve(consumer, inbox.messages[0], &data, &size, &error), &error);
    assert_int_equal(size, 1500001);
    sl_free(data);
    inbox_free(&inbox);
    consumer_close(&consumer);
    free(bytes);
    sl_client_destroy(&client);
    sl_client_destroy(&modest);
}

static bool is_large(int number)
{
    return number % 5 == 1 || number % 17 == 0;
}

/* Large ones among small ones of one partition id come in the order sent, with all their parts. */
static void order_of_large_among_small(void **state)
{
    (void)state;
    enum { COUNT = 60, KEYS = 2 };
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    sl_client *client = client_make();
    layer_make(client, 2, &layer);
    unsigned char *bytes = bytes_make(2 * MIB, 4);
    int64_t timestamp = (int64_t)time(NULL) * 1000 - 100000;
    tally_init(&tally, COUNT);
    sl_producer *producer = producer_make(client, &layer, &tally);
    sl_message *message = NULL;
    must(sl_message_create(&message), NULL);
    for (int i = 0; i < COUNT; i++) {
        char number[24], trace[128];
        sl_error error = {0};
        sl_message_clear(message);
        size_t digits = (size_t)snprintf(number, sizeof number, "%d", i);
        snprintf(trace, sizeof trace, "trace-%d-%s", i, layer.group);
        must(sl_message_set_partition_id(message, i % KEYS ? "one" : "two", 3), NULL);
        must(sl_message_set_payload(message, bytes + i, is_large(i) ? (size_t)MIB + 1 + (size_t)i : 10),
             NULL);
        must(sl_message_set_timestamp_ms(message, timestamp + i), NULL);
        must(sl_message_set_trace_id(message, trace), NULL);
        must(sl_message_add_header(message, "number", number, digits), NULL);
        must(sl_message_add_header(message, "empty", "", 0), NULL);
        must(sl_producer_send(producer, message, (void *)(uintptr_t)(i + 1), WAIT_MS, &error), &error);
    }
    sl_message_destroy(&message);
    producer_finish(&producer, &tally, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(tally.reports[i], 1);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, COUNT);
    int next[KEYS] = {0, 1};
    for (int i = 0; i < COUNT; i++) {
        const sl_message *got = inbox.messages[i];
        size_t size = 0;
        const void *value = NULL;
        int key = sl_message_partition_id(got, &size)[0] == 'o';
        int number = next[key];
        char wanted[24], trace[128];
        snprintf(wanted, sizeof wanted, "%d", number);
        assert_true(sl_message_header(got, "number", &value, &size));
        if (size != strlen(wanted) || memcmp(value, wanted, size))
            fail_msg("%.*s came where %d was due", (int)size, (const char *)value, number);
        next[key] += KEYS;
        assert_payload(got, bytes + number, is_large(number) ? (size_t)MIB + 1 + (size_t)number : 10);
        assert_int_equal(sl_message_timestamp_ms(got), timestamp + number);
        snprintf(trace, sizeof trace, "trace-%d-%s", number, layer.group);
        assert_string_equal(sl_message_trace_id(got), trace);
        assert_int_equal(sl_message_header_count(got), 2);
        assert_true(sl_message_header(got, "empty", &value, &size));
        assert_non_null(value);
        assert_int_equal(size, 0);
        assert_int_equal(sl_message_data_handle(got) != NULL, is_large(number));
    }
    receive_nothing(consumer, 300);
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    free(bytes);
    sl_client_destroy(&client);
}

/* Removes the layer's blobs where the platform's gateway keeps them; how many there were. */
static int remove_blobs(const struct layer *layer)
{
    char directory[1500], file[3000];
    int removed = 0;
    snprintf(directory, sizeof directory, "%s/data/blobs/layers/%s", platform_value("DIR"), layer->topic);
    DIR *list = opendir(directory);
    if (!list)
        fail_msg("there is no %s", directory);
    for (const struct dirent *entry; (entry = readdir(list));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", directory, entry->d_name);
        assert_int_equal(unlink(file), 0);
        removed++;
    }
    (void)closedir(list);
    return removed;
}

/* A message whose blob is gone comes without its payload, in its place; the others are not held up. */
static void blob_that_is_gone(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox inbox = {0};
    sl_error error = {0};
    char text[24];
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    unsigned char *bytes = bytes_make(2 * MIB, 5);
    sl_producer *producer = producer_make(client, &layer, NULL);
    send_text(producer, "k", "before");
    send_bytes(producer, "k", bytes, MIB + 1);
    must(sl_producer_flush(producer, WAIT_MS, &error), &error);
    assert_int_equal(remove_blobs(&layer), 1);
    send_text(producer, "k", "between");
    send_bytes(producer, "k", bytes, 2 * MIB);
    send_text(producer, "k", "after");
    producer_finish(&producer, NULL, 0);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, 5);
    size_t size = 99;
    assert_string_equal(text_of(inbox.messages[0], text, sizeof text), "before");
    assert_null(sl_message_payload(inbox.messages[1], &size));
    assert_int_equal(size, 0);
    assert_stated(inbox.messages[1], bytes, MIB + 1);
    assert_says(last_warning(), sl_message_data_handle(inbox.messages[1]));
    assert_string_equal(text_of(inbox.messages[2], text, sizeof text), "between");
    assert_payload(inbox.messages[3], bytes, 2 * MIB);
    assert_string_equal(text_of(inbox.messages[4], text, sizeof text), "after");
    void *data = NULL;
    must_fail(sl_consumer_resolve(consumer, inbox.messages[1], &data, &size, &error), SL_NOT_FOUND, &error);
    assert_says(error.text, sl_message_data_handle(inbox.messages[1]));
    must(sl_consumer_commit(consumer, inbox.batches[inbox.batch_count - 1], &error), &error);
    inbox_free(&inbox);
    consumer_close(&consumer);
    free(bytes);
    sl_client_destroy(&client);
}

static size_t mixed_size(int number)
{
    static const size_t sizes[] = {0, 3 * MIB, 1, 700 * 1024, MIB + 1, 100, MIB, 2 * MIB, 65536, 300 * 1024};
    return sizes[number % 10];
}

/* Few bytes a poll: a batch is within them, or has one message. Nothing is missing. */
static void batches_stay_bounded(void **state)
{
    (void)state;
    enum { COUNT = 40, BOUND = 1500 * 1024 };
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    char bound[24];
    snprintf(bound, sizeof bound, "%d", BOUND);
    sl_client *client = client_make_of(SETTING("stream.consumer.poll.max-bytes"), bound,
                                       SETTING("stream.consumer.prefetch.max-bytes"), bound, NULL);
    layer_make(client, 1, &layer);
    unsigned char *bytes = bytes_make(3 * MIB + COUNT, 6);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    for (int i = 0; i < COUNT; i++)
        send_bytes(producer, "k", bytes + i, mixed_size(i));
    producer_finish(&producer, &tally, COUNT);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, COUNT);
    assert_int_equal(inbox.count, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_payload(inbox.messages[i], bytes + i, mixed_size(i));
    for (size_t b = 0; b < inbox.batch_count; b++) {
        size_t total = 0, count = sl_batch_count(inbox.batches[b]);
        for (size_t i = 0; i < count; i++) {
            size_t size = 0;
            (void)sl_message_payload(sl_batch_message(inbox.batches[b], i), &size);
            total += size;
        }
        if (count > 1 && total > BOUND)
            fail_msg("a batch of %zu messages has %zu bytes; %d are allowed", count, total, BOUND);
    }
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    free(bytes);
    sl_client_destroy(&client);
}

/* A close that comes at once waits for blobs as for any message. */
static void close_waits_for_large(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 4, &layer);
    unsigned char *bytes = bytes_make(3 * MIB, 7);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    for (int i = 0; i < COUNT; i++) {
        char key[24];
        snprintf(key, sizeof key, "key-%d", i);
        send_bytes(producer, key, bytes, 3 * MIB);
    }
    must(sl_producer_close(&producer, WAIT_MS, &error), &error);
    assert_int_equal(tally.delivered, COUNT);
    assert_int_equal(tally.failed, 0);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_payload(inbox.messages[i], bytes, 3 * MIB);
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    free(bytes);
    sl_client_destroy(&client);
}

/* One that does not wait reports each once; what it reports as delivered is there. */
static void close_cuts_large_short(void **state)
{
    (void)state;
    enum { COUNT = 12 };
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    unsigned char *bytes = bytes_make(3 * MIB, 8);
    tally_init(&tally, COUNT);
    sl_producer *producer = producer_make(client, &layer, &tally);
    sl_message *message = NULL;
    must(sl_message_create(&message), NULL);
    for (uintptr_t i = 0; i < COUNT; i++) {
        must(sl_message_set_partition_id(message, "k", 1), NULL);
        must(sl_message_set_payload(message, bytes, i % 3 ? 3 * MIB : 100), NULL);
        must(sl_producer_send(producer, message, (void *)(i + 1), WAIT_MS, &error), &error);
    }
    sl_message_destroy(&message);
    sl_status status = sl_producer_close(&producer, 0, &error);
    assert_null(producer);
    assert_int_equal(tally_total(&tally), COUNT);
    assert_int_equal(tally.failed, tally.timed_out);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(tally.reports[i], 1);
    if (tally.failed)
        must_fail(status, SL_TIMED_OUT, &error);
    else
        must(status, &error);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, tally.delivered);
    for (size_t i = 0; i < inbox.count; i++) {
        size_t size = 0;
        (void)sl_message_payload(inbox.messages[i], &size);
        assert_payload(inbox.messages[i], bytes, size == 100 ? 100 : 3 * MIB);
    }
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    free(bytes);
    sl_client_destroy(&client);
}

CASES_MAIN(cmocka_unit_test(sizes_at_the_bounds), cmocka_unit_test(sizes_at_the_bounds_on_request),
           cmocka_unit_test(over_the_bound_of_the_reader), cmocka_unit_test(order_of_large_among_small),
           cmocka_unit_test(blob_that_is_gone), cmocka_unit_test(batches_stay_bounded),
           cmocka_unit_test(close_waits_for_large), cmocka_unit_test(close_cuts_large_short))
