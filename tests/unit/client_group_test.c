/* Consumer groups and statistics: what is asked of a platform, and what becomes of its answers. */
#include "support/cases.h"

#include "web.h"

#include <pthread.h>
#include <stdlib.h>
#include <streamlayer/streamlayer.h>

#define HRN "hrn:here:data::local:test"

struct platform {
    struct web *web;
    bool extended;
    pthread_mutex_t lock; /* of what follows */
    const char *answer;   /* to calls of the stream API, with 200 unless: */
    int status;
    char method[8], path[200], body[200], dry_run[16]; /* of the last of them */
    int calls;
};

static void serve_stream(struct platform *p, const struct web_request *request, struct web_answer *answer)
{
    pthread_mutex_lock(&p->lock);
    p->calls++;
    const char *dry_run = web_query(request, "dryRun");
    snprintf(p->method, sizeof p->method, "%s", request->method);
    snprintf(p->path, sizeof p->path, "%s", request->path);
    snprintf(p->body, sizeof p->body, "%s", request->body);
    snprintf(p->dry_run, sizeof p->dry_run, "%s", dry_run ? dry_run : "");
    web_text(answer, p->status ? p->status : 200, "application/json", p->answer);
    pthread_mutex_unlock(&p->lock);
}

static void serve(void *opaque, const struct web_request *request, struct web_answer *answer)
{
    struct platform *p = opaque;
    if (!web_introduces(p->web, request, answer, "stream", "v2", "/S", p->extended))
        serve_stream(p, request, answer);
}

static sl_client *start(struct platform *p, bool extended)
{
    memset(p, 0, sizeof *p);
    p->extended = extended;
    pthread_mutex_init(&p->lock, NULL);
    p->web = web_start(serve, p);
    return web_client(p->web, NULL);
}

static void stop(struct platform *p, sl_client *client)
{
    sl_client_destroy(&client);
    web_stop(p->web);
    pthread_mutex_destroy(&p->lock);
}

static void will_answer(struct platform *p, int status, const char *answer)
{
    pthread_mutex_lock(&p->lock);
    p->status = status;
    p->answer = answer;
    pthread_mutex_unlock(&p->lock);
}

static void groups_are_listed(void **state)
{
    (void)state;
    struct platform p;
    sl_client *client = start(&p, true);
    sl_group_list *list = NULL;
    sl_error error;
    will_answer(&p, 200,
                "{\"groups\":[{\"group\":\"a\",\"kafkaGroup\":\"app.a\",\"state\":\"Stable\",\"members\":2},"
                "{\"group\":\"b\",\"kafkaGroup\":\"app.b\",\"state\":\"Empty\",\"members\":0}]}");
    if (sl_group_list_get(client, HRN, "cars", &list, &error))
        fail_msg("%s", error.text);
    assert_string_equal(p.method, "GET");
    assert_string_equal(p.path, "/S/layers/cars/groups");
    assert_int_equal(sl_group_list_count(list), 2);
    const sl_group *group = sl_group_list_at(list, 0);
    assert_string_equal(sl_group_name(group), "a");
    assert_string_equal(sl_group_kafka_name(group), "app.a");
    assert_string_equal(sl_group_state(group), "Stable");
    assert_int_equal(sl_group_member_count(group), 2);
    sl_group_member member = {.struct_size = sizeof member};
    assert_false(sl_group_member_at(group, 0, &member));
    assert_int_equal(sl_group_partition_count(group), 0);
    assert_non_null(strstr(sl_group_json(group), "\"app.a\""));
    assert_null(strstr(sl_group_json(group), "\"app.b\""));
    assert_non_null(strstr(sl_group_list_json(list), "\"app.b\""));
    assert_null(sl_group_list_at(list, 2));
    sl_group_list_destroy(&list);
    assert_null(list);
    stop(&p, client);
}

#define GROUP_TEXT                                                                                           \
    "{\"group\":\"g\",\"kafkaGroup\":\"app.g\",\"state\":\"Stable\",\"members\":[{\"memberId\":\"m\","       \
    "\"clientId\":\"c\",\"host\":\"/h\",\"partitions\":[1,3]},{\"memberId\":\"n\"}],\"partitions\":["        \
    "{\"partition\":0,\"begin\":2,\"end\":9,\"lag\":7},"                                                     \
    "{\"partition\":1,\"begin\":0,\"end\":9,\"committed\":5,\"before\":3,\"lag\":4}]}"

