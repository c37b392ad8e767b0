/* Whose answer waits behind another one that is written down. */
#include "support/cases.h"

#include "gateway/broker/lull.h"

struct poller {
    int64_t since_ms, until_ms;
};

static bool holds(struct gw_lull *lull, struct poller *who, int64_t now_ms)
{
    return gw_lull_holds(lull, who, &who->since_ms, now_ms, &who->until_ms);
}

static void a_large_answer_keeps_others_waiting_for_a_moment(void **state)
{
    (void)state;
    struct gw_lull lull = {.by = NULL};
    struct poller a = {0, 0}, b = {0, 0};
    assert_false(holds(&lull, &b, 1000));
    gw_lull_begin(&lull, &a, GW_LULL_BYTES - 1, 1000);
    assert_false(holds(&lull, &b, 1000));
    gw_lull_begin(&lull, &a, GW_LULL_BYTES, 1000);
    assert_false(holds(&lull, &a, 1000)); /* its own next one, where nobody else waits */
    assert_true(holds(&lull, &b, 1000));
    assert_int_equal(b.until_ms, 1000 + GW_LULL_MS);
    assert_true(holds(&lull, &b, b.until_ms - 1));
    assert_false(holds(&lull, &b, b.until_ms));
    assert_int_equal(b.since_ms, 0);
}

static void it_ends_when_the_answer_has_gone(void **state)
{
    (void)state;
    struct gw_lull lull = {.by = NULL};
    struct poller a = {0, 0}, b = {0, 0}, c = {0, 0};
    gw_lull_begin(&lull, &a, GW_LULL_BYTES, 1000);
    gw_lull_end(&lull, &b, 1001); /* another's */
    assert_true(holds(&lull, &c, 1001));
    gw_lull_end(&lull, &a, 1001);
    assert_false(holds(&lull, &c, 1001));
}

static void who_waits_longest_goes_first(void **state)
{
    (void)state;
    struct gw_lull lull = {.by = NULL};
    struct poller a = {0, 0}, b = {0, 0}, c = {0, 0};
    gw_lull_begin(&lull, &a, GW_LULL_BYTES, 1000);
    assert_true(holds(&lull, &b, 1000));
    assert_true(holds(&lull, &c, 1000));
    gw_lull_end(&lull, &a, 1001);
    assert_true(holds(&lull, &a, 1001)); /* with its next one */
    assert_true(holds(&lull, &c, 1001));
    assert_false(holds(&lull, &b, 1001));
    gw_lull_begin(&lull, &b, GW_LULL_BYTES, 1001);
    assert_true(holds(&lull, &a, 1002));
    assert_true(holds(&lull, &c, 1002)); /* came before a's next */
    gw_lull_end(&lull, &b, 1002);
    assert_true(holds(&lull, &a, 1002));
    assert_false(holds(&lull, &c, 1002));
}

static void who_does_not_come_keeps_nobody_for_long(void **state)
{
    (void)state;
    struct gw_lull lull = {.by = NULL};
    struct poller a = {0, 0}, b = {0, 0}, c = {0, 0};
    gw_lull_begin(&lull, &a, GW_LULL_BYTES, 1000);
    assert_true(holds(&lull, &b, 1000)); /* and is cancelled */
    assert_true(holds(&lull, &c, 1000));
    assert_int_equal(c.until_ms, 1000 + 2 * GW_LULL_MS);
    assert_false(holds(&lull, &c, c.until_ms));
    gw_lull_begin(&lull, &c, GW_LULL_BYTES, 2000);
    assert_false(holds(&lull, &c, 2000)); /* it is forgotten */
}

static void no_answer_waits_for_ever(void **state)
{
    (void)state;
    struct gw_lull lull = {.by = NULL};
    struct poller a = {0, 0}, b = {0, 0}, c = {0, 0};
    int64_t now = 1000;
    for (; now < 1000 + GW_LULL_MOST_MS; now++) {
        gw_lull_begin(&lull, now % 2 ? &a : &b, GW_LULL_BYTES, now);
        assert_true(holds(&lull, &c, now));
    }
    gw_lull_begin(&lull, &a, GW_LULL_BYTES, now);
    assert_false(holds(&lull, &c, now));
}

CASES_MAIN(cmocka_unit_test(a_large_answer_keeps_others_waiting_for_a_moment),
           cmocka_unit_test(it_ends_when_the_answer_has_gone), cmocka_unit_test(who_waits_longest_goes_first),
           cmocka_unit_test(who_does_not_come_keeps_nobody_for_long),
           cmocka_unit_test(no_answer_waits_for_ever))
