/*
 * Writing to the ledger's topic. Each event has a number of its writer's in the partition, by which readers
 * know one that they have had: so what may or may not have been written can be written again.
 *
 * What is submitted goes to Kafka in its order as long as all is well: the topic is open. What is lazy goes
 * with what comes next, in one request. When an event is not written, or Kafka says nothing for too long, it
 * is closed: everything that is under way is taken back, so that nothing overtakes, those who wait are
 * refused, and what is lazy is kept. Then it is tried with what was kept, in its order, and when that is
 * written the topic is open again.
 */
#include "base/error.h"
#include "base/time.h"
#include "gateway/ledger/topic_internal.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define REPORTS_MS 100
#define LAZY_MS    100 /* what need not be durable at once waits so long for what must */
#define EVENT_MAX  ((size_t)64 << 20)
#define FLUSH_MS   5000
#define NODE_TEXT  (GW_WRITER_DIGITS + 16)

/* An event of the gateway's own, which nobody waits for. */
struct own_event {
    struct gw_ledger_entry entry; /* first */
    struct gw_ledger_event event;
    int32_t partition;
};

static void free_own(struct gw_ledger_entry *entry)
{
    free(entry);
}

/* NULL: no memory. */
static struct own_event *own_event(struct gw_ledger_log *log, enum gw_ledger_kind kind, int32_t partition)
{
    struct own_event *own = calloc(1, sizeof *own);
    if (!own)
        return NULL;
    own->event = (struct gw_ledger_event){.kind = kind, .at_ms = sl_wall_ms()};
    own->entry = (struct gw_ledger_entry){
        .events = &own->event, .count = 1, .ledger = log->ledger, .done = free_own, .lazy = true};
    own->partition = partition;
    return own;
}

static int32_t partition_of(const struct gw_ledger_log *log, struct gw_ledger_entry *entry)
{
    if (entry->done == free_own)
        return ((struct own_event *)(void *)entry)->partition;
    uLong crc = crc32(0, (const Bytef *)entry->application, (uInt)strlen(entry->application));
    return (int32_t)(crc % (uLong)log->partitions);
}

/* --- Under the lock --- */

/* Behind all that were submitted before it. */
static void keep(struct gw_ledger_log *log, struct gw_ledger_entry *entry)
{
    struct gw_ledger_entry **place = &log->kept;
    if (!log->kept)
        log->kept_ms = sl_mono_ms();
    if (log->latest && log->latest->order < entry->order)
        place = &log->latest->next;
    while (*place && (*place)->order < entry->order)
        place = &(*place)->next;
    entry->next = *place;
    *place = entry;
    if (!entry->next)
        log->latest = entry;
}

static struct gw_ledger_entry *take_kept(struct gw_ledger_log *log)
{
    struct gw_ledger_entry *list = log->kept;
    log->kept = log->latest = NULL;
    return list;
}

/* Nothing more goes until the producer, which has come to its end, is replaced. */
static void close_for_another(struct gw_ledger_log *log)
{
    log->tried |= log->open;
    log->open = false;
}

/* Something was not written. That it was taken back, or that the producer takes nothing, has another cause.
 */
static void note_failure(struct gw_ledger_log *log, rd_kafka_resp_err_t code)
{
    if (code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT ||
        code == RD_KAFKA_RESP_ERR__FATAL) {
        close_for_another(log);
        return;
    }
    if (!log->failed)
        log->why = code;
    log->open = log->tried = false;
    log->failed = true;
}

/* Whether it is the event's own fault, which another one does not have: it is too large. Kafka says so of all
 * that a batch has: one of that size is alone in it. */
static bool is_its_own(rd_kafka_resp_err_t code, size_t size)
{
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && size >= GW_TOPIC_BATCH_BYTES;
}

