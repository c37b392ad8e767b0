/* GET …/endpoint: what an application needs to reach the layer's topic in Kafka itself. Where Kafka keeps the
 * layer's throughput, the first such call has it give the application its part, for which it waits on a
 * worker. */
#include "gateway/gateway_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYER "/stream/v2/catalogs/{hrn}/layers/{layer}"

struct endpoint_call {
    struct gw_job job; /* first */
    struct gw_request *request;
    struct gateway *gateway;
    struct gw_layer *layer; /* linked */
    int64_t until_ms;
};

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

/* Takes the layer. */
static void respond(struct gateway *gateway, struct gw_request *request, struct gw_layer *layer)
{
    struct sl_endpoint endpoint;
    if (gw_broker_endpoint(gw_layer_broker(gateway, layer), layer->topic, layer->ttl_ms,
                           gw_request_application(request), &endpoint)) {
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
    } else {
        gw_respond_json(request, 200, sl_endpoint_json(&endpoint));
        sl_endpoint_free(&endpoint);
    }
    gw_layer_unlink(layer);
}

/* What Kafka does not take now it takes later; until then the application has what any client id has. */
static void run(struct gw_job *job)
{
    struct endpoint_call *call = (struct endpoint_call *)job;
    gw_acl_settle(call->gateway->acls, call->layer->cluster, call->until_ms, NULL);
    respond(call->gateway, call->request, call->layer);
    free(call);
}

static void handle(struct gw_request *request, bool in, bool out)
{
    struct gateway *gateway = gw_request_opaque(request);
    struct gw_layer *layer = gw_request_layer(request);
    if (!layer)
        return;
    if (layer->marketplace && out) {
        refuse_market(request, layer);
        gw_layer_unlink(layer);
        return;
    }
    in &= gw_request_may(request, SL_RIGHT_WRITE);
    out &= gw_request_may(request, SL_RIGHT_READ);
    struct endpoint_call *call = NULL;
    if (gw_acl_ask(gateway->acls, layer, gw_request_account(request), in, out))
        call = malloc(sizeof *call);
    if (!call) {
        respond(gateway, request, layer);
        return;
    }
    *call = (struct endpoint_call){.job.run = run,
                                   .request = request,
                                   .gateway = gateway,
                                   .layer = layer,
                                   .until_ms = gw_kafka_deadline_ms(gateway)};
    gw_work_post(gateway->workers, gw_request_application(request), &call->job);
}

static void handle_any(struct gw_request *request)
{
    handle(request, true, true);
}

static void handle_producer(struct gw_request *request)
{
    handle(request, true, false);
}

static void handle_consumer(struct gw_request *request)
{
    handle(request, false, true);
}

const struct gw_route gw_endpoint_routes[] = {
    {.method = "GET",
     .pattern = LAYER "/endpoint",
     .access = GW_ACCESS_ANY,
     .handle = handle_any,
     .name = "stream.endpoint"},
    {.method = "GET",
     .pattern = LAYER "/producer/endpoint",
     .access = GW_ACCESS_WRITE,
     .handle = handle_producer,
     .name = "stream.endpoint"},
    {.method = "GET",
     .pattern = LAYER "/consumer/endpoint",
     .access = GW_ACCESS_READ,
     .handle = handle_consumer,
     .name = "stream.endpoint"},
};
const size_t gw_endpoint_route_count = sizeof gw_endpoint_routes / sizeof *gw_endpoint_routes;
