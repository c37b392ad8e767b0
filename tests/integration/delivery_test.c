/* Delivery reports, the queue's bound, flush and close. */
#include "suite.h"
#include "support/proxy.h"
#include <stdio.h>

static sl_producer *producer_bounded(sl_client *client, const struct layer *layer, struct tally *tally,
                                     size_t messages, size_t bytes)
{
    sl_error error = {0};
    sl_producer *producer = NULL;
    sl_producer_options *options = NULL;
    must(sl_producer_options_create(&options), NULL);
    must(sl_producer_options_set_delivery(options, tally_count, tally), NULL);
    must(sl_producer_options_set_queue(options, messages, bytes), NULL);
    must(sl_producer_create(client, layer->hrn, LAYER, options, &producer, &error), &error);
    sl_producer_options_destroy(&options);
    return producer;
}

static sl_message *message_make(const void *payload, size_t size)
{
    sl_message *message = NULL;
    must(sl_message_create(&message), NULL);
    must(sl_message_set_partition_id(message, "k", 1), NULL);
    must(sl_message_set_payload(message, payload, size), NULL);
    return message;
}

static void one_report_a_message(void **state)
{
    (void)state;
    enum { MESSAGES = 20000 };
    struct layer layer;
    struct tally tally;
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 4, &layer);
    tally_init(&tally, MESSAGES);
    sl_producer *producer = producer_make(client, &layer, &tally);
    sl_message *message = NULL;
    must(sl_message_create(&message), NULL);
    for (uintptr_t i = 0; i < MESSAGES; i++) {
        char key[24];
        snprintf(key, sizeof key, "%d", (int)(i % 100));
        must(sl_message_set_partition_id(message, key, strlen(key)), NULL);
        must(sl_message_set_payload(message, key, strlen(key)), NULL);
        must(sl_producer_send(producer, message, (void *)(i + 1), WAIT_MS, &error), &error);
    }
    producer_finish(&producer, &tally, MESSAGES);
    for (size_t i = 0; i < MESSAGES; i++)
        if (tally.reports[i] != 1)
            fail_msg("message %zu was reported %d times", i, tally.reports[i]);
    assert_int_equal(tally_total(&tally), MESSAGES);
    sl_message_destroy(&message);
    tally_free(&tally);
    sl_client_destroy(&client);
}

