/* The rows of ledger.db, each read and written whole, with its checksum. Within a transaction of the
 * caller's; one thread. Errors: SL_CHECKSUM_MISMATCH (a damaged row or file), SL_IO, SL_OUT_OF_MEMORY. */
#ifndef GW_LEDGER_ROWS_H
#define GW_LEDGER_ROWS_H

#include "gateway/ledger/fold.h"
#include "gateway/ledger/records.h"

enum gw_rows_statement {
    GW_ROWS_HOUR,
    GW_ROWS_PUT_HOUR,
    GW_ROWS_BILL,
    GW_ROWS_REACHED,
    GW_ROWS_PUT_REACHED,
    GW_ROWS_ADD_DELIVERY,
    GW_ROWS_DELIVERY,
    GW_ROWS_OLDER_DELIVERY,
    GW_ROWS_LEFT_OPEN,
    GW_ROWS_PUT_DELIVERY,
    GW_ROWS_REMOVE_DELIVERY,
    GW_ROWS_SETTLE,
    GW_ROWS_FORGET,
    GW_ROWS_STATEMENTS
};

struct gw_rows {
    sqlite3 *db; /* the caller's */
    sqlite3_stmt *statements[GW_ROWS_STATEMENTS];
    struct sl_buffer text; /* for reuse */
};

/* What SQLite's last call on db has failed for: SL_CHECKSUM_MISMATCH (the file is damaged),
 * SL_OUT_OF_MEMORY, SL_IO. */
sl_status gw_rows_failure(sqlite3 *db, sl_error *error);

/* Makes the tables where they are missing. */
sl_status gw_rows_open(sqlite3 *db, struct gw_rows *rows, sl_error *error);
void gw_rows_close(struct gw_rows *rows); /* of what was zeroed or opened */

/* The application's last hour becomes *hour, or *hour that one, where it is later. */
sl_status gw_rows_hour(struct gw_rows *rows, const char *application, int64_t *hour, sl_error *error);

/* Adds to the row of the event's application, catalog, layer and group. */
sl_status gw_rows_bill(struct gw_rows *rows, const struct gw_ledger_event *event, int64_t hour,
                       const struct gw_usage *usage, sl_error *error);

/* Of the event's application, topic and group; empty where there is none yet. */
sl_status gw_rows_reached(struct gw_rows *rows, const struct gw_ledger_event *event, int32_t partition,
                          struct gw_ranges *ranges, sl_error *error);
sl_status gw_rows_put_reached(struct gw_rows *rows, const struct gw_ledger_event *event, int32_t partition,
                              const struct gw_ranges *ranges, sl_error *error);

/* What changes of a delivery. Texts: what adding takes. */
struct gw_delivery {
    int64_t id;
    enum gw_delivery_state state;
    const char *node, *writer;
    int64_t number, messages, bytes, blob_bytes, again;
};
sl_status gw_rows_add_delivery(struct gw_rows *rows, const struct gw_ledger_event *event,
                               const struct gw_delivery *delivery, const struct gw_record_list *records,
                               sl_error *error);
/* One that is not settled, by its number. */
sl_status gw_rows_delivery(struct gw_rows *rows, const char *writer, int64_t number,
                           struct gw_delivery *delivery, struct gw_record_list *records, bool *found,
                           sl_error *error);
/* The newest before the id `before` that is of the same application, topic and group as the one with the id
 * `like`, and not settled. */
sl_status gw_rows_older_delivery(struct gw_rows *rows, int64_t like, int64_t before,
                                 struct gw_delivery *delivery, struct gw_record_list *records, bool *found,
                                 sl_error *error);
/* One that another run of the node's has left open. */
sl_status gw_rows_left_open(struct gw_rows *rows, const char *node, const char *writer,
                            struct gw_delivery *delivery, struct gw_record_list *records, bool *found,
                            sl_error *error);
/* Writes state and figures, and the records, unless they are NULL: then they stay. */
sl_status gw_rows_put_delivery(struct gw_rows *rows, const struct gw_delivery *delivery,
                               const struct gw_record_list *records, sl_error *error);
sl_status gw_rows_remove_delivery(struct gw_rows *rows, int64_t id, sl_error *error);
/* Removes the delivery of that number, if it holds nothing that was counted before, and was still open. */
sl_status gw_rows_settle(struct gw_rows *rows, const char *writer, int64_t number, bool *settled,
                         sl_error *error);
sl_status gw_rows_forget(struct gw_rows *rows, int64_t before_ms, sl_error *error);

/* Makes the SQL function row_checksum of a connection: of any number of values. */
sl_status gw_rows_add_checksum(sqlite3 *db, sl_error *error);

#endif
