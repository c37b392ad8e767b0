/* stream v2, ours: the consumer groups of a layer, and what goes through it. All of it waits for Kafka, on a
 * worker. */
#include "gateway/broker/groups.h"
#include "gateway/api/failures.h"
#include "gateway/api/metering.h"
#include "gateway/api/stream.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "wire/hrn.h"

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#define LAYER    "/stream/v2/catalogs/{hrn}/layers/{layer}"
#define BODY_MAX ((size_t)64 << 10)

struct call {
    struct gw_job job; /* first */
    struct gw_request *request;
    struct gateway *gateway;
    struct gw_layer *layer;
    char *prefix, *name; /* name: the whole, as Kafka has it; NULL where none is asked for */
    struct gw_reset reset;
    int64_t until_ms; /* Kafka is waited for no longer (sl_mono_ms) */
    bool uncounted;   /* the ledger refused to note where it goes */
};

static void call_free(struct call *call)
{
    gw_layer_unlink(call->layer);
    free(call->prefix);
    free(call->name);
    free(call);
}

static void out_of_memory(struct gw_request *request)
{
    gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
}

static void fail(struct gw_request *request, const sl_error *error)
{
    if (error->status == SL_CONFLICT) {
        gw_respond_error(request, 409, "group-active", error->text,
                         "stop its members (GET …/groups/{group} or streamlayer group describe shows them), "
                         "then reset it; one that died is a member until its session times out");
    } else if (error->status == SL_TOO_LARGE) {
        gw_respond_error(request, 413, "too-many-groups", error->text,
                         "ask for one by its name: GET …/groups/{group}, streamlayer group describe");
    } else if (error->status == SL_NOT_FOUND || error->status == SL_KAFKA) {
        const struct gw_failure *failure = gw_failure_of(error->status, false);
        gw_respond_error(request, failure->http, failure->code, error->text, failure->action);
    } else {
        gw_respond_failure(request, error);
    }
}

/* The group's whole name; NULL: answered. */
static char *kafka_name(struct gw_request *request, const struct gw_layer *layer, const char *prefix)
{
    const char *given = gw_request_parameter(request, "group");
    bool is_default = !strcmp(given, "-");
    sl_error error;
    if (sl_group_check(given, &error)) { /* "-" may be a name, too */
        gw_respond_error(request, 400, "bad-parameter", error.text,
                         "name the group without the application's prefix; - is the default group");
        return NULL;
    }
    char *fallback = is_default ? sl_group_default(layer->hrn, layer->id) : NULL;
    const char *chosen = is_default ? fallback : given;
    char *name = chosen ? sl_printf("%s%s", prefix, chosen) : NULL;
    free(fallback);
    if (!name)
        out_of_memory(request);
    return name;
}

/* NULL: answered. */
static struct call *call_new(struct gw_request *request, void (*run)(struct gw_job *job))
{
    struct gw_layer *layer = gw_request_layer(request);
    if (!layer)
        return NULL;
    struct call *call = calloc(1, sizeof *call);
    if (!call) {
        gw_layer_unlink(layer);
        out_of_memory(request);
        return NULL;
    }
    call->job.run = run;
    call->request = request;
    call->gateway = gw_request_opaque(request);
    call->layer = layer;
    call->until_ms = gw_kafka_deadline_ms(call->gateway);
    call->prefix = sl_printf("%s.", gw_request_application(request));
    if (!call->prefix)
        out_of_memory(request);
    if (call->prefix &&
        (!gw_request_parameter(request, "group") || (call->name = kafka_name(request, layer, call->prefix))))
        return call;
    call_free(call);
    return NULL;
}

/* Hands the call to a worker, which answers. */
static void go_on(struct call *call)
{
    gw_work_post(call->gateway->workers, gw_request_application(call->request), &call->job);
}

/* What groups look like. NULL: memory is out; nothing is left out of an answer for that. */

static json_t *whole(json_t *value, bool good)
{
    if (good)
        return value;
    json_decref(value);
    return NULL;
}

static json_t *bounds_json(int32_t number, const struct gw_group_partition *partition)
{
    return json_pack("{s:i,s:I,s:I}", "partition", number, "begin", (json_int_t)partition->begin, "end",
                     (json_int_t)partition->end);
}

