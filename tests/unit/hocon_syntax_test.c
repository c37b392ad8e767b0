#include "unit/hocon_support.h"

static void json_is_hocon(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"{\"a\":1,\"b\":[true,false,null,-1.5e+3],\"c\":{\"d\":\"x\"}}",
         "{\"a\":1,\"b\":[true,false,null,-1.5e+3],\"c\":{\"d\":\"x\"}}"},
        {"[]", "[]"},
        {"[1, {\"a\": []}]", "[1,{\"a\":[]}]"},
        {"{}", "{}"},
        {"", "{}"},
        {" \n # nothing", "{}"},
    };
    HOCON_CHECK(cases);
}

static void comments_end_with_the_line(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"# one\na=1 // two\n//three\nb=2#four", "{\"a\":1,\"b\":2}"},
        {"a=[1 # x\n2 // y\n, # z\n3]", "{\"a\":[1,2,3]}"},
        {"a=\"# // no comment\"", "{\"a\":\"# // no comment\"}"},
        {"a=x/y//z", "{\"a\":\"x/y\"}"},
        {"a # c\n: # d\n1", "{\"a\":1}"},
    };
    HOCON_CHECK(cases);
}

static void root_braces_may_be_left_out(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a=1", "{\"a\":1}"},
        {"{a=1}\n# end\n", "{\"a\":1}"},
        {"{a=1", "!in:1:5: unexpected the end of the file, expected ',', a new line or '}' after"},
        {"a=1}", "!in:1:4: unexpected '}', expected ',', a new line or the end of the file"},
        {"{a=1}}", "!in:1:6: unexpected '}', expected the end of the file"},
        {"{a=1} b=2", "!in:1:7: unexpected 'b', expected the end of the file"},
        {"[1", "!in:1:3: unexpected the end of the file, expected ',', a new line or ']'"},
        {"[1]\n[2]", "!in:2:1: unexpected '[', expected the end of the file"},
    };
    HOCON_CHECK(cases);
}

static void separators_between_key_and_value(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a:1\nb=2\nc{d=3}\ne : { f = 4 }", "{\"a\":1,\"b\":2,\"c\":{\"d\":3},\"e\":{\"f\":4}}"},
        {"a =\n\n 1", "{\"a\":1}"},
        {"a\n{b=1}", "{\"a\":{\"b\":1}}"},
        {"a 1", "!in:1:4: unexpected the end of the file, expected ':', '=', '+=' or '{' after the key"},
        {"a", "!in:1:2: unexpected the end of the file, expected ':', '=', '+=' or '{' after the key"},
        {"a=b=c", "!in:1:4: unexpected '=', expected ',', a new line"},
        {"a=\n", "!in:2:1: unexpected the end of the file, expected a value"},
        {"a={b=}", "!in:1:6: unexpected '}', expected a value"},
        {"=1", "!in:1:1: unexpected '=', expected a key"},
        {"{a}=1", "!in:1:3: unexpected '}', expected ':'"},
        {"${a}=1",
         "!in:1:1: unexpected '$' (it is reserved: text that contains it needs quotes), expected a key"},
    };
    HOCON_CHECK(cases);
}

static void commas_may_be_new_lines(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a=[1,2,3,],b=4,", "{\"a\":[1,2,3],\"b\":4}"},
        {"a=[1\n2\n,\n3\n]\nb=4\n,c=5", "{\"a\":[1,2,3],\"b\":4,\"c\":5}"},
        {"a=[1,,2]", "!in:1:6: unexpected ',', expected a value"},
        {"a=[,1]", "!in:1:4: unexpected ',', expected a value"},
        {"a=1,,b=2", "!in:1:5: unexpected ',', expected a key"},
        {",a=1", "!in:1:1: unexpected ',', expected a key"},
        {"a=1\n,\n,b=2", "!in:3:1: unexpected ',', expected a key"},
    };
    HOCON_CHECK(cases);
}

static void white_space_is_unicode(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"\xef\xbb\xbf"
         "a=1",
         "{\"a\":1}"},
        {"\xef\xbb\xbf{\"a\":1}", "{\"a\":1}"},
        {"a=1\r\nb=x y \r\n", "{\"a\":1,\"b\":\"x y\"}"},
        {"a\xc2\xa0=\xe2\x80\x83x\xe3\x80\x80y\xe2\x80\xa8", "{\"a\":\"x\xe3\x80\x80y\"}"},
        {"a=\xef\xbb\xbfx\xef\xbb\xbf", "{\"a\":\"x\"}"},
        {"\xe1\x9a\x80\xe2\x81\x9f\xe2\x80\xaf\x1c\x0b\x0c\ta=1", "{\"a\":1}"},
        {"a=\xc3\xa9\xe2\x82\xac\xe2\x80\x94", "{\"a\":\"\xc3\xa9\xe2\x82\xac\xe2\x80\x94\"}"},
    };
    HOCON_CHECK(cases);
}

