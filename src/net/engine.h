/* Inside the engine: http.c has the thread and its queues, transfer.c what is libcurl's of one request,
 * failure.c what its failures mean, route.c the proxies, tls.c the files of TLS. */
#ifndef SL_NET_ENGINE_H
#define SL_NET_ENGINE_H

#include "net/http.h"
#include <curl/curl.h>
#include <pthread.h>

#define SL_HTTP_MAX_RESPONSE 1048576 /* where a request names no bound */

/* What an engine was told, copied, and what it has learned. The engine thread's. */
struct sl_http_options {
    struct sl_http_settings set;
    bool only_basic[2]; /* the proxy (1: secure_proxy) asks for a password, and knows no way but Basic */
};

enum sl_call_state { SL_CALL_SUBMITTED, SL_CALL_WAITING, SL_CALL_RUNNING, SL_CALL_DELAYED };

/* One request. Once submitted it is the engine thread's, but for what is said to be under the lock. */
struct sl_call {
    struct sl_call *next;          /* in the queue of its state */
    struct sl_call *older, *newer; /* all that are not done; under the lock */
    bool cancelled;                /* under the lock */
    enum sl_call_state state;
    struct sl_host *host; /* while RUNNING and counted */

    char *method, *url;
    char *wanted;
    const void *owner;
    struct curl_slist *headers;
    bool has_content_type;
    const void *body;
    size_t body_size;
    int timeout_ms;
    int64_t deadline_ms;
    int slow_ms;
    bool retry, parked;

    CURL *easy; /* while RUNNING */
    const struct sl_http_options *options;
    const struct sl_http_proxy *proxy; /* of this try; NULL: none */
    char curl_text[CURL_ERROR_SIZE];
    bool too_big;
    bool from_tinyproxy; /* which answers a wrong password with 401, as the platform would */
    int sendings;        /* of this try, on one connection or another */
    int tries;
    int64_t due_ms;   /* while DELAYED */
    int64_t begun_ms; /* the last try */
    struct sl_http_response response;
    sl_http_done done;
    void *opaque;
};

/* transfer.c */
sl_status sl_call_create(const struct sl_http_request *request, sl_http_done done, void *opaque,
                         struct sl_call **made, sl_error *error);
void sl_call_free(struct sl_call *call);
/* Sets the easy handle up for the call's next try. */
bool sl_call_prepare(struct sl_call *call, CURL *easy, const struct sl_http_options *options);
/* Turns libcurl's result into status or error. */
void sl_call_conclude(struct sl_call *call, CURLcode code);
/* failure.c: the error that libcurl's code means. */
void sl_call_fail(struct sl_call *call, CURLcode code);
/* The same for a 407: the proxy wants another user, or one at all. answer: what it said in the end. */
void sl_call_refused_by_proxy(struct sl_call *call, long answer);
/* "HOST:PORT" of a URL, the port spelled out. */
void sl_url_endpoint(const char *url, char *text, size_t size);
/* Whether the outcome may be another one the next time. */
bool sl_call_retriable(const struct sl_call *call);

/* route.c */
/* A deep copy; released with sl_options_free, also after a failure. */
bool sl_options_copy(struct sl_http_options *options, const struct sl_http_settings *settings);
void sl_options_free(struct sl_http_options *options);
/* The proxy for url; NULL: none. exempt (may be NULL): the one that no_proxy keeps it from. */
const struct sl_http_proxy *sl_options_proxy(const struct sl_http_options *options, const char *url,
                                             const struct sl_http_proxy **exempt);
/* What is known of the proxy, one of options' own. */
bool *sl_options_only_basic(struct sl_http_options *options, const struct sl_http_proxy *proxy);
/* "http://proxy:3128 (app.conf:3)" */
void sl_proxy_describe(const struct sl_http_proxy *proxy, char *text, size_t size);
/* Sets the easy handle's proxy and TLS. */
bool sl_options_apply(const struct sl_http_options *options, const struct sl_http_proxy *proxy, CURL *easy);

#endif
