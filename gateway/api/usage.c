/*
 * usage v1, ours: what applications have used of catalogs on the Marketplace, as the ledger has it. Each
 * caller sees its own part. All of it waits for the disk, on a worker.
 */
#include "gateway/api/usage.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/api/jwt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIST_DEFAULT 1000
#define LIST_MAX     10000
#define TIME_MAX     (INT64_C(1) << 53) /* ms: what JSON's numbers are exact to */
#define TOKEN_MEANT  "the nextPageToken of the page before"

enum granularity { BY_HOUR, BY_DAY, BY_MONTH, GRANULARITIES };
static const char *const granularities[GRANULARITIES] = {"hour", "day", "month"};

/* --- Calls --- */

/* Restricts the call to what the caller may see, in the question itself, so that no other rows are looked at.
 * False: no memory. */
static bool restrict_to(struct gw_usage_call *call, const struct gw_account *account)
{
    if (account->rights & SL_RIGHT_ADMIN || (account->rights | account->all) & SL_RIGHT_MANAGE)
        return true;
    json_t *managed = json_array();
    bool good = managed != NULL;
    for (size_t i = 0; i < account->grant_count && good; i++)
        if (account->grants[i].rights & SL_RIGHT_MANAGE)
            good = !json_array_append_new(managed, json_string(account->grants[i].hrn));
    if (good && json_array_size(managed))
        good = (call->catalogs = json_dumps(managed, JSON_COMPACT)) != NULL;
    json_decref(managed);
    call->filter.viewer = account->id;
    call->filter.catalogs = call->catalogs;
    return good;
}

struct gw_usage_call *gw_usage_call_new(struct gw_request *request, void (*run)(struct gw_job *job))
{
    struct gw_usage_call *call = calloc(1, sizeof *call);
    const char *application = gw_request_query(request, "application");
    if (call)
        call->gateway = gw_request_opaque(request);
    if (!call || (application && !(call->application = gw_usage_application(call->gateway, application)))) {
        free(call);
        gw_respond_json(request, 500, NULL);
        return NULL;
    }
    call->job.run = run;
    call->request = request;
    call->filter = (struct gw_usage_filter){
        .application = call->application,
        .hrn = gw_request_query(request, "catalog"),
        .layer = gw_request_query(request, "layer"),
        .to_hour = INT64_MAX,
    };
    if (restrict_to(call, gw_request_account(request)))
        return call;
    gw_usage_call_free(call);
    gw_respond_json(request, 500, NULL);
    return NULL;
}

void gw_usage_call_free(struct gw_usage_call *call)
{
    free(call->application);
    free(call->catalogs);
    free(call);
}

void gw_usage_fail(struct gw_request *request, const sl_error *error)
{
    bool operates = gw_request_may(request, GW_ACCESS_ADMIN);
    if (error->status == SL_UNAVAILABLE)
        gw_respond_error(request, 503, "ledger-unavailable",
                         operates ? error->text
                                  : "the Marketplace's ledger cannot be read now; the gateway's log says why",
                         "ask again later; if that does not help, whoever operates the gateway must look "
                         "(docs/marketplace.md)");
    else
        gw_respond_failure(request, error);
}

bool gw_usage_shows(const struct gw_usage_call *call, const char *application, const char *hrn)
{
    const struct gw_account *account = gw_request_account(call->request);
    return gw_account_rights(account, NULL) & SL_RIGHT_ADMIN || !strcmp(account->id, application) ||
           gw_account_rights(account, hrn) & SL_RIGHT_MANAGE;
}

char *gw_usage_name(const struct gw_usage_call *call, const char *application)
{
    struct gw_account *account = gw_access_find(call->gateway->access, application);
    char *name = account ? strdup(account->name) : NULL;
    gw_account_unlink(account);
    return name;
}

/* --- Figures --- */

bool gw_usage_set(json_t *object, const struct gw_usage *usage)
{
    bool good = object != NULL;
    for (size_t i = 0; i < GW_FIGURES && good; i++)
        good = !json_object_set_new(object, gw_figure_names[i], json_integer(gw_figure(usage, i)));
    return good;
}

int64_t gw_month_of(int64_t hour, int months)
{
    time_t seconds = (time_t)(hour * 3600);
    struct tm utc = {0};
    gmtime_r(&seconds, &utc);
    struct tm first = {.tm_year = utc.tm_year, .tm_mon = utc.tm_mon + months, .tm_mday = 1};
    return (int64_t)timegm(&first) / 3600;
}

void gw_time_text(int64_t ms, char out[32])
{
    struct tm utc;
    time_t seconds = (time_t)(ms / 1000);
    if (!gmtime_r(&seconds, &utc) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc))
        snprintf(out, 32, "%lld ms", (long long)ms);
}

