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

bool gw_intake_pay(struct gw_intake *intake, struct gw_layer *layer, size_t size)
{
    if (intake->waits)
        return false;
    if (size > intake->paid) {
        size_t wanted = intake->whole > (int64_t)size ? (size_t)intake->whole : size;
        intake->whole = 0;
        intake->pass = (struct gw_pass){.loop = gw_request_loop(intake->request),
                                        .account = gw_request_application(intake->request),
                                        .bytes = (int64_t)(wanted - intake->paid),
                                        .granted = granted};
        intake->throttle = &layer->counters->in;
        intake->waits = !gw_throttle_enter(intake->gateway->throttler, intake->throttle, &intake->pass);
        if (intake->waits) {
            intake->since_ms = sl_mono_ms();
            return false;
        }
        intake->paid = wanted;
    }
    intake->paid -= size;
    return true;
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
