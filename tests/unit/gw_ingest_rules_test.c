#include "support/cases.h"

#include <string.h>

#include "base/text.h"
#include "base/time.h"
#include "gateway/api/failures.h"
#include "gateway/api/ingest.h"

static struct sl_message message_with(const char *key, const char *payload)
{
    struct sl_message message = {.headers = NULL};
    sl_message_reset(&message);
    message.partition_id = key;
    message.partition_id_size = key ? strlen(key) : 0;
    message.payload = payload;
    message.payload_size = strlen(payload);
    return message;
}

static const struct gw_layer layer = {.ttl_ms = 3600000};

static void expect(const struct sl_message *message, int http, const char *code)
{
    int actual_http;
    const char *actual;
    const char *fault = gw_message_fault(&layer, message, false, &actual_http, &actual);
    if (!code) {
        assert_null(fault);
        return;
    }
    assert_non_null(fault);
    assert_int_equal(actual_http, http);
    assert_string_equal(actual, code);
}

static void keys_are_text_of_1_to_500_characters(void **state)
{
    (void)state;
    char key[1100];
    struct sl_message message = message_with("k", "x");
    expect(&message, 0, NULL);
    message.partition_id_size = 0;
    expect(&message, 400, "bad-message-key");
    memset(key, 'a', sizeof key);
    message.partition_id = key;
    message.partition_id_size = 500;
    expect(&message, 0, NULL);
    message.partition_id_size = 501;
    expect(&message, 400, "bad-message-key");
    for (size_t i = 0; i < 1000; i += 2) /* characters, not bytes */
        memcpy(key + i, "\xc3\xa4", 2);
    message.partition_id_size = 1000;
    expect(&message, 0, NULL);
    message.partition_id_size = 999;
    expect(&message, 400, "bad-message-key");
}

static void what_other_clients_write_passes_in_batches(void **state)
{
    (void)state;
    int http;
    const char *code;
    struct sl_message message = message_with("\xff\xfe", "x");
    struct sl_header header = {.name = "two words", .value = "", .size = 0};
    message.headers = &header;
    message.header_count = 1;
    expect(&message, 400, "bad-message-key");
    assert_null(gw_message_fault(&layer, &message, true, &http, &code));
    header.name = "sl-trace-id";
    assert_non_null(gw_message_fault(&layer, &message, true, &http, &code));
}

static void timestamps_that_kafka_would_not_keep_are_refused(void **state)
{
    (void)state;
    struct sl_message message = message_with("k", "x");
    int64_t now = sl_wall_ms();
    message.timestamp_ms = now;
    expect(&message, 0, NULL);
    message.timestamp_ms = now - layer.ttl_ms / 2;
    expect(&message, 0, NULL);
    message.timestamp_ms = now - layer.ttl_ms - 1;
    expect(&message, 400, "bad-timestamp");
    message.timestamp_ms = now + 2 * SL_TIMESTAMP_AHEAD_MS;
    expect(&message, 400, "bad-timestamp");
}

static void payloads_up_to_1_mib_go_inline(void **state)
{
    (void)state;
    struct sl_message message = message_with("k", "x");
    message.payload_size = SL_PAYLOAD_INLINE_MAX; /* only its size is looked at */
    expect(&message, 0, NULL);
    message.payload_size++;
    expect(&message, 413, "payload-too-large");
}

static void a_payload_or_a_data_handle(void **state)
{
    (void)state;
    struct sl_message message = message_with("k", "x");
    message.data_handle = "h";
    expect(&message, 400, "data-handle-refused");
    message.payload = NULL;
    message.payload_size = 0;
    expect(&message, 0, NULL);
    message.checksum = "0000000000000000000000000000000000000000000000000000000000000000"; /* of the blob */
    expect(&message, 0, NULL);
    message.data_handle = "../h";
    expect(&message, 400, "bad-data-handle");
    message.data_handle = "";
    expect(&message, 400, "bad-data-handle");
}

