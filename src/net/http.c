#include "net/http.h"

#include <curl/curl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "net/engine.h"

enum {
    IDLE_POLL_MS = 60000,
    IDLE_HANDLES = 64,           /* easy handles kept for the next requests */
    RETRY_AFTER_MOST_MS = 60000, /* a server that asks for more has its answer handed on instead */
    DEFAULT_BACKOFF_MS = 100,
    DEFAULT_BACKOFF_MAX_MS = 10000,
    DEFAULT_CONNECTIONS = 16
};

/* Requests to one scheme, host and port: max_connections run, the rest wait in order. */
struct sl_host {
    struct sl_host *next;
    size_t running;
    struct sl_call *first, *last;
    size_t key_size;
    char key[];
};

struct sl_http {
    struct sl_http_options options;
    struct sl_log log;
    CURLM *multi;
    pthread_t thread;
    pthread_mutex_t lock;

    /* Under the lock. */
    struct sl_call *submitted_first, *submitted_last;
    struct sl_call *newest; /* all that are not done */
    bool stopping, cancelling, woken;

    /* The engine thread's own. */
    struct sl_host *hosts;
    struct sl_call *delayed; /* by due_ms */
    CURL *idle[IDLE_HANDLES];
    size_t idle_count;
    uint64_t random;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready = CURLE_FAILED_INIT; /* written once, under curl_once */

static void init_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void wake(struct sl_http *http)
{
    curl_multi_wakeup(http->multi);
}

/* The host that a URL names, made when it is new. NULL: out of memory. */
static struct sl_host *host_of(struct sl_http *http, const char *url)
{
    const char *rest = strstr(url, "://");
    size_t size = rest ? (size_t)(rest + 3 - url) : 0;
    size += strcspn(url + size, "/?#");
    for (struct sl_host *host = http->hosts; host; host = host->next)
        if (host->key_size == size && !memcmp(host->key, url, size))
            return host;
    struct sl_host *host = calloc(1, sizeof *host + size + 1);
    if (!host)
        return NULL;
    memcpy(host->key, url, size);
    host->key_size = size;
    host->next = http->hosts;
    http->hosts = host;
    return host;
}

/* Takes the call off the books, tells who began it, and frees it. */
static void finish(struct sl_http *http, struct sl_call *call)
{
    pthread_mutex_lock(&http->lock);
    if (call->older)
        call->older->newer = call->newer;
    if (call->newer)
        call->newer->older = call->older;
    else
        http->newest = call->older;
    pthread_mutex_unlock(&http->lock);
    call->done(call->opaque, &call->response);
    sl_call_free(call);
}

static void fail(struct sl_http *http, struct sl_call *call, sl_status status, const char *why)
{
    char what[SL_HTTP_DESCRIPTION];
    sl_http_describe(call->method, call->url, what, sizeof what);
    sl_buffer_reset(&call->response.body);
    call->response.status = 0;
    call->response.unsent = false;
    sl_error_set(&call->response.error, status, "%s: %s", what, why);
    finish(http, call);
}

/* Gives the easy handle back, and the place at its host. */
static void detach(struct sl_http *http, struct sl_call *call)
{
    curl_multi_remove_handle(http->multi, call->easy);
    if (http->idle_count < IDLE_HANDLES)
        http->idle[http->idle_count++] = call->easy;
    else
        curl_easy_cleanup(call->easy);
    call->easy = NULL;
    if (call->host)
        call->host->running--;
}

static void start(struct sl_http *http, struct sl_call *call)
{
    CURL *easy = http->idle_count ? http->idle[--http->idle_count] : curl_easy_init();
    if (!easy || !sl_call_prepare(call, easy, &http->options)) {
        curl_easy_cleanup(easy);
        fail(http, call, SL_OUT_OF_MEMORY, "out of memory");
        return;
    }
    call->easy = easy;
    if (curl_multi_add_handle(http->multi, easy) != CURLM_OK) {
        call->easy = NULL;
        curl_easy_cleanup(easy);
        fail(http, call, SL_OUT_OF_MEMORY, "libcurl takes no further request");
        return;
    }
    call->state = SL_CALL_RUNNING;
    call->response.tries = ++call->tries;
    call->begun_ms = sl_mono_ms();
    if (call->host)
        call->host->running++;
}

/* Runs the call, or has it wait for its turn at its host. */
static void admit(struct sl_http *http, struct sl_call *call)
{
    if (call->parked) {
        start(http, call);
        return;
    }
    struct sl_host *host = host_of(http, call->url);
    if (!host) {
        fail(http, call, SL_OUT_OF_MEMORY, "out of memory");
        return;
    }
    call->host = host;
    if (host->running < http->options.set.max_connections && !host->first) {
        start(http, call);
        return;
    }
    call->state = SL_CALL_WAITING;
    call->next = NULL;
    if (host->first)
        host->last->next = call;
    else
        host->first = call;
    host->last = call;
}

static void start_waiting(struct sl_http *http)
{
    for (struct sl_host *host = http->hosts; host; host = host->next)
        while (host->first && host->running < http->options.set.max_connections) {
            struct sl_call *call = host->first;
            host->first = call->next;
            start(http, call);
        }
}

/* Doubles with each try; half of it is chance, so that clients that failed together do not return together.
 */
static int backoff(struct sl_http *http, int tries)
{
    int64_t span = http->options.set.backoff_ms;
    for (int i = 1; i < tries && span < http->options.set.backoff_max_ms; i++)
        span *= 2;
    if (span > http->options.set.backoff_max_ms)
        span = http->options.set.backoff_max_ms;
    http->random ^= http->random << 13;
    http->random ^= http->random >> 7;
    http->random ^= http->random << 17;
    return (int)(span / 2 + (int64_t)(http->random % (uint64_t)(span / 2 + 1)));
}

/* Puts the call aside for another try, if there is to be one. */
static bool delay(struct sl_http *http, struct sl_call *call)
{
    if (!call->retry || call->tries > http->options.set.retries || !sl_call_retriable(call))
        return false;
    if (call->slow_ms && sl_mono_ms() - call->begun_ms >= call->slow_ms)
        return false;
    int wait_ms = backoff(http, call->tries);
    if (call->response.retry_after_ms > wait_ms)
        wait_ms = call->response.retry_after_ms;
    int64_t due_ms = sl_mono_ms() + wait_ms;
    if (call->response.retry_after_ms > RETRY_AFTER_MOST_MS ||
        (call->deadline_ms && due_ms > call->deadline_ms))
        return false;
    char what[SL_HTTP_DESCRIPTION];
    sl_http_describe(call->method, call->url, what, sizeof what);
    SL_DEBUG(&http->log, "%s: try %d failed (%d %s), again in %d ms", what, call->tries,
             call->response.status, call->response.error.text, wait_ms);
    memset(&call->response.error, 0, sizeof call->response.error);
    sl_buffer_reset(&call->response.body);
    call->response.status = 0;
    call->response.retry_after_ms = -1;
    call->response.unsent = false;
    call->due_ms = due_ms;
    call->state = SL_CALL_DELAYED;
    struct sl_call **place = &http->delayed;
    while (*place && (*place)->due_ms <= due_ms)
        place = &(*place)->next;
    call->next = *place;
    *place = call;
    return true;
}

static void start_delayed(struct sl_http *http)
{
    int64_t now = sl_mono_ms();
    while (http->delayed && http->delayed->due_ms <= now) {
        struct sl_call *call = http->delayed;
        http->delayed = call->next;
        admit(http, call);
    }
}

/* Basic can be given with the first request; what else there is needs the proxy's challenge. Once a proxy has
 * asked, and offers Basic alone, no request need be sent for nothing. */
static void learn(struct sl_http *http, const struct sl_call *call)
{
    long offered = 0;
    if (call->proxy && curl_easy_getinfo(call->easy, CURLINFO_PROXYAUTH_AVAIL, &offered) == CURLE_OK &&
        offered)
        *sl_options_only_basic(&http->options, call->proxy) = (unsigned long)offered == CURLAUTH_BASIC;
}

static void collect(struct sl_http *http)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(http->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct sl_call *call = NULL;
        CURLcode code = message->data.result; /* message ends with the removal of its handle */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        sl_call_conclude(call, code);
        learn(http, call);
        detach(http, call);
        if (!delay(http, call))
            finish(http, call);
    }
}

