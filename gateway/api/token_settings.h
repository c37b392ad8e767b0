/* From the configuration to gw_tokens_open. */
#ifndef GW_API_TOKEN_SETTINGS_H
#define GW_API_TOKEN_SETTINGS_H

#include "gateway/api/tokens.h"
#include "gateway/gateway_internal.h"

/* Opens the gateway's tokens as its configuration says. Errors: SL_BAD_CONFIG, SL_IO, SL_OUT_OF_MEMORY. */
sl_status gw_tokens_open_configured(struct gateway *gateway, const struct gw_settings *settings,
                                    sl_error *error);
/* Whether keys sign for as long as they wait for it. Errors: SL_BAD_CONFIG. */
sl_status gw_token_times_check(const sl_config *config, const struct gw_token_times *times, sl_error *error);
/* Tells all that keeps it from it: files are read, nothing is made and nobody asked. Faults: SL_BAD_CONFIG,
 * SL_OUT_OF_MEMORY. */
void gw_tokens_check_config(const sl_config *config, struct gw_faults *faults);

#endif
