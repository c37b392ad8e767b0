/*
 * kafka-connector's inside: a producer and a consumer on librdkafka 2.0.2.
 */
#ifndef SL_CONNECTORS_KAFKA_KAFKA_H
#define SL_CONNECTORS_KAFKA_KAFKA_H

#include "base/fetch_run.h"
#include "client/connector.h"
#include "wire/pauses.h"
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

/* Setting paths that errors name. */
#define SL_KAFKA_SETTINGS    "here.platform.data-client.stream."
#define SL_KAFKA_MESSAGE_MAX 2097152 /* bytes, as the gateway makes topics: 1 MiB of payload and the rest */
#define SL_KAFKA_QUERY_MS    15000   /* a question to the cluster, once it has been reached */
#define SL_KAFKA_COMMIT_MS   30000
#define SL_KAFKA_NOW_MS      2000  /* a commit that is not to hold up a poll */
#define SL_KAFKA_DOWN_MS     10000 /* all brokers down for so long: the application is told */
#define SL_KAFKA_NEWS_MS     5000  /* so long a broker may not know what was just made, or granted */

/*
 * One librdkafka handle with what its callbacks need. It lives until the last reference is gone, because
 * librdkafka's messages (in batches) must not outlive the handle.
 */
struct sl_kafka_client {
    rd_kafka_t *rk;
    atomic_size_t references;
    char *brokers; /* for errors */
    char *right;   /* what to ask for where Kafka forbids: "read on catalog HRN" */
    void *owner;   /* the producer or consumer: for callbacks that only its polls serve */
    struct sl_host host;
    pthread_mutex_t lock;     /* of what follows: callbacks come from librdkafka's threads */
    bool quiet;               /* the host's log is no longer valid */
    rd_kafka_resp_err_t last; /* the last error of a broker or of the client */
    char last_text[300];
    int64_t down_ms;    /* since when all brokers are down (sl_mono_ms), 0: they are not */
    bool trouble;       /* last is one that waiting does not mend: not reported yet */
    char *statistics;   /* librdkafka's own, the newest; NULL: none yet */
    char *bearer;       /* hidden: what brokers are shown; NULL: nothing yet */
    bool token_late;    /* the next error of authentication is but a token that is not there yet */
    int64_t refused_ms; /* when brokers began to refuse tokens (sl_mono_ms), 0: they do not */
    /* token.c */
    bool takes_token;           /* brokers are shown the application's bearer token */
    pthread_mutex_t token_lock; /* held while the host is asked for one */
    atomic_bool ended;          /* the host is not to be asked any more */
};

/* Makes the handle from target and conf, which is taken in any case. */
sl_status sl_kafka_client_create(const struct sl_host *host, const struct sl_target *target,
                                 rd_kafka_type_t type, rd_kafka_conf_t *conf, void *owner,
                                 struct sl_kafka_client **client, sl_error *error);
/* One more of the same settings, for one that has ended. */
sl_status sl_kafka_client_again(const struct sl_kafka_client *client, struct sl_kafka_client **again,
                                sl_error *error);
struct sl_kafka_client *sl_kafka_client_link(struct sl_kafka_client *client);
/* The last one destroys the handle. */
void sl_kafka_client_unlink(struct sl_kafka_client *client);
/* The same, but waits for librdkafka's threads no longer than wait_ms: one may be stuck in a resolver that
 * does not answer, or wait for ever for what it has lost itself. No line of log comes after it. */
void sl_kafka_client_end(struct sl_kafka_client *client, int wait_ms);
#define SL_KAFKA_END_MS     5000
#define SL_KAFKA_ABANDON_MS 200 /* of a handle with which nothing was received or sent */
/* No line of log comes after this. */
void sl_kafka_client_silence(struct sl_kafka_client *client);
void sl_kafka_client_log(struct sl_kafka_client *client, sl_log_level level, const char *format, ...)
    SL_PRINTF(3, 4);
