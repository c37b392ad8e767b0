/*
 * ingest v1: POST /layers/{layer}/sdiiMessageList, a list of SDII messages, each of which becomes a message
 * of the layer. All of it is looked at on a worker before the first is written; the writing is publish's.
 *
 * The messages' trace ids are made of the request's, so a list that is sent again is known message by
 * message.
 */
#include "gateway/api/ingest.h"

#include "base/text.h"
#include "gateway/api/failures.h"
#include "gateway/api/intake.h"
#include "gateway/api/metering.h"
#include "gateway/api/publish.h"
#include "gateway/api/sdii_list.h"
#include "wire/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MEDIA         "application/x-protobuf"
#define TRACE_MAX     128
#define INDEX_MAX     12 /* characters behind a prefix: a dash and digits */
#define PREFIX_DIGITS 32
#define ANSWER_HEAD   (2 * TRACE_MAX + 64)
#define ANSWER_EACH   4 /* bytes of the answer beside an id: quotes and a comma */

struct sdii {
    struct gw_job job; /* first */
    struct gw_task task;
    struct gw_publishing publishing;
    struct gw_request *request;
    struct gateway *gateway;
    struct gw_layer *layer; /* linked, until the partitions have it */
    const char *checksum;   /* the request's; NULL: none */
    bool repeatable;        /* its client gave the trace id */
    struct gw_sdii_limits limits;
    struct gw_sdii_list *list; /* whose memory the payloads are */
    struct gw_partitions *partitions;
    struct sl_buffer answer;
    char parent[TRACE_MAX + 1];
};

static void sdii_free(struct sdii *sdii)
{
    gw_partitions_free(sdii->partitions);
    gw_sdii_list_free(&sdii->list);
    sl_buffer_free(&sdii->answer);
    gw_meter_unlink(sdii->publishing.meter);
    gw_layer_unlink(sdii->layer);
    free(sdii);
}

