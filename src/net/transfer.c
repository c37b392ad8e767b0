#include "net/engine.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"

enum {
    EXPECT_FROM = 1048576, /* bytes of body from which a server is asked before the body is sent */
    RECEIVE_BUFFER = 128 * 1024,
    SEND_BUFFER = 256 * 1024,
    RETRY_AFTER_MAX_S = 24 * 3600
};

void sl_call_free(struct sl_call *call)
{
    if (!call)
        return;
    free(call->method);
    free(call->url);
    free(call->wanted);
    curl_slist_free_all(call->headers);
    sl_http_response_free(&call->response);
    free(call);
}

/* No control characters: what is given must not be able to begin a header of its own. */
static bool is_field_value(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

static sl_status copy_headers(struct sl_call *call, const struct sl_http_request *request, sl_error *error)
{
    for (size_t i = 0; i < request->header_count; i++) {
        const struct sl_http_header *header = &request->headers[i];
        if (!header->name || !header->value || !sl_is_http_token(header->name, 256) ||
            !is_field_value(header->value)) {
            char what[SL_HTTP_DESCRIPTION];
            sl_http_describe(call->method, call->url, what, sizeof what);
            return sl_error_set(error, SL_INVALID_ARGUMENT, "%s: the header %s is not well-formed", what,
                                header->name ? header->name : "(null)");
        }
        if (!strcasecmp(header->name, "Content-Type"))
            call->has_content_type = true;
        /* libcurl's form of an empty header ends in a semicolon. */
        char *line = *header->value ? sl_printf("%s: %s", header->name, header->value)
                                    : sl_printf("%s;", header->name);
        struct curl_slist *longer = line ? curl_slist_append(call->headers, line) : NULL;
        sl_secret_free(&line); /* it may be Authorization's */
        if (!longer)
            return sl_error_oom(error);
        call->headers = longer;
    }
    bool small = call->body_size <= EXPECT_FROM;
    const char *const own[] = {small ? "Expect:" : NULL, call->has_content_type ? NULL : "Content-Type:"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        struct curl_slist *longer = own[i] ? curl_slist_append(call->headers, own[i]) : call->headers;
        if (own[i] && !longer)
            return sl_error_oom(error);
        call->headers = longer;
    }
    return SL_OK;
}

/* "http[s]://HOST…" without blanks; the rest is libcurl's to judge. */
static bool is_url(const char *url)
{
    size_t scheme = !strncasecmp(url, "http://", 7) ? 7 : !strncasecmp(url, "https://", 8) ? 8 : 0;
    if (!scheme || !strcspn(url + scheme, "/?#"))
        return false;
    for (; *url; url++)
        if ((unsigned char)*url <= 0x20 || *url == 0x7f)
            return false;
    return true;
}

sl_status sl_call_create(const struct sl_http_request *request, sl_http_done done, void *opaque,
                         struct sl_call **made, sl_error *error)
{
    if (!request || !request->method || !sl_is_http_token(request->method, 32) || !request->url || !done ||
        (!request->body && request->body_size) || (!request->headers && request->header_count))
        return sl_error_set(error, SL_INVALID_ARGUMENT, "an HTTP request lacks its method, URL or body");
    if (!is_url(request->url)) {
        char what[SL_HTTP_DESCRIPTION];
        sl_http_describe(request->method, request->url, what, sizeof what);
        return sl_error_set(error, SL_INVALID_ARGUMENT, "%s: that is no http:// or https:// URL", what);
    }
    struct sl_call *call = calloc(1, sizeof *call);
    if (!call)
        return sl_error_oom(error);
    call->method = strdup(request->method);
    call->url = strdup(request->url);
    call->wanted = sl_strdup(request->wanted);
    call->owner = request->owner;
    call->body = request->body;
    call->body_size = request->body_size;
    call->timeout_ms = request->timeout_ms;
    call->deadline_ms = request->deadline_ms;
    call->slow_ms = request->slow_ms;
    call->retry = request->retry;
    call->parked = request->parked;
    call->done = done;
    call->opaque = opaque;
    call->response.retry_after_ms = -1;
    sl_buffer_init(&call->response.body,
                   request->max_response ? request->max_response : SL_HTTP_MAX_RESPONSE);
    bool copied = call->method && call->url && (call->wanted || !request->wanted);
    sl_status status = copied ? copy_headers(call, request, error) : sl_error_oom(error);
    if (status)
        sl_call_free(call);
    else
        *made = call;
    return status;
}

static size_t on_body(char *data, size_t one, size_t size, void *opaque)
{
    struct sl_call *call = opaque;
    struct sl_buffer *body = &call->response.body;
    size *= one;
    if (size > body->max - body->size) {
        call->too_big = true;
        return 0;
    }
    if (!body->size) {
        /* One allocation where the length is known; a lie in it costs no more than the bound allows. */
        curl_off_t length = -1;
        curl_easy_getinfo(call->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        if (length > 0 && (curl_off_t)body->max >= length && !sl_buffer_reserve(body, (size_t)length))
            return 0;
    }
    return sl_buffer_append(body, data, size) ? size : 0;
}

static void copy_value(char *out, size_t size, const char *value, size_t length)
{
    if (length >= size)
        length = size - 1;
    memcpy(out, value, length);
    out[length] = 0;
}

/* Seconds or a date (RFC 9110, 10.2.3). */
static int parse_retry_after(const char *text)
{
    int64_t seconds;
    if (!sl_parse_int(text, 0, INT64_MAX, &seconds)) {
        time_t when = curl_getdate(text, NULL);
        if (when < 0)
            return -1;
        int64_t left = (int64_t)when * 1000 - sl_wall_ms();
        seconds = left <= 0 ? 0 : (left + 999) / 1000;
    }
    return (int)(seconds > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : seconds) * 1000;
}

static size_t on_header(char *line, size_t one, size_t size, void *opaque)
{
    struct sl_call *call = opaque;
    struct sl_http_response *response = &call->response;
    size *= one;
    size_t length = size;
    while (length && (line[length - 1] == '\r' || line[length - 1] == '\n' || line[length - 1] == ' '))
        length--;
    if (length >= 5 && !memcmp(line, "HTTP/", 5)) { /* a new answer: what a 100 said counts no more */
        response->content_type[0] = response->correlation_id[0] = 0;
        response->warning[0] = response->wanted[0] = 0;
        response->retry_after_ms = -1;
        call->from_tinyproxy = false;
        const char *code = memchr(line, ' ', length);
        if (call->proxy && code && length >= (size_t)(code - line) + 4 && !memcmp(code, " 407", 4))
            call->sendings = 0; /* the proxy kept it to itself, and libcurl may send it once more */
        return size;
    }
    const char *colon = memchr(line, ':', length);
    if (!colon)
        return size;
    size_t name = (size_t)(colon - line);
    const char *value = colon + 1, *end = line + length;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    size_t value_size = (size_t)(end - value);
    if (name == 12 && !strncasecmp(line, "Content-Type", name)) {
        copy_value(response->content_type, sizeof response->content_type, value, value_size);
    } else if (name == 16 && !strncasecmp(line, "X-Correlation-Id", name)) {
        copy_value(response->correlation_id, sizeof response->correlation_id, value, value_size);
        if (!is_field_value(response->correlation_id)) /* it is sent back */
            response->correlation_id[0] = 0;
    } else if (name == 6 && !strncasecmp(line, "Server", name)) {
        call->from_tinyproxy = value_size > 9 && !memcmp(value, "tinyproxy", 9);
    } else if (name == 7 && !strncasecmp(line, "Warning", name)) {
        if (value_size < sizeof response->warning) /* as below */
            copy_value(response->warning, sizeof response->warning, value, value_size);
    } else if (name == 11 && !strncasecmp(line, "Retry-After", name)) {
        char text[64];
        copy_value(text, sizeof text, value, value_size);
        response->retry_after_ms = parse_retry_after(text);
    } else if (call->wanted && name == strlen(call->wanted) && !strncasecmp(line, call->wanted, name) &&
               value_size < sizeof response->wanted) { /* a part of it could mean something else */
        copy_value(response->wanted, sizeof response->wanted, value, value_size);
    }
    return size;
}

/* libcurl sends a request a second time, by itself, when a connection kept alive turns out dead. A long poll
 * must not be: the first one may have been answered into the dead connection. */
static int on_sending(void *opaque, char *ip, char *local_ip, int port, int local_port)
{
    struct sl_call *call = opaque;
    (void)ip, (void)local_ip, (void)port, (void)local_port;
    return call->sendings++ && call->parked ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

#define SET(option, value) (curl_easy_setopt(easy, option, value) == CURLE_OK)

static bool set_method(const struct sl_call *call, CURL *easy)
{
    if (!strcmp(call->method, "HEAD"))
        return SET(CURLOPT_NOBODY, 1L);
    bool sends = call->body_size || !strcmp(call->method, "POST") || !strcmp(call->method, "PUT") ||
                 !strcmp(call->method, "PATCH");
    if (!sends)
        return SET(CURLOPT_HTTPGET, 1L) &&
               (!strcmp(call->method, "GET") || SET(CURLOPT_CUSTOMREQUEST, call->method));
    return SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_size) &&
           SET(CURLOPT_POSTFIELDS, call->body ? (const char *)call->body : "") &&
           SET(CURLOPT_CUSTOMREQUEST, call->method);
}

bool sl_call_prepare(struct sl_call *call, CURL *easy, const struct sl_http_options *options)
{
    const struct sl_http_settings *set = &options->set;
    int timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : set->timeout_ms;
    call->options = options;
    call->proxy = sl_options_proxy(options, call->url, NULL);
    call->response.proxy[0] = 0;
    if (call->proxy)
        sl_proxy_describe(call->proxy, call->response.proxy, sizeof call->response.proxy);
    call->curl_text[0] = 0;
    call->too_big = false;
    call->sendings = 0;
    curl_easy_reset(easy);
    /* libcurl 7.88 refuses it where a name could not be resolved before, because the buffer is still there:
     * it has that size. */
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
    return SET(CURLOPT_URL, call->url) && SET(CURLOPT_PRIVATE, call) && set_method(call, easy) &&
           SET(CURLOPT_HTTPHEADER, call->headers) && SET(CURLOPT_ERRORBUFFER, call->curl_text) &&
           SET(CURLOPT_WRITEFUNCTION, on_body) && SET(CURLOPT_WRITEDATA, call) &&
           SET(CURLOPT_HEADERFUNCTION, on_header) && SET(CURLOPT_HEADERDATA, call) &&
           SET(CURLOPT_PREREQFUNCTION, on_sending) && SET(CURLOPT_PREREQDATA, call) &&
           SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
           SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
           SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) && SET(CURLOPT_TCP_KEEPALIVE, 1L) &&
           SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER) &&
           SET(CURLOPT_TIMEOUT_MS, (long)(timeout_ms > 0 ? timeout_ms : 0)) &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, (long)set->connect_timeout_ms) &&
           sl_options_apply(options, call->proxy, easy) &&
           (!set->user_agent || SET(CURLOPT_USERAGENT, set->user_agent));
}

