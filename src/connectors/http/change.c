/* Committing, seeking, pausing, and where the consumer stands: calls on the members' subscriptions. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "connectors/http/consumer.h"

enum {
    PAUSE_MS = 50, /* before a call that failed is tried again */
    NOW_MS = 2000  /* for a commit that is not to hold up a poll */
};

static sl_status unsupported(const struct sl_hc_consumer *consumer, const char *what, sl_error *error)
{
    char where[SL_HTTP_DESCRIPTION];
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&consumer->lock;
    pthread_mutex_lock(lock);
    sl_http_describe("at", consumer->base, where, sizeof where);
    pthread_mutex_unlock(lock);
    return sl_error_set(error, SL_UNSUPPORTED,
                        "%s needs streamlayer's extensions, which the platform %s does not have; "
                        "kafka-connector can do it",
                        what, where);
}

static char *offsets_json(const sl_offset *offsets, const struct sl_hc_member *const *owners,
                          const struct sl_hc_member *owner, size_t count)
{
    struct sl_buffer text;
    sl_buffer_init(&text, SIZE_MAX / 2);
    sl_buffer_append_text(&text, "{\"offsets\":[");
    for (size_t i = 0, named = 0; i < count; i++)
        if (owners[i] == owner)
            sl_buffer_printf(&text, "%s{\"partition\":%d,\"offset\":%lld}", named++ ? "," : "",
                             (int)offsets[i].partition, (long long)offsets[i].offset);
    sl_buffer_append_text(&text, "]}");
    char *taken = sl_buffer_take(&text);
    sl_buffer_free(&text);
    return taken;
}

/* Under the lock. *wait: nobody has it now, but somebody may have it soon. */
static struct sl_hc_member *route(struct sl_hc_consumer *consumer, int32_t partition, bool *wait)
{
    struct sl_hc_member *owner = sl_hc_share_owner(consumer, partition), *live = NULL;
    *wait = false;
    for (size_t i = 0; i < consumer->member_count; i++) {
        struct sl_hc_member *member = &consumer->members[i];
        if (member->stopped && !consumer->fatal.status)
            continue;
        *wait |= member->lost || !member->subscription;
        if (!live && !member->lost && member->subscription)
            live = member;
    }
    if (owner) {
        bool ready = !owner->lost && owner->subscription;
        *wait = !ready;
        if (ready)
            return owner;
        return owner->stopped ? live : NULL;
    }
    if (*wait)
        return NULL;
    /* One member, or a platform that does not say who has what: the platform judges. */
    return live && (!sl_hc_is_parallel(consumer) || live->assignment.number < 0) ? live : NULL;
}

/* Offsets that are on their way to the members that have their partitions. */
struct delivery {
    struct sl_hc_consumer *consumer;
    const char *what; /* "offsets", "seek" */
    bool now;         /* one try, and not of what was lost meanwhile */
    const sl_offset *offsets;
    size_t count;
    const struct sl_hc_member **owners;  /* whom it is sent to just now */
    const struct sl_hc_member **refused; /* whose it was not, though we believed so */
    bool *done;
    int64_t deadline_ms;
    sl_status status; /* the first that is not to be tried again */
    sl_error error;
};

static void conclude(struct delivery *delivery, sl_status status, const sl_error *error)
{
    if (status && !delivery->status) {
        delivery->status = status;
        delivery->error = *error;
    }
}

/* Chooses whom to send to next, and what. NULL: nobody for now, or (*left false) all are done. Under the
 * lock. */
static struct sl_hc_member *choose(struct delivery *delivery, bool *left)
{
    struct sl_hc_member *chosen = NULL;
    *left = false;
    for (size_t i = 0; i < delivery->count; i++) {
        delivery->owners[i] = NULL;
        if (delivery->done[i])
            continue;
        bool wait;
        int32_t partition = delivery->offsets[i].partition;
        struct sl_hc_member *owner = route(delivery->consumer, partition, &wait);
        if (owner && owner == delivery->refused[i])
            owner = sl_hc_share_other(owner, partition);
        if (delivery->now && sl_hc_share_is_lost(delivery->consumer, partition))
            owner = NULL, wait = false;
        if (!owner && !wait) {
            sl_error error;
            sl_error_set(&error, SL_CONFLICT,
                         "Kafka partition %d of layer %s is not with this consumer (now)", (int)partition,
                         delivery->consumer->layer);
            conclude(delivery, SL_CONFLICT, &error);
            delivery->done[i] = true;
            continue;
        }
        *left = true;
        if (!chosen)
            chosen = owner;
        delivery->owners[i] = owner;
    }
    return chosen;
}

