#include "support/cases.h"

#include "web.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "base/text.h"
#include "base/time.h"
#include "config/settings.h"

#define SIGNER  SL_ROOT "request-signer.credentials."
#define ACCOUNT SIGNER "here-account."
#define THREADS 8

struct fixture {
    struct web *web;
    struct sl_http *http;
    sl_config *config;
    struct sl_auth *auth;
    sl_error error;
    char origin[64];

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under lock: */
    int requests, calling;
    bool hold;              /* answer only when THREADS threads are asking */
    const char *answers[4]; /* bodies, in turn; the last again and again; a leading "401 " is a status */
    char authorizations[4][1000];
    char bodies[4][200];
};

static void handle(void *opaque, const struct web_request *request, struct web_answer *answer)
{
    struct fixture *f = opaque;
    pthread_mutex_lock(&f->lock);
    int turn = f->requests++;
    if (turn < 4) {
        const char *authorization = web_header(request, "Authorization");
        snprintf(f->authorizations[turn], sizeof f->authorizations[turn], "%s",
                 authorization ? authorization : "");
        snprintf(f->bodies[turn], sizeof f->bodies[turn], "%s %s %s", request->method, request->path,
                 request->body);
    }
    while (f->hold && f->calling < THREADS)
        pthread_cond_wait(&f->changed, &f->lock);
    const char *text = f->answers[turn < 4 ? turn : 3];
    for (int i = turn < 4 ? turn : 3; !text && i > 0;)
        text = f->answers[--i];
    pthread_mutex_unlock(&f->lock);
    int status = text[0] == '{' ? 200 : atoi(text);
    web_text(answer, status, "application/json", status == 200 && text[0] == '{' ? text : text + 4);
}

