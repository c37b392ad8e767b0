#include "support/cases.h"

#include "gw_client.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/time.h"
#include "gateway/http/server.h"

#define HOST "Host: x\r\n"

/* What handlers and tests tell each other. */
struct shared {
    pthread_t decider;
    sem_t reached;             /* a handler is where the test wants it */
    struct gw_request *parked; /* unanswered; read after reached */
    atomic_int sent_whole, sent_broken;
    atomic_int freed, drained;
    atomic_size_t streamed;
    size_t quota; /* bytes that the streamed route takes before it pauses */
    struct gw_server *server;
};

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

/* Gives a stream its next piece, or its end, on its loop. */
struct giving {
    struct gw_task task; /* first */
    struct gw_request *request;
    size_t size; /* 0: the end */
};

static void run_giving(struct gw_task *task)
{
    struct giving *giving = (struct giving *)(void *)task;
    struct sl_buffer piece;
    sl_buffer_init(&piece, SIZE_MAX);
    for (size_t i = 0; i < giving->size; i++)
        sl_buffer_append(&piece, "x", 1);
    if (giving->size)
        gw_stream_write(giving->request, &piece, 0);
    else
        gw_stream_end(giving->request);
}

static void give(struct shared *shared, struct giving *giving, size_t size)
{
    *giving = (struct giving){{NULL, run_giving}, shared->parked, size};
    gw_loop_post(gw_request_loop(shared->parked), &giving->task);
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
    {.method = "GET", .pattern = "/who", .handle = who, .name = "who"},
    {.method = "POST", .pattern = "/who/{answer}", .handle = who_and_what, .name = "who.post"},
};

static uint16_t start_with(struct shared *shared, struct gw_server_settings settings)
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

static uint16_t start(struct shared *shared)
{
    return start_with(shared, (struct gw_server_settings){0});
}

static void stop(struct shared *shared)
{
    gw_server_stop(&shared->server);
    sem_destroy(&shared->reached);
}

