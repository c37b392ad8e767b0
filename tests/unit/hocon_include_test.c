#include "unit/hocon_support.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory of its own for each case. */
static int make_directory(void **state)
{
    static char directory[64];
    snprintf(directory, sizeof directory, "/tmp/hocon-include-XXXXXX");
    *state = mkdtemp(directory);
    return *state ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static int remove_directory(void **state)
{
    return nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_file(void **state, const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", (const char *)*state, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void make_subdirectory(void **state, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", (const char *)*state, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

#define CHECK_HERE(cases) hocon_check_in(cases, sizeof(cases) / sizeof *(cases), *state)

/* begins: with @ for the directory */
static void check_error(void **state, const char *text, const char *begins, const char *contains)
{
    char *outcome = hocon_outcome(text, strlen(text), *state, false, NULL);
    char expected[300];
    size_t before = strcspn(begins, "@");
    snprintf(expected, sizeof expected, "%.*s%s%s", (int)before, begins,
             begins[before] ? (const char *)*state : "", begins[before] ? begins + before + 1 : "");
    if (!hocon_matches(outcome, expected) || !strstr(outcome, contains))
        fail_msg("%s gives %s", text, outcome);
    free(outcome);
}

static void included_fields_merge_where_they_stand(void **state)
{
    write_file(state, "x.conf", "a=1,b={c:2}");
    static const struct hocon_case cases[] = {
        {"include \"x.conf\"", "{\"a\":1,\"b\":{\"c\":2}}"},
        {"a=0,b.d=3\ninclude \"x.conf\"", "{\"a\":1,\"b\":{\"d\":3,\"c\":2}}"},
        {"include \"x.conf\",a=5", "{\"a\":5,\"b\":{\"c\":2}}"},
        {"y{include \"x\"}", "{\"y\":{\"a\":1,\"b\":{\"c\":2}}}"},
        {"y.z={include \"x.conf\"}", "{\"y\":{\"z\":{\"a\":1,\"b\":{\"c\":2}}}}"},
        {"y=[{include \"x\"}]", "{\"y\":[{\"a\":1,\"b\":{\"c\":2}}]}"},
        {"include\n# c\n required( \"x.conf\" )", "{\"a\":1,\"b\":{\"c\":2}}"},
    };
    CHECK_HERE(cases);
}

static void include_syntax(void **state)
{
    static const struct hocon_case cases[] = {
        {"include \"none\"", "{}"},
        {"include file(\"none.conf\"),a=1", "{\"a\":1}"},
        {"\"include\"=1,foo include=2,includes=3,a=include",
         "{\"include\":1,\"foo include\":2,\"includes\":3,\"a\":\"include\"}"},
        {"include.a=1", "{\"include\":{\"a\":1}}"},
        {"include required(\"none\")", "!in:1:18: the required file \"none\" is not there"},
        {"a=1\n include required(file(\"none\"))", "!in:2:24: the required file \"none\" is not there"},
        {"include=1", "!in:1:8: unexpected '=', expected a file's name in quotes"},
        {"include x", "!in:1:9: unexpected 'x', expected a file's name in quotes"},
        {"include \"none\" a=1", "!in:1:16: unexpected 'a', expected ',', a new line"},
        {"include file(\"none\"", "!in:1:20: unexpected the end of the file, expected ')'"},
        {"include file(none)", "!in:1:14: unexpected 'n', expected a file's name in quotes"},
        {"include \"\"", "!in:1:9: an empty file name"},
        {"include url(\"http://x\")", "!in:1:9: url() and classpath() cannot be included"},
        {"include \"http://x\"", "!in:1:9: URLs cannot be included"},
        {"include ${x}", "!in:1:9: unexpected '$'"},
    };
    CHECK_HERE(cases);
}

static void substitutions_are_relative_to_the_include(void **state)
{
    write_file(state, "x.conf", "x=10,y=${x},z=${?outer},p.q=[${x}]");
    write_file(state, "nested.conf", "n={include \"x\"}");
    static const struct hocon_case cases[] = {
        {"a={include \"x\"}", "{\"a\":{\"x\":10,\"y\":10,\"p\":{\"q\":[10]}}}"},
        {"a={include \"x\"},a={x:42}", "{\"a\":{\"x\":42,\"y\":42,\"p\":{\"q\":[42]}}}"},
        {"outer=1,a={include \"x\"}", "{\"outer\":1,\"a\":{\"x\":10,\"y\":10,\"z\":1,\"p\":{\"q\":[10]}}}"},
        {"outer=1,a={include \"x\",outer=2}",
         "{\"outer\":1,\"a\":{\"x\":10,\"y\":10,\"z\":2,\"p\":{\"q\":[10]},\"outer\":2}}"},
        {"x=1,a.b={include \"nested\"}",
         "{\"x\":1,\"a\":{\"b\":{\"n\":{\"x\":10,\"y\":10,\"p\":{\"q\":[10]}}}}}"},
        {"a=[{include \"x\"}]", "!in:1:13: substitutions in a file that is included inside a list"},
    };
    CHECK_HERE(cases);
}

static void base_names_try_every_syntax(void **state)
{
    write_file(state, "x.properties", "a=props\nb=props\nc=props");
    write_file(state, "x.json", "{\"a\":\"json\",\"b\":\"json\"}");
    write_file(state, "x.conf", "a=conf");
    write_file(state, "y.json", "{\"j\":1}");
    write_file(state, "z.inc", "k=1");
    write_file(state, "bare", "k=2");
    static const struct hocon_case cases[] = {
        {"include \"x\"", "{\"a\":\"conf\",\"b\":\"json\",\"c\":\"props\"}"},
        {"include \"x.json\"", "{\"a\":\"json\",\"b\":\"json\"}"},
        {"include required(\"y\")", "{\"j\":1}"},
        {"include \"z.inc\"", "{\"k\":1}"},
        {"include \"bare\"", "{}"},
    };
    CHECK_HERE(cases);
}

static void included_json_is_strict(void **state)
{
    static const struct hocon_case cases[] = {
        {"{\"a.b\":1,\"b\":{\"a.b\":2}}", "{\"a.b\":1,\"b\":{\"a.b\":2}}"},
        {"{\"a.b\":1,\"a.b\":2}", ":1:10: the key \"a.b\" for the second time, expected each once in JSON"},
        {"[1]", ":1:1: a list at the root of an included file, expected an object"},
        {"", ":1:1: unexpected the end of the file, expected '{' or '['"},
        {"{\"a\":1,}", ":1:8: unexpected '}', expected a value after the comma"},
        {"{\"a\":[1,]}", ":1:9: unexpected ']', expected a value after the comma"},
        {"{\"a\":[1\n2]}", ":2:1: unexpected '2', expected ','"},
        {"{\"a\":1\n\"b\":2}", ":2:1: unexpected '\"', expected ','"},
        {"{a:1}", ":1:2: unexpected 'a', expected a key in quotes"},
        {"{\"a\":x}", ":1:6: text without quotes, expected a JSON value"},
        {"{\"a\"=1}", ":1:5: unexpected '=', expected ':'"},
        {"{\"a\":1} # c", ":1:9: a comment, expected none in JSON"},
        {"{\"a\":\"x\" \"y\"}", ":1:10: unexpected '\"', expected ','"},
        {"{\"a\":${b}}", ":1:6: unexpected '$'"},
        {"{\"a\":\"\"\"x\"\"\"}", ":1:8: unexpected '\"', expected ','"},
        {"{\"a\":01}", ":1:6: text without quotes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(state, "x.json", cases[i].text);
        char *outcome = hocon_outcome("include \"x.json\"", 16, *state, false, NULL);
        if (cases[i].expected[0] == '{' ? strcmp(outcome, cases[i].expected) != 0
                                        : !strstr(outcome, cases[i].expected))
            fail_msg("%s gives %s", cases[i].text, outcome);
        free(outcome);
    }
}

static void properties_are_java_properties(void **state)
{
    static const struct hocon_case cases[] = {
        {"a.b=x\na.c : y z \nk v", "{\"a\":{\"b\":\"x\",\"c\":\"y z \"},\"k\":\"v\"}"},
        {"# c\n! c\n\n  a = 1", "{\"a\":\"1\"}"},
        {"a=x\\\n   y\\\r\n z\nb=1", "{\"a\":\"xyz\",\"b\":\"1\"}"},
        {"a\\ b=\\u00e9\\t\\q\\\\\nc\\=d=e=f", "{\"a b\":\"\xc3\xa9\\tq\\\\\",\"c=d\":\"e=f\"}"},
        {"a\nb=\n", "{\"a\":\"\",\"b\":\"\"}"},
        {".=1\na.=2\n..b=3", "{\"\":{\"\":{\"b\":\"3\"}},\"a\":{\"\":\"2\"}}"},
        {"a=hello\na.b=world", "{\"a\":{\"b\":\"world\"}}"},
        {"a.b=world\na=hello", "{\"a\":{\"b\":\"world\"}}"},
        {"a=${x} // no comment", "{\"a\":\"${x} // no comment\"}"},
        {"a=1\ra=2\r\n", "{\"a\":\"2\"}"},
        {"a=\xc3\xa9", "{\"a\":\"\xc3\xa9\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(state, "x.properties", cases[i].text);
        char *outcome = hocon_outcome("include \"x\"", 11, *state, false, NULL);
        if (strcmp(outcome, cases[i].expected) != 0)
            fail_msg("%s gives %s", cases[i].text, outcome);
        free(outcome);
    }
    write_file(state, "x.properties", "a=1\nb=\\u12");
    check_error(state, "include \"x\"", "!@/x.properties:2:3: a broken escape", "expected \\u and four");
}

static void names_are_relative_to_the_including_file(void **state)
{
    make_subdirectory(state, "sub");
    make_subdirectory(state, "sub/deep");
    write_file(state, "sub/x.conf", "x=1,include \"deep/y\",include \"../z\"");
    write_file(state, "sub/deep/y.conf", "y=1,include \"../w.conf\"");
    write_file(state, "sub/w.conf", "w=1");
    write_file(state, "z.conf", "z=1");
    static const struct hocon_case cases[] = {{"include \"sub/x\"", "{\"x\":1,\"y\":1,\"w\":1,\"z\":1}"}};
    CHECK_HERE(cases);
    char text[300];
    snprintf(text, sizeof text, "include \"%s/sub/w.conf\"", (const char *)*state);
    char *outcome = hocon_outcome(text, strlen(text), "/nonexistent", false, NULL);
    assert_string_equal(outcome, "{\"w\":1}");
    free(outcome);
}

static void file_is_relative_to_the_working_directory(void **state)
{
    make_subdirectory(state, "sub");
    write_file(state, "sub/x.conf", "x=1,include file(\"w.conf\"),include required( file( \"z\" ) )");
    write_file(state, "sub/w.conf", "w=beside");
    write_file(state, "w.conf", "w=here");
    write_file(state, "z.conf", "z=1");
    assert_int_equal(chdir(*state), 0);
    static const struct hocon_case cases[] = {
        {"include \"sub/x\"", "{\"x\":1,\"w\":\"here\",\"z\":1}"},
        {"a{include file(\"sub/w.conf\")}", "{\"a\":{\"w\":\"beside\"}}"},
        {"include required(file(\"none\"))",
         "!in:1:23: the required file \"none\" is not there, expected it relative to the working directory"},
    };
    CHECK_HERE(cases);
}

static void errors_name_the_included_file(void **state)
{
    write_file(state, "x.conf", "a=1\n b=?");
    write_file(state, "y.conf", "\n\na=${nope}");
    write_file(state, "list.conf", "[1]");
    make_subdirectory(state, "dir.conf");
    check_error(state, "include \"x\"", "!@/x.conf:2:4: unexpected '?'", "expected a value");
    check_error(state, "q{include \"y\"}", "!@/y.conf:3:3: ${nope} is not set", "expected a value");
    check_error(state, "include \"list.conf\"", "!@/list.conf:1:1: a list at the root", "expected an object");
    check_error(state, "a=1\ninclude \"dir\"", "!in:2:9: @/dir.conf is a directory", "expected a file");
}

static void including_oneself_is_an_error(void **state)
{
    write_file(state, "self.conf", "a=1\ninclude \"self.conf\"");
    write_file(state, "one.conf", "include \"two\"");
    write_file(state, "two.conf", "{include \"./one.conf\"}");
    check_error(state, "include \"self\"", "!@/self.conf:2:9: ", "includes itself");
    check_error(state, "include \"one\"", "!@/two.conf:1:10: ", "includes itself");
}

static void includes_are_limited(void **state)
{
    /* Each level includes the next one twice. */
    for (int i = 0; i < 40; i++) {
        char name[20], text[60];
        snprintf(name, sizeof name, "f%d.conf", i);
        snprintf(text, sizeof text, "include \"f%d.conf\",include \"f%d.conf\"", i + 1, i + 1);
        write_file(state, name, i == 20 ? "a=1" : text);
    }
    check_error(state, "include \"f0.conf\"", "!", "more than 1000 files are included");
    check_error(state, "include \"f31.conf\"", "{}", "");
    const struct hocon_limits limits = {.max_includes = 3};
    char *outcome = hocon_outcome("include \"f18.conf\"", 18, *state, false, &limits);
    assert_string_equal(outcome, "{\"a\":1}");
    free(outcome);
    outcome = hocon_outcome("include \"f17.conf\"", 18, *state, false, &limits);
    assert_non_null(strstr(outcome, "files are included more than 3 deep"));
    free(outcome);
}

static void files_parse_by_their_names(void **state)
{
    write_file(state, "x.conf", "a=1\ninclude \"y\"");
    write_file(state, "y.properties", "b=2");
    write_file(state, "z.json", "{\"c\":3}");
    char path[200];
    static const struct {
        const char *name, *json;
    } files[] = {
        {"x.conf", "{\"a\":1,\"b\":\"2\"}"}, {"y.properties", "{\"b\":\"2\"}"}, {"z.json", "{\"c\":3}"}};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", (const char *)*state, files[i].name);
        struct hocon *document, *resolved;
        char *json;
        assert_int_equal(hocon_parse_file(path, NULL, &document, NULL), SL_OK);
        assert_int_equal(hocon_resolve(document, false, NULL, &resolved, NULL), SL_OK);
        assert_int_equal(hocon_render_json(hocon_root(resolved), false, &json, NULL), SL_OK);
        assert_string_equal(json, files[i].json);
        free(json);
        hocon_free(&document);
        hocon_free(&resolved);
    }
    struct hocon *document;
    sl_error error;
    assert_int_equal(hocon_parse_file("/nonexistent/x.conf", NULL, &document, &error), SL_IO);
    assert_string_equal(error.text, "/nonexistent/x.conf is not there, expected a configuration file");
    assert_null(document);
    const struct hocon_limits limits = {.max_bytes = 3};
    snprintf(path, sizeof path, "%s/x.conf", (const char *)*state);
    assert_int_equal(hocon_parse_file(path, &limits, &document, &error), SL_BAD_CONFIG);
    assert_non_null(strstr(error.text, "x.conf is too large, expected at most 3 bytes"));
}

CASES_MAIN(cmocka_unit_test_setup_teardown(included_fields_merge_where_they_stand, make_directory,
                                           remove_directory),
           cmocka_unit_test_setup_teardown(include_syntax, make_directory, remove_directory),
           cmocka_unit_test_setup_teardown(substitutions_are_relative_to_the_include, make_directory,
                                           remove_directory),
           cmocka_unit_test_setup_teardown(base_names_try_every_syntax, make_directory, remove_directory),
           cmocka_unit_test_setup_teardown(included_json_is_strict, make_directory, remove_directory),
           cmocka_unit_test_setup_teardown(properties_are_java_properties, make_directory, remove_directory),
           cmocka_unit_test_setup_teardown(names_are_relative_to_the_including_file, make_directory,
                                           remove_directory),
           cmocka_unit_test_setup_teardown(file_is_relative_to_the_working_directory, make_directory,
                                           remove_directory),
           cmocka_unit_test_setup_teardown(errors_name_the_included_file, make_directory, remove_directory),
           cmocka_unit_test_setup_teardown(including_oneself_is_an_error, make_directory, remove_directory),
           cmocka_unit_test_setup_teardown(includes_are_limited, make_directory, remove_directory),
           cmocka_unit_test_setup_teardown(files_parse_by_their_names, make_directory, remove_directory))
