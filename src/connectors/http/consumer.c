#include "connectors/http/consumer.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"

enum {
    FAILING_SHOWN_MS = 5000, /* trouble that lasts is told to who polls; before that it is only mended */
    CLOSE_WAIT_MS = 3000     /* for a poll under way to end by itself */
};

static void free_consumer(struct sl_hc_consumer *consumer)
{
    sl_hc_drop_queue(consumer, NULL, 0);
    sl_http_response_free(&consumer->response);
    free(consumer->base);
    free(consumer->layer);
    free(consumer->hrn);
    free(consumer->named_group);
    free(consumer->node);
    free(consumer->subscription);
    free(consumer->group);
    pthread_cond_destroy(&consumer->changed);
    pthread_mutex_destroy(&consumer->lock);
    free(consumer);
}

static sl_status prepare(struct sl_hc_consumer *consumer, const struct sl_target *target,
                         const struct sl_consumer_settings *settings, sl_error *error)
{
    const sl_config *config = target->client->config;
    consumer->start = settings->start;
    consumer->prefetch_bytes = settings->prefetch_bytes ? settings->prefetch_bytes : 1;
    consumer->join_timeout_ms = settings->join_timeout_ms;
    consumer->layer = sl_strdup(target->layer);
    consumer->hrn = sl_strdup(target->hrn);
    consumer->named_group = sl_strdup(settings->group);
    if (!sl_random_hex(consumer->wish, sizeof consumer->wish - 1))
        return sl_error_set(error, SL_INTERNAL, "the system has no random numbers");
    if (!consumer->layer || !consumer->hrn || (settings->group && !consumer->named_group))
        return sl_error_oom(error);
    sl_status status =
        sl_config_duration_ms(config, SL_ROOT "stream.http.poll.max-wait", &consumer->max_wait_ms, error);
    if (!status)
        status = sl_config_duration_ms(config, SL_ROOT "http.request-timeout", &consumer->request_timeout_ms,
                                       error);
    if (!status)
        status = sl_hc_backoff_init(&consumer->backoff, config, error);
    if (!status)
        status = sl_client_base_url(target->client, target->hrn, "stream", "v2", &consumer->base,
                                    &consumer->extended, error);
    return status;
}

/* As often as the time for joining allows. A try that timed out is not repeated where we cannot choose the
 * subscription's id: it may have left one behind, whose partitions only its end would free. */
static sl_status subscribe_first(struct sl_hc_consumer *consumer, sl_error *error)
{
    int64_t deadline = sl_mono_ms() + consumer->join_timeout_ms;
    sl_error why;
    for (unsigned tries = 1;; tries++) {
        sl_status status = sl_hc_subscribe(consumer, &why);
        int64_t next = sl_mono_ms() + sl_hc_backoff_ms(&consumer->backoff, tries, -1);
        if (!status)
            return SL_OK;
        if (!why.retriable || (status == SL_TIMED_OUT && !consumer->extended) || next > deadline) {
            if (error)
                *error = why;
            return status;
        }
        pthread_mutex_lock(&consumer->lock);
        while (sl_mono_ms() < next)
            sl_hc_cond_wait(&consumer->changed, &consumer->lock, next);
        pthread_mutex_unlock(&consumer->lock);
    }
}

sl_status sl_hc_consumer_open(const struct sl_host *host, const struct sl_target *target,
                              const struct sl_consumer_settings *settings, void **opened, sl_error *error)
{
    struct sl_hc_consumer *consumer = calloc(1, sizeof *consumer);
    if (!consumer)
        return sl_error_oom(error);
    consumer->host = *host;
    consumer->client = target->client;
    pthread_mutex_init(&consumer->lock, NULL);
    sl_cond_init(&consumer->changed);
    sl_status status = prepare(consumer, target, settings, error);
    if (!status)
        status = subscribe_first(consumer, error);
    if (!status && pthread_create(&consumer->fetcher, NULL, sl_hc_fetch, consumer)) {
        sl_hc_unsubscribe(consumer, NULL);
        status = sl_error_set(error, SL_INTERNAL, "no thread for polling could be started");
    }
    if (status) {
        free_consumer(consumer);
        return status;
    }
    *opened = consumer;
    return SL_OK;
}

/* The next piece of what waits. Under the lock. */
static sl_status take(struct sl_hc_consumer *consumer, size_t max_messages, size_t max_bytes,
                      struct sl_batch **batch, sl_error *error)
{
    struct sl_hc_chunk *chunk = consumer->first;
    size_t before = chunk->bytes;
    *batch = sl_hc_chunk_hand(chunk, max_messages, max_bytes);
    if (!*batch)
        return sl_error_oom(error);
    consumer->queued_bytes -= before - chunk->bytes;
    if (chunk->handed == chunk->count) {
        consumer->first = chunk->next;
        if (!consumer->first)
            consumer->last = NULL;
        sl_hc_chunk_unlink(chunk);
    }
    pthread_cond_broadcast(&consumer->changed); /* there is room for the next poll */
    return SL_OK;
}

