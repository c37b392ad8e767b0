#include "support/cases.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

static void utf8_counts_code_points(void **state)
{
    (void)state;
    assert_int_equal(sl_utf8_length("", 0), 0);
    assert_int_equal(sl_utf8_length("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10), 4);
}

static void utf8_refuses_what_is_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3", "\xf5\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(sl_utf8_length(bad[i], strlen(bad[i])), -1);
}

static void assert_cleaned(const char *text, const char *wanted)
{
    char line[100];
    snprintf(line, sizeof line, "%s", text);
    sl_clean_line(line);
    assert_string_equal(line, wanted);
}

static void lines_have_no_controls(void **state)
{
    (void)state;
    assert_cleaned("", "");
    assert_cleaned("a\nb\x1b[2J\x7f\tc", "a b [2J  c");
    assert_cleaned("a\xc2\x80"
                   "b\xc2\x9b"
                   "c\xc2\xa0",
                   "a  b  c\xc2\xa0");
    assert_cleaned("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}

static void lines_are_well_formed(void **state)
{
    (void)state;
    assert_cleaned("a\x9b"
                   "b\xff\xc0\xaf",
                   "a?b???");
    assert_cleaned("\xed\xa0\x80x", "???x");
    assert_cleaned("\xe2\x82x", "??x");
    assert_cleaned("ab\xc3", "ab");
    assert_cleaned("ab\xe2\x82", "ab");
    assert_cleaned("ab\xf0\x9f\x98", "ab");
    assert_cleaned("ab\xf0\x9f\x98\x80", "ab\xf0\x9f\x98\x80");
}

/* One byte more or less before it, so that the cut falls on each byte of a character. */
static void errors_are_cut_between_characters(void **state)
{
    (void)state;
    char text[SL_ERROR_TEXT_SIZE + 100];
    for (size_t before = 0; before < 4; before++) {
        memset(text, 'x', before);
        for (size_t at = before; at + 4 < sizeof text; at += 4)
            memcpy(text + at, "\xf0\x9f\x98\x80", 5);
        sl_error error;
        sl_error_set(&error, SL_IO, "%s", text);
        assert_true(sl_utf8_length(error.text, strlen(error.text)) > 0);
        assert_true(strlen(error.text) >= SL_ERROR_TEXT_SIZE - 4);
        sl_error_prefix(&error, "what");
        assert_true(sl_utf8_length(error.text, strlen(error.text)) > 0);
        assert_true(strlen(error.text) >= SL_ERROR_TEXT_SIZE - 4);
    }
}

static void take_line(void *opaque, sl_log_level level, const char *text)
{
    (void)level;
    assert_true(sl_utf8_length(text, strlen(text)) > 0);
    *(size_t *)opaque = strlen(text);
}

static void log_lines_are_cut_between_characters(void **state)
{
    (void)state;
    char text[3000];
    for (size_t before = 0; before < 4; before++) {
        memset(text, 'x', before);
        for (size_t at = before; at + 4 < sizeof text; at += 4)
            memcpy(text + at, "\xf0\x9f\x98\x80", 5);
        size_t length = 0;
        const struct sl_log log = {.callback = take_line, .opaque = &length, .level = SL_LOG_INFO};
        sl_log_write(&log, SL_LOG_INFO, "%s", text);
        assert_true(length > 1900);
    }
}

static void base64_round_trip(void **state)
{
    (void)state;
    unsigned char data[256];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)i;
    for (size_t size = 0; size <= sizeof data; size++) {
        struct sl_buffer text, back;
        sl_buffer_init(&text, 1000);
        sl_buffer_init(&back, 1000);
        assert_true(sl_base64_encode(&text, data, size));
        assert_true(sl_base64_decode(&back, text.data, text.size));
        assert_int_equal(back.size, size);
        assert_memory_equal(back.data, data, size);
        sl_buffer_free(&text);
        sl_buffer_free(&back);
    }
}

static void base64_refuses_what_is_not(void **state)
{
    (void)state;
    static const char *const bad[] = {"a", "abc", "ab\nc", "a=bc", "====", "ab==cd=="};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sl_buffer out;
        sl_buffer_init(&out, 100);
        assert_false(sl_base64_decode(&out, bad[i], strlen(bad[i])));
        sl_buffer_free(&out);
    }
}

static void percent_codes_both_ways(void **state)
{
    (void)state;
    struct sl_buffer out;
    sl_buffer_init(&out, 100);
    assert_true(sl_percent_encode(&out, "a b\xc3\xa9~", 6));
    assert_string_equal(out.data, "a%20b%C3%A9~");
    assert_int_equal(sl_percent_decode(out.data), 6);
    assert_string_equal(out.data, "a b\xc3\xa9~");
    sl_buffer_free(&out);
    char broken[] = "a%2", worse[] = "%zz";
    assert_int_equal(sl_percent_decode(broken), -1);
    assert_int_equal(sl_percent_decode(worse), -1);
}

static void integers_are_whole(void **state)
{
    (void)state;
    int64_t value = 0;
    assert_true(sl_parse_int("-12", -20, 20, &value));
    assert_int_equal(value, -12);
    assert_false(sl_parse_int("21", -20, 20, &value));
    assert_false(sl_parse_int("1x", -20, 20, &value));
    assert_false(sl_parse_int(" 1", -20, 20, &value));
    assert_false(sl_parse_int("", -20, 20, &value));
    assert_false(sl_parse_int("99999999999999999999", INT64_MIN, INT64_MAX, &value));
}

static void counts_have_their_words(void **state)
{
    (void)state;
    assert_string_equal(sl_plural(1, "message is", "messages are"), "message is");
    assert_string_equal(sl_plural(0, "message is", "messages are"), "messages are");
    assert_string_equal(sl_plural(2, "message is", "messages are"), "messages are");
    assert_string_equal(sl_plural(UINT64_MAX, "message is", "messages are"), "messages are");
}

static void nearest_name_is_offered(void **state)
{
    (void)state;
    static const char *const names[] = {"kafka-connector", "http-connector"};
    assert_string_equal(sl_nearest("htp-connector", names, 2), "http-connector");
    assert_null(sl_nearest("zebra", names, 2));
}

static void buffer_keeps_its_maximum(void **state)
{
    (void)state;
    struct sl_buffer buffer;
    sl_buffer_init(&buffer, 10);
    assert_true(sl_buffer_append(&buffer, "0123456789", 10));
    assert_false(sl_buffer_append(&buffer, "x", 1));
    assert_true(buffer.failed);
    assert_int_equal(buffer.size, 10);
    sl_buffer_free(&buffer);
}

CASES_MAIN(cmocka_unit_test(utf8_counts_code_points), cmocka_unit_test(utf8_refuses_what_is_malformed),
           cmocka_unit_test(lines_have_no_controls), cmocka_unit_test(lines_are_well_formed),
           cmocka_unit_test(errors_are_cut_between_characters),
           cmocka_unit_test(log_lines_are_cut_between_characters), cmocka_unit_test(base64_round_trip),
           cmocka_unit_test(base64_refuses_what_is_not), cmocka_unit_test(percent_codes_both_ways),
           cmocka_unit_test(integers_are_whole), cmocka_unit_test(counts_have_their_words),
           cmocka_unit_test(nearest_name_is_offered), cmocka_unit_test(buffer_keeps_its_maximum))
