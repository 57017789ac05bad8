// Protobuf messages as the JSON that --json prints, under fixed conventions:
//   names as in the proto; every scalar is there, zeros too; 64-bit integers are numbers; enums are
//   short lower-case names ("rolling_out"); bytes, which are digests, are hex; maps are objects;
//   a message that is not set is null; of a oneof only the member that is set.
#pragma once

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>

namespace muster::cli {

using Json = nlohmann::ordered_json;

Json ViewOf(const google::protobuf::Message& message);
// "PROMOTION_PHASE_ROLLING_OUT" -> "rolling_out".
std::string ShortName(const google::protobuf::EnumDescriptor& type, int number);

}  // namespace muster::cli
