#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

size_t sl_message_weight(const struct sl_message *message)
{
    if (message->payload || !message->data_handle || message->data_size < 0)
        return message->payload_size;
    return (uint64_t)message->data_size < SIZE_MAX ? (size_t)message->data_size : SIZE_MAX;
}

void sl_message_reset(struct sl_message *message)
{
    struct sl_header *headers = message->headers;
    size_t capacity = message->header_capacity;
    *message = (struct sl_message){
        .magic = SL_MESSAGE_MAGIC,
        .timestamp_ms = -1,
        .data_size = -1,
        .compressed_size = -1,
        .offset = {-1, -1},
        .headers = headers,
        .header_capacity = capacity,
    };
}

bool sl_header_name_ok(const char *name)
{
    return sl_is_http_token(name, 128) &&
           strncasecmp(name, SL_KAFKA_HEADER_PREFIX, strlen(SL_KAFKA_HEADER_PREFIX)) != 0;
}

bool sl_message_push_header(struct sl_message *message, const struct sl_header *header)
{
    if (message->header_count == message->header_capacity) {
        size_t capacity = message->header_capacity ? message->header_capacity * 2 : 4;
        struct sl_header *headers = realloc(message->headers, capacity * sizeof *headers);
        if (!headers)
            return false;
        message->headers = headers;
        message->header_capacity = capacity;
    }
    message->headers[message->header_count++] = *header;
    return true;
}

sl_status sl_message_create(sl_message **message)
{
    if (!message)
        return SL_INVALID_ARGUMENT;
    *message = calloc(1, sizeof **message);
    if (!*message)
        return SL_OUT_OF_MEMORY;
    sl_message_reset(*message);
    return SL_OK;
}

void sl_message_destroy(sl_message **message)
{
    if (!message || !*message)
        return;
    sl_message *gone = *message;
    *message = NULL;
    if (gone->magic != SL_MESSAGE_MAGIC || gone->received)
        return;
    gone->magic = 0;
    free(gone->headers);
    free(gone);
}

void sl_message_clear(sl_message *message)
{
    if (message && message->magic == SL_MESSAGE_MAGIC && !message->received)
        sl_message_reset(message);
}

static sl_status writable(const sl_message *message)
{
    if (!message || message->magic != SL_MESSAGE_MAGIC)
        return SL_INVALID_HANDLE;
    return message->received ? SL_INVALID_ARGUMENT : SL_OK;
}

sl_status sl_message_set_partition_id(sl_message *message, const char *id, size_t size)
{
    sl_status status = writable(message);
    if (status)
        return status;
    if (id) {
        /* A code point has at most four bytes: what is longer need not be counted. */
        long length =
            size > (size_t)4 * SL_PARTITION_ID_MAX ? SL_PARTITION_ID_MAX + 1L : sl_utf8_length(id, size);
        if (length > SL_PARTITION_ID_MAX)
            return SL_TOO_LARGE;
        if (length <= 0)
            return SL_INVALID_ARGUMENT;
    }
    message->partition_id = id;
    message->partition_id_size = id ? size : 0;
    return SL_OK;
}

sl_status sl_message_set_payload(sl_message *message, const void *data, size_t size)
{
    sl_status status = writable(message);
    if (status)
        return status;
    if (!data && size)
        return SL_INVALID_ARGUMENT;
    message->payload = data ? data : "";
    message->payload_size = size;
    return SL_OK;
}

sl_status sl_message_set_timestamp_ms(sl_message *message, int64_t timestamp_ms)
{
    sl_status status = writable(message);
    if (status)
        return status;
    if (timestamp_ms < 1)
        return SL_INVALID_ARGUMENT;
    message->timestamp_ms = timestamp_ms;
    return SL_OK;
}

sl_status sl_message_set_trace_id(sl_message *message, const char *trace_id)
{
    sl_status status = writable(message);
    if (status)
        return status;
    if (trace_id && !sl_is_token_text(trace_id, 128))
        return SL_INVALID_ARGUMENT;
    message->trace_id = trace_id;
    return SL_OK;
}