/* Gives the event to librdkafka, which reports to entry. */
static rd_kafka_resp_err_t produce(struct gw_ledger_log *log, struct gw_ledger_event *event,
                                   int32_t partition, struct gw_ledger_entry *entry)
{
    struct gw_lane *lane = &log->lanes[partition];
    char node[NODE_TEXT], key[512];
    struct sl_buffer text;
    bool numbered = event->sequence;
    sl_buffer_init(&text, EVENT_MAX);
    if (!numbered)
        event->sequence = lane->sequence + 1;
    /* What a restart breaks is of one partition: others may be read later. */
    snprintf(node, sizeof node, "%s/%d", log->ledger->store.node, (int)partition);
    snprintf(key, sizeof key, "%.400s/%lld", event->application ? event->application : "",
             (long long)(event->at_ms / GW_HOUR_MS));
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__QUEUE_FULL;
    if (gw_ledger_event_encode(&text, node, log->ledger->writer, event))
        code = rd_kafka_producev(log->producer, RD_KAFKA_V_TOPIC(log->topic), RD_KAFKA_V_PARTITION(partition),
                                 RD_KAFKA_V_KEY(key, strlen(key)), RD_KAFKA_V_VALUE(text.data, text.size),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(entry),
                                 RD_KAFKA_V_END);
    sl_buffer_free(&text);
    if (code) {
        event->sequence = numbered ? event->sequence : 0;
        return code;
    }
    if (!lane->pending++)
        lane->since_ms = sl_mono_ms();
    lane->sequence += !numbered;
    return code;
}

/* Gives the entry to librdkafka. It is not done before event_done was called once more. */
static void give(struct gw_ledger_log *log, struct gw_ledger_entry *entry)
{
    int32_t partition = partition_of(log, entry);
    bool all = true;
    entry->status = SL_OK;
    atomic_store(&entry->pending, 1);
    log->in_flight++;
    for (size_t i = 0; i < entry->count && all; i++) {
        atomic_fetch_add(&entry->pending, 1);
        rd_kafka_resp_err_t code = produce(log, &entry->events[i], partition, entry);
        all = !code;
        if (code)
            atomic_fetch_sub(&entry->pending, 1);
        bool large = code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
        entry->status = code ? large ? SL_INVALID_ARGUMENT : SL_UNAVAILABLE : SL_OK;
        if (code && code != RD_KAFKA_RESP_ERR__QUEUE_FULL && !large)
            note_failure(log, code);
    }
    if (entry->lazy && entry->status == SL_UNAVAILABLE)
        log->open = false; /* nothing may be written before it; once Kafka has the rest, it is tried */
}

/* --- What came of it --- */

/* One of the entry's events is written, or not; or all of them are given to librdkafka. */
static void event_done(struct gw_ledger_log *log, struct gw_ledger_entry *entry, sl_status status)
{
    if (status) {
        pthread_mutex_lock(&log->lock); /* give may be at it yet */
        entry->status = status;
        pthread_mutex_unlock(&log->lock);
    }
    if (atomic_fetch_sub(&entry->pending, 1) > 1)
        return;
    struct gw_ledger *ledger = log->ledger;
    bool too_large = entry->status == SL_INVALID_ARGUMENT, kept = entry->status && entry->lazy && !too_large;
    pthread_mutex_lock(&log->lock);
    log->in_flight--;
    if (kept)
        keep(log, entry);
    if (!log->in_flight)
        pthread_cond_broadcast(&log->drained);
    pthread_mutex_unlock(&log->lock);
    if (kept)
        return;
    if (too_large)
        SL_ERROR(&ledger->log,
                 "ledger: what application %s used is too large for a message of the topic %s, and is %s: "
                 "give the "
                 "topic a max.message.bytes of 2097152",
                 entry->application, log->topic, entry->lazy ? "in no bill" : "refused");
    if (!entry->status)
        gw_ledger_count_written(ledger, entry);
    gw_ledger_tell(entry, entry->status);
}

