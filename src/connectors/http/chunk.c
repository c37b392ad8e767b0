#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "connectors/http/internal.h"
#include "wire/cbor.h"

#define MOST_WEIGHT ((size_t)1 << 36)

/* A batch for the application: some messages of a chunk. */
struct piece {
    struct sl_batch batch;
    struct sl_hc_chunk *chunk;
};

void sl_hc_chunk_unlink(struct sl_hc_chunk *chunk)
{
    if (!chunk || __atomic_sub_fetch(&chunk->references, 1, __ATOMIC_ACQ_REL))
        return;
    for (size_t i = 0; i < chunk->count; i++)
        free(chunk->messages[i].headers);
    free(chunk->messages);
    sl_arena_destroy(chunk->arena);
    free(chunk->body);
    sl_hc_chunk_unlink(chunk->origin);
    free(chunk);
}

/* What a message takes while it waits. Payload alone would set no bound to messages without one. What the
 * platform says of a blob is believed up to where sums could overflow. */
static size_t weight_of(const struct sl_message *message)
{
    size_t weight = sl_message_weight(message);
    if (weight > MOST_WEIGHT)
        weight = MOST_WEIGHT;
    weight += sizeof *message + message->partition_id_size;
    for (size_t i = 0; i < message->header_count; i++)
        weight += sizeof *message->headers + message->headers[i].size;
    return weight;
}

/* Room for one more message, empty. */
static struct sl_message *add_message(struct sl_hc_chunk *chunk)
{
    if (chunk->count == chunk->capacity) {
        size_t capacity = chunk->capacity ? 2 * chunk->capacity : 16;
        struct sl_message *messages = realloc(chunk->messages, capacity * sizeof *messages);
        if (!messages)
            return NULL;
        chunk->messages = messages;
        chunk->capacity = capacity;
    }
    struct sl_message *message = &chunk->messages[chunk->count++];
    memset(message, 0, sizeof *message);
    sl_message_reset(message);
    return message;
}

static sl_status refuse(enum sl_decoded decoded, const struct sl_hc_chunk *chunk, const char *why,
                        sl_error *error)
{
    if (decoded == SL_DECODE_OOM)
        return sl_error_oom(error);
    sl_error_set_retriable(error, SL_PROTOCOL, "message %zu of the platform's answer cannot be read: %s",
                           chunk->count, decoded == SL_DECODE_MORE ? "the answer ends within it" : why);
    return SL_PROTOCOL;
}

static sl_status read_cbor(struct sl_hc_chunk *chunk, size_t size, sl_error *error)
{
    const struct sl_record_limits limits = {
        .max_payload = size, .max_headers = SL_CBOR_MOST_ITEMS, .max_rest = size, .foreign = true};
    const char *data = chunk->body;
    while (size) {
        struct sl_message *message = add_message(chunk);
        if (!message)
            return sl_error_oom(error);
        size_t used = 0;
        const char *why = "malformed";
        enum sl_decoded decoded = sl_record_decode(data, size, &limits, chunk->arena, message, &used, &why);
        if (decoded != SL_DECODED)
            return refuse(decoded, chunk, why, error);
        data += used;
        size -= used;
    }
    return SL_OK;
}

static sl_status read_json(struct sl_hc_chunk *chunk, size_t size, sl_error *error)
{
    json_error_t where;
    json_t *answer = json_loadb(chunk->body, size, JSON_ALLOW_NUL, &where);
    const json_t *messages = json_object_get(answer, "messages");
    if (!json_is_array(messages)) {
        sl_error_set_retriable(error, SL_PROTOCOL, "the platform's answer to a poll has no messages: %s",
                               answer ? "not an object with \"messages\"" : where.text);
        json_decref(answer);
        return SL_PROTOCOL;
    }
    sl_status status = SL_OK;
    for (size_t i = 0; i < json_array_size(messages) && !status; i++) {
        struct sl_message *message = add_message(chunk);
        const char *why = "malformed";
        enum sl_decoded decoded =
            message ? sl_message_json_decode(json_array_get(messages, i), chunk->arena, message, &why)
                    : SL_DECODE_OOM;
        if (decoded != SL_DECODED)
            status = refuse(decoded, chunk, why, error);
    }
    json_decref(answer);
    free(chunk->body);
    chunk->body = NULL;
    return status;
}

