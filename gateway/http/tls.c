#include "gateway/http/tls.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX        ((off_t)1 << 20) /* bytes; a system's whole list of CAs is a fifth of it */
#define CHAIN_MAX       16               /* certificates */
#define TICKET_KEY_MS   (24LL * 3600 * 1000)
#define TICKET_LIFE_S   (12 * 3600)
#define EXPIRY_WARNED_S (14LL * 24 * 3600)
#define PRIVATE_KEY     "PRIVATE KEY-----"

/* Forward secrecy and authenticated encryption only: what every client of the last ten years has. */
#define PRIORITY                                                                                             \
    "NORMAL:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:+AES-256-GCM:+AES-128-GCM:+CHACHA20-POLY1305"        \
    ":-MAC-ALL:+AEAD:%SERVER_PRECEDENCE:-VERS-ALL:+VERS-TLS1.3"

struct gw_tls {
    atomic_uint links;
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
    enum gw_client_certificates clients;
    int64_t not_after;
    pthread_mutex_t lock; /* taken once a connection, for the rest */
    gnutls_datum_t ticket_key;
    int64_t ticket_key_ms; /* sl_mono_ms() when it was made */
};

/* A setting's file as it is being looked at. */
struct source {
    const char *name; /* the setting, and where it is set */
    const char *file;
    gnutls_datum_t bytes;
};

static sl_status refuse(const struct source *source, sl_error *error, const char *text)
{
    return sl_error_set(error, SL_BAD_CONFIG, "%s = %.400s: %s", source->name, source->file, text);
}

/* Nobody else may read a key; its group may when it is root's file, as Debian's ssl-cert has it. */
static bool is_private(const struct stat *about)
{
    return !(about->st_mode & (about->st_uid ? S_IRWXG | S_IRWXO : S_IWGRP | S_IXGRP | S_IRWXO));
}

static sl_status read_all(int fd, struct source *source, size_t size, sl_error *error)
{
    source->bytes.data = sl_hidden_alloc(size + 1);
    if (!source->bytes.data)
        return sl_error_oom(error);
    for (;;) {
        ssize_t got = read(fd, source->bytes.data + source->bytes.size, size - source->bytes.size);
        if (got < 0 && errno != EINTR)
            return refuse(source, error, sl_errno_text(errno));
        if (got == 0 || (got > 0 && (source->bytes.size += (unsigned)got) == size))
            break;
    }
    return SL_OK;
}

static bool holds(const struct source *source, const char *text)
{
    return memmem(source->bytes.data, source->bytes.size, text, strlen(text)) != NULL;
}

static sl_status read_source(struct source *source, bool secret, sl_error *error)
{
    /* Without O_NONBLOCK, opening a pipe that nobody writes to waits for ever. */
    int fd = open(source->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat about;
    sl_status status;
    if (fd < 0 || fstat(fd, &about))
        status = sl_error_set(error, SL_BAD_CONFIG,
                              "%s = %.400s: cannot be read: %s; name a file in PEM that "
                              "the gateway's user may read",
                              source->name, source->file, sl_errno_text(errno));
    else if (!S_ISREG(about.st_mode))
        status = refuse(source, error, "that is not a file; name one in PEM");
    else if (about.st_size > FILE_MAX)
        status = refuse(source, error, "the file is over 1 MiB: that is no key or certificate");
    else
        status = read_all(fd, source, (size_t)about.st_size, error);
    /* What is no key has another fault. */
    if (!status && secret && !is_private(&about) && holds(source, PRIVATE_KEY))
        status = sl_error_set(error, SL_BAD_CONFIG,
                              "%s = %.400s: others can read the private key: chmod 600 %.400s", source->name,
                              source->file, source->file);
    if (fd >= 0)
        close(fd);
    return status;
}

static void source_free(struct source *source)
{
    char *bytes = (char *)source->bytes.data;
    sl_hidden_free(&bytes);
    source->bytes = (gnutls_datum_t){0};
}

/* Of the whole chain the one that ends first. */
static void find_end(struct gw_tls *tls, gnutls_x509_crt_t *chain, unsigned count)
{
    tls->not_after = INT64_MAX;
    for (unsigned i = 0; i < count; i++) {
        int64_t end = gnutls_x509_crt_get_expiration_time(chain[i]);
        if (end < tls->not_after)
            tls->not_after = end;
    }
}

static void warn_of_times(const struct gw_tls *tls, const struct source *source, gnutls_x509_crt_t first,
                          const struct sl_log *log)
{
    int64_t now = sl_wall_ms() / 1000;
    time_t end = (time_t)tls->not_after;
    struct tm parts;
    char when[40] = "";
    if (!gmtime_r(&end, &parts) || !strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &parts))
        return;
    if (tls->not_after <= now)
        SL_WARNING(log,
                   "%s = %s: the certificate, or one of its chain, has expired (%s): clients will refuse it",
                   source->name, source->file, when);
    else if (tls->not_after - now < EXPIRY_WARNED_S)
        SL_WARNING(log, "%s = %s: the certificate, or one of its chain, expires soon (%s)", source->name,
                   source->file, when);
    if (gnutls_x509_crt_get_activation_time(first) > now)
        SL_WARNING(log, "%s = %s: the certificate is not valid yet", source->name, source->file);
}

