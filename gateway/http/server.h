/*
 * HTTP: event loops, routes, requests. Knows nothing of Kafka or of the APIs.
 *
 * One loop a core, each with its own listening socket (SO_REUSEPORT) and its own libmicrohttpd daemon in
 * external-polling mode. A connection, its requests, its timers and watched descriptors belong to one loop
 * and are touched by that loop's thread only. Other threads reach a loop by gw_loop_post, and answer a
 * request with gw_respond*, which post by themselves.
 */
#ifndef GW_HTTP_SERVER_H
#define GW_HTTP_SERVER_H

#include "base/buffer.h"
#include "base/log.h"
#include "gateway/budget.h"
#include "gateway/http/cors.h"
#include "gateway/http/forwarded.h"
#include <jansson.h>
#include <stdint.h>
#include <streamlayer/error.h>

struct gw_access_log;
struct gw_server;
struct gw_loop;
struct gw_request;

/* A handler runs on the request's loop and must not block. It answers now or later; exactly one answer a
 * request. */
typedef void (*gw_handler)(struct gw_request *request);

#define GW_BODY_UNBOUNDED (SIZE_MAX / 2)

enum gw_route_flags {
    GW_ROUTE_PUBLIC = 1,    /* no token needed */
    GW_ROUTE_EXTENSION = 4, /* ours: not served with streamlayer.gateway.extensions = false */
    GW_ROUTE_VITAL = 8,     /* served whatever there is to do: that the gateway lives */
    GW_ROUTE_STREAMED = 2,  /* the body goes to body_data as it arrives instead of being kept */
    GW_ROUTE_LENGTH = 16,   /* a request that has no length, not even 0, is refused: 411 */
    GW_ROUTE_ANY_TYPE =
        32, /* the handler looks at the Content-Type; else a body that is kept is JSON, or 415 */
};

/* {name} in a pattern stands for one path segment, percent-decoded; literal segments match exactly. */
struct gw_route {
    const char *method;  /* "GET"; HEAD is served by GET's handler, OPTIONS by the server */
    const char *pattern; /* "/stream/v2/catalogs/{hrn}/layers/{layer}/subscribe" */
    unsigned flags;
    unsigned access;  /* what it asks of the application; authenticate reads it, the server does not */
    unsigned counted; /* as what the Marketplace counts it; likewise */
    size_t max_body;  /* bytes; more is 413. 0: the server's default; GW_BODY_UNBOUNDED: the handler's */
    /* GW_ROUTE_EXTENSION: the names of the query's parameters, with a blank between; others are refused,
     * since one misspelt would not do what it says. NULL: none. Of the official API's calls unknown ones are
     * passed over, as HERE's do. */
    const char *query;
    gw_handler handle; /* the whole request is there */
    /* GW_ROUTE_STREAMED: begin is called when the headers are in, data for each piece of the body, handle at
     * its end. An answer given in begin or data is sent when the body has ended (libmicrohttpd cannot do so
     * before, except to a client that has not been let send, or says that it has very much to send: the
     * connection ends with it). data returns how many bytes it took; fewer than size pauses the body until
     * gw_request_continue. */
    gw_handler begin;
    size_t (*data)(struct gw_request *request, const char *data, size_t size);
    const char *name;               /* for metrics and the access log: "stream.subscribe" */
    const char *correlation_header; /* how the answer spells it; NULL: X-Correlation-Id, as SDKs have it */
};

enum gw_verdict {
    GW_PASS,
    GW_ANSWERED, /* refused, with gw_respond_error */
    GW_LATER,    /* gw_request_admit or an answer follows, from any thread; until then the request is its */
};

/* Who sends a request, as authenticate found out. */
struct gw_caller {
    const char *application; /* its id; holder's */
    void *holder;
    void (*release)(void *holder); /* called on the loop when the request ends; NULL: nothing to release */
};

/* Says whether the request may pass, by its head and route; on its loop, and must not block. Fills *caller,
 * which the server releases, when it is known, so that the access log names it even where it is refused. */
typedef enum gw_verdict (*gw_authenticate)(void *opaque, struct gw_request *request,
                                           struct gw_caller *caller);

/* The verdict GW_PASS of one that was to come later. Takes what the caller holds. Any thread. */
void gw_request_admit(struct gw_request *request, const struct gw_caller *caller);

enum gw_client_certificates {
    GW_CLIENT_CERTIFICATES_NONE,
    GW_CLIENT_CERTIFICATES_OPTIONAL, /* who shows one must show a good one */
    GW_CLIENT_CERTIFICATES_REQUIRED
};

