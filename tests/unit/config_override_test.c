/* stream.layers: connectors of single layers. What comes from files and contexts is in a directory of the
 * test's own. */
#include "support/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/settings.h"
#include "wire/hrn.h"

#define PRODUCER SL_ROOT "stream.connector.producer"
#define CONSUMER SL_ROOT "stream.connector.consumer"
#define LAYERS   SL_ROOT "stream.layers"
#define CATALOG  "hrn:here:data::local:cat"
#define OTHER    "hrn:here:data::local:other"
#define KAFKA    "kafka-connector"
#define HTTP     "http-connector"

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

static void lay(struct place *place, const char *text)
{
    if (sl_config_parse(place->config, text, strlen(text), "app.conf", &place->error))
        fail_msg("%s", place->error.text);
}

/* The path, without here.platform.data-client.stream, that says it, and the origin, in brackets. */
static void chooses(const sl_config *config, const char *path, const char *hrn, const char *layer,
                    const char *connector, const char *by)
{
    sl_error error = {.text = ""};
    const char *value = NULL;
    char *from = NULL, shown[600];
    if (sl_config_layer_choice(config, path, hrn, layer, &value, &from, &error))
        fail_msg("%s", error.text);
    assert_string_equal(value, connector);
    assert_memory_equal(from, SL_ROOT "stream.", strlen(SL_ROOT "stream."));
    snprintf(shown, sizeof shown, "%s (%s)", from + strlen(SL_ROOT "stream."),
             sl_config_origin(config, from));
    assert_string_equal(shown, by);
    free(from);
}

static void the_nearest_wins(void **state)
{
    struct place *place = *state;
    lay(place, SL_ROOT "stream {\n"
                       " connector { producer = http-connector }\n"
                       " layers {\n"
                       "  \"" CATALOG "\" {\n"
                       "   \"*\".connector { producer = kafka-connector, consumer = http-connector }\n"
                       "   b.connector.producer = http-connector\n"
                       "  }\n"
                       " }\n"
                       "}\n");
    assert_int_equal(sl_config_check(place->config, &place->error), SL_OK);
    chooses(place->config, PRODUCER, CATALOG, "b", HTTP,
            "layers.\"" CATALOG "\".b.connector.producer (app.conf:6)");
    /* Each side by itself. */
    chooses(place->config, CONSUMER, CATALOG, "b", HTTP,
            "layers.\"" CATALOG "\".\"*\".connector.consumer (app.conf:5)");
    chooses(place->config, PRODUCER, CATALOG, "a", KAFKA,
            "layers.\"" CATALOG "\".\"*\".connector.producer (app.conf:5)");
    chooses(place->config, PRODUCER, OTHER, "b", HTTP, "connector.producer (app.conf:2)");
    chooses(place->config, CONSUMER, OTHER, "b", KAFKA, "connector.consumer (default)");
    chooses(place->config, CONSUMER, NULL, NULL, KAFKA, "connector.consumer (default)");
    /* Names are not patterns, nor do they begin alike. */
    chooses(place->config, PRODUCER, CATALOG "alog", "b", HTTP, "connector.producer (app.conf:2)");
}

static void null_says_nothing(void **state)
{
    struct place *place = *state;
    lay(place, LAYERS ".\"" CATALOG "\" {\n"
                      " \"*\".connector { producer = http-connector, consumer = null }\n"
                      " a.connector.producer = null\n"
                      " b.connector = null\n"
                      " c = null\n"
                      "}\n" LAYERS ".\"" OTHER "\" = null\n");
    assert_int_equal(sl_config_check(place->config, &place->error), SL_OK);
    for (const char *layer = "abc"; *layer; layer++) {
        const char id[] = {*layer, '\0'};
        chooses(place->config, PRODUCER, CATALOG, id, HTTP,
                "layers.\"" CATALOG "\".\"*\".connector.producer (app.conf:2)");
        chooses(place->config, CONSUMER, CATALOG, id, KAFKA, "connector.consumer (default)");
    }
    chooses(place->config, PRODUCER, OTHER, "a", KAFKA, "connector.producer (default)");
    lay(place, LAYERS " = null\n");
    assert_int_equal(sl_config_check(place->config, &place->error), SL_OK);
    chooses(place->config, PRODUCER, CATALOG, "a", KAFKA, "connector.producer (default)");
    lay(place, LAYERS " {}\n" LAYERS ".\"" CATALOG "\" {}\n" LAYERS ".\"" OTHER "\".a { connector {} }\n");
    assert_int_equal(sl_config_check(place->config, &place->error), SL_OK);
}

