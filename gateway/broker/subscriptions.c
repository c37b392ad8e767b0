/* The registry of subscriptions: finding, limits, opening and closing. Its lock is never held over a call to
 * anything that blocks. */
#include "gateway/broker/subscription.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "config/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

sl_status gw_subscription_settings_read(const sl_config *config, struct gw_subscription_settings *settings,
                                        sl_error *error)
{
    int64_t bytes = 0, messages = 0, max = 0;
    sl_status status = sl_config_bytes(config, SL_GATEWAY_ROOT "limits.poll-bytes", &bytes, error);
    if (!status)
        status = sl_config_integer(config, SL_GATEWAY_ROOT "limits.batch-messages", &messages, error);
    if (!status)
        status = sl_config_integer(config, SL_GATEWAY_ROOT "limits.subscriptions", &max, error);
    if (!status)
        status =
            sl_config_duration_ms(config, SL_GATEWAY_ROOT "limits.poll-wait", &settings->poll_wait_ms, error);
    if (!status)
        status = sl_config_duration_ms(config, SL_GATEWAY_ROOT "limits.subscription-idle", &settings->idle_ms,
                                       error);
    if (!status)
        status = sl_config_duration_ms(config, SL_GATEWAY_ROOT "limits.subscription-lost", &settings->lost_ms,
                                       error);
    if (!status)
        status =
            sl_config_duration_ms(config, SL_GATEWAY_ROOT "limits.join-timeout", &settings->join_ms, error);
    settings->poll_bytes = (size_t)bytes;
    settings->poll_messages = (size_t)messages;
    settings->max = (size_t)max;
    return status;
}

void gw_subscriptions_set(struct gw_subscriptions *all, const struct gw_subscription_settings *settings)
{
    all->limits.poll_bytes = settings->poll_bytes;
    all->limits.poll_messages = settings->poll_messages;
    all->limits.poll_wait_ms = settings->poll_wait_ms;
    all->max = settings->max;
    all->idle_ms = settings->idle_ms;
    all->lost_ms = settings->lost_ms;
    all->join_ms = settings->join_ms;
}

sl_status gw_subscriptions_open(const sl_config *config, const struct sl_log *log, struct gw_broker *broker,
                                struct gw_server *server, struct gw_workers *workers,
                                struct gw_subscriptions **out, sl_error *error)
{
    *out = NULL;
    struct gw_subscriptions *all = calloc(1, sizeof *all);
    if (!all)
        return sl_error_oom(error);
    struct gw_subscription_settings settings = {0};
    sl_status status = gw_subscription_settings_read(config, &settings, error);
    if (status) {
        free(all);
        return status;
    }
    gw_subscriptions_set(all, &settings);
    all->broker = broker;
    all->server = server;
    all->workers = workers;
    if (log)
        all->log = *log;
    all->ended = gw_ended_create();
    if (!all->ended) {
        free(all);
        return sl_error_oom(error);
    }
    pthread_mutex_init(&all->lock, NULL);
    sl_cond_init(&all->changed);
    *out = all;
    return SL_OK;
}

const struct gw_subscription_limits *gw_subscriptions_limits(const struct gw_subscriptions *subscriptions)
{
    return &subscriptions->limits;
}

const char *gw_subscription_node(const struct gw_subscription *subscription)
{
    return subscription->node;
}

const char *gw_subscription_id(const struct gw_subscription *subscription)
{
    return subscription->id;
}

const char *gw_subscription_group(const struct gw_subscription *subscription)
{
    return subscription->group;
}

bool gw_subscription_is_shared(const struct gw_subscription *subscription)
{
    return subscription->share_count < (size_t)subscription->layer->parallelization;
}

struct gw_subscription *gw_subscription_link(struct gw_subscription *subscription)
{
    atomic_fetch_add_explicit(&subscription->references, 1, memory_order_relaxed);
    return subscription;
}

static void subscription_free(struct gw_subscription *subscription)
{
    gw_layer_unlink(subscription->layer);
    if (subscription->conf)
        rd_kafka_conf_destroy(subscription->conf);
    free(subscription->application);
    free(subscription->id);
    free(subscription->consumer);
    free(subscription->group);
    free(subscription->why);
    free(subscription->shares);
    free(subscription->held);
    free(subscription);
}

void gw_subscription_unlink(struct gw_subscription *subscription)
{
    if (subscription && atomic_fetch_sub_explicit(&subscription->references, 1, memory_order_acq_rel) == 1)
        subscription_free(subscription);
}

