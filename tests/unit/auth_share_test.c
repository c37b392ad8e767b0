/* One token for many threads: how often the endpoint is asked, and how many times at once. */
#include "support/cases.h"

#include "web.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/inside.h"
#include "base/time.h"
#include "config/settings.h"

#define ACCOUNT SL_ROOT "request-signer.credentials.here-account."
#define THREADS 32
#define A_DAY   86400000

struct fixture;

/* A thread that asks once. */
struct asker {
    struct fixture *fixture;
    const char *refused;
    int64_t within_ms; /* -1: however long it takes */
    sl_status status;
    char *bearer;
    sl_error error;
};

struct fixture {
    struct web *web;
    struct sl_http *http;
    sl_config *config;
    struct sl_auth *auth;
    sl_error error;
    pthread_barrier_t barrier;
    struct asker askers[THREADS];

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under lock: */
    int requests, parallel, most_parallel;
    bool hold;   /* answers wait */
    int failure; /* the status of answers; 0: tokens "one", "two", … */
    bool same;   /* always "one" */
    bool over;   /* tokens are past their time */
    int warnings;
};

static void handle(void *opaque, const struct web_request *request, struct web_answer *answer)
{
    static const char *const tokens[] = {"none", "one", "two", "three", "four"};
    struct fixture *f = opaque;
    char text[200];
    (void)request;
    pthread_mutex_lock(&f->lock);
    int turn = ++f->requests;
    if (f->same)
        turn = 1;
    if (++f->parallel > f->most_parallel)
        f->most_parallel = f->parallel;
    pthread_cond_broadcast(&f->changed);
    while (f->hold)
        pthread_cond_wait(&f->changed, &f->lock);
    f->parallel--;
    int failure = f->failure;
    bool over = f->over;
    pthread_mutex_unlock(&f->lock);
    snprintf(text, sizeof text, "{\"accessToken\":\"%s\",\"expiresIn\":%d}", tokens[turn < 5 ? turn : 4],
             over ? 0 : 86400);
    web_text(answer, failure ? failure : 200, "application/json", failure ? "{\"title\":\"no\"}" : text);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    pthread_barrier_init(&f->barrier, NULL, THREADS);
    f->web = web_start(handle, f);
    const struct sl_http_settings settings = {
        .max_connections = 8, .connect_timeout_ms = 10000, .timeout_ms = 60000, .user_agent = "test/1"};
    assert_int_equal(sl_http_create(&settings, NULL, &f->http, &f->error), SL_OK);
    assert_int_equal(sl_config_create(&f->config, &f->error), SL_OK);
    char text[1000];
    snprintf(text, sizeof text,
             ACCOUNT "here-access-key-id = key\n" ACCOUNT "here-access-key-secret = secret\n" ACCOUNT
                     "here-token-endpoint-url = \"%s/token\"\n" SL_ROOT "http.retry.attempts = 0\n",
             web_url(f->web));
    assert_int_equal(sl_config_parse(f->config, text, strlen(text), "app.conf", &f->error), SL_OK);
    if (sl_auth_create(f->config, NULL, f->http, NULL, &f->auth, &f->error) != SL_OK)
        fail_msg("%s", f->error.text);
    f->auth->hold_ms = A_DAY; /* however slow the machine is */
    for (int i = 0; i < THREADS; i++)
        f->askers[i] = (struct asker){.fixture = f, .within_ms = -1};
    *state = f;
    return 0;
}

static void count_warning(void *opaque, sl_log_level level, const char *text)
{
    struct fixture *f = opaque;
    if (level == SL_LOG_WARNING && strstr(text, "the one before is used on"))
        f->warnings++;
}

