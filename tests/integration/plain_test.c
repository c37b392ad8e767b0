/* A platform without our extensions (streamlayer.gateway.extensions = false): what the official API can do is
 * done, and what it cannot do says so. */
#include "suite.h"
#include "support/proxy.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MIB = 1024 * 1024, KEYS = 5 };

static bool over_http(const char *connector)
{
    return !strcmp(connector, "http-connector");
}

#define must_lack(call, error, piece)                                                                        \
    do {                                                                                                     \
        must_fail(call, SL_UNSUPPORTED, error);                                                              \
        assert_says((error)->text, piece);                                                                   \
    } while (0)

/* One partition: the order of each partition id shows. */
static void plain_messages(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    send_numbers(producer, 0, COUNT, KEYS);
    producer_finish(&producer, &tally, COUNT);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, COUNT);
    assert_numbers(&inbox, 0, COUNT);
    int last[KEYS] = {-1, -1, -1, -1, -1};
    for (size_t i = 0; i < inbox.count; i++) {
        int number = number_of(inbox.messages[i]);
        char key[24];
        size_t size = 0, length = (size_t)snprintf(key, sizeof key, "key-%d", number % KEYS);
        const char *id = sl_message_partition_id(inbox.messages[i], &size);
        assert_int_equal(size, length);
        assert_memory_equal(id, key, length);
        assert_true(number > last[number % KEYS]);
        last[number % KEYS] = number;
        assert_int_equal(sl_message_offset(inbox.messages[i]).offset, i);
        assert_true(sl_message_timestamp_ms(inbox.messages[i]) > 0);
    }
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    sl_client_destroy(&client);
}

/* Up to 20 MiB by ingest, beyond by blob and publish; in their places among small ones. */
static void plain_large_messages(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, MIB, MIB + 1, 2, 20 * MIB, 20 * MIB + 1, 3, 0};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    struct layer layer;
    struct tally tally;
    struct inbox inbox = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    unsigned char *bytes = bytes_make(20 * MIB + 1, 1);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    for (int i = 0; i < COUNT; i++)
        send_bytes(producer, "k", bytes, sizes[i]);
    producer_finish(&producer, &tally, COUNT);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, COUNT);
    assert_int_equal(inbox.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        char sum[65];
        assert_payload(inbox.messages[i], bytes, sizes[i]);
        assert_int_equal(sl_message_data_handle(inbox.messages[i]) != NULL, sizes[i] > MIB);
        if (sizes[i] <= MIB)
            continue;
        sha256_of(bytes, sizes[i], sum);
        assert_string_equal(sl_message_checksum(inbox.messages[i]), sum);
        assert_int_equal(sl_message_data_size(inbox.messages[i]), sizes[i]);
    }
    inbox_free(&inbox);
    consumer_close(&consumer);
    tally_free(&tally);
    free(bytes);
    sl_client_destroy(&client);
}

/* Parts of a message that the official API has no place for. Over Kafka they need no platform. */
static void plain_producer_lacks(void **state)
{
    (void)state;
    struct layer layer;
    struct tally tally;
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    bool http = over_http(producer_connector());
    sl_message *message = NULL;
    must(sl_message_create(&message), NULL);
    must(sl_message_set_payload(message, "x", 1), NULL);
    must(sl_message_add_header(message, "a", "1", 1), NULL);
    if (http) {
        must_lack(sl_producer_send(producer, message, NULL, WAIT_MS, &error), &error, "headers");
        assert_says(error.text, "kafka-connector");
    } else {
        send_message(producer, message);
    }
    sl_message_clear(message);
    must(sl_message_set_payload(message, "x", 1), NULL);
    must(sl_message_set_timestamp_ms(message, 1700000000000), NULL);
    if (http)
        must_lack(sl_producer_send(producer, message, NULL, WAIT_MS, &error), &error, "timestamp");
    sl_message_clear(message);
    must(sl_message_set_payload(message, "x", 1), NULL);
    must(sl_message_set_crc(message, "1a2b"), NULL);
    if (http)
        must_lack(sl_producer_send(producer, message, NULL, WAIT_MS, &error), &error, "CRC");
    else
        send_message(producer, message);
    sl_message_destroy(&message);
    send_text(producer, "k", "after it");
    producer_finish(&producer, &tally, http ? 1 : 3);
    assert_int_equal(tally.offset.offset < 0 ? (http ? 0 : 2) : tally.offset.offset, http ? 0 : 2);
    tally_free(&tally);
    sl_client_destroy(&client);
}

