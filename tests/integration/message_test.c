/* The parts of a message, from one side to the other. */
#include "suite.h"
#include <stdio.h>
#include <time.h>

/* One partition, one producer, one consumer: messages of one partition id come in the order sent. */
struct fixture {
    sl_client *client;
    struct layer layer;
    struct tally tally;
    sl_producer *producer;
    sl_consumer *consumer;
    struct inbox inbox;
    sl_message *message;
};

static void open_fixture(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->client = client_make();
    layer_make(f->client, 1, &f->layer);
    tally_init(&f->tally, 0);
    f->producer = producer_make(f->client, &f->layer, &f->tally);
    f->consumer = consumer_make(f->client, &f->layer, NULL, SL_START_BEGIN);
    must(sl_message_create(&f->message), NULL);
}

/* All of the messages sent arrive. */
static void pass(struct fixture *f, size_t messages)
{
    producer_finish(&f->producer, &f->tally, messages);
    receive(f->consumer, &f->inbox, messages);
    assert_int_equal(f->inbox.count, messages);
}

static void close_fixture(struct fixture *f)
{
    sl_message_destroy(&f->message);
    inbox_free(&f->inbox);
    consumer_close(&f->consumer);
    tally_free(&f->tally);
    sl_client_destroy(&f->client);
}

/* Messages with this partition id keep their order. */
static void set_key(sl_message *message)
{
    must(sl_message_set_partition_id(message, "k", 1), NULL);
}

static void set_text(sl_message *message, const char *text)
{
    must(sl_message_set_payload(message, text, strlen(text)), NULL);
}

static void keys(void **state)
{
    (void)state;
    struct fixture f;
    char two[SL_PARTITION_ID_MAX * 2], four[SL_PARTITION_ID_MAX * 4];
    for (size_t i = 0; i < SL_PARTITION_ID_MAX; i++) {
        memcpy(two + i * 2, i % 2 ? "ß" : "Ж", 2);
        memcpy(four + i * 4, i % 2 ? "🚗" : "🛣", 4);
    }
    const struct {
        const char *bytes;
        size_t size;
    } ids[] = {{"a", 1},
               {"23618304", 8},
               {"a b\t/%?&=+#\"'<>;,\\", 18},
               {"Zürich 東京", 14},
               {"nul\0inside", 10},
               {two, sizeof two},
               {four, sizeof four}};
    enum { COUNT = sizeof ids / sizeof *ids };
    open_fixture(&f);
    for (size_t i = 0; i < COUNT; i++) {
        sl_message_clear(f.message);
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        must(sl_message_set_partition_id(f.message, ids[i].bytes, ids[i].size), NULL);
        set_text(f.message, number);
        send_message(f.producer, f.message);
    }
    pass(&f, COUNT);
    assert_numbers(&f.inbox, 0, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = 0;
        int sent = number_of(f.inbox.messages[i]);
        const char *id = sl_message_partition_id(f.inbox.messages[i], &size);
        assert_non_null(id);
        assert_int_equal(size, ids[sent].size);
        assert_memory_equal(id, ids[sent].bytes, size);
    }
    close_fixture(&f);
}

/* Without a partition id the trace id is it: the one given, or the one made. */
static void no_partition_id(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    for (int i = 0; i < 3; i++) {
        sl_message_clear(f.message);
        set_text(f.message, i ? "made" : "given");
        if (!i)
            must(sl_message_set_trace_id(f.message, "a-trace-id-of-mine"), NULL);
        send_message(f.producer, f.message);
    }
    pass(&f, 3);
    const char *made[2] = {NULL, NULL};
    for (size_t i = 0, at = 0; i < 3; i++) {
        const sl_message *message = f.inbox.messages[i];
        const char *trace_id = sl_message_trace_id(message);
        char text[24];
        size_t size = 0;
        const char *id = sl_message_partition_id(message, &size);
        assert_non_null(trace_id);
        assert_non_null(id);
        assert_int_equal(size, strlen(trace_id));
        assert_memory_equal(id, trace_id, size);
        if (!strcmp(text_of(message, text, sizeof text), "given"))
            assert_string_equal(trace_id, "a-trace-id-of-mine");
        else
            made[at++ % 2] = trace_id;
    }
    assert_non_null(made[0]);
    assert_non_null(made[1]);
    assert_string_not_equal(made[0], made[1]);
    close_fixture(&f);
}

