/*
 * The producer's core: what is the same for every connector. It admits messages to a bounded queue, gives
 * each a ticket, and reports each ticket once. Connectors only carry.
 */
#include "client/producer.h"

#include <stdlib.h>
#include <strings.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "wire/gzip_header.h"
#include "wire/hrn.h"

#define RETRY_MS 10 /* how long a connector that is full is left alone */
#define AHEAD    8  /* tickets that are fetched from memory before they are looked at */
#define FEW      64 /* messages in the queue: so few are no full one */

struct sl_delivery {
    sl_status status;
    const sl_error *error;
    const char *trace_id;
    sl_offset offset;
};

sl_status sl_delivery_status(const sl_delivery *delivery)
{
    return delivery ? delivery->status : SL_INVALID_HANDLE;
}

const sl_error *sl_delivery_error(const sl_delivery *delivery)
{
    return delivery ? delivery->error : NULL;
}

const char *sl_delivery_trace_id(const sl_delivery *delivery)
{
    return delivery ? delivery->trace_id : NULL;
}

sl_offset sl_delivery_offset(const sl_delivery *delivery)
{
    return delivery ? delivery->offset : (sl_offset){-1, -1};
}

/* Tickets. */

/* Under the lock. */
static struct sl_ticket *ticket_take(struct sl_producer *producer, void *opaque, size_t bytes)
{
    struct sl_ticket *ticket = sl_tickets_take(&producer->tickets);
    if (!ticket)
        return NULL;
    ticket->producer = producer;
    ticket->epoch = producer->epoch;
    ticket->opaque = opaque;
    ticket->bytes = bytes;
    ticket->sent_us = atomic_load_explicit(&producer->measuring, memory_order_relaxed) ? sl_mono_us() : 0;
    producer->epoch->left++;
    producer->queued++;
    producer->queued_bytes += bytes;
    producer->sent++;
    return ticket;
}

/* Tickets that are done with, gathered without the lock, so that it is held for a moment only. */
struct returned {
    struct sl_ticket *first, *last;
    struct sl_epoch *epoch; /* of all of them */
    size_t count, bytes;
};

static void gather(struct returned *returned, struct sl_ticket *ticket)
{
    sl_ticket_release_trace(ticket);
    ticket->next = returned->first;
    returned->first = ticket;
    if (!returned->last)
        returned->last = ticket;
    returned->epoch = ticket->epoch;
    returned->count++;
    returned->bytes += ticket->bytes;
}

/* Under the lock. */
static void take_back(struct sl_producer *producer, struct returned *returned)
{
    if (!returned->count)
        return;
    returned->epoch->left -= returned->count;
    if (!returned->epoch->left && producer->wait_done)
        pthread_cond_broadcast(&producer->done);
    producer->queued -= returned->count;
    producer->queued_bytes -= returned->bytes;
    sl_tickets_give(&producer->tickets, returned->first, returned->last);
    *returned = (struct returned){0};
}

/* Wakes those who wait for room once it is worth it: when one message's room woke a sender each time, two
 * threads would do little but wake each other. */
static void tell_of_room(struct sl_producer *producer)
{
    if (producer->wait_room && (producer->queued <= FEW ||
                                (producer->queued <= producer->max_messages - producer->max_messages / 4 &&
                                 producer->queued_bytes <= producer->max_bytes - producer->max_bytes / 4)))
        pthread_cond_broadcast(&producer->room);
    if (producer->wait_window &&
        (producer->queued <= FEW ||
         sl_window_open(&producer->window, producer->queued, producer->queued_bytes)))
        pthread_cond_broadcast(&producer->open);
}

/* Reports: from a connector's thread, and from that of large payloads. */

static void tell(struct sl_producer *producer, const struct sl_report *report)
{
    const struct sl_ticket *ticket = report->ticket;
    const struct sl_outcome *outcome = &report->outcome;
    const struct sl_delivery delivery = {
        .status = outcome->error ? outcome->error->status : SL_OK,
        .error = outcome->error,
        .trace_id = outcome->trace_id ? outcome->trace_id : ticket->trace_id,
        .offset = outcome->error ? (sl_offset){-1, -1} : outcome->offset,
    };
    producer->delivery(producer->opaque, ticket->opaque, &delivery);
}

