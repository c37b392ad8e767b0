/*
 * Marketplace subscriptions: which application may read a catalog that is on the Marketplace, from when until
 * when, how fast, and how much. They have nothing to do with the subscriptions of stream v2
 * (broker/subscriptions.h), which are Kafka consumers that clients hold.
 *
 * They lie in the data directory's SQLite file, and all of them in memory too. One is immutable and counted
 * by references; a change makes a new one. Finding is safe from any thread and does not block on disk; what
 * changes or shows them blocks: on a worker only.
 */
#ifndef GW_STORE_MARKET_H
#define GW_STORE_MARKET_H

#include "gateway/throttle.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdint.h>
#include <streamlayer/error.h>

struct gw_market;

#define GW_MARKET_KBPS_MIN 1
#define GW_MARKET_KBPS_MAX 2000 /* KBps out, as of a layer on the Marketplace */

/* What a volume is counted in; in UTC. */
enum gw_period { GW_PERIOD_ALL, GW_PERIOD_MONTH, GW_PERIOD_DAY, GW_PERIOD_COUNT };
extern const char *const gw_period_names[GW_PERIOD_COUNT]; /* "all", "month", "day" */

struct gw_market_terms {
    int64_t from_ms, until_ms; /* wall clock; until is not in it any more; INT64_MAX: no end */
    int64_t volume;            /* bytes of a period; 0: without bound */
    int out_kbps;
    enum gw_period period;
};

/* What a subscription and those that take its place have in common: the throughput that is kept. */
struct gw_market_flow {
    atomic_int references;
    struct gw_throttle out;
};
struct gw_market_flow *gw_market_flow_link(struct gw_market_flow *flow);
void gw_market_flow_unlink(struct gw_market_flow *flow); /* NULL is allowed */

struct gw_market_subscription {
    atomic_int references;
    const char *application, *hrn;
    struct gw_market_terms terms;
    struct gw_market_flow *flow;
};
void gw_market_unlink(struct gw_market_subscription *subscription); /* NULL is allowed */

/* Where a moment lies to a subscription. */
enum gw_standing { GW_STANDING_NONE, GW_STANDING_EARLY, GW_STANDING_CURRENT, GW_STANDING_ENDED };
/* subscription NULL: GW_STANDING_NONE. */
enum gw_standing gw_market_standing(const struct gw_market_subscription *subscription, int64_t now_ms);

/* Blocks. Errors: SL_IO, SL_OUT_OF_MEMORY, as of all that block. */
sl_status gw_market_open(const char *data_directory, struct gw_market **out, sl_error *error);
void gw_market_close(struct gw_market **out);
/* Reads the file anew: catalogs and applications go with their subscriptions. */
sl_status gw_market_refresh(struct gw_market *market, sl_error *error);

/* The application's on that catalog, linked; NULL: it has none. */
struct gw_market_subscription *gw_market_find(struct gw_market *market, const char *application,
                                              const char *hrn);

/* Gives an application (by its id or name) a subscription, in the place of the one that it has there. by: the
 * application that does it. Errors: SL_NOT_FOUND (no such application), SL_UNSUPPORTED (no such catalog),
 * SL_CONFLICT (it is not on the Marketplace). */
sl_status gw_market_set(struct gw_market *market, const char *application, const char *hrn,
                        const struct gw_market_terms *terms, const char *by, sl_error *error);
/* Takes it. Errors: SL_NOT_FOUND (no such application), SL_UNSUPPORTED (it has none there). */
sl_status gw_market_remove(struct gw_market *market, const char *application, const char *hrn,
                           sl_error *error);
/* Those on a catalog (hrn NULL: on all) of an application (by id or name; NULL: of all), in the order of
 * HRNs and names: an array of {"application","name","hrn","from","until",…}. Errors: SL_NOT_FOUND (no such
 * application). */
sl_status gw_market_json(struct gw_market *market, const char *application, const char *hrn, json_t **items,
                         sl_error *error);

#endif
