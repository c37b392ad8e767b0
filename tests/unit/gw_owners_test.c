/* Whose blobs and publications are: the APIs on a server of their own, whose tokens are applications' names,
 * with librdkafka's mock cluster behind. "writer" may not read. */
#include "support/cases.h"

#include "gw_client.h"

#include "gateway/api/publish.h"
#include "gateway/broker/repeats.h"
#include "gateway/gateway_internal.h"
#include "gateway/store/blobs.h"

#include <librdkafka/rdkafka_mock.h>

#define HRN     "hrn:here:data::local:c"
#define BLOB    "/blob/v1/catalogs/" HRN "/layers/l/data/"
#define INGEST  "/ingest/v1/catalogs/" HRN "/layers/l"
#define PUBLISH "/publish/v2/catalogs/" HRN

struct fixture {
    char directory[64];
    rd_kafka_t *owner;
    rd_kafka_mock_cluster_t *cluster;
    struct gateway gateway;
    struct gw_route routes[24];
};

const char *__wrap_gw_request_blob_owner(const struct gw_request *request, const struct gw_layer *layer);

const char *__wrap_gw_request_blob_owner(const struct gw_request *request, const struct gw_layer *layer)
{
    const char *application = gw_request_application(request);
    assert_string_equal(layer->id, "l");
    return strcmp(application, "writer") ? NULL : application;
}

static enum gw_verdict authenticate(void *opaque, struct gw_request *request, struct gw_caller *caller)
{
    (void)opaque;
    char *name = strdup(gw_request_header(request, "Authorization"));
    *caller = (struct gw_caller){.application = name, .holder = name, .release = free};
    return GW_PASS;
}

