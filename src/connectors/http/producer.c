/* A producer: opening, taking messages in, closing. */
#include "connectors/http/producer.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"
#include "client/lookup.h"

enum {
    PLAIN_LANES = 16,  /* where one request takes one message, unless configured */
    MOST_FIELDS = 8192 /* bytes of a message's own headers as HTTP's: servers and proxies bound all of them */
};

void sl_hc_producer_poke(struct sl_hc_producer *producer)
{
    producer->poked = true;
    pthread_cond_broadcast(&producer->changed);
}

/* Sending: any thread. */

static sl_status lacks(sl_error *error, const char *part, const char *why)
{
    return sl_error_set(error, SL_UNSUPPORTED,
                        "the message has %s, which %s: leave it out, or use "
                        "kafka-connector",
                        part, why);
}

/* A platform without our extensions: one message a request, and headers for what its API names. */
static sl_status check_plain(const struct sl_message *message, sl_error *error)
{
    const char *part = message->timestamp_ms >= 0 ? "a timestamp"
                       : message->crc             ? "a CRC"
                       : message->header_count    ? "headers of its own"
                       : !message->payload        ? "a null payload"
                                                  : NULL;
    return part ? lacks(error, part, "this platform does not take over HTTP") : SL_OK;
}

/* Its payload is a blob there already: the publish API names it. */
static sl_status check_partition(const struct sl_hc_producer *producer, const struct sl_message *message,
                                 sl_error *error)
{
    if (!producer->publishes)
        return sl_error_set(error, SL_UNSUPPORTED,
                            "the message's payload is a blob (data handle %s), and the platform offers no "
                            "publish API to name it with",
                            message->data_handle);
    return message->header_count
               ? lacks(error, "headers of its own", "this platform does not take with a payload in a blob")
               : SL_OK;
}

/* A payload over 1 MiB is the body of a call of its own, and all else has to go in HTTP's headers. */
bool sl_hc_producer_carries(const void *opaque, const struct sl_message *message)
{
    const struct sl_hc_producer *producer = opaque;
    if (!producer->extended || message->payload_size <= SL_PAYLOAD_INLINE_MAX)
        return true;
    /* The layer's content type is not known to who may not read the catalog. */
    bool good = producer->layer.content_type && !message->crc;
    size_t left = MOST_FIELDS;
    for (size_t i = 0; i < message->header_count && good; i++) {
        const struct sl_header *header = &message->headers[i];
        size_t name = strlen(header->name);
        good = header->value && sl_is_http_token(header->name, left) && header->size < (left - name) / 3;
        left -= good ? name + 3 * header->size : 0; /* %-escaped */
    }
    return good;
}

/* How a message travels. */
static sl_status choose_kind(const struct sl_hc_producer *producer, const struct sl_message *message,
                             enum sl_hc_kind *kind, sl_error *error)
{
    bool large = message->payload_size > SL_PAYLOAD_INLINE_MAX;
    bool named = message->data_handle && !message->payload;
    *kind = producer->extended && !large ? SL_HC_RECORDS : named ? SL_HC_PARTITION : SL_HC_PAYLOAD;
    if (message->payload_size > SL_HC_LARGEST)
        return sl_error_set(error, SL_TOO_LARGE, "the payload has %zu bytes; one call takes at most %d",
                            message->payload_size, SL_HC_LARGEST);
    return *kind == SL_HC_RECORDS     ? SL_OK
           : *kind == SL_HC_PARTITION ? check_partition(producer, message, error)
           : producer->extended       ? SL_OK
                                      : check_plain(message, error);
}

static struct sl_hc_batch *new_batch(struct sl_hc_producer *producer)
{
    struct sl_hc_batch *batch = producer->spare;
    if (!batch)
        return sl_hc_batch_create();
    producer->spare = batch->next;
    producer->spares--;
    batch->next = NULL;
    return batch;
}

void sl_hc_producer_recycle(struct sl_hc_producer *producer, struct sl_hc_batch *batch)
{
    if (producer->spares >= producer->lane_count || batch->body.capacity > 2 * producer->most_bytes) {
        sl_hc_batch_free(batch);
        return;
    }
    sl_hc_batch_reset(batch);
    batch->next = producer->spare;
    producer->spare = batch;
    producer->spares++;
}

static void append_batch(struct sl_hc_lane *lane, struct sl_hc_batch *batch)
{
    if (lane->back)
        lane->back->next = batch;
    else
        lane->front = batch;
    lane->back = batch;
}

