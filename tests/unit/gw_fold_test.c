/* The fold of the ledger: what is counted, by the log of events alone. The clock is the events'. */
#include "support/cases.h"

#include "gateway/ledger/fold.h"
#include "gateway/ledger/records.h"
#include "gateway/ledger/rows.h"
#include "gateway/store/db.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_MS INT64_C(3600000)
#define NOW     INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */
#define BYTES   100                    /* of each record */
#define FULL    100000                 /* records, for offsets that nothing reaches */

struct fixture {
    sqlite3 *db;
    struct gw_fold *fold;
    struct gw_ledger_event event; /* what they have in common */
    const char *node, *writer;
    int64_t number;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_int_equal(sqlite3_open(":memory:", &fixture->db), SQLITE_OK);
    assert_int_equal(gw_fold_open(fixture->db, false, &fixture->fold, NULL), SL_OK);
    fixture->event = (struct gw_ledger_event){.at_ms = NOW,
                                              .application = "app",
                                              .hrn = "hrn:catalog",
                                              .layer = "layer",
                                              .group = "group",
                                              .topic = "topic-1"};
    fixture->node = "node";
    fixture->writer = "run-1";
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    gw_fold_close(&fixture->fold);
    sqlite3_close(fixture->db);
    free(fixture);
    return 0;
}

static void apply(struct fixture *fixture, struct gw_ledger_event *event)
{
    sl_error error = {.status = SL_OK};
    if (gw_fold_apply(fixture->fold, fixture->node, fixture->writer, event, &error))
        fail_msg("%s", error.text);
}

static int64_t deliver_records(struct fixture *fixture, const struct gw_delivered *records, size_t count)
{
    struct gw_ledger_event event = fixture->event;
    event.kind = GW_LEDGER_DELIVERED;
    event.number = ++fixture->number;
    event.usage.calls_out = 1;
    event.records = records;
    event.count = count;
    apply(fixture, &event);
    return event.number;
}

/* Delivers the offsets from first on, so many. */
static int64_t deliver(struct fixture *fixture, int32_t partition, int64_t first, size_t count)
{
    struct gw_delivered *records = calloc(count, sizeof *records);
    for (size_t i = 0; i < count; i++)
        records[i] = (struct gw_delivered){first + (int64_t)i, partition, BYTES};
    int64_t number = deliver_records(fixture, records, count);
    free(records);
    return number;
}

static void follow(struct fixture *fixture, enum gw_ledger_kind kind, int64_t number)
{
    struct gw_ledger_event event = {.kind = kind, .number = number, .at_ms = fixture->event.at_ms};
    apply(fixture, &event);
}

static void settle(struct fixture *fixture, int64_t number)
{
    follow(fixture, GW_LEDGER_SETTLED, number);
}

static void break_off(struct fixture *fixture, int64_t number)
{
    follow(fixture, GW_LEDGER_BROKEN, number);
}

static void seek(struct fixture *fixture, int32_t partition, int64_t offset)
{
    const struct gw_delivered place = {offset, partition, 0};
    struct gw_ledger_event event = fixture->event;
    event.kind = GW_LEDGER_SOUGHT;
    event.records = &place;
    event.count = 1;
    apply(fixture, &event);
}

static bool append_row(void *opaque, sqlite3_stmt *row)
{
    for (int i = 0; i < sqlite3_column_count(row); i++)
        sl_buffer_printf(opaque, "%s ", gw_db_text(row, i));
    return sl_buffer_append_text(opaque, "\n");
}

static bool append_plan(void *opaque, sqlite3_stmt *row)
{
    sl_buffer_printf(opaque, "%s\n", gw_db_text(row, 3));
    return true;
}

static int64_t ask(const struct fixture *fixture, const char *sql)
{
    int64_t number = -1;
    assert_int_equal(gw_fold_flush(fixture->fold, NULL), SL_OK);
    assert_int_equal(gw_db_run(fixture->db, sql, gw_db_read_number, &number, NULL, NULL, ""), SL_OK);
    return number;
}

