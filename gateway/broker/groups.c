/*
 * Consumer groups, asked of Kafka several at once. librdkafka 2.0.2 aborts the process when a question to a
 * group's coordinator has timed out inside it and the coordinator is found later. So the questions go through
 * a handle of the call's own, whose time-outs are far beyond the call's end, and which ends with the call.
 */
#include "gateway/broker/groups.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/broker/internal.h"
#include "wire/hrn.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIMEOUT_MS       10000
#define NEVER_MS         3600000 /* what librdkafka allows at most; no handle lives for so long */
#define AT_ONCE          64      /* requests under way */
#define SILENCE_FIRST_MS 1000    /* without an answer: then what is open is asked again */
#define SILENCE_MAX_MS   4000    /* it doubles each time */
#define PAUSE_MS         200     /* after an answer that says "later" */

/* One run of questions, to one deadline. Each answer comes to the queue, with its group as the opaque. */
struct asking {
    struct gw_broker *broker;
    const struct gw_layer *layer;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    int64_t until_ms;
    int silence_ms;
    bool counted, with_members;
    const struct gw_reset *reset; /* for ask_alter */
    const char *prefix;           /* for take_names, which makes the list */
    struct gw_group *listed;
    size_t listed_count;
};

/* A question that is put to each group. */
struct question {
    rd_kafka_event_type_t answer;
    sl_status (*ask)(struct asking *asking, struct gw_group *group);
    sl_status (*take)(struct asking *asking, struct gw_group *group, rd_kafka_event_t *event,
                      sl_error *error);
    bool (*due)(const struct gw_group *group); /* NULL: each is */
};

static sl_status handle_open(struct asking *asking, sl_error *error)
{
    char text[GW_PROPERTY_TEXT_MAX] = "";
    rd_kafka_conf_t *conf;
    sl_status status = gw_kafka_conf(asking->broker, "producer", NULL, 0, &conf, error);
    if (status)
        return status;
    asking->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!asking->rk) {
        rd_kafka_conf_destroy(conf);
        return sl_error_set_retriable(error, SL_UNAVAILABLE, "a handle to ask Kafka with cannot be made: %s",
                                      text);
    }
    asking->queue = rd_kafka_queue_new(asking->rk);
    return SL_OK;
}

/* Quick, whatever is under way: librdkafka drops that. */
static void handle_close(struct asking *asking)
{
    if (!asking->rk)
        return;
    rd_kafka_queue_destroy(asking->queue);
    rd_kafka_destroy(asking->rk);
    asking->rk = NULL;
    asking->queue = NULL;
}

static int64_t bounded_ms(int64_t until_ms)
{
    int64_t most_ms = sl_mono_ms() + TIMEOUT_MS;
    return until_ms < most_ms ? until_ms : most_ms;
}

static sl_status asking_begin(struct asking *asking, struct gw_broker *broker, const struct gw_layer *layer,
                              int64_t until_ms, sl_error *error)
{
    *asking = (struct asking){
        .broker = broker, .layer = layer, .until_ms = bounded_ms(until_ms), .silence_ms = SILENCE_FIRST_MS};
    if (atomic_fetch_add(&broker->group_calls, 1) >= GW_GROUP_CALLS_MAX) {
        atomic_fetch_sub(&broker->group_calls, 1);
        return sl_error_set_retriable(
            error, SL_QUEUE_FULL,
            "%d calls ask Kafka about consumer groups now; no more do so at the same time",
            GW_GROUP_CALLS_MAX);
    }
    asking->counted = true;
    return handle_open(asking, error);
}

static void asking_end(struct asking *asking)
{
    handle_close(asking);
    if (asking->counted)
        atomic_fetch_sub(&asking->broker->group_calls, 1);
}

static int remaining_ms(int64_t until_ms)
{
    int left = sl_remaining_ms(until_ms);
    return left > 0 ? left : 1;
}

/* NULL: memory is out. */
static rd_kafka_AdminOptions_t *options_new(const struct asking *asking, rd_kafka_admin_op_t operation,
                                            struct gw_group *group)
{
    char text[GW_PROPERTY_TEXT_MAX];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(asking->rk, operation);
    if (!options)
        return NULL;
    rd_kafka_AdminOptions_set_request_timeout(options, NEVER_MS, text, sizeof text);
    rd_kafka_AdminOptions_set_opaque(options, group);
    return options;
}

/* Asking each of the groups. */

