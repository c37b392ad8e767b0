#include "gateway/acl_keeper_internal.h"

#include "base/error.h"
#include "base/time.h"
#include "config/settings.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

/* --- Comparing --- */

void gw_acl_comparison_free(struct gw_acl_comparison *comparison)
{
    gw_control_destroy(&comparison->control);
    gw_acl_picture_free(&comparison->picture);
    gw_acl_set_free(&comparison->missing);
    gw_acl_set_free(&comparison->surplus);
    gw_acl_set_free(&comparison->beyond);
    gw_acl_set_free(&comparison->denied);
    gw_quota_difference_free(&comparison->quotas);
}

static sl_status look(struct gw_acl_cluster *cluster, int64_t until_ms, struct gw_acl_comparison *comparison,
                      sl_error *error)
{
    struct gw_acl_set there = {0}, ours = {0};
    sl_status status = gw_broker_acls(comparison->control, until_ms, &there, error);
    if (status)
        return status;
    gw_acl_sort_out(&comparison->picture, &there, &ours, &comparison->beyond, &comparison->denied);
    gw_acl_set_free(&there);
    if (ours.failed || comparison->beyond.failed || comparison->denied.failed) {
        gw_acl_set_free(&ours);
        return sl_error_oom(error);
    }
    gw_acl_set_free(&cluster->known);
    cluster->known = ours;
    cluster->looked = true;
    return SL_OK;
}

static void count(struct gw_acl_cluster *cluster, const struct gw_acl_comparison *comparison)
{
    atomic_store(&cluster->missing, comparison->missing.count);
    atomic_store(&cluster->surplus, comparison->surplus.count);
    atomic_store(&cluster->beyond, comparison->beyond.count);
    atomic_store(&cluster->denied, comparison->denied.count);
}

sl_status gw_acl_compare(struct gw_acl_cluster *cluster, bool ask, int64_t until_ms,
                         struct gw_acl_comparison *comparison, sl_error *error)
{
    *comparison = (struct gw_acl_comparison){0};
    sl_status status =
        gw_acl_picture_draw(cluster->keeper->gateway, cluster->broker, &comparison->picture, error);
    if (status)
        return status;
    /* By the lists it is known whose quotas are ours: both are asked for, or neither is. */
    comparison->asked = ask || !cluster->looked || !gw_quotas_known(&cluster->quotas);
    comparison->control = gw_control_create(cluster->broker);
    if (!comparison->control)
        status = sl_error_oom(error);
    else if (comparison->asked)
        status = look(cluster, until_ms, comparison, error);
    if (!status) {
        gw_acl_set_minus(&comparison->missing, &comparison->picture.desired, &cluster->known);
        gw_acl_set_minus(&comparison->surplus, &cluster->known, &comparison->picture.desired);
        if (comparison->missing.failed || comparison->surplus.failed)
            status = sl_error_oom(error);
    }
    if (status) {
        gw_acl_comparison_free(comparison);
        return status;
    }
    comparison->quotas_failure.status =
        gw_quotas_compare(&cluster->quotas, comparison->control, &comparison->picture, comparison->asked,
                          until_ms, &comparison->quotas, &comparison->quotas_failure);
    if (comparison->asked)
        count(cluster, comparison);
    return SL_OK;
}

/* Parts those by which one knows a principal that is, or was, an application's. */
static void part_marks(const struct gw_acl_set *surplus, struct gw_acl_set *marks, struct gw_acl_set *others)
{
    for (size_t i = 0; i < surplus->count; i++)
        gw_acl_set_add(surplus->list[i].resource == GW_ACL_GROUP ? marks : others, &surplus->list[i]);
    gw_acl_set_finish(marks);
    gw_acl_set_finish(others);
}

/* These are to be changed next: brokers hear of changes in their order, so the last tells of all. */
static sl_status owe(struct gw_acl_cluster *cluster, const struct gw_acl_set *changed, sl_error *error)
{
    if (!changed->count)
        return SL_OK;
    gw_acl_set_free(&cluster->owed);
    gw_acl_set_add(&cluster->owed, &changed->list[changed->count - 1]);
    return cluster->owed.failed ? sl_error_oom(error) : SL_OK;
}

/* A right that was given is one when brokers go by it, and so with one that was taken. Once all is put right
 * it is there if it should be, whatever became of the pass that changed it. */
static sl_status await_brokers(struct gw_acl_cluster *cluster, const struct gw_acl_comparison *comparison,
                               int64_t until_ms, sl_error *error)
{
    if (!cluster->owed.count)
        return SL_OK;
    const struct gw_acl *last = cluster->owed.list;
    sl_status status = gw_broker_await_acl(
        comparison->control, last, gw_acl_set_has(&comparison->picture.desired, last), until_ms, error);
    if (!status)
        gw_acl_set_free(&cluster->owed);
    return status;
}

