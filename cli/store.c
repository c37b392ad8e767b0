#include "store.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GATEWAY "streamlayer.gateway."

bool cli_has_store(const struct cli *cli)
{
    return cli_value(cli, "data-dir") != NULL;
}

int cli_store_open(struct cli *cli, bool make, struct gw_applications **store)
{
    const char *directory = cli_value(cli, "data-dir");
    sl_error error = {0};
    *store = NULL;
    char *file = sl_printf("%s/catalogs.db", directory);
    if (!file)
        return cli_out_of_memory(cli);
    bool missing = !make && access(file, F_OK) != 0;
    free(file);
    if (missing)
        return cli_error_as(cli, SL_NOT_FOUND,
                            "--data-dir %s: no gateway keeps its data there: give the directory that "
                            "streamlayer.gateway.data-directory names",
                            directory);
    return gw_applications_open(directory, store, &error) ? cli_fail(cli, &error) : CLI_OK;
}

int cli_store_token_url(struct cli *cli, char **url)
{
    const char *given = cli_value(cli, "token-url");
    *url = NULL;
    if (given) {
        *url = sl_strdup(given);
        return *url ? CLI_OK : cli_out_of_memory(cli);
    }
    int code = cli_load_platform_config(cli);
    if (code)
        return code;
    const char *public_url = sl_config_get(cli->config, GATEWAY "public-url");
    const char *address = sl_config_get(cli->config, GATEWAY "listen.address"),
               *port = sl_config_get(cli->config, GATEWAY "listen.port"),
               *certificate = sl_config_get(cli->config, GATEWAY "listen.tls.certificate");
    if (public_url && *public_url) {
        size_t size = strlen(public_url);
        while (size && public_url[size - 1] == '/')
            size--;
        *url = sl_printf("%.*s/oauth2/token", (int)size, public_url);
    } else {
        bool v6 = address && strchr(address, ':');
        *url = sl_printf("%s://%s%s%s:%s/oauth2/token", certificate && *certificate ? "https" : "http",
                         v6 ? "[" : "", address && *address ? address : "127.0.0.1", v6 ? "]" : "",
                         port && *port ? port : "8080");
    }
    return *url ? CLI_OK : cli_out_of_memory(cli);
}
