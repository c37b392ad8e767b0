/* Files, and the include statement. */
#include "hocon/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"

enum { MOST_FILES = 1000 }; /* of one document: files that include one another several times multiply */

/* The statement's argument. */
struct include {
    struct hocon_place place;
    bool required;
    bool plain; /* no file(): its name is relative to the including file, not to the working directory */
    char *name;
};

static enum hocon_syntax syntax_of(const char *file, bool *known)
{
    static const char *const endings[] = {".conf", ".json", ".properties"};
    size_t size = strlen(file);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t length = strlen(endings[i]);
        *known = size >= length && strcmp(file + size - length, endings[i]) == 0;
        if (*known)
            return (enum hocon_syntax)i;
    }
    return HOCON_SYNTAX_CONF;
}

/* An error about a file as a whole: it stands where the include statement is. */
static sl_status file_error(struct hocon_parser *parser, sl_status status, const char *format, ...)
    SL_PRINTF(3, 4);
static sl_status file_error(struct hocon_parser *parser, sl_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    sl_error_vset(parser->error, status, format, arguments);
    va_end(arguments);
    if (parser->from.file)
        sl_error_prefix(parser->error, "%s:%u:%u", parser->from.file, parser->from.line, parser->from.column);
    return status;
}

static sl_status read_all(struct hocon_parser *parser, FILE *stream, const char *file, struct sl_buffer *text)
{
    size_t max = parser->limits->max_bytes;
    sl_buffer_init(text, max + 1);
    for (;;) {
        size_t wanted = max + 1 - text->size < 65536 ? max + 1 - text->size : 65536;
        if (!sl_buffer_reserve(text, wanted))
            return sl_error_oom(parser->error);
        size_t got = fread(text->data + text->size, 1, wanted, stream);
        text->size += got;
        if (text->size > max)
            return file_error(parser, SL_BAD_CONFIG, "%s is too large, expected at most %zu bytes", file,
                              max);
        if (got == 0)
            break;
    }
    if (ferror(stream))
        return file_error(parser, SL_IO, "%s cannot be read: %s", file, sl_errno_text(errno));
    return SL_OK;
}

static sl_status check_inclusion(struct hocon_parser *parser, const char *file, const struct stat *info)
{
    unsigned depth = 0;
    for (const struct hocon_input *input = parser->input; input; input = input->includer, depth++)
        if (input->device == info->st_dev && input->inode == info->st_ino && input->inode)
            return file_error(parser, SL_BAD_CONFIG,
                              "%s includes itself, directly or by way of others, expected an end", file);
    if (depth > parser->limits->max_includes)
        return file_error(parser, SL_BAD_CONFIG, "files are included more than %u deep, expected fewer",
                          parser->limits->max_includes);
    if (++*parser->files > MOST_FILES)
        return file_error(parser, SL_BAD_CONFIG, "more than %d files are included, expected fewer",
                          (int)MOST_FILES);
    return SL_OK;
}

static char *directory_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    if (!slash)
        return sl_printf(".");
    return sl_printf("%.*s", (int)(slash == file ? 1 : slash - file), file);
}

static sl_status parse_stream(struct hocon_parser *parser, FILE *stream, const char *file,
                              struct hocon_node **root)
{
    struct stat info;
    if (fstat(fileno(stream), &info) != 0 || S_ISDIR(info.st_mode))
        return file_error(parser, SL_IO, "%s is a directory, expected a file", file);
    sl_status status = check_inclusion(parser, file, &info);
    if (status != SL_OK)
        return status;
    char *directory = directory_of(file);
    const char *name = hocon_arena_text(&parser->document->arena, file, strlen(file));
    struct sl_buffer text = {0};
    if (directory && name)
        status = read_all(parser, stream, file, &text);
    else
        status = sl_error_oom(parser->error);
    if (status == SL_OK) {
        struct hocon_input input = {parser->input, info.st_dev, info.st_ino, directory};
        struct hocon_parser inner = *parser;
        inner.input = &input;
        bool known;
        status = hocon_parse_bytes(&inner, text.data, text.size, name, syntax_of(file, &known), root);
    }
    sl_buffer_free(&text);
    free(directory);
    return status;
}

sl_status hocon_parse_path(struct hocon_parser *parser, const char *file, struct hocon_node **root)
{
    *root = NULL;
    FILE *stream = fopen(file, "re");
    if (!stream) {
        if (errno == ENOENT || errno == ENOTDIR)
            return SL_OK;
        if (errno == ENOMEM)
            return sl_error_oom(parser->error);
        return file_error(parser, SL_IO, "%s cannot be opened: %s", file, sl_errno_text(errno));
    }
    sl_status status = parse_stream(parser, stream, file, root);
    fclose(stream);
    return status;
}

static sl_status expect(struct hocon_parser *parser, const char *text, const char *expected)
{
    bool newline;
    sl_status status = hocon_skip_space(&parser->lexer, &newline, parser->error);
    if (status == SL_OK && !hocon_looking_at(&parser->lexer, text))
        status = hocon_unexpected(&parser->lexer, expected, parser->error);
    return status;
}

/* "file(" and the like: skips it, counts the parenthesis. */
static bool skip_word(struct hocon_lexer *lexer, const char *word)
{
    if (!hocon_looking_at(lexer, word))
        return false;
    hocon_skip(lexer, strlen(word));
    return true;
}

