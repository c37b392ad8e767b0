/* Statistics: what producers and consumers have in common. */
#ifndef SL_CLIENT_STATISTICS_H
#define SL_CLIENT_STATISTICS_H

#include "base/buffer.h"
#include <jansson.h>
#include <streamlayer/client.h>

#define SL_STATISTICS_MIN_MS 100

/* Makes the statistics of owner; *json is released with free. */
typedef sl_status (*sl_statistics_source)(const void *owner, char **json, sl_error *error);

/* A thread that tells the application the statistics of owner every interval_ms, the first time after the
 * first interval. */
struct sl_reporter;
sl_status sl_reporter_start(int interval_ms, sl_statistics_source source, const void *owner,
                            sl_statistics_callback callback, void *opaque, struct sl_reporter **reporter,
                            sl_error *error);
/* Returns when a callback under way has returned; none comes after. *reporter may be NULL. */
void sl_reporter_stop(struct sl_reporter **reporter);

/* The object as text, with the connector's own statistics (one JSON object, or empty: none) in it as
 * "connectorStatistics". fields is released in any case, and may be NULL for want of memory. */
sl_status sl_statistics_finish(json_t *fields, const struct sl_buffer *connector, char **json,
                               sl_error *error);

#endif
