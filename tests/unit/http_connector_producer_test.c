#include "support/cases.h"

#include "platform.h"

#include <sched.h>
#include <stdio.h>

#include "base/error.h"
#include "base/time.h"
#include "connectors/http/internal.h"

#define MOST 30000

static struct {
    int count[MOST];
    sl_status status[MOST];
    sl_error error[64]; /* of the first ones */
    sl_offset offset[MOST];
    int total;
} reports;

static void note(void *opaque, void *message_opaque, const sl_delivery *delivery)
{
    size_t index = (size_t)(uintptr_t)message_opaque;
    (void)opaque;
    reports.count[index]++;
    reports.status[index] = sl_delivery_status(delivery);
    reports.offset[index] = sl_delivery_offset(delivery);
    if (index < 64 && sl_delivery_error(delivery))
        reports.error[index] = *sl_delivery_error(delivery);
    reports.total++;
}

static int start_extended(void **state)
{
    memset(&reports, 0, sizeof reports);
    *state = platform_start(true);
    return 0;
}

static int start_plain(void **state)
{
    memset(&reports, 0, sizeof reports);
    *state = platform_start(false);
    return 0;
}

static int stop(void **state)
{
    platform_stop(*state);
    return 0;
}

struct pair {
    sl_client *client;
    sl_producer *producer;
};

static struct pair open_producer(struct platform *platform, const char *more)
{
    struct pair pair = {platform_client(platform, more), NULL};
    sl_producer_options *options = NULL;
    sl_error error;
    assert_int_equal(sl_producer_options_create(&options), SL_OK);
    assert_int_equal(sl_producer_options_set_delivery(options, note, NULL), SL_OK);
    if (sl_producer_create(pair.client, PLATFORM_HRN, PLATFORM_LAYER, options, &pair.producer, &error))
        fail_msg("%s", error.text);
    sl_producer_options_destroy(&options);
    assert_string_equal(sl_producer_connector(pair.producer), "http-connector");
    return pair;
}

static void close_pair(struct pair *pair)
{
    sl_producer_close(&pair->producer, 0, NULL);
    sl_client_destroy(&pair->client);
}

static void send_text(sl_producer *producer, const char *key, int number, const char *text)
{
    sl_message *message = NULL;
    sl_error error;
    assert_int_equal(sl_message_create(&message), SL_OK);
    if (key)
        assert_int_equal(sl_message_set_partition_id(message, key, strlen(key)), SL_OK);
    assert_int_equal(sl_message_set_payload(message, text, strlen(text)), SL_OK);
    if (sl_producer_send(producer, message, (void *)(uintptr_t)number, 10000, &error))
        fail_msg("%s", error.text);
    sl_message_destroy(&message);
}

static void send_number(sl_producer *producer, int keys, int number)
{
    char key[32], text[32];
    snprintf(key, sizeof key, "key-%d", number % keys);
    snprintf(text, sizeof text, "%d", number);
    send_text(producer, key, number, text);
}

static void flush(sl_producer *producer)
{
    sl_error error;
    if (sl_producer_flush(producer, 60000, &error))
        fail_msg("%s", error.text);
}

/* Every message of 0…count-1 is stored once, and in order within its key. */
static void assert_stored(struct platform *platform, int count)
{
    assert_int_equal(platform->count, count);
    char(*keys)[64] = calloc(1000, sizeof *keys);
    int *last = calloc(1000, sizeof *last);
    for (size_t i = 0; i < platform->count; i++) {
        int number = atoi(platform->log[i].payload), slot = 0;
        while (*keys[slot] && strcmp(keys[slot], platform->log[i].key))
            slot++;
        if (!*keys[slot])
            last[slot] = -1;
        memcpy(keys[slot], platform->log[i].key, 64);
        assert_true(number > last[slot]);
        last[slot] = number;
    }
    free(keys);
    free(last);
    assert_int_equal(reports.total, count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(reports.count[i], 1);
        assert_int_equal(reports.status[i], SL_OK);
    }
}

static void a_lone_message_goes_at_once(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    send_text(pair.producer, "k\xc3\xa9y", 0, "0");
    flush(pair.producer);
    assert_stored(platform, 1);
    assert_int_equal(platform->batches, 1);
    assert_string_equal(platform->log[0].key, "k\xc3\xa9y");
    assert_string_equal(platform->content_type, "application/cbor-seq");
    assert_int_equal(reports.offset[0].offset, 0);
    close_pair(&pair);
}

