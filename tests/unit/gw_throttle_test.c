#include "support/cases.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/time.h"
#include "gateway/throttle.h"

#define RATE    1000000 /* bytes a second, so a byte takes a microsecond */
#define SECOND  1000000
#define FOREVER INT64_MAX

static int64_t clock_now;

static int64_t clock_us(void)
{
    return clock_now;
}

struct bench {
    struct gw_throttler *throttler;
    struct gw_throttle throttle;
    struct gw_pass passes[64];
    int order[64], granted; /* who went, by the place in passes */
};
static struct bench *bench;

static int setup(void **state)
{
    *state = bench = calloc(1, sizeof *bench);
    clock_now = 5 * SECOND;
    assert_int_equal(gw_throttler_create(NULL, clock_us, &bench->throttler, NULL), SL_OK);
    gw_throttler_set(bench->throttler, true, 20 * SECOND);
    bench->throttle.rate = RATE;
    return 0;
}

static int teardown(void **state)
{
    gw_throttler_destroy(&bench->throttler);
    free(*state);
    return 0;
}

static void note(struct gw_pass *pass)
{
    bench->order[bench->granted++] = (int)(pass - bench->passes);
}

static bool enter(int place, const char *account, int64_t bytes)
{
    bench->passes[place] = (struct gw_pass){.account = account, .bytes = bytes, .granted = note};
    return gw_throttle_enter(bench->throttler, &bench->throttle, &bench->passes[place]);
}

static void expect_order(const int *order, int count)
{
    assert_int_equal(bench->granted, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(bench->order[i], order[i]);
}

static void run_until(int granted)
{
    for (int i = 0; i < 1000 && bench->granted < granted; i++) {
        clock_now += SECOND / 10;
        gw_throttler_run(bench->throttler);
    }
    assert_int_equal(bench->granted, granted);
}

static void without_a_rate_all_goes(void **state)
{
    (void)state;
    bench->throttle.rate = 0;
    for (int i = 0; i < 10; i++)
        assert_true(enter(0, "a", 1000 * RATE));
}

static void a_seconds_worth_goes_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 11; i++)
        assert_true(enter(i, "a", RATE / 10));
    assert_false(enter(11, "a", RATE / 10));
    assert_int_equal(gw_throttler_run(bench->throttler), clock_now + SECOND / 10);
    assert_int_equal(bench->granted, 0);
    clock_now += SECOND / 10;
    assert_int_equal(gw_throttler_run(bench->throttler), FOREVER);
    assert_int_equal(bench->granted, 1);
    assert_int_equal(bench->throttle.waited_us, SECOND / 10);
    assert_int_equal(bench->throttle.waiting, 0);
}

static void a_large_one_goes_and_the_next_waits_for_it(void **state)
{
    (void)state;
    assert_true(enter(0, "a", 5 * RATE));
    assert_false(enter(1, "b", 1));
    assert_int_equal(gw_throttler_run(bench->throttler), clock_now + 4 * SECOND);
}

static void the_rate_is_kept_over_time(void **state)
{
    (void)state;
    int64_t sent = 0, begun = clock_now;
    struct gw_pass pass;
    for (int step = 0; step < 1000; step++) {
        for (;;) {
            pass = (struct gw_pass){.account = "a", .bytes = 700, .granted = note};
            if (!gw_throttle_enter(bench->throttler, &bench->throttle, &pass))
                break;
            sent += pass.bytes;
        }
        assert_true(gw_throttle_leave(bench->throttler, &pass));
        clock_now += 10007;
    }
    int64_t allowed = (clock_now - begun) / (SECOND / RATE);
    assert_in_range(sent, allowed - RATE / 50, allowed + RATE + 700);
}

static void one_applications_passes_go_in_their_order(void **state)
{
    (void)state;
    enter(0, "a", 3 * RATE);
    for (int i = 1; i < 6; i++)
        assert_false(enter(i, "a", 100));
    clock_now += 10 * SECOND;
    gw_throttler_run(bench->throttler);
    expect_order((const int[]){1, 2, 3, 4, 5}, 5);
}

/* Nobody goes ahead of those that wait, though there be room. */
static void who_comes_later_does_not_overtake(void **state)
{
    (void)state;
    enter(0, "a", 3 * RATE);
    enter(1, "a", 100);
    clock_now += 10 * SECOND;
    assert_false(enter(2, "a", 100));
    gw_throttler_run(bench->throttler);
    expect_order((const int[]){1, 2}, 2);
    assert_true(enter(3, "a", 100));
}

static void applications_take_turns(void **state)
{
    (void)state;
    enter(0, "a", 3 * RATE);
    for (int i = 1; i < 21; i++)
        enter(i, "busy", 60000);
    enter(21, "b", 60000);
    enter(22, "c", 60000);
    run_until(22);
    int of_b = 0, of_c = 0;
    for (int i = 0; i < 22; i++) {
        of_b = bench->order[i] == 21 ? i : of_b;
        of_c = bench->order[i] == 22 ? i : of_c;
    }
    assert_in_range(of_b, 1, 3);
    assert_in_range(of_c, 2, 4);
}

