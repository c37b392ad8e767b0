/*
 * How fast the library is, beside bare librdkafka in the same run: sends COUNT messages of SIZE bytes, then
 * receives them, and prints one line of JSON. With WAY "librdkafka" the library is left out: that is the
 * reference.
 *
 *   bench_client WAY HRN LAYER BROKERS TOPIC COUNT SIZE      WAY: kafka-connector, http-connector or
 * librdkafka
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <streamlayer/streamlayer.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

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
    exit(1);
}

struct job {
    const char *way, *hrn, *layer, *brokers, *topic;
    size_t count, size;
    char *payload;
    size_t failed;
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
    snprintf(group, sizeof group, "bench-%ld", (long)time(NULL));
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

static rd_kafka_t *reference(const struct job *job, rd_kafka_type_t type, const char *const settings[][2],
                             size_t count)
{
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", job->brokers, text, sizeof text))
        die("librdkafka", text);
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], text, sizeof text))
            die("librdkafka", text);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!rk)
        die("librdkafka", text);
    return rk;
}

static struct timing reference_produce(struct job *job)
{
    static const char *const settings[][2] = {
        {"enable.idempotence", "true"}, {"linger.ms", "5"}, {"partitioner", "murmur2_random"}};
    rd_kafka_t *rk = reference(job, RD_KAFKA_PRODUCER, settings, 3);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, job->topic, NULL);
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
    snprintf(group, sizeof group, "bench-reference-%ld", (long)time(NULL));
    const char *const settings[][2] = {
        {"group.id", group}, {"auto.offset.reset", "earliest"}, {"enable.auto.commit", "false"}};
    rd_kafka_t *rk = reference(job, RD_KAFKA_CONSUMER, settings, 3);
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
    if (argc != 8)
        die("usage", "bench_client WAY HRN LAYER BROKERS TOPIC COUNT SIZE");
    struct job job = {
        argv[1], argv[2], argv[3], argv[4], argv[5], strtoull(argv[6], NULL, 10), strtoull(argv[7], NULL, 10),
        NULL,    0};
    job.payload = malloc(job.size + 1);
    if (!job.payload || !job.count)
        die("usage", "COUNT and SIZE are numbers");
    for (size_t i = 0; i < job.size; i++)
        job.payload[i] = (char)('a' + i % 26);
    bool bare = !strcmp(job.way, "librdkafka");
    struct timing produce = bare ? reference_produce(&job) : library_produce(&job);
    struct timing consume = bare ? reference_consume(&job) : library_consume(&job);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"way\":\"%s\",\"size\":%zu,\"count\":%zu,\"failed\":%zu,\"produce_per_s\":%.0f,\"produce_cpu_"
           "us\":%.2f,"
           "\"consume_per_s\":%.0f,\"consume_cpu_us\":%.2f,\"rss_mb\":%ld}\n",
           job.way, job.size, job.count, job.failed, (double)job.count / produce.wall,
           produce.cpu * 1e6 / (double)job.count, (double)job.count / consume.wall,
           consume.cpu * 1e6 / (double)job.count, usage.ru_maxrss / 1024);
    free(job.payload);
    return job.failed != 0;
}
