#include "hocon/lexer.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

void hocon_lexer_init(struct hocon_lexer *lexer, const char *text, size_t size, const char *file)
{
    *lexer = (struct hocon_lexer){.at = text, .end = text + size, .place = {file, 1, 1}};
    if (hocon_looking_at(lexer, "\xef\xbb\xbf")) /* a byte order mark is no column */
        lexer->at += 3;
}

int hocon_peek(const struct hocon_lexer *lexer, size_t offset)
{
    return offset < (size_t)(lexer->end - lexer->at) ? (unsigned char)lexer->at[offset] : -1;
}

bool hocon_looking_at(const struct hocon_lexer *lexer, const char *text)
{
    size_t size = strlen(text);
    return (size_t)(lexer->end - lexer->at) >= size && memcmp(lexer->at, text, size) == 0;
}

void hocon_skip(struct hocon_lexer *lexer, size_t bytes)
{
    for (; bytes; bytes--, lexer->at++) {
        if (*lexer->at == '\n') {
            lexer->place.line++;
            lexer->place.column = 1;
        } else if (((unsigned char)*lexer->at & 0xc0) != 0x80) {
            lexer->place.column++;
        }
    }
}

/* Bytes of the white space character here, newline apart; 0: there is none. */
static size_t blank_length(const struct hocon_lexer *lexer)
{
    int c = hocon_peek(lexer, 0);
    if (c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || (c >= 0x1c && c <= 0x1f))
        return 1;
    int second = c >= 0xc2 ? hocon_peek(lexer, 1) : -1;
    if (c == 0xc2)
        return second == 0xa0 ? 2 : 0; /* no-break space */
    int third = c >= 0xe1 ? hocon_peek(lexer, 2) : -1;
    if (c == 0xe1)
        return second == 0x9a && third == 0x80 ? 3 : 0; /* U+1680 */
    if (c == 0xe2 && second == 0x80)                    /* U+2000 to U+200A, U+2028, U+2029, U+202F */
        return (third >= 0x80 && third <= 0x8a) || third == 0xa8 || third == 0xa9 || third == 0xaf ? 3 : 0;
    if (c == 0xe2)
        return second == 0x81 && third == 0x9f ? 3 : 0; /* U+205F */
    if (c == 0xe3)
        return second == 0x80 && third == 0x80 ? 3 : 0; /* U+3000 */
    if (c == 0xef)
        return second == 0xbb && third == 0xbf ? 3 : 0; /* a byte order mark */
    return 0;
}

void hocon_skip_blank(struct hocon_lexer *lexer)
{
    size_t length;
    while ((length = blank_length(lexer)) != 0)
        hocon_skip(lexer, length);
}

static bool at_comment(const struct hocon_lexer *lexer)
{
    return hocon_peek(lexer, 0) == '#' || hocon_looking_at(lexer, "//");
}

sl_status hocon_skip_space(struct hocon_lexer *lexer, bool *newline, sl_error *error)
{
    *newline = false;
    for (;;) {
        hocon_skip_blank(lexer);
        if (hocon_peek(lexer, 0) == '\n') {
            *newline = true;
            hocon_skip(lexer, 1);
        } else if (at_comment(lexer)) {
            if (lexer->json)
                return hocon_fail(error, &lexer->place,
                                  "a comment, expected none in JSON (a file named .conf may have them)");
            const char *stop = memchr(lexer->at, '\n', (size_t)(lexer->end - lexer->at));
            hocon_skip(lexer, (size_t)((stop ? stop : lexer->end) - lexer->at));
        } else {
            return SL_OK;
        }
    }
}

bool hocon_at_unquoted(const struct hocon_lexer *lexer)
{
    int c = hocon_peek(lexer, 0);
    return c > 0 && c != '\n' && !strchr("$\"{}[]:=,+#`^?!@*&\\", c) && !hocon_looking_at(lexer, "//") &&
           !blank_length(lexer);
}

struct hocon_key hocon_read_unquoted(struct hocon_lexer *lexer)
{
    struct hocon_key text = {lexer->at, 0};
    /* A number may hold a '+', which no other unquoted text may. */
    size_t number = hocon_number_length(lexer->at, (size_t)(lexer->end - lexer->at), lexer->json);
    hocon_skip(lexer, number ? number : 1);
    while (hocon_at_unquoted(lexer))
        hocon_skip(lexer, 1);
    text.size = (size_t)(lexer->at - text.text);
    return text;
}

static size_t digits(const char *text, size_t size, size_t from)
{
    size_t at = from;
    while (at < size && text[at] >= '0' && text[at] <= '9')
        at++;
    return at - from;
}

size_t hocon_number_length(const char *text, size_t size, bool json)
{
    size_t at = size && text[0] == '-';
    size_t whole = digits(text, size, at);
    if (!whole)
        return 0;
    at += json && text[at] == '0' ? 1 : whole;
    size_t fraction = at < size && text[at] == '.' ? digits(text, size, at + 1) : 0;
    if (fraction || (!json && at < size && text[at] == '.'))
        at += 1 + fraction;
    if (at < size && (text[at] == 'e' || text[at] == 'E')) {
        size_t sign = at + 1 < size && (text[at + 1] == '+' || text[at + 1] == '-');
        size_t exponent = digits(text, size, at + 1 + sign);
        if (exponent)
            at += 1 + sign + exponent;
    }
    return at;
}

static sl_status read_hex(struct hocon_lexer *lexer, unsigned *unit, sl_error *error)
{
    *unit = 0;
    for (size_t i = 0; i < 4; i++) {
        int c = hocon_peek(lexer, 2 + i);
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (unsigned)((c | 0x20) - 'a' + 10);
        else
            return hocon_fail(error, &lexer->place,
                              "a broken escape, expected \\u and four hexadecimal digits");
        *unit = *unit << 4 | digit;
    }
    return SL_OK;
}

