#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

bool sl_log_takes(const struct sl_log *log, sl_log_level level)
{
    if (!log || !log->callback)
        return false;
    return level <= (log->changing ? (sl_log_level)atomic_load_explicit(log->changing, memory_order_relaxed)
                                   : log->level);
}

void sl_log_write(const struct sl_log *log, sl_log_level level, const char *format, ...)
{
    if (!sl_log_takes(log, level))
        return;
    char text[2000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sl_clean_line(text);
    log->callback(log->opaque, level, text);
}
