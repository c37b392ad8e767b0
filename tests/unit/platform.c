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
    static const char *const apis[] = {"ingest", "v1", "stream", "v2", "config", "v1", "publish", "v2"};
    json_t *list = json_array();
    for (int i = 0; i < 8; i += 2) {
        char url[200];
        snprintf(url, sizeof url, "http://%s%s/%s", p->names_user ? "user:geheim@" : "",
                 web_url(p->web) + strlen("http://"), apis[i]);
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

/* Where it lies; a gateway knows a repeated message by its trace id. */
static size_t store(struct platform *p, const struct sl_message *message)
{
    for (size_t i = 0; i < p->count; i++)
        if (message->trace_id && !strcmp(p->log[i].trace, message->trace_id))
            return i;
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
    snprintf(stored->handle, sizeof stored->handle, "%s", message->data_handle ? message->data_handle : "");
    stored->data_size = message->data_size;
    return p->count - 1;
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
                result.offset = (sl_offset){0, (int64_t)store(p, &messages[i])};
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
    const char *timestamp = web_header(request, "X-SL-Timestamp"),
               *user = web_header(request, "X-SL-Header-Kind");
    if (timestamp)
        message.timestamp_ms = atoll(timestamp);
    message.header_count = user != NULL;
    p->large += request->size > SL_PAYLOAD_INLINE_MAX;
    if (p->extended)
        snprintf(p->large_headers, sizeof p->large_headers, "%s %s %s", key, timestamp ? timestamp : "-",
                 user ? user : "-");
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
    bool batch = p->extended && type && !strcmp(type, SL_MEDIA_CBOR_SEQ);
    p->requests++;
    p->running++;
    p->most_running = p->running > p->most_running ? p->running : p->most_running;
    pthread_cond_broadcast(&p->changed);
    while (p->held && !p->down)
        pthread_cond_wait(&p->changed, &p->lock);
    p->running--;
    if (p->down) {
        answer->status = 0;
        return;
    }
    int failure = next_failure(p);
    if (failure == -1) {
        /* Cut after it was written: the sender cannot know. */
        struct web_answer unused = {0};
        (batch ? ingest_batch : ingest_one)(p, request, &unused);
        free(unused.body);
        answer->status = 0;
    } else if (failure) {
        json(answer, failure,
             failure == 429 ? "{\"title\":\"As asked\",\"code\":\"throttled\"}"
                            : "{\"title\":\"As asked\",\"code\":\"E2\"}");
        if (p->retry_after) {
            answer->headers[0] = "Retry-After";
            answer->headers[1] = p->retry_after;
        }
    } else if (batch) {
        ingest_batch(p, request, answer);
    } else {
        ingest_one(p, request, answer);
    }
}

/* Gives the partitions to whom there is, in turn; who gets one begins where the group has committed. */
static void rebalance(struct platform *p)
{
    struct subscriber *active[PLATFORM_MEMBERS];
    unsigned share[PLATFORM_MEMBERS] = {0};
    int count = 0;
    for (int i = 0; i < PLATFORM_MEMBERS; i++)
        if (*p->subscribers[i].node)
            active[count++] = &p->subscribers[i];
    for (int i = 0; i < p->partitions && count; i++)
        share[i % count] |= 1u << i;
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < p->partitions; k++)
            if (share[i] & ~active[i]->has & 1u << k)
                p->position[k] = active[i]->given_from[k] =
                    p->committed[k] >= 0 ? p->committed[k] : p->position[k];
        active[i]->assignment += share[i] != active[i]->has;
        active[i]->has = share[i];
    }
    pthread_cond_broadcast(&p->changed);
}

static void list_partitions(const struct subscriber *s, char *text)
{
    *text = 0;
    for (int k = 0; k < PLATFORM_PARTITIONS; k++)
        if (s->has & 1u << k)
            sprintf(text + strlen(text), "%s%d", *text ? "," : "", k);
}

static struct subscriber *find_place(struct platform *p, const char *consumer)
{
    struct subscriber *place = NULL;
    int count = 0;
    for (int i = PLATFORM_MEMBERS; i-- > 0;) {
        struct subscriber *s = &p->subscribers[i];
        count += *s->node != 0;
        if (*s->node && !strcmp(s->consumer, consumer ? consumer : ""))
            return s;
        place = *s->node ? place : s;
    }
    return count < (p->most_subscribers ? p->most_subscribers : p->partitions) ? place : NULL;
}

static int64_t length_of(const struct platform *p, int partition)
{
    return ((int64_t)p->count - partition + p->partitions - 1) / p->partitions;
}