static void unlink_from(struct sl_call **first, const struct sl_call *call)
{
    while (*first && *first != call)
        first = &(*first)->next;
    if (*first)
        *first = call->next;
}

/* Ends a call in whatever state it is (but SUBMITTED). */
static void end(struct sl_http *http, struct sl_call *call, const char *why)
{
    if (call->state == SL_CALL_RUNNING) {
        detach(http, call);
    } else if (call->state == SL_CALL_DELAYED) {
        unlink_from(&http->delayed, call);
    } else {
        struct sl_host *host = call->host;
        unlink_from(&host->first, call);
        host->last = host->first;
        while (host->last && host->last->next)
            host->last = host->last->next;
    }
    fail(http, call, SL_CLOSED, why);
}

static struct sl_call *next_cancelled(struct sl_http *http)
{
    pthread_mutex_lock(&http->lock);
    struct sl_call *call = http->newest;
    /* What was submitted meanwhile is looked at in the next round: it wakes the engine. */
    while (call && (!call->cancelled || call->state == SL_CALL_SUBMITTED))
        call = call->older;
    pthread_mutex_unlock(&http->lock);
    return call;
}

/* Takes in what other threads have asked for; false when the engine is to stop. */
static bool take_orders(struct sl_http *http)
{
    pthread_mutex_lock(&http->lock);
    struct sl_call *submitted = http->submitted_first;
    http->submitted_first = http->submitted_last = NULL;
    bool stopping = http->stopping, cancelling = http->cancelling;
    http->cancelling = http->woken = false;
    for (struct sl_call *call = submitted; call; call = call->next)
        call->state = SL_CALL_WAITING;
    pthread_mutex_unlock(&http->lock);
    while (submitted) {
        struct sl_call *call = submitted;
        submitted = call->next;
        admit(http, call);
    }
    struct sl_call *call;
    while (cancelling && (call = next_cancelled(http)))
        end(http, call, "cancelled");
    return !stopping;
}

