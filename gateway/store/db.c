#include "gateway/store/db.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/*
 * What brings the schema from each version to the next. A version that was released never changes; an empty
 * file is version 0 and goes through all of them.
 * State of catalogs and layers: 0 being made, 1 live, 2 condemned: what is not live is cleaned up after a
 * crash. Rights: see enum gw_right.
 */
static const char *const steps[] = {
    "CREATE TABLE catalogs (hrn TEXT PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL,"
    " marketplace INTEGER NOT NULL, state INTEGER NOT NULL, created_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE layers (hrn TEXT NOT NULL REFERENCES catalogs (hrn), id TEXT NOT NULL, name TEXT NOT NULL,"
    " topic TEXT NOT NULL UNIQUE, content_type TEXT NOT NULL, content_encoding TEXT,"
    " parallelization INTEGER NOT NULL, in_kbps INTEGER NOT NULL, out_kbps INTEGER NOT NULL,"
    " ttl_ms INTEGER NOT NULL, state INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    " PRIMARY KEY (hrn, id)) STRICT;"
    "CREATE TABLE applications (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, key_id TEXT NOT NULL UNIQUE,"
    " key_secret TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT;"
    "PRAGMA user_version = 1;",

    /* Keys that can be changed, rights, grants; until now every application could do all. Layers on several
     * clusters, and on topics that are not ours to delete. */
    "ALTER TABLE applications RENAME TO applications_1;"
    "CREATE TABLE applications (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, issuer TEXT, subject TEXT,"
    " rights INTEGER NOT NULL, created_ms INTEGER NOT NULL, UNIQUE (issuer, subject)) STRICT;"
    "CREATE TABLE keys (key_id TEXT PRIMARY KEY,"
    " application TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,"
    " secret TEXT NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER) STRICT;"
    "CREATE INDEX keys_application ON keys (application);"
    "CREATE TABLE grants (application TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,"
    " hrn TEXT NOT NULL, rights INTEGER NOT NULL, granted_by TEXT, created_ms INTEGER NOT NULL,"
    " PRIMARY KEY (application, hrn)) STRICT;"
    "CREATE INDEX grants_hrn ON grants (hrn);"
    "INSERT INTO applications (id, name, rights, created_ms)"
    " SELECT id, name, 24, created_ms FROM applications_1;"
    "INSERT INTO keys (key_id, application, secret, created_ms)"
    " SELECT key_id, id, key_secret, created_ms FROM applications_1;"
    "INSERT INTO grants (application, hrn, rights, created_ms)"
    " SELECT id, '*', 7, created_ms FROM applications_1;"
    "DROP TABLE applications_1;"
    "ALTER TABLE layers RENAME TO layers_1;"
    "CREATE TABLE layers (hrn TEXT NOT NULL REFERENCES catalogs (hrn), id TEXT NOT NULL, name TEXT NOT NULL,"
    " cluster TEXT NOT NULL DEFAULT 'default', topic TEXT NOT NULL, adopted INTEGER NOT NULL DEFAULT 0,"
    " content_type TEXT NOT NULL, content_encoding TEXT, parallelization INTEGER NOT NULL,"
    " in_kbps INTEGER NOT NULL, out_kbps INTEGER NOT NULL, ttl_ms INTEGER NOT NULL, state INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, PRIMARY KEY (hrn, id), UNIQUE (cluster, topic)) STRICT;"
    "INSERT INTO layers (hrn, id, name, topic, content_type, content_encoding, parallelization, in_kbps,"
    " out_kbps, ttl_ms, state, created_ms)"
    " SELECT hrn, id, name, topic, content_type, content_encoding, parallelization, in_kbps, out_kbps,"
    " ttl_ms, state, created_ms FROM layers_1;"
    "DROP TABLE layers_1;"
    "PRAGMA user_version = 2;",

    /* Marketplace subscriptions. until_ms null: no end; volume (bytes) null: no bound; period: enum
       gw_period. */
    "CREATE TABLE marketplace_subscriptions ("
    "application TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE, hrn TEXT NOT NULL,"
    " from_ms INTEGER NOT NULL, until_ms INTEGER, out_kbps INTEGER NOT NULL, volume INTEGER,"
    " period INTEGER NOT NULL, subscribed_by TEXT, created_ms INTEGER NOT NULL,"
    " PRIMARY KEY (application, hrn)) STRICT;"
    "CREATE INDEX marketplace_subscriptions_hrn ON marketplace_subscriptions (hrn);"
    "PRAGMA user_version = 3;",
};
#define SCHEMA_VERSION ((int64_t)(sizeof steps / sizeof *steps))

/* Only what writes pages is SQLITE_FULL: what flushes, or makes a side file, has an errno. */
static bool disk_is_full(sqlite3 *db, int code)
{
    return code == SQLITE_FULL ||
           ((code == SQLITE_IOERR || code == SQLITE_CANTOPEN) && gw_disk_is_full(sqlite3_system_errno(db)));
}

