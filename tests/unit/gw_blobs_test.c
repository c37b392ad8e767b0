#include "support/cases.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "base/time.h"
#include "gateway/store/blobs.h"
#include "gw_full_disk.h"

struct bench {
    char directory[64];
    struct gw_blobs *blobs;
};

static void setup(struct bench *bench)
{
    sl_error error;
    snprintf(bench->directory, sizeof bench->directory, "/tmp/gw-blobs-XXXXXX");
    assert_non_null(mkdtemp(bench->directory));
    assert_int_equal(gw_blobs_open(bench->directory, &bench->blobs, &error), SL_OK);
}

static void tear_down(struct bench *bench)
{
    char command[128];
    gw_blobs_close(&bench->blobs);
    snprintf(command, sizeof command, "rm -rf '%s'", bench->directory);
    assert_int_equal(system(command), 0);
}

static struct gw_blob_file *begin(struct bench *bench, const void *data, size_t size)
{
    struct gw_blob_file *file;
    sl_error error;
    assert_int_equal(gw_blob_begin(bench->blobs, &file, &error), SL_OK);
    assert_int_equal(gw_blob_write(file, data, size, &error), SL_OK);
    return file;
}

static void keep(struct bench *bench, struct gw_blob_file *file, const char *topic, const char *handle)
{
    struct gw_blob_info info = {.type = "text/plain", .encoding = "gzip"};
    sl_error error;
    (void)bench;
    assert_int_equal(gw_blob_seal(file, &info, &error), SL_OK);
    assert_int_equal(gw_blob_keep(&file, topic, handle, "app", &info, &error), SL_OK);
    assert_null(file);
}

static void store(struct bench *bench, const char *topic, const char *handle, const char *text)
{
    keep(bench, begin(bench, text, strlen(text)), topic, handle);
}

/* The blob is there with this content; NULL: it is not there. */
static void expect(struct bench *bench, const char *topic, const char *handle, const char *text)
{
    struct gw_blob_info info;
    sl_error error;
    char content[256], checksum[65];
    int fd;
    int64_t offset;
    sl_status status = gw_blob_open(bench->blobs, topic, handle, NULL, &info, &fd, &offset, &error);
    if (!text) {
        assert_int_equal(status, SL_NOT_FOUND);
        return;
    }
    assert_int_equal(status, SL_OK);
    assert_int_equal(info.size, strlen(text));
    ssize_t got = pread(fd, content, sizeof content, offset);
    close(fd);
    assert_int_equal(got, strlen(text));
    assert_memory_equal(content, text, (size_t)got);
    assert_true(sl_sha256_hex(text, strlen(text), checksum));
    assert_string_equal(info.checksum, checksum);
    assert_string_equal(info.type, "text/plain");
    assert_string_equal(info.encoding, "gzip");
}

static size_t count_files(const struct bench *bench, const char *below)
{
    char path[160];
    snprintf(path, sizeof path, "%s/blobs/%s", bench->directory, below);
    DIR *list = opendir(path);
    size_t count = 0;
    for (const struct dirent *entry; list && (entry = readdir(list));)
        count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
    if (list)
        closedir(list);
    return count;
}

