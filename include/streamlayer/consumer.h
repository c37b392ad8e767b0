/*
 * A consumer reads messages of one stream layer, through the connector that the configuration names
 * (here.platform.data-client.stream.connector.consumer).
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

typedef struct sl_consumer sl_consumer;
typedef struct sl_consumer_options sl_consumer_options;
typedef struct sl_batch sl_batch;

/* Where a group without a committed offset begins. */
typedef enum sl_start { SL_START_DEFAULT = 0, SL_START_BEGIN, SL_START_END } sl_start;

/*
 * Options: what the program decides itself. Everything else is configuration.
 *   Ownership: the caller destroys them; strings are copied; sl_consumer_create copies.
 *   Errors: SL_OUT_OF_MEMORY, SL_INVALID_ARGUMENT.
 */
SL_API SL_MUST_CHECK sl_status sl_consumer_options_create(sl_consumer_options **options);
SL_API void sl_consumer_options_destroy(sl_consumer_options **options);
/* The group's name, 1 to 200 characters of A-Z a-z 0-9 . _ - : ; wins over stream.consumer.group. */
SL_API sl_status sl_consumer_options_set_group(sl_consumer_options *options, const char *group);
SL_API sl_status sl_consumer_options_set_connector(sl_consumer_options *options, const char *name);
SL_API sl_status sl_consumer_options_set_start(sl_consumer_options *options, sl_start start);
/* Auto commit, every interval_ms milliseconds: commits messages once a later poll, of whichever thread, shows
 * that the application is done with them; so threads that share a consumer and process side by side commit
 * by hand. Off, nothing is committed but by sl_consumer_commit*. */
SL_API sl_status sl_consumer_options_set_auto_commit(sl_consumer_options *options, bool on, int interval_ms);

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
 * and not yet polled are dropped; commits are not changed. Errors: SL_INVALID_ARGUMENT (a partition that is
 * not this consumer's), SL_UNAVAILABLE, SL_UNSUPPORTED (seek_to on a platform without our extensions).
 */
SL_API sl_status sl_consumer_seek(sl_consumer *consumer, const sl_offset *offsets, size_t count,
                                  sl_error *error);
/* To the begin or the end of all this consumer's partitions. */
SL_API sl_status sl_consumer_seek_to(sl_consumer *consumer, sl_start where, sl_error *error);

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