static bool out_of_memory(const struct sdii *sdii)
{
    gw_respond_error(sdii->request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
    return false;
}

static bool overloaded(const struct sdii *sdii)
{
    gw_respond_error(sdii->request, 503, "overloaded", GW_BUDGET_FULL,
                     "send again after the time that Retry-After gives");
    return false;
}

/* --- Writing: on the request's loop --- */

/* The request ends without its answer, with the loop. It must not be answered before it has ended. */
static void give_up(struct gw_task *task)
{
    gw_publish_give_up(&((struct sdii *)(void *)((char *)task - offsetof(struct sdii, task)))->publishing);
}

static void abandoned(void *data)
{
    struct sdii *sdii = data;
    sdii->task.run = give_up;
    gw_loop_post(gw_request_loop(sdii->request), &sdii->task);
}

static void list_written(struct gw_publishing *publishing)
{
    struct sdii *sdii = (struct sdii *)(void *)((char *)publishing - offsetof(struct sdii, publishing));
    gw_request_set_data(sdii->request, NULL, NULL);
    if (publishing->status)
        gw_publish_respond_failure(sdii->request, publishing, sdii->partitions->count);
    else
        gw_respond_buffer(sdii->request, 200, "application/json", &sdii->answer);
    sdii_free(sdii);
}

static void write_list(struct gw_task *task)
{
    struct sdii *sdii = (struct sdii *)(void *)((char *)task - offsetof(struct sdii, task));
    sdii->publishing.done = list_written;
    gw_request_set_data(sdii->request, sdii, abandoned);
    if (!gw_publish_write(sdii->gateway, gw_request_loop(sdii->request), sdii->partitions->application,
                          sdii->partitions, &sdii->publishing))
        return;
    gw_request_set_data(sdii->request, NULL, NULL);
    out_of_memory(sdii);
    sdii_free(sdii);
}

/* --- Reading: on a worker --- */

static bool reserve(void *opaque, size_t bytes)
{
    return gw_budget_take(opaque, bytes);
}

static void release(void *opaque, size_t bytes)
{
    gw_budget_give(opaque, bytes);
}

static bool check_checksum(const struct sdii *sdii)
{
    const struct sl_buffer *body = gw_request_body(sdii->request);
    char actual[65];
    if (!sdii->checksum)
        return true;
    if (sl_sha256_hex(body->size ? body->data : "", body->size, actual) &&
        !strcasecmp(actual, sdii->checksum))
        return true;
    gw_respond_error(sdii->request, 400, "checksum-mismatch",
                     "the list does not have the SHA-256 that was given: nothing was stored",
                     "send the list that the checksum was made of");
    return false;
}

static bool take_list(struct sdii *sdii)
{
    const struct sl_buffer *body = gw_request_body(sdii->request);
    char text[GW_SDII_TEXT_MAX];
    sdii->limits = (struct gw_sdii_limits){.max_messages = (size_t)sdii->gateway->max_batch,
                                           .max_message = SL_PAYLOAD_INLINE_MAX,
                                           .reserve = reserve,
                                           .release = release,
                                           .opaque = sdii->gateway->budget};
    switch (gw_sdii_list_read(body->data, body->size, &sdii->limits, &sdii->list, text)) {
    case GW_SDII_READ:
        return true;
    case GW_SDII_MALFORMED:
        gw_respond_error(sdii->request, 400, "malformed-sdii", text,
                         "send an SDII MessageList as protobuf writes it; nothing was stored");
        return false;
    case GW_SDII_TOO_LARGE:
        gw_respond_error(sdii->request, 413, "payload-too-large", text,
                         "leave it out, or make it smaller; nothing was stored");
        return false;
    case GW_SDII_TOO_MANY:
        gw_respond_error(sdii->request, 413, "too-many-records", text,
                         "send fewer at once; nothing was stored");
        return false;
    case GW_SDII_NO_ROOM:
        return overloaded(sdii);
    default:
        return out_of_memory(sdii);
    }
}

/* What the messages' ids begin with: the parent's, or where that leaves no room, what is made of it. */
static bool make_prefix(const struct sdii *sdii, char prefix[TRACE_MAX + 1])
{
    char hash[65];
    size_t length = strlen(sdii->parent);
    if (length <= TRACE_MAX - INDEX_MAX) {
        memcpy(prefix, sdii->parent, length + 1);
        return true;
    }
    bool good = sl_sha256_hex(sdii->parent, length, hash);
    snprintf(prefix, TRACE_MAX + 1, "%.*s", PREFIX_DIGITS, good ? hash : "");
    return good;
}

/* As JSON has it within quotes. Ids are printable ASCII, so there is little to escape. */
static void append_id(struct sl_buffer *buffer, const char *id)
{
    for (const char *c = id; *c;) {
        size_t plain = strcspn(c, "\"\\");
        sl_buffer_append(buffer, c, plain);
        c += plain;
        if (*c) {
            const char escaped[2] = {'\\', *c++};
            sl_buffer_append(buffer, escaped, sizeof escaped);
        }
    }
}

static bool fill_message(struct sdii *sdii, const char *prefix, size_t index)
{
    struct gw_partitions *partitions = sdii->partitions;
    struct sl_message *message = &partitions->list[index];
    char id[TRACE_MAX + 1];
    int length = snprintf(id, sizeof id, "%s-%zu", prefix, index);
    sl_message_reset(message);
    message->payload = gw_sdii_list_message(sdii->list, index, &message->payload_size);
    message->trace_id = sl_arena_copy(partitions->arena, id, (size_t)length);
    message->partition_id = message->trace_id;
    message->partition_id_size = (size_t)length;
    sl_buffer_append_text(&sdii->answer, index ? ",\"" : "\"");
    append_id(&sdii->answer, id);
    sl_buffer_append_text(&sdii->answer, "\"");
    return message->trace_id && (!partitions->hashes || sl_sha256_hex(message->payload, message->payload_size,
                                                                      partitions->hashes[index]));
}

/* The messages, and the answer for when they are written. */
static bool fill(struct sdii *sdii, const char *prefix)
{
    struct gw_partitions *partitions = sdii->partitions;
    size_t count = gw_sdii_list_count(sdii->list);
    partitions->list = calloc(count ? count : 1, sizeof *partitions->list);
    if (sdii->repeatable)
        partitions->hashes = calloc(count ? count : 1, sizeof *partitions->hashes);
    if (!partitions->list || (sdii->repeatable && !partitions->hashes))
        return out_of_memory(sdii);
    sl_buffer_append_text(&sdii->answer, "{\"TraceID\":{\"ParentID\":\"");
    append_id(&sdii->answer, sdii->parent);
    sl_buffer_append_text(&sdii->answer, "\",\"GeneratedIDs\":[");
    for (size_t i = 0; i < count; i++)
        if (!fill_message(sdii, prefix, i))
            return out_of_memory(sdii);
    sl_buffer_append_text(&sdii->answer, "]}}");
    partitions->count = count;
    return !sdii->answer.failed || out_of_memory(sdii);
}

static bool make_messages(struct sdii *sdii)
{
    char prefix[TRACE_MAX + 1];
    if (!make_prefix(sdii, prefix))
        return out_of_memory(sdii);
    /* An id is in the arena and, with each character escaped at worst, in the answer. */
    size_t each = sizeof(struct sl_message) + 3 * (strlen(prefix) + INDEX_MAX) + ANSWER_EACH;
    if (sdii->repeatable)
        each += sizeof *sdii->partitions->hashes;
    size_t bytes = ANSWER_HEAD + gw_sdii_list_count(sdii->list) * each;
    sl_buffer_init(&sdii->answer, bytes);
    sdii->partitions = gw_partitions_new(sdii->gateway, sdii->layer, bytes);
    sdii->layer = NULL;
    if (!sdii->partitions)
        return overloaded(sdii);
    sdii->partitions->application = gw_request_application(sdii->request);
    return fill(sdii, prefix);
}

static void read_list(struct gw_job *job)
{
    struct sdii *sdii = (struct sdii *)(void *)job;
    if (!check_checksum(sdii) || !take_list(sdii) || !make_messages(sdii)) {
        sdii_free(sdii);
        return;
    }
    sdii->task.run = write_list;
    gw_loop_post(gw_request_loop(sdii->request), &sdii->task);
}

/* --- The request --- */

static bool check_content(struct gw_request *request, const struct gw_layer *layer)
{
    const char *type = gw_request_header(request, "Content-Type");
    if (!type || !gw_media_is(type, MEDIA)) {
        gw_respond_errorf(request, 415, "wrong-content-type", "send the list as protobuf, with this type",
                          "an SDII list has Content-Type: " MEDIA "; this request has %.100s",
                          type ? type : "none");
        return false;
    }
    if (!gw_media_is(layer->content_type, MEDIA) || layer->content_encoding) {
        gw_respond_errorf(
            request, 415, layer->content_encoding ? "wrong-content-encoding" : "wrong-content-type",
            "use a layer with the content type " MEDIA " and no content encoding",
            "layer %s takes no SDII lists: its content type is %s, and its content encoding %s", layer->id,
            layer->content_type, layer->content_encoding ? layer->content_encoding : "none");
        return false;
    }
    const char *encoding = gw_request_header(request, "Content-Encoding");
    if (!encoding || !strcasecmp(encoding, "identity"))
        return true;
    gw_respond_error(request, 415, "wrong-content-encoding", "an SDII list comes without Content-Encoding",
                     "send the list as it is");
    return false;
}

/* What the headers say of the list. False: answered. */
static bool take_headers(struct sdii *sdii)
{
    struct gw_request *request = sdii->request;
    const char *trace = gw_request_header(request, "X-HERE-TraceId");
    sdii->checksum = gw_request_header(request, "X-HERE-Checksum");
    int http;
    const char *code, *fault;
    const struct sl_message parts = {.trace_id = trace, .timestamp_ms = -1};
    fault = gw_message_fault(sdii->layer, &parts, false, &http, &code);
    if (!fault && sdii->checksum && !sl_is_sha256_hex(sdii->checksum)) {
        code = "bad-checksum";
        fault = GW_CHECKSUM_FAULT;
    }
    if (fault) {
        gw_respond_error(request, 400, code, fault, "mend the request's headers");
        return false;
    }
    sdii->repeatable = trace != NULL;
    if (trace)
        snprintf(sdii->parent, sizeof sdii->parent, "%s", trace);
    else
        gw_loop_make_id(gw_request_loop(request), sdii->parent);
    return true;
}

void gw_sdii_post(struct gw_request *request)
{
    struct gw_layer *layer = gw_request_layer(request);
    if (!layer)
        return;
    struct sdii *sdii = calloc(1, sizeof *sdii);
    if (!sdii) {
        gw_layer_unlink(layer);
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
        return;
    }
    sdii->job.run = read_list;
    sdii->request = request;
    sdii->gateway = gw_request_opaque(request);
    sdii->layer = layer;
    sdii->publishing.meter = gw_request_meter(request);
    if (check_content(request, layer) && take_headers(sdii) && gw_intake_admits(request, layer))
        gw_work_post(sdii->gateway->disk_workers, gw_request_application(request), &sdii->job);
    else
        sdii_free(sdii);
}
