/* Every setting, and every path that is none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/text.h"
#include "config/findings.h"

#define OUR_ROOT       "here.platform.data-client"
#define SECOND_ROOT    "streamlayer"
#define SHARED_SECTION "here.platform" /* other libraries have theirs in it too */
#define OUR_SECTION    "data-client"
#define BASE_LIBRARY   "com.here.platform.data.client"
#define MAX_NEIGHBOURS 64

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

/* Names of settings, each once, and the memory that they are copied to. */
struct names {
    const char *all[MAX_NEIGHBOURS];
    size_t count, used;
    char text[2048];
};

/* name: the rest of a path below a group; may be NULL. */
static void add_name(struct names *names, const char *name)
{
    if (!name || !*name)
        return;
    size_t size = strcspn(name, ".");
    for (size_t i = 0; i < names->count; i++)
        if (strlen(names->all[i]) == size && memcmp(names->all[i], name, size) == 0)
            return;
    if (names->count == MAX_NEIGHBOURS || names->used + size + 1 > sizeof names->text)
        return;
    char *copy = names->text + names->used;
    memcpy(copy, name, size);
    copy[size] = '\0';
    names->all[names->count++] = copy;
    names->used += size + 1;
}

/* The names that settings have right below group; other names of theirs come last. */
static void names_below(const char *group, struct names *names)
{
    const struct sl_setting *setting;
    names->count = names->used = 0;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++)
        add_name(names, sl_setting_below(setting, group));
    for (size_t i = 0; (setting = sl_setting_at(i)); i++)
        for (const char *const *also = setting->also; also && *also; also++)
            if (within(*also, group))
                add_name(names, *also + strlen(group) + ((*also)[strlen(group)] == '.'));
}

/* Whether path ends with tail, dots and all. */
static bool ends_with(const char *path, const char *tail)
{
    size_t length = strlen(path), size = strlen(tail);
    return length > size && path[length - size - 1] == '.' && strcmp(path + length - size, tail) == 0;
}

/* A setting elsewhere below group's root, whose last names are tail: a name put into the wrong section. */
static const char *same_name(const char *tail, const char *group)
{
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++)
        if (ends_with(setting->path, tail) && within(setting->path, OUR_ROOT) == within(group, OUR_ROOT))
            return setting->path;
    return NULL;
}

/* The same of what key is given: a section's settings tell which section was meant. */
static const char *misplaced(const char *key, const char *group, const struct hocon_value *value)
{
    const char *meant = NULL;
    for (size_t i = 0; hocon_type_of(value) == HOCON_OBJECT && !meant && i < hocon_count(value); i++) {
        char *tail = sl_printf("%s.%s", key, hocon_key_at(value, i));
        meant = tail ? same_name(tail, group) : NULL;
        free(tail);
    }
    return meant ? meant : same_name(key, group);
}

/* Sections in which the Data Client Library, too, has settings, which may stand in a file that serves both.
 */
static bool is_shared(const char *group)
{
    static const char *const sections[] = {"stream",
                                           "stream.consumer",
                                           "proxy",
                                           "endpoint-locator",
                                           "request-signer",
                                           "request-signer.credentials",
                                           "request-signer.credentials.here-account"};
    if (strcmp(group, OUR_ROOT) == 0)
        return true;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (strncmp(group, SL_ROOT, strlen(SL_ROOT)) == 0 &&
            strcmp(group + strlen(SL_ROOT), sections[i]) == 0)
            return true;
    return false;
}

