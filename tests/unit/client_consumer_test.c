#include "support/cases.h"

#include "fake/support.h"

#include <sched.h>

static sl_consumer *open_consumer(sl_client *client, bool auto_commit, const char *group)
{
    sl_consumer_options *options = NULL;
    sl_consumer *consumer = NULL;
    sl_error error;
    assert_int_equal(sl_consumer_options_create(&options), SL_OK);
    assert_int_equal(sl_consumer_options_set_auto_commit(options, auto_commit, 0), SL_OK);
    assert_int_equal(sl_consumer_options_set_group(options, group), SL_OK);
    if (sl_consumer_create(client, FAKE_HRN, "layer", options, &consumer, &error))
        fail_msg("%s", error.text);
    sl_consumer_options_destroy(&options);
    return consumer;
}

static sl_consumer *open_slow(sl_client *client, int interval_ms)
{
    sl_consumer_options *options = NULL;
    sl_consumer *consumer = NULL;
    sl_error error;
    assert_int_equal(sl_consumer_options_create(&options), SL_OK);
    assert_int_equal(sl_consumer_options_set_auto_commit(options, true, interval_ms), SL_OK);
    assert_int_equal(sl_consumer_create(client, FAKE_HRN, "layer", options, &consumer, &error), SL_OK);
    sl_consumer_options_destroy(&options);
    return consumer;
}

static sl_batch *poll_one(sl_consumer *consumer)
{
    sl_batch *batch = NULL;
    sl_error error;
    assert_int_equal(sl_consumer_poll(consumer, 0, 0, &batch, &error), SL_OK);
    return batch;
}

static void *poll_for_ever(void *opaque)
{
    sl_batch *batch = NULL;
    sl_error error;
    assert_int_equal(sl_consumer_poll(opaque, -1, 0, &batch, &error), SL_OK);
    return batch;
}

static void hand_out(struct fake *fake, int32_t partition, int64_t offset)
{
    fake->next[fake->next_count++] = (sl_offset){partition, offset};
}

static void auto_commit_waits_for_a_later_poll(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = open_consumer(client, true, NULL);
    hand_out(fake, 0, 7);
    hand_out(fake, 1, 3);
    sl_batch *batch = poll_one(consumer);
    assert_int_equal(sl_batch_count(batch), 1);
    assert_int_equal(fake->committed_count, 0);
    sl_batch_destroy(&batch);
    batch = poll_one(consumer);
    assert_int_equal(fake->committed_count, 1);
    assert_int_equal(fake->committed[0].partition, 0);
    assert_int_equal(fake->committed[0].offset, 7);
    sl_batch_destroy(&batch);
    sl_error error;
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    assert_int_equal(fake->committed_count, 1); /* no later poll has shown the last one as done with */
    assert_true(fake->consumer_closed);
    sl_client_destroy(&client);
}

/* What was polled before it is not committed over it, which would bring the last batch again. */
static void a_commit_by_hand_is_not_undone_by_auto_commit(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = open_slow(client, 1000000);
    hand_out(fake, 0, 7);
    hand_out(fake, 0, 8);
    sl_batch *first = poll_one(consumer), *last = poll_one(consumer);
    sl_error error;
    assert_int_equal(sl_consumer_commit(consumer, last, &error), SL_OK);
    sl_batch_destroy(&first);
    sl_batch_destroy(&last);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    assert_int_equal(fake->committed_count, 1);
    assert_int_equal(fake->committed[0].offset, 8);
    sl_client_destroy(&client);
}

static size_t commits(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    size_t count = fake->committed_count;
    pthread_mutex_unlock(&fake->lock);
    return count;
}

static void auto_commit_goes_on_while_a_poll_waits(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = open_slow(client, 300);
    hand_out(fake, 0, 7);
    sl_batch *batch = poll_one(consumer);
    sl_batch_destroy(&batch);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, poll_for_ever, consumer), 0);
    while (!commits(fake))
        sched_yield();
    assert_int_equal(fake->committed[0].offset, 7);
    pthread_mutex_lock(&fake->lock);
    hand_out(fake, 0, 8);
    pthread_mutex_unlock(&fake->lock);
    void *received = NULL;
    pthread_join(thread, &received);
    batch = received;
    sl_batch_destroy(&batch);
    sl_error error;
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    sl_client_destroy(&client);
}

