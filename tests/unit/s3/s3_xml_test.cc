#include "coordinator/blobs/s3/s3_xml.h"

#include <gtest/gtest.h>

#include <string>

#include "coordinator/blobs/s3/s3_limits.h"

namespace muster {
namespace {

constexpr char kListing[] = R"(<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
<IsTruncated>true</IsTruncated><NextContinuationToken>a+b/c=</NextContinuationToken>
<Contents><Key>p/a&amp;b</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>
<ETag>&quot;e1&quot;</ETag><Size>12</Size></Contents>
<Contents><Key>p/c</Key><LastModified>2026-01-02T03:04:05Z</LastModified><Size>0</Size></Contents>
</ListBucketResult>)";

TEST(S3Xml, ReadsAListing) {
  const auto listing = ParseS3Listing(kListing);
  ASSERT_TRUE(listing.ok()) << listing.status();
  EXPECT_EQ(listing->next, "a+b/c=");
  ASSERT_EQ(listing->objects.size(), 2u);
  EXPECT_EQ(listing->objects[0].key, "p/a&b");
  EXPECT_EQ(listing->objects[0].etag, "\"e1\"");
  EXPECT_EQ(listing->objects[0].size, 12u);
  EXPECT_EQ(listing->objects[0].modified, Timestamp{1'767'323'045'000'000});
}

TEST(S3Xml, WhatIsNoListingIsDataLoss) {
  const std::string whole(kListing);
  for (const std::string& body :
       {std::string(), std::string("hello"), std::string("<html><body/></html>"),
        whole.substr(0, whole.size() / 2),
        std::string("<ListBucketResult><Contents><Key>k</Key></Contents></ListBucketResult>"),
        std::string("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"),
        std::string(limits::kS3MaxXmlBytes + 1, ' ')}) {
    EXPECT_TRUE(absl::IsDataLoss(ParseS3Listing(body).status()));
  }
}

// An entity that would grow without end is left as it stands.
TEST(S3Xml, EntitiesOfTheDocumentAreNotFollowed) {
  const auto error = ParseS3Error(
      "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>"
      "<Error><Code>&b;</Code><Message>m</Message></Error>");
  EXPECT_EQ(error.code, "&b;");
}

TEST(S3Xml, AnErrorIsPrintableAndBounded) {
  const auto error = ParseS3Error("<Error><Code>NoSuchKey</Code><Message>a\nb\x01" +
                                  std::string(100'000, 'x') + "</Message></Error>");
  EXPECT_EQ(error.code, "NoSuchKey");
  EXPECT_LT(error.message.size(), 1000u);
  EXPECT_EQ(error.message.find('\n'), std::string::npos);
  EXPECT_EQ(ParseS3Error("no XML at all").code, "");
}

TEST(S3Xml, AResultMayBeAnError) {
  EXPECT_EQ(*ParseS3ResultEtag("<CopyObjectResult><ETag>\"x\"</ETag></CopyObjectResult>"), "\"x\"");
  EXPECT_TRUE(
      absl::IsNotFound(ParseS3ResultEtag("<Error><Code>InternalError</Code></Error>").status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseS3ResultEtag("<CopyObjectResult/>").status()));
}

TEST(S3Xml, ReadsOpenUploads) {
  const auto open = ParseS3OpenUploads(
      "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>k</Key>"
      "<UploadId>u</UploadId><Initiated>2026-01-02T03:04:05Z</Initiated></Upload>"
      "</ListMultipartUploadsResult>");
  ASSERT_TRUE(open.ok()) << open.status();
  ASSERT_EQ(open->uploads.size(), 1u);
  EXPECT_EQ(open->uploads[0].upload_id, "u");
  EXPECT_EQ(open->next_key, "");
  EXPECT_EQ(*ParseS3UploadId("<InitiateMultipartUploadResult><UploadId>u</UploadId>"
                             "</InitiateMultipartUploadResult>"),
            "u");
}

TEST(S3Xml, PartsAreWrittenEscaped) {
  EXPECT_EQ(WriteS3Parts({"\"a\"", "<b>"}),
            "<?xml "
            "version=\"1.0\"?><CompleteMultipartUpload><Part><PartNumber>1</"
            "PartNumber><ETag>\"a\"</ETag></Part>"
            "<Part><PartNumber>2</PartNumber><ETag>&lt;b&gt;</ETag></Part>"
            "</CompleteMultipartUpload>");
}

}  // namespace
}  // namespace muster
