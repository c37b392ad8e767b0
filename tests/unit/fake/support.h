/* A client whose kafka-connector is the fake. */
#ifndef TESTS_FAKE_SUPPORT_H
#define TESTS_FAKE_SUPPORT_H

#include <dlfcn.h>
#include <streamlayer/streamlayer.h>
#include <string.h>

#include "fake/fake.h"

#define FAKE_HRN "hrn:here:data::local:cat"

/* directory: where the plug-in is. */
static inline sl_client *fake_client(const char *directory)
{
    sl_config *config = NULL;
    sl_client *client = NULL;
    sl_error error = {.text = ""};
    assert_int_equal(sl_config_create(&config, &error), SL_OK);
    static const char *const settings[][2] = {
        {"here.platform.data-client.endpoint-locator.discovery-service-env", "custom"},
        {"here.platform.data-client.endpoint-locator.discovery-service-url", "http://127.0.0.1:9/lookup/v1"},
        {"here.platform.data-client.request-signer.credentials.here-token", "t"},
        /* Nobody is there to ask for the layer's content encoding. */
        {"here.platform.data-client.stream.producer.compress", "false"},
        {"here.platform.data-client.stream.consumer.inflate", "false"},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        assert_int_equal(sl_config_set(config, settings[i][0], settings[i][1], &error), SL_OK);
    assert_int_equal(
        sl_config_set(config, "here.platform.data-client.stream.kafka.plugin-directory", directory, &error),
        SL_OK);
    sl_status status = sl_client_create(config, NULL, NULL, &client, &error);
    if (status)
        fail_msg("%s", error.text);
    sl_config_destroy(&config);
    return client;
}

/* The fake's control, emptied. */
static inline struct fake *fake_get(void)
{
    void *plugin = dlopen(FAKE_DIR "/kafka-connector.so", RTLD_NOW);
    assert_non_null(plugin);
    struct fake *(*control)(void) = NULL;
    *(void **)&control = dlsym(plugin, "fake_control");
    assert_non_null(control);
    struct fake *fake = control();
    memset(fake, 0, sizeof *fake);
    pthread_mutex_init(&fake->lock, NULL);
    (void)control(); /* the table again */
    return fake;
}

static inline bool fake_report_one(struct fake *fake, const sl_error *error)
{
    pthread_mutex_lock(&fake->lock);
    void *ticket = fake->ticket_count ? fake->tickets[0] : NULL;
    if (ticket)
        memmove(fake->tickets, fake->tickets + 1, --fake->ticket_count * sizeof *fake->tickets);
    pthread_mutex_unlock(&fake->lock);
    if (!ticket)
        return false;
    const struct sl_outcome outcome = {.error = error, .offset = {3, 14}};
    fake->host.delivered(ticket, &outcome);
    return true;
}

#endif
