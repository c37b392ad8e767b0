/* Order within a partition id. */
#include "suite.h"
#include <stdio.h>

enum { KEYS = 12, EACH = 500 };

/* Checks that each key's numbers ascend without a gap, in one Kafka partition, and offsets within batches. */
static void check_order(const struct inbox *inbox, int keys, int each, bool *partitions, int partition_count)
{
    int next[KEYS] = {0};
    int32_t home[KEYS];
    for (int i = 0; i < keys; i++)
        home[i] = -1;
    for (size_t i = 0; i < inbox->count; i++) {
        const sl_message *message = inbox->messages[i];
        size_t size = 0;
        const char *id = sl_message_partition_id(message, &size);
        char name[24] = "", text[24];
        assert_non_null(id);
        assert_true(size < sizeof name);
        memcpy(name, id, size);
        int key = 0, number = number_of(message);
        assert_int_equal(sscanf(name, "key-%d", &key), 1);
        assert_true(key >= 0 && key < keys);
        if (number != next[key])
            fail_msg("%s: %s came where %d was due", name, text_of(message, text, sizeof text), next[key]);
        next[key]++;
        sl_offset offset = sl_message_offset(message);
        assert_true(offset.partition >= 0 && offset.partition < partition_count && offset.offset >= 0);
        partitions[offset.partition] = true;
        if (home[key] < 0)
            home[key] = offset.partition;
        assert_int_equal(home[key], offset.partition);
    }
    for (int i = 0; i < keys; i++)
        assert_int_equal(next[i], each);
}

static void send_key(sl_producer *producer, int key, int number)
{
    char name[24], text[24];
    snprintf(name, sizeof name, "key-%d", key);
    snprintf(text, sizeof text, "%d", number);
    send_text(producer, name, text);
}

static void order_within_partition_id(void **state)
{
    (void)state;
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    sl_client *client = client_make();
    layer_make(client, 4, &layer);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    for (int number = 0; number < EACH; number++)
        for (int key = 0; key < KEYS; key++)
            send_key(producer, key, number);
    producer_finish(&producer, &tally, KEYS * EACH);
    receive(consumer, &inbox, KEYS * EACH);
    bool partitions[4] = {false};
    check_order(&inbox, KEYS, EACH, partitions, 4);
    assert_true(partitions[0] + partitions[1] + partitions[2] + partitions[3] > 1);
    /* Within one batch, a Kafka partition's offsets ascend. */
    for (size_t b = 0; b < inbox.batch_count; b++) {
        int64_t last[4] = {-1, -1, -1, -1};
        for (size_t i = 0; i < sl_batch_count(inbox.batches[b]); i++) {
            sl_offset offset = sl_message_offset(sl_batch_message(inbox.batches[b], i));
            assert_true(offset.offset > last[offset.partition]);
            last[offset.partition] = offset.offset;
        }
    }
    receive_nothing(consumer, 300);
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    sl_client_destroy(&client);
}

struct sender {
    pthread_t thread;
    sl_producer *producer;
    int key;
    sl_error error;
    sl_status status;
};

static void *send_many(void *opaque)
{
    struct sender *sender = opaque;
    sl_message *message = NULL;
    char name[24], text[24];
    sender->status = sl_message_create(&message);
    for (int number = 0; sender->status == SL_OK && number < EACH; number++) {
        snprintf(name, sizeof name, "key-%d", sender->key);
        snprintf(text, sizeof text, "%d", number);
        sl_message_clear(message);
        sender->status = sl_message_set_partition_id(message, name, strlen(name));
        if (sender->status == SL_OK)
            sender->status = sl_message_set_payload(message, text, strlen(text));
        if (sender->status == SL_OK)
            sender->status = sl_producer_send(sender->producer, message, NULL, WAIT_MS, &sender->error);
    }
    sl_message_destroy(&message);
    return NULL;
}

