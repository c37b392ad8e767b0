/*
 * The consumer's core: what is the same for every connector. Polls, seeks and close take turns (first come,
 * first served; a long poll lets others in between); commits come beside them. Auto commit lives here.
 */
#include "client/consumer.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "wire/hrn.h"

enum {
    SLICE_MS = 100,     /* how long a connector polls before others may have their turn */
    SERVE_MS = 1000,    /* how often it is polled while a batch is held back */
    RESOLVE_MS = 15000, /* so long a poll begins to fetch blobs, if its own time is shorter */
};

/* Turns. */

void sl_consumer_turn_take(struct sl_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    unsigned long long mine = consumer->next_turn++;
    while (consumer->turn != mine)
        pthread_cond_wait(&consumer->turned, &consumer->lock);
    pthread_mutex_unlock(&consumer->lock);
}

void sl_consumer_turn_give(struct sl_consumer *consumer)
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

static void note_commit(struct sl_consumer *consumer, sl_status status, const sl_offset *offsets,
                        size_t count)
{
    pthread_mutex_lock(&consumer->lock);
    if (status) {
        consumer->commit_failures++;
    } else {
        consumer->commits++;
        sl_positions_committed(&consumer->positions, offsets, count);
    }
    pthread_mutex_unlock(&consumer->lock);
}

/* What is processed and not committed. now: a poll waits for it. */
static sl_status commit_due(struct sl_consumer *consumer, const int32_t *partitions, size_t partition_count,
                            bool now, sl_error *error)
{
    const struct sl_connector *connector = consumer->connector;
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
    sl_status status = (now ? connector->consumer_commit_now
                            : connector->consumer_commit)(consumer->state, offsets, count, &why);
    if (status && error)
        *error = why;
    note_commit(consumer, status, offsets, count);
    if (is_moved(status, &why)) { /* asking for the same again would be refused for ever */
        pthread_mutex_lock(&consumer->lock);
        sl_positions_refused(&consumer->positions, offsets, count);
        pthread_mutex_unlock(&consumer->lock);
    }
    free(offsets);
    return status;
}

/* Does the connector lose its place in the group when it is not polled? */
static bool must_be_served(const struct sl_consumer *consumer)
{
    return consumer->connector->direct && consumer->connector->consumer_pause;
}

/* The host's: the group takes partitions away. */
static void revoked(void *core, const int32_t *partitions, size_t count, bool lost)
{
    struct sl_consumer *consumer = core;
    sl_error error;
    if (!lost && consumer->auto_commit && consumer->state &&
        commit_due(consumer, partitions, count, false, &error))
        SL_WARNING(
            &consumer->client->log,
            "auto commit of partitions that go to another member failed, it will see messages again: %s",
            error.text);
    if (consumer->rebalance)
        consumer->rebalance(consumer->rebalance_opaque, lost ? SL_LOST : SL_REVOKED, partitions, count);
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < count; i++)
        sl_positions_forget(&consumer->positions, partitions[i]);
    pthread_mutex_unlock(&consumer->lock);
    /* What is held back of partitions that come back at once is not received again. */
    if (consumer->held && lost)
        sl_held_drop(consumer->held, partitions, count, false);
    if (consumer->held && !lost && must_be_served(consumer))
        consumer->in_doubt = true;
}

/* The host's: the group has given partitions. */
static void assigned(void *core, const int32_t *partitions, size_t count)
{
    struct sl_consumer *consumer = core;
    pthread_mutex_lock(&consumer->lock);
    sl_positions_assigned(&consumer->positions, partitions, count);
    consumer->rebalances++;
    pthread_mutex_unlock(&consumer->lock);
    if (consumer->held)
        sl_held_drop(consumer->held, partitions, count, true);
    consumer->in_doubt = false;
    if (consumer->rebalance)
        consumer->rebalance(consumer->rebalance_opaque, SL_ASSIGNED, partitions, count);
}

