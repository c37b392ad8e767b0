/*
 * Producing over HTTP. A message goes to the lane of its partition id; a lane has one request under way at
 * most, and what is sent meanwhile gathers for its next one. So order holds within a partition id, retries
 * included, a lone message goes at once, and batches form under load without a linger.
 *
 * One thread a producer, the sender, prepares requests (which may mean to wait for a token), and reports what
 * came of them. The engine's thread only leaves answers in their lane.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "connectors/http/internal.h"

enum {
    PLAIN_LANES = 16,       /* where one request takes one message, unless configured */
    LEAST_BATCH = 1024,     /* bytes that a batch may have, however little the platform takes */
    RESULT_BYTES = 1024,    /* of an answer, a message */
    ANSWER_BYTES = 1u << 20 /* of an answer besides */
};

#define SENDING "sending messages"

struct producer;

struct lane {
    struct producer *producer;
    /* Under the lock. */
    struct sl_hc_batch *front, *back; /* waiting; the last one gathers */
    bool busy;                        /* flying is set, and the sender's */
    bool in_flight;                   /* the engine has its request */
    bool answered;                    /* response is there */
    struct sl_http_response response;
    /* The sender's own. */
    struct sl_hc_batch *flying;
    char *bearer;      /* what the request was signed with */
    bool refused;      /* and the platform did not take it */
    bool signed_anew;  /* after such a refusal */
    unsigned failures; /* in a row */
    int64_t retry_at_ms;
    sl_error last; /* why the last try failed */
};

struct producer {
    struct sl_host host;
    struct sl_client *client;
    bool extended;
    char *url;
    struct sl_hc_layer layer;
    struct sl_hc_backoff backoff;
    int64_t request_timeout_ms, delivery_timeout_ms;
    size_t max_messages, queue_messages, queue_bytes;
    pthread_t sender;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool poked, closing;
    size_t max_bytes; /* of a batch; falls when the platform finds one too large */
    size_t queued, queued_bytes;
    struct sl_hc_batch *spare;
    size_t spares;

    size_t lane_count;
    struct lane *lanes;
    struct sl_hc_outage outage; /* the sender's own */
};

static void poke(struct producer *producer)
{
    producer->poked = true;
    pthread_cond_broadcast(&producer->changed);
}

/* Sending: any thread. */

static sl_status check_plain(const struct sl_message *message, sl_error *error)
{
    const char *part = message->timestamp_ms >= 0 ? "a timestamp"
                       : message->crc             ? "a CRC"
                       : message->header_count    ? "headers of its own"
                       : message->data_handle     ? "a data handle"
                       : !message->payload        ? "a null payload"
                                                  : NULL;
    if (!part)
        return SL_OK;
    return sl_error_set(
        error, SL_UNSUPPORTED,
        "the message has %s, which this platform does not take over HTTP: leave it out, or use "
        "kafka-connector",
        part);
}

static struct sl_hc_batch *new_batch(struct producer *producer)
{
    struct sl_hc_batch *batch = producer->spare;
    if (!batch)
        return sl_hc_batch_create();
    producer->spare = batch->next;
    producer->spares--;
    batch->next = NULL;
    return batch;
}

/* Under the lock. */
static void recycle(struct producer *producer, struct sl_hc_batch *batch)
{
    if (producer->spares >= producer->lane_count || batch->body.capacity > 2 * producer->max_bytes) {
        sl_hc_batch_free(batch);
        return;
    }
    sl_hc_batch_reset(batch);
    batch->next = producer->spare;
    producer->spare = batch;
    producer->spares++;
}

static void append_batch(struct lane *lane, struct sl_hc_batch *batch)
{
    if (lane->back)
        lane->back->next = batch;
    else
        lane->front = batch;
    lane->back = batch;
}

static sl_status gather(struct producer *producer, struct lane *lane, const struct sl_message *message,
                        const struct sl_hc_entry *entry, sl_error *error)
{
    struct sl_hc_batch *batch = lane->back;
    if (producer->extended && batch && !batch->closed && batch->count < producer->max_messages &&
        batch->body.size + sl_record_size(message) <= producer->max_bytes)
        return sl_hc_batch_add(batch, message, entry) ? SL_OK : sl_error_oom(error);
    batch = new_batch(producer);
    if (!batch)
        return sl_error_oom(error);
    if (!(producer->extended ? sl_hc_batch_add(batch, message, entry)
                             : sl_hc_batch_set(batch, message, entry))) {
        recycle(producer, batch);
        return sl_error_oom(error);
    }
    append_batch(lane, batch);
    return SL_OK;
}

