/* The producer, against librdkafka's mock cluster: broker errors on demand. */
#include "support/cases.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "config/settings.h"
#include "gateway/broker/internal.h"

#include <librdkafka/rdkafka_mock.h> /* needs rdkafka.h before it */

#define WAIT_MS 30000

struct place {
    rd_kafka_t *owner;
    rd_kafka_mock_cluster_t *cluster;
    sl_config *config;
    struct gw_server *server;
    struct gw_broker *broker;
    struct gw_budget *budget;
};

struct tally {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int reported, written;
    sl_status last;
    bool elsewhere; /* a report came on another thread than its loop's */
};

struct sending {
    struct gw_write write; /* first */
    struct tally *tally;
    int reports;
};

static void set(sl_config *config, const char *path, const char *value)
{
    sl_error error;
    if (sl_config_set(config, path, value, &error))
        fail_msg("%s", error.text);
}

static void open_logged(struct place *place, const char *delivery_timeout, const struct sl_log *log)
{
    char text[512];
    sl_error error;
    memset(place, 0, sizeof *place);
    place->owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    assert_non_null(place->owner);
    place->cluster = rd_kafka_mock_cluster_new(place->owner, 1);
    assert_non_null(place->cluster);
    rd_kafka_mock_topic_create(place->cluster, "t", 2, 1);
    assert_int_equal(sl_config_create(&place->config, &error), SL_OK);
    set(place->config, SL_GATEWAY_ROOT "kafka.brokers", rd_kafka_mock_cluster_bootstraps(place->cluster));
    set(place->config, SL_GATEWAY_ROOT "kafka.producer.delivery.timeout.ms", delivery_timeout);
    const struct gw_server_settings settings = {.address = "127.0.0.1",
                                                .loops = 2,
                                                .max_connections = 10,
                                                .max_body = 1000,
                                                .max_header = 1000,
                                                .idle_timeout_ms = 10000};
    if (gw_server_start(&settings, NULL, &place->server, &error) ||
        gw_budget_create((size_t)64 << 20, &place->budget, &error) ||
        gw_broker_open(place->config, GW_CLUSTER_DEFAULT, log, place->budget, &place->broker, &error))
        fail_msg("%s", error.text);
}

static void open_place(struct place *place, const char *delivery_timeout)
{
    open_logged(place, delivery_timeout, NULL);
}

/* As the gateway does it: what it was attached to is gone before the broker is. */
static void close_place(struct place *place)
{
    if (place->broker)
        gw_broker_finish(place->broker, 100);
    gw_server_stop(&place->server);
    gw_broker_close(&place->broker, 0);
    gw_budget_destroy(&place->budget);
    sl_config_destroy(&place->config);
    rd_kafka_mock_cluster_destroy(place->cluster);
    rd_kafka_destroy(place->owner);
}

static void reported(struct gw_write *write)
{
    struct sending *sending = (struct sending *)(void *)write;
    struct tally *tally = sending->tally;
    pthread_mutex_lock(&tally->lock);
    sending->reports++;
    tally->reported++;
    tally->written += write->status == SL_OK;
    tally->last = write->status;
    tally->elsewhere |= !gw_loop_is_current(write->loop);
    pthread_cond_broadcast(&tally->changed);
    pthread_mutex_unlock(&tally->lock);
}

static sl_status send_from(struct place *place, struct tally *tally, struct sending *sending, size_t size,
                           bool anywhere)
{
    static char payload[3 << 20];
    struct sl_message message = {.headers = NULL};
    sl_error error;
    sl_message_reset(&message);
    message.partition_id = "k";
    message.partition_id_size = 1;
    message.payload = payload;
    message.payload_size = size;
    message.trace_id = "trace";
    *sending = (struct sending){.write = {.done = reported, .anywhere = anywhere}, .tally = tally};
    return gw_broker_write(place->broker, gw_server_loop(place->server, (unsigned)(size % 2)), "t", &message,
                           &sending->write, &error);
}

static sl_status send_one(struct place *place, struct tally *tally, struct sending *sending, size_t size)
{
    return send_from(place, tally, sending, size, false);
}

static void await(struct tally *tally, int count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_MS / 1000;
    pthread_mutex_lock(&tally->lock);
    int code = 0;
    while (tally->reported < count && !code)
        code = pthread_cond_timedwait(&tally->changed, &tally->lock, &until);
    assert_int_equal(tally->reported, count);
    pthread_mutex_unlock(&tally->lock);
}

#define TALLY                                                                                                \
    {                                                                                                        \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER                               \
    }