/* Every so often, also while a poll waits long. A failed commit is tried again when the next is due. */
static void auto_commit(struct sl_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    bool due = sl_mono_ms() >= consumer->commit_due_ms;
    pthread_mutex_unlock(&consumer->lock);
    sl_error error;
    sl_status status = due ? commit_due(consumer, NULL, 0, true, &error) : SL_OK;
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
    int64_t poll_bytes, prefetch_bytes, interval_ms, join_ms, blob_bytes, transfers, inflated_bytes;
    bool on, resolve, inflate;
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
    if (!status)
        status = sl_config_boolean(config, SL_ROOT "stream.consumer.resolve", &resolve, error);
    if (!status)
        status = sl_config_boolean(config, SL_ROOT "stream.consumer.inflate", &inflate, error);
    if (!status)
        status = sl_config_bytes(config, SL_ROOT "stream.consumer.max-inflated", &inflated_bytes, error);
    if (!status)
        status = sl_config_bytes(config, SL_ROOT "stream.blob.max-size", &blob_bytes, error);
    if (!status)
        status = sl_config_integer(config, SL_ROOT "stream.blob.transfers", &transfers, error);
    if (status)
        return status;
    consumer->poll_bytes = (size_t)poll_bytes;
    consumer->auto_commit = options && options->auto_commit >= 0 ? options->auto_commit : on;
    consumer->auto_commit_ms =
        options && options->auto_commit > 0 ? (int64_t)options->auto_commit_interval_ms : interval_ms;
    consumer->commit_due_ms = sl_mono_ms() + consumer->auto_commit_ms;
    consumer->resolve = options && options->resolve >= 0 ? options->resolve : resolve;
    consumer->resolver.inflate = options && options->inflate >= 0 ? options->inflate : inflate;
    consumer->resolver.max_inflated = (uint64_t)inflated_bytes < SIZE_MAX ? (size_t)inflated_bytes : SIZE_MAX;
    consumer->resolver.max_size = (size_t)blob_bytes;
    consumer->resolver.at_once = (size_t)transfers;
    settings->statistics_ms = options && options->statistics ? options->statistics_ms : 0;
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

/* encoded: whether the layer's content encoding matters. */
static sl_status open_connector(struct sl_consumer *consumer, const char *hrn, const char *layer,
                                bool encoded, struct sl_consumer_settings *settings, sl_error *error)
{
    struct sl_opening opening;
    sl_status status = sl_opening_prepare(&opening, consumer->client, consumer->connector, hrn, layer,
                                          "consumer", encoded, error);
    if (status)
        return status;
    consumer->gzip = sl_layer_facts_gzip(&opening.facts);
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
                                 .token = sl_client_bearer,
                                 .token_wake = sl_client_bearer_wake,
                                 .client = consumer->client,
                                 .core = consumer};
    if (!status)
        status =
            consumer->connector->consumer_open(&host, &opening.target, settings, &consumer->state, error);
    sl_opening_explain(consumer->client, consumer->connector, status, error);
    free(group);
    sl_opening_free(&opening);
    return status;
}

static void consumer_free(struct sl_consumer *consumer)
{
    consumer->magic = 0;
    sl_held_destroy(&consumer->held);
    sl_positions_free(&consumer->positions);
    sl_pauses_free(&consumer->pauses);
    free(consumer->resolver.hrn);
    free(consumer->resolver.layer);
    pthread_cond_destroy(&consumer->turned);
    pthread_mutex_destroy(&consumer->lock);
    sl_client_unlink(consumer->client);
    free(consumer);
}