/* The platform says that not all of these are this member's. Members hear of a rebalance one after another,
 * so perhaps they are another's of ours. Whether there is such a one. */
static bool reroute(struct delivery *delivery, const struct sl_hc_member *member)
{
    bool found = false;
    pthread_mutex_lock(&delivery->consumer->lock);
    for (size_t i = 0; i < delivery->count; i++)
        if (delivery->owners[i] == member && !delivery->refused[i] &&
            sl_hc_share_other(member, delivery->offsets[i].partition)) {
            delivery->refused[i] = member;
            found = true;
        }
    pthread_mutex_unlock(&delivery->consumer->lock);
    return found;
}

/* One call; whether it is to be tried again. */
static bool send_to(struct delivery *delivery, struct sl_hc_member *member, sl_error *why)
{
    struct sl_hc_consumer *consumer = delivery->consumer;
    char *body = offsets_json(delivery->offsets, delivery->owners, member, delivery->count);
    sl_status status = body
                           ? sl_hc_call(member, "PUT", delivery->what, body, delivery->deadline_ms, NULL, why)
                           : sl_error_oom(why);
    free(body);
    if ((status == SL_NOT_FOUND || (status && why->retriable)) && !delivery->now)
        return true;
    if (status == SL_CONFLICT && reroute(delivery, member))
        return true;
    if (status == SL_NOT_FOUND)
        why->retriable = true;
    conclude(delivery, status, why);
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < delivery->count; i++) {
        if (delivery->owners[i] != member)
            continue;
        delivery->done[i] = true;
        if (!status && !strcmp(delivery->what, "seek"))
            sl_hc_queue_drop(consumer, NULL, &delivery->offsets[i], 1);
    }
    pthread_mutex_unlock(&consumer->lock);
    return false;
}

/* Sends each offset to the member that has its partition; where that one's subscription, or the gateway, is
 * gone, again when it is back, until the time is over. */
static sl_status put_offsets(struct sl_hc_consumer *consumer, const char *what, bool now,
                             const sl_offset *offsets, size_t count, sl_error *error)
{
    int64_t most_ms = consumer->request_timeout_ms;
    struct delivery delivery = {
        .consumer = consumer,
        .what = what,
        .now = now,
        .offsets = offsets,
        .count = count,
        .owners = calloc(count, sizeof *delivery.owners),
        .refused = calloc(count, sizeof *delivery.refused),
        .done = calloc(count, sizeof *delivery.done),
        .deadline_ms = sl_mono_ms() + (now && most_ms > NOW_MS ? NOW_MS : most_ms),
    };
    sl_error why = {0};
    bool left = delivery.owners && delivery.refused && delivery.done;
    if (!left)
        conclude(&delivery, SL_OUT_OF_MEMORY, (sl_error_oom(&why), &why));
    while (left) {
        pthread_mutex_lock(&consumer->lock);
        struct sl_hc_member *member = choose(&delivery, &left);
        /* What is fatal to polls need not be to a subscription: whose volume is used up may commit. */
        bool over = sl_mono_ms() >= delivery.deadline_ms || (consumer->fatal.status && !member) ||
                    (now && left && (!member || member->failures));
        if (!member && left && !over)
            sl_hc_cond_wait(&consumer->changed, &consumer->lock, delivery.deadline_ms);
        sl_error failure = consumer->fatal.status ? consumer->fatal : consumer->members[0].failure;
        pthread_mutex_unlock(&consumer->lock);
        if (!left)
            break;
        if (over) {
            if (!why.status)
                sl_error_set_retriable(&why, SL_UNAVAILABLE, "the subscription to layer %s is lost%s%s",
                                       consumer->layer, failure.status ? ": " : "",
                                       failure.status ? failure.text : "");
            conclude(&delivery, why.status, &why);
            break;
        }
        if (!member || !send_to(&delivery, member, &why))
            continue;
        int64_t again = sl_mono_ms() + PAUSE_MS;
        pthread_mutex_lock(&consumer->lock);
        sl_hc_cond_wait(&consumer->changed, &consumer->lock,
                        again < delivery.deadline_ms ? again : delivery.deadline_ms);
        pthread_mutex_unlock(&consumer->lock);
    }
    free(delivery.owners);
    free(delivery.refused);
    free(delivery.done);
    if (delivery.status && error)
        *error = delivery.error;
    return delivery.status;
}

