/* config v1: catalogs. What changes something runs on a worker. */
#include "gateway/api/config.h"

#include "base/error.h"
#include "base/text.h"
#include "wire/hrn.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 1000
#define LIST_DEFAULT   1000
#define LIST_MAX       1000000
#define LAYERS_MAX     1000 /* in one request */

void gw_config_free(struct gw_config_call *change)
{
    json_decref(change->body);
    free(change->specs);
    free(change);
}

void gw_config_respond(struct gw_config_call *change, int status, json_t *value)
{
    if (value && json_object_set_new(value, "configToken", json_string(GW_CONFIG_COMPLETED))) {
        json_decref(value);
        value = NULL;
    }
    gw_respond_json(change->request, status, value);
}

void gw_config_fail(struct gw_config_call *change, const sl_error *error)
{
    struct gw_request *request = change->request;
    if (change->failure) {
        gw_respond_error(request, change->failure->http, change->failure->code, error->text,
                         change->failure->action);
        return;
    }
    if (error->status != SL_NOT_FOUND) {
        gw_respond_failure(request, error);
        return;
    }
    bool catalog = change->hrn && gw_catalogs_exists(change->gateway->catalogs, change->hrn);
    gw_respond_error(request, 404, catalog ? "no-such-layer" : "no-such-catalog", error->text,
                     catalog
                         ? "correct the layer's id; those that there are: streamlayer layer list, or GET "
                           "/config/v1/catalogs/{hrn}"
                         : "correct the catalog's HRN; those that there are: streamlayer catalog list, or "
                           "GET /config/v1/catalogs");
}

static void refuse(struct gw_request *request, const char *cause)
{
    gw_respond_error(request, 400, "bad-request", cause, "correct the request and send it again");
}

/* The body as a JSON object; NULL when the request is answered. */
static json_t *json_body(struct gw_request *request)
{
    const struct sl_buffer *body = gw_request_body(request);
    json_error_t problem;
    if (!body->size) {
        gw_respond_error(request, 400, "bad-json", "the body is empty", "send a JSON object");
        return NULL;
    }
    json_t *value = json_loadb(body->data, body->size, JSON_REJECT_DUPLICATES, &problem);
    if (json_is_object(value))
        return value;
    if (value)
        refuse(request, "the body is JSON, but no object");
    else
        gw_respond_errorf(request, 400, "bad-json", "send a JSON object",
                          "the body is no JSON: line %d, column %d: %s", problem.line, problem.column,
                          problem.text);
    json_decref(value);
    return NULL;
}

sl_status gw_check_members(const json_t *body, const char *const *known, size_t count, sl_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        size_t i = 0;
        while (i < count && strcmp(name, known[i]) != 0)
            i++;
        if (i == count)
            return sl_error_set(error, SL_INVALID_ARGUMENT, "\"%.40s\" is not known here", name);
    }
    return SL_OK;
}

struct gw_config_call *gw_config_new(struct gw_request *request, void (*run)(struct gw_job *job),
                                     bool with_body)
{
    json_t *body = with_body ? json_body(request) : NULL;
    if (with_body && !body)
        return NULL;
    struct gw_config_call *change = calloc(1, sizeof *change);
    if (!change) {
        json_decref(body);
        gw_respond_json(request, 500, NULL);
        return NULL;
    }
    change->job.run = run;
    change->request = request;
    change->gateway = gw_request_opaque(request);
    change->hrn = gw_request_parameter(request, "hrn");
    change->layer = gw_request_parameter(request, "layer");
    change->body = body;
    change->until_ms = gw_kafka_deadline_ms(change->gateway);
    return change;
}

static sl_status read_name(struct gw_config_call *change, const char *otherwise, sl_error *error)
{
    const json_t *name = json_object_get(change->body, "name");
    change->name = name && !json_is_null(name) ? json_string_value(name) : otherwise;
    if (!change->name || !*change->name || strlen(change->name) > NAME_MAX_BYTES)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "\"name\" must be a text of 1 to %d bytes",
                            NAME_MAX_BYTES);
    return SL_OK;
}

static sl_status read_marketplace(struct gw_config_call *change, sl_error *error)
{
    const json_t *value = json_object_get(change->body, "marketplace");
    change->sets_marketplace = value != NULL;
    change->marketplace = json_is_true(value);
    return !value || json_is_boolean(value)
               ? SL_OK
               : sl_error_set(error, SL_INVALID_ARGUMENT, "\"marketplace\" must be true or false");
}

