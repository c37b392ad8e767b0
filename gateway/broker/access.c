/* How a cluster is reached, by the gateway and by applications that talk to it directly; and why it is not.
 */
#include "gateway/broker/internal.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "config/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CA_MAX        1048576 /* bytes of a file of certificates */
#define TELL_AGAIN_MS 30000   /* a trouble that stays */

void gw_access_data_free(struct gw_access_data *data)
{
    free(data->brokers);
    free(data->security_protocol);
    free(data->sasl_mechanism);
    free(data->ca_pem);
    free(data->user);
    *data = (struct gw_access_data){0};
}

/* The cluster's own setting, in its section; NULL: not set, or empty. */
static const char *setting(const struct gw_broker *broker, const char *name)
{
    char path[GW_SETTING_MAX];
    snprintf(path, sizeof path, "%s.%s", broker->root, name);
    const char *value = sl_config_get(broker->config, path);
    return value && *value ? value : NULL;
}

/* A copy of the list without the blanks that settings may have around its commas. */
static char *copy_brokers(const char *brokers)
{
    char *copy = sl_strdup(brokers), *to = copy;
    for (const char *from = copy; from && *from; from++)
        if (*from != ' ')
            *to++ = *from;
    if (to)
        *to = 0;
    return copy;
}

struct own_access {
    struct gw_access_data *data;
    char *ca_file;       /* ssl.ca.location */
    const char *kind;    /* of the section that is being read */
    const char *ca_kind; /* of the one that has it */
    bool failed;         /* memory is out */
};

static bool keep_property(void *opaque, const char *name, const char *value, const char *origin)
{
    struct own_access *own = opaque;
    char **kept = NULL;
    (void)origin;
    if (!strcmp(name, "security.protocol"))
        kept = &own->data->security_protocol;
    else if (!strcmp(name, "sasl.mechanism") || !strcmp(name, "sasl.mechanisms"))
        kept = &own->data->sasl_mechanism;
    else if (!strcmp(name, "sasl.username"))
        kept = &own->data->user;
    else if (!strcmp(name, "ssl.ca.pem"))
        kept = &own->data->ca_pem;
    else if (!strcmp(name, "ssl.ca.location")) {
        kept = &own->ca_file;
        own->ca_kind = own->kind;
    }
    if (!kept)
        return true;
    free(*kept);
    *kept = sl_strdup(value);
    own->failed = !*kept;
    return !own->failed;
}

/* what: the setting, below the cluster's section. */
static sl_status refuse(const struct gw_broker *broker, const char *what, const char *file, const char *why,
                        sl_error *error)
{
    char path[GW_SETTING_MAX];
    snprintf(path, sizeof path, "%s.%s", broker->root, what);
    sl_error_set(error, SL_BAD_CONFIG, "%s: %s: %s", path, file, why);
    sl_config_prefix(broker->config, path, error);
    return SL_BAD_CONFIG;
}

/* *pem stays NULL for a directory of certificates: that is librdkafka's to understand, and cannot be handed
 * on. what: the setting that names the file, below the cluster's section. */
static sl_status read_ca(const struct gw_broker *broker, const char *what, const char *path, char **pem,
                         sl_error *error)
{
    struct sl_buffer text;
    sl_buffer_init(&text, CA_MAX);
    FILE *in = fopen(path, "re");
    char piece[4096];
    size_t got;
    sl_status status = SL_OK;
    while (in && (got = fread(piece, 1, sizeof piece, in)) > 0)
        sl_buffer_append(&text, piece, got);
    bool directory = in && ferror(in) && errno == EISDIR;
    if (!in || (ferror(in) && !directory) || text.failed)
        status = refuse(broker, what, path, text.failed ? "too large" : sl_errno_text(errno), error);
    else if (!directory && !(*pem = sl_buffer_take(&text)))
        status = refuse(broker, what, path, "is empty", error);
    if (in)
        fclose(in);
    sl_buffer_free(&text);
    return status;
}

