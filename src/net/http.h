/*
 * HTTP as a client, on libcurl's multi interface: one thread an engine, connections kept alive, many requests
 * at once. Knows nothing of the project.
 */
#ifndef SL_NET_HTTP_H
#define SL_NET_HTTP_H

#include "base/buffer.h"
#include "base/log.h"
#include <stdbool.h>
#include <stdint.h>
#include <streamlayer/error.h>

struct sl_http; /* an engine */

/* The environment is never asked: who makes an engine says what there is. */
struct sl_http_proxy {
    const char *url;    /* as libcurl takes it, userinfo percent-encoded: a secret; NULL or "": no proxy */
    const char *shown;  /* without userinfo, for errors; NULL: they do not name it */
    const char *origin; /* who says so ("app.conf:3"), for errors; may be NULL */
};

struct sl_http_tls {
    const char *ca_file;          /* PEM, instead of the system's; NULL: the system's */
    const char *certificate_file; /* PEM, shown to servers that ask for one, never to a proxy; NULL: none */
    const char *key_file;         /* PEM; NULL: it is in certificate_file */
    const char *key_password;     /* NULL: the key is not encrypted */
    bool at_least_1_3;            /* else at least 1.2 */
};

/* What errors call the settings that would mend them. Not copied: literals. NULL: errors name none. */
struct sl_http_names {
    const char *proxy_host, *proxy_credentials, *no_proxy;
    const char *ca_file, *certificate_file, *key_file, *key_password, *min_version;
};

struct sl_http_settings {
    size_t max_connections; /* to one host */
    int connect_timeout_ms;
    int timeout_ms; /* of a whole try, for requests that give none */
    int retries;    /* after the first try */
    int backoff_ms; /* before the first retry; doubles, with jitter, up to backoff_max_ms */
    int backoff_max_ms;
    struct sl_http_proxy proxy;        /* for http:// */
    struct sl_http_proxy secure_proxy; /* for https:// */
    const char *no_proxy;              /* hosts that are reached without: sl_http_is_exempt; NULL: none */
    struct sl_http_tls tls;
    const char *user_agent;
    struct sl_http_names names;
};

struct sl_http_header {
    const char *name;
    const char *value;
};

struct sl_http_request {
    const char *method; /* GET, POST, … */
    const char *url;
    const struct sl_http_header *headers;
    size_t header_count;
    const void *body; /* NULL with size 0: no body */
    size_t body_size;
    size_t max_response; /* bytes of body; more is SL_PROTOCOL. 0: 1 MiB */
    int timeout_ms;      /* of one try; 0: the engine's */
    int64_t deadline_ms; /* sl_mono_ms() after which no further try begins; 0: none */
    int slow_ms;         /* what has taken so long is not tried again: the server waited itself; 0: it is */
    bool retry;          /* connection errors, time-outs, 429 and 5xx are tried again */
    const char *wanted;  /* the name of a header of the answer to hand over; NULL: none */
    const void *owner;   /* sl_http_cancel takes it as it takes the opaque that the request was begun with */
    bool parked; /* a long poll: not counted among max_connections, so that others need not wait for it, and
                  * never sent twice in one try (libcurl does so when a kept connection is found dead) */
};

struct sl_http_response {
    int status; /* 0: no answer; see error */
    struct sl_buffer body;
    char content_type[128];
    char proxy[200];          /* that the request went through, as errors name it; "": none */
    char correlation_id[128]; /* X-Correlation-Id, "" without */
    char warning[600];        /* Warning; "" without, or when it is longer */
    char wanted[512];         /* the header that the request wanted; "" without, or when it is longer */
    int64_t content_length;   /* as the answer states it (HEAD); -1: it does not */
    int retry_after_ms;       /* -1: not given */
    bool unsent;              /* status is 0 and the server cannot have seen the last try */
    size_t sent_bytes;        /* of bodies, of all tries, as far as they got */
    int tries;                /* 0: it was never begun */
    sl_error error; /* when status is 0: SL_UNAVAILABLE, SL_TIMED_OUT, SL_CLOSED, SL_PROTOCOL, … */
};

/* Errors: SL_BAD_CONFIG for files of TLS that cannot serve; SL_OUT_OF_MEMORY, SL_INTERNAL. */
sl_status sl_http_create(const struct sl_http_settings *settings, const struct sl_log *log,
                         struct sl_http **http, sl_error *error);
/* Whether the files of TLS can serve, as sl_http_create asks. Errors: SL_BAD_CONFIG, SL_OUT_OF_MEMORY. */
sl_status sl_tls_check(const struct sl_http_settings *settings, const struct sl_log *log, sl_error *error);
/* Ends what is under way (each is answered with SL_CLOSED), joins the thread. Not from a callback. */
void sl_http_destroy(struct sl_http **http);

/* Performs one request and returns its answer; the caller frees it with sl_http_response_free. Any thread but
 * the engine's. SL_OK whenever there is an HTTP status, whatever it is. */
sl_status sl_http_perform(struct sl_http *http, const struct sl_http_request *request,
                          struct sl_http_response *response, sl_error *error);

/*
 * Begins one request: copies all of it but the body, which is borrowed until done is called. done is called
 * exactly once if SL_OK is returned, on the engine's thread; it must not block; the response is its to look
 * at and freed after it (it may take body's bytes with sl_buffer_take). It may begin further requests.
 */
typedef void (*sl_http_done)(void *opaque, struct sl_http_response *response);
sl_status sl_http_begin(struct sl_http *http, const struct sl_http_request *request, sl_http_done done,
                        void *opaque, sl_error *error);

/* Ends what was begun with this opaque, or has this owner, and is not done: each is answered with SL_CLOSED,
 * on the engine's thread, soon. Any thread. */
void sl_http_cancel(struct sl_http *http, const void *opaque);

void sl_http_response_free(struct sl_http_response *response);

/* "METHOD URL" for people: without userinfo, cut to fit. */
void sl_http_describe(const char *method, const char *url, char *text, size_t size);
#define SL_HTTP_DESCRIPTION 600 /* bytes that are room enough */

/* The proxy that requests to url go through, as errors name it: "http://proxy:3128 (app.conf:3)". false:
 * none.
 */
bool sl_http_proxy_of(const struct sl_http *http, const char *url, char *text, size_t size);
/* Whether list names the host of url: names with all below them (a dot before makes no difference),
 * addresses, networks (10.0.0.0/8), each perhaps with a port, or * for all; separated by commas or blanks. */
bool sl_http_is_exempt(const char *list, const char *url);

/*
 * The error that an answer means: the status by HTTP's code, and a text made of the platform's error body
 * ({"title","cause","action","code",…}) where it has one. what: "GET …/catalogs/x" or the like.
 */
sl_status sl_http_error(const struct sl_http_response *response, const char *what, sl_error *error);
/* What the platform says beside its answer, as in "Warning: 199 - "TEXT"": the size of text, which lies in
 * the response; 0: nothing. */
size_t sl_http_warning(const struct sl_http_response *response, const char **text);

#endif
