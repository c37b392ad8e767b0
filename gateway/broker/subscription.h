/* A subscription's inside, for the subscription*.c files. */
#ifndef GW_BROKER_SUBSCRIPTION_H
#define GW_BROKER_SUBSCRIPTION_H

#include "base/fetch_run.h"
#include "gateway/broker/brokers.h"
#include "gateway/broker/internal.h"
#include "gateway/broker/lull.h"
#include "gateway/broker/outage.h"
#include "gateway/broker/subscriptions.h"

#define GW_NODE_DIGITS   32
#define GW_NODE_BUCKETS  256
#define GW_FIRST_CALL_MS 30000 /* at least, unless limits.subscription-idle is less */

enum gw_phase { GW_JOINING, GW_JOINED, GW_LEAVING, GW_LEFT };
enum gw_step {
    GW_STEP_NONE,
    GW_STEP_OPEN,
    GW_STEP_ASSIGN,
    GW_STEP_REVOKE,
    GW_STEP_SEEK,
    GW_STEP_RESUME,
    GW_STEP_POSITIONS,
    GW_STEP_ENDS,
    GW_STEP_LEAVE
};

/* A Kafka partition that the group gave it. Offsets are those of the next message; -1: none. */
struct gw_share {
    int32_t partition;
    int64_t begin;     /* where the group had it when it was given, or what was read since, if that is less */
    int64_t end;       /* of the log, as far as is known: it may have grown */
    int64_t taken;     /* behind what was taken from librdkafka */
    int64_t met;       /* where the fetcher met the end since: behind the marks of transactions, too; -1 */
    int64_t sent;      /* behind what was written to the client */
    int64_t processed; /* behind what a later poll showed as received: for auto commit */
    int64_t committed; /* by auto commit */
    int64_t group;     /* behind what the group has committed, as far as is known */
};

struct gw_held {
    rd_kafka_event_t *event; /* keeps the message */
    const rd_kafka_message_t *message;
    int64_t nothing_since; /* as in gw_poll */
    bool jumped;           /* over what may be there */
};

struct gw_subscription {
    struct gw_subscriptions *all;
    struct gw_loop *loop;
    atomic_int references;

    /* Fixed when made. */
    struct gw_layer *layer;
    struct gw_broker *broker; /* the layer's cluster */
    struct gw_outage *outage; /* whether that is away */
    struct gw_lull *lull;     /* its loop's */
    enum gw_subscription_mode mode;
    char node[GW_NODE_DIGITS + 1];
    char *application, *id, *consumer, *group;
    bool earliest, auto_commit;
    int auto_commit_ms;
    size_t poll_messages;

    /* The registry's, under its lock. */
    struct gw_subscription *next_node, *next_alive, *previous_alive;
    atomic_llong lag; /* messages that its group has not committed; -1: not known */
    bool listed;      /* can be found, and counts in its group */
    bool ready;       /* joined */