/* The last error's text, or "" (copied). */
void sl_kafka_client_last(struct sl_kafka_client *client, char *text, size_t size);
/* An error or statistics, polled as an event: as the callbacks would. The event stays the caller's. */
void sl_kafka_client_take_event(struct sl_kafka_client *client, rd_kafka_event_t *event);
/* Appends librdkafka's newest statistics, a JSON object ({} when there are none). false: memory is out. */
bool sl_kafka_client_statistics(struct sl_kafka_client *client, struct sl_buffer *json);
/* An error that waiting does not mend (credentials, fatal) since the last call: SL_OK or that. */
sl_status sl_kafka_client_trouble(struct sl_kafka_client *client, sl_error *error);
/* "; the application lacks the right …", for the codes that say so, else "". out has SL_KAFKA_LACK bytes. */
#define SL_KAFKA_LACK 740
const char *sl_kafka_lack(const struct sl_kafka_client *client, rd_kafka_resp_err_t code,
                          char out[SL_KAFKA_LACK]);
/* "; where only HTTP gets through, set … to http-connector" */
const char *sl_kafka_hint(const struct sl_kafka_client *client);
/* Asks the cluster for the topic: reachable, there, allowed. */
sl_status sl_kafka_client_check_topic(struct sl_kafka_client *client, const char *topic, int timeout_ms,
                                      sl_error *error);

/* conf.c: our settings, the endpoint's, then the application's pass-through ones, checked. */
sl_status sl_kafka_conf_create(const struct sl_target *target, rd_kafka_type_t type,
                               const struct sl_producer_settings *producer,
                               const struct sl_consumer_settings *consumer, rd_kafka_conf_t **conf,
                               sl_error *error);

/*
 * token.c: the application's bearer token for brokers that want OAUTHBEARER.
 */
/* Whether a handle of this configuration is to be given it. */
bool sl_kafka_token_wanted(const rd_kafka_conf_t *conf);
/* For a configuration whose opaque is the client, and then for the handle made of it. */
void sl_kafka_token_set(rd_kafka_conf_t *conf);
sl_status sl_kafka_token_start(rd_kafka_t *rk, sl_error *error);
/* Called for an error of authentication: true when waiting may mend it. Another token is had where this one
 * was refused, which may block for as long as that takes. */
bool sl_kafka_token_mends(struct sl_kafka_client *client);
/* The host is not asked after this. */
void sl_kafka_token_end(struct sl_kafka_client *client);

/* error.c */
sl_status sl_kafka_error(sl_error *error, rd_kafka_resp_err_t code, const char *format, ...) SL_PRINTF(3, 4);
/* Whether Kafka says by it that a right lacks: what becomes SL_FORBIDDEN. */
bool sl_kafka_is_forbidden(rd_kafka_resp_err_t code);
/* The same from an error object, which is destroyed. */
sl_status sl_kafka_error_object(sl_error *error, rd_kafka_error_t *object, const char *what);

/* A Kafka partition with the offset of the next message to hand out; -1: not settled yet. */
struct sl_kafka_position {
    int32_t partition;
    bool paused; /* nothing of it is handed out */
    int64_t next;
    int64_t end; /* where the fetcher met the end: behind next where transactions ended; 0: it has not */
};

/* The queue of a Kafka partition. */
struct sl_kafka_queue {
    int32_t partition;
    rd_kafka_queue_t *queue;
};

struct sl_kafka_consumer {
    struct sl_host host;
    struct sl_kafka_client *client;
    char *topic, *group;
    sl_start start;
    /* Changed by poll, seek and close, which come one at a time; the lock lets commit read beside them. */
    pthread_mutex_t lock;
    struct sl_kafka_position *assigned;
    size_t assigned_count;
    /* What was assigned before the rebalance under way. */
    struct sl_kafka_position *kept;
    size_t kept_count;
    unsigned long rebalances; /* counts assignments taken away */
    bool joined;              /* an assignment has come, if only of nothing */
    bool failed;              /* failure is to be told by the next poll */
    sl_error failure;
    rd_kafka_message_t *pending; /* received, did not fit into the last batch */
    /* What the application wants paused, and what librdkafka was told to. */
    struct sl_pauses pauses, told;
    rd_kafka_t *asker; /* for questions that must not wait behind a fetch; NULL until there is one */
    rd_kafka_topic_t *handle;
    rd_kafka_queue_t *messages; /* all partitions' */
    struct sl_fetch_run run;
    /* When the fetcher is woken, in case it sleeps (sl_mono_ms; 0: not), how long that is after it was woken
     * before, and since when it fetches from elsewhere. */
    int64_t nudge_at_ms, nudge_after_ms, moved_ms;
    /* Of all partitions that were ever this consumer's: leftovers.c. */
    struct sl_kafka_queue *queues;
    size_t queue_count;
};

