/*
 * A request's life. libmicrohttpd calls on the loop's thread: gw_mhd_uri when the request line is read,
 * gw_mhd_request when the headers are in, for each piece of the body, at its end and after each resume, and
 * gw_mhd_completed. A handler that does not answer at once leaves the connection suspended; the answer's
 * arrival resumes it.
 */
#include "gateway/http/internal.h"

#include "base/text.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What comes of a body that will not be used is read and dropped, since its answer cannot be sent before: so
 * many bytes, or what is left of a body that was let in. */
#define DISCARD_MAX ((uint64_t)64 << 20)

static struct gw_request *request_new(struct gw_loop *loop)
{
    struct gw_request *request = loop->pool;
    if (request) {
        loop->pool = request->next;
        loop->pool_size--;
    } else if (!(request = malloc(sizeof *request))) {
        return NULL;
    }
    memset(request, 0, offsetof(struct gw_request, id));
    request->id[0] = request->correlation[0] = 0;
    request->loop = loop;
    request->next = loop->requests;
    if (request->next)
        request->next->previous = request;
    loop->requests = request;
    return request;
}

static void release_caller(const struct gw_caller *caller)
{
    if (caller->release)
        caller->release(caller->holder);
}

/* Unlinks and recycles. */
static void request_free(struct gw_request *request)
{
    struct gw_loop *loop = request->loop;
    if (request->previous)
        request->previous->next = request->next;
    else
        loop->requests = request->next;
    if (request->next)
        request->next->previous = request->previous;
    if (request->response)
        MHD_destroy_response(request->response);
    sl_buffer_free(&request->headers);
    release_caller(&request->caller);
    if (loop->pool_size >= GW_POOL_MAX) {
        free(request);
        return;
    }
    request->next = loop->pool;
    loop->pool = request;
    loop->pool_size++;
}

void gw_request_release(struct gw_request *request)
{
    if (request->gone && !atomic_load(&request->posts) && !request->undecided &&
        (!request->handled || request->answered))
        request_free(request);
}

void gw_requests_free(struct gw_loop *loop)
{
    /* Held by handlers that never answered: the server stops, so nobody may look at them again. */
    while (loop->requests)
        request_free(loop->requests); /* NOLINT(clang-analyzer-unix.Malloc): it takes it off the list */
    while (loop->pool) {
        struct gw_request *request = loop->pool;
        loop->pool = request->next;
        free(request);
    }
}

void gw_requests_abandon(struct gw_loop *loop)
{
    for (struct gw_request *request = loop->requests; request; request = request->next) {
        request->gone = true;
        if (request->suspended || request->paused || request->stream.waits) {
            request->suspended = request->paused = request->stream.waits = false;
            MHD_resume_connection(request->connection);
        }
    }
}

void gw_loop_make_id(struct gw_loop *loop, char out[GW_ID_DIGITS + 1])
{
    uint64_t id[2] = {sl_mix(loop->id_prefix + loop->id_next), sl_mix(loop->id_next)};
    loop->id_next++;
    sl_hex(id, sizeof id, out);
}

static void name_correlation(struct gw_request *request)
{
    gw_loop_make_id(request->loop, request->id);
    const char *given = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "X-Correlation-Id");
    if (given && sl_is_token_text(given, GW_CORRELATION_MAX)) {
        memcpy(request->correlation, given, strlen(given) + 1);
        return;
    }
    memcpy(request->correlation, request->id, sizeof request->id);
}

/* An absolute URI in the request line (as to a proxy) is its path. */
static const char *path_of(const char *uri)
{
    if (*uri == '/' || strncmp(uri, "http", 4))
        return uri;
    const char *host = strstr(uri, "://");
    const char *path = host ? strchr(host + 3, '/') : NULL;
    return path ? path : uri;
}

/* A blank or control character: two readers may end the URL at different places. libmicrohttpd looks for the
 * last blank of the line. */
static bool has_blank(const char *uri)
{
    while ((unsigned char)*uri > 0x20 && *uri != 0x7f)
        uri++;
    return *uri != 0;
}

