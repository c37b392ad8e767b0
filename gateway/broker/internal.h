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
#define GW_TROUBLE_MAX       640
#define GW_TOLD_COUNT        16
#define GW_TOLD_MAX          256
#define GW_SETTING_MAX       160 /* bytes of the path of a cluster's setting, its name included */
#define GW_OUTBOXES          64  /* loops whose reports are posted together */

/* Reports for one loop, gathered while one round of delivery reports is served. */
struct gw_outbox {
    struct gw_loop *loop;
    struct gw_write *first, *last;
};

/* How a cluster is reached; NULL members: librdkafka's default, or none. */
struct gw_access_data {
    char *brokers;
    char *security_protocol, *sasl_mechanism, *ca_pem;
    char *user; /* sasl.username; the gateway's own only */
};

/* A trouble that was logged. */
struct gw_told {
    char text[GW_TOLD_MAX];
    int64_t at_ms; /* sl_mono_ms() */
};

struct gw_broker {
    sl_config *config;
    struct sl_log log;
    char *cluster;                      /* its name, for people and for layers */
    char *root;                         /* of its settings, without a dot at the end */
    struct gw_access_data own, clients; /* as the gateway reaches it; as endpoint calls tell */
    int replication_factor;
    bool keeps_acls;  /* grants are written there as access control lists: acls.h */
    int direct_share; /* Direct Kafka's part of layers' throughput, in percent: quotas.h; 0: no quotas */
    int64_t quota_window_ms;    /* over which the brokers take a mean for them */
    atomic_bool acls_cancelled; /* nobody waits for that any more */
    int64_t wait_ms;            /* limits.kafka-wait */

    /* Why the last connection was not made, as librdkafka said it: the errors of calls only say that they
     * timed out. "" when there is no trouble. */
    pthread_mutex_t trouble_lock;
    char trouble[GW_TROUBLE_MAX];
    struct gw_told told[GW_TOLD_COUNT];

    /* The producer is replaced when Kafka's idempotence ends it for good: writers hold the lock shared. */
    pthread_rwlock_t lock;
    rd_kafka_t *producer;
    struct gw_topics *topics;
    pthread_rwlock_t keep; /* shared by calls that block on the producer: it is not destroyed meanwhile */
    atomic_bool fatal;     /* librdkafka said so: the poller, which is to be told, replaces the producer */

    /* Kafka gives the producer no id, as the gateway's principal may write nowhere. */
    atomic_bool refused;
    atomic_llong replaced_ms;                 /* sl_mono_ms() */
    int64_t replace_due_ms, refused_pause_ms; /* under serving; -1: not thought of yet */

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

/* access.c: broker->own and ->clients from the settings. Errors: SL_BAD_CONFIG, SL_OUT_OF_MEMORY. */
sl_status gw_broker_read_access(struct gw_broker *broker, sl_error *error);
void gw_access_data_free(struct gw_access_data *data);

/* access.c: what librdkafka says of connections, on whatever thread it says it; logged once for all clients
 * of the cluster. who: of which client's, or "". */
void gw_broker_note_trouble(struct gw_broker *broker, rd_kafka_resp_err_t code, const char *who,
                            const char *reason);
void gw_broker_clear_trouble(struct gw_broker *broker);
/* Adds which cluster it is, and the trouble that there is, to the error of a call that Kafka did not answer;
 * returns its status. */
sl_status gw_broker_explain(struct gw_broker *broker, sl_error *error);
/* The same, for who reads the layer: of one on the Marketplace he may know neither the topic nor the cluster,
 * which are in the log then. */
sl_status gw_layer_explain(struct gw_broker *broker, const struct gw_layer *layer, sl_error *error);

/* producer.c */
sl_status gw_producer_open(struct gw_broker *broker, sl_error *error);
/* Begins the end: what is queued is flushed until then (sl_mono_ms). Does not wait. */
void gw_producer_end(struct gw_broker *broker, int64_t until_ms);
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
rd_kafka_resp_err_t gw_broker_offsets(struct gw_broker *broker, rd_kafka_topic_partition_list_t *list,
                                      int timeout_ms);
/* The first message, in each of the list's partitions, at or after a time (ms, from 0); where there is none,
 * the end. Blocks likewise. */
rd_kafka_resp_err_t gw_broker_offsets_at(struct gw_broker *broker, rd_kafka_topic_partition_list_t *list,
                                         int64_t timestamp_ms, int timeout_ms);

/* admin.c: an administrator of its own for one operation; NULL: error says why. */
#define GW_METADATA_TIMEOUT_MS 5000
rd_kafka_t *gw_admin_open(const struct gw_broker *broker, sl_error *error);
/* admin.c: the same with a queue for answers. topic, until_ms: the asker's own, where it has use for them. To
 * be ended whether it began or not. */
struct gw_asking {
    struct gw_broker *broker;
    const char *topic;
    int64_t until_ms;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
};
sl_status gw_asking_begin(struct gw_asking *asking, struct gw_broker *broker, const char *topic,
                          int64_t until_ms, sl_error *error);
void gw_asking_end(struct gw_asking *asking);
/* For one that is to be answered by until_ms. NULL: memory is out, and librdkafka's own time-outs hold. */
rd_kafka_AdminOptions_t *gw_admin_options(rd_kafka_t *rk, rd_kafka_admin_op_t operation, int64_t until_ms);
/* How long its answer is waited for: librdkafka itself says when its time is over. */
int gw_admin_patience_ms(int64_t until_ms);
/* What is left until then (INT64_MAX: for ever), for a call whose time-out is to be positive: at most max_ms.
 */
int gw_kafka_remaining_ms(int64_t until_ms, int max_ms);
/* The controller has the topic, or (grown) more of it; brokers learn of it and choose leaders a little later.
 */
sl_status gw_admin_await(struct gw_broker *broker, rd_kafka_t *rk, const char *topic, int partitions,
                         bool grown, int64_t until_ms, sl_error *error);

/*
 * admin.c: the settings of a topic that follow from how long its messages stay. Kafka's retention goes by the
 * record's own timestamp: one older than the retention is deleted minutes after it was acknowledged, and by
 * GW_TIMESTAMP_BOUND Kafka refuses such a record instead (Kafka 3.6 and later; older ones refuse the
 * setting).
 */
#define GW_RETENTION_SETTINGS 3
#define GW_TIMESTAMP_BOUND    "message.timestamp.before.max.ms"
struct gw_topic_setting {
    const char *name;
    char value[24];
};
void gw_topic_retention(int64_t retention_ms, struct gw_topic_setting settings[GW_RETENTION_SETTINGS]);

/* The status that a code of librdkafka's means, and whether the same may work later. */
sl_status gw_kafka_status(rd_kafka_resp_err_t code, bool *retriable);
/* The error of a call to Kafka that asked for something: "Kafka did not delete topic NAME: …" for the what
 * "delete topic". text: librdkafka's, or NULL for the code's own. */
sl_status gw_kafka_error(rd_kafka_resp_err_t code, const char *text, const char *what, const char *name,
                         sl_error *error);
/* The same of a topic: where Kafka does not let the gateway, the error says that it lacks that right. */
sl_status gw_topic_error(rd_kafka_resp_err_t code, const char *text, const char *what, const char *topic,
                         const char *right, sl_error *error);

#endif
