/* What the files of gateway/ledger share. */
#ifndef GW_LEDGER_INTERNAL_H
#define GW_LEDGER_INTERNAL_H

#include "gateway/ledger/store.h"
#include <pthread.h>
#include <stdatomic.h>

struct gw_ledger {
    struct sl_log log;
    struct gw_ledger_store store;      /* the thread's, once it runs; its path and volumes: everyone's */
    char writer[GW_WRITER_DIGITS + 1]; /* this run's */
    struct gw_ledger_entry begun;      /* the first, of the start itself */
    struct gw_ledger_event begun_event;
    pthread_t thread;
    bool running; /* it was started */
    bool kafka;   /* its log is a topic */
    atomic_ullong numbers, commits, events, refused, waits, waited_us;
    _Atomic int64_t unconfirmed;

    struct gw_ledger_log *log_topic; /* topic.c; NULL: the log is not in Kafka */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    bool stopping, available;
    bool ending; /* nothing is kept for another try any more */
    char why[GW_LEDGER_WHY];
    struct gw_ledger_entry *first, **last;
    struct gw_ledger_entry *kept; /* lazy ones that could not be written, newest first */
    size_t urgent;                /* entries that wait and are not lazy */
};

/* ledger.c, for topic.c: it can be written, or not; error says why not. */
void gw_ledger_set_available(struct gw_ledger *ledger, bool available, const sl_error *error);
/* Keeps what is lazy and could not be written for another try; false: it is the end. */
bool gw_ledger_keep(struct gw_ledger *ledger, struct gw_ledger_entry *entry);
struct gw_ledger_entry *gw_ledger_take_kept(struct gw_ledger *ledger); /* in their order */
void gw_ledger_tell(struct gw_ledger_entry *entry, sl_status status);
void gw_ledger_count_written(struct gw_ledger *ledger, const struct gw_ledger_entry *entry);

/* topic.c */
void gw_ledger_log_submit(struct gw_ledger_log *log, struct gw_ledger_entry *entry);
void gw_ledger_log_finish(struct gw_ledger_log *log); /* NULL is allowed; so below */
void gw_ledger_log_free(struct gw_ledger_log **out);

/* codec.c: an event as the topic has it, JSON; docs/marketplace.md. Appends. */
bool gw_ledger_event_encode(struct sl_buffer *out, const char *node, const char *writer,
                            const struct gw_ledger_event *event);
/* An event that was read: texts and records live as long as this. */
struct gw_ledger_read {
    struct gw_ledger_event event;
    const char *node, *writer;
    json_t *json;
    struct gw_delivered *records;
};
/* false: it is no event, or memory is out. */
bool gw_ledger_event_decode(const char *text, size_t size, struct gw_ledger_read *read);
void gw_ledger_read_free(struct gw_ledger_read *read);

#endif