static void silent(void *opaque, sl_log_level level, const char *text)
{
    (void)opaque;
    (void)level;
    (void)text;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->web = web_start(handle, f);
    assert_non_null(f->web);
    const struct sl_http_settings settings = {
        .max_connections = 4, .connect_timeout_ms = 2000, .timeout_ms = 20000, .user_agent = "test/1"};
    assert_int_equal(sl_http_create(&settings, NULL, &f->http, &f->error), SL_OK);
    assert_int_equal(sl_config_create(&f->config, &f->error), SL_OK);
    char text[1000];
    snprintf(text, sizeof text,
             ACCOUNT "here-access-key-id = key-1\n" ACCOUNT "here-access-key-secret = \"s3cret/+\"\n" ACCOUNT
                     "here-token-endpoint-url = \"%s/oauth2/token\"\n" SL_ROOT
                     "http.retry { attempts = 2, backoff = 1 ms }\n",
             web_url(f->web));
    assert_int_equal(sl_config_parse(f->config, text, strlen(text), "app.conf", &f->error), SL_OK);
    f->answers[0] = "{\"accessToken\":\"one\",\"tokenType\":\"bearer\",\"expiresIn\":86399}";
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sl_auth_destroy(&f->auth);
    sl_config_destroy(&f->config);
    sl_http_destroy(&f->http);
    web_stop(f->web);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static void start(struct fixture *f)
{
    const struct sl_log log = {.callback = silent, .opaque = NULL, .level = SL_LOG_DEBUG};
    if (sl_auth_create(f->config, NULL, f->http, &log, &f->auth, &f->error) != SL_OK)
        fail_msg("%s", f->error.text);
}

static void expect_bearer(struct fixture *f, const char *refused, const char *expected)
{
    char *bearer = NULL;
    if (sl_auth_bearer(f->auth, refused, &bearer, NULL, &f->error) != SL_OK)
        fail_msg("%s", f->error.text);
    assert_string_equal(bearer, expected);
    free(bearer);
}

static sl_status refusal(struct fixture *f, const char *refused)
{
    char *bearer = NULL;
    memset(&f->error, 0, sizeof f->error);
    sl_status status = sl_auth_bearer(f->auth, refused, &bearer, NULL, &f->error);
    assert_null(bearer);
    assert_int_equal(f->error.status, status);
    return status;
}

/* The value of name in an OAuth header, decoded; out holds 200. */
static void oauth_value(const char *header, const char *name, char *out)
{
    char find[64];
    snprintf(find, sizeof find, "%s=\"", name);
    const char *at = strstr(header, find);
    assert_non_null(at);
    at += strlen(find);
    snprintf(out, 200, "%.*s", (int)strcspn(at, "\""), at);
    assert_true(sl_percent_decode(out) >= 0);
}

static void one_request_is_signed_and_its_token_kept(void **state)
{
    struct fixture *f = *state;
    start(f);
    char *bearer = NULL;
    int64_t expires = 0, before = sl_wall_ms();
    assert_int_equal(sl_auth_bearer(f->auth, NULL, &bearer, &expires, &f->error), SL_OK);
    assert_string_equal(bearer, "Bearer one");
    assert_true(expires >= before + 86399000 && expires <= sl_wall_ms() + 86399000);
    free(bearer);
    expect_bearer(f, NULL, "Bearer one");
    assert_int_equal(f->requests, 1);
    assert_string_equal(f->bodies[0], "POST /oauth2/token {\"grantType\":\"client_credentials\"}");

    const char *header = f->authorizations[0];
    char key[200], nonce[200], method[200], timestamp[200], version[200], signature[200], url[100],
        expected[45];
    assert_memory_equal(header, "OAuth ", 6);
    oauth_value(header, "oauth_consumer_key", key);
    oauth_value(header, "oauth_nonce", nonce);
    oauth_value(header, "oauth_signature_method", method);
    oauth_value(header, "oauth_timestamp", timestamp);
    oauth_value(header, "oauth_version", version);
    oauth_value(header, "oauth_signature", signature);
    assert_string_equal(key, "key-1");
    assert_true(llabs(atoll(timestamp) - before / 1000) <= 60);
    const struct sl_oauth_parameter parameters[] = {{"oauth_consumer_key", key},
                                                    {"oauth_nonce", nonce},
                                                    {"oauth_signature_method", method},
                                                    {"oauth_timestamp", timestamp},
                                                    {"oauth_version", version}};
    snprintf(url, sizeof url, "%s/oauth2/token", web_url(f->web));
    assert_true(sl_oauth_signature("POST", url, parameters, 5, "s3cret/+", expected));
    assert_string_equal(signature, expected);
}

static void a_refused_token_is_replaced_once(void **state)
{
    struct fixture *f = *state;
    f->answers[1] = "{\"access_token\":\"two\",\"token_type\":\"Bearer\",\"expires_in\":\"3600\"}";
    start(f);
    expect_bearer(f, NULL, "Bearer one");
    expect_bearer(f, "Bearer one", "Bearer two");
    expect_bearer(f, "Bearer one", "Bearer two"); /* another thread that was refused with the old one */
    expect_bearer(f, NULL, "Bearer two");
    assert_int_equal(f->requests, 2);
}

static void a_token_refused_twice_is_an_error(void **state)
{
    struct fixture *f = *state;
    start(f);
    expect_bearer(f, NULL, "Bearer one");
    assert_int_equal(refusal(f, "Bearer one"), SL_UNAUTHENTICATED);
    assert_non_null(strstr(f->error.text, "/oauth2/token"));
}

static void *ask(void *opaque)
{
    struct fixture *f = opaque;
    char *bearer = NULL;
    pthread_mutex_lock(&f->lock);
    f->calling++;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return sl_auth_bearer(f->auth, NULL, &bearer, NULL, NULL) == SL_OK ? bearer : NULL;
}

static void threads_share_one_fetch(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[THREADS];
    f->hold = true;
    start(f);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, f), 0);
    for (int i = 0; i < THREADS; i++) {
        void *bearer = NULL;
        pthread_join(threads[i], &bearer);
        assert_non_null(bearer);
        assert_string_equal(bearer, "Bearer one");
        free(bearer);
    }
    assert_int_equal(f->requests, 1);
}

static void each_try_has_its_own_nonce(void **state)
{
    struct fixture *f = *state;
    char first[200], second[200];
    f->answers[0] = "503 {}";
    f->answers[1] = "{\"accessToken\":\"late\",\"expiresIn\":100}";
    start(f);
    expect_bearer(f, NULL, "Bearer late");
    assert_int_equal(f->requests, 2);
    oauth_value(f->authorizations[0], "oauth_nonce", first);
    oauth_value(f->authorizations[1], "oauth_nonce", second);
    assert_string_not_equal(first, second);
    f->answers[2] = "500 {}";
    assert_int_equal(refusal(f, "Bearer late"), SL_UNAVAILABLE);
    assert_true(f->error.retriable);
    assert_int_equal(f->requests, 5); /* one and two more tries */
}

