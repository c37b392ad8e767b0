/* The table of settings, written out: reference.conf, and the lists of docs/configuration.md. */
#ifndef SL_CONFIG_REFERENCE_H
#define SL_CONFIG_REFERENCE_H

#include "base/buffer.h"
#include "config/settings.h"
#include "hocon/hocon.h"

enum sl_reference_table { SL_CLIENT_TABLE, SL_GATEWAY_TABLE };

/* What a number without a unit means: "ms", "bytes", or "" where there is none. Static text. */
const char *sl_setting_unit(const struct sl_setting *setting);

/* What a setting may be, in words, as errors have it: "a whole number from 1 to 5". */
void sl_setting_allowed(const struct sl_setting *setting, char *out, size_t size);

/* Every setting with its meaning, what it may be, and its default, as HOCON: the text that the built-in
 * defaults are parsed from. Failure is latched in out. */
void sl_reference_conf(struct sl_buffer *out);
/* The defaults that the names in root's sections of SL_NAMED have and it does not say, as HOCON.
 * false: no memory. */
bool sl_reference_names(const struct hocon_value *root, struct sl_buffer *out);
/* One of the two tables as Markdown. Failure is latched in out. */
void sl_reference_markdown(struct sl_buffer *out, enum sl_reference_table table);

#endif
