/* What Marketplace subscriptions allow: who may be handed what is in the layers of a catalog on the
 * Marketplace, how fast, and what is said to who may not. */
#include "base/time.h"
#include "gateway/api/usage.h"

#include <stdio.h>

bool gw_on_marketplace(const struct gateway *gateway, const char *hrn)
{
    bool marketplace = false;
    return hrn && gw_catalogs_marketplace(gateway->catalogs, hrn, &marketplace) && marketplace;
}

unsigned gw_looking_rights(const struct gateway *gateway, const struct gw_account *account, const char *hrn)
{
    unsigned rights = gw_account_rights(account, hrn);
    if (!hrn || rights & SL_RIGHT_READ)
        return rights;
    struct gw_market_subscription *subscription = gw_market_find(gateway->market, account->id, hrn);
    gw_market_unlink(subscription);
    return subscription ? rights | SL_RIGHT_READ : rights;
}

bool gw_sees_topics(const struct gw_account *account, const char *hrn, bool marketplace)
{
    return !marketplace ||
           gw_account_rights(account, hrn) & (SL_RIGHT_WRITE | SL_RIGHT_MANAGE | SL_RIGHT_ADMIN);
}

/* What the application has used of its volume in this period. The ledger's last day and month may be over. */
static int64_t used_of(const struct gateway *gateway, const struct gw_market_subscription *subscription,
                       int64_t now_ms)
{
    struct gw_volumes volumes = {0};
    int64_t hour = now_ms / GW_HOUR_MS;
    gw_ledger_volumes(gateway->ledger, subscription->application, subscription->hrn, &volumes);
    if (subscription->terms.period == GW_PERIOD_ALL)
        return volumes.all;
    if (subscription->terms.period == GW_PERIOD_MONTH)
        return volumes.hour >= gw_month_of(hour, 0) ? volumes.month : 0;
    return volumes.hour / 24 >= hour / 24 ? volumes.day : 0;
}

/* *used: what is counted of the volume, where there is one. */
static bool is_used_up(const struct gateway *gateway, const struct gw_market_subscription *subscription,
                       int64_t now_ms, int64_t *used)
{
    *used = subscription->terms.volume ? used_of(gateway, subscription, now_ms) : 0;
    return subscription->terms.volume && *used >= subscription->terms.volume;
}

unsigned gw_delivery_rights(const struct gateway *gateway, const struct gw_account *account, const char *hrn,
                            bool marketplace)
{
    unsigned rights = gw_account_rights(account, hrn);
    if (!marketplace || rights & SL_RIGHT_MANAGE)
        return rights;
    struct gw_market_subscription *subscription = gw_market_find(gateway->market, account->id, hrn);
    int64_t now_ms = sl_wall_ms(), used;
    bool current = gw_market_standing(subscription, now_ms) == GW_STANDING_CURRENT;
    if (current && atomic_load_explicit(&gateway->keeps_volume, memory_order_relaxed))
        current = !is_used_up(gateway, subscription, now_ms, &used);
    gw_market_unlink(subscription);
    return (rights & ~(unsigned)SL_RIGHT_READ) | (current ? SL_RIGHT_READ : 0);
}

/* "has used 12 of the 10 bytes that its Marketplace subscription to HRN allows a day". */
#define USED_TEXT 500
static void used_text(const struct gw_market_subscription *subscription, int64_t used, char out[USED_TEXT])
{
    static const char *const periods[] = {"in all", "a month", "a day"}; /* in the order of enum gw_period */
    snprintf(out, USED_TEXT,
             "has used %lld of the %lld bytes that its Marketplace subscription to %.300s allows %s",
             (long long)used, (long long)subscription->terms.volume, subscription->hrn,
             periods[subscription->terms.period]);
}

