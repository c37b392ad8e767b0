/* publish v2: messages by their metadata, one request's at a time or gathered in publications. Bodies are
 * read on the disk's workers, since blobs are looked for; what is written is written on the request's loop.
 */
#include "gateway/api/publish.h"

#include "base/error.h"
#include "base/time.h"
#include "gateway/api/failures.h"
#include "gateway/api/intake.h"
#include "gateway/api/metering.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS_MAX 1000
#define BODY_MAX   ((size_t)1 << 20) /* of what is read on the loop */

/* A request on its way: to the worker that reads it, back to its loop, and through the writing. */
struct call {
    struct gw_job job; /* first */
    struct gw_task task;
    struct gw_publishing publishing;
    struct gw_request *request;
    struct gateway *gateway;
    struct gw_layer *layer;             /* linked, until it is read */
    struct gw_publication *publication; /* linked; NULL: straight into the layer */
    struct gw_partitions *partitions;
};

static void out_of_memory(struct gw_request *request)
{
    gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
}

static struct call *call_new(struct gw_request *request)
{
    struct call *call = calloc(1, sizeof *call);
    if (!call) {
        out_of_memory(request);
        return NULL;
    }
    call->request = request;
    call->gateway = gw_request_opaque(request);
    return call;
}

static void call_free(struct call *call)
{
    if (call->publication)
        gw_publication_unlink(call->gateway->publications, call->publication);
    gw_meter_unlink(call->publishing.meter);
    gw_layer_unlink(call->layer);
    free(call);
}

void gw_publish_respond_failure(struct gw_request *request, const struct gw_publishing *publishing,
                                size_t count)
{
    if (publishing->status == SL_THROTTLED) {
        char cause[400];
        snprintf(cause, sizeof cause, "%s (%zu of %zu messages are in their layers)", publishing->text,
                 publishing->written, count);
        gw_respond_error_after(request, 429, "throttled", cause, GW_SEND_LESS, publishing->after_s);
        return;
    }
    const struct gw_failure *failure = gw_failure_of(publishing->status, publishing->retriable);
    gw_respond_errorf(request, failure->http, failure->code, failure->action,
                      "%s (%zu of %zu messages are in their layers)", publishing->text, publishing->written,
                      count);
}

static size_t count_all(const struct gw_partitions *partitions)
{
    size_t count = 0;
    for (; partitions; partitions = partitions->next)
        count += partitions->count;
    return count;
}

/* The request ends without its answer, with the loop. It must not be answered before it has ended. */
static void give_up(struct gw_task *task)
{
    gw_publish_give_up(&((struct call *)(void *)((char *)task - offsetof(struct call, task)))->publishing);
}

static void abandoned(void *data)
{
    struct call *call = data;
    call->task.run = give_up;
    gw_loop_post(gw_request_loop(call->request), &call->task);
}

/* --- Straight into the layer --- */

static void partitions_written(struct gw_publishing *publishing)
{
    struct call *call = (struct call *)(void *)((char *)publishing - offsetof(struct call, publishing));
    gw_request_set_data(call->request, NULL, NULL);
    if (publishing->status)
        gw_publish_respond_failure(call->request, publishing, call->partitions->count);
    else
        gw_respond(call->request, 204, NULL, "", 0, NULL, NULL);
    gw_partitions_free(call->partitions);
    call_free(call);
}

static void write_partitions(struct gw_task *task)
{
    struct call *call = (struct call *)(void *)((char *)task - offsetof(struct call, task));
    call->publishing.done = partitions_written;
    gw_request_set_data(call->request, call, abandoned);
    if (gw_publish_write(call->gateway, gw_request_loop(call->request), gw_request_application(call->request),
                         call->partitions, &call->publishing)) {
        gw_request_set_data(call->request, NULL, NULL);
        out_of_memory(call->request);
        gw_partitions_free(call->partitions);
        call_free(call);
    }
}

