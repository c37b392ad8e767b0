/* Connectors of single layers, by one file: one process reads A from Kafka, writes B over HTTP, and reads a
 * Marketplace catalog's layer over HTTP, which its provider writes directly. */
#include "suite.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define KAFKA "kafka-connector"
#define HTTP  "http-connector"

static void marketplace_make(sl_client *client, struct layer *layer)
{
    sl_error error = {0};
    char id[64];
    snprintf(id, sizeof id, "it-market.%x-%llx", (unsigned)getpid(), (unsigned long long)now_ms());
    snprintf(layer->hrn, sizeof layer->hrn, "hrn:here:data::local:%s", id);
    snprintf(layer->group, sizeof layer->group, "%s.a", id);
    const sl_catalog_spec offer = {
        .struct_size = sizeof offer, .id = id, .name = "Roads", .marketplace = true};
    sl_catalog *catalog = NULL;
    must(sl_catalog_create_as(client, &offer, &catalog, &error), &error);
    assert_string_equal(sl_catalog_hrn(catalog), layer->hrn);
    assert_true(sl_catalog_marketplace(catalog));
    sl_catalog_destroy(&catalog);
    const sl_layer_spec spec = {.struct_size = sizeof spec,
                                .id = LAYER,
                                .content_type = "application/octet-stream",
                                .parallelization = 1};
    must(sl_layer_create(client, layer->hrn, &spec, &error), &error);
}

/* A client of one file, which includes the platform's own. */
static sl_client *client_of_file(const struct layer *b, const struct layer *market)
{
    char name[] = "/tmp/streamlayer-layers-XXXXXX";
    sl_error error = {0};
    sl_config *config = NULL;
    sl_client *client = NULL;
    int file = mkstemp(name);
    assert_true(file >= 0);
    FILE *out = fdopen(file, "w");
    assert_non_null(out);
    fprintf(out,
            "include file(\"%s\")\n"
            "here.platform.data-client.stream {\n"
            "  // direct, but for those below\n"
            "  connector { producer = kafka-connector, consumer = kafka-connector }\n"
            "  layers {\n"
            "    \"%s\".\"" LAYER "\".connector.producer = http-connector\n"
            "    \"%s\" { \"*\".connector.consumer = http-connector }\n"
            "  }\n"
            "}\n",
            platform_value("CONFIG"), b->hrn, market->hrn);
    assert_int_equal(fclose(out), 0);
    must(sl_config_create(&config, &error), &error);
    must(sl_config_load_file(config, name, &error), &error);
    must(sl_client_create(config, NULL, NULL, &client, &error), &error);
    sl_config_destroy(&config);
    unlink(name);
    return client;
}

static sl_producer *open_producer(sl_client *client, const struct layer *layer, const char *connector)
{
    sl_error error = {0};
    sl_producer *producer = NULL;
    must(sl_producer_create(client, layer->hrn, LAYER, NULL, &producer, &error), &error);
    assert_string_equal(sl_producer_connector(producer), connector);
    return producer;
}

static sl_consumer *open_consumer(sl_client *client, const struct layer *layer, const char *connector)
{
    sl_error error = {0};
    sl_consumer *consumer = NULL;
    sl_consumer_options *options = NULL;
    must(sl_consumer_options_create(&options), NULL);
    must(sl_consumer_options_set_group(options, layer->group), NULL);
    must(sl_consumer_options_set_start(options, SL_START_BEGIN), NULL);
    must(sl_consumer_create(client, layer->hrn, LAYER, options, &consumer, &error), &error);
    sl_consumer_options_destroy(&options);
    assert_string_equal(sl_consumer_connector(consumer), connector);
    return consumer;
}

static void expect_numbers(sl_consumer *consumer, int first, int count)
{
    struct inbox inbox = {0};
    receive(consumer, &inbox, (size_t)count);
    assert_numbers(&inbox, first, count);
    inbox_free(&inbox);
}

static void one_file_three_ways(void **state)
{
    (void)state;
    struct layer a, b, market;
    sl_client *plain = client_make();
    layer_make(plain, 1, &a);
    layer_make(plain, 1, &b);
    marketplace_make(plain, &market);
    sl_client *client = client_of_file(&b, &market);

    sl_producer *to_a = open_producer(client, &a, KAFKA), *to_market = open_producer(client, &market, KAFKA);
    send_numbers(to_a, 0, 20, 3);
    send_numbers(to_market, 100, 20, 3);
    producer_finish(&to_a, NULL, 20);
    producer_finish(&to_market, NULL, 20);

    sl_consumer *from_a = open_consumer(client, &a, KAFKA),
                *from_market = open_consumer(client, &market, HTTP);
    sl_producer *to_b = open_producer(client, &b, HTTP);
    expect_numbers(from_a, 0, 20);
    expect_numbers(from_market, 100, 20);
    send_numbers(to_b, 0, 20, 3);
    producer_finish(&to_b, NULL, 20);
    /* Only B's producers are said to use HTTP. */
    sl_consumer *from_b = open_consumer(client, &b, KAFKA);
    expect_numbers(from_b, 0, 20);
    consumer_close(&from_a);
    consumer_close(&from_b);
    consumer_close(&from_market);
    sl_client_destroy(&client);
    sl_client_destroy(&plain);
}

/* Without the entry it is refused, in words that name it. */
static void a_marketplace_layer_names_its_setting(void **state)
{
    (void)state;
    struct layer market;
    sl_error error = {0};
    sl_consumer *consumer = NULL;
    char piece[SL_ERROR_TEXT_SIZE + 100];
    sl_client *client = client_make();
    marketplace_make(client, &market);
    must_fail(sl_consumer_create(client, market.hrn, LAYER, NULL, &consumer, &error), SL_FORBIDDEN, &error);
    assert_null(consumer);
    snprintf(piece, sizeof piece, "here.platform.data-client.stream.layers.\"%s\".\"*\"", market.hrn);
    assert_says(error.text, piece);
    assert_says(error.text, "here.platform.data-client.stream.connector.consumer = \"http-connector\"");
    sl_client_destroy(&client);
}

CASES_MAIN(cmocka_unit_test(one_file_three_ways), cmocka_unit_test(a_marketplace_layer_names_its_setting))
