/*
 * What a consumer takes of librdkafka's queue between two times that it is empty: whether the queue was full
 * meanwhile. librdkafka 2.0.2 stops fetching then, and looks at the queue again only when something else
 * wakes its broker's thread: up to a second of silence, unless its user wakes it.
 *
 * What was taken does not tell alone: messages that a seek has made outdated are in the queue, and count, but
 * nobody is handed them.
 */
#ifndef SL_BASE_FETCH_RUN_H
#define SL_BASE_FETCH_RUN_H

#include <stdbool.h>
#include <stddef.h>

/* Begin with zeros, but for the limits. */
struct sl_fetch_run {
    size_t full_bytes, full_messages; /* at which librdkafka stops fetching */
    size_t bytes, messages;           /* taken; payloads, as librdkafka counts them */
    size_t entries; /* taken: messages and what else the queue has, such as partitions' ends */
    size_t reached; /* entries that were taken or in the queue at once, as far as was looked */
    size_t looked;  /* bytes, at the last look */
};

/* Whether the queue's length is to be looked at before the next entry is taken: not each time, since that
 * takes its lock. */
static inline bool sl_fetch_run_looks(const struct sl_fetch_run *run)
{
    return run->entries % 64 == 0 || run->bytes - run->looked >= run->full_bytes / 64;
}

static inline void sl_fetch_run_look(struct sl_fetch_run *run, size_t length)
{
    if (run->reached < run->entries + length)
        run->reached = run->entries + length;
    run->looked = run->bytes;
}

static inline void sl_fetch_run_take(struct sl_fetch_run *run, size_t bytes)
{
    run->entries++;
    run->messages++;
    run->bytes += bytes;
}

static inline void sl_fetch_run_take_other(struct sl_fetch_run *run)
{
    run->entries++;
}

/* The queue is empty, and another run begins: whether it may have been full in this one. Where entries were
 * in it that were not taken, they are taken to be as large as those that were; that is no more than a guess,
 * so half of full will do. */
static inline bool sl_fetch_run_end(struct sl_fetch_run *run)
{
    bool outdated = run->reached > run->entries && run->messages;
    size_t mean = run->messages ? run->bytes / run->messages : 0;
    bool full = run->bytes >= run->full_bytes || run->messages >= run->full_messages ||
                (outdated && (run->reached >= run->full_messages / 2 ||
                              (mean && run->reached >= run->full_bytes / mean / 2)));
    *run = (struct sl_fetch_run){.full_bytes = run->full_bytes, .full_messages = run->full_messages};
    return full;
}

#endif
