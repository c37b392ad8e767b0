/*
 * All Kafka clusters that the gateway serves, by name. Which there are is fixed once it is opened, so finding
 * is safe from any thread and takes no lock.
 */
#ifndef GW_BROKER_BROKERS_H
#define GW_BROKER_BROKERS_H

#include "gateway/broker/broker.h"

struct gw_brokers;

/* The default one first, then those of streamlayer.gateway.kafka.clusters. Errors: as gw_broker_open. */
sl_status gw_brokers_open(const sl_config *config, const struct sl_log *log, struct gw_budget *budget,
                          struct gw_brokers **out, sl_error *error);
/* Whether a cluster of that name is configured. */
bool gw_brokers_is_name(const sl_config *config, const char *cluster);
/* Tells all that it would say to the configuration, without a connection. */
void gw_brokers_try(const sl_config *config, struct gw_faults *faults);
/* Delivery reports are served by the server's loops: the clusters' in turn. */
void gw_brokers_attach(struct gw_brokers *brokers, struct gw_server *server);
/* gw_broker_finish of all, at once; then gw_broker_close of all. */
void gw_brokers_finish(struct gw_brokers *brokers, int grace_ms);
void gw_brokers_close(struct gw_brokers **brokers);

/* NULL: no cluster of that name is configured. */
struct gw_broker *gw_brokers_find(const struct gw_brokers *brokers, const char *cluster);
size_t gw_brokers_count(const struct gw_brokers *brokers);
struct gw_broker *gw_brokers_at(const struct gw_brokers *brokers, size_t index);

/* The lines for /metrics, a sample a cluster. */
bool gw_brokers_metrics(const struct gw_brokers *brokers, struct sl_buffer *text);

#endif
