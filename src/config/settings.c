/* The table as a whole; one setting's value checked; typed access. */
#include "config/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/server.h"
#include "base/text.h"
#include "config/config.h"
#include "config/mask.h"

const struct sl_setting *sl_setting_at(size_t index)
{
    if (index < sl_client_setting_count)
        return &sl_client_settings[index];
    index -= sl_client_setting_count;
    return index < sl_gateway_setting_count ? &sl_gateway_settings[index] : NULL;
}

const struct sl_setting *sl_setting_find(const char *path)
{
    const struct sl_setting *setting;
    for (size_t i = 0; path && (setting = sl_setting_at(i)); i++)
        if (sl_setting_below(setting, path) && !*sl_setting_below(setting, path))
            return setting;
    return NULL;
}

const struct sl_setting *sl_setting_meant_by(const char *path)
{
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++)
        for (const char *const *also = setting->also; also && *also; also++)
            if (strcmp(*also, path) == 0)
                return setting;
    return NULL;
}

bool sl_setting_is_group(const char *path)
{
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++) {
        const char *rest = sl_setting_below(setting, path);
        if (rest && *rest)
            return true;
    }
    return false;
}

struct unit {
    int64_t size;
    const char *one, *many;
};

/* value in the largest of units that divides it; the last unit is 1. */
static const char *unit_text(int64_t value, const struct unit *unit, char out[32])
{
    while (unit->size > 1 && (value == 0 || value % unit->size != 0))
        unit++;
    int64_t count = value / unit->size;
    snprintf(out, 32, "%" PRId64 " %s", count, count == 1 ? unit->one : unit->many);
    return out;
}

const char *sl_duration_text(int64_t ms, char out[32])
{
    static const struct unit units[] = {{86400000, "day", "days"},
                                        {3600000, "hour", "hours"},
                                        {60000, "minute", "minutes"},
                                        {1000, "s", "s"},
                                        {1, "ms", "ms"}};
    return unit_text(ms, units, out);
}

const char *sl_size_text(int64_t bytes, char out[32])
{
    static const struct unit units[] = {{1LL << 30, "GiB", "GiB"},
                                        {1LL << 20, "MiB", "MiB"},
                                        {1LL << 10, "KiB", "KiB"},
                                        {1, "byte", "bytes"}};
    return unit_text(bytes, units, out);
}

const char *sl_setting_shown(const struct hocon_value *value, const struct sl_secrets *secrets, char out[128])
{
    if (!hocon_text(value)) {
        snprintf(out, 128, "%s", hocon_type_of(value) == HOCON_LIST ? "[a list]" : "{an object}");
        return out;
    }
    struct sl_buffer masked;
    sl_buffer_init(&masked, strlen(hocon_text(value)) * 4 + sizeof SL_MASK);
    const char *text = sl_mask_text(secrets, hocon_text(value), &masked) ? masked.data : SL_MASK;
    int size = (int)strnlen(text, 90);
    while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
        size--;
    const char *quote = hocon_type_of(value) == HOCON_STRING ? "\"" : "";
    snprintf(out, 128, "%s%.*s%s%s", quote, size, text, text[size] ? "..." : "", quote);
    sl_buffer_free(&masked);
    return out;
}

/* A value that is being checked. */
struct checked {
    const struct sl_setting *setting;
    const struct hocon_value *value;
    const struct sl_secrets *secrets;
};

static sl_status refuse(const struct checked *checked, const char *problem, sl_error *error)
{
    const struct sl_setting *setting = checked->setting;
    const struct hocon_value *value = checked->value;
    char shown[128], allowed[256], hint[128] = "";
    sl_setting_shown(value, checked->secrets, shown);
    sl_setting_allowed(setting, allowed, sizeof allowed);
    const char *text = hocon_text(value);
    if (setting->choices && text) {
        size_t count = 0;
        while (setting->choices[count])
            count++;
        const char *nearest = sl_meant(text, setting->choices, count);
        if (nearest)
            snprintf(hint, sizeof hint, " (did you mean %s?)", nearest);
    }
    return sl_error_set(error, SL_BAD_CONFIG, "%s: %s = %s: %s; allowed: %s%s", sl_config_value_origin(value),
                        setting->path, shown, problem, allowed, hint);
}

