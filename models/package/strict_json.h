// JSON for signed documents: bounded depth, no repeated keys, no surprises between two readers.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace muster::strict_json {

using Json = nlohmann::ordered_json;

absl::StatusOr<Json> Parse(std::string_view what, std::string_view text, int max_depth);

// Members by name and type; InvalidArgument says which is missing or of another type.
absl::StatusOr<const Json*> Member(const Json& object, const char* name, Json::value_t type);
absl::StatusOr<std::string> StringMember(const Json& object, const char* name);
absl::Status ExpectString(const Json& object, const char* name, const char* expected);
absl::StatusOr<uint64_t> SizeMember(const Json& object, const char* name);  // 0 if absent

}  // namespace muster::strict_json
