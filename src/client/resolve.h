/* What is done with messages before they are handed out: payloads that lie in blobs are fetched, gzip is
 * inflated. */
#ifndef SL_CLIENT_RESOLVE_H
#define SL_CLIENT_RESOLVE_H

#include "client/client.h"

/* How, and what came of it: the counts are the consumer's, who locks. */
struct sl_resolver {
    struct sl_client *client;
    char *hrn, *layer;
    size_t at_once, max_size;
    bool inflate; /* messages that are compressed */
    size_t max_inflated;
};

struct sl_resolved {
    uint64_t messages, bytes, failures;
};

/*
 * A received batch that is not handed out yet, or not whole: some of its payloads lie in blobs, or are to be
 * inflated. What fails in passing leaves it as it is, so that nothing is lost and the order stays.
 */
struct sl_held;

bool sl_batch_has_blobs(const struct sl_batch *batch);
/* Takes the batch; NULL: no memory, it is still the caller's. */
struct sl_held *sl_held_create(struct sl_batch *batch);
/* What was handed out of it lives on. *held may be NULL. */
void sl_held_destroy(struct sl_held **held);
/* The messages that are left. */
size_t sl_held_count(const struct sl_held *held);
/* The first message of the Kafka partition that is left. */
bool sl_held_first(const struct sl_held *held, int32_t partition, int64_t *offset);
/* Drops the messages of these partitions, or, with others, of all other ones. */
void sl_held_drop(struct sl_held *held, const int32_t *partitions, size_t count, bool others);

/*
 * Fetches what is not fetched yet. SL_OK: all of it has its payload, or has it not for good (gone, too large,
 * not what its checksum says), which is logged. Else the next call may succeed.
 */
sl_status sl_held_resolve(struct sl_held *held, const struct sl_resolver *resolver, int64_t deadline_ms,
                          struct sl_resolved *counts, sl_error *error);
/* The next messages, at most so many, once resolved; with what is to be inflated inflated, as far as
 * max_bytes of payload go, and one message at least. What cannot be inflated comes as it was sent, which is
 * logged. NULL: no memory. */
struct sl_batch *sl_held_hand_out(struct sl_held *held, const struct sl_resolver *resolver,
                                  size_t max_messages, size_t max_bytes);

/* One message's payload, inflated if it is to be; *data is released with free. */
sl_status sl_resolve_one(const struct sl_resolver *resolver, const struct sl_message *message,
                         int64_t deadline_ms, void **data, size_t *size, sl_error *error);

#endif
