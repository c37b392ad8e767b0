#include "config/context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "config/config.h"

#define FILE_NAME    "contexts.conf"
#define SETTING_FILE "file" /* a configuration file that the context begins with */

sl_status sl_user_file(const char *name, char **file, sl_error *error)
{
    const char *base = secure_getenv("XDG_CONFIG_HOME");
    const char *home = secure_getenv("HOME");
    *file = NULL;
    if (base && *base == '/') /* the XDG specification: a relative path is to be ignored */
        *file = sl_printf("%s/streamlayer/%s", base, name);
    else if (home && *home)
        *file = sl_printf("%s/.config/streamlayer/%s", home, name);
    else
        return SL_OK;
    return *file ? SL_OK : sl_error_oom(error);
}

/* One that nothing refers to is a slip; it would have no effect. */
static sl_status check_root_key(const struct hocon *document, const char *key,
                                const struct hocon_value *value, sl_error *error)
{
    static const char *const known[] = {"current", "contexts"};
    if (hocon_refers_to(document, key))
        return SL_OK;
    const char *origin = sl_config_value_origin(value), *meant = sl_meant(key, known, 2);
    if (meant)
        return sl_error_set(error, SL_BAD_CONFIG, "%s: unknown name %s (did you mean %s?)", origin, key,
                            meant);
    return sl_error_set(error, SL_BAD_CONFIG,
                        "%s: unknown name %s; known there: current, contexts, and what a ${substitution} in "
                        "the file refers to",
                        origin, key);
}

/* A file that says less than it seems to would lead to HERE's platform, which nobody asked for. */
static sl_status check_shape(const struct hocon *document, const struct hocon *contexts, sl_error *error)
{
    const struct hocon_value *root = hocon_root(contexts);
    if (hocon_type_of(root) != HOCON_OBJECT)
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: a list, expected contexts.NAME { ... } and current = NAME",
                            sl_config_value_origin(root));
    for (size_t i = 0; i < hocon_count(root); i++) {
        const char *key = hocon_key_at(root, i);
        const struct hocon_value *value = hocon_at(root, i);
        const char *origin = sl_config_value_origin(value);
        enum hocon_type type = hocon_type_of(value);
        sl_status status = SL_OK;
        if (strcmp(key, "contexts") == 0 && type != HOCON_OBJECT && type != HOCON_NULL)
            status = sl_error_set(error, SL_BAD_CONFIG,
                                  "%s: contexts is a section, and is given %s; write contexts.NAME { ... }",
                                  origin, type == HOCON_LIST ? "a list" : "one value");
        else if (strcmp(key, "current") == 0 && (type == HOCON_OBJECT || type == HOCON_LIST))
            status = sl_error_set(error, SL_BAD_CONFIG,
                                  "%s: current is a context's name, and is given %s; write current = NAME",
                                  origin, type == HOCON_LIST ? "a list" : "a section");
        else if (strcmp(key, "contexts") != 0 && strcmp(key, "current") != 0)
            status = check_root_key(document, key, value, error);
        if (status != SL_OK)
            return status;
    }
    return SL_OK;
}

sl_status sl_contexts_read(struct hocon **contexts, sl_error *error)
{
    char *file = NULL;
    struct hocon *document = NULL;
    *contexts = NULL;
    sl_status status = sl_user_file(FILE_NAME, &file, error);
    if (status == SL_OK && file && (access(file, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR)))
        status = hocon_parse_file(file, NULL, &document, error);
    if (status == SL_OK && document)
        status = hocon_resolve(document, true, NULL, contexts, error);
    if (status == SL_OK && document)
        status = check_shape(document, *contexts, error);
    if (status != SL_OK)
        hocon_free(contexts);
    hocon_free(&document);
    free(file);
    return status;
}

const struct hocon_value *sl_contexts_all(const struct hocon *contexts)
{
    const struct hocon_value *all = contexts ? hocon_get(hocon_root(contexts), "contexts") : NULL;
    return all && hocon_type_of(all) == HOCON_OBJECT ? all : NULL;
}

const char *sl_contexts_current(const struct hocon *contexts)
{
    const struct hocon_value *current = contexts ? hocon_get(hocon_root(contexts), "current") : NULL;
    const char *text = current && hocon_type_of(current) != HOCON_NULL ? hocon_text(current) : NULL;
    return text && *text ? text : NULL;
}

bool sl_context_name_ok(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t length = strlen(name);
    return length >= 1 && length <= 64 && strspn(name, allowed) == length;
}

