/*
 * ingest v1: POST /layers/{layer}. One message is the body itself, with what goes with it in headers; a batch
 * is a CBOR sequence. One route for both: the headers tell which it is. A body over 1 MiB goes to disk while
 * it arrives, and its message carries the blob's handle.
 */
#include "gateway/api/ingest.h"

#include "base/text.h"
#include "base/time.h"
#include "gateway/api/failures.h"
#include "gateway/api/intake.h"
#include "gateway/api/metering.h"
#include "gateway/api/upload.h"
#include "gateway/broker/repeats.h"
#include "wire/gzip_header.h"
#include "wire/record.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TRACE_MAX       128
#define HANDLE_DIGITS   32
#define KEY_INLINE      128
#define HEADER_NAME_MAX 128
#define USER_PREFIX     "X-SL-Header-"

struct single {
    struct gw_ingest ingest; /* first */
    struct gw_write write;
    struct gw_request *request;
    struct gateway *gateway;
    struct gw_layer *layer;
    struct gw_meter *meter;
    struct gw_repeat repeat;
    struct gw_intake intake;
    bool writing;             /* a report or a decision is to come */
    bool ended;               /* the request is gone: the report frees */
    bool first;               /* the repeat is to be settled */
    bool kept;                /* the blob is there */
    bool overdue;             /* answered, whatever comes of it */
    int64_t until_ms;         /* when it is, once the message is whole */
    struct gw_timer deadline; /* while it waits for Kafka, by itself or for the first of repeats */

    /* What the request's headers say; theirs. */
    const char *content_type, *content_encoding, *content_length;
    const char *checksum_given, *trace_given, *key_given, *timestamp_given;
    bool user_headers, out_of_memory;

    struct sl_message message;
    struct sl_buffer body;
    struct gw_upload *upload; /* a body over 1 MiB; NULL: in memory */
    int64_t uploaded;
    size_t reserved;
    char *key;
    char key_inline[KEY_INLINE];
    char checksum[65];
    char trace[TRACE_MAX + 1];
    char handle[HANDLE_DIGITS + 1];
    char answer[2 * TRACE_MAX + 32];
};

const char *gw_message_fault(const struct gw_layer *layer, const struct sl_message *message, bool foreign,
                             int *http, const char **code)
{
    *http = 400;
    if (message->partition_id && !foreign) {
        *code = "bad-message-key";
        long length = message->partition_id_size > (size_t)4 * SL_PARTITION_ID_MAX
                          ? SL_PARTITION_ID_MAX + 1L
                          : sl_utf8_length(message->partition_id, message->partition_id_size);
        if (length < 0)
            return "the partition id (message key) is not UTF-8";
        if (length == 0 || length > SL_PARTITION_ID_MAX)
            return "the partition id (message key) must have 1 to 500 characters";
    }
    *code = "bad-timestamp";
    const char *timestamp = message->timestamp_ms < 0
                                ? NULL
                                : sl_timestamp_fault(message->timestamp_ms, sl_wall_ms(), layer->ttl_ms);
    if (timestamp)
        return timestamp;
    *code = "bad-trace-id";
    if (message->trace_id && !sl_is_token_text(message->trace_id, TRACE_MAX))
        return "the trace id must be 1 to 128 printable ASCII characters without spaces";
    *code = "bad-data-handle";
    if (message->data_handle && !gw_handle_ok(message->data_handle))
        return "a data handle has 1 to 128 characters of A-Z a-z 0-9 . _ -";
    *code = "data-handle-refused";
    if (message->data_handle && message->payload)
        return "a message has a payload or a data handle, not both";
    *code = "bad-user-header";
    for (size_t i = 0; i < message->header_count; i++) {
        const char *name = message->headers[i].name;
        if (!foreign && !sl_is_http_token(name, HEADER_NAME_MAX))
            return "a user header's name must be an HTTP token of 1 to 128 characters";
        if (!strncasecmp(name, SL_KAFKA_HEADER_PREFIX, strlen(SL_KAFKA_HEADER_PREFIX)))
            return "a user header's name must not begin with sl-";
    }
    if (message->payload_size > SL_PAYLOAD_INLINE_MAX) {
        *http = 413;
        *code = "payload-too-large";
        return "the payload is over 1 MiB (1048576 bytes): send it as one message in a request of its own, "
               "or "
               "store it as a blob and name its data handle";
    }
    *code = "not-gzip";
    const char *gzip = layer->content_encoding && message->payload
                           ? sl_gzip_fault(message->payload, message->payload_size, true)
                           : NULL;
    if (gzip)
        return gzip;
    if (message->checksum) {
        *code = "bad-checksum";
        if (!sl_is_sha256_hex(message->checksum))
            return GW_CHECKSUM_FAULT;
        char actual[65];
        *code = "checksum-mismatch";
        if (message->data_handle)
            return NULL; /* the blob's: who looks for it compares */
        if (!sl_sha256_hex(message->payload ? message->payload : "", message->payload_size, actual) ||
            strcasecmp(actual, message->checksum))
            return "the payload does not have the SHA-256 that was given: nothing was stored";
    }
    return NULL;
}