void *gw_mhd_uri(void *opaque, const char *uri, struct MHD_Connection *connection)
{
    struct gw_request *request = request_new(opaque);
    if (!request)
        return NULL;
    request->connection = connection;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    request->peer = info ? info->socket_context : NULL;
    if (request->peer) {
        gw_hold_proved(request->peer, true);
        gw_connection_wait(request->peer, GW_WAIT_HEAD);
        memcpy(request->client, request->peer->remote, GW_ADDRESS_SIZE); /* until its head is read */
    }
    atomic_fetch_add(&request->loop->server->in_flight, 1);
    uri = path_of(uri);
    size_t length = strcspn(uri, "?");
    request->query = uri[length] != 0;
    request->blank = has_blank(uri);
    request->begun_us = sl_mono_us();
    if (request->query && request->loop->server->settings.access_log)
        request->query_text = sl_strdup(uri + length); /* libmicrohttpd decodes it where it stands */
    request->path = length < GW_PATH_INLINE ? request->text : malloc(2 * (length + 1));
    if (!request->path)
        return request; /* gw_mhd_request gives up */
    request->split = request->path + length + 1;
    memcpy(request->path, uri, length);
    request->path[length] = 0;
    memcpy(request->split, request->path, length + 1);
    return request;
}

static void drop_body(struct gw_request *request)
{
    sl_buffer_free(&request->body);
    gw_budget_give(request->loop->server->settings.budget, request->bytes - request->answer_size);
    request->bytes = request->answer_size;
}

static void refuse_size(struct gw_request *request)
{
    gw_respond_errorf(request, 413, "body-too-large", "send at most that many bytes in one request",
                      "the body is over this call's limit of %zu bytes", request->max_body);
}

/* Whether the query's names and values are text: no NUL, and UTF-8. */
static enum MHD_Result check_argument(void *opaque, enum MHD_ValueKind kind, const char *name,
                                      size_t name_size, const char *value, size_t value_size)
{
    bool *bad = opaque;
    (void)kind;
    if (memchr(name, 0, name_size) || sl_utf8_length(name, name_size) < 0 ||
        (value && (memchr(value, 0, value_size) || sl_utf8_length(value, value_size) < 0)))
        *bad = true;
    return *bad ? MHD_NO : MHD_YES;
}

static bool query_is_text(struct gw_request *request)
{
    bool bad = false;
    if (request->query)
        MHD_get_connection_values_n(request->connection, MHD_GET_ARGUMENT_KIND, check_argument, &bad);
    return !bad;
}

static void answer_options(struct gw_request *request, const struct gw_router_leaf *leaf)
{
    struct sl_buffer methods;
    sl_buffer_init(&methods, 200);
    if (gw_leaf_methods(leaf, &methods)) {
        gw_respond_header(request, "Allow", methods.data);
        gw_cors_preflight(request, methods.data);
    }
    gw_respond(request, 204, NULL, "", 0, NULL, NULL);
    sl_buffer_free(&methods);
}

static void answer_wrong_method(struct gw_request *request, const struct gw_router_leaf *leaf)
{
    struct sl_buffer methods;
    sl_buffer_init(&methods, 200);
    if (gw_leaf_methods(leaf, &methods))
        gw_respond_header(request, "Allow", methods.data);
    gw_respond_errorf(request, 405, "method-not-allowed",
                      "use one of the methods that the Allow header names", "%s is not a method of %s",
                      request->method, request->path);
    sl_buffer_free(&methods);
}

/* Finds the route, or answers. */
static bool find_route(struct gw_request *request)
{
    struct gw_server *server = request->loop->server;
    int count = gw_path_split(request->split, request->segments);
    const char *fault =
        request->blank ? "the URL has a blank or a control character in it"
        : count < 0    ? "the URL's path does not begin with a slash, or has a broken %-escape, a NUL (%00) "
                         "or bytes that are no UTF-8"
        : !query_is_text(request) ? "the URL's query has a NUL (%00) or bytes that are no UTF-8"
                                  : NULL;
    if (fault) {
        gw_respond_error(
            request, 400, "bad-url", fault,
            "percent-encode what is in the URL as UTF-8 (RFC 3986): a blank is %20, a % itself %25");
        return false;
    }
    const struct gw_router_leaf *leaf = gw_router_find(server->router, request->segments, count);
    if (!leaf) {
        gw_respond_errorf(request, 404, "no-such-path", "see docs/protocol.md for the paths that there are",
                          "nothing is served at %s", request->path);
        return false;
    }
    request->route = gw_leaf_route(leaf, request->method);
    if (request->route)
        return true;
    if (!strcmp(request->method, "OPTIONS"))
        answer_options(request, leaf);
    else
        answer_wrong_method(request, leaf);
    return false;
}

