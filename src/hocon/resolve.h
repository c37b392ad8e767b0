/*
 * Resolving. A slot is a place in the tree of the whole configuration: a field, an element, or the target of
 * a substitution. It has layers, low to high: nodes that were written for it, and other slots that
 * substitutions put there. Slots are made only as far as somebody looks.
 *
 * Flattening a slot finds what it is (its kind) and what it is made of (its parts), following substitutions,
 * but looks at no value inside it: that is why an object may refer to its own fields. While a layer's
 * substitutions are followed, whoever arrives at the slot again sees only the layers below that one: looking
 * back, as the specification asks of self-references. The same holds for substitutions deeper inside that
 * layer when it is a concatenation, and inside what was found by looking back: their layers carry a context.
 */
#ifndef SL_HOCON_RESOLVE_H
#define SL_HOCON_RESOLVE_H

#include "hocon/node.h"
#include "hocon/value.h"

enum hocon_kind { HOCON_UNDEFINED, HOCON_TEXT, HOCON_ITEMS, HOCON_FIELDS };

/* Where a layer was put together: whoever follows its substitutions and arrives at slot sees only the layers
 * below number. */
struct hocon_context {
    struct hocon_slot *slot;
    size_t number;
    const struct hocon_context *outer;
};

struct hocon_layer {
    const struct hocon_node *node;      /* or */
    struct hocon_slot *slot;            /* that a substitution leads to */
    const struct hocon_node *reference; /* which substitution */
    const struct hocon_context *context;
};

struct hocon_layers {
    struct hocon_layer *all;
    size_t count, capacity;
};

struct hocon_slot {
    const struct hocon_layer *layers; /* low to high */
    size_t count;
    struct hocon_slot *parent; /* the object or list that it lies in */
    struct hocon_slot *whole;  /* whose lower layers these are; itself when they are all */
    struct hocon_slot **lower; /* of the whole: the slot with its lowest layers, by their number */
    size_t expanding;          /* the layer whose substitutions are being followed, + 1; 0: none */
    bool flat;                 /* what follows is known */
    bool unsure;               /* it is undefined for those who look back; others have to look again */
    enum hocon_kind kind;
    struct hocon_layers parts;
    bool joined;     /* parts are the pieces of one text or list, in order; otherwise highest first */
    size_t definite; /* the layer that parts are of, for texts and lists */
    struct hocon_map children;
    struct hocon_map keys; /* of an object, in order */
    bool listed;           /* keys is filled */
    bool evaluating, evaluated;
    struct hocon_value *value; /* NULL after evaluation: undefined */
};

struct hocon_resolver {
    struct hocon_arena scratch; /* for slots */
    struct hocon *resolved;     /* for values */
    struct hocon_slot *root;
    struct hocon_limits limits;
    bool use_environment;
    bool looked_back;  /* the substitution now followed met itself */
    size_t lost;       /* how often looking back found nothing */
    size_t flattening; /* slots that are being flattened */
    unsigned depth;    /* of the C stack */
    size_t budget;     /* slots, layers, keys and values that may be made yet */
    size_t text_budget;
    size_t most_weight;
    const struct hocon_place *place; /* of what was looked at last: for errors that have no other place */
    struct hocon_place last_place;
    const char *last_origin;
    sl_error *error;
};

/* Guards recursion: enter before, leave after. */
sl_status hocon_enter(struct hocon_resolver *resolver, const struct hocon_place *place);
void hocon_leave(struct hocon_resolver *resolver);
/* Takes count from the budget. */
sl_status hocon_spend(struct hocon_resolver *resolver, size_t count);

/* layers: they must live as long as the slot. NULL: error set. */
sl_status hocon_slot_new(struct hocon_resolver *resolver, const struct hocon_layer *layers, size_t count,
                         struct hocon_slot **slot);
/* A slot for a stack of nodes inside parent. */
sl_status hocon_slot_of(struct hocon_resolver *resolver, struct hocon_slot *parent,
                        const struct hocon_node *stack, const struct hocon_context *context,
                        struct hocon_slot **slot);
/* *inner: outer, and in the slot's layer of that number; outer itself when there is nothing below to see. */
sl_status hocon_context_new(struct hocon_resolver *resolver, struct hocon_slot *slot, size_t number,
                            const struct hocon_context *outer, const struct hocon_context **inner);
sl_status hocon_flatten(struct hocon_resolver *resolver, struct hocon_slot *slot);
/* Of a flat object; *child NULL: no such key. */
sl_status hocon_slot_child(struct hocon_resolver *resolver, struct hocon_slot *slot, const char *key,
                           size_t size, struct hocon_slot **child);
/* *target: what the environment has for a path, flat; stays NULL when it has nothing. As a list: what the
 * variables PATH_0, PATH_1, ... have. */
sl_status hocon_look_in_environment(struct hocon_resolver *resolver, const struct hocon_path *path, bool list,
                                    struct hocon_slot **target);
/* Fills keys of a flat object. */
sl_status hocon_slot_list_keys(struct hocon_resolver *resolver, struct hocon_slot *slot);

/* The slot's value; *value NULL: undefined. */
sl_status hocon_evaluate(struct hocon_resolver *resolver, struct hocon_slot *slot,
                         struct hocon_value **value);

/* Whether key is a whole number that can be a list's index. */
bool hocon_key_number(const char *key, size_t size, size_t *number);

#endif
