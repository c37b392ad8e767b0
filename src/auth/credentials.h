/* Inside auth: the credentials that a configuration leads to. */
#ifndef SL_AUTH_CREDENTIALS_H
#define SL_AUTH_CREDENTIALS_H

#include "auth/credential_file.h"
#include "base/log.h"
#include <streamlayer/config.h>

enum sl_credentials_kind {
    SL_NO_CREDENTIALS,
    SL_GIVEN_TOKEN, /* a bearer token as it is */
    SL_ACCESS_KEY,  /* tokens are got with it, at token_url */
    SL_TOKEN_FILE   /* somebody else keeps a token in file */
};

struct sl_credentials {
    enum sl_credentials_kind kind;
    char *token;              /* SL_GIVEN_TOKEN: hidden (base/secret.h) */
    int64_t token_expires_ms; /* its, wall clock; 0: not known */
    char *client_id;          /* the application's, or NULL */
    char *key_id;             /* this and the next two: SL_ACCESS_KEY */
    char *key_secret;         /* hidden */
    char *token_url;
    char *scope; /* or NULL */
    char *
        source; /* where they come from, for people: "FILE [PROFILE], application ID"; NULL: there are none */

    char *file;                 /* that they were read from, or NULL */
    char *profile;              /* of an INI; NULL: "default" */
    struct sl_file_state state; /* of the file, when it was read */
    bool anybodys;              /* file is where anybody may put one: its owner must be trusted */
    const char *default_url;    /* the environment's token endpoint, for files that name none; or NULL */
};

/*
 * Of all the places that credentials may be in, the first that has some (docs/configuration.md).
 *   Ownership: the caller frees *credentials, after errors too.
 *   Errors: SL_BAD_CONFIG, SL_IO, SL_OUT_OF_MEMORY.
 */
sl_status sl_credentials_load(const sl_config *config, const struct sl_log *log,
                              struct sl_credentials *credentials, sl_error *error);
void sl_credentials_free(struct sl_credentials *credentials);

/*
 * Reads their file again where it is another now, or always. What it holds becomes *fresh, of kind
 * SL_NO_CREDENTIALS when there is nothing to read anew. *state: the file's, after some errors too.
 */
sl_status sl_credentials_read_again(const struct sl_credentials *credentials, bool always,
                                    const struct sl_log *log, struct sl_file_state *state,
                                    struct sl_credentials *fresh, sl_error *error);
/* Whether both sign the same. */
bool sl_credentials_same(const struct sl_credentials *a, const struct sl_credentials *b);

/* Whether credentials can be loaded as config has them. *source (may be NULL): where from, released with
 * free; NULL: there are none, which is no error. Errors: as sl_credentials_load. */
sl_status sl_credentials_check(const sl_config *config, const struct sl_log *log, char **source,
                               sl_error *error);

#endif
