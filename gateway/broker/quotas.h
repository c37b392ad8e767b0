/*
 * A cluster's client quotas, as Kafka has them: bytes a second that a broker lets a user's client write and
 * read. What says so blocks: for the keeper's threads and workers only.
 */
#ifndef GW_BROKER_QUOTAS_H
#define GW_BROKER_QUOTAS_H

#include "gateway/broker/broker.h"

/* Of one user's clients of one client id, all of them together; client NULL: of all his others together. */
struct gw_quota {
    const char *user;   /* the principal's name, without "User:" */
    const char *client; /* the client id */
    double in, out; /* what he may write (producer_byte_rate), and read (consumer_byte_rate); 0: no bound */
};

/* A client id of others' quotas: each of the user's clients by itself, whatever its id. */
#define GW_QUOTA_EACH_CLIENT "<default>"

/* In an order, each pair of user and client once. The strings are the set's. */
struct gw_quota_set {
    struct gw_quota *list;
    size_t count, capacity;
    bool failed; /* memory was out: something is missing */
};

/* Adds a copy; to be followed by gw_quota_set_finish. Without memory the set has failed. */
void gw_quota_set_add(struct gw_quota_set *set, const struct gw_quota *quota);
/* Puts it in order; of a pair that was added again the first stays. */
void gw_quota_set_finish(struct gw_quota_set *set);
/* Adds a copy to a finished set that has not that pair, and stays finished. Without memory it has failed. */
void gw_quota_set_insert(struct gw_quota_set *set, const struct gw_quota *quota);
/* Takes out those that bound nothing: in and out are 0. */
void gw_quota_set_prune(struct gw_quota_set *set);
void gw_quota_set_free(struct gw_quota_set *set);
/* The one of that user and client; NULL: none. Only in a finished set. */
const struct gw_quota *gw_quota_find(const struct gw_quota_set *set, const char *user, const char *client);
/* What has to be set so that those that one has become other's: other's where they differ, and with in and
 * out 0 what other has not. What gives more in neither direction comes first, so that on the way the sum is
 * no more than it was, or will be; but what takes in one direction and gives in the other comes last, whole.
 * out is not finished: its order counts. */
void gw_quota_set_change(struct gw_quota_set *out, const struct gw_quota_set *one,
                         const struct gw_quota_set *other);

struct gw_control; /* acls.h */

/* All that the cluster has of users. Here and below error is not NULL. Blocks, until until_ms (sl_mono_ms) at
 * the latest. Errors: as gw_broker_acls (gateway/broker/acls.h). */
sl_status gw_broker_quotas(struct gw_control *control, int64_t until_ms, struct gw_quota_set *out,
                           sl_error *error);
/* Sets them in their order. When it fails, some of it may be done. Blocks. Errors: likewise. */
sl_status gw_broker_change_quotas(struct gw_control *control, int64_t until_ms,
                                  const struct gw_quota_set *change, sl_error *error);
/* How many brokers there are, each of which keeps a quota by itself. Blocks. Errors: likewise. */
sl_status gw_broker_size(struct gw_control *control, int64_t until_ms, int *brokers, sl_error *error);
/* Whether the settings ask for quotas there; the part of a layer's throughput that is Direct Kafka's, in
 * percent; and the least quota, in bytes a second, with which any batch that a layer may have is read. */
bool gw_broker_keeps_quotas(const struct gw_broker *broker, int *share, double *least_out);
/* The client id by which Kafka knows a layer's clients: "sl-" and the topic's name. */
#define GW_QUOTA_CLIENT_PREFIX "sl-"
#define GW_QUOTA_CLIENT_MAX    256
void gw_quota_client(const char *topic, char out[GW_QUOTA_CLIENT_MAX]);

#endif
