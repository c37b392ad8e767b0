#include "unit/hocon_support.h"

static void duplicate_keys_merge(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a={b:1},a={c:2}", "{\"a\":{\"b\":1,\"c\":2}}"},
        {"a={b:{c:1}},a.b.d=2,a={b:{c:3}}", "{\"a\":{\"b\":{\"c\":3,\"d\":2}}}"},
        {"a=1,a=2", "{\"a\":2}"},
        {"a={b:1},a=2,a={c:3}", "{\"a\":{\"c\":3}}"},
        {"a={b:1},a=null,a={c:3}", "{\"a\":{\"c\":3}}"},
        {"a=[1],a=[2]", "{\"a\":[2]}"},
        {"a.b=2,a.b.c=1", "{\"a\":{\"b\":{\"c\":1}}}"},
        {"a.b.c=1,a.b=null", "{\"a\":{\"b\":null}}"},
    };
    HOCON_CHECK(cases);
}

static void texts_concatenate(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a= foo  bar \t baz ", "{\"a\":\"foo  bar \\t baz\"}"},
        {"a=1 2 true null", "{\"a\":\"1 2 true null\"}"},
        {"a=x\"y z\"w", "{\"a\":\"xy zw\"}"},
        {"a=\"x\" \"y\"", "{\"a\":\"x y\"}"},
        {"a=[1 2,true]", "{\"a\":[\"1 2\",true]}"},
        {"a=true", "{\"a\":true}"},
        {"a=${b}/${c} d,b=x,c=5", "{\"a\":\"x/5 d\",\"b\":\"x\",\"c\":5}"},
        {"a=\"${b}\"", "{\"a\":\"${b}\"}"},
        {"a=${b}x,b=null", "{\"a\":\"nullx\",\"b\":null}"},
        {"a=${b},b=1.50", "{\"a\":1.50,\"b\":1.50}"},
    };
    HOCON_CHECK(cases);
}

static void lists_and_objects_concatenate(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a=[1,2] [3]", "{\"a\":[1,2,3]}"},
        {"a={b:1} {c:2}{b:3}", "{\"a\":{\"b\":3,\"c\":2}}"},
        {"a=[[1,2] [3]\n[4]]", "{\"a\":[[1,2,3],[4]]}"},
        {"a=${b} [3],b=[1]", "{\"a\":[1,3],\"b\":[1]}"},
        {"a=[0] ${b} ${b},b=[1]", "{\"a\":[0,1,1],\"b\":[1]}"},
        {"g={n:6,x:1},e=${g} {n:7}", "{\"g\":{\"n\":6,\"x\":1},\"e\":{\"n\":7,\"x\":1}}"},
        {"g={n:6},e={n:7} ${g}", "{\"g\":{\"n\":6},\"e\":{\"n\":6}}"},
        {"a={b:1}\n{c:2}", "!in:2:1: unexpected '{', expected a key"},
        {"a={b:1} [2]", "!in:1:3: an object is put together with a list"},
        {"a={b:1} x", "!in:1:9: text beside an object on one line, expected a ','"},
        {"a=x [1]", "!in:1:3: text beside a list on one line"},
        {"a=x ${b},b={}", "!in:1:3: text is put together with an object"},
        {"a=[1] ${b},b=2", "!in:1:7: text is put together with a list"},
        {"a={x:1} ${b},b=[2]", "!in:1:3: an object is put together with a list"},
    };
    HOCON_CHECK(cases);
}

static void numbered_objects_join_lists(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a={\"0\":x,\"10\":z,\"2\":y,q:w} [4]", "{\"a\":[\"x\",\"y\",\"z\",4]}"},
        {"b={\"1\":y,\"0\":x},a=[5]${b}", "{\"b\":{\"1\":\"y\",\"0\":\"x\"},\"a\":[5,\"x\",\"y\"]}"},
        {"a.0=x,a+=y", "{\"a\":[\"x\",\"y\"]}"},
        {"b={},a=[5]${b}",
         "!in:1:11: an object is put together with a list, expected a list or an object with numbers"},
    };
    HOCON_CHECK(cases);
}

static void plus_equals_appends(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a+=1,a+=2", "{\"a\":[1,2]}"},
        {"a=[1],a+=[2],a+=${b},b=x", "{\"a\":[1,[2],\"x\"],\"b\":\"x\"}"},
        {"a=[1],a+=${a}", "{\"a\":[1,[1]]}"},
        {"a.b+=1,a={b:${a.b}[3]}", "{\"a\":{\"b\":[1,3]}}"},
        {"a=[{b+=1},{b+=2}]", "{\"a\":[{\"b\":[1]},{\"b\":[2]}]}"},
        {"a=[1],a+=${?no}", "{\"a\":[1]}"},
        {"a=1,a+=2", "!in:1:8: text is put together with a list"},
        {"a=null,a+=2", "!in:1:11: text is put together with a list"},
        {"a +  = 1", "!in:1:3: unexpected '+'"},
    };
    HOCON_CHECK(cases);
}