/* Every value below, each as a document of its own: resolved as contexts.conf is, whatever else is loaded. */
static sl_status lay_values(struct hocon **pile, const struct hocon_value *value, const char *path,
                            sl_error *error)
{
    enum hocon_type type = hocon_type_of(value);
    sl_status status = SL_OK;
    if (type == HOCON_NULL)
        return SL_OK;
    for (size_t i = 0; type == HOCON_OBJECT && status == SL_OK && i < hocon_count(value); i++) {
        char *below = hocon_path_join(path, hocon_key_at(value, i));
        status = below ? lay_values(pile, hocon_at(value, i), below, error) : sl_error_oom(error);
        free(below);
    }
    if (type == HOCON_OBJECT)
        return status;
    bool memory = true;
    char *joined = type == HOCON_LIST ? sl_config_join_list(value, &memory) : NULL;
    const char *text = type == HOCON_LIST ? joined : hocon_text(value);
    struct hocon *document = NULL;
    const struct sl_setting *meant = sl_setting_meant_by(path);
    if (!memory)
        status = sl_error_oom(error);
    else if (!text)
        status =
            sl_error_set(error, SL_BAD_CONFIG, "%s: %s: a list of objects; allowed: one of texts and numbers",
                         sl_config_value_origin(value), path);
    else
        status =
            hocon_single(meant ? meant->path : path, text, sl_config_value_origin(value), &document, error);
    free(joined);
    return status == SL_OK ? sl_config_lay(pile, document, error) : status;
}

static sl_status unknown(const struct hocon *contexts, const char *name, sl_error *error)
{
    const struct hocon_value *all = sl_contexts_all(contexts);
    const char *names[64];
    size_t count = 0;
    for (; all && count < hocon_count(all) && count < sizeof names / sizeof *names; count++)
        names[count] = hocon_key_at(all, count);
    const char *nearest = sl_nearest(name, names, count);
    if (nearest)
        return sl_error_set(error, SL_NOT_FOUND, "there is no context \"%s\"; did you mean \"%s\"?", name,
                            nearest);
    return sl_error_set(error, SL_NOT_FOUND,
                        "there is no context \"%s\"; `streamlayer context list` shows those that there are, "
                        "`streamlayer context add` makes one",
                        name);
}

/* Names other than the roots of settings are what files refer to. */
static sl_status check_name(const struct hocon_value *value, const char *context, const char *key,
                            sl_error *error)
{
    static const char *const known[] = {SETTING_FILE, "here", "streamlayer"};
    const char *meant = sl_nearest(key, known, sizeof known / sizeof *known);
    if (!meant || strcmp(meant, key) == 0)
        return SL_OK;
    return sl_error_set(error, SL_BAD_CONFIG, "%s: context %s: unknown name %s (did you mean %s?)",
                        sl_config_value_origin(value), context, key, meant);
}

sl_status sl_context_lay(struct hocon **pile, const struct hocon *contexts, const char *name, sl_error *error)
{
    const struct hocon_value *all = sl_contexts_all(contexts), *context = NULL;
    for (size_t i = 0; all && i < hocon_count(all); i++)
        if (strcmp(hocon_key_at(all, i), name) == 0)
            context = hocon_at(all, i);
    if (!context)
        return unknown(contexts, name, error);
    const char *origin = sl_config_value_origin(context);
    /* An empty one would mean the defaults: HERE's platform, which nobody asked for. */
    if (hocon_type_of(context) != HOCON_OBJECT || hocon_count(context) == 0)
        return sl_error_set(
            error, SL_BAD_CONFIG,
            "%s: context %s has no settings: allowed are file = \"FILE\" and settings by path", origin, name);
    sl_status status = SL_OK;
    for (size_t i = 0; i < hocon_count(context); i++) {
        if (strcmp(hocon_key_at(context, i), SETTING_FILE) != 0)
            continue;
        const struct hocon_value *file = hocon_at(context, i);
        struct hocon *document = NULL;
        if (hocon_type_of(file) != HOCON_STRING)
            return sl_error_set(error, SL_BAD_CONFIG, "%s: file is not the path of a configuration file",
                                sl_config_value_origin(file));
        status = hocon_parse_file(hocon_text(file), NULL, &document, error);
        if (status == SL_OK)
            status = sl_config_lay(pile, document, error);
        else
            sl_error_prefix(error, "context %s, %s", name, sl_config_value_origin(file));
    }
    for (size_t i = 0; status == SL_OK && i < hocon_count(context); i++) {
        const char *key = hocon_key_at(context, i);
        if (strcmp(key, SETTING_FILE) == 0)
            continue;
        char *path = hocon_path_join("", key);
        status = path ? check_name(hocon_at(context, i), name, key, error) : sl_error_oom(error);
        if (status == SL_OK)
            status = lay_values(pile, hocon_at(context, i), path, error);
        free(path);
    }
    return status;
}
