#include "hocon/parse.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"

static sl_status parse_value(struct hocon_parser *parser, struct hocon_node **out);

static sl_status too_deep(struct hocon_parser *parser)
{
    return hocon_fail(parser->error, &parser->lexer.place, "nested deeper than %u values, expected fewer",
                      parser->limits->max_depth);
}

/* A scalar that was not quoted, or the text of a concatenation. */
static enum hocon_node_type type_of_text(const struct hocon_key *text, bool json)
{
    if (text->size == 4 && memcmp(text->text, "null", 4) == 0)
        return NODE_NULL;
    if ((text->size == 4 && memcmp(text->text, "true", 4) == 0) ||
        (text->size == 5 && memcmp(text->text, "false", 5) == 0))
        return NODE_BOOLEAN;
    return hocon_number_length(text->text, text->size, json) == text->size ? NODE_NUMBER : NODE_STRING;
}

static sl_status parse_reference(struct hocon_parser *parser, struct hocon_node **out)
{
    struct hocon_lexer *lexer = &parser->lexer;
    struct hocon_node *node = hocon_node_new(parser->document, NODE_REFERENCE, &lexer->place);
    if (!node)
        return sl_error_oom(parser->error);
    hocon_skip(lexer, 2);
    if (hocon_peek(lexer, 0) == '?') {
        node->reference.optional = true;
        hocon_skip(lexer, 1);
    }
    struct hocon_path path;
    sl_status status = hocon_read_path(lexer, &parser->document->arena, &path, parser->error);
    if (status != SL_OK)
        return status;
    if (hocon_looking_at(lexer, "[]")) {
        node->reference.list = true;
        hocon_skip(lexer, 2);
        hocon_skip_blank(lexer);
    }
    if (hocon_peek(lexer, 0) != '}')
        return hocon_unexpected(lexer, "'}' at the substitution's end", parser->error);
    hocon_skip(lexer, 1);
    node->reference.prefix = parser->prefix.count;
    if (!hocon_path_concat(&parser->document->arena, &parser->prefix, &path, &node->reference.path))
        return sl_error_oom(parser->error);
    *out = node;
    return SL_OK;
}

static sl_status parse_string(struct hocon_parser *parser, struct hocon_node **out)
{
    struct hocon_place place = parser->lexer.place;
    sl_buffer_reset(&parser->scratch);
    sl_status status = hocon_read_quoted(&parser->lexer, &parser->scratch, parser->error);
    if (status != SL_OK)
        return status;
    *out = hocon_node_text(parser->document, NODE_STRING, &place, parser->scratch.data, parser->scratch.size);
    return *out ? SL_OK : sl_error_oom(parser->error);
}

static sl_status parse_unquoted(struct hocon_parser *parser, struct hocon_node **out)
{
    struct hocon_place place = parser->lexer.place;
    struct hocon_key text = hocon_read_unquoted(&parser->lexer);
    enum hocon_node_type type = type_of_text(&text, parser->lexer.json);
    if (parser->lexer.json && type == NODE_STRING)
        return hocon_fail(parser->error, &place, "text without quotes, expected a JSON value");
    *out = hocon_node_text(parser->document, type, &place, text.text, text.size);
    return *out ? SL_OK : sl_error_oom(parser->error);
}

/* After an element or a field: a comma, a new line, or the end, which the caller looks for. */
static sl_status parse_separator(struct hocon_parser *parser, char close, const char *expected)
{
    struct hocon_lexer *lexer = &parser->lexer;
    bool newline;
    sl_status status = hocon_skip_space(lexer, &newline, parser->error);
    if (status != SL_OK)
        return status;
    int c = hocon_peek(lexer, 0);
    if (c == ',') {
        hocon_skip(lexer, 1);
        if ((status = hocon_skip_space(lexer, &newline, parser->error)) != SL_OK)
            return status;
        if (lexer->json && hocon_peek(lexer, 0) == close)
            return hocon_unexpected(lexer, "a value after the comma, as JSON asks for", parser->error);
        return SL_OK;
    }
    bool ends = close ? c == close : c < 0;
    if (ends || (newline && !lexer->json))
        return SL_OK;
    return hocon_unexpected(lexer, expected, parser->error);
}

static sl_status parse_elements(struct hocon_parser *parser, struct hocon_node *list)
{
    struct hocon_lexer *lexer = &parser->lexer;
    bool newline;
    sl_status status = hocon_skip_space(lexer, &newline, parser->error);
    while (status == SL_OK && hocon_peek(lexer, 0) != ']') {
        struct hocon_node *item = NULL;
        status = parse_value(parser, &item);
        if (status == SL_OK && !hocon_node_add(parser->document, list, item))
            status = sl_error_oom(parser->error);
        if (status == SL_OK)
            status = parse_separator(parser, ']', "',', a new line or ']' after the list's element");
    }
    hocon_skip(lexer, status == SL_OK);
    return status;
}