void gw_topic_on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct gw_ledger_entry *entry = message->_private;
    struct gw_ledger_log *log = entry->ledger->log_topic;
    bool own = is_its_own(message->err, message->len);
    (void)rk, (void)opaque;
    pthread_mutex_lock(&log->lock);
    struct gw_lane *lane = &log->lanes[message->partition];
    lane->pending--;
    lane->since_ms = sl_mono_ms();
    if (own)
        close_for_another(log);
    else if (message->err)
        note_failure(log, message->err);
    pthread_mutex_unlock(&log->lock);
    event_done(log, entry, !message->err ? SL_OK : own ? SL_INVALID_ARGUMENT : SL_UNAVAILABLE);
}

/* Gives librdkafka the list, up to what it does not take. True: all of it. Under the lock; sent follows. */
static bool send_list(struct gw_ledger_log *log, struct gw_ledger_entry *list)
{
    bool takes = true;
    for (; list; list = list->next) {
        if (takes) {
            give(log, list);
            takes = list->status != SL_UNAVAILABLE;
            continue;
        }
        list->status = SL_UNAVAILABLE;
        atomic_store(&list->pending, 1);
        log->in_flight++;
    }
    return takes;
}

/* Without the lock. */
static void sent(struct gw_ledger_log *log, struct gw_ledger_entry *list)
{
    while (list) {
        struct gw_ledger_entry *entry = list;
        list = list->next;
        event_done(log, entry, SL_OK);
    }
}

/* --- Any thread --- */

void gw_ledger_log_submit(struct gw_ledger_log *log, struct gw_ledger_entry *entry)
{
    struct gw_ledger_entry *list = NULL;
    pthread_mutex_lock(&log->lock);
    bool refused = !log->open && !entry->lazy;
    entry->order = ++log->orders;
    if (!refused)
        keep(log, entry);
    if (!refused && !entry->lazy)
        send_list(log, list = take_kept(log));
    pthread_mutex_unlock(&log->lock);
    sent(log, list);
    if (refused)
        gw_ledger_tell(entry, SL_UNAVAILABLE);
}

sl_status gw_topic_begin_writing(struct gw_ledger_log *log, int partitions, sl_error *error)
{
    struct gw_ledger_entry *list = NULL;
    for (int32_t i = 0; i < partitions; i++) {
        struct own_event *own = own_event(log, GW_LEDGER_BEGUN, i);
        if (!own) {
            for (struct gw_ledger_entry *next; list; list = next) {
                next = list->next;
                free(list);
            }
            return sl_error_oom(error);
        }
        own->entry.next = list;
        list = &own->entry;
    }
    pthread_mutex_lock(&log->lock);
    log->partitions = partitions;
    log->found = true;
    while (list) {
        struct gw_ledger_entry *entry = list;
        list = list->next;
        keep(log, entry); /* its order is 0: before all others */
    }
    pthread_mutex_unlock(&log->lock);
    return SL_OK;
}

/* --- The reporter --- */

/* Kafka has said nothing for too long of something that it was given. */
static void note_silence(struct gw_ledger_log *log)
{
    int64_t since_ms = sl_mono_ms() - log->wait_ms;
    for (int i = 0; i < log->partitions && !log->failed; i++)
        if (log->lanes[i].pending && log->lanes[i].since_ms <= since_ms)
            note_failure(log, RD_KAFKA_RESP_ERR__TIMED_OUT);
}

/* Where there is nothing else an event is tried that says nothing. opens: what is submitted from then on goes
 * behind it. Whether it is open now. */
static bool send_kept(struct gw_ledger_log *log, bool opens)
{
    struct own_event *own = opens ? NULL : own_event(log, GW_LEDGER_SETTLED, 0);
    pthread_mutex_lock(&log->lock);
    bool probes = own && !log->kept;
    if (probes) {
        own->entry.order = ++log->orders;
        keep(log, &own->entry);
    }
    struct gw_ledger_entry *list = take_kept(log);
    log->failed = false;
    log->tried = list || opens;
    bool all = send_list(log, list);
    bool open = log->open = opens && all;
    pthread_mutex_unlock(&log->lock);
    if (!probes)
        free(own);
    sent(log, list); /* nobody else serves the reports: none of them is done yet */
    return open;
}

