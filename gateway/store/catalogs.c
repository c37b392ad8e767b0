#include "gateway/store/catalogs.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/store/applications.h"
#include "gateway/store/db.h"
#include "wire/hrn.h"

#include <stdlib.h>
#include <string.h>

enum state { MAKING = 0, LIVE = 1, CONDEMNED = 2 }; /* as stored */

enum { WHOLE = 1000 }; /* thousandths */

struct catalog {
    char *hrn, *id, *name;
    bool marketplace;
    struct gw_layer **layers; /* in the order of their ids */
    size_t layer_count;
};

struct gw_catalogs {
    pthread_mutex_t change; /* whoever changes; guards db */
    sqlite3 *db;
    pthread_rwlock_t lock;     /* guards what follows; written only under change too */
    struct catalog **catalogs; /* in the order of their HRNs */
    size_t count;
};

struct gw_layer *gw_layer_link(struct gw_layer *layer)
{
    atomic_fetch_add_explicit(&layer->references, 1, memory_order_relaxed);
    return layer;
}

void gw_layer_unlink(struct gw_layer *layer)
{
    if (!layer || atomic_fetch_sub(&layer->references, 1) > 1)
        return;
    if (layer->counters && atomic_fetch_sub(&layer->counters->references, 1) == 1) {
        pthread_mutex_destroy(&layer->counters->rates);
        free(layer->counters);
    }
    free(layer);
}

static struct gw_layer_counters *counters_link(struct gw_layer_counters *counters)
{
    if (counters)
        atomic_fetch_add_explicit(&counters->references, 1, memory_order_relaxed);
    else if ((counters = calloc(1, sizeof *counters))) {
        atomic_init(&counters->references, 1);
        pthread_mutex_init(&counters->rates, NULL);
        atomic_init(&counters->http_in, WHOLE);
        atomic_init(&counters->http_out, WHOLE);
    }
    return counters;
}

/* What the throttles keep from now on. Under the lock of rates. */
static void set_rates(struct gw_layer_counters *counters)
{
    gw_throttle_set_rate(&counters->in,
                         (int64_t)counters->in_kbps * 1024 * atomic_load(&counters->http_in) / WHOLE);
    gw_throttle_set_rate(&counters->out,
                         (int64_t)counters->out_kbps * 1024 * atomic_load(&counters->http_out) / WHOLE);
}

/* The layer is what its catalog has now. */
static void take_throughput(const struct gw_layer *layer)
{
    struct gw_layer_counters *counters = layer->counters;
    pthread_mutex_lock(&counters->rates);
    counters->in_kbps = layer->in_kbps;
    counters->out_kbps = layer->out_kbps;
    set_rates(counters);
    pthread_mutex_unlock(&counters->rates);
}

void gw_layer_http_part(const struct gw_layer *layer, int *in, int *out)
{
    *in = atomic_load(&layer->counters->http_in);
    *out = atomic_load(&layer->counters->http_out);
}

void gw_layer_set_http_part(const struct gw_layer *layer, int in, int out)
{
    struct gw_layer_counters *counters = layer->counters;
    int now_in, now_out;
    pthread_mutex_lock(&counters->rates);
    gw_layer_http_part(layer, &now_in, &now_out);
    /* More of another throughput may be more than the layer has now: who changed it has it planned anew. */
    if (layer->in_kbps != counters->in_kbps && in > now_in)
        in = now_in;
    if (layer->out_kbps != counters->out_kbps && out > now_out)
        out = now_out;
    atomic_store(&counters->http_in, in);
    atomic_store(&counters->http_out, out);
    set_rates(counters);
    pthread_mutex_unlock(&counters->rates);
}

/* The caller's; NULL: memory is out. */
static char *key_of(const char *topic, const char *cluster)
{
    return strcmp(cluster, GW_CLUSTER_DEFAULT) ? sl_printf("%s@%s", topic, cluster) : sl_strdup(topic);
}

/* A layer with all its strings in one piece of memory. counters: those of what it was before; NULL: new ones.
 */