enum progress { TO_ASK, ASKED, DONE };

struct round {
    struct asking *asking;
    const struct question *question;
    struct gw_group *groups;
    size_t count, next, under_way;
    unsigned char *progress; /* of each group */
};

/* Asks on, up to AT_ONCE groups at a time. */
static sl_status ask_more(struct round *round)
{
    const struct question *question = round->question;
    for (; round->next < round->count && round->under_way < AT_ONCE; round->next++) {
        struct gw_group *group = &round->groups[round->next];
        if (round->progress[round->next] != TO_ASK || (question->due && !question->due(group)))
            continue;
        sl_status status = question->ask(round->asking, group);
        if (status)
            return status;
        round->progress[round->next] = ASKED;
        round->under_way++;
    }
    return SL_OK;
}

/* What is open will be asked once more. */
static void ask_again(struct round *round)
{
    for (size_t i = 0; i < round->next; i++)
        if (round->progress[i] == ASKED)
            round->progress[i] = TO_ASK;
    round->next = round->under_way = 0;
}

/* librdkafka's own text names brokers, which who reads a layer on the Marketplace may not know. NULL: the
 * code's is told. */
static const char *may_tell(const struct asking *asking, const char *text)
{
    return asking->layer->marketplace ? NULL : text;
}

/* An answer. One of an earlier question, or to one that has been answered, is passed over. */
static sl_status take_answer(struct round *round, rd_kafka_event_t *event, sl_error *error)
{
    struct gw_group *group = rd_kafka_event_opaque(event);
    size_t i = ((uintptr_t)group - (uintptr_t)round->groups) / sizeof *group;
    if (rd_kafka_event_type(event) != round->question->answer || i >= round->count ||
        round->progress[i] == DONE)
        return SL_OK;
    if (rd_kafka_event_error(event))
        return gw_kafka_error(rd_kafka_event_error(event),
                              may_tell(round->asking, rd_kafka_event_error_string(event)), "tell of",
                              group->name, error);
    sl_status status = round->question->take(round->asking, group, event, error);
    if (status)
        return status;
    if (round->progress[i] == ASKED)
        round->under_way--;
    round->progress[i] = DONE;
    return SL_OK;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
}

/* Kafka says "later", as a coordinator does that has just moved or begun: librdkafka would go to where it
 * knows it, so it is asked with a new handle. False: there is no time left. */
static bool pause_and_reopen(struct asking *asking, sl_error *error)
{
    if (sl_remaining_ms(asking->until_ms) <= PAUSE_MS)
        return false;
    handle_close(asking);
    pause_a_little();
    return !handle_open(asking, error);
}

static sl_status ask_round(struct round *round, sl_error *error)
{
    struct asking *asking = round->asking;
    for (;;) {
        if (ask_more(round))
            return sl_error_oom(error);
        if (!round->under_way)
            return SL_OK;
        int left = sl_remaining_ms(asking->until_ms);
        rd_kafka_event_t *event =
            left > 0 ? rd_kafka_queue_poll(asking->queue, smaller(left, asking->silence_ms)) : NULL;
        if (!event) {
            /* librdkafka gives up looking for a coordinator after three tries, and does not say so. */
            if (sl_remaining_ms(asking->until_ms) <= 0)
                return error->status ? error->status
                                     : gw_kafka_error(RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, "tell of",
                                                      "consumer groups", error);
            asking->silence_ms = smaller(2 * asking->silence_ms, SILENCE_MAX_MS);
            ask_again(round);
            continue;
        }
        sl_status status = take_answer(round, event, error);
        rd_kafka_event_destroy(event);
        if (!status)
            continue;
        if (!error->retriable || !pause_and_reopen(asking, error))
            return error->status;
        ask_again(round);
    }
}

