#include "support/cases.h"

#include <stdio.h>
#include <string.h>

#include "auth/credentials.h"

struct seen {
    char text[512];
    size_t stop_after;
};

static bool note(void *opaque, const char *key, const char *value)
{
    struct seen *seen = opaque;
    size_t length = strlen(seen->text);
    snprintf(seen->text + length, sizeof seen->text - length, "[%s|%s]", key, value);
    return seen->stop_after == 0 || --seen->stop_after > 0;
}

static void expect(const char *text, const char *pairs)
{
    char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    struct seen seen = {{0}, 0};
    unsigned line = 0;
    assert_true(sl_properties_each(copy, note, &seen, &line));
    assert_string_equal(seen.text, pairs);
}

static void separators_and_white_space(void **state)
{
    (void)state;
    expect("", "");
    expect("a=1\nb:2\nc 3\r\n  d \t=  4 5 \re", "[a|1][b|2][c|3][d|4 5 ][e|]");
    expect("a==\nb = = x\n=v", "[a|=][b|= x][|v]");
}

static void comments_and_empty_lines(void **state)
{
    (void)state;
    expect("# a=1\n\n   \n!b=2\n  #c=3\nd=#4\n", "[d|#4]");
}

static void lines_go_on_after_a_backslash(void **state)
{
    (void)state;
    expect("a=1\\\n   2\\\r\n3\nb\\\n c=4", "[a|123][bc|4]");
    expect("a=1\\", "[a|1]");
    expect("a=1\\\\\nb=2", "[a|1\\][b|2]");
}

static void escapes_are_decoded(void **state)
{
    (void)state;
    expect("a\\ b\\=c\\:=x\\ty\\z", "[a b=c:|x\tyz]");
    expect("k=\\u00e9\\u20AC\\uD83D\\uDE00", "[k|\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80]");
}

static void broken_escapes_are_named_by_line(void **state)
{
    (void)state;
    static const char *const bad[] = {"\\u12", "\\uzzzz", "\\ud800", "\\udc00", "\\ud800\\u0041", "\\u0000"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        snprintf(text, sizeof text, "# first\na=1\nb=%s", bad[i]);
        struct seen seen = {{0}, 0};
        unsigned line = 0;
        assert_false(sl_properties_each(text, note, &seen, &line));
        assert_int_equal(line, 3);
    }
}

static void visitor_may_stop(void **state)
{
    (void)state;
    char text[] = "a=1\nb=2\nc=3";
    struct seen seen = {{0}, 2};
    unsigned line = 0;
    assert_true(sl_properties_each(text, note, &seen, &line));
    assert_string_equal(seen.text, "[a|1][b|2]");
}

CASES_MAIN(cmocka_unit_test(separators_and_white_space), cmocka_unit_test(comments_and_empty_lines),
           cmocka_unit_test(lines_go_on_after_a_backslash), cmocka_unit_test(escapes_are_decoded),
           cmocka_unit_test(broken_escapes_are_named_by_line), cmocka_unit_test(visitor_may_stop))
