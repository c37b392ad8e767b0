/* streamlayer blob: bytes too large for a message, by their data handle. */
#include "base/error.h"
#include "lines.h"
#include "progress.h"
#include "sink.h"

#include "base/text.h"
#include "config/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_SIZE        "here.platform.data-client.stream.blob.max-size"
#define CHUNK           ((int64_t)4 * 1024 * 1024)
#define TRIES           8 /* of one chunk; each that comes counts anew */
#define FIRST_WAIT_MS   200
#define LAST_WAIT_MS    10000
#define SIGNAL_CHECK_MS 100

/* A file's bytes: mapped where it is a file, and read where it is a pipe or a terminal. */
struct content {
    const void *data;
    size_t size;
    void *mapped;
    struct cli_lines lines;
};

static int too_large(const struct cli *cli, const char *name, int64_t max)
{
    return cli_error_as(cli, SL_TOO_LARGE,
                        "%s has more than %lld bytes, which is the most a blob may have (" MAX_SIZE ")", name,
                        (long long)max);
}

/* CLI_OK and mapped, CLI_OK and not, or an exit code after a message. */
static int map_file(struct content *content, const struct cli *cli, const char *path, int64_t max)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status)) {
        int failure = errno;
        if (fd >= 0)
            close(fd);
        return cli_file_error(cli, path, failure);
    }
    int code = CLI_OK;
    if (S_ISREG(status.st_mode) && status.st_size > max) {
        code = too_large(cli, path, max);
    } else if (S_ISREG(status.st_mode) && status.st_size > 0) {
        void *mapped = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (mapped != MAP_FAILED) {
            content->data = content->mapped = mapped;
            content->size = (size_t)status.st_size;
        }
    }
    close(fd);
    return code;
}

static int open_content(struct content *content, const struct cli *cli, const char *path, int64_t max)
{
    *content = (struct content){.lines = {.fd = -1}};
    if (path && strcmp(path, "-") != 0) {
        int code = map_file(content, cli, path, max);
        if (code || content->mapped)
            return code;
    }
    if (!cli_lines_open(&content->lines, cli, path, (size_t)max))
        return errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
    const char *data;
    enum cli_line outcome = cli_lines_rest(&content->lines, cli, &data, &content->size);
    content->data = data;
    return outcome == CLI_LINE ? CLI_OK : outcome == CLI_LINE_INTERRUPTED ? CLI_INTERRUPTED : CLI_FAILED;
}

static void close_content(struct content *content)
{
    if (content->mapped)
        munmap(content->mapped, content->size);
    cli_lines_close(&content->lines);
}

/* One put on a thread of its own: a signal need not wait for it. */
struct put {
    const struct cli *cli;
    const struct content *content;
    char *handle;
    sl_error error;
    sl_status status;
    int done[2]; /* a pipe whose writing end is closed when it is over */
};

static void *put_on_thread(void *opaque)
{
    struct put *put = opaque;
    const struct cli *cli = put->cli;
    put->status = sl_blob_put(cli->client, cli->operands[0], cli->operands[1], cli_value(cli, "handle"),
                              put->content->data, put->content->size, &put->handle, &put->error);
    close(put->done[1]);
    return NULL;
}

/* Signals are for the main thread. false: no thread. */
static bool start_put(struct put *put, pthread_t *thread)
{
    sigset_t all, before;
    if (pipe2(put->done, O_CLOEXEC))
        return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = !pthread_create(thread, NULL, put_on_thread, put);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!started) {
        close(put->done[0]);
        close(put->done[1]);
    }
    return started;
}

static int put_content(const struct cli *cli, const struct content *content, char **handle)
{
    struct put put = {.cli = cli, .content = content};
    pthread_t thread;
    if (!start_put(&put, &thread)) {
        cli_out_of_memory(cli);
        return CLI_FAILED;
    }
    struct pollfd done = {.fd = put.done[0]};
    while (poll(&done, 1, SIGNAL_CHECK_MS) <= 0)
        /* The thread is inside the library still, so nothing is released: the connection breaks with the
         * process, and what did not come whole is not stored. */
        if (cli_interrupted())
            _exit(CLI_INTERRUPTED);
    pthread_join(thread, NULL);
    close(put.done[0]);
    *handle = put.handle;
    return put.status ? cli_fail(cli, &put.error) : CLI_OK;
}

