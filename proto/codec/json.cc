#include "proto/codec/json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <memory>

#include "proto/codec/field.h"

namespace muster {
namespace {

constexpr char kUrlPrefix[] = "type.googleapis.com";

// Never destroyed: other static objects may still speak JSON while the process ends.
google::protobuf::util::TypeResolver* Resolver() {
  static auto* const resolver = google::protobuf::util::NewTypeResolverForDescriptorPool(
      kUrlPrefix, google::protobuf::DescriptorPool::generated_pool());
  return resolver;
}

}  // namespace

std::string SerializeDeterministically(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

absl::StatusOr<std::string> MessageToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  // Through the bytes, because only they can be asked for a fixed order of map keys.
  std::string json;
  const auto status = google::protobuf::util::BinaryToJsonString(
      Resolver(), StrCat(kUrlPrefix, "/", message.GetDescriptor()->full_name()),
      SerializeDeterministically(message), &json, options);
  if (!status.ok()) {
    return absl::InternalError(
        StrCat("writing ", message.GetDescriptor()->full_name(), " as JSON: ", status.ToString()));
  }
  return json;
}

absl::Status MessageFromJson(std::string_view what, std::string_view json,
                             google::protobuf::Message* message) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = false;
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), message, options);
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat(what, " is no valid JSON of ", message->GetDescriptor()->full_name(), ": ",
             std::string(status.message().data(), status.message().size())));
}

}  // namespace muster
