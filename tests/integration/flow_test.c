/* Where a consumer goes and what it leaves out for now: seek by time, pause, positions, rebalances, payloads
 * in blobs, statistics. */
#include "suite.h"
#include <stdio.h>
#include <time.h>

enum { MESSAGES = 400, KEYS = 20, STEP_MS = 100 };

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What a rebalance callback was told. */
struct share {
    pthread_mutex_t lock;
    int assigned, revoked, lost;
    int32_t has[64];
    size_t count;
    sl_consumer **consumer; /* to commit with when partitions are revoked; NULL: not */
    sl_offset done[64];     /* what is committed then */
    size_t done_count;
    sl_status commit;
};

static void on_rebalance(void *opaque, sl_rebalance what, const int32_t *partitions, size_t count)
{
    struct share *share = opaque;
    pthread_mutex_lock(&share->lock);
    if (what == SL_ASSIGNED) {
        share->assigned++;
        share->count = count < 64 ? count : 64;
        memcpy(share->has, partitions, share->count * sizeof *partitions);
    } else if (what == SL_REVOKED) {
        share->revoked++;
    } else {
        share->lost++;
    }
    if (what == SL_REVOKED && share->consumer && share->done_count)
        share->commit = sl_consumer_commit_offsets(*share->consumer, share->done, share->done_count, NULL);
    pthread_mutex_unlock(&share->lock);
}

static size_t share_count(struct share *share)
{
    pthread_mutex_lock(&share->lock);
    size_t count = share->count;
    pthread_mutex_unlock(&share->lock);
    return count;
}

static sl_consumer *shared_consumer(sl_client *client, const struct layer *layer, struct share *share)
{
    sl_error error = {0};
    sl_consumer *consumer = NULL;
    sl_consumer_options *options = NULL;
    memset(share, 0, sizeof *share);
    pthread_mutex_init(&share->lock, NULL);
    must(sl_consumer_options_create(&options), NULL);
    must(sl_consumer_options_set_group(options, layer->group), NULL);
    must(sl_consumer_options_set_start(options, SL_START_BEGIN), NULL);
    must(sl_consumer_options_set_auto_commit(options, false, 0), NULL);
    must(sl_consumer_options_set_rebalance(options, on_rebalance, share), NULL);
    must(sl_consumer_create(client, layer->hrn, LAYER, options, &consumer, &error), &error);
    sl_consumer_options_destroy(&options);
    return consumer;
}

/* Messages whose numbers grow with their timestamps, which end now. */
static int64_t produce_timed(sl_client *client, const struct layer *layer, int count, int keys)
{
    struct tally tally;
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, layer, &tally);
    int64_t first = wall_ms() - (int64_t)count * STEP_MS;
    sl_message *message = NULL;
    must(sl_message_create(&message), NULL);
    for (int i = 0; i < count; i++) {
        char key[24], text[24];
        must(sl_message_set_partition_id(message, key, (size_t)snprintf(key, sizeof key, "key-%d", i % keys)),
             NULL);
        must(sl_message_set_payload(message, text, (size_t)snprintf(text, sizeof text, "%d", i)), NULL);
        must(sl_message_set_timestamp_ms(message, first + (int64_t)i * STEP_MS), NULL);
        send_message(producer, message);
    }
    sl_message_destroy(&message);
    producer_finish(&producer, &tally, (size_t)count);
    tally_free(&tally);
    return first;
}

/* All numbers from there on come. In a partition the first is one of them; older ones may follow it, where
 * partition ids were written side by side. */
static void receive_from(sl_consumer *consumer, int from)
{
    struct inbox inbox = {0};
    bool seen[MESSAGES] = {0}, begun[4] = {0};
    int left = MESSAGES - from;
    size_t at = 0;
    while (left) {
        receive(consumer, &inbox, inbox.count + 1);
        for (; at < inbox.count; at++) {
            int number = number_of(inbox.messages[at]),
                partition = sl_message_offset(inbox.messages[at]).partition;
            assert_false(seen[number]);
            assert_true(begun[partition] || number >= from);
            begun[partition] = seen[number] = true;
            left -= number >= from;
        }
    }
    inbox_free(&inbox);
}

