#include "models/data/source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "muster/worker/v1/worker.pb.h"
#include "tests/unit/data/temp_folder.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using worker::v1::DataSource;

// Row i holds the single feature i and the label i % 5.
constexpr uint64_t kRows = 100;

class SourceTest : public testing::Test {
 protected:
  SourceTest() {
    std::string text = "x,label\n";
    for (uint64_t i = 0; i < kRows; ++i) absl::StrAppend(&text, i, ",", i % 5, "\n");
    config_.mutable_csv()->set_path(folder_.Write("rows.csv", text).string());
    config_.mutable_csv()->set_label_column("label");
    config_.mutable_csv()->set_header(true);
    config_.set_seed(7);
  }

  DeviceData Open() const {
    auto data = OpenDeviceData(config_);
    EXPECT_TRUE(data.ok()) << data.status();
    return data.ok() ? *std::move(data) : DeviceData{};
  }

  TempFolder folder_;
  DataSource config_;
};

TEST_F(SourceTest, WithoutSettingsEveryRowIsForTraining) {
  const DeviceData data = Open();
  EXPECT_EQ(data.train.size(), kRows);
  EXPECT_THAT(data.train.example_shape, ElementsAre(1));
  EXPECT_EQ(data.train.example_size(), 1u);
  EXPECT_THAT(CountLabels(data.train), ElementsAre(20, 20, 20, 20, 20));
  EXPECT_THAT(CountLabels(data.held_out), IsEmpty());
  for (uint64_t i = 0; i < kRows; ++i) EXPECT_EQ(data.train.features[i], static_cast<float>(i));
}

TEST_F(SourceTest, FeaturesStayWithTheirLabelsThroughPartitionAndSplit) {
  config_.mutable_partition()->mutable_dirichlet()->set_alpha(0.5);
  config_.mutable_partition()->set_parts(4);
  config_.set_held_out_fraction(0.2);
  std::multiset<float> seen;
  for (uint32_t index = 0; index < 4; ++index) {
    config_.mutable_partition()->set_index(index);
    const DeviceData data = Open();
    EXPECT_EQ(data.train.size(), 20u);
    EXPECT_EQ(data.held_out.size(), 5u);
    for (const Dataset* side : {&data.train, &data.held_out}) {
      ASSERT_EQ(side->features.size(), side->labels.size());
      for (size_t i = 0; i < side->size(); ++i) {
        EXPECT_EQ(static_cast<int64_t>(side->features[i]) % 5, side->labels[i]);
        seen.insert(side->features[i]);
      }
    }
  }
  EXPECT_EQ(seen.size(), kRows);
  EXPECT_EQ(std::set<float>(seen.begin(), seen.end()).size(), kRows);
}

TEST_F(SourceTest, TheSameSeedGivesTheSameRowsAndAnotherSeedOthers) {
  config_.mutable_partition()->mutable_iid();
  config_.mutable_partition()->set_parts(3);
  config_.set_max_examples(20);
  config_.set_held_out_fraction(0.25);
  const DeviceData a = Open(), b = Open();
  EXPECT_EQ(a.train.features, b.train.features);
  EXPECT_EQ(a.held_out.features, b.held_out.features);
  config_.set_seed(8);
  EXPECT_NE(Open().train.features, a.train.features);
}

TEST_F(SourceTest, CapCountsBothSides) {
  config_.set_max_examples(20);
  config_.set_held_out_fraction(0.25);
  const DeviceData data = Open();
  EXPECT_EQ(data.train.size(), 15u);
  EXPECT_EQ(data.held_out.size(), 5u);
  EXPECT_GT(*std::max_element(data.train.features.begin(), data.train.features.end()), 50.0f)
      << "the cap takes rows from all over the file";
}

TEST_F(SourceTest, CountIsThatOfTheTrainingSide) {
  config_.mutable_partition()->mutable_label_shards()->set_shards_per_client(2);
  config_.mutable_partition()->set_parts(5);
  config_.set_held_out_fraction(0.5);
  auto count = CountTrainExamples(config_);
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(*count, 10u);
  EXPECT_EQ(*count, Open().train.size());
}

TEST_F(SourceTest, ADeviceThatOnlyEvaluatesHoldsEverythingOut) {
  config_.set_held_out_fraction(1.0);
  const DeviceData data = Open();
  EXPECT_EQ(data.train.size(), 0u);
  EXPECT_EQ(data.held_out.size(), kRows);
}

TEST_F(SourceTest, ImpossibleSettingsAreRefusedWithWhatToDo) {
  auto refusal = [](const DataSource& config) {
    auto status = OpenDeviceData(config).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(CountTrainExamples(config).status(), status);
    return std::string(status.message());
  };
  EXPECT_THAT(refusal(DataSource{}), HasSubstr("name idx, csv or tensors"));
  DataSource config = config_;
  config.set_held_out_fraction(1.5);
  EXPECT_THAT(refusal(config), HasSubstr("held_out_fraction is 1.5"));
  config.set_held_out_fraction(-0.1);
  EXPECT_THAT(refusal(config), HasSubstr("use 0 to 1"));

  config = config_;
  config.mutable_partition()->set_parts(4);
  EXPECT_THAT(refusal(config), HasSubstr("choose iid"));
  config.mutable_partition()->mutable_iid();
  config.mutable_partition()->set_index(4);
  EXPECT_THAT(refusal(config), HasSubstr("count parts from 0"));
  config.mutable_partition()->set_parts(kRows + 1);
  EXPECT_THAT(refusal(config), HasSubstr("cannot deal 100 examples to 101 parts"));
  config.mutable_partition()->set_parts(5);
  config.mutable_partition()->mutable_dirichlet()->set_alpha(0);
  EXPECT_THAT(refusal(config), HasSubstr("alpha 0"));
  config.mutable_partition()->mutable_label_shards()->set_shards_per_client(0);
  EXPECT_THAT(refusal(config), HasSubstr("use 1 to 20 shards"));
}

TEST_F(SourceTest, AMissingFileIsNotFound) {
  config_.mutable_csv()->set_path((folder_ / "gone.csv").string());
  EXPECT_EQ(OpenDeviceData(config_).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace muster
