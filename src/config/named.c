/* Settings below names that the user chooses: SL_NAMED. In the table's paths SL_NAME stands for any name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/config.h"

#define LONGEST_NAME 64
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

bool sl_is_name(const char *key)
{
    size_t length = strlen(key);
    return length >= 1 && length <= LONGEST_NAME && strchr(NAME_LETTERS, *key) &&
           strspn(key, NAME_LETTERS "-_") == length;
}

/* One piece of a path, up to its dot. */
static bool is_wild(const char *piece, size_t size)
{
    return size == strlen(SL_NAME) && memcmp(piece, SL_NAME, size) == 0;
}

const char *sl_setting_below(const struct sl_setting *setting, const char *group)
{
    const char *own = setting->path;
    for (;;) {
        size_t size = strcspn(own, "."), other = strcspn(group, ".");
        if (is_wild(own, size) ? other == 0 : size != other || memcmp(own, group, size) != 0)
            return NULL;
        own += size;
        group += other;
        if (!*group)
            return own + (*own == '.');
        if (!*own)
            return NULL;
        own++;
        group++;
    }
}

/* Where SL_NAME begins in the path; NULL: it has none. */
static const char *wild_in(const struct sl_setting *setting)
{
    for (const char *piece = setting->path; *piece; piece += *piece == '.') {
        size_t size = strcspn(piece, ".");
        if (is_wild(piece, size))
            return piece;
        piece += size;
    }
    return NULL;
}

bool sl_setting_is_named(const struct sl_setting *setting)
{
    return wild_in(setting) != NULL;
}

struct sl_setting sl_setting_named(const struct sl_setting *setting, const char *path)
{
    struct sl_setting named = *setting;
    if (sl_setting_is_named(setting))
        named.path = path;
    return named;
}

bool sl_setting_path_typed(const struct sl_setting *setting, const char *typed, char *out, size_t size)
{
    const char *wild = wild_in(setting);
    size_t above = wild ? (size_t)(wild - setting->path) : 0;
    if (!wild || strncmp(typed, setting->path, above) != 0)
        return false;
    size_t name = strcspn(typed + above, ".=");
    if (name == 0 || typed[above + name] == '\0')
        return false;
    return (size_t)snprintf(out, size, "%.*s%s", (int)(above + name), typed, wild + strlen(SL_NAME)) < size;
}

/* Of the section's fields those that are sections themselves, with a name as it has to be. */
static const char *name_at(const struct hocon_value *section, size_t index)
{
    for (size_t i = 0; section && hocon_type_of(section) == HOCON_OBJECT && i < hocon_count(section); i++)
        if (hocon_type_of(hocon_at(section, i)) == HOCON_OBJECT && sl_is_name(hocon_key_at(section, i)) &&
            index-- == 0)
            return hocon_key_at(section, i);
    return NULL;
}

const char *sl_config_name_at(const sl_config *config, const char *path, size_t index)
{
    return name_at(sl_config_value(config, path), index);
}

bool sl_setting_each_path(const struct hocon_value *root, const struct sl_setting *setting,
                          void (*visit)(void *opaque, const struct sl_setting *setting, const char *path),
                          void *opaque)
{
    const char *wild = wild_in(setting), *name;
    if (!wild) {
        visit(opaque, setting, setting->path);
        return true;
    }
    char *section = strndup(setting->path, (size_t)(wild - setting->path) - 1);
    if (!section)
        return false;
    const struct hocon_value *names = hocon_get(root, section);
    bool memory = true;
    for (size_t i = 0; memory && (name = name_at(names, i)); i++) {
        char *path = sl_printf("%s.%s%s", section, name, wild + strlen(SL_NAME));
        memory = path != NULL;
        if (path)
            visit(opaque, setting, path);
        free(path);
    }
    free(section);
    return memory;
}

bool sl_config_each_path(const sl_config *config, const struct sl_setting *setting,
                         void (*visit)(void *opaque, const struct sl_setting *setting, const char *path),
                         void *opaque)
{
    return sl_setting_each_path(sl_config_root(config), setting, visit, opaque);
}
