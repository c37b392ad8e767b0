/* Walks over what a configuration holds. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/text.h"
#include "config/config.h"
#include "config/mask.h"

#define LONGEST_VALUE ((size_t)64 * 1024 * 1024)

struct walk {
    bool shows_secrets;
    struct sl_secrets secrets;
    sl_config_visitor visit;
    void *opaque;
    bool over; /* visit wants no more */
};

/* Where a value is. */
struct spot {
    const char *path;  /* as people write it, quoted where it must be */
    const char *plain; /* its keys with dots between them */
    const char *key;
    bool secret; /* or inside of what is */
};

struct field {
    const char *key;
    const struct hocon_value *value;
};

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct field *)a)->key, ((const struct field *)b)->key);
}

static sl_status walk_value(struct walk *walk, const struct hocon_value *value, const struct spot *spot);

static sl_status walk_field(struct walk *walk, const struct field *field, const struct spot *spot)
{
    char *path = hocon_path_join(spot->path, field->key);
    char *plain = sl_printf("%s%s%s", spot->plain, *spot->plain ? "." : "", field->key);
    sl_status status = SL_OUT_OF_MEMORY;
    if (path && plain)
        status = walk_value(
            walk, field->value,
            &(struct spot){path, plain, field->key, spot->secret || sl_is_secret(plain, field->key)});
    free(path);
    free(plain);
    return status;
}

static sl_status walk_object(struct walk *walk, const struct hocon_value *object, const struct spot *spot)
{
    size_t count = hocon_count(object);
    struct field *fields = calloc(count ? count : 1, sizeof *fields);
    if (!fields)
        return SL_OUT_OF_MEMORY;
    for (size_t i = 0; i < count; i++)
        fields[i] = (struct field){hocon_key_at(object, i), hocon_at(object, i)};
    qsort(fields, count, sizeof *fields, by_key);
    sl_status status = SL_OK;
    for (size_t i = 0; status == SL_OK && !walk->over && i < count; i++)
        status = walk_field(walk, &fields[i], spot);
    free(fields);
    return status;
}

/* A word of the table's own is no secret, whatever it is equal to. */
static bool is_known_word(const char *path, const char *text)
{
    const struct sl_setting *setting = sl_setting_find(path);
    if (!setting)
        return false;
    for (const char *const *choice = setting->choices; choice && *choice; choice++)
        if (strcmp(*choice, text) == 0)
            return true;
    return setting->value && strcmp(setting->value, text) == 0;
}

static bool mask(const struct walk *walk, const struct hocon_value *value, const struct spot *spot,
                 struct sl_buffer *out)
{
    const char *text = hocon_text(value);
    if (spot->secret)
        return sl_buffer_append_text(out, SL_MASK);
    if (!text)
        return sl_mask_json(&walk->secrets, value, spot->plain, spot->key, out);
    return sl_mask_text(is_known_word(spot->plain, text) ? NULL : &walk->secrets, text, out);
}

static sl_status walk_value(struct walk *walk, const struct hocon_value *value, const struct spot *spot)
{
    if (hocon_type_of(value) == HOCON_OBJECT)
        return walk_object(walk, value, spot);
    struct sl_buffer masked;
    sl_buffer_init(&masked, LONGEST_VALUE);
    char *json = NULL;
    const char *text = hocon_text(value);
    sl_status status = SL_OK;
    if (!walk->shows_secrets) {
        status = mask(walk, value, spot, &masked) ? SL_OK : SL_OUT_OF_MEMORY;
        text = masked.data;
    } else if (!text) {
        status = hocon_render_json(value, false, &json, NULL);
        text = json;
    }
    if (status == SL_OK)
        walk->over = !walk->visit(walk->opaque, spot->path, text, sl_config_value_origin(value));
    free(json);
    sl_buffer_free(&masked);
    return status;
}

/* Goes down along keys, an object in an object, and walks over what the last one holds. */
static sl_status walk_along(struct walk *walk, const struct hocon_value *value,
                            const struct hocon_value *keys, const struct spot *spot)
{
    if (hocon_type_of(keys) != HOCON_OBJECT)
        return walk_value(walk, value, spot);
    const char *key = hocon_key_at(keys, 0);
    const struct hocon_value *found = NULL;
    if (hocon_type_of(value) == HOCON_OBJECT)
        for (size_t i = 0; i < hocon_count(value); i++)
            if (strcmp(hocon_key_at(value, i), key) == 0)
                found = hocon_at(value, i);
    if (!found)
        return SL_OK;
    char *path = hocon_path_join(spot->path, key);
    char *plain = sl_printf("%s%s%s", spot->plain, *spot->plain ? "." : "", key);
    sl_status status = SL_OUT_OF_MEMORY;
    if (path && plain)
        status = walk_along(walk, found, hocon_at(keys, 0),
                            &(struct spot){path, plain, key, spot->secret || sl_is_secret(plain, key)});
    free(path);
    free(plain);
    return status;
}

