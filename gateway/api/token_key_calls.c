/* The keys of tokens over the config API (ours): what there is, the next one, an end to one; and the clock
 * that has time do the same. */
#include "base/error.h"
#include "base/time.h"
#include "gateway/api/tokens.h"
#include "gateway/gateway_internal.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MS 60000 /* after a failure of the disk */

/* --- Calls --- */

struct key_call {
    struct gw_job job;
    struct gw_request *request;
    struct gateway *gateway;
};

static void fail(struct gw_request *request, const sl_error *error)
{
    if (error->status == SL_NOT_FOUND)
        gw_respond_error(request, 404, "no-such-token-key", error->text,
                         "see which there are: GET /config/v1/token-keys, streamlayer token keys");
    else if (error->status == SL_QUEUE_FULL)
        gw_respond_error(request, 503, "too-many-token-keys", error->text,
                         "wait until tokens of old keys have ended, or revoke one of them");
    else
        gw_respond_failure(request, error);
}

static void run_list(struct gw_job *job)
{
    struct key_call *call = (struct key_call *)job;
    json_t *keys = gw_token_keys_json(gw_tokens_keys(call->gateway->tokens), sl_wall_ms());
    gw_respond_json(call->request, 200, keys ? json_pack("{s:o}", "keys", keys) : NULL);
    free(call);
}

static void run_rotate(struct gw_job *job)
{
    struct key_call *call = (struct key_call *)job;
    sl_error error = {0};
    bool made;
    json_t *key;
    if (gw_token_keys_rotate(gw_tokens_keys(call->gateway->tokens), sl_wall_ms(), &made, &key, &error))
        fail(call->request, &error);
    else {
        if (made)
            gw_audit(call->request, "made the token key %s", json_string_value(json_object_get(key, "kid")));
        gw_respond_json(call->request, made ? 201 : 200, key);
    }
    free(call);
}

static void run_revoke(struct gw_job *job)
{
    struct key_call *call = (struct key_call *)job;
    sl_error error = {0};
    if (gw_tokens_revoke_key(call->gateway->tokens, gw_request_parameter(call->request, "kid"), &error))
        fail(call->request, &error);
    else {
        gw_audit(call->request, "revoked the token key %s", gw_request_parameter(call->request, "kid"));
        gw_respond(call->request, 204, NULL, "", 0, NULL, NULL);
    }
    free(call);
}

static void begin(struct gw_request *request, void (*run)(struct gw_job *job))
{
    struct key_call *call = malloc(sizeof *call);
    if (!call) {
        gw_respond_json(request, 500, NULL);
        return;
    }
    *call = (struct key_call){.job.run = run, .request = request, .gateway = gw_request_opaque(request)};
    gw_work_post(call->gateway->token_workers, NULL, &call->job);
}

static void list_keys(struct gw_request *request)
{
    begin(request, run_list);
}

static void rotate_key(struct gw_request *request)
{
    begin(request, run_rotate);
}

static void revoke_key(struct gw_request *request)
{
    begin(request, run_revoke);
}

#define KEYS "/config/v1/token-keys"

const struct gw_route gw_token_key_routes[] = {
    {.method = "GET",
     .pattern = KEYS,
     .flags = GW_ROUTE_EXTENSION,
     .access = GW_ACCESS_ADMIN,
     .handle = list_keys,
     .name = "config.token_keys"},
    {.method = "POST",
     .pattern = KEYS,
     .flags = GW_ROUTE_EXTENSION,
     .access = GW_ACCESS_ADMIN,
     .max_body = 1024,
     .handle = rotate_key,
     .name = "config.token_key.rotate"},
    {.method = "DELETE",
     .pattern = KEYS "/{kid}",
     .flags = GW_ROUTE_EXTENSION,
     .access = GW_ACCESS_ADMIN,
     .handle = revoke_key,
     .name = "config.token_key.revoke"},
};
const size_t gw_token_key_route_count = sizeof gw_token_key_routes / sizeof *gw_token_key_routes;

/* --- The clock --- */

struct gw_token_clock {
    struct gw_job job;   /* first */
    struct gw_task task; /* sets the timer */
    struct gw_timer timer;
    struct gateway *gateway;
    struct gw_loop *loop;
    int64_t due_ms;
};

static void run_tick(struct gw_job *job)
{
    struct gw_token_clock *clock = (struct gw_token_clock *)job;
    sl_error error = {0};
    if (gw_tokens_tick(clock->gateway->tokens, &clock->due_ms, &error)) {
        SL_ERROR(&clock->gateway->log, "tokens: %s", error.text);
        clock->due_ms = sl_mono_ms() + RETRY_MS;
    }
    gw_loop_post(clock->loop, &clock->task);
}

static void tick_due(struct gw_timer *timer)
{
    struct gw_token_clock *clock =
        (struct gw_token_clock *)(void *)((char *)timer - offsetof(struct gw_token_clock, timer));
    gw_work_try(clock->gateway->token_workers, NULL, &clock->job);
}

static void set_timer(struct gw_task *task)
{
    struct gw_token_clock *clock =
        (struct gw_token_clock *)(void *)((char *)task - offsetof(struct gw_token_clock, task));
    clock->timer.run = tick_due;
    if (gw_timer_set(clock->loop, &clock->timer, clock->due_ms))
        SL_ERROR(&clock->gateway->log,
                 "tokens: out of memory; their keys are not changed by themselves until the next start");
}

sl_status gw_token_clock_start(struct gateway *gateway, struct gw_token_clock **out, sl_error *error)
{
    struct gw_token_clock *clock = calloc(1, sizeof *clock);
    *out = clock;
    if (!clock)
        return sl_error_oom(error);
    clock->gateway = gateway;
    clock->loop = gw_server_loop(gateway->server, 0);
    clock->job.run = run_tick;
    clock->task.run = set_timer;
    gw_work_post(gateway->token_workers, NULL, &clock->job);
    return SL_OK;
}

void gw_token_clock_free(struct gw_token_clock **clock)
{
    free(*clock);
    *clock = NULL;
}