static void user_headers(void **state)
{
    (void)state;
    struct fixture f;
    char binary[256], large[4096];
    for (size_t i = 0; i < sizeof binary; i++)
        binary[i] = (char)i;
    memset(large, 'L', sizeof large);
    const struct {
        const char *name;
        const void *value;
        size_t size;
    } headers[] = {{"source", "probe", 5},
                   {"Order", "1", 1},
                   {"order", "2", 1},
                   {"source", "second", 6},
                   {"empty", "", 0},
                   {"binary", binary, sizeof binary},
                   {"x.y_z-1!#$&'*+^`|~", "token", 5},
                   {"large", large, sizeof large},
                   {"source", "last", 4}};
    enum { COUNT = sizeof headers / sizeof *headers };
    open_fixture(&f);
    set_text(f.message, "with headers");
    set_key(f.message);
    for (size_t i = 0; i < COUNT; i++)
        must(sl_message_add_header(f.message, headers[i].name, headers[i].value, headers[i].size), NULL);
    send_message(f.producer, f.message);
    sl_message_clear(f.message);
    set_text(f.message, "without");
    set_key(f.message);
    send_message(f.producer, f.message);
    pass(&f, 2);
    const sl_message *message = f.inbox.messages[0];
    assert_int_equal(sl_message_header_count(message), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        const char *name = NULL;
        const void *value = NULL;
        size_t size = 99;
        assert_true(sl_message_header_at(message, i, &name, &value, &size));
        assert_string_equal(name, headers[i].name);
        assert_non_null(value); /* empty is not null */
        assert_int_equal(size, headers[i].size);
        assert_memory_equal(value, headers[i].value, size);
    }
    const void *value = NULL;
    size_t size = 0;
    assert_false(sl_message_header_at(message, COUNT, NULL, NULL, NULL));
    assert_true(sl_message_header(message, "source", &value, &size));
    assert_int_equal(size, 4);
    assert_memory_equal(value, "last", 4);
    assert_false(sl_message_header(message, "no-such-header", &value, &size));
    assert_int_equal(sl_message_header_count(f.inbox.messages[1]), 0);
    close_fixture(&f);
}

/* SHA-256 of "hello" */
#define HELLO_SHA256 "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static void metadata(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    int64_t timestamp = (int64_t)time(NULL) * 1000 - 61234;
    set_text(f.message, "hello");
    set_key(f.message);
    must(sl_message_set_timestamp_ms(f.message, timestamp), NULL);
    must(sl_message_set_trace_id(f.message, "trace/1+with:signs"), NULL);
    must(sl_message_set_checksum(f.message, HELLO_SHA256), NULL);
    must(sl_message_set_crc(f.message, "1a2b3c4d"), NULL);
    send_message(f.producer, f.message);
    sl_message_clear(f.message);
    set_text(f.message, "bare");
    set_key(f.message);
    int64_t before = (int64_t)time(NULL) * 1000;
    send_message(f.producer, f.message);
    pass(&f, 2);
    const sl_message *message = f.inbox.messages[0];
    char text[80];
    assert_int_equal(sl_message_timestamp_ms(message), timestamp);
    assert_string_equal(sl_message_trace_id(message), "trace/1+with:signs");
    assert_non_null(sl_message_checksum(message));
    assert_string_equal(sl_message_checksum(message), HELLO_SHA256);
    assert_non_null(sl_message_crc(message));
    assert_string_equal(sl_message_crc(message), "1a2b3c4d");
    assert_string_equal(text_of(message, text, sizeof text), "hello");
    assert_int_equal(sl_message_offset(message).partition, 0);
    assert_int_equal(sl_message_offset(message).offset, 0);
    assert_null(sl_message_data_handle(message));
    message = f.inbox.messages[1];
    assert_true(sl_message_timestamp_ms(message) >= before);
    assert_true(sl_message_timestamp_ms(message) <= before + WAIT_MS);
    assert_null(sl_message_checksum(message));
    assert_null(sl_message_crc(message));
    assert_int_equal(sl_message_offset(message).offset, 1);
    close_fixture(&f);
}

