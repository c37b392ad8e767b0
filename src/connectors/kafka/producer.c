/*
 * The producing side. librdkafka queues, batches and retries; a thread of ours serves its reports.
 *
 * librdkafka's producer can end, and never writes again then: it has lost count of what the broker has
 * ("rewound sequence number" when a broker was restarted, before 2.3; "out of order", "unknown producer id"
 * in any). The thread of reports makes another one. All that was under way fails, also what was only queued:
 * before it, messages of its partition may be written or not, and who sends those again wants them before
 * it. Nothing is sent until the last of them is reported, so that what is written late comes late in no
 * partition. One that makes transactions has lost the open one, so it stays what it is: ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/time.h"
#include "connectors/kafka/kafka.h"

enum {
    PORTION = 256, /* of reports: each costs the core a lock */
    SPENT = 64,    /* events whose messages are to be freed */
    BUSY = 64,     /* reports in one event: more will come at once */
    REST_US = 500,
    SLICE_MS = 50,
    SETTLE_MS = 5000, /* so long a producer that ended waits for the broker's answers */
    /* One that ends sooner than that is followed by the next one after a pause, which doubles. */
    LIVED_MS = 30000,
    PAUSE_MIN_MS = 1000,
    PAUSE_MAX_MS = 30000
};

/* librdkafka's producer. */
struct handle {
    struct sl_kafka_client *client; /* NULL: there is none */
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue; /* the main one */
    atomic_size_t users; /* who sends at the moment, and who only comes to see that it is no longer open */
};

struct producer {
    struct sl_host host;
    struct handle handles[2];
    _Atomic(struct handle *) open; /* for who sends; NULL: there is none now */
    struct handle *last;           /* the thread's: the open one, or what ended */
    pthread_t thread;
    atomic_bool closing;
    int delivery_timeout_ms;
    int64_t ttl_ms; /* the layer's; 0: not known */
    bool transactional;
    /* Events that are done with. Their messages are best freed by whoever sends the next ones: where one
     * thread allocates and another frees, malloc has them wait for each other. */
    pthread_mutex_t lock;
    rd_kafka_event_t *spent[SPENT];
    atomic_size_t spent_count; /* changed under the lock */
    /* Of the thread, when librdkafka's producer has ended. */
    int64_t renewed_ms; /* when there was another one (sl_mono_ms); 0: never */
    int pause_ms;
    sl_error away; /* why there is none: under the lock */
};

/* The open one, which stays until it is left; NULL: there is none now. */
static struct handle *enter(struct producer *producer)
{
    struct handle *handle;
    while ((handle = atomic_load(&producer->open))) {
        atomic_fetch_add(&handle->users, 1);
        if (handle == atomic_load(&producer->open))
            break;
        atomic_fetch_sub(&handle->users, 1);
    }
    return handle;
}

static void leave(struct handle *handle)
{
    atomic_fetch_sub(&handle->users, 1);
}

/* Whether a message failed with librdkafka's producer, of which it is told then, and not by itself. */
static bool failed_by_end(const struct producer *producer, rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER:
    case RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
        return !producer->transactional && rd_kafka_fatal_error(producer->last->client->rk, NULL, 0);
    default:
        return false;
    }
}

/* A right that lacks is the same for the next one. */
static sl_status no_right(const struct sl_kafka_client *client, rd_kafka_resp_err_t cause, const char *reason,
                          sl_error *error)
{
    char lack[SL_KAFKA_LACK];
    return sl_kafka_error(error, cause, "Kafka does not let the producer begin: %.200s%s", reason,
                          sl_kafka_lack(client, cause, lack));
}

/* What librdkafka takes for not written, because the broker said that it was no longer the partition's
 * leader, may be written: it says so of what it has, too, when it steps down. */
static void explain_end(const struct sl_kafka_client *client, const rd_kafka_message_t *message,
                        sl_error *error)
{
    char reason[300];
    rd_kafka_resp_err_t cause = rd_kafka_fatal_error(client->rk, reason, sizeof reason);
    if (sl_kafka_is_forbidden(cause))
        no_right(client, cause, reason, error);
    else if (rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED)
        sl_error_set_retriable(error, SL_UNAVAILABLE,
                               "the Kafka producer ended while the message was waiting; as far as librdkafka "
                               "knows it is not written: send it again; it ended because of: %s",
                               reason);
    else
        sl_error_set_retriable(error, SL_UNAVAILABLE,
                               "the Kafka producer ended before Kafka acknowledged the message, which may be "
                               "written or not: send it again where a second copy does no harm; it ended "
                               "because of: %s",
                               reason);
}

