/* config v1, ours: applications, their keys, and who is granted what. All of it waits for the disk, on a
 * worker. */
#include "gateway/api/config.h"
#include "gateway/api/stream.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/broker/acls.h"
#include "gateway/broker/brokers.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG       "/config/v1"
#define BODY_MAX     ((size_t)64 << 10)
#define LIST_DEFAULT 1000
#define LIST_MAX     100000
#define GRACE_MS     86400000 /* of the keys before a new one, where nothing is said */

/* A call on its way through a worker. Strings are the request's or body's, which outlive it. */
struct call {
    struct gw_job job; /* first */
    struct gw_request *request;
    struct gateway *gateway;
    const char *application, *hrn; /* of the path; hrn: GW_EVERY_CATALOG where the path has none */
    json_t *body;                  /* may be NULL */
    struct gw_application_spec spec;
    unsigned add, remove;
    int64_t number;   /* grace_ms, or limit */
    int64_t until_ms; /* Kafka is waited for no longer (sl_mono_ms) */
};

static void call_free(struct call *call)
{
    json_decref(call->body);
    free(call);
}

/* NULL: answered. */
static struct call *call_new(struct gw_request *request, void (*run)(struct gw_job *job))
{
    json_t *body;
    if (!gw_stream_body(request, &body))
        return NULL;
    struct call *call = calloc(1, sizeof *call);
    if (!call) {
        json_decref(body);
        gw_respond_json(request, 500, NULL);
        return NULL;
    }
    const char *hrn = gw_request_parameter(request, "hrn");
    if (hrn &&
        !strcmp(hrn, GW_EVERY_CATALOG)) { /* it was let in for its rights on catalogs, not the platform's */
        gw_respond_error(request, 404, "no-such-catalog", "* is no catalog's HRN",
                         "use /config/v1/grants for what is granted on every catalog");
        json_decref(body);
        free(call);
        return NULL;
    }
    call->job.run = run;
    call->request = request;
    call->gateway = gw_request_opaque(request);
    call->until_ms = gw_kafka_deadline_ms(call->gateway);
    call->application = gw_request_parameter(request, "application");
    call->hrn = hrn ? hrn : GW_EVERY_CATALOG;
    call->body = body;
    call->spec.granted_by = gw_request_application(request);
    return call;
}

/* Hands the call to a worker, which answers; or answers that its body is wrong. */
static void go_on(struct call *call, sl_status status, const sl_error *error)
{
    if (!status) {
        /* Where grants go to Kafka, too, it is waited for by what may change them. */
        const char *method = gw_request_method(call->request);
        bool reads = !strcmp(method, "GET") || !strcmp(method, "HEAD");
        struct gw_workers *workers =
            call->gateway->acls && !reads ? call->gateway->workers : call->gateway->disk_workers;
        gw_work_post(workers, gw_request_application(call->request), &call->job);
        return;
    }
    gw_respond_failure(call->request, error);
    call_free(call);
}

/* conflict: the code of what SL_CONFLICT is in this call. */
static void fail(struct gw_request *request, const sl_error *error, const char *conflict, const char *action)
{
    if (error->status == SL_CONFLICT && conflict)
        gw_respond_error(request, 409, conflict, error->text, action);
    else if (error->status == SL_NOT_FOUND)
        gw_respond_error(request, 404, "no-such-application", error->text,
                         "correct its name or id; those that there are: streamlayer app list, or GET "
                         "/config/v1/applications");
    else if (error->status == SL_UNSUPPORTED)
        gw_respond_error(request, 404, "no-such-catalog", error->text,
                         "create the catalog first (streamlayer catalog create, or POST "
                         "/config/v1/catalogs), or correct its HRN");
    else if (error->status == SL_TOO_LARGE)
        gw_respond_error(
            request, 409, "too-many-keys", error->text,
            "wait until some have ended, or end them all at once with \"graceMs\":0 (streamlayer "
            "app rotate --now)");
    else
        gw_respond_failure(request, error);
}

#define LAST_ADMIN                                                                                           \
    "last-admin", "give another application the right admin first: streamlayer grant NAME '*' admin"

/* The file has the change: so do the next requests. What cannot be read now is read by the watch. */
static void take_effect(struct gateway *gateway)
{
    sl_error error = {0};
    if (gw_access_refresh(gateway->access, false, &error))
        SL_WARNING(&gateway->log, "grants cannot be read anew: %s", error.text);
}

/* The same of what Kafka is told, too; what it does not take now it takes later, and the answer says so. */
static void take_effect_in_kafka(const struct call *call)
{
    take_effect(call->gateway);
    if (gw_acl_settle(call->gateway->acls, NULL, call->until_ms, NULL))
        gw_respond_header(
            call->request, "Warning",
            "199 - \"this holds at the gateway, but Kafka does not know of it yet: until it does, "
            "Direct Kafka goes by what held before (streamlayer acl check)\"");
}

