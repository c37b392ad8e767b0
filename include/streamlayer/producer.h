/*
 * A producer writes messages to one stream layer, through the connector that the configuration names
 * (here.platform.data-client.stream.connector.producer, for single layers stream.layers).
 *
 * Sending is asynchronous. Every message that sl_producer_send accepted is reported exactly once, as
 * delivered (the platform has it, on all in-sync replicas) or as failed. Messages with the same partition
 * id arrive in the order sent.
 *
 * Over HTTP, when the answer to a request is lost, the request is sent again; the gateway recognises what it
 * has written by the message's trace id, within a window (docs/protocol.md, "Repeats"), so it is not written
 * twice. Past the window, through another gateway, or on a platform without our extensions it may be. Kafka's
 * own repeats are recognised: Direct Kafka's producer is idempotent.
 *
 * That one ends when it has lost count of what the brokers have, as it may when one of them is restarted.
 * Then the library makes another one, and warns in the log: messages under way are reported as failed
 * (SL_UNAVAILABLE, retriable; the text says whether they may be written), and those sent later go their way.
 * A producer that makes transactions is not replaced: its calls fail, fatally.
 *
 * Payloads over SL_PAYLOAD_INLINE_MAX are stored as blobs, and the message carries the data handle. That
 * happens beside other messages; those with the same partition id wait for it, so their order holds.
 *
 * Of a layer whose content encoding is gzip, payloads are compressed when they are sent, unless the message
 * says that it is (sl_message_set_compressed), or the program or the configuration that none are to be. The
 * queue's bounds and statistics count payloads as they were given.
 *
 * Threads: every function may be called from any thread, but close only once and last.
 */
#ifndef STREAMLAYER_PRODUCER_H
#define STREAMLAYER_PRODUCER_H

#include <streamlayer/client.h>
#include <streamlayer/consumer.h>
#include <streamlayer/message.h>

SL_BEGIN_DECLS

typedef struct sl_producer sl_producer;                 /* writes one layer */
typedef struct sl_producer_options sl_producer_options; /* what the program decides of it */
typedef struct sl_delivery sl_delivery;                 /* what became of one message */

/*
 * Told of each message's fate, once.
 *   opaque: as given to sl_producer_options_set_delivery; message_opaque: as given to sl_producer_send.
 *   Ownership: the delivery ends with the call.
 *   Threads: a thread of the library's, one call at a time for a producer. It must not block for long; it
 *   may call sl_producer_send with a time-out of 0, and must not call flush or close.
 */
typedef void (*sl_delivery_callback)(void *opaque, void *message_opaque, const sl_delivery *delivery);

SL_API sl_status sl_delivery_status(const sl_delivery *delivery);      /* SL_OK: delivered */
SL_API const sl_error *sl_delivery_error(const sl_delivery *delivery); /* NULL when delivered */
SL_API const char *sl_delivery_trace_id(const sl_delivery *delivery);  /* NULL when the message had none */
SL_API sl_offset sl_delivery_offset(const sl_delivery *delivery);      /* {-1,-1} when not known */

/*
 * Options: what the program decides itself. Everything else is configuration.
 *   Ownership: the caller destroys them; sl_producer_create copies.
 *   Errors: SL_OUT_OF_MEMORY, SL_INVALID_ARGUMENT.
 */
SL_API SL_MUST_CHECK sl_status sl_producer_options_create(sl_producer_options **options);
SL_API void sl_producer_options_destroy(sl_producer_options **options);
/* Who is told of each message's fate; callback NULL: nobody. */
SL_API sl_status sl_producer_options_set_delivery(sl_producer_options *options, sl_delivery_callback callback,
                                                  void *opaque);
/* "kafka-connector" or "http-connector": wins over the configuration. */
SL_API sl_status sl_producer_options_set_connector(sl_producer_options *options, const char *name);
/* The queue's bounds, which win over stream.producer.queue.*: messages, and bytes of payload. */
SL_API sl_status sl_producer_options_set_queue(sl_producer_options *options, size_t max_messages,
                                               size_t max_bytes);
/* Whether payloads for layers whose content encoding is gzip are compressed: wins over
 * stream.producer.compress. false: the program sends gzip itself. */
SL_API sl_status sl_producer_options_set_compress(sl_producer_options *options, bool on);

/* The producer writes in transactions of this name: 1 to 200 characters of A-Z a-z 0-9 . _ - : ; NULL: it
 * makes none. No other producer of the application may have it at the same time: whoever opens one last ends
 * the others' (SL_KAFKA, fatal). See sl_producer_begin. */
SL_API sl_status sl_producer_options_set_transactions(sl_producer_options *options, const char *name);

/* Statistics every interval_ms milliseconds (100 or more; callback NULL: none), as sl_producer_statistics
 * gives them. Called on a thread of the library's; it must not close the producer. */
SL_API sl_status sl_producer_options_set_statistics(sl_producer_options *options, int interval_ms,
                                                    sl_statistics_callback callback, void *opaque);

/*
 * Opens a producer on a layer; asks the platform about the layer, so it may take a while.
 *   Ownership: options may be NULL; the caller closes the producer.
 *   Errors: SL_CONNECTOR_MISSING (kafka-support is not installed), SL_BAD_CONFIG, SL_NOT_FOUND,
 *   SL_FORBIDDEN, SL_UNAUTHENTICATED, SL_UNAVAILABLE, SL_PROTOCOL, SL_OUT_OF_MEMORY.
 */
