/* Messages as lines of JSON: what is written is read back the same, and what is wrong is told. */
#include "support/cases.h"

#include "cli/record.h"

#include "base/text.h"
#include "wire/message.h"

static char why[CLI_RECORD_WHY];

static void reads(struct cli_record *record, sl_message *message, const char *line)
{
    sl_message_clear(message);
    if (!cli_record_read(record, line, strlen(line), message, why))
        fail_msg("%s: %s", line, why);
}

static void same_bytes(const void *a, size_t a_size, const void *b, size_t b_size)
{
    assert_int_equal(a != NULL, b != NULL);
    assert_int_equal(a_size, b_size);
    if (a_size)
        assert_memory_equal(a, b, a_size);
}

static void same_text(const char *a, const char *b)
{
    same_bytes(a, a ? strlen(a) : 0, b, b ? strlen(b) : 0);
}

static void comes_back(const struct sl_message *written)
{
    struct sl_buffer line;
    struct cli_record record = {0};
    sl_message *read;
    sl_buffer_init(&line, 1 << 20);
    cli_record_write(&line, written);
    assert_false(line.failed);
    assert_int_equal(line.data[line.size - 1], '\n');
    assert_null(memchr(line.data, '\n', line.size - 1));
    assert_int_equal(sl_message_create(&read), SL_OK);
    if (!cli_record_read(&record, line.data, line.size - 1, read, why))
        fail_msg("%s: %s", line.data, why);
    same_bytes(written->partition_id, written->partition_id_size, read->partition_id,
               read->partition_id_size);
    same_bytes(written->payload, written->payload_size, read->payload, read->payload_size);
    assert_int_equal(written->timestamp_ms, read->timestamp_ms);
    same_text(written->trace_id, read->trace_id);
    same_text(written->checksum, read->checksum);
    same_text(written->crc, read->crc);
    assert_int_equal(written->header_count, read->header_count);
    for (size_t i = 0; i < read->header_count; i++) {
        assert_string_equal(written->headers[i].name, read->headers[i].name);
        same_bytes(written->headers[i].value, written->headers[i].size, read->headers[i].value,
                   read->headers[i].size);
    }
    sl_message_destroy(&read);
    cli_record_free(&record);
    sl_buffer_free(&line);
}

static void round_trip(void **state)
{
    (void)state;
    struct sl_header headers[] = {{"source", "probe", 5}, {"bytes", "\xff\x00\xfe", 3}, {"empty", "", 0}};
    struct sl_message message = {.magic = SL_MESSAGE_MAGIC,
                                 .partition_id = "Z\xc3\xbcrich",
                                 .partition_id_size = 7,
                                 .payload = "two\nlines\0and \"more\"",
                                 .payload_size = 20,
                                 .timestamp_ms = 1700000000123,
                                 .trace_id = "trace-1",
                                 .checksum =
                                     "0123456789012345678901234567890123456789012345678901234567890123",
                                 .crc = "abc",
                                 .data_size = -1,
                                 .compressed_size = -1,
                                 .offset = {3, 42},
                                 .headers = headers,
                                 .header_count = 3};
    comes_back(&message);
    unsigned char all[256];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)i;
    message.payload = all;
    message.payload_size = sizeof all;
    message.data_handle = "a-blob";
    comes_back(&message);
    message.payload = "";
    message.payload_size = 0;
    comes_back(&message);
    struct sl_message bare = {
        .magic = SL_MESSAGE_MAGIC, .timestamp_ms = -1, .data_size = -1, .offset = {0, 1}};
    comes_back(&bare);
}

/* What is given beforehand stays where the line says nothing else; JSON payloads go as their text. */
static void fills_in(void **state)
{
    (void)state;
    struct cli_record record = {0};
    sl_message *message;
    assert_int_equal(sl_message_create(&message), SL_OK);
    assert_int_equal(sl_message_set_partition_id(message, "given", 5), SL_OK);
    assert_int_equal(sl_message_set_timestamp_ms(message, 7), SL_OK);
    const char *line = "{\"payload\": {\"speed\": 50, \"lanes\": [1, 2]}}";
    assert_true(cli_record_read(&record, line, strlen(line), message, why));
    same_bytes("given", 5, message->partition_id, message->partition_id_size);
    assert_int_equal(message->timestamp_ms, 7);
    same_bytes("{\"speed\": 50, \"lanes\": [1, 2]}", 30, message->payload, message->payload_size);
    line = "{\"payload\": \"p\", \"key\": \"own\", \"timestamp\": 9, \"traceId\": null}";
    assert_true(cli_record_read(&record, line, strlen(line), message, why));
    same_bytes("own", 3, message->partition_id, message->partition_id_size);
    assert_int_equal(message->timestamp_ms, 9);
    reads(&record, message, "{\"payload\": null}");
    assert_null(message->payload);
    reads(&record, message, "{\"payload\": 12}");
    same_bytes("12", 2, message->payload, message->payload_size);
    sl_message_destroy(&message);
    cli_record_free(&record);
}

