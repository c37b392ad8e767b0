/* usage v1: the statement of a month, signed with a key that is for nothing else and has no end, so that it
 * can be checked for as long as there is need. */
#include "gateway/api/statement.h"

#include "base/array.h"
#include "base/error.h"
#include "base/time.h"
#include "gateway/api/token_keys.h"
#include "gateway/api/usage.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINES_MAX 100000 /* in one statement */

/* Deliveries of which it is not known whether they arrived: what of the figures they are. */
struct doubt {
    int64_t deliveries, messages, bytes, blob_bytes;
};

/* What an application has used of a layer. */
struct line {
    char *application, *hrn, *layer;
    struct gw_usage usage;
    struct doubt doubt;
};

struct statement {
    struct gw_usage_call *call;
    struct line *lines; /* in the order of applications, catalogs, layers */
    size_t count, capacity;
    struct gw_usage sum;
    struct doubt doubt;
    bool failed, too_many;
};

/* --- Adding up --- */

static int compare(const char *application, const char *hrn, const char *layer, const struct line *line)
{
    int order = strcmp(application, line->application);
    if (!order)
        order = strcmp(hrn, line->hrn);
    return order ? order : strcmp(layer, line->layer);
}

static struct line *line_for(struct statement *statement, const struct gw_usage_line *of)
{
    struct line *last = statement->count ? &statement->lines[statement->count - 1] : NULL;
    if (last && !compare(of->application, of->hrn, of->layer, last))
        return last;
    statement->too_many = statement->count == LINES_MAX;
    if (statement->too_many || !sl_array_reserve((void **)&statement->lines, statement->count,
                                                 &statement->capacity, sizeof *statement->lines))
        return NULL;
    struct line *line = &statement->lines[statement->count++];
    *line = (struct line){
        .application = strdup(of->application), .hrn = strdup(of->hrn), .layer = strdup(of->layer)};
    return line->application && line->hrn && line->layer ? line : NULL;
}

static bool each_line(void *opaque, const struct gw_usage_line *of)
{
    struct statement *statement = opaque;
    if (!gw_usage_shows(statement->call, of->application, of->hrn))
        return true;
    struct line *line = line_for(statement, of);
    statement->failed |= !line && !statement->too_many;
    if (!line)
        return false;
    gw_usage_add(&line->usage, &of->usage);
    gw_usage_add(&statement->sum, &of->usage);
    return true;
}

static void add_doubt(struct doubt *sum, const struct gw_unconfirmed *delivery)
{
    sum->deliveries++;
    sum->messages += delivery->messages;
    sum->bytes += delivery->bytes;
    sum->blob_bytes += delivery->blob_bytes;
}

static bool each_unconfirmed(void *opaque, const struct gw_unconfirmed *delivery)
{
    struct statement *statement = opaque;
    size_t low = 0, high = statement->count;
    if (!gw_usage_shows(statement->call, delivery->application, delivery->hrn))
        return true;
    add_doubt(&statement->doubt, delivery);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(delivery->application, delivery->hrn, delivery->layer, &statement->lines[middle]);
        if (!order)
            add_doubt(&statement->lines[middle].doubt, delivery);
        if (order <= 0)
            high = middle;
        if (order >= 0)
            low = middle + 1;
    }
    return true;
}

/* --- As JSON --- */

static bool set_doubt(json_t *object, const struct doubt *doubt)
{
    return !json_object_set_new(object, "unconfirmed",
                                json_pack("{s:I, s:I, s:I, s:I}", "deliveries", (json_int_t)doubt->deliveries,
                                          "messagesOut", (json_int_t)doubt->messages, "bytesOut",
                                          (json_int_t)doubt->bytes, "blobBytesOut",
                                          (json_int_t)doubt->blob_bytes));
}

/* NULL: no memory. */
static json_t *lines_json(const struct statement *statement)
{
    json_t *list = json_array();
    bool good = list != NULL;
    for (size_t i = 0; i < statement->count && good; i++) {
        const struct line *line = &statement->lines[i];
        char *name = gw_usage_name(statement->call, line->application);
        json_t *item = json_pack("{s:s, s:s*, s:s, s:s}", "application", line->application, "name", name,
                                 "hrn", line->hrn, "layer", line->layer);
        free(name);
        good = gw_usage_set(item, &line->usage) && set_doubt(item, &line->doubt) &&
               !json_array_append(list, item);
        json_decref(item);
    }
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

/* What is signed. NULL: no memory. */
static json_t *statement_json(const struct statement *statement)
{
    const struct gw_usage_call *call = statement->call;
    int64_t now_ms = sl_wall_ms(), end_ms = call->filter.to_hour * GW_HOUR_MS;
    char from[32], to[32], made[32];
    gw_time_text(call->filter.from_hour * GW_HOUR_MS, from);
    gw_time_text(end_ms, to);
    gw_time_text(now_ms, made);
    json_t *sum = json_object(), *lines = lines_json(statement);
    bool good = gw_usage_set(sum, &statement->sum) && set_doubt(sum, &statement->doubt);
    json_t *value =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s*, s:s*, s:s*, s:o, s:o}", "issuer",
                  gw_issuer(call->gateway), "month", gw_request_parameter(call->request, "month"), "from",
                  from, "to", to, "made", made, "complete", now_ms >= end_ms, "madeFor",
                  gw_request_application(call->request), "application", call->filter.application, "catalog",
                  call->filter.hrn, "onlyLayer", call->filter.layer, "lines", lines, "sum", sum);
    if (good)
        return value;
    json_decref(value);
    return NULL;
}

