#include "support/cases.h"

#include "gw_client.h"
#include "gw_full_disk.h"
#include "gw_scratch.h"

#include "base/time.h"
#include "gateway/api/config.h"
#include "gateway/api/layer_spec.h"
#include "gateway/api/tokens.h"
#include "gateway/gateway_internal.h"

#include <sqlite3.h>

/* The APIs that need no Kafka, on a server of their own. */
struct fixture {
    char directory[SCRATCH_SIZE];
    uint16_t port;
    struct gateway gateway;
    struct gw_application application; /* who asks all of it */
    struct gw_route routes[40];
};

static enum gw_verdict authenticate(void *opaque, struct gw_request *request, struct gw_caller *caller)
{
    struct gateway *gateway = opaque;
    const struct fixture *fixture =
        (const struct fixture *)(void *)((char *)gateway - offsetof(struct fixture, gateway));
    return gw_authorize(request, gw_access_find(gateway->access, fixture->application.id), caller);
}

static size_t add_routes(struct gw_route *place, const struct gw_route *routes, size_t count)
{
    memcpy(place, routes, count * sizeof *place);
    return count;
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct gateway *gateway = &fixture->gateway;
    scratch_make(fixture->directory, "api");
    assert_int_equal(gw_catalogs_open(fixture->directory, &gateway->catalogs, NULL), SL_OK);
    assert_int_equal(gw_market_open(fixture->directory, &gateway->market, NULL), SL_OK);
    assert_int_equal(gw_application_ensure(fixture->directory, "me", &fixture->application, NULL), SL_OK);
    assert_int_equal(gw_applications_open(fixture->directory, &gateway->applications, NULL), SL_OK);
    assert_int_equal(gw_access_open(gateway->applications, NULL, NULL, &gateway->access, NULL), SL_OK);
    assert_int_equal(gw_catalogs_create(gateway->catalogs, "c", "the catalog", false, NULL, NULL), SL_OK);
    const struct gw_layer_spec spec = {.id = "l", .name = "l", .content_type = "a/b", .parallelization = 1};
    struct gw_layer *layer;
    assert_int_equal(gw_catalogs_begin_layer(gateway->catalogs, GW_HRN_PREFIX "c", &spec, &layer, NULL),
                     SL_OK);
    assert_int_equal(gw_catalogs_publish_layer(gateway->catalogs, layer, NULL), SL_OK);
    gw_layer_unlink(layer);
    assert_int_equal(gw_workers_start(1, 1, &gateway->workers, NULL), SL_OK);
    gateway->public_url = strdup("http://127.0.0.1:1");
    gateway->extended = true;
    assert_true(
        gw_lookup_route_count + gw_config_route_count + gw_layer_route_count + gw_status_route_count <= 40);
    size_t count = add_routes(fixture->routes, gw_lookup_routes, gw_lookup_route_count);
    count += add_routes(fixture->routes + count, gw_config_routes, gw_config_route_count);
    count += add_routes(fixture->routes + count, gw_layer_routes, gw_layer_route_count);
    count += add_routes(fixture->routes + count, gw_status_routes, gw_status_route_count);
    const struct gw_server_settings settings = {.loops = 1,
                                                .routes = fixture->routes,
                                                .route_count = count,
                                                .authenticate = authenticate,
                                                .opaque = gateway};
    assert_int_equal(gw_server_start(&settings, NULL, &gateway->server, NULL), SL_OK);
    fixture->port = gw_server_port(gateway->server);
    assert_int_equal(
        gw_throttler_create(gw_server_loop(gateway->server, 0), sl_mono_us, &gateway->throttler, NULL),
        SL_OK);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    gw_workers_finish(fixture->gateway.workers);
    gw_throttler_stop(fixture->gateway.throttler);
    gw_server_stop(&fixture->gateway.server);
    gw_throttler_destroy(&fixture->gateway.throttler);
    gw_workers_stop(&fixture->gateway.workers);
    gw_access_close(&fixture->gateway.access);
    gw_applications_close(&fixture->gateway.applications);
    gw_market_close(&fixture->gateway.market);
    gw_catalogs_close(&fixture->gateway.catalogs);
    free(fixture->gateway.public_url);
    scratch_remove(fixture->directory);
    free(fixture);
    return 0;
}

