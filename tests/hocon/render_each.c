/*
 * Our parser, asked by lines: "render FILE" answers "ok JSON" or "error WHY"; "convert FILE" answers "ok
 * JSON" with what the conversions make of each field of the root. Lightbend.java speaks the same.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hocon/hocon.h"
#include "hocon/render.h"

static void print_number(const char *name, bool known, int64_t number)
{
    if (known)
        printf("\"%s\": %" PRId64 ", ", name, number);
    else
        printf("\"%s\": null, ", name);
}

static bool print_json(const struct hocon_value *value, sl_error *error)
{
    char *json;
    if (hocon_render_json(value, false, &json, error) != SL_OK)
        return false;
    fputs(json, stdout);
    free(json);
    return true;
}

static bool print_conversions(const struct hocon_value *value, sl_error *error)
{
    bool truth;
    int64_t number;
    const char *boolean = !hocon_as_boolean(value, &truth) ? "null" : truth ? "true" : "false";
    printf("{\"boolean\": %s, ", boolean);
    bool known = hocon_as_integer(value, &number);
    print_number("integer", known, number);
    known = hocon_as_duration_ms(value, &number);
    print_number("milliseconds", known, number);
    known = hocon_as_bytes(value, &number);
    print_number("bytes", known, number);
    fputs("\"list\": ", stdout);
    const struct hocon_value *list = hocon_as_list(value);
    if (!list)
        fputs("null", stdout);
    else if (!print_json(list, error))
        return false;
    putchar('}');
    return true;
}

static bool convert(const struct hocon_value *root, sl_error *error)
{
    putchar('{');
    for (size_t i = 0; i < hocon_count(root); i++) {
        struct sl_buffer key;
        sl_buffer_init(&key, SIZE_MAX / 2);
        const char *name = hocon_key_at(root, i);
        bool done = hocon_append_string(&key, name, strlen(name));
        if (done)
            printf("%s%.*s: ", i ? ", " : "", (int)key.size, key.data);
        sl_buffer_free(&key);
        if (!done || !print_conversions(hocon_at(root, i), error))
            return false;
    }
    putchar('}');
    return true;
}

static void answer(char *line)
{
    char *file = strchr(line, ' ');
    struct hocon *document = NULL, *resolved = NULL;
    sl_error error = {0};
    if (!file)
        exit(2);
    *file++ = 0;
    if (hocon_parse_file(file, NULL, &document, &error) == SL_OK &&
        hocon_resolve(document, true, NULL, &resolved, &error) == SL_OK) {
        fputs("ok ", stdout);
        const struct hocon_value *root = hocon_root(resolved);
        if (!(strcmp(line, "convert") == 0 ? convert(root, &error) : print_json(root, &error)))
            exit(3);
    } else {
        printf("error %s", error.text);
    }
    putchar('\n');
    fflush(stdout);
    hocon_free(&document);
    hocon_free(&resolved);
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    for (ssize_t size; (size = getline(&line, &capacity, stdin)) > 0;) {
        if (line[size - 1] == '\n')
            line[size - 1] = 0;
        answer(line);
    }
    free(line);
    return 0;
}