static sl_status read_specs(struct gw_config_call *change, const json_t *layers, sl_error *error)
{
    if (!layers || json_is_null(layers))
        return SL_OK;
    if (!json_is_array(layers))
        return sl_error_set(error, SL_INVALID_ARGUMENT, "\"layers\" must be a list of layers");
    size_t count = json_array_size(layers);
    if (count > LAYERS_MAX)
        return sl_error_set(
            error, SL_INVALID_ARGUMENT,
            "\"layers\" has %zu layers: at most %d in one request; make the others one by one "
            "with POST …/layers",
            count, LAYERS_MAX);
    change->specs = calloc(count ? count : 1, sizeof *change->specs);
    if (!change->specs)
        return sl_error_oom(error);
    for (size_t i = 0; i < count; i++) {
        sl_status status =
            gw_layer_spec_read(json_array_get(layers, i), change->marketplace, &change->specs[i], error);
        for (size_t j = 0; j < i && !status; j++)
            if (!strcmp(change->specs[i].id, change->specs[j].id))
                status = sl_error_set(error, SL_INVALID_ARGUMENT, "the id \"%s\" is there twice",
                                      change->specs[i].id);
        if (status) {
            sl_error_prefix(error, "\"layers\"[%zu]", i);
            return status;
        }
        change->spec_count++;
    }
    return SL_OK;
}

void gw_config_go_on(struct gw_config_call *change, sl_status status, const sl_error *error)
{
    if (!status) {
        gw_work_post(change->gateway->workers, gw_request_application(change->request), &change->job);
        return;
    }
    gw_config_fail(change, error);
    gw_config_free(change);
}

bool gw_config_may_adopt(struct gw_request *request, const struct gw_layer_spec *specs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (specs[i].topic && !gw_request_may(request, GW_ACCESS_ADMIN)) {
            gw_respond_error(request, 403, "forbidden",
                             "the application may not adopt topics (\"topic\"): that is an administrator's",
                             "leave \"topic\" out, so that the layer gets a topic of its own, or ask an "
                             "administrator to make the layer");
            return false;
        }
    return true;
}

/* A catalog's grants came or went with it. Where they cannot be read now, the watch does it (api/watch.c). */
void gw_note_grants(struct gateway *gateway)
{
    sl_error error = {0};
    if (gw_access_refresh(gateway->access, false, &error))
        SL_WARNING(&gateway->log, "grants cannot be read anew: %s", error.text);
    if (gw_market_refresh(gateway->market, &error))
        SL_WARNING(&gateway->log, "Marketplace subscriptions cannot be read anew: %s", error.text);
}

static void run_create_catalog(struct gw_job *job)
{
    struct gw_config_call *change = (struct gw_config_call *)job;
    struct gateway *gateway = change->gateway;
    sl_error error = {0};
    char *hrn = sl_printf("%s%s", GW_HRN_PREFIX, change->id);
    sl_status status = hrn ? gw_catalogs_create(gateway->catalogs, change->id, change->name,
                                                change->marketplace, change->creator, &error)
                           : sl_error_oom(&error);
    bool made = !status, exists;
    if (made)
        gw_note_grants(gateway);
    for (size_t i = 0; i < change->spec_count && !status; i++) {
        struct gw_layer *layer;
        status = gw_make_layer(change, hrn, &change->specs[i], &layer, &error);
        gw_layer_unlink(layer);
    }
    if (status) {
        if (made) { /* all or nothing */
            gw_catalogs_condemn(gateway->catalogs, hrn, NULL, NULL);
            gw_note_grants(gateway);
            gw_config_clean(gateway, hrn, NULL, change->until_ms, NULL);
        }
        gw_config_fail(change, &error);
    } else {
        gw_audit(change->request, "created the catalog %s with %zu layers", hrn, change->spec_count);
        if (change->spec_count) /* what Kafka does not take now it takes later */
            gw_acl_settle(gateway->acls, NULL, change->until_ms, NULL);
        gw_config_respond(change, 201, gw_catalogs_json(gateway->catalogs, hrn, &exists));
    }
    free(hrn);
    gw_config_free(change);
}