static sl_status statistics_source(const void *owner, char **json, sl_error *error)
{
    return sl_consumer_statistics(owner, json, error);
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
    made->opened_ms = sl_mono_ms();
    made->resolver.client = made->client;
    made->resolver.hrn = sl_strdup(hrn);
    made->resolver.layer = sl_strdup(layer);
    if (options) {
        made->rebalance = options->rebalance;
        made->rebalance_opaque = options->rebalance_opaque;
    }
    struct sl_consumer_settings settings = {0};
    status = made->resolver.hrn && made->resolver.layer ? settings_read(made, options, &settings, error)
                                                        : sl_error_oom(error);
    if (!status)
        status = sl_connector_find(client, "consumer", hrn, layer, options ? options->connector : NULL,
                                   &made->connector, error);
    if (!status)
        status = open_connector(
            made, hrn, layer, made->resolver.inflate || (options && options->inflate >= 0), &settings, error);
    if (!status && options && settings.statistics_ms) {
        status = sl_reporter_start(settings.statistics_ms, statistics_source, made, options->statistics,
                                   options->statistics_opaque, &made->reporter, error);
        if (status)
            made->connector->consumer_close(made->state, NULL);
    }
    if (status) {
        consumer_free(made);
        return status;
    }
    *consumer = made;
    return SL_OK;
}

sl_status sl_consumer_check(const struct sl_consumer *consumer, sl_error *error)
{
    if (!consumer || consumer->magic != SL_CONSUMER_MAGIC)
        return sl_error_set(error, SL_INVALID_HANDLE, "the consumer is NULL or was closed");
    return SL_OK;
}

/* Polling. */

/* What is handed out. */
static void note_polled(struct sl_consumer *consumer, const struct sl_batch *batch)
{
    uint64_t bytes = 0;
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < batch->count; i++) {
        const struct sl_message *message = &batch->messages[i];
        bytes += message->payload_size;
        /* Offsets ascend: the last of each run tells. Without memory these are not counted, and come again
         * after a restart, as any that are not committed. */
        if (i + 1 == batch->count || message[1].offset.partition != message->offset.partition)
            (void)sl_positions_polled(&consumer->positions, message->offset);
    }
    consumer->received += batch->count;
    consumer->bytes += bytes;
    pthread_mutex_unlock(&consumer->lock);
}

static sl_status poll_connector(struct sl_consumer *consumer, int timeout_ms, size_t max_messages,
                                size_t max_bytes, struct sl_batch **batch, sl_error *error)
{
    sl_status status = consumer->connector->consumer_poll(consumer->state, timeout_ms, max_messages,
                                                          max_bytes, batch, error);
    consumer->served_ms = sl_mono_ms();
    return status;
}

/* Every partition paused, in the connector; the application's own wish is kept here. */
static sl_status begin_quiet(struct sl_consumer *consumer, sl_error *error)
{
    if (consumer->quiet)
        return SL_OK;
    sl_status status = consumer->connector->consumer_pause(consumer->state, NULL, 0, true, error);
    consumer->quiet = !status;
    return status;
}

sl_status sl_consumer_end_quiet(struct sl_consumer *consumer, sl_error *error)
{
    if (!consumer->quiet)
        return SL_OK;
    const struct sl_pauses *wish = &consumer->pauses; /* it changes in a turn only */
    sl_status status = SL_OK;
    if (!wish->all)
        status = consumer->connector->consumer_pause(consumer->state, NULL, 0, false, error);
    if (!status && wish->count)
        status = consumer->connector->consumer_pause(consumer->state, wish->exceptions, wish->count,
                                                     !wish->all, error);
    consumer->quiet = status != SL_OK;
    return status;
}

/* A member of a Kafka group that does not poll is put out of it. So while a batch is held back for long, the
 * connector is polled with all paused: it takes part in rebalances and hands out nothing. */
static sl_status serve_group(struct sl_consumer *consumer, int timeout_ms, sl_error *error)
{
    struct sl_batch *none = NULL;
    if (!must_be_served(consumer))
        return SL_OK;
    sl_status status = begin_quiet(consumer, error);
    if (!status)
        status = poll_connector(consumer, timeout_ms, 1, 1, &none, error);
    sl_batch_destroy(&none);
    return status;
}

