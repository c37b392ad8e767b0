/* Records of a file or of standard input, each ended by a delimiter: any bytes, a bounded length, and an end
 * when a signal comes. */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include "cli.h"

#include <stdatomic.h>

struct cli_lines {
    const char *name; /* for messages */
    const char *delimiter;
    size_t delimiter_size; /* 1 or more */
    bool crlf;             /* a carriage return before the delimiter is part of it */
    int fd;
    char *data;
    size_t start, end, capacity;
    size_t max; /* bytes a record may have */
    uint64_t number;
    bool at_end;
    const atomic_bool *stop; /* ends the reading as a signal does; NULL: nothing else does */
};

/* path NULL or "-": standard input. The delimiter is a newline; others are set behind the call. false, with
 * errno: a message is out. */
bool cli_lines_open(struct cli_lines *lines, const struct cli *cli, const char *path, size_t max);
void cli_lines_close(struct cli_lines *lines);

enum cli_line { CLI_LINE, CLI_LINE_END, CLI_LINE_FAILED, CLI_LINE_INTERRUPTED };
/* The next record, without its delimiter; the bytes stay until the next call. */
enum cli_line cli_lines_next(struct cli_lines *lines, const struct cli *cli, const char **line, size_t *size);
/* The whole rest as one record, up to max. */
enum cli_line cli_lines_rest(struct cli_lines *lines, const struct cli *cli, const char **data, size_t *size);

#endif
