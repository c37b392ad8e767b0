#include "gateway/store/applications.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/store/db.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 1000 /* bytes of an issuer or a subject */

struct gw_applications {
    pthread_mutex_t lock; /* one call at a time: SQLite tells of errors by connection */
    sqlite3 *db;
    int64_t version; /* SQLite's data_version, as of the last gw_applications_changed */
};

/* Opening */

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

sl_status gw_applications_changed(struct gw_applications *applications, bool *changed, sl_error *error)
{
    int64_t version = 0;
    pthread_mutex_lock(&applications->lock);
    sl_status status =
        gw_db_run(applications->db, "PRAGMA data_version", gw_db_read_number, &version, NULL, error, "");
    *changed = !status && version != applications->version;
    if (!status)
        applications->version = version;
    pthread_mutex_unlock(&applications->lock);
    return status;
}

/* Transactions: under the lock. */

static sl_status begin(struct gw_applications *applications, sl_error *error)
{
    pthread_mutex_lock(&applications->lock);
    sl_status status = gw_db_run(applications->db, "BEGIN IMMEDIATE", NULL, NULL, NULL, error, "");
    if (status)
        pthread_mutex_unlock(&applications->lock);
    return status;
}

/* Commits, or, where something has failed, undoes. */
static sl_status end(struct gw_applications *applications, sl_status status, sl_error *error)
{
    if (!status)
        status = gw_db_run(applications->db, "COMMIT", NULL, NULL, NULL, error, "");
    if (status)
        gw_db_run(applications->db, "ROLLBACK", NULL, NULL, NULL, NULL, "");
    pthread_mutex_unlock(&applications->lock);
    return status;
}

static bool read_id(void *opaque, sqlite3_stmt *row)
{
    char *id = opaque;
    snprintf(id, GW_APPLICATION_ID_SIZE, "%s", gw_db_text(row, 0));
    return false;
}

/* No name looks like an id: what is found is what was meant. */
sl_status gw_application_resolve(sqlite3 *db, const char *named, char id[GW_APPLICATION_ID_SIZE],
                                 sl_error *error)
{
    *id = '\0';
    sl_status status = gw_db_run(db, "SELECT id FROM applications WHERE id = ?1 OR name = ?1", read_id, id,
                                 NULL, error, "s", named);
    if (!status && !*id)
        status = sl_error_set(error, SL_NOT_FOUND, "there is no application \"%.100s\"", named);
    return status;
}

/* The same, and nothing else is in *application. */
static sl_status resolve(struct gw_applications *applications, const char *named,
                         struct gw_application *application, sl_error *error)
{
    memset(application, 0, sizeof *application);
    return gw_application_resolve(applications->db, named, application->id, error);
}

/* Making */

static sl_status check_text(const char *what, const char *text, sl_error *error)
{
    size_t size = strlen(text);
    if (!size || size > TEXT_MAX)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "\"%s\" must have 1 to %d bytes", what, TEXT_MAX);
    return SL_OK;
}

static sl_status check_spec(const struct gw_application_spec *spec, sl_error *error)
{
    if (!spec->name || !sl_is_token_text(spec->name, 64))
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "an application's name is 1 to 64 printable ASCII characters without spaces");
    if (strlen(spec->name) == GW_APPLICATION_ID_DIGITS &&
        strspn(spec->name, "0123456789abcdef") == GW_APPLICATION_ID_DIGITS)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "the name \"%s\" looks like an application's id: choose another", spec->name);
    if (!spec->issuer != !spec->subject)
        return sl_error_set(
            error, SL_INVALID_ARGUMENT,
            "\"issuer\" and \"subject\" belong together: who makes the application's tokens, and "
            "what they call it");
    if (spec->subject && !strcmp(spec->subject, "*"))
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "\"subject\" must not be *: to Kafka that is everybody");
    sl_status status = spec->issuer ? check_text("issuer", spec->issuer, error) : SL_OK;
    return status || !spec->subject ? status : check_text("subject", spec->subject, error);
}

static sl_status add_key(struct gw_applications *applications, struct gw_application *application,
                         sl_error *error)
{
    if (!sl_random_hex(application->key_id, 22) || !sl_random_hex(application->key_secret, 64))
        return sl_error_set(error, SL_INTERNAL, "the system's random source failed");
    return gw_db_run(applications->db,
                     "INSERT INTO keys (key_id, application, secret, created_ms) VALUES (?, ?, ?, ?)", NULL,
                     NULL, NULL, error, "sssi", application->key_id, application->id, application->key_secret,
                     sl_wall_ms());
}

