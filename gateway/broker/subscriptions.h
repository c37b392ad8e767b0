/*
 * Subscriptions: Kafka consumers that HTTP clients hold over many requests.
 *
 * Each is one member of a consumer group and belongs to one loop, whichever loop a call comes in on: calls
 * travel there as tasks, and their done is called on that loop's thread. No thread of ours a subscription:
 * librdkafka wakes the loop through an eventfd, and what blocks (opening, start positions, seeking, leaving)
 * runs on the workers, one job at a time for a subscription.
 *
 * Calls are the caller's memory, untouched between the call and done, and each gets done exactly once.
 */
#ifndef GW_BROKER_SUBSCRIPTIONS_H
#define GW_BROKER_SUBSCRIPTIONS_H

#include "gateway/broker/brokers.h"
#include "gateway/store/catalogs.h"
#include "gateway/store/market.h"
#include "gateway/worker.h"
#include <streamlayer/consumer.h>

struct gw_subscriptions;
struct gw_subscription; /* counted by references */

/* Everything given is borrowed and must outlive it; the server must have its loops. */
sl_status gw_subscriptions_open(const sl_config *config, const struct sl_log *log,
                                const struct gw_brokers *brokers, struct gw_server *server,
                                struct gw_workers *workers, struct gw_subscriptions **out, sl_error *error);

/* What may be changed while it runs (streamlayer.gateway.limits.*). */
struct gw_subscription_settings {
    size_t max, application_max, group_max; /* subscriptions */
    size_t prefetch_max, poll_bytes, poll_messages;
    int64_t poll_wait_ms, idle_ms, lost_ms, join_ms;
};
sl_status gw_subscription_settings_read(const sl_config *config, struct gw_subscription_settings *settings,
                                        sl_error *error);
/* From now on; what has a deadline keeps it. Not from two threads at once. */
void gw_subscriptions_set(struct gw_subscriptions *all, const struct gw_subscription_settings *settings);

/* Before the first subscription: what keeps the layers' throughput; NULL: nothing does. */
struct gw_throttler;
void gw_subscriptions_set_throttler(struct gw_subscriptions *all, struct gw_throttler *throttler);

/*
 * Shutdown, first step, before the server is drained: parked polls are answered (empty), every subscription
 * leaves its group, and further calls are refused with SL_CLOSED. Returns when all have left, or after
 * grace_ms. Blocks: neither on a loop nor on a worker. Loops and workers must run.
 */
void gw_subscriptions_close(struct gw_subscriptions *all, int grace_ms);
/* Second step, when the server has stopped and the workers too. Closes nothing by itself. */
void gw_subscriptions_free(struct gw_subscriptions **all);

/* Limits that the API checks requests against. They may change at any time. */
struct gw_subscription_limits {
    _Atomic size_t poll_bytes, poll_messages;
    _Atomic int64_t poll_wait_ms;
    _Atomic int retry_after_s; /* when one whose client is gone may have made room */
};
const struct gw_subscription_limits *gw_subscriptions_limits(const struct gw_subscriptions *subscriptions);

/* Why a subscription ended. */
enum gw_end {
    GW_END_NONE,         /* it has not */
    GW_END_UNSUBSCRIBED, /* its client asked for it */
    GW_END_IDLE,         /* no call came (limits.subscription-idle) */
    GW_END_UNUSED,       /* no call followed the subscribe */
    GW_END_LOST,         /* its client hung up before it had an answer, and did not come back */
    GW_END_REPLACED,     /* another subscribe took its id */
    GW_END_REVOKED,      /* its application may not read the layer any more */
    GW_END_LAYER_DELETED,
    GW_END_KAFKA,  /* Kafka, or its client, failed so that it cannot go on */
    GW_END_MEMORY, /* there was none for what it needs to live */
    GW_END_STOPPED /* the gateway is being stopped */
};

/*
 * Ends those of an application (NULL: of all) on a layer, named by its key (NULL: on all layers): each leaves
 * its group at once, and a poll that waits is answered with the reason. Returns before that. One that is
 * subscribed meanwhile is not ended: whoever subscribes looks again afterwards whether it may. all NULL:
 * nothing. Any thread.
 */
void gw_subscriptions_end(struct gw_subscriptions *all, const char *application, const char *layer,
                          enum gw_end why);

enum gw_subscription_mode { GW_SERIAL, GW_PARALLEL };

struct gw_property {
    const char *name, *value;
};

/*
 * Subscribing. serial: the subscription has one consumer. parallel: subscription_id may be shared; each call
 * adds a consumer (consumer_id). A subscription id (parallel: with consumer id) that is in use by the same
 * application on the same layer is replaced: that is what a client does whose first answer was lost.
 */
