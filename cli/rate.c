#include "rate.h"

#include <stdlib.h>
#include <string.h>

/* Clocks and sleeps are not finer than a few milliseconds; what a late wake-up missed is made up for. */
#define RATE_BURST_MS 20

bool cli_rate_parse(struct cli_rate *rate, const char *text)
{
    static const struct {
        const char *name;
        double factor;
        bool bytes;
    } units[] = {{"", 1, false},           {"msg", 1, false},          {"B", 1, true},    {"kB", 1e3, true},
                 {"KB", 1e3, true},        {"MB", 1e6, true},          {"GB", 1e9, true}, {"KiB", 1024, true},
                 {"MiB", 1048576.0, true}, {"GiB", 1073741824.0, true}};
    char unit[8], *end;
    *rate = (struct cli_rate){0};
    if (*text < '0' || *text > '9' || strspn(text, "0123456789.") != strcspn(text, " msgBkKMGi/"))
        return false;
    double number = strtod(text, &end);
    end += strspn(end, " ");
    size_t length = strcspn(end, "/");
    if (length >= sizeof unit || (end[length] && strcmp(end + length, "/s") != 0))
        return false;
    memcpy(unit, end, length);
    unit[length] = 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(unit, units[i].name)) {
            rate->per_ms = number * units[i].factor / 1000;
            rate->bytes = units[i].bytes;
            /* At least one an hour or so; more than anything reaches is no limit but no harm either. */
            return number * units[i].factor >= 0.0001 && number < 1e12;
        }
    return false;
}

int64_t cli_rate_wait_ms(const struct cli_rate *rate, int64_t now_ms)
{
    double wait_ms = rate->per_ms > 0 && rate->due_ms > 0 ? rate->due_ms - (double)now_ms : 0;
    if (wait_ms <= 0)
        return 0;
    return wait_ms < 1e15 ? (int64_t)wait_ms + 1 : (int64_t)1e15;
}

void cli_rate_count(struct cli_rate *rate, int64_t now_ms, size_t size)
{
    if (rate->per_ms <= 0)
        return;
    /* Time that passed unused is not saved up. */
    double earliest = (double)now_ms - RATE_BURST_MS;
    double due = rate->due_ms > earliest ? rate->due_ms : rate->due_ms > 0 ? earliest : (double)now_ms;
    rate->due_ms = due + (rate->bytes ? (double)size : 1) / rate->per_ms;
}
