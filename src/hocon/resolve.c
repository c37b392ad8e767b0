#include "hocon/resolve.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "hocon/path.h"

enum { MOST_NESTED = 1000 }; /* calls of the functions that guard themselves: below a megabyte of stack */

sl_status hocon_enter(struct hocon_resolver *resolver, const struct hocon_place *place)
{
    if (place)
        resolver->place = place;
    if (resolver->depth >= MOST_NESTED)
        return hocon_fail(resolver->error, resolver->place,
                          "substitutions lead too deep from one to the next, expected a shorter chain");
    resolver->depth++;
    return SL_OK;
}

void hocon_leave(struct hocon_resolver *resolver)
{
    resolver->depth--;
}

sl_status hocon_spend(struct hocon_resolver *resolver, size_t count)
{
    if (count > resolver->budget)
        return hocon_fail(resolver->error, resolver->place,
                          "substitutions make more than %zu values, expected fewer",
                          resolver->limits.max_resolved);
    resolver->budget -= count;
    return SL_OK;
}

sl_status hocon_slot_new(struct hocon_resolver *resolver, const struct hocon_layer *layers, size_t count,
                         struct hocon_slot **slot)
{
    sl_status status = hocon_spend(resolver, 1);
    if (status != SL_OK)
        return status;
    *slot = hocon_arena_alloc(&resolver->scratch, sizeof **slot);
    if (!*slot)
        return sl_error_oom(resolver->error);
    (*slot)->layers = layers;
    (*slot)->count = count;
    (*slot)->whole = *slot;
    return SL_OK;
}

static sl_status add_layer(struct hocon_resolver *resolver, struct hocon_layers *layers,
                           struct hocon_layer layer)
{
    struct hocon_layer *all =
        hocon_arena_extend(&resolver->scratch, layers->all, layers->count, &layers->capacity, sizeof *all);
    if (!all)
        return sl_error_oom(resolver->error);
    layers->all = all;
    all[layers->count++] = layer;
    return SL_OK;
}

/* Adds a stack of nodes, the lowest first. */
static sl_status add_stack(struct hocon_resolver *resolver, struct hocon_layers *layers,
                           const struct hocon_node *stack, const struct hocon_context *context)
{
    size_t first = layers->count;
    for (; stack; stack = stack->below) {
        sl_status status =
            add_layer(resolver, layers, (struct hocon_layer){.node = stack, .context = context});
        if (status != SL_OK)
            return status;
    }
    for (size_t low = first, high = layers->count; low + 1 < high; low++) {
        struct hocon_layer swapped = layers->all[--high];
        layers->all[high] = layers->all[low];
        layers->all[low] = swapped;
    }
    return SL_OK;
}

sl_status hocon_slot_of(struct hocon_resolver *resolver, struct hocon_slot *parent,
                        const struct hocon_node *stack, const struct hocon_context *context,
                        struct hocon_slot **slot)
{
    struct hocon_layers layers = {0};
    sl_status status = add_stack(resolver, &layers, stack, context);
    if (status == SL_OK)
        status = hocon_slot_new(resolver, layers.all, layers.count, slot);
    if (status == SL_OK)
        (*slot)->parent = parent;
    return status;
}

sl_status hocon_context_new(struct hocon_resolver *resolver, struct hocon_slot *slot, size_t number,
                            const struct hocon_context *outer, const struct hocon_context **inner)
{
    *inner = outer;
    if (!number)
        return SL_OK;
    struct hocon_context *made = hocon_arena_alloc(&resolver->scratch, sizeof *made);
    if (!made)
        return sl_error_oom(resolver->error);
    *made = (struct hocon_context){slot->whole, number, outer};
    *inner = made;
    return SL_OK;
}