static void correlation_ids_are_echoed_or_made(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start(&shared);
    client_ask(port, "GET /hello HTTP/1.1\r\n" HOST "X-Correlation-Id: mine-1\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "hello");
    assert_non_null(strstr(answer.text, "\r\nX-Correlation-Id: mine-1\r\n"));
    assert_non_null(strstr(answer.text, "\r\nContent-Type: text/plain\r\n"));
    client_ask(port, "GET /hello HTTP/1.1\r\n" HOST "X-Correlation-Id: not so sane\r\n\r\n", &answer);
    const char *made = strstr(answer.text, "\r\nX-Correlation-Id: ");
    assert_non_null(made);
    assert_int_equal(strspn(made + 20, "0123456789abcdef"), 32);
    stop(&shared);
}

static void segments_and_queries_are_decoded(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start(&shared);
    client_ask(port, "GET /show/a%2Fb%3ac:d?q=x%20y+z&sentWith=sdk HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_string_equal(answer.body, "GET /show/a%2Fb%3ac:d p=a/b:c:d q=x y z none=(null)");
    client_ask(port, "GET http://x:1/show/a?q=1 HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_string_equal(answer.body, "GET /show/a p=a q=1 none=(null)");
    static const char *const bad[] = {"/show/a%2", "/show/a%00", "/show/%ff", "/show/a?q=%ff",
                                      "/show/a?q=%00"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char request[200];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" HOST "\r\n", bad[i]);
        client_ask(port, request, &answer);
        assert_int_equal(answer.status, 400);
        assert_non_null(strstr(answer.body, "\"code\":\"bad-url\""));
    }
    stop(&shared);
}

static void wrong_paths_and_methods_are_told(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start(&shared);
    client_ask(port, "GET /nothing HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_int_equal(answer.status, 404);
    assert_non_null(strstr(answer.body, "\"title\":\"Not Found\",\"status\":404"));
    client_ask(port, "PUT /hello HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", &answer);
    assert_int_equal(answer.status, 405);
    assert_non_null(strstr(answer.text, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    client_ask(port, "HEAD /hello HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.text, "\r\nContent-Length: 5\r\n"));
    stop(&shared);
}

/* Sends a body of that size and reads the answer, on an open connection. */
static void post(int fd, const char *path, size_t size, struct answer *answer)
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

static void bodies_are_bounded(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start(&shared);
    int fd = client_connect(port);
    post(fd, "/echo", 1000, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(strlen(answer.body), 1000);
    post(fd, "/echo", 1001, &answer);
    assert_int_equal(answer.status, 413);
    post(fd, "/echo", 300000, &answer); /* the connection still serves */
    assert_int_equal(answer.status, 413);
    post(fd, "/echo", 0, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "");
    close(fd);
    char chunked[3000] = "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n7d0\r\n";
    size_t size = strlen(chunked);
    memset(chunked + size, 'x', 2000);
    strcpy(chunked + size + 2000, "\r\n0\r\n\r\n");
    client_ask(port, chunked, &answer);
    assert_int_equal(answer.status, 413);
    /* Told its size beforehand, the client need not send it. */
    client_ask(port, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5000\r\nExpect: 100-continue\r\n\r\n",
               &answer);
    assert_int_equal(answer.status, 413);
    /* Without Content-Length there is no body. */
    client_ask(port, "POST /echo HTTP/1.1\r\n" HOST "Content-Type: application/json\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    stop(&shared);
}

static void bytes_in_flight_are_bounded(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    struct gw_budget *budget;
    sl_error error;
    assert_int_equal(gw_budget_create(1500, &budget, &error), SL_OK);
    uint16_t port = start_with(&shared, (struct gw_server_settings){.budget = budget});
    int first = client_connect(port), second = client_connect(port);
    post(first, "/echo", 900, &answer);
    assert_int_equal(answer.status, 200);
    char half[1000] = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n";
    size_t head = strlen(half);
    memset(half + head, 'x', 900);
    client_write(first, half, head + 900);
    while (gw_budget_used(budget) != 900)
        ; /* until the server has read those 900 bytes there is room for 900 more */
    post(second, "/echo", 900, &answer);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.text, "\r\nRetry-After: 1\r\n"));
    assert_non_null(strstr(answer.body, "\"code\":\"overloaded\""));
    client_write(first, half + head, 100);
    client_read(first, &answer, true);
    assert_int_equal(answer.status, 200);
    close(first);
    close(second);
    stop(&shared);
    assert_int_equal(gw_budget_used(budget), 0);
    gw_budget_destroy(&budget);
}

static void connections_are_bounded(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start_with(&shared, (struct gw_server_settings){.max_connections = 2});
    int first = client_connect(port), second = client_connect(port);
    static const char ask[] = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
    client_write(first, ask, strlen(ask));
    client_read(first, &answer, true);
    assert_int_equal(answer.status, 200);
    client_write(second, ask, strlen(ask));
    client_read(second, &answer, true);
    assert_int_equal(answer.status, 200);
    client_ask(port, ask, &answer);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.body, "too-many-connections"));
    assert_non_null(strstr(answer.text, "\r\nConnection: close\r\n"));
    client_write(first, ask, strlen(ask));
    client_read(first, &answer, true);
    assert_int_equal(answer.status, 200);
    close(first);
    close(second);
    stop(&shared);
}

static void another_thread_may_answer(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    int fd = client_connect(start(&shared));
    for (int i = 0; i < 200; i++) {
        static const char ask[] = "GET /elsewhere HTTP/1.1\r\n" HOST "\r\n";
        client_write(fd, ask, strlen(ask));
        client_read(fd, &answer, true);
        assert_int_equal(answer.status, 200);
    }
    close(fd);
    stop(&shared);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    int fd = client_connect(start(&shared));
    static const char three[] = "GET /elsewhere HTTP/1.1\r\n" HOST "\r\nGET /show/1 HTTP/1.1\r\n" HOST
                                "\r\nGET /show/2 HTTP/1.1\r\n" HOST "\r\n";
    client_write(fd, three, strlen(three));
    client_read(fd, &answer, true);
    assert_string_equal(answer.body, "hello");
    client_read(fd, &answer, true);
    assert_non_null(strstr(answer.body, "p=1"));
    client_read(fd, &answer, true);
    assert_non_null(strstr(answer.body, "p=2"));
    close(fd);
    stop(&shared);
}

static void streamed_bodies_pause_and_go_on(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    int fd = client_connect(start(&shared));
    post(fd, "/stream", 100000, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "100000");
    post(fd, "/stream", (1 << 20) + 1, &answer);
    assert_int_equal(answer.status, 413);
    close(fd);
    stop(&shared);
}

static void an_early_answer_waits_for_the_body(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    int fd = client_connect(start(&shared));
    for (int i = 0; i < 2; i++) {
        post(fd, "/early", 200000, &answer);
        assert_int_equal(answer.status, 415);
        assert_non_null(strstr(answer.body, "\"cause\":\"refused \\\"before\\\"\\n\xef\xbf\xbd the body\""));
    }
    close(fd);
    stop(&shared);
}

static void tokens_are_asked_for(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start(&shared);
    client_ask(port, "GET /who HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.text, "\r\nWWW-Authenticate: Bearer\r\n"));
    client_ask(port, "GET /who HTTP/1.1\r\n" HOST "Authorization: me\r\n\r\n", &answer);
    assert_string_equal(answer.body, "me");
    stop(&shared);
}

/* One that has read its answer may close at once: that does not tell that it has not read it. */
static void closing_after_the_answer_is_no_loss(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start(&shared);
    static const char ask[] = "GET /park HTTP/1.1\r\n" HOST "\r\n";
    const int times = 200;
    for (int i = 0; i < times; i++) {
        int fd = client_connect(port);
        client_write(fd, ask, strlen(ask));
        sem_wait(&shared.reached);
        gw_respond(shared.parked, 200, "text/plain", "there", 5, NULL, NULL);
        client_read(fd, &answer, true);
        close(fd);
        sem_wait(&shared.reached);
    }
    assert_int_equal(atomic_load(&shared.sent_whole), times);
    stop(&shared);
}

static void a_verdict_may_come_later(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start(&shared);
    static const struct {
        const char *request;
        int status;
        const char *body;
    } cases[] = {
        {"GET /who HTTP/1.1\r\n" HOST "Authorization: later\r\n\r\n", 200, "late"},
        {"POST /who/yes HTTP/1.1\r\n" HOST "Authorization: later\r\nContent-Length: 3\r\n\r\nabc", 200,
         "late abc"},
        {"POST /who/no HTTP/1.1\r\n" HOST "Authorization: later\r\nContent-Length: 3\r\n\r\nabc", 401,
         "thought about it"},
        {"POST /who/no HTTP/1.1\r\n" HOST "Authorization: later\r\nContent-Length: 3\r\nExpect: "
         "100-continue\r\n\r\n",
         401, "thought about it"},
    };
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            client_ask(port, cases[i].request, &answer);
            assert_int_equal(answer.status, cases[i].status);
            assert_non_null(strstr(answer.body, cases[i].body));
            sem_wait(&shared.reached);
            pthread_join(shared.decider, NULL);
        }
    /* Who asks before he sends is given leave after the verdict, and not before. */
    int fd = client_connect(port);
    static const char head[] = "POST /who/yes HTTP/1.1\r\n" HOST
                               "Authorization: later\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    client_write(fd, head, strlen(head));
    client_read(fd, &answer, false);
    assert_int_equal(answer.status, 100);
    sem_wait(&shared.reached);
    pthread_join(shared.decider, NULL);
    client_write(fd, "abc", 3);
    client_read(fd, &answer, true);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "late abc");
    close(fd);
    stop(&shared);
}

static void sending_is_reported(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start(&shared);
    static const char ask[] = "GET /park HTTP/1.1\r\n" HOST "\r\n";
    int fd = client_connect(port);
    client_write(fd, ask, strlen(ask));
    sem_wait(&shared.reached);
    gw_respond(shared.parked, 200, "text/plain", "there", 5, NULL, NULL);
    client_read(fd, &answer, true);
    assert_string_equal(answer.body, "there");
    sem_wait(&shared.reached);
    assert_int_equal(atomic_load(&shared.sent_whole), 1);
    /* A client that has gone away has not read it, though the kernel took the bytes. */
    client_write(fd, ask, strlen(ask));
    sem_wait(&shared.reached);
    close(fd);
    gw_respond(shared.parked, 200, "text/plain", "there", 5, NULL, NULL);
    sem_wait(&shared.reached);
    assert_int_equal(atomic_load(&shared.sent_whole), 1);
    assert_int_equal(atomic_load(&shared.sent_broken), 1);
    stop(&shared);
    assert_int_equal(atomic_load(&shared.freed), 2);
}

static const char flow_request[] = "GET /flow HTTP/1.1\r\n" HOST "\r\n",
                  hello_request[] = "GET /hello HTTP/1.1\r\n" HOST "\r\n";

/* Reads until the text ends with that. */
static void read_until(int fd, char *text, size_t room, const char *end)
{
    size_t size = strlen(text), wanted = strlen(end);
    while (size < wanted || strcmp(text + size - wanted, end)) {
        struct pollfd ready = {fd, POLLIN, 0};
        assert_int_equal(poll(&ready, 1, 20000), 1);
        ssize_t got = recv(fd, text + size, room - size - 1, 0);
        assert_true(got > 0);
        size += (size_t)got;
        text[size] = 0;
    }
}

static void streams_are_written_as_they_come(void **state)
{
    struct shared shared;
    struct giving giving;
    char text[4000] = "";
    (void)state;
    uint16_t port = start_with(&shared, (struct gw_server_settings){.idle_timeout_ms = 1000});
    int fd = client_connect(port);
    client_write(fd, flow_request, strlen(flow_request));
    read_until(fd, text, sizeof text, "\r\n5\r\nfirst\r\n");
    assert_non_null(strstr(text, "Transfer-Encoding: chunked"));
    sem_wait(&shared.reached); /* drained */
    give(&shared, &giving, 3);
    read_until(fd, text, sizeof text, "3\r\nxxx\r\n");
    sem_wait(&shared.reached);
    assert_int_equal(atomic_load(&shared.drained), 2);
    give(&shared, &giving, 0);
    read_until(fd, text, sizeof text, "\r\n0\r\n\r\n");
    sem_wait(&shared.reached);
    assert_int_equal(atomic_load(&shared.sent_whole), 1);
    struct answer answer; /* the connection goes on */
    client_write(fd, hello_request, strlen(hello_request));
    client_read(fd, &answer, true);
    assert_string_equal(answer.body, "hello");
    close(fd);
    stop(&shared);
}

static void a_stream_hears_of_its_connections_end(void **state)
{
    struct shared shared;
    struct giving giving;
    char text[4000] = "";
    (void)state;
    uint16_t port = start(&shared);
    int fd = client_connect(port);
    client_write(fd, flow_request, strlen(flow_request));
    read_until(fd, text, sizeof text, "first\r\n");
    sem_wait(&shared.reached);
    close(fd); /* while nothing is being written */
    sem_wait(&shared.reached);
    assert_int_equal(atomic_load(&shared.sent_broken), 1);

    fd = client_connect(port);
    *text = 0;
    client_write(fd, flow_request, strlen(flow_request));
    read_until(fd, text, sizeof text, "first\r\n");
    sem_wait(&shared.reached);
    give(&shared, &giving, (size_t)16 << 20); /* more than the connection takes */
    read_until(fd, text, sizeof text, "x");
    close(fd);
    sem_wait(&shared.reached);
    assert_int_equal(atomic_load(&shared.sent_broken), 2);
    assert_int_equal(atomic_load(&shared.drained), 2);
    stop(&shared);
}

static void *drain(void *server)
{
    gw_server_drain(server, 20000);
    return NULL;
}

static void a_stream_that_nobody_reads_is_cut(void **state)
{
    struct shared shared;
    struct giving giving;
    char text[4000] = "";
    (void)state;
    uint16_t port = start(&shared);
    int fd = client_connect(port);
    client_write(fd, flow_request, strlen(flow_request));
    read_until(fd, text, sizeof text, "first\r\n");
    sem_wait(&shared.reached);
    give(&shared, &giving, (size_t)16 << 20);
    drain(shared.server);
    sem_wait(&shared.reached);
    assert_int_equal(atomic_load(&shared.sent_broken), 1);
    close(fd);
    stop(&shared);
}

static void draining_lets_requests_end(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start(&shared);
    int parked = client_connect(port), other = client_connect(port);
    static const char ask[] = "GET /park HTTP/1.1\r\n" HOST "\r\n",
                      hi[] = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
    client_write(other, hi, strlen(hi));
    client_read(other, &answer, true);
    client_write(parked, ask, strlen(ask));
    sem_wait(&shared.reached);
    pthread_t thread;
    pthread_create(&thread, NULL, drain, shared.server);
    int refused; /* once it drains, nobody can connect */
    while ((refused = client_connect(port)) >= 0)
        close(refused);
    client_write(other, hi, strlen(hi));
    client_read(other, &answer, true);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.text, "\r\nConnection: close\r\n"));
    gw_respond(shared.parked, 200, "text/plain", "there", 5, NULL, NULL);
    client_read(parked, &answer, true);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.text, "\r\nConnection: close\r\n"));
    pthread_join(thread, NULL);
    close(parked);
    close(other);
    stop(&shared);
}

