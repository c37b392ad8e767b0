#include "gateway/api/intake.h"

#include "base/time.h"

#define HELD_UP_MAX_MS 28000 /* by the throttle and Kafka together: the official SDKs give up after 30 s */
#define LEFT_MIN_MS    1000  /* for Kafka, all the same */

int gw_intake_wait_s(struct gateway *gateway, const struct gw_layer *layer, bool out, const char *application,
                     int64_t waited_us, char why[GW_WAIT_TEXT])
{
    struct gw_throttle *throttle = out ? &layer->counters->out : &layer->counters->in;
    int wait_s = gw_throttle_full(gateway->throttler, throttle, application, waited_us);
    if (wait_s)
        snprintf(why, GW_WAIT_TEXT,
                 "layer %.100s %s %d KBps, and more than that is %s: this would wait for over %d s",
                 layer->id, out ? "gives" : "takes", out ? layer->out_kbps : layer->in_kbps,
                 out ? "asked for" : "coming", wait_s);
    return wait_s;
}

static bool admits(struct gw_request *request, const struct gw_layer *layer, bool out)
{
    char why[GW_WAIT_TEXT];
    int wait_s =
        gw_intake_wait_s(gw_request_opaque(request), layer, out, gw_request_application(request), 0, why);
    if (wait_s)
        gw_respond_error_after(request, 429, "throttled", why,
                               out ? "read less, or raise the layer's dataOutThroughputKbps" : GW_SEND_LESS,
                               wait_s);
    return !wait_s;
}

static int say_wait(const struct gw_layer *layer, int wait_s, char why[GW_WAIT_TEXT])
{
    if (wait_s)
        snprintf(why, GW_WAIT_TEXT,
                 "layer %.100s takes %d KBps, and more than that is coming: a batch may be sent in %d s",
                 layer->id, layer->in_kbps, wait_s);
    return wait_s;
}

/* Seconds until so much of a batch goes in time; 0: now. */
static int batch_wait_s(struct gateway *gateway, const struct gw_layer *layer, const char *application,
                        int64_t bytes, int64_t waited_us, char why[GW_WAIT_TEXT])
{
    struct gw_throttle *throttle = &layer->counters->in;
    int64_t most = gw_throttle_most(gateway->throttler, throttle);
    return say_wait(
        layer,
        gw_throttle_over(gateway->throttler, throttle, application, bytes < most ? bytes : most, waited_us),
        why);
}

bool gw_intake_admits_batch(struct gw_request *request, const struct gw_layer *layer, int64_t whole)
{
    char why[GW_WAIT_TEXT];
    int wait_s =
        batch_wait_s(gw_request_opaque(request), layer, gw_request_application(request), whole, 0, why);
    if (wait_s)
        gw_respond_error_after(request, 429, "throttled", why, GW_SEND_LESS, wait_s);
    return !wait_s;
}

bool gw_intake_admits(struct gw_request *request, const struct gw_layer *layer)
{
    return admits(request, layer, false);
}

/* The same at the throttle of the application's Marketplace subscription, where it has one. */
static bool flow_admits(struct gw_request *request, const struct gw_layer *layer)
{
    const struct gateway *gateway = gw_request_opaque(request);
    struct gw_market_flow *flow = gw_market_flow(request, layer);
    int wait_s =
        flow ? gw_throttle_full(gateway->throttler, &flow->out, gw_request_application(request), 0) : 0;
    char why[GW_WAIT_TEXT];
    gw_market_flow_unlink(flow);
    if (!wait_s)
        return true;
    snprintf(
        why, sizeof why,
        "more is asked for than the application's Marketplace subscription gives a second: this would wait "
        "for over %d s",
        wait_s);
    gw_respond_error_after(request, 429, "throttled", why,
                           "read less, or ask the catalog's provider for a higher outboundKbps", wait_s);
    return false;
}

bool gw_outlet_admits(struct gw_request *request, const struct gw_layer *layer)
{
    return flow_admits(request, layer) && admits(request, layer, true);
}

void gw_intake_begin(struct gw_intake *intake, struct gw_request *request)
{
    intake->gateway = gw_request_opaque(request);
    intake->request = request;
}

static void granted(struct gw_pass *pass)
{
    struct gw_intake *intake = (struct gw_intake *)(void *)pass;
    intake->waits = false;
    intake->waited_ms += sl_mono_ms() - intake->since_ms;
    intake->paid += (size_t)pass->bytes;
    if (intake->request)
        gw_request_continue(intake->request);
    else
        intake->ended(intake->owner);
}