/* Four threads on one producer, each with a partition id of its own: each keeps its order. */
static void sends_from_four_threads(void **state)
{
    (void)state;
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    struct sender senders[4] = {{0}};
    sl_client *client = client_make();
    layer_make(client, 4, &layer);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    for (int i = 0; i < 4; i++) {
        senders[i].producer = producer;
        senders[i].key = i;
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_many, &senders[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(senders[i].thread, NULL);
    for (int i = 0; i < 4; i++)
        must(senders[i].status, &senders[i].error);
    producer_finish(&producer, &tally, 4 * EACH);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, 4 * EACH);
    bool partitions[4] = {false};
    check_order(&inbox, 4, EACH, partitions, 4);
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    sl_client_destroy(&client);
}

/* Each reader has each partition id's numbers in their order. send_numbers gives them ids in turn. */
static void assert_each_in_order(const struct reader *reader)
{
    int last[KEYS];
    for (int i = 0; i < KEYS; i++)
        last[i] = -1;
    for (size_t i = 0; i < reader->count; i++) {
        int number = reader->numbers[i], *before = &last[number < 0 ? 0 : number % KEYS];
        if (number < 0)
            continue;
        if (number <= *before)
            fail_msg("%d came after %d", number, *before);
        *before = number;
    }
}

/* A consumer that has several polls under way (over HTTP; over Kafka the setting means nothing) is one
 * consumer still: each message once, in its order, and what is committed does not come again. */
static void poll_side_by_side(const char *polls, int partitions)
{
    enum { COUNT = KEYS * EACH };
    static struct reader reader;
    struct reader *const readers[] = {&reader};
    struct layer layer;
    struct inbox inbox = {0};
    sl_client *client = client_make_with(SETTING("stream.http.polls"), polls);
    layer_make(client, partitions, &layer);
    produce_numbers(client, &layer, 0, COUNT / 2, KEYS);
    reader_start_committing(&reader, consumer_make(client, &layer, layer.group, SL_START_BEGIN));
    produce_numbers(client, &layer, COUNT / 2, COUNT / 2, KEYS);
    readers_wait(readers, 1, COUNT);
    reader_stop(&reader, true);
    assert_shared(readers, 1, COUNT);
    assert_each_in_order(&reader);
    reader_free(&reader);
    produce_numbers(client, &layer, COUNT, 50, KEYS);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    receive(consumer, &inbox, 50);
    assert_numbers(&inbox, COUNT, 50);
    receive_nothing(consumer, 300);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&client);
}

static void several_polls(void **state)
{
    (void)state;
    poll_side_by_side("4", 4);
}

/* More than the layer has partitions: as many as there can be. */
static void more_polls_than_partitions(void **state)
{
    (void)state;
    poll_side_by_side("4", 2);
}

/* Two such consumers share their group's messages. */
static void several_polls_in_a_group(void **state)
{
    (void)state;
    enum { COUNT = KEYS * EACH };
    static struct reader first, second;
    struct reader *const readers[] = {&first, &second};
    struct layer layer;
    struct inbox inbox = {0};
    sl_client *client = client_make_with(SETTING("stream.http.polls"), "2");
    layer_make(client, 4, &layer);
    sl_producer *producer = producer_make(client, &layer, NULL);
    reader_start_committing(&first, consumer_make(client, &layer, layer.group, SL_START_BEGIN));
    reader_start_committing(&second, consumer_make(client, &layer, layer.group, SL_START_BEGIN));
    readers_settle(producer, readers, 2);
    send_numbers(producer, 0, COUNT, KEYS);
    producer_finish(&producer, NULL, 0);
    readers_wait(readers, 2, COUNT);
    reader_stop(&first, true);
    reader_stop(&second, true);
    assert_shared(readers, 2, COUNT);
    assert_each_in_order(&first);
    assert_each_in_order(&second);
    reader_free(&first);
    reader_free(&second);
    produce_numbers(client, &layer, COUNT, 50, KEYS);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    receive(consumer, &inbox, 50);
    assert_numbers(&inbox, COUNT, 50);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&client);
}

CASES_MAIN(cmocka_unit_test(order_within_partition_id), cmocka_unit_test(sends_from_four_threads),
           cmocka_unit_test(several_polls), cmocka_unit_test(more_polls_than_partitions),
           cmocka_unit_test(several_polls_in_a_group))
