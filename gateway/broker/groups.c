/* Consumer groups: asked of Kafka through the producer's connections, several requests at once. */
#include "gateway/broker/groups.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/broker/internal.h"
#include "wire/hrn.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000
#define GRACE_MS   1000 /* librdkafka's own word on a time-out comes before ours */
#define AT_ONCE    64   /* requests under way */

/* One run of questions. Each answer comes to the queue, with its group as the opaque. */
struct asking {
    struct gw_broker *broker;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    const struct gw_layer *layer;
    int64_t until_ms;
    bool with_members;
};

static void asking_begin(struct asking *asking, struct gw_broker *broker, const struct gw_layer *layer)
{
    *asking = (struct asking){.broker = broker, .rk = gw_broker_keep(broker), .layer = layer};
    asking->queue = rd_kafka_queue_new(asking->rk);
    asking->until_ms = sl_mono_ms() + TIMEOUT_MS;
}

/* Answers that are still to come are dropped by librdkafka. */
static void asking_end(struct asking *asking)
{
    rd_kafka_queue_destroy(asking->queue);
    gw_broker_let_go(asking->broker);
}

static int remaining_ms(const struct asking *asking)
{
    int left = sl_remaining_ms(asking->until_ms);
    return left > 0 ? left : 1;
}

static sl_status kafka_error(rd_kafka_resp_err_t code, const char *text, const char *what, const char *name,
                             sl_error *error)
{
    bool retriable;
    sl_status status = gw_kafka_status(code, &retriable);
    if (!text || !*text)
        text = rd_kafka_err2str(code);
    if (retriable)
        return sl_error_set_retriable(error, status == SL_TIMED_OUT ? SL_TIMED_OUT : SL_UNAVAILABLE,
                                      "Kafka did not %s %s: %s", what, name, text);
    return sl_error_set(error, status == SL_NOT_FOUND ? SL_NOT_FOUND : SL_KAFKA, "Kafka did not %s %s: %s",
                        what, name, text);
}

/* NULL: memory is out, and librdkafka takes its own options. */
static rd_kafka_AdminOptions_t *options_new(const struct asking *asking, rd_kafka_admin_op_t operation,
                                            struct gw_group *group)
{
    char text[GW_PROPERTY_TEXT_MAX];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(asking->rk, operation);
    if (!options)
        return NULL;
    rd_kafka_AdminOptions_set_request_timeout(options, remaining_ms(asking), text, sizeof text);
    rd_kafka_AdminOptions_set_opaque(options, group);
    return options;
}

/* The next answer; NULL, and the error is set: none came, or it is a failure. */
static rd_kafka_event_t *next_answer(const struct asking *asking, const char *what, const char *name,
                                     sl_error *error)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(asking->queue, remaining_ms(asking) + GRACE_MS);
    if (!event) {
        kafka_error(RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, what, name, error);
        return NULL;
    }
    if (!rd_kafka_event_error(event))
        return event;
    const struct gw_group *group = rd_kafka_event_opaque(event);
    kafka_error(rd_kafka_event_error(event), rd_kafka_event_error_string(event), what,
                group ? group->name : name, error);
    rd_kafka_event_destroy(event);
    return NULL;
}

/* Members. */

static bool is_of_layer(const struct gw_layer *layer, const rd_kafka_topic_partition_t *partition)
{
    return partition->partition >= 0 && partition->partition < layer->parallelization &&
           !strcmp(partition->topic, layer->topic);
}

/* The layer's partitions among those of a member. */
static void assigned(const struct gw_layer *layer, const rd_kafka_MemberDescription_t *member,
                     bool has[GW_PARTITIONS_MAX])
{
    const rd_kafka_MemberAssignment_t *assignment = rd_kafka_MemberDescription_assignment(member);
    const rd_kafka_topic_partition_list_t *list =
        assignment ? rd_kafka_MemberAssignment_partitions(assignment) : NULL;
    memset(has, 0, GW_PARTITIONS_MAX * sizeof *has);
    for (int i = 0; list && i < list->cnt; i++)
        if (is_of_layer(layer, &list->elems[i]))
            has[list->elems[i].partition] = true;
}

static bool member_fill(struct gw_group_member *into, const rd_kafka_MemberDescription_t *member)
{
    into->id = sl_strdup(rd_kafka_MemberDescription_consumer_id(member));
    into->client_id = sl_strdup(rd_kafka_MemberDescription_client_id(member));
    into->host = sl_strdup(rd_kafka_MemberDescription_host(member));
    return into->id && into->client_id && into->host;
}

