/* Keys, certificates, and a server that speaks TLS (or not) in the test's process, on a free port of
 * 127.0.0.1. */
#ifndef TESTS_UNIT_TLS_SERVER_H
#define TESTS_UNIT_TLS_SERVER_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
};

/* A certificate for name ("localhost", "127.0.0.1", or a person's), good from begin to end (seconds from
 * now), signed by issuer, or by itself (NULL: then it is a CA's). */
struct identity identity_make(const char *name, const struct identity *issuer, long begin, long end);
void identity_free(struct identity *identity);
/* PEM files; password NULL: the key is not encrypted. */
void write_certificate(const char *file, const struct identity *identity);
void write_key(const char *file, const struct identity *identity, const char *password);

struct tls_server;

struct tls_how {
    const struct identity *identity; /* NULL: it speaks no TLS, but answers in plain text */
    const struct identity *clients;  /* it wants a certificate of this CA's; NULL: none */
    int min_version, max_version;    /* 0: whatever there is */
    bool as_proxy;                   /* answers CONNECT with 200, and then speaks TLS */
};

struct tls_server *tls_server_start(const struct tls_how *how);
void tls_server_stop(struct tls_server *server);
int tls_server_port(const struct tls_server *server);
int tls_server_connections(struct tls_server *server); /* accepted so far */

#endif
