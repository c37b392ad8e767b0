/*
 * A connector: one way to reach a stream layer. A const table of functions, in the library (http-connector)
 * or in a plug-in (kafka-connector).
 *
 * A plug-in is a shared object <name>.so, found where client/connector.c looks, that exports
 * sl_connector_table. It imports nothing from the library: what it needs is handed to it in struct sl_host.
 * It may link src/base and src/wire statically, for itself.
 *
 * What the core (producer.c, consumer.c) does, so that connectors need not: argument checks, the bounded
 * queue and back-pressure, exactly one report a message, trace ids, checksums, gzip, auto commit, group
 * names, serialising poll, seek and close (commit may come while a poll runs, from another thread).
 */
#ifndef SL_CLIENT_CONNECTOR_H
#define SL_CLIENT_CONNECTOR_H

#include "base/buffer.h"
#include "base/log.h"
#include "client/layer.h"
#include "wire/endpoint.h"
#include "wire/message.h"
#include <stdatomic.h>
#include <streamlayer/consumer.h>
#include <streamlayer/producer.h>

#define SL_CONNECTOR_MAGIC 0x5354524cu
#define SL_CONNECTOR_ABI   6u

struct sl_client; /* the core's: only the http-connector, which is linked with it, looks inside */

/* How a message ended. Texts end with the call. */
struct sl_outcome {
    const sl_error *error; /* NULL: delivered */
    sl_offset offset;
    const char *trace_id; /* the platform's, when it differs from the one sent; else NULL */
};

/* The outcome of the message sent with ticket. */
struct sl_report {
    void *ticket;
    struct sl_outcome outcome;
};

/* What the library does for a connector. Valid until the producer or consumer is closed. */
struct sl_host {
    unsigned abi;
    struct sl_log log;
    /* Reports the message sent with ticket: exactly once a ticket. Any thread, one at a time a producer. */
    void (*delivered)(void *ticket, const struct sl_outcome *outcome);
    /* The same of many at once, which is cheaper. core: the host's. */
    void (*delivered_many)(void *core, const struct sl_report *reports, size_t count);
    /* The group takes these Kafka partitions away: the core commits what is processed of them, before this
     * returns. lost: they are with another member already, so nothing is committed. Called from within poll,
     * open or close. */
    void (*revoked)(void *core, const int32_t *partitions, size_t count, bool lost);
    /* The group has given these: all that the consumer has now. Called from within poll or open, before a
     * message of them is handed out. */
    void (*assigned)(void *core, const int32_t *partitions, size_t count);
    /* The application's own bearer token, as sl_auth_bearer_until (auth/auth.h) gives it, for brokers that
     * take one; token_wake has it look at *cancelled. Any thread. */
    sl_status (*token)(struct sl_client *client, const char *refused, int64_t deadline_ms,
                       const atomic_bool *cancelled, char **bearer, int64_t *expires_ms, sl_error *error);
    void (*token_wake)(struct sl_client *client);
    void *core;               /* handed to all but these two, */
    struct sl_client *client; /* which get this */
};

/* One setting of the pass-through sections (stream.kafka.producer {…}, stream.kafka.consumer {…}). */
struct sl_property {
    const char *name;
    const char *value;
    const char *origin; /* FILE:LINE or the like, for errors */
};

/* What a producer or consumer is opened on. Borrowed for the call of open. */
struct sl_target {
    const char *hrn;
    const char *layer;
    struct sl_client *client;
    const struct sl_layer_facts *facts;   /* NULL, or empty: the core has not asked */
    const struct sl_endpoint *endpoint;   /* direct connectors only; else NULL */
    const struct sl_property *properties; /* direct connectors only */
    size_t property_count;
    int connect_timeout_ms; /* direct connectors only: how long opening may wait for a broker to answer */
};

struct sl_consumer_settings {
    const char *group; /* the application's name for it, or NULL: the default group. Direct connectors get the
                        * whole Kafka name, prefix included, and never NULL. */
    sl_start start;    /* SL_START_BEGIN or SL_START_END */
    size_t prefetch_bytes; /* payload bytes that may wait for a poll; sl_message_weight of each. 0: none, of a
                            * connector that can do so: it fetches what polls ask for */
    int join_timeout_ms;   /* how long opening may wait for the group to give partitions */
    int statistics_ms;     /* the application wants statistics so often; 0: not, so none need be gathered */
};

struct sl_producer_settings {
    int delivery_timeout_ms; /* after it a message is reported as SL_TIMED_OUT */
    size_t queue_messages;   /* what the core admits at once, for sizing the connector's own queue */
    size_t queue_bytes;
    int statistics_ms;            /* as a consumer's */
    const char *transactional_id; /* Kafka's own, prefix included; NULL: no transactions */
};

/* A connector's batch begins with this. */
struct sl_batch {
    unsigned magic;
    size_t count;
    struct sl_message *messages;
    void (*release)(struct sl_batch *batch);
};
#define SL_BATCH_MAGIC 0xba7c4ed1u

