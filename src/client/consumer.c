/*
 * The consumer's core: what is the same for every connector. Polls, seeks and close take turns (first come,
 * first served; a long poll lets others in between); commits come beside them. Auto commit lives here.
 */
#include "client/consumer.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "client/client.h"
#include "client/positions.h"
#include "wire/hrn.h"

#define SL_CONSUMER_MAGIC 0xc0e50c7eu
#define SLICE_MS          100 /* how long a connector polls before others may have their turn */

struct sl_consumer {
    unsigned magic;
    struct sl_client *client;
    const struct sl_connector *connector;
    void *state; /* the connector's */
    size_t poll_bytes;
    bool auto_commit;
    int64_t auto_commit_ms;

    pthread_mutex_t lock; /* of all below; never held while a connector works */
    pthread_cond_t turned;
    unsigned long long next_turn, turn; /* who comes next, whose turn it is */
    struct sl_positions positions;
    int64_t commit_due_ms; /* sl_mono_ms() */
};

/* Turns. */

static void turn_take(struct sl_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    unsigned long long mine = consumer->next_turn++;
    while (consumer->turn != mine)
        pthread_cond_wait(&consumer->turned, &consumer->lock);
    pthread_mutex_unlock(&consumer->lock);
}

static void turn_give(struct sl_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    consumer->turn++;
    pthread_cond_broadcast(&consumer->turned);
    pthread_mutex_unlock(&consumer->lock);
}

static bool turn_is_wanted(struct sl_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    bool wanted = consumer->next_turn > consumer->turn + 1;
    pthread_mutex_unlock(&consumer->lock);
    return wanted;
}

/* Auto commit. */

/* The group has moved partitions to others, who get what is not committed; the rest is committed. */
static bool is_moved(sl_status status, const sl_error *error)
{
    return status == SL_KAFKA && !error->retriable;
}

static sl_status commit_due(struct sl_consumer *consumer, const int32_t *partitions, size_t partition_count,
                            sl_error *error)
{
    sl_offset *offsets;
    size_t count;
    pthread_mutex_lock(&consumer->lock);
    bool known = sl_positions_due(&consumer->positions, partitions, partition_count, &offsets, &count);
    consumer->commit_due_ms = sl_mono_ms() + consumer->auto_commit_ms;
    pthread_mutex_unlock(&consumer->lock);
    if (!known)
        return sl_error_oom(error);
    if (!count)
        return SL_OK;
    sl_error why = {0};
    sl_status status = consumer->connector->consumer_commit(consumer->state, offsets, count, &why);
    if (status && error)
        *error = why;
    if (!status || is_moved(status, &why)) { /* asking for the same again would be refused for ever */
        pthread_mutex_lock(&consumer->lock);
        sl_positions_committed(&consumer->positions, offsets, count);
        pthread_mutex_unlock(&consumer->lock);
    }
    free(offsets);
    return status;
}

/* The host's: the group takes partitions away. */
static void revoked(void *core, const int32_t *partitions, size_t count, bool lost)
{
    struct sl_consumer *consumer = core;
    sl_error error;
    if (!lost && consumer->auto_commit && consumer->state && commit_due(consumer, partitions, count, &error))
        SL_WARNING(
            &consumer->client->log,
            "auto commit of partitions that go to another member failed, it will see messages again: %s",
            error.text);
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < count; i++)
        sl_positions_forget(&consumer->positions, partitions[i]);
    pthread_mutex_unlock(&consumer->lock);
}

/* The host's: the group has given partitions. */
static void assigned(void *core, const int32_t *partitions, size_t count)
{
    (void)core;
    (void)partitions;
    (void)count;
}

/* Every so often, also while a poll waits long. A failed commit is tried again when the next is due. */
static void auto_commit(struct sl_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    bool due = sl_mono_ms() >= consumer->commit_due_ms;
    pthread_mutex_unlock(&consumer->lock);
    sl_error error;
    sl_status status = due ? commit_due(consumer, NULL, 0, &error) : SL_OK;
    if (status)
        SL_WARNING(&consumer->client->log, "auto commit failed%s: %s",
                   is_moved(status, &error) ? "" : ", trying again later", error.text);
}

