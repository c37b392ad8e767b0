/* The reading side of consume and pipe: where to start, when to end, what to commit. */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "cli.h"

/* For the option tables of both commands. */
#define CLI_SOURCE_OPTIONS                                                                                   \
    {'o', "offset", "WHERE",                                                                                 \
     "begin, end, N (the next offset wanted, in every partition) or\n"                                       \
     "P:N (in partition P; repeatable), whatever the group has committed"},                                  \
        {'n', "count", "N", "end after exactly N messages, however long they take to come"},                 \
        {'f', "follow", NULL, "do not end when no more messages come"},                                      \
        {'i', "idle", "SECONDS",                                                                             \
         "end when nothing has come for so long (default 3; with --count or\n"                               \
         "--follow only when given)"},                                                                       \
    {                                                                                                        \
        'g', "group", "GROUP",                                                                               \
            "the consumer group; without one, the configured one, or one made from\n"                        \
            "application, catalog and layer"                                                                 \
    }

/* The last offset done with, a Kafka partition. */
struct cli_offsets {
    sl_offset *items;
    size_t count;
    bool changed; /* since the last commit */
};
/* false: out of memory. */
bool cli_offsets_put(struct cli_offsets *offsets, sl_offset offset);

struct cli_source {
    struct cli *cli;
    sl_consumer *consumer;
    bool commits, follow;
    int64_t count, taken; /* count -1: no limit */
    int64_t idle_ms;      /* -1: never */
    int64_t last_ms, committed_ms, last_message_ms;
    struct cli_offsets done;
};

/* Reads the options; CLI_OK or an exit code. */
int cli_source_prepare(struct cli_source *source, struct cli *cli);
/* Opens the consumer of operands[0] and [1] and goes to --offset. connector may be NULL. */
int cli_source_open(struct cli_source *source, const char *connector);

enum cli_next { CLI_NEXT_BATCH, CLI_NEXT_NOTHING, CLI_NEXT_END, CLI_NEXT_FAILED };
/* Polls for a short while. *code is the exit code at END (0, or interrupted, or too few came) and FAILED. */
enum cli_next cli_source_next(struct cli_source *source, sl_batch **batch, int *code);

/* Commits done: when now is set, or when the last commit is a second ago. CLI_OK or an exit code. */
int cli_source_commit(struct cli_source *source, bool now);
/* Leaves the group. */
int cli_source_close(struct cli_source *source);

#endif
