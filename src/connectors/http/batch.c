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
    batch->kind = SL_HC_RECORDS;
    while (batch->field_count) {
        struct sl_hc_field *field = &batch->fields[--batch->field_count];
        free(field->name);
        free(field->value);
    }
}

void sl_hc_batch_free(struct sl_hc_batch *batch)
{
    if (!batch)
        return;
    sl_hc_batch_reset(batch);
    sl_buffer_free(&batch->body);
    free(batch->fields);
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

/* Takes the memory of value. */
static bool add_field(struct sl_hc_batch *batch, const char *prefix, const char *name, char *value)
{
    struct sl_hc_field *longer =
        value ? realloc(batch->fields, (batch->field_count + 1) * sizeof *longer) : NULL;
    char *whole = longer ? sl_printf("%s%s", prefix, name) : NULL;
    if (longer)
        batch->fields = longer;
    if (!whole) {
        free(value);
        return false;
    }
    batch->fields[batch->field_count++] = (struct sl_hc_field){whole, value};
    return true;
}

static char *encode(const void *data, size_t size)
{
    struct sl_buffer text;
    sl_buffer_init(&text, 3 * size + 1);
    sl_percent_encode(&text, data, size);
    sl_buffer_append(&text, "", 0);
    char *taken = size ? sl_buffer_take(&text) : sl_strdup("");
    sl_buffer_free(&text);
    return taken;
}

static bool add_fields(struct sl_hc_batch *batch, const struct sl_message *message)
{
    bool good = true;
    if (message->trace_id)
        good = add_field(batch, "X-HERE-", "TraceId", sl_strdup(message->trace_id));
    if (good && message->checksum)
        good = add_field(batch, "X-HERE-", "Checksum", sl_strdup(message->checksum));
    if (good && message->partition_id)
        good = add_field(batch, "X-HERE-", "Message-Key",
                         encode(message->partition_id, message->partition_id_size));
    if (good && message->timestamp_ms >= 0)
        good = add_field(batch, "X-SL-", "Timestamp", sl_printf("%lld", (long long)message->timestamp_ms));
    for (size_t i = 0; i < message->header_count && good; i++)
        good = add_field(batch, "X-SL-Header-", message->headers[i].name,
                         encode(message->headers[i].value, message->headers[i].size));
    return good;
}

static void set_one(struct sl_hc_batch *batch, enum sl_hc_kind kind, const struct sl_hc_entry *entry)
{
    batch->kind = kind;
    batch->closed = true;
    batch->entries[0] = *entry;
    batch->entries[0].start = 0;
    batch->count = 1;
}

bool sl_hc_batch_set_payload(struct sl_hc_batch *batch, const struct sl_message *message,
                             const struct sl_hc_entry *entry)
{
    sl_hc_batch_reset(batch);
    if (!reserve(batch, 1) || !add_fields(batch, message) ||
        !sl_buffer_append(&batch->body, message->payload, message->payload_size))
        return false;
    set_one(batch, SL_HC_PAYLOAD, entry);
    return true;
}

static bool put_number(json_t *object, const char *name, int64_t number)
{
    return number < 0 || !json_object_set_new(object, name, json_integer(number));
}

bool sl_hc_batch_set_partition(struct sl_hc_batch *batch, const struct sl_message *message,
                               const struct sl_hc_entry *entry)
{
    sl_hc_batch_reset(batch);
    json_t *partition =
        json_pack("{s:s#, s:s, s:s*, s:s*}", "partition", message->partition_id ? message->partition_id : "",
                  message->partition_id ? message->partition_id_size : (size_t)0, "dataHandle",
                  message->data_handle, "checksum", message->checksum, "crc", message->crc);
    bool good = partition && put_number(partition, "dataSize", message->data_size) &&
                put_number(partition, "compressedDataSize", message->compressed_size) &&
                put_number(partition, "timestamp", message->timestamp_ms);
    json_t *body = good ? json_pack("{s:[O]}", "partitions", partition) : NULL;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    good = text && reserve(batch, 1) && sl_buffer_append(&batch->body, text, strlen(text));
    free(text);
    json_decref(body);
    json_decref(partition);
    if (good)
        set_one(batch, SL_HC_PARTITION, entry);
    return good;
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
