/*
 * Shards, each with a lock, a table of what is under way (intrusive chains) and what is remembered: a ring of
 * entries in the order of their writing, and an open-addressed index into it by the entries' keys. The ring's
 * oldest leaves when its time is over or the ring is full. Both grow by doubling up to the shard's share.
 */
#include "gateway/broker/repeats.h"

#include "base/error.h"
#include "base/time.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHARDS   16
#define HASHERS  16
#define GATHER   1024 /* bytes that are hashed in one call */
#define BUCKETS  512  /* of what is under way */
#define RING_MIN 64
#define TICK_MS  100 /* times are kept in so many milliseconds: 31 bits last for 6 years */

struct entry {
    unsigned char key[16];
    int64_t offset;
    int32_t partition;
    uint32_t tick;
};
_Static_assert(sizeof(struct entry) == 32, "with the index, 40 bytes a message");

struct shard {
    pthread_mutex_t lock;
    struct gw_repeat *under_way[BUCKETS];
    struct entry *ring;
    uint32_t *index; /* place in the ring + 1; 0: free */
    size_t capacity, first, count;
    size_t slots; /* of the index: a power of two */
    unsigned long long answered;
};

/* Making a hash's state takes longer than hashing a message: it is kept, one for each of a few loops. */
struct hasher {
    pthread_mutex_t lock;
    EVP_MD_CTX *state;
};

struct gw_repeats {
    int64_t window_ms, start_ms;
    size_t max; /* of a shard */
    struct hasher hashers[HASHERS];
    struct shard shards[SHARDS];
};

sl_status gw_repeats_create(int64_t window_ms, size_t max, struct gw_repeats **out, sl_error *error)
{
    *out = NULL;
    struct gw_repeats *repeats = calloc(1, sizeof *repeats);
    if (!repeats)
        return sl_error_oom(error);
    repeats->window_ms = window_ms;
    repeats->start_ms = sl_mono_ms();
    repeats->max = max / SHARDS ? max / SHARDS : 1;
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&repeats->shards[i].lock, NULL);
    bool good = true;
    for (size_t i = 0; i < HASHERS; i++) {
        pthread_mutex_init(&repeats->hashers[i].lock, NULL);
        repeats->hashers[i].state = EVP_MD_CTX_new();
        good = good && repeats->hashers[i].state &&
               EVP_DigestInit_ex(repeats->hashers[i].state, EVP_sha256(), NULL);
    }
    if (!good) {
        gw_repeats_destroy(&repeats);
        return sl_error_oom(error);
    }
    *out = repeats;
    return SL_OK;
}

void gw_repeats_destroy(struct gw_repeats **out)
{
    struct gw_repeats *repeats = *out;
    if (!repeats)
        return;
    *out = NULL;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_destroy(&repeats->shards[i].lock);
        free(repeats->shards[i].ring);
        free(repeats->shards[i].index);
    }
    for (size_t i = 0; i < HASHERS; i++) {
        pthread_mutex_destroy(&repeats->hashers[i].lock);
        EVP_MD_CTX_free(repeats->hashers[i].state);
    }
    free(repeats);
}

struct gathering {
    EVP_MD_CTX *state;
    size_t size;
    bool good;
    unsigned char bytes[GATHER];
};

static void gather(struct gathering *all, const void *data, size_t size)
{
    if (size > sizeof all->bytes - all->size) {
        all->good = all->good && EVP_DigestUpdate(all->state, all->bytes, all->size);
        all->size = 0;
    }
    if (size > sizeof all->bytes) {
        all->good = all->good && EVP_DigestUpdate(all->state, data, size);
    } else if (size) {
        memcpy(all->bytes + all->size, data, size);
        all->size += size;
    }
}

/* A part with its length before it, so that no two lists of parts are the same bytes. data NULL: it is not
 * there. */
static void add_part(struct gathering *all, const void *data, size_t size)
{
    uint64_t length = data ? size : UINT64_MAX;
    gather(all, &length, sizeof length);
    gather(all, data, data ? size : 0);
}