    /* Its loop's own. */
    enum gw_phase phase;
    enum gw_end end, idle_end;      /* why it has ended, and why it will when it is idle */
    char *why;                      /* the whole text; NULL: it has not, or there was no memory */
    struct gw_subscribe *subscribe; /* to be answered */
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *control, *messages;
    struct sl_fetch_run run; /* of messages */
    int wake_fd;
    bool watching;
    struct gw_watch watch;
    struct gw_timer tick, commit_timer;
    int64_t last_call_ms, idle_until_ms, joining_until_ms, leaving_until_ms, last_commit_ms;
    int64_t patient_until_ms; /* joining: for so long with a Kafka that does not answer */
    int64_t measured_ms;      /* lag */
    /* The question where the log ends, beside the steps: nothing waits for it. */
    struct gw_job lag_job;
    struct gw_task lag_back;
    rd_kafka_topic_partition_list_t *lag_list; /* NULL: none is under way */
    struct gw_share *shares;
    size_t share_count;
    int64_t assignment; /* counts the changes of its partitions */
    uint32_t paused;    /* Kafka partitions that its client wants nothing of, whether it has them or not */
    bool rebalancing;   /* its partitions were taken, and none are given yet */
    rd_kafka_resp_err_t forbidden; /* Kafka lets the gateway not read for it; NO_ERROR: it does */
    struct gw_held *held; /* the first `given` were handed out and are not settled; the others wait */
    size_t held_count, held_capacity, given;
    size_t prefetch;                  /* bytes of the budget for what librdkafka reads ahead */
    size_t held_bytes, counted_bytes; /* what is held; what of it the budget knows */
    struct gw_poll *parked, *unsettled;
    unsigned holders; /* polls that brought nothing, and hold it all the same until they are settled */
    uint64_t turn;    /* polls that followed none */
    uint64_t answers; /* with messages, that arrived or may arrive yet */
    uint64_t most;    /* that its client may have read: one more where the last was told lost */
    bool awaits_ack;  /* what was given was written: the next poll says whether it arrived */
    /* An answer that was told lost is given again under the same number, and perhaps with more or fewer
     * messages. Which of them arrives nobody knows, so only what is in each of them counts as arrived: the
     * first so many that are held. 0: the next answer is a new one. */
    size_t repeated;
    uint64_t heard;                     /* the most answers that a poll said it had received */
    struct gw_change *orders, *leavers; /* waiting: all that must come one after another */
    struct gw_change *commits;          /* under way */

    /* The job under way: the worker's between post and back. */
    enum gw_step step;
    struct gw_job job;
    struct gw_task back;
    rd_kafka_conf_t *conf;                 /* open */
    rd_kafka_topic_partition_list_t *list; /* assign, revoke and leave (what to commit), seek, resume, ends */
    int64_t seek_time_ms;                  /* a seek's, to a time; -1: the list says where to */
    uint64_t expired;                      /* assign: messages that the group had to pass over */
    sl_partition_position known[GW_PARTITIONS_MAX]; /* positions: what Kafka says */
    size_t known_count;
    sl_status job_status;
    bool job_broke; /* it failed so that the consumer is not what the shares say: the subscription must end */
    sl_error job_error;

    struct gw_market_flow *flow; /* of its application and the catalog; NULL: none is kept */
    struct gw_pass pass;         /* of the next answer, at the throttle that it is to pay at */
    unsigned tolls;              /* throttles at which it has paid, in their order; subscription_toll.c */
    bool paying;                 /* it waits at the next; a link of the subscription is its */
    int64_t price;               /* bytes that it pays; the next answer pays what it takes beyond */
    struct gw_task begin_task, abandon_task, hurry_task;
    atomic_int ending; /* enum gw_end: why it is to end, once that was asked for */
    atomic_bool hurry_posted;
    struct gw_timer prod; /* runs while another one is joining its group */
    int64_t hurry_until_ms;
};

struct gw_subscriptions {
    const struct gw_brokers *brokers;
    struct gw_throttler *throttler; /* NULL: throughput is not kept */
    struct gw_server *server;
    struct gw_workers *workers;
    struct sl_log log;
    struct gw_subscription_limits limits;
    struct gw_budget *budget;
    atomic_size_t prefetching; /* that have something to read ahead */
    _Atomic size_t max, application_max, group_max, prefetch_max;
    _Atomic int64_t idle_ms, lost_ms, join_ms;
    atomic_uint parked; /* polls */
    atomic_ullong opened, redelivered, expired;
    struct gw_ended_ring *ended;
    struct gw_outage **outages; /* a cluster each, as gw_brokers_at */
    struct gw_lull *lulls;      /* a loop each */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct gw_subscription *nodes[GW_NODE_BUCKETS];
    struct gw_subscription *alive; /* not GW_LEFT */
    size_t alive_count, listed_count;
    atomic_bool closed;    /* set under the lock */
    atomic_llong until_ms; /* once it is closed: what waits for Kafka gives up then */
};

