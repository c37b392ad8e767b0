#include "wire/cbor.h"

#include <cbor.h>
#include <string.h>

enum { MAX_DEPTH = 8 }; /* an unknown value may be nested so deep */

static void set(void *context, enum sl_cbor_kind kind, uint64_t number)
{
    struct sl_cbor_item *item = context;
    item->kind = kind;
    item->number = number;
}

static void on_uint8(void *context, uint8_t number)
{
    set(context, SL_CBOR_UINT, number);
}

static void on_uint16(void *context, uint16_t number)
{
    set(context, SL_CBOR_UINT, number);
}

static void on_uint32(void *context, uint32_t number)
{
    set(context, SL_CBOR_UINT, number);
}

static void on_uint64(void *context, uint64_t number)
{
    set(context, SL_CBOR_UINT, number);
}

static void on_negint8(void *context, uint8_t number)
{
    set(context, SL_CBOR_NEGINT, number);
}

static void on_negint16(void *context, uint16_t number)
{
    set(context, SL_CBOR_NEGINT, number);
}

static void on_negint32(void *context, uint32_t number)
{
    set(context, SL_CBOR_NEGINT, number);
}

static void on_negint64(void *context, uint64_t number)
{
    set(context, SL_CBOR_NEGINT, number);
}

static void on_bytes(void *context, cbor_data bytes, size_t size)
{
    struct sl_cbor_item *item = context;
    set(context, SL_CBOR_BYTES, size);
    item->bytes = bytes;
}

static void on_text(void *context, cbor_data bytes, size_t size)
{
    struct sl_cbor_item *item = context;
    set(context, SL_CBOR_TEXT, size);
    item->bytes = bytes;
}

static void on_chunked(void *context)
{
    set(context, SL_CBOR_CHUNKED, 0);
}

static void on_array(void *context, size_t count)
{
    set(context, SL_CBOR_ARRAY, count);
}

static void on_map(void *context, size_t count)
{
    set(context, SL_CBOR_MAP, count);
}

static void on_endless_array(void *context)
{
    struct sl_cbor_item *item = context;
    set(context, SL_CBOR_ARRAY, 0);
    item->endless = true;
}

static void on_endless_map(void *context)
{
    struct sl_cbor_item *item = context;
    set(context, SL_CBOR_MAP, 0);
    item->endless = true;
}

static void on_tag(void *context, uint64_t tag)
{
    set(context, SL_CBOR_TAG, tag);
}

static void on_null(void *context)
{
    set(context, SL_CBOR_NULL, 0);
}

static void on_break(void *context)
{
    set(context, SL_CBOR_BREAK, 0);
}

static void on_float(void *context, float number)
{
    (void)number;
    set(context, SL_CBOR_OTHER, 0);
}

static void on_double(void *context, double number)
{
    (void)number;
    set(context, SL_CBOR_OTHER, 0);
}

static void on_undefined(void *context)
{
    set(context, SL_CBOR_OTHER, 0);
}

static void on_boolean(void *context, bool value)
{
    (void)value;
    set(context, SL_CBOR_OTHER, 0);
}

static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint8 = on_negint8,
    .negint16 = on_negint16,
    .negint32 = on_negint32,
    .negint64 = on_negint64,
    .byte_string = on_bytes,
    .byte_string_start = on_chunked,
    .string = on_text,
    .string_start = on_chunked,
    .array_start = on_array,
    .indef_array_start = on_endless_array,
    .map_start = on_map,
    .indef_map_start = on_endless_map,
    .tag = on_tag,
    .float2 = on_float,
    .float4 = on_float,
    .float8 = on_double,
    .undefined = on_undefined,
    .null = on_null,
    .boolean = on_boolean,
    .indef_break = on_break,
};

enum sl_decoded sl_cbor_bad(struct sl_cbor_reader *reader, const char *why)
{
    reader->why = why;
    return SL_DECODE_BAD;
}

/* The item that begins at data is not whole: how many bytes of string does it claim? libcbor says how many
 * bytes the item needs in all, modulo 2^64; so is this difference, and therefore exact. */
static size_t claimed(const unsigned char *data, size_t required)
{
    unsigned major = data[0] >> 5, info = data[0] & 31;
    if (major != 2 && major != 3)
        return 0;
    size_t head = info < 24 ? 1 : 1 + ((size_t)1 << (info - 24));
    return required - head;
}