/* What the gateway's own producer uses: applications that talk to Kafka directly must trust the same
 * authority, and speak the same. */
static sl_status read_own(struct gw_broker *broker, sl_error *error)
{
    struct own_access own = {.data = &broker->own, .kind = "client"};
    const char *brokers = setting(broker, "brokers");
    if (!brokers) {
        sl_error_set(error, SL_BAD_CONFIG,
                     "%s.brokers is not set: name the Kafka cluster as HOST:PORT[,HOST:PORT…]", broker->root);
        sl_config_prefix(broker->config, broker->root, error);
        return SL_BAD_CONFIG;
    }
    broker->own.brokers = copy_brokers(brokers);
    char client[GW_SETTING_MAX], producer[GW_SETTING_MAX], ca[40];
    snprintf(client, sizeof client, "%s.client", broker->root);
    snprintf(producer, sizeof producer, "%s.producer", broker->root);
    /* A list of objects in it is told by whoever passes the properties on. */
    sl_config_section(broker->config, client, keep_property, &own);
    own.kind = "producer";
    if (!own.failed)
        sl_config_section(broker->config, producer, keep_property, &own);
    sl_status status = !broker->own.brokers || own.failed ? sl_error_oom(error) : SL_OK;
    snprintf(ca, sizeof ca, "%s.ssl.ca.location", own.ca_kind ? own.ca_kind : "");
    if (!status && own.ca_file && !broker->own.ca_pem && strcmp(own.ca_file, "probe") != 0)
        status = read_ca(broker, ca, own.ca_file, &broker->own.ca_pem, error);
    free(own.ca_file);
    return status;
}

static bool is_plain(const char *protocol, const char *without)
{
    return !protocol || !strcasestr(protocol, without);
}

/* What is advertised, else the gateway's own; without what the protocol has no use for. */
static sl_status read_clients(struct gw_broker *broker, sl_error *error)
{
    const struct gw_access_data *own = &broker->own;
    struct gw_access_data *clients = &broker->clients;
    const char *brokers = setting(broker, "advertised.brokers");
    const char *protocol = setting(broker, "advertised.security-protocol");
    const char *mechanism = setting(broker, "advertised.sasl-mechanism");
    const char *ca_file = setting(broker, "advertised.ca-file");
    protocol = protocol ? protocol : own->security_protocol;
    mechanism = is_plain(protocol, "sasl") ? NULL : mechanism ? mechanism : own->sasl_mechanism;
    const char *ca = is_plain(protocol, "ssl") || ca_file ? NULL : own->ca_pem;
    clients->brokers = copy_brokers(brokers ? brokers : own->brokers);
    clients->security_protocol = sl_strdup(protocol);
    clients->sasl_mechanism = sl_strdup(mechanism);
    clients->ca_pem = sl_strdup(ca);
    if (!clients->brokers || !clients->security_protocol != !protocol ||
        !clients->sasl_mechanism != !mechanism || !clients->ca_pem != !ca)
        return sl_error_oom(error);
    return ca_file && !is_plain(protocol, "ssl")
               ? read_ca(broker, "advertised.ca-file", ca_file, &clients->ca_pem, error)
               : SL_OK;
}

sl_status gw_broker_read_access(struct gw_broker *broker, sl_error *error)
{
    sl_status status = read_own(broker, error);
    return status ? status : read_clients(broker, error);
}

/* What to look at, for the codes that tell a wrong setting. */
static const char *cure_of(rd_kafka_resp_err_t code)
{
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED)
        return "client { sasl.mechanism, sasl.username, sasl.password }";
    if (code == RD_KAFKA_RESP_ERR__SSL)
        return "client { security.protocol, ssl.ca.location }";
    return NULL;
}

/* Whether it was not told a moment ago, by another of the cluster's clients or of another connection. What
 * librdkafka puts into parentheses at the end, how often and how long, does not make it another one. The lock
 * is held. */
