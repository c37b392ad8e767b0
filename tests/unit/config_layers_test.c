#include "support/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/settings.h"

#define PRODUCER SL_ROOT "stream.connector.producer"
#define CONSUMER SL_ROOT "stream.connector.consumer"
#define GROUP    SL_ROOT "stream.consumer.group"
#define LEVEL    SL_ROOT "log.level"

/* A directory of the test's own, which is the working directory, HOME and XDG_CONFIG_HOME's parent. */
struct place {
    char directory[64];
    sl_config *config;
    sl_error error;
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    strcpy(place->directory, "/tmp/sl-config-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    assert_int_equal(chdir(place->directory), 0);
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
    assert_null(place->config);
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

static void defaults_are_the_tables(void **state)
{
    struct place *place = *state;
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++) {
        const char *value = sl_config_get(place->config, setting->path);
        if (setting->value && !sl_setting_is_named(setting)) {
            assert_string_equal(value, setting->value);
            assert_string_equal(sl_config_origin(place->config, setting->path), "default");
        } else {
            assert_null(value);
            assert_null(sl_config_origin(place->config, setting->path));
        }
    }
    assert_string_equal(sl_config_get(place->config, PRODUCER), "kafka-connector");
    assert_string_equal(sl_config_get(place->config, CONSUMER), "kafka-connector");
    assert_int_equal(sl_config_check(place->config, &place->error), SL_OK);
}

static void the_requirements_example(void **state)
{
    struct place *place = *state;
    static const char text[] = "here.platform.data-client.stream.connector {\n"
                               "producer = \"http-connector\"\n"
                               "consumer = http-connector\n"
                               "}\n";
    assert_int_equal(sl_config_parse(place->config, text, strlen(text), "example", &place->error), SL_OK);
    assert_string_equal(sl_config_get(place->config, PRODUCER), "http-connector");
    assert_string_equal(sl_config_get(place->config, CONSUMER), "http-connector");
    assert_string_equal(sl_config_origin(place->config, PRODUCER), "example:2");
    assert_string_equal(sl_config_origin(place->config, CONSUMER), "example:3");
    assert_int_equal(sl_config_check(place->config, &place->error), SL_OK);
}

static void usual_places_in_order(void **state)
{
    struct place *place = *state;
    mkdir(".config", 0755);
    mkdir(".config/streamlayer", 0755);
    write_file(".config/streamlayer/application.conf",
               PRODUCER " = http-connector\n" GROUP " = user\n" LEVEL " = info\n");
    write_file("application.conf", GROUP " = here\n" LEVEL " = debug\n");
    setenv("STREAMLAYER_LOG_LEVEL", "error", 1);
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_OK);
    assert_string_equal(sl_config_get(place->config, PRODUCER), "http-connector");
    assert_string_equal(sl_config_get(place->config, GROUP), "here");
    assert_string_equal(sl_config_origin(place->config, GROUP), "application.conf:1");
    assert_string_equal(sl_config_get(place->config, LEVEL), "error");
    assert_string_equal(sl_config_origin(place->config, LEVEL), "environment STREAMLAYER_LOG_LEVEL");
    assert_string_equal(sl_config_get(place->config, CONSUMER), "kafka-connector");
}

static void xdg_directory_instead_of_config(void **state)
{
    struct place *place = *state;
    char directory[128];
    snprintf(directory, sizeof directory, "%s/x", place->directory);
    mkdir("x", 0755);
    mkdir("x/streamlayer", 0755);
    write_file("x/streamlayer/application.conf", GROUP " = xdg\n");
    setenv("XDG_CONFIG_HOME", directory, 1);
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_OK);
    assert_string_equal(sl_config_get(place->config, GROUP), "xdg");
}

static void a_named_file_replaces_the_directorys(void **state)
{
    struct place *place = *state;
    write_file("application.conf", GROUP " = here\n");
    write_file("named.conf", LEVEL " = info\n");
    write_file("given.conf", LEVEL " = error\n");
    setenv("STREAMLAYER_CONFIG", "named.conf", 1);
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_OK);
    assert_string_equal(sl_config_get(place->config, LEVEL), "info");
    assert_null(sl_config_get(place->config, GROUP));
    assert_int_equal(sl_config_load(place->config, "given.conf", &place->error), SL_OK);
    assert_string_equal(sl_config_get(place->config, LEVEL), "error");
    assert_null(sl_config_get(place->config, GROUP));
}