static sl_status parse_list(struct hocon_parser *parser, struct hocon_node **out)
{
    if (++parser->depth > parser->limits->max_depth)
        return too_deep(parser);
    struct hocon_node *list = hocon_node_new(parser->document, NODE_LIST, &parser->lexer.place);
    if (!list)
        return sl_error_oom(parser->error);
    hocon_skip(&parser->lexer, 1);
    parser->lists++;
    sl_status status = parse_elements(parser, list);
    parser->lists--;
    parser->depth--;
    *out = list;
    return status;
}

/* key += value means key = ${?key} [value]. */
static bool make_append(struct hocon_parser *parser, struct hocon_node **value)
{
    struct hocon *document = parser->document;
    const struct hocon_place *place = &(*value)->place;
    struct hocon_node *concat = hocon_node_new(document, NODE_CONCAT, place);
    struct hocon_node *self = hocon_node_new(document, NODE_SELF, place);
    struct hocon_node *list = hocon_node_new(document, NODE_LIST, place);
    if (!concat || !self || !list || !hocon_node_add(document, list, *value) ||
        !hocon_node_add(document, concat, self) || !hocon_node_add(document, concat, list))
        return false;
    *value = concat;
    return true;
}

static sl_status parse_key(struct hocon_parser *parser, char close, struct hocon_path *path)
{
    struct hocon_lexer *lexer = &parser->lexer;
    if (hocon_peek(lexer, 0) != '"' && (lexer->json || !hocon_at_unquoted(lexer)))
        return hocon_unexpected(lexer,
                                lexer->json ? "a key in quotes"
                                : close     ? "a key, 'include' or '}'"
                                            : "a key, 'include' or the end of the file",
                                parser->error);
    struct hocon_arena *arena = &parser->document->arena;
    if (!lexer->json)
        return hocon_read_path(lexer, arena, path, parser->error);
    sl_buffer_reset(&parser->scratch);
    sl_status status = hocon_read_quoted(lexer, &parser->scratch, parser->error);
    if (status != SL_OK)
        return status;
    struct hocon_key *key = hocon_arena_alloc(arena, sizeof *key);
    if (!key || !(key->text = hocon_arena_text(arena, parser->scratch.data, parser->scratch.size)))
        return sl_error_oom(parser->error);
    key->size = parser->scratch.size;
    *path = (struct hocon_path){key, 1};
    return SL_OK;
}

/* What stands between key and value; the lexer goes on to the value. */
static sl_status parse_assignment(struct hocon_parser *parser, bool *append)
{
    struct hocon_lexer *lexer = &parser->lexer;
    bool newline;
    sl_status status = hocon_skip_space(lexer, &newline, parser->error);
    if (status != SL_OK)
        return status;
    int c = hocon_peek(lexer, 0);
    *append = !lexer->json && hocon_looking_at(lexer, "+=");
    if (c == '{' && !lexer->json)
        return SL_OK;
    if (c != ':' && !*append && (c != '=' || lexer->json))
        return hocon_unexpected(
            lexer, lexer->json ? "':' after the key" : "':', '=', '+=' or '{' after the key", parser->error);
    hocon_skip(lexer, *append ? 2 : 1);
    return hocon_skip_space(lexer, &newline, parser->error);
}

static sl_status parse_field(struct hocon_parser *parser, struct hocon_node *object, char close)
{
    struct hocon_scope scope = {.outer = parser->scope};
    struct hocon_place place = parser->lexer.place;
    sl_status status = parse_key(parser, close, &scope.path);
    if (status != SL_OK || !scope.path.keys)
        return status;
    const struct hocon_key *key = scope.path.keys;
    if (parser->lexer.json && hocon_map_find(&object->fields, key->text, key->size))
        return hocon_fail(parser->error, &place,
                          "the key \"%s\" for the second time, expected each once in JSON", key->text);
    unsigned levels = scope.path.count > parser->limits->max_depth ? parser->limits->max_depth + 1
                                                                   : (unsigned)scope.path.count;
    if (parser->depth + levels - 1 > parser->limits->max_depth)
        return too_deep(parser);
    bool append;
    if ((status = parse_assignment(parser, &append)) != SL_OK)
        return status;
    struct hocon_node *value = NULL;
    parser->depth += levels - 1;
    parser->scope = &scope;
    parser->lists += append;
    status = parse_value(parser, &value);
    parser->lists -= append;
    parser->scope = scope.outer;
    parser->depth -= levels - 1;
    if (status != SL_OK)
        return status;
    if ((append && !make_append(parser, &value)) ||
        !hocon_node_set(parser->document, object, &scope.path, value))
        return sl_error_oom(parser->error);
    return SL_OK;
}

