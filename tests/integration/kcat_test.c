/* Layers are Kafka topics: kcat reads what the library wrote, and the other way round. */
#include "suite.h"
#include <stdio.h>
#include <time.h>

/* Runs a shell command; what it printed is the caller's, NUL-terminated, *size bytes. Fails unless it ends
 * with 0. */
static char *run(const char *command, size_t *size)
{
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t capacity = 1 << 16, length = 0, got;
    char *output = malloc(capacity);
    assert_non_null(output);
    while ((got = fread(output + length, 1, capacity - length - 1, pipe)) > 0) {
        length += got;
        assert_true(length < capacity - 1);
    }
    output[length] = '\0';
    int status = pclose(pipe);
    if (status)
        fail_msg("\"%s\" ended with %d and printed \"%s\"", command, status, output);
    if (size)
        *size = length;
    return output;
}

static char *kcat(const struct layer *layer, const char *arguments, const char *input)
{
    char command[2000];
    char brokers[200];
    snprintf(brokers, sizeof brokers, "%s", platform_value("BROKERS"));
    snprintf(command, sizeof command, "%s kcat -q -b '%s' -t '%s' %s", input, brokers, layer->topic,
             arguments);
    return run(command, NULL);
}

static void kcat_reads_what_the_library_writes(void **state)
{
    (void)state;
    struct layer layer;
    struct tally tally;
    sl_error error = {0};
    sl_message *message = NULL;
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    int64_t timestamp = (int64_t)time(NULL) * 1000 - 4321;
    must(sl_message_create(&message), NULL);
    must(sl_message_set_partition_id(message, "Zürich", 7), NULL);
    must(sl_message_set_payload(message, "line one\nline two", 17), NULL);
    must(sl_message_set_timestamp_ms(message, timestamp), NULL);
    must(sl_message_set_trace_id(message, "trace-1"), NULL);
    must(sl_message_add_header(message, "source", "probe", 5), NULL);
    must(sl_message_add_header(message, "source", "second", 6), NULL);
    must(sl_message_add_header(message, "empty", "", 0), NULL);
    send_message(producer, message);
    must(sl_producer_flush(producer, WAIT_MS, &error), &error); /* the other one has another partition id */
    sl_message_clear(message);
    must(sl_message_set_payload(message, NULL, 0), NULL);
    must(sl_message_set_partition_id(message, "k", 1), NULL);
    send_message(producer, message);
    producer_finish(&producer, &tally, 2);
    sl_message_destroy(&message);
    char *output = kcat(&layer, "-C -o beginning -e -f '<%p|%o|%K|%k|%S|%s|%T|%h>'", "");
    char wanted[300];
    snprintf(wanted, sizeof wanted, "<0|0|7|Zürich|17|line one\nline two|%lld|", (long long)timestamp);
    if (strncmp(output, wanted, strlen(wanted)))
        fail_msg("kcat does not begin with \"%s\" but prints \"%s\"", wanted, output);
    char *end = strchr(output + strlen(wanted), '>');
    assert_non_null(end);
    *end = '\0';
    const char *headers = output + strlen(wanted);
    assert_says(headers, "source=probe,source=second,empty=");
    assert_says(headers, "sl-trace-id=trace-1");
    assert_says(end + 1, "<0|1|1|k|0||"); /* empty, which kcat shows as size 0; null would be -1 */
    free(output);
    tally_free(&tally);
    sl_client_destroy(&client);
}

