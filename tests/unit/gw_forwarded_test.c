/* What proxies say of their clients, by itself and on a server. */
#include "support/cases.h"

#include "gw_client.h"

#include "gateway/http/server.h"

#define TRUSTED "10.0.0.0/8, 192.0.2.1, fd00::/8"

static void address(const char *text, unsigned char out[GW_ADDRESS_SIZE])
{
    struct gw_networks one;
    assert_int_equal(gw_networks_parse(text, &one, NULL), SL_OK);
    memcpy(out, one.list[0].address, GW_ADDRESS_SIZE);
    gw_networks_free(&one);
}

/* "CLIENT SCHEME HOST PORT PREFIX", or why not. */
static const char *read_from(const char *peer, const struct gw_forwarded_headers *headers)
{
    static char out[1000];
    struct gw_networks trusted;
    struct gw_forwarded forwarded;
    unsigned char remote[GW_ADDRESS_SIZE];
    char client[GW_ADDRESS_TEXT];
    const char *why = NULL;
    assert_int_equal(gw_networks_parse(TRUSTED, &trusted, NULL), SL_OK);
    address(peer, remote);
    if (gw_forwarded_read(&trusted, remote, headers, &forwarded, &why)) {
        gw_address_text(forwarded.client, client);
        snprintf(out, sizeof out, "%s %s %s %u %s", client,
                 forwarded.scheme == GW_SCHEME_HTTPS  ? "https"
                 : forwarded.scheme == GW_SCHEME_HTTP ? "http"
                                                      : "-",
                 *forwarded.host ? forwarded.host : "-", (unsigned)forwarded.port,
                 *forwarded.prefix ? forwarded.prefix : "-");
    } else {
        snprintf(out, sizeof out, "%s", why);
    }
    gw_networks_free(&trusted);
    return out;
}

#define SAYS(expected, ...)                                                                                  \
    assert_string_equal(read_from("10.1.1.1", &(struct gw_forwarded_headers){__VA_ARGS__}), expected)

static void the_standard_header_is_read_from_the_right(void **state)
{
    (void)state;
    SAYS("10.1.1.1 - - 0 -", 0);
    SAYS("203.0.113.5 https gw.example 0 -", .forwarded = "for=203.0.113.5;proto=https;host=gw.example");
    SAYS("203.0.113.5 http gw.example:8080 0 -",
         .forwarded = "For=\"203.0.113.5:4711\" ; by=10.1.1.1; Proto=HTTP;HOST=\"gw.example:8080\"");
    SAYS("2001:db8::7 - - 0 -", .forwarded = "for=\"[2001:db8::7]:80\"");
    SAYS("2001:db8::7 - - 0 -", .forwarded = "for=[2001:db8::7]");
    /* What stands left of who is not trusted is that one's own word. */
    SAYS("203.0.113.5 https a.example 0 -",
         .forwarded = "for=1.2.3.4;host=evil;proto=http, for=203.0.113.5;host=a.example;proto=https");
    SAYS("203.0.113.5 https a.example 0 -", .forwarded =
                                                "for=1.2.3.4;host=evil, for=203.0.113.5;host=a.example;"
                                                "proto=https,for=10.2.2.2;host=inner;proto=http");
    SAYS("10.3.3.3 - far.example 0 -", .forwarded = "for=10.3.3.3;host=far.example, for=10.2.2.2;host=inner");
    /* Who hides is not known; who handed it on is. */
    SAYS("10.2.2.2 - x 0 -", .forwarded = "for=unknown;host=x, for=10.2.2.2");
    SAYS("10.2.2.2 - x 0 -", .forwarded = "for=8.8.8.8, for=_hidden;host=x, for=10.2.2.2");
    SAYS("10.1.1.1 https x 0 -", .forwarded = "proto=https;host=x");
    SAYS("203.0.113.5 - - 0 -", .forwarded = ", ,for=203.0.113.5;host=\"no host\";proto=gopher ,");
    SAYS("203.0.113.5 - a.b 0 -", .forwarded = "for=203.0.113.5;host=\"a\\.b\"");
}

