/* The ledger's journal: what it finds again of what was written, whatever became of its files; and a ledger
 * that was killed. */
#include "support/cases.h"

#include "gateway/ledger/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NODE   "0123456789abcdef"
#define WRITER "fedcba9876543210"

struct fixture {
    char directory[64];
    struct gw_journal *journal;
    uint64_t missing;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->directory, "/tmp/gw-journal-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    char command[100];
    gw_journal_close(&fixture->journal);
    snprintf(command, sizeof command, "rm -r %s", fixture->directory);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

static sl_status reopen_as(struct fixture *fixture, const char *node, uint64_t after, bool bounded)
{
    sl_error error = {.status = SL_OK};
    gw_journal_close(&fixture->journal);
    return gw_journal_open(fixture->directory, node, after, bounded, &fixture->journal, &fixture->missing,
                           &error);
}

static sl_status reopen(struct fixture *fixture, uint64_t after)
{
    return reopen_as(fixture, NODE, after, false);
}

/* A frame with one event whose layer is text. */
static void make_frame(struct sl_buffer *frame, uint64_t sequence, uint64_t released, const char *text)
{
    struct gw_ledger_event event = {.kind = GW_LEDGER_USED, .layer = text, .usage = {.calls_in = 1}};
    sl_buffer_init(frame, GW_FRAME_MAX);
    assert_true(gw_frame_begin(frame));
    assert_true(gw_frame_add(frame, &event));
    gw_frame_end(frame, NODE, WRITER, sequence, released, 1);
}

static sl_status append(struct fixture *fixture, const char *text)
{
    struct sl_buffer frame;
    void *bytes;
    make_frame(&frame, gw_journal_next(fixture->journal), gw_journal_released(fixture->journal), text);
    size_t room = gw_frame_room(frame.size);
    assert_int_equal(posix_memalign(&bytes, GW_FRAME_BLOCK, room), 0);
    memset(bytes, 0, room);
    memcpy(bytes, frame.data, frame.size);
    sl_status status = gw_journal_append(fixture->journal, bytes, room, NULL);
    free(bytes);
    sl_buffer_free(&frame);
    return status;
}

static void append_some(struct fixture *fixture, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "layer %llu", (unsigned long long)gw_journal_next(fixture->journal));
        assert_int_equal(append(fixture, text), SL_OK);
    }
}

static void expect_frames(struct fixture *fixture, uint64_t first, size_t count)
{
    size_t found;
    const struct gw_journal_place *places = gw_journal_places(fixture->journal, &found);
    assert_int_equal(found, count);
    for (size_t i = 0; i < count; i++) {
        struct gw_frame_events events = {.at = NULL};
        struct gw_ledger_event event;
        struct gw_frame frame;
        char text[32];
        void *bytes;
        assert_int_equal(places[i].sequence, first + i);
        assert_int_equal(posix_memalign(&bytes, GW_FRAME_BLOCK, places[i].size), 0);
        assert_int_equal(gw_journal_read(fixture->journal, &places[i], bytes, NULL), SL_OK);
        assert_true(gw_frame_read(bytes, places[i].size, &frame));
        assert_string_equal(frame.writer, WRITER);
        gw_frame_events(&events, bytes, &frame);
        assert_int_equal(gw_frame_next(&events, &event, NULL), SL_OK);
        snprintf(text, sizeof text, "layer %llu", (unsigned long long)(first + i));
        assert_string_equal(event.layer, text);
        assert_int_equal(gw_frame_next(&events, &event, NULL), SL_NOT_FOUND);
        gw_frame_events_free(&events);
        free(bytes);
    }
}