/* The slot's lowest count layers as a slot of their own; NULL for none. */
static sl_status lower_slot(struct hocon_resolver *resolver, struct hocon_slot *slot, size_t count,
                            struct hocon_slot **lower)
{
    struct hocon_slot *whole = slot->whole;
    *lower = NULL;
    if (!count)
        return SL_OK;
    if (!whole->lower) {
        whole->lower = hocon_arena_array(&resolver->scratch, whole->count, sizeof(struct hocon_slot *));
        if (!whole->lower)
            return sl_error_oom(resolver->error);
    }
    if (!whole->lower[count]) {
        sl_status status = hocon_slot_new(resolver, whole->layers, count, &whole->lower[count]);
        if (status != SL_OK)
            return status;
        whole->lower[count]->whole = whole;
        whole->lower[count]->parent = whole->parent;
    }
    *lower = whole->lower[count];
    return SL_OK;
}

/* What may be seen of *slot now: while a layer of it is being followed, the layers below. */
static sl_status look_back(struct hocon_resolver *resolver, struct hocon_slot **slot)
{
    while (*slot && (*slot)->expanding) {
        sl_status status = lower_slot(resolver, *slot, (*slot)->expanding - 1, slot);
        if (status != SL_OK)
            return status;
        resolver->looked_back = resolver->looked_back || !*slot;
        resolver->lost += !*slot;
    }
    return SL_OK;
}

/* Follows keys from the root; *target NULL: nothing is there. What is there is flat and defined. */
static sl_status walk(struct hocon_resolver *resolver, const struct hocon_key *keys, size_t count,
                      struct hocon_slot **target)
{
    struct hocon_slot *slot = resolver->root;
    *target = NULL;
    for (size_t i = 0;; i++) {
        sl_status status = look_back(resolver, &slot);
        if (status == SL_OK && slot)
            status = hocon_flatten(resolver, slot);
        if (status != SL_OK || !slot || slot->kind == HOCON_UNDEFINED)
            return status;
        if (i == count) {
            *target = slot;
            return SL_OK;
        }
        if (slot->kind != HOCON_FIELDS)
            return SL_OK;
        status = hocon_slot_child(resolver, slot, keys[i].text, keys[i].size, &slot);
        if (status != SL_OK)
            return status;
    }
}

static sl_status not_found(struct hocon_resolver *resolver, const struct hocon_node *reference,
                           bool looked_back)
{
    struct hocon_path written = reference->reference.path;
    written.keys += reference->reference.prefix;
    written.count -= reference->reference.prefix;
    struct sl_buffer path;
    sl_buffer_init(&path, SIZE_MAX / 2);
    if (!hocon_append_path(&path, &written) ||
        !sl_buffer_append(&path, "[]", reference->reference.list ? 2 : 0)) {
        sl_buffer_free(&path);
        return sl_error_oom(resolver->error);
    }
    sl_status status =
        looked_back
            ? hocon_fail(resolver->error, &reference->place,
                         "${%s} leads back to itself (a cycle) and there is no earlier value to take, "
                         "expected a value that does not depend on itself",
                         path.data)
            : hocon_fail(resolver->error, &reference->place,
                         "${%s} is not set, expected a value for it%s or ${?%s} if it may be missing",
                         path.data, resolver->use_environment ? " here or in the environment," : "",
                         path.data);
    sl_buffer_free(&path);
    return status;
}

/* A slot that is nothing but another: so that long chains of them cost nothing. */
static struct hocon_slot *unalias(struct hocon_slot *slot)
{
    return slot->parts.count == 1 && slot->parts.all[0].slot && !slot->joined ? slot->parts.all[0].slot
                                                                              : slot;
}

/* Whether slot lies in target: an endless value. */
static bool lies_in(const struct hocon_slot *slot, struct hocon_slot *target)
{
    const struct hocon_slot *outer = unalias(target);
    while (slot && slot != outer)
        slot = slot->parent;
    return slot != NULL;
}

/* *target: what the substitution refers to, flat and defined; NULL when it is optional and there is nothing.
 */
