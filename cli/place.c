/* Where consume and pipe begin and end, in each Kafka partition. */
#include "source.h"

#include <stdlib.h>
#include <string.h>

/* What the platform says of our partitions. */
struct positions {
    sl_partition_position *items;
    size_t count;
};

static sl_status ask(const struct cli_source *source, struct positions *positions, sl_error *error)
{
    size_t capacity = 32, count = 0;
    for (;;) {
        sl_partition_position *grown = realloc(positions->items, capacity * sizeof *grown);
        if (!grown) {
            snprintf(error->text, sizeof error->text, "out of memory");
            return error->status = SL_OUT_OF_MEMORY;
        }
        positions->items = grown;
        sl_status status = sl_consumer_positions(source->consumer, grown, capacity, &count, error);
        positions->count = count < capacity ? count : capacity;
        if (status || count <= capacity)
            return status;
        capacity = count;
    }
}

static const sl_partition_position *position_of(const struct positions *positions, int32_t partition)
{
    for (size_t i = 0; i < positions->count; i++)
        if (positions->items[i].partition == partition)
            return &positions->items[i];
    return NULL;
}

static struct cli_part *part_of(const struct cli_source *source, int32_t partition)
{
    for (size_t i = 0; i < source->part_count; i++)
        if (source->parts[i].partition == partition)
            return &source->parts[i];
    return NULL;
}

static bool is_wanted(const struct cli_source *source, int32_t partition)
{
    bool wanted = !source->only_count;
    for (size_t i = 0; i < source->only_count; i++)
        wanted |= source->only[i] == partition;
    return wanted;
}

/* The offset that a place is in a partition; times were asked for before, and moved tells the answer. */
static int64_t offset_of(const struct cli_position *place, const sl_partition_position *now,
                         const struct positions *moved)
{
    const sl_partition_position *there;
    switch (place->place) {
    case CLI_AT_BEGIN:
        return now->begin;
    case CLI_AT_END:
        return now->end;
    case CLI_AT_OFFSET:
        return place->value > now->begin ? place->value : now->begin;
    case CLI_AT_LAST:
        return place->value < now->end - now->begin ? now->end - place->value : now->begin;
    case CLI_AT_TIME:
        there = position_of(moved, now->partition);
        return there && there->position >= 0 ? there->position : now->end;
    default:
        return now->position >= 0 ? now->position : now->begin;
    }
}

/* Where each of our partitions is at a time: asked by going there. */
static sl_status ask_time(const struct cli_source *source, const struct cli_position *place,
                          struct positions *moved, sl_error *error)
{
    if (place->place != CLI_AT_TIME)
        return SL_OK;
    sl_status status = sl_consumer_seek_time(source->consumer, place->value, error);
    return status ? status : ask(source, moved, error);
}

/* Lays one --offset over the parts that are new and that it is for. */
static sl_status lay(struct cli_source *source, const struct cli_where *where, const struct positions *now,
                     const bool *fresh, sl_error *error)
{
    const struct cli_range *range = &where->range;
    struct positions from = {0}, to = {0};
    sl_status status = ask_time(source, &range->from, &from, error);
    if (!status)
        status = ask_time(source, &range->to, &to, error);
    for (size_t i = 0; i < now->count && !status; i++) {
        const sl_partition_position *at = &now->items[i];
        struct cli_part *part = part_of(source, at->partition);
        if (!part || !fresh[i] || (where->partition >= 0 && where->partition != at->partition))
            continue;
        part->start = offset_of(&range->from, at, &from);
        part->end = -1;
        if (range->to.place == CLI_AT_NONE)
            continue;
        part->end = offset_of(&range->to, at, &to);
        if (part->end > at->end && !source->follow)
            part->end = at->end;
    }
    free(from.items);
    free(to.items);
    return status;
}

/* Goes to where new parts begin, and puts back those that asking for times has moved. */
static sl_status go(const struct cli_source *source, const struct positions *now, const bool *fresh,
                    sl_error *error)
{
    sl_offset *wanted = calloc(now->count, sizeof *wanted);
    size_t count = 0;
    if (!wanted) {
        snprintf(error->text, sizeof error->text, "out of memory");
        return error->status = SL_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < now->count; i++) {
        const sl_partition_position *at = &now->items[i];
        const struct cli_part *part = part_of(source, at->partition);
        int64_t offset = fresh[i] && part ? part->start : at->position;
        /* Beyond the end there is nothing to go to; what comes before start is left alone. */
        if (offset >= 0)
            wanted[count++] = (sl_offset){at->partition, offset < at->end ? offset : at->end};
    }
    sl_status status = count ? sl_consumer_seek(source->consumer, wanted, count, error) : SL_OK;
    free(wanted);
    return status;
}

