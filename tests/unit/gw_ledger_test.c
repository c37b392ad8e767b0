/* The ledger as its users see it: what is written is there, also after a restart; events as the topic has
 * them. */
#include "support/cases.h"

#include "gateway/ledger/internal.h"
#include "gateway/ledger/packed.h"
#include "gateway/ledger/rows.h"
#include "gateway/store/db.h"
#include "gw_ledger_events.h"

#include <dirent.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct fixture {
    char directory[64];
    struct gw_ledger *ledger;
    sem_t written;
};

static void open_ledger(struct fixture *fixture, int64_t max_bytes)
{
    const struct sl_log log = {.callback = NULL};
    const struct gw_ledger_settings settings = {.max_bytes = max_bytes};
    sl_error error;
    assert_int_equal(gw_ledger_open(fixture->directory, &settings, &log, &fixture->ledger, &error), SL_OK);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->directory, "/tmp/gw-ledger-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    assert_int_equal(sem_init(&fixture->written, 0, 0), 0);
    open_ledger(fixture, 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    gw_ledger_close(&fixture->ledger);
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", fixture->directory);
    assert_int_equal(system(command), 0);
    sem_destroy(&fixture->written);
    free(fixture);
    return 0;
}

struct submission {
    struct gw_ledger_entry entry; /* first */
    struct fixture *fixture;
    sl_status status;
};

static void done(struct gw_ledger_entry *entry)
{
    struct submission *submission = (struct submission *)(void *)entry;
    submission->status = entry->status;
    sem_post(&submission->fixture->written);
}

static sl_status submit(struct fixture *fixture, struct gw_ledger_event *events, size_t count)
{
    struct submission submission = {
        .entry = {.events = events, .count = count, .application = "app", .done = done}, .fixture = fixture};
    gw_ledger_submit(fixture->ledger, &submission.entry);
    sem_wait(&fixture->written);
    return submission.status;
}

struct sums {
    size_t lines;
    struct gw_usage usage;
    int64_t listed, records;
};

static bool add_line(void *opaque, const struct gw_usage_line *line)
{
    struct sums *sums = opaque;
    assert_string_equal(line->application, "app");
    assert_string_equal(line->group, "group");
    sums->lines++;
    sums->usage = line->usage;
    return true;
}

static bool add_delivery(void *opaque, const struct gw_unconfirmed *delivery)
{
    struct sums *sums = opaque;
    sums->listed++;
    sums->records += (int64_t)delivery->count;
    assert_int_equal(delivery->messages, (int64_t)delivery->count);
    return true;
}

static struct sums read_all(struct fixture *fixture)
{
    struct sums sums = {.lines = 0};
    const struct gw_usage_filter filter = {.application = "app", .to_hour = INT64_MAX};
    assert_int_equal(gw_ledger_read_usage(fixture->ledger, &filter, NULL, add_line, &sums, NULL), SL_OK);
    assert_int_equal(gw_ledger_read_unconfirmed(fixture->ledger, &filter, 0, add_delivery, &sums, NULL),
                     SL_OK);
    return sums;
}

static int64_t deliver(struct fixture *fixture, int64_t first)
{
    const struct gw_delivered records[] = {{first, 0, 100}, {first + 1, 0, 100}, {first + 2, 0, 100}};
    struct gw_ledger_event event = event_of(GW_LEDGER_DELIVERED);
    event.records = records;
    event.count = 3;
    assert_int_equal(submit(fixture, &event, 1), SL_OK);
    return event.number;
}

/* Runs of several lengths, some of which take another byte than the one before. */
static size_t gather(struct gw_packed *packed, struct gw_delivered *records)
{
    static const size_t lengths[] = {1, 127, 128, 1, 16384, 300};
    size_t count = 0;
    gw_packed_init(packed);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t k = 0; k < lengths[i]; k++) {
            records[count] = (struct gw_delivered){(int64_t)(i * 100000 + k), (int32_t)(i % 3),
                                                   (uint32_t)(k % 7 ? k : UINT32_MAX - k)};
            assert_true(gw_packed_reserve(packed));
            gw_packed_add(packed, records[count].partition, records[count].offset, records[count].bytes);
            count++;
        }
    gw_packed_end(packed);
    return count;
}
#define GATHERED 16941

