/* Inside the engine: http.c has the thread and its queues, transfer.c what is libcurl's of one request. */
#ifndef SL_NET_ENGINE_H
#define SL_NET_ENGINE_H

#include "net/http.h"
#include <curl/curl.h>
#include <pthread.h>

#define SL_HTTP_MAX_RESPONSE 1048576 /* where a request names no bound */

/* What an engine was told, copied. */
struct sl_http_options {
    size_t max_connections;
    int connect_timeout_ms, timeout_ms, retries, backoff_ms, backoff_max_ms;
    char *proxy, *no_proxy, *ca_file, *user_agent;
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
    bool retry, parked;

    CURL *easy; /* while RUNNING */
    char curl_text[CURL_ERROR_SIZE];
    bool too_big;
    int sendings; /* of this try, on one connection or another */
    int tries;
    int64_t due_ms; /* while DELAYED */
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
/* Whether the outcome may be another one the next time. */
bool sl_call_retriable(const struct sl_call *call);

#endif
