/* A consumer: opening, polling what waits, closing. */
#include "connectors/http/consumer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"

enum {
    FAILING_SHOWN_MS = 5000, /* trouble that lasts is told to who polls; before that it is only mended */
    CLOSE_WAIT_MS = 3000,    /* for polls under way to end by themselves */
    CANCEL_MS = 50,          /* between the calls to end what is under way, which may only just begin */
    QUIET_MS = 10000,        /* for a seek before the first poll; a platform waits longer for a first call */
    JOIN_WAIT_MS = 20000 /* for the further members; a platform keeps the first one's subscription as long */
};

static void free_consumer(struct sl_hc_consumer *consumer)
{
    sl_hc_queue_drop(consumer, NULL, NULL, 0);
    for (size_t i = 0; i < consumer->member_count && consumer->members; i++) {
        struct sl_hc_member *member = &consumer->members[i];
        sl_http_response_free(&member->response);
        sl_hc_assignment_free(&member->assignment);
        free(member->node);
        free(member->subscription);
    }
    free(consumer->members);
    free(consumer->partitions);
    free(consumer->paused.list);
    free(consumer->base);
    free(consumer->layer);
    free(consumer->hrn);
    free(consumer->named_group);
    free(consumer->group);
    free(consumer->shared);
    pthread_cond_destroy(&consumer->changed);
    pthread_mutex_destroy(&consumer->lock);
    free(consumer);
}

static sl_status make_members(struct sl_hc_consumer *consumer, const sl_config *config, sl_error *error)
{
    int64_t count;
    sl_status status = sl_config_integer(config, SL_ROOT "stream.http.polls", &count, error);
    if (status)
        return status;
    if (!consumer->prefetch_bytes)
        count = 1; /* each of several would fetch what was asked for once */
    consumer->members = calloc((size_t)count, sizeof *consumer->members);
    if (!consumer->members)
        return sl_error_oom(error);
    consumer->member_count = (size_t)count;
    for (size_t i = 0; i < consumer->member_count && !status; i++) {
        struct sl_hc_member *member = &consumer->members[i];
        member->consumer = consumer;
        member->assignment.number = -1;
        snprintf(member->id, sizeof member->id, "%zu", i);
        status = sl_hc_backoff_init(&member->backoff, config, error);
    }
    return status;
}

static sl_status prepare(struct sl_hc_consumer *consumer, const struct sl_target *target,
                         const struct sl_consumer_settings *settings, sl_error *error)
{
    const sl_config *config = target->client->config;
    consumer->start = settings->start;
    consumer->prefetch_bytes = settings->prefetch_bytes;
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
        status = make_members(consumer, config, error);
    if (!status)
        status = sl_client_base_url(target->client, target->hrn, "stream", "v2", &consumer->base,
                                    &consumer->extended, error);
    return status;
}

/* As often as the time for joining allows, and as the platform asks for. A try that timed out is not repeated
 * where we cannot choose the subscription's id: it may have left one behind, whose partitions only its end
 * would free. */
static sl_status subscribe_first(struct sl_hc_consumer *consumer, sl_error *error)
{
    struct sl_hc_member *member = &consumer->members[0];
    int64_t deadline = sl_mono_ms() + consumer->join_timeout_ms;
    struct sl_hc_refusal refusal;
    sl_error why;
    for (unsigned tries = 1;; tries++) {
        sl_status status = sl_hc_subscribe(member, &refusal, &why);
        int64_t next = sl_mono_ms() + sl_hc_backoff_ms(&member->backoff, tries, refusal.retry_after_ms);
        if (!status)
            return SL_OK;
        if (!why.retriable || (status == SL_TIMED_OUT && !consumer->extended) || next > deadline) {
            if (error)
                *error = why;
            return status;
        }
        if (refusal.full) /* it may take long: who waits hears of what */
            SL_WARNING(&consumer->host.log,
                       "layer %s of %s: not opened yet, trying again within " SL_ROOT
                       "stream.consumer.join-timeout: %s",
                       consumer->layer, consumer->hrn, why.text);
        pthread_mutex_lock(&consumer->lock);
        while (sl_mono_ms() < next)
            sl_hc_cond_wait(&consumer->changed, &consumer->lock, next);
        pthread_mutex_unlock(&consumer->lock);
    }
}