static void no_handler_runs_after_draining(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    int fd = client_connect(start(&shared));
    static const char head[] = "POST /stream HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nab";
    client_write(fd, head, strlen(head));
    while (atomic_load(&shared.streamed) < 2)
        sched_yield();
    gw_server_drain(shared.server, 10);
    client_write(fd, "cd", 2);
    client_read(fd, &answer, true);
    assert_int_equal(answer.status, 0);
    assert_int_equal(atomic_load(&shared.streamed), 2);
    close(fd);
    stop(&shared);
}

static void stopping_abandons_what_is_unanswered(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    int fd = client_connect(start(&shared));
    static const char ask[] = "GET /park HTTP/1.1\r\n" HOST "\r\n";
    client_write(fd, ask, strlen(ask));
    sem_wait(&shared.reached);
    gw_server_drain(shared.server, 10);
    gw_server_stop(&shared.server);
    assert_int_equal(atomic_load(&shared.freed), 1);
    assert_int_equal(atomic_load(&shared.sent_broken), 1);
    client_read(fd, &answer, true);
    assert_int_equal(answer.status, 0);
    close(fd);
    stop(&shared);
}

/* Timers, watches and tasks: all on one loop, told in the order that they ran. */
struct order {
    struct gw_task task;
    struct gw_timer timers[40];
    struct gw_watch watch;
    struct gw_loop *loop;
    struct shared *shared;
    int64_t last_due_ms;
    int ran, out_of_order, seen;
};

