#include "gateway/api/upload.h"

#include "base/error.h"
#include "gateway/api/failures.h"
#include "wire/gzip_header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)256 << 10)

struct gw_upload {
    struct gw_job job;   /* first */
    struct gw_task task; /* the job's end, on the loop */
    struct gateway *gateway;
    struct gw_loop *loop;
    struct gw_request *request; /* NULL: dropped */
    void (*changed)(void *owner, enum gw_upload_state state);
    void *owner;
    bool gzip; /* it must be */

    /* The job's while busy, else the loop's. */
    struct gw_blob_file *file;
    struct gw_blob_info info;
    struct sl_buffer first; /* what was gathered before */
    char *writing;
    size_t writing_size;
    bool seal, keep;
    const char *topic, *handle, *application;
    sl_error error;
    bool not_gzip; /* that is the error */

    /* The loop's. */
    char *filling;
    size_t filled;
    bool busy, ended, failed, paused;
};

static void upload_free(struct gw_upload *upload)
{
    gw_blob_drop(&upload->file);
    gw_budget_give(upload->gateway->budget, 2 * CHUNK);
    sl_buffer_free(&upload->first);
    free(upload->writing);
    free(upload->filling);
    free(upload);
}

/* On a worker: removing a file blocks, too. */
static void run_drop(struct gw_job *job)
{
    upload_free((struct gw_upload *)(void *)job);
}

/* What the body begins with, before anything is stored. */
static sl_status check_start(struct gw_upload *upload)
{
    bool gathered = upload->first.size > 0;
    const char *bytes = gathered ? upload->first.data : upload->writing;
    size_t size = gathered ? upload->first.size : upload->writing_size;
    bool whole = upload->seal && !(gathered && upload->writing_size);
    const char *fault = upload->gzip ? sl_gzip_fault(bytes, size, whole) : NULL;
    upload->not_gzip = fault != NULL;
    return fault ? sl_error_set(&upload->error, SL_INVALID_ARGUMENT, "%s", fault) : SL_OK;
}

static void run(struct gw_job *job)
{
    struct gw_upload *upload = (struct gw_upload *)(void *)job;
    sl_error *error = &upload->error;
    sl_status status = SL_OK;
    if (!upload->file)
        status = check_start(upload);
    if (!status && !upload->file)
        status = gw_blob_begin(upload->gateway->blobs, &upload->file, error);
    if (!status && upload->first.size) {
        status = gw_blob_write(upload->file, upload->first.data, upload->first.size, error);
        sl_buffer_free(&upload->first);
    }
    if (!status && upload->writing_size)
        status = gw_blob_write(upload->file, upload->writing, upload->writing_size, error);
    upload->writing_size = 0;
    if (!status && upload->seal)
        status = gw_blob_seal(upload->file, &upload->info, error);
    if (!status && upload->keep)
        status = gw_blob_keep(&upload->file, upload->topic, upload->handle, upload->application,
                              &upload->info, error);
    if (status)
        gw_blob_drop(&upload->file);
    gw_loop_post(upload->loop, &upload->task);
}

static void start(struct gw_upload *upload)
{
    upload->busy = true;
    upload->job.run = run;
    if (gw_work_try(upload->gateway->disk_workers, gw_request_application(upload->request), &upload->job))
        return;
    sl_error_set_retriable(&upload->error, SL_CLOSED, "the gateway is being stopped");
    gw_loop_post(upload->loop, &upload->task);
}

/* Hands the gathered bytes to a worker, when it is free and there are enough, or no more will come. */
static void hand_over(struct gw_upload *upload)
{
    if (upload->busy || upload->failed || upload->seal || (!upload->ended && upload->filled < CHUNK))
        return;
    char *chunk = upload->writing;
    upload->writing = upload->filling;
    upload->writing_size = upload->filled;
    upload->filling = chunk;
    upload->filled = 0;
    upload->seal = upload->ended;
    start(upload);
}

