/*
 * The ledger's log as a Kafka topic, for several gateways. What happens is written there, in one partition
 * for each application, so that its events keep their order; it is durable when Kafka says so. Every gateway
 * reads the topic and folds it into its own ledger.db, with the offsets in the same transaction: so all come
 * to the same figures, because nothing but the log's order decides.
 *
 * Two threads: one serves the reports of what was written, one reads. What is submitted is given to
 * librdkafka's queue by whoever submits it.
 */
#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/broker/broker.h"
#include "gateway/ledger/internal.h"
#include "gateway/store/db.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define REPORTS_MS     100
#define RETRY_MS       1000
#define CALL_MS        10000
#define EVENT_MAX      ((size_t)64 << 20)
#define BATCH          1000 /* events that are folded in a transaction */
#define FLUSH_MS       5000
#define PARTITIONS_MAX 1024
#define KEEP_MS        INT64_C(3155760000000) /* a hundred years: as good as for ever */
#define NODE_TEXT      (GW_WRITER_DIGITS + 16)
#define OFFSET_NAME    "offset of %d"

struct gw_ledger_log {
    struct gw_ledger *ledger;
    struct gw_broker *broker;
    char *topic;
    int partitions; /* to make it with; then those that there are */
    rd_kafka_t *producer, *consumer;
    pthread_t reporter, reader;
    atomic_bool stopping;
    bool started;
    _Atomic int64_t failed_ms; /* when a write failed last, and none has succeeded since; 0: none */
    int64_t tried_ms;          /* the reporter's */
};

/* --- Writing --- */

static void note(struct gw_ledger_log *log, rd_kafka_resp_err_t code)
{
    sl_error error;
    if (!code) {
        if (atomic_exchange(&log->failed_ms, 0))
            gw_ledger_set_available(log->ledger, true, NULL);
        return;
    }
    atomic_store(&log->failed_ms, sl_mono_ms());
    sl_error_set(&error, SL_UNAVAILABLE, "the topic %s: %s", log->topic, rd_kafka_err2str(code));
    gw_ledger_set_available(log->ledger, false, &error);
}

/* One of the entry's events is written, or not. */
static void event_done(struct gw_ledger_entry *entry, sl_status status)
{
    if (status)
        entry->status = status;
    if (atomic_fetch_sub(&entry->pending, 1) > 1)
        return;
    struct gw_ledger *ledger = entry->ledger;
    if (entry->status && entry->lazy && gw_ledger_keep(ledger, entry))
        return; /* the reporter tries it again */
    if (!entry->status)
        gw_ledger_count_written(ledger, entry);
    else if (!entry->lazy)
        atomic_fetch_add_explicit(&ledger->refused, 1, memory_order_relaxed);
    gw_ledger_tell(entry, entry->status);
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct gw_ledger_entry *entry = message->_private;
    (void)rk, (void)opaque;
    note(entry->ledger->log_topic, message->err);
    event_done(entry, message->err ? SL_UNAVAILABLE : SL_OK);
}

/* Gives the event to librdkafka, which reports to entry. */
static rd_kafka_resp_err_t produce(struct gw_ledger_log *log, const struct gw_ledger_event *event,
                                   int32_t partition, struct gw_ledger_entry *entry)
{
    char node[NODE_TEXT], key[512];
    struct sl_buffer text;
    sl_buffer_init(&text, EVENT_MAX);
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
    return code;
}

static int32_t partition_of(const struct gw_ledger_log *log, const char *application)
{
    uLong crc = crc32(0, (const Bytef *)application, (uInt)strlen(application));
    return (int32_t)(crc % (uLong)log->partitions);
}

void gw_ledger_log_submit(struct gw_ledger_log *log, struct gw_ledger_entry *entry)
{
    entry->status = SL_OK;
    size_t count = entry->count; /* the entry is its caller's again with the last report */
    const struct gw_ledger_event *events = entry->events;
    atomic_store(&entry->pending, count + 1);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = produce(log, &events[i], partition_of(log, entry->application), entry);
        if (code)
            event_done(entry, SL_UNAVAILABLE);
    }
    event_done(entry, SL_OK);
}

