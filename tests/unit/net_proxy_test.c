/* A proxy that the test plays: it sees absolute URIs and CONNECT, asks for a password, and refuses. */
#include "support/cases.h"

#include "web.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/http.h"

#define BODY "the whole message"

struct fixture {
    struct web *web;
    struct sl_http *http;
    pthread_mutex_t lock;
    const char *basic;  /* the header that is accepted */
    const char *digest; /* a part of the header that is accepted */
    const char *challenges[2];
    int status;       /* with which everything is answered; 0: as a proxy that is content */
    char calls[2000]; /* "METHOD AUTHORIZATION SIZE;…" */
    char passed[500]; /* the bodies that got through, each with a ";" */
    char logged[4000];
    char shown[64];
};

/* Takes down what came, and judges it. */
static bool admits(struct fixture *f, const struct web_request *request)
{
    const char *given = web_header(request, "Proxy-Authorization");
    pthread_mutex_lock(&f->lock);
    size_t length = strlen(f->calls);
    snprintf(f->calls + length, sizeof f->calls - length, "%s %.6s %zu;", request->method,
             given ? given : "-", request->size);
    bool admitted = !f->challenges[0] || (given && f->basic && !strcmp(given, f->basic)) ||
                    (given && f->digest && !strncmp(given, "Digest ", 7) && strstr(given, f->digest));
    if (admitted && !f->status) {
        length = strlen(f->passed);
        snprintf(f->passed + length, sizeof f->passed - length, "%s;", request->body);
    }
    pthread_mutex_unlock(&f->lock);
    return admitted;
}

static void serve(void *opaque, const struct web_request *request, struct web_answer *answer)
{
    struct fixture *f = opaque;
    bool admitted = admits(f, request);
    web_text(answer, !admitted ? 407 : f->status ? f->status : 200, "text/plain", "words");
    for (size_t i = 0; i < 2 && !admitted && f->challenges[i]; i++) {
        answer->headers[2 * i] = "Proxy-Authenticate";
        answer->headers[2 * i + 1] = f->challenges[i];
    }
}

static void keep_log(void *opaque, sl_log_level level, const char *text)
{
    struct fixture *f = opaque;
    (void)level;
    pthread_mutex_lock(&f->lock);
    size_t length = strlen(f->logged);
    snprintf(f->logged + length, sizeof f->logged - length, "%s\n", text);
    pthread_mutex_unlock(&f->lock);
}

static int start(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    f->web = web_start(serve, f);
    *state = f;
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;
    sl_http_destroy(&f->http);
    web_stop(f->web);
    free(f);
    return 0;
}

/* An engine that goes through the proxy, as user ("" or "user:password@"). */
static void engine(struct fixture *f, const char *user, const char *no_proxy)
{
    char url[200];
    snprintf(f->shown, sizeof f->shown, "%s", web_url(f->web));
    snprintf(url, sizeof url, "http://%s%s", user, web_url(f->web) + 7);
    const struct sl_http_proxy proxy = {.url = url, .shown = f->shown, .origin = "app.conf:3"};
    const struct sl_http_settings settings = {.connect_timeout_ms = 5000,
                                              .timeout_ms = 20000,
                                              .retries = 3,
                                              .backoff_ms = 5,
                                              .backoff_max_ms = 20,
                                              .proxy = proxy,
                                              .secure_proxy = proxy,
                                              .no_proxy = no_proxy,
                                              .names = {.proxy_host = "x.proxy.host",
                                                        .no_proxy = "x.exclude, no_proxy",
                                                        .proxy_credentials = "x.user and .password"}};
    const struct sl_log log = {.callback = keep_log, .opaque = f, .level = SL_LOG_DEBUG};
    sl_error error;
    sl_http_destroy(&f->http);
    if (sl_http_create(&settings, &log, &f->http, &error))
        fail_msg("%s", error.text);
    f->calls[0] = f->passed[0] = 0;
}

static struct sl_http_response send_one(struct fixture *f, const char *method, const char *url, bool parked)
{
    struct sl_http_response response;
    bool body = !strcmp(method, "POST");
    struct sl_http_request request = {.method = method,
                                      .url = url,
                                      .body = body ? BODY : NULL,
                                      .body_size = body ? strlen(BODY) : 0,
                                      .retry = true,
                                      .parked = parked};
    sl_http_perform(f->http, &request, &response, NULL);
    return response;
}