sl_status sl_hc_producer_send(void *opaque, const struct sl_message *message, void *ticket, sl_error *error)
{
    struct producer *producer = opaque;
    sl_status status = producer->extended ? SL_OK : check_plain(message, error);
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
        struct lane *lane = &producer->lanes[entry.key % producer->lane_count];
        status = gather(producer, lane, message, &entry, error);
        if (!status) {
            producer->queued++;
            producer->queued_bytes += message->payload_size;
            if (!lane->busy)
                poke(producer);
        }
    }
    pthread_mutex_unlock(&producer->lock);
    return status;
}

/* Reporting: the sender's thread, or the closing one after it. Without the lock. */

static void uncount(struct producer *producer, size_t messages, size_t bytes)
{
    pthread_mutex_lock(&producer->lock);
    producer->queued -= messages;
    producer->queued_bytes -= bytes;
    pthread_mutex_unlock(&producer->lock);
}

static void report(struct producer *producer, const struct sl_hc_entry *entry, const sl_error *error,
                   sl_offset offset, const char *trace_id)
{
    const struct sl_outcome outcome = {
        .error = error,
        .offset = offset,
        .trace_id = trace_id && sl_hc_hash(trace_id, strlen(trace_id)) != entry->trace ? trace_id : NULL,
    };
    producer->host.delivered(entry->ticket, &outcome);
}

/* Reports all that is left of the batch as failed. */
static void fail_batch(struct producer *producer, struct sl_hc_batch *batch, const sl_error *error)
{
    for (; batch->first < batch->count; batch->first++) {
        const struct sl_hc_entry *entry = &batch->entries[batch->first];
        uncount(producer, 1, entry->payload_size);
        report(producer, entry, error, (sl_offset){-1, -1}, NULL);
    }
}

/* The lane is done with what it had in flight. */
static void land(struct lane *lane)
{
    struct producer *producer = lane->producer;
    lane->failures = 0;
    lane->signed_anew = false;
    lane->retry_at_ms = 0;
    lane->last.status = SL_OK;
    pthread_mutex_lock(&producer->lock);
    recycle(producer, lane->flying);
    lane->flying = NULL;
    lane->busy = false;
    pthread_mutex_unlock(&producer->lock);
}

static void fail_lane(struct lane *lane, const sl_error *error)
{
    fail_batch(lane->producer, lane->flying, error);
    land(lane);
}

static void retry_later(struct lane *lane, const sl_error *error, int retry_after_ms)
{
    struct producer *producer = lane->producer;
    lane->failures++;
    sl_hc_outage_note(&producer->outage, &producer->host.log, SENDING, error);
    lane->last = *error;
    lane->retry_at_ms = sl_mono_ms() + sl_hc_backoff_ms(&producer->backoff, lane->failures, retry_after_ms);
}

static void timed_out(const struct producer *producer, const struct lane *lane, sl_error *error)
{
    sl_error_set(error, SL_TIMED_OUT, "not delivered within %lld ms%s%s",
                 (long long)producer->delivery_timeout_ms, lane->last.status ? "; the last try: " : "",
                 lane->last.status ? lane->last.text : "");
    error->retriable = true;
}

/* Reports what has run out of time of the batch in hand, which the engine must not have. Returns when the
 * next one will. */
static int64_t expire_flying(struct lane *lane)
{
    struct producer *producer = lane->producer;
    struct sl_hc_batch *batch = lane->flying;
    int64_t now = sl_mono_ms();
    sl_error error;
    while (batch->first < batch->count && batch->entries[batch->first].deadline_ms <= now) {
        struct sl_hc_entry entry = batch->entries[batch->first++];
        timed_out(producer, lane, &error);
        uncount(producer, 1, entry.payload_size);
        report(producer, &entry, &error, (sl_offset){-1, -1}, NULL);
    }
    if (batch->first < batch->count)
        return batch->entries[batch->first].deadline_ms;
    land(lane);
    return INT64_MAX;
}

/* Answers. */

