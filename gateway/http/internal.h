/* What the files of gateway/http share. */
#ifndef GW_HTTP_INTERNAL_H
#define GW_HTTP_INTERNAL_H

#include "gateway/http/connection.h"
#include "gateway/http/router.h"
#include "gateway/http/server.h"
#include "gateway/http/tls.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#define GW_EVENTS          64
#define GW_CORRELATION_MAX 128
#define GW_PATH_INLINE     400 /* bytes of path that need no memory of their own */
#define GW_POOL_MAX        512 /* ended requests kept for reuse, a loop */
#define GW_STATUS_CLASSES  5   /* 1xx to 5xx */

/* What took longer than all of gw_latency_bounds_us counts in the last one. */
#define GW_LATENCY_BOUNDS 14
extern const int gw_latency_bounds_us[GW_LATENCY_BOUNDS];

struct gw_route_counters {
    atomic_ullong requests[GW_STATUS_CLASSES];
    atomic_ullong latency[GW_LATENCY_BOUNDS + 1]; /* of those that were answered */
    atomic_ullong latency_us;
    atomic_ullong bytes_in, bytes_out; /* of bodies */
};

struct gw_loop {
    struct gw_server *server;
    pthread_t thread;
    bool started;
    int epoll_fd, wake_fd, listen_fd;
    struct MHD_Daemon *daemon;
    struct gw_watch mhd_watch, wake_watch;
    _Atomic(struct gw_task *) mailbox; /* newest first; pushed by any thread, taken whole by the loop */
    atomic_bool stopping;

    /* The loop thread's own from here on. */
    struct gw_tls *tls;   /* what new connections begin with; NULL: plain HTTP */
    bool handles_no_more; /* drained: no handler is called */
    bool run_mhd;         /* libmicrohttpd has something to do */
    int64_t now_ms;       /* sl_mono_ms() of this turn */
    struct gw_timer **heap;
    size_t timers, heap_capacity;
    struct epoll_event events[GW_EVENTS];
    int event_count;
    struct gw_request *requests; /* begun and not ended */
    struct gw_request *pool;
    size_t pool_size;
    uint64_t id_prefix, id_next;        /* for ids */
    struct gw_route_counters *counters; /* one a route, and one for what matched none */
};

/* Why a TLS handshake came to nothing. */
enum gw_handshake_fault {
    GW_HANDSHAKE_PLAIN_HTTP,
    GW_HANDSHAKE_NOTHING_IN_COMMON, /* no version, no cipher */
    GW_HANDSHAKE_NO_CERTIFICATE,    /* of the client's, though one is required */
    GW_HANDSHAKE_BAD_CERTIFICATE,
    GW_HANDSHAKE_CLIENT_LEFT, /* as it does who does not trust ours */
    GW_HANDSHAKE_FAULTS
};

#define GW_LIMITS 12 /* that refusals are counted for, see limits.c */

struct gw_server {
    struct gw_server_settings settings;
    struct sl_log log;
    struct gw_router *router;
    struct gw_loop *loops;
    unsigned loop_count;
    uint16_t port;
    struct gw_addresses *addresses;
    atomic_uint connections, streams;
    atomic_uint parked;           /* requests in flight that wait for something to tell */
    atomic_ullong cuts[GW_WAITS]; /* connections that kept the server waiting too long, by what for */
    atomic_ullong surplus;        /* closed without a word */
    atomic_ullong handshakes_failed[GW_HANDSHAKE_FAULTS];
    atomic_ullong limits_reached[GW_LIMITS];
    atomic_llong handshakes_told_ms[GW_HANDSHAKE_FAULTS]; /* when one was logged last; 0: never */
    atomic_bool open, draining;
    struct gw_cors cors;
    struct gw_networks trusted_proxies;
    atomic_llong tls_not_after; /* of the certificate, seconds since 1970; 0: plain HTTP */
    struct gw_tls *tls; /* for the loops to take; changed while none of them does, by one thread at a time */
    pthread_mutex_t lock;
    pthread_cond_t idle; /* in_flight came to nothing while draining */
    atomic_uint in_flight;
};

/* An answer that is written piece by piece. */
struct gw_stream {
    bool open;   /* the answer is one */
    bool ended;  /* nothing follows */
    bool failed; /* to be broken off */
    bool waits;  /* the connection is suspended until there is a piece */
    char *piece;
    size_t at, size;
    void (*drained)(void *opaque);
    void *opaque;
};

struct gw_request {
    struct gw_loop *loop;
    struct MHD_Connection *connection;
    struct gw_connection *peer;
    struct gw_request *next, *previous; /* in the loop's list, or its pool */
    const struct gw_compiled_route *route;
    const char *method;
    unsigned char client[GW_ADDRESS_SIZE]; /* its address, as far as trusted proxies tell */
    const char *expect;                    /* the header Expect; NULL: none */
    const char *cors;                      /* for Access-Control-Allow-Origin; NULL: none */
    char *path;                            /* raw, without query */
    char *split;                           /* the segments' text */
    const char *segments[GW_SEGMENTS_MAX];
    struct gw_caller caller;
    struct sl_buffer body;
    size_t bytes;       /* counted in the server's budget */
    uint64_t discarded; /* bytes of the body that came after the answer was given */
    uint64_t allowed;   /* of the body, when it was let in */
    size_t max_body;    /* as it was when the request began */
    void *data;
    void (*free_data)(void *data);

    /* The loop thread's view of where it is. */
    bool begun, handled, suspended, paused, answered, gone;
    bool undecided; /* authenticate's verdict is to come; until then another thread may hold the request */
    bool repeated;  /* the call that libmicrohttpd made for the headers is made again, after that verdict */
    bool query, parked;
    bool blank;    /* in the URL */
    bool varies;   /* what it answers depends on the Origin */
    bool deserted; /* its client was gone before the answer */