/* Pays so many bytes more. False: it waits. */
static bool pay(struct gw_intake *intake, struct gw_layer *layer, size_t bytes)
{
    intake->pass = (struct gw_pass){.loop = gw_request_loop(intake->request),
                                    .account = gw_request_application(intake->request),
                                    .bytes = (int64_t)bytes,
                                    .granted = granted};
    intake->throttle = &layer->counters->in;
    intake->waits = !gw_throttle_enter(intake->gateway->throttler, intake->throttle, &intake->pass);
    intake->held_up |= intake->waits;
    if (intake->waits)
        intake->since_ms = sl_mono_ms();
    else
        intake->paid += bytes;
    return !intake->waits;
}

bool gw_intake_pay(struct gw_intake *intake, struct gw_layer *layer, size_t size)
{
    if (intake->waits)
        return false;
    if (size > intake->paid) {
        size_t wanted = intake->whole > (int64_t)size ? (size_t)intake->whole : size;
        intake->whole = 0;
        if (!pay(intake, layer, wanted - intake->paid))
            return false;
    }
    intake->paid -= size;
    return true;
}

static int64_t due_ms(const struct gw_intake *intake)
{
    int64_t longest_us = gw_throttler_longest_us(intake->gateway->throttler);
    if (longest_us == INT64_MAX)
        return INT64_MAX;
    int64_t left_ms = longest_us / 1000 - intake->waited_ms;
    return intake->since_ms + (left_ms > 0 ? left_ms : 0);
}

enum gw_intake_verdict gw_intake_take(struct gw_intake *intake, struct gw_layer *layer, size_t size,
                                      struct gw_intake_answer *answer)
{
    bool last = intake->spent && intake->paid; /* the piece that more than reaches what is paid */
    if (!intake->waits && size > intake->paid && !last) {
        struct gateway *gateway = intake->gateway;
        int64_t most = gw_throttle_most(gateway->throttler, &layer->counters->in);
        int64_t more =
            (intake->whole > (int64_t)size ? intake->whole : (int64_t)size) - (int64_t)intake->paid;
        answer->after_s = batch_wait_s(gateway, layer, gw_request_application(intake->request), more,
                                       intake->spent ? 0 : intake->waited_ms * 1000, answer->why);
        if (intake->spent && !answer->after_s)
            answer->after_s = say_wait(layer, 1, answer->why);
        if (answer->after_s)
            return GW_INTAKE_FULL;
        intake->spent = intake->whole > most;
        intake->whole = intake->spent ? intake->whole - most : 0; /* what is to be sent again */
        pay(intake, layer, (size_t)(intake->spent ? most : more));
    }
    if (intake->waits) {
        answer->due_ms = due_ms(intake);
        return GW_INTAKE_WAITS;
    }
    gw_intake_owe(intake, size);
    return GW_INTAKE_GOES;
}

void gw_intake_owe(struct gw_intake *intake, size_t size)
{
    if (size > intake->paid) {
        gw_throttle_settle(intake->gateway->throttler, intake->throttle, (int64_t)(size - intake->paid));
        intake->paid = size;
    }
    intake->paid -= size;
}

void gw_intake_give_up(struct gw_intake *intake)
{
    if (!intake->waits || !gw_throttle_leave(intake->gateway->throttler, &intake->pass))
        return;
    intake->waits = false;
    intake->spent = true;
    intake->waited_ms += sl_mono_ms() - intake->since_ms;
}

int64_t gw_intake_deadline_ms(const struct gw_intake *intake)
{
    int64_t until_ms = gw_kafka_deadline_ms(intake->gateway), now_ms = sl_mono_ms();
    int64_t left_ms = HELD_UP_MAX_MS - intake->waited_ms;
    if (left_ms < LEFT_MIN_MS)
        left_ms = LEFT_MIN_MS;
    return until_ms < now_ms + left_ms ? until_ms : now_ms + left_ms;
}

void gw_intake_untaken(struct gw_intake *intake, size_t size)
{
    intake->paid += size;
}

bool gw_intake_end(struct gw_intake *intake, void (*ended)(void *owner), void *owner)
{
    if (intake->waits && gw_throttle_leave(intake->gateway->throttler, &intake->pass))
        intake->waits = false;
    if (intake->paid && intake->throttle) /* for what never came */
        gw_throttle_settle(intake->gateway->throttler, intake->throttle, -(int64_t)intake->paid);
    intake->paid = 0;
    intake->request = NULL;
    intake->ended = ended;
    intake->owner = owner;
    return !intake->waits;
}
