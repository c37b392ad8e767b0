/* config v1: layers, with their topics: made, adopted, changed, deleted. */
#include "gateway/api/config.h"

#include "base/error.h"
#include "base/text.h"
#include "gateway/broker/subscriptions.h"

#include <stdlib.h>
#include <string.h>

static const struct gw_failure no_topic = {
    404, "topic-missing", "correct the topic's name or its cluster, or leave \"topic\" out for a new one"};
static const struct gw_failure no_cluster = {
    503, "cluster-not-configured",
    "ask whoever operates the gateway to name the cluster's brokers in its settings"};
static const struct gw_failure busy = {409, "conflict", "try again in a moment"};

/* --- Deleting --- */

static sl_status set_no_cluster(const char *cluster, sl_error *error)
{
    return sl_error_set(error, SL_BAD_CONFIG,
                        "the Kafka cluster \"%s\" is not configured: there is no "
                        "streamlayer.gateway.kafka.clusters.%s",
                        cluster, cluster);
}

static sl_status delete_topic(struct gateway *gateway, const char *cluster, const char *topic,
                              int64_t until_ms, sl_error *error)
{
    struct gw_broker *broker = gw_brokers_find(gateway->brokers, cluster);
    sl_status status =
        broker ? gw_broker_delete_topic(broker, topic, until_ms, error) : set_no_cluster(cluster, error);
    if (status)
        sl_error_prefix(error, "out of sight already, but the topic %s is not deleted yet", topic);
    return status;
}

/* It is forgotten once nobody has rights on its topic any more: an adopted one outlives the layer. settled,
 * reason: what came of waiting for that. */
static sl_status forget_topic(struct gateway *gateway, const char *cluster, const char *topic,
                              sl_status settled, const sl_error *reason, sl_error *error)
{
    if (!settled)
        return gw_catalogs_forget_topic(gateway->catalogs, cluster, topic, error);
    *error = *reason;
    sl_error_prefix(error, "out of sight already, but the topic %s is not let go yet", topic);
    return settled;
}

/* The first failure is the one to tell. */
static void keep_first(sl_status *first, sl_error *error, sl_status status, const sl_error *reason)
{
    if (!status || *first)
        return;
    *first = status;
    if (error)
        *error = *reason;
}

sl_status gw_config_clean(struct gateway *gateway, const char *hrn, const char *layer, int64_t until_ms,
                          sl_error *error)
{
    json_t *topics, *item;
    size_t index;
    sl_status status = gw_catalogs_condemned(gateway->catalogs, hrn, layer, &topics, error);
    /* They leave their groups while their topic is still there. */
    json_array_foreach(topics, index, item) gw_subscriptions_end(
        gateway->subscriptions, NULL, json_string_value(json_object_get(item, "key")), GW_END_LAYER_DELETED);
    for (size_t at = 0; at < json_array_size(topics);) {
        sl_error reason = {0};
        sl_status failed = SL_OK;
        item = json_array_get(topics, at);
        if (!json_is_true(json_object_get(item, "adopted")))
            failed = delete_topic(gateway, json_string_value(json_object_get(item, "cluster")),
                                  json_string_value(json_object_get(item, "topic")), until_ms, &reason);
        keep_first(&status, error, failed, &reason);
        if (failed)
            json_array_remove(topics, at); /* it stays condemned */
        else
            at++;
    }
    const char *settling = NULL; /* they come cluster by cluster, and each is waited for once */
    sl_status settled = SL_OK;
    sl_error unsettled = {0};
    json_array_foreach(topics, index, item)
    {
        const char *cluster = json_string_value(json_object_get(item, "cluster"));
        sl_error reason = {0};
        if (!settling || strcmp(settling, cluster) != 0)
            settled = gw_acl_settle(gateway->acls, settling = cluster, until_ms, &unsettled);
        sl_status failed = forget_topic(gateway, cluster, json_string_value(json_object_get(item, "topic")),
                                        settled, &unsettled, &reason);
        keep_first(&status, error, failed, &reason);
    }
    json_decref(topics);
    sl_status last = gw_catalogs_forget_empty(gateway->catalogs, status ? NULL : error);
    return status ? status : last;
}

/* The SDKs read JSON here. */
static void respond_deleted(struct gw_config_call *change)
{
    struct sl_buffer url;
    sl_buffer_init(&url, 1000);
    json_t *value = gw_request_public_url(change->request, &url)
                        ? json_pack("{s:s, s:s++, s:s}", "title",
                                    change->layer ? "Layer Deletion" : "Catalog Deletion", "href", url.data,
                                    GW_CONFIG_STATUS, GW_CONFIG_COMPLETED, "type", "urn:olp-types:status")
                        : NULL;
    sl_buffer_free(&url);
    gw_config_respond(change, 200, value);
}

