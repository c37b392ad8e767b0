/*
 * OAUTHBEARER: brokers are shown the application's own bearer token, the one that its HTTP calls carry.
 * librdkafka asks for one at its start, and again when four fifths of a token's time are over, on a thread of
 * its own, so that it is had whatever the application does meanwhile. librdkafka 2.0.2 does not
 * authenticate a connection again: a broker that wants it (connections.max.reauth.ms) closes it, and the next
 * one is made with the token of that moment.
 */
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"
#include "connectors/kafka/kafka.h"

enum {
    FETCH_MS = 10000,     /* a token must be there by then; the next try comes 10 s later */
    HASTE_MS = 2000,      /* the same where a poll waits for it */
    UNKNOWN_MS = 3600000, /* how long a token that does not say it is taken to be good */
    /* A broker may not know the key yet that a new token is signed with, and asks for it: so long refusals
     * may be passing ones. */
    PATIENCE_MS = 8000,
    OVER_MS = 60000, /* a refusal so much later has nothing to do with the one before */
};

bool sl_kafka_token_wanted(const rd_kafka_conf_t *conf)
{
    char value[256];
    size_t size = sizeof value;
    if (rd_kafka_conf_get(conf, "sasl.mechanism", value, &size) || strcmp(value, "OAUTHBEARER") != 0)
        return false;
    /* The application's own ways to get one. */
    size = sizeof value;
    if (!rd_kafka_conf_get(conf, "sasl.oauthbearer.method", value, &size) && strcmp(value, "default") != 0)
        return false;
    size = sizeof value;
    return rd_kafka_conf_get(conf, "enable.sasl.oauthbearer.unsecure.jwt", value, &size) ||
           strcmp(value, "true") != 0;
}

/* Keeps what was given, to be able to say that it is refused. */
static void keep(struct sl_kafka_client *client, const char *bearer)
{
    pthread_mutex_lock(&client->lock);
    sl_hidden_free(&client->bearer);
    client->bearer = sl_hidden_copy(bearer, strlen(bearer)); /* without memory: not refused by name */
    pthread_mutex_unlock(&client->lock);
}

static void fail(struct sl_kafka_client *client, rd_kafka_t *rk, const sl_error *error)
{
    pthread_mutex_lock(&client->lock);
    if (rk == client->rk) /* librdkafka makes an error of it, which is to be none */
        client->token_late = error->retriable;
    pthread_mutex_unlock(&client->lock);
    if (error->retriable)
        sl_kafka_client_log(client, SL_LOG_WARNING, "no new token for the brokers yet: %s", error->text);
    rd_kafka_oauthbearer_set_token_failure(rk, error->text);
}

/* refused (may be NULL): not that one. */
static void give(struct sl_kafka_client *client, rd_kafka_t *rk, const char *refused, int wait_ms)
{
    sl_error error = {0};
    char *bearer = NULL, text[300];
    int64_t expires_ms = 0;
    sl_status status = SL_CLOSED;
    if (!refused)
        pthread_mutex_lock(&client->token_lock);
    else if (pthread_mutex_trylock(&client->token_lock))
        return; /* another one is being had already */
    if (!atomic_load(&client->ended))
        status = client->host.token(client->host.client, refused, sl_deadline_ms(wait_ms), &client->ended,
                                    &bearer, &expires_ms, &error);
    pthread_mutex_unlock(&client->token_lock);
    if (status == SL_CLOSED)
        return;
    const char *token = bearer ? strchr(bearer, ' ') : NULL;
    if (!expires_ms)
        expires_ms = sl_wall_ms() + UNKNOWN_MS;
    if (!status && (!token || rd_kafka_oauthbearer_set_token(rk, token + 1, expires_ms, "streamlayer", NULL,
                                                             0, text, sizeof text)))
        status = sl_error_set(&error, SL_PROTOCOL, "the token cannot be shown to Kafka: %s",
                              token ? text : "it is no bearer token");
    if (status)
        fail(client, rk, &error);
    else
        keep(client, bearer);
    sl_secret_free(&bearer);
}

static void on_token_due(rd_kafka_t *rk, const char *config, void *opaque)
{
    (void)config;
    give(opaque, rk, NULL, FETCH_MS);
}

void sl_kafka_token_set(rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, on_token_due);
    rd_kafka_conf_enable_sasl_queue(conf, 1);
}

sl_status sl_kafka_token_start(rd_kafka_t *rk, sl_error *error)
{
    rd_kafka_error_t *object = rd_kafka_sasl_background_callbacks_enable(rk);
    return object ? sl_kafka_error_object(error, object, "no tokens can be had for the brokers") : SL_OK;
}

bool sl_kafka_token_mends(struct sl_kafka_client *client)
{
    int64_t now = sl_mono_ms();
    char *refused = NULL;
    pthread_mutex_lock(&client->lock);
    bool late = client->token_late, first = false;
    client->token_late = false;
    if (!late) {
        first = !client->refused_ms || now - client->refused_ms > OVER_MS;
        if (first)
            client->refused_ms = now;
        if (first && client->bearer)
            refused = sl_strdup(client->bearer);
    }
    bool mends = late || now - client->refused_ms < PATIENCE_MS;
    if (!mends)
        client->refused_ms = 0;
    pthread_mutex_unlock(&client->lock);
    /* It may have been revoked, or signed with a key that was. */
    if (refused)
        give(client, client->rk, refused, HASTE_MS);
    sl_secret_free(&refused);
    return mends;
}

void sl_kafka_token_end(struct sl_kafka_client *client)
{
    atomic_store(&client->ended, true);
    if (!client->takes_token)
        return;
    client->host.token_wake(client->host.client);
    /* Whoever asks the host is through with it. */
    pthread_mutex_lock(&client->token_lock);
    pthread_mutex_unlock(&client->token_lock);
}
