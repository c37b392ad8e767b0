/* streamlayer config reference */
#include "config/reference.h"
#include "cli.h"

#include <jansson.h>
#include <string.h>

static const char *type_name(enum sl_setting_type type)
{
    static const char *const names[] = {
        [SL_TEXT] = "text",
        [SL_CHOICE] = "choice",
        [SL_INTEGER] = "integer",
        [SL_BOOLEAN] = "boolean",
        [SL_DURATION_MS] = "duration",
        [SL_SIZE_BYTES] = "size",
        [SL_SECRET] = "secret",
        [SL_FILE] = "file",
        [SL_SECTION] = "section",
        [SL_LAYERS] = "layers",
        [SL_URL] = "url",
        [SL_SERVERS] = "servers",
        [SL_NAMED] = "named",
    };
    return names[type];
}

static json_t *describe(const struct sl_setting *setting)
{
    char allowed[512];
    const char *unit = sl_setting_unit(setting);
    sl_setting_allowed(setting, allowed, sizeof allowed);
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?, s:s}", "path", setting->path, "type",
                  type_name(setting->type), "allowed", allowed, "unit", *unit ? unit : NULL, "default",
                  setting->value, "variable", setting->environment, "meaning", setting->meaning);
    json_t *names = json_array();
    for (const char *const *also = setting->also; also && *also; also++)
        json_array_append_new(names, json_string(*also));
    if (object)
        json_object_set(object, "also", names);
    json_decref(names);
    if (object && strncmp(setting->path, SL_GATEWAY_ROOT, strlen(SL_GATEWAY_ROOT)) == 0)
        json_object_set_new(object, "reload", json_boolean(setting->reload));
    bool ranged = setting->type == SL_INTEGER || *unit;
    if (object && ranged)
        json_object_update_new(object, json_pack("{s:I, s:I}", "min", (json_int_t)setting->min, "max",
                                                 (json_int_t)setting->max));
    return object;
}

/* false: out of memory. */
static bool print_json(void)
{
    json_t *all = json_array();
    const struct sl_setting *setting;
    bool done = all != NULL;
    for (size_t i = 0; done && (setting = sl_setting_at(i)) != NULL; i++)
        done = json_array_append_new(all, describe(setting)) == 0;
    if (done && !json_dumpf(all, stdout, JSON_INDENT(2))) /* else the stream remembers */
        putchar('\n');
    json_decref(all);
    return done;
}

static bool print_text(bool markdown)
{
    struct sl_buffer text;
    sl_buffer_init(&text, (size_t)1024 * 1024);
    if (markdown) {
        sl_buffer_append_text(&text,
                              "## Settings of the client\n\nAll below `here.platform.data-client`.\n\n");
        sl_reference_markdown(&text, SL_CLIENT_TABLE);
        sl_buffer_append_text(&text, "\n## Settings of the gateway\n\nAll below `streamlayer.gateway`.\n\n");
        sl_reference_markdown(&text, SL_GATEWAY_TABLE);
    } else {
        sl_reference_conf(&text);
    }
    bool done = !text.failed;
    if (done)
        fwrite(text.data, 1, text.size, stdout);
    sl_buffer_free(&text);
    return done;
}

static int config_reference(struct cli *cli)
{
    if (!(cli->json ? print_json() : print_text(cli_flag(cli, "markdown"))))
        return cli_out_of_memory(cli);
    return cli_flush_output(cli);
}

static const struct cli_option options[] = {
    {0, "markdown", NULL, "as the tables of docs/configuration.md"},
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_config_reference_command = {
    .name = "config reference",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .summary = "print every setting, what it may be, and its default",
    .details =
        "As HOCON, in which what has no default is a comment. No configuration is read. An installation "
        "has the same text as share/streamlayer/reference.conf.",
    .examples = "  streamlayer config reference\n"
                "  streamlayer config reference --markdown\n",
    .options = options,
    .run = config_reference,
};