static void seek_to_a_time(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 4, &layer);
    int64_t first = produce_timed(client, &layer, MESSAGES, KEYS);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    receive(consumer, &inbox, MESSAGES);
    /* The very time, and one between two messages: at or after it. */
    must(sl_consumer_seek_time(consumer, first + 250 * STEP_MS, &error), &error);
    receive_from(consumer, 250);
    must(sl_consumer_seek_time(consumer, first + 300 * STEP_MS - STEP_MS / 2, &error), &error);
    receive_from(consumer, 300);
    must(sl_consumer_seek_time(consumer, 0, &error), &error);
    receive_from(consumer, 0);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&client);
}

/* Where no message is so young: to the end. */
static void seek_to_a_time_to_come(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox fresh = {0};
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 4, &layer);
    produce_numbers(client, &layer, 0, MESSAGES, KEYS);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    must(sl_consumer_seek_time(consumer, wall_ms() + 3600000, &error), &error);
    receive_nothing(consumer, 500);
    produce_numbers(client, &layer, MESSAGES, 50, KEYS);
    receive(consumer, &fresh, 50);
    assert_numbers(&fresh, MESSAGES, 50);
    must_fail(sl_consumer_seek_time(consumer, -5, &error), SL_INVALID_ARGUMENT, &error);
    inbox_free(&fresh);
    consumer_close(&consumer);
    sl_client_destroy(&client);
}

/* What was fetched and not handed out comes after the resume, in order; nothing is skipped or repeated. */
static void pause_and_resume(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    produce_numbers(client, &layer, 0, MESSAGES, 1);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    must(sl_consumer_pause(consumer, NULL, 0, &error), &error); /* before anything was polled */
    receive_nothing(consumer, 500);
    must(sl_consumer_resume(consumer, NULL, 0, &error), &error);
    const int32_t partition = 0;
    for (int round = 0; round < 5; round++) {
        receive(consumer, &inbox, inbox.count + 1);
        must(sl_consumer_pause(consumer, &partition, 1, &error), &error);
        must(sl_consumer_pause(consumer, &partition, 1, &error), &error); /* twice is once */
        receive_nothing(consumer, 200);
        produce_numbers(client, &layer, MESSAGES + round * 10, 10, 1);
        receive_nothing(consumer, 200);
        must(sl_consumer_resume(consumer, &partition, 1, &error), &error);
    }
    receive(consumer, &inbox, MESSAGES + 50);
    for (size_t i = 0; i < inbox.count; i++)
        assert_int_equal(number_of(inbox.messages[i]), i);
    receive_nothing(consumer, 500);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&client);
}

static void pause_one_of_several(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 4, &layer);
    produce_numbers(client, &layer, 0, MESSAGES, KEYS);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    const int32_t paused = 2, wrong = 99;
    must(sl_consumer_pause(consumer, &paused, 1, &error), &error);
    must_fail(sl_consumer_pause(consumer, &wrong, 1, &error), SL_INVALID_ARGUMENT, &error);
    sl_partition_position list[4];
    size_t count = 0;
    must(sl_consumer_positions(consumer, list, 4, &count, &error), &error);
    assert_int_equal(count, 4);
    size_t waiting = (size_t)list[2].lag;
    assert_true(waiting > 0 && waiting < MESSAGES);
    for (int32_t i = 0; i < 4; i++) {
        assert_int_equal(list[i].partition, i);
        assert_int_equal(list[i].paused, i == paused);
    }
    receive(consumer, &inbox, MESSAGES - waiting);
    receive_nothing(consumer, 500);
    for (size_t i = 0; i < inbox.count; i++)
        assert_int_not_equal(sl_message_offset(inbox.messages[i]).partition, paused);
    must(sl_consumer_resume(consumer, &paused, 1, &error), &error);
    receive(consumer, &inbox, MESSAGES);
    assert_numbers(&inbox, 0, MESSAGES);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&client);
}

/* A member whose partitions are all paused stays in its group, takes part in rebalances, and has its pause
 * still when partitions come back. */