static struct gw_layer *layer_new(const char *hrn, const char *topic, const struct gw_layer_spec *spec,
                                  struct gw_layer_counters *counters)
{
    const char *cluster = spec->cluster ? spec->cluster : GW_CLUSTER_DEFAULT;
    char *key = key_of(topic, cluster);
    const char *strings[] = {hrn,     spec->id, spec->name, topic, spec->content_type, spec->content_encoding,
                             cluster, key};
    size_t size = sizeof(struct gw_layer);
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        size += strings[i] ? strlen(strings[i]) + 1 : 0;
    struct gw_layer *layer = key ? calloc(1, size) : NULL;
    if (!layer) {
        free(key);
        return NULL;
    }
    const char **members[] = {&layer->hrn,     &layer->id,           &layer->name,
                              &layer->topic,   &layer->content_type, &layer->content_encoding,
                              &layer->cluster, &layer->key};
    char *text = (char *)(layer + 1);
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (strings[i]) {
            size_t taken = strlen(strings[i]) + 1;
            *members[i] = memcpy(text, strings[i], taken);
            text += taken;
        }
    free(key);
    layer->adopted = spec->topic != NULL;
    layer->parallelization = spec->parallelization;
    layer->in_kbps = spec->in_kbps;
    layer->out_kbps = spec->out_kbps;
    layer->ttl_ms = spec->ttl_ms;
    atomic_init(&layer->references, 1);
    layer->counters = counters_link(counters);
    if (!layer->counters) {
        free(layer);
        return NULL;
    }
    if (!counters)
        take_throughput(layer);
    return layer;
}

static void catalog_free(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->layer_count; i++)
        gw_layer_unlink(catalog->layers[i]);
    free(catalog->layers);
    free(catalog->hrn);
    free(catalog->id);
    free(catalog->name);
    free(catalog);
}

static struct catalog *catalog_new(const char *hrn, const char *id, const char *name, bool marketplace)
{
    struct catalog *catalog = calloc(1, sizeof *catalog);
    if (!catalog)
        return NULL;
    catalog->hrn = strdup(hrn);
    catalog->id = strdup(id);
    catalog->name = strdup(name);
    catalog->marketplace = marketplace;
    if (catalog->hrn && catalog->id && catalog->name)
        return catalog;
    catalog_free(catalog);
    return NULL;
}

