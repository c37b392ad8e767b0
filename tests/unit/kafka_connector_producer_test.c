#include "support/cases.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kafka_mock.h"
#include "support/ending.h"

enum { PRODUCE = 0, INIT_PRODUCER_ID = 22 }; /* Kafka's numbers of requests */

static void *open_telling(struct kafka_mock *mock, int delivery_timeout_ms, int statistics_ms)
{
    const struct sl_producer_settings settings = {delivery_timeout_ms, 1000, 8 << 20, statistics_ms, NULL};
    struct sl_host host = kafka_mock_host(mock);
    void *producer = NULL;
    sl_error error = {0};
    if (mock->connector->producer_open(&host, &mock->target, &settings, &producer, &error))
        fail_msg("%s", error.text);
    return producer;
}

static void *open_producer(struct kafka_mock *mock, int delivery_timeout_ms)
{
    return open_telling(mock, delivery_timeout_ms, 0);
}

static sl_status send_one(struct kafka_mock *mock, void *producer, size_t number, const char *key)
{
    struct sl_message message = {0};
    sl_message_reset(&message);
    message.partition_id = key;
    message.partition_id_size = strlen(key);
    message.payload = "payload";
    message.payload_size = 7;
    message.trace_id = "trace";
    return mock->connector->producer_send(producer, &message, kafka_mock_ticket(mock, number), NULL);
}

static void every_ticket_is_reported_once_in_order(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_producer(mock, 10000);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(send_one(mock, producer, i, "key"), SL_OK);
    kafka_mock_wait(mock, 200);
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 200);
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(kafka_mock_number(mock, mock->outcome[i].ticket), i);
        assert_int_equal(mock->outcome[i].status, SL_OK);
        assert_int_equal(mock->outcome[i].offset.partition, 0);
        assert_int_equal(mock->outcome[i].offset.offset, i);
    }
}

static void passing_errors_are_retried(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_producer(mock, 20000);
    rd_kafka_mock_push_request_errors(mock->cluster, PRODUCE, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                      RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
    assert_int_equal(send_one(mock, producer, 0, "key"), SL_OK);
    kafka_mock_wait(mock, 1);
    assert_int_equal(mock->outcome[0].status, SL_OK);
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 1);
}

static void assert_outcome(struct kafka_mock *mock, rd_kafka_resp_err_t code, sl_status status)
{
    void *producer = open_producer(mock, 20000);
    rd_kafka_mock_push_request_errors(mock->cluster, PRODUCE, 1, code);
    assert_int_equal(send_one(mock, producer, 0, "key"), SL_OK);
    kafka_mock_wait(mock, 1);
    assert_int_equal(mock->outcome[0].status, status);
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 1);
}

static void a_forbidden_topic_has_its_status(void **state)
{
    assert_outcome(*state, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, SL_FORBIDDEN);
}

static void a_message_too_large_for_the_broker_has_its_status(void **state)
{
    assert_outcome(*state, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, SL_TOO_LARGE);
}

static void time_runs_out_without_a_broker(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_producer(mock, 300);
    rd_kafka_mock_broker_set_down(mock->cluster, 1);
    assert_int_equal(send_one(mock, producer, 0, "key"), SL_OK);
    kafka_mock_wait(mock, 1);
    assert_int_equal(mock->outcome[0].status, SL_TIMED_OUT);
    assert_non_null(strstr(mock->text, "; last error: ")); /* it came as an event */
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 1);
}

static void closing_reports_what_is_left(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_producer(mock, 60000);
    rd_kafka_mock_broker_set_down(mock->cluster, 1);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(send_one(mock, producer, i, "key"), SL_OK);
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 20);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(mock->outcome[i].status, SL_TIMED_OUT);
}

static void what_is_in_flight_is_reported_at_closing(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_producer(mock, 60000);
    rd_kafka_mock_broker_set_rtt(mock->cluster, 1, 1500);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(send_one(mock, producer, i, "key"), SL_OK);
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 20);
}

