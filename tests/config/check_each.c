/*
 * Asked by lines what is wrong with configurations: wrong.py writes a row's files into a directory, and the
 * lines "row DIRECTORY", what else belongs to the row, and "go". The answer is each complaint in a line of
 * its own, or "=> " and what was made of the configuration; a line "." ends it. One process serves all rows.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "auth/credentials.h"
#include "base/buffer.h"
#include "base/text.h"
#include "config/config.h"
#include "config/context.h"
#include "hocon/hocon.h"

enum { MOST_SETS = 16 };

struct row {
    char stage[32], context[80], get[300];
    char *sets[MOST_SETS];
    size_t set_count;
    bool home;
    struct hocon_limits limits;
};

static void complain(const sl_error *error)
{
    printf("%s\n", error->text);
}

static void render(const struct row *row)
{
    struct hocon *document = NULL, *resolved = NULL;
    sl_error error = {0};
    char *json = NULL;
    if (hocon_parse_file("app.conf", &row->limits, &document, &error) == SL_OK &&
        hocon_resolve(document, true, &row->limits, &resolved, &error) == SL_OK &&
        hocon_render_json(hocon_root(resolved), false, &json, &error) == SL_OK)
        printf("=> %s\n", json);
    else
        complain(&error);
    free(json);
    hocon_free(&document);
    hocon_free(&resolved);
}

/* The same, but the text is handed over. */
static void render_text(const struct row *row)
{
    struct hocon *document = NULL;
    sl_error error = {0};
    char bytes[4096];
    FILE *file = fopen("app.conf", "rb");
    size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (file)
        fclose(file);
    if (hocon_parse_text(bytes, size, "app.conf", NULL, &row->limits, &document, &error) == SL_OK)
        puts("=> ok");
    else
        complain(&error);
    hocon_free(&document);
}

/* What no file can bring about: calls that a program must not make. A line each. */
static void misuse(void)
{
    struct hocon *document = NULL, *resolved = NULL, *none = NULL;
    sl_config *config = NULL, *clone = NULL;
    sl_error error = {0};
    int64_t number;
    char *json = NULL;
    if (hocon_parse_text("a=1", 3, "text", NULL, NULL, &document, &error) ||
        hocon_resolve(document, false, NULL, &resolved, &error) || sl_config_create(&config, &error))
        exit(3);
#define MISUSE(call) ((call) == SL_OK ? puts("=> ok") : (complain(&error), 0))
    MISUSE(hocon_merge(resolved, document, &none, &error));
    MISUSE(hocon_merge(document, resolved, &none, &error));
    MISUSE(hocon_resolve(resolved, false, NULL, &none, &error));
    MISUSE(sl_config_create(NULL, &error));
    MISUSE(sl_config_clone(NULL, &clone, &error));
    MISUSE(sl_config_load(NULL, "app.conf", &error));
    MISUSE(sl_config_load_context(config, NULL, &error));
    MISUSE(sl_config_load_context(config, "", &error));
    MISUSE(sl_config_load_file(NULL, "app.conf", &error));
    MISUSE(sl_config_load_file(config, NULL, &error));
    MISUSE(sl_config_parse(NULL, "a=1", 3, NULL, &error));
    MISUSE(sl_config_parse(config, NULL, 3, NULL, &error));
    MISUSE(sl_config_set(NULL, "a", "1", &error));
    MISUSE(sl_config_set(config, NULL, "1", &error));
    MISUSE(sl_config_set(config, "a", NULL, &error));
    MISUSE(sl_config_check(NULL, &error));
    MISUSE(sl_config_findings(config, NULL, NULL, &error));
    MISUSE(sl_config_integer(config, NULL, &number, &error));
    MISUSE(sl_config_integer(config, SL_ROOT "log.level", &number, &error));
    MISUSE(sl_config_integer(NULL, SL_ROOT "proxy.port", &number, &error));
    MISUSE(sl_config_render_file(NULL, &json, &error));
    MISUSE(sl_config_render_file("app.conf", NULL, &error));
#undef MISUSE
    hocon_free(&document);
    hocon_free(&resolved);
    sl_config_destroy(&config);
}

