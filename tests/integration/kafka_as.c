/*
 * What kcat would do to a secured Kafka with somebody's token, which Debian's kcat cannot show (its
 * librdkafka has no OIDC).
 *
 * kafka_as BROKERS CA-FILE TOKEN-FILE list
 *                                     produce TOPIC TEXT
 *                                     consume TOPIC GROUP  (the first message, without joining)
 *                                     join TOPIC GROUP     (the first message, as a member)
 *                                     reset TOPIC GROUP    (commits offset 0 of partition 0 for it)
 *                                     groups
 *                                     drop TOPIC
 *                                     burden TOPIC SIZE    (one message of so many bytes)
 *                                     transact TOPIC ID    (one message, in a transaction of that id)
 *
 * CA-FILE - : a Kafka that is not secured, which wants no token.
 * burden prints for how many ms Kafka then wants to hear no more of this client.
 * KAFKA_AS_CLIENT: the client id. Prints what it got; exit status 1: Kafka refused, whose reason is the last
 * line on standard error.
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAIT_MS = 15000 };

static char token[8192];
static rd_kafka_resp_err_t trouble;
static int throttled_ms;

_Noreturn static void refuse(rd_kafka_resp_err_t code, const char *what)
{
    fprintf(stderr, "%s: %s (%s)\n", what, rd_kafka_err2name(code), rd_kafka_err2str(code));
    exit(1);
}

static void on_token(rd_kafka_t *rk, const char *config, void *opaque)
{
    char text[300];
    (void)config, (void)opaque;
    if (rd_kafka_oauthbearer_set_token(rk, token, (int64_t)(time(NULL) + 3600) * 1000, "test", NULL, 0, text,
                                       sizeof text))
        rd_kafka_oauthbearer_set_token_failure(rk, text);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk, (void)opaque;
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__FATAL) {
        trouble = (rd_kafka_resp_err_t)code;
        fprintf(stderr, "%s\n", reason);
    }
}

static void on_throttle(rd_kafka_t *rk, const char *broker, int32_t number, int time_ms, void *opaque)
{
    (void)rk, (void)broker, (void)number, (void)opaque;
    throttled_ms = time_ms > throttled_ms ? time_ms : throttled_ms;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    *(rd_kafka_resp_err_t *)opaque = message->err;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[300];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text)) {
        fprintf(stderr, "%s\n", text);
        exit(2);
    }
}

/* transaction: an id, or NULL. */
static rd_kafka_t *open_as(char **arguments, rd_kafka_type_t type, const char *group, const char *transaction,
                           void *opaque)
{
    char text[300];
    const char *client = getenv("KAFKA_AS_CLIENT");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (client)
        set(conf, "client.id", client);
    if (transaction)
        set(conf, "transactional.id", transaction);
    set(conf, "bootstrap.servers", arguments[1]);
    if (strcmp(arguments[2], "-") != 0) {
        set(conf, "ssl.ca.location", arguments[2]);
        set(conf, "security.protocol", "sasl_ssl");
        set(conf, "sasl.mechanism", "OAUTHBEARER");
    }
    if (group)
        set(conf, "group.id", group);
    if (type == RD_KAFKA_CONSUMER)
        set(conf, "auto.offset.reset", "earliest");
    else
        set(conf, "message.timeout.ms", "15000");
    rd_kafka_conf_set_opaque(conf, opaque);
    rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, on_token);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_throttle_cb(conf, on_throttle);
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!rk) {
        fprintf(stderr, "%s\n", text);
        exit(2);
    }
    rd_kafka_poll(rk, 100); /* asks for the token */
    return rk;
}

static rd_kafka_t *open_handle(char **arguments, rd_kafka_type_t type, const char *group, void *opaque)
{
    return open_as(arguments, type, group, NULL, opaque);
}

static void list(char **arguments)
{
    rd_kafka_t *rk = open_handle(arguments, RD_KAFKA_PRODUCER, NULL, NULL);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 1, NULL, &metadata, WAIT_MS);
    rd_kafka_poll(rk, 0);
    if (code)
        refuse(trouble ? trouble : code, "list");
    for (int i = 0; i < metadata->topic_cnt; i++)
        puts(metadata->topics[i].topic);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_destroy(rk);
}

static void produce(char **arguments)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_t *rk = open_handle(arguments, RD_KAFKA_PRODUCER, NULL, &code);
    rd_kafka_resp_err_t taken = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(arguments[5]),
                                                  RD_KAFKA_V_VALUE(arguments[6], strlen(arguments[6])),
                                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (taken)
        refuse(taken, "produce");
    rd_kafka_flush(rk, WAIT_MS + 5000);
    if (code)
        refuse(trouble ? trouble : code, "produce");
    puts("written");
    rd_kafka_destroy(rk);
}