static void batches_form_under_load_and_keep_order(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    platform->held = true;
    for (int i = 0; i < 5000; i++)
        send_number(pair.producer, 50, i);
    platform_wait(platform, &platform->running, 4);
    platform_release(platform);
    flush(pair.producer);
    assert_stored(platform, 5000);
    assert_int_equal(platform->most_running, 4);
    assert_true(platform->batches < 200);
    close_pair(&pair);
}

static void batches_keep_to_their_bounds(void **state)
{
    struct platform *platform = *state;
    struct pair pair =
        open_producer(platform, "here.platform.data-client.stream.http { batch.max-messages = 7, "
                                "requests-in-flight = 1 }");
    platform->held = true;
    for (int i = 0; i < 100; i++)
        send_number(pair.producer, 10, i);
    platform_release(platform);
    flush(pair.producer);
    assert_stored(platform, 100);
    assert_true(platform->largest_batch <= 7);
    assert_int_equal(platform->most_running, 1);
    close_pair(&pair);
}

static void failed_requests_are_sent_again_in_order(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    memcpy(platform->fail, (int[]){503, -1, 429, -1, 500, 502, -1, 503}, sizeof platform->fail);
    for (int i = 0; i < 2000; i++)
        send_number(pair.producer, 20, i);
    flush(pair.producer);
    assert_stored(platform, 2000);
    close_pair(&pair);
}

static void retry_after_holds_a_lane_back(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    platform->fail[0] = 503;
    platform->retry_after = "1";
    int64_t begin = sl_mono_ms();
    send_number(pair.producer, 1, 0);
    flush(pair.producer);
    assert_true(sl_mono_ms() - begin >= 1000);
    assert_stored(platform, 1);
    close_pair(&pair);
}

static void messages_refused_for_a_while_are_sent_again(void **state)
{
    struct platform *platform = *state;
    struct pair pair =
        open_producer(platform, "here.platform.data-client.stream.http.requests-in-flight = 1");
    platform->held = true;
    for (int i = 0; i < 100; i++)
        send_number(pair.producer, 100, i); /* each its own key: no order to keep */
    platform_wait(platform, &platform->running, 1);
    platform_set(platform, &platform->busy_records, 40);
    platform_release(platform);
    flush(pair.producer);
    assert_stored(platform, 100);
    close_pair(&pair);
}

static void a_message_is_not_sent_again_behind_its_successor(void **state)
{
    struct platform *platform = *state;
    struct pair pair =
        open_producer(platform, "here.platform.data-client.stream.http.requests-in-flight = 1");
    platform->held = true;
    platform->busy_key = "same";
    platform->busy_records = 2;
    send_text(pair.producer, "first", 0, "0");
    platform_wait(platform, &platform->running, 1); /* and what follows gathers to one batch */
    for (int i = 1; i <= 5; i++)
        send_text(pair.producer, "same", i, i == 1 ? "1" : i == 2 ? "2" : "later");
    send_text(pair.producer, "other", 6, "6");
    platform_release(platform);
    flush(pair.producer);
    for (int i = 0; i <= 6; i++) {
        bool overtaken = i == 1 || i == 2;
        assert_int_equal(reports.count[i], 1);
        assert_int_equal(reports.status[i], overtaken ? SL_UNAVAILABLE : SL_OK);
        if (overtaken)
            assert_true(reports.error[i].retriable);
    }
    assert_int_equal(platform->count, 5);
    assert_int_equal(platform->batches, 2);
    close_pair(&pair);
}

static void successors_refused_too_are_sent_again_in_order(void **state)
{
    struct platform *platform = *state;
    struct pair pair =
        open_producer(platform, "here.platform.data-client.stream.http.requests-in-flight = 1");
    platform->held = true;
    platform->busy_key = "key-1";
    platform->busy_records = 10;
    send_number(pair.producer, 2, 0);
    platform_wait(platform, &platform->running, 1);
    for (int i = 1; i < 20; i++) /* all of key-1 are refused once: nothing has overtaken them */
        send_number(pair.producer, 2, i);
    platform_release(platform);
    flush(pair.producer);
    assert_stored(platform, 20);
    assert_int_equal(platform->batches, 3);
    close_pair(&pair);
}

