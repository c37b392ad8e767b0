/*
 * What a cluster's access control lists should be at one moment, by layers and grants, and what those that
 * there are mean. Who has which: acl_keeper.h.
 */
#ifndef GW_ACL_PICTURE_H
#define GW_ACL_PICTURE_H

#include "gateway/broker/acls.h"
#include "gateway/gateway_internal.h"

struct gw_acl_topic {
    char *name;
    /* Linked; NULL: it is being deleted. On the Marketplace it is read over HTTP only. */
    struct gw_layer *layer;
};

struct gw_acl_picture {
    const struct gw_broker *broker;
    const char *cluster;         /* its name */
    struct gw_acl_topic *topics; /* in the order of names */
    size_t topic_count, topic_capacity;
    char **principals; /* in order: those whose lists are ours */
    size_t principal_count, principal_capacity;
    struct gw_acl_set desired;
    bool failed;
};

/* Blocks (SQLite). To be freed when it succeeds. Errors: of gw_catalogs_condemned, SL_OUT_OF_MEMORY. */
sl_status gw_acl_picture_draw(struct gateway *gateway, const struct gw_broker *broker,
                              struct gw_acl_picture *picture, sl_error *error);
void gw_acl_picture_free(struct gw_acl_picture *picture);

/* Whether the cluster's brokers know the account, by its principal. */
bool gw_acl_knows(const struct gw_broker *broker, const struct gw_account *account);
/* NULL: no layer's. */
const struct gw_acl_topic *gw_acl_picture_topic(const struct gw_acl_picture *picture, const char *name);
/* Whether the text is an application's id, and behind it end. */
bool gw_acl_is_application_id(const char *text, const char *end);
/* Whether it is, or once was, an application's. */
bool gw_acl_picture_principal(const struct gw_acl_picture *picture, const char *principal);

/* Parts what Kafka has: ours; what others made that gives applications more than we do (beyond), or takes
 * from them (denied). Applications that were are among the picture's principals from now on. The sets are
 * finished, and have failed where memory was out, or the picture has. */
void gw_acl_sort_out(struct gw_acl_picture *picture, const struct gw_acl_set *there, struct gw_acl_set *ours,
                     struct gw_acl_set *beyond, struct gw_acl_set *denied);

#endif
