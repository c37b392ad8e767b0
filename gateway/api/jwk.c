#include "gateway/api/jwk.h"

#include "base/error.h"
#include "base/text.h"
#include "gateway/api/jwt.h"

#include <cjose/cjose.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192 /* a larger one makes every check slow */

struct gw_jwk {
    atomic_uint links;
    pthread_mutex_t use; /* cjose does not say that a key may be used by two threads at once */
    cjose_jwk_t *key;
    char *kid;
    const char *algorithms[3]; /* NULL-terminated */
};

static void set_algorithms(struct gw_jwk *key, const char *first, const char *second)
{
    key->algorithms[0] = first;
    key->algorithms[1] = second;
}

/* Takes jwk (may be NULL). */
static struct gw_jwk *key_new(cjose_jwk_t *jwk)
{
    struct gw_jwk *key = jwk ? calloc(1, sizeof *key) : NULL;
    if (!key) {
        cjose_jwk_release(jwk);
        return NULL;
    }
    atomic_store(&key->links, 1);
    pthread_mutex_init(&key->use, NULL);
    key->key = jwk;
    return key;
}

struct gw_jwk *gw_jwk_link(struct gw_jwk *key)
{
    atomic_fetch_add_explicit(&key->links, 1, memory_order_relaxed);
    return key;
}

void gw_jwk_unlink(struct gw_jwk *key)
{
    if (!key || atomic_fetch_sub_explicit(&key->links, 1, memory_order_acq_rel) != 1)
        return;
    cjose_jwk_release(key->key);
    pthread_mutex_destroy(&key->use);
    free(key->kid);
    free(key);
}

/* --- Own keys --- */

/* One of the key's numbers as 32 big-endian bytes. */
static bool key_number(const EVP_PKEY *key, const char *name, unsigned char out[32])
{
    BIGNUM *number = NULL;
    bool good = EVP_PKEY_get_bn_param(key, name, &number) == 1 && BN_bn2binpad(number, out, 32) == 32;
    BN_clear_free(number);
    return good;
}

/* RFC 7638, 3.2: the members that are needed, in the order of their names, without blanks. */
static char *thumbprint(const unsigned char x[32], const unsigned char y[32])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char *x64 = NULL, *y64 = NULL, *digest64 = NULL, *text = NULL, *result = NULL;
    size_t size;
    cjose_err problem;
    if (cjose_base64url_encode(x, 32, &x64, &size, &problem) &&
        cjose_base64url_encode(y, 32, &y64, &size, &problem))
        text = sl_printf("{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x64, y64);
    if (text && SHA256((const unsigned char *)text, strlen(text), digest) &&
        cjose_base64url_encode(digest, sizeof digest, &digest64, &size, &problem) && size == GW_THUMBPRINT)
        result = strndup(digest64, size);
    free(x64);
    free(y64);
    free(digest64);
    free(text);
    return result;
}

struct gw_jwk *gw_jwk_of_private(const EVP_PKEY *pkey)
{
    unsigned char d[32], x[32], y[32];
    cjose_err problem;
    struct gw_jwk *key = NULL;
    if (EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_bits(pkey) == 256 &&
        key_number(pkey, OSSL_PKEY_PARAM_PRIV_KEY, d) && key_number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, x) &&
        key_number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, y)) {
        const cjose_jwk_ec_keyspec spec = {
            .crv = CJOSE_JWK_EC_P_256, .d = d, .dlen = 32, .x = x, .xlen = 32, .y = y, .ylen = 32};
        key = key_new(cjose_jwk_create_EC_spec(&spec, &problem));
        if (key && !(key->kid = thumbprint(x, y))) {
            gw_jwk_unlink(key);
            key = NULL;
        }
        if (key)
            set_algorithms(key, CJOSE_HDR_ALG_ES256, NULL);
    }
    OPENSSL_cleanse(d, sizeof d);
    return key;
}

/* --- Others' keys --- */

