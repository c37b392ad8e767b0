#include "support/cases.h"

#include "web.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "net/http.h"

struct fixture {
    struct web *web;
    struct sl_http *http;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int requests, running, most_running, answered, closed;
    bool open; /* parked requests may go */
    char seen[400];
};

static void note(struct fixture *f, int *counter, int by)
{
    pthread_mutex_lock(&f->lock);
    *counter += by;
    if (f->running > f->most_running)
        f->most_running = f->running;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void wait_for(struct fixture *f, const int *counter, int at_least)
{
    pthread_mutex_lock(&f->lock);
    while (*counter < at_least)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static void set_requests(struct fixture *f, int requests)
{
    pthread_mutex_lock(&f->lock);
    f->requests = requests;
    pthread_mutex_unlock(&f->lock);
}

static int requests(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    int count = f->requests;
    pthread_mutex_unlock(&f->lock);
    return count;
}

static void park(struct fixture *f)
{
    note(f, &f->running, 1);
    pthread_mutex_lock(&f->lock);
    while (!f->open)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
    note(f, &f->running, -1);
}

static void unpark(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    f->open = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void serve(void *opaque, const struct web_request *request, struct web_answer *answer)
{
    struct fixture *f = opaque;
    pthread_mutex_lock(&f->lock);
    int number = ++f->requests;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    if (!strcmp(request->path, "/echo")) {
        const char *expect = web_header(request, "Expect"), *type = web_header(request, "Content-Type");
        pthread_mutex_lock(&f->lock);
        snprintf(f->seen, sizeof f->seen, "%s %s %s %s", request->method, type ? type : "-",
                 expect ? expect : "-", web_header(request, "X-One") ? web_header(request, "X-One") : "-");
        pthread_mutex_unlock(&f->lock);
        answer->body = malloc(request->size + 1);
        memcpy(answer->body, request->body, request->size);
        answer->size = request->size;
        answer->content_type = "application/x-echo";
        answer->headers[0] = "X-Correlation-Id";
        answer->headers[1] = "corr-1";
    } else if (!strcmp(request->path, "/twice-503")) {
        web_text(answer, number <= 2 ? 503 : 200, "text/plain", number <= 2 ? "not now" : "now");
    } else if (!strcmp(request->path, "/after-date") || !strcmp(request->path, "/after-1")) {
        web_text(answer, number == 1 ? 429 : 200, "text/plain", "x");
        static char date[64];
        time_t when = time(NULL) + 2;
        struct tm tm;
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&when, &tm));
        answer->headers[0] = "Retry-After";
        answer->headers[1] = strstr(request->path, "date") ? date : "1";
    } else if (!strcmp(request->path, "/after-long")) {
        web_text(answer, 503, "text/plain", "x");
        answer->headers[0] = "Retry-After";
        answer->headers[1] = "3600";
    } else if (!strcmp(request->path, "/cut")) {
        answer->status = number == 1 ? 0 : 200;
    } else if (!strcmp(request->path, "/cut-always")) {
        answer->status = 0;
    } else if (!strcmp(request->path, "/redirect")) {
        web_text(answer, 302, "text/plain", "");
        answer->headers[0] = "Location";
        answer->headers[1] = "/echo";
    } else if (!strcmp(request->path, "/park")) {
        park(f);
    } else if (!strcmp(request->path, "/error")) {
        web_text(
            answer, 404, "application/json",
            "{\"title\":\"Layer not found\",\"status\":404,\"code\":\"E404\",\"cause\":\"no layer x\\n\","
            "\"action\":\"Create it\"}");
    }
}

static int start(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->web = web_start(serve, f);
    struct sl_http_settings settings = {.max_connections = 4,
                                        .connect_timeout_ms = 2000,
                                        .timeout_ms = 20000,
                                        .retries = 3,
                                        .backoff_ms = 5,
                                        .backoff_max_ms = 20,
                                        .user_agent = "test/1"};
    sl_error error;
    assert_int_equal(sl_http_create(&settings, NULL, &f->http, &error), SL_OK);
    *state = f;
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;
    sl_http_destroy(&f->http);
    unpark(f);
    web_stop(f->web);
    free(f);
    return 0;
}

static char *url(struct fixture *f, const char *path)
{
    static _Thread_local char text[200];
    snprintf(text, sizeof text, "%s%s", web_url(f->web), path);
    return text;
}

static struct sl_http_response perform(struct fixture *f, struct sl_http_request request, sl_status expected)
{
    struct sl_http_response response;
    sl_error error;
    if (sl_http_perform(f->http, &request, &response, &error) != expected)
        fail_msg("%s", error.text);
    return response;
}

static void a_request_is_sent_and_answered(void **state)
{
    struct fixture *f = *state;
    struct sl_http_header headers[] = {{"Content-Type", "text/x"}, {"X-One", "1"}};
    struct sl_http_response response = perform(f,
                                               (struct sl_http_request){.method = "PUT",
                                                                        .url = url(f, "/echo"),
                                                                        .headers = headers,
                                                                        .header_count = 2,
                                                                        .body = "hello\0world",
                                                                        .body_size = 11},
                                               SL_OK);
    assert_int_equal(response.status, 200);
    assert_int_equal(response.body.size, 11);
    assert_memory_equal(response.body.data, "hello\0world", 11);
    assert_string_equal(response.content_type, "application/x-echo");
    assert_string_equal(response.correlation_id, "corr-1");
    assert_int_equal(response.retry_after_ms, -1);
    assert_string_equal(f->seen, "PUT text/x - 1");
    sl_http_response_free(&response);
}

static void a_header_that_is_wanted_is_handed_over(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        struct sl_http_response response =
            perform(f,
                    (struct sl_http_request){.method = "PUT",
                                             .url = url(f, "/echo"),
                                             .body = "x",
                                             .body_size = 1,
                                             .wanted = i == 0   ? "x-CORRELATION-id-2"
                                                       : i == 1 ? "Date"
                                                                : NULL},
                    SL_OK);
        assert_int_equal(*response.wanted != 0, i == 1);
        assert_int_equal(response.tries, 1);
        assert_int_equal(response.sent_bytes, 1);
        sl_http_response_free(&response);
    }
}

