#include "support/cases.h"

#include "fake/support.h"

#define REPORTS 2000

struct reports {
    int count[REPORTS]; /* by message */
    sl_status status[REPORTS];
    char trace[REPORTS][64];
};

static void note(void *opaque, void *message_opaque, const sl_delivery *delivery)
{
    struct reports *reports = opaque;
    size_t index = (size_t)(uintptr_t)message_opaque;
    reports->count[index]++;
    reports->status[index] = sl_delivery_status(delivery);
    if (sl_delivery_trace_id(delivery))
        snprintf(reports->trace[index], sizeof reports->trace[index], "%s", sl_delivery_trace_id(delivery));
}

static struct reports reports;

static sl_producer *open_producer(sl_client *client, size_t max_messages, size_t max_bytes)
{
    memset(&reports, 0, sizeof reports);
    sl_producer_options *options = NULL;
    sl_producer *producer = NULL;
    sl_error error;
    assert_int_equal(sl_producer_options_create(&options), SL_OK);
    assert_int_equal(sl_producer_options_set_delivery(options, note, &reports), SL_OK);
    assert_int_equal(sl_producer_options_set_queue(options, max_messages, max_bytes), SL_OK);
    if (sl_producer_create(client, FAKE_HRN, "layer", options, &producer, &error))
        fail_msg("%s", error.text);
    sl_producer_options_destroy(&options);
    return producer;
}

static sl_status send_one(sl_producer *producer, size_t index, const char *payload, int timeout_ms,
                          sl_error *error)
{
    sl_message *message = NULL;
    assert_int_equal(sl_message_create(&message), SL_OK);
    assert_int_equal(sl_message_set_partition_id(message, "key", 3), SL_OK);
    assert_int_equal(sl_message_set_payload(message, payload, strlen(payload)), SL_OK);
    sl_status status = sl_producer_send(producer, message, (void *)(uintptr_t)index, timeout_ms, error);
    sl_message_destroy(&message);
    return status;
}

static void full_queue_refuses_and_does_not_report(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_producer *producer = open_producer(client, 2, 1000);
    sl_error error;
    assert_int_equal(send_one(producer, 0, "a", 0, &error), SL_OK);
    assert_int_equal(send_one(producer, 1, "b", 0, &error), SL_OK);
    assert_int_equal(send_one(producer, 2, "c", 0, &error), SL_QUEUE_FULL);
    assert_true(error.retriable);
    assert_int_equal(send_one(producer, 2, "c", 20, &error), SL_QUEUE_FULL);
    assert_int_equal(sl_producer_queued(producer, NULL), 2);
    while (fake_report_one(fake, NULL))
        ;
    assert_int_equal(send_one(producer, 2, "c", 0, &error), SL_OK);
    assert_int_equal(reports.count[2], 0);
    while (fake_report_one(fake, NULL))
        ;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(reports.count[i], 1);
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
    sl_client_destroy(&client);
}

static void bytes_bound_the_queue_too(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_producer *producer = open_producer(client, 100, 10);
    sl_error error;
    assert_int_equal(send_one(producer, 0, "longer than ten bytes, but alone", 0, &error), SL_OK);
    assert_int_equal(send_one(producer, 1, "x", 0, &error), SL_QUEUE_FULL);
    assert_true(fake_report_one(fake, NULL));
    assert_int_equal(send_one(producer, 1, "12345", 0, &error), SL_OK);
    assert_int_equal(send_one(producer, 2, "123456", 0, &error), SL_QUEUE_FULL);
    assert_int_equal(send_one(producer, 2, "12345", 0, &error), SL_OK);
    size_t bytes;
    assert_int_equal(sl_producer_queued(producer, &bytes), 2);
    assert_int_equal(bytes, 10);
    while (fake_report_one(fake, NULL))
        ;
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
    sl_client_destroy(&client);
}

static void *report_soon(void *opaque)
{
    struct fake *fake = opaque;
    for (int reported = 0; reported < 2;)
        reported += fake_report_one(fake, NULL);
    return NULL;
}

static void blocking_send_waits_for_room(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_producer *producer = open_producer(client, 1, 1000);
    sl_error error;
    assert_int_equal(send_one(producer, 0, "a", 0, &error), SL_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, report_soon, fake), 0);
    assert_int_equal(send_one(producer, 1, "b", -1, &error), SL_OK);
    assert_int_equal(sl_producer_flush(producer, -1, &error), SL_OK);
    pthread_join(thread, NULL);
    assert_int_equal(reports.count[0], 1);
    assert_int_equal(reports.count[1], 1);
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
    sl_client_destroy(&client);
}