/* The error's text, with the proxy's address as P. */
static void expect_error(struct fixture *f, const char *method, const char *url, sl_status status, int http,
                         const char *expected)
{
    struct sl_http_response response = send_one(f, method, url, false);
    char text[SL_ERROR_TEXT_SIZE] = "";
    const char *from = response.error.text, *found;
    while ((found = strstr(from, f->shown))) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "%.*sP", (int)(found - from), from);
        from = found + strlen(f->shown);
    }
    snprintf(text + strlen(text), sizeof text - strlen(text), "%s", from);
    assert_string_equal(text, expected);
    assert_int_equal(response.status, 0);
    assert_int_equal(response.error.status, status);
    assert_int_equal(response.error.http_status, http);
    assert_true(response.unsent);
    if (!response.error.retriable)
        assert_int_equal(response.tries, 1);
    sl_http_response_free(&response);
    assert_null(strstr(f->logged, "geheim"));
}

#define DIGEST "Digest realm=\"r\", nonce=\"abc\", qop=\"auth\", algorithm=MD5"
#define BASIC  "Basic realm=\"r\""
#define FLEET  "Basic ZmxlZXQ6Z2VoZWlt" /* fleet:geheim */

static void a_refused_password_is_told_and_not_tried_again(void **state)
{
    struct fixture *f = *state;
    f->challenges[0] = BASIC;
    engine(f, "fleet:geheim@", NULL);
    expect_error(f, "POST", "http://platform.invalid/x", SL_UNAUTHENTICATED, 407,
                 "POST http://platform.invalid/x: the proxy P (app.conf:3) refuses the user and password "
                 "given for it (HTTP 407)");
    assert_string_equal(f->calls, "POST - 17;POST Basic  17;");
    expect_error(f, "GET", "https://platform.invalid/x", SL_UNAUTHENTICATED, 407,
                 "GET https://platform.invalid/x: the proxy P (app.conf:3) refuses the user and password "
                 "given for it (HTTP 407)");
    assert_string_equal(f->passed, "");
    f->challenges[0] = DIGEST;
    engine(f, "fleet:geheim@", NULL);
    expect_error(f, "POST", "http://platform.invalid/x", SL_UNAUTHENTICATED, 407,
                 "POST http://platform.invalid/x: the proxy P (app.conf:3) refuses the user and password "
                 "given for it (HTTP 407)");
    assert_string_equal(f->calls, "POST - 17;POST Digest 17;");
}

static void a_password_that_is_missing_is_asked_for(void **state)
{
    struct fixture *f = *state;
    f->challenges[0] = BASIC;
    f->challenges[1] = DIGEST;
    engine(f, "", NULL);
    expect_error(f, "GET", "http://platform.invalid/x", SL_UNAUTHENTICATED, 407,
                 "GET http://platform.invalid/x: the proxy P (app.conf:3) asks for a user and password "
                 "(HTTP 407, Basic, Digest): set x.user and .password");
    expect_error(f, "POST", "https://platform.invalid/x", SL_UNAUTHENTICATED, 407,
                 "POST https://platform.invalid/x: the proxy P (app.conf:3) asks for a user and password "
                 "(HTTP 407, Basic, Digest): set x.user and .password");
    f->challenges[0] = "Negotiate";
    f->challenges[1] = "NTLM";
    engine(f, "fleet:geheim@", NULL);
    expect_error(f, "GET", "http://platform.invalid/x", SL_UNAUTHENTICATED, 407,
                 "GET http://platform.invalid/x: the proxy P (app.conf:3) takes neither Basic nor Digest, "
                 "which are known here (HTTP 407, NTLM, Negotiate)");
}

