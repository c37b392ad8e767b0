/*
 * The load of the restart tests (restart_test.py): one producer and one consumer on a layer, and an account
 * of every message.
 *
 *   restart_load CONFIG HRN LAYER PRODUCER-CONNECTOR CONSUMER-CONNECTOR [ENDS]
 *
 * Sends until standard input ends; then waits for all reports, and until every delivered message was
 * received. Writes a line "delivered N received N" whenever a hundred more were received, and at the end one
 * JSON object: sent, delivered, failed, ended (of the failed ones: librdkafka's producer ended, and the
 * message may be written or not), received, lost (delivered, never received), again (received more than
 * once), disordered (a message whose first coming was before that of an earlier one of the same partition
 * id), ends (how often librdkafka's producer was made to end: ENDS times).
 */
#include "support/ending.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <streamlayer/streamlayer.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1000000, KEYS = 8, PAUSE_US = 1500, PATIENCE_MS = 150000, END_EACH = 200 };

struct account {
    pthread_mutex_t lock;
    unsigned char *delivered, *received; /* by message; how often */
    size_t sent, delivered_count, failed_count, ended_count, received_count, again, disordered;
    size_t ends, wanted_ends;
    long last[KEYS]; /* the highest number received of each partition id */
    char failure[SL_ERROR_TEXT_SIZE];
    atomic_bool stop;
    sl_consumer *consumer;
};

static void pause_us(long microseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = microseconds * 1000}, NULL);
}

static long long mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static _Noreturn void give_up(const char *what, const sl_error *error)
{
    fprintf(stderr, "restart_load: %s: %s\n", what, error ? error->text : "");
    exit(1);
}

static void on_delivery(void *opaque, void *message_opaque, const sl_delivery *delivery)
{
    struct account *account = opaque;
    size_t number = (size_t)(uintptr_t)message_opaque;
    pthread_mutex_lock(&account->lock);
    if (sl_delivery_status(delivery) == SL_OK) {
        account->delivered[number]++;
        account->delivered_count++;
    } else {
        const sl_error *error = sl_delivery_error(delivery);
        account->failed_count++;
        account->ended_count += error->retriable && strstr(error->text, "the Kafka producer ended") != NULL;
        snprintf(account->failure, sizeof account->failure, "%s", error->text);
    }
    pthread_mutex_unlock(&account->lock);
}

static void note(struct account *account, const sl_message *message)
{
    size_t size = 0;
    const char *payload = sl_message_payload(message, &size);
    char text[32] = "";
    memcpy(text, payload, size < sizeof text - 1 ? size : sizeof text - 1);
    long number = strtol(text, NULL, 10);
    if (number < 0 || number >= MOST)
        give_up("a message that nobody sent", NULL);
    if (account->received[number]) {
        account->again++;
    } else {
        account->received_count++;
        long *last = &account->last[number % KEYS];
        if (number < *last)
            account->disordered++;
        else
            *last = number;
    }
    if (account->received[number] < 255)
        account->received[number]++;
}

static void *consume(void *opaque)
{
    struct account *account = opaque;
    size_t told = 0;
    while (!atomic_load(&account->stop)) {
        sl_batch *batch = NULL;
        sl_error error = {0};
        if (sl_consumer_poll(account->consumer, 200, 0, &batch, &error)) {
            if (error.fatal)
                give_up("the consumer failed for good", &error);
            fprintf(stderr, "poll: %s\n", error.text);
            pause_us(50000);
            continue;
        }
        pthread_mutex_lock(&account->lock);
        for (size_t i = 0; i < sl_batch_count(batch); i++)
            note(account, sl_batch_message(batch, i));
        size_t delivered = account->delivered_count, received = account->received_count;
        pthread_mutex_unlock(&account->lock);
        /* A commit that fails is no loss: what is not committed comes again. */
        if (batch && sl_consumer_commit(account->consumer, batch, &error))
            fprintf(stderr, "commit: %s\n", error.text);
        sl_batch_destroy(&batch);
        if (received / 100 > told / 100) {
            printf("delivered %zu received %zu\n", delivered, received);
            fflush(stdout);
            told = received;
        }
    }
    return NULL;
}

