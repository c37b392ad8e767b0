/* streamlayer catalog create|list|show|delete */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

const struct cli_option cli_catalog_create_options[] = {
    {'n', "name", "NAME", "a name for people; without it the id"},
    {0, NULL, NULL, NULL},
};

int cli_catalog_create(struct cli *cli)
{
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    sl_catalog *catalog = NULL;
    if (sl_catalog_create(cli->client, cli->operands[0], cli_value(cli, "name"), &catalog, &error))
        return cli_fail(cli, &error);
    puts(cli->json ? sl_catalog_json(catalog) : sl_catalog_hrn(catalog));
    sl_catalog_destroy(&catalog);
    return cli_flush_output(cli);
}

static void print_list_json(const sl_catalog_list *list)
{
    size_t count = sl_catalog_list_count(list);
    putchar('[');
    for (size_t i = 0; i < count; i++)
        printf("%s%s", i ? ",\n" : "", sl_catalog_json(sl_catalog_list_at(list, i)));
    puts("]");
}

int cli_catalog_list(struct cli *cli)
{
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    sl_catalog_list *list = NULL;
    if (sl_catalog_list_get(cli->client, &list, &error))
        return cli_fail(cli, &error);
    if (cli->json) {
        print_list_json(list);
    } else {
        static const char *const titles[] = {"HRN", "LAYERS", "NAME"};
        struct cli_table *table = cli_table_create(3, titles);
        for (size_t i = 0; i < sl_catalog_list_count(list); i++) {
            const sl_catalog *catalog = sl_catalog_list_at(list, i);
            char layers[24];
            snprintf(layers, sizeof layers, "%zu", sl_catalog_layer_count(catalog));
            const char *cells[] = {sl_catalog_hrn(catalog), layers, sl_catalog_name(catalog)};
            cli_table_row(table, cells);
        }
        cli_table_print(&table);
    }
    sl_catalog_list_destroy(&list);
    return cli_flush_output(cli);
}

int cli_catalog_show(struct cli *cli)
{
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    sl_catalog *catalog = NULL;
    if (sl_catalog_get(cli->client, cli->operands[0], &catalog, &error))
        return cli_fail(cli, &error);
    if (cli->json) {
        puts(sl_catalog_json(catalog));
    } else {
        static const char *const titles[] = {"LAYER", "CONTENT TYPE", "NAME"};
        printf("HRN   %s\nid    %s\nname  %s\n", sl_catalog_hrn(catalog), sl_catalog_id(catalog),
               sl_catalog_name(catalog));
        if (sl_catalog_marketplace(catalog))
            puts("A Marketplace catalog: it is read through the http-connector.");
        putchar('\n');
        struct cli_table *table = cli_table_create(3, titles);
        sl_layer_spec layer = {.struct_size = sizeof layer};
        for (size_t i = 0; sl_catalog_layer_at(catalog, i, &layer); i++) {
            const char *cells[] = {layer.id, layer.content_type, layer.name};
            cli_table_row(table, cells);
        }
        cli_table_print(&table);
    }
    sl_catalog_destroy(&catalog);
    return cli_flush_output(cli);
}

int cli_catalog_delete(struct cli *cli)
{
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    if (sl_catalog_delete(cli->client, cli->operands[0], &error))
        return cli_fail(cli, &error);
    return CLI_OK;
}
