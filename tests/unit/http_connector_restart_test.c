/* The server goes away under load, and comes back: nothing is lost, nothing is acknowledged twice. */
#include "support/cases.h"

#include "platform.h"

#include <sched.h>
#include <stdio.h>

#include "base/time.h"

enum { MESSAGES = 6000, KEYS = 20 };

static int start_extended(void **state)
{
    *state = platform_start(true);
    return 0;
}

static int start_plain(void **state)
{
    *state = platform_start(false);
    return 0;
}

static int stop(void **state)
{
    platform_stop(*state);
    return 0;
}

struct load {
    struct platform *platform;
    sl_client *client;
    sl_producer *producer;
    sl_consumer *consumer;
    int reports[MESSAGES], delivered; /* atomic */
    int received;                     /* different ones; atomic */
    char seen[MESSAGES];
};

static void note(void *opaque, void *message_opaque, const sl_delivery *delivery)
{
    struct load *load = opaque;
    if (sl_delivery_status(delivery))
        fail_msg("%s", sl_delivery_error(delivery)->text);
    load->reports[(uintptr_t)message_opaque]++;
    __atomic_add_fetch(&load->delivered, 1, __ATOMIC_SEQ_CST);
}

static void *produce(void *opaque)
{
    struct load *load = opaque;
    sl_message *message = NULL;
    sl_error error;
    assert_int_equal(sl_message_create(&message), SL_OK);
    for (int i = 0; i < MESSAGES; i++) {
        char key[32], text[32];
        snprintf(key, sizeof key, "key-%d", i % KEYS);
        snprintf(text, sizeof text, "%d", i);
        sl_message_set_partition_id(message, key, strlen(key));
        sl_message_set_payload(message, text, strlen(text));
        if (sl_producer_send(load->producer, message, (void *)(uintptr_t)i, 60000, &error))
            fail_msg("%s", error.text);
    }
    sl_message_destroy(&message);
    if (sl_producer_flush(load->producer, 60000, &error))
        fail_msg("%s", error.text);
    return NULL;
}

static void take(struct load *load, const sl_batch *batch)
{
    for (size_t i = 0; i < sl_batch_count(batch); i++) {
        size_t size;
        const char *payload = sl_message_payload(sl_batch_message(batch, i), &size);
        char text[32];
        snprintf(text, sizeof text, "%.*s", (int)size, payload);
        int number = atoi(text);
        if (!load->seen[number])
            __atomic_add_fetch(&load->received, 1, __ATOMIC_SEQ_CST);
        load->seen[number] = 1;
    }
}

static void *consume(void *opaque)
{
    struct load *load = opaque;
    while (load->received < MESSAGES) {
        sl_batch *batch = NULL;
        sl_error error;
        if (sl_consumer_poll(load->consumer, 1000, 50, &batch, &error) && !error.retriable)
            fail_msg("%s", error.text);
        take(load, batch);
        /* It waits until the platform is back. The partition may have gone meanwhile: then it comes again. */
        if (batch && sl_consumer_commit(load->consumer, batch, &error) && error.status != SL_KAFKA)
            fail_msg("%s", error.text);
        sl_batch_destroy(&batch);
    }
    return NULL;
}

static int progress(struct load *load)
{
    return __atomic_load_n(&load->received, __ATOMIC_SEQ_CST);
}

static void go_away(struct load *load, int rounds)
{
    for (int round = 1; round <= rounds; round++) {
        while (progress(load) < MESSAGES * round / (rounds + 1))
            sched_yield();
        platform_kill(load->platform);
        platform_revive(load->platform);
    }
}