/* Messages of the held batch, once they have their payloads. */
static sl_status poll_held(struct sl_consumer *consumer, int timeout_ms, size_t max_messages,
                           int64_t deadline_ms, struct sl_batch **batch, sl_error *error)
{
    sl_status status = SL_OK;
    if (consumer->in_doubt)
        return serve_group(consumer, timeout_ms, error); /* until partitions are assigned */
    if (sl_mono_ms() - consumer->served_ms >= SERVE_MS)
        status = serve_group(consumer, 0, error);
    if (status || consumer->in_doubt)
        return status;
    struct sl_resolved counts = {0};
    int64_t at_least = sl_mono_ms() + RESOLVE_MS;
    if (consumer->resolve)
        status = sl_held_resolve(consumer->held, &consumer->resolver,
                                 deadline_ms > at_least ? deadline_ms : at_least, &counts, error);
    pthread_mutex_lock(&consumer->lock);
    consumer->resolved.messages += counts.messages;
    consumer->resolved.bytes += counts.bytes;
    consumer->resolved.failures += counts.failures;
    pthread_mutex_unlock(&consumer->lock);
    if (!status && sl_held_count(consumer->held) &&
        !(*batch = sl_held_hand_out(consumer->held, &consumer->resolver, max_messages, consumer->poll_bytes)))
        status = sl_error_oom(error);
    if (!status && !sl_held_count(consumer->held))
        sl_held_destroy(&consumer->held);
    return status;
}

/* Until they are inflated. */
static void mark_compressed(struct sl_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        batch->messages[i].compressed = batch->messages[i].payload || batch->messages[i].data_handle;
}

/* Whether something is to be done with the batch before it is handed out. */
static bool is_held(const struct sl_consumer *consumer, const struct sl_batch *batch)
{
    return (consumer->gzip && consumer->resolver.inflate) || (consumer->resolve && sl_batch_has_blobs(batch));
}

static sl_status poll_once(struct sl_consumer *consumer, int timeout_ms, size_t max_messages,
                           int64_t deadline_ms, struct sl_batch **batch, sl_error *error)
{
    if (!consumer->held) {
        sl_status status = sl_consumer_end_quiet(consumer, error);
        if (!status)
            status = poll_connector(consumer, timeout_ms, max_messages, consumer->poll_bytes, batch, error);
        if (!status && *batch && consumer->gzip)
            mark_compressed(*batch);
        if (status || !*batch || !is_held(consumer, *batch))
            return status;
        consumer->held = sl_held_create(*batch);
        if (!consumer->held) {
            SL_WARNING(&consumer->client->log,
                       "no memory to fetch payloads that lie in blobs, or to inflate them");
            return SL_OK;
        }
        *batch = NULL;
    }
    return poll_held(consumer, timeout_ms, max_messages, deadline_ms, batch, error);
}

sl_status sl_consumer_poll(sl_consumer *consumer, int timeout_ms, size_t max_messages, sl_batch **batch,
                           sl_error *error)
{
    sl_status status = sl_consumer_check(consumer, error);
    if (status)
        return status;
    if (!batch)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_consumer_poll: batch is NULL");
    *batch = NULL;
    int64_t deadline = sl_deadline_ms(timeout_ms);
    sl_consumer_turn_take(consumer);
    if (consumer->auto_commit)
        note_processed(consumer);
    for (;;) {
        int left = sl_remaining_ms(deadline);
        int slice = left < 0 || left > SLICE_MS ? SLICE_MS : left;
        status = poll_once(consumer, slice, max_messages ? max_messages : SIZE_MAX, deadline, batch, error);
        /* Not before: the connector has told now what is lost, and of that nothing may be committed. */
        if (consumer->auto_commit)
            auto_commit(consumer);
        if (status || *batch || sl_remaining_ms(deadline) == 0)
            break;
        if (turn_is_wanted(consumer)) {
            sl_consumer_turn_give(consumer);
            sl_consumer_turn_take(consumer);
        }
    }
    if (*batch)
        note_polled(consumer, *batch);
    pthread_mutex_lock(&consumer->lock);
    consumer->polls++;
    consumer->empty_polls += !status && !*batch;
    pthread_mutex_unlock(&consumer->lock);
    sl_consumer_turn_give(consumer);
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

sl_status sl_check_offsets(const char *what, const sl_offset *offsets, size_t count, sl_error *error)
{
    if (count && !offsets)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "%s: offsets is NULL", what);
    for (size_t i = 0; i < count; i++)
        if (offsets[i].partition < 0 || offsets[i].offset < 0)
            return sl_error_set(error, SL_INVALID_ARGUMENT, "cannot commit offset %lld of Kafka partition %d",
                                (long long)offsets[i].offset, (int)offsets[i].partition);
    return SL_OK;
}