static bool is_news(struct gw_broker *broker, const char *reason)
{
    int64_t now_ms = sl_mono_ms();
    const char *details = strstr(reason, " (after ");
    size_t size = details ? (size_t)(details - reason) : strlen(reason);
    if (size >= GW_TOLD_MAX)
        size = GW_TOLD_MAX - 1;
    struct gw_told *oldest = broker->told;
    for (size_t i = 0; i < GW_TOLD_COUNT; i++) {
        struct gw_told *told = &broker->told[i];
        if (!strncmp(told->text, reason, size) && !told->text[size]) {
            bool again = now_ms - told->at_ms >= TELL_AGAIN_MS;
            told->at_ms = again ? now_ms : told->at_ms;
            return again;
        }
        if (told->at_ms < oldest->at_ms)
            oldest = told;
    }
    memcpy(oldest->text, reason, size);
    oldest->text[size] = 0;
    oldest->at_ms = now_ms;
    return true;
}

void gw_broker_note_trouble(struct gw_broker *broker, rd_kafka_resp_err_t code, const char *who,
                            const char *reason)
{
    const char *cure = cure_of(code);
    pthread_mutex_lock(&broker->trouble_lock);
    bool news = is_news(broker, reason);
    /* All that are down say nothing of why, and a right that lacks nothing of the connection. */
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && code != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED &&
        code != RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        snprintf(broker->trouble, sizeof broker->trouble, "%.400s%s%s%s%s", reason, cure ? ": look at " : "",
                 cure ? broker->root : "", cure ? "." : "", cure ? cure : "");
    pthread_mutex_unlock(&broker->trouble_lock);
    if (news)
        SL_WARNING(&broker->log, "kafka %s: %s%s%s", broker->cluster, who, *who ? ": " : "", reason);
}

void gw_broker_clear_trouble(struct gw_broker *broker)
{
    pthread_mutex_lock(&broker->trouble_lock);
    broker->trouble[0] = 0;
    pthread_mutex_unlock(&broker->trouble_lock);
}

static bool is_silence(const sl_error *error)
{
    return error && (error->status == SL_UNAVAILABLE || error->status == SL_TIMED_OUT);
}

/* An answer of Kafka's, such as NOT_ENOUGH_REPLICAS, has librdkafka's text of it. */
static const char *state_of(const sl_error *error)
{
    return strstr(error->text, "Broker: ") ? "cannot do it now" : "does not answer";
}

sl_status gw_broker_explain(struct gw_broker *broker, sl_error *error)
{
    if (!is_silence(error))
        return error ? error->status : SL_OK;
    char trouble[GW_TROUBLE_MAX];
    pthread_mutex_lock(&broker->trouble_lock);
    memcpy(trouble, broker->trouble, sizeof trouble);
    pthread_mutex_unlock(&broker->trouble_lock);
    const sl_error bare = *error;
    return sl_error_set_retriable(error, bare.status, "the Kafka cluster \"%s\" (%.200s) %s: %s%s%s",
                                  broker->cluster, broker->own.brokers, state_of(&bare), bare.text,
                                  trouble[0] ? "; " : "", trouble);
}

sl_status gw_layer_explain(struct gw_broker *broker, const struct gw_layer *layer, sl_error *error)
{
    if (!layer->marketplace || !is_silence(error))
        return gw_broker_explain(broker, error);
    const sl_error bare = *error;
    gw_broker_explain(broker, error);
    pthread_mutex_lock(&broker->trouble_lock);
    bool news = is_news(broker, error->text);
    pthread_mutex_unlock(&broker->trouble_lock);
    if (news)
        SL_WARNING(&broker->log, "layer %s of %s (topic %s): %s", layer->id, layer->hrn, layer->topic,
                   error->text);
    return sl_error_set_retriable(error, bare.status, "Kafka %s: %s", state_of(&bare), bare.text);
}
