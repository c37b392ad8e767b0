#include "client/transfers.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"
#include "client/lookup.h"

enum {
    LEAST_RATE = 64, /* bytes a millisecond: a try that is slower may be cut */
    HANDLE_MOST = 1024
};

struct sl_transfers {
    struct sl_client *client;
    char *hrn, *layer;
    int64_t timeout_ms, backoff_ms, backoff_max_ms;
    char *bearer;                /* the taker's own */
    struct sl_transfer *delayed; /* the taker's own; in no order */
    atomic_bool stopped;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct sl_transfer *answered, **answered_end; /* under the lock, and so is in_flight of each */
    bool woken;
};

sl_status sl_transfers_create(struct sl_client *client, const char *hrn, const char *layer,
                              struct sl_transfers **transfers, sl_error *error)
{
    struct sl_transfers *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    made->client = client;
    made->hrn = sl_strdup(hrn);
    made->layer = sl_strdup(layer);
    made->answered_end = &made->answered;
    pthread_mutex_init(&made->lock, NULL);
    sl_cond_init(&made->changed);
    sl_status status = made->hrn && made->layer ? SL_OK : sl_error_oom(error);
    if (!status)
        status =
            sl_config_duration_ms(client->config, SL_ROOT "http.request-timeout", &made->timeout_ms, error);
    if (!status)
        status =
            sl_config_duration_ms(client->config, SL_ROOT "http.retry.backoff", &made->backoff_ms, error);
    if (!status)
        status = sl_config_duration_ms(client->config, SL_ROOT "http.retry.max-backoff",
                                       &made->backoff_max_ms, error);
    if (status)
        sl_transfers_destroy(&made);
    *transfers = made;
    return status;
}

void sl_transfers_destroy(struct sl_transfers **transfers)
{
    struct sl_transfers *gone = *transfers;
    *transfers = NULL;
    if (!gone)
        return;
    pthread_cond_destroy(&gone->changed);
    pthread_mutex_destroy(&gone->lock);
    sl_secret_free(&gone->bearer);
    free(gone->hrn);
    free(gone->layer);
    free(gone);
}

sl_status sl_blob_url(struct sl_client *client, const char *hrn, const char *layer, const char *handle,
                      char **url, sl_error *error)
{
    return sl_blob_url_within(client, hrn, layer, handle, NULL, 0, url, error);
}

sl_status sl_blob_url_within(struct sl_client *client, const char *hrn, const char *layer, const char *handle,
                             const void *owner, int64_t deadline_ms, char **url, sl_error *error)
{
    /* "." and ".." would be taken for steps in the path. */
    if (!sl_is_token_text(handle, HANDLE_MOST) || !strcmp(handle, ".") || !strcmp(handle, ".."))
        return sl_error_set(error, SL_INVALID_ARGUMENT, "\"%.200s\" is no data handle", handle);
    char *base = NULL;
    sl_status status =
        sl_client_base_url_within(client, hrn, "blob", "v1", owner, deadline_ms, &base, NULL, error);
    if (status)
        return status;
    struct sl_buffer text;
    sl_buffer_init(&text, 16384);
    sl_buffer_append_text(&text, base);
    sl_buffer_append_text(&text, "/layers/");
    sl_percent_encode(&text, layer, strlen(layer));
    sl_buffer_append_text(&text, "/data/");
    sl_percent_encode(&text, handle, strlen(handle));
    free(base);
    *url = sl_buffer_take(&text);
    return *url ? SL_OK : sl_error_oom(error);
}

int sl_blob_timeout_ms(int64_t request_timeout_ms, size_t size)
{
    int64_t more = (int64_t)(size / LEAST_RATE);
    return more > INT_MAX - request_timeout_ms ? INT_MAX : (int)(request_timeout_ms + more);
}

/* Under the lock. */
static void put_answered(struct sl_transfers *set, struct sl_transfer *transfer)
{
    transfer->next = NULL;
    *set->answered_end = transfer;
    set->answered_end = &transfer->next;
    transfer->in_flight = false;
    pthread_cond_signal(&set->changed);
}

/* The engine's thread. */
static void on_done(void *opaque, struct sl_http_response *response)
{
    struct sl_transfer *transfer = opaque;
    struct sl_transfers *set = transfer->set;
    pthread_mutex_lock(&set->lock);
    transfer->response = *response;
    memset(&response->body, 0, sizeof response->body); /* taken */
    put_answered(set, transfer);
    pthread_mutex_unlock(&set->lock);
}