static void report_failure(struct producer *producer, const rd_kafka_message_t *message)
{
    sl_error error;
    struct sl_kafka_client *client = producer->last->client;
    rd_kafka_resp_err_t code = message->err;
    char text[300];
    if (failed_by_end(producer, code)) {
        explain_end(client, message, &error);
    } else if (!code) {
        sl_error_set_retriable(&error, SL_UNAVAILABLE,
                               "Kafka took the message for a duplicate, so it may be missing: send it again");
    } else if (code == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT) {
        sl_kafka_client_last(client, text, sizeof text);
        sl_kafka_error(&error, code, "Kafka at %.300s did not acknowledge the message within %d ms%s%s%s",
                       client->brokers, producer->delivery_timeout_ms, *text ? "; last error: " : "", text,
                       *text ? sl_kafka_hint(client) : "");
    } else if (code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
        sl_kafka_error(&error, code, "the %s before Kafka acknowledged the message%s",
                       producer->transactional ? "transaction was given up, or the producer closed,"
                                               : "producer was closed",
                       code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT ? "; it may or may not arrive" : "");
    } else if (code == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_fatal_error(client->rk, text, sizeof text);
        sl_kafka_error(&error, code, "the producer cannot go on: %s", text);
    } else if (code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP) {
        sl_kafka_error(
            &error, code,
            "Kafka refused the message's timestamp: it is older than the layer's ttl, so the message would "
            "be "
            "deleted at once, or it lies in the future; send it without a timestamp, or make the layer's ttl "
            "longer");
    } else {
        char lack[SL_KAFKA_LACK];
        sl_kafka_error(&error, code, "Kafka refused the message: %s%s", rd_kafka_err2str(code),
                       sl_kafka_lack(client, code, lack));
    }
    const struct sl_outcome outcome = {.error = &error, .offset = {-1, -1}};
    producer->host.delivered(message->_private, &outcome);
}

static void take_deliveries(struct producer *producer, rd_kafka_event_t *event)
{
    struct sl_report reports[PORTION];
    size_t count = 0;
    const rd_kafka_message_t *message;
    while ((message = rd_kafka_event_message_next(event))) {
        bool delivered = !message->err && message->offset >= 0;
        if (delivered)
            reports[count++] =
                (struct sl_report){message->_private, {.offset = {message->partition, message->offset}}};
        if (count == PORTION || (!delivered && count)) {
            producer->host.delivered_many(producer->host.core, reports, count);
            count = 0;
        }
        /* No error and no offset: Kafka answered DUPLICATE_SEQUENCE_NUMBER, which librdkafka 2.0.2 calls
         * written. It is not, when the first batch to a partition failed at a leader that was not ready and
         * the second was accepted before the retry: a broker takes any first sequence number. */
        if (!delivered)
            report_failure(producer, message);
    }
    if (count)
        producer->host.delivered_many(producer->host.core, reports, count);
}

/* Lays the event aside for freeing; NULL, or one that there is no room for. */
static rd_kafka_event_t *lay_aside(struct producer *producer, rd_kafka_event_t *event)
{
    pthread_mutex_lock(&producer->lock);
    size_t count = atomic_load_explicit(&producer->spent_count, memory_order_relaxed);
    if (count < SPENT) {
        producer->spent[count] = event;
        atomic_store_explicit(&producer->spent_count, count + 1, memory_order_relaxed);
        event = NULL;
    }
    pthread_mutex_unlock(&producer->lock);
    return event;
}

