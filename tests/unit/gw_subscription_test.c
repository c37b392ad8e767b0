/* Subscriptions, against librdkafka's mock cluster: what Kafka's client refuses on demand. */
#include "gw_place.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "config/settings.h"

/* In the place of librdkafka's: the seeks from the seek_fails-th (0: none) to the seek_fails_until-th do what
 * they do, and then say that they timed out. */
static atomic_int seeks, seek_fails, seek_fails_until;
static atomic_bool assign_fails;
/* While seeks are held they do not return; one that waits says so. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool seeks_held, seek_waits; /* under gate */

static void pass_gate(void)
{
    pthread_mutex_lock(&gate);
    seek_waits = true;
    pthread_cond_broadcast(&gate_moved);
    while (seeks_held)
        pthread_cond_wait(&gate_moved, &gate);
    seek_waits = false;
    pthread_mutex_unlock(&gate);
}

static void hold_seeks(bool held)
{
    pthread_mutex_lock(&gate);
    seeks_held = held;
    pthread_cond_broadcast(&gate_moved);
    pthread_mutex_unlock(&gate);
}

static void await_held_seek(void)
{
    pthread_mutex_lock(&gate);
    while (!seek_waits)
        pthread_cond_wait(&gate_moved, &gate);
    pthread_mutex_unlock(&gate);
}

rd_kafka_resp_err_t rd_kafka_seek(rd_kafka_topic_t *topic, int32_t partition, int64_t offset, int timeout_ms)
{
    rd_kafka_resp_err_t (*real)(rd_kafka_topic_t *, int32_t, int64_t, int);
    *(void **)&real = dlsym(RTLD_NEXT, "rd_kafka_seek");
    if (timeout_ms)
        pass_gate();
    rd_kafka_resp_err_t code = real(topic, partition, offset, timeout_ms);
    if (!timeout_ms || code == RD_KAFKA_RESP_ERR__STATE || !atomic_load(&seek_fails))
        return code;
    int count = atomic_fetch_add(&seeks, 1) + 1;
    bool fails = count >= atomic_load(&seek_fails) && count <= atomic_load(&seek_fails_until);
    return fails ? RD_KAFKA_RESP_ERR__TIMED_OUT : code;
}

rd_kafka_resp_err_t rd_kafka_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t (*real)(rd_kafka_t *, const rd_kafka_topic_partition_list_t *);
    *(void **)&real = dlsym(RTLD_NEXT, "rd_kafka_assign");
    return list && atomic_load(&assign_fails) ? RD_KAFKA_RESP_ERR__INVALID_ARG : real(rk, list);
}

/* A poll that says of the answer before it that it did not arrive, while its partitions are being resumed. */
static void an_answer_lost_before_a_resume_comes_again(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    int seen[2 * MESSAGES] = {0}, lost[2 * MESSAGES] = {0};
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    struct polling call = {.poll = {.subscription = subscription,
                                    .max_messages = MESSAGES / 2,
                                    .deadline_ms = sl_mono_ms() + WAIT_MS,
                                    .ack = GW_ACK_NO,
                                    .received = -1,
                                    .assignment = -1,
                                    .add = add,
                                    .done = polled,
                                    .released = released},
                           .seen = lost};
    gw_subscription_poll(&call.poll);
    await(&call.done, 1);
    gw_poll_settle(&call.poll, true);
    await(&call.released, 1);
    assert_true(call.poll.count > 0);

    assert_int_equal(change(subscription, GW_PAUSE), SL_OK);
    struct changing resume = {
        .change = {
            .subscription = subscription, .kind = GW_RESUME, .done = changed_it, .released = let_go_of_it}};
    hold_seeks(true);
    gw_subscription_change(&resume.change);
    await_held_seek();
    call.seen = seen;
    call.poll.deadline_ms = sl_mono_ms(); /* it is told what was lost, and has nothing yet */
    gw_subscription_poll(&call.poll);
    await(&call.done, 2);
    gw_poll_settle(&call.poll, true);
    await(&call.released, 2);
    hold_seeks(false);
    await(&resume.done, 1);
    assert_int_equal(resume.change.status, SL_OK);

    int64_t until = sl_mono_ms() + WAIT_MS;
    size_t all = call.poll.count, got;
    for (; all < MESSAGES && sl_mono_ms() < until; all += got)
        assert_int_equal(poll_once(subscription, MESSAGES, seen, &got), SL_OK);
    assert_int_equal(all, MESSAGES);
    for (size_t i = 0; i < 2 * MESSAGES; i++)
        assert_true(seen[i] >= lost[i]);
    gw_subscription_unlink(subscription);
    close_place(&place);
}

