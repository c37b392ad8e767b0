/* Where a catalog's APIs are: asked of the platform's lookup service, remembered for a while. Any thread. */
#ifndef SL_CLIENT_LOOKUP_H
#define SL_CLIENT_LOOKUP_H

#include <streamlayer/error.h>

struct sl_client;
struct sl_lookup;

/* The client is borrowed. SL_BAD_CONFIG when the endpoint locator's settings do not name a service. */
sl_status sl_lookup_create(struct sl_client *client, struct sl_lookup **lookup, sl_error *error);
void sl_lookup_destroy(struct sl_lookup **lookup);

#endif