static void refuse_subscribe(const struct platform *p, struct web_answer *answer, const char *code)
{
    char text[200];
    snprintf(text, sizeof text, "{\"title\":\"As asked\",\"code\":\"%s\"}", code);
    json(answer, 429, text);
    answer->headers[0] = p->retry_after ? "Retry-After" : NULL;
    answer->headers[1] = p->retry_after;
}

static void serve_subscribe(struct platform *p, const struct web_request *request, struct web_answer *answer)
{
    if (p->deleted) {
        json(answer, 404, "{\"title\":\"No such layer\"}");
        return;
    }
    const char *mode = web_query(request, "mode"), *wish = web_query(request, "subscriptionId");
    const char *consumer = web_query(request, "consumerId");
    bool parallel = !strcmp(mode, "parallel");
    assert_int_equal(parallel, consumer != NULL);
    assert_true(p->extended == (wish != NULL) || parallel);
    if (p->busy_subscribes && (!consumer || !strcmp(consumer, "1"))) {
        p->busy_subscribes--;
        refuse_subscribe(p, answer, p->busy);
        return;
    }
    struct subscriber *s = find_place(p, consumer);
    if (!s && p->full) {
        refuse_subscribe(p, answer, p->full);
        return;
    }
    if (!s) {
        json(answer, 409, "{\"title\":\"The group is full\",\"code\":\"group-full\"}");
        return;
    }
    p->subscribes++;
    snprintf(p->subscribe_body, sizeof p->subscribe_body, "%s", request->body);
    memset(s, 0, sizeof *s);
    snprintf(s->node, sizeof s->node, "sub-%d", p->subscribes);
    snprintf(s->id, sizeof s->id, "%s", !parallel ? s->node : wish ? wish : "shared");
    snprintf(s->consumer, sizeof s->consumer, "%s", consumer ? consumer : "");
    for (int k = 0; k < p->partitions; k++)
        if (p->committed[k] < 0)
            p->position[k] = strstr(request->body, "\"earliest\"") ? 0 : length_of(p, k);
    rebalance(p);
    char text[600], list[100], ours[200] = "";
    list_partitions(s, list);
    if (p->extended)
        snprintf(ours, sizeof ours, ",\"assignment\":%d,\"partitions\":[%s]", s->assignment, list);
    snprintf(text, sizeof text,
             "{\"nodeBaseURL\":\"%s/node/%s\",\"subscriptionId\":\"%s\",\"consumerGroup\":\"app.group\"%s}",
             web_url(p->web), s->node, s->id, ours);
    json(answer, 201, text);
    pthread_cond_broadcast(&p->changed); /* it is counted already */
    while (p->late && (!consumer || !strcmp(consumer, "1")) && !p->down)
        pthread_cond_wait(&p->changed, &p->lock);
}

static void add_message(struct platform *p, struct sl_buffer *body, bool cbor, int partition, int64_t offset)
{
    int64_t at = offset * p->partitions + partition;
    struct stored *stored = &p->log[at];
    struct sl_message message = {0};
    sl_message_reset(&message);
    message.partition_id = stored->key;
    message.partition_id_size = strlen(stored->key);
    message.payload = *stored->handle ? NULL : stored->payload;
    message.payload_size = *stored->handle ? 0 : strlen(stored->payload);
    message.data_handle = *stored->handle ? stored->handle : NULL;
    message.data_size = *stored->handle ? stored->data_size : -1;
    message.timestamp_ms = 1000 + at;
    message.offset = (sl_offset){partition, offset};
    if (!cbor && body->data[body->size - 1] != '[')
        sl_buffer_append_text(body, ",");
    assert_true(cbor ? sl_record_encode(body, &message) : sl_message_json_encode(body, &message, false));
}

/* Takes what there is, partition by partition. */
static bool fill(struct platform *p, struct subscriber *s, bool cbor, size_t most, struct sl_buffer *body)
{
    size_t size = 0;
    bool any = false;
    for (int k = 0; k < p->partitions; k++) {
        s->given_from[k] = p->position[k];
        while (s->has & ~s->paused & 1u << k && p->position[k] < length_of(p, k)) {
            size_t more = strlen(p->log[p->position[k] * p->partitions + k].payload);
            if (size && size + more > most)
                break;
            size += more;
            add_message(p, body, cbor, k, p->position[k]++);
            any = true;
        }
    }
    return any;
}

static bool has_news(const struct platform *p, const struct subscriber *s)
{
    for (int k = 0; k < p->partitions; k++)
        if (s->has & ~s->paused & 1u << k && p->position[k] < length_of(p, k))
            return true;
    return false;
}

