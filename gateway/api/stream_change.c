/* PUT …/offsets, …/seek, …/pause, …/resume, GET …/positions, DELETE …/subscribe. */
#include "gateway/api/config.h"
#include "gateway/api/metering.h"
#include "gateway/api/stream.h"

#include <stdlib.h>
#include <string.h>

#define OFFSETS_MAX 10000
#define SEEK_HELP   "send {\"to\":\"begin\"}, {\"to\":\"end\"}, {\"to\":\"time\",\"timestamp\":0}, or offsets"
#define PAUSE_HELP  "send {\"partitions\":[0]}, or nothing for all partitions"

struct changing {
    struct gw_change change; /* first */
    struct gw_request *request;
    struct gw_meter *meter;
    bool counted; /* the meter has where it goes on, and is submitted */
    sl_offset sought[GW_PARTITIONS_MAX];
    sl_partition_position *positions; /* GW_POSITIONS */
    sl_offset offsets[];
};

static void changing_free(struct changing *call)
{
    gw_meter_unlink(call->meter);
    free(call->positions);
    free(call);
}

/* What is not known, or not there, is left out. */
static bool put_number(json_t *object, const char *name, int64_t value)
{
    return value < 0 || !json_object_set_new(object, name, json_integer(value));
}

static json_t *json_of_positions(const struct gw_change *change)
{
    json_t *body = json_object(), *list = json_array();
    bool fits = !json_object_set_new(body, "positions", list);
    for (size_t i = 0; i < change->position_count && fits; i++) {
        const sl_partition_position *position = &change->positions[i];
        json_t *entry = json_object();
        fits = put_number(entry, "partition", position->partition) &&
               put_number(entry, "begin", position->begin) && put_number(entry, "end", position->end) &&
               put_number(entry, "position", position->position) &&
               put_number(entry, "committed", position->committed) &&
               put_number(entry, "lag", position->lag) &&
               !json_object_set_new(entry, "paused", json_boolean(position->paused));
        fits = !json_array_append_new(list, entry) && fits;
    }
    if (fits)
        return body;
    json_decref(body);
    return NULL;
}

/* What the group has gone back to is counted again. Written down before anything of it can be delivered: that
 * happens on this loop. */
static void count_again(struct changing *call)
{
    const struct gw_change *change = &call->change;
    bool fits = true;
    if (!call->meter || !change->effective || call->counted)
        return;
    call->counted = true;
    for (size_t i = 0; i < change->sought_count && fits; i++)
        fits = gw_meter_seek(call->meter, call->sought[i]); /* there is room: see start */
    gw_meter_submit(call->meter);
}

static void done(struct gw_change *change)
{
    struct changing *call = (struct changing *)(void *)change;
    sl_error why;
    count_again(call);
    if (change->status == SL_INVALID_ARGUMENT && (change->kind == GW_PAUSE || change->kind == GW_RESUME))
        gw_respond_error(call->request, 400, "bad-partitions", change->error.text,
                         "name partitions that the layer has, or send no body for all of them");
    else if (change->status == SL_INVALID_ARGUMENT)
        gw_respond_error(call->request, 400, "bad-offsets", change->error.text,
                         "commit the offsets of messages that were received; nothing was committed");
    else if (change->status == SL_CONFLICT && change->late)
        gw_respond_error(call->request, 409, "commit-too-late", change->error.text,
                         "poll on: messages from there on come again; what else was named is committed");
    else if (change->status == SL_NOT_FOUND &&
             gw_subscription_ended(change->subscription, &why) != GW_END_NONE)
        gw_stream_gone(call->request, gw_subscription_ended(change->subscription, &why), &change->error);
    else if (change->status)
        gw_stream_fail(call->request, change->status, &change->error);
    else if (change->kind == GW_POSITIONS)
        gw_respond_json(call->request, 200, json_of_positions(change));
    else
        gw_respond(call->request, 200, "application/json", "{}", 2, NULL, NULL);
}

static void released(struct gw_change *change)
{
    count_again((struct changing *)(void *)change); /* one that was overdue, and is done all the same */
    gw_subscription_unlink(change->subscription);
    changing_free((struct changing *)(void *)change);
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
    call->change.released = released;
    return call;
}

