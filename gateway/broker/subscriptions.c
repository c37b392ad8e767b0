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
    int64_t bytes, messages, max, application_max, group_max, prefetch;
    const struct sl_number numbers[] = {
        {SL_GATEWAY_ROOT "limits.poll-bytes", sl_config_bytes, &bytes},
        {SL_GATEWAY_ROOT "limits.batch-messages", sl_config_integer, &messages},
        {SL_GATEWAY_ROOT "limits.subscriptions", sl_config_integer, &max},
        {SL_GATEWAY_ROOT "limits.application-subscriptions", sl_config_integer, &application_max},
        {SL_GATEWAY_ROOT "limits.group-subscriptions", sl_config_integer, &group_max},
        {SL_GATEWAY_ROOT "limits.subscription-bytes", sl_config_bytes, &prefetch},
        {SL_GATEWAY_ROOT "limits.poll-wait", sl_config_duration_ms, &settings->poll_wait_ms},
        {SL_GATEWAY_ROOT "limits.subscription-idle", sl_config_duration_ms, &settings->idle_ms},
        {SL_GATEWAY_ROOT "limits.subscription-lost", sl_config_duration_ms, &settings->lost_ms},
        {SL_GATEWAY_ROOT "limits.join-timeout", sl_config_duration_ms, &settings->join_ms},
    };
    sl_status status = sl_config_numbers(config, numbers, sizeof numbers / sizeof *numbers, error);
    if (status)
        return status;
    settings->poll_bytes = (size_t)bytes;
    settings->poll_messages = (size_t)messages;
    settings->max = (size_t)max;
    settings->application_max = (size_t)application_max;
    settings->group_max = (size_t)group_max;
    settings->prefetch_max = (size_t)prefetch;
    return SL_OK;
}

void gw_subscriptions_set(struct gw_subscriptions *all, const struct gw_subscription_settings *settings)
{
    all->limits.poll_bytes = settings->poll_bytes;
    all->limits.poll_messages = settings->poll_messages;
    all->limits.poll_wait_ms = settings->poll_wait_ms;
    all->limits.retry_after_s = (int)((settings->lost_ms + 999) / 1000);
    all->max = settings->max;
    all->application_max = settings->application_max;
    all->group_max = settings->group_max;
    all->prefetch_max = settings->prefetch_max;
    all->idle_ms = settings->idle_ms;
    all->lost_ms = settings->lost_ms;
    all->join_ms = settings->join_ms;
}

static sl_status open_outages(struct gw_subscriptions *all, sl_error *error)
{
    size_t count = gw_brokers_count(all->brokers);
    struct gw_loop *loop = gw_server_loop(all->server, 0);
    sl_status status = SL_OK;
    all->outages = calloc(count, sizeof *all->outages);
    if (!all->outages)
        return sl_error_oom(error);
    for (size_t i = 0; i < count && !status; i++)
        status =
            gw_outage_create(gw_brokers_at(all->brokers, i), all->workers, loop, &all->outages[i], error);
    return status;
}

static void close_outages(struct gw_subscriptions *all)
{
    for (size_t i = 0; all->outages && i < gw_brokers_count(all->brokers); i++)
        gw_outage_destroy(&all->outages[i]);
    free(all->outages);
}

sl_status gw_subscriptions_open(const sl_config *config, const struct sl_log *log,
                                const struct gw_brokers *brokers, struct gw_server *server,
                                struct gw_workers *workers, struct gw_subscriptions **out, sl_error *error)
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
    all->brokers = brokers;
    all->budget = gw_brokers_at(brokers, 0)->budget;
    all->server = server;
    all->workers = workers;
    if (log)
        all->log = *log;
    all->ended = gw_ended_create();
    all->lulls = calloc(gw_server_loops(server), sizeof *all->lulls);
    status = all->ended && all->lulls ? open_outages(all, error) : sl_error_oom(error);
    if (status) {
        close_outages(all);
        free(all->lulls);
        gw_ended_destroy(all->ended);
        free(all);
        return status;
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
    gw_market_flow_unlink(subscription->flow);
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
    return !strcmp(subscription->application, application) && !strcmp(subscription->layer->key, layer->key);
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
    const char *name = node ? node : subscription_id;
    if (!found && atomic_load(&all->closed))
        sl_error_set_retriable(error, SL_CLOSED, "the gateway is being stopped");
    else if (!found && !gw_ended_explain(all->ended, application, layer->key, node, subscription_id,
                                         consumer_id, error))
        sl_error_set(error, SL_NOT_FOUND,
                     name ? "there is no subscription %s of this application on layer %s (it ended, or was "
                            "idle too long)"
                          : "no subscription is named%s, and this application has none on layer %s",
                     name ? name : "", layer->id);
    return found;
}

