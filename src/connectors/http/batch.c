#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "connectors/http/internal.h"

/* FNV-1a: spreads partition ids over lanes; nothing rests on its being hard to foresee. */
uint64_t sl_hc_hash(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return hash ^ hash >> 32;
}

struct sl_hc_batch *sl_hc_batch_create(void)
{
    struct sl_hc_batch *batch = calloc(1, sizeof *batch);
    if (batch)
        sl_buffer_init(&batch->body, SIZE_MAX / 2);
    return batch;
}

void sl_hc_batch_reset(struct sl_hc_batch *batch)
{
    sl_buffer_reset(&batch->body);
    batch->next = NULL;
    batch->first = batch->count = 0;
    batch->closed = false;
    free(batch->trace_id);
    free(batch->checksum);
    free(batch->key);
    batch->trace_id = batch->checksum = batch->key = NULL;
}

void sl_hc_batch_free(struct sl_hc_batch *batch)
{
    if (!batch)
        return;
    sl_hc_batch_reset(batch);
    sl_buffer_free(&batch->body);
    free(batch->entries);
    free(batch);
}

static bool reserve(struct sl_hc_batch *batch, size_t more)
{
    if (batch->count + more <= batch->capacity)
        return true;
    size_t capacity = batch->capacity ? batch->capacity * 2 : 1;
    if (capacity < batch->count + more)
        capacity = batch->count + more;
    struct sl_hc_entry *entries = realloc(batch->entries, capacity * sizeof *entries);
    if (!entries)
        return false;
    batch->entries = entries;
    batch->capacity = capacity;
    return true;
}

bool sl_hc_batch_add(struct sl_hc_batch *batch, const struct sl_message *message,
                     const struct sl_hc_entry *entry)
{
    if (!reserve(batch, 1))
        return false;
    size_t start = batch->body.size;
    if (!sl_record_encode(&batch->body, message)) {
        batch->body.size = start;
        batch->body.failed = false;
        return false;
    }
    batch->entries[batch->count] = *entry;
    batch->entries[batch->count++].start = start;
    return true;
}

bool sl_hc_batch_set(struct sl_hc_batch *batch, const struct sl_message *message,
                     const struct sl_hc_entry *entry)
{
    sl_hc_batch_reset(batch);
    batch->closed = true;
    if (!reserve(batch, 1) || !sl_buffer_append(&batch->body, message->payload, message->payload_size))
        return false;
    batch->trace_id = sl_strdup(message->trace_id);
    batch->checksum = sl_strdup(message->checksum);
    if ((message->trace_id && !batch->trace_id) || (message->checksum && !batch->checksum))
        return false;
    if (message->partition_id) {
        struct sl_buffer key;
        sl_buffer_init(&key, 3 * message->partition_id_size + 1);
        sl_percent_encode(&key, message->partition_id, message->partition_id_size);
        batch->key = sl_buffer_take(&key);
        if (!batch->key)
            return false;
    }
    batch->entries[0] = *entry;
    batch->entries[0].start = 0;
    batch->count = 1;
    return true;
}

const char *sl_hc_batch_body(const struct sl_hc_batch *batch, size_t *size)
{
    size_t start = batch->first < batch->count ? batch->entries[batch->first].start : batch->body.size;
    *size = batch->body.size - start;
    return batch->body.data ? batch->body.data + start : "";
}

static size_t end_of(const struct sl_hc_batch *batch, size_t index)
{
    return index + 1 < batch->count ? batch->entries[index + 1].start : batch->body.size;
}

void sl_hc_batch_keep(struct sl_hc_batch *batch, const bool *keep)
{
    size_t kept = 0, size = 0;
    for (size_t i = batch->first; i < batch->count; i++) {
        if (!keep[i - batch->first])
            continue;
        size_t start = batch->entries[i].start, bytes = end_of(batch, i) - start;
        memmove(batch->body.data + size, batch->body.data + start, bytes);
        batch->entries[kept] = batch->entries[i]; /* kept <= i: what is read later is not overwritten */
        batch->entries[kept++].start = size;
        size += bytes;
    }
    batch->first = 0;
    batch->count = kept;
    batch->body.size = size;
}

struct sl_hc_batch *sl_hc_batch_split(struct sl_hc_batch *batch)
{
    size_t moved = (batch->count - batch->first) / 2, from = batch->count - moved;
    struct sl_hc_batch *half = sl_hc_batch_create();
    size_t start = moved ? batch->entries[from].start : batch->body.size;
    if (!half || !reserve(half, moved) ||
        !sl_buffer_append(&half->body, batch->body.data + start, batch->body.size - start)) {
        sl_hc_batch_free(half);
        return NULL;
    }
    for (size_t i = 0; i < moved; i++) {
        half->entries[i] = batch->entries[from + i];
        half->entries[i].start -= start;
    }
    half->count = moved;
    half->closed = batch->closed = true;
    batch->count = from;
    batch->body.size = start;
    return half;
}
