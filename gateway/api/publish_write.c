/* Writes messages that are in memory, a window of them at a time, in their order. On one loop. */
#include "gateway/api/publish.h"

#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW      500
#define RETRY_MS    10
#define PATIENCE_MS 25000 /* that Kafka's queue may be full: clients give up after 30 s */

struct slot {
    struct gw_write write; /* first */
    struct slot *next;     /* free ones */
    struct writing *writing;
    struct sl_message *message;
    struct gw_layer *layer;
};

struct writing {
    struct gateway *gateway;
    struct gw_loop *loop;
    struct gw_publishing *publishing;
    struct gw_partitions *partitions; /* at hand */
    size_t next;                      /* message of it */
    size_t in_flight;
    struct slot *free;
    struct gw_timer retry;
    int64_t give_up_ms; /* while the queue is full; 0: it is not */
    struct slot slots[];
};

static void advance(struct writing *writing);

static void failed(struct writing *writing, sl_status status, bool retriable, const char *text)
{
    struct gw_publishing *publishing = writing->publishing;
    if (publishing->status)
        return; /* the first tells */
    publishing->status = status;
    publishing->retriable = retriable;
    snprintf(publishing->text, sizeof publishing->text, "%.250s", text);
}

static void written(struct gw_write *write)
{
    struct slot *slot = (struct slot *)(void *)write;
    struct writing *writing = slot->writing;
    writing->in_flight--;
    slot->next = writing->free;
    writing->free = slot;
    if (write->status) {
        failed(writing, write->status, write->retriable, write->text);
    } else {
        struct gw_layer_counters *counters = slot->layer->counters;
        atomic_fetch_add_explicit(&counters->messages_in, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&counters->bytes_in, sl_message_weight(slot->message),
                                  memory_order_relaxed);
        slot->message->offset = write->offset;
        writing->publishing->written++;
    }
    advance(writing);
}

static void retry(struct gw_timer *timer)
{
    advance((struct writing *)(void *)((char *)timer - offsetof(struct writing, retry)));
}

/* False: nothing more can be given to Kafka now. */
static bool write_next(struct writing *writing, struct sl_message *message, struct gw_layer *layer)
{
    sl_error error;
    struct slot *slot = writing->free;
    slot->write.done = written;
    slot->writing = writing;
    slot->message = message;
    slot->layer = layer;
    sl_status status =
        gw_broker_write(writing->gateway->broker, writing->loop, layer->topic, message, &slot->write, &error);
    if (!status) {
        writing->free = slot->next;
        writing->in_flight++;
        writing->give_up_ms = 0;
        return true;
    }
    int64_t now = sl_mono_ms();
    if (status == SL_QUEUE_FULL && (!writing->give_up_ms || now < writing->give_up_ms)) {
        if (!writing->give_up_ms)
            writing->give_up_ms = now + PATIENCE_MS;
        /* Without reports to come nothing else would wake it. */
        writing->retry.run = retry;
        if (writing->in_flight || !gw_timer_set(writing->loop, &writing->retry, now + RETRY_MS))
            return false;
    }
    failed(writing, status, error.retriable, error.text);
    return false;
}

static void advance(struct writing *writing)
{
    gw_timer_cancel(writing->loop, &writing->retry);
    while (writing->partitions && writing->free && !writing->publishing->status) {
        if (writing->next == writing->partitions->count) {
            writing->partitions = writing->partitions->next;
            writing->next = 0;
            continue;
        }
        struct sl_message *message = &writing->partitions->list[writing->next];
        if (message->offset.offset < 0 && !write_next(writing, message, writing->partitions->layer))
            break;
        writing->next++;
    }
    struct gw_publishing *publishing = writing->publishing;
    if (writing->in_flight || writing->retry.slot || (writing->partitions && !publishing->status))
        return;
    publishing->writing = NULL;
    free(writing);
    publishing->done(publishing);
}

void gw_publish_give_up(struct gw_publishing *publishing)
{
    struct writing *writing = publishing->writing;
    if (!writing)
        return;
    failed(writing, SL_CLOSED, true, "the gateway is being stopped");
    advance(writing);
}

sl_status gw_publish_write(struct gateway *gateway, struct gw_loop *loop, struct gw_partitions *partitions,
                           struct gw_publishing *publishing)
{
    size_t count = 0;
    for (const struct gw_partitions *each = partitions; each && count < WINDOW; each = each->next)
        count += each->count;
    if (count > WINDOW)
        count = WINDOW;
    struct writing *writing = calloc(1, sizeof *writing + (count + 1) * sizeof *writing->slots);
    if (!writing)
        return SL_OUT_OF_MEMORY;
    writing->gateway = gateway;
    writing->loop = loop;
    writing->publishing = publishing;
    writing->partitions = partitions;
    for (size_t i = 0; i <= count; i++) {
        writing->slots[i].next = writing->free;
        writing->free = &writing->slots[i];
    }
    publishing->status = SL_OK;
    publishing->retriable = false;
    publishing->text[0] = 0;
    publishing->written = 0;
    publishing->writing = writing;
    advance(writing);
    return SL_OK;
}
