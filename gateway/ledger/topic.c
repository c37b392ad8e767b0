/*
 * The ledger's log as a Kafka topic, for several gateways. What happens is written there, in one partition
 * for each application, so that its events keep their order; it is durable when Kafka says so. Every gateway
 * reads the topic and folds it into its own ledger.db, with the offsets in the same transaction: so all come
 * to the same figures, because nothing but the log's order decides.
 *
 * Two threads: one serves the reports of what was written (topic_write.c), one reads (topic_read.c). What is
 * submitted is given to librdkafka's queue by whoever submits it.
 */
#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/ledger/topic_internal.h"

#include <stdlib.h>

#define FLUSH_MS 5000
#define WAIT_MS  10000 /* for Kafka's word on an event; or limits.kafka-wait, if that is less */

static sl_status configure(struct gw_ledger_log *log, rd_kafka_type_t type, rd_kafka_conf_t **conf,
                           sl_error *error)
{
    char group[64], batch[16];
    snprintf(group, sizeof group, "streamlayer-ledger-%s", log->ledger->store.node);
    snprintf(batch, sizeof batch, "%d", GW_TOPIC_BATCH_BYTES);
    const struct gw_kafka_default producer[] = {
        {"linger.ms", "0"},    {"enable.idempotence", "true"},
        {"acks", "all"},       {"message.max.bytes", "2097152"},
        {"batch.size", batch}, {"allow.auto.create.topics", "false"},
    };
    const struct gw_kafka_default consumer[] = {
        {"group.id", group}, /* which librdkafka wants; nothing is committed */
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "error"}, /* where the offset is gone, events are */
        {"fetch.min.bytes", "262144"},  /* some answers' events together, */
        {"fetch.wait.max.ms", "100"},   /* or those of this time */
    };
    if (type == RD_KAFKA_CONSUMER)
        return gw_kafka_conf(log->broker, "consumer", consumer, sizeof consumer / sizeof *consumer, conf,
                             error);
    sl_status status =
        gw_kafka_conf(log->broker, "producer", producer, sizeof producer / sizeof *producer, conf, error);
    /* Nobody's to set: an event that times out by itself, or is refused, would let the one behind it go
     * first. It is topic_write.c that gives up, all at once. */
    if (!status)
        status = gw_kafka_set(*conf, "message.timeout.ms", "0", error);
    return status ? status : gw_kafka_set(*conf, "enable.gapless.guarantee", "true", error);
}

sl_status gw_topic_connect(struct gw_ledger_log *log, rd_kafka_type_t type, rd_kafka_t **out, sl_error *error)
{
    char text[512];
    rd_kafka_conf_t *conf;
    sl_status status = configure(log, type, &conf, error);
    if (status) {
        if (conf)
            rd_kafka_conf_destroy(conf);
        return status;
    }
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, gw_topic_on_report);
    *out = rd_kafka_new(type, conf, text, sizeof text);
    if (*out)
        return SL_OK;
    rd_kafka_conf_destroy(conf);
    return sl_error_set(error, SL_BAD_CONFIG, "the ledger's connection to Kafka cannot be made: %s", text);
}

static sl_status start(struct gw_ledger_log *log, sl_error *error)
{
    if (pthread_create(&log->reporter, NULL, gw_topic_report, log))
        return sl_error_set(error, SL_INTERNAL, "cannot start the ledger's threads");
    if (pthread_create(&log->reader, NULL, gw_topic_read, log)) {
        atomic_store(&log->stopping, true);
        pthread_join(log->reporter, NULL);
        return sl_error_set(error, SL_INTERNAL, "cannot start the ledger's threads");
    }
    log->started = true;
    return SL_OK;
}

sl_status gw_ledger_connect(struct gw_ledger *ledger, struct gw_broker *broker, const char *topic,
                            int partitions, sl_error *error)
{
    if (!ledger->running)
        return SL_OK; /* ledger.db is damaged: its log has been written to */
    struct gw_ledger_log *log = calloc(1, sizeof *log);
    if (!log || !(log->topic = sl_strdup(topic))) {
        free(log);
        return sl_error_oom(error);
    }
    log->ledger = ledger;
    log->broker = broker;
    log->partitions = partitions;
    int64_t wait_ms = gw_broker_deadline_ms(broker) - sl_mono_ms();
    log->wait_ms = wait_ms < WAIT_MS ? wait_ms : WAIT_MS;
    pthread_mutex_init(&log->lock, NULL);
    sl_cond_init(&log->drained);
    pthread_mutex_lock(&ledger->lock);
    ledger->failing |=
        GW_LEDGER_APPENDING | GW_LEDGER_FOLDING; /* until the topic is found, and read to its end */
    ledger->log_topic = log;
    pthread_mutex_unlock(&ledger->lock);
    sl_status status = gw_topic_connect(log, RD_KAFKA_PRODUCER, &log->producer, error);
    if (!status)
        status = gw_topic_connect(log, RD_KAFKA_CONSUMER, &log->consumer, error);
    if (!status)
        rd_kafka_poll_set_consumer(log->consumer);
    return status ? status : start(log, error);
}

void gw_ledger_log_finish(struct gw_ledger_log *log)
{
    if (!log || !log->started)
        return;
    log->started = false;
    gw_topic_drain(log, FLUSH_MS);
    pthread_mutex_lock(&log->ledger->lock);
    atomic_store(&log->stopping, true);
    pthread_cond_broadcast(&log->ledger->changed);
    pthread_mutex_unlock(&log->ledger->lock);
    pthread_join(log->reporter, NULL);
    pthread_join(log->reader, NULL);
    gw_topic_end_writing(log);
}

void gw_ledger_log_free(struct gw_ledger_log **out)
{
    struct gw_ledger_log *log = *out;
    *out = NULL;
    if (!log)
        return;
    if (log->consumer) {
        rd_kafka_consumer_close(log->consumer);
        rd_kafka_destroy(log->consumer);
    }
    if (log->producer)
        rd_kafka_destroy(log->producer);
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->drained);
    free(log->topic);
    free(log);
}
