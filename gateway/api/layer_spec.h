/* A layer as config v1 writes it, checked. */
#ifndef GW_API_LAYER_SPEC_H
#define GW_API_LAYER_SPEC_H

#include "gateway/store/catalogs.h"

/* Reads value into *spec, whose strings are value's; what is absent gets its default. Errors:
 * SL_INVALID_ARGUMENT, whose text names the field, what is allowed and what was there. */
sl_status gw_layer_spec_read(const json_t *value, bool marketplace, struct gw_layer_spec *spec,
                             sl_error *error);

#endif