static sl_status walk_below(struct walk *walk, const struct hocon_value *root, const char *below)
{
    struct hocon *document = NULL, *keys = NULL;
    sl_error error = {0};
    sl_status status = hocon_single(below, "", "path", &document, &error);
    if (status == SL_OK)
        status = hocon_resolve(document, false, NULL, &keys, &error);
    if (status == SL_OK)
        status = walk_along(walk, root, hocon_root(keys), &(struct spot){"", "", "", false});
    hocon_free(&document);
    hocon_free(&keys);
    return status == SL_BAD_CONFIG ? SL_OK : status; /* nothing is there */
}

sl_status sl_config_walk(const sl_config *config, const char *below, bool secrets, sl_config_visitor visit,
                         void *opaque)
{
    const struct hocon_value *root = sl_config_root(config);
    if (!root)
        return SL_INVALID_HANDLE;
    if (!visit)
        return SL_INVALID_ARGUMENT;
    struct walk walk = {.shows_secrets = secrets, .visit = visit, .opaque = opaque};
    sl_status status = secrets ? SL_OK : sl_secrets_collect(config, &walk.secrets);
    if (status == SL_OK)
        status = below && *below ? walk_below(&walk, root, below)
                                 : walk_value(&walk, root, &(struct spot){"", "", "", false});
    sl_secrets_free(&walk.secrets);
    return status;
}

sl_status sl_config_each(const sl_config *config, const char *below, sl_config_visitor visit, void *opaque)
{
    return sl_config_walk(config, below, false, visit, opaque);
}

char *sl_config_join_list(const struct hocon_value *list, bool *memory)
{
    struct sl_buffer joined;
    sl_buffer_init(&joined, (size_t)1024 * 1024);
    *memory = true;
    for (size_t i = 0; i < hocon_count(list); i++) {
        const char *text = hocon_text(hocon_at(list, i));
        if (!text) {
            sl_buffer_free(&joined);
            return NULL;
        }
        if (i > 0)
            sl_buffer_append(&joined, ",", 1);
        sl_buffer_append_text(&joined, text);
    }
    *memory = !joined.failed;
    char *text = sl_buffer_take(&joined);
    sl_buffer_free(&joined);
    return text;
}

struct section {
    bool (*visit)(void *opaque, const char *name, const char *value, const char *origin);
    void *opaque;
    bool over; /* visit wants no more */
};

static sl_status section_object(struct section *section, const struct hocon_value *object,
                                const char *prefix);

static sl_status section_value(struct section *section, const struct hocon_value *value, const char *name)
{
    switch (hocon_type_of(value)) {
    case HOCON_NULL:
        return SL_OK;
    case HOCON_OBJECT:
        return section_object(section, value, name);
    case HOCON_LIST: {
        bool memory = true;
        char *joined = sl_config_join_list(value, &memory);
        if (!joined)
            return memory ? SL_BAD_CONFIG : SL_OUT_OF_MEMORY;
        section->over = !section->visit(section->opaque, name, joined, sl_config_value_origin(value));
        free(joined);
        return SL_OK;
    }
    case HOCON_BOOLEAN:
    case HOCON_NUMBER:
    case HOCON_STRING:
        break;
    }
    section->over = !section->visit(section->opaque, name, hocon_text(value), sl_config_value_origin(value));
    return SL_OK;
}

static sl_status section_object(struct section *section, const struct hocon_value *object, const char *prefix)
{
    sl_status status = SL_OK;
    for (size_t i = 0; status == SL_OK && !section->over && i < hocon_count(object); i++) {
        char *name = sl_printf("%s%s%s", prefix, *prefix ? "." : "", hocon_key_at(object, i));
        status = name ? section_value(section, hocon_at(object, i), name) : SL_OUT_OF_MEMORY;
        free(name);
    }
    return status;
}

sl_status sl_config_section(const sl_config *config, const char *path,
                            bool (*visit)(void *opaque, const char *name, const char *value,
                                          const char *origin),
                            void *opaque)
{
    if (!sl_config_root(config))
        return SL_INVALID_HANDLE;
    struct section section = {visit, opaque, false};
    const struct hocon_value *value = sl_config_value(config, path);
    if (!value)
        return SL_OK;
    return hocon_type_of(value) == HOCON_OBJECT ? section_object(&section, value, "") : SL_BAD_CONFIG;
}
