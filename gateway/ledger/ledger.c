#include "gateway/ledger/ledger.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/ledger/internal.h"
#include "gateway/ledger/packed.h"

#include <stdlib.h>
#include <string.h>

#define LAZY_MS  1000 /* what need not be durable at once waits so long */
#define PROBE_MS 1000 /* a ledger that cannot write is tried again */

static void post_done(struct gw_task *task)
{
    struct gw_ledger_entry *entry = (struct gw_ledger_entry *)(void *)task;
    entry->done(entry);
}

static void ignore_done(struct gw_ledger_entry *entry)
{
    (void)entry;
}

void gw_ledger_count_refused(struct gw_ledger *ledger)
{
    atomic_fetch_add_explicit(&ledger->refused, 1, memory_order_relaxed);
}

void gw_ledger_tell(struct gw_ledger_entry *entry, sl_status status)
{
    if (status && !entry->lazy)
        gw_ledger_count_refused(entry->ledger);
    sl_buffer_free(&entry->text);
    free(entry->opened);
    entry->opened = NULL;
    entry->status = status;
    entry->task.run = post_done;
    if (entry->loop)
        gw_loop_post(entry->loop, &entry->task);
    else
        entry->done(entry);
}

/* --- Writing: the ledger's thread --- */

/* news: it is not known yet that it cannot. */
static void set_available(struct gw_ledger *ledger, bool available, bool news, const sl_error *error)
{
    pthread_mutex_lock(&ledger->lock);
    bool before = ledger->available;
    available = available && !ledger->failing;
    ledger->available = available;
    if (error)
        snprintf(ledger->why, sizeof ledger->why, "%.*s", GW_LEDGER_WHY - 1, error->text);
    pthread_mutex_unlock(&ledger->lock);
    if (error && (before || news))
        SL_ERROR(&ledger->log, "ledger: %s: %s; what is to be counted is refused until it can be written%s",
                 ledger->store.path, error->text,
                 error->status == SL_IO ? ": give the disk room, or the gateway the right to write there"
                                        : "");
    else if (!before && available)
        SL_INFO(&ledger->log, "ledger: %s can be written again", ledger->store.path);
}

/* From now on it cannot write, or can again. Said once each. */
static void note_available(struct gw_ledger *ledger, bool available, const sl_error *error)
{
    set_available(ledger, available, false, error);
}

void gw_ledger_set_part(struct gw_ledger *ledger, enum gw_ledger_part part, const sl_error *error)
{
    pthread_mutex_lock(&ledger->lock);
    bool news = !(ledger->told & part); /* not by failing: a part that is yet to begin is among those */
    ledger->failing = error ? ledger->failing | part : ledger->failing & ~(unsigned)part;
    ledger->told = error ? ledger->told | part : ledger->told & ~(unsigned)part;
    pthread_mutex_unlock(&ledger->lock);
    set_available(ledger, !error, news, error);
}

static sl_status write_entry(struct gw_ledger *ledger, struct gw_ledger_entry *entry, sl_error *error)
{
    sl_status status = SL_OK;
    for (size_t i = 0; i < entry->count && !status; i++)
        status = gw_ledger_store_apply(&ledger->store, ledger->store.node, ledger->writer, &entry->events[i],
                                       error);
    return status;
}

/* The entries up to `end` in one transaction, or none of them. */
static sl_status write_all(struct gw_ledger *ledger, struct gw_ledger_entry *first,
                           const struct gw_ledger_entry *end, sl_error *error)
{
    sl_status status = gw_ledger_store_begin(&ledger->store, error);
    for (struct gw_ledger_entry *each = first; each != end && !status; each = each->next)
        status = write_entry(ledger, each, error);
    return gw_ledger_store_end(&ledger->store, status, error);
}

