#include "hocon/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined __SANITIZE_ADDRESS__ || __has_feature(address_sanitizer)
#define FIRST_BLOCK 0 /* every allocation a block of its own, so that the sanitizer sees its ends */
#define LAST_BLOCK  0
#else
#define FIRST_BLOCK ((size_t)4096)
#define LAST_BLOCK  ((size_t)1 << 20)
#endif

struct hocon_block {
    struct hocon_block *older;
    size_t size;
    max_align_t data[];
};

static bool add_block(struct hocon_arena *arena, size_t needed)
{
    size_t size = arena->blocks ? arena->blocks->size * 2 : FIRST_BLOCK;
    if (size > LAST_BLOCK)
        size = LAST_BLOCK;
    if (size < needed)
        size = needed;
    struct hocon_block *block = malloc(sizeof *block + size);
    if (!block)
        return false;
    block->older = arena->blocks;
    block->size = size;
    arena->blocks = block;
    arena->next = (char *)block->data;
    arena->left = size;
    return true;
}

void *hocon_arena_alloc(struct hocon_arena *arena, size_t size)
{
    size_t unit = _Alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t rounded = size ? (size + unit - 1) / unit * unit : unit;
    if (FIRST_BLOCK == 0)
        rounded = size ? size : 1;
    if ((FIRST_BLOCK == 0 || rounded > arena->left) && !add_block(arena, rounded))
        return NULL;
    void *memory = arena->next;
    arena->next += rounded;
    arena->left -= rounded;
    memset(memory, 0, size);
    return memory;
}

void *hocon_arena_array(struct hocon_arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return hocon_arena_alloc(arena, total);
}

char *hocon_arena_text(struct hocon_arena *arena, const char *text, size_t size)
{
    char *copy = hocon_arena_alloc(arena, size + 1);
    if (copy && size)
        memcpy(copy, text, size);
    return copy;
}

void *hocon_arena_extend(struct hocon_arena *arena, void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    size_t larger = *capacity ? *capacity * 2 : 4;
    void *moved = hocon_arena_array(arena, larger, size);
    if (!moved)
        return NULL;
    if (count)
        memcpy(moved, array, count * size);
    *capacity = larger;
    return moved;
}

void hocon_arena_free(struct hocon_arena *arena)
{
    while (arena->blocks) {
        struct hocon_block *older = arena->blocks->older;
        free(arena->blocks);
        arena->blocks = older;
    }
    memset(arena, 0, sizeof *arena);
}
