#include "support/cases.h"

#include "platform.h"

#include <stdio.h>

#include "base/time.h"

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

struct pair {
    sl_client *client;
    sl_consumer *consumer;
};

static struct pair open_consumer(struct platform *platform, const char *more)
{
    struct pair pair = {platform_client(platform, more), NULL};
    sl_error error;
    if (sl_consumer_create(pair.client, PLATFORM_HRN, PLATFORM_LAYER, NULL, &pair.consumer, &error))
        fail_msg("%s", error.text);
    assert_string_equal(sl_consumer_connector(pair.consumer), "http-connector");
    return pair;
}

static void close_pair(struct pair *pair)
{
    sl_error error;
    if (sl_consumer_close(&pair->consumer, &error))
        fail_msg("%s", error.text);
    sl_client_destroy(&pair->client);
}

static sl_batch *poll_some(sl_consumer *consumer, size_t most)
{
    sl_batch *batch = NULL;
    sl_error error;
    if (sl_consumer_poll(consumer, 20000, most, &batch, &error))
        fail_msg("%s", error.text);
    assert_non_null(batch);
    return batch;
}

static int number_of(const sl_message *message)
{
    size_t size;
    const char *payload = sl_message_payload(message, &size);
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)size, payload);
    return atoi(text);
}

/* Receives first…first+count-1, in order, and nothing else. */
static void receive(sl_consumer *consumer, int first, int count, size_t most)
{
    for (int next = first; next < first + count;) {
        sl_batch *batch = poll_some(consumer, most);
        if (most)
            assert_true(sl_batch_count(batch) <= most);
        for (size_t i = 0; i < sl_batch_count(batch); i++, next++) {
            const sl_message *message = sl_batch_message(batch, i);
            assert_int_equal(number_of(message), next);
            assert_int_equal(sl_message_offset(message).offset, next);
            assert_int_equal(sl_message_offset(message).partition, 0);
        }
        sl_batch_destroy(&batch);
    }
}

static void messages_come_in_order(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 1000);
    struct pair pair = open_consumer(platform, NULL);
    receive(pair.consumer, 0, 1000, 0);
    platform_write(platform, 1000, 1000);
    receive(pair.consumer, 1000, 1000, 0);
    sl_batch *batch = NULL;
    assert_int_equal(sl_consumer_poll(pair.consumer, 50, 0, &batch, NULL), SL_OK);
    assert_null(batch);
    assert_non_null(strstr(BODY(platform, subscribe_body), "\"auto.offset.reset\":\"earliest\""));
    assert_non_null(strstr(BODY(platform, subscribe_body), "\"enable.auto.commit\":\"false\""));
    assert_null(strstr(BODY(platform, subscribe_body), "group.id"));
    if (platform->extended)
        assert_string_equal(sl_consumer_group(pair.consumer), "app.group");
    else
        assert_null(sl_consumer_group(pair.consumer));
    close_pair(&pair);
    assert_int_equal(platform->deletes, 1);
}

static char warnings[2000];

static void collect_warning(void *opaque, sl_log_level level, const char *text)
{
    struct platform *platform = opaque;
    pthread_mutex_lock(&platform->lock);
    size_t size = strlen(warnings);
    if (level == SL_LOG_WARNING)
        snprintf(warnings + size, sizeof warnings - size, "%s\n", text);
    pthread_mutex_unlock(&platform->lock);
}

static void warn(struct platform *platform, const char *warning)
{
    pthread_mutex_lock(&platform->lock);
    platform->warning = warning;
    pthread_mutex_unlock(&platform->lock);
}

