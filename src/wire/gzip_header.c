#include "wire/gzip_header.h"

#define FIXED   10 /* bytes that each header begins with */
#define DEFLATE 8  /* the only method there is */
#define LEAST   10 /* behind the header: an empty deflate stream, CRC-32 and size */

#define FLAG_CRC      0x02
#define FLAG_EXTRA    0x04
#define FLAG_NAME     0x08
#define FLAG_COMMENT  0x10
#define FLAG_RESERVED 0xe0

#define FAULT(what)                                                                                          \
    "the layer's contentEncoding is gzip, but the payload " what ": compress it before it is sent"

/* Where the text at `at` ends, its NUL included; behind size when that is not there. */
static size_t text_end(const unsigned char *bytes, size_t size, size_t at)
{
    while (at < size && bytes[at])
        at++;
    return at + 1;
}

/* Where the header ends; behind size when it does not end within it. size is FIXED + LEAST or more. */
static size_t header_end(const unsigned char *bytes, size_t size)
{
    unsigned flags = bytes[3];
    size_t at = FIXED;
    if (flags & FLAG_EXTRA)
        at += 2 + (size_t)(bytes[at] | bytes[at + 1] << 8);
    if (flags & FLAG_NAME)
        at = text_end(bytes, size, at);
    if (flags & FLAG_COMMENT)
        at = text_end(bytes, size, at);
    return flags & FLAG_CRC ? at + 2 : at;
}

const char *sl_gzip_fault(const void *start, size_t size, bool whole)
{
    const unsigned char *bytes = start;
    if ((size > 0 && bytes[0] != 0x1f) || (size > 1 && bytes[1] != 0x8b))
        return FAULT("does not begin with 1f 8b");
    if (size > 2 && bytes[2] != DEFLATE)
        return FAULT("has another method than deflate in its gzip header");
    if (size > 3 && bytes[3] & FLAG_RESERVED)
        return FAULT("has reserved flags in its gzip header");
    if (!whole)
        return NULL;
    if (size < FIXED + LEAST)
        return FAULT("is shorter than gzip can be (20 bytes)");
    if (header_end(bytes, size) > size - LEAST)
        return FAULT("ends within its gzip header");
    return NULL;
}
