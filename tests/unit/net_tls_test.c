/* TLS: which files are taken, which handshakes fail, and what is said of them. */
#include "support/cases.h"

#include "tls_server.h"

#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/engine.h"
#include "net/http.h"

enum { DAY = 86400 };

static char directory[] = "/tmp/streamlayer-tls-XXXXXX";
static struct identity ca, other_ca, server, client, stranger, expired, early, misnamed;
static char logged[2000];

static const struct sl_http_names names = {.ca_file = "x.ca-file",
                                           .certificate_file = "x.certificate-file",
                                           .key_file = "x.key-file",
                                           .key_password = "x.key-password",
                                           .min_version = "x.min-version"};

/* A file of the test's directory. */
static const char *at(const char *name)
{
    static char paths[8][200];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void keep_log(void *opaque, sl_log_level level, const char *text)
{
    (void)opaque, (void)level;
    snprintf(logged, sizeof logged, "%s", text);
}

static int start(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/streamlayer-tls-XXXXXX");
    assert_non_null(mkdtemp(directory));
    umask(077);
    ca = identity_make("test CA", NULL, -DAY, DAY);
    other_ca = identity_make("other CA", NULL, -DAY, DAY);
    server = identity_make("127.0.0.1", &ca, -DAY, DAY);
    client = identity_make("client", &ca, -DAY, DAY);
    stranger = identity_make("stranger", &other_ca, -DAY, DAY);
    expired = identity_make("127.0.0.1", &ca, -2 * DAY, -DAY);
    early = identity_make("127.0.0.1", &ca, DAY, 2 * DAY);
    misnamed = identity_make("other.test", &ca, -DAY, DAY);
    write_certificate(at("ca.pem"), &ca);
    write_certificate(at("other-ca.pem"), &other_ca);
    write_certificate(at("client.pem"), &client);
    write_key(at("client-key.pem"), &client, NULL);
    write_key(at("locked-key.pem"), &client, "geheim");
    write_certificate(at("both.pem"), &client);
    write_key(at("both.pem"), &client, NULL);
    write_certificate(at("expired.pem"), &expired);
    write_key(at("expired.pem"), &expired, NULL);
    write_certificate(at("early.pem"), &early);
    write_key(at("early.pem"), &early, NULL);
    write_certificate(at("stranger.pem"), &stranger);
    write_key(at("stranger.pem"), &stranger, NULL);
    logged[0] = 0;
    return 0;
}

static int stop(void **state)
{
    struct identity *const all[] = {&ca, &other_ca, &server, &client, &stranger, &expired, &early, &misnamed};
    static const char *const files[] = {"ca.pem",         "other-ca.pem", "client.pem",  "client-key.pem",
                                        "locked-key.pem", "both.pem",     "expired.pem", "early.pem",
                                        "stranger.pem",   "junk.pem",     "pipe.pem"};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        identity_free(all[i]);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(at(files[i]));
    rmdir(directory);
    return 0;
}

static struct sl_http_tls files(const char *ca_file, const char *certificate, const char *key,
                                const char *password)
{
    return (struct sl_http_tls){.ca_file = ca_file ? at(ca_file) : NULL,
                                .certificate_file = certificate ? at(certificate) : NULL,
                                .key_file = key ? at(key) : NULL,
                                .key_password = password};
}

/* Puts what, after the directory's name has been made a D and the port a P, beside expected. */
static void expect_text(const char *given, int port, const char *expected)
{
    char text[SL_ERROR_TEXT_SIZE] = "", number[16];
    snprintf(number, sizeof number, ":%d", port);
    while (*given) {
        size_t length = strlen(text);
        if (!strncmp(given, directory, strlen(directory))) {
            strcpy(text + length, "D");
            given += strlen(directory);
        } else if (port && !strncmp(given, number, strlen(number))) {
            strcpy(text + length, ":P");
            given += strlen(number);
        } else {
            text[length] = *given++;
            text[length + 1] = 0;
        }
    }
    assert_string_equal(text, expected);
}

/* The files that are refused when an engine is made; expected NULL: taken. */
static void expect_files(struct sl_http_tls tls, const char *expected)
{
    const struct sl_http_settings settings = {.tls = tls, .names = names};
    const struct sl_log log = {.callback = keep_log, .level = SL_LOG_WARNING};
    struct sl_http *http = NULL;
    sl_error error = {0};
    sl_status status = sl_http_create(&settings, &log, &http, &error);
    sl_http_destroy(&http);
    if (!expected) {
        assert_string_equal(error.text, "");
        return;
    }
    assert_int_equal(status, SL_BAD_CONFIG);
    expect_text(error.text, 0, expected);
    assert_null(strstr(error.text, "geheim"));
}

static void files_are_looked_at_first(void **state)
{
    (void)state;
    FILE *junk = fopen(at("junk.pem"), "w");
    fputs("no PEM at all\n", junk);
    fclose(junk);
    expect_files(files("ca.pem", NULL, NULL, NULL), NULL);
    expect_files(files(NULL, "both.pem", NULL, NULL), NULL);
    expect_files(files(NULL, "client.pem", "client-key.pem", NULL), NULL);
    expect_files(files(NULL, "client.pem", "locked-key.pem", "geheim"), NULL);
    expect_files(files("none.pem", NULL, NULL, NULL), "x.ca-file = D/none.pem: No such file or directory");
    expect_files(files("", NULL, NULL, NULL), "x.ca-file = D/: that is not a file");
    expect_files(files("junk.pem", NULL, NULL, NULL),
                 "x.ca-file = D/junk.pem: there is no certificate in it (PEM: -----BEGIN CERTIFICATE-----)");
    expect_files(
        files("client-key.pem", NULL, NULL, NULL),
        "x.ca-file = D/client-key.pem: there is no certificate in it (PEM: -----BEGIN CERTIFICATE-----)");
    expect_files(files(NULL, "none.pem", NULL, NULL),
                 "x.certificate-file = D/none.pem: No such file or directory");
    expect_files(files(NULL, "client-key.pem", NULL, NULL),
                 "x.certificate-file = D/client-key.pem: there is no "
                 "certificate in it (PEM: -----BEGIN CERTIFICATE-----)");
    expect_files(files(NULL, "client.pem", NULL, NULL),
                 "x.certificate-file = D/client.pem: there is no private "
                 "key in it (PEM); one in a file of its own is named by "
                 "x.key-file");
    expect_files(files(NULL, "client.pem", "none.pem", NULL),
                 "x.key-file = D/none.pem: No such file or directory");
    expect_files(files(NULL, "client.pem", "junk.pem", NULL),
                 "x.key-file = D/junk.pem: there is no private key in it (PEM)");
    expect_files(files(NULL, "client.pem", "expired.pem", NULL),
                 "x.key-file = D/expired.pem: the private key is not that of the certificate D/client.pem");
    expect_files(files(NULL, "client.pem", "locked-key.pem", NULL),
                 "x.key-file = D/locked-key.pem: the private key is encrypted: set x.key-password");
    expect_files(
        files(NULL, "client.pem", "locked-key.pem", "geheim2"),
        "x.key-file = D/locked-key.pem: the password of x.key-password does not open the private key");
    expect_files(files(NULL, "expired.pem", NULL, NULL),
                 "x.certificate-file = D/expired.pem: the certificate has expired");
    expect_files(files(NULL, "early.pem", NULL, NULL),
                 "x.certificate-file = D/early.pem: the certificate is not valid yet");
    expect_files(files(NULL, NULL, "client-key.pem", NULL), "x.key-file is set, but no x.certificate-file");
    expect_files(files(NULL, NULL, NULL, "geheim"), "x.key-password is set, but no x.certificate-file");
}

static void a_pipe_that_nobody_writes_to_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(at("pipe.pem"), 0600), 0);
    expect_files(files("pipe.pem", NULL, NULL, NULL), "x.ca-file = D/pipe.pem: that is not a file");
    expect_files(files(NULL, "pipe.pem", NULL, NULL), "x.certificate-file = D/pipe.pem: that is not a file");
    expect_files(files(NULL, "client.pem", "pipe.pem", NULL), "x.key-file = D/pipe.pem: that is not a file");
}

