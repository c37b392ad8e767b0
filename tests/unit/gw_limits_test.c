/* Clients that are slow, many, or both: what the server does to them, and not to others. */
#include "support/cases.h"

#include "gw_client.h"

#include <netinet/in.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/time.h"
#include "gateway/http/connection.h"
#include "gateway/http/server.h"

#define HOST       "Host: x\r\n"
#define BIG        ((size_t)64 << 20) /* more than the kernel's buffers hold */
#define PATIENCE   100                /* ms: the server's, in these tests */
#define CONNECTION "streamlayer_http_connections_cut_total{waited_for="

struct shared {
    struct gw_server *server;
    uint16_t port;
    sem_t reached;
    struct gw_request *held;
    atomic_bool open; /* /hold takes its body */
    char *big;
};

static void hello(struct gw_request *request)
{
    gw_respond(request, 200, "text/plain", "hello", 5, NULL, NULL);
}

static void hold(struct gw_request *request)
{
    struct shared *shared = gw_request_opaque(request);
    shared->held = request;
    sem_post(&shared->reached);
}

static void wait_parked(struct gw_request *request)
{
    gw_request_park(request);
    hold(request);
}

static size_t hold_body(struct gw_request *request, const char *data, size_t size)
{
    struct shared *shared = gw_request_opaque(request);
    (void)data;
    if (atomic_load(&shared->open))
        return size;
    hold(request);
    return 0;
}

static void give_big(struct gw_request *request)
{
    struct shared *shared = gw_request_opaque(request);
    gw_respond(request, 200, "text/plain", shared->big, BIG, NULL, NULL);
}

static const struct gw_route routes[] = {
    {.method = "GET", .pattern = "/hello", .flags = GW_ROUTE_PUBLIC, .handle = hello, .name = "hello"},
    {.method = "POST", .pattern = "/hello", .flags = GW_ROUTE_PUBLIC, .handle = hello, .name = "hello"},
    {.method = "GET", .pattern = "/hold", .flags = GW_ROUTE_PUBLIC, .handle = hold, .name = "hold"},
    {.method = "GET",
     .pattern = "/parked",
     .flags = GW_ROUTE_PUBLIC,
     .handle = wait_parked,
     .name = "parked"},
    {.method = "GET", .pattern = "/big", .flags = GW_ROUTE_PUBLIC, .handle = give_big, .name = "big"},
    {.method = "GET",
     .pattern = "/vital",
     .flags = GW_ROUTE_PUBLIC | GW_ROUTE_VITAL,
     .handle = hello,
     .name = "vital"},
    {.method = "POST",
     .pattern = "/held",
     .flags = GW_ROUTE_PUBLIC | GW_ROUTE_STREAMED,
     .handle = hello,
     .data = hold_body,
     .name = "held"},
};

static void start(struct shared *shared, struct gw_server_settings settings)
{
    memset(shared, 0, sizeof *shared);
    sem_init(&shared->reached, 0, 0);
    settings.routes = routes;
    settings.route_count = sizeof routes / sizeof *routes;
    settings.opaque = shared;
    settings.loops = 2;
    sl_error error;
    if (gw_server_start(&settings, NULL, &shared->server, &error))
        fail_msg("%s", error.text);
    shared->port = gw_server_port(shared->server);
}

static void stop(struct shared *shared)
{
    gw_server_stop(&shared->server);
    sem_destroy(&shared->reached);
    free(shared->big);
}

static bool metrics_say(const struct shared *shared, const char *line)
{
    struct sl_buffer text;
    sl_buffer_init(&text, 100000);
    assert_true(gw_server_metrics(shared->server, &text));
    bool said = strstr(text.data, line) != NULL;
    sl_buffer_free(&text);
    return said;
}

static bool readable(int fd, int wait_ms)
{
    return poll(&(struct pollfd){fd, POLLIN, 0}, 1, wait_ms) == 1;
}

