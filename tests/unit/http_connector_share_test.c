/* Of a consumer's calls that need our extensions, and of several members of its group. */
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

/* What the rebalance callback was told, as text: "+0,1 " assigned, "-0 " revoked, "!0 " lost. */
static char told[2000];

static void note_rebalance(void *opaque, sl_rebalance what, const int32_t *partitions, size_t count)
{
    (void)opaque;
    size_t size = strlen(told);
    size += (size_t)snprintf(told + size, sizeof told - size, "%s",
                             what == SL_ASSIGNED  ? "+"
                             : what == SL_REVOKED ? "-"
                                                  : "!");
    for (size_t i = 0; i < count; i++)
        size += (size_t)snprintf(told + size, sizeof told - size, "%s%d", i ? "," : "", (int)partitions[i]);
    snprintf(told + size, sizeof told - size, " ");
}

struct pair {
    sl_client *client;
    sl_consumer *consumer;
};

static struct pair open_consumer(struct platform *platform, const char *more)
{
    struct pair pair = {platform_client(platform, more), NULL};
    sl_error error;
    sl_consumer_options *options = NULL;
    told[0] = 0;
    assert_int_equal(sl_consumer_options_create(&options), SL_OK);
    assert_int_equal(sl_consumer_options_set_rebalance(options, note_rebalance, NULL), SL_OK);
    if (sl_consumer_create(pair.client, PLATFORM_HRN, PLATFORM_LAYER, options, &pair.consumer, &error))
        fail_msg("%s", error.text);
    sl_consumer_options_destroy(&options);
    return pair;
}

static void close_pair(struct pair *pair)
{
    sl_error error;
    if (sl_consumer_close(&pair->consumer, &error))
        fail_msg("%s", error.text);
    sl_client_destroy(&pair->client);
}

static int number_of(const sl_message *message)
{
    size_t size;
    const char *payload = sl_message_payload(message, &size);
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)size, payload);
    return atoi(text);
}

/* Receives until there are count messages, each of them once and in order within its Kafka partition; no
 * partition of which is in none. What came is in seen, if not NULL. */
static void receive(struct platform *platform, sl_consumer *consumer, int count, unsigned none, char *seen)
{
    int64_t next[PLATFORM_PARTITIONS] = {0};
    for (int left = count; left > 0;) {
        sl_batch *batch = NULL;
        sl_error error;
        if (sl_consumer_poll(consumer, 20000, 0, &batch, &error))
            fail_msg("%s", error.text);
        assert_non_null(batch);
        for (size_t i = 0; i < sl_batch_count(batch); i++, left--) {
            const sl_message *message = sl_batch_message(batch, i);
            sl_offset at = sl_message_offset(message);
            int number = number_of(message);
            assert_int_equal(number, at.offset * platform->partitions + at.partition);
            assert_false(none & 1u << at.partition);
            assert_true(at.offset >= next[at.partition]);
            next[at.partition] = at.offset + 1;
            if (seen)
                assert_int_equal(seen[number]++, 0);
        }
        assert_true(left >= 0);
        sl_batch_destroy(&batch);
    }
}

static void nothing_comes(sl_consumer *consumer)
{
    sl_batch *batch = NULL;
    assert_int_equal(sl_consumer_poll(consumer, 100, 0, &batch, NULL), SL_OK);
    assert_null(batch);
}

static int find(const char *json, const char *name)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    const char *at = strstr(json, quoted);
    assert_non_null(at);
    return atoi(at + strlen(quoted) + strspn(at + strlen(quoted), " "));
}

static void seek_to_a_time(void **state)
{
    struct platform *platform = *state;
    platform->partitions = 2;
    platform_write(platform, 0, 100);
    struct pair pair = open_consumer(platform, NULL);
    receive(platform, pair.consumer, 100, 0, NULL);
    sl_error error;
    if (sl_consumer_seek_time(pair.consumer, 1061, &error))
        fail_msg("%s", error.text);
    assert_string_equal(BODY(platform, seek_body), "{\"to\":\"time\",\"timestamp\":1061}");
    char seen[100] = {0};
    receive(platform, pair.consumer, 39, 0, seen);
    assert_int_equal(seen[60], 0);
    assert_int_equal(seen[61], 1);
    close_pair(&pair);
}

