/* The reading side of consume and pipe: where to start, when to end, what to commit. */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "cli.h"
#include "position.h"

/* For the option tables of both commands. */
#define CLI_SOURCE_OPTIONS                                                                                   \
    {'o', "offset", "WHERE",                                                                                 \
     "where to begin, whatever the group has committed: " CLI_POSITION_FORMS                                 \
     "; FROM:TO, of which one may be empty, ends before TO; P/WHERE is for the Kafka partition P only "      \
     "(repeatable)"},                                                                                        \
        {'p', "partition", "P", "only this Kafka partition (repeatable)"},                                   \
        {'n', "count", "N", "end after exactly N messages, however long they take to come"},                 \
        {'f', "follow", NULL, "do not end when no more messages come"},                                      \
        {'i', "idle", "SECONDS",                                                                             \
         "end when nothing has come for so long while the platform answers (default 3; with --count or "     \
         "--follow only when given; 30 with a range that has an end)"},                                      \
    {                                                                                                        \
        'g', "group", "GROUP",                                                                               \
            "the consumer group; without one, the configured one, or one made from "                         \
            "application, catalog and layer"                                                                 \
    }

/* What WHERE may be, for the details of both commands. */
#define CLI_SOURCE_DETAILS                                                                                   \
    "WHERE is begin, end, an offset N, -N (the last N messages of each Kafka partition) or @TIME (the "      \
    "first message at or after it). TIME is 2026-01-31, 2026-01-31T12:30 or 2026-01-31T12:30:15.250, local " \
    "unless Z or +02:00 follows, or -10m (so long ago; s, m, h, d), or the seconds or milliseconds since "   \
    "1970. FROM:TO, such as @-1h:@-30m, 100:200, begin:end or :end, ends before TO, in each Kafka "          \
    "partition by itself; the run ends when all have. Without FROM it begins where the group is; a TO "      \
    "behind the newest message is where that is now (with --follow, an offset is waited for).\n"             \
    "\n"                                                                                                     \
    "An outage of the platform is waited out, and told: with --follow, and with --count without --idle, "    \
    "for as long as it lasts, else for 60 seconds."

/* The last offset done with, a Kafka partition. */
struct cli_offsets {
    sl_offset *items;
    size_t count;
    bool changed; /* since the last commit */
};
/* false: out of memory. */
bool cli_offsets_put(struct cli_offsets *offsets, sl_offset offset);

/* One --offset. */
struct cli_where {
    int32_t partition; /* -1: all */
    struct cli_range range;
};

/* A Kafka partition whose messages are taken from start up to, and without, end. */
struct cli_part {
    int32_t partition;
    int64_t start, end; /* end -1: none */
    int64_t next;       /* behind the last one that came; before the first one: 0 */
    bool ours, done;
};

struct cli_source {
    struct cli *cli;
    sl_consumer *consumer;
    bool commits, follow;
    int resolve;          /* whether polls fetch blobs; -1: as configured */
    int inflate;          /* whether gzip is inflated; -1: as configured */
    size_t batch_max;     /* messages a poll; 0: as many as come */
    int64_t count, taken; /* count -1: no limit */
    int64_t idle_ms;      /* -1: never */
    int64_t last_ms, committed_ms, last_message_ms, looked_ms;
    int64_t failing_ms; /* when polls began to fail; 0: they do not */
    int64_t failed_ms;  /* when the last one did */
    struct cli_offsets done;
    bool told; /* why it cannot go on: what follows from that is not told, too */
    struct cli_where *wheres;
    size_t where_count;
    int32_t *only; /* the partitions of --partition; none: all */
    size_t only_count;
    bool placed;     /* where to begin and end needs the layer's offsets: parts has them */
    bool ranged;     /* parts have ends */
    bool rebalanced; /* parts are to be looked at again */
    struct cli_part *parts;
    size_t part_count;
};

/* Reads the options; CLI_OK or an exit code. To be closed in either case. */
int cli_source_prepare(struct cli_source *source, struct cli *cli);
/* Loads the configuration and connects. */
int cli_source_connect(struct cli_source *source);
/* Opens the consumer of operands[0] and [1] and goes to --offset. connector may be NULL. */
int cli_source_open(struct cli_source *source, const char *connector);

enum cli_next { CLI_NEXT_BATCH, CLI_NEXT_NOTHING, CLI_NEXT_END, CLI_NEXT_FAILED };
/* Polls for a short while. *code is the exit code at END (0, or interrupted, or too few came) and FAILED.
 * Each message of a batch is to be shown to cli_source_takes. */
enum cli_next cli_source_next(struct cli_source *source, sl_batch **batch, int *code);
/* Whether the message is one that was asked for; one that is not is left alone. Counts it. */
bool cli_source_takes(struct cli_source *source, const sl_message *message);

/* place.c: where to begin and to end, in each partition; source.c calls these. */
/* Goes to where each --offset says. */
sl_status cli_source_place(struct cli_source *source, sl_error *error);
/* After a rebalance, and now and then in a silence: goes to the begin of partitions that are new, and sees
 * which are at their end. */
sl_status cli_source_look_again(struct cli_source *source, sl_error *error);
/* How many messages may still come until the ends; 0: that is not known. */
size_t cli_source_left(const struct cli_source *source);
/* Whether the end is reached in every partition, and whether it is not in one that has an end. */
bool cli_source_is_done(const struct cli_source *source);
bool cli_source_is_short(const struct cli_source *source);

/* Commits done: when now is set, or when the last commit is a second ago. CLI_OK or an exit code. */
int cli_source_commit(struct cli_source *source, bool now);
/* Leaves the group, and releases what prepare made. */
int cli_source_close(struct cli_source *source);

#endif
