/* Payloads that lie in blobs: the fake connector, and a platform that has blobs. */
#include "blobs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "fake/support.h"

struct test {
    struct blobs *blobs;
    struct fake *fake;
    sl_client *client;
    sl_consumer *consumer;
};

static const char settings[] = "here.platform.data-client.stream.kafka.plugin-directory = \"" FAKE_DIR "\"\n"
                               "here.platform.data-client.http.retry { backoff = 1 ms, max-backoff = 2 ms }\n"
                               "here.platform.data-client.stream.blob.max-size = 1 MiB\n";

static int setup(void **state)
{
    struct test *test = calloc(1, sizeof *test);
    sl_error error = {0};
    sl_consumer_options *options = NULL;
    test->fake = fake_get();
    test->blobs = blobs_start();
    test->client = blobs_client(test->blobs, settings);
    assert_int_equal(sl_consumer_options_create(&options), SL_OK);
    assert_int_equal(sl_consumer_options_set_auto_commit(options, true, 0), SL_OK);
    if (sl_consumer_create(test->client, BLOBS_HRN, BLOBS_LAYER, options, &test->consumer, &error))
        fail_msg("%s", error.text);
    sl_consumer_options_destroy(&options);
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    struct test *test = *state;
    sl_error error;
    assert_int_equal(sl_consumer_close(&test->consumer, &error), SL_OK);
    sl_client_destroy(&test->client);
    blobs_stop(test->blobs);
    free(test);
    return 0;
}

/* The next message; handle NULL: without a payload, and without a blob. */
static void hand_out(struct test *test, int32_t partition, int64_t offset, const char *handle)
{
    size_t at = test->fake->next_count++;
    test->fake->next[at] = (sl_offset){partition, offset};
    test->fake->blobs[at].handle = handle;
    test->fake->blobs[at].size = -1;
}

static sl_status poll_up_to(struct test *test, size_t most, sl_batch **batch, sl_error *error)
{
    memset(error, 0, sizeof *error);
    return sl_consumer_poll(test->consumer, 0, most, batch, error);
}

static sl_batch *poll_some(struct test *test, size_t most)
{
    sl_batch *batch = NULL;
    sl_error error;
    if (poll_up_to(test, most, &batch, &error))
        fail_msg("%s", error.text);
    assert_non_null(batch);
    return batch;
}

static void assert_payload(const sl_batch *batch, size_t at, const char *text)
{
    size_t size = 0;
    const char *payload = sl_message_payload(sl_batch_message(batch, at), &size);
    assert_non_null(payload);
    assert_string_equal(payload, text); /* a NUL stands behind it */
    assert_int_equal(size, strlen(text));
}

static void assert_statistics_say(struct test *test, const char *piece)
{
    char *json = NULL;
    assert_int_equal(sl_consumer_statistics(test->consumer, &json, NULL), SL_OK);
    if (!strstr(json, piece))
        fail_msg("%s does not hold %s", json, piece);
    sl_free(json);
}

static void payloads_are_fetched(void **state)
{
    struct test *test = *state;
    test->fake->together = 8;
    blobs_add(test->blobs, "a", "payload a", 9);
    blobs_add(test->blobs, "b", "payload b", 9);
    blobs_add(test->blobs, "empty", "", 0);
    hand_out(test, 0, 1, "a");
    hand_out(test, 0, 2, NULL);
    hand_out(test, 1, 7, "b");
    hand_out(test, 1, 8, "empty");
    sl_batch *batch = poll_some(test, 0);
    assert_int_equal(sl_batch_count(batch), 4);
    assert_payload(batch, 0, "payload a");
    assert_null(sl_message_payload(sl_batch_message(batch, 1), NULL));
    assert_payload(batch, 2, "payload b");
    assert_payload(batch, 3, "");
    assert_string_equal(sl_message_data_handle(sl_batch_message(batch, 0)), "a");
    assert_statistics_say(test, "\"resolved\":{\"messages\":3,\"bytes\":18,\"failures\":0}");
    assert_statistics_say(test, "\"received\":4,\"bytesReceived\":18,");
    sl_batch_destroy(&batch);
}

