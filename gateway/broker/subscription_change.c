/* Committing, seeking, unsubscribing, and the line of what waits: on the subscription's loop. */
#include "gateway/broker/subscription.h"

#include "base/error.h"
#include "base/time.h"

#include <stddef.h>
#include <stdlib.h>

static void tell(struct gw_change *change, sl_status status)
{
    change->told = true;
    change->status = status;
    change->done(change);
}

void gw_change_end(struct gw_change *change, sl_status status)
{
    gw_timer_cancel(change->subscription->loop, &change->timer);
    if (!change->told)
        tell(change, status);
    change->released(change);
}

/* Its caller waits no longer. What is under way goes on: Kafka may do it yet. */
static void overdue(struct gw_timer *timer)
{
    struct gw_change *change =
        (struct gw_change *)(void *)((char *)timer - offsetof(struct gw_change, timer));
    sl_error_set_retriable(&change->error, SL_TIMED_OUT, "it is not done in time, and may be done yet");
    tell(change, gw_layer_explain(change->subscription->broker, change->subscription->layer, &change->error));
}

sl_status gw_subscription_not_assigned(const struct gw_layer *layer, struct gw_change *change,
                                       int32_t partition)
{
    if (change->status)
        return change->status; /* the first failure is told */
    change->status = SL_CONFLICT;
    if (partition >= layer->parallelization)
        return sl_error_set(&change->error, SL_CONFLICT,
                            "there is no Kafka partition %d: layer %s has %d, numbered from 0",
                            (int)partition, layer->id, layer->parallelization);
    return sl_error_set(&change->error, SL_CONFLICT,
                        "Kafka partition %d is not this subscription's (any more): the group gave it to "
                        "another one",
                        (int)partition);
}

/* A commit that lies before where the group had the partition when it gave it: of messages from before it was
 * away, and somebody else has got on since. It would set the group back. */
static bool is_late(const struct gw_share *share, struct gw_change *change, int64_t offset)
{
    if (share->begin < 0 || offset + 1 >= share->begin)
        return false;
    if (change->status)
        return true;
    change->late = true;
    change->status =
        sl_error_set(&change->error, SL_CONFLICT,
                     "offset %lld of Kafka partition %d comes too late: the partition was taken away "
                     "and given again, and the group was at %lld by then",
                     (long long)offset, (int)share->partition, (long long)share->begin);
    return true;
}

/* The offsets of our partitions as a list, `more` added; a partition named twice counts with its highest
 * (commit) or last (seek). */
static rd_kafka_topic_partition_list_t *list_of(struct gw_subscription *subscription,
                                                struct gw_change *change, int64_t more, bool highest)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)subscription->share_count);
    for (size_t i = 0; i < change->count; i++) {
        sl_offset offset = change->offsets[i];
        const struct gw_share *share = gw_subscription_share(subscription, offset.partition);
        if (!share)
            gw_subscription_not_assigned(subscription->layer, change, offset.partition);
        if (!share || (highest && is_late(share, change, offset.offset)))
            continue;
        const char *topic = subscription->layer->topic;
        rd_kafka_topic_partition_t *found = rd_kafka_topic_partition_list_find(list, topic, offset.partition);
        if (!found) {
            found = rd_kafka_topic_partition_list_add(list, topic, offset.partition);
            found->offset = offset.offset + more;
        } else if (!highest || offset.offset + more > found->offset) {
            found->offset = offset.offset + more;
        }
    }
    return list;
}

