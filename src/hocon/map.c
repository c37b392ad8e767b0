#include "hocon/map.h"

#include <stdbool.h>
#include <string.h>

enum { SMALL = 8 }; /* entries that are quicker compared than hashed */

static uint32_t hash_of(const char *key, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)key[i]) * 0x100000001b3u;
    return (uint32_t)(hash ^ hash >> 32);
}

static bool same(const struct hocon_entry *entry, const char *key, size_t size, uint32_t hash)
{
    return entry->hash == hash && entry->size == size && memcmp(entry->key, key, size) == 0;
}

struct hocon_entry *hocon_map_find(const struct hocon_map *map, const char *key, size_t size)
{
    uint32_t hash = hash_of(key, size);
    if (!map->buckets) {
        for (size_t i = 0; i < map->count; i++)
            if (same(&map->entries[i], key, size, hash))
                return &map->entries[i];
        return NULL;
    }
    for (size_t at = hash & (map->bucket_count - 1); map->buckets[at];
         at = (at + 1) & (map->bucket_count - 1)) {
        struct hocon_entry *entry = &map->entries[map->buckets[at] - 1];
        if (same(entry, key, size, hash))
            return entry;
    }
    return NULL;
}

static void place(uint32_t *buckets, size_t bucket_count, uint32_t hash, size_t number)
{
    size_t at = hash & (bucket_count - 1);
    while (buckets[at])
        at = (at + 1) & (bucket_count - 1);
    buckets[at] = (uint32_t)number + 1;
}

static bool rehash(struct hocon_map *map, struct hocon_arena *arena)
{
    size_t larger = map->bucket_count ? map->bucket_count * 2 : (size_t)SMALL * 4;
    uint32_t *buckets = hocon_arena_array(arena, larger, sizeof *buckets);
    if (!buckets)
        return false;
    for (size_t i = 0; i < map->count; i++)
        place(buckets, larger, map->entries[i].hash, i);
    map->buckets = buckets;
    map->bucket_count = larger;
    return true;
}

struct hocon_entry *hocon_map_add(struct hocon_map *map, struct hocon_arena *arena, const char *key,
                                  size_t size, void *value)
{
    if (map->count >= UINT32_MAX - 1)
        return NULL;
    struct hocon_entry *entries =
        hocon_arena_extend(arena, map->entries, map->count, &map->capacity, sizeof *entries);
    if (!entries)
        return NULL;
    map->entries = entries;
    if (map->count >= SMALL && map->count * 2 >= map->bucket_count && !rehash(map, arena))
        return NULL;
    struct hocon_entry *entry = &entries[map->count];
    *entry = (struct hocon_entry){.key = key, .size = size, .hash = hash_of(key, size), .value = value};
    if (map->buckets)
        place(map->buckets, map->bucket_count, entry->hash, map->count);
    map->count++;
    return entry;
}
