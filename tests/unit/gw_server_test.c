/* Requests and their answers. */
#include "gw_serving.h"

#include <string.h>

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
    const int times = 200;
    for (int i = 0; i < times; i++) {
        int fd = client_connect(port);
        ask_parked(&shared, fd);
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
    int fd = client_connect(port);
    ask_parked(&shared, fd);
    gw_respond(shared.parked, 200, "text/plain", "there", 5, NULL, NULL);
    client_read(fd, &answer, true);
    assert_string_equal(answer.body, "there");
    sem_wait(&shared.reached);
    assert_int_equal(atomic_load(&shared.sent_whole), 1);
    /* A client that has gone away has not read it, though the kernel took the bytes. */
    ask_parked(&shared, fd);
    close(fd);
    gw_respond(shared.parked, 200, "text/plain", "there", 5, NULL, NULL);
    sem_wait(&shared.reached);
    assert_int_equal(atomic_load(&shared.sent_whole), 1);
    assert_int_equal(atomic_load(&shared.sent_broken), 1);
    stop(&shared);
    assert_int_equal(atomic_load(&shared.freed), 2);
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
    ask_parked(&shared, fd);
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

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(correlation_ids_are_echoed_or_made),
    cmocka_unit_test(segments_and_queries_are_decoded),
    cmocka_unit_test(wrong_paths_and_methods_are_told),
    cmocka_unit_test(connections_are_bounded),
    cmocka_unit_test(another_thread_may_answer),
    cmocka_unit_test(pipelined_requests_are_answered_in_order),
    cmocka_unit_test(tokens_are_asked_for),
    cmocka_unit_test(closing_after_the_answer_is_no_loss),
    cmocka_unit_test(a_verdict_may_come_later),
    cmocka_unit_test(sending_is_reported),
    cmocka_unit_test(requests_are_counted),
    cmocka_unit_test(a_port_in_use_is_told),
    cmocka_unit_test(a_closed_server_says_so),
    cmocka_unit_test(headers_cannot_be_smuggled))