static void a_malformed_header_is_not_believed(void **state)
{
    static const char *const bad[] = {
        "\", for=203.0.113.5", "for=\"203.0.113.5", "for=1.2.3.4 for=1.2.3.5", "for",       "=x",
        "for=a\"b\"",          "for=\"a\"b",        "for=1.1.1.1;for=2.2.2.2", "for=\"a\\", ";=",
        "for =1.1.1.1",        "host=a;Host=b"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        SAYS("Forwarded is malformed", .forwarded = bad[i]);
}

static void the_others_are_read_from_the_right(void **state)
{
    (void)state;
    SAYS("203.0.113.5 - - 0 -", .clients = "203.0.113.5");
    SAYS("203.0.113.5 - - 0 -", .clients = "1.2.3.4, 203.0.113.5:4711 ,10.2.2.2");
    SAYS("2001:db8::7 - - 0 -", .clients = "[2001:db8::7]:443,fd00::1");
    SAYS("2001:db8::7 - - 0 -", .clients = "2001:db8::7");
    SAYS("10.2.2.2 - - 0 -", .clients = "8.8.8.8, unknown, 10.2.2.2");
    SAYS("10.1.1.1 - - 0 -", .clients = "203.0.113.5 evil");
    SAYS("10.1.1.1 - - 0 -", .clients = "203.0.113.5,");
    SAYS("10.1.1.1 https a.example 8443 /streams", .proto = "HTTPS", .host = "a.example", .port = "8443",
         .prefix = "/streams/");
    /* Lists that go with the addresses are read at the same place; others at their end. */
    SAYS("203.0.113.5 https a.example 443 -", .clients = "1.2.3.4, 203.0.113.5, 10.2.2.2",
         .proto = "http, https, http", .host = "evil, a.example, inner", .port = "1, 443, 80");
    SAYS("203.0.113.5 https inner 80 -", .clients = "1.2.3.4, 203.0.113.5, 10.2.2.2", .proto = "http, https",
         .host = "inner", .port = "443,80");
    SAYS("10.1.1.1 - - 0 -", .proto = "wss", .host = "a/b", .port = "65536", .prefix = "streams");
    SAYS("10.1.1.1 - - 0 -", .proto = "", .host = "u@a", .port = "0", .prefix = "/a/../b");
    SAYS("10.1.1.1 - - 0 -", .proto = ",", .host = "a:", .port = "80x", .prefix = "//evil.example");
    SAYS("10.1.1.1 - [::1]:80 0 /a/b-c.d", .host = "[::1]:80", .prefix = "/a/b-c.d");
    SAYS("10.1.1.1 - - 0 -", .host = "[::1", .prefix = "/a?b");
}

/* Of more proxies than anybody has in a row, the nearest count. */
static void endless_chains_end(void **state)
{
    char standard[2000] = "for=203.0.113.5", others[2000] = "203.0.113.5";
    (void)state;
    for (int i = 1; i <= 40; i++) {
        snprintf(standard + strlen(standard), 40, ", for=10.0.0.%d", i);
        snprintf(others + strlen(others), 40, ", 10.0.0.%d", i);
    }
    SAYS("10.0.0.9 - - 0 -", .forwarded = standard);
    SAYS("10.0.0.9 - - 0 -", .clients = others);
}

static void only_trusted_proxies_are_believed(void **state)
{
    (void)state;
    const struct gw_forwarded_headers headers = {.clients = "1.2.3.4", .forwarded = "for=1.2.3.4"};
    assert_string_equal(read_from("192.0.2.1", &headers), "1.2.3.4 - - 0 -");
    assert_string_equal(read_from("192.0.2.2", &headers), "192.0.2.2 - - 0 -");
    assert_string_equal(read_from("fd12::1", &headers), "1.2.3.4 - - 0 -");
    assert_string_equal(read_from("fe80::1", &headers), "fe80::1 - - 0 -");
}

/* A proxy that keeps one of the two hands the other on, as its client sent it. */
static void the_two_kinds_must_agree(void **state)
{
    (void)state;
    SAYS("203.0.113.5 https a 0 -", .clients = "203.0.113.5", .proto = "https",
         .forwarded = "for=203.0.113.5;host=a;proto=https");
    SAYS("Forwarded and X-Forwarded-For name different clients", .clients = "203.0.113.5",
         .forwarded = "for=1.2.3.4");
    SAYS("Forwarded and X-Forwarded-Proto name different schemes", .proto = "http",
         .forwarded = "for=1.2.3.4;proto=https");
    SAYS("Forwarded and X-Forwarded-Host name different hosts", .clients = "1.2.3.4", .host = "a",
         .forwarded = "for=1.2.3.4;host=b");
    SAYS("1.2.3.4 - A 0 -", .clients = "1.2.3.4", .host = "a", .forwarded = "for=1.2.3.4;host=A");
}

static void networks_are_checked(void **state)
{
    static const char *const bad[] = {"10.0.0.1/8",  "10.0.0.0/33",         "10.0.0/8",
                                      "fd00::/129",  "fd00::1/64",          "proxy.example",
                                      "10.0.0.0/",   "10.0.0.0/8/8",        "/8",
                                      "10.0.0.0/-1", "1.2.3.4,10.0.0.0/7x", "::ffff:10.0.0.1/104"};
    struct gw_networks networks;
    unsigned char each[GW_ADDRESS_SIZE];
    char entry[100];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (gw_networks_parse(bad[i], &networks, entry) != SL_BAD_CONFIG)
            fail_msg("%s is accepted", bad[i]);
        assert_non_null(strstr(bad[i], entry));
        assert_int_equal(networks.count, 0);
    }
    assert_int_equal(gw_networks_parse(" 10.0.0.0/9\t192.0.2.7,,0.0.0.0/0 ::/0", &networks, entry), SL_OK);
    assert_int_equal(networks.count, 4);
    networks.count = 2;
    address("10.127.255.255", each);
    assert_true(gw_networks_hold(&networks, each));
    address("10.128.0.0", each);
    assert_false(gw_networks_hold(&networks, each));
    address("192.0.2.7", each);
    assert_true(gw_networks_hold(&networks, each));
    address("::a00:1", each); /* 10.0.0.1's bits, but IPv6 */
    assert_false(gw_networks_hold(&networks, each));
    networks.count = 3;
    address("2001:db8::1", each);
    assert_false(gw_networks_hold(&networks, each));
    networks.count = 4;
    assert_true(gw_networks_hold(&networks, each));
    gw_networks_free(&networks);
    assert_int_equal(gw_networks_parse(NULL, &networks, entry), SL_OK);
    assert_false(gw_networks_hold(&networks, each));
}