/* The topic's first record, read by another client. */
static rd_kafka_message_t *read_first(struct kafka_mock *mock, rd_kafka_t **rk)
{
    char text[300];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", mock->endpoint.brokers, text, sizeof text),
                     RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "group.id", "reader", text, sizeof text), RD_KAFKA_CONF_OK);
    *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    assert_non_null(*rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "topic", 0)->offset = 0;
    assert_int_equal(rd_kafka_assign(*rk, list), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_message_t *message = NULL;
    while (!message || message->err) {
        if (message)
            rd_kafka_message_destroy(message);
        message = rd_kafka_consumer_poll(*rk, 1000);
    }
    return message;
}

static void assert_header(const rd_kafka_headers_t *headers, const char *name, const char *expected)
{
    const void *value = NULL;
    size_t size = 0;
    assert_int_equal(rd_kafka_header_get_last(headers, name, &value, &size), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(value, expected, size);
}

static void a_payload_in_a_blob_is_a_null_value_and_headers(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_producer(mock, 10000);
    struct sl_message message = {0};
    sl_message_reset(&message);
    message.partition_id = "key";
    message.partition_id_size = 3;
    message.data_handle = "handle-1";
    message.data_size = 20971520;
    message.compressed_size = 77;
    message.crc = "1a2b";
    assert_int_equal(mock->connector->producer_send(producer, &message, kafka_mock_ticket(mock, 0), NULL),
                     SL_OK);
    kafka_mock_wait(mock, 1);
    assert_int_equal(mock->outcome[0].status, SL_OK);
    mock->connector->producer_close(producer);
    rd_kafka_t *rk = NULL;
    rd_kafka_message_t *record = read_first(mock, &rk);
    assert_null(record->payload);
    assert_int_equal(record->key_len, 3);
    rd_kafka_headers_t *headers = NULL;
    assert_int_equal(rd_kafka_message_headers(record, &headers), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_header_cnt(headers), 4);
    assert_header(headers, "sl-data-handle", "handle-1");
    assert_header(headers, "sl-data-size", "20971520");
    assert_header(headers, "sl-compressed-data-size", "77");
    assert_header(headers, "sl-crc", "1a2b");
    rd_kafka_message_destroy(record);
    rd_kafka_destroy(rk);
}

/* Most messages have nothing beside key and payload, and go a shorter way. */
static void a_plain_message_is_key_and_value(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_producer(mock, 10000);
    struct sl_message message = {0};
    sl_message_reset(&message);
    message.partition_id = "key";
    message.partition_id_size = 3;
    message.payload = "";
    assert_int_equal(mock->connector->producer_send(producer, &message, kafka_mock_ticket(mock, 0), NULL),
                     SL_OK);
    kafka_mock_wait(mock, 1);
    assert_int_equal(mock->outcome[0].status, SL_OK);
    mock->connector->producer_close(producer);
    rd_kafka_t *rk = NULL;
    rd_kafka_message_t *record = read_first(mock, &rk);
    assert_non_null(record->payload);
    assert_int_equal(record->len, 0);
    assert_memory_equal(record->key, "key", 3);
    rd_kafka_headers_t *headers = NULL;
    assert_int_equal(rd_kafka_message_headers(record, &headers), RD_KAFKA_RESP_ERR__NOENT);
    rd_kafka_message_destroy(record);
    rd_kafka_destroy(rk);
}

static bool has_statistics(struct kafka_mock *mock, void *producer, const char *member)
{
    struct sl_buffer json;
    sl_buffer_init(&json, 1 << 20);
    assert_true(mock->connector->producer_statistics(producer, &json));
    bool has = strstr(json.data, member) != NULL;
    assert_true(strstr(json.data, "\"brokers\"") || !strcmp(json.data, "{}"));
    sl_buffer_free(&json);
    return has;
}

static void statistics_are_librdkafkas_where_they_are_wanted(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_telling(mock, 1000, 100);
    while (!has_statistics(mock, producer, "\"brokers\""))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    mock->connector->producer_close(producer);
}

static void a_message_over_the_limit_is_refused_and_not_reported(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_producer(mock, 10000);
    struct sl_message message = {0};
    sl_message_reset(&message);
    message.payload_size = 3 << 20;
    message.payload = calloc(1, message.payload_size);
    assert_non_null(message.payload);
    sl_error error = {0};
    assert_int_equal(mock->connector->producer_send(producer, &message, kafka_mock_ticket(mock, 0), &error),
                     SL_TOO_LARGE);
    assert_true(strlen(error.text) > 10);
    union {
        const void *given;
        void *freed;
    } payload = {message.payload};
    free(payload.freed);
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 0);
}

