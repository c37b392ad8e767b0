/* Finding a connector: the built-in one, or a plug-in. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/text.h"
#include "client/client.h"

#define DIRECT "kafka-connector"
#define HTTP   "http-connector"

/* path: the setting that has chosen it; NULL: the program has. */
static sl_status missing(const char *path, const char *searched, sl_error *error)
{
    return sl_error_set(
        error, SL_CONNECTOR_MISSING,
        "the " DIRECT " is not installed: install the package streamlayer-kafka-support (from a build: cmake "
        "--install BUILD --component kafka-support), or choose HTTP with %s%s (looked for " DIRECT
        ".so in %s)",
        path ? path : "the program's option that names the connector", path ? " = \"" HTTP "\"" : "",
        searched);
}

/* Loads the plug-in in directory. SL_NOT_FOUND: there is no such file. */
static sl_status load(const char *directory, const struct sl_connector **connector, sl_error *error)
{
    char *file = sl_printf("%s/" DIRECT ".so", directory);
    if (!file)
        return sl_error_oom(error);
    sl_status status = SL_OK;
    void *plugin = NULL;
    if (access(file, F_OK)) {
        status = SL_NOT_FOUND;
    } else if (!(plugin = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE))) {
        const char *why = dlerror(); /* NOLINT(concurrency-mt-unsafe): each thread has its own */
        status = sl_error_set(error, SL_CONNECTOR_MISSING,
                              "the " DIRECT
                              " cannot be loaded: %s; reinstall the package streamlayer-kafka-support",
                              why ? why : file);
    } else {
        const struct sl_connector *table = dlsym(plugin, SL_CONNECTOR_SYMBOL);
        if (!table || table->magic != SL_CONNECTOR_MAGIC)
            status = sl_error_set(error, SL_CONNECTOR_MISSING, "%s is no connector of streamlayer's", file);
        else if (table->abi != SL_CONNECTOR_ABI || table->size < sizeof *table)
            status = sl_error_set(
                error, SL_CONNECTOR_MISSING,
                "%s was made for another version of the library (ABI %u, this is %u): install the "
                "streamlayer-kafka-support of the library's own version",
                file, table->abi, SL_CONNECTOR_ABI);
        else
            *connector = table;
    }
    free(file);
    return status;
}

/* The directory of the code, or the one above: where a build tree or an unpacked tarball has it. NULL: not
 * known. */
static char *beside(bool above, const char *relative)
{
    Dl_info self;
    if (!dladdr(&sl_http_connector, &self) || !self.dli_fname)
        return NULL;
    char *file = realpath(strchr(self.dli_fname, '/') ? self.dli_fname : "/proc/self/exe", NULL);
    char *slash = file ? strrchr(file, '/') : NULL;
    if (slash && above) {
        *slash = '\0';
        slash = strrchr(file, '/');
    }
    char *directory = slash ? sl_printf("%.*s/%s", (int)(slash - file), file, relative) : NULL;
    free(file);
    return directory;
}

/* Whether places[i] is one of those before it. */
static bool looked_in(char *const *places, size_t i)
{
    for (size_t earlier = 0; earlier < i; earlier++)
        if (places[earlier] && !strcmp(places[earlier], places[i]))
            return true;
    return false;
}

static sl_status find_plugin(struct sl_client *client, const char *path,
                             const struct sl_connector **connector, sl_error *error)
{
    const char *configured = sl_config_get(client->config, SL_ROOT "stream.kafka.plugin-directory");
    if (configured && *configured) {
        sl_status status = load(configured, connector, error);
        return status == SL_NOT_FOUND ? missing(path, configured, error) : status;
    }
    char *places[] = {beside(false, SL_PLUGIN_SUBDIR), beside(true, "lib/" SL_PLUGIN_SUBDIR),
                      sl_strdup(SL_PLUGIN_DIR)};
    const size_t count = sizeof places / sizeof *places;
    sl_status status = SL_NOT_FOUND;
    struct sl_buffer searched;
    sl_buffer_init(&searched, 4096);
    for (size_t i = 0; i < count && status == SL_NOT_FOUND; i++) {
        if (!places[i] || looked_in(places, i))
            continue;
        status = load(places[i], connector, error);
        sl_buffer_printf(&searched, "%s%s", searched.size ? ", " : "", places[i]);
    }
    for (size_t i = 0; i < count; i++)
        free(places[i]);
    if (status == SL_NOT_FOUND)
        status = missing(path, searched.data ? searched.data : SL_PLUGIN_DIR, error);
    sl_buffer_free(&searched);
    return status;
}

sl_status sl_connector_find(struct sl_client *client, const char *side, const char *hrn, const char *layer,
                            const char *name, const struct sl_connector **connector, sl_error *error)
{
    char *general = NULL, *path = NULL;
    const char *chosen = name;
    sl_status status = SL_OK;
    if (!name) {
        general = sl_printf(SL_ROOT "stream.connector.%s", side);
        status = general ? sl_config_layer_choice(client->config, general, hrn, layer, &chosen, &path, error)
                         : sl_error_oom(error);
    }
    if (!status && !strcmp(chosen, HTTP))
        *connector = &sl_http_connector;
    else if (!status && !strcmp(chosen, DIRECT))
        status = find_plugin(client, path, connector, error);
    else if (!status)
        status = sl_error_set(error, SL_INVALID_ARGUMENT,
                              "unknown connector \"%s\"; allowed: " DIRECT ", " HTTP, chosen);
    free(general);
    free(path);
    return status;
}
