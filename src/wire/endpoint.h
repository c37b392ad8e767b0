/* What the platform says of a layer's Kafka side (GET …/layers/{layer}/endpoint and its kin). */
#ifndef SL_WIRE_ENDPOINT_H
#define SL_WIRE_ENDPOINT_H

#include <jansson.h>
#include <stdint.h>
#include <streamlayer/error.h>

struct sl_endpoint {
    char *topic;
    char *client_id;
    char *group_prefix;      /* put before every group's name */
    char *brokers;           /* HOST:PORT[,HOST:PORT…], as librdkafka takes it */
    char *security_protocol; /* NULL: plaintext; Kafka's names, lower case ("sasl_ssl") */
    char *sasl_mechanism;    /* NULL: none */
    char *ca_pem;            /* NULL: the system's */
    int64_t ttl_ms;          /* ours: how long the layer keeps messages; 0: not known */
};

sl_status sl_endpoint_parse(const json_t *value, struct sl_endpoint *endpoint, sl_error *error);
json_t *sl_endpoint_json(const struct sl_endpoint *endpoint); /* NULL when memory is out */
void sl_endpoint_free(struct sl_endpoint *endpoint);          /* the members; the struct is the caller's */

#endif