static sl_status check_choice(const struct checked *checked, sl_error *error)
{
    const char *text = hocon_text(checked->value);
    for (const char *const *choice = checked->setting->choices; *choice; choice++)
        if (strcmp(text, *choice) == 0)
            return SL_OK;
    char problem[64];
    snprintf(problem, sizeof problem, "unknown %s", checked->setting->noun);
    return refuse(checked, problem, error);
}

static bool is_url(const char *text)
{
    size_t scheme = strncasecmp(text, "http://", 7) == 0 ? 7 : strncasecmp(text, "https://", 8) == 0 ? 8 : 0;
    if (scheme == 0 || !text[scheme] || strchr("/?#:@", text[scheme]))
        return false;
    return sl_is_token_text(text, 2000);
}

bool sl_url_has_user(const char *url)
{
    const char *authority = strstr(url, "://");
    return authority && memchr(authority + 3, '@', strcspn(authority + 3, "/?#"));
}

/* A section's own values: scalars, lists of scalars, and sections of them. */
static sl_status check_section(const struct sl_setting *setting, const struct hocon_value *value,
                               sl_error *error)
{
    for (size_t i = 0; i < hocon_count(value); i++) {
        const struct hocon_value *part = hocon_at(value, i);
        sl_status status = SL_OK;
        if (hocon_type_of(part) == HOCON_OBJECT)
            status = check_section(setting, part, error);
        for (size_t j = 0; hocon_type_of(part) == HOCON_LIST && j < hocon_count(part); j++)
            if (!hocon_text(hocon_at(part, j)))
                return sl_error_set(error, SL_BAD_CONFIG,
                                    "%s: in %s: the list %s holds a list or an object; allowed: texts and "
                                    "numbers, which are joined with commas",
                                    sl_config_value_origin(part), setting->path, hocon_key_at(value, i));
        if (status != SL_OK)
            return status;
    }
    return SL_OK;
}

sl_status sl_setting_check_masked(const struct sl_setting *setting, const struct hocon_value *value,
                                  const struct sl_secrets *secrets, int64_t *number, sl_error *error)
{
    const struct checked checked = {setting, value, secrets};
    if (setting->type == SL_SECTION)
        return hocon_type_of(value) == HOCON_OBJECT ? check_section(setting, value, error)
                                                    : refuse(&checked, "not a section", error);
    if (setting->type == SL_LAYERS)
        return hocon_type_of(value) == HOCON_OBJECT ? sl_layers_check(value, secrets, error)
                                                    : refuse(&checked, "not a section", error);
    if (setting->type == SL_NAMED) /* what is in it is checked as other sections are */
        return hocon_type_of(value) == HOCON_OBJECT ? SL_OK : refuse(&checked, "not a section", error);
    int64_t read = 0;
    bool flag = false, ok = hocon_text(value) != NULL;
    const char *problem = "not one value";
    char bad[SL_SERVER_TOLD] = "", servers[80];
    if (ok) {
        switch (setting->type) {
        case SL_CHOICE:
            return check_choice(&checked, error);
        case SL_INTEGER:
            ok = hocon_as_integer(value, &read);
            problem = "not a whole number";
            break;
        case SL_BOOLEAN:
            ok = hocon_as_boolean(value, &flag);
            problem = "neither true nor false";
            break;
        case SL_DURATION_MS:
            ok = hocon_as_duration_ms(value, &read);
            problem = "not a duration";
            break;
        case SL_SIZE_BYTES:
            ok = hocon_as_bytes(value, &read);
            problem = "not a size";
            break;
        case SL_URL:
            ok = *hocon_text(value) == '\0' || is_url(hocon_text(value));
            problem = "not a URL";
            if (ok && sl_url_has_user(hocon_text(value))) {
                ok = false;
                problem = "a URL with a user's name in it; write that, and a password, as settings";
            }
            break;
        case SL_SERVERS:
            ok = sl_servers_ok(hocon_text(value), bad);
            snprintf(servers, sizeof servers, "\"%s\" is no server", bad);
            problem = servers;
            break;
        case SL_TEXT:
        case SL_SECRET:
        case SL_FILE:
        case SL_SECTION:
        case SL_LAYERS:
        case SL_NAMED:
            break;
        }
    }
    if (!ok)
        return refuse(&checked, problem, error);
    bool ranged =
        setting->type == SL_INTEGER || setting->type == SL_DURATION_MS || setting->type == SL_SIZE_BYTES;
    if (ranged && (read < setting->min || read > setting->max))
        return refuse(&checked, "out of range", error);
    if (number)
        *number = setting->type == SL_BOOLEAN ? flag : read;
    return SL_OK;
}

