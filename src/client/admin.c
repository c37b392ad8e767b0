/* Administration over config v1: JSON in, objects of the caller's out. */
#include <stddef.h>
#include <stdlib.h>
#include <streamlayer/admin.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "client/client.h"
#include "wire/hrn.h"

struct sl_catalog {
    json_t *value; /* the strings handed out are its */
    char *text;
};

struct sl_catalog_list {
    size_t count;
    struct sl_catalog *catalogs;
};

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* A catalog as the platform may answer it: what the accessors rely on is there and of the right type. */
static sl_status check_catalog(const json_t *value, sl_error *error)
{
    if (!text_of(value, "hrn") || !text_of(value, "id"))
        return sl_error_set(error, SL_PROTOCOL, "the platform answered a catalog without \"hrn\" or \"id\"");
    const json_t *layers = json_object_get(value, "layers");
    if (layers && !json_is_array(layers))
        return sl_error_set(error, SL_PROTOCOL,
                            "the platform answered a catalog whose \"layers\" is no list");
    return SL_OK;
}

/* Takes the reference to value, whatever comes of it. */
static sl_status catalog_fill(struct sl_catalog *catalog, json_t *value, sl_error *error)
{
    sl_status status = check_catalog(value, error);
    if (!status && !(catalog->text = json_dumps(value, JSON_INDENT(2))))
        status = sl_error_oom(error);
    if (status) {
        json_decref(value);
        return status;
    }
    catalog->value = value;
    return SL_OK;
}

static void catalog_clear(struct sl_catalog *catalog)
{
    json_decref(catalog->value);
    free(catalog->text);
}

static sl_status catalog_make(json_t *value, struct sl_catalog **catalog, sl_error *error)
{
    struct sl_catalog *made = calloc(1, sizeof *made);
    if (!made) {
        json_decref(value);
        return sl_error_oom(error);
    }
    sl_status status = catalog_fill(made, value, error);
    if (status)
        free(made);
    else
        *catalog = made;
    return status;
}

/* One call of config v1: the base URL, then path (made by format). in may be NULL and is taken. */
static sl_status call(sl_client *client, const char *method, json_t *in, json_t **out, sl_error *error,
                      const char *format, ...) SL_PRINTF(6, 7);
static sl_status call(sl_client *client, const char *method, json_t *in, json_t **out, sl_error *error,
                      const char *format, ...)
{
    struct sl_buffer url;
    sl_buffer_init(&url, 4096);
    char *base = NULL, *path = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&path, format, arguments) < 0)
        path = NULL;
    va_end(arguments);
    sl_status status =
        path ? sl_client_base_url(client, NULL, "config", "v1", &base, NULL, error) : sl_error_oom(error);
    if (!status) {
        sl_buffer_printf(&url, "%s/%s", base, path);
        status =
            url.failed ? sl_error_oom(error) : sl_client_call_json(client, method, url.data, in, out, error);
    }
    free(base);
    free(path);
    sl_buffer_free(&url);
    json_decref(in);
    return status;
}

/* Takes what is to be sent (NULL: it could not be made). */
static sl_status create(sl_client *client, json_t *in, sl_catalog **catalog, sl_error *error)
{
    if (!in)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "the catalog's name is not UTF-8, or memory is out");
    json_t *out = NULL;
    sl_status status = call(client, "POST", in, &out, error, "catalogs");
    json_object_del(out, "configToken"); /* the change's, not the catalog's */
    if (!status && catalog)
        return catalog_make(out, catalog, error);
    json_decref(out);
    return status;
}

sl_status sl_catalog_create_as(sl_client *client, const sl_catalog_spec *spec, sl_catalog **catalog,
                               sl_error *error)
{
    if (catalog)
        *catalog = NULL;
    sl_status status = sl_client_check(client, error);
    if (!status && (!spec || spec->struct_size < sizeof *spec))
        status = sl_error_set(error, SL_INVALID_ARGUMENT,
                              "sl_catalog_create_as: spec is NULL, or its struct_size is not set");
    if (!status)
        status = sl_catalog_id_check(spec->id, error);
    if (status)
        return status;
    /* A platform without the Marketplace need not hear of it. */
    return create(client,
                  json_pack("{s:s, s:s*, s:o*}", "id", spec->id, "name", spec->name, "marketplace",
                            spec->marketplace ? json_true() : NULL),
                  catalog, error);
}

sl_status sl_catalog_create(sl_client *client, const char *id, const char *name, sl_catalog **catalog,
                            sl_error *error)
{
    const sl_catalog_spec spec = {.struct_size = sizeof spec, .id = id, .name = name};
    return sl_catalog_create_as(client, &spec, catalog, error);
}

sl_status sl_catalog_get(sl_client *client, const char *hrn, sl_catalog **catalog, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (!status && !catalog)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_catalog_get: catalog is NULL");
    if (!status)
        status = sl_hrn_check(hrn, error);
    if (status)
        return status;
    *catalog = NULL;
    json_t *out = NULL;
    status = call(client, "GET", NULL, &out, error, "catalogs/%s", hrn);
    return status ? status : catalog_make(out, catalog, error);
}