static void refuse_volume(struct gw_request *request, const struct gw_account *account,
                          const struct gw_market_subscription *subscription, int64_t now_ms, int64_t used)
{
    char text[USED_TEXT], action[200] = "ask the catalog's provider for more", next[32];
    int64_t hour = now_ms / GW_HOUR_MS;
    used_text(subscription, used, text);
    if (subscription->terms.period != GW_PERIOD_ALL) {
        gw_time_text(
            (subscription->terms.period == GW_PERIOD_MONTH ? gw_month_of(hour, 1) : (hour / 24 + 1) * 24) *
                GW_HOUR_MS,
            next);
        snprintf(action, sizeof action, "wait until %s, or ask the catalog's provider for more", next);
    }
    gw_respond_errorf(request, 403, "marketplace-volume-used", action, "the application %s (%s) %s",
                      account->name, account->id, text);
}

static void refuse(struct gw_request *request, const struct gw_account *account, const char *hrn,
                   const struct gw_market_subscription *subscription, enum gw_standing standing)
{
    char when[32], action[700];
    snprintf(action, sizeof action,
             "ask the catalog's provider for one: whoever manages it gives it (streamlayer marketplace "
             "subscribe %.64s %.300s)",
             account->name, hrn);
    if (subscription)
        gw_time_text(
            standing == GW_STANDING_EARLY ? subscription->terms.from_ms : subscription->terms.until_ms, when);
    if (standing == GW_STANDING_EARLY)
        gw_respond_errorf(request, 403, "marketplace-subscription-not-begun",
                          "wait until then, or ask the catalog's provider for a sooner begin",
                          "the Marketplace subscription of the application %s (%s) to %.300s begins at %s",
                          account->name, account->id, hrn, when);
    else if (standing == GW_STANDING_ENDED)
        gw_respond_errorf(request, 403, "marketplace-subscription-ended", action,
                          "the Marketplace subscription of the application %s (%s) to %.300s ended at %s",
                          account->name, account->id, hrn, when);
    else
        gw_respond_errorf(request, 403, "marketplace-not-subscribed", action,
                          "%.300s is on the Marketplace, and the application %s (%s) has no Marketplace "
                          "subscription to it, without which a right to read gives nothing",
                          hrn, account->name, account->id);
}

bool gw_market_refuses(struct gw_request *request, const struct gw_account *account, const char *hrn)
{
    const struct gateway *gateway = gw_request_opaque(request);
    if (gw_account_rights(account, hrn) & SL_RIGHT_MANAGE)
        return false; /* its provider, who lacks the right to read */
    struct gw_market_subscription *subscription = gw_market_find(gateway->market, account->id, hrn);
    int64_t now_ms = sl_wall_ms(), used;
    enum gw_standing standing = gw_market_standing(subscription, now_ms);
    bool refuses = standing != GW_STANDING_CURRENT;
    if (refuses)
        refuse(request, account, hrn, subscription, standing);
    else if ((refuses = is_used_up(gateway, subscription, now_ms, &used)))
        refuse_volume(request, account, subscription, now_ms, used);
    gw_market_unlink(subscription);
    return refuses;
}

void gw_market_warn(struct gw_request *request, const char *hrn)
{
    const struct gateway *gateway = gw_request_opaque(request);
    const struct gw_account *account = gw_request_account(request);
    if (atomic_load_explicit(&gateway->keeps_volume, memory_order_relaxed))
        return; /* it is refused instead */
    struct gw_market_subscription *subscription = gw_market_find(gateway->market, account->id, hrn);
    char text[USED_TEXT], warning[USED_TEXT + 40];
    int64_t used;
    if (subscription && is_used_up(gateway, subscription, sl_wall_ms(), &used)) {
        used_text(subscription, used, text);
        snprintf(warning, sizeof warning, "199 - \"the application %s\"", text);
        gw_respond_header(request, "Warning", warning);
    }
    gw_market_unlink(subscription);
}

struct gw_market_flow *gw_market_flow(const struct gw_request *request, const struct gw_layer *layer)
{
    const struct gateway *gateway = gw_request_opaque(request);
    const struct gw_account *account = gw_request_account(request);
    if (!layer->marketplace || !account || gw_account_rights(account, layer->hrn) & SL_RIGHT_MANAGE)
        return NULL;
    struct gw_market_subscription *subscription = gw_market_find(gateway->market, account->id, layer->hrn);
    struct gw_market_flow *flow = subscription ? gw_market_flow_link(subscription->flow) : NULL;
    gw_market_unlink(subscription);
    return flow;
}
