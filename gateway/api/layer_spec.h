/* A layer as config v1 writes it, checked. */
#ifndef GW_API_LAYER_SPEC_H
#define GW_API_LAYER_SPEC_H

#include "gateway/store/catalogs.h"

#define GW_TTL_MIN_MS          600000L    /* 10 minutes */
#define GW_TTL_MAX_MS          259200000L /* 72 hours */
#define GW_PARALLELIZATION_MAX 32

/* Kafka's rule for the names of topics. */
#define GW_TOPIC_MAX 249
bool gw_topic_name_ok(const char *topic);

/* Reads value into *spec, whose strings are value's; what is absent gets its default. Errors:
 * SL_INVALID_ARGUMENT, whose text names the field, what is allowed and what was there. Of one that adopts a
 * topic, parallelization and ttl are 0 where they are absent. */
sl_status gw_layer_spec_read(const json_t *value, bool marketplace, struct gw_layer_spec *spec,
                             sl_error *error);

/* The same for a change of a layer: what is absent stays as it is. Strings are value's or the layer's. */
sl_status gw_layer_spec_change(const json_t *value, const struct gw_layer *layer, struct gw_layer_spec *spec,
                               sl_error *error);

#endif