void sl_http_describe(const char *method, const char *url, char *text, size_t size)
{
    const char *rest = strstr(url, "://");
    rest = rest ? rest + 3 : url;
    size_t authority = strcspn(rest, "/?#");
    const char *host = rest;
    for (size_t i = 0; i < authority; i++)
        if (rest[i] == '@')
            host = rest + i + 1;
    snprintf(text, size, "%s %.*s%s", method, (int)(rest - url), url, host);
}

void sl_call_conclude(struct sl_call *call, CURLcode code)
{
    struct sl_http_response *response = &call->response;
    long status = 0;
    curl_off_t sent = 0;
    if (curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &sent) == CURLE_OK && sent > 0)
        response->sent_bytes += (size_t)sent;
    if (!code && curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
        status >= 200 && status <= 999) {
        if (call->proxy && (status == 407 || (status == 401 && call->from_tinyproxy))) {
            sl_call_refused_by_proxy(call, status);
            return;
        }
        curl_off_t length = -1;
        curl_easy_getinfo(call->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        response->content_length = length;
        response->status = (int)status;
        return;
    }
    sl_call_fail(call, code);
}

bool sl_call_retriable(const struct sl_call *call)
{
    int status = call->response.status;
    return status ? status == 429 || (status >= 500 && status != 501) : call->response.error.retriable;
}
