/* Answers that are written piece by piece, and the end of a server. */
#include "gw_serving.h"

#include <sched.h>
#include <string.h>

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
    if (!giving->size) {
        gw_stream_end(giving->request);
        return;
    }
    char *bytes = malloc(giving->size);
    assert_non_null(bytes);
    memset(bytes, 'x', giving->size); /* byte by byte, ThreadSanitizer takes many seconds for 16 MiB */
    sl_buffer_append(&piece, bytes, giving->size);
    free(bytes);
    gw_stream_write(giving->request, &piece, 0);
}

static void give(struct shared *shared, struct giving *giving, size_t size)
{
    *giving = (struct giving){{NULL, run_giving}, shared->parked, size};
    gw_loop_post(gw_request_loop(shared->parked), &giving->task);
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
    static const char hi[] = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
    client_write(other, hi, strlen(hi));
    client_read(other, &answer, true);
    ask_parked(&shared, parked);
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
    ask_parked(&shared, fd);
    gw_server_drain(shared.server, 10);
    gw_server_stop(&shared.server);
    assert_int_equal(atomic_load(&shared.freed), 1);
    assert_int_equal(atomic_load(&shared.sent_broken), 1);
    client_read(fd, &answer, true);
    assert_int_equal(answer.status, 0);
    close(fd);
    stop(&shared);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(streams_are_written_as_they_come),
    cmocka_unit_test(a_stream_hears_of_its_connections_end),
    cmocka_unit_test(a_stream_that_nobody_reads_is_cut),
    cmocka_unit_test(draining_lets_requests_end),
    cmocka_unit_test(no_handler_runs_after_draining),
    cmocka_unit_test(stopping_abandons_what_is_unanswered))