/* A poll shows that what was handed out before is done with. */
static void note_processed(struct sl_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    sl_positions_processed(&consumer->positions);
    pthread_mutex_unlock(&consumer->lock);
}

/* Opening. */

static sl_status settings_read(struct sl_consumer *consumer, const sl_consumer_options *options,
                               struct sl_consumer_settings *settings, sl_error *error)
{
    const sl_config *config = consumer->client->config;
    int64_t poll_bytes, prefetch_bytes, interval_ms, join_ms;
    bool on;
    const char *start;
    sl_status status = sl_config_bytes(config, SL_ROOT "stream.consumer.poll.max-bytes", &poll_bytes, error);
    if (!status)
        status =
            sl_config_bytes(config, SL_ROOT "stream.consumer.prefetch.max-bytes", &prefetch_bytes, error);
    if (!status)
        status = sl_config_boolean(config, SL_ROOT "stream.consumer.auto-commit.enabled", &on, error);
    if (!status)
        status = sl_config_duration_ms(config, SL_ROOT "stream.consumer.auto-commit.interval", &interval_ms,
                                       error);
    if (!status)
        status = sl_config_duration_ms(config, SL_ROOT "stream.consumer.join-timeout", &join_ms, error);
    if (!status)
        status = sl_config_choice(config, SL_ROOT "stream.consumer.start", &start, error);
    if (status)
        return status;
    consumer->poll_bytes = (size_t)poll_bytes;
    consumer->auto_commit = options && options->auto_commit >= 0 ? options->auto_commit : on;
    consumer->auto_commit_ms =
        options && options->auto_commit > 0 ? (int64_t)options->auto_commit_interval_ms : interval_ms;
    consumer->commit_due_ms = sl_mono_ms() + consumer->auto_commit_ms;
    settings->prefetch_bytes = (size_t)prefetch_bytes;
    settings->join_timeout_ms = (int)join_ms; /* the configuration's bound is an hour */
    settings->start = options && options->start ? options->start
                      : !strcmp(start, "begin") ? SL_START_BEGIN
                                                : SL_START_END;
    settings->group =
        options && options->group ? options->group : sl_config_get(config, SL_ROOT "stream.consumer.group");
    if (settings->group && sl_group_check(settings->group, error)) {
        if (!options || !options->group)
            sl_error_prefix(error, "%s: " SL_ROOT "stream.consumer.group",
                            sl_config_origin(config, SL_ROOT "stream.consumer.group"));
        return SL_BAD_CONFIG;
    }
    return SL_OK;
}

/* Direct: the group's whole name in Kafka. Released with free. */
static char *kafka_group(const struct sl_endpoint *endpoint, const char *hrn, const char *layer,
                         const char *named)
{
    char *made = named ? NULL : sl_group_default(hrn, layer);
    if (!named && !made)
        return NULL;
    char *group =
        sl_printf("%s%s", endpoint->group_prefix ? endpoint->group_prefix : "", named ? named : made);
    free(made);
    return group;
}

static sl_status open_connector(struct sl_consumer *consumer, const char *hrn, const char *layer,
                                struct sl_consumer_settings *settings, sl_error *error)
{
    struct sl_opening opening;
    sl_status status =
        sl_opening_prepare(&opening, consumer->client, consumer->connector, hrn, layer, "consumer", error);
    if (status)
        return status;
    char *group = NULL;
    if (consumer->connector->direct) {
        settings->group = group = kafka_group(&opening.endpoint, hrn, layer, settings->group);
        if (!group)
            status = sl_error_oom(error);
    }
    const struct sl_host host = {.abi = SL_CONNECTOR_ABI,
                                 .log = consumer->client->log,
                                 .revoked = revoked,
                                 .assigned = assigned,
                                 .core = consumer};
    if (!status)
        status =
            consumer->connector->consumer_open(&host, &opening.target, settings, &consumer->state, error);
    free(group);
    sl_opening_free(&opening);
    return status;
}