static void job_ended(struct gw_task *task)
{
    struct gw_upload *upload = (struct gw_upload *)(void *)((char *)task - offsetof(struct gw_upload, task));
    upload->busy = false;
    if (!upload->request) {
        gw_upload_drop(upload);
        return;
    }
    if (upload->error.status) {
        upload->failed = true;
        upload->changed(upload->owner, GW_UPLOAD_FAILED); /* which may drop it */
    } else if (upload->keep) {
        upload->changed(upload->owner, GW_UPLOAD_KEPT);
    } else if (upload->seal) {
        upload->changed(upload->owner, GW_UPLOAD_SEALED);
    } else {
        hand_over(upload);
        if (upload->paused) {
            upload->paused = false;
            gw_request_continue(upload->request);
        }
    }
}

struct gw_upload *gw_upload_begin(struct gw_request *request, const struct gw_layer *layer,
                                  void (*changed)(void *owner, enum gw_upload_state state), void *owner)
{
    struct gateway *gateway = gw_request_opaque(request);
    if (!gw_budget_take(gateway->budget, 2 * CHUNK))
        return NULL;
    struct gw_upload *upload = calloc(1, sizeof *upload);
    if (!upload) {
        gw_budget_give(gateway->budget, 2 * CHUNK);
        return NULL;
    }
    upload->task.run = job_ended;
    upload->gateway = gateway;
    upload->loop = gw_request_loop(request);
    upload->request = request;
    upload->changed = changed;
    upload->owner = owner;
    upload->gzip = layer->content_encoding != NULL;
    upload->writing = malloc(CHUNK);
    upload->filling = malloc(CHUNK);
    if (upload->writing && upload->filling)
        return upload;
    upload_free(upload);
    return NULL;
}

void gw_upload_start_with(struct gw_upload *upload, struct sl_buffer *bytes)
{
    upload->first = *bytes;
    sl_buffer_init(bytes, 0);
    start(upload);
}

size_t gw_upload_data(struct gw_upload *upload, const char *data, size_t size)
{
    if (upload->failed)
        return size;
    size_t taken = 0;
    while (taken < size) {
        size_t room = CHUNK - upload->filled;
        size_t piece = size - taken < room ? size - taken : room;
        memcpy(upload->filling + upload->filled, data + taken, piece);
        upload->filled += piece;
        taken += piece;
        hand_over(upload);
        if (upload->filled == CHUNK && taken < size) {
            upload->paused = true;
            break;
        }
    }
    return taken;
}

void gw_upload_seal(struct gw_upload *upload)
{
    upload->ended = true;
    hand_over(upload);
}

static void copy_text(char to[GW_BLOB_TYPE_MAX + 1], const char *text)
{
    snprintf(to, GW_BLOB_TYPE_MAX + 1, "%s", text ? text : "");
}

void gw_upload_keep(struct gw_upload *upload, const char *topic, const char *handle, const char *type,
                    const char *encoding)
{
    upload->topic = topic;
    upload->handle = handle;
    upload->application = gw_request_application(upload->request);
    copy_text(upload->info.type, type);
    copy_text(upload->info.encoding, encoding);
    upload->seal = false;
    upload->keep = true;
    start(upload);
}

const struct gw_blob_info *gw_upload_info(const struct gw_upload *upload)
{
    return &upload->info;
}

void gw_upload_respond_error(struct gw_upload *upload, struct gw_request *request)
{
    if (upload->not_gzip)
        gw_respond_error(request, 400, "not-gzip", upload->error.text, SL_GZIP_ACTION);
    else if (upload->error.status == SL_NOT_FOUND)
        gw_respond_error(request, 404, gw_blob_failure_of(&upload->error)->code, upload->error.text,
                         "choose another data handle, best a random one that nobody else has");
    else
        gw_respond_blob_failure(request, &upload->error);
}

void gw_upload_drop(struct gw_upload *upload)
{
    if (!upload)
        return;
    upload->request = NULL;
    if (upload->busy)
        return; /* the job's end drops it */
    upload->job.run = run_drop;
    if (!upload->file || !gw_work_try(upload->gateway->disk_workers, NULL, &upload->job))
        upload_free(upload);
}

void gw_respond_blob_failure(struct gw_request *request, const sl_error *error)
{
    const struct gw_failure *failure = gw_blob_failure_of(error);
    if (failure->http == 500) {
        const struct gateway *gateway = gw_request_opaque(request);
        SL_ERROR(&gateway->log, "%s %s: %s (correlation %s)", gw_request_method(request),
                 gw_request_path(request), error->text, gw_request_correlation_id(request));
    }
    gw_respond_error(request, failure->http, failure->code, error->text, failure->action);
}
