/* Whose blobs and publications are. "writer" may not read. */
#include "support/cases.h"

#include "gw_apis.h"

const char *__wrap_gw_request_blob_owner(const struct gw_request *request, const struct gw_layer *layer);

const char *__wrap_gw_request_blob_owner(const struct gw_request *request, const struct gw_layer *layer)
{
    const char *application = gw_request_application(request);
    assert_string_equal(layer->id, "l");
    return strcmp(application, "writer") ? NULL : application;
}

static int setup(void **state)
{
    *state = apis_start("a/b", NULL, NULL);
    return 0;
}

static int teardown(void **state)
{
    apis_stop(*state);
    return 0;
}

static void ask(struct apis *apis, const char *application, const char *method, const char *path,
                const char *type, const char *body, struct answer *answer)
{
    char header[100];
    snprintf(header, sizeof header, "Content-Type: %s\r\n", type);
    apis_ask(apis, application, method, path, header, body, strlen(body), answer);
}

static void expect(struct apis *apis, const char *application, const char *method, const char *path,
                   const char *type, const char *body, int status, const char *part)
{
    struct answer answer;
    ask(apis, application, method, path, type, body, &answer);
    if (answer.status != status || !strstr(answer.body, part))
        fail_msg("%s %s %s: not %d with %s, but %s", application, method, path, status, part, answer.text);
}

static void a_reader_has_every_blob_a_writer_its_own(void **state)
{
    struct apis *apis = *state;
    expect(apis, "writer", "PUT", BLOB "w", "a/b", "the writer's", 204, "");
    expect(apis, "reader", "PUT", BLOB "r", "a/b", "the reader's", 204, "");
    expect(apis, "writer", "GET", BLOB "w", "a/b", "", 200, "the writer's");
    expect(apis, "reader", "GET", BLOB "w", "a/b", "", 200, "the writer's");
    expect(apis, "reader", "GET", BLOB "r", "a/b", "", 200, "the reader's");
    expect(apis, "writer", "GET", BLOB "r", "a/b", "", 404, "no-such-blob");
    expect(apis, "writer", "HEAD", BLOB "r", "a/b", "", 404, "");
    struct answer another, none;
    ask(apis, "writer", "GET", BLOB "r", "a/b", "", &another);
    ask(apis, "writer", "GET", BLOB "x", "a/b", "", &none);
    /* Nothing tells the two apart, but for the name that was asked for. */
    assert_int_equal(strlen(another.text), strlen(none.text));
}

static void a_blob_is_replaced_by_its_owner_only(void **state)
{
    struct apis *apis = *state;
    expect(apis, "reader", "PUT", BLOB "h", "a/b", "first", 204, "");
    expect(apis, "writer", "PUT", BLOB "h", "a/b", "second", 404, "no-such-blob");
    expect(apis, "third", "PUT", BLOB "h", "a/b", "third", 404, "choose another data handle");
    expect(apis, "reader", "GET", BLOB "h", "a/b", "", 200, "first");
    expect(apis, "reader", "PUT", BLOB "h", "a/b", "second", 204, "");
    expect(apis, "reader", "GET", BLOB "h", "a/b", "", 200, "second");
}

#define JSON      "application/json"
#define NAMING(h) "{\"partitions\":[{\"partition\":\"k\",\"dataHandle\":\"" h "\"}]}"
#define RECORD    "\xa2\x01\x61k\x07\x61" /* {1: "k", 7: "X"}, and the handle's one letter follows */

static void a_message_names_what_its_application_may_read(void **state)
{
    struct apis *apis = *state;
    expect(apis, "reader", "PUT", BLOB "r", "a/b", "the reader's", 204, "");
    expect(apis, "writer", "PUT", BLOB "w", "a/b", "the writer's", 204, "");
    expect(apis, "writer", "POST", PUBLISH "/layers/l/partitions", JSON, NAMING("r"), 400, "no-such-blob");
    expect(apis, "writer", "POST", PUBLISH "/layers/l/partitions", JSON, NAMING("w"), 204, "");
    expect(apis, "reader", "POST", PUBLISH "/layers/l/partitions", JSON, NAMING("w"), 204, "");
    expect(apis, "reader", "POST", PUBLISH "/layers/l/partitions", JSON, NAMING("x"), 400, "no-such-blob");
    static const char batch[] = "application/cbor-seq";
    expect(apis, "writer", "POST", INGEST, batch, RECORD "r", 200, "no-such-blob");
    expect(apis, "reader", "POST", INGEST, batch, RECORD "x", 200, "no-such-blob");
    struct answer answer;
    ask(apis, "writer", "POST", INGEST, batch, RECORD "w", &answer);
    assert_int_equal(answer.status, 200);
    assert_null(strstr(answer.body, "no-such-blob"));
    ask(apis, "reader", "POST", INGEST, batch, RECORD "w" RECORD "r", &answer);
    assert_int_equal(answer.status, 200);
    assert_null(strstr(answer.body, "no-such-blob"));
}

static void a_publication_is_its_applications(void **state)
{
    struct apis *apis = *state;
    struct answer answer;
    char one[256], parts[256];
    ask(apis, "reader", "POST", PUBLISH "/publications", JSON, "{\"layerIds\":[\"l\"]}", &answer);
    assert_int_equal(answer.status, 200);
    const char *id = strstr(answer.body, "\"id\":\"");
    assert_non_null(id);
    snprintf(one, sizeof one, PUBLISH "/publications/%.32s", id + 6);
    snprintf(parts, sizeof parts, PUBLISH "/layers/l/publications/%.32s/partitions", id + 6);
    const char *body = "{\"partitions\":[{\"partition\":\"k\",\"data\":\"eA==\"}]}";
    expect(apis, "reader", "POST", parts, JSON, body, 204, "");
    expect(apis, "writer", "GET", one, JSON, "", 404, "no-such-publication");
    expect(apis, "writer", "POST", parts, JSON, body, 404, "no-such-publication");
    expect(apis, "writer", "PUT", one, JSON, "", 404, "no-such-publication");
    expect(apis, "writer", "DELETE", one, JSON, "", 404, "no-such-publication");
    expect(apis, "reader", "GET", one, JSON, "", 200, "initialized");
    expect(apis, "reader", "PUT", one, JSON, "", 204, "");
    expect(apis, "reader", "GET", one, JSON, "", 200, "succeeded");
}

CASES_MAIN(cmocka_unit_test_setup_teardown(a_reader_has_every_blob_a_writer_its_own, setup, teardown),
           cmocka_unit_test_setup_teardown(a_blob_is_replaced_by_its_owner_only, setup, teardown),
           cmocka_unit_test_setup_teardown(a_message_names_what_its_application_may_read, setup, teardown),
           cmocka_unit_test_setup_teardown(a_publication_is_its_applications, setup, teardown))
