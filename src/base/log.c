#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

void sl_log_write(const struct sl_log *log, sl_log_level level, const char *format, ...)
{
    if (!log || !log->callback || level > log->level)
        return;
    char text[2000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sl_clean_line(text);
    log->callback(log->opaque, level, text);
}