static sl_status grant_catalog(struct gw_applications *applications, const char *id, const char *hrn,
                               unsigned add, unsigned remove, const char *granted_by, sl_error *error)
{
    add &= SL_RIGHTS_CATALOG;
    remove &= SL_RIGHTS_CATALOG;
    sl_status status = SL_OK;
    if (remove & ~add)
        status = gw_db_run(applications->db,
                           "UPDATE grants SET rights = rights & ~?3 WHERE application = ?1 AND hrn = ?2",
                           NULL, NULL, NULL, error, "ssi", id, hrn, (int64_t)remove);
    if (!status && add)
        status = gw_db_run(applications->db,
                           "INSERT INTO grants (application, hrn, rights, granted_by, created_ms) "
                           "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (application, hrn) DO UPDATE "
                           "SET rights = rights | ?3, granted_by = ?4, created_ms = ?5",
                           NULL, NULL, NULL, error, "ssisi", id, hrn, (int64_t)add, granted_by, sl_wall_ms());
    return status ? status
                  : gw_db_run(applications->db,
                              "DELETE FROM grants WHERE application = ? AND hrn = ? AND rights = 0", NULL,
                              NULL, NULL, error, "ss", id, hrn);
}

/* In a transaction. */
static sl_status insert(struct gw_applications *applications, const struct gw_application_spec *spec,
                        struct gw_application *made, sl_error *error)
{
    int64_t now = sl_wall_ms();
    memset(made, 0, sizeof *made);
    if (!sl_random_hex(made->id, GW_APPLICATION_ID_DIGITS))
        return sl_error_set(error, SL_INTERNAL, "the system's random source failed");
    sl_status status = gw_db_run(applications->db,
                                 "INSERT INTO applications (id, name, issuer, subject, rights, created_ms) "
                                 "VALUES (?, ?, ?, ?, ?, ?)",
                                 NULL, NULL, NULL, error, "ssssii", made->id, spec->name, spec->issuer,
                                 spec->subject, (int64_t)(spec->rights & SL_RIGHTS_PLATFORM), now);
    if (status == SL_CONFLICT) {
        struct gw_application other;
        return resolve(applications, spec->name, &other, NULL)
                   ? sl_error_set(error, SL_CONFLICT,
                                  "another application has the issuer %s and the subject \"%s\"",
                                  spec->issuer, spec->subject)
                   : sl_error_set(error, SL_CONFLICT, "there is an application \"%s\" already", spec->name);
    }
    if (!status && !spec->issuer)
        status = add_key(applications, made, error);
    return status ? status
                  : grant_catalog(applications, made->id, GW_EVERY_CATALOG, spec->rights, 0, spec->granted_by,
                                  error);
}

sl_status gw_applications_create(struct gw_applications *applications, const struct gw_application_spec *spec,
                                 struct gw_application *made, sl_error *error)
{
    memset(made, 0, sizeof *made);
    sl_status status = check_spec(spec, error);
    if (!status)
        status = begin(applications, error);
    if (status)
        return status;
    status = insert(applications, spec, made, error);
    return end(applications, status, error);
}

static bool read_key(void *opaque, sqlite3_stmt *row)
{
    struct gw_application *application = opaque;
    snprintf(application->key_id, sizeof application->key_id, "%s", gw_db_text(row, 0));
    snprintf(application->key_secret, sizeof application->key_secret, "%s", gw_db_text(row, 1));
    return false;
}

sl_status gw_applications_ensure(struct gw_applications *applications, const struct gw_application_spec *spec,
                                 struct gw_application *application, sl_error *error)
{
    memset(application, 0, sizeof *application);
    sl_status status = check_spec(spec, error);
    if (!status) /* two programs may do this at once: the first makes it */
        status = begin(applications, error);
    if (status)
        return status;
    sl_error missing = {0};
    status = resolve(applications, spec->name, application, &missing);
    if (status == SL_NOT_FOUND) {
        status = insert(applications, spec, application, error);
    } else if (status) {
        if (error)
            *error = missing;
    } else {
        status = gw_db_run(applications->db,
                           "SELECT key_id, secret FROM keys WHERE application = ? AND "
                           "(expires_ms IS NULL OR expires_ms > ?) "
                           "ORDER BY expires_ms IS NOT NULL, created_ms DESC LIMIT 1",
                           read_key, application, NULL, error, "si", application->id, sl_wall_ms());
        if (!status && !*application->key_id)
            status = add_key(applications, application, error);
    }
    return end(applications, status, error);
}

