#include "client/histogram.h"

enum {
    STEPS_BITS = 4,
    STEPS = 1 << STEPS_BITS /* buckets a doubling */
};

static unsigned bucket_of(uint64_t us)
{
    if (us < STEPS)
        return (unsigned)us;
    unsigned top = 63 - (unsigned)__builtin_clzll(us);
    unsigned step = (unsigned)(us >> (top - STEPS_BITS)) & (STEPS - 1);
    unsigned bucket = (top - STEPS_BITS + 1) * STEPS + step;
    return bucket < SL_HISTOGRAM_BUCKETS ? bucket : SL_HISTOGRAM_BUCKETS - 1;
}

/* The largest time of a bucket. */
static int64_t upper_bound(unsigned bucket)
{
    if (bucket < STEPS)
        return bucket;
    unsigned shift = bucket / STEPS - 1;
    return (int64_t)(((uint64_t)(STEPS + bucket % STEPS + 1) << shift) - 1);
}

void sl_histogram_add(struct sl_histogram *histogram, int64_t us)
{
    if (us < 0)
        us = 0;
    histogram->counts[bucket_of((uint64_t)us)]++;
    histogram->total++;
    if (us > histogram->most_us)
        histogram->most_us = us;
}

int64_t sl_histogram_part_us(const struct sl_histogram *histogram, double part)
{
    double wanted = part * (double)histogram->total;
    uint64_t seen = 0;
    for (unsigned i = 0; i < SL_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen && (double)seen >= wanted) {
            int64_t bound = upper_bound(i);
            return bound < histogram->most_us ? bound : histogram->most_us;
        }
    }
    return histogram->most_us;
}

json_t *sl_histogram_json(const struct sl_histogram *histogram)
{
    return json_pack("{s:f, s:f, s:f, s:f}", "p50", (double)sl_histogram_part_us(histogram, 0.5) / 1e3, "p95",
                     (double)sl_histogram_part_us(histogram, 0.95) / 1e3, "p99",
                     (double)sl_histogram_part_us(histogram, 0.99) / 1e3, "max",
                     (double)histogram->most_us / 1e3);
}