static sl_status look_at_chain(struct gw_tls *tls, const struct source *source, const struct sl_log *log,
                               sl_error *error)
{
    gnutls_x509_crt_t chain[CHAIN_MAX];
    unsigned count = CHAIN_MAX;
    int code = gnutls_x509_crt_list_import(chain, &count, &source->bytes, GNUTLS_X509_FMT_PEM,
                                           GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    if (code == GNUTLS_E_SHORT_MEMORY_BUFFER)
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s = %.400s: there are more than %d certificates in it: put the gateway's own "
                            "there and the intermediate ones below it, not a list of CAs",
                            source->name, source->file, CHAIN_MAX);
    if (code <= 0)
        return refuse(
            source, error,
            "there is no certificate in it (PEM: -----BEGIN CERTIFICATE-----); put the gateway's own "
            "first, then the intermediate ones");
    find_end(tls, chain, count);
    if (log)
        warn_of_times(tls, source, chain[0], log);
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(chain[i]);
    return SL_OK;
}

/* What is wrong with the key: said of the file that it is in. */
static sl_status refuse_key(const struct source *certificate, const struct source *key, int code,
                            sl_error *error)
{
    bool alone = key != certificate;
    if (code == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return sl_error_set(
            error, SL_BAD_CONFIG,
            "%s = %.400s: the private key is not that of the %scertificate%s%.400s%s: name the "
            "two that were made together",
            key->name, key->file, alone ? "" : "first ", alone ? " in " : "", alone ? certificate->file : "",
            alone ? "" : " in it");
    if (holds(key, "ENCRYPTED"))
        return sl_error_set(
            error, SL_BAD_CONFIG,
            "%s = %.400s: the private key is encrypted, and the gateway has nobody to ask for "
            "its password: write it without one (openssl pkey -in FILE -out NEW) and chmod 600",
            key->name, key->file);
    if (!holds(key, PRIVATE_KEY))
        return sl_error_set(
            error, SL_BAD_CONFIG,
            "%s = %.400s: there is no private key in it (PEM: -----BEGIN "
            "PRIVATE KEY-----)%s",
            key->name, key->file,
            alone ? "" : "; one in a file of its own is named by streamlayer.gateway.listen.tls.key");
    return sl_error_set(error, SL_BAD_CONFIG, "%s = %.400s: the private key cannot be used: %s", key->name,
                        key->file, gnutls_strerror(code));
}

static sl_status load_pair(struct gw_tls *tls, const struct gw_tls_settings *settings,
                           const struct sl_log *log, sl_error *error)
{
    struct source certificate = {settings->certificate_name, settings->certificate, {0}};
    struct source own_key = {settings->key_name, settings->key, {0}};
    struct source *key = settings->key ? &own_key : &certificate;
    sl_status status = read_source(&certificate, !settings->key, error);
    if (!status)
        status = look_at_chain(tls, &certificate, log, error);
    if (!status && settings->key)
        status = read_source(&own_key, true, error);
    if (!status) {
        int code = gnutls_certificate_set_x509_key_mem2(tls->credentials, &certificate.bytes, &key->bytes,
                                                        GNUTLS_X509_FMT_PEM, NULL, 0);
        if (code == GNUTLS_E_MEMORY_ERROR)
            status = sl_error_oom(error);
        else if (code < 0)
            status = refuse_key(&certificate, key, code, error);
    }
    source_free(&certificate);
    source_free(&own_key);
    return status;
}

static sl_status load_client_ca(struct gw_tls *tls, const struct gw_tls_settings *settings, sl_error *error)
{
    struct source source = {settings->client_ca_name, settings->client_ca, {0}};
    if (!settings->client_ca)
        return SL_OK;
    sl_status status = read_source(&source, false, error);
    if (!status &&
        gnutls_certificate_set_x509_trust_mem(tls->credentials, &source.bytes, GNUTLS_X509_FMT_PEM) <= 0)
        status =
            refuse(&source, error,
                   "there is no certificate in it (PEM: -----BEGIN CERTIFICATE-----); put the CA's there "
                   "whose clients may connect");
    source_free(&source);
    return status;
}

static sl_status load(struct gw_tls *tls, const struct gw_tls_settings *settings, const struct sl_log *log,
                      sl_error *error)
{
    if (gnutls_certificate_allocate_credentials(&tls->credentials) < 0 ||
        gnutls_session_ticket_key_generate(&tls->ticket_key) < 0)
        return sl_error_oom(error);
    tls->ticket_key_ms = sl_mono_ms();
    tls->clients = settings->clients;
    int code = gnutls_priority_init(&tls->priority,
                                    settings->at_least_1_3 ? PRIORITY : PRIORITY ":+VERS-TLS1.2", NULL);
    if (code < 0)
        return sl_error_set(error, SL_INTERNAL, "GnuTLS: %s", gnutls_strerror(code));
    sl_status status = load_pair(tls, settings, log, error);
    return status ? status : load_client_ca(tls, settings, error);
}

sl_status gw_tls_load(const struct gw_tls_settings *settings, const struct sl_log *log, struct gw_tls **out,
                      sl_error *error)
{
    *out = NULL;
    struct gw_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return sl_error_oom(error);
    atomic_init(&tls->links, 1);
    pthread_mutex_init(&tls->lock, NULL);
    sl_status status = load(tls, settings, log, error);
    if (status)
        gw_tls_unlink(&tls);
    *out = tls;
    return status;
}

/* Tells what is wrong with the certificate by itself. */
static bool check_chain(struct gw_tls *tls, const struct gw_tls_settings *settings, struct gw_faults *faults)
{
    sl_error error = {0};
    struct source source = {settings->certificate_name, settings->certificate, {0}};
    sl_status status = read_source(&source, !settings->key, &error);
    if (!status)
        status = look_at_chain(tls, &source, NULL, &error);
    gw_fault(faults, status, &error);
    source_free(&source);
    return !status;
}

/* The same of the key that is in a file of its own. */
static bool check_key(const struct gw_tls_settings *settings, struct gw_faults *faults)
{
    sl_error error = {0};
    struct source source = {settings->key_name, settings->key, {0}};
    const struct source certificate = {settings->certificate_name, settings->certificate, {0}};
    gnutls_x509_privkey_t key = NULL;
    sl_status status = read_source(&source, true, &error);
    int code = status ? 0 : gnutls_x509_privkey_init(&key);
    if (!status && code >= 0)
        code = gnutls_x509_privkey_import2(key, &source.bytes, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (code < 0)
        status = refuse_key(&certificate, &source, code, &error);
    if (key)
        gnutls_x509_privkey_deinit(key);
    gw_fault(faults, status, &error);
    source_free(&source);
    return !status;
}

void gw_tls_check(const struct gw_tls_settings *settings, const struct sl_log *log, struct gw_faults *faults)
{
    sl_error error = {0};
    struct gw_tls tls = {0};
    bool good = check_chain(&tls, settings, faults);
    if (settings->key)
        good = check_key(settings, faults) && good;
    if (gnutls_certificate_allocate_credentials(&tls.credentials) < 0) {
        gw_fault(faults, sl_error_oom(&error), &error);
        return;
    }
    if (good)
        gw_fault(faults, load_pair(&tls, settings, log, &error), &error);
    gw_fault(faults, load_client_ca(&tls, settings, &error), &error);
    gnutls_certificate_free_credentials(tls.credentials);
}

struct gw_tls *gw_tls_link(struct gw_tls *tls)
{
    atomic_fetch_add_explicit(&tls->links, 1, memory_order_relaxed);
    return tls;
}

static void drop_ticket_key(gnutls_datum_t *key)
{
    if (key->data)
        explicit_bzero(key->data, key->size);
    gnutls_free(key->data);
    *key = (gnutls_datum_t){0};
}

void gw_tls_unlink(struct gw_tls **link)
{
    struct gw_tls *tls = *link;
    *link = NULL;
    if (!tls || atomic_fetch_sub_explicit(&tls->links, 1, memory_order_acq_rel) > 1)
        return;
    if (tls->credentials)
        gnutls_certificate_free_credentials(tls->credentials);
    if (tls->priority)
        gnutls_priority_deinit(tls->priority);
    drop_ticket_key(&tls->ticket_key);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
}

int64_t gw_tls_not_after(const struct gw_tls *tls)
{
    return tls->not_after;
}

bool gw_tls_requires_certificate(const struct gw_tls *tls)
{
    return tls->clients == GW_CLIENT_CERTIFICATES_REQUIRED;
}

void gw_tls_alert(gnutls_session_t session, gnutls_alert_description_t why)
{
    int sent = gnutls_alert_send(session, GNUTLS_AL_FATAL, why);
    (void)sent; /* the connection ends, whether the client hears of it or not */
}

static gnutls_alert_description_t alert_of(unsigned faults)
{
    if (faults & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA))
        return GNUTLS_A_UNKNOWN_CA;
    if (faults & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED))
        return GNUTLS_A_CERTIFICATE_EXPIRED;
    return faults & GNUTLS_CERT_PURPOSE_MISMATCH ? GNUTLS_A_UNSUPPORTED_CERTIFICATE
                                                 : GNUTLS_A_BAD_CERTIFICATE;
}

