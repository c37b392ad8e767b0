#include "client/client.h"

#include <stdlib.h>
#include <streamlayer/version.h>

#include "base/error.h"
#include "client/lookup.h"

const char *sl_version(void)
{
    return SL_VERSION;
}

static sl_status http_settings(const sl_config *config, struct sl_http_settings *settings, char **proxy,
                               sl_error *error)
{
    int64_t connections, connect_ms, timeout_ms, retries, backoff_ms, backoff_max_ms;
    sl_status status = sl_config_integer(config, SL_ROOT "http.connections", &connections, error);
    if (!status)
        status = sl_config_duration_ms(config, SL_ROOT "http.connect-timeout", &connect_ms, error);
    if (!status)
        status = sl_config_duration_ms(config, SL_ROOT "http.request-timeout", &timeout_ms, error);
    if (!status)
        status = sl_config_integer(config, SL_ROOT "http.retry.attempts", &retries, error);
    if (!status)
        status = sl_config_duration_ms(config, SL_ROOT "http.retry.backoff", &backoff_ms, error);
    if (!status)
        status = sl_config_duration_ms(config, SL_ROOT "http.retry.max-backoff", &backoff_max_ms, error);
    if (!status)
        status = sl_config_proxy_url(config, proxy, error);
    if (status)
        return status;
    *settings = (struct sl_http_settings){
        .max_connections = (size_t)connections,
        .connect_timeout_ms = (int)connect_ms,
        .timeout_ms = (int)timeout_ms,
        .retries = (int)retries,
        .backoff_ms = (int)backoff_ms,
        .backoff_max_ms = (int)backoff_max_ms,
        .proxy = *proxy,
        .no_proxy = sl_config_get(config, SL_ROOT "proxy.exclude"),
        .ca_file = sl_config_get(config, SL_ROOT "tls.ca-file"),
        .user_agent = "streamlayer/" SL_VERSION,
    };
    return SL_OK;
}

static sl_log_level log_level(const sl_config *config)
{
    static const char *const names[] = {[SL_LOG_ERROR] = "error",
                                        [SL_LOG_WARNING] = "warning",
                                        [SL_LOG_INFO] = "info",
                                        [SL_LOG_DEBUG] = "debug"};
    const char *name = NULL;
    if (sl_config_choice(config, SL_ROOT "log.level", &name, NULL) == SL_OK)
        for (int level = SL_LOG_ERROR; level <= SL_LOG_DEBUG; level++)
            if (!strcmp(name, names[level]))
                return (sl_log_level)level;
    return SL_LOG_WARNING;
}

static sl_status client_fill(struct sl_client *client, const sl_config *given, sl_error *error)
{
    sl_status status;
    if (given) {
        status = sl_config_clone(given, &client->config, error);
    } else {
        status = sl_config_create(&client->config, error);
        if (!status)
            status = sl_config_load(client->config, NULL, error);
    }
    if (!status)
        status = sl_config_check(client->config, error);
    if (status)
        return status;
    client->log.level = log_level(client->config);

    struct sl_http_settings settings;
    char *proxy = NULL;
    status = http_settings(client->config, &settings, &proxy, error);
    if (!status)
        status = sl_http_create(&settings, &client->log, &client->http, error);
    free(proxy);
    if (!status)
        status = sl_auth_create(client->config, client->http, &client->log, &client->auth, error);
    if (!status)
        status = sl_lookup_create(client, &client->lookup, error);
    return status;
}

sl_status sl_client_create(const sl_config *config, sl_log_callback log, void *log_opaque, sl_client **client,
                           sl_error *error)
{
    if (!client)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_client_create: client is NULL");
    *client = NULL;
    struct sl_client *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    made->magic = SL_CLIENT_MAGIC;
    atomic_init(&made->references, 1);
    made->log = (struct sl_log){.callback = log, .opaque = log_opaque, .level = SL_LOG_WARNING};
    sl_status status = client_fill(made, config, error);
    if (status) {
        sl_client_unlink(made);
        return status;
    }
    *client = made;
    return SL_OK;
}

struct sl_client *sl_client_link(struct sl_client *client)
{
    atomic_fetch_add_explicit(&client->references, 1, memory_order_relaxed);
    return client;
}

void sl_client_unlink(struct sl_client *client)
{
    if (!client || atomic_fetch_sub_explicit(&client->references, 1, memory_order_acq_rel) != 1)
        return;
    client->magic = 0;
    sl_lookup_destroy(&client->lookup);
    sl_auth_destroy(&client->auth);
    sl_http_destroy(&client->http);
    sl_config_destroy(&client->config);
    free(client);
}

void sl_client_destroy(sl_client **client)
{
    if (!client || !*client)
        return;
    struct sl_client *gone = *client;
    *client = NULL;
    if (gone->magic == SL_CLIENT_MAGIC)
        sl_client_unlink(gone);
}

sl_status sl_client_check(const struct sl_client *client, sl_error *error)
{
    if (!client || client->magic != SL_CLIENT_MAGIC)
        return sl_error_set(error, SL_INVALID_HANDLE, "the client is NULL or was destroyed");
    return SL_OK;
}

sl_status sl_client_token(sl_client *client, char **token, int64_t *expires_ms, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (status)
        return status;
    if (!token)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_client_token: token is NULL");
    char *bearer = NULL;
    status = sl_auth_bearer(client->auth, NULL, &bearer, expires_ms, error);
    if (status)
        return status;
    static const char scheme[] = "Bearer ";
    if (!strncmp(bearer, scheme, sizeof scheme - 1))
        memmove(bearer, bearer + sizeof scheme - 1, strlen(bearer + sizeof scheme - 1) + 1);
    *token = bearer;
    return SL_OK;
}