static void ask(struct fixture *fixture, const char *method, const char *path, const char *body,
                struct answer *answer)
{
    char request[4000];
    snprintf(request, sizeof request,
             "%s %s HTTP/1.1\r\nHost: gw.example:81\r\nContent-Length: %zu\r\n\r\n%s", method, path,
             strlen(body), body);
    client_ask(fixture->port, request, answer);
}

#define HRN "hrn:here:data::local:c"

static void lookup_lists_what_is_served(void **state)
{
    struct answer answer;
    static const char *const roots[] = {"", "/lookup/v1"};
    for (size_t i = 0; i < 2; i++) {
        char path[200];
        snprintf(path, sizeof path, "%s/resources/" HRN "/apis?sentWith=sdk", roots[i]);
        ask(*state, "GET", path, "", &answer);
        assert_int_equal(answer.status, 200);
        assert_non_null(strstr(answer.text, "\r\nCache-Control: max-age=3600\r\n"));
        assert_string_equal(
            answer.body,
            "[{\"api\":\"config\",\"version\":\"v1\",\"baseURL\":\"http://gw.example:81/config/v1\","
            "\"parameters\":{\"streamlayer\":\"1\"}},"
            "{\"api\":\"blob\",\"version\":\"v1\",\"baseURL\":\"http://gw.example:81/blob/v1/"
            "catalogs/" HRN "\",\"parameters\":{\"streamlayer\":\"1\"}},"
            "{\"api\":\"ingest\",\"version\":\"v1\",\"baseURL\":\"http://gw.example:81/ingest/v1/"
            "catalogs/" HRN "\",\"parameters\":{\"streamlayer\":\"1\"}},"
            "{\"api\":\"publish\",\"version\":\"v2\",\"baseURL\":\"http://gw.example:81/publish/v2/"
            "catalogs/" HRN "\",\"parameters\":{\"streamlayer\":\"1\"}},"
            "{\"api\":\"stream\",\"version\":\"v2\",\"baseURL\":\"http://gw.example:81/stream/v2/"
            "catalogs/" HRN "\",\"parameters\":{\"streamlayer\":\"1\"}},"
            "{\"api\":\"usage\",\"version\":\"v1\",\"baseURL\":\"http://gw.example:81/usage/v1\","
            "\"parameters\":{\"streamlayer\":\"1\"}}]");
        snprintf(path, sizeof path, "%s/resources/hrn%%3Ahere%%3Adata%%3A%%3Alocal%%3Ac/apis/stream/v2",
                 roots[i]);
        ask(*state, "GET", path, "", &answer);
        assert_int_equal(strncmp(answer.body, "[{\"api\":\"stream\"", 16), 0);
        snprintf(path, sizeof path, "%s/platform/apis/config/v1", roots[i]);
        ask(*state, "GET", path, "", &answer);
        assert_string_equal(answer.body,
                            "[{\"api\":\"config\",\"version\":\"v1\",\"baseURL\":\"http://gw.example:81/"
                            "config/v1\",\"parameters\":{\"streamlayer\":\"1\"}}]");
        snprintf(path, sizeof path, "%s/platform/apis/stream/v2", roots[i]);
        ask(*state, "GET", path, "", &answer);
        assert_int_equal(answer.status, 404);
        snprintf(path, sizeof path, "%s/resources/hrn:here:data::local:x/apis", roots[i]);
        ask(*state, "GET", path, "", &answer);
        assert_int_equal(answer.status, 404);
        assert_non_null(strstr(answer.body, "no-such-catalog"));
    }
}