/* By bytes: one large message is as much as many small ones. */
static void turns_are_counted_in_bytes(void **state)
{
    (void)state;
    enter(0, "x", 3 * RATE);
    for (int i = 1; i < 9; i++)
        enter(i, "large", 262144);
    for (int i = 9; i < 41; i++)
        enter(i, "small", 32768);
    run_until(40);
    int64_t large = 0, small = 0;
    for (int i = 0; i < 20; i++) {
        if (bench->order[i] < 9)
            large += 262144;
        else
            small += 32768;
    }
    int64_t apart = large > small ? large - small : small - large;
    assert_in_range(apart, 0, 262144 + 65536);
}

static void who_leaves_is_not_called(void **state)
{
    (void)state;
    static const int leavers[] = {1, 4, 6, 7};
    enter(0, "a", 3 * RATE);
    for (int i = 1; i < 4; i++)
        enter(i, "a", 100);
    for (int i = 4; i < 7; i++)
        enter(i, "b", 100);
    enter(7, "c", 100);
    for (size_t i = 0; i < sizeof leavers / sizeof *leavers; i++)
        assert_true(gw_throttle_leave(bench->throttler, &bench->passes[leavers[i]]));
    assert_false(gw_throttle_leave(bench->throttler, &bench->passes[1]));
    clock_now += 10 * SECOND;
    gw_throttler_run(bench->throttler);
    assert_int_equal(bench->granted, 3);
    for (int i = 0; i < 3; i++)
        assert_true(bench->order[i] == 2 || bench->order[i] == 3 || bench->order[i] == 5);
    assert_int_equal(bench->throttle.waiting, 0);
    assert_int_equal(bench->throttle.queued, 0);
    assert_false(gw_throttle_leave(bench->throttler, &bench->passes[2]));
}

static int full(const char *account)
{
    return gw_throttle_full(bench->throttler, &bench->throttle, account, 0);
}

static void too_long_a_wait_is_told(void **state)
{
    (void)state;
    assert_int_equal(full("a"), 0);
    assert_true(enter(0, "a", 21 * RATE));
    assert_int_equal(full("a"), 0);
    assert_false(enter(1, "a", 5 * RATE));
    assert_in_range(full("a"), 25, 26);
    assert_int_equal(full("b"), 0); /* which waits for its turn only */
    clock_now += 6 * SECOND;
    assert_int_equal(full("a"), 0);
    assert_int_equal(gw_throttle_full(bench->throttler, &bench->throttle, "a", 2 * SECOND), 20);
    assert_true(gw_throttle_leave(bench->throttler, &bench->passes[1]));
    gw_throttle_settle(bench->throttler, &bench->throttle, 30 * RATE);
    assert_in_range(full("b"), 44, 46);
    bench->throttle.rate = 0;
    assert_int_equal(full("b"), 0);
}

static int over(const char *account, int64_t bytes, int64_t waited_us)
{
    return gw_throttle_over(bench->throttler, &bench->throttle, account, bytes, waited_us);
}

/* The longest wait is 20 s, and a second's worth goes at once. */
static void what_comes_together_counts_as_a_whole(void **state)
{
    (void)state;
    assert_int_equal(gw_throttle_most(bench->throttler, &bench->throttle), 21 * RATE);
    assert_int_equal(over("a", 1000 * RATE, 0), 0); /* nothing is before it */
    assert_true(enter(0, "a", 11 * RATE));
    assert_int_equal(over("a", 10 * RATE, 0), 0);
    assert_int_equal(over("a", 10 * RATE + 1, 0), 1);
    assert_int_equal(over("a", 13 * RATE, 0), 3);
    assert_int_equal(over("a", 10 * RATE, 2 * SECOND), 2);
    assert_int_equal(over("a", 1000 * RATE, 0), 10); /* then it is the first */
    assert_false(enter(1, "a", 5 * RATE));
    assert_int_equal(over("a", 10 * RATE, 0), 5);
    bench->throttle.rate = 0;
    assert_int_equal(over("a", 1000 * RATE, 0), 0);
    assert_true(gw_throttle_most(bench->throttler, &bench->throttle) == INT64_MAX);
}

static void what_was_paid_can_be_settled(void **state)
{
    (void)state;
    assert_true(enter(0, "a", 3 * RATE));
    gw_throttle_settle(bench->throttler, &bench->throttle, -(3 * RATE - 10));
    assert_true(enter(1, "a", 10));
    gw_throttle_settle(bench->throttler, &bench->throttle, 2 * RATE);
    assert_false(enter(2, "a", 10));
    assert_int_equal(gw_throttler_run(bench->throttler), clock_now + SECOND + 20);
}

