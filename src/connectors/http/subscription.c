#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "connectors/http/consumer.h"

enum {
    UNSUBSCRIBE_MS = 5000, /* for the tries of leaving: the platform notices by itself that we are gone */
    ANSWER_BYTES = 65536
};

void sl_hc_note_correlation(struct sl_hc_consumer *consumer, const struct sl_http_response *response)
{
    if (!*response->correlation_id)
        return;
    pthread_mutex_lock(&consumer->lock);
    memcpy(consumer->correlation, response->correlation_id, sizeof consumer->correlation);
    pthread_mutex_unlock(&consumer->lock);
}

/* Under the lock. */
char *sl_hc_subscription_url(const struct sl_hc_consumer *consumer, const char *what)
{
    struct sl_buffer tail;
    sl_buffer_init(&tail, 8192);
    sl_buffer_printf(&tail, "/%s?mode=serial&subscriptionId=", what);
    sl_percent_encode(&tail, consumer->subscription, strlen(consumer->subscription));
    char *text = sl_buffer_take(&tail);
    char *url = text ? sl_hc_layer_url(consumer->node, consumer->layer, text) : NULL;
    free(text);
    return url;
}

static char *subscribe_body(const struct sl_hc_consumer *consumer)
{
    json_t *body = json_pack("{s:{s:s, s:s, s:s*}}", "kafkaConsumerProperties", "auto.offset.reset",
                             consumer->start == SL_START_BEGIN ? "earliest" : "latest", "enable.auto.commit",
                             "false", "group.id", consumer->named_group);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return text;
}

/* The node gets our token: it must be as well protected as the service that named it. */
static bool node_is_good(const struct sl_hc_consumer *consumer, const char *node)
{
    bool secure = !strncasecmp(node, "https://", 8);
    return secure || (!strncasecmp(node, "http://", 7) && strncasecmp(consumer->base, "https://", 8) != 0);
}

static sl_status note_subscription(struct sl_hc_consumer *consumer, const struct sl_http_response *response,
                                   sl_error *error)
{
    json_t *answer =
        response->body.size ? json_loadb(response->body.data, response->body.size, 0, NULL) : NULL;
    const char *node = json_string_value(json_object_get(answer, "nodeBaseURL"));
    const char *id = json_string_value(json_object_get(answer, "subscriptionId"));
    const char *group = json_string_value(json_object_get(answer, "consumerGroup"));
    if (!node || !id || !*id || !node_is_good(consumer, node)) {
        sl_error_set(error, SL_PROTOCOL, "subscribing to layer %s of %s: the platform's answer lacks %s",
                     consumer->layer, consumer->hrn,
                     id && *id ? "a nodeBaseURL that is as secure as its own" : "subscriptionId");
        json_decref(answer);
        return SL_PROTOCOL;
    }
    if (consumer->extended && !consumer->named_group &&
        json_is_true(json_object_get(answer, "consumerGroupShared")))
        SL_WARNING(
            &consumer->host.log,
            "the default consumer group \"%s\" has other members: with the same credentials they share the "
            "layer's messages, and each sees only a part; to see all, name a group of its own in " SL_ROOT
            "stream.consumer.group",
            group ? group : "");
    char *node_copy = strdup(node), *id_copy = strdup(id);
    char *group_copy = consumer->extended && group ? strdup(group) : NULL;
    json_decref(answer);
    if (!node_copy || !id_copy) {
        free(node_copy);
        free(id_copy);
        free(group_copy);
        return sl_error_oom(error);
    }
    for (size_t size = strlen(node_copy); size && node_copy[size - 1] == '/';)
        node_copy[--size] = 0;
    pthread_mutex_lock(&consumer->lock);
    free(consumer->node);
    free(consumer->subscription);
    consumer->node = node_copy;
    consumer->subscription = id_copy;
    if (!consumer->group) {
        consumer->group = group_copy; /* it is read without the lock from now on, so it stays */
        group_copy = NULL;
    }
    consumer->generation++;
    consumer->lost = false;
    pthread_mutex_unlock(&consumer->lock);
    free(group_copy);
    return SL_OK;
}

sl_status sl_hc_subscribe(struct sl_hc_consumer *consumer, sl_error *error)
{
    char tail[100];
    snprintf(tail, sizeof tail, "/subscribe?mode=serial%s%s", consumer->extended ? "&subscriptionId=" : "",
             consumer->extended ? consumer->wish : "");
    char *url = sl_hc_layer_url(consumer->base, consumer->layer, tail);
    char *body = subscribe_body(consumer);
    if (!url || !body) {
        free(url);
        free(body);
        return sl_error_oom(error);
    }
    const struct sl_http_header headers[] = {{"Content-Type", "application/json"},
                                             {"Accept", "application/json"}};
    struct sl_http_request request = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .header_count = 2,
        .body = body,
        .body_size = strlen(body),
        .max_response = ANSWER_BYTES,
        .timeout_ms =
            (int)(consumer->join_timeout_ms > consumer->request_timeout_ms ? consumer->join_timeout_ms
                                                                           : consumer->request_timeout_ms),
    };
    struct sl_http_response response;
    sl_status status = sl_hc_exchange(consumer, &request, &response, error);
    if (!status && response.status != 201) {
        char what[SL_HTTP_DESCRIPTION];
        sl_http_describe("POST", url, what, sizeof what);
        status = sl_http_error(&response, what, error);
    } else if (!status) {
        sl_hc_note_correlation(consumer, &response);
        status = note_subscription(consumer, &response, error);
    }
    sl_http_response_free(&response);
    free(url);
    free(body);
    return status;
}

