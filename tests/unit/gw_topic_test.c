/* The ledger whose log is a topic, on librdkafka's mock cluster: what Kafka, or ledger.db, cannot take for a
 * while is counted once all the same, in its order. */
#include "support/cases.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "config/settings.h"
#include "gateway/broker/broker.h"
#include "gateway/broker/brokers.h"
#include "gateway/ledger/internal.h"
#include "gateway/ledger/rows.h"
#include "gw_ledger_events.h"
#include "gw_scratch.h"

#include <librdkafka/rdkafka_mock.h> /* needs rdkafka.h before it */

#define PRODUCE    0 /* Kafka's number of the request */
#define PARTITIONS 2
#define BROKER     1
#define LATE_MS    2500 /* an answer that nobody waits for any more: limits.kafka-wait is less */

static atomic_bool topic_is_denied;
static atomic_uint asked_for_topic;

/* The mock knows no DescribeConfigs. */
sl_status __wrap_gw_broker_topic_facts(struct gw_broker *broker, const char *topic, int64_t until_ms,
                                       struct gw_topic_facts *facts, sl_error *error);
sl_status __wrap_gw_broker_topic_facts(struct gw_broker *broker, const char *topic, int64_t until_ms,
                                       struct gw_topic_facts *facts, sl_error *error)
{
    (void)broker, (void)until_ms;
    atomic_fetch_add(&asked_for_topic, 1);
    if (atomic_load(&topic_is_denied))
        return sl_error_set(error, SL_KAFKA, "the topic %s cannot be had", topic);
    *facts = (struct gw_topic_facts){.partitions = PARTITIONS, .retention_ms = -1};
    return SL_OK;
}

struct fixture {
    char directory[SCRATCH_SIZE];
    rd_kafka_t *owner;
    rd_kafka_mock_cluster_t *cluster;
    sl_config *config;
    struct gw_broker *broker;
    struct gw_ledger *ledger;
    atomic_uint denials;
};

static void set(sl_config *config, const char *path, const char *value)
{
    sl_error error;
    if (sl_config_set(config, path, value, &error))
        fail_msg("%s", error.text);
}

/* What the log says of the topic that cannot be had. */
static void count_denial(void *opaque, sl_log_level level, const char *text)
{
    struct fixture *fixture = opaque;
    if (level == SL_LOG_ERROR && strstr(text, "the topic ledger cannot be had"))
        atomic_fetch_add(&fixture->denials, 1);
}

static void open_ledger(struct fixture *fixture)
{
    const struct gw_ledger_settings settings = {.kafka = true};
    const struct sl_log log = {.callback = count_denial, .opaque = fixture, .level = SL_LOG_ERROR};
    sl_error error;
    if (gw_ledger_open(fixture->directory, &settings, &log, &fixture->ledger, &error) ||
        gw_ledger_connect(fixture->ledger, fixture->broker, "ledger", PARTITIONS, &error))
        fail_msg("%s", error.text);
}

static int setup(void **state)
{
    struct fixture *fixture = *state = calloc(1, sizeof *fixture);
    char text[512];
    sl_error error;
    scratch_make(fixture->directory, "topic");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    fixture->owner = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    fixture->cluster = rd_kafka_mock_cluster_new(fixture->owner, 1);
    assert_non_null(fixture->cluster);
    rd_kafka_mock_topic_create(fixture->cluster, "ledger", PARTITIONS, 1);
    assert_int_equal(sl_config_create(&fixture->config, &error), SL_OK);
    set(fixture->config, SL_GATEWAY_ROOT "kafka.brokers", rd_kafka_mock_cluster_bootstraps(fixture->cluster));
    set(fixture->config, SL_GATEWAY_ROOT "limits.kafka-wait", "1 s");
    /* The mock takes what is behind a refused request, which a broker refuses too: it has a gap before it. */
    set(fixture->config, SL_GATEWAY_ROOT "kafka.producer.\"max.in.flight\"", "1");
    if (gw_broker_open(fixture->config, GW_CLUSTER_DEFAULT, NULL, NULL, &fixture->broker, &error))
        fail_msg("%s", error.text);
    open_ledger(fixture);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    gw_ledger_close(&fixture->ledger);
    gw_broker_close(&fixture->broker, 0);
    sl_config_destroy(&fixture->config);
    rd_kafka_mock_cluster_destroy(fixture->cluster);
    rd_kafka_destroy(fixture->owner);
    scratch_remove(fixture->directory);
    free(fixture);
    return 0;
}

static void wait_available(struct fixture *fixture, bool available)
{
    char why[GW_LEDGER_WHY];
    while (gw_ledger_available(fixture->ledger, why) != available)
        sched_yield();
}

