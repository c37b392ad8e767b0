/* The data directory: nobody else may write to it, nor read what is in it. */
#ifndef GW_STORE_DIRECTORY_H
#define GW_STORE_DIRECTORY_H

#include "base/log.h"
#include <streamlayer/error.h>

/* Whether an errno says that there is no room on the disk, or that the user has used up his part of it. What
 * failed so is told as SL_IO and retriable. */
bool gw_disk_is_full(int reason);

/* Makes it (0700), and its parents, where they are missing, and checks it. Errors: SL_BAD_CONFIG: not set;
 * others may write to it. SL_IO. */
sl_status gw_data_directory_ensure(const char *data_directory, sl_error *error);
/* Whether one that is not there could be made, told beforehand: SL_IO where not. */
sl_status gw_data_directory_can_be_made(const char *data_directory, sl_error *error);
/* Checks the one that is there: SL_NOT_FOUND where there is none. */
sl_status gw_data_directory_check(const char *data_directory, sl_error *error);
/* What holds secrets and others could read is made readable by its owner alone, and told. Errors: SL_IO: a
 * file is somebody else's. By who holds the directory, before its files are opened. */
sl_status gw_data_directory_tighten(const char *data_directory, const struct sl_log *log, sl_error *error);
/* The same, told beforehand, and nothing is changed. */
sl_status gw_data_directory_look(const char *data_directory, const struct sl_log *log, sl_error *error);

#endif
