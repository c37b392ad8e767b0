/* What the files of stream v2 share. */
#ifndef GW_API_STREAM_H
#define GW_API_STREAM_H

#include "gateway/broker/subscriptions.h"
#include "gateway/gateway_internal.h"

void gw_stream_subscribe(struct gw_request *request);
void gw_stream_poll(struct gw_request *request);
void gw_stream_commit(struct gw_request *request);
void gw_stream_seek(struct gw_request *request);
void gw_stream_pause(struct gw_request *request);
void gw_stream_resume(struct gw_request *request);
void gw_stream_positions(struct gw_request *request);
void gw_stream_unsubscribe(struct gw_request *request);

/* Answers with an event stream of these sizes (0: the defaults); takes the link, and that of flow (NULL:
 * none). */
void gw_stream_push(struct gw_request *request, struct gw_subscription *subscription,
                    struct gw_market_flow *flow, size_t messages, size_t bytes);
/* Adds a message to a poll's answer. False: it has no place there, or memory is out. */
bool gw_stream_encode(struct sl_buffer *out, const struct sl_message *message, bool first, bool cbor,
                      bool extended);
#define GW_ANSWER_ROOM ((size_t)8 << 20) /* beside the payload: keys, headers, one large message */

/* The subscription that a request names, linked: by {subscription} in its path, else by subscriptionId and
 * consumerId in its query. NULL: answered. flow (may be NULL): what its application may be given of the
 * catalog beside what the layer gives (gw_market_flow), linked; NULL: any. */
struct gw_subscription *gw_stream_find(struct gw_request *request, struct gw_market_flow **flow);

/* Answers a call on a subscription that has ended; error: as gw_subscription_ended says. */
void gw_stream_gone(struct gw_request *request, enum gw_end why, const sl_error *error);
/* Answers a failed call on a subscription. */
void gw_stream_fail(struct gw_request *request, sl_status status, const sl_error *error);

/* The body as JSON; *value is NULL when there is none. False: answered. */
bool gw_stream_body(struct gw_request *request, json_t **value);

/*
 * A call and its answer end on two loops, in any order: the answer is handed over on the subscription's loop,
 * and its sending is told on the request's. Whoever comes second finishes.
 */
struct gw_meeting {
    atomic_uint came;
    bool whole; /* the answer was written */
};
enum { GW_MEETING_ANSWERED = 1, GW_MEETING_SENT = 2 };
/* True: the other was here before. */
bool gw_meet(struct gw_meeting *meeting, unsigned who);

#endif
