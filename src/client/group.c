/* Consumer groups and a layer's statistics: the platform's answers, made into objects of the caller's. What
 * it answers is checked once, so that the accessors need not. */
#include <stdlib.h>
#include <streamlayer/group.h>

#include "base/error.h"
#include "base/text.h"
#include "client/client.h"
#include "wire/hrn.h"

struct member {
    const json_t *value; /* the group's */
    int32_t *partitions;
    size_t count;
};

struct sl_group {
    json_t *value; /* the strings handed out are its */
    char *text;
    size_t member_count;
    struct member *members; /* NULL in lists */
    size_t partition_count;
    sl_group_partition *partitions; /* NULL in lists */
};

struct sl_group_list {
    char *text;
    size_t count;
    struct sl_group *groups;
};

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static sl_status strange(const char *what, sl_error *error)
{
    return sl_error_set(error, SL_PROTOCOL, "the platform answered a consumer group with %s", what);
}

/* The call. */

/* Appends the group's name as a segment of a path; NULL: the default group. */
static void append_name(struct sl_buffer *url, const char *group)
{
    if (group && !group[strspn(group, ".")])
        for (; *group; group++) /* . and .. would be taken for directories */
            sl_buffer_append_text(url, "%2E");
    else
        sl_buffer_append_text(url, group ? group : "-");
}

static sl_status check(sl_client *client, const char *layer, const char *group, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (!status)
        status = sl_layer_id_check(layer, error);
    return status || !group ? status : sl_group_check(group, error);
}

/* url becomes S/layers/LAYER/what; freed by the caller. */
static sl_status extension_url(sl_client *client, const char *hrn, const char *layer, const char *what,
                               struct sl_buffer *url, sl_error *error)
{
    char *base = NULL;
    sl_status status = sl_client_extension_url(client, hrn, "stream", "v2",
                                               "tell of consumer groups and statistics", &base, error);
    if (!status && !sl_buffer_printf(url, "%s/layers/%s/%s", base, layer, what))
        status = sl_error_oom(error);
    free(base);
    return status;
}

/* One call; in is taken. group: as what's last segment; more follows it. */
static sl_status call(sl_client *client, const char *hrn, const char *layer, const char *what,
                      const char *group, const char *more, json_t *in, json_t **out, sl_error *error)
{
    struct sl_buffer url;
    sl_buffer_init(&url, 4096);
    sl_status status = extension_url(client, hrn, layer, what, &url, error);
    if (!status && more) {
        append_name(&url, group);
        sl_buffer_append_text(&url, more);
        if (url.failed)
            status = sl_error_oom(error);
    }
    if (!status)
        status = sl_client_call_json(client, in ? "PUT" : "GET", url.data, in, out, error);
    sl_buffer_free(&url);
    json_decref(in);
    return status;
}

/* Reading answers. */

/* A number of the answer's; otherwise where it is absent. false: it is something else. */
static bool read_number(const json_t *object, const char *name, int64_t otherwise, int64_t *value)
{
    const json_t *number = json_object_get(object, name);
    *value = number ? json_integer_value(number) : otherwise;
    return !number || (json_is_integer(number) && *value >= 0);
}

static bool read_partition_number(const json_t *number, int32_t *partition)
{
    json_int_t value = json_is_integer(number) ? json_integer_value(number) : -1;
    *partition = (int32_t)value;
    return value >= 0 && value <= INT32_MAX;
}

static sl_status read_member(struct member *member, const json_t *value, sl_error *error)
{
    const json_t *partitions = json_object_get(value, "partitions");
    size_t count = json_array_size(partitions);
    if (!json_is_object(value) || (partitions && !json_is_array(partitions)))
        return strange("a member that is none", error);
    member->value = value;
    if (!(member->partitions = calloc(count ? count : 1, sizeof *member->partitions)))
        return sl_error_oom(error);
    for (; member->count < count; member->count++)
        if (!read_partition_number(json_array_get(partitions, member->count),
                                   &member->partitions[member->count]))
            return strange("a member whose \"partitions\" are no numbers", error);
    return SL_OK;
}

