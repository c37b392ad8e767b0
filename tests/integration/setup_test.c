/* What an application gets wrong before a message flows; nothing here depends on the connectors' pairing. */
#include "suite.h"
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define ROOT "here.platform.data-client."

static sl_client *client_of(sl_config *config)
{
    sl_error error = {0};
    sl_client *client = NULL;
    must(sl_client_create(config, NULL, NULL, &client, &error), &error);
    return client;
}

/* kafka-support is not installed: the error names the package and the setting, and HTTP goes on working. */
static void kafka_support_missing(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_producer *producer = NULL;
    sl_consumer *consumer = NULL;
    char directory[] = "/tmp/streamlayer-empty-XXXXXX";
    assert_non_null(mkdtemp(directory));
    sl_client *client = client_make_with(ROOT "stream.kafka.plugin-directory", directory);
    layer_make(client, 1, &layer);
    must_fail(sl_producer_create(client, layer.hrn, LAYER, NULL, &producer, &error), SL_CONNECTOR_MISSING,
              &error);
    assert_null(producer);
    assert_says(error.text, "streamlayer-kafka-support");
    assert_says(error.text, "stream.connector.producer");
    assert_says(error.text, "http-connector");
    must_fail(sl_consumer_create(client, layer.hrn, LAYER, NULL, &consumer, &error), SL_CONNECTOR_MISSING,
              &error);
    assert_null(consumer);
    assert_says(error.text, "streamlayer-kafka-support");
    assert_says(error.text, "stream.connector.consumer");
    assert_says(error.text, "http-connector");
    sl_client_destroy(&client);

    sl_config *config = config_make();
    must(sl_config_set(config, ROOT "stream.kafka.plugin-directory", directory, &error), &error);
    must(sl_config_set(config, ROOT "stream.connector.producer", "http-connector", &error), &error);
    must(sl_config_set(config, ROOT "stream.connector.consumer", "http-connector", &error), &error);
    client = client_of(config);
    sl_config_destroy(&config);
    must(sl_producer_create(client, layer.hrn, LAYER, NULL, &producer, &error), &error);
    assert_string_equal(sl_producer_connector(producer), "http-connector");
    consumer = consumer_make_by("http-connector", client, &layer, NULL, SL_START_BEGIN);
    send_text(producer, "k", "7");
    producer_finish(&producer, NULL, 1);
    receive(consumer, &inbox, 1);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&client);
    rmdir(directory);
}

static void copy_file(const char *from, const char *to, const char *more)
{
    char text[4096];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    assert_non_null(in);
    assert_non_null(out);
    size_t size = fread(text, 1, sizeof text, in);
    assert_int_equal(fwrite(text, 1, size, out), size);
    fputs(more, out);
    fclose(in);
    fclose(out);
}

/* A key that the gateway does not take, and then the right one in the same file, under the same client. */
static void a_key_is_replaced(void **state)
{
    (void)state;
    struct layer layer;
    sl_error error = {0};
    char *token = NULL, directory[] = "/tmp/streamlayer-key-XXXXXX", file[100], next[100];
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/credentials.properties", directory);
    snprintf(next, sizeof next, "%s/next", directory);
    sl_config *config = config_make();
    static const char path[] = ROOT "request-signer.credentials.file-path";
    const char *right = sl_config_get(config, path);
    assert_non_null(right);
    copy_file(right, file, "\nhere.access.key.secret = another\n");
    copy_file(right, next, "\n");
    must(sl_config_set(config, path, file, &error), &error);
    sl_client *client = client_of(config);
    must_fail(sl_client_token(client, &token, NULL, &error), SL_UNAUTHENTICATED, &error);
    assert_says(error.text, file);
    assert_int_equal(rename(next, file), 0);
    /* Until the second is over in which a failure is not tried again. */
    while (sl_client_token(client, &token, NULL, &error) == SL_UNAUTHENTICATED)
        ;
    assert_non_null(token);
    layer_make(client, 1, &layer);
    sl_free(token);
    sl_client_destroy(&client);
    sl_config_destroy(&config);
    unlink(file);
    rmdir(directory);
}

/* A file in the plug-in's place that is none does not crash anything. */
static void kafka_support_broken(void **state)
{
    (void)state;
    struct layer layer;
    sl_error error = {0};
    sl_producer *producer = NULL;
    char directory[] = "/tmp/streamlayer-broken-XXXXXX", file[100];
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/kafka-connector.so", directory);
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    fputs("this is no shared object\n", out);
    fclose(out);
    sl_client *client = client_make_with(ROOT "stream.kafka.plugin-directory", directory);
    layer_make(client, 1, &layer);
    must_fail(sl_producer_create(client, layer.hrn, LAYER, NULL, &producer, &error), SL_CONNECTOR_MISSING,
              &error);
    assert_says(error.text, "kafka-connector");
    sl_client_destroy(&client);
    unlink(file);
    rmdir(directory);
}