/* Fails the seeks from the first to the last of these, when some messages were taken and others are held. */
static sl_status fail_a_seek(struct gw_subscription *subscription, int first, int last, int *seen,
                             size_t *got)
{
    int64_t until = sl_mono_ms() + WAIT_MS;
    for (*got = 0; *got < 1 && sl_mono_ms() < until;)
        assert_int_equal(poll_once(subscription, 1, seen, got), SL_OK);
    assert_int_equal(*got, 1);
    atomic_store(&seeks, 0);
    atomic_store(&seek_fails_until, last);
    atomic_store(&seek_fails, first);
    sl_status status = seek_to_end(subscription);
    atomic_store(&seek_fails, 0);
    return status;
}

static void a_seek_that_fails_half_way_skips_nothing(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    int seen[2 * MESSAGES] = {0};
    size_t got, count;
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    assert_int_equal(fail_a_seek(subscription, 2, 2, seen, &got), SL_TIMED_OUT);
    for (int64_t until = sl_mono_ms() + WAIT_MS; got < MESSAGES && sl_mono_ms() < until; got += count)
        assert_int_equal(poll_once(subscription, 0, seen, &count), SL_OK);
    assert_int_equal(got, MESSAGES);
    for (size_t i = 0; i < 2 * MESSAGES; i++)
        assert_true(seen[i] <= 1);
    gw_subscription_unlink(subscription);
    close_place(&place);
}

static void a_seek_that_cannot_be_undone_ends_the_subscription(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    int seen[2 * MESSAGES] = {0};
    size_t got;
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    assert_int_equal(fail_a_seek(subscription, 2, 3, seen, &got), SL_TIMED_OUT);
    assert_int_equal(poll_once(subscription, 0, seen, &got), SL_NOT_FOUND);
    gw_subscription_unlink(subscription);
    close_place(&place);
}

/* Another one comes and the group shares out anew; librdkafka takes no more partitions. */
static void partitions_that_are_refused_end_the_subscription(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription, *other;
    int seen[2 * MESSAGES] = {0};
    size_t got = 0;
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    atomic_store(&assign_fails, true);
    assert_int_not_equal(subscribe(&place, &other), SL_OK);
    sl_status status = SL_OK;
    for (int64_t until = sl_mono_ms() + WAIT_MS; !status && sl_mono_ms() < until;)
        status = poll_once(subscription, 0, seen, &got);
    assert_int_equal(status, SL_NOT_FOUND);
    gw_subscription_unlink(subscription);
    atomic_store(&assign_fails, false);
    close_place(&place);
}

static void before_its_first_call_a_subscription_ends_sooner(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    int seen[2 * MESSAGES] = {0};
    size_t got;
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    assert_int_equal(subscription->idle_until_ms - subscription->last_call_ms, 30000);
    assert_int_equal(poll_once(subscription, 1, seen, &got), SL_OK);
    assert_int_equal(subscription->idle_until_ms - subscription->last_call_ms, 300000);
    gw_subscription_unlink(subscription);
    close_place(&place);

    struct gw_subscriptions longer = {.idle_ms = 300000, .lost_ms = 60000};
    assert_int_equal(gw_first_call_ms(&longer), 60000);
    struct gw_subscriptions shorter = {.idle_ms = 2000, .lost_ms = 10000};
    assert_int_equal(gw_first_call_ms(&shorter), 2000);
}

/* A stream's comment that its reader does not take. */
static void a_poll_that_holds_keeps_the_subscription(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    int seen[2 * MESSAGES] = {0};
    size_t got;
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    assert_int_equal(seek_to_end(subscription), SL_OK);
    struct polling call = {.poll = {.subscription = subscription,
                                    .deadline_ms = sl_mono_ms(),
                                    .holds = true,
                                    .received = -1,
                                    .assignment = -1,
                                    .add = add,
                                    .done = polled,
                                    .released = released},
                           .seen = seen};
    gw_subscription_poll(&call.poll);
    await(&call.done, 1);
    assert_int_equal(call.poll.count, 0);
    assert_true(outlives_its_idle_time(subscription));
    assert_int_equal(poll_once(subscription, 1, seen, &got), SL_OK); /* in nobody's way */
    gw_poll_settle(&call.poll, true);
    await(&call.released, 1);
    assert_false(outlives_its_idle_time(subscription));
    gw_subscription_unlink(subscription);
    close_place(&place);
}

