#include "position.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LONGEST 64
/* So many seconds since 1970 are in the year 5138; more than that are milliseconds. */
#define SECONDS_MAX 99999999999LL

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A run of count to most digits, as a number; *text is moved behind it. */
static bool digits(const char **text, int least, int most, int64_t *value)
{
    int count = 0;
    for (*value = 0; count < most && is_digit(**text); count++, (*text)++)
        *value = *value * 10 + (**text - '0');
    return count >= least && !is_digit(**text);
}

static bool whole(const char *text, int64_t *value)
{
    return digits(&text, 1, 18, value) && !*text;
}

static bool skip(const char **text, const char *any)
{
    if (!**text || !strchr(any, **text))
        return false;
    (*text)++;
    return true;
}

/* "10m", "1.5h", "1h30m": as milliseconds. */
static bool duration(const char *text, int64_t *ms)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"ms", 1},        {"s", 1000},           {"min", 60000}, {"m", 60000},
                 {"h", 3600000.0}, {"d", 24 * 3600000.0}, {"w", 604800e3}};
    double sum = 0;
    do {
        char *end;
        if (!is_digit(*text))
            return false;
        double number = strtod(text, &end);
        size_t i = 0;
        while (i < sizeof units / sizeof *units && strncmp(end, units[i].name, strlen(units[i].name)) != 0)
            i++;
        if (i == sizeof units / sizeof *units || strspn(text, "0123456789.") != (size_t)(end - text))
            return false;
        sum += number * units[i].ms;
        text = end + strlen(units[i].name);
    } while (*text);
    *ms = (int64_t)sum;
    return sum < 1e15;
}

/* "Z", "+02:00", "-0330": seconds east of Greenwich. */
static bool zone(const char **text, int64_t *seconds)
{
    if (skip(text, "Zz")) {
        *seconds = 0;
        return true;
    }
    bool west = **text == '-';
    int64_t both, hours, minutes;
    if (!skip(text, "+-"))
        return false;
    const char *begin = *text;
    if (digits(text, 4, 4, &both)) {
        hours = both / 100;
        minutes = both % 100;
    } else {
        *text = begin;
        if (!digits(text, 2, 2, &hours) || !skip(text, ":") || !digits(text, 2, 2, &minutes))
            return false;
    }
    *seconds = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return hours < 24 && minutes < 60;
}

/* The time of day behind a date. */
static bool time_of_day(const char **text, struct tm *parts, int64_t *ms)
{
    int64_t hour, minute, second = 0;
    if (!digits(text, 2, 2, &hour) || !skip(text, ":") || !digits(text, 2, 2, &minute))
        return false;
    if (skip(text, ":")) {
        if (!digits(text, 2, 2, &second))
            return false;
        if (skip(text, ".,")) {
            int64_t unit = 100;
            if (!is_digit(**text))
                return false;
            for (; is_digit(**text); (*text)++, unit /= 10)
                *ms += unit * (**text - '0');
        }
    }
    parts->tm_hour = (int)hour;
    parts->tm_min = (int)minute;
    parts->tm_sec = (int)second;
    return hour < 24 && minute < 60 && second < 60;
}

static bool iso(const char *text, int64_t *time_ms)
{
    int64_t year, month, day, ms = 0, east = 0;
    struct tm parts = {.tm_isdst = -1};
    if (!digits(&text, 4, 4, &year) || !skip(&text, "-") || !digits(&text, 2, 2, &month) ||
        !skip(&text, "-") || !digits(&text, 2, 2, &day) || month < 1 || month > 12 || day < 1)
        return false;
    parts.tm_year = (int)year - 1900;
    parts.tm_mon = (int)month - 1;
    parts.tm_mday = (int)day;
    if (skip(&text, "Tt ") && !time_of_day(&text, &parts, &ms))
        return false;
    bool local = !*text;
    if (!local && (!zone(&text, &east) || *text))
        return false;
    time_t seconds = local ? mktime(&parts) : timegm(&parts);
    /* The 30th of February became another day. */
    if (parts.tm_mon != (int)month - 1 || parts.tm_mday != (int)day)
        return false;
    *time_ms = ((int64_t)seconds - east) * 1000 + ms;
    return *time_ms >= 0;
}

bool cli_time_parse(const char *text, int64_t now_ms, int64_t *time_ms)
{
    int64_t value;
    if (*text == '-') {
        if (!duration(text + 1, &value))
            return false;
        *time_ms = value < now_ms ? now_ms - value : 0;
        return true;
    }
    if (whole(text, &value)) {
        *time_ms = value > SECONDS_MAX ? value : value * 1000;
        return true;
    }
    return iso(text, time_ms);
}

