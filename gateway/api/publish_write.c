/* Writes messages that are in memory, a window of them at a time, in their order. On one loop. */
#include "gateway/api/publish.h"

#include "base/time.h"
#include "gateway/api/intake.h"
#include "gateway/api/metering.h"
#include "gateway/broker/repeats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW   500
#define RETRY_MS 10

struct slot {
    struct gw_write write; /* first */
    struct gw_repeat repeat;
    bool first;        /* the repeat is to be settled */
    struct slot *next; /* free ones, or held ones */
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
    size_t in_flight;                 /* slots with a report to come */
    size_t waiting;                   /* slots with a decision to come */
    struct slot *free;
    struct slot *held, **held_end; /* to be written as soon as there is room, in this order */
    char *account;                 /* the application that pays for them */
    struct gw_pass pass;           /* of the partitions at hand */
    bool paying, paid;             /* they wait at their layer's throttle, or may go */
    int64_t due;                   /* bytes of them that were paid for and not taken yet */
    int64_t since_us, waited_us;   /* at throttles: from then on, and before */
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

static void settle(struct slot *slot, bool done)
{
    if (slot->first)
        gw_repeats_settle(slot->writing->gateway->repeats, &slot->repeat, done, slot->write.offset);
    slot->first = false;
}

static void slot_free(struct slot *slot)
{
    slot->next = slot->writing->free;
    slot->writing->free = slot;
}

/* Kafka has the message, now or from before. */
static void note_written(struct slot *slot, sl_offset offset)
{
    slot->message->offset = offset;
    slot->writing->publishing->written++;
    slot_free(slot);
}

static void written(struct gw_write *write)
{
    struct slot *slot = (struct slot *)(void *)write;
    struct writing *writing = slot->writing;
    writing->in_flight--;
    settle(slot, !write->status);
    if (write->status) {
        failed(writing, write->status, write->retriable, write->text);
        slot_free(slot);
    } else {
        struct gw_layer_counters *counters = slot->layer->counters;
        atomic_fetch_add_explicit(&counters->messages_in, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&counters->bytes_in, sl_message_weight(slot->message),
                                  memory_order_relaxed);
        gw_meter_in(writing->publishing->meter, slot->layer, 1, (int64_t)slot->message->payload_size);
        note_written(slot, write->offset);
    }
    advance(writing);
}

static void retry(struct gw_timer *timer)
{
    advance((struct writing *)(void *)((char *)timer - offsetof(struct writing, retry)));
}

static void hold(struct slot *slot)
{
    slot->next = NULL;
    *slot->writing->held_end = slot;
    slot->writing->held_end = &slot->next;
}

/* Gives the message to Kafka. False: that cannot be now; the slot is still the caller's. */
static bool write_slot(struct slot *slot)
{
    sl_error error;
    struct writing *writing = slot->writing;
    slot->write.done = written;
    slot->write.counted = 0;
    sl_status status = gw_broker_write(gw_layer_broker(writing->gateway, slot->layer), writing->loop,
                                       slot->layer->topic, slot->message, &slot->write, &error);
    if (!status) {
        writing->in_flight++;
        writing->give_up_ms = 0;
        return true;
    }
    int64_t now = sl_mono_ms();
    if (status == SL_QUEUE_FULL && (!writing->give_up_ms || now < writing->give_up_ms)) {
        if (!writing->give_up_ms)
            writing->give_up_ms = gw_kafka_deadline_ms(writing->gateway);
        /* Without reports to come nothing else would wake it: decisions may wait for what is held here. */
        writing->retry.run = retry;
        if (writing->in_flight || !gw_timer_set(writing->loop, &writing->retry, now + RETRY_MS))
            return false;
    }
    failed(writing, status, error.retriable, error.text);
    return false;
}

/* What the one before came to, which this one waited for. */
static void repeat_decided(struct gw_repeat *repeat)
{
    struct slot *slot = (struct slot *)(void *)((char *)repeat - offsetof(struct slot, repeat));
    struct writing *writing = slot->writing;
    writing->waiting--;
    slot->first = repeat->verdict == GW_REPEAT_FIRST;
    if (slot->first)
        hold(slot);
    else
        note_written(slot, repeat->offset);
    advance(writing);
}

/* Whether the message is to be written; else it is there already, or will be told of. */
static bool is_first(struct slot *slot, const struct gw_partitions *partitions, size_t index)
{
    if (!partitions->hashes)
        return true;
    struct sl_message known =
        *slot->message; /* by its payload's hash, made where that costs no loop's time */
    known.payload = NULL;
    known.payload_size = 0;
    slot->repeat.loop = slot->writing->loop;
    slot->repeat.decided = repeat_decided;
    enum gw_repeat_verdict verdict =
        gw_repeats_enter(slot->writing->gateway->repeats, partitions->application, slot->layer->key, &known,
                         partitions->hashes[index], &slot->repeat);
    slot->first = verdict == GW_REPEAT_FIRST;
    if (verdict == GW_REPEAT_WRITTEN)
        note_written(slot, slot->repeat.offset);
    else if (verdict == GW_REPEAT_WAIT)
        slot->writing->waiting++;
    return slot->first;
}

static void granted(struct gw_pass *pass)
{
    struct writing *writing = (struct writing *)(void *)((char *)pass - offsetof(struct writing, pass));
    writing->paying = false;
    writing->paid = true;
    writing->waited_us += sl_mono_us() - writing->since_us;
    advance(writing);
}

/* What the partitions at hand pay. A blob has paid. */
static int64_t cost_of(const struct gw_partitions *partitions)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < partitions->count; i++)
        if (partitions->list[i].offset.offset < 0)
            bytes += (int64_t)partitions->list[i].payload_size;
    return bytes;
}

