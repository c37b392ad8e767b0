/* Answers, and what a request lets its handlers read. */
#include "gateway/http/internal.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct gw_loop *gw_request_loop(const struct gw_request *request)
{
    return request->loop;
}

void *gw_request_opaque(const struct gw_request *request)
{
    return request->loop->server->settings.opaque;
}

const char *gw_request_application(const struct gw_request *request)
{
    return request->caller.application;
}

const struct gw_caller *gw_request_caller(const struct gw_request *request)
{
    return &request->caller;
}

const struct gw_route *gw_request_route(const struct gw_request *request)
{
    return request->route ? request->route->route : NULL;
}

const char *gw_request_method(const struct gw_request *request)
{
    return request->method;
}

const char *gw_request_path(const struct gw_request *request)
{
    return request->path;
}

const char *gw_request_parameter(const struct gw_request *request, const char *name)
{
    const struct gw_compiled_route *route = request->route;
    for (unsigned i = 0; route && i < route->parameters; i++)
        if (!strncmp(route->parameter[i].name, name, route->parameter[i].length) &&
            !name[route->parameter[i].length])
            return request->segments[route->parameter[i].segment];
    return NULL;
}

const char *gw_request_query(const struct gw_request *request, const char *name)
{
    return request->query ? MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name)
                          : NULL;
}

const char *gw_request_header(const struct gw_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

struct value_visit {
    bool (*visit)(void *opaque, const char *name, const char *value);
    void *opaque;
};

static enum MHD_Result visit_value(void *opaque, enum MHD_ValueKind kind, const char *name, const char *value)
{
    const struct value_visit *visit = opaque;
    (void)kind;
    return visit->visit(visit->opaque, name, value ? value : "") ? MHD_YES : MHD_NO;
}

void gw_request_each_header(const struct gw_request *request,
                            bool (*visit)(void *opaque, const char *name, const char *value), void *opaque)
{
    struct value_visit state = {visit, opaque};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, visit_value, &state);
}

void gw_request_each_query(const struct gw_request *request,
                           bool (*visit)(void *opaque, const char *name, const char *value), void *opaque)
{
    struct value_visit state = {visit, opaque};
    if (request->query)
        MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, visit_value, &state);
}

const char *gw_request_correlation_id(const struct gw_request *request)
{
    return request->correlation;
}

const struct sl_buffer *gw_request_body(const struct gw_request *request)
{
    return &request->body;
}

void gw_request_set_data(struct gw_request *request, void *data, void (*free_data)(void *data))
{
    request->data = data;
    request->free_data = free_data;
}

void *gw_request_data(const struct gw_request *request)
{
    return request->data;
}

sl_status gw_respond_header(struct gw_request *request, const char *name, const char *value)
{
    for (const char *c = value; *c; c++)
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
            return SL_INVALID_ARGUMENT; /* a line's end would begin another header */
    if (!sl_is_http_token(name, 128))
        return SL_INVALID_ARGUMENT;
    size_t before = request->headers.size;
    if (sl_buffer_append(&request->headers, name, strlen(name) + 1) &&
        sl_buffer_append(&request->headers, value, strlen(value) + 1))
        return SL_OK;
    request->headers.size = before;
    return SL_OUT_OF_MEMORY;
}

void gw_request_on_sent(struct gw_request *request, void (*sent)(void *opaque, bool whole), void *opaque)
{
    request->sent = sent;
    request->sent_opaque = opaque;
}

void gw_request_park(struct gw_request *request)
{
    if (request->parked)
        return;
    request->parked = true;
    atomic_fetch_add_explicit(&request->loop->server->parked, 1, memory_order_relaxed);
}

void gw_request_unpark(struct gw_request *request)
{
    if (!request->parked)
        return;
    request->parked = false;
    atomic_fetch_sub_explicit(&request->loop->server->parked, 1, memory_order_relaxed);
}