static void pause_while_rebalancing(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox inbox = {0};
    struct share share;
    static struct reader guest; /* its thread uses it until the end, of a failed case too */
    sl_error error = {0};
    sl_client *client = client_make(), *other_client = client_make();
    layer_make(client, 4, &layer);
    produce_numbers(client, &layer, 0, MESSAGES, KEYS);
    sl_consumer *consumer = shared_consumer(client, &layer, &share);
    assert_int_equal(share_count(&share), 4);
    must(sl_consumer_pause(consumer, NULL, 0, &error), &error);
    static struct reader host;
    reader_start(&host, consumer);
    reader_start(&guest, consumer_make(other_client, &layer, layer.group, SL_START_BEGIN));
    for (int64_t end = now_ms() + WAIT_MS; share_count(&share) != 2; breathe())
        assert_true(now_ms() < end);
    while (reader_count(&guest, 0) == 0)
        breathe(); /* the case's time bounds it */
    reader_stop(&guest, true);
    for (int64_t end = now_ms() + WAIT_MS; share_count(&share) != 4; breathe())
        assert_true(now_ms() < end);
    reader_stop(&host, false);
    assert_int_equal(reader_count(&host, 0), 0);
    receive_nothing(consumer, 500);
    must(sl_consumer_resume(consumer, NULL, 0, &error), &error);
    receive(consumer, &inbox, MESSAGES); /* the guest committed nothing */
    assert_numbers(&inbox, 0, MESSAGES);
    inbox_free(&inbox);
    reader_free(&guest);
    reader_free(&host);
    consumer_close(&consumer);
    sl_client_destroy(&client);
    sl_client_destroy(&other_client);
}

static void positions_and_lag(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    produce_numbers(client, &layer, 0, 100, 1);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    sl_partition_position position = {0};
    size_t count = 0;
    must(sl_consumer_positions(consumer, &position, 1, &count, &error), &error);
    assert_int_equal(count, 1);
    assert_int_equal(position.partition, 0);
    assert_int_equal(position.begin, 0);
    assert_int_equal(position.end, 100);
    assert_int_equal(position.position, 0);
    assert_int_equal(position.committed, -1);
    assert_int_equal(position.lag, 100);
    assert_false(position.paused);
    receive_once(consumer, &inbox, WAIT_MS, 30);
    must(sl_consumer_commit_offsets(consumer, &(sl_offset){0, 9}, 1, &error), &error);
    produce_numbers(client, &layer, 100, 10, 1);
    must(sl_consumer_positions(consumer, &position, 1, &count, &error), &error);
    assert_int_equal(position.end, 110);
    assert_int_equal(position.position, inbox.count);
    assert_int_equal(position.committed, 10);
    assert_int_equal(position.lag, 110 - inbox.count);
    must(sl_consumer_seek(consumer, &(sl_offset){0, 70}, 1, &error), &error);
    must(sl_consumer_positions(consumer, &position, 1, &count, &error), &error);
    assert_int_equal(position.position, 70);
    assert_int_equal(position.lag, 40);
    must(sl_consumer_positions(consumer, NULL, 0, &count, &error), &error);
    assert_int_equal(count, 1);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&client);
}

/* The share is told while opening, and each time it changes; both members together have all. */
static void rebalances_are_told(void **state)
{
    (void)state;
    struct layer layer;
    static struct share first_share, second_share; /* threads use them until the end, of a failed case too */
    static struct reader first, second;
    sl_client *client = client_make(), *other_client = client_make();
    layer_make(client, 4, &layer);
    sl_consumer *one = shared_consumer(client, &layer, &first_share);
    assert_int_equal(first_share.assigned, 1);
    assert_int_equal(first_share.count, 4);
    reader_start(&first, one);
    reader_start(&second, shared_consumer(other_client, &layer, &second_share));
    for (int64_t end = now_ms() + WAIT_MS; share_count(&first_share) != 2 || share_count(&second_share) != 2;
         breathe())
        assert_true(now_ms() < end);
    reader_stop(&second, true);
    for (int64_t end = now_ms() + WAIT_MS; share_count(&first_share) != 4; breathe())
        assert_true(now_ms() < end);
    reader_stop(&first, false);
    assert_true(first_share.assigned >= 3);
    assert_true(first_share.revoked + first_share.lost >= 1);
    unsigned seen = 0;
    for (size_t i = 0; i < 4; i++)
        seen |= 1u << first_share.has[i];
    assert_int_equal(seen, 0xf);
    reader_free(&first);
    reader_free(&second);
    consumer_close(&one);
    sl_client_destroy(&client);
    sl_client_destroy(&other_client);
}

