/* The server's counters, as Prometheus reads them. */
#include "gateway/http/internal.h"

#include "gateway/access_log.h"

#include <stdlib.h>
#include <string.h>

/* What all loops counted of the routes of one name. */
struct totals {
    const char *name;
    unsigned long long requests[GW_STATUS_CLASSES], latency[GW_LATENCY_BOUNDS + 1], all;
    unsigned long long latency_us, bytes_in, bytes_out;
};

static void add(struct totals *totals, const struct gw_server *server, size_t route)
{
    for (unsigned i = 0; i < server->loop_count; i++) {
        const struct gw_route_counters *counters = &server->loops[i].counters[route];
        for (size_t k = 0; k < GW_STATUS_CLASSES; k++)
            totals->requests[k] += atomic_load_explicit(&counters->requests[k], memory_order_relaxed);
        for (size_t k = 0; k <= GW_LATENCY_BOUNDS; k++) {
            unsigned long long count = atomic_load_explicit(&counters->latency[k], memory_order_relaxed);
            totals->latency[k] += count;
            totals->all += count;
        }
        totals->latency_us += atomic_load_explicit(&counters->latency_us, memory_order_relaxed);
        totals->bytes_in += atomic_load_explicit(&counters->bytes_in, memory_order_relaxed);
        totals->bytes_out += atomic_load_explicit(&counters->bytes_out, memory_order_relaxed);
    }
}

/* What was counted, by name: several paths of one name are one, and so is what matched none. count: of them.
 * NULL: no memory. */
static struct totals *sum_up(const struct gw_server *server, size_t *count)
{
    size_t routes = server->settings.route_count;
    struct totals *list = calloc(routes + 1, sizeof *list);
    *count = 0;
    for (size_t route = 0; route <= routes && list; route++) {
        const char *name = route < routes ? server->settings.routes[route].name : "none";
        size_t place = 0;
        while (place < *count && strcmp(list[place].name, name) != 0)
            place++;
        *count += place == *count;
        list[place].name = name;
        add(&list[place], server, route);
    }
    return list;
}

static void add_requests(const struct totals *totals, struct sl_buffer *text)
{
    for (unsigned class = 0; class < GW_STATUS_CLASSES; class ++)
        if (totals->requests[class])
            sl_buffer_printf(text, "streamlayer_http_requests_total{route=\"%s\",status=\"%uxx\"} %llu\n",
                             totals->name, class + 1, totals->requests[class]);
}

static void add_latency(const struct totals *totals, struct sl_buffer *text)
{
    static const char name[] = "streamlayer_http_request_duration_seconds";
    unsigned long long up_to = 0;
    for (size_t i = 0; i < GW_LATENCY_BOUNDS; i++) {
        up_to += totals->latency[i];
        sl_buffer_printf(text, "%s_bucket{route=\"%s\",le=\"%g\"} %llu\n", name, totals->name,
                         gw_latency_bounds_us[i] / 1e6, up_to);
    }
    sl_buffer_printf(text,
                     "%s_bucket{route=\"%s\",le=\"+Inf\"} %llu\n%s_sum{route=\"%s\"} %.6f\n"
                     "%s_count{route=\"%s\"} %llu\n",
                     name, totals->name, totals->all, name, totals->name, (double)totals->latency_us / 1e6,
                     name, totals->name, totals->all);
}

static void add_bytes_in(const struct totals *totals, struct sl_buffer *text)
{
    sl_buffer_printf(text, "streamlayer_http_request_bytes_total{route=\"%s\"} %llu\n", totals->name,
                     totals->bytes_in);
}

static void add_bytes_out(const struct totals *totals, struct sl_buffer *text)
{
    sl_buffer_printf(text, "streamlayer_http_response_bytes_total{route=\"%s\"} %llu\n", totals->name,
                     totals->bytes_out);
}

static bool route_metrics(const struct gw_server *server, struct sl_buffer *text)
{
    static const struct {
        const char *head;
        void (*add)(const struct totals *totals, struct sl_buffer *text);
    } series[] = {
        {"# HELP streamlayer_http_requests_total Requests answered, by route and class of status.\n"
         "# TYPE streamlayer_http_requests_total counter\n",
         add_requests},
        {"# HELP streamlayer_http_request_duration_seconds Time from a request's first line until its answer "
         "was written; of polls with what they waited for messages.\n"
         "# TYPE streamlayer_http_request_duration_seconds histogram\n",
         add_latency},
        {"# HELP streamlayer_http_request_bytes_total Bytes of requests' bodies.\n"
         "# TYPE streamlayer_http_request_bytes_total counter\n",
         add_bytes_in},
        {"# HELP streamlayer_http_response_bytes_total Bytes of answers' bodies.\n"
         "# TYPE streamlayer_http_response_bytes_total counter\n",
         add_bytes_out},
    };
    size_t count;
    struct totals *list = sum_up(server, &count);
    if (!list)
        return false;
    for (size_t i = 0; i < sizeof series / sizeof *series; i++) {
        sl_buffer_append_text(text, series[i].head);
        for (size_t k = 0; k < count; k++)
            if (list[k].all)
                series[i].add(&list[k], text);
    }
    free(list);
    return true;
}

