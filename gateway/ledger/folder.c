/*
 * The thread that takes what is in the journal into ledger.db: every second, when much waits, and when
 * somebody wants to read. A transaction of it need not reach the disk at once: what it has is in the journal
 * until ledger.db is on the disk.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/time.h"
#include "gateway/ledger/internal.h"
#include "gateway/ledger/packed.h"

#include <stdlib.h>
#include <string.h>

#define LAG_MS       1000
#define EVENTS_MANY  10000
#define BYTES_MANY   ((size_t)4 << 20)
#define BYTES_MAX    ((size_t)32 << 20) /* in memory: then writing waits for folding */
#define RETRY_MS     1000
#define REPLAY_BYTES ((size_t)8 << 20) /* in a transaction */

/* What a delivery means for the volumes once the transaction is committed; texts: the frame's. */
struct note {
    const char *application, *hrn;
    int64_t hour, billed, at_hour, expected;
};

struct gw_folder {
    struct gw_ledger *ledger;
    pthread_t thread;
    /* The thread's. */
    struct gw_frame_events events;
    struct note *notes;
    size_t note_count, note_capacity;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    struct gw_chunk *first, **last;
    size_t bytes, event_count; /* of what waits, and of what is being folded */
    int64_t since_ms;          /* of the first that waits */
    uint64_t appended, folded; /* sequences */
    uint64_t attempts;
    bool wanted, stopping, over;
    sl_status failed; /* the last attempt */
    char why[GW_LEDGER_WHY];
};

int64_t gw_ledger_claim(const struct gw_ledger_event *event)
{
    int64_t bytes = event->usage.blob_bytes_out;
    if (event->kind != GW_LEDGER_DELIVERED)
        return 0;
    if (event->packed)
        return bytes + event->packed->bytes;
    for (size_t i = 0; i < event->count; i++)
        bytes += event->records[i].bytes;
    return bytes;
}

void gw_chunk_free(struct gw_chunk *chunk)
{
    if (chunk)
        free(chunk->bytes);
    free(chunk);
}

struct gw_chunk *gw_chunk_new(size_t size)
{
    struct gw_chunk *chunk = calloc(1, sizeof *chunk);
    if (!chunk || posix_memalign(&chunk->bytes, GW_FRAME_BLOCK, size)) {
        free(chunk);
        return NULL;
    }
    chunk->size = size;
    return chunk;
}

/* --- A transaction --- */

static bool add_note(struct gw_folder *folder, const struct gw_ledger_event *event, bool expected)
{
    if (!sl_array_reserve((void **)&folder->notes, folder->note_count, &folder->note_capacity,
                          sizeof *folder->notes))
        return false;
    folder->notes[folder->note_count++] = (struct note){.application = event->application,
                                                        .hrn = event->hrn,
                                                        .hour = event->hour,
                                                        .billed = event->billed,
                                                        .at_hour = event->at_ms / GW_HOUR_MS,
                                                        .expected = expected ? gw_ledger_claim(event) : 0};
    return true;
}

static void take_notes(struct gw_folder *folder)
{
    struct gw_volume_table *volumes = folder->ledger->store.volumes;
    for (size_t i = 0; i < folder->note_count; i++) {
        const struct note *note = &folder->notes[i];
        if (note->billed)
            gw_volumes_add(volumes, note->application, note->hrn, note->hour, note->billed);
        if (note->expected)
            gw_volumes_expect(volumes, note->application, note->hrn, note->at_hour, -note->expected);
    }
}

static sl_status fold_chunk(struct gw_folder *folder, const struct gw_chunk *chunk, sl_error *error)
{
    struct gw_ledger_store *store = &folder->ledger->store;
    struct gw_ledger_event event;
    struct gw_frame frame;
    sl_status status = SL_OK;
    /* What this run has written is in memory yet. */
    bool whole = chunk->expected ? gw_frame_head(chunk->bytes, chunk->size, &frame)
                                 : gw_frame_read(chunk->bytes, chunk->size, &frame);
    if (!whole)
        return sl_error_set(error, SL_CHECKSUM_MISMATCH, "a frame of the journal is damaged");
    gw_frame_events(&folder->events, chunk->bytes, &frame);
    while (!status && !(status = gw_frame_next(&folder->events, &event, error))) {
        status = gw_ledger_store_apply(store, store->node, frame.writer, &event, error);
        if (!status && event.kind == GW_LEDGER_DELIVERED && !add_note(folder, &event, chunk->expected))
            status = sl_error_oom(error);
    }
    return status == SL_NOT_FOUND ? SL_OK : status;
}