static sl_status ask_each(struct asking *asking, struct gw_group *groups, size_t count,
                          const struct question *question, sl_error *error)
{
    struct round round = {.asking = asking, .question = question, .groups = groups, .count = count};
    round.progress = calloc(count ? count : 1, sizeof *round.progress);
    if (!round.progress)
        return sl_error_oom(error);
    sl_error reason = {0};
    sl_status status = ask_round(&round, &reason);
    free(round.progress);
    if (status)
        *error = reason;
    return status;
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

static sl_status take_description(struct asking *asking, struct gw_group *group, rd_kafka_event_t *event,
                                  sl_error *error)
{
    size_t count = 0;
    const rd_kafka_ConsumerGroupDescription_t **results = rd_kafka_DescribeConsumerGroups_result_groups(
        rd_kafka_event_DescribeConsumerGroups_result(event), &count);
    if (count != 1)
        return gw_kafka_error(RD_KAFKA_RESP_ERR__BAD_MSG, NULL, "describe group", group->name, error);
    const rd_kafka_error_t *why = rd_kafka_ConsumerGroupDescription_error(results[0]);
    if (why && rd_kafka_error_code(why))
        return gw_kafka_error(rd_kafka_error_code(why), may_tell(asking, rd_kafka_error_string(why)),
                              "describe group", group->name, error);
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

static sl_status take_committed(struct asking *asking, struct gw_group *group, rd_kafka_event_t *event,
                                sl_error *error)
{
    size_t count = 0;
    const rd_kafka_group_result_t **results = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
    if (count != 1)
        return gw_kafka_error(RD_KAFKA_RESP_ERR__BAD_MSG, NULL, "tell the offsets of group", group->name,
                              error);
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
    return code ? gw_kafka_error(code, NULL, "tell the offsets of group", group->name, error) : SL_OK;
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

static sl_status take_names(struct asking *asking, struct gw_group *group, rd_kafka_event_t *event,
                            sl_error *error)
{
    const rd_kafka_ListConsumerGroups_result_t *result = rd_kafka_event_ListConsumerGroups_result(event);
    size_t total = 0, failures = 0, found = 0;
    const rd_kafka_error_t **errors = rd_kafka_ListConsumerGroups_result_errors(result, &failures);
    const rd_kafka_ConsumerGroupListing_t **all = rd_kafka_ListConsumerGroups_result_valid(result, &total);
    /* A list that lacks one broker's groups would look whole. */
    if (failures)
        return gw_kafka_error(rd_kafka_error_code(errors[0]),
                              may_tell(asking, rd_kafka_error_string(errors[0])), "list", group->name, error);
    for (size_t i = 0; i < total; i++)
        found += is_listed(rd_kafka_ConsumerGroupListing_group_id(all[i]), asking->prefix);
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
        if (!is_listed(name, asking->prefix))
            continue;
        if (!group_init(&made[found], name)) {
            gw_groups_free(made, found);
            return sl_error_oom(error);
        }
        made[found++].state = rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupListing_state(all[i]));
    }
    asking->listed = made;
    asking->listed_count = found;
    return SL_OK;
}

/* group stands for all. */
static sl_status ask_names(struct asking *asking, struct gw_group *group)
{
    rd_kafka_AdminOptions_t *options = options_new(asking, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, group);
    if (!options)
        return SL_OUT_OF_MEMORY;
    rd_kafka_ListConsumerGroups(asking->rk, options, asking->queue);
    rd_kafka_AdminOptions_destroy(options);
    return SL_OK;
}

static bool may_have_members(const struct gw_group *group)
{
    return strcmp(group->state, rd_kafka_consumer_group_state_name(RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY)) != 0;
}

static bool is_unsure(const struct gw_group *group)
{
    return !group->reads;
}

static sl_status ask_list(struct asking *asking, sl_error *error)
{
    static const struct question names = {.answer = RD_KAFKA_EVENT_LISTCONSUMERGROUPS_RESULT,
                                          .ask = ask_names,
                                          .take = take_names},
                                 members = {.answer = RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT,
                                            .ask = ask_description,
                                            .take = take_description,
                                            .due = may_have_members},
                                 offsets = {.answer = RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT,
                                            .ask = ask_committed,
                                            .take = take_committed,
                                            .due = is_unsure};
    char name[] = "consumer groups";
    struct gw_group all = {.name = name};
    sl_status status = ask_each(asking, &all, 1, &names, error);
    if (!status)
        status = ask_each(asking, asking->listed, asking->listed_count, &members, error);
    return status ? status : ask_each(asking, asking->listed, asking->listed_count, &offsets, error);
}

static sl_status tell(struct gw_broker *broker, const struct gw_layer *layer, sl_status status,
                      const sl_error *reason, sl_error *error)
{
    if (!status || !error)
        return status;
    *error = *reason;
    return gw_layer_explain(broker, layer, error);
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct gw_group *)a)->name, ((const struct gw_group *)b)->name);
}