static void expect_counted(const struct fixture *fixture, int64_t messages)
{
    assert_int_equal(ask(fixture, "SELECT sum(messages_out) FROM usage"), messages);
    assert_int_equal(ask(fixture, "SELECT sum(bytes_out) FROM usage"), messages * BYTES);
}

static void expect_unconfirmed(const struct fixture *fixture, int64_t deliveries, int64_t messages)
{
    assert_int_equal(ask(fixture, "SELECT count(*) FROM deliveries WHERE state = 1"), deliveries);
    assert_int_equal(ask(fixture, "SELECT total(messages) FROM deliveries WHERE state = 1"), messages);
    assert_int_equal(ask(fixture, "SELECT total(bytes) FROM deliveries WHERE state = 1"), messages * BYTES);
    assert_int_equal(gw_fold_unconfirmed(fixture->fold), deliveries);
}

static void each_record_counts_once(void **state)
{
    struct fixture *fixture = *state;
    settle(fixture, deliver(fixture, 0, 0, 10));
    settle(fixture, deliver(fixture, 1, 0, 10));
    expect_counted(fixture, 20);
    settle(fixture, deliver(fixture, 0, 5, 10)); /* 5 to 9 again */
    expect_counted(fixture, 25);
    settle(fixture, deliver(fixture, 0, 0, 15));
    expect_counted(fixture, 25);
    expect_unconfirmed(fixture, 0, 0);
    assert_int_equal(ask(fixture, "SELECT count(*) FROM deliveries"), 0);
    assert_int_equal(ask(fixture, "SELECT sum(calls_out) FROM usage"), 4);
}

static void partitions_may_be_mixed_in_a_delivery(void **state)
{
    struct fixture *fixture = *state;
    const struct gw_delivered records[] = {{7, 3, BYTES}, {0, 1, BYTES}, {8, 3, BYTES}, {1, 1, BYTES}};
    settle(fixture, deliver_records(fixture, records, 4));
    expect_counted(fixture, 4);
    settle(fixture, deliver_records(fixture, records + 1, 3));
    expect_counted(fixture, 4);
}

static void who_goes_back_has_it_counted_again(void **state)
{
    struct fixture *fixture = *state;
    settle(fixture, deliver(fixture, 0, 0, 100));
    settle(fixture, deliver(fixture, 1, 0, 100));
    seek(fixture, 0, 60);
    settle(fixture, deliver(fixture, 0, 50, 20)); /* 50 to 59 are from before */
    expect_counted(fixture, 210);
    settle(fixture, deliver(fixture, 0, 60, 40));
    expect_counted(fixture, 240);
    settle(fixture, deliver(fixture, 1, 60, 40));
    expect_counted(fixture, 240);
    seek(fixture, 0, 500); /* forward: nothing counts again, and what lies between may come yet */
    settle(fixture, deliver(fixture, 0, 500, 1));
    settle(fixture, deliver(fixture, 0, 100, 1));
    settle(fixture, deliver(fixture, 0, 99, 1));
    expect_counted(fixture, 242);
}

static void accounts_are_apart(void **state)
{
    struct fixture *fixture = *state;
    settle(fixture, deliver(fixture, 0, 0, 10));
    fixture->event.group = "another";
    settle(fixture, deliver(fixture, 0, 0, 10));
    fixture->event.application = "app-2";
    settle(fixture, deliver(fixture, 0, 0, 10));
    fixture->event.topic = "topic-2"; /* the layer was made anew */
    settle(fixture, deliver(fixture, 0, 0, 10));
    expect_counted(fixture, 40);
    assert_int_equal(ask(fixture, "SELECT count(*) FROM usage"), 3);
}

