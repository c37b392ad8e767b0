/* sl_config_check: every setting, and every path that is none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/text.h"
#include "config/config.h"

#define OUR_ROOT       "here.platform.data-client"
#define SECOND_ROOT    "streamlayer"
#define SHARED_SECTION "here.platform" /* other libraries have theirs in it too */
#define OUR_SECTION    "data-client"
#define MAX_NEIGHBOURS 64

/* Settings of the Data Client Library's that mean nothing here, inside sections that do. */
static const char *const tolerated[] = {SL_ROOT "request-signer.billing-tag"};

/* Whether path is root or below it. */
static bool within(const char *path, const char *root)
{
    size_t length = strlen(root);
    return strncmp(path, root, length) == 0 && (path[length] == '\0' || path[length] == '.');
}

static bool ours(const char *path)
{
    return within(path, OUR_ROOT) || within(path, SECOND_ROOT);
}

/* Whether some setting lies below path. */
static bool is_group(const char *path)
{
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++)
        if (within(setting->path, path) && strcmp(setting->path, path) != 0)
            return true;
    return within(OUR_ROOT, path);
}

/* The names that settings have right below group, each once; they are copied to text, whose size is
 * text_size. */
static size_t names_below(const char *group, const char *names[MAX_NEIGHBOURS], char *text, size_t text_size)
{
    size_t count = 0, used = 0, length = strlen(group);
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++) {
        if (!within(setting->path, group) || setting->path[length] == '\0')
            continue;
        const char *name = setting->path + length + 1;
        size_t size = strcspn(name, ".");
        bool known = false;
        for (size_t j = 0; !known && j < count; j++)
            known = strlen(names[j]) == size && memcmp(names[j], name, size) == 0;
        if (known || count == MAX_NEIGHBOURS || used + size + 1 > text_size)
            continue;
        memcpy(text + used, name, size);
        text[used + size] = '\0';
        names[count++] = text + used;
        used += size + 1;
    }
    return count;
}

/* A setting elsewhere whose last name is key: a name put into the wrong section. */
static const char *same_name(const char *key)
{
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++) {
        const char *last = strrchr(setting->path, '.');
        if (last && strcmp(last + 1, key) == 0)
            return setting->path;
    }
    return NULL;
}

static sl_status unknown(const char *group, const char *key, const struct hocon_value *value, sl_error *error)
{
    const char *names[MAX_NEIGHBOURS];
    char text[1024], hint[600] = "", list[400];
    size_t count = names_below(group, names, text, sizeof text);
    const char *nearest = sl_nearest(key, names, count);
    /* The Data Client Library has sections of its own: one that resembles none of ours is let be. */
    if (!nearest && strcmp(group, OUR_ROOT) == 0)
        return SL_OK;
    struct sl_buffer known;
    sl_buffer_init(&known, sizeof list - 1);
    for (size_t i = 0; i < count; i++)
        sl_buffer_printf(&known, "%s%s", i ? ", " : "", names[i]);
    const char *elsewhere = nearest ? NULL : same_name(key);
    if (nearest)
        snprintf(hint, sizeof hint, " (did you mean %s?)", nearest);
    else if (elsewhere)
        snprintf(hint, sizeof hint, " (did you mean %s?)", elsewhere);
    else if (known.data)
        snprintf(hint, sizeof hint, "; known there: %s", known.data);
    sl_buffer_free(&known);
    return sl_error_set(error, SL_BAD_CONFIG, "%s: unknown setting %s.%s%s", sl_config_value_origin(value),
                        group, key, hint);
}

static sl_status check_object(const struct hocon_value *object, const char *path, sl_error *error);

/* null stands for "not set", which only what has no default may be. */
static sl_status check_null(const struct hocon_value *value, const struct sl_setting *setting,
                            const char *group, const char *key, const char *path, sl_error *error)
{
    const char *origin = sl_config_value_origin(value);
    if (setting && setting->value) {
        char allowed[256];
        sl_setting_allowed(setting, allowed, sizeof allowed);
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: %s = null: it needs a value; allowed: %s; without the line it is %s", origin,
                            path, allowed, setting->value);
    }
    if (setting || !ours(path))
        return SL_OK;
    if (is_group(path))
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: %s is a section, and is given null; leave the line out", origin, path);
    return unknown(group, key, value, error);
}

/* Other libraries' sections are let be; one that resembles ours is ours, misspelled. */
static sl_status check_other_section(const struct hocon_value *value, const char *key, const char *path,
                                     sl_error *error)
{
    static const char *const our_section[] = {OUR_SECTION};
    if (!sl_nearest(key, our_section, 1))
        return SL_OK;
    return sl_error_set(error, SL_BAD_CONFIG, "%s: unknown section %s (did you mean %s?)",
                        sl_config_value_origin(value), path, OUR_ROOT);
}

