/* What a signed token request holds (RFC 5849): its Authorization header and its form, taken apart in place.
 * Functions of bytes. */
#ifndef GW_API_OAUTH_HEADER_H
#define GW_API_OAUTH_HEADER_H

#include "auth/auth.h"

#define GW_OAUTH_PARAMETERS_MAX 64

/* Names and values point into the texts that they were read from. */
struct gw_oauth {
    struct sl_oauth_parameter parameters[GW_OAUTH_PARAMETERS_MAX];
    size_t count;
};

/* What follows "OAuth " in the header: name="value", …, percent-encoded. realm, which is not signed, is left
 * out. false: it is malformed, or there are too many. */
bool gw_oauth_read_header(struct gw_oauth *oauth, char *text);
/* application/x-www-form-urlencoded. */
bool gw_oauth_read_form(struct gw_oauth *oauth, char *text);
/* One that is decoded. */
bool gw_oauth_add(struct gw_oauth *oauth, const char *name, const char *value);

/* NULL: it is not there. */
const char *gw_oauth_value(const struct gw_oauth *oauth, const char *name);
/* The first of the protocol's own parameters (oauth_…) that is there twice, or NULL: RFC 5849, 3.1. */
const char *gw_oauth_repeated(const struct gw_oauth *oauth);

#endif
