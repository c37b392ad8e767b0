/* streamlayer config show|render|check */
#include "cli.h"

#include "config/settings.h"
#include "wire/hrn.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct shown {
    struct cli_table *table;
    json_t *json;
    size_t count;
};

static bool show_value(void *opaque, const char *path, const char *value, const char *origin)
{
    struct shown *shown = opaque;
    const char *cells[] = {path, value, origin};
    shown->count++;
    if (shown->json)
        return !json_object_set_new(shown->json, path,
                                    json_pack("{s:s?, s:s?}", "value", value, "origin", origin));
    cli_table_row(shown->table, cells);
    return true;
}

/* Each setting that layers may have for themselves, and what says it for this one. */
static int show_layer(struct cli *cli, const char *hrn, const char *layer)
{
    static const char *const titles[] = {"SETTING", "VALUE", "FROM"};
    sl_error error = {0};
    int code = CLI_OK;
    if (sl_hrn_check(hrn, &error) || sl_layer_id_check(layer, &error))
        return cli_usage_error(cli, "--layer: %s", error.text);
    struct cli_table *table = cli->json ? NULL : cli_table_create(3, titles);
    json_t *json = cli->json ? json_object() : NULL;
    const struct sl_setting *setting;
    for (size_t i = 0; !code && (setting = sl_setting_at(i)); i++) {
        const char *value = NULL;
        char *from = NULL;
        if (!setting->layered)
            continue;
        if (sl_config_layer_choice(cli->config, setting->path, hrn, layer, &value, &from, &error)) {
            code = cli_fail(cli, &error);
            continue;
        }
        const char *origin = sl_config_origin(cli->config, from);
        const char *cells[] = {from, value, origin ? origin : "?"};
        if (table)
            cli_table_row(table, cells);
        else
            json_object_set_new(
                json, setting->path,
                json_pack("{s:s, s:s?, s:s}", "value", value, "origin", cells[2], "setBy", from));
        free(from);
    }
    if (!code && json && !json_dumpf(json, stdout, JSON_INDENT(2)))
        putchar('\n');
    if (!code && table)
        cli_table_print(&table);
    cli_table_drop(&table);
    json_decref(json);
    return code ? code : cli_flush_output(cli);
}

static int config_show(struct cli *cli)
{
    bool of_layer = cli_flag(cli, "layer");
    if (of_layer && cli->operand_count != 2)
        return cli_usage_error(cli, "config show --layer: a catalog's HRN and a layer's id are needed");
    if (!of_layer && cli->operand_count > 1)
        return cli_usage_error(cli, "config show: one PATH, or --layer HRN LAYER");
    int code = cli_load_config(cli);
    if (code)
        return code;
    if (of_layer)
        return show_layer(cli, cli->operands[0], cli->operands[1]);
    static const char *const titles[] = {"SETTING", "VALUE", "FROM"};
    struct shown shown = {0};
    if (cli->json)
        shown.json = json_object();
    else
        shown.table = cli_table_create(3, titles);
    sl_config_each(cli->config, cli->operand_count ? cli->operands[0] : NULL, show_value, &shown);
    if (cli->operand_count && !shown.count) {
        cli_error(cli,
                  "nothing is known or set at \"%s\"; `streamlayer config show` lists what is, "
                  "docs/configuration.md what can be",
                  cli->operands[0]);
        code = CLI_NOT_FOUND;
    }
    if (!code && shown.json && !json_dumpf(shown.json, stdout, JSON_INDENT(2)))
        putchar('\n');
    if (code)
        cli_table_drop(&shown.table);
    else if (shown.table)
        cli_table_print(&shown.table);
    json_decref(shown.json);
    return code ? code : cli_flush_output(cli);
}

static const struct cli_option show_options[] = {
    {0, "layer", NULL, "which connectors that layer gets, and which setting says so"},
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_config_show_command = {
    .name = "config show",
    .operands = "[PATH] | --layer HRN LAYER",
    .min_operands = 0,
    .max_operands = 2,
    .summary = "show the settings in force and where each comes from",
    .details = "With PATH, only what lies below it. Secrets are masked. With --layer, the connectors of one "
               "layer: those of stream.layers where it says any, else those for all.",
    .examples = "  streamlayer config show here.platform.data-client.stream\n"
                "  streamlayer config show --layer hrn:here:data::local:traffic cars\n",
    .options = show_options,
    .run = config_show,
};

static int config_render(struct cli *cli)
{
    sl_error error = {0};
    char *json = NULL;
    if (sl_config_render_file(cli->operands[0], &json, &error)) {
        int code = cli_fail(cli, &error);
        return error.status == SL_IO && access(cli->operands[0], F_OK) ? CLI_NOT_FOUND : code;
    }
    puts(json);
    sl_free(json);
    return cli_flush_output(cli);
}

const struct cli_command cli_config_render_command = {
    .name = "config render",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "print a HOCON file, resolved, as JSON",
    .examples = "  streamlayer config render application.conf\n",
    .run = config_render,
};

static int config_check(struct cli *cli)
{
    int code = cli_load_config(cli);
    if (code)
        return code;
    sl_error error = {0};
    if (sl_config_check(cli->config, &error))
        return cli_fail(cli, &error);
    puts(cli->json ? "{\"ok\": true}" : "ok");
    return cli_flush_output(cli);
}

const struct cli_command cli_config_check_command = {
    .name = "config check",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .summary = "check the configuration",
    .examples = "  streamlayer --config my.conf config check\n",
    .run = config_check,
};
