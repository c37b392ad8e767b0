/* Opening and closing, librdkafka's configuration, and what endpoint calls say. */
#include "gateway/broker/internal.h"

#include "base/error.h"
#include "base/text.h"
#include "config/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CA_MAX 1048576 /* bytes of a file of certificates */

/* What the gateway's promises rest on, and where it is said instead. */
static const struct reserved {
    const char *kind, *name, *instead;
} reserved[] = {
    {NULL, "bootstrap.servers", "set " SL_GATEWAY_ROOT "kafka.brokers"},
    {NULL, "metadata.broker.list", "set " SL_GATEWAY_ROOT "kafka.brokers"},
    {NULL, "plugin.library.paths", "librdkafka's plug-ins are not used here"},
    {"producer", "enable.idempotence", "it is always on, so that nothing is lost, doubled or reordered"},
    {"producer", "enable.gapless.guarantee", "one lost message would stop all others"},
    {"producer", "transactional.id", "the gateway writes without transactions"},
    {"producer", "acks", "it is always all: an answer says that every in-sync replica has the message"},
    {"producer", "request.required.acks", "acks is always all"},
    {"producer", "partitioner", "it is always murmur2_random, as Kafka's own clients have it"},
    {"producer", "delivery.report.only.error", "every message is reported"},
    {"producer", "allow.auto.create.topics", "layers' topics are made and deleted with them"},
    {"consumer", "group.id", "subscribers name their group"},
    {"consumer", "group.instance.id", "subscriptions come and go"},
    {"consumer", "auto.offset.reset", "subscribers say where to begin"},
    {"consumer", "enable.auto.commit", "subscribers say whether to commit"},
    {"consumer", "enable.auto.offset.store", "the gateway keeps the positions"},
    {"consumer", "enable.partition.eof", "the gateway does not use it"},
    {"consumer", "queued.max.messages.kbytes", "set " SL_GATEWAY_ROOT "limits.subscription-bytes"},
    {"consumer", "fetch.max.bytes", "set " SL_GATEWAY_ROOT "limits.subscription-bytes"},
    {"consumer", "fetch.message.max.bytes", "set " SL_GATEWAY_ROOT "limits.subscription-bytes"},
    {"consumer", "max.partition.fetch.bytes", "set " SL_GATEWAY_ROOT "limits.subscription-bytes"},
    {"consumer", "message.max.bytes", "set " SL_GATEWAY_ROOT "limits.subscription-bytes"},
    {"consumer", "partition.assignment.strategy", "the gateway keeps to range and roundrobin"},
};

sl_status gw_kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value, sl_error *error)
{
    char text[GW_PROPERTY_TEXT_MAX] = "";
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return SL_OK;
    return sl_error_set(error, SL_BAD_CONFIG, "%s", text);
}

struct section {
    const char *kind;
    rd_kafka_conf_t *conf;
    sl_status status;
    sl_error *error;
};

static bool pass_property(void *opaque, const char *name, const char *value, const char *origin)
{
    struct section *section = opaque;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (!strcmp(name, reserved[i].name) &&
            (!reserved[i].kind || !strcmp(reserved[i].kind, section->kind))) {
            section->status = sl_error_set(section->error, SL_BAD_CONFIG,
                                           "%s: " SL_GATEWAY_ROOT "kafka.%s.%s cannot be set: %s", origin,
                                           section->kind, name, reserved[i].instead);
            return false;
        }
    section->status = gw_kafka_set(section->conf, name, value, section->error);
    if (section->status)
        sl_error_prefix(section->error, "%s: " SL_GATEWAY_ROOT "kafka.%s.%s", origin ? origin : "?",
                        section->kind, name);
    return !section->status;
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    const struct gw_broker *broker = rd_kafka_opaque(rk);
    sl_log_level as = level <= 3   ? SL_LOG_ERROR
                      : level <= 4 ? SL_LOG_WARNING
                      : level <= 6 ? SL_LOG_INFO
                                   : SL_LOG_DEBUG;
    sl_log_write(&broker->log, as, "kafka: %s: %s", facility, text);
}

