/* Inside a client: what its options say. */
#ifndef SL_CLIENT_CLIENT_OPTIONS_H
#define SL_CLIENT_CLIENT_OPTIONS_H

#include "auth/auth.h"

/* Where tokens come from; *origin is the options', NULL where options are. Errors: SL_INVALID_HANDLE. */
sl_status sl_client_options_origin(const sl_client_options *options, const struct sl_token_origin **origin,
                                   sl_error *error);

#endif
