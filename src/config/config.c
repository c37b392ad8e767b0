/* What a configuration holds, and the places that it is loaded from. */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/text.h"
#include "config/context.h"
#include "config/settings.h"

#define CONFIG_MAGIC 0x5cf9c0deu

/* The name under which the defaults are parsed; people are shown "default". */
#define DEFAULT_ORIGIN "(default)"
#define SET_ORIGIN     "API"
#ifndef SL_SYSTEM_FILE /* the build says where the installation's is */
#define SL_SYSTEM_FILE "/etc/streamlayer/application.conf"
#endif

/* What is laid so far, and the same resolved. Immutable, so copies of a configuration share it. */
struct snapshot {
    int references; /* atomic */
    struct hocon *document;
    struct hocon *resolved;
};

struct sl_config {
    unsigned magic;
    struct snapshot *snapshot;
    char *context;    /* whose settings were loaded, or NULL */
    bool environment; /* variables were laid over it */
};

static void snapshot_unlink(struct snapshot *snapshot)
{
    if (!snapshot || __atomic_sub_fetch(&snapshot->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    hocon_free(&snapshot->document);
    hocon_free(&snapshot->resolved);
    free(snapshot);
}

static bool valid(const sl_config *config)
{
    return config && config->magic == CONFIG_MAGIC;
}

static sl_status invalid(sl_error *error)
{
    return sl_error_set(error, SL_INVALID_HANDLE, "not a configuration: NULL, or destroyed already");
}

static sl_status resolve(struct snapshot *snapshot, sl_error *error)
{
    hocon_free(&snapshot->resolved);
    sl_status status = hocon_resolve(snapshot->document, true, NULL, &snapshot->resolved, error);
    if (status == SL_OK && hocon_type_of(hocon_root(snapshot->resolved)) != HOCON_OBJECT)
        status = sl_error_set(error, SL_BAD_CONFIG, "%s: a configuration holds paths and values, not a list",
                              sl_config_value_origin(hocon_root(snapshot->resolved)));
    return status;
}

/* The setting that path is another name of becomes what is there. */
static bool append_alias(struct sl_buffer *text, const struct sl_setting *setting, const char *also)
{
    return sl_buffer_printf(text, "%s = ${?%s}\n", setting->path, also);
}

static sl_status parse_aliases(const struct sl_buffer *text, struct hocon **aliases, sl_error *error)
{
    *aliases = NULL;
    if (text->failed)
        return sl_error_oom(error);
    return text->size ? hocon_parse_text(text->data, text->size, "names", NULL, NULL, aliases, error) : SL_OK;
}

/* A section that came by a substitution may hold a setting by another name: aliases_in cannot see it. It
 * counts where the setting has no value. */
static sl_status resolve_aliases(struct snapshot *snapshot, sl_error *error)
{
    const struct hocon_value *root = hocon_root(snapshot->resolved);
    const struct sl_setting *setting;
    struct hocon *aliases = NULL, *merged = NULL;
    struct sl_buffer text;
    sl_buffer_init(&text, (size_t)64 * 1024);
    for (size_t i = 0; (setting = sl_setting_at(i)); i++)
        for (const char *const *also = setting->also; also && *also; also++)
            if (hocon_get(root, *also) && !hocon_get(root, setting->path))
                append_alias(&text, setting, *also);
    sl_status status = parse_aliases(&text, &aliases, error);
    sl_buffer_free(&text);
    if (status != SL_OK || !aliases)
        return status;
    status = hocon_merge(aliases, snapshot->document, &merged, error);
    hocon_free(&aliases);
    if (status != SL_OK)
        return status;
    hocon_free(&snapshot->document);
    snapshot->document = merged;
    return resolve(snapshot, error);
}

/* Names that somebody has chosen have defaults, too, which lie below all else. */
static sl_status resolve_names(struct snapshot *snapshot, sl_error *error)
{
    struct hocon *defaults = NULL, *merged = NULL;
    struct sl_buffer text;
    sl_buffer_init(&text, (size_t)16 * 1024 * 1024);
    sl_status status =
        sl_reference_names(hocon_root(snapshot->resolved), &text) ? SL_OK : sl_error_oom(error);
    if (status == SL_OK && text.size)
        status = hocon_parse_text(text.data, text.size, DEFAULT_ORIGIN, NULL, NULL, &defaults, error);
    sl_buffer_free(&text);
    if (status != SL_OK || !defaults)
        return status;
    status = hocon_merge(snapshot->document, defaults, &merged, error);
    hocon_free(&defaults);
    if (status != SL_OK)
        return status;
    hocon_free(&snapshot->document);
    snapshot->document = merged;
    return resolve(snapshot, error);
}

/* Makes document (taken, also on errors) what the configuration holds. */
static sl_status adopt(sl_config *config, struct hocon *document, sl_error *error)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot) {
        hocon_free(&document);
        return sl_error_oom(error);
    }
    snapshot->references = 1;
    snapshot->document = document;
    sl_status status = resolve(snapshot, error);
    if (status == SL_OK)
        status = resolve_aliases(snapshot, error);
    if (status == SL_OK)
        status = resolve_names(snapshot, error);
    if (status != SL_OK) {
        snapshot_unlink(snapshot);
        return status;
    }
    snapshot_unlink(config->snapshot);
    config->snapshot = snapshot;
    return SL_OK;
}

