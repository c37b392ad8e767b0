/*
 * stream v2: routes and what they share. Every call on a subscription exists under two prefixes: the
 * catalog's, where the query names the subscription, and the subscription's own (nodeBaseURL).
 */
#include "gateway/api/stream.h"

#include "gateway/api/failures.h"
#include "gateway/api/metering.h"

#include <string.h>

#define CATALOG  "/stream/v2/catalogs/{hrn}"
#define NODE     CATALOG "/subscriptions/{subscription}"
#define BODY_MAX ((size_t)1 << 20)

bool gw_meet(struct gw_meeting *meeting, unsigned who)
{
    return atomic_fetch_or(&meeting->came, who) != 0;
}

struct gw_subscription *gw_stream_find(struct gw_request *request, struct gw_market_flow **flow)
{
    struct gateway *gateway = gw_request_opaque(request);
    struct gw_layer *layer = gw_request_layer(request);
    if (!layer)
        return NULL;
    const char *node = gw_request_parameter(request, "subscription");
    const char *id = gw_request_query(request, "subscriptionId");
    const char *consumer = gw_request_query(request, "consumerId");
    sl_error error;
    struct gw_subscription *found = gw_subscription_find(
        gateway->subscriptions, gw_request_application(request), layer, node, id, consumer, &error);
    if (flow)
        *flow = found ? gw_market_flow(request, layer) : NULL;
    gw_layer_unlink(layer);
    if (found)
        return found;
    if (error.status == SL_INVALID_ARGUMENT)
        gw_respond_error(request, 400, "bad-subscription-call", error.text,
                         "call under the nodeBaseURL that subscribe gave, or say which with consumerId");
    else
        gw_stream_fail(request, error.status, &error);
    return NULL;
}

void gw_stream_gone(struct gw_request *request, enum gw_end why, const sl_error *error)
{
    if (why == GW_END_LAYER_DELETED)
        gw_respond_error(request, 404, "no-such-layer", error->text,
                         "create the layer again, and subscribe to it; nothing of the old one is left");
    else if (why == GW_END_REVOKED)
        gw_respond_error(request, 403, "forbidden", error->text,
                         "ask whoever manages the catalog for the right to read it, and subscribe again");
    else
        gw_stream_fail(request, error->status, error);
}

void gw_stream_fail(struct gw_request *request, sl_status status, const sl_error *error)
{
    static const struct {
        sl_status status;
        struct gw_failure failure;
    } failures[] = {
        {SL_NOT_FOUND, {404, "no-such-subscription", "subscribe again"}},
        {SL_CONFLICT,
         {409, "partition-not-assigned",
          "name only partitions of messages that this consumer got, and poll on: what is not committed comes "
          "again, to whoever has the partition then"}},
    };
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (failures[i].status == status) {
            const struct gw_failure *failure = &failures[i].failure;
            gw_respond_error(request, failure->http, failure->code, error->text, failure->action);
            return;
        }
    const struct gw_failure *failure = gw_failure_of(status, error->retriable);
    gw_respond_error(request, failure->http, failure->code, error->text, failure->action);
}

bool gw_stream_body(struct gw_request *request, json_t **value)
{
    const struct sl_buffer *body = gw_request_body(request);
    json_error_t why;
    *value = NULL;
    size_t space = 0;
    while (space < body->size && strchr(" \t\r\n", body->data[space]))
        space++;
    if (space == body->size)
        return true;
    *value = json_loadb(body->data, body->size, JSON_REJECT_DUPLICATES, &why);
    if (json_is_object(*value))
        return true;
    if (*value)
        gw_respond_error(request, 400, "bad-json", "the body is not a JSON object", "send an object");
    else
        gw_respond_errorf(request, 400, "bad-json", "correct the body's JSON", "line %d, column %d: %s",
                          why.line, why.column, why.text);
    json_decref(*value);
    *value = NULL;
    return false;
}

#define MEMBER "mode subscriptionId consumerId"
#define ONE(method_, pattern_, flags_, access_, handle_, name_)                                              \
    {                                                                                                        \
        .method = (method_), .pattern = (pattern_), .flags = (flags_), .access = (access_), .query = MEMBER, \
        .counted = GW_COUNTED_OUT, .max_body = BODY_MAX, .handle = (handle_), .name = (name_)                \
    }
#define BOTH(method_, path_, flags_, access_, handle_, name_)                                                \
    ONE(method_, CATALOG path_, flags_, access_, handle_, name_),                                            \
        ONE(method_, NODE path_, flags_, access_, handle_, name_)
#define READ     GW_ACCESS_READ
#define DELIVERY (GW_ACCESS_READ | GW_ACCESS_DELIVERY)

const struct gw_route gw_stream_routes[] = {
    ONE("POST", CATALOG "/layers/{layer}/subscribe", 0, DELIVERY, gw_stream_subscribe, "stream.subscribe"),
    BOTH("DELETE", "/layers/{layer}/subscribe", 0, READ, gw_stream_unsubscribe, "stream.unsubscribe"),
    BOTH("GET", "/layers/{layer}/partitions", 0, DELIVERY, gw_stream_poll, "stream.poll"),
    BOTH("PUT", "/layers/{layer}/offsets", 0, READ, gw_stream_commit, "stream.commit"),
    BOTH("PUT", "/layers/{layer}/seek", 0, READ, gw_stream_seek, "stream.seek"),
    BOTH("PUT", "/layers/{layer}/pause", GW_ROUTE_EXTENSION, READ, gw_stream_pause, "stream.pause"),
    BOTH("PUT", "/layers/{layer}/resume", GW_ROUTE_EXTENSION, READ, gw_stream_resume, "stream.resume"),
    BOTH("GET", "/layers/{layer}/positions", GW_ROUTE_EXTENSION, READ, gw_stream_positions,
         "stream.positions"),
};
const size_t gw_stream_route_count = sizeof gw_stream_routes / sizeof *gw_stream_routes;