/* Takes the tickets back, and counts. */
static void settle(struct sl_producer *producer, const struct sl_report *reports, size_t count)
{
    struct returned returned = {0};
    size_t failed = 0, bytes = 0;
    for (size_t i = 0; i < count; i++) {
        struct sl_ticket *ticket = reports[i].ticket;
        if (i + AHEAD < count)
            __builtin_prefetch(reports[i + AHEAD].ticket, 1);
        if (returned.epoch && returned.epoch != ticket->epoch) { /* a flush came in between */
            pthread_mutex_lock(&producer->lock);
            take_back(producer, &returned);
            pthread_mutex_unlock(&producer->lock);
        }
        if (reports[i].outcome.error)
            failed++;
        else
            bytes += ticket->bytes;
        gather(&returned, ticket);
    }
    pthread_mutex_lock(&producer->lock);
    producer->delivered += count - failed;
    producer->bytes_delivered += bytes;
    producer->failed += failed;
    producer->undelivered += producer->closing ? failed : 0;
    take_back(producer, &returned);
    tell_of_room(producer);
    pthread_mutex_unlock(&producer->lock);
}

static void measure(struct sl_producer *producer, const struct sl_report *reports, size_t count)
{
    int64_t now_us = sl_mono_us();
    pthread_mutex_lock(&producer->lock);
    for (size_t i = 0; i < count; i++) {
        const struct sl_ticket *ticket = reports[i].ticket;
        if (ticket->sent_us && !reports[i].outcome.error)
            sl_histogram_add(&producer->latency, now_us - ticket->sent_us);
    }
    pthread_mutex_unlock(&producer->lock);
}

static void delivered_many(void *core, const struct sl_report *reports, size_t count)
{
    struct sl_producer *producer = core;
    if (atomic_load_explicit(&producer->measuring, memory_order_relaxed))
        measure(producer, reports, count);
    if (producer->delivery) {
        pthread_mutex_lock(&producer->reporting);
        for (size_t i = 0; i < count; i++)
            tell(producer, &reports[i]);
        pthread_mutex_unlock(&producer->reporting);
    }
    settle(producer, reports, count); /* so that a flush that returns has seen its callbacks return */
}

static void delivered(void *ticket, const struct sl_outcome *outcome)
{
    const struct sl_report report = {ticket, *outcome};
    delivered_many(((struct sl_ticket *)ticket)->producer, &report, 1);
}

/* Large payloads. */

static sl_status forward(void *core, const struct sl_message *message, void *ticket, sl_error *error)
{
    const struct sl_producer *producer = core;
    return producer->connector->producer_send(producer->state, message, ticket, error);
}

static void report_failure(void *core, void *ticket, const sl_error *error)
{
    (void)core;
    const struct sl_outcome outcome = {.error = error, .offset = {-1, -1}};
    delivered(ticket, &outcome);
}

/* A producer keeps nothing that could be taken away. */
static void no_revocation(void *core, const int32_t *partitions, size_t count, bool lost)
{
    (void)core, (void)partitions, (void)count, (void)lost;
}

static void no_assignment(void *core, const int32_t *partitions, size_t count)
{
    (void)core, (void)partitions, (void)count;
}

static sl_status queue_limits(struct sl_producer *producer, const sl_producer_options *options,
                              sl_error *error)
{
    int64_t messages, bytes;
    const sl_config *config = producer->client->config;
    sl_status status =
        sl_config_integer(config, SL_ROOT "stream.producer.queue.max-messages", &messages, error);
    if (!status)
        status = sl_config_bytes(config, SL_ROOT "stream.producer.queue.max-bytes", &bytes, error);
    if (status)
        return status;
    producer->max_messages = options->max_messages ? options->max_messages : (size_t)messages;
    producer->max_bytes = options->max_bytes ? options->max_bytes : (size_t)bytes;
    return SL_OK;
}