const char *gw_blob_mismatch(const struct gw_layer *layer, const struct sl_message *message,
                             const struct gw_blob_info *info, const char **code)
{
    *code = "size-mismatch";
    /* With a content encoding it may be the size of what was compressed. */
    if (message->data_size >= 0 && message->data_size != info->size && !layer->content_encoding)
        return "the blob does not have the size that was given";
    *code = "checksum-mismatch";
    return message->checksum && strcasecmp(message->checksum, info->checksum) != 0
               ? "the blob does not have the SHA-256 that was given"
               : NULL;
}

/* Frees what the message was made of: Kafka's producer has its copy. */
static void drop_parts(struct single *single)
{
    for (size_t i = 0; i < single->message.header_count; i++)
        free((void *)(uintptr_t)single->message.headers[i].value);
    free(single->message.headers);
    single->message.headers = NULL;
    single->message.header_count = single->message.header_capacity = 0;
    if (single->key != single->key_inline)
        free(single->key);
    single->key = NULL;
    sl_buffer_free(&single->body);
    gw_budget_give(single->gateway->budget, single->reserved);
    single->reserved = 0;
}

static void settle(struct single *single, bool done, sl_offset offset)
{
    if (single->first)
        gw_repeats_settle(single->gateway->repeats, &single->repeat, done, offset);
    single->first = false;
}

static void single_free(void *data)
{
    struct single *single = data;
    if (!single->ended)
        gw_timer_cancel(gw_request_loop(single->request), &single->deadline);
    if (single->writing) { /* it is overdue, or the server stops without a drain: the report is to come */
        single->ended = true;
        return;
    }
    if (!gw_intake_end(&single->intake, single_free, single))
        return;
    settle(single, false, (sl_offset){-1, -1});
    gw_upload_drop(single->upload);
    drop_parts(single);
    gw_meter_unlink(single->meter);
    gw_layer_unlink(single->layer);
    free(single);
}

/* One pass over the headers: cheaper than a search for each. */
static bool pick_header(void *opaque, const char *name, const char *value)
{
    struct single *single = opaque;
    switch (*name | 0x20) {
    case 'c':
        if (!strcasecmp(name, "Content-Type"))
            single->content_type = value;
        else if (!strcasecmp(name, "Content-Encoding"))
            single->content_encoding = value;
        else if (!strcasecmp(name, "Content-Length"))
            single->content_length = value;
        break;
    case 'x':
        if (!strcasecmp(name, "X-HERE-Checksum"))
            single->checksum_given = value;
        else if (!strcasecmp(name, "X-HERE-TraceId"))
            single->trace_given = value;
        else if (!strcasecmp(name, "X-HERE-Message-Key"))
            single->key_given = value;
        else if (!single->gateway->extended)
            break;
        else if (!strcasecmp(name, "X-SL-Timestamp"))
            single->timestamp_given = value;
        else if (!strncasecmp(name, USER_PREFIX, sizeof USER_PREFIX - 1))
            single->user_headers = true;
        break;
    default:
        break;
    }
    return true;
}

static bool pick_user_header(void *opaque, const char *name, const char *value)
{
    struct single *single = opaque;
    struct sl_message *message = &single->message;
    if (strncasecmp(name, USER_PREFIX, sizeof USER_PREFIX - 1))
        return true;
    if (message->header_count == message->header_capacity) {
        size_t capacity = message->header_capacity ? message->header_capacity * 2 : 8;
        struct sl_header *headers = realloc(message->headers, capacity * sizeof *headers);
        if (!headers) {
            single->out_of_memory = true;
            return false;
        }
        message->headers = headers;
        message->header_capacity = capacity;
    }
    char *decoded = sl_strdup(value);
    long size = decoded ? sl_percent_decode(decoded) : -1;
    if (size < 0) {
        single->out_of_memory = !decoded;
        single->user_headers = false; /* broken */
        free(decoded);
        return false;
    }
    message->headers[message->header_count++] =
        (struct sl_header){name + sizeof USER_PREFIX - 1, decoded, (size_t)size};
    return true;
}