static void who(struct gw_request *request)
{
    struct sl_buffer text;
    char client[GW_ADDRESS_TEXT];
    gw_request_client_address(request, client);
    sl_buffer_init(&text, 1000);
    sl_buffer_printf(&text, "%s%s ", client, gw_request_is_local(request) ? " (local)" : "");
    if (!gw_request_base_url(request, &text))
        sl_buffer_append_text(&text, "no URL");
    gw_respond_buffer(request, 200, "text/plain", &text);
}

static const struct gw_route routes[] = {
    {.method = "GET", .pattern = "/who", .flags = GW_ROUTE_PUBLIC, .handle = who, .name = "who"}};

static uint16_t start(struct gw_server **server, const struct gw_networks *trusted)
{
    struct gw_server_settings settings = {
        .routes = routes, .route_count = 1, .loops = 1, .trusted_proxies = trusted};
    sl_error error = {0};
    if (gw_server_start(&settings, NULL, server, &error))
        fail_msg("%s", error.text);
    return gw_server_port(*server);
}

static void expect(uint16_t port, const char *headers, int status, const char *body)
{
    struct answer answer;
    char request[1000];
    snprintf(request, sizeof request, "GET /who HTTP/1.1\r\n%s\r\n", headers);
    client_ask(port, request, &answer);
    if (answer.status != status || !strstr(answer.body, body))
        fail_msg("%s\nis answered with\n%s", request, answer.text);
}