static void set_hold(struct fixture *f, bool hold)
{
    pthread_mutex_lock(&f->lock);
    f->hold = hold;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    set_hold(f, false); /* where a case has failed before it did */
    assert_true(f->most_parallel <= 1);
    sl_auth_destroy(&f->auth);
    sl_config_destroy(&f->config);
    sl_http_destroy(&f->http);
    web_stop(f->web);
    pthread_barrier_destroy(&f->barrier);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static void *ask(void *opaque)
{
    struct asker *asker = opaque;
    pthread_barrier_wait(&asker->fixture->barrier);
    asker->status =
        sl_auth_bearer_until(asker->fixture->auth, asker->refused, sl_deadline_ms(asker->within_ms), NULL,
                             &asker->bearer, NULL, &asker->error);
    return NULL;
}

/* All at once. */
static void all_ask(struct fixture *f)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &f->askers[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void set_failure(struct fixture *f, int failure)
{
    pthread_mutex_lock(&f->lock);
    f->failure = failure;
    pthread_mutex_unlock(&f->lock);
}

static void expect_requests(struct fixture *f, int requests)
{
    pthread_mutex_lock(&f->lock);
    assert_int_equal(f->requests, requests);
    pthread_mutex_unlock(&f->lock);
}

static void expect_all(struct fixture *f, const char *bearer, int requests)
{
    for (int i = 0; i < THREADS; i++) {
        if (f->askers[i].status != SL_OK)
            fail_msg("%s", f->askers[i].error.text);
        assert_string_equal(f->askers[i].bearer, bearer);
        free(f->askers[i].bearer);
        f->askers[i].bearer = NULL;
    }
    expect_requests(f, requests);
}

static void one_asks(struct fixture *f, const char *refused, const char *bearer)
{
    char *got = NULL;
    if (sl_auth_bearer(f->auth, refused, &got, NULL, &f->error) != SL_OK)
        fail_msg("%s", f->error.text);
    assert_string_equal(got, bearer);
    free(got);
}

static void await_requests(struct fixture *f, int requests)
{
    pthread_mutex_lock(&f->lock);
    while (f->requests < requests)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static void await_fetches(struct fixture *f, unsigned fetches)
{
    pthread_mutex_lock(&f->auth->lock);
    while (f->auth->fetches < fetches)
        pthread_cond_wait(&f->auth->fetched, &f->auth->lock);
    pthread_mutex_unlock(&f->auth->lock);
}

static void the_first_fetch_is_one(void **state)
{
    struct fixture *f = *state;
    all_ask(f);
    expect_all(f, "Bearer one", 1);
}

static void near_expiry_the_old_token_is_handed_out_at_once(void **state)
{
    struct fixture *f = *state;
    one_asks(f, NULL, "Bearer one");
    pthread_mutex_lock(&f->auth->lock);
    f->auth->token.renew_mono = 0;
    pthread_mutex_unlock(&f->auth->lock);
    set_hold(f, true);
    all_ask(f); /* none waits, for the endpoint does not answer */
    await_requests(f, 2);
    expect_all(f, "Bearer one", 2);
    set_hold(f, false);
    await_fetches(f, 2);
    all_ask(f);
    expect_all(f, "Bearer two", 2);
}

static void a_renewal_that_fails_leaves_the_old_token(void **state)
{
    struct fixture *f = *state;
    one_asks(f, NULL, "Bearer one");
    pthread_mutex_lock(&f->auth->lock);
    f->auth->token.renew_mono = 0;
    pthread_mutex_unlock(&f->auth->lock);
    set_failure(f, 500);
    all_ask(f);
    await_fetches(f, 2);
    expect_all(f, "Bearer one", 2);
    set_failure(f, 0);
    one_asks(f, NULL, "Bearer one"); /* and is not renewed for a while */
    expect_requests(f, 2);
}

static void renew(struct fixture *f)
{
    pthread_mutex_lock(&f->auth->lock);
    f->auth->token.renew_mono = 0;
    unsigned fetches = f->auth->fetches;
    pthread_mutex_unlock(&f->auth->lock);
    one_asks(f, NULL, "Bearer one");
    await_fetches(f, fetches + 1);
}

static void a_renewal_that_brings_what_is_over_leaves_the_old_token(void **state)
{
    struct fixture *f = *state;
    f->auth->log = (struct sl_log){.callback = count_warning, .opaque = f, .level = SL_LOG_WARNING};
    one_asks(f, NULL, "Bearer one");
    f->over = true;
    renew(f);
    one_asks(f, NULL, "Bearer one");
    expect_requests(f, 2);
    renew(f);
    one_asks(f, NULL, "Bearer one");
    expect_requests(f, 3);
    assert_int_equal(f->warnings, 1); /* of a row of them */
    /* Where the old one is refused, the new one is no better: an error. */
    char *got = NULL;
    f->auth->held_until = 0;
    assert_int_equal(sl_auth_bearer(f->auth, "Bearer one", &got, NULL, &f->error), SL_UNAUTHENTICATED);
    assert_null(got);
    f->auth->held_until = 0;
    f->over = false;
    one_asks(f, NULL, "Bearer four");
}

static void all_refused_with_one_token_are_one_fetch(void **state)
{
    struct fixture *f = *state;
    one_asks(f, NULL, "Bearer one");
    for (int i = 0; i < THREADS; i++)
        f->askers[i].refused = "Bearer one";
    all_ask(f);
    expect_all(f, "Bearer two", 2);
}

static void an_older_token_refused_is_no_fetch(void **state)
{
    struct fixture *f = *state;
    one_asks(f, NULL, "Bearer one");
    one_asks(f, "Bearer one", "Bearer two");
    for (int i = 0; i < THREADS; i += 2)
        f->askers[i].refused = "Bearer one";
    all_ask(f);
    expect_all(f, "Bearer two", 2);
}

static void a_failure_is_everybodys(void **state)
{
    struct fixture *f = *state;
    set_failure(f, 401);
    all_ask(f);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(f->askers[i].status, SL_UNAUTHENTICATED);
        assert_string_equal(f->askers[i].error.text, f->askers[0].error.text);
    }
    expect_requests(f, 1);
    set_failure(f, 0);
    pthread_mutex_lock(&f->auth->lock);
    f->auth->held_until = 0; /* the second is over */
    pthread_mutex_unlock(&f->auth->lock);
    all_ask(f);
    expect_all(f, "Bearer two", 2);
}

static void a_token_that_is_refused_again_is_not_fetched_again(void **state)
{
    struct fixture *f = *state;
    f->same = true;
    one_asks(f, NULL, "Bearer one");
    for (int i = 0; i < THREADS; i++)
        f->askers[i].refused = "Bearer one";
    all_ask(f);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(f->askers[i].status, SL_UNAUTHENTICATED);
        assert_non_null(
            strstr(f->askers[i].error.text, "/token gave a token that is refused, or has expired already"));
    }
    expect_requests(f, 2);
}

static void who_cannot_wait_is_let_go(void **state)
{
    struct fixture *f = *state;
    set_hold(f, true);
    for (int i = 0; i < THREADS; i++)
        f->askers[i].within_ms = i % 4;
    all_ask(f);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(f->askers[i].status, SL_TIMED_OUT);
        assert_true(f->askers[i].error.retriable);
        f->askers[i].within_ms = -1;
    }
    await_requests(f, 1);
    set_hold(f, false);
    all_ask(f);
    expect_all(f, "Bearer one", 1);
}