static void a_hostile_host_is_not_repeated(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    client_ask(fixture->port, "GET /platform/apis HTTP/1.1\r\nHost: a\"b/<c>\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"http://127.0.0.1:1/config/v1\""));
    fixture->gateway.public_url_set = true;
    client_ask(fixture->port, "GET /platform/apis HTTP/1.1\r\nHost: sane\r\n\r\n", &answer);
    assert_non_null(strstr(answer.body, "\"http://127.0.0.1:1/config/v1\""));
}

static void catalogs_are_administered(void **state)
{
    struct answer answer;
    ask(*state, "POST", "/config/v1/catalogs", "{\"id\":\"d\",\"name\":null}", &answer);
    assert_int_equal(answer.status, 201);
    assert_string_equal(answer.body, "{\"id\":\"d\",\"hrn\":\"hrn:here:data::local:d\",\"name\":\"d\","
                                     "\"marketplace\":false,\"layers\":[],\"configToken\":\"completed\"}");
    ask(*state, "POST", "/config/v1/catalogs", "{\"id\":\"d\"}", &answer);
    assert_int_equal(answer.status, 409);
    ask(*state, "PATCH", "/config/v1/catalogs/hrn:here:data::local:d", "{\"name\":\"new\"}", &answer);
    assert_int_equal(answer.status, 200);
    ask(*state, "GET", "/config/v1/catalogs/hrn:here:data::local:d?billingTag=x", "", &answer);
    assert_non_null(strstr(answer.body, "\"name\":\"new\""));
    ask(*state, "GET", "/config/v1/catalogs", "", &answer);
    json_t *list = json_loads(answer.body, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(json_object_get(list, "results"), "items")), 2);
    json_decref(list);
    ask(*state, "GET", "/config/v1/catalogs?limit=1", "", &answer);
    assert_non_null(strstr(answer.body, "\"nextPageToken\":\"" HRN "\""));
    assert_non_null(strstr(answer.body, "\"href\":\"http://gw.example:81/config/v1/catalogs/" HRN "\""));
    ask(*state, "GET", "/config/v1/catalogs?limit=1&pageToken=" HRN, "", &answer);
    assert_null(strstr(answer.body, "nextPageToken"));
    assert_non_null(strstr(answer.body, "local:d"));
    ask(*state, "DELETE", "/config/v1/catalogs/hrn:here:data::local:d", "", &answer);
    assert_int_equal(answer.status, 200);
    ask(*state, "GET", "/config/v1/catalogs/hrn:here:data::local:d", "", &answer);
    assert_int_equal(answer.status, 404);
    ask(*state, "GET", "/config/v1/catalogs/" HRN "/layers/l", "", &answer);
    assert_int_equal(answer.status, 200);
    ask(*state, "GET", "/config/v1/catalogs/" HRN "/layers/m", "", &answer);
    assert_int_equal(answer.status, 404);
    assert_non_null(strstr(answer.body, "\"code\":\"no-such-layer\""));
    ask(*state, "DELETE", "/config/v1/catalogs/" HRN "/layers/m", "", &answer);
    assert_non_null(strstr(answer.body, "\"code\":\"no-such-layer\""));
}

