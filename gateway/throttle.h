/*
 * The throughput of a layer, kept by delaying: nothing is dropped for it. What goes in or out pays with its
 * bytes; a second's worth may go at once, and one message always, however large: then the next waits longer.
 * Who has to wait does so in the order of coming within an application, and applications take turns by bytes,
 * so that one with many requests does not keep another's out.
 */
#ifndef GW_THROTTLE_H
#define GW_THROTTLE_H

#include "gateway/http/server.h"

#include <stdatomic.h>
#include <stdint.h>

struct gw_throttler; /* what all layers' throttles share: the clock, and who looks after those that wait */

/* One direction of one layer. All zero: unlimited. Lives as long as anybody waits at it. */
struct gw_throttle {
    atomic_llong rate;       /* bytes a second; 0: unlimited. May be changed at any time */
    atomic_bool always;      /* its rate is kept also where rates are not */
    atomic_llong paid_us;    /* until then all that went is paid for */
    atomic_uint waiting;     /* passes */
    atomic_ullong waited_us; /* by all that had to, together */
    /* The throttler's, under its lock. */
    struct gw_pass *turn; /* the first pass of the application whose turn it is */
    struct gw_throttle *next;
    int64_t queued; /* bytes that wait */
    unsigned accounts;
    bool listed;
};

/* Something that goes through a throttle; its owner's memory. Zero-initialised before each use. */
struct gw_pass {
    struct gw_loop *loop;                  /* where granted is called */
    const char *account;                   /* the application; kept by the owner while it waits */
    int64_t bytes;                         /* what it pays */
    void (*granted)(struct gw_pass *pass); /* it may go, and has paid; it may be freed in there */
    /* The throttler's. */
    struct gw_throttle *throttle;
    struct gw_pass *later;            /* of the same account */
    struct gw_pass *last;             /* the first one's: of the same account */
    struct gw_pass *ring, *ring_back; /* the first one's: the first of other accounts */
    int64_t credit, account_bytes;    /* the first one's */
    int64_t since_us;
    struct gw_task task;
};

/* home: the loop that looks after those that wait; NULL: nobody does, and granted is called by
 * gw_throttler_run (tests). Its clock is clock_us. All rates are kept, and no wait is too long, until
 * gw_throttler_set. Errors: SL_OUT_OF_MEMORY. */
sl_status gw_throttler_create(struct gw_loop *home, int64_t (*clock_us)(void), struct gw_throttler **out,
                              sl_error *error);
/* Nobody waits any more, and the loops have stopped. NULL is allowed. */
void gw_throttler_destroy(struct gw_throttler **throttler);
/* Whether rates are kept, but for those that always are, and the longest that anybody should have to wait
 * (gw_throttle_full). Any thread. */
void gw_throttler_set(struct gw_throttler *throttler, bool kept, int64_t max_wait_us);
/* Whether rates are kept at all. NULL: they are not. Any thread. */
bool gw_throttler_kept(const struct gw_throttler *throttler);
/* A new rate, with which it begins anew: what was owed at the old one is forgiven. Any thread; those that
 * wait hear of it by gw_throttler_changed. */
void gw_throttle_set_rate(struct gw_throttle *throttle, int64_t rate);
void gw_throttler_changed(struct gw_throttler *throttler);
/* From now on all go at once, those that wait too: the gateway is being stopped. Any thread. */
void gw_throttler_stop(struct gw_throttler *throttler);

/* Bytes a second, as it is kept; 0: unlimited, also without a throttler (NULL). Any thread. */
int64_t gw_throttle_rate(const struct gw_throttler *throttler, const struct gw_throttle *throttle);
/* True: it may go now, and has paid; likewise without a throttler (NULL). False: granted follows, unless
 * gw_throttle_leave comes first. Any thread. */
bool gw_throttle_enter(struct gw_throttler *throttler, struct gw_throttle *throttle, struct gw_pass *pass);
/* Whether what comes now, and has waited for so long already, had to wait for longer than anybody should have
 * to: the seconds until there is room again; 0: no. Any thread. */
int gw_throttle_full(struct gw_throttler *throttler, struct gw_throttle *throttle, const char *account,
                     int64_t waited_us);
/* The same of so many bytes that come together: what waits before them and what they are themselves. What
 * need not wait goes, however large. The seconds until they would go in time. */
int gw_throttle_over(struct gw_throttler *throttler, struct gw_throttle *throttle, const char *account,
                     int64_t bytes, int64_t waited_us);
/* The most bytes that may go together: what is gone at once, and what the longest wait is for. INT64_MAX:
 * unlimited. Any thread. */
int64_t gw_throttle_most(const struct gw_throttler *throttler, const struct gw_throttle *throttle);
/* The longest that anybody should have to wait; INT64_MAX: for ever. Any thread. */
int64_t gw_throttler_longest_us(const struct gw_throttler *throttler);
/* Gives up waiting. False: it was granted meanwhile, and granted is called on its loop all the same. Any
 * thread. */
bool gw_throttle_leave(struct gw_throttler *throttler, struct gw_pass *pass);
/* Pays so many bytes more, or gets them back (negative), without waiting. Any thread. */
void gw_throttle_settle(struct gw_throttler *throttler, struct gw_throttle *throttle, int64_t bytes);

/* Lets go who may. The moment at which the next may, INT64_MAX: nobody waits. */
int64_t gw_throttler_run(struct gw_throttler *throttler);

#endif