static void a_connection_that_the_proxy_refuses_is_told(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int answer;
        sl_status status;
        bool retriable;
        const char *text;
    } rows[] = {
        {403, SL_FORBIDDEN, false, "does not allow a connection to platform.invalid:443 (HTTP 403)"},
        {405, SL_FORBIDDEN, false, "does not allow a connection to platform.invalid:443 (HTTP 405)"},
        {404, SL_UNAVAILABLE, false, "makes no connection to platform.invalid:443 (HTTP 404)"},
        {429, SL_UNAVAILABLE, true, "does not reach platform.invalid:443 (HTTP 429)"},
        {501, SL_UNAVAILABLE, false, "does not reach platform.invalid:443 (HTTP 501)"},
        {503, SL_UNAVAILABLE, true, "does not reach platform.invalid:443 (HTTP 503)"},
        {504, SL_UNAVAILABLE, true, "does not reach platform.invalid:443 (HTTP 504)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[300];
        f->status = rows[i].answer;
        engine(f, "", NULL);
        snprintf(text, sizeof text, "GET https://platform.invalid/x: the proxy P (app.conf:3) %s",
                 rows[i].text);
        expect_error(f, "GET", "https://platform.invalid/x", rows[i].status, rows[i].answer, text);
        struct sl_http_response response = send_one(f, "GET", "https://platform.invalid/x", false);
        assert_int_equal(response.error.retriable, rows[i].retriable);
        assert_int_equal(response.tries, rows[i].retriable ? 4 : 1);
    }
}

static void a_proxy_that_is_away_is_named(void **state)
{
    struct fixture *f = *state;
    engine(f, "fleet:geheim@", NULL);
    web_down(f->web);
    struct sl_http_response response = send_one(f, "GET", "http://platform.invalid/x", false);
    assert_int_equal(response.error.status, SL_UNAVAILABLE);
    assert_true(response.error.retriable);
    assert_true(response.unsent);
    assert_non_null(
        strstr(response.error.text, "GET http://platform.invalid/x: the proxy http://127.0.0.1:"));
    assert_non_null(strstr(response.error.text, " (app.conf:3) cannot be reached: Failed to connect"));
    assert_null(strstr(response.error.text, "geheim"));
    web_up(f->web);
}

/* What libcurl refuses of a proxy's URL it quotes, password and all. */
static void libcurls_words_do_not_leak_the_password(void **state)
{
    struct fixture *f = *state;
    static const char *const urls[] = {"foo://user:geheim@h:1", "http://user:ge heim@h:1",
                                       "http://user:geheim@h:999999"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        const struct sl_http_settings settings = {
            .proxy.url = urls[i], .timeout_ms = 5000, .retries = 1, .backoff_ms = 1};
        const struct sl_log log = {.callback = keep_log, .opaque = f, .level = SL_LOG_DEBUG};
        assert_int_equal(sl_http_create(&settings, &log, &f->http, NULL), SL_OK);
        struct sl_http_response response = send_one(f, "GET", "http://127.0.0.1:1/", false);
        assert_int_equal(response.status, 0);
        assert_null(strstr(response.error.text, "heim"));
        assert_null(strstr(f->logged, "heim"));
        sl_http_destroy(&f->http);
    }
}

static void the_environment_is_not_asked(void **state)
{
    struct fixture *f = *state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    struct sl_http_settings settings = {.timeout_ms = 5000};
    assert_int_equal(sl_http_create(&settings, NULL, &f->http, NULL), SL_OK);
    struct sl_http_response response = send_one(f, "GET", web_url(f->web), false);
    assert_int_equal(response.status, 200);
    sl_http_response_free(&response);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    setenv("no_proxy", "*", 1);
    engine(f, "", NULL);
    response = send_one(f, "GET", "http://platform.invalid/x", false);
    unsetenv("no_proxy");
    assert_int_equal(response.status, 200);
    sl_http_response_free(&response);
}