static sl_status send_once(struct sl_transfers *set, struct sl_transfer *transfer, sl_error *error)
{
    if (atomic_load_explicit(&set->stopped, memory_order_acquire))
        return sl_error_set(error, SL_CLOSED, "it is being closed");
    char *url = NULL;
    int64_t deadline = transfer->deadline_ms == INT64_MAX ? 0 : transfer->deadline_ms;
    sl_status status =
        sl_blob_url_within(set->client, set->hrn, set->layer, transfer->handle, set, deadline, &url, error);
    if (!status && !set->bearer)
        status = sl_auth_bearer_until(set->client->auth, NULL, transfer->deadline_ms, &set->stopped,
                                      &set->bearer, NULL, error);
    if (status) {
        free(url);
        return status;
    }
    char range[64];
    snprintf(range, sizeof range, "bytes=0-%zu", transfer->max_size); /* a byte more than is allowed */
    const struct sl_http_header headers[] = {
        {"Authorization", set->bearer},
        transfer->body ? (struct sl_http_header){"Content-Type", "application/octet-stream"}
                       : (struct sl_http_header){"Range", range},
    };
    int timeout_ms =
        sl_blob_timeout_ms(set->timeout_ms, transfer->body ? transfer->body_size : transfer->max_size);
    int left_ms = sl_remaining_ms(transfer->deadline_ms);
    if (transfer->body && left_ms >= 0 && left_ms < timeout_ms)
        timeout_ms = left_ms ? left_ms : 1;
    const struct sl_http_request request = {
        .method = transfer->body ? "PUT" : "GET",
        .url = url,
        .headers = headers,
        .header_count = 2,
        .body = transfer->body,
        .body_size = transfer->body_size,
        .max_response = transfer->body ? 0 : transfer->max_size + 1,
        .timeout_ms = timeout_ms,
        .deadline_ms = deadline,
        .retry = true,
        .owner = set,
    };
    pthread_mutex_lock(&set->lock);
    transfer->in_flight = true;
    pthread_mutex_unlock(&set->lock);
    transfer->url = url;
    status = sl_http_begin(set->client->http, &request, on_done, transfer, error);
    if (status) {
        pthread_mutex_lock(&set->lock);
        transfer->in_flight = false;
        pthread_mutex_unlock(&set->lock);
    }
    return status;
}

/* What went wrong without an answer goes the way of answers. */
static void try(struct sl_transfers *set, struct sl_transfer *transfer)
{
    memset(&transfer->response, 0, sizeof transfer->response);
    transfer->url = NULL;
    sl_error error;
    if (!send_once(set, transfer, &error))
        return;
    transfer->response.error = error;
    transfer->response.retry_after_ms = -1;
    pthread_mutex_lock(&set->lock);
    put_answered(set, transfer);
    pthread_mutex_unlock(&set->lock);
}

void sl_transfers_begin(struct sl_transfers *transfers, struct sl_transfer *transfer)
{
    transfer->set = transfers;
    transfer->renewed = false;
    transfer->failures = 0;
    memset(&transfer->error, 0, sizeof transfer->error);
    try(transfers, transfer);
}

static void judge(const struct sl_transfers *set, struct sl_transfer *transfer)
{
    struct sl_http_response *response = &transfer->response;
    int code = response->status;
    if (!transfer->body && code == 416) { /* a range that begins at 0 is behind the end of nothing only */
        sl_buffer_reset(&response->body);
    } else if (code < 200 || code >= 300) {
        char what[200];
        snprintf(what, sizeof what, "%s the blob %.100s of layer %s", transfer->body ? "storing" : "fetching",
                 transfer->handle, set->layer);
        sl_http_error(response, what, &transfer->error);
    } else if (response->body.size > transfer->max_size && !transfer->body) {
        sl_error_set(&transfer->error, SL_TOO_LARGE,
                     "the blob %.100s of layer %s has more than %zu bytes; " SL_ROOT
                     "stream.blob.max-size sets what is allowed",
                     transfer->handle, set->layer, transfer->max_size);
    }
}

/* Puts it aside for another try, if there is to be one. */
static bool delay(struct sl_transfers *set, struct sl_transfer *transfer)
{
    if (!transfer->persistent || !transfer->error.retriable)
        return false;
    int64_t wait_ms = set->backoff_ms;
    for (unsigned i = 0; i < transfer->failures && wait_ms < set->backoff_max_ms; i++)
        wait_ms *= 2;
    if (wait_ms > set->backoff_max_ms)
        wait_ms = set->backoff_max_ms;
    if (wait_ms < transfer->response.retry_after_ms)
        wait_ms = transfer->response.retry_after_ms;
    int64_t now = sl_mono_ms(), left_ms = transfer->deadline_ms - now;
    if (left_ms <= set->backoff_ms)
        return false;
    transfer->due_ms = now + (wait_ms < left_ms ? wait_ms : left_ms / 2); /* the time there is is used up */
    transfer->failures++;
    transfer->last = transfer->error;
    memset(&transfer->error, 0, sizeof transfer->error);
    sl_http_response_free(&transfer->response);
    transfer->next = set->delayed;
    set->delayed = transfer;
    return true;
}