/* Those that wait for messages, polls and streams, cost next to nothing: they are not counted. */
static bool too_many_requests(const struct gw_request *request)
{
    const struct gw_server *server = request->loop->server;
    unsigned begun = atomic_load_explicit(&server->in_flight, memory_order_relaxed);
    if (begun <= server->settings.max_requests || request->route->route->flags & GW_ROUTE_VITAL)
        return false;
    int64_t counted = (int64_t)begun - atomic_load_explicit(&server->parked, memory_order_relaxed);
    return counted > (int64_t)server->settings.max_requests;
}

/* Whether the server can take it now, or answers. */
static bool has_room(struct gw_request *request)
{
    struct gw_server *server = request->loop->server;
    if (atomic_load_explicit(&server->draining, memory_order_relaxed)) {
        gw_respond_error(request, 503, "shutting-down", "the gateway is being stopped", "try again");
    } else if (!atomic_load_explicit(&server->open, memory_order_acquire)) {
        gw_respond_error(request, 503, "starting", "the gateway is being started", "try again");
    } else if (too_many_requests(request)) {
        gw_limit_note_requests(server);
        gw_respond_errorf(request, 503, "overloaded",
                          "send again after the time that Retry-After gives, or raise "
                          "streamlayer.gateway.limits.requests",
                          "%u requests are under way, as many as there may be",
                          server->settings.max_requests);
    } else {
        return true;
    }
    return false;
}

/* Whether the connection is one of those that there may be, or answers; then it ends with the answer. */
static bool is_welcome(struct gw_request *request)
{
    const struct gw_server_settings *settings = &request->loop->server->settings;
    const struct gw_connection *peer = request->peer;
    if (peer->surplus == GW_SURPLUS_NONE)
        return true;
    bool of_address = peer->surplus == GW_SURPLUS_ADDRESS;
    char cause[100];
    snprintf(cause, sizeof cause, "more than %u connections are open%s",
             of_address ? settings->max_connections_per_address : settings->max_connections,
             of_address ? " from this address" : "");
    gw_respond_header(request, "Connection", "close");
    gw_respond_error_after(request, of_address ? 429 : 503, "too-many-connections", cause,
                           of_address ? "use connections again instead of opening more, or raise "
                                        "streamlayer.gateway.limits.connections-per-address"
                                      : "close connections, or raise streamlayer.gateway.limits.connections",
                           (settings->header_timeout_ms + 999) / 1000); /* the surplus has ended by then */
    return false;
}

/* The body's size, as its head tells; -1: it does not. *length: as it says so; NULL: not. */
static int64_t told_size(const struct gw_request *request, const char **length)
{
    int64_t bytes = -1;
    *length = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Content-Length");
    /* What is no number libmicrohttpd refuses by itself. */
    return *length && !sl_parse_int(*length, 0, INT64_MAX, &bytes) ? INT64_MAX : bytes;
}

void gw_request_bound_body(struct gw_request *request, int64_t max)
{
    request->allowed = (uint64_t)max;
}

/* It may pass: what its route does with its headers. */
static void admit(struct gw_request *request)
{
    const struct gw_route *route = request->route->route;
    request->max_body = route->max_body ? route->max_body : request->loop->server->settings.max_body;
    sl_buffer_init(&request->body, request->max_body);
    const char *length;
    int64_t bytes = told_size(request, &length);
    if (bytes >= 0)
        request->allowed = (uint64_t)bytes;
    else if (route->max_body != GW_BODY_UNBOUNDED)
        request->allowed = request->max_body;
    if (bytes >= 0 && (uint64_t)bytes > request->max_body)
        refuse_size(request);
    else if (gw_query_is_known(request) && gw_body_is_fit(request, length) &&
             route->flags & GW_ROUTE_STREAMED && route->begin)
        route->begin(request);
}

static void admit_posted(struct gw_task *task)
{
    struct gw_request *request =
        (struct gw_request *)(void *)((char *)task - offsetof(struct gw_request, admit_task));
    atomic_fetch_sub(&request->posts, 1);
    request->undecided = false;
    if (request->gone) {
        release_caller(&request->admitted);
        gw_request_release(request);
        return;
    }
    request->caller = request->admitted;
    request->suspended = false;
    gw_connection_wait(request->peer, GW_WAIT_BODY);
    request->loop->run_mhd = true;
    MHD_resume_connection(request->connection);
    if (!request->loop->handles_no_more)
        admit(request);
}