static json_t *partition_json(int32_t number, const struct gw_group_partition *partition)
{
    json_t *object = bounds_json(number, partition);
    bool good = true;
    if (partition->committed >= 0)
        good &= !json_object_set_new(object, "committed", json_integer(partition->committed));
    if (partition->before >= 0)
        good &= !json_object_set_new(object, "before", json_integer(partition->before));
    int64_t from = partition->committed >= 0 ? partition->committed : partition->begin;
    good &=
        !json_object_set_new(object, "lag", json_integer(partition->end > from ? partition->end - from : 0));
    return whole(object, good);
}

/* Kafka's texts: one that is not UTF-8 is left out. */
static json_t *member_json(const struct gw_group_member *member)
{
    json_t *partitions = json_array();
    bool good = partitions;
    for (size_t i = 0; i < member->count; i++)
        good &= !json_array_append_new(partitions, json_integer(member->partitions[i]));
    return whole(json_pack("{s:o*,s:o*,s:o*,s:o}", "memberId", json_string(member->id), "clientId",
                           json_string(member->client_id), "host", json_string(member->host), "partitions",
                           partitions),
                 good);
}

static json_t *group_head(const struct call *call, const struct gw_group *group)
{
    return json_pack("{s:s,s:s,s:s}", "group", group->name + strlen(call->prefix), "kafkaGroup", group->name,
                     "state", group->state);
}

static json_t *group_json(const struct call *call, const struct gw_group *group)
{
    json_t *object = group_head(call, group), *members = json_array(), *partitions = json_array();
    bool good = true;
    for (size_t i = 0; i < group->member_count; i++)
        good &= !json_array_append_new(members, member_json(&group->members[i]));
    for (size_t i = 0; i < group->partition_count; i++)
        good &= !json_array_append_new(partitions, partition_json((int32_t)i, &group->partitions[i]));
    good &= !json_object_set_new(object, "members", members);
    good &= !json_object_set_new(object, "partitions", partitions);
    return whole(object, good);
}

/* GET …/groups */

static void run_list(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    struct gw_group *groups;
    size_t count;
    sl_error error = {0};
    if (gw_groups_list(gw_layer_broker(call->gateway, call->layer), call->layer, call->prefix, call->until_ms,
                       &groups, &count, &error)) {
        fail(call->request, &error);
    } else {
        json_t *array = json_array();
        bool good = true;
        for (size_t i = 0; i < count; i++) {
            json_t *group = group_head(call, &groups[i]);
            good &=
                !json_object_set_new(group, "members", json_integer((json_int_t)groups[i].member_count)) &&
                !json_array_append_new(array, group);
        }
        gw_respond_json(call->request, 200, whole(json_pack("{s:o}", "groups", array), good));
    }
    gw_groups_free(groups, count);
    call_free(call);
}

static void list(struct gw_request *request)
{
    struct call *call = call_new(request, run_list);
    if (call)
        go_on(call);
}

/* GET …/groups/{group} */

static void run_describe(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    struct gw_group group;
    sl_error error = {0};
    if (gw_group_describe(gw_layer_broker(call->gateway, call->layer), call->layer, call->name,
                          call->until_ms, &group, &error))
        fail(call->request, &error);
    else if (!group.reads)
        gw_respond_errorf(call->request, 404, "no-such-group",
                          "correct its name; those that there are: GET …/groups, streamlayer group list",
                          "no consumer group %s of this application's reads the layer: it has neither "
                          "committed on it nor members that have a part of it",
                          group.name + strlen(call->prefix));
    else
        gw_respond_json(call->request, 200, group_json(call, &group));
    gw_group_clear(&group);
    call_free(call);
}

static void describe(struct gw_request *request)
{
    struct call *call = call_new(request, run_describe);
    if (call)
        go_on(call);
}

/* PUT …/groups/{group}/offsets */

/* Where the group goes, for the ledger. */
struct note {
    struct gw_ledger_entry entry; /* first */
    struct gw_ledger_event event;
    struct gw_delivered places[GW_PARTITIONS_MAX];
    sem_t written;
};

static void note_written(struct gw_ledger_entry *entry)
{
    sem_post(&((struct note *)(void *)entry)->written);
}

/* What the group goes back to counts again. That is in the ledger before Kafka moves the group, whatever
 * becomes of the request or of this process then: what counts again and does not come again is in no bill. */
