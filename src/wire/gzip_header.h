/* Whether payloads of layers with contentEncoding gzip are gzip (RFC 1952): what the gateway asks, and the
 * client library, which over Direct Kafka nobody else would do it for. Nothing is inflated: that costs the
 * gateway's loops time, and what a few bytes inflate to has no bound. */
#ifndef SL_WIRE_GZIP_HEADER_H
#define SL_WIRE_GZIP_HEADER_H

#include <stdbool.h>
#include <stddef.h>

/* Why what begins with these bytes cannot be gzip, or NULL. whole: they are all of it; else more follow, and
 * what is not there yet is not missed. start may be NULL where size is 0. Static text, which says how to mend
 * it, too. Any thread. */
const char *sl_gzip_fault(const void *start, size_t size, bool whole);

#define SL_GZIP_ACTION                                                                                       \
    "compress each payload with gzip before it is sent (streamlayer produce --compress does), or use a "     \
    "layer without contentEncoding"

#endif
