/*
 * Applications, their keys and their grants, as the data directory's SQLite file has them. What requests ask
 * is answered from memory (store/access.h), which follows this file.
 *
 * Any thread; every call blocks on disk. Several programs may use one data directory at once. An application
 * is named by its id or by its name; errors of every call that names one: SL_NOT_FOUND. Others: SL_IO,
 * SL_OUT_OF_MEMORY, and as said.
 */
#ifndef GW_STORE_APPLICATIONS_H
#define GW_STORE_APPLICATIONS_H

#include "gateway/gateway.h"
#include "wire/rights.h"

#include <jansson.h>

#define GW_EVERY_CATALOG "*" /* a grant's HRN: catalogs to come, too */

struct gw_applications;
struct sqlite3;

#define GW_APPLICATION_ID_DIGITS 20 /* lower-case hex: an application's id */
#define GW_APPLICATION_ID_SIZE   sizeof((struct gw_application){0}.id) /* with its NUL */

/* The id of the application that is so named, of a connection to the data directory's SQLite file. */
sl_status gw_application_resolve(struct sqlite3 *db, const char *named, char id[GW_APPLICATION_ID_SIZE],
                                 sl_error *error);

sl_status gw_applications_open(const char *data_directory, struct gw_applications **out, sl_error *error);
void gw_applications_close(struct gw_applications **applications);

struct gw_application_spec {
    const char *name; /* 1 to 64 printable ASCII characters without blanks */
    /* Who makes its tokens elsewhere, and what they call it there; both NULL: it has a key. */
    const char *issuer, *subject;
    unsigned rights;        /* on every catalog, and on the platform */
    const char *granted_by; /* an application's id; NULL: whoever may write the data directory */
};
/* An application with a key that has no end, unless its tokens come from elsewhere. Errors:
 * SL_INVALID_ARGUMENT; SL_CONFLICT when the name, or the issuer's subject, is taken. */
sl_status gw_applications_create(struct gw_applications *applications, const struct gw_application_spec *spec,
                                 struct gw_application *made, sl_error *error);
/* The same, or finds the one of that name, as it is, and its newest key. */
sl_status gw_applications_ensure(struct gw_applications *applications, const struct gw_application_spec *spec,
                                 struct gw_application *application, sl_error *error);
/* With its keys and grants. Errors: SL_CONFLICT for the last one with the right admin. */
sl_status gw_applications_delete(struct gw_applications *applications, const char *application,
                                 sl_error *error);
/* A new key; the others end after grace_ms (0: now) where they would not sooner. Errors: SL_TOO_LARGE when it
 * has GW_KEYS_MAX. */
#define GW_KEYS_MAX     16
#define GW_GRACE_MAX_MS (366LL * 24 * 3600 * 1000)
sl_status gw_applications_rotate(struct gw_applications *applications, const char *application,
                                 int64_t grace_ms, struct gw_application *made, sl_error *error);

/* Takes the rights in remove from an application and gives those in add: on a catalog, or on every one and on
 * the platform (GW_EVERY_CATALOG). Errors: SL_UNSUPPORTED when there is no such catalog; SL_CONFLICT when
 * nobody would have the right admin any more. */
sl_status gw_applications_grant(struct gw_applications *applications, const char *application,
                                const char *hrn, unsigned add, unsigned remove, const char *granted_by,
                                sl_error *error);

/* One application as the API shows it, without secrets. Released by json_decref. */
sl_status gw_applications_json(struct gw_applications *applications, const char *application, json_t **value,
                               sl_error *error);
/* Up to limit of them in the order of their names, those after the name after (NULL: from the first). *next,
 * freed by the caller: the last one's name when there are more, else NULL. */
sl_status gw_applications_list_json(struct gw_applications *applications, const char *after, size_t limit,
                                    json_t **items, char **next, sl_error *error);
/* What an application may do on a catalog by itself, or on every one and on the platform:
 * {"application","name", "hrn","rights",…}, with the rights that there are. */
sl_status gw_applications_grant_json(struct gw_applications *applications, const char *application,
                                     const char *hrn, json_t **value, sl_error *error);
/* All grants on a catalog, those on every one among them; or the latter alone, with the platform's rights. */
sl_status gw_applications_grants_json(struct gw_applications *applications, const char *hrn, json_t **items,
                                      sl_error *error);

/* All of it at one moment: each application with its grants one by one (hrn NULL: it has none), in the order
 * of ids and HRNs, then the keys. Strings are good for the call. False from a visit: out of memory. */
struct gw_applications_visitor {
    bool (*grant)(void *opaque, const char *id, const char *name, const char *issuer, const char *subject,
                  unsigned rights, const char *hrn, unsigned granted);
    bool (*key)(void *opaque, const char *key_id, const char *secret, int64_t expires_ms, const char *id);
    void *opaque;
};
sl_status gw_applications_visit(struct gw_applications *applications,
                                const struct gw_applications_visitor *visitor, sl_error *error);
/* Whether anybody else, in this process or another, has changed the file since this was asked last. */
sl_status gw_applications_changed(struct gw_applications *applications, bool *changed, sl_error *error);

#endif