/* An optional text. */
static sl_status read_text(const json_t *body, const char *name, const char **text, sl_error *error)
{
    const json_t *value = json_object_get(body, name);
    *text = json_string_value(value);
    return value && !*text ? sl_error_set(error, SL_INVALID_ARGUMENT, "\"%s\" must be a text", name) : SL_OK;
}

/* Answers what holds a secret, which is shown this once. Takes the reference. */
static void respond_secret(struct gw_request *request, json_t *value, const struct gw_application *made)
{
    struct sl_buffer url;
    sl_buffer_init(&url, 1000);
    bool good = value && gw_request_public_url(request, &url) && sl_buffer_append_text(&url, "/oauth2/token");
    if (good && *made->key_id)
        good = !json_object_set_new(value, "accessKeyId", json_string(made->key_id)) &&
               !json_object_set_new(value, "accessKeySecret", json_string(made->key_secret)) &&
               !json_object_set_new(value, "tokenEndpointUrl", json_string(url.data));
    sl_buffer_free(&url);
    if (!good) {
        json_decref(value);
        value = NULL;
    }
    gw_respond_header(request, "Cache-Control", "no-store");
    gw_respond_json(request, 201, value);
}

/* The end of a call that makes a key: the application with its secret, or why there is none. conflict,
 * action: as fail has them. */
static void finish_made(struct call *call, struct gw_application *made, const sl_error *error,
                        const char *conflict, const char *action)
{
    struct gateway *gateway = call->gateway;
    json_t *value = NULL;
    if (error->status) {
        fail(call->request, error, conflict, action);
    } else {
        if (call->spec.rights)
            take_effect_in_kafka(call);
        else
            take_effect(gateway);
        gw_applications_json(gateway->applications, made->id, &value, NULL);
        respond_secret(call->request, value, made);
    }
    OPENSSL_cleanse(made, sizeof *made);
    call_free(call);
}

/* POST applications */

static void run_create(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    struct gw_application made = {0};
    sl_error error = {0};
    char rights[SL_RIGHTS_TEXT];
    if (!gw_applications_create(call->gateway->applications, &call->spec, &made, &error))
        gw_audit(call->request, "created the application %s (%s) with the rights %s%s%s", call->spec.name,
                 made.id, sl_rights_text(call->spec.rights, rights),
                 call->spec.issuer ? ", of the issuer " : "", call->spec.issuer ? call->spec.issuer : "");
    finish_made(call, &made, &error, "application-exists",
                "choose another name, or delete the other one first (streamlayer app delete)");
}

/* Who can get no token could do nothing, and a mistyped issuer would be found by its 401 only. */
static sl_status check_issuer(const struct call *call, sl_error *error)
{
    const char *issuer = call->spec.issuer;
    if (!issuer || !call->spec.subject || gw_tokens_take_issuer(call->gateway->tokens, issuer))
        return SL_OK;
    return sl_error_set(error, SL_INVALID_ARGUMENT,
                        "\"issuer\": %.200s is none that this gateway takes tokens of "
                        "(streamlayer.gateway.token.issuers): correct it, or configure it first",
                        issuer);
}

/* On a cluster whose brokers take the issuer's tokens, the gateway's own name would be another's as well. */
static sl_status check_subject(const struct call *call, sl_error *error)
{
    const struct gw_brokers *brokers = call->gateway->brokers;
    for (size_t i = 0; call->spec.issuer && call->spec.subject && i < gw_brokers_count(brokers); i++) {
        const struct gw_broker *broker = gw_brokers_at(brokers, i);
        if (!strcmp(gw_broker_issuer(broker), call->spec.issuer) &&
            gw_broker_is_own_user(broker, call->spec.subject))
            return sl_error_set(
                error, SL_INVALID_ARGUMENT,
                "\"subject\": %.200s is the gateway's own user on the Kafka cluster %s, whose "
                "brokers take this issuer's tokens: whoever has such a token is the gateway "
                "there. Give the gateway's user a name that no token has (docs/security.md)",
                call->spec.subject, gw_broker_cluster(broker));
    }
    return SL_OK;
}

static void create(struct gw_request *request)
{
    static const char *const members[] = {"name", "issuer", "subject", "rights"};
    struct call *call = call_new(request, run_create);
    if (!call)
        return;
    sl_error error = {0};
    sl_status status = gw_check_members(call->body, members, sizeof members / sizeof *members, &error);
    if (!status)
        status = read_text(call->body, "name", &call->spec.name, &error);
    if (!status)
        status = read_text(call->body, "issuer", &call->spec.issuer, &error);
    if (!status)
        status = read_text(call->body, "subject", &call->spec.subject, &error);
    const json_t *rights = json_object_get(call->body, "rights");
    if (!status && rights)
        status = sl_rights_read(rights, SL_RIGHTS_ALL, &call->spec.rights, &error);
    if (!status)
        status = check_issuer(call, &error);
    if (!status)
        status = check_subject(call, &error);
    go_on(call, status, &error);
}

