/* Files of the kinds that users of the Data Client Library have (tests/config/original) load as they are:
 * they are checked, choose the connectors that they name, and a client can be made of each. They are the
 * team's own. Those of HERE's public examples (heremaps/here-workspace-examples-java-scala, 84 files in
 * November 2026) were checked beside them: all load, where the environment that is to be filled in is. */
#include "support/cases.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/settings.h"
#include <streamlayer/client.h>

#define KAFKA "kafka-connector"
#define HTTP  "http-connector"

static const struct expected {
    const char *file, *producer, *consumer;
} files[] = {
    {"akka.conf", HTTP, KAFKA},
    {"base-library.conf", HTTP, KAFKA},
    {"byte-order-mark-crlf.conf", HTTP, KAFKA},
    {"byte-order-mark.conf", KAFKA, HTTP},
    {"colons-and-commas.conf", HTTP, HTTP},
    {"comments-everywhere.conf", HTTP, HTTP},
    {"consumer-only.conf", KAFKA, HTTP},
    {"crlf.conf", HTTP, HTTP},
    {"data-processing.conf", KAFKA, HTTP},
    {"defaults-by-null.conf", HTTP, KAFKA},
    {"dotted-keys.conf", HTTP, KAFKA},
    {"empty.conf", KAFKA, KAFKA},
    {"environment-section.conf", HTTP, KAFKA},
    {"fixed-token.conf", KAFKA, HTTP},
    {"flink.conf", KAFKA, KAFKA},
    {"from-variables.conf", KAFKA, HTTP},
    {"include-of-a-file.conf", HTTP, HTTP},
    {"include-of-nothing.conf", KAFKA, HTTP},
    {"index-compaction.conf", HTTP, KAFKA},
    {"json-form.json", KAFKA, HTTP},
    {"json-in-a-conf.conf", HTTP, HTTP},
    {"no-last-newline.conf", KAFKA, HTTP},
    {"only-comments.conf", KAFKA, KAFKA},
    {"other-libraries-only.conf", KAFKA, KAFKA},
    {"other-settings-in-our-sections.conf", KAFKA, HTTP},
    {"pekko.conf", KAFKA, HTTP},
    {"pieced-together.conf", HTTP, HTTP},
    {"platform-custom.conf", HTTP, KAFKA},
    {"platform-here-cn-dev.conf", KAFKA, HTTP},
    {"platform-here-cn.conf", KAFKA, HTTP},
    {"platform-here-dev.conf", KAFKA, HTTP},
    {"platform-here.conf", KAFKA, HTTP},
    {"platform-local.conf", KAFKA, HTTP},
    {"producer-only.conf", HTTP, KAFKA},
    {"proxy.conf", HTTP, HTTP},
    {"quoted-both.conf", HTTP, HTTP},
    {"request-signer.conf", HTTP, HTTP},
    {"spark.conf", KAFKA, HTTP},
    {"triple-quotes.conf", HTTP, KAFKA},
    {"unquoted-both.conf", KAFKA, HTTP},
    {"written-twice.conf", HTTP, HTTP},
};
static const size_t file_count = sizeof files / sizeof *files;

/* A home with credentials, for the files that have none. */
struct home {
    char directory[64], corpus[1000];
};

static int setup(void **state)
{
    static const char here[] = "tests/unit/config_original_test.c";
    struct home *home = calloc(1, sizeof *home);
    assert_non_null(home);
    size_t size = strlen(__FILE__) - strlen(here);
    assert_string_equal(__FILE__ + size, here);
    snprintf(home->corpus, sizeof home->corpus, "%.*stests/config/original", (int)size, __FILE__);
    strcpy(home->directory, "/tmp/sl-original-XXXXXX");
    assert_non_null(mkdtemp(home->directory));
    assert_int_equal(chdir(home->directory), 0);
    assert_int_equal(mkdir(".here", 0700), 0);
    int file = creat(".here/credentials.properties", 0600);
    assert_true(file >= 0);
    assert_true(dprintf(file, "here.access.key.id = HomeKey\nhere.access.key.secret = HomeSecret\n"
                              "here.token.endpoint.url = https://account.example/oauth2/token\n") > 0);
    assert_int_equal(close(file), 0);
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++)
        if (setting->environment)
            unsetenv(setting->environment);
    unsetenv("STREAMLAYER_CONFIG");
    unsetenv("STREAMLAYER_CONTEXT");
    unsetenv("XDG_CONFIG_HOME");
    setenv("HOME", home->directory, 1);
    *state = home;
    return 0;
}