void gw_run_delete(struct gw_job *job)
{
    struct gw_config_call *change = (struct gw_config_call *)job;
    sl_error error = {0};
    sl_status status = gw_catalogs_condemn(change->gateway->catalogs, change->hrn, change->layer, &error);
    if (!status) /* out of sight, whatever becomes of its topics now */
        gw_audit(change->request, "deleted the %s%s%s %s", change->layer ? "layer " : "catalog",
                 change->layer ? change->layer : "", change->layer ? " of" : "", change->hrn);
    if (!status && !change->layer)
        gw_note_grants(change->gateway);
    if (!status) {
        status = gw_config_clean(change->gateway, change->hrn, change->layer, change->until_ms, &error);
        if (status == SL_BAD_CONFIG)
            change->failure = &no_cluster;
    }
    if (status)
        gw_config_fail(change, &error);
    else
        respond_deleted(change);
    gw_config_free(change);
}

static void delete_layer(struct gw_request *request)
{
    struct gw_config_call *change = gw_config_new(request, gw_run_delete, false);
    if (change)
        gw_config_go_on(change, SL_OK, NULL);
}

/* --- Adopting: the topic is there, and stays what it is --- */

static sl_status adopt_partitions(const struct gw_topic_facts *facts, struct gw_layer_spec *spec,
                                  sl_error *error)
{
    if (facts->partitions > GW_PARALLELIZATION_MAX)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "the topic %s has %d partitions, and a layer has 1 to %d: it cannot be adopted",
                            spec->topic, facts->partitions, GW_PARALLELIZATION_MAX);
    if (spec->parallelization && spec->parallelization != facts->partitions)
        return sl_error_set(
            error, SL_INVALID_ARGUMENT,
            "\"parallelization\" must be %d, the number of the topic's partitions, or be left "
            "out, not %d: an adopted topic is changed by those whose it is",
            facts->partitions, spec->parallelization);
    spec->parallelization = facts->partitions;
    return SL_OK;
}

/* The layer's ttl bounds the timestamps that it takes and the life of its blobs. Where messages stay longer
 * than a ttl can be, or shorter, the nearest, or what is asked for. */
static sl_status adopt_ttl(const struct gw_topic_facts *facts, struct gw_layer_spec *spec, sl_error *error)
{
    int64_t kept_ms = facts->retention_ms;
    if (kept_ms >= GW_TTL_MIN_MS && kept_ms <= GW_TTL_MAX_MS) {
        if (spec->ttl_ms && spec->ttl_ms != kept_ms)
            return sl_error_set(
                error, SL_INVALID_ARGUMENT,
                "\"ttl\" must be %lld ms, the topic's retention.ms, or be left out, not %lld: "
                "an adopted topic is changed by those whose it is",
                (long long)kept_ms, (long long)spec->ttl_ms);
        spec->ttl_ms = kept_ms;
    } else if (!spec->ttl_ms) {
        spec->ttl_ms = kept_ms < 0 || kept_ms > GW_TTL_MAX_MS ? GW_TTL_MAX_MS : GW_TTL_MIN_MS;
    }
    return SL_OK;
}

/* Completes the spec with what the topic is. */
static sl_status adopt(struct gw_config_call *change, struct gw_broker *broker, struct gw_layer_spec *spec,
                       sl_error *error)
{
    struct gw_topic_facts facts;
    sl_status status = gw_broker_topic_facts(broker, spec->topic, change->until_ms, &facts, error);
    if (status == SL_NOT_FOUND) {
        change->failure = &no_topic;
        return sl_error_set(error, SL_NOT_FOUND, "the Kafka cluster \"%s\" has no topic %s",
                            gw_broker_cluster(broker), spec->topic);
    }
    if (!status)
        status = adopt_partitions(&facts, spec, error);
    return status ? status : adopt_ttl(&facts, spec, error);
}

/* --- Making --- */

static sl_status unknown_cluster(const struct gateway *gateway, const char *cluster, sl_error *error)
{
    struct sl_buffer names;
    sl_buffer_init(&names, 400);
    for (size_t i = 0; i < gw_brokers_count(gateway->brokers); i++)
        sl_buffer_printf(&names, "%s%s", i ? ", " : "",
                         gw_broker_cluster(gw_brokers_at(gateway->brokers, i)));
    sl_error_set(error, SL_INVALID_ARGUMENT,
                 "\"cluster\" names no Kafka cluster of the gateway's: \"%s\" is "
                 "none; there is %s",
                 cluster, names.data ? names.data : "");
    sl_buffer_free(&names);
    return SL_INVALID_ARGUMENT;
}