/* All is in the file itself: what SQLite has only in its journal it would read from the full disk, too. */
static void empty_journal(const struct fixture *fixture)
{
    char file[SCRATCH_SIZE + 20];
    sqlite3 *db;
    snprintf(file, sizeof file, "%s/catalogs.db", fixture->directory);
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_full_disk_is_told_and_goes_by(void **state)
{
    struct answer answer;
    struct full_disk disk;
    empty_journal(*state);
    full_disk_begin(&disk, "/catalogs.db-wal");
    ask(*state, "POST", "/config/v1/catalogs", "{\"id\":\"d\"}", &answer);
    full_disk_end(&disk);
    assert_int_equal(answer.status, 507);
    assert_non_null(strstr(answer.body, "\"code\":\"disk-full\""));
    assert_non_null(strstr(answer.body, "catalogs.db cannot grow: the disk is full"));
    ask(*state, "GET", "/config/v1/catalogs/hrn:here:data::local:d", "", &answer);
    assert_int_equal(answer.status, 404);
    ask(*state, "POST", "/config/v1/catalogs", "{\"id\":\"d\"}", &answer);
    assert_int_equal(answer.status, 201);
}

static _Atomic(struct gw_layer_counters *) watched; /* of the layer whose claim is looked at */
static atomic_bool answered_too_early;

void __real_gw_config_respond(struct gw_config_call *call, int http, json_t *value);
void __wrap_gw_config_respond(struct gw_config_call *call, int http, json_t *value);

void __wrap_gw_config_respond(struct gw_config_call *call, int http, json_t *value)
{
    struct gw_layer_counters *counters = atomic_load(&watched);
    if (counters && atomic_load(&counters->changing))
        atomic_store(&answered_too_early, true);
    __real_gw_config_respond(call, http, value);
}

/* Who comes while another one changes it is told so, and does not end that one's claim. Whoever has its
 * answer may change it again. */
static void a_layer_is_changed_by_one_at_a_time(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    bool exists;
    struct gw_layer *layer = gw_catalogs_find(fixture->gateway.catalogs, HRN, "l", &exists);
    assert_non_null(layer);
    atomic_store(&layer->counters->changing, true);
    for (int i = 0; i < 2; i++) {
        ask(fixture, "PATCH", "/config/v1/catalogs/" HRN "/layers/l", "{\"name\":\"new\"}", &answer);
        assert_int_equal(answer.status, 409);
        assert_non_null(strstr(answer.body, "just being changed by another request"));
        assert_true(atomic_load(&layer->counters->changing));
    }
    atomic_store(&layer->counters->changing, false);
    atomic_store(&watched, layer->counters);
    ask(fixture, "PATCH", "/config/v1/catalogs/" HRN "/layers/l", "{\"name\":\"new\"}", &answer);
    assert_int_equal(answer.status, 200);
    assert_false(atomic_load(&answered_too_early));
    atomic_store(&watched, NULL);
    gw_layer_unlink(layer);
    ask(fixture, "PATCH", "/config/v1/catalogs/" HRN "/layers/m", "{}", &answer);
    assert_int_equal(answer.status, 404);
    ask(fixture, "PATCH", "/config/v1/catalogs/hrn:here:data::local:x/layers/l", "{}", &answer);
    assert_int_equal(answer.status, 404);
    assert_non_null(strstr(answer.body, "no-such-catalog"));
}

static void bad_bodies_are_told_apart(void **state)
{
    static const struct {
        const char *body, *cause;
    } bad[] = {
        {"", "the body is empty"},
        {"{\"id\":\"x\",}", "line 1, column 11"},
        {"[]", "no object"},
        {"{}", "\\\"id\\\" is missing"},
        {"{\"id\":\"X\"}", "catalog id"},
        {"{\"id\":\"x\",\"name\":5}", "\\\"name\\\""},
        {"{\"id\":\"x\",\"id\":\"y\"}", "duplicate"},
        {"{\"id\":\"x\",\"layers\":{}}", "\\\"layers\\\" must be a list"},
        {"{\"id\":\"x\",\"layers\":[{\"id\":\"a\",\"contentType\":\"a/b\"},{\"id\":\"a\",\"contentType\":\"a/"
         "b\"}]}",
         "\\\"layers\\\"[1]: the id \\\"a\\\" is there twice"},
        {"{\"id\":\"x\",\"layers\":[7]}", "\\\"layers\\\"[0]: a layer must be a JSON object"},
    };
    struct answer answer;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ask(*state, "POST", "/config/v1/catalogs", bad[i].body, &answer);
        assert_int_equal(answer.status, 400);
        if (!strstr(answer.body, bad[i].cause))
            fail_msg("%s: %s", bad[i].body, answer.body);
    }
    char deep[3000] = "{\"id\":";
    memset(deep + 6, '[', 2900);
    deep[2906] = 0;
    ask(*state, "POST", "/config/v1/catalogs", deep, &answer);
    assert_int_equal(answer.status, 400);
    char many[3000] = "{\"id\":\"x\",\"layers\":[0";
    for (size_t i = 0; i < 1000; i++)
        strcat(many, ",0");
    strcat(many, "]}");
    ask(*state, "POST", "/config/v1/catalogs", many, &answer);
    assert_int_equal(answer.status, 400);
    assert_non_null(strstr(answer.body, "1001 layers: at most 1000"));
}

