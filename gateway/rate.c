#include "gateway/rate.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#define BURST_US 2000000
#define SETS     1024 /* a power of two */
#define WAYS     8

struct gw_rates {
    pthread_mutex_t lock;
    uint64_t seed; /* so that nobody can choose numbers that lie in one set */
    struct rate {
        uint64_t who;
        _Atomic int64_t due_us; /* in the past: free */
    } sets[SETS][WAYS];         /* under lock */
};

int64_t gw_rate_take(_Atomic int64_t *due_us, int64_t per_second)
{
    int64_t now = sl_mono_us(), interval = 1000000 / per_second;
    int64_t due = atomic_load_explicit(due_us, memory_order_relaxed), next;
    do {
        int64_t from = due > now ? due : now;
        if (from - now > BURST_US - interval)
            return (from - now - (BURST_US - interval) + 999) / 1000;
        next = from + interval;
    } while (!atomic_compare_exchange_weak_explicit(due_us, &due, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return 0;
}

sl_status gw_rates_create(struct gw_rates **out, sl_error *error)
{
    struct gw_rates *rates = *out = calloc(1, sizeof *rates);
    if (!rates)
        return sl_error_oom(error);
    if (getrandom(&rates->seed, sizeof rates->seed, 0) < 0)
        rates->seed = (uint64_t)(uintptr_t)rates;
    pthread_mutex_init(&rates->lock, NULL);
    return SL_OK;
}

void gw_rates_destroy(struct gw_rates **rates)
{
    if (!*rates)
        return;
    pthread_mutex_destroy(&(*rates)->lock);
    free(*rates);
    *rates = NULL;
}

static struct rate *rate_of(struct rate set[WAYS], uint64_t who)
{
    struct rate *least = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].who == who)
            return &set[i];
        if (atomic_load(&set[i].due_us) < atomic_load(&least->due_us))
            least = &set[i];
    }
    least->who = who;
    atomic_store(&least->due_us, 0);
    return least;
}

int64_t gw_rates_take(struct gw_rates *rates, uint64_t who, int64_t per_second)
{
    pthread_mutex_lock(&rates->lock);
    struct rate *rate = rate_of(rates->sets[sl_mix(who ^ rates->seed) % SETS], who);
    int64_t wait_ms = gw_rate_take(&rate->due_us, per_second);
    pthread_mutex_unlock(&rates->lock);
    return wait_ms;
}
