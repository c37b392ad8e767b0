/* config v1, ours: Marketplace subscriptions. All of it waits for the disk, on a worker. */
#include "gateway/api/config.h"
#include "gateway/api/stream.h"

#include "base/error.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

#define BODY_MAX ((size_t)64 << 10)
/* JSON's numbers are exact to there in every client, and no clock gets so far. */
#define NUMBER_MAX ((int64_t)1 << 53)

/* A call on its way through a worker. Strings are the request's, which outlives it. */
struct call {
    struct gw_job job; /* first */
    struct gw_request *request;
    struct gateway *gateway;
    const char *application, *hrn; /* of the path; NULL where it has none */
    struct gw_market_terms terms;
    bool keeps_from; /* it begins when the one before it did, or now */
};

/* NULL: answered. */
static struct call *call_new(struct gw_request *request, void (*run)(struct gw_job *job))
{
    struct call *call = calloc(1, sizeof *call);
    if (!call) {
        gw_respond_json(request, 500, NULL);
        return NULL;
    }
    call->job.run = run;
    call->request = request;
    call->gateway = gw_request_opaque(request);
    call->application = gw_request_parameter(request, "application");
    call->hrn = gw_request_parameter(request, "hrn");
    return call;
}

static void go_on(struct call *call)
{
    gw_work_post(call->gateway->disk_workers, gw_request_application(call->request), &call->job);
}

static void fail(struct gw_request *request, const sl_error *error)
{
    if (error->status == SL_CONFLICT)
        gw_respond_error(
            request, 409, "not-on-marketplace", error->text,
            "grant the right to read instead (streamlayer grant), or offer the data in a catalog "
            "that is made for the Marketplace (streamlayer catalog create --marketplace)");
    else if (error->status == SL_NOT_FOUND)
        gw_respond_error(request, 404, "no-such-application", error->text,
                         "correct its name or id; those that there are: streamlayer app list, or GET "
                         "/config/v1/applications");
    else
        gw_respond_failure(request, error);
}

static void no_catalog(struct gw_request *request, const char *hrn)
{
    gw_respond_errorf(request, 404, "no-such-catalog",
                      "correct the catalog's HRN; those that there are: streamlayer catalog list, or GET "
                      "/config/v1/catalogs",
                      "there is no catalog %.300s", hrn);
}

static void not_subscribed(struct gw_request *request, const char *cause)
{
    gw_respond_error(request, 404, "no-such-marketplace-subscription", cause,
                     "those that there are: streamlayer marketplace list HRN, or GET "
                     "/config/v1/catalogs/{hrn}/marketplace-subscriptions");
}

/* GET …/marketplace-subscriptions */

static void run_list(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    /* Without a catalog one's own. */
    const char *of = call->hrn ? NULL : gw_request_application(call->request);
    json_t *items;
    sl_error error = {0};
    if (call->hrn && !gw_catalogs_exists(call->gateway->catalogs, call->hrn))
        no_catalog(call->request, call->hrn);
    else if (gw_market_json(call->gateway->market, of, call->hrn, &items, &error))
        fail(call->request, &error);
    else
        gw_respond_json(call->request, 200, json_pack("{s:o}", "marketplaceSubscriptions", items));
    free(call);
}

static void list(struct gw_request *request)
{
    struct call *call = call_new(request, run_list);
    if (call)
        go_on(call);
}

/* GET …/marketplace-subscriptions/{application} */

static void answer_one(struct call *call)
{
    json_t *items;
    sl_error error = {0};
    if (gw_market_json(call->gateway->market, call->application, call->hrn, &items, &error)) {
        fail(call->request, &error);
        return;
    }
    json_t *one = json_incref(json_array_get(items, 0));
    json_decref(items);
    if (one)
        gw_respond_json(call->request, 200, one);
    else
        not_subscribed(call->request, "the application has no Marketplace subscription to the catalog");
}

static void run_show(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    answer_one(call);
    free(call);
}

static void show(struct gw_request *request)
{
    struct call *call = call_new(request, run_show);
    if (call)
        go_on(call);
}

/* PUT …/marketplace-subscriptions/{application} */

/* When the application's subscription to the catalog began; now without one. */
static sl_status find_begin(struct call *call, sl_error *error)
{
    json_t *items;
    sl_status status = gw_market_json(call->gateway->market, call->application, call->hrn, &items, error);
    if (status)
        return status;
    const json_t *from = json_object_get(json_array_get(items, 0), "from");
    call->terms.from_ms = from ? json_integer_value(from) : sl_wall_ms();
    json_decref(items);
    return call->terms.from_ms < call->terms.until_ms
               ? SL_OK
               : sl_error_set(error, SL_INVALID_ARGUMENT,
                              "\"until\" is not after the begin, which is %s: give \"from\", too",
                              from ? "that of the subscription before" : "now");
}

static void run_set(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    sl_error error = {0};
    sl_status status = call->keeps_from ? find_begin(call, &error) : SL_OK;
    if (!status)
        status = gw_market_set(call->gateway->market, call->application, call->hrn, &call->terms,
                               gw_request_application(call->request), &error);
    if (status == SL_UNSUPPORTED) {
        no_catalog(call->request, call->hrn);
    } else if (status) {
        fail(call->request, &error);
    } else {
        gw_audit(call->request, "set the Marketplace subscription of the application %s to %s",
                 call->application, call->hrn);
        gw_throttler_changed(call->gateway->throttler);
        answer_one(call);
    }
    free(call);
}

