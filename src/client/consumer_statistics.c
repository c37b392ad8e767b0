/* What a consumer has done so far, as JSON. docs/statistics.md lists the fields. */
#include "client/consumer.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/time.h"

/* Puts the partitions in ascending order: their order matters to nobody else. Under the lock. */
static void sort(struct sl_positions *positions)
{
    for (size_t i = 1; i < positions->count; i++)
        for (size_t k = i; k && positions->list[k].partition < positions->list[k - 1].partition; k--) {
            struct sl_position moved = positions->list[k];
            positions->list[k] = positions->list[k - 1];
            positions->list[k - 1] = moved;
        }
}

static json_t *partitions_of(struct sl_consumer *consumer)
{
    json_t *list = json_array();
    sort(&consumer->positions);
    for (size_t i = 0; i < consumer->positions.count && list; i++) {
        const struct sl_position *position = &consumer->positions.list[i];
        json_t *one = json_pack("{s:i, s:b}", "partition", (int)position->partition, "paused",
                                (int)sl_pauses_has(&consumer->pauses, position->partition));
        if (position->next >= 0)
            json_object_set_new(one, "position", json_integer(position->next));
        if (position->committed >= 0)
            json_object_set_new(one, "committed", json_integer(position->committed + 1));
        if (json_array_append_new(list, one)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

/* Under the lock. NULL: no memory. */
static json_t *fields_of(struct sl_consumer *consumer)
{
    const char *group = consumer->connector->consumer_group(consumer->state);
    json_t *fields = json_pack("{s:s, s:s, s:s, s:s, s:s*, s:I, s:I}", "type", "consumer", "connector",
                               consumer->connector->name, "catalog", consumer->resolver.hrn, "layer",
                               consumer->resolver.layer, "group", group, "timeMs", (json_int_t)sl_wall_ms(),
                               "uptimeMs", (json_int_t)(sl_mono_ms() - consumer->opened_ms));
    json_t *counts =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:{s:I, s:I, s:I}}", "received",
                  (json_int_t)consumer->received, "bytesReceived", (json_int_t)consumer->bytes, "polls",
                  (json_int_t)consumer->polls, "emptyPolls", (json_int_t)consumer->empty_polls, "commits",
                  (json_int_t)consumer->commits, "commitFailures", (json_int_t)consumer->commit_failures,
                  "rebalances", (json_int_t)consumer->rebalances, "partitions", partitions_of(consumer),
                  "resolved", "messages", (json_int_t)consumer->resolved.messages, "bytes",
                  (json_int_t)consumer->resolved.bytes, "failures", (json_int_t)consumer->resolved.failures);
    bool whole = fields && counts && !json_object_update(fields, counts);
    json_decref(counts);
    if (whole)
        return fields;
    json_decref(fields);
    return NULL;
}

sl_status sl_consumer_statistics(const sl_consumer *consumer, char **json, sl_error *error)
{
    sl_status status = sl_consumer_check(consumer, error);
    if (status)
        return status;
    if (!json)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_consumer_statistics: json is NULL");
    *json = NULL;
    struct sl_consumer *self = (struct sl_consumer *)(uintptr_t)consumer; /* for its lock */
    pthread_mutex_lock(&self->lock);
    json_t *fields = fields_of(self);
    pthread_mutex_unlock(&self->lock);
    struct sl_buffer connector;
    sl_buffer_init(&connector, SIZE_MAX / 4);
    if (self->connector->consumer_statistics)
        (void)self->connector->consumer_statistics(self->state, &connector); /* the buffer has the failure */
    status = sl_statistics_finish(fields, &connector, json, error);
    sl_buffer_free(&connector);
    return status;
}