static void a_named_file_must_be_there(void **state)
{
    struct place *place = *state;
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_OK);
    assert_int_equal(sl_config_load(place->config, "missing.conf", &place->error), SL_IO);
    assert_non_null(strstr(place->error.text, "missing.conf"));
    setenv("STREAMLAYER_CONFIG", "lost.conf", 1);
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_IO);
    assert_non_null(strstr(place->error.text, "lost.conf"));
    assert_non_null(strstr(place->error.text, "STREAMLAYER_CONFIG"));
}

static void every_variable_sets_its_setting(void **state)
{
    struct place *place = *state;
    const struct sl_setting *setting;
    size_t count = 0;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++)
        if (setting->environment)
            setenv(setting->environment, setting->type == SL_CHOICE ? setting->choices[0] : "http://x", 1);
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_OK);
    for (size_t i = 0; (setting = sl_setting_at(i)); i++) {
        if (!setting->environment)
            continue;
        char origin[128];
        snprintf(origin, sizeof origin, "environment %s", setting->environment);
        assert_string_equal(sl_config_origin(place->config, setting->path), origin);
        count++;
    }
    assert_true(count >= 7);
    /* A URL in the environment means a custom platform, whatever a file says. */
    assert_string_equal(sl_config_get(place->config, SL_ROOT "endpoint-locator.discovery-service-env"),
                        "custom");
}

static void empty_variables_count_as_unset(void **state)
{
    struct place *place = *state;
    setenv("STREAMLAYER_CONNECTOR_PRODUCER", "", 1);
    setenv("STREAMLAYER_CONFIG", "", 1);
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_OK);
    assert_string_equal(sl_config_get(place->config, PRODUCER), "kafka-connector");
}

static void set_wins_over_what_was_there(void **state)
{
    struct place *place = *state;
    setenv("STREAMLAYER_GROUP", "env", 1);
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_OK);
    assert_int_equal(sl_config_set(place->config, GROUP, "a = b { \"c\" }", &place->error), SL_OK);
    assert_string_equal(sl_config_get(place->config, GROUP), "a = b { \"c\" }");
    assert_string_equal(sl_config_origin(place->config, GROUP), "API");
    assert_int_equal(sl_config_set(place->config, "a..b", "x", &place->error), SL_BAD_CONFIG);
    assert_int_equal(sl_config_set(place->config, NULL, "x", &place->error), SL_INVALID_ARGUMENT);
}

static void an_error_changes_nothing(void **state)
{
    struct place *place = *state;
    assert_int_equal(sl_config_set(place->config, GROUP, "before", NULL), SL_OK);
    static const char *const bad[] = {GROUP " = after\nx = {\n", GROUP " = after\nx = ${nowhere}\n",
                                      "[1, 2]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(sl_config_parse(place->config, bad[i], strlen(bad[i]), "bad", &place->error),
                         SL_BAD_CONFIG);
        assert_non_null(strstr(place->error.text, "bad:"));
        assert_string_equal(sl_config_get(place->config, GROUP), "before");
    }
    write_file("application.conf", GROUP " = after\n}");
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_BAD_CONFIG);
    assert_non_null(strstr(place->error.text, "application.conf:2:1"));
    assert_string_equal(sl_config_get(place->config, GROUP), "before");
}

static void substitutions_reach_across_layers(void **state)
{
    struct place *place = *state;
    static const char text[] = "name = fleet\n" GROUP " = ${name}-${" LEVEL "}\n";
    assert_int_equal(sl_config_parse(place->config, text, strlen(text), "one", &place->error), SL_OK);
    assert_string_equal(sl_config_get(place->config, GROUP), "fleet-warning");
    assert_int_equal(sl_config_set(place->config, "name", "ships", &place->error), SL_OK);
    assert_string_equal(sl_config_get(place->config, GROUP), "ships-warning");
}

static void a_clone_stands_alone(void **state)
{
    struct place *place = *state;
    sl_config *clone = NULL;
    assert_int_equal(sl_config_set(place->config, GROUP, "one", NULL), SL_OK);
    assert_int_equal(sl_config_clone(place->config, &clone, &place->error), SL_OK);
    assert_int_equal(sl_config_set(place->config, GROUP, "two", NULL), SL_OK);
    assert_string_equal(sl_config_get(clone, GROUP), "one");
    sl_config_destroy(&place->config);
    assert_string_equal(sl_config_get(clone, GROUP), "one");
    sl_config_destroy(&clone);
}

