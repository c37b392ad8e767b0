#include "gateway/acl_keeper.h"

#include "base/array.h"
#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "config/settings.h"
#include "gateway/broker/acls.h"
#include "gateway/gateway_internal.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000
#define USER         "User:"

/* One that keeps grants, with a thread of its own: one that is away holds up no other. */
struct cluster {
    struct gw_acl_keeper *keeper;
    struct gw_broker *broker;
    pthread_t thread;
    bool running;
    /* Under the keeper's lock: how many changes a pass that has ended had seen, and what came of it; status
     * SL_OK: all is written. */
    unsigned long long tried;
    sl_error outcome;

    bool busy;               /* under the keeper's lock: somebody compares, and what follows is theirs */
    struct gw_acl_set known; /* ours, as Kafka has them, once it was looked at */
    bool looked, settled;    /* settled: all was written once, so what differs later was changed by others */
    /* For /metrics. */
    atomic_bool failing;                    /* it was said */
    atomic_size_t missing, surplus, beyond; /* when Kafka was asked last, less what was put right since */
    atomic_ullong made, removed;
};

struct gw_acl_keeper {
    struct gateway *gateway;
    int64_t interval_ms;
    pthread_mutex_t lock;
    pthread_cond_t changed, settled;
    bool stopping;
    unsigned long long wanted; /* changes that were noted */
    size_t count;
    struct cluster clusters[];
};

/* --- What should be --- */

struct topic {
    char *name, *hrn; /* hrn NULL: of a layer that is being deleted */
    bool marketplace; /* it is written directly, and read over HTTP only */
};

/* What is asked of a cluster at one moment. */
struct picture {
    const char *cluster, *issuer; /* issuer: whose tokens its brokers take; "": the gateway's own */
    struct topic *topics;         /* in the order of names */
    size_t topic_count, topic_capacity;
    char **principals; /* in order: those whose lists are ours */
    size_t principal_count, principal_capacity;
    struct gw_acl_set desired;
    bool failed;
};

static void add_topic(struct picture *picture, const char *name, const char *hrn, bool marketplace)
{
    if (!sl_array_reserve((void **)&picture->topics, picture->topic_count, &picture->topic_capacity,
                          sizeof *picture->topics)) {
        picture->failed = true;
        return;
    }
    struct topic *topic = &picture->topics[picture->topic_count++];
    *topic = (struct topic){.name = sl_strdup(name), .hrn = sl_strdup(hrn), .marketplace = marketplace};
    picture->failed |= !topic->name || !topic->hrn != !hrn;
}

static void add_layer(void *opaque, const struct gw_layer *layer)
{
    struct picture *picture = opaque;
    if (!strcmp(layer->cluster, picture->cluster))
        add_topic(picture, layer->topic, layer->hrn, layer->marketplace);
}

static void add_principal(struct picture *picture, const char *principal)
{
    char *copy = sl_strdup(principal);
    if (!copy || !sl_array_reserve((void **)&picture->principals, picture->principal_count,
                                   &picture->principal_capacity, sizeof *picture->principals)) {
        free(copy);
        picture->failed = true;
        return;
    }
    picture->principals[picture->principal_count++] = copy;
}

static void add_account(void *opaque, const struct gw_account *account)
{
    struct picture *picture = opaque;
    /* Of another issuer's the brokers take no tokens, and the same subject may be somebody else there. */
    if (strcmp(account->issuer ? account->issuer : "", picture->issuer) != 0)
        return;
    /* To Kafka "*" is everybody, and what has a "=" may be a certificate's name. */
    if (!strcmp(account->principal, "*") || strchr(account->principal, '='))
        return;
    char *principal = sl_printf(USER "%s", account->principal), *prefix = sl_printf("%s.", account->id);
    bool reads = false;
    if (principal)
        add_principal(picture, principal);
    for (size_t i = 0; i < picture->topic_count && principal && prefix; i++) {
        const struct topic *topic = &picture->topics[i];
        unsigned rights = topic->hrn ? gw_account_rights(account, topic->hrn) : 0;
        if (topic->marketplace)
            rights &= ~(unsigned)SL_RIGHT_READ;
        struct gw_acl acl = {.principal = principal,
                             .resource = GW_ACL_TOPIC,
                             .name = topic->name,
                             .allow = true,
                             .host = "*"};
        acl.operation = GW_ACL_READ;
        if (rights & SL_RIGHT_READ)
            gw_acl_set_add(&picture->desired, &acl);
        acl.operation = GW_ACL_WRITE;
        if (rights & SL_RIGHT_WRITE)
            gw_acl_set_add(&picture->desired, &acl);
        reads |= (rights & SL_RIGHT_READ) != 0;
    }
    /* Whoever only writes has it, too: by it we know the principals that are, or were, applications. */
    const struct gw_acl group = {.principal = principal,
                                 .resource = GW_ACL_GROUP,
                                 .name = prefix,
                                 .prefixed = true,
                                 .operation = GW_ACL_READ,
                                 .allow = true,
                                 .host = "*"};
    if (principal && prefix && (reads || account->all || account->grant_count))
        gw_acl_set_add(&picture->desired, &group);
    picture->failed |= !principal || !prefix;
    free(principal);
    free(prefix);
}

