#include "gateway/http/router.h"

#include "base/error.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* One segment's place in the tree. Children that are literal come before the one that is a parameter. */
struct node {
    char *literal; /* NULL: a parameter, or the root */
    struct node **literals;
    size_t literal_count;
    struct node *parameter;
    struct gw_router_leaf leaf;
};

struct gw_router {
    struct node root;
    struct gw_compiled_route *compiled;
    size_t count;
};

static void node_free(struct node *node)
{
    for (size_t i = 0; i < node->literal_count; i++) {
        node_free(node->literals[i]);
        free(node->literals[i]);
    }
    if (node->parameter) {
        node_free(node->parameter);
        free(node->parameter);
    }
    free(node->literals);
    free(node->literal);
    free(node->leaf.routes);
}

static struct node *find_literal(const struct node *node, const char *text, size_t length)
{
    for (size_t i = 0; i < node->literal_count; i++) {
        struct node *child = node->literals[i];
        if (!strncmp(child->literal, text, length) && !child->literal[length])
            return child;
    }
    return NULL;
}

static struct node *add_literal(struct node *node, const char *text, size_t length)
{
    struct node *child = find_literal(node, text, length);
    if (child)
        return child;
    struct node **literals = realloc(node->literals, (node->literal_count + 1) * sizeof *literals);
    if (!literals)
        return NULL;
    node->literals = literals;
    child = calloc(1, sizeof *child);
    if (!child || !(child->literal = strndup(text, length))) {
        free(child);
        return NULL;
    }
    literals[node->literal_count++] = child;
    return child;
}

static sl_status add_leaf(struct node *node, const struct gw_compiled_route *compiled, sl_error *error)
{
    const struct gw_route *route = compiled->route;
    for (size_t i = 0; i < node->leaf.count; i++)
        if (!strcmp(node->leaf.routes[i]->route->method, route->method))
            return sl_error_set(error, SL_INTERNAL, "route %s %s is there twice", route->method,
                                route->pattern);
    const struct gw_compiled_route **routes =
        realloc(node->leaf.routes, (node->leaf.count + 1) * sizeof *routes);
    if (!routes)
        return sl_error_oom(error);
    node->leaf.routes = routes;
    routes[node->leaf.count++] = compiled;
    return SL_OK;
}

static sl_status add_route(struct gw_router *router, struct gw_compiled_route *compiled, sl_error *error)
{
    const char *pattern = compiled->route->pattern;
    struct node *node = &router->root;
    unsigned segment = 0;
    for (const char *c = pattern; *c; segment++) {
        size_t length = strcspn(++c, "/");
        bool parameter = length > 2 && c[0] == '{' && c[length - 1] == '}';
        if (c[-1] != '/' || segment == GW_SEGMENTS_MAX ||
            (parameter && compiled->parameters == GW_PARAMETERS_MAX))
            return sl_error_set(error, SL_INTERNAL, "the route pattern %s is malformed", pattern);
        if (parameter) {
            compiled->parameter[compiled->parameters].name = c + 1;
            compiled->parameter[compiled->parameters].length = (unsigned)length - 2;
            compiled->parameter[compiled->parameters++].segment = segment;
            if (!node->parameter)
                node->parameter = calloc(1, sizeof *node->parameter);
            node = node->parameter;
        } else {
            node = add_literal(node, c, length);
        }
        if (!node)
            return sl_error_oom(error);
        c += length;
    }
    return add_leaf(node, compiled, error);
}

sl_status gw_router_create(const struct gw_route *routes, size_t count, struct gw_router **out,
                           sl_error *error)
{
    struct gw_router *router = calloc(1, sizeof *router);
    if (!router)
        return sl_error_oom(error);
    router->compiled = calloc(count ? count : 1, sizeof *router->compiled);
    router->count = count;
    sl_status status = router->compiled ? SL_OK : sl_error_oom(error);
    for (size_t i = 0; i < count && !status; i++) {
        router->compiled[i].route = &routes[i];
        router->compiled[i].index = i;
        status = add_route(router, &router->compiled[i], error);
    }
    if (status)
        gw_router_destroy(&router);
    *out = router;
    return status;
}

void gw_router_destroy(struct gw_router **router)
{
    if (!*router)
        return;
    node_free(&(*router)->root);
    free((*router)->compiled);
    free(*router);
    *router = NULL;
}

int gw_path_split(char *path, const char *segments[GW_SEGMENTS_MAX])
{
    int count = 0;
    if (*path != '/')
        return -1;
    for (char *c = path; c;) {
        char *segment = ++c;
        c = strchr(c, '/');
        if (c)
            *c = 0;
        if (count == GW_SEGMENTS_MAX)
            return 0;
        /* Escapes end after splitting, so %2F is a slash inside a segment. */
        long size = sl_percent_decode(segment);
        if (size < 0 || memchr(segment, 0, (size_t)size) || sl_utf8_length(segment, (size_t)size) < 0)
            return -1;
        segments[count++] = segment;
    }
    return count;
}

static const struct gw_router_leaf *find(const struct node *node, const char *const *segments, int count)
{
    if (!count)
        return node->leaf.count ? &node->leaf : NULL;
    const struct node *child = find_literal(node, *segments, strlen(*segments));
    const struct gw_router_leaf *leaf = child ? find(child, segments + 1, count - 1) : NULL;
    if (!leaf && node->parameter && **segments)
        leaf = find(node->parameter, segments + 1, count - 1);
    return leaf;
}

const struct gw_router_leaf *gw_router_find(const struct gw_router *router, const char *const *segments,
                                            int count)
{
    return count > 0 ? find(&router->root, segments, count) : NULL;
}

const struct gw_compiled_route *gw_leaf_route(const struct gw_router_leaf *leaf, const char *method)
{
    const struct gw_compiled_route *get = NULL;
    for (size_t i = 0; i < leaf->count; i++) {
        if (!strcmp(leaf->routes[i]->route->method, method))
            return leaf->routes[i];
        if (!strcmp(leaf->routes[i]->route->method, "GET"))
            get = leaf->routes[i];
    }
    return strcmp(method, "HEAD") ? NULL : get;
}

bool gw_leaf_methods(const struct gw_router_leaf *leaf, struct sl_buffer *text)
{
    for (size_t i = 0; i < leaf->count; i++) {
        const char *method = leaf->routes[i]->route->method;
        sl_buffer_printf(text, "%s, ", method);
        if (!strcmp(method, "GET"))
            sl_buffer_append_text(text, "HEAD, ");
    }
    return sl_buffer_append_text(text, "OPTIONS") && !text->failed;
}
