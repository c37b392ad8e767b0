/* streamlayer token: one's own token, and, for administrators, the keys that tokens are signed with */
#include "cli.h"

#include <string.h>
#include <time.h>

static int print_token(struct cli *cli)
{
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
    return CLI_OK;
}

static int print_keys(const struct cli *cli, const sl_token_key_list *list)
{
    static const char *const titles[] = {"KEY", "STATE", "MADE", "SIGNS FROM", "ENDS AT"};
    if (cli->json) {
        puts(sl_token_key_list_json(list));
        return CLI_OK;
    }
    struct cli_table *table = cli_table_create(5, titles);
    sl_token_key key = {.struct_size = sizeof key};
    for (size_t i = 0; sl_token_key_list_at(list, i, &key); i++) {
        char made[32], from[32], end[32];
        cli_format_time(key.made_ms, "-", made);
        cli_format_time(key.signs_from_ms, "-", from);
        cli_format_time(key.ends_at_ms, "-", end);
        const char *cells[] = {key.kid, key.state, made, from, end};
        cli_table_row(table, cells);
    }
    return cli_table_finish(cli, &table);
}

static int list_keys(struct cli *cli)
{
    sl_error error = {0};
    sl_token_key_list *list = NULL;
    if (sl_token_key_list_get(cli->client, &list, &error))
        return cli_fail(cli, &error);
    int code = print_keys(cli, list);
    sl_token_key_list_destroy(&list);
    return code;
}

static int rotate_key(struct cli *cli)
{
    sl_error error = {0};
    sl_token_key_list *list = NULL;
    if (sl_token_key_rotate(cli->client, &list, &error))
        return cli_fail(cli, &error);
    int code = print_keys(cli, list);
    sl_token_key_list_destroy(&list);
    return code;
}

static int revoke_key(struct cli *cli)
{
    sl_error error = {0};
    const char *kid = cli->operands[1];
    int code = cli_ask_unless_sure(cli, "End the key %s, and all tokens that it signed, at once?", kid);
    if (code)
        return code;
    if (sl_token_key_revoke(cli->client, kid, &error))
        return cli_fail(cli, &error);
    if (!cli->json)
        puts("The key has ended. Clients that had tokens of it ask for new ones by themselves.");
    return CLI_OK;
}

static int token(struct cli *cli)
{
    static const struct {
        const char *name;
        size_t operands;
        int (*run)(struct cli *cli);
    } actions[] = {{"print", 1, print_token},
                   {"keys", 1, list_keys},
                   {"rotate-key", 1, rotate_key},
                   {"revoke-key", 2, revoke_key}};
    const char *name = cli->operand_count ? cli->operands[0] : "print";
    size_t count = sizeof actions / sizeof *actions, at = 0;
    while (at < count && strcmp(actions[at].name, name) != 0)
        at++;
    if (at == count)
        return cli_usage_error(cli, "token does not take \"%s\": print, keys, rotate-key or revoke-key KID",
                               name);
    if (cli->operand_count > actions[at].operands)
        return cli_usage_error(cli, "token %s does not take \"%s\"", name,
                               cli->operands[actions[at].operands]);
    if (actions[at].operands == 2 && cli->operand_count < 2)
        return cli_usage_error(cli, "token %s needs the KEY that \"token keys\" shows", name);
    int code = cli_connect(cli);
    if (!code)
        code = actions[at].run(cli);
    return code ? code : cli_flush_output(cli);
}

static const struct cli_option token_options[] = {
    {'y', "yes", NULL, "do not ask, for revoke-key"},
    {0},
};

const struct cli_command cli_token_command = {
    .name = "token",
    .operands = "[print|keys|rotate-key|revoke-key] [KEY]",
    .min_operands = 0,
    .max_operands = 2,
    .summary = "print a bearer token for the platform's HTTP API, or change the keys of tokens",
    .details =
        "Without an operand, and with print: a token of this application's.\n\n"
        "The others are about the keys that the platform signs tokens with, and need the right admin. keys "
        "lists them. rotate-key has the next one made: it is published at once and signs after a while, and "
        "the one before stays good for checking until its last token has ended, so that no live token is "
        "refused. revoke-key ends a key that is no secret any more, and with it all tokens that it signed.",
    .examples = "  curl -H \"Authorization: Bearer $(streamlayer token)\" "
                "http://127.0.0.1:8080/lookup/v1/platform/apis\n"
                "  streamlayer token rotate-key\n",
    .options = token_options,
    .related = "status",
    .run = token,
};
