/* How a layer's throughput is divided. Whatever clients do, its parts are no more than it: that is counted
 * here. */
#include "support/cases.h"

#include "gateway/quota_plan.h"

#include <stdlib.h>
#include <string.h>

static void allow(struct gw_acl_set *rights, const char *principal, const char *topic, bool write)
{
    const struct gw_acl acl = {.principal = principal,
                               .resource = GW_ACL_TOPIC,
                               .name = topic,
                               .operation = write ? GW_ACL_WRITE : GW_ACL_READ,
                               .allow = true,
                               .host = "*"};
    gw_acl_set_add(rights, &acl);
}

static void ask(struct gw_quota_set *asked, const char *user, const char *client, bool in, bool out)
{
    const struct gw_quota quota = {user, client, in, out};
    gw_quota_set_add(asked, &quota);
}

static const struct gw_quota_terms half = {50, 1, 0}, fifth = {20, 4, 0};

static void one_application_has_what_is_direct(void **state)
{
    (void)state;
    struct gw_acl_set rights = {0};
    struct gw_quota_set asked = {0}, out = {0};
    struct gw_quota_topic topic = {.name = "t", .in = 1000000, .out = 4000000};
    allow(&rights, "User:a", "t", false);
    allow(&rights, "User:a", "t", true);
    gw_acl_set_finish(&rights);

    gw_quota_plan(&rights, &topic, 1, &asked, &half, &out); /* nobody has asked */
    assert_int_equal(out.count, 1);
    assert_true(gw_quota_find(&out, "a", NULL)->in == 50000);
    assert_true(gw_quota_find(&out, "a", NULL)->out == 200000);
    assert_int_equal(topic.http_in, 950);
    assert_int_equal(topic.http_out, 950);
    gw_quota_set_free(&out);

    ask(&asked, "a", "sl-t", true, false);
    gw_quota_plan(&rights, &topic, 1, &asked, &half, &out);
    assert_int_equal(out.count, 2);
    assert_true(gw_quota_find(&out, "a", "sl-t")->in == 450000);
    assert_true(gw_quota_find(&out, "a", "sl-t")->out == 0);
    assert_int_equal(topic.http_in, 500);
    assert_int_equal(topic.http_out, 950);
    gw_quota_set_free(&out);

    gw_quota_set_free(&asked);
    ask(&asked, "a", "sl-t", true, true);
    gw_quota_plan(&rights, &topic, 1, &asked, &fifth, &out); /* on each of four brokers */
    assert_true(gw_quota_find(&out, "a", "sl-t")->in == 45000);
    assert_true(gw_quota_find(&out, "a", "sl-t")->out == 180000);
    assert_int_equal(topic.http_in, 800);
    gw_quota_set_free(&out);
    gw_quota_set_free(&asked);
    gw_acl_set_free(&rights);
}

/* Who asked, without the right, or for a layer that is no more, has nothing. */
static void only_rights_count(void **state)
{
    (void)state;
    struct gw_acl_set rights = {0};
    struct gw_quota_set asked = {0}, out = {0};
    struct gw_quota_topic topic = {.name = "t", .in = 1000000, .out = 1000000};
    allow(&rights, "User:a", "gone", true);
    const struct gw_acl group = {"User:b", GW_ACL_GROUP, "t", false, GW_ACL_READ, true, "*"};
    gw_acl_set_add(&rights, &group);
    gw_acl_set_finish(&rights);
    ask(&asked, "a", "sl-gone", true, true);
    ask(&asked, "a", "sl-t", true, true);
    ask(&asked, "c", "sl-t", true, true);
    gw_quota_set_finish(&asked);
    gw_quota_plan(&rights, &topic, 1, &asked, &half, &out);
    assert_int_equal(out.count, 0);
    assert_int_equal(topic.http_in, 1000);
    gw_quota_set_free(&asked);
    gw_acl_set_free(&rights);
}

enum { TOPICS = 7, USERS = 9, ROUNDS = 300 };

