#include "blobs.h"

#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "client/blob.h"

static int setup(void **state)
{
    *state = blobs_start();
    return 0;
}

static int teardown(void **state)
{
    blobs_stop(*state);
    return 0;
}

static void assert_part(sl_client *client, const char *handle, int64_t first, int64_t count,
                        const char *expected)
{
    void *data = NULL;
    size_t size = 99;
    sl_error error;
    if (sl_blob_get(client, BLOBS_HRN, BLOBS_LAYER, handle, first, count, &data, &size, &error))
        fail_msg("%s", error.text);
    assert_int_equal(size, strlen(expected));
    assert_string_equal(data, expected);
    sl_free(data);
}

static void what_was_put_is_got_whole_and_in_parts(void **state)
{
    struct blobs *blobs = *state;
    sl_client *client = blobs_client(blobs, NULL);
    sl_error error;
    char *made = NULL;
    assert_int_equal(sl_blob_put(client, BLOBS_HRN, BLOBS_LAYER, "h-1", "0123456789", 10, &made, &error),
                     SL_OK);
    assert_string_equal(made, "h-1");
    sl_free(made);
    for (int pass = 0; pass < 2; pass++) { /* with ranges, and from a platform that answers with the whole */
        blobs->whole = pass;
        assert_part(client, "h-1", 0, -1, "0123456789");
        assert_part(client, "h-1", 3, -1, "3456789");
        assert_part(client, "h-1", 3, 4, "3456");
        assert_part(client, "h-1", 8, 100, "89");
        assert_part(client, "h-1", 10, 5, "");
    }
    int64_t size = -1;
    assert_int_equal(sl_blob_size(client, BLOBS_HRN, BLOBS_LAYER, "h-1", &size, &error), SL_OK);
    assert_int_equal(size, 10);
    sl_client_destroy(&client);
}

static void a_blob_may_be_empty(void **state)
{
    sl_client *client = blobs_client(*state, NULL);
    sl_error error;
    int64_t size = -1;
    assert_int_equal(sl_blob_put(client, BLOBS_HRN, BLOBS_LAYER, "none", NULL, 0, NULL, &error), SL_OK);
    assert_int_equal(sl_blob_size(client, BLOBS_HRN, BLOBS_LAYER, "none", &size, &error), SL_OK);
    assert_int_equal(size, 0);
    assert_part(client, "none", 0, -1, "");
    sl_client_destroy(&client);
}

static void handles_are_made_where_none_is_given(void **state)
{
    struct blobs *blobs = *state;
    sl_client *client = blobs_client(blobs, NULL);
    sl_error error;
    char *one = NULL, *two = NULL;
    assert_int_equal(sl_blob_put(client, BLOBS_HRN, BLOBS_LAYER, NULL, "a", 1, &one, &error), SL_OK);
    assert_int_equal(sl_blob_put(client, BLOBS_HRN, BLOBS_LAYER, NULL, "b", 1, &two, &error), SL_OK);
    assert_string_not_equal(one, two);
    assert_part(client, one, 0, -1, "a");
    assert_part(client, two, 0, -1, "b");
    sl_free(one);
    sl_free(two);
    sl_client_destroy(&client);
}

static void what_is_not_there_is_not_found(void **state)
{
    sl_client *client = blobs_client(*state, NULL);
    sl_error error;
    void *data;
    size_t size;
    int64_t length;
    assert_int_equal(sl_blob_get(client, BLOBS_HRN, BLOBS_LAYER, "no", 0, -1, &data, &size, &error),
                     SL_NOT_FOUND);
    assert_int_equal(sl_blob_size(client, BLOBS_HRN, BLOBS_LAYER, "no", &length, &error), SL_NOT_FOUND);
    sl_client_destroy(&client);
}

static void passing_failures_are_tried_again(void **state)
{
    struct blobs *blobs = *state;
    sl_client *client = blobs_client(blobs, NULL);
    sl_error error;
    blobs->fail[0] = 503;
    blobs->fail[1] = -1;
    assert_int_equal(sl_blob_put(client, BLOBS_HRN, BLOBS_LAYER, "h", "abc", 3, NULL, &error), SL_OK);
    blobs->fail[0] = 500;
    assert_part(client, "h", 0, -1, "abc");
    sl_client_destroy(&client);
}

