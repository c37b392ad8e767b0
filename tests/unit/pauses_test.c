#include "support/cases.h"

#include "wire/pauses.h"

static void some_are_paused(void **state)
{
    (void)state;
    struct sl_pauses pauses = {0};
    const int32_t some[] = {3, 1, 3};
    assert_true(sl_pauses_set(&pauses, some, 3, true));
    assert_true(sl_pauses_has(&pauses, 1));
    assert_true(sl_pauses_has(&pauses, 3));
    assert_false(sl_pauses_has(&pauses, 2));
    assert_true(sl_pauses_set(&pauses, some, 1, false));
    assert_false(sl_pauses_has(&pauses, 3));
    assert_true(sl_pauses_has(&pauses, 1));
    assert_true(sl_pauses_set(&pauses, NULL, 0, false));
    assert_false(sl_pauses_has(&pauses, 1));
    sl_pauses_free(&pauses);
}

/* Those that are not known yet, too. */
static void all_are_paused(void **state)
{
    (void)state;
    struct sl_pauses pauses = {0}, copy;
    const int32_t one = 7;
    assert_true(sl_pauses_set(&pauses, NULL, 0, true));
    assert_true(sl_pauses_has(&pauses, 1000));
    assert_true(sl_pauses_set(&pauses, &one, 1, false));
    assert_false(sl_pauses_has(&pauses, 7));
    assert_true(sl_pauses_has(&pauses, 8));
    assert_true(sl_pauses_copy(&pauses, &copy));
    assert_true(sl_pauses_set(&pauses, &one, 1, true));
    assert_true(sl_pauses_has(&pauses, 7));
    assert_false(sl_pauses_has(&copy, 7));
    sl_pauses_free(&pauses);
    sl_pauses_free(&copy);
}

CASES_MAIN(cmocka_unit_test(some_are_paused), cmocka_unit_test(all_are_paused))
