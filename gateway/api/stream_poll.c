/* GET …/partitions: messages as JSON or as a CBOR sequence, encoded straight from Kafka's records. */
#include "gateway/api/failures.h"
#include "gateway/api/metering.h"
#include "gateway/api/stream.h"

#include "base/text.h"
#include "base/time.h"
#include "wire/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_WAIT_MS 100 /* SDKs poll in a loop: so they do not spin, and do not hang either */
#define TAIL            "]}"
#define ENCODED_MOST    ((size_t)6) /* a byte of a record is at most \u0000 in JSON */

struct polling {
    struct gw_poll poll; /* first */
    struct gw_request *request;
    struct gw_meter *meter;
    struct gw_packed *records; /* the meter's */
    struct gw_meeting meeting;
    struct sl_buffer out;
    bool cbor, extended;
    bool lost; /* memory ran out after the messages were taken: they come again */
};

static void released(struct gw_poll *poll)
{
    struct polling *call = (struct polling *)(void *)poll;
    gw_subscription_unlink(poll->subscription);
    gw_market_flow_unlink(poll->flow);
    gw_meter_unlink(call->meter);
    sl_buffer_free(&call->out);
    free(call);
}

static void sent(void *opaque, bool whole)
{
    struct polling *call = opaque;
    call->meeting.whole = whole;
    if (gw_meet(&call->meeting, GW_MEETING_SENT))
        gw_poll_settle(&call->poll, whole && !call->lost);
}

bool gw_stream_encode(struct sl_buffer *out, const struct sl_message *message, bool first, bool cbor,
                      bool extended)
{
    size_t before = out->size;
    bool fits;
    if (first) { /* it always fits: else it would come again for ever, and nothing after it */
        size_t most = before + ENCODED_MOST * sl_record_size(message);
        if (out->max < most)
            out->max = most;
    }
    if (cbor)
        fits = sl_record_encode(out, message);
    else
        fits = (first || sl_buffer_append(out, ",", 1)) && sl_message_json_encode(out, message, extended);
    if (fits)
        return true;
    out->size = before; /* the answer goes without it; it comes with the next */
    out->failed = false;
    return false;
}

static bool add(struct gw_poll *poll, const struct sl_message *message)
{
    struct polling *call = (struct polling *)(void *)poll;
    if ((call->records && !gw_packed_reserve(call->records)) ||
        !gw_stream_encode(&call->out, message, !poll->count, call->cbor, call->extended))
        return false;
    if (call->records)
        gw_meter_record(call->meter, call->records, message, poll->nothing_since);
    return true;
}

/* X-SL-Assignment: 3;0,2 */
static void tell_assignment(struct polling *call)
{
    const struct gw_assignment *now = &call->poll.now;
    char text[32 + GW_PARTITIONS_MAX * 12];
    int size = snprintf(text, sizeof text, "%lld;", (long long)now->number);
    for (size_t i = 0; i < now->count; i++)
        size +=
            snprintf(text + size, sizeof text - (size_t)size, "%s%d", i ? "," : "", (int)now->partitions[i]);
    gw_respond_header(call->request, "X-SL-Assignment", text);
}

/* Else nothing would tell a layer that is empty from one that gives too little. */
static void tell_throttling(struct polling *call)
{
    static const char flow[] = "199 - \"throttled: messages wait for what the application's Marketplace "
                               "subscription gives a second (outboundKbps)\"";
    static const char layer[] =
        "199 - \"throttled: messages wait for what the layer gives a second (dataOutThroughputKbps)\"";
    if (call->poll.flow_throttles || call->poll.layer_throttles)
        gw_respond_header(call->request, "Warning", call->poll.flow_throttles ? flow : layer);
}

