#include "support/cases.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "gateway/broker/repeats.h"
#include "gateway/http/server.h"

#define WINDOW 60000

static struct gw_repeats *make(int64_t window_ms, size_t max)
{
    struct gw_repeats *repeats;
    assert_int_equal(gw_repeats_create(window_ms, max, &repeats, NULL), SL_OK);
    return repeats;
}

static struct sl_message message_of(const char *trace, const char *key, const char *payload)
{
    struct sl_message message = {.headers = NULL};
    sl_message_reset(&message);
    message.trace_id = trace;
    message.partition_id = key;
    message.partition_id_size = key ? strlen(key) : 0;
    message.payload = payload;
    message.payload_size = payload ? strlen(payload) : 0;
    return message;
}

/* Asks, and writes if it is to be written. */
static enum gw_repeat_verdict ask(struct gw_repeats *repeats, const char *application, const char *topic,
                                  const struct sl_message *message, const char *checksum, int64_t offset)
{
    struct gw_repeat repeat = {.loop = NULL};
    enum gw_repeat_verdict verdict =
        gw_repeats_enter(repeats, application, topic, message, checksum, &repeat);
    if (verdict == GW_REPEAT_FIRST)
        gw_repeats_settle(repeats, &repeat, true, (sl_offset){3, offset});
    else
        assert_int_equal(repeat.offset.partition, 3);
    return verdict;
}

static void every_part_counts(void **state)
{
    (void)state;
    struct gw_repeats *repeats = make(WINDOW, 1000);
    struct sl_message one = message_of("t", "k", "payload"), other;
    assert_int_equal(ask(repeats, "app", "topic", &one, NULL, 1), GW_REPEAT_FIRST);
    assert_int_equal(ask(repeats, "app", "topic", &one, NULL, 2), GW_REPEAT_WRITTEN);
    assert_int_equal(ask(repeats, "other", "topic", &one, NULL, 3), GW_REPEAT_FIRST);
    assert_int_equal(ask(repeats, "app", "other", &one, NULL, 4), GW_REPEAT_FIRST);
    other = message_of("u", "k", "payload");
    assert_int_equal(ask(repeats, "app", "topic", &other, NULL, 5), GW_REPEAT_FIRST);
    other = message_of("t", "l", "payload");
    assert_int_equal(ask(repeats, "app", "topic", &other, NULL, 6), GW_REPEAT_FIRST);
    other = message_of("t", NULL, "payload");
    assert_int_equal(ask(repeats, "app", "topic", &other, NULL, 7), GW_REPEAT_FIRST);
    other = message_of("t", "k", "payloa");
    assert_int_equal(ask(repeats, "app", "topic", &other, NULL, 8), GW_REPEAT_FIRST);
    other = message_of("t", "k", NULL);
    assert_int_equal(ask(repeats, "app", "topic", &other, NULL, 9), GW_REPEAT_FIRST);
    assert_int_equal(ask(repeats, "app", "topic", &other, "sha", 10), GW_REPEAT_FIRST);
    other.data_handle = "h";
    assert_int_equal(ask(repeats, "app", "topic", &other, NULL, 11), GW_REPEAT_FIRST);
    /* A blob is known by its checksum: each try makes a handle of its own. */
    assert_int_equal(ask(repeats, "app", "topic", &other, "sha", 12), GW_REPEAT_WRITTEN);
    other = message_of("tk", "", "payload"); /* the parts' borders count, too */
    assert_int_equal(ask(repeats, "app", "topic", &other, NULL, 13), GW_REPEAT_FIRST);
    size_t remembered;
    unsigned long long answered;
    gw_repeats_count(repeats, &remembered, &answered);
    assert_int_equal(remembered, 11);
    assert_int_equal(answered, 2);
    gw_repeats_destroy(&repeats);
}

