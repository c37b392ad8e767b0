/* A subscription's life on its loop: joining, rebalances, what to do next, idleness, leaving. */
#include "gateway/broker/subscription.h"

#include "base/error.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS          20000 /* librdkafka must see a poll within max.poll.interval.ms */
#define HURRY_MS         3000  /* a join of another one is looked out for so long */
#define PROD_MS          50
#define COMMITS_GRACE_MS 5000 /* commits under way are waited for so long before leaving */

struct gw_share *gw_subscription_share(const struct gw_subscription *subscription, int32_t partition)
{
    for (size_t i = 0; i < subscription->share_count; i++)
        if (subscription->shares[i].partition == partition)
            return &subscription->shares[i];
    return NULL;
}

sl_status gw_subscription_gone(const struct gw_subscription *subscription)
{
    return atomic_load(&subscription->all->closed) ? SL_CLOSED : SL_NOT_FOUND;
}

static void drop_list(struct gw_subscription *subscription)
{
    gw_subscription_set_list(subscription, NULL);
}

void gw_subscription_assignment(const struct gw_subscription *subscription, struct gw_assignment *assignment)
{
    assignment->number = subscription->assignment;
    assignment->count = 0;
    for (size_t i = 0; i < subscription->share_count && i < GW_PARTITIONS_MAX; i++) {
        size_t place = assignment->count++;
        for (; place && assignment->partitions[place - 1] > subscription->shares[i].partition; place--)
            assignment->partitions[place] = assignment->partitions[place - 1];
        assignment->partitions[place] = subscription->shares[i].partition;
    }
}

void gw_subscription_reassigned(struct gw_subscription *subscription)
{
    subscription->assignment++;
    if (subscription->parked && subscription->parked->assignment >= 0)
        gw_subscription_end_poll(subscription);
}

/* Answers the call that made it. */
static void answer_subscribe(struct gw_subscription *subscription, sl_status status, const sl_error *error)
{
    struct gw_subscribe *subscribe = subscription->subscribe;
    if (!subscribe)
        return;
    subscription->subscribe = NULL;
    subscribe->status = status;
    if (status)
        subscribe->error = *error;
    else
        subscribe->subscription = gw_subscription_link(subscription);
    subscribe->done(subscribe);
}

/* The same, when it has ended before it had joined. */
static void answer_ended(struct gw_subscription *subscription)
{
    struct gw_subscribe *subscribe = subscription->subscribe;
    sl_error error;
    if (!subscribe)
        return;
    subscribe->end = gw_subscription_ended(subscription, &error);
    if (!gw_end_is_told(subscribe->end))
        sl_error_set_retriable(&error, SL_CLOSED, "the subscription ended before it had joined its group");
    answer_subscribe(subscription, error.status, &error);
}

static sl_status make_conf(struct gw_subscription *subscription, sl_error *error)
{
    static const struct gw_kafka_default defaults[] = {
        {"session.timeout.ms", "10000"},
        /* Members hear of a rebalance with the next heartbeat. librdkafka looks whether one is due once a
         * second, and whenever it has something else to do: prod() gives it that. */
        {"heartbeat.interval.ms", "150"},
        {"max.poll.interval.ms", "300000"},
        /* A new position waits for the fetch under way; an idle consumer asks five times a second. */
        {"fetch.wait.max.ms", "200"},
        {"fetch.error.backoff.ms", "100"},
        {"topic.metadata.refresh.interval.ms", "60000"}, /* a layer may have got more partitions */
    };
    static const struct gw_kafka_default always[] = {
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
    };
    const struct gw_subscribe *ask = subscription->subscribe;
    /* Start positions are given with each assignment. This is for a position that retention passes later. */
    const char *reset = subscription->earliest ? "earliest" : "latest";
    struct gw_broker *broker = subscription->broker;
    sl_status status = gw_kafka_conf(broker, "consumer", defaults, sizeof defaults / sizeof *defaults,
                                     &subscription->conf, error);
    for (size_t i = 0; i < ask->property_count && !status; i++)
        status = gw_kafka_set(subscription->conf, ask->properties[i].name, ask->properties[i].value, error);
    for (size_t i = 0; i < sizeof always / sizeof *always && !status; i++)
        status = gw_kafka_set(subscription->conf, always[i].name, always[i].value, error);
    if (!status)
        status = gw_kafka_set(subscription->conf, "auto.offset.reset", reset, error);
    if (!status)
        status = gw_subscription_take_prefetch(subscription, error);
    if (!status)
        status = gw_kafka_set(subscription->conf, "group.id", subscription->group, error);
    char client[128];
    snprintf(client, sizeof client, "sl-%.100s", subscription->application);
    if (!status)
        status = gw_kafka_set(subscription->conf, "client.id", client, error);
    if (!status)
        rd_kafka_conf_set_events(subscription->conf, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_FETCH |
                                                         RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_ERROR);
    return status;
}