static sl_status take_description(const struct asking *asking, struct gw_group *group,
                                  const rd_kafka_event_t *event, sl_error *error)
{
    size_t count = 0;
    const rd_kafka_ConsumerGroupDescription_t **results = rd_kafka_DescribeConsumerGroups_result_groups(
        rd_kafka_event_DescribeConsumerGroups_result((rd_kafka_event_t *)(uintptr_t)event), &count);
    if (count != 1)
        return kafka_error(RD_KAFKA_RESP_ERR__BAD_MSG, NULL, "describe group", group->name, error);
    const rd_kafka_error_t *why = rd_kafka_ConsumerGroupDescription_error(results[0]);
    if (why && rd_kafka_error_code(why))
        return kafka_error(rd_kafka_error_code(why), rd_kafka_error_string(why), "describe group",
                           group->name, error);
    group->state = rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(results[0]));
    size_t members = rd_kafka_ConsumerGroupDescription_member_count(results[0]);
    if (asking->with_members && !(group->members = calloc(members ? members : 1, sizeof *group->members)))
        return sl_error_oom(error);
    group->member_count = members;
    for (size_t i = 0; i < members; i++) {
        const rd_kafka_MemberDescription_t *member = rd_kafka_ConsumerGroupDescription_member(results[0], i);
        bool has[GW_PARTITIONS_MAX];
        assigned(asking->layer, member, has);
        if (group->members && !member_fill(&group->members[i], member))
            return sl_error_oom(error);
        for (int32_t p = 0; p < GW_PARTITIONS_MAX; p++) {
            group->reads |= has[p];
            if (has[p] && group->members)
                group->members[i].partitions[group->members[i].count++] = p;
        }
    }
    return SL_OK;
}

static sl_status ask_description(struct asking *asking, struct gw_group *group)
{
    const char *names[] = {group->name};
    rd_kafka_AdminOptions_t *options = options_new(asking, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, group);
    if (!options)
        return SL_OUT_OF_MEMORY;
    rd_kafka_DescribeConsumerGroups(asking->rk, names, 1, options, asking->queue);
    rd_kafka_AdminOptions_destroy(options);
    return SL_OK;
}

/* Offsets. */

static rd_kafka_topic_partition_list_t *partition_list(const struct gw_layer *layer, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(layer->parallelization);
    for (int i = 0; i < layer->parallelization; i++)
        rd_kafka_topic_partition_list_add(list, layer->topic, i)->offset = offset;
    return list;
}

static sl_status take_committed(const struct asking *asking, struct gw_group *group,
                                const rd_kafka_event_t *event, sl_error *error)
{
    size_t count = 0;
    const rd_kafka_group_result_t **results = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result((rd_kafka_event_t *)(uintptr_t)event), &count);
    if (count != 1)
        return kafka_error(RD_KAFKA_RESP_ERR__BAD_MSG, NULL, "tell the offsets of group", group->name, error);
    const rd_kafka_error_t *why = rd_kafka_group_result_error(results[0]);
    rd_kafka_resp_err_t code = why ? rd_kafka_error_code(why) : RD_KAFKA_RESP_ERR_NO_ERROR;
    const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(results[0]);
    for (int i = 0; list && i < list->cnt && !code; i++) {
        const rd_kafka_topic_partition_t *partition = &list->elems[i];
        code = partition->err;
        if (code || partition->offset < 0 || !is_of_layer(asking->layer, partition))
            continue;
        group->partitions[partition->partition].committed = partition->offset;
        group->reads = true;
    }
    return code ? kafka_error(code, NULL, "tell the offsets of group", group->name, error) : SL_OK;
}

static sl_status ask_committed(struct asking *asking, struct gw_group *group)
{
    rd_kafka_topic_partition_list_t *list = partition_list(asking->layer, RD_KAFKA_OFFSET_INVALID);
    rd_kafka_ListConsumerGroupOffsets_t *wanted = rd_kafka_ListConsumerGroupOffsets_new(group->name, list);
    rd_kafka_AdminOptions_t *options = options_new(asking, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, group);
    if (options) {
        rd_kafka_ListConsumerGroupOffsets(asking->rk, &wanted, 1, options, asking->queue);
        rd_kafka_AdminOptions_destroy(options);
    }
    rd_kafka_ListConsumerGroupOffsets_destroy(wanted);
    rd_kafka_topic_partition_list_destroy(list);
    return options ? SL_OK : SL_OUT_OF_MEMORY;
}

