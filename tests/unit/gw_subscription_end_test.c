/* What subscriptions do when the log, Kafka or somebody else ends what they read; and how far they lag
 * behind. */
#include "gw_place.h"

#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "config/settings.h"

/* The mock cluster keeps 5 MB of a partition, and forgets what came before. */
static void let_expire(struct place *place)
{
    enum { SIZE = 1000000, ROUNDS = 8 };
    char *payload = calloc(1, SIZE), key[16];
    int counts[2] = {0, 0};
    for (int i = 0; counts[0] < ROUNDS || counts[1] < ROUNDS; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        counts[write_one(place, key, payload, SIZE).partition]++;
    }
    free(payload);
}

/* The group's own word is behind the log's begin when it is given its partitions. */
static void where_the_group_stood_has_expired(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    sl_partition_position list[GW_PARTITIONS_MAX];
    for (int earliest = 0; earliest < 2; earliest++) {
        open_place(&place);
        assert_int_equal(subscribe(&place, &subscription), SL_OK);
        for (int k = 0; k < 2; k++)
            assert_int_equal(commit_one(subscription, (sl_offset){k, 1}), SL_OK);
        assert_int_equal(change(subscription, GW_UNSUBSCRIBE), SL_OK);
        gw_subscription_unlink(subscription);
        let_expire(&place);
        assert_int_equal(subscribe_from(&place, earliest, &subscription), SL_OK);
        assert_int_equal(positions(subscription, list), 2);
        unsigned long long missed = 0;
        for (int k = 0; k < 2; k++) {
            assert_true(list[k].begin > 2);
            assert_int_equal(list[k].position, earliest ? list[k].begin : list[k].end);
            missed += (unsigned long long)(list[k].begin - 2);
        }
        assert_int_equal(atomic_load(&place.subscriptions->expired), missed);
        gw_subscription_unlink(subscription);
        close_place(&place);
    }
}

/* Retention overtakes one that reads too slowly. */
static void what_expires_while_it_is_read_is_counted(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    sl_partition_position list[GW_PARTITIONS_MAX];
    int seen[2 * MESSAGES] = {0};
    size_t count = 0;
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    assert_int_equal(change(subscription, GW_SEEK_BEGIN), SL_OK);
    assert_int_equal(change(subscription, GW_PAUSE), SL_OK);
    let_expire(&place);
    assert_int_equal(change(subscription, GW_RESUME), SL_OK);
    for (int64_t until = sl_mono_ms() + WAIT_MS; sl_mono_ms() < until;) {
        assert_int_equal(poll_once(subscription, 0, seen, &count), SL_OK);
        assert_int_equal(positions(subscription, list), 2);
        if (list[0].position == list[0].end && list[1].position == list[1].end)
            break;
    }
    for (size_t i = 0; i < 2 * MESSAGES; i++)
        assert_true(seen[i] <= 1);
    assert_int_equal(atomic_load(&place.subscriptions->expired),
                     (unsigned long long)(list[0].begin + list[1].begin));
    gw_subscription_unlink(subscription);
    close_place(&place);
}

static void kafka_is_away_and_comes_back(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    int seen[2 * MESSAGES] = {0};
    size_t count = 0;
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    assert_int_equal(seek_to_end(subscription), SL_OK);
    rd_kafka_mock_broker_set_down(place.cluster, 1);
    sl_status status = SL_OK;
    for (int64_t until = sl_mono_ms() + WAIT_MS; !status && sl_mono_ms() < until;)
        status = poll_once(subscription, 0, seen, &count);
    assert_int_equal(status, SL_UNAVAILABLE);
    rd_kafka_mock_broker_set_up(place.cluster, 1);
    for (int64_t until = sl_mono_ms() + WAIT_MS; status && sl_mono_ms() < until;)
        status = poll_once(subscription, 0, seen, &count);
    assert_int_equal(status, SL_OK);
    write_one(&place, "key-0", "x", 1);
    for (int64_t until = sl_mono_ms() + WAIT_MS; !count && sl_mono_ms() < until;)
        assert_int_equal(poll_once(subscription, 0, seen, &count), SL_OK);
    assert_true(count > 0); /* the mock cluster writes again what the producer sends again */
    gw_subscription_unlink(subscription);
    close_place(&place);
}

