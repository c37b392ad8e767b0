/* POST …/subscribe and DELETE …/subscribe. */
#include "gateway/api/config.h"
#include "gateway/api/consumer_properties.h"
#include "gateway/api/failures.h"
#include "gateway/api/metering.h"
#include "gateway/api/stream.h"

#include "base/error.h"
#include "base/text.h"
#include "wire/hrn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX 128

struct subscribing {
    struct gw_subscribe ask; /* first */
    struct gw_request *request;
    struct gw_layer *layer;
    struct gw_consumer_properties properties;
    struct gw_meeting meeting;
    bool told; /* the answer names the subscription */
    char *application, *subscription_id, *consumer_id, *group, *group_default, *url;
};

static void subscribing_free(struct subscribing *call)
{
    gw_layer_unlink(call->layer);
    free(call->application);
    free(call->subscription_id);
    free(call->consumer_id);
    free(call->group);
    free(call->group_default);
    free(call->url);
    free(call);
}

static void finish(struct subscribing *call)
{
    struct gw_subscription *subscription = call->ask.subscription;
    if (subscription && !(call->meeting.whole && call->told))
        gw_subscription_abandon(subscription, GW_END_LOST); /* its client does not know of it */
    gw_subscription_unlink(subscription);
    subscribing_free(call);
}

static void sent(void *opaque, bool whole)
{
    struct subscribing *call = opaque;
    call->meeting.whole = whole;
    if (gw_meet(&call->meeting, GW_MEETING_SENT))
        finish(call);
}

static void fail(struct gw_request *request, sl_status status, const sl_error *error)
{
    const struct gateway *gateway = gw_request_opaque(request);
    if (status == SL_CONFLICT)
        gw_respond_error(request, 409, "group-full", error->text,
                         "end one, or choose another consumer group (group.id in kafkaConsumerProperties; "
                         "streamlayer consume --group), or read a layer with more parallelization");
    else if (status == SL_TOO_LARGE)
        gw_respond_error_after(request, 429, "too-many-group-subscriptions", error->text,
                               "end subscriptions of the group that are not needed any more, or have whoever "
                               "operates the gateway raise the limit",
                               gw_subscriptions_limits(gateway->subscriptions)->retry_after_s);
    else if (status == SL_INVALID_ARGUMENT)
        gw_respond_error(request, 409, "subscription-id-in-use", error->text,
                         "choose another subscriptionId, or subscribe as its other consumers did");
    else if (status == SL_THROTTLED || status == SL_QUEUE_FULL)
        gw_respond_error_after(
            request, status == SL_THROTTLED ? 429 : 503, "too-many-subscriptions", error->text,
            status == SL_THROTTLED
                ? "end subscriptions that are not needed any more (DELETE "
                  "…/layers/{layer}/subscribe), or have whoever operates the gateway raise the "
                  "limit"
                : "send again after the time that Retry-After gives; whoever operates the "
                  "gateway can raise the limit",
            gw_subscriptions_limits(gateway->subscriptions)->retry_after_s);
    else if (status == SL_TIMED_OUT)
        gw_respond_error(request, 503, "group-join-timed-out", error->text, "send again");
    else
        gw_stream_fail(request, status, error);
}

/* NULL: memory is out. */
static json_t *json_of(const struct subscribing *call)
{
    const struct gateway *gateway = gw_request_opaque(call->request);
    const struct gw_subscription *subscription = call->ask.subscription;
    json_t *url = json_sprintf("%s/subscriptions/%s", call->url, gw_subscription_node(subscription));
    json_t *body =
        json_pack("{s:o,s:s}", "nodeBaseURL", url, "subscriptionId", gw_subscription_id(subscription));
    if (!gateway->extended || !body)
        return body;
    struct gw_assignment assignment;
    gw_subscription_assignment(subscription, &assignment);
    json_t *partitions = json_array();
    bool fits = partitions != NULL;
    for (size_t i = 0; i < assignment.count && fits; i++)
        fits = !json_array_append_new(partitions, json_integer(assignment.partitions[i]));
    json_t *ours = json_pack("{s:s,s:b,s:I,s:o}", "consumerGroup", gw_subscription_group(subscription),
                             "consumerGroupShared", gw_subscription_is_shared(subscription), "assignment",
                             (json_int_t)assignment.number, "partitions", partitions);
    fits = fits && ours && !json_object_update(body, ours);
    json_decref(ours);
    if (fits)
        return body;
    json_decref(body);
    return NULL;
}

/* Whoever deletes a layer ends its subscriptions: one that was not listed then is found here. */
static bool layer_is_there(const struct subscribing *call)
{
    const struct gateway *gateway = gw_request_opaque(call->request);
    bool exists;
    struct gw_layer *layer = gw_catalogs_find(gateway->catalogs, call->layer->hrn, call->layer->id, &exists);
    bool there = layer && !strcmp(layer->key, call->layer->key);
    gw_layer_unlink(layer);
    return there;
}