static void names_with_dots(void **state)
{
    struct place *place = *state;
    lay(place, LAYERS " {\n"
                      " \"hrn:here:data::local:cat.v2\" {\n"
                      "  \"layer.with.dots\" { connector { consumer = http-connector } }\n"
                      "  plain.connector.producer = http-connector\n"
                      " }\n"
                      "}\n");
    if (sl_config_check(place->config, &place->error))
        fail_msg("%s", place->error.text);
    chooses(place->config, CONSUMER, "hrn:here:data::local:cat.v2", "layer.with.dots", HTTP,
            "layers.\"hrn:here:data::local:cat.v2\".\"layer.with.dots\".connector.consumer (app.conf:3)");
    chooses(place->config, PRODUCER, "hrn:here:data::local:cat.v2", "plain", HTTP,
            "layers.\"hrn:here:data::local:cat.v2\".plain.connector.producer (app.conf:4)");
    chooses(place->config, CONSUMER, "hrn:here:data::local:cat", "layer.with.dots", KAFKA,
            "connector.consumer (default)");
    chooses(place->config, CONSUMER, "hrn:here:data::local:cat.v2", "layer", KAFKA,
            "connector.consumer (default)");
    /* The program's names are no path expressions. */
    chooses(place->config, CONSUMER, "hrn:\"", "a.b\"", KAFKA, "connector.consumer (default)");
}

static void variables_and_single_settings(void **state)
{
    struct place *place = *state;
    write_file("application.conf", LAYERS ".\"" CATALOG "\".a.connector.producer = kafka-connector\n");
    /* The variable is for all layers: an entry for one wins over it. */
    setenv("STREAMLAYER_CONNECTOR_PRODUCER", "http-connector", 1);
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_OK);
    chooses(place->config, PRODUCER, CATALOG, "a", KAFKA,
            "layers.\"" CATALOG "\".a.connector.producer (application.conf:1)");
    chooses(place->config, PRODUCER, CATALOG, "b", HTTP,
            "connector.producer (environment STREAMLAYER_CONNECTOR_PRODUCER)");
    assert_int_equal(sl_config_set(place->config, PRODUCER, HTTP, &place->error), SL_OK);
    chooses(place->config, PRODUCER, CATALOG, "a", KAFKA,
            "layers.\"" CATALOG "\".a.connector.producer (application.conf:1)");
    chooses(place->config, PRODUCER, CATALOG, "b", HTTP, "connector.producer (API)");
    assert_int_equal(
        sl_config_set(place->config, LAYERS ".\"" CATALOG "\".a.connector.producer", HTTP, &place->error),
        SL_OK);
    chooses(place->config, PRODUCER, CATALOG, "a", HTTP, "layers.\"" CATALOG "\".a.connector.producer (API)");
    assert_int_equal(
        sl_config_set(place->config, LAYERS ".\"" CATALOG "\".\"*\".connector.consumer", HTTP, &place->error),
        SL_OK);
    chooses(place->config, CONSUMER, CATALOG, "a", HTTP,
            "layers.\"" CATALOG "\".\"*\".connector.consumer (API)");
    assert_int_equal(sl_config_check(place->config, &place->error), SL_OK);
}

static void a_set_path_needs_its_quotes(void **state)
{
    struct place *place = *state;
    assert_int_equal(
        sl_config_set(place->config, LAYERS "." CATALOG ".a.connector.producer", HTTP, &place->error),
        SL_BAD_CONFIG);
    assert_non_null(
        strstr(place->error.text, "unexpected ':' (text that contains it needs quotes), expected"));
    assert_int_equal(sl_config_parse(place->config, LAYERS " { " CATALOG " { a.connector.producer = x } }",
                                     strlen(LAYERS " { " CATALOG " { a.connector.producer = x } }"),
                                     "app.conf", &place->error),
                     SL_BAD_CONFIG);
    assert_string_equal(
        place->error.text,
        "app.conf:1:51: unexpected ':' (text that contains it needs quotes), expected ',', a new "
        "line or '}' after the field's value");
}