static sl_status load(const struct row *row, sl_config **config, sl_error *error)
{
    sl_status status = sl_config_create(config, error);
    if (status == SL_OK && row->context[0])
        status = sl_config_load_context(*config, row->context, error);
    else if (status == SL_OK && row->home)
        status = sl_config_load(*config, access("app.conf", F_OK) == 0 ? "app.conf" : NULL, error);
    else if (status == SL_OK)
        status = sl_config_load_file(*config, "app.conf", error);
    for (size_t i = 0; status == SL_OK && i < row->set_count; i++) {
        char *equals = strchr(row->sets[i], '=');
        *equals = '\0';
        status = sl_config_set_from(*config, row->sets[i], equals + 1, "-D", error);
    }
    return status;
}

static bool print_finding(void *opaque, sl_finding_level level, const char *path, const char *origin,
                          const char *text)
{
    (void)path;
    (void)origin;
    if (level == SL_FINDING_ERROR)
        ++*(unsigned *)opaque;
    printf("%s%s\n", level == SL_FINDING_ERROR ? "" : "note: ", text);
    return true;
}

/* Everything that is wrong; whether the short check says the same. */
static void check(const sl_config *config)
{
    sl_error error = {0};
    unsigned errors = 0;
    if (sl_config_findings(config, print_finding, &errors, &error) != SL_OK)
        complain(&error);
    bool right = sl_config_check(config, &error) == SL_OK;
    if (right != (errors == 0))
        puts(right ? "(sl_config_check: ok)" : "(sl_config_check: not ok)");
    if (errors == 0)
        puts("=> ok");
}

static void warn(void *opaque, sl_log_level level, const char *message)
{
    (void)opaque;
    if (level <= SL_LOG_WARNING)
        printf("%s\n", message);
}

/* Where they come from, behind the warnings; "none". */
static void credentials(const sl_config *config)
{
    struct sl_credentials found;
    const struct sl_log log = {.callback = warn, .opaque = NULL, .level = SL_LOG_WARNING};
    sl_error error = {0};
    if (sl_credentials_load(config, &log, &found, &error) != SL_OK)
        complain(&error);
    else
        printf("=> %s%s%s\n", found.source ? found.source : "none", found.token_url ? ", " : "",
               found.token_url ? found.token_url : "");
    sl_credentials_free(&found);
}

/* How the proxy is found that HTTP goes through, or with secure HTTPS. */
static void proxy(const sl_config *config, bool secure)
{
    struct sl_proxy found;
    sl_error error = {0};
    if (sl_config_proxy(config, secure, &found, &error) != SL_OK) {
        complain(&error);
        return;
    }
    printf("=> %s (%s)\n", found.url, found.origin);
    sl_proxy_free(&found);
}

static bool print_pair(void *opaque, const char *name, const char *value, const char *origin)
{
    struct sl_buffer *out = opaque;
    (void)origin;
    return sl_buffer_printf(out, "%s%s=%s", out->size ? ", " : "", name, value);
}

/* "PATH HRN LAYER": the layer's value, and the path that says it. */
static sl_status get_layer(const sl_config *config, const char *what, struct sl_buffer *text, sl_error *error)
{
    char path[200], hrn[300], layer[100], *from = NULL;
    const char *value = NULL;
    if (sscanf(what, "%199s %299s %99s", path, hrn, layer) != 3)
        exit(2);
    sl_status status = sl_config_layer_choice(config, path, hrn, layer, &value, &from, error);
    if (status == SL_OK)
        sl_buffer_printf(text, "%s by %s", value, from);
    free(from);
    return status;
}