static bool at_include(const struct hocon_lexer *lexer)
{
    struct hocon_lexer ahead = *lexer;
    if (lexer->json || !hocon_looking_at(lexer, "include"))
        return false;
    return hocon_read_unquoted(&ahead).size == strlen("include");
}

/* Fields up to close, or up to the end of the text when close is 0. */
static sl_status parse_fields(struct hocon_parser *parser, struct hocon_node *object, char close)
{
    struct hocon_lexer *lexer = &parser->lexer;
    bool newline;
    sl_status status = hocon_skip_space(lexer, &newline, parser->error);
    while (status == SL_OK && (close ? hocon_peek(lexer, 0) != close : lexer->at != lexer->end)) {
        status = at_include(lexer) ? hocon_parse_include(parser, object) : parse_field(parser, object, close);
        if (status == SL_OK)
            status =
                parse_separator(parser, close,
                                close ? "',', a new line or '}' after the field's value"
                                      : "',', a new line or the end of the file after the field's value");
    }
    hocon_skip(lexer, status == SL_OK && close);
    return status;
}

static sl_status parse_object(struct hocon_parser *parser, struct hocon_node **out)
{
    if (++parser->depth > parser->limits->max_depth)
        return too_deep(parser);
    struct hocon_node *object = hocon_node_new(parser->document, NODE_OBJECT, &parser->lexer.place);
    if (!object)
        return sl_error_oom(parser->error);
    hocon_skip(&parser->lexer, 1);
    sl_status status = parse_fields(parser, object, '}');
    parser->depth--;
    *out = object;
    return status;
}

/* The pieces of a concatenation in which no substitution is, put together. */
static bool join(struct hocon_parser *parser, const struct hocon_node *concat, struct hocon_node **out)
{
    struct hocon_node *first = concat->list.nodes[0];
    sl_buffer_reset(&parser->scratch);
    for (size_t i = 0; i < concat->list.count; i++) {
        struct hocon_node *piece = concat->list.nodes[i];
        if (first->type < NODE_LIST) {
            sl_buffer_append(&parser->scratch, piece->scalar.text, piece->scalar.size);
        } else if (i && piece->type == NODE_OBJECT) {
            if (!hocon_node_merge(parser->document, first, piece))
                return false;
        } else if (i && piece->type == NODE_LIST) {
            for (size_t j = 0; j < piece->list.count; j++)
                if (!hocon_node_add(parser->document, first, piece->list.nodes[j]))
                    return false;
        }
    }
    if (first->type < NODE_LIST && !parser->scratch.failed)
        first = hocon_node_text(parser->document, NODE_STRING, &first->place, parser->scratch.data,
                                parser->scratch.size);
    *out = first;
    return first && !parser->scratch.failed;
}

/* Joins what can be joined now; refuses pieces that never go together. */
static sl_status finish_concat(struct hocon_parser *parser, struct hocon_node *concat,
                               struct hocon_node **out)
{
    const struct hocon_node *kinds[NODE_CONCAT + 1] = {0};
    for (size_t i = 0; i < concat->list.count; i++) {
        const struct hocon_node *piece = concat->list.nodes[i];
        kinds[piece->type <= NODE_STRING ? NODE_STRING : piece->type] = piece;
    }
    const struct hocon_node *container = kinds[NODE_OBJECT] ? kinds[NODE_OBJECT] : kinds[NODE_LIST];
    if (container && kinds[NODE_STRING])
        return hocon_fail(parser->error, &kinds[NODE_STRING]->place,
                          "text beside %s on one line, expected a ',' or a new line between them",
                          container->type == NODE_OBJECT ? "an object" : "a list");
    /* A list and an object with numbered keys may go together: left to the resolver too. */
    if (kinds[NODE_REFERENCE] || (kinds[NODE_OBJECT] && kinds[NODE_LIST])) {
        *out = concat;
        return SL_OK;
    }
    return join(parser, concat, out) ? SL_OK : sl_error_oom(parser->error);
}

