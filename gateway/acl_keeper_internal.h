/* What the files of the keeper share: acl_keeper.c runs it, acl_report.c tells of it. */
#ifndef GW_ACL_KEEPER_INTERNAL_H
#define GW_ACL_KEEPER_INTERNAL_H

#include "gateway/acl_keeper.h"
#include "gateway/acl_picture.h"
#include "gateway/quota_keeper.h"

/* One that keeps grants, with a thread of its own: one that is away holds up no other. */
struct gw_acl_cluster {
    struct gw_acl_keeper *keeper;
    struct gw_broker *broker;
    pthread_t thread;
    bool running;
    /* Under the keeper's lock: how many changes a pass that has ended had seen, and what came of it; status
     * SL_OK: all is written. */
    unsigned long long tried;
    sl_error outcome;

    bool busy;               /* under the keeper's lock: somebody compares, and what follows is theirs */
    struct gw_acl_set known; /* ours, as Kafka has them, once it was looked at */
    bool looked, settled;    /* settled: all was written once, so what differs later was changed by others */
    /* The last list that was to be made or removed (one, or none), while brokers have not been seen to go by
     * it: passes wait for them until they were. */
    struct gw_acl_set owed;
    struct gw_quota_keeper quotas;
    /* For /metrics. */
    atomic_bool failing; /* it was said */
    atomic_size_t missing, surplus, beyond,
        denied; /* when Kafka was asked last, less what was put right since */
    atomic_ullong made, removed;
};

struct gw_acl_keeper {
    struct gateway *gateway;
    int64_t interval_ms;
    pthread_mutex_t lock;
    pthread_cond_t changed, settled;
    bool stopping;
    unsigned long long wanted; /* changes that were noted */
    size_t count;
    struct gw_acl_cluster clusters[];
};

/* What should be, and what differs from it. */
struct gw_acl_comparison {
    struct gw_control *control; /* by which Kafka is asked and told */
    struct gw_acl_picture picture;
    struct gw_acl_set missing, surplus, beyond, denied;
    struct gw_quota_difference quotas;
    bool asked; /* Kafka was, for the lists at least */
    sl_error
        quotas_failure; /* status 0: none. What is too much in the lists goes all the same, but for groups */
};

/* Whoever compares does so alone. False: it was not until then. */
bool gw_acl_begin_work(struct gw_acl_cluster *cluster, int64_t until_ms);
void gw_acl_end_work(struct gw_acl_cluster *cluster);
/* For whoever has begun, as what follows. ask: Kafka itself, and not what is known. To be freed when it
 * succeeds. Blocks, until until_ms (sl_mono_ms) at the latest. */
sl_status gw_acl_compare(struct gw_acl_cluster *cluster, bool ask, int64_t until_ms,
                         struct gw_acl_comparison *comparison, sl_error *error);
void gw_acl_comparison_free(struct gw_acl_comparison *comparison);
/* Blocks likewise. */
sl_status gw_acl_put_right(struct gw_acl_cluster *cluster, struct gw_acl_comparison *comparison,
                           int64_t until_ms, sl_error *error);

#endif