/* "KIND PATH" */
static void get(const sl_config *config, const char *what)
{
    char kind[32] = "";
    const char *path = strchr(what, ' ');
    snprintf(kind, sizeof kind, "%.*s", (int)strcspn(what, " "), what);
    path = path ? path + 1 : "";
    sl_error error = {0};
    int64_t number = 0;
    bool flag = false;
    const char *word = NULL;
    char *url = NULL;
    struct sl_buffer text;
    sl_buffer_init(&text, 1 << 16);
    sl_status status = SL_INTERNAL;
    if (!strcmp(kind, "integer"))
        status = sl_config_integer(config, path, &number, &error);
    else if (!strcmp(kind, "duration"))
        status = sl_config_duration_ms(config, path, &number, &error);
    else if (!strcmp(kind, "bytes"))
        status = sl_config_bytes(config, path, &number, &error);
    else if (!strcmp(kind, "boolean"))
        status = sl_config_boolean(config, path, &flag, &error);
    else if (!strcmp(kind, "choice"))
        status = sl_config_choice(config, path, &word, &error);
    else if (!strcmp(kind, "lookup"))
        status = sl_config_lookup_url(config, &url, &error);
    else if (!strcmp(kind, "section"))
        status = sl_config_section(config, path, print_pair, &text);
    else if (!strcmp(kind, "layer"))
        status = get_layer(config, path, &text, &error);
    if (status != SL_OK)
        printf("%s\n", error.text[0] ? error.text : sl_status_text(status));
    else if (word || url || text.data)
        printf("=> %s\n", word ? word : url ? url : text.data);
    else
        printf("=> %" PRId64 "\n", !strcmp(kind, "boolean") ? (int64_t)flag : number);
    sl_buffer_free(&text);
    free(url);
}

static void answer(struct row *row)
{
    sl_config *config = NULL;
    sl_error error = {0};
    if (!strcmp(row->stage, "render"))
        render(row);
    else if (!strcmp(row->stage, "text"))
        render_text(row);
    else if (!strcmp(row->stage, "misuse"))
        misuse();
    else if (load(row, &config, &error) != SL_OK)
        complain(&error);
    else if (!strcmp(row->stage, "credentials"))
        credentials(config);
    else if (!strncmp(row->stage, "proxy", 5))
        proxy(config, !strcmp(row->stage, "proxy secure"));
    else if (row->get[0])
        get(config, row->get);
    else
        check(config);
    sl_config_destroy(&config);
    puts(".");
    fflush(stdout);
    for (size_t i = 0; i < row->set_count; i++)
        free(row->sets[i]);
    *row = (struct row){0};
}

static void set_limit(struct row *row, const char *text)
{
    size_t number = 0;
    const char *equals = strchr(text, '=');
    if (!equals)
        exit(2);
    number = strtoul(equals + 1, NULL, 10);
    switch (text[0]) {
    case 'b':
        row->limits.max_bytes = number;
        break;
    case 'd':
        row->limits.max_depth = (unsigned)number;
        break;
    case 'i':
        row->limits.max_includes = (unsigned)number;
        break;
    default:
        row->limits.max_resolved = number;
    }
}

static void begin(const char *directory)
{
    char home[1000];
    if (chdir(directory) != 0) {
        perror(directory);
        exit(2);
    }
    clearenv();
    snprintf(home, sizeof home, "%s/home", directory);
    setenv("HOME", home, 1);
}

static void take(struct row *row, const char *word, const char *rest)
{
    if (!strcmp(word, "row"))
        begin(rest);
    else if (!strcmp(word, "env")) {
        char name[100];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(rest, "="), rest);
        setenv(name, strchr(rest, '=') + 1, 1);
    } else if (!strcmp(word, "set") && row->set_count < MOST_SETS)
        row->sets[row->set_count++] = strdup(rest);
    else if (!strcmp(word, "home"))
        row->home = true;
    else if (!strcmp(word, "context"))
        snprintf(row->context, sizeof row->context, "%s", rest);
    else if (!strcmp(word, "stage"))
        snprintf(row->stage, sizeof row->stage, "%s", rest);
    else if (!strcmp(word, "get"))
        snprintf(row->get, sizeof row->get, "%s", rest);
    else if (!strcmp(word, "limit"))
        set_limit(row, rest);
    else if (!strcmp(word, "go"))
        answer(row);
    else {
        (void)fprintf(stderr, "check_each does not know: %s %s\n", word, rest);
        exit(2);
    }
}

int main(void)
{
    struct row row = {0};
    char *line = NULL;
    size_t capacity = 0;
    for (ssize_t size; (size = getline(&line, &capacity, stdin)) > 0;) {
        if (line[size - 1] == '\n')
            line[size - 1] = 0;
        char *blank = strchr(line, ' ');
        if (blank)
            *blank = '\0';
        take(&row, line, blank ? blank + 1 : "");
    }
    free(line);
    return 0;
}