/* Another member has it now. Asking again would be refused each time, and close would fail. */
static void a_commit_of_what_was_moved_is_not_repeated(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = open_consumer(client, true, NULL);
    hand_out(fake, 0, 7);
    sl_batch *batch = poll_one(consumer);
    sl_batch_destroy(&batch);
    fake->refuse_commits = SL_KAFKA;
    assert_null(poll_one(consumer));
    assert_null(poll_one(consumer));
    assert_int_equal(fake->refused_commits, 1);
    fake->refuse_commits = SL_UNAVAILABLE;
    hand_out(fake, 0, 9);
    batch = poll_one(consumer);
    sl_batch_destroy(&batch);
    assert_null(poll_one(consumer));
    fake->refuse_commits = SL_OK;
    assert_null(poll_one(consumer));
    assert_int_equal(fake->refused_commits, 2);
    assert_int_equal(fake->committed_count, 1);
    assert_int_equal(fake->committed[0].offset, 9);
    sl_error error;
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    sl_client_destroy(&client);
}

static void without_auto_commit_nothing_is_committed(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = open_consumer(client, false, NULL);
    hand_out(fake, 0, 7);
    sl_batch *batch = poll_one(consumer);
    sl_error error;
    assert_null(poll_one(consumer));
    assert_int_equal(fake->committed_count, 0);
    assert_int_equal(sl_consumer_commit(consumer, batch, &error), SL_OK);
    assert_int_equal(fake->committed_count, 1);
    assert_int_equal(fake->committed[0].offset, 7);
    sl_batch_destroy(&batch);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    assert_int_equal(fake->committed_count, 1);
    sl_client_destroy(&client);
}

static void revoked_partitions_are_committed_first(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = open_slow(client, 1000000);
    sl_error error;
    hand_out(fake, 2, 40);
    sl_batch *batch = poll_one(consumer);
    sl_batch_destroy(&batch);
    fake->revoke = true;
    assert_null(poll_one(consumer));
    assert_int_equal(fake->committed_count, 1);
    assert_int_equal(fake->committed[0].partition, 2);
    assert_int_equal(fake->committed[0].offset, 40);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    assert_int_equal(fake->committed_count, 1); /* the partition is not ours any more */
    sl_client_destroy(&client);
}

static void a_seek_forgets_what_was_polled(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = open_consumer(client, true, NULL);
    hand_out(fake, 0, 9);
    sl_batch *batch = poll_one(consumer);
    sl_batch_destroy(&batch);
    sl_error error;
    const sl_offset to = {0, 2};
    assert_int_equal(sl_consumer_seek(consumer, &to, 1, &error), SL_OK);
    assert_int_equal(fake->sought_count, 1);
    assert_null(poll_one(consumer));
    assert_int_equal(fake->committed_count, 0);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    sl_client_destroy(&client);
}

static void a_long_poll_lets_a_seek_in(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = open_consumer(client, false, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, poll_for_ever, consumer), 0);
    for (size_t polls = 0; !polls;) {
        pthread_mutex_lock(&fake->lock);
        polls = fake->polls;
        pthread_mutex_unlock(&fake->lock);
    }
    sl_error error;
    const sl_offset to = {0, 2};
    assert_int_equal(sl_consumer_seek(consumer, &to, 1, &error), SL_OK);
    pthread_mutex_lock(&fake->lock);
    hand_out(fake, 0, 2);
    pthread_mutex_unlock(&fake->lock);
    void *batch = NULL;
    pthread_join(thread, &batch);
    sl_batch *received = batch;
    assert_int_equal(sl_message_offset(sl_batch_message(received, 0)).offset, 2);
    sl_batch_destroy(&received);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    sl_client_destroy(&client);
}

