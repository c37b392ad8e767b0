#include "client/large.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/time.h"
#include "client/blob.h"
#include "client/transfers.h"

enum {
    BUCKETS = 256,
    RETRY_MS = 10 /* how long a connector that is full is left alone */
};

enum state {
    WAITING, /* for its turn to be stored */
    STORING,
    READY, /* to be forwarded */
    FAILED
};

struct chain;

/* A message, with all that it points to behind it. */
struct item {
    struct sl_transfer transfer; /* first: it is got back as that */
    struct item *next;           /* of its chain */
    struct item *older, *newer;  /* of all */
    struct item *next_waiting;
    struct chain *chain;
    enum state state;
    void *ticket;
    int64_t deadline_ms;
    struct sl_message message;
    char handle[SL_BLOB_HANDLE_SIZE];
    char bytes[];
};

/* The messages of a partition id that wait, oldest first. There is one only while there are messages. */
struct chain {
    struct chain *next;         /* of its bucket */
    struct chain *next_stalled; /* the connector was full */
    struct item *first, *last;
    uint32_t hash;
    size_t key_size;
    char key[];
};

struct sl_large {
    struct sl_large_settings settings;
    char *hrn, *layer;
    struct sl_transfers *transfers;
    pthread_t thread;
    struct chain *stalled; /* the thread's own */
    size_t storing;        /* the thread's own */

    atomic_size_t count; /* of items: 0 lets messages pass without the lock */
    pthread_mutex_t lock;
    bool started, stopping;
    struct chain *chains[BUCKETS];
    struct item *oldest, *newest;
    struct item *waiting, **waiting_end;
};

/* FNV-1a. */
static uint32_t hash_of(const char *key, size_t size)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)key[i]) * 16777619u;
    return hash;
}

static struct chain **place_of(struct sl_large *large, uint32_t hash, const char *key, size_t size)
{
    struct chain **place = &large->chains[hash % BUCKETS];
    while (*place &&
           ((*place)->hash != hash || (*place)->key_size != size || memcmp((*place)->key, key, size)))
        place = &(*place)->next;
    return place;
}

/* Copies of messages. */

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const void *put(char **at, const void *data, size_t size)
{
    if (!data)
        return NULL;
    char *place = *at;
    if (size)
        memcpy(place, data, size);
    *at = place + size;
    return place;
}

