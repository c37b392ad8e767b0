/* Inside config: what its files share. */
#ifndef SL_CONFIG_CONFIG_H
#define SL_CONFIG_CONFIG_H

#include "config/reference.h"
#include "config/settings.h"
#include "hocon/hocon.h"

#define SL_LOOKUP_ENV_PATH SL_ROOT "endpoint-locator.discovery-service-env"
#define SL_LOOKUP_URL_PATH SL_ROOT "endpoint-locator.discovery-service-url"
#define SL_LAYERS_FORM     "{ \"hrn:…:catalog\" { layer { connector.producer = … } } }"
#define SL_NAMED_FORM      "{ name { setting = value ... } ... }"
#define SL_NAME_RULE       "1 to 64 letters, digits, '-' and '_', the first a letter or digit"

/* The resolved tree; NULL for an invalid handle. */
const struct hocon_value *sl_config_root(const sl_config *config);
/* The value at path; NULL when nothing or null is there. */
const struct hocon_value *sl_config_value(const sl_config *config, const char *path);
/* As sl_config_origin. */
const char *sl_config_value_origin(const struct hocon_value *value);

/* Where settings are loaded from, beside the user's file and the environment. */
struct sl_places {
    const char *system;         /* NULL: the installation's */
    const char *file, *context; /* the platform's: of these the first that is given, or NULL */
    bool no_context;
};
sl_status sl_config_load_places(sl_config *config, const struct sl_places *places, sl_error *error);

/* *pile becomes over (taken, also on errors) laid on what it was; *pile NULL: over alone. over is all of a
 * document: a setting that it has by another name counts. */
sl_status sl_config_lay(struct hocon **pile, struct hocon *over, sl_error *error);

/* Checks one value of a setting's: SL_BAD_CONFIG names origin, path, value and what is allowed. number (may
 * be NULL): the integer, boolean, milliseconds or bytes. */
sl_status sl_setting_check(const struct sl_setting *setting, const struct hocon_value *value, int64_t *number,
                           sl_error *error);

struct sl_secrets;
/* The same; secrets may be NULL, or what no error is to show. */
sl_status sl_setting_check_masked(const struct sl_setting *setting, const struct hocon_value *value,
                                  const struct sl_secrets *secrets, int64_t *number, sl_error *error);
/* The value as an error shows it: masked, cut at whole characters, and quoted when it is text. (Of a secret
 * setting any text is right: no error shows it.) out is returned. */
const char *sl_setting_shown(const struct hocon_value *value, const struct sl_secrets *secrets,
                             char out[128]);

/* A copy of the setting for errors at path, which has a name where the setting's has SL_NAME. */
struct sl_setting sl_setting_named(const struct sl_setting *setting, const char *path);
/* Whether key is a name as SL_NAME_RULE has it. */
bool sl_is_name(const char *key);
/* sl_config_each_path of a tree. */
bool sl_setting_each_path(const struct hocon_value *root, const struct sl_setting *setting,
                          void (*visit)(void *opaque, const struct sl_setting *setting, const char *path),
                          void *opaque);

/* Checks what stands in stream.layers: keys and values. Errors: as sl_setting_check_masked. */
sl_status sl_layers_check(const struct hocon_value *layers, const struct sl_secrets *secrets,
                          sl_error *error);

/* Checks that path, which a program has set, is a setting's, or one that files refer to: what nothing reads
 * is a slip. before, after: without and with it. SL_BAD_CONFIG names the nearest. */
sl_status sl_config_check_set(const sl_config *before, const sl_config *after, const char *path,
                              const char *origin, sl_error *error);

/* A list of scalars as they are joined with commas, released with free. NULL: not such a list
 * (*memory true), or no memory (*memory false). */
char *sl_config_join_list(const struct hocon_value *list, bool *memory);

#endif
