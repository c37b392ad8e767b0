#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "connectors/http/consumer.h"

enum {
    PLAIN_ANSWER = 128u << 20,  /* where a poll cannot be told how much it may bring */
    ANSWER_BESIDES = 32u << 20, /* beside the payload that was asked for: keys, headers, one large message */
    FIRST_PAUSE_MS = 20,        /* between empty polls that the platform does not hold */
    LONGEST_PAUSE_MS = 500
};

#define RECEIVING "receiving messages"

static void on_done(void *opaque, struct sl_http_response *response)
{
    struct sl_hc_consumer *consumer = opaque;
    pthread_mutex_lock(&consumer->lock);
    consumer->response = *response;
    memset(&response->body, 0, sizeof response->body); /* taken */
    consumer->answered = true;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
}

static sl_status exchange_once(struct sl_hc_consumer *consumer, const struct sl_http_request *request,
                               const char *bearer, struct sl_http_response *response, sl_error *error)
{
    struct sl_http_header headers[8];
    struct sl_http_request with = *request;
    if (request->header_count + 2 > sizeof headers / sizeof *headers)
        return sl_error_set(error, SL_INTERNAL, "too many headers");
    for (size_t i = 0; i < request->header_count; i++)
        headers[i] = request->headers[i];
    headers[with.header_count++] = (struct sl_http_header){"Authorization", bearer};
    char correlation[sizeof consumer->correlation];
    pthread_mutex_lock(&consumer->lock);
    memcpy(correlation, consumer->correlation, sizeof correlation);
    consumer->answered = false;
    pthread_mutex_unlock(&consumer->lock);
    if (*correlation)
        headers[with.header_count++] = (struct sl_http_header){"X-Correlation-Id", correlation};
    with.headers = headers;
    sl_status status = sl_http_begin(consumer->client->http, &with, on_done, consumer, error);
    if (status)
        return status;
    pthread_mutex_lock(&consumer->lock);
    while (!consumer->answered)
        pthread_cond_wait(&consumer->changed, &consumer->lock);
    *response = consumer->response;
    memset(&consumer->response, 0, sizeof consumer->response);
    pthread_mutex_unlock(&consumer->lock);
    if (response->status)
        return SL_OK;
    if (error)
        *error = response->error;
    return response->error.status;
}

sl_status sl_hc_exchange(struct sl_hc_consumer *consumer, struct sl_http_request *request,
                         struct sl_http_response *response, sl_error *error)
{
    memset(response, 0, sizeof *response);
    response->unsent = true; /* until something is */
    char *bearer = NULL;
    sl_status status = sl_auth_bearer(consumer->client->auth, NULL, &bearer, NULL, error);
    if (!status)
        status = exchange_once(consumer, request, bearer, response, error);
    if (!status && response->status == 401) {
        char *refused = bearer;
        bearer = NULL;
        sl_http_response_free(response);
        memset(response, 0, sizeof *response);
        response->unsent = true;
        status = sl_auth_bearer(consumer->client->auth, refused, &bearer, NULL, error);
        free(refused);
        if (!status)
            status = exchange_once(consumer, request, bearer, response, error);
    }
    free(bearer);
    return status;
}

/* Under the lock. */
void sl_hc_drop_queue(struct sl_hc_consumer *consumer, const sl_offset *partitions, size_t count)
{
    struct sl_hc_chunk **place = &consumer->first;
    consumer->last = NULL;
    consumer->queued_bytes = 0;
    while (*place) {
        struct sl_hc_chunk *chunk = *place;
        sl_hc_chunk_drop(chunk, partitions, count);
        if (chunk->handed == chunk->count) {
            *place = chunk->next;
            sl_hc_chunk_unlink(chunk);
            continue;
        }
        consumer->last = chunk;
        consumer->queued_bytes += chunk->bytes;
        place = &chunk->next;
    }
}

/* Notes that it goes wrong at present, and when to try again. */
static void note_failure(struct sl_hc_consumer *consumer, const sl_error *error, int retry_after_ms)
{
    sl_hc_outage_note(&consumer->outage, &consumer->host.log, RECEIVING, error);
    pthread_mutex_lock(&consumer->lock);
    int64_t now = sl_mono_ms();
    if (!consumer->failing_since_ms)
        consumer->failing_since_ms = now;
    consumer->failure = *error;
    consumer->failures++;
    consumer->next_poll_ms = now + sl_hc_backoff_ms(&consumer->backoff, consumer->failures, retry_after_ms);
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
}

