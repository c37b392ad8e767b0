/* Certificates for a cluster on one machine: an authority that is made once, and what it signs. P-256. */
#ifndef CLI_CERTIFICATES_H
#define CLI_CERTIFICATES_H

#include <stdbool.h>
#include <streamlayer/error.h>

struct cli_authority;

struct cli_certificate {
    const char *name; /* its subject, CN=NAME; key and certificate go to NAME.pem */
    const char
        *hosts;       /* whom it is for, in OpenSSL's words ("IP:127.0.0.1,DNS:localhost"); NULL: no server */
    const char *uses; /* "serverAuth,clientAuth" */
};

/*
 * Opens the authority in a directory (ca.pem, and ca.key, which only its owner can read), or makes it, and
 * the directory; made anew, too, when it would end before what it signs. Errors: SL_IO (the text says how to
 * mend it), SL_OUT_OF_MEMORY.
 */
sl_status cli_authority_open(const char *directory, struct cli_authority **out, sl_error *error);
/* Makes a key and its certificate, which begins now and ends after two years. Errors: SL_IO,
 * SL_OUT_OF_MEMORY. */
sl_status cli_authority_sign(const struct cli_authority *authority, const struct cli_certificate *wanted,
                             sl_error *error);
void cli_authority_close(struct cli_authority **handle);

/* Whether the directory has an authority. */
bool cli_authority_exists(const char *directory);

#endif