static void quoted_strings(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a=\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "{\"a\":\"\\\"\\\\/\\b\\f\\n\\r\\t\"}"},
        {"a=\"\\u00e9\\u20AC\\ud83d\\ude00\"", "{\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}"},
        {"a=\"\\u0001\"", "{\"a\":\"\\u0001\"}"},
        {"a=\"\"", "{\"a\":\"\"}"},
        {"a=\"\\ud83d\"", "!in:1:4: half a surrogate pair"},
        {"a=\"\\ude00\"", "!in:1:4: half a surrogate pair"},
        {"a=\"\\ud83d\\u0041\"", "!in:1:4: half a surrogate pair"},
        {"a=\"\\u12g4\"", "!in:1:4: a broken escape, expected \\u and four hexadecimal digits"},
        {"a=\"\\u12", "!in:1:4: a broken escape"},
        {"a=\"\\u0000\"", "!in:1:4: \\u0000, which no text may contain"},
        {"a=\"x\\y\"", "!in:1:5: an unknown escape, expected one of"},
        {"a=\"x", "!in:1:3: a string that is not closed, expected '\"'"},
        {"a=\"x\ny\"", "!in:1:3: a string that is not closed"},
        {"a=\"x\ty\"", "!in:1:5: control character U+0009 in a string"},
    };
    HOCON_CHECK(cases);
}

static void triple_quoted_strings(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a=\"\"\"x\n \\u0041 \"y\" \"\"\"", "{\"a\":\"x\\n \\\\u0041 \\\"y\\\" \"}"},
        {"a=\"\"\"x\"\"\"\"\"", "{\"a\":\"x\\\"\\\"\"}"},
        {"a=\"\"\"\"\"\"", "{\"a\":\"\"}"},
        {"a=\"\"\"\"x\"\"\"", "{\"a\":\"\\\"x\"}"},
        {"a=\"\"\"x\"\"", "!in:1:3: a string that is not closed, expected \"\"\""},
        {"\"\"\"a\nb\"\"\"=1", "{\"a\\nb\":1}"},
    };
    HOCON_CHECK(cases);
}

static void unquoted_strings(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a=truefoo,b=footrue,c=nullx,d=10.0bar,e=bar10.0",
         "{\"a\":\"truefoo\",\"b\":\"footrue\",\"c\":\"nullx\","
         "\"d\":\"10.0bar\",\"e\":\"bar10.0\"}"},
        {"a=x'y(z)%|~<>;.", "{\"a\":\"x'y(z)%|~<>;.\"}"},
        {"a=/usr/bin", "{\"a\":\"/usr/bin\"}"},
        {"a=\x01x", "{\"a\":\"\\u0001x\"}"},
        {"a=x@y", "!in:1:4: unexpected '@' (it is reserved"},
        {"a=x\\y", "!in:1:4: unexpected '\\' (it is reserved"},
        {"a=`x`", "!in:1:3: unexpected '`' (it is reserved"},
        {"a=x ? y", "!in:1:5: unexpected '?' (it is reserved"},
        {"a=$x", "!in:1:3: unexpected '$' (it is reserved"},
        {"\xc3\xa9=\xc3\xa9!", "!in:1:4: unexpected '!' (it is reserved"},
    };
    HOCON_CHECK(cases);
}

static void numbers_stay_as_written(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a=[0,-0,1.50,1e5,1E+05,-2.5e-3]", "{\"a\":[0,-0,1.50,1e5,1E+05,-2.5e-3]}"},
        {"a=12345678901234567890123", "{\"a\":12345678901234567890123}"},
        {"a=[007,1.,.5,-,1.2.3,1e,2020-01-02]", "{\"a\":[7,1,\".5\",\"-\",\"1.2.3\",\"1e\",\"2020-01-02\"]}"},
        {"a=1.10 x,b=${c}m,c=1.10", "{\"a\":\"1.10 x\",\"b\":\"1.10m\",\"c\":1.10}"},
        {"a=1+2", "!in:1:4: unexpected '+' (it is reserved"},
    };
    HOCON_CHECK(cases);
}