static void unknown(struct sl_findings *findings, const char *group, const char *key, const char *path,
                    const struct hocon_value *value)
{
    const char *origin = sl_config_value_origin(value);
    char hint[600] = "", list[400];
    struct names names;
    names_below(group, &names);
    const char *meant = sl_meant(key, names.all, names.count);
    if (!meant)
        meant = misplaced(key, group, value);
    if (!meant && is_shared(group)) {
        sl_find(findings, SL_FINDING_NOTE, path, origin,
                "%s: no setting of streamlayer's: it has no effect here", path);
        return;
    }
    struct sl_buffer known;
    sl_buffer_init(&known, sizeof list - 1);
    bool more = true; /* a list that was cut short ends where it was cut */
    for (size_t i = 0; more && i < names.count; i++)
        more = sl_buffer_printf(&known, "%s%s", i ? ", " : "", names.all[i]);
    if (meant)
        snprintf(hint, sizeof hint, " (did you mean %s?)", meant);
    else if (known.data)
        snprintf(hint, sizeof hint, "; known there: %s", known.data);
    sl_buffer_free(&known);
    sl_find(findings, SL_FINDING_ERROR, path, origin, "unknown setting %s.%s%s", group, key, hint);
}

static void check_object(struct sl_findings *findings, const struct hocon_value *object, const char *path);
static void check_names(struct sl_findings *findings, const struct hocon_value *value, const char *section);

/* null stands for "not set", which only what has no default may be. */
static void check_null(struct sl_findings *findings, const struct hocon_value *value,
                       const struct sl_setting *setting, const char *group, const char *key, const char *path)
{
    const char *origin = sl_config_value_origin(value);
    if (setting && setting->value) {
        char allowed[256];
        sl_setting_allowed(setting, allowed, sizeof allowed);
        sl_find(findings, SL_FINDING_ERROR, path, origin,
                "%s = null: it needs a value; allowed: %s; without the line it is %s", path, allowed,
                setting->value);
    } else if (!setting && sl_setting_is_group(path)) {
        sl_find(findings, SL_FINDING_ERROR, path, origin,
                "%s is a section, and is given null; leave the line out", path);
    } else if (!setting) {
        unknown(findings, group, key, path, value);
    }
}

/* Other libraries' sections are let be; one that resembles ours is ours, misspelled. */
static void check_other_section(struct sl_findings *findings, const struct hocon_value *value,
                                const char *key, const char *path)
{
    static const char *const our_section[] = {OUR_SECTION};
    if (sl_nearest(key, our_section, 1))
        sl_find(findings, SL_FINDING_ERROR, path, sl_config_value_origin(value),
                "unknown section %s (did you mean %s?)", path, OUR_ROOT);
}

/* "here" and "here.platform" are others' too, but our root lies in them. */
static void check_above(struct sl_findings *findings, const struct hocon_value *value, const char *path)
{
    char shown[128];
    if (hocon_type_of(value) == HOCON_OBJECT)
        check_object(findings, value, path);
    else
        sl_find(findings, SL_FINDING_ERROR, path, sl_config_value_origin(value),
                "%s = %s hides %s; write %s { ... }", path,
                sl_setting_shown(value, &findings->secrets, shown), OUR_ROOT, path);
}

/* What stands at a name, null being nothing. */
static void check_name(struct sl_findings *findings, const struct hocon_value *value, const char *section,
                       const char *key)
{
    const char *origin = sl_config_value_origin(value);
    char *path = sl_printf("%s.%s", section, key), *setting = sl_printf("%s." SL_NAME ".%s", section, key);
    enum hocon_type type = hocon_type_of(value);
    if (!path || !setting)
        sl_find_error(findings, section, "", &(sl_error){.status = SL_OUT_OF_MEMORY});
    else if (!sl_is_name(key))
        sl_find(findings, SL_FINDING_ERROR, section, origin,
                "in %s: \"%.100s\" is no name; allowed: " SL_NAME_RULE, section, key);
    else if (type != HOCON_NULL && (sl_setting_find(setting) || sl_setting_is_group(setting)))
        sl_find(findings, SL_FINDING_ERROR, path, origin,
                "in %s: a name is missing in front of %s; write %s { name { %s = ... } }", section, key,
                section, key);
    else if (type == HOCON_OBJECT)
        check_object(findings, value, path);
    else if (type != HOCON_NULL)
        sl_find(findings, SL_FINDING_ERROR, path, origin,
                "%s is a section, and is given one value; write %s { ... }", path, path);
    free(path);
    free(setting);
}

