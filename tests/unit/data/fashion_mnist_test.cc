// The readers and the deal on the data set that the quickstart uses (Debian:
// dataset-fashion-mnist).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "models/data/source.h"
#include "muster/worker/v1/worker.pb.h"

namespace muster {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr char kFolder[] = "/usr/share/datasets/fashion-mnist";

class FashionMnist : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(std::filesystem::is_directory(kFolder))
        << kFolder << " is missing: run `scripts/dev setup`, which installs dataset-fashion-mnist";
    Use("train");
  }

  void Use(const std::string& part) {
    config_.mutable_idx()->set_images(std::string(kFolder) + "/" + part + "-images-idx3-ubyte.gz");
    config_.mutable_idx()->set_labels(std::string(kFolder) + "/" + part + "-labels-idx1-ubyte.gz");
  }

  worker::v1::DataSource config_;
};

TEST_F(FashionMnist, TestSetHasTenThousandImagesOfTenBalancedClasses) {
  Use("t10k");
  config_.set_held_out_fraction(1.0);
  auto data = OpenDeviceData(config_);
  ASSERT_TRUE(data.ok()) << data.status();
  const Dataset& test = data->held_out;
  EXPECT_THAT(test.example_shape, ElementsAre(1, 28, 28));
  EXPECT_EQ(test.features.size(), 10'000u * 784u);
  const auto counts = CountLabels(test);
  EXPECT_THAT(counts, SizeIs(10));
  EXPECT_THAT(counts, Each(1000));
  double sum = 0;
  for (float pixel : test.features) {
    ASSERT_GE(pixel, 0.0f);
    ASSERT_LE(pixel, 1.0f);
    sum += pixel;
  }
  EXPECT_NEAR(sum / static_cast<double>(test.features.size()), 0.2868, 0.001);
}

TEST_F(FashionMnist, DirichletGivesTenDevicesFullButSkewedParts) {
  config_.mutable_partition()->mutable_dirichlet()->set_alpha(0.3);
  config_.mutable_partition()->set_parts(10);
  config_.set_max_examples(2500);
  config_.set_held_out_fraction(0.2);
  config_.set_seed(1);
  double largest_shares = 0;
  for (uint32_t index = 0; index < 10; ++index) {
    config_.mutable_partition()->set_index(index);
    auto count = CountTrainExamples(config_);
    ASSERT_TRUE(count.ok()) << count.status();
    EXPECT_EQ(*count, 2000u);
    if (index != 0 && index != 9) continue;  // two are enough to read the images of
    auto data = OpenDeviceData(config_);
    ASSERT_TRUE(data.ok()) << data.status();
    EXPECT_EQ(data->train.size(), 2000u);
    EXPECT_EQ(data->held_out.size(), 500u);
    const auto counts = CountLabels(data->train);
    largest_shares += static_cast<double>(*std::max_element(counts.begin(), counts.end())) / 2000.0;
  }
  EXPECT_GT(largest_shares / 2, 0.2) << "an even deal would give each class a tenth";
}

}  // namespace
}  // namespace muster
