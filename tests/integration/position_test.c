/* Positions: commit, restart, seek, where to start. */
#include "suite.h"
#include <stdio.h>

enum { MESSAGES = 600, KEYS = 20 };

struct fixture {
    sl_client *client;
    struct layer layer;
    sl_consumer *consumer;
    struct inbox inbox;
};

static void open_fixture(struct fixture *f, int partitions, int messages)
{
    memset(f, 0, sizeof *f);
    f->client = client_make();
    layer_make(f->client, partitions, &f->layer);
    if (messages)
        /* One Kafka partition, one partition id: the numbers come in their order. */
        produce_numbers(f->client, &f->layer, 0, messages, partitions == 1 ? 1 : KEYS);
}

static void open_consumer(struct fixture *f)
{
    f->consumer = consumer_make(f->client, &f->layer, f->layer.group, SL_START_BEGIN);
}

static void reopen(struct fixture *f)
{
    consumer_close(&f->consumer);
    open_consumer(f);
}

static void close_fixture(struct fixture *f)
{
    inbox_free(&f->inbox);
    consumer_close(&f->consumer);
    sl_client_destroy(&f->client);
}

/* What was committed does not come again after a restart, and nothing is lost. */
static void commit_and_restart(void **state)
{
    (void)state;
    struct fixture f;
    sl_error error = {0};
    open_fixture(&f, 4, MESSAGES);
    int64_t end = now_ms() + WAIT_MS;
    while (f.inbox.count < MESSAGES) {
        open_consumer(&f);
        size_t before = f.inbox.count, want = MESSAGES - before < 200 ? MESSAGES - before : 200;
        while (f.inbox.count < before + want) {
            assert_true(now_ms() < end);
            if (receive_once(f.consumer, &f.inbox, 1000, 70))
                must(sl_consumer_commit(f.consumer, f.inbox.batches[f.inbox.batch_count - 1], &error),
                     &error);
        }
        consumer_close(&f.consumer);
    }
    assert_numbers(&f.inbox, 0, MESSAGES);
    open_consumer(&f);
    receive_nothing(f.consumer, 500);
    close_fixture(&f);
}

static void uncommitted_comes_again(void **state)
{
    (void)state;
    struct fixture f;
    struct inbox again = {0};
    open_fixture(&f, 4, MESSAGES);
    open_consumer(&f);
    receive(f.consumer, &f.inbox, MESSAGES);
    reopen(&f);
    receive(f.consumer, &again, MESSAGES);
    assert_numbers(&f.inbox, 0, MESSAGES);
    assert_numbers(&again, 0, MESSAGES);
    inbox_free(&again);
    close_fixture(&f);
}

/* A commit by offsets names the last message that is done with. */
static void commit_by_offsets(void **state)
{
    (void)state;
    struct fixture f;
    struct inbox again = {0};
    sl_error error = {0};
    open_fixture(&f, 1, 100);
    open_consumer(&f);
    receive(f.consumer, &f.inbox, 100);
    const sl_offset offset = sl_message_offset(f.inbox.messages[41]);
    must(sl_consumer_commit_offsets(f.consumer, &offset, 1, &error), &error);
    reopen(&f);
    receive(f.consumer, &again, 58);
    assert_numbers(&again, 42, 58);
    inbox_free(&again);
    close_fixture(&f);
}

static void open_auto_consumer(struct fixture *f)
{
    sl_error error = {0};
    sl_consumer_options *options = NULL;
    must(sl_consumer_options_create(&options), NULL);
    must(sl_consumer_options_set_group(options, f->layer.group), NULL);
    must(sl_consumer_options_set_start(options, SL_START_BEGIN), NULL);
    must(sl_consumer_options_set_auto_commit(options, true, 50), NULL);
    must(sl_consumer_create(f->client, f->layer.hrn, LAYER, options, &f->consumer, &error), &error);
    sl_consumer_options_destroy(&options);
}

/* Auto commit takes a batch for processed when the next poll comes: the last batch polled is not. */
static void auto_commit_waits_for_the_next_poll(void **state)
{
    (void)state;
    struct fixture f;
    struct inbox again = {0};
    open_fixture(&f, 1, 100);
    open_auto_consumer(&f);
    int64_t end = now_ms() + WAIT_MS;
    size_t last = 0; /* how many there were before the last poll */
    while (f.inbox.count < 30) {
        last = f.inbox.count;
        assert_true(now_ms() < end);
        receive_once(f.consumer, &f.inbox, 1000, 10);
    }
    reopen(&f);
    receive(f.consumer, &again, 100 - last);
    assert_numbers(&again, (int)last, 100 - (int)last);
    inbox_free(&again);
    close_fixture(&f);
}

