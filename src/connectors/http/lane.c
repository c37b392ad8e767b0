#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"
#include "client/lookup.h"
#include "connectors/http/producer.h"

enum {
    LEAST_BATCH = 1024,      /* bytes that a batch may have, however little the platform takes */
    LEAST_PACED = 16384,     /* the same, however slow the layer is: smaller ones would not make it faster */
    GROWTH = 16,             /* a batch that the layer takes at once makes room for such a part more */
    RESULT_BYTES = 1024,     /* of an answer, a message */
    ANSWER_BYTES = 1u << 20, /* of an answer besides */
    REPORTS = 128,
    OWN_HEADERS = 4,   /* of a request besides what the message brings */
    LOOK_UP_AFTER = 3, /* tries in a row that find no server */
    LOOK_UP_MS = 2000  /* which holds up the lanes */
};

#define SENDING "sending messages"

/* Reporting: the sender's thread, or the closing one after it. Without the lock. */

static void uncount(struct sl_hc_producer *producer, size_t messages, size_t bytes)
{
    pthread_mutex_lock(&producer->lock);
    producer->queued -= messages;
    producer->queued_bytes -= bytes;
    pthread_mutex_unlock(&producer->lock);
}

static void report(struct sl_hc_producer *producer, const struct sl_hc_entry *entry, const sl_error *error,
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
static void fail_batch(struct sl_hc_producer *producer, struct sl_hc_batch *batch, const sl_error *error)
{
    for (; batch->first < batch->count; batch->first++) {
        const struct sl_hc_entry *entry = &batch->entries[batch->first];
        uncount(producer, 1, entry->payload_size);
        report(producer, entry, error, (sl_offset){-1, -1}, NULL);
    }
}

/* The lane is done with what it had in flight. */
static void land(struct sl_hc_lane *lane)
{
    struct sl_hc_producer *producer = lane->producer;
    lane->failures = 0;
    lane->signed_anew = false;
    lane->retry_at_ms = 0;
    lane->last.status = SL_OK;
    pthread_mutex_lock(&producer->lock);
    sl_hc_producer_recycle(producer, lane->flying);
    lane->flying = NULL;
    lane->busy = false;
    pthread_mutex_unlock(&producer->lock);
}

static void fail_lane(struct sl_hc_lane *lane, const sl_error *error)
{
    fail_batch(lane->producer, lane->flying, error);
    land(lane);
}

static void retry_later(struct sl_hc_lane *lane, const sl_error *error, int retry_after_ms)
{
    struct sl_hc_producer *producer = lane->producer;
    lane->failures++;
    sl_hc_outage_note(&producer->outage, &producer->host.log, SENDING, error);
    lane->last = *error;
    /* Who says when there is room again need not be asked less and less often. */
    bool told = error->http_status == 429 && retry_after_ms >= 0;
    lane->retry_at_ms =
        sl_mono_ms() + sl_hc_backoff_ms(&producer->backoff, told ? 1 : lane->failures, retry_after_ms);
}

static void timed_out(const struct sl_hc_producer *producer, const struct sl_hc_lane *lane, sl_error *error)
{
    sl_error_set(error, SL_TIMED_OUT, "not delivered within %lld ms%s%s",
                 (long long)producer->delivery_timeout_ms, lane->last.status ? "; the last try: " : "",
                 lane->last.status ? lane->last.text : "");
    error->retriable = true;
}

/* Reports what has run out of time of the batch in hand, which the engine must not have. Returns when the
 * next one will. */
static int64_t expire_flying(struct sl_hc_lane *lane)
{
    struct sl_hc_producer *producer = lane->producer;
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

/* Reports of delivered messages, gathered: the core takes many at once for less. */
struct reports {
    struct sl_hc_producer *producer;
    size_t count;
    struct sl_report list[REPORTS];
};

static void hand_over(struct reports *reports)
{
    const struct sl_host *host = &reports->producer->host;
    if (reports->count)
        host->delivered_many(host->core, reports->list, reports->count);
    reports->count = 0;
}

static void add_report(struct reports *reports, const struct sl_hc_entry *entry,
                       const struct sl_result *result)
{
    bool other = result->trace_id && sl_hc_hash(result->trace_id, strlen(result->trace_id)) != entry->trace;
    reports->list[reports->count++] = (struct sl_report){
        .ticket = entry->ticket,
        .outcome = {.offset = result->offset, .trace_id = other ? result->trace_id : NULL}};
    if (reports->count == REPORTS)
        hand_over(reports);
}

/* The layer did not take the batch in hand in time, or did: batches are as large as it takes them. */
static void pace(const struct sl_hc_lane *lane, bool taken)
{
    struct sl_hc_producer *producer = lane->producer;
    size_t size;
    sl_hc_batch_body(lane->flying, &size);
    pthread_mutex_lock(&producer->lock);
    if (!taken && size / 2 < producer->max_bytes)
        producer->max_bytes = size / 2 > LEAST_PACED ? size / 2 : LEAST_PACED;
    else if (taken)
        producer->max_bytes += producer->max_bytes / GROWTH;
    if (producer->max_bytes > producer->most_bytes)
        producer->max_bytes = producer->most_bytes;
    pthread_mutex_unlock(&producer->lock);
}

static bool is_throttled(const char *code)
{
    return code && !strcmp(code, "throttled");
}

/* Whether the answer to the batch says that the layer's throughput is reached. */
static bool results_are_throttled(const struct sl_hc_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        if (is_throttled(answer->results[i].code))
            return true;
    return false;
}

static void take_results(struct sl_hc_lane *lane, const struct sl_http_response *response)
{
    struct sl_hc_producer *producer = lane->producer;
    struct sl_hc_batch *batch = lane->flying;
    struct sl_hc_answer answer;
    sl_error error;
    sl_status status = sl_hc_answer_read(&answer, batch, response->body.data, response->body.size, &error);
    if (status == SL_OUT_OF_MEMORY && !answer.again) { /* nothing is known of any */
        sl_hc_answer_free(&answer);
        fail_lane(lane, &error);
        return;
    }
    pace(lane, !results_are_throttled(&answer));
    size_t total = batch->count - batch->first, done = 0, bytes = 0;
    for (size_t i = 0; i < total; i++)
        if (!answer.again[i]) {
            done++;
            bytes += batch->entries[batch->first + i].payload_size;
        }
    uncount(producer, done, bytes);
    bool why_known = status != SL_OK;
    struct reports reports = {.producer = producer};
    for (size_t i = 0; i < total; i++) {
        const struct sl_hc_entry *entry = &batch->entries[batch->first + i];
        const struct sl_result *result = i < answer.count ? &answer.results[i] : NULL;
        sl_error own;
        sl_status failed = !result ? status : sl_hc_result_error(result, &own);
        if (result && !failed) {
            add_report(&reports, entry, result);
            continue;
        }
        hand_over(&reports);
        if (answer.again[i]) {
            if (!why_known && result)
                error = own;
            why_known = true;
        } else if (result) {
            report(producer, entry, &own, result->offset, result->trace_id);
        } else {
            report(producer, entry, &error, (sl_offset){-1, -1}, NULL);
        }
    }
    hand_over(&reports);
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

static void take_trace_id(struct sl_hc_lane *lane, const struct sl_http_response *response)
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

/* The latter half of the batch in hand is the lane's next one. */
static bool halve(struct sl_hc_lane *lane)
{
    struct sl_hc_producer *producer = lane->producer;
    struct sl_hc_batch *batch = lane->flying;
    if (batch->count - batch->first < 2)
        return false;
    struct sl_hc_batch *half = sl_hc_batch_split(batch);
    if (!half)
        return false;
    pthread_mutex_lock(&producer->lock);
    half->next = lane->front;
    lane->front = half;
    if (!lane->back)
        lane->back = half;
    pthread_mutex_unlock(&producer->lock);
    return true;
}

/* The batch as a whole is refused. Is it for one of its messages, the others shall not pay for it. */
static bool split(struct sl_hc_lane *lane, int status)
{
    struct sl_hc_producer *producer = lane->producer;
    size_t size;
    sl_hc_batch_body(lane->flying, &size);
    if ((status != 400 && status != 413 && status != 422) || !halve(lane))
        return false;
    pthread_mutex_lock(&producer->lock);
    if (status == 413 && size / 2 < producer->most_bytes) {
        producer->most_bytes = size / 2 > LEAST_BATCH ? size / 2 : LEAST_BATCH;
        if (producer->max_bytes > producer->most_bytes)
            producer->max_bytes = producer->most_bytes;
    }
    pthread_mutex_unlock(&producer->lock);
    lane->retry_at_ms = 0;
    return true;
}

/* Whether it was too much at once: the layer's throughput is reached, or there was no answer in time. */
static bool was_too_much(const struct sl_http_response *response, const sl_error *error)
{
    const struct sl_buffer *bytes = &response->body;
    if (response->status != 429)
        return !response->status && error->status == SL_TIMED_OUT && !response->unsent;
    json_t *body = bytes->size ? json_loadb(bytes->data, bytes->size, 0, NULL) : NULL;
    bool throttled = is_throttled(json_string_value(json_object_get(body, "code")));
    json_decref(body);
    return throttled;
}

/* Where the batch in hand goes. */
static const char *address(const struct sl_hc_lane *lane)
{
    return lane->flying->kind == SL_HC_PARTITION ? lane->producer->publish : lane->producer->ingest;
}

static void take_answer(struct sl_hc_lane *lane, const struct sl_http_response *response)
{
    struct sl_hc_producer *producer = lane->producer;
    enum sl_hc_kind kind = lane->flying->kind;
    if (response->status) {
        producer->unreached = 0;
    } else if (response->unsent) {
        producer->unreached++;
        sl_client_note_unreachable(producer->client, address(lane));
    }
    if (response->status == (kind == SL_HC_PARTITION ? 204 : 200)) {
        sl_hc_outage_over(&producer->outage, &producer->host.log, SENDING);
        if (kind == SL_HC_RECORDS)
            take_results(lane, response);
        else
            take_trace_id(lane, response);
        return;
    }
    sl_error error;
    char what[SL_HTTP_DESCRIPTION];
    sl_http_describe("POST", address(lane), what, sizeof what);
    sl_http_error(response, what, &error);
    if (response->status == 401 && !lane->signed_anew) {
        lane->signed_anew = lane->refused = true;
        lane->retry_at_ms = 0;
    } else if (error.retriable) {
        if (kind == SL_HC_RECORDS && was_too_much(response, &error))
            pace(lane, false);
        retry_later(lane, &error, response->retry_after_ms);
    } else if (!split(lane, response->status)) {
        fail_lane(lane, &error);
    }
}

/* Requests. */

static void on_done(void *opaque, struct sl_http_response *response)
{
    struct sl_hc_lane *lane = opaque;
    pthread_mutex_lock(&lane->producer->lock);
    sl_hc_traffic_count(&lane->producer->traffic, response);
    lane->response = *response;
    memset(&response->body, 0, sizeof response->body); /* taken */
    lane->answered = true;
    lane->in_flight = false;
    sl_hc_producer_poke(lane->producer);
    pthread_mutex_unlock(&lane->producer->lock);
}

/* Not for longer than the batch in hand, and the others, can wait. */
static sl_status sign(struct sl_hc_lane *lane, sl_error *error)
{
    struct sl_hc_producer *producer = lane->producer;
    char *bearer = NULL;
    int64_t deadline = sl_mono_ms() + producer->request_timeout_ms;
    int64_t expiry = lane->flying->entries[lane->flying->first].deadline_ms;
    sl_status status = sl_auth_bearer_until(producer->client->auth, lane->refused ? lane->bearer : NULL,
                                            deadline < expiry ? deadline : expiry, &producer->cancelled,
                                            &bearer, NULL, error);
    if (status)
        return status;
    sl_secret_free(&lane->bearer);
    lane->bearer = bearer;
    lane->refused = false;
    return SL_OK;
}

static size_t fill_headers(const struct sl_hc_lane *lane, struct sl_http_header *headers)
{
    const struct sl_hc_producer *producer = lane->producer;
    const struct sl_hc_batch *batch = lane->flying;
    bool records = batch->kind == SL_HC_RECORDS, partition = batch->kind == SL_HC_PARTITION;
    size_t count = 0;
    headers[count++] = (struct sl_http_header){"Authorization", lane->bearer};
    headers[count++] = (struct sl_http_header){"Content-Type", records     ? SL_MEDIA_CBOR_SEQ
                                                               : partition ? "application/json"
                                                                           : producer->layer.content_type};
    headers[count++] = (struct sl_http_header){"Accept", records ? SL_MEDIA_CBOR_SEQ : "application/json"};
    if (batch->kind == SL_HC_PAYLOAD && producer->layer.content_encoding)
        headers[count++] = (struct sl_http_header){"Content-Encoding", producer->layer.content_encoding};
    for (size_t i = 0; i < batch->field_count; i++)
        headers[count++] = (struct sl_http_header){batch->fields[i].name, batch->fields[i].value};
    return count;
}

static sl_status begin(struct sl_hc_lane *lane, sl_error *error)
{
    struct sl_hc_producer *producer = lane->producer;
    const struct sl_hc_batch *batch = lane->flying;
    struct sl_http_header *headers = calloc(batch->field_count + OWN_HEADERS, sizeof *headers);
    if (!headers)
        return sl_error_oom(error);
    int64_t left = batch->entries[batch->first].deadline_ms - sl_mono_ms();
    struct sl_http_request request = {
        .method = "POST",
        .url = address(lane),
        .headers = headers,
        .header_count = fill_headers(lane, headers),
        .max_response = ANSWER_BYTES + RESULT_BYTES * (batch->count - batch->first),
        .timeout_ms = (int)(left < 1                              ? 1
                            : left < producer->request_timeout_ms ? left
                                                                  : producer->request_timeout_ms),
    };
    request.body = sl_hc_batch_body(batch, &request.body_size);
    pthread_mutex_lock(&producer->lock);
    lane->in_flight = true;
    *(batch->kind == SL_HC_RECORDS ? &producer->batches : &producer->singles) += 1;
    producer->traffic.retries += lane->failures > 0;
    pthread_mutex_unlock(&producer->lock);
    sl_status status = sl_http_begin(producer->client->http, &request, on_done, lane, error);
    if (status) {
        pthread_mutex_lock(&producer->lock);
        lane->in_flight = false;
        pthread_mutex_unlock(&producer->lock);
    }
    free(headers);
    return status;
}

/* Whether the engine has it. */
static bool launch(struct sl_hc_lane *lane)
{
    struct sl_hc_producer *producer = lane->producer;
    sl_error error;
    if (producer->unreached >= LOOK_UP_AFTER) { /* perhaps the server is elsewhere by now */
        producer->unreached = 0;
        (void)!sl_hc_producer_look_up(producer, sl_mono_ms() + LOOK_UP_MS, NULL);
    }
    sl_status status = sign(lane, &error);
    if (!status)
        status = begin(lane, &error);
    if (status && atomic_load(&producer->cancelled))
        return false; /* closing reports it */
    if (status && error.retriable)
        retry_later(lane, &error, -1);
    else if (status)
        fail_lane(lane, &error);
    return !status;
}

/* Takes the answer that the engine has left, if it has. */
static bool collect(struct sl_hc_lane *lane, struct sl_http_response *response)
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
static bool pick_up(struct sl_hc_lane *lane)
{
    struct sl_hc_producer *producer = lane->producer;
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

/* What the layer does not take at once goes one after the other. */
static void cut_to_size(struct sl_hc_lane *lane)
{
    struct sl_hc_producer *producer = lane->producer;
    if (lane->flying->kind != SL_HC_RECORDS)
        return;
    pthread_mutex_lock(&producer->lock);
    size_t size, most = producer->max_bytes;
    pthread_mutex_unlock(&producer->lock);
    do
        sl_hc_batch_body(lane->flying, &size);
    while (size > most && halve(lane));
}

/* One look at a lane, without the lock. Returns when it wants the next one. */
static int64_t serve(struct sl_hc_lane *lane)
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
    cut_to_size(lane);
    return launch(lane) ? INT64_MAX : 0;
}

void *sl_hc_producer_run(void *opaque)
{
    struct sl_hc_producer *producer = opaque;
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

void sl_hc_lane_end(struct sl_hc_lane *lane, const sl_error *error)
{
    struct sl_hc_producer *producer = lane->producer;
    sl_http_cancel(producer->client->http, lane);
    pthread_mutex_lock(&producer->lock);
    while (lane->in_flight)
        pthread_cond_wait(&producer->changed, &producer->lock);
    bool answered = lane->answered && lane->response.status / 100 == 2;
    pthread_mutex_unlock(&producer->lock);
    if (answered)
        take_answer(lane, &lane->response);
    if (lane->flying)
        fail_lane(lane, error);
    while (lane->front) {
        struct sl_hc_batch *batch = lane->front;
        lane->front = batch->next;
        fail_batch(producer, batch, error);
        sl_hc_batch_free(batch);
    }
}
