/* From a path's segments to a route. Built once, then read by all loops. */
#ifndef GW_HTTP_ROUTER_H
#define GW_HTTP_ROUTER_H

#include "gateway/http/server.h"

#define GW_SEGMENTS_MAX   16 /* segments in a path; a longer one matches nothing */
#define GW_PARAMETERS_MAX 6  /* parameters in a pattern */

struct gw_router;

/* A route with its pattern taken apart. */
struct gw_compiled_route {
    const struct gw_route *route;
    size_t index; /* in the table that the router was made of */
    unsigned parameters;
    struct {
        const char *name; /* into the pattern */
        unsigned length, segment;
    } parameter[GW_PARAMETERS_MAX];
};

/* The routes that share a pattern's shape: one a method. */
struct gw_router_leaf {
    const struct gw_compiled_route **routes;
    size_t count;
};

/* routes are borrowed. Errors: SL_INTERNAL (a pattern that is no pattern, or twice the same),
 * SL_OUT_OF_MEMORY. */
sl_status gw_router_create(const struct gw_route *routes, size_t count, struct gw_router **out,
                           sl_error *error);
void gw_router_destroy(struct gw_router **router);

/*
 * Splits a path in place at its slashes and percent-decodes each segment. Returns how many, 0 when there are
 * more than GW_SEGMENTS_MAX, -1 when it is malformed: a broken escape, a NUL, or no UTF-8.
 */
int gw_path_split(char *path, const char *segments[GW_SEGMENTS_MAX]);

/* The routes of a path, whatever their method; NULL when there are none. */
const struct gw_router_leaf *gw_router_find(const struct gw_router *router, const char *const *segments,
                                            int count);
/* The leaf's route for method, HEAD being GET's; NULL when it has none. */
const struct gw_compiled_route *gw_leaf_route(const struct gw_router_leaf *leaf, const char *method);
/* "GET, HEAD, OPTIONS". */
bool gw_leaf_methods(const struct gw_router_leaf *leaf, struct sl_buffer *text);

#endif
