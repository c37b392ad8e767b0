/* Credentials that change in their file while a client lives on them. */
#include "support/cases.h"

#include "web.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/inside.h"
#include "config/settings.h"

#define SIGNER SL_ROOT "request-signer.credentials."
#define FILE_A "here.access.key.id = a\nhere.access.key.secret = secret-of-a\n"
#define FILE_B "here.access.key.id = b\nhere.access.key.secret = secret-of-b\n"

struct fixture {
    char directory[64];
    struct web *web;
    struct sl_http *http;
    sl_config *config;
    struct sl_auth *auth;
    sl_error error;
    char bearer[64]; /* the last that was got */

    pthread_mutex_t lock;
    /* under lock: */
    int requests;
    const char *only; /* the one key that is known; NULL: any */
    const char *swap; /* what the file becomes, in place and unnoticed, while the endpoint is asked */
    char log[4000];
};

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(name, 0600), 0);
}

/* In place, of the same size and with the same time. */
static void swap_unnoticed(const char *name, const char *text)
{
    struct stat about;
    int file = open(name, O_WRONLY);
    assert_int_equal(fstat(file, &about), 0);
    assert_int_equal(pwrite(file, text, strlen(text), 0), about.st_size);
    const struct timespec times[2] = {about.st_atim, about.st_mtim};
    assert_int_equal(futimens(file, times), 0);
    close(file);
}

/* Gives the token "KEY-TURN" to who signs with KEY. */
static void handle(void *opaque, const struct web_request *request, struct web_answer *answer)
{
    struct fixture *f = opaque;
    const char *key = strstr(web_header(request, "Authorization"), "oauth_consumer_key=\"");
    char name[8], text[200];
    snprintf(name, sizeof name, "%.1s", key + strlen("oauth_consumer_key=\""));
    pthread_mutex_lock(&f->lock);
    int turn = ++f->requests;
    bool known = !f->only || strcmp(f->only, name) == 0;
    if (f->swap)
        swap_unnoticed("c", f->swap);
    f->swap = NULL;
    pthread_mutex_unlock(&f->lock);
    snprintf(text, sizeof text, "{\"accessToken\":\"%s-%d\",\"expiresIn\":86400}", name, turn);
    web_text(answer, known ? 200 : 401, "application/json", known ? text : "{\"title\":\"unknown key\"}");
}