/* Over Kafka a commit from within the callback is in time: what was done does not come again elsewhere. Over
 * HTTP partitions are lost by then. */
static void commit_when_partitions_are_revoked(void **state)
{
    (void)state;
    struct layer layer;
    struct share share;
    struct inbox inbox = {0}, rest = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    produce_numbers(client, &layer, 0, 100, 1);
    sl_consumer *consumer = shared_consumer(client, &layer, &share);
    receive(consumer, &inbox, 60);
    share.consumer = &consumer;
    share.done[share.done_count++] = (sl_offset){0, 41};
    consumer_close(&consumer);
    consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    bool in_time = share.revoked > 0;
    assert_true(in_time || strcmp(consumer_connector(), "kafka-connector"));
    assert_int_equal(share.commit, SL_OK);
    size_t left = in_time ? 58 : 100;
    receive(consumer, &rest, left);
    assert_numbers(&rest, 100 - (int)left, (int)left);
    inbox_free(&inbox);
    inbox_free(&rest);
    consumer_close(&consumer);
    sl_client_destroy(&client);
}

/* Kafka: a member that waits no longer for its partitions is no ghost, with which the others would share
 * until its session ends. (Over HTTP the gateway's member answers for one that does not poll.) */
static void who_gives_up_joining_leaves(void **state)
{
    (void)state;
    struct layer layer;
    struct share share;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_client *client = client_make();
    sl_client *hasty = client_make_with("here.platform.data-client.stream.consumer.join-timeout", "500 ms");
    layer_make(client, 4, &layer);
    sl_consumer *consumer = shared_consumer(client, &layer, &share), *late = NULL;
    if (!strcmp(consumer_connector(), "kafka-connector")) {
        sl_consumer_options *options = NULL;
        must(sl_consumer_options_create(&options), NULL);
        must(sl_consumer_options_set_group(options, layer.group), NULL);
        /* The first is not polled, so the group does not get round to the second. */
        must_fail(sl_consumer_create(hasty, layer.hrn, LAYER, options, &late, &error), SL_TIMED_OUT, &error);
        sl_consumer_options_destroy(&options);
        for (int64_t end = now_ms() + WAIT_MS; share.assigned < 2;) {
            assert_true(now_ms() < end);
            assert_false(receive_once(consumer, &inbox, 100, 0));
        }
        assert_int_equal(share.count, 4);
    }
    produce_numbers(client, &layer, 0, 100, KEYS);
    receive(consumer, &inbox, 100);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&client);
    sl_client_destroy(&hasty);
}

struct told {
    pthread_mutex_t lock;
    int calls;
    char json[100000];
};

static void on_statistics(void *opaque, const char *json, size_t size)
{
    struct told *told = opaque;
    pthread_mutex_lock(&told->lock);
    assert_int_equal(strlen(json), size);
    snprintf(told->json, sizeof told->json, "%s", json);
    told->calls++;
    pthread_mutex_unlock(&told->lock);
}

static void statistics_of_a_consumer(void **state)
{
    (void)state;
    static struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct layer layer;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    produce_numbers(client, &layer, 0, 100, 1);
    sl_consumer_options *options = NULL;
    sl_consumer *consumer = NULL;
    must(sl_consumer_options_create(&options), NULL);
    must(sl_consumer_options_set_group(options, layer.group), NULL);
    must(sl_consumer_options_set_start(options, SL_START_BEGIN), NULL);
    must(sl_consumer_options_set_statistics(options, 100, on_statistics, &told), NULL);
    must(sl_consumer_create(client, layer.hrn, LAYER, options, &consumer, &error), &error);
    sl_consumer_options_destroy(&options);
    receive(consumer, &inbox, 100);
    must(sl_consumer_commit(consumer, inbox.batches[inbox.batch_count - 1], &error), &error);
    char *json = NULL;
    must(sl_consumer_statistics(consumer, &json, &error), &error);
    assert_says(json, "\"type\":\"consumer\"");
    assert_says(json, consumer_connector());
    assert_says(json, layer.hrn);
    assert_says(json, "\"received\":100,\"bytesReceived\":190,");
    assert_says(json, "\"position\":100");
    assert_says(json, "\"committed\":100");
    sl_free(json);
    int calls = 0;
    for (int64_t end = now_ms() + WAIT_MS; calls < 3; breathe()) {
        assert_true(now_ms() < end);
        pthread_mutex_lock(&told.lock);
        calls = told.calls;
        pthread_mutex_unlock(&told.lock);
    }
    consumer_close(&consumer);
    calls = told.calls; /* no more of them now */
    assert_says(told.json, "\"type\":\"consumer\"");
    inbox_free(&inbox);
    sl_client_destroy(&client);
    assert_int_equal(told.calls, calls);
}

