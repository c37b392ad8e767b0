/* A server with routes that a test needs, and what its handlers and the test tell each other. */
#ifndef TESTS_UNIT_GW_SERVING_H
#define TESTS_UNIT_GW_SERVING_H

#include "support/cases.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "gw_client.h"

#include "gateway/http/server.h"

#define HOST "Host: x\r\n"

#define LATE_MAX ((size_t)140 << 20) /* of a body to /late */

struct shared {
    pthread_t decider;
    sem_t reached;             /* a handler is where the test wants it */
    struct gw_request *parked; /* unanswered; read after reached */
    atomic_int sent_whole, sent_broken;
    atomic_int freed, drained;
    atomic_size_t streamed;
    size_t quota; /* bytes that /stream takes before it pauses, and /late before it has enough */
    struct gw_server *server;
};

uint16_t start_with(struct shared *shared, struct gw_server_settings settings); /* the port */
uint16_t start(struct shared *shared);
void stop(struct shared *shared);

/* Sends a request on an open connection that is left unanswered: shared->parked has it. */
void ask_parked(struct shared *shared, int fd);

/* Sends a body of that size and reads the answer, on an open connection. */
void post(int fd, const char *path, size_t size, struct answer *answer);

#endif
