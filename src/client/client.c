#include "client/client.h"

#include <stdlib.h>
#include <streamlayer/version.h>

#include "base/error.h"
#include "client/client_options.h"
#include "client/lookup.h"

const char *sl_version(void)
{
    return SL_VERSION;
}

/* What the HTTP client is made of, and the memory behind it. */
struct http_parts {
    struct sl_http_settings settings;
    struct sl_proxy proxy, secure_proxy;
};

/* Where a setting is that mends an error, in the error's words. */
static const struct sl_http_names http_names = {
    .proxy_host = SL_ROOT "proxy.host",
    .proxy_credentials = SL_ROOT "proxy.credentials.username and .password",
    .no_proxy = SL_ROOT "proxy.exclude, no_proxy",
    .ca_file = SL_ROOT "tls.ca-file",
    .certificate_file = SL_ROOT "tls.certificate-file",
    .key_file = SL_ROOT "tls.key-file",
    .key_password = SL_ROOT "tls.key-password",
    .min_version = SL_ROOT "tls.min-version",
};

/* A text that is set and not empty. */
static const char *text_at(const sl_config *config, const char *path)
{
    const char *text = sl_config_get(config, path);
    return text && *text ? text : NULL;
}

static struct sl_http_proxy http_proxy(const struct sl_proxy *proxy)
{
    return (struct sl_http_proxy){.url = proxy->url, .shown = proxy->shown, .origin = proxy->origin};
}

static sl_status set_tls(const sl_config *config, struct sl_http_settings *settings, sl_error *error)
{
    const char *version = NULL;
    sl_status status = sl_config_choice(config, SL_ROOT "tls.min-version", &version, error);
    if (status)
        return status;
    settings->tls = (struct sl_http_tls){.ca_file = text_at(config, SL_ROOT "tls.ca-file"),
                                         .certificate_file = text_at(config, SL_ROOT "tls.certificate-file"),
                                         .key_file = text_at(config, SL_ROOT "tls.key-file"),
                                         .key_password = text_at(config, SL_ROOT "tls.key-password"),
                                         .at_least_1_3 = !strcmp(version, "1.3")};
    settings->names = http_names;
    return SL_OK;
}

sl_status sl_client_check_tls(const sl_config *config, const struct sl_log *log, sl_error *error)
{
    struct sl_http_settings settings = {0};
    sl_status status = set_tls(config, &settings, error);
    return status ? status : sl_tls_check(&settings, log, error);
}

static sl_status set_route(const sl_config *config, struct http_parts *parts, sl_error *error)
{
    struct sl_http_settings *settings = &parts->settings;
    sl_status status = sl_config_proxy(config, false, &parts->proxy, error);
    if (!status)
        status = sl_config_proxy(config, true, &parts->secure_proxy, error);
    if (!status)
        status = set_tls(config, settings, error);
    if (status)
        return status;
    settings->proxy = http_proxy(&parts->proxy);
    settings->secure_proxy = http_proxy(&parts->secure_proxy);
    settings->no_proxy = sl_config_no_proxy(config);
    return SL_OK;
}

static sl_status set_limits(const sl_config *config, struct sl_http_settings *settings, sl_error *error)
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
    if (status)
        return status;
    settings->max_connections = (size_t)connections;
    settings->connect_timeout_ms = (int)connect_ms;
    settings->timeout_ms = (int)timeout_ms;
    settings->retries = (int)retries;
    settings->backoff_ms = (int)backoff_ms;
    settings->backoff_max_ms = (int)backoff_max_ms;
    settings->user_agent = "streamlayer/" SL_VERSION;
    return SL_OK;
}

static sl_status create_http(struct sl_client *client, sl_error *error)
{
    struct http_parts parts = {0};
    sl_status status = set_limits(client->config, &parts.settings, error);
    if (!status)
        status = set_route(client->config, &parts, error);
    if (!status)
        status = sl_http_create(&parts.settings, &client->log, &client->http, error);
    sl_proxy_free(&parts.proxy);
    sl_proxy_free(&parts.secure_proxy);
    return status;
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

static bool log_note(void *opaque, sl_finding_level level, const char *path, const char *origin,
                     const char *text)
{
    const struct sl_log *log = opaque;
    (void)path;
    (void)origin;
    if (level == SL_FINDING_NOTE)
        SL_WARNING(log, "%s", text);
    return true;
}

static sl_status client_fill(struct sl_client *client, const sl_config *given,
                             const struct sl_token_origin *origin, sl_error *error)
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
    status = sl_config_find(client->config, false, log_note, &client->log, error);
    if (status)
        return status;

    status = create_http(client, error);
    if (!status)
        status = sl_auth_create(client->config, origin, client->http, &client->log, &client->auth, error);
    if (!status)
        status = sl_lookup_create(client, &client->lookup, error);
    return status;
}

sl_status sl_client_create(const sl_config *config, sl_log_callback log, void *log_opaque, sl_client **client,
                           sl_error *error)
{
    return sl_client_create_with(config, NULL, log, log_opaque, client, error);
}

sl_status sl_client_create_with(const sl_config *config, const sl_client_options *options,
                                sl_log_callback log, void *log_opaque, sl_client **client, sl_error *error)
{
    if (!client)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_client_create: client is NULL");
    *client = NULL;
    const struct sl_token_origin *origin;
    sl_status status = sl_client_options_origin(options, &origin, error);
    if (status)
        return status;
    struct sl_client *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    made->magic = SL_CLIENT_MAGIC;
    atomic_init(&made->references, 1);
    made->log = (struct sl_log){.callback = log, .opaque = log_opaque, .level = SL_LOG_WARNING};
    status = client_fill(made, config, origin, error);
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

sl_status sl_client_bearer(struct sl_client *client, const char *refused, int64_t deadline_ms,
                           const atomic_bool *cancelled, char **bearer, int64_t *expires_ms, sl_error *error)
{
    return sl_auth_bearer_until(client->auth, refused, deadline_ms, cancelled, bearer, expires_ms, error);
}

void sl_client_bearer_wake(struct sl_client *client)
{
    sl_auth_wake(client->auth);
}

sl_status sl_client_set_token(sl_client *client, const char *token, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    return status ? status : sl_auth_set_token(client->auth, token, error);
}