static void serve_poll(struct platform *p, struct subscriber *s, const struct web_request *request,
                       struct web_answer *answer)
{
    p->polls++;
    p->polling++;
    s->polls++;
    s->asked++;
    pthread_cond_broadcast(&p->changed);
    if (p->drop_polls > 0 && s->answers) {
        p->drop_polls--;
        p->polling--;
        s->polls--;
        answer->status = 0;
        return;
    }
    const char *received = web_query(request, "received"), *assignment = web_query(request, "assignment");
    if (received && atoi(received) != s->answers) {
        for (int k = 0; k < p->partitions; k++)
            if (s->has & 1u << k)
                p->position[k] = s->given_from[k];
        s->answers = atoi(received);
    }
    char mine[64];
    snprintf(mine, sizeof mine, "%s", s->node);
    const char *wait = web_query(request, "maxWaitMs"), *bytes = web_query(request, "maxBytes");
    assert_true(p->extended ? wait && bytes && received && assignment
                            : !wait && !bytes && !received && !assignment);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t end_ms = (int64_t)until.tv_sec * 1000 + until.tv_nsec / 1000000 + (wait ? atoi(wait) : 0);
    until.tv_sec = (time_t)(end_ms / 1000);
    until.tv_nsec = (long)(end_ms % 1000) * 1000000;
    int timed_out = !wait;
    while (!timed_out && !has_news(p, s) && !strcmp(s->node, mine) && !p->poll_status && !p->down &&
           (!assignment || atoi(assignment) == s->assignment))
        timed_out = pthread_cond_timedwait(&p->changed, &p->lock, &until);
    p->polling--;
    if (p->down) {
        answer->status = 0;
        return;
    }
    if (strcmp(s->node, mine)) {
        json(answer, 404, "{\"title\":\"Subscription gone\",\"action\":\"Subscribe again\"}");
        return;
    }
    s->polls--;
    if (p->poll_status) {
        json(answer, p->poll_status, "{\"title\":\"As asked\"}");
        return;
    }
    bool cbor = p->extended && !strcmp(web_header(request, "Accept"), SL_MEDIA_CBOR_SEQ);
    struct sl_buffer body;
    sl_buffer_init(&body, 1 << 26);
    sl_buffer_append_text(&body, cbor ? "" : "{\"messages\":[");
    bool any = fill(p, s, cbor, bytes ? (size_t)atoll(bytes) : 1000, &body);
    if (!cbor)
        sl_buffer_append_text(&body, "]}");
    s->answers += any;
    answer->status = any && p->lose_polls > 0 ? p->lose_polls--, 0 : 200;
    answer->content_type = cbor ? SL_MEDIA_CBOR_SEQ : "application/json";
    answer->headers[0] = "X-Correlation-Id";
    answer->headers[1] = "corr-7";
    if (p->extended) {
        char list[100], *told = malloc(200); /* the answer lives on */
        list_partitions(s, list);
        snprintf(told, 200, "%d;%s", s->assignment, list);
        answer->headers[2] = "X-SL-Assignment";
        answer->headers[3] = answer->owned = told;
        answer->headers[4] = p->warning ? "Warning" : NULL;
        answer->headers[5] = p->warning;
    }
    answer->size = body.size;
    answer->body = sl_buffer_take(&body);
    if (any && p->garbage_polls > 0) {
        p->garbage_polls--;
        memset(answer->body, 0xff, answer->size);
    }
    if (!answer->status)
        free(answer->body);
}

static void serve_positions(struct platform *p, const struct subscriber *s, struct web_answer *answer)
{
    json_t *list = json_array();
    assert_int_equal(s->polls, 0);
    p->position_calls++;
    for (int k = p->partitions; k-- > 0;)
        if (s->has & 1u << k)
            json_array_append_new(list, json_pack("{s:i, s:i, s:I, s:I, s:I, s:b}", "partition", k, "begin",
                                                  0, "end", (json_int_t)length_of(p, k), "position",
                                                  (json_int_t)p->position[k], "committed",
                                                  (json_int_t)p->committed[k], "paused",
                                                  (int)(s->paused >> k & 1)));
    json_t *whole = json_pack("{s:o}", "positions", list);
    char *text = json_dumps(whole, 0);
    json(answer, 200, text);
    free(text);
    json_decref(whole);
}