static void create_catalog(struct gw_request *request)
{
    struct gw_config_call *change = gw_config_new(request, run_create_catalog, true);
    if (!change)
        return;
    sl_error error = {0};
    const json_t *id = json_object_get(change->body, "id");
    change->id = json_string_value(id);
    change->creator = gw_request_application(request);
    sl_status status = change->id
                           ? sl_catalog_id_check(change->id, &error)
                           : sl_error_set(&error, SL_INVALID_ARGUMENT,
                                          json_is_null(id) || !id ? "\"id\" is missing: the catalog's id"
                                                                  : "\"id\" must be a text");
    if (!status)
        status = read_name(change, change->id, &error);
    if (!status)
        status = read_marketplace(change, &error);
    if (!status)
        status = read_specs(change, json_object_get(change->body, "layers"), &error);
    if (status || gw_config_may_adopt(request, change->specs, change->spec_count))
        gw_config_go_on(change, status, &error);
    else
        gw_config_free(change);
}

static void no_catalog(struct gw_request *request, const char *hrn)
{
    gw_respond_errorf(request, 404, "no-such-catalog",
                      "create the catalog first (streamlayer catalog create, or POST "
                      "/config/v1/catalogs), or correct its HRN",
                      "there is no catalog %s", hrn);
}

/* The catalog that the URL names (NULL: out of memory); false, and the request is answered: there is none. */
static bool find_catalog(struct gw_request *request, json_t **value)
{
    struct gateway *gateway = gw_request_opaque(request);
    const char *hrn = gw_request_parameter(request, "hrn");
    bool exists;
    *value = gw_catalogs_json(gateway->catalogs, hrn, &exists);
    if (!exists)
        no_catalog(request, hrn);
    return exists;
}

void gw_config_hide(const struct gw_request *request, const char *hrn, bool marketplace, json_t *layer)
{
    if (!layer || gw_sees_topics(gw_request_account(request), hrn, marketplace))
        return;
    json_object_del(layer, "topic");
    json_object_del(layer, "cluster");
}

/* The same of a whole catalog. */
static void hide(const struct gw_request *request, const json_t *catalog)
{
    size_t index;
    json_t *layer;
    json_array_foreach(json_object_get(catalog, "layers"), index, layer)
        gw_config_hide(request, json_string_value(json_object_get(catalog, "hrn")),
                       json_is_true(json_object_get(catalog, "marketplace")), layer);
}

static void get_catalog(struct gw_request *request)
{
    json_t *value;
    if (!find_catalog(request, &value))
        return;
    hide(request, value);
    gw_respond_json(request, 200, value);
}

/* Adds what SDKs have of each catalog: its own address, and its name as "title". */
static bool add_summaries(json_t *items, const char *public_url)
{
    size_t index;
    json_t *item;
    json_array_foreach(items, index, item)
    {
        const char *hrn = json_string_value(json_object_get(item, "hrn"));
        if (json_object_set_new(item, "href", json_sprintf("%s/config/v1/catalogs/%s", public_url, hrn)) ||
            json_object_set(item, "title", json_object_get(item, "name")) ||
            json_object_set_new(item, "type", json_string("urn:olp-types:catalog")))
            return false;
    }
    return true;
}

static bool has_right_on(const void *opaque, const char *hrn)
{
    const struct gw_request *request = opaque;
    return gw_looking_rights(gw_request_opaque(request), gw_request_account(request), hrn) &
           SL_RIGHTS_CATALOG;
}

/* Those that the application has a right on. */
static void list_catalogs(struct gw_request *request)
{
    struct gateway *gateway = gw_request_opaque(request);
    const char *limit_text = gw_request_query(request, "limit");
    int64_t limit = LIST_DEFAULT;
    if (limit_text && !sl_parse_int(limit_text, 1, LIST_MAX, &limit)) {
        gw_respond_errorf(request, 400, "bad-request", "leave limit out, or give a number in that range",
                          "limit must be a number from 1 to %d, not \"%s\"", LIST_MAX, limit_text);
        return;
    }
    char *next;
    json_t *items = gw_catalogs_list_json(gateway->catalogs, gw_request_query(request, "pageToken"),
                                          (size_t)limit, has_right_on, request, &next);
    struct sl_buffer url;
    sl_buffer_init(&url, 1000);
    json_t *list = NULL, *item;
    size_t index;
    json_array_foreach(items, index, item) hide(request, item);
    if (items && gw_request_public_url(request, &url) && add_summaries(items, url.data))
        list = json_pack("{s:{s:O}, s:s*}", "results", "items", items, "nextPageToken", next);
    json_decref(items);
    sl_buffer_free(&url);
    free(next);
    gw_respond_json(request, 200, list);
}