/* Reads a layer with these members beside id and contentType; the error's text, or "". */
static const char *read_layer(const char *members, bool marketplace, struct gw_layer_spec *spec)
{
    static sl_error error;
    char text[1000];
    snprintf(text, sizeof text, "{\"id\":\"l\",\"contentType\":\"a/b\"%s%s}", *members ? "," : "", members);
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    memset(&error, 0, sizeof error);
    sl_status status = gw_layer_spec_read(value, marketplace, spec, &error);
    assert_int_equal(status, *error.text ? SL_INVALID_ARGUMENT : SL_OK);
    json_decref(value);
    return error.text;
}

static void layers_have_defaults(void **state)
{
    struct gw_layer_spec spec;
    (void)state;
    assert_string_equal(read_layer("", false, &spec), "");
    assert_int_equal(spec.parallelization, 4);
    assert_int_equal(spec.in_kbps, 1000);
    assert_int_equal(spec.out_kbps, 4000);
    assert_int_equal(spec.ttl_ms, 3600000);
    assert_null(spec.content_encoding);
    assert_string_equal(
        read_layer("\"streamProperties\":null,\"ttl\":null,\"contentEncoding\":\"\"", true, &spec), "");
    assert_int_equal(spec.out_kbps, 2000);
    assert_null(spec.content_encoding);
    assert_string_equal(read_layer("\"streamProperties\":{\"dataInThroughputKbps\":5000}", false, &spec), "");
    assert_int_equal(spec.out_kbps, 5000);
}

static void layers_have_ranges(void **state)
{
    static const struct {
        const char *good, *bad, *told;
        bool marketplace;
    } cases[] = {
        {"\"ttl\":600000", "\"ttl\":599999", "600000 to 259200000", false},
        {"\"ttl\":259200000", "\"ttl\":259200001", "not 259200001", false},
        {"\"ttl\":600001", "\"ttl\":600000.5", "whole number", false},
        {"\"streamProperties\":{\"parallelization\":1}", "\"streamProperties\":{\"parallelization\":0}",
         "1 to 32", false},
        {"\"streamProperties\":{\"parallelization\":32}", "\"streamProperties\":{\"parallelization\":33}",
         "not 33", false},
        {"\"streamProperties\":{\"parallelization\":2}", "\"streamProperties\":{\"parallelization\":\"2\"}",
         "not \"2\"", false},
        {"\"streamProperties\":{\"dataInThroughputKbps\":100}",
         "\"streamProperties\":{\"dataInThroughputKbps\":0}", "100 to 32800 KBps", false},
        {"\"streamProperties\":{\"dataInThroughputKbps\":32800}",
         "\"streamProperties\":{\"dataInThroughputKbps\":32900}", "not 32900", false},
        {"\"streamProperties\":{\"dataInThroughputKbps\":200}",
         "\"streamProperties\":{\"dataInThroughputKbps\":250}", "steps of 100", false},
        {"\"streamProperties\":{\"dataOutThroughputKbps\":65500}",
         "\"streamProperties\":{\"dataOutThroughputKbps\":65600}", "100 to 65500", false},
        {"\"streamProperties\":{\"dataOutThroughputKbps\":1000}",
         "\"streamProperties\":{\"dataOutThroughputKbps\":900}", "at least \"dataInThroughputKbps\"", false},
        {"\"streamProperties\":{\"dataOutThroughputKbps\":2000}",
         "\"streamProperties\":{\"dataOutThroughputKbps\":2100}", "Marketplace", true},
        {"\"contentEncoding\":\"gzip\"", "\"contentEncoding\":\"br\"", "\"gzip\"", false},
        {"\"layerType\":\"stream\"", "\"layerType\":\"volatile\"", "\"stream\"", false},
        {"\"name\":\"x\"", "\"name\":\"\"", "\"name\"", false},
        {"\"unknown\":1", "\"streamProperties\":[]", "an object", false},
    };
    struct gw_layer_spec spec;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(read_layer(cases[i].good, cases[i].marketplace, &spec), "");
        const char *told = read_layer(cases[i].bad, cases[i].marketplace, &spec);
        if (!strstr(told, cases[i].told))
            fail_msg("%s: %s", cases[i].bad, told);
    }
}