/* GET applications */

static void run_list(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    json_t *items;
    char *next;
    sl_error error = {0};
    if (gw_applications_list_json(call->gateway->applications, gw_request_query(call->request, "pageToken"),
                                  (size_t)call->number, &items, &next, &error)) {
        fail(call->request, &error, NULL, NULL);
    } else {
        gw_respond_json(call->request, 200,
                        json_pack("{s:{s:o}, s:s*}", "results", "items", items, "nextPageToken", next));
        free(next);
    }
    call_free(call);
}

static void list(struct gw_request *request)
{
    struct call *call = call_new(request, run_list);
    if (!call)
        return;
    const char *limit = gw_request_query(request, "limit");
    sl_error error = {0};
    sl_status status = SL_OK;
    call->number = LIST_DEFAULT;
    if (limit && !sl_parse_int(limit, 1, LIST_MAX, &call->number))
        status = sl_error_set(&error, SL_INVALID_ARGUMENT, "limit must be a number from 1 to %d", LIST_MAX);
    go_on(call, status, &error);
}

/* GET applications/{application} */

static void run_show(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    json_t *value;
    sl_error error = {0};
    if (gw_applications_json(call->gateway->applications, call->application, &value, &error))
        fail(call->request, &error, NULL, NULL);
    else
        gw_respond_json(call->request, 200, value);
    call_free(call);
}

static void show(struct gw_request *request)
{
    struct call *call = call_new(request, run_show);
    if (call)
        go_on(call, SL_OK, NULL);
}

/* DELETE applications/{application} */

static void run_delete(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    sl_error error = {0};
    if (gw_applications_delete(call->gateway->applications, call->application, &error)) {
        fail(call->request, &error, LAST_ADMIN);
    } else {
        gw_audit(call->request, "deleted the application %s", call->application);
        take_effect_in_kafka(call);
        gw_respond(call->request, 204, NULL, "", 0, NULL, NULL);
    }
    call_free(call);
}

static void delete (struct gw_request *request)
{
    struct call *call = call_new(request, run_delete);
    if (call)
        go_on(call, SL_OK, NULL);
}

/* POST applications/{application}/keys */

static void run_rotate(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    struct gw_application made = {0};
    sl_error error = {0};
    if (!gw_applications_rotate(call->gateway->applications, call->application, call->number, &made, &error))
        gw_audit(call->request, "gave the application %s the key %s; those before end in %lld ms",
                 call->application, made.key_id, (long long)call->number);
    finish_made(call, &made, &error, "application-without-keys",
                "have its issuer give it new credentials; or delete it and create one with a key");
}

static sl_status read_grace(const json_t *body, int64_t *grace_ms, sl_error *error)
{
    const json_t *grace = json_object_get(body, "graceMs");
    *grace_ms = grace ? json_integer_value(grace) : GRACE_MS;
    if (grace && (!json_is_integer(grace) || *grace_ms < 0 || *grace_ms > GW_GRACE_MAX_MS))
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "\"graceMs\" must be a whole number of milliseconds from 0 to %lld",
                            GW_GRACE_MAX_MS);
    return SL_OK;
}

static void rotate(struct gw_request *request)
{
    static const char *const members[] = {"graceMs"};
    struct call *call = call_new(request, run_rotate);
    if (!call)
        return;
    sl_error error = {0};
    sl_status status = gw_check_members(call->body, members, 1, &error);
    if (!status)
        status = read_grace(call->body, &call->number, &error);
    go_on(call, status, &error);
}

/* Grants */

static void run_grants(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    json_t *items;
    sl_error error = {0};
    if (gw_applications_grants_json(call->gateway->applications, call->hrn, &items, &error))
        fail(call->request, &error, NULL, NULL);
    else
        gw_respond_json(call->request, 200, json_pack("{s:o}", "grants", items));
    call_free(call);
}

static void grants(struct gw_request *request)
{
    struct call *call = call_new(request, run_grants);
    sl_error error = {0};
    if (!call)
        return;
    if (strcmp(call->hrn, GW_EVERY_CATALOG) != 0 && !gw_catalogs_exists(call->gateway->catalogs, call->hrn)) {
        sl_error_set(&error, SL_UNSUPPORTED, "there is no catalog %.300s", call->hrn);
        fail(request, &error, NULL, NULL);
        call_free(call);
        return;
    }
    go_on(call, SL_OK, NULL);
}