static int64_t bucket_of(int64_t hour, enum granularity by)
{
    return by == BY_HOUR ? hour : by == BY_DAY ? hour / 24 * 24 : gw_month_of(hour, 0);
}

static int64_t bucket_end(int64_t bucket, enum granularity by)
{
    return by == BY_HOUR ? bucket + 1 : by == BY_DAY ? bucket + 24 : gw_month_of(bucket, 1);
}

/* --- The query --- */

struct listing {
    struct gw_usage_call *call;
    json_t *items, *after; /* after: the page token's; NULL: the first page */
    size_t limit;
    enum granularity by;
    bool more, failed;
    /* The line that is being added up. */
    char *application, *hrn, *layer, *group;
    int64_t bucket, last; /* last: the hour that was seen last of it; of deliveries, the number */
    struct gw_usage usage;
};

static bool bad_parameter(struct gw_request *request, const char *name, const char *what)
{
    gw_respond_errorf(request, 400, "bad-parameter", "correct it, or leave it out", "%s must be %s", name,
                      what);
    return false;
}

/* Milliseconds, as hours: from rounded down, to up, so that nothing that was asked for is left out. */
static bool read_hours(struct gw_request *request, struct gw_usage_filter *filter)
{
    const char *from = gw_request_query(request, "from"), *to = gw_request_query(request, "to");
    int64_t from_ms = 0, to_ms = TIME_MAX;
    if (from && !sl_parse_int(from, 0, TIME_MAX, &from_ms))
        return bad_parameter(request, "from", "milliseconds since 1970");
    if (to && !sl_parse_int(to, 0, TIME_MAX, &to_ms))
        return bad_parameter(request, "to", "milliseconds since 1970");
    filter->from_hour = from_ms / GW_HOUR_MS;
    filter->to_hour = (to_ms + GW_HOUR_MS - 1) / GW_HOUR_MS;
    return true;
}

static bool read_granularity(struct gw_request *request, enum granularity *by)
{
    const char *name = gw_request_query(request, "granularity");
    if (!name)
        return true;
    for (unsigned i = 0; i < GRANULARITIES; i++)
        if (!strcmp(name, granularities[i])) {
            *by = (enum granularity)i;
            return true;
        }
    return bad_parameter(request, "granularity", "hour, day or month");
}

static bool read_limit(struct gw_request *request, size_t *limit)
{
    const char *text = gw_request_query(request, "limit");
    int64_t number = LIST_DEFAULT;
    if (text && !sl_parse_int(text, 1, LIST_MAX, &number))
        return bad_parameter(request, "limit", "a number from 1 to 10000");
    *limit = (size_t)number;
    return true;
}

/* The token is where the page before ended: JSON in base64url, which says nothing that its reader must not
 * know. */
static bool read_token(struct gw_request *request, json_t **after)
{
    const char *token = gw_request_query(request, "pageToken");
    struct sl_buffer text;
    *after = NULL;
    if (!token)
        return true;
    sl_buffer_init(&text, 8192);
    if (gw_base64url_decode(token, strlen(token), &text))
        *after = json_loadb(text.data ? text.data : "", text.size, 0, NULL);
    sl_buffer_free(&text);
    return *after || bad_parameter(request, "pageToken", TOKEN_MEANT);
}

/* Takes it. NULL: no memory. */
static json_t *make_token(json_t *where)
{
    char *text = where ? json_dumps(where, JSON_COMPACT) : NULL;
    struct sl_buffer token;
    sl_buffer_init(&token, 16384);
    if (text && sl_base64_encode(&token, text, strlen(text)))
        for (size_t i = 0; i < token.size; i++)
            token.data[i] = (char)(token.data[i] == '+' ? '-' : token.data[i] == '/' ? '_' : token.data[i]);
    while (token.size && token.data[token.size - 1] == '=')
        token.size--;
    json_t *value = text && !token.failed ? json_stringn(token.data, token.size) : NULL;
    sl_buffer_free(&token);
    free(text);
    json_decref(where);
    return value;
}

/* Answers with the list as that member of a page, and with where the next one begins, where there is more;
 * takes both. */
static void respond_page(const struct listing *listing, json_t *page, const char *name, json_t *where)
{
    bool good = !listing->failed && !json_object_set(page, name, listing->items);
    if (good && listing->more)
        good = !json_object_set_new(page, "nextPageToken", make_token(where));
    else
        json_decref(where);
    if (!good) {
        json_decref(page);
        page = NULL;
    }
    gw_respond_json(listing->call->request, 200, page);
}

/* --- GET /usage/v1/usage --- */

