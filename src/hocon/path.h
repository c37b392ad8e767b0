/* Path expressions: a.b."c.d". */
#ifndef SL_HOCON_PATH_H
#define SL_HOCON_PATH_H

#include "base/buffer.h"
#include "hocon/lexer.h"

/* Reads a path expression up to what cannot be part of one, white space before and behind it included.
 * Keys are copied into arena. */
sl_status hocon_read_path(struct hocon_lexer *lexer, struct hocon_arena *arena, struct hocon_path *path,
                          sl_error *error);

/* Parses text that is nothing but a path expression. */
sl_status hocon_path_of_text(const char *text, const char *origin, struct hocon_arena *arena,
                             struct hocon_path *path, sl_error *error);

/* Appends key, quoted where it must be. */
bool hocon_append_key(struct sl_buffer *out, const char *key, size_t size);
bool hocon_append_path(struct sl_buffer *out, const struct hocon_path *path);

/* first's keys, then second's. */
bool hocon_path_concat(struct hocon_arena *arena, const struct hocon_path *first,
                       const struct hocon_path *second, struct hocon_path *out);

#endif
