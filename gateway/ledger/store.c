#include "gateway/ledger/store.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/ledger/journal.h"
#include "gateway/ledger/rows.h"
#include "gateway/ledger/schema.h"
#include "gateway/store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define BUSY_MS      10000
#define JOURNAL_FROM ((int64_t)256 << 20) /* with a smaller bound there is no journal */
#define FORGET_MS    60000                /* settled deliveries are looked through so often */
#define CURE                                                                                                 \
    "stop the gateway, move the file and its -wal and -shm away, and put a copy from a backup in its place " \
    "(docs/marketplace.md, \"A damaged ledger\")"

static sl_status exec(sqlite3 *db, const char *sql, sl_error *error)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) ? gw_rows_failure(db, error) : SL_OK;
}

struct meta {
    char *value;
    bool good; /* its checksum is right */
};

static bool take_meta(void *opaque, sqlite3_stmt *row)
{
    struct meta *meta = opaque;
    snprintf(meta->value, GW_META_TEXT, "%s", gw_db_text(row, 0));
    meta->good = sqlite3_column_int(row, 1);
    return false;
}

static bool take_text(void *opaque, sqlite3_stmt *row)
{
    snprintf(opaque, GW_META_TEXT, "%s", gw_db_text(row, 0));
    return false;
}

bool gw_ledger_has_journal(const struct gw_ledger_settings *settings)
{
    return !settings->kafka && (!settings->max_bytes || settings->max_bytes >= JOURNAL_FROM);
}

/* What SQLite finds in the file. */
static sl_status check_pages(sqlite3 *db, sl_error *error)
{
    char text[GW_META_TEXT] = "";
    sl_status status = gw_db_run(db, "PRAGMA integrity_check(1)", take_text, text, NULL, error, "");
    if (status)
        return gw_rows_failure(db, error);
    return strcmp(text, "ok") ? sl_error_set(error, SL_CHECKSUM_MISMATCH, "SQLite finds: %s", text) : SL_OK;
}

sl_status gw_ledger_store_meta(struct gw_ledger_store *store, const char *name, char known[GW_META_TEXT],
                               sl_error *error)
{
    struct meta meta = {.value = known, .good = true};
    *known = 0;
    sl_status status = gw_db_run(store->db, "SELECT value, " GW_LEDGER_META_GOOD " FROM meta WHERE name = ?",
                                 take_meta, &meta, NULL, error, "s", name);
    return status || meta.good
               ? status
               : sl_error_set(error, SL_CHECKSUM_MISMATCH,
                              "the row \"%s\" of the table \"meta\" is damaged: its checksum is wrong", name);
}

sl_status gw_ledger_store_put_meta(struct gw_ledger_store *store, const char *name, const char *value,
                                   sl_error *error)
{
    return gw_db_run(store->db,
                     "INSERT OR REPLACE INTO meta (name, value, checksum)"
                     " VALUES (?1, ?2, row_checksum(?1, ?2))",
                     NULL, NULL, NULL, error, "ss", name, value);
}

/* The name that the ledger has for this gateway, made with it. */
static sl_status name_node(struct gw_ledger_store *store, sl_error *error)
{
    char known[GW_META_TEXT];
    sl_status status = gw_ledger_store_meta(store, "node", known, error);
    snprintf(store->node, sizeof store->node, "%.*s", GW_WRITER_DIGITS, known);
    if (status || *known)
        return status;
    if (!sl_random_hex(store->node, GW_WRITER_DIGITS))
        return sl_error_set(error, SL_IO, "the system gave no random bytes");
    return gw_ledger_store_put_meta(store, "node", store->node, error);
}

static sl_status open_file(struct gw_ledger_store *store, sl_error *error)
{
    /* SQLite gives its side files the mode of the main file. One that is there is not opened here: see
     * store/db.c. */
    int fd = open(store->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST)
        return sl_error_set(error, SL_IO, "%s", sl_errno_text(errno));
    if (fd >= 0)
        close(fd);
    int code = sqlite3_open_v2(store->path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code)
        return sl_error_set(error, SL_IO, "%s", sqlite3_errstr(code));
    sqlite3_busy_timeout(store->db, BUSY_MS);
    /* What is damaged stays as it is, also when it is closed: see open_tables. */
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return SL_OK;
}

