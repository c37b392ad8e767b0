/* Java properties: lines of key and value; keys are split at every dot, values are strings. */
#include <string.h>

#include "base/error.h"
#include "hocon/parse.h"

static bool at_blank(const struct hocon_lexer *lexer)
{
    int c = hocon_peek(lexer, 0);
    return c == ' ' || c == '\t' || c == '\f';
}

static bool at_newline(const struct hocon_lexer *lexer)
{
    int c = hocon_peek(lexer, 0);
    return c == '\n' || c == '\r';
}

/* Skips a backslash, the newline behind it and the white space at the next line's start. */
static bool skip_continuation(struct hocon_lexer *lexer)
{
    if (hocon_peek(lexer, 0) != '\\' || (hocon_peek(lexer, 1) != '\n' && hocon_peek(lexer, 1) != '\r'))
        return false;
    hocon_skip(lexer, hocon_looking_at(lexer, "\\\r\n") ? 3 : 2);
    while (at_blank(lexer))
        hocon_skip(lexer, 1);
    return true;
}

static void skip_blanks(struct hocon_lexer *lexer)
{
    while (at_blank(lexer) || skip_continuation(lexer))
        if (at_blank(lexer))
            hocon_skip(lexer, 1);
}

static sl_status read_escape(struct hocon_parser *parser)
{
    struct hocon_lexer *lexer = &parser->lexer;
    static const char letters[] = "tnrf", meanings[] = "\t\n\r\f";
    int c = hocon_peek(lexer, 1);
    if (c == 'u')
        return hocon_read_unicode(lexer, &parser->scratch, parser->error);
    const char *letter = c > 0 ? strchr(letters, c) : NULL;
    hocon_skip(lexer, 1); /* a backslash before any other character says nothing */
    if (letter) {
        sl_buffer_append(&parser->scratch, &meanings[letter - letters], 1);
        hocon_skip(lexer, 1);
    } else if (c >= 0) {
        sl_buffer_append(&parser->scratch, lexer->at, 1);
        hocon_skip(lexer, 1);
    }
    return SL_OK;
}

/* Reads the rest of the logical line, or its key, into scratch. */
static sl_status read_text(struct hocon_parser *parser, bool key)
{
    struct hocon_lexer *lexer = &parser->lexer;
    sl_buffer_reset(&parser->scratch);
    while (hocon_peek(lexer, 0) >= 0 && !at_newline(lexer)) {
        int c = hocon_peek(lexer, 0);
        if (key && (at_blank(lexer) || c == '=' || c == ':'))
            break;
        if (skip_continuation(lexer))
            continue;
        if (c == '\\') {
            sl_status status = read_escape(parser);
            if (status != SL_OK)
                return status;
            continue;
        }
        sl_buffer_append(&parser->scratch, lexer->at, 1);
        hocon_skip(lexer, 1);
    }
    return parser->scratch.failed ? sl_error_oom(parser->error) : SL_OK;
}

static sl_status split(struct hocon_parser *parser, const struct hocon_place *place, struct hocon_path *path)
{
    struct hocon_arena *arena = &parser->document->arena;
    const char *text = hocon_arena_text(arena, parser->scratch.data, parser->scratch.size);
    if (!text)
        return sl_error_oom(parser->error);
    size_t dots = 0;
    for (const char *c = text; *c; c++)
        dots += *c == '.';
    if (parser->depth + dots >= parser->limits->max_depth) /* the root is one more */
        return hocon_fail(parser->error, place, "nested deeper than %u values, expected fewer",
                          parser->limits->max_depth);
    *path = (struct hocon_path){hocon_arena_array(arena, dots + 1, sizeof *path->keys), dots + 1};
    if (!path->keys)
        return sl_error_oom(parser->error);
    for (size_t i = 0; i <= dots; i++) {
        size_t size = strcspn(text, ".");
        path->keys[i].size = size;
        if (!(path->keys[i].text = hocon_arena_text(arena, text, size)))
            return sl_error_oom(parser->error);
        text += size + (i < dots);
    }
    return SL_OK;
}

/* Whether a value may be put at path: an object wins over a string, in whatever order they come. */
static bool has_room(const struct hocon_node *object, const struct hocon_path *path)
{
    for (size_t i = 0; i < path->count; i++) {
        const struct hocon_entry *entry =
            hocon_map_find(&object->fields, path->keys[i].text, path->keys[i].size);
        const struct hocon_node *top = entry ? entry->value : NULL;
        if (!top || top->type != NODE_OBJECT)
            return true;
        object = top;
    }
    return false;
}

static sl_status parse_line(struct hocon_parser *parser, struct hocon_node *root)
{
    struct hocon_lexer *lexer = &parser->lexer;
    struct hocon_place place = lexer->place;
    struct hocon_path path = {0};
    sl_status status = read_text(parser, true);
    if (status == SL_OK)
        status = split(parser, &place, &path);
    if (status != SL_OK)
        return status;
    skip_blanks(lexer);
    if (hocon_peek(lexer, 0) == '=' || hocon_peek(lexer, 0) == ':')
        hocon_skip(lexer, 1);
    skip_blanks(lexer);
    if ((status = read_text(parser, false)) != SL_OK)
        return status;
    struct hocon_node *value =
        hocon_node_text(parser->document, NODE_STRING, &place, parser->scratch.data, parser->scratch.size);
    if (!value || (has_room(root, &path) && !hocon_node_set(parser->document, root, &path, value)))
        return sl_error_oom(parser->error);
    return SL_OK;
}

sl_status hocon_parse_properties(struct hocon_parser *parser, struct hocon_node **root)
{
    struct hocon_lexer *lexer = &parser->lexer;
    *root = hocon_node_new(parser->document, NODE_OBJECT, &lexer->place);
    if (!*root)
        return sl_error_oom(parser->error);
    sl_status status = SL_OK;
    while (status == SL_OK && lexer->at != lexer->end) {
        int c = hocon_peek(lexer, 0);
        if (at_blank(lexer) || at_newline(lexer)) {
            hocon_skip(lexer, 1);
        } else if (c == '#' || c == '!') {
            while (lexer->at != lexer->end && !at_newline(lexer))
                hocon_skip(lexer, 1);
        } else {
            status = parse_line(parser, *root);
        }
    }
    return status;
}
