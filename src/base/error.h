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

#ifdef __clang_analyzer__ /* it sees one source at a time, and would think that a failure may return SL_OK   \
                           */
static inline sl_status sl_error_given(sl_status returned, sl_status given)
{
    (void)returned;
    return given;
}
#define sl_error_set(error, status, ...) sl_error_given(sl_error_set(error, status, __VA_ARGS__), status)
#define sl_error_vset(error, status, format, list)                                                           \
    sl_error_given(sl_error_vset(error, status, format, list), status)
#define sl_error_set_retriable(error, status, ...)                                                           \
    sl_error_given(sl_error_set_retriable(error, status, __VA_ARGS__), status)
#define sl_error_oom(error) sl_error_given(sl_error_oom(error), SL_OUT_OF_MEMORY)
#endif

/* Puts "what: " before the text that is there. */
void sl_error_prefix(sl_error *error, const char *format, ...) SL_PRINTF(2, 3);

/* What errno's value means: strerror for any thread. */
const char *sl_errno_text(int code);

#endif
