/* Reads a text character by character and keeps count of lines and columns. The text is well-formed UTF-8. */
#ifndef SL_HOCON_LEXER_H
#define SL_HOCON_LEXER_H

#include "base/buffer.h"
#include "hocon/node.h"

struct hocon_lexer {
    const char *at, *end;
    struct hocon_place place; /* of at */
    bool json;                /* nothing but JSON: no comments, no triple quotes */
};

void hocon_lexer_init(struct hocon_lexer *lexer, const char *text, size_t size, const char *file);

/* The byte at offset bytes from here; -1 at the end. */
int hocon_peek(const struct hocon_lexer *lexer, size_t offset);
bool hocon_looking_at(const struct hocon_lexer *lexer, const char *text);
void hocon_skip(struct hocon_lexer *lexer, size_t bytes);

/* Skips white space within the line. */
void hocon_skip_blank(struct hocon_lexer *lexer);
/* Skips white space, newlines and comments; *newline tells whether a line ended. */
sl_status hocon_skip_space(struct hocon_lexer *lexer, bool *newline, sl_error *error);

/* Whether an unquoted string may begin here. */
bool hocon_at_unquoted(const struct hocon_lexer *lexer);
/* Reads one: at least one byte. */
struct hocon_key hocon_read_unquoted(struct hocon_lexer *lexer);
/* Appends the string that begins with the quote here, single or triple. */
sl_status hocon_read_quoted(struct hocon_lexer *lexer, struct sl_buffer *out, sl_error *error);

/* Appends the code point of the \uXXXX here (of two, for a surrogate pair). */
sl_status hocon_read_unicode(struct hocon_lexer *lexer, struct sl_buffer *out, sl_error *error);

/* The length of the number at the start of text; 0: none. Outside of JSON it may have zeros in front and end
 * with its point, as the Lightbend library has it. */
size_t hocon_number_length(const char *text, size_t size, bool json);

/* "unexpected 'x', expected EXPECTED" with the place. */
sl_status hocon_unexpected(const struct hocon_lexer *lexer, const char *expected, sl_error *error);

#endif
