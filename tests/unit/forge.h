/* Tokens as others make them, by OpenSSL alone: right ones of outside issuers, and wrong ones of all kinds.
 */
#ifndef TESTS_UNIT_FORGE_H
#define TESTS_UNIT_FORGE_H

#include <openssl/evp.h>
#include <stddef.h>

/* "P-256", "P-384", "P-521", "RSA-1024", "RSA-2048". */
EVP_PKEY *forge_key(const char *kind);
/* The private key of a PEM file. */
EVP_PKEY *forge_read(const char *file);

/* Header and claims are JSON texts, taken as they are. algorithm: how it is signed, whatever the header says:
 * ES256, ES384, RS256, PS256, HS256 (key's public part in PEM is the secret), DER (ES256 in ASN.1, as other
 * protocols have it), none. Released with free. */
char *forge_token(const char *header, const char *claims, const char *algorithm, EVP_PKEY *key);
/* The key as a JWK; more: further members, '"use":"sig",…' or "". Released with free. */
char *forge_jwk(EVP_PKEY *key, const char *kid, const char *more);

#endif
