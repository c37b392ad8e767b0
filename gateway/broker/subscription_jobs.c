/*
 * What blocks: opening a consumer, start positions, giving partitions back, seeking, leaving. On a worker;
 * while a job runs the loop keeps its hands off what it uses (rk, queues, list).
 */
#include "gateway/broker/subscription.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define OFFSETS_TIMEOUT_MS 10000
#define OFFSETS_TRIES      3
#define SEEK_TIMEOUT_MS    5000
#define SEEK_PAUSE_MS      20
#define LEAVE_TIMEOUT_MS   10000
#define COMMIT_TIMEOUT_MS  10000
#define LEAST_TIMEOUT_MS   100

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* What is left of a time-out: when the gateway is being stopped its grace bounds it. */
static int within(const struct gw_subscription *subscription, int timeout_ms)
{
    int64_t until = atomic_load(&subscription->all->until_ms);
    int left = until ? sl_remaining_ms(until) : timeout_ms;
    if (left > timeout_ms)
        left = timeout_ms;
    return left > LEAST_TIMEOUT_MS ? left : LEAST_TIMEOUT_MS;
}

static sl_status kafka_error(sl_error *error, rd_kafka_resp_err_t code, const char *what)
{
    bool retriable;
    sl_status status = gw_kafka_status(code, &retriable);
    if (retriable)
        return sl_error_set_retriable(error, status == SL_TIMED_OUT ? status : SL_UNAVAILABLE, "%s: %s", what,
                                      rd_kafka_err2str(code));
    return sl_error_set(error, status == SL_OK ? SL_KAFKA : status, "%s: %s", what, rd_kafka_err2str(code));
}

static size_t size_setting(rd_kafka_t *rk, const char *name)
{
    char text[32];
    size_t size = sizeof text;
    int64_t value;
    if (rd_kafka_conf_get(rd_kafka_conf(rk), name, text, &size) != RD_KAFKA_CONF_OK ||
        !sl_parse_int(text, 1, INT32_MAX, &value))
        return INT32_MAX;
    return (size_t)value;
}

/* Opening: the consumer, its queues, and the subscription to the topic. Joining goes on by itself. */
static sl_status open_consumer(struct gw_subscription *subscription, sl_error *error)
{
    char text[GW_PROPERTY_TEXT_MAX] = "";
    subscription->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (subscription->wake_fd < 0)
        return sl_error_set_retriable(error, SL_UNAVAILABLE, "no descriptor for a subscription: %s",
                                      sl_errno_text(errno));
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, subscription->conf, text, sizeof text);
    if (!rk)
        return sl_error_set_retriable(error, SL_UNAVAILABLE, "a consumer cannot be made: %s", text);
    subscription->conf = NULL; /* the consumer's */
    subscription->rk = rk;
    rd_kafka_poll_set_consumer(rk);
    subscription->topic = rd_kafka_topic_new(rk, subscription->layer->topic, NULL);
    if (!subscription->topic)
        return sl_error_oom(error);
    subscription->run.full_bytes = size_setting(rk, "queued.max.messages.kbytes") * 1024;
    subscription->run.full_messages = size_setting(rk, "queued.min.messages");
    subscription->control = rd_kafka_queue_get_consumer(rk);
    subscription->messages = rd_kafka_queue_new(rk);
    const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(subscription->control, subscription->wake_fd, &one, sizeof one);
    rd_kafka_queue_io_event_enable(subscription->messages, subscription->wake_fd, &one, sizeof one);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, subscription->layer->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return code ? kafka_error(error, code, "Kafka refused the subscription") : SL_OK;
}

/* rd_kafka_commit, but not for ever. */
static rd_kafka_resp_err_t commit_and_wait(const struct gw_subscription *subscription,
                                           const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(subscription->rk);
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(subscription->rk, list, queue, NULL, NULL);
    if (!code) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, within(subscription, COMMIT_TIMEOUT_MS));
        code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
        if (event)
            rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    return code;
}

