#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void sl_log_write(const struct sl_log *log, sl_log_level level, const char *format, ...)
{
    if (!log || !log->callback || level > log->level)
        return;
    char text[2000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    log->callback(log->opaque, level, text);
}