static void no_body_means_length_0_and_no_type(void **state)
{
    struct fixture *f = *state;
    struct sl_http_response response =
        perform(f, (struct sl_http_request){.method = "POST", .url = url(f, "/echo")}, SL_OK);
    assert_int_equal(response.status, 200);
    assert_string_equal(f->seen, "POST - - -");
    sl_http_response_free(&response);
    response = perform(f, (struct sl_http_request){.method = "DELETE", .url = url(f, "/echo")}, SL_OK);
    assert_string_equal(f->seen, "DELETE - - -");
    sl_http_response_free(&response);
    response = perform(f, (struct sl_http_request){.method = "HEAD", .url = url(f, "/echo")}, SL_OK);
    assert_int_equal(response.status, 200);
    sl_http_response_free(&response);
}

static void only_large_bodies_ask_first(void **state)
{
    struct fixture *f = *state;
    size_t size = 3 << 20;
    char *body = malloc(size);
    memset(body, 'b', size);
    for (int large = 0; large < 2; large++) {
        struct sl_http_response response =
            perform(f,
                    (struct sl_http_request){.method = "POST",
                                             .url = url(f, "/echo"),
                                             .body = body,
                                             .body_size = large ? size : 1 << 20,
                                             .max_response = size},
                    SL_OK);
        assert_int_equal(response.body.size, large ? size : 1 << 20);
        assert_string_equal(f->seen, large ? "POST - 100-continue -" : "POST - - -");
        sl_http_response_free(&response);
    }
    free(body);
}

static void connections_are_kept(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        struct sl_http_response response =
            perform(f, (struct sl_http_request){.method = "GET", .url = url(f, "/echo")}, SL_OK);
        sl_http_response_free(&response);
    }
    assert_int_equal(web_connections(f->web), 1);
}

/* A time-out takes its time. */
static void what_was_slow_is_not_tried_again(void **state)
{
    static const struct {
        int slow_ms, tries;
    } rows[] = {{0, 4}, {60000, 4}, {25, 1}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_http_response response = {0};
        sl_error error;
        const struct sl_http_request request = {.method = "GET",
                                                .url = url(f, "/park"),
                                                .retry = true,
                                                .timeout_ms = 50,
                                                .slow_ms = rows[i].slow_ms};
        assert_int_equal(sl_http_perform(f->http, &request, &response, &error), SL_TIMED_OUT);
        assert_int_equal(response.tries, rows[i].tries);
        sl_http_response_free(&response);
    }
}

