/* What producer and consumer have in common: the handle, its log and its errors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"
#include "connectors/kafka/kafka.h"

void sl_kafka_client_log(struct sl_kafka_client *client, sl_log_level level, const char *format, ...)
{
    char text[1000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&client->lock);
    if (!client->quiet)
        sl_log_write(&client->host.log, level, "kafka-connector: %s", text);
    pthread_mutex_unlock(&client->lock);
}

void sl_kafka_client_silence(struct sl_kafka_client *client)
{
    sl_kafka_token_end(client);
    pthread_mutex_lock(&client->lock);
    client->quiet = true;
    pthread_mutex_unlock(&client->lock);
}

/* librdkafka's levels are syslog's. What it calls an error it mostly mends by itself: a warning here. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct sl_kafka_client *client = rk ? rd_kafka_opaque(rk) : NULL;
    if (client)
        sl_kafka_client_log(client,
                            level <= 2   ? SL_LOG_ERROR
                            : level <= 4 ? SL_LOG_WARNING
                            : level <= 6 ? SL_LOG_INFO
                                         : SL_LOG_DEBUG,
                            "%s: %s", facility, text);
}

/* Served by our polls. */
static void on_error(rd_kafka_t *rk, int number, const char *text, void *opaque)
{
    struct sl_kafka_client *client = opaque;
    rd_kafka_resp_err_t code = (rd_kafka_resp_err_t)number;
    char fatal[300] = "";
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        code = rd_kafka_fatal_error(rk, fatal, sizeof fatal);
    bool mends =
        code == RD_KAFKA_RESP_ERR__AUTHENTICATION && client->takes_token && sl_kafka_token_mends(client);
    pthread_mutex_lock(&client->lock);
    if (number == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        if (!client->down_ms)
            client->down_ms = sl_mono_ms();
        if (!client->last) {
            client->last = code;
            snprintf(client->last_text, sizeof client->last_text, "%s", text);
        }
    } else {
        client->last = number == RD_KAFKA_RESP_ERR__FATAL ? RD_KAFKA_RESP_ERR__FATAL : code;
        snprintf(client->last_text, sizeof client->last_text, "%s", *fatal ? fatal : text);
    }
    if (number == RD_KAFKA_RESP_ERR__FATAL || (number == RD_KAFKA_RESP_ERR__AUTHENTICATION && !mends) ||
        number == RD_KAFKA_RESP_ERR__SSL)
        client->trouble = true;
    pthread_mutex_unlock(&client->lock);
}

/* The text is ours. */
static void keep_statistics(struct sl_kafka_client *client, char *json)
{
    pthread_mutex_lock(&client->lock);
    char *old = client->statistics;
    client->statistics = json;
    pthread_mutex_unlock(&client->lock);
    free(old);
}

/* Served by our polls, and only where statistics are wanted. The text is kept: no copy. */
static int on_statistics(rd_kafka_t *rk, char *json, size_t size, void *opaque)
{
    (void)rk, (void)size;
    keep_statistics(opaque, json);
    return 1;
}

void sl_kafka_client_take_event(struct sl_kafka_client *client, rd_kafka_event_t *event)
{
    char *json;
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_ERROR:
        on_error(client->rk, rd_kafka_event_error(event), rd_kafka_event_error_string(event), client);
        break;
    case RD_KAFKA_EVENT_STATS:
        json = sl_strdup(rd_kafka_event_stats(event));
        if (json) /* without memory the ones before stay */
            keep_statistics(client, json);
        break;
    default:
        break;
    }
}

bool sl_kafka_client_statistics(struct sl_kafka_client *client, struct sl_buffer *json)
{
    pthread_mutex_lock(&client->lock);
    bool ok = sl_buffer_append_text(json, client->statistics ? client->statistics : "{}");
    pthread_mutex_unlock(&client->lock);
    return ok;
}

static void client_free(struct sl_kafka_client *client)
{
    pthread_mutex_destroy(&client->lock);
    pthread_mutex_destroy(&client->token_lock);
    sl_hidden_free(&client->bearer);
    free(client->statistics);
    free(client->brokers);
    free(client->right);
    free(client);
}