static void keys_are_paths(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a.b.c=1", "{\"a\":{\"b\":{\"c\":1}}}"},
        {"a.\"b.c\".d=1", "{\"a\":{\"b.c\":{\"d\":1}}}"},
        {"a b c : 42", "{\"a b c\":42}"},
        {"a . b=1", "{\"a \":{\" b\":1}}"},
        {"true:1,3:2,3.14:3,null:4", "{\"true\":1,\"3\":{\"14\":3},\"null\":4}"},
        {"10.0foo=1,foo\"10.0\"=2", "{\"10\":{\"0foo\":1},\"foo10.0\":2}"},
        {"a.\"\".b=1,\"\"=2", "{\"a\":{\"\":{\"b\":1}},\"\":2}"},
        {"a..b=1", "!in:1:3: unexpected '.', expected a key (an empty one is written \"\")"},
        {".a=1", "!in:1:1: unexpected '.', expected a key"},
        {"a.=1", "!in:1:3: unexpected '=', expected a key"},
        {"[a]=1\nb", "!in:1:4: unexpected '=', expected the end of the file"},
    };
    HOCON_CHECK(cases);
}

static void text_must_be_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *expected;
    } cases[] = {
        {"a=1\nb=\xff", 7, "!in:2:3: byte 0xFF is not UTF-8"},
        {"a=\xe2\x82", 4, "!in:1:3: byte 0xE2 is not UTF-8"},
        {"a=\xc0\xaf", 4, "!in:1:3: byte 0xC0 is not UTF-8"},
        {"a=\xed\xa0\x80", 5, "!in:1:3: byte 0xED is not UTF-8"},
        {"\xc3\xa9=\x80", 4, "!in:1:3: byte 0x80 is not UTF-8"},
        {"a=\0", 3, "!in:1:3: a NUL character"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *outcome = hocon_outcome(cases[i].text, cases[i].size, NULL, false, NULL);
        assert_true(hocon_matches(outcome, cases[i].expected));
        free(outcome);
    }
}

static void positions_count_characters(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"\xef\xbb\xbf"
         "a=\"\xf0\x9f\x98\x80\" ? x",
         "!in:1:7: unexpected '?'"},
        {"a=1\r\n\r\n  b=]", "!in:3:5: unexpected ']', expected a value"},
        {"a=\"\"\"\n\n\"\"\"]", "!in:3:4: unexpected ']'"},
    };
    HOCON_CHECK(cases);
}

static void nesting_is_limited(void **state)
{
    (void)state;
    static char text[20000];
    const struct hocon_limits limits = {.max_depth = 10};
    struct {
        const char *what;
        size_t fits;
    } kinds[] = {{"[", 10}, {"{a:", 10}, {"a.", 9}};
    for (size_t i = 0; i < 3; i++) {
        for (size_t count = kinds[i].fits; count <= 5000; count += 4990) {
            size_t at = 0;
            for (size_t j = 0; j < count; j++)
                at += (size_t)snprintf(text + at, sizeof text - at, "%s", kinds[i].what);
            at += (size_t)snprintf(text + at, sizeof text - at, i == 2 ? "a=1" : "");
            for (size_t j = 0; i < 2 && j < count; j++)
                text[at++] = i == 0 ? ']' : '}';
            if (i == 1 && count == kinds[i].fits) { /* the innermost needs a value */
                memmove(text + at - count + 1, text + at - count, count);
                text[at++ - count] = '1';
            }
            char *outcome = hocon_outcome(text, at, NULL, false, &limits);
            assert_int_equal(*outcome == '!', count > kinds[i].fits);
            if (*outcome == '!')
                assert_non_null(strstr(outcome, "nested deeper than 10 values"));
            free(outcome);
        }
    }
}

static void size_is_limited(void **state)
{
    (void)state;
    const struct hocon_limits limits = {.max_bytes = 4};
    char *outcome = hocon_outcome("a=12", 4, NULL, false, &limits);
    assert_string_equal(outcome, "{\"a\":12}");
    free(outcome);
    outcome = hocon_outcome("a=123", 5, NULL, false, &limits);
    assert_string_equal(outcome, "!in is too large, expected at most 4 bytes");
    free(outcome);
}

CASES_MAIN(cmocka_unit_test(json_is_hocon), cmocka_unit_test(comments_end_with_the_line),
           cmocka_unit_test(root_braces_may_be_left_out), cmocka_unit_test(separators_between_key_and_value),
           cmocka_unit_test(commas_may_be_new_lines), cmocka_unit_test(white_space_is_unicode),
           cmocka_unit_test(quoted_strings), cmocka_unit_test(triple_quoted_strings),
           cmocka_unit_test(unquoted_strings), cmocka_unit_test(numbers_stay_as_written),
           cmocka_unit_test(keys_are_paths), cmocka_unit_test(text_must_be_utf8),
           cmocka_unit_test(positions_count_characters), cmocka_unit_test(nesting_is_limited),
           cmocka_unit_test(size_is_limited))