static void respond(struct polling *call)
{
    struct gw_request *request = call->request;
    struct gw_poll *poll = &call->poll;
    if (!poll->status && poll->assignment >= 0)
        tell_assignment(call);
    if (!poll->status)
        tell_throttling(call);
    if (!poll->status && poll->flow)
        gw_market_warn(request, gw_request_parameter(request, "hrn"));
    if (poll->status == SL_NOT_FOUND || poll->status == SL_CLOSED) {
        sl_error error;
        enum gw_end why = gw_subscription_ended(poll->subscription, &error);
        gw_stream_gone(request, why, &error);
    } else if (poll->status == SL_INVALID_ARGUMENT) {
        gw_respond_errorf(request, 400, "bad-parameter",
                          "say how many answers with messages were read since it subscribed",
                          "received=%lld is more than there were", (long long)poll->received);
    } else if (poll->status == SL_UNAVAILABLE) {
        gw_respond_error(request, 503, "kafka-unavailable",
                         "Kafka has not answered the gateway for some seconds",
                         "poll again after the time that Retry-After gives; nothing is lost");
    } else if (poll->status) {
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "poll again later");
    } else if (call->cbor) {
        if (call->out.size)
            gw_respond_buffer(request, 200, SL_MEDIA_CBOR_SEQ, &call->out);
        else
            gw_respond(request, 200, SL_MEDIA_CBOR_SEQ, "", 0, NULL, NULL);
    } else if (!poll->count) {
        static const char none[] = "{\"messages\":[]}";
        gw_respond(request, 200, "application/json", none, sizeof none - 1, NULL, NULL);
    } else {
        call->out.max += sizeof TAIL;
        call->lost = !sl_buffer_append(&call->out, TAIL, sizeof TAIL - 1);
        gw_respond_buffer(request, 200, "application/json", &call->out); /* lost: it answers 503 */
    }
}

static void answer(struct polling *call)
{
    respond(call);
    if (gw_meet(&call->meeting, GW_MEETING_ANSWERED))
        gw_poll_settle(&call->poll, call->meeting.whole && !call->lost);
}

/* Where it could not be, what is answered is held back. */
static void written_down(void *opaque, bool good)
{
    (void)good;
    answer(opaque);
}

/* What is counted is answered when it is written down: before, the request's loop could only wait. */
static void done(struct gw_poll *poll)
{
    struct polling *call = (struct polling *)(void *)poll;
    if (poll->count && call->meter)
        gw_meter_submit_to(call->meter, written_down, call);
    else
        answer(call);
}

/* A number from the query. False: answered. */
static bool take_number(struct gw_request *request, const char *name, int64_t min, int64_t *value,
                        bool *given)
{
    const char *text = gw_request_query(request, name);
    if (!text)
        return true;
    *given = true;
    if (sl_parse_int(text, min, INT64_MAX, value))
        return true;
    gw_respond_errorf(request, 400, "bad-parameter", "correct it, or leave it out",
                      "%s=%s must be a whole number of at least %lld", name, text, (long long)min);
    return false;
}

static bool take_ack(struct gw_request *request, enum gw_ack *ack, bool *given)
{
    const char *text = gw_request_query(request, "ack");
    if (!text)
        return true;
    *given = true;
    bool yes = !strcmp(text, "true") || !strcmp(text, "1");
    if (!yes && strcmp(text, "false") && strcmp(text, "0")) {
        gw_respond_errorf(request, 400, "bad-parameter", "correct it, or leave it out",
                          "ack=%s must be true or false", text);
        return false;
    }
    *ack = yes ? GW_ACK_YES : GW_ACK_NO;
    return true;
}

/* Whether the client asks for a media type by name. */
static bool accepts(const char *accept, const char *wanted)
{
    while (accept && *accept) {
        size_t length = strcspn(accept, ",");
        char media[64];
        size_t kept = length < sizeof media - 1 ? length : sizeof media - 1;
        memcpy(media, accept, kept);
        media[kept] = 0;
        if (gw_media_is(media, wanted))
            return true;
        accept += length + (accept[length] == ',');
    }
    return false;
}

