/* A layer's Kafka endpoint, for programs that speak Kafka by themselves. */
#include <stdlib.h>
#include <streamlayer/endpoint.h>

#include "base/error.h"
#include "client/client.h"
#include "wire/hrn.h"

struct sl_layer_endpoint {
    struct sl_endpoint said;
};

sl_status sl_layer_endpoint_get(sl_client *client, const char *hrn, const char *layer, sl_layer_use use,
                                sl_layer_endpoint **endpoint, sl_error *error)
{
    static const char *const sides[] = {
        [SL_USE_ANY] = NULL, [SL_USE_READ] = "consumer", [SL_USE_WRITE] = "producer"};
    sl_status status = sl_client_check(client, error);
    if (status)
        return status;
    if (!endpoint)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_layer_endpoint_get: endpoint is NULL");
    *endpoint = NULL;
    if (use < SL_USE_ANY || use > SL_USE_WRITE)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_layer_endpoint_get: use is no sl_layer_use");
    if ((status = sl_hrn_check(hrn, error)))
        return status;
    sl_layer_endpoint *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    status = sl_client_endpoint(client, hrn, layer, sides[use], &made->said, error);
    if (status)
        free(made);
    else
        *endpoint = made;
    return status;
}

void sl_layer_endpoint_destroy(sl_layer_endpoint **endpoint)
{
    if (!endpoint || !*endpoint)
        return;
    sl_endpoint_free(&(*endpoint)->said);
    free(*endpoint);
    *endpoint = NULL;
}

const char *sl_layer_endpoint_topic(const sl_layer_endpoint *endpoint)
{
    return endpoint ? endpoint->said.topic : NULL;
}

const char *sl_layer_endpoint_brokers(const sl_layer_endpoint *endpoint)
{
    return endpoint ? endpoint->said.brokers : NULL;
}

const char *sl_layer_endpoint_client_id(const sl_layer_endpoint *endpoint)
{
    return endpoint ? endpoint->said.client_id : NULL;
}

const char *sl_layer_endpoint_group_prefix(const sl_layer_endpoint *endpoint)
{
    return endpoint ? endpoint->said.group_prefix : NULL;
}

const char *sl_layer_endpoint_security(const sl_layer_endpoint *endpoint)
{
    if (!endpoint)
        return NULL;
    return endpoint->said.security_protocol ? endpoint->said.security_protocol : "plaintext";
}

const char *sl_layer_endpoint_mechanism(const sl_layer_endpoint *endpoint)
{
    return endpoint ? endpoint->said.sasl_mechanism : NULL;
}

const char *sl_layer_endpoint_ca(const sl_layer_endpoint *endpoint)
{
    return endpoint ? endpoint->said.ca_pem : NULL;
}

int64_t sl_layer_endpoint_ttl_ms(const sl_layer_endpoint *endpoint)
{
    return endpoint ? endpoint->said.ttl_ms : 0;
}
