/* Where a catalog's APIs are: asked of the platform's lookup service, remembered for a while. Any thread. */
#ifndef SL_CLIENT_LOOKUP_H
#define SL_CLIENT_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>
#include <streamlayer/error.h>

struct sl_client;
struct sl_lookup;

/* The client is borrowed. SL_BAD_CONFIG when the endpoint locator's settings do not name a service. */
sl_status sl_lookup_create(struct sl_client *client, struct sl_lookup **lookup, sl_error *error);
void sl_lookup_destroy(struct sl_lookup **lookup);

/* sl_client_base_url for who may have to stop: sl_http_cancel ends it by owner, and no try begins after
 * deadline_ms (0: none). */
sl_status sl_client_base_url_within(struct sl_client *client, const char *hrn, const char *api,
                                    const char *version, const void *owner, int64_t deadline_ms, char **url,
                                    bool *extended, sl_error *error);
/* No connection to the server of this URL could be made: answers that name it are forgotten, and lookup is
 * asked again. */
void sl_client_note_unreachable(struct sl_client *client, const char *url);

#endif