static void add_text(struct gathering *all, const char *text)
{
    add_part(all, text, text ? strlen(text) : 0);
}

/* SHA-256, cut to 128 bits: nobody finds two messages of one application with the same. */
static bool make_key(struct gw_repeats *repeats, const char *application, const char *layer,
                     const struct sl_message *message, const char *payload_checksum, struct gw_repeat *repeat)
{
    struct hasher *hasher = &repeats->hashers[((uintptr_t)repeat->loop / sizeof(struct gw_task)) % HASHERS];
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct gathering all; /* its bytes are written before they are read */
    all.state = hasher->state;
    all.size = 0;
    pthread_mutex_lock(&hasher->lock);
    all.good = EVP_DigestInit_ex(all.state, NULL, NULL);
    add_text(&all, application);
    add_text(&all, layer);
    add_text(&all, message->trace_id);
    add_part(&all, message->partition_id, message->partition_id_size);
    add_text(&all, payload_checksum);
    if (!payload_checksum)
        add_text(&all, message->data_handle);
    add_part(&all, message->payload, message->payload_size);
    all.good = all.good && EVP_DigestUpdate(all.state, all.bytes, all.size) &&
               EVP_DigestFinal_ex(all.state, digest, NULL);
    pthread_mutex_unlock(&hasher->lock);
    if (all.good)
        memcpy(repeat->key, digest, sizeof repeat->key);
    return all.good;
}

static size_t number_of(const unsigned char key[16], size_t from)
{
    uint64_t number;
    memcpy(&number, key + from, sizeof number);
    return (size_t)number;
}

static struct shard *shard_of(struct gw_repeats *repeats, const unsigned char key[16])
{
    return &repeats->shards[key[15] % SHARDS];
}

static uint32_t tick_of(const struct gw_repeats *repeats, int64_t now_ms)
{
    return (uint32_t)((now_ms - repeats->start_ms) / TICK_MS);
}

/* Whether what was written at that tick is still to be remembered. now_ms was read before the lock was had,
 * so it may lie before. */
static bool fresh(const struct gw_repeats *repeats, uint32_t tick, int64_t now_ms)
{
    int32_t age = (int32_t)(tick_of(repeats, now_ms) - tick);
    return (int64_t)age * TICK_MS < repeats->window_ms;
}

/* The slot that has the key, or the free one where it belongs. */
static size_t find_slot(const struct shard *shard, const unsigned char key[16])
{
    size_t mask = shard->slots - 1, slot = number_of(key, 0) & mask;
    while (shard->index[slot] && memcmp(shard->ring[shard->index[slot] - 1].key, key, 16) != 0)
        slot = (slot + 1) & mask;
    return slot;
}

/* Frees a slot, and moves what stands behind it to where searching finds it. */
static void free_slot(struct shard *shard, size_t slot)
{
    size_t mask = shard->slots - 1;
    for (size_t next = (slot + 1) & mask; shard->index[next]; next = (next + 1) & mask) {
        size_t home = number_of(shard->ring[shard->index[next] - 1].key, 0) & mask;
        if (((next - home) & mask) >= ((next - slot) & mask)) {
            shard->index[slot] = shard->index[next];
            slot = next;
        }
    }
    shard->index[slot] = 0;
}

static void forget_oldest(struct shard *shard)
{
    size_t place = shard->first;
    size_t slot = find_slot(shard, shard->ring[place].key);
    if (shard->index[slot] == place + 1) /* else it was written again since, and the newer one stands there */
        free_slot(shard, slot);
    shard->first = (shard->first + 1) % shard->capacity;
    shard->count--;
}