static void what_is_paused_waits_for_the_resume(void **state)
{
    struct platform *platform = *state;
    platform->partitions = 2;
    platform_write(platform, 0, 1000);
    struct pair pair =
        open_consumer(platform, "here.platform.data-client.stream.consumer { prefetch.max-bytes = 64 KiB, "
                                "poll.max-bytes = 1 KiB }");
    char *seen = calloc(2000, 1);
    sl_batch *batch = NULL;
    int32_t first = 0;
    assert_int_equal(sl_consumer_poll(pair.consumer, 20000, 10, &batch, NULL), SL_OK);
    for (size_t i = 0; i < sl_batch_count(batch); i++)
        seen[number_of(sl_batch_message(batch, i))]++;
    assert_int_equal(sl_batch_count(batch), 10);
    sl_batch_destroy(&batch);
    assert_int_equal(sl_consumer_pause(pair.consumer, &first, 1, NULL), SL_OK);
    /* All of the other partition, much more than may be fetched ahead: the paused ones are not in its way. */
    platform_write(platform, 1000, 1000);
    int before = 0;
    for (int i = 0; i < 2000; i += 2)
        before += seen[i];
    receive(platform, pair.consumer, 1000 - (10 - before), 1, seen);
    nothing_comes(pair.consumer);
    assert_non_null(strstr(platform->pauses, "pause{\"partitions\":[0]} "));
    assert_int_equal(sl_consumer_resume(pair.consumer, NULL, 0, NULL), SL_OK);
    receive(platform, pair.consumer, 1000 - before, 2, seen);
    nothing_comes(pair.consumer);
    free(seen);
    close_pair(&pair);
}

/* As over Kafka. A wish that the platform refuses would be told before each poll, and none would be made. */
static void pausing_what_the_layer_has_not_is_refused(void **state)
{
    struct platform *platform = *state;
    platform->partitions = 2;
    struct pair pair = open_consumer(platform, NULL);
    const int32_t both[] = {0, 7};
    sl_error error = {0};
    assert_int_equal(sl_consumer_pause(pair.consumer, both, 2, &error), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(error.text, "No such Kafka partition"));
    platform_kill(platform); /* no poll is under way, and the next subscription is told of all wishes */
    assert_int_equal(sl_consumer_resume(pair.consumer, both, 1, &error), SL_OK);
    platform_revive(platform);
    assert_int_equal(sl_consumer_resume(pair.consumer, both, 2, &error), SL_INVALID_ARGUMENT);
    platform_write(platform, 0, 100);
    receive(platform, pair.consumer, 100, 0, NULL);
    close_pair(&pair);
}

static void a_pause_outlasts_subscriptions(void **state)
{
    struct platform *platform = *state;
    platform->partitions = 2;
    struct pair pair = open_consumer(platform, NULL);
    int32_t first = 0;
    assert_int_equal(sl_consumer_pause(pair.consumer, NULL, 0, NULL), SL_OK);
    assert_int_equal(sl_consumer_resume(pair.consumer, &first, 1, NULL), SL_OK);
    platform_restart(platform);
    platform_write(platform, 0, 100);
    receive(platform, pair.consumer, 50, 2, NULL);
    nothing_comes(pair.consumer);
    assert_int_equal(platform_get(platform, &platform->subscribes), 2);
    assert_int_equal(platform->subscribers[0].paused, ~1u);
    assert_int_equal(sl_consumer_resume(pair.consumer, NULL, 0, NULL), SL_OK);
    receive(platform, pair.consumer, 50, 1, NULL);
    close_pair(&pair);
}