static void append_code_point(struct sl_buffer *out, unsigned code)
{
    char bytes[4];
    size_t size;
    if (code < 0x80) {
        bytes[0] = (char)code;
        size = 1;
    } else if (code < 0x800) {
        bytes[0] = (char)(0xc0 | code >> 6);
        bytes[1] = (char)(0x80 | (code & 0x3f));
        size = 2;
    } else if (code < 0x10000) {
        bytes[0] = (char)(0xe0 | code >> 12);
        bytes[1] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[2] = (char)(0x80 | (code & 0x3f));
        size = 3;
    } else {
        bytes[0] = (char)(0xf0 | code >> 18);
        bytes[1] = (char)(0x80 | (code >> 12 & 0x3f));
        bytes[2] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[3] = (char)(0x80 | (code & 0x3f));
        size = 4;
    }
    sl_buffer_append(out, bytes, size);
}

sl_status hocon_read_unicode(struct hocon_lexer *lexer, struct sl_buffer *out, sl_error *error)
{
    struct hocon_place start = lexer->place;
    unsigned code;
    sl_status status = read_hex(lexer, &code, error);
    if (status != SL_OK)
        return status;
    hocon_skip(lexer, 6);
    if (code == 0)
        return hocon_fail(error, &start, "\\u0000, which no text may contain, expected it left out");
    if (code >= 0xd800 && code <= 0xdbff && hocon_looking_at(lexer, "\\u")) {
        unsigned low;
        if ((status = read_hex(lexer, &low, error)) != SL_OK)
            return status;
        if (low >= 0xdc00 && low <= 0xdfff) {
            hocon_skip(lexer, 6);
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    if (code >= 0xd800 && code <= 0xdfff)
        return hocon_fail(error, &start,
                          "half a surrogate pair, expected \\uD800 to \\uDBFF followed by "
                          "\\uDC00 to \\uDFFF");
    append_code_point(out, code);
    return SL_OK;
}

static sl_status read_escape(struct hocon_lexer *lexer, struct sl_buffer *out, sl_error *error)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    int c = hocon_peek(lexer, 1);
    if (c == 'u')
        return hocon_read_unicode(lexer, out, error);
    const char *letter = c > 0 ? strchr(letters, c) : NULL;
    if (!letter)
        return hocon_fail(error, &lexer->place,
                          "an unknown escape, expected one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
    sl_buffer_append(out, &meanings[letter - letters], 1);
    hocon_skip(lexer, 2);
    return SL_OK;
}

static sl_status read_triple(struct hocon_lexer *lexer, struct sl_buffer *out, sl_error *error)
{
    struct hocon_place start = lexer->place;
    hocon_skip(lexer, 3);
    const char *text = lexer->at;
    while (!hocon_looking_at(lexer, "\"\"\"")) {
        if (lexer->at == lexer->end)
            return hocon_fail(error, &start, "a string that is not closed, expected \"\"\" at its end");
        hocon_skip(lexer, 1);
    }
    while (hocon_peek(lexer, 3) == '"') /* quotes beyond three are part of the string */
        hocon_skip(lexer, 1);
    sl_buffer_append(out, text, (size_t)(lexer->at - text));
    hocon_skip(lexer, 3);
    return out->failed ? sl_error_oom(error) : SL_OK;
}

sl_status hocon_read_quoted(struct hocon_lexer *lexer, struct sl_buffer *out, sl_error *error)
{
    struct hocon_place start = lexer->place;
    if (!lexer->json && hocon_looking_at(lexer, "\"\"\""))
        return read_triple(lexer, out, error);
    hocon_skip(lexer, 1);
    for (int c; (c = hocon_peek(lexer, 0)) != '"';) {
        if (c < 0 || c == '\n')
            return hocon_fail(error, &start,
                              "a string that is not closed, expected '\"' before the line's end%s",
                              lexer->json ? "" : " (\"\"\" may span lines)");
        if (c < 0x20)
            return hocon_fail(error, &lexer->place,
                              "control character U+%04X in a string, expected it as an escape", (unsigned)c);
        if (c == '\\') {
            sl_status status = read_escape(lexer, out, error);
            if (status != SL_OK)
                return status;
            continue;
        }
        const char *from = lexer->at;
        while ((c = hocon_peek(lexer, 0)) >= 0x20 && c != '"' && c != '\\')
            hocon_skip(lexer, 1);
        sl_buffer_append(out, from, (size_t)(lexer->at - from));
    }
    hocon_skip(lexer, 1);
    return out->failed ? sl_error_oom(error) : SL_OK;
}

sl_status hocon_unexpected(const struct hocon_lexer *lexer, const char *expected, sl_error *error)
{
    int c = hocon_peek(lexer, 0);
    char what[40];
    if (c < 0) {
        snprintf(what, sizeof what, "the end of the file");
    } else if (c == '\n') {
        snprintf(what, sizeof what, "the end of the line");
    } else if (c < 0x20) {
        snprintf(what, sizeof what, "control character U+%04X", (unsigned)c);
    } else {
        int size = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        snprintf(what, sizeof what, "'%.*s'", size, lexer->at);
    }
    const char *advice = "";
    if (c == ':') /* a URL, a time, an HRN */
        advice = " (text that contains it needs quotes)";
    else if (c > 0 && strchr("$+`^?!@*&\\", c))
        advice = " (it is reserved: text that contains it needs quotes)";
    return hocon_fail(error, &lexer->place, "unexpected %s%s, expected %s", what, advice, expected);
}