static sl_status follow(struct hocon_resolver *resolver, const struct hocon_slot *slot,
                        const struct hocon_node *reference, struct hocon_slot **target)
{
    const struct hocon_path *path = &reference->reference.path;
    size_t prefix = reference->reference.prefix;
    struct hocon_path written = {path->keys + prefix, path->count - prefix};
    bool outer = resolver->looked_back;
    resolver->looked_back = false;
    resolver->place = &reference->place;
    sl_status status = walk(resolver, path->keys, path->count, target);
    /* A field of an included file that refers to itself does not mean the one of that name outside. */
    if (status == SL_OK && !*target && prefix && !resolver->looked_back)
        status = walk(resolver, written.keys, written.count, target);
    if (status == SL_OK && *target && lies_in(slot, *target)) {
        resolver->looked_back = true;
        *target = NULL;
    }
    resolver->place = &reference->place;
    if (status == SL_OK && !*target && resolver->use_environment && !resolver->looked_back)
        status = hocon_look_in_environment(resolver, &written, reference->reference.list, target);
    if (status == SL_OK && !*target && !reference->reference.optional)
        status = not_found(resolver, reference, resolver->looked_back);
    resolver->looked_back = outer || (resolver->looked_back && !*target);
    return status;
}

/* Whether target is all that lies below slot's layer of that number: then those layers add nothing to it. */
static bool is_all_below(const struct hocon_slot *slot, size_t number, const struct hocon_slot *target)
{
    return target->whole == slot->whole && target->count == number;
}

/* Adds what a substitution, or another slot's layer, leads to. */
static sl_status add_target(struct hocon_resolver *resolver, struct hocon_slot *slot, size_t number,
                            struct hocon_slot *target, const struct hocon_node *reference, bool *done)
{
    if (!target || target->kind == HOCON_UNDEFINED)
        return SL_OK;
    bool object = target->kind == HOCON_FIELDS;
    *done = !object || is_all_below(slot, number, target);
    if (!object && slot->parts.count)
        return SL_OK; /* hidden by the objects above it */
    slot->kind = target->kind;
    return add_layer(resolver, &slot->parts,
                     (struct hocon_layer){.slot = unalias(target), .reference = reference});
}

static enum hocon_kind kind_of(const struct hocon_layer *layer)
{
    if (layer->slot)
        return layer->slot->kind;
    if (!layer->node)
        return HOCON_UNDEFINED;
    switch (layer->node->type) {
    case NODE_LIST:
        return HOCON_ITEMS;
    case NODE_OBJECT:
        return HOCON_FIELDS;
    default:
        return HOCON_TEXT;
    }
}

/* What a concatenation's pieces are, those that are undefined left out. */
static sl_status gather_pieces(struct hocon_resolver *resolver, struct hocon_slot *slot, size_t number,
                               struct hocon_layers *pieces)
{
    const struct hocon_node *concat = slot->layers[number].node;
    for (size_t i = 0; i < concat->list.count; i++) {
        struct hocon_layer piece = {.node = concat->list.nodes[i]};
        sl_status status = SL_OK;
        if (piece.node->type == NODE_REFERENCE) {
            piece.reference = piece.node;
            status = follow(resolver, slot, piece.node, &piece.slot);
        } else if (piece.node->type == NODE_SELF) {
            piece.reference = piece.node;
            status = lower_slot(resolver, slot, number, &piece.slot);
            if (status == SL_OK)
                status = look_back(resolver, &piece.slot);
            if (status == SL_OK && piece.slot)
                status = hocon_flatten(resolver, piece.slot);
        }
        if (piece.reference) {
            piece.node = NULL;
            if (status == SL_OK && (!piece.slot || piece.slot->kind == HOCON_UNDEFINED))
                continue;
        }
        if (status == SL_OK)
            status = add_layer(resolver, pieces, piece);
        if (status != SL_OK)
            return status;
    }
    return SL_OK;
}

static const char *const kind_names[] = {"nothing", "text", "a list", "an object"};

