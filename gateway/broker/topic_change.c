/* Topics that are there: what they are, more partitions, another retention. Everything here blocks. */
#include "gateway/broker/internal.h"

#include "base/error.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

static void keep_text(char text[GW_PROPERTY_TEXT_MAX], const char *said)
{
    snprintf(text, GW_PROPERTY_TEXT_MAX, "%s", said ? said : "");
}

/* The answer, when it is one without an error; else NULL and *code with librdkafka's text in text. */
static rd_kafka_event_t *await_answer(const struct gw_asking *asking, rd_kafka_resp_err_t *code,
                                      char text[GW_PROPERTY_TEXT_MAX])
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(asking->queue, gw_admin_patience_ms(asking->until_ms));
    text[0] = 0;
    *code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (!*code)
        return event;
    if (event) {
        keep_text(text, rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
    }
    return NULL;
}

static sl_status count_partitions(const struct gw_asking *asking, int *partitions, sl_error *error)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(asking->rk, asking->topic, NULL);
    if (!handle)
        return gw_topic_error(rd_kafka_last_error(), NULL, "tell of topic", asking->topic, "Describe", error);
    rd_kafka_resp_err_t code = rd_kafka_metadata(
        asking->rk, 0, handle, &metadata, gw_kafka_remaining_ms(asking->until_ms, GW_METADATA_TIMEOUT_MS));
    if (!code)
        code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (!code)
        *partitions = metadata->topics[0].partition_cnt;
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return code ? gw_topic_error(code, NULL, "tell of topic", asking->topic, "Describe", error) : SL_OK;
}

/* The topic's settings: the answer, and what is in it as long as that lives. NULL: error says why. */
static rd_kafka_event_t *describe(const struct gw_asking *asking, const rd_kafka_ConfigEntry_t ***entries,
                                  size_t *count, sl_error *error)
{
    char text[GW_PROPERTY_TEXT_MAX];
    rd_kafka_resp_err_t code;
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, asking->topic);
    rd_kafka_AdminOptions_t *options =
        gw_admin_options(asking->rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, asking->until_ms);
    rd_kafka_DescribeConfigs(asking->rk, &resource, 1, options, asking->queue);
    rd_kafka_event_t *event = await_answer(asking, &code, text);
    if (options)
        rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
    if (event) {
        size_t resources = 0;
        const rd_kafka_ConfigResource_t **found = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &resources);
        code = resources == 1 ? rd_kafka_ConfigResource_error(found[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
        if (!code) {
            *entries = rd_kafka_ConfigResource_configs(found[0], count);
            return event;
        }
        keep_text(text, resources == 1 ? rd_kafka_ConfigResource_error_string(found[0]) : NULL);
        rd_kafka_event_destroy(event);
    }
    gw_topic_error(code, text, "tell the settings of topic", asking->topic, "DescribeConfigs", error);
    return NULL;
}

static sl_status read_retention(const struct gw_asking *asking, int64_t *retention_ms, sl_error *error)
{
    const rd_kafka_ConfigEntry_t **entries;
    size_t count = 0;
    rd_kafka_event_t *event = describe(asking, &entries, &count, error);
    if (!event)
        return error->status;
    *retention_ms = -1;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(rd_kafka_ConfigEntry_name(entries[i]), "retention.ms") &&
            !sl_parse_int(rd_kafka_ConfigEntry_value(entries[i]), 0, INT64_MAX, retention_ms))
            *retention_ms = -1;
    rd_kafka_event_destroy(event);
    return SL_OK;
}

static sl_status finish(struct gw_asking *asking, sl_status status, const sl_error *reason, sl_error *error)
{
    gw_asking_end(asking);
    if (!status)
        return SL_OK;
    sl_error told = *reason;
    gw_broker_explain(asking->broker, &told);
    if (error)
        *error = told;
    return status;
}

sl_status gw_broker_topic_facts(struct gw_broker *broker, const char *topic, int64_t until_ms,
                                struct gw_topic_facts *facts, sl_error *error)
{
    struct gw_asking asking;
    sl_error reason = {.status = SL_KAFKA};
    sl_status status = gw_asking_begin(&asking, broker, topic, until_ms, &reason);
    if (!status)
        status = count_partitions(&asking, &facts->partitions, &reason);
    if (!status)
        status = read_retention(&asking, &facts->retention_ms, &reason);
    return finish(&asking, status, &reason, error);
}

