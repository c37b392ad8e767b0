/*
 * For programs that load the kafka-connector: librdkafka's producer, made to end. They export their names
 * (ENABLE_EXPORTS), so that the plug-in's calls of rd_kafka_new come to the one here.
 */
#ifndef TESTS_SUPPORT_ENDING_H
#define TESTS_SUPPORT_ENDING_H

#include <stdbool.h>

/* As when it has lost count of what the broker has; the plug-in's newest idempotent one. false: that one was
 * ended here before. */
bool end_kafka_producer(void);

#endif
