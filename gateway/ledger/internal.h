/* What the files of gateway/ledger share. */
#ifndef GW_LEDGER_INTERNAL_H
#define GW_LEDGER_INTERNAL_H

#include "gateway/ledger/journal.h"
#include "gateway/ledger/store.h"
#include <pthread.h>
#include <stdatomic.h>

struct gw_ledger {
    struct sl_log log;
    /* The thread's, once it runs, or the folder's; its path and volumes: everyone's. */
    struct gw_ledger_store store;
    char writer[GW_WRITER_DIGITS + 1]; /* this run's */
    struct gw_ledger_entry begun;      /* the first, of the start itself */
    struct gw_ledger_event begun_event;
    pthread_t thread;
    bool running; /* it was started */
    bool kafka;   /* its log is a topic */
    atomic_ullong numbers, commits, events, refused, waits, waited_us;
    _Atomic int64_t unconfirmed;

    struct gw_ledger_log *log_topic; /* topic.c; NULL: the log is not in Kafka */

    struct gw_journal *journal; /* with a folder: written first, folded by the folder; NULL: at once */
    struct gw_folder *folder;
    struct sl_buffer frame; /* the thread's, for reuse */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    bool stopping, available;
    unsigned failing; /* bits of gw_ledger_part */
    unsigned told;    /* those of them that the log has */
    bool ending;      /* nothing is kept for another try any more */
    char why[GW_LEDGER_WHY];
    struct gw_ledger_entry *first, **last;
    struct gw_ledger_entry *kept; /* lazy ones that could not be written, newest first; without a topic */
    size_t urgent;                /* entries that wait and are not lazy */
};

/* What can fail by itself where there is a journal, or a topic. */
enum gw_ledger_part { GW_LEDGER_APPENDING = 1, GW_LEDGER_FOLDING = 2 };
/* A part can do its work (error is NULL), or not: the ledger is available when all can. */
void gw_ledger_set_part(struct gw_ledger *ledger, enum gw_ledger_part part, const sl_error *error);

/* ledger.c */
void gw_ledger_tell(struct gw_ledger_entry *entry, sl_status status);
void gw_ledger_count_written(struct gw_ledger *ledger, const struct gw_ledger_entry *entry);

void gw_ledger_refuse(struct gw_ledger *ledger, struct gw_ledger_entry *entry, sl_status status);

/* write.c: fills entry->text, if it is not there yet; false: no memory. */
bool gw_ledger_encode(struct gw_ledger_entry *entry);
/* The list into the journal, in frames; each entry is told. */
void gw_ledger_write_journal(struct gw_ledger *ledger, struct gw_ledger_entry *list);

/* folder.c. A frame that is written, and waits to be folded. */
struct gw_chunk {
    struct gw_chunk *next;
    uint64_t sequence;
    void *bytes; /* aligned to GW_FRAME_BLOCK */
    size_t size; /* a multiple of it */
    size_t events;
    bool expected; /* its deliveries are in the volumes as what is expected */
};
struct gw_chunk *gw_chunk_new(size_t size); /* NULL: no memory */
void gw_chunk_free(struct gw_chunk *chunk); /* NULL-safe */
/* Bytes that a delivery counts if none of it was counted before. */
int64_t gw_ledger_claim(const struct gw_ledger_event *event);

struct gw_folder *gw_folder_new(struct gw_ledger *ledger); /* NULL: no memory */
/* Folds what opening the journal has found. */
sl_status gw_folder_replay(struct gw_folder *folder, sl_error *error);
sl_status gw_folder_start(struct gw_folder *folder, sl_error *error);
/* Waits while too much waits to be folded. false: folding fails; error says why. */
bool gw_folder_takes(struct gw_folder *folder, sl_error *error);
void gw_folder_add(struct gw_folder *folder, struct gw_chunk *chunk); /* takes it */
/* Waits until all is folded that is durable now. SL_UNAVAILABLE: that is not possible. */
sl_status gw_folder_catch_up(struct gw_folder *folder, sl_error *error);
/* Folds the rest; the journal goes when all of it is in ledger.db. */
void gw_folder_finish(struct gw_folder *folder);
void gw_folder_free(struct gw_folder **out); /* NULL-safe */

/* topic.c, topic_write.c */
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
    struct gw_gap *gaps;
};
/* SL_PROTOCOL: it is no event. SL_UNSUPPORTED: it is one of a later version. SL_OUT_OF_MEMORY. */
sl_status gw_ledger_event_decode(const char *text, size_t size, struct gw_ledger_read *read);
void gw_ledger_read_free(struct gw_ledger_read *read);

#endif
