#include "config/reference.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"

enum { COLUMNS = 110 };

const char *sl_setting_unit(const struct sl_setting *setting)
{
    return setting->type == SL_DURATION_MS ? "ms" : setting->type == SL_SIZE_BYTES ? "bytes" : "";
}

/* "1 to 5", "begin, end": words that are values themselves come between marks. */
static void range(const struct sl_setting *setting, const char *mark, char *out, size_t size)
{
    char low[32], high[32];
    switch (setting->type) {
    case SL_CHOICE: {
        size_t length = 0;
        out[0] = '\0';
        for (const char *const *choice = setting->choices; *choice && length < size; choice++)
            length += (size_t)snprintf(out + length, size - length, "%s%s%s%s",
                                       choice == setting->choices ? "" : ", ", mark, *choice, mark);
        break;
    }
    case SL_INTEGER:
        snprintf(out, size, "%" PRId64 " to %" PRId64, setting->min, setting->max);
        break;
    case SL_BOOLEAN:
        snprintf(out, size, "%strue%s, %sfalse%s", mark, mark, mark, mark);
        break;
    case SL_DURATION_MS:
        snprintf(out, size, "%s to %s", sl_duration_text(setting->min, low),
                 sl_duration_text(setting->max, high));
        break;
    case SL_SIZE_BYTES:
        snprintf(out, size, "%s to %s", sl_size_text(setting->min, low), sl_size_text(setting->max, high));
        break;
    case SL_TEXT:
        snprintf(out, size, "text");
        break;
    case SL_SECRET:
        snprintf(out, size, "text, secret");
        break;
    case SL_FILE:
        snprintf(out, size, "a path");
        break;
    case SL_URL:
        snprintf(out, size, "a URL");
        break;
    case SL_SERVERS:
        snprintf(out, size, "servers");
        break;
    case SL_SECTION:
    case SL_LAYERS:
    case SL_NAMED:
        snprintf(out, size, "a section");
        break;
    }
}

void sl_setting_allowed(const struct sl_setting *setting, char *out, size_t size)
{
    char bounds[128];
    range(setting, "", bounds, sizeof bounds);
    switch (setting->type) {
    case SL_INTEGER:
        snprintf(out, size, "a whole number from %s", bounds);
        break;
    case SL_DURATION_MS:
        snprintf(out, size, "a duration from %s, such as \"%s\"", bounds,
                 setting->value ? setting->value : "5 s");
        break;
    case SL_SIZE_BYTES:
        snprintf(out, size, "a size from %s, such as \"%s\"", bounds,
                 setting->value ? setting->value : "1 MiB");
        break;
    case SL_BOOLEAN:
        snprintf(out, size, "true or false");
        break;
    case SL_URL:
        snprintf(out, size, "a URL that begins with http:// or https://");
        break;
    case SL_SERVERS:
        snprintf(out, size, "HOST:PORT, with a port from 1 to 65535, several separated by commas");
        break;
    case SL_SECTION:
        snprintf(out, size, "a section, { name = value ... }");
        break;
    case SL_LAYERS:
        snprintf(out, size, "a section, " SL_LAYERS_FORM);
        break;
    case SL_NAMED:
        snprintf(out, size, "a section, " SL_NAMED_FORM);
        break;
    case SL_CHOICE:
        range(setting, "", out, size);
        break;
    case SL_TEXT:
    case SL_SECRET:
    case SL_FILE:
        snprintf(out, size, "text");
        break;
    }
}

/* A comment, broken at blanks. */
static void append_comment(struct sl_buffer *out, const char *text)
{
    while (*text) {
        size_t length = strlen(text);
        if (length > COLUMNS - 2) {
            length = COLUMNS - 2;
            while (length > 0 && text[length] != ' ')
                length--;
            if (length == 0)
                length = strcspn(text, " ");
        }
        sl_buffer_printf(out, "# %.*s\n", (int)length, text);
        text += length + (text[length] == ' ');
    }
}

/* Numbers, true and false stand bare, so that other readers of HOCON see their types. */
static bool is_bare(const struct sl_setting *setting)
{
    return setting->type == SL_INTEGER || setting->type == SL_BOOLEAN;
}