static void serve_pause(struct platform *p, struct subscriber *s, const struct web_request *request,
                        struct web_answer *answer)
{
    bool pause = strstr(request->path, "/pause") != NULL;
    json_t *body = json_loads(request->body, 0, NULL), *list = json_object_get(body, "partitions");
    unsigned named = list ? 0 : ~0u;
    bool there = true;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t partition = json_integer_value(json_array_get(list, i));
        there &= partition < p->partitions;
        named |= there ? 1u << partition : 0;
    }
    if (!there) {
        json_decref(body);
        json(answer, 400, "{\"title\":\"No such Kafka partition\"}");
        return;
    }
    s->paused = pause ? s->paused | named : s->paused & ~named;
    size_t size = strlen(p->pauses);
    snprintf(p->pauses + size, sizeof p->pauses - size, "%s%s ", pause ? "pause" : "resume", request->body);
    json_decref(body);
    json(answer, 200, "{}");
}

/* Commits and seeks. */
static void serve_offsets(struct platform *p, struct subscriber *s, const struct web_request *request,
                          struct web_answer *answer)
{
    bool commit = strstr(request->path, "/offsets") != NULL;
    json_t *body = json_loads(request->body, 0, NULL), *list = json_object_get(body, "offsets"), *entry;
    const char *to = json_string_value(json_object_get(body, "to"));
    size_t index;
    bool ours = true;
    json_array_foreach(list, index, entry)
    {
        int k = (int)json_integer_value(json_object_get(entry, "partition"));
        int64_t offset = json_integer_value(json_object_get(entry, "offset"));
        if (!(s->has & 1u << k))
            ours = false;
        else if (commit)
            p->committed[k] = offset + 1;
        else
            p->position[k] = offset;
    }
    for (int k = 0; k < p->partitions && to; k++)
        if (s->has & 1u << k) {
            int64_t time = json_integer_value(json_object_get(body, "timestamp")) - 1000;
            p->position[k] = !strcmp(to, "begin") ? 0 : length_of(p, k);
            if (!strcmp(to, "time")) /* message i is of the time 1000 + i */
                p->position[k] = time <= k ? 0 : (time - k + p->partitions - 1) / p->partitions;
        }
    if (!commit)
        memcpy(s->given_from, p->position, sizeof p->position);
    *(commit ? &p->commits : &p->seeks) += 1;
    snprintf(commit ? p->commit_body : p->seek_body, sizeof p->commit_body, "%s", request->body);
    json_decref(body);
    if (ours)
        json(answer, 200, "{}");
    else
        json(answer, 409, "{\"title\":\"Another member has it\"}");
}

static void serve_node(struct platform *p, const struct web_request *request, struct web_answer *answer)
{
    char node[64] = "";
    sscanf(request->path, "/node/%63[^/]", node);
    const char *queried = web_query(request, "subscriptionId"), *consumer = web_query(request, "consumerId");
    const char *correlation = web_header(request, "X-Correlation-Id");
    struct subscriber *s = NULL;
    snprintf(p->correlation, sizeof p->correlation, "%s", correlation ? correlation : "");
    for (int i = 0; i < PLATFORM_MEMBERS; i++)
        if (*node && !strcmp(p->subscribers[i].node, node) && queried &&
            !strcmp(p->subscribers[i].id, queried) &&
            !strcmp(p->subscribers[i].consumer, consumer ? consumer : ""))
            s = &p->subscribers[i];
    if (!s) {
        json(answer, 404, "{\"title\":\"Subscription gone\",\"action\":\"Subscribe again\"}");
    } else if (strstr(request->path, "/positions")) {
        serve_positions(p, s, answer);
    } else if (!strcmp(request->method, "GET")) {
        serve_poll(p, s, request, answer);
    } else if (!strcmp(request->method, "DELETE")) {
        p->deletes++;
        s->node[0] = 0;
        rebalance(p);
        json(answer, 200, "{}");
    } else if (strstr(request->path, "/pause") || strstr(request->path, "/resume")) {
        serve_pause(p, s, request, answer);
    } else if (strstr(request->path, "/seek") && p->refuse_seeks) {
        json(answer, 400, "{\"title\":\"No such partition\"}");
    } else {
        if (strstr(request->path, "/seek"))
            assert_int_equal(p->polling, 0);
        serve_offsets(p, s, request, answer);
    }
}

static void serve_publish(struct platform *p, const struct web_request *request, struct web_answer *answer)
{
    p->publishes++;
    snprintf(p->publish_body, sizeof p->publish_body, "%s", request->body);
    web_text(answer, 204, NULL, "");
}

