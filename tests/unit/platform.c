#include "platform.h"

#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "base/time.h"
#include "wire/record.h"

static void json(struct web_answer *answer, int status, const char *text)
{
    web_text(answer, status, "application/json", text);
}

static bool authorized(struct platform *p, const struct web_request *request)
{
    const char *given = web_header(request, "Authorization");
    int number = -1;
    if (given)
        sscanf(given, "Bearer token-%d", &number);
    bool good = number >= p->valid_token;
    p->refused += !good;
    return good;
}

static void serve_lookup(struct platform *p, struct web_answer *answer)
{
    static const char *const apis[] = {"ingest", "v1", "stream", "v2", "config", "v1"};
    json_t *list = json_array();
    for (int i = 0; i < 6; i += 2) {
        char url[200];
        snprintf(url, sizeof url, "%s/%s", web_url(p->web), apis[i]);
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:o}", "api", apis[i], "version", apis[i + 1], "baseURL", url,
                      "parameters", p->extended ? json_pack("{s:s}", "streamlayer", "1") : json_object()));
    }
    char *text = json_dumps(list, 0);
    json(answer, 200, text);
    free(text);
    json_decref(list);
}

static int next_failure(struct platform *p)
{
    int failure = p->fail[0];
    memmove(p->fail, p->fail + 1, sizeof p->fail - sizeof *p->fail);
    p->fail[sizeof p->fail / sizeof *p->fail - 1] = 0;
    return failure;
}

static bool store(struct platform *p, const struct sl_message *message)
{
    for (size_t i = 0; i < p->count; i++) /* a gateway knows a repeated message by its trace id */
        if (message->trace_id && !strcmp(p->log[i].trace, message->trace_id))
            return false;
    struct stored *stored = &p->log[p->count++];
    memset(stored, 0, sizeof *stored);
    snprintf(stored->key, sizeof stored->key, "%.*s", (int)message->partition_id_size,
             message->partition_id ? message->partition_id : "");
    snprintf(stored->trace, sizeof stored->trace, "%s", message->trace_id ? message->trace_id : "");
    snprintf(stored->checksum, sizeof stored->checksum, "%s", message->checksum ? message->checksum : "");
    snprintf(stored->payload, sizeof stored->payload, "%.*s",
             (int)(message->payload_size < 63 ? message->payload_size : 63), (const char *)message->payload);
    stored->size = message->payload_size;
    stored->timestamp_ms = message->timestamp_ms;
    stored->headers = message->header_count;
    return true;
}

static bool has_key(const struct sl_message *message, const char *key)
{
    return !key || (message->partition_id_size == strlen(key) &&
                    !memcmp(message->partition_id, key, message->partition_id_size));
}

static void ingest_batch(struct platform *p, const struct web_request *request, struct web_answer *answer)
{
    struct sl_record_limits limits = {.max_payload = 1 << 21, .max_headers = 100};
    struct sl_buffer results;
    sl_buffer_init(&results, 1 << 24);
    struct sl_arena *arena = sl_arena_create();
    struct sl_message *messages = calloc(20000, sizeof *messages);
    size_t count = 0, used = 0;
    bool bad = false;
    const char *why;
    for (size_t at = 0; at < request->size; at += used, count++) {
        sl_message_reset(&messages[count]);
        assert_int_equal(sl_record_decode(request->body + at, request->size - at, &limits, arena,
                                          &messages[count], &used, &why),
                         SL_DECODED);
        bad |= messages[count].payload_size == 3 && !memcmp(messages[count].payload, "bad", 3);
    }
    p->batches++;
    p->largest_batch = count > p->largest_batch ? count : p->largest_batch;
    if (p->most_records && count > p->most_records) {
        json(answer, 413, "{\"title\":\"Too large\"}");
    } else if (bad) {
        json(answer, 400, "{\"title\":\"Bad message\",\"code\":\"E1\"}");
    } else {
        for (size_t i = 0; i < count; i++) {
            struct sl_result result = {.status = 200, .trace_id = messages[i].trace_id};
            if (p->most_results && i == p->most_results) {
                result = (struct sl_result){
                    .status = 413, .code = "too-many-records", .text = "too many", .offset = {-1, -1}};
                sl_result_encode(&results, &result);
                break;
            }
            if (p->busy_records > 0 && has_key(&messages[i], p->busy_key)) {
                p->busy_records--;
                result.status = 503;
                result.code = "E503";
                result.text = "queue full";
                result.offset = (sl_offset){-1, -1};
            } else {
                store(p, &messages[i]);
                result.offset = (sl_offset){0, (int64_t)p->count - 1};
            }
            sl_result_encode(&results, &result);
        }
        answer->status = 200;
        answer->content_type = SL_MEDIA_CBOR_SEQ;
        answer->size = results.size;
        answer->body = sl_buffer_take(&results);
    }
    for (size_t i = 0; i < count; i++)
        free(messages[i].headers);
    free(messages);
    sl_arena_destroy(arena);
    sl_buffer_free(&results);
}

