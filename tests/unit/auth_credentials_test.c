#include "support/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/credentials.h"
#include "config/settings.h"

#define SIGNER  SL_ROOT "request-signer.credentials."
#define ACCOUNT SIGNER "here-account."

struct place {
    char directory[64];
    char warnings[1000];
    sl_config *config;
    struct sl_log log;
    struct sl_credentials credentials;
    sl_error error;
};

static void note(void *opaque, sl_log_level level, const char *text)
{
    struct place *place = opaque;
    size_t length = strlen(place->warnings);
    if (level <= SL_LOG_WARNING)
        snprintf(place->warnings + length, sizeof place->warnings - length, "%s\n", text);
}

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    strcpy(place->directory, "/tmp/sl-auth-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    assert_int_equal(chdir(place->directory), 0);
    setenv("HOME", place->directory, 1);
    unsetenv("STREAMLAYER_TOKEN");
    unsetenv("STREAMLAYER_CREDENTIALS");
    place->log = (struct sl_log){note, place, SL_LOG_DEBUG};
    assert_int_equal(sl_config_create(&place->config, &place->error), SL_OK);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[128];
    sl_config_destroy(&place->config);
    sl_credentials_free(&place->credentials);
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", place->directory);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(name, mode), 0);
}

static void lay(struct place *place, const char *text)
{
    if (sl_config_parse(place->config, text, strlen(text), "app.conf", &place->error) != SL_OK)
        fail_msg("%s", place->error.text);
}

static sl_status load(struct place *place)
{
    sl_credentials_free(&place->credentials);
    memset(&place->error, 0, sizeof place->error);
    return sl_credentials_load(place->config, &place->log, &place->credentials, &place->error);
}

static const char whole[] = "# from the platform\n"
                            "here.user.id = HERE-1\n"
                            "here.client.id = app\n"
                            "here.access.key.id = key+/=\n"
                            "here.access.key.secret = s:3=c$r{e}t#\n"
                            "here.token.endpoint.url = http\\://127.0.0.1:1/oauth2/token\n";

static void none_is_no_error(void **state)
{
    struct place *place = *state;
    assert_int_equal(load(place), SL_OK);
    assert_null(place->credentials.source);
}

static void the_file_of_the_platform(void **state)
{
    struct place *place = *state;
    write_file("credentials.properties", whole, 0600);
    lay(place, SIGNER "file-path = credentials.properties");
    assert_int_equal(load(place), SL_OK);
    assert_string_equal(place->credentials.key_id, "key+/=");
    assert_string_equal(place->credentials.key_secret, "s:3=c$r{e}t#");
    assert_string_equal(place->credentials.token_url, "http://127.0.0.1:1/oauth2/token");
    assert_string_equal(place->credentials.source, "credentials.properties");
    assert_null(place->credentials.token);
    assert_string_equal(place->warnings, "");
}

static void quotes_and_blanks_are_taken_off(void **state)
{
    struct place *place = *state;
    write_file("c.properties", "here.access.key.id = \"id\"\nhere.access.key.secret = secret \t\r\n", 0600);
    lay(place, SIGNER "file-path = c.properties");
    assert_int_equal(load(place), SL_OK);
    assert_string_equal(place->credentials.key_id, "id");
    assert_string_equal(place->credentials.key_secret, "secret");
    assert_string_equal(place->credentials.token_url, "https://account.api.here.com/oauth2/token");
}

static void a_file_that_others_read_is_warned_of(void **state)
{
    struct place *place = *state;
    write_file("c.properties", whole, 0644);
    lay(place, SIGNER "file-path = c.properties");
    assert_int_equal(load(place), SL_OK);
    assert_string_equal(place->warnings, "c.properties holds a secret, and others may read or write it "
                                         "(mode 0644): chmod 600 c.properties\n");
}

static void the_file_at_home_when_nothing_is_set(void **state)
{
    struct place *place = *state;
    char file[128];
    mkdir(".here", 0700);
    write_file(".here/credentials.properties", whole, 0600);
    assert_int_equal(load(place), SL_OK);
    snprintf(file, sizeof file, "%s/.here/credentials.properties", place->directory);
    assert_string_equal(place->credentials.source, file);
    lay(place, SIGNER "file-path = \"~/.here/credentials.properties\"");
    assert_int_equal(load(place), SL_OK);
    assert_string_equal(place->credentials.source, file);
}

static void a_set_file_must_be_there(void **state)
{
    struct place *place = *state;
    lay(place, SIGNER "file-path = lost.properties");
    assert_int_equal(load(place), SL_IO);
    assert_string_equal(place->error.text,
                        "app.conf:1: here.platform.data-client.request-signer.credentials.file-path: "
                        "lost.properties: the credentials file cannot be read: No such file or directory");
}