static void note_fatal(struct sl_hc_consumer *consumer, const sl_error *error)
{
    pthread_mutex_lock(&consumer->lock);
    consumer->failure = *error;
    consumer->failure.fatal = true;
    consumer->failure.retriable = false;
    consumer->stopped = true;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
}

/* The subscription is gone, or cannot be trusted: an answer was lost on the way, and its messages with it,
 * for the platform believes them delivered. */
static void note_lost(struct sl_hc_consumer *consumer, bool gone, const sl_error *why)
{
    SL_WARNING(&consumer->host.log,
               "layer %s of %s: %s (%s); subscribing anew: messages that are not committed come again",
               consumer->layer, consumer->hrn,
               gone ? "the subscription is gone" : "the answer to a poll was lost", why->text);
    if (!gone)
        sl_hc_unsubscribe(consumer, NULL);
    pthread_mutex_lock(&consumer->lock);
    consumer->lost = true;
    sl_hc_drop_queue(consumer, NULL, 0);
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
}

/* How long to leave the platform alone after an empty answer. It grows. Nothing where the platform has held
 * the poll already. */
static int64_t empty_pause_ms(const struct sl_hc_consumer *consumer, int64_t took_ms)
{
    if (consumer->extended && took_ms >= FIRST_PAUSE_MS)
        return 0;
    int64_t most = consumer->max_wait_ms < LONGEST_PAUSE_MS ? consumer->max_wait_ms : LONGEST_PAUSE_MS;
    int64_t pause_ms = FIRST_PAUSE_MS;
    for (unsigned i = 1; i < consumer->empties && pause_ms < most; i++)
        pause_ms *= 2;
    return pause_ms <= most || most < FIRST_PAUSE_MS ? pause_ms : most;
}

/* An answer was lost, or cannot be read. A platform of ours is told with each poll how many arrived, and
 * gives the same again; elsewhere only a new subscription does. */
static void note_lost_answer(struct sl_hc_consumer *consumer, sl_error *why, int retry_after_ms)
{
    why->retriable = true;
    if (!consumer->extended)
        note_lost(consumer, false, why);
    note_failure(consumer, why, retry_after_ms);
}

static void note_chunk(struct sl_hc_consumer *consumer, struct sl_hc_chunk *chunk, int64_t took_ms)
{
    sl_hc_outage_over(&consumer->outage, &consumer->host.log, RECEIVING);
    consumer->trusted = true;
    consumer->received += chunk != NULL;
    consumer->empties = chunk ? 0 : consumer->empties + 1;
    int64_t pause_ms = chunk ? 0 : empty_pause_ms(consumer, took_ms);
    pthread_mutex_lock(&consumer->lock);
    consumer->failing_since_ms = 0;
    consumer->failures = 0;
    consumer->failure.status = SL_OK;
    consumer->next_poll_ms = pause_ms ? sl_mono_ms() + pause_ms : 0;
    if (chunk) {
        if (consumer->last)
            consumer->last->next = chunk;
        else
            consumer->first = chunk;
        consumer->last = chunk;
        consumer->queued_bytes += chunk->bytes;
    }
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
}

static void take_answer(struct sl_hc_consumer *consumer, struct sl_http_response *response, const char *url,
                        int64_t took_ms)
{
    sl_error error;
    if (response->status == 200) {
        struct sl_hc_chunk *chunk = NULL;
        bool cbor = !strncmp(response->content_type, SL_MEDIA_CBOR_SEQ, strlen(SL_MEDIA_CBOR_SEQ));
        sl_status status = sl_hc_chunk_read(response, cbor, &chunk, &error);
        if (status) {
            note_lost_answer(consumer, &error, -1);
        } else {
            sl_hc_note_correlation(consumer, response);
            note_chunk(consumer, chunk, took_ms);
        }
        return;
    }
    char what[SL_HTTP_DESCRIPTION];
    sl_http_describe("GET", url, what, sizeof what);
    sl_http_error(response, what, &error);
    if (response->status == 404) {
        note_lost(consumer, true, &error);
        if (!consumer->trusted) /* not one poll was answered: not so fast */
            note_failure(consumer, &error, -1);
    } else if (response->status == 502 || response->status == 504) { /* of something in between */
        note_lost_answer(consumer, &error, response->retry_after_ms);
    } else if (error.retriable || response->status == 401) {
        note_failure(consumer, &error, response->retry_after_ms);
    } else {
        note_fatal(consumer, &error);
    }
}

