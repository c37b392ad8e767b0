/* streamlayer token */
#include "cli.h"

int cli_token(struct cli *cli)
{
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    char *token = NULL;
    int64_t expires_ms = -1;
    if (sl_client_token(cli->client, &token, &expires_ms, &error))
        return cli_fail(cli, &error);
    if (cli->json)
        printf("{\"token\": \"%s\", \"expiresMs\": %lld}\n", token, (long long)expires_ms);
    else
        puts(token);
    sl_free(token);
    return cli_flush_output(cli);
}