/* Of one layer in one direction: all of its own clients', all that others may bring, and HTTP's. */
static double sum(const struct gw_acl_set *rights, const struct gw_quota_set *plan,
                  const struct gw_quota_topic *topic, bool write, int brokers)
{
    char client[64];
    snprintf(client, sizeof client, "sl-%s", topic->name);
    double direct = 0;
    for (size_t i = 0; i < rights->count; i++) {
        const struct gw_acl *acl = &rights->list[i];
        if (strcmp(acl->name, topic->name) != 0 || (acl->operation == GW_ACL_WRITE) != write)
            continue;
        const struct gw_quota *own = gw_quota_find(plan, acl->principal + 5, client);
        const struct gw_quota *rest = gw_quota_find(plan, acl->principal + 5, NULL);
        assert_non_null(rest);
        double least = write ? rest->in : rest->out;
        assert_true(least >= 1); /* without a bound there would be none */
        direct += least + (own ? write ? own->in : own->out : 0);
    }
    return direct * brokers +
           (double)(write ? topic->in * topic->http_in : topic->out * topic->http_out) / 1000;
}

static void no_layer_gives_more_than_it_has(void **state)
{
    (void)state;
    static const char *const names[TOPICS] = {"a", "b", "c", "d", "e", "f", "g"};
    unsigned seed = 7;
    for (int round = 0; round < ROUNDS; round++) {
        struct gw_acl_set rights = {0};
        struct gw_quota_set asked = {0}, out = {0};
        struct gw_quota_topic topics[TOPICS];
        char principal[32], client[32];
        const struct gw_quota_terms terms = {1 + rand_r(&seed) % 90, 1 + rand_r(&seed) % 5, 0};
        for (int t = 0; t < TOPICS; t++)
            topics[t] = (struct gw_quota_topic){.name = names[t],
                                                .in = 102400 * (1 + rand_r(&seed) % 328),
                                                .out = 102400 * (1 + rand_r(&seed) % 655)};
        for (int u = 0; u < USERS; u++)
            for (int t = 0; t < TOPICS; t++) {
                snprintf(principal, sizeof principal, "User:%d", u);
                snprintf(client, sizeof client, "sl-%s", names[t]);
                for (int write = 0; write < 2; write++)
                    if (rand_r(&seed) % 3)
                        allow(&rights, principal, names[t], write);
                if (rand_r(&seed) % 2)
                    ask(&asked, principal + 5, client, rand_r(&seed) % 2, rand_r(&seed) % 2);
            }
        gw_acl_set_finish(&rights);
        gw_quota_set_finish(&asked);
        gw_quota_plan(&rights, topics, TOPICS, &asked, &terms, &out);
        assert_false(out.failed);
        for (int t = 0; t < TOPICS; t++) {
            assert_true(sum(&rights, &out, &topics[t], true, terms.brokers) <= (double)topics[t].in);
            assert_true(sum(&rights, &out, &topics[t], false, terms.brokers) <= (double)topics[t].out);
        }
        gw_quota_set_free(&out);
        gw_quota_set_free(&asked);
        gw_acl_set_free(&rights);
    }
}

/* Kafka would never give a batch of 2 MiB to who has less than a tenth of it in a second. */
static void a_reader_is_not_held_up_for_ever(void **state)
{
    (void)state;
    struct gw_acl_set rights = {0};
    struct gw_quota_set asked = {0}, out = {0};
    struct gw_quota_topic topic = {.name = "t", .in = 100000, .out = 1000000};
    const struct gw_quota_terms terms = {50, 1, 200000};
    static const char *const users[] = {"User:a", "User:b", "User:c", "User:d", "User:e"};
    for (size_t i = 0; i < 5; i++) {
        allow(&rights, users[i], "t", false);
        allow(&rights, users[i], "t", true);
    }
    gw_acl_set_finish(&rights);
    static const int http[] = {950, 500, 500, 350, 150, 100}; /* and the last gives more than there is */
    for (size_t count = 0; count <= 5; count++) {
        if (count)
            ask(&asked, users[count - 1] + 5, "sl-t", true, true);
        gw_quota_set_finish(&asked);
        gw_quota_plan(&rights, &topic, 1, &asked, &terms, &out);
        assert_int_equal(topic.http_out, http[count]);
        assert_int_equal(topic.http_in, count ? 500 : 950);
        for (size_t i = 0; i < count; i++) {
            assert_true(gw_quota_find(&out, users[i] + 5, "sl-t")->out >= 200000);
            assert_true(gw_quota_find(&out, users[i] + 5, "sl-t")->in < 50000);
        }
        gw_quota_set_free(&out);
    }
    gw_quota_set_free(&asked);
    gw_acl_set_free(&rights);
}