static void report_each_once(bool attached)
{
    enum { COUNT = 500 };
    struct place place;
    struct tally tally = TALLY;
    struct sending *sendings = calloc(COUNT, sizeof *sendings);
    open_place(&place, "20000");
    for (size_t i = 0; i < COUNT; i++) {
        if (i == COUNT / 2 && attached) /* while reports are under way */
            gw_broker_attach(place.broker, gw_server_loop(place.server, 1));
        assert_int_equal(send_one(&place, &tally, &sendings[i], i), SL_OK);
    }
    await(&tally, COUNT);
    close_place(&place);
    assert_int_equal(tally.written, COUNT);
    assert_false(tally.elsewhere);
    int64_t last = -1;
    for (size_t i = 0; i < COUNT; i++) { /* one key: the order sent */
        assert_int_equal(sendings[i].reports, 1);
        assert_true(sendings[i].write.offset.offset > last);
        last = sendings[i].write.offset.offset;
    }
    free(sendings);
}

static void every_write_is_reported_once_on_its_loop(void **state)
{
    (void)state;
    report_each_once(false);
}

static void so_it_is_when_a_loop_serves_the_reports(void **state)
{
    (void)state;
    report_each_once(true);
}

/* Its partition id is nobody else's, so it need not lie where the id's hash says. */
static void what_may_lie_anywhere_is_spread_over_time(void **state)
{
    (void)state;
    struct place place;
    struct tally tally = TALLY;
    open_place(&place, "20000");
    bool seen[2] = {false, false};
    int sent = 0;
    for (int64_t until = sl_mono_ms() + WAIT_MS; !(seen[0] && seen[1]) && sl_mono_ms() < until;) {
        struct sending sending;
        assert_int_equal(send_from(&place, &tally, &sending, 10, true), SL_OK);
        await(&tally, ++sent);
        assert_in_range(sending.write.offset.partition, 0, 1);
        seen[sending.write.offset.partition] = true;
    }
    assert_true(seen[0] && seen[1]);
    close_place(&place);
}