/* A wrong checksum fails the send, and nothing is written: the next message is the layer's first. */
static void checksum_mismatch(void **state)
{
    (void)state;
    struct fixture f;
    sl_error error = {0};
    open_fixture(&f);
    set_text(f.message, "hallo");
    must(sl_message_set_checksum(f.message, HELLO_SHA256), NULL);
    must_fail(sl_producer_send(f.producer, f.message, NULL, WAIT_MS, &error), SL_CHECKSUM_MISMATCH, &error);
    set_text(f.message, "hello");
    send_message(f.producer, f.message);
    pass(&f, 1);
    char text[80];
    assert_string_equal(text_of(f.inbox.messages[0], text, sizeof text), "hello");
    assert_int_equal(sl_message_offset(f.inbox.messages[0]).offset, 0);
    close_fixture(&f);
}

static void payloads(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 256, 65535, 65536, SL_PAYLOAD_INLINE_MAX - 1, SL_PAYLOAD_INLINE_MAX,
                                   3};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    struct fixture f;
    unsigned char *bytes = malloc(SL_PAYLOAD_INLINE_MAX);
    assert_non_null(bytes);
    for (size_t i = 0; i < SL_PAYLOAD_INLINE_MAX; i++)
        bytes[i] = (unsigned char)(i + i / 256);
    open_fixture(&f);
    for (size_t i = 0; i < COUNT; i++) {
        set_key(f.message);
        must(sl_message_set_payload(f.message, sizes[i] ? bytes : NULL, sizes[i]), NULL);
        send_message(f.producer, f.message);
    }
    pass(&f, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = 99;
        const void *payload = sl_message_payload(f.inbox.messages[i], &size);
        assert_non_null(payload); /* an empty payload is not a null one */
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(payload, bytes, size);
    }
    close_fixture(&f);
    free(bytes);
}

/* Over the bound nothing is written: the next message is the layer's first. At it, it is sent. */
static void payload_too_large(void **state)
{
    (void)state;
    enum { BOUND = SL_PAYLOAD_INLINE_MAX + 1000 };
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    sl_error error = {0};
    char bound[24];
    snprintf(bound, sizeof bound, "%d", BOUND);
    sl_client *client = client_make_with(SETTING("stream.blob.max-size"), bound);
    layer_make(client, 1, &layer);
    unsigned char *bytes = bytes_make(BOUND + 1, 1);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    sl_message *message = NULL;
    must(sl_message_create(&message), NULL);
    must(sl_message_set_partition_id(message, "k", 1), NULL);
    must(sl_message_set_payload(message, bytes, BOUND + 1), NULL);
    must_fail(sl_producer_send(producer, message, NULL, WAIT_MS, &error), SL_TOO_LARGE, &error);
    assert_says(error.text, "stream.blob.max-size");
    sl_message_destroy(&message);
    send_bytes(producer, "k", bytes, BOUND);
    send_text(producer, "k", "after it");
    producer_finish(&producer, &tally, 2);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, 2);
    assert_int_equal(sl_message_offset(inbox.messages[0]).offset, 0);
    assert_payload(inbox.messages[0], bytes, BOUND);
    assert_int_equal(sl_message_offset(inbox.messages[1]).offset, 1);
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    free(bytes);
    sl_client_destroy(&client);
}

CASES_MAIN(cmocka_unit_test(keys), cmocka_unit_test(no_partition_id), cmocka_unit_test(user_headers),
           cmocka_unit_test(metadata), cmocka_unit_test(checksum_mismatch), cmocka_unit_test(payloads),
           cmocka_unit_test(payload_too_large))