/* Where a page of usage begins; false: the token is no such place. */
static bool line_of(const json_t *after, struct gw_usage_line *line)
{
    *line = (struct gw_usage_line){
        .application = json_string_value(json_array_get(after, 0)),
        .hrn = json_string_value(json_array_get(after, 1)),
        .layer = json_string_value(json_array_get(after, 2)),
        .group = json_string_value(json_array_get(after, 3)),
        .hour = json_integer_value(json_array_get(after, 4)),
    };
    return line->application && line->hrn && line->layer && line->group &&
           json_is_integer(json_array_get(after, 4));
}

static void forget_line(struct listing *listing)
{
    free(listing->application);
    free(listing->hrn);
    free(listing->layer);
    free(listing->group);
    listing->application = listing->hrn = listing->layer = listing->group = NULL;
}

/* The line that was added up goes into the answer. */
static void finish_line(struct listing *listing)
{
    if (!listing->application)
        return;
    char *name = gw_usage_name(listing->call, listing->application);
    json_t *item = json_pack("{s:s, s:s*, s:s, s:s, s:s, s:I, s:I}", "application", listing->application,
                             "name", name, "hrn", listing->hrn, "layer", listing->layer, "group",
                             listing->group, "from", (json_int_t)(listing->bucket * GW_HOUR_MS), "to",
                             (json_int_t)(bucket_end(listing->bucket, listing->by) * GW_HOUR_MS));
    free(name);
    bool good = gw_usage_set(item, &listing->usage);
    if (good)
        good = !json_array_append(listing->items, item);
    json_decref(item);
    listing->failed |= !good;
}

static bool begin_line(struct listing *listing, const struct gw_usage_line *line)
{
    forget_line(listing);
    listing->application = strdup(line->application);
    listing->hrn = strdup(line->hrn);
    listing->layer = strdup(line->layer);
    listing->group = strdup(line->group);
    listing->bucket = bucket_of(line->hour, listing->by);
    listing->usage = (struct gw_usage){0};
    listing->failed |= !listing->application || !listing->hrn || !listing->layer || !listing->group;
    return !listing->failed;
}

static bool is_same_line(const struct listing *listing, const struct gw_usage_line *line)
{
    return listing->application && !strcmp(listing->application, line->application) &&
           !strcmp(listing->hrn, line->hrn) && !strcmp(listing->layer, line->layer) &&
           !strcmp(listing->group, line->group) && listing->bucket == bucket_of(line->hour, listing->by);
}

static bool each_line(void *opaque, const struct gw_usage_line *line)
{
    struct listing *listing = opaque;
    if (!gw_usage_shows(listing->call, line->application, line->hrn))
        return true;
    if (!is_same_line(listing, line)) {
        finish_line(listing);
        listing->more = json_array_size(listing->items) == listing->limit;
        if (listing->more || listing->failed || !begin_line(listing, line))
            return false;
    }
    gw_usage_add(&listing->usage, &line->usage);
    listing->last = line->hour;
    return true;
}

static void answer_usage(struct listing *listing, sl_status status, const sl_error *error)
{
    json_t *where = NULL;
    if (status) {
        gw_usage_fail(listing->call->request, error);
        return;
    }
    if (!listing->more)
        finish_line(listing);
    else
        where = json_pack("[s, s, s, s, I]", listing->application, listing->hrn, listing->layer,
                          listing->group, (json_int_t)listing->last);
    respond_page(listing, json_pack("{s:s}", "granularity", granularities[listing->by]), "usage", where);
}

static void listing_free(struct listing *listing)
{
    forget_line(listing);
    json_decref(listing->items);
    json_decref(listing->after);
    gw_usage_call_free(listing->call);
    free(listing);
}

static void run_usage(struct gw_job *job)
{
    struct listing *listing = ((struct gw_usage_call *)job)->more;
    struct gw_usage_line line;
    sl_error error = {0};
    const struct gw_usage_line *after = listing->after ? &line : NULL;
    if (after && !line_of(listing->after, &line)) {
        bad_parameter(listing->call->request, "pageToken", TOKEN_MEANT);
    } else if (gw_usage_known(listing->call)) {
        sl_status status = gw_ledger_read_usage(listing->call->gateway->ledger, &listing->call->filter, after,
                                                each_line, listing, &error);
        answer_usage(listing, status, &error);
    }
    listing_free(listing);
}

/* --- GET /usage/v1/unconfirmed --- */

