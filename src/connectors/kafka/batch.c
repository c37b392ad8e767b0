/*
 * Received messages. Nothing of them is copied: librdkafka's messages are kept until the batch is released,
 * and what it gives as header values ends in a NUL (rdkafka.h promises so), so texts can point there too.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "connectors/kafka/kafka.h"
#include "wire/record.h"

struct sl_kafka_batch {
    struct sl_batch base; /* first: the library knows only this */
    struct sl_kafka_client *client;
    rd_kafka_message_t **raw; /* beside base.messages */
    size_t capacity;
    struct sl_header *headers; /* of all messages, one after another */
    size_t header_count, header_capacity;
};

struct sl_kafka_batch *sl_kafka_batch_create(struct sl_kafka_client *client)
{
    struct sl_kafka_batch *batch = calloc(1, sizeof *batch);
    if (batch)
        batch->client = sl_kafka_client_link(client);
    return batch;
}

size_t sl_kafka_batch_count(const struct sl_kafka_batch *batch)
{
    return batch->base.count;
}

static void release(struct sl_batch *base)
{
    struct sl_kafka_batch *batch = (struct sl_kafka_batch *)base;
    for (size_t i = 0; i < base->count; i++)
        rd_kafka_message_destroy(batch->raw[i]);
    free(base->messages);
    free(batch->raw);
    free(batch->headers);
    sl_kafka_client_unlink(batch->client);
    free(batch);
}

static bool room(struct sl_kafka_batch *batch)
{
    if (batch->base.count < batch->capacity)
        return true;
    size_t capacity = batch->capacity ? batch->capacity * 2 : 16;
    struct sl_message *messages = realloc(batch->base.messages, capacity * sizeof *messages);
    if (!messages)
        return false;
    batch->base.messages = messages;
    rd_kafka_message_t **raw = realloc(batch->raw, capacity * sizeof(rd_kafka_message_t *));
    if (!raw)
        return false;
    batch->raw = raw;
    batch->capacity = capacity;
    return true;
}

static bool header_room(struct sl_kafka_batch *batch, size_t count)
{
    if (count <= batch->header_capacity - batch->header_count)
        return true;
    size_t capacity = batch->header_capacity * 2 + count + 16;
    struct sl_header *headers = realloc(batch->headers, capacity * sizeof *headers);
    if (!headers)
        return false;
    batch->headers = headers;
    batch->header_capacity = capacity;
    return true;
}

static void take_number(const char *text, int64_t *number)
{
    int64_t value;
    if (sl_parse_int(text, 0, INT64_MAX, &value))
        *number = value;
}

/* One of our headers; what does not have its form is as if it were not there. */
static void take_ours(struct sl_message *message, const char *name, const void *value, size_t size)
{
    const char *text = value;
    if (!text || strlen(text) != size)
        return;
    if (!strcmp(name, SL_KAFKA_HEADER_TRACE_ID)) {
        if (sl_is_token_text(text, 128))
            message->trace_id = text;
    } else if (!strcmp(name, SL_KAFKA_HEADER_CHECKSUM)) {
        if (size == 64 && strspn(text, "0123456789abcdefABCDEF") == 64)
            message->checksum = text;
    } else if (!strcmp(name, SL_KAFKA_HEADER_CRC)) {
        if (sl_is_token_text(text, 32))
            message->crc = text;
    } else if (!strcmp(name, SL_KAFKA_HEADER_DATA_HANDLE)) {
        if (sl_is_token_text(text, SL_DATA_HANDLE_MAX))
            message->data_handle = text;
    } else if (!strcmp(name, SL_KAFKA_HEADER_DATA_SIZE)) {
        take_number(text, &message->data_size);
    } else if (!strcmp(name, SL_KAFKA_HEADER_COMPRESSED_SIZE)) {
        take_number(text, &message->compressed_size);
    }
}