static bool refuse(struct single *single, int http, const char *code, const char *cause, const char *action)
{
    gw_respond_error(single->request, http, code, cause, action);
    return false;
}

static bool check_content(struct single *single)
{
    const struct gw_layer *layer = single->layer;
    const char *type = single->content_type;
    if (!type || !gw_media_is(type, layer->content_type)) {
        gw_respond_errorf(single->request, 415, "wrong-content-type",
                          "send the layer's content type, or a batch as " SL_MEDIA_CBOR_SEQ,
                          "layer %s takes Content-Type: %s; this request has %s", layer->id,
                          layer->content_type, type ? type : "none");
        return false;
    }
    const char *encoding = single->content_encoding;
    if (encoding && !strcasecmp(encoding, "identity"))
        encoding = NULL;
    const char *wanted = layer->content_encoding;
    if (!encoding == !wanted && (!encoding || !strcasecmp(encoding, wanted)))
        return true;
    gw_respond_errorf(single->request, 415, "wrong-content-encoding", "send the payload as the layer has it",
                      "layer %s takes Content-Encoding: %s; this request has %s", layer->id,
                      wanted ? wanted : "none", encoding ? encoding : "none");
    return false;
}

static bool take_key(struct single *single)
{
    size_t size = strlen(single->key_given) + 1;
    single->key = size <= KEY_INLINE ? single->key_inline : malloc(size);
    if (!single->key)
        return refuse(single, 503, "out-of-memory", "the gateway is out of memory", "send again later");
    memcpy(single->key, single->key_given, size);
    long decoded = sl_percent_decode(single->key);
    if (decoded < 0)
        return refuse(single, 400, "bad-message-key", "X-HERE-Message-Key has a broken %-escape",
                      "percent-encode the key's UTF-8");
    single->message.partition_id = single->key;
    single->message.partition_id_size = (size_t)decoded;
    return true;
}

static bool take_parts(struct single *single)
{
    struct sl_message *message = &single->message;
    message->checksum = single->checksum_given;
    message->trace_id = single->trace_given;
    if (!single->trace_given) {
        gw_loop_make_id(gw_request_loop(single->request), single->trace);
        message->trace_id = single->trace;
    }
    if (single->key_given) {
        if (!take_key(single))
            return false;
    } else {
        message->partition_id = message->trace_id;
        message->partition_id_size = strlen(message->trace_id);
        single->write.anywhere = !single->trace_given;
    }
    if (single->timestamp_given &&
        !sl_parse_int(single->timestamp_given, 0, INT64_MAX, &message->timestamp_ms))
        return refuse(single, 400, "bad-timestamp",
                      "X-SL-Timestamp must be milliseconds since 1970-01-01 UTC", "send a whole number");
    if (single->user_headers) {
        gw_request_each_header(single->request, pick_user_header, single);
        if (single->out_of_memory)
            return refuse(single, 503, "out-of-memory", "the gateway is out of memory", "send again later");
        if (!single->user_headers)
            return refuse(single, 400, "bad-user-header",
                          "the value of an X-SL-Header-… has a broken %-escape",
                          "percent-encode the value's bytes");
    }
    return true;
}

static bool refuse_size(struct single *single)
{
    gw_respond_errorf(
        single->request, 413, "body-too-large",
        "store it by the blob API, and name its data handle in a publication; or ask whoever operates "
        "the gateway to raise streamlayer.gateway.limits.body",
        "the message is over the limit of %lld bytes (limits.body)", (long long)single->gateway->max_body);
    return false;
}

static void upload_changed(void *owner, enum gw_upload_state state);

static bool start_upload(struct single *single)
{
    single->upload = gw_upload_begin(single->request, single->layer, upload_changed, single);
    return single->upload || refuse(single, 503, "overloaded", GW_BUDGET_FULL,
                                    "send again after the time that Retry-After gives");
}

