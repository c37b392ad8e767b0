/*
 * TLS of the listening socket: libmicrohttpd speaks it, with GnuTLS; certificate, key, CA and what is asked
 * of clients are ours to give to each connection before its handshake, so that others may be put in their
 * place while connections are open.
 */
#ifndef GW_HTTP_TLS_H
#define GW_HTTP_TLS_H

#include "base/log.h"
#include "gateway/faults.h"
#include "gateway/http/server.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#define GW_TLS_SUBJECT_MAX 512 /* bytes of a client's name, NUL included; a longer one is cut */

/* What connections begin with. Immutable, but for the key of session tickets, which is renewed by itself.
 * Counted: each connection holds one, and each loop the one that is in force. Any thread. */
struct gw_tls;

/* Reads and checks all files. Errors: SL_BAD_CONFIG (they name the setting, the file, what is wrong with it
 * and how to mend it), SL_OUT_OF_MEMORY. Warns of a certificate that has expired, or is about to. */
sl_status gw_tls_load(const struct gw_tls_settings *settings, const struct sl_log *log, struct gw_tls **out,
                      sl_error *error);
/* Tells everything that is wrong with the files; without a server. */
void gw_tls_check(const struct gw_tls_settings *settings, const struct sl_log *log, struct gw_faults *faults);
struct gw_tls *gw_tls_link(struct gw_tls *tls);
void gw_tls_unlink(struct gw_tls **link); /* NULL-safe */

/* When the certificate, or one of its chain, ends: seconds since 1970. */
int64_t gw_tls_not_after(const struct gw_tls *tls);

/* Prepares a session that has not begun; tls must be linked as long as it lives. false: it cannot be served.
 */
bool gw_tls_begin(struct gw_tls *tls, gnutls_session_t session);

/* Whether nobody passes who shows no certificate. */
bool gw_tls_requires_certificate(const struct gw_tls *tls);
/* Tells the client why its handshake is about to fail. */
void gw_tls_alert(gnutls_session_t session, gnutls_alert_description_t why);
/* The subject of the certificate that the client has shown and that was verified, as RFC 4514 writes it, one
 * line of UTF-8; false: it has shown none. */
bool gw_tls_subject(gnutls_session_t session, char out[GW_TLS_SUBJECT_MAX]);

/* What libmicrohttpd wants for its own credentials: refuses. They are never used. */
int gw_tls_no_certificate(gnutls_session_t session, const gnutls_datum_t *names, int count,
                          const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                          gnutls_pcert_st **certificates, unsigned *certificate_count, gnutls_privkey_t *key);

#endif
