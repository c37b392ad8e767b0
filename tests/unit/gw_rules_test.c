/* What HTTP asks of every request, and what browsers ask for their pages. */
#include "support/cases.h"

#include "gw_client.h"

#include "gateway/http/server.h"

#define HOST "Host: x\r\n"

static void hello(struct gw_request *request)
{
    gw_respond(request, 200, "text/plain", "hello", 5, NULL, NULL);
}

static size_t take(struct gw_request *request, const char *data, size_t size)
{
    (void)request, (void)data;
    return size;
}

static const struct gw_route routes[] = {
    {.method = "GET", .pattern = "/thing", .flags = GW_ROUTE_PUBLIC, .handle = hello, .name = "get"},
    {.method = "POST", .pattern = "/thing", .flags = GW_ROUTE_PUBLIC, .handle = hello, .name = "json"},
    {.method = "PUT", .pattern = "/thing", .flags = GW_ROUTE_PUBLIC, .handle = hello, .name = "put"},
    {.method = "DELETE", .pattern = "/thing", .flags = GW_ROUTE_PUBLIC, .handle = hello, .name = "delete"},
    {.method = "POST",
     .pattern = "/any",
     .flags = GW_ROUTE_PUBLIC | GW_ROUTE_ANY_TYPE,
     .handle = hello,
     .name = "any"},
    {.method = "POST",
     .pattern = "/pieces",
     .flags = GW_ROUTE_PUBLIC | GW_ROUTE_STREAMED | GW_ROUTE_LENGTH,
     .handle = hello,
     .data = take,
     .name = "pieces"},
};

static uint16_t start(struct gw_server **server, const struct gw_cors *cors)
{
    struct gw_server_settings settings = {
        .routes = routes, .route_count = sizeof routes / sizeof *routes, .loops = 1, .cors = cors};
    sl_error error = {0};
    if (gw_server_start(&settings, NULL, server, &error))
        fail_msg("%s", error.text);
    return gw_server_port(*server);
}

static void expect(uint16_t port, const char *request, int status, const char *code)
{
    struct answer answer;
    client_ask(port, request, &answer);
    if (answer.status != status || (code && !strstr(answer.body, code)))
        fail_msg("%s\nis answered with\n%s", request, answer.text);
}

static void only_one_expectation_is_known(void **state)
{
    struct gw_server *server;
    struct answer answer;
    (void)state;
    uint16_t port = start(&server, NULL);
    /* Before the body, which never comes. */
    expect(port, "POST /thing HTTP/1.1\r\n" HOST "Expect: 200-maybe\r\nContent-Length: 9\r\n\r\n", 417,
           "\"code\":\"unsupported-expectation\"");
    expect(port, "GET /thing HTTP/1.1\r\n" HOST "Expect: everything\r\n\r\n", 417, NULL);
    int fd = client_connect(port);
    const char *head = "POST /thing HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    client_write(fd, head, strlen(head));
    client_read(fd, &answer, true);
    assert_int_equal(answer.status, 100);
    client_write(fd, "{}", 2);
    client_read(fd, &answer, true);
    assert_int_equal(answer.status, 200);
    close(fd);
    gw_server_stop(&server);
}