/* What SQLite says, and what helps where the file itself is no good. */
sl_status gw_db_failure(sqlite3 *db, sl_error *error)
{
    int code = sqlite3_errcode(db);
    if (code == SQLITE_NOMEM)
        return sl_error_oom(error);
    if (disk_is_full(db, code))
        return sl_error_set_retriable(error, SL_IO,
                                      "%s cannot grow: the disk is full (SQLite: %s); nothing was changed",
                                      sqlite3_db_filename(db, "main"), sqlite3_errmsg(db));
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        return sl_error_set(
            error, SL_IO,
            "it is damaged (SQLite: %s): stop the gateway, move the file and its -wal and -shm "
            "away, and put a copy from a backup in its place (docs/operations.md, \"Backup and "
            "restore\"); without one, \"sqlite3 FILE .recover\" may save what is in it",
            sqlite3_errmsg(db));
    return sl_error_set(error, code == SQLITE_CONSTRAINT ? SL_CONFLICT : SL_IO, "SQLite: %s",
                        sqlite3_errmsg(db));
}

static sl_status exec(sqlite3 *db, const char *sql, sl_error *error)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) ? gw_db_failure(db, error) : SL_OK;
}

static sl_status version_of(sqlite3 *db, int64_t *version, sl_error *error)
{
    *version = -1;
    sl_status status = gw_db_run(db, "PRAGMA user_version", gw_db_read_number, version, NULL, error, "");
    if (!status && *version > SCHEMA_VERSION)
        return sl_error_set(
            error, SL_BAD_CONFIG,
            "it was written by a newer version (its schema is %lld, this one knows %lld): use that version",
            (long long)*version, (long long)SCHEMA_VERSION);
    return status;
}

/* From the version that is there to the present one, whole or not at all. */
static sl_status take_steps(sqlite3 *db, sl_error *error)
{
    int64_t version;
    sl_status status = exec(db, "BEGIN IMMEDIATE", error);
    if (status)
        return status;
    /* Within the transaction: another program may be making the tables right now. */
    status = version_of(db, &version, error);
    while (!status && version < SCHEMA_VERSION)
        status = exec(db, steps[version++], error);
    if (!status)
        status = exec(db, "COMMIT", error);
    if (status)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* Takes the path. */
static sl_status open_file(char *path, sqlite3 **db, sl_error *error)
{
    *db = NULL;
    if (!path)
        return sl_error_oom(error);
    sl_status status = SL_OK;
    /* SQLite gives its side files the mode that the main file has. A file that is there must not be opened
     * here: closing it would drop the locks that SQLite holds on it in this process (they are POSIX locks),
     * and then another program deletes the journal under us. */
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST) {
        status = sl_error_set(error, SL_IO, "%s: %s", path, sl_errno_text(errno));
    } else {
        if (fd >= 0)
            close(fd);
        int code = sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL);
        if (code)
            status = sl_error_set(error, SL_IO, "%s: %s", path, sqlite3_errstr(code));
        else {
            sqlite3_busy_timeout(*db, 10000);
            status = exec(
                *db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON", error);
            if (status)
                sl_error_prefix(error, "%s", path);
        }
    }
    free(path);
    return status;
}

sl_status gw_db_back_up(sqlite3 *db, const char *data_directory, const char *name, int64_t version,
                        char **file, sl_error *error)
{
    time_t now = (time_t)(sl_wall_ms() / 1000);
    struct tm utc;
    char stamp[32];
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    *file = sl_printf("%s/%s.v%lld-%s", data_directory, name, (long long)version, stamp);
    if (!*file)
        return sl_error_oom(error);
    int fd = open(*file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600); /* it holds secrets */
    sl_status status = SL_OK;
    if (fd < 0)
        status = sl_error_set(error, SL_IO, "cannot make the copy %s: %s", *file, sl_errno_text(errno));
    else
        status = gw_db_run(db, "VACUUM INTO ?", NULL, NULL, NULL, error, "s", *file);
    if (!status && fsync(fd))
        status = sl_error_set(error, SL_IO, "cannot write the copy %s: %s", *file, sl_errno_text(errno));
    if (fd >= 0) {
        close(fd);
        if (status)
            unlink(*file);
    }
    if (!status)
        return SL_OK;
    free(*file);
    *file = NULL;
    return status;
}

sl_status gw_db_upgrade(const char *data_directory, int *from, char **backup, sl_error *error)
{
    sqlite3 *db = NULL;
    int64_t version = SCHEMA_VERSION;
    *backup = NULL;
    sl_status status = gw_data_directory_ensure(data_directory, error);
    if (!status)
        status = open_file(sl_printf("%s/catalogs.db", data_directory), &db, error);
    if (!status) {
        status = version_of(db, &version, error);
        if (!status && version > 0 && version < SCHEMA_VERSION)
            status = gw_db_back_up(db, data_directory, "catalogs.db", version, backup, error);
        if (!status && version < SCHEMA_VERSION)
            status = take_steps(db, error);
        if (status)
            sl_error_prefix(error, "%s/catalogs.db", data_directory);
    }
    if (status && *backup) { /* nothing was changed, and a next try makes its own */
        unlink(*backup);
        free(*backup);
        *backup = NULL;
    }
    *from = (int)version;
    sqlite3_close(db);
    return status;
}

