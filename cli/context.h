/* contexts.conf, as `streamlayer context` and `streamlayer up` change it. */
#ifndef CLI_CONTEXT_H
#define CLI_CONTEXT_H

#include "cli.h"

/*
 * Makes name the context of the platform that `up` runs, with that configuration file, and the current
 * context where there is none. An entry that is somebody else's, or of another `up` that still runs, stays.
 * Sets *current to whether name is current and now means file, and *before, released with free, to the file
 * of an `up` that has ended and whose name it was, or NULL. false: it is not registered, and why is in
 * *error.
 */
bool cli_context_register(const char *name, const char *file, bool *current, char **before, sl_error *error);

/* Whether the configuration file that context name (NULL: the current one) refers to is not there. */
bool cli_context_file_is_missing(const char *name);

#endif