static void what_was_packed_is_read_as_it_was_gathered(void **state)
{
    struct gw_delivered *records = calloc(GATHERED, sizeof *records);
    struct gw_frame_events events = {.at = NULL};
    struct gw_ledger_event event = event_of(GW_LEDGER_DELIVERED), read;
    struct gw_packed packed;
    struct gw_frame frame;
    struct sl_buffer bytes;
    int64_t sum = 0;
    (void)state;
    event.packed = &packed;
    event.count = gather(&packed, records);
    assert_int_equal(event.count, GATHERED);
    for (size_t i = 0; i < GATHERED; i++)
        sum += records[i].bytes;
    assert_int_equal(gw_ledger_claim(&event), sum);
    struct gw_delivered *opened = gw_packed_open(&packed);
    assert_memory_equal(opened, records, GATHERED * sizeof *records);
    sl_buffer_init(&bytes, GW_FRAME_MAX);
    assert_true(gw_frame_begin(&bytes) && gw_frame_add(&bytes, &event));
    gw_frame_end(&bytes, "0123456789abcdef", "fedcba9876543210", 1, 0, 1);
    assert_true(gw_frame_read(bytes.data, bytes.size, &frame));
    gw_frame_events(&events, bytes.data, &frame);
    assert_int_equal(gw_frame_next(&events, &read, NULL), SL_OK);
    assert_int_equal(read.count, GATHERED);
    assert_memory_equal(read.records, records, GATHERED * sizeof *records);
    assert_int_equal(gw_frame_next(&events, &read, NULL), SL_NOT_FOUND);
    gw_frame_events_free(&events);
    sl_buffer_free(&bytes);
    gw_packed_free(&packed);
    free(opened);
    free(records);
}

/* With a journal, and without. */
static void what_was_packed_is_counted(void **state)
{
    static const int64_t bounds[] = {0, INT64_C(64) << 20};
    struct fixture *fixture = *state;
    struct gw_delivered *records = calloc(GATHERED, sizeof *records);
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        struct gw_ledger_event event = event_of(GW_LEDGER_DELIVERED);
        struct gw_packed packed;
        int64_t sum = 0;
        event.topic = i ? "another" : "topic";
        event.packed = &packed;
        event.count = gather(&packed, records);
        for (size_t k = 0; k < GATHERED; k++)
            sum += records[k].bytes;
        gw_ledger_close(&fixture->ledger);
        open_ledger(fixture, bounds[i]);
        assert_int_equal(submit(fixture, &event, 1), SL_OK);
        struct sums sums = read_all(fixture);
        assert_int_equal(sums.usage.messages_out, (int64_t)(i + 1) * GATHERED);
        assert_int_equal(sums.usage.bytes_out, (int64_t)(i + 1) * sum);
        assert_int_equal(sums.records, (int64_t)(i + 1) * GATHERED);
        gw_packed_free(&packed);
    }
    free(records);
}

static void what_is_written_outlives_the_gateway(void **state)
{
    struct fixture *fixture = *state;
    struct stat file;
    char name[100];
    int64_t arrived = deliver(fixture, 0);
    struct gw_ledger_event settled = {.kind = GW_LEDGER_SETTLED, .number = arrived};
    assert_int_equal(submit(fixture, &settled, 1), SL_OK);
    deliver(fixture, 3);
    struct gw_volumes volumes;
    gw_ledger_volumes(fixture->ledger, "app", "hrn:catalog", &volumes);
    assert_int_equal(volumes.all, 600);
    assert_int_equal(read_all(fixture).listed, 1); /* open */
    for (int i = 0; i < 2; i++) {
        gw_ledger_close(&fixture->ledger);
        open_ledger(fixture, 0);
        struct sums sums = read_all(fixture);
        assert_int_equal(sums.lines, 1);
        assert_int_equal(sums.usage.messages_out, 6);
        assert_int_equal(sums.usage.bytes_out, 600);
        assert_int_equal(sums.usage.calls_out, 2);
        assert_int_equal(sums.listed, 1);
        assert_int_equal(sums.records, 3);
        gw_ledger_volumes(fixture->ledger, "app", "hrn:catalog", &volumes);
        assert_int_equal(volumes.all, 600);
        assert_int_equal(volumes.day, 600);
        assert_int_equal(volumes.month, 600);
    }
    gw_ledger_volumes(fixture->ledger, "app", "hrn:other", &volumes);
    assert_int_equal(volumes.all, 0);
    snprintf(name, sizeof name, "%s/ledger.db", fixture->directory);
    assert_int_equal(stat(name, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
}

static void all_of_an_entry_or_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct gw_ledger_event events[] = {event_of(GW_LEDGER_USED), event_of(GW_LEDGER_USED)};
    events[1].layer = "other";
    assert_int_equal(submit(fixture, events, 2), SL_OK);
    assert_int_equal(read_all(fixture).lines, 2);
}

static void what_has_no_room_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char why[GW_LEDGER_WHY], layer[16];
    gw_ledger_close(&fixture->ledger);
    open_ledger(fixture, (int64_t)64 << 10);
    sl_status status = SL_OK;
    size_t written = 0;
    for (int i = 0; i < 100000 && !status; i++) {
        struct gw_ledger_event event = event_of(GW_LEDGER_USED);
        snprintf(layer, sizeof layer, "layer-%d", i);
        event.layer = layer;
        status = submit(fixture, &event, 1);
        written += !status;
    }
    assert_int_equal(status, SL_IO);
    assert_int_equal(read_all(fixture).lines, written);
    gw_ledger_close(&fixture->ledger);
    open_ledger(fixture, 0);
    assert_true(gw_ledger_available(fixture->ledger, why));
    assert_int_equal(read_all(fixture).lines, written);
}

