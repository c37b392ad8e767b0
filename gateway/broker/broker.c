/* Opening and closing, librdkafka's configuration, what its codes mean, and what endpoint calls say. */
#include "gateway/broker/acls.h"
#include "gateway/broker/internal.h"
#include "gateway/broker/quotas.h"
#include "gateway/broker/wire_tls.h"

#include "base/error.h"
#include "base/text.h"
#include "config/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ISSUERS SL_GATEWAY_ROOT "token.issuers"

/* What the gateway's promises rest on, and where it is said instead. */
static const struct reserved {
    const char *kind, *name, *instead;
} reserved[] = {
    {NULL, "bootstrap.servers", "the setting \"brokers\" beside it names them"},
    {NULL, "metadata.broker.list", "the setting \"brokers\" beside it names them"},
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
    {"consumer", "enable.partition.eof", "the gateway needs it"},
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

static const char *const kinds[] = {"client", "producer", "consumer"}; /* of sections */

struct section {
    const char *root, *kind;
    rd_kafka_conf_t *conf;
    struct gw_faults *faults; /* told of every one; NULL: the first ends it */
    sl_status status;
    sl_error *error;
};

/* What is for both is for none that is reserved in either. */
static bool is_reserved(const struct reserved *name, const char *kind)
{
    return !name->kind || !strcmp(kind, "client") || !strcmp(name->kind, kind);
}

static sl_status set_property(const struct section *section, const char *name, const char *value,
                              const char *origin)
{
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (!strcmp(name, reserved[i].name) && is_reserved(&reserved[i], section->kind))
            return sl_error_set(section->error, SL_BAD_CONFIG, "%s: %s.%s.%s cannot be set: %s", origin,
                                section->root, section->kind, name, reserved[i].instead);
    sl_status status = gw_kafka_set(section->conf, name, value, section->error);
    if (status)
        sl_error_prefix(section->error, "%s: %s.%s.%s", origin ? origin : "?", section->root, section->kind,
                        name);
    return status;
}

static bool pass_property(void *opaque, const char *name, const char *value, const char *origin)
{
    struct section *section = opaque;
    sl_status status = set_property(section, name, value, origin);
    if (section->faults)
        gw_fault(section->faults, status, section->error);
    else
        section->status = status;
    return !section->status;
}

static sl_status pass_section(const struct gw_broker *broker, const char *kind, rd_kafka_conf_t *conf,
                              struct gw_faults *faults, sl_error *error)
{
    char path[GW_SETTING_MAX];
    snprintf(path, sizeof path, "%s.%s", broker->root, kind);
    struct section section = {
        .root = broker->root, .kind = kind, .conf = conf, .faults = faults, .error = error};
    sl_status status = sl_config_section(broker->config, path, pass_property, &section);
    if (section.status)
        return section.status;
    return status ? sl_error_set(error, status, "%s: %s", path, sl_status_text(status)) : SL_OK;
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    const struct gw_broker *broker = rd_kafka_opaque(rk);
    /* Errors of connections are told of by gw_broker_note_trouble, the end of a producer by its own. */
    bool told = !strcmp(facility, "FAIL") || !strcmp(facility, "ERROR") || !strcmp(facility, "FATAL");
    /* Meant so, and nobody else can set it. */
    told |= !strcmp(facility, "CONFWARN") && strstr(text, "enable.gapless.guarantee");
    sl_log_level as = told         ? SL_LOG_DEBUG
                      : level <= 3 ? SL_LOG_ERROR
                      : level <= 4 ? SL_LOG_WARNING
                      : level <= 6 ? SL_LOG_INFO
                                   : SL_LOG_DEBUG;
    sl_log_write(&broker->log, as, "kafka %s: %s: %s", broker->cluster, facility, text);
}

sl_status gw_kafka_conf(const struct gw_broker *broker, const char *kind,
                        const struct gw_kafka_default *defaults, size_t count, rd_kafka_conf_t **out,
                        sl_error *error)
{
    static const struct gw_kafka_default common[] = {
        {"client.id", "streamlayerd"},
        {"socket.keepalive.enable", "true"},
        {"socket.nagle.disable", "true"},
        /* librdkafka looks at messages' time-outs, and finds Kafka back, between two tries. */
        {"reconnect.backoff.max.ms", "1000"},
    };
    *out = NULL;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!conf)
        return sl_error_oom(error);
    /* The opaque of both kinds is the broker, for the log; rd_kafka_conf_set_opaque takes no const. */
    rd_kafka_conf_set_opaque(conf, (void *)(uintptr_t)broker);
    rd_kafka_conf_set_log_cb(conf, on_log);
    sl_status status = gw_kafka_set(conf, "bootstrap.servers", broker->own.brokers, error);
    for (size_t i = 0; i < sizeof common / sizeof *common && !status; i++)
        status = gw_kafka_set(conf, common[i].name, common[i].value, error);
    for (size_t i = 0; i < count && !status; i++)
        status = gw_kafka_set(conf, defaults[i].name, defaults[i].value, error);
    if (!status)
        status = pass_section(broker, "client", conf, NULL, error);
    if (!status)
        status = pass_section(broker, kind, conf, NULL, error);
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

sl_status gw_topic_error(rd_kafka_resp_err_t code, const char *text, const char *what, const char *topic,
                         const char *right, sl_error *error)
{
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
        code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
        return sl_error_set(error, SL_KAFKA,
                            "Kafka did not %s %s: the gateway's principal needs %s on it (kafka-acls --add "
                            "--topic %s --operation %s; docs/security.md)",
                            what, topic, right, topic, right);
    return gw_kafka_error(code, text, what, topic, error);
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

/* Likewise of the gateway's own client, which knows less than librdkafka. */
static sl_status try_wire(const struct gw_broker *broker, sl_error *error)
{
    struct gw_wire_settings settings;
    SSL_CTX *context = NULL;
    sl_status status = gw_wire_settings_read(broker, &settings, error);
    if (!status && settings.tls)
        status = gw_wire_tls_context(broker, &settings, &context, error);
    SSL_CTX_free(context);
    gw_wire_settings_free(&settings);
    return status;
}

static sl_status try_sections(const struct gw_broker *broker, sl_error *error)
{
    sl_status status = try_section(broker, "producer", error);
    if (!status)
        status = try_section(broker, "consumer", error);
    return status || !broker->keeps_acls ? status : try_wire(broker, error);
}

static void broker_free(struct gw_broker *broker)
{
    sl_config_destroy(&broker->config);
    pthread_rwlock_destroy(&broker->lock);
    pthread_rwlock_destroy(&broker->keep);
    pthread_mutex_destroy(&broker->serving);
    pthread_mutex_destroy(&broker->trouble_lock);
    sem_destroy(&broker->wanted);
    if (broker->reports.fd >= 0)
        close(broker->reports.fd);
    gw_access_data_free(&broker->own);
    gw_access_data_free(&broker->clients);
    free(broker->cluster);
    free(broker->root);
    free(broker);
}

/* A wrong one would be nobody's, and the lists of all would be removed. */
static sl_status check_acl_issuer(const struct gw_broker *broker, sl_error *error)
{
    const char *issuer = gw_broker_issuer(broker), *name;
    bool known = !*issuer;
    char path[GW_SETTING_MAX];
    for (size_t i = 0; !known && (name = sl_config_name_at(broker->config, ISSUERS, i)); i++) {
        snprintf(path, sizeof path, ISSUERS ".%s.issuer", name);
        const char *other = sl_config_get(broker->config, path);
        known = other && !strcmp(other, issuer);
    }
    if (known)
        return SL_OK;
    snprintf(path, sizeof path, "%s.acls.issuer", broker->root);
    const char *origin = sl_config_origin(broker->config, path);
    return sl_error_set(error, SL_BAD_CONFIG,
                        "%s: %s: \"%.200s\" is no issuer of " ISSUERS
                        ": write it as its tokens have it in iss, or configure it",
                        origin ? origin : "-", path, issuer);
}

/* After acls.enabled. Quotas are of applications' principals, which Kafka has to know them by. */
static sl_status read_quotas(struct gw_broker *broker, sl_error *error)
{
    char path[GW_SETTING_MAX];
    bool enabled = false;
    int64_t share = 0;
    snprintf(path, sizeof path, "%s.quotas.direct-share", broker->root);
    sl_status status = sl_config_integer(broker->config, path, &share, error);
    snprintf(path, sizeof path, "%s.quotas.window", broker->root);
    if (!status)
        status = sl_config_duration_ms(broker->config, path, &broker->quota_window_ms, error);
    snprintf(path, sizeof path, "%s.quotas.enabled", broker->root);
    if (!status)
        status = sl_config_boolean(broker->config, path, &enabled, error);
    broker->direct_share = enabled ? (int)share : 0;
    if (status || !enabled || broker->keeps_acls)
        return status;
    sl_error_set(error, SL_BAD_CONFIG,
                 "%s = true takes %s.acls.enabled = true: whom Kafka does not know by grants it cannot bound",
                 path, broker->root);
    sl_config_prefix(broker->config, path, error);
    return SL_BAD_CONFIG;
}

static sl_status read_settings(struct gw_broker *broker, sl_error *error)
{
    int64_t factor = -1;
    char path[GW_SETTING_MAX];
    snprintf(path, sizeof path, "%s.replication-factor", broker->root);
    sl_status status = sl_config_integer(broker->config, path, &factor, error);
    broker->replication_factor = (int)factor;
    snprintf(path, sizeof path, "%s.acls.enabled", broker->root);
    if (!status)
        status = sl_config_boolean(broker->config, path, &broker->keeps_acls, error);
    if (!status)
        status = check_acl_issuer(broker, error);
    if (!status)
        status = read_quotas(broker, error);
    if (!status)
        status = sl_config_duration_ms(broker->config, SL_GATEWAY_ROOT "limits.kafka-wait", &broker->wait_ms,
                                       error);
    return status ? status : gw_broker_read_access(broker, error);
}

static sl_status name_cluster(struct gw_broker *broker, const char *cluster, sl_error *error)
{
    bool whole = !strcmp(cluster, GW_CLUSTER_DEFAULT);
    broker->cluster = sl_strdup(cluster);
    broker->root =
        whole ? sl_strdup(SL_GATEWAY_ROOT "kafka") : sl_printf(SL_GATEWAY_ROOT "kafka.clusters.%s", cluster);
    return broker->cluster && broker->root ? SL_OK : sl_error_oom(error);
}

/* NULL: memory is out. */
static struct gw_broker *make(const struct sl_log *log, struct gw_budget *budget)
{
    struct gw_broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return NULL;
    pthread_rwlock_init(&broker->lock, NULL);
    pthread_rwlock_init(&broker->keep, NULL);
    pthread_mutex_init(&broker->serving, NULL);
    pthread_mutex_init(&broker->trouble_lock, NULL);
    sem_init(&broker->wanted, 0, 0);
    broker->reports.fd = -1;
    broker->budget = budget;
    if (log)
        broker->log = *log;
    return broker;
}

static sl_status begin(struct gw_broker *broker, const sl_config *config, const char *cluster,
                       sl_error *error)
{
    sl_status status = name_cluster(broker, cluster, error);
    return status ? status : sl_config_clone(config, &broker->config, error);
}

/* librdkafka opens them only once a client is made, and then names neither the file nor its setting. */
static bool find_file(void *opaque, const char *name, const char *value, const char *origin)
{
    static const char *const files[] = {"ssl.ca.location", "ssl.certificate.location", "ssl.key.location",
                                        "ssl.crl.location", "ssl.keystore.location"};
    struct section *section = opaque;
    bool is_file = false;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        is_file |= !strcmp(name, files[i]);
    /* "probe" has librdkafka look for the system's. */
    if (!is_file || !*value || (!strcmp(name, "ssl.ca.location") && !strcmp(value, "probe")) ||
        !access(value, R_OK))
        return true;
    sl_status status =
        sl_error_set(section->error, SL_BAD_CONFIG, "%s: %s.%s.%s: %.300s: %s", origin ? origin : "-",
                     section->root, section->kind, name, value, sl_errno_text(errno));
    if (section->faults)
        gw_fault(section->faults, status, section->error);
    else
        section->status = status;
    return !section->status;
}

/* faults: as pass_section. */
static sl_status find_files(const struct gw_broker *broker, struct gw_faults *faults, sl_error *error)
{
    char path[GW_SETTING_MAX];
    struct section section = {.root = broker->root, .faults = faults, .error = error};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !section.status; i++) {
        section.kind = kinds[i];
        snprintf(path, sizeof path, "%s.%s", broker->root, kinds[i]);
        /* What is no section is told by whoever passes the properties on. */
        sl_config_section(broker->config, path, find_file, &section);
    }
    return section.status;
}

/* All of it that needs no connection. */
static sl_status prepare(struct gw_broker *broker, const sl_config *config, const char *cluster,
                         sl_error *error)
{
    sl_status status = begin(broker, config, cluster, error);
    if (!status)
        status = read_settings(broker, error);
    if (!status)
        status = find_files(broker, NULL, error);
    return status ? status : try_sections(broker, error);
}

sl_status gw_broker_open(const sl_config *config, const char *cluster, const struct sl_log *log,
                         struct gw_budget *budget, struct gw_broker **out, sl_error *error)
{
    *out = NULL;
    struct gw_broker *broker = make(log, budget);
    if (!broker)
        return sl_error_oom(error);
    sl_status status = prepare(broker, config, cluster, error);
    if (!status)
        status = gw_producer_open(broker, error);
    if (status)
        broker_free(broker);
    else
        *out = broker;
    return status;
}

/* Each property by itself: as a whole they are tried where each is right. */
static void try_properties(const struct gw_broker *broker, struct gw_faults *faults)
{
    sl_error error = {0};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; conf && i < sizeof kinds / sizeof *kinds; i++)
        gw_fault(faults, pass_section(broker, kinds[i], conf, faults, &error), &error);
    if (conf)
        rd_kafka_conf_destroy(conf);
}

