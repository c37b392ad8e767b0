/* streamlayer config show|render|check */
#include "auth/credentials.h"
#include "base/text.h"
#include "cli.h"
#include "config/settings.h"
#include "wire/hrn.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NOT_SET "(not set)"

struct row {
    char *path, *value, *origin; /* value and origin NULL: not set */
};

struct rows {
    struct row *all;
    size_t count, capacity;
    bool failed; /* memory is out */
};

static bool add_row(void *opaque, const char *path, const char *value, const char *origin)
{
    struct rows *rows = opaque;
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity ? rows->capacity * 2 : 64;
        struct row *all = realloc(rows->all, capacity * sizeof *all);
        if (!all) {
            rows->failed = true;
            return false;
        }
        rows->all = all;
        rows->capacity = capacity;
    }
    struct row *row = &rows->all[rows->count++];
    *row = (struct row){sl_strdup(path), sl_strdup(value), sl_strdup(origin)};
    rows->failed |= !row->path || (value && !row->value) || (origin && !row->origin);
    return !rows->failed;
}

static void free_rows(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        free(rows->all[i].path);
        free(rows->all[i].value);
        free(rows->all[i].origin);
    }
    free(rows->all);
}

/* By their keys: "a.b" comes before "a-b". */
static int by_path(const void *a, const void *b)
{
    const char *one = ((const struct row *)a)->path, *other = ((const struct row *)b)->path;
    while (*one && *one == *other) {
        one++;
        other++;
    }
    int left = *one == '.' ? 1 : (unsigned char)*one, right = *other == '.' ? 1 : (unsigned char)*other;
    return left - right;
}

/* Whether path is root, or lies below it; NULL: everything does. */
static bool lies_below(const char *path, const char *root)
{
    size_t length = root ? strlen(root) : 0;
    return !length || (!strncmp(path, root, length) && (!path[length] || path[length] == '.'));
}

/* The settings that have no value, among the others. */
static void add_unset(struct rows *rows, const char *below)
{
    const struct sl_setting *setting;
    size_t given = rows->count;
    for (size_t i = 0; !rows->failed && (setting = sl_setting_at(i)) != NULL; i++) {
        bool set = !lies_below(setting->path, below);
        for (size_t j = 0; !set && j < given; j++)
            set = lies_below(rows->all[j].path, setting->path);
        if (!set)
            add_row(rows, setting->path, NULL, NULL);
    }
    if (rows->count && !rows->failed)
        qsort(rows->all, rows->count, sizeof *rows->all, by_path);
}

/* A file's name may be no UTF-8, which JSON has to be. NULL: none, or out of memory. */
static json_t *text_json(const char *text)
{
    json_t *json = text ? json_string(text) : NULL;
    char *copy = text && !json ? strdup(text) : NULL;
    if (copy) {
        sl_clean_line(copy);
        json = json_string(copy);
        free(copy);
    }
    return json;
}

static bool print_rows(const struct cli *cli, const struct rows *rows)
{
    static const char *const titles[] = {"SETTING", "VALUE", "FROM"};
    json_t *json = cli->json ? json_object() : NULL;
    struct cli_table *table = cli->json ? NULL : cli_table_create(cli_flag(cli, "origin") ? 3 : 2, titles);
    bool ok = json || table;
    for (size_t i = 0; ok && i < rows->count; i++) {
        const struct row *row = &rows->all[i];
        const char *cells[] = {row->path, row->value ? row->value : NOT_SET, row->origin};
        if (json)
            ok = !json_object_set_new(
                json, row->path,
                json_pack("{s:s?, s:o?}", "value", row->value, "origin", text_json(row->origin)));
        else
            cli_table_row(table, cells);
    }
    if (ok && json && !json_dumpf(json, stdout, JSON_INDENT(2)))
        putchar('\n');
    json_decref(json);
    return table ? cli_table_print(&table) && ok : ok;
}

/* What is told of what is wrong. */
struct told {
    const struct cli *cli;
    const char *below; /* of this only; NULL: everything */
    json_t *json;      /* a list; NULL: on standard error */
    bool has_note, has_error, failed;
};