static sl_status read_members(struct sl_group *group, const json_t *members, sl_error *error)
{
    size_t count = json_array_size(members);
    if (!json_is_array(members))
        return strange("\"members\" that are no list", error);
    if (!(group->members = calloc(count ? count : 1, sizeof *group->members)))
        return sl_error_oom(error);
    group->member_count = count;
    sl_status status = SL_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = read_member(&group->members[i], json_array_get(members, i), error);
    return status;
}

static bool read_partition(const json_t *value, sl_group_partition *partition)
{
    *partition = (sl_group_partition){.struct_size = sizeof *partition};
    return read_partition_number(json_object_get(value, "partition"), &partition->partition) &&
           read_number(value, "begin", 0, &partition->begin) &&
           read_number(value, "end", 0, &partition->end) &&
           read_number(value, "committed", -1, &partition->committed) &&
           read_number(value, "before", -1, &partition->before) &&
           read_number(value, "lag", 0, &partition->lag);
}

static sl_status read_partitions(struct sl_group *group, const json_t *partitions, sl_error *error)
{
    size_t count = json_array_size(partitions);
    if (!json_is_array(partitions))
        return strange("\"partitions\" that are no list", error);
    if (!(group->partitions = calloc(count ? count : 1, sizeof *group->partitions)))
        return sl_error_oom(error);
    for (; group->partition_count < count; group->partition_count++)
        if (!read_partition(json_array_get(partitions, group->partition_count),
                            &group->partitions[group->partition_count]))
            return strange("a partition whose numbers are none", error);
    return SL_OK;
}

static void group_clear(struct sl_group *group)
{
    for (size_t i = 0; group->members && i < group->member_count; i++)
        free(group->members[i].partitions);
    free(group->members);
    free(group->partitions);
    free(group->text);
    json_decref(group->value);
}

/* Takes the reference to value; whatever comes of it, group_clear frees. listed: members is their number. */
static sl_status group_fill(struct sl_group *group, json_t *value, bool listed, sl_error *error)
{
    group->value = value;
    if (!text_of(value, "group") || !text_of(value, "kafkaGroup") || !text_of(value, "state"))
        return strange("no \"group\", \"kafkaGroup\" or \"state\"", error);
    if (!(group->text = json_dumps(value, JSON_INDENT(2))))
        return sl_error_oom(error);
    const json_t *members = json_object_get(value, "members");
    if (listed) {
        json_int_t count = json_is_integer(members) ? json_integer_value(members) : -1;
        if (count < 0)
            return strange("\"members\" that are no number", error);
        group->member_count = (size_t)count;
        return SL_OK;
    }
    sl_status status = read_members(group, members, error);
    return status ? status : read_partitions(group, json_object_get(value, "partitions"), error);
}

/* Takes the reference to value. */
static sl_status group_make(json_t *value, struct sl_group **group, sl_error *error)
{
    struct sl_group *made = calloc(1, sizeof *made);
    if (!made) {
        json_decref(value);
        return sl_error_oom(error);
    }
    sl_status status = group_fill(made, value, false, error);
    if (status)
        sl_group_destroy(&made);
    else
        *group = made;
    return status;
}

static sl_status list_fill(struct sl_group_list *list, const json_t *answer, sl_error *error)
{
    const json_t *groups = json_object_get(answer, "groups");
    if (!json_is_array(groups))
        return sl_error_set(error, SL_PROTOCOL, "the platform answered no list of consumer groups");
    size_t count = json_array_size(groups);
    list->groups = calloc(count ? count : 1, sizeof *list->groups);
    list->text = json_dumps(answer, JSON_INDENT(2));
    if (!list->groups || !list->text)
        return sl_error_oom(error);
    sl_status status = SL_OK;
    for (; list->count < count && !status; list->count++)
        status = group_fill(&list->groups[list->count], json_incref(json_array_get(groups, list->count)),
                            true, error);
    return status;
}

