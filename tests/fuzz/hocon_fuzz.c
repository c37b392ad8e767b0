/*
 * Any bytes as a HOCON document: parsed, merged, resolved without the environment, read and rendered. The
 * rendered JSON must parse again, to the same JSON. Bytes that begin with "#json\n" or "#properties\n" are
 * read in that syntax. Documents may include what is in files/.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "hocon/hocon.h"
#include "hocon/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            abort(); /* what the fuzzer looks for */                                                         \
    } while (0)

static const struct hocon_limits limits = {
    .max_bytes = 1 << 20, .max_depth = 50, .max_includes = 4, .max_resolved = 10000};

static struct hocon *parse_as(enum hocon_syntax syntax, const char *text, size_t size)
{
    struct hocon *document = hocon_new();
    CHECK(document);
    size_t files = 0;
    sl_error error;
    const struct hocon_input input = {.directory = "."};
    struct hocon_limits filled = hocon_limits_of(&limits);
    struct hocon_parser parser = {
        .document = document, .limits = &filled, .files = &files, .input = &input, .error = &error};
    if (hocon_parse_bytes(&parser, text, size, "input", syntax, &document->root) != SL_OK)
        hocon_free(&document);
    return document;
}

static struct hocon *parse(const char *text, size_t size)
{
    static const char json[] = "#json\n", properties[] = "#properties\n";
    if (size >= strlen(json) && memcmp(text, json, strlen(json)) == 0)
        return parse_as(HOCON_SYNTAX_JSON, text + strlen(json), size - strlen(json));
    if (size >= strlen(properties) && memcmp(text, properties, strlen(properties)) == 0)
        return parse_as(HOCON_SYNTAX_PROPERTIES, text + strlen(properties), size - strlen(properties));
    struct hocon *document;
    sl_error error;
    if (hocon_parse_text(text, size, "input", ".", &limits, &document, &error) == SL_OK)
        return document;
    bool includes = memmem(text, size, "include", strlen("include")) != NULL;
    CHECK(error.status == SL_BAD_CONFIG || (includes && error.status == SL_IO));
    CHECK(includes || strncmp(error.text, "input", strlen("input")) == 0);
    CHECK(strstr(error.text, "expected") || error.status == SL_IO || strlen(error.text) > 200);
    return NULL;
}

/* Every way of reading a value. */
static void read_value(const struct hocon_value *value)
{
    bool truth;
    int64_t number;
    hocon_as_boolean(value, &truth);
    hocon_as_integer(value, &number);
    hocon_as_duration_ms(value, &number);
    hocon_as_bytes(value, &number);
    CHECK(hocon_origin(value));
    CHECK(!hocon_at(value, hocon_count(value)));
    const struct hocon_value *list = hocon_as_list(value);
    CHECK(!list || hocon_type_of(list) == HOCON_LIST);
    CHECK((hocon_text(value) != NULL) == (hocon_type_of(value) < HOCON_LIST));
}

static void read_fields(const struct hocon_value *value)
{
    read_value(value);
    for (size_t i = 0; i < hocon_count(value) && i < 100; i++) {
        read_value(hocon_at(value, i));
        const char *key = hocon_key_at(value, i);
        char *path = key ? hocon_path_join("", key) : NULL;
        CHECK(!path || hocon_get(value, path) == hocon_at(value, i));
        free(path);
    }
}

static char *render(const struct hocon *document, bool read)
{
    struct hocon *resolved;
    sl_error error;
    char *json = NULL;
    if (hocon_resolve(document, false, &limits, &resolved, &error) != SL_OK) {
        CHECK(error.status == SL_BAD_CONFIG);
        return NULL;
    }
    if (read)
        read_fields(hocon_root(resolved));
    CHECK(hocon_render_json(hocon_root(resolved), read, &json, &error) == SL_OK);
    hocon_free(&resolved);
    return json;
}

static void check_round_trip(const char *json)
{
    struct hocon *again = parse_as(HOCON_SYNTAX_JSON, json, strlen(json));
    if (!again) { /* larger than the limits allow: substitutions multiply */
        CHECK(strlen(json) > 1000);
        return;
    }
    char *second = render(again, true);
    CHECK(!second || strcmp(json, second) == 0);
    free(second);
    hocon_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    enter_files();
    if (leads_away(text, size))
        return 0;
    struct hocon *document = parse(text, size), *twice;
    if (!document)
        return 0;
    char *json = render(document, true);
    if (json)
        check_round_trip(json);
    free(json);
    sl_error error;
    CHECK(hocon_merge(document, document, &twice, &error) == SL_OK);
    hocon_free(&document); /* what was merged must not need it */
    free(render(twice, false));
    hocon_free(&twice);
    return 0;
}
