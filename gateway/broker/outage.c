#include "gateway/broker/outage.h"

#include "base/error.h"
#include "base/time.h"
#include "gateway/http/server.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#define ASK_AGAIN_MS   1000
#define ASK_TIMEOUT_MS 2000

struct gw_outage {
    struct gw_broker *broker;
    struct gw_workers *workers;
    struct gw_loop *loop;
    atomic_bool asking;    /* until it has answered */
    atomic_llong since_ms; /* sl_mono_ms(); 0: it answers */
    int64_t begun_ms;      /* when it was first asked; the job's */
    struct gw_job job;
    struct gw_task task;
    struct gw_timer timer;
};

sl_status gw_outage_create(struct gw_broker *broker, struct gw_workers *workers, struct gw_loop *loop,
                           struct gw_outage **out, sl_error *error)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return sl_error_oom(error);
    (*out)->broker = broker;
    (*out)->workers = workers;
    (*out)->loop = loop;
    return SL_OK;
}

void gw_outage_destroy(struct gw_outage **outage)
{
    free(*outage);
    *outage = NULL;
}

static void ask_again(struct gw_timer *timer)
{
    struct gw_outage *outage =
        (struct gw_outage *)(void *)((char *)timer - offsetof(struct gw_outage, timer));
    (void)!gw_work_try(outage->workers, NULL, &outage->job); /* else the gateway is being stopped */
}

/* On the loop. Without memory for the timer it is asked at once: the question itself takes a while. */
static void wait_a_little(struct gw_task *task)
{
    struct gw_outage *outage = (struct gw_outage *)(void *)((char *)task - offsetof(struct gw_outage, task));
    outage->timer.run = ask_again;
    if (gw_timer_set(outage->loop, &outage->timer, sl_mono_ms() + ASK_AGAIN_MS))
        ask_again(&outage->timer);
}

/* On a worker. */
static void ask(struct gw_job *job)
{
    struct gw_outage *outage = (struct gw_outage *)(void *)((char *)job - offsetof(struct gw_outage, job));
    sl_error error;
    if (!outage->begun_ms)
        outage->begun_ms = sl_mono_ms();
    if (!gw_broker_check(outage->broker, ASK_TIMEOUT_MS, &error)) {
        outage->begun_ms = 0;
        atomic_store(&outage->since_ms, 0);
        atomic_store(&outage->asking, false);
        return;
    }
    atomic_store(&outage->since_ms, outage->begun_ms);
    outage->task.run = wait_a_little;
    gw_loop_post(outage->loop, &outage->task);
}

void gw_outage_suspect(struct gw_outage *outage)
{
    if (atomic_load(&outage->asking) || atomic_exchange(&outage->asking, true))
        return;
    outage->job.run = ask;
    if (!gw_work_try(outage->workers, NULL, &outage->job))
        atomic_store(&outage->asking, false);
}

int64_t gw_outage_ms(const struct gw_outage *outage)
{
    int64_t since = atomic_load_explicit(&outage->since_ms, memory_order_relaxed);
    return since ? sl_mono_ms() - since : 0;
}
