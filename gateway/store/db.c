#include "gateway/store/db.h"

#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_VERSION 1

/* state: 0 being made, 1 live, 2 condemned: what is not live is cleaned up after a crash. */
static const char schema[] =
    "CREATE TABLE catalogs (hrn TEXT PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL,"
    " marketplace INTEGER NOT NULL, state INTEGER NOT NULL, created_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE layers (hrn TEXT NOT NULL REFERENCES catalogs (hrn), id TEXT NOT NULL, name TEXT NOT NULL,"
    " topic TEXT NOT NULL UNIQUE, content_type TEXT NOT NULL, content_encoding TEXT,"
    " parallelization INTEGER NOT NULL, in_kbps INTEGER NOT NULL, out_kbps INTEGER NOT NULL,"
    " ttl_ms INTEGER NOT NULL, state INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    " PRIMARY KEY (hrn, id)) STRICT;"
    "CREATE TABLE applications (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, key_id TEXT NOT NULL UNIQUE,"
    " key_secret TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT;"
    "PRAGMA user_version = 1;";

sl_status gw_data_directory_ensure(const char *data_directory, sl_error *error)
{
    if (!data_directory || !*data_directory)
        return sl_error_set(
            error, SL_BAD_CONFIG,
            "no data directory: set streamlayer.gateway.data-directory to where the gateway is "
            "to keep its catalogs");
    char *path = strdup(data_directory);
    if (!path)
        return sl_error_oom(error);
    bool made = true;
    for (char *c = path + 1; made && *c; c++) { /* its parents, too */
        if (*c != '/')
            continue;
        *c = 0;
        made = !mkdir(path, 0700) || errno == EEXIST;
        *c = '/';
    }
    made = made && (!mkdir(path, 0700) || errno == EEXIST);
    int reason = errno;
    struct stat info;
    if (made && (stat(path, &info) || !S_ISDIR(info.st_mode))) {
        made = false;
        reason = ENOTDIR;
    }
    free(path);
    return made ? SL_OK
                : sl_error_set(error, SL_IO, "cannot make the data directory %s: %s", data_directory,
                               sl_errno_text(reason));
}

static bool read_version(void *opaque, sqlite3_stmt *row)
{
    *(int64_t *)opaque = sqlite3_column_int64(row, 0);
    return false;
}

static sl_status exec(sqlite3 *db, const char *sql, sl_error *error)
{
    char *text = NULL;
    int code = sqlite3_exec(db, sql, NULL, NULL, &text);
    sl_status status =
        code ? sl_error_set(error, SL_IO, "SQLite: %s", text ? text : sqlite3_errstr(code)) : SL_OK;
    sqlite3_free(text);
    return status;
}

static sl_status prepare(sqlite3 *db, sl_error *error)
{
    sqlite3_busy_timeout(db, 10000);
    int64_t version = -1;
    sl_status status =
        exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON", error);
    /* Within a transaction: another program may be making the tables right now. */
    if (!status)
        status = exec(db, "BEGIN IMMEDIATE", error);
    if (!status)
        status = gw_db_run(db, "PRAGMA user_version", read_version, &version, NULL, error, "");
    if (!status && version > SCHEMA_VERSION)
        return sl_error_set(
            error, SL_BAD_CONFIG,
            "it was written by a newer version (its schema is %lld, this one knows %d): use that version",
            (long long)version, SCHEMA_VERSION);
    if (!status && version == 0)
        status = exec(db, schema, error);
    return status ? status : exec(db, "COMMIT", error);
}

sl_status gw_db_open(const char *data_directory, sqlite3 **db, sl_error *error)
{
    *db = NULL;
    sl_status status = gw_data_directory_ensure(data_directory, error);
    if (status)
        return status;
    char *file = sl_printf("%s/catalogs.db", data_directory);
    if (!file)
        return sl_error_oom(error);
    /* SQLite gives its side files the mode that the main file has. A file that is there must not be opened
     * here: closing it would drop the locks that SQLite holds on it in this process (they are POSIX locks),
     * and then another program deletes the journal under us. */
    int fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST) {
        status = sl_error_set(error, SL_IO, "%s: %s", file, sl_errno_text(errno));
    } else {
        if (fd >= 0)
            close(fd);
        int code = sqlite3_open_v2(file, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL);
        if (code)
            status = sl_error_set(error, SL_IO, "%s: %s", file, sqlite3_errstr(code));
        else if ((status = prepare(*db, error)))
            sl_error_prefix(error, "%s", file);
    }
    if (status) {
        sqlite3_close(*db);
        *db = NULL;
    }
    free(file);
    return status;
}

static sl_status failure(sqlite3 *db, sl_error *error)
{
    int code = sqlite3_errcode(db);
    if (code == SQLITE_NOMEM)
        return sl_error_oom(error);
    return sl_error_set(error, code == SQLITE_CONSTRAINT ? SL_CONFLICT : SL_IO, "SQLite: %s",
                        sqlite3_errmsg(db));
}

static sl_status run(sqlite3 *db, sqlite3_stmt *statement, gw_db_row row, void *opaque, sl_error *error)
{
    for (;;) {
        int code = sqlite3_step(statement);
        if (code == SQLITE_DONE)
            return SL_OK;
        if (code != SQLITE_ROW)
            return failure(db, error);
        if (row && !row(opaque, statement))
            return SL_OK;
    }
}

sl_status gw_db_run(sqlite3 *db, const char *sql, gw_db_row row, void *opaque, int *changed, sl_error *error,
                    const char *formats, ...)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL))
        return failure(db, error);
    va_list arguments;
    va_start(arguments, formats);
    int code = SQLITE_OK;
    for (int i = 0; formats[i] && !code; i++)
        code = formats[i] == 's' ? sqlite3_bind_text(statement, i + 1, va_arg(arguments, const char *), -1,
                                                     SQLITE_TRANSIENT)
                                 : sqlite3_bind_int64(statement, i + 1, va_arg(arguments, int64_t));
    va_end(arguments);
    sl_status status = code ? failure(db, error) : run(db, statement, row, opaque, error);
    if (!status && changed)
        *changed = sqlite3_changes(db);
    sqlite3_finalize(statement);
    return status;
}

const char *gw_db_text(sqlite3_stmt *row, int column)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    return text ? (const char *)text : "";
}
