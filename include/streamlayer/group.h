/*
 * Consumer groups of a layer, and how much goes through it: for those who look after a stream. Needs our
 * extensions on the platform.
 *
 * Only the application's own groups are seen: those under its consumerGroupPrefix that have committed on the
 * layer or have members that read it. Names are without the prefix.
 *
 *   Errors of every call: SL_UNSUPPORTED (a platform without our extensions), SL_INVALID_ARGUMENT,
 *   SL_NOT_FOUND, SL_UNAUTHENTICATED, SL_FORBIDDEN, SL_UNAVAILABLE, SL_TIMED_OUT, SL_PROTOCOL,
 *   SL_OUT_OF_MEMORY.
 *   Threads: any; one returned object is used by one thread at a time.
 */
#ifndef STREAMLAYER_GROUP_H
#define STREAMLAYER_GROUP_H

#include <stddef.h>
#include <stdint.h>
#include <streamlayer/client.h>

SL_BEGIN_DECLS

typedef struct sl_group_list sl_group_list; /* the groups of a layer */
typedef struct sl_group sl_group;           /* one of them */

/* The groups of a layer, in the order of their names. Released with sl_group_list_destroy. */
SL_API SL_MUST_CHECK sl_status sl_group_list_get(sl_client *client, const char *hrn, const char *layer,
                                                 sl_group_list **list, sl_error *error);
/* One group: its members, and where it stands in each Kafka partition. group NULL: the default group.
 * Released with sl_group_destroy. */
SL_API SL_MUST_CHECK sl_status sl_group_get(sl_client *client, const char *hrn, const char *layer,
                                            const char *group, sl_group **described, sl_error *error);

/* Where to reset a group to. */
typedef enum sl_reset {
    SL_RESET_BEGIN, /* the oldest message that is left */
    SL_RESET_END,   /* the next that is written */
    SL_RESET_TIME,  /* the first message at or after a time */
    SL_RESET_OFFSET /* an offset, the same in each partition */
} sl_reset;

/* What to reset. */
typedef struct sl_reset_spec {
    size_t struct_size; /* sizeof(sl_reset_spec): lets the struct grow */
    sl_reset to;        /* where to */
    int64_t value;      /* SL_RESET_TIME: milliseconds since 1970-01-01 UTC; SL_RESET_OFFSET: the next message
                         * wanted */
    const int32_t *partitions; /* count of them */
    size_t count;              /* 0: all of the layer's */
    bool dry_run;              /* say what would be, change nothing */
} sl_reset_spec;

/*
 * Moves a group that has no members. *changed (may be NULL) is the group as it is then, or would be:
 * sl_group_partition's committed is the new offset, before the old one. An offset outside what the layer has
 * becomes its begin or end.
 *   Errors: SL_CONFLICT (the group has members: stop them first).
 */
SL_API sl_status sl_group_reset(sl_client *client, const char *hrn, const char *layer, const char *group,
                                const sl_reset_spec *spec, sl_group **changed, sl_error *error);

/* Release, and set the pointer to NULL; NULL is allowed. */
SL_API void sl_group_list_destroy(sl_group_list **list);
SL_API void sl_group_destroy(sl_group **group);

/* How many groups there are. */
SL_API size_t sl_group_list_count(const sl_group_list *list);
/* The group at index, without members and partitions; the list's own. NULL when there is none. */
SL_API const sl_group *sl_group_list_at(const sl_group_list *list, size_t index);

SL_API const char *sl_group_name(const sl_group *group);       /* without the prefix */
SL_API const char *sl_group_kafka_name(const sl_group *group); /* as Kafka has it */
SL_API const char *sl_group_state(const sl_group *group);      /* Kafka's: "Stable", "Empty", "Dead", … */
/* How many members it has. */
SL_API size_t sl_group_member_count(const sl_group *group);

/* A member of a group. */
typedef struct sl_group_member {
    size_t struct_size;        /* sizeof(sl_group_member), set by the caller */
    const char *member_id;     /* Kafka's */
    const char *client_id;     /* the member's own */
    const char *host;          /* where Kafka sees it */
    const int32_t *partitions; /* of this layer, partition_count of them */
    size_t partition_count;    /* how many */
} sl_group_member;
/* false when there is none; what it points to is the group's. */
SL_API bool sl_group_member_at(const sl_group *group, size_t index, sl_group_member *member);

/* Where a group stands in one Kafka partition. Offsets are those of a next message. */
typedef struct sl_group_partition {
    size_t struct_size; /* sizeof(sl_group_partition), set by the caller */
    int32_t partition;  /* its number */
    int64_t begin;      /* the oldest message that is left */
    int64_t end;        /* the next that is written */
    int64_t committed;  /* the next message of the group; -1: none committed */
    int64_t before;     /* after sl_group_reset: what committed was; else -1 */
    int64_t lag;        /* end - committed, or end - begin without one */
} sl_group_partition;
/* How many partitions there are, and the one at index (from 0); false when there is none. */
SL_API size_t sl_group_partition_count(const sl_group *group);
SL_API bool sl_group_partition_at(const sl_group *group, size_t index, sl_group_partition *partition);

/* The platform's answer as JSON text, the object's own. */
SL_API const char *sl_group_json(const sl_group *group);
SL_API const char *sl_group_list_json(const sl_group_list *list);

/* What a layer has and what goes through it. Bytes are payload, and count only what goes through the gateway
 * that answered, since it started; messages are Kafka's, whoever wrote them. */
typedef struct sl_layer_statistics {
    size_t struct_size;           /* sizeof(sl_layer_statistics), set by the caller */
    int64_t time_ms;              /* when the platform looked; milliseconds since 1970-01-01 UTC */
    int32_t partitions;           /* how many */
    int64_t messages;             /* that the layer holds now: the sum of end - begin */
    int64_t written;              /* that it was ever given: the sum of ends */
    int64_t gateway_messages_in;  /* written through the gateway */
    int64_t gateway_bytes_in;     /* their payload */
    int64_t gateway_messages_out; /* read through the gateway */
    int64_t gateway_bytes_out;    /* their payload */
} sl_layer_statistics;
SL_API SL_MUST_CHECK sl_status sl_layer_statistics_get(sl_client *client, const char *hrn, const char *layer,
                                                       sl_layer_statistics *statistics, sl_error *error);

SL_END_DECLS

#endif
