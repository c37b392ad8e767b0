/* streamlayer token */
#include "cli.h"

static int token(struct cli *cli)
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

const struct cli_command cli_token_command = {
    .name = "token",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .summary = "print a bearer token for the platform's HTTP API",
    .examples = "  curl -H \"Authorization: Bearer $(streamlayer token)\" "
                "http://127.0.0.1:8080/lookup/v1/platform/apis\n",
    .related = "status",
    .run = token,
};
