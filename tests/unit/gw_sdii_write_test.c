/* The writing of SDII lists where Kafka fails or has no room: what a list that is sent again finds. */
#include "support/cases.h"

#include "gw_apis.h"

#include <pthread.h>

#define LIST     INGEST "/sdiiMessageList"
#define PROTOBUF "Content-Type: application/x-protobuf\r\n"
#define COUNT    900
#define MESSAGE  "\x0a\x0a\x0a\x00\x12\x00\x22\x04" /* field 4 has four bytes, which follow */

/* A list of COUNT messages, each another. */
static size_t make_list(char out[COUNT * 12])
{
    for (unsigned i = 0; i < COUNT; i++) {
        memcpy(out + (size_t)i * 12, MESSAGE, 8);
        memcpy(out + (size_t)i * 12 + 8, &i, 4);
    }
    return (size_t)COUNT * 12;
}

static unsigned long long written(struct apis *apis)
{
    bool exists;
    struct gw_layer *layer = gw_catalogs_find(apis->gateway.catalogs, HRN, "l", &exists);
    assert_non_null(layer);
    unsigned long long count = atomic_load(&layer->counters->messages_in);
    gw_layer_unlink(layer);
    return count;
}

static void send_list(struct apis *apis, const char *trace, struct answer *answer)
{
    char list[COUNT * 12], headers[200];
    size_t size = make_list(list);
    snprintf(headers, sizeof headers, PROTOBUF "%s%s%s", trace ? "X-HERE-TraceId: " : "", trace ? trace : "",
             trace ? "\r\n" : "");
    apis_ask(apis, "a", "POST", LIST, headers, list, size, answer);
}

static void fail_half_way(const char *queue)
{
    struct apis *apis =
        apis_start("application/x-protobuf", KAFKA "producer.queue.buffering.max.messages", queue);
    struct answer answer;
    rd_kafka_mock_push_request_errors(apis->cluster, 0 /* Produce */, 2, RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_POLICY_VIOLATION);
    send_list(apis, "t", &answer);
    assert_int_equal(answer.status, 500);
    assert_non_null(strstr(answer.body, "\"kafka-refused\""));
    char part[80];
    unsigned long long before = written(apis);
    snprintf(part, sizeof part, "(%llu of %d messages are in their layers)", before, COUNT);
    if (!strstr(answer.body, part))
        fail_msg("not %s: %s", part, answer.body);
    assert_in_range(before, 1, COUNT - 1);
    send_list(apis, "t", &answer);
    if (answer.status != 200)
        fail_msg("%llu before: %s", before, answer.text);
    assert_non_null(strstr(answer.body, "\"ParentID\":\"t\""));
    assert_non_null(strstr(answer.body, ",\"t-899\"]}}"));
    assert_int_equal(written(apis), COUNT);
    send_list(apis, "t", &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(written(apis), COUNT);
    send_list(apis, NULL, &answer); /* no trace id of the client's: nothing tells that it is a repeat */
    assert_int_equal(answer.status, 200);
    assert_int_equal(written(apis), 2 * COUNT);
    apis_stop(apis);
}

static void a_list_that_failed_half_way_is_finished_when_it_is_sent_again(void **state)
{
    (void)state;
    fail_half_way("100000");
}

/* What waited for room when the list failed can be written by the next. */
static void so_is_one_that_waited_for_room(void **state)
{
    (void)state;
    fail_half_way("3");
}

static void *send_it(void *opaque)
{
    struct answer *answer = calloc(1, sizeof *answer);
    send_list(opaque, "t", answer);
    return answer;
}

/* Each of them waits for messages that the others hold, while none can give Kafka more. */
static void lists_that_wait_for_each_other_go_on(void **state)
{
    (void)state;
    struct apis *apis =
        apis_start("application/x-protobuf", KAFKA "producer.queue.buffering.max.messages", "3");
    pthread_t threads[6];
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_it, apis), 0);
    for (size_t i = 0; i < 6; i++) {
        void *answer;
        pthread_join(threads[i], &answer);
        if (((struct answer *)answer)->status != 200)
            fail_msg("%s", ((struct answer *)answer)->text);
        free(answer);
    }
    assert_int_equal(written(apis), COUNT);
    apis_stop(apis);
}

static void what_kafka_does_not_take_is_503_and_settled(void **state)
{
    (void)state;
    struct apis *apis = apis_start("application/x-protobuf", KAFKA "producer.delivery.timeout.ms", "1000");
    struct answer answer;
    rd_kafka_mock_broker_set_down(apis->cluster, 1);
    send_list(apis, "t", &answer);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.text, "\r\nRetry-After: "));
    assert_non_null(strstr(answer.body, "(0 of 900 messages"));
    rd_kafka_mock_broker_set_up(apis->cluster, 1);
    do /* until it is found again */
        send_list(apis, "t", &answer);
    while (answer.status == 503);
    assert_int_equal(answer.status, 200);
    assert_int_equal(written(apis), COUNT);
    apis_stop(apis);
}

CASES_MAIN(cmocka_unit_test(a_list_that_failed_half_way_is_finished_when_it_is_sent_again),
           cmocka_unit_test(so_is_one_that_waited_for_room),
           cmocka_unit_test(lists_that_wait_for_each_other_go_on),
           cmocka_unit_test(what_kafka_does_not_take_is_503_and_settled))