sl_status sl_consumer_commit_offsets(sl_consumer *consumer, const sl_offset *offsets, size_t count,
                                     sl_error *error)
{
    sl_status status = sl_consumer_check(consumer, error);
    if (!status)
        status = sl_check_offsets("sl_consumer_commit_offsets", offsets, count, error);
    if (status || !count)
        return status;
    status = consumer->connector->consumer_commit(consumer->state, offsets, count, error);
    note_commit(consumer, status, offsets, count);
    return status;
}

sl_status sl_last_offsets(const struct sl_batch *batch, sl_offset **offsets, size_t *count, sl_error *error)
{
    *offsets = NULL;
    *count = 0;
    if (!batch_is_good(batch))
        return sl_error_set(error, SL_INVALID_HANDLE, "the batch is NULL or was destroyed");
    struct sl_positions last = {0};
    sl_status status = SL_OK;
    for (size_t i = 0; i < batch->count && !status; i++)
        if (!sl_positions_polled(&last, batch->messages[i].offset))
            status = sl_error_oom(error);
    sl_positions_processed(&last);
    if (!status && !sl_positions_due(&last, NULL, 0, offsets, count))
        status = sl_error_oom(error);
    sl_positions_free(&last);
    return status;
}

sl_status sl_consumer_commit(sl_consumer *consumer, const sl_batch *batch, sl_error *error)
{
    sl_offset *offsets = NULL;
    size_t count = 0;
    sl_status status = sl_consumer_check(consumer, error);
    if (!status)
        status = sl_last_offsets(batch, &offsets, &count, error);
    if (!status)
        status = sl_consumer_commit_offsets(consumer, offsets, count, error);
    free(offsets);
    return status;
}

/* Payloads by hand. */

sl_status sl_consumer_resolve(sl_consumer *consumer, const sl_message *message, void **data, size_t *size,
                              sl_error *error)
{
    sl_status status = sl_consumer_check(consumer, error);
    if (status)
        return status;
    if (!message || message->magic != SL_MESSAGE_MAGIC || !data || !size)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "sl_consumer_resolve: message, data or size is NULL, or the message is gone");
    *data = NULL;
    *size = 0;
    if (!message->data_handle)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "the message's payload lies in no blob: it has no data handle");
    status = sl_resolve_one(&consumer->resolver, message, sl_mono_ms() + RESOLVE_MS, data, size, error);
    pthread_mutex_lock(&consumer->lock);
    if (status) {
        consumer->resolved.failures++;
    } else {
        consumer->resolved.messages++;
        consumer->resolved.bytes += *size;
    }
    pthread_mutex_unlock(&consumer->lock);
    return status;
}

const char *sl_consumer_connector(const sl_consumer *consumer)
{
    return sl_consumer_check(consumer, NULL) ? NULL : consumer->connector->name;
}

const char *sl_consumer_group(const sl_consumer *consumer)
{
    return sl_consumer_check(consumer, NULL) ? NULL : consumer->connector->consumer_group(consumer->state);
}

sl_status sl_consumer_close(sl_consumer **consumer, sl_error *error)
{
    if (!consumer || !*consumer)
        return SL_OK;
    struct sl_consumer *gone = *consumer;
    sl_status status = sl_consumer_check(gone, error);
    if (status) {
        *consumer = NULL;
        return status;
    }
    sl_reporter_stop(&gone->reporter);
    sl_consumer_turn_take(gone);
    if (gone->auto_commit)
        status = commit_due(gone, NULL, 0, false, error);
    sl_status closed = gone->connector->consumer_close(gone->state, status ? NULL : error);
    *consumer = NULL; /* not before: the rebalance callback, called from within, may commit */
    consumer_free(gone);
    return status ? status : closed;
}
