/*
 * A cluster's access control lists, as Kafka has them; asked for and changed by the gateway's own client
 * (wire_link.h), since librdkafka 2.0.2 knows no transactional ids. What says so blocks: for workers only.
 */
#ifndef GW_BROKER_ACLS_H
#define GW_BROKER_ACLS_H

#include "gateway/broker/broker.h"

enum gw_acl_resource { GW_ACL_TOPIC, GW_ACL_GROUP, GW_ACL_CLUSTER, GW_ACL_TRANSACTIONAL_ID, GW_ACL_UNKNOWN };
enum gw_acl_operation {
    GW_ACL_ALL,
    GW_ACL_READ, /* describe included, as for the next: so Kafka has it */
    GW_ACL_WRITE,
    GW_ACL_CREATE,
    GW_ACL_DELETE,
    GW_ACL_ALTER,
    GW_ACL_DESCRIBE,
    GW_ACL_CLUSTER_ACTION,
    GW_ACL_DESCRIBE_CONFIGS,
    GW_ACL_ALTER_CONFIGS,
    GW_ACL_IDEMPOTENT_WRITE,
    GW_ACL_OTHER
};

#define GW_ACL_USER "User:" /* before a user's name, in a principal */

/* Who (a principal, "User:NAME") may (allow), or may not, do what with which resource. */
struct gw_acl {
    const char *principal;
    enum gw_acl_resource resource;
    const char *name;
    bool prefixed; /* of all resources whose names begin with name; else of that one, or of all ("*") */
    enum gw_acl_operation operation;
    bool allow;
    const char *host; /* "*": from everywhere */
};

/* In an order, each once. The strings are the set's. */
struct gw_acl_set {
    struct gw_acl *list;
    size_t count, capacity;
    bool failed; /* memory was out: something is missing */
};

/* Adds a copy; to be followed by gw_acl_set_finish. Without memory the set has failed. */
void gw_acl_set_add(struct gw_acl_set *set, const struct gw_acl *acl);
/* Puts it in order. */
void gw_acl_set_finish(struct gw_acl_set *set);
void gw_acl_set_free(struct gw_acl_set *set);
bool gw_acl_set_has(const struct gw_acl_set *set, const struct gw_acl *acl);
/* Adds copies of those of one that other has not. out is finished. */
void gw_acl_set_minus(struct gw_acl_set *out, const struct gw_acl_set *one, const struct gw_acl_set *other);
/* "topic", "Read": as Kafka's own tools write them. */
const char *gw_acl_resource_text(enum gw_acl_resource resource);
const char *gw_acl_operation_text(enum gw_acl_operation operation);

/*
 * A conversation with the cluster about its lists, and its client quotas (quotas.h): by one connection, which
 * is made when something is asked, and again after a call that failed. For one thread at a time, and not for
 * long: brokers end a connection that is not used.
 */
struct gw_control;

/* NULL: memory is out. The broker has to outlive it. */
struct gw_control *gw_control_create(struct gw_broker *broker);
void gw_control_destroy(struct gw_control **control); /* *control NULL is allowed */

/*
 * All that the cluster has. Here and below error is not NULL. Blocks, until until_ms (sl_mono_ms) at the
 * latest. Errors: SL_UNSUPPORTED (it has no authorizer), SL_FORBIDDEN (the gateway's own principal may not),
 * SL_UNAVAILABLE, SL_TIMED_OUT, SL_OUT_OF_MEMORY, SL_KAFKA.
 */
sl_status gw_broker_acls(struct gw_control *control, int64_t until_ms, struct gw_acl_set *out,
                         sl_error *error);
/* Makes those of add, and removes those of remove, which may be empty. When it fails, some of it may be done.
 * Blocks, as above. Errors: as above. */
sl_status gw_broker_change_acls(struct gw_control *control, const struct gw_acl_set *add,
                                const struct gw_acl_set *remove, int64_t until_ms, sl_error *error);
/*
 * Waits until the brokers go by a change. What makes or removes lists answers when Kafka's controller has it;
 * each broker hears of it a moment later, in the order of the changes, and refuses or allows by what it has
 * until then. acl: the last one that was made (there) or removed. Those that the cluster names and that can
 * be reached, each within 1 s, are asked for it, for 10 s at most; one that cannot be is not waited for.
 * Blocks, as above. Errors: as above; SL_TIMED_OUT: one of them does not have it yet.
 */
sl_status gw_broker_await_acl(struct gw_control *control, const struct gw_acl *acl, bool there,
                              int64_t until_ms, sl_error *error);
/* Calls that are under way end soon, and those that come fail: everybody is leaving. Any thread. */
void gw_broker_cancel_acls(struct gw_broker *broker);
/* Whether the settings ask for grants to be written there. */
bool gw_broker_keeps_acls(const struct gw_broker *broker);
/* The outside issuer whose tokens its brokers take; "": they take the gateway's own. */
const char *gw_broker_issuer(const struct gw_broker *broker);
/* Whether its brokers know the gateway itself by that user's name, as far as the settings tell: by a
 * certificate it may have any name, which is the brokers' to say. */
bool gw_broker_is_own_user(const struct gw_broker *broker, const char *user);

#endif