void gw_ledger_count_written(struct gw_ledger *ledger, const struct gw_ledger_entry *entry)
{
    atomic_fetch_add_explicit(&ledger->events, entry->count, memory_order_relaxed);
    if (entry->lazy)
        return;
    atomic_fetch_add_explicit(&ledger->waits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&ledger->waited_us, (unsigned long long)(sl_mono_us() - entry->since_us),
                              memory_order_relaxed);
}

/* Keeps what is lazy and could not be written for another try; false: it is the end. */
static bool keep(struct gw_ledger *ledger, struct gw_ledger_entry *entry)
{
    pthread_mutex_lock(&ledger->lock);
    bool keeps = !ledger->ending;
    if (keeps) {
        entry->next = ledger->kept;
        ledger->kept = entry;
    }
    pthread_mutex_unlock(&ledger->lock);
    return keeps;
}

/* In their order, in front of list. */
static struct gw_ledger_entry *prepend_kept(struct gw_ledger *ledger, struct gw_ledger_entry *list)
{
    struct gw_ledger_entry *kept = ledger->kept;
    ledger->kept = NULL;
    while (kept) { /* newest in front */
        struct gw_ledger_entry *next = kept->next;
        kept->next = list;
        list = kept;
        kept = next;
    }
    return list;
}

void gw_ledger_refuse(struct gw_ledger *ledger, struct gw_ledger_entry *entry, sl_status status)
{
    if (entry->lazy && status != SL_CHECKSUM_MISMATCH && keep(ledger, entry))
        return;
    gw_ledger_tell(entry, status);
}

/* Writes the list; where that fails because of one of them, each by itself. */
static void write_list(struct gw_ledger *ledger, struct gw_ledger_entry *list)
{
    sl_error error;
    sl_status status = write_all(ledger, list, NULL, &error);
    bool single = status == SL_CHECKSUM_MISMATCH && list->next;
    while (list) {
        struct gw_ledger_entry *entry = list;
        list = list->next;
        if (single)
            status = write_all(ledger, entry, list, &error);
        if (status == SL_CHECKSUM_MISMATCH)
            SL_ERROR(&ledger->log, "ledger: %s: %s", ledger->store.path, error.text);
        if (status) {
            gw_ledger_refuse(ledger, entry, status);
            continue;
        }
        for (size_t i = 0; i < entry->count; i++)
            gw_ledger_store_note(&ledger->store, &entry->events[i]);
        gw_ledger_count_written(ledger, entry);
        gw_ledger_tell(entry, SL_OK);
    }
    atomic_fetch_add_explicit(&ledger->commits, 1, memory_order_relaxed);
    atomic_store_explicit(&ledger->unconfirmed, gw_fold_unconfirmed(ledger->store.fold),
                          memory_order_relaxed);
    if (!status)
        note_available(ledger, true, NULL);
    else if (status != SL_CHECKSUM_MISMATCH)
        note_available(ledger, false, &error);
}

static void probe(struct gw_ledger *ledger)
{
    sl_error error;
    if (ledger->folder && !gw_journal_probe(ledger->journal, &error))
        gw_ledger_set_part(ledger, GW_LEDGER_APPENDING, NULL);
    else if (!ledger->folder && !gw_ledger_store_probe(&ledger->store, &error))
        note_available(ledger, true, NULL);
}

/* Takes what waits, in its order; NULL after a while in which nothing urgent came. */
static struct gw_ledger_entry *take(struct gw_ledger *ledger)
{
    int64_t until_ms = sl_mono_ms() + (ledger->available ? LAZY_MS : PROBE_MS);
    struct timespec deadline = sl_mono_deadline(until_ms);
    int timed_out = 0;
    while (!ledger->urgent && !ledger->stopping && !timed_out)
        timed_out = pthread_cond_timedwait(&ledger->changed, &ledger->lock, &deadline);
    struct gw_ledger_entry *list = prepend_kept(ledger, ledger->first);
    ledger->first = NULL;
    ledger->last = &ledger->first;
    ledger->urgent = 0;
    return list;
}

