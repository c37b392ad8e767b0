/*
 * The secured Kafka of `streamlayer up --secure`: who may connect, and as whom. Applications come to CLIENTS
 * with the gateway's tokens; the broker itself and the gateway to INTERNAL, with certificates.
 */
#ifndef CLI_KAFKA_SECURE_H
#define CLI_KAFKA_SECURE_H

#include "base/buffer.h"
#include "kafka.h"

/* In the data directory; what is in it is the owner's only, but for ca.pem. */
#define CLI_KAFKA_TLS "kafka-tls"
/* The gateway's certificate there, and in its subject. */
#define CLI_KAFKA_GATEWAY "streamlayerd"

/* Whether the directory's Kafka is a secured one. */
bool cli_kafka_is_secured(const char *directory);
/* Makes what certificates there must be. CLI_OK, or an exit code. */
int cli_kafka_make_certificates(const struct cli_kafka *kafka);
/* The part of server.properties that says it all. */
void cli_kafka_secure_properties(const struct cli_kafka *kafka, struct sl_buffer *out);
/* Gives the gateway's principal the rights that it needs, as the administrator that the broker's certificate
 * is; again does no harm. CLI_OK, or an exit code. */
int cli_kafka_grant_gateway(const struct cli_kafka *kafka);

#endif
