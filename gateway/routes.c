/* The table of all APIs' routes. */
#include "gateway/gateway_internal.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct table {
    const struct gw_route *routes;
    const size_t *count;
} tables[] = {
    {gw_ingest_routes, &gw_ingest_route_count},       {gw_stream_routes, &gw_stream_route_count},
    {gw_endpoint_routes, &gw_endpoint_route_count},   {gw_config_routes, &gw_config_route_count},
    {gw_layer_routes, &gw_layer_route_count},         {gw_lookup_routes, &gw_lookup_route_count},
    {gw_token_routes, &gw_token_route_count},         {gw_status_routes, &gw_status_route_count},
    {gw_group_routes, &gw_group_route_count},         {gw_blob_routes, &gw_blob_route_count},
    {gw_publish_routes, &gw_publish_route_count},     {gw_application_routes, &gw_application_route_count},
    {gw_token_key_routes, &gw_token_key_route_count}, {gw_acl_routes, &gw_acl_route_count},
    {gw_market_routes, &gw_market_route_count},       {gw_usage_routes, &gw_usage_route_count},
};
#define TABLES (sizeof tables / sizeof *tables)

/* Who may call it must be said: rights on a catalog of what names one, rights on the platform of what does
 * not, or any application, or everybody. */
static bool says_who(const struct gw_route *route)
{
    bool names_catalog = strstr(route->pattern, "/{hrn}") != NULL;
    unsigned access = route->access;
    if (route->flags & GW_ROUTE_PUBLIC)
        return !access;
    if (access & GW_ACCESS_DELIVERY && access & GW_ACCESS_READ)
        access &= ~(unsigned)GW_ACCESS_DELIVERY;
    return access == GW_ACCESS_NONE || (access && !(access & ~(unsigned)SL_RIGHTS_ALL) &&
                                        !(access & SL_RIGHTS_CATALOG) == !names_catalog);
}

sl_status gw_routes_join(bool extended, struct gw_route **routes, size_t *count, sl_error *error)
{
    size_t most = 0;
    *count = 0;
    for (size_t i = 0; i < TABLES; i++)
        most += *tables[i].count;
    struct gw_route *place = *routes = calloc(most, sizeof **routes);
    if (!place)
        return sl_error_oom(error);
    for (size_t i = 0; i < TABLES; i++)
        for (size_t k = 0; k < *tables[i].count; k++) {
            const struct gw_route *route = &tables[i].routes[k];
            if (!says_who(route))
                return sl_error_set(error, SL_INTERNAL, "the route %s %s does not say who may call it",
                                    route->method, route->pattern);
            if (extended || !(route->flags & GW_ROUTE_EXTENSION))
                *place++ = *route;
        }
    *count = (size_t)(place - *routes);
    return SL_OK;
}

bool gw_routes_print(FILE *out)
{
    char rights[SL_RIGHTS_TEXT];
    for (size_t i = 0; i < TABLES; i++)
        for (size_t k = 0; k < *tables[i].count; k++) {
            const struct gw_route *route = &tables[i].routes[k];
            const char *who = sl_rights_text(route->access & SL_RIGHTS_ALL, rights);
            if (route->flags & GW_ROUTE_PUBLIC)
                who = "public";
            else if (route->access == GW_ACCESS_NONE)
                who = "any";
            fprintf(out, "%s %s %s\n", route->method, route->pattern, who);
        }
    return !fflush(out);
}
