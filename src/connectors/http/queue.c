/* What the polls have brought and nobody has taken yet; and what is not to be taken for now. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "connectors/http/consumer.h"

/* What is paused. */

static bool is_listed(const struct sl_hc_wish *wish, int32_t partition)
{
    for (size_t i = 0; i < wish->count; i++)
        if (wish->list[i] == partition)
            return true;
    return false;
}

bool sl_hc_is_paused(const void *opaque, int32_t partition)
{
    const struct sl_hc_wish *wish = opaque;
    return is_listed(wish, partition) != wish->all;
}

bool sl_hc_wish_copy(struct sl_hc_wish *copy, const struct sl_hc_wish *wish)
{
    *copy = *wish;
    copy->list = NULL;
    if (!wish->count)
        return true;
    copy->list = malloc(wish->count * sizeof *copy->list);
    if (!copy->list)
        return false;
    memcpy(copy->list, wish->list, wish->count * sizeof *copy->list);
    return true;
}

bool sl_hc_wish_change(struct sl_hc_wish *wish, const int32_t *partitions, size_t count, bool paused)
{
    if (!count) {
        wish->all = paused;
        wish->count = 0;
        return true;
    }
    if (paused != wish->all) { /* these become exceptions */
        int32_t *list = realloc(wish->list, (wish->count + count) * sizeof *list);
        if (!list)
            return false;
        wish->list = list;
        for (size_t i = 0; i < count; i++)
            if (!is_listed(wish, partitions[i]))
                wish->list[wish->count++] = partitions[i];
        return true;
    }
    const struct sl_hc_wish gone = {.list = (int32_t *)(uintptr_t)partitions, .count = count};
    size_t kept = 0;
    for (size_t i = 0; i < wish->count; i++)
        if (!is_listed(&gone, wish->list[i]))
            wish->list[kept++] = wish->list[i];
    wish->count = kept;
    return true;
}

/* What waits. */

static void append(struct sl_hc_queue *queue, struct sl_hc_chunk *chunk)
{
    chunk->next = NULL;
    if (queue->last)
        queue->last->next = chunk;
    else
        queue->first = chunk;
    queue->last = chunk;
    queue->bytes += chunk->bytes;
}

/* Appends the paused messages to held, and the others to queue. */
static bool sort(struct sl_hc_consumer *consumer, struct sl_hc_chunk *chunk)
{
    struct sl_hc_chunk *part = NULL;
    if (!sl_hc_chunk_part(chunk, sl_hc_is_paused, &consumer->paused, &part))
        return false;
    if (part)
        append(&consumer->held, part);
    if (chunk->handed < chunk->count)
        append(&consumer->queue, chunk);
    else
        sl_hc_chunk_unlink(chunk);
    return true;
}

bool sl_hc_queue_add(struct sl_hc_consumer *consumer, struct sl_hc_chunk *chunk)
{
    return sort(consumer, chunk);
}

bool sl_hc_queue_sort(struct sl_hc_consumer *consumer)
{
    /* What is held of a partition is older than what the queue has of it. */
    struct sl_hc_chunk *all = consumer->held.first;
    if (all)
        consumer->held.last->next = consumer->queue.first;
    else
        all = consumer->queue.first;
    memset(&consumer->held, 0, sizeof consumer->held);
    memset(&consumer->queue, 0, sizeof consumer->queue);
    bool sorted = true;
    while (all) {
        struct sl_hc_chunk *chunk = all;
        all = chunk->next;
        if (!sort(consumer, chunk)) {
            append(&consumer->queue, chunk);
            sorted = false;
        }
    }
    return sorted;
}

struct choice {
    const sl_offset *partitions;
    size_t count;
};

static bool is_named(const void *opaque, int32_t partition)
{
    const struct choice *choice = opaque;
    for (size_t i = 0; i < choice->count; i++)
        if (choice->partitions[i].partition == partition)
            return true;
    return !choice->count;
}

static void drop(struct sl_hc_queue *queue, const struct sl_hc_member *member, const struct choice *choice)
{
    struct sl_hc_chunk **place = &queue->first;
    queue->last = NULL;
    queue->bytes = 0;
    while (*place) {
        struct sl_hc_chunk *chunk = *place;
        if ((!member || chunk->member == member) && !sl_hc_chunk_drop(chunk, is_named, choice)) {
            *place = chunk->next;
            sl_hc_chunk_unlink(chunk);
            continue;
        }
        queue->last = chunk;
        queue->bytes += chunk->bytes;
        place = &chunk->next;
    }
}

void sl_hc_queue_drop(struct sl_hc_consumer *consumer, const struct sl_hc_member *member,
                      const sl_offset *partitions, size_t count)
{
    const struct choice choice = {partitions, count};
    drop(&consumer->queue, member, &choice);
    drop(&consumer->held, member, &choice);
}

sl_status sl_hc_queue_take(struct sl_hc_consumer *consumer, size_t max_messages, size_t max_bytes,
                           struct sl_batch **batch, sl_error *error)
{
    struct sl_hc_queue *queue = &consumer->queue;
    struct sl_hc_chunk *chunk = queue->first;
    *batch = NULL;
    if (!chunk)
        return SL_OK;
    size_t before = chunk->bytes;
    *batch = sl_hc_chunk_hand(chunk, max_messages, max_bytes);
    if (!*batch)
        return sl_error_oom(error);
    queue->bytes -= before - chunk->bytes;
    consumer->messages += (*batch)->count;
    if (chunk->handed == chunk->count) {
        queue->first = chunk->next;
        if (!queue->first)
            queue->last = NULL;
        sl_hc_chunk_unlink(chunk);
    }
    return SL_OK;
}

int64_t sl_hc_queue_next(const struct sl_hc_consumer *consumer, int32_t partition)
{
    const struct sl_hc_queue *const queues[] = {&consumer->held, &consumer->queue};
    for (int i = 0; i < 2; i++)
        for (const struct sl_hc_chunk *chunk = queues[i]->first; chunk; chunk = chunk->next) {
            int64_t next = sl_hc_chunk_next(chunk, partition);
            if (next >= 0)
                return next;
        }
    return -1;
}

size_t sl_hc_queue_room(const struct sl_hc_consumer *consumer)
{
    size_t most = consumer->prefetch_bytes;
    if (!most)
        return consumer->asked && !consumer->queue.first ? consumer->asked_bytes : 0;
    size_t taken = consumer->queue.bytes + consumer->reserved, polls = 0;
    for (size_t i = 0; i < consumer->member_count; i++)
        polls += !consumer->members[i].stopped;
    size_t share = polls > 1 ? most / polls : most;
    if (!taken)
        return share ? share : 1;
    size_t room = taken < most ? most - taken : 0;
    return room <= share / 2 ? 0 : room < share ? room : share;
}