static void make_layer(struct fixture *fixture)
{
    struct gateway *gateway = &fixture->gateway;
    struct gw_layer *layer;
    const struct gw_layer_spec spec = {
        .id = "l", .name = "l", .content_type = "a/b", .parallelization = 1, .ttl_ms = 3600000};
    assert_int_equal(gw_catalogs_open(fixture->directory, &gateway->catalogs, NULL), SL_OK);
    assert_int_equal(gw_catalogs_create(gateway->catalogs, "c", "c", false, NULL, NULL), SL_OK);
    assert_int_equal(gw_catalogs_begin_layer(gateway->catalogs, HRN, &spec, &layer, NULL), SL_OK);
    assert_int_equal(gw_catalogs_publish_layer(gateway->catalogs, layer, NULL), SL_OK);
    rd_kafka_mock_topic_create(fixture->cluster, layer->topic, 1, 1);
    gw_layer_unlink(layer);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct gateway *gateway = &fixture->gateway;
    char text[512];
    sl_error error;
    strcpy(fixture->directory, "/tmp/gw-owners-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    fixture->owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    fixture->cluster = rd_kafka_mock_cluster_new(fixture->owner, 1);
    assert_non_null(fixture->cluster);
    make_layer(fixture);
    assert_int_equal(sl_config_create(&gateway->config, &error), SL_OK);
    assert_int_equal(sl_config_set(gateway->config, "streamlayer.gateway.kafka.brokers",
                                   rd_kafka_mock_cluster_bootstraps(fixture->cluster), &error),
                     SL_OK);
    gateway->extended = true;
    gateway->max_blob = gateway->max_body = 1 << 20;
    gateway->max_batch = 1000;
    if (gw_budget_create((size_t)64 << 20, &gateway->budget, &error) ||
        gw_blobs_open(fixture->directory, &gateway->blobs, &error) ||
        gw_workers_start(1, 1, &gateway->disk_workers, &error) ||
        gw_repeats_create(60000, 1000, &gateway->repeats, &error) ||
        gw_publications_create(10, gateway->budget, &gateway->publications, &error) ||
        gw_broker_open(gateway->config, NULL, gateway->budget, &gateway->broker, &error))
        fail_msg("%s", error.text);
    const struct {
        const struct gw_route *routes;
        size_t count;
    } tables[] = {{gw_blob_routes, gw_blob_route_count},
                  {gw_ingest_routes, gw_ingest_route_count},
                  {gw_publish_routes, gw_publish_route_count}};
    size_t count = 0;
    for (size_t i = 0; i < 3; count += tables[i++].count) {
        assert_true(count + tables[i].count <= sizeof fixture->routes / sizeof *fixture->routes);
        memcpy(fixture->routes + count, tables[i].routes, tables[i].count * sizeof *fixture->routes);
    }
    const struct gw_server_settings settings = {.loops = 1,
                                                .routes = fixture->routes,
                                                .route_count = count,
                                                .authenticate = authenticate,
                                                .budget = gateway->budget,
                                                .max_body = 1 << 20,
                                                .opaque = gateway};
    if (gw_server_start(&settings, NULL, &gateway->server, &error))
        fail_msg("%s", error.text);
    gw_broker_attach(gateway->broker, gw_server_loop(gateway->server, 0));
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    struct gateway *gateway = &fixture->gateway;
    char command[100];
    gw_workers_finish(gateway->disk_workers);
    gw_broker_finish(gateway->broker, 1000);
    gw_server_stop(&gateway->server);
    gw_workers_stop(&gateway->disk_workers);
    gw_publications_destroy(&gateway->publications);
    gw_broker_close(&gateway->broker, 0);
    gw_repeats_destroy(&gateway->repeats);
    gw_blobs_close(&gateway->blobs);
    gw_catalogs_close(&gateway->catalogs);
    sl_config_destroy(&gateway->config);
    rd_kafka_mock_cluster_destroy(fixture->cluster);
    rd_kafka_destroy(fixture->owner);
    snprintf(command, sizeof command, "rm -r %s", fixture->directory);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

static void ask(struct fixture *fixture, const char *application, const char *method, const char *path,
                const char *type, const char *body, struct answer *answer)
{
    char request[4000];
    snprintf(request, sizeof request,
             "%s %s HTTP/1.1\r\nHost: gw\r\nAuthorization: %s\r\nContent-Type: %s\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             method, path, application, type, strlen(body), body);
    client_ask(gw_server_port(fixture->gateway.server), request, answer);
}

static void expect(struct fixture *fixture, const char *application, const char *method, const char *path,
                   const char *type, const char *body, int status, const char *part)
{
    struct answer answer;
    ask(fixture, application, method, path, type, body, &answer);
    if (answer.status != status || !strstr(answer.body, part))
        fail_msg("%s %s %s: not %d with %s, but %s", application, method, path, status, part, answer.text);
}

static void a_reader_has_every_blob_a_writer_its_own(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, "writer", "PUT", BLOB "w", "a/b", "the writer's", 204, "");
    expect(fixture, "reader", "PUT", BLOB "r", "a/b", "the reader's", 204, "");
    expect(fixture, "writer", "GET", BLOB "w", "a/b", "", 200, "the writer's");
    expect(fixture, "reader", "GET", BLOB "w", "a/b", "", 200, "the writer's");
    expect(fixture, "reader", "GET", BLOB "r", "a/b", "", 200, "the reader's");
    expect(fixture, "writer", "GET", BLOB "r", "a/b", "", 404, "no-such-blob");
    expect(fixture, "writer", "HEAD", BLOB "r", "a/b", "", 404, "");
    struct answer another, none;
    ask(fixture, "writer", "GET", BLOB "r", "a/b", "", &another);
    ask(fixture, "writer", "GET", BLOB "x", "a/b", "", &none);
    /* Nothing tells the two apart, but for the name that was asked for. */
    assert_int_equal(strlen(another.text), strlen(none.text));
}

static void a_blob_is_replaced_by_its_owner_only(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, "reader", "PUT", BLOB "h", "a/b", "first", 204, "");
    expect(fixture, "writer", "PUT", BLOB "h", "a/b", "second", 404, "no-such-blob");
    expect(fixture, "third", "PUT", BLOB "h", "a/b", "third", 404, "choose another data handle");
    expect(fixture, "reader", "GET", BLOB "h", "a/b", "", 200, "first");
    expect(fixture, "reader", "PUT", BLOB "h", "a/b", "second", 204, "");
    expect(fixture, "reader", "GET", BLOB "h", "a/b", "", 200, "second");
}

#define JSON      "application/json"
#define NAMING(h) "{\"partitions\":[{\"partition\":\"k\",\"dataHandle\":\"" h "\"}]}"
#define RECORD    "\xa2\x01\x61k\x07\x61" /* {1: "k", 7: "X"}, and the handle's one letter follows */

static void a_message_names_what_its_application_may_read(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, "reader", "PUT", BLOB "r", "a/b", "the reader's", 204, "");
    expect(fixture, "writer", "PUT", BLOB "w", "a/b", "the writer's", 204, "");
    expect(fixture, "writer", "POST", PUBLISH "/layers/l/partitions", JSON, NAMING("r"), 400, "no-such-blob");
    expect(fixture, "writer", "POST", PUBLISH "/layers/l/partitions", JSON, NAMING("w"), 204, "");
    expect(fixture, "reader", "POST", PUBLISH "/layers/l/partitions", JSON, NAMING("w"), 204, "");
    expect(fixture, "reader", "POST", PUBLISH "/layers/l/partitions", JSON, NAMING("x"), 400, "no-such-blob");
    static const char batch[] = "application/cbor-seq";
    expect(fixture, "writer", "POST", INGEST, batch, RECORD "r", 200, "no-such-blob");
    expect(fixture, "reader", "POST", INGEST, batch, RECORD "x", 200, "no-such-blob");
    struct answer answer;
    ask(fixture, "writer", "POST", INGEST, batch, RECORD "w", &answer);
    assert_int_equal(answer.status, 200);
    assert_null(strstr(answer.body, "no-such-blob"));
    ask(fixture, "reader", "POST", INGEST, batch, RECORD "w" RECORD "r", &answer);
    assert_int_equal(answer.status, 200);
    assert_null(strstr(answer.body, "no-such-blob"));
}

