/*
 * librdkafka's configuration. Later wins: our defaults, the layer's endpoint, the application's section
 * stream.kafka.producer {…} or .consumer {…}. What would break a promise of the library is refused there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "connectors/kafka/kafka.h"

#define ENDPOINT  "it comes from the layer's endpoint"
#define SETTINGS  SL_KAFKA_SETTINGS
#define FOR_ORDER "it keeps the order of a partition id and loses no message"

/* Properties that the library governs, with the reason or the setting that is right instead. */
static const struct {
    const char *name, *instead;
} governed[] = {
    {"bootstrap.servers", ENDPOINT},
    {"metadata.broker.list", ENDPOINT},
    {"group.id", "set " SETTINGS "consumer.group"},
    {"group.instance.id", "a static member does not leave its group, so that closing a consumer would keep "
                          "its Kafka partitions from the others"},
    {"enable.auto.commit", "set " SETTINGS "consumer.auto-commit.enabled"},
    {"auto.commit.enable", "set " SETTINGS "consumer.auto-commit.enabled"},
    {"auto.commit.interval.ms", "set " SETTINGS "consumer.auto-commit.interval"},
    {"enable.auto.offset.store", "the library itself keeps account of what is processed"},
    {"offset.store.method", "offsets are kept by Kafka"},
    {"offset.store.path", "offsets are kept by Kafka"},
    {"offset.store.sync.interval.ms", "offsets are kept by Kafka"},
    {"auto.offset.reset", "set " SETTINGS "consumer.start"},
    {"queued.max.messages.kbytes", "set " SETTINGS "consumer.prefetch.max-bytes"},
    {"enable.partition.eof", "the library has no such event"},
    {"group.protocol.type", "it is always \"consumer\""},
    {"queue.buffering.max.messages", "set " SETTINGS "producer.queue.max-messages"},
    {"queue.buffering.max.kbytes", "set " SETTINGS "producer.queue.max-bytes"},
    {"message.timeout.ms", "set " SETTINGS "producer.delivery-timeout"},
    {"delivery.timeout.ms", "set " SETTINGS "producer.delivery-timeout"},
    {"acks", "a delivery report always means all in-sync replicas"},
    {"request.required.acks", "a delivery report always means all in-sync replicas"},
    {"enable.idempotence", FOR_ORDER},
    {"enable.gapless.guarantee", "it would end a producer at the first message that failed"},
    {"partitioner", "both connectors must choose the same Kafka partition for a partition id"},
    {"queuing.strategy", FOR_ORDER},
    {"delivery.report.only.error", "every message is reported"},
    {"transactional.id", "the program names its transactions: sl_producer_options_set_transactions"},
    {"log.queue", "log lines go to the library's log"},
    {"enabled_events", "the library handles events itself"},
};

static sl_status set(rd_kafka_conf_t *conf, const char *name, const char *value, sl_error *error)
{
    char text[300];
    if (!value || rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return SL_OK;
    return sl_error_set(error, SL_BAD_CONFIG, "Kafka setting %s = \"%.100s\": %s", name, value, text);
}

static sl_status set_number(rd_kafka_conf_t *conf, const char *name, int64_t value, int64_t max,
                            sl_error *error)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)(value > max ? max : value));
    return set(conf, name, text, error);
}

static sl_status set_all(rd_kafka_conf_t *conf, const char *const (*pairs)[2], size_t count, sl_error *error)
{
    sl_status status = SL_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = set(conf, pairs[i][0], pairs[i][1], error);
    return status;
}

static const char *const common[][2] = {
    {"message.max.bytes", "2097152"},
    {"socket.nagle.disable", "true"}, /* one small message waits for no acknowledgement */
    {"socket.keepalive.enable", "true"},
    {"reconnect.backoff.max.ms", "2000"},
    {"log.connection.close", "false"},
};

static const char *const for_producer[][2] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"partitioner", "murmur2_random"}, /* the Java client's, so that Flink and Connect agree */
    /* What Kafka's own client waits, too. Measured: 1 ms costs a tenth and 0 a third more CPU time where
     * messages come fast. */
    {"linger.ms", "5"},
};

