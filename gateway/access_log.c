#include "gateway/access_log.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_MAX ((size_t)4 << 20)  /* a loop's, that waits to be written */
#define EAGER      ((size_t)64 << 10) /* from so many bytes on the thread is woken */
#define PAUSE_MS   200

struct lane {
    pthread_mutex_t lock;
    struct sl_buffer filling;
    struct sl_buffer writing; /* the thread's */
};

struct gw_access_log {
    char *file;
    enum gw_access_format format;
    struct sl_log log;
    int fd;
    pthread_t thread;
    pthread_mutex_t lock; /* fd, and what follows */
    pthread_cond_t wake;
    bool started, ending, eager;
    bool failing; /* told already */
    atomic_ullong lost;
    unsigned long long told; /* of those lost */
    unsigned count;
    struct lane lanes[];
};

/* --- a line --- */

/* As Apache has it: what is no printable ASCII, quotes and backslashes are escaped; nothing is "-". */
static bool add_quoted(struct sl_buffer *line, const char *text)
{
    for (const char *c = text ? text : "-"; *c; c++) {
        bool fits;
        if (*c == '"' || *c == '\\')
            fits = sl_buffer_printf(line, "\\%c", *c);
        else if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            fits = sl_buffer_printf(line, "\\x%02x", (unsigned char)*c);
        else
            fits = sl_buffer_append(line, c, 1);
        if (!fits)
            return false;
    }
    return true;
}

/* Without quotes around it: a blank would end it. */
static bool add_word(struct sl_buffer *line, const char *text)
{
    return text && sl_is_token_text(text, 256) ? add_quoted(line, text) : sl_buffer_append(line, "-", 1);
}

static bool add_combined(const struct gw_access_entry *entry, struct sl_buffer *line)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(entry->begun_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    return add_word(line, entry->client) && sl_buffer_append(line, " - ", 3) &&
           add_word(line, entry->application) &&
           sl_buffer_printf(line, " [%02d/%s/%04d:%02d:%02d:%02d +0000] \"", utc.tm_mday, months[utc.tm_mon],
                            utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec) &&
           add_quoted(line, entry->method) && sl_buffer_append(line, " ", 1) &&
           add_quoted(line, entry->target) && sl_buffer_append(line, " ", 1) &&
           add_quoted(line, entry->version) &&
           sl_buffer_printf(line, "\" %d %llu \"", entry->status, (unsigned long long)entry->bytes) &&
           add_quoted(line, entry->referer) && sl_buffer_append(line, "\" \"", 3) &&
           add_quoted(line, entry->agent) && sl_buffer_append(line, "\"\n", 2);
}

/* A member that is known. */
static bool add_member(struct sl_buffer *line, const char *name, const char *text)
{
    return !text || (sl_buffer_printf(line, ",\"%s\":", name) && sl_buffer_append_quoted_text(line, text));
}

static bool add_json(const struct gw_access_entry *entry, struct sl_buffer *line)
{
    time_t seconds = (time_t)(entry->begun_ms / 1000);
    struct tm utc;
    char stamp[32];
    gmtime_r(&seconds, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    return sl_buffer_printf(line,
                            "{\"time\":\"%s.%03dZ\",\"status\":%d,\"bytes\":%llu,\"duration\":%.6f,"
                            "\"complete\":%s",
                            stamp, (int)(entry->begun_ms % 1000), entry->status,
                            (unsigned long long)entry->bytes, (double)entry->duration_us / 1e6,
                            entry->whole ? "true" : "false") &&
           add_member(line, "client", entry->client) && add_member(line, "application", entry->application) &&
           add_member(line, "method", entry->method) && add_member(line, "target", entry->target) &&
           add_member(line, "protocol", entry->version) && add_member(line, "route", entry->route) &&
           add_member(line, "requestId", entry->id) &&
           add_member(line, "correlationId", entry->correlation) &&
           add_member(line, "referer", entry->referer) && add_member(line, "userAgent", entry->agent) &&
           sl_buffer_append(line, "}\n", 2);
}

bool gw_access_format_entry(const struct gw_access_entry *entry, enum gw_access_format format,
                            struct sl_buffer *line)
{
    size_t before = line->size;
    bool fits = format == GW_ACCESS_JSON ? add_json(entry, line) : add_combined(entry, line);
    if (!fits) {
        line->size = before; /* no half lines */
        line->failed = false;
    }
    return fits;
}

/* --- writing --- */

static bool write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        data += written;
        size -= (size_t)written;
    }
    return true;
}

static size_t lines_in(const struct sl_buffer *buffer)
{
    size_t lines = 0;
    for (const char *c = buffer->data, *end = c + buffer->size; buffer->size && c < end; lines++) {
        const char *newline = memchr(c, '\n', (size_t)(end - c));
        c = newline ? newline + 1 : end;
    }
    return lines;
}

