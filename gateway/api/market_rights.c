/* What Marketplace subscriptions allow: who may be handed what is in the layers of a catalog on the
 * Marketplace, how fast, and what is said to who may not. */
#include "base/time.h"
#include "gateway/gateway_internal.h"

#include <stdio.h>
#include <time.h>

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

unsigned gw_delivery_rights(const struct gateway *gateway, const struct gw_account *account, const char *hrn,
                            bool marketplace)
{
    unsigned rights = gw_account_rights(account, hrn);
    if (!marketplace || rights & SL_RIGHT_MANAGE)
        return rights;
    struct gw_market_subscription *subscription = gw_market_find(gateway->market, account->id, hrn);
    bool current = gw_market_standing(subscription, sl_wall_ms()) == GW_STANDING_CURRENT;
    gw_market_unlink(subscription);
    return (rights & ~(unsigned)SL_RIGHT_READ) | (current ? SL_RIGHT_READ : 0);
}

/* UTC, to the second. */
static void time_text(int64_t ms, char out[32])
{
    struct tm utc;
    time_t seconds = (time_t)(ms / 1000);
    if (!gmtime_r(&seconds, &utc) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc))
        snprintf(out, 32, "%lld ms", (long long)ms);
}

bool gw_market_refuses(struct gw_request *request, const struct gw_account *account, const char *hrn)
{
    const struct gateway *gateway = gw_request_opaque(request);
    if (gw_account_rights(account, hrn) & SL_RIGHT_MANAGE)
        return false; /* its provider, who lacks the right to read */
    struct gw_market_subscription *subscription = gw_market_find(gateway->market, account->id, hrn);
    char from[32], until[32], action[700];
    snprintf(action, sizeof action,
             "ask the catalog's provider for one: whoever manages it gives it (streamlayer marketplace "
             "subscribe %.64s %.300s)",
             account->name, hrn);
    enum gw_standing standing = gw_market_standing(subscription, sl_wall_ms());
    if (subscription) {
        time_text(subscription->terms.from_ms, from);
        time_text(subscription->terms.until_ms, until);
    }
    gw_market_unlink(subscription);
    if (standing == GW_STANDING_EARLY)
        gw_respond_errorf(request, 403, "marketplace-subscription-not-begun",
                          "wait until then, or ask the catalog's provider for a sooner begin",
                          "the Marketplace subscription of the application %s (%s) to %.300s begins at %s",
                          account->name, account->id, hrn, from);
    else if (standing == GW_STANDING_ENDED)
        gw_respond_errorf(request, 403, "marketplace-subscription-ended", action,
                          "the Marketplace subscription of the application %s (%s) to %.300s ended at %s",
                          account->name, account->id, hrn, until);
    else if (standing == GW_STANDING_NONE)
        gw_respond_errorf(request, 403, "marketplace-not-subscribed", action,
                          "%.300s is on the Marketplace, and the application %s (%s) has no Marketplace "
                          "subscription to it, without which a right to read gives nothing",
                          hrn, account->name, account->id);
    return standing != GW_STANDING_CURRENT;
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
