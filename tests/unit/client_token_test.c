/* Tokens that the application gives: one, the next, and a callback. */
#include "support/cases.h"

#include "web.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"

struct fixture {
    struct web *web;
    sl_config *config;
    sl_client_options *options;
    sl_client *client;
    sl_error error;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under lock: */
    const char *good; /* the Authorization that the platform takes */
    int requests, calls;
    bool hold, inside; /* the callback waits; it is there */
    sl_status failure;
    const char *answers[4]; /* the callback's, in turn; the last again and again */
    int64_t expires_ms;
    char refused[4][32]; /* what the callback was told */
};

static void handle(void *opaque, const struct web_request *request, struct web_answer *answer)
{
    struct fixture *f = opaque;
    pthread_mutex_lock(&f->lock);
    const char *authorization = web_header(request, "Authorization");
    bool good = authorization && f->good && strcmp(authorization, f->good) == 0;
    f->requests++;
    pthread_mutex_unlock(&f->lock);
    web_text(answer, good ? 200 : 401, "application/json", good ? "{}" : "{\"title\":\"no\"}");
}

static sl_status give(void *opaque, const char *refused, sl_token_answer *answer, sl_error *error)
{
    struct fixture *f = opaque;
    pthread_mutex_lock(&f->lock);
    int turn = f->calls++;
    if (turn < 4)
        snprintf(f->refused[turn], sizeof f->refused[turn], "%s", refused ? refused : "-");
    f->inside = true;
    pthread_cond_broadcast(&f->changed);
    while (f->hold)
        pthread_cond_wait(&f->changed, &f->lock);
    sl_status status = f->failure;
    int at = turn < 4 ? turn : 3;
    while (at > 0 && !f->answers[at])
        at--;
    if (status != SL_OK) {
        snprintf(error->text, sizeof error->text, "the vault is sealed");
        error->retriable = true;
    } else if (f->answers[at]) {
        status = sl_token_answer_set(answer, f->answers[at], f->expires_ms);
    }
    pthread_mutex_unlock(&f->lock);
    return status;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->web = web_start(handle, f);
    setenv("HOME", "/nonexistent", 1);
    unsetenv("HERE_ACCESS_KEY_ID");
    assert_int_equal(sl_config_create(&f->config, &f->error), SL_OK);
    assert_int_equal(sl_client_options_create(&f->options, &f->error), SL_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sl_client_destroy(&f->client);
    sl_client_options_destroy(&f->options);
    sl_config_destroy(&f->config);
    web_stop(f->web);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static void start(struct fixture *f)
{
    if (sl_client_create_with(f->config, f->options, NULL, NULL, &f->client, &f->error) != SL_OK)
        fail_msg("%s", f->error.text);
    sl_client_options_destroy(&f->options); /* they were copied */
}

static void start_with_callback(struct fixture *f)
{
    assert_int_equal(sl_client_options_set_token_callback(f->options, give, f, &f->error), SL_OK);
    start(f);
}

static void expect_token(struct fixture *f, const char *expected)
{
    char *token = NULL;
    if (sl_client_token(f->client, &token, NULL, &f->error) != SL_OK)
        fail_msg("%s", f->error.text);
    assert_string_equal(token, expected);
    sl_free(token);
}

static sl_status call(struct fixture *f)
{
    char url[100];
    snprintf(url, sizeof url, "%s/x", web_url(f->web));
    return sl_client_call_json(f->client, "GET", url, NULL, NULL, &f->error);
}

static void a_given_token_and_the_next(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sl_client_options_set_token(f->options, "Bearer one", &f->error), SL_OK);
    start(f);
    expect_token(f, "one");
    f->good = "Bearer two";
    assert_int_equal(call(f), SL_UNAUTHENTICATED);
    assert_string_equal(f->error.text,
                        "the token of the application is refused (expired?), and a given token cannot "
                        "be renewed: set a new one, or an access key");
    assert_int_equal(sl_client_set_token(f->client, "two", &f->error), SL_OK);
    expect_token(f, "two");
    assert_int_equal(call(f), SL_OK);
}

static void a_token_for_a_client_without_credentials(void **state)
{
    struct fixture *f = *state;
    start(f);
    char *token = NULL;
    assert_int_equal(sl_client_token(f->client, &token, NULL, &f->error), SL_UNAUTHENTICATED);
    assert_non_null(strstr(f->error.text, "no credentials"));
    assert_int_equal(sl_client_set_token(f->client, "one", &f->error), SL_OK);
    expect_token(f, "one");
}

static void the_program_wins_over_the_configuration(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        sl_config_set(f->config, SL_ROOT "request-signer.credentials.file-path", "/nonexistent", &f->error),
        SL_OK);
    f->answers[0] = "mine";
    start_with_callback(f);
    expect_token(f, "mine");
    assert_int_equal(sl_client_set_token(f->client, "x", &f->error), SL_INVALID_ARGUMENT);
    assert_string_equal(f->error.text, "this client gets its tokens itself, from a callback: only one that "
                                       "was made with a token can be given another");
}

static void a_callback_is_asked_once_and_after_a_refusal(void **state)
{
    struct fixture *f = *state;
    f->answers[0] = "one";
    f->answers[1] = "Bearer two";
    f->good = "Bearer two";
    start_with_callback(f);
    expect_token(f, "one");
    expect_token(f, "one");
    assert_int_equal(f->calls, 1);
    assert_int_equal(call(f), SL_OK);
    assert_int_equal(f->calls, 2);
    assert_int_equal(f->requests, 2);
    assert_string_equal(f->refused[0], "-");
    assert_string_equal(f->refused[1], "one");
}

