/*
 * Polling. held is a line of messages taken from librdkafka: the first `given` went out with the last answer
 * and wait for its settlement, the others wait for the next poll. An answer that did not arrive sets given
 * back to 0, and the next poll begins with the same messages.
 */
#include "gateway/broker/subscription.h"

#include "base/time.h"

#include <stdlib.h>
#include <string.h>

#define AWAY_TOLD_MS 5000 /* Kafka is away for so long before polls hear of it */

void gw_subscription_forget(struct gw_subscription *subscription, int32_t partition)
{
    size_t kept = 0, given = 0, repeated = 0;
    for (size_t i = 0; i < subscription->held_count; i++) {
        struct gw_held held = subscription->held[i];
        if (partition < 0 || held.message->partition == partition) {
            gw_subscription_let_go(subscription, held);
            continue;
        }
        subscription->held[kept++] = held;
        given += i < subscription->given;
        repeated += i < subscription->repeated;
    }
    subscription->held_count = kept;
    subscription->given = given;
    subscription->repeated = repeated;
    if (!given)
        subscription->awaits_ack = false;
    gw_subscription_account(subscription);
}

void gw_subscription_hold_back(struct gw_subscription *subscription)
{
    if (subscription->step == GW_STEP_RESUME)
        return; /* which goes on behind what was taken; its end asks again */
    size_t kept = subscription->given,
           repeated = kept < subscription->repeated ? kept : subscription->repeated;
    for (size_t i = subscription->given; i < subscription->held_count; i++) {
        struct gw_held held = subscription->held[i];
        struct gw_share *share = gw_subscription_share(subscription, held.message->partition);
        if (!share || !gw_subscription_is_paused(subscription, share->partition)) {
            subscription->held[kept++] = held;
            repeated += i < subscription->repeated;
            continue;
        }
        if (held.message->offset < share->taken)
            share->taken = held.message->offset;
        share->met = -1;
        gw_subscription_let_go(subscription, held);
    }
    subscription->held_count = kept;
    subscription->repeated = repeated;
    gw_subscription_account(subscription);
}

/* librdkafka's queue has run empty. If it was full before, its fetcher may sleep on: a seek to where it is
 * wakes it. What is under way then is fetched again. */
static void ran_empty(struct gw_subscription *subscription)
{
    bool was_full = sl_fetch_run_end(&subscription->run);
    for (size_t i = 0; i < subscription->share_count && was_full; i++)
        if (subscription->shares[i].taken >= 0 &&
            !gw_subscription_is_paused(subscription, subscription->shares[i].partition))
            rd_kafka_seek(subscription->topic, subscription->shares[i].partition,
                          subscription->shares[i].taken, 0);
}

void gw_subscription_note_expired(struct gw_subscription *subscription, uint64_t messages)
{
    if (!messages)
        return;
    atomic_fetch_add_explicit(&subscription->all->expired, messages, memory_order_relaxed);
    SL_WARNING(
        &subscription->all->log,
        "group %s on %s: its position had expired: %llu messages were deleted by the layer's ttl, or passed "
        "over, before the group had them; it goes on at the %s",
        subscription->group, subscription->layer->topic, (unsigned long long)messages,
        subscription->earliest ? "oldest that is left" : "end");
}

/* A message that is not the next one of its partition. Where the log begins behind that, it has expired; else
 * it was never there (the mark of a transaction). Who begins at the end then, and not at the oldest, has
 * jumped over what is there. */
static void note_gap(struct gw_subscription *subscription, const struct gw_share *share, struct gw_held *held)
{
    int64_t begin = -1, end, expected = gw_share_next(share), offset = held->message->offset;
    if (expected < 0 || offset <= expected)
        return;
    bool known = !rd_kafka_get_watermark_offsets(subscription->rk, subscription->layer->topic,
                                                 share->partition, &begin, &end) &&
                 begin >= 0;
    bool expired = known && begin > expected;
    if (expired)
        gw_subscription_note_expired(subscription, (uint64_t)(offset - expected));
    if (subscription->earliest || (known && !expired))
        held->nothing_since = expected;
    held->jumped = expired && !subscription->earliest;
}