/* An event of the gateway's own, which nobody waits for. */
struct own_event {
    struct gw_ledger_entry entry; /* first */
    struct gw_ledger_event event;
};

static void free_own(struct gw_ledger_entry *entry)
{
    free(entry);
}

/* NULL: no memory. */
static struct own_event *own_event(struct gw_ledger_log *log, enum gw_ledger_kind kind)
{
    struct own_event *own = calloc(1, sizeof *own);
    if (!own)
        return NULL;
    own->event = (struct gw_ledger_event){.kind = kind, .at_ms = sl_wall_ms()};
    own->entry.ledger = log->ledger;
    own->entry.done = free_own;
    return own;
}

/* Whether it can be written again: an event that says nothing. */
static void probe(struct gw_ledger_log *log)
{
    struct own_event *own = own_event(log, GW_LEDGER_SETTLED);
    if (!own)
        return;
    own->entry.events = &own->event;
    own->entry.application = "";
    own->entry.count = 1;
    gw_ledger_log_submit(log, &own->entry);
}

/* What must be written and could not be: again. */
static void try_kept(struct gw_ledger_log *log)
{
    for (struct gw_ledger_entry *list = gw_ledger_take_kept(log->ledger); list;) {
        struct gw_ledger_entry *entry = list;
        list = list->next;
        gw_ledger_log_submit(log, entry);
    }
}

static void *report(void *opaque)
{
    struct gw_ledger_log *log = opaque;
    while (!atomic_load(&log->stopping)) {
        rd_kafka_poll(log->producer, REPORTS_MS);
        int64_t now_ms = sl_mono_ms();
        if (now_ms - log->tried_ms < RETRY_MS)
            continue;
        log->tried_ms = now_ms;
        if (atomic_load(&log->failed_ms))
            probe(log);
        else
            try_kept(log);
    }
    return NULL;
}

/* --- Reading --- */

static sl_status read_offset(const struct gw_ledger_log *log, int partition, int64_t *offset, sl_error *error)
{
    char name[32], known[GW_META_TEXT];
    snprintf(name, sizeof name, OFFSET_NAME, partition);
    sl_status status = gw_ledger_store_meta(&log->ledger->store, name, known, error);
    *offset = 0;
    sl_parse_int(known, 0, INT64_MAX, offset); /* there is none yet: 0 */
    return status;
}

static sl_status put_offset(const struct gw_ledger_log *log, int partition, int64_t offset, sl_error *error)
{
    char name[32], text[24];
    snprintf(name, sizeof name, OFFSET_NAME, partition);
    snprintf(text, sizeof text, "%lld", (long long)offset);
    return gw_ledger_store_put_meta(&log->ledger->store, name, text, error);
}

