/*
 * A growable buffer of bytes with a maximum. Reading data needs no copy: data/size are open.
 * An append that fails leaves the buffer as it was; the failure is also latched, so that a run of appends may
 * be checked once at its end.
 */
#ifndef SL_BASE_BUFFER_H
#define SL_BASE_BUFFER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <streamlayer/export.h>

struct sl_buffer {
    char *data; /* NULL until the first append; then NUL-terminated behind size */
    size_t size;
    size_t capacity;
    size_t max;  /* bytes that it may hold */
    bool failed; /* an append did not fit or had no memory */
};

void sl_buffer_init(struct sl_buffer *buffer, size_t max);
void sl_buffer_free(struct sl_buffer *buffer);  /* and ready to be used again */
void sl_buffer_reset(struct sl_buffer *buffer); /* empty, memory kept, failure forgotten */
bool sl_buffer_append(struct sl_buffer *buffer, const void *data, size_t size);
bool sl_buffer_append_text(struct sl_buffer *buffer, const char *text);
bool sl_buffer_printf(struct sl_buffer *buffer, const char *format, ...) SL_PRINTF(2, 3);
/* As a JSON string, in its quotes; text may hold anything: each byte that is not UTF-8 becomes U+FFFD. */
bool sl_buffer_append_quoted(struct sl_buffer *buffer, const char *text, size_t size);
bool sl_buffer_append_quoted_text(struct sl_buffer *buffer, const char *text);
/* Room for size more bytes, to be written by the caller at data + size, who then adds to size. */
bool sl_buffer_reserve(struct sl_buffer *buffer, size_t size);
/* Drops the first size bytes. */
void sl_buffer_consume(struct sl_buffer *buffer, size_t size);
/* Hands the NUL-terminated bytes over to the caller, who frees them; the buffer is empty. NULL after failure.
 */
char *sl_buffer_take(struct sl_buffer *buffer);

#endif