/* What has to lie right above document, so that its settings count that it has by another name: the setting
 * becomes what the other name is, with its origin. *aliases NULL: nothing. */
static sl_status aliases_in(const struct hocon *document, struct hocon **aliases, sl_error *error)
{
    struct sl_buffer text;
    sl_buffer_init(&text, (size_t)64 * 1024);
    const struct sl_setting *setting;
    sl_status status = SL_OK;
    for (size_t i = 0; status == SL_OK && (setting = sl_setting_at(i)); i++) {
        for (const char *const *also = setting->also; status == SL_OK && also && *also; also++) {
            const char *file, *own_file;
            unsigned line, own_line;
            bool there = hocon_mentions(document, *also, &file, &line);
            bool own = hocon_mentions(document, setting->path, &own_file, &own_line);
            if (there && own)
                status =
                    sl_error_set(error, SL_BAD_CONFIG,
                                 "%s:%u: %s is another name of %s, which %s:%u sets: leave one of them out",
                                 file, line, *also, setting->path, own_file, own_line);
            else if (there)
                append_alias(&text, setting, *also);
        }
    }
    if (status == SL_OK)
        status = parse_aliases(&text, aliases, error);
    sl_buffer_free(&text);
    return status;
}

static sl_status lay_plain(struct hocon **pile, struct hocon *over, sl_error *error)
{
    if (!*pile) {
        *pile = over;
        return SL_OK;
    }
    struct hocon *merged = NULL;
    sl_status status = hocon_merge(over, *pile, &merged, error);
    hocon_free(&over);
    if (status != SL_OK)
        return status;
    hocon_free(pile);
    *pile = merged;
    return SL_OK;
}

sl_status sl_config_lay(struct hocon **pile, struct hocon *over, sl_error *error)
{
    struct hocon *aliases = NULL;
    sl_status status = aliases_in(over, &aliases, error);
    if (status != SL_OK) {
        hocon_free(&over);
        return status;
    }
    status = lay_plain(pile, over, error);
    if (!aliases)
        return status;
    if (status == SL_OK)
        return lay_plain(pile, aliases, error);
    hocon_free(&aliases);
    return status;
}

/* Lays over (taken) on what the configuration holds. */
static sl_status lay_one(sl_config *config, struct hocon *over, sl_error *error)
{
    struct hocon *merged = NULL;
    sl_status status = hocon_merge(over, config->snapshot->document, &merged, error);
    hocon_free(&over);
    return status == SL_OK ? adopt(config, merged, error) : status;
}

/* The same for a document of a person's. */
static sl_status lay_document(sl_config *config, struct hocon *over, sl_error *error)
{
    struct hocon *pile = NULL;
    sl_status status = sl_config_lay(&pile, over, error);
    if (status == SL_OK)
        return lay_one(config, pile, error);
    hocon_free(&pile);
    return status;
}

