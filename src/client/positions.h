/*
 * What a consumer has, has handed out and is done with, a Kafka partition each: the bookkeeping of auto
 * commit and of statistics. Not locked: the consumer's core does that.
 */
#ifndef SL_CLIENT_POSITIONS_H
#define SL_CLIENT_POSITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <streamlayer/message.h>

struct sl_position {
    int32_t partition;
    int64_t polled;    /* the last message handed out; -1: none */
    int64_t processed; /* the last that a later poll has shown to be done with; -1: none */
    int64_t committed; /* the last committed by us; -1: none */
    int64_t refused;   /* a commit of it was refused for good; -1: none */
    int64_t next;      /* the next one that a poll returns; -1: not known */
};

struct sl_positions {
    struct sl_position *list;
    size_t count, capacity;
};

void sl_positions_free(struct sl_positions *positions);
/* false: no memory; the message is then not counted, and so not committed. */
bool sl_positions_polled(struct sl_positions *positions, sl_offset offset);
/* All that was handed out is done with. */
void sl_positions_processed(struct sl_positions *positions);
/* Committed, by whomever: so these are done with too. */
void sl_positions_committed(struct sl_positions *positions, const sl_offset *offsets, size_t count);
/* Not committed, because they are with another member: that is not asked for again. */
void sl_positions_refused(struct sl_positions *positions, const sl_offset *offsets, size_t count);
/* These partitions are the consumer's own, and no others. */
void sl_positions_assigned(struct sl_positions *positions, const int32_t *partitions, size_t count);
void sl_positions_forget(struct sl_positions *positions, int32_t partition);
/* A seek: what was handed out before counts no longer as processed. next: -1 where it is not known. */
void sl_positions_sought(struct sl_positions *positions, int32_t partition, int64_t next);
void sl_positions_sought_all(struct sl_positions *positions);

/* What is processed and not committed. partitions NULL: of all; else of those only. *offsets is released with
 * free, NULL when there is nothing. false: no memory. */
bool sl_positions_due(const struct sl_positions *positions, const int32_t *partitions, size_t partition_count,
                      sl_offset **offsets, size_t *count);

#endif
