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

bool sl_positions_polled(struct sl_positions *positions, sl_offset offset)
{
    struct sl_position *position = find(positions, offset.partition);
    if (!position) {
        if (positions->count == positions->capacity) {
            size_t capacity = positions->capacity ? positions->capacity * 2 : 8;
            struct sl_position *list = realloc(positions->list, capacity * sizeof *list);
            if (!list)
                return false;
            positions->list = list;
            positions->capacity = capacity;
        }
        position = &positions->list[positions->count++];
        *position = (struct sl_position){offset.partition, -1, -1, -1};
    }
    position->polled = offset.offset;
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

void sl_positions_forget_all(struct sl_positions *positions)
{
    positions->count = 0;
}

static bool among(const int32_t *partitions, size_t count, int32_t partition)
{
    for (size_t i = 0; i < count; i++)
        if (partitions[i] == partition)
            return true;
    return false;
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
            (!partitions || among(partitions, partition_count, position->partition)))
            due[(*count)++] = (sl_offset){position->partition, position->processed};
    }
    if (*count)
        *offsets = due;
    else
        free(due);
    return true;
}
