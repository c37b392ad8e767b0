/* The files of TLS, looked at before the first connection: a wrong one is told with its name and setting. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "net/engine.h"

struct inquiry {
    const struct sl_http_settings *settings;
    const struct sl_log *log;
    sl_error *error;
};

/* "SETTING = FILE: text" */
static sl_status refuse(const struct inquiry *inquiry, const char *setting, const char *file,
                        const char *text)
{
    ERR_clear_error();
    return sl_error_set(inquiry->error, SL_BAD_CONFIG, "%s%s%.400s: %s", setting ? setting : "",
                        setting ? " = " : "", file, text);
}

static sl_status open_file(const struct inquiry *inquiry, const char *setting, const char *name, FILE **file)
{
    struct stat stat;
    /* Without O_NONBLOCK, opening a pipe that nobody writes to waits for ever. */
    int descriptor = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
        return refuse(inquiry, setting, name, sl_errno_text(errno));
    bool regular = !fstat(descriptor, &stat) && S_ISREG(stat.st_mode);
    *file = regular ? fdopen(descriptor, "r") : NULL;
    if (*file)
        return SL_OK;
    const char *why = regular ? sl_errno_text(errno) : "that is not a file";
    (void)close(descriptor);
    return refuse(inquiry, setting, name, why);
}

static sl_status check_ca_file(const struct inquiry *inquiry)
{
    const char *setting = inquiry->settings->names.ca_file, *name = inquiry->settings->tls.ca_file;
    FILE *file;
    sl_status status = open_file(inquiry, setting, name, &file);
    if (status)
        return status;
    X509 *certificate = PEM_read_X509_AUX(file, NULL, NULL, NULL);
    fclose(file);
    if (!certificate)
        return refuse(inquiry, setting, name,
                      "there is no certificate in it (PEM: -----BEGIN CERTIFICATE-----)");
    X509_free(certificate);
    return SL_OK;
}

static sl_status read_certificate(const struct inquiry *inquiry, X509 **certificate)
{
    const char *setting = inquiry->settings->names.certificate_file;
    const char *name = inquiry->settings->tls.certificate_file;
    FILE *file;
    sl_status status = open_file(inquiry, setting, name, &file);
    if (status)
        return status;
    *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    if (!*certificate)
        return refuse(inquiry, setting, name,
                      "there is no certificate in it (PEM: -----BEGIN CERTIFICATE-----)");
    const char *fault =
        X509_cmp_current_time(X509_get0_notAfter(*certificate)) < 0    ? "the certificate has expired"
        : X509_cmp_current_time(X509_get0_notBefore(*certificate)) > 0 ? "the certificate is not valid yet"
                                                                       : NULL;
    return fault ? refuse(inquiry, setting, name, fault) : SL_OK;
}

struct password {
    const char *text;
    bool asked;
};

static int give_password(char *out, int size, int writing, void *opaque)
{
    struct password *password = opaque;
    (void)writing;
    password->asked = true;
    size_t length = password->text ? strlen(password->text) : 0;
    if (!password->text || length > (size_t)size)
        return -1;
    memcpy(out, password->text, length);
    return (int)length;
}

static void warn_of_readers(const struct inquiry *inquiry, const char *name)
{
    struct stat found;
    if (inquiry->log && !stat(name, &found) && (found.st_mode & (S_IRGRP | S_IROTH)))
        SL_WARNING(inquiry->log, "others can read the private key %s: chmod 600 it", name);
}

static sl_status check_key(const struct inquiry *inquiry, X509 *certificate)
{
    const struct sl_http_tls *tls = &inquiry->settings->tls;
    const struct sl_http_names *names = &inquiry->settings->names;
    const char *setting = tls->key_file ? names->key_file : names->certificate_file;
    const char *name = tls->key_file ? tls->key_file : tls->certificate_file;
    struct password password = {.text = tls->key_password};
    FILE *file;
    sl_status status = open_file(inquiry, setting, name, &file);
    if (status)
        return status;
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, give_password, &password);
    fclose(file);
    if (!key) {
        char text[400];
        const char *set = names->key_password ? names->key_password : "its password";
        if (password.asked && password.text)
            snprintf(text, sizeof text, "the password of %s does not open the private key", set);
        else if (password.asked)
            snprintf(text, sizeof text, "the private key is encrypted: set %s", set);
        else
            snprintf(text, sizeof text, "there is no private key in it (PEM)%s%s",
                     tls->key_file || !names->key_file ? "" : "; one in a file of its own is named by ",
                     tls->key_file || !names->key_file ? "" : names->key_file);
        return refuse(inquiry, setting, name, text);
    }
    bool fits = X509_check_private_key(certificate, key) == 1;
    EVP_PKEY_free(key);
    if (!fits) {
        char text[500];
        snprintf(text, sizeof text, "the private key is not that of the certificate %.400s",
                 tls->certificate_file);
        return refuse(inquiry, setting, name, text);
    }
    warn_of_readers(inquiry, name);
    return SL_OK;
}

sl_status sl_tls_check(const struct sl_http_settings *settings, const struct sl_log *log, sl_error *error)
{
    const struct inquiry inquiry = {settings, log, error};
    const struct sl_http_tls *tls = &settings->tls;
    const struct sl_http_names *names = &settings->names;
    sl_status status = tls->ca_file ? check_ca_file(&inquiry) : SL_OK;
    if (status)
        return status;
    if (!tls->certificate_file) {
        const char *alone = tls->key_file ? names->key_file : names->key_password;
        const char *missing = names->certificate_file;
        return tls->key_file || tls->key_password
                   ? sl_error_set(error, SL_BAD_CONFIG, "%s is set, but no %s",
                                  alone ? alone : "a private key", missing ? missing : "certificate")
                   : SL_OK;
    }
    X509 *certificate = NULL;
    status = read_certificate(&inquiry, &certificate);
    if (!status)
        status = check_key(&inquiry, certificate);
    X509_free(certificate);
    ERR_clear_error();
    return status;
}