static int blob_put(struct cli *cli)
{
    int code = cli_connect(cli);
    int64_t max = 0;
    sl_error error = {0};
    if (!code && sl_config_bytes(cli->config, MAX_SIZE, &max, &error))
        code = cli_fail(cli, &error);
    if (code)
        return code;
    struct content content;
    char *handle = NULL;
    code = open_content(&content, cli, cli->operand_count > 2 ? cli->operands[2] : NULL, max);
    if (!code)
        code = put_content(cli, &content, &handle);
    if (!code && cli->json)
        printf("{\"dataHandle\": \"%s\", \"size\": %zu}\n", handle, content.size);
    else if (!code)
        printf("%s\n", handle);
    close_content(&content);
    sl_free(handle);
    return code ? code : cli_flush_output(cli);
}

/* "FIRST-LAST", "FIRST-" or "-N" (the last N), as HTTP's Range has them. last -1: the blob's. */
static bool parse_range(const char *text, int64_t *first, int64_t *last)
{
    char number[24];
    const char *dash = strchr(text, '-');
    if (!dash || (size_t)(dash - text) >= sizeof number)
        return false;
    memcpy(number, text, (size_t)(dash - text));
    number[dash - text] = 0;
    *first = *last = -1;
    if (dash == text) /* the last N */
        return sl_parse_int(dash + 1, 1, INT64_MAX, last);
    return sl_parse_int(number, 0, INT64_MAX - 1, first) &&
           (!dash[1] || sl_parse_int(dash + 1, *first, INT64_MAX - 1, last));
}

/* The bytes wanted of a blob of that size: from first on, count of them. */
static int bounds(const struct cli *cli, int64_t size, int64_t *first, int64_t *count)
{
    const char *range = cli_value(cli, "range");
    int64_t from = 0, last = -1;
    if (range && !parse_range(range, &from, &last))
        return cli_usage_error(cli, "--range %s: FIRST-LAST, FIRST- or -N (the last N) bytes are needed",
                               range);
    if (from < 0) {
        from = last < size ? size - last : 0;
        last = -1;
    }
    if (last < 0 || last >= size)
        last = size - 1;
    *first = from;
    *count = last - from + 1;
    if (!range || *count > 0)
        return CLI_OK;
    return cli_error_as(cli, SL_INVALID_ARGUMENT, "--range %s: the blob has %lld %s", range, (long long)size,
                        sl_plural((uint64_t)size, "byte", "bytes"));
}

/* Waits before the next try; false: it is over. */
static bool may_try_again(const struct cli *cli, const sl_error *error, int tries)
{
    if (!error->retriable || tries >= TRIES || cli_interrupted())
        return false;
    int64_t wait_ms = FIRST_WAIT_MS;
    for (int i = 1; i < tries && wait_ms < LAST_WAIT_MS; i++)
        wait_ms = 2 * wait_ms < LAST_WAIT_MS ? 2 * wait_ms : LAST_WAIT_MS;
    cli_warning(cli, "%s; going on in %lld ms where it broke off", error->text, (long long)wait_ms);
    for (int64_t end_ms = cli_mono_ms() + wait_ms; !cli_interrupted() && cli_mono_ms() < end_ms;)
        cli_sleep_ms((int)(end_ms - cli_mono_ms()) + 1);
    return !cli_interrupted();
}

/* One chunk, asked for again where the connection breaks. */
static int get_chunk(struct cli *cli, int64_t first, int64_t count, void **data, size_t *size)
{
    sl_error error = {0};
    for (int tries = 1;; tries++) {
        if (cli_interrupted())
            return CLI_INTERRUPTED;
        if (!sl_blob_get(cli->client, cli->operands[0], cli->operands[1], cli->operands[2], first, count,
                         data, size, &error))
            return CLI_OK;
        if (!may_try_again(cli, &error, tries))
            return cli_interrupted() ? CLI_INTERRUPTED : cli_fail(cli, &error);
    }
}

