#include "support/cases.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/auth.h"
#include "auth/credentials.h"
#include "base/secret.h"
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
    static const char *const variables[] = {
        "STREAMLAYER_TOKEN",     "STREAMLAYER_CREDENTIALS", "STREAMLAYER_CREDENTIALS_PROFILE",
        "HERE_CREDENTIALS_FILE", "HERE_CREDENTIALS_STRING", "HERE_ACCESS_KEY_ID",
        "HERE_CLIENT_ID",        "HERE_ACCESS_KEY_SECRET",  "HERE_TOKEN_ENDPOINT_URL",
        "HERE_TOKEN_SCOPE",      "STREAMLAYER_CONFIG",      "STREAMLAYER_CONTEXT",
        "XDG_CONFIG_HOME"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    place->log = (struct sl_log){.callback = note, .opaque = place, .level = SL_LOG_DEBUG};
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
    assert_string_equal(place->credentials.client_id, "app");
    assert_string_equal(place->credentials.source, "credentials.properties, application app");
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
    snprintf(file, sizeof file, "%s/.here/credentials.properties, application app", place->directory);
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

/* What sl_config_load and then the program's own settings lead to. */
static void reload(struct place *place)
{
    sl_config_destroy(&place->config);
    assert_int_equal(sl_config_create(&place->config, &place->error), SL_OK);
    if (sl_config_load(place->config, NULL, &place->error) != SL_OK)
        fail_msg("%s", place->error.text);
}

static void expect_source(struct place *place, const char *source)
{
    if (load(place) != SL_OK)
        fail_msg("%s", place->error.text);
    assert_non_null(place->credentials.source);
    const char *found = strstr(place->credentials.source, source);
    if (!found)
        fail_msg("taken is %s, not %s", place->credentials.source, source);
}

static void expect_error(struct place *place, sl_status status, const char *text)
{
    assert_int_equal(load(place), status);
    assert_string_equal(place->error.text, text);
}

#define SIMPLE(id) "here.access.key.id = " id "\nhere.access.key.secret = secret-of-" id "\n"

/* All places at once; the first is taken away, one after another. */
static void the_first_place_that_is_set_is_taken(void **state)
{
    struct place *place = *state;
    static const char conf[] = SIGNER "here-token = t\n" ACCOUNT "here-access-key-id = hocon\n" ACCOUNT
                                      "here-access-key-secret = secret\n" SIGNER "file-path = f.properties\n";
    mkdir(".here", 0700);
    write_file(".here/credentials.properties", SIMPLE("home"), 0600);
    write_file(".here/credentials.ini", "[default]\n" SIMPLE("ini"), 0600);
    write_file("f.properties", SIMPLE("f"), 0600);
    write_file("streamlayer.properties", SIMPLE("sl"), 0600);
    write_file("here.properties", SIMPLE("here"), 0600);
    write_file("application.conf", conf, 0600);
    setenv("STREAMLAYER_TOKEN", "tok", 1);
    setenv("STREAMLAYER_CREDENTIALS", "streamlayer.properties", 1);
    setenv("HERE_CREDENTIALS_FILE", "here.properties", 1);
    setenv("HERE_CREDENTIALS_STRING", SIMPLE("string"), 1);
    setenv("HERE_ACCESS_KEY_ID", "variable", 1);
    setenv("HERE_ACCESS_KEY_SECRET", "secret", 1);
    setenv("HERE_CLIENT_ID", "app-7", 1);

    reload(place);
    assert_int_equal(sl_config_set(place->config, SIGNER "file-path", "f.properties", NULL), SL_OK);
    expect_source(place, "f.properties");
    reload(place);
    expect_source(place, "environment STREAMLAYER_TOKEN (" SIGNER "here-token)");
    unsetenv("STREAMLAYER_TOKEN");
    reload(place);
    expect_source(place, "streamlayer.properties");
    unsetenv("STREAMLAYER_CREDENTIALS");
    reload(place);
    expect_source(place, "here.properties");
    unsetenv("HERE_CREDENTIALS_FILE");
    reload(place);
    expect_source(place, "environment HERE_CREDENTIALS_STRING");
    assert_string_equal(place->credentials.key_secret, "secret-of-string");
    unsetenv("HERE_CREDENTIALS_STRING");
    reload(place);
    expect_source(place, "environment HERE_ACCESS_KEY_ID, application app-7");
    unsetenv("HERE_ACCESS_KEY_ID");
    unsetenv("HERE_ACCESS_KEY_SECRET");
    reload(place);
    expect_source(place, "application.conf:1 (" SIGNER "here-token)");
    write_file("application.conf", strchr(conf, '\n') + 1, 0600);
    reload(place);
    expect_source(place, "application.conf:1");
    assert_string_equal(place->credentials.key_id, "hocon");
    write_file("application.conf", strstr(conf, SIGNER "file-path"), 0600);
    reload(place);
    expect_source(place, "f.properties");
    write_file("application.conf", "", 0600);
    reload(place);
    expect_source(place, "/.here/credentials.ini [default]");
    write_file(".here/credentials.ini", "[prod]\n" SIMPLE("prod"), 0600);
    expect_source(place, "/.here/credentials.properties");
    assert_int_equal(unlink(".here/credentials.properties"), 0);
    assert_int_equal(load(place), SL_OK);
    assert_int_equal(place->credentials.kind, SL_NO_CREDENTIALS);
}

static void a_program_with_its_own_configuration_means_it(void **state)
{
    struct place *place = *state;
    setenv("HERE_ACCESS_KEY_ID", "variable", 1);
    setenv("HERE_ACCESS_KEY_SECRET", "secret", 1);
    setenv("HERE_TOKEN_ENDPOINT_URL", "https://a.example/t", 1);
    setenv("HERE_TOKEN_SCOPE", "hrn:scope", 1);
    expect_source(place, "environment HERE_ACCESS_KEY_ID");
    assert_string_equal(place->credentials.token_url, "https://a.example/t");
    assert_string_equal(place->credentials.scope, "hrn:scope");
    lay(place, SIGNER "here-token = t");
    expect_source(place, "app.conf:1");
}

static void profiles_of_an_ini(void **state)
{
    struct place *place = *state;
    static const char text[] = "[default]\n" SIMPLE("d") "[prod]\n" SIMPLE("p") "here.client.id = app\n";
    mkdir(".here", 0700);
    write_file(".here/credentials.ini", text, 0600);
    write_file("c.ini", text, 0600);
    setenv("STREAMLAYER_CREDENTIALS_PROFILE", "prod", 1);
    reload(place);
    expect_source(place, "/.here/credentials.ini [prod], application app");
    assert_string_equal(place->credentials.key_id, "p");
    assert_int_equal(sl_config_set(place->config, SIGNER "file-path", "c.ini", NULL), SL_OK);
    expect_source(place, "c.ini [prod], application app");
    assert_int_equal(sl_config_set(place->config, SIGNER "profile", "defualt", NULL), SL_OK);
    expect_error(place, SL_BAD_CONFIG,
                 "c.ini: no profile [defualt]; there are: default, prod (did you mean default?)");
    write_file("c.ini", SIMPLE("x"), 0600);
    expect_error(
        place, SL_BAD_CONFIG,
        "c.ini: no profile [defualt], for this is no INI: expected a line [defualt] before the keys");
}

static void a_named_profile_must_be_there(void **state)
{
    struct place *place = *state;
    char expected[400];
    lay(place, SIGNER "profile = prod");
    mkdir(".here", 0700);
    write_file(".here/credentials.properties", SIMPLE("home"), 0600);
    snprintf(expected, sizeof expected,
             "app.conf:1: " SIGNER "profile = prod: %s/.here/credentials.ini: the credentials file cannot be "
             "read: No such file or directory",
             place->directory);
    expect_error(place, SL_IO, expected);
    write_file(".here/credentials.ini", "[default]\n" SIMPLE("d"), 0600);
    snprintf(expected, sizeof expected,
             "app.conf:1: " SIGNER "profile = prod: %s/.here/credentials.ini: no profile [prod]; there are: "
             "default",
             place->directory);
    expect_error(place, SL_BAD_CONFIG, expected);
}

static void an_implicit_file_that_cannot_be_read_is_an_error(void **state)
{
    struct place *place = *state;
    char expected[300];
    mkdir(".here", 0700);
    write_file(".here/credentials.properties", SIMPLE("home"), 0600);
    write_file(".here/credentials.ini", "[default]\nhere.access.key.id\n", 0600);
    snprintf(expected, sizeof expected,
             "%s/.here/credentials.ini:2: a line without = or :, expected [PROFILE], or NAME = VALUE",
             place->directory);
    expect_error(place, SL_BAD_CONFIG, expected);
}

static void half_a_key_names_both_places(void **state)
{
    struct place *place = *state;
    write_file("application.conf", ACCOUNT "here-access-key-id = id\n" ACCOUNT "here-access-key-secret = s",
               0600);
    reload(place);
    assert_int_equal(sl_config_set(place->config, ACCOUNT "here-access-key-id", "mine", NULL), SL_OK);
    expect_error(
        place, SL_BAD_CONFIG,
        "API (" ACCOUNT "here-access-key-id) and application.conf:2 (" ACCOUNT
        "here-access-key-secret): an access key's id of one place and a secret of another are not put "
        "together: set both in the same");
    setenv("HERE_ACCESS_KEY_SECRET", "other", 1);
    reload(place);
    expect_error(place, SL_BAD_CONFIG,
                 "environment HERE_ACCESS_KEY_SECRET and application.conf:1 (" ACCOUNT
                 "here-access-key-id): an access key's id of one place and a secret of another are not put "
                 "together: set both in the same");
    write_file("application.conf", "", 0600);
    reload(place);
    expect_error(place, SL_BAD_CONFIG,
                 "environment HERE_ACCESS_KEY_SECRET: HERE_ACCESS_KEY_ID is missing: credentials need "
                 "HERE_ACCESS_KEY_ID and HERE_ACCESS_KEY_SECRET");
}

static void a_token_file(void **state)
{
    struct place *place = *state;
    write_file("access-token", " {\"access_token\": \"abc\", \"exp\": 1}", 0600);
    lay(place, SIGNER "file-path = access-token");
    expect_source(place, "access-token");
    assert_int_equal(place->credentials.kind, SL_TOKEN_FILE);
    assert_string_equal(place->credentials.file, "access-token");
    write_file("access-token", "{\"token\": \"abc\"}", 0600);
    expect_error(place, SL_BAD_CONFIG,
                 "access-token: not a token file: expected JSON such as {\"access_token\": \"...\", \"exp\": "
                 "SECONDS}");
}

static void *write_and_close(void *opaque)
{
    (void)opaque;
    int pipe = open("pipe", O_WRONLY);
    static const char text[] = "{\"access_token\": \"abc\", \"exp\": 4102444800}";
    assert_int_equal(write(pipe, text, sizeof text - 1), sizeof text - 1);
    close(pipe);
    return NULL;
}

static void a_token_that_comes_through_a_pipe_is_kept(void **state)
{
    struct place *place = *state;
    struct sl_auth *auth = NULL;
    pthread_t writer;
    char *bearer = NULL;
    int64_t expires_ms = 0;
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_and_close, NULL), 0);
    lay(place, SIGNER "file-path = pipe");
    if (sl_auth_create(place->config, NULL, NULL, &place->log, &auth, &place->error) != SL_OK)
        fail_msg("%s", place->error.text);
    pthread_join(writer, NULL);
    for (int i = 0; i < 2; i++) {
        if (sl_auth_bearer(auth, NULL, &bearer, &expires_ms, &place->error) != SL_OK)
            fail_msg("%s", place->error.text);
        assert_string_equal(bearer, "Bearer abc");
        assert_true(expires_ms == 4102444800000);
        sl_secret_free(&bearer);
    }
    assert_int_equal(sl_auth_bearer(auth, "Bearer abc", &bearer, NULL, &place->error), SL_UNAUTHENTICATED);
    assert_string_equal(place->error.text,
                        "the token of pipe is refused (expired?), and a given token cannot "
                        "be renewed: set a new one, or an access key");
    sl_auth_destroy(&auth);
}