/* The reference as it is shipped, so that it cannot say anything else. */
static sl_status parse_defaults(struct hocon **document, sl_error *error)
{
    struct sl_buffer text;
    sl_buffer_init(&text, (size_t)1024 * 1024);
    sl_reference_conf(&text);
    sl_status status =
        text.failed ? sl_error_oom(error)
                    : hocon_parse_text(text.data, text.size, DEFAULT_ORIGIN, NULL, NULL, document, error);
    sl_buffer_free(&text);
    return status;
}

sl_status sl_config_create(sl_config **config, sl_error *error)
{
    if (!config)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "config is NULL");
    *config = NULL;
    sl_config *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    made->magic = CONFIG_MAGIC;
    struct hocon *document = NULL;
    sl_status status = parse_defaults(&document, error);
    if (status == SL_OK)
        status = adopt(made, document, error);
    if (status != SL_OK)
        sl_config_destroy(&made);
    *config = made;
    return status;
}

void sl_config_destroy(sl_config **config)
{
    if (!config || !valid(*config))
        return;
    (*config)->magic = 0;
    snapshot_unlink((*config)->snapshot); /* NOLINT(clang-analyzer-unix.Malloc): it counts no references */
    free((*config)->context);
    free(*config);
    *config = NULL;
}

sl_status sl_config_clone(const sl_config *config, sl_config **clone, sl_error *error)
{
    if (!valid(config))
        return invalid(error);
    sl_config *made = calloc(1, sizeof *made);
    if (made && config->context && !(made->context = strdup(config->context))) {
        free(made);
        made = NULL;
    }
    if (!made)
        return sl_error_oom(error);
    made->magic = CONFIG_MAGIC;
    made->snapshot = config->snapshot;
    made->environment = config->environment;
    __atomic_add_fetch(&made->snapshot->references, 1, __ATOMIC_RELAXED);
    *clone = made;
    return SL_OK;
}

/* Lays a file on the pile; one that is not there is passed over unless it is required. */
static sl_status lay_file(struct hocon **pile, const char *file, bool required, sl_error *error)
{
    struct stat unused;
    if (!required && stat(file, &unused) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return SL_OK;
    struct hocon *document = NULL;
    sl_status status = hocon_parse_file(file, NULL, &document, error);
    return status == SL_OK ? sl_config_lay(pile, document, error) : status;
}

/* Nothing where there is no home. */
static sl_status lay_user_file(struct hocon **pile, sl_error *error)
{
    char *file = NULL;
    sl_status status = sl_user_file("application.conf", &file, error);
    if (status == SL_OK && file)
        status = lay_file(pile, file, false, error);
    free(file);
    return status;
}

static sl_status lay_value(struct hocon **pile, const char *path, const char *value, const char *origin,
                           sl_error *error)
{
    struct hocon *document = NULL;
    sl_status status = hocon_single(path, value, origin, &document, error);
    return status == SL_OK ? sl_config_lay(pile, document, error) : status;
}

static sl_status lay_environment(struct hocon **pile, sl_error *error)
{
    sl_status status = SL_OK;
    const struct sl_setting *setting;
    for (size_t i = 0; status == SL_OK && (setting = sl_setting_at(i)); i++) {
        const char *value = setting->environment ? secure_getenv(setting->environment) : NULL;
        if (!value || !*value)
            continue;
        char *origin = sl_printf("environment %s", setting->environment);
        if (!origin)
            return sl_error_oom(error);
        status = lay_value(pile, setting->path, value, origin, error);
        /* A lookup URL counts only in a custom environment: whoever names one means that. */
        if (status == SL_OK && strcmp(setting->path, SL_LOOKUP_URL_PATH) == 0)
            status = lay_value(pile, SL_LOOKUP_ENV_PATH, "custom", origin, error);
        free(origin);
    }
    return status;
}

/* name NULL: the current context, where there is one. */
static sl_status lay_context(struct hocon **pile, const char *name, char **used, sl_error *error)
{
    struct hocon *contexts = NULL;
    sl_status status = sl_contexts_read(&contexts, error);
    if (status == SL_OK && !name)
        name = sl_contexts_current(contexts);
    if (status == SL_OK && name) {
        status = sl_context_lay(pile, contexts, name, error);
        if (status == SL_OK && !(*used = strdup(name)))
            status = sl_error_oom(error);
    }
    hocon_free(&contexts);
    return status;
}

/* *used: the context that was taken, if it was one. */
static sl_status lay_platform(struct hocon **pile, const struct sl_places *places, char **used,
                              sl_error *error)
{
    if (places->file)
        return lay_file(pile, places->file, true, error);
    const char *context = places->context ? places->context : secure_getenv("STREAMLAYER_CONTEXT");
    const char *file = secure_getenv("STREAMLAYER_CONFIG");
    sl_status status;
    if (context && *context && !places->no_context) {
        status = lay_context(pile, context, used, error);
        if (status != SL_OK && !places->context)
            sl_error_prefix(error, "STREAMLAYER_CONTEXT");
        return status;
    }
    if (file && *file) {
        status = lay_file(pile, file, true, error);
        if (status != SL_OK)
            sl_error_prefix(error, "STREAMLAYER_CONFIG");
        return status;
    }
    if (places->no_context || access("application.conf", F_OK) == 0)
        return lay_file(pile, "application.conf", false, error);
    return lay_context(pile, NULL, used, error);
}

sl_status sl_config_load_places(sl_config *config, const struct sl_places *places, sl_error *error)
{
    if (!valid(config))
        return invalid(error);
    struct hocon *pile = NULL;
    char *used = NULL;
    sl_status status = lay_file(&pile, places->system ? places->system : SL_SYSTEM_FILE, false, error);
    if (status == SL_OK)
        status = lay_user_file(&pile, error);
    if (status == SL_OK)
        status = lay_platform(&pile, places, &used, error);
    if (status == SL_OK)
        status = lay_environment(&pile, error);
    if (status != SL_OK)
        hocon_free(&pile);
    if (status == SL_OK && pile)
        status = lay_one(config, pile, error);
    if (status == SL_OK) {
        free(config->context);
        config->context = used;
        config->environment = true;
    } else {
        free(used);
    }
    return status;
}

sl_status sl_config_load(sl_config *config, const char *file, sl_error *error)
{
    return sl_config_load_places(config, &(struct sl_places){.file = file}, error);
}

sl_status sl_config_load_context(sl_config *config, const char *context, sl_error *error)
{
    if (!context || !*context)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "context is NULL or empty");
    return sl_config_load_places(config, &(struct sl_places){.context = context}, error);
}

