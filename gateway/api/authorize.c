/* Whether an application may do what it asks for: the one place where rights are looked at, and where what is
 * under way ends when they are taken. */
#include "base/text.h"
#include "gateway/api/publish.h"
#include "gateway/broker/subscriptions.h"
#include "gateway/gateway_internal.h"

#include <stdio.h>
#include <string.h>

static void release(void *account)
{
    gw_account_unlink(account);
}

/* What the path names, for rights on it; NULL: rights on the platform are asked for. */
static const char *object_of(const struct gw_request *request)
{
    return gw_request_parameter(request, "hrn");
}

/* It must not tell whether there is such a catalog. */
static void forbid(struct gw_request *request, const struct gw_account *account, unsigned access)
{
    const char *hrn = access & SL_RIGHTS_CATALOG ? object_of(request) : NULL;
    char rights[SL_RIGHTS_TEXT], action[700];
    unsigned wanted = access & (hrn ? SL_RIGHTS_CATALOG : SL_RIGHTS_PLATFORM);
    sl_rights_text(wanted, rights);
    bool several = strchr(rights, ',') != NULL;
    if (hrn)
        snprintf(action, sizeof action,
                 "ask whoever manages the catalog, or an administrator, for a grant%s (streamlayer grant %s "
                 "%.300s "
                 "%s), or correct the HRN",
                 several ? " of the one that it needs" : "", account->name, hrn, several ? "RIGHT" : rights);
    else
        snprintf(action, sizeof action,
                 "ask an administrator to do it, or for the right (streamlayer grant %s '*' %s)",
                 account->name, rights);
    gw_respond_errorf(request, 403, "forbidden", action, "the application %s (%s) has %s %s%s%.300s",
                      account->name, account->id, several ? "none of the rights" : "not the right", rights,
                      hrn ? " on " : "", hrn ? hrn : "");
}

static void refuse_rate(struct gw_request *request, const char *who, const char *name, int64_t per_second,
                        int64_t wait_ms)
{
    char cause[200];
    snprintf(cause, sizeof cause, "the %s %s sends more than %lld %s a second", who, name,
             (long long)per_second, sl_plural((size_t)per_second, "request", "requests"));
    gw_respond_error_after(
        request, 429, "too-many-requests", cause,
        "send again after the time that Retry-After gives, and more in one request; or raise "
        "streamlayer.gateway.limits.application-requests",
        (int)((wait_ms + 999) / 1000));
}

static int64_t rate_of(const struct gateway *gateway)
{
    return atomic_load_explicit(&gateway->application_requests, memory_order_relaxed);
}

bool gw_address_may_ask(struct gw_request *request)
{
    const struct gateway *gateway = gw_request_opaque(request);
    int64_t per_second = rate_of(gateway);
    int64_t wait_ms =
        per_second ? gw_rates_take(gateway->address_rates, gw_request_network(request), per_second) : 0;
    if (wait_ms) {
        char address[GW_ADDRESS_TEXT];
        gw_request_client_address(request, address);
        refuse_rate(request, "address", address, per_second, wait_ms);
    }
    return !wait_ms;
}

bool gw_account_may_ask(struct gw_request *request, struct gw_account *account)
{
    int64_t per_second = rate_of(gw_request_opaque(request));
    int64_t wait_ms = per_second ? gw_rate_take(&account->allowance->due_us, per_second) : 0;
    if (wait_ms)
        refuse_rate(request, "application", account->name, per_second, wait_ms);
    return !wait_ms;
}

enum gw_verdict gw_authorize(struct gw_request *request, struct gw_account *account, struct gw_caller *caller)
{
    const struct gateway *gateway = gw_request_opaque(request);
    const char *hrn = object_of(request);
    unsigned access = gw_request_route(request)->access;
    *caller = (struct gw_caller){.application = account->id, .holder = account, .release = release};
    if (!gw_account_may_ask(request, account))
        return GW_ANSWERED;
    unsigned rights = access & GW_ACCESS_DELIVERY && gw_on_marketplace(gateway, hrn)
                          ? gw_delivery_rights(gateway, account, hrn, true)
                          : gw_looking_rights(gateway, account, hrn);
    if (access & GW_ACCESS_NONE || access & rights)
        return GW_PASS;
    /* What is offered is no secret: who would read it is told what it takes. */
    if (!(access & GW_ACCESS_READ && gw_on_marketplace(gateway, hrn)) ||
        !gw_market_refuses(request, account, hrn))
        forbid(request, account, access);
    return GW_ANSWERED;
}

const struct gw_account *gw_request_account(const struct gw_request *request)
{
    return gw_request_caller(request)->holder;
}

bool gw_request_may(const struct gw_request *request, unsigned rights)
{
    const struct gw_account *account = gw_request_account(request);
    return account && rights & gw_account_rights(account, object_of(request));
}

bool gw_request_may_read(const struct gw_request *request, const struct gw_layer *layer)
{
    const struct gw_account *account = gw_request_account(request);
    return account &&
           gw_delivery_rights(gw_request_opaque(request), account, layer->hrn, layer->marketplace) &
               SL_RIGHT_READ;
}

const char *gw_request_blob_owner(const struct gw_request *request, const struct gw_layer *layer)
{
    return gw_request_may_read(request, layer) ? NULL : gw_request_application(request);
}

bool gw_request_still_reads(const struct gw_request *request)
{
    const struct gateway *gateway = gw_request_opaque(request);
    const struct gw_account *then = gw_request_account(request);
    struct gw_account *now = then ? gw_access_find(gateway->access, then->id) : NULL;
    const char *hrn = object_of(request);
    bool may = now && gw_delivery_rights(gateway, now, hrn, gw_on_marketplace(gateway, hrn)) & SL_RIGHT_READ;
    gw_account_unlink(now);
    return may;
}

/* Ending */

static bool may_write(const void *opaque, const char *hrn)
{
    const struct gw_account *account = opaque;
    return account && gw_account_rights(account, hrn) & SL_RIGHT_WRITE;
}

struct loss {
    struct gateway *gateway;
    const struct gw_account *before, *after;
};

static void end_layer(void *opaque, const struct gw_layer *layer)
{
    const struct loss *loss = opaque;
    unsigned lost = gw_delivery_rights(loss->gateway, loss->before, layer->hrn, layer->marketplace) &
                    ~gw_delivery_rights(loss->gateway, loss->after, layer->hrn, layer->marketplace);
    if (lost & SL_RIGHT_READ)
        gw_subscriptions_end(loss->gateway->subscriptions, loss->before->id, layer->key, GW_END_REVOKED);
}

void gw_authorize_changed(void *opaque, const struct gw_account *before, const struct gw_account *after)
{
    struct gateway *gateway = opaque;
    struct loss loss = {.gateway = gateway, .before = before, .after = after};
    gw_acl_note(gateway->acls);
    if (!before)
        return;
    gw_publications_end(gateway->publications, before->id, may_write, after);
    if (!after) {
        gw_subscriptions_end(gateway->subscriptions, before->id, NULL, GW_END_REVOKED);
        gw_market_refresh(gateway->market, NULL); /* else its subscriptions stay in memory, for nobody */
    } else {
        gw_catalogs_each_layer(gateway->catalogs, end_layer, &loss);
    }
}