/* Without one that can be verified nobody passes who must show one; who shows one that cannot be does not
 * pass either where it is optional. */
static int verify_client(gnutls_session_t session)
{
    static char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st wanted = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)purpose, .size = 0};
    unsigned count = 0, faults = 0;
    if (!gnutls_certificate_get_peers(session, &count) || !count)
        return 0; /* where one is required GnuTLS has refused already */
    if (!gnutls_certificate_verify_peers(session, &wanted, 1, &faults) && !faults)
        return 0;
    gw_tls_alert(session, alert_of(faults));
    return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

/* Tickets let a client that comes back leave out the costly half of the handshake, whichever loop it meets.
 * Who got hold of their key could read connections of TLS 1.2 that were resumed: so a key is used for a day.
 */
static bool give_tickets(struct gw_tls *tls, gnutls_session_t session)
{
    int64_t now = sl_mono_ms();
    pthread_mutex_lock(&tls->lock);
    gnutls_datum_t fresh = {0};
    if (now - tls->ticket_key_ms >= TICKET_KEY_MS && gnutls_session_ticket_key_generate(&fresh) >= 0) {
        drop_ticket_key(&tls->ticket_key);
        tls->ticket_key = fresh;
        tls->ticket_key_ms = now;
    }
    bool given = gnutls_session_ticket_enable_server(session, &tls->ticket_key) >= 0; /* copies it */
    pthread_mutex_unlock(&tls->lock);
    gnutls_db_set_cache_expiration(session, TICKET_LIFE_S);
    return given;
}