SL_API SL_MUST_CHECK sl_status sl_producer_create(sl_client *client, const char *hrn, const char *layer,
                                                  const sl_producer_options *options, sl_producer **producer,
                                                  sl_error *error);

/*
 * Queues one message; it is copied. When the queue is full, waits up to timeout_ms for room (0: not at all,
 * -1: for ever).
 *   Errors: SL_QUEUE_FULL, SL_TOO_LARGE, SL_INVALID_ARGUMENT, SL_CHECKSUM_MISMATCH, SL_UNSUPPORTED (the
 *   message has parts that the platform cannot take), SL_CLOSED, SL_OUT_OF_MEMORY; SL_UNAVAILABLE and
 *   SL_FORBIDDEN, where Direct Kafka's producer has ended and there is no other one yet. A message refused
 *   here is not reported to the delivery callback.
 *   Timestamps have limits, the layer's ttl back and an hour ahead: see sl_message_set_timestamp_ms.
 */
SL_API SL_MUST_CHECK sl_status sl_producer_send(sl_producer *producer, const sl_message *message,
                                                void *message_opaque, int timeout_ms, sl_error *error);

/*
 * Waits until every message sent before is reported, up to timeout_ms (-1: for ever). Whether they have
 * arrived is what their reports say: SL_OK is returned also when some have failed. Errors: SL_TIMED_OUT.
 */
SL_API sl_status sl_producer_flush(sl_producer *producer, int timeout_ms, sl_error *error);

/*
 * Transactions: of what is sent between sl_producer_begin and sl_producer_commit readers see all or nothing,
 * and the offsets of what was read for it are committed with it or not at all. So a program that consumes,
 * transforms and produces has each message's result once, however it ends (docs/pipelines.md). They are
 * Kafka's own: with sl_producer_options_set_transactions, and through the kafka-connector only. Elsewhere
 * opening the producer, and each of these calls, is SL_UNSUPPORTED. Payloads that are stored as blobs are not
 * part of them: those of an aborted transaction stay until the layer's ttl, and nothing names them.
 *
 *   Errors of each: SL_UNSUPPORTED, SL_INVALID_ARGUMENT (there is none open, or one is), and Kafka's.
 * retriable: call it again; fatal: close the producer, and begin from what is committed; any other:
 * sl_producer_abort, then do the work again. Threads: begin, offsets, commit and abort one at a time;
 * messages may be sent by others meanwhile, but not during commit and abort.
 */
SL_API SL_MUST_CHECK sl_status sl_producer_begin(sl_producer *producer, sl_error *error);

/*
 * Commits with the transaction what a consumer has read: all messages of a batch, or those up to and
 * including the given offsets. The consumer uses the kafka-connector, on a layer of the same Kafka cluster,
 * and does not commit by itself (sl_consumer_options_set_auto_commit). Its group notices a consumer that has
 * been taken for dead: then it is an error, and the batch is another member's. timeout_ms: -1: as long as a
 * transaction may last.
 */
SL_API SL_MUST_CHECK sl_status sl_producer_add_batch(sl_producer *producer, sl_consumer *consumer,
                                                     const sl_batch *batch, int timeout_ms, sl_error *error);
SL_API SL_MUST_CHECK sl_status sl_producer_add_offsets(sl_producer *producer, sl_consumer *consumer,
                                                       const sl_offset *offsets, size_t count, int timeout_ms,
                                                       sl_error *error);

/*
 * Waits until every message is delivered, and commits: when it returns, all are seen. A message that was not
 * delivered makes it fail (SL_KAFKA): abort then.
 */
SL_API SL_MUST_CHECK sl_status sl_producer_commit(sl_producer *producer, int timeout_ms, sl_error *error);

/* Gives the transaction up, and waits until its messages are reported: those on their way as failed. */
SL_API SL_MUST_CHECK sl_status sl_producer_abort(sl_producer *producer, int timeout_ms, sl_error *error);

/* How many messages are sent and not yet reported, and how many bytes of payload they have. */
SL_API size_t sl_producer_queued(const sl_producer *producer, size_t *bytes);

/*
 * What the producer has done so far, as a JSON object; docs/statistics.md lists its fields.
 *   Ownership: *json is NUL-terminated and released with sl_free.   Errors: SL_OUT_OF_MEMORY.
 */
SL_API SL_MUST_CHECK sl_status sl_producer_statistics(const sl_producer *producer, char **json,
                                                      sl_error *error);

/* The content encoding that the producer compresses payloads to: "gzip"; NULL: none. Static text. */
SL_API const char *sl_producer_content_encoding(const sl_producer *producer);

/* The connector in use: "kafka-connector" or "http-connector". Static text. */
SL_API const char *sl_producer_connector(const sl_producer *producer);

/*
 * Closes and releases a producer and sets the pointer to NULL; *producer may be NULL. A transaction that is
 * open is aborted. Waits up to timeout_ms (-1: for ever) for deliveries; what is left then is reported as
 * SL_TIMED_OUT: it may or may not arrive.
 *   Errors: SL_TIMED_OUT (messages were left); the producer is gone all the same.
 */
SL_API sl_status sl_producer_close(sl_producer **producer, int timeout_ms, sl_error *error);

SL_END_DECLS

#endif