static void contexts_and_copies_have_them(void **state)
{
    struct place *place = *state;
    mkdir(".config", 0755);
    mkdir(".config/streamlayer", 0755);
    write_file("mine.conf", LAYERS ".\"" OTHER "\".a.connector.producer = http-connector\n");
    write_file(".config/streamlayer/contexts.conf",
               "contexts.mine {\n"
               " file = mine.conf\n"
               " here.platform.data-client.stream.layers {\n"
               "  \"" CATALOG "\".\"b.c\".connector.consumer = http-connector\n"
               "  \"hrn:here:data::local:cat.v2\".\"*\".connector.consumer = http-connector\n"
               " }\n"
               "}\n");
    if (sl_config_load_context(place->config, "mine", &place->error))
        fail_msg("%s", place->error.text);
    assert_int_equal(sl_config_check(place->config, &place->error), SL_OK);
    sl_config *copy = NULL;
    assert_int_equal(sl_config_clone(place->config, &copy, &place->error), SL_OK);
    assert_int_equal(
        sl_config_set(place->config, LAYERS ".\"" OTHER "\".a.connector.producer", KAFKA, &place->error),
        SL_OK);
    chooses(place->config, PRODUCER, OTHER, "a", KAFKA, "layers.\"" OTHER "\".a.connector.producer (API)");
    chooses(copy, PRODUCER, OTHER, "a", HTTP, "layers.\"" OTHER "\".a.connector.producer (mine.conf:1)");
    char by[300];
    snprintf(by, sizeof by,
             "layers.\"" CATALOG "\".\"b.c\".connector.consumer (%s/.config/streamlayer/contexts.conf:4)",
             place->directory);
    chooses(copy, CONSUMER, CATALOG, "b.c", HTTP, by);
    snprintf(by, sizeof by,
             "layers.\"hrn:here:data::local:cat.v2\".\"*\".connector.consumer "
             "(%s/.config/streamlayer/contexts.conf:5)",
             place->directory);
    chooses(copy, CONSUMER, "hrn:here:data::local:cat.v2", "x", HTTP, by);
    sl_config_destroy(&copy);
}

static void substitutions_and_json(void **state)
{
    struct place *place = *state;
    lay(place, "way = http-connector\n" LAYERS ".\"" CATALOG "\".a.connector.consumer = ${way}\n" LAYERS
               ".\"" CATALOG "\".b = ${" LAYERS ".\"" CATALOG "\".a}\n");
    chooses(place->config, CONSUMER, CATALOG, "a", HTTP,
            "layers.\"" CATALOG "\".a.connector.consumer (app.conf:1)");
    chooses(place->config, CONSUMER, CATALOG, "b", HTTP,
            "layers.\"" CATALOG "\".b.connector.consumer (app.conf:1)");
    write_file("a.json",
               "{\"here\": {\"platform\": {\"data-client\": {\"stream\": {\"layers\": {\n"
               "\"" OTHER "\": {\"*\": {\"connector\": {\"producer\": \"http-connector\"}}}}}}}}}\n");
    assert_int_equal(sl_config_load_file(place->config, "a.json", &place->error), SL_OK);
    chooses(place->config, PRODUCER, OTHER, "a", HTTP,
            "layers.\"" OTHER "\".\"*\".connector.producer (a.json:2)");
    assert_int_equal(sl_config_check(place->config, &place->error), SL_OK);
}

/* --- what is refused
 * ----------------------------------------------------------------------------------------- */

#define IN "in here.platform.data-client.stream.layers"
#define AT "here.platform.data-client.stream.layers.\"" CATALOG "\""
#define FORM                                                                                                    \
    "write here.platform.data-client.stream.layers { \"hrn:…:catalog\" { layer { connector.producer = … } " \
    "} }"
