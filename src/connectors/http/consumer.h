/*
 * A consumer over HTTP, inside.
 *
 * It has one or several members of its group, each with a subscription of its own and a thread, the fetcher
 * (fetch.c), that keeps a poll under way and subscribes anew when the platform has lost the subscription
 * (subscription.c). What the polls bring waits in one queue (queue.c). The application's threads take from
 * it (consumer.c), commit, seek, pause and ask (change.c). Which member has which Kafka partition, and what
 * the core was told of it, is share.c's.
 */
#ifndef SL_CONNECTORS_HTTP_CONSUMER_H
#define SL_CONNECTORS_HTTP_CONSUMER_H

#include "connectors/http/internal.h"
#include <stdatomic.h>

/* What the platform says a subscription has. */
struct sl_hc_assignment {
    int64_t number; /* it grows with every change; -1: the platform does not say */
    int32_t *partitions;
    size_t count;
};

struct sl_hc_member {
    struct sl_hc_consumer *consumer;
    char id[24]; /* its consumerId */
    pthread_t fetcher;
    bool started;
    /* The fetcher's own (before it runs: the opening thread's). */
    struct sl_hc_backoff backoff;
    unsigned empties;            /* polls without a message in a row */
    unsigned unreached;          /* tries in a row that found no server */
    struct sl_hc_outage outage;  /* as the log has it */
    bool trusted;                /* the subscription has answered a poll */
    unsigned long long received; /* answers with messages, of this subscription */

    /* Under the consumer's lock. */
    char *node, *subscription; /* NULL: none */
    char correlation[128];     /* the last answer's */
    unsigned generation;       /* how many subscriptions there were */
    unsigned long long wishes; /* sl_hc_consumer.wishes, as far as this subscription knows them */
    bool wishing;              /* an application's thread is about to tell it of them */
    struct sl_hc_assignment assignment;
    bool pending;              /* its first try to subscribe has not ended */
    bool lost;                 /* the subscription is to be made anew */
    bool stopped;              /* the fetcher is at its end */
    bool subscribing, polling; /* what the fetcher is about */
    size_t reserved;           /* bytes that the poll under way may bring */
    int64_t next_poll_ms;
    sl_error failure; /* the latest; status SL_OK: none */
    int64_t failing_since_ms;
    unsigned failures;
    bool answered; /* to the fetcher's request */
    struct sl_http_response response;
};

/* A Kafka partition of the layer that was ours once. */
struct sl_hc_partition {
    int32_t number;
    struct sl_hc_member *owner; /* NULL: not ours */
    bool told;                  /* the core believes it ours */
    bool lost;                  /* it was taken away since, if only for a while */
};

struct sl_hc_queue {
    struct sl_hc_chunk *first, *last;
    size_t bytes; /* as the chunks count them */
};

/* Which Kafka partitions the application wants paused: those that are listed, or, where all is set, those
 * that are not. */
struct sl_hc_wish {
    bool all;
    int32_t *list;
    size_t count;
};

struct sl_hc_consumer {
    /* Fixed once it is open. */
    struct sl_host host;
    struct sl_client *client;
    char *layer, *hrn;
    bool extended;
    char *named_group; /* the application's, or NULL */
    char wish[33];     /* the subscription's id, where we may choose: subscribing again replaces it */
    sl_start start;
    size_t prefetch_bytes; /* 0: nothing is fetched that no poll has asked for */
    int64_t max_wait_ms, join_timeout_ms, request_timeout_ms;
    size_t member_count;
    struct sl_hc_member *members;
    atomic_bool cancelled; /* what waits for tokens gives up */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    char *base;
    char *group;  /* the first answer's; fixed from then on */
    char *shared; /* the subscription's id, where the platform chose it and several members share it */
    bool joining; /* … and a member is about to have it chosen */
    bool closing;
    char warning[600];      /* the platform's last one, but for its figures; "": the last answer had none */
    bool throttled;         /* … which was that messages wait for throughput */
    sl_error fatal;         /* status SL_OK: none */
    unsigned holds;         /* who wants no poll begun */
    int64_t quiet_until_ms; /* … nor before, unless the application polls: it may seek first */
    bool asked;             /* without prefetch: a poll of the application's wants so much */
    size_t asked_messages, asked_bytes; /* messages 0: as many as there are */
    size_t reserved;                    /* by all members */
    struct sl_hc_queue queue, held;     /* for consumer_poll; of paused partitions, for the resume */
    struct sl_hc_partition *partitions; /* ascending */
    size_t partition_count;
    bool untold; /* there is something to tell the core */
    struct sl_hc_wish paused;
    unsigned long long wishes; /* changes of paused */
    struct sl_hc_traffic traffic;
    unsigned long long subscriptions, polls, empty_polls, messages;
};