static void a_cache_may_go_during_a_fetch(void **state)
{
    struct fixture *f = *state;
    char *bearer;
    set_hold(f, true);
    assert_int_equal(sl_auth_bearer_until(f->auth, NULL, sl_mono_ms(), NULL, &bearer, NULL, &f->error),
                     SL_TIMED_OUT);
    await_requests(f, 1);
    sl_auth_destroy(&f->auth); /* does not wait for the answer */
    assert_null(f->auth);
    set_hold(f, false);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(the_first_fetch_is_one, setup, teardown),
    cmocka_unit_test_setup_teardown(near_expiry_the_old_token_is_handed_out_at_once, setup, teardown),
    cmocka_unit_test_setup_teardown(a_renewal_that_fails_leaves_the_old_token, setup, teardown),
    cmocka_unit_test_setup_teardown(a_renewal_that_brings_what_is_over_leaves_the_old_token, setup, teardown),
    cmocka_unit_test_setup_teardown(all_refused_with_one_token_are_one_fetch, setup, teardown),
    cmocka_unit_test_setup_teardown(an_older_token_refused_is_no_fetch, setup, teardown),
    cmocka_unit_test_setup_teardown(a_failure_is_everybodys, setup, teardown),
    cmocka_unit_test_setup_teardown(a_token_that_is_refused_again_is_not_fetched_again, setup, teardown),
    cmocka_unit_test_setup_teardown(who_cannot_wait_is_let_go, setup, teardown),
    cmocka_unit_test_setup_teardown(a_cache_may_go_during_a_fetch, setup, teardown))
