/*
 * Administration: catalogs and their stream layers.
 *
 * Every call asks the platform and returns when it has answered. What comes back is an object of the
 * caller's, read through accessors and destroyed by the caller; strings belong to their object.
 *
 *   Errors of every call: SL_INVALID_ARGUMENT, SL_UNAUTHENTICATED, SL_FORBIDDEN, SL_NOT_FOUND, SL_CONFLICT,
 *   SL_UNAVAILABLE, SL_TIMED_OUT, SL_PROTOCOL, SL_OUT_OF_MEMORY.
 *   Threads: any; one returned object is used by one thread at a time.
 */
#ifndef STREAMLAYER_ADMIN_H
#define STREAMLAYER_ADMIN_H

#include <stddef.h>
#include <stdint.h>
#include <streamlayer/client.h>

SL_BEGIN_DECLS

typedef struct sl_catalog sl_catalog;           /* one catalog with its layers */
typedef struct sl_catalog_list sl_catalog_list; /* catalogs */

/* What a new layer is to be. Zero or NULL members mean the platform's default. */
typedef struct sl_layer_spec {
    size_t struct_size;           /* sizeof(sl_layer_spec): lets the struct grow */
    const char *id;               /* required */
    const char *name;             /* for people; the id without one */
    const char *content_type;     /* required: the media type of the payloads */
    const char *content_encoding; /* NULL or "gzip" */
    int parallelization;          /* Kafka partitions, 1 to 32 */
    int in_kbps;                  /* KBps in, 100 to 32,800 in steps of 100 */
    int out_kbps;                 /* KBps out, 100 to 65,500 in steps of 100, at least in_kbps */
    int64_t ttl_ms;               /* how long messages stay, milliseconds: 10 minutes to 72 hours */
    const char *cluster;          /* the Kafka cluster, by the name that the platform has for it */
    const char *topic;            /* a Kafka topic that is there already: the layer adopts it, takes its
                                   * partitions and retention, and never changes or deletes it */
} sl_layer_spec;

/* id: 1 to 64 characters of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit. The platform
 * names the catalog's HRN. name may be NULL. *catalog may be NULL when the result is not wanted. */
SL_API sl_status sl_catalog_create(sl_client *client, const char *id, const char *name, sl_catalog **catalog,
                                   sl_error *error);
/* What a new catalog is to be. */
typedef struct sl_catalog_spec {
    size_t struct_size; /* sizeof(sl_catalog_spec): lets the struct grow */
    const char *id;     /* as above */
    const char *name;   /* for people; NULL: the id */
    bool marketplace;   /* it is offered on the Marketplace: read over HTTP only, by who has a Marketplace
                         * subscription (marketplace.h), and counted. Fixed once it has layers */
} sl_catalog_spec;
/* The same, with all that a catalog may be. */
SL_API sl_status sl_catalog_create_as(sl_client *client, const sl_catalog_spec *spec, sl_catalog **catalog,
                                      sl_error *error);
/* A catalog with its layers. */
SL_API SL_MUST_CHECK sl_status sl_catalog_get(sl_client *client, const char *hrn, sl_catalog **catalog,
                                              sl_error *error);
/* All catalogs that the credentials may see. */
SL_API SL_MUST_CHECK sl_status sl_catalog_list_get(sl_client *client, sl_catalog_list **list,
                                                   sl_error *error);

/* Deletes the catalog, its layers and all their messages. */
SL_API sl_status sl_catalog_delete(sl_client *client, const char *hrn, sl_error *error);

/* Makes a layer, ready to be written and read when this returns. */
SL_API sl_status sl_layer_create(sl_client *client, const char *hrn, const sl_layer_spec *spec,
                                 sl_error *error);
/*
 * Changes a layer: of changes, name, parallelization (which can only grow), in_kbps, out_kbps and ttl_ms;
 * zero and NULL leave what is there. Who reads and writes goes on. With more Kafka partitions a partition id
 * may lie in another one than before, so order across the change is not kept.
 */
SL_API sl_status sl_layer_update(sl_client *client, const char *hrn, const char *layer,
                                 const sl_layer_spec *changes, sl_error *error);
/* Deletes the layer and all its messages; of one that adopted its topic, only the layer. */
SL_API sl_status sl_layer_delete(sl_client *client, const char *hrn, const char *layer, sl_error *error);

/* Release, and set the pointer to NULL; NULL is allowed. */
SL_API void sl_catalog_destroy(sl_catalog **catalog);
SL_API void sl_catalog_list_destroy(sl_catalog_list **list);

/* How many catalogs there are, and the one at index (from 0; NULL: none), the list's own. */
SL_API size_t sl_catalog_list_count(const sl_catalog_list *list);
SL_API const sl_catalog *sl_catalog_list_at(const sl_catalog_list *list, size_t index);

/* What the platform says of a catalog. */
SL_API const char *sl_catalog_hrn(const sl_catalog *catalog);
SL_API const char *sl_catalog_id(const sl_catalog *catalog);
SL_API const char *sl_catalog_name(const sl_catalog *catalog);
SL_API bool sl_catalog_marketplace(const sl_catalog *catalog);
SL_API size_t sl_catalog_layer_count(const sl_catalog *catalog);

/* The layer at index (from 0): fills *spec, whose struct_size the caller has set; strings belong to the
 * catalog. false when there is none. */
SL_API bool sl_catalog_layer_at(const sl_catalog *catalog, size_t index, sl_layer_spec *spec);

/* Whether the layer at index adopted its topic. */
SL_API bool sl_catalog_layer_adopted(const sl_catalog *catalog, size_t index);

/* The Kafka topic behind the layer at index, or NULL where the platform does not say (of a catalog
 * on the Marketplace only to who may write or manages it). */
SL_API const char *sl_catalog_layer_topic(const sl_catalog *catalog, size_t index);

/* The whole answer of the platform as JSON text. */
SL_API const char *sl_catalog_json(const sl_catalog *catalog);

SL_END_DECLS

#endif