/* HTTP 409: the group has given a partition to another member. Its status here is the same as over Kafka. */
static sl_status not_ours(sl_status status, sl_status meant, sl_error *error)
{
    if (status != SL_CONFLICT)
        return status;
    if (error)
        error->status = meant;
    return meant;
}

sl_status sl_hc_consumer_commit(void *opaque, const sl_offset *offsets, size_t count, sl_error *error)
{
    return count ? not_ours(put_offsets(opaque, "offsets", false, offsets, count, error), SL_KAFKA, error)
                 : SL_OK;
}

sl_status sl_hc_consumer_commit_now(void *opaque, const sl_offset *offsets, size_t count, sl_error *error)
{
    return count ? not_ours(put_offsets(opaque, "offsets", true, offsets, count, error), SL_KAFKA, error)
                 : SL_OK;
}

/*
 * Moving the position, or asking for it: no poll may be under way meanwhile, as nobody could tell what it
 * brings from before and from after. They are waited for and not broken off, since what they bring of other
 * partitions is wanted.
 */
static void hold(struct sl_hc_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    consumer->holds++;
    for (size_t i = 0; i < consumer->member_count; i++)
        while (consumer->members[i].polling)
            pthread_cond_wait(&consumer->changed, &consumer->lock);
    pthread_mutex_unlock(&consumer->lock);
}

static void let_go(struct sl_hc_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    consumer->holds--;
    for (size_t i = 0; i < consumer->member_count; i++)
        if (!consumer->members[i].failures)
            consumer->members[i].next_poll_ms = 0;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
}

sl_status sl_hc_consumer_seek(void *opaque, const sl_offset *offsets, size_t count, sl_error *error)
{
    if (!count)
        return SL_OK;
    hold(opaque);
    sl_status status = put_offsets(opaque, "seek", false, offsets, count, error);
    let_go(opaque);
    return not_ours(status, SL_INVALID_ARGUMENT, error);
}

/* A call that waits for a lost subscription and is tried again, until the time is over. SL_OK, and nothing
 * done, for a member that does without a subscription: *there is false. */
static sl_status call_patiently(struct sl_hc_member *member, const char *method, const char *what,
                                const char *body, bool *there, json_t **answer, sl_error *error)
{
    struct sl_hc_consumer *consumer = member->consumer;
    int64_t deadline = sl_mono_ms() + consumer->request_timeout_ms;
    for (;;) {
        pthread_mutex_lock(&consumer->lock);
        sl_hc_await(member, deadline);
        bool fatal = consumer->fatal.status != SL_OK;
        *there = !member->stopped || fatal;
        pthread_mutex_unlock(&consumer->lock);
        if (!*there)
            return SL_OK;
        sl_error why = {0};
        sl_status status = sl_hc_call(member, method, what, body, deadline, answer, &why);
        bool again = status && (status == SL_NOT_FOUND || why.retriable);
        if (!again || fatal || sl_mono_ms() + PAUSE_MS >= deadline) {
            if (status && error)
                *error = why;
            return status;
        }
        pthread_mutex_lock(&consumer->lock);
        sl_hc_cond_wait(&consumer->changed, &consumer->lock, sl_mono_ms() + PAUSE_MS);
        pthread_mutex_unlock(&consumer->lock);
    }
}

static sl_status seek_all(struct sl_hc_consumer *consumer, const char *body, sl_error *error)
{
    sl_status status = SL_OK;
    hold(consumer);
    for (size_t i = 0; i < consumer->member_count && !status; i++) {
        struct sl_hc_member *member = &consumer->members[i];
        bool there;
        status = call_patiently(member, "PUT", "seek", body, &there, NULL, error);
        if (!status && there) {
            pthread_mutex_lock(&consumer->lock);
            sl_hc_queue_drop(consumer, member, NULL, 0);
            pthread_mutex_unlock(&consumer->lock);
        }
    }
    let_go(consumer);
    return status;
}