static bool tell(void *opaque, sl_finding_level level, const char *path, const char *origin, const char *text)
{
    struct told *told = opaque;
    bool is_error = level == SL_FINDING_ERROR;
    if (!lies_below(path, told->below))
        return true;
    told->has_error |= is_error;
    told->has_note |= !is_error;
    if (told->json) {
        told->failed |=
            json_array_append_new(told->json,
                                  json_pack("{s:s, s:o, s:o, s:o}", "level", is_error ? "error" : "note",
                                            "path", text_json(path), "origin", text_json(origin), "message",
                                            text_json(text))) != 0;
        return !told->failed;
    }
    if (is_error)
        cli_error_as(told->cli, SL_BAD_CONFIG, "%s", text);
    else
        cli_warning(told->cli, "%s", text);
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
                json_pack("{s:s, s:o?, s:s}", "value", value, "origin", text_json(cells[2]), "setBy", from));
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
    const char *below = cli->operand_count ? cli->operands[0] : NULL;
    struct rows rows = {0};
    sl_error error = {0};
    if (sl_config_each(cli->config, below, add_row, &rows))
        rows.failed = true;
    if (cli_flag(cli, "all"))
        add_unset(&rows, below);
    if (rows.failed) {
        code = cli_out_of_memory(cli);
    } else if (below && !rows.count) {
        code = cli_error_as(
            cli, SL_NOT_FOUND,
            "nothing is known or set at \"%s\"; `streamlayer config show --all` lists what is, and what "
            "can be",
            below);
    } else if (!print_rows(cli, &rows)) {
        code = cli_flush_output(cli);
        code = code ? code : cli_out_of_memory(cli);
    }
    free_rows(&rows);
    code = code ? code : cli_flush_output(cli);
    if (!code && sl_config_findings(cli->config, tell, &(struct told){.cli = cli, .below = below}, &error))
        code = cli_fail(cli, &error);
    return code;
}

static const struct cli_option show_options[] = {
    {0, "origin", NULL, "where each value comes from, too"},
    {0, "all", NULL, "settings that have no value, too"},
    {0, "layer", NULL, "which connectors that layer gets, and which setting says so"},
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_config_show_command = {
    .name = "config show",
    .operands = "[PATH] | --layer HRN LAYER",
    .min_operands = 0,
    .max_operands = 2,
    .summary = "show the settings in force, and where each comes from",
    .details =
        "With PATH, only what lies at or below it. Secrets are masked. What `streamlayer config check` "
        "would tell of them follows on standard error.\n\n"
        "With --layer, the connectors of one layer, and where they come from: those of stream.layers "
        "where it says any, else those for all.",
    .examples = "  streamlayer config show --origin\n"
                "  streamlayer config show --all here.platform.data-client.stream\n"
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
        return error.status == SL_IO && cli_file_is_missing(cli->operands[0]) ? CLI_NOT_FOUND : code;
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

#define CREDENTIALS SL_ROOT "request-signer.credentials"

static void tell_of_credentials(void *opaque, sl_log_level level, const char *text)
{
    if (level <= SL_LOG_WARNING)
        tell(opaque, SL_FINDING_NOTE, CREDENTIALS, "credentials", text);
}

/* What the settings lead to. Where they are wrong themselves, that has been told. */
static void check_credentials(struct told *told)
{
    const struct sl_log log = {tell_of_credentials, told, SL_LOG_WARNING};
    sl_error error = {0};
    if (!told->has_error && sl_credentials_check(told->cli->config, &log, NULL, &error))
        tell(told, SL_FINDING_ERROR, CREDENTIALS, "credentials", error.text);
}

static int config_check(struct cli *cli)
{
    int code = cli_load_config(cli);
    if (code)
        return code;
    sl_error error = {0};
    struct told told = {.cli = cli, .json = cli->json ? json_array() : NULL};
    if (cli->json && !told.json)
        return cli_out_of_memory(cli);
    if (sl_config_findings(cli->config, tell, &told, &error)) {
        json_decref(told.json);
        return cli_fail(cli, &error);
    }
    check_credentials(&told);
    if (told.failed) {
        json_decref(told.json);
        return cli_out_of_memory(cli);
    }
    bool ok = !told.has_error && !(told.has_note && cli_flag(cli, "strict"));
    if (told.json) {
        json_t *result = json_pack("{s:b, s:o}", "ok", (int)ok, "findings", told.json);
        if (!result)
            code = cli_out_of_memory(cli);
        else if (!json_dumpf(result, stdout, JSON_INDENT(2))) /* else the stream remembers */
            putchar('\n');
        json_decref(result);
    } else if (ok) {
        puts("ok");
    }
    code = code ? code : cli_flush_output(cli);
    return code || ok ? code : CLI_USAGE;
}

static const struct cli_option check_options[] = {
    {0, "strict", NULL, "what has no effect counts as an error"},
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_config_check_command = {
    .name = "config check",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .summary = "check the configuration, and tell everything that is wrong with it",
    .details =
        "Errors are values that are not allowed, names that nothing reads, files that are named and cannot "
        "be read, variables of the environment whose names are nearly those of settings, and credentials "
        "that cannot "
        "be read or are not whole. Other libraries' names in sections that they share with this one are "
        "warned of: they have no effect here. The exit code is 0 without errors, else 2.",
    .examples = "  streamlayer --config my.conf config check\n"
                "  streamlayer config check --strict --json\n",
    .options = check_options,
    .run = config_check,
};
