#include "coordinator/rpc/callers.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(AddressOfTest, LeavesThePortOut) {
  EXPECT_EQ(AddressOf("ipv4:192.0.2.1:5555"), "ipv4:192.0.2.1");
}

TEST(AddressOfTest, TakesOneSiteOfIpv6AsOneAddress) {
  EXPECT_EQ(AddressOf("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:5555"), "ipv6:2001:db8:1:2::/64");
  EXPECT_EQ(AddressOf("ipv6:[2001:db8:1:2::9]:1"), "ipv6:2001:db8:1:2::/64");
  EXPECT_EQ(AddressOf("ipv6:%5Bfe80::1%25eth0%5D:1"), "ipv6:fe80::/64");
}

TEST(AddressOfTest, KnowsAnIpv4CallerOfASocketForBoth) {
  EXPECT_EQ(AddressOf("ipv6:%5B::ffff:192.0.2.1%5D:5555"), "ipv4:192.0.2.1");
}

TEST(AddressOfTest, LeavesWhatItDoesNotKnowWhole) {
  EXPECT_EQ(AddressOf("unix:/tmp/socket"), "unix:/tmp/socket");
  EXPECT_EQ(AddressOf("ipv6:nonsense"), "ipv6:nonsense");
  EXPECT_EQ(AddressOf(""), "");
}

}  // namespace
}  // namespace muster
