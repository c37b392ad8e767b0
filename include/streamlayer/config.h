/*
 * Configuration: HOCON files, and single settings by path.
 *
 * A sl_config holds the built-in defaults and what was laid over them; later wins. Paths are the Data
 * Client Library's, e.g. here.platform.data-client.stream.connector.producer. docs/configuration.md lists
 * every setting.
 *
 * Threads: a configuration may be read by many threads at once, but not while one changes it. Clients
 * copy it when they are created, and never look at the original again.
 */
#ifndef STREAMLAYER_CONFIG_H
#define STREAMLAYER_CONFIG_H

#include <stddef.h>
#include <streamlayer/error.h>

SL_BEGIN_DECLS

typedef struct sl_config sl_config; /* settings */

/*
 * Makes a configuration that holds the built-in defaults.
 *   Ownership: the caller destroys it.   Errors: SL_OUT_OF_MEMORY.
 */
SL_API SL_MUST_CHECK sl_status sl_config_create(sl_config **config, sl_error *error);

/* Releases it and sets the pointer to NULL; *config may be NULL. */
SL_API void sl_config_destroy(sl_config **config);

/*
 * Lays the usual places over it, in this order: /etc/streamlayer/application.conf (of an installation below
 * another prefix than /usr, that one's etc),
 * $XDG_CONFIG_HOME/streamlayer/application.conf (~/.config without it), then file; where file is NULL, the
 * first of these that there is: the context named by STREAMLAYER_CONTEXT, the file named by
 * STREAMLAYER_CONFIG, application.conf in the working directory, the current context. The environment
 * variables that docs/configuration.md lists come last.
 *   Errors: SL_IO (a named file cannot be read); SL_BAD_CONFIG with FILE:LINE:COLUMN; SL_NOT_FOUND (a named
 *   or current context is not there); SL_OUT_OF_MEMORY.
 *   On an error the configuration is as before.
 */
SL_API sl_status sl_config_load(sl_config *config, const char *file, sl_error *error);

/* The same, with a named context of $XDG_CONFIG_HOME/streamlayer/contexts.conf in place of the file
 * (docs/cli.md). Errors: as sl_config_load; SL_NOT_FOUND where there is no such context. */
SL_API sl_status sl_config_load_context(sl_config *config, const char *context, sl_error *error);

/* The name of the context that the last load has used; NULL: none. Owned as by sl_config_get. */
SL_API const char *sl_config_context(const sl_config *config);

/* Lays one file over it, and nothing else. Errors: as sl_config_load. */
SL_API sl_status sl_config_load_file(sl_config *config, const char *file, sl_error *error);

/* Lays HOCON text over it; origin names it in errors. text is size bytes, borrowed for the call.
 * Errors: as sl_config_load. */
SL_API sl_status sl_config_parse(sl_config *config, const char *text, size_t size, const char *origin,
                                 sl_error *error);

/* Sets one value, as text, over all that was loaded. Another name of a setting is the setting. A path that
 * nothing reads is refused, with the nearest one that something does. Errors: SL_BAD_CONFIG,
 * SL_OUT_OF_MEMORY. */
SL_API sl_status sl_config_set(sl_config *config, const char *path, const char *value, sl_error *error);

/*
 * The value at path as text, numbers and booleans as written.
 *   Ownership: the configuration's, until it is changed or destroyed; NULL when nothing is there or when it
 *   is an object or a list.   Errors: none.
 */
SL_API const char *sl_config_get(const sl_config *config, const char *path);

/* Where the value at path comes from ("FILE:LINE"; "environment NAME"; "API": sl_config_set; "-D" of the
 * command line; "default"), or NULL. Owned as by sl_config_get. */
SL_API const char *sl_config_origin(const sl_config *config, const char *path);

/* Checks every setting of ours: known, of the right type, within its range, and in keeping with the others.
 * Errors: SL_BAD_CONFIG, which says where, what is allowed, and the nearest known name: the first error that
 * sl_config_findings tells of, but that neither files nor the environment count here. */
SL_API sl_status sl_config_check(const sl_config *config, sl_error *error);

/* How grave a finding is. */
typedef enum sl_finding_level {
    SL_FINDING_NOTE, /* it has no effect, or not the one that it seems to have */
    SL_FINDING_ERROR /* no client is made with it, or it will not work */
} sl_finding_level;

/* Called for each thing that is wrong. path: the setting's, or "" where it is about none; origin: as
 * sl_config_origin has it, or ""; text: all of it, beginning with the origin, without any secret. What it is
 * given ends with the call. Returning false ends the search. */
typedef bool (*sl_finding_visitor)(void *opaque, sl_finding_level level, const char *path, const char *origin,
                                   const char *text);

/*
 * Tells everything that is wrong with a configuration, not only the first: what sl_config_check refuses,
 * files that settings name and that cannot be read, variables of the environment whose names are nearly those
 * of settings, and names that have no effect. Errors: SL_INVALID_HANDLE, SL_INVALID_ARGUMENT (visit is NULL),
 * SL_OUT_OF_MEMORY. Findings are none.
 */
SL_API sl_status sl_config_findings(const sl_config *config, sl_finding_visitor visit, void *opaque,
                                    sl_error *error);

/* Called for each value, in the order of paths. What it is given ends with the call. Returning false ends the
 * walk. */
typedef bool (*sl_config_visitor)(void *opaque, const char *path, const char *value, const char *origin);

/*
 * Visits each value at or below a path (NULL: all). Secrets come masked: those of settings and their copies
 * elsewhere, what by its name is a secret of somebody else's (sasl.password), and passwords in URLs.
 *   Errors: SL_INVALID_HANDLE, SL_INVALID_ARGUMENT (visit is NULL), SL_OUT_OF_MEMORY: some were not visited.
 */
SL_API sl_status sl_config_each(const sl_config *config, const char *below, sl_config_visitor visit,
                                void *opaque);

/*
 * A HOCON file as resolved JSON.
 *   Ownership: *json is NUL-terminated and released with sl_free.
 *   Errors: SL_IO, SL_BAD_CONFIG with FILE:LINE:COLUMN, SL_OUT_OF_MEMORY.
 */
SL_API SL_MUST_CHECK sl_status sl_config_render_file(const char *file, char **json, sl_error *error);

/* Releases what the library says is released with it; NULL is allowed. */
SL_API void sl_free(void *memory);

SL_END_DECLS

#endif