struct sl_connector {
    unsigned magic; /* SL_CONNECTOR_MAGIC */
    unsigned abi;   /* SL_CONNECTOR_ABI */
    size_t size;    /* sizeof(struct sl_connector) */
    const char *name;
    bool direct;        /* needs the layer's Kafka endpoint */
    size_t max_payload; /* what producer_send takes inside a message; of more the core makes a blob first, and
                         * sends the data handle and data size without a payload */

    /* The host is copied where it must outlive the call. */
    sl_status (*producer_open)(const struct sl_host *host, const struct sl_target *target,
                               const struct sl_producer_settings *settings, void **producer, sl_error *error);
    /* Whether a payload of no more than max_payload goes inside this message; else the core makes a blob of
     * it, too. NULL: always. Any thread. */
    bool (*producer_carries)(const void *producer, const struct sl_message *message);
    /* Takes a copy of message. SL_OK: accepted, ticket will be reported. SL_QUEUE_FULL: not now, the core
     * tries again after a delivery or 10 ms. Anything else: refused, never reported. Never blocks. Any
     * thread, several at once; messages given one after another keep their order. */
    sl_status (*producer_send)(void *producer, const struct sl_message *message, void *ticket,
                               sl_error *error);
    /* Transactions; NULL: it has none, and producer_open is never asked for them. One call at a time. An
     * error that is retriable: call again; one that is fatal: close; any other: abort. */
    sl_status (*producer_begin)(void *producer, sl_error *error);
    /* Commits a consumer's offsets, as consumer_commit does, with the transaction. consumer: of the same
     * connector. */
    sl_status (*producer_offsets)(void *producer, void *consumer, const sl_offset *offsets, size_t count,
                                  int timeout_ms, sl_error *error);
    /* All messages are reported before a commit; an abort reports those that are left. timeout_ms -1: as long
     * as a transaction may last. */
    sl_status (*producer_end)(void *producer, bool commit, int timeout_ms, sl_error *error);
    /* Gives up what is still under way, reporting each ticket (SL_TIMED_OUT), and frees the producer. */
    void (*producer_close)(void *producer);

    /* Joins the group and fixes the start positions before it returns. */
    sl_status (*consumer_open)(const struct sl_host *host, const struct sl_target *target,
                               const struct sl_consumer_settings *settings, void **consumer, sl_error *error);
    /* *batch NULL: nothing came in timeout_ms (≥ 0). max_messages and max_bytes (of payload) are ≥ 1; one
     * message over max_bytes still comes, alone. A message counts as sl_message_weight says. */
    sl_status (*consumer_poll)(void *consumer, int timeout_ms, size_t max_messages, size_t max_bytes,
                               struct sl_batch **batch, sl_error *error);
    /* offset: of the last processed message of each partition (Kafka's committed offset is one more). Returns
     * when it is committed. Safe beside a running poll, and from within host.revoked. */
    sl_status (*consumer_commit)(void *consumer, const sl_offset *offsets, size_t count, sl_error *error);
    /* The same for auto commit, from within poll: soon over. Where it cannot be done now, it fails with an
     * error that is retriable; of what was lost meanwhile nothing is committed (SL_KAFKA). */
    sl_status (*consumer_commit_now)(void *consumer, const sl_offset *offsets, size_t count, sl_error *error);
    sl_status (*consumer_seek)(void *consumer, const sl_offset *offsets, size_t count, sl_error *error);
    sl_status (*consumer_seek_to)(void *consumer, sl_start where, sl_error *error);

    /* Those from here to the next blank line may be NULL: the core then answers SL_UNSUPPORTED. Like seek
     * they come one at a time, and never beside poll. */
    sl_status (*consumer_seek_time)(void *consumer, int64_t timestamp_ms, sl_error *error);
    /* count 0: all. What was fetched of a paused partition waits; the pause outlasts rebalances. */
    sl_status (*consumer_pause)(void *consumer, const int32_t *partitions, size_t count, bool paused,
                                sl_error *error);
    /* As sl_consumer_positions. */
    sl_status (*consumer_positions)(void *consumer, sl_partition_position *list, size_t capacity,
                                    size_t *count, sl_error *error);
    /* Append the connector's own statistics, one JSON object (docs/statistics.md). Any thread, at any time
     * between open and close. false: memory is out. */
    bool (*producer_statistics)(void *producer, struct sl_buffer *json);
    bool (*consumer_statistics)(void *consumer, struct sl_buffer *json);

    /* The group's whole name in Kafka; NULL where it is not known. Lives as long as the consumer. */
    const char *(*consumer_group)(const void *consumer);
    /* Leaves the group and frees the consumer. Batches may outlive it. */
    sl_status (*consumer_close)(void *consumer, sl_error *error);
};

/* The symbol that a plug-in exports. */
#define SL_CONNECTOR_SYMBOL "sl_connector_table"

#endif
