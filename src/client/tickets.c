#include "client/tickets.h"

#include <stdlib.h>
#include <string.h>

enum { LINE = 64, SLAB_TICKETS = 64 };

_Static_assert(sizeof(struct sl_ticket) <= LINE, "a ticket without trace id is one cache line");

struct sl_ticket_slab {
    struct sl_ticket_slab *next;
    char *tickets;
};

void sl_tickets_init(struct sl_tickets *tickets, size_t inline_size)
{
    *tickets = (struct sl_tickets){.inline_size = inline_size};
}

void sl_tickets_free(struct sl_tickets *tickets)
{
    while (tickets->slabs) {
        struct sl_ticket_slab *slab = tickets->slabs;
        tickets->slabs = slab->next;
        free(slab->tickets);
        free(slab);
    }
    tickets->free = NULL;
}

static bool add_slab(struct sl_tickets *tickets)
{
    size_t size = (sizeof(struct sl_ticket) + tickets->inline_size + LINE - 1) / LINE * LINE;
    struct sl_ticket_slab *slab = malloc(sizeof *slab);
    if (!slab)
        return false;
    slab->tickets = aligned_alloc(LINE, size * SLAB_TICKETS);
    if (!slab->tickets) {
        free(slab);
        return false;
    }
    slab->next = tickets->slabs;
    tickets->slabs = slab;
    for (size_t i = SLAB_TICKETS; i-- > 0;) {
        struct sl_ticket *ticket = (void *)(slab->tickets + i * size);
        ticket->next = tickets->free;
        tickets->free = ticket;
    }
    return true;
}

struct sl_ticket *sl_tickets_take(struct sl_tickets *tickets)
{
    if (!tickets->free && !add_slab(tickets))
        return NULL;
    struct sl_ticket *ticket = tickets->free;
    tickets->free = ticket->next;
    __builtin_prefetch(ticket->next, 1); /* another thread has written it last: have it by the next send */
    ticket->trace_id = NULL;
    return ticket;
}

void sl_tickets_give(struct sl_tickets *tickets, struct sl_ticket *first, struct sl_ticket *last)
{
    last->next = tickets->free;
    tickets->free = first;
}

bool sl_ticket_set_trace(const struct sl_tickets *tickets, struct sl_ticket *ticket, const char *trace_id)
{
    size_t size = strlen(trace_id) + 1;
    ticket->trace_id = size <= tickets->inline_size ? ticket->trace_inline : malloc(size);
    if (ticket->trace_id)
        memcpy(ticket->trace_id, trace_id, size);
    return ticket->trace_id != NULL;
}

void sl_ticket_release_trace(struct sl_ticket *ticket)
{
    if (ticket->trace_id != ticket->trace_inline)
        free(ticket->trace_id);
    ticket->trace_id = NULL;
}
