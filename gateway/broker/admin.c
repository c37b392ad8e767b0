/* Topics: made, awaited, deleted. Everything here blocks: for workers only. */
#include "gateway/broker/internal.h"

#include "base/error.h"
#include "base/time.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define OFFSETS_TIMEOUT_MS 10000
#define LEADER_PAUSE_MS    20
#define ANSWER_GRACE_MS    1000

/* Kafka deletes closed segments only: a busy partition must close them well within its retention. */
#define SEGMENTS_IN_TTL 6
#define SEGMENT_MIN_MS  60000
#define SEGMENT_MAX_MS  3600000

rd_kafka_t *gw_broker_keep(struct gw_broker *broker)
{
    pthread_rwlock_rdlock(&broker->keep);
    pthread_rwlock_rdlock(&broker->lock);
    rd_kafka_t *producer = broker->producer;
    pthread_rwlock_unlock(&broker->lock);
    return producer;
}

void gw_broker_let_go(struct gw_broker *broker)
{
    pthread_rwlock_unlock(&broker->keep);
}

sl_status gw_broker_check(struct gw_broker *broker, int timeout_ms, sl_error *error)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(gw_broker_keep(broker), 0, NULL, &metadata, timeout_ms);
    gw_broker_let_go(broker);
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    if (!code) {
        gw_broker_clear_trouble(broker);
        return SL_OK;
    }
    sl_error_set_retriable(error, SL_UNAVAILABLE, "%s", rd_kafka_err2str(code));
    gw_broker_explain(broker, error);
    return SL_UNAVAILABLE;
}

int64_t gw_broker_deadline_ms(const struct gw_broker *broker)
{
    return sl_mono_ms() + broker->wait_ms;
}

int gw_kafka_remaining_ms(int64_t until_ms, int max_ms)
{
    int left = sl_remaining_ms(until_ms);
    return left < 0 || left > max_ms ? max_ms : left ? left : 1;
}

int gw_admin_patience_ms(int64_t until_ms)
{
    return gw_kafka_remaining_ms(until_ms, INT_MAX - ANSWER_GRACE_MS) + ANSWER_GRACE_MS;
}

rd_kafka_resp_err_t gw_broker_offsets(struct gw_broker *broker, rd_kafka_topic_partition_list_t *list,
                                      int timeout_ms)
{
    if (!list->cnt)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(gw_broker_keep(broker), list, timeout_ms);
    gw_broker_let_go(broker);
    for (int i = 0; i < list->cnt && !code; i++)
        code = list->elems[i].err          ? list->elems[i].err
               : list->elems[i].offset < 0 ? RD_KAFKA_RESP_ERR__TIMED_OUT
                                           : RD_KAFKA_RESP_ERR_NO_ERROR;
    return code;
}

rd_kafka_resp_err_t gw_broker_offsets_at(struct gw_broker *broker, rd_kafka_topic_partition_list_t *list,
                                         int64_t timestamp_ms, int timeout_ms)
{
    int64_t until_ms = sl_deadline_ms(timeout_ms);
    /* The ends first: what comes between the two questions is behind them. */
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = RD_KAFKA_OFFSET_END;
    rd_kafka_resp_err_t code = gw_broker_offsets(broker, list, timeout_ms);
    rd_kafka_topic_partition_list_t *times = rd_kafka_topic_partition_list_copy(list);
    for (int i = 0; i < times->cnt; i++)
        times->elems[i].offset = timestamp_ms;
    if (!code && times->cnt) {
        code = rd_kafka_offsets_for_times(gw_broker_keep(broker), times,
                                          gw_kafka_remaining_ms(until_ms, timeout_ms));
        gw_broker_let_go(broker);
    }
    for (int i = 0; i < times->cnt && !code; i++) {
        code = times->elems[i].err;
        if (!code && times->elems[i].offset >= 0)
            rd_kafka_topic_partition_list_set_offset(list, times->elems[i].topic, times->elems[i].partition,
                                                     times->elems[i].offset);
    }
    rd_kafka_topic_partition_list_destroy(times);
    return code;
}

rd_kafka_AdminOptions_t *gw_admin_options(rd_kafka_t *rk, rd_kafka_admin_op_t operation, int64_t until_ms)
{
    char text[GW_PROPERTY_TEXT_MAX];
    int timeout_ms = gw_kafka_remaining_ms(until_ms, INT_MAX);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, operation);
    if (options) {
        rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
        rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms, text, sizeof text);
    }
    return options;
}

void gw_topic_retention(int64_t retention_ms, struct gw_topic_setting settings[GW_RETENTION_SETTINGS])
{
    int64_t segment_ms = retention_ms / SEGMENTS_IN_TTL;
    if (segment_ms < SEGMENT_MIN_MS)
        segment_ms = SEGMENT_MIN_MS;
    if (segment_ms > SEGMENT_MAX_MS)
        segment_ms = SEGMENT_MAX_MS;
    settings[0] = (struct gw_topic_setting){.name = "retention.ms"};
    settings[1] = (struct gw_topic_setting){.name = "segment.ms"};
    settings[2] = (struct gw_topic_setting){.name = GW_TIMESTAMP_BOUND};
    snprintf(settings[0].value, sizeof settings[0].value, "%lld", (long long)retention_ms);
    snprintf(settings[1].value, sizeof settings[1].value, "%lld", (long long)segment_ms);
    snprintf(settings[2].value, sizeof settings[2].value, "%lld", (long long)retention_ms);
}