#define KNOWN "connector.producer, connector.consumer"
#define NO_ID                                                                                                \
    "is no layer's id; allowed: 1 to 64 letters, digits, '-', '_' and '.', the first a letter or digit; or " \
    "\"*\" for every layer of the catalog"
#define LONGER "a1234567890123456789012345678901234567890123456789012345678901234"

/* Each is what stands in stream.layers { }, or in the catalog's section where below. */
static const struct wrong {
    bool below;
    const char *text, *error;
} wrongs[] = {
    {true, "layer-b.connector.producer = htp",
     AT ".layer-b.connector.producer = \"htp\": unknown connector; allowed: kafka-connector, http-connector"},
    {true, "\"*\".connector.consumer = htp-connector",
     AT ".\"*\".connector.consumer = \"htp-connector\": unknown connector; allowed: kafka-connector, "
        "http-connector (did you mean http-connector?)"},
    {true, "\"a.b\".connector.consumer = [http-connector]",
     AT ".\"a.b\".connector.consumer = [a list]: not one value; allowed: kafka-connector, http-connector"},
    {true, "a.connector.consumer.x = http-connector",
     AT ".a.connector.consumer = {an object}: not one value; allowed: kafka-connector, http-connector"},
    {true, "a.connector.producr = http-connector",
     "unknown setting " AT ".a.connector.producr (did you mean connector.producer?)"},
    {true, "a.connectr.consumer = http-connector",
     "unknown setting " AT ".a.connectr.consumer (did you mean connector.consumer?)"},
    {true, "a.consumer = http-connector",
     "unknown setting " AT ".a.consumer (did you mean connector.consumer?)"},
    {true, "a.zzzzzzzzzzzzzz = 1", "unknown setting " AT ".a.zzzzzzzzzzzzzz; known for a layer: " KNOWN},
    {true, "a.zzzzzzzzzzzzzz = null", "unknown setting " AT ".a.zzzzzzzzzzzzzz; known for a layer: " KNOWN},
    {true, "a.zzzzzzzzzzzzzz {}", "unknown setting " AT ".a.zzzzzzzzzzzzzz; known for a layer: " KNOWN},
    {true, "a.consumer.group = mine",
     AT ".a.consumer.group: " SL_ROOT "stream.consumer.group cannot be set for single layers; known for a "
        "layer: " KNOWN},
    {true, "a.kafka.producer { linger.ms = 5 }",
     AT ".a.kafka.producer: " SL_ROOT "stream.kafka.producer cannot be set for single layers; known for a "
        "layer: " KNOWN},
    {true, "a { \"connector.producer\" = http-connector }",
     "\"connector.producer\" in quotes is one name with dots in it, not a path: leave the quotes out"},
    {true, "a.connector = http-connector",
     AT ".a.connector is a section, and is given one value; write " AT ".a.connector { ... }"},
    {true, "a = http-connector",
     AT ".a is a section, and is given one value; write " AT ".a { connector.producer = … }"},
    {true, "connector.producer = http-connector",
     AT
     ".connector.producer: the layer's id is missing in front of connector.producer; \"*\" stands for every "
     "layer of the catalog"},
    {true, "layer.with.dots.connector.consumer = http-connector",
     "unknown setting " AT ".layer.with.dots.connector.consumer (a layer's id with dots in it needs quotes: "
     "\"layer.with.dots\".connector.consumer)"},
    {true, "\"a b\".connector.producer = http-connector", IN ".\"" CATALOG "\": \"a b\" " NO_ID},
    {true, "\"\".connector.producer = http-connector", IN ".\"" CATALOG "\": \"\" " NO_ID},
    {true, "-a.connector.producer = http-connector", IN ".\"" CATALOG "\": \"-a\" " NO_ID},
    {true, "\"a*\".connector.producer = null", IN ".\"" CATALOG "\": \"a*\" " NO_ID},
    {true, LONGER ".connector.producer = http-connector", IN ".\"" CATALOG "\": \"" LONGER "\" " NO_ID},
    {false, "\"" CATALOG "\" = http-connector",
     AT " is a section, and is given one value; write " AT " { layer { connector.producer = … } }"},
    {false, "\"" CATALOG "\" = [1]",
     AT " is a section, and is given one value; write " AT " { layer { connector.producer = … } }"},
    {false, "connector.producer = http-connector",
     IN ": the HRN in quotes is missing in front of connector; " FORM},
    {false, "consumer = http-connector", IN ": the HRN in quotes is missing in front of consumer; " FORM},
    {false, "layer-b.connector.producer = http-connector", IN ": \"layer-b\" is no catalog's HRN; " FORM},
    {false, "\"hrn:here:data:local:cat\".a.connector.producer = http-connector",
     IN ": \"hrn:here:data:local:cat\" is no catalog's HRN; " FORM},
    {false, "\"hrn:here:data::local:cat:a\".connector.producer = http-connector",
     IN ": \"hrn:here:data::local:cat:a\" is no catalog's HRN; " FORM},
    {false, "\"hrn:here:data::local:\".a.connector.producer = null",
     IN ": \"hrn:here:data::local:\" is no catalog's HRN; " FORM},
    {false, "\"hrn:here:index::local:cat\".a = null",
     IN ": \"hrn:here:index::local:cat\" is no catalog's HRN; " FORM},
    {false, "\"urn:here:data::local:cat\" = null",
     IN ": \"urn:here:data::local:cat\" is no catalog's HRN; " FORM},
    {false, "\"*\".a.connector.producer = http-connector", IN ": \"*\" is no catalog's HRN; " FORM},
};