static bool start_fetcher(struct sl_hc_member *member)
{
    struct sl_hc_consumer *consumer = member->consumer;
    pthread_mutex_lock(&consumer->lock);
    member->started = !pthread_create(&member->fetcher, NULL, sl_hc_fetch, member);
    member->stopped |= !member->started;
    member->pending &= member->started;
    pthread_mutex_unlock(&consumer->lock);
    return member->started;
}

/* The further members subscribe side by side. Nobody polls before that is over: the group moves partitions,
 * and what was read of those would come twice. Fewer members do. */
static sl_status start_members(struct sl_hc_consumer *consumer, sl_error *error)
{
    consumer->holds = 1;
    for (size_t i = 1; i < consumer->member_count; i++)
        consumer->members[i].lost = consumer->members[i].pending = true;
    if (!start_fetcher(&consumer->members[0]))
        return sl_error_set(error, SL_INTERNAL, "no thread for polling could be started");
    for (size_t i = 1; i < consumer->member_count; i++)
        start_fetcher(&consumer->members[i]);
    int64_t most = consumer->join_timeout_ms < JOIN_WAIT_MS ? consumer->join_timeout_ms : JOIN_WAIT_MS;
    int64_t deadline = sl_mono_ms() + most;
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 1; i < consumer->member_count; i++)
        while (consumer->members[i].pending && sl_mono_ms() < deadline)
            sl_hc_cond_wait(&consumer->changed, &consumer->lock, deadline);
    consumer->holds = 0;
    consumer->quiet_until_ms = sl_mono_ms() + QUIET_MS;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
    return SL_OK;
}

/* A subscription that nothing was called on ends after half a minute, and with it the position that opening
 * is to fix. A commit of nothing will do; where it fails, the first poll tells. */
static void use_subscription(struct sl_hc_consumer *consumer)
{
    sl_error error;
    (void)!sl_hc_call(&consumer->members[0], "PUT", "offsets", "{\"offsets\":[]}",
                      sl_mono_ms() + consumer->request_timeout_ms, NULL, &error);
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
    if (!status) {
        status = start_members(consumer, error);
        if (status)
            sl_hc_unsubscribe(&consumer->members[0], sl_mono_ms() + SL_HC_LEAVING_MS, NULL);
    }
    if (status) {
        free_consumer(consumer);
        return status;
    }
    *opened = consumer;
    if (!consumer->prefetch_bytes)
        use_subscription(consumer);
    (void)!sl_hc_share_tell(consumer, NULL); /* without memory the first poll does it */
    return SL_OK;
}

/* What has kept all members from getting on since then, or for longer; NULL: one gets on. Under the lock. */
static const sl_error *hindrance(const struct sl_hc_consumer *consumer, int64_t since_ms)
{
    const sl_error *found = consumer->fatal.status ? &consumer->fatal : NULL;
    for (size_t i = 0; i < consumer->member_count && !consumer->fatal.status; i++) {
        const struct sl_hc_member *member = &consumer->members[i];
        if (member->stopped)
            continue;
        if (!member->failure.status || member->failing_since_ms > since_ms)
            return NULL;
        found = &member->failure;
    }
    return found;
}

/* What there is to tell when nothing came. Under the lock. */
static sl_status trouble(const struct sl_hc_consumer *consumer, sl_error *error)
{
    const sl_error *shown = hindrance(consumer, sl_mono_ms() - FAILING_SHOWN_MS);
    if (!shown)
        return SL_OK;
    if (error)
        *error = *shown;
    return shown->status;
}

/* The application polls, and nothing is there. Under the lock. */
static void ask(struct sl_hc_consumer *consumer, size_t max_messages, size_t max_bytes)
{
    bool news = consumer->quiet_until_ms != 0;
    consumer->quiet_until_ms = 0;
    if (!consumer->prefetch_bytes && !consumer->asked && !consumer->reserved) {
        consumer->asked = news = true;
        consumer->asked_messages = max_messages;
        consumer->asked_bytes = max_bytes;
    }
    if (news)
        pthread_cond_broadcast(&consumer->changed);
}