/* assignment.c */
void sl_kafka_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list,
                           void *opaque);
/* NULL: not this consumer's. */
struct sl_kafka_position *sl_kafka_position_of(const struct sl_kafka_consumer *consumer, int32_t partition);
/* Fixes where to begin in partitions that have no position yet, and fetches from there. */
sl_status sl_kafka_settle(struct sl_kafka_consumer *consumer, sl_error *error);
bool sl_kafka_settled(const struct sl_kafka_consumer *consumer);
/* Fetches from the positions on; what was received before and not handed out is dropped. */
sl_status sl_kafka_restart(struct sl_kafka_consumer *consumer, sl_error *error);
/* Whether the log has the offset, as far as the last fetch told. */
bool sl_kafka_known_to_be_there(const struct sl_kafka_consumer *consumer, int32_t partition, int64_t offset);
/* Nothing waits any more: has librdkafka to be woken to fetch again? */
void sl_kafka_ran_empty(struct sl_kafka_consumer *consumer);
/* It fetches from elsewhere: the fetcher may have to be woken (nudge_at_ms). */
void sl_kafka_moved(struct sl_kafka_consumer *consumer);
void sl_kafka_nudge(struct sl_kafka_consumer *consumer); /* wakes it, and says when next */
/* Commits the offsets in list; returns when Kafka has them. */
sl_status sl_kafka_commit(struct sl_kafka_consumer *consumer, const rd_kafka_topic_partition_list_t *list,
                          int timeout_ms, sl_error *error);
void sl_kafka_drop_pending(struct sl_kafka_consumer *consumer);

/* offsets.c */
/* The handle whose questions wait for no fetch. */
rd_kafka_t *sl_kafka_asker(struct sl_kafka_consumer *consumer);
/* The begin or end of each partition in list, in its offset field. */
sl_status sl_kafka_ends(struct sl_kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list,
                        sl_start where, sl_error *error);
/* Where the first message at or after the time lies; where there is none, the end. */
sl_status sl_kafka_times(struct sl_kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list,
                         int64_t timestamp_ms, sl_error *error);
/* All partitions that are this consumer's, without offsets; NULL: no memory. */
rd_kafka_topic_partition_list_t *sl_kafka_assigned_list(const struct sl_kafka_consumer *consumer);
void sl_kafka_offsets_close(struct sl_kafka_consumer *consumer);

/* leftovers.c: queues of partitions, told of when they are assigned, and emptied once the group is left. */
void sl_kafka_leftovers_know(struct sl_kafka_consumer *consumer, const rd_kafka_topic_partition_list_t *list);
void sl_kafka_leftovers_drop(struct sl_kafka_consumer *consumer);

/* seek.c */
sl_status sl_kafka_seek_one(struct sl_kafka_consumer *consumer, int32_t partition, int64_t offset,
                            sl_error *error);

/* pause.c: tells librdkafka what is to be paused and is not yet, once partitions are assigned. */
void sl_kafka_apply_pauses(struct sl_kafka_consumer *consumer);

/* sharing.c: warns when another member is in the default group. */
void sl_kafka_warn_of_sharing(struct sl_kafka_consumer *consumer, const struct sl_target *target);

