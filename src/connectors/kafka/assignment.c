/*
 * Which Kafka partitions are this consumer's, and where it stands in each. The account is kept here:
 * librdkafka is always told explicitly where to fetch, and never asked where it is.
 *
 * Where a partition begins, when the group gives it:
 *   - at the committed offset;
 *   - or where this consumer stood in it, when that is further on: a rebalance takes all partitions and gives
 *     most of them back at once, and what the application has in hand need not come twice;
 *   - or, with neither, at the begin or at the end as it is now. The end is committed, because otherwise a
 *     message that was received but not committed, or that comes between two members, would be lost to the
 * group.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/time.h"
#include "connectors/kafka/kafka.h"

enum { NUDGE_MS = 150, NUDGE_FACTOR = 3, NUDGE_MOST_MS = 450, MOVED_MS = 1000 };

struct sl_kafka_position *sl_kafka_position_of(const struct sl_kafka_consumer *consumer, int32_t partition)
{
    for (size_t i = 0; i < consumer->assigned_count; i++)
        if (consumer->assigned[i].partition == partition)
            return &consumer->assigned[i];
    return NULL;
}

bool sl_kafka_settled(const struct sl_kafka_consumer *consumer)
{
    for (size_t i = 0; i < consumer->assigned_count; i++)
        if (consumer->assigned[i].next < 0)
            return false;
    return true;
}

void sl_kafka_drop_pending(struct sl_kafka_consumer *consumer)
{
    if (consumer->pending)
        rd_kafka_message_destroy(consumer->pending);
    consumer->pending = NULL;
}

static sl_status of_list(const rd_kafka_topic_partition_list_t *list, sl_error *error, const char *what)
{
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].err)
            return sl_kafka_error(error, list->elems[i].err, "%s of Kafka partition %d: %s", what,
                                  (int)list->elems[i].partition, rd_kafka_err2str(list->elems[i].err));
    return SL_OK;
}

sl_status sl_kafka_commit(struct sl_kafka_consumer *consumer, const rd_kafka_topic_partition_list_t *list,
                          int timeout_ms, sl_error *error)
{
    /* A queue of our own bounds the wait, which rd_kafka_commit does not. */
    rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer->client->rk);
    if (!queue)
        return sl_error_oom(error);
    sl_status status = SL_OK;
    rd_kafka_event_t *event = NULL;
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(consumer->client->rk, list, queue, NULL, NULL);
    if (!code) {
        event = rd_kafka_queue_poll(queue, timeout_ms);
        if (!event)
            status = sl_error_set_retriable(error, SL_TIMED_OUT,
                                            "Kafka at %s did not confirm the commit within %d s",
                                            consumer->client->brokers, timeout_ms / 1000);
        else
            code = rd_kafka_event_error(event);
    }
    const rd_kafka_topic_partition_list_t *results =
        event ? rd_kafka_event_topic_partition_list(event) : NULL;
    if (!status && results)
        status = of_list(results, error, "the commit");
    if (!status && code)
        status = sl_kafka_error(error, code, "the commit: %s", rd_kafka_err2str(code));
    if (status && error && code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS)
        error->retriable = true; /* once a poll has taken part in the rebalance */
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    return status;
}