static void take_results(struct lane *lane, const struct sl_http_response *response)
{
    struct producer *producer = lane->producer;
    struct sl_hc_batch *batch = lane->flying;
    struct sl_hc_answer answer;
    sl_error error;
    sl_status status = sl_hc_answer_read(&answer, batch, response->body.data, response->body.size, &error);
    if (status == SL_OUT_OF_MEMORY && !answer.again) { /* nothing is known of any */
        sl_hc_answer_free(&answer);
        fail_lane(lane, &error);
        return;
    }
    size_t total = batch->count - batch->first, done = 0, bytes = 0;
    for (size_t i = 0; i < total; i++)
        if (!answer.again[i]) {
            done++;
            bytes += batch->entries[batch->first + i].payload_size;
        }
    uncount(producer, done, bytes);
    bool why_known = status != SL_OK;
    for (size_t i = 0; i < total; i++) {
        const struct sl_hc_entry *entry = &batch->entries[batch->first + i];
        const struct sl_result *result = i < answer.count ? &answer.results[i] : NULL;
        sl_error own;
        sl_status failed = !result ? status : sl_hc_result_error(result, &own);
        if (answer.again[i]) {
            if (!why_known && result)
                error = own;
            why_known = true;
        } else if (result) {
            report(producer, entry, failed ? &own : NULL, result->offset, result->trace_id);
        } else {
            report(producer, entry, &error, (sl_offset){-1, -1}, NULL);
        }
    }
    if (answer.any_again) {
        sl_hc_batch_keep(batch, answer.again);
        if (answer.stopped)
            lane->retry_at_ms = 0;
        else
            retry_later(lane, &error, response->retry_after_ms);
    } else {
        batch->first = batch->count;
        land(lane);
    }
    sl_hc_answer_free(&answer);
}

static void take_trace_id(struct lane *lane, const struct sl_http_response *response)
{
    struct sl_hc_batch *batch = lane->flying;
    const struct sl_hc_entry *entry = &batch->entries[batch->first++];
    json_t *body = response->body.size ? json_loadb(response->body.data, response->body.size, 0, NULL) : NULL;
    uncount(lane->producer, 1, entry->payload_size);
    report(lane->producer, entry, NULL, (sl_offset){-1, -1},
           json_string_value(json_object_get(body, "TraceID")));
    json_decref(body);
    land(lane);
}

/* The batch as a whole is refused. Is it for one of its messages, the others shall not pay for it. */
static bool split(struct lane *lane, int status)
{
    struct producer *producer = lane->producer;
    struct sl_hc_batch *batch = lane->flying;
    if ((status != 400 && status != 413 && status != 422) || batch->count - batch->first < 2)
        return false;
    size_t size;
    sl_hc_batch_body(batch, &size);
    struct sl_hc_batch *half = sl_hc_batch_split(batch);
    if (!half)
        return false;
    pthread_mutex_lock(&producer->lock);
    half->next = lane->front;
    lane->front = half;
    if (!lane->back)
        lane->back = half;
    if (status == 413 && size / 2 < producer->max_bytes)
        producer->max_bytes = size / 2 > LEAST_BATCH ? size / 2 : LEAST_BATCH;
    pthread_mutex_unlock(&producer->lock);
    lane->retry_at_ms = 0;
    return true;
}

static void take_answer(struct lane *lane, const struct sl_http_response *response)
{
    if (response->status == 200) {
        sl_hc_outage_over(&lane->producer->outage, &lane->producer->host.log, SENDING);
        if (lane->producer->extended)
            take_results(lane, response);
        else
            take_trace_id(lane, response);
        return;
    }
    sl_error error;
    char what[SL_HTTP_DESCRIPTION];
    sl_http_describe("POST", lane->producer->url, what, sizeof what);
    sl_http_error(response, what, &error);
    if (response->status == 401 && !lane->signed_anew) {
        lane->signed_anew = lane->refused = true;
        lane->retry_at_ms = 0;
    } else if (error.retriable) {
        retry_later(lane, &error, response->retry_after_ms);
    } else if (!split(lane, response->status)) {
        fail_lane(lane, &error);
    }
}

/* Requests. */

static void on_done(void *opaque, struct sl_http_response *response)
{
    struct lane *lane = opaque;
    pthread_mutex_lock(&lane->producer->lock);
    lane->response = *response;
    memset(&response->body, 0, sizeof response->body); /* taken */
    lane->answered = true;
    lane->in_flight = false;
    poke(lane->producer);
    pthread_mutex_unlock(&lane->producer->lock);
}