static struct order *the_order; /* one test's */

static void timer_ran(struct gw_timer *timer)
{
    the_order->out_of_order += timer->due_ms < the_order->last_due_ms || timer->due_ms > sl_mono_ms();
    the_order->last_due_ms = timer->due_ms;
    if (++the_order->ran == 30)
        sem_post(&the_order->shared->reached);
}

static void watch_ready(struct gw_watch *watch)
{
    gw_watch_remove(the_order->loop, watch);
    the_order->seen++;
    sem_post(&the_order->shared->reached);
}

static void set_timers(struct gw_task *task)
{
    struct order *order = (struct order *)task;
    int64_t now = sl_mono_ms();
    assert_true(gw_loop_is_current(order->loop));
    for (int i = 0; i < 40; i++) {
        order->timers[i].run = timer_ran;
        assert_int_equal(gw_timer_set(order->loop, &order->timers[i], now + 1000 + i), SL_OK);
        assert_int_equal(gw_timer_set(order->loop, &order->timers[i], now + (i * 7) % 40), SL_OK);
    }
    for (int i = 0; i < 40; i += 4)
        gw_timer_cancel(order->loop, &order->timers[i]);
    gw_timer_cancel(order->loop, &order->timers[0]);
    assert_int_equal(gw_watch_add(order->loop, &order->watch, NULL), SL_OK);
}

