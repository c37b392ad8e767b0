#include "gateway/ledger/journal_internal.h"

#include "base/error.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME       "%06u"
#define NAME_SIZE  16
#define NUMBER_MAX 999999
#define ZEROS      ((size_t)1 << 20) /* are written at once */

static sl_status failure(const struct gw_journal *journal, sl_error *error)
{
    return sl_error_set(error, SL_IO, "%s: %s", journal->path, sl_errno_text(errno));
}

/* --- Files --- */

/* For writing past the cache, where that is possible; frames are read by the same descriptor. -1: errno. */
static int open_file(struct gw_journal *journal, const char *name)
{
    int flags = O_RDWR | O_DSYNC | O_CLOEXEC;
    if (!atomic_load(&journal->buffered)) {
        int fd = openat(journal->directory, name, flags | O_DIRECT);
        if (fd >= 0 || errno != EINVAL)
            return fd;
        atomic_store(&journal->buffered, true);
    }
    return openat(journal->directory, name, flags);
}

static bool add_file(struct gw_journal *journal, unsigned number, int64_t size)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof name, NAME, number);
    int fd = open_file(journal, name);
    if (fd < 0)
        return false;
    pthread_mutex_lock(&journal->lock);
    journal->files[journal->file_count++] =
        (struct gw_journal_file){.fd = fd, .number = number, .size = size};
    pthread_mutex_unlock(&journal->lock);
    return true;
}

static bool write_zeros(int fd, int64_t size)
{
    void *zeros = calloc(1, ZEROS);
    ssize_t wrote = 0;
    for (int64_t done = 0; zeros && done < size && wrote >= 0; done += wrote) {
        size_t rest = (size_t)(size - done) < ZEROS ? (size_t)(size - done) : ZEROS;
        wrote = pwrite(fd, zeros, rest, (off_t)done);
        if (wrote < 0 && errno == EINTR)
            wrote = 0;
    }
    free(zeros);
    return zeros && wrote >= 0 && !fsync(fd);
}

/* The lowest number that is not used. */
static unsigned free_number(const struct gw_journal *journal)
{
    unsigned number = 1;
    for (size_t i = 0; i < journal->file_count; i++)
        if (journal->files[i].number >= number)
            number = journal->files[i].number + 1;
    return number;
}

/* All blocks of it are written, and its name is on the disk: the last of the files then. A failure leaves
 * none behind. By who holds `making`, as find_free's caller who makes one then. */
