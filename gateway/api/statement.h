/*
 * Statements of what was used in a month, and whether one is what the gateway has signed. A statement is a
 * JSON object, {"statement":{…},"jws":"…"}: the figures for people and programs, and a compact JWS (RFC 7515,
 * ES256) whose payload is the same object.
 */
#ifndef GW_API_STATEMENT_H
#define GW_API_STATEMENT_H

#include <jansson.h>
#include <stddef.h>
#include <streamlayer/error.h>

#define GW_STATEMENT_MAX ((size_t)64 << 20) /* bytes of one */

/* Checks a statement with the keys of a JWKS. *statement: what was signed, released by json_decref. Any
 * thread. Errors: SL_PROTOCOL: it is no statement, or jwks no JWKS; SL_NOT_FOUND: no key of the JWKS has the
 * name that it states; SL_CHECKSUM_MISMATCH: it is not what was signed, the text says where it differs;
 * SL_OUT_OF_MEMORY. */
sl_status gw_statement_verify(const char *text, size_t size, const char *jwks, size_t jwks_size,
                              json_t **statement, sl_error *error);

#endif
