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
    sl_status status =
        gw_db_run(applications->db, "SELECT id, key_id, key_secret FROM applications WHERE key_id = ?",
                  read_application, application, NULL, error, "s", key_id);
    pthread_mutex_unlock(&applications->lock);
    if (!status && !*application->id)
        status = sl_error_set(error, SL_NOT_FOUND, "no application has the access key id \"%.64s\"", key_id);
    return status;
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
    sl_status status = gw_db_run(applications->db,
                                 "INSERT INTO applications (id, name, key_id, key_secret, created_ms) "
                                 "VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
                                 NULL, NULL, NULL, error, "ssssi", made.id, name, made.key_id,
                                 made.key_secret, sl_wall_ms());
    if (!status)
        status = gw_db_run(applications->db, "SELECT id, key_id, key_secret FROM applications WHERE name = ?",
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
