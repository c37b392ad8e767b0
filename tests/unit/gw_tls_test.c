/* TLS of the gateway's server: its files, its handshakes, a reload; and the settings of the listener. */
#include "support/cases.h"

#include "gw_client.h"
#include "tls_server.h"

#include <openssl/ssl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "gateway/http/server.h"
#include "gateway/http/tls.h"
#include "gateway/listen.h"

#define DAY (24 * 3600L)

static char directory[24];
static struct identity ca, other_ca, first, second, client, stranger, expired;

static const char *at(const char *name)
{
    static char paths[64][100];
    static unsigned next;
    char *path = paths[next++ % 64];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void put(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(at(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(at(name), mode), 0);
}

static void put_key(const char *name, const struct identity *identity, const char *password)
{
    unlink(at(name));
    write_key(at(name), identity, password);
    assert_int_equal(chmod(at(name), 0600), 0);
}

static int make_files(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/gw-tls-XXXXXX");
    signal(SIGPIPE, SIG_IGN); /* to servers that have refused */
    assert_non_null(mkdtemp(directory));
    ca = identity_make("test CA", NULL, -DAY, 365 * DAY);
    other_ca = identity_make("other CA", NULL, -DAY, 365 * DAY);
    first = identity_make("127.0.0.1", &ca, -DAY, 365 * DAY);
    second = identity_make("127.0.0.1", &ca, -DAY, 365 * DAY);
    client = identity_make("edge-7", &ca, -DAY, 365 * DAY);
    stranger = identity_make("stranger", &other_ca, -DAY, 365 * DAY);
    expired = identity_make("127.0.0.1", &ca, -2 * DAY, -DAY);
    write_certificate(at("ca.pem"), &ca);
    write_certificate(at("first.pem"), &first);
    write_certificate(at("second.pem"), &second);
    write_certificate(at("expired.pem"), &expired);
    put_key("first.key", &first, NULL);
    put_key("second.key", &second, NULL);
    put_key("expired.key", &expired, NULL);
    put_key("locked.key", &first, "secret");
    write_certificate(at("both.pem"), &first);
    write_key(at("both.pem"), &first, NULL);
    chmod(at("both.pem"), 0600);
    put("empty", "", 0600);
    put("text", "no PEM\n", 0600);
    put("broken.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", 0600);
    put("broken.key", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n", 0600);
    return 0;
}

static int remove_files(void **state)
{
    char command[200];
    (void)state;
    struct identity *all[] = {&ca, &other_ca, &first, &second, &client, &stranger, &expired};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        identity_free(all[i]);
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

static struct gw_tls_settings files(const char *certificate, const char *key)
{
    return (struct gw_tls_settings){.certificate = certificate,
                                    .certificate_name = "g.conf:1: certificate",
                                    .key = key,
                                    .key_name = "g.conf:2: key",
                                    .client_ca_name = "g.conf:3: client-ca"};
}

/* The first fault. */
static sl_status check_files(const struct gw_tls_settings *settings, const struct sl_log *log,
                             sl_error *error)
{
    *error = (sl_error){0};
    struct gw_faults faults = {.tell = gw_fault_keep, .opaque = error};
    gw_tls_check(settings, log, &faults);
    assert_int_equal(faults.count > 0, error->status != SL_OK);
    return error->status;
}

static void expect_fault(struct gw_tls_settings settings, const char *name, const char *text)
{
    sl_error error = {0};
    if (check_files(&settings, NULL, &error) != SL_BAD_CONFIG ||
        strncmp(error.text, name, strlen(name)) != 0 || !strstr(error.text, text))
        fail_msg("expected %s … %s, not: %s", name, text, error.text);
}

static void each_wrong_file_is_told(void **state)
{
    sl_error error = {0};
    (void)state;
    struct gw_tls_settings good = files(at("first.pem"), at("first.key"));
    assert_int_equal(check_files(&good, NULL, &error), SL_OK);
    good = files(at("both.pem"), NULL);
    assert_int_equal(check_files(&good, NULL, &error), SL_OK);
    expect_fault(files(at("none.pem"), at("first.key")),
                 "g.conf:1: certificate = ", "cannot be read: No such");
    expect_fault(files(directory, at("first.key")), "g.conf:1: certificate = ", "not a file");
    expect_fault(files("/dev/zero", at("first.key")), "g.conf:1: certificate = ", "not a file");
    expect_fault(files(at("empty"), at("first.key")), "g.conf:1: certificate = ", "no certificate in it");
    expect_fault(files(at("text"), at("first.key")), "g.conf:1: certificate = ", "no certificate in it");
    expect_fault(files(at("broken.pem"), at("first.key")),
                 "g.conf:1: certificate = ", "no certificate in it");
    expect_fault(files(at("first.pem"), at("none.key")), "g.conf:2: key = ", "cannot be read: No such");
    expect_fault(files(at("first.pem"), at("text")), "g.conf:2: key = ", "no private key in it");
    expect_fault(files(at("first.pem"), at("first.pem")), "g.conf:2: key = ", "no private key in it");
    expect_fault(files(at("first.pem"), at("broken.key")), "g.conf:2: key = ", "cannot be used");
    expect_fault(files(at("first.pem"), at("locked.key")), "g.conf:2: key = ", "is encrypted");
    expect_fault(files(at("first.pem"), at("second.key")),
                 "g.conf:2: key = ", "is not that of the certificate in ");
    chmod(at("first.pem"), 0600);
    expect_fault(files(at("first.pem"), NULL), "g.conf:1: certificate = ", "listen.tls.key");
    chmod(at("first.pem"), 0644);
}

static void count(void *opaque, const sl_error *error)
{
    const char *const *names = opaque;
    bool known = false;
    for (size_t i = 0; names[i]; i++)
        known |= !strncmp(error->text, names[i], strlen(names[i]));
    assert_true(known);
}

static void all_wrong_files_are_told_at_once(void **state)
{
    (void)state;
    const char *names[] = {"g.conf:1: certificate = ", "g.conf:2: key = ", "g.conf:3: client-ca = ", NULL};
    struct gw_faults faults = {.tell = count, .opaque = names};
    struct gw_tls_settings settings = files(at("none.pem"), at("none.key"));
    settings.client_ca = at("empty");
    gw_tls_check(&settings, NULL, &faults);
    assert_int_equal(faults.count, 3);
}

static void a_key_is_for_nobody_elses_eyes(void **state)
{
    static const mode_t open_modes[] = {0604, 0602, 0620, 0644, 0666, 0660};
    sl_error error = {0};
    (void)state;
    struct gw_tls_settings settings = files(at("first.pem"), at("first.key"));
    for (size_t i = 0; i < sizeof open_modes / sizeof *open_modes; i++) {
        chmod(at("first.key"), open_modes[i]);
        expect_fault(settings, "g.conf:2: key = ", "others can read the private key: chmod 600 ");
    }
    /* Its group may when it is root's file. */
    chmod(at("first.key"), 0640);
    if (getuid() == 0)
        assert_int_equal(check_files(&settings, NULL, &error), SL_OK);
    else
        expect_fault(settings, "g.conf:2: key = ", "others can read");
    chmod(at("first.key"), 0400);
    assert_int_equal(check_files(&settings, NULL, &error), SL_OK);
    chmod(at("both.pem"), 0644);
    expect_fault(files(at("both.pem"), NULL), "g.conf:1: certificate = ", "others can read the private key");
    chmod(at("both.pem"), 0600);
    chmod(at("first.key"), 0600);
}

static void a_ca_without_certificates_is_told(void **state)
{
    sl_error error = {0};
    (void)state;
    struct gw_tls_settings settings = files(at("first.pem"), at("first.key"));
    settings.clients = GW_CLIENT_CERTIFICATES_REQUIRED;
    settings.client_ca = at("empty");
    expect_fault(settings, "g.conf:3: client-ca = ", "no certificate in it");
    settings.client_ca = at("none");
    expect_fault(settings, "g.conf:3: client-ca = ", "cannot be read");
    settings.client_ca = at("ca.pem");
    assert_int_equal(check_files(&settings, NULL, &error), SL_OK);
}

static void keep_line(void *opaque, sl_log_level level, const char *text)
{
    if (level == SL_LOG_WARNING)
        snprintf(opaque, 500, "%s", text);
}

static void an_expired_certificate_is_warned_of(void **state)
{
    char line[500] = "";
    const struct sl_log log = {.callback = keep_line, .opaque = line, .level = SL_LOG_DEBUG};
    sl_error error = {0};
    (void)state;
    struct gw_tls_settings settings = files(at("expired.pem"), at("expired.key"));
    assert_int_equal(check_files(&settings, &log, &error), SL_OK);
    assert_non_null(strstr(line, "has expired"));
    *line = 0;
    settings = files(at("first.pem"), at("first.key"));
    assert_int_equal(check_files(&settings, &log, &error), SL_OK);
    assert_string_equal(line, "");
}

/* --- connections -------------------------------------------------------------------------------------------
 */

static void who(struct gw_request *request)
{
    struct sl_buffer text;
    const char *subject = gw_request_client_subject(request);
    sl_buffer_init(&text, 1000);
    sl_buffer_printf(&text, "%s %s ", subject ? subject : "nobody",
                     gw_request_is_encrypted(request) ? "encrypted" : "plain");
    gw_request_base_url(request, &text);
    gw_respond_buffer(request, 200, "text/plain", &text);
}

static const struct gw_route routes[] = {
    {.method = "GET", .pattern = "/who", .flags = GW_ROUTE_PUBLIC, .handle = who, .name = "who"}};

static struct gw_server *start(const struct gw_tls_settings *tls)
{
    struct gw_server_settings settings = {.routes = routes, .route_count = 1, .loops = 2, .tls = tls};
    struct gw_server *server;
    sl_error error = {0};
    if (gw_server_start(&settings, NULL, &server, &error))
        fail_msg("%s", error.text);
    return server;
}

struct connection {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
};

static bool open_tls(struct connection *connection, uint16_t port, const struct identity *shown, int max)
{
    *connection =
        (struct connection){.context = SSL_CTX_new(TLS_client_method()), .fd = client_connect(port)};
    SSL_CTX_set_cipher_list(connection->context, "DEFAULT:@SECLEVEL=0");
    X509_STORE_add_cert(SSL_CTX_get_cert_store(connection->context), ca.certificate);
    SSL_CTX_set_verify(connection->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_min_proto_version(connection->context, 0);
    if (max)
        SSL_CTX_set_max_proto_version(connection->context, max);
    if (shown) {
        SSL_CTX_use_certificate(connection->context, shown->certificate);
        SSL_CTX_use_PrivateKey(connection->context, shown->key);
    }
    connection->ssl = SSL_new(connection->context);
    SSL_set_fd(connection->ssl, connection->fd);
    return SSL_connect(connection->ssl) == 1;
}

static void close_tls(struct connection *connection)
{
    SSL_free(connection->ssl);
    SSL_CTX_free(connection->context);
    close(connection->fd);
}

/* The body; "": none came. */
static const char *ask(struct connection *connection)
{
    static const char request[] = "GET /who HTTP/1.1\r\nHost: gw.example\r\n\r\n";
    static char answer[4096];
    size_t size = 0;
    *answer = 0;
    if (SSL_write(connection->ssl, request, sizeof request - 1) <= 0)
        return "";
    for (const char *end = NULL; size < sizeof answer - 1;) {
        int got = SSL_read(connection->ssl, answer + size, (int)(sizeof answer - 1 - size));
        if (got <= 0)
            return "";
        size += (size_t)got;
        answer[size] = 0;
        end = strstr(answer, "\r\n\r\n");
        const char *length = strstr(answer, "Content-Length: ");
        if (end && length && size == (size_t)(end + 4 - answer) + strtoul(length + 16, NULL, 10))
            return end + 4;
    }
    return "";
}

static bool shows(const struct connection *connection, const struct identity *identity)
{
    X509 *shown = SSL_get1_peer_certificate(connection->ssl);
    bool same = shown && X509_cmp(shown, identity->certificate) == 0;
    X509_free(shown);
    return same;
}

static void requests_are_served_over_tls(void **state)
{
    struct connection connection;
    (void)state;
    struct gw_tls_settings tls = files(at("first.pem"), at("first.key"));
    struct gw_server *server = start(&tls);
    for (int version = 0; version < 2; version++) {
        assert_true(open_tls(&connection, gw_server_port(server), NULL, version ? TLS1_2_VERSION : 0));
        assert_true(shows(&connection, &first));
        assert_string_equal(ask(&connection), "nobody encrypted https://gw.example");
        assert_string_equal(ask(&connection), "nobody encrypted https://gw.example");
        close_tls(&connection);
    }
    assert_false(open_tls(&connection, gw_server_port(server), NULL, TLS1_1_VERSION));
    close_tls(&connection);
    struct answer answer;
    client_ask(gw_server_port(server), "GET /who HTTP/1.1\r\nHost: x\r\n\r\n", &answer);
    assert_int_equal(answer.status, 400); /* plain HTTP is told that it is not spoken */
    gw_server_stop(&server);
    tls.at_least_1_3 = true;
    server = start(&tls);
    assert_false(open_tls(&connection, gw_server_port(server), NULL, TLS1_2_VERSION));
    close_tls(&connection);
    assert_true(open_tls(&connection, gw_server_port(server), NULL, 0));
    close_tls(&connection);
    gw_server_stop(&server);
}

/* answer NULL: any. With TLS 1.3 a client hears of the refusal when it reads. */
static bool is_served(uint16_t port, const struct identity *shown, const char *answer)
{
    struct connection connection;
    bool served = open_tls(&connection, port, shown, 0);
    const char *body = served ? ask(&connection) : "";
    served = *body && (!answer || strcmp(body, answer) == 0);
    close_tls(&connection);
    return served;
}

static void clients_show_certificates_as_they_must(void **state)
{
    sl_error error = {0};
    (void)state;
    struct gw_tls_settings tls = files(at("first.pem"), at("first.key"));
    struct gw_server *server = start(&tls);
    uint16_t port = gw_server_port(server);
    assert_true(is_served(port, &stranger, "nobody encrypted https://gw.example"));
    tls.client_ca = at("ca.pem");
    tls.clients = GW_CLIENT_CERTIFICATES_OPTIONAL;
    assert_int_equal(gw_server_reload_tls(server, &tls, &error), SL_OK);
    assert_true(is_served(port, NULL, "nobody encrypted https://gw.example"));
    assert_true(is_served(port, &client, "CN=edge-7 encrypted https://gw.example"));
    assert_false(is_served(port, &stranger, NULL));
    tls.clients = GW_CLIENT_CERTIFICATES_REQUIRED;
    assert_int_equal(gw_server_reload_tls(server, &tls, &error), SL_OK);
    assert_false(is_served(port, NULL, NULL));
    assert_false(is_served(port, &stranger, NULL));
    assert_true(is_served(port, &client, "CN=edge-7 encrypted https://gw.example"));
    gw_server_stop(&server);
}

static void a_reload_leaves_open_connections_alone(void **state)
{
    struct connection before, between, after;
    sl_error error = {0};
    (void)state;
    struct gw_tls_settings tls = files(at("first.pem"), at("first.key"));
    struct gw_server *server = start(&tls);
    uint16_t port = gw_server_port(server);
    assert_true(open_tls(&before, port, NULL, 0));
    assert_string_equal(ask(&before), "nobody encrypted https://gw.example");
    /* What cannot serve changes nothing. */
    tls = files(at("second.pem"), at("first.key"));
    assert_int_equal(gw_server_reload_tls(server, &tls, &error), SL_BAD_CONFIG);
    assert_true(open_tls(&between, port, NULL, 0));
    assert_true(shows(&between, &first));
    tls = files(at("second.pem"), at("second.key"));
    assert_int_equal(gw_server_reload_tls(server, &tls, &error), SL_OK);
    assert_true(open_tls(&after, port, NULL, 0));
    assert_true(shows(&after, &second));
    assert_string_equal(ask(&before), "nobody encrypted https://gw.example");
    assert_string_equal(ask(&between), "nobody encrypted https://gw.example");
    assert_string_equal(ask(&after), "nobody encrypted https://gw.example");
    close_tls(&before);
    close_tls(&between);
    close_tls(&after);
    gw_server_stop(&server);
    server = start(NULL);
    assert_int_equal(gw_server_reload_tls(server, &tls, &error), SL_INVALID_ARGUMENT);
    gw_server_stop(&server);
}

/* --- settings ----------------------------------------------------------------------------------------------
 */

/* What is wrong with streamlayer.gateway { TEXT }; "": nothing. */
static const char *fault_of(const char *text, struct gw_listen *listen)
{
    static sl_error error;
    sl_config *config = NULL;
    char whole[2000];
    error = (sl_error){0};
    snprintf(whole, sizeof whole, "streamlayer.gateway {\n%s\n}", text);
    assert_int_equal(sl_config_create(&config, NULL), SL_OK);
    assert_int_equal(sl_config_parse(config, whole, strlen(whole), "g.conf", &error), SL_OK);
    struct gw_listen own = {0};
    sl_status status = gw_listen_read(config, &own, &error);
    assert_int_equal(status != SL_OK, *error.text != 0);
    if (listen) {
        listen->secure = own.secure;
        listen->tls.clients = own.tls.clients;
        listen->tls.at_least_1_3 = own.tls.at_least_1_3;
    }
    gw_listen_free(&own);
    sl_config_destroy(&config);
    return error.text;
}

#define EXPECT_FAULT(settings, ...)                                                                          \
    do {                                                                                                     \
        const char *const wanted[] = {__VA_ARGS__};                                                          \
        const char *fault = fault_of(settings, NULL);                                                        \
        for (size_t n = 0; n < sizeof wanted / sizeof *wanted; n++)                                          \
            if (!strstr(fault, wanted[n]))                                                                   \
                fail_msg("%s: \"%s\" does not say \"%s\"", settings, fault, wanted[n]);                      \
    } while (0)

static void plain_http_stays_on_this_machine(void **state)
{
    static const char *const loopback[] = {"127.0.0.1", "127.1.2.3", "\"::1\"", "localhost",
                                           "\"::ffff:127.0.0.1\""};
    static const char *const elsewhere[] = {"0.0.0.0", "\"::\"", "10.0.0.1", "\"2001:db8::1\"",
                                            "\"::ffff:10.0.0.1\""};
    char text[300];
    (void)state;
    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++) {
        snprintf(text, sizeof text, "listen.address = %s", loopback[i]);
        assert_string_equal(fault_of(text, NULL), "");
    }
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        snprintf(text, sizeof text, "listen.address = %s", elsewhere[i]);
        EXPECT_FAULT(text, "g.conf:2: streamlayer.gateway.listen.address = ", "plain-off-loopback = true",
                     "listen.tls.certificate");
        snprintf(text, sizeof text, "listen { address = %s, plain-off-loopback = true }", elsewhere[i]);
        assert_string_equal(fault_of(text, NULL), "");
        snprintf(text, sizeof text, "listen { address = %s, tls.certificate = c }", elsewhere[i]);
        assert_string_equal(fault_of(text, NULL), "");
    }
    EXPECT_FAULT("listen.address = no.such.host.invalid", "g.conf:2: ", "no address of this machine");
}

static void settings_of_tls_go_together(void **state)
{
    struct gw_listen listen = {0};
    (void)state;
    assert_string_equal(fault_of("", &listen), "");
    assert_false(listen.secure);
    assert_string_equal(fault_of("listen.tls { certificate = c, key = k, min-version = 1.3\n"
                                 "client-ca = a, client-certificates = optional }",
                                 &listen),
                        "");
    assert_true(listen.secure && listen.tls.at_least_1_3);
    assert_int_equal(listen.tls.clients, GW_CLIENT_CERTIFICATES_OPTIONAL);
    EXPECT_FAULT("listen.tls.key = k", "g.conf:2: streamlayer.gateway.listen.tls.key = k: ", "plain HTTP");
    EXPECT_FAULT("listen.tls.client-certificates = required", "g.conf:2: ", "client-ca");
    EXPECT_FAULT("listen.tls { certificate = c, client-certificates = required }",
                 "listen.tls.client-certificates = required", "client-ca");
    EXPECT_FAULT("listen.tls { certificate = c, client-ca = a }", "listen.tls.client-ca = a",
                 "optional or required");
    EXPECT_FAULT("\ncors.origins = \"https://a, b\"", "g.conf:3: ", "cors.origins", "\"b\" is no origin");
    EXPECT_FAULT("listen.trusted-proxies = \"10.0.0.1/8\"", "g.conf:2: ", "listen.trusted-proxies",
                 "\"10.0.0.1/8\" is no");
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(each_wrong_file_is_told, make_files, remove_files),
    cmocka_unit_test_setup_teardown(all_wrong_files_are_told_at_once, make_files, remove_files),
    cmocka_unit_test_setup_teardown(a_key_is_for_nobody_elses_eyes, make_files, remove_files),
    cmocka_unit_test_setup_teardown(a_ca_without_certificates_is_told, make_files, remove_files),
    cmocka_unit_test_setup_teardown(an_expired_certificate_is_warned_of, make_files, remove_files),
    cmocka_unit_test_setup_teardown(requests_are_served_over_tls, make_files, remove_files),
    cmocka_unit_test_setup_teardown(clients_show_certificates_as_they_must, make_files, remove_files),
    cmocka_unit_test_setup_teardown(a_reload_leaves_open_connections_alone, make_files, remove_files),
    cmocka_unit_test(plain_http_stays_on_this_machine),
    cmocka_unit_test(settings_of_tls_go_together))