/* Everything that can be said before the body is there. */
static bool check_message(struct single *single)
{
    int http;
    const char *code;
    struct sl_message parts = single->message;
    parts.checksum = NULL;
    const char *fault = gw_message_fault(single->layer, &parts, false, &http, &code);
    if (fault)
        return refuse(single, http, code, fault, "mend the request's headers");
    if (single->checksum_given && !sl_is_sha256_hex(single->checksum_given))
        return refuse(single, 400, "bad-checksum", GW_CHECKSUM_FAULT, "correct X-HERE-Checksum");
    int64_t length;
    gw_request_bound_body(single->request, single->gateway->max_body);
    if (!sl_parse_int(single->content_length, 0, INT64_MAX, &length))
        return true;
    if (length > single->gateway->max_body)
        return refuse_size(single);
    single->intake.whole = length;
    return length <= SL_PAYLOAD_INLINE_MAX || start_upload(single);
}

static void begin(struct gw_request *request)
{
    struct gw_layer *layer = gw_request_layer(request);
    if (!layer)
        return;
    struct single *single = calloc(1, sizeof *single);
    if (!single) {
        gw_layer_unlink(layer);
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
        return;
    }
    single->request = request;
    single->gateway = gw_request_opaque(request);
    gw_request_each_header(request, pick_header, single);
    if (single->gateway->extended && single->content_type &&
        gw_media_is(single->content_type, SL_MEDIA_CBOR_SEQ)) {
        free(single);
        gw_batch_begin(request, layer);
        return;
    }
    single->layer = layer;
    single->meter = gw_request_meter(request);
    sl_message_reset(&single->message);
    sl_buffer_init(&single->body, SL_PAYLOAD_INLINE_MAX);
    gw_intake_begin(&single->intake, request);
    gw_request_set_data(request, single, single_free);
    if (check_content(single) && take_parts(single) && gw_intake_admits(request, layer))
        check_message(single);
}

static bool is_batch(const struct gw_request *request)
{
    const struct gw_ingest *ingest = gw_request_data(request);
    return ingest->batch;
}

static size_t take_large(struct single *single, const char *piece, size_t size)
{
    size_t taken = gw_upload_data(single->upload, piece, size);
    gw_intake_untaken(&single->intake, size - taken);
    single->uploaded += (int64_t)taken;
    return taken;
}

static size_t data(struct gw_request *request, const char *piece, size_t size)
{
    if (is_batch(request))
        return gw_batch_data(request, piece, size);
    struct single *single = gw_request_data(request);
    if (single->intake.held_up && gw_request_is_deserted(request)) {
        refuse(single, 429, "throttled",
               "the client has gone while its message waited for the layer's throughput",
               GW_SEND_LESS); /* for the log */
    } else if ((int64_t)size > single->gateway->max_body - single->uploaded - (int64_t)single->body.size) {
        refuse_size(single);
    } else if (!gw_intake_pay(&single->intake, single->layer, size)) {
        return 0;
    } else if (single->upload) {
        return take_large(single, piece, size);
    } else if (size > SL_PAYLOAD_INLINE_MAX - single->body.size) {
        if (start_upload(single)) {
            single->uploaded = (int64_t)single->body.size;
            gw_upload_start_with(single->upload, &single->body);
            return take_large(single, piece, size);
        }
    } else if (!gw_budget_take(single->gateway->budget, size)) {
        refuse(single, 503, "overloaded", GW_BUDGET_FULL, "send again after the time that Retry-After gives");
    } else {
        single->reserved += size;
        if (!sl_buffer_append(&single->body, piece, size))
            refuse(single, 503, "out-of-memory", "the gateway is out of memory", "send again later");
    }
    return size;
}

/* {"TraceID":"…"}: a trace id is printable ASCII, so there is little to escape. */
static size_t write_answer(struct single *single)
{
    char *out = single->answer;
    memcpy(out, "{\"TraceID\":\"", 12);
    out += 12;
    for (const char *c = single->trace; *c; c++) {
        if (*c == '"' || *c == '\\')
            *out++ = '\\';
        *out++ = *c;
    }
    memcpy(out, "\"}", 2);
    return (size_t)(out + 2 - single->answer);
}

static void answer(struct single *single)
{
    gw_respond(single->request, 200, "application/json", single->answer, write_answer(single), NULL, NULL);
}

struct forgetting {
    struct gw_job job; /* first */
    struct gateway *gateway;
    struct gw_layer *layer;
    char handle[GW_HANDLE_MAX + 1];
};