static void plain_consumer_lacks(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    struct layer layer;
    struct inbox inbox = {0}, rest = {0};
    sl_error error = {0};
    sl_partition_position position;
    size_t count = 0;
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    produce_numbers(client, &layer, 0, COUNT, 1);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    receive(consumer, &inbox, COUNT);
    if (over_http(consumer_connector())) {
        must_lack(sl_consumer_seek_time(consumer, 1, &error), &error, "extensions");
        must_lack(sl_consumer_seek_to(consumer, SL_START_BEGIN, &error), &error, "extensions");
        must_lack(sl_consumer_pause(consumer, NULL, 0, &error), &error, "extensions");
        must_lack(sl_consumer_resume(consumer, NULL, 0, &error), &error, "extensions");
        must_lack(sl_consumer_positions(consumer, &position, 1, &count, &error), &error, "extensions");
        assert_says(error.text, platform_value("URL"));
        assert_says(error.text, "kafka-connector");
    } else {
        must(sl_consumer_seek_time(consumer, 1, &error), &error);
        receive(consumer, &rest, COUNT);
        must(sl_consumer_positions(consumer, &position, 1, &count, &error), &error);
        assert_int_equal(position.position, COUNT);
        inbox_free(&rest);
    }
    /* It goes on, and the official API has seeks to offsets and commits. */
    must(sl_consumer_seek(consumer, &(sl_offset){0, 30}, 1, &error), &error);
    receive(consumer, &rest, COUNT - 30);
    assert_numbers(&rest, 30, COUNT - 30);
    must(sl_consumer_commit_offsets(consumer, &(sl_offset){0, 34}, 1, &error), &error);
    consumer_close(&consumer);
    inbox_free(&rest);
    consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    receive(consumer, &rest, 5);
    assert_numbers(&rest, 35, 5);
    inbox_free(&inbox);
    inbox_free(&rest);
    consumer_close(&consumer);
    sl_client_destroy(&client);
}

static void plain_administration_lacks(void **state)
{
    (void)state;
    struct layer layer;
    sl_error error = {0};
    sl_group_list *list = NULL;
    sl_group *group = NULL;
    sl_layer_statistics statistics = {.struct_size = sizeof statistics};
    const sl_reset_spec spec = {.struct_size = sizeof spec, .to = SL_RESET_BEGIN, .dry_run = true};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    must_lack(sl_group_list_get(client, layer.hrn, LAYER, &list, &error), &error, "extensions");
    must_lack(sl_group_get(client, layer.hrn, LAYER, layer.group, &group, &error), &error, "extensions");
    must_lack(sl_group_reset(client, layer.hrn, LAYER, layer.group, &spec, &group, &error), &error,
              "extensions");
    must_lack(sl_layer_statistics_get(client, layer.hrn, LAYER, &statistics, &error), &error, "extensions");
    sl_client_destroy(&client);
}