struct gw_subscribe {
    struct gw_task task;
    void (*done)(struct gw_subscribe *subscribe);

    /* Asked for; borrowed until done. */
    const char *application;
    struct gw_layer *layer;
    enum gw_subscription_mode mode;
    const char *subscription_id, *consumer_id; /* NULL: made here */
    const char *group; /* the whole name in Kafka; NULL: group_default, or that of the shared subscription */
    const char *group_default;
    bool earliest; /* where a group without a committed offset begins; else at the end */
    bool auto_commit;
    int auto_commit_ms;
    size_t poll_messages;                 /* at most, in a poll that names no number; 0: the limit */
    const struct gw_property *properties; /* librdkafka's, checked */
    size_t property_count;

    /* Results. */
    sl_status status;
    sl_error error;
    enum gw_end end;                      /* SL_NOT_FOUND, SL_CLOSED: why it ended before it had joined */
    struct gw_subscription *subscription; /* SL_OK: linked for the caller; assigned, start positions fixed */
};
/* SL_OK: done will be called. Else refused, no done: SL_CONFLICT (the group has as many consumers as the
 * layer allows), SL_TOO_LARGE (too many on all its layers), SL_INVALID_ARGUMENT (the ids do not fit
 * together), SL_THROTTLED (the application has too many subscriptions), SL_QUEUE_FULL (all have; done may say
 * it, too, of memory), SL_CLOSED, … Any thread. */
sl_status gw_subscriptions_subscribe(struct gw_subscriptions *all, struct gw_subscribe *subscribe,
                                     sl_error *error);

/*
 * Finds the application's subscription on a layer, linked: by node (the id in nodeBaseURL), or, where node is
 * NULL, by subscription id and perhaps consumer id. NULL: SL_NOT_FOUND, the text says why and when it ended
 * as long as that is remembered; or SL_INVALID_ARGUMENT when several consumers share the id and none is
 * named. Any thread.
 */
struct gw_subscription *gw_subscription_find(struct gw_subscriptions *all, const char *application,
                                             const struct gw_layer *layer, const char *node,
                                             const char *subscription_id, const char *consumer_id,
                                             sl_error *error);
void gw_subscription_unlink(struct gw_subscription *subscription); /* NULL is allowed */

/* Lives as long as the link. */
const char *gw_subscription_node(const struct gw_subscription *subscription);
const char *gw_subscription_id(const struct gw_subscription *subscription);
const char *gw_subscription_group(const struct gw_subscription *subscription);

/* The Kafka partitions that a subscription has, and which assignment of its it is: counted from 1. */
#define GW_PARTITIONS_MAX 32 /* a layer's parallelization is at most that */
struct gw_assignment {
    int64_t number;
    size_t count;
    int32_t partitions[GW_PARTITIONS_MAX]; /* ascending */
};
/* Its loop's thread. */
void gw_subscription_assignment(const struct gw_subscription *subscription, struct gw_assignment *assignment);

/*
 * Polling. Messages go to add one by one, in place; then done. Afterwards the caller tells by gw_poll_settle
 * whether the answer was written: not so, the next poll gets the same messages again. The next poll waits
 * until this one is settled. One poll a subscription waits at a time: a newer one ends the older, empty.
 */
enum gw_ack {
    GW_ACK_WRITTEN, /* an answer that was written counts as received */
    GW_ACK_YES,     /* the batch before this one arrived; this one's answer waits for the next poll's word */
    GW_ACK_NO       /* the batch before this one did not arrive: again, please */
};
struct gw_poll {
    struct gw_task task;
    struct gw_subscription *subscription; /* a link of the caller's, held until released */
    size_t max_messages, max_bytes;       /* 0: the defaults; payload bytes */
    size_t most_messages;                 /* whatever the defaults are; 0: no bound of the caller's own */
    bool counted;                         /* its answer is written down before it goes (lull.h) */
    int64_t deadline_ms;                  /* sl_mono_ms() until which it may wait for the first message */
    enum gw_ack ack;
    /* How many answers with messages have arrived since it subscribed; it says more than ack: also whether
     * the poll before this one came here at all. -1: not said. */
    int64_t received;
    int64_t assignment; /* the last that the caller knows: a change since answers at once; -1: not asked */
    bool holds;         /* its subscription is not idle before it is settled, even when it brought nothing */
    uint64_t follows;   /* the turn of the poll before, when nobody else may have polled since; 0: none */
    /* Filled: nothing came, but for want of throughput: of the flow's, of the layer's. */
    bool flow_throttles, layer_throttles;
    struct gw_market_flow *flow; /* what its application may be given of the catalog, beside what the layer
                                  * gives; the caller's link until released; NULL: any */
    bool (*add)(struct gw_poll *poll, const struct sl_message *message); /* false: memory is out */
    /* For add: from here on the message's partition has nothing before it, neither now nor ever again. The
     * message's own offset, where more is not known: then it is the answer's first of its partition. */
    int64_t nothing_since;
    void (*done)(struct gw_poll *poll);
    void (*released)(struct gw_poll *poll); /* settled: the memory is the caller's again. Owner's loop. */

