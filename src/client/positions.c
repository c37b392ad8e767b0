#include "client/positions.h"

#include <stdlib.h>
#include <string.h>

void sl_positions_free(struct sl_positions *positions)
{
    free(positions->list);
    memset(positions, 0, sizeof *positions);
}

static struct sl_position *find(const struct sl_positions *positions, int32_t partition)
{
    for (size_t i = 0; i < positions->count; i++) /* a layer has at most a few dozen */
        if (positions->list[i].partition == partition)
            return &positions->list[i];
    return NULL;
}

/* NULL: no memory. */
static struct sl_position *find_or_add(struct sl_positions *positions, int32_t partition)
{
    struct sl_position *position = find(positions, partition);
    if (position)
        return position;
    if (positions->count == positions->capacity) {
        size_t capacity = positions->capacity ? positions->capacity * 2 : 8;
        struct sl_position *list = realloc(positions->list, capacity * sizeof *list);
        if (!list)
            return NULL;
        positions->list = list;
        positions->capacity = capacity;
    }
    position = &positions->list[positions->count++];
    *position = (struct sl_position){partition, -1, -1, -1, -1, -1};
    return position;
}

bool sl_positions_polled(struct sl_positions *positions, sl_offset offset)
{
    struct sl_position *position = find_or_add(positions, offset.partition);
    if (!position)
        return false;
    position->polled = offset.offset;
    position->next = offset.offset + 1;
    return true;
}

void sl_positions_processed(struct sl_positions *positions)
{
    for (size_t i = 0; i < positions->count; i++)
        positions->list[i].processed = positions->list[i].polled;
}

void sl_positions_committed(struct sl_positions *positions, const sl_offset *offsets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sl_position *position = find(positions, offsets[i].partition);
        if (!position)
            continue;
        position->committed = offsets[i].offset;
        /* Whoever commits a message by hand is done with it: what lies before must not be committed over it.
         */
        if (position->processed < offsets[i].offset)
            position->processed = offsets[i].offset;
    }
}

void sl_positions_forget(struct sl_positions *positions, int32_t partition)
{
    struct sl_position *position = find(positions, partition);
    if (position)
        *position = positions->list[--positions->count];
}

void sl_positions_refused(struct sl_positions *positions, const sl_offset *offsets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sl_position *position = find(positions, offsets[i].partition);
        if (position)
            position->refused = offsets[i].offset;
    }
}

static bool among(const int32_t *partitions, size_t count, int32_t partition)
{
    for (size_t i = 0; i < count; i++)
        if (partitions[i] == partition)
            return true;
    return false;
}

void sl_positions_assigned(struct sl_positions *positions, const int32_t *partitions, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < positions->count; i++)
        if (among(partitions, count, positions->list[i].partition))
            positions->list[kept++] = positions->list[i];
    positions->count = kept;
    for (size_t i = 0; i < count; i++)
        (void)find_or_add(positions, partitions[i]); /* without memory it is only not shown */
}

void sl_positions_sought(struct sl_positions *positions, int32_t partition, int64_t next)
{
    struct sl_position *position = find(positions, partition);
    if (!position)
        return;
    position->polled = position->processed = -1;
    position->next = next;
}

void sl_positions_sought_all(struct sl_positions *positions)
{
    for (size_t i = 0; i < positions->count; i++)
        sl_positions_sought(positions, positions->list[i].partition, -1);
}

bool sl_positions_due(const struct sl_positions *positions, const int32_t *partitions, size_t partition_count,
                      sl_offset **offsets, size_t *count)
{
    *offsets = NULL;
    *count = 0;
    if (!positions->count)
        return true;
    sl_offset *due = malloc(positions->count * sizeof *due);
    if (!due)
        return false;
    for (size_t i = 0; i < positions->count; i++) {
        const struct sl_position *position = &positions->list[i];
        /* Not "less than": after a seek back, what is processed lies before what was committed, and counts.
         */
        if (position->processed >= 0 && position->processed != position->committed &&
            position->processed != position->refused &&
            (!partitions || among(partitions, partition_count, position->partition)))
            due[(*count)++] = (sl_offset){position->partition, position->processed};
    }
    if (*count)
        *offsets = due;
    else
        free(due);
    return true;
}
