#include "kafka_secure.h"
#include "base/error.h"
#include "certificates.h"
#include "process.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GRANT_LIMIT_MS 60000
#define GRANT_TRY_MS   10000 /* one that has asked before Kafka knew its controller hears of none later */
#define POLL_MS        100

/* A certificate's subject is a principal behind a blank: "User: CN=broker". Kafka cuts blanks off the subject
 * of a token, so that of none, whatever it says, is one of them. */
#define BROKER            "broker"
#define CERTIFICATE_RULES "RULE:^(.*)$/ $1/"
#define PRINCIPAL(name)   "User: CN=" name

/* The gateway shows a key for an hour before it signs; one that was revoked is to be forgotten sooner. */
#define JWKS_REFRESH_MS 60000
/* A connection is closed when its token ends, and in any case after: */
#define REAUTH_MS 3600000

/* Before the file that an https URL's certificate is checked by. Where there are options, the login module
 * wants to know whose token it is to make where the broker is a client, which it never is here. */
#define JAAS_CA                                                                                              \
    " unsecuredLoginStringClaim_sub=\"none\" ssl.truststore.type=\"PEM\" ssl.truststore.location=\""

static void tls_directory(const char *directory, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%.*s/" CLI_KAFKA_TLS, PATH_MAX - 16, directory);
}

bool cli_kafka_is_secured(const char *directory)
{
    char tls[PATH_MAX];
    tls_directory(directory, tls);
    return cli_authority_exists(tls);
}

/* For Kafka's own tools (--command-config), which come as the administrator then. */
static int write_admin_properties(const struct cli_kafka *kafka, const char *tls)
{
    char path[PATH_MAX + 32], text[2 * PATH_MAX + 256];
    snprintf(path, sizeof path, "%s/admin.properties", tls);
    snprintf(text, sizeof text,
             "# Written by `streamlayer up` at every start: the administrator, for Kafka's own tools.\n"
             "bootstrap.servers=127.0.0.1:%d\n"
             "security.protocol=SSL\n"
             "ssl.keystore.type=PEM\n"
             "ssl.keystore.location=%s/" BROKER ".pem\n"
             "ssl.truststore.type=PEM\n"
             "ssl.truststore.location=%s/ca.pem\n",
             kafka->internal_port, tls, tls);
    return cli_write_file(path, text, 0600)
               ? CLI_OK
               : cli_error_as(kafka->cli, SL_IO, "%s: %s", path, sl_errno_text(errno));
}

int cli_kafka_make_certificates(const struct cli_kafka *kafka)
{
    static const struct cli_certificate wanted[] = {
        {.name = BROKER, .hosts = "IP:127.0.0.1,IP:::1,DNS:localhost", .uses = "serverAuth,clientAuth"},
        {.name = CLI_KAFKA_GATEWAY, .uses = "clientAuth"},
    };
    char tls[PATH_MAX];
    struct cli_authority *authority;
    sl_error error = {0};
    tls_directory(kafka->directory, tls);
    sl_status status = cli_authority_open(tls, &authority, &error);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && !status; i++)
        status = cli_authority_sign(authority, &wanted[i], &error);
    cli_authority_close(&authority);
    return status ? cli_fail(kafka->cli, &error) : write_admin_properties(kafka, tls);
}