/* How long the first call may come after the subscribe: a client that died in between holds its group's
 * partitions no longer. */
static inline int64_t gw_first_call_ms(const struct gw_subscriptions *all)
{
    int64_t lost_ms = all->lost_ms, idle_ms = all->idle_ms;
    int64_t wait = lost_ms > GW_FIRST_CALL_MS ? lost_ms : GW_FIRST_CALL_MS;
    return wait < idle_ms ? wait : idle_ms;
}

/* subscription_memory.c */
/* Takes what it may read ahead from the budget, and tells its configuration. SL_QUEUE_FULL: there is none. */
sl_status gw_subscription_take_prefetch(struct gw_subscription *subscription, sl_error *error);
void gw_subscription_give_prefetch(struct gw_subscription *subscription);
size_t gw_held_bytes(const rd_kafka_message_t *message);
void gw_subscription_let_go(struct gw_subscription *subscription, struct gw_held held);
void gw_subscription_account(struct gw_subscription *subscription); /* when what is held has changed */
/* Payload that an answer may have now. */
size_t gw_subscription_answer_room(const struct gw_subscription *subscription);

/* subscriptions.c: the registry */
struct gw_subscription *gw_subscription_link(struct gw_subscription *subscription);
void gw_subscription_unlist(struct gw_subscription *subscription);
void gw_subscription_ready(struct gw_subscription *subscription);
void gw_subscription_left(struct gw_subscription *subscription); /* gives up the loop's link */

/* subscription_end.c: those that ended; thread-safe. NULL: memory is out. */
struct gw_ended_ring *gw_ended_create(void);
void gw_ended_destroy(struct gw_ended_ring *ring);
/* Whether it remembers the application's subscription of that node, or (NULL) of that id on the topic, and of
 * that consumer (NULL: any); then the error says why and when it ended. */
bool gw_ended_explain(struct gw_ended_ring *ring, const char *application, const char *layer,
                      const char *node, const char *id, const char *consumer, sl_error *error);
/* Its loop's thread, once, before the phase changes. */
void gw_subscription_note_end(struct gw_subscription *subscription, enum gw_end why, const char *detail);
/* Whether a poll that waits hears of it; else its answer is empty, and the next one's is not. */
bool gw_end_is_told(enum gw_end why);

/* subscription_jobs.c: what blocks */
void gw_subscription_start_job(struct gw_subscription *subscription, enum gw_step step);
void gw_subscription_destroy_consumer(struct gw_subscription *subscription, bool closed);

/* subscription_loop.c: its loop's thread */
void gw_subscription_begin(struct gw_task *task);
void gw_subscription_abandoned(struct gw_task *task);
/* Another one is joining its group: it heartbeats at once and often, so as to hear of it. */
void gw_subscription_hurry(struct gw_task *task);
void gw_subscription_job_back(struct gw_task *task);
/* A call came in, or was answered: it is idle from now on. */
void gw_subscription_called(struct gw_subscription *subscription);
/* An answer found the connection closed and no call came since: it is idle sooner (limits.subscription-lost).
 */
void gw_subscription_suspect(struct gw_subscription *subscription);
void gw_subscription_work(struct gw_subscription *subscription); /* does whatever can be done now */
/* detail: what Kafka said, or NULL. */
void gw_subscription_leave(struct gw_subscription *subscription, enum gw_end why, const char *detail);
/* Why a call cannot be had on one that has ended. */
sl_status gw_subscription_gone(const struct gw_subscription *subscription);
struct gw_share *gw_subscription_share(const struct gw_subscription *subscription, int32_t partition);
/* Its partitions changed: who waits to hear of it does. */
void gw_subscription_reassigned(struct gw_subscription *subscription);

/* subscription_poll.c: its loop's thread */
/* Retention took so many messages before the group had them, or came after them (auto.offset.reset latest).
 */