/* As the gateway has it for a volume that is used up: with other figures each time. */
static void a_warning_is_told_once(void **state)
{
    struct platform *platform = *state;
    static const char *const said[] = {"199 - \"the application has used 12 of 10 bytes a day\"",
                                       "199 - \"the application has used 13 of 10 bytes a day\"",
                                       "199 - \"the application has used 14 of 10 bytes a month\"", NULL,
                                       "199 - \"the application has used 15 of 10 bytes a month\""};
    int count = (int)(sizeof said / sizeof *said);
    *warnings = 0;
    platform->told = collect_warning;
    warn(platform, NULL);
    struct pair pair = open_consumer(platform, NULL);
    for (int i = 0; i < count; i++) {
        warn(platform, said[i]);
        platform_write(platform, i, 1);
        receive(pair.consumer, i, 1, 0);
    }
    close_pair(&pair);
    const char *layer = "layer " PLATFORM_LAYER " of " PLATFORM_HRN ": ";
    char expected[1000];
    snprintf(expected, sizeof expected,
             "%sthe application has used 12 of 10 bytes a day\n%sthe application has used 14 of 10 bytes a "
             "month\n%sthe application has used 15 of 10 bytes a month\n",
             layer, layer, layer);
    assert_string_equal(warnings, expected);
}

static void plain_messages_come_in_order(void **state)
{
    messages_come_in_order(state);
}

static void a_group_and_a_start_are_asked_for(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 10);
    struct pair pair =
        open_consumer(platform, "here.platform.data-client.stream.consumer { group = mine, start = end }");
    assert_non_null(strstr(BODY(platform, subscribe_body), "\"group.id\":\"mine\""));
    assert_non_null(strstr(BODY(platform, subscribe_body), "\"latest\""));
    platform_write(platform, 10, 5);
    receive(pair.consumer, 10, 5, 0);
    close_pair(&pair);
}

static void an_answer_is_handed_out_in_pieces(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 100);
    struct pair pair = open_consumer(platform, NULL);
    receive(pair.consumer, 0, 100, 7);
    close_pair(&pair);
}

static void pieces_outlive_the_consumer(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 100);
    struct pair pair = open_consumer(platform, NULL);
    sl_batch *batches[5];
    for (int i = 0; i < 5; i++)
        batches[i] = poll_some(pair.consumer, 3);
    close_pair(&pair);
    for (int i = 4; i >= 0; i--) {
        assert_int_equal(number_of(sl_batch_message(batches[i], 2)), 3 * i + 2);
        sl_batch_destroy(&batches[i]);
    }
}

static void prefetch_is_bounded(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 20000);
    struct pair pair =
        open_consumer(platform, "here.platform.data-client.stream.consumer.prefetch.max-bytes = 2 KiB");
    receive(pair.consumer, 0, 1, 1);
    /* Nobody takes the rest: it polls no further. Were it to, these would come at once. */
    assert_false(platform_comes(platform, &platform->polls, 10, 300));
    pthread_mutex_lock(&platform->lock);
    int64_t position = platform->position[0];
    pthread_mutex_unlock(&platform->lock);
    assert_true(position < 3000);
    receive(pair.consumer, 1, 19999, 0);
    close_pair(&pair);
}

static void commit_is_the_applications(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 20);
    struct pair pair = open_consumer(platform, NULL);
    sl_batch *batch = poll_some(pair.consumer, 10);
    sl_error error;
    assert_int_equal(sl_consumer_commit(pair.consumer, batch, &error), SL_OK);
    assert_string_equal(BODY(platform, commit_body), "{\"offsets\":[{\"partition\":0,\"offset\":9}]}");
    sl_batch_destroy(&batch);
    close_pair(&pair);
    assert_int_equal(platform->commits, 1);
    pair = open_consumer(platform, NULL);
    receive(pair.consumer, 10, 10, 0);
    close_pair(&pair);
}

static void seek_goes_on_from_there(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 100);
    struct pair pair = open_consumer(platform, NULL);
    receive(pair.consumer, 0, 5, 5);
    sl_error error;
    sl_offset to = {0, 50};
    assert_int_equal(sl_consumer_seek(pair.consumer, &to, 1, &error), SL_OK);
    receive(pair.consumer, 50, 50, 0);
    assert_string_equal(BODY(platform, seek_body), "{\"offsets\":[{\"partition\":0,\"offset\":50}]}");
    assert_int_equal(sl_consumer_seek_to(pair.consumer, SL_START_BEGIN, &error), SL_OK);
    receive(pair.consumer, 0, 20, 20);
    assert_int_equal(sl_consumer_seek_to(pair.consumer, SL_START_END, &error), SL_OK);
    platform_write(platform, 100, 10);
    receive(pair.consumer, 100, 10, 0);
    close_pair(&pair);
}