/* By hand, on a data directory. */
sl_status gw_application_ensure(const char *data_directory, const char *name,
                                struct gw_application *application, sl_error *error)
{
    struct gw_applications *applications;
    const struct gw_application_spec spec = {.name = name, .rights = SL_RIGHTS_ALL};
    sl_status status = gw_applications_open(data_directory, &applications, error);
    if (!status)
        status = gw_applications_ensure(applications, &spec, application, error);
    gw_applications_close(&applications);
    return status;
}

/* Changing */

/* Whether somebody has the right admin beside the one with that id, if that one has it. */
static sl_status check_last(struct gw_applications *applications, const char *id, const char *named,
                            sl_error *error)
{
    int64_t others = 0, rights = 0;
    sl_status status = gw_db_run(applications->db, "SELECT rights FROM applications WHERE id = ?",
                                 gw_db_read_number, &rights, NULL, error, "s", id);
    if (!status)
        status = gw_db_run(applications->db,
                           "SELECT count(*) FROM applications WHERE id <> ? AND (rights & ?) <> 0",
                           gw_db_read_number, &others, NULL, error, "si", id, (int64_t)SL_RIGHT_ADMIN);
    if (!status && (unsigned)rights & SL_RIGHT_ADMIN && !others)
        status =
            sl_error_set(error, SL_CONFLICT,
                         "\"%.100s\" is the last application with the right admin: without it nobody could "
                         "make or delete applications over HTTP",
                         named);
    return status;
}

static sl_status delete_row(struct gw_applications *applications, const char *named, sl_error *error)
{
    struct gw_application application;
    sl_status status = resolve(applications, named, &application, error);
    if (!status)
        status = check_last(applications, application.id, named, error);
    if (!status)
        status = gw_db_run(applications->db, "DELETE FROM applications WHERE id = ?", NULL, NULL, NULL, error,
                           "s", application.id);
    return status;
}

sl_status gw_applications_delete(struct gw_applications *applications, const char *application,
                                 sl_error *error)
{
    sl_status status = begin(applications, error);
    return status ? status : end(applications, delete_row(applications, application, error), error);
}

/* A key of ours would be a second way in, which who ends it at its issuer does not know of. */
static sl_status check_has_keys(struct gw_applications *applications, const char *id, const char *named,
                                sl_error *error)
{
    int64_t outside = 0;
    sl_status status =
        gw_db_run(applications->db, "SELECT count(*) FROM applications WHERE id = ? AND issuer IS NOT NULL",
                  gw_db_read_number, &outside, NULL, error, "s", id);
    if (!status && outside)
        status =
            sl_error_set(error, SL_CONFLICT,
                         "\"%.100s\" has no keys here: its tokens come from an outside issuer, which keeps "
                         "its credentials",
                         named);
    return status;
}

static sl_status rotate(struct gw_applications *applications, const char *named, int64_t grace_ms,
                        struct gw_application *made, sl_error *error)
{
    int64_t now = sl_wall_ms(), keys = 0;
    sl_status status = resolve(applications, named, made, error);
    if (!status)
        status = check_has_keys(applications, made->id, named, error);
    if (!status) /* what has ended goes, at last */
        status = gw_db_run(applications->db, "DELETE FROM keys WHERE application = ? AND expires_ms <= ?",
                           NULL, NULL, NULL, error, "si", made->id, now);
    if (!status)
        status = grace_ms ? gw_db_run(applications->db,
                                      "UPDATE keys SET expires_ms = min(coalesce(expires_ms, ?1), ?1) "
                                      "WHERE application = ?2",
                                      NULL, NULL, NULL, error, "is", now + grace_ms, made->id)
                          : gw_db_run(applications->db, "DELETE FROM keys WHERE application = ?", NULL, NULL,
                                      NULL, error, "s", made->id);
    if (!status)
        status = gw_db_run(applications->db, "SELECT count(*) FROM keys WHERE application = ?",
                           gw_db_read_number, &keys, NULL, error, "s", made->id);
    if (!status && keys >= GW_KEYS_MAX)
        status = sl_error_set(error, SL_TOO_LARGE,
                              "\"%.100s\" has %lld keys that have not ended yet, as many as there may be",
                              named, (long long)keys);
    return status ? status : add_key(applications, made, error);
}