static void a_topic_that_may_not_be_read_is_told_at_opening(void **state)
{
    struct kafka_mock *mock = *state;
    const struct sl_producer_settings settings = {1000, 1000, 8 << 20, 0, NULL};
    struct sl_host host = kafka_mock_host(mock);
    void *producer = NULL;
    sl_error error = {0};
    rd_kafka_mock_topic_set_error(mock->cluster, "topic", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    assert_int_equal(mock->connector->producer_open(&host, &mock->target, &settings, &producer, &error),
                     SL_FORBIDDEN);
    assert_non_null(strstr(error.text, "\"topic\""));
    assert_null(producer);
}

static void allow(struct kafka_mock *mock, const char *text)
{
    if (strstr(text, "topic \"topic\": Broker: Topic authorization failed: it is asked for again for 4 s"))
        rd_kafka_mock_topic_set_error(mock->cluster, "topic", RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* The gateway says that it is granted; the broker hears of it a moment later. */
static void what_was_just_granted_is_asked_for_again(void **state)
{
    struct kafka_mock *mock = *state;
    mock->on_told = allow;
    mock->target.connect_timeout_ms = 4000; /* less than it is asked for again otherwise */
    rd_kafka_mock_topic_set_error(mock->cluster, "topic", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    void *producer = open_producer(mock, 20000);
    assert_int_equal(send_one(mock, producer, 0, "key"), SL_OK);
    kafka_mock_wait(mock, 1);
    assert_int_equal(mock->outcome[0].status, SL_OK);
    mock->connector->producer_close(producer);
}

/* Its name is another application's, or the application may write nothing: to ask again is of no use. */
static void transactions_of_another_are_forbidden(void **state)
{
    struct kafka_mock *mock = *state;
    const struct sl_producer_settings settings = {1000, 1000, 8 << 20, 0, "another.name"};
    struct sl_host host = kafka_mock_host(mock);
    void *producer = NULL;
    sl_error error = {0};
    rd_kafka_mock_push_request_errors(mock->cluster, INIT_PRODUCER_ID, 1,
                                      RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    assert_int_equal(mock->connector->producer_open(&host, &mock->target, &settings, &producer, &error),
                     SL_FORBIDDEN);
    assert_non_null(strstr(error.text, "lacks the right"));
    assert_false(error.retriable);
    assert_null(producer);
}

/* librdkafka's producer ends with the next batch that it sends. */
static void let_it_end(struct kafka_mock *mock)
{
    rd_kafka_mock_push_request_errors(mock->cluster, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
}

/* As a sender that waits for room. */
static sl_status send_patiently(struct kafka_mock *mock, void *producer, size_t number, const char *key)
{
    sl_status status;
    while ((status = send_one(mock, producer, number, key)) == SL_QUEUE_FULL)
        sched_yield();
    return status;
}

static void assert_failed_by_end(struct kafka_mock *mock, size_t outcome, size_t number, const char *text)
{
    assert_int_equal(kafka_mock_number(mock, mock->outcome[outcome].ticket), number);
    assert_int_equal(mock->outcome[outcome].status, SL_UNAVAILABLE);
    assert_true(mock->outcome[outcome].retriable);
    assert_non_null(strstr(mock->outcome[outcome].text, text));
}

#define IN_DOUBT "may be written or not"
#define NOT_SENT "it is not written: send it again"

static void one_that_ended_is_followed_by_another(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_producer(mock, 20000);
    assert_int_equal(send_one(mock, producer, 0, "key"), SL_OK);
    kafka_mock_wait(mock, 1);
    let_it_end(mock);
    assert_int_equal(send_one(mock, producer, 1, "key"), SL_OK);
    kafka_mock_wait(mock, 2);
    assert_failed_by_end(mock, 1, 1, IN_DOUBT);
    assert_non_null(strstr(mock->text, "sequence desynchronization")); /* librdkafka's own words */
    for (size_t i = 2; i < 100; i++)
        assert_int_equal(send_patiently(mock, producer, i, "key"), SL_OK);
    kafka_mock_wait(mock, 100);
    assert_non_null(strstr(mock->warning, "librdkafka's producer ended (OUT_OF_ORDER_SEQUENCE_NUMBER): "));
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 100);
    for (size_t i = 2; i < 100; i++) {
        assert_int_equal(kafka_mock_number(mock, mock->outcome[i].ticket), i);
        assert_int_equal(mock->outcome[i].status, SL_OK);
        assert_int_equal(mock->outcome[i].offset.offset, i - 1); /* what failed was not written by it */
    }
}

/* Each message is a batch. */
static void *open_single(struct kafka_mock *mock, const char *in_flight)
{
    const struct sl_property properties[] = {{"linger.ms", "0", NULL},
                                             {"batch.num.messages", "1", NULL},
                                             {"max.in.flight.requests.per.connection", in_flight, NULL}};
    mock->target.properties = properties;
    mock->target.property_count = sizeof properties / sizeof *properties;
    void *producer = open_telling(mock, 20000, 100);
    mock->target.property_count = 0;
    assert_int_equal(send_one(mock, producer, 0, "key"), SL_OK);
    kafka_mock_wait(mock, 1);
    return producer;
}

static void what_was_queued_when_it_ended_was_not_sent(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_single(mock, "1");
    rd_kafka_mock_broker_set_rtt(mock->cluster, 1, 1000);
    let_it_end(mock);
    for (size_t i = 1; i < 20; i++)
        assert_int_equal(send_one(mock, producer, i, "key"), SL_OK);
    kafka_mock_wait(mock, 20);
    rd_kafka_mock_broker_set_rtt(mock->cluster, 1, 0);
    assert_int_equal(send_patiently(mock, producer, 20, "key"), SL_OK);
    kafka_mock_wait(mock, 21);
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 21);
    bool seen[MOST_OUTCOMES] = {0};
    int64_t written = 1;
    for (size_t i = 1; i < 20; i++) {
        size_t number = kafka_mock_number(mock, mock->outcome[i].ticket);
        assert_false(seen[number]);
        seen[number] = true;
        /* librdkafka may send one more before it hears of the end. */
        if (number > 1 && number < 19 && !mock->outcome[i].status)
            written++;
        else
            assert_failed_by_end(mock, i, number, number == 1 ? IN_DOUBT : NOT_SENT);
    }
    assert_int_equal(mock->outcome[20].offset.offset, written); /* what was not sent was not written */
}

/* The broker's answer is waited for: it was written, and is not to be sent again. */
static void what_was_in_flight_when_it_ended_is_told_by_its_answer(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_single(mock, "5");
    rd_kafka_mock_broker_set_rtt(mock->cluster, 1, 1000);
    let_it_end(mock);
    for (size_t i = 1; i < 5; i++)
        assert_int_equal(send_one(mock, producer, i, "key"), SL_OK);
    kafka_mock_wait(mock, 5);
    assert_failed_by_end(mock, 1, 1, IN_DOUBT);
    for (size_t i = 2; i < 5; i++) {
        assert_int_equal(kafka_mock_number(mock, mock->outcome[i].ticket), i);
        assert_int_equal(mock->outcome[i].status, SL_OK);
        assert_int_equal(mock->outcome[i].offset.offset, i - 1);
    }
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 5);
}

/* Where the broker does not answer, that cannot be waited for: it may be written. */
static void what_is_not_answered_when_it_ends_is_in_doubt(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_single(mock, "5");
    rd_kafka_mock_broker_set_rtt(mock->cluster, 1, 15000);
    for (size_t i = 1; i < 5; i++)
        assert_int_equal(send_one(mock, producer, i, "key"), SL_OK);
    while (!has_statistics(mock, producer, "\"waitresp_msg_cnt\":4"))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_true(end_kafka_producer());
    kafka_mock_wait(mock, 5);
    rd_kafka_mock_broker_set_rtt(mock->cluster, 1, 0);
    assert_int_equal(send_patiently(mock, producer, 5, "key"), SL_OK);
    kafka_mock_wait(mock, 6);
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 6);
    for (size_t i = 1; i < 5; i++)
        assert_failed_by_end(mock, i, i, IN_DOUBT);
    assert_int_equal(mock->outcome[5].status, SL_OK);
}

/* The second time there is a pause. */
static void end_twice(struct kafka_mock *mock, void *producer)
{
    for (size_t i = 0; i < 2; i++) {
        let_it_end(mock);
        assert_int_equal(send_patiently(mock, producer, i, "key"), SL_OK);
        kafka_mock_wait(mock, i + 1);
    }
}

static void closing_does_not_wait_for_the_next_one(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_producer(mock, 20000);
    end_twice(mock, producer);
    assert_int_equal(send_patiently(mock, producer, 2, "key"), SL_UNAVAILABLE);
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 2);
}

static void closing_reports_what_one_that_ends_leaves(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_single(mock, "5");
    rd_kafka_mock_broker_set_rtt(mock->cluster, 1, 500);
    let_it_end(mock);
    for (size_t i = 1; i < 20; i++)
        assert_int_equal(send_one(mock, producer, i, "key"), SL_OK);
    kafka_mock_wait(mock, 2); /* it ends: others are in flight, or reported just now */
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 20);
}

