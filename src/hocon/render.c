#include "hocon/render.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "hocon/value.h"

enum { LARGEST = 256 << 20 }; /* bytes of JSON text: shared values can multiply */

bool hocon_append_string(struct sl_buffer *out, const char *text, size_t size)
{
    static const char letters[] = "\b\f\n\r\t\"\\", escapes[] = "bfnrt\"\\";
    sl_buffer_append(out, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        sl_buffer_append(out, text + from, i - from);
        from = i + 1;
        size_t known = 0;
        while (letters[known] && letters[known] != (char)c)
            known++;
        if (letters[known])
            sl_buffer_printf(out, "\\%c", escapes[known]);
        else
            sl_buffer_printf(out, "\\u%04x", (unsigned)c);
    }
    sl_buffer_append(out, text + from, size - from);
    sl_buffer_append(out, "\"", 1);
    return !out->failed;
}

/* As it was written, but for what JSON does not have: zeros in front, a point with nothing behind it. */
static void append_number(struct sl_buffer *out, const char *text, size_t size)
{
    size_t at = size && text[0] == '-';
    sl_buffer_append(out, text, at);
    while (at + 1 < size && text[at] == '0' && text[at + 1] >= '0' && text[at + 1] <= '9')
        at++;
    const char *point = memchr(text + at, '.', size - at);
    size_t behind = point ? (size_t)(point - text) + 1 : size;
    bool bare = point && (behind == size || text[behind] < '0' || text[behind] > '9');
    sl_buffer_append(out, text + at, behind - bare - at);
    sl_buffer_append(out, text + behind, size - behind);
}

static void indent(struct sl_buffer *out, bool pretty, unsigned level)
{
    if (pretty)
        sl_buffer_printf(out, "\n%*s", (int)level * 2, "");
}

/* As deep as the value, whose depth the resolver limits. */
static void render(struct sl_buffer *out, const struct hocon_value *value, bool pretty, unsigned level)
{
    if (out->failed)
        return;
    if (value->type == HOCON_STRING) {
        hocon_append_string(out, value->scalar.text, value->scalar.size);
        return;
    }
    if (value->type == HOCON_NUMBER) {
        append_number(out, value->scalar.text, value->scalar.size);
        return;
    }
    if (value->type < HOCON_LIST) {
        sl_buffer_append(out, value->scalar.text, value->scalar.size);
        return;
    }
    bool list = value->type == HOCON_LIST;
    size_t count = hocon_count(value);
    sl_buffer_append_text(out, list ? "[" : "{");
    for (size_t i = 0; i < count; i++) {
        if (i)
            sl_buffer_append_text(out, ",");
        indent(out, pretty, level + 1);
        if (!list) {
            const struct hocon_entry *field = &value->object.fields.entries[i];
            hocon_append_string(out, field->key, field->size);
            sl_buffer_append_text(out, pretty ? ": " : ":");
        }
        render(out, hocon_at(value, i), pretty, level + 1);
    }
    if (count)
        indent(out, pretty, level);
    sl_buffer_append_text(out, list ? "]" : "}");
}

sl_status hocon_render_json(const struct hocon_value *value, bool pretty, char **json, sl_error *error)
{
    struct sl_buffer out;
    sl_buffer_init(&out, LARGEST);
    render(&out, value, pretty, 0);
    *json = sl_buffer_take(&out);
    return *json ? SL_OK
                 : sl_error_set(error, SL_OUT_OF_MEMORY,
                                "no memory for the JSON text, or it has more than %d MiB", LARGEST >> 20);
}
