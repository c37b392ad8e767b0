#include "gateway/store/nonces.h"

#include "base/error.h"
#include "base/text.h"
#include "gateway/store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct gw_nonces {
    pthread_mutex_t lock;
    sqlite3 *db;
    sqlite3_stmt *insert;
    int64_t count;
};

static const char prepare[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                              "CREATE TABLE IF NOT EXISTS nonces (digest BLOB PRIMARY KEY, until_ms INTEGER "
                              "NOT NULL) STRICT, WITHOUT ROWID;"
                              "CREATE INDEX IF NOT EXISTS nonces_until ON nonces (until_ms);";

static sl_status failure(const struct gw_nonces *nonces, sl_error *error)
{
    sl_status status = gw_db_failure(nonces->db, error);
    sl_error_prefix(error, "the store of nonces");
    return status;
}

/* The lock is held. */
static sl_status prune(struct gw_nonces *nonces, int64_t now_ms, sl_error *error)
{
    int gone = 0;
    sl_status status = gw_db_run(nonces->db, "DELETE FROM nonces WHERE until_ms <= ?", NULL, NULL, &gone,
                                 error, "i", now_ms);
    nonces->count -= gone;
    return status;
}

static sl_status open_file(struct gw_nonces *nonces, const char *file, int64_t now_ms, sl_error *error)
{
    /* SQLite gives its side files the mode that the main file has; see db.c for why only a new one is opened.
     */
    int fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST)
        return sl_error_set(error, SL_IO, "%s: %s", file, sl_errno_text(errno));
    if (fd >= 0)
        close(fd);
    if (sqlite3_open_v2(file, &nonces->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL))
        return sl_error_set(error, SL_IO, "cannot open %s: %s", file, sqlite3_errmsg(nonces->db));
    sqlite3_busy_timeout(nonces->db, 10000);
    if (sqlite3_exec(nonces->db, prepare, NULL, NULL, NULL) ||
        sqlite3_prepare_v2(nonces->db, "INSERT INTO nonces VALUES (?, ?) ON CONFLICT DO NOTHING", -1,
                           &nonces->insert, NULL) ||
        gw_db_run(nonces->db, "SELECT count(*) FROM nonces", gw_db_read_number, &nonces->count, NULL, NULL,
                  "") ||
        prune(nonces, now_ms, NULL))
        return sl_error_set(error, SL_IO,
                            "%s: SQLite: %s; it holds nothing but the signed token requests of the last ten "
                            "minutes: after that long a standstill it may be removed",
                            file, sqlite3_errmsg(nonces->db));
    return SL_OK;
}

sl_status gw_nonces_open(const char *data_directory, int64_t now_ms, struct gw_nonces **out, sl_error *error)
{
    struct gw_nonces *nonces = calloc(1, sizeof *nonces);
    char *file = sl_printf("%s/nonces.db", data_directory);
    *out = nonces;
    if (nonces)
        pthread_mutex_init(&nonces->lock, NULL);
    sl_status status = nonces && file ? open_file(nonces, file, now_ms, error) : sl_error_oom(error);
    free(file);
    if (status)
        gw_nonces_close(out);
    return status;
}

void gw_nonces_close(struct gw_nonces **nonces)
{
    if (!*nonces)
        return;
    sqlite3_finalize((*nonces)->insert);
    sqlite3_close((*nonces)->db);
    pthread_mutex_destroy(&(*nonces)->lock);
    free(*nonces);
    *nonces = NULL;
}

/* The lock is held. *fresh: it was not there. */
static sl_status insert(struct gw_nonces *nonces, const unsigned char *digest, int64_t until_ms, bool *fresh,
                        sl_error *error)
{
    sqlite3_reset(nonces->insert);
    if (sqlite3_bind_blob(nonces->insert, 1, digest, GW_NONCE_DIGEST, SQLITE_TRANSIENT) ||
        sqlite3_bind_int64(nonces->insert, 2, until_ms))
        return failure(nonces, error);
    bool done = sqlite3_step(nonces->insert) == SQLITE_DONE;
    sl_status status = done ? SL_OK : failure(nonces, error);
    *fresh = done && sqlite3_changes(nonces->db) == 1;
    sqlite3_reset(nonces->insert);
    return status;
}

sl_status gw_nonces_remember(struct gw_nonces *nonces, const unsigned char digest[GW_NONCE_DIGEST],
                             int64_t until_ms, sl_error *error)
{
    bool fresh = false;
    pthread_mutex_lock(&nonces->lock);
    sl_status status = SL_OK;
    if (nonces->count >= GW_NONCES_MAX)
        status = sl_error_set_retriable(error, SL_THROTTLED, "too many tokens are being asked for");
    else
        status = insert(nonces, digest, until_ms, &fresh, error);
    nonces->count += fresh;
    pthread_mutex_unlock(&nonces->lock);
    if (!status && !fresh)
        status = sl_error_set(error, SL_CONFLICT, "it was used before");
    return status;
}

sl_status gw_nonces_prune(struct gw_nonces *nonces, int64_t now_ms, sl_error *error)
{
    pthread_mutex_lock(&nonces->lock);
    sl_status status = prune(nonces, now_ms, error);
    pthread_mutex_unlock(&nonces->lock);
    return status;
}
