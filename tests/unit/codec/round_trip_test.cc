// decode(encode(x)) == x, over many seeds.
#include <gtest/gtest.h>

#include "proto/codec/blob_codec.h"
#include "proto/codec/device_codec.h"
#include "proto/codec/enrol_codec.h"
#include "proto/codec/job_codec.h"
#include "proto/codec/model_codec.h"
#include "proto/core/limits.h"
#include "tests/unit/codec/random_values.h"

namespace muster {
namespace {

using testing_codec::RandomValues;

constexpr uint64_t kSeeds = 300;

template <typename Make, typename Encode, typename Decode>
void ExpectRoundTrip(Make make, Encode encode, Decode decode) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    RandomValues values(seed);
    const auto value = make(values);
    const auto again = decode(encode(value));
    ASSERT_TRUE(again.ok()) << again.status();
    ASSERT_TRUE(*again == value);
  }
}

TEST(RoundTrip, KeepsArchitecturesAndLayouts) {
  const auto architecture = [](RandomValues& values) {
    Architecture made;
    ParameterLayout layout;
    values.AnyModel(&made, &layout);
    return made;
  };
  const auto layout = [](RandomValues& values) {
    Architecture architecture;
    ParameterLayout made;
    values.AnyModel(&architecture, &made);
    return made;
  };
  ExpectRoundTrip(architecture, EncodeArchitecture, DecodeArchitecture);
  ExpectRoundTrip(layout, EncodeLayout, DecodeLayout);
}

TEST(RoundTrip, KeepsPlans) {
  ExpectRoundTrip([](RandomValues& v) { return v.AnyTrainPlan(); }, EncodeTrainPlan,
                  DecodeTrainPlan);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyEvaluatePlan(); }, EncodeEvaluatePlan,
                  DecodeEvaluatePlan);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyPersonalizePlan(); }, EncodePersonalizePlan,
                  DecodePersonalizePlan);
}

TEST(RoundTrip, KeepsManifestsOnTheWireAndInJson) {
  ExpectRoundTrip([](RandomValues& v) { return v.AnyManifest(); }, EncodeManifest, DecodeManifest);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyManifest().lineage; }, EncodeLineage,
                  DecodeLineage);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyManifest(); },
                  [](const Manifest& manifest) { return *ManifestToJson(manifest); },
                  [](const std::string& json) { return ManifestFromJson(json); });
}

TEST(RoundTrip, KeepsJobsOnTheWireAndInBytes) {
  ExpectRoundTrip([](RandomValues& v) { return v.AnyJobSpec(); }, EncodeJobSpec, DecodeJobSpec);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyJobSpec(); }, SerializeJobSpec, ParseJobSpec);
}

TEST(RoundTrip, KeepsWhatDevicesSay) {
  ExpectRoundTrip([](RandomValues& v) { return v.AnyCheckIn(); }, EncodeCheckIn, DecodeCheckIn);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyUpdateOffer(); }, EncodeUpdateOffer,
                  DecodeUpdateOffer);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyResultOffer(); }, EncodeResultOffer,
                  DecodeResultOffer);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyStateReport(); }, EncodeStateReport,
                  DecodeStateReport);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyModelStatus(); }, EncodeModelStatus,
                  DecodeModelStatus);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyMetering(); }, EncodeMetering, DecodeMetering);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyEligibility(); }, EncodeEligibility,
                  DecodeEligibility);
}

TEST(RoundTrip, KeepsWhatTheCoordinatorAnswers) {
  ExpectRoundTrip([](RandomValues& v) { return v.AnyCheckInAnswer(); }, EncodeCheckInAnswer,
                  DecodeCheckInAnswer);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyInvocation(); }, EncodeInvocation,
                  DecodeInvocation);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyDesiredState(); }, EncodeDesiredState,
                  DecodeDesiredState);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyOfferAnswer(); }, EncodeUpdateAnswer,
                  DecodeUpdateAnswer);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyOfferAnswer(); }, EncodeResultAnswer,
                  DecodeResultAnswer);
}