/* bounded: with GW_TIMESTAMP_BOUND, which Kafka before 3.6 refuses. */
static rd_kafka_NewTopic_t *describe(const struct gw_broker *broker, const char *topic, int partitions,
                                     int64_t retention_ms, bool bounded, sl_error *error)
{
    char text[GW_PROPERTY_TEXT_MAX] = "", size[24];
    struct gw_topic_setting retention[GW_RETENTION_SETTINGS];
    gw_topic_retention(retention_ms, retention);
    snprintf(size, sizeof size, "%d", GW_MESSAGE_MAX);
    rd_kafka_NewTopic_t *new_topic =
        rd_kafka_NewTopic_new(topic, partitions, broker->replication_factor, text, sizeof text);
    if (!new_topic) {
        sl_error_set(error, SL_INVALID_ARGUMENT, "topic %s with %d partitions: %s", topic, partitions, text);
        return NULL;
    }
    bool refused = rd_kafka_NewTopic_set_config(new_topic, "cleanup.policy", "delete") ||
                   rd_kafka_NewTopic_set_config(new_topic, "max.message.bytes", size);
    for (size_t i = 0; i < GW_RETENTION_SETTINGS && !refused; i++)
        if (bounded || strcmp(retention[i].name, GW_TIMESTAMP_BOUND) != 0)
            refused = rd_kafka_NewTopic_set_config(new_topic, retention[i].name, retention[i].value);
    if (!refused)
        return new_topic;
    rd_kafka_NewTopic_destroy(new_topic);
    sl_error_set(error, SL_INTERNAL, "topic %s: librdkafka does not take its settings", topic);
    return NULL;
}

/* Whether every partition of the topic has a leader. */
static bool has_leaders(const struct rd_kafka_metadata *metadata, const char *topic, int partitions)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *found = &metadata->topics[i];
        if (strcmp(found->topic, topic))
            continue;
        int led = 0;
        for (int p = 0; p < found->partition_cnt; p++)
            led += found->partitions[p].leader >= 0;
        return !found->err && led >= partitions;
    }
    return false;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Whether each leader serves its partition already. It is chosen before it does; what is written in between
 * is refused, and the retry may be lost (producer.c, on_delivery). */
static bool leaders_serve(struct gw_broker *broker, const char *topic, int partitions, int64_t until_ms)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_END;
    bool serve = !gw_broker_offsets(broker, list, gw_kafka_remaining_ms(until_ms, OFFSETS_TIMEOUT_MS));
    rd_kafka_topic_partition_list_destroy(list);
    return serve;
}

/* The producer learns of new partitions of a topic that it knows by itself, in minutes, and until then has no
 * leaders for them. */
static void refresh_producer(struct gw_broker *broker, const char *topic, int64_t until_ms)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_t *producer = gw_broker_keep(broker);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(producer, topic, NULL);
    if (handle) {
        rd_kafka_metadata(producer, 0, handle, &metadata,
                          gw_kafka_remaining_ms(until_ms, GW_METADATA_TIMEOUT_MS));
        rd_kafka_topic_destroy(handle);
    }
    gw_broker_let_go(broker);
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
}

sl_status gw_admin_await(struct gw_broker *broker, rd_kafka_t *rk, const char *topic, int partitions,
                         bool grown, int64_t until_ms, sl_error *error)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    bool led = false;
    while (handle && !led && sl_mono_ms() < until_ms) {
        const struct rd_kafka_metadata *metadata = NULL;
        if (!rd_kafka_metadata(rk, 0, handle, &metadata,
                               gw_kafka_remaining_ms(until_ms, GW_METADATA_TIMEOUT_MS)))
            led = has_leaders(metadata, topic, partitions);
        if (led && grown)
            refresh_producer(broker, topic, until_ms);
        led = led && leaders_serve(broker, topic, partitions, until_ms);
        if (metadata)
            rd_kafka_metadata_destroy(metadata);
        if (!led)
            pause_ms(LEADER_PAUSE_MS);
    }
    if (!handle)
        return sl_error_oom(error);
    rd_kafka_topic_destroy(handle);
    if (!led)
        return sl_error_set_retriable(error, SL_TIMED_OUT,
                                      "topic %s is made, but its partitions have no leaders yet", topic);
    gw_producer_prepare(broker, topic);
    return SL_OK;
}

