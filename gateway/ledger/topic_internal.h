/* What the files of the ledger's topic share: topic.c (begin and end), topic_write.c, topic_read.c. */
#ifndef GW_LEDGER_TOPIC_INTERNAL_H
#define GW_LEDGER_TOPIC_INTERNAL_H

#include "gateway/broker/broker.h"
#include "gateway/ledger/internal.h"

#define GW_TOPIC_RETRY_MS       1000
#define GW_TOPIC_PARTITIONS_MAX 1024
#define GW_TOPIC_BATCH          1000   /* events that are folded in a transaction */
#define GW_TOPIC_BATCH_BYTES    131072 /* of a batch at most, unless an event has more by itself */

/* A partition, as it is written to. */
struct gw_lane {
    int64_t sequence; /* of the last event that was given to librdkafka */
    size_t pending;   /* events that Kafka has not answered for */
    int64_t since_ms; /* how long it has said nothing, while there are such */
};

struct gw_ledger_log {
    struct gw_ledger *ledger;
    struct gw_broker *broker;
    char *topic;
    int partitions; /* to make it with; then, once it is found, those that there are */
    rd_kafka_t *producer, *consumer;
    pthread_t reporter, reader;
    atomic_bool stopping;
    bool started;
    int64_t wait_ms; /* how long Kafka may say nothing of an event */

    pthread_mutex_t lock; /* also makes the order of what is written */
    pthread_cond_t drained;
    /* Under the lock. */
    struct gw_lane lanes[GW_TOPIC_PARTITIONS_MAX];
    uint64_t orders;                /* of the last entry that was submitted */
    size_t in_flight;               /* entries */
    bool found;                     /* the topic */
    bool open;                      /* what is submitted is written; else it is kept, or refused */
    bool failed;                    /* something that was given to librdkafka was not written */
    rd_kafka_resp_err_t why;        /* then: what came first */
    bool tried;                     /* while it is not open: what was given last has failed in nothing yet */
    struct gw_ledger_entry *kept;   /* lazy ones, which go before all that is submitted now, in their order */
    struct gw_ledger_entry *latest; /* the last of them */
    int64_t kept_ms;                /* when the first of them came */

    /* The reporter's. */
    int64_t tried_ms;
    bool said; /* that it failed */

    /* The reader's. */
    struct gw_ledger_read reads[GW_TOPIC_BATCH]; /* what the transaction has read */
    size_t read_count;
    bool unread[GW_TOPIC_PARTITIONS_MAX]; /* not to its end yet, or it cannot be read */
    bool unfolded;                        /* the last transaction failed */
};

/* topic.c: a connection of that type. */
sl_status gw_topic_connect(struct gw_ledger_log *log, rd_kafka_type_t type, rd_kafka_t **out,
                           sl_error *error);

/* topic_write.c. The topic is there, and has so many partitions: what the last run has left open in each is
 * not known to have arrived, and when that is written the rest may be. */
sl_status gw_topic_begin_writing(struct gw_ledger_log *log, int partitions, sl_error *error);
void *gw_topic_report(void *opaque); /* a thread's, of a log: serves the reports of what was written */
void gw_topic_on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);
/* Waits for so long, until all is written that can be. */
void gw_topic_drain(struct gw_ledger_log *log, int64_t wait_ms);
/* After its thread has ended: whoever waits yet hears that it is over. */
void gw_topic_end_writing(struct gw_ledger_log *log);

/* topic_read.c: a thread's, of a log. Finds the topic, and folds what it has. */
void *gw_topic_read(void *opaque);

#endif