/* The value of key in group, whose joined path is path. */
static sl_status check_field(const struct hocon_value *value, const char *group, const char *key,
                             const char *path, sl_error *error)
{
    if (strchr(key, '.') && (ours(path) || ours(key)))
        return sl_error_set(
            error, SL_BAD_CONFIG,
            "%s: \"%s\" in quotes is one name with dots in it, not a path: leave the quotes out",
            sl_config_value_origin(value), key);
    if (!ours(path) && !within(OUR_ROOT, path))
        return strcmp(group, SHARED_SECTION) == 0 ? check_other_section(value, key, path, error) : SL_OK;
    const struct sl_setting *setting = sl_setting_find(path);
    if (hocon_type_of(value) == HOCON_NULL)
        return check_null(value, setting, group, key, path, error);
    if (setting)
        return sl_setting_check(setting, value, NULL, error);
    if (is_group(path)) {
        if (hocon_type_of(value) == HOCON_OBJECT)
            return check_object(value, path, error);
        if (!ours(path))
            return SL_OK; /* "here" and "here.platform" are others' too */
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: %s is a section, and is given one value; write %s { ... }",
                            sl_config_value_origin(value), path, path);
    }
    for (size_t i = 0; i < sizeof tolerated / sizeof *tolerated; i++)
        if (within(path, tolerated[i]))
            return SL_OK;
    return unknown(group, key, value, error);
}

static sl_status check_object(const struct hocon_value *object, const char *path, sl_error *error)
{
    sl_status status = SL_OK;
    for (size_t i = 0; status == SL_OK && i < hocon_count(object); i++) {
        const char *key = hocon_key_at(object, i);
        char *below = sl_printf("%s%s%s", path, *path ? "." : "", key);
        if (!below)
            return sl_error_oom(error);
        status = check_field(hocon_at(object, i), path, key, below, error);
        free(below);
    }
    return status;
}

/* The path that was meant, released with free; NULL: none is near, or no memory. */
static char *nearest_path(const char *path)
{
    /* Ours, without its root. */
    char *full = sl_printf("%s%s", SL_ROOT, path);
    if (full && (sl_setting_find(full) || is_group(full)))
        return full;
    free(full);
    /* The root misspelled. */
    static const char *const roots[] = {OUR_ROOT, SECOND_ROOT};
    static const size_t depths[] = {3, 1};
    for (size_t i = 0; *path != '"' && i < sizeof roots / sizeof *roots; i++) {
        size_t length = strcspn(path, ".");
        for (size_t depth = 1; depth < depths[i] && path[length]; depth++)
            length += 1 + strcspn(path + length + 1, ".");
        char *root = strndup(path, length);
        bool near = root && sl_nearest(root, &roots[i], 1);
        free(root);
        if (near)
            return sl_printf("%s%s", roots[i], path + length);
    }
    const char *best = NULL;
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++) {
        const char *const pair[] = {best ? best : setting->path, setting->path};
        best = sl_nearest(path, pair, 2);
    }
    return best ? strdup(best) : NULL;
}

/* Whether what lies under root is the same in both. */
static bool same_below(const sl_config *a, const sl_config *b, const char *root)
{
    const struct hocon_value *one = hocon_get(sl_config_root(a), root);
    const struct hocon_value *other = hocon_get(sl_config_root(b), root);
    char *left = NULL, *right = NULL;
    bool same = one && other && hocon_render_json(one, false, &left, NULL) == SL_OK &&
                hocon_render_json(other, false, &right, NULL) == SL_OK && strcmp(left, right) == 0;
    free(left);
    free(right);
    return same;
}

sl_status sl_config_check_set(const sl_config *before, const sl_config *after, const char *path,
                              const char *origin, sl_error *error)
{
    if (ours(path))
        return SL_OK;
    if (within(OUR_ROOT, path))
        return sl_error_set(error, SL_BAD_CONFIG, "%s: %s is a section, and is given one value", origin,
                            path);
    /* What files refer to as ${path} may be set from outside. */
    if (hocon_get(sl_config_root(before), path) || !same_below(before, after, OUR_ROOT) ||
        !same_below(before, after, SECOND_ROOT))
        return SL_OK;
    char *nearest = nearest_path(path);
    sl_status status =
        nearest ? sl_error_set(error, SL_BAD_CONFIG, "%s: unknown setting %s (did you mean %s?)", origin,
                               path, nearest)
                : sl_error_set(error, SL_BAD_CONFIG,
                               "%s: unknown setting %s: settings begin with %s or %s, and no file refers to "
                               "it; \"streamlayer config show\" lists them",
                               origin, path, OUR_ROOT, SECOND_ROOT);
    free(nearest);
    return status;
}

sl_status sl_config_check(const sl_config *config, sl_error *error)
{
    const struct hocon_value *root = sl_config_root(config);
    if (!root)
        return sl_error_set(error, SL_INVALID_HANDLE, "not a configuration: NULL, or destroyed already");
    sl_status status = check_object(root, "", error);
    char *url = NULL;
    if (status == SL_OK)
        status = sl_config_lookup_url(config, &url, error);
    free(url);
    struct sl_proxy proxy = {0};
    for (int secure = 0; secure < 2 && status == SL_OK; secure++) {
        status = sl_config_proxy(config, secure, &proxy, error);
        sl_proxy_free(&proxy);
    }
    return status;
}
