#include "gateway/store/blobs.h"

#include "base/error.h"
#include "base/text.h"
#include "gateway/store/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC  "SLBLOB1\n"
#define SUFFIX ".blob" /* so that the handles "." and ".." are names of files like any other */

/* What a file begins with. */
struct head {
    char magic[8];
    char checksum[72];
    char type[GW_BLOB_TYPE_MAX + 1];
    char encoding[GW_BLOB_TYPE_MAX + 1];
    char owner[GW_BLOB_OWNER_MAX + 1]; /* "": from before owners were kept */
    char spare[1024 - 8 - 72 - 2 * (GW_BLOB_TYPE_MAX + 1) - (GW_BLOB_OWNER_MAX + 1)];
};
_Static_assert(sizeof(struct head) == 1024, "files are read by later versions");

struct gw_blobs {
    int incoming, layers; /* directories */
    char *path;           /* of the data directory: for texts */
    /* Held while a name changes hands: the sweep must not remove what has just replaced an old blob, nor a
     * directory that a blob is about to be put into. */
    pthread_mutex_t names;
    atomic_ullong next; /* numbers temporary files */
};

struct gw_blob_file {
    struct gw_blobs *blobs;
    int fd;
    char name[32]; /* in incoming */
    int64_t size;
    EVP_MD_CTX *digest;
};

bool gw_handle_ok(const char *handle)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = strnlen(handle, GW_HANDLE_MAX + 1);
    return length && length <= GW_HANDLE_MAX && strspn(handle, legal) == length;
}

static sl_status disk_error(const struct gw_blobs *blobs, const char *what, int reason, sl_error *error)
{
    if (gw_disk_is_full(reason))
        return sl_error_set_retriable(error, SL_IO,
                                      "the disk that holds the gateway's blobs (%s/blobs) is full: nothing "
                                      "was stored",
                                      blobs->path);
    return sl_error_set(error, SL_IO, "%s in %s/blobs: %s", what, blobs->path, sl_errno_text(reason));
}