/* All of a payload counts, of whatever size. */
static void every_byte_counts(void **state)
{
    (void)state;
    struct gw_repeats *repeats = make(WINDOW, 1000);
    char payload[3001];
    for (size_t size = 800; size <= 3000; size += 50) {
        memset(payload, 'x', size);
        payload[size] = 0;
        struct sl_message message = message_of("t", "k", payload);
        assert_int_equal(ask(repeats, "app", "topic", &message, NULL, 1), GW_REPEAT_FIRST);
        assert_int_equal(ask(repeats, "app", "topic", &message, NULL, 1), GW_REPEAT_WRITTEN);
        payload[size - 1] = 'y';
        assert_int_equal(ask(repeats, "app", "topic", &message, NULL, 1), GW_REPEAT_FIRST);
        payload[size - 1] = 'x';
        payload[0] = 'y';
        assert_int_equal(ask(repeats, "app", "topic", &message, NULL, 1), GW_REPEAT_FIRST);
    }
    gw_repeats_destroy(&repeats);
}

static void set_key(struct gw_repeat *repeat, uint32_t number)
{
    *repeat = (struct gw_repeat){.loop = NULL};
    uint64_t mixed = (number + 1) * 0x9e3779b97f4a7c15u;
    memcpy(repeat->key, &mixed, sizeof mixed);
    memcpy(repeat->key + 8, &number, sizeof number);
    repeat->key[15] = (unsigned char)(mixed >> 40);
}

static enum gw_repeat_verdict ask_number(struct gw_repeats *repeats, uint32_t number, int64_t now_ms)
{
    struct gw_repeat repeat;
    set_key(&repeat, number);
    enum gw_repeat_verdict verdict = gw_repeats_enter_at(repeats, now_ms, &repeat);
    if (verdict == GW_REPEAT_FIRST)
        gw_repeats_settle_at(repeats, now_ms, &repeat, true, (sl_offset){1, number});
    else
        assert_int_equal(repeat.offset.offset, number);
    return verdict;
}

static void the_window_ends(void **state)
{
    (void)state;
    struct gw_repeats *repeats = make(WINDOW, 1000);
    int64_t now = sl_mono_ms();
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(ask_number(repeats, i, now + i * 100), GW_REPEAT_FIRST);
    assert_int_equal(ask_number(repeats, 0, now + WINDOW - 200), GW_REPEAT_WRITTEN);
    assert_int_equal(ask_number(repeats, 0, now + WINDOW + 200), GW_REPEAT_FIRST);
    assert_int_equal(ask_number(repeats, 99, now + WINDOW + 200), GW_REPEAT_WRITTEN);
    assert_int_equal(ask_number(repeats, 0, now + WINDOW + 5000), GW_REPEAT_WRITTEN);
    gw_repeats_destroy(&repeats);
    repeats = make(0, 1000);
    struct sl_message message = message_of("t", "k", "payload");
    assert_int_equal(ask(repeats, "app", "topic", &message, NULL, 1), GW_REPEAT_FIRST);
    assert_int_equal(ask(repeats, "app", "topic", &message, NULL, 1), GW_REPEAT_FIRST);
    gw_repeats_destroy(&repeats);
}

static void the_newest_are_remembered(void **state)
{
    (void)state;
    enum { MAX = 16000, ALL = 100000 };
    struct gw_repeats *repeats = make(WINDOW, MAX);
    int64_t now = sl_mono_ms();
    assert_int_equal(gw_repeats_memory(repeats), 0);
    for (uint32_t i = 0; i < ALL; i++) {
        assert_int_equal(ask_number(repeats, i, now), GW_REPEAT_FIRST);
        if (i >= 1000 && i % 7 == 0)
            assert_int_equal(ask_number(repeats, i - 1000, now), GW_REPEAT_WRITTEN);
    }
    size_t remembered;
    unsigned long long answered;
    gw_repeats_count(repeats, &remembered, &answered);
    assert_int_equal(remembered, MAX);
    assert_true(gw_repeats_memory(repeats) <= MAX * 42);
    for (uint32_t i = ALL - MAX / 2; i < ALL; i++)
        assert_int_equal(ask_number(repeats, i, now), GW_REPEAT_WRITTEN);
    assert_int_equal(ask_number(repeats, 5, now), GW_REPEAT_FIRST);
    gw_repeats_destroy(&repeats);
}