/* The next one ends at once, too: there is a pause, in which senders are told why and not made to wait. */
static void one_that_ends_at_once_is_followed_after_a_pause(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_producer(mock, 20000);
    end_twice(mock, producer);
    struct sl_message message = {0};
    sl_message_reset(&message);
    sl_error error = {0};
    void *ticket = kafka_mock_ticket(mock, 2);
    while (mock->connector->producer_send(producer, &message, ticket, &error) == SL_QUEUE_FULL)
        sched_yield();
    assert_int_equal(error.status, SL_UNAVAILABLE);
    assert_true(error.retriable);
    assert_false(error.fatal);
    assert_non_null(strstr(error.text, "the next one is made after 1 s"));
    struct sl_buffer json;
    sl_buffer_init(&json, 1 << 20);
    assert_true(mock->connector->producer_statistics(producer, &json)); /* of nothing, and that goes */
    sl_buffer_free(&json);
    while (mock->connector->producer_send(producer, &message, ticket, &error))
        sched_yield();
    kafka_mock_wait(mock, 3);
    assert_int_equal(mock->outcome[2].status, SL_OK);
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 3);
}

/* Where Kafka forbids it, the next one would fare no better until that is granted. */
static void one_that_is_forbidden_says_so_until_it_is_granted(void **state)
{
    struct kafka_mock *mock = *state;
    void *producer = open_producer(mock, 20000);
    assert_int_equal(send_one(mock, producer, 0, "key"), SL_OK);
    kafka_mock_wait(mock, 1);
    rd_kafka_mock_push_request_errors(mock->cluster, INIT_PRODUCER_ID, 1,
                                      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
    let_it_end(mock);
    struct sl_message message = {0};
    sl_message_reset(&message);
    sl_error error = {0};
    sl_status status;
    size_t sent = 1;
    do {
        status = mock->connector->producer_send(producer, &message, kafka_mock_ticket(mock, sent), &error);
        if (!status)
            kafka_mock_wait(mock, ++sent);
    } while (!status || status == SL_QUEUE_FULL);
    assert_int_equal(status, SL_FORBIDDEN);
    assert_false(error.retriable || error.fatal);
    assert_non_null(strstr(error.text, "lacks the right write on catalog hrn:here:data::local:cat"));
    assert_int_equal(mock->outcome[1].status, SL_UNAVAILABLE);
    for (size_t i = 2; i < sent; i++)
        assert_int_equal(mock->outcome[i].status, SL_FORBIDDEN);
    while (mock->connector->producer_send(producer, &message, kafka_mock_ticket(mock, sent), &error))
        sched_yield();
    kafka_mock_wait(mock, sent + 1);
    assert_int_equal(mock->outcome[sent].status, SL_OK);
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, sent + 1);
}