static void run_forget(struct gw_job *job)
{
    struct forgetting *forgetting = (struct forgetting *)(void *)job;
    sl_error error;
    if (gw_blob_remove(forgetting->gateway->blobs, forgetting->layer->key, forgetting->handle, &error))
        SL_WARNING(&forgetting->gateway->log, "a blob that no message names stays until its ttl is over: %s",
                   error.text);
    gw_layer_unlink(forgetting->layer);
    free(forgetting);
}

void gw_blob_forget(struct gateway *gateway, struct gw_layer *layer, const char *handle)
{
    struct forgetting *forgetting = calloc(1, sizeof *forgetting);
    if (!forgetting)
        return; /* it goes with its ttl */
    forgetting->job.run = run_forget;
    forgetting->gateway = gateway;
    forgetting->layer = gw_layer_link(layer);
    snprintf(forgetting->handle, sizeof forgetting->handle, "%s", handle);
    if (gw_work_try(gateway->disk_workers, NULL, &forgetting->job))
        return;
    gw_layer_unlink(layer);
    free(forgetting); /* likewise */
}

/* Kafka does not have it, or not for certain: then a message may name the blob. */
static void answer_failure(struct single *single, sl_status status, bool retriable, const char *text,
                           bool certain)
{
    settle(single, false, (sl_offset){-1, -1});
    if (single->kept && certain)
        gw_blob_forget(single->gateway, single->layer, single->handle);
    if (single->ended || single->overdue)
        return;
    const struct gw_failure *failure = gw_failure_of(status, retriable);
    gw_respond_error(single->request, failure->http, failure->code, text, failure->action);
}

/* It is known what came of it: whoever waits gets that, and no time-out after it. Ended, the timer is off. */
static void stop_waiting(struct single *single)
{
    single->writing = false;
    if (!single->ended)
        gw_timer_cancel(gw_request_loop(single->request), &single->deadline);
}

static void written(struct gw_write *write)
{
    struct single *single = (struct single *)(void *)((char *)write - offsetof(struct single, write));
    stop_waiting(single);
    if (write->status) {
        bool certain = gw_failure_of(write->status, write->retriable)->http != 503;
        answer_failure(single, write->status, write->retriable, write->text, certain);
    } else {
        struct gw_layer_counters *counters = single->layer->counters;
        size_t bytes = single->upload ? (size_t)single->uploaded : single->message.payload_size;
        atomic_fetch_add_explicit(&counters->messages_in, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&counters->bytes_in, bytes, memory_order_relaxed);
        gw_meter_in(single->meter, single->layer, 1, (int64_t)bytes);
        settle(single, true, write->offset);
        if (!single->ended && !single->overdue)
            answer(single);
    }
    if (single->ended)
        single_free(single);
}

/* The outcome is not known yet, and comes too late for this request. */
static void give_up(struct gw_timer *timer)
{
    struct single *single = (struct single *)(void *)((char *)timer - offsetof(struct single, deadline));
    char text[GW_WRITE_TEXT];
    gw_broker_say_silent(gw_layer_broker(single->gateway, single->layer), text);
    single->overdue = true;
    const struct gw_failure *failure = gw_failure_of(SL_TIMED_OUT, true);
    gw_respond_error(single->request, failure->http, failure->code, text, failure->action);
}

/* From now on the message waits for Kafka. Without memory for the timer librdkafka's own time-out holds. */
static void bound_waiting(struct single *single)
{
    single->writing = true;
    single->deadline.run = give_up;
    (void)gw_timer_set(gw_request_loop(single->request), &single->deadline, single->until_ms);
}

static void write_message(struct single *single)
{
    sl_error error;
    single->write.done = written;
    single->write.counted = single->reserved;
    bound_waiting(single);
    sl_status status =
        gw_broker_write(gw_layer_broker(single->gateway, single->layer), gw_request_loop(single->request),
                        single->layer->topic, &single->message, &single->write, &error);
    if (status) {
        stop_waiting(single);
        answer_failure(single, status, error.retriable, error.text, true);
    } else {
        single->reserved = 0; /* the broker's */
    }
    drop_parts(single);
}

/* Not waiting: the disk's job is not left alone. */
static void go_on(struct single *single)
{
    if (single->upload)
        gw_upload_keep(single->upload, single->layer->key, single->handle, single->content_type,
                       single->content_encoding);
    else
        write_message(single);
}