sl_status sl_kafka_restart(struct sl_kafka_consumer *consumer, sl_error *error)
{
    sl_kafka_drop_pending(consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)consumer->assigned_count);
    if (!list)
        return sl_error_oom(error);
    for (size_t i = 0; i < consumer->assigned_count; i++) {
        const struct sl_kafka_position *position = &consumer->assigned[i];
        if (position->next >= 0)
            rd_kafka_topic_partition_list_add(list, consumer->topic, position->partition)->offset =
                position->next;
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(consumer->client->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (!code)
        sl_kafka_apply_pauses(consumer);
    sl_kafka_moved(consumer);
    return code ? sl_kafka_error(error, code, "the Kafka partitions cannot be fetched: %s",
                                 rd_kafka_err2str(code))
                : SL_OK;
}

/* A seek to where we are wakes librdkafka's fetcher; what may have come meanwhile is fetched again. Not to an
 * offset that the log may no longer have: librdkafka would begin once more at what is its end by then, and
 * what came meanwhile would be lost. */
static void wake(struct sl_kafka_consumer *consumer)
{
    for (size_t i = 0; i < consumer->assigned_count; i++) {
        const struct sl_kafka_position *position = &consumer->assigned[i];
        if (position->next >= 0 && !position->end && !position->paused &&
            sl_kafka_known_to_be_there(consumer, position->partition, position->next))
            rd_kafka_seek(consumer->handle, position->partition, position->next, 0);
    }
}

static void arm(struct sl_kafka_consumer *consumer)
{
    consumer->nudge_after_ms = NUDGE_MS;
    consumer->nudge_at_ms = sl_mono_ms() + NUDGE_MS;
}

/* Messages that a seek, or an assignment, has made outdated may have filled the queue, and be passed over
 * while we wait for others: so it may sleep after these, too, and nothing tells of it but that nothing comes.
 */
void sl_kafka_moved(struct sl_kafka_consumer *consumer)
{
    consumer->moved_ms = sl_mono_ms();
    arm(consumer);
}

/* Each throws away the answer that is under way. On a slow line none may have come yet: so it is no more than
 * two times, and librdkafka looks by itself after a second. */
void sl_kafka_nudge(struct sl_kafka_consumer *consumer)
{
    wake(consumer);
    consumer->nudge_after_ms *= NUDGE_FACTOR;
    consumer->nudge_at_ms =
        consumer->nudge_after_ms > NUDGE_MOST_MS ? 0 : sl_mono_ms() + consumer->nudge_after_ms;
}

void sl_kafka_ran_empty(struct sl_kafka_consumer *consumer)
{
    bool any = consumer->run.messages, full = sl_fetch_run_end(&consumer->run);
    if (full) {
        wake(consumer);
        sl_kafka_moved(consumer);
    } else if (any && sl_mono_ms() - consumer->moved_ms < MOVED_MS) {
        arm(consumer); /* what is outdated may come yet */
    }
}

static int64_t kept_position(const struct sl_kafka_consumer *consumer, int32_t partition)
{
    for (size_t i = 0; i < consumer->kept_count; i++)
        if (consumer->kept[i].partition == partition)
            return consumer->kept[i].next;
    return -1;
}

/* Fills in the offsets of list, whose partitions have no position; the rest of them go to fresh. */
static sl_status find_committed(struct sl_kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list,
                                rd_kafka_topic_partition_list_t *fresh, sl_error *error)
{
    rd_kafka_resp_err_t code = rd_kafka_committed(consumer->client->rk, list, SL_KAFKA_QUERY_MS);
    sl_status status = of_list(list, error, "the committed offset");
    if (!status && code)
        status = sl_kafka_error(error, code, "the committed offsets of group \"%s\": %s", consumer->group,
                                rd_kafka_err2str(code));
    for (int i = 0; i < list->cnt && !status; i++) {
        rd_kafka_topic_partition_t *entry = &list->elems[i];
        int64_t kept = kept_position(consumer, entry->partition);
        if (kept > entry->offset)
            entry->offset = kept;
        if (entry->offset < 0)
            rd_kafka_topic_partition_list_add(fresh, consumer->topic, entry->partition);
    }
    return status;
}

static void take_positions(struct sl_kafka_consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    pthread_mutex_lock(&consumer->lock);
    for (int i = 0; i < list->cnt; i++) {
        struct sl_kafka_position *position = sl_kafka_position_of(consumer, list->elems[i].partition);
        if (position && list->elems[i].offset >= 0)
            position->next = list->elems[i].offset;
    }
    pthread_mutex_unlock(&consumer->lock);
}

static sl_status settle_lists(struct sl_kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list,
                              rd_kafka_topic_partition_list_t *fresh, sl_error *error)
{
    for (size_t i = 0; i < consumer->assigned_count; i++)
        if (consumer->assigned[i].next < 0)
            rd_kafka_topic_partition_list_add(list, consumer->topic, consumer->assigned[i].partition);
    if (!list->cnt)
        return SL_OK;
    sl_status status = find_committed(consumer, list, fresh, error);
    if (!status && fresh->cnt)
        status = sl_kafka_ends(consumer, fresh, consumer->start, error);
    if (status)
        return status;
    if (fresh->cnt && consumer->start == SL_START_END) {
        sl_error ignored;
        if (sl_kafka_commit(consumer, fresh, SL_KAFKA_COMMIT_MS, &ignored))
            sl_kafka_client_log(
                consumer->client, SL_LOG_WARNING,
                "group \"%s\" begins at the end, which could not be committed: if this consumer "
                "ends before it commits, the group may miss messages: %s",
                consumer->group, ignored.text);
    }
    take_positions(consumer, list);
    take_positions(consumer, fresh);
    return SL_OK;
}

sl_status sl_kafka_settle(struct sl_kafka_consumer *consumer, sl_error *error)
{
    int count = (int)consumer->assigned_count;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count),
                                    *fresh = rd_kafka_topic_partition_list_new(count);
    sl_status status = list && fresh ? settle_lists(consumer, list, fresh, error) : sl_error_oom(error);
    if (list)
        rd_kafka_topic_partition_list_destroy(list);
    if (fresh)
        rd_kafka_topic_partition_list_destroy(fresh);
    if (!status)
        status = sl_kafka_restart(consumer, error);
    return status;
}