static void handles_are_names_and_nothing_else(void **state)
{
    (void)state;
    char name[GW_HANDLE_MAX + 2];
    memset(name, 'a', sizeof name);
    name[GW_HANDLE_MAX + 1] = 0;
    assert_false(gw_handle_ok(name));
    name[GW_HANDLE_MAX] = 0;
    assert_true(gw_handle_ok(name));
    const char *good[] = {"a", ".", "..", "A-Z_0.9", "-"};
    const char *bad[] = {"", "a/b", "../x", "a b", "\xc3\xa4", "a\n", "%41", "a:b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(gw_handle_ok(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(gw_handle_ok(bad[i]));
}

static void a_blob_is_stored_and_read(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    expect(&bench, "topic", "h", NULL);
    store(&bench, "topic", "h", "first");
    expect(&bench, "topic", "h", "first");
    expect(&bench, "other", "h", NULL);
    store(&bench, "topic", "h", "the second");
    expect(&bench, "topic", "h", "the second");
    store(&bench, "topic", "empty", "");
    expect(&bench, "topic", "empty", "");
    store(&bench, "topic", "..", "dots");
    expect(&bench, "topic", "..", "dots");
    store(&bench, "topic", ".", "dot");
    expect(&bench, "topic", ".", "dot");
    assert_int_equal(count_files(&bench, "layers/topic"), 4);
    assert_int_equal(count_files(&bench, "incoming"), 0);
    sl_error error;
    assert_int_equal(gw_blob_remove(bench.blobs, "topic", "h", &error), SL_OK);
    assert_int_equal(gw_blob_remove(bench.blobs, "topic", "h", &error), SL_OK);
    expect(&bench, "topic", "h", NULL);
    tear_down(&bench);
}

static void names_do_not_lead_out(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    struct gw_blob_info info = {.size = 0};
    sl_error error;
    const char *topics[] = {"", ".", "..", "a/b", "../incoming"};
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        struct gw_blob_file *file = begin(&bench, "x", 1);
        assert_int_equal(gw_blob_seal(file, &info, &error), SL_OK);
        assert_int_equal(gw_blob_keep(&file, topics[i], "h", "app", &info, &error), SL_INVALID_ARGUMENT);
        assert_int_equal(gw_blob_find(bench.blobs, topics[i], "h", NULL, &info, &error), SL_NOT_FOUND);
    }
    struct gw_blob_file *file = begin(&bench, "x", 1);
    assert_int_equal(gw_blob_seal(file, &info, &error), SL_OK);
    assert_int_equal(gw_blob_keep(&file, "topic", "../h", "app", &info, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(gw_blob_find(bench.blobs, "topic", "../h", NULL, &info, &error), SL_NOT_FOUND);
    assert_int_equal(count_files(&bench, "incoming"), 0);
    tear_down(&bench);
}

static sl_status keep_for(struct bench *bench, const char *owner, const char *text, sl_error *error)
{
    struct gw_blob_info info = {.type = "text/plain", .encoding = "gzip"};
    struct gw_blob_file *file = begin(bench, text, strlen(text));
    assert_int_equal(gw_blob_seal(file, &info, error), SL_OK);
    sl_status status = gw_blob_keep(&file, "topic", "h", owner, &info, error);
    assert_null(file);
    return status;
}

static void a_blob_is_its_owners(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    struct gw_blob_info info;
    sl_error error;
    assert_int_equal(keep_for(&bench, "a", "one", &error), SL_OK);
    assert_int_equal(keep_for(&bench, "b", "two", &error), SL_NOT_FOUND);
    assert_non_null(strstr(error.text, "\"h\""));
    assert_int_equal(keep_for(&bench, "", "two", &error), SL_INTERNAL);
    char longest[GW_BLOB_OWNER_MAX + 2] = "";
    memset(longest, 'a', GW_BLOB_OWNER_MAX + 1); /* cut, it would be another's */
    assert_int_equal(keep_for(&bench, longest, "two", &error), SL_INTERNAL);
    expect(&bench, "topic", "h", "one");
    assert_int_equal(gw_blob_find(bench.blobs, "topic", "h", "a", &info, &error), SL_OK);
    assert_int_equal(gw_blob_find(bench.blobs, "topic", "h", "b", &info, &error), SL_NOT_FOUND);
    assert_int_equal(gw_blob_find(bench.blobs, "topic", "h", "", &info, &error), SL_NOT_FOUND);
    assert_int_equal(keep_for(&bench, "a", "again", &error), SL_OK);
    expect(&bench, "topic", "h", "again");
    assert_int_equal(count_files(&bench, "incoming"), 0);
    longest[GW_BLOB_OWNER_MAX] = 0;
    assert_int_equal(gw_blob_remove(bench.blobs, "topic", "h", &error), SL_OK);
    assert_int_equal(keep_for(&bench, longest, "long", &error), SL_OK);
    assert_int_equal(gw_blob_find(bench.blobs, "topic", "h", longest, &info, &error), SL_OK);
    tear_down(&bench);
}

/* A file of the version before owners were kept. */
static void a_blob_without_an_owner_is_nobodys(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    char path[160];
    struct gw_blob_info info;
    sl_error error;
    store(&bench, "topic", "h", "old");
    snprintf(path, sizeof path, "%s/blobs/layers/topic/h.blob", bench.directory);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 8 + 72 + 256 + 256, SEEK_SET), 0);
    static const char none[1024 - 8 - 72 - 256 - 256] = {0};
    assert_int_equal(fwrite(none, sizeof none, 1, file), 1);
    fclose(file);
    expect(&bench, "topic", "h", "old");
    assert_int_equal(gw_blob_find(bench.blobs, "topic", "h", "app", &info, &error), SL_NOT_FOUND);
    assert_int_equal(keep_for(&bench, "app", "new", &error), SL_NOT_FOUND);
    expect(&bench, "topic", "h", "old");
    tear_down(&bench);
}

