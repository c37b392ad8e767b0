#include "gateway/broker/wire_settings.h"

#include "base/error.h"
#include "base/secret.h"
#include "config/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The caller's copy of a property; NULL: not set, or *failed: memory is out. */
static char *property(const rd_kafka_conf_t *conf, const char *name, bool *failed)
{
    size_t size = 0;
    if (rd_kafka_conf_get(conf, name, NULL, &size) || size <= 1)
        return NULL;
    char *value = malloc(size);
    *failed |= !value;
    if (value && (rd_kafka_conf_get(conf, name, value, &size) || !*value)) {
        free(value);
        return NULL;
    }
    return value;
}

/* Done by nobody but librdkafka: to leave it out would be less than was asked for. */
static const char *const foreign[] = {"ssl.crl.location", "ssl.keystore.location", "ssl.engine.location",
                                      "ssl.providers"};

static sl_status refuse(const struct gw_broker *broker, const char *name, const char *why, sl_error *error)
{
    char path[GW_SETTING_MAX];
    snprintf(path, sizeof path, "%s.client", broker->root);
    sl_error_set(
        error, SL_BAD_CONFIG,
        "%s.%s cannot be used together with %s.acls.enabled, whose connection is the gateway's own: %s", path,
        name, broker->root, why);
    sl_config_prefix(broker->config, path, error);
    return SL_BAD_CONFIG;
}

static sl_status check(const struct gw_broker *broker, const rd_kafka_conf_t *conf,
                       const struct gw_wire_settings *settings, sl_error *error)
{
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
    bool failed = false, known = !settings->sasl;
    for (size_t i = 0; settings->tls && i < sizeof foreign / sizeof *foreign; i++) {
        char *value = property(conf, foreign[i], &failed);
        free(value);
        if (value)
            return refuse(broker, foreign[i],
                          "give the certificates as PEM (ssl.ca.location, ssl.certificate.location, "
                          "ssl.key.location)",
                          error);
    }
    for (size_t i = 0; settings->mechanism && i < sizeof mechanisms / sizeof *mechanisms; i++)
        known |= !strcmp(settings->mechanism, mechanisms[i]);
    if (!known)
        return refuse(broker, "sasl.mechanism",
                      "let the gateway in by a certificate, PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", error);
    return failed ? sl_error_oom(error) : SL_OK;
}

static void read_all(const rd_kafka_conf_t *conf, struct gw_wire_settings *settings, bool *failed)
{
    const struct {
        const char *name;
        char **to;
    } texts[] = {
        {"client.id", &settings->client_id},
        {"sasl.mechanisms", &settings->mechanism},
        {"sasl.username", &settings->username},
        {"sasl.password", &settings->password},
        {"ssl.ca.location", &settings->ca_location},
        {"ssl.ca.pem", &settings->ca_pem},
        {"ssl.certificate.location", &settings->certificate_location},
        {"ssl.certificate.pem", &settings->certificate_pem},
        {"ssl.key.location", &settings->key_location},
        {"ssl.key.pem", &settings->key_pem},
        {"ssl.key.password", &settings->key_password},
        {"ssl.cipher.suites", &settings->ciphers},
        {"ssl.curves.list", &settings->curves},
        {"ssl.sigalgs.list", &settings->signatures},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i].to = property(conf, texts[i].name, failed);
    char *protocol = property(conf, "security.protocol", failed);
    char *verifies = property(conf, "enable.ssl.certificate.verification", failed);
    char *names = property(conf, "ssl.endpoint.identification.algorithm", failed);
    settings->tls = protocol && strcasestr(protocol, "ssl");
    settings->sasl = protocol && strcasestr(protocol, "sasl");
    settings->verifies = !verifies || strcmp(verifies, "false") != 0;
    settings->checks_names = !names || strcmp(names, "none") != 0;
    free(protocol);
    free(verifies);
    free(names);
}

sl_status gw_wire_settings_read(const struct gw_broker *broker, struct gw_wire_settings *settings,
                                sl_error *error)
{
    rd_kafka_conf_t *conf;
    bool failed = false;
    *settings = (struct gw_wire_settings){0};
    sl_status status = gw_kafka_conf(broker, "producer", NULL, 0, &conf, error);
    if (status)
        return status;
    read_all(conf, settings, &failed);
    status = failed ? sl_error_oom(error) : check(broker, conf, settings, error);
    rd_kafka_conf_destroy(conf);
    return status;
}

void gw_wire_settings_free(struct gw_wire_settings *settings)
{
    sl_secret_free(&settings->password);
    sl_secret_free(&settings->key_pem);
    sl_secret_free(&settings->key_password);
    char *const texts[] = {settings->client_id,       settings->mechanism,    settings->username,
                           settings->ca_location,     settings->ca_pem,       settings->certificate_location,
                           settings->certificate_pem, settings->key_location, settings->ciphers,
                           settings->curves,          settings->signatures};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    *settings = (struct gw_wire_settings){0};
}