static void positions_count_what_waits(void **state)
{
    struct platform *platform = *state;
    platform->partitions = 2;
    platform_write(platform, 0, 100);
    struct pair pair = open_consumer(platform, NULL);
    int32_t second = 1;
    sl_partition_position list[2];
    size_t count = 0;
    sl_error error;
    sl_offset committed = {0, 4};
    sl_batch *batch = NULL;
    assert_int_equal(sl_consumer_poll(pair.consumer, 20000, 10, &batch, NULL), SL_OK);
    assert_int_equal(sl_batch_count(batch), 10); /* all of partition 0 */
    sl_batch_destroy(&batch);
    assert_int_equal(sl_consumer_commit_offsets(pair.consumer, &committed, 1, NULL), SL_OK);
    assert_int_equal(sl_consumer_pause(pair.consumer, &second, 1, NULL), SL_OK);
    if (sl_consumer_positions(pair.consumer, list, 2, &count, &error))
        fail_msg("%s", error.text);
    assert_int_equal(count, 2);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(list[k].partition, k);
        assert_int_equal(list[k].begin, 0);
        assert_int_equal(list[k].end, 50);
        assert_int_equal(list[k].position, k ? 0 : 10);
        assert_int_equal(list[k].committed, k ? -1 : 5);
        assert_int_equal(list[k].lag, k ? 50 : 40);
        assert_int_equal(list[k].paused, k);
    }
    assert_int_equal(sl_consumer_positions(pair.consumer, list, 1, &count, &error), SL_OK);
    assert_int_equal(count, 2);
    assert_int_equal(sl_consumer_resume(pair.consumer, NULL, 0, NULL), SL_OK);
    receive(platform, pair.consumer, 90, 0, NULL);
    close_pair(&pair);
}

static void poll_until_told(sl_consumer *consumer, const char *what)
{
    for (int tries = 0; !strstr(told, what) && tries < 400; tries++) {
        sl_batch *batch = NULL;
        assert_int_equal(sl_consumer_poll(consumer, 50, 0, &batch, NULL), SL_OK);
        sl_batch_destroy(&batch);
    }
    if (!strstr(told, what))
        fail_msg("told: %s", told);
}

static void rebalances_are_told(void **state)
{
    struct platform *platform = *state;
    platform->partitions = 3;
    struct pair pair = open_consumer(platform, NULL);
    assert_string_equal(told, "+0,1,2 ");
    platform_take(platform, 2);
    poll_until_told(pair.consumer, "!1 +0,2 ");
    platform_give(platform, 2);
    poll_until_told(pair.consumer, "!1 +0,2 +0,1,2 ");
    platform_restart(platform);
    poll_until_told(pair.consumer, "!1 +0,2 +0,1,2 !0,1,2 +0,1,2 ");
    close_pair(&pair);
    assert_string_equal(told, "+0,1,2 !1 +0,2 +0,1,2 !0,1,2 +0,1,2 -0,1,2 ");
}

static void what_waits_of_lost_partitions_is_dropped(void **state)
{
    struct platform *platform = *state;
    platform->partitions = 2;
    platform_write(platform, 0, 100);
    struct pair pair = open_consumer(platform, NULL);
    char seen[100] = {0};
    sl_batch *batch = NULL;
    assert_int_equal(sl_consumer_poll(pair.consumer, 20000, 1, &batch, NULL), SL_OK);
    seen[number_of(sl_batch_message(batch, 0))]++;
    sl_batch_destroy(&batch);
    int polls = platform_get(platform, &platform->polls);
    platform_take(platform, 2);
    platform_wait(platform, &platform->polls, polls + 2);
    receive(platform, pair.consumer, 49, 2, seen);
    nothing_comes(pair.consumer);
    close_pair(&pair);
}

static void without_extensions_they_are_unsupported(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 10);
    struct pair pair = open_consumer(platform, NULL);
    sl_error error;
    size_t count;
    for (int i = 0; i < 5; i++) {
        sl_status status = i == 0   ? sl_consumer_seek_time(pair.consumer, 0, &error)
                           : i == 1 ? sl_consumer_pause(pair.consumer, NULL, 0, &error)
                           : i == 2 ? sl_consumer_resume(pair.consumer, NULL, 0, &error)
                           : i == 3 ? sl_consumer_positions(pair.consumer, NULL, 0, &count, &error)
                                    : sl_consumer_seek_to(pair.consumer, SL_START_END, &error);
        assert_int_equal(status, SL_UNSUPPORTED);
        assert_non_null(strstr(error.text, "extensions"));
        assert_non_null(strstr(error.text, web_url(platform->web)));
    }
    receive(platform, pair.consumer, 10, 0, NULL);
    assert_string_equal(told, "");
    close_pair(&pair);
}

