/*
 * Bearer tokens: the gateway's own (JWTs by ES256, with keys of the data directory: token_keys.h) and those
 * of outside issuers (issuers.h). Any thread; what says so blocks on the disk.
 */
#ifndef GW_API_TOKENS_H
#define GW_API_TOKENS_H

#include "gateway/api/issuers.h"
#include "gateway/api/token_keys.h"
#include "gateway/store/access.h"

struct gw_tokens;

struct gw_token_times {
    int64_t lifetime_ms;                  /* of tokens that do not ask for less */
    int64_t key_lifetime_ms, key_lead_ms; /* token_keys.h */
    int64_t jwks_refresh_ms;              /* issuers.h */
};

struct gw_token_settings {
    const char *data_directory;
    struct gw_token_times times;
    const char *issuer, *audience; /* iss and aud of the gateway's own tokens */
    const struct gw_issuer_settings *issuers;
    size_t issuer_count;
    const struct sl_http_settings *http; /* for issuers with a URL; NULL: there are none */
    struct gw_access *access;            /* whom tokens are for; borrowed */
};

/* Reads the keys, or makes the first one; what the settings point to is copied. Blocks. Errors: SL_IO,
 * SL_BAD_CONFIG. */
sl_status gw_tokens_open(const struct gw_token_settings *settings, const struct sl_log *log,
                         struct gw_tokens **out, sl_error *error);
/* Ends what is asked of issuers: who waits is called. */
void gw_tokens_finish(struct gw_tokens *tokens);
void gw_tokens_close(struct gw_tokens **out);

const char *gw_tokens_issuer(const struct gw_tokens *tokens);
const char *gw_tokens_audience(const struct gw_tokens *tokens);
/* Whether tokens of that outside issuer's are taken. */
bool gw_tokens_take_issuer(const struct gw_tokens *tokens, const char *issuer);
int64_t gw_tokens_lifetime_ms(const struct gw_tokens *tokens);
/* Of tokens and keys that are made from now on. Blocks. Errors: SL_IO, SL_OUT_OF_MEMORY: nothing is changed.
 */
sl_status gw_tokens_set_times(struct gw_tokens *tokens, const struct gw_token_times *times, sl_error *error);
/* Takes up key files that were put into the data directory, and issuers' files that were changed. Blocks.
 * Errors: SL_IO. */
sl_status gw_tokens_reread(struct gw_tokens *tokens, sl_error *error);
struct gw_token_keys *gw_tokens_keys(struct gw_tokens *tokens);

/* What time brings: keys are made and removed, issuers asked, nonces forgotten. *next_ms: when to come again
 * (sl_mono_ms()). Blocks. Errors: SL_IO, once everything was tried. */
sl_status gw_tokens_tick(struct gw_tokens *tokens, int64_t *next_ms, sl_error *error);
/* Ends a key and what it signed (gw_token_keys_revoke). Blocks. */
sl_status gw_tokens_revoke_key(struct gw_tokens *tokens, const char *kid, sl_error *error);

/* A token for an application, good for lifetime_ms from now. Released with free. */
sl_status gw_tokens_sign(struct gw_tokens *tokens, const char *application, int64_t lifetime_ms, char **token,
                         sl_error *error);

/* The account, linked, of whom a token is for, when it was checked before; does not block. NULL: it was not,
 * or the application is no more. */
struct gw_account *gw_tokens_recall(struct gw_tokens *tokens, const char *token);

/*
 * The same, checked. When its issuer has to be asked for a key first, *later is true and nothing is decided:
 * wait->ready follows, from any thread, after which one asks again with wait NULL. Blocks. Errors:
 * SL_UNAUTHENTICATED, whose text says why; SL_NOT_FOUND: a good token of an outside issuer's, whose subject
 * is no application; SL_UNAVAILABLE: its issuer's keys cannot be had.
 */
sl_status gw_tokens_check(struct gw_tokens *tokens, const char *token, struct gw_key_wait *wait, bool *later,
                          struct gw_account **account, sl_error *error);

/* Remembers a signed request until_ms (wall clock). Blocks. Errors: SL_UNAUTHENTICATED when it was seen
 * before; SL_THROTTLED when too many are remembered; SL_IO. */
sl_status gw_tokens_remember_nonce(struct gw_tokens *tokens, const char *key_id, const char *nonce,
                                   int64_t timestamp, int64_t until_ms, sl_error *error);

#endif
