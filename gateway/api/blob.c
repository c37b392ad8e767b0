/* blob v1: bytes beside a layer, named by a data handle. Bodies go to disk while they arrive; what is read is
 * sent from the file. */
#include "gateway/api/upload.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "config/settings.h"
#include "gateway/api/failures.h"
#include "gateway/api/intake.h"
#include "gateway/api/metering.h"
#include "gateway/api/publish.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AHEAD_MAX ((int64_t)8 << 20) /* bytes that are read from disk before the loop sends them */

static bool check_handle(struct gw_request *request, const char *handle)
{
    if (gw_handle_ok(handle))
        return true;
    gw_respond_error(request, 400, "bad-data-handle",
                     "a data handle has 1 to 128 characters of A-Z a-z 0-9 . _ -", "use another data handle");
    return false;
}

/* --- PUT --- */

struct put {
    struct gw_request *request;
    struct gateway *gateway;
    struct gw_layer *layer;
    struct gw_upload *upload;
    struct gw_intake intake;
    int64_t size;
};

static void put_free(void *data)
{
    struct put *put = data;
    if (!gw_intake_end(&put->intake, put_free, put))
        return;
    gw_upload_drop(put->upload);
    gw_layer_unlink(put->layer);
    free(put);
}

static void refuse_size(struct put *put)
{
    gw_respond_errorf(put->request, 413, "blob-too-large",
                      "store less, or ask whoever operates the gateway to raise "
                      "streamlayer.gateway.limits.blob",
                      "the blob is over the limit of %lld bytes", (long long)put->gateway->max_blob);
}

static void put_kept(struct put *put)
{
    struct gw_meter *meter = gw_request_meter(put->request);
    gw_meter_blob_in(meter, put->size);
    gw_meter_unlink(meter);
    gw_respond(put->request, 204, NULL, "", 0, NULL, NULL);
}

static void put_changed(void *owner, enum gw_upload_state state)
{
    struct put *put = owner;
    if (state == GW_UPLOAD_FAILED)
        gw_upload_respond_error(put->upload, put->request);
    else if (state == GW_UPLOAD_SEALED)
        gw_upload_keep(put->upload, put->layer->key, gw_request_parameter(put->request, "handle"),
                       gw_request_header(put->request, "Content-Type"),
                       gw_request_header(put->request, "Content-Encoding"));
    else
        put_kept(put);
}

static bool check_text(struct gw_request *request, const char *name)
{
    const char *value = gw_request_header(request, name);
    bool good = !value || strlen(value) <= GW_BLOB_TYPE_MAX;
    for (const char *c = value; good && c && *c; c++)
        good = *c >= 0x20 && *c <= 0x7e;
    if (!good)
        gw_respond_errorf(request, 400, "bad-request", "correct the header",
                          "%s must be printable ASCII of at most %d characters", name, GW_BLOB_TYPE_MAX);
    return good;
}

static void put_begin(struct gw_request *request)
{
    if (!check_handle(request, gw_request_parameter(request, "handle")) ||
        !check_text(request, "Content-Type") || !check_text(request, "Content-Encoding"))
        return;
    struct gw_layer *layer = gw_request_layer(request);
    if (!layer)
        return;
    struct put *put = calloc(1, sizeof *put);
    if (!put) {
        gw_layer_unlink(layer);
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
        return;
    }
    put->request = request;
    put->gateway = gw_request_opaque(request);
    put->layer = layer;
    gw_intake_begin(&put->intake, request);
    gw_request_set_data(request, put, put_free);
    int64_t length;
    if (!sl_parse_int(gw_request_header(request, "Content-Length"), 0, INT64_MAX, &length))
        length = 0; /* it comes in chunks */
    if (length > put->gateway->max_blob) {
        refuse_size(put);
        return;
    }
    gw_request_bound_body(request, put->gateway->max_blob);
    put->intake.whole = length;
    if (!gw_intake_admits(request, layer))
        return;
    put->upload = gw_upload_begin(request, layer, put_changed, put);
    if (!put->upload)
        gw_respond_error(request, 503, "overloaded", GW_BUDGET_FULL,
                         "send again after the time that Retry-After gives");
}

