/* --rate: what is understood, and that it is even and exact on a clock that the test moves. */
#include "support/cases.h"

#include "cli/rate.h"

static void is_rate(const char *text, double per_second, bool bytes)
{
    struct cli_rate rate;
    if (!cli_rate_parse(&rate, text))
        fail_msg("%s is not taken", text);
    assert_true(rate.per_ms * 1000 > per_second * 0.999 && rate.per_ms * 1000 < per_second * 1.001);
    assert_int_equal(rate.bytes, bytes);
}

static void parsed(void **state)
{
    (void)state;
    is_rate("100", 100, false);
    is_rate("0.5/s", 0.5, false);
    is_rate("100msg/s", 100, false);
    is_rate("5MB/s", 5e6, true);
    is_rate("5MB", 5e6, true);
    is_rate("1.5 kB/s", 1500, true);
    is_rate("512KiB/s", 524288, true);
    static const char *const wrong[] = {
        "",     "0",     "-1",   "+1", " 1",   "x",       "1x",  "1/m", "1MB/m", "1e3",
        "1..5", "0.0.5", "1MBs", "/s", "0B/s", "1MB/s/s", "nan", "inf", "0x10",  "9999999999999999"};
    struct cli_rate rate;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (cli_rate_parse(&rate, wrong[i]))
            fail_msg("\"%s\" is taken", wrong[i]);
}

/* Sends whenever it may for seconds, waking up each step_ms; returns how many went, and in *most the most of
 * any 100 ms. */
static int64_t simulate(const char *text, size_t size, int64_t seconds, int64_t step_ms, int64_t *most)
{
    struct cli_rate rate;
    assert_true(cli_rate_parse(&rate, text));
    int64_t sent = 0, begin_ms = 1000000, window = 0;
    *most = 0;
    for (int64_t now_ms = begin_ms; now_ms < begin_ms + seconds * 1000; now_ms += step_ms) {
        if ((now_ms - begin_ms) % 100 == 0)
            window = 0;
        while (!cli_rate_wait_ms(&rate, now_ms)) {
            cli_rate_count(&rate, now_ms, size);
            sent++;
            window++;
        }
        *most = window > *most ? window : *most;
    }
    return sent;
}

static void even(void **state)
{
    (void)state;
    int64_t most;
    assert_in_range(simulate("1000", 1, 10, 1, &most), 9990, 10010);
    assert_in_range(most, 95, 125);
    assert_in_range(simulate("1000", 1, 10, 5, &most), 9990, 10010);
    assert_in_range(simulate("7", 1, 100, 1, &most), 699, 701);
    assert_int_equal(most, 1);
    assert_in_range(simulate("100kB/s", 1000, 10, 1, &most), 995, 1005);
    /* Each is larger than a second's worth. */
    assert_in_range(simulate("1MB/s", 5000000, 100, 1, &most), 20, 21);
    assert_int_equal(most, 1);
}

static void no_burst_after_silence(void **state)
{
    (void)state;
    struct cli_rate rate;
    assert_true(cli_rate_parse(&rate, "100"));
    cli_rate_count(&rate, 1000, 1);
    int64_t now_ms = 3600000, sent = 0;
    for (; !cli_rate_wait_ms(&rate, now_ms); sent++)
        cli_rate_count(&rate, now_ms, 1);
    assert_in_range(sent, 1, 4);
    assert_in_range(cli_rate_wait_ms(&rate, now_ms), 1, 11);
}

static void unlimited(void **state)
{
    (void)state;
    struct cli_rate rate = {0};
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(cli_rate_wait_ms(&rate, 5), 0);
        cli_rate_count(&rate, 5, 1000000);
    }
}

CASES_MAIN(cmocka_unit_test(parsed), cmocka_unit_test(even), cmocka_unit_test(no_burst_after_silence),
           cmocka_unit_test(unlimited))