static void repeat_decided(struct gw_repeat *repeat)
{
    struct single *single = (struct single *)(void *)((char *)repeat - offsetof(struct single, repeat));
    stop_waiting(single);
    single->first = repeat->verdict == GW_REPEAT_FIRST;
    if (single->ended || single->overdue) {
        settle(single, false, repeat->offset);
        if (single->ended)
            single_free(single);
    } else if (single->first) {
        go_on(single);
    } else {
        answer(single);
    }
}

/* The message is whole: it is written, unless it was before. */
static void decide(struct single *single, const char *payload_checksum)
{
    if (!single->trace_given) {
        go_on(single);
        return;
    }
    memcpy(single->trace, single->trace_given, strlen(single->trace_given) + 1);
    single->repeat.loop = gw_request_loop(single->request);
    single->repeat.decided = repeat_decided;
    bound_waiting(single);
    if (gw_repeats_enter(single->gateway->repeats, gw_request_application(single->request),
                         single->layer->key, &single->message, payload_checksum,
                         &single->repeat) != GW_REPEAT_WAIT)
        repeat_decided(&single->repeat);
}

/* One form for all readers: lower case. */
static void keep_checksum(struct single *single)
{
    for (size_t i = 0; i < sizeof single->checksum - 1; i++)
        single->checksum[i] = (char)(single->checksum_given[i] | 0x20);
    single->message.checksum = single->checksum;
}

static void sealed(struct single *single)
{
    const struct gw_blob_info *info = gw_upload_info(single->upload);
    struct sl_message *message = &single->message;
    const char *given = single->checksum_given;
    if (given && strcasecmp(given, info->checksum) != 0) {
        refuse(single, 400, "checksum-mismatch",
               "the payload does not have the SHA-256 that was given: nothing was stored",
               "send the payload that the checksum was made of");
    } else if (!sl_random_hex(single->handle, HANDLE_DIGITS)) {
        refuse(single, 500, "internal", "the system gave no random bytes", "send again");
    } else {
        message->checksum = info->checksum;
        message->data_handle = single->handle;
        message->data_size = info->size;
        if (single->layer->content_encoding)
            message->compressed_size = info->size;
        decide(single, info->checksum);
    }
}

static void upload_changed(void *owner, enum gw_upload_state state)
{
    struct single *single = owner;
    if (state == GW_UPLOAD_SEALED) {
        sealed(single);
    } else if (state == GW_UPLOAD_KEPT) {
        single->kept = true;
        write_message(single);
    } else {
        settle(single, false, (sl_offset){-1, -1});
        gw_upload_respond_error(single->upload, single->request);
    }
}

static void handle(struct gw_request *request)
{
    if (is_batch(request)) {
        gw_batch_end(request);
        return;
    }
    struct single *single = gw_request_data(request);
    struct sl_message *message = &single->message;
    single->until_ms = gw_intake_deadline_ms(&single->intake);
    if (single->upload) {
        gw_upload_seal(single->upload);
        return;
    }
    message->payload = single->body.size ? single->body.data : "";
    message->payload_size = single->body.size;
    if (single->checksum_given || single->layer->content_encoding) {
        int http;
        const char *code;
        message->checksum = single->checksum_given;
        const char *fault = gw_message_fault(single->layer, message, false, &http, &code);
        if (fault) {
            refuse(single, http, code, fault,
                   strcmp(code, "not-gzip") ? "send the payload that the checksum was made of"
                                            : SL_GZIP_ACTION);
            return;
        }
        if (single->checksum_given)
            keep_checksum(single);
    }
    decide(single, NULL);
}

const struct gw_route gw_ingest_routes[] = {
    {.method = "POST",
     .pattern = "/ingest/v1/catalogs/{hrn}/layers/{layer}",
     .flags = GW_ROUTE_STREAMED | GW_ROUTE_LENGTH,
     .access = GW_ACCESS_WRITE,
     .counted = GW_COUNTED_IN,
     .max_body = GW_BODY_UNBOUNDED, /* a batch may be endless; a message is checked here */
     .begin = begin,
     .data = data,
     .handle = handle,
     .name = "ingest.post"},
    {.method = "POST",
     .pattern = "/ingest/v1/catalogs/{hrn}/layers/{layer}/sdiiMessageList",
     .flags = GW_ROUTE_LENGTH | GW_ROUTE_ANY_TYPE,
     .access = GW_ACCESS_WRITE,
     .counted = GW_COUNTED_IN,
     .handle = gw_sdii_post,
     .name = "ingest.sdii"},
};
const size_t gw_ingest_route_count = sizeof gw_ingest_routes / sizeof *gw_ingest_routes;