static void what_is_wrong_is_told(void **state)
{
    struct place *place = *state;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        char text[600], wanted[1000];
        sl_config *laid = NULL;
        sl_error error = {.text = ""};
        snprintf(text, sizeof text, wrongs[i].below ? LAYERS ".\"" CATALOG "\" {\n%s }" : LAYERS " {\n%s }",
                 wrongs[i].text);
        snprintf(wanted, sizeof wanted, "app.conf:2: %s", wrongs[i].error);
        assert_int_equal(sl_config_clone(place->config, &laid, NULL), SL_OK);
        assert_int_equal(sl_config_parse(laid, text, strlen(text), "app.conf", &error), SL_OK);
        if (sl_config_check(laid, &error) != SL_BAD_CONFIG)
            fail_msg("not refused: %s", wrongs[i].text);
        assert_string_equal(error.text, wanted);
        sl_config_destroy(&laid);
    }
}

static void the_section_is_a_section(void **state)
{
    struct place *place = *state;
    lay(place, LAYERS " = http-connector");
    assert_int_equal(sl_config_check(place->config, &place->error), SL_BAD_CONFIG);
    assert_string_equal(place->error.text,
                        "app.conf:1: " LAYERS " = \"http-connector\": not a section; allowed: a section, "
                        "{ \"hrn:…:catalog\" { layer { connector.producer = … } } }");
}

/* What was not checked before fails no worse when it is read. */
static void a_wrong_value_is_told_when_it_is_read(void **state)
{
    struct place *place = *state;
    const char *value = NULL;
    lay(place, LAYERS ".\"" CATALOG "\".a.connector.producer = htp\n");
    assert_int_equal(
        sl_config_layer_choice(place->config, PRODUCER, CATALOG, "a", &value, NULL, &place->error),
        SL_BAD_CONFIG);
    assert_string_equal(place->error.text,
                        "app.conf:1: " AT ".a.connector.producer = \"htp\": unknown connector; "
                        "allowed: kafka-connector, http-connector");
    assert_int_equal(
        sl_config_layer_choice(place->config, PRODUCER, CATALOG, "b", &value, NULL, &place->error), SL_OK);
    assert_string_equal(value, KAFKA);
    assert_int_equal(sl_config_layer_choice(place->config, SL_ROOT "stream.consumer.start", CATALOG, "a",
                                            &value, NULL, &place->error),
                     SL_INTERNAL);
    assert_int_equal(sl_config_layer_choice(NULL, PRODUCER, CATALOG, "a", &value, NULL, &place->error),
                     SL_INVALID_HANDLE);
}

