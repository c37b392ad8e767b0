/*
 * Memory for what is under way: one account for request bodies, answers, messages that wait for Kafka or for
 * their subscriber, and publications. What does not fit is refused (503 with Retry-After) where it comes in;
 * what must be there, an answer to what was taken, is counted without being asked.
 *
 * Some of it lies long, and may have a part only, so that there is always room for what moves. Any thread;
 * all functions but create take NULL for a budget without bound.
 */
#ifndef GW_BUDGET_H
#define GW_BUDGET_H

#include "base/buffer.h"
#include <stddef.h>
#include <streamlayer/error.h>

struct gw_budget;

enum gw_budget_part {
    GW_BUDGET_PUBLICATIONS, /* begun and not submitted: a quarter */
    GW_BUDGET_PREFETCH,     /* read ahead for subscriptions: half */
    GW_BUDGET_RESULTS,      /* of batches whose body is still coming: an eighth */
    GW_BUDGET_PARTS
};

sl_status gw_budget_create(size_t max, struct gw_budget **out, sl_error *error);
void gw_budget_destroy(struct gw_budget **budget);
/* From now on; what is counted above it is refused nothing, and makes no room. */
void gw_budget_set_max(struct gw_budget *budget, size_t max);

/* What is said where it does not fit. */
#define GW_BUDGET_FULL "too many bytes are in flight (streamlayer.gateway.limits.bytes-in-flight)"

/* False: it does not fit, and nothing is counted. */
bool gw_budget_take(struct gw_budget *budget, size_t bytes);
unsigned long long gw_budget_refused(const struct gw_budget *budget); /* so often */
void gw_budget_add(struct gw_budget *budget, size_t bytes);
void gw_budget_give(struct gw_budget *budget, size_t bytes);
size_t gw_budget_max(const struct gw_budget *budget); /* SIZE_MAX: none */
size_t gw_budget_used(const struct gw_budget *budget);
size_t gw_budget_room(const struct gw_budget *budget);

/* Bytes that were taken lie in a part, until they are lifted out of it. False: it has no room for them. */
bool gw_budget_lay(struct gw_budget *budget, enum gw_budget_part part, size_t bytes);
void gw_budget_lift(struct gw_budget *budget, enum gw_budget_part part, size_t bytes);
size_t gw_budget_part_max(const struct gw_budget *budget, enum gw_budget_part part);
size_t gw_budget_part_used(const struct gw_budget *budget, enum gw_budget_part part);

/* The lines for /metrics. */
bool gw_budget_metrics(const struct gw_budget *budget, struct sl_buffer *text);

#endif