static sl_status gather(struct sl_hc_producer *producer, struct sl_hc_lane *lane, enum sl_hc_kind kind,
                        const struct sl_message *message, const struct sl_hc_entry *entry, sl_error *error)
{
    struct sl_hc_batch *batch = lane->back;
    bool records = kind == SL_HC_RECORDS;
    if (records && batch && !batch->closed && batch->count < producer->max_messages &&
        batch->body.size + sl_record_size(message) <= producer->max_bytes)
        return sl_hc_batch_add(batch, message, entry) ? SL_OK : sl_error_oom(error);
    batch = new_batch(producer);
    if (!batch)
        return sl_error_oom(error);
    bool good = records                 ? sl_hc_batch_add(batch, message, entry)
                : kind == SL_HC_PAYLOAD ? sl_hc_batch_set_payload(batch, message, entry)
                                        : sl_hc_batch_set_partition(batch, message, entry);
    if (!good) {
        sl_hc_producer_recycle(producer, batch);
        return sl_error_oom(error);
    }
    append_batch(lane, batch);
    return SL_OK;
}

sl_status sl_hc_producer_send(void *opaque, const struct sl_message *message, void *ticket, sl_error *error)
{
    struct sl_hc_producer *producer = opaque;
    enum sl_hc_kind kind;
    sl_status status = choose_kind(producer, message, &kind, error);
    if (status)
        return status;
    struct sl_hc_entry entry = {
        .ticket = ticket,
        .payload_size = message->payload_size,
        .deadline_ms = sl_mono_ms() + producer->delivery_timeout_ms,
        .key = sl_hc_hash(message->partition_id, message->partition_id_size), /* the core sees to it */
        .trace = message->trace_id ? sl_hc_hash(message->trace_id, strlen(message->trace_id)) : 0,
    };
    pthread_mutex_lock(&producer->lock);
    if (producer->closing) {
        status = sl_error_set(error, SL_CLOSED, "the producer is being closed");
    } else if (producer->queued >= producer->queue_messages ||
               (producer->queued && producer->queued_bytes + message->payload_size > producer->queue_bytes)) {
        status = sl_error_set_retriable(error, SL_QUEUE_FULL, "the http-connector's queue is full");
    } else {
        struct sl_hc_lane *lane = &producer->lanes[entry.key % producer->lane_count];
        status = gather(producer, lane, kind, message, &entry, error);
        if (!status) {
            producer->queued++;
            producer->queued_bytes += message->payload_size;
            if (!lane->busy)
                sl_hc_producer_poke(producer);
        }
    }
    pthread_mutex_unlock(&producer->lock);
    return status;
}

/* Opening and closing. */

static sl_status read_settings(struct sl_hc_producer *producer, const struct sl_client *client,
                               sl_error *error)
{
    int64_t lanes, bytes, messages;
    const char *path = SL_ROOT "stream.http.requests-in-flight";
    sl_status status = sl_config_integer(client->config, path, &lanes, error);
    if (!status)
        status = sl_config_bytes(client->config, SL_ROOT "stream.http.batch.max-bytes", &bytes, error);
    if (!status)
        status =
            sl_config_integer(client->config, SL_ROOT "stream.http.batch.max-messages", &messages, error);
    if (!status)
        status = sl_config_duration_ms(client->config, SL_ROOT "http.request-timeout",
                                       &producer->request_timeout_ms, error);
    if (!status)
        status = sl_hc_backoff_init(&producer->backoff, client->config, error);
    if (status)
        return status;
    const char *origin = sl_config_origin(client->config, path);
    bool configured = origin && strcmp(origin, "default");
    producer->lane_count = (size_t)(producer->extended || configured ? lanes : PLAIN_LANES);
    producer->most_bytes = producer->max_bytes = (size_t)bytes;
    producer->max_messages = (size_t)messages;
    return SL_OK;
}

static sl_status layer_address(struct sl_hc_producer *producer, const char *api, const char *version,
                               const char *tail, int64_t deadline_ms, bool *extended, char **address,
                               sl_error *error)
{
    char *base = NULL;
    sl_status status = sl_client_base_url_within(producer->client, producer->hrn, api, version, producer,
                                                 deadline_ms, &base, extended, error);
    if (status)
        return status;
    char *url = sl_hc_layer_url(base, producer->id, tail);
    free(base);
    if (!url)
        return sl_error_oom(error);
    free(*address);
    *address = url;
    return SL_OK;
}

sl_status sl_hc_producer_look_up(struct sl_hc_producer *producer, int64_t deadline_ms, sl_error *error)
{
    bool extended; /* as it was at opening, whatever becomes of it */
    sl_status status =
        layer_address(producer, "ingest", "v1", "", deadline_ms, &extended, &producer->ingest, error);
    if (!status && producer->publishes)
        status = layer_address(producer, "publish", "v2", "/partitions", deadline_ms, NULL,
                               &producer->publish, error);
    return status;
}