static void read_partitions(struct gw_job *job)
{
    struct call *call = (struct call *)(void *)job;
    call->partitions = gw_partitions_read(call->request, call->layer);
    call->layer = NULL;
    if (!call->partitions) {
        call_free(call);
        return;
    }
    call->task.run = write_partitions;
    gw_loop_post(gw_request_loop(call->request), &call->task);
}

static void post_partitions(struct gw_request *request)
{
    struct gw_layer *layer = gw_request_layer(request);
    struct call *call = layer && gw_intake_admits(request, layer) ? call_new(request) : NULL;
    if (!call) {
        gw_layer_unlink(layer);
        return;
    }
    call->layer = layer;
    call->publishing.meter = gw_request_meter(request);
    call->job.run = read_partitions;
    gw_work_post(call->gateway->disk_workers, gw_request_application(request), &call->job);
}

/* --- Publications --- */

/* Linked; NULL: the request is answered. */
static struct gw_publication *find_publication(struct gw_request *request)
{
    struct gateway *gateway = gw_request_opaque(request);
    const char *id = gw_request_parameter(request, "id");
    struct gw_publication *publication =
        gw_publications_find(gateway->publications, id, gw_request_application(request),
                             gw_request_parameter(request, "hrn"), sl_wall_ms());
    if (!publication)
        gw_respond_errorf(request, 404, "no-such-publication",
                          "begin anew: publications last an hour, and end with the gateway",
                          "there is no publication %.100s", id);
    return publication;
}

/* An array of the catalog's layers; NULL: the request is answered. */
static json_t *read_layer_ids(struct gw_request *request)
{
    struct gateway *gateway = gw_request_opaque(request);
    const struct sl_buffer *text = gw_request_body(request);
    json_error_t problem;
    json_t *body = json_loadb(text->size ? text->data : "", text->size, JSON_REJECT_DUPLICATES, &problem);
    json_t *list = json_object_get(body, "layerIds");
    size_t count = json_array_size(list);
    const char *fault = NULL;
    if (!body)
        fault = text->size ? "the body is no JSON" : "the body is empty";
    else if (!count || count > LAYERS_MAX)
        fault = "\"layerIds\" must be a list of 1 to 1000 layers' ids";
    for (size_t i = 0; i < count && !fault; i++)
        if (!json_is_string(json_array_get(list, i)))
            fault = "\"layerIds\" must be texts";
    if (fault) {
        gw_respond_error(request, 400, body ? "bad-body" : "bad-json", fault,
                         "send {\"layerIds\":[\"LAYER\",…]}");
        json_decref(body);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const char *id = json_string_value(json_array_get(list, i));
        const char *hrn = gw_request_parameter(request, "hrn");
        bool catalog_exists;
        struct gw_layer *layer = gw_catalogs_find(gateway->catalogs, hrn, id, &catalog_exists);
        gw_layer_unlink(layer);
        if (!layer) {
            gw_respond_errorf(request, 404, catalog_exists ? "no-such-layer" : "no-such-catalog",
                              "create it first, or correct the name",
                              "there is no layer %.200s of catalog %s", id, hrn);
            json_decref(body);
            return NULL;
        }
    }
    json_incref(list);
    json_decref(body);
    return list;
}

static void begin_publication(struct gw_request *request)
{
    struct gateway *gateway = gw_request_opaque(request);
    json_t *layer_ids = read_layer_ids(request);
    if (!layer_ids)
        return;
    struct gw_publication *publication;
    sl_error error = {0};
    sl_status status = gw_publications_begin(gateway->publications, gw_request_application(request),
                                             gw_request_parameter(request, "hrn"), layer_ids, sl_wall_ms(),
                                             &publication, &error);
    if (status == SL_THROTTLED || status == SL_QUEUE_FULL) {
        gw_respond_error(request, status == SL_THROTTLED ? 429 : 503, "too-many-publications", error.text,
                         status == SL_THROTTLED
                             ? "submit some (PUT …/publications/{publication}) or give them up (DELETE); one "
                               "that nobody touches ends after an hour"
                             : "send again after the time that Retry-After gives; whoever operates the "
                               "gateway can raise the limit");
    } else if (status) {
        out_of_memory(request);
    } else {
        gw_respond_json(request, 200, gw_publication_json(gateway->publications, publication));
        gw_publication_unlink(gateway->publications, publication);
    }
}