static sl_status list_fill(struct sl_catalog_list *list, const json_t *items, sl_error *error)
{
    size_t count = json_array_size(items);
    list->catalogs = calloc(count ? count : 1, sizeof *list->catalogs);
    if (!list->catalogs)
        return sl_error_oom(error);
    for (size_t i = 0; i < count; i++) {
        sl_status status = catalog_fill(&list->catalogs[i], json_incref(json_array_get(items, i)), error);
        if (status)
            return status;
        list->count++;
    }
    return SL_OK;
}

sl_status sl_catalog_list_get(sl_client *client, sl_catalog_list **list, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (!status && !list)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_catalog_list_get: list is NULL");
    if (status)
        return status;
    *list = NULL;
    json_t *out = NULL;
    status = call(client, "GET", NULL, &out, error, "catalogs");
    if (status)
        return status;
    const json_t *items = json_object_get(json_object_get(out, "results"), "items");
    struct sl_catalog_list *made = calloc(1, sizeof *made);
    if (!made)
        status = sl_error_oom(error);
    else if (!json_is_array(items))
        status = sl_error_set(error, SL_PROTOCOL, "the platform answered no list of catalogs");
    else
        status = list_fill(made, items, error);
    json_decref(out);
    if (status)
        sl_catalog_list_destroy(&made);
    else
        *list = made;
    return status;
}

sl_status sl_catalog_delete(sl_client *client, const char *hrn, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (!status)
        status = sl_hrn_check(hrn, error);
    return status ? status : call(client, "DELETE", NULL, NULL, error, "catalogs/%s", hrn);
}

/* Adds name: value where value is given. false: no memory, or not UTF-8. */
static bool put_text(json_t *object, const char *name, const char *value)
{
    return !value || !json_object_set_new(object, name, json_string(value));
}

static bool put_number(json_t *object, const char *name, int64_t value)
{
    return !value || !json_object_set_new(object, name, json_integer(value));
}

static json_t *layer_json(const sl_layer_spec *spec)
{
    json_t *properties = json_object();
    json_t *layer = json_pack("{s:s}", "layerType", "stream");
    bool good = properties && layer && put_text(layer, "id", spec->id) &&
                put_text(layer, "name", spec->name) && put_text(layer, "contentType", spec->content_type) &&
                put_text(layer, "contentEncoding", spec->content_encoding) &&
                put_text(layer, "cluster", spec->cluster) && put_text(layer, "topic", spec->topic) &&
                put_number(layer, "ttl", spec->ttl_ms) &&
                put_number(properties, "parallelization", spec->parallelization) &&
                put_number(properties, "dataInThroughputKbps", spec->in_kbps) &&
                put_number(properties, "dataOutThroughputKbps", spec->out_kbps) &&
                !json_object_set(layer, "streamProperties", properties);
    json_decref(properties);
    if (good)
        return layer;
    json_decref(layer);
    return NULL;
}

/* What the struct ended with before it grew. */
#define FIRST_SPEC_SIZE offsetof(sl_layer_spec, cluster)

/* A spec of any version as one of this one. */
static sl_status take_spec(const sl_layer_spec *given, const char *function, sl_layer_spec *spec,
                           sl_error *error)
{
    if (!given || given->struct_size < FIRST_SPEC_SIZE)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "%s: the sl_layer_spec is NULL, or its struct_size is not sizeof(sl_layer_spec)",
                            function);
    *spec = (sl_layer_spec){0};
    memcpy(spec, given, given->struct_size < sizeof *spec ? given->struct_size : sizeof *spec);
    return SL_OK;
}

sl_status sl_layer_create(sl_client *client, const char *hrn, const sl_layer_spec *given, sl_error *error)
{
    sl_layer_spec whole, *spec = &whole;
    sl_status status = sl_client_check(client, error);
    if (!status)
        status = take_spec(given, "sl_layer_create", spec, error);
    if (!status)
        status = sl_hrn_check(hrn, error);
    if (!status)
        status = sl_layer_id_check(spec->id, error);
    if (!status && (!spec->content_type || !*spec->content_type))
        status = sl_error_set(error, SL_INVALID_ARGUMENT,
                              "the layer needs a content type: the media type of its payloads, for example "
                              "application/json");
    if (status)
        return status;
    json_t *in = layer_json(spec);
    if (!in)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "a text of the layer is not UTF-8, or memory is out");
    return call(client, "POST", in, NULL, error, "catalogs/%s/layers", hrn);
}

