#include "unit/hocon_support.h"

static struct hocon *resolve(const char *text)
{
    struct hocon *document, *resolved;
    sl_error error = {0};
    if (hocon_parse_text(text, strlen(text), "in", NULL, NULL, &document, &error) != SL_OK ||
        hocon_resolve(document, false, NULL, &resolved, &error) != SL_OK)
        fail_msg("%s", error.text);
    hocon_free(&document);
    return resolved;
}

static char *json_of(const struct hocon_value *value)
{
    char *json;
    assert_int_equal(hocon_render_json(value, false, &json, NULL), SL_OK);
    return json;
}

static void values_are_read_by_path(void **state)
{
    (void)state;
    struct hocon *resolved = resolve("a.b.c=1,\"x.y\".\"z \\\"\"=2,l=[3,{m:4}],n=null,t=true,\"\"=5,e=1e5");
    const struct hocon_value *root = hocon_root(resolved);
    assert_string_equal(hocon_text(hocon_get(root, "a.b.c")), "1");
    assert_string_equal(hocon_text(hocon_get(hocon_get(root, "a"), "b.c")), "1");
    assert_string_equal(hocon_text(hocon_get(root, "\"x.y\".\"z \\\"\"")), "2");
    assert_string_equal(hocon_text(hocon_get(root, " a.b.\"c\" ")), "1");
    assert_string_equal(hocon_text(hocon_get(root, "\"\"")), "5");
    assert_string_equal(hocon_text(hocon_get(root, "n")), "null");
    assert_int_equal(hocon_type_of(hocon_get(root, "n")), HOCON_NULL);
    assert_string_equal(hocon_text(hocon_get(root, "t")), "true");
    assert_string_equal(hocon_text(hocon_get(root, "e")), "1e5");
    static const char *const missing[] = {"b",  "a.x", "a.b.c.d", "l.m",  "",   "a..b",
                                          ".a", "a.",  "a=b",     "${a}", "\"", "\xff"};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        assert_null(hocon_get(root, missing[i]));
    const struct hocon_value *list = hocon_get(root, "l");
    assert_int_equal(hocon_type_of(list), HOCON_LIST);
    assert_int_equal(hocon_count(list), 2);
    assert_null(hocon_text(list));
    assert_string_equal(hocon_text(hocon_get(hocon_at(list, 1), "m")), "4");
    assert_null(hocon_at(list, 2));
    assert_null(hocon_key_at(list, 0));
    assert_int_equal(hocon_count(hocon_get(root, "t")), 0);
    hocon_free(&resolved);
    assert_null(resolved);
}