static void show_publication(struct gw_request *request)
{
    struct gateway *gateway = gw_request_opaque(request);
    struct gw_publication *publication = find_publication(request);
    if (!publication)
        return;
    gw_respond_json(request, 200, gw_publication_json(gateway->publications, publication));
    gw_publication_unlink(gateway->publications, publication);
}

/* The SDK for TypeScript says who it is in every call. */
static bool is_typescript_sdk(const struct gw_request *request)
{
    static const char name[] = "OLP-TS-SDK-";
    const char *sent_with = gw_request_query(request, "sentWith");
    return sent_with && !strncmp(sent_with, name, sizeof name - 1);
}

static void delete_publication(struct gw_request *request)
{
    struct gateway *gateway = gw_request_opaque(request);
    struct gw_publication *publication = find_publication(request);
    if (!publication)
        return;
    gw_publications_remove(gateway->publications, publication);
    gw_publication_unlink(gateway->publications, publication);
    /* 204, and nothing else, is what the SDK for C++ takes; the one for TypeScript reads JSON. */
    if (is_typescript_sdk(request))
        gw_respond_json(request, 200, json_object());
    else
        gw_respond(request, 204, NULL, "", 0, NULL, NULL);
}

static void gather_partitions(struct gw_job *job)
{
    struct call *call = (struct call *)(void *)job;
    sl_error error = {0};
    struct gw_partitions *partitions = gw_partitions_read(call->request, call->layer);
    call->layer = NULL;
    if (partitions) {
        sl_status status =
            gw_publication_add(call->gateway->publications, call->publication, partitions, &error);
        if (!status)
            gw_respond(call->request, 204, NULL, "", 0, NULL, NULL);
        else if (status == SL_CONFLICT)
            gw_respond_error(call->request, 409, "publication-closed", error.text, "begin another one");
        else
            gw_respond_error(call->request, status == SL_THROTTLED ? 429 : 503,
                             status == SL_THROTTLED ? "too-many-publications" : "overloaded", error.text,
                             "submit some of them, or store the payloads as blobs and name their handles");
        if (status)
            gw_partitions_free(partitions);
    }
    call_free(call);
}

static void upload_partitions(struct gw_request *request)
{
    struct gateway *gateway = gw_request_opaque(request);
    struct gw_layer *layer = gw_request_layer(request);
    struct gw_publication *publication =
        layer && gw_intake_admits(request, layer) ? find_publication(request) : NULL;
    struct call *call = NULL;
    if (publication && !gw_publication_has_layer(publication, layer->id))
        gw_respond_errorf(request, 400, "layer-not-in-publication",
                          "begin a publication whose layerIds name the layer",
                          "layer %s is none of the publication's", layer->id);
    else if (publication)
        call = call_new(request);
    if (call) {
        call->layer = layer;
        call->publication = publication;
        call->job.run = gather_partitions;
        gw_work_post(gateway->disk_workers, gw_request_application(request), &call->job);
        return;
    }
    if (publication)
        gw_publication_unlink(gateway->publications, publication);
    gw_layer_unlink(layer);
}

static void submitted(struct gw_publishing *publishing)
{
    struct call *call = (struct call *)(void *)((char *)publishing - offsetof(struct call, publishing));
    struct gw_submitter self = {.request = call->request}, *each;
    size_t count = count_all(call->partitions);
    gw_request_set_data(call->request, NULL, NULL);
    gw_publication_submitted(call->gateway->publications, call->publication, call->partitions,
                             !publishing->status, &self.next);
    for (each = &self; each;) {
        struct gw_submitter *next = each->next;
        if (publishing->status)
            gw_publish_respond_failure(each->request, publishing, count);
        else
            gw_respond(each->request, 204, NULL, "", 0, NULL, NULL);
        if (each != &self)
            free(each);
        each = next;
    }
    call_free(call);
}