/* It is gone from Kafka, or never came to it. */
static void left(struct gw_subscription *subscription)
{
    subscription->phase = GW_LEFT;
    gw_subscription_pay_no_more(subscription);
    if (subscription->wake_fd >= 0)
        close(subscription->wake_fd);
    subscription->wake_fd = -1;
    gw_subscription_give_prefetch(subscription);
    drop_list(subscription);
    while (subscription->leavers) {
        struct gw_change *change = subscription->leavers;
        subscription->leavers = change->next;
        gw_change_end(change, SL_OK);
    }
    gw_subscription_left(subscription);
}

void gw_subscription_leave(struct gw_subscription *subscription, enum gw_end why, const char *detail)
{
    if (subscription->phase >= GW_LEAVING)
        return;
    gw_subscription_note_end(subscription, why, detail);
    subscription->phase = GW_LEAVING;
    subscription->leaving_until_ms = sl_mono_ms() + COMMITS_GRACE_MS;
    gw_subscription_unlist(subscription);
    gw_timer_cancel(subscription->loop, &subscription->commit_timer);
    if (subscription->tick.slot) /* it is set: no memory needed */
        gw_timer_set(subscription->loop, &subscription->tick, subscription->leaving_until_ms);
    answer_ended(subscription);
    if (subscription->parked && gw_end_is_told(why))
        subscription->parked->status = gw_subscription_gone(subscription);
    gw_subscription_end_poll(subscription);
    gw_subscription_fail_changes(subscription);
}

/* Begins leaving as soon as nothing else is under way. */
static void go_on_leaving(struct gw_subscription *subscription)
{
    if (subscription->commits && sl_mono_ms() < subscription->leaving_until_ms)
        return; /* the tick, or the last commit's event */
    if (subscription->watching)
        gw_watch_remove(subscription->loop, &subscription->watch);
    subscription->watching = false;
    gw_timer_cancel(subscription->loop, &subscription->tick);
    gw_timer_cancel(subscription->loop, &subscription->prod);
    gw_subscription_give_up_commits(subscription);
    gw_subscription_forget(subscription, -1);
    drop_list(subscription);
    if (!subscription->rk) {
        left(subscription);
        return;
    }
    if (subscription->auto_commit && subscription->end != GW_END_LAYER_DELETED)
        subscription->list = gw_subscription_to_commit(subscription);
    gw_subscription_start_job(subscription, GW_STEP_LEAVE);
}

