/* Groups: who gets which messages. */
#include "suite.h"
#include <stdio.h>

enum { MESSAGES = 1000, KEYS = 50 };

/* Two consumers, each polled by its own thread; the second joins while the first is polled. */
struct pair {
    sl_client *first_client, *second_client;
    struct layer layer;
    sl_producer *producer;
    struct reader first, second;
    struct reader *readers[2];
};

/* Which group each of the two names. */
enum groups { SAME, DIFFERENT, NONE, SECOND_ONLY };

static void open_pair(struct pair *pair, enum groups groups)
{
    memset(pair, 0, sizeof *pair);
    pair->first_client = client_make();
    pair->second_client = client_make();
    layer_make(pair->first_client, 4, &pair->layer);
    pair->producer = producer_make(pair->first_client, &pair->layer, NULL);
    const char *first = groups == SAME || groups == DIFFERENT ? pair->layer.group : NULL;
    const char *second = groups == SAME ? first : groups == NONE ? NULL : pair->layer.other_group;
    reader_start(&pair->first, consumer_make(pair->first_client, &pair->layer, first, SL_START_BEGIN));
    reader_start(&pair->second, consumer_make(pair->second_client, &pair->layer, second, SL_START_BEGIN));
    pair->readers[0] = &pair->first;
    pair->readers[1] = &pair->second;
}

static void close_pair(struct pair *pair)
{
    reader_free(&pair->first);
    reader_free(&pair->second);
    sl_client_destroy(&pair->first_client);
    sl_client_destroy(&pair->second_client);
}

static void write_all(struct pair *pair)
{
    send_numbers(pair->producer, 0, MESSAGES, KEYS);
    producer_finish(&pair->producer, NULL, MESSAGES);
}

/* The two are one group: together they get all, neither gets what the other got. */
static void check_shared(struct pair *pair)
{
    readers_settle(pair->producer, pair->readers, 2);
    write_all(pair);
    readers_wait(pair->readers, 2, MESSAGES);
    assert_true(reader_count(&pair->first, 0) > 0);
    assert_true(reader_count(&pair->second, 0) > 0);
    reader_stop(&pair->first, false);
    reader_stop(&pair->second, false);
    assert_shared(pair->readers, 2, MESSAGES);
    consumer_close(&pair->first.consumer);
    consumer_close(&pair->second.consumer);
}

/* The two are two groups: each gets all. */
static void check_not_shared(struct pair *pair)
{
    write_all(pair);
    for (size_t i = 0; i < 2; i++) {
        readers_wait(&pair->readers[i], 1, MESSAGES);
        reader_stop(pair->readers[i], true);
        assert_shared(&pair->readers[i], 1, MESSAGES);
    }
}

static void two_groups_get_everything(void **state)
{
    (void)state;
    static struct pair pair; /* threads use it until the end, of a failed case too */
    open_pair(&pair, DIFFERENT);
    assert_string_not_equal(sl_consumer_group(pair.first.consumer), sl_consumer_group(pair.second.consumer));
    check_not_shared(&pair);
    close_pair(&pair);
}

static void one_group_shares(void **state)
{
    (void)state;
    static struct pair pair; /* threads use it until the end, of a failed case too */
    open_pair(&pair, SAME);
    assert_string_equal(sl_consumer_group(pair.first.consumer), sl_consumer_group(pair.second.consumer));
    check_shared(&pair);
    close_pair(&pair);
}

/* Two applications with the same credentials that name no group share the layer's messages: the trap, which
 * the second is told of. */
static void same_credentials_share(void **state)
{
    (void)state;
    static struct pair pair; /* threads use it until the end, of a failed case too */
    open_pair(&pair, NONE);
    assert_says(last_warning(), "stream.consumer.group");
    assert_string_equal(sl_consumer_group(pair.first.consumer), sl_consumer_group(pair.second.consumer));
    check_shared(&pair);
    close_pair(&pair);
}

/* … and do not when one names a group of its own: the way out. */
static void named_group_does_not_share(void **state)
{
    (void)state;
    static struct pair pair; /* threads use it until the end, of a failed case too */
    open_pair(&pair, SECOND_ONLY);
    check_not_shared(&pair);
    close_pair(&pair);
}

/* The group that configuration names is the application's as well. */
static void group_from_configuration(void **state)
{
    (void)state;
    struct layer layer;
    sl_client *plain = client_make();
    sl_client *named = client_make_with("here.platform.data-client.stream.consumer.group", "from-a-file");
    layer_make(plain, 1, &layer);
    sl_consumer *first = consumer_make(plain, &layer, NULL, SL_START_BEGIN);
    sl_consumer *second = consumer_make(named, &layer, NULL, SL_START_BEGIN);
    assert_string_not_equal(sl_consumer_group(first), sl_consumer_group(second));
    assert_says(sl_consumer_group(second), "from-a-file");
    consumer_close(&first);
    consumer_close(&second);
    sl_client_destroy(&plain);
    sl_client_destroy(&named);
}