static sl_status make_file(struct gw_journal *journal, int64_t size, sl_error *error)
{
    char name[NAME_SIZE];
    unsigned number = free_number(journal);
    if (journal->file_count >= (journal->bounded ? GW_JOURNAL_FILES_BOUND : GW_JOURNAL_FILES))
        return sl_error_set(error, SL_IO,
                            "%s: it has as many files as it may, and ledger.db does not take them",
                            journal->path);
    snprintf(name, sizeof name, NAME, number);
    int fd = openat(journal->directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good =
        fd >= 0 && write_zeros(fd, size) && !fsync(journal->directory) && add_file(journal, number, size);
    sl_status status = good ? SL_OK : failure(journal, error);
    if (fd >= 0)
        close(fd);
    if (!good && fd >= 0)
        unlinkat(journal->directory, name, 0);
    return status;
}

/* One that is released and large enough, or -1. Under the lock. */
static int find_free(const struct gw_journal *journal, int64_t size)
{
    for (size_t i = 0; i < journal->file_count; i++)
        if ((int)i != journal->current && journal->files[i].last <= journal->released &&
            journal->files[i].size >= size)
            return (int)i;
    return -1;
}

/* --- Opening --- */

static sl_status take_file(struct gw_journal *journal, const char *name, sl_error *error)
{
    struct stat file;
    int64_t number;
    if (*name == '.')
        return SL_OK;
    if (!sl_parse_int(name, 1, NUMBER_MAX, &number) || fstatat(journal->directory, name, &file, 0) ||
        !S_ISREG(file.st_mode))
        return sl_error_set(error, SL_IO, "%s: %s is none of its files: move it away", journal->path, name);
    if (journal->file_count == GW_JOURNAL_FILES)
        return sl_error_set(error, SL_IO, "%s: there are more than %d files in it", journal->path,
                            GW_JOURNAL_FILES);
    /* One that was being made when the gateway was killed may be shorter. */
    int64_t size = (int64_t)file.st_size / GW_FRAME_BLOCK * GW_FRAME_BLOCK;
    return add_file(journal, (unsigned)number, size) ? SL_OK : failure(journal, error);
}

static sl_status open_files(struct gw_journal *journal, sl_error *error)
{
    sl_status status = SL_OK;
    DIR *listing = opendir(journal->path);
    if (!listing)
        return failure(journal, error);
    while (!status) {
        const struct dirent *entry =
            readdir(listing); /* NOLINT(concurrency-mt-unsafe): a stream of its own */
        if (!entry)
            break;
        status = take_file(journal, entry->d_name, error);
    }
    closedir(listing);
    return status;
}

/* One that was being made when the gateway was killed: it is made now. */
static void complete_files(struct gw_journal *journal)
{
    char name[NAME_SIZE];
    for (size_t i = 0; i < journal->file_count; i++) {
        struct gw_journal_file *file = &journal->files[i];
        if (file->last || file->size >= GW_JOURNAL_FILE)
            continue;
        snprintf(name, sizeof name, NAME, file->number);
        int fd = openat(journal->directory, name, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && write_zeros(fd, GW_JOURNAL_FILE))
            file->size = GW_JOURNAL_FILE;
        if (fd >= 0)
            close(fd);
    }
}

static int open_directory(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static sl_status look_through(struct gw_journal *journal, uint64_t after, uint64_t *missing, sl_error *error)
{
    sl_status status = open_files(journal, error);
    if (status)
        return status;
    status = gw_journal_find(journal, after, missing, error);
    if (status) {
        sl_error_prefix(error, "%s", journal->path);
        return status;
    }
    complete_files(journal);
    if (journal->place_count)
        journal->next = journal->places[journal->place_count - 1].sequence + 1;
    return SL_OK;
}

sl_status gw_journal_open(const char *data_directory, const char *node, uint64_t after, bool bounded,
                          struct gw_journal **out, uint64_t *missing, sl_error *error)
{
    struct gw_journal *journal = *out = calloc(1, sizeof *journal);
    *missing = 0;
    if (!journal)
        return sl_error_oom(error);
    pthread_mutex_init(&journal->lock, NULL);
    pthread_mutex_init(&journal->making, NULL);
    journal->directory = journal->current = -1;
    journal->bounded = bounded;
    journal->next = after + 1;
    snprintf(journal->node, sizeof journal->node, "%s", node);
    journal->path = sl_printf("%s/ledger-journal", data_directory);
    if (!journal->path || posix_memalign(&journal->zeros, GW_FRAME_BLOCK, GW_FRAME_BLOCK))
        return sl_error_oom(error);
    memset(journal->zeros, 0, GW_FRAME_BLOCK);
    journal->directory = open_directory(journal->path);
    if (journal->directory >= 0)
        return look_through(journal, after, missing, error);
    return errno == ENOENT ? SL_OK : failure(journal, error);
}

void gw_journal_close(struct gw_journal **out)
{
    struct gw_journal *journal = *out;
    *out = NULL;
    if (!journal)
        return;
    for (size_t i = 0; i < journal->file_count; i++)
        close(journal->files[i].fd);
    if (journal->directory >= 0)
        close(journal->directory);
    pthread_mutex_destroy(&journal->lock);
    pthread_mutex_destroy(&journal->making);
    free(journal->places);
    free(journal->zeros);
    free(journal->path);
    free(journal);
}

/* --- Appending --- */

uint64_t gw_journal_next(const struct gw_journal *journal)
{
    return journal->next;
}

/* With its name on the disk. */
static sl_status make_directory(struct gw_journal *journal, sl_error *error)
{
    if (mkdir(journal->path, 0700) && errno != EEXIST)
        return failure(journal, error);
    int directory = open_directory(journal->path);
    int parent = directory < 0 ? -1 : openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sl_status status = parent < 0 || fsync(parent) ? failure(journal, error) : SL_OK;
    if (parent >= 0)
        close(parent);
    if (!status)
        journal->directory = directory;
    else if (directory >= 0)
        close(directory);
    return status;
}

/* A released file, or a new one; -1: error says why there is none. */
static int next_file(struct gw_journal *journal, int64_t size, sl_error *error)
{
    pthread_mutex_lock(&journal->making); /* one may be made just now */
    pthread_mutex_lock(&journal->lock);
    int found = find_free(journal, size);
    pthread_mutex_unlock(&journal->lock);
    if (found < 0 && !make_file(journal, size > GW_JOURNAL_FILE ? size : GW_JOURNAL_FILE, error))
        found = (int)journal->file_count - 1;
    pthread_mutex_unlock(&journal->making);
    return found;
}

/* Makes sure that so many bytes have a place at journal->at. */
static sl_status find_place(struct gw_journal *journal, int64_t size, sl_error *error)
{
    if (journal->current >= 0 && journal->at + size <= journal->files[journal->current].size)
        return SL_OK;
    sl_status status = journal->directory < 0 ? make_directory(journal, error) : SL_OK;
    if (status)
        return status;
    int found = next_file(journal, size, error);
    if (found < 0)
        return SL_IO;
    pthread_mutex_lock(&journal->lock);
    journal->current = found;
    journal->at = 0;
    pthread_mutex_unlock(&journal->lock);
    return SL_OK;
}

bool gw_journal_buffer(struct gw_journal *journal, int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || !(flags & O_DIRECT) || fcntl(fd, F_SETFL, flags & ~O_DIRECT))
        return false;
    atomic_store(&journal->buffered, true);
    return true;
}

static bool write_whole(struct gw_journal *journal, const void *bytes, size_t size)
{
    int fd = journal->files[journal->current].fd;
    for (size_t done = 0; done < size;) {
        ssize_t wrote = pwrite(fd, (const char *)bytes + done, size - done, (off_t)journal->at + (off_t)done);
        if (wrote > 0)
            done += (size_t)wrote;
        else if (!wrote)
            errno = ENOSPC;
        if (wrote <= 0 && errno != EINTR && !(errno == EINVAL && gw_journal_buffer(journal, fd)))
            return false;
    }
    return true;
}

/* What failed may be on the disk all the same, whole. */
static sl_status untear(struct gw_journal *journal, sl_error *error)
{
    if (journal->torn && !write_whole(journal, journal->zeros, GW_FRAME_BLOCK))
        return failure(journal, error);
    journal->torn = false;
    return SL_OK;
}

sl_status gw_journal_probe(struct gw_journal *journal, sl_error *error)
{
    sl_status status = untear(journal, error);
    if (!status)
        status = find_place(journal, GW_FRAME_BLOCK, error);
    if (status)
        return status;
    journal->torn = true; /* as if something had failed here: so a block is written */
    return untear(journal, error);
}

sl_status gw_journal_append(struct gw_journal *journal, const void *frame, size_t size, sl_error *error)
{
    sl_status status = untear(journal, error);
    if (!status)
        status = find_place(journal, (int64_t)size, error);
    if (status)
        return status;
    if (!write_whole(journal, frame, size)) {
        status = failure(journal, error);
        journal->torn = true;
        untear(journal, NULL);
        return status;
    }
    pthread_mutex_lock(&journal->lock);
    journal->files[journal->current].last = journal->next++;
    journal->at += (int64_t)size;
    pthread_mutex_unlock(&journal->lock);
    return SL_OK;
}

/* --- Beside it --- */

void gw_journal_release(struct gw_journal *journal, uint64_t sequence)
{
    pthread_mutex_lock(&journal->lock);
    if (sequence > journal->released)
        journal->released = sequence;
    pthread_mutex_unlock(&journal->lock);
}

uint64_t gw_journal_released(struct gw_journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    uint64_t released = journal->released;
    pthread_mutex_unlock(&journal->lock);
    return released;
}

bool gw_journal_wants_release(struct gw_journal *journal, uint64_t sequence)
{
    bool wants = false;
    pthread_mutex_lock(&journal->lock);
    for (size_t i = 0; i < journal->file_count; i++)
        wants |= (int)i != journal->current && journal->files[i].last > journal->released &&
                 journal->files[i].last <= sequence;
    pthread_mutex_unlock(&journal->lock);
    return wants;
}

void gw_journal_prepare(struct gw_journal *journal)
{
    pthread_mutex_lock(&journal->making);
    pthread_mutex_lock(&journal->lock);
    int current = journal->current;
    bool wants = current >= 0 && journal->at > journal->files[current].size / 2 &&
                 find_free(journal, GW_JOURNAL_FILE) < 0;
    pthread_mutex_unlock(&journal->lock);
    if (wants)
        make_file(journal, GW_JOURNAL_FILE, NULL);
    pthread_mutex_unlock(&journal->making);
}

void gw_journal_remove(struct gw_journal *journal)
{
    char name[NAME_SIZE];
    for (size_t i = 0; i < journal->file_count; i++) {
        snprintf(name, sizeof name, NAME, journal->files[i].number);
        unlinkat(journal->directory, name, 0);
    }
    if (journal->directory >= 0)
        rmdir(journal->path);
}
