/*
 * Marketplace subscriptions: which application may read a catalog that is offered on the Marketplace, from
 * when until when, how fast and how much. They are given by whoever manages the catalog, its provider, or an
 * administrator; an application sees its own. They have nothing to do with consumers' subscriptions, by which
 * layers are read. Needs our extensions on the platform.
 *
 * An application is named by its id or its name. Times are milliseconds since 1970-01-01 UTC.
 *
 *   Errors of every call: SL_UNSUPPORTED (a platform without our extensions), SL_INVALID_ARGUMENT,
 *   SL_NOT_FOUND, SL_CONFLICT (the catalog is not on the Marketplace), SL_UNAUTHENTICATED, SL_FORBIDDEN,
 *   SL_UNAVAILABLE, SL_TIMED_OUT, SL_PROTOCOL, SL_OUT_OF_MEMORY.
 *   Threads: any; one returned object is used by one thread at a time.
 */
#ifndef STREAMLAYER_MARKETPLACE_H
#define STREAMLAYER_MARKETPLACE_H

#include <stddef.h>
#include <stdint.h>
#include <streamlayer/client.h>

SL_BEGIN_DECLS

/* What a volume is counted in; days and months of UTC. */
typedef enum sl_marketplace_period {
    SL_PERIOD_ALL = 0,   /* all that the application has ever used of the catalog */
    SL_PERIOD_MONTH = 1, /* a calendar month */
    SL_PERIOD_DAY = 2    /* a calendar day */
} sl_marketplace_period;

/* What a subscription allows. */
typedef struct sl_marketplace_terms {
    size_t struct_size;           /* sizeof(sl_marketplace_terms): lets the struct grow */
    int64_t from_ms;              /* it begins then; -1: when the one in whose place it comes did, or now */
    int64_t until_ms;             /* it ends then; -1: it has no end */
    int out_kbps;                 /* KBps (1,024 bytes a second) that are delivered, 1 to 2,000; 0: 2,000 */
    int64_t volume_bytes;         /* bytes of a period; 0: without bound */
    sl_marketplace_period period; /* of volume_bytes */
} sl_marketplace_terms;

/* Gives the application a subscription to the catalog, in the place of the one that it has there. */
SL_API SL_MUST_CHECK sl_status sl_marketplace_subscribe(sl_client *client, const char *name, const char *hrn,
                                                        const sl_marketplace_terms *terms, sl_error *error);
/* Takes it. The next poll is refused; what was fetched stays. SL_NOT_FOUND: it has none. */
SL_API SL_MUST_CHECK sl_status sl_marketplace_unsubscribe(sl_client *client, const char *name,
                                                          const char *hrn, sl_error *error);

typedef struct sl_marketplace_list sl_marketplace_list; /* subscriptions */

/* One subscription. */
typedef struct sl_marketplace_subscription {
    size_t struct_size;         /* sizeof(sl_marketplace_subscription), set by the caller */
    const char *application;    /* its id */
    const char *name;           /* its name */
    const char *hrn;            /* the catalog's */
    sl_marketplace_terms terms; /* as they are */
    int64_t created_ms;         /* when they were given */
} sl_marketplace_subscription;

/* Those to a catalog, or (hrn NULL) the caller's own to all catalogs; in the order of HRNs and names.
 * Released with sl_marketplace_list_destroy. */
SL_API SL_MUST_CHECK sl_status sl_marketplace_list_get(sl_client *client, const char *hrn,
                                                       sl_marketplace_list **list, sl_error *error);
/* Releases, and sets the pointer to NULL; NULL is allowed. */
SL_API void sl_marketplace_list_destroy(sl_marketplace_list **list);
/* How many there are, and the one at index (from 0), what it points to being the list's; false when there is
 * none. */
SL_API size_t sl_marketplace_list_count(const sl_marketplace_list *list);
SL_API bool sl_marketplace_list_at(const sl_marketplace_list *list, size_t index,
                                   sl_marketplace_subscription *subscription);
/* The platform's answer as JSON text, the list's own. */
SL_API const char *sl_marketplace_list_json(const sl_marketplace_list *list);

SL_END_DECLS

#endif
