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

enum gw_delivery_state {
    GW_DELIVERY_OPEN,        /* about to leave, or on its way */
    GW_DELIVERY_UNCONFIRMED, /* it is not known whether it arrived */
    GW_DELIVERY_SETTLED      /* kept for a while: streamlayer.gateway.ledger.keep-deliveries */
};

/* The tables, where they are missing, and statements on them. db stays the caller's. */
sl_status gw_fold_open(sqlite3 *db, bool keep_settled, struct gw_fold **out, sl_error *error);
void gw_fold_close(struct gw_fold **out); /* NULL-safe */

/* Looks at every row's checksum. SL_IO: a row is damaged; the text says which. */
sl_status gw_fold_check(sqlite3 *db, sl_error *error);

/* writer: which gateway's run the event is of, by which its number is unique; node: which gateway's. Errors:
 * SL_IO (the transaction is to be rolled back), SL_OUT_OF_MEMORY. */
sl_status gw_fold_apply(struct gw_fold *fold, const char *node, const char *writer,
                        const struct gw_ledger_event *event, sl_error *error);

/* Removes what was settled before. */
sl_status gw_fold_forget(struct gw_fold *fold, int64_t before_ms, sl_error *error);

/* The records of a delivery's column. *records is freed by the caller. false: it is damaged, or no memory. */
bool gw_records_decode(const void *bytes, size_t size, struct gw_delivered **records, size_t *count);

#endif