static void what_is_refused_is_named(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    sl_offset nowhere = {.partition = 2, .offset = 0};
    open_place(&place);
    place.layer.parallelization = 1; /* a group of it is full with one */
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    struct gw_subscribe another = {.done = subscribed,
                                   .application = "a",
                                   .layer = &place.layer,
                                   .subscription_id = gw_subscription_id(subscription),
                                   .mode = GW_PARALLEL,
                                   .group_default = "g"};
    sl_error error;
    assert_int_equal(gw_subscriptions_subscribe(place.subscriptions, &another, &error), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(error.text, "in use in serial mode"));
    another.subscription_id = NULL;
    assert_int_equal(gw_subscriptions_subscribe(place.subscriptions, &another, &error), SL_CONFLICT);
    assert_non_null(strstr(error.text, "30 s after a subscribe"));
    assert_non_null(strstr(error.text, "300 s after its last call"));
    enum gw_change_kind kinds[] = {GW_SEEK, GW_COMMIT};
    for (size_t i = 0; i < 2; i++) {
        struct changing call = {.change = {.subscription = subscription,
                                           .kind = kinds[i],
                                           .offsets = &nowhere,
                                           .count = 1,
                                           .done = changed_it,
                                           .released = let_go_of_it}};
        gw_subscription_change(&call.change);
        await(&call.done, 1);
        assert_int_equal(call.change.status, SL_CONFLICT);
        assert_string_equal(call.change.error.text,
                            "there is no Kafka partition 2: layer l has 1, numbered from 0");
    }
    gw_subscription_unlink(subscription);
    close_place(&place);
}

/* A client that hears 404 gives its subscription up; one that hears 503 comes again when the gateway is back.
 */
static void calls_while_it_is_stopped_hear_so(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    sl_offset offset = {.partition = 0, .offset = 0};
    sl_error error;
    int seen[2 * MESSAGES] = {0};
    size_t count;
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    gw_subscriptions_close(place.subscriptions, WAIT_MS);
    assert_null(gw_subscription_find(place.subscriptions, "a", &place.layer,
                                     gw_subscription_node(subscription), NULL, NULL, &error));
    assert_int_equal(error.status, SL_CLOSED);
    assert_true(error.retriable);
    assert_int_equal(poll_once(subscription, 1, seen, &count), SL_CLOSED);
    struct changing call = {.change = {.subscription = subscription,
                                       .kind = GW_COMMIT,
                                       .offsets = &offset,
                                       .count = 1,
                                       .done = changed_it,
                                       .released = let_go_of_it}};
    gw_subscription_change(&call.change);
    await(&call.done, 1);
    assert_int_equal(call.change.status, SL_CLOSED);
    assert_true(call.change.error.retriable);
    gw_subscription_unlink(subscription);
    close_place(&place);
}

/* A commit that Kafka does not answer when the gateway is stopped: the same. */
static void a_commit_under_way_hears_of_the_stop(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    int seen[2 * MESSAGES] = {0};
    size_t count = 0;
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    while (!count)
        assert_int_equal(poll_once(subscription, 1, seen, &count), SL_OK);
    sl_offset offset = {.partition = seen[0] ? 0 : 1, .offset = 0};
    rd_kafka_mock_broker_set_down(place.cluster, 1);
    struct changing call = {.change = {.subscription = subscription,
                                       .kind = GW_COMMIT,
                                       .offsets = &offset,
                                       .count = 1,
                                       .done = changed_it,
                                       .released = let_go_of_it}};
    gw_subscription_change(&call.change);
    gw_subscriptions_close(place.subscriptions, 0); /* it goes on beside us */
    await(&call.done, 1);
    assert_int_equal(call.change.status, SL_CLOSED);
    assert_true(call.change.error.retriable);
    gw_subscription_unlink(subscription);
    rd_kafka_mock_broker_set_up(place.cluster, 1);
    close_place(&place);
}