static int open_file(const struct fixture *fixture, const char *name)
{
    char path[100];
    snprintf(path, sizeof path, "%s/ledger-journal/%s", fixture->directory, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* Changes a byte; where the first frame is at block 0, and each has one. */
static void change(const struct fixture *fixture, const char *name, off_t at)
{
    int fd = open_file(fixture, name);
    char byte;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte = (char)(byte ^ 1);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static unsigned count_files(const struct fixture *fixture)
{
    char path[100];
    unsigned count = 0;
    snprintf(path, sizeof path, "%s/ledger-journal", fixture->directory);
    DIR *listing = opendir(path);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;)
        count += *entry->d_name != '.';
    closedir(listing);
    return count;
}

static void what_was_appended_is_found_again(void **state)
{
    struct fixture *fixture = *state;
    struct stat file;
    char path[100];
    assert_int_equal(reopen(fixture, 0), SL_OK);
    append_some(fixture, 5);
    for (uint64_t after = 0; after <= 5; after++) {
        assert_int_equal(reopen(fixture, after), SL_OK);
        expect_frames(fixture, after + 1, (size_t)(5 - after));
        assert_int_equal(gw_journal_next(fixture->journal), 6);
    }
    gw_journal_release(fixture->journal, 5);
    append_some(fixture, 1); /* into the same file, from its beginning */
    assert_int_equal(count_files(fixture), 1);
    assert_int_equal(reopen(fixture, 5), SL_OK);
    expect_frames(fixture, 6, 1);
    append_some(fixture, 1); /* nothing is released: what is there stays */
    assert_int_equal(count_files(fixture), 2);
    assert_int_equal(reopen(fixture, 5), SL_OK);
    expect_frames(fixture, 6, 2);
    snprintf(path, sizeof path, "%s/ledger-journal", fixture->directory);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0700);
    strcat(path, "/000001");
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_int_equal(file.st_size, GW_JOURNAL_FILE);
}

static void records_and_gaps_come_back_from_a_frame(void **state)
{
    (void)state;
    const struct gw_delivered records[] = {{7, 1, 10}, {8, 1, 20}, {3, 0, 0}};
    const struct gw_gap gaps[] = {{5, 7, 1}, {0, 3, 0}};
    const struct gw_ledger_event event = {.kind = GW_LEDGER_DELIVERED,
                                          .usage = {.calls_out = 1, .blob_bytes_out = 3},
                                          .records = records,
                                          .count = 3,
                                          .gaps = gaps,
                                          .gap_count = 2};
    struct gw_frame_events events = {.at = NULL};
    struct gw_ledger_event again;
    struct gw_frame frame;
    struct sl_buffer bytes;
    sl_buffer_init(&bytes, GW_FRAME_MAX);
    assert_true(gw_frame_begin(&bytes) && gw_frame_add(&bytes, &event) && gw_frame_add(&bytes, &event));
    gw_frame_end(&bytes, NODE, WRITER, 1, 0, 2);
    assert_true(gw_frame_read(bytes.data, bytes.size, &frame));
    gw_frame_events(&events, bytes.data, &frame);
    for (int n = 0; n < 2; n++) {
        assert_int_equal(gw_frame_next(&events, &again, NULL), SL_OK);
        assert_int_equal(again.usage.calls_out + again.usage.blob_bytes_out, 4);
        assert_int_equal(again.count, 3);
        assert_memory_equal(again.records, records, sizeof records);
        assert_int_equal(again.gap_count, 2);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(again.gaps[i].partition, gaps[i].partition);
            assert_int_equal(again.gaps[i].first, gaps[i].first);
            assert_int_equal(again.gaps[i].end, gaps[i].end);
        }
    }
    assert_int_equal(gw_frame_next(&events, &again, NULL), SL_NOT_FOUND);
    gw_frame_events_free(&events);
    sl_buffer_free(&bytes);
}

static void a_torn_end_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(reopen(fixture, 0), SL_OK);
    append_some(fixture, 3);
    change(fixture, "000001", 2 * GW_FRAME_BLOCK + GW_FRAME_HEADER + 2);
    assert_int_equal(reopen(fixture, 0), SL_OK);
    expect_frames(fixture, 1, 2);
    assert_int_equal(gw_journal_next(fixture->journal), 3);
    append_some(fixture, 1);
    assert_int_equal(reopen(fixture, 0), SL_OK);
    expect_frames(fixture, 1, 3);
    change(fixture, "000002", 0); /* the first of a file */
    assert_int_equal(reopen(fixture, 0), SL_OK);
    expect_frames(fixture, 1, 2);
}

