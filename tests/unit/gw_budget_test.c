#include "support/cases.h"

#include "gateway/budget.h"

static struct gw_budget *make(size_t max)
{
    struct gw_budget *budget;
    sl_error error;
    assert_int_equal(gw_budget_create(max, &budget, &error), SL_OK);
    return budget;
}

static void it_is_bounded(void **state)
{
    (void)state;
    struct gw_budget *budget = make(1000);
    assert_true(gw_budget_take(budget, 1000));
    assert_false(gw_budget_take(budget, 1));
    assert_int_equal(gw_budget_used(budget), 1000);
    gw_budget_give(budget, 400);
    assert_int_equal(gw_budget_room(budget), 400);
    assert_false(gw_budget_take(budget, SIZE_MAX)); /* no sum overflows */
    assert_true(gw_budget_take(budget, 400));
    gw_budget_add(budget, 50); /* what must be there is */
    assert_int_equal(gw_budget_room(budget), 0);
    assert_true(gw_budget_take(budget, 0));
    gw_budget_give(budget, 50);
    assert_int_equal(gw_budget_used(budget), 1000);
    gw_budget_destroy(&budget);
    assert_null(budget);
}

static void what_lies_long_has_a_part_only(void **state)
{
    (void)state;
    struct gw_budget *budget = make(1000);
    assert_true(gw_budget_lay(budget, GW_BUDGET_PUBLICATIONS, 250));
    assert_false(gw_budget_lay(budget, GW_BUDGET_PUBLICATIONS, 1));
    assert_true(gw_budget_lay(budget, GW_BUDGET_PREFETCH, 500));
    assert_false(gw_budget_lay(budget, GW_BUDGET_PREFETCH, 1));
    assert_true(gw_budget_lay(budget, GW_BUDGET_RESULTS, 125));
    assert_false(gw_budget_lay(budget, GW_BUDGET_RESULTS, 1));
    gw_budget_lift(budget, GW_BUDGET_PUBLICATIONS, 10);
    assert_int_equal(gw_budget_part_used(budget, GW_BUDGET_PUBLICATIONS), 240);
    assert_true(gw_budget_lay(budget, GW_BUDGET_PUBLICATIONS, 10));
    struct sl_buffer text;
    sl_buffer_init(&text, 10000);
    assert_true(gw_budget_take(budget, 7));
    assert_true(gw_budget_metrics(budget, &text));
    assert_non_null(strstr(text.data, "\nstreamlayer_bytes_in_flight 7\n"));
    assert_non_null(strstr(text.data, "\nstreamlayer_bytes_in_flight_limit 1000\n"));
    assert_non_null(strstr(text.data, "\nstreamlayer_publication_bytes 250\n"));
    assert_non_null(strstr(text.data, "\nstreamlayer_prefetch_bytes 500\n"));
    assert_non_null(strstr(text.data, "\nstreamlayer_result_bytes 125\n"));
    sl_buffer_free(&text);
    gw_budget_destroy(&budget);
}

static void none_is_without_bound(void **state)
{
    (void)state;
    assert_true(gw_budget_take(NULL, SIZE_MAX));
    assert_true(gw_budget_lay(NULL, GW_BUDGET_PREFETCH, SIZE_MAX));
    gw_budget_add(NULL, 1);
    gw_budget_give(NULL, 1);
    gw_budget_lift(NULL, GW_BUDGET_PREFETCH, 1);
    assert_int_equal(gw_budget_room(NULL), SIZE_MAX);
}

CASES_MAIN(cmocka_unit_test(it_is_bounded), cmocka_unit_test(what_lies_long_has_a_part_only),
           cmocka_unit_test(none_is_without_bound))
