/* Where a consumer goes on, where it stands, and what it leaves out for now. */
#include <stdlib.h>

#include "base/error.h"
#include "client/consumer.h"

static void no_longer_held(struct sl_consumer *consumer, const sl_offset *offsets, size_t count)
{
    for (size_t i = 0; i < count && consumer->held; i++)
        sl_held_drop(consumer->held, &offsets[i].partition, 1, false);
}

sl_status sl_consumer_seek(sl_consumer *consumer, const sl_offset *offsets, size_t count, sl_error *error)
{
    sl_status status = sl_consumer_check(consumer, error);
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
    sl_consumer_turn_take(consumer);
    status = consumer->connector->consumer_seek(consumer->state, offsets, count, error);
    if (!status) {
        no_longer_held(consumer, offsets, count);
        pthread_mutex_lock(&consumer->lock);
        for (size_t i = 0; i < count; i++)
            sl_positions_sought(&consumer->positions, offsets[i].partition, offsets[i].offset);
        pthread_mutex_unlock(&consumer->lock);
    }
    sl_consumer_turn_give(consumer);
    return status;
}

/* After a seek of all partitions. */
static void sought_all(struct sl_consumer *consumer)
{
    sl_held_destroy(&consumer->held);
    consumer->in_doubt = false;
    pthread_mutex_lock(&consumer->lock);
    sl_positions_sought_all(&consumer->positions);
    pthread_mutex_unlock(&consumer->lock);
}

sl_status sl_consumer_seek_to(sl_consumer *consumer, sl_start where, sl_error *error)
{
    sl_status status = sl_consumer_check(consumer, error);
    if (status)
        return status;
    if (where != SL_START_BEGIN && where != SL_START_END)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "sl_consumer_seek_to: where is neither begin nor end");
    sl_consumer_turn_take(consumer);
    status = consumer->connector->consumer_seek_to(consumer->state, where, error);
    if (!status)
        sought_all(consumer);
    sl_consumer_turn_give(consumer);
    return status;
}

static sl_status unsupported(const struct sl_consumer *consumer, const char *what, sl_error *error)
{
    const char *url =
        sl_config_get(consumer->client->config, SL_ROOT "endpoint-locator.discovery-service-url");
    const char *environment =
        sl_config_get(consumer->client->config, SL_ROOT "endpoint-locator.discovery-service-env");
    return sl_error_set(error, SL_UNSUPPORTED, "%s: the %s cannot do that on the platform %s", what,
                        consumer->connector->name,
                        url && *url   ? url
                        : environment ? environment
                                      : "that is configured");
}

sl_status sl_consumer_seek_time(sl_consumer *consumer, int64_t timestamp_ms, sl_error *error)
{
    sl_status status = sl_consumer_check(consumer, error);
    if (status)
        return status;
    if (timestamp_ms < 0)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "sl_consumer_seek_time: the time %lld is before 1970: it counts milliseconds "
                            "since 1970-01-01 UTC",
                            (long long)timestamp_ms);
    if (!consumer->connector->consumer_seek_time)
        return unsupported(consumer, "seeking to a time", error);
    sl_consumer_turn_take(consumer);
    status = consumer->connector->consumer_seek_time(consumer->state, timestamp_ms, error);
    if (!status)
        sought_all(consumer);
    sl_consumer_turn_give(consumer);
    return status;
}

/* Pausing. */

/* What is held back of the partitions that are to be paused (count 0: of all) goes back to the connector. */
static sl_status give_back(struct sl_consumer *consumer, const int32_t *partitions, size_t count,
                           sl_error *error)
{
    if (!consumer->held)
        return SL_OK;
    size_t most = count ? count : consumer->positions.count, found = 0;
    sl_offset *offsets = calloc(most + 1, sizeof *offsets);
    if (!offsets)
        return sl_error_oom(error);
    for (size_t i = 0; i < most; i++) {
        int32_t partition = count ? partitions[i] : consumer->positions.list[i].partition;
        if (sl_held_first(consumer->held, partition, &offsets[found].offset))
            offsets[found++].partition = partition;
    }
    sl_status status =
        found ? consumer->connector->consumer_seek(consumer->state, offsets, found, error) : SL_OK;
    if (!status)
        no_longer_held(consumer, offsets, found);
    free(offsets);
    return status;
}

