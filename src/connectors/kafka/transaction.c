/*
 * Kafka's transactions. librdkafka waits by itself until all messages are acknowledged, and counts those
 * whose reports are not freed yet among them: so they are freed first.
 */
#include <string.h>

#include "base/error.h"
#include "base/time.h"
#include "connectors/kafka/kafka.h"

enum { CLUSTER_MS = 5000, EMPTY_MS = 2000 };

/* object is destroyed; NULL is no error. retriable and fatal tell the caller how to go on. */
static sl_status result(struct sl_kafka_client *client, rd_kafka_error_t *object, const char *what,
                        sl_error *error)
{
    if (!object)
        return SL_OK;
    bool again = rd_kafka_error_is_retriable(object) && !rd_kafka_error_txn_requires_abort(object);
    bool fatal = rd_kafka_error_is_fatal(object);
    rd_kafka_resp_err_t code = rd_kafka_error_code(object);
    char lack[SL_KAFKA_LACK];
    sl_status status = sl_kafka_error(error, code, "%s: %s%s", what, rd_kafka_error_string(object),
                                      sl_kafka_lack(client, code, lack));
    if (error) {
        error->retriable = again;
        error->fatal = fatal;
    }
    rd_kafka_error_destroy(object);
    return status;
}

sl_status sl_kafka_transactions_init(struct sl_kafka_client *client, int timeout_ms, sl_error *error)
{
    return result(client, rd_kafka_init_transactions(client->rk, timeout_ms),
                  "the producer cannot make transactions of its name", error);
}

sl_status sl_kafka_producer_begin(void *producer, sl_error *error)
{
    struct sl_kafka_client *client = sl_kafka_producer_client(producer);
    return result(client, rd_kafka_begin_transaction(client->rk), "no transaction can begin", error);
}

/* What is left until then, and no more than that. */
static int within(int64_t deadline_ms, int most_ms)
{
    int left = sl_remaining_ms(deadline_ms);
    return left < 0 || left > most_ms ? most_ms : left;
}

/* The offsets would be committed to the producer's cluster, where the consumer's group is not looked for. */
static sl_status check_cluster(struct sl_kafka_client *producer, struct sl_kafka_client *consumer,
                               int64_t deadline_ms, sl_error *error)
{
    char *one = rd_kafka_clusterid(producer->rk, within(deadline_ms, CLUSTER_MS)),
         *other = rd_kafka_clusterid(consumer->rk, within(deadline_ms, CLUSTER_MS));
    sl_status status = SL_OK;
    if (!one || !other)
        status =
            sl_error_set_retriable(error, SL_UNAVAILABLE, "Kafka at %.300s does not say which cluster it is",
                                   one ? consumer->brokers : producer->brokers);
    else if (strcmp(one, other) != 0)
        status = sl_error_set(
            error, SL_UNSUPPORTED,
            "the two layers are on different Kafka clusters (%.300s and %.300s), and a transaction is "
            "one cluster's own: commit with the consumer, after the deliveries",
            producer->brokers, consumer->brokers);
    if (one)
        rd_kafka_mem_free(producer->rk, one);
    if (other)
        rd_kafka_mem_free(consumer->rk, other);
    return status;
}

sl_status sl_kafka_producer_offsets(void *producer, void *consumer, const sl_offset *offsets, size_t count,
                                    int timeout_ms, sl_error *error)
{
    struct sl_kafka_client *client = sl_kafka_producer_client(producer);
    struct sl_kafka_consumer *reader = consumer;
    int64_t deadline_ms = sl_deadline_ms(timeout_ms);
    sl_status status = check_cluster(client, reader->client, deadline_ms, error);
    if (status)
        return status;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(reader->client->rk);
    if (list && group) {
        for (size_t i = 0; i < count; i++)
            rd_kafka_topic_partition_list_add(list, reader->topic, offsets[i].partition)->offset =
                offsets[i].offset + 1;
        status = result(
            client,
            rd_kafka_send_offsets_to_transaction(client->rk, list, group, sl_remaining_ms(deadline_ms)),
            "the offsets cannot be committed with the transaction", error);
    } else {
        status = sl_error_oom(error);
    }
    if (group)
        rd_kafka_consumer_group_metadata_destroy(group);
    if (list)
        rd_kafka_topic_partition_list_destroy(list);
    return status;
}

sl_status sl_kafka_producer_end(void *producer, bool commit, int timeout_ms, sl_error *error)
{
    struct sl_kafka_client *client = sl_kafka_producer_client(producer);
    int64_t deadline_ms = sl_deadline_ms(timeout_ms);
    if (commit) {
        sl_kafka_producer_empty(producer, sl_deadline_ms(within(deadline_ms, EMPTY_MS)));
        return result(client, rd_kafka_commit_transaction(client->rk, sl_remaining_ms(deadline_ms)),
                      "the transaction is not committed", error);
    }
    return result(client, rd_kafka_abort_transaction(client->rk, timeout_ms),
                  "the transaction is not aborted", error);
}
