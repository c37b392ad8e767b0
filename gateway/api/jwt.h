/*
 * A JWT taken apart: a compact JWS (RFC 7515) whose payload is a JSON object of claims (RFC 7519). A function
 * of bytes; its signature is not looked at, so nothing of it may be believed yet.
 */
#ifndef GW_API_JWT_H
#define GW_API_JWT_H

#include "base/buffer.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <streamlayer/error.h>

#define GW_JWT_MAX     ((size_t)16 * 1024) /* characters */
#define GW_JWT_KID_MAX 256

struct gw_jwt {
    json_t *header, *claims; /* what the strings below are parts of */
    const char *algorithm;   /* one of those that are accepted: ES256, ES384, RS256, PS256 */
    const char *kid;         /* NULL: it names no key */
    const char *issuer;      /* "": it names none */
    int64_t expires_s;       /* since 1970; rounded down */
    int64_t not_before_s;    /* INT64_MIN: no such claim; rounded up */
};

/*
 * Errors: SL_UNAUTHENTICATED, whose text says what is wrong; SL_OUT_OF_MEMORY. After an error there is
 * nothing to free. Keys that the token itself brings along (jku, jwk, x5u, x5c) are ignored; what it declares
 * critical (crit) is not known here, and refused.
 */
sl_status gw_jwt_parse(const char *token, size_t size, struct gw_jwt *jwt, sl_error *error);
void gw_jwt_free(struct gw_jwt *jwt);

/* Base64url without padding (RFC 7515, 2): what is appended to out. false: it is something else, or another
 * spelling of it; or out->failed. */
bool gw_base64url_decode(const char *text, size_t size, struct sl_buffer *out);

/* A claim that is a text; NULL: there is none, or it is something else. */
const char *gw_jwt_text(const struct gw_jwt *jwt, const char *claim);
/* Whether audience is the aud claim, or one of it. */
bool gw_jwt_is_for(const struct gw_jwt *jwt, const char *audience);

#endif