static void a_503_is_tried_again_when_asked(void **state)
{
    struct fixture *f = *state;
    struct sl_http_response response =
        perform(f, (struct sl_http_request){.method = "GET", .url = url(f, "/twice-503")}, SL_OK);
    assert_int_equal(response.status, 503);
    sl_http_response_free(&response);
    set_requests(f, 0);
    response = perform(
        f, (struct sl_http_request){.method = "GET", .url = url(f, "/twice-503"), .retry = true}, SL_OK);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body.data, "now"); /* and nothing of the bodies before */
    assert_int_equal(requests(f), 3);
    sl_http_response_free(&response);
}

static void a_cut_connection_is_tried_again(void **state)
{
    struct fixture *f = *state;
    struct sl_http_response response =
        perform(f, (struct sl_http_request){.method = "POST", .url = url(f, "/cut"), .retry = true}, SL_OK);
    assert_int_equal(response.status, 200);
    sl_http_response_free(&response);
    set_requests(f, 0);
    sl_error error;
    struct sl_http_request once = {.method = "POST", .url = url(f, "/cut-always")};
    assert_int_equal(sl_http_perform(f->http, &once, &response, &error), SL_UNAVAILABLE);
    assert_true(error.retriable);
    assert_false(response.unsent);
    assert_non_null(strstr(error.text, "/cut"));
}

static void a_long_poll_is_never_sent_twice(void **state)
{
    struct fixture *f = *state;
    struct sl_http_response response =
        perform(f, (struct sl_http_request){.method = "GET", .url = url(f, "/echo")}, SL_OK);
    sl_http_response_free(&response); /* its connection is kept */
    set_requests(f, 0);
    perform(f, (struct sl_http_request){.method = "GET", .url = url(f, "/cut"), .parked = true},
            SL_UNAVAILABLE);
    assert_int_equal(requests(f), 1);
}

static void retry_after_in_seconds_is_kept(void **state)
{
    struct fixture *f = *state;
    int64_t begin = sl_mono_ms();
    struct sl_http_response response = perform(
        f, (struct sl_http_request){.method = "GET", .url = url(f, "/after-1"), .retry = true}, SL_OK);
    assert_int_equal(response.status, 200);
    assert_true(sl_mono_ms() - begin >= 1000);
    sl_http_response_free(&response);
}

static void retry_after_as_a_date_is_kept(void **state)
{
    struct fixture *f = *state;
    int64_t begin = sl_mono_ms();
    struct sl_http_response response = perform(
        f, (struct sl_http_request){.method = "GET", .url = url(f, "/after-date"), .retry = true}, SL_OK);
    assert_int_equal(response.status, 200);
    assert_true(sl_mono_ms() - begin >= 900); /* dates have whole seconds */
    sl_http_response_free(&response);
}

static void too_long_a_retry_after_is_handed_on(void **state)
{
    struct fixture *f = *state;
    struct sl_http_response response = perform(
        f, (struct sl_http_request){.method = "GET", .url = url(f, "/after-long"), .retry = true}, SL_OK);
    assert_int_equal(response.status, 503);
    assert_int_equal(response.retry_after_ms, 3600000);
    sl_http_response_free(&response);
    assert_int_equal(requests(f), 1);
}

static void a_deadline_ends_the_tries(void **state)
{
    struct fixture *f = *state;
    struct sl_http_response response = perform(
        f,
        (struct sl_http_request){
            .method = "GET", .url = url(f, "/after-1"), .retry = true, .deadline_ms = sl_mono_ms() + 500},
        SL_OK);
    assert_int_equal(response.status, 429);
    sl_http_response_free(&response);
}

static void an_answer_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct sl_http_response response;
    sl_error error;
    struct sl_http_request request = {
        .method = "POST", .url = url(f, "/echo"), .body = "123456", .body_size = 6, .max_response = 5};
    assert_int_equal(sl_http_perform(f->http, &request, &response, &error), SL_PROTOCOL);
    assert_non_null(strstr(error.text, "longer than the 5 bytes"));
    request.max_response = 6;
    assert_int_equal(sl_http_perform(f->http, &request, &response, &error), SL_OK);
    sl_http_response_free(&response);
}

static void redirects_are_not_followed(void **state)
{
    struct fixture *f = *state;
    struct sl_http_response response =
        perform(f, (struct sl_http_request){.method = "GET", .url = url(f, "/redirect")}, SL_OK);
    assert_int_equal(response.status, 302);
    sl_http_response_free(&response);
}

