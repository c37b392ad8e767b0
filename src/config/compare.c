/* What differs between two configurations of the gateway. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "config/config.h"

struct comparison {
    const sl_config *before, *after;
    void (*visit)(void *opaque, const struct sl_setting *setting, const char *path);
    void *opaque;
    bool added; /* only what was not there before */
    bool memory;
};

static bool is_number(const struct sl_setting *setting)
{
    return setting->type == SL_INTEGER || setting->type == SL_BOOLEAN || setting->type == SL_DURATION_MS ||
           setting->type == SL_SIZE_BYTES;
}

static bool same(struct comparison *comparison, const struct sl_setting *setting,
                 const struct hocon_value *before, const struct hocon_value *after)
{
    int64_t one, other;
    if (!before || !after)
        return before == after;
    if (is_number(setting) && sl_setting_check(setting, before, &one, NULL) == SL_OK &&
        sl_setting_check(setting, after, &other, NULL) == SL_OK)
        return one == other;
    if (hocon_text(before) && hocon_text(after))
        return strcmp(hocon_text(before), hocon_text(after)) == 0;
    char *left = NULL, *right = NULL;
    bool rendered = hocon_render_json(before, false, &left, NULL) == SL_OK &&
                    hocon_render_json(after, false, &right, NULL) == SL_OK;
    bool equal = rendered && strcmp(left, right) == 0;
    comparison->memory &= rendered;
    free(left);
    free(right);
    return equal;
}

/* Below a name that is there on one side only, the others' defaults are nothing that was changed. */
static bool is_default(const sl_config *config, const char *path)
{
    const char *origin = sl_config_origin(config, path);
    return !origin || strcmp(origin, "default") == 0;
}

static void compare_at(void *opaque, const struct sl_setting *setting, const char *path)
{
    struct comparison *comparison = opaque;
    const struct hocon_value *before = sl_config_value(comparison->before, path);
    const struct hocon_value *after = sl_config_value(comparison->after, path);
    if (!before != !after && is_default(before ? comparison->before : comparison->after, path))
        return;
    if ((!comparison->added || !before) && !same(comparison, setting, before, after))
        comparison->visit(comparison->opaque, setting, path);
}

sl_status sl_config_compare(const sl_config *before, const sl_config *after,
                            void (*visit)(void *opaque, const struct sl_setting *setting, const char *path),
                            void *opaque, sl_error *error)
{
    if (!sl_config_root(before) || !sl_config_root(after))
        return sl_error_set(error, SL_INVALID_HANDLE, "not a configuration: NULL, or destroyed already");
    struct comparison comparison = {before, after, visit, opaque, false, true};
    for (size_t i = 0; comparison.memory && i < sl_gateway_setting_count; i++) {
        const struct sl_setting *setting = &sl_gateway_settings[i];
        if (setting->type == SL_NAMED)
            continue; /* what is in it has rows of its own */
        comparison.added = false;
        comparison.memory &= sl_config_each_path(before, setting, compare_at, &comparison);
        comparison.added = true;
        if (sl_setting_is_named(setting))
            comparison.memory &= sl_config_each_path(after, setting, compare_at, &comparison);
    }
    return comparison.memory ? SL_OK : sl_error_oom(error);
}