static void a_damaged_frame_with_others_behind_it_is_told(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(reopen(fixture, 0), SL_OK);
    append_some(fixture, 4);
    for (off_t at = 0; at < 3 * GW_FRAME_BLOCK; at += GW_FRAME_BLOCK) {
        change(fixture, "000001", at + 9); /* its sequence */
        assert_int_equal(reopen(fixture, 0), SL_CHECKSUM_MISMATCH);
        change(fixture, "000001", at + 9);
    }
    assert_int_equal(reopen(fixture, 1), SL_OK);
    expect_frames(fixture, 2, 3);
    change(fixture, "000001", GW_FRAME_BLOCK + 70);
    assert_int_equal(reopen(fixture, 1), SL_CHECKSUM_MISMATCH);
    assert_int_equal(reopen(fixture, 2), SL_OK); /* ledger.db has it already */
    expect_frames(fixture, 3, 2);
}

static void what_lacks_behind_a_copy_is_told(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(reopen(fixture, 100), SL_OK);
    append_some(fixture, 2);
    assert_int_equal(reopen(fixture, 90), SL_OK);
    assert_int_equal(fixture->missing, 10);
    expect_frames(fixture, 101, 2);
    assert_int_equal(reopen_as(fixture, "another-ledger-x", 100, false), SL_BAD_CONFIG);
    assert_int_equal(reopen(fixture, 100), SL_OK);
    assert_int_equal(fixture->missing, 0);
    expect_frames(fixture, 101, 2);
}

static void what_is_no_file_of_it_is_told(void **state)
{
    struct fixture *fixture = *state;
    char path[100];
    assert_int_equal(reopen(fixture, 0), SL_OK);
    append_some(fixture, 1);
    snprintf(path, sizeof path, "%s/ledger-journal/notes", fixture->directory);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(reopen(fixture, 0), SL_IO);
    assert_int_equal(rename(path, "/tmp/gw-journal-notes"), 0);
    assert_int_equal(unlink("/tmp/gw-journal-notes"), 0);
    assert_int_equal(reopen(fixture, 0), SL_OK);
    expect_frames(fixture, 1, 1);
}

static sl_status append_of(struct fixture *fixture, size_t size)
{
    char *text = malloc(size + 1);
    memset(text, 'x', size);
    text[size] = 0;
    sl_status status = append(fixture, text);
    free(text);
    return status;
}

/* Frames of a quarter of a file: four go into each. */
static sl_status append_quarter(struct fixture *fixture)
{
    return append_of(fixture, (size_t)GW_JOURNAL_FILE / 4 - 1000);
}

/* Of what ledger.db had once some is written over, and some is there yet. */
static void files_that_were_used_again_are_no_damage_to_an_older_copy(void **state)
{
    struct fixture *fixture = *state;
    size_t count;
    assert_int_equal(reopen(fixture, 0), SL_OK);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(append_quarter(fixture), SL_OK);
    gw_journal_release(fixture->journal, 8);
    append_some(fixture, 1); /* over 1 */
    assert_int_equal(append_quarter(fixture), SL_OK);
    assert_int_equal(append_quarter(fixture), SL_OK);                             /* 2 and 3 are gone, too */
    assert_int_equal(append_of(fixture, (size_t)GW_JOURNAL_FILE / 2 + 1), SL_OK); /* over 5 to 7 */
    assert_int_equal(append_quarter(fixture), SL_OK);                             /* of 8 nothing is left */
    assert_int_equal(count_files(fixture), 2);
    for (uint64_t after = 0; after <= 8; after++) {
        assert_int_equal(reopen(fixture, after), SL_OK);
        gw_journal_places(fixture->journal, &count);
        assert_int_equal(count, after < 4 ? 6 : 5); /* 4, and 9 to 13 */
        assert_int_equal(fixture->missing, after < 4 ? 7 - after : 8 - after);
        assert_int_equal(gw_journal_next(fixture->journal), 14);
    }
    change(fixture, "000001", GW_FRAME_BLOCK + 70); /* 10, which no ledger.db has */
    assert_int_equal(reopen(fixture, 8), SL_CHECKSUM_MISMATCH);
    assert_int_equal(reopen(fixture, 2), SL_CHECKSUM_MISMATCH);
}