sl_status gw_applications_rotate(struct gw_applications *applications, const char *application,
                                 int64_t grace_ms, struct gw_application *made, sl_error *error)
{
    memset(made, 0, sizeof *made);
    if (grace_ms < 0 || grace_ms > GW_GRACE_MAX_MS)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "the grace must be 0 to %lld ms", GW_GRACE_MAX_MS);
    sl_status status = begin(applications, error);
    return status ? status
                  : end(applications, rotate(applications, application, grace_ms, made, error), error);
}

/* In a transaction, as what follows. */
static sl_status grant_platform(struct gw_applications *applications, const char *id, const char *named,
                                unsigned add, unsigned remove, sl_error *error)
{
    sl_status status = remove & ~add & SL_RIGHT_ADMIN ? check_last(applications, id, named, error) : SL_OK;
    return status ? status
                  : gw_db_run(applications->db,
                              "UPDATE applications SET rights = (rights & ~?2) | ?3 WHERE id = ?1", NULL,
                              NULL, NULL, error, "sii", id, (int64_t)(remove & SL_RIGHTS_PLATFORM),
                              (int64_t)(add & SL_RIGHTS_PLATFORM));
}

static sl_status grant(struct gw_applications *applications, const char *named, const char *hrn, unsigned add,
                       unsigned remove, const char *granted_by, sl_error *error)
{
    struct gw_application application;
    bool all = !strcmp(hrn, GW_EVERY_CATALOG);
    int64_t exists = all;
    sl_status status = SL_OK;
    if (!all) /* in the same transaction: a grant must not wait for a catalog that is made later */
        status = gw_db_run(applications->db, "SELECT 1 FROM catalogs WHERE hrn = ? AND state = 1",
                           gw_db_read_number, &exists, NULL, error, "s", hrn);
    if (!status && !exists)
        status = sl_error_set(error, SL_UNSUPPORTED, "there is no catalog %.300s", hrn);
    if (!status)
        status = resolve(applications, named, &application, error);
    if (!status && all)
        status = grant_platform(applications, application.id, named, add, remove, error);
    return status ? status : grant_catalog(applications, application.id, hrn, add, remove, granted_by, error);
}

sl_status gw_applications_grant(struct gw_applications *applications, const char *application,
                                const char *hrn, unsigned add, unsigned remove, const char *granted_by,
                                sl_error *error)
{
    sl_status status = begin(applications, error);
    return status ? status
                  : end(applications, grant(applications, application, hrn, add, remove, granted_by, error),
                        error);
}

/* Showing */

/* NULL for a text that is null. */
static const char *text_or_null(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL ? NULL : gw_db_text(row, column);
}

/* Adds a member that may be absent (value NULL and not wanted). False: no memory. */
static bool set_time(json_t *object, const char *name, sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL ||
           !json_object_set_new(object, name, json_integer(sqlite3_column_int64(row, column)));
}

/* Rights on every catalog and on the platform are one thing to see. */
#define APPLICATIONS                                                                                         \
    "SELECT a.id, a.name, a.issuer, a.subject, a.rights | coalesce(g.rights, 0), a.created_ms "              \
    "FROM applications a LEFT JOIN grants g ON g.application = a.id AND g.hrn = '*' "
/* ?1: the HRN, ?2: the rights to be seen, ?3: an application's id, or null. */
#define GRANTS                                                                                               \
    "SELECT ?1, (iif(?1 = '*', a.rights, 0) | coalesce(g.rights, 0)) & ?2 AS seen, g.granted_by, "           \
    "coalesce(g.created_ms, a.created_ms), a.id, a.name "                                                    \
    "FROM applications a LEFT JOIN grants g ON g.application = a.id AND g.hrn = ?1 "

struct listing {
    json_t *items;
    size_t limit;
    bool more, failed;
};

static bool list_application(void *opaque, sqlite3_stmt *row)
{
    struct listing *listing = opaque;
    if (json_array_size(listing->items) == listing->limit) {
        listing->more = true;
        return false;
    }
    json_t *item =
        json_pack("{s:s, s:s, s:s*, s:s*, s:o, s:I}", "id", gw_db_text(row, 0), "name", gw_db_text(row, 1),
                  "issuer", text_or_null(row, 2), "subject", text_or_null(row, 3), "rights",
                  sl_rights_json((unsigned)sqlite3_column_int(row, 4)), "created",
                  (json_int_t)sqlite3_column_int64(row, 5));
    listing->failed = json_array_append_new(listing->items, item) != 0;
    return !listing->failed;
}

