#include "support/cases.h"

#include <string.h>

#include "auth/auth.h"

/* The request of RFC 5849, section 3.4.1.1, whose base string it prints; signed with SHA-256 by other code.
 */
static const struct sl_oauth_parameter rfc[] = {
    {"oauth_consumer_key", "9djdj82h48djs9d2"},
    {"oauth_token", "kkk9d7dh3k39sjv7"},
    {"oauth_signature_method", "HMAC-SHA1"},
    {"oauth_timestamp", "137131201"},
    {"oauth_nonce", "7d8f3e4a"},
    {"b5", "=%3D"},
    {"a3", "a"},
    {"c@", ""},
    {"a2", "r b"},
    {"c2", ""},
    {"a3", "2 q"},
};
#define RFC_COUNT     (sizeof rfc / sizeof *rfc)
#define RFC_SIGNATURE "aeB1zEJSs6/yWnc027nb2Q7rm0032A70ECDX5zVl9gg="

static const struct sl_oauth_parameter here[] = {
    {"oauth_version", "1.0"},
    {"oauth_timestamp", "1700000000"},
    {"oauth_nonce", "abcDEF0123"},
    {"oauth_signature_method", "HMAC-SHA256"},
    {"grantType", "client_credentials"},
    {"oauth_consumer_key", "key-id_1"},
};
#define HERE_URL "https://account.api.here.com/oauth2/token"

static void signs_the_rfc_request(void **state)
{
    (void)state;
    char out[45];
    assert_true(
        sl_oauth_signature("POST", "http://example.com/request", rfc, RFC_COUNT, "j49sn3j29djd", out));
    assert_string_equal(out, RFC_SIGNATURE);
}

static void url_is_normalized(void **state)
{
    (void)state;
    static const char *const same[] = {"HTTP://EXAMPLE.COM:80/request", "http://example.com/request?b5=x#y"};
    char out[45];
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_true(sl_oauth_signature("post", same[i], rfc, RFC_COUNT, "j49sn3j29djd", out));
        assert_string_equal(out, RFC_SIGNATURE);
    }
    static const char *const others[] = {"http://example.com/REQUEST", "https://example.com/request",
                                         "http://example.com:443/request", "http://example.com:8080/request"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_true(sl_oauth_signature("POST", others[i], rfc, RFC_COUNT, "j49sn3j29djd", out));
        assert_string_not_equal(out, RFC_SIGNATURE);
    }
}

static void empty_path_is_the_root(void **state)
{
    (void)state;
    char with[45], without[45];
    assert_true(sl_oauth_signature("GET", "https://example.com/", rfc, 1, "s", with));
    assert_true(sl_oauth_signature("GET", "https://example.com:443?x=y", rfc, 1, "s", without));
    assert_string_equal(with, without);
}

static void secret_is_encoded_and_order_does_not_matter(void **state)
{
    (void)state;
    char out[45];
    assert_true(sl_oauth_signature("POST", HERE_URL, here, 6, "s3cr/et+=", out));
    assert_string_equal(out, "kExuaz7hzYIW/rHO6sg2XyugW0OkVrbXnNT3GIiwTtM=");
}

static void signature_itself_is_not_signed(void **state)
{
    (void)state;
    struct sl_oauth_parameter without[7];
    memcpy(without, here, sizeof here);
    without[4] = (struct sl_oauth_parameter){"oauth_signature", "abc="};
    without[6] = (struct sl_oauth_parameter){"realm", "here"};
    char out[45];
    assert_true(sl_oauth_signature("POST", HERE_URL, without, 7, "s3cr/et+=", out));
    assert_string_equal(out, "RIIzKHh6qPEjyTQPxQdPTiMiiDwrxbZOJZfZXPNlqmw=");
}

static void what_is_no_url_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "example.com/x", "ftp://example.com/", "http://", "https:///x"};
    char out[45];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(sl_oauth_signature("GET", bad[i], rfc, 1, "s", out));
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(signs_the_rfc_request),
    cmocka_unit_test(url_is_normalized),
    cmocka_unit_test(empty_path_is_the_root),
    cmocka_unit_test(secret_is_encoded_and_order_does_not_matter),
    cmocka_unit_test(signature_itself_is_not_signed),
    cmocka_unit_test(what_is_no_url_is_refused))