/* Reads on where the last transaction ended. */
static sl_status rewind_all(struct gw_ledger_log *log, sl_error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(log->partitions);
    sl_status status = SL_OK;
    for (int i = 0; i < log->partitions && !status; i++)
        status = read_offset(log, i, &rd_kafka_topic_partition_list_add(list, log->topic, i)->offset, error);
    rd_kafka_resp_err_t code = status ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_assign(log->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? sl_error_set(error, SL_KAFKA, "%s", rd_kafka_err2str(code)) : status;
}

/* What is no event was not written by us: it is passed over, and told. */
static sl_status fold(struct gw_ledger_log *log, const rd_kafka_message_t *message, sl_error *error)
{
    struct gw_ledger_read read;
    if (!gw_ledger_event_decode(message->payload, message->len, &read)) {
        SL_WARNING(&log->ledger->log,
                   "ledger: the topic %s has what is no event, in partition %d at offset %lld", log->topic,
                   (int)message->partition, (long long)message->offset);
        return SL_OK;
    }
    sl_status status = gw_ledger_store_apply(&log->ledger->store, read.node, read.writer, &read.event, error);
    if (!status)
        gw_ledger_store_note(&log->ledger->store, &read.event);
    gw_ledger_read_free(&read);
    return status;
}

/* Reads what there is, in one transaction. */
static sl_status fold_batch(struct gw_ledger_log *log, rd_kafka_message_t *message, sl_error *error)
{
    struct gw_ledger_store *store = &log->ledger->store;
    int64_t ends[PARTITIONS_MAX];
    size_t count = 0;
    for (int i = 0; i < log->partitions; i++)
        ends[i] = -1;
    sl_status status = gw_ledger_store_begin(store, error);
    while (message) {
        if (!message->err && !status) {
            status = fold(log, message, error);
            ends[message->partition] = message->offset + 1;
            count++;
        }
        rd_kafka_message_destroy(message);
        message = status || count == BATCH ? NULL : rd_kafka_consumer_poll(log->consumer, 0);
    }
    for (int i = 0; i < log->partitions && !status; i++)
        if (ends[i] >= 0)
            status = put_offset(log, i, ends[i], error);
    status = gw_ledger_store_end(store, status, error);
    atomic_fetch_add_explicit(&log->ledger->commits, 1, memory_order_relaxed);
    atomic_store_explicit(&log->ledger->unconfirmed, gw_fold_unconfirmed(store->fold), memory_order_relaxed);
    return status;
}

static void wait_a_while(const struct gw_ledger_log *log)
{
    struct gw_ledger *ledger = log->ledger;
    struct timespec deadline = sl_mono_deadline(sl_mono_ms() + RETRY_MS);
    pthread_mutex_lock(&ledger->lock);
    while (!atomic_load(&log->stopping) &&
           !pthread_cond_timedwait(&ledger->changed, &ledger->lock, &deadline))
        ;
    pthread_mutex_unlock(&ledger->lock);
}

/* The topic, made where there is none. */
static sl_status find_topic(struct gw_ledger_log *log, sl_error *error)
{
    struct gw_topic_facts facts;
    int64_t until_ms = sl_mono_ms() + CALL_MS;
    sl_status status = gw_broker_topic_facts(log->broker, log->topic, until_ms, &facts, error);
    if (status == SL_NOT_FOUND) {
        status = gw_broker_create_topic(log->broker, log->topic, log->partitions, KEEP_MS, until_ms, error);
        if (!status)
            status = gw_broker_topic_facts(log->broker, log->topic, until_ms, &facts, error);
    }
    if (!status && (facts.partitions < 1 || facts.partitions > PARTITIONS_MAX))
        return sl_error_set(error, SL_KAFKA, "it has %d partitions", facts.partitions);
    if (!status)
        log->partitions = facts.partitions;
    return status;
}

/* What the last run left open is not known to have arrived: in each partition by itself. */
static void begin_run(struct gw_ledger_log *log)
{
    struct own_event *own = own_event(log, GW_LEDGER_BEGUN);
    if (!own)
        return;
    atomic_store(&own->entry.pending, (size_t)log->partitions + 1);
    for (int i = 0; i < log->partitions; i++)
        if (produce(log, &own->event, i, &own->entry))
            event_done(&own->entry, SL_UNAVAILABLE);
    event_done(&own->entry, SL_OK);
}

static sl_status connect_log(struct gw_ledger_log *log, sl_error *error)
{
    sl_status status = find_topic(log, error);
    if (!status)
        status = rewind_all(log, error);
    if (!status) {
        begin_run(log);
        gw_ledger_set_available(log->ledger, true, NULL);
    }
    return status;
}

static void *read_on(void *opaque)
{
    struct gw_ledger_log *log = opaque;
    bool connected = false, told = false;
    sl_error error;
    while (!atomic_load(&log->stopping)) {
        sl_status status = SL_OK;
        if (!connected) {
            status = connect_log(log, &error);
            connected = !status;
        } else {
            rd_kafka_message_t *message = rd_kafka_consumer_poll(log->consumer, REPORTS_MS);
            status = message ? fold_batch(log, message, &error) : SL_OK;
            if (status)
                rewind_all(log, NULL);
        }
        if (status && !told)
            SL_ERROR(&log->ledger->log, "ledger: the topic %s is not read, and is tried again: %s",
                     log->topic, error.text);
        told = status;
        if (status)
            wait_a_while(log);
    }
    return NULL;
}

/* --- Begin and end --- */

static sl_status make(struct gw_ledger_log *log, rd_kafka_type_t type,
                      const struct gw_kafka_default *defaults, size_t count, rd_kafka_t **out,
                      sl_error *error)
{
    rd_kafka_conf_t *conf;
    char text[512];
    sl_status status = gw_kafka_conf(log->broker, type == RD_KAFKA_PRODUCER ? "producer" : "consumer",
                                     defaults, count, &conf, error);
    if (status) {
        if (conf)
            rd_kafka_conf_destroy(conf);
        return status;
    }
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    *out = rd_kafka_new(type, conf, text, sizeof text);
    if (*out)
        return SL_OK;
    rd_kafka_conf_destroy(conf);
    return sl_error_set(error, SL_BAD_CONFIG, "the ledger's connection to Kafka cannot be made: %s", text);
}

static sl_status make_both(struct gw_ledger_log *log, sl_error *error)
{
    char group[64];
    snprintf(group, sizeof group, "streamlayer-ledger-%s", log->ledger->store.node);
    const struct gw_kafka_default producer[] = {
        {"linger.ms", "0"},
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"message.max.bytes", "2097152"},
        {"delivery.timeout.ms", "10000"},
        {"allow.auto.create.topics", "false"},
    };
    const struct gw_kafka_default consumer[] = {
        {"group.id", group}, /* which librdkafka wants; nothing is committed */
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "earliest"},
        {"fetch.wait.max.ms", "100"},
    };
    sl_status status =
        make(log, RD_KAFKA_PRODUCER, producer, sizeof producer / sizeof *producer, &log->producer, error);
    if (!status)
        status =
            make(log, RD_KAFKA_CONSUMER, consumer, sizeof consumer / sizeof *consumer, &log->consumer, error);
    if (!status)
        rd_kafka_poll_set_consumer(log->consumer);
    return status;
}