static void a_refused_seek_changes_nothing(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 100);
    struct pair pair = open_consumer(platform, NULL);
    receive(pair.consumer, 0, 5, 5);
    platform->refuse_seeks = true;
    sl_error error;
    sl_offset to = {7, 50};
    assert_int_equal(sl_consumer_seek(pair.consumer, &to, 1, &error), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(error.text, "No such partition"));
    receive(pair.consumer, 5, 95, 0);
    close_pair(&pair);
}

static void plain_seek_to_is_unsupported(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 10);
    struct pair pair = open_consumer(platform, NULL);
    sl_error error;
    assert_int_equal(sl_consumer_seek_to(pair.consumer, SL_START_BEGIN, &error), SL_UNSUPPORTED);
    receive(pair.consumer, 0, 10, 0);
    sl_offset to = {0, 3};
    assert_int_equal(sl_consumer_seek(pair.consumer, &to, 1, &error), SL_OK);
    receive(pair.consumer, 3, 7, 0);
    close_pair(&pair);
}

static void a_lost_subscription_is_made_anew(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 10);
    struct pair pair = open_consumer(platform, NULL);
    receive(pair.consumer, 0, 10, 0);
    sl_error error;
    sl_offset last = {0, 7};
    assert_int_equal(sl_consumer_commit_offsets(pair.consumer, &last, 1, &error), SL_OK);
    platform_restart(platform);
    receive(pair.consumer, 8, 2, 0);
    assert_int_equal(platform_get(platform, &platform->subscribes), 2);
    close_pair(&pair);
}

static void a_commit_survives_a_restart(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 10);
    struct pair pair = open_consumer(platform, NULL);
    receive(pair.consumer, 0, 10, 0);
    platform_restart(platform);
    sl_error error;
    sl_offset last = {0, 9};
    if (sl_consumer_commit_offsets(pair.consumer, &last, 1, &error))
        fail_msg("%s", error.text);
    assert_int_equal(platform->committed[0], 10);
    close_pair(&pair);
}

/* At least once: what was in the lost answer comes, though the platform believes that it was delivered. */
static void a_lost_answer_comes_again(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_consumer(platform, NULL);
    platform_write(platform, 0, 10);
    receive(pair.consumer, 0, 10, 0);
    sl_offset last = {0, 9};
    assert_int_equal(sl_consumer_commit_offsets(pair.consumer, &last, 1, NULL), SL_OK);
    platform_set(platform, &platform->lose_polls, 2);
    platform_write(platform, 10, 10);
    receive(pair.consumer, 10, 10, 0);
    /* Asked for again, or, where that cannot be, from a new subscription. */
    assert_int_equal(platform_get(platform, &platform->subscribes), platform->extended ? 1 : 3);
    close_pair(&pair);
}

/* Its number tells the platform that the answer before it did arrive. */
static void a_poll_that_never_arrived_repeats_nothing(void **state)
{
    struct platform *platform = *state;
    platform_set(platform, &platform->drop_polls, 2);
    platform_write(platform, 0, 10);
    struct pair pair = open_consumer(platform, NULL);
    receive(pair.consumer, 0, 10, 0);
    platform_write(platform, 10, 10);
    receive(pair.consumer, 10, 10, 0);
    assert_int_equal(platform_get(platform, &platform->drop_polls), 0);
    close_pair(&pair);
}

static void plain_lost_answers_come_again(void **state)
{
    a_lost_answer_comes_again(state);
}

static void an_answer_of_garbage_comes_again(void **state)
{
    struct platform *platform = *state;
    platform_set(platform, &platform->garbage_polls, 2);
    platform_write(platform, 0, 10);
    struct pair pair = open_consumer(platform, NULL);
    receive(pair.consumer, 0, 10, 0);
    close_pair(&pair);
}

