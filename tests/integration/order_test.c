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

CASES_MAIN(cmocka_unit_test(order_within_partition_id), cmocka_unit_test(sends_from_four_threads))