/* Sends with time-out 0 until the queue is full; what was accepted is reported, what was refused is not. */
static void fill(sl_producer *producer, const sl_message *message, struct tally *tally, size_t max_messages,
                 size_t max_bytes)
{
    sl_error error = {0};
    size_t accepted = 0, refused = 0;
    for (int i = 0; i < 200000 && refused < 3; i++) {
        sl_status status = sl_producer_send(producer, message, NULL, 0, &error);
        if (status == SL_OK) {
            accepted++;
        } else {
            must_fail(status, SL_QUEUE_FULL, &error);
            assert_true(error.retriable);
            refused++;
        }
        size_t bytes = 0;
        assert_true(sl_producer_queued(producer, &bytes) <= max_messages);
        assert_true(bytes <= max_bytes);
    }
    if (!refused)
        fail_msg("the queue was never full, of %zu messages", accepted);
    must(sl_producer_flush(producer, WAIT_MS, &error), &error);
    size_t bytes = 99;
    assert_int_equal(sl_producer_queued(producer, &bytes), 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(tally_total(tally), accepted);
    assert_int_equal(tally->delivered, accepted);
}

static void queue_full_of_messages(void **state)
{
    (void)state;
    struct layer layer;
    struct tally tally;
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    tally_init(&tally, 0);
    sl_producer *producer = producer_bounded(client, &layer, &tally, 50, 1 << 20);
    sl_message *message = message_make("x", 1);
    fill(producer, message, &tally, 50, 1 << 20);
    sl_message_destroy(&message);
    producer_finish(&producer, &tally, tally.delivered);
    tally_free(&tally);
    sl_client_destroy(&client);
}

static void queue_full_of_bytes(void **state)
{
    (void)state;
    enum { SIZE = 100 * 1000 };
    struct layer layer;
    struct tally tally;
    char *bytes = calloc(1, SIZE);
    assert_non_null(bytes);
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    tally_init(&tally, 0);
    sl_producer *producer = producer_bounded(client, &layer, &tally, 100000, 10 * SIZE);
    sl_message *message = message_make(bytes, SIZE);
    fill(producer, message, &tally, 10, 10 * SIZE);
    sl_message_destroy(&message);
    producer_finish(&producer, &tally, tally.delivered);
    tally_free(&tally);
    free(bytes);
    sl_client_destroy(&client);
}

/* A send that may wait gets room, however small the queue. */
static void send_waits_for_room(void **state)
{
    (void)state;
    enum { MESSAGES = 500 };
    struct layer layer;
    struct tally tally;
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    tally_init(&tally, MESSAGES);
    sl_producer *producer = producer_bounded(client, &layer, &tally, 5, 1 << 20);
    sl_message *message = message_make("x", 1);
    for (uintptr_t i = 0; i < MESSAGES; i++)
        must(sl_producer_send(producer, message, (void *)(i + 1), -1, &error), &error);
    sl_message_destroy(&message);
    producer_finish(&producer, &tally, MESSAGES);
    tally_free(&tally);
    sl_client_destroy(&client);
}

static void flush_waits_for_reports(void **state)
{
    (void)state;
    struct layer layer;
    struct tally tally;
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 4, &layer);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    must(sl_producer_flush(producer, 0, &error), &error); /* nothing to wait for */
    for (size_t round = 1; round <= 3; round++) {
        send_numbers(producer, 0, 200, 7);
        must(sl_producer_flush(producer, WAIT_MS, &error), &error);
        assert_int_equal(tally_total(&tally), round * 200);
        assert_int_equal(sl_producer_queued(producer, NULL), 0);
    }
    producer_finish(&producer, &tally, 600);
    tally_free(&tally);
    sl_client_destroy(&client);
}

/* Close reports what is left, once each, before it returns; and says whether something was left. */
static void close_reports_what_is_left(void **state)
{
    (void)state;
    enum { MESSAGES = 5000 };
    struct layer layer;
    struct tally tally;
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 4, &layer);
    tally_init(&tally, MESSAGES);
    sl_producer *producer = producer_make(client, &layer, &tally);
    sl_message *message = message_make("x", 1);
    for (uintptr_t i = 0; i < MESSAGES; i++)
        must(sl_producer_send(producer, message, (void *)(i + 1), WAIT_MS, &error), &error);
    sl_message_destroy(&message);
    sl_status status = sl_producer_close(&producer, 0, &error);
    assert_null(producer);
    assert_int_equal(tally_total(&tally), MESSAGES);
    if (tally.failed != tally.timed_out)
        fail_msg("%zu of %d were not delivered, %zu for want of time; the last: %s", tally.failed, MESSAGES,
                 tally.timed_out, tally.error.text);
    for (size_t i = 0; i < MESSAGES; i++)
        assert_int_equal(tally.reports[i], 1);
    if (tally.failed)
        must_fail(status, SL_TIMED_OUT, &error);
    else
        must(status, &error);
    tally_free(&tally);
    sl_client_destroy(&client);
}

struct chain {
    sl_producer *producer;
    sl_message *message;
    pthread_mutex_t lock;
    int reports, refused;
};

static void send_next(void *opaque, void *message_opaque, const sl_delivery *delivery)
{
    struct chain *chain = opaque;
    (void)message_opaque;
    pthread_mutex_lock(&chain->lock);
    bool more = sl_delivery_status(delivery) == SL_OK && ++chain->reports < 50;
    sl_producer *producer = chain->producer;
    pthread_mutex_unlock(&chain->lock);
    if (more && sl_producer_send(producer, chain->message, NULL, 0, NULL) != SL_OK) {
        pthread_mutex_lock(&chain->lock);
        chain->refused++;
        pthread_mutex_unlock(&chain->lock);
    }
}