/* The section's own rules agree with those of the wire, which it cannot call. */
static void keys_are_what_the_wire_calls_so(void **state)
{
    struct place *place = *state;
    static const char *const ids[] = {"a",   "A-b_c.d", "9",    ".a",       "_a", "-",
                                      "a/b", "ä",       LONGER, LONGER + 1, "a:b"};
    static const char *const hrns[] = {CATALOG,
                                       "hrn:here-cn:data:region:realm:a.b",
                                       "hrn:here:data::local",
                                       "hrn:here:data::local:",
                                       "hrn:here:schema::local:cat",
                                       "x" CATALOG,
                                       "hrn",
                                       "hrn::data::local:cat",
                                       "hrn:here:data::l/r:cat",
                                       "hrn:here:data::local:Cat",
                                       "hrn:here:data::local:-cat",
                                       "hrn:here:data::local:" LONGER,
                                       "hrn:here:data::LOCAL:a1",
                                       "hrn:here:data::" LONGER LONGER LONGER LONGER ":a"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids + sizeof hrns / sizeof *hrns; i++) {
        bool layer = i < sizeof ids / sizeof *ids;
        const char *name = layer ? ids[i] : hrns[i - sizeof ids / sizeof *ids];
        sl_status wire = layer ? sl_layer_id_check(name, NULL) : sl_hrn_check(name, NULL);
        char text[600];
        sl_config *laid = NULL;
        snprintf(text, sizeof text, layer ? LAYERS ".\"" CATALOG "\".\"%s\" {}" : LAYERS ".\"%s\" {}", name);
        assert_int_equal(sl_config_clone(place->config, &laid, NULL), SL_OK);
        assert_int_equal(sl_config_parse(laid, text, strlen(text), "app.conf", &place->error), SL_OK);
        if ((sl_config_check(laid, NULL) == SL_OK) != (wire == SL_OK))
            fail_msg("\"%s\": the wire and the configuration disagree", name);
        sl_config_destroy(&laid);
    }
}

static bool gather(void *opaque, const char *path, const char *value, const char *origin)
{
    char *all = opaque;
    size_t size = strlen(all);
    snprintf(all + size, 1000 - size, "%s = %s (%s)\n", path, value, origin);
    return true;
}

static void they_are_listed_with_their_quotes(void **state)
{
    struct place *place = *state;
    char all[1000] = "";
    lay(place,
        LAYERS ".\"" CATALOG "\" { \"a.b\".connector.producer = http-connector,\n"
               " c.connector.consumer = http-connector, \"*\".connector.consumer = kafka-connector }\n");
    sl_config_each(place->config, LAYERS, gather, all);
    assert_string_equal(all, AT ".\"*\".connector.consumer = kafka-connector (app.conf:2)\n" AT
                                ".\"a.b\".connector.producer = http-connector (app.conf:1)\n" AT
                                ".c.connector.consumer = http-connector (app.conf:2)\n");
    assert_string_equal(sl_config_get(place->config, AT ".\"a.b\".connector.producer"), HTTP);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(the_nearest_wins, setup, teardown),
    cmocka_unit_test_setup_teardown(null_says_nothing, setup, teardown),
    cmocka_unit_test_setup_teardown(names_with_dots, setup, teardown),
    cmocka_unit_test_setup_teardown(variables_and_single_settings, setup, teardown),
    cmocka_unit_test_setup_teardown(a_set_path_needs_its_quotes, setup, teardown),
    cmocka_unit_test_setup_teardown(contexts_and_copies_have_them, setup, teardown),
    cmocka_unit_test_setup_teardown(substitutions_and_json, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_wrong_is_told, setup, teardown),
    cmocka_unit_test_setup_teardown(the_section_is_a_section, setup, teardown),
    cmocka_unit_test_setup_teardown(a_wrong_value_is_told_when_it_is_read, setup, teardown),
    cmocka_unit_test_setup_teardown(keys_are_what_the_wire_calls_so, setup, teardown),
    cmocka_unit_test_setup_teardown(they_are_listed_with_their_quotes, setup, teardown))