static void what_is_given_up_leaves_nothing(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    store(&bench, "topic", "h", "whole");
    struct gw_blob_file *file = begin(&bench, "half", 4);
    assert_int_equal(count_files(&bench, "incoming"), 1);
    gw_blob_drop(&file);
    assert_int_equal(count_files(&bench, "incoming"), 0);
    /* A crash: the file is there when the gateway starts again. */
    file = begin(&bench, "half", 4);
    sl_error error;
    struct gw_blobs *again;
    assert_int_equal(gw_blobs_open(bench.directory, &again, &error), SL_OK);
    assert_int_equal(count_files(&bench, "incoming"), 0);
    gw_blobs_close(&again);
    gw_blob_drop(&file);
    expect(&bench, "topic", "h", "whole");
    tear_down(&bench);
}

static void a_damaged_file_is_an_error(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    store(&bench, "topic", "h", "whole");
    char path[160];
    snprintf(path, sizeof path, "%s/blobs/layers/topic/h.blob", bench.directory);
    assert_int_equal(truncate(path, 100), 0);
    struct gw_blob_info info;
    sl_error error;
    assert_int_equal(gw_blob_find(bench.blobs, "topic", "h", NULL, &info, &error), SL_IO);
    assert_non_null(strstr(error.text, bench.directory));
    tear_down(&bench);
}

static int64_t ttl_of(void *opaque, const char *topic)
{
    (void)opaque;
    return strcmp(topic, "live") ? -1 : 600000;
}

static void old_blobs_and_those_of_deleted_layers_go(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    store(&bench, "live", "a", "x");
    store(&bench, "live", "b", "x");
    store(&bench, "deleted", "c", "x");
    size_t removed;
    sl_error error;
    int64_t now = sl_wall_ms();
    assert_int_equal(gw_blobs_sweep(bench.blobs, now, ttl_of, NULL, &removed, &error), SL_OK);
    assert_int_equal(removed, 1);
    expect(&bench, "live", "a", "x");
    expect(&bench, "deleted", "c", NULL);
    assert_int_equal(count_files(&bench, "layers"), 1);
    int64_t spare = 600000 + GW_BLOB_SPARE_TTL_MS;
    assert_int_equal(gw_blobs_sweep(bench.blobs, now + spare - 10000, ttl_of, NULL, &removed, &error), SL_OK);
    assert_int_equal(removed, 0);
    assert_int_equal(gw_blobs_sweep(bench.blobs, now + spare + 10000, ttl_of, NULL, &removed, &error), SL_OK);
    assert_int_equal(removed, 2);
    expect(&bench, "live", "a", NULL);
    tear_down(&bench);
}

static void a_full_disk_is_told_and_leaves_nothing(void **state)
{
    (void)state;
    /* /dev/full cannot stand for a directory: a limit on the size of files fails likewise, but for the
     * number. So the failure is looked at through a file that cannot grow. */
    struct bench bench;
    setup(&bench);
    struct gw_blob_file *file = begin(&bench, "x", 1);
    struct full_disk disk;
    full_disk_begin(&disk, "/incoming/");
    sl_error error;
    assert_int_equal(gw_blob_write(file, "more", 4, &error), SL_IO);
    assert_true(error.retriable);
    assert_non_null(strstr(error.text, "full"));
    assert_non_null(strstr(error.text, bench.directory));
    full_disk_end(&disk);
    gw_blob_drop(&file);
    assert_int_equal(count_files(&bench, "incoming"), 0);
    tear_down(&bench);
}

static void *replace(void *opaque)
{
    struct bench *bench = opaque;
    for (int i = 0; i < 50; i++) {
        store(bench, "live", "h", "same");
        expect(bench, "live", "h", "same");
    }
    return NULL;
}

static void replacing_and_sweeping_at_once(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, replace, &bench), 0);
    for (int i = 0; i < 50; i++) {
        size_t removed;
        assert_int_equal(gw_blobs_sweep(bench.blobs, sl_wall_ms(), ttl_of, NULL, &removed, NULL), SL_OK);
        assert_int_equal(removed, 0);
    }
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    expect(&bench, "live", "h", "same");
    tear_down(&bench);
}

CASES_MAIN(cmocka_unit_test(handles_are_names_and_nothing_else), cmocka_unit_test(a_blob_is_stored_and_read),
           cmocka_unit_test(names_do_not_lead_out), cmocka_unit_test(a_blob_is_its_owners),
           cmocka_unit_test(a_blob_without_an_owner_is_nobodys),
           cmocka_unit_test(what_is_given_up_leaves_nothing), cmocka_unit_test(a_damaged_file_is_an_error),
           cmocka_unit_test(old_blobs_and_those_of_deleted_layers_go),
           cmocka_unit_test(a_full_disk_is_told_and_leaves_nothing),
           cmocka_unit_test(replacing_and_sweeping_at_once))