static void commit(struct gw_subscription *subscription, struct gw_change *change)
{
    rd_kafka_topic_partition_list_t *list = list_of(subscription, change, 1, true);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    bool sent = false;
    if (list->cnt) {
        /* The result is an event on the control queue, with the change in it. */
        code = rd_kafka_commit_queue(subscription->rk, list, subscription->control, NULL, change);
        sent = !code;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (sent) {
        change->next = subscription->commits;
        subscription->commits = change;
        return;
    }
    if (code) {
        bool retriable;
        change->status = gw_kafka_status(code, &retriable);
        sl_error_set(&change->error, change->status, "Kafka did not commit: %s", rd_kafka_err2str(code));
        change->error.retriable = retriable;
    }
    gw_change_end(change, change->status);
}

/* Whether all that is to be committed is known to be written. What librdkafka was told with its last fetch
 * may be old, so it can say yes, but not no. */
static bool is_written(const struct gw_subscription *subscription, const struct gw_change *change)
{
    for (size_t i = 0; i < change->count; i++) {
        sl_offset offset = change->offsets[i];
        struct gw_share *share = gw_subscription_share(subscription, offset.partition);
        int64_t begin, end;
        if (!share || offset.offset < share->taken || offset.offset < share->end)
            continue;
        if (!rd_kafka_get_watermark_offsets(subscription->rk, subscription->layer->topic, offset.partition,
                                            &begin, &end) &&
            end > share->end)
            share->end = end;
        if (offset.offset >= share->end)
            return false;
    }
    return true;
}

/* A commit that is first in the line, since it may name what is not written: Kafka is asked. */
static void ask_ends(struct gw_subscription *subscription, const struct gw_change *change)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)subscription->share_count);
    const char *topic = subscription->layer->topic;
    for (size_t i = 0; i < change->count; i++) {
        int32_t partition = change->offsets[i].partition;
        if (gw_subscription_share(subscription, partition) &&
            !rd_kafka_topic_partition_list_find(list, topic, partition))
            rd_kafka_topic_partition_list_add(list, topic, partition)->offset = RD_KAFKA_OFFSET_END;
    }
    gw_subscription_set_list(subscription, list);
    gw_subscription_start_job(subscription, GW_STEP_ENDS);
}

static void ends_done(struct gw_subscription *subscription)
{
    struct gw_change *change = subscription->orders;
    const char *topic = subscription->layer->topic;
    if (!change)
        return; /* it was ended with the subscription */
    sl_status status = subscription->job_status;
    change->error = subscription->job_error;
    for (size_t i = 0; i < change->count && !status; i++) {
        sl_offset offset = change->offsets[i];
        const rd_kafka_topic_partition_t *end =
            rd_kafka_topic_partition_list_find(subscription->list, topic, offset.partition);
        if (end && offset.offset >= end->offset)
            status = sl_error_set(
                &change->error, SL_INVALID_ARGUMENT,
                "offset %lld of Kafka partition %d is not written yet: the next message there will "
                "have %lld",
                (long long)offset.offset, (int)offset.partition, (long long)end->offset);
    }
    if (status) {
        gw_subscription_order_end(subscription, status);
        return;
    }
    subscription->orders = change->next;
    commit(subscription, change);
}

/* The first error of a commit: of the whole, or of a partition. */
static rd_kafka_resp_err_t error_of(rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    for (int i = 0; list && i < list->cnt && !code; i++)
        code = list->elems[i].err;
    return code;
}

static sl_status commit_status(struct gw_change *change, rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return change->status;
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
        return sl_error_set(&change->error, SL_CONFLICT, "the group is sharing its partitions out anew (%s)",
                            rd_kafka_err2name(code));
    default: {
        bool retriable;
        sl_status status = gw_kafka_status(code, &retriable);
        sl_error_set(&change->error, status, "Kafka did not commit: %s", rd_kafka_err2str(code));
        change->error.retriable = retriable;
        return status;
    }
    }
}

/* What Kafka took of a commit. */
static void note_committed(const struct gw_subscription *subscription,
                           const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; list && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *done = &list->elems[i];
        struct gw_share *share =
            done->err || done->offset < 0 ? NULL : gw_subscription_share(subscription, done->partition);
        if (share)
            share->group = done->offset;
    }
}

void gw_subscription_committed(struct gw_subscription *subscription, rd_kafka_event_t *event)
{
    struct gw_change *change = rd_kafka_event_opaque(event);
    rd_kafka_resp_err_t code = error_of(event);
    if (!rd_kafka_event_error(event))
        note_committed(subscription, rd_kafka_event_topic_partition_list(event));
    if (change) {
        struct gw_change **link = &subscription->commits;
        while (*link != change)
            link = &(*link)->next;
        *link = change->next;
        gw_change_end(change, commit_status(change, code));
    } else if (code && code != RD_KAFKA_RESP_ERR__NO_OFFSET) {
        SL_INFO(&subscription->all->log, "group %s: automatic commit: %s", subscription->group,
                rd_kafka_err2str(code));
        for (size_t i = 0; i < subscription->share_count; i++)
            subscription->shares[i].committed = -1; /* with the next one again */
    }
}

