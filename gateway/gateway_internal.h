/* The gateway's parts, as the APIs (gateway/api) see them: gw_request_opaque() of every request is this. */
#ifndef GW_GATEWAY_INTERNAL_H
#define GW_GATEWAY_INTERNAL_H

#include "gateway/acl_keeper.h"
#include "gateway/api/tokens.h"
#include "gateway/broker/brokers.h"
#include "gateway/broker/subscriptions.h"
#include "gateway/gateway.h"
#include "gateway/http/server.h"
#include "gateway/ledger/ledger.h"
#include "gateway/listen.h"
#include "gateway/rate.h"
#include "gateway/store/access.h"
#include "gateway/store/catalogs.h"
#include "gateway/store/market.h"
#include "gateway/worker.h"

struct gateway {
    sl_config *config; /* as it was started with: what needs a restart is so */
    sl_config *loaded; /* as it was loaded last: what a reload applies is so; gw_reload's */
    struct sl_log log;
    char *public_url;    /* "http://127.0.0.1:8080", no trailing slash; see gw_request_public_url */
    bool public_url_set; /* by the configuration */
    bool extended;       /* streamlayer.gateway.extensions: what is ours is served, and told in lookup */
    struct gw_server *server;
    struct gw_throttler *throttler;   /* throttle.h: keeps the layers' throughput */
    struct gw_access_log *access_log; /* NULL: none */
    bool metrics_open;                /* they are read from elsewhere, too */
    struct gw_workers *workers;       /* what may wait for Kafka */
    struct gw_workers *token_workers; /* tokens: had while Kafka is silent and all others wait for it */
    struct gw_workers *disk_workers;  /* blobs: what waits for the disk only */
    struct gw_catalogs *catalogs;
    struct gw_market *market; /* Marketplace subscriptions */
    atomic_bool keeps_volume; /* marketplace.volume: what is over theirs is refused; a reload changes it */
    struct gw_blobs *blobs;   /* store/blobs.h */
    struct gw_ledger *ledger; /* ledger/ledger.h: what was used of the Marketplace */
    /* limits.blob, limits.body, limits.batch-messages, push.heartbeat; a reload changes them. */
    _Atomic int64_t max_blob, max_body, max_batch, heartbeat_ms;
    struct gw_repeats *repeats;             /* broker/repeats.h */
    struct gw_publications *publications;   /* api/publish.h */
    struct gw_sweeper *sweeper;             /* api/blob.c: removes old blobs */
    struct gw_applications *applications;   /* store/applications.h */
    struct gw_watch_access *watch;          /* api/watch.c: follows other programs' changes of them */
    struct gw_access *access;               /* store/access.h: the same in memory */
    _Atomic int64_t application_requests;   /* limits.application-requests, a second; 0: as many as come */
    struct gw_rates *address_rates;         /* the same of who asks for tokens */
    struct gw_tokens *tokens;               /* api/tokens.h: signing and checking */
    struct gw_token_keys *statement_keys;   /* api/token_keys.h: of statements of usage */
    struct gw_token_clock *token_clock;     /* api/token_key_calls.c: what time brings to them */
    struct gw_budget *budget;               /* limits.bytes-in-flight */
    int64_t kafka_wait_ms;                  /* limits.kafka-wait */
    struct gw_brokers *brokers;             /* all Kafka clusters: gw_layer_broker */
    atomic_bool cleaning;                   /* gw_clean_later is at it */
    struct gw_acl_keeper *acls;             /* grants, as Kafka's access control lists; NULL: not asked for */
    struct gw_subscriptions *subscriptions; /* broker/subscriptions.h */
    struct gw_status *status;               /* api/status.c: whether Kafka answers */
    struct gw_route *routes;                /* all APIs' */
    int lock_fd;                            /* holds the data directory */
};

/* The settings of more than one part, read before anything is begun, or changed by a reload; gateway.c. */
struct gw_settings {
    struct gw_listen listen;
    struct gw_server_settings server;
    struct gw_subscription_settings subscriptions;
    bool throughput; /* the layers' is kept */
    bool volume;     /* Marketplace subscriptions' is */
    int64_t max_bytes, max_blob, max_batch, heartbeat_ms, publications, application_publications,
        application_requests, throttle_wait_ms;
    struct gw_token_times token;
    struct gw_ledger_settings ledger;
};
/* settings is zeroed before, and freed by gw_settings_free also after a failure; it may point into config. */
sl_status gw_settings_read(const sl_config *config, struct gw_settings *settings, sl_error *error);
/* Whether the cluster of a ledger in Kafka is there. */
sl_status gw_ledger_settings_check(const sl_config *config, sl_error *error);
void gw_settings_free(struct gw_settings *settings);
/* What the APIs read of them is so from now on. */
void gw_settings_keep(struct gateway *gateway, const struct gw_settings *settings);