static void what_a_disk_says(void **state)
{
    (void)state;
    sl_error error = {.status = SL_IO, .retriable = true};
    assert_int_equal(gw_blob_failure_of(&error)->http, 507);
    error.retriable = false;
    assert_int_equal(gw_blob_failure_of(&error)->http, 500);
    error.status = SL_NOT_FOUND;
    assert_int_equal(gw_blob_failure_of(&error)->http, 404);
    assert_string_equal(gw_blob_failure_of(&error)->code, "no-such-blob");
    error.status = SL_INVALID_ARGUMENT;
    assert_int_equal(gw_blob_failure_of(&error)->http, 400);
    error.status = SL_OUT_OF_MEMORY;
    assert_int_equal(gw_blob_failure_of(&error)->http, 503);
}

static void checksums_are_compared(void **state)
{
    (void)state;
    char checksum[65];
    struct sl_message message = message_with("k", "payload");
    message.checksum = "abc";
    expect(&message, 400, "bad-checksum");
    assert_true(sl_sha256_hex("payload", 7, checksum));
    message.checksum = checksum;
    expect(&message, 0, NULL);
    for (size_t i = 0; i < 64; i++)
        if (checksum[i] >= 'a')
            checksum[i] = (char)(checksum[i] - 32);
    expect(&message, 0, NULL); /* capitals too */
    checksum[5] = checksum[5] == '0' ? '1' : '0';
    expect(&message, 400, "checksum-mismatch");
}

static void user_headers_keep_off_ours(void **state)
{
    (void)state;
    struct sl_header header = {"a", "1", 1};
    struct sl_message message = message_with("k", "x");
    message.headers = &header;
    message.header_count = 1;
    expect(&message, 0, NULL);
    header.name = "SL-trace-id";
    expect(&message, 400, "bad-user-header");
    header.name = "a b";
    expect(&message, 400, "bad-user-header");
    header.name = "";
    expect(&message, 400, "bad-user-header");
    header.name = "a";
    message.trace_id = "a b";
    expect(&message, 400, "bad-trace-id");
}

static void media_types_ignore_parameters_and_case(void **state)
{
    (void)state;
    assert_true(gw_media_is("application/json", "application/json"));
    assert_true(gw_media_is("Application/JSON; charset=utf-8", "application/json"));
    assert_true(gw_media_is(" application/json ;x", "application/json; profile=a"));
    assert_false(gw_media_is("application/jsonx", "application/json"));
    assert_false(gw_media_is("application/jso", "application/json"));
    assert_false(gw_media_is("", "application/json"));
}

static void what_may_work_later_is_503(void **state)
{
    (void)state;
    assert_int_equal(gw_failure_of(SL_QUEUE_FULL, true)->http, 503);
    assert_int_equal(gw_failure_of(SL_TIMED_OUT, true)->http, 503);
    assert_int_equal(gw_failure_of(SL_UNAVAILABLE, true)->http, 503);
    assert_int_equal(gw_failure_of(SL_KAFKA, true)->http, 503);
    assert_int_equal(gw_failure_of(SL_KAFKA, false)->http, 500);
    assert_int_equal(gw_failure_of(SL_TOO_LARGE, false)->http, 413);
    assert_int_equal(gw_failure_of(SL_INVALID_ARGUMENT, false)->http, 400);
}

CASES_MAIN(cmocka_unit_test(keys_are_text_of_1_to_500_characters),
           cmocka_unit_test(what_other_clients_write_passes_in_batches),
           cmocka_unit_test(timestamps_that_kafka_would_not_keep_are_refused),
           cmocka_unit_test(payloads_up_to_1_mib_go_inline), cmocka_unit_test(checksums_are_compared),
           cmocka_unit_test(a_payload_or_a_data_handle), cmocka_unit_test(what_a_disk_says),
           cmocka_unit_test(user_headers_keep_off_ours),
           cmocka_unit_test(media_types_ignore_parameters_and_case),
           cmocka_unit_test(what_may_work_later_is_503))
