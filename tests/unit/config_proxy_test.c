#include "support/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/settings.h"

static const char *const variables[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                        "all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

static void clear_environment(void)
{
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
}

/* One line of settings, up to three variables, and what comes of them: the URL for libcurl or the error. */
struct row {
    const char *settings; /* below proxy */
    const char *environment[3][2];
    bool secure;
    const char *url, *shown, *origin;
    const char *error;
};

static void expect(const struct row *row)
{
    sl_config *config = NULL;
    sl_error error = {0};
    struct sl_proxy proxy;
    char text[1000];
    clear_environment();
    for (size_t i = 0; i < 3 && row->environment[i][0]; i++)
        setenv(row->environment[i][0], row->environment[i][1], 1);
    snprintf(text, sizeof text, SL_ROOT "proxy { %s }", row->settings ? row->settings : "");
    assert_int_equal(sl_config_create(&config, NULL), SL_OK);
    if (sl_config_parse(config, text, strlen(text), "app.conf", &error))
        fail_msg("%s", error.text);
    sl_status status = sl_config_proxy(config, row->secure, &proxy, &error);
    if (row->error) {
        assert_int_equal(status, SL_BAD_CONFIG);
        assert_string_equal(error.text, row->error);
        assert_null(proxy.url);
        /* The check of the whole configuration finds it, too. */
        assert_int_equal(sl_config_check(config, &error), SL_BAD_CONFIG);
        assert_string_equal(error.text, row->error);
    } else {
        if (status)
            fail_msg("%s", error.text);
        assert_string_equal(proxy.url, row->url);
        assert_string_equal(proxy.shown, row->shown ? row->shown : row->url);
        assert_string_equal(proxy.origin, row->origin ? row->origin : *row->url ? "app.conf:1" : "");
        assert_int_equal(proxy.named, strchr(row->url, '@') != NULL);
    }
    sl_proxy_free(&proxy);
    sl_config_destroy(&config);
    clear_environment();
}

#define EXPECT(...) expect(&(struct row){__VA_ARGS__})
#define P           "here.platform.data-client.proxy."

static void settings_name_a_proxy(void **state)
{
    (void)state;
    EXPECT(.url = "");
    EXPECT("host = proxy.example", .url = "http://proxy.example:8080");
    EXPECT("host = proxy.example, port = 3128", .secure = true, .url = "http://proxy.example:3128");
    EXPECT("host = proxy.example, port = 3128, scheme = https", .url = "https://proxy.example:3128");
    EXPECT("host = 192.0.2.1", .url = "http://192.0.2.1:8080");
    EXPECT("host = \"::1\"", .url = "http://[::1]:8080");
    EXPECT("host = \"[2001:db8::1]\"", .url = "http://[2001:db8::1]:8080");
    EXPECT("host = p, credentials { username = fleet }", .url = "http://fleet:@p:8080",
           .shown = "http://p:8080");
    EXPECT("host = p, credentials { username = \"a@b\", password = \"c:d/ \\\"%\" }",
           .url = "http://a%40b:c%3Ad%2F%20%22%25@p:8080", .shown = "http://p:8080");
    EXPECT("host = \"\", port = 3128", .url = "");
}

static void wrong_settings_are_told(void **state)
{
    (void)state;
    static const char no_host[] =
        "app.conf:1: " P "host is not a host: write its name or address alone, and the port as proxy.port";
    EXPECT("host = \"http://proxy\"", .error = no_host);
    EXPECT("host = \"proxy:3128\"", .error = no_host);
    EXPECT("host = \"user:geheim@proxy\"", .error = no_host);
    EXPECT("host = \"pro xy\"", .error = no_host);
    EXPECT("host = \"[::1\"", .error = no_host);
    EXPECT("host = \":::\"", .error = no_host);
    EXPECT("host = p, credentials.password = geheim",
           .error = "app.conf:1: " P "credentials.password is set, but no " P "credentials.username");
    EXPECT("credentials.password = geheim",
           .error = "app.conf:1: " P "credentials.password is set, but no " P "credentials.username");
    EXPECT("host = p, credentials.username = \"a:b\"",
           .error =
               "app.conf:1: " P "credentials.username holds a colon, which no proxy takes in a user's name");
    EXPECT("host = p, credentials.username = \"a\\nb\"",
           .error =
               "app.conf:1: " P "credentials.username holds a control character, which no proxy takes in "
               "a user's name");
    EXPECT("host = p, credentials { username = a, password = \"gehe\\u0007im\" }",
           .error = "app.conf:1: " P "credentials.password holds a control character");
}

static void the_environment_names_a_proxy(void **state)
{
    (void)state;
    EXPECT(.environment = {{"http_proxy", "http://p:1"}}, .url = "http://p:1",
           .origin = "environment http_proxy");
    EXPECT(.environment = {{"http_proxy", "http://p:1"}}, .secure = true, .url = "");
    EXPECT(.environment = {{"HTTP_PROXY", "http://p:1"}}, .url = ""); /* a web server's header could set it */
    EXPECT(.environment = {{"https_proxy", "http://p:1"}}, .secure = true, .url = "http://p:1",
           .origin = "environment https_proxy");
    EXPECT(.environment = {{"https_proxy", "http://p:1"}}, .url = "");
    EXPECT(.environment = {{"HTTPS_PROXY", "http://p:1"}}, .secure = true, .url = "http://p:1",
           .origin = "environment HTTPS_PROXY");
    EXPECT(.environment = {{"HTTPS_PROXY", "http://p:1"}, {"https_proxy", "http://p:2"}}, .secure = true,
           .url = "http://p:2", .origin = "environment https_proxy");
    EXPECT(.environment = {{"all_proxy", "http://p:1"}, {"https_proxy", "http://p:2"}}, .secure = true,
           .url = "http://p:2", .origin = "environment https_proxy");
    EXPECT(.environment = {{"all_proxy", "http://p:1"}, {"ALL_PROXY", "http://p:2"}}, .secure = true,
           .url = "http://p:1", .origin = "environment all_proxy");
    EXPECT(.environment = {{"ALL_PROXY", "http://p:2"}}, .url = "http://p:2",
           .origin = "environment ALL_PROXY");
    EXPECT(.environment = {{"https_proxy", ""}, {"HTTPS_PROXY", "http://p:1"}}, .secure = true,
           .url = "http://p:1", .origin = "environment HTTPS_PROXY");
}

static void the_environments_forms_are_read(void **state)
{
    (void)state;
#define FORM(value, ...)                                                                                     \
    EXPECT(.environment = {{"http_proxy", value}}, .origin = "environment http_proxy", __VA_ARGS__)
    FORM("p", .url = "http://p:1080");
    FORM("p:3128", .url = "http://p:3128");
    FORM("HTTP://p:3128/", .url = "http://p:3128");
    FORM("https://p", .url = "https://p:443");
    FORM("socks5h://p", .url = "socks5h://p:1080");
    FORM("[::1]:1", .url = "http://[::1]:1");
    FORM("u@p:1", .url = "http://u:@p:1", .shown = "http://p:1");
    FORM("u:w@p:1", .url = "http://u:w@p:1", .shown = "http://p:1");
    FORM("http://u:w%40%2f%C3%A4:x@p:1", .url = "http://u:w%40%2F%C3%A4%3Ax@p:1", .shown = "http://p:1");
#undef FORM
}

static void a_wrong_variable_is_told_without_its_value(void **state)
{
    (void)state;
#define WRONG(value, what)                                                                                   \
    EXPECT(.environment = {{"https_proxy", value}}, .secure = true,                                          \
           .error = "environment https_proxy: that is no proxy's address: " what                             \
                    "; expected [http://][USER[:PASSWORD]@]HOST[:PORT]")
    WRONG("foo://user:geheim@h:1", "its scheme is none of http, https, socks5, socks5h, socks4, socks4a");
    WRONG("http://user:ge heim@h:1",
          "there is a blank or a control character in it (written %20 in a password)");
    WRONG("http://user:ge\nheim@h:1",
          "there is a blank or a control character in it (written %20 in a password)");
    WRONG("http://user:ge/heim@h:1",
          "its user or password holds one of / ? # @ as it is (write %2F %3F %23 %40)");
    WRONG("http://user:ge@heim@h:1",
          "its user or password holds one of / ? # @ as it is (write %2F %3F %23 %40)");
    WRONG("http://user:geheim%4@h:1",
          "its user or password has a broken %-escape, or one of a control character");
    WRONG("http://user:geheim%00@h:1",
          "its user or password has a broken %-escape, or one of a control character");
    WRONG("http://user%0a:geheim@h:1",
          "its user or password has a broken %-escape, or one of a control character");
    WRONG("http://:geheim@h:1", "there is a password in it, but no user");
    WRONG("http://a%3ab:geheim@h:1", "its user holds a colon, which no proxy takes in a user's name");
    WRONG("http://user:geheim@", "its host is no name or address");
    WRONG("http://user:geheim@ho$st", "its host is no name or address");
    WRONG("http://user:geheim@[::1", "its host is no name or address");
    WRONG("http://user:geheim@[::1]x", "its host is no name or address");
    WRONG("http://user:geheim@[host]", "its host is no name or address");
    WRONG("http://user:geheim@h:0", "its port is no number from 1 to 65535");
    WRONG("http://user:geheim@h:", "its port is no number from 1 to 65535");
    WRONG("http://user:geheim@h:99999", "its port is no number from 1 to 65535");
    WRONG("http://user:geheim@h:1/path", "something follows the host and the port");
    WRONG("http://user:geheim@h:1?x", "something follows the host and the port");
#undef WRONG
}

static void settings_win_over_the_environment(void **state)
{
    (void)state;
    EXPECT("host = p", .environment = {{"https_proxy", "http://q:1"}, {"http_proxy", "http://q:1"}},
           .secure = true, .url = "http://p:8080");
    EXPECT("host = \"\"", .environment = {{"https_proxy", "http://q:1"}, {"all_proxy", "http://q:1"}},
           .secure = true, .url = "");
    EXPECT("host = null", .environment = {{"http_proxy", "http://q:1"}}, .url = "http://q:1",
           .origin = "environment http_proxy");
    /* The environment says where it is, the settings who we are. */
    EXPECT("credentials { username = u, password = w }", .environment = {{"http_proxy", "http://q:1"}},
           .url = "http://u:w@q:1", .shown = "http://q:1", .origin = "environment http_proxy");
    EXPECT("credentials { username = u, password = w }", .environment = {{"http_proxy", "http://v@q:1"}},
           .url = "http://v:@q:1", .shown = "http://q:1", .origin = "environment http_proxy");
    /* A wrong variable is of no account where the settings say what there is. */
    EXPECT("host = p", .environment = {{"http_proxy", "foo://q"}}, .url = "http://p:8080");
}

static void hosts_without_a_proxy_come_from_both(void **state)
{
    (void)state;
    static const struct {
        const char *settings, *lower, *upper, *expected;
    } rows[] = {{"", NULL, NULL, NULL},      {"", "a", NULL, "a"},           {"", NULL, "b", "b"},
                {"", "a", "b", "a"},         {"exclude = c", "a", "b", "c"}, {"exclude = \"\"", "a", "b", ""},
                {"host = p", "a", NULL, "a"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sl_config *config = NULL;
        char text[200];
        clear_environment();
        if (rows[i].lower)
            setenv("no_proxy", rows[i].lower, 1);
        if (rows[i].upper)
            setenv("NO_PROXY", rows[i].upper, 1);
        snprintf(text, sizeof text, SL_ROOT "proxy { %s }", rows[i].settings);
        assert_int_equal(sl_config_create(&config, NULL), SL_OK);
        assert_int_equal(sl_config_parse(config, text, strlen(text), "t", NULL), SL_OK);
        const char *list = sl_config_no_proxy(config);
        if (rows[i].expected) {
            assert_non_null(list);
            assert_string_equal(list, rows[i].expected);
        } else {
            assert_null(list);
        }
        sl_config_destroy(&config);
    }
    clear_environment();
}

CASES_MAIN(cmocka_unit_test(settings_name_a_proxy), cmocka_unit_test(wrong_settings_are_told),
           cmocka_unit_test(the_environment_names_a_proxy), cmocka_unit_test(the_environments_forms_are_read),
           cmocka_unit_test(a_wrong_variable_is_told_without_its_value),
           cmocka_unit_test(settings_win_over_the_environment),
           cmocka_unit_test(hosts_without_a_proxy_come_from_both))