static void what_broke_off_is_listed_until_it_arrives(void **state)
{
    struct fixture *fixture = *state;
    break_off(fixture, deliver(fixture, 0, 0, 10));
    expect_counted(fixture, 10);
    expect_unconfirmed(fixture, 1, 10);
    break_off(fixture, deliver(fixture, 0, 0, 10)); /* has counted nothing, and lists nothing */
    expect_unconfirmed(fixture, 1, 10);
    settle(fixture, deliver(fixture, 0, 0, 4));
    expect_unconfirmed(fixture, 1, 6);
    settle(fixture, deliver(fixture, 0, 8, 4));
    expect_unconfirmed(fixture, 1, 4);
    settle(fixture, deliver(fixture, 0, 4, 4));
    expect_unconfirmed(fixture, 0, 0);
    expect_counted(fixture, 12);
    assert_int_equal(ask(fixture, "SELECT count(*) FROM deliveries"), 0);
}

static void others_do_not_confirm_it(void **state)
{
    struct fixture *fixture = *state;
    break_off(fixture, deliver(fixture, 0, 0, 10));
    settle(fixture, deliver(fixture, 1, 0, 10));
    fixture->event.group = "another";
    settle(fixture, deliver(fixture, 0, 0, 10));
    settle(fixture, deliver(fixture, 0, 0, 10));
    expect_unconfirmed(fixture, 1, 10);
}

static void one_that_is_on_its_way_is_confirmed_too(void **state)
{
    struct fixture *fixture = *state;
    int64_t slow = deliver(fixture, 0, 0, 10);
    settle(fixture, deliver(fixture, 0, 0, 10)); /* by another connection, before the first is known broken */
    break_off(fixture, slow);
    expect_unconfirmed(fixture, 0, 0);
    expect_counted(fixture, 10);
    settle(fixture, slow); /* says nothing any more */
    assert_int_equal(ask(fixture, "SELECT count(*) FROM deliveries"), 0);
}

static void each_time_it_was_asked_for_is_confirmed_by_itself(void **state)
{
    struct fixture *fixture = *state;
    break_off(fixture, deliver(fixture, 0, 0, 10));
    seek(fixture, 0, 0);
    break_off(fixture, deliver(fixture, 0, 0, 5));
    expect_counted(fixture, 15);
    expect_unconfirmed(fixture, 2, 15);
    settle(fixture, deliver(fixture, 0, 0, 5)); /* the second time has arrived; the first is not known */
    expect_counted(fixture, 15);
    expect_unconfirmed(fixture, 1, 10);
}

static void a_restart_breaks_what_is_open(void **state)
{
    struct fixture *fixture = *state;
    deliver(fixture, 0, 0, 10);
    settle(fixture, deliver(fixture, 1, 0, 10));
    fixture->node = "other-node";
    fixture->writer = "other-run";
    deliver(fixture, 2, 0, 10);
    fixture->node = "node";
    fixture->writer = "run-2";
    deliver(fixture, 3, 0, 10);
    follow(fixture, GW_LEDGER_BEGUN, 0);
    expect_unconfirmed(fixture, 1, 10);
    assert_int_equal(ask(fixture, "SELECT count(*) FROM deliveries WHERE state = 0"), 2);
    expect_counted(fixture, 40);
}

static void hours_are_utc_and_never_go_back(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t times[] = {
        INT64_C(1698533999999), /* 2023-10-28T22:59:59.999Z, the night in which Europe's clocks go back */
        INT64_C(1698534000000),
        INT64_C(1698537600000),
        INT64_C(1698541200000),
        INT64_C(1698796799999),               /* 2023-10-31T23:59:59.999Z */
        INT64_C(1698796800000),               /* 2023-11-01T00:00:00Z */
        INT64_C(1698796800000) - 5 * HOUR_MS, /* the clock is set back */
        INT64_C(1698796800000) + HOUR_MS,
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        fixture->event.at_ms = times[i];
        settle(fixture, deliver(fixture, 0, (int64_t)i, 1));
    }
    assert_int_equal(ask(fixture, "SELECT count(*) FROM usage"), 7);
    assert_int_equal(ask(fixture, "SELECT count(DISTINCT hour) FROM usage"), 7);
    assert_int_equal(ask(fixture, "SELECT sum(messages_out) FROM usage WHERE hour = 1698796800 / 3600"), 2);
    assert_int_equal(ask(fixture, "SELECT max(hour) FROM usage"), 1698796800 / 3600 + 1);
    fixture->event.application = "app-2"; /* another one's hours are its own */
    fixture->event.at_ms = times[0];
    settle(fixture, deliver(fixture, 0, 0, 1));
    assert_int_equal(ask(fixture, "SELECT hour FROM usage WHERE application = 'app-2'"), times[0] / HOUR_MS);
}