static sl_status note_places(void *opaque, const struct gw_group *group, sl_error *error)
{
    struct call *call = opaque;
    struct note note = {
        .entry = {.events = &note.event, .count = 1, .done = note_written},
        .event = {.kind = GW_LEDGER_SOUGHT,
                  .application = gw_request_application(call->request),
                  .hrn = call->layer->hrn,
                  .layer = call->layer->id,
                  .group = call->name + strlen(call->prefix),
                  .topic = call->layer->key,
                  .records = note.places},
    };
    note.entry.application = note.event.application;
    for (size_t i = 0; i < group->partition_count; i++)
        if (group->partitions[i].committed >= 0 && (call->reset.all || call->reset.chosen[i]))
            note.places[note.event.count++] =
                (struct gw_delivered){.offset = group->partitions[i].committed, .partition = (int32_t)i};
    if (!note.event.count)
        return SL_OK;
    if (sem_init(&note.written, 0, 0))
        return sl_error_oom(error);
    gw_ledger_submit(call->gateway->ledger, &note.entry);
    while (sem_wait(&note.written)) /* a signal came */
        ;
    sem_destroy(&note.written);
    call->uncounted = note.entry.status;
    return note.entry.status ? sl_error_set(error, note.entry.status, "the group was not reset") : SL_OK;
}

static void run_reset(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    struct gw_group group = {0};
    sl_error error = {0};
    sl_status status = gw_group_reset(gw_layer_broker(call->gateway, call->layer), call->layer, call->name,
                                      &call->reset, call->until_ms, &group, &error);
    if (call->uncounted)
        gw_respond_uncounted(call->request, error.text);
    else if (status)
        fail(call->request, &error);
    else
        gw_respond_json(call->request, 200, group_json(call, &group));
    gw_group_clear(&group);
    call_free(call);
}

static sl_status read_partitions(const json_t *partitions, int count, struct gw_reset *reset, sl_error *error)
{
    reset->all = !partitions;
    if (partitions && !json_array_size(partitions))
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "\"partitions\" is not a list of Kafka partitions, such as [0,1]");
    for (size_t i = 0; i < json_array_size(partitions); i++) {
        const json_t *number = json_array_get(partitions, i);
        json_int_t partition = json_is_integer(number) ? json_integer_value(number) : -1;
        if (partition < 0 || partition >= count)
            return sl_error_set(error, SL_INVALID_ARGUMENT,
                                "\"partitions\"[%zu] is no Kafka partition of the layer's: they are 0 to %d",
                                i, count - 1);
        reset->chosen[partition] = true;
    }
    return SL_OK;
}

static sl_status read_number(const json_t *body, const char *name, const char *to, int64_t *value,
                             sl_error *error)
{
    const json_t *number = json_object_get(body, name);
    if (!json_is_integer(number) || json_integer_value(number) < 0)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "\"to\":\"%s\" needs \"%s\", a whole number that is not negative", to, name);
    *value = json_integer_value(number);
    return SL_OK;
}

/* What is not known is refused: a dryRun that stood here would change offsets. */
static sl_status read_reset(const json_t *body, int partitions, struct gw_reset *reset, sl_error *error)
{
    static const struct {
        const char *name, *number;
        enum gw_reset_to to;
    } places[] = {{"begin", NULL, GW_RESET_BEGIN},
                  {"end", NULL, GW_RESET_END},
                  {"time", "timestamp", GW_RESET_TIME},
                  {"offset", "offset", GW_RESET_OFFSET}};
    const char *to = json_string_value(json_object_get(body, "to"));
    size_t count = sizeof places / sizeof *places, at = 0;
    while (at < count && (!to || strcmp(to, places[at].name) != 0))
        at++;
    if (at == count)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "\"to\" must be \"begin\", \"end\", \"time\" or \"offset\"");
    reset->to = places[at].to;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        if (strcmp(name, "to") != 0 && strcmp(name, "partitions") != 0 &&
            (!places[at].number || strcmp(name, places[at].number) != 0))
            return sl_error_set(error, SL_INVALID_ARGUMENT, "\"%s\" is not known beside \"to\":\"%s\"", name,
                                to);
    }
    sl_status status =
        places[at].number ? read_number(body, places[at].number, to, &reset->value, error) : SL_OK;
    return status ? status : read_partitions(json_object_get(body, "partitions"), partitions, reset, error);
}

