/*
 * The producer's core: what is the same for every connector. It admits messages to a bounded queue, gives
 * each a ticket, and reports each ticket once. Connectors only carry.
 */
#include "client/producer.h"

#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "client/client.h"
#include "client/trace.h"
#include "wire/hrn.h"

#define SL_PRODUCER_MAGIC 0x960d0ce5u
#define RETRY_MS          10 /* how long a connector that is full is left alone */
#define TRACE_INLINE      40

/* One accepted message, until it is reported. */
struct ticket {
    struct sl_producer *producer;
    struct ticket *next, *previous; /* of the unreported, oldest first; or of the free ones */
    void *opaque;
    size_t bytes;
    unsigned long long number; /* in order of sending */
    char *trace_id;            /* trace_inline, or memory of its own when longer; NULL: none */
    char trace_inline[TRACE_INLINE];
};

struct sl_producer {
    unsigned magic;
    struct sl_client *client;
    const struct sl_connector *connector;
    void *state; /* the connector's */
    sl_delivery_callback delivery;
    void *opaque;
    size_t max_messages, max_bytes;
    struct sl_trace_source traces;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a message was reported */
    size_t waiting;         /* threads that wait for that */
    struct ticket *oldest, *newest, *free;
    size_t queued, queued_bytes;
    unsigned long long sent; /* the newest ticket's number */
    bool closing;
    size_t undelivered; /* reported as failed while closing; from 0 again when close gives up waiting */
};

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

/* Tickets. All under the lock. */

static struct ticket *ticket_take(struct sl_producer *producer, void *opaque, size_t bytes)
{
    struct ticket *ticket = producer->free;
    if (ticket)
        producer->free = ticket->next;
    else if (!(ticket = malloc(sizeof *ticket)))
        return NULL;
    ticket->producer = producer;
    ticket->opaque = opaque;
    ticket->bytes = bytes;
    ticket->number = ++producer->sent;
    ticket->trace_id = NULL;
    ticket->next = NULL;
    ticket->previous = producer->newest;
    if (producer->newest)
        producer->newest->next = ticket;
    else
        producer->oldest = ticket;
    producer->newest = ticket;
    producer->queued++;
    producer->queued_bytes += bytes;
    return ticket;
}

static void ticket_return(struct ticket *ticket)
{
    struct sl_producer *producer = ticket->producer;
    if (ticket->previous)
        ticket->previous->next = ticket->next;
    else
        producer->oldest = ticket->next;
    if (ticket->next)
        ticket->next->previous = ticket->previous;
    else
        producer->newest = ticket->previous;
    producer->queued--;
    producer->queued_bytes -= ticket->bytes;
    if (ticket->trace_id != ticket->trace_inline)
        free(ticket->trace_id);
    ticket->next = producer->free;
    producer->free = ticket;
    if (producer->waiting)
        pthread_cond_broadcast(&producer->changed);
}

static bool ticket_set_trace(struct ticket *ticket, const char *trace_id)
{
    size_t size = strlen(trace_id) + 1;
    ticket->trace_id = size <= sizeof ticket->trace_inline ? ticket->trace_inline : malloc(size);
    if (ticket->trace_id)
        memcpy(ticket->trace_id, trace_id, size);
    return ticket->trace_id != NULL;
}

/* The host's report, from a connector's thread. */
static void delivered(void *opaque, const struct sl_outcome *outcome)
{
    struct ticket *ticket = opaque;
    struct sl_producer *producer = ticket->producer;
    if (producer->delivery) {
        const struct sl_delivery delivery = {
            .status = outcome->error ? outcome->error->status : SL_OK,
            .error = outcome->error,
            .trace_id = outcome->trace_id ? outcome->trace_id : ticket->trace_id,
            .offset = outcome->error ? (sl_offset){-1, -1} : outcome->offset,
        };
        producer->delivery(producer->opaque, ticket->opaque, &delivery);
    }
    pthread_mutex_lock(&producer->lock);
    producer->undelivered += producer->closing && outcome->error;
    ticket_return(ticket); /* after the callback: a flush that returns has seen its callbacks return */
    pthread_mutex_unlock(&producer->lock);
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
    producer->max_messages = options && options->max_messages ? options->max_messages : (size_t)messages;
    producer->max_bytes = options && options->max_bytes ? options->max_bytes : (size_t)bytes;
    return SL_OK;
}