sl_status sl_config_load_no_context(sl_config *config, const char *file, sl_error *error)
{
    return sl_config_load_places(config, &(struct sl_places){.file = file, .no_context = true}, error);
}

bool sl_config_has_environment(const sl_config *config)
{
    return valid(config) && config->environment;
}

const char *sl_config_context(const sl_config *config)
{
    return valid(config) ? config->context : NULL;
}

sl_status sl_config_load_file(sl_config *config, const char *file, sl_error *error)
{
    if (!valid(config))
        return invalid(error);
    if (!file)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "file is NULL");
    struct hocon *document = NULL;
    sl_status status = hocon_parse_file(file, NULL, &document, error);
    return status == SL_OK ? lay_document(config, document, error) : status;
}

sl_status sl_config_parse(sl_config *config, const char *text, size_t size, const char *origin,
                          sl_error *error)
{
    if (!valid(config))
        return invalid(error);
    if (!text)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "text is NULL");
    struct hocon *document = NULL;
    sl_status status = hocon_parse_text(text, size, origin ? origin : "text", NULL, NULL, &document, error);
    return status == SL_OK ? lay_document(config, document, error) : status;
}

/* The path of the document's one value, without quotes that it need not have. */
static sl_status plain_path(const struct hocon *document, char **path, sl_error *error)
{
    struct hocon *resolved = NULL;
    sl_status status = hocon_resolve(document, false, NULL, &resolved, error);
    if (status != SL_OK)
        return status;
    const struct hocon_value *value = hocon_root(resolved);
    char *plain = strdup("");
    while (plain && hocon_type_of(value) == HOCON_OBJECT && hocon_count(value) == 1) {
        char *below = hocon_path_join(plain, hocon_key_at(value, 0));
        free(plain);
        plain = below;
        value = hocon_at(value, 0);
    }
    hocon_free(&resolved);
    *path = plain;
    return plain ? SL_OK : sl_error_oom(error);
}

