/*
 * Pausing. librdkafka 2.0.2 throws away what it has fetched of a partition that is paused, and takes up again
 * behind it when nothing of the partition was polled before. So it is told where to go on: a resume ends with
 * a seek to the position. It keeps a pause while a partition is with another member, so that what is paused
 * there need not be told again when it comes back.
 */
#include <stdlib.h>

#include "base/error.h"
#include "connectors/kafka/kafka.h"

/* Tells librdkafka; false: it does not know the partition (yet), or memory is out. */
static bool tell(struct sl_kafka_consumer *consumer, int32_t partition, bool paused)
{
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    if (!one)
        return false;
    rd_kafka_topic_partition_list_add(one, consumer->topic, partition);
    bool done = sl_pauses_set(&consumer->told, &partition, 1, paused);
    if (done && paused)
        rd_kafka_pause_partitions(consumer->client->rk, one);
    else if (done)
        rd_kafka_resume_partitions(consumer->client->rk, one);
    if (done && one->elems[0].err && paused)
        sl_pauses_set(&consumer->told, &partition, 1, false); /* it shrinks: needs no memory */
    done = done && !one->elems[0].err;
    rd_kafka_topic_partition_list_destroy(one);
    return done;
}

void sl_kafka_apply_pauses(struct sl_kafka_consumer *consumer)
{
    /* One that could not be told is fetched, and dropped before it is handed out: slower, not wrong. */
    for (size_t i = 0; i < consumer->assigned_count; i++)
        if (consumer->assigned[i].paused && !sl_pauses_has(&consumer->told, consumer->assigned[i].partition))
            tell(consumer, consumer->assigned[i].partition, true);
}

/* Partitions that others have may be paused too, if the layer has them. */
static sl_status check_partitions(struct sl_kafka_consumer *consumer, const int32_t *partitions, size_t count,
                                  sl_error *error)
{
    int32_t most = -1;
    for (size_t i = 0; i < count; i++)
        if (!sl_kafka_position_of(consumer, partitions[i]) &&
            !sl_pauses_has(&consumer->pauses, partitions[i]) && partitions[i] > most)
            most = partitions[i];
    if (most < 0)
        return SL_OK;
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(consumer->client->rk, 0, consumer->handle, &metadata, SL_KAFKA_QUERY_MS);
    if (code)
        return sl_kafka_error(error, code, "the layer's Kafka partitions: %s", rd_kafka_err2str(code));
    int there = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    return most < there
               ? SL_OK
               : sl_error_set(error, SL_INVALID_ARGUMENT,
                              "the layer has no Kafka partition %d: it has 0 to %d", (int)most, there - 1);
}

static void set_paused(struct sl_kafka_consumer *consumer, struct sl_kafka_position *position, bool paused)
{
    pthread_mutex_lock(&consumer->lock);
    position->paused = paused;
    pthread_mutex_unlock(&consumer->lock);
}

static sl_status pause_them(struct sl_kafka_consumer *consumer, const int32_t *partitions, size_t count,
                            sl_error *error)
{
    if (!sl_pauses_set(&consumer->pauses, partitions, count, true))
        return sl_error_oom(error);
    for (size_t i = 0; i < consumer->assigned_count; i++)
        if (sl_pauses_has(&consumer->pauses, consumer->assigned[i].partition))
            set_paused(consumer, &consumer->assigned[i], true);
    sl_kafka_apply_pauses(consumer);
    if (consumer->pending && sl_pauses_has(&consumer->pauses, consumer->pending->partition))
        sl_kafka_drop_pending(consumer); /* it is fetched again */
    return SL_OK;
}

/* One that cannot go on from its position stays paused. */
static sl_status resume_one(struct sl_kafka_consumer *consumer, int32_t partition, sl_error *error)
{
    struct sl_kafka_position *position = sl_kafka_position_of(consumer, partition);
    if (sl_pauses_has(&consumer->told, partition))
        tell(consumer, partition, false);
    if (position && position->paused && position->next >= 0) {
        sl_status status = sl_kafka_seek_one(consumer, partition, position->next, error);
        if (status) {
            tell(consumer, partition, true);
            return status;
        }
    }
    if (!sl_pauses_set(&consumer->pauses, &partition, 1, false))
        return sl_error_oom(error);
    if (position)
        set_paused(consumer, position, false);
    return SL_OK;
}

static sl_status resume_all(struct sl_kafka_consumer *consumer, sl_error *error)
{
    for (size_t i = 0; i < consumer->assigned_count; i++)
        if (consumer->assigned[i].paused) {
            sl_status status = resume_one(consumer, consumer->assigned[i].partition, error);
            if (status)
                return status;
        }
    for (size_t left = consumer->told.count; left; left--) { /* those that others have now */
        if (!tell(consumer, consumer->told.exceptions[left - 1], false) && consumer->told.count == left)
            return sl_error_oom(error);
    }
    sl_pauses_set(&consumer->pauses, NULL, 0, false);
    return SL_OK;
}

sl_status sl_kafka_consumer_pause(void *consumer, const int32_t *partitions, size_t count, bool paused,
                                  sl_error *error)
{
    struct sl_kafka_consumer *self = consumer;
    sl_status status = check_partitions(self, partitions, count, error);
    if (status)
        return status;
    if (paused)
        return pause_them(self, partitions, count, error);
    if (!count)
        return resume_all(self, error);
    for (size_t i = 0; i < count && !status; i++)
        status = resume_one(self, partitions[i], error);
    return status;
}