static void ingest_one(struct platform *p, const struct web_request *request, struct web_answer *answer)
{
    struct sl_message message = {0};
    sl_message_reset(&message);
    const char *key = web_header(request, "X-HERE-Message-Key");
    message.trace_id = web_header(request, "X-HERE-TraceId");
    message.checksum = web_header(request, "X-HERE-Checksum");
    message.partition_id = key;
    message.partition_id_size = key ? strlen(key) : 0;
    message.payload = request->body;
    message.payload_size = request->size;
    if (strcmp(request->body, "bad")) {
        store(p, &message);
        char text[200];
        snprintf(text, sizeof text, "{\"TraceID\":\"%s\"}", message.trace_id ? message.trace_id : "made");
        json(answer, 200, text);
    } else {
        json(answer, 400, "{\"title\":\"Bad message\",\"code\":\"E1\"}");
    }
}

/* All under the lock from here on. */

static void serve_ingest(struct platform *p, const struct web_request *request, struct web_answer *answer)
{
    const char *type = web_header(request, "Content-Type");
    snprintf(p->content_type, sizeof p->content_type, "%s", type ? type : "");
    p->requests++;
    p->running++;
    p->most_running = p->running > p->most_running ? p->running : p->most_running;
    pthread_cond_broadcast(&p->changed);
    while (p->held)
        pthread_cond_wait(&p->changed, &p->lock);
    p->running--;
    int failure = next_failure(p);
    if (failure == -1) {
        /* Cut after it was written: the sender cannot know. */
        struct web_answer unused = {0};
        (p->extended ? ingest_batch : ingest_one)(p, request, &unused);
        free(unused.body);
        answer->status = 0;
    } else if (failure) {
        json(answer, failure, "{\"title\":\"As asked\",\"code\":\"E2\"}");
        if (p->retry_after) {
            answer->headers[0] = "Retry-After";
            answer->headers[1] = p->retry_after;
        }
    } else if (p->extended) {
        ingest_batch(p, request, answer);
    } else {
        ingest_one(p, request, answer);
    }
}

static void serve_subscribe(struct platform *p, const struct web_request *request, struct web_answer *answer)
{
    if (p->deleted) {
        json(answer, 404, "{\"title\":\"No such layer\"}");
        return;
    }
    p->subscribes++;
    p->answers = 0;
    snprintf(p->subscribe_body, sizeof p->subscribe_body, "%s", request->body);
    snprintf(p->subscription, sizeof p->subscription, "sub-%d", p->subscribes);
    p->position = p->committed >= 0                       ? p->committed
                  : strstr(request->body, "\"earliest\"") ? 0
                                                          : (int64_t)p->count;
    p->given_from = p->position;
    char text[500];
    snprintf(text, sizeof text,
             "{\"nodeBaseURL\":\"%s/node/%s\",\"subscriptionId\":\"%s\",\"consumerGroup\":\"app.group\"}",
             web_url(p->web), p->subscription, p->subscription);
    json(answer, 201, text);
}

static void add_message(struct platform *p, struct sl_buffer *body, bool cbor, int64_t at)
{
    struct stored *stored = &p->log[at];
    struct sl_message message = {0};
    sl_message_reset(&message);
    message.partition_id = stored->key;
    message.partition_id_size = strlen(stored->key);
    message.payload = stored->payload;
    message.payload_size = strlen(stored->payload);
    message.timestamp_ms = 1000 + at;
    message.offset = (sl_offset){0, at};
    if (!cbor && body->data[body->size - 1] != '[')
        sl_buffer_append_text(body, ",");
    assert_true(cbor ? sl_record_encode(body, &message) : sl_message_json_encode(body, &message, false));
}