/* What would be told with each error of the token endpoint's. */
static void an_endpoint_with_a_password_in_it_is_refused(void **state)
{
    struct place *place = *state;
    static const char *const urls[] = {"https://u:geheim@h/token", "http://u:geheim@h", "HTTPS://geheim@h?x",
                                       "u:geheim@h", "ftp://u:geheim@h/"};
    char text[400];
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        snprintf(text, sizeof text, "%shere.token.endpoint.url = %s\n", SIMPLE("a"), urls[i]);
        write_file("c", text, 0600);
        lay(place, SIGNER "file-path = c");
        expect_error(
            place, SL_BAD_CONFIG,
            "c: here.token.endpoint.url is not a URL without a user's name in it: http:// or https:// "
            "and a host first; a name and password have no place there");
    }
    sl_config_destroy(&place->config);
    assert_int_equal(sl_config_create(&place->config, &place->error), SL_OK);
    setenv("HERE_ACCESS_KEY_ID", "a", 1);
    setenv("HERE_ACCESS_KEY_SECRET", "s", 1);
    setenv("HERE_TOKEN_ENDPOINT_URL", urls[0], 1);
    assert_int_equal(load(place), SL_BAD_CONFIG);
    assert_non_null(strstr(place->error.text, "HERE_TOKEN_ENDPOINT_URL is not a URL without a user's name"));
    assert_null(strstr(place->error.text, "geheim"));
    setenv("HERE_TOKEN_ENDPOINT_URL", "https://h/token?of=a@b", 1);
    assert_int_equal(load(place), SL_OK);
}