/* Asks about each group that is due, AT_ONCE of them at a time. */
static sl_status ask_each(struct asking *asking, struct gw_group *groups, size_t count,
                          bool (*due)(const struct gw_group *group),
                          sl_status (*ask)(struct asking *asking, struct gw_group *group), sl_error *error)
{
    size_t next = 0, under_way = 0;
    for (;;) {
        for (; next < count && under_way < AT_ONCE; next++) {
            if (!due(&groups[next]))
                continue;
            if (ask(asking, &groups[next]))
                return sl_error_oom(error);
            under_way++;
        }
        if (!under_way)
            return SL_OK;
        rd_kafka_event_t *event = next_answer(asking, "describe", "consumer groups", error);
        if (!event)
            return error->status;
        under_way--;
        struct gw_group *group = rd_kafka_event_opaque(event);
        sl_status status = rd_kafka_event_type(event) == RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT
                               ? take_description(asking, group, event, error)
                               : take_committed(asking, group, event, error);
        rd_kafka_event_destroy(event);
        if (status)
            return status;
    }
}

/* Lists. */

static bool group_init(struct gw_group *group, const char *name)
{
    memset(group, 0, sizeof *group);
    group->state = rd_kafka_consumer_group_state_name(RD_KAFKA_CONSUMER_GROUP_STATE_UNKNOWN);
    for (size_t i = 0; i < GW_PARTITIONS_MAX; i++)
        group->partitions[i].committed = group->partitions[i].before = -1;
    group->name = sl_strdup(name);
    return group->name;
}

void gw_group_clear(struct gw_group *group)
{
    for (size_t i = 0; group->members && i < group->member_count; i++) {
        free(group->members[i].id);
        free(group->members[i].client_id);
        free(group->members[i].host);
    }
    free(group->members);
    free(group->name);
    memset(group, 0, sizeof *group);
}

void gw_groups_free(struct gw_group *groups, size_t count)
{
    for (size_t i = 0; i < count; i++)
        gw_group_clear(&groups[i]);
    free(groups);
}

/* Names that no application of ours can have chosen cannot be asked for either. */
static bool is_listed(const char *name, const char *prefix)
{
    size_t size = strlen(prefix);
    return !strncmp(name, prefix, size) && !sl_group_check(name + size, NULL);
}

static sl_status take_names(const rd_kafka_ConsumerGroupListing_t *const *all, size_t total,
                            const char *prefix, struct gw_group **groups, size_t *count, sl_error *error)
{
    size_t found = 0;
    for (size_t i = 0; i < total; i++)
        found += is_listed(rd_kafka_ConsumerGroupListing_group_id(all[i]), prefix);
    if (found > GW_GROUPS_MAX)
        return sl_error_set(error, SL_TOO_LARGE,
                            "the application has %zu consumer groups; at most %d are looked through for "
                            "those of a layer",
                            found, GW_GROUPS_MAX);
    struct gw_group *made = calloc(found ? found : 1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    found = 0;
    for (size_t i = 0; i < total; i++) {
        const char *name = rd_kafka_ConsumerGroupListing_group_id(all[i]);
        if (!is_listed(name, prefix))
            continue;
        if (!group_init(&made[found], name)) {
            gw_groups_free(made, found);
            return sl_error_oom(error);
        }
        made[found++].state = rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupListing_state(all[i]));
    }
    *groups = made;
    *count = found;
    return SL_OK;
}

static sl_status ask_names(struct asking *asking, const char *prefix, struct gw_group **groups, size_t *count,
                           sl_error *error)
{
    rd_kafka_AdminOptions_t *options = options_new(asking, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, NULL);
    if (!options)
        return sl_error_oom(error);
    rd_kafka_ListConsumerGroups(asking->rk, options, asking->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_event_t *event = next_answer(asking, "list", "consumer groups", error);
    if (!event)
        return error->status;
    const rd_kafka_ListConsumerGroups_result_t *result = rd_kafka_event_ListConsumerGroups_result(event);
    size_t total = 0, failures = 0;
    const rd_kafka_error_t **errors = rd_kafka_ListConsumerGroups_result_errors(result, &failures);
    const rd_kafka_ConsumerGroupListing_t **all = rd_kafka_ListConsumerGroups_result_valid(result, &total);
    /* A list that lacks one broker's groups would look whole. */
    sl_status status = failures
                           ? kafka_error(rd_kafka_error_code(errors[0]), rd_kafka_error_string(errors[0]),
                                         "list", "consumer groups", error)
                           : take_names(all, total, prefix, groups, count, error);
    rd_kafka_event_destroy(event);
    return status;
}

static bool may_have_members(const struct gw_group *group)
{
    return strcmp(group->state, rd_kafka_consumer_group_state_name(RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY)) != 0;
}

static bool is_unsure(const struct gw_group *group)
{
    return !group->reads;
}

static bool is_any(const struct gw_group *group)
{
    return group->name != NULL;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct gw_group *)a)->name, ((const struct gw_group *)b)->name);
}

