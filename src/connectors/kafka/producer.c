/* The producing side. librdkafka queues, batches and retries; a thread of ours serves its reports. */
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
    REST_US = 500
};

struct producer {
    struct sl_host host;
    struct sl_kafka_client *client;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue; /* the main one */
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
};

static void report_failure(struct producer *producer, const rd_kafka_message_t *message)
{
    sl_error error;
    rd_kafka_resp_err_t code = message->err;
    char text[300];
    if (!code) {
        sl_error_set_retriable(&error, SL_UNAVAILABLE,
                               "Kafka took the message for a duplicate, so it may be missing: send it again");
    } else if (code == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT) {
        sl_kafka_client_last(producer->client, text, sizeof text);
        sl_kafka_error(&error, code, "Kafka at %.300s did not acknowledge the message within %d ms%s%s%s",
                       producer->client->brokers, producer->delivery_timeout_ms,
                       *text ? "; last error: " : "", text, *text ? sl_kafka_hint(producer->client) : "");
    } else if (code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
        sl_kafka_error(&error, code, "the %s before Kafka acknowledged the message%s",
                       producer->transactional ? "transaction was given up, or the producer closed,"
                                               : "producer was closed",
                       code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT ? "; it may or may not arrive" : "");
    } else if (code == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_fatal_error(producer->client->rk, text, sizeof text);
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
                       sl_kafka_lack(producer->client, code, lack));
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
    rd_kafka_event_t *event = rd_kafka_queue_poll(producer->queue, timeout_ms);
    if (!event)
        return -1;
    long count = 0;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR) {
        count = (long)rd_kafka_event_message_count(event);
        take_deliveries(producer, event);
        event = lay_aside(producer, event);
    } else {
        sl_kafka_client_take_event(producer->client, event);
    }
    if (event)
        rd_kafka_event_destroy(event);
    return count;
}

static void *serve(void *argument)
{
    struct producer *producer = argument;
    while (!atomic_load_explicit(&producer->closing, memory_order_acquire)) {
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
    }
    return NULL;
}

/* abandoned: nobody answers, and nobody waits for it. */
static void producer_free(struct producer *producer, bool abandoned)
{
    while (free_spent(producer))
        ;
    pthread_mutex_destroy(&producer->lock);
    if (producer->queue)
        rd_kafka_queue_destroy(producer->queue);
    if (producer->topic)
        rd_kafka_topic_destroy(producer->topic);
    if (producer->client && abandoned) {
        sl_kafka_client_end(producer->client, SL_KAFKA_ABANDON_MS);
    } else if (producer->client) {
        sl_kafka_client_silence(producer->client);
        sl_kafka_client_unlink(producer->client);
    }
    free(producer);
}

static sl_status start(struct producer *producer, const struct sl_target *target, sl_error *error)
{
    rd_kafka_t *rk = producer->client->rk;
    const char *topic = target->endpoint->topic;
    sl_status status =
        sl_kafka_client_check_topic(producer->client, topic, target->connect_timeout_ms, error);
    if (status)
        return status;
    producer->topic = rd_kafka_topic_new(rk, topic, NULL);
    producer->queue = rd_kafka_queue_get_main(rk);
    if (!producer->topic || !producer->queue)
        return sl_error_oom(error);
    if (producer->transactional)
        status = sl_kafka_transactions_init(producer->client, target->connect_timeout_ms, error);
    if (status)
        return status;
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
    pthread_mutex_init(&made->lock, NULL);
    rd_kafka_conf_t *conf = NULL;
    sl_status status = sl_kafka_conf_create(target, RD_KAFKA_PRODUCER, settings, NULL, &conf, error);
    if (!status) {
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
        status = sl_kafka_client_create(host, target, RD_KAFKA_PRODUCER, conf, made, &made->client, error);
    }
    if (!status)
        status = start(made, target, error);
    if (status) {
        producer_free(made, status == SL_UNAVAILABLE && !made->topic);
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
static sl_status refused(struct producer *producer, rd_kafka_resp_err_t code, rd_kafka_error_t *object,
                         sl_error *error)
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
    rd_kafka_fatal_error(producer->client->rk, text, sizeof text);
    return sl_kafka_error(error, code, "the producer cannot go on: %s", text);
}

/* What librdkafka takes besides topic, key, value and ticket costs time that most messages can spare. */
static bool is_plain(const struct sl_message *message)
{
    return !message->trace_id && !message->checksum && !message->crc && !message->data_handle &&
           message->data_size < 0 && message->compressed_size < 0 && !message->header_count &&
           message->timestamp_ms <= 0;
}

static sl_status send_plain(struct producer *producer, const struct sl_message *message, void *ticket,
                            sl_error *error)
{
    union {
        const void *given;
        void *taken;
    } value = {message->payload};
    if (!rd_kafka_produce(producer->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value.taken,
                          message->payload_size, message->partition_id, message->partition_id_size, ticket))
        return SL_OK;
    return refused(producer, rd_kafka_last_error(), NULL, error);
}

sl_status sl_kafka_producer_send(void *producer, const struct sl_message *message, void *ticket,
                                 sl_error *error)
{
    struct producer *self = producer;
    free_spent(self);
    if (message->timestamp_ms >= 0) {
        /* Kafka would refuse the whole batch that it lies in. */
        const char *fault = sl_timestamp_fault(message->timestamp_ms, sl_wall_ms(), self->ttl_ms);
        if (fault)
            return sl_error_set(error, SL_INVALID_ARGUMENT, "%s", fault);
    }
    if (is_plain(message))
        return send_plain(self, message, ticket, error);
    rd_kafka_headers_t *headers = make_headers(message);
    if (!headers)
        return sl_error_oom(error);
    /* librdkafka only reads key and value (it copies), but takes them as void *. */
    union {
        const void *given;
        void *taken;
    } key = {message->partition_id}, value = {message->payload};
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = self->topic},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {key.taken, message->partition_id_size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {value.taken, message->payload_size}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = message->timestamp_ms > 0 ? message->timestamp_ms : 0},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = ticket},
    };
    rd_kafka_error_t *object = rd_kafka_produceva(self->client->rk, parts, sizeof parts / sizeof *parts);
    if (!object)
        return SL_OK;
    rd_kafka_headers_destroy(headers); /* still ours when the message was not taken */
    return refused(self, rd_kafka_error_code(object), object, error);
}

struct sl_kafka_client *sl_kafka_producer_client(const void *producer)
{
    return ((const struct producer *)producer)->client;
}

void sl_kafka_producer_empty(void *producer, int64_t deadline_ms)
{
    struct producer *self = producer;
    while (rd_kafka_outq_len(self->client->rk) && sl_remaining_ms(deadline_ms))
        if (!free_spent(self)) /* the thread of reports is just about to lay it aside */
            nanosleep(&(struct timespec){.tv_nsec = REST_US * 1000L}, NULL);
}

bool sl_kafka_producer_statistics(void *producer, struct sl_buffer *json)
{
    return sl_kafka_client_statistics(((struct producer *)producer)->client, json);
}

void sl_kafka_producer_close(void *producer)
{
    struct producer *self = producer;
    rd_kafka_t *rk = self->client->rk;
    atomic_store_explicit(&self->closing, true, memory_order_release);
    rd_kafka_queue_yield(self->queue);
    pthread_join(self->thread, NULL);
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