/* kafka-connector is the default on both sides. */
static void kafka_connector_is_the_default(void **state)
{
    (void)state;
    sl_error error = {0};
    sl_config *config = NULL;
    must(sl_config_create(&config, &error), &error);
    assert_string_equal(sl_config_get(config, ROOT "stream.connector.producer"), "kafka-connector");
    assert_string_equal(sl_config_get(config, ROOT "stream.connector.consumer"), "kafka-connector");
    assert_string_equal(sl_config_origin(config, ROOT "stream.connector.producer"), "default");
    sl_config_destroy(&config);
}

/* The file, the line and the allowed names, wherever on the way to a producer it is noticed. */
static void unknown_connector_name(void **state)
{
    (void)state;
    static const char text[] = "# a comment\n"
                               "here.platform.data-client.stream.connector {\n"
                               "  consumer = \"http-connector\"\n"
                               "  producer = \"kafka-conector\"\n"
                               "}\n";
    struct layer layer;
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    sl_client_destroy(&client);
    sl_config *config = config_make();
    sl_status status = sl_config_parse(config, text, sizeof text - 1, "my-app.conf", &error);
    if (status == SL_OK)
        status = sl_client_create(config, NULL, NULL, &client, &error);
    sl_producer *producer = NULL;
    if (status == SL_OK)
        status = sl_producer_create(client, layer.hrn, LAYER, NULL, &producer, &error);
    assert_null(producer);
    must_fail(status, SL_BAD_CONFIG, &error);
    assert_says(error.text, "my-app.conf:4");
    assert_says(error.text, "kafka-conector");
    assert_says(error.text, "kafka-connector");
    assert_says(error.text, "http-connector");
    sl_client_destroy(&client);
    sl_config_destroy(&config);
}

/* Opens the side whose pass-through section has a setting that librdkafka does not take. */
static void refuse_property(const char *section, const char *line, const char *name)
{
    struct layer layer;
    char text[300];
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    sl_client_destroy(&client);
    sl_config *config = config_make();
    snprintf(text, sizeof text, "here.platform.data-client.stream.kafka.%s {\n  %s\n}\n", section, line);
    must(sl_config_parse(config, text, strlen(text), "pass.conf", &error), &error);
    sl_status status = sl_client_create(config, NULL, NULL, &client, &error);
    sl_producer *producer = NULL;
    sl_consumer *consumer = NULL;
    if (status == SL_OK && !strcmp(section, "producer"))
        status = sl_producer_create(client, layer.hrn, LAYER, NULL, &producer, &error);
    else if (status == SL_OK)
        status = sl_consumer_create(client, layer.hrn, LAYER, NULL, &consumer, &error);
    must_fail(status, SL_BAD_CONFIG, &error);
    assert_says(error.text, name);
    assert_says(error.text, "pass.conf:2");
    sl_client_destroy(&client);
    sl_config_destroy(&config);
}

static void pass_through_refused_by_name(void **state)
{
    (void)state;
    refuse_property("producer", "\"linger.msec\" = 5", "linger.msec");
    refuse_property("producer", "linger.ms = banana", "linger.ms");
    refuse_property("consumer", "\"fetch.no.such\" = 5", "fetch.no.such");
    refuse_property("consumer", "\"fetch.min.bytes\" = -5", "fetch.min.bytes");
}

static void pass_through_taken(void **state)
{
    (void)state;
    static const char text[] = "here.platform.data-client.stream.kafka {\n"
                               "  producer { linger.ms = 2, \"compression.type\" = zstd }\n"
                               "  consumer { \"fetch.wait.max.ms\" = 50, check.crcs = true }\n"
                               "}\n";
    struct layer layer;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_config *config = config_make();
    must(sl_config_parse(config, text, sizeof text - 1, "pass.conf", &error), &error);
    sl_client *client = client_of(config);
    sl_config_destroy(&config);
    layer_make(client, 1, &layer);
    produce_numbers(client, &layer, 0, 100, 3);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    receive(consumer, &inbox, 100);
    assert_numbers(&inbox, 0, 100);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&client);
}

static void key_limits(void **state)
{
    (void)state;
    char id[(SL_PARTITION_ID_MAX + 1) * 2];
    sl_message *message = NULL;
    for (size_t i = 0; i <= SL_PARTITION_ID_MAX; i++)
        memcpy(id + i * 2, "ü", 2);
    must(sl_message_create(&message), NULL);
    assert_int_equal(sl_message_set_partition_id(message, id, SL_PARTITION_ID_MAX * 2), SL_OK);
    assert_int_equal(sl_message_set_partition_id(message, id, sizeof id), SL_TOO_LARGE);
    assert_int_equal(sl_message_set_partition_id(message, "\xff\xfe", 2), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_message_set_partition_id(message, id, 3),
                     SL_INVALID_ARGUMENT); /* cut in a character */
    sl_message_destroy(&message);
}

