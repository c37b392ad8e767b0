/* Which place wins, and settings by their other names. */
#include "support/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"

#define LEVEL    SL_ROOT "log.level"
#define USER     SL_ROOT "proxy.user"
#define NAME     SL_ROOT "proxy.credentials.username"
#define PASSWORD SL_ROOT "proxy.password"

/* A directory of the test's own, which is the working directory and HOME. */
struct place {
    char directory[64], system[128];
    sl_config *config;
    sl_error error;
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    strcpy(place->directory, "/tmp/sl-order-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    assert_int_equal(chdir(place->directory), 0);
    assert_int_equal(mkdir(".config", 0700), 0);
    assert_int_equal(mkdir(".config/streamlayer", 0700), 0);
    snprintf(place->system, sizeof place->system, "%s/system.conf", place->directory);
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++)
        if (setting->environment)
            unsetenv(setting->environment);
    unsetenv("STREAMLAYER_CONFIG");
    unsetenv("STREAMLAYER_CONTEXT");
    unsetenv("XDG_CONFIG_HOME");
    setenv("HOME", place->directory, 1);
    assert_int_equal(sl_config_create(&place->config, &place->error), SL_OK);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[128];
    sl_config_destroy(&place->config);
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", place->directory);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void load(struct place *place)
{
    if (sl_config_load_places(place->config, &(struct sl_places){.system = place->system}, &place->error) !=
        SL_OK)
        fail_msg("%s", place->error.text);
}

static void expect(const struct place *place, const char *path, const char *value, const char *origin)
{
    assert_string_equal(sl_config_get(place->config, path), value);
    assert_string_equal(sl_config_origin(place->config, path), origin);
}

enum step { DEFAULT, SYSTEM, OF_USER, DIRECTORY, ENVIRONMENT, COMMAND_LINE, API, STEPS };

/* Sets the value that a step has at its place; those past the environment wait for the load. */
static void prepare(const struct place *place, enum step step)
{
    static const char *const lines[] = {[SYSTEM] = LEVEL " = system\n",
                                        [OF_USER] = "\n" LEVEL " = user\n",
                                        [DIRECTORY] = "\n\n" LEVEL " = directory\n"};
    if (step == SYSTEM)
        write_file(place->system, lines[step]);
    else if (step == OF_USER)
        write_file(".config/streamlayer/application.conf", lines[step]);
    else if (step == DIRECTORY)
        write_file("application.conf", lines[step]);
    else if (step == ENVIRONMENT)
        setenv("STREAMLAYER_LOG_LEVEL", "environment", 1);
}

static void each_step_wins_over_those_before(void **state)
{
    struct place *place = *state;
    char system[160], user[160];
    snprintf(system, sizeof system, "%s:1", place->system);
    snprintf(user, sizeof user, "%s/.config/streamlayer/application.conf:2", place->directory);
    const char *const expected[STEPS][2] = {
        [DEFAULT] = {"warning", "default"},
        [SYSTEM] = {"system", system},
        [OF_USER] = {"user", user},
        [DIRECTORY] = {"directory", "application.conf:3"},
        [ENVIRONMENT] = {"environment", "environment STREAMLAYER_LOG_LEVEL"},
        [COMMAND_LINE] = {"command line", "-D"},
        [API] = {"program", "API"},
    };
    for (enum step top = DEFAULT; top < STEPS; top++) {
        sl_config_destroy(&place->config);
        assert_int_equal(sl_config_create(&place->config, &place->error), SL_OK);
        prepare(place, top);
        load(place);
        if (top >= COMMAND_LINE)
            assert_int_equal(sl_config_set_from(place->config, LEVEL, "command line", "-D", NULL), SL_OK);
        if (top >= API)
            assert_int_equal(sl_config_set(place->config, LEVEL, "program", NULL), SL_OK);
        expect(place, LEVEL, expected[top][0], expected[top][1]);
    }
}

static void the_systems_file_is_that_of_the_installation(void **state)
{
    struct place *place = *state;
    static const char end[] = "/etc/streamlayer/application.conf";
    size_t size = strlen(SL_SYSTEM_FILE);
    assert_true(SL_SYSTEM_FILE[0] == '/' && size >= strlen(end));
    assert_string_equal(SL_SYSTEM_FILE + size - strlen(end), end);
    /* It may be missing, but not be broken. */
    load(place);
    write_file(place->system, LEVEL " = {\n");
    assert_int_equal(
        sl_config_load_places(place->config, &(struct sl_places){.system = place->system}, &place->error),
        SL_BAD_CONFIG);
    assert_non_null(strstr(place->error.text, "system.conf:2:"));
}

static void another_name_sets_the_setting(void **state)
{
    struct place *place = *state;
    write_file("application.conf", "\n" SL_ROOT "proxy { host = h, user = mine\n password = hush }\n");
    load(place);
    expect(place, NAME, "mine", "application.conf:2");
    expect(place, SL_ROOT "proxy.credentials.password", "hush", "application.conf:3");
    assert_int_equal(sl_config_check(place->config, &place->error), SL_OK);
    struct sl_proxy proxy;
    assert_int_equal(sl_config_proxy(place->config, false, &proxy, &place->error), SL_OK);
    assert_string_equal(proxy.url, "http://mine:hush@h:8080");
    sl_proxy_free(&proxy);
}

static void later_files_win_by_either_name(void **state)
{
    struct place *place = *state;
    write_file(place->system, USER " = a\n");
    write_file("application.conf", NAME " = b\n");
    load(place);
    expect(place, NAME, "b", "application.conf:1");

    write_file(place->system, NAME " = a\n");
    write_file("application.conf", USER " = b\n");
    load(place);
    expect(place, NAME, "b", "application.conf:1");

    write_file(place->system, USER " = a\n");
    write_file("application.conf", "\n" USER " = b\n");
    load(place);
    expect(place, NAME, "b", "application.conf:2");

    write_file("application.conf", USER " = null\n");
    load(place);
    assert_null(sl_config_get(place->config, NAME));

    /* Given to a configuration that has some already. */
    static const char text[] = USER " = c";
    assert_int_equal(sl_config_parse(place->config, text, strlen(text), "text", NULL), SL_OK);
    expect(place, NAME, "c", "text:1");
    write_file("d.conf", NAME " = d");
    assert_int_equal(sl_config_load_file(place->config, "d.conf", NULL), SL_OK);
    expect(place, NAME, "d", "d.conf:1");
    write_file("d.conf", USER " = e");
    assert_int_equal(sl_config_load_file(place->config, "d.conf", NULL), SL_OK);
    expect(place, NAME, "e", "d.conf:1");
}

static void names_that_come_by_substitution(void **state)
{
    struct place *place = *state;
    write_file("application.conf", "common { user = mine }\n" SL_ROOT "proxy = ${common}\n");
    load(place);
    expect(place, NAME, "mine", "application.conf:1");
    setenv("STREAMLAYER_LOG_LEVEL", "debug", 1);
    load(place);
    expect(place, NAME, "mine", "application.conf:1");
    assert_int_equal(sl_config_set(place->config, NAME, "set", NULL), SL_OK);
    expect(place, NAME, "set", "API");
    /* Where the file sets the setting itself, what may come in besides does not count. */
    write_file(place->system, USER " = system\n");
    write_file("application.conf",
               "other { port = 1 }\n" SL_ROOT "proxy = ${other} { credentials.username = b }\n");
    load(place);
    expect(place, NAME, "b", "application.conf:2");
    write_file("application.conf", NAME " = ${?" USER "}\n" SL_ROOT "proxy.exclude = ${" NAME "}\n");
    load(place);
    expect(place, NAME, "system", sl_config_origin(place->config, USER));
    assert_string_equal(sl_config_get(place->config, SL_ROOT "proxy.exclude"), "system");
}

static void other_names_set_one_by_one(void **state)
{
    struct place *place = *state;
    write_file("application.conf", NAME " = file\n");
    load(place);
    assert_int_equal(sl_config_set(place->config, SL_ROOT "proxy.\"user\"", "mine", &place->error), SL_OK);
    expect(place, NAME, "mine", "API");
    assert_null(sl_config_get(place->config, USER));
    write_file(".config/streamlayer/contexts.conf", "current = a\ncontexts.a { " USER " = context }\n");
    assert_int_equal(unlink("application.conf"), 0);
    load(place);
    assert_string_equal(sl_config_get(place->config, NAME), "context");
    assert_non_null(strstr(sl_config_origin(place->config, NAME), "contexts.conf:2"));
}

static void both_names_in_one_file_are_an_error(void **state)
{
    struct place *place = *state;
    write_file("application.conf", USER " = a\n\n" NAME " = b\n");
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_BAD_CONFIG);
    assert_string_equal(place->error.text, "application.conf:1: " USER " is another name of " NAME
                                           ", which application.conf:3 sets: leave one of them out");
    static const char text[] = SL_ROOT "proxy { password = a, credentials = ${?none} { password = b } }";
    assert_int_equal(sl_config_parse(place->config, text, strlen(text), "text", &place->error),
                     SL_BAD_CONFIG);
    assert_string_equal(place->error.text,
                        "text:1: " PASSWORD " is another name of " SL_ROOT
                        "proxy.credentials.password, which text:1 sets: leave one of them out");
    assert_null(sl_config_get(place->config, NAME));
}

