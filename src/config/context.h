/* Named contexts: several platforms in one file of the user's, contexts.conf. docs/cli.md describes it. */
#ifndef SL_CONFIG_CONTEXT_H
#define SL_CONFIG_CONTEXT_H

#include "hocon/hocon.h"
#include <streamlayer/config.h>

/* $XDG_CONFIG_HOME/streamlayer/NAME, or below ~/.config; released with free. *file NULL: there is no home. */
sl_status sl_user_file(const char *name, char **file, sl_error *error);

/* contexts.conf, resolved; *contexts NULL: there is none. */
sl_status sl_contexts_read(struct hocon **contexts, sl_error *error);
/* The object that holds the contexts, each a field; NULL: there is none. */
const struct hocon_value *sl_contexts_all(const struct hocon *contexts);
/* The context that `streamlayer context use` has chosen, or NULL. The document's. */
const char *sl_contexts_current(const struct hocon *contexts);
/* 1 to 64 letters, digits, '-' and '_'. */
bool sl_context_name_ok(const char *name);

/* Lays the settings of a context on the pile (as lay in config.c does). */
sl_status sl_context_lay(struct hocon **pile, const struct hocon *contexts, const char *name,
                         sl_error *error);

/* sl_config_load, but no context counts: for `up`, which is no client of a platform. */
sl_status sl_config_load_no_context(sl_config *config, const char *file, sl_error *error);

#endif