/* The files are PEM, and read by gw_server_start and gw_server_reload_tls only. A _name is what errors call
 * the file's setting: "gateway.conf:3: streamlayer.gateway.listen.tls.key". */
struct gw_tls_settings {
    const char *certificate, *certificate_name; /* the gateway's own, then the intermediate ones */
    const char *key, *key_name;                 /* NULL: the key is in certificate */
    const char *client_ca, *client_ca_name;     /* NULL: no client certificate can be verified */
    enum gw_client_certificates clients;
    bool at_least_1_3; /* else at least 1.2 */
};

struct gw_bound; /* of gw_server_bind */

struct gw_server_settings {
    struct gw_bound *bound;            /* taken, also on errors; NULL: it binds by itself */
    const struct gw_tls_settings *tls; /* NULL: plain HTTP */
    const struct gw_cors *cors;        /* copied; NULL: no web page may call */
    /* Whose Forwarded and X-Forwarded-* are believed, copied; NULL: nobody's. */
    const struct gw_networks *trusted_proxies;
    const char *address; /* loopback unless told otherwise */
    uint16_t port;       /* 0: any */
    unsigned loops;      /* 0: one a core */
    size_t max_header;
    struct gw_budget *budget; /* bodies and answers in memory count there; a body that does not fit gets 503
                                 with Retry-After; NULL: without bound */
    /* These may be changed while it runs: gw_server_set_limits. */
    _Atomic unsigned max_connections;
    _Atomic unsigned max_requests;                /* in flight; over it 503 */
    _Atomic unsigned max_connections_per_address; /* 0: as many as there may be at all */
    _Atomic size_t max_body;
    _Atomic int header_timeout_ms; /* for a request's head, and for a connection to begin one */
    _Atomic size_t body_rate; /* bytes a second that a body must come with over any header_timeout_ms, and an
                                 answer be taken with over any idle_timeout_ms, or the connection ends */
    _Atomic int idle_timeout_ms;   /* between requests */
    _Atomic int stream_timeout_ms; /* for answers written piece by piece: what is written is taken by the
                                      client's side within it, or the connection ends; 0: as TCP has it */
    const struct gw_route *routes;
    size_t route_count;
    struct gw_access_log *access_log; /* NULL: none is written; outlives the server */
    bool closed; /* all requests get 503 until gw_server_open: for what must be made after the loops */
    gw_authenticate authenticate;
    void *opaque; /* for authenticate and gw_request_opaque */
};

/* Sockets bound to the settings' address and port, for their loops, and the files of their TLS read: what may
 * need rights that the program then gives up. Nothing listens yet. Errors: SL_IO, SL_BAD_CONFIG. */
sl_status gw_server_bind(const struct gw_server_settings *settings, const struct sl_log *log,
                         struct gw_bound **out, sl_error *error);
void gw_bound_free(struct gw_bound **out); /* NULL-safe */

sl_status gw_server_start(const struct gw_server_settings *settings, const struct sl_log *log,
                          struct gw_server **out, sl_error *error);
void gw_server_open(struct gw_server *server);
/* New connections get what the files hold now, and what settings say; those that are open keep what they
 * have. When it returns SL_OK all loops have it; otherwise nothing is changed. Only of a server that was
 * started with TLS, and not from a loop. Errors: those of the files (SL_BAD_CONFIG), SL_OUT_OF_MEMORY. */
sl_status gw_server_reload_tls(struct gw_server *server, const struct gw_tls_settings *settings,
                               sl_error *error);
/* Limits from now on; what is 0 gets a value that serves. Not from two threads at once. */
void gw_server_set_limits(struct gw_server *server, const struct gw_server_settings *settings);
bool gw_server_speaks_tls(const struct gw_server *server);
uint16_t gw_server_port(const struct gw_server *server);
/* No new connections and requests (503 with Connection: close); returns when every request begun is answered
 * and written, or after grace_ms. No handler is called any more then; the loops go on running, tasks may
 * still be posted to them, and requests that were handed to a handler may still be answered. */
void gw_server_drain(struct gw_server *server, int grace_ms);
/* Stops the loops and frees all. Nobody may hold a request then. */
void gw_server_stop(struct gw_server **out);

/* How many loops a server of these settings has. */
unsigned gw_server_loops_of(const struct gw_server_settings *settings);
unsigned gw_server_loops(const struct gw_server *server);
struct gw_loop *gw_server_loop(struct gw_server *server, unsigned index);

/* Runs run on the loop's thread, soon. The task is the caller's memory and is not touched once run is called.
 * Any thread. */
