/* {"partitions":[…]}, as publish v2 takes it, to messages. */
#include "gateway/api/publish.h"

#include "base/error.h"
#include "base/text.h"
#include "config/settings.h"
#include "gateway/api/failures.h"
#include "gateway/api/ingest.h"
#include "gateway/store/blobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PREFIX_DIGITS 24
#define CRC_MAX       32
#define ADDED         ((size_t)128) /* bytes: trace id and a blob's checksum */
#define VALUE_BYTES                                                                                          \
    ((size_t)100)               /* that a JSON value takes in memory beside its text, however short that is */
#define VALUES_MAX ((size_t)16) /* of a partition: it has nine members */

struct reading {
    struct gw_partitions *partitions;
    const char *owner; /* whose blobs may be named: NULL: everyone's */
    size_t index;
    char prefix[PREFIX_DIGITS + 1];
    /* Why it cannot be read. */
    int http;
    const char *code;
    char text[512];
};

void gw_partitions_free(struct gw_partitions *partitions)
{
    while (partitions) {
        struct gw_partitions *gone = partitions;
        partitions = gone->next;
        gw_budget_give(gone->gateway->budget, gone->reserved);
        gw_layer_unlink(gone->layer);
        sl_arena_destroy(gone->arena);
        free(gone->list);
        free(gone->hashes);
        free(gone);
    }
}

static bool refuse(struct reading *reading, int http, const char *code, const char *text)
{
    reading->http = http;
    reading->code = code;
    snprintf(reading->text, sizeof reading->text, "\"partitions\"[%zu]: %.400s", reading->index, text);
    return false;
}

static bool out_of_memory(struct reading *reading)
{
    return refuse(reading, 503, "out-of-memory", "the gateway is out of memory");
}

/* A member's text; *text stays NULL where it is not there. */
static bool take_text(struct reading *reading, const json_t *entry, const char *name, const char **text,
                      size_t *size)
{
    const json_t *value = json_object_get(entry, name);
    char why[64];
    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value)) {
        snprintf(why, sizeof why, "\"%s\" must be a text", name);
        return refuse(reading, 400, "bad-partition", why);
    }
    size_t length = json_string_length(value);
    *text = sl_arena_copy(reading->partitions->arena, json_string_value(value), length);
    if (size)
        *size = length;
    return *text || out_of_memory(reading);
}

static bool take_number(struct reading *reading, const json_t *entry, const char *name, int64_t *number)
{
    const json_t *value = json_object_get(entry, name);
    char why[80];
    if (!value || json_is_null(value))
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        snprintf(why, sizeof why, "\"%s\" must be a whole number, 0 or more", name);
        return refuse(reading, 400, "bad-partition", why);
    }
    *number = json_integer_value(value);
    return true;
}

static bool take_data(struct reading *reading, const json_t *entry, struct sl_message *message)
{
    const json_t *value = json_object_get(entry, "data");
    if (!value || json_is_null(value))
        return true;
    struct sl_buffer bytes;
    size_t length = json_string_length(value);
    sl_buffer_init(&bytes, length + 4);
    bool good = json_is_string(value) && sl_base64_decode(&bytes, json_string_value(value), length);
    bool no_memory = bytes.failed;
    char *copy = good ? sl_arena_copy(reading->partitions->arena, bytes.data, bytes.size) : NULL;
    message->payload = copy;
    message->payload_size = bytes.size;
    sl_buffer_free(&bytes);
    if (copy)
        return true;
    return good || no_memory ? out_of_memory(reading)
                             : refuse(reading, 400, "bad-partition", "\"data\" must be base64");
}

static bool name_trace(struct reading *reading, struct sl_message *message)
{
    char trace[PREFIX_DIGITS + 24];
    int size = snprintf(trace, sizeof trace, "%s%08zx", reading->prefix, reading->index);
    message->trace_id = sl_arena_copy(reading->partitions->arena, trace, (size_t)size);
    if (!message->trace_id)
        return out_of_memory(reading);
    if (!message->partition_id) {
        message->partition_id = message->trace_id;
        message->partition_id_size = (size_t)size;
    }
    return true;
}