sl_status sl_setting_check(const struct sl_setting *setting, const struct hocon_value *value, int64_t *number,
                           sl_error *error)
{
    return sl_setting_check_masked(setting, value, NULL, number, error);
}

/* The checked value at path, of a setting with that type. */
static sl_status typed(const sl_config *config, const char *path, enum sl_setting_type type,
                       const struct hocon_value **value, int64_t *number, sl_error *error)
{
    const struct sl_setting *found = sl_setting_find(path);
    if (!found || found->type != type)
        return sl_error_set(error, SL_INTERNAL, "%s is not a setting of that type; please report this",
                            path ? path : "NULL");
    const struct sl_setting setting = sl_setting_named(found, path);
    if (!sl_config_root(config))
        return sl_error_set(error, SL_INVALID_HANDLE, "not a configuration: NULL, or destroyed already");
    *value = sl_config_value(config, path);
    if (!*value) {
        char allowed[256];
        sl_setting_allowed(&setting, allowed, sizeof allowed);
        return sl_error_set(error, SL_BAD_CONFIG, "%s is not set, or null; allowed: %s", path, allowed);
    }
    return sl_setting_check(&setting, *value, number, error);
}

sl_status sl_config_integer(const sl_config *config, const char *path, int64_t *value, sl_error *error)
{
    const struct hocon_value *found;
    return typed(config, path, SL_INTEGER, &found, value, error);
}

sl_status sl_config_boolean(const sl_config *config, const char *path, bool *value, sl_error *error)
{
    const struct hocon_value *found;
    int64_t number = 0;
    sl_status status = typed(config, path, SL_BOOLEAN, &found, &number, error);
    if (status == SL_OK)
        *value = number != 0;
    return status;
}

sl_status sl_config_duration_ms(const sl_config *config, const char *path, int64_t *value, sl_error *error)
{
    const struct hocon_value *found;
    return typed(config, path, SL_DURATION_MS, &found, value, error);
}

sl_status sl_config_bytes(const sl_config *config, const char *path, int64_t *value, sl_error *error)
{
    const struct hocon_value *found;
    return typed(config, path, SL_SIZE_BYTES, &found, value, error);
}

sl_status sl_config_numbers(const sl_config *config, const struct sl_number *numbers, size_t count,
                            sl_error *error)
{
    sl_status status = SL_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = numbers[i].read(config, numbers[i].path, numbers[i].value, error);
    return status;
}

sl_status sl_config_choice(const sl_config *config, const char *path, const char **value, sl_error *error)
{
    const struct hocon_value *found = NULL;
    sl_status status = typed(config, path, SL_CHOICE, &found, NULL, error);
    if (status == SL_OK)
        *value = hocon_text(found);
    return status;
}