/* A table that grows is not gone through. */
static void nothing_scans_deliveries(void **state)
{
    sqlite3 *db;
    struct gw_rows rows = {.db = NULL};
    struct sl_buffer plan;
    sl_buffer_init(&plan, 100000);
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(gw_rows_open(db, &rows, NULL), SL_OK);
    (void)state;
    for (size_t i = 0; i < GW_ROWS_STATEMENTS; i++) {
        char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sqlite3_sql(rows.statements[i]));
        assert_int_equal(gw_db_run(db, sql, append_plan, &plan, NULL, NULL, ""), SL_OK);
        sqlite3_free(sql);
    }
    assert_non_null(strstr(plan.data, "SCAN deliveries USING INDEX deliveries_unsettled\n"));
    assert_null(strstr(plan.data, "SCAN deliveries\n"));
    sl_buffer_free(&plan);
    gw_rows_close(&rows);
    sqlite3_close(db);
}

/* So that a month's unconfirmed ones are part of its usage. */
static void what_is_unconfirmed_is_of_the_hour_that_it_is_billed_in(void **state)
{
    struct fixture *fixture = *state;
    settle(fixture, deliver(fixture, 0, 0, 1));
    fixture->event.at_ms -= 2 * HOUR_MS; /* the clock is set back */
    break_off(fixture, deliver(fixture, 0, 1, 1));
    assert_int_equal(ask(fixture, "SELECT count(*) FROM usage"), 1);
    assert_int_equal(
        ask(fixture, "SELECT count(*) FROM deliveries, usage WHERE at_ms / 3600000 = hour AND state = 1"), 1);
}

static void offsets_that_are_left_out_may_come_later(void **state)
{
    struct fixture *fixture = *state;
    settle(fixture, deliver(fixture, 0, 1000, 10));
    settle(fixture,
           deliver(fixture, 0, 0, 10)); /* the group's offsets were set back outside of the gateway */
    expect_counted(fixture, 20);
    settle(fixture, deliver(fixture, 0, 10, 1000));
    expect_counted(fixture, 1010);
    for (int64_t i = 1; i < GW_RANGES_MAX; i++) /* beside the one that is there */
        settle(fixture, deliver(fixture, 0, FULL + 2 * i, 1));
    expect_counted(fixture, 1009 + GW_RANGES_MAX);
    settle(fixture, deliver(fixture, 0, 0, 1010));
    for (int64_t i = 1; i < GW_RANGES_MAX; i++)
        settle(fixture, deliver(fixture, 0, FULL + 2 * i, 1));
    expect_counted(fixture, 1009 + GW_RANGES_MAX);
    settle(fixture, deliver(fixture, 0, FULL + 2, 2 * GW_RANGES_MAX - 2)); /* what lies between is new */
    expect_counted(fixture, 1010 + 2 * GW_RANGES_MAX - 2);
}

/* However often it goes forward, and never back: what it has passed over counts when it is delivered. */
static void what_was_passed_over_is_never_free(void **state)
{
    struct fixture *fixture = *state;
    const int64_t more = 10, places = GW_RANGES_MAX + more;
    for (int64_t i = 0; i < places; i++) {
        seek(fixture, 0, 10 * i);
        settle(fixture, deliver(fixture, 0, 10 * i, 1));
    }
    expect_counted(fixture, places);
    settle(fixture, deliver(fixture, 0, 0, (size_t)(10 * places)));
    expect_counted(fixture, 10 * places + more); /* the lowest were forgotten, and count again */
}