/* A commit by hand beside auto commit stands: closing does not go back behind it. */
static void auto_commit_keeps_a_commit_by_hand(void **state)
{
    (void)state;
    struct fixture f;
    struct inbox again = {0};
    sl_error error = {0};
    open_fixture(&f, 1, 100);
    open_auto_consumer(&f);
    int64_t end = now_ms() + WAIT_MS;
    while (f.inbox.count < 30) {
        assert_true(now_ms() < end);
        receive_once(f.consumer, &f.inbox, 1000, 10);
    }
    must(sl_consumer_commit(f.consumer, f.inbox.batches[f.inbox.batch_count - 1], &error), &error);
    reopen(&f);
    int done = (int)f.inbox.count;
    receive(f.consumer, &again, 100 - (size_t)done);
    assert_numbers(&again, done, 100 - done);
    inbox_free(&again);
    close_fixture(&f);
}

static void seek_to_an_offset(void **state)
{
    (void)state;
    struct fixture f;
    struct inbox again = {0};
    sl_error error = {0};
    open_fixture(&f, 1, 100);
    open_consumer(&f);
    receive(f.consumer, &f.inbox, 100);
    must(sl_consumer_seek(f.consumer, &(sl_offset){0, 37}, 1, &error), &error);
    receive(f.consumer, &again, 63);
    assert_int_equal(number_of(again.messages[0]), 37);
    assert_numbers(&again, 37, 63);
    inbox_free(&again);
    /* Forward too, while messages wait that were fetched and not polled. */
    must(sl_consumer_seek(f.consumer, &(sl_offset){0, 0}, 1, &error), &error);
    receive_once(f.consumer, &again, WAIT_MS, 1);
    assert_int_equal(number_of(again.messages[0]), 0);
    must(sl_consumer_seek(f.consumer, &(sl_offset){0, 90}, 1, &error), &error);
    receive(f.consumer, &again, 11);
    assert_int_equal(number_of(again.messages[1]), 90);
    inbox_free(&again);
    close_fixture(&f);
}

static void seek_to_begin_and_end(void **state)
{
    (void)state;
    struct fixture f;
    struct inbox again = {0}, fresh = {0};
    sl_error error = {0};
    open_fixture(&f, 4, MESSAGES);
    open_consumer(&f);
    receive(f.consumer, &f.inbox, MESSAGES);
    must(sl_consumer_seek_to(f.consumer, SL_START_BEGIN, &error), &error);
    receive(f.consumer, &again, MESSAGES);
    assert_numbers(&again, 0, MESSAGES);
    must(sl_consumer_seek_to(f.consumer, SL_START_BEGIN, &error), &error);
    must(sl_consumer_seek_to(f.consumer, SL_START_END, &error), &error);
    receive_nothing(f.consumer, 500);
    produce_numbers(f.client, &f.layer, MESSAGES, 50, KEYS);
    receive(f.consumer, &fresh, 50);
    assert_numbers(&fresh, MESSAGES, 50);
    inbox_free(&again);
    inbox_free(&fresh);
    close_fixture(&f);
}

/* What the layer does not have is its begin or its end, as the consumer starts; each partition by itself. */
static void seek_behind_the_end(void **state)
{
    (void)state;
    struct fixture f;
    struct inbox again = {0}, fresh = {0};
    sl_error error = {0};
    open_fixture(&f, 1, 100);
    open_consumer(&f);
    receive(f.consumer, &f.inbox, 100);
    must(sl_consumer_seek(f.consumer, &(sl_offset){0, 101}, 1, &error), &error);
    receive(f.consumer, &again, 100);
    assert_numbers(&again, 0, 100);
    must(sl_consumer_seek(f.consumer, &(sl_offset){0, 100}, 1, &error), &error); /* the end itself */
    receive_nothing(f.consumer, 500);
    consumer_close(&f.consumer);
    f.consumer = consumer_make(f.client, &f.layer, f.layer.group, SL_START_END);
    must(sl_consumer_seek(f.consumer, &(sl_offset){0, 1000}, 1, &error), &error);
    produce_numbers(f.client, &f.layer, 100, 50, 1);
    receive(f.consumer, &fresh, 50);
    assert_numbers(&fresh, 100, 50);
    inbox_free(&again);
    inbox_free(&fresh);
    close_fixture(&f);
}