bool gw_tls_begin(struct gw_tls *tls, gnutls_session_t session)
{
    if (gnutls_priority_set(session, tls->priority) < 0 || !give_tickets(tls, session))
        return false;
    if (tls->clients != GW_CLIENT_CERTIFICATES_NONE) {
        gnutls_certificate_server_set_request(session, tls->clients == GW_CLIENT_CERTIFICATES_REQUIRED
                                                           ? GNUTLS_CERT_REQUIRE
                                                           : GNUTLS_CERT_REQUEST);
        gnutls_session_set_verify_function(session, verify_client);
    }
    /* The last step, so that a session that was refused does not point to what may go. */
    return gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, tls->credentials) >= 0;
}

bool gw_tls_subject(gnutls_session_t session, char out[GW_TLS_SUBJECT_MAX])
{
    unsigned count = 0;
    const gnutls_datum_t *shown = gnutls_certificate_get_peers(session, &count);
    gnutls_x509_crt_t certificate;
    gnutls_datum_t name = {0};
    if (!shown || !count || gnutls_x509_crt_init(&certificate) < 0)
        return false;
    bool good = gnutls_x509_crt_import(certificate, shown, GNUTLS_X509_FMT_DER) >= 0 &&
                gnutls_x509_crt_get_dn3(certificate, &name, 0) >= 0;
    gnutls_x509_crt_deinit(certificate);
    if (good) {
        size_t size = name.size < GW_TLS_SUBJECT_MAX - 1 ? name.size : GW_TLS_SUBJECT_MAX - 1;
        memcpy(out, name.data, size);
        out[size] = 0;
        sl_clean_line(out);
    }
    gnutls_free(name.data);
    return good;
}

int gw_tls_no_certificate(gnutls_session_t session, const gnutls_datum_t *names, int count,
                          const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                          gnutls_pcert_st **certificates, unsigned *certificate_count, gnutls_privkey_t *key)
{
    (void)session, (void)names, (void)count, (void)algorithms, (void)algorithm_count;
    (void)certificates, (void)certificate_count, (void)key;
    return -1;
}
