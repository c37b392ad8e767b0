/*
 * usage v1: what a question names must be there, or have been used, as far as the caller may know: a name
 * that is misspelt is no usage of 0. To who may not know, what is there is as if it were not.
 */
#include "gateway/api/usage.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

struct search {
    const char *name;
    char *id;
};

static void look_at(void *opaque, const struct gw_account *account)
{
    struct search *search = opaque;
    if (!search->id && !strcmp(account->name, search->name))
        search->id = strdup(account->id);
}

char *gw_usage_application(const struct gateway *gateway, const char *named)
{
    struct search search = {.name = named};
    gw_access_each(gateway->access, look_at, &search);
    return search.id ? search.id : strdup(named);
}

static bool found(void *opaque, const struct gw_usage_line *line)
{
    (void)line;
    *(bool *)opaque = true;
    return false;
}

/* Whether the ledger has anything of that which the caller may see. */
static sl_status used(const struct gw_usage_call *call, const char *application, const char *hrn,
                      const char *layer, bool *any, sl_error *error)
{
    const struct gw_usage_filter filter = {.application = application,
                                           .hrn = hrn,
                                           .layer = layer,
                                           .viewer = call->filter.viewer,
                                           .catalogs = call->filter.catalogs,
                                           .from_hour = 0,
                                           .to_hour = INT64_MAX};
    *any = false;
    return gw_ledger_read_usage(call->gateway->ledger, &filter, NULL, found, any, error);
}

static bool sees_all(const struct gw_usage_call *call)
{
    return !call->filter.viewer;
}

/* Whether the caller manages a catalog that the application has a Marketplace subscription to. */
static bool subscribes(const struct gw_usage_call *call, const char *application)
{
    const struct gw_account *account = gw_request_account(call->request);
    bool any = false;
    for (size_t i = 0; i < account->grant_count && !any; i++) {
        if (!(account->grants[i].rights & SL_RIGHT_MANAGE))
            continue;
        struct gw_market_subscription *subscription =
            gw_market_find(call->gateway->market, application, account->grants[i].hrn);
        any = subscription != NULL;
        gw_market_unlink(subscription);
    }
    return any;
}

static sl_status knows_application(const struct gw_usage_call *call, bool *known, sl_error *error)
{
    const char *id = call->filter.application;
    struct gw_account *account = gw_access_find(call->gateway->access, id);
    *known = !strcmp(id, gw_request_account(call->request)->id) || (account && sees_all(call)) ||
             (account && subscribes(call, id));
    gw_account_unlink(account);
    return *known ? SL_OK : used(call, id, NULL, NULL, known, error);
}

static bool may_look(const struct gw_usage_call *call, const char *hrn)
{
    return sees_all(call) ||
           gw_looking_rights(call->gateway, gw_request_account(call->request), hrn) & SL_RIGHTS_CATALOG;
}

/* That one is on the Marketplace is no secret. */
static sl_status knows_catalog(const struct gw_usage_call *call, bool *known, sl_error *error)
{
    const char *hrn = call->filter.hrn;
    *known = gw_on_marketplace(call->gateway, hrn) ||
             (gw_catalogs_exists(call->gateway->catalogs, hrn) && may_look(call, hrn));
    return *known ? SL_OK : used(call, NULL, hrn, NULL, known, error);
}

struct layer_search {
    const struct gw_usage_call *call;
    bool found;
};

static void look_at_layer(void *opaque, const struct gw_layer *layer)
{
    struct layer_search *search = opaque;
    const struct gw_usage_filter *filter = &search->call->filter;
    search->found = search->found || (!strcmp(layer->id, filter->layer) &&
                                      (!filter->hrn || !strcmp(layer->hrn, filter->hrn)) &&
                                      may_look(search->call, layer->hrn));
}

static sl_status knows_layer(const struct gw_usage_call *call, bool *known, sl_error *error)
{
    struct layer_search search = {.call = call};
    gw_catalogs_each_layer(call->gateway->catalogs, look_at_layer, &search);
    *known = search.found;
    return *known ? SL_OK : used(call, NULL, call->filter.hrn, call->filter.layer, known, error);
}

bool gw_usage_known(const struct gw_usage_call *call)
{
    static const struct {
        const char *code, *noun, *action;
        sl_status (*knows)(const struct gw_usage_call *call, bool *known, sl_error *error);
    } kinds[] = {
        {"no-such-catalog", "catalog", "correct the catalog's HRN (streamlayer catalog list)", knows_catalog},
        {"no-such-layer", "layer", "correct the layer's id (streamlayer layer list)", knows_layer},
        {"no-such-application", "application", "correct the application's name or id", knows_application}};
    const char *const named[] = {call->filter.hrn, call->filter.layer,
                                 gw_request_query(call->request, "application")};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        sl_error error = {0};
        bool known = true;
        if (named[i] && kinds[i].knows(call, &known, &error)) {
            gw_usage_fail(call->request, &error);
            return false;
        }
        if (!known) {
            gw_respond_errorf(call->request, 404, kinds[i].code, kinds[i].action,
                              "there is no %s \"%.300s\", nor usage of one, that the application may see",
                              kinds[i].noun, named[i]);
            return false;
        }
    }
    return true;
}
