/* Reading resolved documents. */
#include "hocon/value.h"

#include <string.h>

#include "hocon/node.h"
#include "hocon/path.h"

const struct hocon_value *hocon_root(const struct hocon *document)
{
    return document ? document->value : NULL;
}

static const struct hocon_value *field_of(const struct hocon_value *value, const char *key, size_t size)
{
    if (!value || value->type != HOCON_OBJECT)
        return NULL;
    const struct hocon_entry *entry = hocon_map_find(&value->object.fields, key, size);
    return entry ? entry->value : NULL;
}

const struct hocon_value *hocon_field(const struct hocon_value *value, const char *key)
{
    return field_of(value, key, strlen(key));
}

/* Plain keys and dots, which need no parsing (and so no memory). */
static bool is_plain(const char *path)
{
    bool empty = true;
    for (; *path; path++) {
        char c = *path;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_';
        if (!letter && (c != '.' || empty))
            return false;
        empty = !letter;
    }
    return !empty;
}

const struct hocon_value *hocon_get(const struct hocon_value *value, const char *path)
{
    if (is_plain(path)) {
        for (;;) {
            size_t size = strcspn(path, ".");
            value = field_of(value, path, size);
            if (!value || !path[size])
                return value;
            path += size + 1;
        }
    }
    struct hocon_arena arena = {0};
    struct hocon_path keys;
    if (hocon_path_of_text(path, "", &arena, &keys, NULL) != SL_OK)
        value = NULL;
    for (size_t i = 0; value && i < keys.count; i++)
        value = field_of(value, keys.keys[i].text, keys.keys[i].size);
    hocon_arena_free(&arena);
    return value;
}

enum hocon_type hocon_type_of(const struct hocon_value *value)
{
    return value->type;
}

const char *hocon_text(const struct hocon_value *value)
{
    return value->type < HOCON_LIST ? value->scalar.text : NULL;
}

size_t hocon_count(const struct hocon_value *value)
{
    if (value->type == HOCON_LIST)
        return value->list.count;
    return value->type == HOCON_OBJECT ? value->object.fields.count : 0;
}

const struct hocon_value *hocon_at(const struct hocon_value *value, size_t index)
{
    if (index >= hocon_count(value))
        return NULL;
    return value->type == HOCON_LIST ? value->list.items[index] : value->object.fields.entries[index].value;
}

const char *hocon_key_at(const struct hocon_value *object, size_t index)
{
    if (object->type != HOCON_OBJECT || index >= object->object.fields.count)
        return NULL;
    return object->object.fields.entries[index].key;
}

const char *hocon_origin(const struct hocon_value *value)
{
    return value->origin;
}

unsigned hocon_column(const struct hocon_value *value)
{
    return value->column;
}

const struct hocon_value *hocon_as_list(const struct hocon_value *value)
{
    if (value->type == HOCON_LIST)
        return value;
    return value->type == HOCON_OBJECT ? value->object.as_list : NULL;
}