/* Sees which partitions are ours; fresh tells those that are so for the first time. What was ours keeps its
 * end, should it come back. */
static bool set_parts(struct cli_source *source, const struct positions *now, bool *fresh)
{
    struct cli_part *parts = realloc(source->parts, (source->part_count + now->count + 1) * sizeof *parts);
    if (!parts)
        return false;
    source->parts = parts;
    for (size_t i = 0; i < source->part_count; i++)
        parts[i].ours = position_of(now, parts[i].partition) != NULL;
    for (size_t i = 0; i < now->count; i++) {
        const sl_partition_position *at = &now->items[i];
        fresh[i] = is_wanted(source, at->partition) && !part_of(source, at->partition);
        if (fresh[i])
            parts[source->part_count++] =
                (struct cli_part){.partition = at->partition, .start = at->position, .end = -1, .ours = true};
    }
    return true;
}

static void finish(const struct cli_source *source, struct cli_part *part)
{
    part->done = true;
    /* What follows is not wanted: where it can be told, it is not even sent. */
    (void)sl_consumer_pause(source->consumer, &part->partition, 1, NULL);
}

/* Finishes the parts that have nothing more before their end. */
static void finish_ended(const struct cli_source *source, const struct positions *now, const bool *fresh)
{
    for (size_t i = 0; i < now->count; i++) {
        const sl_partition_position *at = &now->items[i];
        struct cli_part *part = part_of(source, at->partition);
        int64_t position = part && fresh[i] ? part->start : at->position;
        if (part && part->end >= 0 && !part->done && (position >= part->end || at->begin >= part->end))
            finish(source, part);
    }
}

static sl_status place_fresh(struct cli_source *source, const struct positions *now, const bool *fresh,
                             sl_error *error)
{
    size_t known = source->part_count;
    for (size_t i = 0; i < now->count; i++)
        known -= fresh[i];
    if (known == source->part_count)
        return SL_OK;
    sl_status status = SL_OK;
    for (size_t i = 0; i < source->where_count && !status; i++)
        status = lay(source, &source->wheres[i], now, fresh, error);
    if (!status)
        status = go(source, now, fresh, error);
    /* Those that could not be placed are as new the next time. */
    if (status)
        source->part_count = known;
    return status;
}

static sl_status place_parts(struct cli_source *source, sl_error *error)
{
    struct positions now = {0};
    source->rebalanced = false;
    sl_status status = ask(source, &now, error);
    bool *fresh = calloc(now.count + 1, sizeof *fresh);
    if (!status && (!fresh || !set_parts(source, &now, fresh))) {
        snprintf(error->text, sizeof error->text, "out of memory");
        status = error->status = SL_OUT_OF_MEMORY;
    }
    if (!status)
        status = place_fresh(source, &now, fresh, error);
    if (!status)
        finish_ended(source, &now, fresh);
    else
        source->rebalanced = true;
    free(fresh);
    free(now.items);
    return status;
}

sl_status cli_source_look_again(struct cli_source *source, sl_error *error)
{
    return place_parts(source, error);
}

bool cli_source_is_done(const struct cli_source *source)
{
    /* Without any, the group has not given us one yet. */
    if (!source->part_count)
        return false;
    for (size_t i = 0; i < source->part_count; i++)
        if (source->parts[i].ours && !source->parts[i].done)
            return false;
    return true;
}

bool cli_source_is_short(const struct cli_source *source)
{
    if (source->ranged && !source->part_count)
        return true;
    for (size_t i = 0; i < source->part_count; i++)
        if (source->parts[i].ours && !source->parts[i].done && source->parts[i].end >= 0)
            return true;
    return false;
}

size_t cli_source_left(const struct cli_source *source)
{
    int64_t left = 0;
    for (size_t i = 0; i < source->part_count; i++) {
        const struct cli_part *part = &source->parts[i];
        int64_t from = part->next > part->start ? part->next : part->start;
        if (!part->ours || part->done)
            continue;
        if (part->end < 0)
            return 0;
        left += part->end > from ? part->end - from : 0;
    }
    return (size_t)left;
}

