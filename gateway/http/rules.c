/* What HTTP asks of every request before its body is read, and what browsers ask for their pages. */
#include "gateway/http/internal.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What pages may send and see. A wildcard would not cover Authorization. */
#define ALLOWED_HEADERS                                                                                      \
    "Accept, Authorization, Content-Encoding, Content-Type, If-Range, Range, X-Correlation-Id, "             \
    "X-HERE-Checksum, X-HERE-Message-Key, X-HERE-TraceId, X-SL-Timestamp"
#define EXPOSED_HEADERS                                                                                      \
    "Accept-Ranges, Allow, Content-Encoding, Content-Range, ETag, Retry-After, WWW-Authenticate, "           \
    "X-Correlation-Id, X-Request-Id, X-SL-Assignment"
/* The names behind it are the applications' own, so those that are asked for are repeated. */
#define USER_PREFIX "X-SL-Header-"

#define ALLOWED_MAX 4096

static const char *header(const struct gw_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* The length of the media type at the front, without what follows it. */
static size_t media_length(const char *text)
{
    size_t length = strcspn(text, ";");
    while (length && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    return length;
}

bool gw_media_is(const char *given, const char *wanted)
{
    given += strspn(given, " \t");
    size_t length = media_length(given);
    return length == media_length(wanted) && !strncasecmp(given, wanted, length);
}

/* application/json, and what is JSON underneath (application/merge-patch+json). */
static bool is_json(const char *given)
{
    given += strspn(given, " \t");
    size_t length = media_length(given);
    return gw_media_is(given, "application/json") ||
           (length > 17 && !strncasecmp(given, "application/", 12) &&
            !strncasecmp(given + length - 5, "+json", 5));
}

bool gw_expectation_is_known(struct gw_request *request)
{
    if (!request->expect || !strcasecmp(request->expect, "100-continue"))
        return true;
    gw_respond_errorf(request, 417, "unsupported-expectation", "leave the header out, or send 100-continue",
                      "Expect: %.100s is not known here", request->expect);
    return false;
}

bool gw_body_is_fit(struct gw_request *request, const char *length)
{
    const struct gw_route *route = request->route->route;
    bool chunked = header(request, "Transfer-Encoding") != NULL;
    if (route->flags & GW_ROUTE_LENGTH && !length && !chunked) {
        gw_respond_error(
            request, 411, "length-required",
            "the request has neither Content-Length nor Transfer-Encoding: whether it has a body "
            "is not clear",
            "send Content-Length, which may be 0, or the body chunked");
        return false;
    }
    if (*request->method != 'P' || /* POST, PUT, PATCH */
        route->flags & (GW_ROUTE_STREAMED | GW_ROUTE_ANY_TYPE) ||
        (!chunked && (!length || !strcmp(length, "0"))))
        return true;
    const char *type = header(request, "Content-Type");
    if (!type || is_json(type))
        return true;
    gw_respond_errorf(request, 415, "wrong-content-type", "send JSON, with Content-Type: application/json",
                      "the call takes JSON; this request has Content-Type: %.200s", type);
    return false;
}

/* Whether name is one of those in names, with a blank between. */
static bool is_among(const char *names, const char *name)
{
    size_t length = strlen(name);
    while (*names) {
        size_t size = strcspn(names, " ");
        if (size == length && !memcmp(names, name, size))
            return true;
        names += size + strspn(names + size, " ");
    }
    return false;
}

struct stranger {
    const char *names, *found;
};

static bool look_at_parameter(void *opaque, const char *name, const char *value)
{
    struct stranger *stranger = opaque;
    (void)value;
    if (!is_among(stranger->names, name))
        stranger->found = name;
    return !stranger->found;
}

bool gw_query_is_known(struct gw_request *request)
{
    const struct gw_route *route = request->route->route;
    if (!request->query || !(route->flags & GW_ROUTE_EXTENSION))
        return true;
    struct stranger stranger = {.names = route->query ? route->query : ""};
    gw_request_each_query(request, look_at_parameter, &stranger);
    if (!stranger.found)
        return true;
    char cure[200];
    if (route->query)
        snprintf(cure, sizeof cure, "correct it, or leave it out; there are: %s", route->query);
    else
        snprintf(cure, sizeof cure, "leave it out; the call has no parameters in its query");
    gw_respond_errorf(request, 400, "bad-parameter", cure, "the call has no parameter %.100s",
                      stranger.found);
    return false;
}

void gw_cors_judge(struct gw_request *request)
{
    const struct gw_cors *cors = &request->loop->server->cors;
    if (!cors->any && !cors->count)
        return;
    request->varies = !cors->any;
    const char *origin = header(request, "Origin");
    request->cors = origin ? gw_cors_answer(cors, origin) : NULL;
}

bool gw_cors_add(const struct gw_request *request, struct MHD_Response *response)
{
    bool good = !request->varies || MHD_add_response_header(response, "Vary", "Origin") == MHD_YES;
    if (request->cors) {
        good &= MHD_add_response_header(response, "Access-Control-Allow-Origin", request->cors) == MHD_YES;
        good &=
            MHD_add_response_header(response, "Access-Control-Expose-Headers", EXPOSED_HEADERS) == MHD_YES;
    }
    return good;
}

/* Of the names asked for, those that are our applications' own. */
static void add_user_headers(const char *asked, struct sl_buffer *allowed)
{
    while (asked && *(asked += strspn(asked, ", \t"))) {
        size_t size = strcspn(asked, ", \t");
        char name[128 + 1];
        if (size < sizeof name && !strncasecmp(asked, USER_PREFIX, sizeof USER_PREFIX - 1)) {
            memcpy(name, asked, size);
            name[size] = 0;
            if (sl_is_http_token(name, sizeof name))
                sl_buffer_printf(allowed, ", %s", name);
        }
        asked += size;
    }
}

void gw_cors_preflight(struct gw_request *request, const char *methods)
{
    char age[16];
    if (!request->cors || !header(request, "Access-Control-Request-Method"))
        return;
    struct sl_buffer allowed;
    sl_buffer_init(&allowed, ALLOWED_MAX);
    sl_buffer_append_text(&allowed, ALLOWED_HEADERS);
    add_user_headers(header(request, "Access-Control-Request-Headers"), &allowed);
    snprintf(age, sizeof age, "%u", request->loop->server->cors.max_age_s);
    gw_respond_header(request, "Access-Control-Allow-Methods", methods);
    gw_respond_header(request, "Access-Control-Allow-Headers", allowed.data ? allowed.data : ALLOWED_HEADERS);
    gw_respond_header(request, "Access-Control-Max-Age", age);
    sl_buffer_free(&allowed);
}