static void the_library_reads_what_kcat_writes(void **state)
{
    (void)state;
    struct layer layer;
    struct inbox inbox = {0};
    char text[80];
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    sl_consumer *consumer = consumer_make(client, &layer, NULL, SL_START_BEGIN);
    free(kcat(&layer, "-P -K:", "printf 'schlüssel:with key\\n' |"));
    free(kcat(&layer, "-P", "printf 'without key\\n' |"));
    free(kcat(&layer, "-P -K:", "printf '\\377\\376\\300k:key not UTF-8\\n' |"));
    free(kcat(&layer, "-P -Z -K:", "printf 'null:\\n' |"));
    free(kcat(&layer, "-P -H one=1 -H two=zwei -H one=again", "printf 'with headers\\n' |"));
    free(kcat(&layer, "-P -K:", "printf 'bytes:\\001\\377\\200\\n' |"));
    receive(consumer, &inbox, 6);
    size_t size = 99;
    const char *id = sl_message_partition_id(inbox.messages[0], &size);
    assert_non_null(id);
    assert_int_equal(size, 10);
    assert_memory_equal(id, "schlüssel", 10);
    assert_string_equal(text_of(inbox.messages[0], text, sizeof text), "with key");
    assert_true(sl_message_timestamp_ms(inbox.messages[0]) > 0);
    assert_int_equal(sl_message_header_count(inbox.messages[0]), 0);
    assert_null(sl_message_trace_id(inbox.messages[0]));

    assert_null(sl_message_partition_id(inbox.messages[1], &size));
    assert_int_equal(size, 0);
    assert_string_equal(text_of(inbox.messages[1], text, sizeof text), "without key");

    id = sl_message_partition_id(inbox.messages[2], &size);
    assert_non_null(id);
    assert_int_equal(size, 4);
    assert_memory_equal(id, "\377\376\300k", 4);
    assert_string_equal(text_of(inbox.messages[2], text, sizeof text), "key not UTF-8");

    id = sl_message_partition_id(inbox.messages[3], &size);
    assert_non_null(id);
    assert_int_equal(size, 4);
    size = 99;
    assert_null(sl_message_payload(inbox.messages[3], &size));
    assert_int_equal(size, 0);

    const char *name = NULL;
    const void *value = NULL;
    assert_int_equal(sl_message_header_count(inbox.messages[4]), 3);
    assert_true(sl_message_header_at(inbox.messages[4], 1, &name, &value, &size));
    assert_string_equal(name, "two");
    assert_int_equal(size, 4);
    assert_memory_equal(value, "zwei", 4);
    assert_true(sl_message_header(inbox.messages[4], "one", &value, &size));
    assert_int_equal(size, 5);
    assert_memory_equal(value, "again", 5);

    const void *payload = sl_message_payload(inbox.messages[5], &size);
    assert_int_equal(size, 3);
    assert_memory_equal(payload, "\001\377\200", 3);
    inbox_free(&inbox);
    consumer_close(&consumer);
    sl_client_destroy(&client);
}

/* A message whose payload cannot be had: its handle is there, and why is told to who asks. */
static void assert_unresolved(sl_consumer *consumer, const sl_message *message, const char *handle,
                              sl_status why)
{
    sl_error error = {0};
    void *data = NULL;
    size_t size = 99;
    assert_null(sl_message_payload(message, &size));
    assert_int_equal(size, 0);
    assert_non_null(sl_message_data_handle(message));
    assert_string_equal(sl_message_data_handle(message), handle);
    must_fail(sl_consumer_resolve(consumer, message, &data, &size, &error), why, &error);
    assert_null(data);
}

/* Records of another program's that name blobs. Whoever resolves by itself gets the payload where it can be
 * had; in every case the message comes, in its place. */