TEST(RoundTrip, KeepsEnrolment) {
  ExpectRoundTrip([](RandomValues& v) { return v.AnyEnrolment(); }, EncodeEnrolment,
                  DecodeEnrolment);
  ExpectRoundTrip([](RandomValues& v) { return v.AnyEnrolmentGrant(); }, EncodeEnrolmentGrant,
                  DecodeEnrolmentGrant);
  ExpectRoundTrip([](RandomValues& v) { return Renewal{v.AnyEnrolment().csr_der}; }, EncodeRenewal,
                  DecodeRenewal);
  ExpectRoundTrip(
      [](RandomValues& v) {
        const EnrolmentGrant grant = v.AnyEnrolmentGrant();
        return RenewalGrant{grant.certificate_pem, grant.ca_pem, grant.trust_generation};
      },
      EncodeRenewalGrant, DecodeRenewalGrant);
}

TEST(RoundTrip, KeepsBlobChunks) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    RandomValues values(seed);
    const std::string data = values.Bytes(5000) + "x";
    const uint64_t offset = values.Between(0, 1u << 20);
    const uint64_t total = offset + data.size() + values.Between(0, 1u << 20);

    const UploadStart start{values.AnyDigest(), total, {offset, data}};
    const v1::UploadChunk first = EncodeUploadStart(start);
    EXPECT_TRUE(DecodeUploadStart(first).value() == start);
    const v1::UploadChunk later = EncodeUploadChunk(start.chunk);
    EXPECT_TRUE(DecodeUploadChunk(later, total).value() == start.chunk);
    const DownloadedChunk down{total, {offset, data}};
    const v1::DownloadChunk sent = EncodeDownloadChunk(down);
    EXPECT_TRUE(DecodeDownloadChunk(sent).value() == down);
    const DownloadedChunk elsewhere{total, {offset, {}}, "https://store.example/b/k?a=b%2F"};
    const v1::DownloadChunk told = EncodeDownloadChunk(elsewhere);
    EXPECT_TRUE(DecodeDownloadChunk(told).value() == elsewhere);
    const BlobRange range{values.AnyDigest(), offset, offset % 2 == 0};
    EXPECT_TRUE(DecodeDownload(EncodeDownload(range)).value() == range);
    EXPECT_EQ(DecodeStatUpload(EncodeStatUpload(range.digest)).value(), range.digest);
    const UploadProgress progress{offset, values.Coin()};
    EXPECT_TRUE(DecodeUploadAnswer(EncodeUploadAnswer(progress)).value() == progress);
    EXPECT_TRUE(DecodeStatUploadAnswer(EncodeStatUploadAnswer(progress)).value() == progress);
  }
}

// The layer and plan kinds are enumerations: every name has its place on the wire.
TEST(RoundTrip, KeepsEveryLossIncludingTheModulesOwn) {
  for (LossKind loss : {LossKind::kCrossEntropy, LossKind::kNll, LossKind::kMse,
                        LossKind::kBceWithLogits, LossKind::kModule}) {
    EvaluatePlan plan;
    plan.loss = loss;
    EXPECT_EQ(DecodeEvaluatePlan(EncodeEvaluatePlan(plan)).value(), plan);
  }
}

TEST(ManifestJson, IsTheSameBytesForEqualManifestsWhateverTheOrderOfInsertion) {
  RandomValues values(7);
  Manifest one = values.AnyManifest();
  Manifest other = one;
  one.lineage.metrics.clear();
  other.lineage.metrics.clear();
  for (int i = 0; i < 60; ++i) one.lineage.metrics["metric" + std::to_string(i)] = i / 7.0;
  for (int i = 59; i >= 0; --i) other.lineage.metrics["metric" + std::to_string(i)] = i / 7.0;
  const std::string json = ManifestToJson(one).value();
  EXPECT_EQ(ManifestToJson(other).value(), json);
  // Also when the wire message's map was filled in another order.
  v1::Manifest wire = EncodeManifest(one);
  v1::Manifest copy;
  ASSERT_TRUE(copy.ParseFromString(wire.SerializeAsString()));
  EXPECT_EQ(ManifestToJson(DecodeManifest(copy).value()).value(), json);
  EXPECT_NE(json.find("\"security_version\":"), std::string::npos) << "the proto's field names";
  EXPECT_EQ(json.find('\n'), std::string::npos);
}

TEST(JobSpecBytes, AreEqualForEqualSpecs) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const JobSpec spec = RandomValues(seed).AnyJobSpec();
    const std::string bytes = SerializeJobSpec(spec);
    EXPECT_EQ(SerializeJobSpec(ParseJobSpec(bytes).value()), bytes);
  }
}

}  // namespace
}  // namespace muster