static const char *const for_consumer[][2] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    /* Eager: a rebalance takes all partitions and gives them anew, which keeps their account simple. */
    {"partition.assignment.strategy", "range,roundrobin"},
    {"session.timeout.ms", "10000"},
    {"heartbeat.interval.ms", "1000"},
    {"fetch.message.max.bytes", "2162688"}, /* a message of message.max.bytes with its frame */
    {"fetch.error.backoff.ms", "100"},
    {"allow.auto.create.topics", "false"},
    {"enable.partition.eof", "true"}, /* consumer.c: met_end */
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* They cost something, so only those who want them have them. */
static sl_status set_statistics(rd_kafka_conf_t *conf, int interval_ms, sl_error *error)
{
    return interval_ms > 0 ? set_number(conf, "statistics.interval.ms", interval_ms, 86400000, error) : SL_OK;
}

/* A transaction may last as long as the delivery of its messages, and Kafka's own minute at least. */
static sl_status set_transactions(rd_kafka_conf_t *conf, const struct sl_producer_settings *settings,
                                  sl_error *error)
{
    enum { LEAST_MS = 60000 };
    if (!settings->transactional_id)
        return SL_OK;
    sl_status status = set(conf, "transactional.id", settings->transactional_id, error);
    if (!status)
        status =
            set_number(conf, "transaction.timeout.ms",
                       settings->delivery_timeout_ms > LEAST_MS ? settings->delivery_timeout_ms : LEAST_MS,
                       INT32_MAX, error);
    return status;
}

static sl_status set_producer(rd_kafka_conf_t *conf, const struct sl_producer_settings *settings,
                              sl_error *error)
{
    /* The core bounds what is sent and not reported; librdkafka's bound only must not be met before. It
     * counts keys too, of which one has up to 2,000 bytes, and what is reported and not freed yet. */
    int64_t messages =
        settings->queue_messages < INT32_MAX / 4 ? (int64_t)settings->queue_messages * 2 + 1000 : INT32_MAX;
    int64_t bytes =
        settings->queue_bytes < INT64_MAX / 8 ? (int64_t)settings->queue_bytes * 2 : INT64_MAX / 4;
    sl_status status = set_all(conf, for_producer, COUNT(for_producer), error);
    if (!status)
        status = set_number(conf, "queue.buffering.max.messages", messages, INT32_MAX, error);
    if (!status)
        status = set_number(conf, "queue.buffering.max.kbytes", bytes / 1024 + messages * 2 + 4096, INT32_MAX,
                            error);
    if (!status)
        status = set_number(conf, "delivery.timeout.ms", settings->delivery_timeout_ms, INT32_MAX, error);
    if (!status)
        status = set_transactions(conf, settings, error);
    if (!status)
        status = set_statistics(conf, settings->statistics_ms, error);
    return status;
}

static sl_status set_consumer(rd_kafka_conf_t *conf, const struct sl_consumer_settings *settings,
                              sl_error *error)
{
    int64_t prefetch = settings->prefetch_bytes < INT32_MAX ? (int64_t)settings->prefetch_bytes : INT32_MAX;
    if (!prefetch)
        prefetch =
            1024 * 1024L; /* librdkafka fetches ahead in any case, and a tiny queue would only slow it */
    sl_status status = set_all(conf, for_consumer, COUNT(for_consumer), error);
    /* Start positions are always given explicitly. This is for one that retention has overtaken. */
    if (!status)
        status =
            set(conf, "auto.offset.reset", settings->start == SL_START_END ? "latest" : "earliest", error);
    if (!status)
        status = set(conf, "group.id", settings->group, error);
    if (!status)
        status = set_number(conf, "queued.max.messages.kbytes", prefetch < 1024 ? 1 : prefetch / 1024,
                            2097151, error);
    /* librdkafka counts payload only, but every message takes some 600 bytes beside it: small ones need a
     * bound of their own. It must not be low either: a fetch held back by it is resumed only after about 100
     * ms. */
    int64_t messages = prefetch / 128;
    if (!status)
        status = set_number(conf, "queued.min.messages", messages < 1000 ? 1000 : messages, 1000000, error);
    /* One response must not bring much more than may wait. */
    if (!status)
        status =
            set_number(conf, "fetch.max.bytes",
                       prefetch < SL_KAFKA_MESSAGE_MAX ? SL_KAFKA_MESSAGE_MAX : prefetch, 52428800, error);
    if (!status)
        status = set_statistics(conf, settings->statistics_ms, error);
    return status;
}

/* A firewall that drops what it forbids gives no answer. librdkafka waits 30 s for one: too long for there to
 * be an error to tell of when opening has failed. */