enum { SENDERS = 4, EACH = 40 };

static atomic_int ends;

static void count_end(struct kafka_mock *mock, const char *text)
{
    (void)mock;
    ends += strstr(text, "another one takes its place") != NULL;
}

struct sender {
    struct kafka_mock *mock;
    void *producer;
    size_t first; /* its messages' numbers */
};

static void *send_many(void *opaque)
{
    struct sender *sender = opaque;
    for (size_t i = 0; i < EACH; i++) {
        if (i % (EACH / 2) == EACH / 4 && sender->first == 1)
            let_it_end(sender->mock);
        while (send_one(sender->mock, sender->producer, sender->first + i, "key"))
            sched_yield();
    }
    return NULL;
}

static void senders_of_one_that_ends_lose_no_report(void **state)
{
    struct kafka_mock *mock = *state;
    mock->on_told = count_end;
    void *producer = open_single(mock, "1");
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    for (size_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){mock, producer, 1 + i * EACH};
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, &senders[i]), 0);
    }
    for (size_t i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    kafka_mock_wait(mock, 1 + SENDERS * EACH);
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 1 + SENDERS * EACH);
    assert_true(ends > 0);
    bool seen[MOST_OUTCOMES] = {0};
    for (size_t i = 0; i < mock->outcomes; i++) {
        size_t number = kafka_mock_number(mock, mock->outcome[i].ticket);
        assert_false(seen[number]);
        seen[number] = true;
    }
}