/* What is asked for is what comes, though more was fetched at once; and batches outlive the rest. */
static void a_poll_returns_no_more_than_asked_for(void **state)
{
    struct test *test = *state;
    test->fake->together = 8;
    blobs_add(test->blobs, "a", "payload a", 9);
    for (int64_t i = 0; i < 5; i++)
        hand_out(test, 0, i, "a");
    test->blobs->fail[0] = 503; /* once, so that all five wait in the core */
    sl_batch *first = poll_some(test, 2), *second = poll_some(test, 2), *third = poll_some(test, 2);
    assert_int_equal(sl_message_offset(sl_batch_message(second, 0)).offset, 2);
    assert_int_equal(sl_message_offset(sl_batch_message(third, 0)).offset, 4);
    assert_payload(third, 0, "payload a");
    sl_batch_destroy(&third);
    sl_batch_destroy(&first);
    assert_payload(second, 1, "payload a");
    sl_batch_destroy(&second);
}

static void make_unavailable(struct test *test)
{
    pthread_mutex_lock(&test->blobs->lock);
    test->blobs->always = 503;
    pthread_mutex_unlock(&test->blobs->lock);
}

static void make_available(struct test *test)
{
    pthread_mutex_lock(&test->blobs->lock);
    test->blobs->always = 0;
    pthread_mutex_unlock(&test->blobs->lock);
}

/* The poll tells that it can be tried again, and then goes on with the same messages. */
static void what_fails_in_passing_loses_nothing(void **state)
{
    struct test *test = *state;
    sl_batch *batch = NULL;
    sl_error error;
    test->fake->together = 2;
    blobs_add(test->blobs, "a", "payload a", 9);
    hand_out(test, 0, 1, "a");
    hand_out(test, 0, 2, NULL);
    hand_out(test, 0, 3, NULL);
    make_unavailable(test);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(poll_up_to(test, 0, &batch, &error), SL_UNAVAILABLE);
        assert_true(error.retriable);
        assert_null(batch);
    }
    assert_int_equal(test->fake->committed_count, 0);
    make_available(test);
    batch = poll_some(test, 0);
    assert_int_equal(sl_batch_count(batch), 2);
    assert_payload(batch, 0, "payload a");
    sl_batch_destroy(&batch);
    batch = poll_some(test, 0);
    assert_int_equal(sl_message_offset(sl_batch_message(batch, 0)).offset, 3);
    sl_batch_destroy(&batch);
    assert_statistics_say(test, "\"resolved\":{\"messages\":1,\"bytes\":9,\"failures\":0}");
}

/* Gone, too large, or not what the checksum says: the message comes, without its payload. */
static void what_cannot_be_had_comes_without(void **state)
{
    struct test *test = *state;
    char *large = calloc(1, (1 << 20) + 1), sum[65];
    test->fake->together = 8;
    blobs_add(test->blobs, "large", large, (1 << 20) + 1);
    blobs_add(test->blobs, "good", "payload", 7);
    hand_out(test, 0, 1, "gone");
    hand_out(test, 0, 2, "large");
    hand_out(test, 0, 3, "good");
    hand_out(test, 0, 4, "good");
    assert_true(sl_sha256_hex("payload", 7, sum));
    test->fake->blobs[2].checksum = sum;
    test->fake->blobs[3].checksum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    sl_batch *batch = poll_some(test, 0);
    assert_int_equal(sl_batch_count(batch), 4);
    for (size_t i = 0; i < 4; i++) {
        if (i == 2)
            continue;
        assert_null(sl_message_payload(sl_batch_message(batch, i), NULL));
        assert_non_null(sl_message_data_handle(sl_batch_message(batch, i)));
    }
    assert_payload(batch, 2, "payload");
    assert_statistics_say(test, "\"resolved\":{\"messages\":1,\"bytes\":7,\"failures\":3}");
    /* Asked for by hand, each tells why. */
    static const sl_status wanted[] = {SL_NOT_FOUND, SL_TOO_LARGE, SL_OK, SL_CHECKSUM_MISMATCH};
    for (size_t i = 0; i < 4; i++) {
        void *data = NULL;
        size_t size = 0;
        sl_error error = {0};
        assert_int_equal(
            sl_consumer_resolve(test->consumer, sl_batch_message(batch, i), &data, &size, &error), wanted[i]);
        assert_int_equal(error.status, wanted[i]);
        assert_int_equal(data != NULL, !wanted[i]);
        sl_free(data);
    }
    sl_batch_destroy(&batch);
    free(large);
}