sl_status sl_group_list_get(sl_client *client, const char *hrn, const char *layer, sl_group_list **list,
                            sl_error *error)
{
    sl_status status = check(client, layer, NULL, error);
    if (status)
        return status;
    if (!list)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_group_list_get: list is NULL");
    *list = NULL;
    json_t *answer = NULL;
    status = call(client, hrn, layer, "groups", NULL, NULL, NULL, &answer, error);
    if (status)
        return status;
    struct sl_group_list *made = calloc(1, sizeof *made);
    status = made ? list_fill(made, answer, error) : sl_error_oom(error);
    json_decref(answer);
    if (status)
        sl_group_list_destroy(&made);
    else
        *list = made;
    return status;
}

sl_status sl_group_get(sl_client *client, const char *hrn, const char *layer, const char *group,
                       sl_group **described, sl_error *error)
{
    sl_status status = check(client, layer, group, error);
    if (status)
        return status;
    if (!described)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_group_get: described is NULL");
    *described = NULL;
    json_t *answer = NULL;
    status = call(client, hrn, layer, "groups/", group, "", NULL, &answer, error);
    return status ? status : group_make(answer, described, error);
}

/* Resets. */

static sl_status check_spec(const sl_reset_spec *spec, sl_error *error)
{
    if (!spec || spec->struct_size < sizeof *spec)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "sl_group_reset: spec is NULL, or its struct_size is not sizeof(sl_reset_spec)");
    if (spec->to < SL_RESET_BEGIN || spec->to > SL_RESET_OFFSET)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_group_reset: to is no sl_reset");
    if (spec->to >= SL_RESET_TIME && spec->value < 0)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_group_reset: value is negative");
    if (spec->count && !spec->partitions)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_group_reset: partitions is NULL");
    return SL_OK;
}

static json_t *spec_json(const sl_reset_spec *spec)
{
    static const char *const places[] = {"begin", "end", "time", "offset"};
    json_t *object = json_pack("{s:s}", "to", places[spec->to]);
    bool good = object;
    if (spec->to >= SL_RESET_TIME)
        good &= !json_object_set_new(object, spec->to == SL_RESET_TIME ? "timestamp" : "offset",
                                     json_integer(spec->value));
    json_t *partitions = spec->count ? json_array() : NULL;
    for (size_t i = 0; i < spec->count; i++)
        good &= !json_array_append_new(partitions, json_integer(spec->partitions[i]));
    if (spec->count)
        good &= !json_object_set_new(object, "partitions", partitions);
    if (good)
        return object;
    json_decref(object);
    return NULL;
}

sl_status sl_group_reset(sl_client *client, const char *hrn, const char *layer, const char *group,
                         const sl_reset_spec *spec, sl_group **changed, sl_error *error)
{
    if (changed)
        *changed = NULL;
    sl_status status = check(client, layer, group, error);
    if (!status)
        status = check_spec(spec, error);
    if (status)
        return status;
    json_t *in = spec_json(spec), *answer = NULL;
    if (!in)
        return sl_error_oom(error);
    status = call(client, hrn, layer, "groups/", group, spec->dry_run ? "/offsets?dryRun=true" : "/offsets",
                  in, &answer, error);
    if (!status && changed)
        return group_make(answer, changed, error);
    json_decref(answer);
    return status;
}

/* Objects. */

void sl_group_list_destroy(sl_group_list **list)
{
    if (!list || !*list)
        return;
    for (size_t i = 0; i < (*list)->count; i++)
        group_clear(&(*list)->groups[i]);
    free((*list)->groups);
    free((*list)->text);
    free(*list);
    *list = NULL;
}

void sl_group_destroy(sl_group **group)
{
    if (!group || !*group)
        return;
    group_clear(*group);
    free(*group);
    *group = NULL;
}

size_t sl_group_list_count(const sl_group_list *list)
{
    return list ? list->count : 0;
}

