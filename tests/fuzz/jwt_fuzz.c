/*
 * Any bytes as a bearer token, and as a JWKS; and a line as a token's header with the rest as its claims, so
 * that what lies behind the encoding is reached, too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "gateway/api/jwk.h"
#include "gateway/api/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort(); /* what the fuzzer looks for */
}

static void parse(const char *token, size_t size)
{
    struct gw_jwt jwt;
    sl_error error = {0};
    sl_status status = gw_jwt_parse(token, size, &jwt, &error);
    expect(status == SL_OK || (status == SL_UNAUTHENTICATED && error.text[0]));
    if (status != SL_OK)
        return;
    expect(json_is_object(jwt.header) && json_is_object(jwt.claims) && jwt.issuer);
    expect(strlen(jwt.algorithm) == 5);
    expect(!jwt.kid || (*jwt.kid && strlen(jwt.kid) <= GW_JWT_KID_MAX));
    expect(jwt.expires_s >= 0);
    (void)gw_jwt_is_for(&jwt, "streamlayer");
    (void)gw_jwt_text(&jwt, "sub");
    gw_jwt_free(&jwt);
}

static void append_url(struct sl_buffer *out, const void *data, size_t size)
{
    size_t from = out->size;
    sl_base64_encode(out, data, size);
    for (size_t i = from; i < out->size; i++)
        out->data[i] = (char)(out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i]);
    while (out->size > from && out->data[out->size - 1] == '=')
        out->size--;
}

/* With a signature of the right length, which is not looked at. */
static void parse_parts(const char *text, size_t size)
{
    static const char signature[96];
    const char *end = size ? memchr(text, '\n', size) : NULL;
    struct sl_buffer token;
    if (!end)
        return;
    for (size_t length = 64; length <= 96; length += 32) {
        sl_buffer_init(&token, 100000);
        append_url(&token, text, (size_t)(end - text));
        sl_buffer_append(&token, ".", 1);
        append_url(&token, end + 1, size - (size_t)(end - text) - 1);
        sl_buffer_append(&token, ".", 1);
        append_url(&token, signature, length);
        parse(token.data, token.size);
        sl_buffer_free(&token);
    }
}

static void parse_jwks(const char *text, size_t size)
{
    struct gw_jwk *keys[GW_JWKS_KEYS_MAX];
    size_t count;
    sl_error error = {0};
    if (gw_jwks_parse(text, size, keys, &count, &error) != SL_OK) {
        expect(error.text[0] && !count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        expect(!gw_jwk_serves(keys[i], "HS256") && !gw_jwk_serves(keys[i], "none"));
        expect(!gw_jwk_verify(keys[i], "ES256", "a.b.c", 5));
        gw_jwk_unlink(keys[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    parse(text, size);
    parse_parts(text, size);
    parse_jwks(text, size);
    return 0;
}