static void append_value(struct sl_buffer *out, const struct sl_setting *setting)
{
    const char *quote = is_bare(setting) ? "" : "\"";
    sl_buffer_printf(out, "%s = %s%s%s\n", setting->path, quote, setting->value, quote);
}

static void append_setting(struct sl_buffer *out, const struct sl_setting *setting)
{
    char bounds[512], about[768];
    const char *unit = sl_setting_unit(setting);
    range(setting, "", bounds, sizeof bounds);
    snprintf(about, sizeof about, "Allowed: %s%s%s%s%s.", bounds, *unit ? "; without a unit: " : "", unit,
             setting->environment ? "; variable: " : "", setting->environment ? setting->environment : "");
    sl_buffer_append(out, "\n", 1);
    append_comment(out, setting->meaning);
    append_comment(out, about);
    for (const char *const *also = setting->also; also && *also; also++) {
        snprintf(about, sizeof about, "Another name: %s.", *also);
        append_comment(out, about);
    }
    if (sl_setting_is_named(setting) || !setting->value)
        sl_buffer_append_text(out, "# "); /* a name's default stands once the name is there */
    if (setting->value)
        append_value(out, setting);
    else if (setting->type == SL_NAMED)
        sl_buffer_printf(out, "%s " SL_NAMED_FORM "\n", setting->path);
    else if (setting->type == SL_LAYERS)
        sl_buffer_printf(out, "%s " SL_LAYERS_FORM "\n", setting->path);
    else if (setting->type == SL_SECTION)
        sl_buffer_printf(out, "%s { … }\n", setting->path);
    else
        sl_buffer_printf(out, "%s = …\n", setting->path);
}

void sl_reference_conf(struct sl_buffer *out)
{
    append_comment(
        out,
        "Every setting of streamlayer, with its default. The program has these built in and does not read "
        "this file: in a file of your own, write only what is to differ. `streamlayer config reference` "
        "prints it; docs/configuration.md tells the rest.");
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++)
        append_setting(out, setting);
}

struct named_defaults {
    const struct hocon_value *root;
    struct sl_buffer *out;
};

static void append_default(void *opaque, const struct sl_setting *setting, const char *path)
{
    struct named_defaults *defaults = opaque;
    const struct sl_setting named = sl_setting_named(setting, path);
    if (!hocon_get(defaults->root, path))
        append_value(defaults->out, &named);
}

bool sl_reference_names(const struct hocon_value *root, struct sl_buffer *out)
{
    struct named_defaults defaults = {root, out};
    const struct sl_setting *setting;
    bool memory = true;
    for (size_t i = 0; memory && (setting = sl_setting_at(i)); i++)
        if (sl_setting_is_named(setting) && setting->value)
            memory = sl_setting_each_path(root, setting, append_default, &defaults);
    return memory && !out->failed;
}

void sl_reference_markdown(struct sl_buffer *out, enum sl_reference_table table)
{
    bool client = table == SL_CLIENT_TABLE;
    const struct sl_setting *settings = client ? sl_client_settings : sl_gateway_settings;
    size_t count = client ? sl_client_setting_count : sl_gateway_setting_count;
    size_t root = strlen(client ? SL_ROOT : SL_GATEWAY_ROOT);
    sl_buffer_append_text(out,
                          client ? "| setting | allowed | unit | default | meaning |\n|---|---|---|---|---|\n"
                                 : "| setting | allowed | unit | default | reload | meaning |\n"
                                   "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        const struct sl_setting *setting = &settings[i];
        char allowed[512];
        range(setting, "`", allowed, sizeof allowed);
        const char *mark = setting->value ? "`" : "";
        const char *reload = client ? "" : setting->reload ? " yes |" : "  |";
        sl_buffer_printf(out, "| `%s` | %s | %s | %s%s%s |%s %s", setting->path + root, allowed,
                         sl_setting_unit(setting), mark, setting->value ? setting->value : "", mark, reload,
                         setting->meaning);
        if (setting->environment)
            sl_buffer_printf(out, " Variable: `%s`.", setting->environment);
        for (const char *const *also = setting->also; also && *also; also++)
            sl_buffer_printf(out, " Another name: `%s`.", *also + root);
        sl_buffer_append_text(out, " |\n");
    }
}
