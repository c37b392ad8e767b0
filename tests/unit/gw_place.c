#include "gw_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "config/settings.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void tell(int *done)
{
    pthread_mutex_lock(&lock);
    ++*done;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

void await(const int *done, int count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_MS / 1000;
    int code = 0;
    pthread_mutex_lock(&lock);
    while (*done < count && !code)
        code = pthread_cond_timedwait(&changed, &lock, &until);
    pthread_mutex_unlock(&lock);
    assert_int_equal(code, 0);
}

struct sending {
    struct gw_write write; /* first */
    int done;
};

static void written(struct gw_write *write)
{
    tell(&((struct sending *)(void *)write)->done);
}

sl_offset write_one(struct place *place, const char *key, const char *payload, size_t size)
{
    struct sl_message message = {.headers = NULL};
    struct sending sending = {.write.done = written};
    sl_error error;
    sl_message_reset(&message);
    message.partition_id = key;
    message.partition_id_size = strlen(key);
    message.payload = payload;
    message.payload_size = size;
    assert_int_equal(gw_broker_write(place->broker, gw_server_loop(place->server, 0), "t", &message,
                                     &sending.write, &error),
                     SL_OK);
    await(&sending.done, 1);
    assert_int_equal(sending.write.status, SL_OK);
    return sending.write.offset;
}

/* MESSAGES of them, over both partitions. */
static void fill_topic(struct place *place)
{
    int counts[2] = {0, 0};
    for (int i = 0; i < MESSAGES; i++) {
        char key[16];
        snprintf(key, sizeof key, "key-%d", i);
        counts[write_one(place, key, "x", 1).partition]++;
    }
    assert_true(counts[0] > 2 && counts[1] > 2);
}

void open_place_with(struct place *place, const char *limit, const char *value)
{
    char text[512];
    sl_error error;
    memset(place, 0, sizeof *place);
    place->owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    place->cluster = rd_kafka_mock_cluster_new(place->owner, 1);
    assert_non_null(place->cluster);
    rd_kafka_mock_topic_create(place->cluster, "t", 2, 1);
    assert_int_equal(sl_config_create(&place->config, &error), SL_OK);
    assert_int_equal(sl_config_set(place->config, SL_GATEWAY_ROOT "kafka.brokers",
                                   rd_kafka_mock_cluster_bootstraps(place->cluster), &error),
                     SL_OK);
    if (limit)
        assert_int_equal(sl_config_set(place->config, limit, value, &error), SL_OK);
    const struct gw_server_settings settings = {.address = "127.0.0.1",
                                                .loops = 1,
                                                .max_connections = 10,
                                                .max_body = 1000,
                                                .max_header = 1000,
                                                .idle_timeout_ms = 10000};
    if (gw_server_start(&settings, NULL, &place->server, &error) ||
        gw_budget_create((size_t)64 << 20, &place->budget, &error) ||
        gw_brokers_open(place->config, NULL, place->budget, &place->brokers, &error) ||
        gw_workers_start(2, 2, &place->workers, &error) ||
        gw_subscriptions_open(place->config, NULL, place->brokers, place->server, place->workers,
                              &place->subscriptions, &error))
        fail_msg("%s", error.text);
    place->broker = gw_brokers_find(place->brokers, GW_CLUSTER_DEFAULT);
    place->layer = (struct gw_layer){.references = 1,
                                     .hrn = "h",
                                     .id = "l",
                                     .topic = "t",
                                     .key = "t",
                                     .cluster = GW_CLUSTER_DEFAULT,
                                     .parallelization = 2,
                                     .counters = &place->counters};
    fill_topic(place);
}

void open_place(struct place *place)
{
    open_place_with(place, NULL, NULL);
}

void close_place(struct place *place)
{
    gw_subscriptions_close(place->subscriptions, WAIT_MS);
    gw_workers_finish(place->workers);
    gw_brokers_finish(place->brokers, 100);
    gw_server_stop(&place->server);
    gw_workers_stop(&place->workers);
    gw_subscriptions_free(&place->subscriptions);
    gw_brokers_close(&place->brokers);
    assert_int_equal(gw_budget_used(place->budget), 0); /* all is given back */
    gw_budget_destroy(&place->budget);
    sl_config_destroy(&place->config);
    rd_kafka_mock_cluster_destroy(place->cluster);
    rd_kafka_destroy(place->owner);
}

void subscribed(struct gw_subscribe *ask)
{
    tell(&((struct subscribing *)(void *)ask)->done);
}

sl_status subscribe_from(struct place *place, bool earliest, struct gw_subscription **subscription)
{
    struct subscribing call = {.ask = {.done = subscribed,
                                       .application = "a",
                                       .layer = &place->layer,
                                       .group_default = "g",
                                       .earliest = earliest}};
    sl_error error;
    assert_int_equal(gw_subscriptions_subscribe(place->subscriptions, &call.ask, &error), SL_OK);
    await(&call.done, 1);
    *subscription = call.ask.subscription;
    return call.ask.status;
}

sl_status subscribe(struct place *place, struct gw_subscription **subscription)
{
    return subscribe_from(place, true, subscription);
}

bool add(struct gw_poll *poll, const struct sl_message *message)
{
    struct polling *call = (struct polling *)(void *)poll;
    if (message->offset.offset < MESSAGES)
        call->seen[message->offset.partition * MESSAGES + message->offset.offset]++;
    return true;
}

void polled(struct gw_poll *poll)
{
    tell(&((struct polling *)(void *)poll)->done);
}

void released(struct gw_poll *poll)
{
    tell(&((struct polling *)(void *)poll)->released);
}

sl_status poll_once(struct gw_subscription *subscription, size_t max, int *seen, size_t *count)
{
    struct polling call = {.poll = {.subscription = subscription,
                                    .max_messages = max,
                                    .deadline_ms = sl_mono_ms() + 200,
                                    .received = -1,
                                    .assignment = -1,
                                    .add = add,
                                    .done = polled,
                                    .released = released},
                           .seen = seen};
    gw_subscription_poll(&call.poll);
    await(&call.done, 1);
    gw_poll_settle(&call.poll, true);
    await(&call.released, 1);
    *count = call.poll.count;
    return call.poll.status;
}

void changed_it(struct gw_change *change)
{
    (void)change;
}

void let_go_of_it(struct gw_change *change)
{
    tell(&((struct changing *)(void *)change)->done);
}

sl_status change(struct gw_subscription *subscription, enum gw_change_kind kind)
{
    struct changing call = {
        .change = {.subscription = subscription, .kind = kind, .done = changed_it, .released = let_go_of_it}};
    gw_subscription_change(&call.change);
    await(&call.done, 1);
    return call.change.status;
}

sl_status seek_to_end(struct gw_subscription *subscription)
{
    return change(subscription, GW_SEEK_END);
}

/* Runs on the loop: no call came for long. */
struct aging {
    struct gw_task task; /* first */
    struct gw_subscription *subscription;
    bool alive; /* afterwards */
    int done;
};

static void age(struct gw_task *task)
{
    struct aging *aging = (struct aging *)(void *)task;
    aging->subscription->idle_until_ms = 0;
    aging->subscription->tick.run(&aging->subscription->tick);
    aging->alive = aging->subscription->phase == GW_JOINED;
    tell(&aging->done);
}

bool outlives_its_idle_time(struct gw_subscription *subscription)
{
    struct aging aging = {.task.run = age, .subscription = subscription};
    gw_loop_post(subscription->loop, &aging.task);
    await(&aging.done, 1);
    return aging.alive;
}

sl_status commit_one(struct gw_subscription *subscription, sl_offset offset)
{
    struct changing call = {.change = {.subscription = subscription,
                                       .kind = GW_COMMIT,
                                       .offsets = &offset,
                                       .count = 1,
                                       .done = changed_it,
                                       .released = let_go_of_it}};
    gw_subscription_change(&call.change);
    await(&call.done, 1);
    return call.change.status;
}

int positions(struct gw_subscription *subscription, sl_partition_position list[GW_PARTITIONS_MAX])
{
    struct changing call = {.change = {.subscription = subscription,
                                       .kind = GW_POSITIONS,
                                       .positions = list,
                                       .done = changed_it,
                                       .released = let_go_of_it}};
    gw_subscription_change(&call.change);
    await(&call.done, 1);
    assert_int_equal(call.change.status, SL_OK);
    return (int)call.change.position_count;
}