static void kcat_names_blobs(void **state)
{
    (void)state;
    enum { SIZE = 3 << 20, COUNT = 9 };
    struct layer layer;
    struct inbox inbox = {0}, lazy_inbox = {0};
    sl_error error = {0};
    char text[24], sum[65], arguments[300], *handle = NULL;
    sl_client *client = client_make(), *lazy = client_make_with(SETTING("stream.consumer.resolve"), "false");
    layer_make(client, 1, &layer);
    unsigned char *bytes = bytes_make(SIZE, 1);
    sha256_of(bytes, SIZE, sum);
    must(sl_blob_put(client, layer.hrn, LAYER, NULL, bytes, SIZE, &handle, &error), &error);
    const char null_value[] = "printf 'k:\\n' |";
    snprintf(arguments, sizeof arguments,
             "-P -Z -K: -H sl-data-handle=%s -H sl-data-size=%d -H sl-checksum=%s", handle, SIZE, sum);
    free(kcat(&layer, arguments, null_value));
    snprintf(arguments, sizeof arguments, "-P -Z -K: -H sl-data-handle=%s -H sl-data-size=many", handle);
    free(kcat(&layer, arguments, null_value));
    free(kcat(&layer, "-P -Z -K: -H sl-data-handle=no-such-blob -H sl-data-size=5", null_value));
    sum[0] = sum[0] == '0' ? '1' : '0'; /* not the blob's */
    snprintf(arguments, sizeof arguments, "-P -Z -K: -H sl-data-handle=%s -H sl-checksum=%s", handle, sum);
    free(kcat(&layer, arguments, null_value));
    free(kcat(&layer, "-P -Z -K: -H sl-data-handle=../../../../health?x=1#y%2e", null_value));
    free(kcat(&layer, "-P -Z -K: -H sl-data-handle=größe", null_value)); /* no data handle: passed over */
    snprintf(arguments, sizeof arguments, "-P -K: -H sl-data-handle=%s", handle);
    free(kcat(&layer, arguments, "printf 'k:and a value\\n' |"));
    free(kcat(&layer, "-P -K:", "printf 'k:last\\n' |"));
    free(kcat(&layer, "-P -Z -K: -H sl-data-handle=..", null_value));

    sl_consumer *consumer = consumer_make(client, &layer, layer.group, SL_START_BEGIN);
    receive(consumer, &inbox, COUNT);
    assert_int_equal(inbox.count, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(sl_message_offset(inbox.messages[i]).offset, i);
    assert_payload(inbox.messages[0], bytes, SIZE);
    assert_int_equal(sl_message_data_size(inbox.messages[0]), SIZE);
    assert_int_equal(sl_message_header_count(inbox.messages[0]), 0); /* what begins with sl- is ours */
    assert_payload(inbox.messages[1], bytes, SIZE);
    assert_unresolved(consumer, inbox.messages[2], "no-such-blob", SL_NOT_FOUND);
    assert_int_equal(sl_message_data_size(inbox.messages[2]), 5);
    assert_unresolved(consumer, inbox.messages[3], handle, SL_CHECKSUM_MISMATCH);
    assert_unresolved(consumer, inbox.messages[4], "../../../../health?x=1#y%2e", SL_INVALID_ARGUMENT);
    assert_unresolved(consumer, inbox.messages[8], "..", SL_INVALID_ARGUMENT);
    size_t size = 99;
    assert_null(sl_message_payload(inbox.messages[5], &size));
    assert_null(sl_message_data_handle(inbox.messages[5]));
    assert_string_equal(text_of(inbox.messages[6], text, sizeof text), "and a value");
    assert_string_equal(text_of(inbox.messages[7], text, sizeof text), "last");

    sl_consumer *asked = consumer_make(lazy, &layer, layer.other_group, SL_START_BEGIN);
    receive(asked, &lazy_inbox, COUNT);
    assert_null(sl_message_payload(lazy_inbox.messages[0], &size));
    assert_string_equal(sl_message_data_handle(lazy_inbox.messages[0]), handle);
    assert_int_equal(sl_message_data_size(lazy_inbox.messages[0]), SIZE);
    assert_int_equal(sl_message_data_size(lazy_inbox.messages[1]), -1);
    for (int i = 0; i < 2; i++) {
        void *data = NULL;
        must(sl_consumer_resolve(asked, lazy_inbox.messages[i], &data, &size, &error), &error);
        assert_int_equal(size, SIZE);
        assert_int_equal(memcmp(data, bytes, SIZE), 0);
        sl_free(data);
    }
    sl_free(handle);
    inbox_free(&inbox);
    inbox_free(&lazy_inbox);
    consumer_close(&consumer);
    consumer_close(&asked);
    free(bytes);
    sl_client_destroy(&client);
    sl_client_destroy(&lazy);
}

/* What the library writes of a large payload, as any Kafka client sees it. */
static void kcat_sees_the_data_handle(void **state)
{
    (void)state;
    enum { SIZE = (1 << 20) + 1 };
    struct layer layer;
    struct tally tally;
    sl_error error = {0};
    char wanted[100], handle[200];
    sl_client *client = client_make();
    layer_make(client, 1, &layer);
    unsigned char *bytes = bytes_make(SIZE, 2);
    tally_init(&tally, 0);
    sl_producer *producer = producer_make(client, &layer, &tally);
    send_bytes(producer, "k", bytes, SIZE);
    producer_finish(&producer, &tally, 1);
    char *output = kcat(&layer, "-C -o beginning -e -f '<%k|%S|%h>'", ""), sum[65];
    assert_true(!strncmp(output, "<k|-1|", 6)); /* a null value */
    snprintf(wanted, sizeof wanted, "sl-data-size=%d", SIZE);
    assert_says(output, wanted);
    sha256_of(bytes, SIZE, sum);
    snprintf(wanted, sizeof wanted, "sl-checksum=%s", sum);
    assert_says(output, wanted);
    const char *at = strstr(output, "sl-data-handle=");
    assert_non_null(at);
    at += strlen("sl-data-handle=");
    snprintf(handle, sizeof handle, "%.*s", (int)strcspn(at, ",>"), at);
    int64_t size = -1;
    must(sl_blob_size(client, layer.hrn, LAYER, handle, &size, &error), &error);
    assert_int_equal(size, SIZE);
    free(output);
    tally_free(&tally);
    free(bytes);
    sl_client_destroy(&client);
}

CASES_MAIN(cmocka_unit_test(kcat_reads_what_the_library_writes),
           cmocka_unit_test(the_library_reads_what_kcat_writes), cmocka_unit_test(kcat_names_blobs),
           cmocka_unit_test(kcat_sees_the_data_handle))