static void one_bad_message_does_not_fail_its_batch(void **state)
{
    struct platform *platform = *state;
    struct pair pair =
        open_producer(platform, "here.platform.data-client.stream.http.requests-in-flight = 1");
    platform->held = true;
    for (int i = 0; i < 60; i++)
        if (i == 17)
            send_text(pair.producer, "key", i, "bad");
        else
            send_number(pair.producer, 3, i);
    platform_release(platform);
    flush(pair.producer);
    assert_int_equal(platform->count, 59);
    for (int i = 0; i < 60; i++) {
        assert_int_equal(reports.count[i], 1);
        assert_int_equal(reports.status[i], i == 17 ? SL_INVALID_ARGUMENT : SL_OK);
    }
    assert_non_null(strstr(reports.error[17].text, "Bad message [E1]"));
    assert_false(reports.error[17].retriable);
    close_pair(&pair);
}

static void a_batch_too_large_is_made_smaller(void **state)
{
    struct platform *platform = *state;
    platform->most_records = 50;
    struct pair pair =
        open_producer(platform, "here.platform.data-client.stream.http.requests-in-flight = 1");
    platform->held = true;
    for (int i = 0; i < 1000; i++)
        send_number(pair.producer, 9, i);
    platform_release(platform);
    flush(pair.producer);
    assert_stored(platform, 1000);
    close_pair(&pair);
}

/* Of 1000 messages the first goes alone, and the others are one batch, until the layer does not take it. */
static void a_batch_that_is_throttled_is_made_smaller(void **state)
{
    struct platform *platform = *state;
    struct pair pair =
        open_producer(platform, "here.platform.data-client.stream.http.requests-in-flight = 1");
    platform->held = true;
    memcpy(platform->fail, (int[]){0, 429}, 2 * sizeof *platform->fail);
    send_number(pair.producer, 9, 0);
    platform_wait(platform, &platform->running, 1);
    for (int i = 1; i < 1000; i++)
        send_number(pair.producer, 9, i);
    platform_release(platform);
    flush(pair.producer);
    assert_stored(platform, 1000);
    assert_in_range(platform->largest_batch, 200, 500);
    close_pair(&pair);
}

static void a_batch_ended_early_goes_on_from_there(void **state)
{
    struct platform *platform = *state;
    platform->most_results = 100;
    struct pair pair =
        open_producer(platform, "here.platform.data-client.stream.http.requests-in-flight = 1");
    platform->held = true;
    for (int i = 0; i < 1000; i++)
        send_number(pair.producer, 9, i);
    platform_release(platform);
    flush(pair.producer);
    assert_stored(platform, 1000);
    close_pair(&pair);
}

static void other_refusals_fail_the_whole_batch(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    platform->fail[0] = 403;
    send_number(pair.producer, 1, 0);
    flush(pair.producer);
    assert_int_equal(reports.status[0], SL_FORBIDDEN);
    assert_int_equal(reports.error[0].http_status, 403);
    assert_int_equal(platform->requests, 1);
    close_pair(&pair);
}

static void a_refused_token_is_replaced(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    send_number(pair.producer, 1, 0);
    flush(pair.producer);
    platform_set(platform, &platform->valid_token, 2);
    for (int i = 1; i < 100; i++)
        send_number(pair.producer, 10, i);
    flush(pair.producer);
    assert_stored(platform, 100);
    assert_int_equal(platform->tokens, 2);
    /* And when the new one is refused too, that is the end. */
    platform_set(platform, &platform->valid_token, 100);
    send_number(pair.producer, 1, 100);
    flush(pair.producer);
    assert_int_equal(reports.status[100], SL_UNAUTHENTICATED);
    close_pair(&pair);
}

static void what_takes_too_long_is_reported(void **state)
{
    struct platform *platform = *state;
    struct pair pair =
        open_producer(platform, "here.platform.data-client.stream.producer.delivery-timeout = 300 ms");
    platform->held = true;
    for (int i = 0; i < 20; i++)
        send_number(pair.producer, 5, i);
    flush(pair.producer);
    assert_int_equal(reports.total, 20);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(reports.count[i], 1);
        assert_int_equal(reports.status[i], SL_TIMED_OUT);
    }
    platform_release(platform);
    close_pair(&pair);
}

