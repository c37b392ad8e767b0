/*
 * The unresolved document: a tree of nodes as they were written, merged as far as it can be without knowing
 * what substitutions mean.
 *
 * A place in the tree (a field, the root) holds a stack of nodes: the newest on top, each linked to the one
 * below it. What is surely hidden is dropped from the stack; what a substitution may still look back to, or
 * merge with, stays. Objects that lie directly on one another are merged at once.
 */
#ifndef SL_HOCON_NODE_H
#define SL_HOCON_NODE_H

#include "hocon/arena.h"
#include "hocon/hocon.h"
#include "hocon/map.h"

enum hocon_node_type {
    NODE_NULL = HOCON_NULL,
    NODE_BOOLEAN = HOCON_BOOLEAN,
    NODE_NUMBER = HOCON_NUMBER,
    NODE_STRING = HOCON_STRING,
    NODE_LIST = HOCON_LIST,
    NODE_OBJECT = HOCON_OBJECT,
    NODE_BLANK,     /* white space between the pieces of a concatenation */
    NODE_REFERENCE, /* ${path} or ${?path} */
    NODE_SELF,      /* the value below, if any: the first piece that += stands for */
    NODE_CONCAT     /* pieces of which at least one is a NODE_REFERENCE or NODE_SELF */
};

struct hocon_place {
    const char *file;
    unsigned line, column; /* from 1; 0: the file's name says all */
};

struct hocon_key {
    const char *text;
    size_t size;
};

struct hocon_path {
    struct hocon_key *keys;
    size_t count;
};

struct hocon_node {
    enum hocon_node_type type;
    bool open; /* there is a substitution in it */
    struct hocon_place place;
    struct hocon_node *below;
    union {
        struct {
            const char *text;
            size_t size;
        } scalar; /* NODE_BLANK too */
        struct {
            struct hocon_node **nodes;
            size_t count, capacity;
        } list;                  /* NODE_CONCAT too */
        struct hocon_map fields; /* values are the stacks' tops */
        struct {
            struct hocon_path path;
            size_t prefix; /* how many keys come from where the file was included */
            bool optional;
            bool list; /* ${path[]}: in the environment, a variable for each element */
        } reference;
    };
};

struct hocon {
    struct hocon_arena arena;
    struct hocon_node *root;   /* of an unresolved document */
    size_t nodes;              /* how many were made for it */
    const char *last_file;     /* the newest name of a file that a copy made */
    struct hocon_value *value; /* of a resolved one */
};

struct hocon *hocon_new(void);

/* NULL: no memory. */
struct hocon_node *hocon_node_new(struct hocon *document, enum hocon_node_type type,
                                  const struct hocon_place *place);
struct hocon_node *hocon_node_text(struct hocon *document, enum hocon_node_type type,
                                   const struct hocon_place *place, const char *text, size_t size);
bool hocon_node_add(struct hocon *document, struct hocon_node *list, struct hocon_node *item);

/* Puts node on the stack *top. Both are used up, whatever is returned. false: no memory. */
bool hocon_node_push(struct hocon *document, struct hocon_node **top, struct hocon_node *node);
/* The same for a whole stack. */
bool hocon_node_push_all(struct hocon *document, struct hocon_node **top, struct hocon_node *stack);
/* Puts node at path inside object, through objects that it makes as needed. */
bool hocon_node_set(struct hocon *document, struct hocon_node *object, const struct hocon_path *path,
                    struct hocon_node *node);
/* Merges from's fields over into's. */
bool hocon_node_merge(struct hocon *document, struct hocon_node *into, const struct hocon_node *from);
/* A deep copy of a whole stack into document. */
bool hocon_node_copy(struct hocon *document, const struct hocon_node *stack, struct hocon_node **copy);

/* "FILE:LINE:COLUMN: …", SL_BAD_CONFIG. */
sl_status hocon_fail(sl_error *error, const struct hocon_place *place, const char *format, ...)
    SL_PRINTF(3, 4);

/* The limits with defaults filled in, and none beyond what recursion can bear. */
struct hocon_limits hocon_limits_of(const struct hocon_limits *limits);

#endif