struct gw_task {
    struct gw_task *next;
    void (*run)(struct gw_task *task);
};
void gw_loop_post(struct gw_loop *loop, struct gw_task *task);
bool gw_loop_is_current(const struct gw_loop *loop);

/* An id that nothing else has, made without a system call; not a secret. Loop's thread only. */
#define GW_ID_DIGITS 32 /* hex */
void gw_loop_make_id(struct gw_loop *loop, char out[GW_ID_DIGITS + 1]);

/* A timer of a loop. Loop's thread only. Zero-initialised before first use. */
struct gw_timer {
    int64_t due_ms; /* sl_mono_ms() */
    size_t slot;    /* the loop's: 0 when not set */
    void (*run)(struct gw_timer *timer);
};
sl_status gw_timer_set(struct gw_loop *loop, struct gw_timer *timer, int64_t due_ms);
void gw_timer_cancel(struct gw_loop *loop, struct gw_timer *timer);
static inline bool gw_timer_is_set(const struct gw_timer *timer)
{
    return timer->slot != 0;
}

/* Calls ready when fd is readable (level-triggered). Loop's thread only. */
struct gw_watch {
    int fd;
    void (*ready)(struct gw_watch *watch);
};
sl_status gw_watch_add(struct gw_loop *loop, struct gw_watch *watch, sl_error *error);
void gw_watch_remove(struct gw_loop *loop, struct gw_watch *watch);

/* Reading a request: its loop's thread, until it is answered. Strings are the request's. */
struct gw_loop *gw_request_loop(const struct gw_request *request);
void *gw_request_opaque(const struct gw_request *request);                   /* the settings' */
const char *gw_request_application(const struct gw_request *request);        /* NULL on public routes */
const struct gw_caller *gw_request_caller(const struct gw_request *request); /* empty there */
const struct gw_route *gw_request_route(const struct gw_request *request);
const char *gw_request_method(const struct gw_request *request);
const char *gw_request_path(const struct gw_request *request); /* as sent, without query */
const char *gw_request_parameter(const struct gw_request *request,
                                 const char *name); /* of the pattern; NULL: none */
const char *gw_request_query(const struct gw_request *request, const char *name); /* decoded; NULL: none */
const char *gw_request_header(const struct gw_request *request, const char *name);
/* Calls visit for each header. */
void gw_request_each_header(const struct gw_request *request,
                            bool (*visit)(void *opaque, const char *name, const char *value), void *opaque);
/* Calls visit for each query parameter, decoded, in the order sent; strings are the request's. */
void gw_request_each_query(const struct gw_request *request,
                           bool (*visit)(void *opaque, const char *name, const char *value), void *opaque);
/* The address that it comes from: of its connection, or whom trusted proxies name. "192.0.2.7",
 * "2001:db8::1". */
void gw_request_client_address(const struct gw_request *request, char out[GW_ADDRESS_TEXT]);
/* The same as a number, of all that one host can choose from: gw_address_network. */
uint64_t gw_request_network(const struct gw_request *request);
/* Whether that is this machine. */
bool gw_request_is_local(const struct gw_request *request);
/* Appends how its client reaches the server: "https://gateway.example:8443/prefix", by what trusted proxies
 * say, its connection and its Host. false, and nothing is appended: no host is named, or none that is legal.
 */
bool gw_request_base_url(const struct gw_request *request, struct sl_buffer *url);
/* Whether its connection speaks TLS. */
bool gw_request_is_encrypted(const struct gw_request *request);
/* The subject of the certificate that the client showed ("CN=edge-7,O=Fleet"), where it was verified; NULL:
 * none. */
const char *gw_request_client_subject(const struct gw_request *request);
/* What the client sent to know its calls by, or the request's own id, the answer's X-Request-Id. */
const char *gw_request_correlation_id(const struct gw_request *request);
const struct sl_buffer *gw_request_body(const struct gw_request *request);
/* The most that the body may have, where the route has GW_BODY_UNBOUNDED and the head does not tell. If it is
 * answered before its end, so much is read and dropped so that the answer can be sent. In begin. */
void gw_request_bound_body(struct gw_request *request, int64_t max);
/* It waits for something to tell, a poll for messages: until its answer it is not counted among max_requests.
 * Its loop's thread. */
void gw_request_park(struct gw_request *request);
/* The handler's own. free_data is called when the request ends, on its loop. */
void gw_request_set_data(struct gw_request *request, void *data, void (*free_data)(void *data));
void *gw_request_data(const struct gw_request *request);
/* Goes on with a paused body (GW_ROUTE_STREAMED). Any thread. While its body comes in and is not paused, a
 * request may end at any time on its loop (the client is gone: free_data tells), so other threads must leave
 * it alone then. */