sl_status gw_groups_list(struct gw_broker *broker, const struct gw_layer *layer, const char *prefix,
                         int64_t until_ms, struct gw_group **groups, size_t *count, sl_error *error)
{
    sl_error reason = {0};
    struct asking asking;
    sl_status status = asking_begin(&asking, broker, layer, until_ms, &reason);
    asking.prefix = prefix;
    if (!status)
        status = ask_list(&asking, &reason);
    asking_end(&asking);
    *groups = asking.listed;
    *count = asking.listed_count;
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
    return tell(broker, layer, status, &reason, error);
}

/* One group. */

/* Each partition's begin or end, or its first message at or after a time, which is the end where there is
 * none. No coordinator's: librdkafka may give up on them, so the producer's connections do. */
static rd_kafka_resp_err_t ask_offsets(struct gw_broker *broker, const struct gw_layer *layer, int64_t which,
                                       int timeout_ms, int64_t offsets[GW_PARTITIONS_MAX])
{
    rd_kafka_topic_partition_list_t *list = partition_list(layer, which);
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(gw_broker_keep(broker), list, timeout_ms);
    gw_broker_let_go(broker);
    for (int i = 0; i < list->cnt && !code; i++) {
        const rd_kafka_topic_partition_t *partition = &list->elems[i];
        code = partition->err;
        if (!code && partition->offset < 0 && which < 0)
            code = RD_KAFKA_RESP_ERR__TIMED_OUT;
        offsets[partition->partition] = partition->offset < 0 ? INT64_MAX : partition->offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* A leader that has just moved or begun says "later", too. */
static sl_status offsets_of(struct gw_broker *broker, const struct gw_layer *layer, int64_t which,
                            int64_t until_ms, int64_t offsets[GW_PARTITIONS_MAX], sl_error *error)
{
    for (;;) {
        rd_kafka_resp_err_t code = ask_offsets(broker, layer, which, remaining_ms(until_ms), offsets);
        if (!code)
            return SL_OK;
        sl_error reason;
        gw_kafka_error(code, NULL,
                       layer->marketplace ? "tell the offsets of layer" : "tell the offsets of topic",
                       layer->marketplace ? layer->id : layer->topic, &reason);
        if (!reason.retriable || sl_remaining_ms(until_ms) <= PAUSE_MS) {
            *error = reason;
            return reason.status;
        }
        pause_a_little();
    }
}

static sl_status bounds_until(struct gw_broker *broker, const struct gw_layer *layer, int64_t until_ms,
                              struct gw_group_partition partitions[GW_PARTITIONS_MAX], sl_error *error)
{
    int64_t begins[GW_PARTITIONS_MAX] = {0}, ends[GW_PARTITIONS_MAX] = {0};
    sl_status status = offsets_of(broker, layer, RD_KAFKA_OFFSET_BEGINNING, until_ms, begins, error);
    if (!status)
        status = offsets_of(broker, layer, RD_KAFKA_OFFSET_END, until_ms, ends, error);
    for (int i = 0; i < layer->parallelization && !status; i++) {
        partitions[i].begin = begins[i];
        partitions[i].end = ends[i];
    }
    return status;
}

sl_status gw_layer_bounds(struct gw_broker *broker, const struct gw_layer *layer, int64_t until_ms,
                          struct gw_group_partition partitions[GW_PARTITIONS_MAX], sl_error *error)
{
    sl_error reason = {0};
    sl_status status = bounds_until(broker, layer, bounded_ms(until_ms), partitions, &reason);
    return tell(broker, layer, status, &reason, error);
}

static sl_status describe(struct asking *asking, struct gw_group *group, sl_error *error)
{
    static const struct question members = {.answer = RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT,
                                            .ask = ask_description,
                                            .take = take_description},
                                 offsets = {.answer = RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT,
                                            .ask = ask_committed,
                                            .take = take_committed};
    group->partition_count = (size_t)asking->layer->parallelization;
    asking->with_members = true;
    sl_status status = ask_each(asking, group, 1, &members, error);
    if (!status)
        status = ask_each(asking, group, 1, &offsets, error);
    /* Last: a commit that came meanwhile is not behind the end. */
    return status ? status
                  : bounds_until(asking->broker, asking->layer, asking->until_ms, group->partitions, error);
}

sl_status gw_group_describe(struct gw_broker *broker, const struct gw_layer *layer, const char *name,
                            int64_t until_ms, struct gw_group *group, sl_error *error)
{
    sl_error reason = {0};
    if (!group_init(group, name))
        return sl_error_oom(error);
    struct asking asking;
    sl_status status = asking_begin(&asking, broker, layer, until_ms, &reason);
    if (!status)
        status = describe(&asking, group, &reason);
    asking_end(&asking);
    return tell(broker, layer, status, &reason, error);
}

/* Resets. */

static sl_status aim(const struct asking *asking, struct gw_group *group, sl_error *error)
{
    const struct gw_reset *reset = asking->reset;
    int64_t wanted[GW_PARTITIONS_MAX] = {0};
    if (reset->to == GW_RESET_TIME) {
        sl_status status =
            offsets_of(asking->broker, asking->layer, reset->value, asking->until_ms, wanted, error);
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
    return sl_error_set(error, SL_CONFLICT, "the consumer group %s has %zu %s: %s%s", group->name,
                        group->member_count, sl_plural(group->member_count, "member", "members"),
                        group->members[0].id, group->member_count == 1 ? "" : ", …");
}

static sl_status take_altered(struct asking *asking, struct gw_group *group, rd_kafka_event_t *event,
                              sl_error *error)
{
    (void)asking;
    size_t count = 0;
    const rd_kafka_group_result_t **results = rd_kafka_AlterConsumerGroupOffsets_result_groups(
        rd_kafka_event_AlterConsumerGroupOffsets_result(event), &count);
    if (count != 1)
        return gw_kafka_error(RD_KAFKA_RESP_ERR__BAD_MSG, NULL, "reset group", group->name, error);
    const rd_kafka_error_t *why = rd_kafka_group_result_error(results[0]);
    rd_kafka_resp_err_t code = why ? rd_kafka_error_code(why) : RD_KAFKA_RESP_ERR_NO_ERROR;
    const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(results[0]);
    for (int i = 0; list && i < list->cnt && !code; i++)
        code = list->elems[i].err;
    /* Kafka takes offsets from one who is no member only while there are none. */
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID || code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS ||
        code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION || code == RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP)
        return has_members(group, error);
    return code ? gw_kafka_error(code, NULL, "reset group", group->name, error) : SL_OK;
}

/* Commits what aim has chosen; the same again does no harm. */
static sl_status ask_alter(struct asking *asking, struct gw_group *group)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)group->partition_count);
    for (int i = 0; i < (int)group->partition_count; i++)
        if (asking->reset->all || asking->reset->chosen[i])
            rd_kafka_topic_partition_list_add(list, asking->layer->topic, i)->offset =
                group->partitions[i].committed;
    rd_kafka_AlterConsumerGroupOffsets_t *wanted = rd_kafka_AlterConsumerGroupOffsets_new(group->name, list);
    rd_kafka_AdminOptions_t *options =
        options_new(asking, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, group);
    if (options) {
        rd_kafka_AlterConsumerGroupOffsets(asking->rk, &wanted, 1, options, asking->queue);
        rd_kafka_AdminOptions_destroy(options);
    }
    rd_kafka_AlterConsumerGroupOffsets_destroy(wanted);
    rd_kafka_topic_partition_list_destroy(list);
    return options ? SL_OK : SL_OUT_OF_MEMORY;
}

