/* Marketplace subscriptions: their store, their time, and the periods of their volumes. */
#include "gw_scratch.h"

#include <stdlib.h>

#include "gateway/store/applications.h"
#include "gateway/store/catalogs.h"
#include "gateway/store/market.h"

#define HRN GW_HRN_PREFIX "roads"

struct fixture {
    char directory[SCRATCH_SIZE];
    struct gw_catalogs *catalogs;
    struct gw_applications *applications;
    struct gw_market *market;
    struct gw_application fleet;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    const struct gw_application_spec spec = {.name = "fleet"};
    scratch_make(fixture->directory, "market");
    assert_int_equal(gw_catalogs_open(fixture->directory, &fixture->catalogs, NULL), SL_OK);
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "roads", "Roads", true, NULL, NULL), SL_OK);
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "own", "Own", false, NULL, NULL), SL_OK);
    assert_int_equal(gw_applications_open(fixture->directory, &fixture->applications, NULL), SL_OK);
    assert_int_equal(gw_applications_create(fixture->applications, &spec, &fixture->fleet, NULL), SL_OK);
    assert_int_equal(gw_market_open(fixture->directory, &fixture->market, NULL), SL_OK);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    gw_market_close(&fixture->market);
    gw_applications_close(&fixture->applications);
    gw_catalogs_close(&fixture->catalogs);
    scratch_remove(fixture->directory);
    free(fixture);
    return 0;
}

static const struct gw_market_terms terms = {
    .from_ms = 1000, .until_ms = 2000, .volume = 5, .out_kbps = 3, .period = GW_PERIOD_MONTH};

static void it_is_kept(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) { /* by the process that gave it, and by the next */
        if (!i)
            assert_int_equal(gw_market_set(fixture->market, "fleet", HRN, &terms, "me", NULL), SL_OK);
        struct gw_market_subscription *found = gw_market_find(fixture->market, fixture->fleet.id, HRN);
        assert_non_null(found);
        assert_int_equal(found->terms.from_ms, terms.from_ms);
        assert_int_equal(found->terms.until_ms, terms.until_ms);
        assert_int_equal(found->terms.volume, terms.volume);
        assert_int_equal(found->terms.out_kbps, terms.out_kbps);
        assert_int_equal(found->terms.period, terms.period);
        gw_market_unlink(found);
        gw_market_close(&fixture->market);
        assert_int_equal(gw_market_open(fixture->directory, &fixture->market, NULL), SL_OK);
    }
    assert_null(gw_market_find(fixture->market, fixture->fleet.id, GW_HRN_PREFIX "own"));
    assert_int_equal(gw_market_remove(fixture->market, fixture->fleet.id, HRN, NULL), SL_OK);
    assert_null(gw_market_find(fixture->market, fixture->fleet.id, HRN));
    assert_int_equal(gw_market_remove(fixture->market, "fleet", HRN, NULL), SL_UNSUPPORTED);
}

/* What is gone from the file, and is still known, is given to nobody once it is removed again. */
static void what_another_has_removed_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct gw_market *other;
    assert_int_equal(gw_market_set(fixture->market, "fleet", HRN, &terms, "me", NULL), SL_OK);
    assert_int_equal(gw_market_open(fixture->directory, &other, NULL), SL_OK);
    assert_int_equal(gw_market_remove(other, "fleet", HRN, NULL), SL_OK);
    gw_market_close(&other);
    assert_int_equal(gw_market_remove(fixture->market, "fleet", HRN, NULL), SL_UNSUPPORTED);
    assert_null(gw_market_find(fixture->market, fixture->fleet.id, HRN));
}

static void it_is_for_what_there_is(void **state)
{
    struct fixture *fixture = *state;
    struct gw_market *market = fixture->market;
    assert_int_equal(gw_market_set(market, "nobody", HRN, &terms, NULL, NULL), SL_NOT_FOUND);
    assert_int_equal(gw_market_set(market, "fleet", GW_HRN_PREFIX "x", &terms, NULL, NULL), SL_UNSUPPORTED);
    assert_int_equal(gw_market_set(market, "fleet", GW_HRN_PREFIX "own", &terms, NULL, NULL), SL_CONFLICT);
    assert_int_equal(gw_market_set(market, "fleet", HRN, &terms, NULL, NULL), SL_OK);
    /* It goes with its catalog, and with its application. */
    assert_int_equal(gw_catalogs_condemn(fixture->catalogs, HRN, NULL, NULL), SL_OK);
    assert_int_equal(gw_market_refresh(market, NULL), SL_OK);
    assert_null(gw_market_find(market, fixture->fleet.id, HRN));
    assert_int_equal(gw_catalogs_forget_empty(fixture->catalogs, NULL), SL_OK);
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "roads", "Roads", true, NULL, NULL), SL_OK);
    assert_int_equal(gw_market_set(market, "fleet", HRN, &terms, NULL, NULL), SL_OK);
    assert_int_equal(gw_applications_delete(fixture->applications, "fleet", NULL), SL_OK);
    assert_int_equal(gw_market_refresh(market, NULL), SL_OK);
    assert_null(gw_market_find(market, fixture->fleet.id, HRN));
}

/* Who waits at it goes on waiting at the same throttle, at the new rate. */
static void new_terms_keep_the_throttle(void **state)
{
    struct fixture *fixture = *state;
    struct gw_market_terms more = terms;
    more.out_kbps = 7;
    assert_int_equal(gw_market_set(fixture->market, "fleet", HRN, &terms, NULL, NULL), SL_OK);
    struct gw_market_subscription *before = gw_market_find(fixture->market, fixture->fleet.id, HRN);
    assert_int_equal(before->flow->out.rate, 3 * 1024);
    assert_int_equal(gw_market_set(fixture->market, "fleet", HRN, &more, NULL, NULL), SL_OK);
    struct gw_market_subscription *after = gw_market_find(fixture->market, fixture->fleet.id, HRN);
    assert_ptr_not_equal(before, after);
    assert_ptr_equal(before->flow, after->flow);
    assert_int_equal(after->flow->out.rate, 7 * 1024);
    gw_market_unlink(before);
    gw_market_unlink(after);
}

static void its_time_has_two_ends(void **state)
{
    (void)state;
    const struct gw_market_subscription one = {.terms = terms};
    static const struct {
        int64_t now_ms;
        enum gw_standing standing;
    } moments[] = {{999, GW_STANDING_EARLY},
                   {1000, GW_STANDING_CURRENT},
                   {1999, GW_STANDING_CURRENT},
                   {2000, GW_STANDING_ENDED}};
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
        assert_int_equal(gw_market_standing(&one, moments[i].now_ms), moments[i].standing);
    assert_int_equal(gw_market_standing(NULL, 1000), GW_STANDING_NONE);
}

CASES_MAIN(cmocka_unit_test_setup_teardown(it_is_kept, setup, teardown),
           cmocka_unit_test_setup_teardown(what_another_has_removed_is_forgotten, setup, teardown),
           cmocka_unit_test_setup_teardown(it_is_for_what_there_is, setup, teardown),
           cmocka_unit_test_setup_teardown(new_terms_keep_the_throttle, setup, teardown),
           cmocka_unit_test(its_time_has_two_ends))