static void run_load(struct platform *platform, const char *more, int rounds)
{
    struct load *load = calloc(1, sizeof *load);
    sl_producer_options *options = NULL;
    sl_error error;
    platform->partitions = 4;
    load->platform = platform;
    load->client = platform_client(platform, more);
    assert_int_equal(sl_producer_options_create(&options), SL_OK);
    assert_int_equal(sl_producer_options_set_delivery(options, note, load), SL_OK);
    if (sl_producer_create(load->client, PLATFORM_HRN, PLATFORM_LAYER, options, &load->producer, &error) ||
        sl_consumer_create(load->client, PLATFORM_HRN, PLATFORM_LAYER, NULL, &load->consumer, &error))
        fail_msg("%s", error.text);
    sl_producer_options_destroy(&options);
    pthread_t producing, consuming;
    assert_int_equal(pthread_create(&producing, NULL, produce, load), 0);
    assert_int_equal(pthread_create(&consuming, NULL, consume, load), 0);
    go_away(load, rounds);
    pthread_join(producing, NULL);
    pthread_join(consuming, NULL);
    for (int i = 0; i < MESSAGES; i++)
        assert_int_equal(load->reports[i], 1);
    assert_int_equal(platform->count, MESSAGES); /* it knows what is sent again, by the trace id */
    int last[KEYS];
    memset(last, 0xff, sizeof last);
    for (int i = 0; i < MESSAGES; i++) {
        int number = atoi(platform->log[i].payload);
        assert_true(number > last[number % KEYS]);
        last[number % KEYS] = number;
    }
    assert_true(platform->subscribes > 1);
    if (sl_consumer_close(&load->consumer, &error) || sl_producer_close(&load->producer, 10000, &error))
        fail_msg("%s", error.text);
    sl_client_destroy(&load->client);
    free(load);
}

static void nothing_is_lost_when_the_server_restarts(void **state)
{
    run_load(*state, NULL, 5);
}

static void nothing_is_lost_by_several_members(void **state)
{
    run_load(*state, "here.platform.data-client.stream.http.polls = 3", 5);
}

static void nothing_is_lost_without_extensions(void **state)
{
    run_load(*state, NULL, 3);
}

/* A commit that finds nobody there is done once the platform is back. */
static void *commit(void *opaque)
{
    struct load *load = opaque;
    sl_offset last = {0, 9};
    sl_error error;
    if (sl_consumer_commit_offsets(load->consumer, &last, 1, &error))
        fail_msg("%s", error.text);
    return NULL;
}

static void a_commit_waits_for_the_server(void **state)
{
    struct load load = {.platform = *state};
    struct platform *platform = *state;
    load.client = platform_client(platform, NULL);
    platform_write(platform, 0, 10);
    sl_error error;
    if (sl_consumer_create(load.client, PLATFORM_HRN, PLATFORM_LAYER, NULL, &load.consumer, &error))
        fail_msg("%s", error.text);
    while (load.received < 10) {
        sl_batch *batch = NULL;
        assert_int_equal(sl_consumer_poll(load.consumer, 20000, 0, &batch, NULL), SL_OK);
        take(&load, batch);
        sl_batch_destroy(&batch);
    }
    platform_kill(platform);
    pthread_t committing;
    assert_int_equal(pthread_create(&committing, NULL, commit, &load), 0);
    sl_batch *none = NULL;
    assert_int_equal(sl_consumer_poll(load.consumer, 300, 0, &none, NULL), SL_OK);
    platform_revive(platform);
    pthread_join(committing, NULL);
    assert_int_equal(platform->committed[0], 10);
    assert_int_equal(sl_consumer_close(&load.consumer, NULL), SL_OK);
    sl_client_destroy(&load.client);
}

CASES_MAIN(cmocka_unit_test_setup_teardown(nothing_is_lost_when_the_server_restarts, start_extended, stop),
           cmocka_unit_test_setup_teardown(nothing_is_lost_by_several_members, start_extended, stop),
           cmocka_unit_test_setup_teardown(nothing_is_lost_without_extensions, start_plain, stop),
           cmocka_unit_test_setup_teardown(a_commit_waits_for_the_server, start_extended, stop))