/* --- Writing --- */

struct submission {
    struct gw_ledger_entry entry; /* first */
    sem_t done;
};

static void done(struct gw_ledger_entry *entry)
{
    sem_post(&((struct submission *)(void *)entry)->done);
}

static void submit(struct fixture *fixture, struct submission *submission, struct gw_ledger_event *event,
                   bool lazy)
{
    *submission = (struct submission){
        .entry = {.events = event, .count = 1, .application = "app", .done = done, .lazy = lazy}};
    assert_int_equal(sem_init(&submission->done, 0, 0), 0);
    gw_ledger_submit(fixture->ledger, &submission->entry);
}

static sl_status wait_done(struct submission *submission)
{
    sem_wait(&submission->done);
    sem_destroy(&submission->done);
    return submission->entry.status;
}

static sl_status write_event(struct fixture *fixture, struct gw_ledger_event *event, bool lazy)
{
    struct submission submission;
    submit(fixture, &submission, event, lazy);
    return wait_done(&submission);
}

/* As a client would: again until it is counted. */
static void write_surely(struct fixture *fixture, struct gw_ledger_event *event)
{
    do {
        wait_available(fixture, true);
        event->sequence = 0; /* it is another event each time */
    } while (write_event(fixture, event, false));
}

static int64_t deliver(struct fixture *fixture)
{
    static const struct gw_delivered records[] = {{0, 0, 100}, {1, 0, 100}, {2, 0, 100}};
    struct gw_ledger_event event = event_of(GW_LEDGER_DELIVERED);
    event.records = records;
    event.count = 3;
    write_surely(fixture, &event);
    return event.number;
}

/* --- Reading --- */

struct sums {
    struct gw_usage usage;
    int64_t listed, open;
};

static bool add_line(void *opaque, const struct gw_usage_line *line)
{
    gw_usage_add(&((struct sums *)opaque)->usage, &line->usage);
    return true;
}

static bool add_delivery(void *opaque, const struct gw_unconfirmed *delivery)
{
    struct sums *sums = opaque;
    sums->listed++;
    sums->open += delivery->open;
    return true;
}

static struct sums read_all(struct fixture *fixture)
{
    struct sums sums = {.listed = 0};
    const struct gw_usage_filter filter = {.to_hour = INT64_MAX};
    assert_int_equal(gw_ledger_read_usage(fixture->ledger, &filter, NULL, add_line, &sums, NULL), SL_OK);
    assert_int_equal(gw_ledger_read_unconfirmed(fixture->ledger, &filter, 0, add_delivery, &sums, NULL),
                     SL_OK);
    return sums;
}

/* The so manieth. Once it is in ledger.db, so is all that was written before it. */
static void write_sign(struct fixture *fixture, int64_t signs)
{
    struct gw_ledger_event event = event_of(GW_LEDGER_USED);
    event.usage.blob_bytes_in = 1;
    write_surely(fixture, &event);
    while (read_all(fixture).usage.blob_bytes_in < signs)
        sched_yield();
    assert_int_equal(read_all(fixture).usage.blob_bytes_in, signs);
}

static int64_t volume(struct fixture *fixture)
{
    struct gw_volumes volumes;
    gw_ledger_volumes(fixture->ledger, "app", "hrn:catalog", &volumes);
    return volumes.all;
}

