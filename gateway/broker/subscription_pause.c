/*
 * Pausing, resuming, positions. A pause is a wish: a bit for each Kafka partition, kept over rebalances.
 * librdkafka is told to fetch no more of it, and whatever still comes of a paused partition is let go,
 * because the resume always sets the position: so nothing hangs on what librdkafka does with its queue around
 * a pause.
 */
#include "gateway/broker/subscription.h"

#include "base/error.h"

/* The bits of the partitions that a change names. False: one is not the layer's, and the error says so. */
static bool wanted_bits(const struct gw_subscription *subscription, struct gw_change *change, uint32_t *bits)
{
    *bits = change->count ? 0 : UINT32_MAX;
    for (size_t i = 0; i < change->count; i++) {
        int32_t partition = change->offsets[i].partition;
        if (partition < 0 || partition >= GW_PARTITIONS_MAX ||
            partition >= subscription->layer->parallelization) {
            change->status =
                sl_error_set(&change->error, SL_INVALID_ARGUMENT,
                             "there is no Kafka partition %d: layer %s has %d, numbered from 0",
                             (int)partition, subscription->layer->id, subscription->layer->parallelization);
            return false;
        }
        *bits |= UINT32_C(1) << partition;
    }
    return true;
}

/* Those of its partitions that are among the bits, with where they go on. */
static rd_kafka_topic_partition_list_t *shares_among(const struct gw_subscription *subscription,
                                                     uint32_t bits)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)subscription->share_count);
    for (size_t i = 0; i < subscription->share_count; i++) {
        const struct gw_share *share = &subscription->shares[i];
        if (share->partition < GW_PARTITIONS_MAX && (bits >> share->partition & 1))
            rd_kafka_topic_partition_list_add(list, subscription->layer->topic, share->partition)->offset =
                gw_share_next(share);
    }
    return list;
}

void gw_subscription_pause(struct gw_subscription *subscription, struct gw_change *change)
{
    uint32_t bits;
    if (!wanted_bits(subscription, change, &bits)) {
        gw_subscription_order_end(subscription, change->status);
        return;
    }
    rd_kafka_topic_partition_list_t *list = shares_among(subscription, bits & ~subscription->paused);
    subscription->paused |= bits;
    if (list->cnt)
        rd_kafka_pause_partitions(subscription->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    gw_subscription_hold_back(subscription);
    gw_subscription_order_end(subscription, SL_OK);
}

void gw_subscription_resume(struct gw_subscription *subscription, struct gw_change *change)
{
    uint32_t bits;
    if (!wanted_bits(subscription, change, &bits)) {
        gw_subscription_order_end(subscription, change->status);
        return;
    }
    rd_kafka_topic_partition_list_t *list = shares_among(subscription, bits & subscription->paused);
    if (list->cnt) {
        gw_subscription_set_list(subscription, list);
        gw_subscription_start_job(subscription, GW_STEP_RESUME);
        return;
    }
    rd_kafka_topic_partition_list_destroy(list);
    subscription->paused &= ~bits;
    gw_subscription_order_end(subscription, SL_OK);
}

void gw_subscription_resume_done(struct gw_subscription *subscription)
{
    struct gw_change *change = subscription->orders;
    uint32_t bits;
    if (!change)
        return; /* it was ended with the subscription */
    if (!subscription->job_status && wanted_bits(subscription, change, &bits))
        subscription->paused &= ~bits;
    gw_subscription_hold_back(subscription); /* of what is still paused */
    change->error = subscription->job_error;
    gw_subscription_order_end(subscription, subscription->job_status);
}

void gw_subscription_positions(struct gw_subscription *subscription)
{
    subscription->known_count = 0;
    for (size_t i = 0; i < subscription->share_count && i < GW_PARTITIONS_MAX; i++) {
        size_t place = subscription->known_count++;
        for (; place && subscription->known[place - 1].partition > subscription->shares[i].partition; place--)
            subscription->known[place] = subscription->known[place - 1];
        subscription->known[place] = (sl_partition_position){.partition = subscription->shares[i].partition};
    }
    if (subscription->known_count)
        gw_subscription_start_job(subscription, GW_STEP_POSITIONS);
    else
        gw_subscription_order_end(subscription, SL_OK);
}

/* The next message of it that a poll gives. */
static int64_t position_of(const struct gw_subscription *subscription, const struct gw_share *share)
{
    for (size_t i = subscription->given; i < subscription->held_count; i++)
        if (subscription->held[i].message->partition == share->partition)
            return subscription->held[i].message->offset;
    return share->met > gw_share_next(share) ? share->met : gw_share_next(share);
}

void gw_subscription_positions_done(struct gw_subscription *subscription)
{
    struct gw_change *change = subscription->orders;
    if (!change)
        return; /* it was ended with the subscription */
    change->error = subscription->job_error;
    for (size_t i = 0; i < subscription->known_count && !subscription->job_status; i++) {
        sl_partition_position *position = &change->positions[change->position_count++];
        *position = subscription->known[i];
        const struct gw_share *share = gw_subscription_share(subscription, position->partition);
        position->paused = gw_subscription_is_paused(subscription, position->partition);
        position->position = share ? position_of(subscription, share) : -1;
        if (position->position < position->begin) /* retention has passed it */
            position->position = subscription->earliest ? position->begin : position->end;
        position->lag = position->end > position->position ? position->end - position->position : 0;
    }
    gw_subscription_order_end(subscription, subscription->job_status);
}