const sl_group *sl_group_list_at(const sl_group_list *list, size_t index)
{
    return list && index < list->count ? &list->groups[index] : NULL;
}

const char *sl_group_name(const sl_group *group)
{
    return group ? text_of(group->value, "group") : NULL;
}

const char *sl_group_kafka_name(const sl_group *group)
{
    return group ? text_of(group->value, "kafkaGroup") : NULL;
}

const char *sl_group_state(const sl_group *group)
{
    return group ? text_of(group->value, "state") : NULL;
}

size_t sl_group_member_count(const sl_group *group)
{
    return group ? group->member_count : 0;
}

bool sl_group_member_at(const sl_group *group, size_t index, sl_group_member *member)
{
    if (!group || !group->members || index >= group->member_count || !member ||
        member->struct_size < sizeof *member)
        return false;
    const struct member *found = &group->members[index];
    *member = (sl_group_member){
        .struct_size = sizeof *member,
        .member_id = text_of(found->value, "memberId"),
        .client_id = text_of(found->value, "clientId"),
        .host = text_of(found->value, "host"),
        .partitions = found->partitions,
        .partition_count = found->count,
    };
    return true;
}

size_t sl_group_partition_count(const sl_group *group)
{
    return group ? group->partition_count : 0;
}

bool sl_group_partition_at(const sl_group *group, size_t index, sl_group_partition *partition)
{
    if (!group || index >= group->partition_count || !partition || partition->struct_size < sizeof *partition)
        return false;
    *partition = group->partitions[index];
    return true;
}

const char *sl_group_json(const sl_group *group)
{
    return group ? group->text : NULL;
}

const char *sl_group_list_json(const sl_group_list *list)
{
    return list ? list->text : NULL;
}

/* Statistics. */

static bool read_statistics(const json_t *answer, sl_layer_statistics *statistics)
{
    const json_t *partitions = json_object_get(answer, "partitions");
    const json_t *gateway = json_object_get(answer, "gateway");
    size_t count = json_array_size(partitions);
    bool good = json_is_array(partitions) && count <= INT32_MAX && json_is_object(gateway) &&
                read_number(answer, "time", 0, &statistics->time_ms) &&
                read_number(gateway, "messagesIn", 0, &statistics->gateway_messages_in) &&
                read_number(gateway, "bytesIn", 0, &statistics->gateway_bytes_in) &&
                read_number(gateway, "messagesOut", 0, &statistics->gateway_messages_out) &&
                read_number(gateway, "bytesOut", 0, &statistics->gateway_bytes_out);
    for (size_t i = 0; i < count && good; i++) {
        const json_t *partition = json_array_get(partitions, i);
        int64_t begin = 0, end = 0;
        good = read_number(partition, "begin", 0, &begin) && read_number(partition, "end", 0, &end) &&
               begin <= end && end <= INT64_MAX - statistics->written;
        if (good) {
            statistics->messages += end - begin;
            statistics->written += end;
        }
    }
    statistics->partitions = (int32_t)count;
    return good;
}

sl_status sl_layer_statistics_get(sl_client *client, const char *hrn, const char *layer,
                                  sl_layer_statistics *statistics, sl_error *error)
{
    sl_status status = check(client, layer, NULL, error);
    if (!status && (!statistics || statistics->struct_size < sizeof *statistics))
        status = sl_error_set(error, SL_INVALID_ARGUMENT,
                              "sl_layer_statistics_get: statistics is NULL, or its struct_size is not "
                              "sizeof(sl_layer_statistics)");
    json_t *answer = NULL;
    if (!status)
        status = call(client, hrn, layer, "statistics", NULL, NULL, NULL, &answer, error);
    if (status)
        return status;
    sl_layer_statistics read = {.struct_size = sizeof read};
    if (read_statistics(answer, &read))
        *statistics = read;
    else
        status = sl_error_set(error, SL_PROTOCOL, "the platform answered statistics that are none");
    json_decref(answer);
    return status;
}