static void other_protocols_are_refused(void **state)
{
    struct fixture *f = *state;
    perform(f, (struct sl_http_request){.method = "GET", .url = "file:///etc/hostname", .retry = true},
            SL_INVALID_ARGUMENT);
    perform(f, (struct sl_http_request){.method = "GET", .url = "http://"}, SL_INVALID_ARGUMENT);
}

static void headers_cannot_be_smuggled(void **state)
{
    struct fixture *f = *state;
    struct sl_http_header bad[] = {{"X-One", "1\r\nX-Two: 2"}, {"X One", "1"}, {"X-One:", "1"}, {NULL, "1"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        perform(f,
                (struct sl_http_request){
                    .method = "GET", .url = url(f, "/echo"), .headers = &bad[i], .header_count = 1},
                SL_INVALID_ARGUMENT);
    perform(f, (struct sl_http_request){.method = "GET /", .url = url(f, "/echo")}, SL_INVALID_ARGUMENT);
    assert_int_equal(requests(f), 0);
}

static void no_server_is_unavailable_and_unsent(void **state)
{
    struct fixture *f = *state;
    struct sl_http_response response;
    sl_error error;
    struct sl_http_header header = {"Authorization", "Bearer geheim"};
    struct sl_http_request request = {.method = "GET",
                                      .url = "http://user:word@127.0.0.1:1/x",
                                      .headers = &header,
                                      .header_count = 1,
                                      .retry = true};
    assert_int_equal(sl_http_perform(f->http, &request, &response, &error), SL_UNAVAILABLE);
    assert_true(error.retriable);
    assert_true(response.unsent);
    assert_non_null(strstr(error.text, "GET http://127.0.0.1:1/x: "));
    assert_null(strstr(error.text, "word"));
    assert_null(strstr(error.text, "geheim"));
}

/* libcurl's handles are used again, also after a failure. */
static void a_name_that_is_unknown_fails_the_same_each_time(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        struct sl_http_response response;
        sl_error error;
        struct sl_http_request request = {.method = "GET", .url = "http://platform.invalid/x"};
        assert_int_equal(sl_http_perform(f->http, &request, &response, &error), SL_UNAVAILABLE);
        assert_string_equal(error.text,
                            "GET http://platform.invalid/x: Could not resolve host: platform.invalid");
        assert_true(error.retriable);
    }
}

static void a_try_times_out(void **state)
{
    struct fixture *f = *state;
    struct sl_http_response response;
    sl_error error;
    struct sl_http_request request = {.method = "GET", .url = url(f, "/park"), .timeout_ms = 50};
    assert_int_equal(sl_http_perform(f->http, &request, &response, &error), SL_TIMED_OUT);
    assert_true(error.retriable);
    assert_false(response.unsent);
}

static void done_later(void *opaque, struct sl_http_response *response)
{
    struct fixture *f = opaque;
    if (response->status == 200)
        note(f, &f->answered, 1);
    else if (response->error.status == SL_CLOSED)
        note(f, &f->closed, 1);
}

static void connections_to_a_host_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct sl_http_request request = {.method = "GET", .url = url(f, "/park")};
    for (int i = 0; i < 12; i++)
        assert_int_equal(sl_http_begin(f->http, &request, done_later, f, NULL), SL_OK);
    wait_for(f, &f->running, 4);
    unpark(f);
    wait_for(f, &f->answered, 12);
    assert_int_equal(f->most_running, 4);
    assert_true(web_connections(f->web) <= 4);
}

static void long_polls_leave_room_for_others(void **state)
{
    struct fixture *f = *state;
    struct sl_http_request request = {.method = "GET", .url = url(f, "/park"), .parked = true};
    for (int i = 0; i < 8; i++)
        assert_int_equal(sl_http_begin(f->http, &request, done_later, f, NULL), SL_OK);
    wait_for(f, &f->running, 8);
    struct sl_http_response response =
        perform(f, (struct sl_http_request){.method = "GET", .url = url(f, "/echo")}, SL_OK);
    sl_http_response_free(&response);
    unpark(f);
    wait_for(f, &f->answered, 8);
}

static void cancel_ends_only_what_it_names(void **state)
{
    struct fixture *f = *state;
    struct fixture other = *f;
    pthread_mutex_init(&other.lock, NULL);
    pthread_cond_init(&other.changed, NULL);
    struct sl_http_request request = {.method = "GET", .url = url(f, "/park")};
    assert_int_equal(sl_http_begin(f->http, &request, done_later, &other, NULL), SL_OK);
    for (int i = 0; i < 6; i++) /* running, and waiting for their turn */
        assert_int_equal(sl_http_begin(f->http, &request, done_later, f, NULL), SL_OK);
    wait_for(f, &f->running, 4);
    sl_http_cancel(f->http, f);
    wait_for(f, &f->closed, 6);
    assert_int_equal(other.closed, 0);
    unpark(f);
    wait_for(&other, &other.answered, 1);
}