/* The document that sets path, and that path as it is written plainly. Another name of a setting's becomes
 * the setting's. */
static sl_status single(const char *path, const char *value, const char *origin, struct hocon **document,
                        char **plain, sl_error *error)
{
    sl_status status = hocon_single(path, value, origin, document, error);
    if (status == SL_OK)
        status = plain_path(*document, plain, error);
    const struct sl_setting *meant = status == SL_OK ? sl_setting_meant_by(*plain) : NULL;
    if (!meant)
        return status;
    hocon_free(document);
    free(*plain);
    *plain = strdup(meant->path);
    return *plain ? hocon_single(meant->path, value, origin, document, error) : sl_error_oom(error);
}

sl_status sl_config_set_from(sl_config *config, const char *path, const char *value, const char *origin,
                             sl_error *error)
{
    if (!valid(config))
        return invalid(error);
    if (!path || !value)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "%s is NULL", path ? "value" : "path");
    char *plain = NULL;
    sl_config *laid = NULL;
    struct hocon *document = NULL;
    sl_status status = single(path, value, origin, &document, &plain, error);
    if (status == SL_OK)
        status = sl_config_clone(config, &laid, error);
    if (status != SL_OK)
        hocon_free(&document);
    else
        status = lay_one(laid, document, error);
    if (status == SL_OK)
        status = sl_config_check_set(config, laid, plain, origin, error);
    if (status == SL_OK) {
        struct snapshot *before = config->snapshot;
        config->snapshot = laid->snapshot;
        laid->snapshot = before;
    }
    sl_config_destroy(&laid);
    free(plain);
    return status;
}

sl_status sl_config_set(sl_config *config, const char *path, const char *value, sl_error *error)
{
    return sl_config_set_from(config, path, value, SET_ORIGIN, error);
}

const struct hocon_value *sl_config_root(const sl_config *config)
{
    return valid(config) ? hocon_root(config->snapshot->resolved) : NULL;
}

const struct hocon_value *sl_config_value(const sl_config *config, const char *path)
{
    const struct hocon_value *root = sl_config_root(config);
    const struct hocon_value *value = root && path ? hocon_get(root, path) : NULL;
    return value && hocon_type_of(value) != HOCON_NULL ? value : NULL;
}

const char *sl_config_get(const sl_config *config, const char *path)
{
    const struct hocon_value *value = sl_config_value(config, path);
    return value ? hocon_text(value) : NULL;
}

const char *sl_config_value_origin(const struct hocon_value *value)
{
    const char *origin = hocon_origin(value);
    if (!origin)
        return "unknown place";
    return strncmp(origin, DEFAULT_ORIGIN, strlen(DEFAULT_ORIGIN)) == 0 ? "default" : origin;
}

const char *sl_config_origin(const sl_config *config, const char *path)
{
    const struct hocon_value *value = sl_config_value(config, path);
    return value ? sl_config_value_origin(value) : NULL;
}

void sl_config_prefix(const sl_config *config, const char *path, sl_error *error)
{
    char *above = sl_strdup(path), *dot = above;
    const char *origin = NULL;
    while (above && dot) {
        origin = sl_config_origin(config, above);
        if (origin && strcmp(origin, "default") != 0)
            break;
        origin = NULL;
        dot = strrchr(above, '.');
        if (dot)
            *dot = '\0';
    }
    if (origin)
        sl_error_prefix(error, "%s", origin);
    free(above);
}

sl_status sl_config_render_file(const char *file, char **json, sl_error *error)
{
    if (!file || !json)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "%s is NULL", file ? "json" : "file");
    *json = NULL;
    struct hocon *document = NULL, *resolved = NULL;
    sl_status status = hocon_parse_file(file, NULL, &document, error);
    if (status == SL_OK)
        status = hocon_resolve(document, true, NULL, &resolved, error);
    if (status == SL_OK)
        status = hocon_render_json(hocon_root(resolved), true, json, error);
    hocon_free(&document);
    hocon_free(&resolved);
    return status;
}

void sl_free(void *memory)
{
    free(memory);
}