static size_t bucket_of(const char *node)
{
    size_t hash = 5381;
    for (; *node; node++)
        hash = hash * 33 + (unsigned char)*node;
    return hash % GW_NODE_BUCKETS;
}

/* The lock is held. */
static void unlist(struct gw_subscription *subscription)
{
    struct gw_subscriptions *all = subscription->all;
    if (!subscription->listed)
        return;
    subscription->listed = false;
    all->listed_count--;
    struct gw_subscription **link = &all->nodes[bucket_of(subscription->node)];
    while (*link != subscription)
        link = &(*link)->next_node;
    *link = subscription->next_node;
}

void gw_subscription_unlist(struct gw_subscription *subscription)
{
    pthread_mutex_lock(&subscription->all->lock);
    unlist(subscription);
    pthread_mutex_unlock(&subscription->all->lock);
}

void gw_subscription_ready(struct gw_subscription *subscription)
{
    pthread_mutex_lock(&subscription->all->lock);
    subscription->ready = true;
    pthread_mutex_unlock(&subscription->all->lock);
    atomic_fetch_add_explicit(&subscription->all->opened, 1, memory_order_relaxed);
}

void gw_subscription_left(struct gw_subscription *subscription)
{
    struct gw_subscriptions *all = subscription->all;
    pthread_mutex_lock(&all->lock);
    unlist(subscription);
    if (subscription->previous_alive)
        subscription->previous_alive->next_alive = subscription->next_alive;
    else
        all->alive = subscription->next_alive;
    if (subscription->next_alive)
        subscription->next_alive->previous_alive = subscription->previous_alive;
    all->alive_count--;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
    gw_subscription_unlink(subscription);
}

static bool same_layer(const struct gw_subscription *subscription, const char *application,
                       const struct gw_layer *layer)
{
    return !strcmp(subscription->application, application) &&
           !strcmp(subscription->layer->topic, layer->topic);
}

struct gw_subscription *gw_subscription_find(struct gw_subscriptions *all, const char *application,
                                             const struct gw_layer *layer, const char *node,
                                             const char *subscription_id, const char *consumer_id,
                                             sl_error *error)
{
    struct gw_subscription *found = NULL;
    bool several = false;
    pthread_mutex_lock(&all->lock);
    if (node) {
        struct gw_subscription *next = all->nodes[bucket_of(node)];
        for (; next && !found; next = next->next_node)
            if (!strcmp(next->node, node) && next->ready && same_layer(next, application, layer))
                found = next;
    } else if (subscription_id) {
        for (struct gw_subscription *next = all->alive; next; next = next->next_alive) {
            if (!next->listed || !next->ready || strcmp(next->id, subscription_id) ||
                !same_layer(next, application, layer) || (consumer_id && strcmp(next->consumer, consumer_id)))
                continue;
            several = found != NULL;
            found = next;
            if (several)
                break;
        }
    }
    if (found && !several)
        gw_subscription_link(found);
    pthread_mutex_unlock(&all->lock);
    if (several) {
        sl_error_set(error, SL_INVALID_ARGUMENT,
                     "subscription %s has several consumers, and the call does not say which",
                     subscription_id);
        return NULL;
    }
    if (!found && atomic_load(&all->closed))
        sl_error_set_retriable(error, SL_CLOSED, "the gateway is being stopped");
    else if (!found && !gw_ended_explain(all->ended, application, layer->topic, node, subscription_id,
                                         consumer_id, error))
        sl_error_set(error, SL_NOT_FOUND,
                     "there is no subscription %s of this application on layer %s (it ended, or was idle too "
                     "long)",
                     node              ? node
                     : subscription_id ? subscription_id
                                       : "(none is named)",
                     layer->id);
    return found;
}

/* Under the lock: what a new subscription has to do with those that there are. */
struct survey {
    const struct gw_subscribe *ask;
    const char *group;
    struct gw_subscription *replaced;
    size_t members; /* of the group on this topic, without the one replaced */
};

static sl_status survey_id(struct survey *survey, struct gw_subscription *other, sl_error *error)
{
    const struct gw_subscribe *ask = survey->ask;
    if (!ask->subscription_id || strcmp(other->id, ask->subscription_id))
        return SL_OK;
    if (other->mode != ask->mode)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "subscription %s is in use in %s mode", other->id,
                            other->mode == GW_SERIAL ? "serial" : "parallel");
    if (ask->mode == GW_SERIAL || (ask->consumer_id && !strcmp(other->consumer, ask->consumer_id)))
        survey->replaced = other;
    if (ask->mode == GW_PARALLEL) {
        if (!survey->group)
            survey->group = other->group;
        else if (strcmp(survey->group, other->group))
            return sl_error_set(
                error, SL_INVALID_ARGUMENT,
                "subscription %s belongs to consumer group %s, and this call asks for %s: its "
                "consumers share one group",
                other->id, other->group, survey->group);
    }
    return SL_OK;
}