static void close_reports_what_is_left(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    platform->held = true;
    for (int i = 0; i < 500; i++)
        send_number(pair.producer, 50, i);
    platform_wait(platform, &platform->running, 4);
    sl_error error;
    assert_int_equal(sl_producer_close(&pair.producer, 0, &error), SL_TIMED_OUT);
    assert_int_equal(reports.total, 500);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(reports.count[i], 1);
        assert_int_equal(reports.status[i], SL_TIMED_OUT);
    }
    close_pair(&pair);
}

static void *send_many(void *opaque)
{
    sl_producer *producer = opaque;
    static int next;
    int base = __atomic_fetch_add(&next, 1000, __ATOMIC_SEQ_CST);
    char key[32];
    snprintf(key, sizeof key, "thread-%d", base);
    for (int i = base; i < base + 1000; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d", i);
        send_text(producer, key, i, text);
    }
    return NULL;
}

static void many_threads_send(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    memcpy(platform->fail, (int[]){503, -1, 0}, 3 * sizeof(int));
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, pair.producer), 0);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    flush(pair.producer);
    assert_stored(platform, 6000);
    close_pair(&pair);
}

static void all_parts_of_a_message_travel(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    sl_message *message = NULL;
    assert_int_equal(sl_message_create(&message), SL_OK);
    sl_message_set_partition_id(message, "k", 1);
    sl_message_set_payload(message, "p", 1);
    sl_message_set_timestamp_ms(message, 4711);
    sl_message_set_trace_id(message, "trace-9");
    sl_message_add_header(message, "h", "v", 1);
    assert_int_equal(sl_producer_send(pair.producer, message, NULL, 0, NULL), SL_OK);
    flush(pair.producer);
    assert_int_equal(platform->log[0].timestamp_ms, 4711);
    assert_int_equal(platform->log[0].headers, 1);
    assert_string_equal(platform->log[0].trace, "trace-9");
    sl_message_destroy(&message);
    close_pair(&pair);
}

static void a_missing_layer_is_told_at_opening(void **state)
{
    struct platform *platform = *state;
    sl_client *client = platform_client(platform, NULL);
    sl_producer *producer = NULL;
    sl_error error;
    assert_int_equal(sl_producer_create(client, PLATFORM_HRN, "nowhere", NULL, &producer, &error),
                     SL_NOT_FOUND);
    assert_non_null(strstr(error.text, "nowhere"));
    assert_int_equal(sl_producer_create(client, PLATFORM_HRN, "map", NULL, &producer, &error),
                     SL_INVALID_ARGUMENT);
    assert_non_null(strstr(error.text, "volatile"));
    sl_client_destroy(&client);
}

static void without_extensions_each_message_is_a_request(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    memcpy(platform->fail, (int[]){503, -1, 429, -1, 0}, 5 * sizeof(int));
    platform->held = true;
    for (int i = 0; i < 300; i++)
        send_number(pair.producer, 40, i);
    platform_wait(platform, &platform->running, 10);
    platform_release(platform);
    flush(pair.producer);
    assert_stored(platform, 300);
    assert_int_equal(platform->requests, 304);
    assert_int_equal(platform->most_running <= 16, 1);
    assert_string_equal(platform->content_type, "text/x-test");
    close_pair(&pair);
}

static void without_extensions_headers_say_what_they_can(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    send_text(pair.producer, "k\xc3\xa9 y", 0, "hello");
    flush(pair.producer);
    assert_string_equal(platform->log[0].key, "k%C3%A9%20y");
    assert_int_equal(strlen(platform->log[0].trace) > 0, 1);
    assert_string_equal(platform->log[0].payload, "hello");
    send_text(pair.producer, NULL, 1, "bad");
    flush(pair.producer);
    assert_int_equal(reports.status[1], SL_INVALID_ARGUMENT);
    close_pair(&pair);
}

static void without_extensions_other_parts_are_refused(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    sl_message *message = NULL;
    sl_error error;
    assert_int_equal(sl_message_create(&message), SL_OK);
    for (int part = 0; part < 3; part++) {
        sl_message_clear(message);
        sl_message_set_partition_id(message, "k", 1);
        sl_message_set_payload(message, "p", 1);
        if (part == 0)
            sl_message_set_timestamp_ms(message, 1);
        else if (part == 1)
            sl_message_set_crc(message, "c");
        else
            sl_message_add_header(message, "h", "v", 1);
        assert_int_equal(sl_producer_send(pair.producer, message, NULL, 0, &error), SL_UNSUPPORTED);
        assert_non_null(strstr(error.text, part == 0 ? "timestamp" : part == 1 ? "CRC" : "headers"));
    }
    assert_int_equal(platform->requests, 0);
    sl_message_destroy(&message);
    close_pair(&pair);
}