/* Asks without waiting to join: limits are looked at before. */
static sl_status ask_for(struct place *place, struct subscribing *call, const char *application,
                         const char *topic, const char *id, sl_error *error)
{
    struct gw_layer *layer = calloc(1, sizeof *layer);
    assert_non_null(layer);
    *layer = place->layer;
    layer->topic = layer->key = topic;
    place->layers[place->layer_count++] = layer;
    *call = (struct subscribing){.ask = {.done = subscribed,
                                         .application = application,
                                         .layer = layer,
                                         .subscription_id = id,
                                         .group_default = "g",
                                         .earliest = true}};
    return gw_subscriptions_subscribe(place->subscriptions, &call->ask, error);
}

/* Those that were taken in hear of the end, and give up what they have. */
static void close_after(struct place *place, struct subscribing *calls, size_t count)
{
    gw_subscriptions_close(place->subscriptions, WAIT_MS);
    for (size_t i = 0; i < count; i++) {
        await(&calls[i].done, 1);
        gw_subscription_unlink(calls[i].ask.subscription);
    }
    close_place(place);
    while (place->layer_count)
        free(place->layers[--place->layer_count]);
}

static void an_application_has_its_share_of_subscriptions(void **state)
{
    (void)state;
    struct place place;
    struct subscribing calls[3], refused;
    sl_error error;
    open_place_with(&place, SL_GATEWAY_ROOT "limits.application-subscriptions", "2");
    assert_int_equal(ask_for(&place, &calls[0], "a", "t", "one", &error), SL_OK);
    assert_int_equal(ask_for(&place, &calls[1], "a", "u", "two", &error), SL_OK);
    assert_int_equal(ask_for(&place, &refused, "a", "v", NULL, &error), SL_THROTTLED);
    assert_true(error.retriable);
    assert_non_null(strstr(error.text, "limits.application-subscriptions"));
    assert_int_equal(ask_for(&place, &calls[2], "b", "v", NULL, &error),
                     SL_OK); /* others are not concerned */
    close_after(&place, calls, 3);
}

static void what_is_replaced_does_not_count(void **state)
{
    (void)state;
    struct place place;
    struct subscribing calls[2];
    sl_error error;
    open_place_with(&place, SL_GATEWAY_ROOT "limits.application-subscriptions", "1");
    assert_int_equal(ask_for(&place, &calls[0], "a", "t", "one", &error), SL_OK);
    assert_int_equal(ask_for(&place, &calls[1], "a", "t", "one", &error), SL_OK);
    close_after(&place, calls, 2);
}

static void a_group_has_its_share_on_all_layers(void **state)
{
    (void)state;
    struct place place;
    struct subscribing calls[3], refused;
    sl_error error;
    open_place_with(&place, SL_GATEWAY_ROOT "limits.group-subscriptions", "2");
    assert_int_equal(ask_for(&place, &calls[0], "a", "t", NULL, &error), SL_OK);
    assert_int_equal(ask_for(&place, &calls[1], "a", "u", NULL, &error), SL_OK);
    assert_int_equal(ask_for(&place, &refused, "a", "v", NULL, &error), SL_TOO_LARGE);
    assert_true(error.retriable);
    assert_non_null(strstr(error.text, "limits.group-subscriptions"));
    assert_int_equal(ask_for(&place, &calls[2], "b", "v", NULL, &error),
                     SL_OK); /* another's group of that name */
    close_after(&place, calls, 3);
}

static void all_have_their_limit(void **state)
{
    (void)state;
    struct place place;
    struct subscribing call, refused;
    sl_error error;
    open_place_with(&place, SL_GATEWAY_ROOT "limits.subscriptions", "1");
    assert_int_equal(ask_for(&place, &call, "a", "t", NULL, &error), SL_OK);
    assert_int_equal(ask_for(&place, &refused, "b", "t", NULL, &error), SL_QUEUE_FULL);
    assert_true(error.retriable);
    close_after(&place, &call, 1);
}

static size_t number_of(rd_kafka_conf_t *conf, const char *name)
{
    char text[64];
    size_t size = sizeof text;
    assert_int_equal(rd_kafka_conf_get(conf, name, text, &size), RD_KAFKA_CONF_OK);
    return strtoul(text, NULL, 10);
}