static bool list_key(void *opaque, sqlite3_stmt *row)
{
    struct listing *listing = opaque;
    json_t *item = json_pack("{s:s, s:I}", "accessKeyId", gw_db_text(row, 0), "created",
                             (json_int_t)sqlite3_column_int64(row, 1));
    listing->failed = !set_time(item, "expires", row, 2);
    listing->failed |= json_array_append_new(listing->items, item) != 0;
    return !listing->failed;
}

static bool list_grant(void *opaque, sqlite3_stmt *row)
{
    struct listing *listing = opaque;
    json_t *item = json_pack("{s:s, s:o, s:s*, s:I}", "hrn", gw_db_text(row, 0), "rights",
                             sl_rights_json((unsigned)sqlite3_column_int(row, 1)), "grantedBy",
                             text_or_null(row, 2), "created", (json_int_t)sqlite3_column_int64(row, 3));
    if (sqlite3_column_count(row) > 4) /* of all applications */
        listing->failed = json_object_set_new(item, "application", json_string(gw_db_text(row, 4))) ||
                          json_object_set_new(item, "name", json_string(gw_db_text(row, 5)));
    listing->failed |= json_array_append_new(listing->items, item) != 0;
    return !listing->failed;
}

static sl_status describe(struct gw_applications *applications, const char *named, json_t **value,
                          sl_error *error)
{
    struct gw_application application;
    struct listing found = {.items = json_array(), .limit = 1}, keys = {.items = json_array()},
                   grants = {.items = json_array()};
    sl_status status = found.items && keys.items && grants.items ? SL_OK : sl_error_oom(error);
    if (!status)
        status = resolve(applications, named, &application, error);
    if (!status)
        status = gw_db_run(applications->db, APPLICATIONS "WHERE a.id = ?", list_application, &found, NULL,
                           error, "s", application.id);
    if (!status)
        status = gw_db_run(applications->db,
                           "SELECT key_id, created_ms, expires_ms FROM keys WHERE application = ? AND "
                           "(expires_ms IS NULL OR expires_ms > ?) ORDER BY created_ms, key_id",
                           list_key, &keys, NULL, error, "si", application.id, sl_wall_ms());
    if (!status)
        status = gw_db_run(applications->db,
                           "SELECT hrn, rights, granted_by, created_ms FROM grants WHERE application = ? "
                           "AND hrn <> '*' ORDER BY hrn",
                           list_grant, &grants, NULL, error, "s", application.id);
    json_t *one = status ? NULL : json_array_get(found.items, 0);
    if (!status && (found.failed || keys.failed || grants.failed ||
                    json_object_set(one, "keys", keys.items) || json_object_set(one, "grants", grants.items)))
        status = sl_error_oom(error);
    *value = status ? NULL : json_incref(one);
    json_decref(found.items);
    json_decref(keys.items);
    json_decref(grants.items);
    return status;
}

sl_status gw_applications_json(struct gw_applications *applications, const char *application, json_t **value,
                               sl_error *error)
{
    *value = NULL;
    sl_status status = begin(applications, error);
    return status ? status : end(applications, describe(applications, application, value, error), error);
}

sl_status gw_applications_list_json(struct gw_applications *applications, const char *after, size_t limit,
                                    json_t **items, char **next, sl_error *error)
{
    struct listing listing = {.items = json_array(), .limit = limit};
    *items = NULL;
    *next = NULL;
    if (!listing.items)
        return sl_error_oom(error);
    pthread_mutex_lock(&applications->lock);
    sl_status status = gw_db_run(applications->db, APPLICATIONS "WHERE a.name > ? ORDER BY a.name",
                                 list_application, &listing, NULL, error, "s", after ? after : "");
    pthread_mutex_unlock(&applications->lock);
    if (!status && listing.more) {
        const json_t *last = json_array_get(listing.items, limit - 1);
        *next = sl_strdup(json_string_value(json_object_get(last, "name")));
        listing.failed |= !*next;
    }
    if (!status && listing.failed)
        status = sl_error_oom(error);
    if (status)
        json_decref(listing.items);
    else
        *items = listing.items;
    return status;
}

