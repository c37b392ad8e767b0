/* The SQLite file of a data directory, DATA/catalogs.db: opening, and small helpers over SQLite's calls. */
#ifndef GW_STORE_DB_H
#define GW_STORE_DB_H

#include "gateway/store/directory.h"
#include <sqlite3.h>
#include <stdint.h>
#include <streamlayer/error.h>

/* Makes the directory (0700), the file (0600) and the tables where they are missing; what an older version
 * wrote is upgraded when no gateway holds the directory. Errors: SL_IO, which names the file; SL_BAD_CONFIG
 * when a newer version wrote it; SL_CONFLICT when a gateway of an older version uses it. */
sl_status gw_db_open(const char *data_directory, sqlite3 **db, sl_error *error);
/*
 * Brings the tables to this version's schema, whole or not at all, by who holds DATA/gateway.lock. *from: the
 * version that was there. *backup: the copy that was made before, DATA/catalogs.db.vN-TIME, released with
 * free; NULL when there was nothing to do. Errors: as above.
 */
sl_status gw_db_upgrade(const char *data_directory, int *from, char **backup, sl_error *error);

/* A copy of the whole, DATA/NAME.vN-TIME, on the disk: *file, released with free; else NULL. */
sl_status gw_db_back_up(sqlite3 *db, const char *data_directory, const char *name, int64_t version,
                        char **file, sl_error *error);

/* The schema of DATA/NAME, by a look at the file alone, which is not opened as a store is; 0: there is none
 * yet. SL_IO: it cannot be read, or is no SQLite file. */
sl_status gw_db_look(const char *data_directory, const char *name, int64_t *version, sl_error *error);
int64_t gw_db_known_version(void); /* that of catalogs.db, in this program */

/* What SQLite's last call on db failed for. Errors: SL_CONFLICT for a broken constraint, SL_OUT_OF_MEMORY,
 * SL_IO, retriable when the disk is full. */
sl_status gw_db_failure(sqlite3 *db, sl_error *error);

/*
 * Runs one statement. formats: a letter an argument, 's' const char * (NULL: null), 'i' int64_t. row (may be
 * NULL) is called for each row of the result and may return false to end. *changed (may be NULL): rows that
 * were changed. Errors: of gw_db_failure.
 */
typedef bool (*gw_db_row)(void *opaque, sqlite3_stmt *row);
sl_status gw_db_run(sqlite3 *db, const char *sql, gw_db_row row, void *opaque, int *changed, sl_error *error,
                    const char *formats, ...);

/* A gw_db_row for one number: opaque is int64_t. */
bool gw_db_read_number(void *opaque, sqlite3_stmt *row);

/* A column's text, "" for null. */
const char *gw_db_text(sqlite3_stmt *row, int column);

#endif
