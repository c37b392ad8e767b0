/* Transactions: all or nothing, offsets included; and what is no transaction. */
#include "suite.h"

enum { COUNT = 100 };

struct fixture {
    sl_client *client;
    struct layer in, out;
    struct tally tally;
    sl_producer *producer;
    sl_consumer *consumer; /* of what is committed to out */
    struct inbox inbox;
};

static sl_producer *open_named(struct fixture *f, const char *name)
{
    sl_producer_options *options = NULL;
    sl_producer *producer = NULL;
    sl_error error = {0};
    assert_int_equal(sl_producer_options_create(&options), SL_OK);
    assert_int_equal(sl_producer_options_set_delivery(options, tally_count, &f->tally), SL_OK);
    assert_int_equal(sl_producer_options_set_transactions(options, name), SL_OK);
    must(sl_producer_create(f->client, f->out.hrn, LAYER, options, &producer, &error), &error);
    sl_producer_options_destroy(&options);
    return producer;
}

static void open_fixture(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->client = client_make();
    layer_make(f->client, 2, &f->out);
    tally_init(&f->tally, 0);
    f->producer = open_named(f, f->out.other_group);
    f->consumer = consumer_make(f->client, &f->out, f->out.group, SL_START_BEGIN);
}

static void close_fixture(struct fixture *f)
{
    sl_error error = {0};
    must(sl_producer_close(&f->producer, WAIT_MS, &error), &error);
    inbox_free(&f->inbox);
    consumer_close(&f->consumer);
    tally_free(&f->tally);
    sl_client_destroy(&f->client);
}

static void begin(struct fixture *f)
{
    sl_error error = {0};
    must(sl_producer_begin(f->producer, &error), &error);
}

static void commit(struct fixture *f)
{
    sl_error error = {0};
    must(sl_producer_commit(f->producer, WAIT_MS, &error), &error);
}

static void abort_it(struct fixture *f)
{
    sl_error error = {0};
    must(sl_producer_abort(f->producer, WAIT_MS, &error), &error);
    assert_int_equal(sl_producer_queued(f->producer, NULL), 0);
}

/* The numbers from 0 on are there, each once. */
static void receive_numbers(struct fixture *f)
{
    receive(f->consumer, &f->inbox, COUNT);
    assert_numbers(&f->inbox, 0, COUNT);
}

/* Nothing of it is seen before, all of it after; a payload that lies in a blob is a part like any. */
static void committed_is_seen_whole(void **state)
{
    (void)state;
    struct fixture f;
    sl_error error = {0};
    open_fixture(&f);
    size_t size = 2 << 20;
    unsigned char *bytes = bytes_make(size, 1);
    begin(&f);
    send_numbers(f.producer, 0, COUNT, 5);
    send_bytes(f.producer, "large", bytes, size);
    must(sl_producer_flush(f.producer, WAIT_MS, &error), &error);
    assert_int_equal(f.tally.delivered, COUNT + 1);
    receive_nothing(f.consumer, 500);
    commit(&f);
    receive(f.consumer, &f.inbox, COUNT + 1);
    receive_nothing(f.consumer, 200);
    free(bytes);
    close_fixture(&f);
}

/* What is aborted is never seen, and the marks of the end are no messages that are missing. */
static void aborted_is_not_seen(void **state)
{
    (void)state;
    struct fixture f;
    sl_error error = {0};
    open_fixture(&f);
    for (int round = 0; round < 2; round++) {
        begin(&f);
        send_numbers(f.producer, 1000 * (round + 1), COUNT, 5);
        if (round)
            must(sl_producer_flush(f.producer, WAIT_MS, &error), &error);
        abort_it(&f);
        assert_int_equal(tally_total(&f.tally), (size_t)(round + 1) * COUNT);
    }
    begin(&f);
    send_numbers(f.producer, 0, COUNT, 5);
    commit(&f);
    receive_numbers(&f);
    int64_t until = now_ms() + WAIT_MS, lag = 1;
    while (lag) {
        assert_true(now_ms() < until);
        receive_nothing(f.consumer, 50);
        sl_partition_position positions[2];
        size_t count = 0;
        must(sl_consumer_positions(f.consumer, positions, 2, &count, &error), &error);
        assert_int_equal(count, 2);
        lag = positions[0].lag + positions[1].lag;
    }
    close_fixture(&f);
}

/* Offsets are committed with the results, or not at all. */
static void offsets_go_with_the_results(void **state)
{
    (void)state;
    struct fixture f;
    sl_error error = {0};
    open_fixture(&f);
    layer_make(f.client, 2, &f.in);
    produce_numbers(f.client, &f.in, 0, COUNT, 5);
    for (int round = 0; round < 2; round++) {
        struct inbox read = {0};
        sl_consumer *reader = consumer_make(f.client, &f.in, f.in.group, SL_START_BEGIN);
        receive(reader, &read, COUNT);
        begin(&f);
        for (size_t i = 0; i < read.count; i++)
            send_message(f.producer, read.messages[i]);
        for (size_t i = 0; i < read.batch_count; i++)
            must(sl_producer_add_batch(f.producer, reader, read.batches[i], WAIT_MS, &error), &error);
        if (round)
            commit(&f);
        else
            abort_it(&f);
        inbox_free(&read);
        consumer_close(&reader);
    }
    sl_consumer *reader = consumer_make(f.client, &f.in, f.in.group, SL_START_BEGIN);
    receive_nothing(reader, 500);
    consumer_close(&reader);
    receive(f.consumer, &f.inbox, COUNT);
    receive_nothing(f.consumer, 200);
    assert_numbers(&f.inbox, 0, COUNT);
    close_fixture(&f);
}