static void end_all(struct sl_http *http)
{
    for (;;) {
        take_orders(http);
        pthread_mutex_lock(&http->lock);
        struct sl_call *call = http->newest;
        while (call && call->state == SL_CALL_SUBMITTED)
            call = call->older;
        bool none = !http->newest;
        pthread_mutex_unlock(&http->lock);
        if (none)
            return;
        if (call)
            end(http, call, "the client is being closed");
    }
}

static void *run(void *opaque)
{
    struct sl_http *http = opaque;
    while (take_orders(http)) {
        start_delayed(http);
        start_waiting(http);
        int running;
        curl_multi_perform(http->multi, &running);
        collect(http);
        start_waiting(http);
        int timeout_ms = IDLE_POLL_MS;
        if (http->delayed) {
            int64_t left = http->delayed->due_ms - sl_mono_ms();
            timeout_ms = left <= 0 ? 0 : left < IDLE_POLL_MS ? (int)left : IDLE_POLL_MS;
        }
        curl_multi_poll(http->multi, NULL, 0, timeout_ms, NULL);
    }
    end_all(http);
    return NULL;
}

static void free_engine(struct sl_http *http)
{
    while (http->idle_count)
        curl_easy_cleanup(http->idle[--http->idle_count]);
    if (http->multi)
        curl_multi_cleanup(http->multi);
    while (http->hosts) {
        struct sl_host *host = http->hosts;
        http->hosts = host->next;
        free(host);
    }
    sl_options_free(&http->options);
    pthread_mutex_destroy(&http->lock);
    free(http);
}

static bool set_options(struct sl_http_options *options, const struct sl_http_settings *settings)
{
    if (!sl_options_copy(options, settings))
        return false;
    struct sl_http_settings *set = &options->set;
    if (!set->max_connections)
        set->max_connections = DEFAULT_CONNECTIONS;
    if (set->backoff_ms <= 0)
        set->backoff_ms = DEFAULT_BACKOFF_MS;
    if (set->backoff_max_ms <= 0)
        set->backoff_max_ms = DEFAULT_BACKOFF_MAX_MS;
    return true;
}

