#include "models/package/strict_json.h"

#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/core/status.h"

namespace muster::strict_json {
namespace {

absl::Status Wrong(const char* name, const char* problem) {
  return absl::InvalidArgumentError(absl::StrCat("package: member \"", name, "\" ", problem));
}

}  // namespace

absl::StatusOr<Json> Parse(std::string_view what, std::string_view text, int max_depth) {
  std::vector<std::set<std::string>> keys;
  const char* problem = nullptr;
  auto check = [&](int depth, Json::parse_event_t event, Json& value) {
    using Event = Json::parse_event_t;
    if (depth > max_depth) problem = "is nested too deeply";
    if (problem != nullptr) return false;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(value.get_ref<const std::string&>()).second) {
      problem = "has a key twice";
      return false;
    }
    return true;
  };
  Json json = Json::parse(text, check, /*allow_exceptions=*/false);
  if (problem == nullptr && json.is_discarded()) problem = "is not JSON";
  if (problem == nullptr && !json.is_object()) problem = "is not a JSON object";
  if (problem != nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("package: ", std::string(what), " ", problem));
  }
  return json;
}

absl::StatusOr<const Json*> Member(const Json& object, const char* name, Json::value_t type) {
  auto found = object.find(name);
  if (found == object.end()) return Wrong(name, "is missing");
  if (found->type() != type) return Wrong(name, "is of another type than expected");
  return &*found;
}

absl::StatusOr<std::string> StringMember(const Json& object, const char* name) {
  MUSTER_ASSIGN_OR_RETURN(const Json* value, Member(object, name, Json::value_t::string));
  return value->get_ref<const std::string&>();
}

absl::Status ExpectString(const Json& object, const char* name, const char* expected) {
  MUSTER_ASSIGN_OR_RETURN(std::string value, StringMember(object, name));
  if (value == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("package: member \"", name, "\" must be \"",
                                                 expected, "\"; this is another format"));
}

absl::StatusOr<uint64_t> SizeMember(const Json& object, const char* name) {
  auto found = object.find(name);
  if (found == object.end()) return 0;
  if (!found->is_number_unsigned()) return Wrong(name, "is not a whole number");
  return found->get<uint64_t>();
}

}  // namespace muster::strict_json