/* Frees one event that was laid aside; false: there was none. */
static bool free_spent(struct producer *producer)
{
    if (!atomic_load_explicit(&producer->spent_count, memory_order_relaxed))
        return false;
    rd_kafka_event_t *event = NULL;
    pthread_mutex_lock(&producer->lock);
    size_t count = atomic_load_explicit(&producer->spent_count, memory_order_relaxed);
    if (count) {
        event = producer->spent[count - 1];
        atomic_store_explicit(&producer->spent_count, count - 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&producer->lock);
    if (event)
        rd_kafka_event_destroy(event);
    return event != NULL;
}

/* Deliveries come many in one event; where events are polled, errors and statistics are events too. Returns
 * how many deliveries it were; -1: nothing came. */
static long serve_queue(struct producer *producer, int timeout_ms)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(producer->last->queue, timeout_ms);
    if (!event)
        return -1;
    long count = 0;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR) {
        count = (long)rd_kafka_event_message_count(event);
        take_deliveries(producer, event);
        event = lay_aside(producer, event);
    } else {
        sl_kafka_client_take_event(producer->last->client, event);
    }
    if (event)
        rd_kafka_event_destroy(event);
    return count;
}

/* wait_ms: for librdkafka's threads; -1: for ever. */
static void handle_free(struct handle *handle, int wait_ms)
{
    if (handle->queue)
        rd_kafka_queue_destroy(handle->queue);
    if (handle->topic)
        rd_kafka_topic_destroy(handle->topic);
    if (handle->client && wait_ms < 0) {
        sl_kafka_client_silence(handle->client);
        sl_kafka_client_unlink(handle->client);
    } else if (handle->client) {
        sl_kafka_client_end(handle->client, wait_ms);
    }
    handle->queue = NULL;
    handle->topic = NULL;
    handle->client = NULL;
}

static sl_status handle_open(struct handle *handle, const char *topic, sl_error *error)
{
    handle->topic = rd_kafka_topic_new(handle->client->rk, topic, NULL);
    handle->queue = rd_kafka_queue_get_main(handle->client->rk);
    return handle->topic && handle->queue ? SL_OK : sl_error_oom(error);
}

static bool is_closing(struct producer *producer)
{
    return atomic_load_explicit(&producer->closing, memory_order_acquire);
}

static void set_away(struct producer *producer, const sl_error *why)
{
    pthread_mutex_lock(&producer->lock);
    producer->away = *why;
    pthread_mutex_unlock(&producer->lock);
}

/* Senders that may wait do so, as for room in a queue. */
static sl_status make_way(const char *reason, sl_error *error)
{
    return sl_error_set_retriable(error, SL_QUEUE_FULL,
                                  "librdkafka's producer ended, and another one is about to take its place: "
                                  "%s",
                                  reason);
}

static int longer(int pause_ms)
{
    if (!pause_ms)
        return PAUSE_MIN_MS;
    return pause_ms < PAUSE_MAX_MS / 2 ? 2 * pause_ms : PAUSE_MAX_MS;
}

/* Nothing more is sent with it. What follows it comes after pause_ms: at once, unless that would be of no
 * use. */
static void shut(struct producer *producer)
{
    char reason[300];
    sl_error why;
    struct handle *ended = producer->last;
    rd_kafka_resp_err_t cause = rd_kafka_fatal_error(ended->client->rk, reason, sizeof reason);
    bool forbidden = sl_kafka_is_forbidden(cause),
         lived = !producer->renewed_ms || sl_mono_ms() - producer->renewed_ms >= LIVED_MS;
    if (lived)
        producer->pause_ms = 0;
    if (!lived || forbidden)
        producer->pause_ms = longer(producer->pause_ms);
    if (forbidden)
        no_right(ended->client, cause, reason, &why);
    else if (producer->pause_ms)
        sl_error_set_retriable(
            &why, SL_UNAVAILABLE,
            "librdkafka's producer ended soon after it had begun, and the next one is made "
            "after %d s: send again then; it ended because of: %s",
            producer->pause_ms / 1000, reason);
    else
        make_way(reason, &why);
    set_away(producer, &why);
    atomic_store(&producer->open, NULL);
    sl_kafka_client_log(ended->client, SL_LOG_WARNING,
                        "librdkafka's producer ended (%s): %s; what was under way is reported as failed, and "
                        "another one takes its place%s",
                        rd_kafka_err2name(cause), reason, producer->pause_ms ? " after a pause" : "");
    while (atomic_load(&ended->users))
        nanosleep(&(struct timespec){.tv_nsec = REST_US * 1000L}, NULL);
}

