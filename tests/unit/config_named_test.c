/* Sections whose names people choose (SL_NAMED): checks, defaults, reading. The gateway's table is
 * this test's own. */
#include "support/cases.h"

#include <stdlib.h>
#include <string.h>

#include "config/mask.h"
#include "config/reference.h"
#include "config/settings.h"

#define HEROES "streamlayer.gateway.heroes"

static const char *const capes[] = {"red", "black", NULL};

const struct sl_setting sl_gateway_settings[] = {
    {.path = HEROES, .type = SL_NAMED, .meaning = "Those who help."},
    {.path = HEROES ".NAME.home", .type = SL_FILE, .readable = true, .meaning = "Where one lives."},
    {.path = HEROES ".NAME.arms",
     .type = SL_INTEGER,
     .value = "2",
     .min = 0,
     .max = 8,
     .reload = true,
     .meaning = "How many."},
    {.path = HEROES ".NAME.suit.cape",
     .type = SL_CHOICE,
     .value = "red",
     .choices = capes,
     .noun = "cape",
     .meaning = "Its colour."},
    {.path = HEROES ".NAME.alias", .type = SL_SECRET, .meaning = "Who it is."},
    {.path = HEROES ".NAME.habits", .type = SL_SECTION, .meaning = "As they are."},
};
const size_t sl_gateway_setting_count = sizeof sl_gateway_settings / sizeof *sl_gateway_settings;

static sl_config *config;
static sl_error failure;

static int setup(void **state)
{
    (void)state;
    return sl_config_create(&config, NULL) == SL_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    sl_config_destroy(&config);
    return 0;
}

static void lay(const char *text)
{
    if (sl_config_parse(config, text, strlen(text), "t", &failure) != SL_OK)
        fail_msg("%s", failure.text);
}

static bool note(void *opaque, sl_finding_level level, const char *path, const char *origin, const char *text)
{
    (void)path;
    (void)origin;
    char *seen = opaque;
    size_t length = strlen(seen);
    snprintf(seen + length, 2000 - length, "%s%s\n", level == SL_FINDING_NOTE ? "note " : "", text);
    return true;
}

static void finds(const char *text, const char *expected)
{
    char seen[2000] = "";
    sl_config *laid = NULL;
    assert_int_equal(sl_config_clone(config, &laid, NULL), SL_OK);
    if (sl_config_parse(laid, text, strlen(text), "t", &failure) != SL_OK)
        fail_msg("%s", failure.text);
    assert_int_equal(sl_config_findings(laid, note, seen, &failure), SL_OK);
    assert_string_equal(seen, expected);
    sl_config_destroy(&laid);
}

static void right_ones_pass(void **state)
{
    (void)state;
    finds(HEROES " {}", "");
    finds(HEROES " { bat-man { arms = 3, suit.cape = black, alias = bruce, habits { a.b = 1, c = [1, 2] } }, "
                 "spider_man_2 {}, 3 { arms = 8 } }",
          "");
    finds(HEROES ".gone = null", "");
    finds(HEROES " = null", "");
}

static void wrong_ones_are_told(void **state)
{
    (void)state;
    finds(HEROES " = none", "t:1: " HEROES " = \"none\": not a section; allowed: a section, "
                            "{ name { setting = value ... } ... }\n");
    finds(HEROES ".bat.arms = 9",
          "t:1: " HEROES ".bat.arms = 9: out of range; allowed: a whole number from 0 to 8\n");
    finds(HEROES ".bat.arms = null",
          "t:1: " HEROES ".bat.arms = null: it needs a value; allowed: a whole number from 0 to "
          "8; without the line it is 2\n");
    finds(HEROES ".bat.suit.cape = blak",
          "t:1: " HEROES ".bat.suit.cape = \"blak\": unknown cape; allowed: red, black (did "
          "you mean black?)\n");
    finds(HEROES ".bat.arm = 1", "t:1: unknown setting " HEROES ".bat.arm (did you mean arms?)\n");
    finds(HEROES ".bat.wings = 1",
          "t:1: unknown setting " HEROES ".bat.wings; known there: home, arms, suit, alias, habits\n");
    finds(HEROES ".bat.suit.hood = 1", "t:1: unknown setting " HEROES ".bat.suit.hood; known there: cape\n");
    finds(HEROES ".bat.suit = 1",
          "t:1: " HEROES ".bat.suit is a section, and is given one value; write " HEROES
          ".bat.suit { ... }\n");
    finds(HEROES ".bat.home = /none/there",
          "t:1: " HEROES ".bat.home = \"/none/there\": cannot be read: No such file or "
          "directory\n");
    finds(HEROES ".bat = 1",
          "t:1: " HEROES ".bat is a section, and is given one value; write " HEROES ".bat { ... }\n");
}