enum sl_decoded sl_cbor_next(struct sl_cbor_reader *reader, size_t max_string, struct sl_cbor_item *item)
{
    static const char too_long[] = "a string is longer than allowed";
    size_t left = reader->size - reader->at;
    const unsigned char *data = reader->data + reader->at;
    if (!left)
        return SL_DECODE_MORE;
    if (max_string > reader->budget)
        max_string = reader->budget;
    item->endless = false;
    struct cbor_decoder_result result = cbor_stream_decode(data, left, &callbacks, item);
    if (result.status == CBOR_DECODER_NEDATA)
        return claimed(data, result.required) > max_string ? sl_cbor_bad(reader, too_long) : SL_DECODE_MORE;
    if (result.status != CBOR_DECODER_FINISHED)
        return sl_cbor_bad(reader, "not well-formed CBOR");
    if ((item->kind == SL_CBOR_BYTES || item->kind == SL_CBOR_TEXT) && item->number > max_string)
        return sl_cbor_bad(reader, too_long);
    if (item->kind == SL_CBOR_CHUNKED)
        return sl_cbor_bad(reader, "a string of indefinite length; give its length");
    if ((item->kind == SL_CBOR_ARRAY || item->kind == SL_CBOR_MAP) && item->number > SL_CBOR_MOST_ITEMS)
        return sl_cbor_bad(reader, "an array or map claims more than 1,048,576 items");
    if (result.read > reader->budget)
        return sl_cbor_bad(reader, "the record is larger than allowed");
    reader->budget -= result.read;
    reader->at += result.read;
    return SL_DECODED;
}

bool sl_cbor_more(const struct sl_cbor_item *collection, uint64_t *left)
{
    if (collection->endless)
        return true;
    return (*left)-- > 0;
}

enum sl_decoded sl_cbor_skip(struct sl_cbor_reader *reader, const struct sl_cbor_item *item)
{
    /* What is still to come on each level. An endless map is counted in items too: its break may only stand
     * where a key would. */
    struct {
        uint64_t left;
        bool endless, map;
    } levels[MAX_DEPTH];
    size_t depth = 0;
    struct sl_cbor_item current = *item;
    for (;;) {
        if (current.kind == SL_CBOR_BREAK) {
            if (!depth || !levels[depth - 1].endless || levels[depth - 1].left % 2)
                return sl_cbor_bad(reader, "a break where none belongs");
            depth--;
        } else if (current.kind == SL_CBOR_ARRAY || current.kind == SL_CBOR_MAP ||
                   current.kind == SL_CBOR_TAG) {
            if (depth == MAX_DEPTH)
                return sl_cbor_bad(reader, "nested too deep");
            bool map = current.kind == SL_CBOR_MAP;
            levels[depth].endless = current.endless;
            levels[depth].map = map;
            levels[depth].left = current.endless               ? 0
                                 : current.kind == SL_CBOR_TAG ? 1
                                                               : current.number << map;
            depth++;
        }
        while (depth && !levels[depth - 1].endless && !levels[depth - 1].left)
            depth--;
        if (!depth)
            return SL_DECODED;
        if (!levels[depth - 1].endless)
            levels[depth - 1].left--;
        enum sl_decoded decoded = sl_cbor_next(reader, reader->budget, &current);
        if (decoded)
            return decoded;
        if (levels[depth - 1].endless && levels[depth - 1].map && current.kind != SL_CBOR_BREAK)
            levels[depth - 1].left ^= 1; /* a key is without its value now, or no longer */
    }
}

static unsigned char *end_of(struct sl_buffer *buffer)
{
    return (unsigned char *)buffer->data + buffer->size;
}

void sl_cbor_put_uint(struct sl_buffer *buffer, uint64_t number)
{
    buffer->size += cbor_encode_uint(number, end_of(buffer), SL_CBOR_HEAD);
}

static void put(struct sl_buffer *buffer, const void *bytes, size_t size)
{
    if (size)
        memcpy(end_of(buffer), bytes, size);
    buffer->size += size;
}

void sl_cbor_put_bytes(struct sl_buffer *buffer, const void *bytes, size_t size)
{
    buffer->size += cbor_encode_bytestring_start(size, end_of(buffer), SL_CBOR_HEAD);
    put(buffer, bytes, size);
}

void sl_cbor_put_text(struct sl_buffer *buffer, const char *text, size_t size)
{
    buffer->size += cbor_encode_string_start(size, end_of(buffer), SL_CBOR_HEAD);
    put(buffer, text, size);
}

void sl_cbor_put_array(struct sl_buffer *buffer, size_t count)
{
    buffer->size += cbor_encode_array_start(count, end_of(buffer), SL_CBOR_HEAD);
}

void sl_cbor_put_map(struct sl_buffer *buffer, size_t count)
{
    buffer->size += cbor_encode_map_start(count, end_of(buffer), SL_CBOR_HEAD);
}

void sl_cbor_put_null(struct sl_buffer *buffer)
{
    buffer->size += cbor_encode_null(end_of(buffer), SL_CBOR_HEAD);
}
