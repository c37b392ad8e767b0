#include "wire/endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/server.h"
#include "base/text.h"

/* The oldest Kafka protocol that clients of a layer may speak: what Kafka 4 still serves. */
#define PROTOCOL_VERSION "2.1.0"
#define DEFAULT_PORT     9092

enum { MAX_BROKERS = 256, MAX_TOPIC = 249, MAX_CLIENT_ID = 255, MAX_PREFIX = 128 };

static const char topic_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

void sl_endpoint_free(struct sl_endpoint *endpoint)
{
    if (!endpoint)
        return;
    free(endpoint->topic);
    free(endpoint->client_id);
    free(endpoint->group_prefix);
    free(endpoint->brokers);
    free(endpoint->security_protocol);
    free(endpoint->sasl_mechanism);
    free(endpoint->ca_pem);
    memset(endpoint, 0, sizeof *endpoint);
}

/* A member that is a string; *text stays NULL where it is missing or null. */
static sl_status take_text(const json_t *object, const char *name, const char *legal, size_t max, char **text,
                           sl_error *error)
{
    const json_t *value = json_object_get(object, name);
    if (!value || json_is_null(value))
        return SL_OK;
    const char *given = json_string_value(value);
    if (!given || strlen(given) != json_string_length(value) || strlen(given) > max ||
        (legal && given[strspn(given, legal)]))
        return sl_error_set(error, SL_PROTOCOL,
                            "the layer's endpoint: \"%s\" is not a string of at most %zu characters%s%s",
                            name, max, legal ? " of " : "", legal ? legal : "");
    *text = strdup(given);
    return *text ? SL_OK : sl_error_oom(error);
}

/* librdkafka reads a list at its commas; nothing of a host's name may pass for one, or for a scheme. */
static sl_status take_brokers(const json_t *array, char **brokers, sl_error *error)
{
    size_t count = json_array_size(array);
    if (!count || count > MAX_BROKERS)
        return sl_error_set(error, SL_PROTOCOL,
                            "the layer's endpoint: \"bootstrapServers\" is not an array of 1 to %d servers",
                            (int)MAX_BROKERS);
    struct sl_buffer list;
    sl_buffer_init(&list, count * (SL_HOST_MAX + 16));
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(array, i), *host = json_object_get(entry, "hostname"),
                     *port = json_object_get(entry, "port");
        json_int_t number = json_integer_value(port);
        if (!json_is_string(host) || !sl_host_ok(json_string_value(host), json_string_length(host)) ||
            !json_is_integer(port) || number < 1 || number > 65535) {
            sl_buffer_free(&list);
            return sl_error_set(error, SL_PROTOCOL,
                                "the layer's endpoint: bootstrapServers[%zu] needs a \"hostname\" (letters, "
                                "digits, '.', '-', '_', ':') and a \"port\" from 1 to 65535",
                                i);
        }
        bool v6 = strchr(json_string_value(host), ':') != NULL;
        sl_buffer_printf(&list, "%s%s%s%s:%d", i ? "," : "", v6 ? "[" : "", json_string_value(host),
                         v6 ? "]" : "", (int)number);
    }
    *brokers = sl_buffer_take(&list);
    return *brokers ? SL_OK : sl_error_oom(error);
}