/* Parallel mode: several members share one subscription. */
static inline bool sl_hc_is_parallel(const struct sl_hc_consumer *consumer)
{
    return consumer->member_count > 1;
}

/* fetch.c */

/* A signed request of the fetcher's, which sl_http_cancel(http, member) ends. SL_OK whenever there is an HTTP
 * status. */
sl_status sl_hc_exchange(struct sl_hc_member *member, struct sl_http_request *request,
                         struct sl_http_response *response, sl_error *error);
/* The fetcher's thread. */
void *sl_hc_fetch(void *opaque);
/* The platform says that the subscription of that generation is gone. Under the lock. */
void sl_hc_note_gone(struct sl_hc_member *member, unsigned generation);

/* queue.c. All under the lock. */

/* Appends what a poll has brought: what is paused to what is held. false: out of memory, nothing is queued
 * and the chunk is the caller's still. */
bool sl_hc_queue_add(struct sl_hc_consumer *consumer, struct sl_hc_chunk *chunk);
/* Drops what waits: of that member's polls (NULL: of any), of these Kafka partitions (count 0: of all). */
void sl_hc_queue_drop(struct sl_hc_consumer *consumer, const struct sl_hc_member *member,
                      const sl_offset *partitions, size_t count);
/* Sorts what waits into queue and held, by what is paused now. false: out of memory; some is not in place. */
bool sl_hc_queue_sort(struct sl_hc_consumer *consumer);
/* The next piece; *batch is NULL when nothing waits. */
sl_status sl_hc_queue_take(struct sl_hc_consumer *consumer, size_t max_messages, size_t max_bytes,
                           struct sl_batch **batch, sl_error *error);
/* The first offset of a Kafka partition that waits, or -1. */
int64_t sl_hc_queue_next(const struct sl_hc_consumer *consumer, int32_t partition);
/* How many payload bytes a further poll of a member's may bring now; 0: none should begin. */
size_t sl_hc_queue_room(const struct sl_hc_consumer *consumer);

bool sl_hc_is_paused(const void *wish, int32_t partition); /* a struct sl_hc_wish */
/* Takes a change of wish; false: out of memory, as before. count 0: all. */
bool sl_hc_wish_change(struct sl_hc_wish *wish, const int32_t *partitions, size_t count, bool paused);
bool sl_hc_wish_copy(struct sl_hc_wish *copy, const struct sl_hc_wish *wish);

/* share.c. All under the lock but sl_hc_share_tell. */

/* From "3;0,2", and from subscribe's answer. The number is -1 when it is not there, or is not understood.
 * false: out of memory. */
bool sl_hc_assignment_parse(struct sl_hc_assignment *assignment, const char *text);
bool sl_hc_assignment_read(struct sl_hc_assignment *assignment, const json_t *answer);
void sl_hc_assignment_free(struct sl_hc_assignment *assignment);
/* The member has these now; takes the memory. Drops what waits of those that it has no more. false: out of
 * memory, it has what it had. */
