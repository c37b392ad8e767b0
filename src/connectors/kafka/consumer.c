/* The consuming side: open, poll, seek, commit, close. assignment.c keeps the positions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "connectors/kafka/kafka.h"

/* abandoned: nobody answers, and nobody waits for it. */
static void consumer_free(struct sl_kafka_consumer *consumer, bool abandoned)
{
    sl_kafka_drop_pending(consumer);
    if (consumer->client)
        sl_kafka_token_end(consumer->client);
    sl_kafka_offsets_close(consumer);
    if (consumer->messages)
        rd_kafka_queue_destroy(consumer->messages);
    if (consumer->handle)
        rd_kafka_topic_destroy(consumer->handle);
    sl_kafka_leftovers_drop(consumer);
    if (consumer->client)
        sl_kafka_client_end(consumer->client, abandoned ? SL_KAFKA_ABANDON_MS : SL_KAFKA_END_MS);
    pthread_mutex_destroy(&consumer->lock);
    free(consumer->assigned);
    free(consumer->kept);
    sl_pauses_free(&consumer->pauses);
    sl_pauses_free(&consumer->told);
    free(consumer->topic);
    free(consumer->group);
    free(consumer);
}

/* The marks that end transactions take offsets, and nobody is handed one: without this a layer that is
 * written in transactions would never be read to its end. Only what is told of positions goes by it: messages
 * that come are still measured by next. */
static void met_end(const struct sl_kafka_consumer *consumer, const rd_kafka_message_t *message)
{
    struct sl_kafka_position *position = sl_kafka_position_of(consumer, message->partition);
    if (position)
        position->end = message->offset;
}

/* What librdkafka reports in the place of a message. SL_OK: it mends that by itself. */
static sl_status consumer_error(struct sl_kafka_consumer *consumer, const rd_kafka_message_t *message,
                                sl_error *error)
{
    struct sl_kafka_client *client = consumer->client;
    const char *text = rd_kafka_message_errstr(message);
    char lack[SL_KAFKA_LACK];
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        met_end(consumer, message);
        return SL_OK;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
    case RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR__FATAL:
        return sl_kafka_error(error, message->err, "topic \"%s\", group \"%s\" at %s: %s%s", consumer->topic,
                              consumer->group, client->brokers, text,
                              sl_kafka_lack(client, message->err, lack));
    default:
        sl_kafka_client_log(client, SL_LOG_WARNING, "topic \"%s\", group \"%s\": %s", consumer->topic,
                            consumer->group, text);
        return SL_OK;
    }
}

/* All brokers have been down for long, and one question more shows that they still are. */
static sl_status check_down(struct sl_kafka_consumer *consumer, sl_error *error)
{
    struct sl_kafka_client *client = consumer->client;
    pthread_mutex_lock(&client->lock);
    bool late = client->down_ms && sl_mono_ms() - client->down_ms >= SL_KAFKA_DOWN_MS;
    pthread_mutex_unlock(&client->lock);
    if (!late)
        return SL_OK;
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(client->rk, 0, NULL, &metadata, 500);
    if (!code)
        rd_kafka_metadata_destroy(metadata);
    char last[sizeof client->last_text];
    pthread_mutex_lock(&client->lock);
    client->down_ms = code ? sl_mono_ms() : 0; /* told again as often */
    memcpy(last, client->last_text, sizeof last);
    pthread_mutex_unlock(&client->lock);
    return code
               ? sl_error_set_retriable(error, SL_UNAVAILABLE,
                                        "no Kafka broker of %.300s can be reached for %d s: %s%s",
                                        client->brokers, SL_KAFKA_DOWN_MS / 1000, last, sl_kafka_hint(client))
               : SL_OK;
}

static sl_status give(sl_error *error, const sl_error *failure)
{
    if (error)
        *error = *failure;
    return failure->status;
}

static sl_status told_later(struct sl_kafka_consumer *consumer, sl_error *error)
{
    if (!consumer->failed)
        return SL_OK;
    consumer->failed = consumer->failure.fatal; /* a fatal one is told again and again */
    return give(error, &consumer->failure);
}