/* The marks that end transactions take offsets, and nobody is handed one: without this a layer that is
 * written in transactions would never be read to its end. */
static void met_end(struct gw_subscription *subscription, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_t *where = rd_kafka_event_topic_partition(event);
    struct gw_share *share = where ? gw_subscription_share(subscription, where->partition) : NULL;
    if (share)
        share->met = where->offset;
    if (where)
        rd_kafka_topic_partition_destroy(where);
}

/* The next message from librdkafka goes to the end of the line. False: there is none, or no memory for it
 * (it stays where it is: room is made first). */
static bool take(struct gw_subscription *subscription)
{
    if (subscription->held_count == subscription->held_capacity) {
        size_t capacity = subscription->held_capacity ? subscription->held_capacity * 2 : 64;
        struct gw_held *held = realloc(subscription->held, capacity * sizeof *held);
        if (!held)
            return false;
        subscription->held = held;
        subscription->held_capacity = capacity;
    }
    struct sl_fetch_run *run = &subscription->run;
    for (;;) {
        if (sl_fetch_run_looks(run))
            sl_fetch_run_look(run, rd_kafka_queue_length(subscription->messages));
        rd_kafka_event_t *event = rd_kafka_queue_poll(subscription->messages, 0);
        if (!event) {
            ran_empty(subscription);
            return false;
        }
        const rd_kafka_message_t *message =
            rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH ? rd_kafka_event_message_next(event) : NULL;
        if (message && !message->err)
            sl_fetch_run_take(run, message->len);
        else
            sl_fetch_run_take_other(run);
        struct gw_share *share =
            message && !message->err ? gw_subscription_share(subscription, message->partition) : NULL;
        if (share && gw_subscription_is_paused(subscription, share->partition)) {
            if (gw_share_next(share) < 0)
                share->begin = message->offset; /* now it is known */
        } else if (share) {
            struct gw_held held = {event, message, message->offset, false};
            if (message->offset != gw_share_next(share))
                note_gap(subscription, share, &held);
            if (message->offset < share->begin)
                share->begin =
                    message->offset; /* a log that was cut off: it is read, so it may be committed */
            share->taken = message->offset + 1;
            share->met = -1;
            subscription->held[subscription->held_count++] = held;
            subscription->held_bytes += gw_held_bytes(message);
            return true;
        }
        rd_kafka_resp_err_t code = message ? message->err : rd_kafka_event_error(event);
        if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            met_end(subscription, event);
        else if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
            subscription->forbidden = code; /* told by whoever works on */
        else if (!message || code)
            SL_WARNING(&subscription->all->log, "group %s on %s: %s", subscription->group,
                       subscription->layer->topic,
                       message ? rd_kafka_message_errstr(message) : rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
    }
}

static size_t payload_of(const rd_kafka_message_t *message)
{
    return message->payload ? message->len : 0;
}

/* What the next answer would take, at most a second's worth: nobody waits for longer than need be. */
static int64_t price_of(const struct gw_subscription *subscription, size_t max_bytes)
{
    size_t bytes = 0;
    for (size_t i = subscription->given; i < subscription->held_count && bytes < max_bytes; i++)
        bytes += payload_of(subscription->held[i].message);
    return (int64_t)(bytes < max_bytes ? bytes : max_bytes);
}

/* Hands messages to the poll until its bounds are met or there are no more. */
static void fill(struct gw_subscription *subscription, struct gw_poll *poll)
{
    const struct gw_subscription_limits *limits = &subscription->all->limits;
    size_t max_bytes =
        poll->max_bytes && poll->max_bytes < limits->poll_bytes ? poll->max_bytes : limits->poll_bytes;
    size_t room = gw_subscription_answer_room(subscription);
    if (max_bytes > room)
        max_bytes = room; /* less than one message: that one comes all the same */
    size_t max_messages = poll->max_messages ? poll->max_messages : subscription->poll_messages;
    if (!max_messages || max_messages > limits->poll_messages)
        max_messages = limits->poll_messages;
    if (poll->most_messages && max_messages > poll->most_messages)
        max_messages = poll->most_messages;
    max_bytes = gw_subscription_toll_room(subscription, max_bytes);
    if (subscription->given == subscription->held_count && !take(subscription))
        return;
    if (!gw_subscription_pay(subscription, price_of(subscription, max_bytes)))
        return;
    struct sl_message message = {.headers = NULL};
    while (poll->count < max_messages) {
        if (subscription->given == subscription->held_count && !take(subscription))
            break;
        const struct gw_held *held = &subscription->held[subscription->given];
        const rd_kafka_message_t *record = held->message;
        size_t bytes = payload_of(record);
        if (poll->count && (held->jumped || bytes > max_bytes - poll->bytes))
            break;
        poll->nothing_since = held->nothing_since;
        if (!gw_message_of_record(record, &message) || !poll->add(poll, &message)) {
            if (!poll->count)
                poll->status = SL_OUT_OF_MEMORY;
            break; /* the answer goes with what it has */
        }
        subscription->given++;
        poll->count++;
        poll->bytes += bytes;
        if (poll->bytes >= max_bytes)
            break;
    }
    free(message.headers);
    gw_subscription_account(subscription);
    if (poll->count)
        gw_subscription_paid(subscription, (int64_t)poll->bytes);
}

/* Kafka does not answer, so that nothing can come. Event streams wait for it: they have answered already. */
static bool is_away(const struct gw_subscription *subscription, const struct gw_poll *poll)
{
    return !poll->holds && !subscription->unsettled && gw_outage_ms(subscription->outage) >= AWAY_TOLD_MS;
}

/* Ends the parked poll as it is. */
static void finish(struct gw_subscription *subscription)
{
    struct gw_poll *poll = subscription->parked;
    subscription->parked = NULL;
    atomic_fetch_sub_explicit(&subscription->all->parked, 1, memory_order_relaxed);
    gw_timer_cancel(subscription->loop, &poll->timer);
    gw_subscription_called(subscription);
    poll->ended_ms = subscription->last_call_ms;
    if (poll->assignment >= 0)
        gw_subscription_assignment(subscription, &poll->now);
    if (subscription->phase == GW_JOINED) {
        if (!poll->count && !poll->status && is_away(subscription, poll))
            poll->status = SL_UNAVAILABLE;
        gw_subscription_measure(subscription, false);
    }
    bool throttled = !poll->count && subscription->paying;
    poll->flow_throttles = throttled && !subscription->tolls;
    poll->layer_throttles = throttled && subscription->tolls;
    if (poll->count) {
        struct gw_layer_counters *counters = subscription->layer->counters;
        atomic_fetch_add_explicit(&counters->messages_out, poll->count, memory_order_relaxed);
        atomic_fetch_add_explicit(&counters->bytes_out, poll->bytes, memory_order_relaxed);
        if (poll->counted)
            gw_lull_begin(subscription->lull, subscription, poll->bytes, poll->ended_ms);
        subscription->unsettled = poll;
        subscription->most = ++subscription->answers;
    } else if (poll->holds) {
        poll->held = true;
        subscription->holders++;
    }
    poll->done(poll);
}

void gw_subscription_end_poll(struct gw_subscription *subscription)
{
    if (subscription->parked)
        finish(subscription);
}

/* Whether its partitions are others than the poll's client knows. */
static bool has_news(const struct gw_subscription *subscription, const struct gw_poll *poll)
{
    return poll->assignment >= 0 && poll->assignment != subscription->assignment;
}

/* Whether it waits behind another's answer (lull.h); then its timer wakes it. */
static bool waits_for_lull(struct gw_subscription *subscription, struct gw_poll *poll)
{
    int64_t until_ms;
    bool small = poll->max_bytes && poll->max_bytes < GW_LULL_BYTES;
    return poll->counted && !small &&
           gw_lull_holds(subscription->lull, subscription, &poll->lulled_since_ms, sl_mono_ms(), &until_ms) &&
           until_ms < poll->deadline_ms && !gw_timer_set(subscription->loop, &poll->timer, until_ms);
}

void gw_subscription_serve(struct gw_subscription *subscription)
{
    struct gw_poll *poll = subscription->parked;
    if (!poll)
        return;
    if (!subscription->unsettled) {
        gw_subscription_mark_processed(subscription);
        if (waits_for_lull(subscription, poll))
            return;
        fill(subscription, poll);
    }
    if (poll->count || poll->status || sl_mono_ms() >= poll->deadline_ms || has_news(subscription, poll) ||
        is_away(subscription, poll))
        finish(subscription);
}

static void due(struct gw_timer *timer)
{
    struct gw_poll *poll = (struct gw_poll *)(void *)((char *)timer - offsetof(struct gw_poll, timer));
    struct gw_subscription *subscription = poll->subscription;
    gw_subscription_work(subscription);
    if (subscription->parked != poll)
        return;
    /* A job is under way; or it has waited for another's answer, and does so again, or for messages now. */
    bool waits =
        sl_mono_ms() < poll->deadline_ms &&
        (gw_timer_is_set(&poll->timer) || !gw_timer_set(subscription->loop, &poll->timer, poll->deadline_ms));
    if (!waits)
        finish(subscription);
}

/* The first so many that are held are known to have arrived. What was given besides comes again. */
static void arrived(struct gw_subscription *subscription, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct gw_held held = subscription->held[i];
        struct gw_share *share = gw_subscription_share(subscription, held.message->partition);
        if (share)
            share->sent = held.message->offset + 1;
        gw_subscription_let_go(subscription, held);
    }
    subscription->held_count -= count;
    if (subscription->held_count && count)
        memmove(subscription->held, subscription->held + count,
                subscription->held_count * sizeof *subscription->held);
    gw_subscription_account(subscription);
    bool all = count >= subscription->given;
    subscription->given = 0;
    subscription->repeated = 0;
    subscription->awaits_ack = false;
    if (!all)
        gw_subscription_hold_back(subscription); /* of what was paused since */
}