static void check_names(struct sl_findings *findings, const struct hocon_value *value, const char *section)
{
    for (size_t i = 0; !findings->over && i < hocon_count(value); i++)
        check_name(findings, hocon_at(value, i), section, hocon_key_at(value, i));
}

static void check_value(struct sl_findings *findings, const struct hocon_value *value,
                        const struct sl_setting *setting, const char *path)
{
    sl_error error = {0};
    const struct sl_setting named = sl_setting_named(setting, path);
    if (sl_setting_check_masked(&named, value, &findings->secrets, NULL, &error) != SL_OK)
        sl_find_error(findings, path, sl_config_value_origin(value), &error);
    else if (setting->type == SL_NAMED)
        check_names(findings, value, path);
}

/* The value of key in group, whose joined path is path. */
static void check_field(struct sl_findings *findings, const struct hocon_value *value, const char *group,
                        const char *key, const char *path)
{
    const char *origin = sl_config_value_origin(value);
    if (strchr(key, '.') && (ours(path) || ours(key))) {
        sl_find(findings, SL_FINDING_ERROR, path, origin,
                "\"%s\" in quotes is one name with dots in it, not a path: leave the quotes out", key);
        return;
    }
    if (!ours(path) && within(OUR_ROOT, path)) {
        check_above(findings, value, path);
        return;
    }
    if (!ours(path)) {
        if (strcmp(group, SHARED_SECTION) == 0)
            check_other_section(findings, value, key, path);
        return;
    }
    const struct sl_setting *setting = sl_setting_find(path);
    if (!setting)
        setting = sl_setting_meant_by(path);
    if (hocon_type_of(value) == HOCON_NULL)
        check_null(findings, value, setting, group, key, path);
    else if (setting)
        check_value(findings, value, setting, path);
    else if (sl_setting_is_group(path) && hocon_type_of(value) == HOCON_OBJECT)
        check_object(findings, value, path);
    else if (sl_setting_is_group(path))
        sl_find(findings, SL_FINDING_ERROR, path, origin,
                "%s is a section, and is given one value; write %s { ... }", path, path);
    else
        unknown(findings, group, key, path, value);
}

static void check_object(struct sl_findings *findings, const struct hocon_value *object, const char *path)
{
    for (size_t i = 0; !findings->over && i < hocon_count(object); i++) {
        const char *key = hocon_key_at(object, i);
        char *below = sl_printf("%s%s%s", path, *path ? "." : "", key);
        if (below)
            check_field(findings, hocon_at(object, i), path, key, below);
        else
            sl_find_error(findings, path, "", &(sl_error){.status = SL_OUT_OF_MEMORY});
        free(below);
    }
}

/* "x = 1" before "x.y = 2" in one file leaves nothing of x's defaults, and the tree does not show it. What
 * lies in null or a text has been told of. */
static void check_default(void *opaque, const struct sl_setting *setting, const char *whole)
{
    struct sl_findings *findings = opaque;
    const struct hocon_value *root = sl_config_root(findings->config), *above = root;
    for (size_t size = strcspn(whole, ".");; size += 1 + strcspn(whole + size + 1, ".")) {
        char *path = strndup(whole, size);
        if (!path) {
            sl_find_error(findings, whole, "", &(sl_error){.status = SL_OUT_OF_MEMORY});
            return;
        }
        const struct hocon_value *value = hocon_get(root, path);
        free(path);
        if (value && (hocon_type_of(value) != HOCON_OBJECT || !whole[size]))
            return;
        if (!value)
            break;
        above = value;
    }
    sl_find(
        findings, SL_FINDING_ERROR, whole, sl_config_value_origin(above),
        "%s has lost its default, %s: what it lies in was given one value before, which hides it; leave that "
        "out",
        whole, setting->value);
}

static void check_defaults(struct sl_findings *findings)
{
    const struct sl_setting *setting;
    size_t told = findings->told_count;
    for (size_t i = 0; !findings->over && told == findings->told_count && (setting = sl_setting_at(i)); i++)
        if (setting->value && !sl_config_each_path(findings->config, setting, check_default, findings))
            sl_find_error(findings, setting->path, "", &(sl_error){.status = SL_OUT_OF_MEMORY});
}