/* Until the batch is finished, header_capacity holds the place of the message's first header. */
static bool take_headers(struct sl_kafka_batch *batch, const rd_kafka_message_t *raw,
                         struct sl_message *message)
{
    rd_kafka_headers_t *headers;
    message->header_capacity = batch->header_count;
    if (rd_kafka_message_headers(raw, &headers))
        return true;
    size_t count = rd_kafka_header_cnt(headers);
    if (!header_room(batch, count))
        return false;
    struct sl_header *user = batch->headers + batch->header_count;
    for (size_t i = 0; i < count; i++) {
        const char *name;
        const void *value;
        size_t size;
        if (rd_kafka_header_get_all(headers, i, &name, &value, &size))
            break;
        if (!strncasecmp(name, SL_KAFKA_HEADER_PREFIX, strlen(SL_KAFKA_HEADER_PREFIX)))
            take_ours(message, name, value, size);
        else
            user[message->header_count++] = (struct sl_header){name, value, value ? size : 0};
    }
    batch->header_count += message->header_count;
    return true;
}

bool sl_kafka_batch_add(struct sl_kafka_batch *batch, rd_kafka_message_t *raw)
{
    if (!room(batch))
        return false;
    struct sl_message *message = &batch->base.messages[batch->base.count];
    *message = (struct sl_message){.magic = SL_MESSAGE_MAGIC, .received = true};
    sl_message_reset(message);
    message->received = true;
    if (!take_headers(batch, raw, message))
        return false;
    rd_kafka_timestamp_type_t type;
    message->timestamp_ms = rd_kafka_message_timestamp(raw, &type);
    if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || message->timestamp_ms < 0)
        message->timestamp_ms = -1;
    message->partition_id = raw->key;
    message->partition_id_size = raw->key ? raw->key_len : 0;
    message->payload = raw->payload;
    message->payload_size = raw->payload ? raw->len : 0;
    message->offset = (sl_offset){raw->partition, raw->offset};
    batch->raw[batch->base.count++] = raw;
    return true;
}

size_t sl_kafka_batch_last_weight(const struct sl_kafka_batch *batch)
{
    return sl_message_weight(&batch->base.messages[batch->base.count - 1]);
}

rd_kafka_message_t *sl_kafka_batch_untake(struct sl_kafka_batch *batch)
{
    batch->header_count -= batch->base.messages[--batch->base.count].header_count;
    return batch->raw[batch->base.count];
}

void sl_kafka_batch_filter(struct sl_kafka_batch *batch, const struct sl_kafka_consumer *consumer)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->base.count; i++) {
        if (!sl_kafka_position_of(consumer, batch->raw[i]->partition)) {
            rd_kafka_message_destroy(batch->raw[i]);
            continue;
        }
        batch->base.messages[kept] = batch->base.messages[i];
        batch->raw[kept++] = batch->raw[i];
    }
    batch->base.count = kept;
}

void sl_kafka_batch_advance(const struct sl_kafka_batch *batch, struct sl_kafka_consumer *consumer)
{
    struct sl_kafka_position *position = NULL;
    for (size_t i = 0; i < batch->base.count; i++) {
        const rd_kafka_message_t *raw = batch->raw[i];
        if (!position || position->partition != raw->partition)
            position = sl_kafka_position_of(consumer, raw->partition);
        if (position)
            position->next = raw->offset + 1;
    }
}

struct sl_batch *sl_kafka_batch_finish(struct sl_kafka_batch *batch)
{
    if (!batch->base.count) {
        release(&batch->base);
        return NULL;
    }
    for (size_t i = 0; i < batch->base.count; i++) {
        struct sl_message *message = &batch->base.messages[i];
        message->headers = message->header_count ? batch->headers + message->header_capacity : NULL;
        message->header_capacity = 0;
    }
    batch->base.magic = SL_BATCH_MAGIC;
    batch->base.release = release;
    return &batch->base;
}
