/* Whose answer waits behind another one that is written down. */
#include "support/cases.h"

#include "gateway/broker/lull.h"

static const char first, second, third;

static void a_large_answer_keeps_others_waiting_for_a_moment(void **state)
{
    (void)state;
    struct gw_lull lull = {.by = NULL};
    int64_t since = 0, own = 0;
    assert_false(gw_lull_holds(&lull, &second, &since, 1000));
    gw_lull_begin(&lull, &first, GW_LULL_BYTES - 1, 1000);
    assert_false(gw_lull_holds(&lull, &second, &since, 1000));
    gw_lull_begin(&lull, &first, GW_LULL_BYTES, 1000);
    assert_true(gw_lull_holds(&lull, &second, &since, 1000));
    assert_true(gw_lull_holds(&lull, &second, &since, 999 + GW_LULL_MS));
    assert_false(gw_lull_holds(&lull, &second, &since, 1000 + GW_LULL_MS));
    assert_false(gw_lull_holds(&lull, &first, &own, 1000)); /* its own next one */
}

static void it_ends_when_the_answer_has_gone(void **state)
{
    (void)state;
    struct gw_lull lull = {.by = NULL};
    int64_t since = 0;
    gw_lull_begin(&lull, &first, GW_LULL_BYTES, 1000);
    gw_lull_end(&lull, &second); /* another's */
    assert_true(gw_lull_holds(&lull, &third, &since, 1000));
    gw_lull_end(&lull, &first);
    assert_false(gw_lull_holds(&lull, &third, &since, 1000));
}

static void no_poll_waits_for_ever(void **state)
{
    (void)state;
    struct gw_lull lull = {.by = NULL};
    int64_t since = 0, now = 1000;
    for (; now < 1000 + GW_LULL_MOST_MS; now++) {
        gw_lull_begin(&lull, now % 2 ? &first : &second, GW_LULL_BYTES, now);
        assert_true(gw_lull_holds(&lull, &third, &since, now));
    }
    gw_lull_begin(&lull, &first, GW_LULL_BYTES, now);
    assert_false(gw_lull_holds(&lull, &third, &since, now));
}

CASES_MAIN(cmocka_unit_test(a_large_answer_keeps_others_waiting_for_a_moment),
           cmocka_unit_test(it_ends_when_the_answer_has_gone), cmocka_unit_test(no_poll_waits_for_ever))
