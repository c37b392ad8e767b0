/*
 * The gateway: HTTP in front of Kafka. A library, so that streamlayerd and `streamlayer up` run the same
 * thing. Settings: streamlayer.gateway.* (docs/configuration.md).
 */
#ifndef GW_GATEWAY_H
#define GW_GATEWAY_H

#include "base/log.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <streamlayer/config.h>

struct gateway;

/* Opens the stores in the data directory, connects to Kafka, listens. When it returns SL_OK requests are
 * served (readiness at /ready tells whether Kafka answers). config is copied. */
sl_status gw_start(const sl_config *config, const struct sl_log *log, struct gateway **out, sl_error *error);
/* The same by a process that is nothing but the gateway: when its port is bound, and certificate and key are
 * read, it becomes streamlayer.gateway.user, and gives up what else it may do beyond that. Also on errors.
 * Before there are other threads. */
sl_status gw_start_confined(const sl_config *config, const struct sl_log *log, struct gateway **out,
                            sl_error *error);

/*
 * Whether gw_start_confined would take the configuration, as far as can be told without listening, connecting
 * or making anything; the port is not tried, so that a gateway may run. tell is called for each fault, and
 * for what is only worth knowing. For a process that ends with it: it becomes the user that the gateway
 * becomes.
 */
typedef void (*gw_finding)(void *opaque, bool is_fault, const char *text);
bool gw_check(const sl_config *config, gw_finding tell, void *opaque);

/*
 * Applies a configuration that was loaded anew (and passed sl_config_check): the settings that a reload
 * applies (docs/configuration.md), and files that they name, which are read again. All of it or, when
 * something is wrong, nothing. What was changed is logged, and what was and needs a restart. config is
 * copied. Errors: SL_BAD_CONFIG, SL_OUT_OF_MEMORY. One thread at a time, no loop; it may block for a while.
 */
sl_status gw_reload(struct gateway *gateway, const sl_config *config, sl_error *error);

/* The access log's file anew, after it was moved away. It is no part of a reload, so that logs are rotated
 * while the configuration is wrong. Errors: SL_IO, which names the file: the old one is kept. Any thread. */
sl_status gw_reopen_access_log(struct gateway *gateway, sl_error *error);

/* Whether Kafka answers, as /ready tells. Blocks for up to 2 s. Errors: SL_UNAVAILABLE. */
sl_status gw_ready(struct gateway *gateway, sl_error *error);

/* Whether it speaks HTTPS, and nothing else. */
bool gw_speaks_tls(const struct gateway *gateway);

/* The port that it listens on. */
uint16_t gw_port(const struct gateway *gateway);

/* What its own tokens say (iss, aud), for who is to check them. The gateway's, as long as it runs. */
const char *gw_issuer(const struct gateway *gateway);
const char *gw_audience(const struct gateway *gateway);

/* Clean shutdown: no new connections, requests in flight are answered (up to grace_ms), subscriptions leave
 * their groups, what was acknowledged is in Kafka. Blocks; NULLs the pointer. */
void gw_stop(struct gateway **out, int grace_ms);

/* Writes a line for each route: its method, its pattern, and who may call it: "public", "any" application, or
 * the rights one of which it takes, "read,write". For tests and documents. False: it could not be written. */
bool gw_routes_print(FILE *out);

/*
 * An application and its key, for credentials.properties. Made in the store of a data directory (the gateway
 * need not run); the secret is stored so that signatures can be checked, in a file of mode 0600.
 */
struct gw_application {
    char id[64];         /* here.client.id; the prefix of its groups */
    char key_id[64];     /* here.access.key.id */
    char key_secret[96]; /* here.access.key.secret */
};
/* Finds the application of that name, or makes it. */
sl_status gw_application_ensure(const char *data_directory, const char *name,
                                struct gw_application *application, sl_error *error);

#endif
