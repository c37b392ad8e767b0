/*
 * Applications of a platform, their keys, and what they may do: for administrators. Needs our extensions on
 * the platform, and the right admin; grants on a catalog also the right to manage that.
 *
 * An application is named by its id or its name. Rights are on one catalog, or on every catalog and the
 * platform itself (hrn "*"), where SL_RIGHT_CREATE and SL_RIGHT_ADMIN belong.
 *
 *   Errors of every call: SL_UNSUPPORTED (a platform without our extensions), SL_INVALID_ARGUMENT,
 *   SL_NOT_FOUND, SL_CONFLICT, SL_UNAUTHENTICATED, SL_FORBIDDEN, SL_UNAVAILABLE, SL_TIMED_OUT, SL_PROTOCOL,
 *   SL_OUT_OF_MEMORY.
 *   Threads: any; one returned object is used by one thread at a time.
 */
#ifndef STREAMLAYER_APPLICATION_H
#define STREAMLAYER_APPLICATION_H

#include <stddef.h>
#include <stdint.h>
#include <streamlayer/client.h>

SL_BEGIN_DECLS

typedef struct sl_application sl_application;           /* an application */
typedef struct sl_application_list sl_application_list; /* all of them */
typedef struct sl_grant_list sl_grant_list;             /* who may do what on a catalog */

/* What an application may do; several are added up with |. */
typedef enum sl_right {
    SL_RIGHT_READ = 1,   /* a catalog's layers */
    SL_RIGHT_WRITE = 2,  /* a catalog's layers */
    SL_RIGHT_MANAGE = 4, /* a catalog, its layers and its grants; neither read nor write messages */
    SL_RIGHT_CREATE = 8, /* catalogs */
    SL_RIGHT_ADMIN = 16  /* applications, and grants on everything */
} sl_right;

/* An application to make. */
typedef struct sl_application_spec {
    size_t struct_size;  /* sizeof(sl_application_spec): lets the struct grow */
    const char *name;    /* 1 to 64 printable ASCII characters without blanks */
    unsigned rights;     /* sl_right: on every catalog and on the platform; 0: none */
    const char *issuer;  /* an outside issuer that makes the application's tokens; NULL: it has a key */
    const char *subject; /* what that issuer calls it; NULL without one */
} sl_application_spec;

/* Makes an application. *application (may be NULL) has its key's secret, which is told this once. Released
 * with sl_application_destroy. Errors: SL_CONFLICT (the name is taken). */
SL_API sl_status sl_application_create(sl_client *client, const sl_application_spec *spec,
                                       sl_application **application, sl_error *error);
/* All applications, in the order of their names, without keys and grants. Released with
 * sl_application_list_destroy. */
SL_API SL_MUST_CHECK sl_status sl_application_list_get(sl_client *client, sl_application_list **list,
                                                       sl_error *error);
/* One of them, with its keys and grants. Released with sl_application_destroy. */
SL_API SL_MUST_CHECK sl_status sl_application_get(sl_client *client, const char *name,
                                                  sl_application **application, sl_error *error);
/* Deletes it with its keys and grants; its tokens are refused from now on, and what it does ends. Errors:
 * SL_CONFLICT (it is the last with the right admin). */
SL_API SL_MUST_CHECK sl_status sl_application_delete(sl_client *client, const char *name, sl_error *error);
/* Makes a new key; the others end after grace_ms milliseconds (0: now), those of a sooner end then.
 * *application (may be NULL) has the new key's secret, as after sl_application_create. */
SL_API sl_status sl_application_rotate(sl_client *client, const char *name, int64_t grace_ms,
                                       sl_application **application, sl_error *error);

/* Gives an application rights (sl_right) on a catalog, or on everything (hrn "*"), beside those that it has.
 */
SL_API SL_MUST_CHECK sl_status sl_grant_add(sl_client *client, const char *name, const char *hrn,
                                            unsigned rights, sl_error *error);
