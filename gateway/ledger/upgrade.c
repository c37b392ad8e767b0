/* What brings ledger.db from each version of its schema to the next. What stands here of a version never
 * changes, so none of it is schema.h's, which is of the newest one. */
#include "base/error.h"
#include "gateway/ledger/rows.h"
#include "gateway/ledger/store.h"
#include "gateway/store/db.h"

#include <stdlib.h>
#include <unistd.h>

#define DELIVERY_1                                                                                           \
    "writer, number, node, application, hrn, layer, grp, topic, at_ms, messages, bytes, blob_bytes, again,"  \
    " records"

/* How many rows of version 1 are damaged: in it clocks, meta and deliveries' state had no checksum. */
static const char check_1[] =
    "SELECT (SELECT count(*) FROM usage WHERE checksum <> row_checksum(application, hrn, layer, grp, hour,"
    " calls_in, calls_out, messages_in, messages_out, bytes_in, bytes_out, blob_bytes_in, blob_bytes_out)) +"
    " (SELECT count(*) FROM reached WHERE checksum <>"
    " row_checksum(application, topic, grp, partition, ranges)) +"
    " (SELECT count(*) FROM deliveries WHERE checksum <> row_checksum(" DELIVERY_1 "))";

static const char to_2[] =
    "ALTER TABLE clocks RENAME TO clocks_1;"
    "CREATE TABLE clocks (application TEXT PRIMARY KEY, hour INTEGER NOT NULL, checksum INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "INSERT INTO clocks SELECT application, hour, row_checksum(application, hour) FROM clocks_1;"
    "DROP TABLE clocks_1;"
    "ALTER TABLE meta RENAME TO meta_1;"
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER) STRICT, WITHOUT ROWID;"
    "INSERT INTO meta SELECT name, value, row_checksum(name, value) FROM meta_1;"
    "DROP TABLE meta_1;"
    "UPDATE deliveries SET checksum = row_checksum(state, " DELIVERY_1 ");"
    "CREATE INDEX IF NOT EXISTS deliveries_settled ON deliveries (at_ms) WHERE state = 2;"
    "PRAGMA user_version = 2;";

static sl_status check(sqlite3 *db, sl_error *error)
{
    int64_t bad = 0;
    sl_status status = gw_db_run(db, check_1, gw_db_read_number, &bad, NULL, error, "");
    return status || !bad
               ? status
               : sl_error_set(error, SL_CHECKSUM_MISMATCH, "%lld of its rows are damaged", (long long)bad);
}

static sl_status change(sqlite3 *db, sl_error *error)
{
    if (!sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) && !sqlite3_exec(db, to_2, NULL, NULL, NULL) &&
        !sqlite3_exec(db, "COMMIT", NULL, NULL, NULL))
        return SL_OK;
    sl_status status = gw_rows_failure(db, error);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

sl_status gw_ledger_upgrade(sqlite3 *db, const char *data_directory, int64_t *from, char **backup,
                            sl_error *error)
{
    *backup = NULL;
    *from = 0;
    sl_status status = gw_db_run(db, "PRAGMA user_version", gw_db_read_number, from, NULL, error, "");
    if (status || *from != 1)
        return status;
    status = gw_rows_add_checksum(db, error);
    if (!status)
        status = check(db, error);
    if (!status)
        status = gw_db_back_up(db, data_directory, "ledger.db", *from, backup, error);
    if (!status)
        status = change(db, error);
    if (status && *backup) { /* nothing was changed, and a next try makes its own */
        unlink(*backup);
        free(*backup);
        *backup = NULL;
    }
    return status;
}