/* Offsets of these partitions: begin or end. NULL: *code says why not. */
static rd_kafka_topic_partition_list_t *offsets_of(const struct gw_subscription *subscription,
                                                   const rd_kafka_topic_partition_list_t *list, int64_t which,
                                                   rd_kafka_resp_err_t *code)
{
    rd_kafka_topic_partition_list_t *known = rd_kafka_topic_partition_list_copy(list);
    for (int i = 0; i < known->cnt; i++)
        known->elems[i].offset = which;
    *code = gw_broker_offsets(subscription->broker, known, within(subscription, OFFSETS_TIMEOUT_MS));
    if (!*code)
        return known;
    rd_kafka_topic_partition_list_destroy(known);
    return NULL;
}

/* Where the group stood, and retention has deleted the message since: it begins anew, which goes to fresh.
 * What is passed over is counted. */
static rd_kafka_resp_err_t find_expired(struct gw_subscription *subscription,
                                        const rd_kafka_topic_partition_list_t *list,
                                        rd_kafka_topic_partition_list_t *fresh)
{
    rd_kafka_resp_err_t code;
    subscription->expired = 0;
    if (fresh->cnt == list->cnt)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_t *begins =
        offsets_of(subscription, list, RD_KAFKA_OFFSET_BEGINNING, &code);
    if (!begins)
        return code;
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *committed = &list->elems[i];
        if (committed->offset < 0 || committed->offset >= begins->elems[i].offset)
            continue;
        subscription->expired += (uint64_t)(begins->elems[i].offset - committed->offset);
        rd_kafka_topic_partition_list_add(fresh, committed->topic, committed->partition)->offset =
            subscription->earliest ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
    }
    rd_kafka_topic_partition_list_destroy(begins);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/*
 * The start positions: what the group has committed; else begin or end. An end is fixed now and committed, so
 * that neither a rebalance nor a restart before the first commit can move it over messages that came since.
 */
static rd_kafka_resp_err_t find_starts(struct gw_subscription *subscription,
                                       rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t code =
        rd_kafka_committed(subscription->rk, list, within(subscription, OFFSETS_TIMEOUT_MS));
    if (code)
        return code;
    rd_kafka_topic_partition_list_t *fresh = rd_kafka_topic_partition_list_new(list->cnt);
    for (int i = 0; i < list->cnt && !code; i++) {
        const rd_kafka_topic_partition_t *partition = &list->elems[i];
        code = partition->err;
        /* One that the layer had not when this was subscribed: all in it came since. */
        bool later = partition->partition >= subscription->layer->parallelization;
        if (partition->offset < 0)
            rd_kafka_topic_partition_list_add(fresh, partition->topic, partition->partition)->offset =
                subscription->earliest || later ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
    }
    if (!code)
        code = find_expired(subscription, list, fresh);
    if (!code)
        code = gw_broker_offsets(subscription->broker, fresh, within(subscription, OFFSETS_TIMEOUT_MS));
    for (int i = 0; i < fresh->cnt && !code; i++)
        rd_kafka_topic_partition_list_set_offset(list, fresh->elems[i].topic, fresh->elems[i].partition,
                                                 fresh->elems[i].offset);
    if (!code && fresh->cnt && !subscription->earliest)
        code = commit_and_wait(subscription, fresh);
    rd_kafka_topic_partition_list_destroy(fresh);
    return code;
}

/* Messages go to a queue of their own, so that rebalances never wait behind messages that nobody polls. */
static void forward_messages(const struct gw_subscription *subscription,
                             const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_queue_t *from =
            rd_kafka_queue_get_partition(subscription->rk, list->elems[i].topic, list->elems[i].partition);
        if (!from)
            continue;
        rd_kafka_queue_forward(from, subscription->messages);
        rd_kafka_queue_destroy(from);
    }
}

/* A pause outlasts the assignment that it was made in. */
static void pause_again(const struct gw_subscription *subscription)
{
    const rd_kafka_topic_partition_list_t *list = subscription->list;
    rd_kafka_topic_partition_list_t *paused = rd_kafka_topic_partition_list_new(list->cnt);
    for (int i = 0; i < list->cnt; i++)
        if (gw_subscription_is_paused(subscription, list->elems[i].partition))
            rd_kafka_topic_partition_list_add(paused, list->elems[i].topic, list->elems[i].partition);
    if (paused->cnt)
        rd_kafka_pause_partitions(subscription->rk, paused);
    rd_kafka_topic_partition_list_destroy(paused);
}