#define TIME "ms since 1970"

/* A whole number that may be absent. */
static sl_status read_number(const json_t *body, const char *name, const char *unit, int64_t min, int64_t max,
                             int64_t *value, sl_error *error)
{
    const json_t *given = json_object_get(body, name);
    if (!given)
        return SL_OK;
    *value = json_integer_value(given);
    if (json_is_integer(given) && *value >= min && *value <= max)
        return SL_OK;
    return sl_error_set(error, SL_INVALID_ARGUMENT, "\"%s\" must be a whole number from %lld to %lld: %s",
                        name, (long long)min, (long long)max, unit);
}

static sl_status read_period(const json_t *body, enum gw_period *period, sl_error *error)
{
    const json_t *given = json_object_get(body, "period");
    const char *name = json_string_value(given);
    for (unsigned i = 0; name && i < GW_PERIOD_COUNT; i++)
        if (!strcmp(name, gw_period_names[i])) {
            *period = (enum gw_period)i;
            return SL_OK;
        }
    return given
               ? sl_error_set(error, SL_INVALID_ARGUMENT, "\"period\" must be \"day\", \"month\" or \"all\"")
               : SL_OK;
}

static sl_status read_terms(const json_t *body, struct call *call, sl_error *error)
{
    static const char *const members[] = {"from", "until", "outboundKbps", "volumeBytes", "period"};
    struct gw_market_terms *terms = &call->terms;
    int64_t kbps = GW_MARKET_KBPS_MAX;
    *terms = (struct gw_market_terms){.from_ms = -1, .until_ms = INT64_MAX};
    sl_status status = gw_check_members(body, members, sizeof members / sizeof *members, error);
    if (!status)
        status = read_number(body, "from", TIME, 0, NUMBER_MAX, &terms->from_ms, error);
    if (!status)
        status = read_number(body, "until", TIME, 0, NUMBER_MAX, &terms->until_ms, error);
    if (!status)
        status =
            read_number(body, "outboundKbps", "KBps", GW_MARKET_KBPS_MIN, GW_MARKET_KBPS_MAX, &kbps, error);
    if (!status)
        status = read_number(body, "volumeBytes", "bytes", 1, NUMBER_MAX, &terms->volume, error);
    if (!status)
        status = read_period(body, &terms->period, error);
    if (!status && terms->period != GW_PERIOD_ALL && !terms->volume)
        status = sl_error_set(error, SL_INVALID_ARGUMENT,
                              "\"period\" is what \"volumeBytes\" is counted in, which is missing");
    if (!status && terms->until_ms <= terms->from_ms)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "\"until\" must be after \"from\"");
    terms->out_kbps = (int)kbps;
    call->keeps_from = terms->from_ms < 0;
    return status;
}

static void set(struct gw_request *request)
{
    json_t *body;
    if (!gw_stream_body(request, &body))
        return;
    struct call *call = call_new(request, run_set);
    sl_error error = {0};
    if (call && !read_terms(body, call, &error)) {
        go_on(call);
    } else if (call) {
        gw_respond_failure(request, &error);
        free(call);
    }
    json_decref(body);
}

/* DELETE …/marketplace-subscriptions/{application} */

static void run_remove(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    sl_error error = {0};
    sl_status status = gw_market_remove(call->gateway->market, call->application, call->hrn, &error);
    if (status == SL_UNSUPPORTED)
        not_subscribed(call->request, error.text);
    else if (status)
        fail(call->request, &error);
    else {
        gw_audit(call->request, "ended the Marketplace subscription of the application %s to %s",
                 call->application, call->hrn);
        gw_respond(call->request, 204, NULL, "", 0, NULL, NULL);
    }
    free(call);
}

static void take_away(struct gw_request *request)
{
    struct call *call = call_new(request, run_remove);
    if (call)
        go_on(call);
}

#define ROUTE(method_, pattern_, access_, handle_, name_)                                                    \
    {                                                                                                        \
        .method = (method_), .pattern = "/config/v1" pattern_, .flags = GW_ROUTE_EXTENSION,                  \
        .access = (access_), .max_body = BODY_MAX, .handle = (handle_), .name = (name_)                      \
    }
#define SUBSCRIPTIONS "/marketplace-subscriptions"
#define PROVIDER      (GW_ACCESS_MANAGE | GW_ACCESS_ADMIN)

const struct gw_route gw_market_routes[] = {
    ROUTE("GET", SUBSCRIPTIONS, GW_ACCESS_NONE, list, "config.marketplace.list"),
    ROUTE("GET", "/catalogs/{hrn}" SUBSCRIPTIONS, PROVIDER, list, "config.marketplace.list"),
    ROUTE("GET", "/catalogs/{hrn}" SUBSCRIPTIONS "/{application}", PROVIDER, show, "config.marketplace.get"),
    ROUTE("PUT", "/catalogs/{hrn}" SUBSCRIPTIONS "/{application}", PROVIDER, set, "config.marketplace.set"),
    ROUTE("DELETE", "/catalogs/{hrn}" SUBSCRIPTIONS "/{application}", PROVIDER, take_away,
          "config.marketplace.delete"),
};
const size_t gw_market_route_count = sizeof gw_market_routes / sizeof *gw_market_routes;