sl_status sl_hc_consumer_seek_to(void *opaque, sl_start where, sl_error *error)
{
    struct sl_hc_consumer *consumer = opaque;
    bool begin = where == SL_START_BEGIN;
    if (!consumer->extended)
        return unsupported(consumer, begin ? "seeking to the begin" : "seeking to the end", error);
    return seek_all(consumer, begin ? "{\"to\":\"begin\"}" : "{\"to\":\"end\"}", error);
}

sl_status sl_hc_consumer_seek_time(void *opaque, int64_t timestamp_ms, sl_error *error)
{
    struct sl_hc_consumer *consumer = opaque;
    if (!consumer->extended)
        return unsupported(consumer, "seeking to a time", error);
    char *body = sl_printf("{\"to\":\"time\",\"timestamp\":%lld}", (long long)timestamp_ms);
    if (!body)
        return sl_error_oom(error);
    sl_status status = seek_all(consumer, body, error);
    free(body);
    return status;
}

/* Changes what is wanted, and sorts what waits by it. */
static sl_status take_wish(struct sl_hc_consumer *consumer, const int32_t *partitions, size_t count,
                           bool paused, struct sl_hc_wish *before, sl_error *error)
{
    pthread_mutex_lock(&consumer->lock);
    bool taken = sl_hc_wish_copy(before, &consumer->paused);
    if (taken && !sl_hc_wish_change(&consumer->paused, partitions, count, paused)) {
        free(before->list);
        taken = false;
    }
    if (taken && !sl_hc_queue_sort(consumer)) {
        free(consumer->paused.list);
        consumer->paused = *before;
        taken = false;
    }
    consumer->wishes += taken;
    for (size_t i = 0; taken && i < consumer->member_count;
         i++) /* the others tell it before they poll next */
        consumer->members[i].wishing = consumer->members[i].polling;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
    return taken ? SL_OK : sl_error_oom(error);
}

static void take_back(struct sl_hc_consumer *consumer, struct sl_hc_wish *before)
{
    pthread_mutex_lock(&consumer->lock);
    free(consumer->paused.list);
    consumer->paused = *before;
    before->list = NULL;
    consumer->wishes++;
    (void)!sl_hc_queue_sort(consumer); /* what is not in place is handed out: no harm */
    pthread_mutex_unlock(&consumer->lock);
}

/* Whether the layer has these Kafka partitions: for one that was never ours the platform is asked. A wish
 * that it refuses must not be taken, for it would be told again and again. */
static sl_status check_partitions(struct sl_hc_consumer *consumer, const int32_t *partitions, size_t count,
                                  const char *what, const char *body, sl_error *error)
{
    bool known = true, there = false;
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < count && known; i++)
        known = sl_hc_share_knows(consumer, partitions[i]);
    pthread_mutex_unlock(&consumer->lock);
    sl_status status = SL_OK;
    for (size_t i = 0; i < consumer->member_count && !known && !there && !status; i++)
        status = call_patiently(&consumer->members[i], "PUT", what, body, &there, NULL, error);
    return not_ours(status, SL_INVALID_ARGUMENT, error);
}