/* What bounds more comes before what gives more, so that the way there is bounded, too. */
static void a_change_takes_before_it_gives(void **state)
{
    (void)state;
    struct gw_quota_set before = {0}, after = {0}, change = {0};
    static const struct gw_quota there[] = {{"a", "sl-t", 100, 0},
                                            {"a", NULL, 10, 5},
                                            {"gone", NULL, 10, 0},
                                            {"gone", "sl-t", 100, 0},
                                            {"same", NULL, 1, 1}};
    static const struct gw_quota wanted[] = {{"a", "sl-t", 50, 0},
                                             {"a", NULL, 10, 5},
                                             {"b", "sl-t", 50, 0},
                                             {"b", NULL, 5, 0},
                                             {"same", NULL, 1, 1}};
    for (size_t i = 0; i < 5; i++) {
        gw_quota_set_add(&before, &there[i]);
        gw_quota_set_add(&after, &wanted[i]);
    }
    gw_quota_set_finish(&before);
    gw_quota_set_finish(&after);
    gw_quota_set_change(&change, &before, &after);
    static const struct gw_quota order[] = {{"a", "sl-t", 50, 0},
                                            {"b", NULL, 5, 0},
                                            {"gone", "sl-t", 0, 0},
                                            {"b", "sl-t", 50, 0},
                                            {"gone", NULL, 0, 0}};
    assert_int_equal(change.count, 5);
    for (size_t i = 0; i < 5; i++) {
        const struct gw_quota *one = &change.list[i];
        assert_string_equal(one->user, order[i].user);
        assert_int_equal(!one->client, !order[i].client);
        assert_true(one->in == order[i].in && one->out == order[i].out);
    }
    gw_quota_set_free(&before);
    gw_quota_set_free(&after);
    gw_quota_set_free(&change);
}

/* Wherever it comes in, and whatever goes out, the set stays in order. */
static void a_set_stays_finished(void **state)
{
    (void)state;
    struct gw_quota_set set = {0};
    static const struct gw_quota quotas[] = {{"b", "sl-t", 1, 0}, {"a", "sl-t", 0, 2}, {"c", NULL, 0, 0},
                                             {"b", NULL, 4, 4},   {"a", "sl-u", 0, 0}, {"a", "sl-s", 6, 0}};
    static const size_t order[] = {5, 1, 3, 0}; /* of those that bound something */
    for (size_t i = 0; i < 6; i++)
        gw_quota_set_insert(&set, &quotas[i]);
    assert_int_equal(set.count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_true(gw_quota_find(&set, quotas[i].user, quotas[i].client)->in == quotas[i].in);
    gw_quota_set_prune(&set);
    assert_int_equal(set.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_ptr_equal(gw_quota_find(&set, quotas[order[i]].user, quotas[order[i]].client), &set.list[i]);
    assert_null(gw_quota_find(&set, "c", NULL));
    gw_quota_set_free(&set);
}

CASES_MAIN(cmocka_unit_test(one_application_has_what_is_direct), cmocka_unit_test(only_rights_count),
           cmocka_unit_test(no_layer_gives_more_than_it_has),
           cmocka_unit_test(a_reader_is_not_held_up_for_ever),
           cmocka_unit_test(a_change_takes_before_it_gives), cmocka_unit_test(a_set_stays_finished))