static void handles_that_are_not(void **state)
{
    (void)state;
    sl_error error = {0};
    sl_producer *producer = NULL;
    sl_consumer *consumer = NULL;
    sl_batch *batch = NULL;
    sl_message *message = NULL;
    must(sl_message_create(&message), NULL);
    assert_int_equal(sl_producer_send(NULL, message, NULL, 0, &error), SL_INVALID_HANDLE);
    assert_int_equal(sl_producer_flush(NULL, 0, &error), SL_INVALID_HANDLE);
    assert_int_equal(sl_consumer_poll(NULL, 0, 0, &batch, &error), SL_INVALID_HANDLE);
    assert_int_equal(sl_consumer_commit(NULL, NULL, &error), SL_INVALID_HANDLE);
    assert_int_equal(sl_producer_create(NULL, "hrn:here:data::local:c", "l", NULL, &producer, &error),
                     SL_INVALID_HANDLE);
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    assert_int_equal(sl_batch_count(NULL), 0);
    assert_null(sl_batch_message(NULL, 0));
    assert_int_equal(sl_producer_queued(NULL, NULL), 0);
    sl_batch_destroy(&batch);
    sl_message_destroy(&message);
    sl_client *client = NULL;
    sl_client_destroy(&client);
}

static void administration(void **state)
{
    (void)state;
    struct layer layer;
    sl_error error = {0};
    sl_catalog *catalog = NULL;
    sl_catalog_list *list = NULL;
    sl_layer_spec found = {.struct_size = sizeof found};
    sl_client *client = client_make();
    layer_make(client, 3, &layer);
    const sl_layer_spec spec = {.struct_size = sizeof spec,
                                .id = "second",
                                .name = "The second",
                                .content_type = "application/x-protobuf",
                                .parallelization = 2,
                                .in_kbps = 200,
                                .out_kbps = 400,
                                .ttl_ms = 3600 * 1000};
    must(sl_layer_create(client, layer.hrn, &spec, &error), &error);
    must_fail(sl_layer_create(client, layer.hrn, &spec, &error), SL_CONFLICT, &error);
    must(sl_catalog_get(client, layer.hrn, &catalog, &error), &error);
    assert_string_equal(sl_catalog_hrn(catalog), layer.hrn);
    assert_string_equal(sl_catalog_id(catalog), strrchr(layer.hrn, ':') + 1);
    assert_false(sl_catalog_marketplace(catalog));
    assert_int_equal(sl_catalog_layer_count(catalog), 2);
    assert_says(sl_catalog_json(catalog), "\"second\"");
    size_t at = 0;
    do
        assert_true(sl_catalog_layer_at(catalog, at, &found));
    while (strcmp(found.id, "second") && ++at < 2);
    assert_string_equal(found.id, "second");
    assert_string_equal(found.name, "The second");
    assert_string_equal(found.content_type, "application/x-protobuf");
    assert_int_equal(found.parallelization, 2);
    assert_int_equal(found.in_kbps, 200);
    assert_int_equal(found.out_kbps, 400);
    assert_int_equal(found.ttl_ms, 3600 * 1000);
    assert_false(sl_catalog_layer_at(catalog, 2, &found));
    sl_catalog_destroy(&catalog);
    must(sl_catalog_list_get(client, &list, &error), &error);
    bool listed = false;
    for (size_t i = 0; i < sl_catalog_list_count(list); i++)
        listed = listed || !strcmp(sl_catalog_hrn(sl_catalog_list_at(list, i)), layer.hrn);
    assert_true(listed);
    sl_catalog_list_destroy(&list);
    must(sl_catalog_delete(client, layer.hrn, &error), &error);
    must_fail(sl_catalog_get(client, layer.hrn, &catalog, &error), SL_NOT_FOUND, &error);
    must_fail(sl_catalog_delete(client, layer.hrn, &error), SL_NOT_FOUND, &error);
    sl_client_destroy(&client);
}

static void token(void **state)
{
    (void)state;
    sl_error error = {0};
    char *first = NULL, *second = NULL;
    int64_t expires = 0;
    sl_client *client = client_make();
    must(sl_client_token(client, &first, &expires, &error), &error);
    must(sl_client_token(client, &second, NULL, &error), &error);
    assert_true(strlen(first) > 20);
    assert_string_equal(first, second); /* from the cache */
    assert_true(expires > (int64_t)time(NULL) * 1000);
    sl_free(first);
    sl_free(second);
    sl_client_destroy(&client);
}

CASES_MAIN(cmocka_unit_test(kafka_support_missing), cmocka_unit_test(a_key_is_replaced),
           cmocka_unit_test(kafka_support_broken), cmocka_unit_test(kafka_connector_is_the_default),
           cmocka_unit_test(unknown_connector_name), cmocka_unit_test(pass_through_refused_by_name),
           cmocka_unit_test(pass_through_taken), cmocka_unit_test(key_limits),
           cmocka_unit_test(handles_that_are_not), cmocka_unit_test(administration), cmocka_unit_test(token))
