/*
 * What a transaction of the fold changes, in memory until it is flushed: a row that many events change is
 * written once, and a delivery that arrives within the transaction is never a row. Nothing else may change
 * the tables meanwhile. One thread. Errors: those of rows.h.
 */
#ifndef GW_LEDGER_BATCH_H
#define GW_LEDGER_BATCH_H

#include "gateway/ledger/rows.h"

struct gw_batch;

sl_status gw_batch_create(struct gw_rows *rows, struct gw_batch **out, sl_error *error);
void gw_batch_destroy(struct gw_batch **out); /* NULL-safe */

/* As the functions of rows.h, whose names they have. */
sl_status gw_batch_hour(struct gw_batch *batch, const char *application, int64_t *hour, sl_error *error);
sl_status gw_batch_bill(struct gw_batch *batch, const struct gw_ledger_event *event, int64_t hour,
                        const struct gw_usage *usage, sl_error *error);
sl_status gw_batch_add_delivery(struct gw_batch *batch, const struct gw_ledger_event *event,
                                const struct gw_delivery *delivery, const struct gw_record_list *records,
                                sl_error *error);
/* For changing, until the next call. */
sl_status gw_batch_reached(struct gw_batch *batch, const struct gw_ledger_event *event, int32_t partition,
                           struct gw_ranges **ranges, sl_error *error);
/* Whether that delivery was in memory yet, with nothing in it that was counted before: it is gone then. */
bool gw_batch_settle(struct gw_batch *batch, const char *writer, int64_t number);

/* Deliveries become rows: before those are read. */
sl_status gw_batch_flush_deliveries(struct gw_batch *batch, sl_error *error);
/* All becomes rows, and nothing stays in memory. */
sl_status gw_batch_flush(struct gw_batch *batch, sl_error *error);
void gw_batch_forget(struct gw_batch *batch); /* after a rollback */

#endif