static sl_status open_connector(struct sl_producer *producer, const char *hrn, const char *layer,
                                sl_error *error)
{
    struct sl_client *client = producer->client;
    int64_t delivery_ms;
    sl_status status = sl_config_duration_ms(client->config, SL_ROOT "stream.producer.delivery-timeout",
                                             &delivery_ms, error);
    if (status)
        return status;
    struct sl_opening opening;
    status = sl_opening_prepare(&opening, client, producer->connector, hrn, layer, "producer", error);
    if (status)
        return status;
    const struct sl_host host = {.abi = SL_CONNECTOR_ABI,
                                 .log = client->log,
                                 .delivered = delivered,
                                 .revoked = no_revocation,
                                 .assigned = no_assignment,
                                 .core = producer};
    const struct sl_producer_settings settings = {.delivery_timeout_ms = (int)delivery_ms,
                                                  .queue_messages = producer->max_messages,
                                                  .queue_bytes = producer->max_bytes};
    status = producer->connector->producer_open(&host, &opening.target, &settings, &producer->state, error);
    sl_opening_free(&opening);
    return status;
}

static void producer_free(struct sl_producer *producer)
{
    producer->magic = 0;
    while (producer->free) {
        struct ticket *ticket = producer->free;
        producer->free = ticket->next;
        free(ticket);
    }
    pthread_cond_destroy(&producer->changed);
    pthread_mutex_destroy(&producer->lock);
    sl_client_unlink(producer->client);
    free(producer);
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
    struct sl_producer *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    made->magic = SL_PRODUCER_MAGIC;
    made->client = sl_client_link(client);
    pthread_mutex_init(&made->lock, NULL);
    sl_cond_init(&made->changed);
    if (options) {
        made->delivery = options->delivery;
        made->opaque = options->opaque;
    }
    status = sl_trace_source_init(&made->traces)
                 ? SL_OK
                 : sl_error_set(error, SL_INTERNAL, "no random numbers to be had");
    if (!status)
        status = queue_limits(made, options, error);
    if (!status)
        status = sl_connector_find(client, SL_ROOT "stream.connector.producer",
                                   options ? options->connector : NULL, &made->connector, error);
    if (!status)
        status = open_connector(made, hrn, layer, error);
    if (status) {
        producer_free(made);
        return status;
    }
    *producer = made;
    return SL_OK;
}

static sl_status check_handle(const struct sl_producer *producer, sl_error *error)
{
    if (!producer || producer->magic != SL_PRODUCER_MAGIC)
        return sl_error_set(error, SL_INVALID_HANDLE, "the producer is NULL or was closed");
    return SL_OK;
}

