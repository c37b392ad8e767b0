/*
 * CBOR (RFC 8949) item by item on libcbor's streaming coder: no trees, no copies. For src/wire only.
 */
#ifndef SL_WIRE_CBOR_H
#define SL_WIRE_CBOR_H

#include "wire/record.h"

enum sl_cbor_kind {
    SL_CBOR_UINT,   /* number */
    SL_CBOR_NEGINT, /* -1 - number */
    SL_CBOR_BYTES,  /* bytes, number of them; they point into the input */
    SL_CBOR_TEXT,   /* likewise; not yet checked to be UTF-8 */
    SL_CBOR_ARRAY,  /* number of items, or endless */
    SL_CBOR_MAP,    /* number of pairs, or endless */
    SL_CBOR_TAG,    /* one item follows */
    SL_CBOR_NULL,
    SL_CBOR_BREAK,
    SL_CBOR_CHUNKED, /* a string of indefinite length: refused wherever it stands */
    SL_CBOR_OTHER    /* booleans, floats, undefined */
};

struct sl_cbor_item {
    enum sl_cbor_kind kind;
    bool endless; /* indefinite length: up to a break */
    uint64_t number;
    const unsigned char *bytes;
};

struct sl_cbor_reader {
    const unsigned char *data;
    size_t size, at;
    size_t budget;   /* bytes that may still be read: an endless record ends somewhere */
    const char *why; /* set with SL_DECODE_BAD */
};

/* A collection may claim so many items. As many headers as a Kafka record of 2 MiB has room for: a foreign
 * one that could not be read would hold up its partition for ever. */
#define SL_CBOR_MOST_ITEMS (1u << 20)

/* The next item. A string that claims more than max_string bytes is bad at once, not waited for. */
enum sl_decoded sl_cbor_next(struct sl_cbor_reader *reader, size_t max_string, struct sl_cbor_item *item);

/* Passes over what belongs to item, which was just read: nested items, whatever they are. */
enum sl_decoded sl_cbor_skip(struct sl_cbor_reader *reader, const struct sl_cbor_item *item);

enum sl_decoded sl_cbor_bad(struct sl_cbor_reader *reader, const char *why);

/* True when the map or array just read has another element; counts down *left. For an endless one the caller
 * meets the break as an item. */
bool sl_cbor_more(const struct sl_cbor_item *collection, uint64_t *left);

/* Writers: the buffer must have room (an item's head takes at most SL_CBOR_HEAD bytes). */
#define SL_CBOR_HEAD 9
void sl_cbor_put_uint(struct sl_buffer *buffer, uint64_t number);
void sl_cbor_put_bytes(struct sl_buffer *buffer, const void *bytes, size_t size);
void sl_cbor_put_text(struct sl_buffer *buffer, const char *text, size_t size);
void sl_cbor_put_array(struct sl_buffer *buffer, size_t count);
void sl_cbor_put_map(struct sl_buffer *buffer, size_t count);
void sl_cbor_put_null(struct sl_buffer *buffer);

#endif
