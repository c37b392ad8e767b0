/* config v1, ours: whether Kafka's access control lists are what was granted. It waits for Kafka, on a
 * worker. */
#include "gateway/gateway_internal.h"

#include <stdlib.h>

struct acl_call {
    struct gw_job job; /* first */
    struct gw_request *request;
    struct gateway *gateway;
    bool repair;
    int64_t until_ms; /* Kafka is waited for no longer (sl_mono_ms) */
};

static void run(struct gw_job *job)
{
    struct acl_call *call = (struct acl_call *)job;
    json_t *report;
    sl_error error = {0};
    if (gw_acl_check(call->gateway->acls, call->repair, call->until_ms, &report, &error))
        gw_respond_failure(call->request, &error);
    else {
        if (call->repair)
            gw_audit(call->request, "had Kafka's access control lists repaired");
        gw_respond_json(call->request, 200, report);
    }
    free(call);
}

static void begin(struct gw_request *request, bool repair)
{
    struct acl_call *call = malloc(sizeof *call);
    if (!call) {
        gw_respond_json(request, 500, NULL);
        return;
    }
    *call = (struct acl_call){
        .job.run = run, .request = request, .gateway = gw_request_opaque(request), .repair = repair};
    call->until_ms = gw_kafka_deadline_ms(call->gateway);
    gw_work_post(call->gateway->workers, gw_request_application(request), &call->job);
}

static void check(struct gw_request *request)
{
    begin(request, false);
}

static void repair(struct gw_request *request)
{
    begin(request, true);
}

#define ACLS "/config/v1/acls"

const struct gw_route gw_acl_routes[] = {
    {.method = "GET",
     .pattern = ACLS,
     .flags = GW_ROUTE_EXTENSION,
     .access = GW_ACCESS_ADMIN,
     .handle = check,
     .name = "config.acl.check"},
    {.method = "POST",
     .pattern = ACLS "/repair",
     .flags = GW_ROUTE_EXTENSION,
     .access = GW_ACCESS_ADMIN,
     .max_body = 1024,
     .handle = repair,
     .name = "config.acl.repair"},
};
const size_t gw_acl_route_count = sizeof gw_acl_routes / sizeof *gw_acl_routes;