/* The application is told by the next poll; of a fatal one by every poll. */
static void tell_later(struct sl_kafka_consumer *consumer, const sl_error *failure)
{
    consumer->failed = true;
    consumer->failure = *failure;
}

/* The group's broker has let it in, if only to wait for the other members. */
static bool is_member(const struct sl_kafka_consumer *consumer)
{
    char *id = rd_kafka_memberid(consumer->client->rk);
    bool is = id && *id;
    if (id)
        rd_kafka_mem_free(consumer->client->rk, id);
    return is;
}

/* Until Kafka has assigned something, if only nothing, or time is up. */
static sl_status await_assignment(struct sl_kafka_consumer *consumer, int timeout_ms, sl_error *error)
{
    /* NEWS_MS: librdkafka joins again after 3 s, and Kafka then waits as long for further members. */
    enum { SLICE_MS = 500, NEWS_MS = 2 * SL_KAFKA_NEWS_MS };
    /* What was just granted may not be known to the group's broker yet: librdkafka goes on asking, and does
     * not say when it is refused no more. */
    sl_error refused = {0};
    bool let_in = false;
    int64_t deadline = sl_deadline_ms(timeout_ms);
    int64_t news = sl_deadline_ms(timeout_ms < NEWS_MS ? timeout_ms : NEWS_MS);
    while (!consumer->joined && sl_remaining_ms(refused.status ? news : deadline) > 0) {
        /* The rebalance callback ends this poll, so that no message comes before the loop has seen it. */
        int left = sl_remaining_ms(refused.status ? news : deadline);
        rd_kafka_message_t *message =
            rd_kafka_consumer_poll(consumer->client->rk, left < SLICE_MS ? left : SLICE_MS);
        sl_error failure = {0};
        sl_status status = SL_OK;
        if (message && message->err)
            status = consumer_error(consumer, message, &failure);
        if (message)
            rd_kafka_message_destroy(message);
        if (status == SL_FORBIDDEN)
            refused = failure;
        else if (status || sl_kafka_client_trouble(consumer->client, &failure))
            return give(error, &failure);
        else if (refused.status && !let_in && (let_in = is_member(consumer)))
            refused = (sl_error){0}; /* later ones are of a right that was lost */
    }
    return consumer->joined ? SL_OK : give(error, &refused);
}

