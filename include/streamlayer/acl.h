/*
 * Grants as the access control lists of Kafka, which hold for Direct Kafka: for the platform's
 * administrators. Needs our extensions on the platform, and the right admin.
 *
 *   Errors of every call: SL_UNSUPPORTED (a platform without our extensions), SL_UNAUTHENTICATED,
 * SL_FORBIDDEN, SL_UNAVAILABLE, SL_TIMED_OUT, SL_PROTOCOL, SL_OUT_OF_MEMORY. Threads: any; one returned
 * object is used by one thread at a time.
 */
#ifndef STREAMLAYER_ACL_H
#define STREAMLAYER_ACL_H

#include <stddef.h>
#include <streamlayer/client.h>

SL_BEGIN_DECLS

typedef struct sl_acl_report sl_acl_report; /* what Kafka has against what it should have */

/* Asks each cluster that keeps grants as access control lists. Released with sl_acl_report_destroy. */
SL_API SL_MUST_CHECK sl_status sl_acl_check(sl_client *client, sl_acl_report **report, sl_error *error);
/* The same, and puts right what is missing and what is too much; the report (may be NULL) says what was. */
SL_API sl_status sl_acl_repair(sl_client *client, sl_acl_report **report, sl_error *error);

/* Releases, and sets the pointer to NULL; NULL is allowed. */
SL_API void sl_acl_report_destroy(sl_acl_report **report);

/* A cluster that was asked. */
typedef struct sl_acl_cluster {
    size_t struct_size; /* sizeof(sl_acl_cluster), set by the caller */
    const char *name;   /* as the gateway's settings name it */
    const char *error;  /* why it could not be asked, or changed; NULL: it could */
} sl_acl_cluster;
/* How many there are: 0 where no cluster keeps grants; and the one at index (from 0), false when there is
 * none. What it points to is the report's. */
SL_API size_t sl_acl_report_cluster_count(const sl_acl_report *report);
SL_API bool sl_acl_report_cluster_at(const sl_acl_report *report, size_t index, sl_acl_cluster *cluster);

/* How an access control list, or a client quota, differs from the grants, or the layers' throughput. */
typedef enum sl_acl_drift {
    SL_ACL_MISSING = 1, /* granted, and Kafka does not have it */
    SL_ACL_SURPLUS = 2, /* ours, and not granted any more */
    SL_ACL_BEYOND = 3,  /* made by others, and gives an application, or everybody, more than was granted */
    SL_ACL_DENIED = 4   /* made by others, and keeps an application, or everybody, from what was granted */
} sl_acl_drift;

/* One list that differs, or quota: a wrong one is surplus, and the right one missing. */
typedef struct sl_acl_finding {
    size_t struct_size;      /* sizeof(sl_acl_finding), set by the caller */
    sl_acl_drift drift;      /* what is wrong with it */
    const char *cluster;     /* the cluster's name */
    const char *principal;   /* whose it is: "User:NAME", or "User:*" for everybody */
    const char *application; /* the application's name; NULL: it is none, or none any more */
    const char *resource;    /* "topic", "group", "cluster", "transactional-id", "client-quota" */
    const char *name; /* the resource's, or what its name begins with; of a quota the client id, or "*" */
    bool prefixed;    /* the latter */
    const char *operation; /* "Read", "Write", …, as Kafka names them; of a quota "Read 1024 B/s" */
} sl_acl_finding;
/* How many there are, and the one at index (from 0), false when there is none. What it points to is the
 * report's. */
SL_API size_t sl_acl_report_count(const sl_acl_report *report);
SL_API bool sl_acl_report_at(const sl_acl_report *report, size_t index, sl_acl_finding *finding);

/* The platform's answer as JSON text, the report's own. */
SL_API const char *sl_acl_report_json(const sl_acl_report *report);

SL_END_DECLS

#endif
