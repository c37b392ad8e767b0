/*
 * Typed access to settings, and the table that describes each one. From the table come the defaults, the
 * checks and the documentation page.
 */
#ifndef SL_CONFIG_SETTINGS_H
#define SL_CONFIG_SETTINGS_H

#include <stdint.h>
#include <streamlayer/config.h>

#define SL_ROOT         "here.platform.data-client."
#define SL_GATEWAY_ROOT "streamlayer.gateway."

enum sl_setting_type {
    SL_TEXT,
    SL_CHOICE,
    SL_INTEGER,
    SL_BOOLEAN,
    SL_DURATION_MS,
    SL_SIZE_BYTES,
    SL_SECRET,
    SL_FILE,
    SL_SECTION,
    SL_LAYERS,  /* by HRN and layer: what .layered settings are for single layers */
    SL_URL,     /* http:// or https:// */
    SL_SERVERS, /* HOST:PORT, separated by commas */
    SL_NAMED    /* a section of sections, each with a name that the user chooses */
};

/* In a setting's path it stands for any such name: "streamlayer.gateway.token.issuers.NAME.issuer". */
#define SL_NAME "NAME"

struct sl_setting {
    const char *path;
    enum sl_setting_type type;
    const char *value;          /* the default as HOCON text; NULL: none */
    int64_t min, max;           /* numbers, durations (ms), sizes (bytes) */
    const char *const *choices; /* SL_CHOICE: the allowed words, NULL-terminated */
    const char *noun;           /* SL_CHOICE: what such a word is called: "connector" */
    const char *environment;    /* the variable that sets it, or NULL */
    bool layered;               /* below stream: may be set for single layers too, in stream.layers */
    const char *const *also;    /* other paths that mean it, NULL-terminated, or NULL */
    bool readable;              /* SL_FILE: a file that is to be there */
    bool reload;                /* the gateway's: a reload applies it, without a restart */
    const char *meaning;
};
/* The client's settings, then the gateway's (two tables, one a file); NULL past the last. */
const struct sl_setting *sl_setting_at(size_t index);
/* The one of that path, in which any name may stand where the setting's has SL_NAME. */
const struct sl_setting *sl_setting_find(const char *path);
/* The setting that path is another name of (struct sl_setting's also), or NULL. */
const struct sl_setting *sl_setting_meant_by(const char *path);
/* Whether some setting lies below path. */
bool sl_setting_is_group(const char *path);
/* The rest of the setting's path, where it lies below group; "" where it is group itself; else NULL. */
const char *sl_setting_below(const struct sl_setting *setting, const char *group);
/* Whether its path has SL_NAME in it. */
bool sl_setting_is_named(const struct sl_setting *setting);
/* The path that the setting has where typed, which may be cut short anywhere, has names for SL_NAME:
 * "issuers.one.audience" of "issuers.one.au". false: typed is no beginning of one, or has no name yet. */
bool sl_setting_path_typed(const struct sl_setting *setting, const char *typed, char *out, size_t size);

extern const struct sl_setting sl_client_settings[], sl_gateway_settings[];
extern const size_t sl_client_setting_count, sl_gateway_setting_count;

/* The setting's value, checked: SL_BAD_CONFIG names path, origin, and what is allowed, or says that it is not
 * set. A path that is not in the table with that type is a fault of the caller's (SL_INTERNAL). Texts:
 * sl_config_get. */
sl_status sl_config_integer(const sl_config *config, const char *path, int64_t *value, sl_error *error);
sl_status sl_config_boolean(const sl_config *config, const char *path, bool *value, sl_error *error);
sl_status sl_config_duration_ms(const sl_config *config, const char *path, int64_t *value, sl_error *error);
sl_status sl_config_bytes(const sl_config *config, const char *path, int64_t *value, sl_error *error);
/* Puts before an error where the setting is set, or else what it lies in: "app.conf:3: ". Nothing where no
 * file has either. */
void sl_config_prefix(const sl_config *config, const char *path, sl_error *error);
/* Several of them, up to the first that is wrong. */
struct sl_number {
    const char *path;
    sl_status (*read)(const sl_config *config, const char *path, int64_t *value, sl_error *error);
    int64_t *value;
};
sl_status sl_config_numbers(const sl_config *config, const struct sl_number *numbers, size_t count,
                            sl_error *error);
/* One of the choices; *value is the configuration's own text. */
sl_status sl_config_choice(const sl_config *config, const char *path, const char **value, sl_error *error);

/* The names in a section of SL_NAMED, which null does not make one; NULL past the last. The configuration's
 * own text. Settings below one are asked for by path, as any others. */
