/*
 * A connection, from its begin to its end, beside what libmicrohttpd knows of it: what it waits for, and how
 * long it may. libmicrohttpd's own time-out begins anew with every byte, so one that sends a byte now and
 * then would be kept for ever; and it closes no connection from outside, so the socket is shut down, which it
 * sees.
 *
 * A connection belongs to its loop's thread. Waits are only noted: the one timer of a connection is looked at
 * when it is due, and set anew then, so that a request costs no work in the loop's heap.
 */
#ifndef GW_HTTP_CONNECTION_H
#define GW_HTTP_CONNECTION_H

#include "gateway/http/server.h"

#include <microhttpd.h>
#include <stdatomic.h>

/* Whose turn it is, and with what. The names are those of /metrics, see gw_cuts. */
enum gw_wait {
    GW_WAIT_OURS,   /* nothing is expected of the client: the handler works, or a stream has nothing to say */
    GW_WAIT_HEAD,   /* the TLS handshake, and the head of the request */
    GW_WAIT_BODY,   /* of the request */
    GW_WAIT_ANSWER, /* the client takes it */
    GW_WAIT_IDLE,   /* the next request */
    GW_WAITS
};

/* What it is told instead of being served, because there are too many. */
enum gw_surplus {
    GW_SURPLUS_NONE,
    GW_SURPLUS_ALL,     /* max_connections */
    GW_SURPLUS_ADDRESS, /* max_connections_per_address */
};

/* What came and went of a TLS handshake: handshake.c. */
struct gw_handshake {
    bool spoke;                           /* something came */
    bool plain;                           /* and it was no TLS */
    bool greeted;                         /* there are a version and a cipher in common */
    bool showed_certificate, showed_none; /* the client, that was asked for one */
    bool done;
};

struct gw_connection {
    struct gw_loop *loop;
    struct gw_watch watch; /* tells once when the client closes its side, whatever else is going on */
    struct gw_timer timer; /* due at deadline_ms or before */
    int64_t deadline_ms;
    enum gw_wait wait;
    uint64_t moved; /* body: bytes that came since the rate was looked at; answer: see acknowledged */
    enum gw_surplus surplus;
    bool hung_up;              /* the client has closed its side */
    bool end_shown;            /* and libmicrohttpd knows */
    bool in_order;             /* it closed after it had taken all that had come, as far as TCP tells */
    struct gw_hold *unproved;  /* of the last answer: whether it has arrived is not known yet; NULL: none */
    struct gw_request *paused; /* whose body waits */
    struct gw_request *streaming;
    struct gw_address *address;            /* NULL: not counted */
    unsigned char remote[GW_ADDRESS_SIZE]; /* its address */
    bool trusted;                          /* as a proxy, that tells who its clients are */
    struct gw_tls *tls;                    /* linked; NULL: plain HTTP */
    struct gw_handshake handshake;
    char *subject; /* of the client's certificate, once it was asked for */
    bool subject_sought;
};

/* libmicrohttpd's callback at a connection's begin and end. */
void gw_mhd_connection(void *opaque, struct MHD_Connection *mhd, void **context,
                       enum MHD_ConnectionNotificationCode code);
int gw_socket_of(struct MHD_Connection *connection);

/* From now on the connection waits for that. */
void gw_connection_wait(struct gw_connection *connection, enum gw_wait wait);

/* Before the answer: whether the client has closed its side, so that nobody will read. Afterwards that says
 * nothing: one that has read its answer may close at once. ask: where somebody wants to know whether the
 * answer arrives, the socket itself is asked; what the loop was told may be a moment old. */
bool gw_connection_is_deserted(const struct gw_connection *connection, bool ask);
/* The same before all that it has sent is read. */
bool gw_connection_has_left(const struct gw_connection *connection);
/* Bytes that the client's side has acknowledged, all in all; 0: nobody knows. */
uint64_t gw_connection_acknowledged(const struct gw_connection *connection);
/* After the answer: whether the client's side has refused it. */
bool gw_connection_was_reset(const struct gw_connection *connection);
/* Of a client that is gone without a word, its host cut off or without power, nothing else tells for a
 * quarter of an hour: what is written goes to the kernel, which tries and tries. 0: the kernel's own
 * patience. */
void gw_connection_bound_writes(const struct gw_connection *connection, int timeout_ms);

/*
 * How many connections each address has, by gw_address_network. Any thread.
 */
struct gw_addresses;
struct gw_address;
struct sockaddr;
sl_status gw_addresses_create(struct gw_addresses **out, sl_error *error);
void gw_addresses_destroy(struct gw_addresses **out);
/* Counts one more; count: how many there are now. NULL: no address, or no memory; then it is not counted. */
struct gw_address *gw_addresses_enter(struct gw_addresses *addresses, const struct sockaddr *address,
                                      unsigned *count);
void gw_addresses_leave(struct gw_addresses *addresses, struct gw_address *entry); /* NULL: nothing */

#endif