static int copy(struct cli *cli, struct cli_sink *sink, int64_t first, int64_t count)
{
    struct cli_progress progress;
    int code = CLI_OK;
    cli_progress_begin(&progress, cli, "got", sink->regular);
    progress.total = count;
    for (int64_t done = 0; done < count && !code;) {
        void *data = NULL;
        size_t size = 0;
        int64_t wanted = count - done < CHUNK ? count - done : CHUNK;
        code = get_chunk(cli, first + done, wanted, &data, &size);
        if (!code && !size) {
            code = cli_error_as(
                cli, SL_CONFLICT,
                "the blob ended after %lld of its bytes, %lld before its size: it was replaced meanwhile",
                (long long)(first + done), (long long)(count - done));
        }
        if (!code)
            code = cli_sink_write(sink, data, size);
        sl_free(data);
        done += (int64_t)size;
        struct cli_amount amount = {.bytes = (uint64_t)done};
        cli_progress_show(&progress, &amount);
    }
    cli_progress_end(&progress, cli);
    return code;
}

/* What lies under the name of --output. */
enum there { NOTHING, EMPTY_FILE, FULL_FILE, NO_FILE };

static enum there look_at(const char *path)
{
    struct stat status;
    if (stat(path, &status))
        return NOTHING;
    return !S_ISREG(status.st_mode) ? NO_FILE : status.st_size ? FULL_FILE : EMPTY_FILE;
}

/* Told before anything is fetched, and again when a file has come meanwhile. */
static int refuse_to_replace(const struct cli *cli, const char *path)
{
    return cli_usage_error(cli, "--output %s: the file is there already: --force replaces it", path);
}

/* The whole file takes its name. */
static int move_in(const struct cli *cli, const char *part, const char *path, bool replace)
{
    if (!replace && !renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE))
        return CLI_OK;
    if (!replace && errno == EEXIST)
        return refuse_to_replace(cli, path);
    /* Not every file system knows the flag. */
    if (!replace && look_at(path) != NOTHING)
        return refuse_to_replace(cli, path);
    return rename(part, path) ? cli_file_error(cli, path, errno) : CLI_OK;
}

/* Into a file beside the one named, which takes its place when it is whole; a device or a pipe is written as
 * it is. */
static int copy_to_file(struct cli *cli, const char *path, int64_t first, int64_t count)
{
    struct cli_sink sink = {.cli = cli, .fd = -1};
    enum there there = look_at(path);
    int code;
    if (there == NO_FILE) {
        code = cli_sink_open(&sink, cli, path, true);
        code = code ? code : copy(cli, &sink, first, count);
        int closed = cli_sink_close(&sink);
        return code ? code : closed;
    }
    char *part = sl_printf("%s.%ld.part", path, (long)getpid());
    if (!part)
        return cli_out_of_memory(cli);
    sink = (struct cli_sink){.cli = cli, .name = part, .regular = true};
    sink.fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (sink.fd < 0) {
        code = cli_file_error(cli, part, errno);
        free(part);
        return code;
    }
    code = copy(cli, &sink, first, count);
    int closed = cli_sink_close(&sink);
    code = code ? code : closed;
    if (!code)
        code = move_in(cli, part, path, there == EMPTY_FILE || cli_flag(cli, "force"));
    if (code)
        (void)unlink(part);
    free(part);
    return code;
}

static int get_size(struct cli *cli, int64_t *size)
{
    sl_error error = {0};
    if (!sl_blob_size(cli->client, cli->operands[0], cli->operands[1], cli->operands[2], size, &error))
        return CLI_OK;
    /* The answer to HEAD has no body that could say which of them is not there. */
    if (error.status == SL_NOT_FOUND)
        snprintf(error.text, sizeof error.text, "no blob has the data handle \"%s\" in the layer %s of %s",
                 cli->operands[2], cli->operands[1], cli->operands[0]);
    return cli_fail(cli, &error);
}