/* What is lazy, and nothing has taken along. */
static void send_lazy(struct gw_ledger_log *log)
{
    struct gw_ledger_entry *list = NULL;
    pthread_mutex_lock(&log->lock);
    if (log->open && log->kept && sl_mono_ms() - log->kept_ms >= LAZY_MS)
        send_list(log, list = take_kept(log));
    pthread_mutex_unlock(&log->lock);
    sent(log, list);
}

/* One that has come to its end for good; nothing is under way. */
static void replace_producer(struct gw_ledger_log *log)
{
    rd_kafka_t *producer = NULL, *old = log->producer;
    if (!rd_kafka_fatal_error(old, NULL, 0) || gw_topic_connect(log, RD_KAFKA_PRODUCER, &producer, NULL))
        return;
    pthread_mutex_lock(&log->lock);
    log->producer = producer;
    pthread_mutex_unlock(&log->lock);
    rd_kafka_destroy(old);
}

static void look_after(struct gw_ledger_log *log)
{
    sl_error error;
    rd_kafka_resp_err_t end = rd_kafka_fatal_error(log->producer, NULL, 0);
    pthread_mutex_lock(&log->lock);
    note_silence(log);
    if (end && end != RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE && !log->failed)
        note_failure(log, end);
    bool failed = log->failed, tried = log->tried, under_way = log->in_flight > 0;
    bool idle = log->found && !log->open && !under_way;
    rd_kafka_resp_err_t why = log->why;
    pthread_mutex_unlock(&log->lock);
    if (failed && !log->said) {
        sl_error_set(&error, SL_UNAVAILABLE, "the topic %s: %s", log->topic, rd_kafka_err2str(why));
        gw_ledger_set_part(log->ledger, GW_LEDGER_APPENDING, &error);
    }
    log->said = failed;
    if ((failed || end) && under_way) /* so that nothing of it overtakes what was not written */
        rd_kafka_purge(log->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    if (!idle)
        return;
    replace_producer(log);
    int64_t now_ms = sl_mono_ms();
    if (tried) {
        if (send_kept(log, true))
            gw_ledger_set_part(log->ledger, GW_LEDGER_APPENDING, NULL);
    } else if (now_ms - log->tried_ms >= GW_TOPIC_RETRY_MS) {
        log->tried_ms = now_ms;
        send_kept(log, false);
    }
}

void *gw_topic_report(void *opaque)
{
    struct gw_ledger_log *log = opaque;
    pthread_setname_np(pthread_self(), "ledger-writer");
    while (!atomic_load(&log->stopping)) {
        rd_kafka_poll(log->producer, REPORTS_MS);
        look_after(log);
        send_lazy(log);
    }
    return NULL;
}

/* --- The end --- */

void gw_topic_drain(struct gw_ledger_log *log, int64_t wait_ms)
{
    struct timespec deadline = sl_mono_deadline(sl_mono_ms() + wait_ms);
    int timed_out = 0;
    pthread_mutex_lock(&log->lock);
    while ((log->in_flight || log->kept) && !timed_out)
        timed_out = pthread_cond_timedwait(&log->drained, &log->lock, &deadline);
    pthread_mutex_unlock(&log->lock);
}

void gw_topic_end_writing(struct gw_ledger_log *log)
{
    rd_kafka_purge(log->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(log->producer, FLUSH_MS);
    pthread_mutex_lock(&log->lock);
    struct gw_ledger_entry *list = take_kept(log);
    pthread_mutex_unlock(&log->lock);
    while (list) {
        struct gw_ledger_entry *entry = list;
        list = list->next;
        gw_ledger_tell(entry, SL_CLOSED);
    }
}