static void a_group_is_described(void **state)
{
    (void)state;
    struct platform p;
    sl_client *client = start(&p, true);
    sl_group *group = NULL;
    sl_error error;
    will_answer(&p, 200, GROUP_TEXT);
    if (sl_group_get(client, HRN, "cars", "g", &group, &error))
        fail_msg("%s", error.text);
    assert_string_equal(p.path, "/S/layers/cars/groups/g");
    assert_int_equal(sl_group_member_count(group), 2);
    sl_group_member member = {.struct_size = sizeof member};
    assert_true(sl_group_member_at(group, 0, &member));
    assert_string_equal(member.member_id, "m");
    assert_string_equal(member.client_id, "c");
    assert_string_equal(member.host, "/h");
    assert_int_equal(member.partition_count, 2);
    assert_int_equal(member.partitions[1], 3);
    assert_true(sl_group_member_at(group, 1, &member));
    assert_null(member.host);
    assert_int_equal(member.partition_count, 0);
    assert_false(sl_group_member_at(group, 2, &member));
    sl_group_partition partition = {.struct_size = sizeof partition};
    assert_int_equal(sl_group_partition_count(group), 2);
    assert_true(sl_group_partition_at(group, 0, &partition));
    assert_int_equal(partition.begin, 2);
    assert_int_equal(partition.committed, -1);
    assert_int_equal(partition.before, -1);
    assert_int_equal(partition.lag, 7);
    assert_true(sl_group_partition_at(group, 1, &partition));
    assert_int_equal(partition.partition, 1);
    assert_int_equal(partition.committed, 5);
    assert_int_equal(partition.before, 3);
    assert_false(sl_group_partition_at(group, 2, &partition));
    partition.struct_size = 8;
    assert_false(sl_group_partition_at(group, 0, &partition));
    sl_group_destroy(&group);
    assert_null(group);
    stop(&p, client);
}

/* The default group has a path of its own, and . and .. are names, not directories. (The server of this test
 * undoes escapes.) */
static void names_become_paths(void **state)
{
    (void)state;
    static const char *const names[][2] = {{NULL, "/S/layers/cars/groups/-"},
                                           {"a:b.c", "/S/layers/cars/groups/a:b.c"},
                                           {"..", "/S/layers/cars/groups/.."}};
    struct platform p;
    sl_client *client = start(&p, true);
    will_answer(&p, 200, GROUP_TEXT);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        sl_group *group = NULL;
        sl_error error;
        if (sl_group_get(client, HRN, "cars", names[i][0], &group, &error))
            fail_msg("%s", error.text);
        assert_string_equal(p.path, names[i][1]);
        sl_group_destroy(&group);
    }
    stop(&p, client);
}

static void check_reset(struct platform *p, sl_client *client, sl_reset_spec spec, const char *body,
                        const char *dry_run)
{
    sl_group *changed = NULL;
    sl_error error;
    spec.struct_size = sizeof spec;
    if (sl_group_reset(client, HRN, "cars", "g", &spec, &changed, &error))
        fail_msg("%s", error.text);
    assert_string_equal(p->method, "PUT");
    assert_string_equal(p->path, "/S/layers/cars/groups/g/offsets");
    assert_string_equal(p->body, body);
    assert_string_equal(p->dry_run, dry_run);
    assert_int_equal(sl_group_partition_count(changed), 2);
    sl_group_destroy(&changed);
    assert_int_equal(sl_group_reset(client, HRN, "cars", "g", &spec, NULL, &error), SL_OK);
}

static void resets_say_where(void **state)
{
    (void)state;
    static const int32_t partitions[] = {0, 2};
    struct platform p;
    sl_client *client = start(&p, true);
    will_answer(&p, 200, GROUP_TEXT);
    check_reset(&p, client, (sl_reset_spec){.to = SL_RESET_BEGIN}, "{\"to\":\"begin\"}", "");
    check_reset(&p, client, (sl_reset_spec){.to = SL_RESET_END, .dry_run = true}, "{\"to\":\"end\"}", "true");
    check_reset(&p, client, (sl_reset_spec){.to = SL_RESET_TIME, .value = 1700000000000},
                "{\"to\":\"time\",\"timestamp\":1700000000000}", "");
    check_reset(&p, client,
                (sl_reset_spec){.to = SL_RESET_OFFSET, .value = 7, .partitions = partitions, .count = 2},
                "{\"to\":\"offset\",\"offset\":7,\"partitions\":[0,2]}", "");
    stop(&p, client);
}

