/* TLS for wire_link.h, by librdkafka's settings. */
#ifndef GW_BROKER_WIRE_TLS_H
#define GW_BROKER_WIRE_TLS_H

#include "gateway/broker/wire_settings.h"

#include <openssl/ssl.h>

/* The caller's, *out, whether it succeeds or not; settings have to outlive it. Errors: SL_BAD_CONFIG,
 * SL_OUT_OF_MEMORY. */
sl_status gw_wire_tls_context(const struct gw_broker *broker, const struct gw_wire_settings *settings,
                              SSL_CTX **out, sl_error *error);
/* Who the other end has to be, by the settings. */
bool gw_wire_tls_name(SSL *tls, const struct gw_wire_settings *settings, const char *host);
/* OpenSSL's first complaint on this thread, the cause of those that follow; it then forgets them. Never NULL.
 */
const char *gw_wire_tls_reason(void);

#endif