static void the_window_slows_only_those_who_may_wait(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_producer *producer = open_producer(client, 100, 64 << 20);
    sl_error error;
    char *large = test_malloc(1000001);
    memset(large, 'x', 1000000);
    large[1000000] = 0;
    for (size_t i = 0; i < 20; i++) /* nothing is reported meanwhile: over the window all the same */
        assert_int_equal(send_one(producer, i, large, i % 2 ? -1 : 0, &error), SL_OK);
    assert_int_equal(sl_producer_queued(producer, NULL), 20);
    char *statistics = NULL;
    assert_int_equal(sl_producer_statistics(producer, &statistics, &error), SL_OK);
    assert_non_null(strstr(statistics, "\"windowBytes\":33554432,")); /* one has waited, in vain */
    sl_free(statistics);
    while (fake_report_one(fake, NULL))
        ;
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
    sl_client_destroy(&client);
    test_free(large);
}

static void a_connector_that_is_full_is_tried_again(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_producer *producer = open_producer(client, 10, 1000);
    sl_error error;
    fake->refuse = SL_QUEUE_FULL;
    fake->refusals = 3;
    assert_int_equal(send_one(producer, 0, "a", -1, &error), SL_OK);
    assert_int_equal(fake->ticket_count, 1);
    assert_true(fake_report_one(fake, NULL));
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
    sl_client_destroy(&client);
}

static void a_refused_message_is_not_reported(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_producer *producer = open_producer(client, 10, 1000);
    sl_error error;
    fake->refuse = SL_UNSUPPORTED;
    assert_int_equal(send_one(producer, 0, "a", -1, &error), SL_UNSUPPORTED);
    assert_int_equal(sl_producer_queued(producer, NULL), 0);
    assert_int_equal(sl_producer_close(&producer, -1, &error), SL_OK);
    assert_int_equal(reports.count[0], 0);
    sl_client_destroy(&client);
}

static void flush_times_out_while_messages_are_under_way(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_producer *producer = open_producer(client, 10, 1000);
    sl_error error;
    assert_int_equal(sl_producer_flush(producer, 0, &error), SL_OK);
    assert_int_equal(send_one(producer, 0, "a", 0, &error), SL_OK);
    assert_int_equal(sl_producer_flush(producer, 0, &error), SL_TIMED_OUT);
    assert_true(fake_report_one(fake, NULL));
    assert_int_equal(sl_producer_flush(producer, 0, &error), SL_OK);
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
    sl_client_destroy(&client);
}

static void close_reports_what_is_left_once(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_producer *producer = open_producer(client, 1000, 100000);
    sl_error error;
    for (size_t i = 0; i < 500; i++)
        assert_int_equal(send_one(producer, i, "x", 0, &error), SL_OK);
    for (size_t i = 0; i < 100; i++)
        assert_true(fake_report_one(fake, NULL));
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_TIMED_OUT);
    assert_null(producer);
    assert_true(fake->producer_closed);
    for (size_t i = 0; i < 500; i++) {
        assert_int_equal(reports.count[i], 1);
        assert_int_equal(reports.status[i], i < 100 ? SL_OK : SL_TIMED_OUT);
    }
    sl_client_destroy(&client);
}

static void a_message_without_partition_id_gets_its_trace_id(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_producer *producer = open_producer(client, 10, 1000);
    sl_error error;
    sl_message *message = NULL;
    assert_int_equal(sl_message_create(&message), SL_OK);
    assert_int_equal(sl_message_set_payload(message, "x", 1), SL_OK);
    assert_int_equal(sl_producer_send(producer, message, (void *)0, 0, &error), SL_OK);
    assert_int_equal(strlen(fake->last_trace), 36);
    assert_string_equal(fake->last_trace, fake->last_partition);
    char first[sizeof fake->last_trace];
    snprintf(first, sizeof first, "%s", fake->last_trace);
    assert_int_equal(sl_producer_send(producer, message, (void *)1, 0, &error), SL_OK);
    assert_string_not_equal(first, fake->last_trace);
    assert_int_equal(sl_message_set_trace_id(message, "mine"), SL_OK);
    assert_int_equal(sl_producer_send(producer, message, (void *)2, 0, &error), SL_OK);
    assert_string_equal(fake->last_partition, "mine");
    sl_message_destroy(&message);
    while (fake_report_one(fake, NULL))
        ;
    assert_string_equal(reports.trace[0], first);
    assert_string_equal(reports.trace[2], "mine");
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
    sl_client_destroy(&client);
}

static void checksums_are_checked_before_anything_is_sent(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_producer *producer = open_producer(client, 10, 1000);
    sl_error error;
    sl_message *message = NULL;
    assert_int_equal(sl_message_create(&message), SL_OK);
    assert_int_equal(sl_message_set_payload(message, "abc", 3), SL_OK);
    assert_int_equal(
        sl_message_set_checksum(message, "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"),
        SL_OK);
    assert_int_equal(sl_producer_send(producer, message, NULL, 0, &error), SL_OK);
    assert_int_equal(sl_message_set_payload(message, "abd", 3), SL_OK);
    assert_int_equal(sl_producer_send(producer, message, NULL, 0, &error), SL_CHECKSUM_MISMATCH);
    assert_int_equal(fake->ticket_count, 1);
    sl_message_destroy(&message);
    while (fake_report_one(fake, NULL))
        ;
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
    sl_client_destroy(&client);
}

