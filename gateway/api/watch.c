/* Follows what other programs change in the store of applications: the command line, on a data directory. */
#include "base/time.h"
#include "gateway/gateway_internal.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define WATCH_MS 1000

struct gw_watch_access {
    struct gw_job job;   /* first */
    struct gw_task task; /* sets the timer */
    struct gw_timer timer;
    struct gateway *gateway;
    struct gw_loop *loop;
    bool failing; /* it was said; the worker's */
};

static void look(struct gw_job *job)
{
    struct gw_watch_access *watch = (struct gw_watch_access *)(void *)job;
    sl_error error = {0};
    bool failed = gw_access_refresh(watch->gateway->access, true, &error) != SL_OK;
    if (failed && !watch->failing)
        SL_WARNING(&watch->gateway->log, "grants cannot be read anew, those known stay: %s", error.text);
    watch->failing = failed;
    gw_loop_post(watch->loop, &watch->task);
}

static void due(struct gw_timer *timer)
{
    struct gw_watch_access *watch =
        (struct gw_watch_access *)(void *)((char *)timer - offsetof(struct gw_watch_access, timer));
    gw_work_try(watch->gateway->token_workers, NULL, &watch->job);
}

static void set_timer(struct gw_task *task)
{
    struct gw_watch_access *watch =
        (struct gw_watch_access *)(void *)((char *)task - offsetof(struct gw_watch_access, task));
    if (gw_timer_set(watch->loop, &watch->timer, sl_mono_ms() + WATCH_MS))
        SL_WARNING(&watch->gateway->log,
                   "out of memory: grants changed by other programs are seen at the next start");
}

sl_status gw_watch_access_start(struct gateway *gateway, struct gw_watch_access **out, sl_error *error)
{
    struct gw_watch_access *watch = calloc(1, sizeof *watch);
    *out = watch;
    if (!watch)
        return sl_error_oom(error);
    watch->gateway = gateway;
    watch->loop = gw_server_loop(gateway->server, 0);
    watch->job.run = look;
    watch->task.run = set_timer;
    watch->timer.run = due;
    gw_loop_post(watch->loop, &watch->task);
    return SL_OK;
}

void gw_watch_access_free(struct gw_watch_access **watch)
{
    free(*watch);
    *watch = NULL;
}