rd_kafka_topic_partition_list_t *gw_subscription_to_commit(const struct gw_subscription *subscription)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    for (size_t i = 0; i < subscription->share_count; i++) {
        const struct gw_share *share = &subscription->shares[i];
        if (share->processed < 0 || share->processed == share->committed)
            continue;
        if (!list)
            list = rd_kafka_topic_partition_list_new((int)subscription->share_count);
        rd_kafka_topic_partition_list_add(list, subscription->layer->topic, share->partition)->offset =
            share->processed;
    }
    return list;
}

static void auto_commit(struct gw_subscription *subscription)
{
    rd_kafka_topic_partition_list_t *list = gw_subscription_to_commit(subscription);
    if (!list)
        return;
    subscription->last_commit_ms = sl_mono_ms();
    if (!rd_kafka_commit_queue(subscription->rk, list, subscription->control, NULL, NULL))
        for (size_t i = 0; i < subscription->share_count; i++)
            subscription->shares[i].committed = subscription->shares[i].processed;
    rd_kafka_topic_partition_list_destroy(list);
}

static void commit_due(struct gw_timer *timer)
{
    struct gw_subscription *subscription =
        (struct gw_subscription *)(void *)((char *)timer - offsetof(struct gw_subscription, commit_timer));
    if (subscription->phase != GW_JOINED)
        return;
    if (subscription->step) /* its partitions may be going: a little later */
        gw_timer_set(subscription->loop, timer, sl_mono_ms() + 100);
    else
        auto_commit(subscription);
}

void gw_subscription_mark_processed(struct gw_subscription *subscription)
{
    if (!subscription->auto_commit)
        return;
    bool fresh = false;
    for (size_t i = 0; i < subscription->share_count; i++) {
        struct gw_share *share = &subscription->shares[i];
        if (share->sent >= 0 && share->sent != share->processed) {
            share->processed = share->sent;
            fresh = true;
        }
    }
    if (!fresh || subscription->commit_timer.slot)
        return;
    int64_t due = subscription->last_commit_ms + subscription->auto_commit_ms;
    subscription->commit_timer.run = commit_due;
    if (due <= sl_mono_ms() || gw_timer_set(subscription->loop, &subscription->commit_timer, due))
        auto_commit(subscription);
}

/* Where each partition is to go. */
static rd_kafka_topic_partition_list_t *seek_list(struct gw_subscription *subscription,
                                                  struct gw_change *change)
{
    if (change->kind == GW_SEEK)
        return list_of(subscription, change, 0, false);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)subscription->share_count);
    for (size_t i = 0; i < subscription->share_count; i++)
        rd_kafka_topic_partition_list_add(list, subscription->layer->topic, subscription->shares[i].partition)
            ->offset = change->kind == GW_SEEK_BEGIN ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
    return list;
}

void gw_subscription_set_list(struct gw_subscription *subscription, rd_kafka_topic_partition_list_t *list)
{
    if (subscription->list)
        rd_kafka_topic_partition_list_destroy(subscription->list);
    subscription->list = list;
}

void gw_subscription_order_end(struct gw_subscription *subscription, sl_status status)
{
    struct gw_change *change = subscription->orders;
    subscription->orders = change->next;
    gw_change_end(change, status);
}

static void seek(struct gw_subscription *subscription, struct gw_change *change)
{
    gw_subscription_set_list(subscription, seek_list(subscription, change));
    subscription->seek_time_ms = change->kind == GW_SEEK_TIME ? change->timestamp_ms : -1;
    if (change->status || !subscription->list->cnt)
        gw_subscription_order_end(subscription, change->status);
    else
        gw_subscription_start_job(subscription, GW_STEP_SEEK);
}

void gw_subscription_order_next(struct gw_subscription *subscription)
{
    struct gw_change *change = subscription->orders;
    if (change->told) /* too late: its caller may have gone on elsewhere */
        gw_subscription_order_end(subscription, change->status);
    else if (change->kind == GW_PAUSE)
        gw_subscription_pause(subscription, change);
    else if (change->kind == GW_RESUME)
        gw_subscription_resume(subscription, change);
    else if (change->kind == GW_POSITIONS)
        gw_subscription_positions(subscription);
    else if (change->kind == GW_COMMIT)
        ask_ends(subscription, change);
    else
        seek(subscription, change);
}