/* Whether payloads are to be compressed if the layer is one for it. */
static sl_status compresses(const struct sl_producer *producer, const struct sl_producer_options *options,
                            bool *on, sl_error *error)
{
    *on = options->compress;
    return options->compress >= 0
               ? SL_OK
               : sl_config_boolean(producer->client->config, SL_ROOT "stream.producer.compress", on, error);
}

static sl_status prepare_large(struct sl_producer *producer, int64_t delivery_ms, sl_error *error)
{
    const sl_config *config = producer->client->config;
    int64_t max_size, at_once;
    sl_status status = sl_config_bytes(config, SL_ROOT "stream.blob.max-size", &max_size, error);
    if (!status)
        status = sl_config_integer(config, SL_ROOT "stream.blob.transfers", &at_once, error);
    if (status)
        return status;
    producer->max_payload = (uint64_t)max_size < SIZE_MAX ? (size_t)max_size : SIZE_MAX;
    const struct sl_large_settings settings = {
        .client = producer->client,
        .hrn = producer->hrn,
        .layer = producer->layer,
        .delivery_timeout_ms = delivery_ms,
        .at_once = (size_t)at_once,
        .forward = forward,
        .report = report_failure,
        .core = producer,
    };
    return sl_large_create(&settings, &producer->large, error);
}

static sl_status open_connector(struct sl_producer *producer, const struct sl_producer_options *options,
                                sl_error *error)
{
    struct sl_client *client = producer->client;
    int64_t delivery_ms;
    sl_status status = sl_config_duration_ms(client->config, SL_ROOT "stream.producer.delivery-timeout",
                                             &delivery_ms, error);
    bool compress = false;
    if (!status)
        status = compresses(producer, options, &compress, error);
    if (!status)
        status = prepare_large(producer, delivery_ms, error);
    if (status)
        return status;
    struct sl_opening opening;
    status = sl_opening_prepare(&opening, client, producer->connector, producer->hrn, producer->layer,
                                "producer", compress, error);
    if (status)
        return status;
    producer->compress = sl_layer_facts_gzip(&opening.facts);
    const struct sl_host host = {.abi = SL_CONNECTOR_ABI,
                                 .log = client->log,
                                 .delivered = delivered,
                                 .delivered_many = delivered_many,
                                 .revoked = no_revocation,
                                 .assigned = no_assignment,
                                 .token = sl_client_bearer,
                                 .token_wake = sl_client_bearer_wake,
                                 .client = client,
                                 .core = producer};
    char *transactions = NULL; /* behind what keeps other applications' apart */
    if (options->transactions &&
        !(transactions = sl_printf("%s%s", opening.endpoint.group_prefix, options->transactions))) {
        sl_opening_free(&opening);
        return sl_error_oom(error);
    }
    const struct sl_producer_settings settings = {.delivery_timeout_ms = (int)delivery_ms,
                                                  .queue_messages = producer->max_messages,
                                                  .queue_bytes = producer->max_bytes,
                                                  .statistics_ms = options->statistics_ms,
                                                  .transactional_id = transactions};
    status = producer->connector->producer_open(&host, &opening.target, &settings, &producer->state, error);
    free(transactions);
    sl_opening_explain(client, producer->connector, status, error);
    sl_opening_free(&opening);
    return status;
}

static void producer_free(struct sl_producer *producer)
{
    producer->magic = 0;
    sl_tickets_free(&producer->tickets);
    while (producer->epochs) {
        struct sl_epoch *epoch = producer->epochs;
        producer->epochs = epoch->next;
        free(epoch);
    }
    sl_large_destroy(&producer->large);
    sl_gzip_pool_free(&producer->gzips);
    pthread_cond_destroy(&producer->room);
    pthread_cond_destroy(&producer->open);
    pthread_cond_destroy(&producer->done);
    pthread_mutex_destroy(&producer->lock);
    pthread_mutex_destroy(&producer->reporting);
    sl_client_unlink(producer->client);
    free(producer->hrn);
    free(producer->layer);
    free(producer);
}