/* Where a disk opens for reading past the cache, and does not read so. */
static void what_cannot_be_read_past_the_cache_is_read_through_it(void **state)
{
    struct fixture *fixture = *state;
    size_t count;
    assert_int_equal(reopen(fixture, 0), SL_OK);
    append_some(fixture, 1);
    assert_int_equal(reopen(fixture, 0), SL_OK);
    const struct gw_journal_place *places = gw_journal_places(fixture->journal, &count);
    assert_int_equal(count, 1);
    struct gw_frame frame;
    char *bytes = malloc(places[0].size + GW_FRAME_BLOCK);
    char *odd = bytes + ((uintptr_t)bytes % 2 ? 0 : 1); /* as no disk takes it */
    assert_int_equal(gw_journal_read(fixture->journal, &places[0], odd, NULL), SL_OK);
    assert_true(gw_frame_read(odd, places[0].size, &frame));
    free(bytes);
}

static void files_are_used_again_once_released(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(reopen(fixture, 0), SL_OK);
    for (uint64_t i = 1; i <= 16; i++) {
        assert_int_equal(append_quarter(fixture), SL_OK);
        gw_journal_prepare(fixture->journal); /* one ahead, when half of one is full */
        assert_int_equal(count_files(fixture), i < 3 ? 1 : 2);
        bool wants = gw_journal_wants_release(fixture->journal, i);
        assert_int_equal(wants, i % 4 == 1 && i > 1);
        assert_false(gw_journal_wants_release(fixture->journal, 3)); /* not all of a file */
        if (wants)
            gw_journal_release(fixture->journal, i);
        assert_false(gw_journal_wants_release(fixture->journal, i));
    }
    size_t count;
    assert_int_equal(reopen(fixture, 12), SL_OK);
    gw_journal_places(fixture->journal, &count);
    assert_int_equal(count, 4);
    gw_journal_remove(fixture->journal);
    assert_int_equal(reopen(fixture, 16), SL_OK);
    gw_journal_places(fixture->journal, &count);
    assert_int_equal(count, 0);
}

static void a_bound_is_kept(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(reopen_as(fixture, NODE, 0, true), SL_OK);
    for (unsigned i = 0; i < 4 * GW_JOURNAL_FILES_BOUND; i++)
        assert_int_equal(append_quarter(fixture), SL_OK);
    assert_int_equal(append_quarter(fixture), SL_IO);
    gw_journal_release(fixture->journal, 4);
    assert_int_equal(append_quarter(fixture), SL_OK);
    assert_int_equal(count_files(fixture), GW_JOURNAL_FILES_BOUND);
    /* One that came when there were more files already. */
    assert_int_equal(reopen(fixture, 4), SL_OK);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(append_quarter(fixture), SL_OK);
    assert_int_equal(count_files(fixture), GW_JOURNAL_FILES_BOUND + 1);
    assert_int_equal(reopen_as(fixture, NODE, 4, true), SL_OK);
    assert_int_equal(append_quarter(fixture), SL_IO);
    assert_int_equal(count_files(fixture), GW_JOURNAL_FILES_BOUND + 1);
}

static void one_larger_than_a_file_has_one_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    size_t size = (size_t)GW_JOURNAL_FILE + 5000, count;
    assert_int_equal(reopen(fixture, 0), SL_OK);
    append_some(fixture, 1);
    struct sl_buffer frame;
    struct gw_delivered *records = calloc(size / 2, sizeof *records);
    for (size_t i = 0; i < size / 2; i++)
        records[i] = (struct gw_delivered){.offset = (int64_t)i, .bytes = 1000};
    const struct gw_ledger_event event = {.kind = GW_LEDGER_DELIVERED, .records = records, .count = size / 2};
    sl_buffer_init(&frame, GW_FRAME_MAX);
    assert_true(gw_frame_begin(&frame) && gw_frame_add(&frame, &event));
    gw_frame_end(&frame, NODE, WRITER, 2, 0, 1);
    struct gw_chunk *chunk = gw_chunk_new(gw_frame_room(frame.size));
    assert_true(chunk->size > (size_t)GW_JOURNAL_FILE);
    memset(chunk->bytes, 0, chunk->size);
    memcpy(chunk->bytes, frame.data, frame.size);
    assert_int_equal(gw_journal_append(fixture->journal, chunk->bytes, chunk->size, NULL), SL_OK);
    assert_int_equal(reopen(fixture, 0), SL_OK);
    const struct gw_journal_place *places = gw_journal_places(fixture->journal, &count);
    assert_int_equal(count, 2);
    assert_int_equal(places[1].size, chunk->size);
    gw_chunk_free(chunk);
    sl_buffer_free(&frame);
    free(records);
}