sl_status sl_hc_consumer_poll(void *opaque, int timeout_ms, size_t max_messages, size_t max_bytes,
                              struct sl_batch **batch, sl_error *error)
{
    struct sl_hc_consumer *consumer = opaque;
    int64_t deadline = sl_deadline_ms(timeout_ms);
    sl_status status = SL_OK;
    *batch = NULL;
    pthread_mutex_lock(&consumer->lock);
    for (;;) {
        if (consumer->untold) {
            pthread_mutex_unlock(&consumer->lock);
            status = sl_hc_share_tell(consumer, error);
            if (status)
                return status;
            pthread_mutex_lock(&consumer->lock);
            continue;
        }
        if (consumer->queue.first || consumer->fatal.status)
            break;
        ask(consumer, max_messages, max_bytes);
        if (sl_mono_ms() >= deadline)
            break;
        sl_hc_cond_wait(&consumer->changed, &consumer->lock, deadline);
    }
    status = consumer->queue.first ? sl_hc_queue_take(consumer, max_messages, max_bytes, batch, error)
                                   : trouble(consumer, error);
    if (*batch)
        pthread_cond_broadcast(&consumer->changed); /* there is room for the next poll */
    pthread_mutex_unlock(&consumer->lock);
    return status;
}

bool sl_hc_consumer_statistics(void *opaque, struct sl_buffer *json)
{
    struct sl_hc_consumer *consumer = opaque;
    size_t members = 0;
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < consumer->member_count; i++)
        members += consumer->members[i].subscription && !consumer->members[i].lost;
    sl_buffer_append_text(json, "{");
    sl_hc_traffic_json(&consumer->traffic, json);
    sl_buffer_printf(json,
                     ",\"members\":%zu,\"subscriptions\":%llu,\"polls\":%llu,\"emptyPolls\":%llu,"
                     "\"messages\":%llu,\"prefetchedBytes\":%zu,\"pausedBytes\":%zu,\"throttled\":%s,"
                     "\"failing\":%s}",
                     members, consumer->subscriptions, consumer->polls, consumer->empty_polls,
                     consumer->messages, consumer->queue.bytes, consumer->held.bytes,
                     consumer->throttled ? "true" : "false",
                     hindrance(consumer, INT64_MAX) ? "true" : "false");
    pthread_mutex_unlock(&consumer->lock);
    return !json->failed;
}

const char *sl_hc_consumer_group(const void *opaque)
{
    const struct sl_hc_consumer *consumer = opaque;
    return consumer->group;
}

/* Under the lock. */
static bool all_stopped(const struct sl_hc_consumer *consumer)
{
    for (size_t i = 0; i < consumer->member_count; i++)
        if (!consumer->members[i].stopped)
            return false;
    return true;
}

/* Waits for the fetchers' end, for a while, and then ends what they are about. */
static void join_fetchers(struct sl_hc_consumer *consumer)
{
    int64_t patience = sl_mono_ms() + CLOSE_WAIT_MS;
    pthread_mutex_lock(&consumer->lock);
    while (!all_stopped(consumer) && sl_mono_ms() < patience)
        sl_hc_cond_wait(&consumer->changed, &consumer->lock, patience);
    while (!all_stopped(consumer)) {
        pthread_mutex_unlock(&consumer->lock);
        for (size_t i = 0; i < consumer->member_count; i++)
            sl_http_cancel(consumer->client->http, &consumer->members[i]);
        pthread_mutex_lock(&consumer->lock);
        if (!all_stopped(consumer))
            sl_hc_cond_wait(&consumer->changed, &consumer->lock, sl_mono_ms() + CANCEL_MS);
    }
    pthread_mutex_unlock(&consumer->lock);
    for (size_t i = 0; i < consumer->member_count; i++)
        if (consumer->members[i].started)
            pthread_join(consumer->members[i].fetcher, NULL);
}

sl_status sl_hc_consumer_close(void *opaque, sl_error *error)
{
    struct sl_hc_consumer *consumer = opaque;
    sl_hc_share_end(consumer);
    pthread_mutex_lock(&consumer->lock);
    consumer->closing = true;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
    atomic_store(&consumer->cancelled, true);
    sl_auth_wake(consumer->client->auth);
    /* Ending the subscription ends a poll that the platform holds. Those that are just being made are ended
     * when they are there. */
    sl_status status = SL_OK;
    for (int round = 0; round < 2; round++) {
        int64_t deadline = sl_mono_ms() + SL_HC_LEAVING_MS;
        for (size_t i = 0; i < consumer->member_count; i++) {
            struct sl_hc_member *member = &consumer->members[i];
            pthread_mutex_lock(&consumer->lock);
            bool subscribing = member->subscribing;
            pthread_mutex_unlock(&consumer->lock);
            sl_status failed =
                subscribing ? SL_OK : sl_hc_unsubscribe(member, deadline, status ? NULL : error);
            status = status ? status : failed;
        }
        if (!round)
            join_fetchers(consumer);
    }
    free_consumer(consumer);
    return status;
}