static void run_update(struct gw_job *job)
{
    static const struct gw_failure fixed = {409, "marketplace-is-fixed",
                                            "make another catalog with \"marketplace\" as it is to be "
                                            "(streamlayer catalog create --marketplace), and "
                                            "carry the messages over (streamlayer pipe)"};
    struct gw_config_call *change = (struct gw_config_call *)job;
    sl_error error = {0};
    json_t *value;
    sl_status status = gw_catalogs_update(change->gateway->catalogs, change->hrn, change->name,
                                          change->sets_marketplace ? &change->marketplace : NULL, &error);
    if (status == SL_CONFLICT)
        change->failure = &fixed;
    if (status) {
        gw_config_fail(change, &error);
    } else {
        gw_audit(change->request, "changed the catalog %s:%s%.200s%s%s", change->hrn,
                 change->name ? " its name is " : "", change->name ? change->name : "",
                 change->sets_marketplace && change->name ? "," : "",
                 !change->sets_marketplace ? ""
                 : change->marketplace     ? " it is on the Marketplace"
                                           : " it is not on the Marketplace");
        if (find_catalog(change->request, &value)) /* not deleted meanwhile */
            gw_config_respond(change, 200, value);
    }
    gw_config_free(change);
}

/* PATCH and PUT: the name, and whether it is on the Marketplace as long as nothing is in it. */
static void update_catalog(struct gw_request *request)
{
    struct gw_config_call *change = gw_config_new(request, run_update, true);
    if (!change)
        return;
    sl_error error = {0};
    sl_status status = read_marketplace(change, &error);
    if (!status && (!change->sets_marketplace || json_object_get(change->body, "name")))
        status = read_name(change, NULL, &error);
    gw_config_go_on(change, status, &error);
}

static void delete_catalog(struct gw_request *request)
{
    struct gw_config_call *change = gw_config_new(request, gw_run_delete, false);
    if (change)
        gw_config_go_on(change, SL_OK, NULL);
}

static void get_status(struct gw_request *request)
{
    if (strcmp(gw_request_parameter(request, "status"), GW_CONFIG_COMPLETED))
        gw_respond_error(request, 404, "not-found", "no change has this token",
                         "give the configToken that a change was answered with");
    else
        gw_respond_json(request, 200, json_pack("{s:s}", "status", "success"));
}

#define CATALOGS "/config/v1/catalogs"
#define BODY_MAX ((size_t)1024 * 1024)

const struct gw_route gw_config_routes[] = {
    {.method = "POST",
     .pattern = CATALOGS,
     .max_body = BODY_MAX,
     .handle = create_catalog,
     .access = GW_ACCESS_CREATE,
     .name = "config.create"},
    {.method = "GET",
     .pattern = CATALOGS,
     .handle = list_catalogs,
     .access = GW_ACCESS_NONE,
     .name = "config.list"},
    {.method = "GET",
     .pattern = CATALOGS "/{hrn}",
     .handle = get_catalog,
     .access = GW_ACCESS_ANY,
     .name = "config.get"},
    {.method = "PATCH",
     .pattern = CATALOGS "/{hrn}",
     .max_body = BODY_MAX,
     .handle = update_catalog,
     .access = GW_ACCESS_MANAGE,
     .name = "config.update"},
    {.method = "PUT",
     .pattern = CATALOGS "/{hrn}",
     .max_body = BODY_MAX,
     .handle = update_catalog,
     .access = GW_ACCESS_MANAGE,
     .name = "config.update"},
    {.method = "DELETE",
     .pattern = CATALOGS "/{hrn}",
     .handle = delete_catalog,
     .access = GW_ACCESS_MANAGE,
     .name = "config.delete"},
    {.method = "GET",
     .pattern = GW_CONFIG_STATUS "{status}",
     .handle = get_status,
     .access = GW_ACCESS_NONE,
     .name = "config.status"},
};
const size_t gw_config_route_count = sizeof gw_config_routes / sizeof *gw_config_routes;