sl_status sl_http_create(const struct sl_http_settings *settings, const struct sl_log *log,
                         struct sl_http **http, sl_error *error)
{
    *http = NULL;
    sl_status status = sl_tls_check(settings, log, error);
    if (status)
        return status;
    pthread_once(&curl_once, init_curl);
    if (curl_ready)
        return sl_error_set(error, SL_INTERNAL, "libcurl: %s", curl_easy_strerror(curl_ready));
    struct sl_http *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    pthread_mutex_init(&made->lock, NULL);
    if (log)
        made->log = *log;
    made->random = (uint64_t)sl_wall_ms() * 2654435761u ^ (uint64_t)(uintptr_t)made;
    made->random |= 1;
    made->multi = set_options(&made->options, settings) ? curl_multi_init() : NULL;
    if (!made->multi) {
        free_engine(made);
        return sl_error_oom(error);
    }
    /* The default would close what is idle as soon as few requests run. */
    curl_multi_setopt(made->multi, CURLMOPT_MAXCONNECTS, (long)made->options.set.max_connections * 2 + 64);
    curl_multi_setopt(made->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    if (pthread_create(&made->thread, NULL, run, made)) {
        free_engine(made);
        return sl_error_set(error, SL_INTERNAL, "no thread for HTTP could be started");
    }
    *http = made;
    return SL_OK;
}

void sl_http_destroy(struct sl_http **http)
{
    if (!http || !*http)
        return;
    struct sl_http *gone = *http;
    *http = NULL;
    pthread_mutex_lock(&gone->lock);
    gone->stopping = true;
    pthread_mutex_unlock(&gone->lock);
    wake(gone);
    pthread_join(gone->thread, NULL);
    free_engine(gone);
}

sl_status sl_http_begin(struct sl_http *http, const struct sl_http_request *request, sl_http_done done,
                        void *opaque, sl_error *error)
{
    struct sl_call *call = NULL;
    sl_status status = sl_call_create(request, done, opaque, &call, error);
    if (status)
        return status;
    pthread_mutex_lock(&http->lock);
    if (http->stopping) {
        pthread_mutex_unlock(&http->lock);
        sl_call_free(call);
        return sl_error_set(error, SL_CLOSED, "the client is being closed");
    }
    if (http->submitted_last)
        http->submitted_last->next = call;
    else
        http->submitted_first = call;
    http->submitted_last = call;
    call->older = http->newest;
    if (http->newest)
        http->newest->newer = call;
    http->newest = call;
    bool asleep = !http->woken;
    http->woken = true;
    pthread_mutex_unlock(&http->lock);
    if (asleep)
        wake(http);
    return SL_OK;
}

void sl_http_cancel(struct sl_http *http, const void *opaque)
{
    pthread_mutex_lock(&http->lock);
    for (struct sl_call *call = http->newest; call; call = call->older)
        if (call->opaque == opaque || (opaque && call->owner == opaque))
            call->cancelled = http->cancelling = true;
    bool asleep = http->cancelling && !http->woken;
    http->woken |= asleep;
    pthread_mutex_unlock(&http->lock);
    if (asleep)
        wake(http);
}

bool sl_http_proxy_of(const struct sl_http *http, const char *url, char *text, size_t size)
{
    const struct sl_http_proxy *proxy = sl_options_proxy(&http->options, url, NULL);
    if (proxy)
        sl_proxy_describe(proxy, text, size);
    return proxy;
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool answered;
    struct sl_http_response *response;
};

static void answered(void *opaque, struct sl_http_response *response)
{
    struct waiter *waiter = opaque;
    pthread_mutex_lock(&waiter->lock);
    *waiter->response = *response;
    memset(&response->body, 0, sizeof response->body); /* taken */
    waiter->answered = true;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
}

sl_status sl_http_perform(struct sl_http *http, const struct sl_http_request *request,
                          struct sl_http_response *response, sl_error *error)
{
    memset(response, 0, sizeof *response);
    response->retry_after_ms = -1;
    if (pthread_equal(pthread_self(), http->thread))
        return sl_error_set(error, SL_INTERNAL, "a blocking request on the thread that would answer it");
    struct waiter waiter = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .response = response};
    sl_error local; /* error may be NULL */
    sl_status status = sl_http_begin(http, request, answered, &waiter, &local);
    if (status) {
        if (error)
            *error = local;
        return status;
    }
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.answered)
        pthread_cond_wait(&waiter.changed, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    pthread_cond_destroy(&waiter.changed);
    pthread_mutex_destroy(&waiter.lock);
    if (response->status)
        return SL_OK;
    if (error)
        *error = response->error;
    return response->error.status;
}
