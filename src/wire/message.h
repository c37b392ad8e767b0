/*
 * The message as all parts of the project hold it: library, connectors, gateway. Plain data: who fills it
 * says who owns what it points to.
 */
#ifndef SL_WIRE_MESSAGE_H
#define SL_WIRE_MESSAGE_H

#include <streamlayer/message.h>

struct sl_header {
    const char *name;  /* NUL-terminated */
    const void *value; /* NULL: a null value */
    size_t size;
};

#define SL_MESSAGE_MAGIC 0x6d5e55a9u

struct sl_message {
    unsigned magic;
    bool received;            /* belongs to a batch */
    bool compressed;          /* the payload is gzip as it stands: of layers with that encoding only */
    const char *partition_id; /* NULL: none */
    size_t partition_id_size;
    const void *payload; /* NULL: a null value, unless data_handle is set */
    size_t payload_size;
    int64_t timestamp_ms; /* -1: none, and so for all numbers */
    const char *trace_id; /* NUL-terminated or NULL, and so for all texts */
    const char *checksum;
    const char *crc;
    const char *data_handle;
    int64_t data_size;
    int64_t compressed_size;
    sl_offset offset;
    struct sl_header *headers; /* the array is the message's own, or its batch's */
    size_t header_count, header_capacity;
};

/* No parts at all. headers and header_capacity are kept. */
void sl_message_reset(struct sl_message *message);
/* Adds a header as it is, unchecked; false when memory is out. */
bool sl_message_push_header(struct sl_message *message, const struct sl_header *header);
/* The bytes that it takes against bounds of payload: a payload that lies in a blob counts too, because polls
 * may fetch it. */
size_t sl_message_weight(const struct sl_message *message);
/* What sl_message_add_header allows as a name. */
bool sl_header_name_ok(const char *name);

/*
 * Why Kafka would not keep a message of that timestamp on a layer of that ttl, or NULL: its retention goes by
 * the record's own timestamp, and it refuses what is more than an hour ahead. ttl_ms 0: not known. Static
 * text.
 */
#define SL_TIMESTAMP_AHEAD_MS 3600000
const char *sl_timestamp_fault(int64_t timestamp_ms, int64_t now_ms, int64_t ttl_ms);

/*
 * The names of the Kafka headers that carry what Kafka has no field for. User headers never begin with the
 * prefix. Values are text; sizes are decimal.
 */
#define SL_KAFKA_HEADER_PREFIX          "sl-"
#define SL_KAFKA_HEADER_TRACE_ID        "sl-trace-id"
#define SL_KAFKA_HEADER_CHECKSUM        "sl-checksum"
#define SL_KAFKA_HEADER_CRC             "sl-crc"
#define SL_KAFKA_HEADER_DATA_HANDLE     "sl-data-handle"
#define SL_KAFKA_HEADER_DATA_SIZE       "sl-data-size"
#define SL_KAFKA_HEADER_COMPRESSED_SIZE "sl-compressed-data-size"

#endif
