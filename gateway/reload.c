/* A configuration in the place of another while requests are served: everything is read and checked before
 * anything is changed. */
#include "gateway/gateway_internal.h"

#include "base/error.h"
#include "config/settings.h"
#include "gateway/access_log.h"
#include "gateway/api/publish.h"
#include "gateway/api/token_settings.h"

#include <string.h>

#define CERTIFICATE SL_GATEWAY_ROOT "listen.tls.certificate"

struct differences {
    const struct gateway *gateway;
    const sl_config *after;
    bool reload; /* those that a reload applies, or the others */
    size_t count;
};

static void tell(void *opaque, const struct sl_setting *setting, const char *path)
{
    struct differences *differences = opaque;
    if (setting->reload != differences->reload)
        return;
    differences->count++;
    const char *origin = sl_config_origin(differences->after, path);
    if (origin && !strcmp(origin, "default"))
        origin = NULL;
    if (!setting->reload)
        SL_WARNING(&differences->gateway->log,
                   "reload: %s needs a restart: until then it stays as it was%s%s", path,
                   origin ? "; changed at " : "", origin ? origin : "");
    else if (setting->type == SL_SECRET || setting->type == SL_SECTION ||
             !sl_config_get(differences->after, path))
        SL_INFO(&differences->gateway->log, "reload: %s was changed", path);
    else
        SL_INFO(&differences->gateway->log, "reload: %s = %s", path, sl_config_get(differences->after, path));
}

/* What changed since it was loaded last, and what differs from what it runs with. */
static sl_status tell_differences(struct gateway *gateway, const sl_config *config, sl_error *error)
{
    struct differences applied = {gateway, config, true, 0}, left = {gateway, config, false, 0};
    sl_status status = sl_config_compare(gateway->loaded, config, tell, &applied, error);
    if (!status)
        status = sl_config_compare(gateway->config, config, tell, &left, error);
    if (!status && !applied.count)
        SL_INFO(&gateway->log, "reload: no setting was changed%s",
                left.count ? " of those that a reload applies" : "");
    return status;
}

/* Whether there is TLS is a matter of the sockets' beginning. */
static sl_status check_tls_stays(struct gateway *gateway, const sl_config *config,
                                 const struct gw_settings *settings, sl_error *error)
{
    const char *before = sl_config_get(gateway->config, CERTIFICATE),
               *origin = sl_config_origin(config, CERTIFICATE);
    bool was_secure = before && *before;
    if (was_secure == settings->listen.secure)
        return SL_OK;
    return sl_error_set(error, SL_BAD_CONFIG,
                        "%s: " CERTIFICATE " %s: a reload cannot turn TLS %s: restart the gateway",
                        origin ? origin : "-", was_secure ? "is gone" : "is new", was_secure ? "off" : "on");
}

/* Everything that can be wrong; also what needs a restart, which the next start would stumble over. */
static sl_status prepare(struct gateway *gateway, const sl_config *config, struct gw_settings *settings,
                         sl_error *error)
{
    sl_status status = gw_settings_read(config, settings, error);
    if (!status)
        status = check_tls_stays(gateway, config, settings, error);
    sl_error first = {0};
    struct gw_faults faults = {.tell = gw_fault_keep, .opaque = &first};
    if (!status) {
        gw_tokens_check_config(config, &faults);
        gw_brokers_try(config, &faults);
        status = first.status;
        if (status)
            *error = first;
    }
    return status;
}

/* What can fail for want of memory comes first, and changes nothing when it does. */
static sl_status apply(struct gateway *gateway, const struct gw_settings *settings, sl_error *error)
{
    /* Times of tokens alone harm nobody, should the rest fail. */
    sl_status status = gw_tokens_set_times(gateway->tokens, &settings->token, error);
    if (!status && settings->listen.secure)
        status = gw_server_reload_tls(gateway->server, &settings->listen.tls, error);
    if (status)
        return status;
    if (settings->listen.secure)
        SL_INFO(&gateway->log, "reload: the files of TLS were read again");
    gw_settings_keep(gateway, settings);
    gw_budget_set_max(gateway->budget, (size_t)settings->max_bytes);
    gw_server_set_limits(gateway->server, &settings->server);
    gw_throttler_set(gateway->throttler, settings->throughput, settings->throttle_wait_ms * 1000);
    gw_acl_note(gateway->acls); /* its quotas go by whether throughput is kept */
    gw_subscriptions_set(gateway->subscriptions, &settings->subscriptions);
    gw_publications_set_max(gateway->publications, (size_t)settings->publications,
                            (size_t)settings->application_publications);
    sl_error problem = {0};
    if (gw_tokens_reread(gateway->tokens, &problem))
        SL_ERROR(&gateway->log, "reload: %s", problem.text);
    return SL_OK;
}

sl_status gw_reopen_access_log(struct gateway *gateway, sl_error *error)
{
    return gateway->access_log ? gw_access_log_reopen(gateway->access_log, error) : SL_OK;
}

sl_status gw_reload(struct gateway *gateway, const sl_config *config, sl_error *error)
{
    struct gw_settings settings = {0};
    sl_config *loaded = NULL;
    sl_status status = sl_config_clone(config, &loaded, error);
    if (!status)
        status = prepare(gateway, loaded, &settings, error);
    if (!status)
        status = apply(gateway, &settings, error);
    gw_settings_free(&settings);
    if (!status) {
        sl_error ignored;
        (void)tell_differences(gateway, loaded, &ignored); /* it was applied, whether it can be told or not */
        sl_config *before = gateway->loaded;
        gateway->loaded = loaded;
        loaded = before;
    }
    sl_config_destroy(&loaded);
    return status;
}
