#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

long sl_utf8_length(const char *text, size_t size)
{
    const unsigned char *c = (const unsigned char *)text, *end = c + size;
    long length = 0;
    while (c < end) {
        unsigned lead = *c;
        int extra = lead < 0x80                   ? 0
                    : lead >= 0xc2 && lead < 0xe0 ? 1
                    : (lead & 0xf0) == 0xe0       ? 2
                    : lead >= 0xf0 && lead < 0xf5 ? 3
                                                  : -1;
        if (extra < 0 || end - c <= extra)
            return -1;
        for (int i = 1; i <= extra; i++)
            if ((c[i] & 0xc0) != 0x80)
                return -1;
        if ((lead == 0xe0 && c[1] < 0xa0) || (lead == 0xed && c[1] > 0x9f) || (lead == 0xf0 && c[1] < 0x90) ||
            (lead == 0xf4 && c[1] > 0x8f))
            return -1;
        c += extra + 1;
        length++;
    }
    return length;
}

size_t sl_utf8_first(const char *text, size_t left)
{
    for (size_t size = 1; size <= 4 && size <= left; size++)
        if (sl_utf8_length(text, size) == 1)
            return size;
    return 0;
}

/* Nothing follows but the rest of one character, of which a part is missing. */
static bool is_cut(const char *text, size_t left)
{
    unsigned char lead = (unsigned char)*text;
    size_t whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 1;
    for (size_t i = 1; i < left && i < whole; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return false;
    return left < whole;
}

void sl_clean_line(char *text)
{
    for (size_t left = strlen(text), size; left; text += size, left -= size) {
        size = sl_utf8_first(text, left);
        unsigned char first = (unsigned char)text[0];
        if (!size && is_cut(text, left)) {
            *text = 0;
            return;
        }
        if (!size)
            text[0] = '?';
        else if (size == 1 && (first < 0x20 || first == 0x7f))
            text[0] = ' ';
        else if (size == 2 && first == 0xc2 && (unsigned char)text[1] < 0xa0)
            memset(text, ' ', size);
        if (!size)
            size = 1;
    }
}

char *sl_printf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = NULL;
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return length < 0 ? NULL : text;
}

char *sl_strdup(const char *text)
{
    return text ? strdup(text) : NULL;
}

bool sl_percent_encode(struct sl_buffer *buffer, const char *text, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '.' || c == '_' || c == '~';
        char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        if (!sl_buffer_append(buffer, plain ? (const char *)&text[i] : escape, plain ? 1 : 3))
            return false;
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

long sl_percent_decode(char *text)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        if (*in != '%') {
            *out++ = *in;
            continue;
        }
        int high = hex_digit(in[1]), low = high < 0 ? -1 : hex_digit(in[2]);
        if (low < 0)
            return -1;
        *out++ = (char)(high << 4 | low);
        in += 2;
    }
    *out = 0;
    return out - text;
}

void sl_hex(const void *data, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = 0;
}

bool sl_base64_encode(struct sl_buffer *buffer, const void *data, size_t size)
{
    if (size > INT_MAX / 2 || !sl_buffer_reserve(buffer, (size + 2) / 3 * 4)) {
        buffer->failed = true;
        return false;
    }
    int length = EVP_EncodeBlock((unsigned char *)buffer->data + buffer->size, data, (int)size);
    buffer->size += (size_t)length;
    return true;
}

bool sl_base64_decode(struct sl_buffer *buffer, const char *text, size_t size)
{
    if (size % 4 || size > INT_MAX)
        return false;
    if (!size)
        return sl_buffer_append(buffer, "", 0);
    size_t padding = text[size - 1] != '=' ? 0 : text[size - 2] != '=' ? 1 : 2;
    /* EVP_DecodeBlock forgives white space and takes '=' anywhere: look first. */
    for (size_t i = 0; i < size - padding; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '+' && text[i] != '/')
            return false;
    if (!sl_buffer_reserve(buffer, size / 4 * 3))
        return false;
    int length =
        EVP_DecodeBlock((unsigned char *)buffer->data + buffer->size, (const unsigned char *)text, (int)size);
    if (length < 0)
        return false;
    buffer->size += (size_t)length - padding;
    buffer->data[buffer->size] = 0;
    return true;
}

bool sl_sha256_hex(const void *data, size_t size, char out[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (!EVP_Digest(data ? data : "", size, digest, &length, EVP_sha256(), NULL) || length != 32)
        return false;
    sl_hex(digest, length, out);
    return true;
}

bool sl_is_sha256_hex(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdefABCDEF") == 64;
}

bool sl_parse_int(const char *text, int64_t min, int64_t max, int64_t *value)
{
    if (!text || (!isdigit((unsigned char)*text) && !(*text == '-' && isdigit((unsigned char)text[1]))))
        return false;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || *end || number < min || number > max)
        return false;
    *value = number;
    return true;
}

bool sl_is_token_text(const char *text, size_t max)
{
    size_t length = 0;
    for (; text[length]; length++)
        if (length == max || text[length] < 0x21 || text[length] > 0x7e)
            return false;
    return length > 0;
}

bool sl_is_http_token(const char *text, size_t max)
{
    size_t length = 0;
    for (; text[length]; length++)
        if (length == max ||
            (!isalnum((unsigned char)text[length]) && !strchr("!#$%&'*+-.^_`|~", text[length])))
            return false;
    return length > 0;
}

const char *sl_plural(uint64_t count, const char *one, const char *many)
{
    return count == 1 ? one : many;
}

uint64_t sl_mix(uint64_t number)
{
    number += 0x9e3779b97f4a7c15u;
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
    number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
    return number ^ (number >> 31);
}

bool sl_random_hex(char *out, size_t digits)
{
    unsigned char bytes[64];
    size_t size = (digits + 1) / 2;
    if (size > sizeof bytes - 1 || RAND_bytes(bytes, (int)size) != 1)
        return false;
    char text[2 * sizeof bytes + 1];
    sl_hex(bytes, size, text);
    memcpy(out, text, digits);
    out[digits] = 0;
    return true;
}

size_t sl_edit_distance(const char *a, const char *b)
{
    enum { MOST = 128 };
    size_t la = strlen(a), lb = strlen(b);
    if (la >= MOST || lb >= MOST)
        return MOST;
    size_t row[MOST + 1];
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[lb];
}

const char *sl_nearest(const char *text, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t best = strlen(text) / 3 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t distance = sl_edit_distance(text, names[i]);
        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

/* The longest name, of three characters or more, that text begins with. */
static const char *longest_beginning(const char *text, const char *const *names, size_t count)
{
    const char *longest = NULL;
    size_t least = 3;
    for (size_t i = 0; i < count; i++) {
        size_t length = names[i] ? strlen(names[i]) : 0;
        if (length < least || strncmp(text, names[i], length) != 0)
            continue;
        longest = names[i];
        least = length + 1;
    }
    return longest;
}

const char *sl_meant(const char *text, const char *const *names, size_t count)
{
    size_t length = strlen(text), begun = 0;
    const char *meant = NULL;
    for (size_t i = 0; length >= 3 && i < count; i++) {
        if (strncmp(names[i], text, length) != 0)
            continue;
        meant = names[i];
        begun++;
    }
    if (begun == 1)
        return meant;
    const char *nearest = sl_nearest(text, names, count);
    return nearest ? nearest : longest_beginning(text, names, count);
}
