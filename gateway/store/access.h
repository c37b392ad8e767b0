/*
 * Who may do what, in memory: applications with their rights and grants, and their keys. It is read whole at
 * the start and again after each change; changes go to the file first (store/applications.h).
 *
 * An account is what an application may do at one moment: immutable, counted by references, so a request
 * keeps what it was admitted with. A change puts a new one in its place and marks the old one stale. Any
 * thread; only what says so blocks.
 */
#ifndef GW_STORE_ACCESS_H
#define GW_STORE_ACCESS_H

#include "gateway/store/applications.h"

#include <stdatomic.h>

struct gw_access;

/* What all accounts of one application have in common. */
struct gw_allowance {
    atomic_int references;
    _Atomic int64_t due_us; /* gateway/rate.h: of its requests */
};

struct gw_account {
    atomic_int references;
    atomic_bool stale; /* changed or deleted since: gw_access_renew tells */
    struct gw_allowance *allowance;
    const char *id, *name;
    const char *issuer;    /* an outside one that makes its tokens; NULL: the gateway does */
    const char *principal; /* its tokens' subject: its id, or what the outside issuer calls it */
    unsigned rights;       /* on the platform */
    unsigned all;          /* on every catalog */
    size_t grant_count;
    struct gw_grant {
        const char *hrn;
        unsigned rights;
    } grants[]; /* in the order of HRNs */
};

struct gw_account *gw_account_link(struct gw_account *account);
void gw_account_unlink(struct gw_account *account); /* NULL is allowed */

/* enum gw_right: its rights on the platform and on the catalog together; hrn NULL: the platform alone. */
unsigned gw_account_rights(const struct gw_account *account, const char *hrn);

/* Told of each account that was changed, made (before NULL) or deleted (after NULL), after it is so for new
 * requests: what it must not do any more is to be ended. On the thread that found it, which may block; not to
 * be called at once by two threads. */
typedef void (*gw_access_change)(void *opaque, const struct gw_account *before,
                                 const struct gw_account *after);

/* Blocks. applications is borrowed, and changed (may be NULL) is called from the first gw_access_refresh on.
 */
sl_status gw_access_open(struct gw_applications *applications, gw_access_change changed, void *opaque,
                         struct gw_access **out, sl_error *error);
void gw_access_close(struct gw_access **out);

/* Reads the file anew: after a change of one's own, or (only_if_changed) when somebody else has changed it.
 * On failure what is known stays. Blocks. */
sl_status gw_access_refresh(struct gw_access *access, bool only_if_changed, sl_error *error);

/* Each account there is. New ones wait meanwhile; requests do not. */
void gw_access_each(struct gw_access *access, void (*visit)(void *opaque, const struct gw_account *account),
                    void *opaque);

/* The application's account, linked; NULL: there is none. */
struct gw_account *gw_access_find(struct gw_access *access, const char *id);
/* Takes an account, gives the one that stands in its place, linked; NULL: the application is no more. */
struct gw_account *gw_access_renew(struct gw_access *access, struct gw_account *account);
/* Of whom an outside issuer's tokens name. Blocks when it is not known: perhaps another program has just made
 * it. */
struct gw_account *gw_access_find_subject(struct gw_access *access, const char *issuer, const char *subject);
/* Of who has this key, which has not ended; secret is filled, or emptied. Blocks when it is not known. */
#define GW_SECRET_SIZE 96
struct gw_account *gw_access_find_key(struct gw_access *access, const char *key_id, int64_t now_ms,
                                      char secret[GW_SECRET_SIZE]);

#endif
