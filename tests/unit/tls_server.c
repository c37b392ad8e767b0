#include "tls_server.h"

#include "support/cases.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

struct identity identity_make(const char *name, const struct identity *issuer, long begin, long end)
{
    static long serial = 1;
    struct identity made = {X509_new(), EVP_EC_gen("P-256")};
    const struct identity *signer = issuer ? issuer : &made;
    X509_set_version(made.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), begin);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), end);
    X509_set_pubkey(made.certificate, made.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.certificate), "CN", MBSTRING_UTF8,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made.certificate, X509_get_subject_name(signer->certificate));
    if (issuer) {
        char alternative[200];
        snprintf(alternative, sizeof alternative, "%s:%s", *name >= '0' && *name <= '9' ? "IP" : "DNS", name);
        add_extension(made.certificate, signer->certificate, NID_subject_alt_name, alternative);
    } else {
        add_extension(made.certificate, made.certificate, NID_basic_constraints, "critical,CA:TRUE");
    }
    assert_true(X509_sign(made.certificate, signer->key, EVP_sha256()) > 0);
    return made;
}

void identity_free(struct identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

void write_certificate(const char *file, const struct identity *identity)
{
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_int_equal(PEM_write_X509(out, identity->certificate), 1);
    fclose(out);
}

void write_key(const char *file, const struct identity *identity, const char *password)
{
    FILE *out = fopen(file, "a");
    assert_non_null(out);
    assert_int_equal(PEM_write_PKCS8PrivateKey(out, identity->key, password ? EVP_aes_128_cbc() : NULL,
                                               password, password ? (int)strlen(password) : 0, NULL, NULL),
                     1);
    fclose(out);
}

struct tls_server {
    struct tls_how how;
    SSL_CTX *context;
    int listener, port, connections;
    pthread_t thread;
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/* Reads until the end of a head; false: the connection ended before. */
static bool read_head(int connection, SSL *ssl)
{
    char head[8192];
    size_t size = 0;
    while (size < sizeof head - 1) {
        long got = ssl ? SSL_read(ssl, head + size, (int)(sizeof head - 1 - size))
                       : read(connection, head + size, sizeof head - 1 - size);
        if (got <= 0)
            return false;
        size += (size_t)got;
        head[size] = 0;
        if (strstr(head, "\r\n\r\n"))
            return true;
    }
    return false;
}

static void serve(struct tls_server *server, int connection)
{
    if (server->how.as_proxy) {
        static const char established[] = "HTTP/1.1 200 Established\r\n\r\n";
        if (!read_head(connection, NULL) || write(connection, established, sizeof established - 1) < 0)
            return;
    }
    if (!server->context) {
        if (write(connection, answer, sizeof answer - 1) > 0)
            shutdown(connection, SHUT_WR);
        read_head(connection, NULL); /* what comes is read, so that closing does not reset the connection */
        return;
    }
    SSL *ssl = SSL_new(server->context);
    SSL_set_fd(ssl, connection);
    if (SSL_accept(ssl) == 1 && read_head(connection, ssl)) {
        SSL_write(ssl, answer, sizeof answer - 1);
        SSL_shutdown(ssl);
    }
    ERR_clear_error();
    SSL_free(ssl);
    shutdown(connection, SHUT_WR);
    read_head(connection, NULL); /* closing on what was not read would take back what was sent */
}

static void *run(void *opaque)
{
    struct tls_server *server = opaque;
    int connection;
    sigset_t broken_pipes; /* of this thread's only: the library must not need it */
    sigemptyset(&broken_pipes);
    sigaddset(&broken_pipes, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipes, NULL);
    while ((connection = accept(server->listener, NULL, NULL)) >= 0) {
        __atomic_fetch_add(&server->connections, 1, __ATOMIC_SEQ_CST);
        struct timeval patience = {.tv_sec = 10};
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        serve(server, connection);
        close(connection);
    }
    return NULL;
}

struct tls_server *tls_server_start(const struct tls_how *how)
{
    struct tls_server *server = calloc(1, sizeof *server);
    server->how = *how;
    if (how->identity) {
        server->context = SSL_CTX_new(TLS_server_method());
        SSL_CTX_use_certificate(server->context, how->identity->certificate);
        SSL_CTX_use_PrivateKey(server->context, how->identity->key);
        SSL_CTX_set_security_level(server->context, 0); /* else old versions are not there to be refused */
        SSL_CTX_set_min_proto_version(server->context, how->min_version);
        SSL_CTX_set_max_proto_version(server->context, how->max_version);
    }
    if (how->clients) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(server->context), how->clients->certificate);
        SSL_CTX_set_verify(server->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 16), 0);
    getsockname(server->listener, (struct sockaddr *)&address, &size);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
    return server;
}

void tls_server_stop(struct tls_server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    SSL_CTX_free(server->context);
    free(server);
}

int tls_server_port(const struct tls_server *server)
{
    return server->port;
}

int tls_server_connections(struct tls_server *server)
{
    return __atomic_load_n(&server->connections, __ATOMIC_SEQ_CST);
}