static sl_status join(struct sl_kafka_consumer *consumer, int timeout_ms, sl_error *error)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    if (!topics)
        return sl_error_oom(error);
    rd_kafka_topic_partition_list_add(topics, consumer->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(consumer->client->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (code)
        return sl_kafka_error(error, code, "topic \"%s\" cannot be subscribed: %s", consumer->topic,
                              rd_kafka_err2str(code));
    sl_status status = await_assignment(consumer, timeout_ms, error);
    if (!status && !consumer->joined) {
        char last[sizeof consumer->client->last_text];
        sl_kafka_client_last(consumer->client, last, sizeof last);
        status = sl_error_set_retriable(
            error, SL_TIMED_OUT,
            "group \"%s\" at %s gave no Kafka partitions within " SL_KAFKA_SETTINGS
            "consumer.join-timeout (%d ms)%s%s",
            consumer->group, consumer->client->brokers, timeout_ms, *last ? ": " : "", last);
    }
    if (!status)
        status = told_later(consumer, error);
    if (!status && !sl_kafka_settled(consumer))
        status = sl_kafka_settle(consumer, error);
    return status;
}

/* What is in force, the application's own settings included. */
static size_t number_setting(rd_kafka_t *rk, const char *name)
{
    char text[32];
    size_t size = sizeof text;
    int64_t number;
    if (rd_kafka_conf_get(rd_kafka_conf(rk), name, text, &size) != RD_KAFKA_CONF_OK ||
        !sl_parse_int(text, 1, INT32_MAX, &number))
        return INT32_MAX;
    return (size_t)number;
}

static sl_status open_on(struct sl_kafka_consumer *consumer, const struct sl_target *target,
                         const struct sl_consumer_settings *settings, sl_error *error)
{
    consumer->topic = sl_strdup(target->endpoint->topic);
    consumer->group = sl_strdup(settings->group);
    if (!consumer->topic || !consumer->group)
        return sl_error_oom(error);
    rd_kafka_conf_t *conf;
    sl_status status = sl_kafka_conf_create(target, RD_KAFKA_CONSUMER, NULL, settings, &conf, error);
    if (status)
        return status;
    rd_kafka_conf_set_rebalance_cb(conf, sl_kafka_on_rebalance);
    status = sl_kafka_client_create(&consumer->host, target, RD_KAFKA_CONSUMER, conf, consumer,
                                    &consumer->client, error);
    if (!status)
        status =
            sl_kafka_client_check_topic(consumer->client, consumer->topic, target->connect_timeout_ms, error);
    if (status)
        return status;
    consumer->handle = rd_kafka_topic_new(consumer->client->rk, consumer->topic, NULL);
    if (!consumer->handle)
        return sl_error_oom(error);
    consumer->run.full_bytes = number_setting(consumer->client->rk, "queued.max.messages.kbytes") * 1024;
    consumer->run.full_messages = number_setting(consumer->client->rk, "queued.min.messages");
    rd_kafka_poll_set_consumer(consumer->client->rk);
    consumer->messages = rd_kafka_queue_get_consumer(consumer->client->rk);
    status = join(consumer, settings->join_timeout_ms, error);
    /* Who asked to join and does not wait leaves: else the group shares with it until its session ends. It
     * takes up to 5 s where the group still keeps the request to join. */
    if (status)
        rd_kafka_consumer_close(consumer->client->rk);
    return status;
}

sl_status sl_kafka_consumer_open(const struct sl_host *host, const struct sl_target *target,
                                 const struct sl_consumer_settings *settings, void **consumer,
                                 sl_error *error)
{
    struct sl_kafka_consumer *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    pthread_mutex_init(&made->lock, NULL);
    made->host = *host;
    made->start = settings->start;
    sl_status status = open_on(made, target, settings, error);
    if (status) {
        consumer_free(made, status == SL_UNAVAILABLE && !made->handle);
        return status;
    }
    sl_kafka_warn_of_sharing(made, target);
    *consumer = made;
    return SL_OK;
}

/* It does not fit into this batch, or there is no memory for it now. */
static bool keep_for_later(struct sl_kafka_consumer *consumer, rd_kafka_message_t *message)
{
    consumer->pending = message;
    return false;
}

/* One message into the batch. false: the batch is complete. */
static bool take(struct sl_kafka_consumer *consumer, struct sl_kafka_batch *batch,
                 rd_kafka_message_t *message, size_t *bytes_left)
{
    struct sl_kafka_position *position = sl_kafka_position_of(consumer, message->partition);
    if (!position || message->offset < position->next || position->paused) {
        rd_kafka_message_destroy(message); /* from before a rebalance, seek or pause */
        return true;
    }
    if (sl_kafka_batch_count(batch) && message->len > *bytes_left)
        return keep_for_later(consumer, message);
    if (!sl_kafka_batch_add(batch, message)) {
        if (!sl_kafka_batch_count(batch)) {
            consumer->failed = true;
            sl_error_oom(&consumer->failure);
        }
        return keep_for_later(consumer, message);
    }
    size_t weight = sl_kafka_batch_last_weight(batch);
    if (weight > *bytes_left && sl_kafka_batch_count(batch) > 1) /* its payload lies in a blob */
        return keep_for_later(consumer, sl_kafka_batch_untake(batch));
    *bytes_left -= weight < *bytes_left ? weight : *bytes_left;
    position->end = 0;
    return true;
}

static rd_kafka_message_t *receive(struct sl_kafka_consumer *consumer, int wait_ms)
{
    struct sl_fetch_run *run = &consumer->run;
    if (sl_fetch_run_looks(run))
        sl_fetch_run_look(run, rd_kafka_queue_length(consumer->messages));
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->client->rk, wait_ms);
    if (message && message->err) {
        sl_fetch_run_take_other(run);
    } else if (message) {
        sl_fetch_run_take(run, message->len);
        consumer->nudge_at_ms = 0;
    }
    return message;
}