/* What libcurl says of plain HTTP is not taken for OpenSSL's words. */
static void without_tls_nothing_is_told_of_it(void **state)
{
    (void)state;
    const struct sl_http_options options = {.set = {.names = names}};
    for (int secure = 0; secure < 2; secure++) {
        char method[] = "GET", plain[] = "http://127.0.0.1:1/", tls[] = "https://127.0.0.1:1/";
        struct sl_call call = {.method = method,
                               .url = secure ? tls : plain,
                               .options = &options,
                               .easy = curl_easy_init(),
                               .curl_text = "Failed sending HTTP request"};
        sl_call_fail(&call, CURLE_SEND_ERROR);
        curl_easy_cleanup(call.easy);
        assert_int_equal(call.response.error.status, SL_UNAVAILABLE);
        assert_true(call.response.error.retriable == !secure);
        assert_string_equal(call.response.error.text,
                            secure ? "GET https://127.0.0.1:1/: 127.0.0.1:1 does not speak TLS: is it an "
                                     "http:// address?"
                                   : "GET http://127.0.0.1:1/: Failed sending HTTP request");
    }
}

static void a_key_that_others_can_read_is_warned_of(void **state)
{
    (void)state;
    expect_files(files(NULL, "client.pem", "client-key.pem", NULL), NULL);
    assert_string_equal(logged, "");
    assert_int_equal(chmod(at("client-key.pem"), 0640), 0);
    expect_files(files(NULL, "client.pem", "client-key.pem", NULL), NULL);
    expect_text(logged, 0, "others can read the private key D/client-key.pem: chmod 600 it");
}