/* Where the log is, once and for all: figures of two logs in one file would be those of none. */
static sl_status check_log(struct gw_ledger_store *store, sl_error *error)
{
    char known[GW_META_TEXT];
    const char *log = store->settings.kafka ? "kafka" : "sqlite";
    sl_status status = gw_ledger_store_meta(store, "log", known, error);
    if (!status && !*known)
        return gw_ledger_store_put_meta(store, "log", log, error);
    if (!status && strcmp(known, log) != 0)
        return sl_error_set(
            error, SL_BAD_CONFIG,
            "it was begun with streamlayer.gateway.ledger.type = %s: move it away, or set that "
            "type again",
            known);
    return status;
}

bool gw_ledger_look(const char *data_directory, char log[GW_META_TEXT])
{
    struct sl_buffer uri;
    sqlite3 *db = NULL;
    sl_error error;
    sl_buffer_init(&uri, 65536);
    /* immutable: SQLite lays nothing beside the file, and no lock on it, so that one in use goes on. */
    bool known = sl_buffer_append_text(&uri, "file:") &&
                 sl_percent_encode(&uri, data_directory, strlen(data_directory)) &&
                 sl_buffer_append(&uri, "/ledger.db?immutable=1", sizeof "/ledger.db?immutable=1") &&
                 !sqlite3_open_v2(uri.data, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    *log = 0;
    known = known &&
            !gw_db_run(db, "SELECT value FROM meta WHERE name = 'log'", take_text, log, NULL, &error, "") &&
            *log;
    sqlite3_close(db);
    sl_buffer_free(&uri);
    return known;
}

/* No more pages than max_bytes have, without the journal's. */
static sl_status bound_size(struct gw_ledger_store *store, sl_error *error)
{
    char sql[64];
    int64_t page = 0, bytes = store->settings.max_bytes;
    if (!bytes)
        return SL_OK;
    if (gw_ledger_has_journal(&store->settings))
        bytes -= GW_JOURNAL_FILES_BOUND * GW_JOURNAL_FILE;
    sl_status status = gw_db_run(store->db, "PRAGMA page_size", gw_db_read_number, &page, NULL, error, "");
    if (status || page <= 0)
        return status;
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld", (long long)(bytes / page));
    return exec(store->db, sql, error);
}

/* What an older version wrote: its checksums are looked at first, since new ones are taken of all of it. */
static sl_status upgrade(struct gw_ledger_store *store, const char *data_directory, sl_error *error)
{
    char *backup;
    int64_t from;
    sl_status status = gw_ledger_upgrade(store->db, data_directory, &from, &backup, error);
    if (backup)
        SL_INFO(&store->log, "ledger: upgraded %s from schema %lld; a copy of before is %s", store->path,
                (long long)from, backup);
    free(backup);
    return status;
}

static sl_status open_tables(struct gw_ledger_store *store, const char *data_directory, sl_error *error)
{
    sl_status status = open_file(store, error);
    if (!status) /* before anything is changed */
        status = check_pages(store->db, error);
    if (!status)
        status = exec(store->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", error);
    if (!status)
        status = upgrade(store, data_directory, error);
    if (!status)
        status = gw_fold_open(store->db, store->settings.keep_ms > 0, &store->fold, error);
    if (!status)
        status = gw_fold_check(store->db, error);
    if (!status)
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    if (!status)
        status = bound_size(store, error);
    if (!status)
        status = name_node(store, error);
    if (!status)
        status = check_log(store, error);
    if (!status && !store->settings.keep_ms) /* it was another setting before */
        status = gw_fold_forget(store->fold, INT64_MAX, error);
    return status ? status : gw_volumes_load(store->volumes, store->db, error);
}

sl_status gw_ledger_store_open(struct gw_ledger_store *store, const char *data_directory,
                               const struct gw_ledger_settings *settings, const struct sl_log *log,
                               sl_error *error)
{
    store->settings = *settings;
    store->log = *log;
    store->path = sl_printf("%s/ledger.db", data_directory);
    sl_status status = store->path ? gw_volumes_create(&store->volumes, error) : sl_error_oom(error);
    if (status)
        return status;
    status = open_tables(store, data_directory, error);
    if (status == SL_CHECKSUM_MISMATCH)
        sl_error_prefix(error, "%s is damaged: " CURE, store->path);
    else if (status)
        sl_error_prefix(error, "%s", store->path);
    return status;
}

void gw_ledger_store_close(struct gw_ledger_store *store)
{
    gw_fold_close(&store->fold);
    sqlite3_close(store->db);
    store->db = NULL;
    gw_volumes_destroy(&store->volumes);
    free(store->path);
    store->path = NULL;
}

sl_status gw_ledger_store_begin(struct gw_ledger_store *store, sl_error *error)
{
    store->unconfirmed = gw_fold_unconfirmed(store->fold);
    return exec(store->db, "BEGIN IMMEDIATE", error);
}

sl_status gw_ledger_store_apply(struct gw_ledger_store *store, const char *node, const char *writer,
                                struct gw_ledger_event *event, sl_error *error)
{
    return gw_fold_apply(store->fold, node, writer, event, error);
}

sl_status gw_ledger_store_take(struct gw_ledger_store *store, const char *writer, int32_t partition,
                               int64_t sequence, bool *first, sl_error *error)
{
    return gw_fold_take(store->fold, writer, partition, sequence, first, error);
}

static sl_status commit(struct gw_ledger_store *store, sl_error *error)
{
    int64_t now_ms = sl_mono_ms();
    sl_status status = gw_fold_flush(store->fold, error);
    if (!status && store->settings.keep_ms && now_ms - store->forgotten_ms >= FORGET_MS) {
        store->forgotten_ms = now_ms;
        status = gw_fold_forget(store->fold, sl_wall_ms() - store->settings.keep_ms, error);
    }
    return status ? status : exec(store->db, "COMMIT", error);
}

sl_status gw_ledger_store_end(struct gw_ledger_store *store, sl_status status, sl_error *error)
{
    if (!status)
        status = commit(store, error);
    if (!status)
        return SL_OK;
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL); /* fails where SQLite has done so by itself */
    gw_fold_roll_back(store->fold, store->unconfirmed);
    return status;
}

void gw_ledger_store_note(struct gw_ledger_store *store, const struct gw_ledger_event *event)
{
    if (event->billed)
        gw_volumes_add(store->volumes, event->application, event->hrn, event->hour, event->billed);
}

sl_status gw_ledger_store_probe(struct gw_ledger_store *store, sl_error *error)
{
    char now[24];
    snprintf(now, sizeof now, "%lld", (long long)sl_wall_ms());
    return gw_ledger_store_put_meta(store, "probed", now, error);
}

/* With a checksum that has the node in it: that of another ledger is not taken for this one's. */
static void position_text(const struct gw_ledger_store *store, uint64_t position, char text[64])
{
    char number[64];
    int size = snprintf(number, sizeof number, "%s %llu", store->node, (unsigned long long)position);
    snprintf(text, 64, "%llu %08lx", (unsigned long long)position,
             crc32(0, (const Bytef *)number, (uInt)size));
}

sl_status gw_ledger_store_position(struct gw_ledger_store *store, uint64_t *position, sl_error *error)
{
    char known[GW_META_TEXT], text[64];
    sl_status status = gw_ledger_store_meta(store, "journal", known, error);
    *position = 0;
    if (status || !*known)
        return status;
    *position = strtoull(known, NULL, 10);
    position_text(store, *position, text);
    return strcmp(text, known) ? sl_error_set(error, SL_CHECKSUM_MISMATCH,
                                              "%s is damaged (its place in the journal): " CURE, store->path)
                               : SL_OK;
}

sl_status gw_ledger_store_put_position(struct gw_ledger_store *store, uint64_t position, sl_error *error)
{
    char text[64];
    position_text(store, position, text);
    return gw_ledger_store_put_meta(store, "journal", text, error);
}

sl_status gw_ledger_store_relax(struct gw_ledger_store *store, sl_error *error)
{
    return exec(store->db, "PRAGMA synchronous = NORMAL", error);
}

bool gw_ledger_store_checkpoint(struct gw_ledger_store *store)
{
    int in_log = -1, done = -2;
    return !sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &done) &&
           in_log == done;
}
