/* gzip as the library makes it and takes it: hostile payloads are refused, and never cost more than the
 * bound. */
#include "support/cases.h"
#include <stdlib.h>
#include <string.h>

#include "wire/gzip.h"

enum { MIB = 1024 * 1024 };

/* One member of these bytes, the caller's. */
static unsigned char *packed(const void *data, size_t size, size_t *out_size)
{
    struct sl_gzip *gzip = sl_gzip_create();
    const void *out;
    assert_non_null(gzip);
    assert_true(sl_gzip_compress(gzip, data, size, &out, out_size));
    unsigned char *copy = malloc(*out_size);
    assert_non_null(copy);
    memcpy(copy, out, *out_size);
    sl_gzip_destroy(&gzip);
    assert_null(gzip);
    return copy;
}

static void assert_inflates(const void *data, size_t size, size_t max, const void *wanted, size_t wanted_size)
{
    sl_error error = {0};
    void *out = NULL;
    size_t out_size;
    if (sl_gzip_inflate(data, size, max, &out, &out_size, &error))
        fail_msg("%s", error.text);
    assert_int_equal(out_size, wanted_size);
    assert_int_equal(memcmp(out, wanted, wanted_size), 0);
    assert_int_equal(((char *)out)[out_size], 0);
    free(out);
}

static void assert_refused(const void *data, size_t size, size_t max, sl_status status, const char *says)
{
    sl_error error = {0};
    void *out = NULL;
    size_t out_size;
    assert_int_equal(sl_gzip_inflate(data, size, max, &out, &out_size, &error), status);
    assert_int_equal(error.status, status);
    assert_null(out);
    if (!strstr(error.text, says))
        fail_msg("\"%s\" does not say \"%s\"", error.text, says);
}

static void what_is_compressed_inflates(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 300, 65536, 3 * MIB + 7};
    unsigned char *bytes = malloc(3 * MIB + 7);
    assert_non_null(bytes);
    uint32_t random = 1;
    for (size_t i = 0; i < 3 * MIB + 7; i++) /* the second half does not compress */
        bytes[i] = (unsigned char)(i < 2 * MIB ? i / 1000 : (random = random * 1664525 + 1013904223) >> 24);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size;
        unsigned char *gzip = packed(bytes, sizes[i], &size);
        assert_true(size >= 18 && gzip[0] == 0x1f && gzip[1] == 0x8b);
        assert_inflates(gzip, size, 4 * MIB, bytes, sizes[i]);
        assert_inflates(gzip, size, sizes[i], bytes, sizes[i]);
        if (sizes[i])
            assert_refused(gzip, size, sizes[i] - 1, SL_TOO_LARGE, "more than");
        free(gzip);
    }
    free(bytes);
}

/* RFC 1952, 2.2: their contents follow each other. */
static void several_members(void **state)
{
    (void)state;
    size_t first, second, none;
    unsigned char *a = packed("one ", 4, &first), *b = packed("two", 3, &second), *c = packed("", 0, &none);
    unsigned char all[200];
    assert_true(first + second + none < sizeof all);
    memcpy(all, a, first);
    memcpy(all + first, c, none);
    memcpy(all + first + none, b, second);
    size_t size = first + none + second;
    assert_inflates(all, size, 7, "one two", 7);
    assert_refused(all, size, 6, SL_TOO_LARGE, "more than 6 bytes");
    all[size] = 0; /* and nothing but members */
    assert_refused(all, size + 1, 100, SL_PROTOCOL, "not");
    memcpy(all + size, "rest", 4);
    assert_refused(all, size + 4, 100, SL_PROTOCOL, "not gzip");
    free(a);
    free(b);
    free(c);
}

static void what_is_cut_short_or_damaged(void **state)
{
    (void)state;
    size_t size;
    unsigned char *gzip = packed("a text, a text, a text", 22, &size);
    assert_refused("", 0, 100, SL_PROTOCOL, "empty");
    for (size_t cut = 1; cut < size; cut++)
        assert_refused(gzip, cut, 100, SL_PROTOCOL, "ends early");
    gzip[size - 8] ^= 1; /* the check sum */
    assert_refused(gzip, size, 100, SL_PROTOCOL, "damaged");
    gzip[size - 8] ^= 1;
    gzip[size - 4] ^= 1; /* the length */
    assert_refused(gzip, size, 100, SL_PROTOCOL, "damaged");
    assert_refused("plain text, and not gzip", 24, 100, SL_PROTOCOL, "not gzip");
    free(gzip);
}

/* 64 MiB of zeros in 64 KiB, twice over. */
static void bombs(void **state)
{
    (void)state;
    size_t size, outer;
    unsigned char *zeros = calloc(64, MIB);
    assert_non_null(zeros);
    unsigned char *bomb = packed(zeros, (size_t)64 * MIB, &size);
    free(zeros);
    assert_true(size < 80000);
    assert_refused(bomb, size, MIB, SL_TOO_LARGE, "more than 1048576 bytes");
    assert_refused(bomb, size, 0, SL_TOO_LARGE, "more than 0 bytes");
    unsigned char *nested = packed(bomb, size, &outer);
    assert_inflates(nested, outer, MIB, bomb, size); /* once and no more */
    free(nested);
    free(bomb);
}

static void a_pool_lends_each_to_one(void **state)
{
    (void)state;
    struct sl_gzip_pool pool;
    const void *out;
    size_t size;
    sl_gzip_pool_init(&pool);
    struct sl_gzip *one = sl_gzip_pool_take(&pool), *two = sl_gzip_pool_take(&pool);
    assert_true(one && two && one != two);
    assert_true(sl_gzip_compress(one, "first", 5, &out, &size));
    sl_gzip_pool_give(&pool, one);
    sl_gzip_pool_give(&pool, NULL);
    assert_ptr_equal(sl_gzip_pool_take(&pool), one);
    assert_true(sl_gzip_compress(one, "second", 6, &out, &size)); /* nothing of the first is left */
    assert_inflates(out, size, 100, "second", 6);
    unsigned char noise[5000];
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)((random = random * 1664525 + 1013904223) >> 24);
    assert_true(sl_gzip_compress(two, noise, sizeof noise, &out, &size)); /* there is room each time */
    assert_true(sl_gzip_compress(two, noise, sizeof noise, &out, &size));
    assert_inflates(out, size, sizeof noise, noise, sizeof noise);
    sl_gzip_pool_give(&pool, one);
    sl_gzip_pool_give(&pool, two);
    sl_gzip_pool_free(&pool);
}

CASES_MAIN(cmocka_unit_test(what_is_compressed_inflates), cmocka_unit_test(several_members),
           cmocka_unit_test(what_is_cut_short_or_damaged), cmocka_unit_test(bombs),
           cmocka_unit_test(a_pool_lends_each_to_one))
