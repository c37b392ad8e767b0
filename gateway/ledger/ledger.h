/*
 * The ledger: what applications used of the Marketplace's layers (docs/marketplace.md has the rule).
 *
 * It is a log of events, and its figures are a fold over that log (fold.h) which depends on nothing else: not
 * on the present time, nor on what is in memory. What may be counted wrongly otherwise, a record that is
 * delivered twice, a response that breaks off, a crash, is settled there.
 *
 * One thread writes what waits into a journal (journal.h), all with one write, and then each who waits is
 * told on his loop. Another one owns the database, and takes the journal into it some time later, but before
 * anybody reads. Reading has a connection of its own and sees whole transactions only. Where there is no
 * journal one thread does both, with a transaction for what waits.
 */
#ifndef GW_LEDGER_LEDGER_H
#define GW_LEDGER_LEDGER_H

#include "gateway/http/server.h"
#include <stdatomic.h>
#include <stdint.h>
#include <streamlayer/error.h>

struct gw_ledger;
struct gw_packed;

/* Counts. Bytes are those of payloads (not of base64, nor of headers) and of blobs' contents. */
struct gw_usage {
    int64_t calls_in, calls_out; /* answered with 2xx */
    int64_t messages_in, messages_out;
    int64_t bytes_in, bytes_out;
    int64_t blob_bytes_in, blob_bytes_out;
};

/* The figures, to be gone through: in the struct's order, which is that of the table "usage". */
enum {
    GW_CALLS_IN,
    GW_CALLS_OUT,
    GW_MESSAGES_IN,
    GW_MESSAGES_OUT,
    GW_BYTES_IN,
    GW_BYTES_OUT,
    GW_BLOB_BYTES_IN,
    GW_BLOB_BYTES_OUT,
    GW_FIGURES
};
extern const char *const gw_figure_names[GW_FIGURES]; /* in JSON */
int64_t gw_figure(const struct gw_usage *usage, size_t which);
void gw_figure_set(struct gw_usage *usage, size_t which, int64_t value);
void gw_usage_add(struct gw_usage *sum, const struct gw_usage *more);

/* Usage is summed by the hour: those since 1970 in UTC, which are a time in ms divided by this. */
#define GW_HOUR_MS INT64_C(3600000)

/* A record of Kafka's that is delivered. */
struct gw_delivered {
    int64_t offset;
    int32_t partition;
    uint32_t bytes; /* of its payload */
};

/* Offsets that hold no record, though what was read lies before and behind them: marks of transactions, what
 * compaction took. */
struct gw_gap {
    int64_t first, end; /* end: behind the last */
    int32_t partition;
};

enum gw_ledger_kind {
    GW_LEDGER_USED,      /* usage, which nothing is to follow */
    GW_LEDGER_DELIVERED, /* records, blob bytes, and the call: about to leave */
    GW_LEDGER_SETTLED,   /* the delivery of that number has arrived */
    GW_LEDGER_BROKEN,    /* or it is not known whether it has */
    GW_LEDGER_SOUGHT,    /* the application goes to these offsets: from there on all counts again */
    GW_LEDGER_BEGUN      /* a gateway has started: what its last run left open is broken */
};

/* What happened. Texts are borrowed until it is written. */
struct gw_ledger_event {
    enum gw_ledger_kind kind;
    int64_t at_ms;  /* wall clock; filled by the ledger */
    int64_t number; /* DELIVERED: filled by the ledger; SETTLED, BROKEN: the delivery's */
    /* Where the log is a topic: which it is of its writer's in the partition; filled by the ledger, and kept,
     * so that an event that may have been written and is submitted again counts once. 0: none yet. */
    int64_t sequence;
    const char *application, *hrn, *layer;
    const char *group;     /* without the application's prefix; "": no group has part in it */
    const char *topic;     /* the layer's key: it has a creation id, so that a layer made again begins anew */
    struct gw_usage usage; /* without what records say */
    /* DELIVERED: in the order of delivery; SOUGHT: the offsets gone to. */
    const struct gw_delivered *records;
    size_t count;
    /* What is submitted may have its records here instead; count is theirs. */
    const struct gw_packed *packed;
    /* DELIVERED: right before some of the records, where that is known. */
    const struct gw_gap *gaps;
    size_t gap_count;
    /* What came of it, once it is in the tables: the hour that it counts in, and bytes that it has counted as
     * delivered. */
    int64_t hour, billed;
};

/* Events to be written together, or not at all: the caller's memory until done. */
struct gw_ledger_entry {
    /* The ledger's own. */
    struct gw_task task; /* first */
    struct gw_ledger_entry *next;
    struct gw_ledger *ledger;
    int64_t since_us;
    atomic_size_t pending;       /* events that Kafka does not have yet */
    uint64_t order;              /* among those submitted to the topic */
    struct sl_buffer text;       /* the events, as a frame of the journal has them */
    struct gw_delivered *opened; /* where there is no journal: what was packed */

    struct gw_ledger_event *events;
    size_t count;
    const char *application; /* whose they are: what is submitted of one application keeps its order */
    struct gw_loop *loop;    /* where done is called; NULL: on the ledger's thread */
    /* SL_OK: the events are durable. Else none of them is, nor ever will be; where the log is a topic that is
     * not known: it may have them (see sequence). */
    void (*done)(struct gw_ledger_entry *entry);
    sl_status status;
    /* It need not be durable at once: it goes with the next that must, or within a second, and is tried again
     * for as long as it cannot be written. */
    bool lazy;
};

