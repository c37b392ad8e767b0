/* What a gateway's process may do, and gives up once its sockets are bound and the files of TLS are read. */
#ifndef GW_PRIVILEGES_H
#define GW_PRIVILEGES_H

#include <limits.h>
#include <stdbool.h>
#include <streamlayer/config.h>
#include <sys/types.h>

/* A user to become. */
struct gw_user {
    const char *name; /* the configuration's own text; NULL: stay as one is */
    uid_t uid;
    gid_t gid;
    char home[PATH_MAX];
};
/* streamlayer.gateway.user, and whether this process may become it. Errors: SL_BAD_CONFIG: there is no such
 * user; only root can become another one. */
sl_status gw_user_read(const sl_config *config, struct gw_user *user, sl_error *error);

/* From now on the home directory is the user's, where root is to become one: settings are then to be loaded
 * anew, as a reload will. *moved: it was another. Before there are threads. Errors: those of gw_user_read. */
sl_status gw_user_move_home(const sl_config *config, bool *moved, sl_error *error);

/* A data directory that is not there is made for the user, with its parents. Before gw_user_become. */
sl_status gw_user_make_directory(const struct gw_user *user, const char *directory, sl_error *error);

/* Becomes the user, with its groups, for good, and gives up all capabilities; also of who stays as he is, but
 * for root. Nothing that the process executes has more. Before there are threads: capabilities are a thread's
 * own. Errors: SL_IO. */
sl_status gw_user_become(const struct gw_user *user, sl_error *error);

/* From the beginning: files are made for their owner alone, no program that is executed gets more rights, no
 * core files. */
void gw_confine(void);

#endif