static sl_status change(struct sl_consumer *consumer, const int32_t *partitions, size_t count, bool paused,
                        sl_error *error)
{
    struct sl_pauses wish;
    if (!sl_pauses_copy(&consumer->pauses, &wish) || !sl_pauses_set(&wish, partitions, count, paused)) {
        sl_pauses_free(&wish);
        return sl_error_oom(error);
    }
    sl_status status = paused ? give_back(consumer, partitions, count, error) : SL_OK;
    if (!status && !consumer->quiet) /* else it is told with the end of that */
        status = consumer->connector->consumer_pause(consumer->state, partitions, count, paused, error);
    if (!status) {
        struct sl_pauses old = consumer->pauses;
        pthread_mutex_lock(&consumer->lock);
        consumer->pauses = wish;
        pthread_mutex_unlock(&consumer->lock);
        wish = old;
    }
    sl_pauses_free(&wish);
    return status;
}

static sl_status pause_or_resume(sl_consumer *consumer, const int32_t *partitions, size_t count, bool paused,
                                 const char *name, sl_error *error)
{
    sl_status status = sl_consumer_check(consumer, error);
    if (status)
        return status;
    if (count && !partitions)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "%s: partitions is NULL", name);
    for (size_t i = 0; i < count; i++)
        if (partitions[i] < 0)
            return sl_error_set(error, SL_INVALID_ARGUMENT, "%s: there is no Kafka partition %d", name,
                                (int)partitions[i]);
    if (!consumer->connector->consumer_pause)
        return unsupported(consumer, paused ? "pausing" : "resuming", error);
    sl_consumer_turn_take(consumer);
    status = change(consumer, count ? partitions : NULL, count, paused, error);
    sl_consumer_turn_give(consumer);
    return status;
}

sl_status sl_consumer_pause(sl_consumer *consumer, const int32_t *partitions, size_t count, sl_error *error)
{
    return pause_or_resume(consumer, partitions, count, true, "sl_consumer_pause", error);
}

sl_status sl_consumer_resume(sl_consumer *consumer, const int32_t *partitions, size_t count, sl_error *error)
{
    return pause_or_resume(consumer, partitions, count, false, "sl_consumer_resume", error);
}

/* Positions. */

/* What is held back counts as not yet polled, and while it is, the connector's pauses are not the wish. */
static void correct(const struct sl_consumer *consumer, sl_partition_position *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (consumer->quiet)
            list[i].paused = sl_pauses_has(&consumer->pauses, list[i].partition);
        int64_t first;
        if (!consumer->held || !sl_held_first(consumer->held, list[i].partition, &first))
            continue;
        list[i].position = first;
        if (list[i].end >= first)
            list[i].lag = list[i].end - first;
    }
}

sl_status sl_consumer_positions(sl_consumer *consumer, sl_partition_position *list, size_t capacity,
                                size_t *count, sl_error *error)
{
    sl_status status = sl_consumer_check(consumer, error);
    if (status)
        return status;
    if (!count || (capacity && !list))
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_consumer_positions: list or count is NULL");
    *count = 0;
    if (!consumer->connector->consumer_positions)
        return unsupported(consumer, "telling positions", error);
    sl_consumer_turn_take(consumer);
    status = consumer->connector->consumer_positions(consumer->state, list, capacity, count, error);
    if (!status)
        correct(consumer, list, *count < capacity ? *count : capacity);
    sl_consumer_turn_give(consumer);
    return status;
}