static struct item *item_create(const struct sl_message *message)
{
    size_t size = message->header_count * sizeof(struct sl_header) + message->partition_id_size +
                  message->payload_size + text_size(message->trace_id) + text_size(message->checksum) +
                  text_size(message->crc) + text_size(message->data_handle);
    for (size_t i = 0; i < message->header_count; i++)
        size += text_size(message->headers[i].name) + message->headers[i].size;
    struct item *item = malloc(sizeof *item + size + sizeof(void *));
    if (!item)
        return NULL;
    memset(item, 0, sizeof *item);
    item->message = *message;
    struct sl_message *copy = &item->message;
    uintptr_t start = ((uintptr_t)item->bytes + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
    copy->headers = (struct sl_header *)start;
    char *at = (char *)(copy->headers + message->header_count);
    for (size_t i = 0; i < message->header_count; i++) {
        const struct sl_header *header = &message->headers[i];
        copy->headers[i].name = put(&at, header->name, text_size(header->name));
        copy->headers[i].value = put(&at, header->value, header->size);
        copy->headers[i].size = header->size;
    }
    copy->header_capacity = message->header_count;
    copy->trace_id = put(&at, message->trace_id, text_size(message->trace_id));
    copy->checksum = put(&at, message->checksum, text_size(message->checksum));
    copy->crc = put(&at, message->crc, text_size(message->crc));
    copy->data_handle = put(&at, message->data_handle, text_size(message->data_handle));
    copy->partition_id = put(&at, message->partition_id, message->partition_id_size);
    copy->payload = put(&at, message->payload, message->payload_size);
    return item;
}

/* Bookkeeping, all under the lock. */

static struct chain *chain_create(struct chain **place, uint32_t hash, const struct sl_message *message)
{
    size_t size = message->partition_id_size;
    struct chain *chain = calloc(1, sizeof *chain + size);
    if (!chain)
        return NULL;
    if (size)
        memcpy(chain->key, message->partition_id, size);
    chain->key_size = size;
    chain->hash = hash;
    *place = chain;
    return chain;
}

static void append(struct sl_large *large, struct chain *chain, struct item *item)
{
    item->chain = chain;
    item->deadline_ms = sl_deadline_ms(large->settings.delivery_timeout_ms);
    if (chain->last)
        chain->last->next = item;
    else
        chain->first = item;
    chain->last = item;
    item->older = large->newest;
    if (large->newest)
        large->newest->newer = item;
    else
        large->oldest = item;
    large->newest = item;
    if (item->state == WAITING) {
        *large->waiting_end = item;
        large->waiting_end = &item->next_waiting;
    }
    atomic_fetch_add_explicit(&large->count, 1, memory_order_relaxed);
}

/* Takes the chain's first item off all lists but the waiting one, and frees a chain that is empty then. */
static void remove_first(struct sl_large *large, struct chain *chain)
{
    struct item *item = chain->first;
    chain->first = item->next;
    if (item->older)
        item->older->newer = item->newer;
    else
        large->oldest = item->newer;
    if (item->newer)
        item->newer->older = item->older;
    else
        large->newest = item->older;
    if (!chain->first) {
        *place_of(large, chain->hash, chain->key, chain->key_size) = chain->next;
        free(chain);
    }
    /* Whoever sees 0 sees its own messages after those that were forwarded. */
    atomic_fetch_sub_explicit(&large->count, 1, memory_order_release);
}

static void *run(void *opaque);

/* Under the lock: starts the thread, with the first message that needs it. */
static sl_status start(struct sl_large *large, sl_error *error)
{
    if (large->started)
        return SL_OK;
    sl_status status = large->transfers ? SL_OK
                                        : sl_transfers_create(large->settings.client, large->hrn,
                                                              large->layer, &large->transfers, error);
    if (!status && pthread_create(&large->thread, NULL, run, large))
        status = sl_error_set(error, SL_OUT_OF_MEMORY, "no thread can be started for storing blobs");
    large->started = !status;
    return status;
}

sl_status sl_large_store(struct sl_large *large, const struct sl_message *message, void *ticket,
                         sl_error *error)
{
    struct item *item = item_create(message);
    if (!item)
        return sl_error_oom(error);
    item->ticket = ticket;
    item->state = WAITING;
    if (!sl_blob_handle(item->handle)) {
        free(item);
        return sl_error_set(error, SL_INTERNAL, "no random numbers to be had");
    }
    uint32_t hash = hash_of(message->partition_id, message->partition_id_size);
    pthread_mutex_lock(&large->lock);
    sl_status status = start(large, error);
    if (!status) {
        struct chain **place = place_of(large, hash, message->partition_id, message->partition_id_size);
        struct chain *chain = *place ? *place : chain_create(place, hash, message);
        if (chain)
            append(large, chain, item);
        else
            status = sl_error_oom(error);
    }
    pthread_mutex_unlock(&large->lock);
    if (status)
        free(item);
    else
        sl_transfers_wake(large->transfers);
    return status;
}

sl_status sl_large_hold(struct sl_large *large, const struct sl_message *message, void *ticket, bool *held,
                        sl_error *error)
{
    *held = false;
    if (!atomic_load_explicit(&large->count, memory_order_acquire))
        return SL_OK;
    uint32_t hash = hash_of(message->partition_id, message->partition_id_size);
    sl_status status = SL_OK;
    pthread_mutex_lock(&large->lock);
    struct chain *chain = *place_of(large, hash, message->partition_id, message->partition_id_size);
    if (chain) {
        struct item *item = item_create(message);
        if (item) {
            item->ticket = ticket;
            item->state = READY;
            append(large, chain, item);
            *held = true;
        } else {
            status = sl_error_oom(error);
        }
    }
    pthread_mutex_unlock(&large->lock);
    return status;
}

/* The thread. */

static void report(struct sl_large *large, const struct item *item, const sl_error *error)
{
    large->settings.report(large->settings.core, item->ticket, error);
}

static void closed(sl_error *error)
{
    sl_error_set(error, SL_TIMED_OUT, "the producer was closed before the message was delivered");
}

static void timed_out(const struct sl_large *large, const struct item *item, sl_error *error)
{
    sl_error_set_retriable(error, SL_TIMED_OUT, "not delivered within %lld ms: %s",
                           (long long)large->settings.delivery_timeout_ms,
                           item->state == WAITING ? "the payload waited for its turn to be stored as a blob"
                                                  : "it waited behind a payload that is stored as a blob");
}

/* Forwards or reports what the chain begins with, as far as that is decided. */
static void drain(struct sl_large *large, struct chain *chain)
{
    for (;;) {
        pthread_mutex_lock(&large->lock);
        struct item *item = chain->first;
        enum state state = item->state;
        pthread_mutex_unlock(&large->lock);
        if (state != READY && state != FAILED)
            return;
        sl_error error = item->transfer.error;
        sl_status status = state == FAILED ? error.status : SL_OK;
        if (!status && item->deadline_ms <= sl_mono_ms()) {
            timed_out(large, item, &error);
            status = error.status;
        } else if (!status) {
            status = large->settings.forward(large->settings.core, &item->message, item->ticket, &error);
            if (status == SL_QUEUE_FULL) {
                chain->next_stalled = large->stalled;
                large->stalled = chain;
                return;
            }
        }
        if (status)
            report(large, item, &error);
        pthread_mutex_lock(&large->lock);
        bool last = !item->next;
        remove_first(large, chain);
        pthread_mutex_unlock(&large->lock);
        free(item);
        if (last)
            return;
    }
}

static void drain_stalled(struct sl_large *large)
{
    struct chain *list = large->stalled;
    large->stalled = NULL;
    while (list) {
        struct chain *chain = list;
        list = chain->next_stalled;
        drain(large, chain);
    }
}

/* What storing failed of, in terms of the message. */
static void explain(const struct sl_large *large, struct item *item)
{
    sl_error *error = &item->transfer.error;
    if (error->status == SL_CLOSED) {
        closed(error);
    } else if (error->retriable) { /* it was tried until the time was up */
        error->status = SL_TIMED_OUT;
        sl_error_prefix(error, "not delivered within %lld ms; the last try",
                        (long long)large->settings.delivery_timeout_ms);
    } else if (error->status) {
        sl_error_prefix(error, "a payload of %zu bytes has to be stored as a blob",
                        item->message.payload_size);
    }
}

/* The blob is there, or never will be. */
static void settle(struct sl_large *large, struct item *item)
{
    large->storing--;
    sl_http_response_free(&item->transfer.response);
    explain(large, item);
    item->message.data_handle = item->handle;
    if (item->message.compressed_size < 0) /* else both are stated */
        item->message.data_size = (int64_t)item->message.payload_size;
    item->message.payload = NULL;
    item->message.payload_size = 0;
    pthread_mutex_lock(&large->lock);
    item->state = item->transfer.error.status ? FAILED : READY;
    bool first = item->chain->first == item;
    pthread_mutex_unlock(&large->lock);
    if (first)
        drain(large, item->chain);
}

/* Begins to store what waits, as many at once as may be; what has waited too long fails. */
static void begin_waiting(struct sl_large *large)
{
    for (;;) {
        pthread_mutex_lock(&large->lock);
        struct item *item = large->waiting;
        bool late = item && item->deadline_ms <= sl_mono_ms();
        if (!item || (!late && large->storing >= large->settings.at_once)) {
            pthread_mutex_unlock(&large->lock);
            return;
        }
        large->waiting = item->next_waiting;
        if (!large->waiting)
            large->waiting_end = &large->waiting;
        if (late) {
            timed_out(large, item, &item->transfer.error);
            item->state = FAILED;
        } else {
            item->state = STORING;
        }
        bool first = item->chain->first == item;
        pthread_mutex_unlock(&large->lock);
        if (late && first)
            drain(large, item->chain);
        if (late)
            continue;
        large->storing++;
        item->transfer.handle = item->handle;
        item->transfer.body = item->message.payload;
        item->transfer.body_size = item->message.payload_size;
        item->transfer.deadline_ms = item->deadline_ms;
        item->transfer.persistent = true;
        sl_transfers_begin(large->transfers, &item->transfer);
    }
}

/* When to look again, if nothing happens before. */
static int64_t next_look(struct sl_large *large)
{
    pthread_mutex_lock(&large->lock);
    int64_t next = large->waiting ? large->waiting->deadline_ms : INT64_MAX;
    pthread_mutex_unlock(&large->lock);
    int64_t retry = large->stalled ? sl_mono_ms() + RETRY_MS : INT64_MAX;
    return retry < next ? retry : next;
}

static bool is_stopping(struct sl_large *large)
{
    pthread_mutex_lock(&large->lock);
    bool stopping = large->stopping;
    pthread_mutex_unlock(&large->lock);
    return stopping;
}

static void *run(void *opaque)
{
    struct sl_large *large = opaque;
    while (!is_stopping(large)) {
        begin_waiting(large);
        struct sl_transfer *transfer = sl_transfers_take(large->transfers, next_look(large));
        if (transfer)
            settle(large, (struct item *)transfer);
        drain_stalled(large);
    }
    return NULL;
}

/* Opening and closing. */

static void large_free(struct sl_large *large)
{
    sl_transfers_destroy(&large->transfers);
    pthread_mutex_destroy(&large->lock);
    free(large->hrn);
    free(large->layer);
    free(large);
}

sl_status sl_large_create(const struct sl_large_settings *settings, struct sl_large **large, sl_error *error)
{
    struct sl_large *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    made->settings = *settings;
    made->waiting_end = &made->waiting;
    atomic_init(&made->count, 0);
    pthread_mutex_init(&made->lock, NULL);
    made->hrn = strdup(settings->hrn);
    made->layer = strdup(settings->layer);
    if (!made->hrn || !made->layer) {
        large_free(made);
        return sl_error_oom(error);
    }
    *large = made;
    return SL_OK;
}

/* Lets the engine go of what is being stored. */
static void cancel(struct sl_large *large)
{
    struct sl_transfer *list[64]; /* stream.blob.transfers allows no more */
    size_t count = 0;
    for (struct item *item = large->oldest; item; item = item->newer)
        if (item->state == STORING && count < sizeof list / sizeof *list)
            list[count++] = &item->transfer;
    sl_transfers_cancel(large->transfers, list, count);
}

void sl_large_destroy(struct sl_large **large)
{
    struct sl_large *gone = *large;
    *large = NULL;
    if (!gone)
        return;
    if (gone->started) {
        pthread_mutex_lock(&gone->lock);
        gone->stopping = true;
        pthread_mutex_unlock(&gone->lock);
        sl_transfers_stop(gone->transfers);
        pthread_join(gone->thread, NULL);
        cancel(gone);
    }
    sl_error error;
    closed(&error);
    while (gone->oldest) {
        struct item *item = gone->oldest;
        report(gone, item, item->state == FAILED ? &item->transfer.error : &error);
        remove_first(gone, item->chain); /* the oldest of all is its chain's first */
        free(item);
    }
    large_free(gone);
}
