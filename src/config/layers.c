/* stream.layers: connectors of single layers. Below a catalog's HRN and a layer's id, or "*" for each layer
 * of that catalog, stand the names that stand below stream otherwise. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/text.h"
#include "config/config.h"

#define STREAM      SL_ROOT "stream."
#define LAYERS      STREAM "layers"
#define EVERY_LAYER "*"
#define MAX_LAYERED 16

/* The rules of src/wire/hrn.c, which lies above; tests/unit/config_override_test.c holds them together. */
#define ID_MAX  64
#define HRN_MAX 256
#define LOWER   "abcdefghijklmnopqrstuvwxyz0123456789"
#define UPPER   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define MARKS   "-_."

/* first: what it may begin with. */
static bool is_id(const char *text, const char *first, const char *legal)
{
    size_t length = strlen(text);
    return length >= 1 && length <= ID_MAX && strspn(text, first) > 0 && strspn(text, legal) == length;
}

static bool is_layer(const char *key)
{
    return strcmp(key, EVERY_LAYER) == 0 || is_id(key, LOWER UPPER, LOWER UPPER MARKS);
}

static bool is_catalog(const char *key)
{
    static const char *const fixed[] = {"hrn", NULL, "data", NULL, NULL};
    if (strlen(key) > HRN_MAX)
        return false;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        size_t size = strcspn(key, ":");
        bool legal = fixed[i] ? strlen(fixed[i]) == size && memcmp(fixed[i], key, size) == 0
                              : strspn(key, LOWER UPPER MARKS) == size && (size > 0 || i != 1);
        if (!legal || !key[size])
            return false;
        key += size + 1;
    }
    return is_id(key, LOWER, LOWER MARKS);
}

/* The path of a setting that is layered, below stream; NULL past the last. */
static const char *layered_at(size_t index)
{
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++)
        if (setting->layered && index-- == 0)
            return setting->path + strlen(STREAM);
    return NULL;
}

/* The setting of that path below stream, layered or not. */
static const struct sl_setting *below_stream(const char *relative)
{
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++)
        if (strncmp(setting->path, STREAM, strlen(STREAM)) == 0 &&
            strcmp(setting->path + strlen(STREAM), relative) == 0)
            return setting;
    return NULL;
}

static bool is_layered(const char *relative)
{
    const struct sl_setting *setting = below_stream(relative);
    return setting && setting->layered;
}

/* Whether some layered setting lies below. */
static bool is_layered_group(const char *relative)
{
    size_t length = strlen(relative);
    const char *known;
    for (size_t i = 0; (known = layered_at(i)); i++)
        if (strncmp(known, relative, length) == 0 && known[length] == '.')
            return true;
    return false;
}

/* Whether a layered setting's path has key in it. */
static bool is_part_of_layered(const char *key)
{
    const char *known;
    size_t length = strlen(key);
    for (size_t i = 0; (known = layered_at(i)); i++)
        for (const char *part = known; *part; part += strcspn(part, "."), part += *part == '.')
            if (strcspn(part, ".") == length && strncmp(part, key, length) == 0)
                return true;
    return false;
}

/* --- looking up
 * ---------------------------------------------------------------------------------------------- */

static char *path_of(const char *hrn, const char *layer, const char *relative)
{
    char *catalog = hocon_path_join(LAYERS, hrn);
    char *below = catalog ? hocon_path_join(catalog, layer) : NULL;
    char *path = below ? sl_printf("%s.%s", below, relative) : NULL;
    free(catalog);
    free(below);
    return path;
}

/* A setting's value that stands at a path of its own. */
static sl_status check_at(const struct sl_setting *setting, const char *path, const struct hocon_value *value,
                          const struct sl_secrets *secrets, sl_error *error)
{
    struct sl_setting here = *setting;
    here.path = path;
    return sl_setting_check_masked(&here, value, secrets, NULL, error);
}

/* Keys are looked up as they are: an HRN or id from the program is no path expression. */
static const struct hocon_value *said(const sl_config *config, const char *hrn, const char *layer,
                                      const char *relative)
{
    const struct hocon_value *catalog = hocon_field(sl_config_value(config, LAYERS), hrn);
    const struct hocon_value *value = hocon_get(hocon_field(catalog, layer), relative);
    return value && hocon_type_of(value) != HOCON_NULL ? value : NULL;
}

