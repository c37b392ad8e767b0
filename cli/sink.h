/* Where consume and blob get write: standard output, a file, or a directory with a file a message. */
#ifndef CLI_SINK_H
#define CLI_SINK_H

#include "base/buffer.h"
#include "cli.h"

struct cli_sink {
    const struct cli *cli;
    const char *name;
    int fd;       /* -1: none */
    bool regular; /* a file, whose writer may show progress */
    char temporary[40];
};

/* path NULL or "-": standard output. A file that has something in it is left as it is and an error, unless
 * append is set: then it is added to. CLI_OK, or an exit code after a message. */
int cli_sink_open(struct cli_sink *sink, const struct cli *cli, const char *path, bool append);
/* A directory, made where it is not there. */
int cli_sink_open_directory(struct cli_sink *sink, const struct cli *cli, const char *path);
/* Writes all. A reader that is slow is waited for; after Ctrl-C, only for a while: CLI_INTERRUPTED. */
int cli_sink_write(const struct cli_sink *sink, const void *data, size_t size);
/* Makes or replaces a file of the directory; name has no slash. Readers see the old or the new one. */
int cli_sink_file(const struct cli_sink *sink, const char *name, const void *data, size_t size);
/* Reports what the system only says now. */
int cli_sink_close(struct cli_sink *sink);

#endif