/* Commits what comes, batch by batch, until it is all there. */
static void receive_and_commit(struct platform *platform, sl_consumer *consumer, int count, char *seen)
{
    int64_t next[PLATFORM_PARTITIONS] = {0};
    for (int left = count; left > 0;) {
        sl_batch *batch = NULL;
        sl_error error = {0};
        if (sl_consumer_poll(consumer, 20000, 100, &batch, &error) && !error.retriable)
            fail_msg("%s", error.text);
        for (size_t i = 0; i < sl_batch_count(batch); i++) {
            const sl_message *message = sl_batch_message(batch, i);
            sl_offset at = sl_message_offset(message);
            int number = number_of(message);
            assert_int_equal(number, at.offset * platform->partitions + at.partition);
            assert_true(at.offset <= next[at.partition]); /* nothing is left out */
            if (at.offset == next[at.partition])
                next[at.partition]++;
        }
        sl_status status = batch ? sl_consumer_commit(consumer, batch, &error) : SL_OK;
        if (status && status != SL_KAFKA)
            fail_msg("%s", error.text);
        /* Refused, since the partition has moved meanwhile: these come again. */
        for (size_t i = 0; i < sl_batch_count(batch) && !status; i++) {
            int number = number_of(sl_batch_message(batch, i));
            left -= !seen[number];
            seen[number] = 1;
        }
        sl_batch_destroy(&batch);
    }
}

static void members_poll_side_by_side(void **state)
{
    struct platform *platform = *state;
    platform->partitions = 4;
    platform_write(platform, 0, 4000);
    struct pair pair = open_consumer(platform, "here.platform.data-client.stream.http.polls = 3");
    assert_int_equal(platform->subscribes, 3);
    if (platform->extended)
        assert_string_equal(told, "+0,1,2,3 ");
    char *seen = calloc(4001, 1);
    receive_and_commit(platform, pair.consumer, 4000, seen);
    for (int k = 0; k < 4; k++)
        assert_int_equal(platform->committed[k], 1000);
    if (platform->extended) { /* they wait for messages at the same time */
        platform_wait(platform, &platform->polling, 3);
        platform_write(platform, 4000, 1);
    }
    sl_offset to[2] = {{1, 10}, {3, 990}};
    assert_int_equal(sl_consumer_seek(pair.consumer, to, 2, NULL), SL_OK);
    memset(seen, 0, 4000);
    receive(platform, pair.consumer, 990 + 10 + platform->extended, 4, seen);
    nothing_comes(pair.consumer);
    free(seen);
    close_pair(&pair);
    assert_int_equal(platform->deletes, 3);
}

static struct subscriber *member_of(struct platform *platform, const char *consumer)
{
    for (int i = 0; i < PLATFORM_MEMBERS; i++)
        if (*platform->subscribers[i].node && !strcmp(platform->subscribers[i].consumer, consumer))
            return &platform->subscribers[i];
    return NULL;
}

/* A member hears late that it had a partition, when another one has it again and was given messages of it. */
static void a_member_that_hears_late_takes_nothing_from_another(void **state)
{
    struct platform *platform = *state;
    platform->partitions = 2;
    struct pair pair = open_consumer(platform, "here.platform.data-client.stream.http.polls = 2");
    platform_set(platform, &platform->late, 1);
    int subscribes = platform_get(platform, &platform->subscribes);
    platform_restart(platform);
    platform_wait(platform, &platform->subscribes, subscribes + 2);
    platform_give_all(platform, "0");
    platform_write(platform, 0, 10);
    struct subscriber *first = member_of(platform, "0"), *second = member_of(platform, "1");
    platform_wait(platform, &first->answers, 1);
    platform_wait(platform, &first->polls, 1); /* it has them, and asks for more */
    platform_set(platform, &platform->late, 0);
    platform_wait(platform, &second->asked, 1);
    char seen[10] = {0};
    receive(platform, pair.consumer, 10, 0, seen);
    nothing_comes(pair.consumer);
    close_pair(&pair);
}

static void plain_members_poll_side_by_side(void **state)
{
    members_poll_side_by_side(state);
}

