/*
 * How a layer's throughput is divided, so that Kafka's client quotas and the gateway's throttle together
 * never let through more of it than it has (docs/security.md says it to people).
 *
 * Kafka counts by user and client id, never by topic, and each broker by itself. So each layer has a client
 * id of its own, and of a layer's throughput, in either direction,
 *   - share percent, divided by the number of brokers, are Direct Kafka's. Nine tenths of it are divided
 *     evenly among the applications that asked for its endpoint: (application, the layer's client id).
 *   - The last tenth is for who has the right and comes with another client id, whatever it is: each of those
 *     who have the right an equal part. As Kafka does not see the layer then, an application has the least of
 *     its parts of all its layers: (application).
 *   - HTTP has what is left by all who are there.
 * The sum on a layer is thus bounded whatever clients do. What an application would have of less than 1 byte
 * a second is 1 byte.
 *
 * But Kafka (4.1.1) never hands out a batch of more than a quota's whole window: that consumer stands still,
 * and no error tells why. So who reads with the layer's own client id has least_out at least, for which HTTP
 * leaves up to nine tenths; where that is not enough, the layer gives more than it has.
 */
#ifndef GW_QUOTA_PLAN_H
#define GW_QUOTA_PLAN_H

#include "gateway/broker/acls.h"
#include "gateway/broker/quotas.h"

/* A layer's topic. */
struct gw_quota_topic {
    const char *name;
    int64_t in, out;       /* bytes a second, of the layer */
    int http_in, http_out; /* result: HTTP's part, in thousandths */
};

struct gw_quota_terms {
    int share, brokers; /* percent; from 1 */
    double least_out;   /* bytes a second, on each broker */
};

/* rights: who may read and write what; lists of anything but topics are passed over, and so are topics that
 * are not among topics, which are in the order of names. asked: with in and out not 0 where that user has
 * asked for the endpoint of that client id's layer in that direction. brokers: from 1. Adds to out, and
 * finishes it. */
void gw_quota_plan(const struct gw_acl_set *rights, struct gw_quota_topic *topics, size_t topic_count,
                   const struct gw_quota_set *asked, const struct gw_quota_terms *terms,
                   struct gw_quota_set *out);

#endif