static bool input_ended(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

/* What is refused for now, as between two producers of librdkafka's, is sent again. */
static void send_patiently(sl_producer *producer, const sl_message *message, size_t number)
{
    sl_error error = {0};
    long long until = mono_ms() + PATIENCE_MS;
    while (sl_producer_send(producer, message, (void *)(uintptr_t)number, PATIENCE_MS, &error)) {
        if (!error.retriable || mono_ms() > until)
            give_up("sending", &error);
        pause_us(20000);
    }
}

static void produce(struct account *account, sl_producer *producer)
{
    sl_message *message = NULL;
    sl_error error = {0};
    if (sl_message_create(&message))
        give_up("no memory", NULL);
    for (size_t i = 0; i < MOST && !input_ended(); i++) {
        char key[16], payload[200];
        snprintf(key, sizeof key, "key-%zu", i % KEYS);
        memset(payload, ' ', sizeof payload);
        payload[snprintf(payload, sizeof payload, "%zu", i)] = ' ';
        if (sl_message_set_partition_id(message, key, strlen(key)) ||
            sl_message_set_payload(message, payload, sizeof payload))
            give_up("setting a message up", NULL);
        send_patiently(producer, message, i);
        account->sent = i + 1;
        if (i % END_EACH == END_EACH / 2 && account->ends < account->wanted_ends)
            account->ends += end_kafka_producer();
        pause_us(PAUSE_US);
    }
    sl_message_destroy(&message);
    if (sl_producer_flush(producer, PATIENCE_MS, &error))
        give_up("flushing", &error);
}

static size_t count_lost(struct account *account)
{
    size_t lost = 0;
    pthread_mutex_lock(&account->lock);
    for (size_t i = 0; i < account->sent; i++)
        lost += account->delivered[i] && !account->received[i];
    pthread_mutex_unlock(&account->lock);
    return lost;
}

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 7) {
        fputs("usage: restart_load CONFIG HRN LAYER PRODUCER CONSUMER [ENDS]\n", stderr);
        return 2;
    }
    struct account account = {.lock = PTHREAD_MUTEX_INITIALIZER};
    account.wanted_ends = argc == 7 ? strtoul(argv[6], NULL, 10) : 0;
    account.delivered = calloc(MOST, 1);
    account.received = calloc(MOST, 1);
    for (size_t i = 0; i < KEYS; i++)
        account.last[i] = -1;
    sl_config *config = NULL;
    sl_client *client = NULL;
    sl_producer *producer = NULL;
    sl_producer_options *to = NULL;
    sl_consumer_options *from = NULL;
    sl_error error = {0};
    if (!account.delivered || !account.received || sl_config_create(&config, &error) ||
        sl_config_load_file(config, argv[1], &error) || sl_client_create(config, NULL, NULL, &client, &error))
        give_up("the client", &error);
    if (sl_producer_options_create(&to) || sl_producer_options_set_connector(to, argv[4]) ||
        sl_producer_options_set_queue(to, 2000, (size_t)8 << 20) ||
        sl_producer_options_set_delivery(to, on_delivery, &account) || sl_consumer_options_create(&from) ||
        sl_consumer_options_set_connector(from, argv[5]) ||
        sl_consumer_options_set_start(from, SL_START_BEGIN) ||
        sl_consumer_options_set_auto_commit(from, false, 0))
        give_up("options", NULL);
    if (sl_consumer_create(client, argv[2], argv[3], from, &account.consumer, &error) ||
        sl_producer_create(client, argv[2], argv[3], to, &producer, &error))
        give_up("opening", &error);
    sl_producer_options_destroy(&to);
    sl_consumer_options_destroy(&from);

    pthread_t thread;
    if (pthread_create(&thread, NULL, consume, &account))
        give_up("no thread", NULL);
    produce(&account, producer);
    long long until = mono_ms() + PATIENCE_MS;
    while (count_lost(&account) && mono_ms() < until)
        pause_us(20000);
    atomic_store(&account.stop, true);
    pthread_join(thread, NULL);
    if (sl_producer_close(&producer, PATIENCE_MS, &error) || sl_consumer_close(&account.consumer, &error))
        fprintf(stderr, "closing: %s\n", error.text);
    size_t lost = count_lost(&account);
    if (account.failed_count)
        fprintf(stderr, "a message was not delivered: %s\n", account.failure);
    printf("{\"sent\":%zu,\"delivered\":%zu,\"failed\":%zu,\"ended\":%zu,\"received\":%zu,\"lost\":%zu,"
           "\"again\":%zu,\"disordered\":%zu,\"ends\":%zu}\n",
           account.sent, account.delivered_count, account.failed_count, account.ended_count,
           account.received_count, lost, account.again, account.disordered, account.ends);
    sl_client_destroy(&client);
    sl_config_destroy(&config);
    free(account.delivered);
    free(account.received);
    return 0;
}