static sl_status not_200(const char *method, const char *url, int answered, sl_error *error)
{
    char what[SL_HTTP_DESCRIPTION];
    sl_http_describe(method, url, what, sizeof what);
    return sl_error_set(error, SL_PROTOCOL, "%s: answered with HTTP %d instead of 200", what, answered);
}

sl_status sl_hc_unsubscribe(struct sl_hc_consumer *consumer, sl_error *error)
{
    pthread_mutex_lock(&consumer->lock);
    bool there = consumer->subscription && !consumer->lost;
    char *url = there ? sl_hc_subscription_url(consumer, "subscribe") : NULL;
    char correlation[sizeof consumer->correlation];
    memcpy(correlation, consumer->correlation, sizeof correlation);
    free(consumer->node);
    free(consumer->subscription);
    consumer->node = consumer->subscription = NULL;
    pthread_mutex_unlock(&consumer->lock);
    if (!there)
        return SL_OK;
    if (!url)
        return sl_error_oom(error);
    const struct sl_http_header headers[] = {{"X-Correlation-Id", correlation}};
    const struct sl_http_request request = {
        .method = "DELETE",
        .url = url,
        .headers = headers,
        .header_count = *correlation ? 1 : 0,
        .max_response = ANSWER_BYTES,
        .timeout_ms = UNSUBSCRIBE_MS,
        .deadline_ms = sl_mono_ms() + UNSUBSCRIBE_MS,
        .retry = true,
    };
    struct sl_http_response response = {0};
    sl_error why = {0};
    sl_status status = sl_client_call(consumer->client, &request, &response, &why);
    if (!status && response.status != 200)
        status = not_200("DELETE", url, response.status, &why);
    if (status == SL_NOT_FOUND) /* gone already: that is what was wanted */
        status = SL_OK;
    else if (status && error)
        *error = why;
    sl_http_response_free(&response);
    free(url);
    return status;
}

/* One PUT; *generation: the subscription that it went to. */
static sl_status put_once(struct sl_hc_consumer *consumer, const char *what, const char *body,
                          unsigned *generation, sl_error *error)
{
    int64_t deadline = sl_mono_ms() + consumer->join_timeout_ms;
    char correlation[sizeof consumer->correlation];
    pthread_mutex_lock(&consumer->lock);
    while ((consumer->lost || !consumer->subscription) && !consumer->closing && !consumer->stopped &&
           sl_mono_ms() < deadline)
        sl_hc_cond_wait(&consumer->changed, &consumer->lock, deadline);
    bool there = consumer->subscription && !consumer->lost;
    char *url = there ? sl_hc_subscription_url(consumer, what) : NULL;
    memcpy(correlation, consumer->correlation, sizeof correlation);
    *generation = consumer->generation;
    sl_error failure = consumer->failure;
    pthread_mutex_unlock(&consumer->lock);
    if (!there)
        return sl_error_set_retriable(error, SL_UNAVAILABLE, "the subscription to layer %s is lost%s%s",
                                      consumer->layer, failure.status ? ": " : "",
                                      failure.status ? failure.text : "");
    if (!url)
        return sl_error_oom(error);
    const struct sl_http_header headers[] = {{"Content-Type", "application/json"},
                                             {"Accept", "application/json"},
                                             {"X-Correlation-Id", correlation}};
    /* Both commits and seeks name their outcome, so doing one twice does no harm. */
    const struct sl_http_request request = {
        .method = "PUT",
        .url = url,
        .headers = headers,
        .header_count = *correlation ? 3 : 2,
        .body = body,
        .body_size = strlen(body),
        .max_response = ANSWER_BYTES,
        .retry = true,
    };
    struct sl_http_response response = {0};
    sl_status status = sl_client_call(consumer->client, &request, &response, error);
    if (!status && response.status != 200)
        status = not_200("PUT", url, response.status, error);
    if (!status)
        sl_hc_note_correlation(consumer, &response);
    sl_http_response_free(&response);
    free(url);
    return status;
}

sl_status sl_hc_put(struct sl_hc_consumer *consumer, const char *what, const json_t *body, sl_error *error)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    if (!text)
        return sl_error_oom(error);
    unsigned generation;
    sl_status status = put_once(consumer, what, text, &generation, error);
    if (status == SL_NOT_FOUND) {
        pthread_mutex_lock(&consumer->lock);
        if (generation == consumer->generation)
            consumer->lost = true;
        pthread_cond_broadcast(&consumer->changed);
        pthread_mutex_unlock(&consumer->lock);
        status = put_once(consumer, what, text, &generation, error);
    }
    free(text);
    return status;
}
