#include "gateway/broker/brokers.h"

#include "base/error.h"
#include "base/time.h"
#include "config/settings.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define CLUSTERS SL_GATEWAY_ROOT "kafka.clusters"

struct gw_brokers {
    size_t count;
    struct gw_broker *list[];
};

/* The name of the cluster at index, the default one's first; NULL past the last. */
static const char *name_at(const sl_config *config, size_t index)
{
    return index ? sl_config_name_at(config, CLUSTERS, index - 1) : GW_CLUSTER_DEFAULT;
}

static sl_status check_name(const sl_config *config, const char *name, size_t index, sl_error *error)
{
    if (!index || strcmp(name, GW_CLUSTER_DEFAULT) != 0)
        return SL_OK;
    const char *origin = sl_config_origin(config, CLUSTERS "." GW_CLUSTER_DEFAULT ".brokers");
    return sl_error_set(error, SL_BAD_CONFIG,
                        "%s: " CLUSTERS ".%s: the cluster of that name is " SL_GATEWAY_ROOT
                        "kafka itself: put its settings there, or choose another name",
                        origin ? origin : "-", name);
}

bool gw_brokers_is_name(const sl_config *config, const char *cluster)
{
    const char *name;
    for (size_t i = 0; (name = name_at(config, i)); i++)
        if (!strcmp(name, cluster))
            return true;
    return false;
}

void gw_brokers_try(const sl_config *config, struct gw_faults *faults)
{
    const char *name;
    sl_error error = {0};
    for (size_t i = 0; (name = name_at(config, i)); i++) {
        sl_status status = check_name(config, name, i, &error);
        gw_fault(faults, status, &error);
        if (!status)
            gw_broker_try(config, name, faults);
    }
}

sl_status gw_brokers_open(const sl_config *config, const struct sl_log *log, struct gw_budget *budget,
                          struct gw_brokers **out, sl_error *error)
{
    const char *name;
    size_t count = 0;
    while (name_at(config, count))
        count++;
    struct gw_brokers *brokers = calloc(1, sizeof *brokers + count * sizeof *brokers->list);
    *out = brokers;
    if (!brokers)
        return sl_error_oom(error);
    sl_status status = SL_OK;
    for (size_t i = 0; !status && (name = name_at(config, i)); i++) {
        status = check_name(config, name, i, error);
        if (!status)
            status = gw_broker_open(config, name, log, budget, &brokers->list[i], error);
        brokers->count += !status;
    }
    if (status)
        gw_brokers_close(out);
    return status;
}

void gw_brokers_attach(struct gw_brokers *brokers, struct gw_server *server)
{
    unsigned loops = gw_server_loops(server);
    for (size_t i = 0; i < brokers->count; i++)
        gw_broker_attach(brokers->list[i], gw_server_loop(server, (unsigned)(i % loops)));
}

void gw_brokers_finish(struct gw_brokers *brokers, int grace_ms)
{
    int64_t until = sl_deadline_ms(grace_ms);
    for (size_t i = 0; i < brokers->count; i++)
        gw_broker_end(brokers->list[i], until);
    for (size_t i = 0; i < brokers->count; i++)
        gw_broker_finish(brokers->list[i], grace_ms);
}

void gw_brokers_close(struct gw_brokers **brokers)
{
    if (!*brokers)
        return;
    gw_brokers_finish(*brokers, 0);
    for (size_t i = 0; i < (*brokers)->count; i++)
        gw_broker_close(&(*brokers)->list[i], 0);
    free(*brokers);
    *brokers = NULL;
}

struct gw_broker *gw_brokers_find(const struct gw_brokers *brokers, const char *cluster)
{
    for (size_t i = 0; i < brokers->count; i++)
        if (!strcmp(gw_broker_cluster(brokers->list[i]), cluster))
            return brokers->list[i];
    return NULL;
}

size_t gw_brokers_count(const struct gw_brokers *brokers)
{
    return brokers->count;
}

struct gw_broker *gw_brokers_at(const struct gw_brokers *brokers, size_t index)
{
    return brokers->list[index];
}

bool gw_brokers_metrics(const struct gw_brokers *brokers, struct sl_buffer *text)
{
    static const struct {
        const char *name, *type, *help;
        size_t offset;
    } all[] = {
        {"streamlayer_kafka_written_messages_total", "counter", "Messages that Kafka acknowledged.",
         offsetof(struct gw_broker_numbers, written)},
        {"streamlayer_kafka_written_bytes_total", "counter", "Payload of acknowledged messages.",
         offsetof(struct gw_broker_numbers, written_bytes)},
        {"streamlayer_kafka_failed_messages_total", "counter", "Messages that Kafka did not acknowledge.",
         offsetof(struct gw_broker_numbers, failed)},
        {"streamlayer_kafka_queue_full_total", "counter",
         "Writes refused because the producer's queue was full.",
         offsetof(struct gw_broker_numbers, queue_full)},
        {"streamlayer_kafka_queued_messages", "gauge", "Messages that wait for Kafka's acknowledgement.",
         offsetof(struct gw_broker_numbers, queued)},
        {"streamlayer_kafka_topics", "gauge", "Topics that the producer holds open.",
         offsetof(struct gw_broker_numbers, topics)},
    };
    bool good = true;
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        good &= sl_buffer_printf(text, "# HELP %s %s\n# TYPE %s %s\n", all[k].name, all[k].help, all[k].name,
                                 all[k].type);
        for (size_t i = 0; i < brokers->count; i++) {
            struct gw_broker_numbers numbers;
            gw_broker_count(brokers->list[i], &numbers);
            /* A cluster's name has no character that a label would have to escape. */
            good &= sl_buffer_printf(
                text, "%s{cluster=\"%s\"} %llu\n", all[k].name, gw_broker_cluster(brokers->list[i]),
                *(const unsigned long long *)(const void *)((const char *)&numbers + all[k].offset));
        }
    }
    return good;
}