static sl_status survey_all(struct gw_subscriptions *all, struct survey *survey, sl_error *error)
{
    const struct gw_subscribe *ask = survey->ask;
    for (struct gw_subscription *other = all->alive; other; other = other->next_alive)
        if (other->listed && same_layer(other, ask->application, ask->layer)) {
            sl_status status = survey_id(survey, other, error);
            if (status)
                return status;
        }
    if (!survey->group)
        survey->group = ask->group_default;
    for (struct gw_subscription *other = all->alive; other; other = other->next_alive)
        survey->members += other->listed && other != survey->replaced &&
                           same_layer(other, ask->application, ask->layer) &&
                           !strcmp(other->group, survey->group);
    if (survey->members >= (size_t)ask->layer->parallelization)
        return sl_error_set(
            error, SL_CONFLICT,
            "consumer group %s has %zu %s already, as many as layer %s has "
            "parallelization (one that was abandoned ends by itself: %lld s after a subscribe "
            "that no call followed, else %lld s after its last call)",
            survey->group, survey->members, sl_plural(survey->members, "subscription", "subscriptions"),
            ask->layer->id, (long long)(gw_first_call_ms(all) + 999) / 1000,
            (long long)(all->idle_ms + 999) / 1000);
    /* Those that are still leaving their groups have threads and memory, too. */
    if (all->listed_count - (survey->replaced != NULL) >= all->max || all->alive_count >= 2 * all->max)
        return sl_error_set_retriable(error, SL_THROTTLED,
                                      "there %s %zu %s, as many as "
                                      "streamlayer.gateway.limits.subscriptions allows",
                                      sl_plural(all->listed_count, "is", "are"), all->listed_count,
                                      sl_plural(all->listed_count, "subscription", "subscriptions"));
    return SL_OK;
}

static struct gw_subscription *subscription_new(struct gw_subscriptions *all, struct gw_subscribe *ask)
{
    struct gw_subscription *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return NULL;
    fresh->all = all;
    fresh->wake_fd = -1;
    atomic_init(&fresh->references, 1); /* the loop's */
    fresh->layer = gw_layer_link(ask->layer);
    fresh->mode = ask->mode;
    bool made = sl_random_hex(fresh->node, GW_NODE_DIGITS);
    fresh->application = sl_strdup(ask->application);
    fresh->id = sl_strdup(ask->subscription_id ? ask->subscription_id : fresh->node);
    fresh->consumer = sl_strdup(ask->consumer_id ? ask->consumer_id : fresh->node);
    fresh->earliest = ask->earliest;
    fresh->auto_commit = ask->auto_commit;
    fresh->auto_commit_ms = ask->auto_commit_ms;
    fresh->poll_messages = ask->poll_messages;
    fresh->subscribe = ask;
    unsigned loops = gw_server_loops(all->server);
    fresh->loop = gw_server_loop(all->server, (unsigned)(bucket_of(fresh->node) % loops));
    if (made && fresh->application && fresh->id && fresh->consumer)
        return fresh;
    subscription_free(fresh);
    return NULL;
}

/* The lock is held. */
static void list(struct gw_subscription *fresh)
{
    struct gw_subscriptions *all = fresh->all;
    struct gw_subscription **bucket = &all->nodes[bucket_of(fresh->node)];
    fresh->next_node = *bucket;
    *bucket = fresh;
    fresh->next_alive = all->alive;
    if (all->alive)
        all->alive->previous_alive = fresh;
    all->alive = fresh;
    fresh->listed = true;
    all->listed_count++;
    all->alive_count++;
}

/* The lock is held. The group's others give up their partitions for the new one: the sooner they hear of it,
 * the sooner it has its share. */
static void hurry_group(const struct gw_subscription *fresh)
{
    for (struct gw_subscription *other = fresh->all->alive; other; other = other->next_alive)
        if (other->listed && other->ready && !strcmp(other->group, fresh->group) &&
            same_layer(other, fresh->application, fresh->layer) &&
            !atomic_exchange(&other->hurry_posted, true)) {
            gw_subscription_link(other); /* the task's */
            other->hurry_task.run = gw_subscription_hurry;
            gw_loop_post(other->loop, &other->hurry_task);
        }
}