static void content_types_are_media_types(void **state)
{
    static const char *const good[] = {"a/b", "application/x-protobuf", "text/plain; charset=utf-8",
                                       "a/b;c=d"};
    static const char *const bad[] = {"", "a", "a/", "/b", "a/b/c", "a b/c", "a/b c", "a/b\n", "a/\xc3\xa9"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good + sizeof bad / sizeof *bad; i++) {
        bool wanted = i < sizeof good / sizeof *good;
        const char *type = wanted ? good[i] : bad[i - sizeof good / sizeof *good];
        struct gw_layer_spec spec;
        json_t *value = json_pack("{s:s, s:s}", "id", "l", "contentType", type);
        if ((gw_layer_spec_read(value, false, &spec, NULL) == SL_OK) != wanted)
            fail_msg("\"%s\"", type);
        json_decref(value);
    }
}

static void health_and_counters_need_no_token(void **state)
{
    struct answer answer;
    ask(*state, "GET", "/health", "", &answer);
    assert_string_equal(answer.body, "{\"status\":\"up\"}");
}

static void what_cannot_be_served_is_refused_at_the_start(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *path, *value, *told;
        sl_status status;
    } wrong[] = {
        {"streamlayer.gateway.listen.address", "0.0.0.0", "listen.address", SL_BAD_CONFIG},
        {"streamlayer.gateway.listen.address", "::", "listen.address", SL_BAD_CONFIG},
        {"streamlayer.gateway.listen.port", "70000", "listen.port", SL_BAD_CONFIG},
        {"streamlayer.gateway.data-directory", "", "data-directory", SL_BAD_CONFIG},
        {"streamlayer.gateway.data-directory", "/dev/null/x", "/dev/null/x", SL_IO},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sl_config *config;
        struct gateway *gateway;
        sl_error error = {0};
        assert_int_equal(sl_config_create(&config, NULL), SL_OK);
        assert_int_equal(sl_config_set(config, "streamlayer.gateway.kafka.brokers", "127.0.0.1:1", NULL),
                         SL_OK);
        assert_int_equal(
            sl_config_set(config, "streamlayer.gateway.data-directory", fixture->directory, NULL), SL_OK);
        assert_int_equal(sl_config_set(config, "streamlayer.gateway.listen.port", "0", NULL), SL_OK);
        assert_int_equal(sl_config_set(config, wrong[i].path, wrong[i].value, NULL), SL_OK);
        assert_int_equal(gw_start(config, NULL, &gateway, &error), wrong[i].status);
        assert_null(gateway);
        if (!strstr(error.text, wrong[i].told))
            fail_msg("%s = %s: %s", wrong[i].path, wrong[i].value, error.text);
        sl_config_destroy(&config);
    }
}

/* For a whole gateway on the fixture's directory, without Kafka. */
static sl_config *make_config(const struct fixture *fixture)
{
    sl_config *config;
    assert_int_equal(sl_config_create(&config, NULL), SL_OK);
    assert_int_equal(sl_config_set(config, "streamlayer.gateway.kafka.brokers", "127.0.0.1:1", NULL), SL_OK);
    assert_int_equal(sl_config_set(config, "streamlayer.gateway.listen.port", "0", NULL), SL_OK);
    assert_int_equal(sl_config_set(config, "streamlayer.gateway.data-directory", fixture->directory, NULL),
                     SL_OK);
    return config;
}

