#include "forge.h"

#include "support/cases.h"

#include "base/text.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>

EVP_PKEY *forge_key(const char *kind)
{
    EVP_PKEY *key = strncmp(kind, "RSA-", 4) ? EVP_EC_gen(kind) : EVP_RSA_gen((unsigned)atoi(kind + 4));
    assert_non_null(key);
    return key;
}

EVP_PKEY *forge_read(const char *file)
{
    FILE *in = fopen(file, "re");
    assert_non_null(in);
    EVP_PKEY *key = PEM_read_PrivateKey(in, NULL, NULL, NULL);
    fclose(in);
    assert_non_null(key);
    return key;
}

static void append_url(struct sl_buffer *out, const void *data, size_t size)
{
    size_t from = out->size;
    assert_true(sl_base64_encode(out, data, size));
    for (size_t i = from; i < out->size; i++)
        out->data[i] = (char)(out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i]);
    while (out->size > from && out->data[out->size - 1] == '=')
        out->data[--out->size] = 0;
}

/* r and s as numbers of a fixed width, one behind the other. */
static size_t raw_of(const unsigned char *der, size_t size, int width, unsigned char *out)
{
    const unsigned char *at = der;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)size);
    assert_non_null(pair);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, width), width);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + width, width), width);
    ECDSA_SIG_free(pair);
    return 2 * (size_t)width;
}

static size_t sign_by_public_key(const struct sl_buffer *text, EVP_PKEY *key, unsigned char *out)
{
    unsigned size = 0;
    char *pem;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    long length = BIO_get_mem_data(bio, &pem);
    assert_non_null(
        HMAC(EVP_sha256(), pem, (int)length, (const unsigned char *)text->data, text->size, out, &size));
    BIO_free(bio);
    return size;
}

static size_t sign(const struct sl_buffer *text, const char *algorithm, EVP_PKEY *key,
                   unsigned char out[1024])
{
    unsigned char made[1024];
    size_t size = sizeof made;
    if (!strcmp(algorithm, "none"))
        return 0;
    if (!strcmp(algorithm, "HS256"))
        return sign_by_public_key(text, key, out);
    EVP_PKEY_CTX *context;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool longer = !strcmp(algorithm, "ES384");
    assert_int_equal(EVP_DigestSignInit(digest, &context, longer ? EVP_sha384() : EVP_sha256(), NULL, key),
                     1);
    if (!strcmp(algorithm, "PS256")) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_int_equal(EVP_DigestSign(digest, made, &size, (const unsigned char *)text->data, text->size), 1);
    EVP_MD_CTX_free(digest);
    if (algorithm[0] == 'E')
        return raw_of(made, size, longer ? 48 : 32, out);
    memcpy(out, made, size);
    return size;
}

char *forge_token(const char *header, const char *claims, const char *algorithm, EVP_PKEY *key)
{
    struct sl_buffer text;
    unsigned char signature[1024];
    sl_buffer_init(&text, 100000);
    append_url(&text, header, strlen(header));
    sl_buffer_append(&text, ".", 1);
    append_url(&text, claims, strlen(claims));
    size_t size = sign(&text, algorithm, key, signature);
    sl_buffer_append(&text, ".", 1);
    if (size)
        append_url(&text, signature, size);
    return sl_buffer_take(&text);
}

static void append_number(struct sl_buffer *out, const char *name, EVP_PKEY *key, const char *parameter,
                          int width)
{
    unsigned char bytes[1024];
    BIGNUM *number = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(key, parameter, &number), 1);
    int size = width ? width : BN_num_bytes(number);
    assert_int_equal(BN_bn2binpad(number, bytes, size), size);
    BN_free(number);
    sl_buffer_printf(out, ",\"%s\":\"", name);
    append_url(out, bytes, (size_t)size);
    sl_buffer_append(out, "\"", 1);
}

char *forge_jwk(EVP_PKEY *key, const char *kid, const char *more)
{
    struct sl_buffer text;
    sl_buffer_init(&text, 10000);
    sl_buffer_printf(&text, "{%s%s\"kid\":\"%s\",\"kty\":\"%s\"", more, *more ? "," : "", kid,
                     EVP_PKEY_is_a(key, "RSA") ? "RSA" : "EC");
    if (EVP_PKEY_is_a(key, "RSA")) {
        append_number(&text, "n", key, OSSL_PKEY_PARAM_RSA_N, 0);
        append_number(&text, "e", key, OSSL_PKEY_PARAM_RSA_E, 0);
    } else {
        int bits = EVP_PKEY_get_bits(key), width = (bits + 7) / 8;
        sl_buffer_printf(&text, ",\"crv\":\"P-%d\"", bits);
        append_number(&text, "x", key, OSSL_PKEY_PARAM_EC_PUB_X, width);
        append_number(&text, "y", key, OSSL_PKEY_PARAM_EC_PUB_Y, width);
    }
    sl_buffer_append(&text, "}", 1);
    return sl_buffer_take(&text);
}