static void consumer_free(struct sl_consumer *consumer)
{
    consumer->magic = 0;
    sl_positions_free(&consumer->positions);
    pthread_cond_destroy(&consumer->turned);
    pthread_mutex_destroy(&consumer->lock);
    sl_client_unlink(consumer->client);
    free(consumer);
}

sl_status sl_consumer_create(sl_client *client, const char *hrn, const char *layer,
                             const sl_consumer_options *options, sl_consumer **consumer, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (status)
        return status;
    if (!hrn || !layer || !consumer)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_consumer_create: hrn, layer or consumer is NULL");
    *consumer = NULL;
    struct sl_consumer *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    made->magic = SL_CONSUMER_MAGIC;
    made->client = sl_client_link(client);
    pthread_mutex_init(&made->lock, NULL);
    sl_cond_init(&made->turned);
    struct sl_consumer_settings settings = {0};
    status = settings_read(made, options, &settings, error);
    if (!status)
        status = sl_connector_find(client, SL_ROOT "stream.connector.consumer",
                                   options ? options->connector : NULL, &made->connector, error);
    if (!status)
        status = open_connector(made, hrn, layer, &settings, error);
    if (status) {
        consumer_free(made);
        return status;
    }
    *consumer = made;
    return SL_OK;
}

static sl_status check_handle(const struct sl_consumer *consumer, sl_error *error)
{
    if (!consumer || consumer->magic != SL_CONSUMER_MAGIC)
        return sl_error_set(error, SL_INVALID_HANDLE, "the consumer is NULL or was closed");
    return SL_OK;
}

/* Polling. */

static void note_polled(struct sl_consumer *consumer, const struct sl_batch *batch)
{
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < batch->count; i++)
        if (!sl_positions_polled(&consumer->positions, batch->messages[i].offset))
            break; /* no memory: these come again after a restart, as any that are not committed */
    pthread_mutex_unlock(&consumer->lock);
}

sl_status sl_consumer_poll(sl_consumer *consumer, int timeout_ms, size_t max_messages, sl_batch **batch,
                           sl_error *error)
{
    sl_status status = check_handle(consumer, error);
    if (status)
        return status;
    if (!batch)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_consumer_poll: batch is NULL");
    *batch = NULL;
    int64_t deadline = sl_deadline_ms(timeout_ms);
    turn_take(consumer);
    if (consumer->auto_commit)
        note_processed(consumer);
    for (;;) {
        if (consumer->auto_commit)
            auto_commit(consumer);
        int left = sl_remaining_ms(deadline);
        int slice = left < 0 || left > SLICE_MS ? SLICE_MS : left;
        status =
            consumer->connector->consumer_poll(consumer->state, slice, max_messages ? max_messages : SIZE_MAX,
                                               consumer->poll_bytes, batch, error);
        if (status || *batch || sl_remaining_ms(deadline) == 0)
            break;
        if (turn_is_wanted(consumer)) {
            turn_give(consumer);
            turn_take(consumer);
        }
    }
    if (*batch && consumer->auto_commit)
        note_polled(consumer, *batch);
    turn_give(consumer);
    return status;
}

static bool batch_is_good(const struct sl_batch *batch)
{
    return batch && batch->magic == SL_BATCH_MAGIC;
}

size_t sl_batch_count(const sl_batch *batch)
{
    return batch_is_good(batch) ? batch->count : 0;
}

const sl_message *sl_batch_message(const sl_batch *batch, size_t index)
{
    return batch_is_good(batch) && index < batch->count ? &batch->messages[index] : NULL;
}

void sl_batch_destroy(sl_batch **batch)
{
    if (!batch || !*batch)
        return;
    struct sl_batch *gone = *batch;
    *batch = NULL;
    if (!batch_is_good(gone))
        return;
    gone->magic = 0;
    gone->release(gone);
}

/* Committing. */

