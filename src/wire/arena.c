#include "wire/record.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CHUNK = 2048, LAST_CHUNK = 65536 };

/* Chunks are filled from their front; what does not fit goes to a new one. */
struct chunk {
    struct chunk *next;
    size_t size, used;
    _Alignas(max_align_t) char bytes[];
};

struct sl_arena {
    struct chunk *chunks; /* the one being filled is first */
};

struct sl_arena *sl_arena_create(void)
{
    return calloc(1, sizeof(struct sl_arena));
}

void sl_arena_destroy(struct sl_arena *arena)
{
    if (!arena)
        return;
    while (arena->chunks) {
        struct chunk *gone = arena->chunks;
        arena->chunks = gone->next;
        free(gone);
    }
    free(arena);
}

static void *take(struct sl_arena *arena, size_t size, size_t alignment)
{
    struct chunk *chunk = arena->chunks;
    if (chunk) {
        size_t start = (chunk->used + alignment - 1) & ~(alignment - 1);
        if (start <= chunk->size && size <= chunk->size - start) {
            chunk->used = start + size;
            return chunk->bytes + start;
        }
    }
    size_t room = chunk ? chunk->size * 2 : FIRST_CHUNK;
    if (room > LAST_CHUNK)
        room = LAST_CHUNK;
    if (room < size)
        room = size;
    if (room > SIZE_MAX - sizeof *chunk)
        return NULL;
    struct chunk *fresh = malloc(sizeof *fresh + room);
    if (!fresh)
        return NULL;
    fresh->size = room;
    fresh->used = size;
    fresh->next = chunk;
    arena->chunks = fresh;
    return fresh->bytes;
}

void *sl_arena_alloc(struct sl_arena *arena, size_t size)
{
    return take(arena, size, _Alignof(max_align_t));
}

char *sl_arena_copy(struct sl_arena *arena, const void *text, size_t size)
{
    char *copy = size < SIZE_MAX ? take(arena, size + 1, 1) : NULL;
    if (!copy)
        return NULL;
    if (size)
        memcpy(copy, text, size);
    copy[size] = 0;
    return copy;
}
