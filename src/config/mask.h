/* What may not be shown: the values of secret settings, and what by its name is one of somebody else's. */
#ifndef SL_CONFIG_MASK_H
#define SL_CONFIG_MASK_H

#include "base/buffer.h"
#include "hocon/hocon.h"
#include <streamlayer/config.h>

#define SL_MASK "********"

/* The secrets that a configuration holds, so that their copies elsewhere are known: a text that
 * ${substitution} took one from, or put one into. */
struct sl_secrets {
    char **texts;
    size_t count, capacity;
};

/* Errors: SL_OUT_OF_MEMORY. Whatever is returned, *secrets is to be released. */
sl_status sl_secrets_collect(const sl_config *config, struct sl_secrets *secrets);
void sl_secrets_free(struct sl_secrets *secrets); /* the texts are wiped */

/* Whether what stands at path, whose last key is key, is secret, with all below it. path: the keys joined
 * with dots, whatever is in them. */
bool sl_is_secret(const char *path, const char *key);

/* Whether text has one of them in it, or is a piece of one. secrets may be NULL: none are known. */
bool sl_holds_secret(const struct sl_secrets *secrets, const char *text);

/* Appends text as people may see it: SL_MASK where it holds a secret, and in place of PASSWORD in each
 * scheme://user:PASSWORD@host. */
bool sl_mask_text(const struct sl_secrets *secrets, const char *text, struct sl_buffer *out);

/* The value as JSON, masked, every element by itself; path and key as for sl_is_secret. */
bool sl_mask_json(const struct sl_secrets *secrets, const struct hocon_value *value, const char *path,
                  const char *key, struct sl_buffer *out);

#endif