sl_status sl_config_layer_choice(const sl_config *config, const char *path, const char *hrn,
                                 const char *layer, const char **value, char **from, sl_error *error)
{
    const struct sl_setting *setting = sl_setting_find(path);
    if (!setting || !setting->layered)
        return sl_error_set(error, SL_INTERNAL, "%s is no setting of single layers; please report this",
                            path ? path : "NULL");
    const char *const keys[] = {layer, EVERY_LAYER};
    const char *relative = path + strlen(STREAM);
    const struct hocon_value *found = NULL;
    const char *key = NULL;
    for (size_t i = 0; !found && hrn && layer && i < sizeof keys / sizeof *keys; i++) {
        key = keys[i];
        found = said(config, hrn, key, relative);
    }
    char *where = found ? path_of(hrn, key, relative) : strdup(path);
    if (!where)
        return sl_error_oom(error);
    sl_status status =
        found ? check_at(setting, where, found, NULL, error) : sl_config_choice(config, path, value, error);
    if (status == SL_OK && found)
        *value = hocon_text(found);
    if (status == SL_OK && from)
        *from = where;
    else
        free(where);
    return status;
}

/* --- checking
 * ------------------------------------------------------------------------------------------------ */

/* Where in the section the check is. */
struct spot {
    const char *path;                 /* for people: from the root, with quotes */
    const char *layer;                /* the layer's key */
    const char *relative;             /* below the layer: "connector.producer"; "" at the layer itself */
    const struct sl_secrets *secrets; /* not to be shown */
};

/* The names that a layer may have, as "a, b". */
static void list_layered(struct sl_buffer *list)
{
    const char *known;
    for (size_t i = 0; (known = layered_at(i)); i++)
        sl_buffer_printf(list, "%s%s", i ? ", " : "", known);
}

/* The layered setting that relative ends with, where a layer's id with dots was written without quotes: its
 * pieces then count as names. NULL: none. */
static const char *layered_at_end(const char *relative)
{
    size_t length = strlen(relative);
    const char *known;
    for (size_t i = 0; (known = layered_at(i)); i++) {
        size_t size = strlen(known);
        if (length > size + 1 && strcmp(relative + length - size, known) == 0 &&
            relative[length - size - 1] == '.')
            return known;
    }
    return NULL;
}

/* The layered setting that was meant, or NULL. */
static const char *nearest_layered(const char *relative)
{
    const char *names[MAX_LAYERED], *known;
    size_t count = 0;
    while (count < MAX_LAYERED && (known = layered_at(count)))
        names[count++] = known;
    const char *nearest = sl_nearest(relative, names, count);
    for (size_t i = 0; !nearest && i < count; i++) {
        const char *last = strrchr(names[i], '.');
        if (last && strcmp(last + 1, relative) == 0)
            nearest = names[i];
    }
    return nearest;
}

/* A name that is none of a layer's. */
static sl_status unknown(const struct spot *spot, const struct hocon_value *value, sl_error *error)
{
    const char *origin = sl_config_value_origin(value);
    const struct sl_setting *general = below_stream(spot->relative);
    char *shifted = sl_printf("%s.%s", spot->layer, spot->relative);
    struct sl_buffer list;
    sl_buffer_init(&list, 1000);
    list_layered(&list);
    const char *end = layered_at_end(spot->relative), *nearest = nearest_layered(spot->relative);
    sl_status status = SL_BAD_CONFIG;
    if (!shifted || list.failed)
        status = sl_error_oom(error);
    else if (is_layered(shifted))
        status = sl_error_set(error, SL_BAD_CONFIG,
                              "%s: %s: the layer's id is missing in front of %s; \"" EVERY_LAYER
                              "\" stands for every layer of the catalog",
                              origin, spot->path, shifted);
    else if (end)
        status = sl_error_set(error, SL_BAD_CONFIG,
                              "%s: unknown setting %s (a layer's id with dots in it needs quotes: "
                              "\"%s.%.*s\".%s)",
                              origin, spot->path, spot->layer,
                              (int)(strlen(spot->relative) - strlen(end) - 1), spot->relative, end);
    else if (general)
        status = sl_error_set(error, SL_BAD_CONFIG,
                              "%s: %s: %s cannot be set for single layers; known for a layer: %s", origin,
                              spot->path, general->path, list.data);
    else if (nearest)
        status = sl_error_set(error, SL_BAD_CONFIG, "%s: unknown setting %s (did you mean %s?)", origin,
                              spot->path, nearest);
    else
        status = sl_error_set(error, SL_BAD_CONFIG, "%s: unknown setting %s; known for a layer: %s", origin,
                              spot->path, list.data);
    sl_buffer_free(&list);
    free(shifted);
    return status;
}

static sl_status check_fields(const struct hocon_value *object, const struct spot *spot, sl_error *error);