static void seek_done(struct gw_subscription *subscription)
{
    struct gw_change *change = subscription->orders;
    if (!subscription->job_status && subscription->phase == GW_JOINED)
        for (int i = 0; i < subscription->list->cnt; i++) {
            int32_t partition = subscription->list->elems[i].partition;
            struct gw_share *share = gw_subscription_share(subscription, partition);
            gw_subscription_forget(subscription, partition);
            if (change && change->sought && change->sought_count < GW_PARTITIONS_MAX)
                change->sought[change->sought_count++] =
                    (sl_offset){partition, subscription->list->elems[i].offset};
            if (share) {
                share->taken = subscription->list->elems[i].offset;
                share->met = -1;
                if (share->taken < share->begin)
                    share->begin = share->taken; /* what lies there may be committed again */
                share->sent = -1;                /* auto commit goes on from what is handed out next */
            }
        }
    if (!change)
        return; /* it was ended with the subscription */
    change->error = subscription->job_error;
    change->effective = !subscription->job_status;
    gw_subscription_order_end(subscription, subscription->job_status);
}

void gw_subscription_order_done(struct gw_subscription *subscription, enum gw_step step)
{
    if (step == GW_STEP_SEEK)
        seek_done(subscription);
    else if (step == GW_STEP_ENDS)
        ends_done(subscription);
    else if (step == GW_STEP_RESUME)
        gw_subscription_resume_done(subscription);
    else
        gw_subscription_positions_done(subscription);
}

static void append(struct gw_change **list, struct gw_change *change)
{
    change->next = NULL;
    while (*list)
        list = &(*list)->next;
    *list = change;
}

static sl_status say_gone(const struct gw_subscription *subscription, struct gw_change *change)
{
    gw_subscription_ended(subscription, &change->error);
    return change->error.status;
}

void gw_subscription_fail_changes(struct gw_subscription *subscription)
{
    struct gw_change *change = subscription->orders;
    subscription->orders = NULL;
    while (change) {
        struct gw_change *next = change->next;
        gw_change_end(change, say_gone(subscription, change));
        change = next;
    }
}

void gw_subscription_give_up_commits(struct gw_subscription *subscription)
{
    while (subscription->commits) {
        struct gw_change *change = subscription->commits;
        subscription->commits = change->next;
        sl_status status = gw_subscription_gone(subscription);
        sl_error_set(&change->error, status, "%s before Kafka answered: the offsets may be committed or not",
                     status == SL_CLOSED ? "the gateway was stopped" : "the subscription ended");
        change->error.retriable = status == SL_CLOSED;
        gw_change_end(change, status);
    }
}

static void change_arrived(struct gw_task *task)
{
    struct gw_change *change = (struct gw_change *)(void *)((char *)task - offsetof(struct gw_change, task));
    struct gw_subscription *subscription = change->subscription;
    change->timer.run = overdue;
    /* Without memory for the timer it is answered when Kafka does. */
    (void)gw_timer_set(subscription->loop, &change->timer, change->until_ms);
    if (change->kind == GW_UNSUBSCRIBE && subscription->phase != GW_LEFT) {
        append(&subscription->leavers, change);
        gw_subscription_leave(subscription, GW_END_UNSUBSCRIBED, NULL);
        gw_subscription_work(subscription);
    } else if (subscription->phase != GW_JOINED) {
        sl_status status = say_gone(subscription, change);
        gw_change_end(change, change->kind == GW_UNSUBSCRIBE ? SL_OK : status);
    } else {
        gw_subscription_called(subscription);
        if (change->kind == GW_COMMIT && is_written(subscription, change)) {
            commit(subscription, change);
        } else {
            append(&subscription->orders, change);
            gw_subscription_work(subscription);
        }
    }
}

void gw_subscription_change(struct gw_change *change)
{
    change->status = SL_OK;
    change->late = change->told = change->effective = false;
    change->sought_count = 0;
    change->next = NULL;
    change->timer = (struct gw_timer){0};
    change->until_ms = gw_broker_deadline_ms(change->subscription->broker);
    change->position_count = 0;
    change->task.run = change_arrived;
    if (gw_loop_is_current(change->subscription->loop))
        change_arrived(&change->task);
    else
        gw_loop_post(change->subscription->loop, &change->task);
}
