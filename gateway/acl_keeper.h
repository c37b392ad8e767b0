/*
 * Grants as Kafka's access control lists, on clusters whose settings ask for it (kafka.acls.enabled): what an
 * application may do over HTTP it may do directly, and no more.
 *
 *   read on a catalog:  Read on each of its layers' topics
 *   write on a catalog: Write on each of its layers' topics
 *   any grant:          Read on groups that begin with the application's id and a dot
 *   write on anything:  Write on transactional ids that begin so
 *
 * Principals are "User:" and the token's subject: the application's id, or, on a cluster whose brokers take
 * an outside issuer's tokens (kafka.acls.issuer), what that one calls it. Layers on the Marketplace
 * have no Read: they are read over HTTP, where it is counted. Kept are lists of these forms only, of
 * principals that are applications or once were (whoever has a group prefix of our form); all others are
 * their makers'.
 *
 * Where the settings ask for it (kafka.quotas.enabled), the layers' throughput is kept as client quotas in
 * the same passes: quota_plan.h, quota_keeper.h.
 *
 * A thread a cluster compares and writes: after each change of grants or layers what it knows to be there,
 * and again and again (kafka.acls.check-interval) what Kafka says. What fails is tried again.
 */
#ifndef GW_ACL_KEEPER_H
#define GW_ACL_KEEPER_H

#include "base/buffer.h"
#include "gateway/store/access.h"
#include "gateway/store/catalogs.h"

#include <jansson.h>

struct gateway;
struct gw_acl_keeper;

/* *out NULL: no cluster asks for it; each call takes that. */
sl_status gw_acl_keeper_start(struct gateway *gateway, struct gw_acl_keeper **out, sl_error *error);
/* Lets go of who waits, and ends the threads. */
void gw_acl_keeper_finish(struct gw_acl_keeper *keeper);
void gw_acl_keeper_free(struct gw_acl_keeper **out);

/* Grants or layers have changed. Any thread; does not block. */
void gw_acl_note(struct gw_acl_keeper *keeper);
/* The same, and waits until that cluster has it (NULL: all of them), or until then (sl_mono_ms). One that
 * keeps no grants is not waited for. What fails is tried again later in any case. Blocks: for workers.
 * Errors: the first cluster's (gateway/broker/acls.h), SL_TIMED_OUT. */
sl_status gw_acl_settle(struct gw_acl_keeper *keeper, const char *cluster, int64_t until_ms, sl_error *error);

/* The application has asked for the endpoint of the layer, to write (in) or to read (out) by it. True: Kafka
 * has to give it its part yet (gw_acl_settle). Any thread; does not block. */
bool gw_acl_ask(struct gw_acl_keeper *keeper, const struct gw_layer *layer, const struct gw_account *account,
                bool in, bool out);

/*
 * What Kafka has against what it should: {"clusters":[{"cluster","missing":[…],"surplus":[…],"beyond":[…],
 * "denied":[…]}]}, each list of {"principal","application" (its name, where it is one),"resource","name",
 * "prefixed","operation"}; a cluster that cannot be asked has "error" instead, and one whose quotas cannot be
 * asked for, or that cannot be put right, beside them. beyond: what gives applications, or everybody, more
 * than was granted, but was made by others; denied: what they made that takes from it. A quota is a
 * "client-quota", its name the client id, its operation like "Write 1024 B/s"; one that is wrong is surplus,
 * and the right one missing. repair: missing and surplus are put right, after which the report says what was.
 * Blocks, until until_ms (sl_mono_ms) at the latest. Errors: SL_OUT_OF_MEMORY.
 */
sl_status gw_acl_check(struct gw_acl_keeper *keeper, bool repair, int64_t until_ms, json_t **report,
                       sl_error *error);
/* Appends what /metrics tells of it. Any thread. False: no memory. */
bool gw_acl_metrics(const struct gw_acl_keeper *keeper, struct sl_buffer *text);

#endif
