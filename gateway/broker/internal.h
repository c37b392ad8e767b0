/* What the files of gateway/broker share. */
#ifndef GW_BROKER_INTERNAL_H
#define GW_BROKER_INTERNAL_H

#include "gateway/broker/broker.h"
#include "gateway/broker/topics.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define GW_MESSAGE_MAX       2097152 /* bytes of a Kafka record: 1 MiB of payload, its key and headers */
#define GW_PROPERTY_TEXT_MAX 512     /* what librdkafka says of a bad property */
#define GW_OUTBOXES          64      /* loops whose reports are posted together */

/* Reports for one loop, gathered while one round of delivery reports is served. */
struct gw_outbox {
    struct gw_loop *loop;
    struct gw_write *first, *last;
};

struct gw_broker {
    sl_config *config;
    struct sl_log log;
    char *brokers;
    int replication_factor;
    char *security_protocol, *sasl_mechanism, *ca_pem; /* for endpoint calls; NULL: none */

    /* The producer is replaced when Kafka's idempotence ends it for good: writers hold the lock shared. */
    pthread_rwlock_t lock;
    rd_kafka_t *producer;
    struct gw_topics *topics;
    pthread_rwlock_t keep; /* shared by calls that block on the producer: it is not destroyed meanwhile */
    atomic_bool fatal;     /* librdkafka said so: the poller, which is to be told, replaces the producer */

    /* Delivery reports are served by a loop, once there is one: a thread of their own would be woken for
     * every batch. The poller does it before and at the end, and replaces the producer. */
    pthread_mutex_t serving;  /* whoever serves */
    struct gw_loop *reporter; /* that loop */
    struct gw_watch reports;  /* its own */
    struct gw_task attach;
    atomic_bool attached;
    pthread_t poller;
    bool polling;
    sem_t wanted; /* the poller has something to do */
    atomic_bool stopping;
    atomic_llong flush_until_ms;            /* set before stopping */
    struct gw_outbox outboxes[GW_OUTBOXES]; /* under serving */
    size_t outbox_count;
    size_t reported; /* bytes of messages that are no longer librdkafka's, likewise */

    struct gw_budget *budget;
    atomic_int group_calls; /* groups.c: under way */
    atomic_ullong written, written_bytes, failed, queue_full;
};

/* broker.c: a configuration of librdkafka's with the brokers, the log, our defaults, and over them the
 * properties of a pass-through section. kind: "producer" or "consumer". */
struct gw_kafka_default {
    const char *name, *value;
};
sl_status gw_kafka_conf(const struct gw_broker *broker, const char *kind,
                        const struct gw_kafka_default *defaults, size_t count, rd_kafka_conf_t **out,
                        sl_error *error);
sl_status gw_kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value, sl_error *error);

/* producer.c */
sl_status gw_producer_open(struct gw_broker *broker, sl_error *error);
void gw_producer_close(struct gw_broker *broker, int grace_ms);
/* A topic that was just made becomes known to the producer before the first write. */
void gw_producer_prepare(struct gw_broker *broker, const char *topic);
void gw_producer_forget(struct gw_broker *broker, const char *topic);

/* admin.c: the producer, kept until let_go; writers need not wait for what is asked of Kafka with it. */
rd_kafka_t *gw_broker_keep(struct gw_broker *broker);
void gw_broker_let_go(struct gw_broker *broker);

/*
 * admin.c: Kafka's offsets of partitions, asked for in one request a leader: each one's offset says which,
 * RD_KAFKA_OFFSET_BEGINNING or RD_KAFKA_OFFSET_END, and becomes the number. Through the producer's
 * connections: on a consumer's own the question would wait behind its fetch. Blocks: on a worker only.
 */
rd_kafka_resp_err_t gw_broker_offsets(struct gw_broker *broker, rd_kafka_topic_partition_list_t *list);
/* The first message, in each of the list's partitions, at or after a time (ms, from 0); where there is none,
 * the end. Blocks likewise. */
rd_kafka_resp_err_t gw_broker_offsets_at(struct gw_broker *broker, rd_kafka_topic_partition_list_t *list,
                                         int64_t timestamp_ms);

/* The status that a code of librdkafka's means, and whether the same may work later. */
sl_status gw_kafka_status(rd_kafka_resp_err_t code, bool *retriable);
/* The error of a call to Kafka that asked for something: "Kafka did not delete topic NAME: …" for the what
 * "delete topic". text: librdkafka's, or NULL for the code's own. */
sl_status gw_kafka_error(rd_kafka_resp_err_t code, const char *text, const char *what, const char *name,
                         sl_error *error);

#endif
