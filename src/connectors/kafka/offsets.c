/*
 * Questions of where Kafka partitions begin and end. A broker answers the requests of one connection one
 * after another, so on the consumer's own a question waits until the fetch under way is answered: up to half
 * a second. Once there is a fetch, questions have a handle of their own, made when the first comes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "connectors/kafka/kafka.h"

void sl_kafka_offsets_close(struct sl_kafka_consumer *consumer)
{
    if (consumer->asker)
        rd_kafka_destroy(consumer->asker);
    consumer->asker = NULL;
}

/* A producer's handle: it joins no group and fetches nothing. NULL: no memory, or no thread. */
static rd_kafka_t *make_asker(struct sl_kafka_consumer *consumer)
{
    char text[300];
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(rd_kafka_conf(consumer->client->rk));
    if (!conf)
        return NULL;
    /* A consumer's settings on a producer's handle: librdkafka would warn of each. */
    rd_kafka_conf_set(conf, "log_level", "2", text, sizeof text);
    rd_kafka_conf_set(conf, "statistics.interval.ms", "0", text, sizeof text);
    rd_kafka_conf_set_rebalance_cb(conf, NULL);
    rd_kafka_t *made = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!made) {
        rd_kafka_conf_destroy(conf);
    } else if (consumer->client->takes_token && sl_kafka_token_start(made, NULL)) {
        rd_kafka_destroy(made);
        made = NULL;
    }
    return made;
}

rd_kafka_t *sl_kafka_asker(struct sl_kafka_consumer *consumer)
{
    if (!consumer->joined)
        return consumer->client->rk; /* it fetches nothing yet */
    if (!consumer->asker)
        consumer->asker = make_asker(consumer);
    return consumer->asker ? consumer->asker : consumer->client->rk;
}

rd_kafka_topic_partition_list_t *sl_kafka_assigned_list(const struct sl_kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)consumer->assigned_count);
    for (size_t i = 0; i < consumer->assigned_count && list; i++)
        rd_kafka_topic_partition_list_add(list, consumer->topic, consumer->assigned[i].partition);
    return list;
}

/* One request a broker for all partitions. offset: a time, or what Kafka's ListOffsets takes in its place. */
static sl_status ask(struct sl_kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list,
                     int64_t offset, const char *what, sl_error *error)
{
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = offset;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(sl_kafka_asker(consumer), list, SL_KAFKA_QUERY_MS);
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].err)
            return sl_kafka_error(error, list->elems[i].err, "%s of Kafka partition %d: %s", what,
                                  (int)list->elems[i].partition, rd_kafka_err2str(list->elems[i].err));
    return code ? sl_kafka_error(error, code, "%s of the layer's Kafka partitions: %s", what,
                                 rd_kafka_err2str(code))
                : SL_OK;
}

sl_status sl_kafka_ends(struct sl_kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list,
                        sl_start where, sl_error *error)
{
    sl_status status =
        ask(consumer, list, where == SL_START_END ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING,
            "the begin and end", error);
    for (int i = 0; i < list->cnt && !status; i++)
        if (list->elems[i].offset < 0)
            status = sl_error_set_retriable(error, SL_UNAVAILABLE,
                                            "Kafka does not say where Kafka partition %d begins and ends",
                                            (int)list->elems[i].partition);
    return status;
}

sl_status sl_kafka_times(struct sl_kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list,
                         int64_t timestamp_ms, sl_error *error)
{
    rd_kafka_topic_partition_list_t *ends = rd_kafka_topic_partition_list_copy(list);
    if (!ends)
        return sl_error_oom(error);
    /* The ends first: what is written between the two questions lies behind them. */
    sl_status status = sl_kafka_ends(consumer, ends, SL_START_END, error);
    if (!status)
        status = ask(consumer, list, timestamp_ms, "the offset of a time", error);
    for (int i = 0; i < list->cnt && !status; i++)
        if (list->elems[i].offset < 0)
            list->elems[i].offset = ends->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(ends);
    return status;
}

static int64_t offset_in(const rd_kafka_topic_partition_list_t *list, int i)
{
    return list->elems[i].err || list->elems[i].offset < 0 ? -1 : list->elems[i].offset;
}

static int ascending(const void *one, const void *other)
{
    int32_t a = ((const sl_partition_position *)one)->partition;
    int32_t b = ((const sl_partition_position *)other)->partition;
    return (a > b) - (a < b);
}

/* All three are of the assigned partitions, in the same order. */
static sl_status fill(struct sl_kafka_consumer *consumer, rd_kafka_topic_partition_list_t *const lists[3],
                      sl_partition_position *all, sl_error *error)
{
    rd_kafka_topic_partition_list_t *begin = lists[0], *end = lists[1], *committed = lists[2];
    sl_status status = sl_kafka_ends(consumer, begin, SL_START_BEGIN, error);
    if (!status)
        status = sl_kafka_ends(consumer, end, SL_START_END, error);
    if (status)
        return status;
    rd_kafka_resp_err_t code = rd_kafka_committed(consumer->client->rk, committed, SL_KAFKA_QUERY_MS);
    if (code)
        return sl_kafka_error(error, code, "the committed offsets of group \"%s\": %s", consumer->group,
                              rd_kafka_err2str(code));
    for (size_t i = 0; i < consumer->assigned_count; i++) {
        const struct sl_kafka_position *position = &consumer->assigned[i];
        int64_t next = position->next >= 0 && position->end > position->next ? position->end : position->next;
        all[i] = (sl_partition_position){.partition = position->partition,
                                         .paused = position->paused,
                                         .begin = offset_in(begin, (int)i),
                                         .end = offset_in(end, (int)i),
                                         .position = next,
                                         .committed = offset_in(committed, (int)i),
                                         .lag = -1};
        if (next >= 0)
            all[i].lag = all[i].end > next ? all[i].end - next : 0;
    }
    return SL_OK;
}

sl_status sl_kafka_consumer_positions(void *consumer, sl_partition_position *list, size_t capacity,
                                      size_t *count, sl_error *error)
{
    struct sl_kafka_consumer *self = consumer;
    size_t all_count = *count = self->assigned_count;
    if (!all_count)
        return SL_OK;
    sl_partition_position *all = calloc(all_count, sizeof *all);
    rd_kafka_topic_partition_list_t *lists[3] = {0};
    sl_status status = all ? SL_OK : sl_error_oom(error);
    for (size_t i = 0; i < 3 && !status; i++)
        if (!(lists[i] = sl_kafka_assigned_list(self)))
            status = sl_error_oom(error);
    if (!status)
        status = fill(self, lists, all, error);
    if (!status) {
        qsort(all, all_count, sizeof *all, ascending);
        if (list && capacity)
            memcpy(list, all, (capacity < all_count ? capacity : all_count) * sizeof *all);
    }
    for (size_t i = 0; i < 3; i++)
        if (lists[i])
            rd_kafka_topic_partition_list_destroy(lists[i]);
    free(all);
    return status;
}
