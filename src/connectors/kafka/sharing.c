/*
 * Two applications with the same credentials that name no group share the layer's messages: each sees a part.
 * That is the rule, and a trap; who walks into it is told.
 */
#include <stdlib.h>
#include <string.h>

#include "connectors/kafka/kafka.h"
#include "wire/hrn.h"

enum { DESCRIBE_MS = 3000 };

/* Whether the group's name is the one made for who names none: prefixes go before it. */
static bool is_default(const char *group, const struct sl_target *target)
{
    char *made = sl_group_default(target->hrn, target->layer);
    if (!made)
        return false;
    size_t size = strlen(group), end = strlen(made);
    bool same = size >= end && !strcmp(group + size - end, made);
    free(made);
    return same;
}

static size_t member_count(struct sl_kafka_client *client, const char *group)
{
    char text[100];
    size_t members = 0;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client->rk);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client->rk, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    if (queue && options &&
        !rd_kafka_AdminOptions_set_request_timeout(options, DESCRIBE_MS, text, sizeof text)) {
        rd_kafka_DescribeConsumerGroups(client->rk, &group, 1, options, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, DESCRIBE_MS + 1000);
        const rd_kafka_DescribeConsumerGroups_result_t *result =
            event ? rd_kafka_event_DescribeConsumerGroups_result(event) : NULL;
        size_t count = 0;
        const rd_kafka_ConsumerGroupDescription_t **groups =
            result ? rd_kafka_DescribeConsumerGroups_result_groups(result, &count) : NULL;
        if (count == 1)
            members = rd_kafka_ConsumerGroupDescription_member_count(groups[0]);
        if (event)
            rd_kafka_event_destroy(event);
    }
    if (options)
        rd_kafka_AdminOptions_destroy(options);
    if (queue)
        rd_kafka_queue_destroy(queue);
    return members;
}

void sl_kafka_warn_of_sharing(struct sl_kafka_consumer *consumer, const struct sl_target *target)
{
    if (!is_default(consumer->group, target))
        return;
    size_t members = member_count(consumer->client, consumer->group);
    if (members > 1)
        sl_kafka_client_log(consumer->client, SL_LOG_WARNING,
                            "the default consumer group \"%s\" has %zu other member%s: with the same "
                            "credentials they share the "
                            "layer's messages, and each sees only a part; to see all, name a group of its "
                            "own in " SL_KAFKA_SETTINGS
                            "consumer.group, or with sl_consumer_options_set_group",
                            consumer->group, members - 1, members > 2 ? "s" : "");
}