/* Of what was given, what is in each answer of the same number. */
static size_t surely_given(const struct gw_subscription *subscription)
{
    return subscription->repeated && subscription->repeated < subscription->given ? subscription->repeated
                                                                                  : subscription->given;
}

static void again(struct gw_subscription *subscription)
{
    atomic_fetch_add_explicit(&subscription->all->redelivered, subscription->given, memory_order_relaxed);
    subscription->repeated = surely_given(subscription);
    subscription->given = 0;
    subscription->most = subscription->answers; /* its client may have it all the same */
    subscription->answers--;
    subscription->awaits_ack = false;
    gw_subscription_hold_back(subscription); /* of what was paused since */
}

/* What a poll says of the answer before it, which is written or was never begun. */
static void heed(struct gw_subscription *subscription, const struct gw_poll *poll)
{
    uint64_t received = poll->received < 0 ? subscription->answers : (uint64_t)poll->received;
    if (subscription->awaits_ack) {
        if (received != subscription->answers || (poll->received < 0 && poll->ack == GW_ACK_NO))
            again(subscription);
        else
            arrived(subscription, surely_given(subscription));
    } else if (received == subscription->answers + 1 && subscription->repeated) {
        arrived(subscription, subscription->repeated); /* it was told lost, and is not */
    }
    if (poll->received < 0)
        return;
    subscription->answers = subscription->heard = received;
    if (subscription->most > received + 1)
        subscription->most = received + 1;
}