sl_status gw_kafka_conf(const struct gw_broker *broker, const char *kind,
                        const struct gw_kafka_default *defaults, size_t count, rd_kafka_conf_t **out,
                        sl_error *error)
{
    static const struct gw_kafka_default common[] = {
        {"client.id", "streamlayerd"},
        {"socket.keepalive.enable", "true"},
        {"socket.nagle.disable", "true"},
    };
    *out = NULL;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!conf)
        return sl_error_oom(error);
    /* The opaque of both kinds is the broker, for the log; rd_kafka_conf_set_opaque takes no const. */
    rd_kafka_conf_set_opaque(conf, (void *)(uintptr_t)broker);
    rd_kafka_conf_set_log_cb(conf, on_log);
    sl_status status = gw_kafka_set(conf, "bootstrap.servers", broker->brokers, error);
    for (size_t i = 0; i < sizeof common / sizeof *common && !status; i++)
        status = gw_kafka_set(conf, common[i].name, common[i].value, error);
    for (size_t i = 0; i < count && !status; i++)
        status = gw_kafka_set(conf, defaults[i].name, defaults[i].value, error);
    if (!status) {
        char path[64];
        snprintf(path, sizeof path, SL_GATEWAY_ROOT "kafka.%s", kind);
        struct section section = {.kind = kind, .conf = conf, .error = error};
        status = sl_config_section(broker->config, path, pass_property, &section);
        if (section.status)
            status = section.status;
        else if (status)
            sl_error_set(error, status, "%s: %s", path, sl_status_text(status));
    }
    if (status)
        rd_kafka_conf_destroy(conf);
    else
        *out = conf;
    return status;
}

sl_status gw_kafka_status(rd_kafka_resp_err_t code, bool *retriable)
{
    *retriable = false;
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return SL_OK;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        *retriable = true;
        return SL_QUEUE_FULL;
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
        *retriable = true;
        return SL_TIMED_OUT;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        return SL_TOO_LARGE;
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
        return SL_INVALID_ARGUMENT;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        return SL_NOT_FOUND;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return SL_KAFKA; /* the gateway's own rights: no fault of the caller's */
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__DESTROY:
        *retriable = true;
        return SL_CLOSED;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__IN_PROGRESS:
    case RD_KAFKA_RESP_ERR__STATE:
    case RD_KAFKA_RESP_ERR__FATAL: /* the producer is being replaced */
    /* The topic went while it was written to: a deleted layer is told by its catalog, with the next try. */
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
        *retriable = true;
        return SL_UNAVAILABLE;
    default:
        return SL_KAFKA;
    }
}

sl_status gw_kafka_error(rd_kafka_resp_err_t code, const char *text, const char *what, const char *name,
                         sl_error *error)
{
    bool retriable;
    sl_status status = gw_kafka_status(code, &retriable);
    if (!text || !*text)
        text = rd_kafka_err2str(code);
    if (retriable)
        return sl_error_set_retriable(error, status == SL_TIMED_OUT ? SL_TIMED_OUT : SL_UNAVAILABLE,
                                      "Kafka did not %s %s: %s", what, name, text);
    return sl_error_set(error, status == SL_NOT_FOUND ? SL_NOT_FOUND : SL_KAFKA, "Kafka did not %s %s: %s",
                        what, name, text);
}

static bool keep_security(void *opaque, const char *name, const char *value, const char *origin)
{
    struct gw_broker *broker = opaque;
    char **kept = NULL;
    (void)origin;
    if (!strcmp(name, "security.protocol"))
        kept = &broker->security_protocol;
    else if (!strcmp(name, "sasl.mechanism") || !strcmp(name, "sasl.mechanisms"))
        kept = &broker->sasl_mechanism;
    else if (!strcmp(name, "ssl.ca.pem"))
        kept = &broker->ca_pem;
    if (!kept)
        return true;
    free(*kept);
    *kept = sl_strdup(value);
    return *kept != NULL;
}

struct ca_file {
    struct sl_buffer text;
    char *path;
};

static bool find_ca_file(void *opaque, const char *name, const char *value, const char *origin)
{
    struct ca_file *file = opaque;
    (void)origin;
    if (!strcmp(name, "ssl.ca.location")) {
        free(file->path);
        file->path = sl_strdup(value);
    }
    return true;
}

