/*
 * An answer that is counted is written down before it goes. Were its loop to encode another one meanwhile, a
 * large one would have left the processor's caches when it is sent, which costs as much as all else that
 * counting does. So behind a large one the loop begins no other that is counted until that has gone, but for
 * a moment only, in which most disks have written it; other threads have the core.
 */
#ifndef GW_BROKER_LULL_H
#define GW_BROKER_LULL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW_LULL_BYTES   ((size_t)1 << 20) /* answers of less leave enough of the caches to others */
#define GW_LULL_MS      2                 /* of which up to one may have passed already */
#define GW_LULL_MOST_MS 20                /* for one answer, behind however many: then it is begun */

/* A loop's, and its thread's. Begin with zeros. Times are sl_mono_ms(). */
struct gw_lull {
    const void *by; /* whose answer it is */
    int64_t until_ms;
    /* Of those who wait, the one who does so since the earliest: he is given some time to go first. */
    const void *first;
    int64_t first_since_ms;
};

/* An answer of so many bytes, which is written down first, is ready. */
static inline void gw_lull_begin(struct gw_lull *lull, const void *by, size_t bytes, int64_t now_ms)
{
    if (bytes < GW_LULL_BYTES)
        return;
    lull->by = by;
    lull->until_ms = now_ms + GW_LULL_MS;
}

/* His answer has gone. */
static inline void gw_lull_end(struct gw_lull *lull, const void *by, int64_t now_ms)
{
    if (lull->by == by && lull->until_ms > now_ms)
        lull->until_ms = now_ms;
}

/* Whether who may not begin an answer yet: not before *until_ms. *since_ms: when he first had to wait for
 * that answer, or 0; his own. */
static inline bool gw_lull_holds(struct gw_lull *lull, const void *who, int64_t *since_ms, int64_t now_ms,
                                 int64_t *until_ms)
{
    bool behind = lull->first && lull->first != who;
    *until_ms = lull->until_ms + (behind ? GW_LULL_MS : 0);
    bool holds = now_ms < *until_ms && (behind || lull->by != who);
    if (holds && !*since_ms)
        *since_ms = now_ms;
    if (holds && now_ms - *since_ms < GW_LULL_MOST_MS) {
        if (!lull->first || *since_ms < lull->first_since_ms) {
            lull->first = who;
            lull->first_since_ms = *since_ms;
        }
        return true;
    }
    if (!holds) /* he is the first, or there is none, or that one did not come */
        lull->first = NULL;
    *since_ms = 0;
    return false;
}

#endif
