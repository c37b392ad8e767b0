#include "hocon/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct hocon *hocon_new(void)
{
    return calloc(1, sizeof(struct hocon));
}

void hocon_free(struct hocon **document)
{
    if (!document || !*document)
        return;
    hocon_arena_free(&(*document)->arena);
    free(*document);
    *document = NULL;
}

sl_status hocon_fail(sl_error *error, const struct hocon_place *place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    sl_error_vset(error, SL_BAD_CONFIG, format, arguments);
    va_end(arguments);
    if (place->line)
        sl_error_prefix(error, "%s:%u:%u", place->file, place->line, place->column);
    else
        sl_error_prefix(error, "%s", place->file);
    return SL_BAD_CONFIG;
}

struct hocon_limits hocon_limits_of(const struct hocon_limits *limits)
{
    enum { MOST_DEPTH = 1000, MOST_INCLUDES = 100 }; /* each level is a few frames of the C stack */
    struct hocon_limits filled = limits ? *limits : (struct hocon_limits){0};
    if (!filled.max_bytes)
        filled.max_bytes = (size_t)16 << 20;
    if (filled.max_bytes > UINT32_MAX / 2) /* lines and columns are counted in 32 bits */
        filled.max_bytes = UINT32_MAX / 2;
    if (!filled.max_depth)
        filled.max_depth = 200;
    if (filled.max_depth > MOST_DEPTH)
        filled.max_depth = MOST_DEPTH;
    if (!filled.max_includes)
        filled.max_includes = 32;
    if (filled.max_includes > MOST_INCLUDES)
        filled.max_includes = MOST_INCLUDES;
    if (!filled.max_resolved)
        filled.max_resolved = 1000000;
    return filled;
}

struct hocon_node *hocon_node_new(struct hocon *document, enum hocon_node_type type,
                                  const struct hocon_place *place)
{
    struct hocon_node *node = hocon_arena_alloc(&document->arena, sizeof *node);
    if (!node)
        return NULL;
    node->type = type;
    node->place = *place;
    node->open = type == NODE_REFERENCE || type == NODE_SELF || type == NODE_CONCAT;
    document->nodes++;
    return node;
}

struct hocon_node *hocon_node_text(struct hocon *document, enum hocon_node_type type,
                                   const struct hocon_place *place, const char *text, size_t size)
{
    struct hocon_node *node = hocon_node_new(document, type, place);
    if (!node || !(node->scalar.text = hocon_arena_text(&document->arena, text, size)))
        return NULL;
    node->scalar.size = size;
    return node;
}

bool hocon_node_add(struct hocon *document, struct hocon_node *list, struct hocon_node *item)
{
    struct hocon_node **nodes = hocon_arena_extend(&document->arena, list->list.nodes, list->list.count,
                                                   &list->list.capacity, sizeof(struct hocon_node *));
    if (!nodes)
        return false;
    list->list.nodes = nodes;
    nodes[list->list.count++] = item;
    list->open = list->open || item->open;
    return true;
}

/* Nothing below it can matter: it neither merges nor looks back. */
static bool hides_all(const struct hocon_node *node)
{
    return node->type <= NODE_LIST;
}

/* The list that += appends, when it holds no substitution; NULL for any other node. */
static struct hocon_node *appended_list(const struct hocon_node *node)
{
    if (node->type != NODE_CONCAT || node->list.count != 2 || node->list.nodes[0]->type != NODE_SELF)
        return NULL;
    return node->list.nodes[1]->open ? NULL : node->list.nodes[1];
}

/* Many += in a row would make a stack as high as there are: they are gathered into one list. */
static bool gather(struct hocon *document, struct hocon_node *top, const struct hocon_node *node,
                   bool *gathered)
{
    const struct hocon_node *from = appended_list(node);
    struct hocon_node *into = top->type == NODE_LIST && !top->open ? top : appended_list(top);
    *gathered = from && into;
    for (size_t i = 0; *gathered && i < from->list.count; i++)
        if (!hocon_node_add(document, into, from->list.nodes[i]))
            return false;
    return true;
}

bool hocon_node_push(struct hocon *document, struct hocon_node **top, struct hocon_node *node)
{
    node->below = NULL;
    if (*top && node->type == NODE_OBJECT && (*top)->type == NODE_OBJECT)
        return hocon_node_merge(document, *top, node);
    if (*top && !hides_all(node)) {
        bool gathered;
        if (!gather(document, *top, node, &gathered))
            return false;
        if (gathered)
            return true;
        node->below = *top;
    }
    *top = node;
    return true;
}

bool hocon_node_push_all(struct hocon *document, struct hocon_node **top, struct hocon_node *stack)
{
    struct hocon_node *lowest = NULL; /* the stack turned over */
    while (stack) {
        struct hocon_node *next = stack->below;
        stack->below = lowest;
        lowest = stack;
        stack = next;
    }
    while (lowest) {
        struct hocon_node *higher = lowest->below;
        if (!hocon_node_push(document, top, lowest))
            return false;
        lowest = higher;
    }
    return true;
}

