/*
 * A consumer reads messages of one stream layer, through the connector that the configuration names
 * (here.platform.data-client.stream.connector.consumer, for single layers stream.layers).
 *
 * Delivery is at least once: what was received and not committed when a consumer goes is delivered again
 * to its group. Consumers of one group share the layer's messages. The group is the one that the
 * application names; without a name it is made from the credentials, the catalog's HRN and the layer's id,
 * so two applications with the same credentials share messages unless one names a group of its own.
 *
 * Threads: every function may be called from any thread, but close only once and last. Polls of one consumer
 * run one after another.
 */
#ifndef STREAMLAYER_CONSUMER_H
#define STREAMLAYER_CONSUMER_H

#include <streamlayer/client.h>
#include <streamlayer/message.h>

SL_BEGIN_DECLS

typedef struct sl_consumer sl_consumer;                 /* reads one layer */
typedef struct sl_consumer_options sl_consumer_options; /* what the program decides of it */
typedef struct sl_batch sl_batch;                       /* the messages of one poll */

/* Where a group without a committed offset begins. */
typedef enum sl_start {
    SL_START_DEFAULT = 0, /* as stream.consumer.start says */
    SL_START_BEGIN,       /* at the oldest message that is left */
    SL_START_END          /* at the next that is written */
} sl_start;

/*
 * Options: what the program decides itself. Everything else is configuration.
 *   Ownership: the caller destroys them; strings are copied; sl_consumer_create copies.
 *   Errors: SL_OUT_OF_MEMORY, SL_INVALID_ARGUMENT.
 */
SL_API SL_MUST_CHECK sl_status sl_consumer_options_create(sl_consumer_options **options);
SL_API void sl_consumer_options_destroy(sl_consumer_options **options);
/* The group's name, 1 to 200 characters of A-Z a-z 0-9 . _ - : ; wins over stream.consumer.group. */
SL_API sl_status sl_consumer_options_set_group(sl_consumer_options *options, const char *group);
/* "kafka-connector" or "http-connector": wins over the configuration. */
SL_API sl_status sl_consumer_options_set_connector(sl_consumer_options *options, const char *name);
/* Where a group without a committed offset begins: wins over stream.consumer.start. */
SL_API sl_status sl_consumer_options_set_start(sl_consumer_options *options, sl_start start);
/* Auto commit, every interval_ms milliseconds: commits messages once a later poll, of whichever thread, shows
 * that the application is done with them; so threads that share a consumer and process side by side commit
 * by hand. Off, nothing is committed but by sl_consumer_commit*. */
SL_API sl_status sl_consumer_options_set_auto_commit(sl_consumer_options *options, bool on, int interval_ms);

/* Payloads that lie in blobs: true, polls fetch them (a message's payload is then there as any other); false,
 * the message has its data handle only, and sl_consumer_resolve fetches it. Wins over
 * stream.consumer.resolve. */
SL_API sl_status sl_consumer_options_set_resolve(sl_consumer_options *options, bool on);
/* Payloads of layers whose content encoding is gzip: true, they are inflated (to at most
 * stream.consumer.max-inflated; what is over that, or is no gzip, comes as it was sent: sl_message_compressed
 * tells); false, all come as they were sent. Wins over stream.consumer.inflate. */
SL_API sl_status sl_consumer_options_set_inflate(sl_consumer_options *options, bool on);

/* What happened to this consumer's share of the layer. */
typedef enum sl_rebalance {
    SL_ASSIGNED, /* these Kafka partitions are its own now: all that it has */
    SL_REVOKED,  /* these are about to go to another member: what is done of them may still be committed */
    SL_LOST      /* these are with another member already: a commit of them is refused */
} sl_rebalance;

/*
 * Told of each change of the share. Auto commit has committed before SL_REVOKED comes. Over HTTP partitions
 * go as SL_LOST, since the gateway's member has given them up by the time that the consumer hears of it; only
 * closing gives SL_REVOKED, as over Kafka.
 *   Ownership: partitions ends with the call.
 *   Threads: the thread that creates, polls or closes the consumer, from within that call. It may commit and
 *   nothing else of this consumer's.
 */
