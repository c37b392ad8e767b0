/* The signed token requests that were answered: remembered, also by the next process, and forgotten in time.
 */
#include "support/cases.h"

#include "gateway/store/nonces.h"
#include "gw_full_disk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW INT64_C(1700000000000)

struct fixture {
    char directory[64];
    struct gw_nonces *nonces;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->directory, "/tmp/gw-nonces-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    assert_int_equal(gw_nonces_open(fixture->directory, NOW, &fixture->nonces, NULL), SL_OK);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    gw_nonces_close(&fixture->nonces);
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", fixture->directory);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

static void reopen(struct fixture *fixture, int64_t now_ms)
{
    gw_nonces_close(&fixture->nonces);
    assert_int_equal(gw_nonces_open(fixture->directory, now_ms, &fixture->nonces, NULL), SL_OK);
}

static sl_status remember(struct fixture *fixture, unsigned char which, int64_t until_ms)
{
    unsigned char digest[GW_NONCE_DIGEST] = {which};
    return gw_nonces_remember(fixture->nonces, digest, until_ms, NULL);
}

static void each_is_good_once(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(remember(fixture, 1, NOW + 1000), i ? SL_CONFLICT : SL_OK);
        assert_int_equal(remember(fixture, 2, NOW + 1000), i ? SL_CONFLICT : SL_OK);
        assert_int_equal(remember(fixture, 1, NOW + 1000), SL_CONFLICT);
        reopen(fixture, NOW);
    }
}

static void they_are_forgotten_in_time(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(remember(fixture, 1, NOW + 1000), SL_OK);
    assert_int_equal(remember(fixture, 2, NOW + 2000), SL_OK);
    assert_int_equal(gw_nonces_prune(fixture->nonces, NOW + 1000, NULL), SL_OK);
    assert_int_equal(remember(fixture, 2, NOW + 2000), SL_CONFLICT);
    assert_int_equal(remember(fixture, 1, NOW + 1000), SL_OK);
    reopen(fixture, NOW + 2000);
    assert_int_equal(remember(fixture, 2, NOW + 9000), SL_OK);
}

static void nobody_else_may_read_them(void **state)
{
    struct fixture *fixture = *state;
    char file[100];
    struct stat info;
    assert_int_equal(remember(fixture, 1, NOW), SL_OK);
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/nonces.db%s", fixture->directory, suffixes[i]);
        assert_int_equal(stat(file, &info), 0);
        assert_int_equal(info.st_mode & 0777, 0600);
    }
}

static void a_broken_file_is_named(void **state)
{
    struct fixture *fixture = *state;
    char file[100];
    sl_error error = {0};
    gw_nonces_close(&fixture->nonces);
    snprintf(file, sizeof file, "%s/nonces.db", fixture->directory);
    FILE *out = fopen(file, "we");
    fprintf(out, "%01000d", 0);
    fclose(out);
    assert_int_equal(gw_nonces_open(fixture->directory, NOW, &fixture->nonces, &error), SL_IO);
    assert_non_null(strstr(error.text, file));
    assert_non_null(strstr(error.text, "may be removed"));
    assert_null(fixture->nonces);
    assert_int_equal(gw_nonces_open("/nowhere", NOW, &fixture->nonces, &error), SL_IO);
    assert_non_null(strstr(error.text, "/nowhere/nonces.db"));
}

static void a_full_disk_is_told_and_goes_by(void **state)
{
    struct fixture *fixture = *state;
    const unsigned char digest[GW_NONCE_DIGEST] = {1};
    struct full_disk disk;
    sl_error error = {0};
    full_disk_begin(&disk, "/nonces.db-wal");
    assert_int_equal(gw_nonces_remember(fixture->nonces, digest, NOW + 1000, &error), SL_IO);
    full_disk_end(&disk);
    assert_true(error.retriable);
    assert_non_null(strstr(error.text, fixture->directory));
    assert_non_null(strstr(error.text, "the disk is full"));
    assert_int_equal(remember(fixture, 1, NOW + 1000), SL_OK);
    assert_int_equal(remember(fixture, 1, NOW + 1000), SL_CONFLICT);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(a_full_disk_is_told_and_goes_by, setup, teardown),
    cmocka_unit_test_setup_teardown(each_is_good_once, setup, teardown),
    cmocka_unit_test_setup_teardown(they_are_forgotten_in_time, setup, teardown),
    cmocka_unit_test_setup_teardown(nobody_else_may_read_them, setup, teardown),
    cmocka_unit_test_setup_teardown(a_broken_file_is_named, setup, teardown))