/* One GET of https://127.0.0.1:P/x. expected NULL: it is answered. */
static void expect_get(struct tls_how how, struct sl_http_tls tls, const char *expected)
{
    struct tls_server *peer = tls_server_start(&how);
    char url[100], proxy[100];
    struct sl_http_settings settings = {
        .timeout_ms = 10000, .retries = 3, .backoff_ms = 1, .tls = tls, .names = names};
    snprintf(url, sizeof url, "https://127.0.0.1:%d/x", tls_server_port(peer));
    if (how.as_proxy) {
        snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", tls_server_port(peer));
        settings.secure_proxy = (struct sl_http_proxy){.url = proxy, .shown = "http://proxy.test:3128"};
    }
    struct sl_http *http;
    sl_error error = {0};
    struct sl_http_response response;
    if (sl_http_create(&settings, NULL, &http, &error))
        fail_msg("%s", error.text);
    struct sl_http_request request = {.method = "GET", .url = url, .retry = true};
    sl_status status = sl_http_perform(http, &request, &response, &error);
    if (expected) {
        expect_text(error.text, tls_server_port(peer), expected);
        assert_int_equal(status, SL_UNAVAILABLE);
        assert_false(error.retriable);
        assert_int_equal(response.tries, 1);
        assert_int_equal(tls_server_connections(peer), 1);
    } else {
        assert_string_equal(error.text, "");
        assert_int_equal(response.status, 200);
        assert_string_equal(response.body.data, "ok");
    }
    sl_http_response_free(&response);
    sl_http_destroy(&http);
    tls_server_stop(peer);
}

#define G "GET https://127.0.0.1:P/x: "

static void what_is_trusted_answers(void **state)
{
    (void)state;
    const struct sl_http_tls trust = files("ca.pem", NULL, NULL, NULL);
    expect_get((struct tls_how){.identity = &server}, trust, NULL);
    expect_get((struct tls_how){.identity = &server, .max_version = TLS1_2_VERSION}, trust, NULL);
    expect_get((struct tls_how){.identity = &server, .as_proxy = true}, trust, NULL);
    expect_get((struct tls_how){.identity = &server, .clients = &ca}, files("ca.pem", "both.pem", NULL, NULL),
               NULL);
    expect_get((struct tls_how){.identity = &server, .clients = &ca},
               files("ca.pem", "client.pem", "locked-key.pem", "geheim"), NULL);
}

static void a_certificate_that_does_not_hold_is_told(void **state)
{
    (void)state;
    const struct sl_http_tls trust = files("ca.pem", NULL, NULL, NULL);
    expect_get((struct tls_how){.identity = &expired}, trust,
               G "the certificate of 127.0.0.1:P has expired (by this machine's clock: is it right?)");
    expect_get((struct tls_how){.identity = &early}, trust,
               G "the certificate of 127.0.0.1:P is not valid yet (by this machine's clock: is it right?)");
    expect_get((struct tls_how){.identity = &misnamed}, trust,
               G "the certificate of 127.0.0.1:P is for another host name (SSL: no alternative certificate "
                 "subject name matches target host name '127.0.0.1')");
    expect_get((struct tls_how){.identity = &server}, files("other-ca.pem", NULL, NULL, NULL),
               G "the certificate of 127.0.0.1:P is signed by a CA that is not in the CA file D/other-ca.pem "
                 "(x.ca-file)");
    expect_get((struct tls_how){.identity = &server}, files(NULL, NULL, NULL, NULL),
               G
               "the certificate of 127.0.0.1:P is signed by none of the CAs trusted here (the system's): set "
               "x.ca-file");
    expect_get((struct tls_how){.identity = &ca}, trust,
               G
               "the certificate of 127.0.0.1:P is for another host name (SSL: certificate subject name 'test "
               "CA' does not match target host name '127.0.0.1')");
    expect_get((struct tls_how){.identity = &server, .as_proxy = true},
               files("other-ca.pem", NULL, NULL, NULL),
               G "the certificate of 127.0.0.1:P is signed by a CA that is not in the CA file D/other-ca.pem "
                 "(x.ca-file)");
}