static struct hocon_entry *entry_of(struct hocon *document, struct hocon_node *object,
                                    const struct hocon_key *key)
{
    struct hocon_entry *entry = hocon_map_find(&object->fields, key->text, key->size);
    return entry ? entry : hocon_map_add(&object->fields, &document->arena, key->text, key->size, NULL);
}

bool hocon_node_merge(struct hocon *document, struct hocon_node *into, const struct hocon_node *from)
{
    into->place = from->place; /* the newest: where to look first */
    into->open = into->open || from->open;
    for (size_t i = 0; i < from->fields.count; i++) {
        const struct hocon_entry *field = &from->fields.entries[i];
        struct hocon_key key = {field->key, field->size};
        struct hocon_entry *entry = entry_of(document, into, &key);
        struct hocon_node *top = entry ? entry->value : NULL;
        if (!entry || !hocon_node_push_all(document, &top, field->value))
            return false;
        entry->value = top;
    }
    return true;
}

bool hocon_node_set(struct hocon *document, struct hocon_node *object, const struct hocon_path *path,
                    struct hocon_node *node)
{
    for (size_t i = 0;; i++) {
        object->open = object->open || node->open;
        struct hocon_entry *entry = entry_of(document, object, &path->keys[i]);
        if (!entry)
            return false;
        struct hocon_node *top = entry->value;
        if (i + 1 == path->count) {
            if (!hocon_node_push(document, &top, node))
                return false;
            entry->value = top;
            return true;
        }
        if (!top || top->type != NODE_OBJECT) {
            struct hocon_node *made = hocon_node_new(document, NODE_OBJECT, &node->place);
            if (!made)
                return false;
            made->below = top;
            entry->value = top = made;
        }
        top->place = node->place;
        object = top;
    }
}

static bool copy_text(struct hocon *document, const char **text, size_t size)
{
    return (*text = hocon_arena_text(&document->arena, *text, size)) != NULL;
}

static bool copy_list(struct hocon *document, const struct hocon_node *list, struct hocon_node *copy)
{
    copy->list.nodes = NULL;
    copy->list.count = copy->list.capacity = 0;
    for (size_t i = 0; i < list->list.count; i++) {
        struct hocon_node *item = NULL;
        if (!hocon_node_copy(document, list->list.nodes[i], &item) || !item ||
            !hocon_node_add(document, copy, item))
            return false;
    }
    return true;
}

static bool copy_fields(struct hocon *document, const struct hocon_node *object, struct hocon_node *copy)
{
    memset(&copy->fields, 0, sizeof copy->fields);
    for (size_t i = 0; i < object->fields.count; i++) {
        const struct hocon_entry *field = &object->fields.entries[i];
        const char *key = field->key;
        struct hocon_node *value;
        if (!copy_text(document, &key, field->size) || !hocon_node_copy(document, field->value, &value) ||
            !hocon_map_add(&copy->fields, &document->arena, key, field->size, value))
            return false;
    }
    return true;
}

static bool copy_reference(struct hocon *document, struct hocon_node *copy)
{
    struct hocon_path *path = &copy->reference.path;
    const struct hocon_key *keys = path->keys;
    path->keys = hocon_arena_array(&document->arena, path->count, sizeof *keys);
    if (!path->keys)
        return false;
    for (size_t i = 0; i < path->count; i++) {
        path->keys[i] = keys[i];
        if (!copy_text(document, &path->keys[i].text, keys[i].size))
            return false;
    }
    return true;
}

static bool copy_one(struct hocon *document, const struct hocon_node *node, struct hocon_node **out)
{
    struct hocon_node *copy = hocon_node_new(document, node->type, &node->place);
    if (!(*out = copy))
        return false;
    *copy = *node;
    copy->below = NULL;
    /* Nodes that follow one another mostly share the file's name. */
    const char *last = document->last_file;
    if (!last || strcmp(last, node->place.file) != 0) {
        if (!copy_text(document, &copy->place.file, strlen(node->place.file)))
            return false;
        document->last_file = copy->place.file;
    } else {
        copy->place.file = last;
    }
    switch (node->type) {
    case NODE_LIST:
    case NODE_CONCAT:
        return copy_list(document, node, copy);
    case NODE_OBJECT:
        return copy_fields(document, node, copy);
    case NODE_REFERENCE:
        return copy_reference(document, copy);
    case NODE_SELF:
        return true;
    default:
        return copy_text(document, &copy->scalar.text, node->scalar.size);
    }
}

bool hocon_node_copy(struct hocon *document, const struct hocon_node *stack, struct hocon_node **copy)
{
    struct hocon_node **end = copy;
    for (*copy = NULL; stack; stack = stack->below) {
        if (!copy_one(document, stack, end))
            return false;
        end = &(*end)->below;
    }
    return true;
}