static void the_group_that_the_application_names_is_passed_on(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = open_consumer(client, false, "my.group");
    assert_string_equal(fake->group, "my.group");
    assert_int_equal(fake->start, SL_START_END);
    sl_error error;
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    sl_client_destroy(&client);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer_options *options = NULL;
    assert_int_equal(sl_consumer_options_create(&options), SL_OK);
    assert_int_equal(sl_consumer_options_set_group(options, "no spaces"), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_consumer_options_set_connector(options, "carrier-pigeon"), SL_INVALID_ARGUMENT);
    sl_consumer_options_destroy(&options);
    sl_consumer *consumer = open_consumer(client, false, NULL);
    sl_error error;
    const sl_offset bad = {-1, 2};
    assert_int_equal(sl_consumer_seek(consumer, &bad, 1, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_consumer_commit_offsets(consumer, &bad, 1, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_consumer_commit(consumer, NULL, &error), SL_INVALID_HANDLE);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    assert_int_equal(sl_consumer_create(client, "not-an-hrn", "layer", NULL, &consumer, &error),
                     SL_INVALID_ARGUMENT);
    sl_client_destroy(&client);
}

/* What the rebalance callback was told, and what was committed by then. */
struct told {
    struct fake *fake;
    sl_consumer **consumer; /* to commit with; NULL: not */
    int calls;
    struct {
        sl_rebalance what;
        size_t count, committed;
        int32_t first;
        sl_status commit;
    } call[8];
};

static void on_rebalance(void *opaque, sl_rebalance what, const int32_t *partitions, size_t count)
{
    struct told *told = opaque;
    int at = told->calls++;
    told->call[at].what = what;
    told->call[at].count = count;
    told->call[at].first = count ? partitions[0] : -1;
    told->call[at].committed = told->fake->committed_count;
    const sl_offset done = {2, 50};
    if (told->consumer && what == SL_REVOKED)
        told->call[at].commit = sl_consumer_commit_offsets(*told->consumer, &done, 1, NULL);
}

static void open_told(struct told *told, sl_client *client, sl_consumer **consumer)
{
    sl_consumer_options *options = NULL;
    sl_error error;
    assert_int_equal(sl_consumer_options_create(&options), SL_OK);
    assert_int_equal(sl_consumer_options_set_auto_commit(options, true, 1000000), SL_OK);
    assert_int_equal(sl_consumer_options_set_rebalance(options, on_rebalance, told), SL_OK);
    assert_int_equal(sl_consumer_create(client, FAKE_HRN, "layer", options, consumer, &error), SL_OK);
    sl_consumer_options_destroy(&options);
}

/* While opening, from within a poll, after auto commit, and from within close; commits from within count. */
static void the_application_is_told_of_rebalances(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = NULL;
    sl_error error;
    struct told told = {.fake = fake, .consumer = &consumer};
    fake->assign = true;
    fake->share[0] = 2;
    fake->share_count = 1;
    open_told(&told, client, &consumer);
    assert_int_equal(told.calls, 1);
    assert_int_equal(told.call[0].what, SL_ASSIGNED);
    assert_int_equal(told.call[0].first, 2);
    hand_out(fake, 2, 40);
    sl_batch *batch = poll_one(consumer);
    sl_batch_destroy(&batch);
    fake->revoke = fake->assign = true;
    assert_null(poll_one(consumer));
    assert_int_equal(told.calls, 3);
    assert_int_equal(told.call[1].what, SL_REVOKED);
    assert_int_equal(told.call[1].count, 4);
    assert_int_equal(told.call[1].committed, 1); /* auto commit was first */
    assert_int_equal(told.call[1].commit, SL_OK);
    assert_int_equal(fake->committed[1].offset, 50);
    assert_int_equal(told.call[2].what, SL_ASSIGNED);
    fake->revoke_at_close = true;
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    assert_int_equal(told.calls, 4);
    assert_int_equal(told.call[3].what, SL_REVOKED);
    assert_int_equal(told.call[3].commit, SL_OK);
    assert_null(consumer);
    sl_client_destroy(&client);
}

/* Not even by the poll that hears of it, though an auto commit is due. */
static void what_is_lost_before_a_commit_is_due_is_not_committed(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = open_consumer(client, true, NULL);
    hand_out(fake, 0, 7);
    sl_batch *batch = poll_one(consumer);
    sl_batch_destroy(&batch);
    fake->revoke = fake->lost = true;
    assert_null(poll_one(consumer));
    assert_int_equal(fake->committed_count, 0);
    assert_int_equal(sl_consumer_close(&consumer, NULL), SL_OK);
    assert_int_equal(fake->committed_count, 0);
    sl_client_destroy(&client);
}

static void what_is_lost_is_not_committed(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = NULL;
    sl_error error;
    struct told told = {.fake = fake};
    open_told(&told, client, &consumer);
    hand_out(fake, 2, 40);
    sl_batch *batch = poll_one(consumer);
    sl_batch_destroy(&batch);
    fake->revoke = fake->lost = true;
    assert_null(poll_one(consumer));
    assert_int_equal(told.calls, 1);
    assert_int_equal(told.call[0].what, SL_LOST);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    assert_int_equal(fake->committed_count, 0);
    sl_client_destroy(&client);
}

static void assert_unsupported(sl_status status, const sl_error *error)
{
    assert_int_equal(status, SL_UNSUPPORTED);
    assert_int_equal(error->status, SL_UNSUPPORTED);
    assert_non_null(strstr(error->text, "kafka-connector"));
    assert_non_null(strstr(error->text, "http://127.0.0.1:9/lookup/v1"));
}

/* The connector and the platform are named. */
static void what_a_connector_lacks_is_unsupported(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = open_consumer(client, false, NULL);
    fake->table->consumer_seek_time = NULL;
    fake->table->consumer_pause = NULL;
    fake->table->consumer_positions = NULL;
    fake->table->consumer_statistics = NULL;
    sl_error error = {0};
    size_t count;
    char *json = NULL;
    assert_unsupported(sl_consumer_seek_time(consumer, 1, &error), &error);
    assert_unsupported(sl_consumer_pause(consumer, NULL, 0, &error), &error);
    assert_unsupported(sl_consumer_resume(consumer, NULL, 0, &error), &error);
    assert_unsupported(sl_consumer_positions(consumer, NULL, 0, &count, &error), &error);
    assert_int_equal(sl_consumer_statistics(consumer, &json, &error), SL_OK);
    assert_null(strstr(json, "connectorStatistics"));
    sl_free(json);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    sl_client_destroy(&client);
}

static void pauses_and_times_are_passed_on(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_consumer *consumer = open_consumer(client, false, NULL);
    sl_error error;
    const int32_t some[] = {1, 3}, bad = -1;
    assert_int_equal(sl_consumer_pause(consumer, some, 2, &error), SL_OK);
    assert_int_equal(sl_consumer_resume(consumer, NULL, 0, &error), SL_OK);
    assert_int_equal(fake->pause_count, 3);
    assert_int_equal(fake->pauses[1].partition, 3);
    assert_true(fake->pauses[1].paused);
    assert_int_equal(fake->pauses[2].partition, -1);
    assert_false(fake->pauses[2].paused);
    assert_int_equal(sl_consumer_seek_time(consumer, 1700000000000, &error), SL_OK);
    assert_int_equal(fake->sought_time, 1700000000000);
    assert_int_equal(sl_consumer_seek_time(consumer, -1, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_consumer_pause(consumer, &bad, 1, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_consumer_pause(consumer, NULL, 1, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_consumer_positions(consumer, NULL, 1, NULL, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(fake->pause_count, 3);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    sl_client_destroy(&client);
}

static void statistics_tell_what_was_done(void **state)
{
    (void)state;
    struct fake *fake = fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    sl_error error;
    fake->assign = true;
    fake->share[0] = 3;
    fake->share[1] = 1;
    fake->share_count = 2;
    fake->statistics = "{\"own\":[1,2]}";
    sl_consumer *consumer = open_consumer(client, false, "g");
    hand_out(fake, 3, 40);
    sl_batch *batch = poll_one(consumer);
    assert_null(poll_one(consumer));
    assert_int_equal(sl_consumer_commit(consumer, batch, &error), SL_OK);
    fake->refuse_commits = SL_UNAVAILABLE;
    assert_int_equal(sl_consumer_commit(consumer, batch, &error), SL_UNAVAILABLE);
    sl_batch_destroy(&batch);
    const int32_t paused = 1;
    assert_int_equal(sl_consumer_pause(consumer, &paused, 1, &error), SL_OK);
    char *json = NULL;
    assert_int_equal(sl_consumer_statistics(consumer, &json, &error), SL_OK);
    static const char *const pieces[] = {
        "{\"type\":\"consumer\",\"connector\":\"kafka-connector\",\"catalog\":\"" FAKE_HRN
        "\",\"layer\":\"layer\",\"group\":\"g\",\"timeMs\":",
        "\"received\":1,\"bytesReceived\":0,\"polls\":2,\"emptyPolls\":1,\"commits\":1,\"commitFailures\":1,"
        "\"rebalances\":1,\"partitions\":[{\"partition\":1,\"paused\":true},{\"partition\":3,\"paused\":"
        "false,"
        "\"position\":41,\"committed\":41}],\"resolved\":{\"messages\":0,\"bytes\":0,\"failures\":0}",
        ",\"connectorStatistics\":{\"own\":[1,2]}}"};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        if (!strstr(json, pieces[i]))
            fail_msg("%s does not hold %s", json, pieces[i]);
    sl_free(json);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    sl_client_destroy(&client);
}

struct counter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int calls;
};

static void on_statistics(void *opaque, const char *json, size_t size)
{
    struct counter *counter = opaque;
    assert_int_equal(strlen(json), size);
    assert_int_equal(json[size - 1], '}');
    pthread_mutex_lock(&counter->lock);
    counter->calls++;
    pthread_cond_signal(&counter->changed);
    pthread_mutex_unlock(&counter->lock);
}

static void statistics_come_by_themselves(void **state)
{
    (void)state;
    fake_get();
    sl_client *client = fake_client(FAKE_DIR);
    struct counter counter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    sl_consumer_options *options = NULL;
    sl_consumer *consumer = NULL;
    sl_error error;
    assert_int_equal(sl_consumer_options_create(&options), SL_OK);
    assert_int_equal(sl_consumer_options_set_statistics(options, 99, on_statistics, &counter),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(sl_consumer_options_set_statistics(options, 100, on_statistics, &counter), SL_OK);
    assert_int_equal(sl_consumer_create(client, FAKE_HRN, "layer", options, &consumer, &error), SL_OK);
    sl_consumer_options_destroy(&options);
    pthread_mutex_lock(&counter.lock);
    while (counter.calls < 2)
        pthread_cond_wait(&counter.changed, &counter.lock);
    pthread_mutex_unlock(&counter.lock);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    int calls = counter.calls; /* nobody counts any more */
    sl_client_destroy(&client);
    assert_int_equal(counter.calls, calls);
}

CASES_MAIN(cmocka_unit_test(auto_commit_waits_for_a_later_poll),
           cmocka_unit_test(a_commit_by_hand_is_not_undone_by_auto_commit),
           cmocka_unit_test(auto_commit_goes_on_while_a_poll_waits),
           cmocka_unit_test(a_commit_of_what_was_moved_is_not_repeated),
           cmocka_unit_test(without_auto_commit_nothing_is_committed),
           cmocka_unit_test(revoked_partitions_are_committed_first),
           cmocka_unit_test(a_seek_forgets_what_was_polled), cmocka_unit_test(a_long_poll_lets_a_seek_in),
           cmocka_unit_test(the_group_that_the_application_names_is_passed_on),
           cmocka_unit_test(the_application_is_told_of_rebalances),
           cmocka_unit_test(what_is_lost_is_not_committed),
           cmocka_unit_test(what_is_lost_before_a_commit_is_due_is_not_committed),
           cmocka_unit_test(what_a_connector_lacks_is_unsupported),
           cmocka_unit_test(pauses_and_times_are_passed_on), cmocka_unit_test(statistics_tell_what_was_done),
           cmocka_unit_test(statistics_come_by_themselves), cmocka_unit_test(bad_arguments_are_refused))