static rd_kafka_message_t *await(struct sl_kafka_consumer *consumer, int wait_ms)
{
    int64_t until_ms = sl_mono_ms() + wait_ms;
    while (consumer->nudge_at_ms && consumer->nudge_at_ms <= until_ms) {
        int64_t left = consumer->nudge_at_ms - sl_mono_ms();
        rd_kafka_message_t *message = receive(consumer, left > 0 ? (int)left : 0);
        if (message)
            return message;
        if (consumer->nudge_at_ms && sl_mono_ms() >= consumer->nudge_at_ms)
            sl_kafka_nudge(consumer);
    }
    int64_t left = until_ms - sl_mono_ms();
    return receive(consumer, left > 0 ? (int)left : 0);
}

/* Fills the batch until it is complete, time is up, or nothing more is there. */
static sl_status fill(struct sl_kafka_consumer *consumer, struct sl_kafka_batch *batch, int timeout_ms,
                      size_t max_messages, size_t max_bytes, bool *empty, sl_error *error)
{
    int64_t deadline = sl_deadline_ms(timeout_ms);
    unsigned long rebalances = consumer->rebalances;
    while (sl_kafka_batch_count(batch) < max_messages) {
        int wait = sl_kafka_batch_count(batch) ? 0 : sl_remaining_ms(deadline);
        rd_kafka_message_t *message = consumer->pending;
        consumer->pending = NULL;
        if (!message)
            message = receive(consumer, 0);
        if (!message && wait) {
            sl_kafka_ran_empty(consumer); /* before it waits: else it may do so for a fetcher that sleeps */
            message = await(consumer, wait);
        }
        if (consumer->rebalances != rebalances) {
            rebalances = consumer->rebalances;
            sl_kafka_batch_filter(batch, consumer);
        }
        if (!message) {
            *empty = !wait;
            if (*empty)
                break;
            continue;
        }
        if (message->err) {
            sl_status status = consumer_error(consumer, message, error);
            rd_kafka_message_destroy(message);
            if (status)
                return status;
        } else if (!take(consumer, batch, message, &max_bytes)) {
            break;
        }
    }
    return told_later(consumer, error);
}

/*
 * Start positions are asked for again. While the answer is an error nothing is handed out, but rebalances go
 * on. What might be received meanwhile is fetched again, from the positions, once they are all known.
 */
static sl_status settle_or_serve(struct sl_kafka_consumer *consumer, sl_error *error)
{
    sl_status status = sl_kafka_settle(consumer, error);
    if (!status)
        return SL_OK;
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->client->rk, 0);
    if (!message)
        return status;
    sl_error failure = {0};
    if (message->err && consumer_error(consumer, message, &failure)) {
        status = failure.status;
        if (failure.fatal)
            tell_later(consumer, &failure);
        if (error)
            *error = failure;
    }
    if (!message->err && sl_kafka_settled(consumer))
        consumer->pending = message; /* a rebalance has just settled it */
    else
        rd_kafka_message_destroy(message);
    return status;
}

sl_status sl_kafka_consumer_poll(void *consumer, int timeout_ms, size_t max_messages, size_t max_bytes,
                                 struct sl_batch **batch, sl_error *error)
{
    struct sl_kafka_consumer *self = consumer;
    *batch = NULL;
    sl_status status = told_later(self, error);
    if (!status && !sl_kafka_settled(self))
        status = settle_or_serve(self, error);
    if (status)
        return status;
    struct sl_kafka_batch *made = sl_kafka_batch_create(self->client);
    if (!made)
        return sl_error_oom(error);
    sl_error failure = {0};
    bool empty = false;
    status = fill(self, made, timeout_ms, max_messages, max_bytes, &empty, &failure);
    pthread_mutex_lock(&self->lock);
    sl_kafka_batch_advance(made, self);
    pthread_mutex_unlock(&self->lock);
    if (empty)
        sl_kafka_ran_empty(self);
    *batch = sl_kafka_batch_finish(made);
    if (!status && !*batch) {
        status = sl_kafka_client_trouble(self->client, &failure);
        if (!status)
            status = check_down(self, &failure);
    }
    if (!status)
        return SL_OK;
    if (*batch || failure.fatal) /* first the messages, then the error */
        tell_later(self, &failure);
    if (*batch)
        return SL_OK;
    if (error)
        *error = failure;
    return status;
}

