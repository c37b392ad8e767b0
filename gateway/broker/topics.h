/* Topic handles of one producer, by name: bounded, one entry leaves for each that comes when it is full. The
 * caller locks: finding needs no more than a shared lock. */
#ifndef GW_BROKER_TOPICS_H
#define GW_BROKER_TOPICS_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

struct gw_topics;

/* As librdkafka has it; msg_opaque is what was given with the message. */
typedef int32_t (*gw_partitioner)(const rd_kafka_topic_t *topic, const void *key, size_t size, int32_t count,
                                  void *topic_opaque, void *msg_opaque);

/* NULL: memory is out. partitioner NULL: the producer's. */
struct gw_topics *gw_topics_create(size_t max, gw_partitioner partitioner);
void gw_topics_destroy(struct gw_topics *topics); /* NULL is allowed */
rd_kafka_topic_t *gw_topics_find(const struct gw_topics *topics, const char *name);
/* Finds it or makes it. NULL: librdkafka refused (rd_kafka_last_error), or memory is out. */
rd_kafka_topic_t *gw_topics_add(struct gw_topics *topics, rd_kafka_t *producer, const char *name);
void gw_topics_drop(struct gw_topics *topics, const char *name);
size_t gw_topics_count(const struct gw_topics *topics);

#endif