void gw_answer_arrived(struct gw_request *request)
{
    const struct gw_given *given = &request->given;
    if (!gw_hold_lets_go(request))
        return;
    request->answered = true;
    request->status = given->status;
    request->answer_size = given->in_memory;
    request->answer_bytes += given->in_memory + given->in_file;
    request->file = given->file;
    if (!request->gone) { /* else what it has counted is given back already */
        request->bytes += given->in_memory;
        gw_budget_add(request->loop->server->settings.budget, given->in_memory);
    }
    if (!request->stream.open)
        gw_request_unpark(request);
    request->undecided = false;
    if (request->gone) {
        gw_request_release(request);
    } else if (request->suspended || request->paused) {
        if (request->paused) /* what is left of the body comes first */
            gw_connection_wait(request->peer, GW_WAIT_BODY);
        request->suspended = request->paused = false;
        request->loop->run_mhd = true;
        MHD_resume_connection(request->connection);
    }
}

static void answer_posted(struct gw_task *task)
{
    struct gw_request *request =
        (struct gw_request *)(void *)((char *)task - offsetof(struct gw_request, answer_task));
    atomic_fetch_sub(&request->posts, 1);
    gw_answer_arrived(request);
}

static bool add_headers(struct gw_request *request, struct MHD_Response *response, const char *content_type)
{
    const struct gw_route *route = gw_request_route(request);
    bool good = MHD_add_response_header(response,
                                        route && route->correlation_header ? route->correlation_header
                                                                           : "X-Correlation-Id",
                                        request->correlation) == MHD_YES;
    good &= MHD_add_response_header(response, "X-Request-Id", request->id) == MHD_YES;
    if (content_type)
        good &= MHD_add_response_header(response, "Content-Type", content_type) == MHD_YES;
    if (request->varies || request->cors)
        good &= gw_cors_add(request, response);
    if (atomic_load_explicit(&request->loop->server->draining, memory_order_relaxed))
        good &= MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    const char *header = request->headers.data;
    const char *end = request->headers.size ? header + request->headers.size : header;
    while (header < end) {
        const char *value = header + strlen(header) + 1;
        good &= MHD_add_response_header(response, header, value) == MHD_YES;
        header = value + strlen(value) + 1;
    }
    return good;
}

void gw_give_answer(struct gw_request *request, int status, const char *content_type,
                    struct MHD_Response *response, size_t in_memory)
{
    if (response && !add_headers(request, response, content_type)) {
        MHD_destroy_response(response); /* and the body with it */
        response = NULL;
    }
    request->response = response;
    request->given.status = status;
    request->given.in_memory = response ? in_memory : 0;
    if (gw_loop_is_current(request->loop)) {
        gw_answer_arrived(request);
    } else {
        atomic_fetch_add(&request->posts, 1);
        request->answer_task.run = answer_posted;
        gw_loop_post(request->loop, &request->answer_task);
    }
}

void gw_respond(struct gw_request *request, int status, const char *content_type, const void *body,
                size_t size, void (*release)(void *opaque), void *release_opaque)
{
    /* libmicrohttpd does not write to it, though its type says so. */
    void *bytes = (void *)(uintptr_t)(size ? body : "");
    struct MHD_Response *response = NULL;
    if (!atomic_exchange(&request->answer_given, true)) {
        if (release && size)
            response =
                MHD_create_response_from_buffer_with_free_callback_cls(size, bytes, release, release_opaque);
        else
            response = MHD_create_response_from_buffer(size, bytes, MHD_RESPMEM_PERSISTENT);
        if (release && (!response || !size))
            release(release_opaque);
        gw_give_answer(request, status, content_type, response, size);
    } else if (release) {
        release(release_opaque); /* it has its answer */
    }
}

void gw_respond_file(struct gw_request *request, int status, const char *content_type, int fd, int64_t offset,
                     int64_t size)
{
    struct MHD_Response *response = NULL;
    if (size <= 0) {
        close(fd);
        gw_respond(request, status, content_type, "", 0, NULL, NULL);
    } else if (!atomic_exchange(&request->answer_given, true)) {
        response = MHD_create_response_from_fd_at_offset64((uint64_t)size, fd, (uint64_t)offset);
        if (!response)
            close(fd);
        request->given.in_file = response ? (uint64_t)size : 0;
        request->given.file = response != NULL;
        gw_give_answer(request, status, content_type, response, 0);
    } else {
        close(fd); /* it has its answer */
    }
}