/* Applications that talk to Kafka directly must trust the same authority. */
static sl_status read_ca(struct gw_broker *broker, sl_error *error)
{
    struct ca_file file = {.path = NULL};
    sl_status status =
        sl_config_section(broker->config, SL_GATEWAY_ROOT "kafka.producer", find_ca_file, &file);
    if (!file.path || broker->ca_pem || !strcmp(file.path, "probe")) {
        free(file.path);
        return status;
    }
    sl_buffer_init(&file.text, CA_MAX);
    FILE *in = fopen(file.path, "re");
    char piece[4096];
    size_t got;
    while (in && (got = fread(piece, 1, sizeof piece, in)) > 0)
        sl_buffer_append(&file.text, piece, got);
    /* A directory of certificates is librdkafka's to understand; it cannot be handed on. */
    bool directory = in && ferror(in) && errno == EISDIR;
    if (!in || (ferror(in) && !directory) || file.text.failed)
        status = sl_error_set(error, SL_BAD_CONFIG, SL_GATEWAY_ROOT "kafka.producer.ssl.ca.location: %s: %s",
                              file.path, file.text.failed ? "too large" : sl_errno_text(errno));
    else if (!directory)
        broker->ca_pem = sl_buffer_take(&file.text);
    if (in)
        fclose(in);
    sl_buffer_free(&file.text);
    free(file.path);
    return status;
}

static sl_status read_settings(struct gw_broker *broker, sl_error *error)
{
    const char *brokers = sl_config_get(broker->config, SL_GATEWAY_ROOT "kafka.brokers");
    if (!brokers || !*brokers)
        return sl_error_set(error, SL_BAD_CONFIG,
                            SL_GATEWAY_ROOT
                            "kafka.brokers is not set: name the Kafka cluster as HOST:PORT[,HOST:PORT…]");
    broker->brokers = sl_strdup(brokers);
    if (!broker->brokers)
        return sl_error_oom(error);
    int64_t factor;
    sl_status status =
        sl_config_integer(broker->config, SL_GATEWAY_ROOT "kafka.replication-factor", &factor, error);
    if (status)
        return status;
    broker->replication_factor = (int)factor;
    status = sl_config_section(broker->config, SL_GATEWAY_ROOT "kafka.producer", keep_security, broker);
    return status ? status : read_ca(broker, error);
}

/* Tried now, so that a wrong name stops the start and not the first subscriber. */
static sl_status try_section(const struct gw_broker *broker, const char *kind, sl_error *error)
{
    rd_kafka_conf_t *conf;
    sl_status status = gw_kafka_conf(broker, kind, NULL, 0, &conf, error);
    if (conf)
        rd_kafka_conf_destroy(conf);
    return status;
}

static void broker_free(struct gw_broker *broker)
{
    sl_config_destroy(&broker->config);
    pthread_rwlock_destroy(&broker->lock);
    pthread_rwlock_destroy(&broker->keep);
    pthread_mutex_destroy(&broker->serving);
    sem_destroy(&broker->wanted);
    if (broker->reports.fd >= 0)
        close(broker->reports.fd);
    free(broker->brokers);
    free(broker->security_protocol);
    free(broker->sasl_mechanism);
    free(broker->ca_pem);
    free(broker);
}

static struct gw_broker *make(const struct sl_log *log, struct gw_budget *budget)
{
    struct gw_broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return NULL;
    pthread_rwlock_init(&broker->lock, NULL);
    pthread_rwlock_init(&broker->keep, NULL);
    pthread_mutex_init(&broker->serving, NULL);
    sem_init(&broker->wanted, 0, 0);
    broker->reports.fd = -1;
    broker->budget = budget;
    if (log)
        broker->log = *log;
    return broker;
}

sl_status gw_broker_open(const sl_config *config, const struct sl_log *log, struct gw_budget *budget,
                         struct gw_broker **out, sl_error *error)
{
    *out = NULL;
    struct gw_broker *broker = make(log, budget);
    if (!broker)
        return sl_error_oom(error);
    sl_status status = sl_config_clone(config, &broker->config, error);
    if (!status)
        status = read_settings(broker, error);
    if (!status)
        status = try_section(broker, "consumer", error);
    if (!status)
        status = gw_producer_open(broker, error);
    if (status)
        broker_free(broker);
    else
        *out = broker;
    return status;
}