static void a_publication_is_its_applications(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    char one[256], parts[256];
    ask(fixture, "reader", "POST", PUBLISH "/publications", JSON, "{\"layerIds\":[\"l\"]}", &answer);
    assert_int_equal(answer.status, 200);
    const char *id = strstr(answer.body, "\"id\":\"");
    assert_non_null(id);
    snprintf(one, sizeof one, PUBLISH "/publications/%.32s", id + 6);
    snprintf(parts, sizeof parts, PUBLISH "/layers/l/publications/%.32s/partitions", id + 6);
    const char *body = "{\"partitions\":[{\"partition\":\"k\",\"data\":\"eA==\"}]}";
    expect(fixture, "reader", "POST", parts, JSON, body, 204, "");
    expect(fixture, "writer", "GET", one, JSON, "", 404, "no-such-publication");
    expect(fixture, "writer", "POST", parts, JSON, body, 404, "no-such-publication");
    expect(fixture, "writer", "PUT", one, JSON, "", 404, "no-such-publication");
    expect(fixture, "writer", "DELETE", one, JSON, "", 404, "no-such-publication");
    expect(fixture, "reader", "GET", one, JSON, "", 200, "initialized");
    expect(fixture, "reader", "PUT", one, JSON, "", 204, "");
    expect(fixture, "reader", "GET", one, JSON, "", 200, "succeeded");
}

CASES_MAIN(cmocka_unit_test_setup_teardown(a_reader_has_every_blob_a_writer_its_own, setup, teardown),
           cmocka_unit_test_setup_teardown(a_blob_is_replaced_by_its_owner_only, setup, teardown),
           cmocka_unit_test_setup_teardown(a_message_names_what_its_application_may_read, setup, teardown),
           cmocka_unit_test_setup_teardown(a_publication_is_its_applications, setup, teardown))
