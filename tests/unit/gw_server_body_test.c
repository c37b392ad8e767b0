/* Requests' bodies: where they end, and what is done with them. */
#include "gw_serving.h"

#include <string.h>

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
    assert_non_null(strstr(answer.body, "streamlayer.gateway.limits.bytes-in-flight"));
    client_write(first, half + head, 100);
    client_read(first, &answer, true);
    assert_int_equal(answer.status, 200);
    close(first);
    close(second);
    stop(&shared);
    assert_int_equal(gw_budget_used(budget), 0);
    gw_budget_destroy(&budget);
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

static void streamed_chunks_are_bounded(void **state)
{
    struct shared shared;
    struct answer answer;
    (void)state;
    static const char head[] =
        "POST /stream HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n100001\r\n";
    static const char end[] = "\r\n0\r\n\r\n";
    const size_t size = (1 << 20) + 1;
    char *body = malloc(size);
    for (size_t i = 0; i < size; i++)
        body[i] = (char)('a' + i % 26);
    int fd = client_connect(start(&shared));
    client_write(fd, head, strlen(head));
    client_write(fd, body, size);
    client_write(fd, end, strlen(end));
    client_read(fd, &answer, true);
    assert_int_equal(answer.status, 413);
    close(fd);
    free(body);
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

#define MIB ((size_t)1 << 20)

static void write_many(int fd, size_t size, bool chunked)
{
    char *piece = malloc(MIB);
    memset(piece, 'x', MIB);
    for (; size; size -= MIB) {
        if (chunked)
            client_write(fd, "100000\r\n", 8);
        client_write(fd, piece, MIB);
        if (chunked)
            client_write(fd, "\r\n", 2);
    }
    if (chunked)
        client_write(fd, "0\r\n\r\n", 5);
    free(piece);
}

/* Many more bytes than are read of a body that nobody wanted: this one was being taken. */
static void what_fails_late_is_answered(void **state)
{
    static const char *const lengths[] = {"Content-Length: 146800640\r\n", "Transfer-Encoding: chunked\r\n"};
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start(&shared);
    int fd = client_connect(port);
    for (int i = 0; i < 2; i++) {
        char head[200];
        atomic_store(&shared.streamed, 0);
        shared.quota = 70 * MIB;
        snprintf(head, sizeof head, "POST /late HTTP/1.1\r\n" HOST "%s\r\n", lengths[i]);
        client_write(fd, head, strlen(head));
        write_many(fd, LATE_MAX, i == 1);
        client_read(fd, &answer, true);
        assert_int_equal(answer.status, 507);
    }
    /* One that goes on and on is not read for ever. */
    atomic_store(&shared.streamed, 0);
    static const char endless[] = "POST /late HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n";
    client_write(fd, endless, strlen(endless));
    write_many(fd, LATE_MAX + MIB, true);
    client_read(fd, &answer, true);
    assert_int_equal(answer.status, 0);
    close(fd);
    stop(&shared);
}

/* It is more than is read and dropped, so the answer does not wait for it. */
static void a_huge_body_is_refused_at_once(void **state)
{
    static const char *const refused[] = {"POST /stream", "POST /nothing", "POST /who/no"};
    struct shared shared;
    struct answer answer;
    (void)state;
    uint16_t port = start(&shared);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char head[200];
        snprintf(head, sizeof head,
                 "%s HTTP/1.1\r\n" HOST "Authorization: later\r\nContent-Length: 67108865\r\n\r\n",
                 refused[i]);
        client_ask(port, head, &answer);
        assert_in_range(answer.status, 401, 413);
        assert_non_null(strstr(answer.text, "\r\nConnection: close\r\n"));
    }
    sem_wait(&shared.reached);
    pthread_join(shared.decider, NULL);
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
    cmocka_unit_test(bodies_are_bounded),
    cmocka_unit_test(bytes_in_flight_are_bounded),
    cmocka_unit_test(streamed_bodies_pause_and_go_on),
    cmocka_unit_test(streamed_chunks_are_bounded),
    cmocka_unit_test(an_early_answer_waits_for_the_body),
    cmocka_unit_test(what_fails_late_is_answered),
    cmocka_unit_test(a_huge_body_is_refused_at_once),
    cmocka_unit_test(unclear_framing_is_refused))
