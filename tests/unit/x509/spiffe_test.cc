#include "proto/x509/spiffe.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(SpiffeId, ParsesWhatItPrints) {
  SpiffeId id{"muster.local", "default", "device", "pi-4_kitchen.7"};
  EXPECT_EQ(id.ToUri(), "spiffe://muster.local/tenant/default/device/pi-4_kitchen.7");
  auto parsed = SpiffeId::Parse(id.ToUri());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*parsed, id);
}

TEST(SpiffeId, RefusesEveryOtherShape) {
  for (const char* uri :
       {"", "spiffe://", "https://muster.local/tenant/default/device/a",
        "spiffe://muster.local/tenant/default/device", "spiffe:///tenant/default/device/a",
        "spiffe://muster.local/tenant/default/device/a/", "spiffe://muster.local/a/b/c/d",
        "spiffe://muster.local/tenant/default/device/a/b",
        "spiffe://MUSTER/tenant/default/device/a",
        "spiffe://muster.local/tenant/default/device/../a",
        "spiffe://muster.local/tenant/default/device/%41",
        "spiffe://user@muster.local/tenant/default/device/a",
        "spiffe://muster.local:1/tenant/default/device/a", "SPIFFE://a/tenant/b/device/c"}) {
    EXPECT_EQ(SpiffeId::Parse(uri).status().code(), absl::StatusCode::kInvalidArgument) << uri;
  }
  EXPECT_FALSE(SpiffeId::Parse("spiffe://a/tenant/b/device/" + std::string(3000, 'c')).ok());
}

}  // namespace
}  // namespace muster
