#include "gw_serving.h"

#include <stdlib.h>
#include <string.h>

static void hello(struct gw_request *request)
{
    gw_respond(request, 200, "text/plain", "hello", 5, NULL, NULL);
}

static void echo(struct gw_request *request)
{
    struct sl_buffer body = {.max = 0};
    sl_buffer_init(&body, SIZE_MAX);
    sl_buffer_append(&body, gw_request_body(request)->data, gw_request_body(request)->size);
    gw_respond_buffer(request, 200, "text/plain", &body);
}

static void show(struct gw_request *request)
{
    struct sl_buffer text;
    sl_buffer_init(&text, 1000);
    const char *query = gw_request_query(request, "q"), *none = gw_request_query(request, "none");
    sl_buffer_printf(&text, "%s %s p=%s q=%s none=%s", gw_request_method(request), gw_request_path(request),
                     gw_request_parameter(request, "p"), query ? query : "(null)", none ? none : "(null)");
    gw_respond_buffer(request, 200, "text/plain", &text);
}

static void *answer_elsewhere(void *opaque)
{
    hello(opaque);
    return NULL;
}

static void elsewhere(struct gw_request *request)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_elsewhere, request), 0);
    pthread_detach(thread);
}

static void count_sent(void *opaque, bool whole)
{
    struct shared *shared = opaque;
    atomic_fetch_add(whole ? &shared->sent_whole : &shared->sent_broken, 1);
    sem_post(&shared->reached);
}

static void count_freed(void *data)
{
    atomic_fetch_add(&((struct shared *)data)->freed, 1);
}

static void park(struct gw_request *request)
{
    struct shared *shared = gw_request_opaque(request);
    gw_request_on_sent(request, count_sent, shared);
    gw_request_set_data(request, shared, count_freed);
    shared->parked = request;
    sem_post(&shared->reached);
}

static void *go_on(void *request)
{
    gw_request_continue(request);
    return NULL;
}

/* Takes a quota of each piece, then has another thread go on. */
static size_t stream_data(struct gw_request *request, const char *data, size_t size)
{
    struct shared *shared = gw_request_opaque(request);
    size_t taken = size < shared->quota ? size : shared->quota;
    for (size_t i = 0; i < taken; i++)
        assert_int_equal(data[i], 'a' + (char)((atomic_load(&shared->streamed) + i) % 26));
    atomic_fetch_add(&shared->streamed, taken);
    if (taken < size) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, go_on, request), 0);
        pthread_detach(thread);
    }
    return taken;
}

static void stream_end(struct gw_request *request)
{
    struct shared *shared = gw_request_opaque(request);
    struct sl_buffer text;
    sl_buffer_init(&text, 100);
    sl_buffer_printf(&text, "%zu", atomic_load(&shared->streamed));
    gw_respond_buffer(request, 200, "text/plain", &text);
}

static void refuse_early(struct gw_request *request)
{
    gw_respond_error(request, 415, "early", "refused \"before\"\n\xff the body", "nothing");
}

/* Takes what comes, until it is enough. */
static size_t take_until_full(struct gw_request *request, const char *data, size_t size)
{
    struct shared *shared = gw_request_opaque(request);
    (void)data;
    if (atomic_fetch_add(&shared->streamed, size) + size >= shared->quota)
        gw_respond_error(request, 507, "full", "there is no room for the rest", "nothing");
    return size;
}

static void bound_late(struct gw_request *request)
{
    gw_request_bound_body(request, LATE_MAX);
}

/* The verdict comes from another thread. */
static void *decide(void *opaque)
{
    struct gw_request *request = opaque;
    if (strstr(gw_request_path(request), "no"))
        gw_respond_error(request, 401, "unauthenticated", "thought about it", "get one");
    else
        gw_request_admit(request, &(struct gw_caller){.application = "late"});
    return NULL;
}

static enum gw_verdict authenticate(void *opaque, struct gw_request *request, struct gw_caller *caller)
{
    struct shared *shared = opaque;
    const char *given = gw_request_header(request, "Authorization");
    if (!given) {
        gw_respond_error(request, 401, "unauthenticated", "no token", "get one");
        return GW_ANSWERED;
    }
    if (!strcmp(given, "later")) {
        int failed = pthread_create(&shared->decider, NULL, decide, request);
        sem_post(&shared->reached);
        return failed ? GW_PASS : GW_LATER;
    }
    char *name = strdup(given);
    *caller = (struct gw_caller){.application = name, .holder = name, .release = free};
    return GW_PASS;
}

