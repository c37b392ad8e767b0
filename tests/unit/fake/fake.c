#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct fake fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

static sl_status producer_open(const struct sl_host *host, const struct sl_target *target,
                               const struct sl_producer_settings *settings, void **producer, sl_error *error)
{
    (void)target, (void)settings, (void)error;
    fake.host = *host;
    fake.producer_closed = false;
    *producer = &fake;
    return SL_OK;
}

static void note_sent(const struct sl_message *message)
{
    if (fake.sent_count == sizeof fake.sent / sizeof *fake.sent)
        return;
    size_t at = fake.sent_count++;
    snprintf(fake.sent[at].partition, sizeof fake.sent[at].partition, "%.*s", (int)message->partition_id_size,
             message->partition_id);
    snprintf(fake.sent[at].handle, sizeof fake.sent[at].handle, "%s",
             message->data_handle ? message->data_handle : "");
    snprintf(fake.sent[at].checksum, sizeof fake.sent[at].checksum, "%s",
             message->checksum ? message->checksum : "");
    fake.sent[at].data_size = message->data_size;
    fake.sent[at].payload = message->payload != NULL;
}

static bool producer_carries(const void *producer, const struct sl_message *message)
{
    (void)producer, (void)message;
    return !fake.too_much;
}

static sl_status producer_send(void *producer, const struct sl_message *message, void *ticket,
                               sl_error *error)
{
    (void)producer;
    sl_status status = SL_OK;
    pthread_mutex_lock(&fake.lock);
    if (fake.refuse) {
        status = fake.refuse;
        if (error) {
            memset(error, 0, sizeof *error);
            error->status = status;
        }
        if (fake.refusals && --fake.refusals == 0)
            fake.refuse = SL_OK;
    } else if (fake.ticket_count == FAKE_TICKETS) {
        status = SL_QUEUE_FULL;
    } else {
        fake.tickets[fake.ticket_count++] = ticket;
        snprintf(fake.last_trace, sizeof fake.last_trace, "%s", message->trace_id ? message->trace_id : "");
        snprintf(fake.last_partition, sizeof fake.last_partition, "%.*s", (int)message->partition_id_size,
                 message->partition_id);
        note_sent(message);
    }
    pthread_mutex_unlock(&fake.lock);
    return status;
}

static void producer_close(void *producer)
{
    (void)producer;
    const sl_error error = {.status = SL_TIMED_OUT};
    const struct sl_outcome outcome = {.error = &error, .offset = {-1, -1}};
    for (size_t i = 0; i < fake.ticket_count; i++)
        fake.host.delivered(fake.tickets[i], &outcome);
    fake.ticket_count = 0;
    fake.producer_closed = true;
}

static sl_status consumer_open(const struct sl_host *host, const struct sl_target *target,
                               const struct sl_consumer_settings *settings, void **consumer, sl_error *error)
{
    (void)target, (void)error;
    fake.host = *host;
    fake.start = settings->start;
    fake.consumer_closed = false;
    snprintf(fake.group, sizeof fake.group, "%s", settings->group ? settings->group : "");
    *consumer = &fake;
    if (fake.assign)
        fake.host.assigned(fake.host.core, fake.share, fake.share_count);
    fake.assign = false;
    return SL_OK;
}

struct some {
    struct sl_batch batch;
    struct sl_message messages[64];
};

static void release(struct sl_batch *batch)
{
    free(batch);
}

static sl_status consumer_poll(void *consumer, int timeout_ms, size_t max_messages, size_t max_bytes,
                               struct sl_batch **batch, sl_error *error)
{
    (void)consumer, (void)max_bytes, (void)error;
    *batch = NULL;
    pthread_mutex_lock(&fake.lock);
    fake.polls++;
    bool revoke = fake.revoke, assign = fake.assign;
    fake.revoke = fake.assign = false;
    size_t left = fake.all_paused ? 0 : fake.next_count - fake.handed;
    pthread_mutex_unlock(&fake.lock);
    if (revoke) {
        const int32_t partitions[] = {0, 1, 2, 3};
        fake.host.revoked(fake.host.core, partitions, 4, fake.lost);
    }
    if (assign)
        fake.host.assigned(fake.host.core, fake.share, fake.share_count);
    if (!left) {
        if (timeout_ms) /* as a poll that waits would: not a test's sleep, only not a busy loop */
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        return SL_OK;
    }
    size_t count = fake.together ? fake.together : 1;
    count = count > left ? left : count;
    count = count > max_messages ? max_messages : count;
    struct some *some = calloc(1, sizeof *some);
    for (size_t i = 0; i < count; i++, fake.handed++) {
        struct sl_message *message = &some->messages[i];
        *message = (struct sl_message){
            .magic = SL_MESSAGE_MAGIC, .received = true, .timestamp_ms = -1, .compressed_size = -1};
        message->offset = fake.next[fake.handed];
        message->data_handle = fake.blobs[fake.handed].handle;
        message->checksum = fake.blobs[fake.handed].checksum;
        message->data_size = fake.blobs[fake.handed].handle ? fake.blobs[fake.handed].size : -1;
    }
    some->batch = (struct sl_batch){SL_BATCH_MAGIC, count, some->messages, release};
    *batch = &some->batch;
    return SL_OK;
}