/* A payload that is other JSON than a string arrives byte for byte, whatever its numbers and names are. */
static void own_text(void **state)
{
    (void)state;
    static const char *const payloads[] = {
        "{\"lat\":52.1,\"b\":1e2}",
        "{ \"a\" : [ 1.0, {} , [ ] ] , \"a\" : -0 }",
        "123456789012345678901234567890",
        "[18446744073709551616, \"}]\\\"{\\\\\", null]",
        "\t[ \"\xc3\xbc\", \"\\u00fc\" ]",
        "true",
        "false",
        "1E+2",
        "{\"payload\": {\"payload\": 1}, \"payload\": 99999999999999999999}",
    };
    static const char *const lines[][2] = {
        {"{\"payload\":", "}"},
        {" { \"key\" : \"\\\"payload\\\": 1,{\" , \"payload\" : ", " , \"timestamp\" : 7 } "},
        {"{\"headers\": [{\"name\": \"payload\", \"value\": \"[\"}], \"p\\u0061yload\":",
         ",\"traceId\":null}"},
    };
    struct cli_record record = {0};
    sl_message *message;
    assert_int_equal(sl_message_create(&message), SL_OK);
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++)
        for (size_t k = 0; k < sizeof lines / sizeof *lines; k++) {
            char *line = sl_printf("%s%s%s", lines[k][0], payloads[i], lines[k][1]);
            const char *text = payloads[i] + strspn(payloads[i], "\t");
            reads(&record, message, line);
            same_bytes(text, strlen(text), message->payload, message->payload_size);
            free(line);
        }
    sl_message_destroy(&message);
    cli_record_free(&record);
}

static void faults(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } wrong[] = {
        {"", "no JSON"},
        {"text", "no JSON"},
        {"{\"payload\": \"x\"} x", "column"},
        {"[]", "no JSON object"},
        {"{}", "\"payload\" or \"payloadBase64\" is missing"},
        {"{\"key\": \"a\", \"dataHandle\": \"h\"}", "--no-resolve"},
        {"{\"paylaod\": \"x\"}", "did you mean \"payload\""},
        {"{\"zzzz\": 1}", "unknown field \"zzzz\""},
        {"{\"payload\": \"x\", \"payload\": \"y\"}", "duplicate"},
        {"{\"payload\": 1, \"payload\": {\"a\": 1}}", "duplicate"},
        {"{\"payload\": \"x\", \"payload\": {\"a\": 1, \"a\": 2}}", "duplicate"},
        {"{\"payload\": {\"a\": 1, \"a\": 2}, \"key\": \"a\", \"key\": \"b\"}", "duplicate"},
        {"{\"payload\": {\"a\": 1, \"a\": 2}, \"headers\": [{\"name\": \"a\", \"name\": \"b\"}]}",
         "duplicate"},
        {"{\"payload\": {\"a\": 1, \"a\": 2}, \"timestamp\": 99999999999999999999}", "too big"},
        {"{\"payload\": 99999999999999999999, \"payloadBase64\": \"eA==\"}", "exclude each other"},
        {"{\"payload\": {\"a\": 1, \"a\": 2} x}", "no JSON"},
        {"{\"payload\": \"x\", \"payloadBase64\": \"eA==\"}", "exclude each other"},
        {"{\"payloadBase64\": \"e\"}", "no base64"},
        {"{\"payloadBase64\": 1}", "no base64"},
        {"{\"payload\": \"\xff\"}", "no JSON"},
        {"{\"payload\": \"x\", \"key\": 1}", "\"key\" is no text"},
        {"{\"payload\": \"x\", \"keyBase64\": \"/w==\"}", "the key is not UTF-8"},
        {"{\"payload\": \"x\", \"timestamp\": \"now\"}", "\"timestamp\""},
        {"{\"payload\": \"x\", \"timestamp\": 0}", "\"timestamp\""},
        {"{\"payload\": \"x\", \"timestamp\": 1.5}", "\"timestamp\""},
        {"{\"payload\": \"x\", \"traceId\": \"a b\"}", "\"traceId\""},
        {"{\"payload\": \"x\", \"traceId\": \"a\\u0000b\"}", "\"traceId\""},
        {"{\"payload\": \"x\", \"checksum\": \"ab\"}", "\"checksum\""},
        {"{\"payload\": \"x\", \"crc\": 5}", "\"crc\""},
        {"{\"payload\": \"x\", \"headers\": {}}", "\"headers\""},
        {"{\"payload\": \"x\", \"headers\": [1]}", "header 1"},
        {"{\"payload\": \"x\", \"headers\": [{\"name\": \"sl-x\", \"value\": \"\"}]}", "header 1 (sl-x)"},
        {"{\"payload\": \"x\", \"headers\": [{\"value\": \"\"}]}", "header 1"},
        {"{\"payload\": \"x\", \"headers\": [{\"name\": \"a\", \"vlaue\": \"\"}]}",
         "known are name, value, valueBase64"},
    };
    struct cli_record record = {0};
    sl_message *message;
    assert_int_equal(sl_message_create(&message), SL_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sl_message_clear(message);
        why[0] = 0;
        if (cli_record_read(&record, wrong[i].line, strlen(wrong[i].line), message, why))
            fail_msg("%s is taken", wrong[i].line);
        if (!strstr(why, wrong[i].why))
            fail_msg("%s: %s", wrong[i].line, why);
    }
    /* A bracket for each byte does not end the stack. */
    char deep[20000];
    memset(deep, '[', sizeof deep);
    assert_false(cli_record_read(&record, deep, sizeof deep, message, why));
    /* Escapes of a terminal do not come through. */
    static const char command[] = "{\"\\u001b[31mred\": 1, \"payload\": \"x\"}";
    assert_false(cli_record_read(&record, command, strlen(command), message, why));
    assert_null(strchr(why, 0x1b));
    sl_message_destroy(&message);
    cli_record_free(&record);
}

CASES_MAIN(cmocka_unit_test(round_trip), cmocka_unit_test(fills_in), cmocka_unit_test(own_text),
           cmocka_unit_test(faults))
