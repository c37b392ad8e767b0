#include "base/error.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

#undef sl_error_set /* the macros that the header has for the analyzer */
#undef sl_error_vset
#undef sl_error_set_retriable
#undef sl_error_oom

static const char *const status_texts[] = {
    [SL_OK] = "ok",
    [SL_INVALID_ARGUMENT] = "invalid argument",
    [SL_INVALID_HANDLE] = "invalid handle",
    [SL_OUT_OF_MEMORY] = "out of memory",
    [SL_BAD_CONFIG] = "bad configuration",
    [SL_CONNECTOR_MISSING] = "connector not installed",
    [SL_UNSUPPORTED] = "unsupported",
    [SL_TIMED_OUT] = "timed out",
    [SL_QUEUE_FULL] = "queue full",
    [SL_CLOSED] = "closed",
    [SL_UNAUTHENTICATED] = "unauthenticated",
    [SL_FORBIDDEN] = "forbidden",
    [SL_NOT_FOUND] = "not found",
    [SL_CONFLICT] = "conflict",
    [SL_TOO_LARGE] = "too large",
    [SL_THROTTLED] = "throttled",
    [SL_UNAVAILABLE] = "unavailable",
    [SL_PROTOCOL] = "protocol error",
    [SL_CHECKSUM_MISMATCH] = "checksum mismatch",
    [SL_KAFKA] = "kafka error",
    [SL_IO] = "i/o error",
    [SL_INTERNAL] = "internal error",
};
_Static_assert(sizeof status_texts / sizeof *status_texts == SL_STATUS_COUNT, "a status lacks its text");

const char *sl_status_text(sl_status status)
{
    return (unsigned)status < SL_STATUS_COUNT ? status_texts[status] : "unknown status";
}

sl_status sl_error_vset(sl_error *error, sl_status status, const char *format, va_list arguments)
{
    if (!error)
        return status;
    char text[SL_ERROR_TEXT_SIZE]; /* the arguments may point into the error that is being set */
    vsnprintf(text, sizeof text, format, arguments);
    sl_clean_line(text); /* it may quote hostile input, which must not reach a terminal or a log as it is */
    memset(error, 0, sizeof *error);
    error->status = status;
    memcpy(error->text, text, sizeof text);
    return status;
}

sl_status sl_error_set(sl_error *error, sl_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    sl_error_vset(error, status, format, arguments);
    va_end(arguments);
    return status;
}

sl_status sl_error_set_retriable(sl_error *error, sl_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    sl_error_vset(error, status, format, arguments);
    va_end(arguments);
    if (error)
        error->retriable = true;
    return status;
}

sl_status sl_error_oom(sl_error *error)
{
    return sl_error_set(error, SL_OUT_OF_MEMORY, "out of memory");
}

void sl_error_prefix(sl_error *error, const char *format, ...)
{
    if (!error)
        return;
    char text[SL_ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text - 1)
        return;
    size_t room = sizeof text - (size_t)length - 1; /* what does not fit is cut */
    snprintf(text + length, room + 1, ": %.*s", (int)(room > 2 ? room - 2 : 0), error->text);
    sl_clean_line(text);
    memcpy(error->text, text, sizeof text);
}

const char *sl_errno_text(int code)
{
    const char *text = strerrordesc_np(code);
    return text ? text : "unknown error";
}