static int blob_get(struct cli *cli)
{
    const char *output = cli_value(cli, "output");
    int64_t size = 0, first = 0, count = 0;
    /* What can be told without asking first. */
    int code = bounds(cli, INT64_MAX, &first, &count);
    bool to_file = output && strcmp(output, "-") != 0;
    if (!code && cli_flag(cli, "force") && !to_file)
        code = cli_usage_error(cli, "--force is for --output FILE");
    if (!code && to_file && !cli_flag(cli, "force") && look_at(output) == FULL_FILE)
        code = refuse_to_replace(cli, output);
    if (!code)
        code = cli_connect(cli);
    if (!code)
        code = get_size(cli, &size);
    if (!code)
        code = bounds(cli, size, &first, &count);
    if (code)
        return code;
    if (to_file) {
        code = copy_to_file(cli, output, first, count);
        if (!code && cli->json)
            printf("{\"size\": %lld, \"first\": %lld, \"bytes\": %lld}\n", (long long)size, (long long)first,
                   (long long)count);
        return code ? code : cli_flush_output(cli);
    }
    struct cli_sink sink;
    code = cli_sink_open(&sink, cli, NULL, true);
    return code ? code : copy(cli, &sink, first, count);
}

static int blob_size(struct cli *cli)
{
    int64_t size;
    int code = cli_connect(cli);
    if (!code)
        code = get_size(cli, &size);
    if (code)
        return code;
    printf(cli->json ? "{\"size\": %lld}\n" : "%lld\n", (long long)size);
    return cli_flush_output(cli);
}

static const struct cli_option blob_put_options[] = {
    {0, "handle", "HANDLE", "the data handle: 1 to 128 of A-Z a-z 0-9 . _ - ; without, one is made"},
    {0, NULL, NULL, NULL},
};

static const struct cli_option blob_get_options[] = {
    {0, "output", "FILE", "write to FILE, instead of standard output: it is there when all of it is"},
    {0, "force", NULL, "replace FILE when it has something in it already"},
    {0, "range", "FIRST-LAST", "only these bytes, from 0 on; FIRST- for all from there, -N for the last N"},
    {'q', "quiet", NULL, "no progress"},
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_blob_put_command = {
    .name = "blob put",
    .operands = "HRN LAYER [FILE]",
    .min_operands = 2,
    .max_operands = 3,
    .summary = "store a file's bytes as a blob and print its data handle",
    .details =
        "Without FILE, or with -, standard input is stored. A blob lives as long as the layer keeps "
        "messages (its ttl), and is in no message: `streamlayer produce` stores payloads over 1 MiB by "
        "itself. A handle that is there already is replaced.",
    .examples = "  streamlayer blob put hrn:here:data::local:traffic tiles tile.bin\n"
                "  tar c maps | streamlayer blob put HRN LAYER --handle maps.tar\n",
    .options = blob_put_options,
    .changes = true,
    .related = "produce",
    .run = blob_put,
};

const struct cli_command cli_blob_get_command = {
    .name = "blob get",
    .operands = "HRN LAYER HANDLE",
    .min_operands = 3,
    .max_operands = 3,
    .summary = "fetch a blob by its data handle",
    .details =
        "It comes in parts of 4 MiB; where the connection breaks, it goes on there. With --output, a "
        "file beside FILE, whose name ends in .part, is written and becomes FILE when it is whole; what "
        "fails or is "
        "interrupted leaves nothing. A FILE that has something in it is left alone unless --force is given.",
    .examples = "  streamlayer blob get hrn:here:data::local:traffic tiles HANDLE --output tile.bin\n"
                "  streamlayer blob get HRN LAYER HANDLE --output tile.bin --force\n"
                "  streamlayer blob get HRN LAYER HANDLE --range 0-99 | xxd\n",
    .options = blob_get_options,
    .related = "consume",
    .run = blob_get,
};

const struct cli_command cli_blob_size_command = {
    .name = "blob size",
    .operands = "HRN LAYER HANDLE",
    .min_operands = 3,
    .max_operands = 3,
    .summary = "print a blob's size in bytes",
    .examples = "  streamlayer blob size HRN LAYER HANDLE\n"
                "  streamlayer blob size HRN LAYER HANDLE --json\n",
    .run = blob_size,
};