void gw_request_admit(struct gw_request *request, const struct gw_caller *caller)
{
    atomic_fetch_add(&request->posts, 1);
    request->admitted = *caller;
    request->admit_task.run = admit_posted;
    gw_loop_post(request->loop, &request->admit_task);
}

/* The headers are in. false: nothing of the body may be read, because where it ends is not clear, or because
 * the connection is one too many. */
static bool begin(struct gw_request *request, const char *method, const char *version)
{
    struct gw_server *server = request->loop->server;
    request->method = method;
    name_correlation(request);
    gw_cors_judge(request);
    sl_buffer_init(&request->headers, 8000);
    if (!gw_framing_is_clear(request, version) || !is_welcome(request))
        return false;
    if (!gw_peer_is_clear(request) || !gw_expectation_is_known(request) || !find_route(request) ||
        !has_room(request))
        return true;
    enum gw_verdict verdict = GW_PASS;
    if (!(request->route->route->flags & GW_ROUTE_PUBLIC) && server->settings.authenticate)
        verdict = server->settings.authenticate(server->settings.opaque, request, &request->caller);
    if (verdict == GW_PASS) {
        admit(request);
    } else if (verdict == GW_LATER && !request->answered) {
        request->undecided = request->suspended = request->repeated = true;
        gw_connection_wait(request->peer, GW_WAIT_OURS);
        MHD_suspend_connection(request->connection);
    }
    return true;
}

static void overloaded(struct gw_request *request)
{
    gw_respond_error(request, 503, "overloaded", GW_BUDGET_FULL,
                     "send again after the time that Retry-After gives");
}

/* A piece of the body for a route that takes it as it comes. */
static void give_piece(struct gw_request *request, const char *data, size_t *size)
{
    if (*size > request->max_body - request->body_bytes) {
        refuse_size(request);
    } else {
        *size -= request->route->route->data(request, data, *size);
        if (*size && !request->answered) {
            request->paused = true;
            request->peer->paused = request;
            gw_connection_wait(request->peer, GW_WAIT_OURS);
            MHD_suspend_connection(request->connection);
            return;
        }
    }
    *size = 0;
}

/* A piece of the body. false: enough of it, the connection is to be closed. */
static bool take_piece(struct gw_request *request, const char *data, size_t *size)
{
    struct gw_server *server = request->loop->server;
    size_t offered = *size;
    request->peer->moved += offered;
    if (request->answered) {
        request->discarded += offered;
        *size = 0;
        return request->discarded <= DISCARD_MAX || request->body_bytes + offered <= request->allowed;
    }
    if (request->route->route->flags & GW_ROUTE_STREAMED && request->route->route->data) {
        give_piece(request, data, size);
        return true;
    }
    *size = 0;
    if (offered > request->body.max - request->body.size) {
        refuse_size(request);
    } else if (!gw_budget_take(server->settings.budget, offered)) {
        overloaded(request);
    } else {
        request->bytes += offered;
        if (!sl_buffer_append(&request->body, data, offered))
            overloaded(request);
    }
    if (request->answered)
        drop_body(request);
    return true;
}

/* Whether the answer goes before the body, after which the connection ends: its client has asked before it
 * sends, or has more to send than would be read and dropped. */
static bool answers_at_once(const struct gw_request *request)
{
    const char *length;
    return request->expect || told_size(request, &length) > (int64_t)DISCARD_MAX;
}