/* A poll that says more than there were: were it believed, each that says what is true would be taken for one
 * that was overtaken. */
static bool is_too_many(const struct gw_subscription *subscription, const struct gw_poll *poll)
{
    return poll->received >= 0 && (uint64_t)poll->received > subscription->most;
}

/* A poll that says less than one before it was overtaken by that one: its client waits for it no more. What
 * it were given would be counted as an answer that its client never sees. */
static bool is_overtaken(const struct gw_subscription *subscription, const struct gw_poll *poll)
{
    return poll->received >= 0 && (uint64_t)poll->received < subscription->heard;
}

static void poll_arrived(struct gw_task *task)
{
    struct gw_poll *poll = (struct gw_poll *)(void *)((char *)task - offsetof(struct gw_poll, task));
    struct gw_subscription *subscription = poll->subscription;
    poll->replaced = poll->follows && poll->follows != subscription->turn;
    if (subscription->phase != GW_JOINED)
        poll->status = gw_subscription_gone(subscription);
    else if (!poll->replaced && is_too_many(subscription, poll))
        poll->status = SL_INVALID_ARGUMENT;
    if (poll->status || poll->replaced || is_overtaken(subscription, poll)) {
        if (poll->assignment >= 0)
            gw_subscription_assignment(subscription, &poll->now);
        poll->done(poll);
        return;
    }
    poll->turn = poll->follows ? poll->follows : ++subscription->turn;
    gw_subscription_set_flow(subscription, poll->flow);
    if (subscription->parked)
        subscription->parked->replaced = true;
    gw_subscription_end_poll(subscription);
    if (!subscription->unsettled) /* else once it is */
        heed(subscription, poll);
    poll->timer = (struct gw_timer){.run = due};
    if (gw_timer_set(subscription->loop, &poll->timer, poll->deadline_ms)) {
        poll->status = SL_OUT_OF_MEMORY;
        poll->done(poll);
        return;
    }
    subscription->parked = poll;
    atomic_fetch_add_explicit(&subscription->all->parked, 1, memory_order_relaxed);
    gw_subscription_work(subscription);
    if (subscription->parked == poll && has_news(subscription, poll)) /* a job is under way */
        finish(subscription);
}

