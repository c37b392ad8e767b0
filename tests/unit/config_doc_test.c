/* docs/configuration.md lists the settings as the table has them. With STREAMLAYER_UPDATE_DOCS set, this
 * rewrites the lists instead of comparing them. */
#include "support/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "config/reference.h"

/* The page lies beside the tests, wherever they were built from. */
static void page_name(char out[1000])
{
    static const char here[] = "tests/unit/config_doc_test.c";
    size_t size = strlen(__FILE__) - strlen(here);
    assert_string_equal(__FILE__ + size, here);
    assert_true(snprintf(out, 1000, "%.*sdocs/configuration.md", (int)size, __FILE__) < 1000);
}

static void read_page(struct sl_buffer *page)
{
    char name[1000], bytes[4096];
    page_name(name);
    FILE *file = fopen(name, "r");
    if (!file)
        fail_msg("%s cannot be opened", name);
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, file)) > 0;)
        sl_buffer_append(page, bytes, got);
    fclose(file);
    assert_non_null(page->data);
}

static void write_page(const char *text)
{
    char name[1000];
    page_name(name);
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* What stands between "<!-- NAME -->" and "<!-- end NAME -->" is to be expected. */
static void hold_against(const char *name, const struct sl_buffer *expected)
{
    struct sl_buffer page, made;
    char begin[64], end[64];
    sl_buffer_init(&page, 1 << 20);
    sl_buffer_init(&made, 1 << 20);
    read_page(&page);
    snprintf(begin, sizeof begin, "<!-- %s -->\n", name);
    snprintf(end, sizeof end, "<!-- end %s -->\n", name);
    char *from = strstr(page.data, begin);
    assert_non_null(from);
    from += strlen(begin);
    char *to = strstr(from, end);
    assert_non_null(to);
    bool same = (size_t)(to - from) == expected->size && memcmp(from, expected->data, expected->size) == 0;
    if (!same && getenv("STREAMLAYER_UPDATE_DOCS")) {
        sl_buffer_append(&made, page.data, (size_t)(from - page.data));
        sl_buffer_append(&made, expected->data, expected->size);
        sl_buffer_append_text(&made, to);
        assert_false(made.failed);
        write_page(made.data);
        same = true;
    }
    if (!same) {
        print_message("docs/configuration.md, between %s and %s, is to be:\n%s", begin, end, expected->data);
        fail_msg("docs/configuration.md and the table of settings differ; run this test with "
                 "STREAMLAYER_UPDATE_DOCS=1 to mend the page");
    }
    sl_buffer_free(&page);
    sl_buffer_free(&made);
}

static void the_client_settings_are_listed(void **state)
{
    (void)state;
    struct sl_buffer expected;
    sl_buffer_init(&expected, 1 << 20);
    sl_reference_markdown(&expected, SL_CLIENT_TABLE);
    hold_against("client settings", &expected);
    sl_buffer_free(&expected);
}

static void the_gateway_settings_are_listed(void **state)
{
    (void)state;
    struct sl_buffer expected;
    sl_buffer_init(&expected, 1 << 20);
    sl_reference_markdown(&expected, SL_GATEWAY_TABLE);
    hold_against("gateway settings", &expected);
    sl_buffer_free(&expected);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(the_client_settings_are_listed),
    cmocka_unit_test(the_gateway_settings_are_listed))