static void short_trouble_is_not_told(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_consumer(platform, NULL);
    platform_set(platform, &platform->poll_status, 503);
    int polls = platform_get(platform, &platform->polls);
    platform_wait(platform, &platform->polls, polls + 3);
    sl_batch *batch = NULL;
    assert_int_equal(sl_consumer_poll(pair.consumer, 0, 0, &batch, NULL), SL_OK);
    platform_write(platform, 0, 10);
    platform_set(platform, &platform->poll_status, 0);
    receive(pair.consumer, 0, 10, 0);
    assert_int_equal(platform_get(platform, &platform->subscribes), 1);
    close_pair(&pair);
}

static void lasting_trouble_is_told(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_consumer(platform, NULL);
    platform_set(platform, &platform->poll_status, 503);
    sl_batch *batch = NULL;
    sl_error error;
    assert_int_equal(sl_consumer_poll(pair.consumer, 20000, 0, &batch, &error), SL_UNAVAILABLE);
    assert_true(error.retriable);
    assert_int_equal(error.http_status, 503);
    platform_write(platform, 0, 1);
    platform_set(platform, &platform->poll_status, 0);
    for (int tries = 0; !batch && tries < 1000; tries++)
        (void)!sl_consumer_poll(pair.consumer, 1000, 0, &batch, &error);
    assert_int_equal(sl_batch_count(batch), 1);
    sl_batch_destroy(&batch);
    close_pair(&pair);
}

/* The subscription that is made anew may take long: Kafka waits for the member that the platform was. */
static void the_latest_trouble_is_told(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_consumer(platform, NULL);
    platform_write(platform, 0, 1);
    receive(pair.consumer, 0, 1, 0);
    platform_set(platform, &platform->poll_status, 503);
    sl_batch *batch = NULL;
    sl_error error = {0};
    while (!sl_consumer_poll(pair.consumer, 100, 0, &batch, &error))
        assert_null(batch);
    assert_int_equal(error.http_status, 503);
    platform_set(platform, &platform->late, 1);
    platform_restart(platform);
    platform_set(platform, &platform->poll_status, 0);
    platform_wait(platform, &platform->subscribes, 2);
    sl_status status = sl_consumer_poll(pair.consumer, 100, 0, &batch, &error);
    platform_set(platform, &platform->late, 0);
    assert_int_equal(status, SL_UNAVAILABLE);
    assert_true(error.retriable);
    assert_non_null(strstr(error.text, "Subscription gone"));
    platform_write(platform, 1, 1);
    while (!batch)
        (void)!sl_consumer_poll(pair.consumer, 1000, 0, &batch, &error);
    sl_batch_destroy(&batch);
    close_pair(&pair);
}

static void a_layer_deleted_is_fatal(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_consumer(platform, NULL);
    pthread_mutex_lock(&platform->lock);
    platform->deleted = true;
    pthread_mutex_unlock(&platform->lock);
    platform_restart(platform);
    sl_batch *batch = NULL;
    sl_error error;
    assert_int_equal(sl_consumer_poll(pair.consumer, 20000, 0, &batch, &error), SL_NOT_FOUND);
    assert_true(error.fatal);
    assert_non_null(strstr(error.text, "No such layer"));
    sl_consumer *none = NULL;
    assert_int_equal(sl_consumer_create(pair.client, PLATFORM_HRN, PLATFORM_LAYER, NULL, &none, &error),
                     SL_NOT_FOUND);
    close_pair(&pair);
}

static void a_refused_token_is_replaced(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_consumer(platform, NULL);
    platform_set(platform, &platform->valid_token, 2);
    platform_write(platform, 0, 10);
    receive(pair.consumer, 0, 10, 0);
    platform_write(platform, 10, 10);
    receive(pair.consumer, 10, 10, 0);
    assert_int_equal(platform->tokens, 2);
    close_pair(&pair);
}

static void close_ends_a_poll_that_is_held(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_consumer(platform, "here.platform.data-client.stream.http.poll.max-wait = 20 s");
    platform_wait(platform, &platform->polling, 1);
    int64_t begin = sl_mono_ms();
    close_pair(&pair);
    assert_true(sl_mono_ms() - begin < 2000);
    assert_int_equal(platform->deletes, 1);
}