/* Until all is reported. Of what is in flight the broker's answers tell whether it is written. */
static void settle(struct producer *producer)
{
    rd_kafka_t *rk = producer->last->client->rk;
    int64_t until_ms = sl_deadline_ms(SETTLE_MS);
    while (!is_closing(producer)) {
        while (free_spent(producer)) /* librdkafka counts its messages until then */
            ;
        if (!rd_kafka_outq_len(rk))
            return;
        /* It empties its queues by itself once; what is put back there to be tried again stays. */
        rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING |
                               (sl_remaining_ms(until_ms) ? 0 : RD_KAFKA_PURGE_F_INFLIGHT));
        serve_queue(producer, SLICE_MS);
        while (serve_queue(producer, 0) >= 0)
            ;
    }
}

static void rest(struct producer *producer)
{
    int64_t until_ms = sl_deadline_ms(producer->pause_ms);
    while (!is_closing(producer) && sl_remaining_ms(until_ms))
        serve_queue(producer, sl_remaining_ms(until_ms) < SLICE_MS ? sl_remaining_ms(until_ms) : SLICE_MS);
}

static sl_status renew(struct producer *producer, sl_error *error)
{
    struct handle *ended = producer->last, *fresh = producer->handles + (ended == producer->handles);
    sl_status status = sl_kafka_client_again(ended->client, &fresh->client, error);
    if (!status)
        status = handle_open(fresh, rd_kafka_topic_name(ended->topic), error);
    if (status) {
        handle_free(fresh, SL_KAFKA_ABANDON_MS);
        return status;
    }
    producer->last = fresh;
    producer->renewed_ms = sl_mono_ms();
    atomic_store(&producer->open, fresh);
    handle_free(ended, SL_KAFKA_ABANDON_MS); /* this thread serves the fresh one's reports */
    return SL_OK;
}

/* librdkafka's producer has ended: another one takes its place. */
static void replace(struct producer *producer)
{
    sl_error error = {0};
    shut(producer);
    settle(producer);
    for (rest(producer); !is_closing(producer) && renew(producer, &error); rest(producer)) {
        producer->pause_ms = longer(producer->pause_ms);
        error.retriable = true;
        set_away(producer, &error);
        sl_kafka_client_log(producer->last->client, SL_LOG_WARNING,
                            "another producer cannot be made, which is tried again: %s", error.text);
    }
}

static void *serve(void *argument)
{
    struct producer *producer = argument;
    while (!is_closing(producer)) {
        long count = serve_queue(producer, 0);
        if (count < 0) {
            count = serve_queue(producer, 100);
            if (count < 0) /* nobody sends: nobody frees */
                while (free_spent(producer))
                    ;
            /* Under load, being woken for each event costs more than the reports themselves. */
            if (count > BUSY)
                nanosleep(&(struct timespec){.tv_nsec = REST_US * 1000L}, NULL);
        }
        if (!producer->transactional && rd_kafka_fatal_error(producer->last->client->rk, NULL, 0))
            replace(producer);
    }
    return NULL;
}

/* abandoned: nobody answers, and nobody waits for it. */
static void producer_free(struct producer *producer, bool abandoned)
{
    while (free_spent(producer))
        ;
    pthread_mutex_destroy(&producer->lock);
    handle_free(producer->last, abandoned ? SL_KAFKA_ABANDON_MS : -1);
    free(producer);
}

static sl_status start(struct producer *producer, const struct sl_target *target, sl_error *error)
{
    struct handle *first = producer->last;
    const char *topic = target->endpoint->topic;
    sl_status status = sl_kafka_client_check_topic(first->client, topic, target->connect_timeout_ms, error);
    if (!status)
        status = handle_open(first, topic, error);
    if (!status && producer->transactional)
        status = sl_kafka_transactions_init(first->client, target->connect_timeout_ms, error);
    if (status)
        return status;
    atomic_store(&producer->open, first);
    if (pthread_create(&producer->thread, NULL, serve, producer))
        return sl_error_set(error, SL_OUT_OF_MEMORY, "no thread can be started for the producer's reports");
    return SL_OK;
}