/* What came to be of a layer that is not to be. An adopted topic is only let go. */
static void unmake(struct gateway *gateway, struct gw_broker *broker, struct gw_layer *layer,
                   int64_t until_ms)
{
    /* What cannot be deleted now is deleted by the sweeper. */
    gw_catalogs_condemn_begun(gateway->catalogs, layer, NULL);
    if (layer->adopted || !gw_broker_delete_topic(broker, layer->topic, until_ms, NULL))
        gw_catalogs_forget_topic(gateway->catalogs, layer->cluster, layer->topic, NULL);
    gw_layer_unlink(layer);
}

/* The layer's topic first, then the layer: what can be found can be written to. */
sl_status gw_make_layer(struct gw_config_call *change, const char *hrn, const struct gw_layer_spec *spec,
                        struct gw_layer **made, sl_error *error)
{
    struct gateway *gateway = change->gateway;
    struct gw_layer_spec whole = *spec;
    struct gw_layer *layer;
    *made = NULL;
    if (!whole.cluster)
        whole.cluster = GW_CLUSTER_DEFAULT;
    struct gw_broker *broker = gw_brokers_find(gateway->brokers, whole.cluster);
    if (!broker)
        return unknown_cluster(gateway, whole.cluster, error);
    sl_status status = whole.topic ? adopt(change, broker, &whole, error) : SL_OK;
    if (!status)
        status = gw_catalogs_begin_layer(gateway->catalogs, hrn, &whole, &layer, error);
    if (status)
        return status;
    if (!layer->adopted)
        status = gw_broker_create_topic(broker, layer->topic, layer->parallelization, layer->ttl_ms,
                                        change->until_ms, error);
    if (!status)
        status = gw_catalogs_publish_layer(gateway->catalogs, layer, error);
    if (status)
        unmake(gateway, broker, layer, change->until_ms);
    else
        *made = layer;
    return status;
}

static void audit_layer(const struct gw_config_call *change, const char *verb, const struct gw_layer *layer)
{
    gw_audit(
        change->request,
        "%s the layer %s of %s: name \"%.100s\", topic %s of the cluster %s, parallelization %d, ttl %lld "
        "ms, in %d and out %d KBps",
        verb, layer->id, layer->hrn, layer->name, layer->topic, layer->cluster, layer->parallelization,
        (long long)layer->ttl_ms, layer->in_kbps, layer->out_kbps);
}

static void run_create_layer(struct gw_job *job)
{
    struct gw_config_call *change = (struct gw_config_call *)job;
    sl_error error = {0};
    struct gw_layer *layer;
    sl_status status = gw_make_layer(change, change->hrn, change->specs, &layer, &error);
    if (layer) {
        audit_layer(change, "created", layer);
        /* What Kafka does not take now it takes later. */
        gw_acl_settle(change->gateway->acls, layer->cluster, change->until_ms, NULL);
    }
    if (status)
        gw_config_fail(change, &error);
    else
        gw_config_respond(change, 201, gw_layer_json(layer));
    gw_layer_unlink(layer);
    gw_config_free(change);
}

static void create_layer(struct gw_request *request)
{
    struct gw_config_call *change = gw_config_new(request, run_create_layer, true);
    if (!change)
        return;
    sl_error error = {0};
    sl_status status = SL_OK;
    if (!gw_catalogs_marketplace(change->gateway->catalogs, change->hrn, &change->marketplace))
        status = sl_error_set(&error, SL_NOT_FOUND, "there is no catalog %s", change->hrn);
    else if (!(change->specs = calloc(1, sizeof *change->specs)))
        status = sl_error_oom(&error);
    else
        status = gw_layer_spec_read(change->body, change->marketplace, change->specs, &error);
    if (status || gw_config_may_adopt(request, change->specs, 1))
        gw_config_go_on(change, status, &error);
    else
        gw_config_free(change);
}

/* --- Changing --- */

/* Kafka first: what the layer says is then true, and a change that failed half-way can be made again. */
static sl_status change_topic(struct gw_config_call *change, const struct gw_layer *layer,
                              struct gw_layer_spec *spec, sl_error *error)
{
    bool grows = spec->parallelization != layer->parallelization, stays = spec->ttl_ms == layer->ttl_ms;
    if (!grows && stays)
        return SL_OK;
    struct gw_broker *broker = gw_layer_broker(change->gateway, layer);
    if (!broker) {
        change->failure = &no_cluster;
        return set_no_cluster(layer->cluster, error);
    }
    if (layer->adopted)
        return adopt(change, broker, spec, error);
    sl_status status =
        grows ? gw_broker_grow_topic(broker, layer->topic, spec->parallelization, change->until_ms, error)
              : SL_OK;
    if (!status && !stays)
        status = gw_broker_keep_for(broker, layer->topic, spec->ttl_ms, change->until_ms, error);
    if (status == SL_NOT_FOUND) {
        static const struct gw_failure gone = {404, "topic-missing",
                                               "delete the layer and make it again: its Kafka topic is gone"};
        change->failure = &gone;
    }
    return status;
}

