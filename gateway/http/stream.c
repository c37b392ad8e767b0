/*
 * Answers that are written piece by piece. libmicrohttpd asks for bytes when the connection can take some;
 * when there are none it is suspended, and resumed when a piece comes. It asks again only when what it has
 * was handed to the kernel: so a piece is known to be written when the question after it comes.
 */
#include "gateway/http/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BLOCK_BYTES ((size_t)32 * 1024) /* handed to libmicrohttpd at once, to HTTP/1.0 clients */

static void drop_piece(struct gw_request *request)
{
    struct gw_stream *stream = &request->stream;
    free(stream->piece);
    stream->piece = NULL;
    request->bytes -= stream->size;
    gw_budget_give(request->loop->server->settings.budget, stream->size);
    stream->at = stream->size = 0;
}

/* libmicrohttpd's question. */
static ssize_t next_bytes(void *opaque, uint64_t position, char *bytes, size_t max)
{
    struct gw_request *request = opaque;
    struct gw_stream *stream = &request->stream;
    (void)position;
    if (stream->piece && stream->at == stream->size) {
        drop_piece(request);
        if (!stream->failed && !request->gone)
            stream->drained(stream->opaque);
    }
    if (stream->failed || request->gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (stream->piece) {
        size_t left = stream->size - stream->at, count = left < max ? left : max;
        memcpy(bytes, stream->piece + stream->at, count);
        stream->at += count;
        request->answer_bytes += count;
        return (ssize_t)count;
    }
    if (stream->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    stream->waits = true;
    MHD_suspend_connection(request->connection);
    return 0;
}

static void go_on(struct gw_request *request)
{
    if (!request->stream.waits)
        return;
    request->stream.waits = false;
    request->loop->run_mhd = true;
    MHD_resume_connection(request->connection);
}

void gw_respond_stream(struct gw_request *request, const char *content_type, void (*drained)(void *opaque),
                       void *opaque)
{
    if (atomic_exchange(&request->answer_given, true))
        return;
    request->stream.open = true;
    gw_request_park(request);
    atomic_fetch_add_explicit(&request->loop->server->streams, 1, memory_order_relaxed);
    request->stream.drained = drained;
    request->stream.opaque = opaque;
    /* The request outlives the response: it ends when libmicrohttpd says that it is completed. */
    gw_give_answer(
        request, 200, content_type,
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, next_bytes, request, NULL), 0);
}

void gw_stream_write(struct gw_request *request, struct sl_buffer *piece, size_t from)
{
    struct gw_stream *stream = &request->stream;
    size_t size = piece->size;
    stream->piece = sl_buffer_take(piece);
    if (!stream->piece || from >= size)
        stream->failed = true; /* memory is out */
    stream->at = from;
    stream->size = stream->piece ? size : 0;
    request->bytes += stream->size;
    gw_budget_add(request->loop->server->settings.budget, stream->size);
    go_on(request);
}

void gw_stream_end(struct gw_request *request)
{
    request->stream.ended = true;
    go_on(request);
}

void gw_stream_hung_up(struct gw_request *request)
{
    request->stream.failed = true;
    go_on(request);
}

void gw_stream_free(struct gw_request *request)
{
    if (request->stream.piece)
        drop_piece(request);
}

void gw_streams_cut(struct gw_loop *loop)
{
    for (struct gw_request *request = loop->requests; request; request = request->next)
        if (request->stream.open && !request->gone) {
            /* libmicrohttpd may be waiting for the client to take something: it hears of this. */
            shutdown(gw_socket_of(request->connection), SHUT_RDWR);
            gw_stream_hung_up(request);
        }
}