sl_status sl_kafka_producer_open(const struct sl_host *host, const struct sl_target *target,
                                 const struct sl_producer_settings *settings, void **producer,
                                 sl_error *error)
{
    struct producer *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    made->host = *host;
    made->delivery_timeout_ms = settings->delivery_timeout_ms;
    made->ttl_ms = target->endpoint->ttl_ms;
    made->transactional = settings->transactional_id != NULL;
    atomic_init(&made->closing, false);
    atomic_init(&made->spent_count, 0);
    atomic_init(&made->open, NULL);
    for (size_t i = 0; i < sizeof made->handles / sizeof *made->handles; i++)
        atomic_init(&made->handles[i].users, 0);
    made->last = made->handles;
    pthread_mutex_init(&made->lock, NULL);
    rd_kafka_conf_t *conf = NULL;
    sl_status status = sl_kafka_conf_create(target, RD_KAFKA_PRODUCER, settings, NULL, &conf, error);
    if (!status) {
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
        status =
            sl_kafka_client_create(host, target, RD_KAFKA_PRODUCER, conf, made, &made->last->client, error);
    }
    if (!status)
        status = start(made, target, error);
    if (status) {
        producer_free(made, status == SL_UNAVAILABLE && !made->last->topic);
        return status;
    }
    *producer = made;
    return SL_OK;
}

static bool add_header(rd_kafka_headers_t *headers, const char *name, const void *value, size_t size)
{
    return !rd_kafka_header_add(headers, name, -1, value, (ssize_t)size);
}

static bool add_text(rd_kafka_headers_t *headers, const char *name, const char *text)
{
    return !text || add_header(headers, name, text, strlen(text));
}

static bool add_number(rd_kafka_headers_t *headers, const char *name, int64_t number)
{
    char text[24];
    if (number < 0)
        return true;
    int length = snprintf(text, sizeof text, "%lld", (long long)number);
    return add_header(headers, name, text, (size_t)length);
}

static rd_kafka_headers_t *make_headers(const struct sl_message *message)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(message->header_count + 6);
    if (!headers)
        return NULL;
    bool ok = add_text(headers, SL_KAFKA_HEADER_TRACE_ID, message->trace_id) &&
              add_text(headers, SL_KAFKA_HEADER_CHECKSUM, message->checksum) &&
              add_text(headers, SL_KAFKA_HEADER_CRC, message->crc) &&
              add_text(headers, SL_KAFKA_HEADER_DATA_HANDLE, message->data_handle) &&
              add_number(headers, SL_KAFKA_HEADER_DATA_SIZE, message->data_size) &&
              add_number(headers, SL_KAFKA_HEADER_COMPRESSED_SIZE, message->compressed_size);
    for (size_t i = 0; i < message->header_count && ok; i++)
        ok = add_header(headers, message->headers[i].name, message->headers[i].value,
                        message->headers[i].size);
    if (!ok) {
        rd_kafka_headers_destroy(headers);
        return NULL;
    }
    return headers;
}

/* object (may be NULL) is destroyed. */
static sl_status refused(const struct producer *producer, const struct handle *handle,
                         rd_kafka_resp_err_t code, rd_kafka_error_t *object, sl_error *error)
{
    if (object && code != RD_KAFKA_RESP_ERR__QUEUE_FULL && code != RD_KAFKA_RESP_ERR__FATAL)
        return sl_kafka_error_object(error, object, "the message was not taken");
    if (object)
        rd_kafka_error_destroy(object);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return sl_kafka_error(error, code, "the Kafka producer's queue is full");
    if (code != RD_KAFKA_RESP_ERR__FATAL)
        return sl_kafka_error(error, code, "the message was not taken: %s", rd_kafka_err2str(code));
    char text[300] = "";
    rd_kafka_fatal_error(handle->client->rk, text, sizeof text);
    return producer->transactional ? sl_kafka_error(error, code, "the producer cannot go on: %s", text)
                                   : make_way(text, error);
}

/* What librdkafka takes besides topic, key, value and ticket costs time that most messages can spare. */
static bool is_plain(const struct sl_message *message)
{
    return !message->trace_id && !message->checksum && !message->crc && !message->data_handle &&
           message->data_size < 0 && message->compressed_size < 0 && !message->header_count &&
           message->timestamp_ms <= 0;
}

