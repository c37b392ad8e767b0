/* Credentials, and bearer tokens got with them (OAuth 1.0a signed client_credentials, as HERE's). */
#ifndef SL_AUTH_AUTH_H
#define SL_AUTH_AUTH_H

#include "net/http.h"
#include <stdatomic.h>
#include <stdint.h>
#include <streamlayer/client.h>

struct sl_auth; /* credentials and a token cache; any thread */

/* Where a program has tokens come from; both NULL: from the credentials that are configured. */
struct sl_token_origin {
    char *token; /* hidden (base/secret.h) */
    sl_token_callback callback;
    void *opaque;
};
/* The text after "Bearer ", where it is there; NULL: it is no token. */
const char *sl_token_text(const char *token);

/* Credentials as configured (or as the file that the configuration names has them), unless origin (may be
 * NULL, copied) has some. None at all is no error until a token is asked for. The engine is borrowed and must
 * outlive it. */
sl_status sl_auth_create(const sl_config *config, const struct sl_token_origin *origin, struct sl_http *http,
                         const struct sl_log *log, struct sl_auth **auth, sl_error *error);
/* Waits for a token callback that is under way. */
void sl_auth_destroy(struct sl_auth **auth);

/* What tokens are got with, for people: "key ID (SOURCE)", "a token (SOURCE)", "none". Released with free;
 * NULL: no memory. */
char *sl_auth_describe(struct sl_auth *auth);
/* Where tokens are got with a key, and in *source where that key is from; both released with free. NULL:
 * there is no key, or no memory. */
char *sl_auth_token_url(struct sl_auth *auth, char **source);

/* As sl_client_set_token. */
sl_status sl_auth_set_token(struct sl_auth *auth, const char *token, sl_error *error);

/*
 * "Bearer …" for an Authorization header, from the cache, or fetched (blocks; one fetch at a time, shared).
 * A token that is good is handed out at once, also while the next one is fetched; after a fetch that brought
 * none, or none of use, a second passes before the next. refused: not this one, the platform answered 401 to
 * it; NULL: any. Released with sl_secret_free. expires_ms may be NULL. Errors: SL_UNAUTHENTICATED (no
 * credentials, or they are refused), SL_UNAVAILABLE, SL_TIMED_OUT, SL_PROTOCOL, SL_OUT_OF_MEMORY.
 */
sl_status sl_auth_bearer(struct sl_auth *auth, const char *refused, char **bearer, int64_t *expires_ms,
                         sl_error *error);

/*
 * The same for who must be able to stop waiting: SL_TIMED_OUT (retriable) after deadline_ms (sl_mono_ms();
 * INT64_MAX: none), SL_CLOSED once *cancelled is true, which sl_auth_wake has it look at (NULL: never). The
 * fetch itself goes on for the others, and for the next one to ask.
 */
sl_status sl_auth_bearer_until(struct sl_auth *auth, const char *refused, int64_t deadline_ms,
                               const atomic_bool *cancelled, char **bearer, int64_t *expires_ms,
                               sl_error *error);
void sl_auth_wake(struct sl_auth *auth);

/*
 * The OAuth 1.0a signature (RFC 5849, HMAC-SHA256), for signing and for checking: base string of method, url
 * (without query) and the oauth_ parameters given (each "name", "value", decoded), key = secret + "&". out:
 * base64, 45 bytes with its NUL.
 */
struct sl_oauth_parameter {
    const char *name, *value;
};
bool sl_oauth_signature(const char *method, const char *url, const struct sl_oauth_parameter *parameters,
                        size_t count, const char *secret, char out[45]);

#endif