/* What there is to tell when nothing came. Under the lock. */
static sl_status trouble(const struct sl_hc_consumer *consumer, sl_error *error)
{
    bool shown = consumer->failure.status &&
                 (consumer->failure.fatal || sl_mono_ms() - consumer->failing_since_ms >= FAILING_SHOWN_MS);
    if (!shown)
        return SL_OK;
    if (error)
        *error = consumer->failure;
    return consumer->failure.status;
}

sl_status sl_hc_consumer_poll(void *opaque, int timeout_ms, size_t max_messages, size_t max_bytes,
                              struct sl_batch **batch, sl_error *error)
{
    struct sl_hc_consumer *consumer = opaque;
    int64_t deadline = sl_deadline_ms(timeout_ms);
    *batch = NULL;
    pthread_mutex_lock(&consumer->lock);
    while (!consumer->first && !consumer->failure.fatal && sl_mono_ms() < deadline)
        sl_hc_cond_wait(&consumer->changed, &consumer->lock, deadline);
    sl_status status =
        consumer->first ? take(consumer, max_messages, max_bytes, batch, error) : trouble(consumer, error);
    pthread_mutex_unlock(&consumer->lock);
    return status;
}

static json_t *offsets_json(const sl_offset *offsets, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++) {
        json_t *entry = json_pack("{s:i, s:I}", "partition", (int)offsets[i].partition, "offset",
                                  (json_int_t)offsets[i].offset);
        if (!entry || json_array_append_new(list, entry)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list ? json_pack("{s:o}", "offsets", list) : NULL;
}

/* HTTP 409: the group has given a partition to another member. Its status here is the same as over Kafka. */
static sl_status not_ours(sl_status status, sl_status meant, sl_error *error)
{
    if (status != SL_CONFLICT)
        return status;
    if (error)
        error->status = meant;
    return meant;
}

sl_status sl_hc_consumer_commit(void *opaque, const sl_offset *offsets, size_t count, sl_error *error)
{
    json_t *body = offsets_json(offsets, count);
    sl_status status = sl_hc_put(opaque, "offsets", body, error);
    json_decref(body);
    return not_ours(status, SL_KAFKA, error);
}

/*
 * Moves the position. No poll may be under way meanwhile, as nobody could tell what it brings from before and
 * from after. It is waited for and not broken off, since what it brings of other partitions is wanted.
 */
static sl_status seek(struct sl_hc_consumer *consumer, const json_t *body, const sl_offset *offsets,
                      size_t count, sl_error *error)
{
    pthread_mutex_lock(&consumer->lock);
    consumer->pauses++;
    while (consumer->polling)
        pthread_cond_wait(&consumer->changed, &consumer->lock);
    pthread_mutex_unlock(&consumer->lock);
    sl_status status = sl_hc_put(consumer, "seek", body, error);
    pthread_mutex_lock(&consumer->lock);
    if (!status)
        sl_hc_drop_queue(consumer, offsets, count);
    consumer->pauses--;
    if (!consumer->failures)
        consumer->next_poll_ms = 0;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
    return status;
}

sl_status sl_hc_consumer_seek(void *opaque, const sl_offset *offsets, size_t count, sl_error *error)
{
    json_t *body = offsets_json(offsets, count);
    sl_status status = seek(opaque, body, offsets, count, error);
    json_decref(body);
    return not_ours(status, SL_INVALID_ARGUMENT, error);
}

sl_status sl_hc_consumer_seek_to(void *opaque, sl_start where, sl_error *error)
{
    struct sl_hc_consumer *consumer = opaque;
    if (!consumer->extended)
        return sl_error_set(error, SL_UNSUPPORTED,
                            "this platform cannot seek to the %s over HTTP: seek to offsets, or use "
                            "kafka-connector",
                            where == SL_START_BEGIN ? "begin" : "end");
    json_t *body = json_pack("{s:s}", "to", where == SL_START_BEGIN ? "begin" : "end");
    sl_status status = seek(consumer, body, NULL, 0, error);
    json_decref(body);
    return status;
}

const char *sl_hc_consumer_group(const void *opaque)
{
    const struct sl_hc_consumer *consumer = opaque;
    return consumer->group;
}

/* Waits for the fetcher's end; false when it takes too long. */
static bool wait_stopped(struct sl_hc_consumer *consumer, int64_t timeout_ms)
{
    int64_t deadline = sl_mono_ms() + timeout_ms;
    pthread_mutex_lock(&consumer->lock);
    while (!consumer->stopped && sl_mono_ms() < deadline)
        sl_hc_cond_wait(&consumer->changed, &consumer->lock, deadline);
    bool stopped = consumer->stopped;
    pthread_mutex_unlock(&consumer->lock);
    return stopped;
}

sl_status sl_hc_consumer_close(void *opaque, sl_error *error)
{
    struct sl_hc_consumer *consumer = opaque;
    pthread_mutex_lock(&consumer->lock);
    consumer->closing = true;
    bool subscribing = consumer->subscribing;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
    /* Ending the subscription ends a poll that the platform holds. */
    sl_status status = subscribing ? SL_OK : sl_hc_unsubscribe(consumer, error);
    if (!wait_stopped(consumer, CLOSE_WAIT_MS))
        sl_http_cancel(consumer->client->http, consumer);
    pthread_join(consumer->fetcher, NULL);
    if (subscribing)
        status = sl_hc_unsubscribe(consumer, error);
    free_consumer(consumer);
    return status;
}