/* librdkafka only reads key and value (it copies), but takes them as void *. */
union bytes {
    const void *given;
    void *taken;
};

static sl_status send_plain(const struct producer *producer, const struct handle *handle,
                            const struct sl_message *message, void *ticket, sl_error *error)
{
    union bytes value = {message->payload};
    if (!rd_kafka_produce(handle->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value.taken,
                          message->payload_size, message->partition_id, message->partition_id_size, ticket))
        return SL_OK;
    return refused(producer, handle, rd_kafka_last_error(), NULL, error);
}

static sl_status send_whole(const struct producer *producer, const struct handle *handle,
                            const struct sl_message *message, void *ticket, sl_error *error)
{
    rd_kafka_headers_t *headers = make_headers(message);
    if (!headers)
        return sl_error_oom(error);
    union bytes key = {message->partition_id}, value = {message->payload};
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = handle->topic},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {key.taken, message->partition_id_size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {value.taken, message->payload_size}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = message->timestamp_ms > 0 ? message->timestamp_ms : 0},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = ticket},
    };
    rd_kafka_error_t *object = rd_kafka_produceva(handle->client->rk, parts, sizeof parts / sizeof *parts);
    if (!object)
        return SL_OK;
    rd_kafka_headers_destroy(headers); /* still ours when the message was not taken */
    return refused(producer, handle, rd_kafka_error_code(object), object, error);
}

static sl_status told_away(struct producer *producer, sl_error *error)
{
    pthread_mutex_lock(&producer->lock);
    sl_status status = producer->away.status;
    if (error)
        *error = producer->away;
    pthread_mutex_unlock(&producer->lock);
    return status;
}

sl_status sl_kafka_producer_send(void *producer, const struct sl_message *message, void *ticket,
                                 sl_error *error)
{
    struct producer *self = producer;
    if (message->timestamp_ms >= 0) {
        /* Kafka would refuse the whole batch that it lies in. */
        const char *fault = sl_timestamp_fault(message->timestamp_ms, sl_wall_ms(), self->ttl_ms);
        if (fault)
            return sl_error_set(error, SL_INVALID_ARGUMENT, "%s", fault);
    }
    struct handle *handle = enter(self);
    if (!handle)
        return told_away(self, error);
    free_spent(self);
    sl_status status = is_plain(message) ? send_plain(self, handle, message, ticket, error)
                                         : send_whole(self, handle, message, ticket, error);
    leave(handle);
    return status;
}

struct sl_kafka_client *sl_kafka_producer_client(const void *producer)
{
    return ((const struct producer *)producer)->last->client;
}

void sl_kafka_producer_empty(void *producer, int64_t deadline_ms)
{
    struct producer *self = producer;
    while (rd_kafka_outq_len(self->last->client->rk) && sl_remaining_ms(deadline_ms))
        if (!free_spent(self)) /* the thread of reports is just about to lay it aside */
            nanosleep(&(struct timespec){.tv_nsec = REST_US * 1000L}, NULL);
}

bool sl_kafka_producer_statistics(void *producer, struct sl_buffer *json)
{
    struct handle *handle = enter(producer);
    if (!handle)
        return sl_buffer_append_text(json, "{}");
    bool ok = sl_kafka_client_statistics(handle->client, json);
    leave(handle);
    return ok;
}

void sl_kafka_producer_close(void *producer)
{
    struct producer *self = producer;
    atomic_store_explicit(&self->closing, true, memory_order_release);
    struct handle *handle = enter(self);
    if (handle) { /* else the thread looks by itself */
        rd_kafka_queue_yield(handle->queue);
        leave(handle);
    }
    pthread_join(self->thread, NULL);
    rd_kafka_t *rk = self->last->client->rk;
    /* What is left is given up, and reported here. A request in flight comes back to the queue first. */
    for (;;) {
        while (free_spent(self)) /* librdkafka counts its messages until then */
            ;
        if (!rd_kafka_outq_len(rk))
            break;
        rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        serve_queue(self, 50);
    }
    producer_free(self, false);
}