/* Looks for the blob, and fills what it says of itself. */
static bool check_blob(struct reading *reading, struct sl_message *message)
{
    const struct gw_partitions *partitions = reading->partitions;
    struct gw_blob_info info;
    sl_error error = {0};
    if (gw_blob_find(partitions->gateway->blobs, partitions->layer->key, message->data_handle, reading->owner,
                     &info, &error)) {
        const struct gw_failure *failure = gw_blob_failure_of(&error);
        int http = error.status == SL_NOT_FOUND ? 400 : failure->http; /* 404 is the layer's */
        return refuse(reading, http, failure->code, error.text);
    }
    const char *code, *mismatch = gw_blob_mismatch(partitions->layer, message, &info, &code);
    if (mismatch)
        return refuse(reading, 400, code, mismatch);
    if (message->data_size < 0)
        message->data_size = info.size;
    message->checksum = sl_arena_copy(partitions->arena, info.checksum, strlen(info.checksum));
    return message->checksum || out_of_memory(reading);
}

static bool read_entry(struct reading *reading, const json_t *entry, struct sl_message *message)
{
    sl_message_reset(message);
    if (!json_is_object(entry))
        return refuse(reading, 400, "bad-partition", "it must be an object");
    if (!take_text(reading, entry, "partition", &message->partition_id, &message->partition_id_size) ||
        !take_text(reading, entry, "dataHandle", &message->data_handle, NULL) ||
        !take_text(reading, entry, "checksum", &message->checksum, NULL) ||
        !take_text(reading, entry, "crc", &message->crc, NULL) ||
        !take_number(reading, entry, "dataSize", &message->data_size) ||
        !take_number(reading, entry, "compressedDataSize", &message->compressed_size) ||
        !take_number(reading, entry, "timestamp", &message->timestamp_ms) ||
        !take_data(reading, entry, message) || !name_trace(reading, message))
        return false;
    if (!message->payload && !message->data_handle)
        return refuse(reading, 400, "bad-partition", "it has neither \"data\" nor \"dataHandle\"");
    if (message->crc && !sl_is_token_text(message->crc, CRC_MAX))
        return refuse(reading, 400, "bad-partition",
                      "\"crc\" must be 1 to 32 printable ASCII characters without spaces");
    int http;
    const char *code;
    const char *fault = gw_message_fault(reading->partitions->layer, message, false, &http, &code);
    if (fault)
        return refuse(reading, http, code, fault);
    return !message->data_handle || check_blob(reading, message);
}

static bool read_all(struct reading *reading, const json_t *list)
{
    struct gw_partitions *partitions = reading->partitions;
    size_t count = json_array_size(list);
    partitions->list = calloc(count ? count : 1, sizeof *partitions->list);
    if (!partitions->list || !sl_random_hex(reading->prefix, PREFIX_DIGITS))
        return out_of_memory(reading);
    for (; reading->index < count; reading->index++)
        if (!read_entry(reading, json_array_get(list, reading->index), &partitions->list[reading->index]))
            return false;
    partitions->count = count;
    return true;
}

struct gw_partitions *gw_partitions_new(struct gateway *gateway, struct gw_layer *layer, size_t bytes)
{
    struct gw_partitions *partitions = calloc(1, sizeof *partitions);
    if (!partitions) {
        gw_layer_unlink(layer);
        return NULL;
    }
    partitions->gateway = gateway;
    partitions->layer = layer;
    partitions->arena = sl_arena_create();
    if (partitions->arena && gw_budget_take(gateway->budget, bytes)) {
        partitions->reserved = bytes;
        return partitions;
    }
    gw_partitions_free(partitions);
    return NULL;
}

/* How many values a JSON text has, at most: those that are neither first in a list nor a member come with it.
 */