static void wrong_names_are_told(void **state)
{
    (void)state;
    const char *rule =
        "is no name; allowed: 1 to 64 letters, digits, '-' and '_', the first a letter or digit\n";
    static const char *const names[] = {
        "bat man", "bat.man", "-bat",
        "",        "*",       "a2345678901234567890123456789012345678901234567890123456789012345"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[200], expected[400];
        snprintf(text, sizeof text, HEROES ".\"%s\".arms = 1", names[i]);
        snprintf(expected, sizeof expected, "t:1: in " HEROES ": \"%s\" %s", names[i], rule);
        finds(text, expected);
    }
    finds(HEROES ".arms = 1", "t:1: in " HEROES ": a name is missing in front of arms; write " HEROES
                              " { name { arms = ... } }\n");
    finds(HEROES ".suit { cape = red }",
          "t:1: in " HEROES ": a name is missing in front of suit; write " HEROES
          " { name { suit = ... } }\n");
}

static void names_have_defaults(void **state)
{
    (void)state;
    int64_t arms = 0;
    const char *cape = NULL;
    lay(HEROES " { bat { suit.cape = black }, spider.arms = 8 }");
    assert_int_equal(sl_config_integer(config, HEROES ".bat.arms", &arms, &failure), SL_OK);
    assert_int_equal(arms, 2);
    assert_string_equal(sl_config_origin(config, HEROES ".bat.arms"), "default");
    assert_int_equal(sl_config_integer(config, HEROES ".spider.arms", &arms, &failure), SL_OK);
    assert_int_equal(arms, 8);
    assert_int_equal(sl_config_choice(config, HEROES ".spider.suit.cape", &cape, &failure), SL_OK);
    assert_string_equal(cape, "red");
    assert_null(sl_config_get(config, HEROES ".bat.home"));
    /* What is laid later counts, whether or not a default stood there. */
    lay(HEROES ".bat.arms = 4");
    assert_int_equal(sl_config_integer(config, HEROES ".bat.arms", &arms, &failure), SL_OK);
    assert_int_equal(arms, 4);
    assert_int_equal(sl_config_set(config, HEROES ".ant.suit.cape", "black", &failure), SL_OK);
    assert_int_equal(sl_config_integer(config, HEROES ".ant.arms", &arms, &failure), SL_OK);
    assert_int_equal(arms, 2);
    assert_int_equal(sl_config_integer(config, HEROES ".nobody.arms", &arms, &failure), SL_BAD_CONFIG);
    assert_string_equal(failure.text,
                        HEROES ".nobody.arms is not set, or null; allowed: a whole number from 0 to 8");
}

static void a_name_may_take_from_another(void **state)
{
    (void)state;
    int64_t arms = 0;
    lay(HEROES ".bat { arms = 5, suit.cape = black }");
    lay(HEROES ".robin = ${" HEROES ".bat} { arms = 1 }");
    assert_int_equal(sl_config_integer(config, HEROES ".robin.arms", &arms, &failure), SL_OK);
    assert_int_equal(arms, 1);
    assert_string_equal(sl_config_get(config, HEROES ".robin.suit.cape"), "black");
}

static void names_are_listed(void **state)
{
    (void)state;
    assert_null(sl_config_name_at(config, HEROES, 0));
    lay(HEROES " { bat {}, gone { arms = 1 }, 7 { arms = 3 }, \"bad name\" { arms = 1 } }");
    lay(HEROES ".gone = null");
    const char *expected[] = {"bat", "7"};
    for (size_t i = 0; i < 2; i++) {
        const char *name = sl_config_name_at(config, HEROES, i);
        assert_non_null(name);
        assert_true(strcmp(name, expected[0]) == 0 || strcmp(name, expected[1]) == 0);
    }
    assert_null(sl_config_name_at(config, HEROES, 2));
}

static void a_lost_default_is_told(void **state)
{
    (void)state;
    finds(HEROES ".bat { suit = 1, suit.cape = ${?NOTHING_AT_ALL_X} }",
          "t:1: " HEROES ".bat.suit.cape has lost its default, red: what it lies in was given one value "
          "before, which hides it; leave that out\n");
}

static void secrets_are_known(void **state)
{
    (void)state;
    assert_true(sl_is_secret(HEROES ".bat.alias", "alias"));
    assert_false(sl_is_secret(HEROES ".secret", "secret"));
    assert_false(sl_is_secret(HEROES ".bat.arms", "arms"));
    assert_true(sl_is_secret(HEROES ".bat.habits.sasl.password", "sasl.password"));
}

static void they_are_found(void **state)
{
    (void)state;
    assert_ptr_equal(sl_setting_find(HEROES ".bat.arms"), &sl_gateway_settings[2]);
    assert_ptr_equal(sl_setting_find(HEROES), &sl_gateway_settings[0]);
    assert_null(sl_setting_find(HEROES ".bat"));
    assert_null(sl_setting_find(HEROES "..arms"));
    assert_null(sl_setting_find(HEROES ".bat.arms.left"));
    assert_true(sl_setting_is_group(HEROES ".bat"));
    assert_true(sl_setting_is_group(HEROES ".bat.suit"));
    assert_false(sl_setting_is_group(HEROES ".bat.arms"));
    assert_false(sl_setting_is_group(HEROES ".bat.none"));
}

