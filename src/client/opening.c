/* What a connector is opened on: the endpoint and the pass-through settings, where it is a direct one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "client/client.h"
#include "wire/hrn.h"

static bool add_property(void *opaque, const char *name, const char *value, const char *origin)
{
    struct sl_opening *opening = opaque;
    struct sl_property *properties =
        realloc(opening->properties, (opening->target.property_count + 1) * sizeof *properties);
    if (!properties)
        return !(opening->failed = true);
    opening->properties = properties;
    struct sl_property *property = &properties[opening->target.property_count++];
    *property = (struct sl_property){sl_strdup(name), sl_strdup(value), sl_strdup(origin)};
    opening->failed = !property->name || !property->value;
    return !opening->failed;
}

/* What only direct connectors need. */
static sl_status prepare_direct(struct sl_opening *opening, struct sl_client *client, const char *side,
                                sl_error *error)
{
    char *path = sl_printf(SL_ROOT "stream.kafka.%s", side);
    sl_status status =
        path ? sl_config_section(client->config, path, add_property, opening) : sl_error_oom(error);
    free(path);
    if (!status && opening->failed)
        status = sl_error_oom(error);
    int64_t connect_ms = 0;
    if (!status)
        status =
            sl_config_duration_ms(client->config, SL_ROOT "stream.kafka.connect-timeout", &connect_ms, error);
    opening->target.connect_timeout_ms = (int)connect_ms;
    if (!status)
        status = sl_client_endpoint(client, opening->target.hrn, opening->target.layer, side,
                                    &opening->endpoint, error);
    opening->target.endpoint = &opening->endpoint;
    opening->target.properties = opening->properties;
    return status;
}

/* The gateway would refuse it, too, and on a secured cluster Kafka: here it is told which setting to change.
 */
static sl_status refuse_marketplace(const struct sl_target *target, sl_error *error)
{
    return sl_error_set(
        error, SL_FORBIDDEN,
        "catalog %.300s is on the Marketplace: its consumption is counted, so it is read through the "
        "http-connector only: set " SL_ROOT
        "stream.connector.consumer = \"http-connector\", or, for its layers "
        "alone, " SL_ROOT "stream.layers.\"%.300s\".\"*\".connector.consumer",
        target->hrn, target->hrn);
}

sl_status sl_opening_prepare(struct sl_opening *opening, struct sl_client *client,
                             const struct sl_connector *connector, const char *hrn, const char *layer,
                             const char *side, bool encoded, sl_error *error)
{
    memset(opening, 0, sizeof *opening);
    opening->target =
        (struct sl_target){.hrn = hrn, .layer = layer, .client = client, .facts = &opening->facts};
    sl_status status = sl_hrn_check(hrn, error);
    if (!status)
        status = sl_layer_id_check(layer, error);
    bool reads_directly = connector->direct && !strcmp(side, "consumer");
    if (!status && (encoded || reads_directly))
        status = sl_layer_facts_try(client, hrn, layer, &opening->facts, error);
    if (!status && reads_directly && opening->facts.marketplace)
        status = refuse_marketplace(&opening->target, error);
    if (!encoded)
        sl_layer_facts_free(&opening->facts); /* no more than that was asked of them */
    if (!status && connector->direct)
        status = prepare_direct(opening, client, side, error);
    if (status)
        sl_opening_free(opening);
    return status;
}

void sl_opening_explain(const struct sl_client *client, const struct sl_connector *connector,
                        sl_status status, sl_error *error)
{
    char *url = NULL, proxy[256];
    if (!error || !connector->direct || status != SL_UNAVAILABLE ||
        sl_config_lookup_url(client->config, &url, NULL))
        return;
    if (sl_http_proxy_of(client->http, url, proxy, sizeof proxy)) {
        size_t length = strlen(error->text), room = sizeof error->text - length;
        int added =
            snprintf(error->text + length, room,
                     "; HTTP goes through the proxy %s here, which Direct Kafka does not pass", proxy);
        if (added < 0 || (size_t)added >= room) /* half of it says nothing */
            error->text[length] = 0;
    }
    free(url);
}

void sl_opening_free(struct sl_opening *opening)
{
    for (size_t i = 0; i < opening->target.property_count; i++) {
        free((char *)(uintptr_t)opening->properties[i].name);
        char *value = (char *)(uintptr_t)opening->properties[i].value;
        sl_secret_free(&value); /* it may be sasl.password's */
        free((char *)(uintptr_t)opening->properties[i].origin);
    }
    free(opening->properties);
    sl_endpoint_free(&opening->endpoint);
    sl_layer_facts_free(&opening->facts);
    memset(opening, 0, sizeof *opening);
}