/* Ends the subscription of which the proxy has seen a poll: the same request, but for a DELETE of it. */
static void end_subscription(struct proxy *proxy)
{
    char head[PROXY_HEAD], request[PROXY_HEAD + 100], answer[4096];
    int64_t end = now_ms() + WAIT_MS;
    while (!proxy_last(proxy, head)) {
        assert_true(now_ms() < end);
        breathe();
    }
    const char *tail = strstr(head, "/partitions"), *target = strchr(head, ' ');
    assert_true(target && tail && target < tail);
    int size = snprintf(request, sizeof request, "DELETE%.*s/subscribe%s", (int)(tail - target), target,
                        tail + strlen("/partitions"));
    unsigned port = 0;
    assert_int_equal(sscanf(platform_value("URL"), "http://127.0.0.1:%u", &port), 1);
    const struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(connection, (const struct sockaddr *)&server, sizeof server), 0);
    assert_int_equal(send(connection, request, (size_t)size, MSG_NOSIGNAL), size);
    ssize_t got = recv(connection, answer, sizeof answer - 1, 0);
    assert_true(got > 0);
    answer[got] = '\0';
    close(connection);
    assert_says(answer, "HTTP/1.1 200");
}

/* A subscription that is gone is made anew, and goes on after the last commit. */
static void plain_subscription_is_gone(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox inbox = {0}, rest = {0};
    sl_error error = {0};
    char url[100];
    sl_client *direct = client_make();
    layer_make(direct, 1, &layer);
    struct proxy *proxy = proxy_start(platform_value("URL"), "GET", "/partitions");
    assert_non_null(proxy);
    proxy_pass(proxy);
    snprintf(url, sizeof url, "%s/lookup/v1", proxy_url(proxy));
    sl_client *client = client_make_of(SETTING("endpoint-locator.discovery-service-url"), url,
                                       SETTING("stream.http.poll.max-wait"), "10 ms", NULL);
    produce_numbers(direct, &layer, 0, 100, 1);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    receive(consumer, &inbox, 100);
    must(sl_consumer_commit_offsets(consumer, &(sl_offset){0, 59}, 1, &error), &error);
    bool http = over_http(consumer_connector());
    if (http)
        end_subscription(proxy);
    produce_numbers(direct, &layer, 100, 50, 1);
    int first = http ? 60 : 100;
    receive(consumer, &rest, (size_t)(150 - first));
    for (size_t i = 0; i < rest.count; i++)
        assert_int_equal(number_of(rest.messages[i]), first + (int)i);
    must(sl_consumer_commit(consumer, rest.batches[rest.batch_count - 1], &error), &error);
    receive_nothing(consumer, 300);
    inbox_free(&inbox);
    inbox_free(&rest);
    consumer_close(&consumer);
    sl_client_destroy(&client);
    proxy_stop(&proxy);
    sl_client_destroy(&direct);
}

/* Several polls are the official API's parallel mode. */
static void plain_several_polls(void **state)
{
    (void)state;
    enum { COUNT = 600 };
    static struct reader reader;
    struct reader *const readers[] = {&reader};
    struct layer layer;
    struct inbox inbox = {0};
    sl_client *client = client_make_of(SETTING("stream.http.polls"), "3",
                                       SETTING("stream.http.poll.max-wait"), "50 ms", NULL);
    layer_make(client, 4, &layer);
    produce_numbers(client, &layer, 0, COUNT / 2, 20);
    reader_start_committing(&reader, consumer_make(client, &layer, layer.group, SL_START_BEGIN));
    produce_numbers(client, &layer, COUNT / 2, COUNT / 2, 20);
    readers_wait(readers, 1, COUNT);
    reader_stop(&reader, true);
    assert_shared(readers, 1, COUNT);
    reader_free(&reader);
    produce_numbers(client, &layer, COUNT, 50, 20);
    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    receive(consumer, &inbox, 50);
    assert_numbers(&inbox, COUNT, 50);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&client);
}

CASES_MAIN(cmocka_unit_test(plain_messages), cmocka_unit_test(plain_large_messages),
           cmocka_unit_test(plain_producer_lacks), cmocka_unit_test(plain_consumer_lacks),
           cmocka_unit_test(plain_administration_lacks), cmocka_unit_test(plain_subscription_is_gone),
           cmocka_unit_test(plain_several_polls))