static sl_status set_setup_timeout(rd_kafka_conf_t *conf, int connect_timeout_ms, sl_error *error)
{
    enum { LEAST_MS = 1000, MOST_MS = 5000 }; /* less it does not take */
    int timeout_ms = connect_timeout_ms / 2;
    return set_number(conf, "socket.connection.setup.timeout.ms",
                      timeout_ms < LEAST_MS ? LEAST_MS : timeout_ms, MOST_MS, error);
}

static sl_status set_endpoint(rd_kafka_conf_t *conf, const struct sl_endpoint *endpoint, sl_error *error)
{
    sl_status status = set(conf, "bootstrap.servers", endpoint->brokers, error);
    if (!status && endpoint->client_id && *endpoint->client_id)
        status = set(conf, "client.id", endpoint->client_id, error);
    if (!status)
        status = set(conf, "security.protocol", endpoint->security_protocol, error);
    if (!status)
        status = set(conf, "sasl.mechanism", endpoint->sasl_mechanism, error);
    if (!status)
        status = set(conf, "ssl.ca.pem", endpoint->ca_pem, error);
    if (status)
        sl_error_prefix(error, "the layer's endpoint");
    return status;
}

/* librdkafka's own list of properties is a table of text: "NAME | C/P | …" a line. Room for a name too long
 * to be one is not needed. */
static void add_near_name(const char *name, sl_error *error)
{
    enum { MOST = 512 };
    char *text = NULL, *names[MOST];
    size_t size = 0, count = 0;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return;
    rd_kafka_conf_properties_show(file);
    if (fclose(file)) {
        free(text);
        return;
    }
    char *state = NULL;
    for (char *line = strtok_r(text, "\n", &state); line && count < MOST;
         line = strtok_r(NULL, "\n", &state)) {
        char *bar = strchr(line, '|');
        size_t length = strcspn(line, " |");
        if (!bar || !length || *line == '-')
            continue;
        line[length] = 0;
        names[count++] = line;
    }
    const char *const *readable = (const char *const *)names;
    const char *near = sl_nearest(name, readable, count);
    if (near && error) {
        size_t end = strlen(error->text);
        snprintf(error->text + end, sizeof error->text - end, "; did you mean \"%s\"?", near);
    }
    free(text);
}

static sl_status refuse(const struct sl_property *property, const char *side, const char *why,
                        sl_error *error)
{
    return sl_error_set(error, SL_BAD_CONFIG, "%s: " SETTINGS "kafka.%s.%s: %s",
                        property->origin ? property->origin : "configuration", side, property->name, why);
}

static sl_status pass_through(rd_kafka_conf_t *conf, const struct sl_property *property, const char *side,
                              sl_error *error)
{
    char text[400];
    for (size_t i = 0; i < COUNT(governed); i++)
        if (!strcmp(property->name, governed[i].name)) {
            snprintf(text, sizeof text, "the library governs this property: %s", governed[i].instead);
            return refuse(property, side, text, error);
        }
    if (!strcmp(property->name, "partition.assignment.strategy") && strstr(property->value, "cooperative"))
        return refuse(property, side, "the library works with the eager strategies only: range, roundrobin",
                      error);
    switch (rd_kafka_conf_set(conf, property->name, property->value, text, sizeof text)) {
    case RD_KAFKA_CONF_OK:
        return SL_OK;
    case RD_KAFKA_CONF_UNKNOWN:
        refuse(property, side, text, error);
        add_near_name(property->name, error);
        return SL_BAD_CONFIG;
    default:
        return refuse(property, side, text, error);
    }
}

sl_status sl_kafka_conf_create(const struct sl_target *target, rd_kafka_type_t type,
                               const struct sl_producer_settings *producer,
                               const struct sl_consumer_settings *consumer, rd_kafka_conf_t **conf,
                               sl_error *error)
{
    const char *side = type == RD_KAFKA_PRODUCER ? "producer" : "consumer";
    rd_kafka_conf_t *made = rd_kafka_conf_new();
    if (!made)
        return sl_error_oom(error);
    sl_status status = set_all(made, common, COUNT(common), error);
    if (!status)
        status = set_setup_timeout(made, target->connect_timeout_ms, error);
    if (!status)
        status = producer ? set_producer(made, producer, error) : set_consumer(made, consumer, error);
    if (!status)
        status = set_endpoint(made, target->endpoint, error);
    for (size_t i = 0; i < target->property_count && !status; i++)
        status = pass_through(made, &target->properties[i], side, error);
    if (status)
        rd_kafka_conf_destroy(made);
    else
        *conf = made;
    return status;
}
