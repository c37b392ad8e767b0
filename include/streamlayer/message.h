/*
 * A message: what a producer sends and a consumer receives.
 *
 * To send, create one message, set its parts and give it to sl_producer_send; the same message may be
 * set anew and sent again. Setters BORROW: the bytes given must stay as they are until the message was
 * sent or that part was set anew; sending copies them. Received messages belong to their batch and are
 * read-only.
 *
 * On Kafka, a message is a record: partition id = key, payload = value, timestamp = timestamp, user
 * headers = headers, and the rest in headers that begin with "sl-" (docs/protocol.md).
 *
 * Threads: a message may be used by one thread at a time.
 */
#ifndef STREAMLAYER_MESSAGE_H
#define STREAMLAYER_MESSAGE_H

#include <stddef.h>
#include <stdint.h>
#include <streamlayer/error.h>

SL_BEGIN_DECLS

#define SL_PARTITION_ID_MAX   500     /* characters (Unicode code points) in a partition id */
#define SL_PAYLOAD_INLINE_MAX 1048576 /* bytes of payload that travel inside a message: 1 MiB */

typedef struct sl_message sl_message; /* what is sent and received */

/* Where a message lies: the Kafka partition's number, and the record's offset in it. */
typedef struct sl_offset {
    int32_t partition; /* Kafka's, from 0 */
    int64_t offset;    /* the record's, in it */
} sl_offset;

/*
 * Makes an empty message.
 *   Ownership: the caller destroys it with sl_message_destroy.
 *   Errors: SL_OUT_OF_MEMORY.
 */
SL_API SL_MUST_CHECK sl_status sl_message_create(sl_message **message);

/*
 * Releases a message made by sl_message_create and sets the pointer to NULL; *message may be NULL.
 * A message of a batch is left alone: it goes with its batch.
 */
SL_API void sl_message_destroy(sl_message **message);

/* Forgets every part, headers too, so that the message can be filled anew. */
SL_API void sl_message_clear(sl_message *message);

/*
 * The setters. Each borrows (see above) and checks.
 *   Errors: SL_INVALID_HANDLE; SL_INVALID_ARGUMENT where a value is not allowed; SL_TOO_LARGE;
 *   SL_OUT_OF_MEMORY (headers only).
 */

/* The partition id: UTF-8, at most SL_PARTITION_ID_MAX characters; size in bytes. Messages with the same
 * partition id keep their order. Without one, the trace id serves as the partition id. */
SL_API sl_status sl_message_set_partition_id(sl_message *message, const char *id, size_t size);

/* The payload; size in bytes, 0 allowed (data may then be NULL). */
SL_API sl_status sl_message_set_payload(sl_message *message, const void *data, size_t size);

/* The event's time, milliseconds since 1970-01-01 UTC, 1 or more (Kafka's client takes 0 for none); without
 * one, the time of sending. One that is further back than the layer's ttl (Kafka would delete the message) or
 * more than an hour ahead is refused, with kafka-connector by sl_producer_send, over HTTP in the delivery's
 * report. For old recordings: no timestamp, and the recording's time in a header or in the payload. */
SL_API sl_status sl_message_set_timestamp_ms(sl_message *message, int64_t timestamp_ms);

/* A trace id: printable ASCII, 1 to 128 characters, NUL-terminated; NULL removes it. */
SL_API sl_status sl_message_set_trace_id(sl_message *message, const char *trace_id);

/* The payload is gzip already: on a layer with that content encoding it goes as it is, instead of being
 * compressed (stream.producer.compress), and sl_producer_send refuses what is not gzip (SL_INVALID_ARGUMENT).
 * Without effect on others. */
SL_API sl_status sl_message_set_compressed(sl_message *message, bool on);

/* The SHA-256 of the payload, 64 hex digits. It is compared with the payload before anything is sent;
 * a mismatch fails the send with SL_CHECKSUM_MISMATCH. NULL removes it. Where the library compresses the
 * payload, the checksum that travels is that of the compressed bytes; a consumer that inflates them compares
 * it and gives the payload's. */
SL_API sl_status sl_message_set_checksum(sl_message *message, const char *sha256_hex);

/* A CRC of the application's own, 1 to 32 printable ASCII characters; it is carried, not checked. */
SL_API sl_status sl_message_set_crc(sl_message *message, const char *crc);

/* Adds a user header; a name may occur more than once, and the order is kept. Names are 1 to 128
 * characters of RFC 9110 tokens and must not begin with "sl-". Values are any bytes. */
SL_API sl_status sl_message_add_header(sl_message *message, const char *name, const void *value, size_t size);

/*
 * The getters. What a message does not have is NULL, 0 size, or -1 for numbers.
 *   Ownership: what is returned belongs to the message, and for a received one lives until its batch is
 *   destroyed. Strings are NUL-terminated where no size is given.
 *   Errors: a NULL message reads as one without parts.
 */

/* The Kafka key's bytes, *size of them. A foreign record without a key: NULL. The bytes of a foreign
 * record need not be UTF-8. */
SL_API const char *sl_message_partition_id(const sl_message *message, size_t *size);

/* The payload. One that lies in a blob and was not fetched (sl_message_data_handle): NULL. A foreign record
 * with a null value: NULL; an empty payload: not NULL, *size 0. */
SL_API const void *sl_message_payload(const sl_message *message, size_t *size);

/* Milliseconds since 1970-01-01 UTC. */
SL_API int64_t sl_message_timestamp_ms(const sl_message *message);
/* What the setters of the same names say. */
SL_API const char *sl_message_trace_id(const sl_message *message);
SL_API const char *sl_message_checksum(const sl_message *message);
SL_API const char *sl_message_crc(const sl_message *message);

/* The blob that holds the payload when it is over SL_PAYLOAD_INLINE_MAX; else NULL. */
SL_API const char *sl_message_data_handle(const sl_message *message);

/* The payload is as it was sent to a layer whose content encoding is gzip, not inflated: the consumer does
 * not (stream.consumer.inflate), or could not, and has logged why. sl_producer_send sends it as it is. */
SL_API bool sl_message_compressed(const sl_message *message);

/* The payload's bytes as the writer stated them, uncompressed and compressed; -1 when not stated. */
SL_API int64_t sl_message_data_size(const sl_message *message);
SL_API int64_t sl_message_compressed_size(const sl_message *message);

/* Where a received message lies; {-1, -1} for one that was not received. */
SL_API sl_offset sl_message_offset(const sl_message *message);

/* How many user headers there are. */
SL_API size_t sl_message_header_count(const sl_message *message);

/* The header at index (from 0), in the order written; false when there is none. A null value: *value is
 * NULL. Out-pointers may be NULL. */
SL_API bool sl_message_header_at(const sl_message *message, size_t index, const char **name,
                                 const void **value, size_t *size);

/* The last header of that name (Kafka's rule); false when there is none. */
SL_API bool sl_message_header(const sl_message *message, const char *name, const void **value, size_t *size);

SL_END_DECLS

#endif