static sl_message *sized_message(const char *key, size_t size)
{
    sl_message *message = NULL;
    static char payload[SL_HC_LARGEST];
    memset(payload, 'x', sizeof payload);
    assert_int_equal(sl_message_create(&message), SL_OK);
    assert_int_equal(sl_message_set_partition_id(message, key, strlen(key)), SL_OK);
    assert_int_equal(sl_message_set_payload(message, payload, size), SL_OK);
    return message;
}

static void send_sized(sl_producer *producer, int number, size_t size)
{
    sl_message *message = sized_message("k\xc3\xa9y", size);
    sl_error error;
    sl_message_set_timestamp_ms(message, 4711);
    sl_message_add_header(message, "Kind", "a b", 3);
    if (sl_producer_send(producer, message, (void *)(uintptr_t)number, 20000, &error))
        fail_msg("%s", error.text);
    sl_message_destroy(&message);
}

/* Up to 20 MiB one call each, in its lane's order, and sent again when the answer is lost. */
static void a_large_payload_is_a_call_of_its_own(void **state)
{
    struct platform *platform = *state;
    struct pair pair =
        open_producer(platform, "here.platform.data-client.stream.http.requests-in-flight = 1");
    static const size_t sizes[] = {1048576, 1048577, 1, 20971520, 2};
    platform->held = true;
    send_sized(pair.producer, 0, 3);
    platform_wait(platform, &platform->running, 1);
    for (int i = 1; i < 6; i++)
        send_sized(pair.producer, i, sizes[i - 1]);
    memcpy(platform->fail, (int[]){0, 0, -1, 0}, 4 * sizeof(int));
    platform_release(platform);
    flush(pair.producer);
    assert_int_equal(platform->count, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(reports.count[i], 1);
        assert_int_equal(reports.status[i], SL_OK);
        assert_int_equal(platform->log[i].size, i ? sizes[i - 1] : 3);
        assert_int_equal(platform->log[i].timestamp_ms, 4711);
        assert_int_equal(platform->log[i].headers, 1);
    }
    assert_true(platform->large >= 3); /* one of them twice */
    assert_string_equal(platform->large_headers, "k%C3%A9y 4711 a%20b");
    char *json = NULL;
    assert_int_equal(sl_producer_statistics(pair.producer, &json, NULL), SL_OK);
    assert_non_null(strstr(json, "\"singles\":"));
    sl_free(json);
    close_pair(&pair);
}

static void one_report(void *ticket, const struct sl_outcome *outcome)
{
    if (outcome->error)
        fail_msg("%s", outcome->error->text);
    __atomic_add_fetch((int *)ticket, 1, __ATOMIC_SEQ_CST);
}

static void many_reports(void *core, const struct sl_report *list, size_t count)
{
    (void)core;
    for (size_t i = 0; i < count; i++)
        one_report(list[i].ticket, &list[i].outcome);
}

/* As the core does when it has stored a blob. */
static void send_handle(struct platform *platform, bool header)
{
    sl_client *client = platform_client(platform, NULL);
    const struct sl_host host = {
        .abi = SL_CONNECTOR_ABI, .delivered = one_report, .delivered_many = many_reports};
    const struct sl_target target = {.hrn = PLATFORM_HRN, .layer = PLATFORM_LAYER, .client = client};
    const struct sl_producer_settings settings = {
        .delivery_timeout_ms = 20000, .queue_messages = 10, .queue_bytes = 1000};
    struct sl_header headers[] = {{"h", "v", 1}};
    struct sl_message message = {0};
    sl_message_reset(&message);
    message.partition_id = "key";
    message.partition_id_size = 3;
    message.trace_id = "trace-1";
    message.data_handle = "blob-1";
    message.data_size = 30 << 20;
    message.headers = headers;
    message.header_count = header;
    void *producer = NULL;
    int reported = 0;
    sl_error error;
    if (sl_hc_producer_open(&host, &target, &settings, &producer, &error))
        fail_msg("%s", error.text);
    sl_status status = sl_hc_producer_send(producer, &message, &reported, &error);
    assert_int_equal(status, header ? SL_UNSUPPORTED : SL_OK);
    while (!header && !__atomic_load_n(&reported, __ATOMIC_SEQ_CST))
        sched_yield();
    sl_hc_producer_close(producer);
    sl_client_destroy(&client);
}

