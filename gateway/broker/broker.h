/*
 * A Kafka cluster, as the gateway uses it: one producer for all, topic administration, subscriptions. Knows
 * nothing of HTTP but the loops that its results are posted to. brokers.h has all clusters.
 */
#ifndef GW_BROKER_BROKER_H
#define GW_BROKER_BROKER_H

#include "gateway/faults.h"
#include "gateway/http/server.h"
#include "gateway/store/catalogs.h"
#include "wire/endpoint.h"
#include "wire/message.h"
#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <streamlayer/config.h>

struct gw_broker;

/* cluster: GW_CLUSTER_DEFAULT, or a name in streamlayer.gateway.kafka.clusters. budget: where messages count
 * until Kafka has them; borrowed; NULL: without bound. */
sl_status gw_broker_open(const sl_config *config, const char *cluster, const struct sl_log *log,
                         struct gw_budget *budget, struct gw_broker **out, sl_error *error);
/* What gw_broker_open would say to the configuration, without a connection. */
void gw_broker_try(const sl_config *config, const char *cluster, struct gw_faults *faults);
const char *gw_broker_cluster(const struct gw_broker *broker);
/* From now on that loop serves the delivery reports, its own without a detour. Once. */
void gw_broker_attach(struct gw_broker *broker, struct gw_loop *loop);
/* Begins what gw_broker_finish waits for, until then (sl_mono_ms), so that several may end at once. */
void gw_broker_end(struct gw_broker *broker, int64_t until_ms);
/* Flushes up to grace_ms; every record still unacknowledged is reported as failed. What loops write
 * afterwards is refused with SL_CLOSED; what they hold may be given back. */
void gw_broker_finish(struct gw_broker *broker, int grace_ms);
/* The same, and releases: no loop and no consumer may have it any more. */
void gw_broker_close(struct gw_broker **broker, int grace_ms);

/* Whether Kafka answers, within timeout_ms. Blocks: on a worker only. */
sl_status gw_broker_check(struct gw_broker *broker, int timeout_ms, sl_error *error);
/* SL_FORBIDDEN while Kafka lets the gateway's principal write to no topic; by what is known, without asking.
 */
sl_status gw_broker_may_write(struct gw_broker *broker, sl_error *error);

/* When (sl_mono_ms) a request that begins now must have what it asks of Kafka: limits.kafka-wait. */
int64_t gw_broker_deadline_ms(const struct gw_broker *broker);

/* Topics. Block, until until_ms at most: on a worker only. Making one that exists, or deleting one that is
 * gone, is SL_OK. */
sl_status gw_broker_create_topic(struct gw_broker *broker, const char *topic, int partitions,
                                 int64_t retention_ms, int64_t until_ms, sl_error *error);
sl_status gw_broker_delete_topic(struct gw_broker *broker, const char *topic, int64_t until_ms,
                                 sl_error *error);

/* What a topic is now. Block likewise. Errors: SL_NOT_FOUND (there is none), SL_UNAVAILABLE, SL_TIMED_OUT,
 * SL_KAFKA. */
struct gw_topic_facts {
    int partitions;
    int64_t retention_ms; /* -1: for ever */
};
sl_status gw_broker_topic_facts(struct gw_broker *broker, const char *topic, int64_t until_ms,
                                struct gw_topic_facts *facts, sl_error *error);
/* Gives the topic more partitions where it has fewer; returns when they can be written to. Never takes any.
 */
sl_status gw_broker_grow_topic(struct gw_broker *broker, const char *topic, int partitions, int64_t until_ms,
                               sl_error *error);
/* Sets how long its messages stay. All else that somebody has set for the topic stays as it is. */
sl_status gw_broker_keep_for(struct gw_broker *broker, const char *topic, int64_t retention_ms,
                             int64_t until_ms, sl_error *error);

/*
 * Writes one message. Copies what it needs. SL_OK: done will be called once, on loop's thread. SL_QUEUE_FULL:
 * the producer's queue is full, or the budget (answer 503 with Retry-After). SL_CLOSED: it is finished.
 * Loop's thread. Partitioner: murmur2 of the key, as Kafka's Java clients. What may lie anywhere goes where
 * others that may went a moment ago: one large batch for Kafka instead of many small ones.
 */
#define GW_WRITE_TEXT 256
struct gw_write {
    struct gw_task task; /* the broker's, until done */
    void (*done)(struct gw_write *write);
    size_t
        counted; /* bytes of the message that the caller has taken from the budget: the broker's with SL_OK */
    bool anywhere;    /* no other message ever has its partition id: any Kafka partition will do */
    sl_status status; /* results: SL_OK when all in-sync replicas have it */
    sl_offset offset;
    bool retriable;           /* not SL_OK: the same write may succeed later (it may also have succeeded) */
    char text[GW_WRITE_TEXT]; /* why not */
    struct gw_loop *loop;     /* set by gw_broker_write */
    struct gw_write *next;    /* the broker's: reported together */
};
sl_status gw_broker_write(struct gw_broker *broker, struct gw_loop *loop, const char *topic,
                          const struct sl_message *message, struct gw_write *write, sl_error *error);

/* Why a message waits in vain: the cluster does not answer. Any thread. */
void gw_broker_say_silent(const struct gw_broker *broker, char text[GW_WRITE_TEXT]);

/* What endpoint calls say. Filled; freed with sl_endpoint_free. */
sl_status gw_broker_endpoint(struct gw_broker *broker, const char *topic, int64_t ttl_ms,
                             const char *application, struct sl_endpoint *endpoint);

/* For handles of one's own: a configuration of librdkafka's with the brokers, the log, our defaults, and over
 * them the properties of the pass-through sections: client, then the kind's. kind: "producer" or "consumer".
 */
struct gw_kafka_default {
    const char *name, *value;
};
sl_status gw_kafka_conf(const struct gw_broker *broker, const char *kind,
                        const struct gw_kafka_default *defaults, size_t count, rd_kafka_conf_t **out,
                        sl_error *error);
sl_status gw_kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value, sl_error *error);

/* Counters and gauges for /metrics: the samples of all brokers are written together (brokers.c). */
struct gw_broker_numbers {
    unsigned long long written, written_bytes, failed, queue_full, queued, topics;
};
void gw_broker_count(struct gw_broker *broker, struct gw_broker_numbers *numbers);

#endif