static void null_and_objects_have_no_text(void **state)
{
    struct place *place = *state;
    static const char text[] = GROUP " = null\nx = [1]\ny = { z = 1 }\n";
    assert_int_equal(sl_config_parse(place->config, text, strlen(text), "t", &place->error), SL_OK);
    assert_null(sl_config_get(place->config, GROUP));
    assert_null(sl_config_origin(place->config, GROUP));
    assert_null(sl_config_get(place->config, "x"));
    assert_null(sl_config_get(place->config, "y"));
    assert_string_equal(sl_config_get(place->config, "y.z"), "1");
    assert_string_equal(sl_config_origin(place->config, "x"), "t:2");
    assert_null(sl_config_get(place->config, "no such path"));
    assert_null(sl_config_get(place->config, "{"));
}

static void no_handle_is_an_error_not_a_crash(void **state)
{
    struct place *place = *state;
    sl_config *none = NULL;
    assert_int_equal(sl_config_load(NULL, NULL, &place->error), SL_INVALID_HANDLE);
    assert_int_equal(sl_config_set(NULL, "a", "b", &place->error), SL_INVALID_HANDLE);
    assert_int_equal(sl_config_check(NULL, &place->error), SL_INVALID_HANDLE);
    assert_null(sl_config_get(NULL, "a"));
    assert_null(sl_config_origin(NULL, "a"));
    assert_int_equal(sl_config_create(NULL, &place->error), SL_INVALID_ARGUMENT);
    sl_config_destroy(&none);
    sl_config_destroy(NULL);
    assert_int_equal(sl_config_each(NULL, NULL, NULL, NULL), SL_INVALID_HANDLE);
    assert_int_equal(sl_config_each(place->config, NULL, NULL, NULL), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_config_findings(NULL, NULL, NULL, &place->error), SL_INVALID_HANDLE);
    assert_int_equal(sl_config_findings(place->config, NULL, NULL, &place->error), SL_INVALID_ARGUMENT);
}

static void a_file_is_rendered_as_json(void **state)
{
    struct place *place = *state;
    char *json = NULL;
    write_file("a.conf", "b.c = [1, two]\nd = ${b.c}\n");
    assert_int_equal(sl_config_render_file("a.conf", &json, &place->error), SL_OK);
    char squeezed[256];
    size_t size = 0;
    for (const char *c = json; *c && size + 1 < sizeof squeezed; c++)
        if (*c != ' ' && *c != '\n')
            squeezed[size++] = *c;
    squeezed[size] = '\0';
    assert_string_equal(squeezed, "{\"b\":{\"c\":[1,\"two\"]},\"d\":[1,\"two\"]}");
    sl_free(json);
    assert_int_equal(sl_config_render_file("none.conf", &json, &place->error), SL_IO);
    assert_null(json);
}

/* clang-format off */
/* contexts.conf below the test's HOME. */
static void write_contexts(const char *text)
{
    assert_int_equal(mkdir(".config", 0700), 0);
    assert_int_equal(mkdir(".config/streamlayer", 0700), 0);
    write_file(".config/streamlayer/contexts.conf", text);
}

