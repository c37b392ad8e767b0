/* streamlayer acl: grants as Kafka's access control lists, throughput as its quotas */
#include "acl.h"
#include "cli.h"

#include <string.h>

static const char *word_for(sl_acl_drift drift)
{
    static const char *const words[] = {[SL_ACL_MISSING] = "missing",
                                        [SL_ACL_SURPLUS] = "surplus",
                                        [SL_ACL_BEYOND] = "beyond",
                                        [SL_ACL_DENIED] = "denied"};
    return words[drift];
}

static bool add_rows(struct cli_table *table, const sl_acl_report *report)
{
    sl_acl_finding finding = {.struct_size = sizeof finding};
    bool good = table != NULL;
    for (size_t i = 0; good && sl_acl_report_at(report, i, &finding); i++) {
        char resource[400];
        snprintf(resource, sizeof resource, "%s %.300s%s", finding.resource, finding.name,
                 finding.prefixed ? "…" : "");
        const char *cells[] = {
            finding.cluster,   word_for(finding.drift), finding.application ? finding.application : "-",
            finding.principal, finding.operation,       resource};
        cli_table_row(table, cells);
    }
    return good;
}

size_t cli_acl_count(const sl_acl_report *report, sl_acl_drift drift)
{
    sl_acl_finding finding = {.struct_size = sizeof finding};
    size_t count = 0;
    for (size_t i = 0; sl_acl_report_at(report, i, &finding); i++)
        count += finding.drift == drift;
    return count;
}

/* What is wrong with clusters themselves, as errors. */
static int tell_failures(const struct cli *cli, const sl_acl_report *report)
{
    sl_acl_cluster cluster = {.struct_size = sizeof cluster};
    int code = CLI_OK;
    for (size_t i = 0; sl_acl_report_cluster_at(report, i, &cluster); i++)
        if (cluster.error)
            code = cli_error_as(cli, SL_UNAVAILABLE, "Kafka cluster %s: %s", cluster.name, cluster.error);
    return code;
}

static int print(const struct cli *cli, const sl_acl_report *report)
{
    static const char *const titles[] = {"CLUSTER", "DRIFT", "APPLICATION", "PRINCIPAL", "MAY", "RESOURCE"};
    if (cli->json) {
        puts(sl_acl_report_json(report));
        return CLI_OK;
    }
    if (!sl_acl_report_count(report))
        return CLI_OK;
    struct cli_table *table = cli_table_create(6, titles);
    return add_rows(table, report) ? cli_table_finish(cli, &table) : cli_out_of_memory(cli);
}

/* The words for people at the end. */
static void sum_up(const struct cli *cli, const sl_acl_report *report, bool repaired)
{
    size_t wrong = cli_acl_count(report, SL_ACL_MISSING) + cli_acl_count(report, SL_ACL_SURPLUS),
           others = cli_acl_count(report, SL_ACL_BEYOND) + cli_acl_count(report, SL_ACL_DENIED);
    if (cli->json)
        return;
    if (!sl_acl_report_cluster_count(report))
        puts("No Kafka cluster of the platform keeps grants as access control lists "
             "(streamlayer.gateway.kafka.acls.enabled).");
    else if (wrong && repaired)
        puts("All that was missing is made, and what was surplus removed.");
    else if (!wrong && !others)
        puts("Kafka's access control lists and quotas are what was granted.");
    if (wrong && !repaired)
        cli_hint(cli, "streamlayer acl repair puts right what is missing and surplus.");
    if (others)
        cli_hint(
            cli,
            "What is beyond or denied was made by others and stays: remove it, where it is not meant, with "
            "the tools of a Kafka installation (kafka-acls.sh --remove; of a client-quota, kafka-configs.sh "
            "--delete-config): what streamlayer up runs has none.");
}

static int acl(struct cli *cli)
{
    sl_error error = {0};
    sl_acl_report *report = NULL;
    const char *action = cli->operands[0];
    bool repair = !strcmp(action, "repair");
    if (!repair && strcmp(action, "check") != 0)
        return cli_usage_error(cli, "acl does not take \"%s\": check or repair", action);
    int code = cli_connect(cli);
    if (code)
        return code;
    if (repair ? sl_acl_repair(cli->client, &report, &error) : sl_acl_check(cli->client, &report, &error))
        return cli_fail(cli, &error);
    code = print(cli, report);
    int failures = tell_failures(cli, report);
    if (!code && !failures)
        sum_up(cli, report, repair);
    size_t left =
        cli_acl_count(report, SL_ACL_BEYOND) + cli_acl_count(report, SL_ACL_DENIED) +
        (repair ? 0 : cli_acl_count(report, SL_ACL_MISSING) + cli_acl_count(report, SL_ACL_SURPLUS));
    sl_acl_report_destroy(&report);
    if (!code)
        code = failures ? failures : left ? CLI_FAILED : CLI_OK;
    int flushed = cli_flush_output(cli);
    return code ? code : flushed;
}

const struct cli_command cli_acl_command = {
    .name = "acl",
    .operands = "check|repair",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "compare Kafka's access control lists with the grants, and put them right",
    .details =
        "On a secured Kafka (streamlayer.gateway.kafka.acls.enabled) the gateway writes grants as access "
        "control lists, and, where it is asked to (kafka.quotas.enabled), the throughput of layers as client "
        "quotas, so that they hold for kafka-connector, too. check asks each cluster and shows what differs: "
        "missing (granted, but not there), surplus (written for a grant that is no more), beyond (made by "
        "others, and gives an application, or everybody, more than was granted), denied (made by others, and "
        "keeps them from it). A quota that is wrong is surplus, and the right one missing. repair makes what "
        "is missing and removes what is surplus; what others made stays. Both need the right admin. The "
        "gateway repairs by itself, too, every streamlayer.gateway.kafka.acls.check-interval.\n"
        "Exit code: 0 when all is as granted, 1 when something differs, 5 when a cluster cannot be asked.",
    .examples = "  streamlayer acl check\n"
                "  streamlayer acl repair\n",
    .related = "grant,revoke,app list",
    .run = acl,
};