const char *sl_config_name_at(const sl_config *config, const char *path, size_t index);
/* Calls visit with each path that the setting has: of one with SL_NAME in its path, a path a name that is
 * there. path ends with the call. false: no memory. */
bool sl_config_each_path(const sl_config *config, const struct sl_setting *setting,
                         void (*visit)(void *opaque, const struct sl_setting *setting, const char *path),
                         void *opaque);

/*
 * The same for one layer, of a setting that is .layered. The first of these that is set, where null is not:
 * stream.layers."HRN"."LAYER", stream.layers."HRN"."*", the setting itself. hrn or layer NULL: the setting
 * itself. *from (from may be NULL): the path that says it, for people and for sl_config_origin; released with
 * free.
 */
sl_status sl_config_layer_choice(const sl_config *config, const char *path, const char *hrn,
                                 const char *layer, const char **value, char **from, sl_error *error);

/*
 * Every value under a section that passes settings through (stream.kafka.producer): the name is dotted and
 * relative to the section ("linger.ms"), a list's elements are joined with commas, null is left out. What
 * visit is given ends with the call; returning false ends the walk. Nothing there: no call. Errors:
 * SL_BAD_CONFIG (a list of objects; sl_config_check says where), SL_OUT_OF_MEMORY.
 */
sl_status sl_config_section(const sl_config *config, const char *path,
                            bool (*visit)(void *opaque, const char *name, const char *value,
                                          const char *origin),
                            void *opaque);

/* Calls visit for each of the gateway's settings whose value is not the same in both: of numbers, durations
 * and sizes by what they mean. path ends with the call. Errors: SL_INVALID_HANDLE, SL_OUT_OF_MEMORY. */
sl_status sl_config_compare(const sl_config *before, const sl_config *after,
                            void (*visit)(void *opaque, const struct sl_setting *setting, const char *path),
                            void *opaque, sl_error *error);

/* sl_config_each, with secrets as they are where secrets. */
sl_status sl_config_walk(const sl_config *config, const char *below, bool secrets, sl_config_visitor visit,
                         void *opaque);

/* sl_config_findings; not everything: what concerns the settings alone is told, and what is wrong with the
 * environment is a note. */
sl_status sl_config_find(const sl_config *config, bool everything, sl_finding_visitor visit, void *opaque,
                         sl_error *error);

/* Where lookup is, without a slash at its end: of the environment that endpoint-locator names, or its own
 * URL. *url is released with free. Errors: SL_BAD_CONFIG, SL_OUT_OF_MEMORY. */
sl_status sl_config_lookup_url(const sl_config *config, char **url, sl_error *error);
/* Where tokens are got when neither setting nor credentials file says: the environment's; NULL: unknown.
 * Static text. */
const char *sl_config_default_token_url(const sl_config *config);
/* A proxy, as it is in force. */
struct sl_proxy {
    char *url;    /* for libcurl, userinfo percent-encoded: a secret; "": none */
    char *shown;  /* "http://proxy.example:3128", for errors */
    char *origin; /* who says so: "app.conf:3", "environment https_proxy" */
    bool named;   /* a user is given */
};
/* The proxy for http:// (secure: for https://), by the settings, or else by the environment as it is now:
 * http_proxy (in lower case only), https_proxy, HTTPS_PROXY, all_proxy, ALL_PROXY. An empty proxy.host means
 * none, whatever the environment says. Errors: SL_BAD_CONFIG, SL_OUT_OF_MEMORY; no text shows a password. */
sl_status sl_config_proxy(const sl_config *config, bool secure, struct sl_proxy *proxy, sl_error *error);
void sl_proxy_free(struct sl_proxy *proxy);
/* The hosts that are reached without it: proxy.exclude, or else no_proxy, NO_PROXY. NULL: none. The
 * configuration's own text, or the environment's. */
const char *sl_config_no_proxy(const sl_config *config);

/* scheme://user@host: a name and password there would be told wherever the URL is. */
bool sl_url_has_user(const char *url);

/* Whether it was loaded from the usual places, which environment variables are among. */
bool sl_config_has_environment(const sl_config *config);
/* sl_config_set, of an origin that people are told of: "-D". */
sl_status sl_config_set_from(sl_config *config, const char *path, const char *value, const char *origin,
                             sl_error *error);

/* A copy of its own; cheap: what they hold is shared until one changes. */
sl_status sl_config_clone(const sl_config *config, sl_config **clone, sl_error *error);

/* A duration or size as people write it: "90 s", "64 MiB". out is returned. */
const char *sl_duration_text(int64_t ms, char out[32]);
const char *sl_size_text(int64_t bytes, char out[32]);

#endif