static void substitutions_look_forward(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a=${b},b=1,b=2", "{\"a\":2,\"b\":2}"},
        {"a=${b.c},b={c:[1]},b.c=[2]", "{\"a\":[2],\"b\":{\"c\":[2]}}"},
        {"a=${ b c },b c=1", "{\"a\":1,\"b c\":1}"},
        {"a=${\"b.c\"},\"b.c\"=1", "{\"a\":1,\"b.c\":1}"},
        {"a=[${b},${b}],b={x:1}", "{\"a\":[{\"x\":1},{\"x\":1}],\"b\":{\"x\":1}}"},
        {"a={c:3},a=${x},a={e:1},x={d:4,c:5}", "{\"a\":{\"c\":5,\"d\":4,\"e\":1},\"x\":{\"d\":4,\"c\":5}}"},
        {"a={c:3},a=${x},a={e:1},x=5", "{\"a\":{\"e\":1},\"x\":5}"},
        {"bar:{foo:42,baz:${bar.foo}},bar:{foo:43}", "{\"bar\":{\"foo\":43,\"baz\":43}}"},
        {"bar:{a:${foo.d},b:1},bar.b=3,foo:{c:${bar.b},d:2},foo.d=4",
         "{\"bar\":{\"a\":4,\"b\":3},\"foo\":{\"c\":3,\"d\":4}}"},
        {"a={x:${a.y},y:1},b=${a}{y:2}", "{\"a\":{\"x\":1,\"y\":1},\"b\":{\"x\":1,\"y\":2}}"},
        {"a={d:${b.e}},b=${c}{e:1},c={f:${a.d}}",
         "{\"a\":{\"d\":1},\"b\":{\"f\":1,\"e\":1},\"c\":{\"f\":1}}"},
    };
    HOCON_CHECK(cases);
}

static void undefined_substitutions(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a=${b}", "!in:1:3: ${b} is not set, expected a value for it or ${?b} if it may be missing"},
        {"a=1\nb=[1,${a.\"x y\"}]", "!in:2:6: ${a.\"x y\"} is not set"},
        {"a=${?b}", "{}"},
        {"a=1,a=${?b}", "{\"a\":1}"},
        {"a={x:1},a=${?b}", "{\"a\":{\"x\":1}}"},
        {"a=[1,${?b},2]", "{\"a\":[1,2]}"},
        {"a=x${?b}y", "{\"a\":\"xy\"}"},
        {"a=[1]${?b}", "{\"a\":[1]}"},
        {"a={x:1} ${?b}", "{\"a\":{\"x\":1}}"},
        {"a=${?b}${?c}", "{}"},
        {"a=5${?b}", "{\"a\":5}"},
        {"a=${?b}true,c=[1]${?b}", "{\"a\":true,\"c\":[1]}"},
        {"a=${?b} ${?c}", "{\"a\":\" \"}"},
        {"a=${?b}${c},c=5", "{\"a\":5,\"c\":5}"},
        {"a=${b},b=null", "{\"a\":null,\"b\":null}"},
        {"a=${b.c},b=5", "!in:1:3: ${b.c} is not set"},
    };
    HOCON_CHECK(cases);
}

static void hidden_substitutions_are_not_looked_at(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a=${nope},a=42", "{\"a\":42}"},
        {"a=${a},a=42", "{\"a\":42}"},
        {"a={x:${nope}},a=null,a={y:1}", "{\"a\":{\"y\":1}}"},
        {"a={x:${nope}},a={x:1}", "{\"a\":{\"x\":1}}"},
        {"a=${nope},a={y:1}", "!in:1:3: ${nope} is not set"},
        {"b={x:${nope}},b={x:2},a=${b}{x:1}", "{\"b\":{\"x\":2},\"a\":{\"x\":1}}"},
    };
    HOCON_CHECK(cases);
}