/* Whether that is the end of it. */
static bool conclude(struct sl_transfers *set, struct sl_transfer *transfer)
{
    if (!transfer->response.status && transfer->response.unsent && transfer->url)
        sl_client_note_unreachable(set->client, transfer->url);
    free(transfer->url);
    transfer->url = NULL;
    if (transfer->response.status == 401 && !transfer->renewed) {
        transfer->renewed = true; /* once: a token that is refused when it is new stays so */
        char *refused = set->bearer;
        set->bearer = NULL;
        sl_status status = sl_auth_bearer(set->client->auth, refused, &set->bearer, NULL, &transfer->error);
        sl_secret_free(&refused);
        if (!status) {
            sl_http_response_free(&transfer->response);
            try(set, transfer);
            return false;
        }
    } else {
        judge(set, transfer);
    }
    /* That the time there was ran out says less than what went wrong before. */
    if (transfer->error.status == SL_TIMED_OUT && transfer->failures)
        transfer->error = transfer->last;
    return !transfer->error.status || !delay(set, transfer);
}

/* Begins what waits for another try and is due; returns when the next one is. */
static int64_t begin_due(struct sl_transfers *set)
{
    int64_t now = sl_mono_ms(), next = INT64_MAX;
    struct sl_transfer *list = set->delayed;
    set->delayed = NULL;
    while (list) {
        struct sl_transfer *transfer = list;
        list = list->next;
        if (transfer->due_ms <= now) {
            try(set, transfer);
            continue;
        }
        next = transfer->due_ms < next ? transfer->due_ms : next;
        transfer->next = set->delayed;
        set->delayed = transfer;
    }
    return next;
}

/* NULL: woken, or it is time. */
static struct sl_transfer *wait_for_answer(struct sl_transfers *set, int64_t until_ms)
{
    pthread_mutex_lock(&set->lock);
    while (!set->answered && !set->woken && sl_remaining_ms(until_ms)) {
        struct timespec when = sl_mono_deadline(until_ms);
        if (until_ms == INT64_MAX)
            pthread_cond_wait(&set->changed, &set->lock);
        else
            pthread_cond_timedwait(&set->changed, &set->lock, &when);
    }
    struct sl_transfer *transfer = set->answered;
    if (transfer && !(set->answered = transfer->next))
        set->answered_end = &set->answered;
    pthread_mutex_unlock(&set->lock);
    return transfer;
}

static bool was_woken(struct sl_transfers *set)
{
    pthread_mutex_lock(&set->lock);
    bool woken = set->woken;
    set->woken = false;
    pthread_mutex_unlock(&set->lock);
    return woken;
}

struct sl_transfer *sl_transfers_take(struct sl_transfers *transfers, int64_t deadline_ms)
{
    for (;;) {
        int64_t due = begin_due(transfers);
        struct sl_transfer *transfer = wait_for_answer(transfers, due < deadline_ms ? due : deadline_ms);
        if (transfer && conclude(transfers, transfer))
            return transfer;
        if (!transfer && (was_woken(transfers) || !sl_remaining_ms(deadline_ms)))
            return NULL;
    }
}

void sl_transfers_wake(struct sl_transfers *transfers)
{
    pthread_mutex_lock(&transfers->lock);
    transfers->woken = true;
    pthread_cond_signal(&transfers->changed);
    pthread_mutex_unlock(&transfers->lock);
}

void sl_transfers_stop(struct sl_transfers *transfers)
{
    atomic_store_explicit(&transfers->stopped, true, memory_order_release);
    sl_http_cancel(transfers->client->http, transfers);
    sl_auth_wake(transfers->client->auth);
    sl_transfers_wake(transfers);
}

void sl_transfers_cancel(struct sl_transfers *transfers, struct sl_transfer *const *list, size_t count)
{
    sl_transfers_stop(transfers);
    pthread_mutex_lock(&transfers->lock);
    for (size_t i = 0; i < count; i++)
        while (list[i]->in_flight)
            pthread_cond_wait(&transfers->changed, &transfers->lock);
    transfers->answered = NULL;
    transfers->answered_end = &transfers->answered;
    pthread_mutex_unlock(&transfers->lock);
    transfers->delayed = NULL;
    for (size_t i = 0; i < count; i++) {
        sl_http_response_free(&list[i]->response);
        free(list[i]->url);
        list[i]->url = NULL;
    }
}
