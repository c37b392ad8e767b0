/* streamlayer config show|render|check */
#include "auth/credentials.h"
#include "base/error.h"
#include "base/text.h"
#include "cli.h"
#include "client/client.h"
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

/* Rows that settings without a value are added to. */
struct unset {
    struct rows *rows;
    const char *below;
    size_t given; /* rows of those that have one */
};

static void add_if_unset(void *opaque, const struct sl_setting *setting, const char *path)
{
    (void)setting;
    const struct unset *unset = opaque;
    bool set = !lies_below(path, unset->below);
    for (size_t i = 0; !set && i < unset->given; i++)
        set = lies_below(unset->rows->all[i].path, path);
    if (!set)
        add_row(unset->rows, path, NULL, NULL);
}

/* The settings that have no value, among the others. */
static void add_unset(struct rows *rows, const sl_config *config, const char *below)
{
    const struct sl_setting *setting;
    struct unset unset = {rows, below, rows->count};
    for (size_t i = 0; !rows->failed && (setting = sl_setting_at(i)) != NULL; i++)
        if (!sl_config_each_path(config, setting, add_if_unset, &unset))
            rows->failed = true;
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

/* What is wrong, kept until all is known: people read it in the order of their files. */
struct finding {
    bool is_error;
    char *path, *origin, *text;
    size_t file, number; /* the first finding of the same file, and this one */
    long line;
};

struct told {
    const struct cli *cli;
    const char *below; /* of this only; NULL: everything */
    struct finding *all;
    size_t count, capacity;
    bool has_note, has_error, failed;
};

/* The length of FILE in "FILE:LINE"; what has no line is a file of its own. */
static size_t split_origin(const char *origin, long *line)
{
    const char *colon = strrchr(origin, ':');
    *line = 0;
    if (!colon || !colon[1] || colon[1 + strspn(colon + 1, "0123456789")])
        return strlen(origin);
    *line = strtol(colon + 1, NULL, 10);
    return (size_t)(colon - origin);
}

static size_t first_of_file(const struct told *told, const char *origin, size_t size)
{
    long line;
    for (size_t i = 0; i < told->count; i++)
        if (split_origin(told->all[i].origin, &line) == size && !memcmp(told->all[i].origin, origin, size))
            return told->all[i].file;
    return told->count;
}

static bool keep(void *opaque, sl_finding_level level, const char *path, const char *origin, const char *text)
{
    struct told *told = opaque;
    if (!lies_below(path, told->below))
        return true;
    if (told->count == told->capacity) {
        size_t capacity = told->capacity ? told->capacity * 2 : 16;
        struct finding *all = realloc(told->all, capacity * sizeof *all);
        told->failed |= !all;
        if (!all)
            return false;
        told->all = all;
        told->capacity = capacity;
    }
    struct finding finding = {.is_error = level == SL_FINDING_ERROR, .number = told->count};
    finding.file = first_of_file(told, origin, split_origin(origin, &finding.line));
    finding.path = strdup(path);
    finding.origin = strdup(origin);
    finding.text = strdup(text);
    if (!finding.path || !finding.origin || !finding.text) {
        free(finding.path);
        free(finding.origin);
        free(finding.text);
        told->failed = true;
        return false;
    }
    told->all[told->count++] = finding;
    told->has_error |= finding.is_error;
    told->has_note |= !finding.is_error;
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct finding *one = a, *other = b;
    if (one->file != other->file)
        return one->file < other->file ? -1 : 1;
    if (one->line != other->line)
        return one->line < other->line ? -1 : 1;
    return one->number < other->number ? -1 : one->number > other->number;
}

/* json: a list that gets them; NULL: they go to standard error. */
static void tell(struct told *told, json_t *json)
{
    if (told->count)
        qsort(told->all, told->count, sizeof *told->all, by_place);
    for (size_t i = 0; i < told->count; i++) {
        const struct finding *one = &told->all[i];
        if (json)
            told->failed |=
                json_array_append_new(json, json_pack("{s:s, s:o, s:o, s:o}", "level",
                                                      one->is_error ? "error" : "note", "path",
                                                      text_json(one->path), "origin", text_json(one->origin),
                                                      "message", text_json(one->text))) != 0;
        else if (one->is_error)
            cli_error_as(told->cli, SL_BAD_CONFIG, "%s", one->text);
        else
            cli_warning(told->cli, "%s", one->text);
    }
}

static void free_told(struct told *told)
{
    for (size_t i = 0; i < told->count; i++) {
        free(told->all[i].path);
        free(told->all[i].origin);
        free(told->all[i].text);
    }
    free(told->all);
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

static int show_findings(struct cli *cli, const char *below)
{
    struct told told = {.cli = cli, .below = below};
    sl_error error = {0};
    int code = sl_config_findings(cli->config, keep, &told, &error) ? cli_fail(cli, &error) : CLI_OK;
    if (!code && told.failed)
        code = cli_out_of_memory(cli);
    if (!code)
        tell(&told, NULL);
    free_told(&told);
    return code;
}

/* A short name, as documents write it, is the likely cause. */
static int nothing_there(struct cli *cli, const char *path)
{
    char full[256], hint[300] = "";
    snprintf(full, sizeof full, SL_ROOT "%.200s", path);
    if (sl_setting_find(full) || sl_setting_is_group(full))
        snprintf(hint, sizeof hint, " (did you mean %s?)", full);
    return cli_error_as(
        cli, SL_NOT_FOUND,
        "nothing is known or set at \"%s\"%s; `streamlayer config show --all` lists what is, and "
        "what can be",
        path, hint);
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
    if (sl_config_each(cli->config, below, add_row, &rows))
        rows.failed = true;
    if (cli_flag(cli, "all"))
        add_unset(&rows, cli->config, below);
    if (rows.failed) {
        code = cli_out_of_memory(cli);
    } else if (below && !rows.count) {
        code = nothing_there(cli, below);
    } else if (!print_rows(cli, &rows)) {
        code = cli_flush_output(cli);
        code = code ? code : cli_out_of_memory(cli);
    }
    free_rows(&rows);
    code = code ? code : cli_flush_output(cli);
    return code ? code : show_findings(cli, below);
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

static void keep_warning_of_credentials(void *opaque, sl_log_level level, const char *text)
{
    if (level <= SL_LOG_WARNING)
        keep(opaque, SL_FINDING_NOTE, CREDENTIALS, "credentials", text);
}

/* What the settings lead to. Where they are wrong themselves, that has been told. */
static void check_credentials(struct told *told)
{
    const struct sl_log log = {
        .callback = keep_warning_of_credentials, .opaque = told, .level = SL_LOG_WARNING};
    sl_error error = {0};
    if (sl_credentials_check(told->cli->config, &log, NULL, &error))
        keep(told, SL_FINDING_ERROR, CREDENTIALS, "credentials", error.text);
}

#define TLS SL_ROOT "tls"

static void keep_warning_of_tls(void *opaque, sl_log_level level, const char *text)
{
    if (level <= SL_LOG_WARNING)
        keep(opaque, SL_FINDING_NOTE, TLS, "", text);
}

/* The files of TLS, once the settings that name them are right. */
static void check_tls(struct told *told)
{
    const struct sl_log log = {.callback = keep_warning_of_tls, .opaque = told, .level = SL_LOG_WARNING};
    sl_error error = {0};
    for (size_t i = 0; i < told->count; i++)
        if (told->all[i].is_error && lies_below(told->all[i].path, TLS))
            return;
    if (!sl_client_check_tls(told->cli->config, &log, &error))
        return;
    char path[128];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(error.text, " "), error.text);
    bool is_setting = sl_setting_find(path);
    const char *origin = is_setting ? sl_config_origin(told->cli->config, path) : NULL;
    if (origin)
        sl_error_prefix(&error, "%s", origin);
    keep(told, SL_FINDING_ERROR, is_setting ? path : TLS, origin ? origin : "", error.text);
}

static int print_result(const struct cli *cli, bool ok, json_t *findings)
{
    if (!findings) {
        if (ok)
            puts("ok");
        return CLI_OK;
    }
    json_t *result = json_pack("{s:b, s:O}", "ok", (int)ok, "findings", findings);
    if (!result)
        return cli_out_of_memory(cli);
    if (!json_dumpf(result, stdout, JSON_INDENT(2))) /* else the stream remembers */
        putchar('\n');
    json_decref(result);
    return CLI_OK;
}

static int config_check(struct cli *cli)
{
    int code = cli_load_config(cli);
    if (code)
        return code;
    sl_error error = {0};
    struct told told = {.cli = cli};
    json_t *findings = cli->json ? json_array() : NULL;
    bool wrong = false;
    if (cli->json && !findings)
        return cli_out_of_memory(cli);
    if (sl_config_findings(cli->config, keep, &told, &error)) {
        code = cli_fail(cli, &error);
    } else {
        wrong = told.has_error;
        check_tls(&told);
        if (!wrong)
            check_credentials(&told);
        if (!told.failed)
            tell(&told, findings);
        bool ok = !told.has_error && !(told.has_note && cli_flag(cli, "strict"));
        code = told.failed ? cli_out_of_memory(cli) : print_result(cli, ok, findings);
        code = code ? code : cli_flush_output(cli);
        code = code || ok ? code : CLI_USAGE;
    }
    json_decref(findings);
    free_told(&told);
    return code;
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