/* Takes rights (0: all) from it there. What it must not do any more ends. Errors: SL_CONFLICT (nobody would
 * have the right admin any more). */
SL_API SL_MUST_CHECK sl_status sl_grant_take(sl_client *client, const char *name, const char *hrn,
                                             unsigned rights, sl_error *error);
/* Who may do what on a catalog; those with rights on every catalog are among them. hrn "*": those alone.
 * Released with sl_grant_list_destroy. */
SL_API SL_MUST_CHECK sl_status sl_grant_list_get(sl_client *client, const char *hrn, sl_grant_list **list,
                                                 sl_error *error);

/* Release, and set the pointer to NULL; NULL is allowed. Secrets are overwritten. */
SL_API void sl_application_destroy(sl_application **application);
SL_API void sl_application_list_destroy(sl_application_list **list);
SL_API void sl_grant_list_destroy(sl_grant_list **list);

/* How many there are, and the one at index, the list's own; NULL when there is none. */
SL_API size_t sl_application_list_count(const sl_application_list *list);
SL_API const sl_application *sl_application_list_at(const sl_application_list *list, size_t index);

/* Texts are the application's own; NULL: it has none. */
SL_API const char *sl_application_id(const sl_application *application);
SL_API const char *sl_application_name(const sl_application *application);
SL_API const char *sl_application_issuer(const sl_application *application);
SL_API const char *sl_application_subject(const sl_application *application);
/* sl_right: on every catalog and on the platform. */
SL_API unsigned sl_application_rights(const sl_application *application);
/* The new key, and where it gets tokens, as credentials name them; NULL but after sl_application_create and
 * sl_application_rotate. */
SL_API const char *sl_application_key_id(const sl_application *application);
SL_API const char *sl_application_key_secret(const sl_application *application);
SL_API const char *sl_application_token_url(const sl_application *application);

/* A key, without its secret. */
typedef struct sl_application_key {
    size_t struct_size; /* sizeof(sl_application_key), set by the caller */
    const char *key_id; /* here.access.key.id */
    int64_t created_ms; /* milliseconds since 1970-01-01 UTC */
    int64_t expires_ms; /* the same; -1: it has no end */
} sl_application_key;
/* How many keys it has, and the one at index (from 0), what it points to being the application's; false when
 * there is none. */
SL_API size_t sl_application_key_count(const sl_application *application);
SL_API bool sl_application_key_at(const sl_application *application, size_t index, sl_application_key *key);

/* What one application may do on one catalog. */
typedef struct sl_grant {
    size_t struct_size;      /* sizeof(sl_grant), set by the caller */
    const char *application; /* its id */
    const char *name;        /* its name */
    const char *hrn;         /* the catalog's, or "*" */
    unsigned rights;         /* sl_right */
} sl_grant;
/* The application's grants on single catalogs. */
SL_API size_t sl_application_grant_count(const sl_application *application);
SL_API bool sl_application_grant_at(const sl_application *application, size_t index, sl_grant *grant);
/* The list's. */
SL_API size_t sl_grant_list_count(const sl_grant_list *list);
SL_API bool sl_grant_list_at(const sl_grant_list *list, size_t index, sl_grant *grant);

/* The platform's answer as JSON text, the object's own; with the secret where there is one. */
SL_API const char *sl_application_json(const sl_application *application);
SL_API const char *sl_application_list_json(const sl_application_list *list);
SL_API const char *sl_grant_list_json(const sl_grant_list *list);

/* Rights as text, such as "read,write" or "none", in out, which is returned; and back, at least one of them.
 * Errors: SL_INVALID_ARGUMENT, which says what there is. */
#define SL_RIGHTS_TEXT 40 /* bytes that out has */
SL_API const char *sl_rights_text(unsigned rights, char out[SL_RIGHTS_TEXT]);
SL_API SL_MUST_CHECK sl_status sl_rights_parse(const char *text, unsigned *rights, sl_error *error);

SL_END_DECLS

#endif
