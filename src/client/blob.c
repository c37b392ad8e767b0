#include "client/blob.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "client/transfers.h"
#include "wire/hrn.h"

/* 1 to 128 of A-Z a-z 0-9 . _ - ; what the platform takes. */
static sl_status check_handle(const char *handle, sl_error *error)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = handle ? strlen(handle) : 0;
    if (length && length <= 128 && strspn(handle, allowed) == length && strcmp(handle, ".") &&
        strcmp(handle, ".."))
        return SL_OK;
    return sl_error_set(error, SL_INVALID_ARGUMENT,
                        "\"%.150s\" is no data handle: 1 to 128 characters of A-Z a-z 0-9 . _ -",
                        handle ? handle : "");
}

static sl_status check(const char *what, sl_client *client, const char *hrn, const char *layer,
                       sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (!status && (!hrn || !layer))
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "%s: hrn or layer is NULL", what);
    if (!status)
        status = sl_hrn_check(hrn, error);
    return status ? status : sl_layer_id_check(layer, error);
}

static sl_status limits(const struct sl_client *client, int64_t *max_size, int64_t *timeout_ms,
                        sl_error *error)
{
    sl_status status = sl_config_bytes(client->config, SL_ROOT "stream.blob.max-size", max_size, error);
    return status ? status
                  : sl_config_duration_ms(client->config, SL_ROOT "http.request-timeout", timeout_ms, error);
}

sl_status sl_blob_put(sl_client *client, const char *hrn, const char *layer, const char *handle,
                      const void *data, size_t size, char **made, sl_error *error)
{
    char own[SL_BLOB_HANDLE_SIZE];
    sl_status status = check("sl_blob_put", client, hrn, layer, error);
    if (!status && !data && size)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_blob_put: data is NULL");
    if (!status && handle)
        status = check_handle(handle, error);
    if (!status && !handle && !sl_blob_handle(own))
        status = sl_error_set(error, SL_INTERNAL, "no random numbers to be had");
    int64_t max_size, timeout_ms;
    if (!status)
        status = limits(client, &max_size, &timeout_ms, error);
    if (!status && size > (uint64_t)max_size)
        status = sl_error_set(error, SL_TOO_LARGE,
                              "the blob has %zu bytes; " SL_ROOT "stream.blob.max-size allows %lld", size,
                              (long long)max_size);
    char *url = NULL;
    if (!status)
        status = sl_blob_url(client, hrn, layer, handle ? handle : own, &url, error);
    if (status)
        return status;
    static const struct sl_http_header headers[] = {{"Content-Type", "application/octet-stream"}};
    const struct sl_http_request request = {
        .method = "PUT",
        .url = url,
        .headers = headers,
        .header_count = 1,
        .body = data,
        .body_size = size,
        .timeout_ms = sl_blob_timeout_ms(timeout_ms, size),
        .retry = true, /* the same bytes under the same name */
    };
    status = sl_client_call(client, &request, NULL, error);
    free(url);
    if (!status && made && !(*made = sl_strdup(handle ? handle : own)))
        status = sl_error_oom(error);
    return status;
}

/* The part that was asked for, where the platform has answered with the whole. */
static void cut(struct sl_http_response *response, int64_t first, int64_t count)
{
    struct sl_buffer *body = &response->body;
    if (response->status != 206)
        sl_buffer_consume(body, (uint64_t)first < body->size ? (size_t)first : body->size);
    if (count >= 0 && (uint64_t)count < body->size)
        body->size = (size_t)count;
}

static sl_status get(struct sl_client *client, const char *url, int64_t first, int64_t count,
                     struct sl_http_response *response, sl_error *error)
{
    int64_t max_size, timeout_ms;
    sl_status status = limits(client, &max_size, &timeout_ms, error);
    if (status)
        return status;
    if (count > max_size)
        return sl_error_set(error, SL_TOO_LARGE,
                            "%lld bytes are asked for; " SL_ROOT "stream.blob.max-size allows %lld",
                            (long long)count, (long long)max_size);
    char range[80];
    int64_t most = count < 0 ? max_size + 1 : count; /* one more than is allowed, to see that it is there */
    int64_t last = first > INT64_MAX - most ? INT64_MAX : first + most - 1;
    snprintf(range, sizeof range, "bytes=%lld-%lld", (long long)first, (long long)last);
    const struct sl_http_header header = {"Range", range};
    const struct sl_http_request request = {
        .method = "GET",
        .url = url,
        .headers = &header,
        .header_count = 1,
        .max_response = (size_t)max_size + 1,
        .timeout_ms = sl_blob_timeout_ms(timeout_ms, (size_t)most),
        .retry = true,
    };
    sl_error why;
    status = sl_client_call(client, &request, response, &why);
    if (status && why.http_status == 416) { /* it ends before */
        memset(response, 0, sizeof *response);
        sl_buffer_init(&response->body, 1);
        return SL_OK;
    }
    if (status) {
        if (error)
            *error = why;
        return status;
    }
    cut(response, first, count);
    if (response->body.size > (uint64_t)max_size) {
        sl_http_response_free(response);
        return sl_error_set(error, SL_TOO_LARGE,
                            "the blob has more than the %lld bytes that " SL_ROOT
                            "stream.blob.max-size allows: ask for a part of it, or allow more",
                            (long long)max_size);
    }
    return SL_OK;
}