static void change(struct fixture *fixture, const char *sql)
{
    char name[SCRATCH_SIZE + 20];
    sqlite3 *db;
    snprintf(name, sizeof name, "%s/ledger.db", fixture->directory);
    assert_int_equal(sqlite3_open(name, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    assert_int_equal(gw_rows_add_checksum(db, NULL), SL_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL))
        fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* --- Cases --- */

/* Kafka will have what is written next, and be late to say so. */
static void be_late(struct fixture *fixture)
{
    wait_available(fixture, true);
    rd_kafka_mock_broker_push_request_error_rtts(fixture->cluster, BROKER, PRODUCE, (size_t)1,
                                                 RD_KAFKA_RESP_ERR_NO_ERROR, LATE_MS);
}

/* Kafka has the event, and its answer is late: it is written again. */
static void what_is_written_twice_counts_once(void **state)
{
    struct fixture *fixture = *state;
    struct gw_ledger_event event = event_of(GW_LEDGER_USED);
    event.usage.messages_in = 5;
    be_late(fixture);
    assert_int_equal(write_event(fixture, &event, true), SL_OK);
    write_sign(fixture, 1);
    assert_int_equal(read_all(fixture).usage.messages_in, 5);
}

/* So many records of which none goes on with a run: their event is large. The caller's. */
static struct gw_delivered *scattered(size_t count)
{
    struct gw_delivered *records = calloc(count, sizeof *records);
    assert_non_null(records);
    for (size_t i = 0; i < count; i++)
        records[i] = (struct gw_delivered){INT64_C(2000000000) + (int64_t)(2 * i), 0, 83};
    return records;
}

/* One that is too large for Kafka is refused by itself, or given up, and those behind it are written. */
static void what_is_too_large_closes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct gw_ledger_event event = event_of(GW_LEDGER_DELIVERED);
    size_t count = 200000;
    struct gw_delivered *records = scattered(count);
    event.records = records;
    event.count = count;
    wait_available(fixture, true);
    for (int lazy = 0; lazy < 2; lazy++) {
        event.sequence = 0;
        assert_int_equal(write_event(fixture, &event, lazy), SL_INVALID_ARGUMENT);
        write_sign(fixture, lazy + 1);
    }
    struct gw_ledger_event used = event_of(GW_LEDGER_USED); /* behind it, and sent with it */
    struct submission large, behind;
    used.usage.messages_in = 5;
    event.sequence = 0;
    submit(fixture, &large, &event, true);
    submit(fixture, &behind, &used, true);
    write_sign(fixture, 3);
    assert_int_equal(wait_done(&large), SL_INVALID_ARGUMENT);
    assert_int_equal(wait_done(&behind), SL_OK);
    assert_int_equal(read_all(fixture).usage.messages_in, 5);
    free(records);
}

/* So it is where the broker says so, since the topic's own limit is lower. */
static void what_the_broker_finds_too_large_takes_nothing_along(void **state)
{
    struct fixture *fixture = *state;
    struct gw_ledger_event event = event_of(GW_LEDGER_DELIVERED), used = event_of(GW_LEDGER_USED);
    struct submission large, behind;
    size_t count = 20000; /* too much to share a batch */
    struct gw_delivered *records = scattered(count);
    event.records = records;
    event.count = count;
    used.usage.messages_in = 5;
    wait_available(fixture, true);
    rd_kafka_mock_push_request_errors(fixture->cluster, PRODUCE, (size_t)1,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    submit(fixture, &large, &event, true);
    submit(fixture, &behind, &used, true);
    assert_int_equal(wait_done(&large), SL_INVALID_ARGUMENT);
    assert_int_equal(wait_done(&behind), SL_OK);
    free(records);
    write_sign(fixture, 1);
    assert_int_equal(read_all(fixture).usage.messages_in, 5);
    /* One that is small has been refused with others': whose fault it is nobody knows. */
    rd_kafka_mock_push_request_errors(fixture->cluster, PRODUCE, (size_t)1,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    used.sequence = 0;
    assert_int_equal(write_event(fixture, &used, true), SL_OK);
    write_sign(fixture, 2);
    assert_int_equal(read_all(fixture).usage.messages_in, 10);
}

/* So does one that its writer was told that it had failed, and who writes it again. */
static void what_was_refused_and_is_written_again_counts_once(void **state)
{
    struct fixture *fixture = *state;
    struct gw_ledger_event event = event_of(GW_LEDGER_USED);
    event.usage.messages_in = 5;
    be_late(fixture);
    assert_int_equal(write_event(fixture, &event, false), SL_UNAVAILABLE);
    assert_int_equal(write_event(fixture, &event, true), SL_OK);
    write_sign(fixture, 1);
    assert_int_equal(read_all(fixture).usage.messages_in, 5);
}

/* A group that was told that it does not go back may have gone back for the ledger (docs/marketplace.md):
 * that is written before the group is moved, and cannot be taken back. Never is it counted twice by itself.
 */
static void a_refused_reset_may_count_again_what_comes_again(void **state)
{
    struct fixture *fixture = *state;
    const struct gw_delivered second = {1, 0, 0};
    struct gw_ledger_event sought = event_of(GW_LEDGER_SOUGHT);
    sought.records = &second;
    sought.count = 1;
    deliver(fixture);
    be_late(fixture);
    assert_int_equal(write_event(fixture, &sought, false), SL_UNAVAILABLE);
    write_sign(fixture, 1);
    assert_int_equal(read_all(fixture).usage.messages_out, 3);
    deliver(fixture);
    write_sign(fixture, 2);
    assert_int_equal(read_all(fixture).usage.messages_out, 5);
}

/* A group goes back, which cannot be written at once, and is given the same records again. */
static void nothing_overtakes_what_was_kept(void **state)
{
    struct fixture *fixture = *state;
    const struct gw_delivered begin = {0, 0, 0};
    struct gw_ledger_event sought = event_of(GW_LEDGER_SOUGHT);
    struct submission submission;
    sought.records = &begin;
    sought.count = 1;
    deliver(fixture);
    write_sign(fixture, 1);
    rd_kafka_mock_push_request_errors(fixture->cluster, PRODUCE, (size_t)1,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    submit(fixture, &submission, &sought, true);
    deliver(fixture);
    assert_int_equal(wait_done(&submission), SL_OK);
    write_sign(fixture, 2);
    assert_int_equal(read_all(fixture).usage.messages_out, 6);
}

/* What a run has left open is not known to have arrived, also when that cannot be written at once. */
static void what_was_open_is_broken_in_the_end(void **state)
{
    struct fixture *fixture = *state;
    deliver(fixture);
    write_sign(fixture, 1);
    assert_int_equal(read_all(fixture).open, 1);
    gw_ledger_close(&fixture->ledger);
    rd_kafka_mock_push_request_errors(fixture->cluster, PRODUCE, (size_t)2,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    open_ledger(fixture);
    write_sign(fixture, 2);
    struct sums sums = read_all(fixture);
    assert_int_equal(sums.listed, 1);
    assert_int_equal(sums.open, 0);
}

/* ledger.db takes nothing for a while, and where it is read on is not known either. */
static void what_is_rolled_back_is_read_again(void **state)
{
    struct fixture *fixture = *state;
    write_sign(fixture, 1);
    change(fixture, "ALTER TABLE meta RENAME TO away");
    deliver(fixture);
    wait_available(fixture, false);
    assert_int_equal(volume(fixture), 0);
    const struct gw_usage_filter filter = {.to_hour = INT64_MAX};
    struct sums sums; /* they would be too low */
    assert_int_equal(gw_ledger_read_usage(fixture->ledger, &filter, NULL, add_line, &sums, NULL),
                     SL_UNAVAILABLE);
    change(fixture, "ALTER TABLE away RENAME TO meta");
    wait_available(fixture, true);
    write_sign(fixture, 2);
    assert_int_equal(read_all(fixture).usage.messages_out, 3);
    assert_int_equal(volume(fixture), 300);
}

static void a_topic_that_has_lost_events_is_told(void **state)
{
    struct fixture *fixture = *state;
    char why[GW_LEDGER_WHY] = "";
    deliver(fixture);
    write_sign(fixture, 1);
    gw_ledger_close(&fixture->ledger);
    change(
        fixture,
        "UPDATE meta SET value = 1000, checksum = row_checksum(name, '1000') WHERE name LIKE 'offset of %'");
    open_ledger(fixture);
    do
        assert_false(gw_ledger_available(fixture->ledger, why));
    while (!strstr(why, "has no offset 1000"));
    gw_ledger_close(&fixture->ledger);
    change(fixture, "UPDATE meta SET value = 'begin', checksum = NULL WHERE name LIKE 'offset of %'");
    open_ledger(fixture);
    write_sign(fixture, 2);
    assert_int_equal(read_all(fixture).usage.messages_out, 3);
}

/* Also where it has never been had, and once however often it is tried. */
static void a_topic_that_cannot_be_had_is_told_once(void **state)
{
    struct fixture *fixture = *state;
    char why[GW_LEDGER_WHY] = "";
    gw_ledger_close(&fixture->ledger);
    atomic_store(&topic_is_denied, true);
    atomic_store(&asked_for_topic, 0);
    open_ledger(fixture);
    while (atomic_load(&asked_for_topic) < 3)
        sched_yield();
    assert_int_equal(atomic_load(&fixture->denials), 1);
    assert_false(gw_ledger_available(fixture->ledger, why));
    assert_string_equal(why, "the topic ledger cannot be had");
    atomic_store(&topic_is_denied, false);
    write_sign(fixture, 1);
}

CASES_MAIN(cmocka_unit_test_setup_teardown(what_is_written_twice_counts_once, setup, teardown),
           cmocka_unit_test_setup_teardown(what_is_too_large_closes_nothing, setup, teardown),
           cmocka_unit_test_setup_teardown(what_the_broker_finds_too_large_takes_nothing_along, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(what_was_refused_and_is_written_again_counts_once, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(a_refused_reset_may_count_again_what_comes_again, setup, teardown),
           cmocka_unit_test_setup_teardown(nothing_overtakes_what_was_kept, setup, teardown),
           cmocka_unit_test_setup_teardown(what_was_open_is_broken_in_the_end, setup, teardown),
           cmocka_unit_test_setup_teardown(what_is_rolled_back_is_read_again, setup, teardown),
           cmocka_unit_test_setup_teardown(a_topic_that_has_lost_events_is_told, setup, teardown),
           cmocka_unit_test_setup_teardown(a_topic_that_cannot_be_had_is_told_once, setup, teardown))
