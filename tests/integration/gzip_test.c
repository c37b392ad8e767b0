/* Layers whose content encoding is gzip: who uses the library gives and gets plain payloads. */
#include "suite.h"
#include <stdio.h>

enum { MIB = 1024 * 1024 };

/* One that hands out payloads as they were sent. */
static sl_consumer *consumer_make_raw(sl_client *client, const struct layer *layer)
{
    sl_error error = {0};
    sl_consumer_options *options = NULL;
    sl_consumer *consumer = NULL;
    must(sl_consumer_options_create(&options), NULL);
    must(sl_consumer_options_set_start(options, SL_START_BEGIN), NULL);
    must(sl_consumer_options_set_connector(options, consumer_connector()), NULL);
    must(sl_consumer_options_set_group(options, layer->other_group), NULL);
    must(sl_consumer_options_set_inflate(options, false), NULL);
    must(sl_consumer_create(client, layer->hrn, LAYER, options, &consumer, &error), &error);
    sl_consumer_options_destroy(&options);
    return consumer;
}

static void send_checked(sl_producer *producer, const void *bytes, size_t size)
{
    char sum[65];
    sl_message *message = NULL;
    must(sl_message_create(&message), NULL);
    must(sl_message_set_payload(message, bytes, size), NULL);
    sha256_of(bytes, size, sum);
    must(sl_message_set_checksum(message, sum), NULL);
    send_message(producer, message);
    sl_message_destroy(&message);
}

/* As it was sent: gzip, as it says, and its checksum is of that. */
static void assert_sent(const sl_message *message, bool checked)
{
    size_t size;
    char sum[65];
    const unsigned char *bytes = sl_message_payload(message, &size);
    assert_true(sl_message_compressed(message));
    assert_true(size >= 18 && bytes[0] == 0x1f && bytes[1] == 0x8b);
    assert_int_equal(sl_message_compressed_size(message), size);
    if (!checked)
        return;
    sha256_of(bytes, size, sum);
    assert_string_equal(sl_message_checksum(message), sum);
}

/* Empty, inside a message, as blobs (1 MiB of noise is more as gzip), and one that is inside only as gzip. */
static const size_t sizes[] = {0, 12, MIB / 2, 3 * MIB, MIB, 30 * MIB};
enum { SIZES = sizeof sizes / sizeof *sizes, ZEROS = SIZES - 1 };

static void plain_in_and_plain_out(void **state)
{
    (void)state;
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0}, raw = {0};
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make_gzip(client, 1, &layer);
    unsigned char *bytes = bytes_make(3 * MIB, 1), *zeros = calloc(30, MIB);
    assert_non_null(zeros);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    assert_string_equal(sl_producer_content_encoding(producer), "gzip");
    for (size_t i = 0; i < SIZES; i++) {
        if (i % 2)
            send_checked(producer, i == ZEROS ? zeros : bytes, sizes[i]);
        else
            send_bytes(producer, "k", bytes, sizes[i]);
        must(sl_producer_flush(producer, WAIT_MS, &error), &error); /* in this order */
    }
    producer_finish(&producer, &tally, SIZES);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    sl_consumer *other = consumer_make_raw(client, &layer);
    receive(consumer, &inbox, SIZES);
    receive(other, &raw, SIZES);
    for (size_t i = 0; i < SIZES; i++) {
        const sl_message *message = inbox.messages[i];
        char sum[65];
        assert_payload(message, i == ZEROS ? zeros : bytes, sizes[i]);
        assert_false(sl_message_compressed(message));
        sha256_of(i == ZEROS ? zeros : bytes, sizes[i], sum);
        if (i % 2)
            assert_string_equal(sl_message_checksum(message), sum);
        assert_sent(raw.messages[i], i % 2);
        assert_int_equal(sl_message_compressed_size(message), sl_message_compressed_size(raw.messages[i]));
        /* What is the body of a call of its own has the size that the gateway sees. */
        if (strcmp(producer_connector(), "http-connector") || sl_message_compressed_size(message) <= MIB)
            assert_int_equal(sl_message_data_size(message), sizes[i]);
    }
    assert_null(sl_message_data_handle(inbox.messages[ZEROS]));
    assert_non_null(sl_message_data_handle(inbox.messages[ZEROS - 1]));
    inbox_free(&inbox);
    inbox_free(&raw);
    consumer_close(&consumer);
    consumer_close(&other);
    tally_free(&tally);
    free(bytes);
    free(zeros);
    sl_client_destroy(&client);
}