static sl_status sign(struct lane *lane, sl_error *error)
{
    char *bearer = NULL;
    sl_status status = sl_auth_bearer(lane->producer->client->auth, lane->refused ? lane->bearer : NULL,
                                      &bearer, NULL, error);
    if (status)
        return status;
    free(lane->bearer);
    lane->bearer = bearer;
    lane->refused = false;
    return SL_OK;
}

static sl_status begin(struct lane *lane, sl_error *error)
{
    struct producer *producer = lane->producer;
    const struct sl_hc_batch *batch = lane->flying;
    struct sl_http_header headers[8];
    size_t count = 0;
    headers[count++] = (struct sl_http_header){"Authorization", lane->bearer};
    if (producer->extended) {
        headers[count++] = (struct sl_http_header){"Content-Type", SL_MEDIA_CBOR_SEQ};
        headers[count++] = (struct sl_http_header){"Accept", SL_MEDIA_CBOR_SEQ};
    } else {
        headers[count++] = (struct sl_http_header){"Content-Type", producer->layer.content_type};
        headers[count++] = (struct sl_http_header){"Accept", "application/json"};
        if (producer->layer.content_encoding)
            headers[count++] = (struct sl_http_header){"Content-Encoding", producer->layer.content_encoding};
        if (batch->trace_id)
            headers[count++] = (struct sl_http_header){"X-HERE-TraceId", batch->trace_id};
        if (batch->checksum)
            headers[count++] = (struct sl_http_header){"X-HERE-Checksum", batch->checksum};
        if (batch->key)
            headers[count++] = (struct sl_http_header){"X-HERE-Message-Key", batch->key};
    }
    int64_t left = batch->entries[batch->first].deadline_ms - sl_mono_ms();
    struct sl_http_request request = {
        .method = "POST",
        .url = producer->url,
        .headers = headers,
        .header_count = count,
        .max_response = ANSWER_BYTES + RESULT_BYTES * (batch->count - batch->first),
        .timeout_ms = (int)(left < 1                              ? 1
                            : left < producer->request_timeout_ms ? left
                                                                  : producer->request_timeout_ms),
    };
    request.body = sl_hc_batch_body(batch, &request.body_size);
    pthread_mutex_lock(&producer->lock);
    lane->in_flight = true;
    pthread_mutex_unlock(&producer->lock);
    sl_status status = sl_http_begin(producer->client->http, &request, on_done, lane, error);
    if (status) {
        pthread_mutex_lock(&producer->lock);
        lane->in_flight = false;
        pthread_mutex_unlock(&producer->lock);
    }
    return status;
}

/* Whether the engine has it. */
static bool launch(struct lane *lane)
{
    sl_error error;
    sl_status status = sign(lane, &error);
    if (!status)
        status = begin(lane, &error);
    if (status && error.retriable)
        retry_later(lane, &error, -1);
    else if (status)
        fail_lane(lane, &error);
    return !status;
}

/* Takes the answer that the engine has left, if it has. */
static bool collect(struct lane *lane, struct sl_http_response *response)
{
    pthread_mutex_lock(&lane->producer->lock);
    bool answered = lane->answered;
    if (answered) {
        *response = lane->response;
        memset(&lane->response, 0, sizeof lane->response);
        lane->answered = false;
    }
    pthread_mutex_unlock(&lane->producer->lock);
    return answered;
}

/* Takes the next batch in hand if there is none. Whether the engine has it already. */
static bool pick_up(struct lane *lane)
{
    struct producer *producer = lane->producer;
    pthread_mutex_lock(&producer->lock);
    if (!lane->busy && lane->front) {
        lane->flying = lane->front;
        lane->front = lane->flying->next;
        if (!lane->front)
            lane->back = NULL;
        lane->flying->next = NULL;
        lane->busy = true;
    }
    bool under_way = lane->in_flight || lane->answered;
    pthread_mutex_unlock(&producer->lock);
    return under_way;
}

/* One look at a lane, without the lock. Returns when it wants the next one. */
static int64_t serve(struct lane *lane)
{
    struct sl_http_response response;
    if (collect(lane, &response)) {
        take_answer(lane, &response);
        sl_http_response_free(&response);
    }
    if (pick_up(lane) || !lane->flying)
        return INT64_MAX;
    int64_t due = expire_flying(lane);
    if (!lane->flying)
        return 0; /* on to the next batch */
    if (lane->retry_at_ms > sl_mono_ms())
        return lane->retry_at_ms < due ? lane->retry_at_ms : due;
    return launch(lane) ? INT64_MAX : 0;
}

