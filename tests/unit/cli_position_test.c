/* Positions, ranges and times as the command line reads them. */
#include "support/cases.h"

#include "cli/position.h"

#include <stdlib.h>
#include <time.h>

#define NOW 1700000000000LL

static char why[CLI_POSITION_WHY];

static void is_position(const char *text, enum cli_place place, int64_t value)
{
    struct cli_position position;
    if (!cli_position_parse(text, NOW, &position, why))
        fail_msg("%s: %s", text, why);
    assert_int_equal(position.place, place);
    assert_int_equal(position.value, value);
}

static void is_no_position(const char *text)
{
    struct cli_position position;
    why[0] = 0;
    if (cli_position_parse(text, NOW, &position, why))
        fail_msg("\"%s\" is taken", text);
    assert_true(why[0] != 0);
}

static void use_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

static void positions(void **state)
{
    (void)state;
    is_position("begin", CLI_AT_BEGIN, 0);
    is_position("end", CLI_AT_END, 0);
    is_position("0", CLI_AT_OFFSET, 0);
    is_position("1500", CLI_AT_OFFSET, 1500);
    is_position("-10", CLI_AT_LAST, 10);
    is_position("-0", CLI_AT_LAST, 0);
}

static void times(void **state)
{
    (void)state;
    is_position("@-10m", CLI_AT_TIME, NOW - 600000);
    is_position("@-1h30m", CLI_AT_TIME, NOW - 5400000);
    is_position("@-1.5h", CLI_AT_TIME, NOW - 5400000);
    is_position("@-250ms", CLI_AT_TIME, NOW - 250);
    is_position("@-2d", CLI_AT_TIME, NOW - 2 * 86400000LL);
    is_position("@-100000w", CLI_AT_TIME, 0);
    is_position("@1700000000", CLI_AT_TIME, NOW);
    is_position("@1700000000123", CLI_AT_TIME, NOW + 123);
    is_position("@0", CLI_AT_TIME, 0);
    is_position("@2023-11-14T22:13:20Z", CLI_AT_TIME, NOW);
    is_position("@2023-11-14T22:13:20.5Z", CLI_AT_TIME, NOW + 500);
    is_position("@2023-11-14T22:13:20.123456Z", CLI_AT_TIME, NOW + 123);
    is_position("@2023-11-14T23:13:20+01:00", CLI_AT_TIME, NOW);
    is_position("@2023-11-14T18:43:20-0330", CLI_AT_TIME, NOW);
    is_position("@2023-11-14 22:13Z", CLI_AT_TIME, NOW - 20000);
    is_position("@2023-11-14Z", CLI_AT_TIME, 1699920000000);
    is_position("@2024-02-29Z", CLI_AT_TIME, 1709164800000);
}

/* Without a zone it is the clock on the wall, summer time and all. */
static void local_times(void **state)
{
    (void)state;
    use_zone("CET-1CEST,M3.5.0,M10.5.0/3");
    is_position("@2023-11-14T23:13:20", CLI_AT_TIME, NOW);
    is_position("@2023-11-14", CLI_AT_TIME, 1699916400000);
    is_position("@2023-07-01T12:00", CLI_AT_TIME, 1688205600000);
    use_zone("UTC");
    is_position("@2023-11-14T22:13:20", CLI_AT_TIME, NOW);
}

static void not_positions(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "-",
        "@",
        "--1",
        "+1",
        " 1",
        "1 ",
        "1.5",
        "1x",
        "beginning",
        "START",
        "@-",
        "@-10",
        "@-m",
        "@-10q",
        "@-1e3s",
        "@-1..5h",
        "@--1h",
        "@-10m ",
        "@2023-1-1",
        "@2023-02-29",
        "@2023-13-01",
        "@2023-00-01",
        "@2023-01-00",
        "@2023-01-32",
        "@2023-01-01T",
        "@2023-01-01T10",
        "@2023-01-01T24:00",
        "@2023-01-01T10:60",
        "@2023-01-01T10:00:",
        "@2023-01-01T10:00:00.",
        "@2023-01-01T10:00:61",
        "@2023-01-01T10:00+1",
        "@2023-01-01T10:00+25:00",
        "@2023-01-01T10:00ZZ",
        "@1969-12-31Z",
        "9999999999999999999",
        "1:2",
        "0x10",
        "@yesterday",
    };
    use_zone("UTC");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        is_no_position(wrong[i]);
}

