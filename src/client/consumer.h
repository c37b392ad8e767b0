/* Inside a consumer: shared by its options, its core (consumer.c), where it goes (flow.c) and what it has
 * done (consumer_statistics.c). */
#ifndef SL_CLIENT_CONSUMER_H
#define SL_CLIENT_CONSUMER_H

#include "client/positions.h"
#include "client/resolve.h"
#include "client/statistics.h"
#include "wire/pauses.h"
#include <pthread.h>

struct sl_consumer_options {
    char *connector; /* NULL: as configured */
    char *group;     /* NULL: as configured */
    sl_start start;
    int auto_commit; /* -1: as configured, 0: off, 1: on */
    int auto_commit_interval_ms;
    int resolve; /* as auto_commit */
    int inflate; /* so, too */
    sl_rebalance_callback rebalance;
    void *rebalance_opaque;
    int statistics_ms;
    sl_statistics_callback statistics;
    void *statistics_opaque;
};

#define SL_CONSUMER_MAGIC 0xc0e50c7eu

struct sl_consumer {
    unsigned magic;
    struct sl_client *client;
    const struct sl_connector *connector;
    void *state;                 /* the connector's */
    struct sl_resolver resolver; /* hrn and layer are the consumer's, too */
    size_t poll_bytes;
    bool auto_commit, resolve;
    bool gzip; /* the layer's content encoding */
    int64_t auto_commit_ms;
    sl_rebalance_callback rebalance;
    void *rebalance_opaque;
    struct sl_reporter *reporter;
    int64_t opened_ms; /* sl_mono_ms() */

    /* Whose turn it is may change these. */
    struct sl_held *held; /* received, its payloads not all fetched, or not all handed out; NULL: nothing */
    bool in_doubt;        /* a rebalance is under way: which of the held messages stay is not known yet */
    bool quiet;           /* the connector is told to pause all, while polls only keep it in its group */
    int64_t served_ms;    /* when the connector was polled last */

    pthread_mutex_t lock; /* of all below; never held while a connector works */
    pthread_cond_t turned;
    unsigned long long next_turn, turn; /* who comes next, whose turn it is */
    struct sl_positions positions;
    struct sl_pauses pauses; /* what the application wants paused */
    int64_t commit_due_ms;   /* sl_mono_ms() */
    struct sl_resolved resolved;
    uint64_t received, bytes, polls, empty_polls, commits, commit_failures, rebalances;
};

sl_status sl_consumer_check(const struct sl_consumer *consumer, sl_error *error);
/* The last offset of each Kafka partition in a batch; *offsets is released with free. */
sl_status sl_last_offsets(const struct sl_batch *batch, sl_offset **offsets, size_t *count, sl_error *error);
/* Whether offsets can be committed; what: the call's name, for the error. */
sl_status sl_check_offsets(const char *what, const sl_offset *offsets, size_t count, sl_error *error);
/* Polls, seeks and what else is one at a time for a connector takes turns. */
void sl_consumer_turn_take(struct sl_consumer *consumer);
void sl_consumer_turn_give(struct sl_consumer *consumer);
/* Gives the connector its pauses back, if polls were only to keep it in its group. */
sl_status sl_consumer_end_quiet(struct sl_consumer *consumer, sl_error *error);

#endif