/* The callback may send on. */
static void send_from_the_callback(void **state)
{
    (void)state;
    struct layer layer;
    struct chain chain = {0};
    sl_error error = {0};
    sl_producer *producer = NULL;
    sl_producer_options *options = NULL;
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    pthread_mutex_init(&chain.lock, NULL);
    chain.message = message_make("x", 1);
    must(sl_producer_options_create(&options), NULL);
    must(sl_producer_options_set_delivery(options, send_next, &chain), NULL);
    must(sl_producer_create(client, layer.hrn, LAYER, options, &producer, &error), &error);
    sl_producer_options_destroy(&options);
    pthread_mutex_lock(&chain.lock);
    chain.producer = producer;
    pthread_mutex_unlock(&chain.lock);
    sl_message *first = message_make("first", 5);
    send_message(producer, first);
    int64_t end = now_ms() + WAIT_MS;
    for (int reports = 0; reports < 50;) {
        pthread_mutex_lock(&chain.lock);
        reports = chain.reports;
        assert_int_equal(chain.refused, 0);
        pthread_mutex_unlock(&chain.lock);
        assert_true(now_ms() < end);
        breathe();
    }
    must(sl_producer_close(&producer, WAIT_MS, &error), &error);
    sl_message_destroy(&first);
    sl_message_destroy(&chain.message);
    pthread_mutex_destroy(&chain.lock);
    sl_client_destroy(&client);
}

/* The report says where the message lies. */
static void report_has_the_offset(void **state)
{
    (void)state;
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    sl_client *client = client_make();
    layer_make(client, 4, &layer);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    send_text(producer, "k", "x");
    producer_finish(&producer, &tally, 1);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, 1);
    assert_int_equal(tally.offset.partition, sl_message_offset(inbox.messages[0]).partition);
    assert_int_equal(tally.offset.offset, sl_message_offset(inbox.messages[0]).offset);
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    sl_client_destroy(&client);
}

static bool over_http(const char *connector)
{
    return !strcmp(connector, "http-connector");
}

/* A client that finds the platform behind a proxy, which loses answers. */
static sl_client *client_behind(struct proxy *proxy, const char *path, const char *value)
{
    char url[100];
    assert_non_null(proxy);
    snprintf(url, sizeof url, "%s/lookup/v1", proxy_url(proxy));
    return client_make_of(SETTING("endpoint-locator.discovery-service-url"), url,
                          SETTING("http.retry.backoff"), "5 ms", path, value, NULL);
}

/* Fails unless the layer was written exactly these numbers, those of each partition id in their order. */
static void assert_written(sl_client *client, const struct layer *layer, int count, int keys)
{
    sl_error error = {0};
    struct inbox inbox = {0};
    sl_layer_statistics statistics = {.struct_size = sizeof statistics};
    must(sl_layer_statistics_get(client, layer->hrn, LAYER, &statistics, &error), &error);
    assert_int_equal(statistics.written, count);
    sl_consumer *consumer = consumer_make(client, layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, (size_t)count);
    assert_numbers(&inbox, 0, count);
    int last[16];
    assert_true(keys <= 16);
    for (int i = 0; i < keys; i++)
        last[i] = -1;
    for (int i = 0; i < count; i++) {
        int number = number_of(inbox.messages[i]), *before = &last[number % keys];
        if (number < *before)
            fail_msg("%d came after %d", number, *before);
        *before = number;
    }
    inbox_free(&inbox);
    consumer_close(&consumer);
}

/* Answers to what is sent are lost, or the request was passed on and the connection is gone: it is sent
 * again, and not written twice. */
static void lose_answers(const char *path, const char *value, int count)
{
    enum { KEYS = 8 };
    struct layer layer;
    struct tally tally;
    sl_client *direct = client_make();
    layer_make(direct, 2, &layer);
    struct proxy *proxy = proxy_start(platform_value("URL"), "POST", "/ingest/");
    sl_client *client = client_behind(proxy, path, value);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    send_numbers(producer, 0, count, KEYS);
    producer_finish(&producer, &tally, (size_t)count);
    if (over_http(producer_connector()))
        assert_true(proxy_cuts(proxy) >= 2);
    assert_written(direct, &layer, count, KEYS);
    tally_free(&tally);
    sl_client_destroy(&client);
    proxy_stop(&proxy);
    sl_client_destroy(&direct);
}