/* like: what it is to have of host, brokers, right and owner. conf is taken in any case. */
static sl_status make(const struct sl_kafka_client *like, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                      struct sl_kafka_client **client, sl_error *error)
{
    struct sl_kafka_client *made = calloc(1, sizeof *made);
    char *brokers = sl_strdup(like->brokers), *right = sl_strdup(like->right);
    if (!made || !brokers || !right) {
        free(made);
        free(brokers);
        free(right);
        rd_kafka_conf_destroy(conf);
        return sl_error_oom(error);
    }
    made->brokers = brokers;
    made->right = right;
    made->owner = like->owner;
    made->host = like->host;
    atomic_init(&made->references, 1);
    atomic_init(&made->ended, false);
    pthread_mutex_init(&made->lock, NULL);
    pthread_mutex_init(&made->token_lock, NULL);
    made->takes_token = sl_kafka_token_wanted(conf);
    if (made->takes_token)
        sl_kafka_token_set(conf);
    rd_kafka_conf_set_opaque(conf, made);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_stats_cb(conf, on_statistics);
    char text[400] = "";
    made->rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!made->rk) {
        bool memory = rd_kafka_last_error() == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
        rd_kafka_conf_destroy(conf); /* it was not taken */
        client_free(made);
        return sl_error_set(error, memory ? SL_OUT_OF_MEMORY : SL_BAD_CONFIG,
                            "librdkafka refuses its settings (" SL_KAFKA_SETTINGS "kafka.%s): %s",
                            type == RD_KAFKA_PRODUCER ? "producer" : "consumer", text);
    }
    sl_status status = made->takes_token ? sl_kafka_token_start(made->rk, error) : SL_OK;
    if (status) {
        sl_kafka_client_unlink(made);
        return status;
    }
    *client = made;
    return SL_OK;
}

sl_status sl_kafka_client_create(const struct sl_host *host, const struct sl_target *target,
                                 rd_kafka_type_t type, rd_kafka_conf_t *conf, void *owner,
                                 struct sl_kafka_client **client, sl_error *error)
{
    char *right = sl_printf("%s on catalog %s", type == RD_KAFKA_PRODUCER ? "write" : "read", target->hrn);
    if (!right) {
        rd_kafka_conf_destroy(conf);
        return sl_error_oom(error);
    }
    const struct sl_kafka_client like = {
        .host = *host, .owner = owner, .brokers = target->endpoint->brokers, .right = right};
    sl_status status = make(&like, type, conf, client, error);
    free(right);
    return status;
}

sl_status sl_kafka_client_again(const struct sl_kafka_client *client, struct sl_kafka_client **again,
                                sl_error *error)
{
    return make(client, rd_kafka_type(client->rk), rd_kafka_conf_dup(rd_kafka_conf(client->rk)), again,
                error);
}

struct sl_kafka_client *sl_kafka_client_link(struct sl_kafka_client *client)
{
    atomic_fetch_add_explicit(&client->references, 1, memory_order_relaxed);
    return client;
}