static char *poll_url(struct sl_hc_consumer *consumer, size_t *max_bytes)
{
    pthread_mutex_lock(&consumer->lock);
    char *url = consumer->subscription ? sl_hc_subscription_url(consumer, "partitions") : NULL;
    size_t queued = consumer->queued_bytes;
    pthread_mutex_unlock(&consumer->lock);
    *max_bytes = queued < consumer->prefetch_bytes ? consumer->prefetch_bytes - queued : 1;
    if (!url || !consumer->extended)
        return url;
    char *more = sl_printf("%s&maxWaitMs=%lld&maxBytes=%zu&received=%llu", url,
                           (long long)consumer->max_wait_ms, *max_bytes, consumer->received);
    free(url);
    return more;
}

static void poll_once(struct sl_hc_consumer *consumer)
{
    sl_error error;
    size_t max_bytes;
    char *url = poll_url(consumer, &max_bytes);
    if (!url) {
        sl_error_oom(&error);
        note_failure(consumer, &error, -1);
        return;
    }
    const struct sl_http_header headers[] = {
        {"Accept", consumer->extended ? SL_MEDIA_CBOR_SEQ : "application/json"}};
    struct sl_http_request request = {
        .method = "GET",
        .url = url,
        .headers = headers,
        .header_count = 1,
        .max_response = consumer->extended ? ANSWER_BESIDES + max_bytes + max_bytes / 2 : PLAIN_ANSWER,
        .timeout_ms = (int)(consumer->request_timeout_ms + (consumer->extended ? consumer->max_wait_ms : 0)),
        .parked = true,
    };
    struct sl_http_response response;
    int64_t begin_ms = sl_mono_ms();
    sl_status status = sl_hc_exchange(consumer, &request, &response, &error);
    pthread_mutex_lock(&consumer->lock);
    bool closing = consumer->closing;
    pthread_mutex_unlock(&consumer->lock);
    if (closing) {
        /* What it brought comes again to whoever is next in the group. */
    } else if (!status) {
        take_answer(consumer, &response, url, sl_mono_ms() - begin_ms);
    } else if (response.unsent) {
        if (error.retriable)
            note_failure(consumer, &error, -1);
        else
            note_fatal(consumer, &error);
    } else {
        note_lost_answer(consumer, &error, -1);
    }
    sl_http_response_free(&response);
    free(url);
}

static void subscribe_again(struct sl_hc_consumer *consumer)
{
    sl_error error;
    sl_status status = sl_hc_subscribe(consumer, &error);
    if (status == SL_OK) {
        SL_INFO(&consumer->host.log, "layer %s of %s: subscribed anew", consumer->layer, consumer->hrn);
        consumer->trusted = false;
        consumer->received = 0;
        pthread_mutex_lock(&consumer->lock);
        sl_hc_drop_queue(consumer, NULL, 0); /* it comes again */
        consumer->next_poll_ms = 0;
        pthread_cond_broadcast(&consumer->changed);
        pthread_mutex_unlock(&consumer->lock);
    } else if (error.retriable) {
        note_failure(consumer, &error, -1);
    } else {
        note_fatal(consumer, &error);
    }
}

/* Nothing to do before that; under the lock. */
static int64_t idle_until(const struct sl_hc_consumer *consumer)
{
    if (!consumer->lost && (consumer->pauses || consumer->queued_bytes > consumer->prefetch_bytes / 2))
        return INT64_MAX;
    return consumer->next_poll_ms;
}

void *sl_hc_fetch(void *opaque)
{
    struct sl_hc_consumer *consumer = opaque;
    pthread_mutex_lock(&consumer->lock);
    while (!consumer->closing && !consumer->stopped) {
        int64_t until = idle_until(consumer);
        if (until > sl_mono_ms()) {
            sl_hc_cond_wait(&consumer->changed, &consumer->lock, until);
            continue;
        }
        bool lost = consumer->lost;
        *(lost ? &consumer->subscribing : &consumer->polling) = true;
        pthread_mutex_unlock(&consumer->lock);
        if (lost)
            subscribe_again(consumer);
        else
            poll_once(consumer);
        pthread_mutex_lock(&consumer->lock);
        consumer->subscribing = consumer->polling = false;
        pthread_cond_broadcast(&consumer->changed);
    }
    consumer->stopped = true;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
    return NULL;
}
