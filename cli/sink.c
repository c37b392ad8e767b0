#include "sink.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIGNAL_CHECK_MS     200
#define INTERRUPTED_WAIT_MS 2000 /* for a reader that does not read, after Ctrl-C */

static int failed(const struct cli_sink *sink, const char *name, int failure)
{
    if (sink->fd == STDOUT_FILENO)
        return cli_output_failed(sink->cli, failure);
    int code = cli_error_as(sink->cli, failure == ENOENT ? SL_NOT_FOUND : SL_IO, "%s%s%s: %s", sink->name,
                            name ? "/" : "", name ? name : "", sl_errno_text(failure));
    return failure == EPIPE ? CLI_READER_GONE : code;
}

int cli_sink_open(struct cli_sink *sink, const struct cli *cli, const char *path, bool append)
{
    bool standard = !path || !strcmp(path, "-");
    *sink = (struct cli_sink){.cli = cli, .name = standard ? "standard output" : path, .fd = STDOUT_FILENO};
    struct stat status;
    if (!standard) {
        sink->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0666);
        if (sink->fd < 0)
            return failed(sink, NULL, errno);
    }
    sink->regular = !fstat(sink->fd, &status) && S_ISREG(status.st_mode);
    if (standard || append || !sink->regular || !status.st_size)
        return CLI_OK;
    cli_sink_close(sink);
    /* What was consumed into it may be committed, and not come again. */
    return cli_usage_error(cli, "--output %s: the file has something in it: --append adds to it", path);
}

int cli_sink_open_directory(struct cli_sink *sink, const struct cli *cli, const char *path)
{
    *sink = (struct cli_sink){.cli = cli, .name = path, .fd = -1, .regular = true};
    if (mkdir(path, 0777) && errno != EEXIST)
        return failed(sink, NULL, errno);
    sink->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (sink->fd < 0)
        return failed(sink, NULL, errno);
    /* Names made from messages never begin with a dot. */
    snprintf(sink->temporary, sizeof sink->temporary, ".streamlayer-%ld.part", (long)getpid());
    return CLI_OK;
}

int cli_sink_write(const struct cli_sink *sink, const void *data, size_t size)
{
    int64_t interrupted_ms = 0;
    for (size_t written = 0; written < size;) {
        if (cli_interrupted() && !interrupted_ms)
            interrupted_ms = cli_mono_ms();
        if (interrupted_ms && cli_mono_ms() - interrupted_ms > INTERRUPTED_WAIT_MS)
            return CLI_INTERRUPTED;
        struct pollfd output = {.fd = sink->fd, .events = POLLOUT};
        if (poll(&output, 1, SIGNAL_CHECK_MS) <= 0)
            continue;
        ssize_t count = write(sink->fd, (const char *)data + written, size - written);
        if (count < 0 && errno != EINTR && errno != EAGAIN)
            return failed(sink, NULL, errno);
        written += count > 0 ? (size_t)count : 0;
    }
    return CLI_OK;
}

int cli_sink_file(const struct cli_sink *sink, const char *name, const void *data, size_t size)
{
    struct cli_sink file = {.cli = sink->cli, .name = sink->name};
    /* What may lie under that name, a link even, is not followed. */
    file.fd = openat(sink->fd, sink->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (file.fd < 0)
        return failed(sink, sink->temporary, errno);
    int code = cli_sink_write(&file, data, size);
    if (close(file.fd) && !code)
        code = failed(sink, name, errno);
    if (!code && renameat(sink->fd, sink->temporary, sink->fd, name))
        code = failed(sink, name, errno);
    if (code)
        (void)unlinkat(sink->fd, sink->temporary, 0);
    return code;
}

int cli_sink_close(struct cli_sink *sink)
{
    int code = CLI_OK;
    if (sink->fd > STDERR_FILENO && close(sink->fd))
        code = failed(sink, NULL, errno);
    sink->fd = -1;
    return code;
}
