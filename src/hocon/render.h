/* JSON text. */
#ifndef SL_HOCON_RENDER_H
#define SL_HOCON_RENDER_H

#include "base/buffer.h"

/* Appends text as a JSON string. */
bool hocon_append_string(struct sl_buffer *out, const char *text, size_t size);

#endif