/* The first ones have what they may, the last ones what is left, and never all of them more than half. */
static void reading_ahead_has_half_of_the_budget(void **state)
{
    enum { MAX = 8, MORE = 100 };
    (void)state;
    struct gw_subscriptions all = {.max = MAX, .prefetch_max = 256 << 10};
    struct gw_subscription subscriptions[MORE];
    sl_error error;
    size_t sum = 0, count = 0;
    assert_int_equal(gw_budget_create((size_t)8 << 20, &all.budget, &error), SL_OK);
    sl_status status = SL_OK;
    for (; count < MORE; count++) {
        subscriptions[count] = (struct gw_subscription){.all = &all, .conf = rd_kafka_conf_new()};
        status = gw_subscription_take_prefetch(&subscriptions[count], &error);
        sum += subscriptions[count].prefetch;
        if (status)
            break;
    }
    assert_int_equal(status, SL_QUEUE_FULL);
    assert_true(count >= MAX);
    assert_true(sum <= (size_t)4 << 20);
    assert_int_equal(gw_budget_part_used(all.budget, GW_BUDGET_PREFETCH), sum);
    assert_int_equal(gw_budget_used(all.budget), sum);
    assert_int_equal(subscriptions[0].prefetch, 256 << 10);
    assert_true(subscriptions[MAX - 1].prefetch > 0);
    assert_true(subscriptions[count - 1].prefetch < 256 << 10);
    assert_int_equal(number_of(subscriptions[0].conf, "queued.max.messages.kbytes"), 192);
    assert_int_equal(number_of(subscriptions[0].conf, "fetch.max.bytes"), 64 << 10);
    assert_int_equal(number_of(subscriptions[0].conf, "fetch.message.max.bytes"), 64 << 10);
    for (size_t i = 0; i <= count && i < MORE; i++) {
        gw_subscription_give_prefetch(&subscriptions[i]);
        rd_kafka_conf_destroy(subscriptions[i].conf);
    }
    assert_int_equal(gw_budget_used(all.budget), 0);
    assert_int_equal(gw_budget_part_used(all.budget, GW_BUDGET_PREFETCH), 0);
    gw_budget_destroy(&all.budget);
}

/* What was handed out is counted until it is known to have arrived; and when memory is short a poll brings
 * one message. */
static void what_is_held_counts(void **state)
{
    (void)state;
    struct place place;
    struct gw_subscription *subscription;
    int seen[2 * MESSAGES] = {0};
    size_t count = 0;
    open_place(&place);
    assert_int_equal(subscribe(&place, &subscription), SL_OK);
    size_t idle = gw_budget_used(place.budget);
    assert_true(idle > 0); /* what it may read ahead */
    size_t rest = gw_budget_room(place.budget) - 3;
    assert_true(gw_budget_take(place.budget, rest));
    while (!count)
        assert_int_equal(poll_once(subscription, 10, seen, &count), SL_OK);
    assert_int_equal(count, 1);
    gw_budget_give(place.budget, rest);
    struct polling call = {.poll = {.subscription = subscription,
                                    .max_messages = 2,
                                    .deadline_ms = sl_mono_ms() + WAIT_MS,
                                    .received = -1,
                                    .assignment = -1,
                                    .add = add,
                                    .done = polled,
                                    .released = released},
                           .seen = seen};
    gw_subscription_poll(&call.poll);
    await(&call.done, 1);
    assert_true(call.poll.count > 0);
    assert_true(gw_budget_used(place.budget) > idle);
    gw_poll_settle(&call.poll, true);
    await(&call.released, 1);
    assert_int_equal(gw_budget_used(place.budget), idle);
    gw_subscription_unlink(subscription);
    close_place(&place);
}

CASES_MAIN(cmocka_unit_test(an_answer_lost_before_a_resume_comes_again),
           cmocka_unit_test(a_seek_that_fails_half_way_skips_nothing),
           cmocka_unit_test(a_seek_that_cannot_be_undone_ends_the_subscription),
           cmocka_unit_test(partitions_that_are_refused_end_the_subscription),
           cmocka_unit_test(before_its_first_call_a_subscription_ends_sooner),
           cmocka_unit_test(a_poll_that_holds_keeps_the_subscription),
           cmocka_unit_test(what_is_refused_is_named), cmocka_unit_test(calls_while_it_is_stopped_hear_so),
           cmocka_unit_test(a_commit_under_way_hears_of_the_stop),
           cmocka_unit_test(an_application_has_its_share_of_subscriptions),
           cmocka_unit_test(what_is_replaced_does_not_count),
           cmocka_unit_test(a_group_has_its_share_on_all_layers), cmocka_unit_test(all_have_their_limit),
           cmocka_unit_test(reading_ahead_has_half_of_the_budget), cmocka_unit_test(what_is_held_counts))