/* Marks of transactions, where deliveries begin or end, are not what was passed over. */
static void where_nothing_is_makes_no_ranges(void **state)
{
    struct fixture *fixture = *state;
    for (int64_t i = 0; i < 2 * GW_RANGES_MAX; i++) {
        const struct gw_delivered record = {2 * i + 1, 0, BYTES};
        const struct gw_gap gap = {2 * i, 2 * i + 1, 0};
        struct gw_ledger_event event = fixture->event;
        event.kind = GW_LEDGER_DELIVERED;
        event.number = ++fixture->number;
        event.records = &record;
        event.gaps = &gap;
        event.count = event.gap_count = 1;
        apply(fixture, &event);
        settle(fixture, event.number);
    }
    expect_counted(fixture, 2 * GW_RANGES_MAX);
    assert_true(ask(fixture, "SELECT length(ranges) FROM reached") < 10); /* one */
    settle(fixture, deliver(fixture, 0, 0, 4 * GW_RANGES_MAX));
    expect_counted(fixture, 2 * GW_RANGES_MAX);
}

static void blobs_count_each_time(void **state)
{
    struct fixture *fixture = *state;
    struct gw_ledger_event event = fixture->event;
    event.kind = GW_LEDGER_DELIVERED;
    event.usage = (struct gw_usage){.calls_out = 1, .blob_bytes_out = 5000};
    for (event.number = 1; event.number <= 3; event.number++)
        apply(fixture, &event);
    settle(fixture, 1);
    break_off(fixture, 2);
    assert_int_equal(ask(fixture, "SELECT sum(blob_bytes_out) FROM usage"), 15000);
    assert_int_equal(ask(fixture, "SELECT sum(blob_bytes) FROM deliveries WHERE state = 1"), 5000);
    assert_int_equal(event.billed, 5000);
}

static void use_is_added_up(void **state)
{
    struct fixture *fixture = *state;
    struct gw_ledger_event event = fixture->event;
    event.kind = GW_LEDGER_USED;
    event.usage = (struct gw_usage){1, 2, 3, 4, 5, 6, 7, 8};
    apply(fixture, &event);
    apply(fixture, &event);
    assert_int_equal(ask(fixture, "SELECT calls_in + 10 * calls_out + 100 * messages_in + 1000 * messages_out"
                                  " FROM usage"),
                     8642);
    assert_int_equal(ask(fixture, "SELECT bytes_in + 100 * bytes_out + 10000 * blob_bytes_in"
                                  " + 1000000 * blob_bytes_out FROM usage"),
                     16141210);
}