/* A transaction that is open, and all of whose messages Kafka has. */
static void leave_open(struct fixture *f)
{
    sl_error error = {0};
    begin(f);
    send_numbers(f->producer, 1000, COUNT, 5);
    must(sl_producer_flush(f->producer, WAIT_MS, &error), &error);
}

/* Whoever comes last has the name: what the one before has open is aborted, and it can do nothing more. */
static void the_last_of_a_name_wins(void **state)
{
    (void)state;
    struct fixture f;
    sl_error error = {0};
    open_fixture(&f);
    leave_open(&f);
    sl_producer *first = f.producer;
    f.producer = open_named(&f, f.out.other_group);
    must_fail(sl_producer_commit(first, WAIT_MS, &error), SL_KAFKA, &error);
    assert_true(error.fatal);
    sl_producer_close(&first, WAIT_MS, NULL);
    begin(&f);
    send_numbers(f.producer, 0, COUNT, 5);
    commit(&f);
    receive_numbers(&f);
    close_fixture(&f);
}

/* Closing aborts. */
static void closing_aborts(void **state)
{
    (void)state;
    struct fixture f;
    sl_error error = {0};
    open_fixture(&f);
    leave_open(&f);
    must(sl_producer_close(&f.producer, WAIT_MS, &error), &error);
    /* Not held up by an open transaction. */
    produce_numbers(f.client, &f.out, 0, COUNT, 5);
    receive_numbers(&f);
    close_fixture(&f);
}

static void refuse_wrong_order(struct fixture *f)
{
    sl_error error = {0};
    sl_message *message = NULL;
    assert_int_equal(sl_message_create(&message), SL_OK);
    assert_int_equal(sl_message_set_payload(message, "x", 1), SL_OK);
    must_fail(sl_producer_send(f->producer, message, NULL, 0, &error), SL_INVALID_ARGUMENT, &error);
    assert_says(error.text, "sl_producer_begin first");
    must_fail(sl_producer_commit(f->producer, 0, &error), SL_INVALID_ARGUMENT, &error);
    must_fail(sl_producer_abort(f->producer, 0, &error), SL_INVALID_ARGUMENT, &error);
    must_fail(sl_producer_add_offsets(f->producer, f->consumer, NULL, 0, 0, &error), SL_INVALID_ARGUMENT,
              &error);
    begin(f);
    must_fail(sl_producer_begin(f->producer, &error), SL_INVALID_ARGUMENT, &error);
    assert_says(error.text, "still open");
    must_fail(sl_producer_add_batch(f->producer, f->consumer, NULL, 0, &error), SL_INVALID_HANDLE, &error);
    const sl_offset wrong = {0, -1};
    must_fail(sl_producer_add_offsets(f->producer, f->consumer, &wrong, 1, 0, &error), SL_INVALID_ARGUMENT,
              &error);
    must_fail(sl_producer_add_offsets(f->producer, f->consumer, NULL, 1, 0, &error), SL_INVALID_ARGUMENT,
              &error);
    abort_it(f);
    sl_message_destroy(&message);
}

static void refuse_wrong_consumers(struct fixture *f)
{
    sl_error error = {0};
    const sl_offset offset = {0, 0};
    sl_consumer_options *options = NULL;
    sl_consumer *other =
        consumer_make_by("http-connector", f->client, &f->out, f->out.other_group, SL_START_BEGIN);
    begin(f);
    must_fail(sl_producer_add_offsets(f->producer, other, &offset, 1, 0, &error), SL_UNSUPPORTED, &error);
    assert_says(error.text, "connector.consumer = \"kafka-connector\"");
    consumer_close(&other);
    assert_int_equal(sl_consumer_options_create(&options), SL_OK);
    assert_int_equal(sl_consumer_options_set_auto_commit(options, true, 1000), SL_OK);
    must(sl_consumer_create(f->client, f->out.hrn, LAYER, options, &other, &error), &error);
    must_fail(sl_producer_add_offsets(f->producer, other, &offset, 1, 0, &error), SL_INVALID_ARGUMENT,
              &error);
    assert_says(error.text, "auto-commit.enabled = false");
    consumer_close(&other);
    sl_consumer_options_destroy(&options);
    abort_it(f);
}

static void what_is_no_transaction_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    sl_error error = {0};
    sl_producer_options *options = NULL;
    sl_producer *plain = NULL;
    open_fixture(&f);
    refuse_wrong_order(&f);
    refuse_wrong_consumers(&f);
    must(sl_producer_create(f.client, f.out.hrn, LAYER, NULL, &plain, &error), &error);
    must_fail(sl_producer_begin(plain, &error), SL_UNSUPPORTED, &error);
    assert_says(error.text, "sl_producer_options_set_transactions");
    must(sl_producer_close(&plain, WAIT_MS, &error), &error);
    assert_int_equal(sl_producer_options_create(&options), SL_OK);
    assert_int_equal(sl_producer_options_set_transactions(options, "no spaces"), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_producer_options_set_transactions(options, "name"), SL_OK);
    assert_int_equal(sl_producer_options_set_connector(options, "http-connector"), SL_OK);
    must_fail(sl_producer_create(f.client, f.out.hrn, LAYER, options, &plain, &error), SL_UNSUPPORTED,
              &error);
    assert_says(error.text, "the http-connector has no transactions");
    sl_producer_options_destroy(&options);
    close_fixture(&f);
}

CASES_MAIN(cmocka_unit_test(committed_is_seen_whole), cmocka_unit_test(aborted_is_not_seen),
           cmocka_unit_test(offsets_go_with_the_results), cmocka_unit_test(the_last_of_a_name_wins),
           cmocka_unit_test(closing_aborts), cmocka_unit_test(what_is_no_transaction_is_refused))
