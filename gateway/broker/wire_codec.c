#include "gateway/broker/wire_codec.h"

#include <string.h>

static void put(struct sl_buffer *out, uint64_t value, size_t size)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(value >> 8 * (size - 1 - i));
    sl_buffer_append(out, bytes, size);
}

void gw_wire_put_int8(struct sl_buffer *out, int8_t value)
{
    put(out, (uint8_t)value, 1);
}

void gw_wire_put_int16(struct sl_buffer *out, int16_t value)
{
    put(out, (uint16_t)value, 2);
}

void gw_wire_put_int32(struct sl_buffer *out, int32_t value)
{
    put(out, (uint32_t)value, 4);
}

void gw_wire_put_double(struct sl_buffer *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put(out, bits, sizeof bits);
}

void gw_wire_put_text(struct sl_buffer *out, const char *text)
{
    size_t size = text ? strlen(text) : 0;
    out->failed |= size > INT16_MAX;
    put(out, text ? size : UINT16_MAX, 2); /* all bits set is Kafka's -1 */
    sl_buffer_append(out, text ? text : "", size);
}

void gw_wire_put_bytes(struct sl_buffer *out, const void *data, size_t size)
{
    out->failed |= size > INT32_MAX;
    gw_wire_put_int32(out, (int32_t)size);
    sl_buffer_append(out, data, size);
}

/* The next size bytes; NULL: there are not so many. */
static unsigned char *take(struct gw_wire_reader *reader, size_t size)
{
    if (reader->failed || (size_t)(reader->end - reader->at) < size) {
        reader->failed = true;
        return NULL;
    }
    unsigned char *from = reader->at;
    reader->at += size;
    return from;
}

static uint64_t number(struct gw_wire_reader *reader, size_t size)
{
    const unsigned char *from = take(reader, size);
    uint64_t value = 0;
    for (size_t i = 0; from && i < size; i++)
        value = value << 8 | from[i];
    return value;
}

int8_t gw_wire_int8(struct gw_wire_reader *reader)
{
    return (int8_t)number(reader, 1);
}

int16_t gw_wire_int16(struct gw_wire_reader *reader)
{
    return (int16_t)number(reader, 2);
}

int32_t gw_wire_int32(struct gw_wire_reader *reader)
{
    return (int32_t)number(reader, 4);
}

double gw_wire_double(struct gw_wire_reader *reader)
{
    uint64_t bits = number(reader, sizeof bits);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

const char *gw_wire_text(struct gw_wire_reader *reader)
{
    int16_t size = gw_wire_int16(reader);
    if (size < 0) {
        reader->failed |= size != -1;
        return NULL;
    }
    unsigned char *from = take(reader, (size_t)size);
    if (!from)
        return NULL;
    if (memchr(from, 0, (size_t)size)) {
        reader->failed = true;
        return NULL;
    }
    /* Over the size before it there is room for the NUL behind it. */
    char *text = memmove(from - 1, from, (size_t)size);
    text[size] = 0;
    return text;
}

const char *gw_wire_present_text(struct gw_wire_reader *reader)
{
    const char *text = gw_wire_text(reader);
    reader->failed |= !text;
    return text ? text : "";
}

const void *gw_wire_bytes(struct gw_wire_reader *reader, size_t *size)
{
    int32_t given = gw_wire_int32(reader);
    reader->failed |= given < -1;
    const void *data = given > 0 ? take(reader, (size_t)given) : NULL;
    *size = data ? (size_t)given : 0;
    return data;
}

size_t gw_wire_count(struct gw_wire_reader *reader)
{
    int32_t count = gw_wire_int32(reader);
    reader->failed |= count < -1 || (count > 0 && (size_t)count > (size_t)(reader->end - reader->at));
    return reader->failed || count < 0 ? 0 : (size_t)count;
}