static void impossible_arguments_are_refused(void **state)
{
    sl_client *client = blobs_client(*state, NULL);
    sl_error error;
    void *data;
    size_t size;
    static const char *const handles[] = {"", ".", "..", "a/b", "a b", "%2e", "h\xc3\xa4"};
    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++)
        assert_int_equal(sl_blob_put(client, BLOBS_HRN, BLOBS_LAYER, handles[i], "x", 1, NULL, &error),
                         SL_INVALID_ARGUMENT);
    assert_int_equal(sl_blob_get(client, BLOBS_HRN, BLOBS_LAYER, NULL, 0, -1, &data, &size, &error),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(sl_blob_get(client, BLOBS_HRN, BLOBS_LAYER, "h", -1, -1, &data, &size, &error),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(sl_blob_get(client, BLOBS_HRN, BLOBS_LAYER, "h", 0, 0, &data, &size, &error),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(sl_blob_put(client, "no-hrn", BLOBS_LAYER, "h", "x", 1, NULL, &error),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(sl_blob_put(NULL, BLOBS_HRN, BLOBS_LAYER, "h", "x", 1, NULL, &error), SL_INVALID_HANDLE);
    sl_client_destroy(&client);
}

static void sizes_are_bounded(void **state)
{
    struct blobs *blobs = *state;
    sl_client *client = blobs_client(blobs, "here.platform.data-client.stream.blob.max-size = 1 MiB");
    sl_error error;
    void *data;
    size_t size;
    char *large = calloc(1, (1 << 20) + 1);
    assert_int_equal(sl_blob_put(client, BLOBS_HRN, BLOBS_LAYER, "h", large, (1 << 20) + 1, NULL, &error),
                     SL_TOO_LARGE);
    assert_int_equal(sl_blob_put(client, BLOBS_HRN, BLOBS_LAYER, "h", large, 1 << 20, NULL, &error), SL_OK);
    assert_int_equal(sl_blob_get(client, BLOBS_HRN, BLOBS_LAYER, "h", 0, -1, &data, &size, &error), SL_OK);
    sl_free(data);
    blobs_add(blobs, "larger", large, (1 << 20) + 1);
    assert_int_equal(sl_blob_get(client, BLOBS_HRN, BLOBS_LAYER, "larger", 0, -1, &data, &size, &error),
                     SL_TOO_LARGE);
    assert_non_null(strstr(error.text, "stream.blob.max-size"));
    assert_int_equal(sl_blob_get(client, BLOBS_HRN, BLOBS_LAYER, "larger", 1, -1, &data, &size, &error),
                     SL_OK);
    assert_int_equal(size, 1 << 20);
    sl_free(data);
    free(large);
    sl_client_destroy(&client);
}

static void a_platform_without_blobs_is_told(void **state)
{
    struct blobs *blobs = *state;
    blobs->missing = true;
    sl_client *client = blobs_client(blobs, NULL);
    sl_error error;
    assert_int_equal(sl_blob_put(client, BLOBS_HRN, BLOBS_LAYER, "h", "x", 1, NULL, &error), SL_UNSUPPORTED);
    assert_non_null(strstr(error.text, "blob v1"));
    sl_client_destroy(&client);
}

struct fetching {
    sl_client *client;
    struct sl_blob_fetch list[6];
    sl_status status;
};

static void *fetch(void *opaque)
{
    struct fetching *f = opaque;
    f->status = sl_blobs_fetch(f->client, BLOBS_HRN, BLOBS_LAYER, f->list, 6, 2, 100, sl_deadline_ms(60000));
    return NULL;
}

static void several_are_fetched_at_once_each_with_its_own_fate(void **state)
{
    struct blobs *blobs = *state;
    char large[101] = "";
    struct fetching f = {.client = blobs_client(blobs, NULL),
                         .list = {{.handle = "a"},
                                  {.handle = "gone"},
                                  {.handle = "empty"},
                                  {.handle = "large"},
                                  {.handle = ".."},
                                  {.handle = "b"}}};
    blobs_add(blobs, "a", "AAA", 3);
    blobs_add(blobs, "empty", "", 0);
    blobs_add(blobs, "large", large, sizeof large);
    blobs_add(blobs, "b", large, 100);
    blobs->held = true;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fetch, &f), 0);
    blobs_wait(blobs, &blobs->running, 2);
    blobs_release(blobs);
    pthread_join(thread, NULL);
    assert_int_equal(blobs->most_running, 2);
    assert_int_equal(f.status, SL_NOT_FOUND);
    assert_int_equal(f.list[0].status, SL_OK);
    assert_string_equal(f.list[0].data, "AAA");
    assert_int_equal(f.list[1].status, SL_NOT_FOUND);
    assert_null(f.list[1].data);
    assert_int_equal(f.list[2].status, SL_OK);
    assert_int_equal(f.list[2].size, 0);
    assert_int_equal(f.list[3].status, SL_TOO_LARGE);
    assert_int_equal(f.list[4].status, SL_INVALID_ARGUMENT);
    assert_int_equal(f.list[5].status, SL_OK);
    assert_int_equal(f.list[5].size, 100);
    for (size_t i = 0; i < 6; i++)
        free(f.list[i].data);
    sl_client_destroy(&f.client);
}

static void a_refused_token_is_renewed_once(void **state)
{
    struct blobs *blobs = *state;
    sl_client *client = blobs_client(blobs, NULL);
    blobs_add(blobs, "a", "AAA", 3);
    struct sl_blob_fetch one = {.handle = "a"};
    assert_int_equal(sl_blobs_fetch(client, BLOBS_HRN, BLOBS_LAYER, &one, 1, 1, 100, sl_deadline_ms(60000)),
                     SL_OK);
    free(one.data);
    assert_int_equal(blobs->tokens, 1);
    blobs->valid_token = 2;
    assert_int_equal(sl_blobs_fetch(client, BLOBS_HRN, BLOBS_LAYER, &one, 1, 1, 100, sl_deadline_ms(60000)),
                     SL_OK);
    free(one.data);
    assert_int_equal(blobs->tokens, 2);
    blobs->valid_token = 99;
    assert_int_equal(sl_blobs_fetch(client, BLOBS_HRN, BLOBS_LAYER, &one, 1, 1, 100, sl_deadline_ms(60000)),
                     SL_UNAUTHENTICATED);
    assert_int_equal(blobs->tokens, 3);
    sl_client_destroy(&client);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(what_was_put_is_got_whole_and_in_parts, setup, teardown),
    cmocka_unit_test_setup_teardown(a_blob_may_be_empty, setup, teardown),
    cmocka_unit_test_setup_teardown(handles_are_made_where_none_is_given, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_not_there_is_not_found, setup, teardown),
    cmocka_unit_test_setup_teardown(passing_failures_are_tried_again, setup, teardown),
    cmocka_unit_test_setup_teardown(impossible_arguments_are_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(sizes_are_bounded, setup, teardown),
    cmocka_unit_test_setup_teardown(a_platform_without_blobs_is_told, setup, teardown),
    cmocka_unit_test_setup_teardown(several_are_fetched_at_once_each_with_its_own_fate, setup, teardown),
    cmocka_unit_test_setup_teardown(a_refused_token_is_renewed_once, setup, teardown))
