/*
 * What the producer's core keeps of a message from its acceptance to its report. A ticket is written by the
 * thread that sends and read by the one that reports, millions of times a second, so tickets lie close
 * together, each begins a cache line, and they are used again. Not thread-safe: the producer's lock.
 */
#ifndef SL_CLIENT_TICKETS_H
#define SL_CLIENT_TICKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_producer;
struct sl_epoch;
struct sl_ticket_slab;

struct sl_ticket {
    struct sl_producer *producer;
    struct sl_ticket *next; /* of the free ones */
    struct sl_epoch *epoch;
    void *opaque;
    size_t bytes;
    int64_t sent_us;     /* 0: not measured */
    char *trace_id;      /* trace_inline, or memory of its own when that is too short; NULL: none */
    char trace_inline[]; /* as long as sl_tickets_init was told */
};

struct sl_tickets {
    struct sl_ticket *free;
    struct sl_ticket_slab *slabs;
    size_t inline_size;
};

/* inline_size: of the trace id that most messages have, with its NUL; 0 where most have none. */
void sl_tickets_init(struct sl_tickets *tickets, size_t inline_size);
void sl_tickets_free(struct sl_tickets *tickets);
/* NULL: memory is out. What it is for is the caller's to fill in; it has no trace id. */
struct sl_ticket *sl_tickets_take(struct sl_tickets *tickets);
/* Takes back a chain of tickets, first to last by next. Their trace ids are released before. */
void sl_tickets_give(struct sl_tickets *tickets, struct sl_ticket *first, struct sl_ticket *last);

/* Copies the text. false: memory is out. */
bool sl_ticket_set_trace(const struct sl_tickets *tickets, struct sl_ticket *ticket, const char *trace_id);
void sl_ticket_release_trace(struct sl_ticket *ticket);

#endif
