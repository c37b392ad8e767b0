#include "client/resolve.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/text.h"
#include "client/blob.h"
#include "wire/gzip.h"

struct sl_held {
    atomic_size_t references; /* the holder's, and each batch's that was handed out of it */
    struct sl_batch *inner;
    struct sl_message *messages; /* copies, so that inner stays as its connector made it */
    bool *done;                  /* beside them */
    size_t first, end;           /* what is left */
    void **data;                 /* fetched payloads */
    size_t data_count;
};

/* What is handed out of a held batch. */
struct slice {
    struct sl_batch base; /* first: the library knows only this */
    struct sl_held *held;
    void **data; /* inflated payloads, and their checksums */
    size_t data_count;
};

static bool lies_in_blob(const struct sl_message *message)
{
    return message->data_handle && !message->payload;
}

bool sl_batch_has_blobs(const struct sl_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (lies_in_blob(&batch->messages[i]))
            return true;
    return false;
}

static void unlink_held(struct sl_held *held)
{
    if (atomic_fetch_sub_explicit(&held->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < held->data_count; i++)
        free(held->data[i]);
    free(held->data);
    free(held->done);
    free(held->messages);
    sl_batch_destroy(&held->inner);
    free(held);
}

struct sl_held *sl_held_create(struct sl_batch *batch)
{
    size_t blobs = 0;
    for (size_t i = 0; i < batch->count; i++)
        blobs += lies_in_blob(&batch->messages[i]);
    struct sl_held *held = calloc(1, sizeof *held);
    struct sl_message *messages = calloc(batch->count + 1, sizeof *messages);
    bool *done = calloc(batch->count + 1, sizeof *done);
    void **data = calloc(blobs + 1, sizeof(void *));
    if (!held || !messages || !done || !data) {
        free(held);
        free(messages);
        free(done);
        free(data);
        return NULL;
    }
    atomic_init(&held->references, 1);
    held->inner = batch;
    held->messages = messages;
    held->done = done;
    held->data = data;
    held->end = batch->count;
    for (size_t i = 0; i < batch->count; i++) {
        messages[i] = batch->messages[i];
        done[i] = !lies_in_blob(&messages[i]);
    }
    return held;
}

void sl_held_destroy(struct sl_held **held)
{
    if (*held)
        unlink_held(*held);
    *held = NULL;
}

size_t sl_held_count(const struct sl_held *held)
{
    return held->end - held->first;
}

bool sl_held_first(const struct sl_held *held, int32_t partition, int64_t *offset)
{
    for (size_t i = held->first; i < held->end; i++)
        if (held->messages[i].offset.partition == partition) {
            *offset = held->messages[i].offset.offset;
            return true;
        }
    return false;
}

void sl_held_drop(struct sl_held *held, const int32_t *partitions, size_t count, bool others)
{
    size_t kept = held->first;
    for (size_t i = held->first; i < held->end; i++) {
        bool named = false;
        for (size_t p = 0; p < count && !named; p++)
            named = partitions[p] == held->messages[i].offset.partition;
        if (named != others)
            continue;
        held->messages[kept] = held->messages[i];
        held->done[kept++] = held->done[i];
    }
    held->end = kept;
}

/* A checksum that is stated is verified, of what was sent: a blob or a payload to be inflated. */
static sl_status check(const struct sl_message *message, const void *data, size_t size, sl_error *error)
{
    char sum[65];
    if (!message->checksum)
        return SL_OK;
    if (!sl_sha256_hex(data, size, sum))
        return sl_error_set(error, SL_INTERNAL, "SHA-256 failed");
    if (strcasecmp(sum, message->checksum))
        return sl_error_set(error, SL_CHECKSUM_MISMATCH,
                            "the %s%s has the SHA-256 %s, not the checksum %s that its message states",
                            message->data_handle ? "blob " : "payload",
                            message->data_handle ? message->data_handle : "", sum, message->checksum);
    return SL_OK;
}

/* May another try succeed? Refused credentials are mended outside; until then nothing is skipped. */
static bool is_passing(const sl_error *error)
{
    switch (error->status) {
    case SL_UNAVAILABLE:
    case SL_TIMED_OUT:
    case SL_THROTTLED:
    case SL_OUT_OF_MEMORY:
    case SL_UNAUTHENTICATED:
    case SL_CLOSED:
    case SL_BAD_CONFIG:
    case SL_IO:
        return true;
    default:
        return error->retriable;
    }
}

static void give_up(const struct sl_resolver *resolver, const struct sl_message *message,
                    const sl_error *error)
{
    SL_WARNING(&resolver->client->log,
               "layer %s of %s, Kafka partition %d, offset %lld: the payload in blob %s cannot be had, the "
               "message comes without it: %s",
               resolver->layer, resolver->hrn, (int)message->offset.partition,
               (long long)message->offset.offset, message->data_handle, error->text);
}

/* What came of one fetch. SL_OK: the message is done with. */
static sl_status take(struct sl_held *held, size_t at, struct sl_blob_fetch *fetch,
                      const struct sl_resolver *resolver, struct sl_resolved *counts, sl_error *error)
{
    struct sl_message *message = &held->messages[at];
    sl_status status =
        fetch->status ? fetch->status : check(message, fetch->data, fetch->size, &fetch->error);
    if (status && is_passing(&fetch->error)) {
        if (error)
            *error = fetch->error;
        return status;
    }
    held->done[at] = true;
    if (status) {
        counts->failures++;
        give_up(resolver, message, &fetch->error);
        return SL_OK;
    }
    held->data[held->data_count++] = fetch->data;
    message->payload = fetch->data;
    message->payload_size = fetch->size;
    counts->messages++;
    counts->bytes += fetch->size;
    fetch->data = NULL;
    return SL_OK;
}

sl_status sl_held_resolve(struct sl_held *held, const struct sl_resolver *resolver, int64_t deadline_ms,
                          struct sl_resolved *counts, sl_error *error)
{
    size_t count = 0;
    for (size_t i = held->first; i < held->end; i++)
        count += !held->done[i];
    if (!count)
        return SL_OK;
    struct sl_blob_fetch *list = calloc(count, sizeof *list);
    if (!list)
        return sl_error_oom(error);
    count = 0;
    for (size_t i = held->first; i < held->end; i++)
        if (!held->done[i])
            list[count++].handle = held->messages[i].data_handle;
    (void)sl_blobs_fetch(resolver->client, resolver->hrn, resolver->layer, list, count, resolver->at_once,
                         resolver->max_size, deadline_ms); /* each tells its own status */
    sl_status status = SL_OK;
    count = 0;
    for (size_t i = held->first; i < held->end; i++) {
        if (held->done[i])
            continue;
        sl_error failure = {0};
        sl_status one = take(held, i, &list[count], resolver, counts, &failure);
        if (one && !status) {
            status = one;
            failure.retriable = true;
            if (error)
                *error = failure;
        }
        free(list[count++].data);
    }
    free(list);
    return status;
}

static void release(struct sl_batch *base)
{
    struct slice *slice = (struct slice *)base;
    unlink_held(slice->held);
    for (size_t i = 0; i < slice->data_count; i++)
        free(slice->data[i]);
    free(slice->data);
    free(slice);
}

static bool is_to_be_inflated(const struct sl_resolver *resolver, const struct sl_message *message)
{
    return resolver->inflate && message->compressed && message->payload;
}

/* The checksum that it states becomes that of the inflated payload: whoever looks at both, or sends both on,
 * finds them to match. */
static sl_status inflate_one(struct slice *slice, struct sl_message *message,
                             const struct sl_resolver *resolver, sl_error *error)
{
    void *data = NULL;
    char *sum = NULL;
    size_t size;
    /* A blob was looked at when it was fetched. */
    sl_status status =
        message->data_handle ? SL_OK : check(message, message->payload, message->payload_size, error);
    if (!status)
        status = sl_gzip_inflate(message->payload, message->payload_size, resolver->max_inflated, &data,
                                 &size, error);
    if (!status && message->checksum) {
        sum = malloc(65);
        if (!sum)
            status = sl_error_oom(error);
        else if (!sl_sha256_hex(data, size, sum))
            status = sl_error_set(error, SL_INTERNAL, "SHA-256 failed");
    }
    if (status) {
        free(data);
        free(sum);
        return status;
    }
    slice->data[slice->data_count++] = data;
    if (sum) {
        slice->data[slice->data_count++] = sum;
        message->checksum = sum;
    }
    message->payload = data;
    message->payload_size = size;
    message->compressed = false;
    return SL_OK;
}

/* Inflates the messages of the slice, and ends it where there is enough. false: no memory for the first. */
static bool inflate_slice(struct slice *slice, const struct sl_resolver *resolver, size_t max_bytes)
{
    size_t count = 0, bytes = 0;
    for (size_t i = 0; i < slice->base.count; i++)
        count += is_to_be_inflated(resolver, &slice->base.messages[i]);
    if (!count)
        return true;
    slice->data = calloc(count, 2 * sizeof *slice->data);
    if (!slice->data)
        return false;
    for (count = 0; count < slice->base.count && bytes < max_bytes; count++) {
        struct sl_message *message = &slice->base.messages[count];
        sl_error error = {0};
        sl_status status =
            is_to_be_inflated(resolver, message) ? inflate_one(slice, message, resolver, &error) : SL_OK;
        if (status == SL_OUT_OF_MEMORY)
            break; /* those before it go, and leave room */
        if (status)
            SL_WARNING(&resolver->client->log,
                       "layer %s of %s, Kafka partition %d, offset %lld: the layer's content encoding is "
                       "gzip, and the message comes as it was sent: %s%s",
                       resolver->layer, resolver->hrn, (int)message->offset.partition,
                       (long long)message->offset.offset, error.text,
                       status == SL_TOO_LARGE ? "; " SL_ROOT "stream.consumer.max-inflated bounds it" : "");
        bytes += message->payload_size;
    }
    slice->base.count = count;
    return count > 0;
}

struct sl_batch *sl_held_hand_out(struct sl_held *held, const struct sl_resolver *resolver,
                                  size_t max_messages, size_t max_bytes)
{
    struct slice *slice = calloc(1, sizeof *slice);
    if (!slice)
        return NULL;
    size_t count = sl_held_count(held);
    if (count > max_messages)
        count = max_messages;
    slice->base = (struct sl_batch){SL_BATCH_MAGIC, count, held->messages + held->first, release};
    slice->held = held;
    if (!inflate_slice(slice, resolver, max_bytes)) {
        free(slice->data);
        free(slice);
        return NULL;
    }
    atomic_fetch_add_explicit(&held->references, 1, memory_order_relaxed);
    held->first += slice->base.count;
    return &slice->base;
}

sl_status sl_resolve_one(const struct sl_resolver *resolver, const struct sl_message *message,
                         int64_t deadline_ms, void **data, size_t *size, sl_error *error)
{
    struct sl_blob_fetch fetch = {.handle = message->data_handle};
    (void)sl_blobs_fetch(resolver->client, resolver->hrn, resolver->layer, &fetch, 1, 1, resolver->max_size,
                         deadline_ms);
    sl_status status = fetch.status ? fetch.status : check(message, fetch.data, fetch.size, &fetch.error);
    if (!status && resolver->inflate && message->compressed) {
        void *out = NULL;
        size_t out_size = 0;
        status =
            sl_gzip_inflate(fetch.data, fetch.size, resolver->max_inflated, &out, &out_size, &fetch.error);
        free(fetch.data);
        fetch.data = out;
        fetch.size = out_size;
    }
    if (status) {
        free(fetch.data);
        if (error)
            *error = fetch.error;
        return status;
    }
    *data = fetch.data;
    *size = fetch.size;
    return SL_OK;
}