sl_status sl_message_set_checksum(sl_message *message, const char *sha256_hex)
{
    sl_status status = writable(message);
    if (status)
        return status;
    if (sha256_hex && !sl_is_sha256_hex(sha256_hex))
        return SL_INVALID_ARGUMENT;
    message->checksum = sha256_hex;
    return SL_OK;
}

sl_status sl_message_set_compressed(sl_message *message, bool on)
{
    sl_status status = writable(message);
    if (!status)
        message->compressed = on;
    return status;
}

sl_status sl_message_set_crc(sl_message *message, const char *crc)
{
    sl_status status = writable(message);
    if (status)
        return status;
    if (crc && !sl_is_token_text(crc, 32))
        return SL_INVALID_ARGUMENT;
    message->crc = crc;
    return SL_OK;
}

sl_status sl_message_add_header(sl_message *message, const char *name, const void *value, size_t size)
{
    sl_status status = writable(message);
    if (status)
        return status;
    if (!name || !sl_header_name_ok(name) || (!value && size))
        return SL_INVALID_ARGUMENT;
    struct sl_header header = {name, value ? value : "", size};
    return sl_message_push_header(message, &header) ? SL_OK : SL_OUT_OF_MEMORY;
}

const char *sl_message_partition_id(const sl_message *message, size_t *size)
{
    if (size)
        *size = message ? message->partition_id_size : 0;
    return message ? message->partition_id : NULL;
}

const void *sl_message_payload(const sl_message *message, size_t *size)
{
    if (size)
        *size = message ? message->payload_size : 0;
    return message ? message->payload : NULL;
}

int64_t sl_message_timestamp_ms(const sl_message *message)
{
    return message ? message->timestamp_ms : -1;
}

const char *sl_message_trace_id(const sl_message *message)
{
    return message ? message->trace_id : NULL;
}

const char *sl_message_checksum(const sl_message *message)
{
    return message ? message->checksum : NULL;
}

const char *sl_message_crc(const sl_message *message)
{
    return message ? message->crc : NULL;
}

const char *sl_message_data_handle(const sl_message *message)
{
    return message ? message->data_handle : NULL;
}

int64_t sl_message_data_size(const sl_message *message)
{
    return message ? message->data_size : -1;
}

int64_t sl_message_compressed_size(const sl_message *message)
{
    return message ? message->compressed_size : -1;
}

bool sl_message_compressed(const sl_message *message)
{
    return message && message->compressed;
}

sl_offset sl_message_offset(const sl_message *message)
{
    return message ? message->offset : (sl_offset){-1, -1};
}

size_t sl_message_header_count(const sl_message *message)
{
    return message ? message->header_count : 0;
}

bool sl_message_header_at(const sl_message *message, size_t index, const char **name, const void **value,
                          size_t *size)
{
    if (!message || index >= message->header_count)
        return false;
    const struct sl_header *header = &message->headers[index];
    if (name)
        *name = header->name;
    if (value)
        *value = header->value;
    if (size)
        *size = header->size;
    return true;
}

bool sl_message_header(const sl_message *message, const char *name, const void **value, size_t *size)
{
    if (!message || !name)
        return false;
    for (size_t i = message->header_count; i-- > 0;)
        if (!strcmp(message->headers[i].name, name))
            return sl_message_header_at(message, i, NULL, value, size);
    return false;
}

const char *sl_timestamp_fault(int64_t timestamp_ms, int64_t now_ms, int64_t ttl_ms)
{
    if (timestamp_ms < 0)
        return NULL;
    if (ttl_ms > 0 && timestamp_ms < now_ms - ttl_ms)
        return "the timestamp is older than the layer's ttl, so Kafka would delete the message at once: "
               "leave the "
               "timestamp out, or make the layer's ttl longer";
    if (timestamp_ms > now_ms + SL_TIMESTAMP_AHEAD_MS)
        return "the timestamp is more than an hour ahead of the clock: correct it, or leave it out";
    return NULL;
}