static void serve(void *opaque, const struct web_request *request, struct web_answer *answer)
{
    struct platform *p = opaque;
    pthread_mutex_lock(&p->lock);
    if (p->down) {
        answer->status = 0;
    } else if (!strcmp(request->path, "/token")) {
        p->tokens_held += p->hold_tokens;
        pthread_cond_broadcast(&p->changed);
        while (p->hold_tokens)
            pthread_cond_wait(&p->changed, &p->lock);
        char text[200];
        snprintf(text, sizeof text,
                 "{\"accessToken\":\"token-%d\",\"tokenType\":\"bearer\",\"expiresIn\":86400}", ++p->tokens);
        json(answer, 200, text);
    } else if (!authorized(p, request)) {
        json(answer, 401, "{\"title\":\"Token refused\"}");
    } else if (strstr(request->path, "/lookup/")) {
        p->lookups++;
        serve_lookup(p, answer);
    } else if (!strncmp(request->path, "/config/", 8)) {
        json(answer, 200,
             "{\"layers\":[{\"id\":\"other\",\"layerType\":\"stream\"},{\"id\":\"map\",\"layerType\":"
             "\"volatile\"},"
             "{\"id\":\"" PLATFORM_LAYER "\",\"layerType\":\"stream\",\"contentType\":\"text/x-test\"}]}");
    } else if (!strcmp(request->path, "/ingest/layers/" PLATFORM_LAYER)) {
        serve_ingest(p, request, answer);
    } else if (!strcmp(request->path, "/publish/layers/" PLATFORM_LAYER "/partitions")) {
        serve_publish(p, request, answer);
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
    p->partitions = 1;
    for (int k = 0; k < PLATFORM_PARTITIONS; k++)
        p->committed[k] = -1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->web = web_start(serve, p);
    return p;
}

void platform_stop(struct platform *p)
{
    platform_set(p, &p->hold_tokens, 0);
    platform_release(p);
    platform_restart(p);
    web_stop(p->web);
    free(p);
}

sl_client *platform_client(struct platform *p, const char *more)
{
    char text[2000];
    snprintf(text, sizeof text,
             "here.platform.data-client {\n"
             " stream.connector { producer = http-connector, consumer = http-connector }\n"
             " stream.consumer.auto-commit.enabled = false, stream.consumer.start = begin\n"
             "}\n%s",
             more ? more : "");
    return web_client_logged(p->web, text, p->told, p);
}

void platform_set(struct platform *p, int *what, int value)
{
    pthread_mutex_lock(&p->lock);
    *what = value;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

const char *platform_body(struct platform *p, const char *body, char out[500])
{
    pthread_mutex_lock(&p->lock);
    snprintf(out, 500, "%s", body);
    pthread_mutex_unlock(&p->lock);
    return out;
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

/* Under the lock. */
static void forget(struct platform *p)
{
    for (int i = 0; i < PLATFORM_MEMBERS; i++)
        p->subscribers[i].node[0] = 0;
    pthread_cond_broadcast(&p->changed);
}

void platform_restart(struct platform *p)
{
    pthread_mutex_lock(&p->lock);
    forget(p);
    pthread_mutex_unlock(&p->lock);
}

void platform_kill(struct platform *p)
{
    pthread_mutex_lock(&p->lock);
    p->down = true;
    forget(p);
    pthread_mutex_unlock(&p->lock);
    web_down(p->web);
}

void platform_revive(struct platform *p)
{
    pthread_mutex_lock(&p->lock);
    p->down = false;
    pthread_mutex_unlock(&p->lock);
    web_up(p->web);
}

static void change_share(struct platform *p, unsigned partitions, bool give)
{
    pthread_mutex_lock(&p->lock);
    struct subscriber *s = &p->subscribers[0];
    s->has = give ? s->has | partitions : s->has & ~partitions;
    s->assignment++;
    for (int k = 0; k < p->partitions && give; k++)
        if (partitions & 1u << k)
            p->position[k] = s->given_from[k] = p->committed[k] >= 0 ? p->committed[k] : 0;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

void platform_take(struct platform *p, unsigned partitions)
{
    change_share(p, partitions, false);
}

void platform_give(struct platform *p, unsigned partitions)
{
    change_share(p, partitions, true);
}

void platform_give_all(struct platform *p, const char *consumer)
{
    pthread_mutex_lock(&p->lock);
    for (int i = 0; i < PLATFORM_MEMBERS; i++) {
        struct subscriber *s = &p->subscribers[i];
        s->has = !strcmp(s->consumer, consumer) ? (1u << p->partitions) - 1 : 0;
        s->assignment++;
        for (int k = 0; k < p->partitions; k++)
            p->position[k] = s->given_from[k] = p->committed[k] >= 0 ? p->committed[k] : 0;
    }
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}
