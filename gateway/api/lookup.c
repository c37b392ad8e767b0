/* lookup v1: which APIs there are, and where. Served at /lookup/v1 and at the root: SDKs ask either. */
#include "gateway/gateway_internal.h"

#include "wire/hrn.h"

#include <stdlib.h>
#include <string.h>

/* What is served, and what stands before /layers or /catalogs in its URLs. */
static const struct api {
    const char *name, *version, *path;
    bool of_catalog; /* its URL goes on with the catalog's HRN */
    bool ours;       /* there with our extensions only */
} apis[] = {
    {"config", "v1", "/config/v1", false, false},
    {"blob", "v1", "/blob/v1/catalogs/", true, false},
    {"ingest", "v1", "/ingest/v1/catalogs/", true, false},
    {"publish", "v2", "/publish/v2/catalogs/", true, false},
    {"stream", "v2", "/stream/v2/catalogs/", true, false},
    {"usage", "v1", "/usage/v1", false, true},
};

static json_t *entry(const struct api *api, const char *public_url, const char *hrn, bool extended)
{
    json_t *parameters = extended ? json_pack("{s:s}", "streamlayer", "1") : json_object();
    return json_pack("{s:s, s:s, s:s++, s:o}", "api", api->name, "version", api->version, "baseURL",
                     public_url, api->path, api->of_catalog ? hrn : "", "parameters", parameters);
}

/* hrn NULL: the platform's own. */
static json_t *entries(const char *public_url, const char *hrn, const char *name, const char *version,
                       bool extended)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof apis / sizeof *apis && list; i++) {
        const struct api *api = &apis[i];
        if ((api->of_catalog && !hrn) || (api->ours && !extended) ||
            (name && (strcmp(api->name, name) || strcmp(api->version, version))))
            continue;
        if (json_array_append_new(list, entry(api, public_url, hrn, extended))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static void answer(struct gw_request *request, const char *hrn)
{
    const struct gateway *gateway = gw_request_opaque(request);
    const char *name = gw_request_parameter(request, "api"),
               *version = gw_request_parameter(request, "version");
    struct sl_buffer url;
    sl_buffer_init(&url, 1000);
    json_t *list = gw_request_public_url(request, &url)
                       ? entries(url.data, hrn, name, version, gateway->extended)
                       : NULL;
    sl_buffer_free(&url);
    if (list && !json_array_size(list)) { /* only where one was asked for */
        json_decref(list);
        gw_respond_errorf(request, 404, "no-such-api", "look at …/apis for the APIs that there are",
                          "the API %s %s is not served", name, version);
        return;
    }
    gw_respond_header(request, "Cache-Control", "max-age=3600");
    gw_respond_json(request, 200, list);
}

static void platform_apis(struct gw_request *request)
{
    answer(request, NULL);
}

static void catalog_apis(struct gw_request *request)
{
    struct gateway *gateway = gw_request_opaque(request);
    const char *hrn = gw_request_parameter(request, "hrn");
    sl_error error;
    if (gw_catalogs_exists(gateway->catalogs, hrn))
        answer(request, hrn);
    else if (sl_hrn_check(hrn, &error))
        gw_respond_error(request, 404, "no-such-catalog", error.text,
                         "name the catalog by its HRN (streamlayer catalog list)");
    else
        gw_respond_errorf(request, 404, "no-such-catalog",
                          "create the catalog first (streamlayer catalog create, or POST "
                          "/config/v1/catalogs), or correct its HRN",
                          "there is no catalog %s", hrn);
}

#define LOOKUP(at, access_, handler)                                                                         \
    {                                                                                                        \
        .method = "GET", .pattern = (at), .access = (access_), .handle = (handler), .name = "lookup"         \
    }

const struct gw_route gw_lookup_routes[] = {
    LOOKUP("/lookup/v1/resources/{hrn}/apis", GW_ACCESS_ANY, catalog_apis),
    LOOKUP("/lookup/v1/resources/{hrn}/apis/{api}/{version}", GW_ACCESS_ANY, catalog_apis),
    LOOKUP("/lookup/v1/platform/apis", GW_ACCESS_NONE, platform_apis),
    LOOKUP("/lookup/v1/platform/apis/{api}/{version}", GW_ACCESS_NONE, platform_apis),
    LOOKUP("/resources/{hrn}/apis", GW_ACCESS_ANY, catalog_apis),
    LOOKUP("/resources/{hrn}/apis/{api}/{version}", GW_ACCESS_ANY, catalog_apis),
    LOOKUP("/platform/apis", GW_ACCESS_NONE, platform_apis),
    LOOKUP("/platform/apis/{api}/{version}", GW_ACCESS_NONE, platform_apis),
};
const size_t gw_lookup_route_count = sizeof gw_lookup_routes / sizeof *gw_lookup_routes;
