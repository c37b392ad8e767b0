/*
 * Catalogs and layers: in SQLite in the data directory, all of them in memory too. Layers are immutable once
 * made (a change makes a new one) and counted by references, so a request may hold one while another deletes
 * it.
 *
 * Finding is safe from any thread and never blocks on disk. Changing blocks (SQLite): only on a worker
 * (gw_work_post).
 */
#ifndef GW_STORE_CATALOGS_H
#define GW_STORE_CATALOGS_H

#include "gateway/throttle.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <streamlayer/error.h>

struct gw_catalogs;

#define GW_TOPIC_PREFIX "sl." /* of the names that layers' topics are given */

struct gw_layer {
    atomic_int references;
    const char *hrn, *id, *name;
    const char *topic;   /* legal for Kafka; one that we made is readable, and carries a creation id */
    const char *cluster; /* the Kafka cluster that the topic is in, by its name in the settings */
    const char *key;     /* of what is kept for the layer: the topic, "@CLUSTER" behind it unless that is the
                          * default one: no two layers have the same */
    bool adopted;        /* the topic was there before the layer and outlives it: it is never deleted */
    const char *content_type, *content_encoding; /* encoding: NULL or "gzip" */
    int parallelization, in_kbps, out_kbps;
    int64_t ttl_ms;
    bool marketplace; /* the catalog's */
    /* Counted by the APIs, shown at /metrics. Shared by what the layer was and is, through its changes. */
    struct gw_layer_counters {
        atomic_int references;
        atomic_bool changing; /* a change of the layer is under way: another one is refused meanwhile */
        atomic_ullong messages_in, bytes_in, messages_out, bytes_out; /* bytes of payload */
        struct gw_throttle in, out;   /* HTTP's part of the layer's throughput */
        pthread_mutex_t rates;        /* of whoever sets their rates; guards what follows */
        int in_kbps, out_kbps;        /* the layer's, as it is now */
        atomic_int http_in, http_out; /* HTTP's part, in thousandths; read without the lock, too */
    } * counters;
};

sl_status gw_catalogs_open(const char *data_directory, struct gw_catalogs **out, sl_error *error);
void gw_catalogs_close(struct gw_catalogs **out);

/* The layer, linked (gw_layer_unlink it), or NULL; *catalog_exists tells which of the two is missing. */
struct gw_layer *gw_catalogs_find(struct gw_catalogs *catalogs, const char *hrn, const char *id,
                                  bool *catalog_exists);
struct gw_layer *gw_layer_link(struct gw_layer *layer);
void gw_layer_unlink(struct gw_layer *layer); /* NULL is allowed */
/* HTTP's part of the layer's throughput, in thousandths, and a new one: all of it, where Kafka keeps no
 * quotas. Where the layer's throughput was changed since it was looked up, a part only becomes less, and is
 * of what the layer has now. Any thread. */
void gw_layer_http_part(const struct gw_layer *layer, int *in, int *out);
void gw_layer_set_http_part(const struct gw_layer *layer, int in, int out);
void gw_catalogs_each_layer(struct gw_catalogs *catalogs,
                            void (*visit)(void *opaque, const struct gw_layer *layer), void *opaque);

bool gw_catalogs_exists(struct gw_catalogs *catalogs, const char *hrn);
/* Whether it is on the Marketplace; false when there is no such catalog. */
bool gw_catalogs_marketplace(struct gw_catalogs *catalogs, const char *hrn, bool *marketplace);
/* As config v1 shows them: a new reference; NULL: no such catalog (*exists false), or no memory. */
json_t *gw_catalogs_json(struct gw_catalogs *catalogs, const char *hrn, bool *exists);
/* Up to limit of the catalogs that shows (NULL: all) says true of, in the order of their HRNs, those after
 * the HRN after (NULL: from the first). *next, freed by the caller: the last one's HRN when there are more,
 * else NULL. */
json_t *gw_catalogs_list_json(struct gw_catalogs *catalogs, const char *after, size_t limit,
                              bool (*shows)(const void *opaque, const char *hrn), const void *opaque,
                              char **next);