/* A failure in a callback is told by the next poll. */
static void fail_later(struct sl_kafka_consumer *consumer, const sl_error *error)
{
    consumer->failed = true;
    consumer->failure = *error;
}

static void set_assigned(struct sl_kafka_consumer *consumer, struct sl_kafka_position *positions,
                         size_t count)
{
    pthread_mutex_lock(&consumer->lock);
    consumer->assigned = positions;
    consumer->assigned_count = count;
    pthread_mutex_unlock(&consumer->lock);
}

static void tell_assigned(struct sl_kafka_consumer *consumer)
{
    size_t count = consumer->assigned_count;
    int32_t *partitions = calloc(count + 1, sizeof *partitions);
    if (!partitions)
        return; /* the share is what it is: only nobody hears of it */
    for (size_t i = 0; i < count; i++)
        partitions[i] = consumer->assigned[i].partition;
    consumer->host.assigned(consumer->host.core, partitions, count);
    free(partitions);
}

static void assign(struct sl_kafka_consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    sl_error error;
    size_t count = (size_t)list->cnt;
    struct sl_kafka_position *positions = calloc(count + 1, sizeof *positions);
    if (!positions) {
        sl_error_oom(&error);
        error.fatal = true; /* without the account of its partitions it cannot go on */
        fail_later(consumer, &error);
        rd_kafka_assign(consumer->client->rk, NULL);
        return;
    }
    for (size_t i = 0; i < count; i++)
        positions[i] =
            (struct sl_kafka_position){.partition = list->elems[i].partition,
                                       .paused = sl_pauses_has(&consumer->pauses, list->elems[i].partition),
                                       .next = -1};
    free(consumer->assigned);
    set_assigned(consumer, positions, count);
    if (sl_kafka_settle(consumer, &error)) {
        /* The next poll tries again; until then nothing is fetched. */
        sl_kafka_client_log(consumer->client, SL_LOG_WARNING, "start positions are not known yet: %s",
                            error.text);
        sl_kafka_restart(consumer, NULL);
    }
    free(consumer->kept);
    consumer->kept = NULL;
    consumer->kept_count = 0;
    consumer->joined = true;
    tell_assigned(consumer);
    sl_kafka_client_log(consumer->client, SL_LOG_INFO, "group \"%s\" gave this consumer %zu Kafka partitions",
                        consumer->group, count);
}

static void revoke(struct sl_kafka_consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    bool lost = rd_kafka_assignment_lost(consumer->client->rk);
    size_t count = (size_t)list->cnt;
    struct sl_kafka_position *positions = consumer->assigned;
    size_t position_count = consumer->assigned_count;
    int32_t *partitions = calloc(count + 1, sizeof *partitions);
    /* Lost: others may have them already, and a commit would undo theirs. */
    if (lost) {
        sl_kafka_client_log(
            consumer->client, SL_LOG_WARNING,
            "group \"%s\" has put this consumer out, which did not poll or was not heard for too "
            "long: messages received and not committed come again",
            consumer->group);
        set_assigned(consumer, NULL, 0);
    }
    if (partitions) {
        for (size_t i = 0; i < count; i++)
            partitions[i] = list->elems[i].partition;
        if (count)
            consumer->host.revoked(consumer->host.core, partitions, count, lost);
        free(partitions);
    }
    set_assigned(consumer, NULL, 0);
    free(consumer->kept);
    consumer->kept = NULL;
    consumer->kept_count = 0;
    if (lost) {
        free(positions);
    } else {
        consumer->kept = positions;
        consumer->kept_count = position_count;
    }
    consumer->rebalances++;
    sl_kafka_drop_pending(consumer);
    rd_kafka_assign(consumer->client->rk, NULL);
}

void sl_kafka_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list,
                           void *opaque)
{
    const struct sl_kafka_client *client = opaque;
    struct sl_kafka_consumer *consumer = client->owner;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        sl_kafka_leftovers_know(consumer, list);
        assign(consumer, list);
    } else if (code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        revoke(consumer, list);
    } else {
        sl_kafka_client_log(consumer->client, SL_LOG_WARNING, "group \"%s\": %s", consumer->group,
                            rd_kafka_err2str(code));
        rd_kafka_assign(rk, NULL);
    }
    rd_kafka_yield(rk); /* the poll under way looks at what has changed */
}