/* Twice the room. False: there is no memory; then the oldest makes room. */
static bool grow(const struct gw_repeats *repeats, struct shard *shard)
{
    size_t capacity = shard->capacity ? shard->capacity * 2 : RING_MIN;
    if (capacity > repeats->max)
        capacity = repeats->max;
    size_t slots = 1;
    while (slots < capacity + capacity / 4)
        slots *= 2;
    struct entry *ring = malloc(capacity * sizeof *ring);
    uint32_t *index = calloc(slots, sizeof *index);
    if (!ring || !index) {
        free(ring);
        free(index);
        return false;
    }
    struct shard old = *shard;
    shard->ring = ring;
    shard->index = index;
    shard->capacity = capacity;
    shard->slots = slots;
    shard->first = 0;
    for (size_t i = 0; i < old.count; i++) {
        ring[i] = old.ring[(old.first + i) % old.capacity];
        index[find_slot(shard, ring[i].key)] = (uint32_t)i + 1; /* of two the newer */
    }
    free(old.ring);
    free(old.index);
    return true;
}

static void remember(const struct gw_repeats *repeats, struct shard *shard, const unsigned char key[16],
                     sl_offset offset, int64_t now_ms)
{
    while (shard->count && !fresh(repeats, shard->ring[shard->first].tick, now_ms))
        forget_oldest(shard);
    if (shard->count == shard->capacity && (shard->capacity >= repeats->max || !grow(repeats, shard)) &&
        shard->count)
        forget_oldest(shard);
    if (shard->count == shard->capacity)
        return; /* no memory for the first ones */
    size_t place = (shard->first + shard->count++) % shard->capacity;
    struct entry *entry = &shard->ring[place];
    size_t slot = find_slot(shard, key);
    memcpy(entry->key, key, sizeof entry->key);
    entry->offset = offset.offset;
    entry->partition = offset.partition;
    entry->tick = tick_of(repeats, now_ms);
    shard->index[slot] = (uint32_t)place + 1;
}

static bool look_up(const struct gw_repeats *repeats, const struct shard *shard, struct gw_repeat *repeat,
                    int64_t now_ms)
{
    uint32_t place = shard->count ? shard->index[find_slot(shard, repeat->key)] : 0;
    if (!place || !fresh(repeats, shard->ring[place - 1].tick, now_ms))
        return false;
    repeat->offset = (sl_offset){shard->ring[place - 1].partition, shard->ring[place - 1].offset};
    return true;
}

static struct gw_repeat **find_under_way(struct shard *shard, const unsigned char key[16])
{
    struct gw_repeat **link = &shard->under_way[number_of(key, 4) % BUCKETS];
    while (*link && memcmp((*link)->key, key, 16) != 0)
        link = &(*link)->next;
    return link;
}

enum gw_repeat_verdict gw_repeats_enter_at(struct gw_repeats *repeats, int64_t now_ms,
                                           struct gw_repeat *repeat)
{
    struct shard *shard = shard_of(repeats, repeat->key);
    repeat->listed = true;
    repeat->next = NULL;
    repeat->waiting = NULL;
    repeat->last = &repeat->waiting;
    pthread_mutex_lock(&shard->lock);
    struct gw_repeat **link = find_under_way(shard, repeat->key);
    enum gw_repeat_verdict verdict = GW_REPEAT_FIRST;
    if (*link) {
        verdict = GW_REPEAT_WAIT;
        *(*link)->last = repeat;
        (*link)->last = &repeat->next;
    } else if (look_up(repeats, shard, repeat, now_ms)) {
        verdict = GW_REPEAT_WRITTEN;
        shard->answered++;
    } else {
        *link = repeat;
    }
    repeat->verdict = verdict;
    pthread_mutex_unlock(&shard->lock);
    return verdict;
}

enum gw_repeat_verdict gw_repeats_enter(struct gw_repeats *repeats, const char *application,
                                        const char *layer, const struct sl_message *message,
                                        const char *payload_checksum, struct gw_repeat *repeat)
{
    if (!repeats->window_ms || !make_key(repeats, application, layer, message, payload_checksum, repeat)) {
        repeat->listed = false;
        return repeat->verdict = GW_REPEAT_FIRST;
    }
    return gw_repeats_enter_at(repeats, sl_mono_ms(), repeat);
}

static void decided(struct gw_task *task)
{
    struct gw_repeat *repeat = (struct gw_repeat *)(void *)((char *)task - offsetof(struct gw_repeat, task));
    repeat->decided(repeat);
}

