/*
 * The one producer. Writers are the loops. One of them serves the delivery reports, too, and hands them to
 * the others in batches: one post a loop and round.
 */
#include "gateway/broker/internal.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TOPICS_MAX       4096
#define POLL_MS          100
#define STAY_MS          10 /* as long messages that may lie anywhere go to one Kafka partition */
#define PURGE_TIMEOUT_MS 10000
#define RECORD_BYTES     256 /* that librdkafka keeps of a message beside payload and key */

/* A producer that Kafka gave no id is replaced after a pause, which doubles. */
#define REFUSED_MIN_MS 1000
#define REFUSED_MAX_MS 30000
#define SETTLED_MS     2000 /* one that has lived so long without that error has its id */

#define REFUSED_TEXT                                                                                         \
    "the gateway's principal may write to no topic of the cluster: it needs Write on topics (kafka-acls "    \
    "--add --topic … --operation Write; docs/security.md)"

/* Loop's thread: a chain of reports. */
static void report(struct gw_task *task)
{
    struct gw_write *write = (struct gw_write *)(void *)task;
    while (write) {
        struct gw_write *next = write->next; /* done may free it */
        write->done(write);
        write = next;
    }
}

static void post_outboxes(struct gw_broker *broker)
{
    gw_budget_give(broker->budget, broker->reported);
    broker->reported = 0;
    for (size_t i = 0; i < broker->outbox_count; i++) {
        struct gw_outbox *outbox = &broker->outboxes[i];
        if (!outbox->first)
            continue;
        struct gw_write *first = outbox->first;
        outbox->first = outbox->last = NULL;
        first->task.run = report;
        gw_loop_post(first->loop, &first->task);
    }
}

static void enqueue(struct gw_broker *broker, struct gw_write *write)
{
    struct gw_outbox *outbox = broker->outboxes;
    struct gw_outbox *end = outbox + broker->outbox_count;
    while (outbox < end && outbox->loop != write->loop)
        outbox++;
    write->next = NULL;
    if (outbox == end) {
        if (broker->outbox_count == GW_OUTBOXES) { /* more loops than that: each report by itself */
            write->task.run = report;
            gw_loop_post(write->loop, &write->task);
            return;
        }
        broker->outbox_count++;
        outbox->loop = write->loop;
    }
    if (outbox->last)
        outbox->last->next = write;
    else
        outbox->first = write;
    outbox->last = write;
}

/* The log has it, too, once in a while: it is the operator's to mend. */
static void explain_right(struct gw_broker *broker, struct gw_write *write, const char *topic)
{
    sl_error error;
    gw_topic_error(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, NULL, "take the message for", topic, "Write",
                   &error);
    snprintf(
        write->text, sizeof write->text,
        "the gateway's principal needs Write on the topic %.130s (kafka-acls --add --topic … --operation "
        "Write; docs/security.md)",
        topic);
    gw_broker_note_trouble(broker, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "", error.text);
}

static void explain(struct gw_broker *broker, struct gw_write *write, const rd_kafka_message_t *message)
{
    write->status = gw_kafka_status(message->err, &write->retriable);
    if (!message->err)
        snprintf(write->text, sizeof write->text,
                 "Kafka took the message for a duplicate, so it may be missing: send it again");
    else if (message->err == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP)
        snprintf(write->text, sizeof write->text,
                 "Kafka refused the message's timestamp: it is older than the layer's ttl, so the message "
                 "would be "
                 "deleted at once, or it lies in the future; send it without a timestamp, or make the "
                 "layer's ttl longer");
    else if (message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        explain_right(broker, write, rd_kafka_topic_name(message->rkt));
    else if (write->status == SL_TIMED_OUT)
        gw_broker_say_silent(broker, write->text);
    else
        snprintf(write->text, sizeof write->text, "Kafka did not acknowledge the message: %s",
                 rd_kafka_err2str(message->err));
}

/* Given up by us: at the end, or with a producer that is replaced. */
static bool purged(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
}

/* Whoever serves. */
static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    struct gw_broker *broker = opaque;
    struct gw_write *write = message->_private;
    (void)producer;
    if (message->err || message->offset < 0) {
        /* No error and no offset: Kafka answered DUPLICATE_SEQUENCE_NUMBER, which librdkafka 2.0.2 calls
         * written. It is not, when the first batch to a partition failed at a leader that was not ready and
         * the second was accepted before the retry: a broker takes any first sequence number. */
        bool replaced = purged(message->err) && !atomic_load(&broker->stopping);
        explain(broker, write, message);
        if (replaced)
            snprintf(write->text, sizeof write->text,
                     "the producer had to be replaced before Kafka acknowledged the message");
        if (!message->err || replaced) {
            write->status = SL_UNAVAILABLE;
            write->retriable = true;
        }
        atomic_fetch_add_explicit(&broker->failed, 1, memory_order_relaxed);
    } else {
        write->status = SL_OK;
        write->offset = (sl_offset){message->partition, message->offset};
        atomic_store_explicit(&broker->refused, false, memory_order_relaxed);
        atomic_fetch_add_explicit(&broker->written, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&broker->written_bytes, message->len, memory_order_relaxed);
    }
    broker->reported += write->counted;
    enqueue(broker, write);
}

