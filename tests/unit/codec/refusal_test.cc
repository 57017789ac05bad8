// Bad fields from devices, joining machines, uploads and operators, and the message that each gets.
#include <cmath>
#include <limits>

#include "proto/codec/blob_codec.h"
#include "proto/codec/device_codec.h"
#include "proto/codec/enrol_codec.h"
#include "proto/codec/job_codec.h"
#include "proto/codec/operator_codec.h"
#include "proto/core/limits.h"
#include "tests/unit/codec/random_values.h"
#include "tests/unit/codec/refusals.h"

namespace muster {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing_codec::ExpectRefusals;
using testing_codec::RandomValues;

template <typename Map>
void FillMetrics(Map* metrics, int count) {
  metrics->clear();
  for (int i = 0; i < count; ++i) (*metrics)["m" + std::to_string(i)] = i;
}

TEST(DecodeCheckIn, RefusesBadFields) {
  using C = v1::CheckInRequest;
  ExpectRefusals<C>(
      EncodeCheckIn(RandomValues(1).AnyCheckIn()), DecodeCheckIn,
      {
          {[](C& c) { c.set_wait_ms(90'000); },
           "device.CheckInRequest.wait_ms: 90000 is above the limit of 25000 ms"},
          {[](C& c) { c.clear_eligibility(); }, "device.CheckInRequest.eligibility: is missing"},
          {[](C& c) { c.mutable_eligibility()->set_train_examples(UINT64_MAX); },
           "device.CheckInRequest.eligibility.train_examples: 18446744073709551615 is above the "
           "limit of 1099511627776"},
          {[](C& c) { c.set_known_generation(UINT64_MAX); },
           "device.CheckInRequest.known_generation: 18446744073709551615 is above the limit of "
           "9223372036854775807"},
          {[](C& c) { c.set_agent_version(std::string(65, 'v')); },
           "device.CheckInRequest.agent_version: 65 bytes are above the limit of 64"},
          {[](C& c) { c.set_agent_version("1.0\x1b[2J"); },
           "device.CheckInRequest.agent_version: holds a character that is not printable ASCII"},
      });
}

TEST(DecodeUpdateOffer, RefusesBadFields) {
  using U = v1::SubmitUpdateRequest;
  ExpectRefusals<U>(
      EncodeUpdateOffer(RandomValues(1).AnyUpdateOffer()), DecodeUpdateOffer,
      {
          {[](U& u) { u.set_update(""); },
           "device.SubmitUpdateRequest.update: a SHA-256 digest has 32 bytes, not 0"},
          {[](U& u) { u.set_examples(0); },
           "device.SubmitUpdateRequest.examples: 0 is below the minimum of 1 examples"},
          {[](U& u) { u.set_examples((1u << 24) + 1); },
           "device.SubmitUpdateRequest.examples: 16777217 is above the limit of 16777216 examples"},
          {[](U& u) { FillMetrics(u.mutable_metrics(), 65); },
           "device.SubmitUpdateRequest.metrics: 65 entries are above the limit of 64"},
          {[](U& u) { (*u.mutable_metrics())["loss"] = std::numeric_limits<double>::infinity(); },
           "device.SubmitUpdateRequest.metrics: loss is inf; metrics are finite"},
          {[](U& u) { u.mutable_metering()->set_wall_us(UINT64_MAX); },
           "device.SubmitUpdateRequest.metering.wall_us: 18446744073709551615 is above the limit "
           "of 31536000000000 us"},
          {[](U& u) { u.mutable_metering()->set_bytes_up(UINT64_MAX); },
           "device.SubmitUpdateRequest.metering.bytes_up: 18446744073709551615 is above the limit "
           "of 1125899906842624 bytes"},
      });
  v1::SubmitUpdateRequest wire = EncodeUpdateOffer(RandomValues(1).AnyUpdateOffer());
  wire.set_invocation("../../etc/passwd");
  EXPECT_THAT(std::string(DecodeUpdateOffer(wire).status().message()),
              HasSubstr("device.SubmitUpdateRequest.invocation: invocation id "));
}

TEST(DecodeResultOffer, RefusesBadFields) {
  using R = v1::SubmitResultRequest;
  ExpectRefusals<R>(
      EncodeResultOffer(RandomValues(1).AnyResultOffer()), DecodeResultOffer,
      {
          {[](R& r) { r.set_failure(std::string(4097, 'x')); },
           "device.SubmitResultRequest.failure: 4097 bytes are above the limit of 4096"},
          {[](R& r) { r.set_failure("\x1b[31m"); },
           "device.SubmitResultRequest.failure: holds a control character"},
          {[](R& r) { (*r.mutable_metrics())["loss"] = NAN; },
           "device.SubmitResultRequest.metrics: loss is nan; metrics are finite"},
      });
}

TEST(EncodeResultOffer, MakesAnHonestFailureFitInsteadOfLosingIt) {
  ResultOffer offer = RandomValues(1).AnyResultOffer();
  // 4095 bytes, then a character of three: it would be cut in two.
  offer.failure = "\x1b" + std::string(4094, 'x') + "\xe2\x82\xac and so on";
  const ResultOffer decoded = DecodeResultOffer(EncodeResultOffer(offer)).value();
  EXPECT_EQ(decoded.failure, "?" + std::string(4094, 'x'));

  offer.failure = "a\xff\xe2\x82\xac\xc0\x80\xed\xa0\x80\tz\xe2\x82";
  EXPECT_EQ(EncodeResultOffer(offer).failure(), "a?\xe2\x82\xac?????\tz??");
}

TEST(DecodeStateReport, RefusesBadFields) {
  using S = v1::ReportStateRequest;
  StateReport report = RandomValues(3).AnyStateReport();
  report.models = {RandomValues(4).AnyModelStatus()};
  report.models[0].name = ModelName::Trusted("lenet");
  ExpectRefusals<S>(
      EncodeStateReport(report), DecodeStateReport,
      {
          {[](S& s) { s.set_generation(UINT64_MAX); },
           "device.ReportStateRequest.generation: 18446744073709551615 is above the limit of "
           "9223372036854775807"},
          {[](S& s) { *s.add_models() = s.models(0); },
           "device.ReportStateRequest.models[1].name: 'lenet' comes twice"},
          {[](S& s) {
             for (int i = 0; i < 32; ++i) s.add_models();
           },
           "device.ReportStateRequest.models: 33 entries are above the limit of 32"},
          {[](S& s) { s.mutable_models(0)->clear_phase(); },
           "device.ReportStateRequest.models[0].phase: is not set"},
          {[](S& s) { s.mutable_models(0)->set_version(0); },
           "device.ReportStateRequest.models[0].version: 0 is below the minimum of 1"},
          {[](S& s) { s.mutable_models(0)->set_reason(std::string("\0", 1)); },
           "device.ReportStateRequest.models[0].reason: holds a control character"},
          {[](S& s) { s.mutable_metering()->set_cpu_us(1ull << 60); },
           "device.ReportStateRequest.metering.cpu_us: 1152921504606846976 is above the limit of "
           "31536000000000 us"},
      });
  v1::ReportStateRequest wire = EncodeStateReport(report);
  wire.clear_report_id();
  EXPECT_THAT(std::string(DecodeStateReport(wire).status().message()),
              HasSubstr("device.ReportStateRequest.report_id: report id is empty"));
}

TEST(DecodeCheckInAnswer, RefusesWhatADeviceMustNotRun) {
  using A = v1::CheckInResponse;
  CheckInAnswer answer;
  answer.invocations = {{.id = InvocationId::Trusted("i1"),
                         .function = FunctionKind::kTrain,
                         .package = Sha256("p"),
                         .job = JobId::Trusted("j1"),
                         .round = 1,
                         .attempt = 1}};
  answer.desired = DesiredState{
      1, {{.name = ModelName::Trusted("lenet"), .version = 1, .package = Sha256("p")}}};
  ExpectRefusals<A>(
      EncodeCheckInAnswer(answer), DecodeCheckInAnswer,
      {
          {[](A& a) { a.mutable_invocations(0)->clear_function(); },
           "device.CheckInResponse.invocations[0].function: is not set"},
          {[](A& a) { a.mutable_invocations(0)->clear_package(); },
           "device.CheckInResponse.invocations[0].package: a SHA-256 digest has 32 bytes, not 0"},
          {[](A& a) { a.mutable_invocations(0)->set_round(0); },
           "device.CheckInResponse.invocations[0].round: 0 is below the minimum of 1"},
          {[](A& a) { a.mutable_invocations(0)->set_attempt(11); },
           "device.CheckInResponse.invocations[0].attempt: 11 is above the limit of 10"},
          {[](A& a) { a.mutable_invocations(0)->set_deadline_unix_us(-5); },
           "device.CheckInResponse.invocations[0].deadline_unix_us: -5 us lies outside the years "
           "1970 to 9999"},
          {[](A& a) { a.mutable_invocations(0)->set_traceparent("00-abc"); },
           "device.CheckInResponse.invocations[0].traceparent: is no W3C traceparent of version "
           "00"},
          {[](A& a) {
             for (int i = 0; i < 64; ++i) a.add_invocations();
           },
           "device.CheckInResponse.invocations: 65 entries are above the limit of 64"},
          {[](A& a) { a.set_next_check_in_ms(UINT32_MAX); },
           "device.CheckInResponse.next_check_in_ms: 4294967295 is above the limit of 604800000 "
           "ms"},
          {[](A& a) { *a.mutable_desired()->add_models() = a.desired().models(0); },
           "device.CheckInResponse.desired.models[1].name: 'lenet' comes twice"},
          {[](A& a) { a.mutable_desired()->mutable_models(0)->clear_package(); },
           "device.CheckInResponse.desired.models[0].package: a SHA-256 digest has 32 bytes, not "
           "0"},
      });
}

TEST(DecodeUpdateAnswer, RefusesAnAnswerWithoutAVerdict) {
  EXPECT_EQ(std::string(DecodeUpdateAnswer({}).status().message()),
            "device.SubmitUpdateResponse.verdict: is not set");
  EXPECT_EQ(std::string(DecodeResultAnswer({}).status().message()),
            "device.SubmitResultResponse.verdict: is not set");
}

TEST(DecodeEnrolment, RefusesBadFieldsAndNeverRepeatsTheToken) {
  using E = v1::EnrolRequest;
  const v1::EnrolRequest valid = EncodeEnrolment(RandomValues(1).AnyEnrolment());
  ExpectRefusals<E>(
      valid, DecodeEnrolment,
      {
          {[](E& e) { e.clear_token(); }, "enrolment.EnrolRequest.token: is not set"},
          {[](E& e) { e.set_token(std::string(257, 't')); },
           "enrolment.EnrolRequest.token: 257 bytes are above the limit of 256"},
          {[](E& e) { e.clear_csr_der(); }, "enrolment.EnrolRequest.csr_der: is not set"},
          {[](E& e) { e.set_csr_der("-----BEGIN CERTIFICATE REQUEST-----"); },
           "enrolment.EnrolRequest.csr_der: is no DER; send a PKCS#10 request in DER"},
          {[](E& e) { e.set_csr_der(std::string(8193, 0x30)); },
           "enrolment.EnrolRequest.csr_der: 8193 bytes are above the limit of 8192"},
          {[](E& e) { (*e.mutable_labels())["site"] = std::string(65, 'a'); },
           "enrolment.EnrolRequest.labels: label 'site' has a key or value above the limit of 64 "
           "characters"},
      });
  v1::EnrolRequest wire = valid;
  wire.set_token("mjt secret");
  EXPECT_THAT(std::string(DecodeEnrolment(wire).status().message()), Not(HasSubstr("secret")));
  wire = valid;
  wire.set_requested_name("Not An Id");
  EXPECT_THAT(std::string(DecodeEnrolment(wire).status().message()),
              HasSubstr("enrolment.EnrolRequest.requested_name: device id"));
  wire = valid;
  (*wire.mutable_labels())["BAD KEY"] = "a";
  EXPECT_THAT(std::string(DecodeEnrolment(wire).status().message()),
              HasSubstr("enrolment.EnrolRequest.labels: "));
}

TEST(DecodeEnrolmentGrant, RefusesWhatIsNoPem) {
  using G = v1::EnrolResponse;
  ExpectRefusals<G>(
      EncodeEnrolmentGrant(RandomValues(1).AnyEnrolmentGrant()), DecodeEnrolmentGrant,
      {
          {[](G& g) { g.clear_certificate_pem(); },
           "enrolment.EnrolResponse.certificate_pem: is no PEM"},
          {[](G& g) { g.set_ca_pem("hello"); }, "enrolment.EnrolResponse.ca_pem: is no PEM"},
          {[](G& g) { g.set_package_key_pem(std::string(65'537, 'x')); },
           "enrolment.EnrolResponse.package_key_pem: 65537 bytes are above the limit of 65536"},
      });
}

TEST(DecodeUploadStart, RefusesBadFields) {
  using U = v1::UploadChunk;
  const std::string data = "0123456789";
  ExpectRefusals<U>(
      EncodeUploadStart({Sha256(data), 10, {0, data}}), DecodeUploadStart,
      {
          {[](U& u) { u.clear_digest(); },
           "blob.UploadChunk.digest: a SHA-256 digest has 32 bytes, not 0"},
          {[](U& u) { u.set_total_size(0); },
           "blob.UploadChunk.total_size: 0 is below the minimum of 1 bytes"},
          {[](U& u) { u.set_total_size(UINT64_MAX); },
           "blob.UploadChunk.total_size: 18446744073709551615 is above the limit of 8589934592 "
           "bytes"},
          {[](U& u) { u.set_offset(UINT64_MAX); },
           "blob.UploadChunk.offset: 18446744073709551615 is above the limit of 10 bytes"},
          {[](U& u) { u.set_offset(1); },
           "blob.UploadChunk.data: ends at byte 11, after the blob's end at 10"},
          {[](U& u) { u.set_data(std::string(limits::kChunkBytes + 1, 'x')); },
           "blob.UploadChunk.data: 1048577 bytes are above the limit of 1048576; send smaller "
           "chunks"},
      });
}

TEST(DecodeUploadChunk, RefusesASecondBlobInOneUpload) {
  using U = v1::UploadChunk;
  const auto decode = [](const U& wire) { return DecodeUploadChunk(wire, 10); };
  ExpectRefusals<U>(EncodeUploadChunk({5, "56789"}), decode,
                    {
                        {[](U& u) { u.set_digest(std::string(32, 'd')); },
                         "blob.UploadChunk.digest: belongs into the first message only; one "
                         "upload is one blob"},
                        {[](U& u) { u.set_total_size(10); },
                         "blob.UploadChunk.total_size: belongs into the first message only"},
                        {[](U& u) { u.clear_data(); }, "blob.UploadChunk.data: is empty"},
                        {[](U& u) { u.set_offset(6); },
                         "blob.UploadChunk.data: ends at byte 11, after the blob's end at 10"},
                    });
}

TEST(DecodeDownloadChunk, RefusesDataBeyondTheBlobsEnd) {
  v1::DownloadChunk wire = EncodeDownloadChunk({10, {8, "xyz"}});
  EXPECT_EQ(std::string(DecodeDownloadChunk(wire).status().message()),
            "blob.DownloadChunk.data: ends at byte 11, after the blob's end at 10");
}

TEST(DecodeDownloadChunk, RefusesWhatIsNoUrl) {
  using C = v1::DownloadChunk;
  ExpectRefusals<C>(EncodeDownloadChunk({10, {0, {}}, "https://h/b/k"}), DecodeDownloadChunk,
                    {
                        {[](C& c) { c.set_url("file:///etc/passwd"); },
                         "blob.DownloadChunk.url: is neither http nor https"},
                        {[](C& c) { c.set_url("http://h/a b"); },
                         "blob.DownloadChunk.url: has characters that no URL has"},
                        {[](C& c) { c.set_url("http://h/\r\nX: y"); },
                         "blob.DownloadChunk.url: has characters that no URL has"},
                        {[](C& c) { c.set_url("https://h/" + std::string(kMaxUrlLength, 'x')); },
                         "blob.DownloadChunk.url: has 4106 characters; at most 4096 are allowed"},
                        {[](C& c) { c.set_data("x"); },
                         "blob.DownloadChunk.data: comes with a URL; it is one or the other"},
                    });
}

TEST(DecodeCreateToken, BoundsUsesAndLifetime) {
  using T = v1::CreateTokenRequest;
  v1::CreateTokenRequest valid;
  valid.set_uses(10);
  valid.set_ttl_us(3'600'000'000);
  ExpectRefusals<T>(
      valid, DecodeCreateToken,
      {
          {[](T& t) { t.set_uses(0); },
           "operator.CreateTokenRequest.uses: 0 is below the minimum of 1 uses"},
          {[](T& t) { t.set_uses(1'000'001); },
           "operator.CreateTokenRequest.uses: 1000001 is above the limit of 1000000 uses"},
          {[](T& t) { t.set_ttl_us(0); },
           "operator.CreateTokenRequest.ttl_us: 0 is below the minimum of 1000000 us"},
          {[](T& t) { t.set_ttl_us(INT64_MAX); },
           "operator.CreateTokenRequest.ttl_us: 9223372036854775807 is above the limit of "
           "7776000000000 us"},
      });
  const TokenOrder order = DecodeCreateToken(valid).value();
  EXPECT_EQ(order.uses, 10u);
  EXPECT_EQ(order.ttl, std::chrono::hours(1));
}

TEST(DecodeListings, BoundPagesAndFillInTheDefault) {
  using L = v1::ListJobsRequest;
  ExpectRefusals<L>(
      {}, DecodeListJobs,
      {
          {[](L& l) { l.set_page_size(1001); },
           "operator.ListJobsRequest.page_size: 1001 is above the limit of 1000 rows"},
          {[](L& l) { l.set_page_token(std::string(257, 'a')); },
           "operator.ListJobsRequest.page_token: 257 bytes are above the limit of 256"},
          {[](L& l) { l.set_page_token("a b"); },
           "operator.ListJobsRequest.page_token: holds a character that is not printable ASCII"},
      });
  EXPECT_EQ(DecodeListJobs({})->size, limits::kDefaultPageSize);

  v1::ListDevicesRequest devices;
  devices.set_selector("site==");
  EXPECT_THAT(std::string(DecodeListDevices(devices).status().message()),
              HasSubstr("operator.ListDevicesRequest.selector: "));
  devices.set_selector("site=a,role!=evaluator");
  devices.set_page_size(7);
  const DeviceListing listing = DecodeListDevices(devices).value();
  EXPECT_EQ(listing.page.size, 7u);
  EXPECT_TRUE(listing.selector.Matches({{"site", "a"}}));

  v1::ListModelsRequest models;
  models.set_name("Not/An/Id");
  EXPECT_THAT(std::string(DecodeListModels(models).status().message()),
              HasSubstr("operator.ListModelsRequest.name: model name"));
}

TEST(DecodePromotions, NameExactlyOneThing) {
  EXPECT_EQ(std::string(DecodeGetPromotion({}).status().message()),
            "operator.GetPromotionRequest: names no promotion; set id or name");
  v1::RollBackRequest both;
  both.set_id("p1");
  both.set_name("lenet");
  EXPECT_EQ(std::string(DecodeRollBack(both).status().message()),
            "operator.RollBackRequest: has both id and name; set one of them");
  both.clear_id();
  EXPECT_EQ(DecodeRollBack(both)->name.value(), "lenet");

  v1::PromoteRequest promote;
  promote.set_name("lenet");
  EXPECT_EQ(std::string(DecodePromote(promote).status().message()),
            "operator.PromoteRequest.version: 0 is below the minimum of 1");
  promote.set_version(3);
  promote.set_no_personalize(true);
  EXPECT_FALSE(DecodePromote(promote)->personalize);
}

TEST(DecodeIds, RefuseWhatIsNoIdInEveryRequest) {
  v1::GetJobRequest job;
  job.set_job("A B");
  EXPECT_THAT(std::string(DecodeGetJob(job).status().message()),
              HasSubstr("operator.GetJobRequest.job: job id"));
  EXPECT_FALSE(DecodeCancelJob({}).ok());
  EXPECT_FALSE(DecodeGetModel({}).ok());
  EXPECT_FALSE(DecodeRevokeToken({}).ok());
  EXPECT_FALSE(DecodeGetDevice({}).ok());
  EXPECT_FALSE(DecodeRevokeDevice({}).ok());
  v1::GetUsageRequest usage;
  EXPECT_TRUE(DecodeGetUsage(usage).ok()) << "no job and no device: all of them";
  usage.set_job("serving");
  EXPECT_EQ(DecodeGetUsage(usage)->job, "serving");
  usage.set_device("Über");
  EXPECT_THAT(std::string(DecodeGetUsage(usage).status().message()),
              HasSubstr("operator.GetUsageRequest.device: device id"));
}

TEST(DecodeSubmitJob, GivesTheWholePathOfABadField) {
  v1::SubmitJobRequest request;
  EXPECT_EQ(std::string(DecodeSubmitJob(request).status().message()),
            "operator.SubmitJobRequest.spec: is missing");
  *request.mutable_spec() = EncodeJobSpec(RandomValues(5).AnyJobSpec());
  ASSERT_TRUE(DecodeSubmitJob(request).ok());
  request.mutable_spec()->mutable_train()->set_batch_size(0);
  EXPECT_EQ(std::string(DecodeSubmitJob(request).status().message()),
            "operator.SubmitJobRequest.spec.train.batch_size: 0 is below the minimum of 1 "
            "examples");
}

}  // namespace
}  // namespace muster