static void a_full_group_is_done_with_fewer_members(void **state)
{
    struct platform *platform = *state;
    platform->partitions = 4;
    platform->most_subscribers = 2;
    struct pair pair = open_consumer(platform, "here.platform.data-client.stream.http.polls = 8");
    assert_int_equal(platform->subscribes, 2);
    platform_write(platform, 0, 400);
    receive(platform, pair.consumer, 400, 0, NULL);
    int32_t third = 2;
    sl_partition_position list[4];
    size_t count;
    assert_int_equal(sl_consumer_pause(pair.consumer, &third, 1, NULL), SL_OK);
    assert_int_equal(sl_consumer_positions(pair.consumer, list, 4, &count, NULL), SL_OK);
    assert_int_equal(count, 4);
    for (int k = 0; k < 4; k++) {
        assert_int_equal(list[k].partition, k);
        assert_int_equal(list[k].position, 100);
        assert_int_equal(list[k].paused, k == 2);
    }
    assert_int_equal(sl_consumer_seek_to(pair.consumer, SL_START_BEGIN, NULL), SL_OK);
    receive(platform, pair.consumer, 300, 4, NULL);
    close_pair(&pair);
}

/* What a client has said, from the information on. */
static char said[4000];

static void note_said(void *opaque, sl_log_level level, const char *text)
{
    struct platform *platform = opaque;
    pthread_mutex_lock(&platform->lock);
    size_t size = strlen(said);
    if (level <= SL_LOG_INFO)
        snprintf(said + size, sizeof said - size, "%s\n", text);
    pthread_mutex_unlock(&platform->lock);
}

static int times_said(struct platform *platform, const char *what)
{
    int times = 0;
    pthread_mutex_lock(&platform->lock);
    for (const char *at = said; (at = strstr(at, what)) != NULL; at += strlen(what))
        times++;
    pthread_mutex_unlock(&platform->lock);
    return times;
}

static void listen_to(struct platform *platform)
{
    *said = 0;
    platform->told = note_said;
}

/* A limit of the gateway's is 429, and waiting does not end it as long as the others are there. */
static void a_limit_of_subscriptions_is_done_with_fewer_members(void **state)
{
    struct platform *platform = *state;
    listen_to(platform);
    platform->partitions = 4;
    platform->most_subscribers = 2;
    platform->retry_after = "0";
    static const char *const codes[] = {"too-many-group-subscriptions", "too-many-subscriptions"};
    for (int i = 0; i < 2; i++) {
        platform->full = codes[i];
        struct pair pair = open_consumer(platform, "here.platform.data-client { stream.http.polls = 4, "
                                                   "log.level = info }");
        assert_int_equal(times_said(platform, "polling with one member less"), 2 * (i + 1));
        assert_int_equal(times_said(platform, "trying again"), 0);
        close_pair(&pair);
    }
}

static void a_member_that_is_put_off_comes_later(void **state)
{
    struct platform *platform = *state;
    listen_to(platform);
    platform->partitions = 2;
    platform->busy_subscribes = 1;
    platform->busy = "too-many-requests"; /* a rate, which is lower the next second */
    platform->retry_after = "0";
    struct pair pair = open_consumer(platform, "here.platform.data-client { stream.http.polls = 2, "
                                               "log.level = info }");
    platform_wait(platform, &platform->subscribes, 2);
    assert_int_equal(times_said(platform, "one member less"), 0);
    close_pair(&pair);
    platform->busy_subscribes = 1;
    platform->retry_after = "3600";
    pair = open_consumer(platform, "here.platform.data-client.stream.http.polls = 2");
    assert_false(platform_comes(platform, &platform->subscribes, 4, 1000));
    close_pair(&pair);
}

static void opening_waits_as_long_as_it_is_told_to(void **state)
{
    struct platform *platform = *state;
    listen_to(platform);
    platform->busy = "too-many-group-subscriptions";
    platform->busy_subscribes = 2;
    platform->retry_after = "0";
    struct pair pair = open_consumer(platform, NULL);
    assert_int_equal(times_said(platform, "not opened yet"), 2);
    assert_int_equal(platform->subscribes, 1);
    close_pair(&pair);
    /* longer than it may: no further try, which would succeed */
    platform->busy_subscribes = 1;
    platform->retry_after = "3600";
    pair = (struct pair){platform_client(platform, NULL), NULL};
    sl_error error;
    assert_int_equal(
        sl_consumer_create(pair.client, PLATFORM_HRN, PLATFORM_LAYER, NULL, &pair.consumer, &error),
        SL_THROTTLED);
    assert_true(error.retriable);
    assert_non_null(strstr(error.text, "[too-many-group-subscriptions]"));
    sl_client_destroy(&pair.client);
}