static void timers_and_watches_run_on_their_loop(void **state)
{
    struct shared shared;
    struct order order = {0};
    (void)state;
    start(&shared);
    the_order = &order;
    order.loop = gw_server_loop(shared.server, 1);
    order.shared = &shared;
    order.task.run = set_timers;
    order.watch = (struct gw_watch){.fd = eventfd(1, EFD_CLOEXEC), .ready = watch_ready};
    assert_false(gw_loop_is_current(order.loop));
    gw_loop_post(order.loop, &order.task);
    sem_wait(&shared.reached);
    sem_wait(&shared.reached);
    stop(&shared);
    assert_int_equal(order.ran, 30);
    assert_int_equal(order.out_of_order, 0);
    assert_int_equal(order.seen, 1);
    close(order.watch.fd);
}

struct step {
    struct gw_task task;
    struct shared *shared;
    int number;
    atomic_int *last;
};

static void run_step(struct gw_task *task)
{
    struct step *step = (struct step *)task;
    if (atomic_load(step->last) == step->number - 1)
        atomic_store(step->last, step->number);
    sem_post(&step->shared->reached);
}

static void tasks_run_in_the_order_posted(void **state)
{
    struct shared shared;
    static struct step steps[1000];
    atomic_int last = 0;
    (void)state;
    start(&shared);
    for (int i = 0; i < 1000; i++) {
        steps[i] = (struct step){{NULL, run_step}, &shared, i + 1, &last};
        gw_loop_post(gw_server_loop(shared.server, 0), &steps[i].task);
    }
    for (int i = 0; i < 1000; i++)
        sem_wait(&shared.reached);
    assert_int_equal(atomic_load(&last), 1000);
    stop(&shared);
}