static sl_status list_grants(struct gw_applications *applications, const char *hrn, unsigned seen,
                             struct listing *listing, sl_error *error)
{
    return gw_db_run(applications->db, GRANTS "WHERE seen <> 0 ORDER BY a.name", list_grant, listing, NULL,
                     error, "si", hrn, (int64_t)seen);
}

sl_status gw_applications_grants_json(struct gw_applications *applications, const char *hrn, json_t **items,
                                      sl_error *error)
{
    struct listing listing = {.items = json_array()};
    bool all = !strcmp(hrn, GW_EVERY_CATALOG);
    *items = NULL;
    if (!listing.items)
        return sl_error_oom(error);
    pthread_mutex_lock(&applications->lock);
    sl_status status =
        list_grants(applications, hrn, all ? SL_RIGHTS_ALL : SL_RIGHTS_CATALOG, &listing, error);
    if (!status && !all)
        status = list_grants(applications, GW_EVERY_CATALOG, SL_RIGHTS_CATALOG, &listing, error);
    pthread_mutex_unlock(&applications->lock);
    if (!status && listing.failed)
        status = sl_error_oom(error);
    if (status)
        json_decref(listing.items);
    else
        *items = listing.items;
    return status;
}

static sl_status describe_grant(struct gw_applications *applications, const char *named, const char *hrn,
                                json_t **value, sl_error *error)
{
    struct gw_application application;
    struct listing listing = {.items = json_array()};
    sl_status status =
        listing.items ? resolve(applications, named, &application, error) : sl_error_oom(error);
    if (!status)
        status = gw_db_run(applications->db, GRANTS "WHERE a.id = ?3", list_grant, &listing, NULL, error,
                           "sis", hrn, (int64_t)SL_RIGHTS_ALL, application.id);
    if (!status && (listing.failed || !json_array_size(listing.items)))
        status = sl_error_oom(error);
    *value = status ? NULL : json_incref(json_array_get(listing.items, 0));
    json_decref(listing.items);
    return status;
}

sl_status gw_applications_grant_json(struct gw_applications *applications, const char *application,
                                     const char *hrn, json_t **value, sl_error *error)
{
    *value = NULL;
    sl_status status = begin(applications, error);
    return status ? status
                  : end(applications, describe_grant(applications, application, hrn, value, error), error);
}

/* Reading it whole */

struct visit {
    const struct gw_applications_visitor *visitor;
    bool failed;
};

static bool visit_grant(void *opaque, sqlite3_stmt *row)
{
    struct visit *visit = opaque;
    visit->failed = !visit->visitor->grant(visit->visitor->opaque, gw_db_text(row, 0), gw_db_text(row, 1),
                                           text_or_null(row, 2), text_or_null(row, 3),
                                           (unsigned)sqlite3_column_int(row, 4), text_or_null(row, 5),
                                           (unsigned)sqlite3_column_int(row, 6));
    return !visit->failed;
}

static bool visit_key(void *opaque, sqlite3_stmt *row)
{
    struct visit *visit = opaque;
    int64_t expires = sqlite3_column_type(row, 2) == SQLITE_NULL ? INT64_MAX : sqlite3_column_int64(row, 2);
    visit->failed = !visit->visitor->key(visit->visitor->opaque, gw_db_text(row, 0), gw_db_text(row, 1),
                                         expires, gw_db_text(row, 3));
    return !visit->failed;
}

sl_status gw_applications_visit(struct gw_applications *applications,
                                const struct gw_applications_visitor *visitor, sl_error *error)
{
    struct visit visit = {.visitor = visitor};
    pthread_mutex_lock(&applications->lock);
    sl_status status = gw_db_run(applications->db, "BEGIN", NULL, NULL, NULL, error, "");
    if (!status)
        status = gw_db_run(applications->db,
                           "SELECT a.id, a.name, a.issuer, a.subject, a.rights, g.hrn, g.rights "
                           "FROM applications a LEFT JOIN grants g ON g.application = a.id "
                           "ORDER BY a.id, g.hrn",
                           visit_grant, &visit, NULL, error, "");
    if (!status && !visit.failed)
        status = gw_db_run(applications->db,
                           "SELECT key_id, secret, expires_ms, application FROM keys ORDER BY key_id",
                           visit_key, &visit, NULL, error, "");
    if (!status && visit.failed)
        status = sl_error_oom(error);
    return end(applications, status, error);
}