/* A member that closes leaves at once: the other has all partitions long before a session would time out. */
static void close_leaves_at_once(void **state)
{
    (void)state;
    static struct pair pair; /* threads use it until the end, of a failed case too */
    open_pair(&pair, SAME);
    readers_settle(pair.producer, pair.readers, 2);
    reader_stop(&pair.second, true);
    int64_t closed = now_ms();
    readers_settle(pair.producer, pair.readers, 1); /* the first gets the probes of all partitions */
    assert_true(now_ms() - closed < 20000);
    producer_finish(&pair.producer, NULL, 0);
    reader_stop(&pair.first, true);
    close_pair(&pair);
}

/* Seeking while members come and go: nothing breaks, and the end of it is a place to read on from. */
static void seek_while_members_come_and_go(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox inbox = {0};
    static struct reader guest;
    sl_error error = {0};
    sl_client *client = client_make(), *other_client = client_make();
    layer_make(client, 4, &layer);
    produce_numbers(client, &layer, 0, 100, KEYS);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    for (int round = 0; round < 2; round++) {
        static struct reader host;
        reader_start(&host, consumer);
        reader_start(&guest, consumer_make(other_client, &layer, layer.group, SL_START_BEGIN));
        for (int i = 0; i < 10; i++)
            must(sl_consumer_seek_to(consumer, i % 2 ? SL_START_END : SL_START_BEGIN, &error), &error);
        reader_stop(&guest, true);
        for (int i = 0; i < 10; i++)
            must(sl_consumer_seek_to(consumer, i % 2 ? SL_START_END : SL_START_BEGIN, &error), &error);
        reader_stop(&host, false);
        reader_free(&guest);
        reader_free(&host);
    }
    /* The group has one member again once all that was written comes to it. */
    int64_t end = now_ms() + WAIT_MS;
    for (size_t last = 0; last != 100;) {
        assert_true(now_ms() < end);
        inbox_free(&inbox);
        must(sl_consumer_seek_to(consumer, SL_START_BEGIN, &error), &error);
        for (int64_t quiet = now_ms() + 1000; now_ms() < quiet && inbox.count < 100;)
            receive_once(consumer, &inbox, 100, 0);
        last = inbox.count;
    }
    assert_numbers(&inbox, 0, 100);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&client);
    sl_client_destroy(&other_client);
}

static const char *other(const char *connector)
{
    return strcmp(connector, "kafka-connector") ? "kafka-connector" : "http-connector";
}

/* Half is read through one connector, the rest through the other: the group's position is Kafka's. */
static void connector_changes_position_stays(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox half = {0}, rest = {0};
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 4, &layer);
    produce_numbers(client, &layer, 0, MESSAGES, KEYS);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    char group[400];
    snprintf(group, sizeof group, "%s", sl_consumer_group(consumer));
    int64_t end = now_ms() + WAIT_MS;
    while (half.count < MESSAGES / 2) {
        assert_true(now_ms() < end);
        if (receive_once(consumer, &half, 1000, MESSAGES / 2 - half.count))
            must(sl_consumer_commit(consumer, half.batches[half.batch_count - 1], &error), &error);
    }
    consumer_close(&consumer);
    consumer = consumer_make_by(other(consumer_connector()), client, &layer, NULL, SL_START_BEGIN);
    assert_string_equal(sl_consumer_group(consumer), group);
    receive(consumer, &rest, MESSAGES / 2);
    receive_nothing(consumer, 500);
    struct inbox all = {.messages = malloc(MESSAGES * sizeof *all.messages)};
    assert_non_null(all.messages);
    assert_int_equal(half.count + rest.count, MESSAGES);
    memcpy(all.messages, half.messages, half.count * sizeof *all.messages);
    memcpy(all.messages + half.count, rest.messages, rest.count * sizeof *all.messages);
    all.count = MESSAGES;
    assert_numbers(&all, 0, MESSAGES);
    free(all.messages);
    inbox_free(&half);
    inbox_free(&rest);
    consumer_close(&consumer);
    sl_client_destroy(&client);
}

CASES_MAIN(cmocka_unit_test(two_groups_get_everything), cmocka_unit_test(one_group_shares),
           cmocka_unit_test(same_credentials_share), cmocka_unit_test(named_group_does_not_share),
           cmocka_unit_test(group_from_configuration), cmocka_unit_test(close_leaves_at_once),
           cmocka_unit_test(seek_while_members_come_and_go),
           cmocka_unit_test(connector_changes_position_stays))