void gw_subscription_poll(struct gw_poll *poll)
{
    poll->status = SL_OK;
    poll->count = poll->bytes = 0;
    poll->lulled_since_ms = 0;
    poll->held = false;
    poll->task.run = poll_arrived;
    if (gw_loop_is_current(poll->subscription->loop))
        poll_arrived(&poll->task);
    else
        gw_loop_post(poll->subscription->loop, &poll->task);
}

static void cancelled(struct gw_task *task)
{
    struct gw_poll *poll = (struct gw_poll *)(void *)((char *)task - offsetof(struct gw_poll, cancel_task));
    if (poll->subscription->parked == poll)
        finish(poll->subscription);
}

void gw_poll_cancel(struct gw_poll *poll)
{
    poll->cancel_task.run = cancelled;
    gw_loop_post(poll->subscription->loop, &poll->cancel_task);
}

static void settled(struct gw_task *task)
{
    struct gw_poll *poll = (struct gw_poll *)(void *)((char *)task - offsetof(struct gw_poll, task));
    struct gw_subscription *subscription = gw_subscription_link(poll->subscription);
    if (subscription->unsettled == poll) {
        gw_lull_end(subscription->lull, subscription, sl_mono_ms());
        subscription->unsettled = NULL;
        if (!poll->whole)
            again(subscription);
        else if (poll->ack == GW_ACK_WRITTEN)
            arrived(subscription, subscription->given);
        else
            subscription->awaits_ack = subscription->given > 0;
        if (subscription->parked)
            heed(subscription, subscription->parked);
    }
    subscription->holders -= poll->held;
    if (!poll->whole && poll->ended_ms == subscription->last_call_ms && !subscription->parked)
        gw_subscription_suspect(subscription);
    poll->released(poll);
    gw_subscription_work(subscription);
    gw_subscription_unlink(subscription);
}

void gw_poll_settle(struct gw_poll *poll, bool whole)
{
    poll->whole = whole;
    poll->task.run = settled;
    gw_loop_post(poll->subscription->loop, &poll->task);
}