/* The core makes a blob of what is over 1 MiB and has more than fits into HTTP's headers. */
static void what_one_call_cannot_carry(void **state)
{
    struct platform *platform = *state;
    sl_client *client = platform_client(platform, NULL);
    const struct sl_host host = {.abi = SL_CONNECTOR_ABI};
    const struct sl_target target = {.hrn = PLATFORM_HRN, .layer = PLATFORM_LAYER, .client = client};
    const struct sl_producer_settings settings = {
        .delivery_timeout_ms = 20000, .queue_messages = 10, .queue_bytes = 1000};
    static const char value[3000] = {0};
    struct sl_header headers[] = {{"h", value, 1}, {"g", value, 1}};
    struct sl_message message = {0};
    sl_message_reset(&message);
    message.payload_size = SL_PAYLOAD_INLINE_MAX + 1;
    message.headers = headers;
    message.header_count = 2;
    void *producer = NULL;
    sl_error error;
    if (sl_hc_producer_open(&host, &target, &settings, &producer, &error))
        fail_msg("%s", error.text);
    assert_true(sl_hc_producer_carries(producer, &message));
    message.crc = "c";
    assert_false(sl_hc_producer_carries(producer, &message));
    message.payload_size = SL_PAYLOAD_INLINE_MAX; /* goes in a record */
    assert_true(sl_hc_producer_carries(producer, &message));
    message.payload_size++;
    message.crc = NULL;
    const struct sl_header bad[] = {
        {"h", NULL, 0}, {"two words", value, 1}, {"h", value, 3000}, {"", value, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        headers[1] = bad[i];
        assert_false(sl_hc_producer_carries(producer, &message));
    }
    sl_hc_producer_close(producer);
    sl_client_destroy(&client);
}

static void a_blob_is_named_by_a_record(void **state)
{
    struct platform *platform = *state;
    send_handle(platform, false);
    assert_string_equal(platform->log[0].handle, "blob-1");
    assert_int_equal(platform->log[0].data_size, 30 << 20);
    assert_int_equal(platform->publishes, 0);
}

static void without_extensions_a_blob_is_published(void **state)
{
    struct platform *platform = *state;
    send_handle(platform, false);
    assert_int_equal(platform->publishes, 1);
    assert_string_equal(
        platform->publish_body,
        "{\"partitions\":[{\"partition\":\"key\",\"dataHandle\":\"blob-1\",\"dataSize\":31457280}]}");
    send_handle(platform, true);
}

static void lookup_is_asked_again_when_nobody_is_there(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    send_number(pair.producer, 1, 0);
    flush(pair.producer);
    int lookups = platform_get(platform, &platform->lookups);
    platform_kill(platform);
    send_number(pair.producer, 1, 1);
    assert_int_equal(sl_producer_flush(pair.producer, 300, NULL), SL_TIMED_OUT);
    platform_revive(platform);
    flush(pair.producer);
    assert_stored(platform, 2);
    /* What lookup had answered is forgotten. */
    sl_producer *other = NULL;
    assert_int_equal(sl_producer_create(pair.client, PLATFORM_HRN, PLATFORM_LAYER, NULL, &other, NULL),
                     SL_OK);
    assert_int_equal(platform_get(platform, &platform->lookups), lookups + 1);
    assert_int_equal(sl_producer_close(&other, 0, NULL), SL_OK);
    close_pair(&pair);
}

static void closing_does_not_wait_for_a_token(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_producer(platform, NULL);
    send_number(pair.producer, 1, 0);
    flush(pair.producer);
    platform_set(platform, &platform->hold_tokens, 1);
    platform_set(platform, &platform->valid_token, 2);
    send_number(pair.producer, 1, 1);
    platform_wait(platform, &platform->tokens_held, 1);
    int64_t begin = sl_mono_ms();
    assert_int_equal(sl_producer_close(&pair.producer, 0, NULL), SL_TIMED_OUT);
    assert_true(sl_mono_ms() - begin < 5000);
    assert_int_equal(reports.status[1], SL_TIMED_OUT);
    platform_set(platform, &platform->hold_tokens, 0);
    close_pair(&pair);
}

struct lines {
    int count;
    sl_log_level level;
    char last[300];
};

static void note_line(void *opaque, sl_log_level level, const char *text)
{
    struct lines *lines = opaque;
    lines->count++;
    lines->level = level;
    snprintf(lines->last, sizeof lines->last, "%s", text);
}

static void an_outage_is_told_once_and_then_now_and_then(void **state)
{
    (void)state;
    struct lines lines = {0};
    const struct sl_log log = {.callback = note_line, .opaque = &lines, .level = SL_LOG_INFO};
    struct sl_hc_outage outage = {0};
    sl_error error;
    sl_error_set(&error, SL_UNAVAILABLE, "nobody there");
    sl_hc_outage_over(&outage, &log, "sending");
    assert_int_equal(lines.count, 0);
    for (int i = 0; i < 20; i++)
        sl_hc_outage_note(&outage, &log, "sending", &error);
    assert_int_equal(lines.count, 1);
    assert_int_equal(lines.level, SL_LOG_WARNING);
    assert_string_equal(lines.last, "sending failed, trying again: nobody there");
    outage.said_ms -= 30000; /* so much later */
    sl_hc_outage_note(&outage, &log, "sending", &error);
    assert_int_equal(lines.count, 2);
    assert_string_equal(lines.last, "sending failed, trying again: nobody there (20 failures since the last "
                                    "such warning)");
    sl_hc_outage_over(&outage, &log, "sending");
    sl_hc_outage_over(&outage, &log, "sending");
    assert_int_equal(lines.count, 3);
    assert_int_equal(lines.level, SL_LOG_INFO);
    assert_string_equal(lines.last, "connected again: sending works");
    sl_hc_outage_note(&outage, &log, "sending", &error); /* it flaps: no line for each time */
    sl_hc_outage_over(&outage, &log, "sending");
    assert_int_equal(lines.count, 3);
}

CASES_MAIN(cmocka_unit_test(an_outage_is_told_once_and_then_now_and_then),
           cmocka_unit_test_setup_teardown(a_lone_message_goes_at_once, start_extended, stop),
           cmocka_unit_test_setup_teardown(batches_form_under_load_and_keep_order, start_extended, stop),
           cmocka_unit_test_setup_teardown(batches_keep_to_their_bounds, start_extended, stop),
           cmocka_unit_test_setup_teardown(failed_requests_are_sent_again_in_order, start_extended, stop),
           cmocka_unit_test_setup_teardown(retry_after_holds_a_lane_back, start_extended, stop),
           cmocka_unit_test_setup_teardown(messages_refused_for_a_while_are_sent_again, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_message_is_not_sent_again_behind_its_successor, start_extended,
                                           stop),
           cmocka_unit_test_setup_teardown(successors_refused_too_are_sent_again_in_order, start_extended,
                                           stop),
           cmocka_unit_test_setup_teardown(one_bad_message_does_not_fail_its_batch, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_batch_too_large_is_made_smaller, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_batch_that_is_throttled_is_made_smaller, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_batch_ended_early_goes_on_from_there, start_extended, stop),
           cmocka_unit_test_setup_teardown(other_refusals_fail_the_whole_batch, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_refused_token_is_replaced, start_extended, stop),
           cmocka_unit_test_setup_teardown(what_takes_too_long_is_reported, start_extended, stop),
           cmocka_unit_test_setup_teardown(close_reports_what_is_left, start_extended, stop),
           cmocka_unit_test_setup_teardown(many_threads_send, start_extended, stop),
           cmocka_unit_test_setup_teardown(all_parts_of_a_message_travel, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_large_payload_is_a_call_of_its_own, start_extended, stop),
           cmocka_unit_test_setup_teardown(what_one_call_cannot_carry, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_blob_is_named_by_a_record, start_extended, stop),
           cmocka_unit_test_setup_teardown(without_extensions_a_blob_is_published, start_plain, stop),
           cmocka_unit_test_setup_teardown(lookup_is_asked_again_when_nobody_is_there, start_extended, stop),
           cmocka_unit_test_setup_teardown(closing_does_not_wait_for_a_token, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_missing_layer_is_told_at_opening, start_extended, stop),
           cmocka_unit_test_setup_teardown(without_extensions_each_message_is_a_request, start_plain, stop),
           cmocka_unit_test_setup_teardown(without_extensions_headers_say_what_they_can, start_plain, stop),
           cmocka_unit_test_setup_teardown(without_extensions_other_parts_are_refused, start_plain, stop))
