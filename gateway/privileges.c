#include "gateway/privileges.h"

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "config/settings.h"
#include "gateway/store/db.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define USER SL_GATEWAY_ROOT "user"

static sl_status refuse(const sl_config *config, const char *name, const char *text, sl_error *error)
{
    const char *origin = sl_config_origin(config, USER);
    return sl_error_set(error, SL_BAD_CONFIG, "%s: " USER " = %s: %s", origin ? origin : "-", name, text);
}

sl_status gw_user_read(const sl_config *config, struct gw_user *user, sl_error *error)
{
    const char *name = sl_config_get(config, USER);
    char room[16384]; /* an entry of /etc/passwd, or of what stands in for it */
    struct passwd entry, *found = NULL;
    *user = (struct gw_user){.name = name && *name ? name : NULL};
    if (!user->name)
        return SL_OK;
    int code = getpwnam_r(name, &entry, room, sizeof room, &found);
    if (code)
        return sl_error_set(error, SL_IO, USER " = %s: the list of users cannot be read: %s", name,
                            sl_errno_text(code));
    if (!found)
        return refuse(config, name, "there is no such user: make it (adduser --system), or name another",
                      error);
    snprintf(user->home, sizeof user->home, "%s", entry.pw_dir);
    user->uid = entry.pw_uid;
    user->gid = entry.pw_gid;
    if (geteuid() != 0 && geteuid() != user->uid)
        return refuse(
            config, name,
            "only root can become another user: start the gateway as root, or as that user, or leave "
            "the setting out",
            error);
    return SL_OK;
}

sl_status gw_user_move_home(const sl_config *config, bool *moved, sl_error *error)
{
    struct gw_user user;
    const char *home = getenv("HOME"); /* NOLINT(concurrency-mt-unsafe): there are no threads yet */
    sl_status status = gw_user_read(config, &user, error);
    *moved = !status && user.name && geteuid() == 0 && (!home || strcmp(home, user.home) != 0);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe) */
    if (*moved && (setenv("HOME", user.home, 1) || unsetenv("XDG_CONFIG_HOME")))
        status = sl_error_oom(error);
    return status;
}

sl_status gw_user_make_directory(const struct gw_user *user, const char *directory, sl_error *error)
{
    struct stat info;
    if (!user->name || geteuid() != 0 || !directory || !*directory || !stat(directory, &info))
        return SL_OK;
    /* The topmost directory that is missing: from there on all are the user's. */
    char *path = strdup(directory);
    if (!path)
        return sl_error_oom(error);
    size_t length = strlen(path), have = 0;
    for (size_t i = 1; i < length; i++)
        if (path[i] == '/') {
            path[i] = '\0';
            bool there = !stat(path, &info);
            path[i] = '/';
            if (!there)
                break;
            have = i;
        }
    sl_status status = gw_data_directory_ensure(directory, error);
    for (size_t i = have + 1; i <= length && !status; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        char rest = path[i];
        path[i] = '\0';
        if (lchown(path, user->uid, user->gid))
            status = sl_error_set(error, SL_IO, "cannot give %s to %s: %s", path, user->name,
                                  sl_errno_text(errno));
        path[i] = rest;
    }
    free(path);
    return status;
}

static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
    memset(none, 0, sizeof none);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return !syscall(SYS_capset, &header, none);
}

/* Those that nobody here, and nothing that is executed, may ever have; needs CAP_SETPCAP. */
static void drop_bounding_set(void)
{
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

static sl_status become(const struct gw_user *user, sl_error *error)
{
    drop_bounding_set();
    if (initgroups(user->name, user->gid) || setresgid(user->gid, user->gid, user->gid) ||
        setresuid(user->uid, user->uid, user->uid))
        return sl_error_set(error, SL_IO, "cannot become the user %s: %s", user->name, sl_errno_text(errno));
    /* There must be no way back. */
    if (user->uid != 0 && (setuid(0) == 0 || seteuid(0) == 0 || (user->gid != 0 && setgid(0) == 0)))
        return sl_error_set(error, SL_INTERNAL, "became %s, and could be root again", user->name);
    return SL_OK;
}

sl_status gw_user_become(const struct gw_user *user, sl_error *error)
{
    if (user->name && geteuid() == 0) {
        sl_status status = become(user, error);
        if (status)
            return status;
    }
    if (geteuid() != 0 && !drop_capabilities())
        return sl_error_set(error, SL_IO, "cannot give up capabilities: %s", sl_errno_text(errno));
    sl_forbid_cores(); /* changing users may have allowed them again */
    return SL_OK;
}

void gw_confine(void)
{
    (void)umask(077);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    sl_forbid_cores();
}
