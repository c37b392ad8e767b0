/* Inside a consumer: shared by its options and its core. */
#ifndef SL_CLIENT_CONSUMER_H
#define SL_CLIENT_CONSUMER_H

#include <streamlayer/consumer.h>

struct sl_consumer_options {
    char *connector; /* NULL: as configured */
    char *group;     /* NULL: as configured */
    sl_start start;
    int auto_commit; /* -1: as configured, 0: off, 1: on */
    int auto_commit_interval_ms;
};

#endif