static void audit_grant(const struct call *call)
{
    const char *verb = !call->add ? "took" : call->remove ? "set" : "gave"; /* DELETE, PUT, PATCH */
    char rights[SL_RIGHTS_TEXT];
    gw_audit(call->request, "%s the rights %s on %s %s the application %s", verb,
             sl_rights_text(call->add ? call->add : call->remove, rights), call->hrn,
             !call->add     ? "from"
             : call->remove ? "for"
                            : "to",
             call->application);
}

static void run_grant(struct gw_job *job)
{
    struct call *call = (struct call *)job;
    sl_error error = {0};
    json_t *value = NULL;
    if (gw_applications_grant(call->gateway->applications, call->application, call->hrn, call->add,
                              call->remove, call->spec.granted_by, &error)) {
        fail(call->request, &error, LAST_ADMIN);
    } else {
        audit_grant(call);
        take_effect_in_kafka(call);
        if (!call->add)
            gw_respond(call->request, 204, NULL, "", 0, NULL, NULL);
        else if (!gw_applications_grant_json(call->gateway->applications, call->application, call->hrn,
                                             &value, &error))
            gw_respond_json(call->request, 200, value);
        else
            fail(call->request, &error, NULL, NULL);
    }
    call_free(call);
}

static unsigned rights_for(const struct call *call)
{
    return strcmp(call->hrn, GW_EVERY_CATALOG) ? SL_RIGHTS_CATALOG : SL_RIGHTS_ALL;
}

/* PUT sets, PATCH adds. */
static void grant(struct gw_request *request)
{
    static const char *const members[] = {"rights"};
    struct call *call = call_new(request, run_grant);
    if (!call)
        return;
    sl_error error = {0};
    sl_status status = gw_check_members(call->body, members, 1, &error);
    if (!status)
        status = sl_rights_read(json_object_get(call->body, "rights"), rights_for(call), &call->add, &error);
    if (!status && !call->add)
        status = sl_error_set(&error, SL_INVALID_ARGUMENT, "\"rights\" is empty: DELETE takes them all");
    if (!strcmp(gw_request_method(request), "PUT"))
        call->remove = rights_for(call);
    go_on(call, status, &error);
}

/* DELETE, all or those of ?rights=read,write */
static void revoke(struct gw_request *request)
{
    struct call *call = call_new(request, run_grant);
    if (!call)
        return;
    const char *text = gw_request_query(request, "rights");
    sl_error error = {0};
    sl_status status = SL_OK;
    call->remove = rights_for(call);
    if (text)
        status = sl_rights_parse_among(text, rights_for(call), &call->remove, &error);
    go_on(call, status, &error);
}

#define ROUTE(method_, pattern_, query_, access_, handle_, name_)                                            \
    {                                                                                                        \
        .method = (method_), .pattern = CONFIG pattern_, .flags = GW_ROUTE_EXTENSION, .access = (access_),   \
        .query = (query_), .max_body = BODY_MAX, .handle = (handle_), .name = (name_)                        \
    }
/* An administrator could grant itself the right to manage: so it need not. */
#define GRANTS (GW_ACCESS_MANAGE | GW_ACCESS_ADMIN)

const struct gw_route gw_application_routes[] = {
    ROUTE("GET", "/applications", "limit pageToken", GW_ACCESS_ADMIN, list, "config.application.list"),
    ROUTE("POST", "/applications", NULL, GW_ACCESS_ADMIN, create, "config.application.create"),
    ROUTE("GET", "/applications/{application}", NULL, GW_ACCESS_ADMIN, show, "config.application.get"),
    ROUTE("DELETE", "/applications/{application}", NULL, GW_ACCESS_ADMIN, delete,
          "config.application.delete"),
    ROUTE("POST", "/applications/{application}/keys", NULL, GW_ACCESS_ADMIN, rotate,
          "config.application.rotate"),
    ROUTE("GET", "/grants", NULL, GW_ACCESS_ADMIN, grants, "config.grant.list"),
    ROUTE("PUT", "/grants/{application}", NULL, GW_ACCESS_ADMIN, grant, "config.grant.set"),
    ROUTE("PATCH", "/grants/{application}", NULL, GW_ACCESS_ADMIN, grant, "config.grant.add"),
    ROUTE("DELETE", "/grants/{application}", "rights", GW_ACCESS_ADMIN, revoke, "config.grant.delete"),
    ROUTE("GET", "/catalogs/{hrn}/grants", NULL, GRANTS, grants, "config.grant.list"),
    ROUTE("PUT", "/catalogs/{hrn}/grants/{application}", NULL, GRANTS, grant, "config.grant.set"),
    ROUTE("PATCH", "/catalogs/{hrn}/grants/{application}", NULL, GRANTS, grant, "config.grant.add"),
    ROUTE("DELETE", "/catalogs/{hrn}/grants/{application}", "rights", GRANTS, revoke, "config.grant.delete"),
};
const size_t gw_application_route_count = sizeof gw_application_routes / sizeof *gw_application_routes;
