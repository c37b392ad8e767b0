/* streamlayer grant, revoke */
#include "store.h"

#include <string.h>

/* The third operand: 0, all, where there is none. */
static int read_rights(const struct cli *cli, unsigned *rights)
{
    sl_error error = {0};
    *rights = 0;
    if (cli->operand_count > 2 && sl_rights_parse(cli->operands[2], rights, &error))
        return cli_usage_error(cli, "%s", error.text);
    return CLI_OK;
}

/* In the store: add or remove. */
static int change_stored(struct cli *cli, unsigned add, unsigned remove)
{
    struct gw_applications *store;
    sl_error error = {0};
    const char *hrn = cli->operands[1];
    bool all = !strcmp(hrn, GW_EVERY_CATALOG);
    if (add & ~(unsigned)(all ? SL_RIGHTS_ALL : SL_RIGHTS_CATALOG))
        return cli_usage_error(cli, "create and admin are rights on the platform: grant them on '*'");
    int code = cli_store_open(cli, false, &store);
    if (code)
        return code;
    sl_status status = gw_applications_grant(store, cli->operands[0], hrn, add, remove, NULL, &error);
    gw_applications_close(&store);
    if (status == SL_UNSUPPORTED) /* there is no such catalog */
        error.status = SL_NOT_FOUND;
    return status ? cli_fail(cli, &error) : CLI_OK;
}

/* Gives the rights, or takes them. */
static int change(struct cli *cli, bool gives)
{
    unsigned rights;
    sl_error error = {0};
    int code = read_rights(cli, &rights);
    if (code)
        return code;
    if (cli_has_store(cli))
        return gives ? change_stored(cli, rights, 0) : change_stored(cli, 0, rights ? rights : SL_RIGHTS_ALL);
    code = cli_connect(cli);
    if (code)
        return code;
    sl_status (*call)(sl_client *, const char *, const char *, unsigned, sl_error *) =
        gives ? sl_grant_add : sl_grant_take;
    return call(cli->client, cli->operands[0], cli->operands[1], rights, &error) ? cli_fail(cli, &error)
                                                                                 : CLI_OK;
}

static int grant(struct cli *cli)
{
    return change(cli, true);
}

static const struct cli_option options[] = {
    CLI_DATA_DIR_OPTION,
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_grant_command = {
    .name = "grant",
    .operands = "NAME HRN RIGHTS",
    .min_operands = 3,
    .max_operands = 3,
    .summary = "give an application rights on a catalog, or on everything",
    .details =
        "RIGHTS is one or more of read, write and manage, joined by commas, and comes to what the "
        "application has there already. With '*' as HRN they are on every catalog, those to come, too; only "
        "there are create (catalogs) and admin (applications and grants). Whoever manages a catalog may "
        "grant on it; an administrator on all of them.",
    .examples = "  streamlayer grant fleet hrn:here:data::local:traffic write\n"
                "  streamlayer grant dashboard '*' read\n",
    .options = options,
    .changes = true,
    .related = "revoke,app create,app list",
    .run = grant,
};

static int revoke(struct cli *cli)
{
    return change(cli, false);
}

const struct cli_command cli_revoke_command = {
    .name = "revoke",
    .operands = "NAME HRN [RIGHTS]",
    .min_operands = 2,
    .max_operands = 3,
    .summary = "take rights from an application",
    .details =
        "Without RIGHTS, all that it has there. What it must not do any more ends: subscriptions with the "
        "right to read, publications with the right to write. A right on every catalog ('*') is not taken "
        "from a single one.",
    .examples = "  streamlayer revoke fleet hrn:here:data::local:traffic\n"
                "  streamlayer revoke fleet hrn:here:data::local:traffic write\n",
    .options = options,
    .changes = true,
    .related = "grant",
    .run = revoke,
};