/* The group takes its partitions, or gives it some: eagerly, so all at once. */
static void rebalance(struct gw_subscription *subscription, rd_kafka_event_t *event)
{
    bool assigned = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    drop_list(subscription);
    subscription->rebalancing = !assigned;
    subscription->hurry_until_ms = 0; /* it has heard */
    if (assigned) {
        subscription->list = rd_kafka_topic_partition_list_copy(rd_kafka_event_topic_partition_list(event));
    } else {
        if (subscription->auto_commit)
            subscription->list = gw_subscription_to_commit(subscription);
        gw_subscription_forget(subscription, -1);
        bool had_some = subscription->share_count > 0;
        subscription->share_count = 0;
        if (had_some)
            gw_subscription_reassigned(subscription);
    }
    gw_subscription_start_job(subscription, assigned ? GW_STEP_ASSIGN : GW_STEP_REVOKE);
}

static bool is_forbidden(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
}

/* Kafka lets the gateway's principal not read: nothing will ever come, and who waits is told which right
 * lacks. */
static void end_forbidden(struct gw_subscription *subscription)
{
    sl_error error;
    if (subscription->forbidden == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        sl_error_set(
            &error, SL_KAFKA,
            "Kafka did not let the group %s in: the gateway's principal needs Read on it (kafka-acls "
            "--add --group %s --operation Read; docs/security.md)",
            subscription->group, subscription->group);
    else
        gw_topic_error(subscription->forbidden, NULL, "let the gateway read", subscription->layer->topic,
                       "Read", &error);
    gw_broker_note_trouble(subscription->broker, subscription->forbidden, "", error.text);
    if (subscription->layer->marketplace &&
        subscription->forbidden != RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        sl_error_set(&error, SL_KAFKA,
                     "Kafka did not let the gateway read the layer %s: the gateway's log says which right it "
                     "needs",
                     subscription->layer->id);
    answer_subscribe(subscription, SL_KAFKA, &error);
    gw_subscription_leave(subscription, GW_END_KAFKA, error.text);
}

static void note_error(struct gw_subscription *subscription, rd_kafka_event_t *event)
{
    char who[GW_TOLD_MAX];
    if (is_forbidden(rd_kafka_event_error(event))) {
        subscription->forbidden = rd_kafka_event_error(event);
        return;
    }
    snprintf(who, sizeof who, "group %s on %s", subscription->group, subscription->layer->topic);
    gw_broker_note_trouble(subscription->broker, rd_kafka_event_error(event), who,
                           rd_kafka_event_error_string(event));
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        gw_outage_suspect(subscription->outage);
    if (rd_kafka_event_error_is_fatal(event)) /* librdkafka's own text may name brokers and topics */
        gw_subscription_leave(subscription, GW_END_KAFKA,
                              subscription->layer->marketplace ? rd_kafka_err2str(rd_kafka_event_error(event))
                                                               : rd_kafka_event_error_string(event));
}

/* Rebalances, commits' results, errors; up to one that begins a job. */
static void serve_control(struct gw_subscription *subscription)
{
    while (!subscription->step && subscription->control) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(subscription->control, 0);
        if (!event)
            return;
        switch (rd_kafka_event_type(event)) {
        case RD_KAFKA_EVENT_REBALANCE:
            rebalance(subscription, event);
            break;
        case RD_KAFKA_EVENT_OFFSET_COMMIT:
            gw_subscription_committed(subscription, event);
            break;
        case RD_KAFKA_EVENT_ERROR:
            note_error(subscription, event);
            break;
        default:
            break;
        }
        rd_kafka_event_destroy(event);
    }
}

/* What needs no partitions to be done. */
static bool is_wish(const struct gw_change *change)
{
    return change->kind == GW_PAUSE || change->kind == GW_RESUME;
}

void gw_subscription_work(struct gw_subscription *subscription)
{
    if (subscription->step || subscription->phase == GW_LEFT)
        return;
    serve_control(subscription);
    if (subscription->step)
        return;
    if (subscription->phase == GW_LEAVING) {
        go_on_leaving(subscription);
        return; /* the memory may be gone */
    }
    while (subscription->orders && !subscription->step &&
           (!subscription->rebalancing || is_wish(subscription->orders)))
        gw_subscription_order_next(subscription);
    if (subscription->phase == GW_JOINED && !subscription->step)
        gw_subscription_serve(subscription);
    if (subscription->forbidden && subscription->phase < GW_LEAVING && !subscription->step) {
        end_forbidden(subscription);
        gw_subscription_work(subscription); /* it leaves */
    }
}

static void wake(struct gw_watch *watch)
{
    struct gw_subscription *subscription =
        (struct gw_subscription *)(void *)((char *)watch - offsetof(struct gw_subscription, watch));
    uint64_t count;
    ssize_t got = read(watch->fd, &count, sizeof count);
    (void)got; /* nothing to read: somebody was quicker */
    gw_subscription_work(subscription);
}

void gw_subscription_called(struct gw_subscription *subscription)
{
    subscription->last_call_ms = sl_mono_ms();
    subscription->idle_until_ms = subscription->last_call_ms + subscription->all->idle_ms;
    subscription->idle_end = GW_END_IDLE;
}

void gw_subscription_suspect(struct gw_subscription *subscription)
{
    int64_t until = sl_mono_ms() + subscription->all->lost_ms;
    if (subscription->phase != GW_JOINED || until >= subscription->idle_until_ms)
        return;
    subscription->idle_until_ms = until;
    subscription->idle_end = GW_END_LOST;
    if (!subscription->tick.slot || until < subscription->tick.due_ms)
        gw_timer_set(subscription->loop, &subscription->tick, until); /* it is set: no memory needed */
}

/* When a subscription that is joining is looked at again. An outage is heard of within limits.kafka-wait. */
static int64_t next_look_ms(const struct gw_subscription *subscription, int64_t now)
{
    int64_t next = now + subscription->broker->wait_ms / 4;
    return next < subscription->joining_until_ms ? next : subscription->joining_until_ms;
}

/* Of a layer on the Marketplace it is not told to who reads it; nor is the topic. */
#define CLUSTER_TEXT 320
static const char *name_cluster(const struct gw_subscription *subscription, char text[CLUSTER_TEXT])
{
    if (subscription->layer->marketplace)
        return "Kafka";
    snprintf(text, CLUSTER_TEXT, "the Kafka cluster \"%.64s\" (%.200s)", subscription->broker->cluster,
             subscription->broker->own.brokers);
    return text;
}

/* A group may take its time (limits.join-timeout), a Kafka that does not answer no longer than with any other
 * request. */
static void look_at_joining(struct gw_subscription *subscription, int64_t now)
{
    char cluster[CLUSTER_TEXT];
    sl_error error;
    sl_status status = SL_OK;
    gw_outage_suspect(subscription->outage);
    if (now >= subscription->joining_until_ms)
        status = sl_error_set_retriable(
            &error, SL_TIMED_OUT,
            "consumer group %s gave the subscription no partitions in time: %s does not answer, or another "
            "member of the group does not",
            subscription->group, name_cluster(subscription, cluster));
    else if (now >= subscription->patient_until_ms && gw_outage_ms(subscription->outage)) {
        status = sl_error_set_retriable(&error, SL_UNAVAILABLE,
                                        "consumer group %s gave the subscription no partitions",
                                        subscription->group);
        gw_layer_explain(subscription->broker, subscription->layer, &error);
    }
    if (!status)
        return;
    answer_subscribe(subscription, status, &error);
    gw_subscription_leave(subscription, GW_END_KAFKA, error.text);
}

static void tick(struct gw_timer *timer)
{
    struct gw_subscription *subscription =
        (struct gw_subscription *)(void *)((char *)timer - offsetof(struct gw_subscription, tick));
    int64_t now = sl_mono_ms();
    int64_t idle_until = subscription->idle_until_ms;
    bool busy =
        subscription->parked || subscription->unsettled || subscription->holders || subscription->commits;
    if (subscription->phase == GW_JOINING) {
        look_at_joining(subscription, now);
    } else if (subscription->phase == GW_JOINED && !busy && now >= idle_until) {
        SL_INFO(&subscription->all->log, "group %s on %s: subscription %s ends, nobody polls it",
                subscription->group, subscription->layer->topic, subscription->id);
        gw_subscription_leave(subscription, subscription->idle_end, NULL);
    }
    int64_t next = now + TICK_MS;
    if (subscription->phase == GW_JOINING)
        next = next_look_ms(subscription, now);
    else if (subscription->phase == GW_JOINED && idle_until < next)
        next = idle_until > now ? idle_until : now + 1000;
    else if (subscription->phase == GW_LEAVING)
        next = subscription->leaving_until_ms > now ? subscription->leaving_until_ms : now + 1000;
    if (subscription->phase == GW_JOINED && !subscription->step && !subscription->rebalancing)
        gw_subscription_find_lag(subscription);
    if (subscription->phase != GW_LEFT && gw_timer_set(subscription->loop, timer, next))
        gw_subscription_leave(subscription, GW_END_MEMORY, NULL); /* it could never end, without its timer */
    gw_subscription_work(subscription);
}

static void opened(struct gw_subscription *subscription)
{
    sl_error error;
    sl_status status = subscription->job_status;
    if (status)
        error = subscription->job_error;
    if (!status && subscription->phase == GW_JOINING) {
        subscription->watch = (struct gw_watch){.fd = subscription->wake_fd, .ready = wake};
        status = gw_watch_add(subscription->loop, &subscription->watch, &error);
        subscription->watching = !status;
    }
    if (status) {
        answer_subscribe(subscription, status, &error);
        gw_subscription_leave(subscription, GW_END_KAFKA, error.text);
    }
}

/* Its client hears 404, and subscribes again: what it has not committed comes again. */
static void end_broken(struct gw_subscription *subscription)
{
    if (!subscription->job_broke || subscription->phase != GW_JOINED)
        return;
    SL_WARNING(&subscription->all->log, "group %s on %s: subscription %s ends: %s", subscription->group,
               subscription->layer->topic, subscription->id, subscription->job_error.text);
    gw_subscription_leave(subscription, GW_END_KAFKA, subscription->job_error.text);
}

static void assigned(struct gw_subscription *subscription)
{
    if (subscription->job_status)
        SL_WARNING(&subscription->all->log, "group %s on %s: %s", subscription->group,
                   subscription->layer->topic, subscription->job_error.text);
    gw_subscription_note_expired(subscription, subscription->expired);
    const rd_kafka_topic_partition_list_t *list = subscription->list;
    size_t count = subscription->job_broke ? 0 : (size_t)list->cnt;
    struct gw_share *shares = count ? calloc(count, sizeof *shares) : NULL;
    if (count && !shares) {
        gw_subscription_leave(subscription, GW_END_MEMORY, NULL);
        return;
    }
    for (size_t i = 0; i < count; i++)
        shares[i] = (struct gw_share){.partition = list->elems[i].partition,
                                      .begin = list->elems[i].offset < 0 ? -1 : list->elems[i].offset,
                                      .end = -1,
                                      .taken = -1,
                                      .met = -1,
                                      .sent = -1,
                                      .processed = -1,
                                      .committed = -1,
                                      .group = list->elems[i].offset < 0 ? -1 : list->elems[i].offset};
    free(subscription->shares);
    subscription->shares = shares;
    subscription->share_count = count;
    if (count || !subscription->assignment)
        gw_subscription_reassigned(subscription);
    end_broken(subscription);
    if (subscription->phase != GW_JOINING)
        return;
    if (subscription->job_status) {
        answer_subscribe(subscription, subscription->job_status, &subscription->job_error);
        gw_subscription_leave(subscription, GW_END_KAFKA, subscription->job_error.text);
        return;
    }
    subscription->phase = GW_JOINED;
    gw_subscription_called(subscription);
    subscription->idle_until_ms = subscription->last_call_ms + gw_first_call_ms(subscription->all);
    subscription->idle_end = GW_END_UNUSED;
    gw_timer_set(subscription->loop, &subscription->tick,
                 subscription->last_call_ms); /* it is set: no memory needed */
    gw_subscription_ready(subscription);
    answer_subscribe(subscription, SL_OK, NULL);
}

void gw_subscription_job_back(struct gw_task *task)
{
    struct gw_subscription *subscription =
        (struct gw_subscription *)(void *)((char *)task - offsetof(struct gw_subscription, back));
    enum gw_step step = subscription->step;
    subscription->step = GW_STEP_NONE;
    switch (step) {
    case GW_STEP_OPEN:
        opened(subscription);
        break;
    case GW_STEP_ASSIGN:
        assigned(subscription);
        break;
    case GW_STEP_SEEK:
    case GW_STEP_RESUME:
    case GW_STEP_POSITIONS:
    case GW_STEP_ENDS:
        gw_subscription_order_done(subscription, step);
        end_broken(subscription);
        break;
    case GW_STEP_LEAVE:
        left(subscription);
        return; /* the memory may be gone */
    default:
        break;
    }
    gw_subscription_work(subscription);
}

void gw_subscription_begin(struct gw_task *task)
{
    struct gw_subscription *subscription =
        (struct gw_subscription *)(void *)((char *)task - offsetof(struct gw_subscription, begin_task));
    int64_t now = sl_mono_ms();
    subscription->joining_until_ms = now + subscription->all->join_ms;
    subscription->patient_until_ms = now + subscription->broker->wait_ms;
    subscription->tick.run = tick;
    sl_error error;
    sl_status status = make_conf(subscription, &error);
    /* From now on, since its first job may have to wait for a worker. */
    if (!status && gw_timer_set(subscription->loop, &subscription->tick, next_look_ms(subscription, now)))
        status = sl_error_oom(&error);
    if (!status) {
        gw_subscription_start_job(subscription, GW_STEP_OPEN);
        return;
    }
    answer_subscribe(subscription, status, &error);
    gw_subscription_leave(subscription, GW_END_KAFKA, error.text);
    gw_subscription_work(subscription);
}

/* An empty commit does nothing but wake librdkafka's main thread; its result is passed over. */
static void prod(struct gw_timer *timer)
{
    struct gw_subscription *subscription =
        (struct gw_subscription *)(void *)((char *)timer - offsetof(struct gw_subscription, prod));
    int64_t now = sl_mono_ms();
    if (subscription->phase != GW_JOINED || now >= subscription->hurry_until_ms)
        return;
    if (!subscription->step && !subscription->rebalancing) {
        rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
        rd_kafka_commit_queue(subscription->rk, none, subscription->control, NULL, NULL);
        rd_kafka_topic_partition_list_destroy(none);
    }
    gw_timer_set(subscription->loop, timer, now + PROD_MS); /* without memory it hears a little later */
}

void gw_subscription_hurry(struct gw_task *task)
{
    struct gw_subscription *subscription =
        (struct gw_subscription *)(void *)((char *)task - offsetof(struct gw_subscription, hurry_task));
    atomic_store(&subscription->hurry_posted, false);
    subscription->hurry_until_ms = sl_mono_ms() + HURRY_MS;
    subscription->prod.run = prod;
    if (!subscription->prod.slot)
        prod(&subscription->prod);
    gw_subscription_unlink(subscription); /* the task's link */
}

void gw_subscription_abandoned(struct gw_task *task)
{
    struct gw_subscription *subscription =
        (struct gw_subscription *)(void *)((char *)task - offsetof(struct gw_subscription, abandon_task));
    gw_subscription_leave(subscription, (enum gw_end)atomic_load(&subscription->ending), NULL);
    gw_subscription_work(subscription);
    gw_subscription_unlink(subscription); /* the task's link */
}