/* Loops' threads, or librdkafka's. */
static int32_t choose_partition(const rd_kafka_topic_t *topic, const void *key, size_t size, int32_t count,
                                void *topic_opaque, void *msg_opaque)
{
    const struct gw_write *write = msg_opaque;
    if (write->anywhere) {
        /* Mixed, so that no regular sender meets the same one each time. */
        int32_t partition = (int32_t)(sl_mix((uint64_t)(sl_mono_ms() / STAY_MS)) % (uint64_t)count);
        if (rd_kafka_topic_partition_available(topic, partition))
            return partition;
    }
    return rd_kafka_msg_partitioner_murmur2_random(topic, key, size, count, topic_opaque, msg_opaque);
}

static void want_replacement(struct gw_broker *broker)
{
    if (!atomic_exchange(&broker->fatal, true))
        sem_post(&broker->wanted);
}

static void on_error(rd_kafka_t *producer, int code, const char *reason, void *opaque)
{
    struct gw_broker *broker = opaque;
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char text[256] = "";
        rd_kafka_resp_err_t cause = rd_kafka_fatal_error(producer, text, sizeof text);
        if (cause == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
            gw_broker_note_trouble(broker, cause, "", REFUSED_TEXT);
        else
            SL_ERROR(&broker->log, "kafka %s: the producer ended and is being replaced: %s: %s",
                     broker->cluster, rd_kafka_err2name(cause), text);
        if (producer == broker->producer) /* the one that it has made way for says so, too */
            want_replacement(broker);
    } else {
        gw_broker_note_trouble(broker, code, "", reason);
    }
}

static sl_status make_producer(struct gw_broker *broker, rd_kafka_t **producer, sl_error *error)
{
    static const struct gw_kafka_default always[] = {
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"partitioner", "murmur2_random"}, /* as Kafka's Java clients */
        /* A write that comes after its layer's deletion must not bring the topic back. */
        {"allow.auto.create.topics", "false"},
    };
    char patience[24];
    snprintf(patience, sizeof patience, "%lld", (long long)broker->wait_ms);
    const struct gw_kafka_default defaults[] = {
        {"linger.ms", "0"}, /* batches form by themselves while requests are in flight */
        {"message.max.bytes", "2097152"},
        {"delivery.timeout.ms", patience}, /* clients give up after 30 s: they should hear why before */
        {"queue.buffering.max.messages", "200000"},
    };
    rd_kafka_conf_t *conf;
    *producer = NULL;
    sl_status status =
        gw_kafka_conf(broker, "producer", defaults, sizeof defaults / sizeof *defaults, &conf, error);
    for (size_t i = 0; i < sizeof always / sizeof *always && !status; i++)
        status = gw_kafka_set(conf, always[i].name, always[i].value, error);
    if (!status) {
        /* The queue is bounded by bytes; what is behind the bound is refused, never waited for. */
        char kilobytes[24];
        size_t bound = gw_budget_max(broker->budget) / 1024;
        snprintf(kilobytes, sizeof kilobytes, "%zu", bound < INT32_MAX ? bound : INT32_MAX);
        status = gw_kafka_set(conf, "queue.buffering.max.kbytes", kilobytes, error);
    }
    if (status) {
        if (conf)
            rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    char text[GW_PROPERTY_TEXT_MAX] = "";
    *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (*producer)
        return SL_OK;
    rd_kafka_conf_destroy(conf);
    return sl_error_set(error, SL_BAD_CONFIG, "Kafka's producer cannot be made: %s", text);
}

