#include "gateway/broker/acls.h"

#include "base/error.h"
#include "gateway/broker/control.h"

#include <string.h>

static struct gw_wire_verdict read_acls(struct gw_wire_reader *reader, void *out)
{
    return gw_wire_read_acls(reader, out);
}

sl_status gw_broker_acls(struct gw_control *control, int64_t until_ms, struct gw_acl_set *out,
                         sl_error *error)
{
    static const struct gw_control_question question = {
        &gw_wire_describe_acls, gw_wire_ask_acls, read_acls, {"look at access control lists", "Alter"}};
    *out = (struct gw_acl_set){0};
    sl_status status = gw_control_ask(control, until_ms, &question, out, error);
    gw_acl_set_finish(out);
    if (!status && out->failed)
        status = sl_error_oom(error);
    if (status)
        gw_acl_set_free(out);
    return status;
}

static sl_status change(struct gw_control *control, const struct gw_acl_set *set, bool make, sl_error *error)
{
    static const struct gw_control_words making = {"make access control lists", "Alter"},
                                         taking = {"remove access control lists", "Alter"};
    sl_status status = SL_OK;
    for (size_t i = 0; i < set->count && !status; i += GW_CONTROL_PORTION) {
        size_t count = set->count - i < GW_CONTROL_PORTION ? set->count - i : GW_CONTROL_PORTION;
        struct gw_wire_reader reader;
        if (make)
            gw_wire_make_acls(gw_wire_ask(&control->link, gw_wire_create_acls), set->list + i, count);
        else
            gw_wire_take_acls(gw_wire_ask(&control->link, gw_wire_delete_acls), set->list + i, count);
        status = gw_wire_send(&control->link, &reader, error);
        if (!status) {
            struct gw_wire_verdict verdict = make ? gw_wire_read_made(&reader) : gw_wire_read_taken(&reader);
            status = gw_control_judge(control, &reader, verdict, make ? &making : &taking, error);
        }
    }
    return status;
}

/* What must not be done any more goes first. */
sl_status gw_broker_change_acls(struct gw_control *control, const struct gw_acl_set *add,
                                const struct gw_acl_set *remove, int64_t until_ms, sl_error *error)
{
    if (!add->count && !remove->count)
        return SL_OK;
    sl_status status = gw_control_begin(control, until_ms, error);
    if (!status)
        status = change(control, remove, false, error);
    if (!status)
        status = change(control, add, true, error);
    gw_control_end(control, status);
    return status;
}

void gw_broker_cancel_acls(struct gw_broker *broker)
{
    atomic_store(&broker->acls_cancelled, true);
}

bool gw_broker_keeps_acls(const struct gw_broker *broker)
{
    return broker->keeps_acls;
}

const char *gw_broker_issuer(const struct gw_broker *broker)
{
    char path[GW_SETTING_MAX];
    snprintf(path, sizeof path, "%s.acls.issuer", broker->root);
    const char *issuer = sl_config_get(broker->config, path);
    return issuer ? issuer : "";
}

bool gw_broker_is_own_user(const struct gw_broker *broker, const char *user)
{
    return broker->own.user && !strcmp(broker->own.user, user);
}
