/*
 * Whether Kafka is away. Nobody asks while all is well: who hears that it cannot be reached says so, and from
 * then on it is asked once a second until it answers.
 */
#ifndef GW_BROKER_OUTAGE_H
#define GW_BROKER_OUTAGE_H

#include "gateway/broker/broker.h"
#include "gateway/worker.h"

struct gw_outage;

/* loop: runs its timer; borrowed, as the others. */
sl_status gw_outage_create(struct gw_broker *broker, struct gw_workers *workers, struct gw_loop *loop,
                           struct gw_outage **out, sl_error *error);
void gw_outage_destroy(struct gw_outage **outage); /* the loop and the workers have stopped */

/* There is reason to doubt that Kafka answers. Any thread; costs little when it is said again. */
void gw_outage_suspect(struct gw_outage *outage);

/* For how long Kafka has not answered, in milliseconds; 0: it does, or nobody doubts it. Any thread. */
int64_t gw_outage_ms(const struct gw_outage *outage);

#endif
