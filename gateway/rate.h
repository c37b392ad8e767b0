/*
 * Requests a second: so many may come, with bursts of two seconds' worth. Each is due one interval after the
 * one before it; what is due further ahead than the burst must wait. Any thread.
 */
#ifndef GW_RATE_H
#define GW_RATE_H

#include <stdatomic.h>
#include <stdint.h>

#include <streamlayer/error.h>

/* Takes one of per_second. due_us: the next one's, by sl_mono_us(); 0 at first. 0: taken; else how many
 * milliseconds later there is one, and none is taken. */
int64_t gw_rate_take(_Atomic int64_t *due_us, int64_t per_second);

/* Rates of many, known by a number each, in memory that is fixed: where more come at once than there is room
 * for, who has asked the least begins anew. */
struct gw_rates;
sl_status gw_rates_create(struct gw_rates **out, sl_error *error);
void gw_rates_destroy(struct gw_rates **rates); /* NULL is allowed */
int64_t gw_rates_take(struct gw_rates *rates, uint64_t who, int64_t per_second);

#endif
