/* What the keeper tells: people, by its report, and /metrics. */
#include "gateway/acl_keeper_internal.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* A finding is put behind the others; *list becomes NULL where memory is out. Takes the reference to item. */
static void append(json_t **list, json_t *item)
{
    if (*list && json_array_append_new(*list, item)) {
        json_decref(*list);
        *list = NULL;
    } else if (!*list) {
        json_decref(item);
    }
}

/* operation: as people read it. */
static void add_finding(json_t **list, const struct gw_acl_cluster *cluster, const char *user,
                        const struct gw_acl *acl, const char *resource, const char *operation)
{
    struct naming naming = {.principal = user, .issuer = gw_broker_issuer(cluster->broker)};
    if (user)
        gw_access_each(cluster->keeper->gateway->access, name_account, &naming);
    append(list, json_pack("{s:s, s:s*, s:s, s:s, s:b, s:s}", "principal", acl->principal, "application",
                           naming.name, "resource", resource, "name", acl->name, "prefixed", acl->prefixed,
                           "operation", operation));
    free(naming.name);
}

static void add_acls(json_t **list, const struct gw_acl_cluster *cluster, const struct gw_acl_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct gw_acl *acl = &set->list[i];
        bool user = !strncmp(acl->principal, GW_ACL_USER, sizeof GW_ACL_USER - 1);
        add_finding(list, cluster, user ? acl->principal + sizeof GW_ACL_USER - 1 : NULL, acl,
                    gw_acl_resource_text(acl->resource), gw_acl_operation_text(acl->operation));
    }
}

static void add_quotas(json_t **list, const struct gw_acl_cluster *cluster, const struct gw_quota_set *set)
{
    for (size_t i = 0; i < 2 * set->count; i++) {
        const struct gw_quota *quota = &set->list[i / 2];
        double rate = i % 2 ? quota->out : quota->in;
        char operation[64], *principal = sl_printf(GW_ACL_USER "%s", quota->user);
        /* As one of a client id is no list, the rest of a user's clients are told as all. */
        const struct gw_acl acl = {.principal = principal, .name = quota->client ? quota->client : "*"};
        snprintf(operation, sizeof operation, "%s %.0f B/s", i % 2 ? "Read" : "Write", rate);
        if (principal && rate != 0)
            add_finding(list, cluster, quota->user, &acl, "client-quota", operation);
        if (!principal)
            append(list, NULL);
        free(principal);
    }
}

static json_t *findings(const struct gw_acl_cluster *cluster, const struct gw_acl_set *acls,
                        const struct gw_quota_set *quotas)
{
    json_t *list = json_array();
    add_acls(&list, cluster, acls);
    if (quotas)
        add_quotas(&list, cluster, quotas);
    return list;
}

/* NULL: no memory. */
static json_t *check(struct gw_acl_cluster *cluster, bool repair, int64_t until_ms)
{
    struct gw_acl_comparison comparison;
    sl_error error = {0};
    const char *name = gw_broker_cluster(cluster->broker);
    if (gw_acl_compare(cluster, true, until_ms, &comparison, &error))
        return json_pack("{s:s, s:s}", "cluster", name, "error", error.text);
    const struct gw_quota_difference *quotas = &comparison.quotas;
    json_t *missing = findings(cluster, &comparison.missing, &quotas->missing);
    json_t *surplus = findings(cluster, &comparison.surplus, &quotas->surplus);
    json_t *beyond = findings(cluster, &comparison.beyond, &quotas->beyond);
    json_t *denied = findings(cluster, &comparison.denied, NULL);
    if (!repair)
        error = comparison.quotas_failure;
    sl_status status =
        repair ? gw_acl_put_right(cluster, &comparison, until_ms, &error) : comparison.quotas_failure.status;
    gw_acl_comparison_free(&comparison);
    return json_pack("{s:s, s:s*, s:o, s:o, s:o, s:o}", "cluster", name, "error", status ? error.text : NULL,
                     "missing", missing, "surplus", surplus, "beyond", beyond, "denied", denied);
}

/* What is told of a cluster that another pass has kept busy for all the time there was. NULL: no memory. */
static json_t *busy_json(struct gw_acl_cluster *cluster)
{
    struct gw_acl_keeper *keeper = cluster->keeper;
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
        struct gw_acl_cluster *cluster = &keeper->clusters[i];
        /* One that is away leaves time for those that follow. */
        int64_t share_ms = sl_mono_ms() + sl_remaining_ms(until_ms) / (int64_t)(keeper->count - i);
        bool begun = gw_acl_begin_work(cluster, share_ms);
        json_t *told = begun ? check(cluster, repair, share_ms) : busy_json(cluster);
        if (begun)
            gw_acl_end_work(cluster);
        good = !json_array_append_new(clusters, told);
    }
    *report = good ? json_pack("{s:o}", "clusters", clusters) : NULL;
    if (!good)
        json_decref(clusters);
    return *report ? SL_OK : sl_error_oom(error);
}

/* Of clusters that keep quotas. */
static bool quota_metrics(const struct gw_acl_keeper *keeper, struct sl_buffer *text)
{
    static const char *const names[] = {"streamlayer_kafka_quota_drift",
                                        "streamlayer_kafka_quota_changes_total"};
    static const char *const heads[] = {
        "# HELP streamlayer_kafka_quota_drift The gateway's client quotas that differ from the layers' "
        "throughput, "
        "when Kafka was asked last.\n# TYPE streamlayer_kafka_quota_drift gauge\n",
        "# HELP streamlayer_kafka_quota_changes_total Client quotas set and removed.\n# TYPE "
        "streamlayer_kafka_quota_changes_total counter\n"};
    bool good = true;
    for (size_t family = 0; family < 2; family++) {
        bool told = false;
        for (size_t i = 0; i < keeper->count; i++) {
            const struct gw_quota_keeper *quotas = &keeper->clusters[i].quotas;
            if (!quotas->share)
                continue;
            good &= told || sl_buffer_append_text(text, heads[family]);
            told = true;
            good &= sl_buffer_printf(
                text, "%s{cluster=\"%s\"} %llu\n", names[family], gw_broker_cluster(quotas->broker),
                family ? atomic_load(&quotas->set) : (unsigned long long)atomic_load(&quotas->drift));
        }
    }
    return good;
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
        const struct gw_acl_cluster *cluster = &keeper->clusters[i];
        const char *name = gw_broker_cluster(cluster->broker);
        static const char line[] = "streamlayer_kafka_acl_drift{cluster=\"%s\",kind=\"%s\"} %zu\n";
        good &= sl_buffer_printf(text, line, name, "missing", atomic_load(&cluster->missing)) &&
                sl_buffer_printf(text, line, name, "surplus", atomic_load(&cluster->surplus)) &&
                sl_buffer_printf(text, line, name, "beyond", atomic_load(&cluster->beyond)) &&
                sl_buffer_printf(text, line, name, "denied", atomic_load(&cluster->denied));
    }
    good &= sl_buffer_append_text(text,
                                  "# HELP streamlayer_kafka_acl_changes_total Access control lists made and "
                                  "removed.\n# TYPE streamlayer_kafka_acl_changes_total counter\n");
    for (size_t i = 0; i < keeper->count; i++) {
        const struct gw_acl_cluster *cluster = &keeper->clusters[i];
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
    return good && quota_metrics(keeper, text);
}
