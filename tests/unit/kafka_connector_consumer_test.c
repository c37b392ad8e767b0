#include "support/cases.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "kafka_mock.h"

enum {
    OFFSET_COMMIT = 8,
    OFFSET_FETCH = 9,
    FIND_COORDINATOR = 10,
    JOIN_GROUP = 11,
    HEARTBEAT = 12,
    SYNC_GROUP = 14
}; /* Kafka's numbers of the requests */

/* Another program's record. */
static void write_record(struct kafka_mock *mock, const char *key, size_t key_size, const char *value,
                         size_t size, rd_kafka_headers_t *headers)
{
    union {
        const char *given;
        void *taken;
    } bytes = {value};
    char text[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", mock->endpoint.brokers, text, sizeof text);
    rd_kafka_conf_set(conf, "linger.ms", "0", text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(rk);
    rd_kafka_resp_err_t code =
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("topic"), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_VALUE(bytes.taken, size),
                          RD_KAFKA_V_HEADERS(headers ? headers : rd_kafka_headers_new(0)), RD_KAFKA_V_END);
    assert_int_equal(code, 0);
    assert_int_equal(rd_kafka_flush(rk, 10000), 0);
    rd_kafka_destroy(rk);
}

static void write_numbers(struct kafka_mock *mock, int count)
{
    for (int i = 0; i < count; i++) {
        char text[20];
        snprintf(text, sizeof text, "%d", i);
        write_record(mock, "key", 3, text, strlen(text), NULL);
    }
}

/* All in one batch, so that one fetch brings them all. */
static void write_numbers_at_once(struct kafka_mock *mock, int count)
{
    char text[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", mock->endpoint.brokers, text, sizeof text);
    rd_kafka_conf_set(conf, "linger.ms", "60000", text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(rk);
    for (int i = 0; i < count; i++) {
        size_t size = (size_t)snprintf(text, sizeof text, "%d", i);
        assert_int_equal(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("topic"),
                                           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY("key", 3),
                                           RD_KAFKA_V_VALUE(text, size), RD_KAFKA_V_END),
                         0);
    }
    assert_int_equal(rd_kafka_flush(rk, 10000), 0);
    rd_kafka_destroy(rk);
}

static void *open_consumer(struct kafka_mock *mock, sl_start start)
{
    const struct sl_consumer_settings settings = {"group", start, 1 << 20, 60000, 0};
    struct sl_host host = kafka_mock_host(mock);
    void *consumer = NULL;
    sl_error error = {0};
    if (mock->connector->consumer_open(&host, &mock->target, &settings, &consumer, &error))
        fail_msg("%s", error.text);
    return consumer;
}

static struct sl_batch *poll_some(struct kafka_mock *mock, void *consumer, size_t messages, size_t bytes)
{
    struct sl_batch *batch = NULL;
    sl_error error = {0};
    for (int i = 0; i < 100 && !batch; i++)
        if (mock->connector->consumer_poll(consumer, 200, messages, bytes, &batch, &error))
            fail_msg("%s", error.text);
    assert_non_null(batch);
    assert_int_equal(batch->magic, SL_BATCH_MAGIC);
    return batch;
}

static void assert_payload(const struct sl_message *message, const char *text)
{
    assert_int_equal(message->payload_size, strlen(text));
    assert_memory_equal(message->payload, text, strlen(text));
}

static void foreign_records_are_delivered(void **state)
{
    struct kafka_mock *mock = *state;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(8);
    rd_kafka_header_add(headers, "sl-trace-id", -1, "has space", -1);
    rd_kafka_header_add(headers, "sl-checksum", -1, "beef", -1);
    rd_kafka_header_add(headers, "sl-data-size", -1, "many", -1);
    rd_kafka_header_add(headers, "sl-crc", -1, "1\0", 2);
    rd_kafka_header_add(headers, "SL-unknown", -1, "x", -1);
    rd_kafka_header_add(headers, "my header", -1, "x", 1);
    rd_kafka_header_add(headers, "nothing", -1, NULL, 0);
    rd_kafka_header_add(headers, "empty", -1, "", 0);
    write_record(mock, NULL, 0, "no key", 6, headers);
    write_record(mock, "\xff\xfe", 2, NULL, 0, NULL);
    write_record(mock, "", 0, "", 0, NULL);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    struct sl_batch *batch[3];
    for (int i = 0; i < 3; i++)
        batch[i] = poll_some(mock, consumer, 1, 1000);
    const struct sl_message *first = batch[0]->messages, *second = batch[1]->messages,
                            *third = batch[2]->messages;
    assert_null(first->partition_id);
    assert_payload(first, "no key");
    assert_null(first->trace_id);
    assert_null(first->checksum);
    assert_null(first->crc);
    assert_int_equal(first->data_size, -1);
    assert_int_equal(first->header_count, 3);
    assert_string_equal(first->headers[0].name, "my header");
    assert_null(first->headers[1].value);
    assert_non_null(first->headers[2].value);
    assert_int_equal(first->headers[2].size, 0);
    assert_int_equal(second->partition_id_size, 2);
    assert_memory_equal(second->partition_id, "\xff\xfe", 2);
    assert_null(second->payload);
    assert_int_equal(second->header_count, 0);
    assert_non_null(third->partition_id);
    assert_int_equal(third->partition_id_size, 0);
    assert_non_null(third->payload);
    assert_int_equal(third->payload_size, 0);
    for (int i = 0; i < 3; i++)
        batch[i]->release(batch[i]);
    assert_int_equal(mock->connector->consumer_close(consumer, NULL), SL_OK);
    assert_int_equal(mock->revocations, 1);
}

static void our_headers_become_parts(void **state)
{
    struct kafka_mock *mock = *state;
    static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    rd_kafka_headers_t *headers = rd_kafka_headers_new(8);
    rd_kafka_header_add(headers, "user", -1, "u", -1);
    rd_kafka_header_add(headers, "sl-trace-id", -1, "t-1", -1);
    rd_kafka_header_add(headers, "sl-checksum", -1, digest, -1);
    rd_kafka_header_add(headers, "sl-crc", -1, "c", -1);
    rd_kafka_header_add(headers, "sl-data-handle", -1, "h-1", -1);
    rd_kafka_header_add(headers, "sl-data-size", -1, "20971520", -1);
    rd_kafka_header_add(headers, "sl-compressed-data-size", -1, "7", -1);
    write_record(mock, "key", 3, NULL, 0, headers);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    struct sl_batch *batch = poll_some(mock, consumer, 10, 1000);
    const struct sl_message *message = batch->messages;
    assert_string_equal(message->trace_id, "t-1");
    assert_string_equal(message->checksum, digest);
    assert_string_equal(message->crc, "c");
    assert_string_equal(message->data_handle, "h-1");
    assert_int_equal(message->data_size, 20971520);
    assert_int_equal(message->compressed_size, 7);
    assert_true(message->timestamp_ms > 1600000000000);
    assert_int_equal(message->header_count, 1);
    assert_string_equal(message->headers[0].name, "user");
    batch->release(batch);
    mock->connector->consumer_close(consumer, NULL);
}

static void batches_outlive_their_consumer(void **state)
{
    struct kafka_mock *mock = *state;
    write_numbers(mock, 2);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    struct sl_batch *one = poll_some(mock, consumer, 1, 1000), *two = poll_some(mock, consumer, 1, 1000);
    mock->connector->consumer_close(consumer, NULL);
    assert_payload(one->messages, "0");
    one->release(one);
    assert_payload(two->messages, "1");
    two->release(two);
}

static void bounds_of_a_batch_are_kept(void **state)
{
    struct kafka_mock *mock = *state;
    write_record(mock, "k", 1, "12345", 5, NULL);
    write_record(mock, "k", 1, "123456789", 9, NULL);
    write_record(mock, "k", 1, "1", 1, NULL);
    write_record(mock, "k", 1, "2", 1, NULL);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    size_t at = 0;
    while (at < 4) {
        struct sl_batch *batch = poll_some(mock, consumer, 2, 6);
        size_t bytes = 0;
        assert_true(batch->count <= 2);
        for (size_t i = 0; i < batch->count; i++) {
            bytes += batch->messages[i].payload_size;
            assert_int_equal(batch->messages[i].offset.offset, at++);
        }
        assert_true(bytes <= 6 || batch->count == 1);
        batch->release(batch);
    }
    mock->connector->consumer_close(consumer, NULL);
}

static void seeking_drops_what_was_received(void **state)
{
    struct kafka_mock *mock = *state;
    write_numbers(mock, 10);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    struct sl_batch *batch = poll_some(mock, consumer, 3, 2); /* leaves one pending and more received */
    batch->release(batch);
    assert_int_equal(mock->connector->consumer_seek(consumer, &(sl_offset){0, 7}, 1, NULL), SL_OK);
    batch = poll_some(mock, consumer, 1, 100);
    assert_payload(batch->messages, "7");
    batch->release(batch);
    assert_int_equal(mock->connector->consumer_seek(consumer, &(sl_offset){0, 2}, 1, NULL), SL_OK);
    batch = poll_some(mock, consumer, 1, 100);
    assert_payload(batch->messages, "2");
    batch->release(batch);
    assert_int_equal(mock->connector->consumer_seek_to(consumer, SL_START_END, NULL), SL_OK);
    write_record(mock, "k", 1, "new", 3, NULL);
    batch = poll_some(mock, consumer, 1, 100);
    assert_payload(batch->messages, "new");
    batch->release(batch);
    assert_int_equal(mock->connector->consumer_seek_to(consumer, SL_START_BEGIN, NULL), SL_OK);
    batch = poll_some(mock, consumer, 1, 100);
    assert_payload(batch->messages, "0");
    batch->release(batch);
    mock->connector->consumer_close(consumer, NULL);
}

/* It goes where the consumer starts when its group has no position. */
static void a_seek_behind_the_end_goes_to_the_start(void **state)
{
    struct kafka_mock *mock = *state;
    write_numbers(mock, 10);
    void *consumer = open_consumer(mock, SL_START_END);
    assert_int_equal(mock->connector->consumer_seek(consumer, &(sl_offset){0, 11}, 1, NULL), SL_OK);
    write_record(mock, "k", 1, "next", 4, NULL);
    struct sl_batch *batch = poll_some(mock, consumer, 1, 100);
    assert_payload(batch->messages, "next");
    batch->release(batch);
    mock->connector->consumer_close(consumer, NULL);
    consumer = open_consumer(mock, SL_START_BEGIN);
    batch = poll_some(mock, consumer, 3, 2); /* leaves one pending */
    batch->release(batch);
    assert_int_equal(mock->connector->consumer_seek(consumer, &(sl_offset){0, 1000}, 1, NULL), SL_OK);
    batch = poll_some(mock, consumer, 1, 100);
    assert_payload(batch->messages, "0");
    batch->release(batch);
    assert_int_equal(mock->connector->consumer_seek(consumer, &(sl_offset){0, 11}, 1, NULL), SL_OK);
    write_record(mock, "k", 1, "new", 3, NULL);
    batch = poll_some(mock, consumer, 1, 100);
    assert_payload(batch->messages, "new");
    batch->release(batch);
    mock->connector->consumer_close(consumer, NULL);
}

static void partitions_of_others_are_refused(void **state)
{
    struct kafka_mock *mock = *state;
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    sl_error error = {0};
    assert_int_equal(mock->connector->consumer_seek(consumer, &(sl_offset){9, 0}, 1, &error),
                     SL_INVALID_ARGUMENT);
    assert_non_null(strstr(error.text, "Kafka partition 9 is not this consumer's, which has 0: the layer"));
    assert_int_equal(mock->connector->consumer_commit(consumer, &(sl_offset){9, 0}, 1, &error), SL_KAFKA);
    assert_non_null(strstr(error.text, "Kafka partition 9 is not this consumer's, which has 0: the layer"));
    mock->connector->consumer_close(consumer, NULL);
}

static int64_t committed(struct kafka_mock *mock)
{
    char text[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", mock->endpoint.brokers, text, sizeof text);
    rd_kafka_conf_set(conf, "group.id", "group", text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "topic", 0);
    rd_kafka_resp_err_t code = rd_kafka_committed(rk, list, 10000);
    int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    assert_int_equal(code, 0);
    return offset;
}

static void a_commit_is_one_behind_the_message(void **state)
{
    struct kafka_mock *mock = *state;
    write_numbers(mock, 3);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    assert_int_equal(mock->connector->consumer_commit(consumer, &(sl_offset){0, 1}, 1, NULL), SL_OK);
    assert_int_equal(committed(mock), 2);
    mock->connector->consumer_close(consumer, NULL);
}

static void a_start_at_the_end_is_committed(void **state)
{
    struct kafka_mock *mock = *state;
    write_numbers(mock, 3);
    void *consumer = open_consumer(mock, SL_START_END);
    assert_int_equal(committed(mock), 3);
    mock->connector->consumer_close(consumer, NULL);
}

static void failed_commits_have_their_status(void **state)
{
    struct kafka_mock *mock = *state;
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    sl_error error = {0};
    rd_kafka_mock_push_request_errors(mock->cluster, OFFSET_COMMIT, 1,
                                      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    assert_int_equal(mock->connector->consumer_commit(consumer, &(sl_offset){0, 0}, 1, &error), SL_FORBIDDEN);
    assert_true(strlen(error.text) > 10);
    assert_int_equal(mock->connector->consumer_commit(consumer, &(sl_offset){0, 0}, 1, &error), SL_OK);
    mock->connector->consumer_close(consumer, NULL);
}

static void nothing_there_is_no_error(void **state)
{
    struct kafka_mock *mock = *state;
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    struct sl_batch *batch = NULL;
    assert_string_equal(mock->connector->consumer_group(consumer), "group");
    assert_int_equal(mock->connector->consumer_poll(consumer, 0, 1, 1, &batch, NULL), SL_OK);
    assert_null(batch);
    assert_int_equal(mock->connector->consumer_poll(consumer, 50, 1, 1, &batch, NULL), SL_OK);
    assert_null(batch);
    mock->connector->consumer_close(consumer, NULL);
}

static void joining_takes_no_longer_than_allowed(void **state)
{
    struct kafka_mock *mock = *state;
    const struct sl_consumer_settings settings = {"group", SL_START_BEGIN, 1 << 20, 100, 0};
    struct sl_host host = kafka_mock_host(mock);
    void *consumer = NULL;
    sl_error error = {0};
    /* The mock cluster waits some seconds for more members. */
    assert_int_equal(mock->connector->consumer_open(&host, &mock->target, &settings, &consumer, &error),
                     SL_TIMED_OUT);
    assert_null(consumer);
    assert_true(error.retriable);
    assert_non_null(strstr(error.text, "stream.consumer.join-timeout (100 ms)"));
}

static void a_fatal_error_is_told_by_every_poll(void **state)
{
    struct kafka_mock *mock = *state;
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    rd_kafka_mock_push_request_errors(mock->cluster, HEARTBEAT, 1, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
    struct sl_batch *batch = NULL;
    sl_error error = {0};
    for (int64_t deadline = sl_deadline_ms(30000); !error.status && sl_remaining_ms(deadline) > 0;)
        mock->connector->consumer_poll(consumer, 200, 10, 1000, &batch, &error);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(error.status, SL_KAFKA);
        assert_true(error.fatal);
        memset(&error, 0, sizeof error);
        assert_int_equal(mock->connector->consumer_poll(consumer, 0, 10, 1000, &batch, &error), SL_KAFKA);
        assert_null(batch);
    }
    mock->connector->consumer_close(consumer, NULL);
}

/* Polls, with start positions refused, until the group has taken the partitions away so often. */
static void fail_until_revoked(struct kafka_mock *mock, void *consumer, int revocations)
{
    rd_kafka_mock_push_request_errors(mock->cluster, HEARTBEAT, 1, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS);
    sl_error error = {0};
    for (int64_t deadline = sl_deadline_ms(30000);
         (mock->revocations < revocations || error.status != SL_FORBIDDEN) &&
         sl_remaining_ms(deadline) > 0;) {
        struct sl_batch *batch = NULL;
        rd_kafka_mock_push_request_errors(mock->cluster, OFFSET_FETCH, 2,
                                          RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
                                          RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
        memset(&error, 0, sizeof error);
        mock->connector->consumer_poll(consumer, 10, 10, 1000, &batch, &error);
        assert_null(batch);
    }
    assert_int_equal(mock->revocations, revocations);
    assert_int_equal(error.status, SL_FORBIDDEN);
}

static void rebalances_go_on_without_start_positions(void **state)
{
    struct kafka_mock *mock = *state;
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    fail_until_revoked(mock, consumer, 1);
    fail_until_revoked(mock, consumer, 2);
    rd_kafka_mock_clear_request_errors(mock->cluster, OFFSET_FETCH);
    write_numbers(mock, 3);
    for (int i = 0; i < 3; i++) {
        char text[20];
        snprintf(text, sizeof text, "%d", i);
        struct sl_batch *batch = poll_some(mock, consumer, 1, 1000);
        assert_payload(batch->messages, text);
        batch->release(batch);
    }
    assert_int_equal(mock->connector->consumer_close(consumer, NULL), SL_OK);
}

/* librdkafka 2.0.2 ends the process when partitions are assigned anew while their fetchers still stop. */
static void seeks_may_follow_one_another(void **state)
{
    struct kafka_mock *mock = *state;
    write_numbers(mock, 5);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    sl_error error = {0};
    struct sl_batch *batch = poll_some(mock, consumer, 1, 1000);
    sl_offset first = batch->messages[0].offset;
    batch->release(batch);
    for (int i = 0; i < 500; i++) {
        sl_offset to = {first.partition, i % 5};
        if (mock->connector->consumer_seek(consumer, &to, 1, &error))
            fail_msg("%s", error.text);
    }
    batch = poll_some(mock, consumer, 1, 1000);
    assert_payload(&batch->messages[0], "4");
    batch->release(batch);
    assert_int_equal(mock->connector->consumer_close(consumer, &error), SL_OK);
}

/* A payload that lies in a blob counts, because polls may fetch it. */
static void bounds_count_payloads_in_blobs(void **state)
{
    struct kafka_mock *mock = *state;
    static const char *const sizes[] = {"4", "4", "2", "9", "1"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        rd_kafka_headers_t *headers = rd_kafka_headers_new(3);
        rd_kafka_header_add(headers, "sl-data-handle", -1, "h", -1);
        rd_kafka_header_add(headers, "sl-data-size", -1, sizes[i], -1);
        rd_kafka_header_add(headers, "number", -1, sizes[i], -1);
        write_record(mock, "k", 1, NULL, 0, headers);
    }
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    size_t at = 0;
    while (at < 5) {
        struct sl_batch *batch = poll_some(mock, consumer, 10, 6);
        size_t bytes = 0;
        for (size_t i = 0; i < batch->count; i++, at++) {
            const struct sl_message *message = &batch->messages[i];
            bytes += sl_message_weight(message);
            assert_int_equal(message->offset.offset, at);
            assert_int_equal(message->header_count, 1);
            assert_memory_equal(message->headers[0].value, sizes[at], 1);
        }
        assert_true(bytes <= 6 || batch->count == 1);
        batch->release(batch);
    }
    mock->connector->consumer_close(consumer, NULL);
}

static void assert_nothing_comes(struct kafka_mock *mock, void *consumer)
{
    for (int i = 0; i < 5; i++) {
        struct sl_batch *batch = NULL;
        assert_int_equal(mock->connector->consumer_poll(consumer, 50, 10, 1000, &batch, NULL), SL_OK);
        assert_null(batch);
    }
}

/* Reads numbers, one a batch. */
static void assert_numbers_come(struct kafka_mock *mock, void *consumer, int first, int end)
{
    for (int i = first; i < end; i++) {
        char text[20];
        snprintf(text, sizeof text, "%d", i);
        struct sl_batch *batch = poll_some(mock, consumer, 1, 1000);
        assert_payload(batch->messages, text);
        batch->release(batch);
    }
}

static void what_is_paused_comes_after_the_resume(void **state)
{
    struct kafka_mock *mock = *state;
    write_numbers_at_once(mock, 10);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    /* librdkafka has handed out one more than fits: to it that one is consumed, and a resume by itself would
     * go on behind it. The first batch may have ended before the next message was there. */
    int next = 0;
    size_t count = 0;
    while (count < 2 && next < 8) {
        struct sl_batch *batch = poll_some(mock, consumer, 3, 2);
        count = batch->count;
        next += (int)count;
        batch->release(batch);
    }
    assert_int_equal(count, 2);
    assert_int_equal(mock->connector->consumer_pause(consumer, NULL, 0, true, NULL), SL_OK);
    assert_nothing_comes(mock, consumer);
    assert_int_equal(mock->connector->consumer_pause(consumer, NULL, 0, false, NULL), SL_OK);
    assert_numbers_come(mock, consumer, next, 10);
    mock->connector->consumer_close(consumer, NULL);
}

/* librdkafka 2.0.2 skips what it has fetched of a partition that is paused before anything was polled. */
static void pauses_skip_and_repeat_nothing(void **state)
{
    struct kafka_mock *mock = *state;
    const int32_t partition = 0;
    write_numbers(mock, 30);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(mock->connector->consumer_pause(consumer, &partition, 1, true, NULL), SL_OK);
        if (i % 10 == 0)
            assert_nothing_comes(mock, consumer);
        assert_int_equal(mock->connector->consumer_pause(consumer, &partition, 1, false, NULL), SL_OK);
        assert_numbers_come(mock, consumer, i, i + 1);
    }
    assert_nothing_comes(mock, consumer);
    mock->connector->consumer_close(consumer, NULL);
}

static void a_seek_while_paused_holds_after_the_resume(void **state)
{
    struct kafka_mock *mock = *state;
    write_numbers(mock, 10);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    assert_numbers_come(mock, consumer, 0, 2);
    assert_int_equal(mock->connector->consumer_pause(consumer, NULL, 0, true, NULL), SL_OK);
    assert_int_equal(mock->connector->consumer_seek(consumer, &(sl_offset){0, 7}, 1, NULL), SL_OK);
    assert_nothing_comes(mock, consumer);
    assert_int_equal(mock->connector->consumer_pause(consumer, NULL, 0, false, NULL), SL_OK);
    assert_numbers_come(mock, consumer, 7, 10);
    mock->connector->consumer_close(consumer, NULL);
}

static void pausing_what_the_layer_has_not_is_refused(void **state)
{
    struct kafka_mock *mock = *state;
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    const int32_t both[] = {0, 7};
    sl_error error = {0};
    assert_int_equal(mock->connector->consumer_pause(consumer, both, 2, true, &error), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(error.text, "the layer has no Kafka partition 7"));
    write_numbers(mock, 1);
    assert_numbers_come(mock, consumer, 0, 1);
    mock->connector->consumer_close(consumer, NULL);
}

static void poll_until_assigned(struct kafka_mock *mock, void *consumer, int assignments)
{
    for (int64_t deadline = sl_deadline_ms(30000);
         mock->assignments < assignments && sl_remaining_ms(deadline) > 0;) {
        struct sl_batch *batch = NULL;
        assert_int_equal(mock->connector->consumer_poll(consumer, 50, 10, 1000, &batch, NULL), SL_OK);
        assert_null(batch);
    }
    assert_int_equal(mock->assignments, assignments);
}

static void a_pause_outlasts_a_rebalance(void **state)
{
    struct kafka_mock *mock = *state;
    write_numbers(mock, 5);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    assert_int_equal(mock->assignments, 1);
    assert_int_equal(mock->assigned_count, 1);
    assert_numbers_come(mock, consumer, 0, 2);
    assert_int_equal(mock->connector->consumer_pause(consumer, NULL, 0, true, NULL), SL_OK);
    rd_kafka_mock_push_request_errors(mock->cluster, HEARTBEAT, 1, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS);
    poll_until_assigned(mock, consumer, 2);
    assert_int_equal(mock->revocations, 1);
    assert_nothing_comes(mock, consumer);
    sl_partition_position position;
    size_t count = 0;
    assert_int_equal(mock->connector->consumer_positions(consumer, &position, 1, &count, NULL), SL_OK);
    assert_true(position.paused);
    assert_int_equal(position.position, 2);
    assert_int_equal(mock->connector->consumer_pause(consumer, NULL, 0, false, NULL), SL_OK);
    assert_numbers_come(mock, consumer, 2, 5);
    mock->connector->consumer_close(consumer, NULL);
}

/* The group's broker hears of a grant a moment later. */
static void a_group_that_was_just_granted_is_joined(void **state)
{
    struct kafka_mock *mock = *state;
    write_numbers(mock, 1);
    rd_kafka_mock_push_request_errors(mock->cluster, FIND_COORDINATOR, 1,
                                      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    rd_kafka_mock_push_request_errors(mock->cluster, JOIN_GROUP, 1,
                                      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    assert_numbers_come(mock, consumer, 0, 1);
    mock->connector->consumer_close(consumer, NULL);
}

/* The mock cluster waits 3 s for more members, and 8 s more pass before it tells what they have: longer in
 * all than one that is only refused goes on. */
static void a_member_waits_for_the_others_though_it_was_refused(void **state)
{
    struct kafka_mock *mock = *state;
    write_numbers(mock, 1);
    rd_kafka_mock_push_request_errors(mock->cluster, JOIN_GROUP, 1,
                                      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    rd_kafka_mock_broker_push_request_error_rtts(mock->cluster, 1, SYNC_GROUP, 1, RD_KAFKA_RESP_ERR_NO_ERROR,
                                                 8000);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    assert_numbers_come(mock, consumer, 0, 1);
    mock->connector->consumer_close(consumer, NULL);
}

/* Its refusals would end, long after nobody waits for that any more. */
static void a_group_that_is_anothers_is_not_joined(void **state)
{
    struct kafka_mock *mock = *state;
    const struct sl_consumer_settings settings = {"group", SL_START_BEGIN, 1 << 20, 60000, 0};
    struct sl_host host = kafka_mock_host(mock);
    void *consumer = NULL;
    sl_error error = {0};
    rd_kafka_resp_err_t refusals[64];
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        refusals[i] = RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    rd_kafka_mock_push_request_errors_array(mock->cluster, FIND_COORDINATOR,
                                            sizeof refusals / sizeof *refusals, refusals);
    assert_int_equal(mock->connector->consumer_open(&host, &mock->target, &settings, &consumer, &error),
                     SL_FORBIDDEN);
    assert_non_null(strstr(error.text, "lacks the right"));
    assert_null(consumer);
}

static void *committing;

static void commit_first(struct kafka_mock *mock, bool lost)
{
    if (!lost && mock->revocations == 1)
        assert_int_equal(mock->connector->consumer_commit(committing, &(sl_offset){0, 1}, 1, NULL), SL_OK);
}

static void a_commit_from_within_a_revocation_counts(void **state)
{
    struct kafka_mock *mock = *state;
    write_numbers(mock, 5);
    void *consumer = committing = open_consumer(mock, SL_START_BEGIN);
    mock->on_revoked = commit_first;
    assert_numbers_come(mock, consumer, 0, 2);
    mock->connector->consumer_close(consumer, NULL);
    assert_int_equal(mock->revocations, 1);
    assert_int_equal(committed(mock), 2);
}

static void positions_are_asked_now(void **state)
{
    struct kafka_mock *mock = *state;
    write_numbers(mock, 5);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    assert_numbers_come(mock, consumer, 0, 3);
    sl_partition_position position;
    size_t count = 0;
    sl_error error = {0};
    if (mock->connector->consumer_positions(consumer, &position, 1, &count, &error))
        fail_msg("%s", error.text);
    assert_int_equal(count, 1);
    assert_int_equal(position.partition, 0);
    assert_false(position.paused);
    assert_int_equal(position.begin, 0);
    assert_int_equal(position.end, 5);
    assert_int_equal(position.position, 3);
    assert_int_equal(position.committed, -1);
    assert_int_equal(position.lag, 2);
    assert_int_equal(mock->connector->consumer_commit(consumer, &(sl_offset){0, 1}, 1, NULL), SL_OK);
    write_numbers(mock, 2);
    assert_int_equal(mock->connector->consumer_positions(consumer, &position, 1, &count, NULL), SL_OK);
    assert_int_equal(position.committed, 2);
    assert_int_equal(position.end, 7);
    assert_int_equal(position.lag, 4);
    assert_int_equal(mock->connector->consumer_positions(consumer, NULL, 0, &count, NULL), SL_OK);
    assert_int_equal(count, 1);
    mock->connector->consumer_close(consumer, NULL);
}

static void statistics_are_librdkafkas(void **state)
{
    struct kafka_mock *mock = *state;
    const struct sl_consumer_settings settings = {.group = "group",
                                                  .start = SL_START_BEGIN,
                                                  .prefetch_bytes = 1 << 20,
                                                  .join_timeout_ms = 60000,
                                                  .statistics_ms = 100};
    struct sl_host host = kafka_mock_host(mock);
    void *consumer = NULL;
    assert_int_equal(mock->connector->consumer_open(&host, &mock->target, &settings, &consumer, NULL), SL_OK);
    struct sl_buffer json;
    sl_buffer_init(&json, 1 << 20);
    bool told = false;
    for (int64_t deadline = sl_deadline_ms(30000); !told && sl_remaining_ms(deadline) > 0;) {
        struct sl_batch *batch = NULL;
        assert_int_equal(mock->connector->consumer_poll(consumer, 50, 10, 1000, &batch, NULL), SL_OK);
        sl_buffer_reset(&json);
        assert_true(mock->connector->consumer_statistics(consumer, &json));
        told = strstr(json.data, "\"brokers\"");
    }
    assert_true(told);
    sl_buffer_free(&json);
    mock->connector->consumer_close(consumer, NULL);
}

static atomic_int sought;

static void count_seeks(struct kafka_mock *mock, const char *text)
{
    (void)mock;
    if (strstr(text, "CONSUMER: ") && strstr(text, ": Seek "))
        atomic_fetch_add(&sought, 1);
}

/* Where the group stood has expired, so it begins at the end. Were it sought to where it stood, to wake
 * librdkafka, it would begin once more at what is the end by then. */
static void what_has_expired_is_not_sought(void **state)
{
    enum { SIZE = 900000, ROUNDS = 9 };
    struct kafka_mock *mock = *state;
    const struct sl_property properties[] = {{"debug", "topic", NULL}, {"log_level", "7", NULL}};
    const struct sl_consumer_settings settings = {"group", SL_START_END, 1 << 20, 60000, 0};
    char *large = calloc(1, SIZE);
    write_numbers(mock, 3);
    void *consumer = open_consumer(mock, SL_START_BEGIN);
    assert_int_equal(mock->connector->consumer_commit(consumer, &(sl_offset){0, 0}, 1, NULL), SL_OK);
    mock->connector->consumer_close(consumer, NULL);
    for (int i = 0; i < ROUNDS; i++) /* the mock keeps 5 MB */
        write_record(mock, "key", 3, large, SIZE, NULL);
    free(large);

    struct sl_host host = kafka_mock_host(mock);
    host.log.level = SL_LOG_DEBUG;
    atomic_store(&sought, 0);
    mock->on_told = count_seeks;
    mock->target.properties = properties;
    mock->target.property_count = sizeof properties / sizeof *properties;
    assert_int_equal(mock->connector->consumer_open(&host, &mock->target, &settings, &consumer, NULL), SL_OK);
    struct sl_batch *batch = NULL;
    assert_int_equal(mock->connector->consumer_poll(consumer, 1000, 10, 1000, &batch, NULL), SL_OK);
    assert_null(batch);
    assert_int_equal(atomic_load(&sought), 0);
    write_record(mock, "key", 3, "late", 4, NULL);
    batch = poll_some(mock, consumer, 10, 1000);
    assert_payload(&batch->messages[0], "late");
    batch->release(batch);
    mock->connector->consumer_close(consumer, NULL);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(bounds_count_payloads_in_blobs, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(what_is_paused_comes_after_the_resume, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(pauses_skip_and_repeat_nothing, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_seek_while_paused_holds_after_the_resume, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(pausing_what_the_layer_has_not_is_refused, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_pause_outlasts_a_rebalance, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_commit_from_within_a_revocation_counts, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_group_that_was_just_granted_is_joined, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_member_waits_for_the_others_though_it_was_refused, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_group_that_is_anothers_is_not_joined, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(positions_are_asked_now, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(statistics_are_librdkafkas, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(foreign_records_are_delivered, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(our_headers_become_parts, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(batches_outlive_their_consumer, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(bounds_of_a_batch_are_kept, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(seeking_drops_what_was_received, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(seeks_may_follow_one_another, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_seek_behind_the_end_goes_to_the_start, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(partitions_of_others_are_refused, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_commit_is_one_behind_the_message, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_start_at_the_end_is_committed, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(failed_commits_have_their_status, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(joining_takes_no_longer_than_allowed, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_fatal_error_is_told_by_every_poll, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(rebalances_go_on_without_start_positions, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(what_has_expired_is_not_sought, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(nothing_there_is_no_error, kafka_mock_setup, kafka_mock_teardown))
