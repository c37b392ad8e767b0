/*
 * An answer that is counted is written down before it goes. Were its loop to encode another large one
 * meanwhile, the first would have left the processor's caches when it is sent, which costs as much as all
 * else that counting does. So behind a large one the loop begins no other for a moment, in which the write is
 * done by most disks; other threads have the core.
 */
#ifndef GW_BROKER_LULL_H
#define GW_BROKER_LULL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW_LULL_BYTES   ((size_t)1 << 20) /* answers of less leave enough of the caches to others */
#define GW_LULL_MS      2                 /* of which up to one may have passed already */
#define GW_LULL_MOST_MS 20                /* no poll waits longer, whoever goes before it */

/* A loop's, and its thread's. Begin with zeros. Times are sl_mono_ms(). */
struct gw_lull {
    const void *by; /* whose answer it is: that one is not kept waiting */
    int64_t until_ms;
};

/* An answer of so many bytes, which is written down first, is ready. */
static inline void gw_lull_begin(struct gw_lull *lull, const void *by, size_t bytes, int64_t now_ms)
{
    if (bytes >= GW_LULL_BYTES)
        *lull = (struct gw_lull){by, now_ms + GW_LULL_MS};
}

static inline void gw_lull_end(struct gw_lull *lull, const void *by)
{
    if (lull->by == by)
        *lull = (struct gw_lull){NULL, 0};
}

/* Whether another answer waits, until lull->until_ms. *since_ms: when it first had to, or 0; its own. */
static inline bool gw_lull_holds(const struct gw_lull *lull, const void *who, int64_t *since_ms,
                                 int64_t now_ms)
{
    if (lull->by == who || now_ms >= lull->until_ms)
        return false;
    if (!*since_ms)
        *since_ms = now_ms;
    return now_ms - *since_ms < GW_LULL_MOST_MS;
}

#endif
