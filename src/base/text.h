/* Text: UTF-8, hex, percent-encoding, base64, small conversions. Nothing here knows of the project. */
#ifndef SL_BASE_TEXT_H
#define SL_BASE_TEXT_H

#include "base/buffer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number of code points, or -1 when the bytes are not well-formed UTF-8 (RFC 3629). */
long sl_utf8_length(const char *text, size_t size);
/* The bytes of the well-formed character that text begins with; 0: there is none. */
size_t sl_utf8_first(const char *text, size_t left);

/* Makes one line of well-formed UTF-8 of text: controls (C0, DEL and C1) become spaces, what is malformed
 * becomes question marks, and a character that was cut at the end goes. */
void sl_clean_line(char *text);

/* A formatted string of the caller's, released with free; NULL when memory is out. */
char *sl_printf(const char *format, ...) SL_PRINTF(1, 2);

/* strdup that passes NULL on. */
char *sl_strdup(const char *text);

/* Percent-encodes all but unreserved characters (RFC 3986) into buffer. */
bool sl_percent_encode(struct sl_buffer *buffer, const char *text, size_t size);
/* Undoes it in place; returns the new size (NUL-terminated), or -1 for a broken escape. */
long sl_percent_decode(char *text);

/* Lower-case hex of size bytes; out holds 2 * size + 1. */
void sl_hex(const void *data, size_t size, char *out);

/* Standard base64 (RFC 4648, padded). */
bool sl_base64_encode(struct sl_buffer *buffer, const void *data, size_t size);
/* Decodes; strict: no white space, canonical length. false when it is not base64 or memory is out (look at
 * buffer->failed to tell). */
bool sl_base64_decode(struct sl_buffer *buffer, const char *text, size_t size);

/* SHA-256 of data as 64 hex digits. */
bool sl_sha256_hex(const void *data, size_t size, char out[65]);
/* Whether a text is that of some data: 64 hex digits, in either case. */
bool sl_is_sha256_hex(const char *text);

/* A whole decimal integer within [min, max]; false when it is anything else. */
bool sl_parse_int(const char *text, int64_t min, int64_t max, int64_t *value);

/* Printable ASCII only (0x21 to 0x7e), 1 to max characters. */
bool sl_is_token_text(const char *text, size_t max);
/* An RFC 9110 token, 1 to max characters. */
bool sl_is_http_token(const char *text, size_t max);

/* The one of two texts that goes with a count: "%zu %s", n, sl_plural(n, "message is", "messages are"). */
const char *sl_plural(uint64_t count, const char *one, const char *many);

/* SplitMix64: different numbers stay different, and those in a row look nothing alike. No secret can be made
 * of it. */
uint64_t sl_mix(uint64_t number);

/* Hex digits from the system's random source. */
bool sl_random_hex(char *out, size_t digits); /* out holds digits + 1 */

/* How many letters must be put in, left out or changed to make one of the other; 128 where either is that
 * long.
 */
size_t sl_edit_distance(const char *a, const char *b);
/* The allowed name nearest to text (edit distance of at most a third of its length), or NULL: "did you mean".
 */
const char *sl_nearest(const char *text, const char *const *names, size_t count);
/* What was meant with text: the one name that begins with it, where it has three characters or more, or else
 * the nearest, or the longest of three or more that it begins with; NULL: none. */
const char *sl_meant(const char *text, const char *const *names, size_t count);

#endif