static void note(void *opaque, sl_log_level level, const char *text)
{
    struct fixture *f = opaque;
    pthread_mutex_lock(&f->lock);
    size_t length = strlen(f->log);
    if (level <= SL_LOG_INFO)
        snprintf(f->log + length, sizeof f->log - length, "%s\n", text);
    pthread_mutex_unlock(&f->lock);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    pthread_mutex_init(&f->lock, NULL);
    strcpy(f->directory, "/tmp/sl-rotation-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(chdir(f->directory), 0);
    f->web = web_start(handle, f);
    const struct sl_http_settings settings = {
        .max_connections = 4, .connect_timeout_ms = 10000, .timeout_ms = 60000, .user_agent = "test/1"};
    assert_int_equal(sl_http_create(&settings, NULL, &f->http, &f->error), SL_OK);
    assert_int_equal(sl_config_create(&f->config, &f->error), SL_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    sl_auth_destroy(&f->auth);
    sl_config_destroy(&f->config);
    sl_http_destroy(&f->http);
    web_stop(f->web);
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", f->directory);
    assert_int_equal(system(command), 0);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static void start(struct fixture *f, const char *more)
{
    const struct sl_log log = {.callback = note, .opaque = f, .level = SL_LOG_DEBUG};
    char text[1000];
    snprintf(text, sizeof text, SIGNER "file-path = c\n" SL_ROOT "http.retry.attempts = 0\n%s", more);
    assert_int_equal(sl_config_parse(f->config, text, strlen(text), "app.conf", &f->error), SL_OK);
    if (sl_auth_create(f->config, NULL, f->http, &log, &f->auth, &f->error) != SL_OK)
        fail_msg("%s", f->error.text);
}

/* Has the endpoint asked again, as after a 401 of the platform's. */
static sl_status next(struct fixture *f)
{
    char *bearer = NULL;
    memset(&f->error, 0, sizeof f->error);
    pthread_mutex_lock(&f->auth->lock);
    f->auth->held_until = 0;
    pthread_mutex_unlock(&f->auth->lock);
    sl_status status = sl_auth_bearer(f->auth, *f->bearer ? f->bearer : NULL, &bearer, NULL, &f->error);
    if (!status)
        snprintf(f->bearer, sizeof f->bearer, "%s", bearer);
    free(bearer);
    return status;
}

static void expect_next(struct fixture *f, const char *bearer)
{
    if (next(f) != SL_OK)
        fail_msg("%s", f->error.text);
    assert_string_equal(f->bearer, bearer);
}

/* What was logged since the last time. */
static void expect_log(struct fixture *f, const char *text)
{
    pthread_mutex_lock(&f->lock);
    assert_string_equal(f->log, text);
    f->log[0] = '\0';
    pthread_mutex_unlock(&f->lock);
}

static const char *with_url(struct fixture *f, const char *text)
{
    static char whole[4][400];
    static int turn;
    char *out = whole[turn++ % 4];
    snprintf(out, sizeof whole[0], "%shere.token.endpoint.url = %s/token\n", text, web_url(f->web));
    return out;
}

static void one_is_renamed_over_it(void **state)
{
    struct fixture *f = *state;
    write_file("c", with_url(f, FILE_A));
    start(f, "");
    expect_next(f, "Bearer a-1");
    write_file("new", with_url(f, FILE_B));
    assert_int_equal(rename("new", "c"), 0);
    expect_next(f, "Bearer b-2");
    expect_log(f, "the credentials of c have changed\n");
    expect_next(f, "Bearer b-3");
    expect_log(f, "");
}

static void it_is_written_with_a_pause_in_the_middle(void **state)
{
    struct fixture *f = *state;
    write_file("c", with_url(f, FILE_A));
    start(f, "");
    expect_next(f, "Bearer a-1");
    write_file("c", "here.access.key.id = b\n");
    expect_next(f, "Bearer a-2");
    expect_log(f, "c: here.access.key.secret is missing: credentials need here.access.key.id and "
                  "here.access.key.secret; the credentials that were read before are kept\n");
    expect_next(f, "Bearer a-3");
    expect_log(f, ""); /* one warning a state */
    write_file("c", "here.access.key.id = bb\n");
    expect_next(f, "Bearer a-4");
    assert_non_null(strstr(f->log, "are kept"));
    f->log[0] = '\0';
    write_file("c", with_url(f, FILE_B));
    expect_next(f, "Bearer b-5");
    expect_log(f, "the credentials of c have changed\n");
}

static void a_link_leads_elsewhere(void **state)
{
    struct fixture *f = *state;
    write_file("a", with_url(f, FILE_A));
    write_file("b", with_url(f, FILE_B));
    assert_int_equal(symlink("a", "c"), 0);
    start(f, "");
    expect_next(f, "Bearer a-1");
    assert_int_equal(symlink("b", "new"), 0);
    assert_int_equal(rename("new", "c"), 0);
    expect_next(f, "Bearer b-2");
}

static void it_goes_and_comes_back(void **state)
{
    struct fixture *f = *state;
    write_file("c", with_url(f, FILE_A));
    start(f, "");
    expect_next(f, "Bearer a-1");
    assert_int_equal(unlink("c"), 0);
    expect_next(f, "Bearer a-2");
    expect_next(f, "Bearer a-3");
    expect_log(f, "c: the credentials file cannot be read: No such file or directory; the credentials that "
                  "were read before are kept\n");
    write_file("c", with_url(f, FILE_B));
    expect_next(f, "Bearer b-4");
    assert_int_equal(unlink("c"), 0);
    expect_next(f, "Bearer b-5");
    assert_non_null(strstr(f->log, "cannot be read")); /* again, for it was there meanwhile */
}

static void the_profile_counts_alone(void **state)
{
    struct fixture *f = *state;
    char text[1000];
    snprintf(text, sizeof text, "[default]\n%s[prod]\n%s", FILE_A, with_url(f, FILE_A));
    write_file("c", text);
    start(f, SIGNER "profile = prod");
    expect_next(f, "Bearer a-1");
    snprintf(text, sizeof text, "[default]\n%s\n[prod]\n%s", FILE_B, with_url(f, FILE_A));
    write_file("c", text);
    expect_next(f, "Bearer a-2");
    expect_log(f, "");
    snprintf(text, sizeof text, "[default]\n%s[prod]\n%s", FILE_A, with_url(f, FILE_B));
    write_file("c", text);
    expect_next(f, "Bearer b-3");
    expect_log(f, "the credentials of c have changed\n");
}

static void a_refused_key_is_read_again(void **state)
{
    struct fixture *f = *state;
    char other[400];
    write_file("c", with_url(f, FILE_A));
    start(f, "");
    expect_next(f, "Bearer a-1");
    snprintf(other, sizeof other, "%s", with_url(f, FILE_B));
    f->swap = other; /* the file looks as before */
    f->only = "b";
    expect_next(f, "Bearer b-3");
    expect_log(f, "the credentials of c have changed\n");
    f->only = "c"; /* and the same key is not tried twice */
    assert_int_equal(next(f), SL_UNAUTHENTICATED);
    assert_int_equal(f->requests, 4);
    assert_non_null(strstr(f->error.text, "unknown key"));
    assert_null(strstr(f->error.text, "secret-of"));
    write_file("c", with_url(f, "here.access.key.id = c\nhere.access.key.secret = secret-of-c\n"));
    expect_next(f, "Bearer c-5");
}

static void a_new_file_that_others_read_is_warned_of_once(void **state)
{
    struct fixture *f = *state;
    write_file("c", with_url(f, FILE_A));
    start(f, "");
    expect_next(f, "Bearer a-1");
    write_file("new", with_url(f, FILE_A));
    assert_int_equal(chmod("new", 0644), 0);
    assert_int_equal(rename("new", "c"), 0);
    expect_next(f, "Bearer a-2");
    expect_next(f, "Bearer a-3");
    expect_log(f, "c holds a secret, and others may read or write it (mode 0644): chmod 600 c\n");
    FILE *file = fopen("c", "a"); /* another state, of the same file */
    assert_non_null(file);
    fputs("# more\n", file);
    assert_int_equal(fclose(file), 0);
    expect_next(f, "Bearer a-4");
    expect_log(f, "");
}

static void a_token_file_is_read_when_its_token_is_over(void **state)
{
    struct fixture *f = *state;
    write_file("c", "{\"access_token\": \"one\", \"exp\": 4102444800}");
    start(f, "");
    char *bearer = NULL;
    int64_t expires_ms = 0;
    assert_int_equal(sl_auth_bearer(f->auth, NULL, &bearer, &expires_ms, &f->error), SL_OK);
    assert_string_equal(bearer, "Bearer one");
    assert_true(expires_ms == 4102444800000);
    snprintf(f->bearer, sizeof f->bearer, "%s", bearer);
    free(bearer);
    assert_int_equal(next(f), SL_UNAUTHENTICATED);
    assert_string_equal(f->error.text, "c gave a token that is refused, or has expired already");
    write_file("c", "{\"access_token\": \"tw");
    assert_int_equal(next(f), SL_UNAVAILABLE);
    assert_true(f->error.retriable);
    write_file("c", "{\"access_token\": \"two\", \"exp\": 1}");
    assert_int_equal(next(f), SL_UNAUTHENTICATED);
    write_file("c", "{\"access_token\": \"three\"}");
    expect_next(f, "Bearer three");
    assert_int_equal(f->requests, 0);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(one_is_renamed_over_it, setup, teardown),
    cmocka_unit_test_setup_teardown(it_is_written_with_a_pause_in_the_middle, setup, teardown),
    cmocka_unit_test_setup_teardown(a_link_leads_elsewhere, setup, teardown),
    cmocka_unit_test_setup_teardown(it_goes_and_comes_back, setup, teardown),
    cmocka_unit_test_setup_teardown(the_profile_counts_alone, setup, teardown),
    cmocka_unit_test_setup_teardown(a_refused_key_is_read_again, setup, teardown),
    cmocka_unit_test_setup_teardown(a_new_file_that_others_read_is_warned_of_once, setup, teardown),
    cmocka_unit_test_setup_teardown(a_token_file_is_read_when_its_token_is_over, setup, teardown))
