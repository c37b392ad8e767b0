/* Payloads over what a connector takes: the fake connector, and a platform that has blobs. */
#include "blobs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "base/time.h"
#include "client/client.h"
#include "fake/support.h"

#define LARGE (SL_PAYLOAD_INLINE_MAX + 1)
#define MOST  64

struct reports {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int total;
    int count[MOST]; /* by message */
    sl_status status[MOST];
    char text[MOST][300];
    sl_status last;
};

static struct reports reports;

static void note(void *opaque, void *message, const sl_delivery *delivery)
{
    struct reports *r = opaque;
    size_t index = (size_t)(uintptr_t)message;
    pthread_mutex_lock(&r->lock);
    r->total++;
    r->count[index]++;
    r->status[index] = sl_delivery_status(delivery);
    if (sl_delivery_error(delivery))
        snprintf(r->text[index], sizeof r->text[index], "%.299s", sl_delivery_error(delivery)->text);
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void wait_reports(int total)
{
    pthread_mutex_lock(&reports.lock);
    while (reports.total < total)
        pthread_cond_wait(&reports.changed, &reports.lock);
    pthread_mutex_unlock(&reports.lock);
}

static size_t reported(void)
{
    pthread_mutex_lock(&reports.lock);
    int total = reports.total;
    pthread_mutex_unlock(&reports.lock);
    return (size_t)total;
}

struct test {
    struct blobs *blobs;
    struct fake *fake;
    sl_client *client;
    sl_producer *producer;
    char *payload;
};

static int setup(void **state)
{
    struct test *test = calloc(1, sizeof *test);
    memset(&reports, 0, sizeof reports);
    pthread_mutex_init(&reports.lock, NULL);
    pthread_cond_init(&reports.changed, NULL);
    test->blobs = blobs_start();
    test->payload = malloc(3 * LARGE);
    for (size_t i = 0; i < 3 * LARGE; i++)
        test->payload[i] = (char)(i * 7 + i / 1000);
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    struct test *test = *state;
    sl_producer_close(&test->producer, 0, NULL);
    sl_client_destroy(&test->client);
    blobs_stop(test->blobs);
    free(test->payload);
    free(test);
    return 0;
}

static void open_with(struct test *test, const char *more, int statistics_ms,
                      sl_statistics_callback statistics, void *opaque)
{
    char text[600];
    snprintf(text, sizeof text,
             "here.platform.data-client.stream.kafka.plugin-directory = \"%s\"\n"
             "here.platform.data-client.stream.connector.producer = kafka-connector\n%s",
             FAKE_DIR, more ? more : "");
    test->fake = fake_get();
    test->client = blobs_client(test->blobs, text);
    sl_producer_options *options = NULL;
    sl_error error;
    assert_int_equal(sl_producer_options_create(&options), SL_OK);
    assert_int_equal(sl_producer_options_set_delivery(options, note, &reports), SL_OK);
    if (statistics)
        assert_int_equal(sl_producer_options_set_statistics(options, statistics_ms, statistics, opaque),
                         SL_OK);
    if (sl_producer_create(test->client, BLOBS_HRN, BLOBS_LAYER, options, &test->producer, &error))
        fail_msg("%s", error.text);
    sl_producer_options_destroy(&options);
}

static void open_producer(struct test *test, const char *more)
{
    open_with(test, more, 0, NULL, NULL);
}

static sl_status send_error(struct test *test, size_t index, const char *key, size_t size, sl_error *error)
{
    sl_message *message = NULL;
    assert_int_equal(sl_message_create(&message), SL_OK);
    assert_int_equal(sl_message_set_partition_id(message, key, strlen(key)), SL_OK);
    assert_int_equal(sl_message_set_payload(message, test->payload, size), SL_OK);
    assert_int_equal(sl_message_add_header(message, "name", "value", 5), SL_OK);
    sl_status status = sl_producer_send(test->producer, message, (void *)(uintptr_t)index, 0, error);
    sl_message_destroy(&message);
    return status;
}

static void send_one(struct test *test, size_t index, const char *key, size_t size)
{
    sl_error error;
    if (send_error(test, index, key, size, &error))
        fail_msg("%s", error.text);
}

static size_t sent_count(struct test *test)
{
    pthread_mutex_lock(&test->fake->lock);
    size_t count = test->fake->sent_count;
    pthread_mutex_unlock(&test->fake->lock);
    return count;
}

/* The connector has no bell: this looks, without a time that matters. */
static void wait_sent(struct test *test, size_t count)
{
    while (sent_count(test) < count)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void report_all(struct test *test)
{
    while (fake_report_one(test->fake, NULL))
        ;
}

static void a_large_payload_becomes_a_blob(void **state)
{
    struct test *test = *state;
    open_producer(test, NULL);
    send_one(test, 0, "key", LARGE);
    size_t bytes;
    assert_int_equal(sl_producer_queued(test->producer, &bytes), 1);
    assert_int_equal(bytes, LARGE);
    wait_sent(test, 1);
    assert_int_equal(test->blobs->count, 1);
    assert_string_equal(test->fake->sent[0].partition, "key");
    assert_string_equal(test->fake->sent[0].handle, test->blobs->list[0].handle);
    assert_int_equal(test->fake->sent[0].data_size, LARGE);
    assert_false(test->fake->sent[0].payload);
    assert_int_equal(test->blobs->list[0].size, LARGE);
    assert_memory_equal(test->blobs->list[0].data, test->payload, LARGE);
    char sum[65];
    assert_true(sl_sha256_hex(test->payload, LARGE, sum));
    assert_string_equal(test->fake->sent[0].checksum, sum);
    assert_int_equal(reports.total, 0);
    report_all(test);
    assert_int_equal(reports.status[0], SL_OK);
    assert_int_equal(sl_producer_queued(test->producer, NULL), 0);
}

static void what_fits_goes_as_it_is(void **state)
{
    struct test *test = *state;
    open_producer(test, NULL);
    send_one(test, 0, "key", SL_PAYLOAD_INLINE_MAX);
    assert_int_equal(sent_count(test), 1);
    assert_true(test->fake->sent[0].payload);
    assert_string_equal(test->fake->sent[0].handle, "");
    assert_int_equal(test->blobs->requests, 0);
    report_all(test);
}

/* A CRC, say, for which the connector's call has no place. */
static void what_the_connector_cannot_carry_becomes_a_blob(void **state)
{
    struct test *test = *state;
    open_producer(test, NULL);
    test->fake->too_much = true;
    send_one(test, 0, "key", 1000);
    test->fake->too_much = false;
    send_one(test, 1, "key", 1001); /* waits behind it */
    wait_sent(test, 2);
    assert_int_equal(test->blobs->count, 1);
    assert_string_equal(test->fake->sent[0].handle, test->blobs->list[0].handle);
    assert_int_equal(test->fake->sent[0].data_size, 1000);
    assert_true(test->fake->sent[1].payload);
    report_all(test);
}

static void only_its_own_partition_id_waits_behind_it(void **state)
{
    struct test *test = *state;
    open_producer(test, NULL);
    test->blobs->held = true;
    send_one(test, 0, "slow", LARGE);
    send_one(test, 1, "slow", 10);
    send_one(test, 2, "slow", LARGE);
    send_one(test, 3, "slow", 11);
    send_one(test, 4, "other", 10);
    blobs_wait(test->blobs, &test->blobs->running, 2); /* both large ones are stored at once */
    assert_int_equal(sent_count(test), 1);
    assert_string_equal(test->fake->sent[0].partition, "other");
    report_all(test);
    sl_error error;
    assert_int_equal(sl_producer_flush(test->producer, 0, &error), SL_TIMED_OUT);
    assert_int_equal(sl_producer_queued(test->producer, NULL), 4);
    blobs_release(test->blobs);
    wait_sent(test, 5);
    for (size_t i = 1; i < 5; i++) {
        assert_string_equal(test->fake->sent[i].partition, "slow");
        assert_int_equal(test->fake->sent[i].payload, i % 2 == 0);
    }
    report_all(test);
    assert_int_equal(sl_producer_flush(test->producer, 0, &error), SL_OK);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(reports.count[i], 1);
    /* Nothing waits any more: it goes at once. */
    send_one(test, 5, "slow", 10);
    assert_int_equal(sent_count(test), 6);
    report_all(test);
}

static void no_more_are_stored_at_once_than_is_set(void **state)
{
    struct test *test = *state;
    open_producer(test, "here.platform.data-client.stream.blob.transfers = 2");
    test->blobs->held = true;
    for (size_t i = 0; i < 5; i++)
        send_one(test, i, i % 2 ? "odd" : "even", LARGE);
    blobs_wait(test->blobs, &test->blobs->running, 2);
    blobs_release(test->blobs);
    wait_sent(test, 5);
    assert_int_equal(test->blobs->most_running, 2);
    report_all(test);
}

static void a_failure_is_the_messages_own(void **state)
{
    struct test *test = *state;
    open_producer(test, NULL);
    test->blobs->held = true;
    test->blobs->fail[0] = 403;
    send_one(test, 0, "key", LARGE);
    send_one(test, 1, "key", 10);
    blobs_wait(test->blobs, &test->blobs->running, 1);
    blobs_release(test->blobs);
    wait_reports(1);
    assert_int_equal(reports.status[0], SL_FORBIDDEN);
    assert_non_null(strstr(reports.text[0], "blob"));
    wait_sent(test, 1);
    report_all(test);
    wait_reports(2);
    assert_int_equal(reports.status[1], SL_OK);
    assert_int_equal(reports.count[0], 1);
}

static void a_connectors_refusal_is_reported(void **state)
{
    struct test *test = *state;
    open_producer(test, NULL);
    test->fake->refuse = SL_UNSUPPORTED;
    send_one(test, 0, "key", LARGE);
    wait_reports(1);
    assert_int_equal(reports.status[0], SL_UNSUPPORTED);
    assert_int_equal(sl_producer_flush(test->producer, -1, NULL), SL_OK); /* its report has returned */
    assert_int_equal(sl_producer_queued(test->producer, NULL), 0);
}

static void a_connector_that_is_full_is_tried_again(void **state)
{
    struct test *test = *state;
    open_producer(test, NULL);
    test->fake->refuse = SL_QUEUE_FULL;
    test->fake->refusals = 3;
    send_one(test, 0, "key", LARGE);
    wait_sent(test, 1);
    report_all(test);
    assert_int_equal(reports.status[0], SL_OK);
}

static void what_passes_is_tried_until_the_time_is_up(void **state)
{
    struct test *test = *state;
    open_producer(test, "here.platform.data-client.http.retry.attempts = 0");
    for (int i = 0; i < 6; i++) /* far more often than http.retry says */
        test->blobs->fail[i] = 503;
    send_one(test, 0, "key", LARGE);
    wait_sent(test, 1);
    report_all(test);
    assert_int_equal(test->blobs->requests, 7);
}

static void what_takes_too_long_is_timed_out(void **state)
{
    struct test *test = *state;
    open_producer(test, "here.platform.data-client.stream.producer.delivery-timeout = 300 ms\n"
                        "here.platform.data-client.stream.blob.transfers = 1");
    test->blobs->held = true;
    send_one(test, 0, "key", LARGE);
    send_one(test, 1, "key", 10);
    send_one(test, 2, "other", LARGE); /* never has its turn */
    /* The second one's time ends a moment after the first's, which it waits behind: in that moment it is sent
     * yet, and this connector reports nothing by itself. */
    while (reported() + sent_count(test) < 3)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    bool slipped = sent_count(test) > 0;
    if (slipped)
        report_all(test);
    wait_reports(3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(reports.status[i], i == 1 && slipped ? SL_OK : SL_TIMED_OUT);
        assert_int_equal(reports.count[i], 1);
    }
}

static void an_outage_that_lasts_is_a_time_out_that_names_it(void **state)
{
    struct test *test = *state;
    test->blobs->always = 503;
    /* One whose time is up before the first answer cannot name it: then it gets more. */
    bool named = false;
    for (int i = 0, ms = 300; !named; i++, ms *= 2) {
        char setting[100];
        sl_producer_close(&test->producer, 0, NULL);
        sl_client_destroy(&test->client);
        snprintf(setting, sizeof setting,
                 "here.platform.data-client.stream.producer.delivery-timeout = %d ms", ms);
        open_producer(test, setting);
        send_one(test, (size_t)i, "key", LARGE);
        wait_reports(i + 1);
        assert_int_equal(reports.status[i], SL_TIMED_OUT);
        named = strstr(reports.text[i], "503");
    }
}

static void closing_reports_what_is_left(void **state)
{
    struct test *test = *state;
    open_producer(test, "here.platform.data-client.stream.blob.transfers = 1");
    test->blobs->held = true;
    send_one(test, 0, "key", LARGE);
    send_one(test, 1, "key", 10);
    send_one(test, 2, "other", LARGE);
    send_one(test, 3, "third", 10);
    blobs_wait(test->blobs, &test->blobs->running, 1);
    sl_error error;
    assert_int_equal(sl_producer_close(&test->producer, 50, &error), SL_TIMED_OUT);
    assert_non_null(strstr(error.text, "4 messages"));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(reports.count[i], 1);
        assert_int_equal(reports.status[i], SL_TIMED_OUT);
    }
}

static void closing_waits_for_what_is_being_stored(void **state)
{
    struct test *test = *state;
    open_producer(test, NULL);
    send_one(test, 0, "key", LARGE);
    wait_sent(test, 1);
    report_all(test);
    sl_error error;
    assert_int_equal(sl_producer_close(&test->producer, -1, &error), SL_OK);
    assert_int_equal(reports.status[0], SL_OK);
}

static void a_platform_without_blobs_is_told(void **state)
{
    struct test *test = *state;
    test->blobs->missing = true;
    open_producer(test, NULL);
    send_one(test, 0, "key", LARGE);
    wait_reports(1);
    assert_int_equal(reports.status[0], SL_UNSUPPORTED);
    assert_non_null(strstr(reports.text[0], "blob v1"));
    assert_non_null(strstr(reports.text[0], "1048577 bytes"));
}

static void what_was_fetched_is_stored_anew(void **state)
{
    struct test *test = *state;
    open_producer(test, NULL);
    struct sl_message message = {0};
    sl_error error;
    sl_message_reset(&message);
    message.received = true;
    message.partition_id = "key";
    message.partition_id_size = 3;
    message.data_handle = "of-another-layer";
    message.data_size = LARGE;
    assert_int_equal(sl_producer_send(test->producer, &message, NULL, 0, &error), SL_UNSUPPORTED);
    assert_non_null(strstr(error.text, "stream.consumer.resolve"));
    assert_int_equal(sl_producer_queued(test->producer, NULL), 0);
    message.payload = test->payload;
    message.payload_size = LARGE;
    assert_int_equal(sl_producer_send(test->producer, &message, NULL, 0, &error), SL_OK);
    message.payload_size = 5; /* it lay in a blob, and need not */
    message.data_size = 5;
    assert_int_equal(sl_producer_send(test->producer, &message, NULL, 0, &error), SL_OK);
    wait_sent(test, 2);
    assert_string_not_equal(test->fake->sent[0].handle, "of-another-layer");
    assert_string_equal(test->fake->sent[0].handle, test->blobs->list[0].handle);
    assert_string_equal(test->fake->sent[1].handle, "");
    assert_int_equal(test->fake->sent[1].data_size, -1);
    report_all(test);
}

struct told {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count;
    json_t *last;
};

static void tell(void *opaque, const char *json, size_t size)
{
    struct told *told = opaque;
    pthread_mutex_lock(&told->lock);
    told->count++;
    json_decref(told->last);
    told->last = json_loadb(json, size, 0, NULL);
    pthread_cond_broadcast(&told->changed);
    pthread_mutex_unlock(&told->lock);
}

static long long number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void statistics_count(void **state)
{
    struct test *test = *state;
    struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    open_with(test, NULL, 100, tell, &told);
    for (size_t i = 0; i < 4; i++)
        send_one(test, i, "key", 10);
    assert_true(fake_report_one(test->fake, NULL));
    assert_true(fake_report_one(test->fake, NULL));
    const sl_error refused = {.status = SL_FORBIDDEN};
    assert_true(fake_report_one(test->fake, &refused));
    pthread_mutex_lock(&told.lock);
    while (!told.last || number(told.last, "failed") < 1) {
        pthread_cond_wait(&told.changed, &told.lock);
    }
    assert_string_equal(json_string_value(json_object_get(told.last, "type")), "producer");
    assert_string_equal(json_string_value(json_object_get(told.last, "connector")), "kafka-connector");
    assert_string_equal(json_string_value(json_object_get(told.last, "catalog")), BLOBS_HRN);
    assert_string_equal(json_string_value(json_object_get(told.last, "layer")), BLOBS_LAYER);
    assert_true(number(told.last, "timeMs") > 1600000000000);
    assert_true(number(told.last, "uptimeMs") >= 0);
    assert_int_equal(number(told.last, "sent"), 4);
    assert_int_equal(number(told.last, "delivered"), 2);
    assert_int_equal(number(told.last, "bytesDelivered"), 20);
    assert_int_equal(number(json_object_get(told.last, "queued"), "messages"), 1);
    assert_int_equal(number(json_object_get(told.last, "queued"), "bytes"), 10);
    pthread_mutex_unlock(&told.lock);
    report_all(test);
    sl_error error;
    assert_int_equal(sl_producer_close(&test->producer, 0, &error), SL_OK);
    json_decref(told.last); /* nobody tells any more */
}

static void latencies_are_those_since_the_last_statistics(void **state)
{
    struct test *test = *state;
    open_producer(test, NULL);
    char *json = NULL;
    sl_error error;
    assert_int_equal(sl_producer_statistics(test->producer, &json, &error),
                     SL_OK); /* from here on they count */
    assert_null(strstr(json, "latencyMs"));
    sl_free(json);
    send_one(test, 0, "key", 10);
    report_all(test);
    assert_int_equal(sl_producer_statistics(test->producer, &json, &error), SL_OK);
    json_t *whole = json_loads(json, 0, NULL), *latency = json_object_get(whole, "latencyMs");
    double p50 = json_number_value(json_object_get(latency, "p50"));
    double p99 = json_number_value(json_object_get(latency, "p99"));
    double most = json_number_value(json_object_get(latency, "max"));
    assert_true(latency && p50 <= p99 && p99 <= most);
    json_decref(whole);
    sl_free(json);
    assert_int_equal(sl_producer_statistics(test->producer, &json, &error), SL_OK);
    assert_null(strstr(json, "latencyMs"));
    sl_free(json);
}

static void impossible_statistics_are_refused(void **state)
{
    (void)state;
    sl_producer_options *options = NULL;
    sl_error error;
    char *json;
    assert_int_equal(sl_producer_options_create(&options), SL_OK);
    assert_int_equal(sl_producer_options_set_statistics(options, 99, tell, NULL), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_producer_options_set_statistics(options, 100, tell, NULL), SL_OK);
    assert_int_equal(sl_producer_options_set_statistics(options, 0, NULL, NULL), SL_OK);
    sl_producer_options_destroy(&options);
    assert_int_equal(sl_producer_statistics(NULL, &json, &error), SL_INVALID_HANDLE);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(a_large_payload_becomes_a_blob, setup, teardown),
    cmocka_unit_test_setup_teardown(what_fits_goes_as_it_is, setup, teardown),
    cmocka_unit_test_setup_teardown(what_the_connector_cannot_carry_becomes_a_blob, setup, teardown),
    cmocka_unit_test_setup_teardown(only_its_own_partition_id_waits_behind_it, setup, teardown),
    cmocka_unit_test_setup_teardown(no_more_are_stored_at_once_than_is_set, setup, teardown),
    cmocka_unit_test_setup_teardown(a_failure_is_the_messages_own, setup, teardown),
    cmocka_unit_test_setup_teardown(a_connectors_refusal_is_reported, setup, teardown),
    cmocka_unit_test_setup_teardown(a_connector_that_is_full_is_tried_again, setup, teardown),
    cmocka_unit_test_setup_teardown(what_passes_is_tried_until_the_time_is_up, setup, teardown),
    cmocka_unit_test_setup_teardown(what_takes_too_long_is_timed_out, setup, teardown),
    cmocka_unit_test_setup_teardown(an_outage_that_lasts_is_a_time_out_that_names_it, setup, teardown),
    cmocka_unit_test_setup_teardown(closing_reports_what_is_left, setup, teardown),
    cmocka_unit_test_setup_teardown(closing_waits_for_what_is_being_stored, setup, teardown),
    cmocka_unit_test_setup_teardown(a_platform_without_blobs_is_told, setup, teardown),
    cmocka_unit_test_setup_teardown(what_was_fetched_is_stored_anew, setup, teardown),
    cmocka_unit_test_setup_teardown(statistics_count, setup, teardown),
    cmocka_unit_test_setup_teardown(latencies_are_those_since_the_last_statistics, setup, teardown),
    cmocka_unit_test(impossible_statistics_are_refused))