/* Says which partitions are this consumer's. Under the lock. */
static sl_status not_ours(const struct sl_kafka_consumer *consumer, int32_t partition, bool commit,
                          sl_error *error)
{
    enum { SHOWN = 40 };
    char list[SHOWN * 12] = "none at present";
    size_t used = 0, count = consumer->assigned_count;
    for (size_t i = 0; i < count && i < SHOWN; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%d", i ? ", " : "",
                                 (int)consumer->assigned[i].partition);
    return sl_error_set(error, commit ? SL_KAFKA : SL_INVALID_ARGUMENT,
                        "Kafka partition %d is not this consumer's, which has %s%s: the layer has no such "
                        "Kafka partition, or the group has given it to another member%s",
                        (int)partition, list, count > SHOWN ? ", ..." : "",
                        commit ? ", where its uncommitted messages come again" : "");
}

sl_status sl_kafka_make_list(struct sl_kafka_consumer *consumer, const sl_offset *offsets, size_t count,
                             bool commit, rd_kafka_topic_partition_list_t **list, sl_error *error)
{
    rd_kafka_topic_partition_list_t *made = rd_kafka_topic_partition_list_new((int)count);
    if (!made)
        return sl_error_oom(error);
    sl_status status = SL_OK;
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < count && !status; i++) {
        if (sl_kafka_position_of(consumer, offsets[i].partition))
            rd_kafka_topic_partition_list_add(made, consumer->topic, offsets[i].partition)->offset =
                offsets[i].offset + commit;
        else
            status = not_ours(consumer, offsets[i].partition, commit, error);
    }
    pthread_mutex_unlock(&consumer->lock);
    if (status)
        rd_kafka_topic_partition_list_destroy(made);
    else
        *list = made;
    return status;
}

static sl_status commit(struct sl_kafka_consumer *self, const sl_offset *offsets, size_t count,
                        int timeout_ms, sl_error *error)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    if (!count)
        return SL_OK;
    sl_status status = sl_kafka_make_list(self, offsets, count, true, &list, error);
    if (status)
        return status;
    status = sl_kafka_commit(self, list, timeout_ms, error);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

sl_status sl_kafka_consumer_commit(void *consumer, const sl_offset *offsets, size_t count, sl_error *error)
{
    return commit(consumer, offsets, count, SL_KAFKA_COMMIT_MS, error);
}

sl_status sl_kafka_consumer_commit_now(void *consumer, const sl_offset *offsets, size_t count,
                                       sl_error *error)
{
    return commit(consumer, offsets, count, SL_KAFKA_NOW_MS, error);
}

bool sl_kafka_consumer_statistics(void *consumer, struct sl_buffer *json)
{
    return sl_kafka_client_statistics(((struct sl_kafka_consumer *)consumer)->client, json);
}

const char *sl_kafka_consumer_group(const void *consumer)
{
    const struct sl_kafka_consumer *self = consumer;
    return self->group;
}

sl_status sl_kafka_consumer_close(void *consumer, sl_error *error)
{
    struct sl_kafka_consumer *self = consumer;
    sl_kafka_drop_pending(self);
    sl_kafka_token_end(self->client); /* closing serves callbacks, too */
    rd_kafka_resp_err_t code = rd_kafka_consumer_close(self->client->rk);
    sl_status status = code ? sl_kafka_error(error, code, "leaving group \"%s\" at %s: %s", self->group,
                                             self->client->brokers, rd_kafka_err2str(code))
                            : SL_OK;
    consumer_free(self, false);
    return status;
}