void gw_request_continue(struct gw_request *request);
/* Of one whose body was paused: whether its client has closed its side meanwhile, so that nobody will read
 * the answer. A paused body goes on by itself then, to be asked. Its loop's thread. */
bool gw_request_is_deserted(const struct gw_request *request);

/*
 * Answering: any thread, once. The body's ownership passes to the server: release(release_opaque) is called
 * when it is written or given up (NULL: body is static). After the call the request must not be touched by
 * the caller, except that headers are added before it.
 */
sl_status gw_respond_header(struct gw_request *request, const char *name,
                            const char *value); /* before the answer; same thread */
/* Told on the loop's thread when the answer was handed to the kernel whole (true) or was not (false). Set
 * before the answer. */
void gw_request_on_sent(struct gw_request *request, void (*sent)(void *opaque, bool whole), void *opaque);
void gw_respond(struct gw_request *request, int status, const char *content_type, const void *body,
                size_t size, void (*release)(void *opaque), void *release_opaque);
/*
 * An answer that something must be written down for before its first byte leaves. At most one a request; set
 * on the request's loop before the answer. All calls are made there.
 */
struct gw_hold {
    /* An answer of 2xx has come. True: it goes. False: it waits for gw_request_let_go, or
     * gw_request_hold_back, which may be called from within. */
    bool (*answered)(struct gw_hold *hold);
    /* The last call. received: the client has the whole answer, as far as can be known: it has sent another
     * request on the same connection since, or has closed that in order after it had taken all. Of a
     * connection that ends with the answer: it was handed to the kernel whole. */
    void (*over)(struct gw_hold *hold, bool received);
};
void gw_request_hold(struct gw_request *request, struct gw_hold *hold);
struct gw_hold *gw_request_held(const struct gw_request *request); /* NULL: none */
void gw_request_let_go(struct gw_request *request);
/* An error goes instead of the answer that waits; on_sent hears that this was not written. */
void gw_request_hold_back(struct gw_request *request, int status, const char *code, const char *cause,
                          const char *action, int after_s);
/* Within on_sent's function, of an answer from a file that was not written whole: how much of it the client's
 * side has not taken; of others 0. */
int64_t gw_request_untaken(const struct gw_request *request);
/* size bytes of a file from offset on, sent as the client reads; the descriptor is closed by the server. */
void gw_respond_file(struct gw_request *request, int status, const char *content_type, int fd, int64_t offset,
                     int64_t size);
/* Takes the buffer's bytes. */
void gw_respond_buffer(struct gw_request *request, int status, const char *content_type,
                       struct sl_buffer *body);
/*
 * An answer that is written piece by piece and whose size nobody knows. On the request's loop, within its
 * handler; the request may be used by the caller from then on until on_sent's function is called, which is
 * when the connection broke (false) or the end was written (true), and which must be set. drained is called
 * when the client's side has taken all that was given: the next piece is given then or later, one at a time.
 * A stream that waits for its next piece is not idle.
 */
void gw_respond_stream(struct gw_request *request, const char *content_type, void (*drained)(void *opaque),
                       void *opaque);
/* The next piece, or the first: the buffer's bytes from `from` on. Takes them. The request's loop. */
void gw_stream_write(struct gw_request *request, struct sl_buffer *piece, size_t from);
/* Nothing follows what was given. */
void gw_stream_end(struct gw_request *request);
/* Takes the reference. NULL: out of memory, answers 500. False: that is the answer. */
bool gw_respond_json(struct gw_request *request, int status, json_t *body);
/* {"title","status","code","cause","action","correlationId"}; 401 adds WWW-Authenticate, 429 and 503
 * Retry-After. */
void gw_respond_error(struct gw_request *request, int status, const char *code, const char *cause,
                      const char *action);
/* The same with a number beside them, for clients that look for one. */
void gw_respond_error_with(struct gw_request *request, int status, const char *code, const char *cause,
                           const char *action, const char *name, int number);
/* The same with the Retry-After that is right, in seconds. */
void gw_respond_error_after(struct gw_request *request, int status, const char *code, const char *cause,
                            const char *action, int seconds);
void gw_respond_errorf(struct gw_request *request, int status, const char *code, const char *action,
                       const char *cause_format, ...) SL_PRINTF(5, 6);

/* Whether two media types are the same, whatever their parameters and letters' case. */
bool gw_media_is(const char *given, const char *wanted);

/* Counters, for /metrics: by route and status class. */
bool gw_server_metrics(const struct gw_server *server, struct sl_buffer *text);

#endif