/* It is being submitted already: the outcome is this one's, too. */
static void join(struct call *call)
{
    struct gw_submitter *submitter = malloc(sizeof *submitter);
    if (submitter)
        submitter->request = call->request;
    if (!submitter) {
        out_of_memory(call->request);
    } else if (!gw_publication_join(call->gateway->publications, call->publication, submitter)) {
        free(submitter);
        gw_respond_error(call->request, 503, "publication-busy", "the publication has just been submitted",
                         "send again");
    }
    call_free(call);
}

/* The path names no layer: it is counted as a call on the first of the publication's that is there, and on
 * the others that messages go to. False: answered. */
static bool count_submit(struct call *call)
{
    const char *id, *hrn = gw_request_parameter(call->request, "hrn");
    struct gw_layer *layer = NULL;
    bool exists;
    for (size_t i = 0; !layer && (id = gw_publication_layer(call->publication, i)); i++)
        layer = gw_catalogs_find(call->gateway->catalogs, hrn, id, &exists);
    bool good = !layer || gw_meter_begin(call->request, layer);
    gw_layer_unlink(layer);
    return good;
}

static void submit(struct gw_request *request)
{
    struct call *call = call_new(request);
    if (!call)
        return;
    call->publication = find_publication(request);
    if (!call->publication) {
        call_free(call);
        return;
    }
    if (!count_submit(call)) {
        call_free(call);
        return;
    }
    struct gw_publications *publications = call->gateway->publications;
    switch (gw_publication_submit(publications, call->publication, &call->partitions)) {
    case GW_PUBLICATION_DONE: /* the answer was lost */
        gw_respond(request, 204, NULL, "", 0, NULL, NULL);
        call_free(call);
        break;
    case GW_PUBLICATION_SUBMITTING:
        join(call);
        break;
    default:
        call->publishing.done = submitted;
        call->publishing.meter = gw_request_meter(request);
        gw_request_set_data(request, call, abandoned);
        if (gw_publish_write(call->gateway, gw_request_loop(request), gw_request_application(request),
                             call->partitions, &call->publishing)) {
            call->publishing.status = SL_OUT_OF_MEMORY;
            snprintf(call->publishing.text, sizeof call->publishing.text, "the gateway is out of memory");
            submitted(&call->publishing);
        }
    }
}

#define PUBLISH "/publish/v2/catalogs/{hrn}"

const struct gw_route gw_publish_routes[] = {
    {.method = "POST",
     .pattern = PUBLISH "/publications",
     .max_body = BODY_MAX,
     .handle = begin_publication,
     .access = GW_ACCESS_WRITE,
     .name = "publish.begin"},
    {.method = "GET",
     .pattern = PUBLISH "/publications/{id}",
     .handle = show_publication,
     .access = GW_ACCESS_WRITE,
     .name = "publish.show"},
    {.method = "PUT",
     .pattern = PUBLISH "/publications/{id}",
     .max_body = BODY_MAX,
     .handle = submit,
     .access = GW_ACCESS_WRITE,
     .counted = GW_COUNTED_IN,
     .name = "publish.submit"},
    {.method = "DELETE",
     .pattern = PUBLISH "/publications/{id}",
     .handle = delete_publication,
     .access = GW_ACCESS_WRITE,
     .name = "publish.delete"},
    {.method = "POST",
     .pattern = PUBLISH "/layers/{layer}/publications/{id}/partitions",
     .handle = upload_partitions,
     .access = GW_ACCESS_WRITE,
     .counted = GW_COUNTED_IN,
     .name = "publish.upload"},
    {.method = "POST",
     .pattern = PUBLISH "/layers/{layer}/partitions",
     .handle = post_partitions,
     .access = GW_ACCESS_WRITE,
     .counted = GW_COUNTED_IN,
     .name = "publish.partitions"},
};
const size_t gw_publish_route_count = sizeof gw_publish_routes / sizeof *gw_publish_routes;
