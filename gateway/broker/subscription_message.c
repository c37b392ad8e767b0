/* A Kafka record as a message: docs/protocol.md. */
#include "gateway/broker/subscription.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* librdkafka ends every header's value with a NUL that its size does not count. A text with a NUL inside, or
 * other than printable, has not the form of ours: it is passed over. */
static const char *text_of(const void *value, size_t size, size_t max)
{
    const char *text = value;
    return text && strlen(text) == size && sl_is_token_text(text, max) ? text : NULL;
}

static int64_t number_of(const void *value, size_t size)
{
    int64_t number;
    const char *text = text_of(value, size, 19);
    return text && sl_parse_int(text, 0, INT64_MAX, &number) ? number : -1;
}

static void take_ours(struct sl_message *message, const char *name, const void *value, size_t size)
{
    const char *text;
    int64_t number;
    if (!strcasecmp(name, SL_KAFKA_HEADER_TRACE_ID)) {
        if ((text = text_of(value, size, 128)))
            message->trace_id = text;
    } else if (!strcasecmp(name, SL_KAFKA_HEADER_CHECKSUM)) {
        if ((text = text_of(value, size, 64)) && size == 64 && strspn(text, "0123456789abcdefABCDEF") == 64)
            message->checksum = text;
    } else if (!strcasecmp(name, SL_KAFKA_HEADER_CRC)) {
        if ((text = text_of(value, size, 32)))
            message->crc = text;
    } else if (!strcasecmp(name, SL_KAFKA_HEADER_DATA_HANDLE)) {
        if ((text = text_of(value, size, 1024)))
            message->data_handle = text;
    } else if (!strcasecmp(name, SL_KAFKA_HEADER_DATA_SIZE)) {
        if ((number = number_of(value, size)) >= 0)
            message->data_size = number;
    } else if (!strcasecmp(name, SL_KAFKA_HEADER_COMPRESSED_SIZE)) {
        if ((number = number_of(value, size)) >= 0)
            message->compressed_size = number;
    }
}

static bool add_header(struct sl_message *message, const char *name, const void *value, size_t size)
{
    if (message->header_count == message->header_capacity) {
        size_t capacity = message->header_capacity ? message->header_capacity * 2 : 16;
        struct sl_header *headers = realloc(message->headers, capacity * sizeof *headers);
        if (!headers)
            return false;
        message->headers = headers;
        message->header_capacity = capacity;
    }
    message->headers[message->header_count++] = (struct sl_header){name, value, value ? size : 0};
    return true;
}

bool gw_message_of_record(const rd_kafka_message_t *record, struct sl_message *message)
{
    sl_message_reset(message);
    message->received = true;
    message->partition_id = record->key;
    message->partition_id_size = record->key ? record->key_len : 0;
    message->payload = record->payload;
    message->payload_size = record->payload ? record->len : 0;
    message->offset = (sl_offset){record->partition, record->offset};
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(record, &type);
    if (type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE)
        message->timestamp_ms = timestamp;
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(record, &headers))
        return true; /* none, or unreadable ones */
    const char *name;
    const void *value;
    size_t size;
    for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &size); i++) {
        if (!strncasecmp(name, SL_KAFKA_HEADER_PREFIX, strlen(SL_KAFKA_HEADER_PREFIX)))
            take_ours(message, name, value, size);
        else if (!add_header(message, name, value, size))
            return false;
    }
    return true;
}
