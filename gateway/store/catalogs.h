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

#include <jansson.h>
#include <stdatomic.h>
#include <stdint.h>
#include <streamlayer/error.h>

struct gw_catalogs;

struct gw_layer {
    atomic_int references;
    const char *hrn, *id, *name;
    const char *topic; /* readable, legal for Kafka, unique: carries a creation id */
    const char *content_type, *content_encoding; /* encoding: NULL or "gzip" */
    int parallelization, in_kbps, out_kbps;
    int64_t ttl_ms;
    bool marketplace; /* the catalog's */
    /* Counted by the APIs, shown at /metrics. Shared by all makings of the layer. */
    struct gw_layer_counters {
        atomic_int references;
        atomic_ullong messages_in, bytes_in, messages_out, bytes_out; /* bytes of payload */
    } * counters;
};

sl_status gw_catalogs_open(const char *data_directory, struct gw_catalogs **catalogs, sl_error *error);
void gw_catalogs_close(struct gw_catalogs **catalogs);

/* The layer, linked (gw_layer_unlink it), or NULL; *catalog_exists tells which of the two is missing. */
struct gw_layer *gw_catalogs_find(struct gw_catalogs *catalogs, const char *hrn, const char *layer,
                                  bool *catalog_exists);
struct gw_layer *gw_layer_link(struct gw_layer *layer);
void gw_layer_unlink(struct gw_layer *layer); /* NULL is allowed */
void gw_catalogs_each_layer(struct gw_catalogs *catalogs,
                            void (*visit)(void *opaque, const struct gw_layer *layer), void *opaque);

#endif