static void a_typed_path_is_completed(void **state)
{
    (void)state;
    char path[100], little[20];
    const struct sl_setting *arms = &sl_gateway_settings[2];
    assert_true(sl_setting_path_typed(arms, HEROES ".bat.", path, sizeof path));
    assert_string_equal(path, HEROES ".bat.arms");
    assert_true(sl_setting_path_typed(arms, HEROES ".bat.arms=4", path, sizeof path));
    assert_string_equal(path, HEROES ".bat.arms");
    assert_false(sl_setting_path_typed(arms, HEROES ".", path, sizeof path));
    assert_false(sl_setting_path_typed(arms, HEROES ".ba", path, sizeof path));
    assert_false(sl_setting_path_typed(arms, "streamlayer", path, sizeof path));
    assert_false(sl_setting_path_typed(arms, HEROES ".bat.", little, sizeof little));
    assert_false(sl_setting_path_typed(&sl_gateway_settings[0], HEROES ".bat.", path, sizeof path));
}

static void they_are_written_out(void **state)
{
    (void)state;
    struct sl_buffer text;
    sl_buffer_init(&text, 1 << 20);
    sl_reference_conf(&text);
    assert_non_null(strstr(text.data, "\n# " HEROES " { name { setting = value ... } ... }\n"));
    assert_non_null(strstr(text.data, "\n# " HEROES ".NAME.arms = 2\n"));
    assert_non_null(strstr(text.data, "\n# " HEROES ".NAME.suit.cape = \"red\"\n"));
    sl_buffer_free(&text);
    sl_buffer_init(&text, 1 << 20);
    sl_reference_markdown(&text, SL_GATEWAY_TABLE);
    assert_non_null(strstr(text.data, "| `heroes.NAME.arms` | 0 to 8 |  | `2` | yes | How many. |\n"));
    assert_non_null(strstr(text.data, "| `heroes.NAME.alias` | text, secret |  |  |  | Who it is. |\n"));
    sl_buffer_free(&text);
}

static void note_difference(void *opaque, const struct sl_setting *setting, const char *path)
{
    char *seen = opaque;
    size_t length = strlen(seen);
    snprintf(seen + length, 2000 - length, "%s%s\n", path + strlen("streamlayer.gateway."),
             setting->reload ? " reload" : "");
}

static void differ(const char *before, const char *after, const char *expected)
{
    char seen[2000] = "";
    sl_config *one = NULL, *other = NULL;
    assert_int_equal(sl_config_clone(config, &one, NULL), SL_OK);
    assert_int_equal(sl_config_clone(config, &other, NULL), SL_OK);
    assert_int_equal(sl_config_parse(one, before, strlen(before), "t", &failure), SL_OK);
    assert_int_equal(sl_config_parse(other, after, strlen(after), "t", &failure), SL_OK);
    assert_int_equal(sl_config_compare(one, other, note_difference, seen, &failure), SL_OK);
    assert_string_equal(seen, expected);
    sl_config_destroy(&one);
    sl_config_destroy(&other);
}

static void differences_are_found(void **state)
{
    (void)state;
    differ("", "", "");
    differ(HEROES ".bat.arms = 3", HEROES ".bat.arms = \"3\"", "");
    differ(HEROES ".bat.arms = 3", HEROES ".bat.arms = 4", "heroes.bat.arms reload\n");
    differ(HEROES ".bat.arms = 2", HEROES ".bat {}", ""); /* its default */
    differ(HEROES ".bat.suit.cape = black", HEROES ".bat {}", "heroes.bat.suit.cape\n");
    differ(HEROES ".bat.habits { a = 1 }", HEROES ".bat.habits { a = 2 }", "heroes.bat.habits\n");
    differ("", HEROES ".bat.alias = x", "heroes.bat.alias\n");
    differ(HEROES ".bat.alias = x", "", "heroes.bat.alias\n");
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(right_ones_pass, setup, teardown),
    cmocka_unit_test_setup_teardown(wrong_ones_are_told, setup, teardown),
    cmocka_unit_test_setup_teardown(wrong_names_are_told, setup, teardown),
    cmocka_unit_test_setup_teardown(names_have_defaults, setup, teardown),
    cmocka_unit_test_setup_teardown(a_name_may_take_from_another, setup, teardown),
    cmocka_unit_test_setup_teardown(names_are_listed, setup, teardown),
    cmocka_unit_test_setup_teardown(a_lost_default_is_told, setup, teardown),
    cmocka_unit_test_setup_teardown(differences_are_found, setup, teardown),
    cmocka_unit_test(secrets_are_known),
    cmocka_unit_test(they_are_found),
    cmocka_unit_test(a_typed_path_is_completed),
    cmocka_unit_test(they_are_written_out))
