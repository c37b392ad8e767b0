/* Sets of access control lists: what differs between what there is and what should be. With a Kafka:
 * tests/integration/secure_test.py. */
#include "support/cases.h"

#include "gateway/broker/acls.h"

static const struct gw_acl read_a = {"User:a", GW_ACL_TOPIC, "t", false, GW_ACL_READ, true, "*"};

static void each_is_there_once(void **state)
{
    (void)state;
    struct gw_acl_set set = {0};
    for (int i = 0; i < 300; i++)
        gw_acl_set_add(&set, &read_a);
    gw_acl_set_finish(&set);
    assert_false(set.failed);
    assert_int_equal(set.count, 1);
    assert_true(gw_acl_set_has(&set, &read_a));
    gw_acl_set_free(&set);
    assert_false(gw_acl_set_has(&set, &read_a));
}

/* Each member tells two apart: a list that is forgotten there would be taken for another one. */
static void all_that_tells_them_apart_counts(void **state)
{
    (void)state;
    struct gw_acl others[] = {read_a, read_a, read_a, read_a, read_a, read_a, read_a};
    others[0].principal = "User:b";
    others[1].resource = GW_ACL_GROUP;
    others[2].name = "u";
    others[3].prefixed = true;
    others[4].operation = GW_ACL_WRITE;
    others[5].allow = false;
    others[6].host = "10.0.0.1";
    struct gw_acl_set set = {0};
    gw_acl_set_add(&set, &read_a);
    gw_acl_set_finish(&set);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(gw_acl_set_has(&set, &others[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        gw_acl_set_add(&set, &others[i]);
    gw_acl_set_finish(&set);
    assert_int_equal(set.count, 8);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_true(gw_acl_set_has(&set, &others[i]));
    gw_acl_set_free(&set);
}

static void a_difference_has_what_the_other_lacks(void **state)
{
    (void)state;
    static const char *const names[] = {"q", "c", "a", "z", "m"};
    struct gw_acl_set one = {0}, other = {0}, left = {0}, nothing = {0};
    struct gw_acl acl = read_a;
    for (size_t i = 0; i < 5; i++) {
        acl.name = names[i];
        gw_acl_set_add(&one, &acl);
        if (i % 2)
            gw_acl_set_add(&other, &acl);
    }
    gw_acl_set_finish(&one);
    gw_acl_set_finish(&other);
    gw_acl_set_minus(&left, &one, &other);
    assert_int_equal(left.count, 3);
    assert_string_equal(left.list[0].name, "a");
    assert_string_equal(left.list[1].name, "m");
    assert_string_equal(left.list[2].name, "q");
    gw_acl_set_minus(&nothing, &other, &one);
    assert_int_equal(nothing.count, 0);
    gw_acl_set_free(&one); /* copies are the set's own */
    assert_string_equal(left.list[2].principal, "User:a");
    gw_acl_set_free(&other);
    gw_acl_set_free(&left);
}

CASES_MAIN(cmocka_unit_test(each_is_there_once), cmocka_unit_test(all_that_tells_them_apart_counts),
           cmocka_unit_test(a_difference_has_what_the_other_lacks))
