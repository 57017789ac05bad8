#include "client/agent/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace muster {
namespace {

using testing::HasSubstr;

std::optional<std::string> NoEnvironment(const std::string&) { return std::nullopt; }

absl::StatusOr<ClientConfig> Parse(std::string_view text, const Overrides& flags = {}) {
  return ParseConfig(text, "client.yaml", "/etc/muster", NoEnvironment, flags);
}

TEST(ClientConfig, ReadsEverySection) {
  auto config = Parse(R"(
coordinator: fleet.example:7443
state_dir: state
cache_bytes: 64MiB
downloads: {direct: false, ca_file: store-ca.pem, plain_http: true}
data:
  format: idx
  images: images.gz
  labels: /data/labels.gz
  partition: {kind: dirichlet, alpha: 0.3, parts: 10, index: 3}
  held_out_fraction: 0.25
  max_examples: 2000
  seed: 42
eligibility: {require_idle: true, command: [/usr/bin/test, -e, "/tmp/a b"]}
worker: {binary: /opt/muster-worker, idle_timeout_ms: 5000, memory_bytes: 1GiB}
serving: {listen: "0.0.0.0:8000", min_instances: 1, max_instances: 3}
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->state_dir, "/etc/muster/state");
  EXPECT_EQ(config->cache_bytes, 64u << 20);
  EXPECT_FALSE(config->downloads.direct);
  EXPECT_EQ(config->downloads.ca_file, "/etc/muster/store-ca.pem");
  EXPECT_TRUE(config->downloads.plain_http);
  EXPECT_EQ(config->data.images, "/etc/muster/images.gz");
  EXPECT_EQ(config->data.labels, "/data/labels.gz");
  EXPECT_THAT(config->eligibility.command, testing::ElementsAre("/usr/bin/test", "-e", "/tmp/a b"));
  EXPECT_EQ(config->serving.port, 8000);
  const worker::v1::DataSource source = ToDataSource(config->data);
  EXPECT_EQ(source.idx().labels(), "/data/labels.gz");
  EXPECT_EQ(source.partition().dirichlet().alpha(), 0.3);
  EXPECT_EQ(source.partition().index(), 3u);
  EXPECT_EQ(source.held_out_fraction(), 0.25);
  EXPECT_EQ(source.seed(), 42u);
}

TEST(ClientConfig, FlagsWinOverEnvironmentWhichWinsOverTheFile) {
  auto environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "MUSTER_DATA_SEED") return "2";
    if (name == "MUSTER_CACHE_BYTES") return "2MiB";
    return std::nullopt;
  };
  auto config = ParseConfig("state_dir: /s\ncache_bytes: 1MiB\ndata: {seed: 1}\n", "f", "/",
                            environment, {{"data.seed", "3"}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->data.seed, 3u);
  EXPECT_EQ(config->cache_bytes, 2u << 20);
}

struct Bad {
  const char* text;
  const char* message;
};
class BadConfig : public testing::TestWithParam<Bad> {};

TEST_P(BadConfig, IsRefusedWithPlaceAndRemedy) {
  auto config = Parse(GetParam().text);
  ASSERT_TRUE(absl::IsInvalidArgument(config.status())) << config.status();
  EXPECT_THAT(std::string(config.status().message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadConfig,
    testing::Values(
        Bad{"state_dir: /s\nkoordinator: a:1\n",
            "client.yaml:2: unknown key 'koordinator' in the file (did you mean 'coordinator'?)"},
        Bad{"state_dir: /s\ndata:\n  formt: idx\n",
            "client.yaml:3: unknown key 'formt' in 'data' (did you mean 'format'?)"},
        Bad{"state_dir: /s\ndata:\n  format: idy\n", "client.yaml:3: data.format: expected one of"},
        Bad{"state_dir: /s\ndata: 3\n", "client.yaml:2: 'data' must be a map"},
        Bad{"state_dir: /s\nstate_dir: /t\n", "stands here twice"},
        Bad{"state_dir: [a]\n", "'state_dir' must be one plain value"},
        Bad{"state_dir: /s\n\ncache_bytes: lots\n",
            "client.yaml:3: cache_bytes: expected at least"},
        Bad{"state_dir: /s\ncache_bytes: 1\n", "expected at least"},
        Bad{"state_dir: /s\ncoordinator: fleet\n", "expected HOST:PORT"},
        Bad{"state_dir: /s\ncoordinator: fleet:0\n", "with a port from 1"},
        Bad{"state_dir: /s\neligibility: {require_idle: maybe}\n", "expected true or false"},
        Bad{"state_dir: /s\neligibility: {command: 'a | b'}\n", "no shell runs the command"},
        Bad{"state_dir: /s\neligibility: {command: []}\n", "the list is empty"},
        Bad{"state_dir: /s\ndata: {held_out_fraction: 1.5}\n", "a number from 0 to 1"},
        Bad{"state_dir: /s\ndata: {held_out_fraction: nan}\n", "a number from 0 to 1"},
        Bad{"state_dir: /s\ndata: {format: idx, images: a}\n", "needs data.labels"},
        Bad{"state_dir: /s\ndata: {format: csv, path: a}\n", "needs data.label_column"},
        Bad{"state_dir: /s\ndata: {format: tensors}\n", "needs data.directory"},
        Bad{"state_dir: /s\ndata: {images: a}\n", "data.format is not set"},
        Bad{"state_dir: /s\ndata: {format: tensors, directory: d, partition: {kind: iid, parts: 3, "
            "index: 3}}\n",
            "there are only 3 parts"},
        Bad{"state_dir: /s\ndata: {format: tensors, directory: d, partition: {parts: 3}}\n",
            "without data.partition.kind"},
        Bad{"state_dir: /s\nserving: {min_instances: 3, max_instances: 2}\n", "lower the one"},
        Bad{"state_dir: /s\nworker: {idle_timeout_ms: 0}\n", "a whole number from 1"},
        Bad{"coordinator: a:1\n", "no state_dir"}, Bad{"state_dir: {\n", "not valid YAML"}));

TEST(ClientConfig, NamesTheFlagOrVariableThatIsWrong) {
  auto flag = Parse("state_dir: /s\n", {{"data.sed", "1"}});
  EXPECT_THAT(std::string(flag.status().message()), HasSubstr("did you mean 'data.seed'?"));
  auto variable = ParseConfig("state_dir: /s\n", "f", "/",
                              [](const std::string& name) -> std::optional<std::string> {
                                if (name == "MUSTER_DATA_SEED") return "x";
                                return std::nullopt;
                              },
                              {});
  EXPECT_THAT(std::string(variable.status().message()), HasSubstr("MUSTER_DATA_SEED: data.seed"));
}

TEST(ClientConfig, SaysWhichFileIsMissing) {
  auto config = LoadConfig("/nonexistent/client.yaml", NoEnvironment, {});
  EXPECT_TRUE(absl::IsNotFound(config.status())) << config.status();
  EXPECT_THAT(std::string(config.status().message()), HasSubstr("/nonexistent/client.yaml"));
}

}  // namespace
}  // namespace muster