/* Sends a byte now and then until the other side has had enough; then nothing came before the end. */
static void dribble(int fd, const char *begin)
{
    char byte;
    client_write(fd, begin, strlen(begin));
    while (!readable(fd, PATIENCE / 10))
        client_write(fd, "x", 1);
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

static void ask(int fd, const char *path, struct answer *answer)
{
    char text[200];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", path);
    client_write(fd, text, strlen(text));
    if (answer)
        client_read(fd, answer, true);
}

static void slow_heads_are_cut(void **state)
{
    struct shared shared;
    (void)state;
    start(&shared, (struct gw_server_settings){.header_timeout_ms = PATIENCE});
    dribble(client_connect(shared.port), "GET /hel");                             /* a request line */
    dribble(client_connect(shared.port), "GET /hello HTTP/1.1\r\n" HOST "X-A: "); /* a header */
    int silent = client_connect(shared.port);
    assert_true(readable(silent, 20000));
    close(silent);
    assert_true(metrics_say(&shared, CONNECTION "\"head\"} 3\n"));
    assert_true(metrics_say(&shared, CONNECTION "\"idle\"} 0\n"));
    stop(&shared);
}

static void slow_bodies_are_cut(void **state)
{
    struct shared shared;
    (void)state;
    start(&shared, (struct gw_server_settings){.header_timeout_ms = PATIENCE, .body_rate = 100000});
    dribble(client_connect(shared.port), "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\nx");
    dribble(client_connect(shared.port),
            "POST /nowhere HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\nx");
    assert_true(metrics_say(&shared, CONNECTION "\"body\"} 2\n"));
    stop(&shared);
}

/* How long it takes all in all does not matter. */
static void a_body_that_keeps_up_is_read(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    start(&shared, (struct gw_server_settings){.header_timeout_ms = 1000, .body_rate = 1});
    int fd = client_connect(shared.port);
    static const char head[] = "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 60\r\n\r\n";
    client_write(fd, head, strlen(head));
    for (int i = 0; i < 60; i++) {
        assert_false(readable(fd, 50));
        client_write(fd, "x", 1);
    }
    client_read(fd, &answer, true);
    assert_int_equal(answer.status, 200);
    close(fd);
    stop(&shared);
}

/* Until connections that were begun later have been cut, one after the other: so time has passed. */
static void let_time_pass(const struct shared *shared)
{
    for (int i = 0; i < 3; i++) {
        int fd = client_connect(shared->port);
        assert_true(readable(fd, 20000));
        close(fd);
    }
}

static void what_the_server_holds_up_is_not_cut(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    start(&shared, (struct gw_server_settings){
                       .header_timeout_ms = PATIENCE, .idle_timeout_ms = PATIENCE, .body_rate = 100000});
    int fd = client_connect(shared.port);
    static const char text[] = "POST /held HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nbody";
    client_write(fd, text, strlen(text));
    sem_wait(&shared.reached); /* the body waits */
    let_time_pass(&shared);
    atomic_store(&shared.open, true);
    gw_request_continue(shared.held);
    client_read(fd, &answer, true);
    assert_int_equal(answer.status, 200);
    ask(fd, "/hold", NULL);
    sem_wait(&shared.reached); /* the handler takes its time */
    let_time_pass(&shared);
    gw_respond(shared.held, 200, "text/plain", "at last", 7, NULL, NULL);
    client_read(fd, &answer, true);
    assert_string_equal(answer.body, "at last");
    close(fd);
    stop(&shared);
}

static void idle_connections_are_closed(void **state)
{
    struct shared shared;
    struct answer answer;
    char byte;
    (void)state;
    start(&shared, (struct gw_server_settings){.idle_timeout_ms = PATIENCE});
    int fd = client_connect(shared.port);
    ask(fd, "/hello", &answer);
    assert_int_equal(answer.status, 200);
    assert_true(readable(fd, 20000));
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    assert_true(metrics_say(&shared, CONNECTION "\"idle\"} 1\n"));
    stop(&shared);
}

static void an_answer_that_nobody_takes_is_given_up(void **state)
{
    struct shared shared;
    (void)state;
    start(&shared, (struct gw_server_settings){.idle_timeout_ms = PATIENCE, .body_rate = 1000});
    shared.big = calloc(1, BIG);
    assert_non_null(shared.big);
    int fd = client_connect(shared.port);
    ask(fd, "/big", NULL);
    while (!metrics_say(&shared, CONNECTION "\"answer\"} 1\n"))
        poll(NULL, 0, 1);
    close(fd);
    stop(&shared);
}

static int connect_from(uint16_t port, const char *source)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    inet_pton(AF_INET, source, &from.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void an_address_has_its_share_of_connections(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    start(&shared, (struct gw_server_settings){.max_connections_per_address = 2, .header_timeout_ms = 20000});
    int first = client_connect(shared.port), second = client_connect(shared.port);
    ask(first, "/hello", &answer);
    assert_int_equal(answer.status, 200);
    ask(second, "/hello", &answer);
    assert_int_equal(answer.status, 200);
    int third = client_connect(shared.port);
    static const char post[] = "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n";
    client_write(third, post, strlen(post)); /* the answer does not wait for the body */
    client_read(third, &answer, true);
    assert_int_equal(answer.status, 429);
    assert_non_null(strstr(answer.text, "\r\nRetry-After: 20\r\n"));
    assert_non_null(strstr(answer.body, "\"code\":\"too-many-connections\""));
    char byte;
    assert_true(recv(third, &byte, 1, 0) <= 0);
    close(third);
    int other = connect_from(shared.port, "127.0.0.2");
    ask(other, "/hello", &answer);
    assert_int_equal(answer.status, 200);
    close(other);
    close(second); /* and the address may have another one, when the server has noticed */
    do {
        third = client_connect(shared.port);
        ask(third, "/hello", &answer);
        close(third);
    } while (answer.status == 429);
    assert_int_equal(answer.status, 200);
    close(first);
    stop(&shared);
}

static void far_too_many_connections_are_closed_at_once(void **state)
{
    struct shared shared;
    char byte;
    (void)state;
    start(&shared,
          (struct gw_server_settings){.max_connections_per_address = 1, .header_timeout_ms = 3600000});
    int fds[1 + 16 + 3];
    const size_t count = sizeof fds / sizeof *fds;
    for (size_t i = 0; i < count; i++)
        fds[i] = client_connect(shared.port);
    /* Whichever they are: the loops take them in as they come to it. */
    while (!metrics_say(&shared, "streamlayer_http_connections_surplus_total 3\n"))
        poll(NULL, 0, 1);
    size_t closed = 0;
    while (closed < 3) {
        closed = 0;
        for (size_t i = 0; i < count; i++)
            closed += recv(fds[i], &byte, 1, MSG_DONTWAIT) == 0;
    }
    assert_int_equal(closed, 3);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    stop(&shared);
}

static void requests_are_bounded(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    start(&shared, (struct gw_server_settings){.max_requests = 1});
    int first = client_connect(shared.port), second = client_connect(shared.port);
    ask(first, "/parked", NULL);
    sem_wait(&shared.reached); /* waits for something to tell: it is not counted */
    ask(second, "/hello", &answer);
    assert_int_equal(answer.status, 200);
    hello(shared.held);
    client_read(first, &answer, true);
    /* An answer is there a moment before its request has ended, on either connection. */
    while (!metrics_say(&shared, "\nstreamlayer_http_requests_in_flight 0\n"))
        sched_yield();
    ask(first, "/hold", NULL);
    sem_wait(&shared.reached);
    ask(second, "/hello", &answer);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.body, "\"code\":\"overloaded\""));
    assert_non_null(strstr(answer.text, "\r\nRetry-After: 1\r\n"));
    ask(second, "/vital", &answer);
    assert_int_equal(answer.status, 200);
    hello(shared.held);
    client_read(first, &answer, true);
    do /* the answer is there a moment before the request has ended */
        ask(second, "/hello", &answer);
    while (answer.status == 503);
    assert_int_equal(answer.status, 200);
    close(first);
    close(second);
    stop(&shared);
}

