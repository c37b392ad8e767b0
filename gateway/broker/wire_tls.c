/* TLS for wire_link.h, by librdkafka's settings. */
#include "gateway/broker/wire_tls.h"

#include "base/error.h"
#include "config/settings.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *gw_wire_tls_reason(void)
{
    unsigned long code = ERR_peek_error();
    const char *reason =
        ERR_SYSTEM_ERROR(code) ? sl_errno_text(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    ERR_clear_error();
    return reason ? reason : "no reason given";
}

/* setting: of librdkafka's; its value is told where it is no secret. */
static sl_status refuse(const struct gw_broker *broker, const char *setting, const char *value,
                        sl_error *error)
{
    char path[GW_SETTING_MAX];
    snprintf(path, sizeof path, "%s.producer.%s", broker->root, setting);
    if (!sl_config_origin(broker->config, path))
        snprintf(path, sizeof path, "%s.client.%s", broker->root, setting);
    sl_error_set(error, SL_BAD_CONFIG, "%s: %s%s%s", path, value ? value : "", value ? ": " : "",
                 gw_wire_tls_reason());
    sl_config_prefix(broker->config, path, error);
    return SL_BAD_CONFIG;
}

static int hand_password(char *out, int size, int writing, void *opaque)
{
    const char *password = opaque;
    size_t length = password ? strlen(password) : 0;
    (void)writing;
    if (!password || length > (size_t)size)
        return -1;
    memcpy(out, password, length);
    return (int)length;
}

/* Each certificate of the text is trusted. */
static bool trust_pem(X509_STORE *store, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    size_t count = 0;
    bool good = bio != NULL;
    for (X509 *certificate; good && (certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL));) {
        good = X509_STORE_add_cert(store, certificate);
        X509_free(certificate);
        count++;
    }
    BIO_free(bio);
    if (good && count)
        ERR_clear_error(); /* that there are no more */
    return good && count;
}

static sl_status set_trust(const struct gw_broker *broker, const struct gw_wire_settings *settings,
                           SSL_CTX *context, sl_error *error)
{
    const char *location = settings->ca_location;
    if (settings->ca_pem)
        return trust_pem(SSL_CTX_get_cert_store(context), settings->ca_pem)
                   ? SL_OK
                   : refuse(broker, "ssl.ca.pem", NULL, error);
    if (!location || !strcmp(location, "probe"))
        return SSL_CTX_set_default_verify_paths(context)
                   ? SL_OK
                   : refuse(broker, "ssl.ca.location", "the system's certificates", error);
    /* OpenSSL takes any name for a directory, whether there is one or not. */
    struct stat about;
    bool directory = !stat(location, &about) && S_ISDIR(about.st_mode);
    if (directory ? SSL_CTX_load_verify_dir(context, location) : SSL_CTX_load_verify_file(context, location))
        return SL_OK;
    return refuse(broker, "ssl.ca.location", location, error);
}

/* A chain: the gateway's own first. */
static bool show_pem(SSL_CTX *context, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL) : NULL;
    bool good = certificate && SSL_CTX_use_certificate(context, certificate);
    X509_free(certificate);
    while (good && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        good = SSL_CTX_add0_chain_cert(context, certificate);
        if (!good)
            X509_free(certificate);
    }
    BIO_free(bio);
    if (good)
        ERR_clear_error();
    return good;
}

static bool use_key_pem(SSL_CTX *context, const char *pem, char *password)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, hand_password, password) : NULL;
    bool good = key && SSL_CTX_use_PrivateKey(context, key);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return good;
}

static sl_status set_certificate(const struct gw_broker *broker, const struct gw_wire_settings *settings,
                                 SSL_CTX *context, sl_error *error)
{
    SSL_CTX_set_default_passwd_cb(context, hand_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, settings->key_password);
    if (settings->certificate_location &&
        !SSL_CTX_use_certificate_chain_file(context, settings->certificate_location))
        return refuse(broker, "ssl.certificate.location", settings->certificate_location, error);
    if (settings->certificate_pem && !show_pem(context, settings->certificate_pem))
        return refuse(broker, "ssl.certificate.pem", NULL, error);
    if (settings->key_location &&
        !SSL_CTX_use_PrivateKey_file(context, settings->key_location, SSL_FILETYPE_PEM))
        return refuse(broker, "ssl.key.location", settings->key_location, error);
    if (settings->key_pem && !use_key_pem(context, settings->key_pem, settings->key_password))
        return refuse(broker, "ssl.key.pem", NULL, error);
    return SL_OK;
}

sl_status gw_wire_tls_context(const struct gw_broker *broker, const struct gw_wire_settings *settings,
                              SSL_CTX **out, sl_error *error)
{
    ERR_clear_error();
    SSL_CTX *context = *out = SSL_CTX_new(TLS_client_method());
    if (!context)
        return sl_error_oom(error);
    SSL_CTX_set_verify(context, settings->verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (settings->ciphers && !SSL_CTX_set_cipher_list(context, settings->ciphers))
        return refuse(broker, "ssl.cipher.suites", settings->ciphers, error);
    if (settings->curves && !SSL_CTX_set1_curves_list(context, settings->curves))
        return refuse(broker, "ssl.curves.list", settings->curves, error);
    if (settings->signatures && !SSL_CTX_set1_sigalgs_list(context, settings->signatures))
        return refuse(broker, "ssl.sigalgs.list", settings->signatures, error);
    sl_status status = set_trust(broker, settings, context, error);
    return status ? status : set_certificate(broker, settings, context, error);
}

bool gw_wire_tls_name(SSL *tls, const struct gw_wire_settings *settings, const char *host)
{
    struct in6_addr address;
    bool number = inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
    if (!number && !SSL_set_tlsext_host_name(tls, host))
        return false;
    if (!settings->verifies || !settings->checks_names)
        return true;
    return number ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), host) : SSL_set1_host(tls, host);
}