/* Takes the event: the one topic's result. *code (may be NULL): Kafka's own. */
static sl_status topic_result(rd_kafka_event_t *event, bool creating, const char *topic,
                              rd_kafka_resp_err_t *kafka_code, sl_error *error)
{
    const char *what = creating ? "make topic" : "delete topic", *right = creating ? "Create" : "Delete";
    if (!event)
        return gw_topic_error(RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, what, topic, right, error);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const char *text = rd_kafka_event_error_string(event);
    if (!code) {
        size_t count = 0;
        const rd_kafka_topic_result_t **results =
            creating ? rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
                     : rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
        code = count == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
        text = count == 1 ? rd_kafka_topic_result_error_string(results[0]) : NULL;
    }
    bool fine = !code || code == (creating ? RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS
                                           : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    sl_status status = fine ? SL_OK : gw_topic_error(code, text, what, topic, right, error);
    if (kafka_code)
        *kafka_code = code;
    rd_kafka_event_destroy(event);
    return status;
}

/* An administrator of its own for each operation: rare, and independent of the producer's being replaced. */
rd_kafka_t *gw_admin_open(const struct gw_broker *broker, sl_error *error)
{
    rd_kafka_conf_t *conf;
    char text[GW_PROPERTY_TEXT_MAX] = "";
    sl_status status = gw_kafka_conf(broker, "producer", NULL, 0, &conf, error);
    /* Asking about a topic must not make it. */
    if (!status && (status = gw_kafka_set(conf, "allow.auto.create.topics", "false", error)))
        rd_kafka_conf_destroy(conf);
    if (status)
        return NULL;
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        sl_error_set(error, SL_BAD_CONFIG, "Kafka's administrator cannot be made: %s", text);
    }
    return rk;
}

sl_status gw_asking_begin(struct gw_asking *asking, struct gw_broker *broker, const char *topic,
                          int64_t until_ms, sl_error *error)
{
    *asking = (struct gw_asking){
        .broker = broker, .topic = topic, .until_ms = until_ms, .rk = gw_admin_open(broker, error)};
    if (!asking->rk)
        return error->status;
    asking->queue = rd_kafka_queue_new(asking->rk);
    return SL_OK;
}

void gw_asking_end(struct gw_asking *asking)
{
    if (!asking->rk)
        return;
    rd_kafka_queue_destroy(asking->queue);
    rd_kafka_destroy(asking->rk);
}

static sl_status create(struct gw_broker *broker, rd_kafka_t *rk, const char *topic, int partitions,
                        int64_t retention_ms, bool bounded, int64_t until_ms, rd_kafka_resp_err_t *code,
                        sl_error *error)
{
    rd_kafka_NewTopic_t *new_topic = describe(broker, topic, partitions, retention_ms, bounded, error);
    if (!new_topic)
        return error->status;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = gw_admin_options(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS, until_ms);
    rd_kafka_CreateTopics(rk, &new_topic, 1, options, queue);
    sl_status status =
        topic_result(rd_kafka_queue_poll(queue, gw_admin_patience_ms(until_ms)), true, topic, code, error);
    if (options)
        rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(new_topic);
    return status;
}

sl_status gw_broker_create_topic(struct gw_broker *broker, const char *topic, int partitions,
                                 int64_t retention_ms, int64_t until_ms, sl_error *error)
{
    sl_error reason = {.status = SL_KAFKA};
    rd_kafka_t *rk = gw_admin_open(broker, &reason);
    sl_status status = rk ? SL_OK : reason.status;
    if (rk) {
        rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
        status = create(broker, rk, topic, partitions, retention_ms, true, until_ms, &code, &reason);
        if (status && code == RD_KAFKA_RESP_ERR_INVALID_CONFIG) /* before Kafka 3.6 */
            status = create(broker, rk, topic, partitions, retention_ms, false, until_ms, &code, &reason);
        if (!status)
            status = gw_admin_await(broker, rk, topic, partitions, false, until_ms, &reason);
        rd_kafka_destroy(rk);
    }
    if (status)
        gw_broker_explain(broker, &reason);
    if (status && error)
        *error = reason;
    return status;
}

sl_status gw_broker_delete_topic(struct gw_broker *broker, const char *topic, int64_t until_ms,
                                 sl_error *error)
{
    sl_error reason = {.status = SL_KAFKA};
    rd_kafka_t *rk = gw_admin_open(broker, &reason);
    rd_kafka_DeleteTopic_t *gone = rk ? rd_kafka_DeleteTopic_new(topic) : NULL;
    sl_status status = gone ? SL_OK : rk ? sl_error_oom(&reason) : reason.status;
    if (gone) {
        rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
        rd_kafka_AdminOptions_t *options = gw_admin_options(rk, RD_KAFKA_ADMIN_OP_DELETETOPICS, until_ms);
        rd_kafka_DeleteTopics(rk, &gone, 1, options, queue);
        status = topic_result(rd_kafka_queue_poll(queue, gw_admin_patience_ms(until_ms)), false, topic, NULL,
                              &reason);
        if (options)
            rd_kafka_AdminOptions_destroy(options);
        rd_kafka_queue_destroy(queue);
        rd_kafka_DeleteTopic_destroy(gone);
    }
    if (rk)
        rd_kafka_destroy(rk);
    if (!status)
        gw_producer_forget(broker, topic);
    else
        gw_broker_explain(broker, &reason);
    if (status && error)
        *error = reason;
    return status;
}
