/* streamlayer grant, revoke */
#include "platform.h"
#include "store.h"

#include <jansson.h>
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

/* What an application has. */
struct held {
    unsigned here;       /* on the catalog that is named; for '*' all */
    unsigned everywhere; /* on every catalog, beside it */
};

/* The answer of GET grants: a list of {"application", "name", "hrn", "rights"}. */
static struct held read_held(const json_t *items, const char *named, const char *hrn)
{
    struct held held = {0};
    size_t index;
    const json_t *item;
    json_array_foreach(items, index, item)
    {
        const char *id = json_string_value(json_object_get(item, "application")),
                   *name = json_string_value(json_object_get(item, "name")),
                   *on = json_string_value(json_object_get(item, "hrn"));
        if (!on || ((!id || strcmp(id, named) != 0) && (!name || strcmp(name, named) != 0)))
            continue;
        unsigned rights = sl_rights_known(json_object_get(item, "rights"));
        if (!strcmp(on, hrn))
            held.here |= rights;
        else
            held.everywhere |= rights;
    }
    return held;
}

static int ask_stored(const struct cli *cli, struct gw_applications *store, struct held *held)
{
    sl_error error = {0};
    json_t *items;
    if (gw_applications_grants_json(store, cli->operands[1], &items, &error))
        return cli_fail(cli, &error);
    *held = read_held(items, cli->operands[0], cli->operands[1]);
    json_decref(items);
    return CLI_OK;
}

static int ask(const struct cli *cli, struct held *held)
{
    sl_error error = {0};
    sl_grant_list *list;
    if (sl_grant_list_get(cli->client, cli->operands[1], &list, &error))
        return cli_fail(cli, &error);
    json_t *answer = json_loads(sl_grant_list_json(list), 0, NULL);
    *held = read_held(json_object_get(answer, "grants"), cli->operands[0], cli->operands[1]);
    json_decref(answer);
    sl_grant_list_destroy(&list);
    return CLI_OK;
}

/* What whoever took rights may not expect: that there were none, or that they stay by another grant. Neither
 * is an error: what was asked for is so. before: as it was; rights: 0, all. */
static void tell_what_stays(const struct cli *cli, const struct held *before, unsigned rights)
{
    const char *name = cli->operands[0], *hrn = cli->operands[1];
    unsigned taken = rights ? rights : SL_RIGHTS_ALL;
    char text[SL_RIGHTS_TEXT];
    if (!(before->here & taken))
        cli_warning(cli, "%s had %s%s on %s: nothing was changed", name, rights ? "no right to " : "no right",
                    rights ? sl_rights_text(rights, text) : "", hrn);
    unsigned stays = before->everywhere & taken;
    if (stays) {
        sl_rights_text(stays, text);
        cli_warning(
            cli,
            "%s may still %s there, by what it has on every catalog: streamlayer revoke %s '*' %s takes "
            "that, from all of them",
            name, text, name, text);
    }
}

/* On the Marketplace a grant to read gives nothing by itself, but to who manages (docs/marketplace.md). */
static void tell_what_it_does_not_give(const struct cli *cli, unsigned rights)
{
    const char *name = cli->operands[0], *hrn = cli->operands[1];
    struct held held = {0};
    if (!(rights & SL_RIGHT_READ) || !strcmp(hrn, GW_EVERY_CATALOG) ||
        cli_platform_market(cli, hrn) != CLI_ON_MARKETPLACE)
        return;
    if (!ask(cli, &held) && !((held.here | held.everywhere) & SL_RIGHT_MANAGE))
        cli_warning(cli,
                    "%s is on the Marketplace: %s reads it by Marketplace subscription only, whatever is "
                    "granted: streamlayer marketplace subscribe %s %s",
                    hrn, name, name, hrn);
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
    struct held before = {0};
    code = remove ? ask_stored(cli, store, &before) : CLI_OK;
    sl_status status =
        code ? SL_OK : gw_applications_grant(store, cli->operands[0], hrn, add, remove, NULL, &error);
    gw_applications_close(&store);
    if (code)
        return code;
    if (status == SL_UNSUPPORTED) /* there is no such catalog */
        error.status = SL_NOT_FOUND;
    if (status)
        return cli_fail(cli, &error);
    if (remove)
        tell_what_stays(cli, &before, remove == SL_RIGHTS_ALL ? 0 : remove);
    return CLI_OK;
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
    if (gives) {
        if (sl_grant_add(cli->client, cli->operands[0], cli->operands[1], rights, &error))
            return cli_fail(cli, &error);
        tell_what_it_does_not_give(cli, rights);
        return CLI_OK;
    }
    struct held before = {0};
    code = ask(cli, &before);
    if (code)
        return code;
    if (sl_grant_take(cli->client, cli->operands[0], cli->operands[1], rights, &error))
        return cli_fail(cli, &error);
    tell_what_stays(cli, &before, rights);
    return CLI_OK;
}

static int grant(struct cli *cli)
{
    return change(cli, true);
}

static const struct cli_option options[] = {
    CLI_DATA_DIR_OPTION,
    {0, NULL, NULL, NULL},
};

static const char several_rights[] = "several rights are joined by commas, without blanks: read,write";

const struct cli_command cli_grant_command = {
    .name = "grant",
    .operands = "NAME HRN RIGHTS",
    .min_operands = 3,
    .max_operands = 3,
    .surplus = several_rights,
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
    .surplus = several_rights,
    .summary = "take rights from an application",
    .details =
        "Without RIGHTS, all that it has there. What it must not do any more ends: subscriptions with the "
        "right to read, publications with the right to write. A right on every catalog ('*') is not taken "
        "from a single one: a warning says which of them stay. That there was nothing to take is a warning, "
        "too, and the exit code is 0.",
    .examples = "  streamlayer revoke fleet hrn:here:data::local:traffic\n"
                "  streamlayer revoke fleet hrn:here:data::local:traffic write\n",
    .options = options,
    .changes = true,
    .related = "grant",
    .run = revoke,
};