static sl_status parse_argument(struct hocon_parser *parser, struct include *include)
{
    static const char expected[] = "a file's name in quotes, file(\"…\") or required(…)";
    struct hocon_lexer *lexer = &parser->lexer;
    unsigned open = 0;
    bool newline;
    hocon_skip(lexer, strlen("include"));
    sl_status status = hocon_skip_space(lexer, &newline, parser->error);
    if (status == SL_OK && skip_word(lexer, "required(")) {
        include->required = true;
        open++;
        status = hocon_skip_space(lexer, &newline, parser->error);
    }
    if (status != SL_OK)
        return status;
    if (hocon_looking_at(lexer, "classpath(") || hocon_looking_at(lexer, "url("))
        return hocon_fail(parser->error, &lexer->place,
                          "url() and classpath() cannot be included, expected %s", expected);
    include->plain = !skip_word(lexer, "file(");
    open += !include->plain;
    if ((status = expect(parser, "\"", expected)) != SL_OK)
        return status;
    include->place = lexer->place;
    sl_buffer_reset(&parser->scratch);
    if ((status = hocon_read_quoted(lexer, &parser->scratch, parser->error)) != SL_OK)
        return status;
    for (; open; open--) {
        if ((status = expect(parser, ")", "')'")) != SL_OK)
            return status;
        hocon_skip(lexer, 1);
    }
    if (!parser->scratch.size)
        return hocon_fail(parser->error, &include->place, "an empty file name, expected %s", expected);
    include->name = sl_printf("%s", parser->scratch.data);
    return include->name ? SL_OK : sl_error_oom(parser->error);
}

/* The path from the including file's root to where the statement stands. */
static bool prefix_here(const struct hocon_parser *parser, struct hocon_path *prefix)
{
    size_t count = parser->prefix.count;
    for (const struct hocon_scope *scope = parser->scope; scope; scope = scope->outer)
        count += scope->path.count;
    prefix->keys = hocon_arena_array(&parser->document->arena, count, sizeof *prefix->keys);
    prefix->count = count;
    if (!prefix->keys)
        return false;
    for (const struct hocon_scope *scope = parser->scope; scope; scope = scope->outer) {
        count -= scope->path.count;
        memcpy(prefix->keys + count, scope->path.keys, scope->path.count * sizeof *prefix->keys);
    }
    if (count)
        memcpy(prefix->keys, parser->prefix.keys, count * sizeof *prefix->keys);
    return true;
}

/* Parses one candidate and merges it into object. */
static sl_status include_file(struct hocon_parser *parser, const struct include *include, const char *ending,
                              struct hocon_node *object, bool *found)
{
    const char *directory = include->plain && include->name[0] != '/' ? parser->input->directory : "";
    char *file = sl_printf("%s%s%s%s", directory, *directory ? "/" : "", include->name, ending);
    struct hocon_parser inner = *parser;
    inner.scope = NULL;
    inner.from = include->place;
    inner.depth--; /* the file's root takes the place of the object that it is included in */
    struct hocon_node *root = NULL;
    sl_status status = SL_OUT_OF_MEMORY;
    if (file && prefix_here(parser, &inner.prefix))
        status = hocon_parse_path(&inner, file, &root);
    else
        sl_error_oom(parser->error);
    free(file);
    if (status != SL_OK || !root)
        return status;
    *found = true;
    if (root->type != NODE_OBJECT)
        return hocon_fail(parser->error, &root->place,
                          "a list at the root of an included file, expected an object");
    if (parser->lists && root->open)
        return hocon_fail(parser->error, &include->place,
                          "substitutions in a file that is included inside a list have no path to refer to, "
                          "expected the include outside of the list");
    return hocon_node_merge(parser->document, object, root) ? SL_OK : sl_error_oom(parser->error);
}

static sl_status include_all(struct hocon_parser *parser, const struct include *include,
                             struct hocon_node *object)
{
    static const char *const endings[] = {".properties", ".json", ".conf", ""};
    bool known, found = false;
    syntax_of(include->name, &known);
    sl_status status = SL_OK;
    /* A name that says what it is names one file; any other is a base name. */
    for (size_t i = known ? 3 : 0; status == SL_OK && i < 4; i++) {
        const char *base = strrchr(include->name, '/');
        bool dotted = strchr(base ? base : include->name, '.') != NULL;
        if (i < 3 || known || (!found && dotted))
            status = include_file(parser, include, endings[i], object, &found);
    }
    if (status == SL_OK && include->required && !found)
        status =
            hocon_fail(parser->error, &include->place,
                       "the required file \"%s\" is not there, expected it relative to %s", include->name,
                       include->plain ? parser->input->directory : "the working directory");
    return status;
}

sl_status hocon_parse_include(struct hocon_parser *parser, struct hocon_node *object)
{
    struct include include = {0};
    sl_status status = parse_argument(parser, &include);
    if (!include.name)
        return status;
    if (status == SL_OK && strstr(include.name, "://"))
        status = hocon_fail(parser->error, &include.place, "URLs cannot be included, expected a file's name");
    if (status == SL_OK)
        status = include_all(parser, &include, object);
    free(include.name);
    return status;
}