static void wake_loop(struct gw_broker *broker)
{
    ssize_t written = write(broker->reports.fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)written; /* it cannot fail but by the counter's overflow, and then the loop is awake */
}

/* The loop is woken when the queue of reports is no longer empty. */
static void tell_loop_of_reports(const struct gw_broker *broker, rd_kafka_t *producer)
{
    const uint64_t one = 1;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(producer);
    rd_kafka_queue_io_event_enable(queue, broker->reports.fd, &one, sizeof one);
    rd_kafka_queue_destroy(queue);
}

/* Loop's thread. */
static void reports_ready(struct gw_watch *watch)
{
    struct gw_broker *broker =
        (struct gw_broker *)(void *)((char *)watch - offsetof(struct gw_broker, reports));
    uint64_t count;
    ssize_t size = read(watch->fd, &count, sizeof count);
    (void)size;
    if (pthread_mutex_trylock(&broker->serving))
        return; /* the poller is at it, and wakes this loop when it lets go */
    if (broker->producer) {
        rd_kafka_poll(broker->producer, 0);
        post_outboxes(broker);
    }
    pthread_mutex_unlock(&broker->serving);
}

/* Loop's thread. */
static void attach(struct gw_task *task)
{
    struct gw_broker *broker =
        (struct gw_broker *)(void *)((char *)task - offsetof(struct gw_broker, attach));
    sl_error error;
    if (gw_watch_add(broker->reporter, &broker->reports, &error)) {
        SL_WARNING(&broker->log, "delivery reports stay with a thread of their own: %s", error.text);
        return;
    }
    pthread_rwlock_rdlock(&broker->lock);
    if (broker->producer)
        tell_loop_of_reports(broker, broker->producer);
    /* Before the lock is let go: whoever replaces the producer after this arms the new one. */
    atomic_store_explicit(&broker->attached, true, memory_order_release);
    pthread_rwlock_unlock(&broker->lock);
}

/* Serves reports until all messages are reported, or until then. */
static void serve(struct gw_broker *broker, rd_kafka_t *producer, int64_t until_ms)
{
    while (rd_kafka_outq_len(producer) > 0 && sl_mono_ms() < until_ms) {
        rd_kafka_poll(producer, 10);
        post_outboxes(broker);
    }
}

/* What is not acknowledged is given up, and reported so. */
static void give_up(struct gw_broker *broker, rd_kafka_t *producer)
{
    rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    serve(broker, producer, sl_mono_ms() + PURGE_TIMEOUT_MS);
}

/* An idempotent producer that met a fatal error never writes again: another one takes over. Serving. The old
 * one, to be destroyed; NULL: it is still there, the next round tries again. */
static rd_kafka_t *replace(struct gw_broker *broker)
{
    sl_error error;
    rd_kafka_t *fresh;
    struct gw_topics *topics = gw_topics_create(TOPICS_MAX, choose_partition);
    if (!topics)
        return NULL;
    if (make_producer(broker, &fresh, &error)) {
        SL_ERROR(&broker->log, "kafka %s: the producer could not be replaced: %s", broker->cluster,
                 error.text);
        gw_topics_destroy(topics);
        return NULL;
    }
    pthread_rwlock_wrlock(&broker->lock);
    rd_kafka_t *old = broker->producer;
    struct gw_topics *old_topics = broker->topics;
    broker->producer = fresh;
    broker->topics = topics;
    pthread_rwlock_unlock(&broker->lock);
    if (atomic_load_explicit(&broker->attached, memory_order_acquire))
        tell_loop_of_reports(broker, fresh);
    atomic_store(&broker->replaced_ms, sl_mono_ms());
    atomic_store(&broker->fatal, false);
    give_up(broker, old);
    gw_topics_destroy(old_topics);
    return old;
}

