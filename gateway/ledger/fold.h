/*
 * The fold: events into the tables of ledger.db. Within a transaction of the caller's; one thread.
 *
 * A record counts once: `reached` has what was counted of each application, group and partition as ranges of
 * offsets, and a record within them counts no more. Going to an offset (a seek, a reset of the group) takes
 * what lies from there on out of the ranges, so that it counts again.
 *
 * A delivery counts when it is about to leave, and is open until it is known to have arrived. One that breaks
 * off stays listed with the records that it has counted; when they are delivered to the same application and
 * group again, and arrive, they leave the list.
 *
 * Hours are UTC, and of one application they never go back, whatever the clock does.
 */
#ifndef GW_LEDGER_FOLD_H
#define GW_LEDGER_FOLD_H

#include "gateway/ledger/ledger.h"
#include <sqlite3.h>

struct gw_fold;

/* As numbers in the table. What is settled is kept for streamlayer.gateway.ledger.keep-deliveries. */
enum gw_delivery_state {
    GW_DELIVERY_OPEN,        /* about to leave, or on its way */
    GW_DELIVERY_UNCONFIRMED, /* it is not known whether it arrived */
    GW_DELIVERY_SETTLED      /* it has arrived */
};

/* The tables, where they are missing, and statements on them. db stays the caller's. */
sl_status gw_fold_open(sqlite3 *db, bool keep_settled, struct gw_fold **out, sl_error *error);
void gw_fold_close(struct gw_fold **out); /* NULL-safe */

/* Looks at every row's checksum. SL_CHECKSUM_MISMATCH: rows are damaged; the text says of which table. */
sl_status gw_fold_check(sqlite3 *db, sl_error *error);

/* writer: which gateway's run the event is of, by which its number is unique; node: which gateway's. After
 * an error the transaction is to be rolled back: SL_CHECKSUM_MISMATCH (what is there is damaged), SL_IO,
 * SL_OUT_OF_MEMORY. */
sl_status gw_fold_apply(struct gw_fold *fold, const char *node, const char *writer,
                        struct gw_ledger_event *event, sl_error *error);

/* An event of a writer's in the topic's partition, by its sequence there: *first is false where it was taken
 * before. Errors as above. */
sl_status gw_fold_take(struct gw_fold *fold, const char *writer, int32_t partition, int64_t sequence,
                       bool *first, sl_error *error);

/* Writes the rows that were changed: until then they are in memory. Before the transaction is committed;
 * errors as above. */
sl_status gw_fold_flush(struct gw_fold *fold, sl_error *error);

/* Removes what was settled before. */
sl_status gw_fold_forget(struct gw_fold *fold, int64_t before_ms, sl_error *error);

/* How many deliveries are unconfirmed, as of what was applied. */
int64_t gw_fold_unconfirmed(const struct gw_fold *fold);
/* After a rollback: what is in memory goes, and so many are unconfirmed. */
void gw_fold_roll_back(struct gw_fold *fold, int64_t unconfirmed);

#endif
