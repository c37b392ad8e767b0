#include "net/http.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

static sl_status status_of(int http, bool *retriable)
{
    *retriable = http == 408 || http == 429 || (http >= 500 && http != 501);
    switch (http) {
    case 401:
        return SL_UNAUTHENTICATED;
    case 403:
        return SL_FORBIDDEN;
    case 404:
    case 410:
        return SL_NOT_FOUND;
    case 408:
    case 504:
        return SL_TIMED_OUT;
    case 409:
    case 412:
        return SL_CONFLICT;
    case 413:
    case 414:
    case 431:
        return SL_TOO_LARGE;
    case 429:
        return SL_THROTTLED;
    case 405:
    case 501:
        return SL_UNSUPPORTED;
    default:
        return http >= 500 ? SL_UNAVAILABLE : http >= 400 ? SL_INVALID_ARGUMENT : SL_PROTOCOL;
    }
}

static const char *member(const json_t *body, const char *name)
{
    const char *text = json_string_value(json_object_get(body, name));
    return text && *text ? text : NULL;
}

/* Appends "separator text" as far as there is room. */
static void add(char *text, size_t size, const char *separator, const char *part)
{
    size_t length = strlen(text);
    if (part && length < size - 1)
        snprintf(text + length, size - length, "%s%s", separator, part);
}

sl_status sl_http_error(const struct sl_http_response *response, const char *what, sl_error *error)
{
    if (!response->status) {
        sl_status status = response->error.status ? response->error.status : SL_INTERNAL;
        if (error && response->error.status)
            *error = response->error;
        else
            sl_error_set(error, status, "%s: no answer", what);
        return status;
    }
    bool retriable;
    sl_status status = status_of(response->status, &retriable);
    char detail[SL_ERROR_TEXT_SIZE] = "";
    const struct sl_buffer *bytes = &response->body;
    json_t *body = bytes->size && bytes->size <= 65536 ? json_loadb(bytes->data, bytes->size, 0, NULL) : NULL;
    if (json_is_object(body)) {
        add(detail, sizeof detail, ": ", member(body, "title"));
        add(detail, sizeof detail, ": ", member(body, "cause"));
        add(detail, sizeof detail, "; ", member(body, "action"));
        add(detail, sizeof detail, " [", member(body, "code"));
        add(detail, sizeof detail, "]", member(body, "code") ? "" : NULL);
        /* The token API's and other services' way. */
        add(detail, sizeof detail, ": ", member(body, "error_description"));
        add(detail, sizeof detail, ": ", member(body, "message"));
    } else if (bytes->size && !strncasecmp(response->content_type, "text/plain", 10)) {
        char text[201];
        snprintf(text, sizeof text, "%.*s", (int)(bytes->size < 200 ? bytes->size : 200), bytes->data);
        add(detail, sizeof detail, ": ", text);
    }
    /* What does not speak as a platform does may be the proxy. */
    bool is_platform = json_is_object(body) || *response->correlation_id;
    json_decref(body);
    sl_error_set(error, status, "%s: HTTP %d%s%s%s%s%s", what, response->status, detail,
                 *response->correlation_id ? ", correlation id " : "", response->correlation_id,
                 *response->proxy && !is_platform ? ", through the proxy " : "",
                 is_platform ? "" : response->proxy);
    if (error) {
        error->retriable = retriable;
        error->http_status = response->status;
    }
    return status;
}

void sl_http_response_free(struct sl_http_response *response)
{
    if (response)
        sl_buffer_free(&response->body);
}

size_t sl_http_warning(const struct sl_http_response *response, const char **text)
{
    static const char before[] = "199 - \"";
    size_t size = strlen(response->warning), skip = sizeof before - 1;
    *text = response->warning + skip;
    bool is_one =
        size > skip && !memcmp(response->warning, before, skip) && response->warning[size - 1] == '"';
    return is_one ? size - skip - 1 : 0;
}
