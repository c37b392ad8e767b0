/* Inside a producer: shared by its options and its core. */
#ifndef SL_CLIENT_PRODUCER_H
#define SL_CLIENT_PRODUCER_H

#include <streamlayer/producer.h>

struct sl_producer_options {
    sl_delivery_callback delivery;
    void *opaque;
    char *connector;     /* NULL: as configured */
    size_t max_messages; /* 0: as configured */
    size_t max_bytes;
    int compress;      /* -1: as configured, 0: off, 1: on */
    int statistics_ms; /* 0: none */
    sl_statistics_callback statistics;
    void *statistics_opaque;
};

#endif