/* What the pieces make together; blanks do not count beside lists and objects. */
static sl_status kind_of_pieces(struct hocon_resolver *resolver, const struct hocon_layers *pieces,
                                enum hocon_kind *kind)
{
    bool seen[HOCON_FIELDS + 1] = {false};
    const struct hocon_place *text = NULL;
    for (size_t i = 0; i < pieces->count; i++) {
        const struct hocon_layer *piece = &pieces->all[i];
        if (piece->node && piece->node->type == NODE_BLANK)
            continue;
        enum hocon_kind now = kind_of(piece);
        seen[now] = true;
        if (now == HOCON_TEXT)
            text = piece->node ? &piece->node->place : &piece->reference->place;
    }
    *kind = seen[HOCON_ITEMS]    ? HOCON_ITEMS
            : seen[HOCON_FIELDS] ? HOCON_FIELDS
            : pieces->count      ? HOCON_TEXT /* blanks between undefined pieces too */
                                 : HOCON_UNDEFINED;
    if (*kind != HOCON_TEXT && text)
        return hocon_fail(resolver->error, text, "text is put together with %s, expected %s on both sides",
                          kind_names[*kind], kind_names[*kind]);
    return SL_OK;
}

static sl_status add_concat(struct hocon_resolver *resolver, struct hocon_slot *slot, size_t number,
                            bool *done)
{
    struct hocon_layers pieces = {0};
    enum hocon_kind kind = HOCON_UNDEFINED;
    sl_status status = gather_pieces(resolver, slot, number, &pieces);
    if (status == SL_OK)
        status = kind_of_pieces(resolver, &pieces, &kind);
    if (status != SL_OK || kind == HOCON_UNDEFINED)
        return status;
    *done = kind != HOCON_FIELDS;
    if (pieces.count == 1 && pieces.all[0].slot)
        return add_target(resolver, slot, number, pieces.all[0].slot, pieces.all[0].reference, done);
    if (*done) {
        if (slot->parts.count)
            return SL_OK;
        slot->kind = kind;
        slot->definite = number;
        /* A piece that is left alone keeps its type. */
        slot->joined = pieces.count > 1 || pieces.all[0].node->type == NODE_BLANK;
        slot->parts = pieces;
        return SL_OK;
    }
    slot->kind = kind;
    const struct hocon_context *context;
    status = hocon_context_new(resolver, slot, number, slot->layers[number].context, &context);
    for (size_t i = pieces.count; status == SL_OK && i-- > 0;) {
        struct hocon_layer part = pieces.all[i];
        if (part.node && part.node->type != NODE_OBJECT)
            continue;
        part.context = part.node ? context : NULL;
        *done = *done || (part.slot && is_all_below(slot, number, part.slot));
        part.slot = part.slot ? unalias(part.slot) : NULL;
        status = add_layer(resolver, &slot->parts, part);
    }
    return status;
}

/* Adds one layer to what the slot is made of; *done: the layers below it are hidden. */
static sl_status flatten_layer(struct hocon_resolver *resolver, struct hocon_slot *slot, size_t number,
                               bool *done)
{
    const struct hocon_layer *layer = &slot->layers[number];
    struct hocon_slot *target = layer->slot;
    const struct hocon_node *reference = layer->reference;
    sl_status status = SL_OK;
    if (target) {
        status = look_back(resolver, &target);
        if (status == SL_OK && target)
            status = hocon_flatten(resolver, target);
        return status == SL_OK ? add_target(resolver, slot, number, target, reference, done) : status;
    }
    resolver->place = &layer->node->place;
    switch (layer->node->type) {
    case NODE_REFERENCE:
        status = follow(resolver, slot, layer->node, &target);
        return status == SL_OK ? add_target(resolver, slot, number, target, layer->node, done) : status;
    case NODE_CONCAT:
        return add_concat(resolver, slot, number, done);
    default:
        *done = layer->node->type != NODE_OBJECT;
        if (*done && slot->parts.count)
            return SL_OK;
        slot->kind = kind_of(layer);
        slot->definite = number;
        return add_layer(resolver, &slot->parts, *layer);
    }
}

/* flatten_layer in the layer's context. */
static sl_status flatten_within(struct hocon_resolver *resolver, const struct hocon_context *context,
                                struct hocon_slot *slot, size_t number, bool *done)
{
    if (!context)
        return flatten_layer(resolver, slot, number, done);
    size_t outer = context->slot->expanding;
    if (!outer || context->number + 1 < outer)
        context->slot->expanding = context->number + 1;
    sl_status status = flatten_within(resolver, context->outer, slot, number, done);
    context->slot->expanding = outer;
    return status;
}