/* Under the lock. */
static void write_lane(struct gw_access_log *access, struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    struct sl_buffer swap = lane->filling;
    lane->filling = lane->writing;
    lane->writing = swap;
    pthread_mutex_unlock(&lane->lock);
    bool written = write_all(access->fd, lane->writing.data, lane->writing.size);
    if (!written) {
        atomic_fetch_add(&access->lost, lines_in(&lane->writing));
        if (!access->failing)
            SL_ERROR(&access->log, "access log: cannot write %s: %s; its lines are lost until it can be",
                     access->file, sl_errno_text(errno));
    }
    if (lane->writing.size)
        access->failing = !written;
    lane->writing.size = 0;
}

static void tell_losses(struct gw_access_log *access)
{
    unsigned long long lost = atomic_load(&access->lost);
    if (lost != access->told && !access->failing)
        SL_WARNING(&access->log, "access log: %llu lines were left out: %s is slower than the requests",
                   lost - access->told, access->file);
    access->told = lost;
}

static void *write_on(void *opaque)
{
    struct gw_access_log *access = opaque;
    pthread_setname_np(pthread_self(), "access-log");
    pthread_mutex_lock(&access->lock);
    for (bool last = false; !last;) {
        struct timespec until = sl_mono_deadline(sl_mono_ms() + PAUSE_MS);
        int code = 0;
        while (!access->ending && !access->eager && !code)
            code = pthread_cond_timedwait(&access->wake, &access->lock, &until);
        access->eager = false;
        last = access->ending;
        for (unsigned i = 0; i < access->count; i++)
            write_lane(access, &access->lanes[i]);
        tell_losses(access);
    }
    pthread_mutex_unlock(&access->lock);
    return NULL;
}

static sl_status open_file(const struct gw_access_log *access, int *fd, sl_error *error)
{
    *fd = !strcmp(access->file, "-") ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                                     : open(access->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    return *fd >= 0
               ? SL_OK
               : sl_error_set(error, SL_IO,
                              "streamlayer.gateway.access-log.file: cannot open %s: %s: choose a file in "
                              "a directory that the gateway may write, or - for standard output",
                              access->file, sl_errno_text(errno));
}

sl_status gw_access_log_open(const char *file, enum gw_access_format format, unsigned loops,
                             const struct sl_log *log, struct gw_access_log **out, sl_error *error)
{
    struct gw_access_log *access = *out = calloc(1, sizeof *access + loops * sizeof(struct lane));
    if (!access)
        return sl_error_oom(error);
    access->fd = -1;
    access->format = format;
    access->count = loops;
    if (log)
        access->log = *log;
    pthread_mutex_init(&access->lock, NULL);
    sl_cond_init(&access->wake);
    for (unsigned i = 0; i < loops; i++) {
        pthread_mutex_init(&access->lanes[i].lock, NULL);
        sl_buffer_init(&access->lanes[i].filling, BUFFER_MAX);
        sl_buffer_init(&access->lanes[i].writing, BUFFER_MAX);
    }
    access->file = sl_strdup(file);
    sl_status status = access->file ? open_file(access, &access->fd, error) : sl_error_oom(error);
    if (!status && pthread_create(&access->thread, NULL, write_on, access))
        status = sl_error_set(error, SL_INTERNAL, "the access log's thread cannot be started");
    access->started = !status;
    if (status)
        gw_access_log_close(out);
    return status;
}

void gw_access_log_close(struct gw_access_log **out)
{
    struct gw_access_log *access = *out;
    if (!access)
        return;
    *out = NULL;
    if (access->started) {
        pthread_mutex_lock(&access->lock);
        access->ending = true;
        pthread_cond_signal(&access->wake);
        pthread_mutex_unlock(&access->lock);
        pthread_join(access->thread, NULL);
    }
    for (unsigned i = 0; i < access->count; i++) {
        sl_buffer_free(&access->lanes[i].filling);
        sl_buffer_free(&access->lanes[i].writing);
        pthread_mutex_destroy(&access->lanes[i].lock);
    }
    if (access->fd >= 0)
        close(access->fd);
    pthread_cond_destroy(&access->wake);
    pthread_mutex_destroy(&access->lock);
    free(access->file);
    free(access);
}

sl_status gw_access_log_reopen(struct gw_access_log *access, sl_error *error)
{
    int fd;
    sl_status status = open_file(access, &fd, error);
    if (status)
        return status;
    pthread_mutex_lock(&access->lock);
    int before = access->fd;
    access->fd = fd;
    access->failing = false;
    pthread_mutex_unlock(&access->lock);
    close(before);
    return SL_OK;
}

void gw_access_log_add(struct gw_access_log *access, unsigned loop, const struct gw_access_entry *entry)
{
    struct lane *lane = &access->lanes[loop];
    pthread_mutex_lock(&lane->lock);
    size_t before = lane->filling.size;
    bool fits = gw_access_format_entry(entry, access->format, &lane->filling);
    bool eager = before < EAGER && lane->filling.size >= EAGER;
    pthread_mutex_unlock(&lane->lock);
    if (!fits)
        atomic_fetch_add_explicit(&access->lost, 1, memory_order_relaxed);
    if (!eager || pthread_mutex_trylock(&access->lock))
        return; /* the thread is at it, or comes by itself */
    access->eager = true;
    pthread_cond_signal(&access->wake);
    pthread_mutex_unlock(&access->lock);
}

unsigned long long gw_access_log_lost(struct gw_access_log *access)
{
    return atomic_load(&access->lost);
}