/* Kafka's client would write the time of sending in the place of 0. */
static void a_timestamp_lies_after_1970(void **state)
{
    (void)state;
    sl_message *message = NULL;
    assert_int_equal(sl_message_create(&message), SL_OK);
    assert_int_equal(sl_message_set_timestamp_ms(message, -1), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_message_set_timestamp_ms(message, 0), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_message_timestamp_ms(message), -1);
    assert_int_equal(sl_message_set_timestamp_ms(message, 1), SL_OK);
    assert_int_equal(sl_message_timestamp_ms(message), 1);
    sl_message_destroy(&message);
}

static void payloads_over_the_limit_are_refused(void **state)
{
    (void)state;
    fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_producer *producer = open_producer(client, 10, 1000);
    sl_error error;
    sl_message *message = NULL;
    size_t size =
        ((size_t)256 << 20) + 1; /* what stream.blob.max-size allows is looked at before the bytes */
    char *payload = calloc(1, size);
    assert_int_equal(sl_message_create(&message), SL_OK);
    assert_int_equal(sl_message_set_payload(message, payload, size), SL_OK);
    assert_int_equal(sl_producer_send(producer, message, NULL, 0, &error), SL_TOO_LARGE);
    assert_non_null(strstr(error.text, "268435457"));
    assert_non_null(strstr(error.text, "stream.blob.max-size"));
    sl_message_destroy(&message);
    free(payload);
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
    sl_client_destroy(&client);
}

static void a_missing_plugin_names_package_and_setting(void **state)
{
    (void)state;
    sl_client *client = fake_client("/nonexistent");
    sl_producer *producer = NULL;
    sl_error error;
    assert_int_equal(sl_producer_create(client, FAKE_HRN, "layer", NULL, &producer, &error),
                     SL_CONNECTOR_MISSING);
    assert_null(producer);
    assert_non_null(strstr(error.text, "streamlayer-kafka-support"));
    assert_non_null(strstr(error.text, "--component kafka-support"));
    assert_non_null(
        strstr(error.text, "here.platform.data-client.stream.connector.producer = \"http-connector\""));
    sl_client_destroy(&client);
}

static void a_plugin_of_another_abi_is_refused(void **state)
{
    (void)state;
    sl_client *client = fake_client(FAKE_DIR "-abi");
    sl_producer *producer = NULL;
    sl_error error;
    assert_int_equal(sl_producer_create(client, FAKE_HRN, "layer", NULL, &producer, &error),
                     SL_CONNECTOR_MISSING);
    assert_non_null(strstr(error.text, "ABI"));
    sl_client_destroy(&client);
}

static void handles_that_are_none_are_refused(void **state)
{
    (void)state;
    sl_error error;
    sl_producer *producer = NULL;
    assert_int_equal(sl_producer_create(NULL, FAKE_HRN, "l", NULL, &producer, &error), SL_INVALID_HANDLE);
    assert_int_equal(sl_producer_send(NULL, NULL, NULL, 0, &error), SL_INVALID_HANDLE);
    assert_int_equal(sl_producer_flush(NULL, 0, &error), SL_INVALID_HANDLE);
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
    assert_int_equal(sl_producer_close(NULL, 0, &error), SL_OK);
}

static void the_client_may_go_before_its_producer(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_producer *producer = open_producer(client, 10, 1000);
    sl_client_destroy(&client);
    sl_error error;
    assert_int_equal(send_one(producer, 0, "a", 0, &error), SL_OK);
    assert_true(fake_report_one(fake, NULL));
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
}

CASES_MAIN(cmocka_unit_test(full_queue_refuses_and_does_not_report),
           cmocka_unit_test(bytes_bound_the_queue_too), cmocka_unit_test(blocking_send_waits_for_room),
           cmocka_unit_test(the_window_slows_only_those_who_may_wait),
           cmocka_unit_test(a_connector_that_is_full_is_tried_again),
           cmocka_unit_test(a_refused_message_is_not_reported),
           cmocka_unit_test(flush_times_out_while_messages_are_under_way),
           cmocka_unit_test(close_reports_what_is_left_once),
           cmocka_unit_test(a_message_without_partition_id_gets_its_trace_id),
           cmocka_unit_test(checksums_are_checked_before_anything_is_sent),
           cmocka_unit_test(a_timestamp_lies_after_1970),
           cmocka_unit_test(payloads_over_the_limit_are_refused),
           cmocka_unit_test(a_missing_plugin_names_package_and_setting),
           cmocka_unit_test(a_plugin_of_another_abi_is_refused),
           cmocka_unit_test(handles_that_are_none_are_refused),
           cmocka_unit_test(the_client_may_go_before_its_producer))