/* Who may come is bounded first: lists go, then quotas are set, then lists come. An application that is no
 * more is known by the list of its groups, which goes when its quotas have gone: else these would stay, when
 * setting them fails, and be nobody's. */
static sl_status change(struct gw_acl_cluster *cluster, struct gw_acl_comparison *comparison,
                        int64_t until_ms, sl_error *error)
{
    static const struct gw_acl_set none = {0};
    struct gw_acl_set marks = {0}, others = {0};
    part_marks(&comparison->surplus, &marks, &others);
    sl_status status = marks.failed || others.failed ? sl_error_oom(error) : owe(cluster, &others, error);
    if (!status)
        status = gw_broker_change_acls(comparison->control, &none, &others, until_ms, error);
    if (!status && comparison->quotas_failure.status) {
        *error = comparison->quotas_failure;
        status = error->status;
    }
    if (!status)
        status = gw_quotas_put_right(&cluster->quotas, comparison->control, &comparison->picture,
                                     &comparison->quotas, until_ms, error);
    if (!status)
        status = owe(cluster, comparison->missing.count ? &comparison->missing : &marks, error);
    if (!status)
        status = gw_broker_change_acls(comparison->control, &comparison->missing, &marks, until_ms, error);
    if (!status)
        status = await_brokers(cluster, comparison, until_ms, error);
    gw_acl_set_free(&marks);
    gw_acl_set_free(&others);
    return status;
}

sl_status gw_acl_put_right(struct gw_acl_cluster *cluster, struct gw_acl_comparison *comparison,
                           int64_t until_ms, sl_error *error)
{
    sl_status status = change(cluster, comparison, until_ms, error);
    if (status) { /* it is not known what was done */
        cluster->looked = false;
        return status;
    }
    gw_quotas_give_back(&cluster->quotas, &comparison->picture, &comparison->quotas);
    atomic_fetch_add(&cluster->made, comparison->missing.count);
    atomic_fetch_add(&cluster->removed, comparison->surplus.count);
    atomic_store(&cluster->missing, 0);
    atomic_store(&cluster->surplus, 0);
    cluster->settled = true;
    gw_acl_set_free(&cluster->known);
    cluster->known = comparison->picture.desired;
    comparison->picture.desired = (struct gw_acl_set){0};
    return SL_OK;
}

static bool is_stopping(struct gw_acl_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    bool stopping = keeper->stopping;
    pthread_mutex_unlock(&keeper->lock);
    return stopping;
}

/* Kafka was asked, and all is put right. settled: it was so before. */
static void tell(struct gw_acl_keeper *keeper, struct gw_acl_cluster *cluster,
                 const struct gw_acl_comparison *comparison, bool settled)
{
    const struct sl_log *log = &keeper->gateway->log;
    const char *name = gw_broker_cluster(cluster->broker);
    if (settled && (comparison->missing.count || comparison->surplus.count))
        SL_WARNING(log,
                   "kafka %s: access control lists: %zu that were missing are made, %zu too many removed",
                   name, comparison->missing.count, comparison->surplus.count);
    if (settled && comparison->quotas.change.count)
        SL_WARNING(log, "kafka %s: client quotas: %zu that were changed by others are set again", name,
                   comparison->quotas.change.count);
    if (comparison->beyond.count + comparison->quotas.beyond.count)
        SL_WARNING(
            log,
            "kafka %s: access control lists and quotas that others have made give applications more than was "
            "granted (%zu of them; streamlayer acl check shows them)",
            name, comparison->beyond.count + comparison->quotas.beyond.count);
    if (comparison->denied.count)
        SL_WARNING(log,
                   "kafka %s: access control lists that others have made keep applications from what was "
                   "granted (%zu of them; streamlayer acl check shows them)",
                   name, comparison->denied.count);
}

static void keep(struct gw_acl_cluster *cluster, bool ask, sl_error *outcome)
{
    struct gw_acl_keeper *keeper = cluster->keeper;
    struct gw_acl_comparison comparison;
    sl_error reason = {0};
    bool settled = cluster->settled;
    /* As long as it takes: each question has a bound of its own. */
    sl_status status = gw_acl_compare(cluster, ask, INT64_MAX, &comparison, &reason);
    if (!status) {
        status = gw_acl_put_right(cluster, &comparison, INT64_MAX, &reason);
        if (!status && comparison.asked)
            tell(keeper, cluster, &comparison, settled);
        gw_acl_comparison_free(&comparison);
    }
    if (status && !cluster->failing && !is_stopping(keeper))
        SL_WARNING(&keeper->gateway->log,
                   "kafka %s: grants are not written as access control lists yet, and are tried again: %s",
                   gw_broker_cluster(cluster->broker), reason.text);
    else if (!status && cluster->failing)
        SL_INFO(&keeper->gateway->log, "kafka %s: grants are written as access control lists",
                gw_broker_cluster(cluster->broker));
    cluster->failing = status != SL_OK;
    *outcome = reason;
    outcome->status = status;
}