static void expect_damage(struct fixture *fixture, const char *sql)
{
    sl_error error;
    assert_int_equal(gw_fold_check(fixture->db, &error), SL_OK);
    assert_int_equal(sqlite3_exec(fixture->db, "SAVEPOINT before", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(fixture->db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(gw_fold_check(fixture->db, &error), SL_CHECKSUM_MISMATCH);
    struct gw_delivered record = {20, 0, BYTES};
    struct gw_ledger_event event = fixture->event;
    event.kind = GW_LEDGER_DELIVERED;
    event.number = ++fixture->number;
    event.records = &record;
    event.count = 1;
    if (!strstr(sql, "deliveries") && !strstr(sql, "meta") && !strstr(sql, "SET layer") &&
        !strstr(sql, "SET application")) { /* else it meets no such row */
        sl_status status = gw_fold_apply(fixture->fold, "node", "run-1", &event, &error);
        assert_int_equal(status ? status : gw_fold_flush(fixture->fold, &error), SL_CHECKSUM_MISMATCH);
    }
    gw_fold_roll_back(fixture->fold, 0);
    assert_int_equal(sqlite3_exec(fixture->db, "ROLLBACK TO before; RELEASE before", NULL, NULL, NULL),
                     SQLITE_OK);
}

static void a_changed_row_is_found_and_left_alone(void **state)
{
    struct fixture *fixture = *state;
    deliver(fixture, 0, 0, 10);
    assert_int_equal(gw_fold_flush(fixture->fold, NULL), SL_OK);
    expect_damage(fixture, "UPDATE usage SET bytes_out = bytes_out - 1");
    expect_damage(fixture, "UPDATE usage SET layer = 'layes'");
    expect_damage(fixture, "UPDATE usage SET checksum = checksum + 1");
    expect_damage(fixture, "UPDATE reached SET ranges = x'0009'");
    expect_damage(fixture, "UPDATE deliveries SET messages = 9");
    expect_damage(fixture, "UPDATE deliveries SET records = x''");
    expect_damage(fixture, "UPDATE deliveries SET state = 1");
    expect_damage(fixture, "UPDATE deliveries SET state = 2");
    expect_damage(fixture, "UPDATE clocks SET hour = hour + 1");
    expect_damage(fixture, "UPDATE clocks SET application = 'aqp'");
    assert_int_equal(sqlite3_exec(fixture->db, "INSERT INTO meta VALUES ('a', 'b', row_checksum('a', 'b'))",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    expect_damage(fixture, "UPDATE meta SET value = 'c'");
    expect_damage(fixture, "UPDATE meta SET name = 'c'");
    expect_damage(fixture, "UPDATE meta SET checksum = NULL");
    expect_damage(fixture, "UPDATE meta SET value = 'begin'");
}

/* What a fold has of a random life of some consumers, as one text. */
static void live(unsigned seed, unsigned flush_each, struct sl_buffer *text)
{
    static const char *const tables[] = {
        "* FROM usage", "* FROM reached", "* FROM clocks",
        "writer, number, state, messages, bytes, again, hex(records) FROM deliveries"
        " ORDER BY id"};
    static const char *const groups[] = {"a", "b"};
    struct fixture *fixture;
    int64_t open[16], number;
    size_t count = 0;
    assert_int_equal(setup((void **)&fixture), 0);
    for (unsigned i = 0; i < 600; i++) {
        unsigned choice = (unsigned)rand_r(&seed), at = (unsigned)rand_r(&seed),
                 more = (unsigned)rand_r(&seed);
        fixture->event.group = groups[at / 4 % 2];
        fixture->event.at_ms = NOW + (int64_t)(i * HOUR_MS / 100);
        if (choice % 8 < 4) {
            number = deliver(fixture, (int32_t)(at % 3), more % 200, 1 + choice / 8 % 30);
            if (count < sizeof open / sizeof *open)
                open[count++] = number;
        } else if (choice % 8 < 7 && count) {
            follow(fixture, choice % 8 == 4 ? GW_LEDGER_BROKEN : GW_LEDGER_SETTLED, open[at % count]);
            open[at % count] = open[count - 1];
            count--;
        } else if (more % 10) {
            seek(fixture, (int32_t)(at % 3), more % 200);
        } else {
            fixture->writer = i % 2 ? "run-2" : "run-1";
            follow(fixture, GW_LEDGER_BEGUN, 0);
        }
        if (flush_each && i % flush_each == 0)
            assert_int_equal(gw_fold_flush(fixture->fold, NULL), SL_OK);
    }
    assert_int_equal(gw_fold_flush(fixture->fold, NULL), SL_OK);
    sl_buffer_printf(text, "%d unconfirmed\n", (int)gw_fold_unconfirmed(fixture->fold));
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char sql[200];
        snprintf(sql, sizeof sql, "SELECT %s", tables[i]);
        assert_int_equal(gw_db_run(fixture->db, sql, append_row, text, NULL, NULL, ""), SL_OK);
    }
    teardown((void **)&fixture);
}

static void transactions_of_any_size_come_to_the_same(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct sl_buffer single, some, all;
        sl_buffer_init(&single, 1 << 24);
        sl_buffer_init(&some, 1 << 24);
        sl_buffer_init(&all, 1 << 24);
        live(seed, 1, &single);
        live(seed, 7, &some);
        live(seed, 0, &all);
        assert_true(single.size > 100);
        assert_string_equal(some.data, single.data);
        assert_string_equal(all.data, single.data);
        sl_buffer_free(&single);
        sl_buffer_free(&some);
        sl_buffer_free(&all);
    }
}

static void settled_ones_are_kept_where_that_is_asked(void **state)
{
    struct fixture *fixture = *state;
    gw_fold_close(&fixture->fold);
    assert_int_equal(gw_fold_open(fixture->db, true, &fixture->fold, NULL), SL_OK);
    settle(fixture, deliver(fixture, 0, 0, 10));
    break_off(fixture, deliver(fixture, 0, 10, 10));
    settle(fixture, deliver(fixture, 0, 10, 10));
    assert_int_equal(ask(fixture, "SELECT count(*) FROM deliveries WHERE state = 2"), 3);
    expect_unconfirmed(fixture, 0, 0);
    assert_int_equal(gw_fold_forget(fixture->fold, NOW + 1, NULL), SL_OK);
    assert_int_equal(ask(fixture, "SELECT count(*) FROM deliveries"), 0);
}

static void records_are_read_as_they_were_written(void **state)
{
    struct gw_record_list list = {.count = 0}, read = {.count = 0};
    struct sl_buffer bytes;
    (void)state;
    sl_buffer_init(&bytes, SIZE_MAX / 2);
    assert_true(gw_records_reserve(&list, 300));
    for (size_t i = 0; i < 300; i++) {
        list.records[list.count] = (struct gw_delivered){INT64_C(5000000000) + (int64_t)(i < 100 ? i : 2 * i),
                                                         (int32_t)(i / 90), (uint32_t)(i * i * 1000)};
        list.marks[list.count++] = i % 50 < 25 ? GW_RECORD_COUNTED : 0;
    }
    assert_true(gw_records_encode(&bytes, &list));
    assert_int_equal(gw_records_decode(bytes.data, bytes.size, &read), SL_OK);
    assert_int_equal(read.count, list.count);
    assert_memory_equal(read.records, list.records, list.count * sizeof *list.records);
    assert_memory_equal(read.marks, list.marks, list.count);
    for (size_t size = 0; size < bytes.size; size++) /* cut off anywhere: less, or nothing */
        if (!gw_records_decode(bytes.data, size, &read))
            assert_true(read.count < list.count);
    assert_int_equal(gw_records_decode("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11, &read),
                     SL_PROTOCOL);
    gw_records_free(&list);
    gw_records_free(&read);
    sl_buffer_free(&bytes);
}

CASES_MAIN(cmocka_unit_test_setup_teardown(each_record_counts_once, setup, teardown),
           cmocka_unit_test_setup_teardown(partitions_may_be_mixed_in_a_delivery, setup, teardown),
           cmocka_unit_test_setup_teardown(who_goes_back_has_it_counted_again, setup, teardown),
           cmocka_unit_test_setup_teardown(accounts_are_apart, setup, teardown),
           cmocka_unit_test_setup_teardown(what_broke_off_is_listed_until_it_arrives, setup, teardown),
           cmocka_unit_test_setup_teardown(others_do_not_confirm_it, setup, teardown),
           cmocka_unit_test_setup_teardown(one_that_is_on_its_way_is_confirmed_too, setup, teardown),
           cmocka_unit_test_setup_teardown(each_time_it_was_asked_for_is_confirmed_by_itself, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(a_restart_breaks_what_is_open, setup, teardown),
           cmocka_unit_test(nothing_scans_deliveries),
           cmocka_unit_test_setup_teardown(hours_are_utc_and_never_go_back, setup, teardown),
           cmocka_unit_test_setup_teardown(what_is_unconfirmed_is_of_the_hour_that_it_is_billed_in, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(offsets_that_are_left_out_may_come_later, setup, teardown),
           cmocka_unit_test_setup_teardown(what_was_passed_over_is_never_free, setup, teardown),
           cmocka_unit_test_setup_teardown(where_nothing_is_makes_no_ranges, setup, teardown),
           cmocka_unit_test_setup_teardown(blobs_count_each_time, setup, teardown),
           cmocka_unit_test_setup_teardown(use_is_added_up, setup, teardown),
           cmocka_unit_test_setup_teardown(a_changed_row_is_found_and_left_alone, setup, teardown),
           cmocka_unit_test_setup_teardown(settled_ones_are_kept_where_that_is_asked, setup, teardown),
           cmocka_unit_test(transactions_of_any_size_come_to_the_same),
           cmocka_unit_test(records_are_read_as_they_were_written))
