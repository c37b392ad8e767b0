#include "format.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LETTERS    "sSRkKhTDoptid"
#define LONGEST    200 /* bytes of a file's name: file systems take 255, and a temporary one is longer */
#define TEXT_MAX   ((size_t)64 * 1024)
#define HEX_DIGITS "0123456789abcdefABCDEF"

/* The character that the escape at text (behind the backslash) stands for; -1: none. *size: its bytes. */
static int escape(const char *text, size_t *size)
{
    static const char from[] = "ntrae0\\", to[] = {'\n', '\t', '\r', '\a', 0x1b, 0, '\\'};
    *size = 1;
    const char *found = *text ? strchr(from, *text) : NULL;
    if (found)
        return to[found - from];
    if (*text != 'x' || strspn(text + 1, HEX_DIGITS) < 2)
        return -1;
    char digits[3] = {text[1], text[2], 0};
    *size = 3;
    return (int)strtol(digits, NULL, 16);
}

bool cli_unescape(struct sl_buffer *out, const char *text)
{
    while (*text) {
        size_t size = 0;
        int character = (unsigned char)*text++;
        if (character == '\\') {
            character = escape(text, &size);
            text += size;
        }
        char byte = (char)character;
        if (character < 0 || !sl_buffer_append(out, &byte, 1))
            return false;
    }
    return true;
}

static bool add_part(struct cli_format *format, char letter)
{
    struct cli_format_part *grown = realloc(format->parts, (format->count + 1) * sizeof *grown);
    if (!grown)
        return false;
    grown[format->count++] = (struct cli_format_part){.letter = letter, .at = format->text.size};
    format->parts = grown;
    return true;
}

static bool add_text(struct cli_format *format, char byte)
{
    if ((!format->count || format->parts[format->count - 1].letter) && !add_part(format, 0))
        return false;
    format->parts[format->count - 1].count++;
    return sl_buffer_append(&format->text, &byte, 1);
}

bool cli_format_compile(struct cli_format *format, const char *text, char why[CLI_FORMAT_WHY])
{
    *format = (struct cli_format){0};
    sl_buffer_init(&format->text, TEXT_MAX);
    bool ok = true;
    for (const char *at = text; *at && ok; at++) {
        size_t size = 0;
        if (*at == '%' && at[1] && at[1] != '%') {
            at++;
            if (!strchr(LETTERS, *at)) {
                snprintf(why, CLI_FORMAT_WHY,
                         "%%%c is unknown: %%s %%S %%R %%k %%K %%h %%T %%D %%o %%p %%t %%i "
                         "%%d and %%%% are known",
                         *at >= ' ' && *at < 0x7f ? *at : '?');
                return false;
            }
            ok = add_part(format, *at);
            continue;
        }
        int character = (unsigned char)*at;
        if (*at == '%' && !*++at) {
            snprintf(why, CLI_FORMAT_WHY, "it ends in a single %%: %%%% stands for a percent sign");
            return false;
        }
        if (character == '\\' && (character = escape(at + 1, &size)) < 0) {
            snprintf(why, CLI_FORMAT_WHY,
                     "the escape at \"%.10s\" is unknown: \\n \\t \\r \\a \\e \\0 \\\\ and "
                     "\\xHH are known",
                     at);
            return false;
        }
        at += size;
        ok = add_text(format, (char)character);
    }
    if (!ok)
        snprintf(why, CLI_FORMAT_WHY, "it is too long");
    return ok;
}

void cli_format_free(struct cli_format *format)
{
    free(format->parts);
    format->parts = NULL;
    format->count = 0;
    sl_buffer_free(&format->text);
}

static void put_headers(struct sl_buffer *out, const sl_message *message)
{
    const char *name;
    const void *value;
    size_t size;
    for (size_t i = 0; sl_message_header_at(message, i, &name, &value, &size); i++) {
        sl_buffer_printf(out, "%s%s=", i ? "," : "", name);
        if (value)
            sl_buffer_append(out, value, size);
        else
            sl_buffer_append_text(out, "NULL");
    }
}