static size_t put_data(struct gw_request *request, const char *data, size_t size)
{
    struct put *put = gw_request_data(request);
    if ((int64_t)size > put->gateway->max_blob - put->size) {
        refuse_size(put);
        return size;
    }
    if (!gw_intake_pay(&put->intake, put->layer, size))
        return 0;
    size_t taken = gw_upload_data(put->upload, data, size);
    gw_intake_untaken(&put->intake, size - taken);
    put->size += (int64_t)taken;
    return taken;
}

static void put_end(struct gw_request *request)
{
    struct put *put = gw_request_data(request);
    gw_upload_seal(put->upload);
}

/* --- GET and HEAD --- */

struct get {
    struct gw_job job;  /* first */
    atomic_int holders; /* the job, and the request until its end */
    _Atomic int64_t paid;
    struct gw_request *request;
    struct gateway *gateway;
    struct gw_layer *layer;
    struct gw_market_flow *flow; /* of its application and the catalog; NULL: any */
    struct gw_meter *meter;
    const char *handle, *owner, *range, *if_range; /* the request's */
    struct gw_pass pass;                           /* at the flow's throttle, then at the layer's */
};

enum range { RANGE_NONE, RANGE_GOOD, RANGE_BEHIND };

/* A single range of bytes; what is anything else is passed over, as RFC 9110 has it. */
static enum range read_range(const char *text, int64_t size, int64_t *first, int64_t *count)
{
    char bounds[64];
    if (!text || strncmp(text, "bytes=", 6) != 0 || strlen(text + 6) >= sizeof bounds)
        return RANGE_NONE;
    snprintf(bounds, sizeof bounds, "%s", text + 6);
    char *dash = strchr(bounds, '-');
    if (!dash)
        return RANGE_NONE;
    *dash = 0;
    int64_t from = 0, to = INT64_MAX;
    bool suffix = dash == bounds;
    if ((!suffix && !sl_parse_int(bounds, 0, INT64_MAX, &from)) ||
        ((suffix || dash[1]) && !sl_parse_int(dash + 1, 0, INT64_MAX, &to)) || to < from)
        return RANGE_NONE;
    if (suffix) { /* the last so many */
        from = to < size ? size - to : 0;
        if (!to)
            return RANGE_BEHIND;
        to = INT64_MAX;
    }
    if (from >= size)
        return RANGE_BEHIND;
    *first = from;
    *count = (to < size ? to + 1 : size) - from;
    return RANGE_GOOD;
}

static void get_unlink(struct get *get)
{
    if (atomic_fetch_sub(&get->holders, 1) > 1)
        return;
    gw_meter_unlink(get->meter);
    gw_layer_unlink(get->layer);
    gw_market_flow_unlink(get->flow);
    free(get);
}

/* Bytes more, or back (negative). */
static void get_settle(struct get *get, int64_t bytes)
{
    struct gw_throttler *throttler = get->gateway->throttler;
    gw_throttle_settle(throttler, &get->layer->counters->out, bytes);
    if (get->flow)
        gw_throttle_settle(throttler, &get->flow->out, bytes);
}

/* What its client did not take is not paid for. */
static void get_sent(void *opaque, bool whole)
{
    struct get *get = opaque;
    int64_t untaken = whole || !atomic_load(&get->paid) ? 0 : gw_request_untaken(get->request);
    if (untaken)
        get_settle(get, -untaken);
    get_unlink(get);
}

