/*
 * How fast the library is, beside bare librdkafka in the same run: sends COUNT messages of SIZE bytes, or
 * receives as many, and prints one line of JSON. With WAY "librdkafka" the library is left out: that is the
 * reference, with settings of librdkafka's to tune it.
 *
 *   bench_client produce|consume WAY HRN LAYER BROKERS TOPIC COUNT SIZE [NAME=VALUE…]
 *   WAY: kafka-connector, http-connector or librdkafka
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <streamlayer/streamlayer.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define KEYS 64

static double clock_s(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct timing {
    double wall, cpu;
};

static struct timing start(void)
{
    return (struct timing){clock_s(CLOCK_MONOTONIC), clock_s(CLOCK_PROCESS_CPUTIME_ID)};
}

static struct timing stop(struct timing begun)
{
    return (struct timing){clock_s(CLOCK_MONOTONIC) - begun.wall,
                           clock_s(CLOCK_PROCESS_CPUTIME_ID) - begun.cpu};
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_client: %s: %s\n", what, why);
    exit(1); /* NOLINT(concurrency-mt-unsafe): the program is over */
}

struct job {
    const char *way, *hrn, *layer, *brokers, *topic;
    size_t count, size;
    char *payload;
    size_t failed;
    char **settings; /* NAME=VALUE, for librdkafka */
    size_t setting_count;
};

/* The library. */

static void delivered(void *opaque, void *message, const sl_delivery *delivery)
{
    (void)message;
    if (sl_delivery_status(delivery))
        ((struct job *)opaque)->failed++;
}

static sl_client *open_client(void)
{
    sl_client *client = NULL;
    sl_error error;
    if (sl_client_create(NULL, NULL, NULL, &client, &error))
        die("client", error.text);
    return client;
}

static struct timing library_produce(struct job *job)
{
    sl_client *client = open_client();
    sl_producer_options *options = NULL;
    sl_producer *producer = NULL;
    sl_message *message = NULL;
    sl_error error;
    if (sl_producer_options_create(&options) || sl_producer_options_set_connector(options, job->way) ||
        sl_producer_options_set_delivery(options, delivered, job) || sl_message_create(&message))
        die("options", "refused");
    if (sl_producer_create(client, job->hrn, job->layer, options, &producer, &error))
        die("producer", error.text);
    struct timing begun = start();
    for (size_t i = 0; i < job->count; i++) {
        char key[16];
        int length = snprintf(key, sizeof key, "k%zu", i % KEYS);
        if (sl_message_set_partition_id(message, key, (size_t)length) ||
            sl_message_set_payload(message, job->payload, job->size) ||
            sl_producer_send(producer, message, NULL, -1, &error))
            die("send", error.text);
    }
    if (sl_producer_flush(producer, -1, &error))
        die("flush", error.text);
    struct timing took = stop(begun);
    sl_message_destroy(&message);
    sl_producer_close(&producer, -1, NULL);
    sl_producer_options_destroy(&options);
    sl_client_destroy(&client);
    return took;
}

static struct timing library_consume(struct job *job)
{
    sl_client *client = open_client();
    sl_consumer_options *options = NULL;
    sl_consumer *consumer = NULL;
    sl_error error;
    char group[64];
    snprintf(group, sizeof group, "bench-%ld-%ld", (long)time(NULL), (long)getpid());
    if (sl_consumer_options_create(&options) || sl_consumer_options_set_connector(options, job->way) ||
        sl_consumer_options_set_group(options, group) ||
        sl_consumer_options_set_start(options, SL_START_BEGIN) ||
        sl_consumer_options_set_auto_commit(options, false, 0))
        die("options", "refused");
    struct timing begun = start();
    if (sl_consumer_create(client, job->hrn, job->layer, options, &consumer, &error))
        die("consumer", error.text);
    for (size_t received = 0; received < job->count;) {
        sl_batch *batch = NULL;
        if (sl_consumer_poll(consumer, -1, 0, &batch, &error))
            die("poll", error.text);
        if (!received)
            begun = start(); /* joining the group is no part of the rate */
        received += sl_batch_count(batch);
        sl_batch_destroy(&batch);
    }
    struct timing took = stop(begun);
    sl_consumer_close(&consumer, NULL);
    sl_consumer_options_destroy(&options);
    sl_client_destroy(&client);
    return took;
}

