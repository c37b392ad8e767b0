/* The whole public API of libstreamlayer. */
#ifndef STREAMLAYER_STREAMLAYER_H
#define STREAMLAYER_STREAMLAYER_H

#include <streamlayer/acl.h>
#include <streamlayer/admin.h>
#include <streamlayer/application.h>
#include <streamlayer/blob.h>
#include <streamlayer/client.h>
#include <streamlayer/config.h>
#include <streamlayer/consumer.h>
#include <streamlayer/endpoint.h>
#include <streamlayer/error.h>
#include <streamlayer/group.h>
#include <streamlayer/log.h>
#include <streamlayer/marketplace.h>
#include <streamlayer/message.h>
#include <streamlayer/producer.h>
#include <streamlayer/token_key.h>
#include <streamlayer/usage.h>
#include <streamlayer/version.h>

#endif
