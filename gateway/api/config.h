/* What the files of config v1 share: a change on its way through a worker, and layers with their topics. */
#ifndef GW_API_CONFIG_H
#define GW_API_CONFIG_H

#include "gateway/api/failures.h"
#include "gateway/api/layer_spec.h"
#include "gateway/gateway_internal.h"

/* Where SDKs ask for the status of a change, by the token that it was answered with. A change is made when it
 * is answered, so that all have the same. */
#define GW_CONFIG_STATUS    "/config/v1/status/"
#define GW_CONFIG_COMPLETED "completed"

/* Strings are the request's or body's, which outlive it. */
struct gw_config_call {
    struct gw_job job; /* first */
    struct gw_request *request;
    struct gateway *gateway;
    const char *hrn, *layer;
    json_t *body;
    const char *id, *name;
    const char *creator;                /* the application */
    bool marketplace, sets_marketplace; /* sets: the body says which */
    int64_t until_ms; /* sl_mono_ms(): what it asks of Kafka, and its waiting for a worker, end then */
    struct gw_layer_spec *specs; /* point into body */
    size_t spec_count;
    const struct gw_failure *failure; /* what a failure is called; NULL: as its status says */
};

/* Makes a change and reads the body where there is to be one; NULL when the request is answered. */
struct gw_config_call *gw_config_new(struct gw_request *request, void (*run)(struct gw_job *job),
                                     bool with_body);
void gw_config_free(struct gw_config_call *change);
/* Answers the failure and frees, or posts to the workers. */
void gw_config_go_on(struct gw_config_call *change, sl_status status, const sl_error *error);
/* Answers a change that was made with value, which is taken, and what SDKs ask for its status with. */
void gw_config_respond(struct gw_config_call *change, int status, json_t *value);
/* Takes out of a layer, as config v1 shows it, what its catalog's caller must not know. NULL is allowed. */
void gw_config_hide(const struct gw_request *request, const char *hrn, bool marketplace, json_t *layer);
/* Answers the failure. */
void gw_config_fail(struct gw_config_call *change, const sl_error *error);
/* False, and the request is answered: one of the specs adopts a topic, and the application may not. */
bool gw_config_may_adopt(struct gw_request *request, const struct gw_layer_spec *specs, size_t count);

/* Refuses a body's members that are not known: a right that is misspelt must not be one that is not there.
 * body may be NULL. Errors: SL_INVALID_ARGUMENT. */
sl_status gw_check_members(const json_t *body, const char *const *known, size_t count, sl_error *error);

/* A catalog's grants and Marketplace subscriptions came or went with it. On a worker. */
void gw_note_grants(struct gateway *gateway);

/* config_layer.c: on a worker. The layer with its topic; *made is the caller's reference. */
sl_status gw_make_layer(struct gw_config_call *change, const char *hrn, const struct gw_layer_spec *spec,
                        struct gw_layer **made, sl_error *error);

/* config_layer.c: the job of a deletion, of a layer or (layer NULL) a catalog. */
void gw_run_delete(struct gw_job *job);

#endif