static void repeated_batches(void **state)
{
    (void)state;
    lose_answers(SETTING("stream.http.batch.max-messages"), "20", 1000);
}

static void repeated_single_messages(void **state)
{
    (void)state;
    lose_answers(SETTING("stream.http.batch.max-messages"), "1", 100);
}

/* Large payloads: what a proxy loses of one kind of call. Each message is there once, in its place. */
static void lose_large(const char *method, const char *path, const size_t *sizes, int count, bool cuts)
{
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    sl_error error = {0};
    unsigned char *bytes = bytes_make((20 << 20) + 1, 9);
    sl_client *direct = client_make();
    layer_make(direct, 1, &layer);
    struct proxy *proxy = proxy_start(platform_value("URL"), method, path);
    sl_client *client = client_behind(proxy, NULL, NULL);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    for (int i = 0; i < count; i++)
        send_bytes(producer, "k", bytes, sizes[i]);
    producer_finish(&producer, &tally, (size_t)count);
    if (cuts)
        assert_true(proxy_cuts(proxy) > 0);
    sl_layer_statistics statistics = {.struct_size = sizeof statistics};
    must(sl_layer_statistics_get(direct, layer.hrn, LAYER, &statistics, &error), &error);
    assert_int_equal(statistics.written, count);
    sl_consumer *consumer = consumer_make(direct, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, (size_t)count);
    for (int i = 0; i < count; i++)
        assert_payload(inbox.messages[i], bytes, sizes[i]);
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    sl_client_destroy(&client);
    proxy_stop(&proxy);
    free(bytes);
    sl_client_destroy(&direct);
}

static const size_t large_sizes[] = {
    10, SL_PAYLOAD_INLINE_MAX + 1, 20, 3 << 20, 30, 40, (20 << 20) + 1, 50, 2 << 20, 60};
enum { LARGE = sizeof large_sizes / sizeof *large_sizes };

static void repeated_large_messages(void **state)
{
    (void)state;
    lose_large("POST", "/ingest/", large_sizes, LARGE, over_http(producer_connector()));
}

static void repeated_blobs(void **state)
{
    (void)state;
    lose_large("PUT", "/blob/", large_sizes, LARGE, true);
}

/* Lost polls and answers are asked for again: nothing is missing, nothing comes twice. */
static void repeated_polls(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    struct layer layer;
    struct inbox inbox = {0};
    sl_client *direct = client_make();
    layer_make(direct, 1, &layer);
    struct proxy *proxy = proxy_start(platform_value("URL"), "GET", "/partitions");
    assert_non_null(proxy);
    sl_client *client = client_behind(proxy, SETTING("stream.consumer.prefetch.max-bytes"), "1 KiB");
    produce_numbers(direct, &layer, 0, COUNT, 1);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(number_of(inbox.messages[i]), i);
    receive_nothing(consumer, 300);
    if (over_http(consumer_connector()))
        assert_true(proxy_cuts(proxy) >= 2);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&client);
    proxy_stop(&proxy);
    sl_client_destroy(&direct);
}

CASES_MAIN(cmocka_unit_test(one_report_a_message), cmocka_unit_test(queue_full_of_messages),
           cmocka_unit_test(queue_full_of_bytes), cmocka_unit_test(send_waits_for_room),
           cmocka_unit_test(flush_waits_for_reports), cmocka_unit_test(close_reports_what_is_left),
           cmocka_unit_test(send_from_the_callback), cmocka_unit_test(report_has_the_offset),
           cmocka_unit_test(repeated_batches), cmocka_unit_test(repeated_single_messages),
           cmocka_unit_test(repeated_large_messages), cmocka_unit_test(repeated_blobs),
           cmocka_unit_test(repeated_polls))