static void self_references_look_back(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"path=\"a:b\",path=${path}\":c\"", "{\"path\":\"a:b:c\"}"},
        {"a=1,a=${a}2,a=${a}3", "{\"a\":\"123\"}"},
        {"path=[/bin],path=${path}[/usr/bin]", "{\"path\":[\"/bin\",\"/usr/bin\"]}"},
        {"foo:{a:{c:1}},foo:${foo.a},foo:{a:2}", "{\"foo\":{\"a\":2,\"c\":1}}"},
        {"foo:{a:1},foo:${foo}", "{\"foo\":{\"a\":1}}"},
        {"a=${?a}foo", "{\"a\":\"foo\"}"},
        {"a=${?a}", "{}"},
        {"a={x:1,x:${a.x}2}", "{\"a\":{\"x\":\"12\"}}"},
        {"a={x:1},a={x:${a.x}2},a={x:${a.x}3}", "{\"a\":{\"x\":\"123\"}}"},
        {"a=1,b=${a},a=${b}2", "{\"a\":\"12\",\"b\":1}"},
        {"a=1,b=2,a=${b},b=${a}", "{\"a\":1,\"b\":1}"},
        {"a={x:1},a=${a}{x:2,y:${a.x}}", "{\"a\":{\"x\":2,\"y\":1}}"},
        {"a={b:1,c:${a.b}},a=${a}{b:2}", "{\"a\":{\"b\":2,\"c\":1}}"},
        {"a=[1],a=${a}[2,${a}]", "{\"a\":[1,2,[1]]}"},
        {"a={b:{c:1}},a=${a.b}{d:1}", "{\"a\":{\"b\":{\"c\":1},\"c\":1,\"d\":1}}"},
    };
    HOCON_CHECK(cases);
}

static void cycles_are_reported(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a=${a}", "!in:1:3: ${a} leads back to itself (a cycle)"},
        {"a=${a}bc", "!in:1:3: ${a} leads back to itself (a cycle)"},
        {"a=${a},a={b:1}", "!in:1:3: ${a} leads back to itself (a cycle)"},
        {"bar:${foo}\nfoo:${bar}", "!in:2:5: ${bar} leads back to itself (a cycle)"},
        {"a:${b},b:${c},c:${a}", "!in:1:17: ${a} leads back to itself (a cycle)"},
        {"a:{b:${a}}", "!in:1:6: ${a} leads back to itself (a cycle)"},
        {"a:[${a}]", "!in:1:4: ${a} leads back to itself (a cycle)"},
        {"a=[1],a:[${a}]", "!in:1:10: ${a} leads back to itself (a cycle)"},
        {"a={x:${b}},b={y:${a}}", "!in:1:17: the substitution leads to a value that it is part of"},
        {"a=[${b}],b=${a}[1]", "!in:"},
        {"a={b:${a}{x:1}}", "!in:1:6: ${a} leads back to itself"},
        {"a=${?b},b=${?c},c=${?a}", "{}"},
        {"b:1${?c.c},c=${?b}", "{\"b\":1,\"c\":1}"},
        {"c=q,c.c=${?c},b=${?c.c}", "{\"c\":{}}"},
        {"a:{b:${?a}}", "{\"a\":{}}"},
        {"a:[${?a}]", "{\"a\":[]}"},
        {"a=[${?b}],b=${?a}", "{\"a\":[],\"b\":[]}"},
        {"a={q:${a.r}x,r:${a.q}y}", "!in:1:16: ${a.q} leads back to itself"},
    };
    HOCON_CHECK(cases);
}

static void substitution_syntax(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a=${}", "!in:1:5: unexpected '}', expected a key"},
        {"a=${b", "!in:1:6: unexpected the end of the file, expected '}'"},
        {"a=${b\n}", "!in:1:6: unexpected the end of the line, expected '}'"},
        {"a=${ ?b}", "!in:1:6: unexpected '?'"},
        {"a=${${b}}", "!in:1:5: unexpected '$'"},
        {"a=${b.}", "!in:1:7: unexpected '}', expected a key"},
        {"a=$ {b}", "!in:1:3: unexpected '$'"},
    };
    HOCON_CHECK(cases);
}

static void environment_is_the_last_resort(void **state)
{
    (void)state;
    static const struct hocon_case cases[] = {
        {"a=${HOCON_TEST}", "{\"a\":\"from env\"}"},
        {"a=${?HOCON_TEST}!x", "!in:1:17: unexpected '!'"},
        {"a=${HOCON_TEST}/x", "{\"a\":\"from env/x\"}"},
        {"HOCON_TEST=null,a=${HOCON_TEST}", "{\"HOCON_TEST\":null,\"a\":null}"},
        {"a=1,a=${?HOCON_TEST_UNSET}", "{\"a\":1}"},
        {"a=[${HOCON_TEST_EMPTY}]", "{\"a\":[\"\"]}"},
        {"a=${HOCON_TEST_UNSET}",
         "!in:1:3: ${HOCON_TEST_UNSET} is not set, expected a value for it here or in the "
         "environment, or ${?HOCON_TEST_UNSET} if it may be missing"},
        {"a=${HOCON_TEST_BAD}", "!in:1:3: the environment variable HOCON_TEST_BAD is not UTF-8"},
        {"HOCON_TEST=${?HOCON_TEST}", "{}"},
    };
    setenv("HOCON_TEST", "from env", 1);
    setenv("HOCON_TEST_EMPTY", "", 1);
    setenv("HOCON_TEST_BAD", "\xff", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *outcome = hocon_outcome(cases[i].text, strlen(cases[i].text), NULL, true, NULL);
        if (!hocon_matches(outcome, cases[i].expected))
            fail_msg("%s gives %s", cases[i].text, outcome);
        free(outcome);
    }
    char *outcome = hocon_outcome("a=${HOCON_TEST}", 15, NULL, false, NULL);
    assert_string_equal(
        outcome,
        "!in:1:3: ${HOCON_TEST} is not set, expected a value for it or ${?HOCON_TEST} if it may be missing");
    free(outcome);
}