static void serve_poll(struct platform *p, const struct web_request *request, struct web_answer *answer)
{
    p->polls++;
    p->polling++;
    pthread_cond_broadcast(&p->changed);
    if (p->drop_polls > 0 && p->answers) {
        p->drop_polls--;
        p->polling--;
        answer->status = 0;
        return;
    }
    const char *received = web_query(request, "received");
    if (received && atoi(received) != p->answers) {
        p->position = p->given_from;
        p->answers = atoi(received);
    }
    p->given_from = p->position;
    char mine[64];
    snprintf(mine, sizeof mine, "%s", p->subscription);
    const char *wait = web_query(request, "maxWaitMs"), *bytes = web_query(request, "maxBytes");
    assert_true(p->extended ? wait && bytes && received : !wait && !bytes && !received);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t end_ms = (int64_t)until.tv_sec * 1000 + until.tv_nsec / 1000000 + (wait ? atoi(wait) : 0);
    until.tv_sec = (time_t)(end_ms / 1000);
    until.tv_nsec = (long)(end_ms % 1000) * 1000000;
    int timed_out = !wait;
    while (!timed_out && p->position >= (int64_t)p->count && !strcmp(p->subscription, mine) &&
           !p->poll_status)
        timed_out = pthread_cond_timedwait(&p->changed, &p->lock, &until);
    p->polling--;
    if (strcmp(p->subscription, mine)) {
        json(answer, 404, "{\"title\":\"Subscription gone\",\"action\":\"Subscribe again\"}");
        return;
    }
    if (p->poll_status) {
        json(answer, p->poll_status, "{\"title\":\"As asked\"}");
        return;
    }
    bool cbor = p->extended && !strcmp(web_header(request, "Accept"), SL_MEDIA_CBOR_SEQ);
    struct sl_buffer body;
    sl_buffer_init(&body, 1 << 26);
    sl_buffer_append_text(&body, cbor ? "" : "{\"messages\":[");
    size_t size = 0, most = bytes ? (size_t)atoll(bytes) : 1000;
    bool any = false;
    while (p->position < (int64_t)p->count && (!size || size + strlen(p->log[p->position].payload) <= most)) {
        size += strlen(p->log[p->position].payload);
        add_message(p, &body, cbor, p->position++);
        any = true;
    }
    if (!cbor)
        sl_buffer_append_text(&body, "]}");
    p->answers += any;
    answer->status = any && p->lose_polls > 0 ? p->lose_polls--, 0 : 200;
    answer->content_type = cbor ? SL_MEDIA_CBOR_SEQ : "application/json";
    answer->headers[0] = "X-Correlation-Id";
    answer->headers[1] = "corr-7";
    answer->size = body.size;
    answer->body = sl_buffer_take(&body);
    if (any && p->garbage_polls > 0) {
        p->garbage_polls--;
        memset(answer->body, 0xff, answer->size);
    }
    if (!answer->status)
        free(answer->body);
}

static void serve_node(struct platform *p, const struct web_request *request, struct web_answer *answer)
{
    char id[64] = "";
    sscanf(request->path, "/node/%63[^/]", id);
    const char *queried = web_query(request, "subscriptionId");
    if (!*p->subscription || strcmp(id, p->subscription) || !queried || strcmp(queried, id)) {
        json(answer, 404, "{\"title\":\"Subscription gone\",\"action\":\"Subscribe again\"}");
        return;
    }
    long long offset = -1;
    const char *found = strstr(request->body, "\"offset\":");
    if (found)
        sscanf(found, "\"offset\":%lld", &offset);
    if (!strcmp(request->method, "GET")) {
        serve_poll(p, request, answer);
    } else if (!strcmp(request->method, "DELETE")) {
        p->deletes++;
        p->subscription[0] = 0;
        json(answer, 200, "{}");
    } else if (strstr(request->path, "/offsets")) {
        p->commits++;
        p->committed = offset + 1;
        snprintf(p->commit_body, sizeof p->commit_body, "%s", request->body);
        json(answer, 200, "{}");
    } else if (p->refuse_seeks) {
        json(answer, 400, "{\"title\":\"No such partition\"}");
    } else {
        assert_int_equal(p->polling, 0);
        p->seeks++;
        snprintf(p->seek_body, sizeof p->seek_body, "%s", request->body);
        p->position = strstr(request->body, "begin") ? 0
                      : strstr(request->body, "end") ? (int64_t)p->count
                                                     : offset;
        p->given_from = p->position;
        json(answer, 200, "{}");
    }
}