static void answer(struct subscribing *call)
{
    const struct gw_subscribe *ask = &call->ask;
    if (ask->status && ask->end) {
        gw_stream_gone(call->request, ask->end, &ask->error);
    } else if (ask->status) {
        fail(call->request, ask->status, &ask->error);
    } else if (!layer_is_there(call)) {
        sl_error error;
        gw_subscription_abandon(ask->subscription, GW_END_LAYER_DELETED);
        sl_error_set(&error, SL_NOT_FOUND, "layer %s was deleted meanwhile", call->layer->id);
        gw_stream_gone(call->request, GW_END_LAYER_DELETED, &error);
    } else if (!gw_request_still_reads(call->request)) { /* as above */
        sl_error error;
        gw_subscription_abandon(ask->subscription, GW_END_REVOKED);
        sl_error_set(&error, SL_FORBIDDEN, "the right to read the layer %s was taken meanwhile",
                     call->layer->id);
        gw_stream_gone(call->request, GW_END_REVOKED, &error);
    } else {
        struct gw_meter *meter = gw_request_meter(call->request);
        gw_meter_group(meter, gw_subscription_group(ask->subscription));
        gw_meter_unlink(meter);
        call->told = gw_respond_json(call->request, 201, json_of(call));
    }
    if (gw_meet(&call->meeting, GW_MEETING_ANSWERED))
        finish(call);
}

static void done(struct gw_subscribe *ask)
{
    answer((struct subscribing *)(void *)ask);
}

static bool id_is_legal(const char *id)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
    size_t length = strlen(id);
    return length && length <= ID_MAX && id[strspn(id, legal)] == 0;
}

/* False: answered. */
static bool take_query(struct subscribing *call)
{
    struct gw_request *request = call->request;
    const char *mode = gw_request_query(request, "mode");
    const char *id = gw_request_query(request, "subscriptionId");
    const char *consumer = gw_request_query(request, "consumerId");
    if (mode && strcmp(mode, "serial") && strcmp(mode, "parallel")) {
        gw_respond_errorf(request, 400, "bad-parameter", "leave it out, or say serial or parallel",
                          "mode=%s is not known", mode);
        return false;
    }
    /* An id left empty is one not given. */
    id = id && *id ? id : NULL;
    consumer = consumer && *consumer ? consumer : NULL;
    if ((id && !id_is_legal(id)) || (consumer && !id_is_legal(consumer))) {
        gw_respond_errorf(request, 400, "bad-parameter", "choose another id, or leave it out",
                          "%s must be 1 to %d characters of A-Z a-z 0-9 . _ : -",
                          id && !id_is_legal(id) ? "subscriptionId" : "consumerId", ID_MAX);
        return false;
    }
    call->ask.mode = mode && *mode == 'p' ? GW_PARALLEL : GW_SERIAL;
    call->ask.subscription_id = call->subscription_id = sl_strdup(id);
    call->ask.consumer_id = call->consumer_id = sl_strdup(consumer);
    if ((!id || call->subscription_id) && (!consumer || call->consumer_id))
        return true;
    gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
    return false;
}

static bool take_properties(struct subscribing *call)
{
    json_t *body;
    if (!gw_stream_body(call->request, &body))
        return false;
    sl_error error;
    /* Misspelt, it would be the default group, whose messages others get. */
    static const char *const members[] = {"kafkaConsumerProperties"};
    json_t *given = json_object_get(body, *members);
    sl_status status = gw_check_members(body, members, 1, &error);
    if (!status)
        status = gw_consumer_properties_parse(json_is_null(given) ? NULL : given, &call->properties, &error);
    json_decref(body);
    if (!status)
        return true;
    gw_respond_error(call->request, 400, "bad-consumer-property", error.text,
                     "correct or leave out the property");
    return false;
}

static bool take_names(struct subscribing *call)
{
    const char *application = gw_request_application(call->request);
    const char *given = call->properties.group;
    char *fallback = sl_group_default(call->layer->hrn, call->layer->id);
    struct sl_buffer url;
    sl_buffer_init(&url, 2000);
    bool fits = gw_request_public_url(call->request, &url) &&
                sl_buffer_printf(&url, "/stream/v2/catalogs/%s", call->layer->hrn);
    call->application = sl_strdup(application);
    call->group = *given ? sl_printf("%s.%s", application, given) : NULL;
    call->group_default = fallback ? sl_printf("%s.%s", application, fallback) : NULL;
    call->url = sl_buffer_take(&url);
    sl_buffer_free(&url);
    free(fallback);
    if (fits && call->application && (!*given || call->group) && call->group_default && call->url)
        return true;
    gw_respond_error(call->request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
    return false;
}

void gw_stream_subscribe(struct gw_request *request)
{
    struct gateway *gateway = gw_request_opaque(request);
    struct gw_layer *layer = gw_request_layer(request);
    if (!layer)
        return;
    struct subscribing *call = calloc(1, sizeof *call);
    if (!call) {
        gw_layer_unlink(layer);
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
        return;
    }
    call->request = request;
    call->layer = layer;
    if (!take_query(call) || !take_properties(call) || !take_names(call)) {
        subscribing_free(call);
        return;
    }
    struct gw_subscribe *ask = &call->ask;
    ask->done = done;
    ask->application = call->application;
    ask->layer = layer;
    ask->group = call->group;
    ask->group_default = call->group_default;
    ask->earliest = call->properties.earliest;
    ask->auto_commit = call->properties.auto_commit;
    ask->auto_commit_ms = call->properties.auto_commit_ms;
    ask->poll_messages = call->properties.poll_messages;
    ask->properties = call->properties.passed;
    ask->property_count = call->properties.count;
    gw_request_on_sent(request, sent, call);
    sl_error error;
    sl_status status = gw_subscriptions_subscribe(gateway->subscriptions, ask, &error);
    if (!status)
        return; /* done will be called, and may have been */
    ask->status = status;
    ask->error = error;
    answer(call);
}