static bool is_for_signatures(const json_t *value)
{
    const json_t *use = json_object_get(value, "use"), *operations = json_object_get(value, "key_ops");
    size_t index;
    json_t *one;
    if (use && (!json_is_string(use) || strcmp(json_string_value(use), "sig") != 0))
        return false;
    json_array_foreach((json_t *)(uintptr_t)operations, index, one)
    {
        if (json_is_string(one) && !strcmp(json_string_value(one), "verify"))
            return true;
    }
    return !operations;
}

/* A number in base64url: cjose aborts on some texts that are none. */
static bool is_number(const json_t *member)
{
    struct sl_buffer number;
    sl_buffer_init(&number, RSA_BITS_MAX / 8 + 1);
    bool good = json_string_length(member) &&
                gw_base64url_decode(json_string_value(member), json_string_length(member), &number);
    sl_buffer_free(&number);
    return good;
}

/* The public members alone. */
static cjose_jwk_t *import(const json_t *value)
{
    static const char *const members[] = {"kty", "crv", "x", "y", "n", "e"};
    for (size_t i = 2; i < sizeof members / sizeof *members; i++) {
        const json_t *member = json_object_get(value, members[i]);
        if (member && !is_number(member))
            return NULL;
    }
    json_t *plain = json_object();
    bool good = plain;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *member = json_object_get(value, members[i]);
        good = good && (!member || (json_is_string(member) && !json_object_set(plain, members[i], member)));
    }
    char *text = good ? json_dumps(plain, JSON_COMPACT) : NULL;
    json_decref(plain);
    cjose_err problem;
    cjose_jwk_t *jwk = text ? cjose_jwk_import(text, strlen(text), &problem) : NULL;
    free(text);
    return jwk;
}

static void find_algorithms(struct gw_jwk *key)
{
    cjose_err problem;
    size_t bits = cjose_jwk_get_keysize(key->key, &problem);
    switch (cjose_jwk_get_kty(key->key, &problem)) {
    case CJOSE_JWK_KTY_EC:
        if (cjose_jwk_EC_get_curve(key->key, &problem) == CJOSE_JWK_EC_P_256)
            set_algorithms(key, CJOSE_HDR_ALG_ES256, NULL);
        else if (cjose_jwk_EC_get_curve(key->key, &problem) == CJOSE_JWK_EC_P_384)
            set_algorithms(key, CJOSE_HDR_ALG_ES384, NULL);
        break;
    case CJOSE_JWK_KTY_RSA:
        if (bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX)
            set_algorithms(key, CJOSE_HDR_ALG_RS256, CJOSE_HDR_ALG_PS256);
        break;
    case CJOSE_JWK_KTY_OCT:
    default:
        break;
    }
}

/* alg in the JWKS: the only one that the key is for. */
static void keep_algorithm(struct gw_jwk *key, const json_t *algorithm)
{
    const char *kept = NULL;
    for (size_t i = 0; json_is_string(algorithm) && key->algorithms[i]; i++)
        if (!strcmp(key->algorithms[i], json_string_value(algorithm)))
            kept = key->algorithms[i];
    set_algorithms(key, kept, NULL);
}

struct gw_jwk *gw_jwk_of_json(const json_t *value)
{
    if (!json_is_object(value) || !is_for_signatures(value))
        return NULL;
    struct gw_jwk *key = key_new(import(value));
    if (!key)
        return NULL;
    const json_t *kid = json_object_get(value, "kid"), *algorithm = json_object_get(value, "alg");
    find_algorithms(key);
    if (algorithm)
        keep_algorithm(key, algorithm);
    bool good = key->algorithms[0] != NULL;
    if (kid) {
        const char *name = json_string_value(kid);
        good = good && name && *name && strlen(name) <= GW_JWT_KID_MAX && (key->kid = strdup(name));
    }
    if (good)
        return key;
    gw_jwk_unlink(key);
    return NULL;
}

