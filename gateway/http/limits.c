/* Limits that were reached, as whoever operates the gateway wants to know before its users tell. */
#include "gateway/http/internal.h"

#include <string.h>

/* By their names below streamlayer.gateway.limits. The first one shares its error with others. */
static const struct {
    const char *limit;
    int status;
    const char *code;
} limits[] = {
    {"requests", 0, NULL},
    {"application-publications", 429, "too-many-publications"},
    {"application-requests", 429, "too-many-requests"},
    {"application-subscriptions", 429, "too-many-subscriptions"},
    {"blob", 413, "blob-too-large"},
    {"body", 413, "body-too-large"},
    {"connections", 503, "too-many-connections"},
    {"connections-per-address", 429, "too-many-connections"},
    {"group-subscriptions", 429, "too-many-group-subscriptions"},
    {"publications", 503, "too-many-publications"},
    {"subscriptions", 503, "too-many-subscriptions"},
    {"throttle-wait", 429, "throttled"},
};
_Static_assert(sizeof limits / sizeof *limits == GW_LIMITS, "a counter for each");

static void note(struct gw_server *server, size_t limit)
{
    atomic_fetch_add_explicit(&server->limits_reached[limit], 1, memory_order_relaxed);
}

void gw_limit_note_requests(struct gw_server *server)
{
    note(server, 0);
}

void gw_limit_note_error(struct gw_server *server, int status, const char *code)
{
    for (size_t i = 1; i < GW_LIMITS; i++)
        if (limits[i].status == status && !strcmp(limits[i].code, code))
            note(server, i);
}

void gw_limit_metrics(const struct gw_server *server, struct sl_buffer *text)
{
    sl_buffer_printf(text,
                     "# HELP streamlayer_limit_reached_total What was refused because a limit was reached, "
                     "by its name below streamlayer.gateway.limits.\n"
                     "# TYPE streamlayer_limit_reached_total counter\n"
                     "streamlayer_limit_reached_total{limit=\"bytes-in-flight\"} %llu\n",
                     gw_budget_refused(server->settings.budget));
    for (size_t i = 0; i < GW_LIMITS; i++)
        sl_buffer_printf(text, "streamlayer_limit_reached_total{limit=\"%s\"} %llu\n", limits[i].limit,
                         atomic_load_explicit(&server->limits_reached[i], memory_order_relaxed));
}