static void passing_broker_errors_are_retried(void **state)
{
    (void)state;
    struct place place;
    struct tally tally = TALLY;
    struct sending sending;
    open_place(&place, "20000");
    rd_kafka_mock_push_request_errors(place.cluster, 0 /* Produce */, 2,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
    assert_int_equal(send_one(&place, &tally, &sending, 10), SL_OK);
    await(&tally, 1);
    assert_int_equal(tally.written, 1);
    close_place(&place);
}

static void what_kafka_never_takes_is_reported_as_failed(void **state)
{
    (void)state;
    struct place place;
    struct tally tally = TALLY;
    struct sending sending;
    open_place(&place, "1000");
    rd_kafka_mock_broker_set_down(place.cluster, 1);
    assert_int_equal(send_one(&place, &tally, &sending, 10), SL_OK);
    await(&tally, 1);
    assert_int_equal(tally.last, SL_TIMED_OUT);
    assert_true(sending.write.retriable);
    assert_true(*sending.write.text);
    close_place(&place);
}

static void closing_reports_what_is_left(void **state)
{
    (void)state;
    struct place place;
    struct tally tally = TALLY;
    struct sending sendings[20];
    open_place(&place, "60000");
    rd_kafka_mock_broker_set_down(place.cluster, 1);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(send_one(&place, &tally, &sendings[i], 10), SL_OK);
    gw_broker_close(&place.broker, 50);
    await(&tally, 20); /* the loops still run */
    assert_int_equal(tally.written, 0);
    assert_int_equal(tally.last, SL_CLOSED);
    close_place(&place);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(sendings[i].reports, 1);
}

static void a_message_over_2_mib_is_refused(void **state)
{
    (void)state;
    struct place place;
    struct tally tally = TALLY;
    struct sending sending;
    open_place(&place, "20000");
    assert_int_equal(send_one(&place, &tally, &sending, GW_MESSAGE_MAX + 1), SL_TOO_LARGE);
    close_place(&place);
    assert_int_equal(tally.reported, 0);
}

static void replace_what_ended(bool attached)
{
    struct place place;
    struct tally tally = TALLY;
    struct sending sending;
    open_place(&place, "20000");
    if (attached)
        gw_broker_attach(place.broker, gw_server_loop(place.server, 0));
    assert_int_equal(send_one(&place, &tally, &sending, 10), SL_OK);
    await(&tally, 1);
    rd_kafka_t *old = place.broker->producer;
    rd_kafka_test_fatal_error(old, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "a test's");
    int64_t until = sl_mono_ms() + WAIT_MS;
    sl_status status = SL_UNAVAILABLE;
    while (status && sl_mono_ms() < until) /* meanwhile it says so, and drops nothing silently */
        status = send_one(&place, &tally, &sending, 10);
    assert_int_equal(status, SL_OK);
    await(&tally, 2);
    assert_int_equal(tally.written, 2);
    close_place(&place);
}

static void a_producer_that_ended_for_good_is_replaced(void **state)
{
    (void)state;
    replace_what_ended(false);
}

static void so_it_is_with_a_loop_that_serves_the_reports(void **state)
{
    (void)state;
    replace_what_ended(true);
}

struct logged {
    atomic_int refusals, errors;
};

static void count_line(void *opaque, sl_log_level level, const char *text)
{
    struct logged *logged = opaque;
    if (strstr(text, "it needs Write on topics"))
        logged->refusals += level == SL_LOG_WARNING;
    logged->errors += level == SL_LOG_ERROR;
}

static void refuse_producer(struct place *place)
{
    rd_kafka_test_fatal_error(place->broker->producer, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
                              "a test's");
    sl_error error = {0};
    int64_t until = sl_mono_ms() + WAIT_MS;
    while (!atomic_load(&place->broker->fatal) && sl_mono_ms() < until)
        sched_yield();
    while (!gw_broker_may_write(place->broker, &error) && sl_mono_ms() < until)
        sched_yield();
    assert_int_equal(error.status, SL_FORBIDDEN);
    assert_non_null(strstr(error.text, "it needs Write on topics"));
}

/* Kafka gives no id to a producer whose principal may write nowhere; others would get none either. */
static void one_that_may_write_nowhere_is_replaced_after_a_pause(void **state)
{
    (void)state;
    struct place place;
    struct logged logged = {0};
    struct tally tally = TALLY;
    struct sending sending;
    const struct sl_log log = {.callback = count_line, .opaque = &logged, .level = SL_LOG_DEBUG};
    open_logged(&place, "20000", &log);
    gw_broker_attach(place.broker, gw_server_loop(place.server, 0));
    for (int64_t pause_ms = 1000, round = 1; round <= 2; round++, pause_ms *= 2) {
        int64_t refused_ms = sl_mono_ms(), until = refused_ms + WAIT_MS;
        refuse_producer(&place);
        assert_int_equal(send_one(&place, &tally, &sending, 10), SL_UNAVAILABLE);
        while (atomic_load(&place.broker->fatal) && sl_mono_ms() < until)
            sched_yield();
        assert_true(sl_mono_ms() - refused_ms >= pause_ms);
    }
    /* The first message that Kafka takes shows that it may write again. */
    assert_int_equal(send_one(&place, &tally, &sending, 10), SL_OK);
    await(&tally, 1);
    assert_int_equal(tally.written, 1);
    assert_int_equal(gw_broker_may_write(place.broker, NULL), SL_OK);
    assert_int_equal(logged.refusals, 1);
    assert_int_equal(logged.errors, 0);
    close_place(&place);
}

/* What was on its way with the old one may be sent again: the gateway is not being stopped. */
static void writes_of_a_replaced_producer_are_retriable(void **state)
{
    enum { COUNT = 2000 };
    (void)state;
    struct place place;
    struct tally tally = TALLY;
    struct sending *sendings = calloc(COUNT, sizeof *sendings);
    open_place(&place, "20000");
    assert_int_equal(send_one(&place, &tally, &sendings[0], 10), SL_OK);
    await(&tally, 1);
    rd_kafka_mock_broker_set_rtt(place.cluster, 1, 5000);
    for (size_t i = 1; i < COUNT; i++)
        assert_int_equal(send_one(&place, &tally, &sendings[i], 10), SL_OK);
    rd_kafka_test_fatal_error(place.broker->producer, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                              "a test's");
    await(&tally, COUNT);
    for (size_t i = 1; i < COUNT; i++) {
        assert_int_equal(sendings[i].write.status, SL_UNAVAILABLE);
        assert_true(sendings[i].write.retriable);
    }
    rd_kafka_mock_broker_set_rtt(place.cluster, 1, 0);
    close_place(&place);
    free(sendings);
}

/* A topic that went while it was written to: whether its layer is gone, too, the next try hears. */
static void an_unknown_partition_is_retriable(void **state)
{
    (void)state;
    bool retriable = false;
    assert_int_equal(gw_kafka_status(RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, &retriable), SL_UNAVAILABLE);
    assert_true(retriable);
}

static sl_status try_settings(const char *path, const char *value, sl_error *error)
{
    sl_config *config;
    struct gw_broker *broker = NULL;
    assert_int_equal(sl_config_create(&config, error), SL_OK);
    set(config, SL_GATEWAY_ROOT "kafka.brokers", "127.0.0.1:1");
    set(config, path, value);
    sl_status status = gw_broker_open(config, GW_CLUSTER_DEFAULT, NULL, NULL, &broker, error);
    gw_broker_close(&broker, 0);
    sl_config_destroy(&config);
    return status;
}

static void wrong_kafka_settings_are_refused_by_name(void **state)
{
    (void)state;
    sl_error error;
    assert_int_equal(try_settings(SL_GATEWAY_ROOT "kafka.producer.lingr.ms", "1", &error), SL_BAD_CONFIG);
    assert_non_null(strstr(error.text, "lingr.ms"));
    assert_int_equal(try_settings(SL_GATEWAY_ROOT "kafka.consumer.fetch.min.bytes", "x", &error),
                     SL_BAD_CONFIG);
    assert_non_null(strstr(error.text, "fetch.min.bytes"));
    assert_int_equal(try_settings(SL_GATEWAY_ROOT "kafka.producer.acks", "1", &error), SL_BAD_CONFIG);
    assert_non_null(strstr(error.text, "kafka.producer.acks"));
    assert_int_equal(try_settings(SL_GATEWAY_ROOT "kafka.consumer.group.id", "g", &error), SL_BAD_CONFIG);
    assert_int_equal(try_settings(SL_GATEWAY_ROOT "kafka.brokers", "", &error), SL_BAD_CONFIG);
    assert_int_equal(try_settings(SL_GATEWAY_ROOT "kafka.producer.compression.type", "lz4", &error), SL_OK);
}

static void messages_count_until_kafka_has_them(void **state)
{
    (void)state;
    struct place place;
    struct tally tally = TALLY;
    struct sending first, second;
    open_place(&place, "20000");
    size_t rest = gw_budget_max(place.budget) - 1500; /* is taken elsewhere */
    assert_true(gw_budget_take(place.budget, rest));
    rd_kafka_mock_broker_set_rtt(place.cluster, 1, 5000); /* Kafka takes its time */
    assert_int_equal(send_one(&place, &tally, &first, 1000), SL_OK);
    assert_true(gw_budget_used(place.budget) > rest + 1000);
    assert_int_equal(send_one(&place, &tally, &second, 1000), SL_QUEUE_FULL);
    assert_int_equal(second.write.counted, 0);
    rd_kafka_mock_broker_set_rtt(place.cluster, 1, 0);
    await(&tally, 1);
    assert_int_equal(gw_budget_used(place.budget), rest);
    assert_int_equal(send_one(&place, &tally, &second, 1000), SL_OK);
    await(&tally, 2);
    assert_int_equal(gw_budget_used(place.budget), rest);
    /* What the caller has counted already goes over, and is counted once. */
    gw_budget_give(place.budget, rest);
    assert_true(gw_budget_take(place.budget, 5000));
    second = (struct sending){.write = {.done = reported, .counted = 5000}, .tally = &tally};
    struct sl_message message = {.headers = NULL};
    sl_error error;
    sl_message_reset(&message);
    message.partition_id = message.payload = "m";
    message.partition_id_size = message.payload_size = 1;
    assert_int_equal(
        gw_broker_write(place.broker, gw_server_loop(place.server, 0), "t", &message, &second.write, &error),
        SL_OK);
    await(&tally, 3);
    assert_int_equal(gw_budget_used(place.budget), 0);
    close_place(&place);
}

/* Loops run on for a moment when Kafka has been left. */
static void a_write_after_the_end_is_refused(void **state)
{
    (void)state;
    struct place place;
    struct tally tally = TALLY;
    struct sending first, last;
    open_place(&place, "20000");
    assert_int_equal(send_one(&place, &tally, &first, 1), SL_OK);
    gw_broker_finish(place.broker, WAIT_MS);
    assert_int_equal(send_one(&place, &tally, &last, 1), SL_CLOSED);
    await(&tally, 1);
    assert_int_equal(tally.last, SL_OK);
    close_place(&place);
    assert_int_equal(last.reports, 0);
}

CASES_MAIN(cmocka_unit_test(every_write_is_reported_once_on_its_loop),
           cmocka_unit_test(so_it_is_when_a_loop_serves_the_reports),
           cmocka_unit_test(what_may_lie_anywhere_is_spread_over_time),
           cmocka_unit_test(passing_broker_errors_are_retried),
           cmocka_unit_test(what_kafka_never_takes_is_reported_as_failed),
           cmocka_unit_test(closing_reports_what_is_left), cmocka_unit_test(a_message_over_2_mib_is_refused),
           cmocka_unit_test(a_producer_that_ended_for_good_is_replaced),
           cmocka_unit_test(so_it_is_with_a_loop_that_serves_the_reports),
           cmocka_unit_test(one_that_may_write_nowhere_is_replaced_after_a_pause),
           cmocka_unit_test(writes_of_a_replaced_producer_are_retriable),
           cmocka_unit_test(an_unknown_partition_is_retriable),
           cmocka_unit_test(wrong_kafka_settings_are_refused_by_name),
           cmocka_unit_test(messages_count_until_kafka_has_them),
           cmocka_unit_test(a_write_after_the_end_is_refused))