/* Seven messages of two partitions, held back. */
static void hold_back(struct test *test)
{
    sl_batch *batch = NULL;
    sl_error error;
    test->fake->together = 8;
    blobs_add(test->blobs, "a", "payload a", 9);
    for (int64_t i = 0; i < 6; i++)
        hand_out(test, (int32_t)(i / 3), i, "a");
    make_unavailable(test);
    assert_int_equal(poll_up_to(test, 0, &batch, &error), SL_UNAVAILABLE);
    make_available(test);
}

static void a_seek_drops_what_is_held_back(void **state)
{
    struct test *test = *state;
    sl_error error;
    hold_back(test);
    assert_int_equal(sl_consumer_seek(test->consumer, &(sl_offset){0, 100}, 1, &error), SL_OK);
    sl_batch *batch = poll_some(test, 0);
    assert_int_equal(sl_batch_count(batch), 3);
    assert_int_equal(sl_message_offset(sl_batch_message(batch, 0)).partition, 1);
    sl_batch_destroy(&batch);
}

static void a_seek_of_all_drops_all_that_is_held_back(void **state)
{
    struct test *test = *state;
    sl_error error;
    sl_batch *batch = NULL;
    hold_back(test);
    assert_int_equal(sl_consumer_seek_time(test->consumer, 5, &error), SL_OK);
    assert_int_equal(poll_up_to(test, 0, &batch, &error), SL_OK);
    assert_null(batch);
}

/* It goes back to the connector, which hands it out after the resume. */
static void a_pause_gives_back_what_is_held_back(void **state)
{
    struct test *test = *state;
    sl_error error;
    const int32_t partition = 1;
    hold_back(test);
    assert_int_equal(sl_consumer_pause(test->consumer, &partition, 1, &error), SL_OK);
    assert_int_equal(test->fake->sought_count, 1);
    assert_int_equal(test->fake->sought[0].partition, 1);
    assert_int_equal(test->fake->sought[0].offset, 3);
    sl_batch *batch = poll_some(test, 0);
    assert_int_equal(sl_batch_count(batch), 3);
    assert_int_equal(sl_message_offset(sl_batch_message(batch, 2)).partition, 0);
    sl_batch_destroy(&batch);
}

static void positions_count_what_is_held_back(void **state)
{
    struct test *test = *state;
    sl_error error;
    sl_partition_position list[2];
    size_t count = 0;
    hold_back(test);
    test->fake->position_count = 2;
    test->fake->positions[0] = (sl_partition_position){0, false, 0, 10, 3, -1, 7};
    test->fake->positions[1] = (sl_partition_position){1, false, 0, 10, 6, -1, 4};
    assert_int_equal(sl_consumer_positions(test->consumer, list, 2, &count, &error), SL_OK);
    assert_int_equal(list[0].position, 0);
    assert_int_equal(list[0].lag, 10);
    assert_int_equal(list[1].position, 3);
    assert_int_equal(list[1].lag, 7);
}

static void lost_partitions_are_not_held_back(void **state)
{
    struct test *test = *state;
    sl_error error;
    sl_batch *batch = NULL;
    hold_back(test);
    const int32_t partition = 0;
    test->fake->host.revoked(test->fake->host.core, &partition, 1, true);
    batch = poll_some(test, 0);
    assert_int_equal(sl_batch_count(batch), 3);
    assert_int_equal(sl_message_offset(sl_batch_message(batch, 0)).partition, 1);
    sl_batch_destroy(&batch);
    assert_int_equal(poll_up_to(test, 0, &batch, &error), SL_OK);
    assert_null(batch);
}