/* --- with loops --- */

static struct gw_server *start_server(void)
{
    struct gw_server *server;
    struct gw_server_settings settings = {.address = "127.0.0.1",
                                          .loops = 2,
                                          .max_connections = 10,
                                          .max_body = 1000,
                                          .max_header = 4096,
                                          .idle_timeout_ms = 10000};
    static const struct sl_log silent;
    sl_error error;
    assert_int_equal(gw_server_start(&settings, &silent, &server, &error), SL_OK);
    return server;
}

struct waiter {
    struct gw_repeat repeat; /* first */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int decisions;
};

static void decided(struct gw_repeat *repeat)
{
    struct waiter *waiter = (struct waiter *)(void *)repeat;
    assert_true(gw_loop_is_current(repeat->loop));
    pthread_mutex_lock(&waiter->lock);
    waiter->decisions++;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
}

static void waiter_init(struct waiter *waiter, struct gw_loop *loop, uint32_t number)
{
    memset(waiter, 0, sizeof *waiter);
    set_key(&waiter->repeat, number);
    waiter->repeat.loop = loop;
    waiter->repeat.decided = decided;
    pthread_mutex_init(&waiter->lock, NULL);
    pthread_cond_init(&waiter->changed, NULL);
}

static enum gw_repeat_verdict await(struct waiter *waiter)
{
    pthread_mutex_lock(&waiter->lock);
    while (!waiter->decisions)
        pthread_cond_wait(&waiter->changed, &waiter->lock);
    assert_int_equal(waiter->decisions, 1);
    pthread_mutex_unlock(&waiter->lock);
    return waiter->repeat.verdict;
}

static void repeats_wait_for_the_first(void **state)
{
    (void)state;
    struct gw_server *server = start_server();
    struct gw_repeats *repeats = make(WINDOW, 1000);
    struct waiter all[4];
    int64_t now = sl_mono_ms();
    for (unsigned i = 0; i < 4; i++) {
        waiter_init(&all[i], gw_server_loop(server, i % 2), 7);
        assert_int_equal(gw_repeats_enter_at(repeats, now, &all[i].repeat),
                         i ? GW_REPEAT_WAIT : GW_REPEAT_FIRST);
    }
    struct waiter other;
    waiter_init(&other, gw_server_loop(server, 0), 8);
    assert_int_equal(gw_repeats_enter_at(repeats, now, &other.repeat), GW_REPEAT_FIRST);
    /* The first fails: the next writes, the others go on waiting. */
    gw_repeats_settle_at(repeats, now, &all[0].repeat, false, (sl_offset){-1, -1});
    assert_int_equal(await(&all[1]), GW_REPEAT_FIRST);
    waiter_init(&all[0], gw_server_loop(server, 1), 7);
    assert_int_equal(gw_repeats_enter_at(repeats, now, &all[0].repeat), GW_REPEAT_WAIT);
    gw_repeats_settle_at(repeats, now, &all[1].repeat, true, (sl_offset){2, 42});
    for (unsigned i = 0; i < 4; i++) {
        if (i == 1)
            continue;
        assert_int_equal(await(&all[i]), GW_REPEAT_WRITTEN);
        assert_int_equal(all[i].repeat.offset.offset, 42);
        assert_int_equal(all[i].repeat.offset.partition, 2);
    }
    gw_repeats_settle_at(repeats, now, &other.repeat, false, (sl_offset){-1, -1});
    size_t remembered;
    unsigned long long answered;
    gw_repeats_count(repeats, &remembered, &answered);
    assert_int_equal(remembered, 1);
    assert_int_equal(answered, 3);
    gw_repeats_destroy(&repeats);
    gw_server_stop(&server);
}