static struct sl_producer *producer_create(struct sl_client *client, const char *hrn, const char *layer)
{
    struct sl_producer *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    made->magic = SL_PRODUCER_MAGIC;
    made->client = sl_client_link(client);
    made->opened_ms = sl_mono_ms();
    pthread_mutex_init(&made->lock, NULL);
    pthread_mutex_init(&made->reporting, NULL);
    sl_window_init(&made->window);
    sl_gzip_pool_init(&made->gzips);
    sl_cond_init(&made->room);
    sl_cond_init(&made->open);
    sl_cond_init(&made->done);
    made->hrn = sl_strdup(hrn);
    made->layer = sl_strdup(layer);
    made->epochs = made->epoch = calloc(1, sizeof *made->epoch);
    if (made->hrn && made->layer && made->epoch)
        return made;
    producer_free(made);
    return NULL;
}

static sl_status source(const void *owner, char **json, sl_error *error)
{
    return sl_producer_statistics(owner, json, error);
}

static sl_status open_producer(struct sl_producer *producer, const struct sl_producer_options *options,
                               sl_error *error)
{
    static const struct sl_producer_options none = {.compress = -1};
    if (!options)
        options = &none;
    producer->delivery = options->delivery;
    producer->opaque = options->opaque;
    atomic_init(&producer->measuring, options->statistics_ms > 0);
    sl_status status = sl_trace_source_init(&producer->traces)
                           ? SL_OK
                           : sl_error_set(error, SL_INTERNAL, "no random numbers to be had");
    if (!status)
        status = queue_limits(producer, options, error);
    if (!status)
        status = sl_connector_find(producer->client, "producer", producer->hrn, producer->layer,
                                   options->connector, &producer->connector, error);
    producer->transactional = options->transactions != NULL;
    atomic_init(&producer->transaction, SL_TRANSACTION_NONE);
    if (!status && producer->transactional && !producer->connector->producer_begin)
        status = sl_error_set(error, SL_UNSUPPORTED,
                              "the %s has no transactions, which are Kafka's own: set " SL_ROOT
                              "stream.connector.producer = \"kafka-connector\", or make none",
                              producer->connector->name);
    if (!status) {
        /* Over Kafka few messages have a trace id: it has its own means to tell a repeat. */
        sl_tickets_init(&producer->tickets, producer->connector->direct ? 0 : SL_TRACE_SIZE);
        status = open_connector(producer, options, error);
    }
    if (!status && options->statistics_ms) {
        status = sl_reporter_start(options->statistics_ms, source, producer, options->statistics,
                                   options->statistics_opaque, &producer->reporter, error);
        if (status)
            producer->connector->producer_close(producer->state);
    }
    return status;
}

sl_status sl_producer_create(sl_client *client, const char *hrn, const char *layer,
                             const sl_producer_options *options, sl_producer **producer, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (status)
        return status;
    if (!hrn || !layer || !producer)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_producer_create: hrn, layer or producer is NULL");
    *producer = NULL;
    struct sl_producer *made = producer_create(client, hrn, layer);
    if (!made)
        return sl_error_oom(error);
    status = open_producer(made, options, error);
    if (status)
        producer_free(made);
    else
        *producer = made;
    return status;
}

sl_status sl_producer_check(const struct sl_producer *producer, sl_error *error)
{
    if (!producer || producer->magic != SL_PRODUCER_MAGIC)
        return sl_error_set(error, SL_INVALID_HANDLE, "the producer is NULL or was closed");
    return SL_OK;
}