/* Of a rebalance only what comes back stays: a direct connector gives it again only where it does not. */
static void a_rebalance_keeps_what_comes_back(void **state)
{
    struct test *test = *state;
    sl_error error;
    sl_batch *batch = NULL;
    hold_back(test);
    test->fake->table->direct = true;
    const int32_t all[] = {0, 1};
    test->fake->host.revoked(test->fake->host.core, all, 2, false);
    /* Until partitions are given nothing is handed out, and the connector is polled, with all paused. */
    size_t polls = test->fake->polls;
    assert_int_equal(poll_up_to(test, 0, &batch, &error), SL_OK);
    assert_null(batch);
    assert_int_equal(test->fake->polls, polls + 1);
    assert_true(test->fake->all_paused);
    const int32_t paused = 5;
    assert_int_equal(sl_consumer_pause(test->consumer, &paused, 1, &error), SL_OK);
    test->fake->share[0] = 1;
    test->fake->share_count = 1;
    test->fake->assign = true;
    assert_int_equal(poll_up_to(test, 0, &batch, &error), SL_OK);
    batch = batch ? batch : poll_some(test, 0);
    assert_int_equal(sl_batch_count(batch), 3);
    assert_int_equal(sl_message_offset(sl_batch_message(batch, 0)).partition, 1);
    assert_payload(batch, 0, "payload a");
    sl_batch_destroy(&batch);
    /* Then its own pauses are the connector's again. */
    assert_int_equal(poll_up_to(test, 0, &batch, &error), SL_OK);
    assert_false(test->fake->all_paused);
    assert_int_equal(test->fake->pauses[test->fake->pause_count - 1].partition, 5);
    assert_true(test->fake->pauses[test->fake->pause_count - 1].paused);
}

static void without_resolving_messages_have_their_handle(void **state)
{
    struct test *test = *state;
    sl_error error;
    sl_consumer_options *options = NULL;
    assert_int_equal(sl_consumer_close(&test->consumer, &error), SL_OK);
    assert_int_equal(sl_consumer_options_create(&options), SL_OK);
    assert_int_equal(sl_consumer_options_set_resolve(options, false), SL_OK);
    assert_int_equal(
        sl_consumer_create(test->client, BLOBS_HRN, BLOBS_LAYER, options, &test->consumer, &error), SL_OK);
    sl_consumer_options_destroy(&options);
    blobs_add(test->blobs, "a", "payload a", 9);
    hand_out(test, 0, 1, "a");
    sl_batch *batch = poll_some(test, 0);
    const sl_message *message = sl_batch_message(batch, 0);
    assert_null(sl_message_payload(message, NULL));
    void *data = NULL;
    size_t size = 0;
    assert_int_equal(sl_consumer_resolve(test->consumer, message, &data, &size, &error), SL_OK);
    assert_string_equal(data, "payload a");
    sl_free(data);
    assert_int_equal(sl_consumer_resolve(test->consumer, NULL, &data, &size, &error), SL_INVALID_ARGUMENT);
    sl_batch_destroy(&batch);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(payloads_are_fetched, setup, teardown),
    cmocka_unit_test_setup_teardown(a_poll_returns_no_more_than_asked_for, setup, teardown),
    cmocka_unit_test_setup_teardown(what_fails_in_passing_loses_nothing, setup, teardown),
    cmocka_unit_test_setup_teardown(what_cannot_be_had_comes_without, setup, teardown),
    cmocka_unit_test_setup_teardown(a_seek_drops_what_is_held_back, setup, teardown),
    cmocka_unit_test_setup_teardown(a_seek_of_all_drops_all_that_is_held_back, setup, teardown),
    cmocka_unit_test_setup_teardown(a_pause_gives_back_what_is_held_back, setup, teardown),
    cmocka_unit_test_setup_teardown(positions_count_what_is_held_back, setup, teardown),
    cmocka_unit_test_setup_teardown(lost_partitions_are_not_held_back, setup, teardown),
    cmocka_unit_test_setup_teardown(a_rebalance_keeps_what_comes_back, setup, teardown),
    cmocka_unit_test_setup_teardown(without_resolving_messages_have_their_handle, setup, teardown))