void sl_kafka_client_unlink(struct sl_kafka_client *client)
{
    if (atomic_fetch_sub_explicit(&client->references, 1, memory_order_acq_rel) > 1)
        return;
    rd_kafka_destroy_flags(client->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    client_free(client);
}

/* A client's end on a thread of its own; who has it ended and the thread share this. */
struct ending {
    struct sl_kafka_client *client;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done; /* under lock, as the next */
    int users;
};

/* Under lock, which is let go of. */
static void leave(struct ending *ending)
{
    bool last = --ending->users == 0;
    pthread_mutex_unlock(&ending->lock);
    if (!last)
        return;
    pthread_cond_destroy(&ending->ended);
    pthread_mutex_destroy(&ending->lock);
    free(ending);
}

static void *finish(void *opaque)
{
    struct ending *ending = opaque;
    sl_kafka_client_unlink(ending->client);
    pthread_mutex_lock(&ending->lock);
    ending->done = true;
    pthread_cond_signal(&ending->ended);
    leave(ending);
    return NULL;
}

/* Where the end is quick it is waited for, so that it does not meet the process's own (OpenSSL's tables go
 * then). It is slow where a resolver does not answer: that takes minutes, and nobody is to wait for it. */
void sl_kafka_client_end(struct sl_kafka_client *client, int wait_ms)
{
    pthread_t thread;
    sl_kafka_client_silence(client);
    struct ending *ending = calloc(1, sizeof *ending);
    if (!ending) {
        sl_kafka_client_unlink(client);
        return;
    }
    ending->client = client;
    ending->users = 2;
    pthread_mutex_init(&ending->lock, NULL);
    sl_cond_init(&ending->ended);
    /* The plug-in is never unloaded, so the thread's code stays. */
    bool begun = !pthread_create(&thread, NULL, finish, ending);
    if (begun)
        pthread_detach(thread);
    else
        sl_kafka_client_unlink(client);
    pthread_mutex_lock(&ending->lock);
    if (!begun)
        ending->users--;
    const struct timespec until = sl_mono_deadline(sl_mono_ms() + wait_ms);
    int timed_out = 0;
    while (begun && !ending->done && !timed_out)
        timed_out = pthread_cond_timedwait(&ending->ended, &ending->lock, &until);
    leave(ending);
}

void sl_kafka_client_last(struct sl_kafka_client *client, char *text, size_t size)
{
    pthread_mutex_lock(&client->lock);
    snprintf(text, size, "%s", client->last_text);
    pthread_mutex_unlock(&client->lock);
}

sl_status sl_kafka_client_trouble(struct sl_kafka_client *client, sl_error *error)
{
    pthread_mutex_lock(&client->lock);
    bool trouble = client->trouble;
    rd_kafka_resp_err_t code = client->last;
    char text[sizeof client->last_text];
    memcpy(text, client->last_text, sizeof text);
    client->trouble = false;
    pthread_mutex_unlock(&client->lock);
    return trouble ? sl_kafka_error(error, code, "Kafka at %s: %s", client->brokers, text) : SL_OK;
}

const char *sl_kafka_lack(const struct sl_kafka_client *client, rd_kafka_resp_err_t code,
                          char out[SL_KAFKA_LACK])
{
    out[0] = 0;
    if (sl_kafka_is_forbidden(code))
        snprintf(out, SL_KAFKA_LACK,
                 "; the application lacks the right %.500s, or has lost it: whoever manages the catalog can "
                 "grant it (streamlayer grant); where it is granted, Kafka denies it (streamlayer acl check)",
                 client->right);
    return out;
}

const char *sl_kafka_hint(const struct sl_kafka_client *client)
{
#define HINT(side)                                                                                           \
    "; where only HTTP gets through, set " SL_KAFKA_SETTINGS "connector." side                               \
    " to http-connector (of single layers: in " SL_KAFKA_SETTINGS "layers)"
    return rd_kafka_type(client->rk) == RD_KAFKA_PRODUCER ? HINT("producer") : HINT("consumer");
#undef HINT
}

enum { SPAN = 32 };

static const char *span_text(int ms, char out[SPAN])
{
    snprintf(out, SPAN, ms % 1000 ? "%d ms" : "%d s", ms % 1000 ? ms : ms / 1000);
    return out;
}

static sl_status unreachable(struct sl_kafka_client *client, int timeout_ms, sl_error *error)
{
    char last[sizeof client->last_text], span[SPAN];
    sl_kafka_client_last(client, last, sizeof last);
    /* Lists of brokers can be long, and what mends it comes last. */
    return sl_error_set_retriable(
        error, SL_UNAVAILABLE, "the Kafka brokers %.200s%s cannot be reached (tried for %s)%s%s%s",
        client->brokers, strlen(client->brokers) > 200 ? "..." : "", span_text(timeout_ms, span),
        *last ? ": " : "", last, sl_kafka_hint(client));
}

/* The error callback is served while waiting, so that wrong credentials do not look like a time-out. */
static sl_status serve_errors(struct sl_kafka_client *client, int wait_ms, sl_error *error)
{
    rd_kafka_poll(client->rk, wait_ms);
    return sl_kafka_client_trouble(client, error);
}

/* What the cluster says of the topic; the error of the topic itself included. */
static rd_kafka_resp_err_t ask(struct sl_kafka_client *client, rd_kafka_topic_t *topic, int timeout_ms)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(client->rk, 0, topic, &metadata, timeout_ms);
    if (code)
        return code;
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    rd_kafka_metadata_destroy(metadata);
    return code;
}

static bool is_silence(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT;
}

static bool may_be_new(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE || sl_kafka_is_forbidden(code);
}

sl_status sl_kafka_client_check_topic(struct sl_kafka_client *client, const char *topic, int timeout_ms,
                                      sl_error *error)
{
    /* A layer just made, or granted, may not be known to every broker yet. */
    enum { SLICE_MS = 1000, PAUSE_MS = 50 };
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client->rk, topic, NULL);
    if (!handle)
        return sl_kafka_error(error, rd_kafka_last_error(), "Kafka topic \"%s\": %s", topic,
                              rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    sl_status status = SL_OK;
    int news_ms = timeout_ms < SL_KAFKA_NEWS_MS ? timeout_ms : SL_KAFKA_NEWS_MS;
    int64_t deadline = sl_deadline_ms(timeout_ms), news = sl_deadline_ms(news_ms);
    char span[SPAN];
    bool told = false;
    while (!status && sl_remaining_ms(deadline) > 0) {
        int left = sl_remaining_ms(deadline);
        code = ask(client, handle, left < SLICE_MS ? left : SLICE_MS);
        bool is_new = may_be_new(code) && sl_remaining_ms(news) > 0;
        if (!is_new && !is_silence(code))
            break;
        if (is_new && !told)
            sl_kafka_client_log(client, SL_LOG_INFO, "topic \"%s\": %s: it is asked for again for %s", topic,
                                rd_kafka_err2str(code), span_text(news_ms, span));
        told |= is_new;
        status = serve_errors(client, is_new ? PAUSE_MS : 0, error);
    }
    rd_kafka_topic_destroy(handle);
    if (status || !code)
        return status;
    char lack[SL_KAFKA_LACK];
    return is_silence(code)
               ? unreachable(client, timeout_ms, error)
               : sl_kafka_error(error, code, "Kafka topic \"%s\" at %s: %s%s", topic, client->brokers,
                                rd_kafka_err2str(code), sl_kafka_lack(client, code, lack));
}