static void *run(void *opaque)
{
    struct gw_ledger *ledger = opaque;
    pthread_setname_np(pthread_self(), "ledger");
    pthread_mutex_lock(&ledger->lock);
    while (!ledger->ending) {
        ledger->ending = ledger->stopping; /* once more, for what came before */
        struct gw_ledger_entry *list = take(ledger);
        bool available = ledger->available;
        pthread_mutex_unlock(&ledger->lock);
        if (list && ledger->folder)
            gw_ledger_write_journal(ledger, list);
        else if (list)
            write_list(ledger, list);
        else if (!available)
            probe(ledger);
        pthread_mutex_lock(&ledger->lock);
    }
    pthread_mutex_unlock(&ledger->lock);
    return NULL;
}

/* --- Any thread --- */

/* Where neither a frame nor the topic takes them packed, which one event of an entry may have. false: no
 * memory. */
static bool open_packed(struct gw_ledger_entry *entry)
{
    for (size_t i = 0; i < entry->count; i++) {
        struct gw_ledger_event *event = &entry->events[i];
        if (!event->packed || !event->count)
            continue;
        event->records = entry->opened = gw_packed_open(event->packed);
        if (!event->records)
            return false;
    }
    return true;
}

void gw_ledger_submit(struct gw_ledger *ledger, struct gw_ledger_entry *entry)
{
    int64_t now_ms = sl_wall_ms();
    entry->next = NULL;
    entry->ledger = ledger;
    sl_buffer_init(&entry->text, GW_FRAME_MAX);
    entry->since_us = sl_mono_us();
    for (size_t i = 0; i < entry->count; i++) {
        entry->events[i].at_ms = now_ms;
        if (entry->events[i].kind == GW_LEDGER_DELIVERED)
            entry->events[i].number = (int64_t)atomic_fetch_add(&ledger->numbers, 1);
    }
    /* Here, where its records are at hand; without memory it is tried again when it is written. */
    bool opens = ledger->folder || ledger->kafka || open_packed(entry);
    if (ledger->folder)
        gw_ledger_encode(entry);
    pthread_mutex_lock(&ledger->lock);
    bool takes = opens && ledger->running && !ledger->stopping && (!ledger->kafka || ledger->log_topic);
    if (takes && !ledger->kafka) {
        *ledger->last = entry;
        ledger->last = &entry->next;
        if (!entry->lazy && !ledger->urgent++)
            pthread_cond_signal(&ledger->changed);
    }
    pthread_mutex_unlock(&ledger->lock);
    if (!takes)
        gw_ledger_tell(entry, !opens ? SL_OUT_OF_MEMORY : ledger->running ? SL_CLOSED : SL_UNAVAILABLE);
    else if (ledger->kafka)
        gw_ledger_log_submit(ledger->log_topic, entry);
}

bool gw_ledger_available(struct gw_ledger *ledger, char why[GW_LEDGER_WHY])
{
    pthread_mutex_lock(&ledger->lock);
    bool available = ledger->available;
    if (!available)
        memcpy(why, ledger->why, GW_LEDGER_WHY);
    pthread_mutex_unlock(&ledger->lock);
    return available;
}

void gw_ledger_volumes(struct gw_ledger *ledger, const char *application, const char *hrn,
                       struct gw_volumes *volumes)
{
    gw_volumes_get(ledger->store.volumes, application, hrn, volumes);
}

/* What the last run left open is not known to have arrived. Where that cannot be written now the thread does
 * it later. */
