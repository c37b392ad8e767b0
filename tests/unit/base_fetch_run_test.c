/* When librdkafka's fetcher may sleep over an empty queue. */
#include "support/cases.h"

#include "base/fetch_run.h"

static struct sl_fetch_run begin(void)
{
    return (struct sl_fetch_run){.full_bytes = 1000, .full_messages = 100};
}

static void take(struct sl_fetch_run *run, size_t count, size_t bytes)
{
    for (size_t i = 0; i < count; i++)
        sl_fetch_run_take(run, bytes);
}

static void what_was_taken_tells(void **state)
{
    (void)state;
    struct sl_fetch_run run = begin();
    assert_false(sl_fetch_run_end(&run));
    take(&run, 9, 100);
    assert_false(sl_fetch_run_end(&run));
    take(&run, 10, 100);
    assert_true(sl_fetch_run_end(&run));
    take(&run, 99, 1);
    assert_false(sl_fetch_run_end(&run));
    take(&run, 100, 1);
    assert_true(sl_fetch_run_end(&run));
    assert_false(sl_fetch_run_end(&run)); /* another run */
}

/* Entries that were there and nobody was handed. */
static void what_was_not_taken_tells(void **state)
{
    (void)state;
    struct sl_fetch_run run = begin();
    sl_fetch_run_look(&run, 6);
    take(&run, 3, 100);
    assert_true(sl_fetch_run_end(&run));
    sl_fetch_run_look(&run, 4); /* less than half of what is full */
    take(&run, 3, 100);
    assert_false(sl_fetch_run_end(&run));
    take(&run, 2, 100);
    sl_fetch_run_look(&run, 6); /* with two that were taken */
    take(&run, 4, 100);
    sl_fetch_run_take_other(&run);
    sl_fetch_run_take_other(&run);
    assert_false(sl_fetch_run_end(&run));
    sl_fetch_run_look(&run, 50); /* by their number, whatever their size */
    take(&run, 1, 0);
    assert_true(sl_fetch_run_end(&run));
    sl_fetch_run_look(&run, 50); /* a seek's own entries, over and over */
    assert_false(sl_fetch_run_end(&run));
}

static void it_is_looked_at_now_and_then(void **state)
{
    (void)state;
    struct sl_fetch_run run = begin();
    assert_true(sl_fetch_run_looks(&run));
    sl_fetch_run_look(&run, 1);
    take(&run, 1, 1);
    assert_false(sl_fetch_run_looks(&run));
    take(&run, 63, 0);
    assert_true(sl_fetch_run_looks(&run));
    take(&run, 1, 0);
    assert_false(sl_fetch_run_looks(&run));
    take(&run, 1, 500); /* large ones are few */
    assert_true(sl_fetch_run_looks(&run));
}

CASES_MAIN(cmocka_unit_test(what_was_taken_tells), cmocka_unit_test(what_was_not_taken_tells),
           cmocka_unit_test(it_is_looked_at_now_and_then))
