/* Keys in the order of their arrival, found by hashing. The memory is an arena's. */
#ifndef SL_HOCON_MAP_H
#define SL_HOCON_MAP_H

#include "hocon/arena.h"
#include <stdint.h>

struct hocon_entry {
    const char *key; /* NUL-terminated too */
    size_t size;
    uint32_t hash;
    void *value;
};

struct hocon_map {
    struct hocon_entry *entries;
    size_t count, capacity;
    uint32_t *buckets; /* entry numbers + 1; none while the map is small */
    size_t bucket_count;
};

/* NULL: not there. */
struct hocon_entry *hocon_map_find(const struct hocon_map *map, const char *key, size_t size);
/* Adds a key that is not there yet; the key's text must outlive the map. NULL: no memory. Entries move. */
struct hocon_entry *hocon_map_add(struct hocon_map *map, struct hocon_arena *arena, const char *key,
                                  size_t size, void *value);

#endif