/* What could not be written is not found either, and its place is written again. */
static void a_full_disk_leaves_nothing_behind(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit limit, small;
    assert_int_equal(reopen(fixture, 0), SL_OK);
    append_some(fixture, 2);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    /* A frame of two blocks, of which the first goes there: as if the disk had failed half way. */
    small = (struct rlimit){.rlim_cur = 3 * GW_FRAME_BLOCK, .rlim_max = limit.rlim_max};
    char text[GW_FRAME_BLOCK];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(append(fixture, text), SL_IO);
    small.rlim_cur = GW_FRAME_BLOCK;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(append(fixture, "no more"), SL_IO);
    assert_int_equal(gw_journal_probe(fixture->journal, NULL), SL_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(gw_journal_probe(fixture->journal, NULL), SL_OK);
    int fd = open_file(fixture, "000001");
    char block[GW_FRAME_BLOCK];
    assert_int_equal(pread(fd, block, sizeof block, 2 * GW_FRAME_BLOCK), sizeof block);
    close(fd);
    assert_int_equal(block[0], 0);
    assert_int_equal(reopen(fixture, 0), SL_OK);
    expect_frames(fixture, 1, 2);
    append_some(fixture, 1);
    assert_int_equal(reopen(fixture, 0), SL_OK);
    expect_frames(fixture, 1, 3);
}

/* --- A ledger with it --- */

struct submission {
    struct gw_ledger_entry entry; /* first */
    sem_t written;
};

static void done(struct gw_ledger_entry *entry)
{
    sem_post(&((struct submission *)(void *)entry)->written);
}

static struct gw_ledger *open_ledger(const struct fixture *fixture, int64_t max_bytes)
{
    const struct sl_log log = {.callback = NULL};
    const struct gw_ledger_settings settings = {.max_bytes = max_bytes};
    struct gw_ledger *ledger;
    sl_error error;
    assert_int_equal(gw_ledger_open(fixture->directory, &settings, &log, &ledger, &error), SL_OK);
    return ledger;
}

static sl_status try_submit(struct gw_ledger *ledger, struct gw_ledger_event *event)
{
    struct submission submission = {
        .entry = {.events = event, .count = 1, .application = "app", .done = done}};
    assert_int_equal(sem_init(&submission.written, 0, 0), 0);
    gw_ledger_submit(ledger, &submission.entry);
    sem_wait(&submission.written);
    sem_destroy(&submission.written);
    return submission.entry.status;
}

static void submit(struct gw_ledger *ledger, struct gw_ledger_event *event)
{
    assert_int_equal(try_submit(ledger, event), SL_OK);
}

/* Delivers ten records, which arrive when that is said. */
static void deliver(struct gw_ledger *ledger, int64_t first, bool arrives)
{
    struct gw_delivered records[10];
    for (int i = 0; i < 10; i++)
        records[i] = (struct gw_delivered){first + i, 0, 100};
    struct gw_ledger_event event = {.kind = GW_LEDGER_DELIVERED,
                                    .application = "app",
                                    .hrn = "hrn:catalog",
                                    .layer = "layer",
                                    .group = "group",
                                    .topic = "topic",
                                    .usage = {.calls_out = 1},
                                    .records = records,
                                    .count = 10};
    submit(ledger, &event);
    struct gw_ledger_event settled = {.kind = GW_LEDGER_SETTLED, .number = event.number};
    if (arrives)
        submit(ledger, &settled);
}

static bool add_line(void *opaque, const struct gw_usage_line *line)
{
    ((int64_t *)opaque)[0] += line->usage.messages_out;
    return true;
}

static bool add_delivery(void *opaque, const struct gw_unconfirmed *delivery)
{
    ((int64_t *)opaque)[1] += delivery->messages;
    return true;
}

static void expect_usage(struct gw_ledger *ledger, int64_t messages, int64_t unconfirmed)
{
    const struct gw_usage_filter filter = {.to_hour = INT64_MAX};
    int64_t sums[2] = {0, 0};
    struct gw_volumes volumes;
    assert_int_equal(gw_ledger_read_usage(ledger, &filter, NULL, add_line, sums, NULL), SL_OK);
    assert_int_equal(gw_ledger_read_unconfirmed(ledger, &filter, 0, add_delivery, sums, NULL), SL_OK);
    assert_int_equal(sums[0], messages);
    assert_int_equal(sums[1], unconfirmed);
    gw_ledger_volumes(ledger, "app", "hrn:catalog", &volumes);
    assert_int_equal(volumes.all, 100 * messages);
}

/* Until this process ends nobody else changes ledger.db: what is written stays in the journal. */
static void lock_tables(const struct fixture *fixture)
{
    char path[100];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/ledger.db", fixture->directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

/* Delivers from first on in a process that ends in the midst of it; all is folded then, or nothing. */
static void deliver_and_die(const struct fixture *fixture, int64_t first, unsigned count, bool folds)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        struct gw_ledger *ledger = open_ledger(fixture, 0);
        if (!folds)
            lock_tables(fixture);
        for (unsigned i = 0; i < count; i++)
            deliver(ledger, first + 10 * i, i + 1 < count);
        if (folds)
            expect_usage(ledger, first + 10 * count, 10 * (first / 10 / (int64_t)count + 1));
        struct gw_volumes volumes;
        gw_ledger_volumes(ledger, "app", "hrn:catalog", &volumes);
        assert_int_equal(volumes.all, 100 * (first + 10 * count)); /* folded or not */
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void what_was_told_is_there_after_a_kill(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 4; i++)
        deliver_and_die(fixture, 100 * i, 10, i % 2);
    struct gw_ledger *ledger = open_ledger(fixture, 0);
    expect_usage(ledger, 400, 40);
    deliver(ledger, 0, true); /* again: what was open has arrived */
    deliver(ledger, 90, true);
    expect_usage(ledger, 400, 30);
    gw_ledger_close(&ledger);
    /* A ledger that has ended has no journal. */
    char path[100];
    snprintf(path, sizeof path, "%s/ledger-journal", fixture->directory);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(errno, ENOENT);
    ledger = open_ledger(fixture, 0);
    expect_usage(ledger, 400, 30);
    gw_ledger_close(&ledger);
}

static void a_bound_that_leaves_no_room_for_a_journal_has_none(void **state)
{
    struct fixture *fixture = *state;
    char path[100];
    snprintf(path, sizeof path, "%s/ledger-journal", fixture->directory);
    deliver_and_die(fixture, 0, 10, false);
    assert_int_equal(access(path, F_OK), 0);
    struct gw_ledger *ledger = open_ledger(fixture, 1 << 20);
    expect_usage(ledger, 100, 10);
    assert_int_equal(access(path, F_OK), -1);
    deliver(ledger, 100, true);
    gw_ledger_close(&ledger);
    deliver_and_die(fixture, 110, 1, false); /* and begins one again */
    ledger = open_ledger(fixture, 1 << 30);
    expect_usage(ledger, 120, 20);
    deliver(ledger, 120, true);
    expect_usage(ledger, 130, 20);
    gw_ledger_close(&ledger);
}

static void a_damaged_journal_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    char why[GW_LEDGER_WHY], command[200];
    deliver_and_die(fixture, 0, 10, false);
    change(fixture, "000001", 5 * GW_FRAME_BLOCK + GW_FRAME_HEADER + 10);
    snprintf(command, sizeof command, "cd %s && sha256sum ledger-journal/* > sums", fixture->directory);
    assert_int_equal(system(command), 0);
    struct gw_ledger *ledger = open_ledger(fixture, 0);
    assert_false(gw_ledger_available(ledger, why));
    assert_non_null(strstr(why, "ledger-journal"));
    assert_non_null(strstr(why, "damaged"));
    const struct gw_usage_filter filter = {.to_hour = INT64_MAX};
    int64_t sum = 0;
    assert_int_equal(gw_ledger_read_usage(ledger, &filter, NULL, add_line, &sum, NULL), SL_UNAVAILABLE);
    gw_ledger_close(&ledger);
    snprintf(command, sizeof command, "cd %s && sha256sum --quiet -c sums", fixture->directory);
    assert_int_equal(system(command), 0);
    change(fixture, "000001", 5 * GW_FRAME_BLOCK + GW_FRAME_HEADER + 10);
    ledger = open_ledger(fixture, 0);
    expect_usage(ledger, 100, 10);
    gw_ledger_close(&ledger);
}