sl_status sl_blob_get(sl_client *client, const char *hrn, const char *layer, const char *handle,
                      int64_t first, int64_t count, void **data, size_t *size, sl_error *error)
{
    sl_status status = check("sl_blob_get", client, hrn, layer, error);
    if (!status && (!data || !size || first < 0 || count < -1 || !count))
        status = sl_error_set(error, SL_INVALID_ARGUMENT,
                              "sl_blob_get: data or size is NULL, or there are no bytes in the range");
    if (!status)
        status = check_handle(handle, error);
    char *url = NULL;
    if (!status)
        status = sl_blob_url(client, hrn, layer, handle, &url, error);
    if (status)
        return status;
    struct sl_http_response response;
    status = get(client, url, first, count, &response, error);
    free(url);
    if (status)
        return status;
    *size = response.body.size;
    *data = sl_buffer_take(&response.body);
    return *data ? SL_OK : sl_error_oom(error);
}

/* An answer to HEAD has no body: of a refusal the cause is to be had by GET, for a byte at most. The error
 * stays as it is where there is none, or is the better one's. */
static void ask_why(sl_client *client, const char *url, sl_error *error)
{
    static const struct sl_http_header header = {"Range", "bytes=0-0"};
    const struct sl_http_request request = {
        .method = "GET", .url = url, .headers = &header, .header_count = 1, .max_response = 65536};
    sl_error why = {0};
    if (sl_client_call(client, &request, NULL, &why) && why.http_status == error->http_status)
        *error = why;
}

sl_status sl_blob_size(sl_client *client, const char *hrn, const char *layer, const char *handle,
                       int64_t *size, sl_error *error)
{
    sl_status status = check("sl_blob_size", client, hrn, layer, error);
    if (!status && !size)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_blob_size: size is NULL");
    if (!status)
        status = check_handle(handle, error);
    char *url = NULL;
    if (!status)
        status = sl_blob_url(client, hrn, layer, handle, &url, error);
    if (status)
        return status;
    const struct sl_http_request request = {.method = "HEAD", .url = url, .retry = true};
    struct sl_http_response response;
    sl_error refused = {0};
    status = sl_client_call(client, &request, &response, &refused);
    if (status && refused.http_status >= 400 && refused.http_status != 404)
        ask_why(client, url, &refused);
    if (status && error)
        *error = refused;
    if (!status) {
        *size = response.content_length;
        sl_http_response_free(&response);
        if (*size < 0) {
            char what[SL_HTTP_DESCRIPTION];
            sl_http_describe("HEAD", url, what, sizeof what);
            status = sl_error_set(error, SL_PROTOCOL, "%s: the platform does not tell the blob's size", what);
        }
    }
    free(url);
    return status;
}

bool sl_blob_handle(char out[SL_BLOB_HANDLE_SIZE])
{
    return sl_random_hex(out, SL_BLOB_HANDLE_SIZE - 1);
}

/* Fetching several. */

struct fetch {
    struct sl_transfer transfer;
    struct sl_blob_fetch *blob;
};

static void finish(struct fetch *fetch)
{
    struct sl_blob_fetch *blob = fetch->blob;
    struct sl_buffer *body = &fetch->transfer.response.body;
    blob->status = fetch->transfer.error.status;
    blob->error = fetch->transfer.error;
    blob->data = NULL;
    blob->size = 0;
    if (!blob->status) {
        blob->size = body->size;
        blob->data = sl_buffer_take(body);
        if (!blob->data)
            blob->status = sl_error_oom(&blob->error);
    }
    sl_http_response_free(&fetch->transfer.response);
}

static sl_status fail_all(struct sl_blob_fetch *list, size_t count, sl_status status, const sl_error *error)
{
    for (size_t i = 0; i < count; i++) {
        list[i].status = status;
        list[i].error = *error;
        list[i].data = NULL;
        list[i].size = 0;
    }
    return status;
}

sl_status sl_blobs_fetch(struct sl_client *client, const char *hrn, const char *layer,
                         struct sl_blob_fetch *list, size_t count, size_t at_once, size_t max_size,
                         int64_t deadline_ms)
{
    if (!count)
        return SL_OK;
    sl_error error;
    struct sl_transfers *set = NULL;
    struct fetch *fetches = calloc(count, sizeof *fetches);
    sl_status status = fetches ? sl_transfers_create(client, hrn, layer, &set, &error) : sl_error_oom(&error);
    if (status) {
        free(fetches);
        return fail_all(list, count, status, &error);
    }
    size_t begun = 0, done = 0;
    while (done < count) {
        while (begun < count && begun - done < (at_once ? at_once : 1)) {
            struct fetch *fetch = &fetches[begun];
            fetch->blob = &list[begun++];
            fetch->transfer.handle = fetch->blob->handle;
            fetch->transfer.max_size = max_size;
            fetch->transfer.deadline_ms = deadline_ms;
            sl_transfers_begin(set, &fetch->transfer);
        }
        struct sl_transfer *transfer = sl_transfers_take(set, INT64_MAX);
        if (!transfer)
            continue;
        struct fetch *fetch = (struct fetch *)transfer; /* it stands first */
        finish(fetch);
        done++;
    }
    for (size_t i = 0; i < count && !status; i++)
        status = list[i].status;
    sl_transfers_destroy(&set);
    free(fetches);
    return status;
}