/* All of the list in one transaction, or nothing. */
static sl_status fold_list(struct gw_folder *folder, const struct gw_chunk *list, sl_error *error)
{
    struct gw_ledger_store *store = &folder->ledger->store;
    uint64_t position = 0;
    folder->note_count = 0;
    sl_status status = gw_ledger_store_begin(store, error);
    for (const struct gw_chunk *each = list; each && !status; each = each->next) {
        status = fold_chunk(folder, each, error);
        position = each->sequence;
    }
    if (!status)
        status = gw_ledger_store_put_position(store, position, error);
    status = gw_ledger_store_end(store, status, error);
    if (!status)
        take_notes(folder);
    atomic_store_explicit(&folder->ledger->unconfirmed, gw_fold_unconfirmed(store->fold),
                          memory_order_relaxed);
    return status;
}

/* What is in ledger.db for good need not be in the journal. */
static void release(struct gw_folder *folder)
{
    if (gw_ledger_store_checkpoint(&folder->ledger->store))
        gw_journal_release(folder->ledger->journal, folder->folded);
}

static void free_list(struct gw_chunk *list)
{
    while (list) {
        struct gw_chunk *next = list->next;
        gw_chunk_free(list);
        list = next;
    }
}

/* --- At the start --- */

/* Reads frames from *at on, as many as go into a transaction. */
static sl_status read_list(struct gw_folder *folder, size_t *at, struct gw_chunk **list, sl_error *error)
{
    struct gw_journal *journal = folder->ledger->journal;
    size_t count, bytes = 0;
    const struct gw_journal_place *places = gw_journal_places(journal, &count);
    struct gw_chunk **end = list;
    sl_status status = SL_OK;
    for (; *at < count && bytes < REPLAY_BYTES && !status; (*at)++) {
        struct gw_chunk *chunk = *end = gw_chunk_new(places[*at].size);
        if (!chunk)
            return sl_error_oom(error);
        end = &chunk->next;
        chunk->sequence = places[*at].sequence;
        bytes += chunk->size;
        status = gw_journal_read(journal, &places[*at], chunk->bytes, error);
    }
    return status;
}

sl_status gw_folder_replay(struct gw_folder *folder, sl_error *error)
{
    size_t count, at = 0;
    gw_journal_places(folder->ledger->journal, &count);
    sl_status status = SL_OK;
    while (at < count && !status) {
        struct gw_chunk *list = NULL;
        status = read_list(folder, &at, &list, error);
        if (!status)
            status = fold_list(folder, list, error);
        free_list(list);
    }
    folder->appended = folder->folded = gw_journal_next(folder->ledger->journal) - 1;
    if (!status)
        release(folder);
    return status;
}

/* --- The thread --- */

static void note_attempt(struct gw_folder *folder, sl_status status, sl_error *error)
{
    if (status == SL_CHECKSUM_MISMATCH)
        sl_error_prefix(error, "it is damaged (docs/marketplace.md, \"A damaged ledger\")");
    gw_ledger_set_part(folder->ledger, GW_LEDGER_FOLDING, status ? error : NULL);
    pthread_mutex_lock(&folder->lock);
    folder->failed = status;
    folder->attempts++;
    if (status)
        snprintf(folder->why, sizeof folder->why, "%.*s", GW_LEDGER_WHY - 1, error->text);
    pthread_cond_broadcast(&folder->changed);
    pthread_mutex_unlock(&folder->lock);
}

/* Waits until there is something to do, and takes all of it. */
static struct gw_chunk *take(struct gw_folder *folder)
{
    pthread_mutex_lock(&folder->lock);
    int64_t retry_ms = folder->failed ? sl_mono_ms() + RETRY_MS : 0;
    for (;;) {
        bool many = folder->bytes >= BYTES_MANY || folder->event_count >= EVENTS_MANY;
        int64_t until_ms = folder->failed ? retry_ms : folder->since_ms + LAG_MS;
        struct timespec deadline = sl_mono_deadline(until_ms);
        if (folder->stopping ||
            (folder->first && (folder->wanted || (many && !folder->failed) || sl_mono_ms() >= until_ms)))
            break;
        folder->wanted = false;
        if (folder->first)
            pthread_cond_timedwait(&folder->changed, &folder->lock, &deadline);
        else
            pthread_cond_wait(&folder->changed, &folder->lock);
    }
    struct gw_chunk *list = folder->first;
    folder->first = NULL;
    folder->last = &folder->first;
    folder->wanted = false;
    pthread_mutex_unlock(&folder->lock);
    return list;
}

static void folded(struct gw_folder *folder, struct gw_chunk *list)
{
    pthread_mutex_lock(&folder->lock);
    for (const struct gw_chunk *each = list; each; each = each->next) {
        folder->bytes -= each->size;
        folder->event_count -= each->events;
        folder->folded = each->sequence;
    }
    pthread_cond_broadcast(&folder->changed);
    pthread_mutex_unlock(&folder->lock);
    free_list(list);
}

static void put_back(struct gw_folder *folder, struct gw_chunk *list)
{
    struct gw_chunk **end = &list;
    while (*end)
        end = &(*end)->next;
    pthread_mutex_lock(&folder->lock);
    *end = folder->first;
    if (!folder->first)
        folder->last = end;
    folder->first = list;
    pthread_mutex_unlock(&folder->lock);
}