void gw_subscription_note_expired(struct gw_subscription *subscription, uint64_t messages);
void gw_subscription_serve(struct gw_subscription *subscription);
void gw_subscription_end_poll(struct gw_subscription *subscription); /* the parked one, with what it has */
void gw_subscription_forget(struct gw_subscription *subscription, int32_t partition); /* -1: all */
/* Lets go of what was taken and not given of paused partitions: the resume goes back to it. */
void gw_subscription_hold_back(struct gw_subscription *subscription);

/* subscription_toll.c: its loop's thread */
/* What may go in an answer at most, for its throttles. */
size_t gw_subscription_toll_room(const struct gw_subscription *subscription, size_t max_bytes);
/* Whether an answer of that price may go now; else it pays, and is told when it may. */
bool gw_subscription_pay(struct gw_subscription *subscription, int64_t price);
/* An answer went, with so many bytes. */
void gw_subscription_paid(struct gw_subscription *subscription, int64_t bytes);
/* The throughput of its application, from the next answer on that has not begun to pay. */
void gw_subscription_set_flow(struct gw_subscription *subscription, struct gw_market_flow *flow);
/* It ends: its place at a throttle, and what it has paid for nothing, is given back. */
void gw_subscription_pay_no_more(struct gw_subscription *subscription);

/* subscription_change.c: its loop's thread */
/* Says that the partition is not this subscription's, or not even the layer's. */
sl_status gw_subscription_not_assigned(const struct gw_layer *layer, struct gw_change *change,
                                       int32_t partition);
/* The list that the next job works on; takes it. NULL: none. */
void gw_subscription_set_list(struct gw_subscription *subscription, rd_kafka_topic_partition_list_t *list);
void gw_subscription_committed(struct gw_subscription *subscription, rd_kafka_event_t *event);
void gw_subscription_order_next(struct gw_subscription *subscription); /* does it, or starts its job */
void gw_subscription_order_done(struct gw_subscription *subscription, enum gw_step step);
void gw_subscription_order_end(struct gw_subscription *subscription,
                               sl_status status);               /* answers the first */
void gw_change_end(struct gw_change *change, sl_status status); /* answers it, and gives it back */
void gw_subscription_mark_processed(struct gw_subscription *subscription);
void gw_subscription_fail_changes(struct gw_subscription *subscription);
void gw_subscription_give_up_commits(struct gw_subscription *subscription); /* their results come no more */
/* What auto commit has to commit, as a list; NULL: nothing. */
rd_kafka_topic_partition_list_t *gw_subscription_to_commit(const struct gw_subscription *subscription);

/* subscription_pause.c: its loop's thread */
static inline bool gw_subscription_is_paused(const struct gw_subscription *subscription, int32_t partition)
{
    return partition < GW_PARTITIONS_MAX && (subscription->paused >> partition & 1);
}
/* Where the share goes on, as far as librdkafka is concerned; -1: not known. */
static inline int64_t gw_share_next(const struct gw_share *share)
{
    return share->taken >= 0 ? share->taken : share->begin;
}
void gw_subscription_pause(struct gw_subscription *subscription, struct gw_change *change);
void gw_subscription_resume(struct gw_subscription *subscription, struct gw_change *change);
void gw_subscription_resume_done(struct gw_subscription *subscription);
void gw_subscription_positions(struct gw_subscription *subscription);
void gw_subscription_positions_done(struct gw_subscription *subscription);

/* subscription_lag.c: its loop's thread. Measures what its group has not committed; now: though it was just
 * done. */
void gw_subscription_measure(struct gw_subscription *subscription, bool now);
/* The same, once in a while: where messages wait that nobody polls, librdkafka fetches no more, and does not
 * hear of the log's end; then Kafka is asked. */
void gw_subscription_find_lag(struct gw_subscription *subscription);
/* Any thread. */
bool gw_subscriptions_lag(struct gw_subscriptions *all, struct sl_buffer *text);

/* subscription_message.c: points into the record; headers is grown as need be. False: memory is out. */
bool gw_message_of_record(const rd_kafka_message_t *record, struct sl_message *message);

#endif