static sl_status check_message(const struct sl_producer *producer, const struct sl_message *message,
                               sl_error *error)
{
    if (!message || message->magic != SL_MESSAGE_MAGIC)
        return sl_error_set(error, SL_INVALID_HANDLE, "the message is NULL or was destroyed");
    if (message->data_handle && !message->payload)
        return sl_error_set(error, SL_UNSUPPORTED,
                            "the message's payload is a blob of the layer that it came from (data handle "
                            "%s), and was not fetched: consume it with " SL_ROOT
                            "stream.consumer.resolve = true, then it is stored anew",
                            message->data_handle);
    if (message->payload_size > producer->max_payload)
        return sl_error_set(error, SL_TOO_LARGE,
                            "the payload has %zu bytes; " SL_ROOT "stream.blob.max-size allows %zu",
                            message->payload_size, producer->max_payload);
    if (!message->checksum || !message->payload)
        return SL_OK;
    char sum[65];
    if (!sl_sha256_hex(message->payload, message->payload_size, sum))
        return sl_error_set(error, SL_INTERNAL, "SHA-256 failed");
    if (strcasecmp(sum, message->checksum))
        return sl_error_set(error, SL_CHECKSUM_MISMATCH,
                            "the payload's SHA-256 is %s, not the checksum %s that the message states", sum,
                            message->checksum);
    return SL_OK;
}

/* Waits on the condition, at most until the deadline and at most limit_ms (-1: no limit). Under the lock. */
static void wait_for(struct sl_producer *producer, pthread_cond_t *condition, size_t *waiting,
                     int64_t deadline_ms, int limit_ms)
{
    int64_t until = deadline_ms;
    if (limit_ms >= 0) {
        int64_t limit = sl_mono_ms() + limit_ms;
        until = limit < until ? limit : until;
    }
    ++*waiting;
    if (until == INT64_MAX) {
        pthread_cond_wait(condition, &producer->lock);
    } else {
        struct timespec when = sl_mono_deadline(until);
        pthread_cond_timedwait(condition, &producer->lock, &when);
    }
    --*waiting;
}

static void wait_for_room(struct sl_producer *producer, int64_t deadline_ms, int limit_ms)
{
    wait_for(producer, &producer->room, &producer->wait_room, deadline_ms, limit_ms);
}

/* A message over max_bytes still goes, when it is alone. */
static bool has_room(const struct sl_producer *producer, size_t bytes)
{
    return producer->queued < producer->max_messages &&
           (!producer->queued ||
            (bytes <= producer->max_bytes && producer->queued_bytes <= producer->max_bytes - bytes));
}

static bool over_window(const struct sl_producer *producer)
{
    return sl_window_full(&producer->window, producer->queued, producer->queued_bytes);
}

/* Lets a sender that may wait wait for its window; it may go on afterwards, whatever came of it. */
static void pace(struct sl_producer *producer, int64_t deadline_ms)
{
    int64_t until = sl_deadline_ms(SL_WINDOW_WAIT_MS);
    if (deadline_ms <= until) /* too little time to learn anything */
        return;
    while (!producer->closing && over_window(producer) && sl_remaining_ms(until))
        wait_for(producer, &producer->open, &producer->wait_window, until, -1);
    sl_window_waited(&producer->window, !over_window(producer));
}

static sl_status queue_full(const struct sl_producer *producer, sl_error *error)
{
    return sl_error_set_retriable(
        error, SL_QUEUE_FULL, "the producer's queue is full: %zu %s, %zu %s not delivered yet",
        producer->queued, sl_plural(producer->queued, "message", "messages"), producer->queued_bytes,
        sl_plural(producer->queued_bytes, "byte is", "bytes are"));
}

/* Under the lock, which it may let go of meanwhile. */
static sl_status admit(struct sl_producer *producer, size_t bytes, void *opaque, int64_t deadline_ms,
                       struct sl_ticket **ticket, sl_error *error)
{
    if (over_window(producer))
        pace(producer, deadline_ms);
    while (!producer->closing && !has_room(producer, bytes)) {
        if (sl_remaining_ms(deadline_ms) == 0)
            return queue_full(producer, error);
        wait_for_room(producer, deadline_ms, -1);
    }
    if (producer->closing)
        return sl_error_set(error, SL_CLOSED, "the producer is being closed");
    *ticket = ticket_take(producer, opaque, bytes);
    return *ticket ? SL_OK : sl_error_oom(error);
}