static json_t *records_json(const struct gw_unconfirmed *delivery)
{
    json_t *records = json_array();
    bool good = records != NULL;
    for (size_t i = 0; i < delivery->count && good; i++)
        good = !json_array_append_new(records, json_pack("{s:i, s:I, s:I}", "partition",
                                                         (int)delivery->records[i].partition, "offset",
                                                         (json_int_t)delivery->records[i].offset, "bytes",
                                                         (json_int_t)delivery->records[i].bytes));
    if (good)
        return records;
    json_decref(records);
    return NULL;
}

static bool each_unconfirmed(void *opaque, const struct gw_unconfirmed *delivery)
{
    struct listing *listing = opaque;
    if (!gw_usage_shows(listing->call, delivery->application, delivery->hrn))
        return true;
    if (json_array_size(listing->items) == listing->limit) {
        listing->more = true;
        return false;
    }
    char *name = gw_usage_name(listing->call, delivery->application);
    json_t *item = json_pack(
        "{s:I, s:s, s:s*, s:s, s:s, s:s, s:I, s:b, s:I, s:I, s:I, s:o}", "id", (json_int_t)delivery->id,
        "application", delivery->application, "name", name, "hrn", delivery->hrn, "layer", delivery->layer,
        "group", delivery->group, "at", (json_int_t)delivery->at_ms, "open", delivery->open, "messagesOut",
        (json_int_t)delivery->messages, "bytesOut", (json_int_t)delivery->bytes, "blobBytesOut",
        (json_int_t)delivery->blob_bytes, "records", records_json(delivery));
    free(name);
    listing->failed |= json_array_append_new(listing->items, item) != 0;
    listing->last = delivery->id;
    return !listing->failed;
}

static void run_unconfirmed(struct gw_job *job)
{
    struct listing *listing = ((struct gw_usage_call *)job)->more;
    struct gw_request *request = listing->call->request;
    sl_error error = {0};
    if (listing->after && !json_is_integer(json_array_get(listing->after, 0))) {
        bad_parameter(request, "pageToken", TOKEN_MEANT);
    } else if (gw_usage_known(listing->call)) {
        int64_t after = listing->after ? json_integer_value(json_array_get(listing->after, 0)) : INT64_MIN;
        if (gw_ledger_read_unconfirmed(listing->call->gateway->ledger, &listing->call->filter, after,
                                       each_unconfirmed, listing, &error)) {
            gw_usage_fail(request, &error);
        } else {
            respond_page(listing, json_object(), "unconfirmed", json_pack("[I]", (json_int_t)listing->last));
        }
    }
    listing_free(listing);
}

/* --- Both --- */

static void begin(struct gw_request *request, void (*run)(struct gw_job *job))
{
    struct gw_usage_call *call = gw_usage_call_new(request, run);
    struct listing *listing = call ? calloc(1, sizeof *listing) : NULL;
    if (!call)
        return;
    if (!listing || !(listing->items = json_array())) {
        gw_usage_call_free(call);
        free(listing);
        gw_respond_json(request, 500, NULL);
        return;
    }
    listing->call = call;
    listing->by = BY_DAY;
    call->more = listing;
    if (read_hours(request, &call->filter) && read_granularity(request, &listing->by) &&
        read_limit(request, &listing->limit) && read_token(request, &listing->after))
        gw_work_post(call->gateway->disk_workers, gw_request_application(request), &call->job);
    else
        listing_free(listing);
}

static void usage(struct gw_request *request)
{
    begin(request, run_usage);
}

static void unconfirmed(struct gw_request *request)
{
    begin(request, run_unconfirmed);
}

#define USAGE "/usage/v1"

const struct gw_route gw_usage_routes[] = {
    {.method = "GET",
     .pattern = USAGE "/usage",
     .flags = GW_ROUTE_EXTENSION,
     .access = GW_ACCESS_NONE,
     .query = "application catalog layer from to limit pageToken granularity",
     .handle = usage,
     .name = "usage.usage"},
    {.method = "GET",
     .pattern = USAGE "/unconfirmed",
     .flags = GW_ROUTE_EXTENSION,
     .access = GW_ACCESS_NONE,
     .query = "application catalog layer from to limit pageToken",
     .handle = unconfirmed,
     .name = "usage.unconfirmed"},
    {.method = "GET",
     .pattern = USAGE "/statements/{month}",
     .flags = GW_ROUTE_EXTENSION,
     .access = GW_ACCESS_NONE,
     .query = "application catalog layer",
     .handle = gw_usage_statement,
     .name = "usage.statement"},
    {.method = "GET",
     .pattern = USAGE "/jwks",
     .flags = GW_ROUTE_EXTENSION | GW_ROUTE_PUBLIC,
     .handle = gw_usage_jwks,
     .name = "usage.jwks"},
};
const size_t gw_usage_route_count = sizeof gw_usage_routes / sizeof *gw_usage_routes;