static sl_status begin_run(struct gw_ledger *ledger, sl_error *error)
{
    struct gw_ledger_entry *entry = &ledger->begun;
    ledger->begun_event = (struct gw_ledger_event){.kind = GW_LEDGER_BEGUN, .at_ms = sl_wall_ms()};
    *entry = (struct gw_ledger_entry){
        .events = &ledger->begun_event, .count = 1, .done = ignore_done, .lazy = true};
    sl_buffer_init(&entry->text, GW_FRAME_MAX);
    ledger->available = true;
    sl_status status = write_all(ledger, entry, NULL, error);
    if (status && status != SL_CHECKSUM_MISMATCH) {
        note_available(ledger, false, error);
        keep(ledger, entry);
        status = SL_OK;
    }
    ledger->unconfirmed = gw_fold_unconfirmed(ledger->store.fold);
    if (status)
        sl_error_prefix(error, "%s", ledger->store.path);
    return status;
}

/* Folds what the last run has left in the journal. From then on it is written to, unless the ledger has a
 * bound that leaves it no room. */
static sl_status open_journal(struct gw_ledger *ledger, const char *data_directory, sl_error *error)
{
    struct gw_ledger_store *store = &ledger->store;
    uint64_t position, missing;
    sl_status status = gw_ledger_store_position(store, &position, error);
    if (!status)
        status = gw_journal_open(data_directory, store->node, position, store->settings.max_bytes > 0,
                                 &ledger->journal, &missing, error);
    if (status)
        return status;
    if (missing)
        SL_WARNING(
            &ledger->log,
            "ledger: %s is older than its journal, as a copy is that was put back: the journal lacks %llu "
            "writes that came after the copy, and what was used then is not counted; what came later is",
            store->path, (unsigned long long)missing);
    ledger->folder = gw_folder_new(ledger);
    return ledger->folder ? gw_folder_replay(ledger->folder, error) : sl_error_oom(error);
}

/* Where there is to be a journal, it is used from now on. */
static sl_status use_journal(struct gw_ledger *ledger, sl_error *error)
{
    if (gw_ledger_has_journal(&ledger->store.settings)) {
        sl_status status = gw_ledger_store_relax(&ledger->store, error);
        return status ? status : gw_folder_start(ledger->folder, error);
    }
    if (gw_ledger_store_checkpoint(&ledger->store))
        gw_journal_remove(ledger->journal);
    gw_folder_free(&ledger->folder);
    return SL_OK;
}

static void release(struct gw_ledger *ledger)
{
    gw_folder_free(&ledger->folder);
    gw_journal_close(&ledger->journal);
    sl_buffer_free(&ledger->frame);
}

sl_status gw_ledger_open(const char *data_directory, const struct gw_ledger_settings *settings,
                         const struct sl_log *log, struct gw_ledger **out, sl_error *error)
{
    struct gw_ledger *ledger = *out = calloc(1, sizeof *ledger);
    if (!ledger)
        return sl_error_oom(error);
    ledger->log = *log;
    ledger->last = &ledger->first;
    atomic_init(&ledger->numbers, 1); /* 0 is no delivery's: topic_write.c probes with it */
    sl_buffer_init(&ledger->frame, GW_FRAME_MAX);
    pthread_mutex_init(&ledger->lock, NULL);
    sl_cond_init(&ledger->changed);
    sl_status status = gw_ledger_store_open(&ledger->store, data_directory, settings, log, error);
    if (!status && !sl_random_hex(ledger->writer, GW_WRITER_DIGITS))
        status = sl_error_set(error, SL_INTERNAL, "the system gave no random bytes");
    if (!status && !settings->kafka)
        status = open_journal(ledger, data_directory, error);
    if (!status && !settings->kafka)
        status = begin_run(ledger, error);
    if (!status && !settings->kafka)
        status = use_journal(ledger, error);
    if (!status && settings->kafka) /* what the power takes is read from the topic once more */
        status = gw_ledger_store_relax(&ledger->store, error);
    if (status == SL_OUT_OF_MEMORY || status == SL_INTERNAL) {
        gw_ledger_close(out);
        return status;
    }
    if (status) {
        ledger->available = false;
        snprintf(ledger->why, sizeof ledger->why, "%.*s", GW_LEDGER_WHY - 1, error->text);
        SL_ERROR(&ledger->log,
                 "ledger: %s. Until then the gateway refuses whatever is to be counted on the Marketplace; "
                 "nothing in the file was changed",
                 error->text);
        return SL_OK;
    }
    if (settings->kafka) {
        snprintf(ledger->why, sizeof ledger->why, "the topic that it is written to was not found yet");
        ledger->kafka = ledger->running = true;
        return SL_OK;
    }
    if (pthread_create(&ledger->thread, NULL, run, ledger)) {
        if (ledger->folder)
            gw_folder_finish(ledger->folder);
        gw_ledger_close(out);
        return sl_error_set(error, SL_INTERNAL, "cannot start the ledger's thread");
    }
    ledger->running = true;
    return SL_OK;
}