/* Whether their layer's throttle lets the partitions at hand go now; else it is told later, or has failed. */
static bool may_go(struct writing *writing)
{
    const struct gw_partitions *partitions = writing->partitions;
    struct gw_publishing *publishing = writing->publishing;
    if (writing->paying || writing->paid)
        return writing->paid;
    writing->due = cost_of(partitions);
    if (writing->due) {
        char why[GW_WAIT_TEXT];
        publishing->after_s = gw_intake_wait_s(writing->gateway, partitions->layer, false, writing->account,
                                               writing->waited_us, why);
        if (publishing->after_s) {
            writing->due = 0;
            failed(writing, SL_THROTTLED, true, why);
            return false;
        }
        writing->pass = (struct gw_pass){
            .loop = writing->loop, .account = writing->account, .bytes = writing->due, .granted = granted};
        writing->since_us = sl_mono_us();
        writing->paying =
            !gw_throttle_enter(writing->gateway->throttler, &partitions->layer->counters->in, &writing->pass);
    }
    writing->paid = !writing->paying;
    return writing->paid;
}

/* It has failed: what was paid for and will not be written is given back. */
static void stop_paying(struct writing *writing)
{
    if (writing->paying && gw_throttle_leave(writing->gateway->throttler, &writing->pass))
        writing->paying = false;
    else if (writing->partitions && writing->paid && writing->due)
        gw_throttle_settle(writing->gateway->throttler, &writing->partitions->layer->counters->in,
                           -writing->due);
    if (!writing->paying)
        writing->due = 0;
}

/* Takes the next message that is not written into a free slot, and asks whether it is a repeat. */
static void take_next(struct writing *writing)
{
    struct gw_partitions *partitions = writing->partitions;
    if (writing->next == partitions->count) {
        writing->partitions = partitions->next;
        writing->next = 0;
        writing->paid = false;
        return;
    }
    size_t index = writing->next++;
    if (partitions->list[index].offset.offset >= 0)
        return;
    writing->due -= (int64_t)partitions->list[index].payload_size;
    struct slot *slot = writing->free;
    writing->free = slot->next;
    slot->writing = writing;
    slot->message = &partitions->list[index];
    slot->layer = partitions->layer;
    slot->first = false;
    slot->write.offset = (sl_offset){-1, -1};
    if (is_first(slot, partitions, index))
        hold(slot);
}

/* What is held goes to Kafka in order. False: not all of it, now. */
static bool write_held(struct writing *writing)
{
    while (writing->held && !writing->publishing->status) {
        struct slot *slot = writing->held;
        struct slot *next = slot->next; /* its own again once it is written */
        if (!write_slot(slot))
            return false;
        writing->held = next;
        if (!next)
            writing->held_end = &writing->held;
    }
    return true;
}

static void drop_held(struct writing *writing)
{
    while (writing->held) {
        struct slot *slot = writing->held;
        writing->held = slot->next;
        settle(slot, false);
        slot_free(slot);
    }
    writing->held_end = &writing->held;
}

static void advance(struct writing *writing)
{
    struct gw_publishing *publishing = writing->publishing;
    gw_timer_cancel(writing->loop, &writing->retry);
    while (write_held(writing) && writing->partitions && writing->free && !publishing->status &&
           may_go(writing))
        take_next(writing);
    if (publishing->status) {
        drop_held(writing);
        stop_paying(writing);
    }
    if (writing->in_flight || writing->waiting || writing->paying || writing->retry.slot ||
        (writing->partitions && !publishing->status))
        return;
    publishing->writing = NULL;
    free(writing->account);
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

sl_status gw_publish_write(struct gateway *gateway, struct gw_loop *loop, const char *application,
                           struct gw_partitions *partitions, struct gw_publishing *publishing)
{
    size_t count = 0;
    for (const struct gw_partitions *each = partitions; each && count < WINDOW; each = each->next)
        count += each->count;
    if (count > WINDOW)
        count = WINDOW;
    struct writing *writing = calloc(1, sizeof *writing + (count + 1) * sizeof *writing->slots);
    if (!writing || !(writing->account = strdup(application))) {
        free(writing);
        return SL_OUT_OF_MEMORY;
    }
    writing->gateway = gateway;
    writing->loop = loop;
    writing->publishing = publishing;
    writing->partitions = partitions;
    writing->held_end = &writing->held;
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