static void a_new_rate_counts_at_once(void **state)
{
    (void)state;
    enter(0, "a", 2 * RATE);
    enter(1, "a", 10);
    gw_throttle_set_rate(&bench->throttle, 2 * RATE); /* what was owed is forgiven */
    gw_throttler_run(bench->throttler);
    assert_int_equal(bench->granted, 1);
    bench->throttle.rate = RATE;
    assert_true(enter(5, "a", 3 * RATE));
    assert_false(enter(2, "a", 10));
    gw_throttler_set(bench->throttler, false, 0);
    assert_true(enter(3, "a", 10));
    assert_int_equal(full("a"), 0);
    gw_throttler_set(bench->throttler, true, SECOND);
    gw_throttler_stop(bench->throttler);
    gw_throttler_run(bench->throttler);
    assert_int_equal(bench->granted, 2);
    assert_true(enter(4, "a", 1000 * RATE));
}

/* A Marketplace subscription's, where layers' rates are not kept. */
static void a_rate_may_be_kept_always(void **state)
{
    (void)state;
    atomic_store(&bench->throttle.always, true);
    gw_throttler_set(bench->throttler, false, SECOND);
    assert_true(enter(0, "a", 3 * RATE));
    assert_false(enter(1, "a", 10));
    assert_true(full("a") > 0);
    atomic_store(&bench->throttle.always, false);
    gw_throttler_run(bench->throttler);
    assert_int_equal(bench->granted, 1);
}

/* --- with loops --- */

#define THREADS 4
#define EACH    2000

static struct gw_server *server;
static struct gw_throttler *shared;
static struct gw_throttle busy;
static atomic_int went, left;

static void hello(struct gw_request *request)
{
    gw_respond(request, 200, "text/plain", "", 0, NULL, NULL);
}

static void goes(struct gw_pass *pass)
{
    (void)pass;
    atomic_fetch_add(&went, 1);
}

/* Of account, EACH passes: they outlast the loops' use of them. */
static void *send_many(void *opaque)
{
    struct gw_pass *passes = opaque;
    for (int i = 0; i < EACH; i++) {
        passes[i] = (struct gw_pass){.account = passes->account,
                                     .bytes = 5000,
                                     .granted = goes,
                                     .loop = gw_server_loop(server, (unsigned)i % 2)};
        if (gw_throttle_enter(shared, &busy, &passes[i]))
            goes(&passes[i]);
        else if (i % 7 == 0 && gw_throttle_leave(shared, &passes[i]))
            atomic_fetch_add(&left, 1);
    }
    return NULL;
}

static void all_go_in_the_end(void **state)
{
    static const struct gw_route route = {
        .method = "GET", .pattern = "/hello", .flags = GW_ROUTE_PUBLIC, .handle = hello, .name = "hello"};
    const struct gw_server_settings settings = {.routes = &route, .route_count = 1, .loops = 2};
    static char even[] = "a", odd[] = "b";
    struct gw_pass *passes = calloc((size_t)THREADS * EACH, sizeof *passes);
    pthread_t threads[THREADS];
    (void)state;
    assert_non_null(passes);
    assert_int_equal(gw_server_start(&settings, NULL, &server, NULL), SL_OK);
    assert_int_equal(gw_throttler_create(gw_server_loop(server, 0), sl_mono_us, &shared, NULL), SL_OK);
    busy.rate = 30000000;
    for (int i = 0; i < THREADS; i++) {
        passes[i * EACH].account = i % 2 ? odd : even;
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, &passes[i * EACH]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    while (atomic_load(&went) + atomic_load(&left) < THREADS * EACH)
        sched_yield();
    assert_int_equal(busy.waiting, 0);
    gw_server_stop(&server);
    gw_throttler_destroy(&shared);
    free(passes);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(without_a_rate_all_goes, setup, teardown),
    cmocka_unit_test_setup_teardown(a_seconds_worth_goes_at_once, setup, teardown),
    cmocka_unit_test_setup_teardown(a_large_one_goes_and_the_next_waits_for_it, setup, teardown),
    cmocka_unit_test_setup_teardown(the_rate_is_kept_over_time, setup, teardown),
    cmocka_unit_test_setup_teardown(one_applications_passes_go_in_their_order, setup, teardown),
    cmocka_unit_test_setup_teardown(who_comes_later_does_not_overtake, setup, teardown),
    cmocka_unit_test_setup_teardown(applications_take_turns, setup, teardown),
    cmocka_unit_test_setup_teardown(turns_are_counted_in_bytes, setup, teardown),
    cmocka_unit_test_setup_teardown(who_leaves_is_not_called, setup, teardown),
    cmocka_unit_test_setup_teardown(too_long_a_wait_is_told, setup, teardown),
    cmocka_unit_test_setup_teardown(what_comes_together_counts_as_a_whole, setup, teardown),
           cmocka_unit_test_setup_teardown(what_was_paid_can_be_settled, setup, teardown),
    cmocka_unit_test_setup_teardown(a_new_rate_counts_at_once, setup, teardown),
    cmocka_unit_test_setup_teardown(a_rate_may_be_kept_always, setup, teardown),
    cmocka_unit_test(all_go_in_the_end))