/* False: answered. */
static bool take_reset(struct call *call)
{
    struct gw_request *request = call->request;
    const char *dry_run = gw_request_query(request, "dryRun");
    if (dry_run && strcmp(dry_run, "true") != 0 && strcmp(dry_run, "false") != 0) {
        gw_respond_errorf(request, 400, "bad-parameter", "leave it out, or say true or false",
                          "dryRun=%s is neither true nor false", dry_run);
        return false;
    }
    call->reset.dry_run = dry_run && *dry_run == 't';
    json_t *body;
    if (!gw_stream_body(request, &body))
        return false;
    sl_error error;
    sl_status status = read_reset(body, call->layer->parallelization, &call->reset, &error);
    json_decref(body);
    if (status)
        gw_respond_error(request, 400, "bad-reset", error.text,
                         "send {\"to\":\"begin\"}, {\"to\":\"end\"}, {\"to\":\"time\",\"timestamp\":MS} or "
                         "{\"to\":\"offset\",\"offset\":N}, with \"partitions\":[…] where not all are meant");
    return !status;
}

static void reset(struct gw_request *request)
{
    struct call *call = call_new(request, run_reset);
    if (!call)
        return;
    struct gw_meter *meter = gw_request_meter(request);
    gw_meter_group(meter, call->name);
    call->reset.before = meter ? note_places : NULL;
    call->reset.opaque = call;
    gw_meter_unlink(meter);
    if (take_reset(call))
        go_on(call);
    else
        call_free(call);
}

/* GET …/statistics */

static json_t *counters_json(const struct gw_layer_counters *counters)
{
    return json_pack("{s:I,s:I,s:I,s:I}", "messagesIn", (json_int_t)atomic_load(&counters->messages_in),
                     "bytesIn", (json_int_t)atomic_load(&counters->bytes_in), "messagesOut",
                     (json_int_t)atomic_load(&counters->messages_out), "bytesOut",
                     (json_int_t)atomic_load(&counters->bytes_out));
}

static void run_statistics(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    struct gw_group_partition partitions[GW_PARTITIONS_MAX];
    sl_error error = {0};
    if (gw_layer_bounds(gw_layer_broker(call->gateway, call->layer), call->layer, call->until_ms, partitions,
                        &error)) {
        fail(call->request, &error);
    } else {
        json_t *array = json_array();
        bool good = true;
        for (int i = 0; i < call->layer->parallelization; i++)
            good &= !json_array_append_new(array, bounds_json(i, &partitions[i]));
        gw_respond_json(call->request, 200,
                        whole(json_pack("{s:I,s:o,s:o}", "time", (json_int_t)sl_wall_ms(), "partitions",
                                        array, "gateway", counters_json(call->layer->counters)),
                              good));
    }
    call_free(call);
}

static void statistics(struct gw_request *request)
{
    struct call *call = call_new(request, run_statistics);
    if (call)
        go_on(call);
}

const struct gw_route gw_group_routes[] = {
    {.method = "GET",
     .pattern = LAYER "/groups",
     .flags = GW_ROUTE_EXTENSION,
     .handle = list,
     .access = GW_ACCESS_READ,
     .name = "stream.groups"},
    {.method = "GET",
     .pattern = LAYER "/groups/{group}",
     .flags = GW_ROUTE_EXTENSION,
     .handle = describe,
     .access = GW_ACCESS_READ,
     .name = "stream.group"},
    {.method = "PUT",
     .pattern = LAYER "/groups/{group}/offsets",
     .flags = GW_ROUTE_EXTENSION,
     .max_body = BODY_MAX,
     .query = "dryRun",
     .handle = reset,
     .access = GW_ACCESS_READ,
     .counted = GW_COUNTED_OUT,
     .name = "stream.group.reset"},
    {.method = "GET",
     .pattern = LAYER "/statistics",
     .flags = GW_ROUTE_EXTENSION,
     .handle = statistics,
     .access = GW_ACCESS_ANY,
     .name = "stream.statistics"},
};
const size_t gw_group_route_count = sizeof gw_group_routes / sizeof *gw_group_routes;
