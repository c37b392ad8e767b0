#include "platform.h"

#include "auth/auth.h"
#include "client/client.h"
#include "config/settings.h"
#include "net/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define LOOKUP_URL SL_ROOT "endpoint-locator.discovery-service-url"
#define LOCAL_URL  "http://127.0.0.1:"
#define TEXT_MAX   3000
#define PROXY_MAX  200

static const char by_context[] = "the current context";

const char *cli_platform_chosen_by(const struct cli *cli, const char **value)
{
    *value = NULL;
    if ((*value = cli_value(cli, "config")))
        return "--config";
    if ((*value = cli_value(cli, "context")))
        return "--context";
    if ((*value = getenv("STREAMLAYER_CONTEXT")) && **value)
        return "STREAMLAYER_CONTEXT";
    if ((*value = getenv("STREAMLAYER_CONFIG")) && **value)
        return "STREAMLAYER_CONFIG";
    if (!access("application.conf", F_OK)) {
        *value = "application.conf";
        return "the working directory";
    }
    *value = cli->config ? sl_config_context(cli->config) : NULL;
    return *value ? by_context : "nothing";
}

/* The same, but of the URL alone: a setting laid over what was chosen counts more. */
static const char *url_from(const struct cli *cli, const char **value)
{
    const char *origin = sl_config_origin(cli->config, LOOKUP_URL);
    *value = NULL;
    if (origin && (!strcmp(origin, "-D") || !strncmp(origin, "environment ", 12)))
        return origin;
    const char *by = cli_platform_chosen_by(cli, value);
    return *value ? by : "the default";
}

void cli_platform_describe(const struct cli *cli, char *out, size_t size)
{
    char *url = NULL;
    const char *value, *by = url_from(cli, &value);
    if (sl_config_lookup_url(cli->config, &url, NULL))
        url = NULL;
    snprintf(out, size, "%s (%s%s%s)", url ? url : "without a URL", by, value ? ": " : "",
             value ? value : "");
    free(url);
}

bool cli_platform_proxy(const struct cli *cli, char *out, size_t size)
{
    char *url = NULL;
    struct sl_proxy proxy = {0};
    bool through = !sl_config_lookup_url(cli->config, &url, NULL) &&
                   !sl_config_proxy(cli->config, !strncasecmp(url, "https:", 6), &proxy, NULL) && proxy.url &&
                   *proxy.url && !sl_http_is_exempt(sl_config_no_proxy(cli->config), url);
    if (through)
        snprintf(out, size, "%.100s (%.90s)", proxy.shown ? proxy.shown : "?",
                 proxy.origin ? proxy.origin : "?");
    sl_proxy_free(&proxy);
    free(url);
    return through;
}

void cli_platform_announce(const struct cli *cli)
{
    char text[TEXT_MAX];
    const char *value;
    if (!cli->command || !cli->command->changes || cli->json || cli_flag(cli, "quiet") ||
        !isatty(STDERR_FILENO) || strcmp(url_from(cli, &value), by_context) != 0)
        return;
    cli_platform_describe(cli, text, sizeof text);
    cli_hint(cli, "platform: %s", text);
}

/* The part of a URL before its path, in bytes. */
static size_t site_of(const char *url)
{
    const char *host = strstr(url, "://");
    size_t scheme = host ? (size_t)(host - url) + 3 : 0;
    return scheme + strcspn(url + scheme, "/?#");
}

/* Tokens are asked for where the credentials say, which may be somewhere else: `streamlayer up --port 0`
 * takes another port each time. true: that has failed, and is told. */
static bool hint_token_url(const struct cli *cli, const sl_error *error)
{
    char *source = NULL, *lookup = NULL, *url = sl_auth_token_url(cli->client->auth, &source);
    size_t size = url ? site_of(url) : 0;
    char site[300];
    snprintf(site, sizeof site, "%.*s/", (int)size, url ? url : "");
    bool stale = url && strstr(error->text, site) && !sl_config_lookup_url(cli->config, &lookup, NULL) &&
                 (site_of(lookup) != size || strncasecmp(lookup, url, size));
    if (stale)
        cli_hint(cli,
                 "Tokens are asked for at %.*s, by the credentials: %s. The platform is %.*s: where it is to "
                 "be asked, put its URL into here.token.endpoint.url there; or start it where it was (`up "
                 "--port`).",
                 (int)size, url, source, (int)site_of(lookup), lookup);
    free(lookup);
    free(source);
    free(url);
    return stale;
}

void cli_platform_hint(const struct cli *cli, const sl_error *error)
{
    char text[TEXT_MAX], proxy[PROXY_MAX];
    bool through;
    if (!cli->config || !cli->client)
        return;
    if (error->status == SL_UNAVAILABLE && !error->http_status && hint_token_url(cli, error))
        return;
    switch (error->status) {
    case SL_UNAVAILABLE:
    case SL_TIMED_OUT:
    case SL_NOT_FOUND:
    case SL_CONFLICT:
    case SL_UNAUTHENTICATED:
    case SL_FORBIDDEN:
        cli_platform_describe(cli, text, sizeof text);
        through = cli_platform_proxy(cli, proxy, sizeof proxy);
        cli_hint(cli, "%sThe platform is %s%s%s.",
                 error->status == SL_UNAVAILABLE && !error->http_status && !through &&
                         !strncmp(text, LOCAL_URL, strlen(LOCAL_URL))
                     ? "Is `streamlayer up` running? "
                     : "",
                 text, through ? ", reached through the proxy " : "", through ? proxy : "");
        break;
    default:
        break;
    }
}

enum cli_market cli_platform_market(const struct cli *cli, const char *hrn)
{
    sl_error error = {0};
    sl_catalog *catalog = NULL;
    if (sl_catalog_get(cli->client, hrn, &catalog, &error))
        return CLI_UNTOLD;
    enum cli_market market = sl_catalog_marketplace(catalog) ? CLI_ON_MARKETPLACE : CLI_NOT_ON_MARKETPLACE;
    sl_catalog_destroy(&catalog);
    return market;
}
