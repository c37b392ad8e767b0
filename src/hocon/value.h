/* Resolved values: immutable, and shared where a substitution refers to one. */
#ifndef SL_HOCON_VALUE_H
#define SL_HOCON_VALUE_H

#include "hocon/hocon.h"
#include "hocon/map.h"

struct hocon_value {
    enum hocon_type type;
    unsigned depth; /* of values within it */
    size_t weight;  /* how many values it is made of, itself included, shared ones counted each time */
    const char *origin;
    unsigned column; /* in origin's line, from 1; 0: it is known as a whole */
    union {
        struct {
            const char *text;
            size_t size;
        } scalar;
        struct {
            const struct hocon_value **items;
            size_t count, capacity;
        } list;
        struct {
            struct hocon_map fields;           /* of const struct hocon_value */
            const struct hocon_value *as_list; /* the fields with numbers for keys; NULL: there are none */
        } object;
    };
};

#endif
