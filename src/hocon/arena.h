/* Memory that is given back all at once: a document's, or a resolution's. */
#ifndef SL_HOCON_ARENA_H
#define SL_HOCON_ARENA_H

#include <stddef.h>

struct hocon_block;
struct hocon_arena {
    struct hocon_block *blocks; /* the newest first */
    char *next;                 /* free bytes of the newest */
    size_t left;
};

/* Zeroed memory, aligned for any type; NULL when there is none, or count * size overflows. */
void *hocon_arena_array(struct hocon_arena *arena, size_t count, size_t size);
void *hocon_arena_alloc(struct hocon_arena *arena, size_t size);
/* A copy with a NUL behind it. */
char *hocon_arena_text(struct hocon_arena *arena, const char *text, size_t size);
/* Room for one more element in an array of count elements: returns the array, moved to twice the capacity
 * when it was full. NULL: no memory, and the old array is as it was. */
void *hocon_arena_extend(struct hocon_arena *arena, void *array, size_t count, size_t *capacity, size_t size);
void hocon_arena_free(struct hocon_arena *arena);

#endif
