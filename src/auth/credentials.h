/* Inside auth: the credentials that a configuration leads to. */
#ifndef SL_AUTH_CREDENTIALS_H
#define SL_AUTH_CREDENTIALS_H

#include "base/log.h"
#include <streamlayer/config.h>

struct sl_credentials {
    char *token; /* a bearer token as it is; then there is nothing else */
    char *key_id;
    char *key_secret;
    char *token_url;
    char *scope;  /* or NULL */
    char *source; /* where they come from, for people; NULL: there are none */
};

/* The caller frees *credentials, after errors too. Errors: SL_BAD_CONFIG, SL_IO, SL_OUT_OF_MEMORY. */
sl_status sl_credentials_load(const sl_config *config, const struct sl_log *log,
                              struct sl_credentials *credentials, sl_error *error);
void sl_credentials_free(struct sl_credentials *credentials);

#endif