sl_status sl_hc_consumer_pause(void *opaque, const int32_t *partitions, size_t count, bool paused,
                               sl_error *error)
{
    struct sl_hc_consumer *consumer = opaque;
    const char *what = paused ? "pause" : "resume";
    if (!consumer->extended)
        return unsupported(consumer, paused ? "pausing" : "resuming", error);
    char *body = sl_hc_partitions_json(partitions, count);
    struct sl_hc_wish before = {0};
    sl_status status =
        body ? check_partitions(consumer, partitions, count, what, body, error) : sl_error_oom(error);
    if (!status)
        status = take_wish(consumer, partitions, count, paused, &before, error);
    if (status) {
        free(body);
        return status;
    }
    /* The fetchers that poll just now will not come to it soon. What fails in passing is told before their
     * next poll. */
    for (size_t i = 0; i < consumer->member_count; i++) {
        struct sl_hc_member *member = &consumer->members[i];
        pthread_mutex_lock(&consumer->lock);
        bool ours = member->wishing;
        unsigned long long version = consumer->wishes, known = member->wishes;
        pthread_mutex_unlock(&consumer->lock);
        sl_error why = {0};
        sl_status failed = SL_OK;
        if (ours && !status && known + 1 == version)
            failed = sl_hc_call(member, "PUT", what, body, sl_mono_ms() + consumer->request_timeout_ms, NULL,
                                &why);
        pthread_mutex_lock(&consumer->lock);
        if (ours && !status && !failed && known + 1 == version)
            member->wishes = version;
        member->wishing = false;
        pthread_cond_broadcast(&consumer->changed);
        pthread_mutex_unlock(&consumer->lock);
        if (failed && failed != SL_NOT_FOUND && !why.retriable) {
            status = failed;
            if (error)
                *error = why;
        }
    }
    if (status)
        take_back(consumer, &before);
    free(before.list);
    free(body);
    return status;
}

/* Where the consumer stands. */

struct positions {
    struct sl_hc_consumer *consumer;
    sl_partition_position *list;
    size_t count;
};

static int64_t number_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) && json_integer_value(value) >= 0 ? json_integer_value(value) : -1;
}

/* Under the lock. */
static sl_status add_position(struct positions *positions, const struct sl_hc_member *member,
                              const json_t *given, sl_error *error)
{
    struct sl_hc_consumer *consumer = positions->consumer;
    int64_t number = number_of(given, "partition");
    if (number < 0 || number > INT32_MAX)
        return sl_error_set(error, SL_PROTOCOL, "the platform's positions have no partition");
    const struct sl_hc_member *owner = sl_hc_share_owner(consumer, (int32_t)number);
    if (owner && owner != member)
        return SL_OK; /* it has moved among ours */
    sl_partition_position *list = realloc(positions->list, (positions->count + 1) * sizeof *list);
    if (!list)
        return sl_error_oom(error);
    positions->list = list;
    size_t at = positions->count++;
    for (; at && list[at - 1].partition > number; at--)
        list[at] = list[at - 1];
    int64_t waiting = sl_hc_queue_next(consumer, (int32_t)number);
    sl_partition_position *position = &list[at];
    *position = (sl_partition_position){
        .partition = (int32_t)number,
        .paused = sl_hc_is_paused(&consumer->paused, (int32_t)number),
        .begin = number_of(given, "begin"),
        .end = number_of(given, "end"),
        .position = waiting >= 0 ? waiting : number_of(given, "position"),
        .committed = number_of(given, "committed"),
        .lag = -1,
    };
    if (position->end >= 0 && position->position >= 0)
        position->lag = position->end > position->position ? position->end - position->position : 0;
    return SL_OK;
}

static sl_status ask_member(struct positions *positions, struct sl_hc_member *member, sl_error *error)
{
    json_t *answer = NULL;
    bool there;
    sl_status status = call_patiently(member, "GET", "positions", NULL, &there, &answer, error);
    const json_t *given = json_object_get(answer, "positions");
    if (!status && there && !json_is_array(given))
        status = sl_error_set(error, SL_PROTOCOL, "the platform's answer has no positions");
    pthread_mutex_lock(&positions->consumer->lock);
    for (size_t i = 0; i < json_array_size(given) && !status; i++)
        status = add_position(positions, member, json_array_get(given, i), error);
    pthread_mutex_unlock(&positions->consumer->lock);
    json_decref(answer);
    return status;
}

sl_status sl_hc_consumer_positions(void *opaque, sl_partition_position *list, size_t capacity, size_t *count,
                                   sl_error *error)
{
    struct sl_hc_consumer *consumer = opaque;
    if (!consumer->extended)
        return unsupported(consumer, "asking for positions", error);
    struct positions positions = {.consumer = consumer};
    sl_status status = SL_OK;
    hold(consumer);
    for (size_t i = 0; i < consumer->member_count && !status; i++)
        status = ask_member(&positions, &consumer->members[i], error);
    let_go(consumer);
    if (!status) {
        *count = positions.count;
        for (size_t i = 0; i < positions.count && i < capacity; i++)
            list[i] = positions.list[i];
    }
    free(positions.list);
    return status;
}