/* What the message goes out as: with a trace id where one is needed, and a partition id always. */
static sl_status complete(struct sl_producer *producer, struct sl_ticket *ticket, struct sl_message *message,
                          sl_error *error)
{
    if (message->trace_id) {
        if (!sl_ticket_set_trace(&producer->tickets, ticket, message->trace_id))
            return sl_error_oom(error);
    } else if (!producer->connector->direct || !message->partition_id) {
        /* Over HTTP the trace id tells a retry from a new message; Kafka has its own means. */
        char trace_id[SL_TRACE_SIZE];
        pthread_mutex_lock(&producer->lock);
        unsigned long long number = ++producer->traced;
        pthread_mutex_unlock(&producer->lock);
        sl_trace_make(&producer->traces, number, trace_id);
        if (!sl_ticket_set_trace(&producer->tickets, ticket, trace_id))
            return sl_error_oom(error);
    }
    message->trace_id = ticket->trace_id;
    if (!message->partition_id) {
        message->partition_id = message->trace_id;
        message->partition_id_size = strlen(message->trace_id);
    }
    /* Fetched from another layer, or inflated: a payload like any. What is compressed as it was stays so. */
    if ((message->data_handle || message->compressed_size >= 0) &&
        message->compressed_size != (int64_t)message->payload_size)
        message->data_size = message->compressed_size = -1;
    if (message->payload)
        message->data_handle = NULL;
    return SL_OK;
}

/* The gateway refuses what is not gzip; brokers take it, and its consumers could not make anything of it. */
static sl_status check_gzip(const struct sl_message *message, sl_error *error)
{
    const char *fault = sl_gzip_fault(message->payload, message->payload_size, true);
    return fault ? sl_error_set(error, SL_INVALID_ARGUMENT, "%s", fault) : SL_OK;
}

/* Into *gzip, which the caller gives back; checksum: room for one, 65 bytes. */
static sl_status compress(struct sl_producer *producer, struct sl_message *message, struct sl_gzip **gzip,
                          char *checksum, sl_error *error)
{
    const void *out;
    size_t size;
    *gzip = sl_gzip_pool_take(&producer->gzips);
    if (!*gzip || !sl_gzip_compress(*gzip, message->payload, message->payload_size, &out, &size))
        return sl_error_oom(error);
    if (size > producer->max_payload)
        return sl_error_set(error, SL_TOO_LARGE,
                            "the payload has %zu bytes as gzip; " SL_ROOT "stream.blob.max-size allows %zu",
                            size, producer->max_payload);
    if (message->checksum && !sl_sha256_hex(out, size, checksum))
        return sl_error_set(error, SL_INTERNAL, "SHA-256 failed");
    message->checksum = message->checksum ? checksum : NULL; /* of the bytes sent */
    message->data_size = (int64_t)message->payload_size;
    message->compressed_size = (int64_t)size;
    message->payload = out;
    message->payload_size = size;
    message->compressed = true;
    return SL_OK;
}

static sl_status store(struct sl_producer *producer, struct sl_message *message, struct sl_ticket *ticket,
                       sl_error *error)
{
    char sum[65];
    if (!message->checksum) {
        if (!sl_sha256_hex(message->payload, message->payload_size, sum))
            return sl_error_set(error, SL_INTERNAL, "SHA-256 failed");
        message->checksum = sum;
    }
    return sl_large_store(producer->large, message, ticket, error);
}

static bool needs_a_blob(const struct sl_producer *producer, const struct sl_message *message)
{
    const struct sl_connector *connector = producer->connector;
    return message->payload_size > connector->max_payload ||
           (connector->producer_carries && !connector->producer_carries(producer->state, message));
}