/* Serving. When the producer that ended is to be replaced: at once, unless Kafka gives none an id. */
static int64_t replacement_due_ms(struct gw_broker *broker)
{
    char text[256];
    if (rd_kafka_fatal_error(broker->producer, text, sizeof text) !=
        RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
        return 0;
    bool again = atomic_exchange(&broker->refused, true);
    int64_t pause_ms = again ? 2 * broker->refused_pause_ms : REFUSED_MIN_MS;
    broker->refused_pause_ms = pause_ms < REFUSED_MAX_MS ? pause_ms : REFUSED_MAX_MS;
    return sl_deadline_ms((int)broker->refused_pause_ms);
}

/* Serving. The one to be destroyed, or NULL: nothing is to be replaced now. */
static rd_kafka_t *replace_when_due(struct gw_broker *broker)
{
    if (!atomic_load_explicit(&broker->fatal, memory_order_relaxed))
        return NULL;
    if (broker->replace_due_ms < 0)
        broker->replace_due_ms = replacement_due_ms(broker);
    if (sl_mono_ms() < broker->replace_due_ms)
        return NULL;
    rd_kafka_t *old = replace(broker);
    if (old)
        broker->replace_due_ms = -1;
    return old;
}

sl_status gw_broker_may_write(struct gw_broker *broker, sl_error *error)
{
    if (atomic_load(&broker->refused) && !atomic_load(&broker->fatal) &&
        sl_mono_ms() - atomic_load(&broker->replaced_ms) >= SETTLED_MS)
        atomic_store(&broker->refused, false);
    return atomic_load(&broker->refused)
               ? sl_error_set(error, SL_FORBIDDEN, "the Kafka cluster \"%s\": " REFUSED_TEXT, broker->cluster)
               : SL_OK;
}

/* Not while reports wait to be served: it may take as long as a resolver does. */
static void destroy(struct gw_broker *broker, rd_kafka_t *producer)
{
    pthread_rwlock_wrlock(&broker->keep);
    rd_kafka_destroy(producer);
    pthread_rwlock_unlock(&broker->keep);
}

/* Loops may still have something to write: a publish that waits for room, a repeat whose first one has failed
 * just now. They hear that it is too late. */
static void retire(struct gw_broker *broker)
{
    pthread_rwlock_wrlock(&broker->lock);
    rd_kafka_t *last = broker->producer;
    struct gw_topics *topics = broker->topics;
    broker->producer = NULL;
    broker->topics = NULL;
    pthread_rwlock_unlock(&broker->lock);
    give_up(broker, last);
    gw_topics_destroy(topics);
    destroy(broker, last);
}

/* Serves one round. false: a loop does that. */
static bool poll_reports(struct gw_broker *broker)
{
    if (atomic_load_explicit(&broker->attached, memory_order_acquire))
        return false;
    rd_kafka_poll(broker->producer, POLL_MS);
    post_outboxes(broker);
    return true;
}

static void stop_serving(struct gw_broker *broker)
{
    pthread_mutex_unlock(&broker->serving);
    /* What came meanwhile has woken it in vain. */
    if (atomic_load_explicit(&broker->attached, memory_order_acquire))
        wake_loop(broker);
}

static void wait_until_wanted(struct gw_broker *broker)
{
    if (atomic_load_explicit(&broker->fatal, memory_order_relaxed)) { /* not replaced yet: again soon */
        const struct timespec until = sl_mono_deadline(sl_deadline_ms(POLL_MS));
        sem_clockwait(&broker->wanted, CLOCK_MONOTONIC, &until);
    } else {
        sem_wait(&broker->wanted); /* interrupted: looks once more, that is all */
    }
}

static void *poller_main(void *opaque)
{
    struct gw_broker *broker = opaque;
    pthread_setname_np(pthread_self(), "kafka-reports");
    while (!atomic_load_explicit(&broker->stopping, memory_order_acquire)) {
        pthread_mutex_lock(&broker->serving);
        bool polled = poll_reports(broker);
        rd_kafka_t *ended = replace_when_due(broker);
        stop_serving(broker);
        if (ended)
            destroy(broker, ended);
        if (!polled)
            wait_until_wanted(broker);
    }
    pthread_mutex_lock(&broker->serving);
    serve(broker, broker->producer, atomic_load(&broker->flush_until_ms));
    retire(broker);
    pthread_mutex_unlock(&broker->serving);
    return NULL;
}

sl_status gw_producer_open(struct gw_broker *broker, sl_error *error)
{
    sl_status status = make_producer(broker, &broker->producer, error);
    if (status)
        return status;
    broker->replace_due_ms = -1;
    broker->topics = gw_topics_create(TOPICS_MAX, choose_partition);
    broker->reports = (struct gw_watch){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = reports_ready};
    int code = broker->reports.fd < 0 ? errno : 0;
    if (broker->topics && !code) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        code = pthread_create(&broker->poller, NULL, poller_main, broker);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (broker->topics && !code) {
        broker->polling = true;
        return SL_OK;
    }
    gw_topics_destroy(broker->topics);
    rd_kafka_destroy(broker->producer);
    return broker->topics
               ? sl_error_set(error, SL_IO, "cannot start the producer's thread: %s", sl_errno_text(code))
               : sl_error_oom(error);
}

void gw_broker_attach(struct gw_broker *broker, struct gw_loop *loop)
{
    broker->reporter = loop;
    broker->attach.run = attach;
    gw_loop_post(loop, &broker->attach);
}

void gw_producer_end(struct gw_broker *broker, int64_t until_ms)
{
    atomic_store(&broker->flush_until_ms, until_ms);
    atomic_store_explicit(&broker->stopping, true, memory_order_release);
    sem_post(&broker->wanted);
}

void gw_producer_close(struct gw_broker *broker, int grace_ms)
{
    if (!atomic_load(&broker->stopping))
        gw_producer_end(broker, sl_deadline_ms(grace_ms));
    pthread_join(broker->poller, NULL);
}

void gw_producer_prepare(struct gw_broker *broker, const char *topic)
{
    pthread_rwlock_wrlock(&broker->lock);
    if (broker->producer)
        gw_topics_add(broker->topics, broker->producer, topic); /* without it the first write does */
    pthread_rwlock_unlock(&broker->lock);
}

void gw_producer_forget(struct gw_broker *broker, const char *topic)
{
    pthread_rwlock_wrlock(&broker->lock);
    if (broker->producer)
        gw_topics_drop(broker->topics, topic);
    pthread_rwlock_unlock(&broker->lock);
}

static bool add_text(rd_kafka_headers_t *headers, const char *name, size_t name_size, const char *value)
{
    return !value || !rd_kafka_header_add(headers, name, (ssize_t)name_size, value, (ssize_t)strlen(value));
}

static bool add_number(rd_kafka_headers_t *headers, const char *name, int64_t value)
{
    char text[24];
    if (value < 0)
        return true;
    snprintf(text, sizeof text, "%lld", (long long)value);
    return add_text(headers, name, strlen(name), text);
}

#define ADD_TEXT(headers, name, value) add_text(headers, name, sizeof(name) - 1, value)

/* NULL: memory is out. */
static rd_kafka_headers_t *make_headers(const struct sl_message *message)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(message->header_count + 2);
    if (!headers)
        return NULL;
    bool fits = ADD_TEXT(headers, SL_KAFKA_HEADER_TRACE_ID, message->trace_id) &&
                ADD_TEXT(headers, SL_KAFKA_HEADER_CHECKSUM, message->checksum) &&
                ADD_TEXT(headers, SL_KAFKA_HEADER_CRC, message->crc) &&
                ADD_TEXT(headers, SL_KAFKA_HEADER_DATA_HANDLE, message->data_handle) &&
                add_number(headers, SL_KAFKA_HEADER_DATA_SIZE, message->data_size) &&
                add_number(headers, SL_KAFKA_HEADER_COMPRESSED_SIZE, message->compressed_size);
    for (size_t i = 0; i < message->header_count && fits; i++) {
        const struct sl_header *header = &message->headers[i];
        fits = !rd_kafka_header_add(headers, header->name, -1, header->value,
                                    header->value ? (ssize_t)header->size : 0);
    }
    if (fits)
        return headers;
    rd_kafka_headers_destroy(headers);
    return NULL;
}