static void a_handshake_that_fails_is_told(void **state)
{
    (void)state;
    const struct sl_http_tls trust = files("ca.pem", NULL, NULL, NULL);
    struct sl_http_tls newest = trust;
    newest.at_least_1_3 = true;
    expect_get((struct tls_how){.identity = NULL}, trust,
               G "127.0.0.1:P does not speak TLS: is it an http:// address?");
    expect_get(
        (struct tls_how){.identity = &server, .max_version = TLS1_1_VERSION}, trust,
        G "127.0.0.1:P and this side have no version of TLS in common (here at least 1.2: x.min-version)");
    expect_get(
        (struct tls_how){.identity = &server, .max_version = TLS1_2_VERSION}, newest,
        G "127.0.0.1:P and this side have no version of TLS in common (here at least 1.3: x.min-version)");
    expect_get((struct tls_how){.identity = &server}, newest, NULL);
}

static void a_client_certificate_that_is_wanted_is_told(void **state)
{
    (void)state;
    const struct sl_http_tls trust = files("ca.pem", NULL, NULL, NULL);
    expect_get((struct tls_how){.identity = &server, .clients = &ca}, trust,
               G "127.0.0.1:P wants a client certificate: set x.certificate-file");
    expect_get((struct tls_how){.identity = &server, .clients = &ca},
               files("ca.pem", "stranger.pem", NULL, NULL),
               G "127.0.0.1:P refuses the client certificate D/stranger.pem (alert unknown ca)");
    expect_get((struct tls_how){.identity = &server, .clients = &ca, .max_version = TLS1_2_VERSION}, trust,
               G "127.0.0.1:P refuses the TLS handshake (alert handshake failure): it may want a client "
                 "certificate, see x.certificate-file");
}

/* The linker hands libcurl's options through here. */
CURLcode __real_curl_easy_setopt(CURL *easy, CURLoption option, ...);
CURLcode __wrap_curl_easy_setopt(CURL *easy, CURLoption option, ...);

static int directories_emptied; /* of CAs */

CURLcode __wrap_curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
    va_list arguments;
    va_start(arguments, option);
    void *value = va_arg(arguments, void *); /* a long or an offset is as large, and comes the same way */
    va_end(arguments);
    directories_emptied += (option == CURLOPT_CAPATH || option == CURLOPT_PROXY_CAPATH) && !value;
    return __real_curl_easy_setopt(easy, option, value);
}

/* A CA file stands instead of the system's: libcurl must not look in the system's directory of CAs beside it.
 */
static void a_ca_file_replaces_the_systems(void **state)
{
    (void)state;
    for (int own = 0; own < 2; own++) {
        const struct sl_http_options options = {.set.tls.ca_file = own ? at("ca.pem") : NULL};
        CURL *easy = curl_easy_init();
        directories_emptied = 0;
        assert_true(sl_options_apply(&options, NULL, easy));
        assert_int_equal(directories_emptied, own ? 2 : 0);
        curl_easy_cleanup(easy);
    }
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(files_are_looked_at_first, start, stop),
    cmocka_unit_test_setup_teardown(a_pipe_that_nobody_writes_to_is_refused, start, stop),
    cmocka_unit_test_setup_teardown(without_tls_nothing_is_told_of_it, start, stop),
    cmocka_unit_test_setup_teardown(a_key_that_others_can_read_is_warned_of, start, stop),
    cmocka_unit_test_setup_teardown(what_is_trusted_answers, start, stop),
    cmocka_unit_test_setup_teardown(a_certificate_that_does_not_hold_is_told, start, stop),
    cmocka_unit_test_setup_teardown(a_handshake_that_fails_is_told, start, stop),
    cmocka_unit_test_setup_teardown(a_client_certificate_that_is_wanted_is_told, start, stop),
    cmocka_unit_test_setup_teardown(a_ca_file_replaces_the_systems, start, stop))
