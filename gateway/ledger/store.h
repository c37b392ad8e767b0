/* The file ledger.db: opening it, looking through it, transactions of events. One thread, but for volumes. */
#ifndef GW_LEDGER_STORE_H
#define GW_LEDGER_STORE_H

#include "gateway/ledger/fold.h"

#define GW_WRITER_DIGITS 16 /* hex */

struct gw_volume_table; /* volumes.c: sums in memory; any thread */

struct gw_ledger_store {
    struct sl_log log;
    char *path;
    struct gw_ledger_settings settings;
    sqlite3 *db;
    struct gw_fold *fold;
    struct gw_volume_table *volumes;
    int64_t unconfirmed, forgotten_ms; /* at the transaction's begin; when settled ones were removed last */
    char node[GW_WRITER_DIGITS + 1];   /* this gateway's name in its ledger */
};

/* Whether events go through a journal (journal.h). Else each transaction is on the disk when it is committed.
 */
bool gw_ledger_has_journal(const struct gw_ledger_settings *settings);

/* Errors: SL_CHECKSUM_MISMATCH (damaged: nothing is changed), SL_BAD_CONFIG (a newer version's), SL_IO,
 * SL_OUT_OF_MEMORY; the text names the file, and the cure. */
sl_status gw_ledger_store_open(struct gw_ledger_store *store, const char *data_directory,
                               const struct gw_ledger_settings *settings, const struct sl_log *log,
                               sl_error *error);
void gw_ledger_store_close(struct gw_ledger_store *store);

/* A transaction, which ends also when it could not begin: it is committed when all went well, status being
 * SL_OK, and rolled back where it did not, or where the commit fails. */
sl_status gw_ledger_store_begin(struct gw_ledger_store *store, sl_error *error);
sl_status gw_ledger_store_apply(struct gw_ledger_store *store, const char *node, const char *writer,
                                struct gw_ledger_event *event, sl_error *error);
sl_status gw_ledger_store_end(struct gw_ledger_store *store, sl_status status, sl_error *error);
/* Where the log is a topic: *first is false for an event that the tables have already. Else they have it from
 * this transaction on. */
sl_status gw_ledger_store_take(struct gw_ledger_store *store, const char *writer, int32_t partition,
                               int64_t sequence, bool *first, sl_error *error);
/* After the commit: what it has counted is in the sums. */
void gw_ledger_store_note(struct gw_ledger_store *store, const struct gw_ledger_event *event);
/* Whether something can be written at all. */
sl_status gw_ledger_store_probe(struct gw_ledger_store *store, sl_error *error);

/* What the ledger has once, by its name; "": it has not. */
#define GW_META_TEXT (SL_ERROR_TEXT_SIZE / 2)
sl_status gw_ledger_store_meta(struct gw_ledger_store *store, const char *name, char known[GW_META_TEXT],
                               sl_error *error);
sl_status gw_ledger_store_put_meta(struct gw_ledger_store *store, const char *name, const char *value,
                                   sl_error *error);

/* Where the log of DATA/ledger.db is, "sqlite" or "kafka", by a look at the file alone, as gw_db_look has it.
 * false: that is not known. */
bool gw_ledger_look(const char *data_directory, char log[GW_META_TEXT]);

/* Up to which of the journal's sequences the tables have it. SL_CHECKSUM_MISMATCH: that is damaged. Putting:
 * within a transaction. */
sl_status gw_ledger_store_position(struct gw_ledger_store *store, uint64_t *position, sl_error *error);
sl_status gw_ledger_store_put_position(struct gw_ledger_store *store, uint64_t position, sl_error *error);
/* From now on transactions need not be on the disk when they are committed. */
sl_status gw_ledger_store_relax(struct gw_ledger_store *store, sl_error *error);
/* Brings all transactions to the disk. false: not all, since somebody reads, or the disk fails. */
bool gw_ledger_store_checkpoint(struct gw_ledger_store *store);

/* upgrade.c: brings a file of an older schema to this one, whole or not at all; *from: which it was. *backup:
 * the copy that was made before, DATA/ledger.db.vN-TIME, released with free; NULL when there was nothing to
 * do. Errors: SL_CHECKSUM_MISMATCH (damaged: nothing is changed), SL_IO, SL_OUT_OF_MEMORY. */
sl_status gw_ledger_upgrade(sqlite3 *db, const char *data_directory, int64_t *from, char **backup,
                            sl_error *error);

sl_status gw_volumes_create(struct gw_volume_table **out, sl_error *error);
void gw_volumes_destroy(struct gw_volume_table **out);
sl_status gw_volumes_load(struct gw_volume_table *table, sqlite3 *db, sl_error *error);
/* Without memory for one more the sums of that application and catalog are left out until the next start. */
void gw_volumes_add(struct gw_volume_table *table, const char *application, const char *hrn, int64_t hour,
                    int64_t bytes);
/* Bytes that are durable and not yet folded, or no longer so (negative): they count in full until then. */
void gw_volumes_expect(struct gw_volume_table *table, const char *application, const char *hrn, int64_t hour,
                       int64_t bytes);
void gw_volumes_get(struct gw_volume_table *table, const char *application, const char *hrn,
                    struct gw_volumes *volumes);

#endif