static void *send_on(void *opaque)
{
    struct producer *producer = opaque;
    pthread_mutex_lock(&producer->lock);
    while (!producer->closing) {
        producer->poked = false;
        pthread_mutex_unlock(&producer->lock);
        int64_t next = INT64_MAX;
        for (size_t i = 0; i < producer->lane_count; i++) {
            int64_t wanted = serve(&producer->lanes[i]);
            next = wanted < next ? wanted : next;
        }
        pthread_mutex_lock(&producer->lock);
        while (!producer->poked && !producer->closing && sl_mono_ms() < next)
            sl_hc_cond_wait(&producer->changed, &producer->lock, next);
    }
    pthread_mutex_unlock(&producer->lock);
    return NULL;
}

/* Opening and closing. */

static sl_status read_settings(struct producer *producer, const struct sl_client *client, sl_error *error)
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
    producer->max_bytes = (size_t)bytes;
    producer->max_messages = (size_t)messages;
    return SL_OK;
}

static sl_status prepare(struct producer *producer, const struct sl_target *target, sl_error *error)
{
    char *base = NULL;
    sl_status status =
        sl_client_base_url(target->client, target->hrn, "ingest", "v1", &base, &producer->extended, error);
    if (status)
        return status;
    producer->url = sl_hc_layer_url(base, target->layer, "");
    free(base);
    if (!producer->url)
        return sl_error_oom(error);
    sl_error why;
    status = sl_hc_layer_get(target->client, target->hrn, target->layer, &producer->layer, &why);
    /* Who may write need not be allowed to look at the catalog; a batch has no use for the content type. */
    if (status && !(producer->extended && status == SL_FORBIDDEN)) {
        if (error)
            *error = why;
        return status;
    }
    return read_settings(producer, target->client, error);
}

static void free_producer(struct producer *producer)
{
    for (size_t i = 0; i < producer->lane_count && producer->lanes; i++) {
        sl_http_response_free(&producer->lanes[i].response);
        free(producer->lanes[i].bearer);
    }
    free(producer->lanes);
    while (producer->spare) {
        struct sl_hc_batch *batch = producer->spare;
        producer->spare = batch->next;
        sl_hc_batch_free(batch);
    }
    sl_hc_layer_free(&producer->layer);
    free(producer->url);
    pthread_cond_destroy(&producer->changed);
    pthread_mutex_destroy(&producer->lock);
    free(producer);
}

sl_status sl_hc_producer_open(const struct sl_host *host, const struct sl_target *target,
                              const struct sl_producer_settings *settings, void **opened, sl_error *error)
{
    struct producer *producer = calloc(1, sizeof *producer);
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
    if (!status && pthread_create(&producer->sender, NULL, send_on, producer))
        status = sl_error_set(error, SL_INTERNAL, "no thread for sending could be started");
    if (status) {
        free_producer(producer);
        return status;
    }
    *opened = producer;
    return SL_OK;
}

void sl_hc_producer_close(void *opaque)
{
    struct producer *producer = opaque;
    pthread_mutex_lock(&producer->lock);
    producer->closing = true;
    pthread_cond_broadcast(&producer->changed);
    pthread_mutex_unlock(&producer->lock);
    pthread_join(producer->sender, NULL);
    sl_error error;
    sl_error_set(&error, SL_TIMED_OUT, "the producer was closed before the message was delivered");
    for (size_t i = 0; i < producer->lane_count; i++) {
        struct lane *lane = &producer->lanes[i];
        sl_http_cancel(producer->client->http, lane);
        pthread_mutex_lock(&producer->lock);
        while (lane->in_flight)
            pthread_cond_wait(&producer->changed, &producer->lock);
        bool answered = lane->answered && lane->response.status == 200;
        pthread_mutex_unlock(&producer->lock);
        if (answered)
            take_answer(lane, &lane->response);
        if (lane->flying)
            fail_lane(lane, &error);
        while (lane->front) {
            struct sl_hc_batch *batch = lane->front;
            lane->front = batch->next;
            fail_batch(producer, batch, &error);
            sl_hc_batch_free(batch);
        }
    }
    free_producer(producer);
}