json_t *gw_layer_json(const struct gw_layer *layer);

/*
 * Changing: blocks on disk, so on a worker only. What is made gets its Kafka topic before it is seen, and
 * what is deleted is out of sight before its topic goes; what a crash leaves half-way is condemned at the
 * next start.
 */
#define GW_HRN_PREFIX      "hrn:here:data::local:"
#define GW_CLUSTER_DEFAULT "default" /* the Kafka cluster of streamlayer.gateway.kafka itself */

/* creator: the application that may read, write and manage it from its first moment; NULL: none. Errors:
 * SL_CONFLICT. */
sl_status gw_catalogs_create(struct gw_catalogs *catalogs, const char *id, const char *name, bool marketplace,
                             const char *creator, sl_error *error);
/* A new name, or (marketplace not NULL) to or from the Marketplace; a name NULL stays. Errors: SL_NOT_FOUND;
 * SL_CONFLICT when it has layers, or Marketplace subscriptions, and cannot go to or from the Marketplace:
 * their topics are known to Direct Kafka, and what was read before would be in no bill. */
sl_status gw_catalogs_update(struct gw_catalogs *catalogs, const char *hrn, const char *name,
                             const bool *marketplace, sl_error *error);

struct gw_layer_spec {
    const char *id, *name, *content_type, *content_encoding; /* encoding: NULL: none */
    int parallelization, in_kbps, out_kbps;
    int64_t ttl_ms;
    const char *cluster; /* NULL: the default one */
    const char *topic;   /* one that is there already and is adopted; NULL: a new one */
};
/* Reserves the id and names the topic; *out is the caller's reference to the layer, not to be found yet.
 * Errors: SL_NOT_FOUND (no such catalog), SL_CONFLICT. */
sl_status gw_catalogs_begin_layer(struct gw_catalogs *catalogs, const char *hrn,
                                  const struct gw_layer_spec *spec, struct gw_layer **out, sl_error *error);
/* Its topic is there: it can be found. Errors: SL_NOT_FOUND (condemned meanwhile). */
sl_status gw_catalogs_publish_layer(struct gw_catalogs *catalogs, struct gw_layer *layer, sl_error *error);

/* Makes the layer what spec says of name, parallelization, throughput and ttl; its other members are the
 * layer's. *out: what it is now, the caller's reference. Errors: SL_NOT_FOUND (deleted meanwhile),
 * SL_CONFLICT (layer is not what it is any more). */
sl_status gw_catalogs_update_layer(struct gw_catalogs *catalogs, const struct gw_layer *layer,
                                   const struct gw_layer_spec *spec, struct gw_layer **out, sl_error *error);

/* Takes a layer, or the catalog with all its layers and grants (layer NULL), out of sight for good. Also
 * SL_OK for what is condemned already, so that a deletion may be tried again. Errors: SL_NOT_FOUND. */
sl_status gw_catalogs_condemn(struct gw_catalogs *catalogs, const char *hrn, const char *layer,
                              sl_error *error);
/* The same for a layer that was begun and never published. */
sl_status gw_catalogs_condemn_begun(struct gw_catalogs *catalogs, const struct gw_layer *layer,
                                    sl_error *error);
/* The topics of the condemned: of one layer, of a catalog's layers (layer NULL), of all (hrn NULL, too). A
 * JSON array of {"topic","cluster","key","adopted"}; an adopted topic must not be deleted. */
sl_status gw_catalogs_condemned(struct gw_catalogs *catalogs, const char *hrn, const char *layer,
                                json_t **topics, sl_error *error);
/* The topic is gone, or let go, and so is its layer; a condemned catalog goes with its last layer. */
sl_status gw_catalogs_forget_topic(struct gw_catalogs *catalogs, const char *cluster, const char *topic,
                                   sl_error *error);
sl_status gw_catalogs_forget_empty(struct gw_catalogs *catalogs, sl_error *error);

#endif
