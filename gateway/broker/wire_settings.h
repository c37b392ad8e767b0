/*
 * How the gateway's own Kafka client (wire_link.h) reaches a cluster: by the same settings of librdkafka's as
 * all else that the gateway does with it, as far as it knows them.
 */
#ifndef GW_BROKER_WIRE_SETTINGS_H
#define GW_BROKER_WIRE_SETTINGS_H

#include "gateway/broker/internal.h"

/* Texts as librdkafka has them; NULL: not set. */
struct gw_wire_settings {
    char *client_id;
    bool tls, sasl;
    char *mechanism, *username, *password;
    char *ca_location, *ca_pem, *certificate_location, *certificate_pem, *key_location, *key_pem,
        *key_password;
    char *ciphers, *curves, *signatures;
    bool verifies, checks_names; /* the brokers' certificates, and that they are for their names */
};

/* To be freed whether it succeeds or not. Errors: SL_BAD_CONFIG (something is set that this client cannot do,
 * named), SL_OUT_OF_MEMORY. */
sl_status gw_wire_settings_read(const struct gw_broker *broker, struct gw_wire_settings *settings,
                                sl_error *error);
void gw_wire_settings_free(struct gw_wire_settings *settings);

#endif
