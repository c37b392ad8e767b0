/*
 * Answers that are held until something is written down for them, and whether they have arrived.
 *
 * What was handed to the kernel may never be read. A client that sends its next request on the connection has
 * read the answer before; so has one that closes it in order: a socket that is closed with bytes unread is
 * reset. Nothing tells of a connection that ends with the answer, or that is cut.
 */
#include "gateway/http/internal.h"

#include <string.h>
#include <strings.h>

void gw_request_hold(struct gw_request *request, struct gw_hold *hold)
{
    request->hold = hold;
}

struct gw_hold *gw_request_held(const struct gw_request *request)
{
    return request->hold;
}

bool gw_hold_lets_go(struct gw_request *request)
{
    struct gw_hold *hold = request->hold;
    if (!hold || request->held_back || request->gone || !request->response ||
        request->given.status / 100 != 2)
        return true;
    atomic_fetch_add(&request->posts, 1); /* its memory stays meanwhile */
    request->waits_hold = true;
    if (!hold->answered(hold))
        return false;
    request->waits_hold = false;
    atomic_fetch_sub(&request->posts, 1);
    return true;
}

/* It waits no longer. What holds it hears that nobody receives it where its client has gone meanwhile. */
static void stop_waiting(struct gw_request *request)
{
    struct gw_hold *hold = request->hold;
    request->waits_hold = false;
    atomic_fetch_sub(&request->posts, 1);
    if (!request->gone)
        return;
    request->hold = NULL;
    hold->over(hold, false);
}

void gw_request_let_go(struct gw_request *request)
{
    struct gw_hold *hold = request->hold;
    bool gone = request->gone;
    stop_waiting(request);
    request->hold = NULL; /* it is not asked again */
    gw_answer_arrived(request);
    if (!gone) /* else the request may be, too */
        request->hold = hold;
}

void gw_request_hold_back(struct gw_request *request, int status, const char *code, const char *cause,
                          const char *action, int after_s)
{
    stop_waiting(request);
    if (request->gone) {
        gw_answer_arrived(request);
        return;
    }
    request->held_back = true;
    MHD_destroy_response(request->response);
    request->response = NULL;
    sl_buffer_reset(&request->headers);
    if (request->stream.open) {
        gw_stream_free(request);
        request->stream.open = false;
        atomic_fetch_sub_explicit(&request->loop->server->streams, 1, memory_order_relaxed);
    }
    atomic_store(&request->answer_given, false);
    gw_respond_error_after(request, status, code, cause, action, after_s);
}

/* Whether the connection ends with this answer, so that no request can follow. */
static bool is_last(const struct gw_request *request)
{
    const char *wish = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Connection");
    return atomic_load_explicit(&request->loop->server->draining, memory_order_relaxed) ||
           (request->version && !strcmp(request->version, "HTTP/1.0")) || (wish && strcasestr(wish, "close"));
}

void gw_hold_request_ended(struct gw_request *request, bool whole)
{
    struct gw_hold *hold = request->hold;
    if (!hold || request->waits_hold)
        return;
    request->hold = NULL;
    if (!whole || request->held_back || request->status / 100 != 2)
        hold->over(hold, false);
    else if (is_last(request))
        hold->over(hold, true);
    else
        request->peer->unproved = hold;
}

void gw_hold_proved(struct gw_connection *connection, bool received)
{
    struct gw_hold *hold = connection->unproved;
    connection->unproved = NULL;
    if (hold)
        hold->over(hold, received);
}
