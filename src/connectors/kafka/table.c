/* What the plug-in exports. */
#include "connectors/kafka/kafka.h"

extern const struct sl_connector sl_connector_table;

SL_API const struct sl_connector sl_connector_table = {
    .magic = SL_CONNECTOR_MAGIC,
    .abi = SL_CONNECTOR_ABI,
    .size = sizeof(struct sl_connector),
    .name = "kafka-connector",
    .direct = true,
    .max_payload = SL_PAYLOAD_INLINE_MAX,
    .producer_open = sl_kafka_producer_open,
    .producer_send = sl_kafka_producer_send,
    .producer_begin = sl_kafka_producer_begin,
    .producer_offsets = sl_kafka_producer_offsets,
    .producer_end = sl_kafka_producer_end,
    .producer_close = sl_kafka_producer_close,
    .producer_statistics = sl_kafka_producer_statistics,
    .consumer_open = sl_kafka_consumer_open,
    .consumer_poll = sl_kafka_consumer_poll,
    .consumer_commit = sl_kafka_consumer_commit,
    .consumer_commit_now = sl_kafka_consumer_commit_now,
    .consumer_seek = sl_kafka_consumer_seek,
    .consumer_seek_to = sl_kafka_consumer_seek_to,
    .consumer_seek_time = sl_kafka_consumer_seek_time,
    .consumer_pause = sl_kafka_consumer_pause,
    .consumer_positions = sl_kafka_consumer_positions,
    .consumer_statistics = sl_kafka_consumer_statistics,
    .consumer_group = sl_kafka_consumer_group,
    .consumer_close = sl_kafka_consumer_close,
};