void gw_ledger_finish(struct gw_ledger *ledger)
{
    if (!ledger || !ledger->running)
        return;
    pthread_mutex_lock(&ledger->lock);
    bool first = !ledger->stopping;
    ledger->stopping = true;
    pthread_cond_signal(&ledger->changed);
    pthread_mutex_unlock(&ledger->lock);
    if (first && ledger->kafka)
        gw_ledger_log_finish(ledger->log_topic);
    else if (first)
        pthread_join(ledger->thread, NULL);
    if (first && ledger->folder)
        gw_folder_finish(ledger->folder);
}

void gw_ledger_close(struct gw_ledger **out)
{
    struct gw_ledger *ledger = *out;
    *out = NULL;
    if (!ledger)
        return;
    gw_ledger_finish(ledger);
    gw_ledger_log_free(&ledger->log_topic);
    release(ledger);
    gw_ledger_store_close(&ledger->store);
    pthread_mutex_destroy(&ledger->lock);
    pthread_cond_destroy(&ledger->changed);
    free(ledger);
}

bool gw_ledger_metrics(struct gw_ledger *ledger, struct sl_buffer *text)
{
    char why[GW_LEDGER_WHY];
    return sl_buffer_printf(
        text,
        "# HELP streamlayer_ledger_available Whether the Marketplace's ledger can be written: 1, or 0.\n"
        "# TYPE streamlayer_ledger_available gauge\nstreamlayer_ledger_available %d\n"
        "# HELP streamlayer_ledger_commits_total Transactions in which events were written to it.\n"
        "# TYPE streamlayer_ledger_commits_total counter\nstreamlayer_ledger_commits_total %llu\n"
        "# HELP streamlayer_ledger_events_total Events that were written to it.\n"
        "# TYPE streamlayer_ledger_events_total counter\nstreamlayer_ledger_events_total %llu\n"
        "# HELP streamlayer_ledger_refused_total Requests that were refused since it could not be written.\n"
        "# TYPE streamlayer_ledger_refused_total counter\nstreamlayer_ledger_refused_total %llu\n"
        "# HELP streamlayer_ledger_unconfirmed Deliveries in it of which nobody knows whether they arrived.\n"
        "# TYPE streamlayer_ledger_unconfirmed gauge\nstreamlayer_ledger_unconfirmed %lld\n"
        "# HELP streamlayer_ledger_wait_seconds_total How long answers waited until they were in it, "
        "together.\n"
        "# TYPE streamlayer_ledger_wait_seconds_total counter\nstreamlayer_ledger_wait_seconds_total %.6f\n"
        "# HELP streamlayer_ledger_waits_total Answers that waited so.\n"
        "# TYPE streamlayer_ledger_waits_total counter\nstreamlayer_ledger_waits_total %llu\n",
        gw_ledger_available(ledger, why), atomic_load(&ledger->commits), atomic_load(&ledger->events),
        atomic_load(&ledger->refused), (long long)atomic_load(&ledger->unconfirmed),
        (double)atomic_load(&ledger->waited_us) / 1e6, atomic_load(&ledger->waits));
}