static enum MHD_Result send_answer(struct gw_request *request)
{
    if (!request->response)
        return MHD_NO; /* there was no memory for one */
    bool asks = request->sent || request->hold, gone = gw_connection_is_deserted(request->peer, asks);
    request->deserted = asks && gone;
    if (request->stream.open && gone)
        return MHD_NO;
    if (request->file)
        request->acknowledged = gw_connection_acknowledged(request->peer);
    gw_connection_wait(request->peer, request->stream.open ? GW_WAIT_OURS : GW_WAIT_ANSWER);
    if (request->stream.open) { /* it may be idle as long as it likes */
        request->peer->streaming = request;
        gw_connection_bound_writes(request->peer, request->loop->server->settings.stream_timeout_ms);
    }
    /* libmicrohttpd does not see an end that came with the request, and would keep the connection. */
    if (gone)
        MHD_add_response_header(request->response, "Connection", "close");
    enum MHD_Result result =
        MHD_queue_response(request->connection, (unsigned)request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return result;
}

enum MHD_Result gw_mhd_request(void *opaque, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *data, size_t *size,
                               void **context)
{
    struct gw_request *request = *context;
    (void)opaque, (void)url;
    if (!request || !request->path || request->gone || !request->peer ||
        (request->loop->handles_no_more && !request->answered && !request->handled))
        return MHD_NO;
    if (!request->begun) {
        request->begun = true;
        gw_connection_wait(request->peer, GW_WAIT_BODY);
        request->version = version;
        bool clear = begin(request, method, version);
        if (request->answered && (!clear || answers_at_once(request)))
            return send_answer(request);
        return MHD_YES;
    }
    /* After a suspension in the call for the headers it is made again, before anything of the body comes. */
    if (request->repeated) {
        request->repeated = false;
        return request->answered && answers_at_once(request) ? send_answer(request) : MHD_YES;
    }
    if (*size) {
        size_t offered = *size;
        bool goes_on = take_piece(request, data, size);
        request->body_bytes += offered - *size;
        return goes_on ? MHD_YES : MHD_NO;
    }
    if (!request->answered && !request->handled) {
        request->handled = true;
        request->route->route->handle(request);
    }
    if (request->answered)
        return send_answer(request);
    request->suspended = true;
    gw_connection_wait(request->peer, GW_WAIT_OURS);
    MHD_suspend_connection(connection);
    return MHD_YES;
}

void gw_mhd_completed(void *opaque, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode why)
{
    struct gw_request *request = *context;
    (void)opaque, (void)connection;
    if (!request)
        return;
    *context = NULL;
    if (request->stream.open) {
        request->peer->streaming = NULL;
        atomic_fetch_sub_explicit(&request->loop->server->streams, 1, memory_order_relaxed);
        gw_connection_bound_writes(request->peer, 0);
        gw_stream_free(request);
    }
    gw_request_unpark(request);
    struct gw_server *server = request->loop->server;
    bool whole = why == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    request->broken = !whole;
    bool gone = request->sent || request->hold
                    ? request->deserted || !request->peer || gw_connection_was_reset(request->peer)
                    : false;
    gw_hold_request_ended(request, whole && !gone);
    if (request->sent)
        request->sent(request->sent_opaque, whole && !gone && !request->held_back);
    if (request->peer) {
        request->peer->paused = NULL;
        gw_connection_wait(request->peer, GW_WAIT_IDLE);
    }
    if (request->free_data)
        request->free_data(request->data);
    gw_request_note_end(request, whole);
    sl_buffer_free(&request->body);
    if (request->path != request->text)
        free(request->path);
    free(request->query_text);
    gw_budget_give(server->settings.budget, request->bytes);
    request->connection = NULL;
    request->free_data = NULL;
    request->sent = NULL;
    request->gone = true;
    gw_request_release(request);
    if (atomic_fetch_sub(&server->in_flight, 1) == 1 && atomic_load(&server->draining)) {
        pthread_mutex_lock(&server->lock);
        pthread_cond_broadcast(&server->idle);
        pthread_mutex_unlock(&server->lock);
    }
}

int64_t gw_request_untaken(const struct gw_request *request)
{
    if (!request->answered || !request->file || !request->broken)
        return 0;
    uint64_t taken = gw_connection_acknowledged(request->peer) - request->acknowledged;
    return taken < request->answer_bytes ? (int64_t)(request->answer_bytes - taken) : 0;
}

bool gw_request_is_deserted(const struct gw_request *request)
{
    return request->gone || !request->peer || gw_connection_has_left(request->peer);
}

static void resume_body(struct gw_task *task)
{
    struct gw_request *request =
        (struct gw_request *)(void *)((char *)task - offsetof(struct gw_request, continue_task));
    atomic_store(&request->continue_posted, false);
    atomic_fetch_sub(&request->posts, 1);
    if (request->paused && !request->gone) {
        request->paused = false;
        request->peer->paused = NULL;
        gw_connection_wait(request->peer, GW_WAIT_BODY);
        request->loop->run_mhd = true;
        MHD_resume_connection(request->connection);
    }
    gw_request_release(request);
}

void gw_request_continue(struct gw_request *request)
{
    if (atomic_exchange(&request->continue_posted, true))
        return; /* one is under way, and runs later than this */
    atomic_fetch_add(&request->posts, 1);
    request->continue_task.run = resume_body;
    gw_loop_post(request->loop, &request->continue_task);
}