static void requests_are_counted(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start(&shared);
    for (int i = 0; i < 3; i++)
        client_ask(port, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &answer);
    client_ask(port, "GET /nothing HTTP/1.1\r\n" HOST "\r\n", &answer);
    gw_server_drain(shared.server, 20000);
    struct sl_buffer text;
    sl_buffer_init(&text, 100000);
    assert_true(gw_server_metrics(shared.server, &text));
    assert_non_null(strstr(text.data, "streamlayer_http_requests_total{route=\"hello\",status=\"2xx\"} 3\n"));
    assert_non_null(strstr(text.data, "streamlayer_http_requests_total{route=\"none\",status=\"4xx\"} 1\n"));
    assert_non_null(strstr(text.data, "\nstreamlayer_http_requests_in_flight 0\n"));
    sl_buffer_free(&text);
    stop(&shared);
}

static void a_port_in_use_is_told(void **state)
{
    struct shared shared;
    struct gw_server *second;
    sl_error error = {0};
    (void)state;
    struct gw_server_settings settings = {.port = start(&shared), .loops = 2};
    assert_int_equal(gw_server_start(&settings, NULL, &second, &error), SL_IO);
    assert_non_null(strstr(error.text, "Address already in use"));
    stop(&shared);
}

static void a_closed_server_says_so(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start_with(&shared, (struct gw_server_settings){.closed = true});
    client_ask(port, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_int_equal(answer.status, 503);
    gw_server_open(shared.server);
    client_ask(port, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_int_equal(answer.status, 200);
    stop(&shared);
}

static void headers_cannot_be_smuggled(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    int fd = client_connect(start(&shared));
    static const char ask[] = "GET /park HTTP/1.1\r\n" HOST "\r\n";
    client_write(fd, ask, strlen(ask));
    sem_wait(&shared.reached);
    assert_int_equal(gw_respond_header(shared.parked, "X-A", "a\r\nX-B: b"), SL_INVALID_ARGUMENT);
    assert_int_equal(gw_respond_header(shared.parked, "X A", "a"), SL_INVALID_ARGUMENT);
    assert_int_equal(gw_respond_header(shared.parked, "X-C", "c"), SL_OK);
    gw_respond(shared.parked, 204, NULL, NULL, 0, NULL, NULL);
    client_read(fd, &answer, true);
    assert_int_equal(answer.status, 204);
    assert_null(strstr(answer.text, "X-B"));
    assert_non_null(strstr(answer.text, "\r\nX-C: c\r\n"));
    close(fd);
    stop(&shared);
}

/* What a proxy before the gateway may read in another way: refused, and nothing after it is read. */
static void unclear_framing_is_refused(void **state)
{
    static const struct {
        const char *head;
        int status;
    } rows[] = {
        {"Content-Length: 5\r\nContent-Length: 5\r\n", 400},
        {"Content-Length: 5\r\nContent-Length: 0\r\n", 400},
        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Content-Length : 5\r\n", 400},
        {"Content-Length: 5\r\nHost: y\r\n", 400},
        {"X-A: b\r\n Content-Length: 5\r\n", 400},
        {"Transfer-Encodin: chunked\r\n g\r\n", 400}, /* a name from two lines */
        {"X-A: b\r\n\tc\r\n", 400},
        {"X-A: b\rTransfer-Encoding: chunked\r\n", 400},
        {" Content-Length: 5\r\n", 400},
        {"Transfer-Encoding: identity\r\n", 501},
        {"Transfer-Encoding: gzip, chunked\r\n", 501},
        {"Transfer-Encoding: xchunked\r\n", 501},
        {"Transfer-Encoding:\r\n", 501},
    };
    (void)state;
    struct shared shared;
    struct answer answer;
    uint16_t port = start(&shared);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[1000];
        int fd = client_connect(port);
        snprintf(text, sizeof text,
                 "POST /echo HTTP/1.1\r\n" HOST "%s\r\n0\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n",
                 rows[i].head);
        client_write(fd, text, strlen(text));
        client_read(fd, &answer, true);
        if (answer.status != rows[i].status)
            fail_msg("%s: %d %s", rows[i].head, answer.status, answer.text);
        assert_non_null(strstr(answer.text, rows[i].status == 400 ? "bad-framing" : "unsupported-transfer-"));
        client_read(fd, &answer, true); /* nothing answers what was smuggled */
        assert_int_equal(answer.status, 0);
        close(fd);
    }
    client_ask(port, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &answer);
    assert_int_equal(answer.status, 400);
    client_ask(port, "GET /hello HTTP/1.1\r\n\r\n", &answer);
    assert_int_equal(answer.status, 400); /* no Host */
    client_ask(port, "GET /hello HTTP/1.0\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    client_ask(port, "GET /hello HTTP/1.1\r\nHost:x\r\nX-A: \t b\r\nX-B:\r\nX-C:c\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    client_ask(port, "GET /hello /no HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_int_equal(answer.status, 400);
    assert_non_null(strstr(answer.body, "bad-url"));
    client_ask(port, "GET /hello?a=\t HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_int_equal(answer.status, 400);
    client_ask(port, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
               &answer);
    assert_int_equal(answer.status, 200);
    stop(&shared);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(unclear_framing_is_refused),
    cmocka_unit_test(correlation_ids_are_echoed_or_made),
    cmocka_unit_test(segments_and_queries_are_decoded),
    cmocka_unit_test(wrong_paths_and_methods_are_told),
    cmocka_unit_test(bodies_are_bounded),
    cmocka_unit_test(bytes_in_flight_are_bounded),
    cmocka_unit_test(connections_are_bounded),
    cmocka_unit_test(another_thread_may_answer),
    cmocka_unit_test(pipelined_requests_are_answered_in_order),
    cmocka_unit_test(streamed_bodies_pause_and_go_on),
    cmocka_unit_test(an_early_answer_waits_for_the_body),
    cmocka_unit_test(tokens_are_asked_for),
    cmocka_unit_test(a_verdict_may_come_later),
    cmocka_unit_test(sending_is_reported),
    cmocka_unit_test(closing_after_the_answer_is_no_loss),
    cmocka_unit_test(streams_are_written_as_they_come),
    cmocka_unit_test(a_stream_hears_of_its_connections_end),
    cmocka_unit_test(a_stream_that_nobody_reads_is_cut),
    cmocka_unit_test(draining_lets_requests_end),
    cmocka_unit_test(no_handler_runs_after_draining),
    cmocka_unit_test(stopping_abandons_what_is_unanswered),
    cmocka_unit_test(timers_and_watches_run_on_their_loop),
    cmocka_unit_test(tasks_run_in_the_order_posted),
    cmocka_unit_test(requests_are_counted),
    cmocka_unit_test(a_port_in_use_is_told),
    cmocka_unit_test(a_closed_server_says_so),
    cmocka_unit_test(headers_cannot_be_smuggled))
