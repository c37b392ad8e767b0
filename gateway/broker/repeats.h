/*
 * Repeats: a message that a client sends again because the answer was lost is not written twice. Asked before
 * a write, and told after it, for messages to which their client gave a trace id.
 *
 * What was written is remembered by a hash of application, layer, trace id, partition id and payload, in
 * memory, for a window of time and up to a number of messages: 40 bytes each, had as they come. Any thread.
 */
#ifndef GW_BROKER_REPEATS_H
#define GW_BROKER_REPEATS_H

#include "gateway/http/server.h"
#include "wire/message.h"

struct gw_repeats;

/* window_ms 0: nothing is remembered, and every message is a first one. */
sl_status gw_repeats_create(int64_t window_ms, size_t max, struct gw_repeats **out, sl_error *error);
void gw_repeats_destroy(struct gw_repeats **out);

enum gw_repeat_verdict {
    GW_REPEAT_FIRST,   /* to be written; gw_repeats_settle must follow */
    GW_REPEAT_WRITTEN, /* it is in the layer, at offset; nothing follows */
    GW_REPEAT_WAIT,    /* the same is being written: decided is called, with one of the others */
};

/* A message on its way. The caller's memory, until settled or WRITTEN. */
struct gw_repeat {
    unsigned char key[16];
    enum gw_repeat_verdict verdict;
    sl_offset offset; /* WRITTEN: the first one's */
    struct gw_loop *loop;
    void (*decided)(struct gw_repeat *repeat); /* on loop */

    /* The table's own. */
    bool listed; /* false: it was not even looked for, and need not be settled */
    struct gw_task task;
    struct gw_repeat *next;            /* under way in the same bucket, or waiting for the same */
    struct gw_repeat *waiting, **last; /* of one that is under way: who waits for it, in order */
};

/* loop and decided are set by the caller. layer: its key (store/catalogs.h). payload_checksum: of a payload
 * that is not in memory (a blob), else NULL. Out of memory counts as FIRST: better twice than not at all. */
enum gw_repeat_verdict gw_repeats_enter(struct gw_repeats *repeats, const char *application,
                                        const char *layer, const struct sl_message *message,
                                        const char *payload_checksum, struct gw_repeat *repeat);
/* What became of one that was FIRST. Not written: the next that waits for it becomes FIRST. */
void gw_repeats_settle(struct gw_repeats *repeats, struct gw_repeat *repeat, bool written, sl_offset offset);

/* Waits until none is under way, or for so long: at the end, when no write succeeds any more and each that
 * waits becomes the first in turn, on whatever loop it is. Loops must run. */
void gw_repeats_finish(struct gw_repeats *repeats, int timeout_ms);

/* How many are remembered now, and how many repeats were answered so far. */
void gw_repeats_count(struct gw_repeats *repeats, size_t *remembered, unsigned long long *answered);
/* The bytes that remembering takes. */
size_t gw_repeats_memory(struct gw_repeats *repeats);
bool gw_repeats_metrics(struct gw_repeats *repeats, struct sl_buffer *text);

/* The same, at another time than now (sl_mono_ms()): for tests. */
enum gw_repeat_verdict gw_repeats_enter_at(struct gw_repeats *repeats, int64_t now_ms,
                                           struct gw_repeat *repeat);
void gw_repeats_settle_at(struct gw_repeats *repeats, int64_t now_ms, struct gw_repeat *repeat, bool written,
                          sl_offset offset);

#endif