static void a_waiting_retry_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    struct sl_http_request request = {.method = "GET", .url = url(f, "/after-1"), .retry = true};
    assert_int_equal(sl_http_begin(f->http, &request, done_later, f, NULL), SL_OK);
    wait_for(f, &f->requests, 1);
    sl_http_cancel(f->http, f);
    wait_for(f, &f->closed, 1);
}

static void destroy_answers_what_is_under_way(void **state)
{
    struct fixture *f = *state;
    struct sl_http_request request = {.method = "GET", .url = url(f, "/park")};
    for (int i = 0; i < 6; i++)
        assert_int_equal(sl_http_begin(f->http, &request, done_later, f, NULL), SL_OK);
    wait_for(f, &f->running, 1);
    sl_http_destroy(&f->http);
    assert_int_equal(f->closed, 6);
}

struct chain {
    struct fixture *f;
    int left;
};

static void next_link(void *opaque, struct sl_http_response *response)
{
    struct chain *chain = opaque;
    assert_int_equal(response->status, 200);
    struct sl_http_response none;
    struct sl_http_request request = {.method = "GET", .url = url(chain->f, "/echo")};
    assert_int_equal(sl_http_perform(chain->f->http, &request, &none, NULL),
                     SL_INTERNAL); /* would wait for itself */
    if (chain->left-- > 0)
        assert_int_equal(sl_http_begin(chain->f->http, &request, next_link, chain, NULL), SL_OK);
    note(chain->f, &chain->f->answered, 1);
}

static void a_callback_may_begin_requests(void **state)
{
    struct fixture *f = *state;
    struct chain chain = {f, 9};
    struct sl_http_request request = {.method = "GET", .url = url(f, "/echo")};
    assert_int_equal(sl_http_begin(f->http, &request, next_link, &chain, NULL), SL_OK);
    wait_for(f, &f->answered, 10);
}

static void *many(void *opaque)
{
    struct fixture *f = opaque;
    for (int i = 0; i < 50; i++) {
        char body[32];
        int size = snprintf(body, sizeof body, "%d %p", i, (void *)body);
        struct sl_http_request request = {
            .method = "POST", .url = url(f, "/echo"), .body = body, .body_size = (size_t)size};
        struct sl_http_response response;
        if (sl_http_perform(f->http, &request, &response, NULL) == SL_OK && response.status == 200 &&
            response.body.size == (size_t)size && !memcmp(response.body.data, body, (size_t)size))
            note(f, &f->answered, 1);
        sl_http_response_free(&response);
    }
    return NULL;
}

static void many_threads_share_an_engine(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many, f), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(f->answered, 400);
}

static void a_missing_ca_file_is_named(void **state)
{
    (void)state;
    struct sl_http_settings settings = {.tls.ca_file = "/nonexistent/ca.pem"};
    struct sl_http *http;
    sl_error error;
    assert_int_equal(sl_http_create(&settings, NULL, &http, &error), SL_BAD_CONFIG);
    assert_string_equal(error.text, "/nonexistent/ca.pem: No such file or directory");
}

static void a_proxy_gets_the_request(void **state)
{
    struct fixture *f = *state;
    struct sl_http_settings settings = {.timeout_ms = 5000, .proxy.url = web_url(f->web)};
    struct sl_http *http;
    assert_int_equal(sl_http_create(&settings, NULL, &http, NULL), SL_OK);
    struct sl_http_request request = {.method = "GET", .url = "http://platform.invalid/x"};
    struct sl_http_response response;
    assert_int_equal(sl_http_perform(http, &request, &response, NULL), SL_OK);
    assert_int_equal(response.status, 200);
    assert_int_equal(requests(f), 1);
    sl_http_response_free(&response);
    sl_http_destroy(&http);
}

static void errors_speak_with_the_platforms_words(void **state)
{
    struct fixture *f = *state;
    struct sl_http_response response =
        perform(f, (struct sl_http_request){.method = "GET", .url = url(f, "/error")}, SL_OK);
    sl_error error;
    assert_int_equal(sl_http_error(&response, "GET …/error", &error), SL_NOT_FOUND);
    assert_string_equal(error.text, "GET …/error: HTTP 404: Layer not found: no layer x ; Create it [E404]");
    assert_int_equal(error.http_status, 404);
    assert_false(error.retriable);
    sl_http_response_free(&response);
}