static void keep_up(struct gw_folder *folder)
{
    struct gw_journal *journal = folder->ledger->journal;
    if (gw_journal_wants_release(journal, folder->folded))
        release(folder);
    gw_journal_prepare(journal);
}

static bool goes_on(struct gw_folder *folder, sl_status status)
{
    pthread_mutex_lock(&folder->lock);
    bool on = status != SL_CHECKSUM_MISMATCH && !(folder->stopping && (!folder->first || status));
    folder->over = !on;
    pthread_cond_broadcast(&folder->changed);
    pthread_mutex_unlock(&folder->lock);
    return on;
}

static void *run(void *opaque)
{
    struct gw_folder *folder = opaque;
    sl_error error = {.status = SL_OK};
    sl_status status = SL_OK;
    pthread_setname_np(pthread_self(), "ledger-folder");
    do {
        struct gw_chunk *list = take(folder);
        if (!list)
            continue;
        status = fold_list(folder, list, &error);
        if (status)
            put_back(folder, list);
        else
            folded(folder, list);
        note_attempt(folder, status, &error);
        if (!status)
            keep_up(folder);
    } while (goes_on(folder, status));
    return NULL;
}

/* --- Any thread --- */

bool gw_folder_takes(struct gw_folder *folder, sl_error *error)
{
    pthread_mutex_lock(&folder->lock);
    while (folder->bytes > BYTES_MAX && !folder->failed)
        pthread_cond_wait(&folder->changed, &folder->lock);
    sl_status failed = folder->failed;
    if (failed)
        sl_error_set(error, failed, "%s", folder->why);
    pthread_mutex_unlock(&folder->lock);
    return !failed;
}

void gw_folder_add(struct gw_folder *folder, struct gw_chunk *chunk)
{
    pthread_mutex_lock(&folder->lock);
    bool first = !folder->first;
    if (first)
        folder->since_ms = sl_mono_ms();
    chunk->expected = true;
    chunk->next = NULL;
    *folder->last = chunk;
    folder->last = &chunk->next;
    folder->bytes += chunk->size;
    folder->event_count += chunk->events;
    folder->appended = chunk->sequence;
    if (first || folder->bytes >= BYTES_MANY || folder->event_count >= EVENTS_MANY)
        pthread_cond_broadcast(&folder->changed);
    pthread_mutex_unlock(&folder->lock);
}

sl_status gw_folder_catch_up(struct gw_folder *folder, sl_error *error)
{
    sl_status status = SL_OK;
    pthread_mutex_lock(&folder->lock);
    uint64_t target = folder->appended, attempt = folder->attempts;
    while (folder->folded < target && !folder->over && !(folder->failed && folder->attempts > attempt)) {
        if (!folder->wanted) /* else readers would wake each other without end */
            pthread_cond_broadcast(&folder->changed);
        folder->wanted = true;
        pthread_cond_wait(&folder->changed, &folder->lock);
    }
    if (folder->folded < target)
        status = sl_error_set(error, SL_UNAVAILABLE, "ledger.db does not take what its journal has: %s",
                              folder->why);
    pthread_mutex_unlock(&folder->lock);
    return status;
}

/* --- Begin and end --- */

struct gw_folder *gw_folder_new(struct gw_ledger *ledger)
{
    struct gw_folder *folder = calloc(1, sizeof *folder);
    if (!folder)
        return NULL;
    folder->ledger = ledger;
    folder->last = &folder->first;
    folder->over = true; /* until it is started */
    pthread_mutex_init(&folder->lock, NULL);
    sl_cond_init(&folder->changed);
    return folder;
}

sl_status gw_folder_start(struct gw_folder *folder, sl_error *error)
{
    folder->over = false;
    if (!pthread_create(&folder->thread, NULL, run, folder))
        return SL_OK;
    folder->over = true;
    return sl_error_set(error, SL_INTERNAL, "cannot start the ledger's threads");
}

void gw_folder_finish(struct gw_folder *folder)
{
    pthread_mutex_lock(&folder->lock);
    folder->stopping = true;
    pthread_cond_broadcast(&folder->changed);
    pthread_mutex_unlock(&folder->lock);
    pthread_join(folder->thread, NULL);
    struct gw_ledger *ledger = folder->ledger;
    if (folder->folded == folder->appended && gw_ledger_store_checkpoint(&ledger->store))
        gw_journal_remove(ledger->journal);
}

void gw_folder_free(struct gw_folder **out)
{
    struct gw_folder *folder = *out;
    *out = NULL;
    if (!folder)
        return;
    free_list(folder->first);
    gw_frame_events_free(&folder->events);
    free(folder->notes);
    pthread_mutex_destroy(&folder->lock);
    pthread_cond_destroy(&folder->changed);
    free(folder);
}
