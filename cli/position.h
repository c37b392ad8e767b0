/*
 * Where in a layer: begin, end, N, -N, @TIME, and ranges FROM:TO of them. Read from the command line by
 * consume, pipe and group reset; nothing here asks the platform or prints.
 */
#ifndef CLI_POSITION_H
#define CLI_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_place {
    CLI_AT_NONE,   /* not given */
    CLI_AT_BEGIN,  /* the oldest message that is left */
    CLI_AT_END,    /* behind the newest one */
    CLI_AT_OFFSET, /* value: the next offset wanted */
    CLI_AT_LAST,   /* value: so many before the end, in each partition */
    CLI_AT_TIME    /* value: the first message at or after it; ms since 1970-01-01 UTC */
};

struct cli_position {
    enum cli_place place;
    int64_t value;
};

/* from up to, and without, to; CLI_AT_NONE where nothing stands: where the group is, and no end. */
struct cli_range {
    struct cli_position from, to;
};

#define CLI_POSITION_WHY 200 /* bytes of an explanation */

/* What --help says of a position and of a time, for every command alike. */
#define CLI_POSITION_FORMS "begin, end, N (an offset), -N (the last N of each partition) or @TIME"
#define CLI_TIME_FORMS                                                                                       \
    "2026-01-31, 2026-01-31T12:30[:15[.250]] (local time, or with Z or +02:00),\n"                           \
    "-10m (ago; units s, m, h, d) or seconds or milliseconds since 1970"

/*
 * One position; a time is taken relative to now_ms. false: why says what is wrong with it and what is
 * allowed, without a newline.
 */
bool cli_position_parse(const char *text, int64_t now_ms, struct cli_position *position,
                        char why[CLI_POSITION_WHY]);

/* A position, or FROM:TO, of which one may be empty. */
bool cli_range_parse(const char *text, int64_t now_ms, struct cli_range *range, char why[CLI_POSITION_WHY]);

/* TIME by itself, as it stands behind the @. */
bool cli_time_parse(const char *text, int64_t now_ms, int64_t *time_ms);

#endif