static void seek_to_a_wrong_partition(void **state)
{
    (void)state;
    struct fixture f;
    sl_error error = {0};
    open_fixture(&f, 1, 1);
    open_consumer(&f);
    must_fail(sl_consumer_seek(f.consumer, &(sl_offset){7, 0}, 1, &error), SL_INVALID_ARGUMENT, &error);
    assert_non_null(strstr(error.text, "Kafka partition 7"));
    must_fail(sl_consumer_seek(f.consumer, &(sl_offset){-1, 0}, 1, &error), SL_INVALID_ARGUMENT, &error);
    receive(f.consumer, &f.inbox, 1); /* it works on */
    close_fixture(&f);
}

/* Starting at the end sees what is written once create has returned, and nothing older. */
static void start_at_the_end(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, 4, 100);
    f.consumer = consumer_make(f.client, &f.layer, f.layer.group, SL_START_END);
    produce_numbers(f.client, &f.layer, 100, 100, KEYS);
    receive(f.consumer, &f.inbox, 100);
    assert_numbers(&f.inbox, 100, 100);
    close_fixture(&f);
}

static void start_at_the_begin(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, 4, 100);
    f.consumer = consumer_make(f.client, &f.layer, f.layer.group, SL_START_BEGIN);
    receive(f.consumer, &f.inbox, 100);
    assert_numbers(&f.inbox, 0, 100);
    close_fixture(&f);
}

/* A position that was committed wins over where to start. */
static void committed_wins_over_start(void **state)
{
    (void)state;
    struct fixture f;
    struct inbox rest = {0};
    sl_error error = {0};
    open_fixture(&f, 1, 100);
    open_consumer(&f);
    receive_once(f.consumer, &f.inbox, WAIT_MS, 40);
    must(sl_consumer_commit(f.consumer, f.inbox.batches[0], &error), &error);
    consumer_close(&f.consumer);
    f.consumer = consumer_make(f.client, &f.layer, f.layer.group, SL_START_END);
    receive(f.consumer, &rest, 100 - f.inbox.count);
    assert_numbers(&rest, (int)f.inbox.count, 100 - (int)f.inbox.count);
    inbox_free(&rest);
    close_fixture(&f);
}

/* Batches may outlive their consumer and its client. */
static void batch_outlives_the_consumer(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, 1, 100);
    open_consumer(&f);
    receive(f.consumer, &f.inbox, 100);
    consumer_close(&f.consumer);
    sl_client_destroy(&f.client);
    assert_numbers(&f.inbox, 0, 100);
    close_fixture(&f);
}

/* No message is no error; and a poll waits as long as it was told, and not for ever. */
static void poll_keeps_its_time(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, 1, 0);
    open_consumer(&f);
    int64_t begin = now_ms();
    assert_false(receive_once(f.consumer, &f.inbox, 0, 0));
    assert_true(now_ms() - begin < 2000);
    begin = now_ms();
    assert_false(receive_once(f.consumer, &f.inbox, 700, 0));
    assert_in_range(now_ms() - begin, 650, 5000);
    produce_numbers(f.client, &f.layer, 0, 1, 1);
    begin = now_ms();
    assert_true(receive_once(f.consumer, &f.inbox, -1, 0));
    assert_true(now_ms() - begin < WAIT_MS);
    close_fixture(&f);
}

CASES_MAIN(cmocka_unit_test(commit_and_restart), cmocka_unit_test(uncommitted_comes_again),
           cmocka_unit_test(commit_by_offsets), cmocka_unit_test(auto_commit_waits_for_the_next_poll),
           cmocka_unit_test(auto_commit_keeps_a_commit_by_hand), cmocka_unit_test(seek_to_an_offset),
           cmocka_unit_test(seek_to_begin_and_end), cmocka_unit_test(seek_behind_the_end),
           cmocka_unit_test(seek_to_a_wrong_partition), cmocka_unit_test(start_at_the_end),
           cmocka_unit_test(start_at_the_begin), cmocka_unit_test(committed_wins_over_start),
           cmocka_unit_test(batch_outlives_the_consumer), cmocka_unit_test(poll_keeps_its_time))
