#include "kafka_mock.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* Tickets carry the mock and a number. */
struct ticket {
    struct kafka_mock *mock;
    size_t number;
};

static void on_log(void *opaque, sl_log_level level, const char *text)
{
    struct kafka_mock *mock = opaque;
    pthread_mutex_lock(&mock->lock);
    if (level <= SL_LOG_WARNING)
        snprintf(mock->warning, sizeof mock->warning, "%s", text);
    pthread_mutex_unlock(&mock->lock);
    if (mock->on_told)
        mock->on_told(mock, text);
}

static void on_delivered(void *opaque, const struct sl_outcome *outcome)
{
    struct kafka_mock *mock = ((struct ticket *)opaque)->mock;
    pthread_mutex_lock(&mock->lock);
    if (mock->outcomes < MOST_OUTCOMES) {
        mock->outcome[mock->outcomes].ticket = opaque;
        mock->outcome[mock->outcomes].status = outcome->error ? outcome->error->status : SL_OK;
        mock->outcome[mock->outcomes].retriable = outcome->error && outcome->error->retriable;
        snprintf(mock->outcome[mock->outcomes].text, sizeof mock->outcome->text, "%.199s",
                 outcome->error ? outcome->error->text : "");
        mock->outcome[mock->outcomes].offset = outcome->offset;
    }
    if (outcome->error)
        snprintf(mock->text, sizeof mock->text, "%.399s", outcome->error->text);
    mock->outcomes++;
    pthread_cond_broadcast(&mock->changed);
    pthread_mutex_unlock(&mock->lock);
}

static void on_delivered_many(void *core, const struct sl_report *reports, size_t count)
{
    (void)core;
    for (size_t i = 0; i < count; i++)
        on_delivered(reports[i].ticket, &reports[i].outcome);
}

static void on_revoked(void *core, const int32_t *partitions, size_t count, bool lost)
{
    struct kafka_mock *mock = core;
    (void)partitions;
    (void)count;
    mock->revocations++;
    if (mock->on_revoked)
        mock->on_revoked(mock, lost);
}

static void on_assigned(void *core, const int32_t *partitions, size_t count)
{
    struct kafka_mock *mock = core;
    mock->assignments++;
    mock->assigned_count = count < 8 ? count : 8;
    memcpy(mock->assigned, partitions, mock->assigned_count * sizeof *partitions);
}

struct sl_host kafka_mock_host(struct kafka_mock *mock)
{
    return (struct sl_host){.abi = SL_CONNECTOR_ABI,
                            .log = {on_log, mock, SL_LOG_INFO},
                            .delivered = on_delivered,
                            .delivered_many = on_delivered_many,
                            .revoked = on_revoked,
                            .assigned = on_assigned,
                            .core = mock};
}

void *kafka_mock_ticket(struct kafka_mock *mock, size_t number)
{
    static struct ticket tickets[MOST_OUTCOMES];
    tickets[number] = (struct ticket){mock, number};
    return &tickets[number];
}

size_t kafka_mock_number(struct kafka_mock *mock, const void *ticket)
{
    (void)mock;
    return ((const struct ticket *)ticket)->number;
}

void kafka_mock_wait(struct kafka_mock *mock, size_t outcomes)
{
    pthread_mutex_lock(&mock->lock);
    while (mock->outcomes < outcomes)
        pthread_cond_wait(&mock->changed, &mock->lock);
    pthread_mutex_unlock(&mock->lock);
}

int kafka_mock_setup(void **state)
{
    struct kafka_mock *mock = calloc(1, sizeof *mock);
    if (!mock)
        return -1;
    *state = mock;
    pthread_mutex_init(&mock->lock, NULL);
    pthread_cond_init(&mock->changed, NULL);
    mock->library = dlopen(KAFKA_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (!mock->library)
        return -1;
    mock->connector = dlsym(mock->library, SL_CONNECTOR_SYMBOL);
    char text[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    mock->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    mock->cluster = mock->rk ? rd_kafka_mock_cluster_new(mock->rk, 1) : NULL;
    if (!mock->connector || !mock->cluster || rd_kafka_mock_topic_create(mock->cluster, "topic", 1, 1))
        return -1;
    mock->endpoint.topic = strdup("topic");
    mock->endpoint.client_id = strdup("test");
    mock->endpoint.brokers = strdup(rd_kafka_mock_cluster_bootstraps(mock->cluster));
    mock->target = (struct sl_target){.hrn = "hrn:here:data::local:cat",
                                      .layer = "layer",
                                      .endpoint = &mock->endpoint,
                                      .connect_timeout_ms = 15000};
    return 0;
}

int kafka_mock_teardown(void **state)
{
    struct kafka_mock *mock = *state;
    rd_kafka_mock_cluster_destroy(mock->cluster);
    rd_kafka_destroy(mock->rk);
    free(mock->endpoint.topic);
    free(mock->endpoint.client_id);
    free(mock->endpoint.brokers);
    pthread_cond_destroy(&mock->changed);
    pthread_mutex_destroy(&mock->lock);
    /* Not dlclose: the leak checker wants the plug-in's names. */
    free(mock);
    return 0;
}
