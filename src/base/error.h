/* Filling a sl_error. Every function returns the status it was given, so that a caller can return it. */
#ifndef SL_BASE_ERROR_H
#define SL_BASE_ERROR_H

#include <stdarg.h>
#include <streamlayer/error.h>

/* error may be NULL. The text is cut to fit, between characters, and cleaned (sl_clean_line). */
sl_status sl_error_set(sl_error *error, sl_status status, const char *format, ...) SL_PRINTF(3, 4);
sl_status sl_error_vset(sl_error *error, sl_status status, const char *format, va_list arguments)
    SL_PRINTF(3, 0);

/* The same, marked retriable. */
sl_status sl_error_set_retriable(sl_error *error, sl_status status, const char *format, ...) SL_PRINTF(3, 4);

/* Out of memory, with a fixed text: needs no memory itself. */
sl_status sl_error_oom(sl_error *error);

/* Puts "what: " before the text that is there. */
void sl_error_prefix(sl_error *error, const char *format, ...) SL_PRINTF(2, 3);

#endif