    /* The answer; written by the one thread that won answer_given. The loop takes it over when it arrives. */
    atomic_bool answer_given;
    struct gw_given {
        int status;
        size_t in_memory;
        uint64_t in_file;
        bool file;
    } given;
    int status;
    struct MHD_Response *response;
    struct sl_buffer headers; /* NAME NUL VALUE NUL… */
    size_t answer_size;
    uint64_t answer_bytes; /* of its body: what was given to be written */
    uint64_t acknowledged; /* by the connection before an answer from a file */
    bool file, broken;     /* the answer is one; it was not written whole */
    uint64_t body_bytes;   /* of the request's that came */
    int64_t begun_us;
    char *query_text; /* for the access log; NULL: none */
    const char *version;
    void (*sent)(void *opaque, bool whole);
    void *sent_opaque;
    struct gw_hold *hold; /* NULL: none, or it is over for the request */
    bool waits_hold;      /* the answer is there, and may not go yet */
    bool held_back;       /* an error went instead of it */
    struct gw_stream stream;

    /* Messages under way to the loop: the request's memory stays while there are any. */
    atomic_uint posts;
    struct gw_task answer_task, continue_task, admit_task;
    atomic_bool continue_posted;
    struct gw_caller admitted; /* admit_task's */

    char id[GW_ID_DIGITS + 1];
    char correlation[GW_CORRELATION_MAX + 1];
    char text[2 * GW_PATH_INLINE];
};

/* bind.c */
struct gw_bound {
    uint16_t port;
    struct gw_tls *tls; /* NULL: plain HTTP */
    unsigned count;     /* a socket a loop */
    int fds[];          /* -1: handed on */
};
/* Has the sockets listen, and hands them and TLS to the server and its loops. */
sl_status gw_bound_listen(struct gw_bound *bound, struct gw_server *server, sl_error *error);

/* loop.c */
sl_status gw_loop_init(struct gw_server *server, struct gw_loop *loop, sl_error *error);
void gw_loop_free(struct gw_loop *loop);
void *gw_loop_main(void *opaque);
void gw_loop_wake(struct gw_loop *loop);

void gw_request_unpark(struct gw_request *request);

/* request.c: libmicrohttpd's callbacks */
void *gw_mhd_uri(void *opaque, const char *uri, struct MHD_Connection *connection);
enum MHD_Result gw_mhd_request(void *opaque, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *data, size_t *size,
                               void **context);
void gw_mhd_completed(void *opaque, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode why);
void gw_requests_abandon(struct gw_loop *loop); /* so that the daemon may be stopped */
void gw_requests_free(struct gw_loop *loop);
void gw_request_release(struct gw_request *request); /* when its last post has run */

/* framing.c: whether the head says in one way only where the request ends, or answers; then the connection
 * ends with the answer. version: of HTTP, as sent. */
bool gw_framing_is_clear(struct gw_request *request, const char *version);

/* peer.c: who is at the other end. begin: before the first byte is read; false: it cannot be served, and
 * libmicrohttpd refuses the handshake. end: after the last. */
bool gw_peer_begin(struct gw_connection *connection, struct gw_loop *loop, struct MHD_Connection *mhd);
void gw_peer_end(struct gw_connection *connection);

/* handshake.c: follows the handshake of a connection; when it has ended, says that it failed. */
void gw_handshake_begin(struct gw_connection *connection, gnutls_session_t session);
void gw_handshake_end(const struct gw_connection *connection);

/* Finds out whose the request is, or answers: what a trusted proxy says of that contradicts itself. */
bool gw_peer_is_clear(struct gw_request *request);

/* rules.c: false: answered. length: of the header Content-Length; NULL: none. */
bool gw_expectation_is_known(struct gw_request *request);
bool gw_body_is_fit(struct gw_request *request, const char *length);
/* Whether the query's parameters are the route's, or answers. */
bool gw_query_is_known(struct gw_request *request);
/* What a browser is told: whether at all; in each answer; and when it asks beforehand. methods: as Allow's.
 */
void gw_cors_judge(struct gw_request *request);
bool gw_cors_add(const struct gw_request *request, struct MHD_Response *response);
void gw_cors_preflight(struct gw_request *request, const char *methods);

/* hold.c: whether the answer may go now; of a request that has ended, who holds it is told. */
bool gw_hold_lets_go(struct gw_request *request);
void gw_hold_request_ended(struct gw_request *request, bool whole);
/* A connection: its next request has come, or it ends. */
void gw_hold_proved(struct gw_connection *connection, bool received);

/* ended.c: counts a request and notes it in the access log, while libmicrohttpd still has its headers */
void gw_request_note_end(struct gw_request *request, bool whole);

/* limits.c: refusals because a limit is reached; by the error that they are, but for those that share one. */
void gw_limit_note_requests(struct gw_server *server);
void gw_limit_note_error(struct gw_server *server, int status, const char *code);
void gw_limit_metrics(const struct gw_server *server, struct sl_buffer *text);

/* stream.c */
void gw_stream_hung_up(struct gw_request *request);
void gw_stream_free(struct gw_request *request);
void gw_streams_cut(struct gw_loop *loop); /* breaks those off that are still open */

/* respond.c */
/* The answer that was given, to the request's loop. in_memory: bytes of it that are in memory. */
void gw_give_answer(struct gw_request *request, int status, const char *content_type,
                    struct MHD_Response *response, size_t in_memory);
void gw_answer_arrived(struct gw_request *request); /* loop's thread */

#endif
