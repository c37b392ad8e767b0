/* A histogram of times: log-linear, so that percentiles are right within some 6 per cent. Not locked. */
#ifndef SL_CLIENT_HISTOGRAM_H
#define SL_CLIENT_HISTOGRAM_H

#include <jansson.h>
#include <stdint.h>

#define SL_HISTOGRAM_BUCKETS 640

struct sl_histogram {
    uint64_t total;
    int64_t most_us;
    uint64_t counts[SL_HISTOGRAM_BUCKETS];
};

/* All 0: empty. */
void sl_histogram_add(struct sl_histogram *histogram, int64_t us);
/* The upper bound of the bucket that a part (0 to 1) of all lies below; 0 when there is none. */
int64_t sl_histogram_part_us(const struct sl_histogram *histogram, double part);
/* {"p50","p95","p99","max"}, in milliseconds; NULL: no memory. */
json_t *sl_histogram_json(const struct sl_histogram *histogram);

#endif
