/* streamlayer context list|show|use|add|remove */
#include "context.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/text.h"
#include "config/context.h"
#include "config/settings.h"
#include "platform.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define MAX_SIZE ((size_t)1 << 20)
#define BY_UP    "# written by `streamlayer up`"

static const char preface[] =
    "# Platforms by name, for `streamlayer --context NAME` and every program that uses the library.\n"
    "# `streamlayer context` changes this file, and so may you: docs/cli.md, \"Contexts\".\n";

/* The file while it is being changed: nobody else changes it meanwhile. */
struct edit {
    char *path;
    int lock;
    struct sl_buffer text;
};

static sl_status no_home(sl_error *error)
{
    return sl_error_set(error, SL_IO, "no place for contexts.conf: set HOME or XDG_CONFIG_HOME");
}

static sl_status edit_begin(struct edit *edit, sl_error *error)
{
    *edit = (struct edit){.lock = -1};
    sl_buffer_init(&edit->text, MAX_SIZE);
    sl_status status = sl_user_file("contexts.conf", &edit->path, error);
    if (status || !edit->path)
        return status ? status : no_home(error);
    char *slash = strrchr(edit->path, '/');
    *slash = 0;
    bool made = cli_make_directories(edit->path, 0700);
    if (made)
        edit->lock = open(edit->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (edit->lock < 0 || flock(edit->lock, LOCK_EX)) {
        status = sl_error_set(error, SL_IO, "%s: %s", edit->path, sl_errno_text(errno));
        *slash = '/';
        return status;
    }
    *slash = '/';
    FILE *file = fopen(edit->path, "re");
    if (!file)
        return errno == ENOENT ? SL_OK
                               : sl_error_set(error, SL_IO, "%s: %s", edit->path, sl_errno_text(errno));
    size_t got = 1;
    while (got > 0 && sl_buffer_reserve(&edit->text, 4096)) {
        got = fread(edit->text.data + edit->text.size, 1, 4096, file);
        edit->text.size += got;
    }
    bool failed = ferror(file) || edit->text.failed;
    fclose(file);
    if (!failed && edit->text.size && edit->text.data[edit->text.size - 1] != '\n')
        sl_buffer_append_text(&edit->text, "\n");
    return failed ? sl_error_set(error, SL_IO, "%s cannot be read, or is too large", edit->path) : SL_OK;
}

static void edit_end(struct edit *edit)
{
    if (edit->lock >= 0)
        close(edit->lock);
    sl_buffer_free(&edit->text);
    free(edit->path);
}

/* Where a context stands as this program writes it: from "contexts.NAME {" to a line that ends it. */
static bool find_block(const struct sl_buffer *text, const char *name, size_t *from, size_t *to)
{
    char head[96];
    int length = snprintf(head, sizeof head, "contexts.%s", name);
    size_t at = 0;
    bool inside = false;
    while (at < text->size) {
        const char *line = text->data + at;
        const char *newline = memchr(line, '\n', text->size - at);
        size_t size = newline ? (size_t)(newline - line) + 1 : text->size - at;
        size_t end = size;
        while (end > 0 && strchr(" \t\r\n", line[end - 1]))
            end--;
        if (!inside && end > (size_t)length && !strncmp(line, head, (size_t)length)) {
            size_t brace = (size_t)length + strspn(line + length, " \t");
            inside = brace < end && line[brace] == '{';
            *from = at;
            *to = at + size;
            if (inside && line[end - 1] == '}')
                return true;
        } else if (inside && end == 1 && line[0] == '}') {
            *to = at + size;
            return true;
        }
        at += size;
    }
    return false;
}

static bool put_part(struct sl_buffer *text, size_t from, size_t to, const char *with)
{
    struct sl_buffer made;
    sl_buffer_init(&made, MAX_SIZE);
    sl_buffer_append(&made, text->data, from);
    sl_buffer_append_text(&made, with);
    sl_buffer_append(&made, text->data + to, text->size - to);
    bool ok = !made.failed;
    if (ok) {
        sl_buffer_free(text);
        *text = made;
    } else {
        sl_buffer_free(&made);
    }
    return ok;
}

/* name NULL: none is current any more. */
static bool put_current(struct sl_buffer *text, const char *name)
{
    char line[96] = "";
    size_t at = 0, first = 0;
    if (name)
        snprintf(line, sizeof line, "current = \"%s\"\n", name);
    while (at < text->size) {
        const char *start = text->data + at;
        const char *newline = memchr(start, '\n', text->size - at);
        size_t size = newline ? (size_t)(newline - start) + 1 : text->size - at;
        if (size > 7 && !strncmp(start, "current", 7)) {
            size_t sign = 7 + strspn(start + 7, " \t");
            if (sign < size && (start[sign] == '=' || start[sign] == ':'))
                return put_part(text, at, at + size, line);
        }
        if (at == first && *start == '#')
            first = at + size;
        at += size;
    }
    return put_part(text, first, first, line);
}

static const struct hocon_value *find_context(const struct hocon *contexts, const char *name)
{
    const struct hocon_value *all = sl_contexts_all(contexts);
    for (size_t i = 0; all && i < hocon_count(all); i++)
        if (!strcmp(hocon_key_at(all, i), name))
            return hocon_at(all, i);
    return NULL;
}

/* Whether the text says what it should: a file that people have changed may be shaped otherwise. */
static sl_status verify(const struct edit *edit, const char *name, bool there, const char *current,
                        sl_error *error)
{
    struct hocon *document = NULL, *contexts = NULL;
    sl_status status = hocon_parse_text(edit->text.data ? edit->text.data : "", edit->text.size, edit->path,
                                        NULL, NULL, &document, error);
    if (!status)
        status = hocon_resolve(document, true, NULL, &contexts, error);
    if (!status) {
        const char *now = sl_contexts_current(contexts);
        bool same = current ? now && !strcmp(now, current) : !now;
        if (!same || (name && !find_context(contexts, name) == there))
            status =
                sl_error_set(error, SL_BAD_CONFIG,
                             "%s is not shaped as `streamlayer context` writes it, with lines that begin "
                             "with \"current =\" and \"contexts.NAME {\": make this change by hand",
                             edit->path);
    }
    hocon_free(&document);
    hocon_free(&contexts);
    return status;
}

static sl_status edit_write(struct edit *edit, sl_error *error)
{
    sl_buffer_append(&edit->text, "", 1);
    if (edit->text.failed)
        return sl_error_oom(error);
    /* Settings may be secrets. */
    if (!cli_write_file(edit->path, edit->text.data, 0600))
        return sl_error_set(error, SL_IO, "%s: %s", edit->path, sl_errno_text(errno));
    return SL_OK;
}

static const char *block_of(const struct edit *edit, const char *name, size_t *from, size_t *to)
{
    return edit->text.data && find_block(&edit->text, name, from, to) ? edit->text.data + *from : NULL;
}

/* Puts block in place of the one that there is, or at the end, and makes it current where use. */
static sl_status put_block(struct edit *edit, const char *name, const char *block, const char *current,
                           bool use, sl_error *error)
{
    size_t from, to;
    bool ok = true;
    if (!edit->text.size)
        ok = sl_buffer_append_text(&edit->text, preface);
    if (ok && block_of(edit, name, &from, &to))
        ok = put_part(&edit->text, from, to, block);
    else if (ok)
        ok = sl_buffer_append_text(&edit->text, "\n") && sl_buffer_append_text(&edit->text, block);
    if (ok && use)
        ok = put_current(&edit->text, name);
    if (!ok)
        return sl_error_oom(error);
    sl_status status = verify(edit, name, true, use ? name : current, error);
    return status ? status : edit_write(edit, error);
}

/* text as a HOCON (and JSON) string. */
static bool append_quoted(struct sl_buffer *out, const char *text)
{
    json_t *string = json_string(text);
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    bool ok = quoted && sl_buffer_append_text(out, quoted);
    free(quoted);
    json_decref(string);
    return ok;
}

/* Whether an `up` runs that wrote file: it holds a lock beside it. */
static bool platform_runs(const char *file)
{
    char path[PATH_MAX];
    const char *slash = strrchr(file, '/');
    if (!slash || (size_t)snprintf(path, sizeof path, "%.*s/lock", (int)(slash - file), file) >= sizeof path)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool runs = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
    if (fd >= 0)
        close(fd);
    return runs;
}

/* The entry's file where it has one. The document's. */
static const char *file_of(const struct hocon_value *context)
{
    const struct hocon_value *file =
        context && hocon_type_of(context) == HOCON_OBJECT ? hocon_get(context, "file") : NULL;
    return file && hocon_type_of(file) == HOCON_STRING ? hocon_text(file) : NULL;
}

bool cli_context_file_is_missing(const char *name)
{
    struct hocon *contexts = NULL;
    if (sl_contexts_read(&contexts, NULL))
        return false;
    if (!name)
        name = sl_contexts_current(contexts);
    bool missing = name && cli_file_is_missing(file_of(find_context(contexts, name)));
    hocon_free(&contexts);
    return missing;
}

/* Whether `up` may write the entry: there is none, or it is of an `up` that does not run any more. */
static sl_status may_register(const struct edit *edit, const struct hocon *contexts, const char *name,
                              const char *file, sl_error *error)
{
    const struct hocon_value *context = find_context(contexts, name);
    const char *before = file_of(context);
    size_t from, to;
    if (!context)
        return SL_OK;
    const char *block = block_of(edit, name, &from, &to);
    const char *mark = block ? memmem(block, strcspn(block, "\n"), BY_UP, strlen(BY_UP)) : NULL;
    if (!mark || !before)
        return sl_error_set(error, SL_CONFLICT, "the context %s (%s) is not of `streamlayer up`", name,
                            hocon_origin(context));
    if (strcmp(before, file) && platform_runs(before))
        return sl_error_set(error, SL_CONFLICT,
                            "the context %s is of another `streamlayer up`, which runs (%s)", name, before);
    return SL_OK;
}

static sl_status register_entry(struct edit *edit, const char *name, const char *file, bool *current,
                                char **replaced, sl_error *error)
{
    struct hocon *contexts = NULL;
    struct sl_buffer block;
    sl_buffer_init(&block, MAX_SIZE);
    sl_status status = sl_contexts_read(&contexts, error);
    if (!status)
        status = may_register(edit, contexts, name, file, error);
    if (!status) {
        const char *now = sl_contexts_current(contexts), *before = file_of(find_context(contexts, name));
        sl_buffer_printf(&block, "contexts.%s { " BY_UP "\n  file = ", name);
        append_quoted(&block, file);
        sl_buffer_append_text(&block, "\n}\n");
        *current = !now || !strcmp(now, name);
        if (block.failed)
            status = sl_error_oom(error);
        else if (before && strcmp(before, file) != 0 && !(*replaced = strdup(before)))
            status = sl_error_oom(error);
        else if (!now || !before || *replaced)
            status = put_block(edit, name, block.data, now, !now, error);
    }
    sl_buffer_free(&block);
    hocon_free(&contexts);
    return status;
}

bool cli_context_register(const char *name, const char *file, bool *current, char **before, sl_error *error)
{
    struct edit edit;
    *current = false;
    *before = NULL;
    sl_status status = edit_begin(&edit, error);
    if (!status)
        status = register_entry(&edit, name, file, current, before, error);
    edit_end(&edit);
    return status == SL_OK;
}

/* --- what people call
 * ---------------------------------------------------------------------------------------- */

static int check_name(struct cli *cli)
{
    if (sl_context_name_ok(cli->operands[0]))
        return CLI_OK;
    return cli_usage_error(cli, "\"%s\" cannot be a context's name: 1 to 64 letters, digits, - and _",
                           cli->operands[0]);
}

static int not_found(const struct cli *cli, const char *name)
{
    return cli_error_as(cli, SL_NOT_FOUND,
                        "there is no context \"%s\"; `streamlayer context list` shows those that there are",
                        name);
}

/* Lookup's URL in that context, released with free; NULL with the error. */
static char *url_of(const char *name, sl_error *error)
{
    sl_config *config = NULL;
    char *url = NULL;
    sl_status status = sl_config_create(&config, error);
    if (!status)
        status = sl_config_load_context(config, name, error);
    if (!status)
        (void)sl_config_lookup_url(config, &url, error);
    sl_config_destroy(&config);
    return url;
}

static json_t *as_json(const char *name, const struct hocon_value *context, bool current)
{
    sl_error error = {0};
    char *url = url_of(name, &error);
    json_t *object = json_pack("{s:s, s:b, s:s, s:s?, s:s?}", "name", name, "current", (int)current, "origin",
                               hocon_origin(context), "file", file_of(context), "lookupUrl", url);
    if (object && !url)
        json_object_set_new(object, "error", json_string(error.text));
    free(url);
    return object;
}

static int run_list(struct cli *cli)
{
    sl_error error = {0};
    struct hocon *contexts = NULL;
    if (sl_contexts_read(&contexts, &error))
        return cli_fail(cli, &error);
    const struct hocon_value *all = sl_contexts_all(contexts);
    const char *current = sl_contexts_current(contexts);
    static const char *const titles[] = {"", "CONTEXT", "PLATFORM", "FROM"};
    json_t *list = json_array();
    struct cli_table *table = cli_table_create(4, titles);
    for (size_t i = 0; all && i < hocon_count(all); i++) {
        const char *name = hocon_key_at(all, i);
        json_t *object = as_json(name, hocon_at(all, i), current && !strcmp(current, name));
        const char *url = json_string_value(json_object_get(object, "lookupUrl"));
        const char *file = json_string_value(json_object_get(object, "file"));
        const char *cells[] = {json_is_true(json_object_get(object, "current")) ? "*" : "", name,
                               url ? url : json_string_value(json_object_get(object, "error")),
                               file ? file : json_string_value(json_object_get(object, "origin"))};
        cli_table_row(table, cells);
        json_array_append_new(list, object);
    }
    if (cli->json && !json_dumpf(list, stdout, JSON_INDENT(2)))
        putchar('\n');
    else if (!cli->json && json_array_size(list))
        cli_table_print(&table);
    else if (!cli->json)
        fputs(
            "There are no contexts yet: `streamlayer context add` makes one, and so does `streamlayer up`.\n",
            stderr);
    cli_table_drop(&table);
    json_decref(list);
    hocon_free(&contexts);
    return cli_flush_output(cli);
}

const struct cli_command cli_context_list_command = {
    .name = "context list",
    .operands = "",
    .summary = "list the platforms that have names",
    .details = "The current one, which counts where nothing else says which platform is meant, has a star.",
    .examples = "  streamlayer context list\n"
                "  streamlayer context list --json\n",
    .run = run_list,
};

static bool count_value(void *opaque, const char *path, const char *value, const char *origin)
{
    (void)path;
    (void)origin;
    *(size_t *)opaque += strcmp(value, "null") != 0;
    return true;
}

static int run_show(struct cli *cli)
{
    sl_error error = {0};
    const char *value = NULL, *by = NULL;
    sl_status status = SL_OK;
    int code = CLI_OK;
    if (cli->operand_count) {
        status = sl_config_create(&cli->config, &error);
        if (!status)
            status = sl_config_load_context(cli->config, cli->operands[0], &error);
    } else if (!(code = cli_load_config(cli))) {
        by = cli_platform_chosen_by(cli, &value);
    }
    if (status)
        code = cli_fail(cli, &error);
    if (code)
        return code;
    char *url = NULL;
    if (sl_config_lookup_url(cli->config, &url, &error))
        return cli_fail(cli, &error);
    const char *name = sl_config_context(cli->config);
    const char *producer = sl_config_get(cli->config, SL_ROOT "stream.connector.producer");
    const char *consumer = sl_config_get(cli->config, SL_ROOT "stream.connector.consumer");
    size_t layered = 0;
    sl_config_each(cli->config, SL_ROOT "stream.layers", count_value, &layered);
    if (cli->json) {
        json_t *object = json_pack("{s:s?, s:s?, s:s?, s:s, s:s?, s:s?, s:I}", "context", name, "chosenBy",
                                   by, "chosen", value, "lookupUrl", url, "producer", producer, "consumer",
                                   consumer, "perLayer", (json_int_t)layered);
        if (object && !json_dumpf(object, stdout, JSON_INDENT(2)))
            putchar('\n');
        json_decref(object);
    } else {
        printf("context    %s\n", name ? name : "none");
        if (!cli->operand_count)
            printf("chosen by  %s%s%s\n", by, value ? ": " : "", value ? value : "");
        printf("platform   %s\nproducer   %s\nconsumer   %s\n", url, producer, consumer);
        if (layered)
            printf("per layer  %zu (`streamlayer config show %sstream.layers` lists them)\n", layered,
                   SL_ROOT);
    }
    free(url);
    return cli_flush_output(cli);
}

const struct cli_command cli_context_show_command = {
    .name = "context show",
    .operands = "[CONTEXT]",
    .max_operands = 1,
    .summary = "show the platform in force, or a context's",
    .details =
        "Without CONTEXT: the platform that a command would use now, and what has chosen it. In this order: "
        "--config or --context, STREAMLAYER_CONTEXT, STREAMLAYER_CONFIG, application.conf in the working "
        "directory, the current context.",
    .examples = "  streamlayer context show\n"
                "  streamlayer context show prod\n",
    .related = "config show,status",
    .run = run_show,
};

static int run_use(struct cli *cli)
{
    sl_error error = {0};
    struct edit edit;
    const char *name = cli->operands[0], *value;
    struct hocon *contexts = NULL;
    sl_status status = edit_begin(&edit, &error);
    if (!status)
        status = sl_contexts_read(&contexts, &error);
    bool found = find_context(contexts, name) != NULL;
    if (!status && found && !sl_context_name_ok(name))
        status = sl_error_set(&error, SL_INVALID_ARGUMENT,
                              "\"%s\" cannot be current: 1 to 64 letters, digits, - and _ can", name);
    if (!status && found && !put_current(&edit.text, name))
        status = sl_error_oom(&error);
    if (!status && found)
        status = verify(&edit, name, true, name, &error);
    if (!status && found)
        status = edit_write(&edit, &error);
    hocon_free(&contexts);
    edit_end(&edit);
    if (status)
        return cli_fail(cli, &error);
    if (!found)
        return not_found(cli, name);
    const char *by = cli_platform_chosen_by(cli, &value);
    if (strcmp(by, "nothing"))
        cli_warning(cli, "%s is the current context now, but here %s (%s) counts more", name, by, value);
    if (cli->json)
        printf("{\"current\": \"%s\"}\n", name);
    return cli_flush_output(cli);
}

const struct cli_command cli_context_use_command = {
    .name = "context use",
    .operands = "CONTEXT",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "make a context the current one",
    .details =
        "It counts wherever nothing else says which platform is meant; `streamlayer context show` tells what "
        "counts where you are.",
    .examples = "  streamlayer context use prod\n",
    .run = run_use,
};

static const struct cli_option add_options[] = {
    {0, "replace", NULL, "write over a context of that name"},
    {0, "use", NULL, "make it the current one, too; the first one always is"},
    {0, NULL, NULL, NULL},
};

/* Writes the context; settings that would not do are refused before. CLI_OK, or an exit code. */
static int make_block(struct cli *cli, const char *name, struct sl_buffer *block)
{
    sl_error error = {0};
    char file[PATH_MAX];
    const char *setting;
    sl_status status = sl_config_create(&cli->config, &error);
    sl_buffer_printf(block, "contexts.%s {\n", name);
    if (cli->operand_count > 1) {
        if (!realpath(cli->operands[1], file))
            return cli_file_error(cli, cli->operands[1], errno);
        if (!status)
            status = sl_config_load_file(cli->config, file, &error);
        sl_buffer_append_text(block, "  file = ");
        append_quoted(block, file);
        sl_buffer_append_text(block, "\n");
    }
    for (size_t at = 0; !status && (setting = cli_next_value(cli, "D", &at)) != NULL;) {
        const char *equals = strchr(setting, '=');
        char *path = equals && equals > setting ? strndup(setting, (size_t)(equals - setting)) : NULL;
        if (!path)
            return cli_usage_error(cli, "-D %s: PATH=VALUE is needed", setting);
        status = sl_config_set_from(cli->config, path, equals + 1, "-D", &error);
        sl_buffer_printf(block, "  %s = ", path);
        append_quoted(block, equals + 1);
        sl_buffer_append_text(block, "\n");
        free(path);
    }
    sl_buffer_append_text(block, "}\n");
    if (!status && block->failed)
        status = sl_error_oom(&error);
    if (!status)
        status = sl_config_check(cli->config, &error);
    return status ? cli_fail(cli, &error) : CLI_OK;
}

static int run_add(struct cli *cli)
{
    sl_error error = {0};
    struct edit edit;
    struct sl_buffer block;
    struct hocon *contexts = NULL;
    const char *name = cli->operands[0];
    size_t at = 0;
    int code = check_name(cli);
    if (!code && cli->operand_count < 2 && !cli_next_value(cli, "D", &at))
        code = cli_usage_error(cli, "a context needs a FILE, or settings with -D PATH=VALUE, or both");
    if (code)
        return code;
    sl_buffer_init(&block, MAX_SIZE);
    code = make_block(cli, name, &block);
    if (code) {
        sl_buffer_free(&block);
        return code;
    }
    sl_status status = edit_begin(&edit, &error);
    if (!status)
        status = sl_contexts_read(&contexts, &error);
    const char *current = sl_contexts_current(contexts);
    if (!status && find_context(contexts, name) && !cli_flag(cli, "replace"))
        status = sl_error_set(&error, SL_CONFLICT,
                              "there is a context \"%s\" (%s): give another name, or --replace", name,
                              hocon_origin(find_context(contexts, name)));
    if (!status)
        status = put_block(&edit, name, block.data, current, !current || cli_flag(cli, "use"), &error);
    hocon_free(&contexts);
    edit_end(&edit);
    sl_buffer_free(&block);
    if (status)
        return cli_fail(cli, &error);
    if (cli->json)
        printf("{\"name\": \"%s\"}\n", name);
    return cli_flush_output(cli);
}

const struct cli_command cli_context_add_command = {
    .name = "context add",
    .operands = "CONTEXT [FILE]",
    .min_operands = 1,
    .max_operands = 2,
    .summary = "give a platform a name",
    .details =
        "A context is a configuration file, which stays where it is, or settings (-D), or both: then the "
        "settings are laid over the file's. It is written to contexts.conf in $XDG_CONFIG_HOME/streamlayer "
        "or ~/.config/streamlayer, which may be edited by hand.",
    .examples =
        "  streamlayer context add prod /etc/fleet/prod.conf\n"
        "  streamlayer context add test --use \\\n"
        "      -D here.platform.data-client.endpoint-locator.discovery-service-url=http://127.0.0.1:8080 \\\n"
        "      -D here.platform.data-client.request-signer.credentials.file-path=~/test.properties\n",
    .options = add_options,
    .related = "up,config show",
    .run = run_add,
};

static int run_remove(struct cli *cli)
{
    sl_error error = {0};
    struct edit edit;
    struct hocon *contexts = NULL;
    const char *name = cli->operands[0];
    size_t from, to;
    sl_status status = edit_begin(&edit, &error);
    if (!status)
        status = sl_contexts_read(&contexts, &error);
    bool found = find_context(contexts, name) != NULL;
    const char *current = sl_contexts_current(contexts);
    bool was_current = current && !strcmp(current, name);
    if (!status && found) {
        /* The empty line before it was written with it. */
        if (block_of(&edit, name, &from, &to)) {
            from -= from >= 2 && edit.text.data[from - 1] == '\n' && edit.text.data[from - 2] == '\n';
            if (!put_part(&edit.text, from, to, ""))
                status = sl_error_oom(&error);
        }
        if (!status && was_current && !put_current(&edit.text, NULL))
            status = sl_error_oom(&error);
        if (!status)
            status = verify(&edit, name, false, was_current ? NULL : current, &error);
        if (!status)
            status = edit_write(&edit, &error);
    }
    hocon_free(&contexts);
    edit_end(&edit);
    if (status)
        return cli_fail(cli, &error);
    if (!found)
        return not_found(cli, name);
    if (was_current)
        cli_warning(cli, "%s was the current context: none is now", name);
    if (cli->json)
        printf("{\"name\": \"%s\"}\n", name);
    return cli_flush_output(cli);
}

const struct cli_command cli_context_remove_command = {
    .name = "context remove",
    .operands = "CONTEXT",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "forget a context; the platform and its files stay",
    .examples = "  streamlayer context remove test\n",
    .run = run_remove,
};
