/* The end of a request: it is counted, and noted in the access log. */
#include "gateway/http/internal.h"

#include "base/text.h"
#include "base/time.h"
#include "gateway/access_log.h"

#include <stdlib.h>
#include <string.h>

const int gw_latency_bounds_us[GW_LATENCY_BOUNDS] = {
    500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000, 30000000};

static void count(const struct gw_request *request, int64_t duration_us)
{
    const struct gw_server *server = request->loop->server;
    size_t route = request->route ? request->route->index : server->settings.route_count;
    struct gw_route_counters *counters = &request->loop->counters[route];
    int class = request->status / 100 - 1, bound = 0;
    if (class < 0 || class >= GW_STATUS_CLASSES)
        return;
    while (bound < GW_LATENCY_BOUNDS && duration_us > gw_latency_bounds_us[bound])
        bound++;
    atomic_fetch_add_explicit(&counters->requests[class], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->latency[bound], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->latency_us, (unsigned long long)duration_us, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->bytes_in, request->body_bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->bytes_out, request->answer_bytes, memory_order_relaxed);
}

static void note(const struct gw_request *request, int64_t duration_us, bool whole)
{
    struct gw_server *server = request->loop->server;
    char client[GW_ADDRESS_TEXT];
    struct sl_buffer target;
    gw_request_client_address(request, client);
    sl_buffer_init(&target, (size_t)64 * 1024);
    sl_buffer_append_text(&target, request->path ? request->path : "");
    if (request->query_text)
        sl_buffer_append_text(&target, request->query_text);
    bool head = request->method && !strcmp(request->method, "HEAD");
    const struct gw_access_entry entry = {
        .client = client,
        .application = request->caller.application,
        .method = request->method,
        .target = target.data,
        .version = request->version,
        .referer = gw_request_header(request, "Referer"),
        .agent = gw_request_header(request, "User-Agent"),
        .route = request->route ? request->route->route->name : NULL,
        .id = *request->id ? request->id : NULL,
        .correlation = *request->correlation ? request->correlation : NULL,
        .status = request->status,
        .bytes = head || (!whole && !request->stream.open) ? 0 : request->answer_bytes,
        .begun_ms = sl_wall_ms() - duration_us / 1000,
        .duration_us = duration_us,
        .whole = whole,
    };
    gw_access_log_add(server->settings.access_log, (unsigned)(request->loop - server->loops), &entry);
    sl_buffer_free(&target);
}

void gw_request_note_end(struct gw_request *request, bool whole)
{
    struct gw_server *server = request->loop->server;
    int64_t duration_us = sl_mono_us() - request->begun_us;
    count(request, duration_us);
    if (server->settings.access_log)
        note(request, duration_us, whole);
    if (sl_log_takes(&server->log, SL_LOG_DEBUG))
        SL_DEBUG(&server->log, "%s %s %d %zu %s application=%s request=%s correlation=%s%s",
                 request->method ? request->method : "?", request->path ? request->path : "?",
                 request->status, request->answer_size, request->route ? request->route->route->name : "none",
                 request->caller.application ? request->caller.application : "-", request->id,
                 request->correlation, whole ? "" : " (not written whole)");
}