sl_status gw_groups_list(struct gw_broker *broker, const struct gw_layer *layer, const char *prefix,
                         struct gw_group **groups, size_t *count, sl_error *error)
{
    sl_error reason = {0};
    struct asking asking;
    *groups = NULL;
    *count = 0;
    asking_begin(&asking, broker, layer);
    sl_status status = ask_names(&asking, prefix, groups, count, &reason);
    if (!status)
        status = ask_each(&asking, *groups, *count, may_have_members, ask_description, &reason);
    if (!status)
        status = ask_each(&asking, *groups, *count, is_unsure, ask_committed, &reason);
    asking_end(&asking);
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        if (!status && (*groups)[i].reads)
            (*groups)[kept++] = (*groups)[i];
        else
            gw_group_clear(&(*groups)[i]);
    }
    *count = kept;
    if (kept > 1)
        qsort(*groups, kept, sizeof **groups, compare);
    if (status && error)
        *error = reason;
    return status;
}

/* One group. */

static sl_status bounds(struct gw_broker *broker, const struct gw_layer *layer, int64_t which,
                        int64_t offsets[GW_PARTITIONS_MAX], sl_error *error)
{
    rd_kafka_topic_partition_list_t *list = partition_list(layer, which);
    rd_kafka_resp_err_t code = gw_broker_offsets(broker, list);
    for (int i = 0; i < list->cnt && !code; i++)
        offsets[list->elems[i].partition] = list->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return code ? kafka_error(code, NULL, "tell the offsets of topic", layer->topic, error) : SL_OK;
}

sl_status gw_layer_bounds(struct gw_broker *broker, const struct gw_layer *layer,
                          struct gw_group_partition partitions[GW_PARTITIONS_MAX], sl_error *error)
{
    int64_t begins[GW_PARTITIONS_MAX] = {0}, ends[GW_PARTITIONS_MAX] = {0};
    sl_status status = bounds(broker, layer, RD_KAFKA_OFFSET_BEGINNING, begins, error);
    if (!status)
        status = bounds(broker, layer, RD_KAFKA_OFFSET_END, ends, error);
    for (int i = 0; i < layer->parallelization && !status; i++) {
        partitions[i].begin = begins[i];
        partitions[i].end = ends[i];
    }
    return status;
}

sl_status gw_group_describe(struct gw_broker *broker, const struct gw_layer *layer, const char *name,
                            struct gw_group *group, sl_error *error)
{
    sl_error reason = {0};
    if (!group_init(group, name))
        return sl_error_oom(error);
    group->partition_count = (size_t)layer->parallelization;
    struct asking asking;
    asking_begin(&asking, broker, layer);
    asking.with_members = true;
    sl_status status = ask_each(&asking, group, 1, is_any, ask_description, &reason);
    if (!status)
        status = ask_each(&asking, group, 1, is_any, ask_committed, &reason);
    asking_end(&asking);
    if (!status) /* last: a commit that came meanwhile is not behind the end */
        status = gw_layer_bounds(broker, layer, group->partitions, &reason);
    if (status && error)
        *error = reason;
    return status;
}

/* Resets. */

