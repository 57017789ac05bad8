#include "coordinator/blobs/s3/s3_xml.h"

#include <pugixml.hpp>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "coordinator/blobs/s3/s3_limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kMaxErrorText = 300;

// Neither entities of a document type nor processing instructions are looked at.
constexpr unsigned kParse = pugi::parse_escapes | pugi::parse_eol | pugi::parse_cdata;

absl::Status NoAnswer(std::string_view why) {
  return absl::DataLossError(
      StrCat("the answer is none of S3's: ", why, "; is the endpoint an S3-compatible store?"));
}

absl::Status Parse(std::string_view body, const char* root, pugi::xml_document& document) {
  if (body.size() > limits::kS3MaxXmlBytes) {
    return NoAnswer(StrCat("it has ", body.size(), " bytes"));
  }
  const pugi::xml_parse_result parsed =
      document.load_buffer(body.data(), body.size(), kParse, pugi::encoding_utf8);
  if (!parsed) return NoAnswer(parsed.description());
  if (std::string_view(document.document_element().name()) != root) {
    return NoAnswer(StrCat("it is no ", root));
  }
  return absl::OkStatus();
}

std::string Text(const pugi::xml_node& node, const char* name) {
  return node.child(name).text().get();
}

absl::StatusOr<Timestamp> Time(const std::string& text) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    return NoAnswer("a time in it is none");
  }
  return Timestamp{absl::ToUnixMicros(time)};
}

std::string Printable(std::string text) {
  if (text.size() > kMaxErrorText) text.resize(kMaxErrorText);
  for (char& c : text) {
    if (c < ' ' || c > '~') c = ' ';
  }
  return text;
}

bool Truncated(const pugi::xml_node& root) { return Text(root, "IsTruncated") == "true"; }

}  // namespace

S3Error ParseS3Error(std::string_view body) {
  pugi::xml_document document;
  if (!Parse(body, "Error", document).ok()) return {};
  const pugi::xml_node root = document.document_element();
  return {.code = Printable(Text(root, "Code")),
          .message = Printable(Text(root, "Message")),
          .region = Printable(Text(root, "Region"))};
}

absl::StatusOr<S3Listing> ParseS3Listing(std::string_view body) {
  pugi::xml_document document;
  MUSTER_RETURN_IF_ERROR(Parse(body, "ListBucketResult", document));
  const pugi::xml_node root = document.document_element();
  S3Listing listing;
  for (const pugi::xml_node& node : root.children("Contents")) {
    S3Listed object{.key = Text(node, "Key"), .etag = Text(node, "ETag")};
    if (object.key.empty() || !absl::SimpleAtoi(Text(node, "Size"), &object.size)) {
      return NoAnswer("an object in it has no key or no size");
    }
    MUSTER_ASSIGN_OR_RETURN(object.modified, Time(Text(node, "LastModified")));
    listing.objects.push_back(std::move(object));
  }
  if (Truncated(root)) {
    listing.next = Text(root, "NextContinuationToken");
    if (listing.next.empty()) return NoAnswer("it is truncated and does not say how to go on");
  }
  return listing;
}

absl::StatusOr<S3OpenUploads> ParseS3OpenUploads(std::string_view body) {
  pugi::xml_document document;
  MUSTER_RETURN_IF_ERROR(Parse(body, "ListMultipartUploadsResult", document));
  const pugi::xml_node root = document.document_element();
  S3OpenUploads open;
  for (const pugi::xml_node& node : root.children("Upload")) {
    S3OpenUpload upload{.key = Text(node, "Key"), .upload_id = Text(node, "UploadId")};
    if (upload.key.empty() || upload.upload_id.empty()) {
      return NoAnswer("an upload in it has no key or no id");
    }
    MUSTER_ASSIGN_OR_RETURN(upload.begun, Time(Text(node, "Initiated")));
    open.uploads.push_back(std::move(upload));
  }
  if (Truncated(root)) {
    open.next_key = Text(root, "NextKeyMarker");
    open.next_upload_id = Text(root, "NextUploadIdMarker");
    if (open.next_key.empty()) return NoAnswer("it is truncated and does not say how to go on");
  }
  return open;
}

absl::StatusOr<std::string> ParseS3UploadId(std::string_view body) {
  pugi::xml_document document;
  MUSTER_RETURN_IF_ERROR(Parse(body, "InitiateMultipartUploadResult", document));
  std::string id = Text(document.document_element(), "UploadId");
  if (id.empty()) return NoAnswer("it has no UploadId");
  return id;
}

absl::StatusOr<std::string> ParseS3ResultEtag(std::string_view body) {
  pugi::xml_document document;
  if (Parse(body, "Error", document).ok()) return absl::NotFoundError("it is an error");
  for (const char* root : {"CopyObjectResult", "CopyPartResult", "CompleteMultipartUploadResult"}) {
    if (!Parse(body, root, document).ok()) continue;
    std::string etag = Text(document.document_element(), "ETag");
    if (etag.empty()) return NoAnswer("it has no ETag");
    return etag;
  }
  return NoAnswer("it is no result of a copy");
}

std::string WriteS3Parts(const std::vector<std::string>& etags) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("CompleteMultipartUpload");
  for (size_t i = 0; i < etags.size(); ++i) {
    pugi::xml_node part = root.append_child("Part");
    part.append_child("PartNumber").text().set(static_cast<unsigned long long>(i + 1));
    part.append_child("ETag").text().set(etags[i].c_str());
  }
  std::ostringstream out;
  document.save(out, "", pugi::format_raw);
  return out.str();
}

}  // namespace muster
