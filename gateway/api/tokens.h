/*
 * Bearer tokens: JWTs (ES256) signed with the data directory's own key. Any thread.
 */
#ifndef GW_API_TOKENS_H
#define GW_API_TOKENS_H

#include <stdint.h>
#include <streamlayer/error.h>

struct gw_tokens;

/* Reads DATA/token-key.pem, or makes it (mode 0600). lifetime_ms: of tokens that do not ask for less. */
sl_status gw_tokens_open(const char *data_directory, int64_t lifetime_ms, struct gw_tokens **out,
                         sl_error *error);
void gw_tokens_close(struct gw_tokens **out);

int64_t gw_tokens_lifetime_ms(const struct gw_tokens *tokens);
/* Of those that are given from now on. */
void gw_tokens_set_lifetime(struct gw_tokens *tokens, int64_t lifetime_ms);

/* A token for an application, good for lifetime_ms from now. Released with free. */
sl_status gw_tokens_sign(struct gw_tokens *tokens, const char *application, int64_t lifetime_ms, char **token,
                         sl_error *error);

/* The application that a token is for, released with free. Errors: SL_UNAUTHENTICATED, whose text says why.
 */
sl_status gw_tokens_check(struct gw_tokens *tokens, const char *token, char **out, sl_error *error);

/* Remembers a signed request until_ms (wall clock). Errors: SL_UNAUTHENTICATED when it was seen before;
 * SL_THROTTLED when too many are remembered. */
sl_status gw_tokens_remember_nonce(struct gw_tokens *tokens, const char *key_id, const char *nonce,
                                   int64_t timestamp, int64_t until_ms, sl_error *error);

#endif