/* The lock is held shared. */
static rd_kafka_resp_err_t produce(rd_kafka_t *producer, rd_kafka_topic_t *topic,
                                   const struct sl_message *message, rd_kafka_headers_t *headers,
                                   struct gw_write *write)
{
    /* librdkafka takes no const, but copies. */
    void *key = (void *)(uintptr_t)message->partition_id;
    void *payload = (void *)(uintptr_t)message->payload;
    int64_t timestamp = message->timestamp_ms < 0 ? 0 : message->timestamp_ms; /* 0: now */
    rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {key, message->partition_id_size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {payload, message->payload_size}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = timestamp},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = write},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(producer, parts, sizeof parts / sizeof *parts);
    if (!error)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    /* One that has ended says of what, as if it were of the message. */
    char text[256];
    return rd_kafka_fatal_error(producer, text, sizeof text) ? RD_KAFKA_RESP_ERR__FATAL : code;
}

static sl_status refuse(struct gw_broker *broker, rd_kafka_resp_err_t code, const char *topic,
                        sl_error *error)
{
    bool retriable;
    sl_status status = gw_kafka_status(code, &retriable);
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        want_replacement(broker);
    if (code == RD_KAFKA_RESP_ERR__FATAL && atomic_load(&broker->refused))
        return sl_error_set_retriable(error, status, "Kafka cannot take a message now: " REFUSED_TEXT);
    if (status == SL_QUEUE_FULL) {
        atomic_fetch_add_explicit(&broker->queue_full, 1, memory_order_relaxed);
        return sl_error_set_retriable(error, status, "too many messages wait for Kafka");
    }
    if (retriable)
        return sl_error_set_retriable(error, status, "Kafka cannot take a message now: %s",
                                      rd_kafka_err2str(code));
    return sl_error_set(error, status, "a message for topic %s was refused: %s", topic,
                        rd_kafka_err2str(code));
}

