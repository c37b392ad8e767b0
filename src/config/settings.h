/*
 * Typed access to settings, and the table that describes each one. From the table come the defaults, the
 * checks and the documentation page.
 */
#ifndef SL_CONFIG_SETTINGS_H
#define SL_CONFIG_SETTINGS_H

#include <stdint.h>
#include <streamlayer/config.h>

#define SL_ROOT "here.platform.data-client."

enum sl_setting_type {
    SL_TEXT,
    SL_CHOICE,
    SL_INTEGER,
    SL_BOOLEAN,
    SL_DURATION_MS,
    SL_SIZE_BYTES,
    SL_SECRET,
    SL_FILE,
    SL_SECTION
};

struct sl_setting {
    const char *path;
    enum sl_setting_type type;
    const char *value;          /* the default as HOCON text; NULL: none */
    int64_t min, max;           /* numbers, durations (ms), sizes (bytes) */
    const char *const *choices; /* SL_CHOICE: the allowed words, NULL-terminated */
    const char *environment;    /* the variable that sets it, or NULL */
    const char *meaning;
};
extern const struct sl_setting sl_settings[];
extern const size_t sl_setting_count;

/* The setting's value, checked: SL_BAD_CONFIG names path, origin, and what is allowed. An unknown path is a
 * fault of the caller's (SL_INTERNAL). */
sl_status sl_config_integer(const sl_config *config, const char *path, int64_t *value, sl_error *error);
sl_status sl_config_boolean(const sl_config *config, const char *path, bool *value, sl_error *error);
sl_status sl_config_duration_ms(const sl_config *config, const char *path, int64_t *value, sl_error *error);
sl_status sl_config_bytes(const sl_config *config, const char *path, int64_t *value, sl_error *error);
/* One of the choices; *value is the configuration's own text. */
sl_status sl_config_choice(const sl_config *config, const char *path, const char **value, sl_error *error);

sl_status sl_config_clone(const sl_config *config, sl_config **clone, sl_error *error);

#endif