/* The Data Client Base Library's section has settings like ours. */
static void check_base_library(struct sl_findings *findings, const struct hocon_value *root)
{
    const struct hocon_value *base = hocon_get(root, BASE_LIBRARY);
    for (size_t i = 0; base && hocon_type_of(base) == HOCON_OBJECT && i < hocon_count(base); i++) {
        char *path = sl_printf("%s%s", SL_ROOT, hocon_key_at(base, i));
        if (!path)
            sl_find_error(findings, BASE_LIBRARY, "", &(sl_error){.status = SL_OUT_OF_MEMORY});
        else if (sl_setting_is_group(path))
            sl_find(findings, SL_FINDING_NOTE, BASE_LIBRARY, sl_config_value_origin(base),
                    "%s.%s has no effect here: streamlayer reads %s", BASE_LIBRARY, hocon_key_at(base, i),
                    path);
        free(path);
    }
}

/* Whether the setting has that value, too: a file may keep it under the short name and refer to it. */
static bool is_taken(const struct hocon_value *root, const char *path, const struct hocon_value *value)
{
    const struct hocon_value *own = hocon_get(root, path);
    char *left = NULL, *right = NULL;
    bool same = own && hocon_render_json(own, false, &left, NULL) == SL_OK &&
                hocon_render_json(value, false, &right, NULL) == SL_OK && strcmp(left, right) == 0;
    free(left);
    free(right);
    return same;
}

/* A setting without our root, as documents write it for short. Some names are so much ours that nobody else
 * can mean them; others may be another program's. */
static void check_short_name(struct sl_findings *findings, const struct hocon_value *root,
                             const struct sl_setting *setting)
{
    static const char *const distinct[] = {"stream", "endpoint-locator", "request-signer"};
    static const char *const roots[] = {SL_ROOT, SL_GATEWAY_ROOT};
    bool below_ours = strncmp(setting->path, SL_ROOT, strlen(SL_ROOT)) == 0;
    const char *name = setting->path + strlen(roots[!below_ours]);
    const struct hocon_value *value = hocon_get(root, name);
    enum hocon_type type = value ? hocon_type_of(value) : HOCON_NULL;
    bool section = setting->type == SL_SECTION || setting->type == SL_LAYERS || setting->type == SL_NAMED;
    if (type == HOCON_NULL || (type == HOCON_OBJECT) != section || is_taken(root, setting->path, value))
        return;
    bool is_ours = false;
    for (size_t i = 0; i < sizeof distinct / sizeof *distinct; i++)
        is_ours |= below_ours && within(name, distinct[i]);
    if (is_ours)
        sl_find(findings, SL_FINDING_ERROR, name, sl_config_value_origin(value),
                "unknown setting %s (did you mean %s?)", name, setting->path);
    else
        sl_find(findings, SL_FINDING_NOTE, name, sl_config_value_origin(value),
                "%s has no effect here: streamlayer reads %s", name, setting->path);
}

static void check_short_names(struct sl_findings *findings, const struct hocon_value *root)
{
    const struct sl_setting *setting;
    for (size_t i = 0; !findings->over && (setting = sl_setting_at(i)); i++)
        if (!sl_setting_is_named(setting))
            check_short_name(findings, root, setting);
}

void sl_find_in_tree(struct sl_findings *findings)
{
    const struct hocon_value *root = sl_config_root(findings->config);
    check_object(findings, root, "");
    check_defaults(findings);
    check_base_library(findings, root);
    check_short_names(findings, root);
}

/* The path that was meant, released with free; NULL: none is near, or no memory. */
static char *nearest_path(const char *path)
{
    /* Ours, without its root. */
    char *full = sl_printf("%s%s", SL_ROOT, path);
    if (full && (sl_setting_find(full) || sl_setting_is_group(full)))
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