bool gw_acl_begin_work(struct gw_acl_cluster *cluster, int64_t until_ms)
{
    struct gw_acl_keeper *keeper = cluster->keeper;
    const struct timespec until = until_ms == INT64_MAX ? (struct timespec){0} : sl_mono_deadline(until_ms);
    int timed_out = 0;
    pthread_mutex_lock(&keeper->lock);
    while (cluster->busy && !timed_out)
        timed_out = until_ms == INT64_MAX ? pthread_cond_wait(&keeper->settled, &keeper->lock)
                                          : pthread_cond_timedwait(&keeper->settled, &keeper->lock, &until);
    bool begun = !cluster->busy;
    cluster->busy = true;
    pthread_mutex_unlock(&keeper->lock);
    return begun;
}

void gw_acl_end_work(struct gw_acl_cluster *cluster)
{
    struct gw_acl_keeper *keeper = cluster->keeper;
    pthread_mutex_lock(&keeper->lock);
    cluster->busy = false;
    pthread_cond_broadcast(&keeper->settled);
    pthread_mutex_unlock(&keeper->lock);
}

/* --- The threads --- */

/* Until there is a change, a pass is due, or the end. False: the end. */
static bool await_work(struct gw_acl_cluster *cluster, int64_t due_ms)
{
    struct gw_acl_keeper *keeper = cluster->keeper;
    const struct timespec until = sl_mono_deadline(due_ms);
    int timed_out = 0;
    while (!keeper->stopping && keeper->wanted == cluster->tried && !timed_out)
        timed_out = pthread_cond_timedwait(&keeper->changed, &keeper->lock, &until);
    return !keeper->stopping;
}

static void *run(void *opaque)
{
    struct gw_acl_cluster *cluster = opaque;
    struct gw_acl_keeper *keeper = cluster->keeper;
    int64_t ask_ms = sl_mono_ms(), due_ms = ask_ms, retry_ms = RETRY_MIN_MS;
    pthread_setname_np(pthread_self(), "grants");
    pthread_mutex_lock(&keeper->lock);
    while (await_work(cluster, due_ms)) {
        unsigned long long seen = keeper->wanted;
        pthread_mutex_unlock(&keeper->lock);
        sl_error outcome;
        bool ask = sl_mono_ms() >= ask_ms;
        (void)gw_acl_begin_work(cluster, INT64_MAX);
        keep(cluster, ask, &outcome);
        gw_acl_end_work(cluster);
        if (ask && !outcome.status)
            ask_ms = sl_mono_ms() + keeper->interval_ms;
        due_ms = outcome.status ? sl_mono_ms() + retry_ms : ask_ms;
        retry_ms = !outcome.status ? RETRY_MIN_MS : retry_ms < RETRY_MAX_MS / 2 ? 2 * retry_ms : RETRY_MAX_MS;
        pthread_mutex_lock(&keeper->lock);
        cluster->tried = seen;
        cluster->outcome = outcome;
        pthread_cond_broadcast(&keeper->settled);
    }
    pthread_mutex_unlock(&keeper->lock);
    return NULL;
}

static sl_status start(struct gw_acl_cluster *cluster, sl_error *error)
{
    if (pthread_create(&cluster->thread, NULL, run, cluster))
        return sl_error_set(error, SL_OUT_OF_MEMORY, "no thread can be started for access control lists");
    cluster->running = true;
    return SL_OK;
}

sl_status gw_acl_keeper_start(struct gateway *gateway, struct gw_acl_keeper **out, sl_error *error)
{
    size_t count = 0, brokers = gw_brokers_count(gateway->brokers);
    *out = NULL;
    for (size_t i = 0; i < brokers; i++)
        count += gw_broker_keeps_acls(gw_brokers_at(gateway->brokers, i));
    if (!count)
        return SL_OK;
    struct gw_acl_keeper *keeper = calloc(1, sizeof *keeper + count * sizeof *keeper->clusters);
    if (!keeper)
        return sl_error_oom(error);
    *out = keeper;
    keeper->gateway = gateway;
    pthread_mutex_init(&keeper->lock, NULL);
    sl_cond_init(&keeper->changed);
    sl_cond_init(&keeper->settled);
    for (size_t i = 0; i < brokers; i++) {
        struct gw_broker *broker = gw_brokers_at(gateway->brokers, i);
        if (!gw_broker_keeps_acls(broker))
            continue;
        struct gw_acl_cluster *cluster = &keeper->clusters[keeper->count++];
        cluster->keeper = keeper;
        cluster->broker = broker;
        gw_quotas_init(&cluster->quotas, gateway, broker);
    }
    sl_status status = sl_config_duration_ms(gateway->config, SL_GATEWAY_ROOT "kafka.acls.check-interval",
                                             &keeper->interval_ms, error);
    for (size_t i = 0; i < keeper->count && !status; i++)
        status = start(&keeper->clusters[i], error);
    return status;
}