/* What a poll asks for. */
struct asking {
    int64_t wait, messages, bytes, received, assignment;
    enum gw_ack ack;
    bool extended; /* by any of our extensions */
};

/* False: answered. */
static bool take_query(struct gw_request *request, struct asking *ask)
{
    const struct gateway *gateway = gw_request_opaque(request);
    *ask = (struct asking){.wait = DEFAULT_WAIT_MS, .received = -1, .assignment = -1, .ack = GW_ACK_WRITTEN};
    if (!gateway->extended)
        return true;
    if (!take_number(request, "maxWaitMs", 0, &ask->wait, &ask->extended) ||
        !take_number(request, "maxMessages", 1, &ask->messages, &ask->extended) ||
        !take_number(request, "maxBytes", 1, &ask->bytes, &ask->extended) ||
        !take_number(request, "received", 0, &ask->received, &ask->extended) ||
        !take_number(request, "assignment", 0, &ask->assignment, &ask->extended) ||
        !take_ack(request, &ask->ack, &ask->extended))
        return false;
    if (ask->received >= 0)
        ask->ack = GW_ACK_YES;
    const struct gw_subscription_limits *limits = gw_subscriptions_limits(gateway->subscriptions);
    if (ask->wait > limits->poll_wait_ms)
        ask->wait = limits->poll_wait_ms;
    if ((uint64_t)ask->messages > limits->poll_messages)
        ask->messages = (int64_t)limits->poll_messages;
    if ((uint64_t)ask->bytes > limits->poll_bytes)
        ask->bytes = (int64_t)limits->poll_bytes;
    return true;
}

void gw_stream_poll(struct gw_request *request)
{
    const struct gateway *gateway = gw_request_opaque(request);
    const char *accept = gateway->extended ? gw_request_header(request, "Accept") : NULL;
    struct asking ask;
    if (!strcmp(gw_request_method(request), "HEAD")) {
        gw_respond_header(request, "Allow", "GET, OPTIONS");
        gw_respond_error(request, 405, "method-not-allowed", "a poll's messages cannot be left out",
                         "poll with GET");
        return;
    }
    if (!take_query(request, &ask))
        return;
    struct gw_market_flow *flow;
    struct gw_subscription *subscription = gw_stream_find(request, &flow);
    if (!subscription)
        return;
    if (accepts(accept, "text/event-stream")) {
        gw_stream_push(request, subscription, flow, (size_t)ask.messages, (size_t)ask.bytes);
        return;
    }
    struct polling *call = calloc(1, sizeof *call);
    if (!call) {
        gw_subscription_unlink(subscription);
        gw_market_flow_unlink(flow);
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "poll again later");
        return;
    }
    size_t payload =
        ask.bytes ? (size_t)ask.bytes : gw_subscriptions_limits(gateway->subscriptions)->poll_bytes;
    call->request = request;
    call->meter = gw_request_meter(request);
    call->records = gw_meter_records(call->meter);
    gw_meter_group(call->meter, gw_subscription_group(subscription));
    call->extended = ask.extended;
    call->cbor = accepts(accept, SL_MEDIA_CBOR_SEQ);
    sl_buffer_init(&call->out, payload + payload / 2 + GW_ANSWER_ROOM); /* base64 adds a third */
    if (!call->cbor)
        sl_buffer_append_text(&call->out, "{\"messages\":[");
    call->poll = (struct gw_poll){
        .subscription = subscription,
        .max_messages = (size_t)ask.messages,
        .most_messages = call->meter ? GW_METERED_RECORDS : 0,
        .counted = call->meter != NULL,
        .max_bytes = (size_t)ask.bytes,
        .deadline_ms = sl_mono_ms() + ask.wait,
        .ack = ask.ack,
        .received = ask.received,
        .assignment = ask.assignment,
        .flow = flow,
        .add = add,
        .done = done,
        .released = released,
    };
    gw_request_on_sent(request, sent, call);
    gw_request_park(request);
    gw_subscription_poll(&call->poll);
}