static void after_the_end_nothing_is_taken(void **state)
{
    struct fixture *fixture = *state;
    struct gw_ledger_event event = event_of(GW_LEDGER_USED);
    gw_ledger_finish(fixture->ledger);
    assert_int_equal(submit(fixture, &event, 1), SL_CLOSED);
}

static void pages_follow_each_other(void **state)
{
    struct fixture *fixture = *state;
    static const char *const layers[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        struct gw_ledger_event event = event_of(GW_LEDGER_USED);
        event.layer = layers[i];
        assert_int_equal(submit(fixture, &event, 1), SL_OK);
    }
    const struct gw_usage_filter filter = {.to_hour = INT64_MAX}, one = {.layer = "b", .to_hour = INT64_MAX};
    const struct gw_usage_line after = {
        .application = "app", .hrn = "hrn:catalog", .layer = "b", .group = "group", .hour = INT64_MAX};
    struct sums sums = {.lines = 0};
    assert_int_equal(gw_ledger_read_usage(fixture->ledger, &filter, &after, add_line, &sums, NULL), SL_OK);
    assert_int_equal(sums.lines, 1);
    assert_int_equal(gw_ledger_read_usage(fixture->ledger, &one, NULL, add_line, &sums, NULL), SL_OK);
    assert_int_equal(sums.lines, 2);
}

static bool count_line(void *opaque, const struct gw_usage_line *line)
{
    struct sums *sums = opaque;
    sums->lines++;
    gw_usage_add(&sums->usage, &line->usage);
    return true;
}

/* a and b have each used the catalogs hrn:0 and hrn:1, two layers of them. */
static void use_catalogs(struct fixture *fixture)
{
    for (size_t i = 0; i < 8; i++) {
        struct gw_ledger_event event = event_of(GW_LEDGER_USED);
        event.application = i / 4 ? "b" : "a";
        event.hrn = i / 2 % 2 ? "hrn:1" : "hrn:0";
        event.layer = i % 2 ? "m" : "l";
        assert_int_equal(submit(fixture, &event, 1), SL_OK);
    }
}

static void everybody_is_read_his_own(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *viewer, *catalogs, *application, *hrn;
        size_t lines;
    } cases[] = {{NULL, NULL, NULL, NULL, 8},
                 {NULL, NULL, NULL, "hrn:1", 4},
                 {NULL, NULL, "b", "hrn:1", 2},
                 {NULL, NULL, NULL, "hrn:2", 0},
                 {"a", NULL, NULL, NULL, 4},
                 {"a", NULL, NULL, "hrn:1", 2},
                 {"a", NULL, "b", NULL, 0},
                 {"a", "[\"hrn:1\"]", NULL, NULL, 6},
                 {"a", "[\"hrn:1\"]", "b", NULL, 2},
                 {"a", "[\"hrn:1\"]", "b", "hrn:0", 0},
                 {"a", "[\"hrn:1\"]", NULL, "hrn:0", 2},
                 {"a", "[\"hrn:1\"]", NULL, "hrn:1", 4},
                 {"c", "[\"hrn:1\",\"hrn:0\",\"hrn:1\",\"hrn:2\"]", NULL, NULL, 8},
                 {"c", "[\"hrn:5\",\"hrn:1\",\"hrn:\",\"hrn:00\"]", NULL, NULL, 4},
                 {"c", "[]", NULL, NULL, 0},
                 {"c", NULL, NULL, NULL, 0}};
    use_catalogs(fixture);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sums sums = {.lines = 0};
        const struct gw_usage_filter filter = {.application = cases[i].application,
                                               .hrn = cases[i].hrn,
                                               .viewer = cases[i].viewer,
                                               .catalogs = cases[i].catalogs,
                                               .to_hour = INT64_MAX};
        assert_int_equal(gw_ledger_read_usage(fixture->ledger, &filter, NULL, count_line, &sums, NULL),
                         SL_OK);
        assert_int_equal(sums.lines, cases[i].lines);
    }
}

/* The line that was read last. */
struct walk {
    char application[8], hrn[8], layer[8];
    int64_t hour;
    size_t lines;
};

static bool take_one(void *opaque, const struct gw_usage_line *line)
{
    struct walk *walk = opaque;
    char before[32], now[32];
    snprintf(before, sizeof before, "%s %s %s", walk->application, walk->hrn, walk->layer);
    snprintf(walk->application, sizeof walk->application, "%s", line->application);
    snprintf(walk->hrn, sizeof walk->hrn, "%s", line->hrn);
    snprintf(walk->layer, sizeof walk->layer, "%s", line->layer);
    snprintf(now, sizeof now, "%s %s %s", walk->application, walk->hrn, walk->layer);
    assert_true(strcmp(before, now) < 0);
    walk->hour = line->hour;
    walk->lines++;
    return false;
}