/* SL_OK: the ticket is not ours any more, and may be gone already. */
static sl_status hand_over(struct sl_producer *producer, struct sl_message *message, struct sl_ticket *ticket,
                           int64_t deadline_ms, sl_error *error)
{
    if (needs_a_blob(producer, message))
        return store(producer, message, ticket, error);
    bool held;
    sl_status status = sl_large_hold(producer->large, message, ticket, &held, error);
    if (status || held)
        return status;
    for (;;) {
        status = producer->connector->producer_send(producer->state, message, ticket, error);
        if (status != SL_QUEUE_FULL || sl_remaining_ms(deadline_ms) == 0)
            return status;
        pthread_mutex_lock(&producer->lock);
        bool closing = producer->closing;
        if (!closing)
            wait_for_room(producer, deadline_ms, RETRY_MS);
        pthread_mutex_unlock(&producer->lock);
        if (closing)
            return sl_error_set(error, SL_CLOSED, "the producer is being closed");
    }
}

sl_status sl_producer_send(sl_producer *producer, const sl_message *message, void *message_opaque,
                           int timeout_ms, sl_error *error)
{
    sl_status status = sl_producer_check(producer, error);
    if (!status)
        status = sl_transaction_admits(producer, error);
    if (!status)
        status = check_message(producer, message, error);
    if (status)
        return status;
    int64_t deadline = timeout_ms ? sl_deadline_ms(timeout_ms) : 0;
    struct sl_ticket *ticket = NULL;
    pthread_mutex_lock(&producer->lock);
    status = admit(producer, message->payload_size, message_opaque, deadline, &ticket, error);
    pthread_mutex_unlock(&producer->lock);
    if (status)
        return status;
    struct sl_message whole = *message;
    struct sl_gzip *gzip = NULL;
    char checksum[65];
    status = complete(producer, ticket, &whole, error);
    if (!status && producer->compress && whole.payload)
        status =
            whole.compressed ? check_gzip(&whole, error) : compress(producer, &whole, &gzip, checksum, error);
    if (!status)
        status = hand_over(producer, &whole, ticket, deadline, error);
    sl_gzip_pool_give(&producer->gzips, gzip);
    if (status) {
        struct returned returned = {0};
        gather(&returned, ticket);
        pthread_mutex_lock(&producer->lock);
        producer->sent--;
        take_back(producer, &returned);
        tell_of_room(producer);
        pthread_mutex_unlock(&producer->lock);
    }
    return status;
}

/* Under the lock: waits for what was sent before. */
static bool wait_until_reported(struct sl_producer *producer, int64_t deadline_ms)
{
    if (producer->epoch->left) {
        struct sl_epoch *fresh = calloc(1, sizeof *fresh);
        if (fresh) { /* without, it waits for what comes meanwhile, too */
            fresh->number = producer->epoch->number + 1;
            producer->epoch = producer->epoch->next = fresh;
        }
    }
    unsigned long long first_after =
        producer->epoch->left ? producer->epoch->number + 1 : producer->epoch->number;
    for (;;) {
        while (producer->epochs != producer->epoch && !producer->epochs->left) {
            struct sl_epoch *gone = producer->epochs;
            producer->epochs = gone->next;
            free(gone);
        }
        if (producer->epochs->number >= first_after ||
            (producer->epochs == producer->epoch && !producer->epoch->left))
            return true;
        if (sl_remaining_ms(deadline_ms) == 0)
            return false;
        wait_for(producer, &producer->done, &producer->wait_done, deadline_ms, -1);
    }
}

sl_status sl_producer_flush(sl_producer *producer, int timeout_ms, sl_error *error)
{
    sl_status status = sl_producer_check(producer, error);
    if (status)
        return status;
    pthread_mutex_lock(&producer->lock);
    if (!wait_until_reported(producer, sl_deadline_ms(timeout_ms)))
        status = sl_error_set_retriable(
            error, SL_TIMED_OUT, "%zu %s not delivered yet after %d ms", producer->queued,
            sl_plural(producer->queued, "message is", "messages are"), timeout_ms);
    pthread_mutex_unlock(&producer->lock);
    return status;
}