#define HEADERS                                                                                              \
    "Host: inner:81\r\nX-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 203.0.113.5\r\nX-Forwarded-Proto: "      \
    "https\r\n"                                                                                              \
    "X-Forwarded-Host: gw.example\r\nX-Forwarded-Port: 8443\r\nX-Forwarded-Prefix: /streams\r\n"

static void urls_and_addresses_are_the_clients(void **state)
{
    struct gw_server *server;
    struct gw_networks trusted;
    (void)state;
    assert_int_equal(gw_networks_parse("127.0.0.0/8", &trusted, NULL), SL_OK);
    uint16_t port = start(&server, &trusted);
    expect(port, "Host: a.example:81\r\n", 200, "127.0.0.1 (local) http://a.example:81");
    expect(port, HEADERS, 200, "203.0.113.5 https://gw.example:8443/streams");
    expect(port, "Host: a.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n", 200,
           " https://a.example");
    expect(port, "Host: a.example:81\r\nX-Forwarded-Port: 443\r\n", 200, " http://a.example:81");
    expect(
        port,
        "Host: a.example\r\nForwarded: for=\"[2001:db8::1]\";host=b.example\r\nForwarded: for=10.0.0.1\r\n",
        200, "10.0.0.1 http://a.example");
    expect(port, "Host: a.example\r\nForwarded: for=1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n", 400,
           "\"code\":\"bad-forwarded\"");
    expect(port, "Host: u@a\r\n", 200, "no URL");
    expect(port, "Host: \r\n", 200, "no URL");
    gw_server_stop(&server);
    gw_networks_free(&trusted);
    port = start(&server, NULL);
    expect(port, HEADERS, 200, "127.0.0.1 (local) http://inner:81");
    expect(port, "Host: a.example\r\nForwarded: \"\r\n", 200, "127.0.0.1 (local) http://a.example");
    gw_server_stop(&server);
}

/* All its clients' connections come from a proxy's address. */
static void a_proxys_connections_are_not_counted(void **state)
{
    struct gw_networks trusted;
    (void)state;
    assert_int_equal(gw_networks_parse("127.0.0.1", &trusted, NULL), SL_OK);
    for (int trust = 0; trust < 2; trust++) {
        struct gw_server_settings settings = {.routes = routes,
                                              .route_count = 1,
                                              .loops = 1,
                                              .max_connections_per_address = 2,
                                              .trusted_proxies = trust ? &trusted : NULL};
        struct gw_server *server;
        struct answer answer;
        int held[3];
        assert_int_equal(gw_server_start(&settings, NULL, &server, NULL), SL_OK);
        for (int i = 0; i < 3; i++) {
            held[i] = client_connect(gw_server_port(server));
            client_write(held[i], "GET /who HTTP/1.1\r\nHost: x\r\n\r\n", 30);
            client_read(held[i], &answer, true);
            assert_int_equal(answer.status, i < 2 || trust ? 200 : 429);
        }
        for (int i = 0; i < 3; i++)
            close(held[i]);
        gw_server_stop(&server);
    }
    gw_networks_free(&trusted);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(the_standard_header_is_read_from_the_right),
    cmocka_unit_test(a_malformed_header_is_not_believed),
    cmocka_unit_test(the_others_are_read_from_the_right),
    cmocka_unit_test(endless_chains_end),
    cmocka_unit_test(only_trusted_proxies_are_believed),
    cmocka_unit_test(the_two_kinds_must_agree),
    cmocka_unit_test(networks_are_checked),
    cmocka_unit_test(urls_and_addresses_are_the_clients),
    cmocka_unit_test(a_proxys_connections_are_not_counted))
