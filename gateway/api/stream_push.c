/*
 * GET …/partitions with Accept: text/event-stream: polls, one after another, each answer an event. The next
 * poll waits until the connection has taken the event: so a reader that does not keep up holds back only
 * itself, and what could not be written whole comes again with the next poll, whoever's that is. An event
 * that the Marketplace counts waits until the ledger has it; where it cannot, the stream ends.
 *
 * All of it belongs to the request's loop; what the subscription's loop tells comes over as a task.
 */
#include "gateway/api/metering.h"
#include "gateway/api/stream.h"

#include "base/time.h"
#include "config/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_STREAM "text/event-stream"
#define BEGIN        "data: {\"messages\":["
#define END          "]}\n\n"
#define ID_ROOM      64 /* "id: 2147483647:9223372036854775807\n" */

struct pushing {
    struct gw_poll poll;        /* first */
    struct gw_task task;        /* to the request's loop */
    struct gw_request *request; /* NULL: its connection is gone */
    struct gw_loop *loop;
    struct gw_meter *counted; /* the request's, where events are counted; NULL: they are not */
    struct gw_meter *meter;   /* of the event at hand */
    int64_t heartbeat_ms;
    size_t out_max;
    struct sl_buffer out;
    sl_offset last;
    bool polling; /* until released: the poll is the subscription's */
    bool asked;   /* the poll is not answered yet, as far as is known here */
    bool writing; /* an event is under way to the client, and to be settled */
    bool over;    /* no poll follows */
};

static void free_pushing(struct pushing *call)
{
    gw_subscription_unlink(call->poll.subscription);
    gw_market_flow_unlink(call->poll.flow);
    gw_meter_unlink(call->meter);
    gw_meter_unlink(call->counted);
    sl_buffer_free(&call->out);
    free(call);
}

/* Of the event at hand. */
static void settle(struct pushing *call, bool whole)
{
    gw_meter_settle(call->meter, whole);
    gw_meter_unlink(call->meter);
    call->meter = NULL;
    gw_poll_settle(&call->poll, whole);
}

static bool add(struct gw_poll *poll, const struct sl_message *message)
{
    struct pushing *call = (struct pushing *)(void *)poll;
    if (call->counted && !call->meter && !(call->meter = gw_meter_like(call->counted)))
        return false;
    struct gw_packed *records = gw_meter_records(call->meter);
    if ((records && !gw_packed_reserve(records)) ||
        !gw_stream_encode(&call->out, message, !poll->count, false, true))
        return false;
    call->last = message->offset;
    if (records)
        gw_meter_record(call->meter, records, message, poll->nothing_since);
    return true;
}

static void write_text(struct pushing *call, const char *text)
{
    struct sl_buffer piece;
    sl_buffer_init(&piece, 1000);
    sl_buffer_append_text(&piece, text);
    gw_stream_write(call->request, &piece, 0);
}

/* Nothing follows but the word that it ends: what is asked next says why. */
static void end_stream(struct pushing *call)
{
    call->over = true;
    write_text(call, "event: end\ndata: {}\n\n");
}

static void poll_next(struct pushing *call)
{
    static const char room[ID_ROOM];
    struct gw_poll *poll = &call->poll;
    if (!gw_request_still_reads(call->request)) { /* its Marketplace subscription has ended, or its grant */
        end_stream(call);
        return;
    }
    call->out.size = 0;
    sl_buffer_append(&call->out, room, sizeof room);
    sl_buffer_append_text(&call->out, BEGIN);
    poll->deadline_ms = sl_mono_ms() + call->heartbeat_ms;
    poll->follows = poll->turn;
    call->polling = call->asked = true;
    gw_subscription_poll(poll);
}

/* The connection has taken all that was given. */
static void drained(void *opaque)
{
    struct pushing *call = opaque;
    if (call->writing) {
        call->writing = false;
        settle(call, true);
    } else if (call->over) {
        gw_stream_end(call->request);
    } else if (!call->polling) {
        poll_next(call);
    }
}

/* The request's end: the stream's, or its connection's. */
static void closed(void *opaque, bool whole)
{
    struct pushing *call = opaque;
    call->request = NULL;
    (void)whole;
    if (call->writing) {
        call->writing = false;
        settle(call, false);
    } else if (call->asked) {
        gw_poll_cancel(&call->poll);
    } else if (!call->polling) {
        free_pushing(call);
    }
}