sl_status gw_jwks_parse(const char *text, size_t size, struct gw_jwk **keys, size_t *count, sl_error *error)
{
    json_t *document = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *list = json_object_get(document, "keys");
    size_t index;
    json_t *value;
    *count = 0;
    if (!json_is_array(list)) {
        json_decref(document);
        return sl_error_set(error, SL_PROTOCOL, "it is no JWKS: a JSON object with a list \"keys\"");
    }
    json_array_foreach((json_t *)(uintptr_t)list, index, value)
    {
        struct gw_jwk *key = *count < GW_JWKS_KEYS_MAX ? gw_jwk_of_json(value) : NULL;
        if (key)
            keys[(*count)++] = key;
    }
    json_decref(document);
    return SL_OK;
}

/* --- What they are for --- */

const char *gw_jwk_kid(const struct gw_jwk *key)
{
    return key->kid;
}

static char *public_text(struct gw_jwk *key)
{
    cjose_err problem;
    pthread_mutex_lock(&key->use);
    char *text = cjose_jwk_to_json(key->key, false, &problem);
    pthread_mutex_unlock(&key->use);
    return text;
}

bool gw_jwk_equal(const struct gw_jwk *a, const struct gw_jwk *b)
{
    if (!a->kid != !b->kid || (a->kid && strcmp(a->kid, b->kid) != 0) ||
        a->algorithms[0] != b->algorithms[0] || a->algorithms[1] != b->algorithms[1])
        return false;
    /* The lock is all that changes. */
    char *one = public_text((struct gw_jwk *)(uintptr_t)a),
         *other = public_text((struct gw_jwk *)(uintptr_t)b);
    bool equal = one && other && !strcmp(one, other);
    free(one);
    free(other);
    return equal;
}

bool gw_jwk_serves(const struct gw_jwk *key, const char *algorithm)
{
    for (size_t i = 0; key->algorithms[i]; i++)
        if (!strcmp(key->algorithms[i], algorithm))
            return true;
    return false;
}

json_t *gw_jwk_json(struct gw_jwk *key)
{
    char *text = public_text(key);
    json_t *value = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    if (value && !json_object_set_new(value, "use", json_string("sig")) &&
        !json_object_set_new(value, "alg", json_string(key->algorithms[0])) &&
        !json_object_set_new(value, "kid", json_string(key->kid)))
        return value;
    json_decref(value);
    return NULL;
}

bool gw_jwk_verify(struct gw_jwk *key, const char *algorithm, const char *token, size_t size)
{
    if (!gw_jwk_serves(key, algorithm))
        return false;
    cjose_err problem;
    cjose_jws_t *jws = cjose_jws_import(token, size, &problem);
    const char *stated = jws ? cjose_header_get(cjose_jws_get_protected(jws), CJOSE_HDR_ALG, &problem) : NULL;
    bool good = false;
    if (stated && !strcmp(stated, algorithm)) {
        pthread_mutex_lock(&key->use);
        good = cjose_jws_verify(jws, key->key, &problem);
        pthread_mutex_unlock(&key->use);
    }
    cjose_jws_release(jws);
    return good;
}

char *gw_jwk_sign(struct gw_jwk *key, const char *payload)
{
    cjose_err problem;
    const char *compact = NULL;
    char *token = NULL;
    cjose_header_t *header = cjose_header_new(&problem);
    cjose_jws_t *jws = NULL;
    if (header && cjose_header_set(header, CJOSE_HDR_ALG, CJOSE_HDR_ALG_ES256, &problem) &&
        cjose_header_set(header, "typ", "JWT", &problem) &&
        cjose_header_set(header, CJOSE_HDR_KID, key->kid, &problem)) {
        pthread_mutex_lock(&key->use);
        jws = cjose_jws_sign(key->key, header, (const uint8_t *)payload, strlen(payload), &problem);
        pthread_mutex_unlock(&key->use);
    }
    if (jws && cjose_jws_export(jws, &compact, &problem))
        token = strdup(compact);
    cjose_jws_release(jws);
    cjose_header_release(header);
    return token;
}