void gw_respond_buffer(struct gw_request *request, int status, const char *content_type,
                       struct sl_buffer *body)
{
    size_t size = body->size;
    char *bytes = sl_buffer_take(body);
    if (bytes)
        gw_respond(request, status, content_type, bytes, size, free, bytes);
    else
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "try again later");
}

static int append_json(const char *text, size_t size, void *opaque)
{
    return sl_buffer_append(opaque, text, size) ? 0 : -1;
}

bool gw_respond_json(struct gw_request *request, int status, json_t *body)
{
    struct sl_buffer text;
    sl_buffer_init(&text, (size_t)1 << 30);
    int failed = body ? json_dump_callback(body, append_json, &text, JSON_COMPACT | JSON_ENCODE_ANY) : -1;
    json_decref(body);
    if (failed) {
        sl_buffer_free(&text);
        gw_respond_error(request, 500, "out-of-memory", "the gateway has no memory for the answer",
                         "try again later");
    } else {
        gw_respond_buffer(request, status, "application/json", &text);
    }
    return !failed;
}

/* name (NULL: none) and number: one more member. after_s: of Retry-After, 0: none. */
static void respond_error(struct gw_request *request, int status, const char *code, const char *cause,
                          const char *action, const char *name, int number, int after_s)
{
    struct sl_buffer body;
    gw_limit_note_error(request->loop->server, status, code);
    sl_buffer_init(&body, (size_t)64 * 1024);
    sl_buffer_append_text(&body, "{\"title\":");
    sl_buffer_append_quoted_text(&body, MHD_get_reason_phrase_for((unsigned)status));
    sl_buffer_printf(&body, ",\"status\":%d,\"code\":", status);
    sl_buffer_append_quoted_text(&body, code);
    sl_buffer_append_text(&body, ",\"cause\":");
    sl_buffer_append_quoted_text(&body, cause);
    sl_buffer_append_text(&body, ",\"action\":");
    sl_buffer_append_quoted_text(&body, action);
    sl_buffer_append_text(&body, ",\"correlationId\":");
    sl_buffer_append_quoted_text(&body, request->correlation);
    if (name)
        sl_buffer_printf(&body, ",\"%s\":%d", name, number);
    sl_buffer_append_text(&body, "}");
    if (status == 401)
        gw_respond_header(request, "WWW-Authenticate", "Bearer");
    if (after_s) {
        char seconds[12];
        snprintf(seconds, sizeof seconds, "%d", after_s);
        gw_respond_header(request, "Retry-After", seconds);
    }
    size_t size = body.size;
    char *bytes = sl_buffer_take(&body);
    static const char brief[] =
        "{\"title\":\"Service Unavailable\",\"status\":503,\"code\":\"out-of-memory\"}";
    if (bytes)
        gw_respond(request, status, "application/json", bytes, size, free, bytes);
    else
        gw_respond(request, 503, "application/json", brief, sizeof brief - 1, NULL, NULL);
}

static int usual_after_s(int status)
{
    return status == 429 || status == 503 ? 1 : 0;
}

void gw_respond_error_with(struct gw_request *request, int status, const char *code, const char *cause,
                           const char *action, const char *name, int number)
{
    respond_error(request, status, code, cause, action, name, number, usual_after_s(status));
}

void gw_respond_error_after(struct gw_request *request, int status, const char *code, const char *cause,
                            const char *action, int seconds)
{
    respond_error(request, status, code, cause, action, NULL, 0, seconds);
}

void gw_respond_error(struct gw_request *request, int status, const char *code, const char *cause,
                      const char *action)
{
    respond_error(request, status, code, cause, action, NULL, 0, usual_after_s(status));
}

void gw_respond_errorf(struct gw_request *request, int status, const char *code, const char *action,
                       const char *cause_format, ...)
{
    char cause[2000];
    va_list arguments;
    va_start(arguments, cause_format);
    vsnprintf(cause, sizeof cause, cause_format, arguments);
    va_end(arguments);
    gw_respond_error(request, status, code, cause, action);
}
