/* kafkaConsumerProperties: what a subscriber may set of its Kafka consumer. */
#ifndef GW_API_CONSUMER_PROPERTIES_H
#define GW_API_CONSUMER_PROPERTIES_H

#include "gateway/broker/subscriptions.h"

#define GW_PASSED_MAX 8

struct gw_consumer_properties {
    char group[256]; /* group.id; "": none */
    bool earliest, auto_commit;
    int auto_commit_ms;
    size_t poll_messages;                     /* max.poll.records; 0: not given */
    struct gw_property passed[GW_PASSED_MAX]; /* librdkafka's names; the values lie in texts */
    char texts[GW_PASSED_MAX][24];
    size_t count;
};

/* value: the object, or NULL for the defaults. SL_INVALID_ARGUMENT: the text names the property. */
sl_status gw_consumer_properties_parse(const json_t *value, struct gw_consumer_properties *properties,
                                       sl_error *error);

#endif