static void a_callback_tells_until_when(void **state)
{
    struct fixture *f = *state;
    char *token = NULL;
    int64_t expires_ms = 0;
    f->answers[0] = "one";
    f->expires_ms = 4102444800000;
    start_with_callback(f);
    assert_int_equal(sl_client_token(f->client, &token, &expires_ms, &f->error), SL_OK);
    assert_true(expires_ms == 4102444800000);
    sl_free(token);
}

static void what_a_callback_does_wrong(void **state)
{
    struct fixture *f = *state;
    char *token = NULL;
    f->failure = SL_UNAVAILABLE;
    start_with_callback(f);
    assert_int_equal(sl_client_token(f->client, &token, NULL, &f->error), SL_UNAVAILABLE);
    assert_string_equal(f->error.text, "the application's token callback failed: the vault is sealed");
    assert_true(f->error.retriable);
    f->failure = SL_OK;
    sl_client_destroy(&f->client);
    assert_int_equal(sl_client_options_create(&f->options, &f->error), SL_OK);
    start_with_callback(f); /* answers nothing */
    assert_int_equal(sl_client_token(f->client, &token, NULL, &f->error), SL_UNAUTHENTICATED);
    assert_string_equal(f->error.text, "the application's token callback returned SL_OK without a token: "
                                       "sl_token_answer_set gives one");
    sl_client_destroy(&f->client);
    f->answers[0] = "expired";
    f->expires_ms = 1;
    assert_int_equal(sl_client_options_create(&f->options, &f->error), SL_OK);
    start_with_callback(f);
    assert_int_equal(sl_client_token(f->client, &token, NULL, &f->error), SL_UNAUTHENTICATED);
    assert_string_equal(
        f->error.text,
        "the application's token callback gave a token that is refused, or has expired already");
}

static sl_status recurse(void *opaque, const char *refused, sl_token_answer *answer, sl_error *error)
{
    struct fixture *f = opaque;
    char *token = NULL;
    (void)refused, (void)answer;
    assert_int_equal(sl_client_token(f->client, &token, NULL, error), SL_INVALID_ARGUMENT);
    return SL_INVALID_ARGUMENT;
}

static void a_callback_that_asks_its_own_client_is_told(void **state)
{
    struct fixture *f = *state;
    char *token = NULL;
    assert_int_equal(sl_client_options_set_token_callback(f->options, recurse, f, &f->error), SL_OK);
    start(f);
    assert_int_equal(sl_client_token(f->client, &token, NULL, &f->error), SL_INVALID_ARGUMENT);
    assert_non_null(
        strstr(f->error.text, "a token callback has called what needs a token of its own client"));
}

static void *destroy(void *opaque)
{
    struct fixture *f = opaque;
    sl_client_destroy(&f->client);
    return NULL;
}

static void destroying_waits_for_the_callback(void **state)
{
    struct fixture *f = *state;
    char *bearer = NULL;
    pthread_t destroyer;
    f->hold = true;
    f->answers[0] = "one";
    start_with_callback(f);
    assert_int_equal(sl_auth_bearer_until(f->client->auth, NULL, 0, NULL, &bearer, NULL, &f->error),
                     SL_TIMED_OUT);
    assert_string_equal(f->error.text, "the application's token callback gave no token in time");
    pthread_mutex_lock(&f->lock);
    while (!f->inside)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
    assert_int_equal(pthread_create(&destroyer, NULL, destroy, f), 0);
    pthread_mutex_lock(&f->lock);
    f->hold = false;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    pthread_join(destroyer, NULL);
    assert_int_equal(f->calls, 1);
}

static void wrong_arguments(void **state)
{
    struct fixture *f = *state;
    sl_client *client = NULL;
    sl_client_options *gone = NULL;
    static const char *const bad[] = {NULL, "", "a b", "a\r\nX: y", "Bearer ", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(sl_client_options_set_token(f->options, bad[i], &f->error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_client_options_create(NULL, &f->error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_client_options_set_token(NULL, "a", &f->error), SL_INVALID_HANDLE);
    assert_int_equal(sl_client_options_set_token_callback(NULL, give, f, &f->error), SL_INVALID_HANDLE);
    assert_int_equal(sl_token_answer_set(NULL, "a", 0), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_client_set_token(NULL, "a", &f->error), SL_INVALID_HANDLE);
    assert_int_equal(sl_client_create_with(f->config, f->options, NULL, NULL, NULL, &f->error),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(sl_client_create_with(f->config, (sl_client_options *)f, NULL, NULL, &client, &f->error),
                     SL_INVALID_HANDLE);
    assert_null(client);
    sl_client_options_destroy(NULL);
    sl_client_options_destroy(&gone);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(a_given_token_and_the_next, setup, teardown),
    cmocka_unit_test_setup_teardown(a_token_for_a_client_without_credentials, setup, teardown),
    cmocka_unit_test_setup_teardown(the_program_wins_over_the_configuration, setup, teardown),
    cmocka_unit_test_setup_teardown(a_callback_is_asked_once_and_after_a_refusal, setup, teardown),
    cmocka_unit_test_setup_teardown(a_callback_tells_until_when, setup, teardown),
    cmocka_unit_test_setup_teardown(what_a_callback_does_wrong, setup, teardown),
    cmocka_unit_test_setup_teardown(a_callback_that_asks_its_own_client_is_told, setup, teardown),
    cmocka_unit_test_setup_teardown(destroying_waits_for_the_callback, setup, teardown),
    cmocka_unit_test_setup_teardown(wrong_arguments, setup, teardown))
