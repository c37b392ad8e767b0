/* Going on from elsewhere. */
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/time.h"
#include "connectors/kafka/kafka.h"

/*
 * Moves one Kafka partition. Not by a new assignment: one while the fetcher of the one before is still
 * stopping ends in an assertion of librdkafka's (its issue 5573). A fetcher that is only starting refuses for
 * a while.
 */
sl_status sl_kafka_seek_one(struct sl_kafka_consumer *consumer, int32_t partition, int64_t offset,
                            sl_error *error)
{
    enum { PAUSE_MS = 5 };
    struct sl_kafka_position *position = sl_kafka_position_of(consumer, partition);
    int64_t deadline = sl_deadline_ms(SL_KAFKA_QUERY_MS);
    rd_kafka_resp_err_t code;
    for (;;) {
        int left = sl_remaining_ms(deadline);
        code = rd_kafka_seek(consumer->handle, partition, offset, left > 0 ? left : 1);
        if ((code != RD_KAFKA_RESP_ERR__STATE && code != RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS) || !left)
            break;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    }
    if (code) {
        sl_status status = sl_kafka_error(error, code, "seeking to offset %lld of Kafka partition %d: %s",
                                          (long long)offset, (int)partition, rd_kafka_err2str(code));
        if (error && code == RD_KAFKA_RESP_ERR__STATE)
            error->retriable = true; /* a rebalance is under way: a poll takes part in it */
        return status;
    }
    pthread_mutex_lock(&consumer->lock);
    if (position) {
        position->next = offset;
        position->end = 0;
    }
    pthread_mutex_unlock(&consumer->lock);
    if (consumer->pending && consumer->pending->partition == partition)
        sl_kafka_drop_pending(consumer);
    sl_kafka_moved(consumer);
    return SL_OK;
}

static sl_status seek_list(struct sl_kafka_consumer *consumer, const rd_kafka_topic_partition_list_t *list,
                           sl_error *error)
{
    sl_status status = sl_kafka_settled(consumer) ? SL_OK : sl_kafka_settle(consumer, error);
    for (int i = 0; i < list->cnt && !status; i++)
        status = sl_kafka_seek_one(consumer, list->elems[i].partition, list->elems[i].offset, error);
    return status;
}

/* Whether the log has the offset, as far as the last fetch told. A question to the broker would wait until
 * the fetch under way is answered. */
bool sl_kafka_known_to_be_there(const struct sl_kafka_consumer *consumer, int32_t partition, int64_t offset)
{
    int64_t begin, end;
    return !rd_kafka_get_watermark_offsets(consumer->client->rk, consumer->topic, partition, &begin, &end) &&
           begin >= 0 && offset >= begin && offset <= end;
}

/* What the log does not have becomes its begin or end, whichever the consumer starts at where the group has
 * no position. Behind the end, librdkafka would begin anew while what lies before the offset is dropped:
 * nothing would come, without a word. All are looked at before the first is moved. */
static sl_status clamp(struct sl_kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list,
                       sl_error *error)
{
    rd_kafka_topic_partition_list_t *begins = rd_kafka_topic_partition_list_new(list->cnt), *ends = NULL;
    for (int i = 0; begins && i < list->cnt; i++)
        if (!sl_kafka_known_to_be_there(consumer, list->elems[i].partition, list->elems[i].offset) &&
            !rd_kafka_topic_partition_list_find(begins, consumer->topic, list->elems[i].partition))
            rd_kafka_topic_partition_list_add(begins, consumer->topic, list->elems[i].partition);
    if (begins)
        ends = rd_kafka_topic_partition_list_copy(begins);
    sl_status status = ends ? SL_OK : sl_error_oom(error);
    if (!status && begins->cnt)
        status = sl_kafka_ends(consumer, begins, SL_START_BEGIN, error);
    if (!status && begins->cnt)
        status = sl_kafka_ends(consumer, ends, SL_START_END, error);
    for (int i = 0; i < list->cnt && !status; i++) {
        rd_kafka_topic_partition_t *wanted = &list->elems[i];
        const rd_kafka_topic_partition_t *begin =
            rd_kafka_topic_partition_list_find(begins, consumer->topic, wanted->partition);
        const rd_kafka_topic_partition_t *end =
            rd_kafka_topic_partition_list_find(ends, consumer->topic, wanted->partition);
        if (begin && end && (wanted->offset < begin->offset || wanted->offset > end->offset))
            wanted->offset = consumer->start == SL_START_END ? end->offset : begin->offset;
    }
    if (begins)
        rd_kafka_topic_partition_list_destroy(begins);
    if (ends)
        rd_kafka_topic_partition_list_destroy(ends);
    return status;
}

sl_status sl_kafka_consumer_seek(void *consumer, const sl_offset *offsets, size_t count, sl_error *error)
{
    struct sl_kafka_consumer *self = consumer;
    rd_kafka_topic_partition_list_t *list;
    sl_status status = sl_kafka_make_list(self, offsets, count, false, &list, error);
    if (status)
        return status;
    status = clamp(self, list, error);
    if (!status)
        status = seek_list(self, list, error);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/* Seeks to the offsets in list, unless finding them failed; list is destroyed. */
static sl_status seek_found(struct sl_kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list,
                            sl_status found, sl_error *error)
{
    sl_status status = found;
    if (!status)
        status = seek_list(consumer, list, error);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

sl_status sl_kafka_consumer_seek_to(void *consumer, sl_start where, sl_error *error)
{
    struct sl_kafka_consumer *self = consumer;
    if (!self->assigned_count)
        return SL_OK;
    rd_kafka_topic_partition_list_t *list = sl_kafka_assigned_list(self);
    return list ? seek_found(self, list, sl_kafka_ends(self, list, where, error), error)
                : sl_error_oom(error);
}

sl_status sl_kafka_consumer_seek_time(void *consumer, int64_t timestamp_ms, sl_error *error)
{
    struct sl_kafka_consumer *self = consumer;
    if (!self->assigned_count)
        return SL_OK;
    rd_kafka_topic_partition_list_t *list = sl_kafka_assigned_list(self);
    return list ? seek_found(self, list, sl_kafka_times(self, list, timestamp_ms, error), error)
                : sl_error_oom(error);
}