/* What of a layer can be changed, and is to be. */
static json_t *changes_json(const sl_layer_spec *changes)
{
    json_t *properties = json_object(), *layer = json_object();
    bool good = properties && layer && put_text(layer, "name", changes->name) &&
                put_number(layer, "ttl", changes->ttl_ms) &&
                put_number(properties, "parallelization", changes->parallelization) &&
                put_number(properties, "dataInThroughputKbps", changes->in_kbps) &&
                put_number(properties, "dataOutThroughputKbps", changes->out_kbps) &&
                !json_object_set(layer, "streamProperties", properties);
    json_decref(properties);
    if (good)
        return layer;
    json_decref(layer);
    return NULL;
}

sl_status sl_layer_update(sl_client *client, const char *hrn, const char *layer, const sl_layer_spec *changes,
                          sl_error *error)
{
    sl_layer_spec spec;
    sl_status status = sl_client_check(client, error);
    if (!status)
        status = take_spec(changes, "sl_layer_update", &spec, error);
    if (!status)
        status = sl_hrn_check(hrn, error);
    if (!status)
        status = sl_layer_id_check(layer, error);
    if (status)
        return status;
    json_t *in = changes_json(&spec);
    if (!in)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "the layer's name is not UTF-8, or memory is out");
    return call(client, "PATCH", in, NULL, error, "catalogs/%s/layers/%s", hrn, layer);
}

sl_status sl_layer_delete(sl_client *client, const char *hrn, const char *layer, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (!status)
        status = sl_hrn_check(hrn, error);
    if (!status)
        status = sl_layer_id_check(layer, error);
    return status ? status : call(client, "DELETE", NULL, NULL, error, "catalogs/%s/layers/%s", hrn, layer);
}

void sl_catalog_destroy(sl_catalog **catalog)
{
    if (!catalog || !*catalog)
        return;
    catalog_clear(*catalog);
    free(*catalog);
    *catalog = NULL;
}

void sl_catalog_list_destroy(sl_catalog_list **list)
{
    if (!list || !*list)
        return;
    for (size_t i = 0; i < (*list)->count; i++)
        catalog_clear(&(*list)->catalogs[i]);
    free((*list)->catalogs);
    free(*list);
    *list = NULL;
}

size_t sl_catalog_list_count(const sl_catalog_list *list)
{
    return list ? list->count : 0;
}

const sl_catalog *sl_catalog_list_at(const sl_catalog_list *list, size_t index)
{
    return list && index < list->count ? &list->catalogs[index] : NULL;
}

const char *sl_catalog_hrn(const sl_catalog *catalog)
{
    return catalog ? text_of(catalog->value, "hrn") : NULL;
}

const char *sl_catalog_id(const sl_catalog *catalog)
{
    return catalog ? text_of(catalog->value, "id") : NULL;
}

const char *sl_catalog_name(const sl_catalog *catalog)
{
    return catalog ? text_of(catalog->value, "name") : NULL;
}

bool sl_catalog_marketplace(const sl_catalog *catalog)
{
    return catalog && json_is_true(json_object_get(catalog->value, "marketplace"));
}

static const json_t *layer_at(const sl_catalog *catalog, size_t index)
{
    return catalog ? json_array_get(json_object_get(catalog->value, "layers"), index) : NULL;
}

size_t sl_catalog_layer_count(const sl_catalog *catalog)
{
    return catalog ? json_array_size(json_object_get(catalog->value, "layers")) : 0;
}

static int number_of(const json_t *object, const char *name)
{
    json_int_t number = json_integer_value(json_object_get(object, name));
    return number < 0 || number > INT32_MAX ? 0 : (int)number;
}

bool sl_catalog_layer_at(const sl_catalog *catalog, size_t index, sl_layer_spec *spec)
{
    const json_t *layer = layer_at(catalog, index);
    if (!layer || !spec || spec->struct_size < FIRST_SPEC_SIZE)
        return false;
    size_t size = spec->struct_size < sizeof *spec ? spec->struct_size : sizeof *spec;
    const json_t *properties = json_object_get(layer, "streamProperties");
    const sl_layer_spec found = {
        .struct_size = spec->struct_size,
        .id = text_of(layer, "id"),
        .name = text_of(layer, "name"),
        .content_type = text_of(layer, "contentType"),
        .content_encoding = text_of(layer, "contentEncoding"),
        .parallelization = number_of(properties, "parallelization"),
        .in_kbps = number_of(properties, "dataInThroughputKbps"),
        .out_kbps = number_of(properties, "dataOutThroughputKbps"),
        .ttl_ms = json_integer_value(json_object_get(layer, "ttl")),
        .cluster = text_of(layer, "cluster"),
        .topic = text_of(layer, "topic"),
    };
    memcpy(spec, &found, size);
    return true;
}

bool sl_catalog_layer_adopted(const sl_catalog *catalog, size_t index)
{
    return json_is_true(json_object_get(layer_at(catalog, index), "adopted"));
}

const char *sl_catalog_layer_topic(const sl_catalog *catalog, size_t index)
{
    return text_of(layer_at(catalog, index), "topic");
}

const char *sl_catalog_json(const sl_catalog *catalog)
{
    return catalog ? catalog->text : NULL;
}