static void a_context_is_laid_where_a_file_would_be(void **state)
{
    struct place *place = *state;
    write_file("a.conf", PRODUCER " = http-connector\n" GROUP " = of-the-file\n");
    write_contexts("current = a\n"
                   "contexts.a { file = a.conf, " GROUP " = \"of-a\" }\n"
                   "contexts.b = { " GROUP " = of-b\n" SL_ROOT
                   "stream.kafka.consumer { list = [1, 2], port = 5 } }\n"
                   "contexts.c = ${contexts.b} { " CONSUMER " = http-connector }\n");
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_OK);
    assert_string_equal(sl_config_context(place->config), "a");
    assert_string_equal(sl_config_get(place->config, PRODUCER), "http-connector");
    assert_string_equal(sl_config_origin(place->config, PRODUCER), "a.conf:1");
    assert_string_equal(sl_config_get(place->config, GROUP), "of-a");
    assert_non_null(strstr(sl_config_origin(place->config, GROUP), "contexts.conf:2"));

    sl_config *other = NULL;
    assert_int_equal(sl_config_create(&other, &place->error), SL_OK);
    assert_int_equal(sl_config_load_context(other, "c", &place->error), SL_OK);
    assert_string_equal(sl_config_context(other), "c");
    assert_string_equal(sl_config_get(other, GROUP), "of-b");
    assert_string_equal(sl_config_get(other, CONSUMER), "http-connector");
    assert_string_equal(sl_config_get(other, PRODUCER), "kafka-connector");
    assert_string_equal(sl_config_get(other, SL_ROOT "stream.kafka.consumer.list"), "1,2");
    assert_int_equal(sl_config_check(other, &place->error), SL_OK);
    sl_config_destroy(&other);

    /* What is named wins, in the documented order. */
    assert_int_equal(sl_config_create(&other, &place->error), SL_OK);
    setenv("STREAMLAYER_CONTEXT", "b", 1);
    setenv("STREAMLAYER_CONFIG", "a.conf", 1);
    assert_int_equal(sl_config_load(other, NULL, &place->error), SL_OK);
    assert_string_equal(sl_config_context(other), "b");
    unsetenv("STREAMLAYER_CONTEXT");
    sl_config_destroy(&other);
    assert_int_equal(sl_config_create(&other, &place->error), SL_OK);
    assert_int_equal(sl_config_load(other, NULL, &place->error), SL_OK);
    assert_null(sl_config_context(other));
    assert_string_equal(sl_config_get(other, GROUP), "of-the-file");
    unsetenv("STREAMLAYER_CONFIG");
    sl_config_destroy(&other);
}

static void a_context_that_cannot_be_used_is_an_error(void **state)
{
    struct place *place = *state;
    write_contexts("current = gone\n"
                   "contexts.gone { file = no-such.conf }\n"
                   "contexts.empty { }\n"
                   "contexts.odd { file = [1] }\n"
                   "contexts.text = x\n");
    static const char *const names[] = {"gone", "empty", "odd", "text", "gon"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        place->error.text[0] = 0;
        assert_int_not_equal(sl_config_load_context(place->config, names[i], &place->error), SL_OK);
        assert_non_null(strstr(place->error.text, i < 4 ? "contexts.conf:" : "did you mean \"gone\""));
        assert_null(sl_config_context(place->config));
        assert_string_equal(sl_config_get(place->config, PRODUCER), "kafka-connector");
    }
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_IO);
    assert_non_null(strstr(place->error.text, "context gone"));
    assert_int_equal(sl_config_load_context(place->config, "", &place->error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_config_load_context(NULL, "gone", &place->error), SL_INVALID_HANDLE);
    assert_null(sl_config_context(NULL));
}

CASES_MAIN(
    cmocka_unit_test_setup_teardown(defaults_are_the_tables, setup, teardown),
    cmocka_unit_test_setup_teardown(the_requirements_example, setup, teardown),
    cmocka_unit_test_setup_teardown(usual_places_in_order, setup, teardown),
    cmocka_unit_test_setup_teardown(xdg_directory_instead_of_config, setup, teardown),
    cmocka_unit_test_setup_teardown(a_named_file_replaces_the_directorys, setup, teardown),
    cmocka_unit_test_setup_teardown(a_named_file_must_be_there, setup, teardown),
    cmocka_unit_test_setup_teardown(a_context_is_laid_where_a_file_would_be, setup, teardown),
    cmocka_unit_test_setup_teardown(a_context_that_cannot_be_used_is_an_error, setup, teardown),
    cmocka_unit_test_setup_teardown(every_variable_sets_its_setting, setup, teardown),
    cmocka_unit_test_setup_teardown(empty_variables_count_as_unset, setup, teardown),
    cmocka_unit_test_setup_teardown(set_wins_over_what_was_there, setup, teardown),
    cmocka_unit_test_setup_teardown(an_error_changes_nothing, setup, teardown),
    cmocka_unit_test_setup_teardown(substitutions_reach_across_layers, setup, teardown),
    cmocka_unit_test_setup_teardown(a_clone_stands_alone, setup, teardown),
    cmocka_unit_test_setup_teardown(null_and_objects_have_no_text, setup, teardown),
    cmocka_unit_test_setup_teardown(no_handle_is_an_error_not_a_crash, setup, teardown),
    cmocka_unit_test_setup_teardown(a_file_is_rendered_as_json, setup, teardown))
