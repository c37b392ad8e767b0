#include "gateway/api/token_settings.h"

#include "base/error.h"
#include "base/text.h"
#include "config/settings.h"

#include <stdlib.h>
#include <streamlayer/version.h>
#include <string.h>

#define TOKEN           SL_GATEWAY_ROOT "token."
#define ISSUERS         TOKEN "issuers"
#define OWN_ISSUER      "streamlayer" /* where neither token.issuer nor public-url is set */
#define ISSUERS_AT_MOST 100

/* What lives until the tokens are open. */
struct reading {
    struct gw_token_settings settings;
    struct gw_issuer_settings *issuers;
    size_t count;
    struct sl_proxy proxy, secure_proxy;
    struct sl_http_settings http;
};

static const char *text_setting(const sl_config *config, const char *path)
{
    const char *value = sl_config_get(config, path);
    return value && *value ? value : NULL;
}

/* A setting of one issuer's; NULL: it is not set. *oom is set where it could not be asked for. */
static const char *of_issuer(const sl_config *config, const char *name, const char *what, bool *oom)
{
    char *path = sl_printf(ISSUERS ".%s.%s", name, what);
    const char *value = path ? text_setting(config, path) : NULL;
    *oom = *oom || !path;
    free(path);
    return value;
}

static sl_status read_issuers(const sl_config *config, struct reading *reading, sl_error *error)
{
    const char *name;
    bool oom = false;
    while (sl_config_name_at(config, ISSUERS, reading->count))
        reading->count++;
    if (reading->count > ISSUERS_AT_MOST) {
        sl_error_set(error, SL_BAD_CONFIG, ISSUERS " has %zu names: at most %d are allowed", reading->count,
                     ISSUERS_AT_MOST);
        sl_config_prefix(config, ISSUERS, error);
        return SL_BAD_CONFIG;
    }
    if (!(reading->issuers = calloc(reading->count + 1, sizeof *reading->issuers)))
        return sl_error_oom(error);
    for (size_t i = 0; (name = sl_config_name_at(config, ISSUERS, i)) && i < reading->count; i++)
        reading->issuers[i] =
            (struct gw_issuer_settings){.config = config,
                                        .name = name,
                                        .issuer = of_issuer(config, name, "issuer", &oom),
                                        .audience = of_issuer(config, name, "audience", &oom),
                                        .jwks_file = of_issuer(config, name, "jwks-file", &oom),
                                        .jwks_url = of_issuer(config, name, "jwks-url", &oom),
                                        .ca_file = of_issuer(config, name, "ca-file", &oom),
                                        .claim = of_issuer(config, name, "claim", &oom)};
    return oom ? sl_error_oom(error) : SL_OK;
}

static struct sl_http_proxy route_of(const struct sl_proxy *proxy)
{
    return (struct sl_http_proxy){.url = proxy->url, .shown = proxy->shown, .origin = proxy->origin};
}

/* The way to issuers: that of any client on this machine. */
static sl_status read_http(const sl_config *config, struct reading *reading, sl_error *error)
{
    static const struct sl_http_names names = {.proxy_host = SL_ROOT "proxy.host",
                                               .proxy_credentials =
                                                   SL_ROOT "proxy.credentials.username and .password",
                                               .no_proxy = SL_ROOT "proxy.exclude, no_proxy",
                                               .ca_file = ISSUERS ".NAME.ca-file"};
    sl_status status = sl_config_proxy(config, false, &reading->proxy, error);
    if (!status)
        status = sl_config_proxy(config, true, &reading->secure_proxy, error);
    reading->http = (struct sl_http_settings){.proxy = route_of(&reading->proxy),
                                              .secure_proxy = route_of(&reading->secure_proxy),
                                              .no_proxy = sl_config_no_proxy(config),
                                              .user_agent = "streamlayerd/" SL_VERSION,
                                              .names = names};
    return status;
}

static sl_status read_all(const sl_config *config, struct reading *reading, sl_error *error)
{
    struct gw_token_settings *settings = &reading->settings;
    sl_status status = read_issuers(config, reading, error);
    if (!status)
        status = read_http(config, reading, error);
    const char *issuer = text_setting(config, TOKEN "issuer");
    if (!issuer)
        issuer = text_setting(config, SL_GATEWAY_ROOT "public-url");
    const char *audience = text_setting(config, TOKEN "audience");
    settings->data_directory = text_setting(config, SL_GATEWAY_ROOT "data-directory");
    settings->issuer = issuer ? issuer : OWN_ISSUER;
    settings->audience = audience ? audience : OWN_ISSUER;
    settings->issuers = reading->issuers;
    settings->issuer_count = reading->count;
    settings->http = &reading->http;
    return status;
}

static void reading_free(struct reading *reading)
{
    free(reading->issuers);
    sl_proxy_free(&reading->proxy);
    sl_proxy_free(&reading->secure_proxy);
}

sl_status gw_tokens_open_configured(struct gateway *gateway, const struct gw_settings *settings,
                                    sl_error *error)
{
    struct reading reading = {0};
    sl_status status = read_all(gateway->config, &reading, error);
    reading.settings.times = settings->token;
    reading.settings.access = gateway->access;
    if (!status)
        status = gw_tokens_open(&reading.settings, &gateway->log, &gateway->tokens, error);
    reading_free(&reading);
    return status;
}

sl_status gw_token_times_check(const sl_config *config, const struct gw_token_times *times, sl_error *error)
{
    /* A key would be done before it has begun: each would be followed by the next at once. */
    if (!times->key_lifetime_ms || times->key_lifetime_ms >= times->key_lead_ms)
        return SL_OK;
    const char *lifetime = sl_config_origin(config, TOKEN "key-lifetime"),
               *lead = sl_config_origin(config, TOKEN "key-lead");
    bool by_lead = lifetime && !strcmp(lifetime, "default");
    const char *origin = by_lead ? lead : lifetime,
               *setting = by_lead ? TOKEN "key-lead" : TOKEN "key-lifetime";
    return sl_error_set(error, SL_BAD_CONFIG,
                        "%s: %s = %s: a key would sign for less time (" TOKEN
                        "key-lifetime, %lld ms) than it "
                        "is published before (" TOKEN "key-lead, %lld ms): give it a longer life, or 0 to "
                        "change keys by hand, or a shorter lead",
                        origin ? origin : "-", setting, sl_config_get(config, setting),
                        (long long)times->key_lifetime_ms, (long long)times->key_lead_ms);
}

void gw_tokens_check_config(const sl_config *config, struct gw_faults *faults)
{
    struct reading reading = {0};
    struct gw_token_times times;
    sl_error error = {0};
    /* What is no duration is told elsewhere. */
    if (!sl_config_duration_ms(config, TOKEN "key-lifetime", &times.key_lifetime_ms, &error) &&
        !sl_config_duration_ms(config, TOKEN "key-lead", &times.key_lead_ms, &error))
        gw_fault(faults, gw_token_times_check(config, &times, &error), &error);
    sl_status status = read_all(config, &reading, &error);
    gw_fault(faults, status, &error);
    if (!status)
        gw_issuers_check(reading.issuers, reading.count, reading.settings.issuer, faults);
    reading_free(&reading);
}