static unsigned char *large_payload(size_t size)
{
    unsigned char *data = malloc(size);
    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (unsigned char)(i * 31 + i / 255);
    return data;
}

static void send_large(sl_client *client, const struct layer *layer, const void *data, size_t size)
{
    sl_producer *producer = producer_make(client, layer, NULL);
    send_text(producer, "key", "before");
    sl_message *message = NULL;
    must(sl_message_create(&message), NULL);
    must(sl_message_set_partition_id(message, "key", 3), NULL);
    must(sl_message_set_payload(message, data, size), NULL);
    send_message(producer, message);
    sl_message_destroy(&message);
    send_text(producer, "key", "after");
    producer_finish(&producer, NULL, 0);
}

/* A payload in a blob is there as any other, in its place in the order. */
static void large_payloads_are_resolved(void **state)
{
    (void)state;
    enum { SIZE = SL_PAYLOAD_INLINE_MAX + 1 };
    struct layer layer;
    struct inbox inbox = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    unsigned char *data = large_payload(SIZE);
    send_large(client, &layer, data, SIZE);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    receive(consumer, &inbox, 3);
    size_t size = 0;
    const void *payload = sl_message_payload(inbox.messages[1], &size);
    assert_int_equal(size, SIZE);
    assert_non_null(payload);
    assert_memory_equal(payload, data, SIZE);
    assert_int_equal(sl_message_offset(inbox.messages[1]).offset, 1);
    consumer_close(&consumer);
    inbox_free(&inbox);
    free(data);
    sl_client_destroy(&client);
}

/* Without, the message has its data handle, and the payload is fetched when it is asked for. */
static void large_payloads_on_request(void **state)
{
    (void)state;
    enum { SIZE = SL_PAYLOAD_INLINE_MAX + 1 };
    struct layer layer;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_client *client = client_make_with("here.platform.data-client.stream.consumer.resolve", "false");
    layer_make(client, 1, &layer);
    unsigned char *data = large_payload(SIZE);
    send_large(client, &layer, data, SIZE);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    receive(consumer, &inbox, 3);
    size_t size = 0;
    assert_null(sl_message_payload(inbox.messages[1], &size));
    assert_non_null(sl_message_data_handle(inbox.messages[1]));
    assert_int_equal(sl_message_data_size(inbox.messages[1]), SIZE);
    void *fetched = NULL;
    must(sl_consumer_resolve(consumer, inbox.messages[1], &fetched, &size, &error), &error);
    assert_int_equal(size, SIZE);
    assert_memory_equal(fetched, data, SIZE);
    sl_free(fetched);
    must_fail(sl_consumer_resolve(consumer, inbox.messages[0], &fetched, &size, &error), SL_INVALID_ARGUMENT,
              &error);
    consumer_close(&consumer);
    inbox_free(&inbox);
    free(data);
    sl_client_destroy(&client);
}

CASES_MAIN(cmocka_unit_test(seek_to_a_time), cmocka_unit_test(seek_to_a_time_to_come),
           cmocka_unit_test(pause_and_resume), cmocka_unit_test(pause_one_of_several),
           cmocka_unit_test(pause_while_rebalancing), cmocka_unit_test(positions_and_lag),
           cmocka_unit_test(rebalances_are_told), cmocka_unit_test(commit_when_partitions_are_revoked),
           cmocka_unit_test(who_gives_up_joining_leaves), cmocka_unit_test(statistics_of_a_consumer),
           cmocka_unit_test(large_payloads_are_resolved), cmocka_unit_test(large_payloads_on_request))