static sl_status write_counted(struct gw_broker *broker, struct gw_loop *loop, const char *topic,
                               const struct sl_message *message, struct gw_write *write, sl_error *error)
{
    rd_kafka_headers_t *headers = make_headers(message);
    if (!headers)
        return sl_error_oom(error);
    write->loop = loop;
    write->status = SL_OK;
    write->retriable = false;
    write->offset = (sl_offset){-1, -1};
    write->text[0] = 0;
    pthread_rwlock_rdlock(&broker->lock);
    rd_kafka_topic_t *handle = broker->producer ? gw_topics_find(broker->topics, topic) : NULL;
    if (broker->producer && !handle) {
        pthread_rwlock_unlock(&broker->lock);
        gw_producer_prepare(broker, topic);
        pthread_rwlock_rdlock(&broker->lock);
        handle = broker->producer ? gw_topics_find(broker->topics, topic) : NULL;
    }
    bool open = broker->producer != NULL;
    /* Nothing of this may be touched after success but by the report. */
    rd_kafka_resp_err_t code =
        handle ? produce(broker->producer, handle, message, headers, write) : RD_KAFKA_RESP_ERR__QUEUE_FULL;
    pthread_rwlock_unlock(&broker->lock);
    if (!code)
        return SL_OK;
    rd_kafka_headers_destroy(headers);
    if (!open)
        return sl_error_set_retriable(error, SL_CLOSED, "the gateway is being stopped");
    return refuse(broker, code, topic, error);
}

sl_status gw_broker_write(struct gw_broker *broker, struct gw_loop *loop, const char *topic,
                          const struct sl_message *message, struct gw_write *write, sl_error *error)
{
    size_t size = message->payload_size + message->partition_id_size + RECORD_BYTES;
    size_t before = write->counted, more = before < size ? size - before : 0;
    if (!gw_budget_take(broker->budget, more)) {
        atomic_fetch_add_explicit(&broker->queue_full, 1, memory_order_relaxed);
        return sl_error_set_retriable(error, SL_QUEUE_FULL, GW_BUDGET_FULL);
    }
    write->counted = before + more;
    sl_status status = write_counted(broker, loop, topic, message, write, error);
    if (status) {
        write->counted = before;
        gw_budget_give(broker->budget, more);
    }
    return status;
}