static void a_configuration_with_a_secret_that_others_read_is_warned_of(void **state)
{
    struct place *place = *state;
    write_file("application.conf", ACCOUNT "here-access-key-id = id\n" ACCOUNT "here-access-key-secret = s",
               0640);
    reload(place);
    expect_source(place, "application.conf:1");
    assert_string_equal(place->warnings,
                        "application.conf holds a secret, " ACCOUNT "here-access-key-secret, and others may "
                        "read or write it (mode 0640): chmod 600 application.conf\n");
}

static void a_check_tells_the_source(void **state)
{
    struct place *place = *state;
    char *source = NULL;
    assert_int_equal(sl_credentials_check(place->config, &place->log, &source, &place->error), SL_OK);
    assert_null(source);
    write_file("c.properties", whole, 0600);
    lay(place, SIGNER "file-path = c.properties");
    assert_int_equal(sl_credentials_check(place->config, &place->log, &source, &place->error), SL_OK);
    assert_string_equal(source, "c.properties, application app");
    free(source);
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
    cmocka_unit_test_setup_teardown(the_first_place_that_is_set_is_taken, setup, teardown),
    cmocka_unit_test_setup_teardown(a_program_with_its_own_configuration_means_it, setup, teardown),
    cmocka_unit_test_setup_teardown(profiles_of_an_ini, setup, teardown),
    cmocka_unit_test_setup_teardown(a_named_profile_must_be_there, setup, teardown),
    cmocka_unit_test_setup_teardown(an_implicit_file_that_cannot_be_read_is_an_error, setup, teardown),
    cmocka_unit_test_setup_teardown(half_a_key_names_both_places, setup, teardown),
    cmocka_unit_test_setup_teardown(a_token_file, setup, teardown),
    cmocka_unit_test_setup_teardown(a_token_that_comes_through_a_pipe_is_kept, setup, teardown),
    cmocka_unit_test_setup_teardown(an_endpoint_with_a_password_in_it_is_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(a_configuration_with_a_secret_that_others_read_is_warned_of, setup, teardown),
    cmocka_unit_test_setup_teardown(a_check_tells_the_source, setup, teardown))
