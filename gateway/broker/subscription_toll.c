/*
 * What an answer pays before it goes: at its application's throttle, where it has one (a Marketplace
 * subscription's), then at the layer's. It waits at one at a time, and what it waits for it has paid when it
 * gets on.
 */
#include "gateway/broker/subscription.h"

enum { TOLLS = 2 };

/* NULL: there is none, and it gets on. */
static struct gw_throttle *toll_at(const struct gw_subscription *subscription, unsigned at)
{
    if (at)
        return &subscription->layer->counters->out;
    return subscription->flow ? &subscription->flow->out : NULL;
}

static void granted(struct gw_pass *pass);

/* Goes on to the last toll, or to one where it has to wait. */
static bool go_on(struct gw_subscription *subscription)
{
    for (; subscription->tolls < TOLLS; subscription->tolls++) {
        struct gw_throttle *toll = toll_at(subscription, subscription->tolls);
        subscription->pass = (struct gw_pass){.loop = subscription->loop,
                                              .account = subscription->application,
                                              .bytes = subscription->price,
                                              .granted = granted};
        if (toll && !gw_throttle_enter(subscription->all->throttler, toll, &subscription->pass)) {
            subscription->paying = true;
            gw_subscription_link(subscription);
            return false;
        }
    }
    return true;
}

static void granted(struct gw_pass *pass)
{
    struct gw_subscription *subscription =
        (struct gw_subscription *)(void *)((char *)pass - offsetof(struct gw_subscription, pass));
    subscription->paying = false;
    subscription->tolls++;
    if (subscription->phase == GW_JOINED && go_on(subscription))
        gw_subscription_work(subscription);
    else if (subscription->phase > GW_JOINED) /* it ended meanwhile: what it paid is given back */
        gw_subscription_pay_no_more(subscription);
    gw_subscription_unlink(subscription);
}

size_t gw_subscription_toll_room(const struct gw_subscription *subscription, size_t max_bytes)
{
    for (unsigned i = 0; i < TOLLS; i++) {
        const struct gw_throttle *toll = toll_at(subscription, i);
        int64_t rate = toll ? gw_throttle_rate(subscription->all->throttler, toll) : 0;
        if (rate && (int64_t)max_bytes > rate)
            max_bytes = (size_t)rate;
    }
    return max_bytes;
}

bool gw_subscription_pay(struct gw_subscription *subscription, int64_t price)
{
    if (subscription->paying)
        return false;
    if (!subscription->tolls)
        subscription->price = price;
    return go_on(subscription);
}

/* What was paid and what is owed besides: bytes more, or back (negative), at each toll where it has paid. */
static void settle(struct gw_subscription *subscription, int64_t bytes)
{
    for (unsigned i = 0; i < subscription->tolls; i++)
        if (toll_at(subscription, i))
            gw_throttle_settle(subscription->all->throttler, toll_at(subscription, i), bytes);
    subscription->tolls = 0;
}

void gw_subscription_paid(struct gw_subscription *subscription, int64_t bytes)
{
    settle(subscription, bytes - subscription->price);
}

void gw_subscription_set_flow(struct gw_subscription *subscription, struct gw_market_flow *flow)
{
    if (subscription->paying || subscription->tolls || subscription->flow == flow)
        return;
    gw_market_flow_unlink(subscription->flow);
    subscription->flow = flow ? gw_market_flow_link(flow) : NULL;
}

void gw_subscription_pay_no_more(struct gw_subscription *subscription)
{
    settle(subscription, -subscription->price);
    if (subscription->paying && gw_throttle_leave(subscription->all->throttler, &subscription->pass)) {
        subscription->paying = false;
        gw_subscription_unlink(subscription);
    }
}
