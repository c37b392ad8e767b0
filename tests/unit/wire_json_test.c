#include "support/cases.h"

#include <stdlib.h>
#include <string.h>

#include "wire/record.h"

static struct {
    struct sl_arena *arena;
    struct sl_message message;
    const char *why;
} it;

static int setup(void **state)
{
    (void)state;
    memset(&it, 0, sizeof it);
    it.arena = sl_arena_create();
    sl_message_reset(&it.message);
    return it.arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    sl_arena_destroy(it.arena);
    free(it.message.headers);
    return 0;
}

static struct sl_message blank(void)
{
    struct sl_message message = {0};
    sl_message_reset(&message);
    message.offset = (sl_offset){1, 2};
    return message;
}

static void assert_encodes(const struct sl_message *message, bool extended, const char *json)
{
    struct sl_buffer buffer;
    sl_buffer_init(&buffer, 10000);
    assert_true(sl_message_json_encode(&buffer, message, extended));
    assert_string_equal(buffer.data, json);
    assert_int_equal(buffer.size, strlen(json));
    json_t *value = json_loads(json, JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    json_decref(value);
    sl_buffer_free(&buffer);
}

static enum sl_decoded decode(const char *json)
{
    json_t *value = json_loads(json, JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    it.why = NULL;
    enum sl_decoded decoded = sl_message_json_decode(value, it.arena, &it.message, &it.why);
    json_decref(value); /* nothing of the message may point into it */
    assert_true((decoded == SL_DECODE_BAD) == (it.why != NULL));
    return decoded;
}

static void a_whole_message(void **state)
{
    (void)state;
    struct sl_header headers[] = {{"a", "x", 1}, {"b", NULL, 0}};
    struct sl_message message = blank();
    message.partition_id = "k";
    message.partition_id_size = 1;
    message.payload = "\x00\xff";
    message.payload_size = 2;
    message.timestamp_ms = 1700000000000;
    message.trace_id = "t\"1";
    message.checksum = "c0";
    message.crc = "1a";
    message.data_size = 2;
    message.compressed_size = 1;
    message.headers = headers;
    message.header_count = 2;
    assert_encodes(&message, false,
                   "{\"metaData\":{\"partition\":\"k\",\"data\":\"AP8=\",\"dataSize\":2,"
                   "\"compressedDataSize\":1,\"checksum\":\"c0\",\"crc\":\"1a\",\"timestamp\":1700000000000},"
                   "\"offset\":{\"partition\":1,\"offset\":2}}");
    static const char extended[] =
        "{\"metaData\":{\"partition\":\"k\",\"data\":\"AP8=\",\"dataSize\":2,"
        "\"compressedDataSize\":1,\"checksum\":\"c0\",\"crc\":\"1a\",\"timestamp\":1700000000000,"
        "\"traceId\":\"t\\\"1\",\"headers\":[{\"name\":\"a\",\"value\":\"eA==\"},{\"name\":\"b\"}]},"
        "\"offset\":{\"partition\":1,\"offset\":2}}";
    assert_encodes(&message, true, extended);
    assert_int_equal(decode(extended), SL_DECODED);
    assert_int_equal(it.message.partition_id_size, 1);
    assert_memory_equal(it.message.partition_id, "k", 1);
    assert_int_equal(it.message.payload_size, 2);
    assert_memory_equal(it.message.payload, "\x00\xff", 2);
    assert_true(it.message.timestamp_ms == 1700000000000);
    assert_string_equal(it.message.trace_id, "t\"1");
    assert_string_equal(it.message.checksum, "c0");
    assert_string_equal(it.message.crc, "1a");
    assert_int_equal(it.message.data_size, 2);
    assert_int_equal(it.message.compressed_size, 1);
    assert_int_equal(it.message.header_count, 2);
    assert_string_equal(it.message.headers[0].name, "a");
    assert_memory_equal(it.message.headers[0].value, "x", 1);
    assert_null(it.message.headers[1].value);
    assert_int_equal(it.message.offset.partition, 1);
    assert_int_equal(it.message.offset.offset, 2);
}

static void foreign_messages(void **state)
{
    (void)state;
    struct sl_message message = blank();
    assert_encodes(&message, true,
                   "{\"metaData\":{\"partition\":\"\"},\"offset\":{\"partition\":1,\"offset\":2}}");
    message.partition_id = "a\xff\xe2\x82\xac\xe2\x82";
    message.partition_id_size = 7;
    message.payload = "";
    assert_encodes(&message, true,
                   "{\"metaData\":{\"partition\":\"a\xef\xbf\xbd\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd\","
                   "\"data\":\"\"},\"offset\":{\"partition\":1,\"offset\":2}}");
    message.partition_id = "a\0\n\"\xc3\xa9";
    message.partition_id_size = 6;
    assert_encodes(&message, true,
                   "{\"metaData\":{\"partition\":\"a\\u0000\\n\\\"\xc3\xa9\",\"data\":\"\"},"
                   "\"offset\":{\"partition\":1,\"offset\":2}}");
    assert_int_equal(decode("{\"metaData\":{\"partition\":\"a\\u0000b\",\"data\":\"\"}}"), SL_DECODED);
    assert_int_equal(it.message.partition_id_size, 3);
    assert_non_null(it.message.payload);
    assert_int_equal(it.message.payload_size, 0);
    assert_int_equal(it.message.offset.partition, -1);
    assert_int_equal(decode("{\"metaData\":{\"partition\":\"\",\"data\":null}}"), SL_DECODED);
    assert_null(it.message.partition_id);
    assert_null(it.message.payload);
}

static void a_data_handle(void **state)
{
    (void)state;
    struct sl_message message = blank();
    message.partition_id = "k";
    message.partition_id_size = 1;
    message.data_handle = "h-1";
    assert_encodes(&message, false,
                   "{\"metaData\":{\"partition\":\"k\",\"dataHandle\":\"h-1\"},"
                   "\"offset\":{\"partition\":1,\"offset\":2}}");
    assert_int_equal(decode("{\"metaData\":{\"partition\":\"k\",\"dataHandle\":\"h-1\",\"new\":[1]}}"),
                     SL_DECODED);
    assert_string_equal(it.message.data_handle, "h-1");
}

static void an_offset_that_is_not_known_is_left_out(void **state)
{
    (void)state;
    struct sl_message message = blank();
    message.offset = (sl_offset){-1, -1};
    assert_encodes(&message, true, "{\"metaData\":{\"partition\":\"\"}}");
}

static void a_message_that_does_not_fit_leaves_nothing(void **state)
{
    (void)state;
    struct sl_message message = blank();
    message.payload = "0123456789";
    message.payload_size = 10;
    for (size_t max = 0; max < 200; max++) {
        struct sl_buffer buffer;
        sl_buffer_init(&buffer, max);
        if (sl_message_json_encode(&buffer, &message, true)) {
            assert_int_equal(buffer.size, max);
            sl_buffer_free(&buffer);
            return;
        }
        assert_true(buffer.failed);
        assert_int_equal(buffer.size, 0);
        sl_buffer_free(&buffer);
    }
    fail();
}

static void broken_messages_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *json, *part;
    } bad[] = {
        {"[]", "metaData"},
        {"{}", "metaData"},
        {"{\"metaData\":1}", "metaData"},
        {"{\"metaData\":{},\"offset\":1}", "offset"},
        {"{\"metaData\":{\"partition\":1}}", "partition"},
        {"{\"metaData\":{\"data\":\"a\"}}", "base64"},
        {"{\"metaData\":{\"data\":7}}", "base64"},
        {"{\"metaData\":{\"dataHandle\":\"\"}}", "dataHandle"},
        {"{\"metaData\":{\"dataSize\":-2}}", "dataSize"},
        {"{\"metaData\":{\"compressedDataSize\":1.5}}", "compressedDataSize"},
        {"{\"metaData\":{\"checksum\":\"a b\"}}", "checksum"},
        {"{\"metaData\":{\"crc\":\"a\\u0000\"}}", "crc"},
        {"{\"metaData\":{\"timestamp\":\"1\"}}", "timestamp"},
        {"{\"metaData\":{\"traceId\":5}}", "traceId"},
        {"{\"metaData\":{\"headers\":{}}}", "headers"},
        {"{\"metaData\":{\"headers\":[1]}}", "name"},
        {"{\"metaData\":{\"headers\":[{\"name\":\"a\",\"value\":\"?\"}]}}", "base64"},
        {"{\"metaData\":{},\"offset\":{\"partition\":2147483648}}", "partition"},
        {"{\"metaData\":{},\"offset\":{\"offset\":-1}}", "offset"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(decode(bad[i].json), SL_DECODE_BAD);
        if (!strstr(it.why, bad[i].part))
            fail_msg("\"%s\" does not say \"%s\"", it.why, bad[i].part);
    }
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(a_whole_message, setup, teardown),
    cmocka_unit_test_setup_teardown(foreign_messages, setup, teardown),
    cmocka_unit_test_setup_teardown(a_data_handle, setup, teardown),
    cmocka_unit_test_setup_teardown(an_offset_that_is_not_known_is_left_out, setup, teardown),
    cmocka_unit_test_setup_teardown(a_message_that_does_not_fit_leaves_nothing, setup, teardown),
    cmocka_unit_test_setup_teardown(broken_messages_say_why, setup, teardown))