static void one_gateway_a_data_directory(void **state)
{
    struct gateway *first, *second;
    sl_error error = {0};
    sl_config *config = make_config(*state);
    if (gw_start(config, NULL, &first, &error))
        fail_msg("%s", error.text);
    assert_int_equal(gw_start(config, NULL, &second, &error), SL_CONFLICT);
    struct answer answer;
    client_ask(gw_port(first), "GET /config/v1/catalogs HTTP/1.1\r\nHost: x\r\n\r\n", &answer);
    assert_int_equal(answer.status, 401);
    client_ask(gw_port(first), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(
        strstr(answer.body, "streamlayer_messages_in_total{catalog=\"" HRN "\",layer=\"l\"} 0\n"));
    assert_non_null(strstr(answer.body, "# TYPE process_resident_memory_bytes gauge\n"));
    client_ask(gw_port(first), "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n", &answer);
    assert_int_equal(answer.status, 503); /* nobody is at that address */
    gw_stop(&first, 1000);
    assert_null(first);
    sl_config_destroy(&config);
}

/* What requests still hold is given back after Kafka's producer has gone. */
static void a_body_that_never_ends_does_not_outlive_the_stop(void **state)
{
    struct gateway *gateway;
    struct answer answer;
    struct fixture *fixture = *state;
    char *token, head[2000];
    sl_config *config = make_config(fixture);
    assert_int_equal(gw_start(config, NULL, &gateway, NULL), SL_OK);
    assert_int_equal(gw_tokens_sign(gateway->tokens, fixture->application.id, 60000, &token, NULL), SL_OK);
    static const char *const types[] = {"a/b", "application/cbor-seq"};
    int fds[2];
    for (int i = 0; i < 2; i++) {
        snprintf(head, sizeof head,
                 "POST /ingest/v1/catalogs/" HRN "/layers/l HTTP/1.1\r\nHost: x\r\n"
                 "Authorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: 100\r\n"
                 "Expect: 100-continue\r\n\r\n",
                 token, types[i]);
        fds[i] = client_connect(gw_port(gateway));
        client_write(fds[i], head, strlen(head));
        client_read(fds[i], &answer, false);
        assert_int_equal(answer.status, 100);
        client_write(fds[i], "part", 4);
    }
    gw_stop(&gateway, 50);
    for (int i = 0; i < 2; i++) {
        client_read(fds[i], &answer, true);
        assert_int_equal(answer.status, 0);
        close(fds[i]);
    }
    free(token);
    sl_config_destroy(&config);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(lookup_lists_what_is_served, setup, teardown),
    cmocka_unit_test_setup_teardown(a_hostile_host_is_not_repeated, setup, teardown),
    cmocka_unit_test_setup_teardown(catalogs_are_administered, setup, teardown),
    cmocka_unit_test_setup_teardown(a_full_disk_is_told_and_goes_by, setup, teardown),
    cmocka_unit_test_setup_teardown(a_layer_is_changed_by_one_at_a_time, setup, teardown),
    cmocka_unit_test_setup_teardown(bad_bodies_are_told_apart, setup, teardown),
    cmocka_unit_test(layers_have_defaults),
    cmocka_unit_test(layers_have_ranges),
    cmocka_unit_test(content_types_are_media_types),
    cmocka_unit_test_setup_teardown(health_and_counters_need_no_token, setup, teardown),
    cmocka_unit_test_setup_teardown(what_cannot_be_served_is_refused_at_the_start, setup, teardown),
    cmocka_unit_test_setup_teardown(one_gateway_a_data_directory, setup, teardown),
    cmocka_unit_test_setup_teardown(a_body_that_never_ends_does_not_outlive_the_stop, setup, teardown))
