#include "certificates.h"
#include "base/error.h"
#include "process.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DAY_S          86400L
#define AUTHORITY_DAYS 3650
#define SIGNED_DAYS    730
#define EARLIER_S      300L /* it begins so long ago: clocks of other machines may be slow */
#define SERIAL_BITS    127
#define FILE_MAX       (PATH_MAX + 64)

struct cli_authority {
    char directory[PATH_MAX];
    EVP_PKEY *key;
    X509 *certificate;
};

struct extension {
    int nid;
    const char *value;
};

static void path_in(const char *directory, const char *name, const char *suffix, char out[FILE_MAX])
{
    snprintf(out, FILE_MAX, "%.*s/%.40s%s", PATH_MAX, directory, name, suffix);
}

static sl_status fail_openssl(sl_error *error, const char *what)
{
    char text[256];
    unsigned long code = ERR_get_error();
    ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return sl_error_set(error, SL_IO, "%s: %s", what, code ? text : "OpenSSL does not say why");
}

static bool number(X509 *certificate)
{
    BIGNUM *serial = BN_new();
    bool done = serial && BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
                BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate));
    BN_free(serial);
    return done;
}

static bool name(X509 *certificate, const char *common_name)
{
    return X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)common_name, -1, -1, 0) == 1;
}

static bool extend(X509 *certificate, X509 *issuer, const struct extension *extensions, size_t count)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    for (size_t i = 0; i < count; i++) {
        X509_EXTENSION *made =
            extensions[i].value ? X509V3_EXT_conf_nid(NULL, &context, extensions[i].nid, extensions[i].value)
                                : NULL;
        bool added = !extensions[i].value || (made && X509_add_ext(certificate, made, -1) == 1);
        X509_EXTENSION_free(made);
        if (!added)
            return false;
    }
    return true;
}

/* A key and a certificate for it. authority: NULL for one that signs itself. */
static bool make(const struct cli_authority *authority, const char *common_name, int days,
                 const struct extension *extensions, size_t count, EVP_PKEY **key, X509 **certificate)
{
    *key = EVP_EC_gen("P-256");
    *certificate = X509_new();
    X509 *made = *certificate, *issuer = authority ? authority->certificate : made;
    return *key && made && X509_set_version(made, X509_VERSION_3) && number(made) &&
           name(made, common_name) && X509_set_issuer_name(made, X509_get_subject_name(issuer)) &&
           X509_gmtime_adj(X509_getm_notBefore(made), -EARLIER_S) &&
           X509_gmtime_adj(X509_getm_notAfter(made), days * DAY_S) && X509_set_pubkey(made, *key) &&
           extend(made, issuer, extensions, count) &&
           X509_sign(made, authority ? authority->key : *key, EVP_sha256());
}

/* key and certificate: NULL where they are not to be in the file. */
static sl_status write_pem(const char *path, EVP_PKEY *key, X509 *certificate, mode_t mode, sl_error *error)
{
    BIO *text = BIO_new(BIO_s_mem());
    char *data = NULL;
    bool written = text && (!key || PEM_write_bio_PKCS8PrivateKey(text, key, NULL, NULL, 0, NULL, NULL)) &&
                   (!certificate || PEM_write_bio_X509(text, certificate)) && BIO_write(text, "", 1) == 1 &&
                   BIO_get_mem_data(text, &data) > 0;
    sl_status status = written ? SL_OK : fail_openssl(error, path);
    if (!status && !cli_write_file(path, data, mode))
        status = sl_error_set(error, SL_IO, "%s: %s", path, sl_errno_text(errno));
    BIO_free(text);
    return status;
}

static sl_status make_authority(struct cli_authority *authority, const char *certificate, const char *key,
                                sl_error *error)
{
    static const struct extension extensions[] = {
        {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
        {NID_key_usage, "critical,keyCertSign,cRLSign"},
        {NID_subject_key_identifier, "hash"},
    };
    EVP_PKEY_free(authority->key);
    X509_free(authority->certificate);
    if (!make(NULL, "streamlayer up", AUTHORITY_DAYS, extensions, sizeof extensions / sizeof *extensions,
              &authority->key, &authority->certificate))
        return fail_openssl(error, certificate);
    /* The certificate last: with it there is an authority. */
    sl_status status = write_pem(key, authority->key, NULL, 0600, error);
    return status ? status : write_pem(certificate, NULL, authority->certificate, 0644, error);
}

static sl_status read_authority(struct cli_authority *authority, const char *certificate, const char *key,
                                sl_error *error)
{
    FILE *file = fopen(certificate, "re");
    if (file) {
        authority->certificate = PEM_read_X509(file, NULL, NULL, NULL);
        fclose(file);
    }
    file = fopen(key, "re");
    if (file) {
        authority->key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        fclose(file);
    }
    if (authority->certificate && authority->key &&
        X509_check_private_key(authority->certificate, authority->key) == 1)
        return SL_OK;
    ERR_clear_error();
    return sl_error_set(error, SL_IO,
                        "%s and %s are no certificate and its key: put back what was there, or remove both, "
                        "so that they are made anew",
                        certificate, key);
}

/* Whether it ends before what it would sign now. */
static bool is_nearly_over(const struct cli_authority *authority)
{
    time_t end = time(NULL) + SIGNED_DAYS * DAY_S;
    return X509_cmp_time(X509_get0_notAfter(authority->certificate), &end) < 0;
}

bool cli_authority_exists(const char *directory)
{
    char path[FILE_MAX];
    path_in(directory, "ca", ".pem", path);
    return !access(path, F_OK);
}

sl_status cli_authority_open(const char *directory, struct cli_authority **out, sl_error *error)
{
    char certificate[FILE_MAX], key[FILE_MAX];
    struct cli_authority *authority = calloc(1, sizeof *authority);
    if (!authority)
        return sl_error_oom(error);
    snprintf(authority->directory, sizeof authority->directory, "%s", directory);
    path_in(directory, "ca", ".pem", certificate);
    path_in(directory, "ca", ".key", key);
    bool there = cli_authority_exists(directory);
    sl_status status = SL_OK;
    if (!cli_make_directories(directory, 0700))
        status = sl_error_set(error, SL_IO, "%s: %s", directory, sl_errno_text(errno));
    if (!status && there)
        status = read_authority(authority, certificate, key, error);
    if (!status && (!there || is_nearly_over(authority)))
        status = make_authority(authority, certificate, key, error);
    if (status)
        cli_authority_close(&authority);
    *out = authority;
    return status;
}

sl_status cli_authority_sign(const struct cli_authority *authority, const struct cli_certificate *wanted,
                             sl_error *error)
{
    const struct extension extensions[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, wanted->uses},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid"},
        {NID_subject_alt_name, wanted->hosts},
    };
    char path[FILE_MAX];
    EVP_PKEY *key;
    X509 *certificate;
    path_in(authority->directory, wanted->name, ".pem", path);
    bool made = make(authority, wanted->name, SIGNED_DAYS, extensions, sizeof extensions / sizeof *extensions,
                     &key, &certificate);
    sl_status status = made ? write_pem(path, key, certificate, 0600, error) : fail_openssl(error, path);
    EVP_PKEY_free(key);
    X509_free(certificate);
    return status;
}

void cli_authority_close(struct cli_authority **handle)
{
    struct cli_authority *authority = *handle;
    *handle = NULL;
    if (!authority)
        return;
    EVP_PKEY_free(authority->key);
    X509_free(authority->certificate);
    free(authority);
}