static void answer_blob(struct get *get, const struct gw_blob_info *info, int fd, int64_t offset)
{
    struct gw_request *request = get->request;
    char etag[72], content_range[80];
    int64_t first = 0, count = info->size;
    snprintf(etag, sizeof etag, "\"%s\"", info->checksum);
    bool wanted = get->range && (!get->if_range || !strcmp(get->if_range, etag));
    enum range range = wanted ? read_range(get->range, info->size, &first, &count) : RANGE_NONE;
    gw_respond_header(request, "ETag", etag);
    if (get->flow)
        gw_market_warn(request, get->layer->hrn);
    gw_respond_header(request, "Accept-Ranges", "bytes");
    if (range == RANGE_BEHIND) {
        close(fd);
        snprintf(content_range, sizeof content_range, "bytes */%lld", (long long)info->size);
        gw_respond_header(request, "Content-Range", content_range);
        gw_respond_errorf(request, 416, "range-not-satisfiable", "ask for bytes that are there",
                          "the range %.60s is not within the blob, which has %lld bytes", get->range,
                          (long long)info->size);
        return;
    }
    if (range == RANGE_GOOD) {
        snprintf(content_range, sizeof content_range, "bytes %lld-%lld/%lld", (long long)first,
                 (long long)(first + count - 1), (long long)info->size);
        gw_respond_header(request, "Content-Range", content_range);
    }
    if (*info->encoding)
        gw_respond_header(request, "Content-Encoding", info->encoding);
    if (strcmp(gw_request_method(request), "HEAD")) {
        get_settle(get, count);
        atomic_store(&get->paid, count);
        gw_meter_blob_out(get->meter, count);
    }
    /* The loop sends it, and must not wait for the disk. */
    posix_fadvise(fd, offset + first, count < AHEAD_MAX ? count : AHEAD_MAX, POSIX_FADV_WILLNEED);
    posix_fadvise(fd, offset + first, count, POSIX_FADV_SEQUENTIAL);
    gw_respond_file(request, range == RANGE_GOOD ? 206 : 200,
                    *info->type ? info->type : "application/octet-stream", fd, offset + first, count);
}

static void run_get(struct gw_job *job)
{
    struct get *get = (struct get *)(void *)job;
    struct gw_blob_info info;
    sl_error error = {0};
    int fd;
    int64_t offset;
    if (gw_blob_open(get->gateway->blobs, get->layer->key, get->handle, get->owner, &info, &fd, &offset,
                     &error))
        gw_respond_blob_failure(get->request, &error);
    else
        answer_blob(get, &info, fd, offset);
    get_unlink(get);
}

static void get_granted(struct gw_pass *pass)
{
    struct get *get = (struct get *)(void *)((char *)pass - offsetof(struct get, pass));
    gw_work_post(get->gateway->disk_workers, pass->account, &get->job);
}

static void enter(struct get *get, struct gw_throttle *throttle, void (*granted)(struct gw_pass *pass))
{
    get->pass = (struct gw_pass){.loop = gw_request_loop(get->request),
                                 .account = gw_request_application(get->request),
                                 .bytes = 1, /* the others when its size is known */
                                 .granted = granted};
    if (gw_throttle_enter(get->gateway->throttler, throttle, &get->pass))
        granted(&get->pass);
}

static void get_flows(struct gw_pass *pass)
{
    struct get *get = (struct get *)(void *)((char *)pass - offsetof(struct get, pass));
    enter(get, &get->layer->counters->out, get_granted);
}

static void get_blob(struct gw_request *request)
{
    const char *handle = gw_request_parameter(request, "handle");
    if (!check_handle(request, handle))
        return;
    struct gw_layer *layer = gw_request_layer(request);
    if (!layer)
        return;
    if (!gw_outlet_admits(request, layer)) {
        gw_layer_unlink(layer);
        return;
    }
    struct get *get = malloc(sizeof *get);
    if (!get) {
        gw_layer_unlink(layer);
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "try again later");
        return;
    }
    bool whole = !strcmp(gw_request_method(request), "HEAD"); /* of which a range is not defined */
    *get = (struct get){
        .job.run = run_get,
        .holders = 2,
        .request = request,
        .gateway = gw_request_opaque(request),
        .layer = layer,
        .meter = gw_request_meter(request),
        .handle = handle,
        .owner = gw_request_blob_owner(request, layer),
        .range = whole ? NULL : gw_request_header(request, "Range"),
        .if_range = gw_request_header(request, "If-Range"),
    };
    get->flow = gw_market_flow(request, layer);
    gw_request_on_sent(request, get_sent, get);
    if (get->flow)
        enter(get, &get->flow->out, get_flows);
    else
        enter(get, &layer->counters->out, get_granted);
}

/* --- The end of blobs, and of forgotten publications --- */