/* Each partition's first message at or after a time; the end where there is none. */
static sl_status offsets_at(struct gw_broker *broker, const struct gw_layer *layer, int64_t time_ms,
                            int64_t offsets[GW_PARTITIONS_MAX], sl_error *error)
{
    rd_kafka_topic_partition_list_t *list = partition_list(layer, time_ms);
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(gw_broker_keep(broker), list, TIMEOUT_MS);
    gw_broker_let_go(broker);
    for (int i = 0; i < list->cnt && !code; i++) {
        code = list->elems[i].err;
        offsets[list->elems[i].partition] = list->elems[i].offset < 0 ? INT64_MAX : list->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code ? kafka_error(code, NULL, "tell the offsets of topic", layer->topic, error) : SL_OK;
}

static sl_status aim(struct gw_broker *broker, const struct gw_layer *layer, const struct gw_reset *reset,
                     struct gw_group *group, sl_error *error)
{
    int64_t wanted[GW_PARTITIONS_MAX] = {0};
    if (reset->to == GW_RESET_TIME) {
        sl_status status = offsets_at(broker, layer, reset->value, wanted, error);
        if (status)
            return status;
    }
    for (size_t i = 0; i < group->partition_count; i++) {
        struct gw_group_partition *partition = &group->partitions[i];
        partition->before = partition->committed;
        if (!reset->all && !reset->chosen[i])
            continue;
        int64_t offset = reset->to == GW_RESET_BEGIN    ? partition->begin
                         : reset->to == GW_RESET_END    ? partition->end
                         : reset->to == GW_RESET_OFFSET ? reset->value
                                                        : wanted[i];
        partition->committed = offset < partition->begin ? partition->begin
                               : offset > partition->end ? partition->end
                                                         : offset;
    }
    return SL_OK;
}

static sl_status has_members(const struct gw_group *group, sl_error *error)
{
    if (!group->member_count)
        return sl_error_set(error, SL_CONFLICT, "the consumer group %s has got members meanwhile",
                            group->name);
    return sl_error_set(error, SL_CONFLICT, "the consumer group %s has %zu member%s: %s%s", group->name,
                        group->member_count, group->member_count == 1 ? "" : "s", group->members[0].id,
                        group->member_count == 1 ? "" : ", …");
}

static sl_status take_altered(const struct gw_group *group, rd_kafka_event_t *event, sl_error *error)
{
    size_t count = 0;
    const rd_kafka_group_result_t **results = rd_kafka_AlterConsumerGroupOffsets_result_groups(
        rd_kafka_event_AlterConsumerGroupOffsets_result(event), &count);
    if (count != 1)
        return kafka_error(RD_KAFKA_RESP_ERR__BAD_MSG, NULL, "reset group", group->name, error);
    const rd_kafka_error_t *why = rd_kafka_group_result_error(results[0]);
    rd_kafka_resp_err_t code = why ? rd_kafka_error_code(why) : RD_KAFKA_RESP_ERR_NO_ERROR;
    const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(results[0]);
    for (int i = 0; list && i < list->cnt && !code; i++)
        code = list->elems[i].err;
    /* Kafka takes offsets from one who is no member only while there are none. */
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID || code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS ||
        code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION || code == RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP)
        return has_members(group, error);
    return code ? kafka_error(code, NULL, "reset group", group->name, error) : SL_OK;
}

/* Commits what aim has chosen. */
static sl_status alter(struct asking *asking, struct gw_group *group, const struct gw_reset *reset,
                       sl_error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)group->partition_count);
    for (int i = 0; i < (int)group->partition_count; i++)
        if (reset->all || reset->chosen[i])
            rd_kafka_topic_partition_list_add(list, asking->layer->topic, i)->offset =
                group->partitions[i].committed;
    rd_kafka_AlterConsumerGroupOffsets_t *wanted = rd_kafka_AlterConsumerGroupOffsets_new(group->name, list);
    rd_kafka_AdminOptions_t *options =
        options_new(asking, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, group);
    sl_status status = options ? SL_OK : sl_error_oom(error);
    if (options) {
        rd_kafka_AlterConsumerGroupOffsets(asking->rk, &wanted, 1, options, asking->queue);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_event_t *event = next_answer(asking, "reset", "the group", error);
        status = event ? take_altered(group, event, error) : error->status;
        if (event)
            rd_kafka_event_destroy(event);
    }
    rd_kafka_AlterConsumerGroupOffsets_destroy(wanted);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

sl_status gw_group_reset(struct gw_broker *broker, const struct gw_layer *layer, const char *name,
                         const struct gw_reset *reset, struct gw_group *group, sl_error *error)
{
    sl_error reason = {0};
    sl_status status = gw_group_describe(broker, layer, name, group, &reason);
    if (!status && group->member_count)
        status = has_members(group, &reason);
    if (!status)
        status = aim(broker, layer, reset, group, &reason);
    if (!status && !reset->dry_run) {
        struct asking asking;
        asking_begin(&asking, broker, layer);
        status = alter(&asking, group, reset, &reason);
        asking_end(&asking);
        if (!status)
            group->state = rd_kafka_consumer_group_state_name(RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY);
    }
    if (status && error)
        *error = reason;
    return status;
}