/* Appends the URL that this request's client reaches the gateway by: streamlayer.gateway.public-url, else
 * what trusted proxies and its Host header say. No trailing slash. */
bool gw_request_public_url(const struct gw_request *request, struct sl_buffer *url);

/*
 * The layer that a request's {hrn} and {layer} name, linked; or NULL, and the request is answered with 404
 * saying which is missing, or with 503 when the layer's cluster is not configured: gw_layer_broker of what is
 * returned is never NULL. What the request uses of it is counted from here on where that is to be done, or
 * the request is answered with 503.
 */
struct gw_layer *gw_request_layer(struct gw_request *request);
/* The same, whether its cluster is configured or not: for what asks nothing of Kafka. */
struct gw_layer *gw_request_layer_shown(struct gw_request *request);

/* The cluster that has the layer's topic; NULL: it is not configured. Any thread. */
struct gw_broker *gw_layer_broker(const struct gateway *gateway, const struct gw_layer *layer);

/*
 * What a route asks of the application (struct gw_route's access): one of these rights, on the catalog that
 * the path's {hrn} names or on the platform. It is checked in one place, gw_authorize, before the handler is
 * called and the body is read. Every route has one, or is public.
 */
enum gw_route_access {
    GW_ACCESS_READ = SL_RIGHT_READ,
    GW_ACCESS_WRITE = SL_RIGHT_WRITE,
    GW_ACCESS_MANAGE = SL_RIGHT_MANAGE,
    GW_ACCESS_CREATE = SL_RIGHT_CREATE,
    GW_ACCESS_ADMIN = SL_RIGHT_ADMIN,
    GW_ACCESS_ANY = SL_RIGHTS_CATALOG,
    GW_ACCESS_NONE = 64, /* any application; the handler shows it what is its own */
    /* With a right to read: what is in the layer is handed out, so of a catalog on the Marketplace it is
     * had by a current Marketplace subscription, not by a grant; see gw_delivery_rights. */
    GW_ACCESS_DELIVERY = 128,
};

/*
 * Rights on a catalog (hrn NULL: on the platform alone). On one that is on the Marketplace a Marketplace
 * subscription gives the right to read: to look at the catalog, commit and end what was begun whenever it is,
 * was or will be current; to be handed what is in the layers only while it is, and then a grant to read alone
 * does not suffice. Whoever manages the catalog is its provider, and needs none. Any thread; blocks nothing.
 */
unsigned gw_looking_rights(const struct gateway *gateway, const struct gw_account *account, const char *hrn);
unsigned gw_delivery_rights(const struct gateway *gateway, const struct gw_account *account, const char *hrn,
                            bool marketplace);
/* Whether the application may know the topics of the catalog's layers: on the Marketplace only who may write,
 * by Direct Kafka, too, or manages it. Any thread. */
bool gw_sees_topics(const struct gw_account *account, const char *hrn, bool marketplace);
/* Whether the catalog is on the Marketplace; false for NULL, and when there is none. */
bool gw_on_marketplace(const struct gateway *gateway, const char *hrn);
/* Whether the catalog, on the Marketplace, hands the application nothing now (want of a subscription, or of
 * what is left of its volume); then the request is answered with the reason. Any thread. */
bool gw_market_refuses(struct gw_request *request, const struct gw_account *account, const char *hrn);
/* A Warning header on the answer to who has used up its volume of the catalog, and is let go on. Whoever has
 * the request to answer it. */
void gw_market_warn(struct gw_request *request, const char *hrn);
/* The throughput that the application's subscription to the layer's catalog allows, linked; NULL: any. */
struct gw_market_flow *gw_market_flow(const struct gw_request *request, const struct gw_layer *layer);

/* Whether the request's application may read all that is in the layer. The request's loop, or whoever has the
 * request to answer it. */
bool gw_request_may_read(const struct gw_request *request, const struct gw_layer *layer);
/* Whose blobs of the layer are there for the request: NULL, everyone's, or its own application's only. Text
 * of the request's. Threads: as above. */
const char *gw_request_blob_owner(const struct gw_request *request, const struct gw_layer *layer);

/*
 * The last step of gw_authenticate, of every way to authenticate: whether this application may send this
 * request now. Takes account. GW_PASS: caller is filled; else the request is answered. Any thread, does not
 * block.
 */
enum gw_verdict gw_authorize(struct gw_request *request, struct gw_account *account,
                             struct gw_caller *caller);