/* batch.c */
struct sl_kafka_batch;
struct sl_kafka_batch *sl_kafka_batch_create(struct sl_kafka_client *client);
/* Takes the message; false when memory is out: the message is then still the caller's. */
bool sl_kafka_batch_add(struct sl_kafka_batch *batch, rd_kafka_message_t *message);
/* What the last one that was added weighs. */
size_t sl_kafka_batch_last_weight(const struct sl_kafka_batch *batch);
/* Gives the last one back. */
rd_kafka_message_t *sl_kafka_batch_untake(struct sl_kafka_batch *batch);
/* Drops the messages of partitions that are no longer the consumer's. */
void sl_kafka_batch_filter(struct sl_kafka_batch *batch, const struct sl_kafka_consumer *consumer);
/* Moves the consumer's positions behind the batch. */
void sl_kafka_batch_advance(const struct sl_kafka_batch *batch, struct sl_kafka_consumer *consumer);
/* The batch as it is handed out; NULL (and released) when it is empty. */
struct sl_batch *sl_kafka_batch_finish(struct sl_kafka_batch *batch);
size_t sl_kafka_batch_count(const struct sl_kafka_batch *batch);

/* A list of the offsets, each of which must be of a partition that is this consumer's. commit: one more each.
 */
sl_status sl_kafka_make_list(struct sl_kafka_consumer *consumer, const sl_offset *offsets, size_t count,
                             bool commit, rd_kafka_topic_partition_list_t **list, sl_error *error);

/* The operations of the table. */
sl_status sl_kafka_producer_open(const struct sl_host *host, const struct sl_target *target,
                                 const struct sl_producer_settings *settings, void **producer,
                                 sl_error *error);
sl_status sl_kafka_producer_send(void *producer, const struct sl_message *message, void *ticket,
                                 sl_error *error);
/* Frees messages that are reported, until librdkafka has none left or time is up. */
void sl_kafka_producer_empty(void *producer, int64_t deadline_ms);
/* Of one that makes transactions: others' changes when librdkafka's producer ends. */
struct sl_kafka_client *sl_kafka_producer_client(const void *producer);
bool sl_kafka_producer_statistics(void *producer, struct sl_buffer *json);
void sl_kafka_producer_close(void *producer);
/* transaction.c: as struct sl_connector has them. */
sl_status sl_kafka_transactions_init(struct sl_kafka_client *client, int timeout_ms, sl_error *error);
sl_status sl_kafka_producer_begin(void *producer, sl_error *error);
sl_status sl_kafka_producer_offsets(void *producer, void *consumer, const sl_offset *offsets, size_t count,
                                    int timeout_ms, sl_error *error);
sl_status sl_kafka_producer_end(void *producer, bool commit, int timeout_ms, sl_error *error);
sl_status sl_kafka_consumer_open(const struct sl_host *host, const struct sl_target *target,
                                 const struct sl_consumer_settings *settings, void **consumer,
                                 sl_error *error);
sl_status sl_kafka_consumer_poll(void *consumer, int timeout_ms, size_t max_messages, size_t max_bytes,
                                 struct sl_batch **batch, sl_error *error);
sl_status sl_kafka_consumer_commit(void *consumer, const sl_offset *offsets, size_t count, sl_error *error);
sl_status sl_kafka_consumer_commit_now(void *consumer, const sl_offset *offsets, size_t count,
                                       sl_error *error);
sl_status sl_kafka_consumer_seek(void *consumer, const sl_offset *offsets, size_t count, sl_error *error);
sl_status sl_kafka_consumer_seek_to(void *consumer, sl_start where, sl_error *error);
sl_status sl_kafka_consumer_seek_time(void *consumer, int64_t timestamp_ms, sl_error *error);
sl_status sl_kafka_consumer_pause(void *consumer, const int32_t *partitions, size_t count, bool paused,
                                  sl_error *error);
sl_status sl_kafka_consumer_positions(void *consumer, sl_partition_position *list, size_t capacity,
                                      size_t *count, sl_error *error);
bool sl_kafka_consumer_statistics(void *consumer, struct sl_buffer *json);
const char *sl_kafka_consumer_group(const void *consumer);
sl_status sl_kafka_consumer_close(void *consumer, sl_error *error);

#endif