static sl_status take_security(const json_t *security, struct sl_endpoint *endpoint, sl_error *error)
{
    static const char *const protocols[] = {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"};
    static const char mechanisms[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    if (!security || json_is_null(security))
        return SL_OK;
    if (!json_is_object(security))
        return sl_error_set(error, SL_PROTOCOL, "the layer's endpoint: \"security\" is not an object");
    sl_status status = take_text(security, "protocol", NULL, 32, &endpoint->security_protocol, error);
    if (!status && endpoint->security_protocol) {
        size_t i = 0, count = sizeof protocols / sizeof *protocols;
        while (i < count && strcasecmp(protocols[i], endpoint->security_protocol) != 0)
            i++;
        if (i == count)
            return sl_error_set(error, SL_PROTOCOL,
                                "the layer's endpoint: security protocol \"%s\" is none of plaintext, ssl, "
                                "sasl_plaintext, sasl_ssl",
                                endpoint->security_protocol);
        memcpy(endpoint->security_protocol, protocols[i], strlen(protocols[i]));
    }
    if (!status)
        status = take_text(security, "mechanism", mechanisms, 32, &endpoint->sasl_mechanism, error);
    if (!status)
        status = take_text(security, "ca", NULL, 1 << 20, &endpoint->ca_pem, error);
    return status;
}

sl_status sl_endpoint_parse(const json_t *value, struct sl_endpoint *endpoint, sl_error *error)
{
    memset(endpoint, 0, sizeof *endpoint);
    if (!json_is_object(value))
        return sl_error_set(error, SL_PROTOCOL, "the layer's endpoint is not a JSON object");
    sl_status status = take_text(value, "topic", topic_characters, MAX_TOPIC, &endpoint->topic, error);
    if (!status && (!endpoint->topic || !*endpoint->topic || !strcmp(endpoint->topic, ".") ||
                    !strcmp(endpoint->topic, "..")))
        status = sl_error_set(error, SL_PROTOCOL, "the layer's endpoint names no \"topic\"");
    if (!status)
        status = take_text(value, "clientId", NULL, MAX_CLIENT_ID, &endpoint->client_id, error);
    if (!status)
        status = take_text(value, "consumerGroupPrefix", NULL, MAX_PREFIX, &endpoint->group_prefix, error);
    if (!status)
        status = take_brokers(json_object_get(value, "bootstrapServers"), &endpoint->brokers, error);
    if (!status)
        status = take_security(json_object_get(value, "security"), endpoint, error);
    if (!status && json_integer_value(json_object_get(value, "ttl")) > 0)
        endpoint->ttl_ms = json_integer_value(json_object_get(value, "ttl"));
    if (!status && ((!endpoint->client_id && !(endpoint->client_id = strdup(""))) ||
                    (!endpoint->group_prefix && !(endpoint->group_prefix = strdup("")))))
        status = sl_error_oom(error);
    if (status)
        sl_endpoint_free(endpoint);
    return status;
}

/* NULL: it names no server, or memory is out. */
static json_t *server_json(const char *text, size_t size)
{
    struct sl_server server;
    if (!sl_server_read(text, size, &server))
        return NULL;
    return json_pack("{s:s%, s:i}", "hostname", server.host, server.host_size, "port",
                     server.port ? server.port : DEFAULT_PORT);
}

static json_t *servers_json(const char *brokers)
{
    json_t *array = json_array();
    while (array) {
        size_t size = strcspn(brokers, ",");
        if (json_array_append_new(array, server_json(brokers, size))) {
            json_decref(array);
            return NULL;
        }
        if (!brokers[size])
            break;
        brokers += size + 1;
    }
    return array;
}

json_t *sl_endpoint_json(const struct sl_endpoint *endpoint)
{
    json_t *value =
        json_pack("{s:[s], s:s, s:s, s:s, s:o}", "kafkaProtocolVersion", PROTOCOL_VERSION, "topic",
                  endpoint->topic, "clientId", endpoint->client_id ? endpoint->client_id : "",
                  "consumerGroupPrefix", endpoint->group_prefix ? endpoint->group_prefix : "",
                  "bootstrapServers", servers_json(endpoint->brokers));
    if (!value)
        return NULL;
    json_t *security = json_pack("{s:s*, s:s*, s:s*}", "protocol", endpoint->security_protocol, "mechanism",
                                 endpoint->sasl_mechanism, "ca", endpoint->ca_pem);
    int failed = !security || (json_object_size(security) && json_object_set(value, "security", security));
    json_decref(security);
    if (!failed && endpoint->ttl_ms > 0)
        failed = json_object_set_new(value, "ttl", json_integer(endpoint->ttl_ms));
    if (failed) {
        json_decref(value);
        return NULL;
    }
    return value;
}