struct gw_sweeper {
    struct gw_job job;   /* first */
    struct gw_task task; /* sets the timer */
    struct gw_timer timer;
    struct gateway *gateway;
    struct gw_loop *loop;
    int64_t interval_ms;
};

struct search {
    const char *key;
    int64_t ttl_ms;
};

static void look_at(void *opaque, const struct gw_layer *layer)
{
    struct search *search = opaque;
    if (!strcmp(layer->key, search->key))
        search->ttl_ms = layer->ttl_ms;
}

static int64_t ttl_of(void *opaque, const char *key)
{
    struct gateway *gateway = opaque;
    struct search search = {key, -1};
    gw_catalogs_each_layer(gateway->catalogs, look_at, &search);
    return search.ttl_ms;
}

static void run_sweep(struct gw_job *job)
{
    struct gw_sweeper *sweeper = (struct gw_sweeper *)(void *)job;
    struct gateway *gateway = sweeper->gateway;
    sl_error error = {0};
    size_t removed = 0;
    if (gw_blobs_sweep(gateway->blobs, sl_wall_ms(), ttl_of, gateway, &removed, &error))
        SL_WARNING(&gateway->log, "blobs: %s", error.text);
    if (removed)
        SL_INFO(&gateway->log, "blobs: %zu removed, whose time or layer is over", removed);
    gw_publications_expire(gateway->publications, sl_wall_ms());
    gw_loop_post(sweeper->loop, &sweeper->task);
}

static void sweep_due(struct gw_timer *timer)
{
    struct gw_sweeper *sweeper =
        (struct gw_sweeper *)(void *)((char *)timer - offsetof(struct gw_sweeper, timer));
    gw_work_try(sweeper->gateway->disk_workers, NULL, &sweeper->job);
    gw_clean_later(sweeper->gateway); /* topics: what waits for Kafka is not the disk's */
}

static void set_timer(struct gw_task *task)
{
    struct gw_sweeper *sweeper =
        (struct gw_sweeper *)(void *)((char *)task - offsetof(struct gw_sweeper, task));
    sweeper->timer.run = sweep_due;
    if (gw_timer_set(sweeper->loop, &sweeper->timer, sl_mono_ms() + sweeper->interval_ms))
        SL_WARNING(&sweeper->gateway->log, "blobs: out of memory; old ones stay until the next start");
}

sl_status gw_sweeper_start(struct gateway *gateway, struct gw_sweeper **out, sl_error *error)
{
    struct gw_sweeper *sweeper = calloc(1, sizeof *sweeper);
    *out = sweeper;
    if (!sweeper)
        return sl_error_oom(error);
    sweeper->gateway = gateway;
    sweeper->loop = gw_server_loop(gateway->server, 0);
    sweeper->job.run = run_sweep;
    sweeper->task.run = set_timer;
    sl_status status = sl_config_duration_ms(gateway->config, SL_GATEWAY_ROOT "sweep-interval",
                                             &sweeper->interval_ms, error);
    if (status)
        return status;
    gw_work_post(gateway->disk_workers, NULL, &sweeper->job);
    return SL_OK;
}

void gw_sweeper_free(struct gw_sweeper **sweeper)
{
    free(*sweeper);
    *sweeper = NULL;
}

#define DATA "/blob/v1/catalogs/{hrn}/layers/{layer}/data/{handle}"

const struct gw_route gw_blob_routes[] = {
    {.method = "PUT",
     .pattern = DATA,
     .flags = GW_ROUTE_STREAMED,
     .access = GW_ACCESS_WRITE,
     .counted = GW_COUNTED_IN,
     .max_body = GW_BODY_UNBOUNDED, /* limits.blob is checked here */
     .begin = put_begin,
     .data = put_data,
     .handle = put_end,
     .name = "blob.put"},
    {.method = "GET",
     .pattern = DATA,
     .access = GW_ACCESS_READ | GW_ACCESS_WRITE | GW_ACCESS_DELIVERY, /* who may not read sees its own */
     .counted = GW_COUNTED_OUT,
     .handle = get_blob,
     .name = "blob.get"},
};
const size_t gw_blob_route_count = sizeof gw_blob_routes / sizeof *gw_blob_routes;
