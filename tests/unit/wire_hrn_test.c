#include "support/cases.h"

#include <stdlib.h>
#include <string.h>

#include "wire/hrn.h"

static void assert_says(sl_status status, const sl_error *error, const char *part)
{
    assert_int_equal(status, SL_INVALID_ARGUMENT);
    if (!strstr(error->text, part))
        fail_msg("\"%s\" does not say \"%s\"", error->text, part);
}

static void good_hrns(void **state)
{
    (void)state;
    static const char *const good[] = {"hrn:here:data::local:cat", "hrn:here:data:::cat-1.x_y",
                                       "hrn:here-cn:data:eu-west-1:olp-here:0cat"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(sl_hrn_check(good[i], NULL), SL_OK);
    assert_string_equal(sl_hrn_id(good[0]), "cat");
    assert_string_equal(sl_hrn_id(good[2]), "0cat");
}

static void bad_hrns_say_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *hrn, *part;
    } bad[] = {
        {NULL, "no catalog HRN"},
        {"", "no catalog HRN"},
        {"cat", "is no HRN"},
        {"hrn:here:data::local", "is no HRN"},
        {"hrn:here:data::local:cat:layer", "is no HRN"},
        {"urn:here:data::local:cat", "is no HRN"},
        {"hrn:here:pipeline::local:cat", "\"pipeline\", not \"data\""},
        {"hrn::data::local:cat", "no partition"},
        {"hrn:here:data:a b:local:cat", "region \"a b\""},
        {"hrn:here:data::lo/cal:cat", "realm \"lo/cal\""},
        {"hrn:here:data::local:", "catalog id is empty"},
        {"hrn:here:data::local:Cat", "lower-case"},
        {"hrn:here:data::local:-cat", "must begin"},
        {"hrn:here:data::local:c\xc3\xa4t", "character 2"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sl_error error = {0};
        assert_says(sl_hrn_check(bad[i].hrn, &error), &error, bad[i].part);
    }
    assert_null(sl_hrn_id("hrn:here:data::local"));
    assert_null(sl_hrn_id(NULL));
}

static void ids_have_bounds(void **state)
{
    (void)state;
    char id[80], hrn[400];
    sl_error error = {0};
    memset(id, 'a', sizeof id);
    id[SL_LAYER_ID_MAX] = 0;
    assert_int_equal(sl_layer_id_check(id, NULL), SL_OK);
    assert_int_equal(sl_catalog_id_check(id, NULL), SL_OK);
    id[SL_LAYER_ID_MAX] = 'a';
    id[SL_LAYER_ID_MAX + 1] = 0;
    assert_says(sl_layer_id_check(id, &error), &error, "layer id");
    assert_says(sl_catalog_id_check(id, &error), &error, "longer than 64");
    assert_int_equal(sl_layer_id_check("Layer.1_x-y", NULL), SL_OK);
    assert_says(sl_layer_id_check(".layer", &error), &error, "must begin");
    assert_says(sl_layer_id_check("a/b", &error), &error, "character 2");
    assert_says(sl_layer_id_check(NULL, &error), &error, "empty");
    snprintf(hrn, sizeof hrn, "hrn:here:data::%0300d:cat", 1);
    assert_says(sl_hrn_check(hrn, &error), &error, "longer than 256");
}

static void groups_are_checked(void **state)
{
    (void)state;
    char group[SL_GROUP_MAX + 2];
    sl_error error = {0};
    memset(group, 'g', sizeof group);
    group[SL_GROUP_MAX] = 0;
    assert_int_equal(sl_group_check(group, NULL), SL_OK);
    group[SL_GROUP_MAX] = 'g';
    group[SL_GROUP_MAX + 1] = 0;
    assert_says(sl_group_check(group, &error), &error, "longer than 200");
    assert_int_equal(sl_group_check("a.B_c-d:1", NULL), SL_OK);
    assert_says(sl_group_check("", &error), &error, "empty");
    assert_says(sl_group_check("a b", &error), &error, "character 2");
}

static void the_default_group_is_readable_and_legal(void **state)
{
    (void)state;
    char *group = sl_group_default("hrn:here:data::local:cat", "Layer.1");
    assert_string_equal(group, "hrn:here:data::local:cat:Layer.1");
    assert_int_equal(sl_group_check(group, NULL), SL_OK);
    free(group);
}

static void long_default_groups_stay_apart(void **state)
{
    (void)state;
    char hrn[SL_HRN_MAX + 1], layer[SL_LAYER_ID_MAX + 1], id[SL_CATALOG_ID_MAX + 1];
    memset(layer, 'l', SL_LAYER_ID_MAX);
    layer[SL_LAYER_ID_MAX] = 0;
    memset(id, 'c', SL_CATALOG_ID_MAX);
    id[SL_CATALOG_ID_MAX] = 0;
    snprintf(hrn, sizeof hrn, "hrn:here:data::%0176d:%s", 1, id);
    assert_int_equal(sl_hrn_check(hrn, NULL), SL_OK);
    char *one = sl_group_default(hrn, layer);
    assert_int_equal(sl_group_check(one, NULL), SL_OK);
    assert_memory_equal(one, "sha256:", 7);
    layer[SL_LAYER_ID_MAX - 1] = 'm';
    char *two = sl_group_default(hrn, layer);
    assert_string_not_equal(one, two);
    hrn[20] = '9';
    char *three = sl_group_default(hrn, layer);
    assert_string_not_equal(two, three);
    free(one);
    free(two);
    free(three);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(good_hrns),
    cmocka_unit_test(bad_hrns_say_what_is_wrong),
    cmocka_unit_test(ids_have_bounds),
    cmocka_unit_test(groups_are_checked),
    cmocka_unit_test(the_default_group_is_readable_and_legal),
    cmocka_unit_test(long_default_groups_stay_apart))
