#include "gateway/broker/wire_sasl.h"

#include "base/text.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX    65536
#define NONCE_MAX      512
#define SALT_MAX       512
#define ITERATIONS_MIN 4096    /* RFC 7677; Kafka's least */
#define ITERATIONS_MAX 1000000 /* a second or so of work */

bool gw_plain_message(struct sl_buffer *out, const char *user, const char *password)
{
    return sl_buffer_append(out, "", 1) && sl_buffer_append_text(out, user) && sl_buffer_append(out, "", 1) &&
           sl_buffer_append_text(out, password);
}

static void append_name(struct sl_buffer *out, const char *user)
{
    for (const char *at = user; *at; at++)
        if (*at == '=')
            sl_buffer_append_text(out, "=3D");
        else if (*at == ',')
            sl_buffer_append_text(out, "=2C");
        else
            sl_buffer_append(out, at, 1);
}

bool gw_scram_begin(struct gw_scram *scram, const char *mechanism, const char *user, const char *password,
                    const char *nonce, struct sl_buffer *out)
{
    *scram = (struct gw_scram){.password = password};
    sl_buffer_init(&scram->bare, MESSAGE_MAX);
    scram->hash = !strcmp(mechanism, "SCRAM-SHA-256")   ? EVP_sha256()
                  : !strcmp(mechanism, "SCRAM-SHA-512") ? EVP_sha512()
                                                        : NULL;
    snprintf(scram->nonce, sizeof scram->nonce, "%s", nonce);
    sl_buffer_append_text(&scram->bare, "n=");
    append_name(&scram->bare, user);
    sl_buffer_append_text(&scram->bare, ",r=");
    sl_buffer_append_text(&scram->bare, scram->nonce);
    return scram->hash && !scram->bare.failed && sl_buffer_append_text(out, "n,,") &&
           sl_buffer_append(out, scram->bare.data, scram->bare.size);
}

void gw_scram_end(struct gw_scram *scram)
{
    sl_buffer_free(&scram->bare);
    OPENSSL_cleanse(scram->signature, sizeof scram->signature);
}

/* What "NAME=" begins, up to the comma; NULL: the message does not go on so. */
static const char *attribute(const char **at, const char *end, char name, size_t *size)
{
    const char *from = *at;
    if (end - from < 2 || from[0] != name || from[1] != '=')
        return NULL;
    const char *comma = memchr(from, ',', (size_t)(end - from)), *stop = comma ? comma : end;
    *at = comma ? comma + 1 : end;
    *size = (size_t)(stop - from) - 2;
    return from + 2;
}

/* Salted password, and from it the proof that is shown and the signature that is awaited. */
static bool sign(struct gw_scram *scram, const struct sl_buffer *salt, int iterations,
                 const struct sl_buffer *signs, unsigned char *proof)
{
    unsigned char salted[EVP_MAX_MD_SIZE], client[EVP_MAX_MD_SIZE], stored[EVP_MAX_MD_SIZE],
        server[EVP_MAX_MD_SIZE], shown[EVP_MAX_MD_SIZE];
    const EVP_MD *hash = scram->hash;
    int size = EVP_MD_get_size(hash);
    const unsigned char *text = (const unsigned char *)signs->data;
    bool good =
        strlen(scram->password) <= INT_MAX &&
        PKCS5_PBKDF2_HMAC(scram->password, (int)strlen(scram->password), (const unsigned char *)salt->data,
                          (int)salt->size, iterations, hash, size, salted) &&
        HMAC(hash, salted, size, (const unsigned char *)"Client Key", 10, client, NULL) &&
        EVP_Digest(client, (size_t)size, stored, NULL, hash, NULL) &&
        HMAC(hash, stored, size, text, signs->size, shown, NULL) &&
        HMAC(hash, salted, size, (const unsigned char *)"Server Key", 10, server, NULL) &&
        HMAC(hash, server, size, text, signs->size, scram->signature, NULL);
    for (int i = 0; i < size && good; i++)
        proof[i] = client[i] ^ shown[i];
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(client, sizeof client);
    OPENSSL_cleanse(server, sizeof server);
    return good;
}

const char *gw_scram_answer(struct gw_scram *scram, const char *said, size_t size, struct sl_buffer *out)
{
    const char *at = said, *end = said + size;
    size_t nonce_size = 0, salt_size = 0, count_size = 0;
    const char *nonce = attribute(&at, end, 'r', &nonce_size);
    const char *salt_text = nonce ? attribute(&at, end, 's', &salt_size) : NULL;
    const char *count = salt_text ? attribute(&at, end, 'i', &count_size) : NULL;
    char number[16] = "";
    int64_t iterations = 0;
    if (!count || count_size >= sizeof number)
        return "its first SCRAM message is no such message";
    memcpy(number, count, count_size);
    size_t own = strlen(scram->nonce);
    if (nonce_size <= own || nonce_size > NONCE_MAX || memcmp(nonce, scram->nonce, own) != 0)
        return "its SCRAM nonce does not go on from ours";
    if (!sl_parse_int(number, ITERATIONS_MIN, ITERATIONS_MAX, &iterations))
        return "its SCRAM iterations are not 4096 to 1000000";
    unsigned char proof[EVP_MAX_MD_SIZE];
    struct sl_buffer salt, signs;
    const char *wrong = NULL;
    sl_buffer_init(&salt, SALT_MAX);
    sl_buffer_init(&signs, MESSAGE_MAX);
    sl_buffer_append(&signs, scram->bare.data, scram->bare.size);
    sl_buffer_append_text(&signs, ",");
    sl_buffer_append(&signs, said, size);
    sl_buffer_append_text(&signs, ",");
    size_t final = signs.size;
    sl_buffer_append_text(&signs, "c=biws,r=");
    sl_buffer_append(&signs, nonce, nonce_size);
    if (!sl_base64_decode(&salt, salt_text, salt_size) || !salt.size)
        wrong = "its SCRAM salt is no base64";
    else if (signs.failed || !sign(scram, &salt, (int)iterations, &signs, proof))
        wrong = "SCRAM cannot be computed: memory is out, or its message is too long";
    else if (!sl_buffer_append(out, signs.data + final, signs.size - final) ||
             !sl_buffer_append_text(out, ",p=") ||
             !sl_base64_encode(out, proof, (size_t)EVP_MD_get_size(scram->hash)))
        wrong = "SCRAM cannot be computed: memory is out";
    sl_buffer_free(&salt);
    sl_buffer_free(&signs);
    return wrong;
}

const char *gw_scram_verify(const struct gw_scram *scram, const char *said, size_t size)
{
    const char *at = said, *end = said + size;
    size_t shown_size = 0;
    const char *shown = attribute(&at, end, 'v', &shown_size);
    if (!shown)
        return "its last SCRAM message has no signature";
    struct sl_buffer decoded;
    sl_buffer_init(&decoded, SALT_MAX);
    size_t wanted = (size_t)EVP_MD_get_size(scram->hash);
    bool good = sl_base64_decode(&decoded, shown, shown_size) && decoded.size == wanted &&
                !CRYPTO_memcmp(decoded.data, scram->signature, wanted);
    sl_buffer_free(&decoded);
    return good ? NULL : "its SCRAM signature is wrong: it does not know the password";
}
