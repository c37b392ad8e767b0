#include "base/error.h"

#include "connectors/kafka/kafka.h"

static sl_status status_of(rd_kafka_resp_err_t code, bool *retriable)
{
    *retriable = false;
    switch (code) {
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
        *retriable = true;
        return SL_TIMED_OUT;
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
        return SL_TIMED_OUT;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        *retriable = true;
        return SL_QUEUE_FULL;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        return SL_TOO_LARGE;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return SL_FORBIDDEN;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
        return SL_UNAUTHENTICATED;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        return SL_NOT_FOUND;
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
        *retriable = true;
        return SL_THROTTLED;
    case RD_KAFKA_RESP_ERR__SSL:
        return SL_UNAVAILABLE;
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
        *retriable = true;
        return SL_UNAVAILABLE;
    case RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE:
        return SL_OUT_OF_MEMORY;
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
        return SL_INVALID_ARGUMENT;
    case RD_KAFKA_RESP_ERR__DESTROY:
    case RD_KAFKA_RESP_ERR__IN_PROGRESS:
        return SL_CLOSED;
    default:
        return SL_KAFKA;
    }
}

bool sl_kafka_is_forbidden(rd_kafka_resp_err_t code)
{
    bool retriable;
    return status_of(code, &retriable) == SL_FORBIDDEN;
}

sl_status sl_kafka_error(sl_error *error, rd_kafka_resp_err_t code, const char *format, ...)
{
    bool retriable;
    sl_status status = status_of(code, &retriable);
    va_list arguments;
    va_start(arguments, format);
    sl_error_vset(error, status, format, arguments);
    va_end(arguments);
    if (error) {
        error->retriable = retriable;
        error->fatal = code == RD_KAFKA_RESP_ERR__FATAL || code == RD_KAFKA_RESP_ERR__FENCED;
    }
    return status;
}

sl_status sl_kafka_error_object(sl_error *error, rd_kafka_error_t *object, const char *what)
{
    sl_status status =
        sl_kafka_error(error, rd_kafka_error_code(object), "%s: %s", what, rd_kafka_error_string(object));
    if (error && rd_kafka_error_is_fatal(object))
        error->fatal = true;
    rd_kafka_error_destroy(object);
    return status;
}