static void serve(void *opaque, const struct web_request *request, struct web_answer *answer)
{
    struct platform *p = opaque;
    pthread_mutex_lock(&p->lock);
    if (!strcmp(request->path, "/token")) {
        char text[200];
        snprintf(text, sizeof text,
                 "{\"accessToken\":\"token-%d\",\"tokenType\":\"bearer\",\"expiresIn\":86400}", ++p->tokens);
        json(answer, 200, text);
    } else if (!authorized(p, request)) {
        json(answer, 401, "{\"title\":\"Token refused\"}");
    } else if (strstr(request->path, "/lookup/")) {
        serve_lookup(p, answer);
    } else if (!strncmp(request->path, "/config/", 8)) {
        json(answer, 200,
             "{\"layers\":[{\"id\":\"other\",\"layerType\":\"stream\"},{\"id\":\"map\",\"layerType\":"
             "\"volatile\"},"
             "{\"id\":\"" PLATFORM_LAYER "\",\"layerType\":\"stream\",\"contentType\":\"text/x-test\"}]}");
    } else if (!strcmp(request->path, "/ingest/layers/" PLATFORM_LAYER)) {
        serve_ingest(p, request, answer);
    } else if (!strncmp(request->path, "/stream/", 8)) {
        serve_subscribe(p, request, answer);
    } else if (!strncmp(request->path, "/node/", 6)) {
        serve_node(p, request, answer);
    } else {
        json(answer, 404, "{\"title\":\"No such path\"}");
    }
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

struct platform *platform_start(bool extended)
{
    struct platform *p = calloc(1, sizeof *p);
    p->extended = extended;
    p->committed = -1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->web = web_start(serve, p);
    return p;
}

void platform_stop(struct platform *p)
{
    platform_release(p);
    platform_restart(p);
    web_stop(p->web);
    free(p);
}

sl_client *platform_client(struct platform *p, const char *more)
{
    char text[2000];
    int size =
        snprintf(text, sizeof text,
                 "here.platform.data-client {\n"
                 " endpoint-locator.discovery-service-url = \"%s\"\n"
                 " request-signer.credentials.here-account { here-token-endpoint-url = \"%s/token\"\n"
                 "  here-client-id = app, here-access-key-id = key, here-access-key-secret = secret }\n"
                 " http.retry { backoff = 5 ms, max-backoff = 50 ms }\n"
                 " stream.connector { producer = http-connector, consumer = http-connector }\n"
                 " stream.consumer.auto-commit.enabled = false, stream.consumer.start = begin\n"
                 "}\n%s\n",
                 web_url(p->web), web_url(p->web), more ? more : "");
    sl_config *config = NULL;
    sl_client *client = NULL;
    sl_error error;
    assert_int_equal(sl_config_create(&config, &error), SL_OK);
    if (sl_config_parse(config, text, (size_t)size, "test", &error) ||
        sl_client_create(config, NULL, NULL, &client, &error))
        fail_msg("%s", error.text);
    sl_config_destroy(&config);
    return client;
}

void platform_set(struct platform *p, int *what, int value)
{
    pthread_mutex_lock(&p->lock);
    *what = value;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

int platform_get(struct platform *p, const int *what)
{
    pthread_mutex_lock(&p->lock);
    int value = *what;
    pthread_mutex_unlock(&p->lock);
    return value;
}

void platform_wait(struct platform *p, const int *what, int at_least)
{
    pthread_mutex_lock(&p->lock);
    while (*what < at_least)
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

bool platform_comes(struct platform *p, const int *what, int at_least, int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t end_ms = (int64_t)until.tv_sec * 1000 + until.tv_nsec / 1000000 + timeout_ms;
    until.tv_sec = (time_t)(end_ms / 1000);
    until.tv_nsec = (long)(end_ms % 1000) * 1000000;
    int timed_out = 0;
    pthread_mutex_lock(&p->lock);
    while (*what < at_least && !timed_out)
        timed_out = pthread_cond_timedwait(&p->changed, &p->lock, &until);
    bool came = *what >= at_least;
    pthread_mutex_unlock(&p->lock);
    return came;
}

void platform_release(struct platform *p)
{
    pthread_mutex_lock(&p->lock);
    p->held = false;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

void platform_write(struct platform *p, int first, int count)
{
    pthread_mutex_lock(&p->lock);
    for (int i = first; i < first + count; i++) {
        struct stored *stored = &p->log[p->count++];
        memset(stored, 0, sizeof *stored);
        snprintf(stored->key, sizeof stored->key, "key-%d", i % 7);
        snprintf(stored->payload, sizeof stored->payload, "%d", i);
    }
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

void platform_restart(struct platform *p)
{
    pthread_mutex_lock(&p->lock);
    p->subscription[0] = 0;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}
