/* One line of standard error that is rewritten, on a terminal only: how far a command is, and how fast. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli.h"

#include <pthread.h>

struct cli_progress {
    pthread_mutex_t lock;
    bool on, shown; /* shown: the line is on the terminal */
    const char *verb;
    int64_t total; /* bytes there will be; -1: not known */
    int64_t drawn_ms, sampled_ms;
    uint64_t sampled_messages, sampled_bytes;
    double messages_rate, bytes_rate; /* a second */
};

/* What a line tells. */
struct cli_amount {
    uint64_t messages, bytes, failed;
    size_t queued;
};

/*
 * Begins with the clock at 0. Nothing is shown with --json or --quiet, or when standard error is no terminal.
 * From here to the end, messages of cli (cli_error, …) clear the line first.
 */
void cli_progress_begin(struct cli_progress *progress, struct cli *cli, const char *verb, bool wanted);
/* Shows the line anew, unless it was just shown. */
void cli_progress_show(struct cli_progress *progress, const struct cli_amount *amount);
/* Takes the line away, until the next show. progress may be NULL. Any thread. */
void cli_progress_clear(struct cli_progress *progress);
/* Takes the line away for good. */
void cli_progress_end(struct cli_progress *progress, struct cli *cli);

#endif
