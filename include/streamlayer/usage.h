/*
 * Usage of catalogs on the Marketplace, as the platform's ledger has it: an application sees its own,
 * whoever manages a catalog sees what all have used of that, administrators see all. Needs our extensions on
 * the platform.
 *
 * Times are milliseconds since 1970-01-01 UTC; hours, days and months are those of UTC. Bytes are those of
 * payloads (not of base64, nor of headers) and of blobs' contents.
 *
 *   Errors of every call: SL_UNSUPPORTED (a platform without our extensions), SL_INVALID_ARGUMENT,
 *   SL_UNAUTHENTICATED, SL_FORBIDDEN, SL_NOT_FOUND (what the filter names is not there, and was never used,
 * as far as the caller may know), SL_UNAVAILABLE (also: the ledger cannot be read), SL_TIMED_OUT,
 *   SL_PROTOCOL, SL_OUT_OF_MEMORY.
 *   Threads: any; one returned object is used by one thread at a time.
 */
#ifndef STREAMLAYER_USAGE_H
#define STREAMLAYER_USAGE_H

#include <stddef.h>
#include <stdint.h>
#include <streamlayer/client.h>

SL_BEGIN_DECLS

/* What figures are added up by. */
typedef enum sl_usage_granularity {
    SL_USAGE_BY_DAY = 0,
    SL_USAGE_BY_HOUR = 1,
    SL_USAGE_BY_MONTH = 2
} sl_usage_granularity;

/* What is asked for. Zeroed but for struct_size and the times it is all that the caller may see. */
typedef struct sl_usage_filter {
    size_t struct_size;               /* sizeof(sl_usage_filter): lets the struct grow */
    const char *application;          /* by its id or its name; NULL: all */
    const char *hrn;                  /* the catalog's; NULL: all */
    const char *layer;                /* its id; NULL: all */
    int64_t from_ms;                  /* from the hour that it is in; -1: from the first */
    int64_t to_ms;                    /* to the hour that it is in, unless it begins it; -1: to the last */
    sl_usage_granularity granularity; /* what an entry is of: 0 is a day */
} sl_usage_filter;

/* What an application has used of a layer, in a consumer group, in one hour, day or month. */
typedef struct sl_usage {
    size_t struct_size;      /* sizeof(sl_usage), set by the caller */
    const char *application; /* its id */
    const char *name;        /* its name; NULL: there is no such application any more */
    const char *hrn;         /* the catalog's */
    const char *layer;       /* its id */
    const char *group;       /* the consumer group; "": what no group has part in */
    int64_t from_ms;         /* the first moment of the hour, day or month */
    int64_t to_ms;           /* the first moment after it */
    int64_t calls_in;        /* calls that write, answered with 2xx */
    int64_t calls_out;       /* calls that read, answered with 2xx */
    int64_t messages_in;     /* messages written */
    int64_t messages_out;    /* messages delivered, each once */
    int64_t bytes_in;        /* of their payloads */
    int64_t bytes_out;       /* of their payloads */
    int64_t blob_bytes_in;   /* bytes of blobs stored */
    int64_t blob_bytes_out;  /* bytes of blobs delivered */
} sl_usage;

typedef struct sl_usage_list sl_usage_list; /* usage */

/* In the order of applications, catalogs, layers, groups and times. Released with sl_usage_list_destroy. */
SL_API SL_MUST_CHECK sl_status sl_usage_list_get(sl_client *client, const sl_usage_filter *filter,
                                                 sl_usage_list **list, sl_error *error);
/* Releases, and sets the pointer to NULL; NULL is allowed. */
SL_API void sl_usage_list_destroy(sl_usage_list **list);
/* How many there are, and the one at index (from 0), what it points to being the list's; false when there is
 * none. */
SL_API size_t sl_usage_list_count(const sl_usage_list *list);
SL_API bool sl_usage_list_at(const sl_usage_list *list, size_t index, sl_usage *usage);
/* The whole list as JSON text, its own. */
SL_API const char *sl_usage_list_json(const sl_usage_list *list);

/* A delivery of which nobody knows whether it arrived: it is part of the usage. */
typedef struct sl_usage_unconfirmed {
    size_t struct_size;      /* sizeof(sl_usage_unconfirmed), set by the caller */
    const char *application; /* its id */
    const char *name;        /* its name; NULL: there is no such application any more */
    const char *hrn;         /* the catalog's */
    const char *layer;       /* its id */
    const char *group;       /* the consumer group; "": what no group has part in */
    int64_t at_ms;           /* when it left */
    bool open;               /* it is under way yet */
    int64_t messages;        /* messages in it that were not counted before */
    int64_t bytes;           /* of their payloads */
    int64_t blob_bytes;      /* of the blob in it */
} sl_usage_unconfirmed;

typedef struct sl_usage_unconfirmed_list sl_usage_unconfirmed_list; /* such deliveries */

/* The same for them, in the order of their leaving; the filter's granularity is not looked at. The JSON has
 * each one's records, too. Released with sl_usage_unconfirmed_list_destroy. */
SL_API SL_MUST_CHECK sl_status sl_usage_unconfirmed_list_get(sl_client *client, const sl_usage_filter *filter,
                                                             sl_usage_unconfirmed_list **list,
                                                             sl_error *error);
SL_API void sl_usage_unconfirmed_list_destroy(sl_usage_unconfirmed_list **list);
SL_API size_t sl_usage_unconfirmed_list_count(const sl_usage_unconfirmed_list *list);
SL_API bool sl_usage_unconfirmed_list_at(const sl_usage_unconfirmed_list *list, size_t index,
                                         sl_usage_unconfirmed *delivery);
SL_API const char *sl_usage_unconfirmed_list_json(const sl_usage_unconfirmed_list *list);

/* The statement of a month ("2026-11") that has begun, signed, as JSON text; of the filter application, hrn
 * and layer count. *text is the caller's, released with sl_free. */
SL_API SL_MUST_CHECK sl_status sl_usage_statement_get(sl_client *client, const char *month,
                                                      const sl_usage_filter *filter, char **text,
                                                      sl_error *error);
/* The public keys that statements are checked with, as JSON text (a JWKS). *text: as above. */
SL_API SL_MUST_CHECK sl_status sl_usage_statement_keys_get(sl_client *client, char **text, sl_error *error);

SL_END_DECLS

#endif