static sl_status parse_piece(struct hocon_parser *parser, struct hocon_node **out, bool *found)
{
    const struct hocon_lexer *lexer = &parser->lexer;
    *found = true;
    switch (hocon_peek(lexer, 0)) {
    case '{':
        return parse_object(parser, out);
    case '[':
        return parse_list(parser, out);
    case '"':
        return parse_string(parser, out);
    default:
        if (!lexer->json && hocon_looking_at(lexer, "${"))
            return parse_reference(parser, out);
        if (hocon_at_unquoted(lexer))
            return parse_unquoted(parser, out);
        *found = false;
        return SL_OK;
    }
}

/* Adds piece, and the blank before it, to what there is of the value. */
static bool add_piece(struct hocon_parser *parser, struct hocon_node **value, struct hocon_node **concat,
                      const struct hocon_key *blank, const struct hocon_place *place,
                      struct hocon_node *piece)
{
    struct hocon *document = parser->document;
    if (!*value) {
        *value = piece;
        return true;
    }
    if (!*concat) {
        *concat = hocon_node_new(document, NODE_CONCAT, &(*value)->place);
        if (!*concat || !hocon_node_add(document, *concat, *value))
            return false;
    }
    if (blank->size) {
        struct hocon_node *space = hocon_node_text(document, NODE_BLANK, place, blank->text, blank->size);
        if (!space || !hocon_node_add(document, *concat, space))
            return false;
    }
    return hocon_node_add(document, *concat, piece);
}

static sl_status parse_value(struct hocon_parser *parser, struct hocon_node **out)
{
    struct hocon_lexer *lexer = &parser->lexer;
    struct hocon_node *value = NULL, *concat = NULL;
    for (;;) {
        struct hocon_place place = lexer->place;
        struct hocon_key blank = {lexer->at, 0};
        hocon_skip_blank(lexer);
        blank.size = (size_t)(lexer->at - blank.text);
        struct hocon_node *piece = NULL;
        bool found = false;
        sl_status status = value && lexer->json ? SL_OK : parse_piece(parser, &piece, &found);
        if (status != SL_OK)
            return status;
        if (!found)
            break;
        if (!add_piece(parser, &value, &concat, &blank, &place, piece))
            return sl_error_oom(parser->error);
    }
    if (!value)
        return hocon_unexpected(lexer, "a value", parser->error);
    *out = value;
    return concat ? finish_concat(parser, concat, out) : SL_OK;
}

static sl_status parse_root(struct hocon_parser *parser, struct hocon_node **root)
{
    struct hocon_lexer *lexer = &parser->lexer;
    bool newline;
    sl_status status = hocon_skip_space(lexer, &newline, parser->error);
    if (status != SL_OK)
        return status;
    int c = hocon_peek(lexer, 0);
    if (c != '{' && c != '[') {
        if (lexer->json)
            return hocon_unexpected(lexer, "'{' or '['", parser->error);
        parser->depth++;
        *root = hocon_node_new(parser->document, NODE_OBJECT, &lexer->place);
        return *root ? parse_fields(parser, *root, 0) : sl_error_oom(parser->error);
    }
    status = c == '{' ? parse_object(parser, root) : parse_list(parser, root);
    if (status == SL_OK)
        status = hocon_skip_space(lexer, &newline, parser->error);
    if (status == SL_OK && lexer->at != lexer->end)
        status = hocon_unexpected(lexer, "the end of the file", parser->error);
    return status;
}

/* Only well-formed text is read further. */
static sl_status check_text(struct hocon_parser *parser)
{
    struct hocon_lexer lexer = parser->lexer;
    while (lexer.at < lexer.end) {
        unsigned char c = (unsigned char)*lexer.at;
        size_t size = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (size > (size_t)(lexer.end - lexer.at) || sl_utf8_length(lexer.at, size) != 1)
            return hocon_fail(parser->error, &lexer.place, "byte 0x%02X is not UTF-8, expected UTF-8 text",
                              c);
        if (c == 0)
            return hocon_fail(parser->error, &lexer.place,
                              "a NUL character, which no text may contain, expected it left out");
        hocon_skip(&lexer, size);
    }
    return SL_OK;
}

sl_status hocon_parse_bytes(struct hocon_parser *parser, const char *text, size_t size, const char *file,
                            enum hocon_syntax syntax, struct hocon_node **root)
{
    hocon_lexer_init(&parser->lexer, text, size, file);
    parser->lexer.json = syntax == HOCON_SYNTAX_JSON;
    sl_buffer_init(&parser->scratch, SIZE_MAX / 2);
    sl_status status = check_text(parser);
    if (status == SL_OK)
        status = syntax == HOCON_SYNTAX_PROPERTIES ? hocon_parse_properties(parser, root)
                                                   : parse_root(parser, root);
    sl_buffer_free(&parser->scratch);
    return status;
}
