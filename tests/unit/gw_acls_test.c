/* Sets of access control lists: what differs between what there is and what should be. With a Kafka:
 * tests/integration/secure_test.py. */
#include "support/cases.h"

#include "base/text.h"
#include "gateway/acl_picture.h"
#include "gateway/broker/internal.h"

#include <stdlib.h>
#include <string.h>

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

#define ID    "0123456789abcdef0123"
#define TOPIC "sl.cat.layer.0123456789ab"

enum told { PASSED, OURS, BEYOND, DENIED };

/* What becomes of lists on a cluster with one layer, one adopted topic, and the application ID. */
static void sort_out(const struct gw_acl *list, size_t count, struct gw_acl_set told[])
{
    const struct gw_broker broker = {.own = {.user = (char *)(uintptr_t) "gateway"}};
    struct gw_acl_picture picture = {.broker = &broker,
                                     .topics = calloc(2, sizeof *picture.topics),
                                     .topic_count = 2,
                                     .principals = calloc(1, sizeof *picture.principals),
                                     .principal_count = 1,
                                     .principal_capacity = 1};
    assert_true(picture.topics && picture.principals);
    picture.topics[0].name = sl_strdup("orders");
    picture.topics[1].name = sl_strdup(TOPIC);
    picture.principals[0] = sl_strdup("User:" ID);
    struct gw_acl_set there = {0};
    for (size_t i = 0; i < count; i++)
        gw_acl_set_add(&there, &list[i]);
    gw_acl_set_finish(&there);
    gw_acl_sort_out(&picture, &there, &told[OURS], &told[BEYOND], &told[DENIED]);
    for (enum told kind = OURS; kind <= DENIED; kind++)
        assert_false(told[kind].failed);
    gw_acl_set_free(&there);
    gw_acl_picture_free(&picture);
}

#define EVERYBODY "User:*"

static void what_gives_more_is_told(void **state)
{
    (void)state;
    static const struct {
        struct gw_acl acl;
        enum told told;
    } rows[] = {
        /* clang-format off */
        {{"User:" ID, GW_ACL_TOPIC, TOPIC, false, GW_ACL_READ, true, "*"}, OURS},
        {{"User:" ID, GW_ACL_GROUP, ID ".", true, GW_ACL_READ, true, "*"}, OURS},
        {{"User:" ID, GW_ACL_TOPIC, TOPIC, false, GW_ACL_READ, true, "10.0.0.1"}, BEYOND},
        {{"User:" ID, GW_ACL_TOPIC, TOPIC, false, GW_ACL_ALL, true, "*"}, BEYOND},
        {{"User:" ID, GW_ACL_TOPIC, "others", false, GW_ACL_READ, true, "*"}, PASSED},
        {{"User:" ID, GW_ACL_CLUSTER, "kafka-cluster", false, GW_ACL_ALTER, true, "*"}, BEYOND},
        /* Everybody, of whom applications are: */
        {{EVERYBODY, GW_ACL_CLUSTER, "kafka-cluster", false, GW_ACL_ALTER, true, "*"}, BEYOND},
        {{EVERYBODY, GW_ACL_CLUSTER, "kafka-cluster", false, GW_ACL_CREATE, true, "10.0.0.1"}, BEYOND},
        {{EVERYBODY, GW_ACL_CLUSTER, "kafka-cluster", false, GW_ACL_DELETE, false, "*"}, PASSED},
        {{EVERYBODY, GW_ACL_UNKNOWN, "*", false, GW_ACL_OTHER, true, "*"}, BEYOND},
        {{EVERYBODY, GW_ACL_UNKNOWN, "*", false, GW_ACL_OTHER, false, "*"}, PASSED},
        {{EVERYBODY, GW_ACL_TOPIC, TOPIC, false, GW_ACL_WRITE, true, "*"}, BEYOND},
        {{EVERYBODY, GW_ACL_TOPIC, "*", false, GW_ACL_READ, true, "*"}, BEYOND},
        {{EVERYBODY, GW_ACL_TOPIC, "*", false, GW_ACL_WRITE, false, "*"}, DENIED},
        {{EVERYBODY, GW_ACL_TOPIC, "", true, GW_ACL_READ, true, "*"}, BEYOND},
        {{EVERYBODY, GW_ACL_TOPIC, "s", true, GW_ACL_READ, true, "*"}, BEYOND},
        {{EVERYBODY, GW_ACL_TOPIC, "ord", true, GW_ACL_READ, true, "*"}, BEYOND},
        {{EVERYBODY, GW_ACL_TOPIC, "ord", true, GW_ACL_WRITE, false, "*"}, DENIED},
        {{EVERYBODY, GW_ACL_TOPIC, "others", true, GW_ACL_READ, true, "*"}, PASSED},
        /* Layers to come: */
        {{EVERYBODY, GW_ACL_TOPIC, "sl.next.", true, GW_ACL_READ, true, "*"}, BEYOND},
        {{EVERYBODY, GW_ACL_TOPIC, "sl.next.", true, GW_ACL_READ, false, "*"}, PASSED},
        {{EVERYBODY, GW_ACL_GROUP, ID ".", true, GW_ACL_READ, true, "*"}, BEYOND},
        {{EVERYBODY, GW_ACL_TRANSACTIONAL_ID, "*", false, GW_ACL_WRITE, true, "*"}, BEYOND},
        /* Other people's own, and the gateway's: */
        {{"User:gateway", GW_ACL_GROUP, ID ".", true, GW_ACL_READ, true, "*"}, PASSED},
        {{"User:gateway", GW_ACL_TOPIC, TOPIC, false, GW_ACL_READ, true, "*"}, PASSED},
        {{"User:CN=support", GW_ACL_GROUP, ID ".", true, GW_ACL_READ, true, "*"}, PASSED},
        {{"User:CN=support", GW_ACL_TOPIC, TOPIC, false, GW_ACL_READ, true, "*"}, PASSED},
        {{"Team:support", GW_ACL_GROUP, ID ".", true, GW_ACL_READ, true, "*"}, PASSED},
        {{"Team:support", GW_ACL_TOPIC, TOPIC, false, GW_ACL_READ, true, "*"}, PASSED},
        /* clang-format on */
    };
    enum { ROWS = sizeof rows / sizeof *rows };
    struct gw_acl lists[ROWS];
    struct gw_acl_set told[DENIED + 1] = {0};
    for (size_t i = 0; i < ROWS; i++)
        lists[i] = rows[i].acl;
    sort_out(lists, ROWS, told);
    for (size_t i = 0; i < ROWS; i++)
        for (enum told kind = OURS; kind <= DENIED; kind++)
            if (gw_acl_set_has(&told[kind], &lists[i]) != (kind == rows[i].told))
                fail_msg("row %zu: %s on %s, kind %d", i, lists[i].principal, lists[i].name, kind);
    for (enum told kind = OURS; kind <= DENIED; kind++)
        gw_acl_set_free(&told[kind]);
}

CASES_MAIN(cmocka_unit_test(what_gives_more_is_told), cmocka_unit_test(each_is_there_once),
           cmocka_unit_test(all_that_tells_them_apart_counts),
           cmocka_unit_test(a_difference_has_what_the_other_lacks))