/* The transaction is lost, and only the application knows where to begin again. */
static void one_that_makes_transactions_stays_ended(void **state)
{
    struct kafka_mock *mock = *state;
    const struct sl_producer_settings settings = {20000, 1000, 8 << 20, 0, "name"};
    struct sl_host host = kafka_mock_host(mock);
    void *producer = NULL;
    sl_error error = {0};
    if (mock->connector->producer_open(&host, &mock->target, &settings, &producer, &error) ||
        mock->connector->producer_begin(producer, &error))
        fail_msg("%s", error.text);
    rd_kafka_mock_push_request_errors(mock->cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(send_one(mock, producer, 0, "key"), SL_OK);
    kafka_mock_wait(mock, 1);
    struct sl_message message = {0};
    sl_message_reset(&message);
    for (int i = 0; i < 3; i++) {
        memset(&error, 0, sizeof error);
        assert_int_equal(
            mock->connector->producer_send(producer, &message, kafka_mock_ticket(mock, 1), &error), SL_KAFKA);
        assert_true(error.fatal);
        assert_non_null(strstr(error.text, "the producer cannot go on"));
    }
    mock->connector->producer_close(producer);
    assert_int_equal(mock->outcomes, 1);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(what_was_just_granted_is_asked_for_again, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(transactions_of_another_are_forbidden, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(every_ticket_is_reported_once_in_order, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(passing_errors_are_retried, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_forbidden_topic_has_its_status, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_message_too_large_for_the_broker_has_its_status, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(time_runs_out_without_a_broker, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(closing_reports_what_is_left, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(what_is_in_flight_is_reported_at_closing, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_payload_in_a_blob_is_a_null_value_and_headers, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_plain_message_is_key_and_value, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(statistics_are_librdkafkas_where_they_are_wanted, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_message_over_the_limit_is_refused_and_not_reported, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_topic_that_may_not_be_read_is_told_at_opening, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(one_that_ended_is_followed_by_another, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(what_was_queued_when_it_ended_was_not_sent, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(what_was_in_flight_when_it_ended_is_told_by_its_answer, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(what_is_not_answered_when_it_ends_is_in_doubt, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(closing_does_not_wait_for_the_next_one, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(closing_reports_what_one_that_ends_leaves, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(one_that_ends_at_once_is_followed_after_a_pause, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(one_that_is_forbidden_says_so_until_it_is_granted, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(senders_of_one_that_ends_lose_no_report, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(one_that_makes_transactions_stays_ended, kafka_mock_setup, kafka_mock_teardown))