sl_status gw_subscriptions_subscribe(struct gw_subscriptions *all, struct gw_subscribe *subscribe,
                                     sl_error *error)
{
    struct gw_subscription *fresh = subscription_new(all, subscribe);
    if (!fresh)
        return sl_error_oom(error);
    struct survey survey = {.ask = subscribe, .group = subscribe->group};
    pthread_mutex_lock(&all->lock);
    sl_status status = atomic_load(&all->closed)
                           ? sl_error_set_retriable(error, SL_CLOSED, "the gateway is being stopped")
                           : SL_OK;
    if (!status)
        status = survey_all(all, &survey, error);
    if (!status && !(fresh->group = sl_strdup(survey.group)))
        status = sl_error_oom(error);
    if (!status) {
        if (survey.replaced) {
            gw_subscription_link(survey.replaced);
            unlist(survey.replaced);
        }
        hurry_group(fresh);
        list(fresh);
        /* Under the lock: whoever finds it may post its end, which must come later. */
        fresh->begin_task.run = gw_subscription_begin;
        gw_loop_post(fresh->loop, &fresh->begin_task);
    }
    pthread_mutex_unlock(&all->lock);
    if (status) {
        subscription_free(fresh);
        return status;
    }
    if (survey.replaced) {
        gw_subscription_abandon(survey.replaced, GW_END_REPLACED);
        gw_subscription_unlink(survey.replaced);
    }
    return SL_OK;
}

void gw_subscriptions_close(struct gw_subscriptions *all, int grace_ms)
{
    int64_t deadline = sl_deadline_ms(grace_ms);
    struct timespec until = sl_mono_deadline(deadline);
    pthread_mutex_lock(&all->lock);
    atomic_store(&all->until_ms, deadline);
    atomic_store(&all->closed, true);
    for (struct gw_subscription *next = all->alive; next; next = next->next_alive)
        gw_subscription_abandon(next, GW_END_STOPPED); /* posts only */
    int code = 0;
    while (all->alive_count && !code)
        code = pthread_cond_timedwait(&all->changed, &all->lock, &until);
    if (all->alive_count)
        SL_WARNING(&all->log, "%zu %s not leave in time", all->alive_count,
                   sl_plural(all->alive_count, "subscription did", "subscriptions did"));
    pthread_mutex_unlock(&all->lock);
}

/* What did not leave in time: its loop and its worker are gone, so nothing else touches it. */
static void discard(struct gw_subscription *subscription)
{
    gw_subscription_forget(subscription, -1);
    gw_subscription_destroy_consumer(subscription, false);
    gw_subscription_left(subscription);
}

void gw_subscriptions_free(struct gw_subscriptions **all)
{
    if (!*all)
        return;
    while ((*all)->alive)
        discard((*all)->alive); /* NOLINT(clang-analyzer-unix.Malloc): it takes it off the list */
    gw_ended_destroy((*all)->ended);
    pthread_cond_destroy(&(*all)->changed);
    pthread_mutex_destroy(&(*all)->lock);
    free(*all);
    *all = NULL;
}

bool gw_subscriptions_metrics(struct gw_subscriptions *all, struct sl_buffer *text)
{
    pthread_mutex_lock(&all->lock);
    size_t count = all->listed_count;
    pthread_mutex_unlock(&all->lock);
    return sl_buffer_printf(
        text,
        "# HELP streamlayer_subscriptions Subscriptions that are open.\n"
        "# TYPE streamlayer_subscriptions gauge\n"
        "streamlayer_subscriptions %zu\n"
        "# HELP streamlayer_subscriptions_opened_total Subscriptions that joined a group.\n"
        "# TYPE streamlayer_subscriptions_opened_total counter\n"
        "streamlayer_subscriptions_opened_total %llu\n"
        "# HELP streamlayer_polls_waiting Polls that wait for messages.\n"
        "# TYPE streamlayer_polls_waiting gauge\n"
        "streamlayer_polls_waiting %u\n"
        "# HELP streamlayer_redelivered_messages_total Messages handed out again because "
        "their answer was not written or not received.\n"
        "# TYPE streamlayer_redelivered_messages_total counter\n"
        "streamlayer_redelivered_messages_total %llu\n"
        "# HELP streamlayer_expired_messages_total Messages that were deleted by their layer's ttl, or "
        "passed over "
        "after that, before the group that reads them had them.\n"
        "# TYPE streamlayer_expired_messages_total counter\n"
        "streamlayer_expired_messages_total %llu\n",
        count, atomic_load(&all->opened), atomic_load(&all->parked), atomic_load(&all->redelivered),
        atomic_load(&all->expired));
}