sl_status gw_broker_try(const sl_config *config, sl_error *error)
{
    struct gw_broker *broker = make(NULL, NULL);
    if (!broker)
        return sl_error_oom(error);
    sl_status status = sl_config_clone(config, &broker->config, error);
    if (!status)
        status = read_settings(broker, error);
    if (!status)
        status = try_section(broker, "producer", error);
    if (!status)
        status = try_section(broker, "consumer", error);
    broker_free(broker);
    return status;
}

void gw_broker_finish(struct gw_broker *broker, int grace_ms)
{
    if (broker->polling)
        gw_producer_close(broker, grace_ms);
    broker->polling = false;
}

void gw_broker_close(struct gw_broker **broker, int grace_ms)
{
    if (!*broker)
        return;
    gw_broker_finish(*broker, grace_ms);
    broker_free(*broker);
    *broker = NULL;
}

sl_status gw_broker_endpoint(struct gw_broker *broker, const char *topic, int64_t ttl_ms,
                             const char *application, struct sl_endpoint *endpoint)
{
    *endpoint = (struct sl_endpoint){
        .topic = sl_strdup(topic),
        .client_id = sl_printf("sl-%s", application),
        .group_prefix = sl_printf("%s.", application),
        .brokers = sl_strdup(broker->brokers),
        .security_protocol = sl_strdup(broker->security_protocol),
        .sasl_mechanism = sl_strdup(broker->sasl_mechanism),
        .ca_pem = sl_strdup(broker->ca_pem),
        .ttl_ms = ttl_ms,
    };
    if (endpoint->topic && endpoint->client_id && endpoint->group_prefix && endpoint->brokers &&
        !endpoint->security_protocol == !broker->security_protocol &&
        !endpoint->sasl_mechanism == !broker->sasl_mechanism && !endpoint->ca_pem == !broker->ca_pem)
        return SL_OK;
    sl_endpoint_free(endpoint);
    return SL_OUT_OF_MEMORY;
}

bool gw_broker_metrics(struct gw_broker *broker, struct sl_buffer *text)
{
    pthread_rwlock_rdlock(&broker->lock);
    int queued = rd_kafka_outq_len(broker->producer);
    size_t topics = gw_topics_count(broker->topics);
    pthread_rwlock_unlock(&broker->lock);
    return sl_buffer_printf(
        text,
        "# HELP streamlayer_kafka_written_messages_total Messages that Kafka acknowledged.\n"
        "# TYPE streamlayer_kafka_written_messages_total counter\n"
        "streamlayer_kafka_written_messages_total %llu\n"
        "# HELP streamlayer_kafka_written_bytes_total Payload of acknowledged messages.\n"
        "# TYPE streamlayer_kafka_written_bytes_total counter\n"
        "streamlayer_kafka_written_bytes_total %llu\n"
        "# HELP streamlayer_kafka_failed_messages_total Messages that Kafka did not acknowledge.\n"
        "# TYPE streamlayer_kafka_failed_messages_total counter\n"
        "streamlayer_kafka_failed_messages_total %llu\n"
        "# HELP streamlayer_kafka_queue_full_total Writes refused because the producer's queue was full.\n"
        "# TYPE streamlayer_kafka_queue_full_total counter\n"
        "streamlayer_kafka_queue_full_total %llu\n"
        "# HELP streamlayer_kafka_queued_messages Messages that wait for Kafka's acknowledgement.\n"
        "# TYPE streamlayer_kafka_queued_messages gauge\n"
        "streamlayer_kafka_queued_messages %d\n"
        "# HELP streamlayer_kafka_topics Topics that the producer holds open.\n"
        "# TYPE streamlayer_kafka_topics gauge\n"
        "streamlayer_kafka_topics %zu\n",
        atomic_load(&broker->written), atomic_load(&broker->written_bytes), atomic_load(&broker->failed),
        atomic_load(&broker->queue_full), queued, topics);
}