static void wrong_arguments_are_refused_unasked(void **state)
{
    (void)state;
    struct platform p;
    sl_client *client = start(&p, true);
    sl_group *group = NULL;
    sl_group_list *list = NULL;
    sl_error error;
    const sl_reset_spec wrong[] = {
        {.struct_size = 4, .to = SL_RESET_BEGIN},
        {.struct_size = sizeof *wrong, .to = (sl_reset)9},
        {.struct_size = sizeof *wrong, .to = SL_RESET_OFFSET, .value = -1},
        {.struct_size = sizeof *wrong, .to = SL_RESET_TIME, .value = -1},
        {.struct_size = sizeof *wrong, .to = SL_RESET_BEGIN, .count = 1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(sl_group_reset(client, HRN, "cars", "g", &wrong[i], &group, &error),
                         SL_INVALID_ARGUMENT);
    assert_int_equal(sl_group_reset(client, HRN, "cars", "g", NULL, &group, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_group_get(client, HRN, "cars", "no good", &group, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_group_get(client, HRN, "../cars", "g", &group, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_group_get(client, HRN, "cars", "g", NULL, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_group_get(client, "hrn:no", "cars", "g", &group, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_group_list_get(client, HRN, "cars", NULL, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_group_list_get(NULL, HRN, "cars", &list, &error), SL_INVALID_HANDLE);
    sl_layer_statistics statistics = {.struct_size = 4};
    assert_int_equal(sl_layer_statistics_get(client, HRN, "cars", &statistics, &error), SL_INVALID_ARGUMENT);
    assert_int_equal(p.calls, 0);
    stop(&p, client);
}

static void a_platform_without_extensions_is_not_asked(void **state)
{
    (void)state;
    struct platform p;
    sl_client *client = start(&p, false);
    sl_group *group = NULL;
    sl_group_list *list = NULL;
    sl_reset_spec spec = {.struct_size = sizeof spec};
    sl_layer_statistics statistics = {.struct_size = sizeof statistics};
    sl_error error;
    assert_int_equal(sl_group_list_get(client, HRN, "cars", &list, &error), SL_UNSUPPORTED);
    assert_int_equal(sl_group_get(client, HRN, "cars", NULL, &group, &error), SL_UNSUPPORTED);
    assert_int_equal(sl_group_reset(client, HRN, "cars", NULL, &spec, &group, &error), SL_UNSUPPORTED);
    assert_int_equal(sl_layer_statistics_get(client, HRN, "cars", &statistics, &error), SL_UNSUPPORTED);
    assert_non_null(strstr(error.text, "streamlayer.gateway.extensions"));
    assert_int_equal(p.calls, 0);
    stop(&p, client);
}

static void failures_keep_their_status(void **state)
{
    (void)state;
    struct platform p;
    sl_client *client = start(&p, true);
    sl_group *group = NULL;
    sl_reset_spec spec = {.struct_size = sizeof spec};
    sl_error error;
    will_answer(&p, 409, "{\"title\":\"Conflict\",\"code\":\"group-active\",\"cause\":\"it has 2 members\"}");
    assert_int_equal(sl_group_reset(client, HRN, "cars", "g", &spec, &group, &error), SL_CONFLICT);
    assert_non_null(strstr(error.text, "it has 2 members"));
    assert_int_equal(p.calls, 1); /* what changes something is not repeated unasked */
    will_answer(&p, 404, "{\"title\":\"Not Found\",\"code\":\"no-such-group\"}");
    assert_int_equal(sl_group_get(client, HRN, "cars", "g", &group, &error), SL_NOT_FOUND);
    assert_null(group);
    stop(&p, client);
}

/* What a platform may answer that is no group: an error, and nothing is read that is not there. */
static void strange_answers_are_protocol_errors(void **state)
{
    (void)state;
#define HEAD "\"group\":\"g\",\"kafkaGroup\":\"app.g\",\"state\":\"Empty\""
    static const char *const groups[] = {
        "[]",
        "null",
        "{}",
        "{" HEAD "}",
        "{" HEAD ",\"members\":2,\"partitions\":[]}",
        "{" HEAD ",\"members\":[7],\"partitions\":[]}",
        "{" HEAD ",\"members\":[{\"partitions\":7}],\"partitions\":[]}",
        "{" HEAD ",\"members\":[{\"partitions\":[\"a\"]}],\"partitions\":[]}",
        "{" HEAD ",\"members\":[{\"partitions\":[0,2147483648]}],\"partitions\":[]}",
        "{" HEAD ",\"members\":[],\"partitions\":{}}",
        "{" HEAD ",\"members\":[],\"partitions\":[7]}",
        "{" HEAD ",\"members\":[],\"partitions\":[{\"partition\":-1}]}",
        "{" HEAD ",\"members\":[],\"partitions\":[{\"partition\":0,\"committed\":\"5\"}]}",
        "{" HEAD ",\"members\":[],\"partitions\":[{\"partition\":0},{\"partition\":1,\"lag\":-5}]}",
        "{\"group\":7,\"kafkaGroup\":\"app.g\",\"state\":\"Empty\",\"members\":[],\"partitions\":[]}",
    };
    static const char *const lists[] = {
        "[]",
        "{}",
        "{\"groups\":{}}",
        "{\"groups\":[7]}",
        "{\"groups\":[{" HEAD ",\"members\":1},{" HEAD ",\"members\":[]}]}",
        "{\"groups\":[{" HEAD ",\"members\":-1}]}",
    };
    static const char *const all_statistics[] = {
        "[]",
        "{\"time\":1,\"partitions\":[]}",
        "{\"time\":1,\"gateway\":{}}",
        "{\"time\":\"1\",\"partitions\":[],\"gateway\":{}}",
        "{\"time\":1,\"partitions\":[{\"begin\":5,\"end\":4}],\"gateway\":{}}",
        "{\"partitions\":[{\"end\":9223372036854775807},{\"end\":1}],\"gateway\":{}}",
        "{\"time\":1,\"partitions\":[],\"gateway\":{\"bytesIn\":1.5}}",
    };
    struct platform p;
    sl_client *client = start(&p, true);
    sl_error error;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        sl_group *group = NULL;
        will_answer(&p, 200, groups[i]);
        if (sl_group_get(client, HRN, "cars", "g", &group, &error) != SL_PROTOCOL)
            fail_msg("taken: %s", groups[i]);
        assert_null(group);
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        sl_group_list *list = NULL;
        will_answer(&p, 200, lists[i]);
        if (sl_group_list_get(client, HRN, "cars", &list, &error) != SL_PROTOCOL)
            fail_msg("taken: %s", lists[i]);
        assert_null(list);
    }
    for (size_t i = 0; i < sizeof all_statistics / sizeof *all_statistics; i++) {
        sl_layer_statistics statistics = {.struct_size = sizeof statistics};
        will_answer(&p, 200, all_statistics[i]);
        if (sl_layer_statistics_get(client, HRN, "cars", &statistics, &error) != SL_PROTOCOL)
            fail_msg("taken: %s", all_statistics[i]);
    }
    stop(&p, client);
}

static void statistics_are_summed(void **state)
{
    (void)state;
    struct platform p;
    sl_client *client = start(&p, true);
    sl_layer_statistics statistics = {.struct_size = sizeof statistics};
    sl_error error;
    will_answer(&p, 200,
                "{\"time\":1700000000000,\"partitions\":[{\"partition\":0,\"begin\":3,\"end\":9},"
                "{\"partition\":1,\"begin\":0,\"end\":1}],"
                "\"gateway\":{\"messagesIn\":1,\"bytesIn\":2,\"messagesOut\":3,\"bytesOut\":4}}");
    if (sl_layer_statistics_get(client, HRN, "cars", &statistics, &error))
        fail_msg("%s", error.text);
    assert_string_equal(p.path, "/S/layers/cars/statistics");
    assert_int_equal(statistics.time_ms, 1700000000000);
    assert_int_equal(statistics.partitions, 2);
    assert_int_equal(statistics.messages, 7);
    assert_int_equal(statistics.written, 10);
    assert_int_equal(statistics.gateway_messages_in, 1);
    assert_int_equal(statistics.gateway_bytes_in, 2);
    assert_int_equal(statistics.gateway_messages_out, 3);
    assert_int_equal(statistics.gateway_bytes_out, 4);
    stop(&p, client);
}

CASES_MAIN(cmocka_unit_test(groups_are_listed), cmocka_unit_test(a_group_is_described),
           cmocka_unit_test(names_become_paths), cmocka_unit_test(resets_say_where),
           cmocka_unit_test(wrong_arguments_are_refused_unasked),
           cmocka_unit_test(a_platform_without_extensions_is_not_asked),
           cmocka_unit_test(failures_keep_their_status),
           cmocka_unit_test(strange_answers_are_protocol_errors), cmocka_unit_test(statistics_are_summed))