static void burden(char **arguments)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_t *rk = open_handle(arguments, RD_KAFKA_PRODUCER, NULL, &code);
    size_t size = strtoul(arguments[6], NULL, 10);
    char *payload = calloc(1, size);
    rd_kafka_resp_err_t taken =
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(arguments[5]), RD_KAFKA_V_VALUE(payload, size),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_FREE), RD_KAFKA_V_END);
    if (taken)
        refuse(taken, "burden");
    rd_kafka_flush(rk, WAIT_MS);
    rd_kafka_poll(rk, 100); /* the throttling is told beside the delivery */
    if (code)
        refuse(trouble ? trouble : code, "burden");
    printf("%d\n", throttled_ms);
    rd_kafka_destroy(rk);
}

static void require(rd_kafka_error_t *failure, const char *what)
{
    if (failure)
        refuse(rd_kafka_error_code(failure), what);
}

static void transact(char **arguments)
{
    static const char text[] = "in a transaction";
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_t *rk = open_as(arguments, RD_KAFKA_PRODUCER, NULL, arguments[6], &code);
    require(rd_kafka_init_transactions(rk, WAIT_MS), "init");
    require(rd_kafka_begin_transaction(rk), "begin");
    rd_kafka_resp_err_t taken = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(arguments[5]),
                                                  RD_KAFKA_V_VALUE((void *)(uintptr_t)text, sizeof text - 1),
                                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (taken)
        refuse(taken, "transact");
    require(rd_kafka_commit_transaction(rk, WAIT_MS), "commit");
    puts("committed");
    rd_kafka_destroy(rk);
}

/* Until there is a message, or Kafka refuses. */
static void receive(rd_kafka_t *rk)
{
    time_t end = time(NULL) + WAIT_MS / 1000;
    while (time(NULL) < end) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 500);
        if (trouble)
            refuse(trouble, "consume");
        if (message && message->err)
            refuse(message->err, "consume");
        if (message) {
            printf("%.*s\n", (int)message->len, (const char *)message->payload);
            rd_kafka_message_destroy(message);
            return;
        }
    }
    refuse(RD_KAFKA_RESP_ERR__TIMED_OUT, "consume");
}

static void consume(char **arguments, bool join)
{
    rd_kafka_t *rk = open_handle(arguments, RD_KAFKA_CONSUMER, arguments[6], NULL);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    for (int i = 0; i < (join ? 1 : 4); i++)
        rd_kafka_topic_partition_list_add(topics, arguments[5], join ? RD_KAFKA_PARTITION_UA : i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_resp_err_t code = join ? rd_kafka_subscribe(rk, topics) : rd_kafka_assign(rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (code)
        refuse(code, "consume");
    receive(rk);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

static void reset(char **arguments)
{
    rd_kafka_t *rk = open_handle(arguments, RD_KAFKA_CONSUMER, arguments[6], NULL);
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(offsets, arguments[5], 0)->offset = 0;
    rd_kafka_resp_err_t code = rd_kafka_commit(rk, offsets, 0);
    if (!code)
        code = offsets->elems[0].err;
    if (code)
        refuse(trouble ? trouble : code, "reset");
    puts("committed");
    rd_kafka_topic_partition_list_destroy(offsets);
    rd_kafka_destroy(rk);
}

static void groups(char **arguments)
{
    rd_kafka_t *rk = open_handle(arguments, RD_KAFKA_PRODUCER, NULL, NULL);
    const struct rd_kafka_group_list *found;
    rd_kafka_resp_err_t code = rd_kafka_list_groups(rk, NULL, &found, WAIT_MS);
    if (code)
        refuse(trouble ? trouble : code, "groups");
    for (int i = 0; i < found->group_cnt; i++)
        puts(found->groups[i].group);
    rd_kafka_group_list_destroy(found);
    rd_kafka_destroy(rk);
}

static void drop(char **arguments)
{
    rd_kafka_t *rk = open_handle(arguments, RD_KAFKA_PRODUCER, NULL, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(arguments[5]);
    rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    size_t count = 0;
    rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (!code) {
        const rd_kafka_topic_result_t **results =
            rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
        code = rd_kafka_topic_result_error(results[0]);
    }
    if (code)
        refuse(code, "drop");
    puts("dropped");
}

int main(int count, char **arguments)
{
    FILE *file = count >= 5 ? fopen(arguments[3], "r") : NULL;
    if (!file || (!fgets(token, sizeof token, file) && strcmp(arguments[2], "-") != 0)) {
        fprintf(stderr, "usage: kafka_as BROKERS CA-FILE TOKEN-FILE WHAT…\n");
        return 2;
    }
    fclose(file);
    token[strcspn(token, "\n")] = 0;
    const char *what = arguments[4];
    if (!strcmp(what, "list"))
        list(arguments);
    else if (!strcmp(what, "groups"))
        groups(arguments);
    else if (!strcmp(what, "produce") && count == 7)
        produce(arguments);
    else if (!strcmp(what, "consume") && count == 7)
        consume(arguments, false);
    else if (!strcmp(what, "join") && count == 7)
        consume(arguments, true);
    else if (!strcmp(what, "reset") && count == 7)
        reset(arguments);
    else if (!strcmp(what, "drop") && count == 6)
        drop(arguments);
    else if (!strcmp(what, "burden") && count == 7)
        burden(arguments);
    else if (!strcmp(what, "transact") && count == 7)
        transact(arguments);
    else
        return 2;
    return 0;
}
