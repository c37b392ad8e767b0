/* PUT …/offsets, PUT …/seek, DELETE …/subscribe. */
#include "gateway/api/stream.h"

#include <stdlib.h>
#include <string.h>

#define OFFSETS_MAX 10000

struct changing {
    struct gw_change change; /* first */
    struct gw_request *request;
    sl_offset offsets[];
};

static void done(struct gw_change *change)
{
    struct changing *call = (struct changing *)(void *)change;
    if (change->status)
        gw_stream_fail(call->request, change->status, &change->error);
    else
        gw_respond(call->request, 200, "application/json", "{}", 2, NULL, NULL);
    gw_subscription_unlink(change->subscription);
    free(call);
}

/* Begins the change with room for count offsets; NULL: answered. */
static struct changing *changing_new(struct gw_request *request, enum gw_change_kind kind, size_t count)
{
    struct changing *call = calloc(1, sizeof *call + count * sizeof(sl_offset));
    if (!call) {
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
        return NULL;
    }
    call->request = request;
    call->change.kind = kind;
    call->change.offsets = call->offsets;
    call->change.count = count;
    call->change.done = done;
    return call;
}

static void start(struct changing *call)
{
    call->change.subscription = gw_stream_find(call->request);
    if (call->change.subscription)
        gw_subscription_change(&call->change);
    else
        free(call);
}

static bool take_offset(const json_t *value, sl_offset *offset)
{
    const json_t *partition = json_object_get(value, "partition"), *number = json_object_get(value, "offset");
    if (!json_is_integer(partition) || !json_is_integer(number))
        return false;
    json_int_t p = json_integer_value(partition), o = json_integer_value(number);
    if (p < 0 || p > INT32_MAX || o < 0 || o >= INT64_MAX - 1)
        return false;
    *offset = (sl_offset){(int32_t)p, o};
    return true;
}

/* The body's offsets. NULL: answered. */
static struct changing *take_offsets(struct gw_request *request, const json_t *body, enum gw_change_kind kind)
{
    const json_t *list = json_object_get(body, "offsets");
    size_t count = json_array_size(list);
    /* A commit of nothing is one: the official SDKs send it after an empty poll. */
    if (!json_is_array(list) || (!count && kind != GW_COMMIT) || count > OFFSETS_MAX) {
        gw_respond_errorf(request, 400, "bad-offsets", "send {\"offsets\":[{\"partition\":0,\"offset\":0}]}",
                          "\"offsets\" must be an array of 1 to %d offsets", OFFSETS_MAX);
        return NULL;
    }
    struct changing *call = changing_new(request, kind, count);
    for (size_t i = 0; i < count && call; i++)
        if (!take_offset(json_array_get(list, i), &call->offsets[i])) {
            gw_respond_errorf(request, 400, "bad-offsets",
                              "send {\"offsets\":[{\"partition\":0,\"offset\":0}]}",
                              "offsets[%zu] must have \"partition\" and \"offset\", whole numbers from 0", i);
            free(call);
            call = NULL;
        }
    return call;
}

void gw_stream_commit(struct gw_request *request)
{
    json_t *body;
    if (!gw_stream_body(request, &body))
        return;
    struct changing *call = take_offsets(request, body, GW_COMMIT);
    json_decref(body);
    if (call)
        start(call);
}

void gw_stream_seek(struct gw_request *request)
{
    json_t *body;
    if (!gw_stream_body(request, &body))
        return;
    const json_t *to = json_object_get(body, "to");
    struct changing *call = NULL;
    const char *where = json_string_value(to);
    if (!to)
        call = take_offsets(request, body, GW_SEEK);
    else if (where && !strcmp(where, "begin"))
        call = changing_new(request, GW_SEEK_BEGIN, 0);
    else if (where && !strcmp(where, "end"))
        call = changing_new(request, GW_SEEK_END, 0);
    else
        gw_respond_error(request, 400, "bad-offsets", "\"to\" must be \"begin\" or \"end\"",
                         "correct it, or name offsets");
    json_decref(body);
    if (call)
        start(call);
}

void gw_stream_unsubscribe(struct gw_request *request)
{
    struct changing *call = changing_new(request, GW_UNSUBSCRIBE, 0);
    if (call)
        start(call);
}