static sl_status assign(struct gw_subscription *subscription, sl_error *error)
{
    rd_kafka_topic_partition_list_t *list = subscription->list;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    subscription->expired = 0;
    for (int tries = 0; tries < OFFSETS_TRIES; tries++) {
        code = list->cnt ? find_starts(subscription, list) : RD_KAFKA_RESP_ERR_NO_ERROR;
        if (!code || atomic_load(&subscription->ending) || atomic_load(&subscription->all->closed))
            break;
    }
    sl_status status =
        code ? kafka_error(error, code, "the start positions could not be found and kept") : SL_OK;
    for (int i = 0; i < list->cnt && status; i++)
        if (list->elems[i].offset <
            0) /* librdkafka goes on asking; without a commit it begins at the first */
            list->elems[i].offset = RD_KAFKA_OFFSET_STORED;
    forward_messages(subscription, list);
    rd_kafka_resp_err_t refused = rd_kafka_assign(subscription->rk, list);
    if (!refused) {
        pause_again(subscription);
        return status;
    }
    rd_kafka_assign(subscription->rk, NULL);
    subscription->job_broke = true;
    return kafka_error(error, refused, "the partitions could not be taken");
}

static void commit_list(const struct gw_subscription *subscription)
{
    if (!subscription->list || !subscription->list->cnt)
        return;
    rd_kafka_resp_err_t code = commit_and_wait(subscription, subscription->list);
    if (code)
        SL_INFO(&subscription->all->log, "group %s: automatic commit: %s", subscription->group,
                rd_kafka_err2str(code));
}

static void give_back(struct gw_subscription *subscription)
{
    if (!rd_kafka_assignment_lost(subscription->rk))
        commit_list(subscription);
    rd_kafka_assign(subscription->rk, NULL);
}

/* Sets the one partition's position; its fetcher may only be starting. */
static rd_kafka_resp_err_t seek_to(rd_kafka_topic_t *topic, const rd_kafka_topic_partition_t *partition)
{
    int64_t until = sl_mono_ms() + SEEK_TIMEOUT_MS;
    rd_kafka_resp_err_t code;
    while ((code = rd_kafka_seek(topic, partition->partition, partition->offset, SEEK_TIMEOUT_MS)) ==
               RD_KAFKA_RESP_ERR__STATE &&
           sl_mono_ms() < until)
        pause_ms(SEEK_PAUSE_MS);
    return code;
}

/* What the log does not have becomes its begin or end, as the subscriber wants it who has no position. */
static sl_status clamp(struct gw_subscription *subscription, rd_kafka_topic_partition_list_t *list,
                       sl_error *error)
{
    rd_kafka_resp_err_t code;
    rd_kafka_topic_partition_list_t *ends = NULL, *begins = offsets_of(subscription, list,
                                                                       RD_KAFKA_OFFSET_BEGINNING, &code);
    if (begins)
        ends = offsets_of(subscription, list, RD_KAFKA_OFFSET_END, &code);
    for (int i = 0; i < list->cnt && ends; i++) {
        int64_t begin = begins->elems[i].offset, end = ends->elems[i].offset;
        if (list->elems[i].offset < begin || list->elems[i].offset > end)
            list->elems[i].offset = subscription->earliest ? begin : end;
    }
    sl_status status = ends ? SL_OK : kafka_error(error, code, "the partitions' begin and end are not known");
    if (begins)
        rd_kafka_topic_partition_list_destroy(begins);
    if (ends)
        rd_kafka_topic_partition_list_destroy(ends);
    return status;
}

