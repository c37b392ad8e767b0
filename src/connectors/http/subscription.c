#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"
#include "client/lookup.h"
#include "connectors/http/consumer.h"

enum { ANSWER_BYTES = 1 << 20 };

void sl_hc_note_correlation(struct sl_hc_member *member, const struct sl_http_response *response)
{
    if (!*response->correlation_id)
        return;
    pthread_mutex_lock(&member->consumer->lock);
    memcpy(member->correlation, response->correlation_id, sizeof member->correlation);
    pthread_mutex_unlock(&member->consumer->lock);
}

static bool append_ids(struct sl_buffer *query, const struct sl_hc_member *member, const char *subscription)
{
    bool parallel = sl_hc_is_parallel(member->consumer);
    sl_buffer_append_text(query, parallel ? "?mode=parallel" : "?mode=serial");
    if (subscription) {
        sl_buffer_append_text(query, "&subscriptionId=");
        sl_percent_encode(query, subscription, strlen(subscription));
    }
    if (parallel)
        sl_buffer_printf(query, "&consumerId=%s", member->id);
    return !query->failed;
}

/* Under the lock. */
char *sl_hc_subscription_url(const struct sl_hc_member *member, const char *what)
{
    struct sl_buffer tail;
    sl_buffer_init(&tail, 8192);
    sl_buffer_printf(&tail, "/%s", what);
    append_ids(&tail, member, member->subscription);
    char *text = sl_buffer_take(&tail);
    char *url = text ? sl_hc_layer_url(member->node, member->consumer->layer, text) : NULL;
    sl_buffer_free(&tail);
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
static bool node_is_good(const char *base, const char *node)
{
    bool secure = !strncasecmp(node, "https://", 8);
    return secure || (!strncasecmp(node, "http://", 7) && strncasecmp(base, "https://", 8) != 0);
}

static void warn_shared(const struct sl_hc_member *member, const json_t *answer, const char *group)
{
    const struct sl_hc_consumer *consumer = member->consumer;
    if (!consumer->extended || consumer->named_group || sl_hc_is_parallel(consumer) ||
        !json_is_true(json_object_get(answer, "consumerGroupShared")))
        return;
    SL_WARNING(
        &consumer->host.log,
        "the default consumer group \"%s\" has other members: with the same credentials they share the "
        "layer's messages, and each sees only a part; to see all, name a group of its own in " SL_ROOT
        "stream.consumer.group, or with sl_consumer_options_set_group",
        group ? group : "");
}

/* Takes node and id. */
static sl_status take_subscription(struct sl_hc_member *member, char *node, char *id, char *group,
                                   struct sl_hc_assignment *assignment, sl_error *error)
{
    struct sl_hc_consumer *consumer = member->consumer;
    sl_status status = SL_OK;
    for (size_t size = strlen(node); size && node[size - 1] == '/';)
        node[--size] = 0;
    pthread_mutex_lock(&consumer->lock);
    free(member->node);
    free(member->subscription);
    member->node = node;
    member->subscription = id;
    if (!consumer->group) {
        consumer->group = group; /* it is read without the lock from now on, so it stays */
        group = NULL;
    }
    if (!consumer->extended && sl_hc_is_parallel(consumer) && !consumer->shared)
        consumer->shared = sl_strdup(id); /* without memory the next one gets a subscription of its own */
    member->generation++;
    consumer->subscriptions++;
    member->wishes = 0;
    if (assignment->number >= 0 && !sl_hc_share_assign(member, assignment))
        status = sl_error_oom(error);
    else
        member->lost = false;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
    free(group);
    return status;
}

static sl_status note_subscription(struct sl_hc_member *member, const struct sl_http_response *response,
                                   const char *base, sl_error *error)
{
    struct sl_hc_consumer *consumer = member->consumer;
    json_t *answer =
        response->body.size ? json_loadb(response->body.data, response->body.size, 0, NULL) : NULL;
    const char *node = json_string_value(json_object_get(answer, "nodeBaseURL"));
    const char *id = json_string_value(json_object_get(answer, "subscriptionId"));
    const char *group = json_string_value(json_object_get(answer, "consumerGroup"));
    if (!node || !id || !*id || !node_is_good(base, node)) {
        sl_error_set(error, SL_PROTOCOL, "subscribing to layer %s of %s: the platform's answer lacks %s",
                     consumer->layer, consumer->hrn,
                     id && *id ? "a nodeBaseURL that is as secure as its own" : "subscriptionId");
        json_decref(answer);
        return SL_PROTOCOL;
    }
    warn_shared(member, answer, group);
    struct sl_hc_assignment assignment = {.number = -1};
    bool read = !consumer->extended || sl_hc_assignment_read(&assignment, answer);
    char *node_copy = strdup(node), *id_copy = strdup(id);
    char *group_copy = consumer->extended && group ? strdup(group) : NULL;
    json_decref(answer);
    sl_status status;
    if (read && node_copy && id_copy) {
        status = take_subscription(member, node_copy, id_copy, group_copy, &assignment, error);
    } else {
        free(node_copy);
        free(id_copy);
        free(group_copy);
        status = sl_error_oom(error);
    }
    sl_hc_assignment_free(&assignment);
    return status;
}

/* Where the platform chooses the subscription's id that the members share, the first one asks for it alone.
 * Under the lock. */
static bool begin_joining(struct sl_hc_consumer *consumer)
{
    bool alone = sl_hc_is_parallel(consumer) && !consumer->extended;
    while (alone && consumer->joining && !consumer->closing)
        pthread_cond_wait(&consumer->changed, &consumer->lock);
    return alone && !consumer->shared && (consumer->joining = true);
}

/* That there is no room for one more subscription; other answers of these statuses end by waiting. */
static bool is_full(const struct sl_http_response *response)
{
    if (response->status == 409)
        return true;
    if (response->status != 429 || !response->body.size)
        return false;
    json_t *body = json_loadb(response->body.data, response->body.size, 0, NULL);
    const char *code = json_string_value(json_object_get(body, "code"));
    bool full = code && (!strcmp(code, "too-many-group-subscriptions") || /* on all its layers */
                         !strcmp(code, "too-many-subscriptions"));        /* of the application */
    json_decref(body);
    return full;
}

static sl_status ask_for_one(struct sl_hc_member *member, const char *url, const char *base,
                             struct sl_hc_refusal *refusal, sl_error *error)
{
    struct sl_hc_consumer *consumer = member->consumer;
    char *body = subscribe_body(consumer);
    if (!body)
        return sl_error_oom(error);
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
    sl_status status = sl_hc_exchange(member, &request, &response, error);
    if (!status && response.status != 201) {
        char what[SL_HTTP_DESCRIPTION];
        sl_http_describe("POST", url, what, sizeof what);
        status = sl_http_error(&response, what, error);
        refusal->full = is_full(&response);
        refusal->retry_after_ms = response.retry_after_ms;
    } else if (!status) {
        sl_hc_note_correlation(member, &response);
        status = note_subscription(member, &response, base, error);
    }
    sl_http_response_free(&response);
    free(body);
    return status;
}

sl_status sl_hc_subscribe(struct sl_hc_member *member, struct sl_hc_refusal *refusal, sl_error *error)
{
    *refusal = (struct sl_hc_refusal){.retry_after_ms = -1};
    struct sl_hc_consumer *consumer = member->consumer;
    struct sl_buffer tail;
    sl_buffer_init(&tail, 8192);
    sl_buffer_append_text(&tail, "/subscribe");
    pthread_mutex_lock(&consumer->lock);
    bool joining = begin_joining(consumer);
    append_ids(&tail, member, consumer->extended ? consumer->wish : consumer->shared);
    char *base = sl_strdup(consumer->base);
    pthread_mutex_unlock(&consumer->lock);
    char *text = sl_buffer_take(&tail);
    char *url = text && base ? sl_hc_layer_url(base, consumer->layer, text) : NULL;
    sl_status status = url ? ask_for_one(member, url, base, refusal, error) : sl_error_oom(error);
    if (joining) {
        pthread_mutex_lock(&consumer->lock);
        consumer->joining = false;
        pthread_cond_broadcast(&consumer->changed);
        pthread_mutex_unlock(&consumer->lock);
    }
    sl_buffer_free(&tail);
    free(text);
    free(base);
    free(url);
    return status;
}

/* A signed request, which closing ends where it has an owner. SL_OK whenever there is an HTTP status. */
static sl_status perform(struct sl_hc_member *member, const struct sl_http_request *request,
                         struct sl_http_response *response, sl_error *error)
{
    struct sl_hc_consumer *consumer = member->consumer;
    struct sl_client *client = consumer->client;
    struct sl_http_header headers[4] = {{"Accept", "application/json"}};
    size_t count = 1;
    char correlation[sizeof member->correlation];
    pthread_mutex_lock(&consumer->lock);
    memcpy(correlation, member->correlation, sizeof correlation);
    pthread_mutex_unlock(&consumer->lock);
    if (*correlation)
        headers[count++] = (struct sl_http_header){"X-Correlation-Id", correlation};
    if (request->body)
        headers[count++] = (struct sl_http_header){"Content-Type", "application/json"};
    struct sl_http_request with = *request;
    with.headers = headers;
    with.header_count = count + 1;
    memset(response, 0, sizeof *response);
    char *refused = NULL;
    sl_status status;
    for (int tries = 0; tries < 2; tries++) {
        char *bearer = NULL;
        status = sl_auth_bearer_until(client->auth, refused, request->deadline_ms,
                                      request->owner ? &consumer->cancelled : NULL, &bearer, NULL, error);
        sl_secret_free(&refused);
        if (status)
            return status;
        headers[count] = (struct sl_http_header){"Authorization", bearer};
        sl_http_response_free(response);
        status = sl_http_perform(client->http, &with, response, error);
        pthread_mutex_lock(&consumer->lock);
        sl_hc_traffic_count(&consumer->traffic, response);
        pthread_mutex_unlock(&consumer->lock);
        if (status && response->unsent)
            sl_client_note_unreachable(client, request->url);
        if (!status && response->status == 401)
            refused = bearer;
        else
            sl_secret_free(&bearer);
        if (!refused)
            break;
    }
    sl_secret_free(&refused);
    return status;
}

static sl_status judge(const struct sl_http_request *request, const struct sl_http_response *response,
                       sl_error *error)
{
    if (response->status == 200 || response->status == 204)
        return SL_OK;
    char what[SL_HTTP_DESCRIPTION];
    sl_http_describe(request->method, request->url, what, sizeof what);
    if (response->status >= 400)
        return sl_http_error(response, what, error);
    return sl_error_set(error, SL_PROTOCOL, "%s: answered with HTTP %d instead of 200", what,
                        response->status);
}

sl_status sl_hc_unsubscribe(struct sl_hc_member *member, int64_t deadline_ms, sl_error *error)
{
    struct sl_hc_consumer *consumer = member->consumer;
    pthread_mutex_lock(&consumer->lock);
    bool there = member->subscription && !member->lost;
    char *url = there ? sl_hc_subscription_url(member, "subscribe") : NULL;
    free(member->node);
    free(member->subscription);
    member->node = member->subscription = NULL;
    pthread_mutex_unlock(&consumer->lock);
    if (!there)
        return SL_OK;
    if (!url)
        return sl_error_oom(error);
    int64_t now = sl_mono_ms();
    const struct sl_http_request request = {
        .method = "DELETE",
        .url = url,
        .max_response = ANSWER_BYTES,
        .timeout_ms = deadline_ms > now ? (int)(deadline_ms - now) : 1,
        .deadline_ms = deadline_ms,
        .retry = true,
    };
    struct sl_http_response response;
    sl_error why = {0};
    sl_status status = perform(member, &request, &response, &why);
    if (!status)
        status = judge(&request, &response, &why);
    if (status == SL_NOT_FOUND) /* gone already: that is what was wanted */
        status = SL_OK;
    else if (status && error)
        *error = why;
    sl_http_response_free(&response);
    free(url);
    return status;
}

bool sl_hc_await(struct sl_hc_member *member, int64_t deadline_ms)
{
    struct sl_hc_consumer *consumer = member->consumer;
    while ((member->lost || !member->subscription) && !member->stopped && !consumer->closing &&
           sl_mono_ms() < deadline_ms)
        sl_hc_cond_wait(&consumer->changed, &consumer->lock, deadline_ms);
    return member->subscription && !member->lost;
}

sl_status sl_hc_call(struct sl_hc_member *member, const char *method, const char *what, const char *body,
                     int64_t deadline_ms, json_t **answer, sl_error *error)
{
    struct sl_hc_consumer *consumer = member->consumer;
    if (answer)
        *answer = NULL;
    pthread_mutex_lock(&consumer->lock);
    bool there = member->subscription && !member->lost;
    char *url = there ? sl_hc_subscription_url(member, what) : NULL;
    unsigned generation = member->generation;
    sl_error failure = consumer->fatal.status ? consumer->fatal : member->failure;
    pthread_mutex_unlock(&consumer->lock);
    if (!there) {
        sl_error_set_retriable(error, SL_UNAVAILABLE, "the subscription to layer %s is lost%s%s",
                               consumer->layer, failure.status ? ": " : "",
                               failure.status ? failure.text : "");
        return SL_UNAVAILABLE;
    }
    if (!url)
        return sl_error_oom(error);
    int64_t left_ms = deadline_ms - sl_mono_ms();
    /* All of them name their outcome, so doing one twice does no harm. */
    const struct sl_http_request request = {
        .method = method,
        .url = url,
        .body = body,
        .body_size = body ? strlen(body) : 0,
        .max_response = ANSWER_BYTES,
        .timeout_ms = (int)(left_ms < 1                              ? 1
                            : left_ms < consumer->request_timeout_ms ? left_ms
                                                                     : consumer->request_timeout_ms),
        .deadline_ms = deadline_ms,
        .retry = true,
        .owner = member,
    };
    struct sl_http_response response;
    sl_status status = perform(member, &request, &response, error);
    if (!status)
        status = judge(&request, &response, error);
    if (!status) {
        sl_hc_note_correlation(member, &response);
        if (answer && response.body.size)
            *answer = json_loadb(response.body.data, response.body.size, 0, NULL);
    } else if (status == SL_NOT_FOUND) {
        pthread_mutex_lock(&consumer->lock);
        sl_hc_note_gone(member, generation);
        pthread_mutex_unlock(&consumer->lock);
    }
    sl_http_response_free(&response);
    free(url);
    return status;
}

char *sl_hc_partitions_json(const int32_t *partitions, size_t count)
{
    struct sl_buffer text;
    sl_buffer_init(&text, 1 << 20);
    sl_buffer_append_text(&text, count ? "{\"partitions\":[" : "{");
    for (size_t i = 0; i < count; i++)
        sl_buffer_printf(&text, "%s%d", i ? "," : "", (int)partitions[i]);
    sl_buffer_append_text(&text, count ? "]}" : "}");
    char *taken = sl_buffer_take(&text);
    sl_buffer_free(&text);
    return taken;
}

sl_status sl_hc_send_wishes(struct sl_hc_member *member, sl_error *error)
{
    struct sl_hc_consumer *consumer = member->consumer;
    struct sl_hc_wish wish;
    pthread_mutex_lock(&consumer->lock);
    bool copied = sl_hc_wish_copy(&wish, &consumer->paused);
    unsigned long long version = consumer->wishes;
    pthread_mutex_unlock(&consumer->lock);
    char *list = copied ? sl_hc_partitions_json(wish.list, wish.count) : NULL;
    int64_t deadline = sl_mono_ms() + consumer->request_timeout_ms;
    sl_status status =
        list ? sl_hc_call(member, "PUT", wish.all ? "pause" : "resume", "{}", deadline, NULL, error)
             : sl_error_oom(error);
    if (!status && wish.count)
        status = sl_hc_call(member, "PUT", wish.all ? "resume" : "pause", list, deadline, NULL, error);
    if (!status) {
        pthread_mutex_lock(&consumer->lock);
        member->wishes = version;
        pthread_mutex_unlock(&consumer->lock);
    }
    if (copied)
        free(wish.list);
    free(list);
    return status;
}
