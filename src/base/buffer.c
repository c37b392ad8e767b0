#include "base/buffer.h"

#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sl_buffer_init(struct sl_buffer *buffer, size_t max)
{
    memset(buffer, 0, sizeof *buffer);
    buffer->max = max;
}

void sl_buffer_free(struct sl_buffer *buffer)
{
    free(buffer->data);
    sl_buffer_init(buffer, buffer->max);
}

void sl_buffer_reset(struct sl_buffer *buffer)
{
    buffer->size = 0;
    buffer->failed = false;
    if (buffer->data)
        buffer->data[0] = 0;
}

bool sl_buffer_reserve(struct sl_buffer *buffer, size_t size)
{
    if (size > buffer->max || buffer->size > buffer->max - size) {
        buffer->failed = true;
        return false;
    }
    size_t needed = buffer->size + size + 1; /* a NUL always fits behind */
    if (needed <= buffer->capacity)
        return true;
    /* It doubles up to its bound: growing by what is needed would copy all of it with each append. */
    size_t bound = buffer->max < SIZE_MAX ? buffer->max + 1 : SIZE_MAX;
    size_t capacity = buffer->capacity ? buffer->capacity : 64;
    while (capacity < needed)
        capacity = capacity > bound / 2 ? bound : capacity * 2;
    char *data = realloc(buffer->data, capacity);
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

bool sl_buffer_append(struct sl_buffer *buffer, const void *data, size_t size)
{
    if (!sl_buffer_reserve(buffer, size))
        return false;
    if (size)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    buffer->data[buffer->size] = 0;
    return true;
}

bool sl_buffer_append_text(struct sl_buffer *buffer, const char *text)
{
    return sl_buffer_append(buffer, text, strlen(text));
}

bool sl_buffer_printf(struct sl_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0 || !sl_buffer_reserve(buffer, (size_t)length))
        return false;
    va_start(arguments, format);
    vsnprintf(buffer->data + buffer->size, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buffer->size += (size_t)length;
    return true;
}

void sl_buffer_consume(struct sl_buffer *buffer, size_t size)
{
    if (size > buffer->size)
        size = buffer->size;
    if (!size)
        return;
    memmove(buffer->data, buffer->data + size, buffer->size - size);
    buffer->size -= size;
    buffer->data[buffer->size] = 0;
}

char *sl_buffer_take(struct sl_buffer *buffer)
{
    if (buffer->failed || !sl_buffer_reserve(buffer, 0)) {
        sl_buffer_free(buffer);
        return NULL;
    }
    char *data = buffer->data;
    data[buffer->size] = 0;
    sl_buffer_init(buffer, buffer->max);
    return data;
}

/* How many bytes from text on stand for themselves in a JSON string. */
static size_t plain_size(const char *text, size_t size)
{
    size_t plain = 0;
    while (plain < size) {
        unsigned char c = (unsigned char)text[plain];
        size_t whole = c < 0x80 ? 1 : sl_utf8_first(text + plain, size - plain);
        if (!whole || c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
            break;
        plain += whole;
    }
    return plain;
}

/* One byte that does not. */
static bool append_escaped(struct sl_buffer *buffer, unsigned char c)
{
    static const char controls[] = "\b\f\n\r\t", letters[] = "bfnrt";
    const char *control = c ? strchr(controls, c) : NULL;
    if (c >= 0x80)
        return sl_buffer_append_text(buffer, "\xef\xbf\xbd"); /* U+FFFD */
    if (control)
        return sl_buffer_printf(buffer, "\\%c", letters[control - controls]);
    return sl_buffer_printf(buffer, c == '"' || c == '\\' ? "\\%c" : "\\u%04x", c);
}

bool sl_buffer_append_quoted(struct sl_buffer *buffer, const char *text, size_t size)
{
    size_t before = buffer->size;
    bool fits = sl_buffer_append(buffer, "\"", 1);
    for (size_t at = 0; at < size && fits;) {
        size_t plain = plain_size(text + at, size - at);
        fits = plain ? sl_buffer_append(buffer, text + at, plain)
                     : append_escaped(buffer, (unsigned char)text[at]);
        at += plain ? plain : 1;
    }
    if (fits && sl_buffer_append(buffer, "\"", 1))
        return true;
    if (buffer->size > before)
        buffer->data[buffer->size = before] = 0;
    return false;
}

bool sl_buffer_append_quoted_text(struct sl_buffer *buffer, const char *text)
{
    return sl_buffer_append_quoted(buffer, text, strlen(text));
}
