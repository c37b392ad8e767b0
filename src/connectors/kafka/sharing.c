/*
 * Two applications with the same credentials that name no group share the layer's messages: each sees a part.
 * That is the rule, and a trap; who walks into it is told.
 */
#include <stdlib.h>
#include <string.h>

#include "connectors/kafka/kafka.h"
#include "wire/hrn.h"

enum { ASK_MS = 1000 };

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

/*
 * rd_kafka_list_groups, though it asks every broker: librdkafka 2.0.2 aborts the process when a question to
 * the group's coordinator has timed out in it and the coordinator is found later. Not on the consumer's own
 * connections, where it would wait for fetches.
 */
static size_t member_count(struct sl_kafka_consumer *consumer)
{
    const struct rd_kafka_group_list *list = NULL;
    size_t members = 0;
    /* It gives a list with some errors, too: where one broker of several is silent. */
    rd_kafka_list_groups(sl_kafka_asker(consumer), consumer->group, &list, ASK_MS);
    for (int i = 0; list && i < list->group_cnt; i++)
        if (!list->groups[i].err && !strcmp(list->groups[i].group, consumer->group))
            members = (size_t)list->groups[i].member_cnt;
    if (list)
        rd_kafka_group_list_destroy(list);
    return members;
}

void sl_kafka_warn_of_sharing(struct sl_kafka_consumer *consumer, const struct sl_target *target)
{
    if (!is_default(consumer->group, target))
        return;
    size_t members = member_count(consumer);
    if (members > 1)
        sl_kafka_client_log(consumer->client, SL_LOG_WARNING,
                            "the default consumer group \"%s\" has %zu other member%s: with the same "
                            "credentials they share the "
                            "layer's messages, and each sees only a part; to see all, name a group of its "
                            "own in " SL_KAFKA_SETTINGS
                            "consumer.group, or with sl_consumer_options_set_group",
                            consumer->group, members - 1, members > 2 ? "s" : "");
}