sl_status sl_hc_chunk_read(struct sl_http_response *response, bool cbor, struct sl_hc_chunk **made,
                           sl_error *error)
{
    *made = NULL;
    size_t size = response->body.size;
    if (!size && cbor)
        return SL_OK;
    struct sl_hc_chunk *chunk = calloc(1, sizeof *chunk);
    if (!chunk)
        return sl_error_oom(error);
    chunk->references = 1;
    chunk->arena = sl_arena_create();
    chunk->body = sl_buffer_take(&response->body);
    sl_status status = !chunk->arena || !chunk->body ? sl_error_oom(error)
                       : cbor                        ? read_cbor(chunk, size, error)
                                                     : read_json(chunk, size, error);
    if (status || !chunk->count) {
        sl_hc_chunk_unlink(chunk);
        return status;
    }
    for (size_t i = 0; i < chunk->count; i++) {
        chunk->messages[i].received = true;
        chunk->bytes += weight_of(&chunk->messages[i]);
    }
    *made = chunk;
    return SL_OK;
}

static void release(struct sl_batch *batch)
{
    struct piece *piece = (struct piece *)batch;
    sl_hc_chunk_unlink(piece->chunk);
    free(piece);
}

struct sl_batch *sl_hc_chunk_hand(struct sl_hc_chunk *chunk, size_t max_messages, size_t max_bytes)
{
    struct piece *piece = calloc(1, sizeof *piece);
    if (!piece)
        return NULL;
    size_t count = 0, bytes = 0;
    while (chunk->handed + count < chunk->count && count < max_messages) {
        const struct sl_message *message = &chunk->messages[chunk->handed + count];
        size_t more = sl_message_weight(message);
        if (count && (bytes >= max_bytes || more > max_bytes - bytes))
            break;
        bytes += more;
        chunk->bytes -= weight_of(message);
        count++;
    }
    piece->batch = (struct sl_batch){.magic = SL_BATCH_MAGIC,
                                     .count = count,
                                     .messages = chunk->messages + chunk->handed,
                                     .release = release};
    piece->chunk = chunk;
    __atomic_add_fetch(&chunk->references, 1, __ATOMIC_RELAXED);
    chunk->handed += count;
    return &piece->batch;
}

bool sl_hc_chunk_drop(struct sl_hc_chunk *chunk, sl_hc_choice *chosen, const void *opaque)
{
    size_t kept = chunk->handed;
    chunk->bytes = 0;
    for (size_t i = chunk->handed; i < chunk->count; i++) {
        struct sl_message *message = &chunk->messages[i];
        if (chosen(opaque, message->offset.partition)) {
            free(message->headers);
            continue;
        }
        chunk->bytes += weight_of(message);
        chunk->messages[kept++] = *message;
    }
    chunk->count = kept;
    return chunk->handed < chunk->count;
}

bool sl_hc_chunk_part(struct sl_hc_chunk *chunk, sl_hc_choice *chosen, const void *opaque,
                      struct sl_hc_chunk **made)
{
    size_t count = 0;
    *made = NULL;
    for (size_t i = chunk->handed; i < chunk->count; i++)
        count += chosen(opaque, chunk->messages[i].offset.partition);
    if (!count)
        return true;
    struct sl_hc_chunk *part = calloc(1, sizeof *part);
    struct sl_message *messages = part ? calloc(count, sizeof *messages) : NULL;
    if (!messages) {
        free(part);
        return false;
    }
    part->references = 1;
    part->member = chunk->member;
    part->messages = messages;
    part->capacity = count;
    part->origin = chunk;
    __atomic_add_fetch(&chunk->references, 1, __ATOMIC_RELAXED);
    size_t kept = chunk->handed;
    for (size_t i = chunk->handed; i < chunk->count; i++) {
        struct sl_message *message = &chunk->messages[i];
        if (!chosen(opaque, message->offset.partition)) {
            chunk->messages[kept++] = *message;
            continue;
        }
        size_t weight = weight_of(message);
        part->messages[part->count++] = *message;
        part->bytes += weight;
        chunk->bytes -= weight;
    }
    chunk->count = kept;
    *made = part;
    return true;
}

int64_t sl_hc_chunk_next(const struct sl_hc_chunk *chunk, int32_t partition)
{
    for (size_t i = chunk->handed; i < chunk->count; i++)
        if (chunk->messages[i].offset.partition == partition)
            return chunk->messages[i].offset.offset;
    return -1;
}
