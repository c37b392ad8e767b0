/* Java properties, as credentials.properties files are written in. */
#include <string.h>

#include "auth/credentials.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static bool is_end(char c)
{
    return c == '\0' || c == '\n' || c == '\r';
}

/* Past one line's end. */
static char *past_end(char *at, unsigned *line)
{
    if (*at == '\0')
        return at;
    ++*line;
    return at + (at[0] == '\r' && at[1] == '\n' ? 2 : 1);
}

static int hex4(const char *at)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

/* Decodes the \u escapes at *at (one, or a surrogate pair) to *out. Text never grows by it. */
static bool put_escape(char **at, char **out)
{
    int first = hex4(*at + 2);
    if (first <= 0 || (first >= 0xdc00 && first <= 0xdfff))
        return false;
    *at += 6;
    if (first < 0xd800 || first > 0xdbff) {
        *out = put_utf8(*out, (unsigned)first);
        return true;
    }
    int second = (*at)[0] == '\\' && (*at)[1] == 'u' ? hex4(*at + 2) : -1;
    if (second < 0xdc00 || second > 0xdfff)
        return false;
    *at += 6;
    *out = put_utf8(*out, 0x10000u + ((unsigned)(first - 0xd800) << 10) + (unsigned)(second - 0xdc00));
    return true;
}

/* Decodes from *at to *out up to the line's end, or, in a key, up to what separates it from its value. */
static bool decode(char **at, char **out, bool key, unsigned *line)
{
    while (!is_end(**at) && !(key && (**at == '=' || **at == ':' || is_blank(**at)))) {
        if (**at != '\\') {
            *(*out)++ = *(*at)++;
        } else if ((*at)[1] == 'u') {
            if (!put_escape(at, out))
                return false;
        } else if (is_end((*at)[1])) {
            for (*at = past_end(*at + 1, line); is_blank(**at); ++*at)
                continue; /* the line goes on in the next, behind its indentation */
        } else {
            static const char codes[] = "tnrf", meant[] = "\t\n\r\f";
            const char *code = strchr(codes, (*at)[1]);
            *(*out)++ = code ? meant[code - codes] : (*at)[1];
            *at += 2;
        }
    }
    return true;
}

bool sl_properties_each(char *text, bool (*visit)(void *opaque, const char *key, const char *value),
                        void *opaque, unsigned *line)
{
    *line = 1;
    for (char *at = text; *at;) {
        while (is_blank(*at))
            at++;
        if (is_end(*at) || *at == '#' || *at == '!') {
            at = past_end(at + strcspn(at, "\r\n"), line);
            continue;
        }
        /* The decoded key and value take the place of what they are read from, which is never shorter: there
         * is a separator or the end between them. */
        char *key = at, *key_end = at;
        if (!decode(&at, &key_end, true, line))
            return false;
        while (is_blank(*at))
            at++;
        if (*at == '=' || *at == ':')
            at++;
        while (is_blank(*at))
            at++;
        char *value = at, *value_end = at;
        if (!decode(&at, &value_end, false, line))
            return false;
        char *next = past_end(at, line);
        *value_end = '\0';
        *key_end = '\0';
        if (!visit(opaque, key, value))
            return true;
        at = next;
    }
    return true;
}
