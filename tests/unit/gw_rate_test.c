/* Requests a second of many: each has its own, in memory that is fixed. An application's: gw_access_test. */
#include "support/cases.h"

#include "gateway/http/forwarded.h"
#include "gateway/rate.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static struct gw_rates *rates;

static int open_rates(void **state)
{
    sl_error error;
    (void)state;
    return gw_rates_create(&rates, &error);
}

static int close_rates(void **state)
{
    (void)state;
    gw_rates_destroy(&rates);
    return rates != NULL;
}

/* How many may come at once, of very many that try. */
static int burst_of(uint64_t who, int64_t per_second)
{
    int taken = 0;
    while (taken < 100 && !gw_rates_take(rates, who, per_second))
        taken++;
    return taken;
}

static void each_has_its_own(void **state)
{
    (void)state;
    assert_in_range(burst_of(1, 1), 2, 10); /* two seconds' worth, and what comes meanwhile */
    assert_in_range(burst_of(2, 10), 20, 50);
    assert_in_range(burst_of(0, 1), 2, 10);
}

/* Far more than there is room for: those that came last are known. */
static void the_last_are_remembered(void **state)
{
    (void)state;
    enum { MANY = 100000, LAST = 100 };
    for (uint64_t who = 1; who <= MANY; who++)
        gw_rates_take(rates, who, 1);
    int known = 0;
    for (uint64_t who = MANY; who > MANY - LAST; who--)
        known += gw_rates_take(rates, who, 1) + gw_rates_take(rates, who, 1) > 0;
    assert_int_equal(known, LAST);
}

static uint64_t network_of(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    unsigned char address[GW_ADDRESS_SIZE];
    const struct sockaddr *socket = (const struct sockaddr *)&v6;
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        socket = (const struct sockaddr *)&v4;
    else
        assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    assert_true(gw_address_of(socket, address));
    return gw_address_network(address);
}

static void what_one_host_can_choose_from_is_one(void **state)
{
    (void)state;
    assert_true(network_of("192.0.2.1") != network_of("192.0.2.2"));
    assert_true(network_of("192.0.2.1") == network_of("::ffff:192.0.2.1"));
    assert_true(network_of("2001:db8::1") == network_of("2001:db8::ffff:1"));
    assert_true(network_of("2001:db8::1") != network_of("2001:db8:0:1::1"));
    assert_true(network_of("::1") != network_of("0.0.0.1"));
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(each_has_its_own, open_rates, close_rates),
    cmocka_unit_test_setup_teardown(the_last_are_remembered, open_rates, close_rates),
    cmocka_unit_test(what_one_host_can_choose_from_is_one))