static sl_status consumer_commit(void *consumer, const sl_offset *offsets, size_t count, sl_error *error)
{
    (void)consumer;
    if (fake.refuse_commits) {
        fake.refused_commits++;
        memset(error, 0, sizeof *error);
        error->retriable = fake.refuse_commits != SL_KAFKA;
        return error->status = fake.refuse_commits;
    }
    pthread_mutex_lock(&fake.lock);
    for (size_t i = 0; i < count && fake.committed_count < 64; i++)
        fake.committed[fake.committed_count++] = offsets[i];
    pthread_mutex_unlock(&fake.lock);
    return SL_OK;
}

static sl_status consumer_commit_now(void *consumer, const sl_offset *offsets, size_t count, sl_error *error)
{
    fake.commits_now++;
    return consumer_commit(consumer, offsets, count, error);
}

static sl_status consumer_seek(void *consumer, const sl_offset *offsets, size_t count, sl_error *error)
{
    (void)consumer;
    if (fake.refuse_seeks) {
        if (error)
            *error = (sl_error){.status = fake.refuse_seeks, .retriable = true};
        return fake.refuse_seeks;
    }
    pthread_mutex_lock(&fake.lock);
    for (size_t i = 0; i < count && fake.sought_count < 64; i++)
        fake.sought[fake.sought_count++] = offsets[i];
    pthread_mutex_unlock(&fake.lock);
    return SL_OK;
}

static sl_status consumer_seek_to(void *consumer, sl_start where, sl_error *error)
{
    (void)consumer, (void)where, (void)error;
    return SL_UNSUPPORTED;
}

static sl_status consumer_seek_time(void *consumer, int64_t timestamp_ms, sl_error *error)
{
    (void)consumer, (void)error;
    fake.sought_time = timestamp_ms;
    return SL_OK;
}

static sl_status consumer_pause(void *consumer, const int32_t *partitions, size_t count, bool paused,
                                sl_error *error)
{
    (void)consumer, (void)error;
    pthread_mutex_lock(&fake.lock);
    for (size_t i = 0; i < (count ? count : 1) && fake.pause_count < 64; i++) {
        fake.pauses[fake.pause_count].partition = count ? partitions[i] : -1;
        fake.pauses[fake.pause_count++].paused = paused;
    }
    if (!count)
        fake.all_paused = paused;
    pthread_mutex_unlock(&fake.lock);
    return SL_OK;
}

static sl_status consumer_positions(void *consumer, sl_partition_position *list, size_t capacity,
                                    size_t *count, sl_error *error)
{
    (void)consumer, (void)error;
    *count = fake.position_count;
    for (size_t i = 0; i < capacity && i < *count; i++)
        list[i] = fake.positions[i];
    return SL_OK;
}

static bool consumer_statistics(void *consumer, struct sl_buffer *json)
{
    (void)consumer;
    size_t size = fake.statistics ? strlen(fake.statistics) : 0;
    if (!size)
        return true;
    json->data = malloc(size + 1); /* the plug-in has none of the library's functions */
    memcpy(json->data, fake.statistics, size + 1);
    json->size = size;
    json->capacity = size + 1;
    return true;
}

static const char *consumer_group(const void *consumer)
{
    (void)consumer;
    return fake.group;
}

static sl_status consumer_close(void *consumer, sl_error *error)
{
    (void)consumer, (void)error;
    if (fake.revoke_at_close)
        fake.host.revoked(fake.host.core, fake.share, fake.share_count, false);
    fake.consumer_closed = true;
    return SL_OK;
}

#ifndef FAKE_ABI
#define FAKE_ABI SL_CONNECTOR_ABI
#endif

static const struct sl_connector whole = {
    .magic = SL_CONNECTOR_MAGIC,
    .abi = FAKE_ABI,
    .size = sizeof(struct sl_connector),
    .name = "kafka-connector",
    .direct = false, /* asks the platform for nothing */
    .max_payload = SL_PAYLOAD_INLINE_MAX,
    .producer_open = producer_open,
    .producer_carries = producer_carries,
    .producer_send = producer_send,
    .producer_close = producer_close,
    .consumer_open = consumer_open,
    .consumer_poll = consumer_poll,
    .consumer_commit = consumer_commit,
    .consumer_commit_now = consumer_commit_now,
    .consumer_seek = consumer_seek,
    .consumer_seek_to = consumer_seek_to,
    .consumer_seek_time = consumer_seek_time,
    .consumer_pause = consumer_pause,
    .consumer_positions = consumer_positions,
    .consumer_statistics = consumer_statistics,
    .consumer_group = consumer_group,
    .consumer_close = consumer_close,
};

__attribute__((visibility("default"))) extern struct sl_connector sl_connector_table;
struct sl_connector sl_connector_table = {.magic = SL_CONNECTOR_MAGIC, .abi = FAKE_ABI};

/* Before anything is opened: so the table is whole when the library looks at it. */
__attribute__((constructor)) static void fill_table(void)
{
    sl_connector_table = whole;
}

__attribute__((visibility("default"))) struct fake *fake_control(void);
struct fake *fake_control(void)
{
    fill_table();
    fake.table = &sl_connector_table;
    return &fake;
}