static void what_a_file_lacks_is_named(void **state)
{
    struct place *place = *state;
    lay(place, SIGNER "file-path = c.properties");
    write_file("c.properties", "here.access.key.id = id\n", 0600);
    assert_int_equal(load(place), SL_BAD_CONFIG);
    assert_string_equal(place->error.text,
                        "c.properties: here.access.key.secret is missing: credentials need "
                        "here.access.key.id and here.access.key.secret");
    write_file("c.properties", "here.access.key.id = i d\nhere.access.key.secret = s", 0600);
    assert_int_equal(load(place), SL_BAD_CONFIG);
    write_file("c.properties",
               "here.access.key.id=i\nhere.access.key.secret=s\nhere.token.endpoint.url=account.example",
               0600);
    assert_int_equal(load(place), SL_BAD_CONFIG);
    assert_non_null(strstr(place->error.text, "here.token.endpoint.url"));
    lay(place, SIGNER "file-path = c.txt");
    write_file("c.txt", whole, 0600);
    assert_int_equal(load(place), SL_BAD_CONFIG);
    assert_non_null(strstr(place->error.text, "c.txt: a credentials file is one of Java properties"));
}

static void a_key_in_the_configuration(void **state)
{
    struct place *place = *state;
    lay(place, ACCOUNT "here-access-key-id = id\n" ACCOUNT "here-access-key-secret = secret\n" ACCOUNT
                       "here-token-endpoint-url = \"https://a.example/t\"\n" ACCOUNT
                       "here-token-scope = \"hrn:here:authorization::o:project/p\"");
    assert_int_equal(load(place), SL_OK);
    assert_string_equal(place->credentials.key_id, "id");
    assert_string_equal(place->credentials.key_secret, "secret");
    assert_string_equal(place->credentials.token_url, "https://a.example/t");
    assert_string_equal(place->credentials.scope, "hrn:here:authorization::o:project/p");
    assert_string_equal(place->credentials.source, "app.conf:1");
    lay(place, ACCOUNT "here-access-key-secret = null");
    assert_int_equal(load(place), SL_BAD_CONFIG);
    assert_non_null(strstr(place->error.text, "here-access-key-secret is missing"));
}

static void a_custom_platform_has_no_known_token_endpoint(void **state)
{
    struct place *place = *state;
    lay(place, ACCOUNT "here-access-key-id = id\n" ACCOUNT "here-access-key-secret = secret\n" SL_ROOT
                       "endpoint-locator.discovery-service-url = \"http://127.0.0.1:1\"");
    assert_int_equal(load(place), SL_BAD_CONFIG);
    assert_non_null(strstr(place->error.text, ACCOUNT "here-token-endpoint-url is missing"));
}

static void a_token_as_it_is(void **state)
{
    struct place *place = *state;
    lay(place, SIGNER "here-token = \"Bearer abc.def\"");
    assert_int_equal(load(place), SL_OK);
    assert_string_equal(place->credentials.token, "abc.def");
    assert_null(place->credentials.key_id);
    lay(place, SIGNER "here-token = \"abc\\r\\nX: y\"");
    assert_int_equal(load(place), SL_BAD_CONFIG);
    assert_null(strstr(place->error.text, "X: y"));
}

static void the_most_deliberate_wins(void **state)
{
    struct place *place = *state;
    write_file("c.properties", whole, 0600);
    lay(place, SIGNER "here-token = t\n" ACCOUNT "here-access-key-id = id\n" ACCOUNT
                      "here-access-key-secret = secret");
    assert_int_equal(load(place), SL_OK);
    assert_string_equal(place->credentials.token, "t");
    setenv("STREAMLAYER_CREDENTIALS", "c.properties", 1);
    assert_int_equal(sl_config_load(place->config, NULL, &place->error), SL_OK);
    assert_int_equal(load(place), SL_OK);
    assert_string_equal(place->credentials.source, "c.properties");
    assert_int_equal(sl_config_set(place->config, ACCOUNT "here-access-key-id", "mine", NULL), SL_OK);
    assert_int_equal(load(place), SL_OK);
    assert_string_equal(place->credentials.key_id, "mine");
    setenv("STREAMLAYER_TOKEN", "environment", 1);
    sl_config_destroy(&place->config);
    assert_int_equal(sl_config_create(&place->config, NULL), SL_OK);
    assert_int_equal(sl_config_load(place->config, NULL, NULL), SL_OK);
    assert_int_equal(sl_config_set(place->config, SIGNER "file-path", "c.properties", NULL), SL_OK);
    assert_int_equal(load(place), SL_OK);
    assert_string_equal(place->credentials.source, "c.properties");
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(none_is_no_error, setup, teardown),
    cmocka_unit_test_setup_teardown(the_file_of_the_platform, setup, teardown),
    cmocka_unit_test_setup_teardown(quotes_and_blanks_are_taken_off, setup, teardown),
    cmocka_unit_test_setup_teardown(a_file_that_others_read_is_warned_of, setup, teardown),
    cmocka_unit_test_setup_teardown(the_file_at_home_when_nothing_is_set, setup, teardown),
    cmocka_unit_test_setup_teardown(a_set_file_must_be_there, setup, teardown),
    cmocka_unit_test_setup_teardown(what_a_file_lacks_is_named, setup, teardown),
    cmocka_unit_test_setup_teardown(a_key_in_the_configuration, setup, teardown),
    cmocka_unit_test_setup_teardown(a_custom_platform_has_no_known_token_endpoint, setup, teardown),
    cmocka_unit_test_setup_teardown(a_token_as_it_is, setup, teardown),
    cmocka_unit_test_setup_teardown(the_most_deliberate_wins, setup, teardown))
