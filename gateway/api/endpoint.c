/* GET …/endpoint: what an application needs to reach the layer's topic in Kafka itself. */
#include "gateway/gateway_internal.h"

#include <stdio.h>

#define LAYER "/stream/v2/catalogs/{hrn}/layers/{layer}"

/* What is on the Marketplace is read over HTTP, where it is counted; to be written it need not be. */
static void refuse_market(struct gw_request *request, const struct gw_layer *layer)
{
    char action[600];
    snprintf(action, sizeof action,
             "set connector.consumer to \"http-connector\", below here.platform.data-client.stream for every "
             "layer, or below here.platform.data-client.stream.layers.\"%s\".\"*\" for this catalog's",
             layer->hrn);
    gw_respond_errorf(request, 403, "marketplace-needs-http", action,
                      "catalog %s is on the Marketplace: its consumption is counted, so it is read through "
                      "the http-connector only",
                      layer->hrn);
}

static void respond(struct gw_request *request, bool producer)
{
    struct gateway *gateway = gw_request_opaque(request);
    struct gw_layer *layer = gw_request_layer(request);
    if (!layer)
        return;
    struct sl_endpoint endpoint;
    if (layer->marketplace && !producer) {
        refuse_market(request, layer);
    } else if (gw_broker_endpoint(gw_layer_broker(gateway, layer), layer->topic, layer->ttl_ms,
                                  gw_request_application(request), &endpoint)) {
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
    } else {
        gw_respond_json(request, 200, sl_endpoint_json(&endpoint));
        sl_endpoint_free(&endpoint);
    }
    gw_layer_unlink(layer);
}

static void handle(struct gw_request *request)
{
    respond(request, false);
}

static void handle_producer(struct gw_request *request)
{
    respond(request, true);
}

const struct gw_route gw_endpoint_routes[] = {
    {.method = "GET",
     .pattern = LAYER "/endpoint",
     .access = GW_ACCESS_ANY,
     .handle = handle,
     .name = "stream.endpoint"},
    {.method = "GET",
     .pattern = LAYER "/producer/endpoint",
     .access = GW_ACCESS_WRITE,
     .handle = handle_producer,
     .name = "stream.endpoint"},
    {.method = "GET",
     .pattern = LAYER "/consumer/endpoint",
     .access = GW_ACCESS_READ,
     .handle = handle,
     .name = "stream.endpoint"},
};
const size_t gw_endpoint_route_count = sizeof gw_endpoint_routes / sizeof *gw_endpoint_routes;