void cli_kafka_secure_properties(const struct cli_kafka *kafka, struct sl_buffer *out)
{
    const struct cli_kafka_tokens *tokens = kafka->tokens;
    sl_buffer_printf(out,
                     "controller.listener.names=CONTROLLER\n"
                     "listeners=CLIENTS://127.0.0.1:%d,INTERNAL://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d\n"
                     "advertised.listeners=CLIENTS://127.0.0.1:%d,INTERNAL://127.0.0.1:%d\n"
                     "listener.security.protocol.map=CLIENTS:SASL_SSL,INTERNAL:SSL,CONTROLLER:SSL\n"
                     "inter.broker.listener.name=INTERNAL\n"
                     "ssl.keystore.type=PEM\n"
                     "ssl.keystore.location=%s/" CLI_KAFKA_TLS "/" BROKER ".pem\n"
                     "ssl.truststore.type=PEM\n"
                     "ssl.truststore.location=%s/" CLI_KAFKA_TLS "/ca.pem\n"
                     "ssl.client.auth=required\n"
                     "listener.name.clients.ssl.client.auth=none\n"
                     "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
                     "allow.everyone.if.no.acl.found=false\n"
                     "ssl.principal.mapping.rules=" CERTIFICATE_RULES "\n"
                     "super.users=" PRINCIPAL(BROKER) "\n",
                     kafka->port, kafka->internal_port, kafka->controller_port, kafka->port,
                     kafka->internal_port, kafka->directory, kafka->directory);
    /* Kafka 4.1's default validator (DefaultJwtValidator) takes the broker for a client, and no signature is
     * checked: BrokerJwtValidator has to be named. */
    sl_buffer_printf(out,
                     "listener.name.clients.sasl.enabled.mechanisms=OAUTHBEARER\n"
                     "listener.name.clients.oauthbearer.sasl.jaas.config="
                     "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required%s%s%s;\n"
                     "listener.name.clients.oauthbearer.sasl.server.callback.handler.class="
                     "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler\n"
                     "listener.name.clients.oauthbearer.connections.max.reauth.ms=%d\n"
                     "sasl.oauthbearer.jwt.validator.class="
                     "org.apache.kafka.common.security.oauthbearer.BrokerJwtValidator\n"
                     "sasl.oauthbearer.jwks.endpoint.url=%s\n"
                     "sasl.oauthbearer.jwks.endpoint.refresh.ms=%d\n"
                     "sasl.oauthbearer.expected.issuer=%s\n"
                     "sasl.oauthbearer.expected.audience=%s\n",
                     tokens->ca_file ? JAAS_CA : "", tokens->ca_file ? tokens->ca_file : "",
                     tokens->ca_file ? "\"" : "", REAUTH_MS, tokens->jwks_url, JWKS_REFRESH_MS,
                     tokens->issuer, tokens->audience);
}

/* What the gateway does, and no more; docs/security.md says what each is for. Whoever may write, delete or
 * alter may describe, too. The topics are those of layers, whose names begin so. */
static const struct right {
    rd_kafka_ResourceType_t type;
    const char *name;
    rd_kafka_ResourcePatternType_t pattern;
    rd_kafka_AclOperation_t operation;
} rights[] = {
#define CLUSTER RD_KAFKA_RESOURCE_BROKER, "kafka-cluster", RD_KAFKA_RESOURCE_PATTERN_LITERAL
#define TOPICS  RD_KAFKA_RESOURCE_TOPIC, "sl.", RD_KAFKA_RESOURCE_PATTERN_PREFIXED
#define GROUPS  RD_KAFKA_RESOURCE_GROUP, "*", RD_KAFKA_RESOURCE_PATTERN_LITERAL
    {CLUSTER, RD_KAFKA_ACL_OPERATION_ALTER}, {CLUSTER, RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS},
    {TOPICS, RD_KAFKA_ACL_OPERATION_CREATE}, {TOPICS, RD_KAFKA_ACL_OPERATION_DELETE},
    {TOPICS, RD_KAFKA_ACL_OPERATION_ALTER},  {TOPICS, RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS},
    {TOPICS, RD_KAFKA_ACL_OPERATION_READ},   {TOPICS, RD_KAFKA_ACL_OPERATION_WRITE},
    {GROUPS, RD_KAFKA_ACL_OPERATION_READ},
#undef CLUSTER
#undef TOPICS
#undef GROUPS
};
#define RIGHT_COUNT (sizeof rights / sizeof *rights)

