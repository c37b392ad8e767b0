/*
 * One key that tokens are signed with: an own one, from a PEM file, or an issuer's, from its JWKS (RFC 7517).
 * Immutable and linked; any thread.
 */
#ifndef GW_API_JWK_H
#define GW_API_JWK_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <streamlayer/error.h>

struct gw_jwk;

#define GW_THUMBPRINT 43 /* characters of a SHA-256 in base64url */

/* An own key, a private P-256 one; its kid is its thumbprint (RFC 7638). NULL: it is something else. */
struct gw_jwk *gw_jwk_of_private(const EVP_PKEY *key);
/* One of a JWKS' keys, without what is private in it; NULL: none that tokens may be signed with here (EC on
 * P-256 or P-384, RSA from 2048 bits on, for signatures, and for an algorithm that goes with it). */
struct gw_jwk *gw_jwk_of_json(const json_t *value);

struct gw_jwk *gw_jwk_link(struct gw_jwk *key);
void gw_jwk_unlink(struct gw_jwk *key); /* NULL is allowed */

const char *gw_jwk_kid(const struct gw_jwk *key); /* NULL: it has none */
bool gw_jwk_equal(const struct gw_jwk *a, const struct gw_jwk *b);
/* Whether what is signed with that algorithm may be checked with this key. */
bool gw_jwk_serves(const struct gw_jwk *key, const char *algorithm);
/* The public part, with kid, alg and use. NULL: no memory. */
json_t *gw_jwk_json(struct gw_jwk *key);

/* Whether the key has signed the compact JWS, with the algorithm that it states; which it must serve. */
bool gw_jwk_verify(struct gw_jwk *key, const char *algorithm, const char *token, size_t size);
/* A compact JWS by an own key (ES256), released with free. NULL: no memory. */
char *gw_jwk_sign(struct gw_jwk *key, const char *payload);

#define GW_JWKS_KEYS_MAX 64 /* in a JWKS; those past it are not looked at */
/* What a JWKS document holds that is of use: up to GW_JWKS_KEYS_MAX linked keys. Errors: SL_PROTOCOL (it is
 * no JWKS), SL_OUT_OF_MEMORY. */
sl_status gw_jwks_parse(const char *text, size_t size, struct gw_jwk **keys, size_t *count, sl_error *error);

#endif
