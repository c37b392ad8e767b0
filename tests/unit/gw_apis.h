/*
 * The APIs that write, on a server of their own, with librdkafka's mock cluster behind: for tests of what a
 * real Kafka does not do on demand, or of several applications. Tokens are applications' names.
 */
#ifndef TESTS_GW_APIS_H
#define TESTS_GW_APIS_H

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
#define KAFKA   "streamlayer.gateway.kafka."

struct apis {
    char directory[64];
    rd_kafka_t *owner;
    rd_kafka_mock_cluster_t *cluster;
    struct gateway gateway;
    struct gw_route routes[24];
};

static enum gw_verdict apis_authenticate(void *opaque, struct gw_request *request, struct gw_caller *caller)
{
    (void)opaque;
    char *name = strdup(gw_request_header(request, "Authorization"));
    *caller = (struct gw_caller){.application = name, .holder = name, .release = free};
    return GW_PASS;
}

static void apis_make_layer(struct apis *apis, const char *content_type)
{
    struct gateway *gateway = &apis->gateway;
    struct gw_layer *layer;
    const struct gw_layer_spec spec = {
        .id = "l", .name = "l", .content_type = content_type, .parallelization = 1, .ttl_ms = 3600000};
    assert_int_equal(gw_catalogs_open(apis->directory, &gateway->catalogs, NULL), SL_OK);
    assert_int_equal(gw_catalogs_create(gateway->catalogs, "c", "c", false, NULL, NULL), SL_OK);
    assert_int_equal(gw_catalogs_begin_layer(gateway->catalogs, HRN, &spec, &layer, NULL), SL_OK);
    assert_int_equal(gw_catalogs_publish_layer(gateway->catalogs, layer, NULL), SL_OK);
    rd_kafka_mock_topic_create(apis->cluster, layer->topic, 1, 1);
    gw_layer_unlink(layer);
}

/* One layer, "l", of that content type. setting and value: one of the producer's, or NULL. */
static struct apis *apis_start(const char *content_type, const char *setting, const char *value)
{
    struct apis *apis = calloc(1, sizeof *apis);
    struct gateway *gateway = &apis->gateway;
    char text[512];
    sl_error error;
    strcpy(apis->directory, "/tmp/gw-apis-XXXXXX");
    assert_non_null(mkdtemp(apis->directory));
    apis->owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    apis->cluster = rd_kafka_mock_cluster_new(apis->owner, 1);
    assert_non_null(apis->cluster);
    apis_make_layer(apis, content_type);
    assert_int_equal(sl_config_create(&gateway->config, &error), SL_OK);
    assert_int_equal(sl_config_set(gateway->config, KAFKA "brokers",
                                   rd_kafka_mock_cluster_bootstraps(apis->cluster), &error),
                     SL_OK);
    if (setting)
        assert_int_equal(sl_config_set(gateway->config, setting, value, &error), SL_OK);
    gateway->extended = true;
    gateway->max_blob = gateway->max_body = 1 << 20;
    gateway->max_batch = 1000;
    gateway->kafka_wait_ms = 20000;
    if (gw_budget_create((size_t)64 << 20, &gateway->budget, &error) ||
        gw_blobs_open(apis->directory, &gateway->blobs, &error) ||
        gw_workers_start(1, 1, &gateway->disk_workers, &error) ||
        gw_repeats_create(60000, 100000, &gateway->repeats, &error) ||
        gw_publications_create(10, 3, gateway->budget, &gateway->publications, &error) ||
        gw_brokers_open(gateway->config, NULL, gateway->budget, &gateway->brokers, &error))
        fail_msg("%s", error.text);
    const struct {
        const struct gw_route *routes;
        size_t count;
    } tables[] = {{gw_blob_routes, gw_blob_route_count},
                  {gw_ingest_routes, gw_ingest_route_count},
                  {gw_publish_routes, gw_publish_route_count}};
    size_t count = 0;
    for (size_t i = 0; i < 3; count += tables[i++].count) {
        assert_true(count + tables[i].count <= sizeof apis->routes / sizeof *apis->routes);
        memcpy(apis->routes + count, tables[i].routes, tables[i].count * sizeof *apis->routes);
    }
    const struct gw_server_settings settings = {.loops = 1,
                                                .routes = apis->routes,
                                                .route_count = count,
                                                .authenticate = apis_authenticate,
                                                .budget = gateway->budget,
                                                .max_body = 1 << 20,
                                                .opaque = gateway};
    if (gw_server_start(&settings, NULL, &gateway->server, &error))
        fail_msg("%s", error.text);
    gw_brokers_attach(gateway->brokers, gateway->server);
    return apis;
}

static void apis_stop(struct apis *apis)
{
    struct gateway *gateway = &apis->gateway;
    char command[100];
    gw_workers_finish(gateway->disk_workers);
    gw_brokers_finish(gateway->brokers, 1000);
    gw_server_stop(&gateway->server);
    gw_workers_stop(&gateway->disk_workers);
    gw_publications_destroy(&gateway->publications);
    gw_brokers_close(&gateway->brokers);
    gw_repeats_destroy(&gateway->repeats);
    gw_blobs_close(&gateway->blobs);
    gw_catalogs_close(&gateway->catalogs);
    gw_budget_destroy(&gateway->budget);
    sl_config_destroy(&gateway->config);
    rd_kafka_mock_cluster_destroy(apis->cluster);
    rd_kafka_destroy(apis->owner);
    snprintf(command, sizeof command, "rm -r %s", apis->directory);
    assert_int_equal(system(command), 0);
    free(apis);
}

/* One request on a connection of its own. headers: more of them, each with its line's end. */
static void apis_ask(struct apis *apis, const char *application, const char *method, const char *path,
                     const char *headers, const void *body, size_t size, struct answer *answer)
{
    char head[1000];
    int length = snprintf(head, sizeof head,
                          "%s %s HTTP/1.1\r\nHost: gw\r\nAuthorization: %s\r\n%sContent-Length: %zu\r\n\r\n",
                          method, path, application, headers, size);
    int fd = client_connect(gw_server_port(apis->gateway.server));
    memset(answer, 0, sizeof *answer);
    answer->body = "";
    if (fd < 0)
        return;
    client_write(fd, head, (size_t)length);
    client_write(fd, body, size);
    client_read(fd, answer, strcmp(method, "HEAD") != 0);
    close(fd);
}

#endif
