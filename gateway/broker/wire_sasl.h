/*
 * What SASL's mechanisms PLAIN (RFC 4616) and SCRAM (RFC 5802) say: messages only, no connection. The
 * server's are taken as a stranger's. Passwords are as they were given: no SASLprep, as in librdkafka.
 */
#ifndef GW_BROKER_WIRE_SASL_H
#define GW_BROKER_WIRE_SASL_H

#include "base/buffer.h"

#include <openssl/evp.h>

/* Appends the one message of PLAIN. */
bool gw_plain_message(struct sl_buffer *out, const char *user, const char *password);

#define GW_SCRAM_NONCE 32 /* characters of ours, at most */

struct gw_scram {
    const EVP_MD *hash;
    const char *password; /* borrowed */
    char nonce[GW_SCRAM_NONCE + 1];
    struct sl_buffer bare;                    /* of the first message, which both sign */
    unsigned char signature[EVP_MAX_MD_SIZE]; /* that the server must show */
};

/* mechanism: SCRAM-SHA-256 or SCRAM-SHA-512. nonce: up to GW_SCRAM_NONCE printable characters, no comma.
 * Appends the first message. False: no memory, or no such mechanism. To be ended in any case. */
bool gw_scram_begin(struct gw_scram *scram, const char *mechanism, const char *user, const char *password,
                    const char *nonce, struct sl_buffer *out);
/* Answers what the server said first. NULL; else what is wrong with it. */
const char *gw_scram_answer(struct gw_scram *scram, const char *said, size_t size, struct sl_buffer *out);
/* Whether the server knows the password, too, by its last message. NULL; else what is wrong with it. */
const char *gw_scram_verify(const struct gw_scram *scram, const char *said, size_t size);
void gw_scram_end(struct gw_scram *scram);

#endif
