/*
 * Producing over HTTP, inside. A message goes to the lane of its partition id; a lane has one request under
 * way at most, and what is sent meanwhile gathers for its next one. So order holds within a partition id,
 * retries included, a lone message goes at once, and batches form under load without a linger.
 *
 * One thread a producer, the sender (lane.c), prepares requests (which may mean to wait for a token), and
 * reports what came of them. The engine's thread only leaves answers in their lane. A request whose answer is
 * lost is sent again with the same records and trace ids, by which the gateway knows what it has written.
 */
#ifndef SL_CONNECTORS_HTTP_PRODUCER_H
#define SL_CONNECTORS_HTTP_PRODUCER_H

#include "connectors/http/internal.h"
#include <stdatomic.h>

struct sl_hc_lane {
    struct sl_hc_producer *producer;
    /* Under the lock. */
    struct sl_hc_batch *front, *back; /* waiting; the last one gathers */
    bool busy;                        /* flying is set, and the sender's */
    bool in_flight;                   /* the engine has its request */
    bool answered;                    /* response is there */
    struct sl_http_response response;
    /* The sender's own. */
    struct sl_hc_batch *flying;
    char *bearer;      /* what the request was signed with */
    bool refused;      /* and the platform did not take it */
    bool signed_anew;  /* after such a refusal */
    unsigned failures; /* in a row */
    int64_t retry_at_ms;
    sl_error last; /* why the last try failed */
};

struct sl_hc_producer {
    struct sl_host host;
    struct sl_client *client;
    bool extended, publishes; /* the platform has our extensions; it offers the publish API */
    char *hrn, *id;           /* the catalog's and the layer's */
    struct sl_layer_facts layer;
    int64_t request_timeout_ms, delivery_timeout_ms;
    size_t max_messages, queue_messages, queue_bytes;
    pthread_t sender;
    atomic_bool cancelled; /* what waits for a token gives up */
    /* The sender's own. */
    struct sl_hc_backoff backoff;
    struct sl_hc_outage outage;
    char *ingest, *publish; /* the layer's addresses in these APIs; publish may be NULL */
    unsigned unreached;     /* tries in a row that found no server */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool poked, closing;
    size_t most_bytes; /* of a batch; falls when the platform finds one too large */
    size_t max_bytes;  /* the same for now: falls when the layer does not take so much, and grows again */
    size_t queued, queued_bytes;
    struct sl_hc_batch *spare;
    size_t spares;
    struct sl_hc_traffic traffic;
    unsigned long long batches, singles;

    size_t lane_count;
    struct sl_hc_lane *lanes;
};

/* producer.c */
void sl_hc_producer_poke(struct sl_hc_producer *producer);                               /* under the lock */
void sl_hc_producer_recycle(struct sl_hc_producer *producer, struct sl_hc_batch *batch); /* under the lock */
/* The layer's addresses, from lookup. */
sl_status sl_hc_producer_look_up(struct sl_hc_producer *producer, int64_t deadline_ms, sl_error *error);

/* lane.c */
void *sl_hc_producer_run(void *opaque); /* the sender's thread */
/* Reports what is left in the lane as failed; the sender has ended. */
void sl_hc_lane_end(struct sl_hc_lane *lane, const sl_error *error);

#endif