static void put_size(struct sl_buffer *out, const void *data, size_t size, bool binary)
{
    long long number = data ? (long long)size : -1;
    if (!binary) {
        sl_buffer_printf(out, "%lld", number);
        return;
    }
    unsigned bits = (unsigned)(number > INT32_MAX ? INT32_MAX : number);
    char bytes[4] = {(char)(bits >> 24), (char)(bits >> 16), (char)(bits >> 8), (char)bits};
    sl_buffer_append(out, bytes, sizeof bytes);
}

static void put_date(struct sl_buffer *out, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    char text[64];
    if (time_ms < 0 || !gmtime_r(&seconds, &parts) ||
        !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts))
        return;
    sl_buffer_printf(out, "%s.%03dZ", text, (int)(time_ms % 1000));
}

static void put_text(struct sl_buffer *out, const char *text)
{
    if (text)
        sl_buffer_append_text(out, text);
}

static void put(char letter, struct sl_buffer *out, const sl_message *message, const char *layer)
{
    size_t size, key_size;
    const void *payload = sl_message_payload(message, &size);
    const char *key = sl_message_partition_id(message, &key_size);
    sl_offset offset = sl_message_offset(message);
    switch (letter) {
    case 's':
        sl_buffer_append(out, payload, size);
        break;
    case 'S':
    case 'R':
        put_size(out, payload, size, letter == 'R');
        break;
    case 'k':
        sl_buffer_append(out, key, key_size);
        break;
    case 'K':
        put_size(out, key, key_size, false);
        break;
    case 'h':
        put_headers(out, message);
        break;
    case 'T':
        sl_buffer_printf(out, "%lld", (long long)sl_message_timestamp_ms(message));
        break;
    case 'D':
        put_date(out, sl_message_timestamp_ms(message));
        break;
    case 'o':
        sl_buffer_printf(out, "%lld", (long long)offset.offset);
        break;
    case 'p':
        sl_buffer_printf(out, "%d", (int)offset.partition);
        break;
    case 't':
        put_text(out, layer);
        break;
    case 'i':
        put_text(out, sl_message_trace_id(message));
        break;
    default:
        put_text(out, sl_message_data_handle(message));
    }
}

void cli_format_write(const struct cli_format *format, struct sl_buffer *out, const sl_message *message,
                      const char *layer)
{
    for (size_t i = 0; i < format->count; i++) {
        const struct cli_format_part *part = &format->parts[i];
        if (part->letter)
            put(part->letter, out, message, layer);
        else
            sl_buffer_append(out, format->text.data + part->at, part->count);
    }
}

void cli_format_name(const struct cli_format *format, struct sl_buffer *out, const sl_message *message,
                     const char *layer)
{
    struct sl_buffer value;
    sl_buffer_init(&value, SIZE_MAX / 8);
    sl_buffer_reset(out);
    for (size_t i = 0; i < format->count; i++) {
        const struct cli_format_part *part = &format->parts[i];
        sl_buffer_reset(&value);
        if (part->letter)
            put(part->letter, &value, message, layer);
        else
            sl_buffer_append(out, format->text.data + part->at, part->count);
        sl_percent_encode(out, value.data ? value.data : "", value.size);
        out->failed |= value.failed;
    }
    sl_buffer_free(&value);
    sl_offset offset = sl_message_offset(message);
    if (out->size > LONGEST) {
        out->size = LONGEST;
        sl_buffer_printf(out, "~%d-%lld", (int)offset.partition, (long long)offset.offset);
    }
    /* Neither "." nor "..", nor hidden, nor nothing. */
    bool dot = out->size && out->data[0] == '.';
    if (dot && sl_buffer_reserve(out, 2)) {
        memmove(out->data + 3, out->data + 1, out->size);
        memcpy(out->data, "%2E", 3);
        out->size += 2;
    }
    if (!out->size)
        sl_buffer_append_text(out, "%");
}

bool cli_format_has_slash(const struct cli_format *format)
{
    return format->text.size && (memchr(format->text.data, '/', format->text.size) ||
                                 memchr(format->text.data, 0, format->text.size));
}