/* Threads send the same messages, some of which fail at first: each is written exactly once. */
enum { MESSAGES = 2000, THREADS = 4 };
struct race {
    struct gw_repeats *repeats;
    struct gw_server *server;
    atomic_int written[MESSAGES], tries[MESSAGES];
};
struct racer {
    struct race *race;
    unsigned number;
};

static void *run_race(void *opaque)
{
    const struct racer *racer = opaque;
    struct race *race = racer->race;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        struct waiter waiter;
        waiter_init(&waiter, gw_server_loop(race->server, racer->number % 2), i);
        enum gw_repeat_verdict verdict = gw_repeats_enter_at(race->repeats, sl_mono_ms(), &waiter.repeat);
        if (verdict == GW_REPEAT_WAIT)
            verdict = await(&waiter);
        if (verdict == GW_REPEAT_FIRST) {
            bool fails = i % 3 == 0 && atomic_fetch_add(&race->tries[i], 1) < 2;
            if (!fails)
                atomic_fetch_add(&race->written[i], 1);
            gw_repeats_settle(race->repeats, &waiter.repeat, !fails, (sl_offset){0, i});
        } else {
            assert_int_equal(waiter.repeat.offset.offset, i);
        }
        pthread_mutex_destroy(&waiter.lock);
        pthread_cond_destroy(&waiter.changed);
    }
    return NULL;
}

static void a_race_writes_each_once(void **state)
{
    (void)state;
    struct race *race = calloc(1, sizeof *race);
    assert_non_null(race);
    race->server = start_server();
    race->repeats = make(WINDOW, 100000);
    pthread_t threads[THREADS];
    struct racer racers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){race, i};
        assert_int_equal(pthread_create(&threads[i], NULL, run_race, &racers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < MESSAGES; i++)
        assert_int_equal(atomic_load(&race->written[i]), 1);
    size_t remembered;
    unsigned long long answered;
    gw_repeats_count(race->repeats, &remembered, &answered);
    assert_int_equal(remembered, MESSAGES);
    gw_repeats_destroy(&race->repeats);
    gw_server_stop(&race->server);
    free(race);
}

/* Threads look at the clock before they have the lock: who looked first may come last. */
static void a_clock_read_a_little_earlier_does_no_harm(void **state)
{
    (void)state;
    struct gw_repeats *repeats = make(WINDOW, 1000);
    int64_t now = sl_mono_ms() + 1000;
    struct gw_repeat first, repeat;
    set_key(&first, 1);
    assert_int_equal(gw_repeats_enter_at(repeats, now, &first), GW_REPEAT_FIRST);
    gw_repeats_settle_at(repeats, now + 100, &first, true, (sl_offset){1, 1});
    set_key(&repeat, 1);
    assert_int_equal(gw_repeats_enter_at(repeats, now, &repeat), GW_REPEAT_WRITTEN);
    for (uint32_t number = 2; number < 100; number++) /* in all shards */
        assert_int_equal(ask_number(repeats, number, now), GW_REPEAT_FIRST);
    set_key(&repeat, 1);
    assert_int_equal(gw_repeats_enter_at(repeats, now + 100, &repeat), GW_REPEAT_WRITTEN);
    gw_repeats_destroy(&repeats);
}

CASES_MAIN(cmocka_unit_test(every_part_counts), cmocka_unit_test(every_byte_counts),
           cmocka_unit_test(the_window_ends), cmocka_unit_test(the_newest_are_remembered),
           cmocka_unit_test(a_clock_read_a_little_earlier_does_no_harm),
           cmocka_unit_test(repeats_wait_for_the_first), cmocka_unit_test(a_race_writes_each_once))