/* Under the lock: what a new subscription has to do with those that there are. None of the counts has the one
 * that it replaces. */
struct survey {
    const struct gw_subscribe *ask;
    const char *group;
    struct gw_subscription *replaced;
    size_t members;       /* of the group on this topic */
    size_t group_members; /* on all layers */
    size_t of_application, alive_of_application;
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

/* Those that are leaving have threads and memory, too. */
static void count_all(const struct gw_subscriptions *all, struct survey *survey)
{
    const struct gw_subscribe *ask = survey->ask;
    for (const struct gw_subscription *other = all->alive; other; other = other->next_alive) {
        if (other == survey->replaced || strcmp(other->application, ask->application) != 0)
            continue;
        survey->alive_of_application++;
        survey->of_application += other->listed;
        if (!other->listed || strcmp(other->group, survey->group) != 0)
            continue;
        survey->group_members++;
        survey->members += !strcmp(other->layer->key, ask->layer->key);
    }
}

static sl_status group_is_full(const struct gw_subscriptions *all, const struct survey *survey,
                               sl_error *error)
{
    static const char abandoned[] = "one that was abandoned ends by itself";
    long long first_s = (long long)(gw_first_call_ms(all) + 999) / 1000, idle_s = (all->idle_ms + 999) / 1000;
    if (survey->members >= (size_t)survey->ask->layer->parallelization)
        return sl_error_set(
            error, SL_CONFLICT,
            "consumer group %s has %zu %s already, as many as layer %s has parallelization "
            "(%s: %lld s after a subscribe that no call followed, else %lld s after its last call)",
            survey->group, survey->members, sl_plural(survey->members, "subscription", "subscriptions"),
            survey->ask->layer->id, abandoned, first_s, idle_s);
    return sl_error_set_retriable(
        error, SL_TOO_LARGE,
        "consumer group %s has %zu %s on all its layers, as many as "
        "streamlayer.gateway.limits.group-subscriptions allows (%s: %lld s after a subscribe that "
        "no call followed, else %lld s after its last call)",
        survey->group, survey->group_members,
        sl_plural(survey->group_members, "subscription", "subscriptions"), abandoned, first_s, idle_s);
}

static sl_status too_many(const char *whose, size_t count, const char *limit, sl_status status,
                          sl_error *error)
{
    return sl_error_set_retriable(
        error, status,
        "%s has %zu %s, as many as streamlayer.gateway.limits.%s allows, or as many "
        "again are ending",
        whose, count, sl_plural(count, "subscription", "subscriptions"), limit);
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
    count_all(all, survey);
    if (survey->members >= (size_t)ask->layer->parallelization || survey->group_members >= all->group_max)
        return group_is_full(all, survey, error);
    if (survey->of_application >= all->application_max ||
        survey->alive_of_application >= 2 * all->application_max)
        return too_many("the application", survey->of_application, "application-subscriptions", SL_THROTTLED,
                        error);
    if (all->listed_count - (survey->replaced != NULL) >= all->max || all->alive_count >= 2 * all->max)
        return too_many("the gateway", all->listed_count, "subscriptions", SL_QUEUE_FULL, error);
    return SL_OK;
}

static struct gw_subscription *subscription_new(struct gw_subscriptions *all, struct gw_subscribe *ask)
{
    struct gw_subscription *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return NULL;
    fresh->all = all;
    fresh->wake_fd = -1;
    atomic_init(&fresh->lag, -1);
    atomic_init(&fresh->references, 1); /* the loop's */
    fresh->layer = gw_layer_link(ask->layer);
    for (size_t i = 0; i < gw_brokers_count(all->brokers); i++)
        if (!strcmp(gw_broker_cluster(gw_brokers_at(all->brokers, i)), ask->layer->cluster)) {
            fresh->broker = gw_brokers_at(all->brokers, i);
            fresh->outage = all->outages[i];
        }
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
    unsigned loop = (unsigned)(bucket_of(fresh->node) % gw_server_loops(all->server));
    fresh->loop = gw_server_loop(all->server, loop);
    fresh->lull = &all->lulls[loop];
    if (made && fresh->broker && fresh->application && fresh->id && fresh->consumer)
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

void gw_subscriptions_set_throttler(struct gw_subscriptions *all, struct gw_throttler *throttler)
{
    all->throttler = throttler;
}

/* What did not leave in time: its loop and its worker are gone, so nothing else touches it. */
static void discard(struct gw_subscription *subscription)
{
    gw_subscription_pay_no_more(subscription);
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
    close_outages(*all);
    free((*all)->lulls);
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
    if (!gw_subscriptions_lag(all, text))
        return false;
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
