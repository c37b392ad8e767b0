#include "support/cases.h"

#include <string.h>

#include "gateway/http/router.h"

static void none(struct gw_request *request)
{
    (void)request;
}

static const struct gw_route routes[] = {
    {.method = "GET", .pattern = "/health", .handle = none, .name = "health"},
    {.method = "GET", .pattern = "/c/{hrn}", .handle = none, .name = "catalog"},
    {.method = "DELETE", .pattern = "/c/{hrn}", .handle = none, .name = "catalog.delete"},
    {.method = "GET", .pattern = "/c/{hrn}/layers/{layer}/partitions", .handle = none, .name = "poll"},
    {.method = "GET", .pattern = "/c/special/layers", .handle = none, .name = "special"},
    {.method = "GET", .pattern = "/c/{hrn}/{what}", .handle = none, .name = "what"},
};

/* The name of the route that a path leads to, or why there is none. */
static const char *lead(const char *method, const char *path, struct gw_router *router)
{
    char copy[200];
    const char *segments[GW_SEGMENTS_MAX];
    strcpy(copy, path);
    int count = gw_path_split(copy, segments);
    if (count < 0)
        return "malformed";
    const struct gw_router_leaf *leaf = gw_router_find(router, segments, count);
    if (!leaf)
        return "nothing";
    const struct gw_compiled_route *route = gw_leaf_route(leaf, method);
    return route ? route->route->name : "wrong method";
}

static struct gw_router *make(void)
{
    struct gw_router *router;
    assert_int_equal(gw_router_create(routes, sizeof routes / sizeof *routes, &router, NULL), SL_OK);
    return router;
}

static void paths_lead_to_their_routes(void **state)
{
    (void)state;
    struct gw_router *router = make();
    assert_string_equal(lead("GET", "/health", router), "health");
    assert_string_equal(lead("HEAD", "/health", router), "health");
    assert_string_equal(lead("POST", "/health", router), "wrong method");
    assert_string_equal(lead("GET", "/health/", router), "nothing");
    assert_string_equal(lead("GET", "/heal", router), "nothing");
    assert_string_equal(lead("GET", "/healthy", router), "nothing");
    assert_string_equal(lead("GET", "/", router), "nothing");
    assert_string_equal(lead("DELETE", "/c/hrn:here:data::local:a", router), "catalog.delete");
    assert_string_equal(lead("GET", "/c/x/layers/l/partitions", router), "poll");
    assert_string_equal(lead("GET", "/c/x/layers//partitions", router), "nothing");
    assert_string_equal(lead("GET", "/c/special/layers", router), "special");
    assert_string_equal(lead("GET", "/c/special/other", router), "what");
    assert_string_equal(lead("GET", "/c/special/layers/l/partitions", router), "poll");
    assert_string_equal(lead("GET", "/c/x/layers", router), "what");
    gw_router_destroy(&router);
}

static void segments_are_decoded_after_splitting(void **state)
{
    (void)state;
    char path[] = "/c/hrn%3Ahere%3adata::a%2Fb/%C3%A9";
    const char *segments[GW_SEGMENTS_MAX];
    assert_int_equal(gw_path_split(path, segments), 3);
    assert_string_equal(segments[1], "hrn:here:data::a/b");
    assert_string_equal(segments[2], "\xc3\xa9");
}

static void malformed_paths_are_refused(void **state)
{
    (void)state;
    struct gw_router *router = make();
    static const char *const bad[] = {"", "health", "/a%2", "/a%zz", "/a%00b", "/%ff", "*"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_string_equal(lead("GET", bad[i], router), "malformed");
    assert_string_equal(lead("GET", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r", router), "nothing");
    gw_router_destroy(&router);
}

static void methods_of_a_path_are_listed(void **state)
{
    (void)state;
    struct gw_router *router = make();
    const char *segments[] = {"c", "x"};
    struct sl_buffer text;
    sl_buffer_init(&text, 100);
    assert_true(gw_leaf_methods(gw_router_find(router, segments, 2), &text));
    assert_string_equal(text.data, "GET, HEAD, DELETE, OPTIONS");
    sl_buffer_free(&text);
    gw_router_destroy(&router);
}

static void a_route_there_twice_is_refused(void **state)
{
    (void)state;
    const struct gw_route twice[] = {{.method = "GET", .pattern = "/a/{b}", .handle = none, .name = "1"},
                                     {.method = "GET", .pattern = "/a/{c}", .handle = none, .name = "2"}};
    struct gw_router *router;
    assert_int_equal(gw_router_create(twice, 2, &router, NULL), SL_INTERNAL);
    assert_null(router);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(paths_lead_to_their_routes),
    cmocka_unit_test(segments_are_decoded_after_splitting),
    cmocka_unit_test(malformed_paths_are_refused),
    cmocka_unit_test(methods_of_a_path_are_listed),
    cmocka_unit_test(a_route_there_twice_is_refused))
