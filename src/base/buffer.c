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

bool sl_buffer_append_quoted(struct sl_buffer *buffer, const char *text)
{
    size_t before = buffer->size, size = strlen(text);
    bool utf8 = sl_utf8_length(text, size) >= 0;
    bool fits = sl_buffer_append(buffer, "\"", 1);
    for (const char *c = text; *c && fits;) {
        size_t plain = 0;
        while (c[plain] && c[plain] != '"' && c[plain] != '\\' && (unsigned char)c[plain] >= 0x20 &&
               c[plain] != 0x7f && (utf8 || (unsigned char)c[plain] < 0x80))
            plain++;
        if (plain)
            fits = sl_buffer_append(buffer, c, plain);
        else if (*c == '"' || *c == '\\')
            fits = sl_buffer_printf(buffer, "\\%c", *c);
        else if ((unsigned char)*c < 0x80)
            fits = sl_buffer_printf(buffer, "\\u%04x", (unsigned char)*c);
        else
            fits = sl_buffer_append(buffer, "?", 1);
        c += plain ? plain : 1;
    }
    if (fits && sl_buffer_append(buffer, "\"", 1))
        return true;
    if (buffer->size > before)
        buffer->data[buffer->size = before] = 0;
    return false;
}