/* Makes positions of what is asked for. */
static sl_status resolve(struct gw_subscription *subscription, sl_error *error)
{
    rd_kafka_topic_partition_list_t *list = subscription->list;
    if (subscription->seek_time_ms >= 0) {
        rd_kafka_resp_err_t why = gw_broker_offsets_at(subscription->broker, list, subscription->seek_time_ms,
                                                       within(subscription, OFFSETS_TIMEOUT_MS));
        return why ? kafka_error(error, why, "the offsets of that time are not known") : SL_OK;
    }
    if (list->elems[0].offset >= 0)
        return clamp(subscription, list, error);
    rd_kafka_resp_err_t code =
        gw_broker_offsets(subscription->broker, list, within(subscription, OFFSETS_TIMEOUT_MS));
    return code ? kafka_error(error, code, "the partitions' begin and end are not known") : SL_OK;
}

/* Puts the first `count` back where they were: what is held of them goes on counting, and nothing is passed
 * over that nobody asked to pass over. False: not all are known to be back. */
static bool move_back(const struct gw_subscription *subscription, int count)
{
    for (int i = 0; i < count; i++) {
        rd_kafka_topic_partition_t back = subscription->list->elems[i];
        const struct gw_share *share = gw_subscription_share(subscription, back.partition);
        back.offset = !share ? -1 : share->taken >= 0 ? share->taken : share->begin;
        if (back.offset < 0 || seek_to(subscription->topic, &back))
            return false;
    }
    return true;
}

/* All are looked at before the first is moved. One that cannot be moved brings those before it back, and
 * itself where it may yet go. */
static sl_status seek(struct gw_subscription *subscription, sl_error *error)
{
    const rd_kafka_topic_partition_list_t *list = subscription->list;
    sl_status status = resolve(subscription, error);
    for (int i = 0; i < list->cnt && !status; i++) {
        rd_kafka_resp_err_t code = seek_to(subscription->topic, &list->elems[i]);
        if (!code)
            continue;
        status = kafka_error(error, code, "the position could not be set");
        subscription->job_broke = !move_back(subscription, code == RD_KAFKA_RESP_ERR__TIMED_OUT ? i + 1 : i);
    }
    return status;
}

/* The position is set although nothing moved it: what librdkafka fetched around the pause does not matter
 * then. One that fails leaves all of them paused. */
static sl_status resume(struct gw_subscription *subscription, sl_error *error)
{
    rd_kafka_topic_partition_list_t *list = subscription->list;
    rd_kafka_resp_err_t code = rd_kafka_resume_partitions(subscription->rk, list);
    for (int i = 0; i < list->cnt && !code; i++)
        if (list->elems[i].offset >= 0)
            code = seek_to(subscription->topic, &list->elems[i]);
    if (!code)
        return SL_OK;
    rd_kafka_pause_partitions(subscription->rk, list);
    return kafka_error(error, code, "the partitions could not be resumed");
}

/* Where the partitions end that a commit names. */
static sl_status ask_ends(struct gw_subscription *subscription, sl_error *error)
{
    rd_kafka_resp_err_t code =
        gw_broker_offsets(subscription->broker, subscription->list, within(subscription, OFFSETS_TIMEOUT_MS));
    return code ? kafka_error(error, code, "the partitions' ends are not known") : SL_OK;
}

/* What Kafka knows of the positions. */
static sl_status ask_positions(struct gw_subscription *subscription, sl_error *error)
{
    struct gw_broker *broker = subscription->broker;
    const char *topic = subscription->layer->topic;
    int count = (int)subscription->known_count;
    sl_partition_position *known = subscription->known;
    rd_kafka_topic_partition_list_t *begins = rd_kafka_topic_partition_list_new(count);
    rd_kafka_topic_partition_list_t *ends = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++) {
        rd_kafka_topic_partition_list_add(begins, topic, known[i].partition)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
        rd_kafka_topic_partition_list_add(ends, topic, known[i].partition)->offset = RD_KAFKA_OFFSET_END;
    }
    rd_kafka_topic_partition_list_t *committed = rd_kafka_topic_partition_list_copy(begins);
    rd_kafka_resp_err_t code =
        rd_kafka_committed(subscription->rk, committed, within(subscription, OFFSETS_TIMEOUT_MS));
    if (!code)
        code = gw_broker_offsets(broker, begins, within(subscription, OFFSETS_TIMEOUT_MS));
    if (!code)
        code = gw_broker_offsets(broker, ends, within(subscription, OFFSETS_TIMEOUT_MS));
    for (int i = 0; i < count && !code; i++) {
        code = committed->elems[i].err;
        known[i].begin = begins->elems[i].offset;
        known[i].end = ends->elems[i].offset;
        known[i].committed = committed->elems[i].offset < 0 ? -1 : committed->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(committed);
    rd_kafka_topic_partition_list_destroy(ends);
    rd_kafka_topic_partition_list_destroy(begins);
    return code ? kafka_error(error, code, "the positions are not known") : SL_OK;
}

