/* Inside a client: what producers, consumers, administration and the http-connector share. */
#ifndef SL_CLIENT_CLIENT_H
#define SL_CLIENT_CLIENT_H

#include "auth/auth.h"
#include "base/log.h"
#include "client/connector.h"
#include "config/settings.h"
#include "net/http.h"
#include <jansson.h>
#include <stdatomic.h>
#include <streamlayer/client.h>
#include <string.h>

#define SL_CLIENT_MAGIC 0xc11e47aau

struct sl_client {
    unsigned magic;
    atomic_int references; /* the application's, and each producer's and consumer's */
    struct sl_config *config;
    struct sl_log log;
    struct sl_http *http;
    struct sl_auth *auth;
    struct sl_lookup *lookup; /* client/lookup.c: base URLs, cached as long as the platform says */
};

/* Whether the files that the settings of TLS name can serve, as creating a client asks. Errors: SL_BAD_CONFIG
 * (the text begins with the setting), SL_OUT_OF_MEMORY. */
sl_status sl_client_check_tls(const sl_config *config, const struct sl_log *log, sl_error *error);

/* What connectors ask for a token by: struct sl_host. */
sl_status sl_client_bearer(struct sl_client *client, const char *refused, int64_t deadline_ms,
                           const atomic_bool *cancelled, char **bearer, int64_t *expires_ms, sl_error *error);
void sl_client_bearer_wake(struct sl_client *client);

/* SL_INVALID_HANDLE for what is no client. */
sl_status sl_client_check(const struct sl_client *client, sl_error *error);
struct sl_client *sl_client_link(struct sl_client *client);
void sl_client_unlink(struct sl_client *client);

/*
 * Where an API of a catalog is ("stream" "v2", "ingest" "v1", …; hrn NULL: of the platform), asked of lookup
 * and cached. *url is released with free. *extended (may be NULL): the platform advertises our extensions.
 */
sl_status sl_client_base_url(struct sl_client *client, const char *hrn, const char *api, const char *version,
                             char **url, bool *extended, sl_error *error);

/* The same of an API that the call needs our extensions of. what: all that the platform does not do without
 * them, "tell of …". Errors: SL_UNSUPPORTED. */
sl_status sl_client_extension_url(struct sl_client *client, const char *hrn, const char *api,
                                  const char *version, const char *what, char **url, sl_error *error);

/* How applications are named in URLs: their ids and names. Errors: SL_INVALID_ARGUMENT; NULL is allowed. */
sl_status sl_client_check_name(const char *name, sl_error *error);
/* Appends one as a segment of a path. */
void sl_client_append_name(struct sl_buffer *url, const char *name);

/* One signed call: adds Authorization, and on 401 gets a fresh token and tries once more. Statuses of 400 and
 * more are errors. response may be NULL; else the caller frees it. Any thread but the engine's. */
sl_status sl_client_call(struct sl_client *client, const struct sl_http_request *request,
                         struct sl_http_response *response, sl_error *error);
/* The same with JSON both ways; in and *out may be NULL. *out is the caller's. */
sl_status sl_client_call_json(struct sl_client *client, const char *method, const char *url, const json_t *in,
                              json_t **out, sl_error *error);
/* The same with bounds (NULL: none): sl_http_cancel ends it by owner; no try begins after deadline_ms (0:
 * none). */
struct sl_call_bounds {
    const void *owner;
    int64_t deadline_ms;
};
sl_status sl_client_call_json_within(struct sl_client *client, const char *method, const char *url,
                                     const json_t *in, const struct sl_call_bounds *bounds, json_t **out,
                                     sl_error *error);

/* The layer's Kafka endpoint; side: "producer", "consumer", or NULL for who has any right. */
sl_status sl_client_endpoint(struct sl_client *client, const char *hrn, const char *layer, const char *side,
                             struct sl_endpoint *endpoint, sl_error *error);

/* What a producer or consumer is opened on, and the memory behind it. side: "producer" or "consumer".
 * encoded: asks for the layer's facts, too. */
struct sl_opening {
    struct sl_target target;
    struct sl_endpoint endpoint;
    struct sl_layer_facts facts;
    struct sl_property *properties;
    bool failed; /* no memory, while properties were gathered */
};
sl_status sl_opening_prepare(struct sl_opening *opening, struct sl_client *client,
                             const struct sl_connector *connector, const char *hrn, const char *layer,
                             const char *side, bool encoded, sl_error *error);
void sl_opening_free(struct sl_opening *opening);
/* Adds to the error of a connector's open what the client knows of the way there: a proxy that HTTP goes
 * through lets nothing else pass. */
void sl_opening_explain(const struct sl_client *client, const struct sl_connector *connector,
                        sl_status status, sl_error *error);

/* The connector that the settings name for a side ("producer", "consumer") of a layer; hrn or layer NULL: of
 * those that have no settings of their own. name not NULL: that one. */
sl_status sl_connector_find(struct sl_client *client, const char *side, const char *hrn, const char *layer,
                            const char *name, const struct sl_connector **connector, sl_error *error);
extern const struct sl_connector sl_http_connector;

#endif