/* In the order of applications, whatever that of his catalogs is. */
static void who_manages_catalogs_is_read_them_page_by_page(void **state)
{
    struct fixture *fixture = *state;
    const struct gw_usage_filter filter = {
        .viewer = "a", .catalogs = "[\"hrn:2\",\"hrn:0\"]", .to_hour = INT64_MAX};
    struct walk walk = {.lines = 0};
    use_catalogs(fixture);
    for (size_t i = 0; i <= 6; i++) {
        const struct gw_usage_line after = {.application = walk.application,
                                            .hrn = walk.hrn,
                                            .layer = walk.layer,
                                            .group = "group",
                                            .hour = walk.hour};
        assert_int_equal(walk.lines, i);
        assert_int_equal(
            gw_ledger_read_usage(fixture->ledger, &filter, i ? &after : NULL, take_one, &walk, NULL), SL_OK);
    }
    assert_int_equal(walk.lines, 6);
    assert_string_equal(walk.application, "b");
}

static bool deliver_meanwhile(void *opaque, const struct gw_usage_line *line)
{
    struct fixture *fixture = opaque;
    (void)line;
    deliver(fixture, 100);
    assert_int_equal(read_all(fixture).listed, 2); /* it is in ledger.db */
    return true;
}

static bool expect_first(void *opaque, const struct gw_unconfirmed *delivery)
{
    (void)opaque;
    assert_int_equal(delivery->records->offset, 0);
    return true;
}

static void a_statement_is_of_one_moment(void **state)
{
    struct fixture *fixture = *state;
    const struct gw_usage_filter filter = {.to_hour = INT64_MAX};
    deliver(fixture, 0);
    assert_int_equal(
        gw_ledger_read_both(fixture->ledger, &filter, deliver_meanwhile, expect_first, fixture, NULL), SL_OK);
}

/* As version 1 made it, with what somebody has used: a delivery of offset 2 is open, another one of 1 is
 * unconfirmed. */
static const char version_1[] =
    "CREATE TABLE usage (application TEXT NOT NULL, hrn TEXT NOT NULL, layer TEXT NOT NULL,"
    " grp TEXT NOT NULL, hour INTEGER NOT NULL, calls_in INTEGER NOT NULL, calls_out INTEGER NOT NULL,"
    " messages_in INTEGER NOT NULL, messages_out INTEGER NOT NULL, bytes_in INTEGER NOT NULL,"
    " bytes_out INTEGER NOT NULL, blob_bytes_in INTEGER NOT NULL, blob_bytes_out INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL, PRIMARY KEY (application, hrn, layer, grp, hour)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE reached (application TEXT NOT NULL, topic TEXT NOT NULL, grp TEXT NOT NULL,"
    " partition INTEGER NOT NULL, ranges BLOB NOT NULL, checksum INTEGER NOT NULL,"
    " PRIMARY KEY (application, topic, grp, partition)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE deliveries (id INTEGER PRIMARY KEY, writer TEXT NOT NULL, number INTEGER NOT NULL,"
    " node TEXT NOT NULL, state INTEGER NOT NULL, application TEXT NOT NULL, hrn TEXT NOT NULL,"
    " layer TEXT NOT NULL, grp TEXT NOT NULL, topic TEXT NOT NULL, at_ms INTEGER NOT NULL,"
    " messages INTEGER NOT NULL, bytes INTEGER NOT NULL, blob_bytes INTEGER NOT NULL,"
    " again INTEGER NOT NULL, records BLOB NOT NULL, checksum INTEGER NOT NULL,"
    " UNIQUE (writer, number)) STRICT;"
    "CREATE INDEX deliveries_unsettled ON deliveries (application, topic, grp) WHERE state < 2;"
    "CREATE TABLE clocks (application TEXT PRIMARY KEY, hour INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "PRAGMA user_version = 1;"
    "INSERT INTO clocks VALUES ('app', 1000000);"
    "INSERT INTO meta VALUES ('node', '0123456789abcdef'), ('log', 'sqlite');"
    "INSERT INTO usage VALUES ('app', 'hrn:catalog', 'layer', 'group', 1000000, 0, 3, 0, 3, 0, 300, 0, 0,"
    " row_checksum('app', 'hrn:catalog', 'layer', 'group', 1000000, 0, 3, 0, 3, 0, 300, 0, 0));"
    "INSERT INTO reached VALUES ('app', 'topic', 'group', 0, x'0003',"
    " row_checksum('app', 'topic', 'group', 0, x'0003'));"
    "INSERT INTO deliveries VALUES"
    " (1, 'run', 1, '0123456789abcdef', 1, 'app', 'hrn:catalog', 'layer', 'group', 'topic', 0, 1, 100, 0, 0,"
    " x'00010564', row_checksum('run', 1, '0123456789abcdef', 'app', 'hrn:catalog', 'layer', 'group', "
    "'topic',"
    " 0, 1, 100, 0, 0, x'00010564')),"
    " (2, 'run', 2, '0123456789abcdef', 0, 'app', 'hrn:catalog', 'layer', 'group', 'topic', 0, 1, 100, 0, 0,"
    " x'00020564', row_checksum('run', 2, '0123456789abcdef', 'app', 'hrn:catalog', 'layer', 'group', "
    "'topic',"
    " 0, 1, 100, 0, 0, x'00020564'));";

