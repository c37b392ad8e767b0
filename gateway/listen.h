/* The settings of the listening socket: address, TLS, which web pages may call, whose word on clients counts.
 */
#ifndef GW_LISTEN_H
#define GW_LISTEN_H

#include "gateway/faults.h"
#include "gateway/http/server.h"

#include <streamlayer/config.h>

/* What gw_server_settings points to until the server has begun; it lives as long as the configuration. */
struct gw_listen {
    bool secure;
    struct gw_tls_settings tls;
    char *tls_names[3]; /* the settings' names in tls */
    struct gw_cors cors;
    struct gw_networks trusted_proxies;
};

/* Reads the settings, and checks that they go together and that plain HTTP stays on this machine; the files
 * of TLS are not looked at. listen is zeroed before, and freed by gw_listen_free also after a failure.
 * Errors: SL_BAD_CONFIG (with the settings' origin), SL_OUT_OF_MEMORY. */
sl_status gw_listen_read(const sl_config *config, struct gw_listen *listen, sl_error *error);
/* The same, and tells everything that is wrong with them. */
void gw_listen_check(const sl_config *config, struct gw_listen *listen, struct gw_faults *faults);
void gw_listen_free(struct gw_listen *listen);

/* Points the server's settings to them. */
void gw_listen_apply(const struct gw_listen *listen, struct gw_server_settings *settings);

#endif