static void start(struct changing *call)
{
    struct gw_subscription *subscription = gw_stream_find(call->request, NULL);
    if (!subscription) {
        changing_free(call);
        return;
    }
    call->change.subscription = subscription;
    call->change.sought = call->sought;
    call->meter = gw_request_meter(call->request);
    gw_meter_group(call->meter, gw_subscription_group(subscription));
    bool seeks = call->change.kind >= GW_SEEK && call->change.kind <= GW_SEEK_TIME;
    if (seeks && !gw_meter_reserve(call->meter)) { /* before it is done: then where it goes is noted, too */
        gw_respond_error(call->request, 503, "out-of-memory", "the gateway is out of memory",
                         "send again later");
        gw_subscription_unlink(subscription);
        changing_free(call);
        return;
    }
    gw_subscription_change(&call->change);
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
                          "\"offsets\" must be an array of %s%d offsets",
                          kind == GW_COMMIT ? "at most " : "1 to ", OFFSETS_MAX);
        return NULL;
    }
    struct changing *call = changing_new(request, kind, count);
    for (size_t i = 0; i < count && call; i++)
        if (!take_offset(json_array_get(list, i), &call->offsets[i])) {
            gw_respond_errorf(request, 400, "bad-offsets",
                              "send {\"offsets\":[{\"partition\":0,\"offset\":0}]}",
                              "offsets[%zu] must have \"partition\" and \"offset\", whole numbers from 0", i);
            changing_free(call);
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

/* Whether the body of an extension has these members only, or answers: one that is misspelt would mean less.
 */
static bool has_only(struct gw_request *request, const json_t *body, const char *const *names, size_t count,
                     const char *code, const char *help)
{
    sl_error error;
    if (!gw_check_members(body, names, count, &error))
        return true;
    gw_respond_error(request, 400, code, error.text, help);
    return false;
}

/* {"to":"begin"|"end"|"time"}. NULL: answered. */
static struct changing *take_place(struct gw_request *request, const json_t *body)
{
    const char *where = json_string_value(json_object_get(body, "to"));
    const json_t *time = json_object_get(body, "timestamp");
    static const char *const members[] = {"to", "timestamp"};
    if (!has_only(request, body, members, where && !strcmp(where, "time") ? 2 : 1, "bad-offsets", SEEK_HELP))
        return NULL;
    if (where && !strcmp(where, "begin"))
        return changing_new(request, GW_SEEK_BEGIN, 0);
    if (where && !strcmp(where, "end"))
        return changing_new(request, GW_SEEK_END, 0);
    if (!where || strcmp(where, "time")) {
        gw_respond_error(request, 400, "bad-offsets", "\"to\" must be \"begin\", \"end\" or \"time\"",
                         SEEK_HELP);
        return NULL;
    }
    if (!json_is_integer(time) || json_integer_value(time) < 0) {
        gw_respond_error(request, 400, "bad-offsets",
                         "\"timestamp\" must be milliseconds since 1970-01-01 UTC, a whole number from 0",
                         SEEK_HELP);
        return NULL;
    }
    struct changing *call = changing_new(request, GW_SEEK_TIME, 0);
    if (call)
        call->change.timestamp_ms = json_integer_value(time);
    return call;
}

void gw_stream_seek(struct gw_request *request)
{
    const struct gateway *gateway = gw_request_opaque(request);
    json_t *body;
    if (!gw_stream_body(request, &body))
        return;
    struct changing *call = gateway->extended && json_object_get(body, "to")
                                ? take_place(request, body)
                                : take_offsets(request, body, GW_SEEK);
    json_decref(body);
    if (call)
        start(call);
}

/* {"partitions":[…]}, or nothing: all. NULL: answered. */
static struct changing *take_partitions(struct gw_request *request, const json_t *body,
                                        enum gw_change_kind kind)
{
    const json_t *list = json_object_get(body, "partitions");
    size_t count = json_array_size(list);
    static const char *const members[] = {"partitions"};
    if (!has_only(request, body, members, 1, "bad-partitions", PAUSE_HELP))
        return NULL;
    if (list && (!count || count > OFFSETS_MAX)) {
        gw_respond_errorf(request, 400, "bad-partitions", PAUSE_HELP,
                          "\"partitions\" must be an array of 1 to %d Kafka partitions", OFFSETS_MAX);
        return NULL;
    }
    struct changing *call = changing_new(request, kind, count);
    for (size_t i = 0; i < count && call; i++) {
        const json_t *value = json_array_get(list, i);
        json_int_t partition = json_integer_value(value);
        if (json_is_integer(value) && partition >= 0 && partition <= INT32_MAX) {
            call->offsets[i].partition = (int32_t)partition;
            continue;
        }
        gw_respond_errorf(request, 400, "bad-partitions", PAUSE_HELP,
                          "partitions[%zu] must be a Kafka partition: a whole number from 0", i);
        changing_free(call);
        call = NULL;
    }
    return call;
}

static void change_partitions(struct gw_request *request, enum gw_change_kind kind)
{
    json_t *body;
    if (!gw_stream_body(request, &body))
        return;
    struct changing *call = take_partitions(request, body, kind);
    json_decref(body);
    if (call)
        start(call);
}

void gw_stream_pause(struct gw_request *request)
{
    change_partitions(request, GW_PAUSE);
}

void gw_stream_resume(struct gw_request *request)
{
    change_partitions(request, GW_RESUME);
}

void gw_stream_positions(struct gw_request *request)
{
    struct changing *call = changing_new(request, GW_POSITIONS, 0);
    if (!call)
        return;
    call->positions = calloc(GW_PARTITIONS_MAX, sizeof *call->positions);
    call->change.positions = call->positions;
    if (call->positions) {
        start(call);
        return;
    }
    changing_free(call);
    gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
}

void gw_stream_unsubscribe(struct gw_request *request)
{
    struct changing *call = changing_new(request, GW_UNSUBSCRIBE, 0);
    if (call)
        start(call);
}