static void run_sql(const char *file, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(gw_rows_add_checksum(db, NULL), SL_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int64_t ask(const char *file, const char *sql)
{
    sqlite3 *db;
    int64_t number = -1;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(gw_db_run(db, sql, gw_db_read_number, &number, NULL, NULL, ""), SL_OK);
    sqlite3_close(db);
    return number;
}

static bool add_sql(void *opaque, sqlite3_stmt *row)
{
    return sl_buffer_printf(opaque, "%s;\n", gw_db_text(row, 0));
}

/* Its tables and indexes, as SQL. */
static void read_schema(const char *file, struct sl_buffer *sql)
{
    sqlite3 *db;
    sl_buffer_init(sql, (size_t)1 << 20);
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(gw_db_run(db, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name",
                               add_sql, sql, NULL, NULL, ""),
                     SL_OK);
    sqlite3_close(db);
}

/* Its directory has one of version 1, to which that was done; file: its name. */
static void begin_old(struct fixture *fixture, const char *damage, char file[100])
{
    char command[100];
    gw_ledger_close(&fixture->ledger);
    snprintf(command, sizeof command, "rm -r %s/*", fixture->directory);
    assert_int_equal(system(command), 0);
    snprintf(file, 100, "%s/ledger.db", fixture->directory);
    run_sql(file, version_1);
    run_sql(file, damage);
    open_ledger(fixture, 0);
}

static size_t copies(const struct fixture *fixture, char found[200])
{
    size_t count = 0;
    DIR *files = opendir(fixture->directory);
    assert_non_null(files);
    for (struct dirent *entry; (entry = readdir(files));)
        if (!strncmp(entry->d_name, "ledger.db.v1-", 13)) {
            snprintf(found, 200, "%s/%.100s", fixture->directory, entry->d_name);
            count++;
        }
    closedir(files);
    return count;
}

static void an_older_ledger_is_upgraded_with_a_copy(void **state)
{
    struct fixture *fixture = *state;
    char file[100], copy[200], why[GW_LEDGER_WHY];
    begin_old(fixture, "", file);
    assert_true(gw_ledger_available(fixture->ledger, why));
    struct sums sums = read_all(fixture);
    assert_int_equal(sums.usage.messages_out, 3);
    assert_int_equal(sums.listed, 2); /* what was open is unconfirmed now */
    deliver(fixture, 0);              /* again: nothing of it counts */
    assert_int_equal(ask(file, "PRAGMA user_version"), 2);
    assert_int_equal(copies(fixture, copy), 1);
    assert_int_equal(ask(copy, "PRAGMA user_version"), 1);
    assert_int_equal(ask(copy, "SELECT count(*) FROM deliveries WHERE state = 0"), 1);
    gw_ledger_close(&fixture->ledger);
    open_ledger(fixture, 0);
    assert_true(gw_ledger_available(fixture->ledger, why));
    assert_int_equal(ask(file, "SELECT sum(messages_out) FROM usage"), 3);
    assert_int_equal(
        ask(file, "SELECT count(*) FROM meta WHERE name = 'node' AND value = '0123456789abcdef'"), 1);
    assert_int_equal(copies(fixture, copy), 1);
}

static void an_upgraded_ledger_is_as_a_new_one(void **state)
{
    struct fixture *fixture = *state;
    struct sl_buffer old, new;
    char file[100];
    snprintf(file, sizeof file, "%s/ledger.db", fixture->directory);
    read_schema(file, &new);
    begin_old(fixture, "", file);
    read_schema(file, &old);
    assert_string_equal(old.data, new.data);
    sl_buffer_free(&old);
    sl_buffer_free(&new);
}

static void a_damaged_older_ledger_is_not_upgraded(void **state)
{
    struct fixture *fixture = *state;
    static const char *const damages[] = {"UPDATE usage SET bytes_out = 299",
                                          "UPDATE reached SET ranges = x'0009'",
                                          "UPDATE deliveries SET again = 1 WHERE id = 2"};
    char file[100], copy[200], why[GW_LEDGER_WHY];
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        begin_old(fixture, damages[i], file);
        assert_false(gw_ledger_available(fixture->ledger, why));
        assert_non_null(strstr(why, "damaged"));
        assert_int_equal(copies(fixture, copy), 0);
        assert_int_equal(ask(file, "PRAGMA user_version"), 1);
    }
    begin_old(fixture, "CREATE TABLE meta_1 (a)", file); /* it fails half way */
    assert_false(gw_ledger_available(fixture->ledger, why));
    assert_int_equal(copies(fixture, copy), 0);
    assert_int_equal(ask(file, "PRAGMA user_version"), 1);
    assert_int_equal(ask(file, "SELECT hour FROM clocks"), 1000000);
}

/* Bytes of the file itself, as a disk may change them: SQLite sees no fault in it. */
static void a_byte_that_changed_is_found(void **state)
{
    struct fixture *fixture = *state;
    static const char *const places[][2] = {{"0123456789abcdef", "\"meta\" are damaged"},
                                            {"app\x0f\x42\x40", "\"clocks\" are damaged"}};
    char file[100], why[GW_LEDGER_WHY], bytes[16];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        begin_old(fixture, "DELETE FROM deliveries", file);
        gw_ledger_close(&fixture->ledger);
        size_t size = strlen(places[i][0]), changed = 0;
        FILE *raw = fopen(file, "r+b");
        assert_non_null(raw);
        for (long at = 0; !fseek(raw, at, SEEK_SET) && fread(bytes, size, 1, raw) == 1; at++)
            if (!memcmp(bytes, places[i][0], size)) {
                assert_int_equal(fseek(raw, at, SEEK_SET), 0);
                assert_int_equal(fputc(bytes[0] ^ 1, raw), bytes[0] ^ 1);
                changed++;
            }
        assert_int_equal(fclose(raw), 0);
        assert_true(changed > 0);
        assert_int_equal(
            ask(file, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
        open_ledger(fixture, 0);
        assert_false(gw_ledger_available(fixture->ledger, why));
        assert_non_null(strstr(why, places[i][1]));
    }
}

static void events_come_back_from_the_topic(void **state)
{
    (void)state;
    const struct gw_delivered records[] = {{7, 1, 10}, {8, 1, 20}, {3, 0, 0}, {9, 1, 4000000000U}};
    struct gw_ledger_event event = event_of(GW_LEDGER_DELIVERED);
    event.group = "a \"group\"";
    event.at_ms = 1700000000000;
    event.number = 12;
    event.sequence = 34;
    event.records = records;
    event.count = 4;
    const struct gw_gap gaps[] = {{5, 7, 1}, {0, INT64_C(5000000000), 2}};
    event.gaps = gaps;
    event.gap_count = 2;
    event.usage = (struct gw_usage){.calls_out = 1, .blob_bytes_out = INT64_C(5000000000)};
    struct sl_buffer text;
    sl_buffer_init(&text, 10000);
    assert_true(gw_ledger_event_encode(&text, "node/3", "run", &event));
    assert_string_equal(
        text.data, "{\"kind\":\"delivered\",\"time\":1700000000000,\"node\":\"node/3\",\"writer\":\"run\","
                   "\"number\":12,\"sequence\":34,\"application\":\"app\",\"catalog\":\"hrn:catalog\","
                   "\"layer\":\"layer\","
                   "\"group\":\"a \\\"group\\\"\",\"topic\":\"topic\",\"callsOut\":1,"
                   "\"blobBytesOut\":5000000000,"
                   "\"records\":[[1,7,2,30,\"ChQ=\"],[0,3,1,0,\"AA==\"],[1,9,1,4000000000,\"gNCs8w4=\"]],"
                   "\"gaps\":[[1,5,7],[2,0,5000000000]]}");
    struct gw_ledger_read read;
    assert_int_equal(gw_ledger_event_decode(text.data, text.size, &read), SL_OK);
    assert_int_equal(read.event.kind, GW_LEDGER_DELIVERED);
    assert_int_equal(read.event.number, 12);
    assert_int_equal(read.event.sequence, 34);
    assert_string_equal(read.event.group, event.group);
    assert_string_equal(read.node, "node/3");
    assert_memory_equal(&read.event.usage, &event.usage, sizeof event.usage);
    assert_int_equal(read.event.count, 4);
    assert_memory_equal(read.event.records, records, sizeof records);
    assert_int_equal(read.event.gap_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(read.event.gaps[i].first, gaps[i].first);
        assert_int_equal(read.event.gaps[i].end, gaps[i].end);
        assert_int_equal(read.event.gaps[i].partition, gaps[i].partition);
    }
    gw_ledger_read_free(&read);
    static const char *const wrong[] = {
        "",
        "{}",
        "[]",
        "{\"kind\":\"else\"}",
        "{\"kind\":\"delivered\",\"records\":[[1,7]]}",
        "{\"kind\":\"delivered\",\"records\":[[\"1\",7,[1]]]}",
        "{\"kind\":\"delivered\",\"gaps\":[[1,7]]}",
        "{\"kind\":\"delivered\",\"gaps\":[[1,7,6]]}",
        "{\"kind\":\"delivered\",\"gaps\":[[1,7,9223372036854775807]]}",
        "{\"kind\":\"delivered\",\"gaps\":[[-1,7,8]]}",
        "{\"kind\":\"delivered\",\"records\":[[-1,7,[1]]]}",
        "{\"kind\":\"delivered\",\"records\":[[1,-7,[1]]]}",
        "{\"kind\":\"delivered\",\"records\":[[1,9223372036854775807,[1]]]}",
        "{\"kind\":\"delivered\",\"sequence\":-5}",
        "{\"kind\":\"delivered\",\"records\":[[1,7,[]]]}",
        "{\"kind\":\"delivered\",\"records\":[[1,7,0,0,\"\"]]}",
        "{\"kind\":\"delivered\",\"records\":[[1,7,2,10,\"Cg==\"]]}",
        "{\"kind\":\"delivered\",\"records\":[[1,7,1,10,\"ChQ=\"]]}",
        "{\"kind\":\"delivered\",\"records\":[[1,7,2,31,\"ChQ=\"]]}",
        "{\"kind\":\"delivered\",\"records\":[[1,7,1,10,\"Cg=\"]]}",
        "{\"kind\":\"delivered\",\"records\":[[1,7,1,10,10]]}",
        "{\"kind\":\"delivered\",\"records\":[[1,7,1,0,\"gA==\"]]}",
        "{\"kind\":\"delivered\",\"records\":[[1,7,1,4294967296,\"gICAgBA=\"]]}",
        "{\"kind\":\"delivered\",\"sequence\":9223372036854775807}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(gw_ledger_event_decode(wrong[i], strlen(wrong[i]), &read), SL_PROTOCOL);
    static const char later[] = "{\"kind\":\"else\",\"writer\":\"run\",\"sequence\":1}";
    assert_int_equal(gw_ledger_event_decode(later, strlen(later), &read), SL_UNSUPPORTED);
    sl_buffer_free(&text);
}

static void what_is_sought_comes_back_from_the_topic(void **state)
{
    (void)state;
    const struct gw_delivered places[] = {{7, 1, 0}, {8, 1, 0}, {3, 0, 0}};
    struct gw_ledger_event event = event_of(GW_LEDGER_SOUGHT);
    struct gw_ledger_read read;
    struct sl_buffer text;
    event.records = places;
    event.count = 3;
    sl_buffer_init(&text, 10000);
    assert_true(gw_ledger_event_encode(&text, "node/3", "run", &event));
    assert_non_null(strstr(text.data, "\"records\":[[1,7],[1,8],[0,3]]}"));
    assert_int_equal(gw_ledger_event_decode(text.data, text.size, &read), SL_OK);
    assert_int_equal(read.event.count, 3);
    assert_memory_equal(read.event.records, places, sizeof places);
    gw_ledger_read_free(&read);
    sl_buffer_free(&text);
}

/* Of a delivery of so many records, in one run for each partition. */
static void encode_runs(struct sl_buffer *text, const char *layer, struct gw_delivered *records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        records[i] = (struct gw_delivered){
            .offset = (int64_t)i, .partition = i > count / 2, .bytes = (uint32_t)(i * 37)};
    struct gw_ledger_event event = event_of(GW_LEDGER_DELIVERED);
    event.layer = layer;
    event.records = records;
    event.count = count;
    sl_buffer_reset(text);
    assert_true(gw_ledger_event_encode(text, "node/3", "run", &event));
}

/* Sizes of many records are not read as JSON, unless an escape makes it doubtful what is a text. */
static void long_runs_come_back_from_the_topic(void **state)
{
    (void)state;
    enum { COUNT = 601 };
    struct gw_delivered records[COUNT];
    struct gw_ledger_read read;
    struct sl_buffer text;
    char plain[200],
        escaped[] = "1,\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]";
    const char *layers[] = {plain, escaped, "#0"};
    memset(plain, 'B', sizeof plain - 1);
    plain[sizeof plain - 1] = 0;
    sl_buffer_init(&text, 100000);
    for (size_t i = 0; i < 3; i++) {
        encode_runs(&text, layers[i], records, COUNT);
        assert_int_equal(gw_ledger_event_decode(text.data, text.size, &read), SL_OK);
        assert_string_equal(read.event.layer, layers[i]);
        assert_int_equal(read.event.count, COUNT);
        assert_memory_equal(read.event.records, records, sizeof records);
        gw_ledger_read_free(&read);
    }
    /* What later versions may add is passed over, whatever it holds. */
    encode_runs(&text, plain, records, COUNT);
    text.size--;
    sl_buffer_printf(&text, ",\"more\":[1,\"%s\"]}", plain);
    assert_int_equal(gw_ledger_event_decode(text.data, text.size, &read), SL_OK);
    assert_int_equal(read.event.count, COUNT);
    gw_ledger_read_free(&read);
    for (size_t size = 0; size < text.size; size += 1 + size / 50)
        assert_int_equal(gw_ledger_event_decode(text.data, size, &read), SL_PROTOCOL);
    sl_buffer_free(&text);
}

/* What is no run is none, whatever else is in the event. */
static void forged_runs_are_no_event(void **state)
{
    (void)state;
    char sizes[101], text[1000];
    static const char *const forged[] = {"\"#0\"", "\"#00\"", "\"\\u00230\"", "\"#-1\"", "\"#\"", "\"#1\""};
    struct gw_ledger_read read;
    memset(sizes, 'A', sizeof sizes - 1); /* 75 records of no byte */
    sizes[sizeof sizes - 1] = 0;
    for (size_t i = 0; i < 2 * sizeof forged / sizeof *forged; i++) {
        snprintf(text, sizeof text, "{\"kind\":\"delivered\",\"records\":[[0,1,75,0,\"%s\"],[1,7,75,0,%s]]}",
                 i % 2 ? sizes : "AA==", forged[i / 2]);
        assert_int_equal(gw_ledger_event_decode(text, strlen(text), &read), SL_PROTOCOL);
    }
    snprintf(text, sizeof text, "{\"kind\":\"delivered\",\"records\":[[0,1,75,0,\"%s\"]]}", sizes);
    assert_int_equal(gw_ledger_event_decode(text, strlen(text), &read), SL_OK);
    assert_int_equal(read.event.count, 75);
    gw_ledger_read_free(&read);
    memset(sizes, '-', sizeof sizes - 1);
    snprintf(text, sizeof text, "{\"kind\":\"delivered\",\"records\":[[0,1,75,0,\"%s\"]]}", sizes);
    assert_int_equal(gw_ledger_event_decode(text, strlen(text), &read), SL_PROTOCOL);
}

/* What versions before this one have written stays in the topic for ever. */
static void earlier_events_are_read(void **state)
{
    (void)state;
    static const char text[] = "{\"kind\":\"delivered\",\"records\":[[1,7,[10,20]],[0,3,[4000000000]]]}",
                      sought[] = "{\"kind\":\"sought\",\"records\":[[1,7,[0]]]}";
    const struct gw_delivered records[] = {{7, 1, 10}, {8, 1, 20}, {3, 0, 4000000000U}};
    struct gw_ledger_read read;
    assert_int_equal(gw_ledger_event_decode(text, strlen(text), &read), SL_OK);
    assert_int_equal(read.event.count, 3);
    assert_memory_equal(read.event.records, records, sizeof records);
    gw_ledger_read_free(&read);
    assert_int_equal(gw_ledger_event_decode(sought, strlen(sought), &read), SL_OK);
    assert_int_equal(read.event.count, 1);
    assert_int_equal(read.event.records->offset, 7);
    gw_ledger_read_free(&read);
}

CASES_MAIN(cmocka_unit_test(what_was_packed_is_read_as_it_was_gathered),
           cmocka_unit_test_setup_teardown(what_was_packed_is_counted, setup, teardown),
           cmocka_unit_test_setup_teardown(what_is_written_outlives_the_gateway, setup, teardown),
           cmocka_unit_test_setup_teardown(all_of_an_entry_or_nothing, setup, teardown),
           cmocka_unit_test_setup_teardown(what_has_no_room_is_refused, setup, teardown),
           cmocka_unit_test_setup_teardown(after_the_end_nothing_is_taken, setup, teardown),
           cmocka_unit_test_setup_teardown(pages_follow_each_other, setup, teardown),
           cmocka_unit_test_setup_teardown(everybody_is_read_his_own, setup, teardown),
           cmocka_unit_test_setup_teardown(who_manages_catalogs_is_read_them_page_by_page, setup, teardown),
           cmocka_unit_test_setup_teardown(a_statement_is_of_one_moment, setup, teardown),
           cmocka_unit_test_setup_teardown(an_older_ledger_is_upgraded_with_a_copy, setup, teardown),
           cmocka_unit_test_setup_teardown(an_upgraded_ledger_is_as_a_new_one, setup, teardown),
           cmocka_unit_test_setup_teardown(a_damaged_older_ledger_is_not_upgraded, setup, teardown),
           cmocka_unit_test_setup_teardown(a_byte_that_changed_is_found, setup, teardown),
           cmocka_unit_test(events_come_back_from_the_topic),
           cmocka_unit_test(what_is_sought_comes_back_from_the_topic),
           cmocka_unit_test(long_runs_come_back_from_the_topic), cmocka_unit_test(forged_runs_are_no_event),
           cmocka_unit_test(earlier_events_are_read))
