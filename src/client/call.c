/* Signed calls to the platform's HTTP API. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "client/client.h"
#include "client/lookup.h"
#include "wire/hrn.h"

#define MOST_HEADERS 16
#define MOST_JSON    (16u << 20) /* bytes of an administrative answer */
/* An answer that took so long was waited for by the platform itself, of Kafka: asking for it again and again
 * would take minutes. */
#define SLOW_MS 5000

static sl_status call_once(struct sl_client *client, const struct sl_http_request *request,
                           const char *bearer, struct sl_http_response *response, sl_error *error)
{
    struct sl_http_header headers[MOST_HEADERS];
    if (request->header_count >= MOST_HEADERS)
        return sl_error_set(error, SL_INTERNAL, "too many headers");
    for (size_t i = 0; i < request->header_count; i++)
        headers[i] = request->headers[i];
    headers[request->header_count] = (struct sl_http_header){"Authorization", bearer};
    struct sl_http_request with = *request;
    with.headers = headers;
    with.header_count++;
    sl_status status = sl_http_perform(client->http, &with, response, error);
    if (status && response->unsent)
        sl_client_note_unreachable(client, request->url);
    return status;
}

sl_status sl_client_call(struct sl_client *client, const struct sl_http_request *request,
                         struct sl_http_response *response, sl_error *error)
{
    struct sl_http_response answer;
    char *bearer = NULL;
    int64_t deadline_ms = request->deadline_ms ? request->deadline_ms : INT64_MAX;
    sl_status status = sl_auth_bearer_until(client->auth, NULL, deadline_ms, NULL, &bearer, NULL, error);
    if (status)
        return status;
    status = call_once(client, request, bearer, &answer, error);
    if (!status && answer.status == 401) { /* expired early, or the platform's keys have changed */
        char *refused = bearer;
        bearer = NULL;
        sl_http_response_free(&answer);
        status = sl_auth_bearer_until(client->auth, refused, deadline_ms, NULL, &bearer, NULL, error);
        sl_secret_free(&refused);
        if (!status)
            status = call_once(client, request, bearer, &answer, error);
    }
    sl_secret_free(&bearer);
    if (status)
        return status;
    if (answer.status >= 400 || answer.status < 200) {
        char what[SL_HTTP_DESCRIPTION];
        sl_http_describe(request->method, request->url, what, sizeof what);
        status = sl_http_error(&answer, what, error);
        sl_http_response_free(&answer);
        return status;
    }
    if (response)
        *response = answer;
    else
        sl_http_response_free(&answer);
    return SL_OK;
}

/* Done, but not as the caller might expect. */
static void pass_warning(const struct sl_client *client, const struct sl_http_response *response)
{
    const char *text;
    size_t size = sl_http_warning(response, &text);
    if (size)
        SL_WARNING(&client->log, "%.*s", (int)size, text);
}

sl_status sl_client_call_json_within(struct sl_client *client, const char *method, const char *url,
                                     const json_t *in, const struct sl_call_bounds *bounds, json_t **out,
                                     sl_error *error)
{
    static const struct sl_http_header headers[] = {{"Accept", "application/json"},
                                                    {"Content-Type", "application/json"}};
    char *body = NULL;
    if (in && !(body = json_dumps(in, JSON_COMPACT)))
        return sl_error_oom(error);
    struct sl_http_request request = {
        .method = method,
        .url = url,
        .headers = headers,
        .header_count = body ? 2 : 1,
        .body = body,
        .body_size = body ? strlen(body) : 0,
        .max_response = MOST_JSON,
        .retry = !strcmp(method, "GET"), /* what changes something is not repeated unasked */
        .slow_ms = SLOW_MS,
    };
    if (bounds) {
        request.owner = bounds->owner;
        request.deadline_ms = bounds->deadline_ms;
    }
    struct sl_http_response response = {0};
    sl_status status = sl_client_call(client, &request, &response, error);
    free(body);
    if (status)
        return status;
    pass_warning(client, &response);
    if (out) {
        json_error_t why;
        char what[SL_HTTP_DESCRIPTION];
        sl_http_describe(method, url, what, sizeof what);
        *out = json_loadb(response.body.size ? response.body.data : "", response.body.size, 0, &why);
        if (!*out)
            status = sl_error_set(error, SL_PROTOCOL,
                                  "%s: the platform answered no JSON: %s at line %d, column %d", what,
                                  why.text, why.line, why.column);
    }
    sl_http_response_free(&response);
    return status;
}

sl_status sl_client_call_json(struct sl_client *client, const char *method, const char *url, const json_t *in,
                              json_t **out, sl_error *error)
{
    return sl_client_call_json_within(client, method, url, in, NULL, out, error);
}

sl_status sl_client_endpoint(struct sl_client *client, const char *hrn, const char *layer, const char *side,
                             struct sl_endpoint *endpoint, sl_error *error)
{
    char *base = NULL;
    sl_status status = sl_layer_id_check(layer, error);
    if (!status)
        status = sl_client_base_url(client, hrn, "stream", "v2", &base, NULL, error);
    if (status)
        return status;
    char *url = sl_printf("%s/layers/%s/%s%sendpoint", base, layer, side ? side : "", side ? "/" : "");
    free(base);
    if (!url)
        return sl_error_oom(error);
    json_t *answer = NULL;
    status = sl_client_call_json(client, "GET", url, NULL, &answer, error);
    free(url);
    if (!status)
        status = sl_endpoint_parse(answer, endpoint, error);
    json_decref(answer);
    return status;
}

sl_status sl_client_check_name(const char *name, sl_error *error)
{
    if (name && sl_is_token_text(name, 64))
        return SL_OK;
    return sl_error_set(
        error, SL_INVALID_ARGUMENT,
        "an application is named by its id, or its name, of 1 to 64 printable ASCII characters "
        "without blanks");
}

void sl_client_append_name(struct sl_buffer *url, const char *name)
{
    if (name[strspn(name, ".")])
        sl_percent_encode(url, name, strlen(name));
    else
        for (; *name; name++) /* . and .. would be taken for directories */
            sl_buffer_append_text(url, "%2E");
}
