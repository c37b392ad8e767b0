#include "ending.h"

#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <string.h>

static struct {
    pthread_mutex_t lock;
    rd_kafka_t *newest; /* NULL once it was ended: it may be gone at any time */
} producers = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_idempotent(const rd_kafka_conf_t *conf)
{
    char value[8] = "";
    size_t size = sizeof value;
    return !rd_kafka_conf_get(conf, "enable.idempotence", value, &size) && !strcmp(value, "true");
}

__attribute__((visibility("default"))) rd_kafka_t *rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf,
                                                                char *errstr, size_t errstr_size)
{
    union {
        void *found;
        rd_kafka_t *(*call)(rd_kafka_type_t, rd_kafka_conf_t *, char *, size_t);
    } librdkafkas = {dlsym(RTLD_NEXT, "rd_kafka_new")};
    bool writes = type == RD_KAFKA_PRODUCER && is_idempotent(conf);
    rd_kafka_t *made = librdkafkas.call(type, conf, errstr, errstr_size);
    if (writes) {
        pthread_mutex_lock(&producers.lock);
        producers.newest = made;
        pthread_mutex_unlock(&producers.lock);
    }
    return made;
}

bool end_kafka_producer(void)
{
    pthread_mutex_lock(&producers.lock);
    rd_kafka_t *ended = producers.newest;
    producers.newest = NULL;
    if (ended)
        rd_kafka_test_fatal_error(ended, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "a test's");
    pthread_mutex_unlock(&producers.lock);
    return ended != NULL;
}