struct gw_broker;

#define GW_LEDGER_MIN ((int64_t)16 << 20) /* bytes that a bound leaves room for at least */

struct gw_ledger_settings {
    bool kafka;        /* the log is a topic; ledger.db has what this gateway has read of it */
    int64_t keep_ms;   /* how long deliveries are kept that are settled, record by record; 0: not at all */
    int64_t max_bytes; /* of the database's file and the journal; 0: what the disk has */
};

/*
 * Opens DATA/ledger.db, makes it where there is none, looks through all of it, and takes into it what the
 * last run has left in DATA/ledger-journal. A file that is damaged, or that cannot be opened, is left as it
 * is: the ledger is there all the same, but unavailable, and says why in the log. Errors: SL_OUT_OF_MEMORY,
 * SL_INTERNAL.
 */
sl_status gw_ledger_open(const char *data_directory, const struct gw_ledger_settings *settings,
                         const struct sl_log *log, struct gw_ledger **out, sl_error *error);
/* Where the log is a topic: from now on it is written and read, as soon as Kafka answers; until then the
 * ledger is unavailable. A topic that is not there is made, with so many partitions; its messages never
 * expire. broker is borrowed. Errors: SL_INTERNAL. */
sl_status gw_ledger_connect(struct gw_ledger *ledger, struct gw_broker *broker, const char *topic,
                            int partitions, sl_error *error);
/* Writes what waits; what is submitted later is refused. Loops must run until it returns. NULL is allowed. */
void gw_ledger_finish(struct gw_ledger *ledger);
void gw_ledger_close(struct gw_ledger **out); /* NULL-safe */

/* Whether it can write, as far as is known. False: *why is filled. Any thread, does not block. */
#define GW_LEDGER_WHY 300
bool gw_ledger_available(struct gw_ledger *ledger, char why[GW_LEDGER_WHY]);

/* A request was refused since it is not available, and submits nothing. Any thread, does not block. */
void gw_ledger_count_refused(struct gw_ledger *ledger);

/* Queues the entry; those of one thread are written in their order. Any thread, does not block. */
void gw_ledger_submit(struct gw_ledger *ledger, struct gw_ledger_entry *entry);

/* --- Reading: blocks on the disk, so on a worker. Any thread. All that was told as durable is in it. --- */

/* What a question is about: NULL is any; from <= hour < to. */
struct gw_usage_filter {
    const char *application, *hrn, *layer;
    /* Who asks: he sees what he has used, and what all have used of these catalogs, a JSON array of HRNs
     * (NULL: of none). NULL: who may see all. */
    const char *viewer, *catalogs;
    int64_t from_hour, to_hour;
};

/* A line of the table "usage". Texts live until the next line. */
struct gw_usage_line {
    const char *application, *hrn, *layer, *group;
    int64_t hour;
    struct gw_usage usage;
};
/*
 * Calls each for the lines of the filter that come behind after (NULL: from the first), in the order of
 * application, HRN, layer, group, hour, until it returns false. Errors: SL_UNAVAILABLE (the ledger is not
 * readable, or has no room for what is in its journal), SL_IO, SL_OUT_OF_MEMORY.
 */
sl_status gw_ledger_read_usage(struct gw_ledger *ledger, const struct gw_usage_filter *filter,
                               const struct gw_usage_line *after,
                               bool (*each)(void *opaque, const struct gw_usage_line *line), void *opaque,
                               sl_error *error);

/* A delivery of which it is not known whether it arrived: it is part of the usage. */
struct gw_unconfirmed {
    int64_t id; /* ascending, for paging */
    const char *application, *hrn, *layer, *group;
    int64_t at_ms; /* in the hour that it counts in */
    bool open;     /* its response is under way yet */
    int64_t messages, bytes, blob_bytes;
    /* The records that it is about; ascending in each partition. */
    const struct gw_delivered *records;
    size_t count;
};
/* The same for unconfirmed deliveries, with ids behind after, ascending. The filter's hours: of at_ms. */
sl_status gw_ledger_read_unconfirmed(struct gw_ledger *ledger, const struct gw_usage_filter *filter,
                                     int64_t after,
                                     bool (*each)(void *opaque, const struct gw_unconfirmed *delivery),
                                     void *opaque, sl_error *error);

/* Both, as they are at one moment. */
sl_status gw_ledger_read_both(struct gw_ledger *ledger, const struct gw_usage_filter *filter,
                              bool (*each_line)(void *opaque, const struct gw_usage_line *line),
                              bool (*each_delivery)(void *opaque, const struct gw_unconfirmed *delivery),
                              void *opaque, sl_error *error);

/* What an application has been delivered of a catalog, bytes of payloads and blobs, unconfirmed ones too. Day
 * and month are those of the ledger's last hour of this application, UTC. In memory: any thread, does not
 * block. What is not in the tables yet counts as if it had never been delivered before. */
struct gw_volumes {
    int64_t hour; /* of the last use; 0: never */
    int64_t day, month, all;
};
void gw_ledger_volumes(struct gw_ledger *ledger, const char *application, const char *hrn,
                       struct gw_volumes *volumes);

/* The lines for /metrics. */
bool gw_ledger_metrics(struct gw_ledger *ledger, struct sl_buffer *text);

#endif