/* No request may reach the platform with less than its body, whatever the proxy asks for. */
static void each_body_gets_through_once_and_whole(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *user, *challenge, *other, *first, *second;
    } rows[] = {
        {"", NULL, NULL, "POST - 17;", "POST - 17;"},
        {"fleet:geheim@", NULL, NULL, "POST - 17;", "POST - 17;"},
        {"fleet:geheim@", BASIC, NULL, "POST - 17;POST Basic  17;", "POST Basic  17;"},
        {"fleet:geheim@", DIGEST, NULL, "POST - 17;POST Digest 17;", "POST - 17;POST Digest 17;"},
        {"fleet:geheim@", BASIC, DIGEST, "POST - 17;POST Digest 17;", "POST - 17;POST Digest 17;"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        f->challenges[0] = rows[i].challenge;
        f->challenges[1] = rows[i].other;
        f->basic = FLEET;
        f->digest = "username=\"fleet\"";
        engine(f, rows[i].user, NULL);
        for (int again = 0; again < 3; again++) {
            f->calls[0] = f->passed[0] = 0;
            struct sl_http_response response = send_one(f, "POST", "http://platform.invalid/x", again == 2);
            assert_int_equal(response.status, 200);
            assert_int_equal(response.tries, 1);
            assert_string_equal(f->calls, again ? rows[i].second : rows[i].first);
            assert_string_equal(f->passed, BODY ";");
            sl_http_response_free(&response);
        }
    }
}

/* A proxy that changes its mind is followed. */
static void a_proxy_may_change_its_ways(void **state)
{
    struct fixture *f = *state;
    f->challenges[0] = BASIC;
    f->basic = FLEET;
    engine(f, "fleet:geheim@", NULL);
    for (int i = 0; i < 2; i++) {
        struct sl_http_response response = send_one(f, "POST", "http://platform.invalid/x", false);
        assert_int_equal(response.status, 200);
        sl_http_response_free(&response);
    }
    pthread_mutex_lock(&f->lock);
    f->challenges[0] = DIGEST;
    f->basic = NULL;
    f->digest = "username=\"fleet\"";
    f->calls[0] = f->passed[0] = 0;
    pthread_mutex_unlock(&f->lock);
    struct sl_http_response response = send_one(f, "POST", "http://platform.invalid/x", false);
    assert_int_equal(response.status, 200);
    assert_int_equal(response.tries, 2);
    assert_string_equal(f->calls, "POST Basic  17;POST - 17;POST Digest 17;");
    assert_string_equal(f->passed, BODY ";");
    sl_http_response_free(&response);
}

/* A long poll is sent once; what the proxy sent back was not. */
static void a_long_poll_gets_through_a_challenge(void **state)
{
    struct fixture *f = *state;
    f->challenges[0] = DIGEST;
    f->digest = "username=\"fleet\"";
    engine(f, "fleet:geheim@", NULL);
    struct sl_http_response response = send_one(f, "GET", "http://platform.invalid/x", true);
    assert_int_equal(response.status, 200);
    assert_string_equal(f->calls, "GET - 0;GET Digest 0;");
    sl_http_response_free(&response);
}

static void what_is_no_platforms_answer_names_the_proxy(void **state)
{
    struct fixture *f = *state;
    f->status = 403;
    engine(f, "", NULL);
    struct sl_http_response response = send_one(f, "GET", "http://platform.invalid/x", false);
    sl_error error;
    char expected[300];
    assert_int_equal(sl_http_error(&response, "GET x", &error), SL_FORBIDDEN);
    snprintf(expected, sizeof expected, "GET x: HTTP 403: words, through the proxy %s (app.conf:3)",
             f->shown);
    assert_string_equal(error.text, expected);
    sl_http_response_free(&response);
}

static void exempt_hosts_are_reached_directly(void **state)
{
    struct fixture *f = *state;
    engine(f, "", "127.0.0.1");
    struct sl_http_response response = send_one(f, "GET", "http://127.0.0.1:1/", false);
    char expected[300];
    snprintf(expected, sizeof expected,
             "; it is exempt from the proxy %s (app.conf:3): see x.exclude, no_proxy", f->shown);
    assert_string_equal(f->calls, "");
    assert_non_null(strstr(response.error.text, expected));
    char text[200];
    assert_false(sl_http_proxy_of(f->http, "http://127.0.0.1:1/", text, sizeof text));
    assert_true(sl_http_proxy_of(f->http, "https://platform.invalid", text, sizeof text));
    snprintf(expected, sizeof expected, "%s (app.conf:3)", f->shown);
    assert_string_equal(text, expected);
}

