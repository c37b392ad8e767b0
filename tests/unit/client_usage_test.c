/* Lists of usage that come in pages: all of them, or an error. */
#include "support/cases.h"

#include "web.h"

#include <jansson.h>
#include <stdlib.h>
#include <streamlayer/streamlayer.h>
#include <string.h>

#define TOKEN "page-2"

static bool out_of_memory; /* for that token */

char *__real_sl_strdup(const char *text);
char *__wrap_sl_strdup(const char *text);
char *__wrap_sl_strdup(const char *text)
{
    return out_of_memory && text && !strcmp(text, TOKEN) ? NULL : __real_sl_strdup(text);
}

struct platform {
    struct web *web;
    const char *next; /* what the first page says of the next one, as JSON */
};

static void serve_page(const struct platform *p, const struct web_request *request, struct web_answer *answer)
{
    const char *token = web_query(request, "pageToken");
    char text[1000];
    snprintf(text, sizeof text,
             "{\"granularity\":\"day\",\"usage\":[{\"application\":\"a\",\"hrn\":\"hrn:here:data::local:t\","
             "\"layer\":\"%s\",\"group\":\"\",\"from\":0,\"to\":1,\"callsIn\":0,\"callsOut\":0,"
             "\"messagesIn\":0,\"messagesOut\":0,\"bytesIn\":0,\"bytesOut\":0,\"blobBytesIn\":0,"
             "\"blobBytesOut\":0}]%s%s}",
             token ? token : "page-1", token ? "" : ",\"nextPageToken\":", token ? "" : p->next);
    web_text(answer, 200, "application/json", text);
}

static void serve(void *opaque, const struct web_request *request, struct web_answer *answer)
{
    const struct platform *p = opaque;
    if (!web_introduces(p->web, request, answer, "usage", "v1", "/usage/v1", true))
        serve_page(p, request, answer);
}

static sl_status get(const char *next, bool without_memory, size_t *count, char **json)
{
    struct platform platform = {.next = next};
    sl_usage_list *list = NULL;
    platform.web = web_start(serve, &platform);
    sl_client *client = web_client(platform.web, NULL);
    out_of_memory = without_memory;
    sl_status status = sl_usage_list_get(client, NULL, &list, NULL);
    out_of_memory = false;
    *count = list ? sl_usage_list_count(list) : 0;
    if (json)
        *json = strdup(list ? sl_usage_list_json(list) : "");
    sl_usage_list_destroy(&list);
    sl_client_destroy(&client);
    web_stop(platform.web);
    return status;
}

static void pages_are_one_list(void **state)
{
    size_t count;
    char *json = NULL;
    (void)state;
    assert_int_equal(get("\"" TOKEN "\"", false, &count, &json), SL_OK);
    assert_int_equal(count, 2);
    /* As one answer would be. */
    json_t *value = json_loads(json, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(value, "granularity")), "day");
    assert_int_equal(json_array_size(json_object_get(value, "usage")), 2);
    assert_int_equal(json_object_size(value), 2);
    json_decref(value);
    free(json);
}

static void a_list_is_whole_or_an_error(void **state)
{
    size_t count;
    (void)state;
    assert_int_equal(get("\"" TOKEN "\"", true, &count, NULL), SL_OUT_OF_MEMORY);
    assert_int_equal(get("2", false, &count, NULL), SL_PROTOCOL);
}

CASES_MAIN(cmocka_unit_test(pages_are_one_list), cmocka_unit_test(a_list_is_whole_or_an_error))