/* A client with the broker's own certificate, whose log is nobody's: what goes wrong is in the results. */
static rd_kafka_t *connect_as_broker(const struct cli_kafka *kafka, char *why, size_t size)
{
    char tls[PATH_MAX], brokers[32], certificate[PATH_MAX + 32], authority[PATH_MAX + 32];
    tls_directory(kafka->directory, tls);
    snprintf(brokers, sizeof brokers, "127.0.0.1:%d", kafka->internal_port);
    snprintf(certificate, sizeof certificate, "%s/" BROKER ".pem", tls);
    snprintf(authority, sizeof authority, "%s/ca.pem", tls);
    const struct {
        const char *name, *value;
    } settings[] = {
        {"bootstrap.servers", brokers},
        {"security.protocol", "ssl"},
        {"ssl.certificate.location", certificate},
        {"ssl.key.location", certificate},
        {"ssl.ca.location", authority},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (rd_kafka_conf_set(conf, settings[i].name, settings[i].value, why, size)) {
            rd_kafka_conf_destroy(conf);
            return NULL;
        }
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, size);
    if (!rk)
        rd_kafka_conf_destroy(conf);
    return rk;
}

/* Waits for the answer; false where one right or more could not be given: *late where Kafka said nothing. */
static bool wait_for_grants(rd_kafka_queue_t *queue, bool *late, char *why, size_t size)
{
    rd_kafka_event_t *event = NULL;
    while (!event && !cli_interrupted())
        event = rd_kafka_queue_poll(queue, POLL_MS);
    if (!event)
        return false;
    bool done = !rd_kafka_event_error(event);
    *late = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (!done)
        snprintf(why, size, "%s", rd_kafka_event_error_string(event));
    const rd_kafka_CreateAcls_result_t *result = rd_kafka_event_CreateAcls_result(event);
    size_t count = 0;
    const rd_kafka_acl_result_t **results =
        done && result ? rd_kafka_CreateAcls_result_acls(result, &count) : NULL;
    for (size_t i = 0; i < count && done; i++) {
        const rd_kafka_error_t *failure = rd_kafka_acl_result_error(results[i]);
        if (failure) {
            snprintf(why, size, "%s", rd_kafka_error_string(failure));
            done = false;
        }
    }
    rd_kafka_event_destroy(event);
    return done;
}

static bool grant(rd_kafka_t *rk, bool *late, char *why, size_t size)
{
    rd_kafka_AclBinding_t *bindings[RIGHT_COUNT];
    for (size_t i = 0; i < RIGHT_COUNT; i++)
        bindings[i] = rd_kafka_AclBinding_new(rights[i].type, rights[i].name, rights[i].pattern,
                                              PRINCIPAL(CLI_KAFKA_GATEWAY), "*", rights[i].operation,
                                              RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, why, size);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATEACLS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_set_request_timeout(options, GRANT_TRY_MS, why, size);
    rd_kafka_CreateAcls(rk, bindings, RIGHT_COUNT, options, queue);
    bool done = wait_for_grants(queue, late, why, size);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_AclBinding_destroy_array(bindings, RIGHT_COUNT);
    return done;
}

int cli_kafka_grant_gateway(const struct cli_kafka *kafka)
{
    char why[512] = "";
    int64_t until_ms = cli_mono_ms() + GRANT_LIMIT_MS;
    bool done, late;
    do {
        late = false;
        rd_kafka_t *rk = connect_as_broker(kafka, why, sizeof why);
        done = rk && grant(rk, &late, why, sizeof why);
        if (rk)
            rd_kafka_destroy(rk);
    } while (late && cli_mono_ms() < until_ms && !cli_interrupted());
    if (done)
        return CLI_OK;
    return cli_interrupted()
               ? CLI_INTERRUPTED
               : cli_error_as(kafka->cli, SL_KAFKA,
                              "the gateway could not be given its rights on Kafka: %s (log: %s)", why,
                              kafka->log);
}