static void refuses_contexts(struct place *place, const char *text, const char *message)
{
    char expected[400];
    snprintf(expected, sizeof expected, "%s/.config/streamlayer/contexts.conf:%s", place->directory, message);
    write_file(".config/streamlayer/contexts.conf", text);
    if (sl_config_load(place->config, NULL, &place->error) != SL_BAD_CONFIG)
        fail_msg("no error: %s", message);
    assert_string_equal(place->error.text, expected);
}

static void contexts_say_what_they_seem_to(void **state)
{
    struct place *place = *state;
    static const char *const rows[][2] = {
        {"current = [a]\ncontexts.a { x = 1 }",
         "1: current is a context's name, and is given a list; write current = NAME"},
        {"\ncurrent { a = 1 }",
         "2: current is a context's name, and is given a section; write current = NAME"},
        {"contexts = 5", "1: contexts is a section, and is given one value; write contexts.NAME { ... }"},
        {"contexts = [a]", "1: contexts is a section, and is given a list; write contexts.NAME { ... }"},
        {"[a]", "1: a list, expected contexts.NAME { ... } and current = NAME"},
        {"curent = a\ncontexts.a { x = 1 }", "1: unknown name curent (did you mean current?)"},
        {"context.a { x = 1 }", "1: unknown name context (did you mean contexts?)"},
        {"prod { x = 1 }", "1: unknown name prod; known there: current, contexts, and what a ${substitution} "
                           "in the file refers to"},
        {"current = a\ncontexts.a { files = x }", "2: context a: unknown name files (did you mean file?)"},
        {"current = a\ncontexts.a { her.platform = x }",
         "2: context a: unknown name her (did you mean here?)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refuses_contexts(place, rows[i][0], rows[i][1]);
    write_file(".config/streamlayer/contexts.conf",
               "common { " LEVEL " = debug }\ncontexts.5 = ${common}\ncurrent = 5\n");
    load(place);
    assert_string_equal(sl_config_context(place->config), "5");
    assert_string_equal(sl_config_get(place->config, LEVEL), "debug");
    write_file(".config/streamlayer/contexts.conf", "contexts = null\ncurrent = null\n");
    load(place);
    assert_null(sl_config_context(place->config));
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(each_step_wins_over_those_before, setup, teardown),
    cmocka_unit_test_setup_teardown(the_systems_file_is_that_of_the_installation, setup, teardown),
    cmocka_unit_test_setup_teardown(another_name_sets_the_setting, setup, teardown),
    cmocka_unit_test_setup_teardown(later_files_win_by_either_name, setup, teardown),
    cmocka_unit_test_setup_teardown(names_that_come_by_substitution, setup, teardown),
    cmocka_unit_test_setup_teardown(other_names_set_one_by_one, setup, teardown),
    cmocka_unit_test_setup_teardown(both_names_in_one_file_are_an_error, setup, teardown),
    cmocka_unit_test_setup_teardown(contexts_say_what_they_seem_to, setup, teardown))
