/* Walks over what a configuration holds. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/text.h"
#include "config/config.h"

#define MASK "********"

struct walk {
    bool secrets;
    sl_config_visitor visit;
    void *opaque;
};

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Settings that are secret, and by their names those that pass through to others (sasl.password,
 * ssl.key.pem). */
static bool is_secret(const char *path)
{
    static const char *const ends[] = {"password", "secret", "passphrase", "token", "key.pem", "jaas.config"};
    const struct sl_setting *setting = sl_setting_find(path);
    if (setting)
        return setting->type == SL_SECRET;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(path, ends[i]))
            return true;
    return false;
}

struct field {
    const char *key;
    const struct hocon_value *value;
};

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct field *)a)->key, ((const struct field *)b)->key);
}

static bool walk_value(const struct walk *walk, const struct hocon_value *value, const char *path);

/* false: the walk is over. */
static bool walk_object(const struct walk *walk, const struct hocon_value *object, const char *path)
{
    size_t count = hocon_count(object);
    struct field *fields = calloc(count ? count : 1, sizeof *fields);
    if (!fields)
        return false;
    for (size_t i = 0; i < count; i++)
        fields[i] = (struct field){hocon_key_at(object, i), hocon_at(object, i)};
    qsort(fields, count, sizeof *fields, by_key);
    bool more = true;
    for (size_t i = 0; more && i < count; i++) {
        char *below = hocon_path_join(path, fields[i].key);
        more = below && walk_value(walk, fields[i].value, below);
        free(below);
    }
    free(fields);
    return more;
}

static bool walk_value(const struct walk *walk, const struct hocon_value *value, const char *path)
{
    if (hocon_type_of(value) == HOCON_OBJECT)
        return walk_object(walk, value, path);
    char *json = NULL;
    const char *text = hocon_text(value);
    if (hocon_type_of(value) == HOCON_LIST) {
        if (hocon_render_json(value, false, &json, NULL) != SL_OK)
            return false;
        text = json;
    }
    if (!walk->secrets && is_secret(path))
        text = MASK;
    bool more = walk->visit(walk->opaque, path, text, sl_config_value_origin(value));
    free(json);
    return more;
}

void sl_config_walk(const sl_config *config, const char *below, bool secrets, sl_config_visitor visit,
                    void *opaque)
{
    const struct hocon_value *root = sl_config_root(config);
    if (!root || !visit)
        return;
    bool all = !below || !*below;
    const struct hocon_value *value = all ? root : hocon_get(root, below);
    const struct walk walk = {secrets, visit, opaque};
    if (value)
        walk_value(&walk, value, all ? "" : below);
}

void sl_config_each(const sl_config *config, const char *below, sl_config_visitor visit, void *opaque)
{
    sl_config_walk(config, below, false, visit, opaque);
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
