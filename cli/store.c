#include "store.h"

#include "base/text.h"
#include "config/settings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GATEWAY SL_GATEWAY_ROOT

bool cli_has_store(const struct cli *cli)
{
    return cli_value(cli, "data-dir") != NULL;
}

/* The configuration, which may be that of a gateway (--config). */
static int load(struct cli *cli)
{
    return cli->config ? CLI_OK : cli_load_platform_config(cli);
}

static bool same_directory(const char *one, const char *other)
{
    struct stat left, right;
    if (!stat(one, &left) && !stat(other, &right))
        return left.st_dev == right.st_dev && left.st_ino == right.st_ino;
    return !strcmp(one, other);
}

/* Whether the configuration, which is loaded, is that of the gateway whose directory --data-dir is. */
static bool is_configured(const struct cli *cli)
{
    const char *configured = sl_config_get(cli->config, GATEWAY "data-directory");
    return configured && same_directory(configured, cli_value(cli, "data-dir"));
}

static int not_there(const struct cli *cli)
{
    return cli_error_as(cli, SL_NOT_FOUND,
                        "--data-dir %s: no gateway keeps its data there: give the directory that " GATEWAY
                        "data-directory names",
                        cli_value(cli, "data-dir"));
}

/* A directory that no gateway has used yet is made where its configuration says so: any other is perhaps
 * mistyped, and nobody would read what is written there. */
static int check_new(struct cli *cli)
{
    int code = load(cli);
    if (code || is_configured(cli))
        return code;
    code = not_there(cli);
    cli_hint(cli, "before a gateway's first start, give its configuration, too: --config FILE");
    return code;
}

int cli_store_open(struct cli *cli, bool make, struct gw_applications **store)
{
    const char *directory = cli_value(cli, "data-dir");
    sl_error error = {0};
    *store = NULL;
    char *file = sl_printf("%s/catalogs.db", directory);
    if (!file)
        return cli_out_of_memory(cli);
    bool missing = access(file, F_OK) != 0;
    free(file);
    if (missing && !make)
        return not_there(cli);
    int code = missing ? check_new(cli) : CLI_OK;
    if (code)
        return code;
    return gw_applications_open(directory, store, &error) ? cli_fail(cli, &error) : CLI_OK;
}

int cli_store_check_issuer(struct cli *cli, const char *issuer)
{
    int code = load(cli);
    const char *name;
    if (code || !is_configured(cli))
        return code;
    for (size_t i = 0; (name = sl_config_name_at(cli->config, GATEWAY "token.issuers", i)); i++) {
        char *path = sl_printf(GATEWAY "token.issuers.%s.issuer", name);
        const char *taken = path ? sl_config_get(cli->config, path) : NULL;
        bool found = taken && !strcmp(taken, issuer);
        free(path);
        if (found)
            return CLI_OK;
    }
    return cli_usage_error(
        cli,
        "--issuer %s: the gateway takes no tokens of it: correct it, or configure it first, "
        "below " GATEWAY "token.issuers",
        issuer);
}

/* Where it listens, when that is an address that can be called. */
static int url_of_address(struct cli *cli, char **url)
{
    const char *address = sl_config_get(cli->config, GATEWAY "listen.address"),
               *certificate = sl_config_get(cli->config, GATEWAY "listen.tls.certificate");
    sl_error error = {0};
    int64_t port;
    if (sl_config_integer(cli->config, GATEWAY "listen.port", &port, &error))
        return cli_fail(cli, &error);
    if (!port || !strcmp(address, "0.0.0.0") || !strcmp(address, "::"))
        return cli_usage_error(cli,
                               "the gateway listens on port %d of %s, which says nothing of how applications "
                               "reach it, and their credentials need that: give --token-url "
                               "https://HOST:PORT/oauth2/token, or set " GATEWAY "public-url",
                               (int)port, address);
    bool v6 = strchr(address, ':') != NULL;
    *url = sl_printf("%s://%s%s%s:%d/oauth2/token", certificate && *certificate ? "https" : "http",
                     v6 ? "[" : "", address, v6 ? "]" : "", (int)port);
    return *url ? CLI_OK : cli_out_of_memory(cli);
}

int cli_store_token_url(struct cli *cli, char **url)
{
    const char *given = cli_value(cli, "token-url");
    *url = NULL;
    if (given) {
        *url = sl_strdup(given);
        return *url ? CLI_OK : cli_out_of_memory(cli);
    }
    int code = load(cli);
    if (code)
        return code;
    if (!is_configured(cli))
        return cli_usage_error(cli, "the credentials need the URL that the gateway gives tokens at: give "
                                    "--token-url https://HOST:PORT/oauth2/token, or the configuration of the "
                                    "gateway whose data directory it is (--config FILE)");
    const char *public_url = sl_config_get(cli->config, GATEWAY "public-url");
    size_t size = public_url ? strlen(public_url) : 0;
    while (size && public_url[size - 1] == '/')
        size--;
    if (!size)
        return url_of_address(cli, url);
    *url = sl_printf("%.*s/oauth2/token", (int)size, public_url);
    return *url ? CLI_OK : cli_out_of_memory(cli);
}