static void a_wrong_key_says_what_to_look_at(void **state)
{
    struct fixture *f = *state;
    f->answers[0] = "401 {\"title\":\"Signature mismatch\",\"code\":\"E401300\"}";
    start(f);
    assert_int_equal(refusal(f, NULL), SL_UNAUTHENTICATED);
    assert_int_equal(f->requests, 1);
    assert_int_equal(f->error.http_status, 401);
    assert_non_null(strstr(f->error.text, "Signature mismatch"));
    assert_non_null(strstr(f->error.text, "app.conf:1"));
    assert_non_null(strstr(f->error.text, "clock"));
    assert_null(strstr(f->error.text, "s3cret"));
}

static void what_is_no_token_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "{}",
        "{\"accessToken\":5,\"expiresIn\":100}",
        "{\"accessToken\":\"a\\r\\nb: c\",\"expiresIn\":100}",
        "{\"accessToken\":\"a\",\"tokenType\":\"mac\",\"expiresIn\":100}",
        "{\"accessToken\":",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f->requests = 0;
        f->answers[0] = bad[i];
        start(f);
        assert_int_equal(refusal(f, NULL), SL_PROTOCOL);
        assert_int_equal(f->requests, 1);
        sl_auth_destroy(&f->auth);
    }
    start(f);
    f->answers[0] = "{\"accessToken\":\"a\",\"expiresIn\":0}";
    assert_int_equal(refusal(f, NULL), SL_UNAUTHENTICATED);
    sl_auth_destroy(&f->auth);
    start(f);
    f->answers[0] = "{\"accessToken\":\"good\"}";
    f->requests = 0;
    expect_bearer(f, NULL, "Bearer good");
}

static void the_scope_is_sent(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sl_config_set(f->config, ACCOUNT "here-token-scope",
                                   "hrn:here:authorization::o:project/p", &f->error),
                     SL_OK);
    start(f);
    expect_bearer(f, NULL, "Bearer one");
    assert_string_equal(f->bodies[0], "POST /oauth2/token {\"grantType\":\"client_credentials\","
                                      "\"scope\":\"hrn:here:authorization::o:project/p\"}");
}

static void a_given_token_is_not_renewed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sl_config_set(f->config, SIGNER "here-token", "given", &f->error), SL_OK);
    start(f);
    expect_bearer(f, NULL, "Bearer given");
    assert_int_equal(refusal(f, "Bearer given"), SL_UNAUTHENTICATED);
    assert_non_null(strstr(f->error.text, "API"));
    assert_int_equal(f->requests, 0);
}

static void no_credentials_are_an_error_when_needed(void **state)
{
    struct fixture *f = *state;
    setenv("HOME", "/nonexistent", 1);
    sl_config_destroy(&f->config);
    assert_int_equal(sl_config_create(&f->config, &f->error), SL_OK);
    start(f);
    assert_int_equal(refusal(f, NULL), SL_UNAUTHENTICATED);
    assert_non_null(strstr(f->error.text, "STREAMLAYER_CREDENTIALS"));
}

static void an_endpoint_out_of_reach(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        sl_config_set(f->config, ACCOUNT "here-token-endpoint-url", "http://127.0.0.1:1/t", NULL), SL_OK);
    start(f);
    assert_int_equal(refusal(f, NULL), SL_UNAVAILABLE);
    assert_true(f->error.retriable);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(one_request_is_signed_and_its_token_kept, setup, teardown),
    cmocka_unit_test_setup_teardown(a_refused_token_is_replaced_once, setup, teardown),
    cmocka_unit_test_setup_teardown(a_token_refused_twice_is_an_error, setup, teardown),
    cmocka_unit_test_setup_teardown(threads_share_one_fetch, setup, teardown),
    cmocka_unit_test_setup_teardown(each_try_has_its_own_nonce, setup, teardown),
    cmocka_unit_test_setup_teardown(a_wrong_key_says_what_to_look_at, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_no_token_is_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(the_scope_is_sent, setup, teardown),
    cmocka_unit_test_setup_teardown(a_given_token_is_not_renewed, setup, teardown),
    cmocka_unit_test_setup_teardown(no_credentials_are_an_error_when_needed, setup, teardown),
    cmocka_unit_test_setup_teardown(an_endpoint_out_of_reach, setup, teardown))