static void who(struct gw_request *request)
{
    char *name = strdup(gw_request_application(request));
    gw_respond(request, 200, "text/plain", name, strlen(name), free, name);
}

/* Its name, and the body. */
static void who_and_what(struct gw_request *request)
{
    const struct sl_buffer *body = gw_request_body(request);
    struct sl_buffer text;
    sl_buffer_init(&text, 1000);
    sl_buffer_printf(&text, "%s %.*s", gw_request_application(request), (int)body->size,
                     body->data ? body->data : "");
    gw_respond_buffer(request, 200, "text/plain", &text);
}

static void count_drained(void *opaque)
{
    struct shared *shared = opaque;
    atomic_fetch_add(&shared->drained, 1);
    sem_post(&shared->reached);
}

/* The first piece is there with the head. */
static void flow(struct gw_request *request)
{
    struct shared *shared = gw_request_opaque(request);
    struct sl_buffer piece;
    sl_buffer_init(&piece, 100);
    sl_buffer_append_text(&piece, "..first");
    gw_request_on_sent(request, count_sent, shared);
    shared->parked = request;
    gw_stream_write(request, &piece, 2);
    gw_respond_stream(request, "text/event-stream", count_drained, shared);
}

static const struct gw_route routes[] = {
    {.method = "GET", .pattern = "/flow", .flags = GW_ROUTE_PUBLIC, .handle = flow, .name = "flow"},
    {.method = "GET", .pattern = "/hello", .flags = GW_ROUTE_PUBLIC, .handle = hello, .name = "hello"},
    {.method = "POST",
     .pattern = "/echo",
     .flags = GW_ROUTE_PUBLIC,
     .max_body = 1000,
     .handle = echo,
     .name = "echo"},
    {.method = "GET", .pattern = "/show/{p}", .flags = GW_ROUTE_PUBLIC, .handle = show, .name = "show"},
    {.method = "GET",
     .pattern = "/elsewhere",
     .flags = GW_ROUTE_PUBLIC,
     .handle = elsewhere,
     .name = "elsewhere"},
    {.method = "GET", .pattern = "/park", .flags = GW_ROUTE_PUBLIC, .handle = park, .name = "park"},
    {.method = "POST",
     .pattern = "/stream",
     .flags = GW_ROUTE_PUBLIC | GW_ROUTE_STREAMED,
     .max_body = 1 << 20,
     .handle = stream_end,
     .data = stream_data,
     .name = "stream"},
    {.method = "POST",
     .pattern = "/early",
     .flags = GW_ROUTE_PUBLIC | GW_ROUTE_STREAMED,
     .handle = hello,
     .begin = refuse_early,
     .name = "early"},
    {.method = "POST",
     .pattern = "/late",
     .flags = GW_ROUTE_PUBLIC | GW_ROUTE_STREAMED,
     .max_body = GW_BODY_UNBOUNDED,
     .handle = hello,
     .begin = bound_late,
     .data = take_until_full,
     .name = "late"},
    {.method = "GET", .pattern = "/who", .handle = who, .name = "who"},
    {.method = "POST", .pattern = "/who/{answer}", .handle = who_and_what, .name = "who.post"},
};

uint16_t start_with(struct shared *shared, struct gw_server_settings settings)
{
    memset(shared, 0, sizeof *shared);
    sem_init(&shared->reached, 0, 0);
    shared->quota = 1000;
    settings.routes = routes;
    settings.route_count = sizeof routes / sizeof *routes;
    settings.authenticate = authenticate;
    settings.opaque = shared;
    if (!settings.loops)
        settings.loops = 2;
    sl_error error = {0};
    if (gw_server_start(&settings, NULL, &shared->server, &error))
        fail_msg("%s", error.text);
    return gw_server_port(shared->server);
}

uint16_t start(struct shared *shared)
{
    return start_with(shared, (struct gw_server_settings){0});
}

void stop(struct shared *shared)
{
    gw_server_stop(&shared->server);
    sem_destroy(&shared->reached);
}

void ask_parked(struct shared *shared, int fd)
{
    static const char ask[] = "GET /park HTTP/1.1\r\n" HOST "\r\n";
    client_write(fd, ask, strlen(ask));
    sem_wait(&shared->reached);
}

void post(int fd, const char *path, size_t size, struct answer *answer)
{
    char head[200];
    char *body = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        body[i] = (char)('a' + i % 26);
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", path, size);
    client_write(fd, head, strlen(head));
    client_write(fd, body, size);
    client_read(fd, answer, true);
    free(body);
}
