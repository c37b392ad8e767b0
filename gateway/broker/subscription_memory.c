/*
 * What a subscription has in memory: what it may read ahead, which is the budget's from its begin to its end,
 * and what was taken from there and waits to be known as received.
 */
#include "gateway/broker/subscription.h"

#include "base/error.h"

#include <stdio.h>

#define PREFETCH_MIN ((size_t)4096)
#define RECORD_BYTES 256 /* that librdkafka keeps of a message beside payload and key */

/* Each that may come yet has a little laid by. */
static size_t little(const struct gw_subscriptions *all)
{
    size_t share = gw_budget_part_max(all->budget, GW_BUDGET_PREFETCH) / (4 * all->max);
    share = share > PREFETCH_MIN ? share : PREFETCH_MIN;
    return share < all->prefetch_max ? share : all->prefetch_max;
}

/* Of what is not laid by, each has an eighth at most: so few have much, and many still something. */
static size_t wanted(struct gw_subscriptions *all)
{
    size_t max = gw_budget_part_max(all->budget, GW_BUDGET_PREFETCH);
    size_t used = gw_budget_part_used(all->budget, GW_BUDGET_PREFETCH);
    size_t ahead = atomic_load(&all->prefetching), least = little(all);
    size_t laid_by = ahead + 1 < all->max ? least * (all->max - ahead - 1) : 0;
    size_t spare = used < max && laid_by < max - used ? max - used - laid_by : 0;
    size_t share = spare / 8, most = all->prefetch_max;
    if (share > most)
        share = most;
    return share > least ? share : least;
}

static bool take(struct gw_subscription *subscription, size_t bytes)
{
    struct gw_budget *budget = subscription->all->budget;
    if (!gw_budget_lay(budget, GW_BUDGET_PREFETCH, bytes))
        return false;
    if (!gw_budget_take(budget, bytes)) {
        gw_budget_lift(budget, GW_BUDGET_PREFETCH, bytes);
        return false;
    }
    subscription->prefetch = bytes;
    atomic_fetch_add(&subscription->all->prefetching, 1);
    return true;
}

/* Three quarters for librdkafka's queue, which stops fetching when it is full, one for the fetch under way.
 */
sl_status gw_subscription_take_prefetch(struct gw_subscription *subscription, sl_error *error)
{
    static const char *const fetches[] = {"fetch.message.max.bytes", "fetch.max.bytes", "message.max.bytes"};
    if (!take(subscription, wanted(subscription->all)) && !take(subscription, little(subscription->all)))
        return sl_error_set_retriable(
            error, SL_QUEUE_FULL,
            "there is no memory for what a subscription reads ahead: too many bytes "
            "are in flight (streamlayer.gateway.limits.bytes-in-flight), or "
            "subscriptions have their half of them");
    char number[24];
    size_t fetch = subscription->prefetch / 4;
    snprintf(number, sizeof number, "%zu", (subscription->prefetch - fetch) / 1024);
    sl_status status = gw_kafka_set(subscription->conf, "queued.max.messages.kbytes", number, error);
    snprintf(number, sizeof number, "%zu", fetch);
    for (size_t i = 0; i < sizeof fetches / sizeof *fetches && !status; i++)
        status = gw_kafka_set(subscription->conf, fetches[i], number, error);
    return status;
}

void gw_subscription_give_prefetch(struct gw_subscription *subscription)
{
    if (!subscription->prefetch)
        return;
    atomic_fetch_sub(&subscription->all->prefetching, 1);
    gw_budget_lift(subscription->all->budget, GW_BUDGET_PREFETCH, subscription->prefetch);
    gw_budget_give(subscription->all->budget, subscription->prefetch);
    subscription->prefetch = 0;
}

size_t gw_held_bytes(const rd_kafka_message_t *message)
{
    return (message->payload ? message->len : 0) + message->key_len + RECORD_BYTES;
}

void gw_subscription_let_go(struct gw_subscription *subscription, struct gw_held held)
{
    subscription->held_bytes -= gw_held_bytes(held.message);
    rd_kafka_event_destroy(held.event);
}

void gw_subscription_account(struct gw_subscription *subscription)
{
    struct gw_budget *budget = subscription->all->budget;
    if (subscription->held_bytes > subscription->counted_bytes)
        gw_budget_add(budget, subscription->held_bytes - subscription->counted_bytes);
    else if (subscription->held_bytes < subscription->counted_bytes)
        gw_budget_give(budget, subscription->counted_bytes - subscription->held_bytes);
    subscription->counted_bytes = subscription->held_bytes;
}

/* A message in an answer is there three times: as it came, and in the answer, where base64 makes it longer.
 */
size_t gw_subscription_answer_room(const struct gw_subscription *subscription)
{
    return gw_budget_room(subscription->all->budget) / 3;
}