typedef void (*sl_rebalance_callback)(void *opaque, sl_rebalance what, const int32_t *partitions,
                                      size_t count);
/* Who is told of changes of the share; callback NULL: nobody. */
SL_API sl_status sl_consumer_options_set_rebalance(sl_consumer_options *options,
                                                   sl_rebalance_callback callback, void *opaque);

/* Statistics every interval_ms milliseconds (100 or more; callback NULL: none), as sl_consumer_statistics
 * gives them. Called on a thread of the library's; it must not close the consumer. */
SL_API sl_status sl_consumer_options_set_statistics(sl_consumer_options *options, int interval_ms,
                                                    sl_statistics_callback callback, void *opaque);

/*
 * Opens a consumer: joins the group and fixes the start positions, so that a message written after this
 * returns is seen even when starting at the end.
 *   Ownership: options may be NULL; the caller closes the consumer.
 *   Errors: as sl_producer_create.
 */
SL_API SL_MUST_CHECK sl_status sl_consumer_create(sl_client *client, const char *hrn, const char *layer,
                                                  const sl_consumer_options *options, sl_consumer **consumer,
                                                  sl_error *error);

/*
 * Receives up to max_messages (0: as many as there are, within stream.consumer.poll.max-bytes). Waits up to
 * timeout_ms for the first (0: not at all, -1: for ever) and does not wait for more.
 *   Ownership: *batch is the caller's and destroyed by sl_batch_destroy, before or after the consumer is
 *   closed. It is NULL when the time passed without a message: that is no error.
 *   Errors: SL_CLOSED, SL_UNAVAILABLE, SL_FORBIDDEN, SL_KAFKA, SL_PROTOCOL, SL_OUT_OF_MEMORY; see retriable
 *   and fatal.
 */
SL_API SL_MUST_CHECK sl_status sl_consumer_poll(sl_consumer *consumer, int timeout_ms, size_t max_messages,
                                                sl_batch **batch, sl_error *error);

/* How many messages a batch has. */
SL_API size_t sl_batch_count(const sl_batch *batch);
/* The message at index (from 0), the batch's own; NULL when there is none. Within a Kafka partition offsets
 * ascend. */
SL_API const sl_message *sl_batch_message(const sl_batch *batch, size_t index);
/* Releases a batch with its messages and sets the pointer to NULL; *batch may be NULL. */
SL_API void sl_batch_destroy(sl_batch **batch);

/*
 * Commits, and returns when the platform has it: all messages of a batch, or those up to and including the
 * given offsets (the offset of the last processed message of each partition, as sl_message_offset gives it).
 *   Errors: SL_UNAVAILABLE, SL_TIMED_OUT, SL_INVALID_ARGUMENT, SL_KAFKA (the group has moved the partition to
 *   another member: its messages come again there).
 */
SL_API sl_status sl_consumer_commit(sl_consumer *consumer, const sl_batch *batch, sl_error *error);
SL_API sl_status sl_consumer_commit_offsets(sl_consumer *consumer, const sl_offset *offsets, size_t count,
                                            sl_error *error);

/*
 * Goes on from elsewhere: each offset is the next message wanted of its Kafka partition. Messages received
 * and not yet polled are dropped; commits are not changed. An offset that the layer does not have, before its
 * begin or behind its end, becomes its begin or end, whichever the consumer starts at without a position
 * (stream.consumer.start). Errors: SL_INVALID_ARGUMENT (a partition that is
 * not this consumer's), SL_UNAVAILABLE, SL_UNSUPPORTED (seek_to on a platform without our extensions).
 */
SL_API sl_status sl_consumer_seek(sl_consumer *consumer, const sl_offset *offsets, size_t count,
                                  sl_error *error);
/* To the first message, in each of this consumer's partitions, whose timestamp is at or after timestamp_ms
 * (milliseconds since 1970-01-01 UTC); where there is none, to the end. */