static bool parse(const char *text, int64_t now_ms, struct cli_position *position)
{
    *position = (struct cli_position){0};
    if (!strcmp(text, "begin") || !strcmp(text, "end")) {
        position->place = *text == 'b' ? CLI_AT_BEGIN : CLI_AT_END;
        return true;
    }
    if (*text == '@') {
        position->place = CLI_AT_TIME;
        return cli_time_parse(text + 1, now_ms, &position->value);
    }
    position->place = *text == '-' ? CLI_AT_LAST : CLI_AT_OFFSET;
    return whole(text + (*text == '-'), &position->value);
}

/* "@12:30": a time of day without its date, which would be a range from 1970 on. */
static bool is_clock(const char *text)
{
    int64_t hour, minute;
    return skip(&text, "@") && digits(&text, 1, 2, &hour) && skip(&text, ":") &&
           digits(&text, 2, 2, &minute) && hour < 24 && minute < 60 && (!*text || *text == ':');
}

/* Of the first side, or of the last. */
static const char *find_clock(const char *text)
{
    const char *last = strrchr(text, '@');
    return is_clock(text) ? text : last && is_clock(last) ? last : NULL;
}

static void explain_clock(const char *clock, int64_t now_ms, char why[CLI_POSITION_WHY])
{
    int64_t hour = 0, minute = 0;
    char day[32] = "2026-01-31";
    time_t now = (time_t)(now_ms / 1000);
    struct tm parts;
    clock++;
    (void)digits(&clock, 1, 2, &hour);
    (void)skip(&clock, ":");
    (void)digits(&clock, 2, 2, &minute);
    if (localtime_r(&now, &parts))
        strftime(day, sizeof day, "%Y-%m-%d", &parts);
    snprintf(why, CLI_POSITION_WHY, "a time of day needs its date: @%sT%02d:%02d", day, (int)hour,
             (int)minute);
}

/* What is wrong with a text that is no position. */
static void explain(const char *text, char why[CLI_POSITION_WHY])
{
    const char *at = strchr(text, '@');
    if (at)
        snprintf(why, CLI_POSITION_WHY,
                 "a time is such as @2026-01-31, @2026-01-31T12:30, @2026-01-31T12:30:15Z, @-10m, or @ and "
                 "seconds or milliseconds since 1970");
    else
        snprintf(why, CLI_POSITION_WHY,
                 "needed is " CLI_POSITION_FORMS ", such as @-10m or @2026-01-31T12:30");
}

bool cli_position_parse(const char *text, int64_t now_ms, struct cli_position *position,
                        char why[CLI_POSITION_WHY])
{
    if (parse(text, now_ms, position))
        return true;
    explain(text, why);
    return false;
}

/* The two sides of a range, divided at colon; an empty one is not given. */
static bool parse_sides(const char *text, const char *colon, int64_t now_ms, struct cli_range *range)
{
    char from[LONGEST];
    size_t size = (size_t)(colon - text);
    if (size >= sizeof from)
        return false;
    memcpy(from, text, size);
    from[size] = 0;
    *range = (struct cli_range){0};
    return (!size || parse(from, now_ms, &range->from)) &&
           (!colon[1] || parse(colon + 1, now_ms, &range->to));
}

/* Whether what lies between is nothing for sure, whatever the layer holds. */
static bool is_backwards(const struct cli_range *range)
{
    const struct cli_position *from = &range->from, *to = &range->to;
    if (from->place == CLI_AT_NONE)
        return to->place == CLI_AT_BEGIN;
    if (to->place == CLI_AT_BEGIN || (from->place == CLI_AT_END && to->place == CLI_AT_END))
        return true;
    if (from->place != to->place)
        return false;
    return from->place == CLI_AT_LAST ? from->value <= to->value : from->value >= to->value;
}

bool cli_range_parse(const char *text, int64_t now_ms, struct cli_range *range, char why[CLI_POSITION_WHY])
{
    *range = (struct cli_range){0};
    /* A time of day has colons too: the whole is tried first, then each colon as the one that divides. */
    if (parse(text, now_ms, &range->from))
        return true;
    const char *clock = find_clock(text);
    if (clock) {
        explain_clock(clock, now_ms, why);
        return false;
    }
    bool found = false;
    for (const char *colon = strchr(text, ':'); colon && !found && text[1]; colon = strchr(colon + 1, ':'))
        found = parse_sides(text, colon, now_ms, range);
    if (!found) {
        explain(text, why);
        size_t size = strlen(why);
        if (strchr(text, ':'))
            snprintf(why + size, CLI_POSITION_WHY - size, "; FROM:TO is a range of two");
        return false;
    }
    if (is_backwards(range)) {
        snprintf(why, CLI_POSITION_WHY, "nothing lies between: the range is empty or goes backwards");
        return false;
    }
    return true;
}
