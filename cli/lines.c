#include "lines.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIGNAL_CHECK_MS 200
#define READ_SIZE       ((size_t)256 * 1024)

bool cli_lines_open(struct cli_lines *lines, const struct cli *cli, const char *path, size_t max)
{
    bool standard = !path || !strcmp(path, "-");
    *lines = (struct cli_lines){
        .name = standard ? "standard input" : path,
        .delimiter = "\n",
        .delimiter_size = 1,
        .fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC),
        .capacity = 2 * READ_SIZE,
        .max = max,
    };
    if (lines->fd < 0) {
        int failure = errno;
        (void)cli_file_error(cli, lines->name, failure);
        errno = failure;
        return false;
    }
    lines->data = malloc(lines->capacity);
    if (!lines->data) {
        cli_out_of_memory(cli);
        cli_lines_close(lines);
        errno = ENOMEM;
        return false;
    }
    return true;
}

void cli_lines_close(struct cli_lines *lines)
{
    if (lines->fd > STDERR_FILENO)
        close(lines->fd);
    free(lines->data);
    lines->data = NULL;
}

/* Room for READ_SIZE bytes more; the callers see to it that no more than max is held. */
static bool make_room(struct cli_lines *lines)
{
    if (lines->start && lines->capacity - lines->end < READ_SIZE) {
        memmove(lines->data, lines->data + lines->start, lines->end - lines->start);
        lines->end -= lines->start;
        lines->start = 0;
    }
    if (lines->capacity - lines->end >= READ_SIZE)
        return true;
    size_t capacity = 2 * lines->capacity;
    char *grown = capacity > lines->capacity ? realloc(lines->data, capacity) : NULL;
    if (!grown)
        return false;
    lines->data = grown;
    lines->capacity = capacity;
    return true;
}

/* Reads more behind what is there. CLI_LINE: something came. */
static enum cli_line fill(struct cli_lines *lines, const struct cli *cli)
{
    if (!make_room(lines)) {
        cli_out_of_memory(cli);
        return CLI_LINE_FAILED;
    }
    for (;;) {
        if (cli_interrupted() || (lines->stop && atomic_load(lines->stop)))
            return CLI_LINE_INTERRUPTED;
        /* A terminal or a pipe may stay silent for ever: look at the signals meanwhile. */
        struct pollfd input = {.fd = lines->fd, .events = POLLIN};
        int ready = poll(&input, 1, SIGNAL_CHECK_MS);
        if (ready <= 0)
            continue;
        ssize_t got = read(lines->fd, lines->data + lines->end, lines->capacity - lines->end);
        if (got > 0) {
            lines->end += (size_t)got;
            return CLI_LINE;
        }
        if (got == 0) {
            lines->at_end = true;
            return CLI_LINE_END;
        }
        if (errno != EINTR && errno != EAGAIN) {
            (void)cli_error_as(cli, SL_IO, "%s: %s", lines->name, sl_errno_text(errno));
            return CLI_LINE_FAILED;
        }
    }
}

static enum cli_line too_long(const struct cli_lines *lines, const struct cli *cli)
{
    if (lines->number)
        (void)cli_error_as(
            cli, SL_TOO_LARGE,
            "%s:%llu: the record has more than %zu bytes, which is the most a message may have", lines->name,
            (unsigned long long)lines->number, lines->max);
    else
        (void)cli_error_as(cli, SL_TOO_LARGE,
                           "%s: the file has more than %zu bytes, which is the most a message may have",
                           lines->name, lines->max);
    return CLI_LINE_FAILED;
}

enum cli_line cli_lines_next(struct cli_lines *lines, const struct cli *cli, const char **line, size_t *size)
{
    size_t searched = 0;
    lines->number++;
    for (;;) {
        const char *begin = lines->data + lines->start;
        size_t held = lines->end - lines->start;
        const char *found = held > searched ? memmem(begin + searched, held - searched, lines->delimiter,
                                                     lines->delimiter_size)
                                            : NULL;
        size_t length = found ? (size_t)(found - begin) : held;
        if (length > lines->max + lines->crlf + (found ? 0 : lines->delimiter_size))
            return too_long(lines, cli);
        if (found || (lines->at_end && held)) {
            *line = begin;
            *size = length - (lines->crlf && length && begin[length - 1] == '\r');
            lines->start += found ? length + lines->delimiter_size : length;
            return *size > lines->max ? too_long(lines, cli) : CLI_LINE;
        }
        if (lines->at_end)
            return CLI_LINE_END;
        /* The delimiter may be cut at the end of what is held. */
        searched = held >= lines->delimiter_size ? held - lines->delimiter_size + 1 : 0;
        if (lines->start == lines->end)
            lines->start = lines->end = 0;
        enum cli_line outcome = fill(lines, cli);
        if (outcome == CLI_LINE_FAILED || outcome == CLI_LINE_INTERRUPTED)
            return outcome;
    }
}

enum cli_line cli_lines_rest(struct cli_lines *lines, const struct cli *cli, const char **data, size_t *size)
{
    while (!lines->at_end) {
        enum cli_line outcome = fill(lines, cli);
        if (outcome == CLI_LINE_FAILED || outcome == CLI_LINE_INTERRUPTED)
            return outcome;
        if (lines->end > lines->max)
            return too_long(lines, cli);
    }
    *data = lines->data;
    *size = lines->end;
    return CLI_LINE;
}