SL_API sl_status sl_consumer_seek_time(sl_consumer *consumer, int64_t timestamp_ms, sl_error *error);
/* To the begin or the end of all this consumer's partitions. */
SL_API sl_status sl_consumer_seek_to(sl_consumer *consumer, sl_start where, sl_error *error);

/*
 * Stops and goes on handing out messages of these Kafka partitions (count 0: of all of the layer's). A paused
 * consumer stays in its group; what it fetched before and did not hand out comes after the resume. A pause is
 * the consumer's wish and outlasts rebalances: a partition that comes back is still paused.
 *   Errors: SL_INVALID_ARGUMENT, SL_UNAVAILABLE, SL_UNSUPPORTED (a platform without our extensions).
 */
SL_API sl_status sl_consumer_pause(sl_consumer *consumer, const int32_t *partitions, size_t count,
                                   sl_error *error);
SL_API sl_status sl_consumer_resume(sl_consumer *consumer, const int32_t *partitions, size_t count,
                                    sl_error *error);

/* One Kafka partition of a consumer's share. Offsets are those of a next message; -1: not known, or none. */
typedef struct sl_partition_position {
    int32_t partition; /* its number */
    bool paused;       /* by sl_consumer_pause */
    int64_t begin;     /* the oldest message that is left */
    int64_t end;       /* the next one that will be written */
    int64_t position;  /* the next one that a poll returns */
    int64_t committed; /* where the group goes on if this consumer is gone */
    int64_t lag;       /* end - position: messages not yet polled */
} sl_partition_position;

/*
 * Where the consumer stands, asked of the platform now. Fills list with up to capacity elements, in ascending
 * order of partitions; *count is how many there are, which may be more.
 *   Errors: SL_UNAVAILABLE, SL_TIMED_OUT, SL_UNSUPPORTED (a platform without our extensions), …
 */
SL_API sl_status sl_consumer_positions(sl_consumer *consumer, sl_partition_position *list, size_t capacity,
                                       size_t *count, sl_error *error);

/*
 * The payload of a message whose payload lies in a blob (sl_message_data_handle), fetched now. May be called
 * while others poll.
 *   Ownership: *data is NUL-terminated behind its *size bytes and released with sl_free.
 *   Errors: SL_NOT_FOUND (the blob is gone), SL_CHECKSUM_MISMATCH, SL_INVALID_ARGUMENT (no data handle),
 *   SL_TOO_LARGE (over stream.blob.max-size, or inflated over stream.consumer.max-inflated), SL_PROTOCOL (to
 *   be inflated, and no gzip), SL_UNAVAILABLE, SL_FORBIDDEN, SL_OUT_OF_MEMORY.
 */
SL_API SL_MUST_CHECK sl_status sl_consumer_resolve(sl_consumer *consumer, const sl_message *message,
                                                   void **data, size_t *size, sl_error *error);

/*
 * What the consumer has done so far, as a JSON object; docs/statistics.md lists its fields.
 *   Ownership: *json is NUL-terminated and released with sl_free.   Errors: SL_OUT_OF_MEMORY.
 */
SL_API SL_MUST_CHECK sl_status sl_consumer_statistics(const sl_consumer *consumer, char **json,
                                                      sl_error *error);

/* The connector in use. Static text. */
SL_API const char *sl_consumer_connector(const sl_consumer *consumer);
/* The group's name in Kafka, as kcat and kafka-consumer-groups show it; the consumer's own text. NULL where
 * the platform does not say. */
SL_API const char *sl_consumer_group(const sl_consumer *consumer);

/*
 * Leaves the group at once, releases the consumer and sets the pointer to NULL; *consumer may be NULL.
 * Commits first only under auto commit, and then only what a later poll has shown as processed: the last
 * batch polled is not among it, so commit that one by hand if it is done with. Errors: SL_UNAVAILABLE,
 * SL_TIMED_OUT (the commit or the leaving failed); the consumer is gone all the same.
 */
SL_API sl_status sl_consumer_close(sl_consumer **consumer, sl_error *error);

SL_END_DECLS

#endif