static void tell(struct gw_repeat *repeat, enum gw_repeat_verdict verdict, sl_offset offset)
{
    repeat->verdict = verdict;
    repeat->offset = offset;
    repeat->task.run = decided;
    gw_loop_post(repeat->loop, &repeat->task);
}

void gw_repeats_settle_at(struct gw_repeats *repeats, int64_t now_ms, struct gw_repeat *repeat, bool written,
                          sl_offset offset)
{
    struct shard *shard = shard_of(repeats, repeat->key);
    pthread_mutex_lock(&shard->lock);
    struct gw_repeat **link = find_under_way(shard, repeat->key);
    struct gw_repeat *waiting = repeat->waiting;
    if (written) {
        *link = repeat->next;
        remember(repeats, shard, repeat->key, offset, now_ms);
        for (const struct gw_repeat *each = waiting; each; each = each->next)
            shard->answered++;
    } else if (waiting) { /* the next one's turn; the others wait for it */
        struct gw_repeat *heir = waiting;
        heir->waiting = heir->next;
        heir->last = heir->waiting ? repeat->last : &heir->waiting;
        heir->next = repeat->next;
        *link = heir;
        waiting = NULL;
        tell(heir, GW_REPEAT_FIRST, offset);
    } else {
        *link = repeat->next;
    }
    pthread_mutex_unlock(&shard->lock);
    while (waiting) {
        struct gw_repeat *next = waiting->next; /* it is its caller's once told */
        tell(waiting, GW_REPEAT_WRITTEN, offset);
        waiting = next;
    }
}

void gw_repeats_settle(struct gw_repeats *repeats, struct gw_repeat *repeat, bool written, sl_offset offset)
{
    if (repeat->listed) /* its own loop's: what waits is other loops', under the lock */
        gw_repeats_settle_at(repeats, sl_mono_ms(), repeat, written, offset);
}

static bool is_idle(struct shard *shard)
{
    bool idle = true;
    pthread_mutex_lock(&shard->lock);
    for (size_t i = 0; i < BUCKETS && idle; i++)
        idle = !shard->under_way[i];
    pthread_mutex_unlock(&shard->lock);
    return idle;
}

void gw_repeats_finish(struct gw_repeats *repeats, int timeout_ms)
{
    int64_t until = sl_mono_ms() + timeout_ms;
    for (size_t i = 0; i < SHARDS;)
        if (is_idle(&repeats->shards[i]))
            i++;
        else if (sl_mono_ms() >= until)
            return;
        else
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

void gw_repeats_count(struct gw_repeats *repeats, size_t *remembered, unsigned long long *answered)
{
    *remembered = 0;
    *answered = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &repeats->shards[i];
        pthread_mutex_lock(&shard->lock);
        *remembered += shard->count;
        *answered += shard->answered;
        pthread_mutex_unlock(&shard->lock);
    }
}

size_t gw_repeats_memory(struct gw_repeats *repeats)
{
    size_t bytes = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &repeats->shards[i];
        pthread_mutex_lock(&shard->lock);
        bytes += shard->capacity * sizeof *shard->ring + shard->slots * sizeof *shard->index;
        pthread_mutex_unlock(&shard->lock);
    }
    return bytes;
}

bool gw_repeats_metrics(struct gw_repeats *repeats, struct sl_buffer *text)
{
    size_t remembered;
    unsigned long long answered;
    gw_repeats_count(repeats, &remembered, &answered);
    return sl_buffer_printf(
        text,
        "# HELP streamlayer_repeats_remembered Messages that a repeat would be known by.\n"
        "# TYPE streamlayer_repeats_remembered gauge\nstreamlayer_repeats_remembered %zu\n"
        "# HELP streamlayer_repeats_answered_total Repeated messages that were not written again.\n"
        "# TYPE streamlayer_repeats_answered_total counter\nstreamlayer_repeats_answered_total %llu\n",
        remembered, answered);
}
