/* Format strings, file names made from messages, and escapes. */
#include "support/cases.h"

#include "cli/format.h"

#include "wire/message.h"

static struct sl_header headers[] = {{"source", "probe", 5}, {"null", NULL, 0}};
static char why[CLI_FORMAT_WHY];

static struct sl_message message(const char *key, const char *payload)
{
    return (struct sl_message){.magic = SL_MESSAGE_MAGIC,
                               .partition_id = key,
                               .partition_id_size = key ? strlen(key) : 0,
                               .payload = payload,
                               .payload_size = payload ? strlen(payload) : 0,
                               .timestamp_ms = 1700000000123,
                               .trace_id = "trace-1",
                               .data_handle = "handle-1",
                               .offset = {3, 42},
                               .headers = headers,
                               .header_count = 2};
}

static void formats_as(const char *text, const struct sl_message *of, const char *expected, size_t size)
{
    struct cli_format format;
    struct sl_buffer out;
    sl_buffer_init(&out, 100000);
    if (!cli_format_compile(&format, text, why))
        fail_msg("%s: %s", text, why);
    cli_format_write(&format, &out, of, "cars");
    assert_false(out.failed);
    assert_int_equal(out.size, size);
    if (size)
        assert_memory_equal(out.data, expected, size);
    sl_buffer_free(&out);
    cli_format_free(&format);
}

static void formats(void **state)
{
    (void)state;
    struct sl_message full = message("car-17", "payload"), bare = message(NULL, NULL);
    bare.timestamp_ms = -1;
    bare.trace_id = bare.data_handle = NULL;
    bare.header_count = 0;
#define FORMATS(text, of, expected) formats_as(text, of, expected, sizeof(expected) - 1)
    FORMATS("", &full, "");
    FORMATS("%s\\n", &full, "payload\n");
    FORMATS("%k:%K:%s:%S", &full, "car-17:6:payload:7");
    FORMATS("%T %D", &full, "1700000000123 2023-11-14T22:13:20.123Z");
    FORMATS("%p/%o@%t", &full, "3/42@cars");
    FORMATS("[%h] %i %d", &full, "[source=probe,null=NULL] trace-1 handle-1");
    FORMATS("%R", &full, "\0\0\0\7");
    FORMATS("100%%\\t\\\\\\x41\\0.", &full, "100%\t\\A\0.");
    FORMATS("%k|%K|%s|%S|%T|%D|%h|%i|%d", &bare, "|-1||-1|-1||||");
    FORMATS("%R", &bare, "\377\377\377\377");
}

static void faults(void **state)
{
    (void)state;
    static const char *const wrong[] = {"%",   "%s%",  "%x",    "% s", "\\",
                                        "\\q", "\\x4", "\\x4g", "%\n", "%\xc3"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct cli_format format;
        why[0] = 0;
        if (cli_format_compile(&format, wrong[i], why))
            fail_msg("\"%s\" is taken", wrong[i]);
        assert_true(why[0] != 0);
        cli_format_free(&format);
    }
}

static void is_name(const char *text, const char *key, const char *expected)
{
    struct cli_format format;
    struct sl_buffer out;
    struct sl_message of = message(key, "p");
    sl_buffer_init(&out, 100000);
    assert_true(cli_format_compile(&format, text, why));
    cli_format_name(&format, &out, &of, "cars");
    assert_false(out.failed);
    assert_string_equal(out.data, expected);
    assert_int_equal(strlen(out.data), out.size);
    sl_buffer_free(&out);
    cli_format_free(&format);
}

/* Whatever a message says, it is the name of a file in the directory. */
static void names(void **state)
{
    (void)state;
    is_name("%p-%o", "k", "3-42");
    is_name("%k.bin", "tile_1~2", "tile_1~2.bin");
    is_name("%k", "../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd");
    is_name("%k", "/etc/passwd", "%2Fetc%2Fpasswd");
    is_name("%k", ".", "%2E");
    is_name("%k", "..", "%2E.");
    is_name(".%k", "a", "%2Ea");
    is_name("%k", "a\nb\\c:d", "a%0Ab%5Cc%3Ad");
    is_name("%k", "Z\xc3\xbcrich", "Z%C3%BCrich");
    is_name("%k", NULL, "%");
    /* A file system takes 255 bytes. */
    char key[501], expected[300];
    memset(key, 'k', 500);
    key[500] = 0;
    snprintf(expected, sizeof expected, "%.200s~3-42", key);
    is_name("%k", key, expected);
}

static void slashes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool slash;
    } cases[] = {{"%k", false},     {"a/%k", true},  {"%k/", true},
                 {"%k\\x2f", true}, {"%k\\0", true}, {"..", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cli_format format;
        assert_true(cli_format_compile(&format, cases[i].text, why));
        assert_int_equal(cli_format_has_slash(&format), cases[i].slash);
        cli_format_free(&format);
    }
}

static void escapes(void **state)
{
    (void)state;
    struct sl_buffer out;
    sl_buffer_init(&out, 100);
    assert_true(cli_unescape(&out, "a\\tb\\x00\\r\\n\\0\\\\"));
    assert_int_equal(out.size, 8);
    assert_memory_equal(out.data, "a\tb\0\r\n\0\\", 8);
    assert_false(cli_unescape(&out, "\\"));
    assert_false(cli_unescape(&out, "\\z"));
    assert_false(cli_unescape(&out, "\\x1"));
    sl_buffer_free(&out);
}

CASES_MAIN(cmocka_unit_test(formats), cmocka_unit_test(faults), cmocka_unit_test(names),
           cmocka_unit_test(slashes), cmocka_unit_test(escapes))
