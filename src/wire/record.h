/*
 * Messages on the wire: CBOR sequences (RFC 8742; our extension application/cbor-seq) and the JSON of the
 * stream API. docs/protocol.md writes both down, with test vectors.
 *
 * A CBOR record is a map with small integer keys:
 *   1 partition id (text; bytes when a foreign key is not UTF-8; absent: no key)
 *   2 payload (bytes; null: a null value; absent: see 7)   3 timestamp, ms   4 trace id   5 checksum   6 crc
 *   7 data handle   8 data size   9 compressed size   10 headers: array of [name, bytes or null]
 *   11 Kafka partition   12 offset
 * (a foreign header's name that is not UTF-8 is bytes, too)
 * A CBOR result (the answer to one record of a batch, in the batch's order):
 *   1 status as HTTP has it (200: written)   2 trace id   3 Kafka partition   4 offset   5 code   6 text
 * Unknown keys are passed over.
 */
#ifndef SL_WIRE_RECORD_H
#define SL_WIRE_RECORD_H

#include "base/buffer.h"
#include "wire/message.h"
#include <jansson.h>

#define SL_MEDIA_CBOR_SEQ "application/cbor-seq"

/* Appends one record; false when the buffer has no room or memory is out (buffer->failed). */
bool sl_record_encode(struct sl_buffer *buffer, const struct sl_message *message);

/* At least the bytes that sl_record_encode appends. */
size_t sl_record_size(const struct sl_message *message);

struct sl_record_limits {
    size_t max_payload; /* bytes */
    size_t max_headers; /* number */
    size_t max_rest;    /* bytes of foreign records besides the payload; 0: SL_RECORD_REST_MAX */
    /* For who reads what a gateway hands out: any Kafka record may come, also one with a longer key, or with
     * header names that a producer of ours could not have set. */
    bool foreign;
};

/* A record may have so many bytes besides its payload. */
#define SL_RECORD_REST_MAX 1048576
#define SL_DATA_HANDLE_MAX 1024 /* characters of printable ASCII */

enum sl_decoded { SL_DECODED, SL_DECODE_MORE, SL_DECODE_BAD, SL_DECODE_OOM };

/*
 * Decodes the record at the front of data. SL_DECODED: *used bytes of it were the record; bytes of the
 * message (key, payload, header values) point into data, texts are copied into arena and live as long as it
 * does; the headers array is message's own (realloc'ed). SL_DECODE_MORE: the record goes on behind size, or
 * size is 0. SL_DECODE_BAD: *why says what is wrong (static text). Nothing is read behind size.
 */
struct sl_arena;
enum sl_decoded sl_record_decode(const void *data, size_t size, const struct sl_record_limits *limits,
                                 struct sl_arena *arena, struct sl_message *message, size_t *used,
                                 const char **why);

/* Texts that live together. */
struct sl_arena *sl_arena_create(void);
void sl_arena_destroy(struct sl_arena *arena);                              /* NULL is allowed */
char *sl_arena_copy(struct sl_arena *arena, const void *text, size_t size); /* NUL added; NULL: no memory */
void *sl_arena_alloc(struct sl_arena *arena, size_t size);                  /* aligned for anything */

struct sl_result {
    int status;           /* as HTTP has it */
    const char *trace_id; /* NULL: none */
    sl_offset offset;     /* {-1,-1}: not known */
    const char *code;     /* the stable error code, NULL when written */
    const char *text;
};
bool sl_result_encode(struct sl_buffer *buffer, const struct sl_result *result);
enum sl_decoded sl_result_decode(const void *data, size_t size, struct sl_arena *arena,
                                 struct sl_result *result, size_t *used, const char **why);

/*
 * The JSON form {"metaData":{…},"offset":{…}} of the stream API. A missing key is "", a key that is not UTF-8
 * has U+FFFD for each broken byte, a null value has no "data". headers and traceId only if extended.
 * Appends to buffer; false when it has no room or memory is out: then nothing is appended.
 */
bool sl_message_json_encode(struct sl_buffer *buffer, const struct sl_message *message, bool extended);
/* Reads it back from a parsed value: texts and payload go to the arena. SL_DECODED, _BAD or _OOM. A missing
 * "offset" is {-1,-1}. Parse with JSON_ALLOW_NUL: a foreign key may hold a NUL. */
enum sl_decoded sl_message_json_decode(const json_t *value, struct sl_arena *arena,
                                       struct sl_message *message, const char **why);

#endif