static json_t *sign(const struct gw_usage_call *call, json_t *statement)
{
    char *payload = statement ? json_dumps(statement, JSON_COMPACT) : NULL, *jws = NULL;
    json_t *signed_one = NULL;
    if (payload && !gw_token_keys_sign(call->gateway->statement_keys, sl_wall_ms(), payload, &jws, NULL))
        signed_one = json_pack("{s:O, s:s}", "statement", statement, "jws", jws);
    free(payload);
    free(jws);
    json_decref(statement);
    return signed_one;
}

/* --- The calls --- */

static void run(struct gw_job *job)
{
    struct gw_usage_call *call = (struct gw_usage_call *)job;
    struct statement statement = {.call = call};
    sl_error error = {0};
    if (!gw_usage_known(call)) {
        gw_usage_call_free(call);
        return;
    }
    sl_status status = gw_ledger_read_both(call->gateway->ledger, &call->filter, each_line, each_unconfirmed,
                                           &statement, &error);
    if (status)
        gw_usage_fail(call->request, &error);
    else if (statement.too_many)
        gw_respond_errorf(call->request, 413, "statement-too-large",
                          "ask for one catalog's, or one application's: ?catalog=HRN, ?application=NAME",
                          "the statement would have more than %d lines", LINES_MAX);
    else
        gw_respond_json(call->request, 200, statement.failed ? NULL : sign(call, statement_json(&statement)));
    for (size_t i = 0; i < statement.count; i++) {
        free(statement.lines[i].application);
        free(statement.lines[i].hrn);
        free(statement.lines[i].layer);
    }
    free(statement.lines);
    gw_usage_call_free(call);
}

/* "2026-11": its hours. */
static bool read_month(const char *text, struct gw_usage_filter *filter)
{
    struct tm first = {.tm_mday = 1};
    if (strlen(text) != 7 || text[4] != '-' || strspn(text, "0123456789-") != 7)
        return false;
    int year = (int)strtol(text, NULL, 10), month = (int)strtol(text + 5, NULL, 10);
    if (year < 1970 || month < 1 || month > 12)
        return false;
    first.tm_year = year - 1900;
    first.tm_mon = month - 1;
    filter->from_hour = (int64_t)timegm(&first) / 3600;
    filter->to_hour = gw_month_of(filter->from_hour, 1);
    return true;
}

/* What is signed stays: one of a month that has not begun would say for ever that nothing was used. Answers
 * where it is false. */
static bool has_begun(struct gw_request *request, const char *month, const struct gw_usage_filter *filter)
{
    int64_t now_ms = sl_wall_ms(), from_ms = filter->from_hour * GW_HOUR_MS;
    char from[32], now[32];
    if (now_ms >= from_ms)
        return true;
    gw_time_text(from_ms, from);
    gw_time_text(now_ms, now);
    gw_respond_errorf(request, 400, "bad-parameter",
                      "name a month that has begun, and for a bill one that is over",
                      "the month %.40s has not begun: it begins at %s, and it is %s", month, from, now);
    return false;
}

void gw_usage_statement(struct gw_request *request)
{
    const char *month = gw_request_parameter(request, "month");
    struct gw_usage_call *call = gw_usage_call_new(request, run);
    if (!call)
        return;
    if (!read_month(month, &call->filter)) {
        gw_respond_errorf(request, 400, "bad-parameter", "name a month, as in /usage/v1/statements/2026-11",
                          "\"%.40s\" is no month from 1970-01 on", month);
    } else if (has_begun(request, month, &call->filter)) {
        gw_work_post(call->gateway->disk_workers, gw_request_application(request), &call->job);
        return;
    }
    gw_usage_call_free(call);
}

void gw_usage_jwks(struct gw_request *request)
{
    const struct gateway *gateway = gw_request_opaque(request);
    gw_respond_header(request, "Cache-Control", "max-age=300");
    gw_respond_json(request, 200, gw_token_keys_jwks(gateway->statement_keys, sl_wall_ms()));
}
