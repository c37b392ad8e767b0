#include "gateway/store/applications.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/store/db.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gw_applications {
    pthread_mutex_t lock; /* one call at a time: SQLite tells of errors by connection */
    sqlite3 *db;
};

sl_status gw_applications_open(const char *data_directory, struct gw_applications **out, sl_error *error)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return sl_error_oom(error);
    pthread_mutex_init(&(*out)->lock, NULL);
    sl_status status = gw_db_open(data_directory, &(*out)->db, error);
    if (status)
        gw_applications_close(out);
    return status;
}

void gw_applications_close(struct gw_applications **applications)
{
    if (!*applications)
        return;
    sqlite3_close((*applications)->db);
    pthread_mutex_destroy(&(*applications)->lock);
    free(*applications);
    *applications = NULL;
}

static bool read_application(void *opaque, sqlite3_stmt *row)
{
    struct gw_application *application = opaque;
    snprintf(application->id, sizeof application->id, "%s", gw_db_text(row, 0));
    snprintf(application->key_id, sizeof application->key_id, "%s", gw_db_text(row, 1));
    snprintf(application->key_secret, sizeof application->key_secret, "%s", gw_db_text(row, 2));
    return false;
}

sl_status gw_applications_find(struct gw_applications *applications, const char *key_id,
                               struct gw_application *application, sl_error *error)
{
    memset(application, 0, sizeof *application);
    pthread_mutex_lock(&applications->lock);
    sl_status status = gw_db_run(applications->db,
                                 "SELECT application, key_id, secret FROM keys "
                                 "WHERE key_id = ? AND (expires_ms IS NULL OR expires_ms > ?)",
                                 read_application, application, NULL, error, "si", key_id, sl_wall_ms());
    pthread_mutex_unlock(&applications->lock);
    if (!status && !*application->id)
        status = sl_error_set(error, SL_NOT_FOUND, "no application has the access key id \"%.64s\"", key_id);
    return status;
}

/* The application with a key, and all that there is granted; nothing when its name exists. */
static sl_status make(sqlite3 *db, const char *name, const struct gw_application *made, sl_error *error)
{
    int changed = 0;
    int64_t now = sl_wall_ms();
    sl_status status = gw_db_run(db,
                                 "INSERT INTO applications (id, name, rights, created_ms) "
                                 "VALUES (?, ?, 24, ?) ON CONFLICT (name) DO NOTHING",
                                 NULL, NULL, &changed, error, "ssi", made->id, name, now);
    if (status || !changed)
        return status;
    status = gw_db_run(db, "INSERT INTO keys (key_id, application, secret, created_ms) VALUES (?, ?, ?, ?)",
                       NULL, NULL, NULL, error, "sssi", made->key_id, made->id, made->key_secret, now);
    return status ? status
                  : gw_db_run(db,
                              "INSERT INTO grants (application, hrn, rights, created_ms) "
                              "VALUES (?, '*', 7, ?)",
                              NULL, NULL, NULL, error, "si", made->id, now);
}

sl_status gw_applications_ensure(struct gw_applications *applications, const char *name,
                                 struct gw_application *application, sl_error *error)
{
    struct gw_application made;
    memset(application, 0, sizeof *application);
    if (!sl_is_token_text(name, 64))
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "an application's name is 1 to 64 printable ASCII characters without spaces");
    if (!sl_random_hex(made.id, 20) || !sl_random_hex(made.key_id, 22) || !sl_random_hex(made.key_secret, 64))
        return sl_error_set(error, SL_INTERNAL, "the system's random source failed");
    pthread_mutex_lock(&applications->lock);
    /* Two programs may do this at once: the first makes it, both read what was made. */
    sl_status status = gw_db_run(applications->db, "BEGIN IMMEDIATE", NULL, NULL, NULL, error, "");
    if (!status) {
        status = make(applications->db, name, &made, error);
        if (!status)
            status = gw_db_run(applications->db, "COMMIT", NULL, NULL, NULL, error, "");
        if (status)
            gw_db_run(applications->db, "ROLLBACK", NULL, NULL, NULL, NULL, "");
    }
    if (!status)
        status = gw_db_run(applications->db,
                           "SELECT a.id, k.key_id, k.secret FROM applications a JOIN keys k "
                           "ON k.application = a.id WHERE a.name = ? AND k.expires_ms IS NULL "
                           "ORDER BY k.created_ms DESC LIMIT 1",
                           read_application, application, NULL, error, "s", name);
    pthread_mutex_unlock(&applications->lock);
    return status;
}

sl_status gw_application_ensure(const char *data_directory, const char *name,
                                struct gw_application *application, sl_error *error)
{
    struct gw_applications *applications;
    sl_status status = gw_applications_open(data_directory, &applications, error);
    if (!status)
        status = gw_applications_ensure(applications, name, application, error);
    gw_applications_close(&applications);
    return status;
}