/* Where the catalog is, or would be, in the order of HRNs. */
static size_t catalog_place(const struct gw_catalogs *catalogs, const char *hrn)
{
    size_t low = 0, high = catalogs->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(catalogs->catalogs[middle]->hrn, hrn) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct catalog *find_catalog(const struct gw_catalogs *catalogs, const char *hrn)
{
    size_t place = catalog_place(catalogs, hrn);
    struct catalog *found = place < catalogs->count ? catalogs->catalogs[place] : NULL;
    return found && !strcmp(found->hrn, hrn) ? found : NULL;
}

static size_t layer_place(const struct catalog *catalog, const char *id)
{
    size_t low = 0, high = catalog->layer_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(catalog->layers[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct gw_layer *find_layer(const struct catalog *catalog, const char *id)
{
    size_t place = layer_place(catalog, id);
    struct gw_layer *found = place < catalog->layer_count ? catalog->layers[place] : NULL;
    return found && !strcmp(found->id, id) ? found : NULL;
}

/* Makes room for one more at place in an array of pointers; false without memory. */
static bool open_place(void ***array, size_t count, size_t place)
{
    void **grown = realloc(*array, (count + 1) * sizeof *grown);
    if (!grown)
        return false;
    memmove(grown + place + 1, grown + place, (count - place) * sizeof *grown);
    *array = grown;
    return true;
}

/* Puts a new catalog into memory; takes it on success. */
static bool insert_catalog(struct gw_catalogs *catalogs, struct catalog *catalog)
{
    size_t place = catalog_place(catalogs, catalog->hrn);
    void **array = (void **)catalogs->catalogs;
    if (!open_place(&array, catalogs->count, place))
        return false;
    catalogs->catalogs = (struct catalog **)array;
    catalogs->catalogs[place] = catalog;
    catalogs->count++;
    return true;
}

/* Links the layer into its catalog. */
static bool insert_layer(struct catalog *catalog, struct gw_layer *layer)
{
    size_t place = layer_place(catalog, layer->id);
    void **array = (void **)catalog->layers;
    if (!open_place(&array, catalog->layer_count, place))
        return false;
    catalog->layers = (struct gw_layer **)array;
    catalog->layers[place] = gw_layer_link(layer);
    catalog->layer_count++;
    return true;
}

struct load {
    struct gw_catalogs *catalogs;
    bool failed;
};

static bool load_catalog(void *opaque, sqlite3_stmt *row)
{
    struct load *load = opaque;
    struct catalog *catalog = catalog_new(gw_db_text(row, 0), gw_db_text(row, 1), gw_db_text(row, 2),
                                          sqlite3_column_int(row, 3) != 0);
    if (catalog && insert_catalog(load->catalogs, catalog))
        return true;
    if (catalog)
        catalog_free(catalog);
    load->failed = true;
    return false;
}

static bool load_layer(void *opaque, sqlite3_stmt *row)
{
    struct load *load = opaque;
    struct catalog *catalog = find_catalog(load->catalogs, gw_db_text(row, 0));
    if (!catalog)
        return true; /* condemned */
    const struct gw_layer_spec spec = {
        .id = gw_db_text(row, 1),
        .name = gw_db_text(row, 2),
        .content_type = gw_db_text(row, 4),
        .content_encoding = sqlite3_column_type(row, 5) == SQLITE_NULL ? NULL : gw_db_text(row, 5),
        .parallelization = sqlite3_column_int(row, 6),
        .in_kbps = sqlite3_column_int(row, 7),
        .out_kbps = sqlite3_column_int(row, 8),
        .ttl_ms = sqlite3_column_int64(row, 9),
        .cluster = gw_db_text(row, 10),
        .topic = sqlite3_column_int(row, 11) ? gw_db_text(row, 3) : NULL,
    };
    struct gw_layer *layer = layer_new(catalog->hrn, gw_db_text(row, 3), &spec, NULL);
    load->failed = !layer;
    if (layer) {
        layer->marketplace = catalog->marketplace;
        load->failed = !insert_layer(catalog, layer);
        gw_layer_unlink(layer);
    }
    return !load->failed;
}

sl_status gw_catalogs_open(const char *data_directory, struct gw_catalogs **out, sl_error *error)
{
    struct gw_catalogs *catalogs = calloc(1, sizeof *catalogs);
    *out = catalogs;
    if (!catalogs)
        return sl_error_oom(error);
    pthread_mutex_init(&catalogs->change, NULL);
    pthread_rwlock_init(&catalogs->lock, NULL);
    struct load load = {.catalogs = catalogs};
    sl_status status = gw_db_open(data_directory, &catalogs->db, error);
    bool opened = !status;
    if (!status) /* a crash came before its topic was known to be there */
        status = gw_db_run(catalogs->db, "UPDATE layers SET state = 2 WHERE state = 0", NULL, NULL, NULL,
                           error, "");
    if (!status)
        status = gw_db_run(catalogs->db, "SELECT hrn, id, name, marketplace FROM catalogs WHERE state = 1",
                           load_catalog, &load, NULL, error, "");
    if (!status && !load.failed)
        status = gw_db_run(
            catalogs->db,
            "SELECT hrn, id, name, topic, content_type, content_encoding, parallelization, in_kbps, "
            "out_kbps, ttl_ms, cluster, adopted FROM layers WHERE state = 1",
            load_layer, &load, NULL, error, "");
    if (status && opened)
        sl_error_prefix(error, "%s/catalogs.db", data_directory);
    if (!status && load.failed)
        status = sl_error_oom(error);
    if (status)
        gw_catalogs_close(out);
    return status;
}

void gw_catalogs_close(struct gw_catalogs **out)
{
    struct gw_catalogs *catalogs = *out;
    if (!catalogs)
        return;
    *out = NULL;
    for (size_t i = 0; i < catalogs->count; i++)
        catalog_free(catalogs->catalogs[i]);
    free(catalogs->catalogs);
    sqlite3_close(catalogs->db);
    pthread_rwlock_destroy(&catalogs->lock);
    pthread_mutex_destroy(&catalogs->change);
    free(catalogs);
}

struct gw_layer *gw_catalogs_find(struct gw_catalogs *catalogs, const char *hrn, const char *id,
                                  bool *catalog_exists)
{
    pthread_rwlock_rdlock(&catalogs->lock);
    const struct catalog *catalog = find_catalog(catalogs, hrn);
    struct gw_layer *layer = catalog ? find_layer(catalog, id) : NULL;
    if (layer)
        gw_layer_link(layer);
    pthread_rwlock_unlock(&catalogs->lock);
    if (catalog_exists)
        *catalog_exists = catalog != NULL;
    return layer;
}

void gw_catalogs_each_layer(struct gw_catalogs *catalogs,
                            void (*visit)(void *opaque, const struct gw_layer *layer), void *opaque)
{
    pthread_rwlock_rdlock(&catalogs->lock);
    for (size_t i = 0; i < catalogs->count; i++)
        for (size_t j = 0; j < catalogs->catalogs[i]->layer_count; j++)
            visit(opaque, catalogs->catalogs[i]->layers[j]);
    pthread_rwlock_unlock(&catalogs->lock);
}

bool gw_catalogs_exists(struct gw_catalogs *catalogs, const char *hrn)
{
    bool marketplace;
    return gw_catalogs_marketplace(catalogs, hrn, &marketplace);
}

bool gw_catalogs_marketplace(struct gw_catalogs *catalogs, const char *hrn, bool *marketplace)
{
    pthread_rwlock_rdlock(&catalogs->lock);
    const struct catalog *catalog = find_catalog(catalogs, hrn);
    if (catalog)
        *marketplace = catalog->marketplace;
    pthread_rwlock_unlock(&catalogs->lock);
    return catalog != NULL;
}

json_t *gw_layer_json(const struct gw_layer *layer)
{
    json_t *value = json_pack(
        "{s:s, s:s, s:s, s:s, s:{s:i, s:i, s:i}, s:I, s:s, s:s}", "id", layer->id, "name", layer->name,
        "layerType", "stream", "contentType", layer->content_type, "streamProperties", "dataInThroughputKbps",
        layer->in_kbps, "dataOutThroughputKbps", layer->out_kbps, "parallelization", layer->parallelization,
        "ttl", (json_int_t)layer->ttl_ms, "topic", layer->topic, "cluster", layer->cluster);
    if (value && ((layer->content_encoding &&
                   json_object_set_new(value, "contentEncoding", json_string(layer->content_encoding))) ||
                  (layer->adopted && json_object_set_new(value, "adopted", json_true())))) {
        json_decref(value);
        return NULL;
    }
    return value;
}

static json_t *catalog_json(const struct catalog *catalog)
{
    json_t *layers = json_array();
    for (size_t i = 0; i < catalog->layer_count && layers; i++)
        if (json_array_append_new(layers, gw_layer_json(catalog->layers[i]))) {
            json_decref(layers);
            layers = NULL;
        }
    if (!layers)
        return NULL;
    return json_pack("{s:s, s:s, s:s, s:b, s:o}", "id", catalog->id, "hrn", catalog->hrn, "name",
                     catalog->name, "marketplace", catalog->marketplace, "layers", layers);
}

json_t *gw_catalogs_json(struct gw_catalogs *catalogs, const char *hrn, bool *exists)
{
    pthread_rwlock_rdlock(&catalogs->lock);
    const struct catalog *catalog = find_catalog(catalogs, hrn);
    json_t *value = catalog ? catalog_json(catalog) : NULL;
    pthread_rwlock_unlock(&catalogs->lock);
    *exists = catalog != NULL;
    return value;
}

json_t *gw_catalogs_list_json(struct gw_catalogs *catalogs, const char *after, size_t limit,
                              bool (*shows)(const void *opaque, const char *hrn), const void *opaque,
                              char **next)
{
    const char *last = NULL;
    *next = NULL;
    json_t *items = json_array();
    pthread_rwlock_rdlock(&catalogs->lock);
    size_t first = after ? catalog_place(catalogs, after) : 0;
    if (after && first < catalogs->count && !strcmp(catalogs->catalogs[first]->hrn, after))
        first++;
    bool good = items != NULL;
    for (size_t i = first; i < catalogs->count && good; i++) {
        const struct catalog *catalog = catalogs->catalogs[i];
        if (shows && !shows(opaque, catalog->hrn))
            continue;
        if (json_array_size(items) == limit) { /* there is one more */
            good = (*next = sl_strdup(last)) != NULL;
            break;
        }
        good = !json_array_append_new(items, catalog_json(catalog));
        last = catalog->hrn;
    }
    pthread_rwlock_unlock(&catalogs->lock);
    if (good)
        return items;
    json_decref(items);
    return NULL;
}

/* The catalog, and its creator's grant, which must not be missing from it for a moment. */
static sl_status insert_rows(struct gw_catalogs *catalogs, const struct catalog *catalog, const char *creator,
                             sl_error *error)
{
    sl_status status = gw_db_run(catalogs->db, "BEGIN IMMEDIATE", NULL, NULL, NULL, error, "");
    if (status)
        return status;
    status = gw_db_run(catalogs->db,
                       "INSERT INTO catalogs (hrn, id, name, marketplace, state, created_ms) "
                       "VALUES (?, ?, ?, ?, 1, ?)",
                       NULL, NULL, NULL, error, "sssii", catalog->hrn, catalog->id, catalog->name,
                       (int64_t)catalog->marketplace, sl_wall_ms());
    if (!status && creator) /* who may be deleted just now */
        status = gw_db_run(catalogs->db,
                           "INSERT INTO grants (application, hrn, rights, granted_by, created_ms) "
                           "SELECT id, ?2, ?3, id, ?4 FROM applications WHERE id = ?1",
                           NULL, NULL, NULL, error, "ssii", creator, catalog->hrn, (int64_t)SL_RIGHTS_CATALOG,
                           sl_wall_ms());
    if (!status)
        status = gw_db_run(catalogs->db, "COMMIT", NULL, NULL, NULL, error, "");
    if (status)
        gw_db_run(catalogs->db, "ROLLBACK", NULL, NULL, NULL, NULL, "");
    return status;
}

sl_status gw_catalogs_create(struct gw_catalogs *catalogs, const char *id, const char *name, bool marketplace,
                             const char *creator, sl_error *error)
{
    char *hrn = sl_printf("%s%s", GW_HRN_PREFIX, id);
    struct catalog *catalog = hrn ? catalog_new(hrn, id, name, marketplace) : NULL;
    if (!catalog) {
        free(hrn);
        return sl_error_oom(error);
    }
    pthread_mutex_lock(&catalogs->change);
    bool exists = find_catalog(catalogs, hrn) != NULL;
    sl_status status = insert_rows(catalogs, catalog, creator, error);
    if (status == SL_CONFLICT)
        sl_error_set(error, SL_CONFLICT,
                     exists ? "there is a catalog %s already"
                            : "the catalog %s is still being deleted: delete it once more, then create it",
                     hrn);
    if (!status) {
        pthread_rwlock_wrlock(&catalogs->lock);
        if (!insert_catalog(catalogs, catalog))
            status = SL_OUT_OF_MEMORY;
        pthread_rwlock_unlock(&catalogs->lock);
        if (status) {
            gw_db_run(catalogs->db, "DELETE FROM grants WHERE hrn = ?", NULL, NULL, NULL, NULL, "s", hrn);
            gw_db_run(catalogs->db, "DELETE FROM catalogs WHERE hrn = ?", NULL, NULL, NULL, NULL, "s", hrn);
            sl_error_oom(error);
        }
    }
    pthread_mutex_unlock(&catalogs->change);
    if (status)
        catalog_free(catalog);
    free(hrn);
    return status;
}

static sl_status no_catalog(const char *hrn, sl_error *error)
{
    return sl_error_set(error, SL_NOT_FOUND, "there is no catalog %s", hrn);
}

/* Layers that are being made, or deleted, count: their topics may be there. */
static sl_status check_empty(struct gw_catalogs *catalogs, const struct catalog *catalog, sl_error *error)
{
    int64_t there = 0;
    sl_status status = gw_db_run(catalogs->db,
                                 "SELECT (SELECT count(*) FROM layers WHERE hrn = ?1) + "
                                 "(SELECT count(*) FROM marketplace_subscriptions WHERE hrn = ?1)",
                                 gw_db_read_number, &there, NULL, error, "s", catalog->hrn);
    if (!status && there)
        status = sl_error_set(error, SL_CONFLICT,
                              "the catalog %s has layers or Marketplace subscriptions, and cannot go %s the "
                              "Marketplace any more: what was read before would be in no bill",
                              catalog->hrn, catalog->marketplace ? "from" : "to");
    return status;
}

sl_status gw_catalogs_update(struct gw_catalogs *catalogs, const char *hrn, const char *name,
                             const bool *marketplace, sl_error *error)
{
    char *copy = sl_strdup(name);
    if (name && !copy)
        return sl_error_oom(error);
    pthread_mutex_lock(&catalogs->change);
    struct catalog *catalog = find_catalog(catalogs, hrn);
    sl_status status = catalog ? SL_OK : no_catalog(hrn, error);
    bool market = catalog && (marketplace ? *marketplace : catalog->marketplace);
    if (catalog && market != catalog->marketplace)
        status = check_empty(catalogs, catalog, error);
    if (!status)
        status = gw_db_run(catalogs->db,
                           "UPDATE catalogs SET name = coalesce(?, name), marketplace = ? WHERE hrn = ?",
                           NULL, NULL, NULL, error, "sis", name, (int64_t)market, hrn);
    if (!status && catalog) {
        pthread_rwlock_wrlock(&catalogs->lock);
        char *old = catalog->name;
        if (copy) {
            catalog->name = copy;
            copy = old;
        }
        catalog->marketplace = market;
        pthread_rwlock_unlock(&catalogs->lock);
    }
    pthread_mutex_unlock(&catalogs->change);
    free(copy);
    return status;
}

/* Catalog and layer ids are at most 64 of Kafka's own legal characters each: within its 249. */
static char *topic_name(const char *catalog_id, const char *layer_id)
{
    char creation[13];
    return sl_random_hex(creation, 12) ? sl_printf(GW_TOPIC_PREFIX "%s.%s.%s", catalog_id, layer_id, creation)
                                       : NULL;
}

static bool keep_owner(void *opaque, sqlite3_stmt *row)
{
    *(char **)opaque = sl_printf("the layer \"%s\" of %s", gw_db_text(row, 1), gw_db_text(row, 0));
    return false;
}

/* What is in the way of a new layer: one with its id, or one that has the topic it is to adopt. */
static void explain_conflict(struct gw_catalogs *catalogs, const struct catalog *catalog,
                             const struct gw_layer_spec *spec, const struct gw_layer *layer, sl_error *error)
{
    char *owner = NULL;
    if (find_layer(catalog, spec->id)) {
        sl_error_set(error, SL_CONFLICT, "the catalog %s has a layer \"%s\" already", catalog->hrn, spec->id);
        return;
    }
    if (spec->topic)
        gw_db_run(catalogs->db, "SELECT hrn, id FROM layers WHERE cluster = ? AND topic = ?", keep_owner,
                  &owner, NULL, NULL, "ss", layer->cluster, layer->topic);
    if (owner)
        sl_error_set(error, SL_CONFLICT, "the topic %s belongs to %s already", spec->topic, owner);
    else
        sl_error_set(
            error, SL_CONFLICT,
            "the catalog %s has a layer \"%s\" that is just being made or deleted: try again, and if "
            "that does not help, delete it once more",
            catalog->hrn, spec->id);
    free(owner);
}

sl_status gw_catalogs_begin_layer(struct gw_catalogs *catalogs, const char *hrn,
                                  const struct gw_layer_spec *spec, struct gw_layer **out, sl_error *error)
{
    *out = NULL;
    struct gw_layer *layer = NULL;
    sl_status status = SL_OK;
    pthread_mutex_lock(&catalogs->change);
    const struct catalog *catalog = find_catalog(catalogs, hrn);
    char *topic = !catalog ? NULL : spec->topic ? sl_strdup(spec->topic) : topic_name(catalog->id, spec->id);
    if (!catalog)
        status = no_catalog(hrn, error);
    else if (!topic || !(layer = layer_new(hrn, topic, spec, NULL)))
        status = sl_error_oom(error);
    else
        layer->marketplace = catalog->marketplace;
    if (!status && layer)
        status = gw_db_run(catalogs->db,
                           "INSERT INTO layers (hrn, id, name, topic, content_type, content_encoding, "
                           "parallelization, in_kbps, out_kbps, ttl_ms, cluster, adopted, state, created_ms) "
                           "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
                           NULL, NULL, NULL, error, "ssssssiiiisii", hrn, spec->id, spec->name, topic,
                           spec->content_type, spec->content_encoding, (int64_t)spec->parallelization,
                           (int64_t)spec->in_kbps, (int64_t)spec->out_kbps, spec->ttl_ms, layer->cluster,
                           (int64_t)layer->adopted, sl_wall_ms());
    if (status == SL_CONFLICT)
        explain_conflict(catalogs, catalog, spec, layer, error);
    pthread_mutex_unlock(&catalogs->change);
    free(topic);
    if (status)
        gw_layer_unlink(layer);
    else
        *out = layer;
    return status;
}

sl_status gw_catalogs_publish_layer(struct gw_catalogs *catalogs, struct gw_layer *layer, sl_error *error)
{
    int changed = 0;
    pthread_mutex_lock(&catalogs->change);
    struct catalog *catalog = find_catalog(catalogs, layer->hrn);
    sl_status status =
        catalog ? gw_db_run(catalogs->db,
                            "UPDATE layers SET state = 1 WHERE cluster = ? AND topic = ? AND state = 0", NULL,
                            NULL, &changed, error, "ss", layer->cluster, layer->topic)
                : no_catalog(layer->hrn, error);
    if (!status && !changed)
        status = sl_error_set(error, SL_NOT_FOUND, "the layer \"%s\" was deleted while it was being made",
                              layer->id);
    if (!status) {
        pthread_rwlock_wrlock(&catalogs->lock);
        if (!insert_layer(catalog, layer))
            status = SL_OUT_OF_MEMORY;
        pthread_rwlock_unlock(&catalogs->lock);
        if (status)
            sl_error_oom(error);
    }
    pthread_mutex_unlock(&catalogs->change);
    return status;
}

/* Puts fresh into the place of layer, under the change lock. */
static sl_status replace_layer(struct gw_catalogs *catalogs, struct catalog *catalog,
                               const struct gw_layer *layer, struct gw_layer *fresh, sl_error *error)
{
    sl_status status =
        gw_db_run(catalogs->db,
                  "UPDATE layers SET name = ?, parallelization = ?, in_kbps = ?, out_kbps = ?, ttl_ms = ? "
                  "WHERE hrn = ? AND id = ?",
                  NULL, NULL, NULL, error, "siiiiss", fresh->name, (int64_t)fresh->parallelization,
                  (int64_t)fresh->in_kbps, (int64_t)fresh->out_kbps, fresh->ttl_ms, layer->hrn, layer->id);
    if (status)
        return status;
    pthread_rwlock_wrlock(&catalogs->lock);
    struct gw_layer **place = &catalog->layers[layer_place(catalog, layer->id)];
    struct gw_layer *old = *place;
    *place = gw_layer_link(fresh);
    pthread_rwlock_unlock(&catalogs->lock);
    take_throughput(fresh);
    gw_layer_unlink(old);
    return SL_OK;
}

sl_status gw_catalogs_update_layer(struct gw_catalogs *catalogs, const struct gw_layer *layer,
                                   const struct gw_layer_spec *spec, struct gw_layer **out, sl_error *error)
{
    *out = NULL;
    sl_status status = SL_OK;
    pthread_mutex_lock(&catalogs->change);
    struct catalog *catalog = find_catalog(catalogs, layer->hrn);
    const struct gw_layer *found = catalog ? find_layer(catalog, layer->id) : NULL;
    struct gw_layer *fresh = NULL;
    if (!found || strcmp(found->key, layer->key) != 0)
        status = sl_error_set(error, SL_NOT_FOUND, "the layer \"%s\" was deleted while it was being changed",
                              layer->id);
    else if (found != layer)
        status = sl_error_set(error, SL_CONFLICT, "the layer \"%s\" was changed by another request meanwhile",
                              layer->id);
    else if (!(fresh = layer_new(layer->hrn, layer->topic, spec, layer->counters)))
        status = sl_error_oom(error);
    if (!status && fresh) {
        fresh->marketplace = layer->marketplace;
        status = replace_layer(catalogs, catalog, layer, fresh, error);
    }
    pthread_mutex_unlock(&catalogs->change);
    if (status)
        gw_layer_unlink(fresh);
    else
        *out = fresh;
    return status;
}

/* Out of memory, after the file has it: under both locks. */
static void remove_from_memory(struct gw_catalogs *catalogs, const char *hrn, const char *id)
{
    size_t place = catalog_place(catalogs, hrn);
    struct catalog *catalog = find_catalog(catalogs, hrn);
    if (!catalog)
        return;
    if (!id) {
        memmove(catalogs->catalogs + place, catalogs->catalogs + place + 1,
                (--catalogs->count - place) * sizeof *catalogs->catalogs);
        catalog_free(catalog);
        return;
    }
    struct gw_layer *layer = find_layer(catalog, id);
    if (!layer)
        return;
    place = layer_place(catalog, id);
    memmove(catalog->layers + place, catalog->layers + place + 1,
            (--catalog->layer_count - place) * sizeof *catalog->layers);
    gw_layer_unlink(layer);
}

static sl_status condemn_rows(struct gw_catalogs *catalogs, const char *hrn, const char *layer,
                              sl_error *error)
{
    int changed = 0;
    sl_status status;
    if (layer) {
        status = gw_db_run(catalogs->db, "UPDATE layers SET state = 2 WHERE hrn = ? AND id = ?", NULL, NULL,
                           &changed, error, "ss", hrn, layer);
        if (!status && !changed)
            status = find_catalog(catalogs, hrn)
                         ? sl_error_set(error, SL_NOT_FOUND, "the catalog %s has no layer \"%s\"", hrn, layer)
                         : no_catalog(hrn, error);
        return status;
    }
    status = gw_db_run(catalogs->db, "BEGIN IMMEDIATE", NULL, NULL, NULL, error, "");
    if (status)
        return status;
    status = gw_db_run(catalogs->db, "UPDATE catalogs SET state = 2 WHERE hrn = ?", NULL, NULL, &changed,
                       error, "s", hrn);
    if (!status && !changed)
        status = no_catalog(hrn, error);
    if (!status)
        status = gw_db_run(catalogs->db, "UPDATE layers SET state = 2 WHERE hrn = ?", NULL, NULL, NULL, error,
                           "s", hrn);
    if (!status) /* a catalog made again under this HRN is another one */
        status =
            gw_db_run(catalogs->db, "DELETE FROM grants WHERE hrn = ?", NULL, NULL, NULL, error, "s", hrn);
    if (!status)
        status = gw_db_run(catalogs->db, "DELETE FROM marketplace_subscriptions WHERE hrn = ?", NULL, NULL,
                           NULL, error, "s", hrn);
    if (!status)
        status = gw_db_run(catalogs->db, "COMMIT", NULL, NULL, NULL, error, "");
    if (status)
        gw_db_run(catalogs->db, "ROLLBACK", NULL, NULL, NULL, NULL, "");
    return status;
}

sl_status gw_catalogs_condemn(struct gw_catalogs *catalogs, const char *hrn, const char *layer,
                              sl_error *error)
{
    pthread_mutex_lock(&catalogs->change);
    sl_status status = condemn_rows(catalogs, hrn, layer, error);
    if (!status) {
        pthread_rwlock_wrlock(&catalogs->lock);
        remove_from_memory(catalogs, hrn, layer);
        pthread_rwlock_unlock(&catalogs->lock);
    }
    pthread_mutex_unlock(&catalogs->change);
    return status;
}

sl_status gw_catalogs_condemn_begun(struct gw_catalogs *catalogs, const struct gw_layer *layer,
                                    sl_error *error)
{
    pthread_mutex_lock(&catalogs->change);
    sl_status status = gw_db_run(catalogs->db, "UPDATE layers SET state = 2 WHERE cluster = ? AND topic = ?",
                                 NULL, NULL, NULL, error, "ss", layer->cluster, layer->topic);
    pthread_mutex_unlock(&catalogs->change);
    return status;
}

static bool add_topic(void *opaque, sqlite3_stmt *row)
{
    const char *topic = gw_db_text(row, 0), *cluster = gw_db_text(row, 1);
    char *key = key_of(topic, cluster);
    json_t *item = key ? json_pack("{s:s, s:s, s:s, s:b}", "topic", topic, "cluster", cluster, "key", key,
                                   "adopted", sqlite3_column_int(row, 2))
                       : NULL;
    free(key);
    return !json_array_append_new(opaque, item);
}

sl_status gw_catalogs_condemned(struct gw_catalogs *catalogs, const char *hrn, const char *layer,
                                json_t **topics, sl_error *error)
{
    *topics = json_array();
    if (!*topics)
        return sl_error_oom(error);
    pthread_mutex_lock(&catalogs->change);
    sl_status status = gw_db_run(catalogs->db,
                                 "SELECT topic, cluster, adopted FROM layers WHERE state = 2 AND hrn = "
                                 "coalesce(?, hrn) AND id = coalesce(?, id) ORDER BY cluster, topic",
                                 add_topic, *topics, NULL, error, "ss", hrn, layer);
    pthread_mutex_unlock(&catalogs->change);
    if (status) {
        json_decref(*topics);
        *topics = NULL;
    }
    return status;
}

sl_status gw_catalogs_forget_topic(struct gw_catalogs *catalogs, const char *cluster, const char *topic,
                                   sl_error *error)
{
    pthread_mutex_lock(&catalogs->change);
    sl_status status =
        gw_db_run(catalogs->db, "DELETE FROM layers WHERE cluster = ? AND topic = ? AND state = 2", NULL,
                  NULL, NULL, error, "ss", cluster, topic);
    pthread_mutex_unlock(&catalogs->change);
    return status;
}

sl_status gw_catalogs_forget_empty(struct gw_catalogs *catalogs, sl_error *error)
{
    pthread_mutex_lock(&catalogs->change);
    sl_status status = gw_db_run(
        catalogs->db, "DELETE FROM catalogs WHERE state = 2 AND hrn NOT IN (SELECT hrn FROM layers)", NULL,
        NULL, NULL, error, "");
    pthread_mutex_unlock(&catalogs->change);
    return status;
}
