/*
 * A layer's Kafka side, for programs that speak Kafka by themselves: Flink, Connect, kcat. Producers and
 * consumers of this library ask for it on their own.
 *
 * Whoever uses it shows the application's bearer token (sl_client_token) to brokers that want OAUTHBEARER,
 * and begins the names of consumer groups and of transactions with the group prefix. docs/protocol.md, "A
 * message as a Kafka record", tells what the records are.
 */
#ifndef STREAMLAYER_ENDPOINT_H
#define STREAMLAYER_ENDPOINT_H

#include <stdint.h>
#include <streamlayer/client.h>

SL_BEGIN_DECLS

typedef struct sl_layer_endpoint sl_layer_endpoint; /* where one layer is in Kafka */

/* What the layer is wanted for: the application needs the right to it. */
typedef enum sl_layer_use {
    SL_USE_ANY = 0, /* any right will do */
    SL_USE_READ,
    SL_USE_WRITE
} sl_layer_use;

/*
 * Asks the platform where a layer is in Kafka.
 *   Ownership: *endpoint is the caller's, who destroys it.
 *   Errors: SL_INVALID_ARGUMENT, SL_NOT_FOUND, SL_UNAUTHENTICATED, SL_FORBIDDEN (no right; or the catalog is
 *   on the Marketplace, which is reached over HTTP only), SL_UNAVAILABLE, SL_TIMED_OUT, SL_PROTOCOL,
 *   SL_OUT_OF_MEMORY.
 *   Threads: any; one returned object is used by one thread at a time.
 */
SL_API SL_MUST_CHECK sl_status sl_layer_endpoint_get(sl_client *client, const char *hrn, const char *layer,
                                                     sl_layer_use use, sl_layer_endpoint **endpoint,
                                                     sl_error *error);

/* Releases it and sets the pointer to NULL; *endpoint may be NULL. */
SL_API void sl_layer_endpoint_destroy(sl_layer_endpoint **endpoint);

/* What the platform says. Texts belong to the endpoint; those of NULL are NULL. */
SL_API const char *sl_layer_endpoint_topic(const sl_layer_endpoint *endpoint);
/* HOST:PORT[,HOST:PORT…], as Kafka's bootstrap.servers takes it. */
SL_API const char *sl_layer_endpoint_brokers(const sl_layer_endpoint *endpoint);
/* What the platform wants as client.id; "" for none. */
SL_API const char *sl_layer_endpoint_client_id(const sl_layer_endpoint *endpoint);
/* What the name of each of the application's consumer groups and transactions begins with; "" for nothing. */
SL_API const char *sl_layer_endpoint_group_prefix(const sl_layer_endpoint *endpoint);
/* "plaintext", "ssl", "sasl_plaintext" or "sasl_ssl". */
SL_API const char *sl_layer_endpoint_security(const sl_layer_endpoint *endpoint);
/* The SASL mechanism, such as "OAUTHBEARER"; NULL: none. */
SL_API const char *sl_layer_endpoint_mechanism(const sl_layer_endpoint *endpoint);
/* The certificates (PEM) that the brokers' are signed by; NULL: the system's. */
SL_API const char *sl_layer_endpoint_ca(const sl_layer_endpoint *endpoint);
/* How long the layer keeps messages, milliseconds; 0: the platform does not say. */
SL_API int64_t sl_layer_endpoint_ttl_ms(const sl_layer_endpoint *endpoint);

SL_END_DECLS

#endif