sl_status sl_consumer_commit_offsets(sl_consumer *consumer, const sl_offset *offsets, size_t count,
                                     sl_error *error)
{
    sl_status status = check_handle(consumer, error);
    if (status)
        return status;
    if (count && !offsets)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_consumer_commit_offsets: offsets is NULL");
    for (size_t i = 0; i < count; i++)
        if (offsets[i].partition < 0 || offsets[i].offset < 0)
            return sl_error_set(error, SL_INVALID_ARGUMENT, "cannot commit offset %lld of Kafka partition %d",
                                (long long)offsets[i].offset, (int)offsets[i].partition);
    if (!count)
        return SL_OK;
    status = consumer->connector->consumer_commit(consumer->state, offsets, count, error);
    if (!status) {
        pthread_mutex_lock(&consumer->lock);
        sl_positions_committed(&consumer->positions, offsets, count);
        pthread_mutex_unlock(&consumer->lock);
    }
    return status;
}

sl_status sl_consumer_commit(sl_consumer *consumer, const sl_batch *batch, sl_error *error)
{
    sl_status status = check_handle(consumer, error);
    if (status)
        return status;
    if (!batch_is_good(batch))
        return sl_error_set(error, SL_INVALID_HANDLE, "the batch is NULL or was destroyed");
    struct sl_positions last = {0};
    for (size_t i = 0; i < batch->count && !status; i++)
        if (!sl_positions_polled(&last, batch->messages[i].offset))
            status = sl_error_oom(error);
    sl_positions_processed(&last);
    sl_offset *offsets = NULL;
    size_t count = 0;
    if (!status && !sl_positions_due(&last, NULL, 0, &offsets, &count))
        status = sl_error_oom(error);
    if (!status)
        status = sl_consumer_commit_offsets(consumer, offsets, count, error);
    free(offsets);
    sl_positions_free(&last);
    return status;
}

/* Seeking. */

sl_status sl_consumer_seek(sl_consumer *consumer, const sl_offset *offsets, size_t count, sl_error *error)
{
    sl_status status = check_handle(consumer, error);
    if (status)
        return status;
    if (count && !offsets)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_consumer_seek: offsets is NULL");
    for (size_t i = 0; i < count; i++)
        if (offsets[i].partition < 0 || offsets[i].offset < 0)
            return sl_error_set(error, SL_INVALID_ARGUMENT,
                                "cannot seek to offset %lld of Kafka partition %d",
                                (long long)offsets[i].offset, (int)offsets[i].partition);
    if (!count)
        return SL_OK;
    turn_take(consumer);
    status = consumer->connector->consumer_seek(consumer->state, offsets, count, error);
    if (!status) {
        pthread_mutex_lock(&consumer->lock);
        for (size_t i = 0; i < count; i++)
            sl_positions_forget(&consumer->positions, offsets[i].partition);
        pthread_mutex_unlock(&consumer->lock);
    }
    turn_give(consumer);
    return status;
}

sl_status sl_consumer_seek_to(sl_consumer *consumer, sl_start where, sl_error *error)
{
    sl_status status = check_handle(consumer, error);
    if (status)
        return status;
    if (where != SL_START_BEGIN && where != SL_START_END)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "sl_consumer_seek_to: where is neither begin nor end");
    turn_take(consumer);
    status = consumer->connector->consumer_seek_to(consumer->state, where, error);
    if (!status) {
        pthread_mutex_lock(&consumer->lock);
        sl_positions_forget_all(&consumer->positions);
        pthread_mutex_unlock(&consumer->lock);
    }
    turn_give(consumer);
    return status;
}

const char *sl_consumer_connector(const sl_consumer *consumer)
{
    return check_handle(consumer, NULL) ? NULL : consumer->connector->name;
}

const char *sl_consumer_group(const sl_consumer *consumer)
{
    return check_handle(consumer, NULL) ? NULL : consumer->connector->consumer_group(consumer->state);
}

sl_status sl_consumer_close(sl_consumer **consumer, sl_error *error)
{
    if (!consumer || !*consumer)
        return SL_OK;
    struct sl_consumer *gone = *consumer;
    *consumer = NULL;
    sl_status status = check_handle(gone, error);
    if (status)
        return status;
    turn_take(gone);
    if (gone->auto_commit)
        status = commit_due(gone, NULL, 0, error);
    sl_status closed = gone->connector->consumer_close(gone->state, status ? NULL : error);
    consumer_free(gone);
    return status ? status : closed;
}