/* null stands for "not said". */
static sl_status check_part(const struct hocon_value *value, const struct spot *spot, sl_error *error)
{
    const struct sl_setting *setting = below_stream(spot->relative);
    bool group = is_layered_group(spot->relative), leaf = setting && setting->layered;
    enum hocon_type type = hocon_type_of(value);
    if ((group || leaf) && type == HOCON_NULL)
        return SL_OK;
    if (leaf)
        return check_at(setting, spot->path, value, spot->secrets, error);
    /* What is unknown is gone into as well: the error then shows the whole of what was written. */
    if (!setting && type == HOCON_OBJECT && (group || hocon_count(value) > 0))
        return check_fields(value, spot, error);
    if (!group)
        return unknown(spot, value, error);
    return sl_error_set(error, SL_BAD_CONFIG, "%s: %s is a section, and is given one value; write %s { ... }",
                        sl_config_value_origin(value), spot->path, spot->path);
}

static sl_status check_fields(const struct hocon_value *object, const struct spot *spot, sl_error *error)
{
    sl_status status = SL_OK;
    for (size_t i = 0; status == SL_OK && i < hocon_count(object); i++) {
        const char *key = hocon_key_at(object, i);
        if (strchr(key, '.'))
            return sl_error_set(
                error, SL_BAD_CONFIG,
                "%s: \"%s\" in quotes is one name with dots in it, not a path: leave the quotes out",
                sl_config_value_origin(hocon_at(object, i)), key);
        char *path = hocon_path_join(spot->path, key);
        char *relative = sl_printf("%s%s%s", spot->relative, *spot->relative ? "." : "", key);
        const struct spot below = {path, spot->layer, relative, spot->secrets};
        status = path && relative ? check_part(hocon_at(object, i), &below, error) : sl_error_oom(error);
        free(path);
        free(relative);
    }
    return status;
}

static sl_status not_section(const char *path, const struct hocon_value *value, const char *form,
                             sl_error *error)
{
    return sl_error_set(error, SL_BAD_CONFIG, "%s: %s is a section, and is given one value; write %s %s",
                        sl_config_value_origin(value), path, path, form);
}

static sl_status check_layer(const struct hocon_value *value, const char *catalog, const char *key,
                             const struct sl_secrets *secrets, sl_error *error)
{
    if (!is_layer(key))
        return sl_error_set(
            error, SL_BAD_CONFIG,
            "%s: in %s: \"%s\" is no layer's id; allowed: 1 to 64 letters, digits, '-', '_' and "
            "'.', the first a letter or digit; or \"" EVERY_LAYER "\" for every layer of the catalog",
            sl_config_value_origin(value), catalog, key);
    if (hocon_type_of(value) == HOCON_NULL)
        return SL_OK;
    char *path = hocon_path_join(catalog, key);
    if (!path)
        return sl_error_oom(error);
    const struct spot spot = {path, key, "", secrets};
    sl_status status = hocon_type_of(value) == HOCON_OBJECT
                           ? check_fields(value, &spot, error)
                           : not_section(path, value, "{ connector.producer = … }", error);
    free(path);
    return status;
}

static sl_status check_catalog(const struct hocon_value *value, const char *key,
                               const struct sl_secrets *secrets, sl_error *error)
{
    const char *origin = sl_config_value_origin(value);
    if (is_part_of_layered(key))
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: in " LAYERS ": the HRN in quotes is missing in front of %s; write " LAYERS
                            " " SL_LAYERS_FORM,
                            origin, key);
    if (!is_catalog(key))
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: in " LAYERS ": \"%s\" is no catalog's HRN; write " LAYERS " " SL_LAYERS_FORM,
                            origin, key);
    if (hocon_type_of(value) == HOCON_NULL)
        return SL_OK;
    char *path = hocon_path_join(LAYERS, key);
    if (!path)
        return sl_error_oom(error);
    sl_status status = SL_OK;
    if (hocon_type_of(value) != HOCON_OBJECT)
        status = not_section(path, value, "{ layer { connector.producer = … } }", error);
    for (size_t i = 0; status == SL_OK && i < hocon_count(value) && hocon_type_of(value) == HOCON_OBJECT; i++)
        status = check_layer(hocon_at(value, i), path, hocon_key_at(value, i), secrets, error);
    free(path);
    return status;
}

sl_status sl_layers_check(const struct hocon_value *layers, const struct sl_secrets *secrets, sl_error *error)
{
    sl_status status = SL_OK;
    for (size_t i = 0; status == SL_OK && i < hocon_count(layers); i++)
        status = check_catalog(hocon_at(layers, i), hocon_key_at(layers, i), secrets, error);
    return status;
}
