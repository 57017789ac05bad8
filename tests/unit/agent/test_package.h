// A small signed function package on a FleetServer.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "models/package/manifest.h"
#include "models/package/package.h"
#include "tests/unit/agent/fleet_server.h"

namespace muster {

struct PackageOptions {
  uint32_t version = 1;
  uint64_t security_version = 1;
  ParameterGroup bias_group = ParameterGroup::kShared;
  std::string name = "m";
};

inline Manifest MakeManifest(const PackageOptions& options) {
  Manifest manifest;
  manifest.name = ModelName::Trusted(options.name);
  manifest.version = options.version;
  manifest.security_version = options.security_version;
  manifest.architecture = {"tiny", {2}, 2, {LinearLayer{2, 2, "0.weight", "0.bias"}}};
  manifest.layout =
      *ParameterLayout::Create({{"0.weight", {2, 2}, 0, ParameterGroup::kShared, true},
                                {"0.bias", {2}, 4, options.bias_group, true}});
  manifest.total_rounds = 3;
  manifest.lineage.aggregation = "clear";
  manifest.lineage.created = {1'700'000'000'000'000};
  return manifest;
}

// Returns the package's digest.
inline Digest AddPackage(FleetServer& server, const PackageSigner& signer,
                         const PackageOptions& options = {}) {
  auto json = ManifestToJson(MakeManifest(options));
  EXPECT_TRUE(json.ok()) << json.status();
  const std::string weights(6 * sizeof(float), static_cast<char>(options.version));
  const Package package{options.name,
                        {{kManifestResource, server.AddBlob(*json), json->size()},
                         {kWeightsResource, server.AddBlob(weights), weights.size()}}};
  auto bytes = signer.Sign(package);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return server.AddBlob(*bytes);
}

}  // namespace muster
