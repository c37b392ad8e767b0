/* Lines of a file or of standard input: any bytes, a bounded length, and an end when a signal comes. */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include "cli.h"

struct cli_lines {
    const char *name; /* for messages */
    int fd;
    char *data;
    size_t start, end, capacity;
    size_t max; /* bytes a line may have */
    uint64_t number;
    bool at_end;
};

/* path NULL or "-": standard input. false, with errno: a message is out. */
bool cli_lines_open(struct cli_lines *lines, const struct cli *cli, const char *path, size_t max);
void cli_lines_close(struct cli_lines *lines);

enum cli_line { CLI_LINE, CLI_LINE_END, CLI_LINE_FAILED, CLI_LINE_INTERRUPTED };
/* The next line, without its newline; the bytes stay until the next call. */
enum cli_line cli_lines_next(struct cli_lines *lines, const struct cli *cli, const char **line, size_t *size);
/* The whole rest as one line, up to max. */
enum cli_line cli_lines_rest(struct cli_lines *lines, const struct cli *cli, const char **data, size_t *size);

#endif