/* The reference. */

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[512];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text))
        die("librdkafka", text);
}

/* As every program that must not lose a message, it looks at each delivery report. */
static void reported(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    if (message->err)
        ((struct job *)opaque)->failed++;
}

/* Takes conf. */
static rd_kafka_t *reference(struct job *job, rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char text[512];
    set(conf, "bootstrap.servers", job->brokers);
    rd_kafka_conf_set_opaque(conf, job);
    for (size_t i = 0; i < job->setting_count; i++) {
        char *name = strdup(job->settings[i]), *value = name ? strchr(name, '=') : NULL;
        if (!value)
            die("usage", "settings are NAME=VALUE");
        *value = 0;
        set(conf, name, value + 1);
        free(name);
    }
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!rk)
        die("librdkafka", text);
    return rk;
}

static struct timing reference_produce(struct job *job)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "enable.idempotence", "true");
    set(conf, "partitioner", "murmur2_random");
    rd_kafka_conf_set_dr_msg_cb(conf, reported);
    rd_kafka_t *rk = reference(job, RD_KAFKA_PRODUCER, conf);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, job->topic, NULL);
    const struct rd_kafka_metadata *metadata; /* the library asks too, before it counts as open */
    if (rd_kafka_metadata(rk, 0, topic, &metadata, 10000))
        die("librdkafka", "no metadata");
    rd_kafka_metadata_destroy(metadata);
    struct timing begun = start();
    for (size_t i = 0; i < job->count; i++) {
        char key[16];
        int length = snprintf(key, sizeof key, "k%zu", i % KEYS);
        while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, job->payload, job->size,
                                key, (size_t)length, NULL))
            rd_kafka_poll(rk, 10);
        rd_kafka_poll(rk, 0);
    }
    rd_kafka_flush(rk, 600000);
    struct timing took = stop(begun);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(rk);
    return took;
}

static struct timing reference_consume(struct job *job)
{
    char group[64];
    snprintf(group, sizeof group, "bench-reference-%ld-%ld", (long)time(NULL), (long)getpid());
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", group);
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "enable.auto.commit", "false");
    rd_kafka_t *rk = reference(job, RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, job->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(rk, topics);
    struct timing begun = start();
    for (size_t received = 0; received < job->count;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 1000);
        if (!message)
            continue;
        if (!received)
            begun = start();
        received += !message->err;
        rd_kafka_message_destroy(message);
    }
    struct timing took = stop(begun);
    rd_kafka_topic_partition_list_destroy(topics);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return took;
}

int main(int argc, char **argv)
{
    bool produces = argc > 1 && !strcmp(argv[1], "produce");
    if (argc < 9 || (!produces && strcmp(argv[1], "consume")))
        die("usage", "bench_client produce|consume WAY HRN LAYER BROKERS TOPIC COUNT SIZE [NAME=VALUE...]");
    struct job job = {
        .way = argv[2],
        .hrn = argv[3],
        .layer = argv[4],
        .brokers = argv[5],
        .topic = argv[6],
        .count = strtoull(argv[7], NULL, 10),
        .size = strtoull(argv[8], NULL, 10),
        .settings = argv + 9,
        .setting_count = (size_t)argc - 9,
    };
    job.payload = malloc(job.size + 1);
    if (!job.payload || !job.count)
        die("usage", "COUNT and SIZE are numbers");
    for (size_t i = 0; i < job.size; i++)
        job.payload[i] = (char)('a' + i % 26);
    bool bare = !strcmp(job.way, "librdkafka");
    struct timing took = bare       ? produces ? reference_produce(&job) : reference_consume(&job)
                               : produces ? library_produce(&job)
                                    : library_consume(&job);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"way\":\"%s\",\"operation\":\"%s\",\"size\":%zu,\"count\":%zu,\"failed\":%zu,\"per_s\":%.0f,"
           "\"cpu_us\":%.3f,\"rss_mb\":%ld}\n",
           job.way, argv[1], job.size, job.count, job.failed, (double)job.count / took.wall,
           took.cpu * 1e6 / (double)job.count, usage.ru_maxrss / 1024);
    free(job.payload);
    return job.failed != 0;
}