static size_t count_values(const struct sl_buffer *text)
{
    size_t count = 1;
    bool quoted = false;
    for (size_t i = 0; i < text->size; i++) {
        char c = text->data[i];
        if (c == '"')
            quoted = !quoted;
        else if (quoted && c == '\\')
            i++;
        else if (!quoted && (c == '[' || c == '{' || c == ','))
            count++;
    }
    return count;
}

/* Counts what the body's JSON will take while it is read. False: answered. */
static bool make_room(struct gw_request *request, int64_t max, size_t *room)
{
    const struct gateway *gateway = gw_request_opaque(request);
    size_t values = count_values(gw_request_body(request));
    *room = 0;
    if (values / VALUES_MAX > (size_t)max) {
        gw_respond_errorf(request, 413, "too-many-records", "send fewer at once, or less in each",
                          "%zu JSON values are more than %lld partitions can have, which the gateway takes "
                          "at once",
                          values, (long long)max);
        return false;
    }
    if (!gw_budget_take(gateway->budget, values * VALUE_BYTES)) {
        gw_respond_error(request, 503, "overloaded", GW_BUDGET_FULL,
                         "send again after the time that Retry-After gives");
        return false;
    }
    *room = values * VALUE_BYTES;
    return true;
}

/* The body's list; NULL: the request is answered. *body holds it, and *room what is reserved for it. */
static const json_t *read_body(struct gw_request *request, json_t **body, size_t *room)
{
    const struct gateway *gateway = gw_request_opaque(request);
    const struct sl_buffer *text = gw_request_body(request);
    json_error_t problem;
    int64_t max = gateway->max_batch;
    *body = NULL;
    if (!make_room(request, max, room))
        return NULL;
    *body = json_loadb(text->size ? text->data : "", text->size, JSON_REJECT_DUPLICATES, &problem);
    const json_t *list = json_object_get(*body, "partitions");
    if (!text->size)
        gw_respond_error(request, 400, "bad-json", "the body is empty", "send {\"partitions\":[…]}");
    else if (!*body)
        gw_respond_errorf(request, 400, "bad-json", "send a JSON object",
                          "the body is no JSON: line %d, column %d: %s", problem.line, problem.column,
                          problem.text);
    else if (!json_is_array(list))
        gw_respond_error(request, 400, "bad-body", "the body is not {\"partitions\":[…]}",
                         "send a list of partitions");
    else if (json_array_size(list) > (size_t)max)
        gw_respond_errorf(request, 413, "too-many-records", "send fewer at once",
                          "%zu partitions are more than the gateway takes at once, %lld",
                          json_array_size(list), (long long)max);
    else
        return list;
    return NULL;
}

struct gw_partitions *gw_partitions_read(struct gw_request *request, struct gw_layer *layer)
{
    struct gateway *gateway = gw_request_opaque(request);
    json_t *body;
    size_t room;
    const json_t *list = read_body(request, &body, &room);
    if (!list) {
        json_decref(body);
        gw_budget_give(gateway->budget, room);
        gw_layer_unlink(layer);
        return NULL;
    }
    /* What the messages will take is less than their text, and a message with what we add to it each. */
    size_t bytes =
        gw_request_body(request)->size + json_array_size(list) * (sizeof(struct sl_message) + ADDED);
    struct reading reading = {.owner = gw_request_blob_owner(request, layer),
                              .partitions = gw_partitions_new(gateway, layer, bytes)};
    if (!reading.partitions) {
        gw_respond_error(request, 503, "overloaded", GW_BUDGET_FULL,
                         "send again after the time that Retry-After gives");
    } else if (!read_all(&reading, list)) {
        gw_respond_error(request, reading.http, reading.code, reading.text,
                         "mend it and send all of them again: nothing was taken");
        gw_partitions_free(reading.partitions);
        reading.partitions = NULL;
    }
    json_decref(body);
    gw_budget_give(gateway->budget, room);
    return reading.partitions;
}