static void statuses_map_to_errors(void **state)
{
    (void)state;
    static const struct {
        int http;
        sl_status status;
        bool retriable;
    } rows[] = {
        {400, SL_INVALID_ARGUMENT, false}, {401, SL_UNAUTHENTICATED, false},
        {403, SL_FORBIDDEN, false},        {404, SL_NOT_FOUND, false},
        {408, SL_TIMED_OUT, true},         {409, SL_CONFLICT, false},
        {412, SL_CONFLICT, false},         {413, SL_TOO_LARGE, false},
        {415, SL_INVALID_ARGUMENT, false}, {429, SL_THROTTLED, true},
        {500, SL_UNAVAILABLE, true},       {501, SL_UNSUPPORTED, false},
        {503, SL_UNAVAILABLE, true},       {504, SL_TIMED_OUT, true},
        {302, SL_PROTOCOL, false},         {204, SL_PROTOCOL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_http_response response = {.status = rows[i].http};
        sl_error error;
        assert_int_equal(sl_http_error(&response, "x", &error), rows[i].status);
        assert_int_equal(error.status, rows[i].status);
        assert_int_equal(error.retriable, rows[i].retriable);
    }
}

CASES_MAIN(cmocka_unit_test_setup_teardown(a_request_is_sent_and_answered, start, stop),
           cmocka_unit_test_setup_teardown(a_header_that_is_wanted_is_handed_over, start, stop),
           cmocka_unit_test_setup_teardown(no_body_means_length_0_and_no_type, start, stop),
           cmocka_unit_test_setup_teardown(only_large_bodies_ask_first, start, stop),
           cmocka_unit_test_setup_teardown(connections_are_kept, start, stop),
           cmocka_unit_test_setup_teardown(what_was_slow_is_not_tried_again, start, stop),
           cmocka_unit_test_setup_teardown(a_503_is_tried_again_when_asked, start, stop),
           cmocka_unit_test_setup_teardown(a_cut_connection_is_tried_again, start, stop),
           cmocka_unit_test_setup_teardown(a_long_poll_is_never_sent_twice, start, stop),
           cmocka_unit_test_setup_teardown(retry_after_in_seconds_is_kept, start, stop),
           cmocka_unit_test_setup_teardown(retry_after_as_a_date_is_kept, start, stop),
           cmocka_unit_test_setup_teardown(too_long_a_retry_after_is_handed_on, start, stop),
           cmocka_unit_test_setup_teardown(a_deadline_ends_the_tries, start, stop),
           cmocka_unit_test_setup_teardown(an_answer_is_bounded, start, stop),
           cmocka_unit_test_setup_teardown(redirects_are_not_followed, start, stop),
           cmocka_unit_test_setup_teardown(other_protocols_are_refused, start, stop),
           cmocka_unit_test_setup_teardown(headers_cannot_be_smuggled, start, stop),
           cmocka_unit_test_setup_teardown(no_server_is_unavailable_and_unsent, start, stop),
           cmocka_unit_test_setup_teardown(a_name_that_is_unknown_fails_the_same_each_time, start, stop),
           cmocka_unit_test_setup_teardown(a_try_times_out, start, stop),
           cmocka_unit_test_setup_teardown(connections_to_a_host_are_bounded, start, stop),
           cmocka_unit_test_setup_teardown(long_polls_leave_room_for_others, start, stop),
           cmocka_unit_test_setup_teardown(cancel_ends_only_what_it_names, start, stop),
           cmocka_unit_test_setup_teardown(a_waiting_retry_can_be_cancelled, start, stop),
           cmocka_unit_test_setup_teardown(destroy_answers_what_is_under_way, start, stop),
           cmocka_unit_test_setup_teardown(a_callback_may_begin_requests, start, stop),
           cmocka_unit_test_setup_teardown(many_threads_share_an_engine, start, stop),
           cmocka_unit_test_setup_teardown(a_missing_ca_file_is_named, start, stop),
           cmocka_unit_test_setup_teardown(a_proxy_gets_the_request, start, stop),
           cmocka_unit_test_setup_teardown(errors_speak_with_the_platforms_words, start, stop),
           cmocka_unit_test_setup_teardown(statuses_map_to_errors, start, stop))
