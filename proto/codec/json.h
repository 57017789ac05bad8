// Wire messages as JSON (the proto3 JSON mapping), in one canonical spelling: the proto's field
// names, no white space, default values left out, map keys sorted. Equal messages give equal bytes.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace muster {

absl::StatusOr<std::string> MessageToJson(const google::protobuf::Message& message);

// Replaces `message`. InvalidArgument for what is no JSON, for unknown fields and for wrong types;
// the caller bounds the size and decodes the message into a value. `what` names the document.
absl::Status MessageFromJson(std::string_view what, std::string_view json,
                             google::protobuf::Message* message);

// The message's bytes in one canonical order of map keys.
std::string SerializeDeterministically(const google::protobuf::Message& message);

}  // namespace muster