static void run_sql(const struct fixture *fixture, const char *sql)
{
    char path[100];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/ledger.db", fixture->directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* A row is damaged while the ledger runs: what is told stays in the journal until that is mended. */
static void what_cannot_be_folded_stays_in_the_journal(void **state)
{
    struct fixture *fixture = *state;
    const struct gw_usage_filter filter = {.to_hour = INT64_MAX};
    char why[GW_LEDGER_WHY];
    int64_t sum = 0;
    struct gw_ledger *ledger = open_ledger(fixture, 0);
    deliver(ledger, 0, true);
    expect_usage(ledger, 10, 0);
    run_sql(fixture, "UPDATE usage SET bytes_out = bytes_out + 1");
    deliver(ledger, 10, false);
    assert_int_equal(gw_ledger_read_usage(ledger, &filter, NULL, add_line, &sum, NULL), SL_UNAVAILABLE);
    assert_false(gw_ledger_available(ledger, why));
    assert_non_null(strstr(why, "damaged"));
    struct gw_ledger_event event = {
        .kind = GW_LEDGER_USED, .application = "app", .hrn = "hrn:catalog", .layer = "a"};
    assert_int_equal(try_submit(ledger, &event), SL_IO);
    gw_ledger_close(&ledger);
    ledger = open_ledger(fixture, 0);
    assert_false(gw_ledger_available(ledger, why));
    gw_ledger_close(&ledger);
    run_sql(fixture, "UPDATE usage SET bytes_out = bytes_out - 1");
    ledger = open_ledger(fixture, 0);
    expect_usage(ledger, 20, 10);
    gw_ledger_close(&ledger);
}

CASES_MAIN(cmocka_unit_test_setup_teardown(what_was_appended_is_found_again, setup, teardown),
           cmocka_unit_test(records_and_gaps_come_back_from_a_frame),
           cmocka_unit_test_setup_teardown(a_torn_end_is_left_out, setup, teardown),
           cmocka_unit_test_setup_teardown(a_damaged_frame_with_others_behind_it_is_told, setup, teardown),
           cmocka_unit_test_setup_teardown(what_lacks_behind_a_copy_is_told, setup, teardown),
           cmocka_unit_test_setup_teardown(what_is_no_file_of_it_is_told, setup, teardown),
           cmocka_unit_test_setup_teardown(files_that_were_used_again_are_no_damage_to_an_older_copy, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(what_cannot_be_read_past_the_cache_is_read_through_it, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(files_are_used_again_once_released, setup, teardown),
           cmocka_unit_test_setup_teardown(a_bound_is_kept, setup, teardown),
           cmocka_unit_test_setup_teardown(one_larger_than_a_file_has_one_of_its_own, setup, teardown),
           cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing_behind, setup, teardown),
           cmocka_unit_test_setup_teardown(what_was_told_is_there_after_a_kill, setup, teardown),
           cmocka_unit_test_setup_teardown(a_bound_that_leaves_no_room_for_a_journal_has_none, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(a_damaged_journal_is_left_alone, setup, teardown),
           cmocka_unit_test_setup_teardown(what_cannot_be_folded_stays_in_the_journal, setup, teardown))
