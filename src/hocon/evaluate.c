/* From flat slots to values. */
#include "hocon/resolve.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

static sl_status convert(struct hocon_resolver *resolver, const struct hocon_node *node,
                         struct hocon_value **out);

static sl_status origin_of(struct hocon_resolver *resolver, const struct hocon_place *place,
                           const char **origin)
{
    const struct hocon_place *last = &resolver->last_place;
    if (!last->file || last->line != place->line || strcmp(last->file, place->file) != 0) {
        char *text = place->line ? sl_printf("%s:%u", place->file, place->line) : sl_strdup(place->file);
        resolver->last_origin =
            text ? hocon_arena_text(&resolver->resolved->arena, text, strlen(text)) : NULL;
        resolver->last_place = *place;
        free(text);
        if (!resolver->last_origin) {
            resolver->last_place.file = NULL;
            return sl_error_oom(resolver->error);
        }
    }
    *origin = resolver->last_origin;
    return SL_OK;
}

static sl_status new_value(struct hocon_resolver *resolver, enum hocon_type type,
                           const struct hocon_place *place, struct hocon_value **out)
{
    resolver->place = place;
    sl_status status = hocon_spend(resolver, 1);
    struct hocon_value *value = hocon_arena_alloc(&resolver->resolved->arena, sizeof *value);
    if (status != SL_OK)
        return status;
    if (!value)
        return sl_error_oom(resolver->error);
    value->type = type;
    value->weight = 1;
    value->column = place->column;
    *out = value;
    return origin_of(resolver, place, &value->origin);
}

static sl_status new_text(struct hocon_resolver *resolver, enum hocon_type type,
                          const struct hocon_place *place, const char *text, size_t size,
                          struct hocon_value **out)
{
    sl_status status = new_value(resolver, type, place, out);
    if (status != SL_OK)
        return status;
    (*out)->scalar.size = size;
    (*out)->scalar.text = hocon_arena_text(&resolver->resolved->arena, text, size);
    return (*out)->scalar.text ? SL_OK : sl_error_oom(resolver->error);
}

/* Counts inner as part of outer. */
static sl_status contain(struct hocon_resolver *resolver, struct hocon_value *outer,
                         const struct hocon_value *inner)
{
    if (inner->depth + 1 > outer->depth)
        outer->depth = inner->depth + 1;
    outer->weight += inner->weight; /* both at most most_weight: no overflow */
    if (outer->depth > resolver->limits.max_depth)
        return hocon_fail(resolver->error, resolver->place,
                          "substitutions nest values deeper than %u, expected fewer",
                          resolver->limits.max_depth);
    if (outer->weight > resolver->most_weight)
        return hocon_fail(resolver->error, resolver->place,
                          "substitutions make more than %zu values, expected fewer",
                          resolver->limits.max_resolved);
    return SL_OK;
}

static sl_status add_item(struct hocon_resolver *resolver, struct hocon_value *list,
                          const struct hocon_value *item)
{
    struct hocon_arena *arena = &resolver->resolved->arena;
    sl_status status = hocon_spend(resolver, 1);
    if (status == SL_OK)
        status = contain(resolver, list, item);
    if (status != SL_OK)
        return status;
    const struct hocon_value **items = hocon_arena_extend(
        arena, (void *)(uintptr_t)list->list.items, list->list.count, &list->list.capacity, sizeof *items);
    if (!items)
        return sl_error_oom(resolver->error);
    list->list.items = items;
    items[list->list.count++] = item;
    return SL_OK;
}

static sl_status add_field(struct hocon_resolver *resolver, struct hocon_value *object, const char *key,
                           size_t size, struct hocon_value *field)
{
    struct hocon_arena *arena = &resolver->resolved->arena;
    sl_status status = contain(resolver, object, field);
    if (status != SL_OK)
        return status;
    const char *copy = hocon_arena_text(arena, key, size);
    if (!copy || !hocon_map_add(&object->object.fields, arena, copy, size, field))
        return sl_error_oom(resolver->error);
    return SL_OK;
}

bool hocon_key_number(const char *key, size_t size, size_t *number)
{
    size_t sign = size > 1 && key[0] == '+';
    *number = 0;
    for (size_t i = sign; i < size; i++) {
        if (key[i] < '0' || key[i] > '9')
            return false;
        *number = *number * 10 + (size_t)(key[i] - '0');
        if (*number > INT32_MAX)
            return false;
    }
    return size > 0;
}

struct numbered {
    size_t number, order;
    const struct hocon_value *value;
};