/* Whether limits.application-requests lets the application send one more now; of a request for a token, whose
 * application is not known yet, its address. False: the request is answered. Any thread, does not block. */
bool gw_account_may_ask(struct gw_request *request, struct gw_account *account);
bool gw_address_may_ask(struct gw_request *request);
/* Who sends the request, the request's; NULL on public routes. */
const struct gw_account *gw_request_account(const struct gw_request *request);
/* Whether it has this right, or one of these, on the catalog that the path names or on the platform: for what
 * depends on more than the route. */
bool gw_request_may(const struct gw_request *request, unsigned rights);

/* Whether it may be handed what is in the layer that the path names, as of now: for what took its time.
 * Blocks nothing. */
bool gw_request_still_reads(const struct gw_request *request);

/* Ends what an application must not do any more: gw_access_change, opaque is the gateway. Blocks. */
void gw_authorize_changed(void *opaque, const struct gw_account *before, const struct gw_account *after);

/* Each API's routes; gateway.c joins them into the server's table. */
extern const struct gw_route gw_lookup_routes[], gw_config_routes[], gw_ingest_routes[], gw_stream_routes[],
    gw_endpoint_routes[], gw_token_routes[], gw_status_routes[], gw_group_routes[], gw_blob_routes[],
    gw_publish_routes[], gw_token_key_routes[], gw_application_routes[], gw_layer_routes[], gw_acl_routes[],
    gw_market_routes[], gw_usage_routes[];
extern const size_t gw_lookup_route_count, gw_config_route_count, gw_ingest_route_count,
    gw_stream_route_count, gw_endpoint_route_count, gw_token_route_count, gw_status_route_count,
    gw_group_route_count, gw_blob_route_count, gw_publish_route_count, gw_token_key_route_count,
    gw_application_route_count, gw_layer_route_count, gw_acl_route_count, gw_market_route_count,
    gw_usage_route_count;

/* Whether a request may pass (the server's gw_authenticate; opaque is the gateway): its bearer token. */
enum gw_verdict gw_tokens_authenticate(void *opaque, struct gw_request *request, struct gw_caller *caller);

/* Makes and removes keys of tokens, asks their issuers, as time goes; until the loops stop. */
sl_status gw_token_clock_start(struct gateway *gateway, struct gw_token_clock **out, sl_error *error);
void gw_token_clock_free(struct gw_token_clock **clock); /* the loops and workers have stopped */

/* routes.c: all of them, those of our extensions when extended; *routes is freed by the caller, whatever
 * comes of it. Errors: SL_INTERNAL for a route that does not say who may call it. */
sl_status gw_routes_join(bool extended, struct gw_route **routes, size_t *count, sl_error *error);

sl_status gw_status_create(struct gw_status **status, sl_error *error);
void gw_status_destroy(struct gw_status **status);

/* Removes blobs that have outlived their layers, now and every sweep-interval, until the loops stop; then
 * topics that are left over, too. */
sl_status gw_sweeper_start(struct gateway *gateway, struct gw_sweeper **out, sl_error *error);
void gw_sweeper_free(struct gw_sweeper **sweeper); /* the loops and workers have stopped */

/* Looks every second whether another program has changed the applications, until the loops stop. */
sl_status gw_watch_access_start(struct gateway *gateway, struct gw_watch_access **out, sl_error *error);
void gw_watch_access_free(struct gw_watch_access **watch); /* the loops and workers have stopped */

/*
 * Deletes the topics of what is condemned (store/catalogs.h): of one layer, of a catalog (layer NULL), of all
 * (hrn NULL, too); never adopted ones, which are let go. What cannot be deleted now is left for another time,
 * and the others are deleted all the same. Blocks, until until_ms at most. Errors: the first topic's;
 * SL_BAD_CONFIG: its cluster is not configured.
 */
sl_status gw_config_clean(struct gateway *gateway, const char *hrn, const char *layer, int64_t until_ms,
                          sl_error *error);
/* A line of the log for a change of administration that has been made: who, what and on what, by which
 * request; nothing of it is secret. Before the answer; any thread. */
void gw_audit(const struct gw_request *request, const char *format, ...) SL_PRINTF(2, 3);

/* When a request that begins now must have what it asks of Kafka: limits.kafka-wait. */
int64_t gw_kafka_deadline_ms(const struct gateway *gateway);
/* The same for all, on a worker, unless one is at it already; what fails is logged. Any thread. */
void gw_clean_later(struct gateway *gateway);

/* Answers what a failed call came to: the status as HTTP's, the text as the cause. */
void gw_respond_failure(struct gw_request *request, const sl_error *error);

#endif