/* The head of an SQLite file; what lies in its journal yet is not seen. */
enum { HEAD_SIZE = 100, HEAD_VERSION = 60 };

int64_t gw_db_known_version(void)
{
    return SCHEMA_VERSION;
}

sl_status gw_db_look(const char *data_directory, const char *name, int64_t *version, sl_error *error)
{
    unsigned char head[HEAD_SIZE];
    *version = 0;
    char *file = sl_printf("%s/%s", data_directory, name);
    if (!file)
        return sl_error_oom(error);
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t size = fd >= 0 ? read(fd, head, sizeof head) : -1;
    sl_status status = SL_OK;
    if (size < 0 && errno != ENOENT)
        status = sl_error_set(error, SL_IO, "%s: %s", file, sl_errno_text(errno));
    else if (size > 0 && (size < HEAD_SIZE || memcmp(head, "SQLite format 3", 16) != 0))
        status = sl_error_set(
            error, SL_IO,
            "%s: it is no SQLite file: put a copy from a backup in its place (docs/operations.md, "
            "\"Backup and restore\")",
            file);
    else if (size > 0)
        *version = (int64_t)head[HEAD_VERSION] << 24 | head[HEAD_VERSION + 1] << 16 |
                   head[HEAD_VERSION + 2] << 8 | head[HEAD_VERSION + 3];
    if (fd >= 0)
        close(fd);
    free(file);
    return status;
}

/* What a gateway uses is not changed under it. */
static sl_status upgrade_unused(const char *data_directory, sl_error *error)
{
    char *file = sl_printf("%s/gateway.lock", data_directory);
    if (!file)
        return sl_error_oom(error);
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600), from;
    char *backup = NULL;
    sl_status status;
    if (fd < 0)
        status = sl_error_set(error, SL_IO, "cannot open %s: %s", file, sl_errno_text(errno));
    else if (flock(fd, LOCK_EX | LOCK_NB))
        status = sl_error_set(error, SL_CONFLICT,
                              "%s: an older version's gateway is running on it: stop that, and start this "
                              "version's gateway first",
                              data_directory);
    else
        status = gw_db_upgrade(data_directory, &from, &backup, error);
    free(backup);
    free(file);
    if (fd >= 0)
        close(fd);
    return status;
}

sl_status gw_db_open(const char *data_directory, sqlite3 **db, sl_error *error)
{
    int64_t version;
    *db = NULL;
    sl_status status = gw_data_directory_ensure(data_directory, error);
    if (!status)
        status = open_file(sl_printf("%s/catalogs.db", data_directory), db, error);
    if (!status && (status = version_of(*db, &version, error)))
        sl_error_prefix(error, "%s/catalogs.db", data_directory);
    if (!status && !version && (status = take_steps(*db, error)))
        sl_error_prefix(error, "%s/catalogs.db", data_directory);
    else if (!status && version && version < SCHEMA_VERSION)
        status = upgrade_unused(data_directory, error);
    if (status) {
        sqlite3_close(*db);
        *db = NULL;
    }
    return status;
}

static sl_status run(sqlite3 *db, sqlite3_stmt *statement, gw_db_row row, void *opaque, sl_error *error)
{
    for (;;) {
        int code = sqlite3_step(statement);
        if (code == SQLITE_DONE)
            return SL_OK;
        if (code != SQLITE_ROW)
            return gw_db_failure(db, error);
        if (row && !row(opaque, statement))
            return SL_OK;
    }
}

sl_status gw_db_run(sqlite3 *db, const char *sql, gw_db_row row, void *opaque, int *changed, sl_error *error,
                    const char *formats, ...)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL))
        return gw_db_failure(db, error);
    va_list arguments;
    va_start(arguments, formats);
    int code = SQLITE_OK;
    for (int i = 0; formats[i] && !code; i++)
        code = formats[i] == 's' ? sqlite3_bind_text(statement, i + 1, va_arg(arguments, const char *), -1,
                                                     SQLITE_TRANSIENT)
                                 : sqlite3_bind_int64(statement, i + 1, va_arg(arguments, int64_t));
    va_end(arguments);
    sl_status status = code ? gw_db_failure(db, error) : run(db, statement, row, opaque, error);
    if (!status && changed)
        *changed = sqlite3_changes(db);
    sqlite3_finalize(statement);
    return status;
}

bool gw_db_read_number(void *opaque, sqlite3_stmt *row)
{
    *(int64_t *)opaque = sqlite3_column_int64(row, 0);
    return false;
}

const char *gw_db_text(sqlite3_stmt *row, int column)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    return text ? (const char *)text : "";
}