/* The layer is claimed. *out: what it is now, linked; NULL: nothing was changed. */
static sl_status change_layer(struct gw_config_call *change, const struct gw_layer *layer,
                              struct gw_layer **out, sl_error *error)
{
    struct gw_layer_spec spec;
    struct gw_layer *now = NULL;
    sl_status status = gw_layer_spec_change(change->body, layer, &spec, error);
    if (!status)
        status = change_topic(change, layer, &spec, error);
    if (!status)
        status = gw_catalogs_update_layer(change->gateway->catalogs, layer, &spec, &now, error);
    if (!status) {
        gw_throttler_changed(change->gateway->throttler);
        audit_layer(change, "changed", now);
        if (now->in_kbps != layer->in_kbps || now->out_kbps != layer->out_kbps) /* its quotas */
            gw_acl_settle(change->gateway->acls, layer->cluster, change->until_ms, NULL);
    }
    *out = now;
    return status;
}

static void run_update_layer(struct gw_job *job)
{
    struct gw_config_call *change = (struct gw_config_call *)job;
    struct gw_catalogs *catalogs = change->gateway->catalogs;
    sl_error error = {0};
    sl_status status = SL_OK;
    bool exists;
    struct gw_layer *first = gw_catalogs_find(catalogs, change->hrn, change->layer, &exists);
    bool claimed = first && !atomic_exchange(&first->counters->changing, true);
    /* What it is now that nobody else changes it. */
    struct gw_layer *layer = claimed ? gw_catalogs_find(catalogs, change->hrn, change->layer, &exists) : NULL;
    struct gw_layer *now = NULL;
    if (!exists)
        status = sl_error_set(&error, SL_NOT_FOUND, "there is no catalog %s", change->hrn);
    else if (!first || (claimed && (!layer || layer->counters != first->counters)))
        status = sl_error_set(&error, SL_NOT_FOUND, "the catalog %s has no layer \"%s\"", change->hrn,
                              change->layer);
    else if (!claimed) {
        change->failure = &busy;
        status = sl_error_set(&error, SL_CONFLICT,
                              "the layer \"%s\" is just being changed by another request", change->layer);
    } else {
        status = change_layer(change, layer, &now, &error);
    }
    if (claimed) /* before the answer: whoever has it may change the layer again */
        atomic_store(&first->counters->changing, false);
    if (status)
        gw_config_fail(change, &error);
    else
        gw_config_respond(change, 200, gw_layer_json(now));
    gw_layer_unlink(now);
    gw_layer_unlink(layer);
    gw_layer_unlink(first);
    gw_config_free(change);
}

/* PATCH and PUT: what is absent stays as it is. */
static void update_layer(struct gw_request *request)
{
    struct gw_config_call *change = gw_config_new(request, run_update_layer, true);
    if (change)
        gw_config_go_on(change, SL_OK, NULL);
}

static void get_layer(struct gw_request *request)
{
    struct gw_layer *layer = gw_request_layer_shown(request);
    if (layer) {
        json_t *value = gw_layer_json(layer);
        gw_config_hide(request, layer->hrn, layer->marketplace, value);
        gw_respond_json(request, 200, value);
    }
    gw_layer_unlink(layer);
}

#define LAYERS   "/config/v1/catalogs/{hrn}/layers"
#define BODY_MAX ((size_t)1024 * 1024)

const struct gw_route gw_layer_routes[] = {
    {.method = "POST",
     .pattern = LAYERS,
     .max_body = BODY_MAX,
     .handle = create_layer,
     .access = GW_ACCESS_MANAGE,
     .name = "config.layer.create"},
    {.method = "GET",
     .pattern = LAYERS "/{layer}",
     .handle = get_layer,
     .access = GW_ACCESS_ANY,
     .name = "config.layer.get"},
    {.method = "PATCH",
     .pattern = LAYERS "/{layer}",
     .max_body = BODY_MAX,
     .handle = update_layer,
     .access = GW_ACCESS_MANAGE,
     .name = "config.layer.update"},
    {.method = "PUT",
     .pattern = LAYERS "/{layer}",
     .max_body = BODY_MAX,
     .handle = update_layer,
     .access = GW_ACCESS_MANAGE,
     .name = "config.layer.update"},
    {.method = "DELETE",
     .pattern = LAYERS "/{layer}",
     .handle = delete_layer,
     .access = GW_ACCESS_MANAGE,
     .name = "config.layer.delete"},
};
const size_t gw_layer_route_count = sizeof gw_layer_routes / sizeof *gw_layer_routes;