static int compare_topics(const void *a, const void *b)
{
    const struct topic *one = a, *other = b;
    return strcmp(one->name, other->name);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_topic(const struct picture *picture, const char *name)
{
    const struct topic wanted = {.name = (char *)(uintptr_t)name};
    return picture->topic_count &&
           bsearch(&wanted, picture->topics, picture->topic_count, sizeof *picture->topics, compare_topics);
}

static bool is_principal(const struct picture *picture, const char *name)
{
    return picture->principal_count && bsearch(&name, picture->principals, picture->principal_count,
                                               sizeof *picture->principals, compare_texts);
}

static void picture_free(struct picture *picture)
{
    for (size_t i = 0; i < picture->topic_count; i++) {
        free(picture->topics[i].name);
        free(picture->topics[i].hrn);
    }
    for (size_t i = 0; i < picture->principal_count; i++)
        free(picture->principals[i]);
    free(picture->topics);
    free(picture->principals);
    gw_acl_set_free(&picture->desired);
}

static sl_status draw(struct gateway *gateway, const struct gw_broker *broker, struct picture *picture,
                      sl_error *error)
{
    const char *cluster = gw_broker_cluster(broker);
    json_t *condemned = NULL, *item;
    size_t index;
    *picture = (struct picture){.cluster = cluster, .issuer = gw_broker_issuer(broker)};
    /* The condemned second: a layer that is condemned in between is in both, and never in neither. */
    gw_catalogs_each_layer(gateway->catalogs, add_layer, picture);
    sl_status status = gw_catalogs_condemned(gateway->catalogs, NULL, NULL, &condemned, error);
    json_array_foreach(condemned, index, item)
    {
        if (!strcmp(json_string_value(json_object_get(item, "cluster")), cluster))
            add_topic(picture, json_string_value(json_object_get(item, "topic")), NULL, false);
    }
    json_decref(condemned);
    gw_access_each(gateway->access, add_account, picture);
    if (picture->topic_count)
        qsort(picture->topics, picture->topic_count, sizeof *picture->topics, compare_topics);
    if (picture->principal_count)
        qsort(picture->principals, picture->principal_count, sizeof *picture->principals, compare_texts);
    gw_acl_set_finish(&picture->desired);
    if (!status && (picture->failed || picture->desired.failed))
        status = sl_error_oom(error);
    if (status)
        picture_free(picture);
    return status;
}

/* --- What is there --- */

/* The prefix of an application's groups: its id and a dot. */
static bool is_prefix(const struct gw_acl *acl)
{
    size_t length = strlen(acl->name);
    return acl->resource == GW_ACL_GROUP && acl->prefixed && acl->operation == GW_ACL_READ &&
           length == GW_APPLICATION_ID_DIGITS + 1 && acl->name[length - 1] == '.' &&
           strspn(acl->name, "0123456789abcdef") == length - 1;
}

/* Of a form that we write. */
static bool has_our_form(const struct picture *picture, const struct gw_acl *acl)
{
    if (!acl->allow || strcmp(acl->host, "*") != 0)
        return false;
    if (acl->resource == GW_ACL_TOPIC)
        return !acl->prefixed && (acl->operation == GW_ACL_READ || acl->operation == GW_ACL_WRITE) &&
               is_topic(picture, acl->name);
    return is_prefix(acl);
}

/* Whether it opens layers' topics, groups, or the cluster, to an application or to everybody. */
static bool opens(const struct picture *picture, const struct gw_acl *acl, bool application)
{
    if (acl->resource != GW_ACL_TOPIC)
        return acl->resource == GW_ACL_GROUP || (acl->resource == GW_ACL_CLUSTER && application);
    if (!acl->prefixed)
        return !strcmp(acl->name, "*") || is_topic(picture, acl->name);
    for (size_t i = 0; i < picture->topic_count; i++)
        if (!strncmp(picture->topics[i].name, acl->name, strlen(acl->name)))
            return true;
    return false;
}

/* Parts what Kafka has: ours, and what gives applications more than we do. */
static void sort_out(struct picture *picture, const struct gw_acl_set *there, struct gw_acl_set *ours,
                     struct gw_acl_set *beyond)
{
    for (size_t i = 0; i < there->count; i++)
        if (there->list[i].allow && is_prefix(&there->list[i]))
            add_principal(picture, there->list[i].principal); /* an application that is, or was */
    if (picture->principal_count)
        qsort(picture->principals, picture->principal_count, sizeof *picture->principals, compare_texts);
    for (size_t i = 0; i < there->count; i++) {
        const struct gw_acl *acl = &there->list[i];
        bool application = is_principal(picture, acl->principal);
        if (application && has_our_form(picture, acl))
            gw_acl_set_add(ours, acl);
        else if (acl->allow && (application || !strcmp(acl->principal, USER "*")) &&
                 opens(picture, acl, application))
            gw_acl_set_add(beyond, acl);
    }
    gw_acl_set_finish(ours);
    gw_acl_set_finish(beyond);
}

/* --- Comparing --- */

struct comparison {
    struct picture picture;
    struct gw_acl_set missing, surplus, beyond;
};

static void comparison_free(struct comparison *comparison)
{
    picture_free(&comparison->picture);
    gw_acl_set_free(&comparison->missing);
    gw_acl_set_free(&comparison->surplus);
    gw_acl_set_free(&comparison->beyond);
}

static sl_status look(struct cluster *cluster, int64_t until_ms, struct comparison *comparison,
                      sl_error *error)
{
    struct gw_acl_set there = {0}, ours = {0};
    sl_status status = gw_broker_acls(cluster->broker, until_ms, &there, error);
    if (status)
        return status;
    sort_out(&comparison->picture, &there, &ours, &comparison->beyond);
    gw_acl_set_free(&there);
    if (ours.failed || comparison->beyond.failed || comparison->picture.failed) {
        gw_acl_set_free(&ours);
        return sl_error_oom(error);
    }
    gw_acl_set_free(&cluster->known);
    cluster->known = ours;
    cluster->looked = true;
    return SL_OK;
}

/* For whoever is busy with it, as what follows. ask: Kafka itself, and not what is known. */
static sl_status compare(struct gw_acl_keeper *keeper, struct cluster *cluster, bool ask, int64_t until_ms,
                         struct comparison *comparison, sl_error *error)
{
    *comparison = (struct comparison){0};
    sl_status status = draw(keeper->gateway, cluster->broker, &comparison->picture, error);
    if (status)
        return status;
    bool asks = ask || !cluster->looked;
    if (asks)
        status = look(cluster, until_ms, comparison, error);
    if (!status) {
        gw_acl_set_minus(&comparison->missing, &comparison->picture.desired, &cluster->known);
        gw_acl_set_minus(&comparison->surplus, &cluster->known, &comparison->picture.desired);
        if (comparison->missing.failed || comparison->surplus.failed)
            status = sl_error_oom(error);
    }
    if (status) {
        comparison_free(comparison);
    } else if (asks) {
        cluster->missing = comparison->missing.count;
        cluster->surplus = comparison->surplus.count;
        cluster->beyond = comparison->beyond.count;
    }
    return status;
}

static sl_status put_right(struct cluster *cluster, struct comparison *comparison, int64_t until_ms,
                           sl_error *error)
{
    sl_status status =
        gw_broker_change_acls(cluster->broker, &comparison->missing, &comparison->surplus, until_ms, error);
    if (status) { /* it is not known what was done */
        cluster->looked = false;
        return status;
    }
    cluster->made += comparison->missing.count;
    cluster->removed += comparison->surplus.count;
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
static void tell(struct gw_acl_keeper *keeper, struct cluster *cluster, const struct comparison *comparison,
                 bool settled)
{
    const struct sl_log *log = &keeper->gateway->log;
    const char *name = gw_broker_cluster(cluster->broker);
    if (settled && (comparison->missing.count || comparison->surplus.count))
        SL_WARNING(log,
                   "kafka %s: access control lists: %zu that were missing are made, %zu too many removed",
                   name, comparison->missing.count, comparison->surplus.count);
    if (comparison->beyond.count)
        SL_WARNING(
            log,
            "kafka %s: access control lists that others have made give applications more than was granted "
            "(%zu of them; streamlayer acl check shows them)",
            name, comparison->beyond.count);
}

static void keep(struct cluster *cluster, bool ask, sl_error *outcome)
{
    struct gw_acl_keeper *keeper = cluster->keeper;
    struct comparison comparison;
    sl_error reason = {0};
    bool asks = ask || !cluster->looked, settled = cluster->settled;
    /* As long as it takes: each question has a bound of its own. */
    sl_status status = compare(keeper, cluster, ask, INT64_MAX, &comparison, &reason);
    if (!status) {
        status = put_right(cluster, &comparison, INT64_MAX, &reason);
        if (!status && asks)
            tell(keeper, cluster, &comparison, settled);
        comparison_free(&comparison);
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

/* Whoever compares does so alone. False: it was not until then. */
static bool begin_work(struct cluster *cluster, int64_t until_ms)
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

static void end_work(struct cluster *cluster)
{
    struct gw_acl_keeper *keeper = cluster->keeper;
    pthread_mutex_lock(&keeper->lock);
    cluster->busy = false;
    pthread_cond_broadcast(&keeper->settled);
    pthread_mutex_unlock(&keeper->lock);
}

/* --- The threads --- */

/* Until there is a change, a pass is due, or the end. False: the end. */
static bool await_work(struct cluster *cluster, int64_t due_ms)
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
    struct cluster *cluster = opaque;
    struct gw_acl_keeper *keeper = cluster->keeper;
    int64_t ask_ms = sl_mono_ms(), due_ms = ask_ms, retry_ms = RETRY_MIN_MS;
    pthread_mutex_lock(&keeper->lock);
    while (await_work(cluster, due_ms)) {
        unsigned long long seen = keeper->wanted;
        pthread_mutex_unlock(&keeper->lock);
        sl_error outcome;
        bool ask = sl_mono_ms() >= ask_ms;
        (void)begin_work(cluster, INT64_MAX);
        keep(cluster, ask, &outcome);
        end_work(cluster);
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

static sl_status start(struct cluster *cluster, sl_error *error)
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
        struct cluster *cluster = &keeper->clusters[keeper->count++];
        cluster->keeper = keeper;
        cluster->broker = broker;
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
    for (size_t i = 0; i < keeper->count; i++)
        gw_acl_set_free(&keeper->clusters[i].known);
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
static const struct cluster *late_one(const struct gw_acl_keeper *keeper, const char *name,
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
    const struct cluster *late;
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
        const struct cluster *one = &keeper->clusters[i];
        if (cluster && strcmp(gw_broker_cluster(one->broker), cluster) != 0)
            continue;
        status = one->outcome.status;
        if (status && error)
            *error = one->outcome;
    }
    pthread_mutex_unlock(&keeper->lock);
    return status;
}

/* The name of the application whose principal it is; NULL: none's. */
struct naming {
    const char *principal, *issuer;
    char *name;
};

static void name_account(void *opaque, const struct gw_account *account)
{
    struct naming *naming = opaque;
    if (!naming->name && !strcmp(account->principal, naming->principal) &&
        !strcmp(account->issuer ? account->issuer : "", naming->issuer))
        naming->name = sl_strdup(account->name);
}

static json_t *acls_json(struct gw_acl_keeper *keeper, const struct cluster *cluster,
                         const struct gw_acl_set *set)
{
    json_t *list = json_array();
    for (size_t i = 0; i < set->count && list; i++) {
        const struct gw_acl *acl = &set->list[i];
        struct naming naming = {.issuer = gw_broker_issuer(cluster->broker)};
        if (!strncmp(acl->principal, USER, sizeof USER - 1)) {
            naming.principal = acl->principal + sizeof USER - 1;
            gw_access_each(keeper->gateway->access, name_account, &naming);
        }
        json_t *item =
            json_pack("{s:s, s:s*, s:s, s:s, s:b, s:s}", "principal", acl->principal, "application",
                      naming.name, "resource", gw_acl_resource_text(acl->resource), "name", acl->name,
                      "prefixed", acl->prefixed, "operation", gw_acl_operation_text(acl->operation));
        free(naming.name);
        if (json_array_append_new(list, item)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

/* NULL: no memory. */
static json_t *check(struct gw_acl_keeper *keeper, struct cluster *cluster, bool repair, int64_t until_ms)
{
    struct comparison comparison;
    sl_error error = {0};
    const char *name = gw_broker_cluster(cluster->broker);
    json_t *missing = NULL, *surplus = NULL, *beyond = NULL;
    if (compare(keeper, cluster, true, until_ms, &comparison, &error))
        return json_pack("{s:s, s:s}", "cluster", name, "error", error.text);
    missing = acls_json(keeper, cluster, &comparison.missing);
    surplus = acls_json(keeper, cluster, &comparison.surplus);
    beyond = acls_json(keeper, cluster, &comparison.beyond);
    sl_status status = repair ? put_right(cluster, &comparison, until_ms, &error) : SL_OK;
    comparison_free(&comparison);
    return json_pack("{s:s, s:s*, s:o, s:o, s:o}", "cluster", name, "error", status ? error.text : NULL,
                     "missing", missing, "surplus", surplus, "beyond", beyond);
}

/* What is told of a cluster that another pass has kept busy for all the time there was. NULL: no memory. */
static json_t *busy_json(struct gw_acl_keeper *keeper, const struct cluster *cluster)
{
    pthread_mutex_lock(&keeper->lock);
    json_t *told = json_pack("{s:s, s:s}", "cluster", gw_broker_cluster(cluster->broker), "error",
                             cluster->outcome.status
                                 ? cluster->outcome.text
                                 : "the gateway is writing its access control lists just now: ask again");
    pthread_mutex_unlock(&keeper->lock);
    return told;
}

sl_status gw_acl_check(struct gw_acl_keeper *keeper, bool repair, int64_t until_ms, json_t **report,
                       sl_error *error)
{
    json_t *clusters = json_array();
    bool good = clusters != NULL;
    for (size_t i = 0; keeper && i < keeper->count && good; i++) {
        struct cluster *cluster = &keeper->clusters[i];
        /* One that is away leaves time for those that follow. */
        int64_t share_ms = sl_mono_ms() + sl_remaining_ms(until_ms) / (int64_t)(keeper->count - i);
        bool begun = begin_work(cluster, share_ms);
        json_t *told = begun ? check(keeper, cluster, repair, share_ms) : busy_json(keeper, cluster);
        if (begun)
            end_work(cluster);
        good = !json_array_append_new(clusters, told);
    }
    *report = good ? json_pack("{s:o}", "clusters", clusters) : NULL;
    if (!good)
        json_decref(clusters);
    return *report ? SL_OK : sl_error_oom(error);
}

bool gw_acl_metrics(const struct gw_acl_keeper *keeper, struct sl_buffer *text)
{
    if (!keeper)
        return true;
    bool good = sl_buffer_append_text(
        text,
        "# HELP streamlayer_kafka_acl_drift Access control lists that differ from the grants, when Kafka "
        "was asked last.\n# TYPE streamlayer_kafka_acl_drift gauge\n");
    for (size_t i = 0; i < keeper->count; i++) {
        const struct cluster *cluster = &keeper->clusters[i];
        const char *name = gw_broker_cluster(cluster->broker);
        static const char line[] = "streamlayer_kafka_acl_drift{cluster=\"%s\",kind=\"%s\"} %zu\n";
        good &= sl_buffer_printf(text, line, name, "missing", atomic_load(&cluster->missing)) &&
                sl_buffer_printf(text, line, name, "surplus", atomic_load(&cluster->surplus)) &&
                sl_buffer_printf(text, line, name, "beyond", atomic_load(&cluster->beyond));
    }
    good &= sl_buffer_append_text(text,
                                  "# HELP streamlayer_kafka_acl_changes_total Access control lists made and "
                                  "removed.\n# TYPE streamlayer_kafka_acl_changes_total counter\n");
    for (size_t i = 0; i < keeper->count; i++) {
        const struct cluster *cluster = &keeper->clusters[i];
        const char *name = gw_broker_cluster(cluster->broker);
        static const char line[] =
            "streamlayer_kafka_acl_changes_total{cluster=\"%s\",operation=\"%s\"} %llu\n";
        good &= sl_buffer_printf(text, line, name, "make", atomic_load(&cluster->made)) &&
                sl_buffer_printf(text, line, name, "remove", atomic_load(&cluster->removed));
    }
    good &= sl_buffer_append_text(text,
                                  "# HELP streamlayer_kafka_acl_failing Whether grants wait to be written as "
                                  "access control lists.\n# TYPE streamlayer_kafka_acl_failing gauge\n");
    for (size_t i = 0; i < keeper->count; i++)
        good &= sl_buffer_printf(text, "streamlayer_kafka_acl_failing{cluster=\"%s\"} %d\n",
                                 gw_broker_cluster(keeper->clusters[i].broker),
                                 atomic_load(&keeper->clusters[i].failing));
    return good;
}
