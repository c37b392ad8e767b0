/*
 * Consumer groups, as Kafka has them, looked at for one layer. Everything here blocks, where Kafka is
 * silent or says "later" until until_ms (sl_mono_ms), and 10 s at most: for workers only. SL_QUEUE_FULL:
 * GW_GROUP_CALLS_MAX calls about groups are under way.
 */
#ifndef GW_BROKER_GROUPS_H
#define GW_BROKER_GROUPS_H

#include "gateway/broker/subscriptions.h"

#define GW_GROUP_CALLS_MAX 8    /* each has connections to Kafka of its own */
#define GW_GROUPS_MAX      5000 /* of one application's, that are looked through for a layer's */

struct gw_group_member {
    char *id, *client_id, *host;
    size_t count;
    int32_t partitions[GW_PARTITIONS_MAX]; /* of the layer, ascending; none: it reads others, or waits */
};

struct gw_group_partition {
    int64_t begin, end;        /* of the layer */
    int64_t committed, before; /* the next message wanted; -1: none */
};

struct gw_group {
    char *name;        /* the whole, as Kafka has it */
    const char *state; /* static */
    bool reads;        /* it has committed on the layer, or a member has a part of it */
    size_t member_count;
    struct gw_group_member *members; /* NULL in lists */
    size_t partition_count;          /* 0 in lists */
    struct gw_group_partition partitions[GW_PARTITIONS_MAX];
};

/* The groups that begin with prefix and read the layer, in the order of their names. Errors: SL_TOO_LARGE
 * (the prefix has more than GW_GROUPS_MAX), and those of Kafka: SL_NOT_FOUND is the layer's topic. */
sl_status gw_groups_list(struct gw_broker *broker, const struct gw_layer *layer, const char *prefix,
                         int64_t until_ms, struct gw_group **groups, size_t *count, sl_error *error);
void gw_groups_free(struct gw_group *groups, size_t count);

/* A group that nobody has made is none that reads. Filled in any case; freed with gw_group_clear. */
sl_status gw_group_describe(struct gw_broker *broker, const struct gw_layer *layer, const char *name,
                            int64_t until_ms, struct gw_group *group, sl_error *error);
void gw_group_clear(struct gw_group *group);

enum gw_reset_to { GW_RESET_BEGIN, GW_RESET_END, GW_RESET_TIME, GW_RESET_OFFSET };
struct gw_reset {
    enum gw_reset_to to;
    int64_t value; /* the offset, or milliseconds since 1970; not negative */
    bool all;      /* partitions, or those chosen */
    bool chosen[GW_PARTITIONS_MAX];
    bool dry_run; /* change nothing */
    /* Called when the group can be reset, before anything is changed: committed is where each partition is to
     * go. What it returns, other than SL_OK, ends the call. NULL: nothing is called. */
    sl_status (*before)(void *opaque, const struct gw_group *group, sl_error *error);
    void *opaque;
};
/* The group as it is then, or would be. One that does not exist is made by its first offsets. Errors:
 * SL_CONFLICT (it has members). */
sl_status gw_group_reset(struct gw_broker *broker, const struct gw_layer *layer, const char *name,
                         const struct gw_reset *reset, int64_t until_ms, struct gw_group *group,
                         sl_error *error);

/* begin and end of each of the layer's partitions. */
sl_status gw_layer_bounds(struct gw_broker *broker, const struct gw_layer *layer, int64_t until_ms,
                          struct gw_group_partition partitions[GW_PARTITIONS_MAX], sl_error *error);

#endif