bool sl_hc_share_assign(struct sl_hc_member *member, struct sl_hc_assignment *now);
/* The member has none any more: its subscription is gone. */
void sl_hc_share_lose(struct sl_hc_member *member);
/* Where the platform does not say who has what: messages of these partitions came by this member's poll. */
void sl_hc_share_note(struct sl_hc_member *member, const struct sl_hc_chunk *chunk);
/* Who has a Kafka partition; NULL: nobody of ours, as far as is known. */
struct sl_hc_member *sl_hc_share_owner(const struct sl_hc_consumer *consumer, int32_t number);
/* Another member that has been told that the partition is its own: its news may be older, or newer. */
struct sl_hc_member *sl_hc_share_other(const struct sl_hc_member *member, int32_t number);
/* Whether a Kafka partition was lost since the core heard of it, though it may be ours again. */
bool sl_hc_share_is_lost(const struct sl_hc_consumer *consumer, int32_t partition);
/* Whether a Kafka partition is, or was, with a member of ours. */
bool sl_hc_share_knows(const struct sl_hc_consumer *consumer, int32_t partition);
/* Tells the core what it has not been told. Without the lock; from within open, poll or close. */
sl_status sl_hc_share_tell(struct sl_hc_consumer *consumer, sl_error *error);
/* Tells the core that it has nothing any more. */
void sl_hc_share_end(struct sl_hc_consumer *consumer);

/* subscription.c */

/* What a subscribe that was refused is told besides the error. */
struct sl_hc_refusal {
    bool full;          /* there are as many subscriptions as may be: a member fewer will do */
    int retry_after_ms; /* -1: not given */
};
/* Subscribes, and notes the subscription. One try. *refusal is set in any case. */
sl_status sl_hc_subscribe(struct sl_hc_member *member, struct sl_hc_refusal *refusal, sl_error *error);
/* Ends the subscription, if there is one that is not lost; it is forgotten in any case. No long time: the
 * platform notices by itself that we are gone. */
#define SL_HC_LEAVING_MS 5000
sl_status sl_hc_unsubscribe(struct sl_hc_member *member, int64_t deadline_ms, sl_error *error);
/* "{node}/layers/{layer}/{what}?…", released with free. Under the lock. */
char *sl_hc_subscription_url(const struct sl_hc_member *member, const char *what);
void sl_hc_note_correlation(struct sl_hc_member *member, const struct sl_http_response *response);
/* One signed call on the member's subscription, which must be there (else SL_UNAVAILABLE, retriable). body
 * NULL: none. Anything but 200 is an error; 404 also notes that the subscription is gone. *answer (may be
 * NULL): the JSON, or NULL where there is none. For application's threads. */
sl_status sl_hc_call(struct sl_hc_member *member, const char *method, const char *what, const char *body,
                     int64_t deadline_ms, json_t **answer, sl_error *error);
/* Waits until the member is subscribed; false: it will not be before deadline_ms. Under the lock. */
bool sl_hc_await(struct sl_hc_member *member, int64_t deadline_ms);
/* {"partitions":[0,1]}, or {} for none: that means all. Released with free. */
char *sl_hc_partitions_json(const int32_t *partitions, size_t count);
/* Has the member's new subscription know what is paused. The fetcher's thread. */
sl_status sl_hc_send_wishes(struct sl_hc_member *member, sl_error *error);

/* consumer.c */
sl_status sl_hc_consumer_open(const struct sl_host *host, const struct sl_target *target,
                              const struct sl_consumer_settings *settings, void **opened, sl_error *error);
sl_status sl_hc_consumer_poll(void *opaque, int timeout_ms, size_t max_messages, size_t max_bytes,
                              struct sl_batch **batch, sl_error *error);
bool sl_hc_consumer_statistics(void *consumer, struct sl_buffer *json);
const char *sl_hc_consumer_group(const void *opaque);
sl_status sl_hc_consumer_close(void *opaque, sl_error *error);

/* change.c */
sl_status sl_hc_consumer_commit(void *opaque, const sl_offset *offsets, size_t count, sl_error *error);
sl_status sl_hc_consumer_commit_now(void *opaque, const sl_offset *offsets, size_t count, sl_error *error);
sl_status sl_hc_consumer_seek(void *opaque, const sl_offset *offsets, size_t count, sl_error *error);
sl_status sl_hc_consumer_seek_to(void *opaque, sl_start where, sl_error *error);
sl_status sl_hc_consumer_seek_time(void *opaque, int64_t timestamp_ms, sl_error *error);
sl_status sl_hc_consumer_pause(void *opaque, const int32_t *partitions, size_t count, bool paused,
                               sl_error *error);
sl_status sl_hc_consumer_positions(void *opaque, sl_partition_position *list, size_t capacity, size_t *count,
                                   sl_error *error);

#endif