static sl_status add_partitions(const struct gw_asking *asking, int partitions, sl_error *error)
{
    char text[GW_PROPERTY_TEXT_MAX] = "";
    rd_kafka_resp_err_t code;
    rd_kafka_NewPartitions_t *more =
        rd_kafka_NewPartitions_new(asking->topic, (size_t)partitions, text, sizeof text);
    if (!more)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "topic %s with %d partitions: %s", asking->topic,
                            partitions, text);
    rd_kafka_AdminOptions_t *options =
        gw_admin_options(asking->rk, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, asking->until_ms);
    rd_kafka_CreatePartitions(asking->rk, &more, 1, options, asking->queue);
    rd_kafka_event_t *event = await_answer(asking, &code, text);
    if (options)
        rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewPartitions_destroy(more);
    if (event) {
        size_t count = 0;
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count);
        code = count == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
        keep_text(text, count == 1 ? rd_kafka_topic_result_error_string(results[0]) : NULL);
        rd_kafka_event_destroy(event);
    }
    return code ? gw_topic_error(code, text, "add partitions to topic", asking->topic, "Alter", error)
                : SL_OK;
}

sl_status gw_broker_grow_topic(struct gw_broker *broker, const char *topic, int partitions, int64_t until_ms,
                               sl_error *error)
{
    struct gw_asking asking;
    sl_error reason = {.status = SL_KAFKA};
    int there = 0;
    sl_status status = gw_asking_begin(&asking, broker, topic, until_ms, &reason);
    if (!status)
        status = count_partitions(&asking, &there, &reason);
    if (!status && there < partitions)
        status = add_partitions(&asking, partitions, &reason);
    if (!status)
        status = gw_admin_await(broker, asking.rk, topic, partitions, there < partitions, until_ms, &reason);
    return finish(&asking, status, &reason, error);
}

static sl_status alter(const struct gw_asking *asking, rd_kafka_ConfigResource_t *resource, sl_error *error)
{
    char text[GW_PROPERTY_TEXT_MAX];
    rd_kafka_resp_err_t code;
    rd_kafka_AdminOptions_t *options =
        gw_admin_options(asking->rk, RD_KAFKA_ADMIN_OP_ALTERCONFIGS, asking->until_ms);
    rd_kafka_AlterConfigs(asking->rk, &resource, 1, options, asking->queue);
    rd_kafka_event_t *event = await_answer(asking, &code, text);
    if (options)
        rd_kafka_AdminOptions_destroy(options);
    if (event) {
        size_t count = 0;
        const rd_kafka_ConfigResource_t **results =
            rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &count);
        code = count == 1 ? rd_kafka_ConfigResource_error(results[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
        keep_text(text, count == 1 ? rd_kafka_ConfigResource_error_string(results[0]) : NULL);
        rd_kafka_event_destroy(event);
    }
    return code ? gw_topic_error(code, text, "change the settings of topic", asking->topic, "AlterConfigs",
                                 error)
                : SL_OK;
}

/* librdkafka 2.0.2 can only replace all that was set for a topic: so what others have set is read, and set
 * again with ours. What somebody sets in between is lost. */
sl_status gw_broker_keep_for(struct gw_broker *broker, const char *topic, int64_t retention_ms,
                             int64_t until_ms, sl_error *error)
{
    struct gw_asking asking;
    struct gw_topic_setting ours[GW_RETENTION_SETTINGS];
    const rd_kafka_ConfigEntry_t **entries = NULL;
    size_t count = 0;
    sl_error reason = {.status = SL_KAFKA};
    gw_topic_retention(retention_ms, ours);
    sl_status status = gw_asking_begin(&asking, broker, topic, until_ms, &reason);
    rd_kafka_event_t *event = status ? NULL : describe(&asking, &entries, &count, &reason);
    if (!event)
        return finish(&asking, status ? status : reason.status, &reason, error);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    bool known[GW_RETENTION_SETTINGS] = {false};
    for (size_t i = 0; i < count; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]);
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        bool is_ours = false;
        for (size_t k = 0; k < GW_RETENTION_SETTINGS; k++)
            if (!strcmp(name, ours[k].name))
                is_ours = known[k] = true;
        if (!is_ours && value &&
            rd_kafka_ConfigEntry_source(entries[i]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG)
            rd_kafka_ConfigResource_set_config(resource, name, value);
    }
    for (size_t k = 0; k < GW_RETENTION_SETTINGS; k++)
        if (known[k]) /* this Kafka has it */
            rd_kafka_ConfigResource_set_config(resource, ours[k].name, ours[k].value);
    rd_kafka_event_destroy(event);
    status = alter(&asking, resource, &reason);
    rd_kafka_ConfigResource_destroy(resource);
    return finish(&asking, status, &reason, error);
}