static unsigned enter(struct gw_addresses *addresses, int family, const char *text, struct gw_address **entry)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    unsigned count;
    inet_pton(family, text, family == AF_INET ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr);
    const struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    *entry = gw_addresses_enter(addresses, address, &count);
    return count;
}

/* One host of the IPv6 Internet has 2^64 addresses to choose from. */
static void a_network_of_ipv6_is_one_address(void **state)
{
    struct gw_addresses *addresses;
    struct gw_address *entry[6];
    sl_error error;
    (void)state;
    assert_int_equal(gw_addresses_create(&addresses, &error), SL_OK);
    assert_int_equal(enter(addresses, AF_INET6, "2001:db8:1:2::1", &entry[0]), 1);
    assert_int_equal(enter(addresses, AF_INET6, "2001:db8:1:2:ffff::7", &entry[1]), 2);
    assert_int_equal(enter(addresses, AF_INET6, "2001:db8:1:3::1", &entry[2]), 1);
    assert_int_equal(enter(addresses, AF_INET, "192.0.2.1", &entry[3]), 1);
    assert_int_equal(enter(addresses, AF_INET6, "::ffff:192.0.2.1", &entry[4]), 2);
    assert_int_equal(enter(addresses, AF_INET6, "::c000:201", &entry[5]),
                     1); /* 192.0.2.1's number, but of IPv6 */
    gw_addresses_leave(addresses, entry[0]);
    gw_addresses_leave(addresses, entry[1]);
    assert_int_equal(enter(addresses, AF_INET6, "2001:db8:1:2::9", &entry[0]), 1);
    unsigned count;
    assert_null(gw_addresses_enter(addresses, &(struct sockaddr){.sa_family = AF_UNIX}, &count));
    gw_addresses_leave(addresses, NULL);
    gw_addresses_destroy(&addresses); /* with what is left */
}

CASES_MAIN(cmocka_unit_test(slow_heads_are_cut), cmocka_unit_test(slow_bodies_are_cut),
           cmocka_unit_test(a_body_that_keeps_up_is_read),
           cmocka_unit_test(what_the_server_holds_up_is_not_cut),
           cmocka_unit_test(idle_connections_are_closed),
           cmocka_unit_test(an_answer_that_nobody_takes_is_given_up),
           cmocka_unit_test(an_address_has_its_share_of_connections),
           cmocka_unit_test(far_too_many_connections_are_closed_at_once),
           cmocka_unit_test(requests_are_bounded), cmocka_unit_test(a_network_of_ipv6_is_one_address))