static void blobs_count_with_their_size(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 10);
    for (int i = 0; i < 10; i++) {
        snprintf(platform->log[i].handle, sizeof platform->log[i].handle, "blob-%d", i);
        platform->log[i].data_size = i < 9 ? 5 << 20 : INT64_MAX;
    }
    struct pair pair = open_consumer(platform, "here.platform.data-client.stream.consumer { resolve = false, "
                                               "poll.max-bytes = 16 MiB }");
    for (int i = 0; i < 4; i++) {
        sl_batch *batch = NULL;
        assert_int_equal(sl_consumer_poll(pair.consumer, 20000, 0, &batch, NULL), SL_OK);
        assert_int_equal(sl_batch_count(batch), i < 3 ? 3 : 1);
        assert_string_equal(sl_message_data_handle(sl_batch_message(batch, 0)), i == 0   ? "blob-0"
                                                                                : i == 1 ? "blob-3"
                                                                                : i == 2 ? "blob-6"
                                                                                         : "blob-9");
        sl_batch_destroy(&batch);
    }
    close_pair(&pair);
}

static void statistics_tell_of_polls(void **state)
{
    struct platform *platform = *state;
    platform_write(platform, 0, 100);
    struct pair pair = open_consumer(platform, NULL);
    receive(platform, pair.consumer, 100, 0, NULL);
    sl_offset last = {0, 99};
    assert_int_equal(sl_consumer_commit_offsets(pair.consumer, &last, 1, NULL), SL_OK);
    pthread_mutex_lock(&platform->lock);                  /* it goes on being polled */
    assert_string_equal(platform->correlation, "corr-7"); /* it is sent back */
    pthread_mutex_unlock(&platform->lock);
    platform_restart(platform);
    platform_wait(platform, &platform->subscribes, 2);
    int polls = platform_get(platform, &platform->polls);
    platform_wait(platform, &platform->polls, polls + 2);
    char *json = NULL;
    assert_int_equal(sl_consumer_statistics(pair.consumer, &json, NULL), SL_OK);
    assert_int_equal(find(json, "subscriptions"), 2);
    assert_int_equal(find(json, "members"), 1);
    assert_true(find(json, "requests") >= 5);
    assert_true(find(json, "2xx") >= 4);
    assert_true(find(json, "4xx") >= 1);
    assert_int_equal(find(json, "prefetchedBytes"), 0);
    assert_non_null(strstr(json, "corr-7"));
    sl_free(json);
    close_pair(&pair);
}

CASES_MAIN(cmocka_unit_test_setup_teardown(seek_to_a_time, start_extended, stop),
           cmocka_unit_test_setup_teardown(what_is_paused_waits_for_the_resume, start_extended, stop),
           cmocka_unit_test_setup_teardown(pausing_what_the_layer_has_not_is_refused, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_pause_outlasts_subscriptions, start_extended, stop),
           cmocka_unit_test_setup_teardown(positions_count_what_waits, start_extended, stop),
           cmocka_unit_test_setup_teardown(rebalances_are_told, start_extended, stop),
           cmocka_unit_test_setup_teardown(what_waits_of_lost_partitions_is_dropped, start_extended, stop),
           cmocka_unit_test_setup_teardown(without_extensions_they_are_unsupported, start_plain, stop),
           cmocka_unit_test_setup_teardown(members_poll_side_by_side, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_member_that_hears_late_takes_nothing_from_another,
                                           start_extended, stop),
           cmocka_unit_test_setup_teardown(plain_members_poll_side_by_side, start_plain, stop),
           cmocka_unit_test_setup_teardown(a_full_group_is_done_with_fewer_members, start_extended, stop),
           cmocka_unit_test_setup_teardown(a_limit_of_subscriptions_is_done_with_fewer_members,
                                           start_extended, stop),
           cmocka_unit_test_setup_teardown(a_member_that_is_put_off_comes_later, start_extended, stop),
           cmocka_unit_test_setup_teardown(opening_waits_as_long_as_it_is_told_to, start_extended, stop),
           cmocka_unit_test_setup_teardown(blobs_count_with_their_size, start_extended, stop),
           cmocka_unit_test_setup_teardown(statistics_tell_of_polls, start_extended, stop))