/* The poll's memory is this stream's again. */
static void go_on(struct gw_task *task)
{
    struct pushing *call = (struct pushing *)(void *)((char *)task - offsetof(struct pushing, task));
    call->polling = false;
    if (!call->request)
        free_pushing(call);
    else if (call->over)
        end_stream(call);
    else
        poll_next(call);
}

static void released(struct gw_poll *poll)
{
    struct pushing *call = (struct pushing *)(void *)poll;
    call->task.run = go_on;
    gw_loop_post(call->loop, &call->task);
}

/* "id: 0:7" goes in front, as close to the data as it reaches. */
static void write_event(struct pushing *call)
{
    struct sl_buffer *out = &call->out;
    char id[ID_ROOM + 1];
    int size =
        snprintf(id, sizeof id, "id: %d:%lld\n", (int)call->last.partition, (long long)call->last.offset);
    size_t from = ID_ROOM - (size_t)size;
    memcpy(out->data + from, id, (size_t)size);
    out->max += sizeof END;
    sl_buffer_append_text(out, END); /* failed: the stream is broken off, and the event comes again */
    call->writing = true;
    gw_stream_write(call->request, out, from);
    sl_buffer_init(out, call->out_max);
}

/* The ledger has the event, or cannot. */
static void written_down(void *opaque, bool good)
{
    struct pushing *call = opaque;
    call->asked = false;
    if (good && call->request) {
        write_event(call);
        return;
    }
    call->over = true;
    settle(call, false);
}

static void answered(struct gw_task *task)
{
    struct pushing *call = (struct pushing *)(void *)((char *)task - offsetof(struct pushing, task));
    struct gw_poll *poll = &call->poll;
    call->asked = false;
    call->over = poll->replaced || poll->status;
    if (call->request && poll->count) {
        write_event(call);
    } else if (call->request && !call->over) { /* a comment is an answer, too: the reader is there */
        call->writing = true;
        write_text(call, ":\n\n");
    } else {
        settle(call, call->request != NULL);
    }
}

static void done(struct gw_poll *poll)
{
    struct pushing *call = (struct pushing *)(void *)poll;
    if (poll->count && call->meter) {
        gw_meter_group(call->meter, gw_subscription_group(poll->subscription));
        gw_meter_submit_to(call->meter, written_down, call);
    } else {
        call->task.run = answered;
        gw_loop_post(call->loop, &call->task);
    }
}

void gw_stream_push(struct gw_request *request, struct gw_subscription *subscription,
                    struct gw_market_flow *flow, size_t messages, size_t bytes)
{
    const struct gateway *gateway = gw_request_opaque(request);
    size_t payload = bytes ? bytes : gw_subscriptions_limits(gateway->subscriptions)->poll_bytes;
    struct pushing *call = calloc(1, sizeof *call);
    if (!call) {
        gw_subscription_unlink(subscription);
        gw_market_flow_unlink(flow);
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "poll again later");
        return;
    }
    call->request = request;
    call->counted = gw_request_meter(request);
    gw_meter_group(call->counted, gw_subscription_group(subscription));
    call->heartbeat_ms = gateway->heartbeat_ms;
    call->loop = gw_request_loop(request);
    call->out_max = ID_ROOM + payload + payload / 2 + GW_ANSWER_ROOM; /* base64 adds a third */
    sl_buffer_init(&call->out, call->out_max);
    call->poll = (struct gw_poll){
        .subscription = subscription,
        .max_messages = messages,
        .most_messages = call->counted ? GW_METERED_RECORDS : 0,
        .counted = call->counted != NULL,
        .max_bytes = bytes,
        .ack = GW_ACK_WRITTEN,
        .received = -1,
        .assignment = -1,
        .flow = flow,
        .holds = true,
        .add = add,
        .done = done,
        .released = released,
    };
    gw_request_on_sent(request, closed, call);
    gw_respond_header(request, "Cache-Control", "no-store");
    if (flow)
        gw_market_warn(request, gw_request_parameter(request, "hrn"));
    gw_respond_header(request, "X-Accel-Buffering", "no");
    /* The comment takes the head along, and says that the stream is open; the first poll follows it. */
    write_text(call, ":\n\n");
    gw_respond_stream(request, EVENT_STREAM, drained, call);
}