static void a_length_is_asked_for(void **state)
{
    struct gw_server *server;
    (void)state;
    uint16_t port = start(&server, NULL);
    expect(port, "POST /pieces HTTP/1.1\r\n" HOST "\r\n", 411, "\"code\":\"length-required\"");
    expect(port, "POST /pieces HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 200, NULL);
    expect(port, "POST /pieces HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, NULL);
    expect(port, "POST /thing HTTP/1.1\r\n" HOST "\r\n", 200, NULL);
    expect(port, "PUT /thing HTTP/1.1\r\n" HOST "\r\n", 200, NULL);
    gw_server_stop(&server);
}

static void a_body_that_is_no_json_is_refused(void **state)
{
    static const char *const good[] = {"application/json", "APPLICATION/JSON;charset=utf-8",
                                       " application/json ; x=y", "application/merge-patch+json"};
    static const char *const bad[] = {"text/plain",
                                      "application/x-www-form-urlencoded",
                                      "application/jsonx",
                                      "application/x+jso",
                                      "application/+json",
                                      "json",
                                      ""};
    struct gw_server *server;
    char request[300];
    (void)state;
    uint16_t port = start(&server, NULL);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(request, sizeof request,
                 "POST /thing HTTP/1.1\r\n" HOST "Content-Type: %s\r\nContent-Length: 2\r\n\r\n{}", good[i]);
        expect(port, request, 200, NULL);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(request, sizeof request,
                 "PUT /thing HTTP/1.1\r\n" HOST "Content-Type: %s\r\nContent-Length: 2\r\n\r\n{}", bad[i]);
        expect(port, request, 415, "\"code\":\"wrong-content-type\"");
        snprintf(request, sizeof request,
                 "POST /thing HTTP/1.1\r\n" HOST
                 "Content-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
                 bad[i]);
        expect(port, request, 415, NULL);
    }
    /* Nothing is said of it, or there is none, or the call takes what it likes. */
    expect(port, "POST /thing HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 200, NULL);
    expect(port, "POST /thing HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n", 200,
           NULL);
    expect(port, "PUT /thing HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\n\r\n", 200, NULL);
    expect(port, "POST /any HTTP/1.1\r\n" HOST "Content-Type: a/b\r\nContent-Length: 2\r\n\r\n{}", 200, NULL);
    expect(port, "POST /pieces HTTP/1.1\r\n" HOST "Content-Type: a/b\r\nContent-Length: 2\r\n\r\n{}", 200,
           NULL);
    expect(port, "DELETE /thing HTTP/1.1\r\n" HOST "Content-Type: a/b\r\nContent-Length: 2\r\n\r\n{}", 200,
           NULL);
    gw_server_stop(&server);
}

/* The value of a header of the answer; "": none. */
static const char *value_of(const struct answer *answer, const char *name, char out[1000])
{
    char wanted[100];
    snprintf(wanted, sizeof wanted, "\r\n%s: ", name);
    const char *found = strstr(answer->text, wanted);
    snprintf(out, 1000, "%.*s", found ? (int)strcspn(found + strlen(wanted), "\r") : 0,
             found ? found + strlen(wanted) : "");
    return out;
}

static void each_request_has_an_id_of_its_own(void **state)
{
    static const char head[] =
        "GET /thing HTTP/1.1\r\n" HOST "X-Request-Id: chosen\r\nX-Correlation-Id: mine\r\n\r\n";
    struct gw_server *server;
    struct answer answer;
    char first[1000], second[1000], correlation[1000];
    (void)state;
    uint16_t port = start(&server, NULL);
    client_ask(port, head, &answer);
    assert_int_equal(strspn(value_of(&answer, "X-Request-Id", first), "0123456789abcdef"), 32);
    assert_string_equal(value_of(&answer, "X-Correlation-Id", correlation), "mine");
    client_ask(port, head, &answer);
    assert_int_equal(strlen(value_of(&answer, "X-Request-Id", second)), 32);
    assert_string_not_equal(first, second);
    client_ask(port, "GET /nothing HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_string_equal(value_of(&answer, "X-Correlation-Id", correlation),
                        value_of(&answer, "X-Request-Id", first));
    gw_server_stop(&server);
}

#define PREFLIGHT                                                                                            \
    "OPTIONS /thing HTTP/1.1\r\n" HOST "Access-Control-Request-Method: POST\r\n"                             \
    "Access-Control-Request-Headers: authorization, X-SL-Header-Car, x-evil, x-sl-header-b(d\r\n"            \
    "Origin: https://app.example\r\n\r\n"
#define CALL "GET /thing HTTP/1.1\r\n" HOST "Origin: https://app.example\r\n\r\n"

static void pages_may_call_as_the_settings_say(void **state)
{
    struct gw_server *server;
    struct gw_cors cors = {.max_age_s = 600};
    struct answer answer;
    char text[1000];
    (void)state;
    assert_int_equal(gw_cors_parse("https://other.example:8443 , https://APP.example", &cors, NULL), SL_OK);
    uint16_t port = start(&server, &cors);
    client_ask(port, PREFLIGHT, &answer);
    assert_int_equal(answer.status, 204);
    assert_string_equal(value_of(&answer, "Access-Control-Allow-Origin", text), "https://APP.example");
    assert_string_equal(value_of(&answer, "Access-Control-Allow-Methods", text),
                        "GET, HEAD, POST, PUT, DELETE, OPTIONS");
    assert_string_equal(value_of(&answer, "Access-Control-Max-Age", text), "600");
    assert_string_equal(value_of(&answer, "Vary", text), "Origin");
    value_of(&answer, "Access-Control-Allow-Headers", text);
    assert_non_null(strstr(text, "Authorization, "));
    assert_non_null(strstr(text, "X-HERE-TraceId"));
    assert_non_null(strstr(text, ", X-SL-Header-Car"));
    assert_null(strstr(text, "evil"));
    assert_null(strstr(text, "(d"));
    client_ask(port, CALL, &answer);
    assert_string_equal(value_of(&answer, "Access-Control-Allow-Origin", text), "https://APP.example");
    assert_non_null(strstr(value_of(&answer, "Access-Control-Expose-Headers", text), "X-Request-Id"));
    /* A page that may not, and who is no page: what a cache keeps of it depends on that. */
    client_ask(port,
               "OPTIONS /thing HTTP/1.1\r\n" HOST
               "Access-Control-Request-Method: POST\r\nOrigin: https://app.example.evil\r\n\r\n",
               &answer);
    assert_int_equal(answer.status, 204);
    assert_null(strstr(answer.text, "Access-Control"));
    assert_string_equal(value_of(&answer, "Vary", text), "Origin");
    client_ask(port, "GET /thing HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_null(strstr(answer.text, "Access-Control"));
    assert_string_equal(value_of(&answer, "Vary", text), "Origin");
    gw_server_stop(&server);
    gw_cors_free(&cors);
}

static void every_page_may_call_or_none(void **state)
{
    struct gw_server *server;
    struct gw_cors cors = {0};
    struct answer answer;
    char text[1000];
    (void)state;
    assert_int_equal(gw_cors_parse("*", &cors, NULL), SL_OK);
    uint16_t port = start(&server, &cors);
    client_ask(port, PREFLIGHT, &answer);
    assert_string_equal(value_of(&answer, "Access-Control-Allow-Origin", text), "*");
    assert_string_equal(value_of(&answer, "Access-Control-Max-Age", text), "0");
    client_ask(port, CALL, &answer);
    assert_string_equal(value_of(&answer, "Access-Control-Allow-Origin", text), "*");
    assert_null(strstr(answer.text, "\r\nVary"));
    client_ask(port, "OPTIONS /thing HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_string_equal(value_of(&answer, "Allow", text), "GET, HEAD, POST, PUT, DELETE, OPTIONS");
    assert_null(strstr(answer.text, "Access-Control"));
    gw_server_stop(&server);
    gw_cors_free(&cors);
    port = start(&server, NULL);
    client_ask(port, PREFLIGHT, &answer);
    assert_int_equal(answer.status, 204);
    assert_null(strstr(answer.text, "Access-Control"));
    client_ask(port, CALL, &answer);
    assert_int_equal(answer.status, 200);
    assert_null(strstr(answer.text, "Access-Control"));
    gw_server_stop(&server);
}

static void origins_are_checked(void **state)
{
    static const char *const bad[] = {
        "app.example", "https://",    "https://a/b",          "https://a:0",          "https://a:65536",
        "null",        "https://u@a", "https://a:",           "https://good ftp://a", "https://[::1",
        "https://*.a", "https://[]x", "http://a,,https://b/", "https://[::1]x"};
    struct gw_cors cors = {0};
    char entry[100];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (gw_cors_parse(bad[i], &cors, entry) != SL_BAD_CONFIG)
            fail_msg("%s is accepted", bad[i]);
        assert_non_null(strstr(bad[i], entry));
        assert_null(cors.text);
    }
    assert_int_equal(gw_cors_parse(" http://[::1]:80,http://127.0.0.1:3000\thttps://a-b.c ", &cors, entry),
                     SL_OK);
    assert_int_equal(cors.count, 3);
    assert_string_equal(gw_cors_answer(&cors, "http://[::1]:80"), "http://[::1]:80");
    assert_string_equal(gw_cors_answer(&cors, "https://A-b.c"), "https://a-b.c");
    assert_null(gw_cors_answer(&cors, "https://b.c"));
    gw_cors_free(&cors);
    assert_int_equal(gw_cors_parse("", &cors, entry), SL_OK);
    assert_null(gw_cors_answer(&cors, ""));
    gw_cors_free(&cors);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(only_one_expectation_is_known),
    cmocka_unit_test(a_length_is_asked_for),
    cmocka_unit_test(a_body_that_is_no_json_is_refused),
    cmocka_unit_test(each_request_has_an_id_of_its_own),
    cmocka_unit_test(pages_may_call_as_the_settings_say),
    cmocka_unit_test(every_page_may_call_or_none),
    cmocka_unit_test(origins_are_checked))