static int teardown(void **state)
{
    struct home *home = *state;
    char command[128];
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", home->directory);
    assert_int_equal(system(command), 0);
    free(home);
    return 0;
}

static sl_config *load(const struct home *home, const char *file)
{
    char name[1200];
    sl_config *config = NULL;
    sl_error error = {.text = ""};
    snprintf(name, sizeof name, "%s/%s", home->corpus, file);
    assert_int_equal(sl_config_create(&config, &error), SL_OK);
    if (sl_config_load(config, name, &error))
        fail_msg("%s: %s", file, error.text);
    return config;
}

static void each_is_accepted_and_chooses(void **state)
{
    struct home *home = *state;
    for (size_t i = 0; i < file_count; i++) {
        sl_error error = {.text = ""};
        const char *producer = NULL, *consumer = NULL;
        sl_config *config = load(home, files[i].file);
        if (sl_config_check(config, &error) ||
            sl_config_choice(config, SL_ROOT "stream.connector.producer", &producer, &error) ||
            sl_config_choice(config, SL_ROOT "stream.connector.consumer", &consumer, &error))
            fail_msg("%s: %s", files[i].file, error.text);
        if (strcmp(producer, files[i].producer) != 0 || strcmp(consumer, files[i].consumer) != 0)
            fail_msg("%s: %s and %s", files[i].file, producer, consumer);
        sl_config_destroy(&config);
    }
}

static void a_client_can_be_made_of_each(void **state)
{
    struct home *home = *state;
    for (size_t i = 0; i < file_count; i++) {
        sl_error error = {.text = ""};
        sl_client *client = NULL;
        sl_config *config = load(home, files[i].file);
        if (sl_client_create(config, NULL, NULL, &client, &error))
            fail_msg("%s: %s", files[i].file, error.text);
        sl_client_destroy(&client);
        sl_config_destroy(&config);
    }
}

static void each_file_is_in_the_table(void **state)
{
    struct home *home = *state;
    DIR *directory = opendir(home->corpus);
    size_t found = 0;
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        bool listed = *entry->d_name == '.' || strcmp(entry->d_name, "shared") == 0;
        for (size_t i = 0; i < file_count; i++)
            if (strcmp(files[i].file, entry->d_name) == 0) {
                listed = true;
                found++;
            }
        if (!listed)
            fail_msg("%s is not in the table", entry->d_name);
    }
    closedir(directory);
    assert_int_equal(found, file_count);
}

/* Where each of the environments that it knows is. */
static void each_environment_is_somewhere(void **state)
{
    struct home *home = *state;
    static const struct {
        const char *file, *lookup, *token;
    } places[] = {
        {"platform-here.conf", "https://api-lookup.data.api.platform.here.com/lookup/v1",
         "https://account.api.here.com/oauth2/token"},
        {"platform-here-dev.conf", "https://api-lookup.data.api.platform.in.here.com/lookup/v1",
         "https://stg.account.api.here.com/oauth2/token"},
        {"platform-here-cn.conf", "https://api-lookup.data.api.platform.hereolp.cn/lookup/v1",
         "https://account.hereapi.cn/oauth2/token"},
        {"platform-here-cn-dev.conf", "https://api-lookup.data.api.platform.in.hereolp.cn/lookup/v1",
         "https://account.sit.hereapi.cn/oauth2/token"},
        {"platform-local.conf", "http://127.0.0.1:8080/lookup/v1", "http://127.0.0.1:8080/oauth2/token"},
        {"platform-custom.conf", "https://lookup.platform.example/lookup/v1", NULL},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        sl_error error = {.text = ""};
        char *url = NULL;
        sl_config *config = load(home, places[i].file);
        if (sl_config_lookup_url(config, &url, &error))
            fail_msg("%s: %s", places[i].file, error.text);
        assert_string_equal(url, places[i].lookup);
        const char *token = sl_config_default_token_url(config);
        if (places[i].token)
            assert_string_equal(token, places[i].token);
        else
            assert_null(token);
        free(url);
        sl_config_destroy(&config);
    }
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(each_is_accepted_and_chooses, setup, teardown),
    cmocka_unit_test_setup_teardown(a_client_can_be_made_of_each, setup, teardown),
    cmocka_unit_test_setup_teardown(each_file_is_in_the_table, setup, teardown),
    cmocka_unit_test_setup_teardown(each_environment_is_somewhere, setup, teardown))