sl_status gw_ledger_connect(struct gw_ledger *ledger, struct gw_broker *broker, const char *topic,
                            int partitions, sl_error *error)
{
    if (!ledger->running)
        return SL_OK; /* ledger.db is damaged: its log has been written to */
    struct gw_ledger_log *log = ledger->log_topic = calloc(1, sizeof *log);
    if (!log || !(log->topic = sl_strdup(topic)))
        return sl_error_oom(error);
    log->ledger = ledger;
    log->broker = broker;
    log->partitions = partitions;
    sl_status status = make_both(log, error);
    if (status)
        return status;
    if (pthread_create(&log->reporter, NULL, report, log))
        return sl_error_set(error, SL_INTERNAL, "cannot start the ledger's threads");
    if (pthread_create(&log->reader, NULL, read_on, log)) {
        atomic_store(&log->stopping, true);
        pthread_join(log->reporter, NULL);
        return sl_error_set(error, SL_INTERNAL, "cannot start the ledger's threads");
    }
    log->started = true;
    return SL_OK;
}

void gw_ledger_log_finish(struct gw_ledger_log *log)
{
    if (!log || !log->started)
        return;
    log->started = false;
    rd_kafka_flush(log->producer, FLUSH_MS);
    pthread_mutex_lock(&log->ledger->lock);
    atomic_store(&log->stopping, true);
    pthread_cond_broadcast(&log->ledger->changed);
    pthread_mutex_unlock(&log->ledger->lock);
    pthread_join(log->reporter, NULL);
    pthread_join(log->reader, NULL);
    /* Whoever waits still hears that it is over. */
    pthread_mutex_lock(&log->ledger->lock);
    log->ledger->ending = true;
    pthread_mutex_unlock(&log->ledger->lock);
    rd_kafka_purge(log->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(log->producer, FLUSH_MS);
    for (struct gw_ledger_entry *list = gw_ledger_take_kept(log->ledger); list;) {
        struct gw_ledger_entry *entry = list;
        list = list->next;
        gw_ledger_tell(entry, SL_CLOSED);
    }
}

void gw_ledger_log_free(struct gw_ledger_log **out)
{
    struct gw_ledger_log *log = *out;
    *out = NULL;
    if (!log)
        return;
    if (log->consumer) {
        rd_kafka_consumer_close(log->consumer);
        rd_kafka_destroy(log->consumer);
    }
    if (log->producer)
        rd_kafka_destroy(log->producer);
    free(log->topic);
    free(log);
}