static void fields_keep_their_order(void **state)
{
    (void)state;
    struct hocon *resolved = resolve("z=1,a=2,m.n=3,z=4,m.b=5,\"q.r\"=6");
    const struct hocon_value *root = hocon_root(resolved);
    static const char *const keys[] = {"z", "a", "m", "q.r"};
    assert_int_equal(hocon_count(root), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(hocon_key_at(root, i), keys[i]);
    assert_null(hocon_key_at(root, 4));
    assert_string_equal(hocon_text(hocon_at(root, 0)), "4");
    hocon_free(&resolved);
}

static void origins_name_file_and_line(void **state)
{
    (void)state;
    struct hocon *resolved = resolve("a=1\nb {\n c=${a}\n d=x${a}\n}\n\nb.e=[1\n2]\na=5");
    const struct hocon_value *root = hocon_root(resolved);
    assert_string_equal(hocon_origin(hocon_get(root, "a")), "in:9");
    assert_string_equal(hocon_origin(hocon_get(root, "b.c")), "in:9");
    assert_string_equal(hocon_origin(hocon_get(root, "b.d")), "in:4");
    assert_string_equal(hocon_origin(hocon_get(root, "b")), "in:7");
    assert_string_equal(hocon_origin(hocon_at(hocon_get(root, "b.e"), 1)), "in:8");
    hocon_free(&resolved);
}

static void paths_join_with_quotes_where_needed(void **state)
{
    (void)state;
    static const struct {
        const char *path, *key, *joined;
    } cases[] = {{"", "a", "a"},
                 {NULL, "a-b_9", "a-b_9"},
                 {"a", "b", "a.b"},
                 {"a.b", "c.d", "a.b.\"c.d\""},
                 {"a", "", "a.\"\""},
                 {"", "x \"y\"\n", "\"x \\\"y\\\"\\n\""},
                 {"a", "\xc3\xa9", "a.\"\xc3\xa9\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *joined = hocon_path_join(cases[i].path, cases[i].key);
        assert_string_equal(joined, cases[i].joined);
        free(joined);
    }
}

static void booleans_convert(void **state)
{
    (void)state;
    struct hocon *resolved =
        resolve("t=[true,yes,on,\"true\"],f=[false,no,off,\"false\"],n=[TRUE,1,null,x,{},[]]");
    const struct hocon_value *root = hocon_root(resolved);
    bool truth;
    for (size_t i = 0; i < 4; i++) {
        assert_true(hocon_as_boolean(hocon_at(hocon_get(root, "t"), i), &truth) && truth);
        assert_true(hocon_as_boolean(hocon_at(hocon_get(root, "f"), i), &truth) && !truth);
    }
    for (size_t i = 0; i < 6; i++)
        assert_false(hocon_as_boolean(hocon_at(hocon_get(root, "n"), i), &truth));
    hocon_free(&resolved);
}

struct conversion {
    const char *text;
    bool fits;
    int64_t value;
};

static void check_conversions(bool (*convert)(const struct hocon_value *, int64_t *),
                              const struct conversion *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[200];
        snprintf(text, sizeof text, "a=%s", cases[i].text);
        struct hocon *resolved = resolve(text);
        int64_t value = 0;
        bool fits = convert(hocon_get(hocon_root(resolved), "a"), &value);
        if (fits != cases[i].fits || (fits && value != cases[i].value))
            fail_msg("%s: %d %lld", cases[i].text, fits, (long long)value);
        hocon_free(&resolved);
    }
}

static void integers_convert(void **state)
{
    (void)state;
    static const struct conversion cases[] = {
        {"5", true, 5},
        {"\"5\"", true, 5},
        {"-5", true, -5},
        {"\"+7\"", true, 7},
        {"007", true, 7},
        {"5.0", true, 5},
        {"1e3", true, 1000},
        {"1.25e2", true, 125},
        {"1200e-2", true, 12},
        {"0e999999999", true, 0},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999999999", false, 0},
        {"1e99999999999", false, 0},
        {"5.5", false, 0},
        {"1e-1", false, 0},
        {"5 x", false, 0},
        {"\" 5 \"", true, 5},
        {"\"5 5\"", false, 0},
        {"\"\"", false, 0},
        {"\"-\"", false, 0},
        {"\".\"", false, 0},
        {"0x10", false, 0},
        {"true", false, 0},
        {"null", false, 0},
        {"[5]", false, 0},
    };
    check_conversions(hocon_as_integer, cases, sizeof cases / sizeof *cases);
}

static void durations_convert(void **state)
{
    (void)state;
    static const struct conversion cases[] = {
        {"5", true, 5},
        {"\"5\"", true, 5},
        {"1500us", true, 1},
        {"2000000 ns", true, 2},
        {"3 nanos", true, 0},
        {"10 ms", true, 10},
        {"7 millis", true, 7},
        {"1.5 s", true, 1500},
        {"1.5e1 seconds", true, 15000},
        {"2 m", true, 120000},
        {"\" 2 minutes \"", true, 120000},
        {"1 hour", true, 3600000},
        {"0.5d", true, 43200000},
        {"2 days", true, 172800000},
        {"-1 s", true, -1000},
        {"0.0015", true, 0},
        {"1.9", true, 1},
        {"106751991167 days", true, 106751991167 * 86400000},
        {"106751991168 days", false, 0},
        {"1e30 s", false, 0},
        {"5 S", false, 0},
        {"5 fortnights", false, 0},
        {"5 s s", false, 0},
        {"s", false, 0},
        {"\"\"", false, 0},
        {"true", false, 0},
        {"null", false, 0},
        {"{}", false, 0},
    };
    check_conversions(hocon_as_duration_ms, cases, sizeof cases / sizeof *cases);
}

static void sizes_convert(void **state)
{
    (void)state;
    static const struct conversion cases[] = {
        {"5", true, 5},
        {"5 B", true, 5},
        {"5b", true, 5},
        {"1 byte", true, 1},
        {"3 bytes", true, 3},
        {"1 kB", true, 1000},
        {"1K", true, 1024},
        {"1k", true, 1024},
        {"1 Ki", true, 1024},
        {"1KiB", true, 1024},
        {"2 MB", true, 2000000},
        {"2M", true, 2 << 20},
        {"2m", true, 2 << 20},
        {"1.5 MiB", true, 3 << 19},
        {"1 GB", true, 1000000000},
        {"1g", true, 1 << 30},
        {"1 terabyte", true, 1000000000000},
        {"1 TiB", true, (int64_t)1 << 40},
        {"1 PB", true, 1000000000000000},
        {"1 pebibytes", true, (int64_t)1 << 50},
        {"7 EiB", true, (int64_t)7 << 60},
        {"8 EiB", false, 0},
        {"1 EB", true, 1000000000000000000},
        {"0.001 ZB", true, 1000000000000000000},
        {"1 ZiB", false, 0},
        {"1 YB", false, 0},
        {"0 YB", true, 0},
        {"1 KB", false, 0},
        {"1 mB", false, 0},
        {"1 Bytes", false, 0},
        {"[1]", false, 0},
        {"9223372036854775807", true, INT64_MAX},
        {"18446744073709551615 YiB", false, 0},
    };
    check_conversions(hocon_as_bytes, cases, sizeof cases / sizeof *cases);
}

static void numbered_objects_are_lists(void **state)
{
    (void)state;
    struct hocon *resolved =
        resolve("a={\"2\":z,\"0\":x,\"10\":w,q:1,\"-1\":2},b={q:1},c=[1],d=5,e={},f={\"1\":a,\"01\":b}");
    const struct hocon_value *root = hocon_root(resolved);
    char *json = json_of(hocon_as_list(hocon_get(root, "a")));
    assert_string_equal(json, "[\"x\",\"z\",\"w\"]");
    free(json);
    assert_null(hocon_as_list(hocon_get(root, "b")));
    assert_ptr_equal(hocon_as_list(hocon_get(root, "c")), hocon_get(root, "c"));
    assert_null(hocon_as_list(hocon_get(root, "d")));
    assert_null(hocon_as_list(hocon_get(root, "e")));
    json = json_of(hocon_as_list(hocon_get(root, "f")));
    assert_string_equal(json, "[\"b\"]");
    free(json);
    hocon_free(&resolved);
}

static void json_is_rendered(void **state)
{
    (void)state;
    struct hocon *resolved = resolve("a={b=[1,\"x\\\"\\u0001\\u007f\"],c={},d=[]}");
    char *json = json_of(hocon_root(resolved));
    assert_string_equal(json, "{\"a\":{\"b\":[1,\"x\\\"\\u0001\x7f\"],\"c\":{},\"d\":[]}}");
    free(json);
    assert_int_equal(hocon_render_json(hocon_root(resolved), true, &json, NULL), SL_OK);
    assert_string_equal(
        json, "{\n  \"a\": {\n    \"b\": [\n      1,\n      \"x\\\"\\u0001\x7f\"\n    ],\n    \"c\": {},\n"
              "    \"d\": []\n  }\n}");
    free(json);
    hocon_free(&resolved);
}

static char *merge_all(const char *const *texts, size_t count, bool right_first)
{
    struct hocon *documents[8], *merged, *resolved;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(hocon_parse_text(texts[i], strlen(texts[i]), "in", NULL, NULL, &documents[i], NULL),
                         SL_OK);
    struct hocon *all = documents[right_first ? count - 1 : 0];
    for (size_t i = 1; i < count; i++) {
        struct hocon *next = documents[right_first ? count - 1 - i : i];
        assert_int_equal(right_first ? hocon_merge(next, all, &merged, NULL)
                                     : hocon_merge(all, next, &merged, NULL),
                         SL_OK);
        hocon_free(&all);
        hocon_free(&next);
        all = merged;
    }
    assert_int_equal(hocon_resolve(all, false, NULL, &resolved, NULL), SL_OK);
    hocon_free(&all);
    char *json = json_of(hocon_root(resolved));
    hocon_free(&resolved);
    return json;
}

static void documents_merge_like_duplicate_keys(void **state)
{
    (void)state;
    static const struct {
        const char *texts[3]; /* the highest first */
        const char *expected;
    } cases[] = {
        {{"a:{x:1}", "a:42", "a:{y:2}"}, "{\"a\":{\"x\":1}}"},
        {{"a:{x:1}", "a:{y:2}", "a:42"}, "{\"a\":{\"y\":2,\"x\":1}}"},
        {{"a=${b}", "b=1", "b=2"}, "{\"b\":1,\"a\":1}"},
        {{"a=${a}[3]", "a=${a}[2]", "a=[1]"}, "{\"a\":[1,2,3]}"},
        {{"a+=3", "a+=2", "a+=1"}, "{\"a\":[1,2,3]}"},
        {{"a.b=${?no}", "a=${c}", "c={b:1},a={d:2}"}, "{\"c\":{\"b\":1},\"a\":{\"d\":2,\"b\":1}}"},
        {{"b=1", "a=\"x\"${b}", "b=2"}, "{\"b\":1,\"a\":\"x1\"}"},
        {{"a=null", "a={b:1}", "a={c:1}"}, "{\"a\":null}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int right_first = 0; right_first < 2; right_first++) {
            char *json = merge_all(cases[i].texts, 3, right_first);
            assert_string_equal(json, cases[i].expected);
            free(json);
        }
}

static void single_settings_make_documents(void **state)
{
    (void)state;
    struct hocon *document, *under, *merged, *resolved;
    sl_error error;
    assert_int_equal(hocon_single("a.\"b.c\".d", "${x} \"1\"", "-D option", &document, &error), SL_OK);
    assert_int_equal(hocon_parse_text("a.e=1", 5, "in", NULL, NULL, &under, &error), SL_OK);
    assert_int_equal(hocon_merge(document, under, &merged, &error), SL_OK);
    hocon_free(&document);
    hocon_free(&under);
    assert_int_equal(hocon_resolve(merged, false, NULL, &resolved, &error), SL_OK);
    const struct hocon_value *value = hocon_get(hocon_root(resolved), "a.\"b.c\".d");
    assert_string_equal(hocon_text(value), "${x} \"1\"");
    assert_string_equal(hocon_origin(value), "-D option");
    assert_string_equal(hocon_origin(hocon_get(hocon_root(resolved), "a.e")), "in:1");
    hocon_free(&resolved);
    hocon_free(&merged);
    static const struct {
        const char *path, *value, *error;
    } bad[] = {{"", "x", "-D option: unexpected the end of the file, expected a key"},
               {"a..b", "x", "-D option: unexpected '.', expected a key"},
               {"a=b", "x", "-D option: unexpected '=', expected the end of the path"},
               {"a", "\xff", "-D option: the value of a is not UTF-8"},
               {"\xff", "x", "-D option: the path is not UTF-8"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(hocon_single(bad[i].path, bad[i].value, "-D option", &document, &error),
                         SL_BAD_CONFIG);
        assert_memory_equal(error.text, bad[i].error, strlen(bad[i].error));
        assert_null(document);
    }
}

static void resolved_documents_are_final(void **state)
{
    (void)state;
    struct hocon *resolved = resolve("a=1"), *other;
    sl_error error;
    assert_int_equal(hocon_resolve(resolved, false, NULL, &other, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(hocon_merge(resolved, resolved, &other, &error), SL_INVALID_ARGUMENT);
    assert_null(hocon_root(NULL));
    hocon_free(&resolved);
    hocon_free(&resolved);
    hocon_free(NULL);
}

CASES_MAIN(cmocka_unit_test(values_are_read_by_path), cmocka_unit_test(fields_keep_their_order),
           cmocka_unit_test(origins_name_file_and_line),
           cmocka_unit_test(paths_join_with_quotes_where_needed), cmocka_unit_test(booleans_convert),
           cmocka_unit_test(integers_convert), cmocka_unit_test(durations_convert),
           cmocka_unit_test(sizes_convert), cmocka_unit_test(numbered_objects_are_lists),
           cmocka_unit_test(json_is_rendered), cmocka_unit_test(documents_merge_like_duplicate_keys),
           cmocka_unit_test(single_settings_make_documents), cmocka_unit_test(resolved_documents_are_final))
