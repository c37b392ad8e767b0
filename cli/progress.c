#include "progress.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_EVERY_MS   200
#define SAMPLE_EVERY_MS 1000
#define LONGEST         200 /* bytes of a line */

static bool is_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

void cli_progress_begin(struct cli_progress *progress, struct cli *cli, const char *verb, bool wanted)
{
    *progress = (struct cli_progress){.lock = PTHREAD_MUTEX_INITIALIZER,
                                      .on = wanted && !cli->json && !cli_flag(cli, "quiet") && is_terminal(),
                                      .verb = verb,
                                      .total = -1};
    progress->sampled_ms = progress->drawn_ms = cli_mono_ms();
    if (progress->on)
        cli->progress = progress;
}

/* The rates of the last second or so: what is past does not count. */
static void sample(struct cli_progress *progress, const struct cli_amount *amount, int64_t now_ms)
{
    int64_t passed_ms = now_ms - progress->sampled_ms;
    bool first = !progress->sampled_messages && !progress->sampled_bytes;
    if (passed_ms < SAMPLE_EVERY_MS && !first)
        return;
    double seconds = (double)passed_ms / 1000;
    progress->messages_rate = (double)(amount->messages - progress->sampled_messages) / seconds;
    progress->bytes_rate = (double)(amount->bytes - progress->sampled_bytes) / seconds;
    /* In the first second the line tells what there is so far. */
    if (passed_ms < SAMPLE_EVERY_MS)
        return;
    progress->sampled_messages = amount->messages;
    progress->sampled_bytes = amount->bytes;
    progress->sampled_ms = now_ms;
}

static void add(char line[LONGEST], const char *format, ...) SL_PRINTF(2, 3);
static void add(char line[LONGEST], const char *format, ...)
{
    size_t size = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + size, LONGEST - size, format, arguments);
    va_end(arguments);
}

static void compose(const struct cli_progress *progress, const struct cli_amount *amount, char line[LONGEST])
{
    char bytes[32], rate[32];
    cli_format_bytes((double)amount->bytes, bytes);
    cli_format_bytes(progress->bytes_rate, rate);
    snprintf(line, LONGEST, "%s ", progress->verb);
    if (progress->total < 0)
        add(line, "%llu %s, %s, %.0f msg/s, %s/s", (unsigned long long)amount->messages,
            sl_plural(amount->messages, "message", "messages"), bytes, progress->messages_rate, rate);
    else
        add(line, "%s, %s/s", bytes, rate);
    if (progress->total > 0)
        add(line, ", %d %%", (int)(100 * (double)amount->bytes / (double)progress->total));
    if (amount->queued)
        add(line, ", %zu under way", amount->queued);
    if (amount->failed)
        add(line, ", %llu failed", (unsigned long long)amount->failed);
    /* A line that wraps could not be rewritten. */
    struct winsize window;
    size_t columns = !ioctl(STDERR_FILENO, TIOCGWINSZ, &window) && window.ws_col ? window.ws_col : 80;
    if (strlen(line) >= columns)
        line[columns - 1] = 0;
}

void cli_progress_show(struct cli_progress *progress, const struct cli_amount *amount)
{
    int64_t now_ms = progress->on ? cli_mono_ms() : 0;
    if (!progress->on || now_ms - progress->drawn_ms < DRAW_EVERY_MS)
        return;
    char line[LONGEST];
    sample(progress, amount, now_ms);
    compose(progress, amount, line);
    pthread_mutex_lock(&progress->lock);
    progress->drawn_ms = now_ms;
    progress->shown = true;
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    pthread_mutex_unlock(&progress->lock);
}

void cli_progress_clear(struct cli_progress *progress)
{
    if (!progress)
        return;
    pthread_mutex_lock(&progress->lock);
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
    pthread_mutex_unlock(&progress->lock);
}

void cli_progress_end(struct cli_progress *progress, struct cli *cli)
{
    cli_progress_clear(progress);
    progress->on = false;
    cli->progress = NULL;
}
