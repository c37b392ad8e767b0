/*
 * What groups have not committed: measured on the subscriptions' loops with what librdkafka knows anyway, and
 * summed by layer and group for /metrics.
 */
#include "gateway/broker/subscription.h"

#include "base/time.h"

#include <stdlib.h>
#include <string.h>

#define MEASURE_MS     1000 /* no oftener */
#define ASK_TIMEOUT_MS 10000

/* -1: not known. */
static int64_t lag_of(const struct gw_subscription *subscription, struct gw_share *share)
{
    int64_t begin = -1, end = -1;
    if (rd_kafka_get_watermark_offsets(subscription->rk, subscription->layer->topic, share->partition, &begin,
                                       &end))
        begin = end = -1;
    if (end > share->end)
        share->end = end;
    if (share->end < 0 || share->group < 0)
        return -1;
    int64_t from = share->group < begin ? begin : share->group; /* what has expired is nobody's */
    return share->end > from ? share->end - from : 0;
}

void gw_subscription_measure(struct gw_subscription *subscription, bool now)
{
    int64_t now_ms = sl_mono_ms(), sum = 0;
    if (!now && now_ms - subscription->measured_ms < MEASURE_MS)
        return;
    subscription->measured_ms = now_ms;
    bool known = false;
    for (size_t i = 0; i < subscription->share_count; i++) {
        int64_t lag = lag_of(subscription, &subscription->shares[i]);
        known |= lag >= 0;
        sum += lag > 0 ? lag : 0;
    }
    atomic_store_explicit(&subscription->lag, known || !subscription->share_count ? sum : -1,
                          memory_order_relaxed);
}

static void drop_question(struct gw_subscription *subscription)
{
    rd_kafka_topic_partition_list_destroy(subscription->lag_list);
    subscription->lag_list = NULL;
    gw_subscription_unlink(subscription); /* the question's link */
}

/* On its loop. Offsets that could not be had are negative. */
static void lag_found(struct gw_task *task)
{
    struct gw_subscription *subscription =
        (struct gw_subscription *)(void *)((char *)task - offsetof(struct gw_subscription, lag_back));
    const rd_kafka_topic_partition_list_t *list = subscription->lag_list;
    for (int i = 0; i < list->cnt; i++) {
        struct gw_share *share = gw_subscription_share(subscription, list->elems[i].partition);
        if (share && list->elems[i].offset > share->end)
            share->end = list->elems[i].offset;
    }
    if (subscription->phase == GW_JOINED && !subscription->step)
        gw_subscription_measure(subscription, true);
    drop_question(subscription);
}

/* On a worker. */
static void ask_ends(struct gw_job *job)
{
    struct gw_subscription *subscription =
        (struct gw_subscription *)(void *)((char *)job - offsetof(struct gw_subscription, lag_job));
    gw_broker_offsets(subscription->broker, subscription->lag_list, ASK_TIMEOUT_MS);
    subscription->lag_back.run = lag_found;
    gw_loop_post(subscription->loop, &subscription->lag_back);
}

void gw_subscription_find_lag(struct gw_subscription *subscription)
{
    if (subscription->lag_list || !rd_kafka_queue_length(subscription->messages) ||
        gw_outage_ms(subscription->outage)) {
        gw_subscription_measure(subscription, true);
        return;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)subscription->share_count);
    for (size_t i = 0; i < subscription->share_count; i++)
        rd_kafka_topic_partition_list_add(list, subscription->layer->topic, subscription->shares[i].partition)
            ->offset = RD_KAFKA_OFFSET_END;
    subscription->lag_list = list;
    subscription->lag_job.run = ask_ends;
    gw_subscription_link(subscription);
    if (!gw_work_try(subscription->all->workers, subscription->application, &subscription->lag_job))
        drop_question(subscription);
}

static int by_group(const void *one, const void *other)
{
    const struct gw_subscription *a = *(struct gw_subscription *const *)one,
                                 *b = *(struct gw_subscription *const *)other;
    int order = strcmp(a->layer->key, b->layer->key);
    return order ? order : strcmp(a->group, b->group);
}

/* Those that have joined, linked; NULL: none, or no memory. */
static struct gw_subscription **link_all(struct gw_subscriptions *all, size_t *count)
{
    *count = 0;
    pthread_mutex_lock(&all->lock);
    struct gw_subscription **list = all->listed_count ? calloc(all->listed_count, sizeof *list) : NULL;
    for (struct gw_subscription *next = all->alive; next && list; next = next->next_alive)
        if (next->listed && next->ready)
            list[(*count)++] = gw_subscription_link(next);
    pthread_mutex_unlock(&all->lock);
    return list;
}

bool gw_subscriptions_lag(struct gw_subscriptions *all, struct sl_buffer *text)
{
    size_t count;
    struct gw_subscription **list = link_all(all, &count);
    if (count)
        qsort(list, count, sizeof *list, by_group);
    sl_buffer_append_text(
        text, "# HELP streamlayer_consumer_lag_messages Messages of a layer that a consumer group has not "
              "committed, in the Kafka partitions that subscriptions of this gateway have.\n"
              "# TYPE streamlayer_consumer_lag_messages gauge\n");
    int64_t sum = -1;
    for (size_t i = 0; i < count; i++) {
        int64_t lag = atomic_load_explicit(&list[i]->lag, memory_order_relaxed);
        if (lag >= 0)
            sum = (sum < 0 ? 0 : sum) + lag;
        if (i + 1 < count && !by_group(&list[i], &list[i + 1]))
            continue;
        /* HRNs, ids and groups have no character that a label would have to escape. */
        if (sum >= 0)
            sl_buffer_printf(
                text, "streamlayer_consumer_lag_messages{catalog=\"%s\",layer=\"%s\",group=\"%s\"} %lld\n",
                list[i]->layer->hrn, list[i]->layer->id, list[i]->group, (long long)sum);
        sum = -1;
    }
    for (size_t i = 0; i < count; i++)
        gw_subscription_unlink(list[i]);
    free(list);
    return !text->failed;
}