bool cli_source_takes(struct cli_source *source, const sl_message *message)
{
    sl_offset offset = sl_message_offset(message);
    if (!is_wanted(source, offset.partition))
        return false;
    struct cli_part *part = source->placed ? part_of(source, offset.partition) : NULL;
    if (part)
        part->next = offset.offset + 1;
    if (part && part->end >= 0 && offset.offset + 1 >= part->end && !part->done)
        finish(source, part);
    if (part && (offset.offset < part->start || (part->end >= 0 && offset.offset >= part->end)))
        return false;
    source->taken++;
    source->last_ms = source->last_message_ms = cli_mono_ms();
    return true;
}

/* How many Kafka partitions the layer has. */
static sl_status count_partitions(const struct cli_source *source, int *partitions, sl_error *error)
{
    sl_catalog *catalog = NULL;
    sl_status status = sl_catalog_get(source->cli->client, source->cli->operands[0], &catalog, error);
    sl_layer_spec layer = {.struct_size = sizeof layer};
    *partitions = 0;
    for (size_t at = 0; !status && sl_catalog_layer_at(catalog, at, &layer); at++)
        if (!strcmp(layer.id, source->cli->operands[1]))
            *partitions = layer.parallelization;
    sl_catalog_destroy(&catalog);
    return status;
}

/* To offset N in every partition. Which ones are this consumer's is for the group to know, so each of the
 * layer's is tried; one at least must be ours. */
static sl_status seek_all(const struct cli_source *source, int64_t offset, sl_error *error)
{
    int partitions;
    sl_status status = count_partitions(source, &partitions, error);
    if (status)
        return status;
    bool any = false;
    for (int32_t i = 0; i < partitions; i++) {
        sl_offset wanted = {i, offset};
        if (!is_wanted(source, i))
            continue;
        status = sl_consumer_seek(source->consumer, &wanted, 1, error);
        any |= status == SL_OK;
        if (status && status != SL_INVALID_ARGUMENT && status != SL_CONFLICT)
            return status;
    }
    return any ? SL_OK : status;
}

static sl_status seek(const struct cli_source *source, const struct cli_where *where, sl_error *error)
{
    const struct cli_position *from = &where->range.from;
    sl_offset offset = {where->partition, from->value};
    switch (from->place) {
    case CLI_AT_BEGIN:
        return sl_consumer_seek_to(source->consumer, SL_START_BEGIN, error);
    case CLI_AT_END:
        return sl_consumer_seek_to(source->consumer, SL_START_END, error);
    case CLI_AT_TIME:
        return sl_consumer_seek_time(source->consumer, from->value, error);
    case CLI_AT_OFFSET:
        return where->partition >= 0 ? sl_consumer_seek(source->consumer, &offset, 1, error)
                                     : seek_all(source, from->value, error);
    default:
        return SL_OK;
    }
}

/* Refuses the Kafka partitions that were named and that the layer does not have, then lets those wait that
 * are not asked for, where the platform can. */
static sl_status choose_partitions(const struct cli_source *source, sl_error *error)
{
    const char *option = "partition";
    int32_t highest = -1;
    int partitions;
    for (size_t i = 0; i < source->only_count; i++)
        highest = source->only[i] > highest ? source->only[i] : highest;
    for (size_t i = 0; i < source->where_count; i++)
        if (source->wheres[i].partition > highest) {
            highest = source->wheres[i].partition;
            option = "offset";
        }
    if (highest < 0)
        return SL_OK;
    sl_status status = count_partitions(source, &partitions, error);
    if (!status && highest >= partitions) {
        snprintf(error->text, sizeof error->text, "--%s %d%s: the layer has the Kafka partitions 0 to %d",
                 option, (int)highest, *option == 'o' ? "/…" : "", partitions - 1);
        status = error->status = SL_INVALID_ARGUMENT;
    }
    for (int32_t i = 0; i < partitions && !status; i++)
        if (!is_wanted(source, i))
            (void)sl_consumer_pause(source->consumer, &i, 1, NULL);
    return status;
}

sl_status cli_source_place(struct cli_source *source, sl_error *error)
{
    sl_status status = choose_partitions(source, error);
    if (status)
        return status;
    if (!source->placed) {
        for (size_t i = 0; i < source->where_count && !status; i++)
            status = seek(source, &source->wheres[i], error);
        return status;
    }
    return place_parts(source, error);
}
