/* Clocks, in milliseconds. */
#ifndef SL_BASE_TIME_H
#define SL_BASE_TIME_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

int64_t sl_wall_ms(void); /* since 1970-01-01 UTC; may jump */
int64_t sl_mono_ms(void); /* since some past moment; never goes back */
int64_t sl_mono_us(void); /* the same in microseconds */

/* Initialises a condition variable for timed waits on the monotonic clock. */
void sl_cond_init(pthread_cond_t *condition);
/* A deadline for pthread_cond_timedwait on a condition variable with CLOCK_MONOTONIC. */
struct timespec sl_mono_deadline(int64_t mono_ms);

/* sl_mono_ms() + timeout_ms, and INT64_MAX for a negative time-out: for ever. */
int64_t sl_deadline_ms(int64_t timeout_ms);
/* What is left until a deadline made by it: 0 when it has passed, at most INT_MAX, -1 for ever. */
int sl_remaining_ms(int64_t deadline_ms);

#endif
