#include "gateway/store/directory.h"

#include "base/error.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool gw_disk_is_full(int reason)
{
    return reason == ENOSPC || reason == EDQUOT;
}

sl_status gw_data_directory_check(const char *directory, sl_error *error)
{
    struct stat info;
    if (!directory || !*directory)
        return sl_error_set(
            error, SL_BAD_CONFIG,
            "no data directory: set streamlayer.gateway.data-directory to where the gateway is "
            "to keep its catalogs");
    if (stat(directory, &info))
        return sl_error_set(error, errno == ENOENT ? SL_NOT_FOUND : SL_IO, "the data directory %s: %s",
                            directory, sl_errno_text(errno));
    if (!S_ISDIR(info.st_mode))
        return sl_error_set(error, SL_IO, "the data directory %s: %s", directory, sl_errno_text(ENOTDIR));
    if (info.st_mode & (S_IWGRP | S_IWOTH))
        return sl_error_set(
            error, SL_BAD_CONFIG,
            "others may write to the data directory %s (its mode is %03o), and could put another "
            "store in place of the gateway's: chmod go-w %s, or name a directory of its own",
            directory, (unsigned)info.st_mode & 0777, directory);
    if (access(directory, R_OK | W_OK | X_OK))
        return sl_error_set(
            error, SL_IO,
            "the data directory %s cannot be used by the user that the gateway runs as (user id "
            "%u): %s; give it to that user (chown -R), or name another directory",
            directory, (unsigned)geteuid(), sl_errno_text(errno));
    return SL_OK;
}

static bool make(const char *directory)
{
    char *path = strdup(directory);
    bool made = path != NULL;
    for (char *c = path + 1; made && *c; c++) { /* its parents, too */
        if (*c != '/')
            continue;
        *c = 0;
        made = !mkdir(path, 0700) || errno == EEXIST;
        *c = '/';
    }
    made = made && (!mkdir(path, 0700) || errno == EEXIST);
    int reason = errno;
    free(path);
    errno = reason;
    return made;
}

sl_status gw_data_directory_can_be_made(const char *directory, sl_error *error)
{
    char *path = sl_strdup(directory);
    struct stat info;
    if (!path)
        return sl_error_oom(error);
    /* The nearest of those above that is there. */
    char *end = path + strlen(path);
    const char *above = path;
    while (end > path && stat(path, &info) && errno == ENOENT) {
        while (end > path && *--end != '/')
            ;
        *end = 0;
    }
    if (!*path)
        above = *directory == '/' ? "/" : ".";
    sl_status status = SL_OK;
    if (access(above, W_OK | X_OK))
        status = sl_error_set(error, SL_IO,
                              "cannot make the data directory %s: %s: %s; make it and give it to the user "
                              "that the gateway runs as (chown), or name another directory",
                              directory, above, sl_errno_text(errno));
    free(path);
    return status;
}

sl_status gw_data_directory_ensure(const char *directory, sl_error *error)
{
    sl_status status = gw_data_directory_check(directory, error);
    if (status != SL_NOT_FOUND)
        return status;
    if (!make(directory))
        return sl_error_set(error, SL_IO, "cannot make the data directory %s: %s", directory,
                            sl_errno_text(errno));
    return gw_data_directory_check(directory, error);
}

/* Keys, and the store that has them, with what SQLite lays beside it and the copies of it. */
static bool holds_secrets(const char *name)
{
    static const char *const begins[] = {"catalogs.db", "nonces.db", "token-key", "credentials.properties"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (!strncmp(name, begins[i], strlen(begins[i])))
            return true;
    return length > 4 && !strcmp(name + length - 4, ".pem");
}

/* What is done about the files: only told, or mended as well. */
struct tightening {
    bool mends;
    const struct sl_log *log;
};

/* name: in the directory that fd is; shown: in the data directory. */
static sl_status tighten(const struct tightening *tightening, int fd, const char *name, const char *shown,
                         sl_error *error)
{
    struct stat info;
    if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) || (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)))
        return SL_OK;
    if (info.st_uid != geteuid())
        return sl_error_set(
            error, SL_IO,
            "%s belongs to another user (user id %u) than the one that the gateway runs as (user id "
            "%u): give it to that user (chown -R)",
            shown, (unsigned)info.st_uid, (unsigned)geteuid());
    if (!(info.st_mode & 077))
        return SL_OK;
    if (!tightening->mends) {
        SL_WARNING(tightening->log,
                   "%s can be read by others (its mode is %03o): the start makes it its owner's alone", shown,
                   (unsigned)info.st_mode & 0777);
        return SL_OK;
    }
    if (fchmodat(fd, name, info.st_mode & 0700, 0))
        return sl_error_set(error, SL_IO, "%s: others may read it, and its mode cannot be changed: %s", shown,
                            sl_errno_text(errno));
    SL_WARNING(tightening->log, "%s could be read by others (its mode was %03o): now by its owner alone",
               shown, (unsigned)info.st_mode & 0777);
    return SL_OK;
}

/* within: only what holds secrets, or all. */
static sl_status tighten_all(const struct tightening *tightening, const char *directory, bool all,
                             sl_error *error)
{
    DIR *list = opendir(directory);
    if (!list)
        return errno == ENOENT || errno == ENOTDIR
                   ? SL_OK
                   : sl_error_set(error, SL_IO, "cannot read the directory %s: %s", directory,
                                  sl_errno_text(errno));
    sl_status status = SL_OK;
    struct dirent *entry;
    while (!status &&
           (entry = readdir(list))) { /* NOLINT(concurrency-mt-unsafe): the stream is this call's own */
        if (*entry->d_name == '.' || (!all && !holds_secrets(entry->d_name)))
            continue;
        char *shown = sl_printf("%s/%s", directory, entry->d_name);
        status = shown ? tighten(tightening, dirfd(list), entry->d_name, shown, error) : sl_error_oom(error);
        free(shown);
    }
    closedir(list);
    return status;
}

static sl_status tighten_directory(const struct tightening *tightening, const char *directory,
                                   sl_error *error)
{
    char *keys = sl_printf("%s/token-keys", directory);
    if (!keys)
        return sl_error_oom(error);
    sl_status status = tighten_all(tightening, directory, false, error);
    if (!status)
        status = tighten_all(tightening, keys, true, error);
    free(keys);
    return status;
}

sl_status gw_data_directory_tighten(const char *directory, const struct sl_log *log, sl_error *error)
{
    const struct tightening mending = {true, log};
    return tighten_directory(&mending, directory, error);
}

sl_status gw_data_directory_look(const char *directory, const struct sl_log *log, sl_error *error)
{
    const struct tightening looking = {false, log};
    return tighten_directory(&looking, directory, error);
}