static int make_directory(int parent, const char *name)
{
    if (mkdirat(parent, name, 0700) && errno != EEXIST)
        return -1;
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Calls visit for each entry of the directory, but "." and "..". Returns an errno. */
static int each_entry(int directory, void (*visit)(void *opaque, int directory, const char *name),
                      void *opaque)
{
    int own = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = own < 0 ? NULL : fdopendir(own);
    if (!list) {
        int reason = errno;
        if (own >= 0)
            close(own);
        return reason;
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(list); /* NOLINT(concurrency-mt-unsafe): a list of its own */
        if (!entry)
            break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            visit(opaque, directory, entry->d_name);
    }
    int reason = errno;
    closedir(list);
    return reason;
}

static void remove_entry(void *opaque, int directory, const char *name)
{
    size_t *removed = opaque;
    if (!unlinkat(directory, name, 0) && removed)
        ++*removed;
}

sl_status gw_blobs_open(const char *data_directory, struct gw_blobs **out, sl_error *error)
{
    *out = NULL;
    struct gw_blobs *blobs = calloc(1, sizeof *blobs);
    if (!blobs)
        return sl_error_oom(error);
    pthread_mutex_init(&blobs->names, NULL);
    blobs->incoming = blobs->layers = -1;
    blobs->path = sl_strdup(data_directory);
    if (!blobs->path) {
        gw_blobs_close(&blobs);
        return sl_error_oom(error);
    }
    int data = open(data_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int root = data < 0 ? -1 : make_directory(data, "blobs");
    blobs->incoming = root < 0 ? -1 : make_directory(root, "incoming");
    blobs->layers = blobs->incoming < 0 ? -1 : make_directory(root, "layers");
    /* What lies in them is to outlast a loss of power: so must they. */
    bool made = blobs->layers >= 0 && !fsync(root) && !fsync(data);
    int reason = made ? each_entry(blobs->incoming, remove_entry, NULL) : errno;
    if (data >= 0)
        close(data);
    if (root >= 0)
        close(root);
    if (reason) {
        sl_status status = disk_error(blobs, "cannot make a directory", reason, error);
        gw_blobs_close(&blobs);
        return status;
    }
    *out = blobs;
    return SL_OK;
}

void gw_blobs_close(struct gw_blobs **out)
{
    struct gw_blobs *blobs = *out;
    if (!blobs)
        return;
    *out = NULL;
    if (blobs->incoming >= 0)
        close(blobs->incoming);
    if (blobs->layers >= 0)
        close(blobs->layers);
    pthread_mutex_destroy(&blobs->names);
    free(blobs->path);
    free(blobs);
}

/* All of it, or an errno. */
static int write_whole(int fd, const char *data, size_t size, int64_t offset)
{
    while (size) {
        ssize_t written = pwrite(fd, data, size, offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        if (written == 0)
            return ENOSPC;
        data += written;
        size -= (size_t)written;
        offset += written;
    }
    return 0;
}

sl_status gw_blob_begin(struct gw_blobs *blobs, struct gw_blob_file **out, sl_error *error)
{
    *out = NULL;
    struct gw_blob_file *file = calloc(1, sizeof *file);
    if (!file)
        return sl_error_oom(error);
    file->blobs = blobs;
    snprintf(file->name, sizeof file->name, "%llx", atomic_fetch_add(&blobs->next, 1));
    file->fd = openat(blobs->incoming, file->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    sl_status status = file->fd < 0 ? disk_error(blobs, "cannot make a file", errno, error) : SL_OK;
    if (!status) {
        file->digest = EVP_MD_CTX_new();
        if (!file->digest || !EVP_DigestInit_ex(file->digest, EVP_sha256(), NULL))
            status = sl_error_oom(error);
    }
    if (status)
        gw_blob_drop(&file);
    *out = file;
    return status;
}

sl_status gw_blob_write(struct gw_blob_file *file, const void *data, size_t size, sl_error *error)
{
    int reason = write_whole(file->fd, data, size, file->size + (int64_t)sizeof(struct head));
    if (reason)
        return disk_error(file->blobs, "cannot write a blob", reason, error);
    if (!EVP_DigestUpdate(file->digest, data, size))
        return sl_error_oom(error);
    file->size += (int64_t)size;
    return SL_OK;
}

sl_status gw_blob_seal(struct gw_blob_file *file, struct gw_blob_info *info, sl_error *error)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (!EVP_DigestFinal_ex(file->digest, digest, &length) || length != 32)
        return sl_error_set(error, SL_INTERNAL, "no SHA-256 could be made of a blob");
    sl_hex(digest, length, info->checksum);
    info->size = file->size;
    return SL_OK;
}

static bool blob_name(const char *handle, char name[GW_HANDLE_MAX + sizeof SUFFIX])
{
    return gw_handle_ok(handle) && snprintf(name, GW_HANDLE_MAX + sizeof SUFFIX, "%s" SUFFIX, handle) > 0;
}

/* Names come from the store of layers; still, none leads out of the directory. */
static bool topic_ok(const char *topic)
{
    return *topic && *topic != '.' && !strchr(topic, '/') && strlen(topic) <= NAME_MAX;
}

/* Reads the head; 0, or an errno. */
static int read_head(int fd, struct head *head)
{
    ssize_t got = pread(fd, head, sizeof *head, 0);
    if (got < 0)
        return errno;
    bool good = got == (ssize_t)sizeof *head && !memcmp(head->magic, MAGIC, sizeof head->magic) &&
                !head->type[GW_BLOB_TYPE_MAX] && !head->encoding[GW_BLOB_TYPE_MAX] &&
                !head->owner[GW_BLOB_OWNER_MAX];
    return good ? 0 : EBADMSG;
}

/* Whether the name is taken by another owner's blob. What has no head of ours is not replaced either. Returns
 * an errno. */
static int check_owner(int directory, const char *name, const char *owner, bool *taken)
{
    struct head head;
    int file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return errno == ENOENT ? 0 : errno;
    int reason = read_head(file, &head);
    close(file);
    *taken = !reason && strcmp(head.owner, owner) != 0;
    return reason;
}

/* Unless the name is taken, by another owner. Returns an errno. */
static int move_in(struct gw_blob_file *file, const char *topic, const char *name, const char *owner,
                   bool *taken)
{
    struct gw_blobs *blobs = file->blobs;
    pthread_mutex_lock(&blobs->names);
    int directory = make_directory(blobs->layers, topic);
    int reason = directory < 0 ? errno : check_owner(directory, name, owner, taken);
    if (!reason && !*taken && renameat(blobs->incoming, file->name, directory, name))
        reason = errno;
    pthread_mutex_unlock(&blobs->names);
    if (!reason && !*taken) {
        *file->name = 0; /* not here any more */
        /* The names themselves are to outlast a loss of power, too. When that fails the blob stays, though
         * nobody is told of it: another one that was told may have its name by now. */
        if (fsync(directory) || fsync(blobs->layers))
            reason = errno;
    }
    if (directory >= 0)
        close(directory);
    return reason;
}

sl_status gw_blob_keep(struct gw_blob_file **out, const char *topic, const char *handle, const char *owner,
                       const struct gw_blob_info *info, sl_error *error)
{
    struct gw_blob_file *file = *out;
    *out = NULL;
    char name[GW_HANDLE_MAX + sizeof SUFFIX];
    struct head head = {.magic = {0}};
    memcpy(head.magic, MAGIC, sizeof head.magic);
    memcpy(head.checksum, info->checksum, sizeof info->checksum);
    memcpy(head.type, info->type, sizeof head.type);
    memcpy(head.encoding, info->encoding, sizeof head.encoding);
    sl_status status = SL_OK;
    if (!topic_ok(topic) || !blob_name(handle, name)) {
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "\"%.200s\" is no data handle", handle);
    } else if (!*owner || strlen(owner) > GW_BLOB_OWNER_MAX) {
        status = sl_error_set(error, SL_INTERNAL, "\"%.200s\" is no application's id", owner);
    } else {
        memcpy(head.owner, owner, strlen(owner) + 1);
        bool taken = false;
        int reason = write_whole(file->fd, (const char *)&head, sizeof head, 0);
        if (!reason && fsync(file->fd))
            reason = errno;
        if (!reason)
            reason = move_in(file, topic, name, owner, &taken);
        if (taken)
            status = sl_error_set(error, SL_NOT_FOUND,
                                  "the layer has no blob \"%.200s\" that this application could replace: the "
                                  "data handle is another's. Nothing was stored",
                                  handle);
        else if (reason)
            status = disk_error(file->blobs, "cannot store a blob", reason, error);
    }
    gw_blob_drop(&file);
    return status;
}

void gw_blob_drop(struct gw_blob_file **out)
{
    struct gw_blob_file *file = *out;
    if (!file)
        return;
    *out = NULL;
    if (file->fd >= 0) {
        if (*file->name)
            unlinkat(file->blobs->incoming, file->name, 0);
        close(file->fd);
    }
    EVP_MD_CTX_free(file->digest);
    free(file);
}

static sl_status no_such(const char *handle, sl_error *error)
{
    return sl_error_set(error, SL_NOT_FOUND, "the layer has no blob \"%.200s\"", handle);
}

/* Reads the head and the size. Returns an errno: ENOENT when it is not that owner's (NULL: anyone's). */
static int read_info(int fd, const char *owner, struct gw_blob_info *info)
{
    struct head head;
    struct stat about;
    int reason = read_head(fd, &head);
    if (reason)
        return reason;
    if (owner && strcmp(head.owner, owner) != 0)
        return ENOENT;
    if (fstat(fd, &about))
        return errno;
    if (head.checksum[sizeof info->checksum - 1])
        return EBADMSG;
    memcpy(info->checksum, head.checksum, sizeof info->checksum);
    memcpy(info->type, head.type, sizeof info->type);
    memcpy(info->encoding, head.encoding, sizeof info->encoding);
    info->size = about.st_size - (int64_t)sizeof head;
    return 0;
}

sl_status gw_blob_open(struct gw_blobs *blobs, const char *topic, const char *handle, const char *owner,
                       struct gw_blob_info *info, int *fd, int64_t *offset, sl_error *error)
{
    char name[GW_HANDLE_MAX + sizeof SUFFIX];
    if (!topic_ok(topic) || !blob_name(handle, name))
        return no_such(handle, error);
    char *path = sl_printf("%s/%s", topic, name);
    if (!path)
        return sl_error_oom(error);
    int file = openat(blobs->layers, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int reason = file < 0 ? errno : read_info(file, owner, info);
    free(path);
    if (!reason && fd) {
        *fd = file;
        *offset = (int64_t)sizeof(struct head);
        return SL_OK;
    }
    if (file >= 0)
        close(file);
    if (reason == ENOENT || reason == ENOTDIR)
        return no_such(handle, error);
    return reason ? disk_error(blobs, "cannot read a blob", reason, error) : SL_OK;
}

sl_status gw_blob_find(struct gw_blobs *blobs, const char *topic, const char *handle, const char *owner,
                       struct gw_blob_info *info, sl_error *error)
{
    return gw_blob_open(blobs, topic, handle, owner, info, NULL, NULL, error);
}

sl_status gw_blob_remove(struct gw_blobs *blobs, const char *topic, const char *handle, sl_error *error)
{
    char name[GW_HANDLE_MAX + sizeof SUFFIX];
    char *path = topic_ok(topic) && blob_name(handle, name) ? sl_printf("%s/%s", topic, name) : NULL;
    if (!path)
        return sl_error_oom(error);
    int reason = unlinkat(blobs->layers, path, 0) ? errno : 0;
    free(path);
    return reason && reason != ENOENT ? disk_error(blobs, "cannot remove a blob", reason, error) : SL_OK;
}

struct sweep {
    struct gw_blobs *blobs;
    int64_t now_ms;
    int64_t (*ttl_of)(void *opaque, const char *topic);
    void *opaque;
    int64_t until_s; /* of the layer at hand: what was stored before goes */
    size_t removed;
    int reason; /* the first failure's */
};

static void sweep_blob(void *opaque, int directory, const char *name)
{
    struct sweep *sweep = opaque;
    struct stat about;
    pthread_mutex_lock(&sweep->blobs->names);
    if (!fstatat(directory, name, &about, AT_SYMLINK_NOFOLLOW) && about.st_mtim.tv_sec < sweep->until_s &&
        !unlinkat(directory, name, 0))
        sweep->removed++;
    pthread_mutex_unlock(&sweep->blobs->names);
}

static void sweep_layer(void *opaque, int layers, const char *topic)
{
    struct sweep *sweep = opaque;
    int64_t ttl_ms = sweep->ttl_of(sweep->opaque, topic);
    int directory = openat(layers, topic, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0)
        return;
    int reason;
    if (ttl_ms < 0) {
        /* Nothing can be put here any more but by an upload that is under way: the next sweep's. */
        pthread_mutex_lock(&sweep->blobs->names);
        reason = each_entry(directory, remove_entry, &sweep->removed);
        unlinkat(layers, topic, AT_REMOVEDIR);
        pthread_mutex_unlock(&sweep->blobs->names);
    } else {
        sweep->until_s = (sweep->now_ms - ttl_ms - GW_BLOB_SPARE_TTL_MS) / 1000;
        reason = each_entry(directory, sweep_blob, sweep);
    }
    close(directory);
    if (reason && !sweep->reason)
        sweep->reason = reason;
}

sl_status gw_blobs_sweep(struct gw_blobs *blobs, int64_t now_ms,
                         int64_t (*ttl_of)(void *opaque, const char *topic), void *opaque, size_t *removed,
                         sl_error *error)
{
    struct sweep sweep = {.blobs = blobs, .now_ms = now_ms, .ttl_of = ttl_of, .opaque = opaque};
    int reason = each_entry(blobs->layers, sweep_layer, &sweep);
    if (removed)
        *removed = sweep.removed;
    if (!reason)
        reason = sweep.reason;
    return reason ? disk_error(blobs, "cannot remove old blobs", reason, error) : SL_OK;
}