static int by_number(const void *left, const void *right)
{
    const struct numbered *a = left, *b = right;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* Makes the list that an object with numbered keys is when one is wanted. */
static sl_status number_fields(struct hocon_resolver *resolver, struct hocon_value *object,
                               const struct hocon_place *place)
{
    const struct hocon_map *fields = &object->object.fields;
    size_t count = 0, number;
    for (size_t i = 0; i < fields->count; i++)
        count += hocon_key_number(fields->entries[i].key, fields->entries[i].size, &number);
    if (!count)
        return SL_OK;
    struct numbered *sorted = hocon_arena_array(&resolver->scratch, count, sizeof *sorted);
    if (!sorted)
        return sl_error_oom(resolver->error);
    size_t at = 0;
    for (size_t i = 0; i < fields->count; i++)
        if (hocon_key_number(fields->entries[i].key, fields->entries[i].size, &number))
            sorted[at++] = (struct numbered){number, i, fields->entries[i].value};
    qsort(sorted, count, sizeof *sorted, by_number);
    struct hocon_value *list = NULL;
    sl_status status = new_value(resolver, HOCON_LIST, place, &list);
    for (size_t i = 0; status == SL_OK && i < count; i++)
        if (i + 1 == count || sorted[i].number != sorted[i + 1].number) /* of "1" and "01" the later */
            status = add_item(resolver, list, sorted[i].value);
    object->object.as_list = list;
    return status;
}

static sl_status convert_list(struct hocon_resolver *resolver, const struct hocon_node *node,
                              struct hocon_value *list)
{
    sl_status status = SL_OK;
    for (size_t i = 0; status == SL_OK && i < node->list.count; i++) {
        struct hocon_value *item;
        status = convert(resolver, node->list.nodes[i], &item);
        if (status == SL_OK)
            status = add_item(resolver, list, item);
    }
    return status;
}

static sl_status convert_fields(struct hocon_resolver *resolver, const struct hocon_node *node,
                                struct hocon_value *object)
{
    sl_status status = SL_OK;
    for (size_t i = 0; status == SL_OK && i < node->fields.count; i++) {
        const struct hocon_entry *field = &node->fields.entries[i];
        struct hocon_value *value;
        status = convert(resolver, field->value, &value);
        if (status == SL_OK)
            status = add_field(resolver, object, field->key, field->size, value);
    }
    return status == SL_OK ? number_fields(resolver, object, &node->place) : status;
}

/* A node in which no substitution is: only as deep as it was parsed. */
static sl_status convert(struct hocon_resolver *resolver, const struct hocon_node *node,
                         struct hocon_value **out)
{
    if (node->type <= NODE_STRING)
        return new_text(resolver, (enum hocon_type)node->type, &node->place, node->scalar.text,
                        node->scalar.size, out);
    sl_status status = new_value(resolver, (enum hocon_type)node->type, &node->place, out);
    if (status != SL_OK)
        return status;
    return node->type == NODE_LIST ? convert_list(resolver, node, *out)
                                   : convert_fields(resolver, node, *out);
}

static sl_status add_elements(struct hocon_resolver *resolver, struct hocon_slot *outer,
                              const struct hocon_node *node, const struct hocon_context *context,
                              struct hocon_value *list)
{
    sl_status status = SL_OK;
    for (size_t i = 0; status == SL_OK && i < node->list.count; i++) {
        const struct hocon_node *element = node->list.nodes[i];
        struct hocon_value *item = NULL;
        if (element->open) {
            struct hocon_slot *slot;
            status = hocon_slot_of(resolver, outer, element, context, &slot);
            if (status == SL_OK)
                status = hocon_evaluate(resolver, slot, &item);
        } else {
            status = convert(resolver, element, &item);
        }
        if (status == SL_OK && item)
            status = add_item(resolver, list, item);
    }
    return status;
}

/* Adds what a piece of a list's concatenation holds. */
static sl_status add_piece_items(struct hocon_resolver *resolver, struct hocon_slot *outer,
                                 const struct hocon_layer *piece, const struct hocon_context *context,
                                 struct hocon_value *list)
{
    if (piece->node && piece->node->type == NODE_BLANK)
        return SL_OK;
    if (piece->node && piece->node->type == NODE_LIST)
        return add_elements(resolver, outer, piece->node, context, list);
    const struct hocon_place *place = piece->node ? &piece->node->place : &piece->reference->place;
    struct hocon_slot *slot = piece->slot;
    struct hocon_value *evaluated = NULL;
    sl_status status = slot ? SL_OK : hocon_slot_of(resolver, outer, piece->node, context, &slot);
    if (status == SL_OK)
        status = hocon_evaluate(resolver, slot, &evaluated);
    if (status != SL_OK || !evaluated)
        return status;
    const struct hocon_value *value = evaluated->type == HOCON_OBJECT ? evaluated->object.as_list : evaluated;
    resolver->place = place;
    if (!value)
        return hocon_fail(
            resolver->error, place,
            "an object is put together with a list, expected a list or an object with numbers for keys");
    for (size_t i = 0; status == SL_OK && i < value->list.count; i++)
        status = add_item(resolver, list, value->list.items[i]);
    return status;
}

static sl_status evaluate_list(struct hocon_resolver *resolver, struct hocon_slot *slot,
                               struct hocon_value **out)
{
    const struct hocon_layer *layer = &slot->layers[slot->definite];
    const struct hocon_context *context = layer->context;
    sl_status status = new_value(resolver, HOCON_LIST, &layer->node->place, out);
    /* In a concatenation elements look back as its own substitutions do; in a list by itself they do not. */
    if (status == SL_OK && layer->node->type == NODE_CONCAT)
        status = hocon_context_new(resolver, slot, slot->definite, context, &context);
    for (size_t i = 0; status == SL_OK && i < slot->parts.count; i++)
        status = add_piece_items(resolver, slot, &slot->parts.all[i], context, *out);
    return status;
}

static sl_status append_piece(struct hocon_resolver *resolver, const struct hocon_layer *piece,
                              struct sl_buffer *text)
{
    if (piece->node) {
        sl_buffer_append(text, piece->node->scalar.text, piece->node->scalar.size);
        return SL_OK;
    }
    struct hocon_value *value = NULL;
    sl_status status = piece->slot ? hocon_evaluate(resolver, piece->slot, &value) : SL_OK;
    if (status == SL_OK && value)
        sl_buffer_append(text, value->scalar.text, value->scalar.size);
    return status;
}

static sl_status evaluate_text(struct hocon_resolver *resolver, struct hocon_slot *slot,
                               struct hocon_value **out)
{
    const struct hocon_node *node = slot->layers[slot->definite].node;
    struct sl_buffer text;
    sl_buffer_init(&text, SIZE_MAX / 2);
    sl_status status = SL_OK;
    for (size_t i = 0; status == SL_OK && i < slot->parts.count; i++) {
        status = append_piece(resolver, &slot->parts.all[i], &text);
        if (status == SL_OK && text.size > resolver->text_budget)
            status = hocon_fail(resolver->error, &node->place,
                                "substitutions make too long a text, expected less");
    }
    if (status == SL_OK && text.failed)
        status = sl_error_oom(resolver->error);
    if (status == SL_OK) {
        resolver->text_budget -= text.size;
        status = new_text(resolver, HOCON_STRING, &node->place, text.data, text.size, out);
    }
    sl_buffer_free(&text);
    return status;
}

static sl_status cycle(struct hocon_resolver *resolver, const struct hocon_place *place)
{
    return hocon_fail(resolver->error, place,
                      "the substitution leads to a value that it is part of (a cycle), expected another");
}

/* The slot is nothing but another, to which a substitution led. *again: it is undefined only for those who
 * are inside that one. */
static sl_status evaluate_target(struct hocon_resolver *resolver, const struct hocon_layer *part,
                                 struct hocon_value **out, bool *again)
{
    resolver->place = &part->reference->place;
    if (!part->slot->evaluating || part->reference->type != NODE_REFERENCE ||
        !part->reference->reference.optional)
        return hocon_evaluate(resolver, part->slot, out);
    *out = NULL;
    *again = true;
    return SL_OK;
}

static sl_status evaluate_object(struct hocon_resolver *resolver, struct hocon_slot *slot,
                                 struct hocon_value **out)
{
    const struct hocon_layer *highest = &slot->parts.all[0];
    const struct hocon_place *place = highest->node ? &highest->node->place : &highest->reference->place;
    for (size_t i = 0; i < slot->parts.count; i++)
        if (slot->parts.all[i].slot && slot->parts.all[i].slot->evaluating)
            return cycle(resolver, &slot->parts.all[i].reference->place);
    sl_status status = new_value(resolver, HOCON_OBJECT, place, out);
    if (status == SL_OK)
        status = hocon_slot_list_keys(resolver, slot);
    for (size_t i = 0; status == SL_OK && i < slot->keys.count; i++) {
        const struct hocon_entry *key = &slot->keys.entries[i];
        struct hocon_slot *child;
        struct hocon_value *value = NULL;
        status = hocon_slot_child(resolver, slot, key->key, key->size, &child);
        if (status == SL_OK && child)
            status = hocon_evaluate(resolver, child, &value);
        if (status == SL_OK && value)
            status = add_field(resolver, *out, key->key, key->size, value);
    }
    return status == SL_OK ? number_fields(resolver, *out, place) : status;
}

sl_status hocon_evaluate(struct hocon_resolver *resolver, struct hocon_slot *slot, struct hocon_value **value)
{
    sl_status status = SL_OK;
    if (slot->evaluating)
        return cycle(resolver, resolver->place);
    if (!slot->evaluated) {
        status = hocon_enter(resolver, NULL);
        if (status != SL_OK)
            return status;
        slot->evaluating = true;
        bool again = false;
        status = hocon_flatten(resolver, slot);
        const struct hocon_layer *part = slot->parts.all;
        if (status != SL_OK || slot->kind == HOCON_UNDEFINED)
            slot->value = NULL;
        else if (slot->parts.count == 1 && part->slot && !slot->joined)
            status = evaluate_target(resolver, part, &slot->value, &again);
        else if (slot->parts.count == 1 && part->node && !slot->joined && !part->node->open)
            status = convert(resolver, part->node, &slot->value);
        else if (slot->kind == HOCON_FIELDS)
            status = evaluate_object(resolver, slot, &slot->value);
        else
            status = slot->kind == HOCON_ITEMS ? evaluate_list(resolver, slot, &slot->value)
                                               : evaluate_text(resolver, slot, &slot->value);
        slot->evaluating = false;
        slot->evaluated = !again;
        hocon_leave(resolver);
    }
    *value = slot->value;
    return status;
}
