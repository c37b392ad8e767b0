/*
 * What lies in the queue of a partition that went away while it was consumed (its topic was deleted, or may
 * not be read any more) keeps the partition, and that the handle: its end waits for ever (librdkafka
 * before 2.6.1, its issue 4724). So the queues are known here, and emptied before the end.
 */
#include <stdlib.h>

#include "connectors/kafka/kafka.h"

static bool is_known(const struct sl_kafka_consumer *consumer, int32_t partition)
{
    for (size_t i = 0; i < consumer->queue_count; i++)
        if (consumer->queues[i].partition == partition)
            return true;
    return false;
}

void sl_kafka_leftovers_know(struct sl_kafka_consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        int32_t partition = list->elems[i].partition;
        if (is_known(consumer, partition))
            continue;
        struct sl_kafka_queue *queues =
            realloc(consumer->queues, (consumer->queue_count + 1) * sizeof *queues);
        if (!queues)
            return; /* at worst the end is left to a thread */
        consumer->queues = queues;
        rd_kafka_queue_t *queue =
            rd_kafka_queue_get_partition(consumer->client->rk, consumer->topic, partition);
        if (queue)
            queues[consumer->queue_count++] = (struct sl_kafka_queue){partition, queue};
    }
}

void sl_kafka_leftovers_drop(struct sl_kafka_consumer *consumer)
{
    /* Moved out first: what is last to hold a partition ends it and its queue, and waits for ever when that
     * happens while this queue is locked, as polling it does for what it throws away itself. */
    rd_kafka_queue_t *apart = consumer->queue_count ? rd_kafka_queue_new(consumer->client->rk) : NULL;
    rd_kafka_event_t *event;
    for (size_t i = 0; i < consumer->queue_count; i++) {
        rd_kafka_queue_forward(consumer->queues[i].queue, apart);
        rd_kafka_queue_forward(consumer->queues[i].queue, NULL);
    }
    while (apart && (event = rd_kafka_queue_poll(apart, 0)))
        rd_kafka_event_destroy(event);
    if (apart)
        rd_kafka_queue_destroy(apart);
    for (size_t i = 0; i < consumer->queue_count; i++)
        rd_kafka_queue_destroy(consumer->queues[i].queue);
    free(consumer->queues);
    consumer->queues = NULL;
    consumer->queue_count = 0;
}