size_t sl_producer_queued(const sl_producer *producer, size_t *bytes)
{
    size_t queued = 0;
    if (bytes)
        *bytes = 0;
    if (sl_producer_check(producer, NULL))
        return 0;
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&producer->lock;
    pthread_mutex_lock(lock);
    queued = producer->queued;
    if (bytes)
        *bytes = producer->queued_bytes;
    pthread_mutex_unlock(lock);
    return queued;
}

sl_status sl_producer_statistics(const sl_producer *producer, char **json, sl_error *error)
{
    sl_status status = sl_producer_check(producer, error);
    if (status)
        return status;
    if (!json)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_producer_statistics: json is NULL");
    struct sl_producer *self = (struct sl_producer *)(uintptr_t)producer; /* it counts from here on anew */
    pthread_mutex_lock(&self->lock);
    json_t *latency = self->latency.total ? sl_histogram_json(&self->latency) : NULL;
    memset(&self->latency, 0, sizeof self->latency);
    atomic_store_explicit(&self->measuring, true, memory_order_relaxed);
    json_t *fields = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:{s:I, s:I}, s:I, s:I, s:I, s:I, s:I, s:o*}",
                               "type", "producer", "connector", self->connector->name, "catalog", self->hrn,
                               "layer", self->layer, "timeMs", (json_int_t)sl_wall_ms(), "uptimeMs",
                               (json_int_t)(sl_mono_ms() - self->opened_ms), "queued", "messages",
                               (json_int_t)self->queued, "bytes", (json_int_t)self->queued_bytes,
                               "windowBytes", (json_int_t)self->window.weight, "sent", (json_int_t)self->sent,
                               "delivered", (json_int_t)self->delivered, "failed", (json_int_t)self->failed,
                               "bytesDelivered", (json_int_t)self->bytes_delivered, "latencyMs", latency);
    pthread_mutex_unlock(&self->lock);
    struct sl_buffer own;
    sl_buffer_init(&own, SIZE_MAX / 2);
    if (self->connector->producer_statistics && !self->connector->producer_statistics(self->state, &own))
        own.failed = true;
    status = sl_statistics_finish(fields, &own, json, error);
    sl_buffer_free(&own);
    return status;
}

const char *sl_producer_content_encoding(const sl_producer *producer)
{
    return !sl_producer_check(producer, NULL) && producer->compress ? "gzip" : NULL;
}

const char *sl_producer_connector(const sl_producer *producer)
{
    return sl_producer_check(producer, NULL) ? NULL : producer->connector->name;
}

sl_status sl_producer_close(sl_producer **producer, int timeout_ms, sl_error *error)
{
    if (!producer || !*producer)
        return SL_OK;
    struct sl_producer *gone = *producer;
    *producer = NULL;
    sl_status status = sl_producer_check(gone, error);
    if (status)
        return status;
    sl_transaction_end(gone, timeout_ms);
    pthread_mutex_lock(&gone->lock);
    gone->closing = true;
    pthread_cond_broadcast(&gone->room); /* senders that wait give up */
    pthread_cond_broadcast(&gone->open);
    wait_until_reported(gone, sl_deadline_ms(timeout_ms));
    gone->undelivered = 0; /* what failed within the time was no matter of time */
    pthread_mutex_unlock(&gone->lock);
    sl_reporter_stop(&gone->reporter);
    sl_large_destroy(&gone->large); /* it sends no more to the connector */
    /* Reports what is left, some of it perhaps as delivered after all. */
    gone->connector->producer_close(gone->state);
    size_t left = gone->undelivered;
    producer_free(gone);
    if (left)
        status = sl_error_set(
            error, SL_TIMED_OUT, "%zu %s not delivered within %d ms; %s may or may not arrive", left,
            sl_plural(left, "message was", "messages were"), timeout_ms, sl_plural(left, "it", "they"));
    return status;
}
