/* What fails, and what the errors say. */
#include "suite.h"
#include <stdio.h>
#include <unistd.h>

#define ROOT "here.platform.data-client."

static sl_status open_producer(sl_client *client, const char *hrn, const char *layer, sl_error *error)
{
    sl_producer *producer = NULL;
    sl_status status = sl_producer_create(client, hrn, layer, NULL, &producer, error);
    sl_producer_close(&producer, 0, NULL);
    return status;
}

static sl_status open_consumer(sl_client *client, const char *hrn, const char *layer, sl_error *error)
{
    sl_consumer *consumer = NULL;
    sl_status status = sl_consumer_create(client, hrn, layer, NULL, &consumer, error);
    sl_consumer_close(&consumer, NULL);
    return status;
}

static void unknown_catalog(void **state)
{
    (void)state;
    sl_error error = {0};
    sl_client *client = client_make();
    must_fail(open_producer(client, "hrn:here:data::local:no-such-catalog", "l", &error), SL_NOT_FOUND,
              &error);
    assert_says(error.text, "no-such-catalog");
    must_fail(open_consumer(client, "hrn:here:data::local:no-such-catalog", "l", &error), SL_NOT_FOUND,
              &error);
    assert_says(error.text, "no-such-catalog");
    sl_client_destroy(&client);
}

static void unknown_layer(void **state)
{
    (void)state;
    struct layer layer;
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    must_fail(open_producer(client, layer.hrn, "no-such-layer", &error), SL_NOT_FOUND, &error);
    assert_says(error.text, "no-such-layer");
    must_fail(open_consumer(client, layer.hrn, "no-such-layer", &error), SL_NOT_FOUND, &error);
    assert_says(error.text, "no-such-layer");
    sl_client_destroy(&client);
}

static void deleted_layer(void **state)
{
    (void)state;
    struct layer layer;
    sl_error error = {0};
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    must(open_producer(client, layer.hrn, LAYER, &error), &error);
    must(sl_layer_delete(client, layer.hrn, LAYER, &error), &error);
    must_fail(open_producer(client, layer.hrn, LAYER, &error), SL_NOT_FOUND, &error);
    sl_client_destroy(&client);
}

/* A layer deleted and made again is a new topic: none of the old messages. */
static void layer_made_again_is_empty(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox inbox = {0};
    sl_error error = {0};
    sl_catalog *catalog = NULL;
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    produce_numbers(client, &layer, 0, 10, 1);
    must(sl_layer_delete(client, layer.hrn, LAYER, &error), &error);
    const sl_layer_spec spec = {.struct_size = sizeof spec, .id = LAYER, .content_type = "text/plain"};
    must(sl_layer_create(client, layer.hrn, &spec, &error), &error);
    must(sl_catalog_get(client, layer.hrn, &catalog, &error), &error);
    assert_string_not_equal(sl_catalog_layer_topic(catalog, 0), layer.topic);
    sl_catalog_destroy(&catalog);
    sl_client *fresh = client_make();
    sl_consumer *consumer = consumer_make(fresh, &layer, NULL, SL_START_BEGIN);
    produce_numbers(fresh, &layer, 100, 5, 1);
    receive(consumer, &inbox, 5);
    assert_numbers(&inbox, 100, 5);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&fresh);
    sl_client_destroy(&client);
}

/* A token that is not this platform's is refused, and the text says what to look at. */
static void wrong_credentials(void **state)
{
    (void)state;
    struct layer layer;
    sl_error error = {0};
    char directory[] = "/tmp/streamlayer-credentials-XXXXXX", file[100], line[2048];
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    sl_client_destroy(&client);
    /* The platform's own file with another secret. */
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/credentials.properties", directory);
    FILE *in = fopen(platform_value("CREDENTIALS"), "r"), *out = fopen(file, "w");
    assert_non_null(in);
    assert_non_null(out);
    while (fgets(line, sizeof line, in))
        (void)fputs(
            strstr(line, "here.access.key.secret") ? "here.access.key.secret = not-the-secret\n" : line, out);
    (void)fclose(in);
    assert_int_equal(fclose(out), 0);
    client = client_make_with(ROOT "request-signer.credentials.file-path", file);
    must_fail(open_producer(client, layer.hrn, LAYER, &error), SL_UNAUTHENTICATED, &error);
    must_fail(open_consumer(client, layer.hrn, LAYER, &error), SL_UNAUTHENTICATED, &error);
    unlink(file);
    rmdir(directory);
    sl_client_destroy(&client);
}

/* Nobody listens there. */
static void platform_unreachable(void **state)
{
    (void)state;
    sl_error error = {0};
    sl_client *client =
        client_make_with(ROOT "endpoint-locator.discovery-service-url", "http://127.0.0.1:9/lookup/v1");
    must_fail(open_producer(client, "hrn:here:data::local:c", "l", &error), SL_UNAVAILABLE, &error);
    assert_says(error.text, "127.0.0.1:9");
    assert_true(error.retriable);
    must_fail(open_consumer(client, "hrn:here:data::local:c", "l", &error), SL_UNAVAILABLE, &error);
    sl_client_destroy(&client);
}

CASES_MAIN(cmocka_unit_test(unknown_catalog), cmocka_unit_test(unknown_layer),
           cmocka_unit_test(deleted_layer), cmocka_unit_test(layer_made_again_is_empty),
           cmocka_unit_test(wrong_credentials), cmocka_unit_test(platform_unreachable))
