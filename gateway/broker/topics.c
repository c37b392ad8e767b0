#include "gateway/broker/topics.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 512

struct entry {
    struct entry *next;
    uint64_t hash;
    rd_kafka_topic_t *handle;
    char name[];
};

struct gw_topics {
    struct entry *buckets[BUCKETS];
    gw_partitioner partitioner;
    size_t count, max;
    size_t hand; /* the bucket that gives up an entry next */
};

static uint64_t hash_of(const char *name) /* FNV-1a */
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}

struct gw_topics *gw_topics_create(size_t max, gw_partitioner partitioner)
{
    struct gw_topics *topics = calloc(1, sizeof *topics);
    if (topics) {
        topics->max = max;
        topics->partitioner = partitioner;
    }
    return topics;
}

static void drop_first(struct gw_topics *topics, struct entry **link)
{
    struct entry *gone = *link;
    *link = gone->next;
    topics->count--;
    /* Messages under way keep the topic itself. */
    rd_kafka_topic_destroy(gone->handle);
    free(gone);
}

void gw_topics_destroy(struct gw_topics *topics)
{
    if (!topics)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (topics->buckets[i])
            drop_first(topics, &topics->buckets[i]);
    free(topics);
}

static struct entry **find(const struct gw_topics *topics, uint64_t hash, const char *name)
{
    struct entry *const *link = &topics->buckets[hash % BUCKETS];
    while (*link && ((*link)->hash != hash || strcmp((*link)->name, name)))
        link = &(*link)->next;
    return (struct entry **)(uintptr_t)link;
}

rd_kafka_topic_t *gw_topics_find(const struct gw_topics *topics, const char *name)
{
    struct entry *entry = *find(topics, hash_of(name), name);
    return entry ? entry->handle : NULL;
}

static void make_room(struct gw_topics *topics)
{
    while (topics->count >= topics->max && topics->count) {
        struct entry **link = &topics->buckets[topics->hand++ % BUCKETS];
        if (*link)
            drop_first(topics, link);
    }
}

static rd_kafka_topic_t *make_handle(const struct gw_topics *topics, rd_kafka_t *producer, const char *name)
{
    rd_kafka_topic_conf_t *conf = rd_kafka_default_topic_conf_dup(producer);
    if (topics->partitioner)
        rd_kafka_topic_conf_set_partitioner_cb(conf, topics->partitioner);
    return rd_kafka_topic_new(producer, name, conf); /* takes the configuration, whatever comes of it */
}

rd_kafka_topic_t *gw_topics_add(struct gw_topics *topics, rd_kafka_t *producer, const char *name)
{
    uint64_t hash = hash_of(name);
    struct entry *found = *find(topics, hash, name);
    if (found)
        return found->handle;
    make_room(topics);
    size_t size = strlen(name) + 1;
    struct entry *entry = malloc(sizeof *entry + size);
    if (!entry)
        return NULL;
    entry->handle = make_handle(topics, producer, name);
    if (!entry->handle) {
        free(entry);
        return NULL;
    }
    memcpy(entry->name, name, size);
    entry->hash = hash;
    entry->next = topics->buckets[hash % BUCKETS];
    topics->buckets[hash % BUCKETS] = entry;
    topics->count++;
    return entry->handle;
}

void gw_topics_drop(struct gw_topics *topics, const char *name)
{
    struct entry **link = find(topics, hash_of(name), name);
    if (*link)
        drop_first(topics, link);
}

size_t gw_topics_count(const struct gw_topics *topics)
{
    return topics->count;
}