static void without_a_proxy_one_is_suggested(void **state)
{
    struct fixture *f = *state;
    const struct sl_http_settings settings = {.timeout_ms = 5000, .names.proxy_host = "x.proxy.host"};
    assert_int_equal(sl_http_create(&settings, NULL, &f->http, NULL), SL_OK);
    struct sl_http_response response = send_one(f, "GET", "http://platform.invalid/x", false);
    assert_string_equal(
        response.error.text,
        "GET http://platform.invalid/x: Could not resolve host: platform.invalid; no proxy is "
        "set: where only one gets through, set x.proxy.host or https_proxy");
    response = send_one(f, "GET", "http://127.0.0.1:1/", false); /* no proxy leads to one's own machine */
    assert_null(strstr(response.error.text, "proxy"));
}

static void lists_of_exempt_hosts_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *list, *url;
        bool exempt;
    } rows[] = {
        {NULL, "http://a/", false},
        {"", "http://a/", false},
        {"*", "http://a/", true},
        {"a", "http://a/", true},
        {"A", "http://a/", true},
        {"a", "http://b.a/x", true},
        {".a", "http://b.a", true},
        {".a", "http://a", true},
        {"*.a", "http://b.a", true},
        {"a", "http://ba", false},
        {"b.a", "http://a", false},
        {"a.", "http://a", true},
        {"a", "http://a./", true},
        {"x, a", "http://a", true},
        {"x a", "http://a", true},
        {",,a,", "http://a", true},
        {"a:80", "http://a", true},
        {"a:81", "http://a", false},
        {"a:443", "https://a?q", true},
        {"a", "http://u:w@a:8080/", true},
        {"127.0.0.1", "http://127.0.0.1:5/", true},
        {"127.0.0.1", "http://127.0.0.2/", false},
        {"7.0.0.1", "http://127.0.0.1/", false},
        {"127.0.0.0/8", "http://127.1.2.3/", true},
        {"127.0.0.0/8", "http://128.1.2.3/", false},
        {"10.0.0.0/9", "http://10.127.0.1/", true},
        {"10.0.0.0/9", "http://10.128.0.1/", false},
        {"10.0.0.0/33", "http://10.0.0.1/", false},
        {"0.0.0.0/0", "http://10.0.0.1/", true},
        {"0.0.0.0/0", "http://name/", false},
        {"::1", "http://[::1]:80/", true},
        {"[::1]", "http://[::1]/", true},
        {"[::1]:81", "http://[::1]/", false},
        {"::2", "http://[::1]/", false},
        {"2001:db8::/32", "https://[2001:db8:1::9]/", true},
        {"2001:db8::/32", "https://[2001:db9::9]/", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (sl_http_is_exempt(rows[i].list, rows[i].url) != rows[i].exempt)
            fail_msg("\"%s\" and %s", rows[i].list ? rows[i].list : "(null)", rows[i].url);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(a_refused_password_is_told_and_not_tried_again, start, stop),
    cmocka_unit_test_setup_teardown(a_password_that_is_missing_is_asked_for, start, stop),
    cmocka_unit_test_setup_teardown(a_connection_that_the_proxy_refuses_is_told, start, stop),
    cmocka_unit_test_setup_teardown(a_proxy_that_is_away_is_named, start, stop),
    cmocka_unit_test_setup_teardown(libcurls_words_do_not_leak_the_password, start, stop),
    cmocka_unit_test_setup_teardown(the_environment_is_not_asked, start, stop),
    cmocka_unit_test_setup_teardown(each_body_gets_through_once_and_whole, start, stop),
    cmocka_unit_test_setup_teardown(a_proxy_may_change_its_ways, start, stop),
    cmocka_unit_test_setup_teardown(a_long_poll_gets_through_a_challenge, start, stop),
    cmocka_unit_test_setup_teardown(what_is_no_platforms_answer_names_the_proxy, start, stop),
    cmocka_unit_test_setup_teardown(exempt_hosts_are_reached_directly, start, stop),
    cmocka_unit_test_setup_teardown(without_a_proxy_one_is_suggested, start, stop),
    cmocka_unit_test_setup_teardown(lists_of_exempt_hosts_are_understood, start, stop))