sl_status hocon_flatten(struct hocon_resolver *resolver, struct hocon_slot *slot)
{
    if (slot->flat && !(slot->unsure && !resolver->flattening))
        return SL_OK;
    sl_status status = hocon_enter(resolver, NULL);
    if (status != SL_OK)
        return status;
    size_t lost = resolver->lost;
    bool done = false;
    resolver->flattening++;
    for (size_t i = slot->count; status == SL_OK && !done && i-- > 0;) {
        slot->expanding = i + 1;
        status = flatten_within(resolver, slot->layers[i].context, slot, i, &done);
        slot->expanding = 0;
    }
    resolver->flattening--;
    slot->flat = true;
    slot->unsure = slot->kind == HOCON_UNDEFINED && resolver->flattening && lost != resolver->lost;
    hocon_leave(resolver);
    return status;
}

sl_status hocon_slot_child(struct hocon_resolver *resolver, struct hocon_slot *slot, const char *key,
                           size_t size, struct hocon_slot **child)
{
    const struct hocon_entry *known = hocon_map_find(&slot->children, key, size);
    *child = known ? known->value : NULL;
    if (known)
        return SL_OK;
    struct hocon_layers layers = {0};
    sl_status status = hocon_enter(resolver, NULL);
    if (status != SL_OK)
        return status;
    for (size_t i = slot->parts.count; status == SL_OK && i-- > 0;) {
        const struct hocon_layer *part = &slot->parts.all[i];
        if (part->slot) {
            struct hocon_slot *inner;
            status = hocon_slot_child(resolver, part->slot, key, size, &inner);
            if (status == SL_OK && inner)
                status = add_layer(resolver, &layers,
                                   (struct hocon_layer){.slot = inner, .reference = part->reference});
        } else {
            const struct hocon_entry *field = hocon_map_find(&part->node->fields, key, size);
            const struct hocon_context *context = part->context;
            if (field && slot->whole != slot)
                status = hocon_context_new(resolver, slot, slot->count, context, &context);
            if (field && status == SL_OK)
                status = add_stack(resolver, &layers, field->value, context);
        }
    }
    if (status == SL_OK && layers.count)
        status = hocon_slot_new(resolver, layers.all, layers.count, child);
    if (status == SL_OK && *child)
        (*child)->parent = slot;
    if (status == SL_OK && !hocon_map_add(&slot->children, &resolver->scratch, key, size, *child))
        status = sl_error_oom(resolver->error);
    hocon_leave(resolver);
    return status;
}

static sl_status list_key(struct hocon_resolver *resolver, struct hocon_slot *slot,
                          const struct hocon_entry *field)
{
    if (hocon_map_find(&slot->keys, field->key, field->size))
        return SL_OK;
    sl_status status = hocon_spend(resolver, 1);
    if (status != SL_OK)
        return status;
    return hocon_map_add(&slot->keys, &resolver->scratch, field->key, field->size, NULL)
               ? SL_OK
               : sl_error_oom(resolver->error);
}

sl_status hocon_slot_list_keys(struct hocon_resolver *resolver, struct hocon_slot *slot)
{
    if (slot->listed)
        return SL_OK;
    sl_status status = hocon_enter(resolver, NULL);
    if (status != SL_OK)
        return status;
    for (size_t i = slot->parts.count; status == SL_OK && i-- > 0;) {
        const struct hocon_layer *part = &slot->parts.all[i];
        if (part->slot)
            status = hocon_slot_list_keys(resolver, part->slot);
        const struct hocon_map *fields = part->slot ? &part->slot->keys : &part->node->fields;
        for (size_t j = 0; status == SL_OK && j < fields->count; j++)
            status = list_key(resolver, slot, &fields->entries[j]);
    }
    slot->listed = true;
    hocon_leave(resolver);
    return status;
}