static sl_status reset_it(struct asking *asking, struct gw_group *group, sl_error *error)
{
    static const struct question alter = {
        .answer = RD_KAFKA_EVENT_ALTERCONSUMERGROUPOFFSETS_RESULT, .ask = ask_alter, .take = take_altered};
    sl_status status = describe(asking, group, error);
    if (!status && group->member_count)
        status = has_members(group, error);
    if (!status)
        status = aim(asking, group, error);
    if (status || asking->reset->dry_run)
        return status;
    if (asking->reset->before && (status = asking->reset->before(asking->reset->opaque, group, error)))
        return status;
    status = ask_each(asking, group, 1, &alter, error);
    if (!status)
        group->state = rd_kafka_consumer_group_state_name(RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY);
    return status;
}

sl_status gw_group_reset(struct gw_broker *broker, const struct gw_layer *layer, const char *name,
                         const struct gw_reset *reset, int64_t until_ms, struct gw_group *group,
                         sl_error *error)
{
    sl_error reason = {0};
    if (!group_init(group, name))
        return sl_error_oom(error);
    struct asking asking;
    sl_status status = asking_begin(&asking, broker, layer, until_ms, &reason);
    asking.reset = reset;
    if (!status)
        status = reset_it(&asking, group, &reason);
    asking_end(&asking);
    return tell(broker, layer, status, &reason, error);
}
