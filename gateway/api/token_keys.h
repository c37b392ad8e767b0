/*
 * The keys that the gateway's own tokens are signed with: DATA/token-keys/KID.pem (a P-256 key, mode 0600),
 * and beside it KID.json, which says since when it signs.
 *
 * One key signs at a time: the youngest whose time has come. The next one is published a while (lead) before
 * it signs, so that whoever keeps the JWKS has it by then; the one before is good for checking until the last
 * token that it may have signed has ended. So a rotation refuses no live token.
 *
 * Times are wall clock, in milliseconds, and given by the caller. Any thread; what says so blocks on the
 * disk.
 */
#ifndef GW_API_TOKEN_KEYS_H
#define GW_API_TOKEN_KEYS_H

#include "base/log.h"
#include "gateway/api/jwk.h"

#include <stdint.h>

struct gw_token_keys;

#define GW_TOKEN_KEYS_MAX 32 /* at once: all that still check, and the next */

struct gw_token_key_settings {
    const char *directory; /* its name in the data directory; NULL: token-keys. For keys of another kind */
    int64_t lifetime_ms;   /* after it the next key signs; 0: never by itself */
    int64_t lead_ms;       /* from a key's making to its first signature */
    int64_t token_ms;      /* the longest that a token is good */
};

/* Reads the keys, or makes the first one. A data directory that has token-key.pem, from before keys had
 * names, has it moved. Blocks. Errors: SL_IO, which names the file and how to mend it. */
sl_status gw_token_keys_open(const char *data_directory, const struct gw_token_key_settings *settings,
                             int64_t now_ms, const struct sl_log *log, struct gw_token_keys **out,
                             sl_error *error);
void gw_token_keys_close(struct gw_token_keys **out);

/* For keys that are made, and tokens that are signed, from now on. Blocks. Errors: SL_IO: nothing is changed.
 */
sl_status gw_token_keys_set(struct gw_token_keys *keys, const struct gw_token_key_settings *settings,
                            sl_error *error);

/* What time brings: the next key is made, those that have ended are removed. *next_ms: when to come again.
 * Blocks. */
sl_status gw_token_keys_tick(struct gw_token_keys *keys, int64_t now_ms, int64_t *next_ms, sl_error *error);
/* Takes up the PEM files that were put there since, each as the next key. Blocks. */
sl_status gw_token_keys_reread(struct gw_token_keys *keys, int64_t now_ms, sl_error *error);

/* The next key, now: made, or the one that waits already (*made false). *key: as gw_token_keys_json has it.
 * Blocks. Errors: SL_QUEUE_FULL when too many still check; SL_IO. */
sl_status gw_token_keys_rotate(struct gw_token_keys *keys, int64_t now_ms, bool *made, json_t **key,
                               sl_error *error);
/* Ends a key that is no secret any more, and with it all tokens that it signed. When it is the one that
 * signs, the next one signs at once. Blocks. Errors: SL_NOT_FOUND, SL_IO. */
sl_status gw_token_keys_revoke(struct gw_token_keys *keys, const char *kid, int64_t now_ms, sl_error *error);

/* All keys, oldest first: kid, state ("next", "signing", "checking"), made, signsFrom, endsAt (null: not
 * known yet). NULL: no memory. */
json_t *gw_token_keys_json(struct gw_token_keys *keys, int64_t now_ms);
/* {"keys":[…]}, the public parts of all that are published. NULL: no memory. */
json_t *gw_token_keys_jwks(struct gw_token_keys *keys, int64_t now_ms);

/* A token with that payload by the key that signs now. Released with free. */
sl_status gw_token_keys_sign(struct gw_token_keys *keys, int64_t now_ms, const char *payload, char **token,
                             sl_error *error);
/* The key that is good for checking, linked, or NULL. kid NULL: of tokens from before keys had names. */
struct gw_jwk *gw_token_keys_find(struct gw_token_keys *keys, const char *kid, int64_t now_ms);

#endif