/* Leaves the group and waits until that is done; rebalance events are part of it. */
static bool close_consumer(const struct gw_subscription *subscription)
{
    rd_kafka_t *rk = subscription->rk;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_error_t *refused = rd_kafka_consumer_close_queue(rk, queue);
    int64_t until = sl_mono_ms() + LEAVE_TIMEOUT_MS;
    while (!refused && !rd_kafka_consumer_closed(rk) && sl_mono_ms() < until &&
           within(subscription, LEAVE_TIMEOUT_MS) > LEAST_TIMEOUT_MS) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 100);
        if (!event)
            continue;
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
            rd_kafka_assign(rk, NULL);
        rd_kafka_event_destroy(event);
    }
    bool closed = !refused && rd_kafka_consumer_closed(rk);
    /* librdkafka's end waits for ever for who was asked to give partitions back and has not answered. */
    if (!closed && !refused)
        rd_kafka_assign(rk, NULL);
    if (refused)
        rd_kafka_error_destroy(refused);
    rd_kafka_queue_destroy(queue);
    return closed;
}

void gw_subscription_destroy_consumer(struct gw_subscription *subscription, bool closed)
{
    if (subscription->control)
        rd_kafka_queue_destroy(subscription->control);
    if (subscription->messages)
        rd_kafka_queue_destroy(subscription->messages);
    if (subscription->topic)
        rd_kafka_topic_destroy(subscription->topic);
    if (subscription->rk)
        rd_kafka_destroy_flags(subscription->rk, closed ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    subscription->control = subscription->messages = NULL;
    subscription->topic = NULL;
    subscription->rk = NULL;
}

static void leave(struct gw_subscription *subscription)
{
    if (subscription->control)
        rd_kafka_queue_io_event_enable(subscription->control, -1, NULL, 0);
    if (subscription->messages)
        rd_kafka_queue_io_event_enable(subscription->messages, -1, NULL, 0);
    commit_list(subscription);
    gw_subscription_destroy_consumer(subscription, close_consumer(subscription));
}

static void run(struct gw_job *job)
{
    struct gw_subscription *subscription =
        (struct gw_subscription *)(void *)((char *)job - offsetof(struct gw_subscription, job));
    sl_error *error = &subscription->job_error;
    sl_status status = SL_OK;
    subscription->job_broke = false;
    switch (subscription->step) {
    case GW_STEP_OPEN:
        status = open_consumer(subscription, error);
        break;
    case GW_STEP_ASSIGN:
        status = assign(subscription, error);
        break;
    case GW_STEP_REVOKE:
        give_back(subscription);
        break;
    case GW_STEP_SEEK:
        status = seek(subscription, error);
        break;
    case GW_STEP_RESUME:
        status = resume(subscription, error);
        break;
    case GW_STEP_POSITIONS:
        status = ask_positions(subscription, error);
        break;
    case GW_STEP_ENDS:
        status = ask_ends(subscription, error);
        break;
    case GW_STEP_LEAVE:
        leave(subscription);
        break;
    default:
        break;
    }
    if (status)
        gw_layer_explain(subscription->broker, subscription->layer, error);
    subscription->job_status = status;
    subscription->back.run = gw_subscription_job_back;
    gw_loop_post(subscription->loop, &subscription->back);
}

void gw_subscription_start_job(struct gw_subscription *subscription, enum gw_step step)
{
    subscription->step = step;
    subscription->job.run = run;
    gw_work_post(subscription->all->workers, subscription->application, &subscription->job);
}