void gw_acl_keeper_finish(struct gw_acl_keeper *keeper)
{
    if (!keeper)
        return;
    pthread_mutex_lock(&keeper->lock);
    keeper->stopping = true;
    pthread_cond_broadcast(&keeper->changed);
    pthread_cond_broadcast(&keeper->settled);
    pthread_mutex_unlock(&keeper->lock);
    for (size_t i = 0; i < keeper->count; i++)
        gw_broker_cancel_acls(keeper->clusters[i].broker);
    for (size_t i = 0; i < keeper->count; i++) {
        if (keeper->clusters[i].running)
            pthread_join(keeper->clusters[i].thread, NULL);
        keeper->clusters[i].running = false;
    }
}

void gw_acl_keeper_free(struct gw_acl_keeper **out)
{
    struct gw_acl_keeper *keeper = *out;
    if (!keeper)
        return;
    *out = NULL;
    gw_acl_keeper_finish(keeper);
    for (size_t i = 0; i < keeper->count; i++) {
        gw_acl_set_free(&keeper->clusters[i].known);
        gw_acl_set_free(&keeper->clusters[i].owed);
        gw_quotas_free(&keeper->clusters[i].quotas);
    }
    pthread_cond_destroy(&keeper->changed);
    pthread_cond_destroy(&keeper->settled);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}

/* --- What others ask --- */

void gw_acl_note(struct gw_acl_keeper *keeper)
{
    if (!keeper)
        return;
    pthread_mutex_lock(&keeper->lock);
    keeper->wanted++;
    pthread_cond_broadcast(&keeper->changed);
    pthread_mutex_unlock(&keeper->lock);
}

/* Under lock: NULL, or one of those that are waited for and have not seen so many changes yet. */
static const struct gw_acl_cluster *late_one(const struct gw_acl_keeper *keeper, const char *name,
                                             unsigned long long changes)
{
    for (size_t i = 0; i < keeper->count; i++)
        if (keeper->clusters[i].tried < changes &&
            (!name || !strcmp(gw_broker_cluster(keeper->clusters[i].broker), name)))
            return &keeper->clusters[i];
    return NULL;
}

sl_status gw_acl_settle(struct gw_acl_keeper *keeper, const char *cluster, int64_t until_ms, sl_error *error)
{
    if (!keeper)
        return SL_OK;
    const struct timespec until = sl_mono_deadline(until_ms);
    const struct gw_acl_cluster *late;
    int timed_out = 0;
    pthread_mutex_lock(&keeper->lock);
    unsigned long long mine = ++keeper->wanted;
    pthread_cond_broadcast(&keeper->changed);
    while ((late = late_one(keeper, cluster, mine)) && !keeper->stopping && !timed_out)
        timed_out = pthread_cond_timedwait(&keeper->settled, &keeper->lock, &until);
    sl_status status = SL_OK;
    if (late)
        status = sl_error_set_retriable(error, SL_TIMED_OUT,
                                        "the Kafka cluster %s does not have the access control lists yet",
                                        gw_broker_cluster(late->broker));
    for (size_t i = 0; i < keeper->count && !status; i++) {
        const struct gw_acl_cluster *one = &keeper->clusters[i];
        if (cluster && strcmp(gw_broker_cluster(one->broker), cluster) != 0)
            continue;
        status = one->outcome.status;
        if (status && error)
            *error = one->outcome;
    }
    pthread_mutex_unlock(&keeper->lock);
    return status;
}

bool gw_acl_ask(struct gw_acl_keeper *keeper, const struct gw_layer *layer, const struct gw_account *account,
                bool in, bool out)
{
    for (size_t i = 0; keeper && i < keeper->count; i++) {
        struct gw_acl_cluster *cluster = &keeper->clusters[i];
        if (!strcmp(gw_broker_cluster(cluster->broker), layer->cluster))
            return gw_acl_knows(cluster->broker, account) &&
                   gw_quotas_ask(&cluster->quotas, account->principal, layer->topic, in, out);
    }
    return false;
}