static void is_range(const char *text, struct cli_position from, struct cli_position to)
{
    struct cli_range range;
    if (!cli_range_parse(text, NOW, &range, why))
        fail_msg("%s: %s", text, why);
    assert_int_equal(range.from.place, from.place);
    assert_int_equal(range.from.value, from.value);
    assert_int_equal(range.to.place, to.place);
    assert_int_equal(range.to.value, to.value);
}

#define POSITION(place, value) ((struct cli_position){(place), (value)})
#define NONE                   POSITION(CLI_AT_NONE, 0)

static void ranges(void **state)
{
    (void)state;
    is_range("begin", POSITION(CLI_AT_BEGIN, 0), NONE);
    is_range("-5", POSITION(CLI_AT_LAST, 5), NONE);
    is_range("100:200", POSITION(CLI_AT_OFFSET, 100), POSITION(CLI_AT_OFFSET, 200));
    is_range(":end", NONE, POSITION(CLI_AT_END, 0));
    is_range("100:", POSITION(CLI_AT_OFFSET, 100), NONE);
    is_range("begin:end", POSITION(CLI_AT_BEGIN, 0), POSITION(CLI_AT_END, 0));
    is_range("-10:-5", POSITION(CLI_AT_LAST, 10), POSITION(CLI_AT_LAST, 5));
    is_range("@-1h:@-30m", POSITION(CLI_AT_TIME, NOW - 3600000), POSITION(CLI_AT_TIME, NOW - 1800000));
    is_range("begin:@2023-11-14Z", POSITION(CLI_AT_BEGIN, 0), POSITION(CLI_AT_TIME, 1699920000000));
    /* The colons of a time of day do not divide. */
    is_range("@2023-11-14T22:13:20Z", POSITION(CLI_AT_TIME, NOW), NONE);
    is_range("@2023-11-14T22:13:20Z:end", POSITION(CLI_AT_TIME, NOW), POSITION(CLI_AT_END, 0));
    is_range("@2023-11-14T22:13Z:@2023-11-14T22:13:20Z", POSITION(CLI_AT_TIME, NOW - 20000),
             POSITION(CLI_AT_TIME, NOW));
    is_range(":@2023-11-14T23:13:20+01:00", NONE, POSITION(CLI_AT_TIME, NOW));
}

static void not_ranges(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",        ":",      "::",         "1:2:3",  "a:b",     "begin:x", "200:100",   "5:5", "end:begin",
        "end:end", "-5:-10", "@-10m:@-1h", ":begin", "1:begin", "@-1h:-",  "1:2:begin", "p:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct cli_range range;
        why[0] = 0;
        if (cli_range_parse(wrong[i], NOW, &range, why))
            fail_msg("\"%s\" is taken", wrong[i]);
        assert_true(why[0] != 0);
    }
    /* Longer than anything that could be meant. */
    char longest[5000];
    memset(longest, ':', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    struct cli_range range;
    assert_false(cli_range_parse(longest, NOW, &range, why));
}

static void times_of_day_want_a_date(void **state)
{
    (void)state;
    static const char *const wrong[] = {"@22:30",       "@22:30:",       "@22:30:15",
                                        "begin:@22:30", "@22:30:@22:30", "@-1d:@22:30"};
    use_zone("UTC");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct cli_range range;
        why[0] = 0;
        assert_false(cli_range_parse(wrong[i], NOW, &range, why));
        assert_string_equal(why, "a time of day needs its date: @2023-11-14T22:30");
    }
    /* What cannot be one is what it says. */
    is_range("@12:300", POSITION(CLI_AT_TIME, 12000), POSITION(CLI_AT_OFFSET, 300));
    is_range("@12:5", POSITION(CLI_AT_TIME, 12000), POSITION(CLI_AT_OFFSET, 5));
    is_range("@1700000000:30", POSITION(CLI_AT_TIME, NOW), POSITION(CLI_AT_OFFSET, 30));
}

CASES_MAIN(cmocka_unit_test(positions), cmocka_unit_test(times), cmocka_unit_test(local_times),
           cmocka_unit_test(not_positions), cmocka_unit_test(ranges), cmocka_unit_test(not_ranges),
           cmocka_unit_test(times_of_day_want_a_date))