static void close_while_the_platform_is_gone(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_consumer(platform, NULL);
    platform_wait(platform, &platform->polling, 1);
    platform_set(platform, &platform->poll_status, 503); /* ends what is held */
    web_stop(platform->web);
    sl_error error;
    int64_t begin = sl_mono_ms();
    assert_int_equal(sl_consumer_close(&pair.consumer, &error), SL_UNAVAILABLE);
    assert_true(error.retriable);
    assert_null(pair.consumer);
    assert_true(sl_mono_ms() - begin < 15000);
    sl_client_destroy(&pair.client);
    bool extended = platform->extended;
    free(platform);
    *state = platform_start(extended);
}

static void *commit_many(void *opaque)
{
    for (int i = 0; i < 50; i++) {
        sl_offset offset = {0, i};
        assert_int_equal(sl_consumer_commit_offsets(opaque, &offset, 1, NULL), SL_OK);
    }
    return NULL;
}

static void *write_many(void *opaque)
{
    for (int i = 0; i < 5000; i += 100)
        platform_write(opaque, i, 100);
    return NULL;
}

static void polls_and_commits_run_beside_each_other(void **state)
{
    struct platform *platform = *state;
    struct pair pair = open_consumer(platform, NULL);
    pthread_t threads[3];
    assert_int_equal(pthread_create(&threads[0], NULL, write_many, platform), 0);
    for (int i = 1; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, commit_many, pair.consumer), 0);
    receive(pair.consumer, 0, 5000, 100);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(platform->commits, 100);
    close_pair(&pair);
}

static void errors_do_not_show_an_urls_password(void **state)
{
    struct platform *platform = *state;
    platform->names_user = true; /* settings have none, but a platform may answer so */
    struct pair pair = open_consumer(platform, NULL);
    platform->refuse_seeks = true;
    sl_error error;
    sl_offset to = {7, 50};
    assert_int_equal(sl_consumer_seek(pair.consumer, &to, 1, &error), SL_INVALID_ARGUMENT);
    assert_null(strstr(error.text, "geheim"));
    assert_non_null(strstr(error.text, web_url(platform->web)));
    close_pair(&pair);
}

CASES_MAIN(cmocka_unit_test_setup_teardown(messages_come_in_order, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_warning_is_told_once, start_extended, stop),
           cmocka_unit_test_setup_teardown(plain_messages_come_in_order, start_plain, stop),
           cmocka_unit_test_setup_teardown(a_group_and_a_start_are_asked_for, start_extended, stop),
           cmocka_unit_test_setup_teardown(an_answer_is_handed_out_in_pieces, start_extended, stop),
           cmocka_unit_test_setup_teardown(pieces_outlive_the_consumer, start_extended, stop),
           cmocka_unit_test_setup_teardown(prefetch_is_bounded, start_extended, stop),
           cmocka_unit_test_setup_teardown(commit_is_the_applications, start_extended, stop),
           cmocka_unit_test_setup_teardown(seek_goes_on_from_there, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_refused_seek_changes_nothing, start_extended, stop),
           cmocka_unit_test_setup_teardown(plain_seek_to_is_unsupported, start_plain, stop),
           cmocka_unit_test_setup_teardown(a_lost_subscription_is_made_anew, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_commit_survives_a_restart, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_lost_answer_comes_again, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_poll_that_never_arrived_repeats_nothing, start_extended, stop),
           cmocka_unit_test_setup_teardown(plain_lost_answers_come_again, start_plain, stop),
           cmocka_unit_test_setup_teardown(an_answer_of_garbage_comes_again, start_extended, stop),
           cmocka_unit_test_setup_teardown(short_trouble_is_not_told, start_extended, stop),
           cmocka_unit_test_setup_teardown(lasting_trouble_is_told, start_extended, stop),
           cmocka_unit_test_setup_teardown(the_latest_trouble_is_told, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_layer_deleted_is_fatal, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_refused_token_is_replaced, start_extended, stop),
           cmocka_unit_test_setup_teardown(errors_do_not_show_an_urls_password, start_extended, stop),
           cmocka_unit_test_setup_teardown(close_ends_a_poll_that_is_held, start_extended, stop),
           cmocka_unit_test_setup_teardown(close_while_the_platform_is_gone, start_extended, stop),
           cmocka_unit_test_setup_teardown(polls_and_commits_run_beside_each_other, start_extended, stop))