/* Messages received raw, sent on as they are; and gzip that is a program's own. */
static void compressed_already(void **state)
{
    (void)state;
    struct layer layer, copy;
    struct tally tally, own;
    struct inbox inbox = {0}, raw = {0};
    sl_error error = {0};
    size_t size;
    sl_client *client = client_make();
    sl_client *off = client_make_with(SETTING("stream.producer.compress"), "false");
    layer_make_gzip(client, 1, &layer);
    layer_make_gzip(client, 1, &copy);
    tally_init(&tally, 0);
    tally_init(&own, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    send_text(producer, "k", "a text");
    producer_finish(&producer, &tally, 1);
    sl_consumer *other = consumer_make_raw(client, &layer);
    receive(other, &raw, 1);
    producer = producer_make(client, &copy, &own);
    send_message(producer, raw.messages[0]);
    const void *gzip = sl_message_payload(raw.messages[0], &size);
    sl_message *message = NULL;
    must(sl_message_create(&message), NULL);
    must(sl_message_set_payload(message, gzip, size), NULL);
    must(sl_message_set_compressed(message, true), NULL);
    send_message(producer, message);
    /* What only says that it is: the layer is known, so that nobody has to be asked. */
    must(sl_message_set_payload(message, "text", 4), NULL);
    assert_int_equal(sl_producer_send(producer, message, NULL, WAIT_MS, &error), SL_INVALID_ARGUMENT);
    assert_says(error.text, "gzip");
    sl_message_destroy(&message);
    producer_finish(&producer, &own, 2);
    producer = producer_make(off, &copy, &own);
    assert_null(sl_producer_content_encoding(producer));
    send_bytes(producer, "k", gzip, size);
    producer_finish(&producer, &own, 3);
    /* What is none is refused by the gateway, and comes as it is where there is none in between. */
    producer = producer_make(off, &copy, &own);
    send_text(producer, "k", "not gzip");
    must(sl_producer_flush(producer, WAIT_MS, &error), &error);
    bool direct = !strcmp(sl_producer_connector(producer), "kafka-connector");
    assert_int_equal(own.failed, direct ? 0 : 1);
    if (!direct)
        assert_says(own.error.text, "gzip");
    must(sl_producer_close(&producer, WAIT_MS, &error), &error);
    sl_consumer *consumer = consumer_make(client, &copy, copy.group, SL_START_BEGIN);
    receive(consumer, &inbox, direct ? 4 : 3);
    for (size_t i = 0; i < 3; i++) {
        assert_payload(inbox.messages[i], "a text", 6);
        assert_false(sl_message_compressed(inbox.messages[i]));
    }
    if (direct) {
        assert_payload(inbox.messages[3], "not gzip", 8);
        assert_true(sl_message_compressed(inbox.messages[3]));
        assert_says(last_warning(), "not gzip");
    }
    inbox_free(&inbox);
    inbox_free(&raw);
    consumer_close(&consumer);
    consumer_close(&other);
    tally_free(&tally);
    tally_free(&own);
    sl_client_destroy(&off);
    sl_client_destroy(&client);
}

/* What would be too much inflated comes as it was sent, and keeps nothing up; so does a blob. */
static void over_the_bound(void **state)
{
    (void)state;
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    sl_error error = {0};
    void *data = NULL;
    size_t size = 0;
    sl_client *client = client_make_of(SETTING("stream.consumer.max-inflated"), "2 MiB",
                                       SETTING("stream.consumer.resolve"), "false", NULL);
    layer_make_gzip(client, 1, &layer);
    unsigned char *bytes = bytes_make(3 * MIB, 1), *zeros = calloc(1, 2 * MIB + 1);
    assert_non_null(zeros);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    send_bytes(producer, "k", zeros, 2 * MIB);
    send_bytes(producer, "k", zeros, 2 * MIB + 1);
    send_bytes(producer, "k", bytes, 3 * MIB);
    send_bytes(producer, "k", bytes, 3 * MIB / 2);
    producer_finish(&producer, &tally, 4);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, 4);
    assert_payload(inbox.messages[0], zeros, 2 * MIB);
    assert_sent(inbox.messages[1], false);
    assert_says(last_warning(), "stream.consumer.max-inflated");
    must_fail(sl_consumer_resolve(consumer, inbox.messages[2], &data, &size, &error), SL_TOO_LARGE, &error);
    assert_null(data);
    must(sl_consumer_resolve(consumer, inbox.messages[3], &data, &size, &error), &error);
    assert_int_equal(size, 3 * MIB / 2);
    assert_int_equal(memcmp(data, bytes, size), 0);
    sl_free(data);
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    free(bytes);
    free(zeros);
    sl_client_destroy(&client);
}

/* However little they are on the way: a poll hands out what its bound allows, inflated, and one message more
 * at most. */
static void polls_stay_bounded(void **state)
{
    (void)state;
    enum { COUNT = 12 };
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    sl_client *client = client_make_with(SETTING("stream.consumer.poll.max-bytes"), "3 MiB");
    layer_make_gzip(client, 1, &layer);
    unsigned char *zeros = calloc(1, MIB);
    assert_non_null(zeros);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    for (int i = 0; i < COUNT; i++)
        send_bytes(producer, "k", zeros, MIB);
    producer_finish(&producer, &tally, COUNT);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    while (inbox.count < COUNT) {
        size_t before = inbox.count;
        if (receive_once(consumer, &inbox, WAIT_MS, 0))
            assert_true(inbox.count - before <= 3);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_payload(inbox.messages[i], zeros, MIB);
        assert_int_equal(sl_message_offset(inbox.messages[i]).offset, i);
    }
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    free(zeros);
    sl_client_destroy(&client);
}

CASES_MAIN(cmocka_unit_test(plain_in_and_plain_out), cmocka_unit_test(compressed_already),
           cmocka_unit_test(over_the_bound), cmocka_unit_test(polls_stay_bounded))
