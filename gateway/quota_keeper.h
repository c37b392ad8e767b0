/*
 * A cluster's client quotas against its layers' throughput: quota_plan.h says what they should be, the
 * thread of acl_keeper.h asks and writes, in a pass with grants. Which applications have asked for a layer's
 * endpoint is remembered by the quotas themselves: at the start it is read from Kafka.
 */
#ifndef GW_QUOTA_KEEPER_H
#define GW_QUOTA_KEEPER_H

#include "gateway/acl_picture.h"
#include "gateway/quota_plan.h"

#include <pthread.h>

struct gw_quota_keeper {
    struct gateway *gateway;
    struct gw_broker *broker;
    int share;            /* 0: the cluster keeps no quotas, and all here does nothing */
    double least_out;     /* of quota_plan.h */
    pthread_mutex_t lock; /* of asked */
    struct gw_quota_set asked;
    /* Of whoever holds the cluster's work (acl_keeper.c): */
    struct gw_quota_set known; /* ours, as Kafka has them, once it was looked at */
    bool looked, ever;         /* ever: once; asked is whole */
    int brokers;
    /* For /metrics. */
    atomic_size_t drift; /* when Kafka was asked last, less what was put right since */
    atomic_ullong set;
};

/* What one pass finds. */
struct gw_quota_difference {
    struct gw_quota_set desired, change;          /* change: in the order of gw_quota_set_change */
    struct gw_quota_set missing, surplus, beyond; /* for people, when Kafka was asked; beyond: others' */
    struct gw_quota_topic *topics;
    size_t topic_count;
};

void gw_quotas_init(struct gw_quota_keeper *quotas, struct gateway *gateway, struct gw_broker *broker);
void gw_quotas_free(struct gw_quota_keeper *quotas);

/* Notes that the user has asked for the endpoint of the topic's layer, to write (in), to read (out). True:
 * somebody has to write it now. Any thread. */
bool gw_quotas_ask(struct gw_quota_keeper *quotas, const char *user, const char *topic, bool in, bool out);

/* Whether it is known what Kafka has; where there are none, too. Of whoever holds the cluster's work. */
bool gw_quotas_known(const struct gw_quota_keeper *quotas);
/* ask: Kafka itself, and not what is known. The picture's principals are whole: gw_acl_sort_out was called
 * where ask is true. control: here and below, of the broker. To be freed whether it succeeds or not. Blocks,
 * until until_ms at the latest. */
sl_status gw_quotas_compare(struct gw_quota_keeper *quotas, struct gw_control *control,
                            const struct gw_acl_picture *picture, bool ask, int64_t until_ms,
                            struct gw_quota_difference *difference, sl_error *error);
void gw_quota_difference_free(struct gw_quota_difference *difference);
/* Takes from HTTP first what Kafka is then told to give. Blocks likewise. */
sl_status gw_quotas_put_right(struct gw_quota_keeper *quotas, struct gw_control *control,
                              const struct gw_acl_picture *picture, struct gw_quota_difference *difference,
                              int64_t until_ms, sl_error *error);
/* Gives HTTP what nobody has any more. */
void gw_quotas_give_back(struct gw_quota_keeper *quotas, const struct gw_acl_picture *picture,
                         const struct gw_quota_difference *difference);

#endif