void gw_broker_try(const sl_config *config, const char *cluster, struct gw_faults *faults)
{
    sl_error error = {0};
    size_t before = faults->count;
    struct gw_broker *broker = make(NULL, NULL);
    if (!broker) {
        gw_fault(faults, sl_error_oom(&error), &error);
        return;
    }
    sl_status status = begin(broker, config, cluster, &error);
    gw_fault(faults, status, &error);
    if (!status) {
        gw_fault(faults, read_settings(broker, &error), &error);
        find_files(broker, faults, &error);
        try_properties(broker, faults);
    }
    if (faults->count == before)
        gw_fault(faults, try_sections(broker, &error), &error);
    broker_free(broker);
}

const char *gw_broker_cluster(const struct gw_broker *broker)
{
    return broker->cluster;
}

void gw_broker_end(struct gw_broker *broker, int64_t until_ms)
{
    if (broker->polling)
        gw_producer_end(broker, until_ms);
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
    const struct gw_access_data *clients = &broker->clients;
    *endpoint = (struct sl_endpoint){
        .topic = sl_strdup(topic),
        /* Kafka counts by it what goes through the layer, where it is to. */
        .client_id = sl_printf(GW_QUOTA_CLIENT_PREFIX "%s", broker->direct_share ? topic : application),
        .group_prefix = sl_printf("%s.", application),
        .brokers = sl_strdup(clients->brokers),
        .security_protocol = sl_strdup(clients->security_protocol),
        .sasl_mechanism = sl_strdup(clients->sasl_mechanism),
        .ca_pem = sl_strdup(clients->ca_pem),
        .ttl_ms = ttl_ms,
    };
    if (endpoint->topic && endpoint->client_id && endpoint->group_prefix && endpoint->brokers &&
        !endpoint->security_protocol == !clients->security_protocol &&
        !endpoint->sasl_mechanism == !clients->sasl_mechanism && !endpoint->ca_pem == !clients->ca_pem)
        return SL_OK;
    sl_endpoint_free(endpoint);
    return SL_OUT_OF_MEMORY;
}

void gw_broker_say_silent(const struct gw_broker *broker, char text[GW_WRITE_TEXT])
{
    snprintf(text, GW_WRITE_TEXT,
             "the Kafka cluster \"%.60s\" (%.100s) did not acknowledge the message within %lld s",
             broker->cluster, broker->own.brokers, (long long)broker->wait_ms / 1000);
}

void gw_broker_count(struct gw_broker *broker, struct gw_broker_numbers *numbers)
{
    *numbers = (struct gw_broker_numbers){
        .written = atomic_load(&broker->written),
        .written_bytes = atomic_load(&broker->written_bytes),
        .failed = atomic_load(&broker->failed),
        .queue_full = atomic_load(&broker->queue_full),
    };
    pthread_rwlock_rdlock(&broker->lock);
    if (broker->producer) {
        numbers->queued = (unsigned long long)rd_kafka_outq_len(broker->producer);
        numbers->topics = gw_topics_count(broker->topics);
    }
    pthread_rwlock_unlock(&broker->lock);
}