static void tls_metrics(const struct gw_server *server, struct sl_buffer *text)
{
    static const char *const reasons[GW_HANDSHAKE_FAULTS] = {
        [GW_HANDSHAKE_PLAIN_HTTP] = "plain_http",
        [GW_HANDSHAKE_NOTHING_IN_COMMON] = "nothing_in_common",
        [GW_HANDSHAKE_NO_CERTIFICATE] = "no_certificate",
        [GW_HANDSHAKE_BAD_CERTIFICATE] = "bad_certificate",
        [GW_HANDSHAKE_CLIENT_LEFT] = "client_left",
    };
    sl_buffer_append_text(
        text, "# HELP streamlayer_tls_handshakes_failed_total TLS handshakes that came to nothing, by why.\n"
              "# TYPE streamlayer_tls_handshakes_failed_total counter\n");
    for (size_t i = 0; i < GW_HANDSHAKE_FAULTS; i++)
        sl_buffer_printf(text, "streamlayer_tls_handshakes_failed_total{reason=\"%s\"} %llu\n", reasons[i],
                         atomic_load(&server->handshakes_failed[i]));
    sl_buffer_printf(text,
                     "# HELP streamlayer_tls_certificate_not_after_seconds When the certificate, or one of "
                     "its chain, ends, in seconds since 1970.\n"
                     "# TYPE streamlayer_tls_certificate_not_after_seconds gauge\n"
                     "streamlayer_tls_certificate_not_after_seconds %lld\n",
                     (long long)atomic_load(&server->tls_not_after));
}

bool gw_server_metrics(const struct gw_server *server, struct sl_buffer *text)
{
    if (!route_metrics(server, text))
        return false;
    sl_buffer_printf(text,
                     "# HELP streamlayer_http_connections Connections open.\n"
                     "# TYPE streamlayer_http_connections gauge\nstreamlayer_http_connections %u\n"
                     "# HELP streamlayer_http_streams Event streams open.\n"
                     "# TYPE streamlayer_http_streams gauge\nstreamlayer_http_streams %u\n"
                     "# HELP streamlayer_http_requests_in_flight Requests begun and not ended.\n"
                     "# TYPE streamlayer_http_requests_in_flight gauge\n"
                     "streamlayer_http_requests_in_flight %u\n",
                     atomic_load(&server->connections), atomic_load(&server->streams),
                     atomic_load(&server->in_flight));
    static const char *const waits[GW_WAITS] = {NULL, "head", "body", "answer", "idle"};
    sl_buffer_append_text(text,
                          "# HELP streamlayer_http_connections_cut_total Connections closed because their "
                          "client kept the gateway waiting, by what for.\n"
                          "# TYPE streamlayer_http_connections_cut_total counter\n");
    for (size_t i = 0; i < GW_WAITS; i++)
        if (waits[i])
            sl_buffer_printf(text, "streamlayer_http_connections_cut_total{waited_for=\"%s\"} %llu\n",
                             waits[i], atomic_load(&server->cuts[i]));
    sl_buffer_printf(
        text,
        "# HELP streamlayer_http_connections_surplus_total Connections closed at once, far over a "
        "limit.\n# TYPE streamlayer_http_connections_surplus_total counter\n"
        "streamlayer_http_connections_surplus_total %llu\n",
        atomic_load(&server->surplus));
    gw_limit_metrics(server, text);
    if (atomic_load(&server->tls_not_after))
        tls_metrics(server, text);
    if (server->settings.access_log)
        sl_buffer_printf(text,
                         "# HELP streamlayer_access_log_lost_lines_total Lines left out of the access log.\n"
                         "# TYPE streamlayer_access_log_lost_lines_total counter\n"
                         "streamlayer_access_log_lost_lines_total %llu\n",
                         gw_access_log_lost(server->settings.access_log));
    return !text->failed;
}
