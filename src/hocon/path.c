#include "hocon/path.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "hocon/render.h"

struct reader {
    struct hocon_lexer *lexer;
    struct hocon_arena *arena;
    struct hocon_path *path;
    size_t capacity;
    struct sl_buffer key; /* the key that is being read */
    bool quoted;          /* part of it was quoted: it may be empty */
    sl_error *error;
};

static sl_status end_key(struct reader *reader)
{
    if (!reader->key.size && !reader->quoted)
        return hocon_unexpected(reader->lexer, "a key (an empty one is written \"\")", reader->error);
    struct hocon_key *keys = hocon_arena_extend(reader->arena, reader->path->keys, reader->path->count,
                                                &reader->capacity, sizeof *keys);
    if (!keys)
        return sl_error_oom(reader->error);
    reader->path->keys = keys;
    struct hocon_key *key = &keys[reader->path->count];
    key->size = reader->key.size;
    key->text = hocon_arena_text(reader->arena, reader->key.data, reader->key.size);
    if (!key->text || reader->key.failed)
        return sl_error_oom(reader->error);
    reader->path->count++;
    reader->quoted = false;
    sl_buffer_reset(&reader->key);
    return SL_OK;
}

/* Text in which dots separate keys. */
static sl_status add_unquoted(struct reader *reader)
{
    struct hocon_lexer *lexer = reader->lexer;
    struct hocon_lexer ahead = *lexer;
    const char *stop = lexer->at + hocon_read_unquoted(&ahead).size;
    while (lexer->at < stop) {
        if (*lexer->at == '.') {
            sl_status status = end_key(reader);
            if (status != SL_OK)
                return status;
            hocon_skip(lexer, 1);
            continue;
        }
        const char *from = lexer->at;
        while (lexer->at < stop && *lexer->at != '.')
            hocon_skip(lexer, 1);
        sl_buffer_append(&reader->key, from, (size_t)(lexer->at - from));
    }
    return reader->key.failed ? sl_error_oom(reader->error) : SL_OK;
}

static sl_status read_pieces(struct reader *reader)
{
    struct hocon_lexer *lexer = reader->lexer;
    hocon_skip_blank(lexer);
    for (;;) {
        const char *blank = lexer->at;
        hocon_skip_blank(lexer);
        bool quote = hocon_peek(lexer, 0) == '"';
        if (!quote && !hocon_at_unquoted(lexer))
            return end_key(reader);
        sl_buffer_append(&reader->key, blank, (size_t)(lexer->at - blank));
        reader->quoted = reader->quoted || quote;
        sl_status status =
            quote ? hocon_read_quoted(lexer, &reader->key, reader->error) : add_unquoted(reader);
        if (status != SL_OK)
            return status;
    }
}

sl_status hocon_read_path(struct hocon_lexer *lexer, struct hocon_arena *arena, struct hocon_path *path,
                          sl_error *error)
{
    struct reader reader = {.lexer = lexer, .arena = arena, .path = path, .error = error};
    *path = (struct hocon_path){0};
    sl_buffer_init(&reader.key, SIZE_MAX / 2);
    sl_status status = read_pieces(&reader);
    sl_buffer_free(&reader.key);
    return status;
}

sl_status hocon_path_of_text(const char *text, const char *origin, struct hocon_arena *arena,
                             struct hocon_path *path, sl_error *error)
{
    struct hocon_lexer lexer;
    size_t size = strlen(text);
    hocon_lexer_init(&lexer, text, size, origin);
    lexer.place.line = 0; /* it stands in no file */
    if (sl_utf8_length(text, size) < 0)
        return hocon_fail(error, &lexer.place, "the path is not UTF-8");
    sl_status status = hocon_read_path(&lexer, arena, path, error);
    if (status == SL_OK && lexer.at != lexer.end)
        status = hocon_unexpected(&lexer, "the end of the path", error);
    return status;
}

static bool needs_quotes(const char *key, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = key[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
              c == '_'))
            return true;
    }
    return size == 0;
}

bool hocon_append_key(struct sl_buffer *out, const char *key, size_t size)
{
    return needs_quotes(key, size) ? hocon_append_string(out, key, size) : sl_buffer_append(out, key, size);
}

bool hocon_append_path(struct sl_buffer *out, const struct hocon_path *path)
{
    for (size_t i = 0; i < path->count; i++)
        if ((i && !sl_buffer_append(out, ".", 1)) ||
            !hocon_append_key(out, path->keys[i].text, path->keys[i].size))
            return false;
    return true;
}

char *hocon_path_join(const char *path, const char *key)
{
    struct sl_buffer out;
    sl_buffer_init(&out, SIZE_MAX / 2);
    if (path && *path) {
        sl_buffer_append_text(&out, path);
        sl_buffer_append(&out, ".", 1);
    }
    hocon_append_key(&out, key, strlen(key));
    return sl_buffer_take(&out);
}

bool hocon_path_concat(struct hocon_arena *arena, const struct hocon_path *first,
                       const struct hocon_path *second, struct hocon_path *out)
{
    struct hocon_key *keys = hocon_arena_array(arena, first->count + second->count, sizeof *keys);
    if (!keys)
        return false;
    if (first->count)
        memcpy(keys, first->keys, first->count * sizeof *keys);
    if (second->count)
        memcpy(keys + first->count, second->keys, second->count * sizeof *keys);
    *out = (struct hocon_path){keys, first->count + second->count};
    return true;
}