/* Each line doubles or more what the one before has. */
static void multiplying_substitutions_are_limited(void **state)
{
    (void)state;
    static const char *const starts[] = {"x0=[1,2]\n", "x0=[1,2]\n", "x0={c:1}\n", "x0=xxxxxxxx\n"};
    static const char *const before[] = {"[", "", "{a:", ""}, *const between[] = {",", "", ",b:", "\"\""},
                             *const behind[] = {"]", "[1]", "}", ""};
    for (size_t kind = 0; kind < 4; kind++) {
        char text[4000];
        int at = snprintf(text, sizeof text, "%s", starts[kind]);
        for (int i = 1; i <= 60; i++)
            at += snprintf(text + at, sizeof text - (size_t)at, "x%d=%s${x%d}%s${x%d}%s\n", i, before[kind],
                           i - 1, between[kind], i - 1, behind[kind]);
        char *outcome = hocon_outcome(text, (size_t)at, NULL, false, NULL);
        assert_non_null(strstr(outcome, kind == 3 ? "substitutions make too long a text"
                                                  : "substitutions make more than 1000000 values"));
        free(outcome);
    }
}

static void chains_are_limited(void **state)
{
    (void)state;
    enum { LONG = 20000 };
    char *text = malloc((size_t)LONG * 40);
    assert_non_null(text);
    size_t at = 0;
    for (int i = 0; i < LONG; i++)
        at += (size_t)sprintf(text + at, "a%d=${a%d}\n", i, i + 1);
    sprintf(text + at, "a%d=1\n", LONG);
    char *outcome = hocon_outcome(text, strlen(text), NULL, false, NULL);
    assert_non_null(strstr(outcome, "substitutions lead too deep"));
    free(outcome);

    at = (size_t)sprintf(text, "a=[]\n"); /* += in a row is no chain */
    for (int i = 0; i < LONG; i++)
        at += (size_t)sprintf(text + at, "a+=%d\n", i);
    outcome = hocon_outcome(text, at, NULL, false, NULL);
    assert_memory_equal(outcome, "{\"a\":[0,1,2,", 12);
    free(outcome);

    at = (size_t)sprintf(text, "p=x\n"); /* hundreds of looks back are fine */
    for (int i = 0; i < 400; i++)
        at += (size_t)sprintf(text + at, "p=${p}y\n");
    outcome = hocon_outcome(text, at, NULL, false, NULL);
    assert_int_equal(strlen(outcome), strlen("{\"p\":\"x\"}") + 400);
    free(outcome);
    free(text);
}

static void many_keys_stay_quick(void **state)
{
    (void)state;
    enum { MANY = 50000 };
    char *text = malloc((size_t)MANY * 30);
    assert_non_null(text);
    size_t at = 0;
    for (int i = 0; i < MANY; i++)
        at += (size_t)sprintf(text + at, "a.k%d=[${?b},%d]\n", i, i);
    char *outcome = hocon_outcome(text, at, NULL, false, NULL);
    assert_memory_equal(outcome, "{\"a\":{\"k0\":[0],\"k1\":[1],", 24);
    free(outcome);
    free(text);
}

CASES_MAIN(cmocka_unit_test(duplicate_keys_merge), cmocka_unit_test(texts_concatenate),
           cmocka_unit_test(lists_and_objects_concatenate), cmocka_unit_test(numbered_objects_join_lists),
           cmocka_unit_test(plus_equals_appends), cmocka_unit_test(substitutions_look_forward),
           cmocka_unit_test(undefined_substitutions),
           cmocka_unit_test(hidden_substitutions_are_not_looked_at),
           cmocka_unit_test(self_references_look_back), cmocka_unit_test(cycles_are_reported),
           cmocka_unit_test(substitution_syntax), cmocka_unit_test(environment_is_the_last_resort),
           cmocka_unit_test(multiplying_substitutions_are_limited), cmocka_unit_test(chains_are_limited),
           cmocka_unit_test(many_keys_stay_quick))