static sl_status prepare(struct sl_hc_producer *producer, const struct sl_target *target, sl_error *error)
{
    producer->hrn = sl_strdup(target->hrn);
    producer->id = sl_strdup(target->layer);
    if (!producer->hrn || !producer->id)
        return sl_error_oom(error);
    sl_status status =
        layer_address(producer, "ingest", "v1", "", 0, &producer->extended, &producer->ingest, error);
    if (status)
        return status;
    if (!producer->extended) {
        status = layer_address(producer, "publish", "v2", "/partitions", 0, NULL, &producer->publish, error);
        producer->publishes = !status;
        if (status && status != SL_UNSUPPORTED)
            return status;
    }
    sl_error why;
    if (target->facts && target->facts->content_type)
        status = sl_layer_facts_copy(target->facts, &producer->layer) ? SL_OK : sl_error_oom(&why);
    else
        status = sl_layer_facts_get(target->client, target->hrn, target->layer, &producer->layer, &why);
    /* Who may write need not be allowed to look at the catalog; a batch has no use for the content type. */
    if (status && !(producer->extended && status == SL_FORBIDDEN)) {
        if (error)
            *error = why;
        return status;
    }
    return read_settings(producer, target->client, error);
}

static void free_producer(struct sl_hc_producer *producer)
{
    for (size_t i = 0; i < producer->lane_count && producer->lanes; i++) {
        sl_http_response_free(&producer->lanes[i].response);
        sl_secret_free(&producer->lanes[i].bearer);
    }
    free(producer->lanes);
    while (producer->spare) {
        struct sl_hc_batch *batch = producer->spare;
        producer->spare = batch->next;
        sl_hc_batch_free(batch);
    }
    sl_layer_facts_free(&producer->layer);
    free(producer->hrn);
    free(producer->id);
    free(producer->ingest);
    free(producer->publish);
    pthread_cond_destroy(&producer->changed);
    pthread_mutex_destroy(&producer->lock);
    free(producer);
}

sl_status sl_hc_producer_open(const struct sl_host *host, const struct sl_target *target,
                              const struct sl_producer_settings *settings, void **opened, sl_error *error)
{
    struct sl_hc_producer *producer = calloc(1, sizeof *producer);
    if (!producer)
        return sl_error_oom(error);
    producer->host = *host;
    producer->client = target->client;
    producer->delivery_timeout_ms = settings->delivery_timeout_ms;
    producer->queue_messages = settings->queue_messages;
    producer->queue_bytes = settings->queue_bytes;
    pthread_mutex_init(&producer->lock, NULL);
    sl_cond_init(&producer->changed);
    sl_status status = prepare(producer, target, error);
    if (!status && !(producer->lanes = calloc(producer->lane_count, sizeof *producer->lanes)))
        status = sl_error_oom(error);
    for (size_t i = 0; !status && i < producer->lane_count; i++)
        producer->lanes[i].producer = producer;
    if (!status && pthread_create(&producer->sender, NULL, sl_hc_producer_run, producer))
        status = sl_error_set(error, SL_INTERNAL, "no thread for sending could be started");
    if (status) {
        free_producer(producer);
        return status;
    }
    *opened = producer;
    return SL_OK;
}

bool sl_hc_producer_statistics(void *opaque, struct sl_buffer *json)
{
    struct sl_hc_producer *producer = opaque;
    pthread_mutex_lock(&producer->lock);
    sl_buffer_append_text(json, "{");
    sl_hc_traffic_json(&producer->traffic, json);
    sl_buffer_printf(json,
                     ",\"lanes\":%zu,\"batches\":%llu,\"singles\":%llu,\"queuedMessages\":%zu,"
                     "\"queuedBytes\":%zu}",
                     producer->lane_count, producer->batches, producer->singles, producer->queued,
                     producer->queued_bytes);
    pthread_mutex_unlock(&producer->lock);
    return !json->failed;
}

void sl_hc_producer_close(void *opaque)
{
    struct sl_hc_producer *producer = opaque;
    pthread_mutex_lock(&producer->lock);
    producer->closing = true;
    pthread_cond_broadcast(&producer->changed);
    pthread_mutex_unlock(&producer->lock);
    atomic_store(&producer->cancelled, true);
    sl_auth_wake(producer->client->auth);
    sl_http_cancel(producer->client->http, producer); /* a look-up */
    pthread_join(producer->sender, NULL);
    sl_error error;
    sl_error_set(&error, SL_TIMED_OUT, "the producer was closed before the message was delivered");
    for (size_t i = 0; i < producer->lane_count; i++)
        sl_hc_lane_end(&producer->lanes[i], &error);
    free_producer(producer);
}