/* What a subscribe that fails is told. */
static void be_refused(struct place *place, sl_error *error)
{
    struct subscribing call = {.ask = {.done = subscribed,
                                       .application = "a",
                                       .layer = &place->layer,
                                       .group_default = "g",
                                       .earliest = true}};
    assert_int_equal(gw_subscriptions_subscribe(place->subscriptions, &call.ask, error), SL_OK);
    await(&call.done, 1);
    assert_null(call.ask.subscription);
    assert_int_not_equal(call.ask.status, SL_OK);
    *error = call.ask.error;
}

/* Of the Marketplace neither the topic nor where Kafka is, which who subscribes may not know. */
static void what_lacks_is_told_as_far_as_it_may_be_known(void **state)
{
    (void)state;
    struct place place;
    sl_error error;
    open_place_with(&place, SL_GATEWAY_ROOT "limits.kafka-wait", "1 s");
    rd_kafka_mock_topic_set_error(place.cluster, "t", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    be_refused(&place, &error);
    assert_non_null(strstr(error.text, "--topic t --operation Read"));
    place.layer.marketplace = true;
    be_refused(&place, &error);
    assert_string_equal(error.text,
                        "Kafka did not let the gateway read the layer l: the gateway's log says which "
                        "right it needs");
    rd_kafka_mock_topic_set_error(place.cluster, "t", RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_mock_broker_set_down(place.cluster, 1);
    be_refused(&place, &error);
    assert_non_null(strstr(error.text, "consumer group g gave the subscription no partitions"));
    assert_null(strstr(error.text, "127.0.0.1"));
    assert_null(strstr(error.text, "the Kafka cluster"));
    place.layer.marketplace = false;
    be_refused(&place, &error);
    assert_non_null(strstr(error.text, "the Kafka cluster \"default\" (127.0.0.1:"));
    rd_kafka_mock_broker_set_up(place.cluster, 1);
    close_place(&place);
}

/* The line for the layer and group; -1: none. */
static long long lag_told(struct place *place)
{
    static const char line[] = "streamlayer_consumer_lag_messages{catalog=\"h\",layer=\"l\",group=\"g\"} ";
    struct sl_buffer text;
    sl_buffer_init(&text, 1 << 20);
    assert_true(gw_subscriptions_metrics(place->subscriptions, &text));
    const char *at = strstr(text.data, line);
    long long lag = at ? atoll(at + strlen(line)) : -1;
    assert_true(!at || !strstr(at + 1, line)); /* one for the group, however many subscriptions */
    sl_buffer_free(&text);
    return lag;
}

/* Runs on the loop: as the timer does, or as the end of a poll. */
struct measuring {
    struct gw_task task; /* first */
    struct gw_subscription *subscription;
    bool by_timer;
    int done;
};

static void measure(struct gw_task *task)
{
    struct measuring *measuring = (struct measuring *)(void *)task;
    if (measuring->by_timer)
        measuring->subscription->tick.run(&measuring->subscription->tick);
    else
        gw_subscription_measure(measuring->subscription, true);
    tell(&measuring->done);
}

static void assert_lag(struct place *place, struct gw_subscription *const *list, size_t count, bool by_timer,
                       long long wanted)
{
    for (int64_t until = sl_mono_ms() + WAIT_MS; lag_told(place) != wanted && sl_mono_ms() < until;)
        for (size_t i = 0; i < count; i++) {
            struct measuring measuring = {.task.run = measure, .subscription = list[i], .by_timer = by_timer};
            gw_loop_post(list[i]->loop, &measuring.task);
            await(&measuring.done, 1);
        }
    assert_int_equal(lag_told(place), wanted);
}

static void lag_is_what_the_group_has_not_committed(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *list[2];
    open_place(&place);
    assert_int_equal(lag_told(&place), -1);
    assert_int_equal(subscribe(&place, &list[0]), SL_OK);
    assert_lag(&place, list, 1, false, MESSAGES);
    assert_int_equal(commit_one(list[0], (sl_offset){0, 1}), SL_OK);
    assert_lag(&place, list, 1, false, MESSAGES - 2);
    write_one(&place, "key-0", "x", 1);
    assert_lag(&place, list, 1, false, MESSAGES - 1);
    assert_int_equal(subscribe(&place, &list[1]), SL_OK);
    write_one(&place, "key-0", "x", 1);
    assert_lag(&place, list, 2, false, MESSAGES);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(change(list[i], GW_UNSUBSCRIBE), SL_OK);
        gw_subscription_unlink(list[i]);
    }
    assert_int_equal(lag_told(&place), -1);
    close_place(&place);
}

/* A job that keeps a worker until it is let go. */
struct blocking {
    struct gw_job job; /* first */
    sem_t runs, may_end;
};

static void block(struct gw_job *job)
{
    struct blocking *blocking = (struct blocking *)(void *)job;
    sem_post(&blocking->runs);
    sem_wait(&blocking->may_end);
}

/* Messages wait that nobody polls, so Kafka is asked where the log ends; all workers are busy. */
static void a_poll_does_not_wait_for_the_lag(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    struct blocking blocking[2];
    int seen[2 * MESSAGES] = {0};
    size_t count = 0;
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    while (!rd_kafka_queue_length(subscription->messages))
        sched_yield();
    for (int i = 0; i < 2; i++) {
        blocking[i].job.run = block;
        sem_init(&blocking[i].runs, 0, 0);
        sem_init(&blocking[i].may_end, 0, 0);
        gw_work_post(place.workers, "a", &blocking[i].job);
        sem_wait(&blocking[i].runs);
    }
    for (int i = 0; i < 2; i++) { /* the second time the question is still under way */
        struct measuring measuring = {.task.run = measure, .subscription = subscription, .by_timer = true};
        gw_loop_post(subscription->loop, &measuring.task);
        await(&measuring.done, 1);
    }
    assert_int_equal(poll_once(subscription, 1, seen, &count), SL_OK);
    assert_int_equal(count, 1);
    for (int i = 0; i < 2; i++)
        sem_post(&blocking[i].may_end);
    assert_lag(&place, &subscription, 1, false, MESSAGES);
    gw_subscription_unlink(subscription);
    close_place(&place);
    for (int i = 0; i < 2; i++) {
        sem_destroy(&blocking[i].runs);
        sem_destroy(&blocking[i].may_end);
    }
}

/* What nobody polls fills librdkafka's queue: it fetches no more, and does not see the log grow. */
static void the_lag_of_one_that_is_stuck_grows(void **state)
{
    (void)state;
    struct place place;
    static const struct gw_property small[] = {{"queued.min.messages", "1"},
                                               {"queued.max.messages.kbytes", "1"}};
    struct subscribing call = {.ask = {.done = subscribed,
                                       .application = "a",
                                       .layer = &place.layer,
                                       .group_default = "g",
                                       .earliest = true,
                                       .properties = small,
                                       .property_count = 2}};
    sl_error error;
    open_place(&place);
    assert_int_equal(gw_subscriptions_subscribe(place.subscriptions, &call.ask, &error), SL_OK);
    await(&call.done, 1);
    assert_lag(&place, &call.ask.subscription, 1, false, MESSAGES);
    for (int i = 0; i < 10; i++)
        write_one(&place, "key-0", "x", 1);
    assert_lag(&place, &call.ask.subscription, 1, true, MESSAGES + 10);
    gw_subscription_unlink(call.ask.subscription);
    close_place(&place);
}

static void find(struct place *place, const char *application, const char *node, const char *id,
                 const char *wanted)
{
    sl_error error;
    assert_null(
        gw_subscription_find(place->subscriptions, application, &place->layer, node, id, NULL, &error));
    assert_int_equal(error.status, SL_NOT_FOUND);
    if (!strstr(error.text, wanted))
        fail_msg("%s", error.text);
}

/* To its own application only, and as long as it is among the last 4,096. */
static void why_one_ended_is_remembered(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    int seen[2 * MESSAGES] = {0};
    size_t count;
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    assert_false(outlives_its_idle_time(subscription));
    char node[64];
    snprintf(node, sizeof node, "%s", gw_subscription_node(subscription));
    find(&place, "a", node, NULL, "no call followed the subscribe for 30 s");
    find(&place, "a", NULL, node, "no call followed the subscribe for 30 s"); /* its id, as none was given */
    find(&place, "b", node, NULL, "there is no subscription");
    find(&place, "a", "another", NULL, "there is no subscription another");
    gw_subscription_unlink(subscription);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    assert_int_equal(poll_once(subscription, 1, seen, &count), SL_OK);
    assert_false(outlives_its_idle_time(subscription));
    find(&place, "a", gw_subscription_node(subscription), NULL, "no call came for 300 s");
    struct gw_subscription copy = {.all = place.subscriptions,
                                   .layer = &place.layer,
                                   .application = (char[]){"a"},
                                   .id = (char[]){"many"},
                                   .consumer = (char[]){"many"}};
    memset(copy.node, 'x', sizeof copy.node - 1);
    for (int i = 0; i < 4096; i++) {
        copy.phase = GW_JOINED;
        gw_subscription_note_end(&copy, GW_END_REVOKED, NULL);
        free(copy.why);
    }
    find(&place, "a", copy.node, NULL, "may not read the layer any more");
    find(&place, "a", gw_subscription_node(subscription), NULL, "there is no subscription");
    gw_subscription_unlink(subscription);
    close_place(&place);
}

/* By application, and by topic; and a poll that waits hears of it. */
static void they_are_ended_from_outside(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    int seen[2 * MESSAGES] = {0};
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    assert_int_equal(seek_to_end(subscription), SL_OK);
    struct polling call = {.poll = {.subscription = subscription,
                                    .deadline_ms = sl_mono_ms() + WAIT_MS,
                                    .received = -1,
                                    .assignment = -1,
                                    .add = add,
                                    .done = polled,
                                    .released = released},
                           .seen = seen};
    gw_subscription_poll(&call.poll);
    gw_subscriptions_end(place.subscriptions, "b", NULL, GW_END_REVOKED);
    gw_subscriptions_end(place.subscriptions, "a", "another", GW_END_REVOKED);
    assert_int_equal(atomic_load(&subscription->ending), GW_END_NONE);
    gw_subscriptions_end(place.subscriptions, "a", NULL, GW_END_REVOKED);
    gw_subscriptions_end(NULL, NULL, NULL, GW_END_REVOKED);
    await(&call.done, 1);
    assert_int_equal(call.poll.status, SL_NOT_FOUND);
    gw_poll_settle(&call.poll, true);
    await(&call.released, 1);
    sl_error error;
    assert_int_equal(gw_subscription_ended(subscription, &error), GW_END_REVOKED);
    assert_non_null(strstr(error.text, "may not read the layer any more"));
    gw_subscription_unlink(subscription);
    close_place(&place);
}

CASES_MAIN(cmocka_unit_test(where_the_group_stood_has_expired),
           cmocka_unit_test(what_expires_while_it_is_read_is_counted),
           cmocka_unit_test(kafka_is_away_and_comes_back),
           cmocka_unit_test(what_lacks_is_told_as_far_as_it_may_be_known),
           cmocka_unit_test(lag_is_what_the_group_has_not_committed),
           cmocka_unit_test(the_lag_of_one_that_is_stuck_grows),
           cmocka_unit_test(a_poll_does_not_wait_for_the_lag), cmocka_unit_test(why_one_ended_is_remembered),
           cmocka_unit_test(they_are_ended_from_outside))