static sl_status check_message(const struct sl_message *message, sl_error *error)
{
    if (!message || message->magic != SL_MESSAGE_MAGIC)
        return sl_error_set(error, SL_INVALID_HANDLE, "the message is NULL or was destroyed");
    if (message->data_handle)
        return sl_error_set(error, SL_UNSUPPORTED,
                            "the message's payload lies in a blob (data handle %s): send the payload itself",
                            message->data_handle);
    if (message->payload_size > SL_PAYLOAD_INLINE_MAX)
        return sl_error_set(error, SL_TOO_LARGE, "the payload has %zu bytes; a message carries at most %d",
                            message->payload_size, SL_PAYLOAD_INLINE_MAX);
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

/* Waits for a report, at most until the deadline and at most limit_ms (-1: no limit). Under the lock. */
static void wait_for_report(struct sl_producer *producer, int64_t deadline_ms, int limit_ms)
{
    int64_t until = deadline_ms;
    if (limit_ms >= 0) {
        int64_t limit = sl_mono_ms() + limit_ms;
        until = limit < until ? limit : until;
    }
    producer->waiting++;
    if (until == INT64_MAX) {
        pthread_cond_wait(&producer->changed, &producer->lock);
    } else {
        struct timespec when = sl_mono_deadline(until);
        pthread_cond_timedwait(&producer->changed, &producer->lock, &when);
    }
    producer->waiting--;
}

/* A message over max_bytes still goes, when it is alone. */
static bool has_room(const struct sl_producer *producer, size_t bytes)
{
    return producer->queued < producer->max_messages &&
           (!producer->queued ||
            (bytes <= producer->max_bytes && producer->queued_bytes <= producer->max_bytes - bytes));
}

static sl_status queue_full(const struct sl_producer *producer, sl_error *error)
{
    return sl_error_set_retriable(
        error, SL_QUEUE_FULL, "the producer's queue is full: %zu messages, %zu bytes are not delivered yet",
        producer->queued, producer->queued_bytes);
}

/* Under the lock, which it may let go of meanwhile. */
static sl_status admit(struct sl_producer *producer, size_t bytes, void *opaque, int64_t deadline_ms,
                       struct ticket **ticket, sl_error *error)
{
    while (!producer->closing && !has_room(producer, bytes)) {
        if (sl_remaining_ms(deadline_ms) == 0)
            return queue_full(producer, error);
        wait_for_report(producer, deadline_ms, -1);
    }
    if (producer->closing)
        return sl_error_set(error, SL_CLOSED, "the producer is being closed");
    *ticket = ticket_take(producer, opaque, bytes);
    return *ticket ? SL_OK : sl_error_oom(error);
}

/* What the message goes out as: with a trace id where one is needed, and a partition id always. */
static sl_status complete(struct sl_producer *producer, struct ticket *ticket, struct sl_message *message,
                          sl_error *error)
{
    if (message->trace_id) {
        if (!ticket_set_trace(ticket, message->trace_id))
            return sl_error_oom(error);
    } else if (!producer->connector->direct || !message->partition_id) {
        /* Over HTTP the trace id tells a retry from a new message; Kafka has its own means. */
        _Static_assert(TRACE_INLINE >= SL_TRACE_SIZE, "a made trace id fits");
        sl_trace_make(&producer->traces, ticket->number, ticket->trace_inline);
        ticket->trace_id = ticket->trace_inline;
    }
    message->trace_id = ticket->trace_id;
    if (!message->partition_id) {
        message->partition_id = message->trace_id;
        message->partition_id_size = strlen(message->trace_id);
    }
    return SL_OK;
}

sl_status sl_producer_send(sl_producer *producer, const sl_message *message, void *message_opaque,
                           int timeout_ms, sl_error *error)
{
    sl_status status = check_handle(producer, error);
    if (!status)
        status = check_message(message, error);
    if (status)
        return status;
    int64_t deadline = sl_deadline_ms(timeout_ms);
    struct ticket *ticket = NULL;
    pthread_mutex_lock(&producer->lock);
    status = admit(producer, message->payload_size, message_opaque, deadline, &ticket, error);
    pthread_mutex_unlock(&producer->lock);
    if (status)
        return status;

    struct sl_message whole = *message;
    status = complete(producer, ticket, &whole, error);
    while (!status) {
        status = producer->connector->producer_send(producer->state, &whole, ticket, error);
        if (status == SL_OK)
            return SL_OK; /* the ticket is the connector's now, and may be gone already */
        if (status != SL_QUEUE_FULL || sl_remaining_ms(deadline) == 0)
            break;
        status = SL_OK;
        pthread_mutex_lock(&producer->lock);
        if (producer->closing)
            status = sl_error_set(error, SL_CLOSED, "the producer is being closed");
        else
            wait_for_report(producer, deadline, RETRY_MS);
        pthread_mutex_unlock(&producer->lock);
    }
    pthread_mutex_lock(&producer->lock);
    ticket_return(ticket);
    pthread_mutex_unlock(&producer->lock);
    return status;
}

/* Under the lock. */
static bool all_reported(const struct sl_producer *producer, unsigned long long number)
{
    return !producer->oldest || producer->oldest->number > number;
}

static bool wait_until_reported(struct sl_producer *producer, int64_t deadline_ms)
{
    unsigned long long number = producer->sent;
    while (!all_reported(producer, number)) {
        if (sl_remaining_ms(deadline_ms) == 0)
            return false;
        wait_for_report(producer, deadline_ms, -1);
    }
    return true;
}

sl_status sl_producer_flush(sl_producer *producer, int timeout_ms, sl_error *error)
{
    sl_status status = check_handle(producer, error);
    if (status)
        return status;
    pthread_mutex_lock(&producer->lock);
    if (!wait_until_reported(producer, sl_deadline_ms(timeout_ms)))
        status = sl_error_set_retriable(error, SL_TIMED_OUT, "%zu messages are not delivered yet after %d ms",
                                        producer->queued, timeout_ms);
    pthread_mutex_unlock(&producer->lock);
    return status;
}

size_t sl_producer_queued(const sl_producer *producer, size_t *bytes)
{
    size_t queued = 0;
    if (bytes)
        *bytes = 0;
    if (check_handle(producer, NULL))
        return 0;
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&producer->lock;
    pthread_mutex_lock(lock);
    queued = producer->queued;
    if (bytes)
        *bytes = producer->queued_bytes;
    pthread_mutex_unlock(lock);
    return queued;
}

const char *sl_producer_connector(const sl_producer *producer)
{
    return check_handle(producer, NULL) ? NULL : producer->connector->name;
}

sl_status sl_producer_close(sl_producer **producer, int timeout_ms, sl_error *error)
{
    if (!producer || !*producer)
        return SL_OK;
    struct sl_producer *gone = *producer;
    *producer = NULL;
    sl_status status = check_handle(gone, error);
    if (status)
        return status;
    pthread_mutex_lock(&gone->lock);
    gone->closing = true;
    pthread_cond_broadcast(&gone->changed); /* senders that wait for room give up */
    wait_until_reported(gone, sl_deadline_ms(timeout_ms));
    gone->undelivered = 0; /* what failed within the time was no matter of time */
    pthread_mutex_unlock(&gone->lock);
    /* Reports what is left, some of it perhaps as delivered after all. */
    gone->connector->producer_close(gone->state);
    size_t left = gone->undelivered;
    producer_free(gone);
    if (left)
        status = sl_error_set(error, SL_TIMED_OUT,
                              "%zu messages were not delivered within %d ms; they may or may not arrive",
                              left, timeout_ms);
    return status;
}