    /* SL_NOT_FOUND: the subscription is gone (gw_subscription_ended says why); SL_CLOSED: the gateway is
     * being stopped; SL_UNAVAILABLE: nothing came, and Kafka has been away for a while; SL_OUT_OF_MEMORY */
    sl_status status;
    size_t count, bytes;
    bool replaced;            /* another poll came in its place */
    uint64_t turn;            /* counts polls that follow none, from 1 */
    struct gw_assignment now; /* as of done, where it was asked */

    /* The subscription's own. */
    struct gw_task cancel_task;
    struct gw_timer timer;
    int64_t ended_ms, lulled_since_ms;
    bool whole, held;
};
void gw_subscription_poll(struct gw_poll *poll); /* any thread */
/* Ends its waiting soon, if it waits: nobody will read the answer. The thread that settles it, before. */
void gw_poll_cancel(struct gw_poll *poll);
void gw_poll_settle(struct gw_poll *poll, bool whole); /* any thread; once, after done */

/* Committing and seeking. Offsets to commit are those of the last processed messages, offsets to seek to are
 * those of the next wanted. */
enum gw_change_kind {
    GW_COMMIT,
    GW_SEEK,
    GW_SEEK_BEGIN,
    GW_SEEK_END,
    GW_SEEK_TIME, /* to the first message at or after timestamp_ms, or the end */
    GW_PAUSE,     /* the partitions of offsets (count 0: all); a wish that outlasts rebalances */
    GW_RESUME,
    GW_POSITIONS, /* asks; fills positions */
    GW_UNSUBSCRIBE
};
struct gw_change {
    struct gw_task task;
    struct gw_change *next;               /* the subscription's */
    struct gw_subscription *subscription; /* a link of the caller's, held until released */
    enum gw_change_kind kind;
    const sl_offset *offsets;
    size_t count;
    int64_t timestamp_ms;             /* GW_SEEK_TIME */
    sl_partition_position *positions; /* GW_POSITIONS: room for GW_PARTITIONS_MAX, the caller's; ascending */
    size_t position_count;            /* result */
    /* SL_OK of a seek: where each partition goes on; room for GW_PARTITIONS_MAX, the caller's, or NULL. */
    sl_offset *sought;
    size_t sought_count;
    /* Once, after limits.kafka-wait at the latest: the answer. */
    void (*done)(struct gw_change *change);
    void (*released)(struct gw_change *change); /* after that: the memory is the caller's again */

    /* SL_OK: Kafka has it (commit), the next poll begins there (seek), it has left its group (unsubscribe).
     * SL_CONFLICT: a partition that is not this consumer's, or a commit that is too late; commit: the rest is
     * committed all the same. SL_INVALID_ARGUMENT: a commit of what is not written yet, and nothing is
     * committed. SL_NOT_FOUND: the subscription is gone. SL_UNAVAILABLE, SL_TIMED_OUT: try again. */
    sl_status status;
    sl_error error;
    bool effective; /* a seek that was done, though perhaps too late for its caller; when released */
    bool late;      /* SL_CONFLICT: what was to be committed lies before where the group has the partition */

    /* The subscription's own. */
    struct gw_timer timer;
    int64_t until_ms;
    bool told;
};
void gw_subscription_change(struct gw_change *change); /* any thread */

/* Whether others in the group have a part of the layer: it was given fewer Kafka partitions than there are.
 * Its loop's thread. */
bool gw_subscription_is_shared(const struct gw_subscription *subscription);

/* Ends a subscription: its loop does, soon. The first reason counts. Any thread. */
void gw_subscription_abandon(struct gw_subscription *subscription, enum gw_end why);

/* Why one ended, and the whole text. Its loop's thread, as in a done that says SL_NOT_FOUND or SL_CLOSED. */
enum gw_end gw_subscription_ended(const struct gw_subscription *subscription, sl_error *error);

/* The lines for /metrics. */
bool gw_subscriptions_metrics(struct gw_subscriptions *all, struct sl_buffer *text);

#endif
