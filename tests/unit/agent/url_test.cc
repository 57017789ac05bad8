#include "client/agent/url.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(SplitUrl, TakesHostAndPortApart) {
  const auto plain = SplitUrl("http://store.example/b/k?q=1/2");
  ASSERT_TRUE(plain.has_value());
  EXPECT_FALSE(plain->tls);
  EXPECT_EQ(plain->host, "store.example");
  EXPECT_EQ(plain->port, "80");
  EXPECT_EQ(plain->target, "/b/k?q=1/2");
  const auto v6 = SplitUrl("https://[fe80::1]:9000/");
  ASSERT_TRUE(v6.has_value());
  EXPECT_TRUE(v6->tls);
  EXPECT_EQ(v6->host, "fe80::1");
  EXPECT_EQ(v6->port, "9000");
  EXPECT_EQ(v6->authority, "[fe80::1]:9000");
  EXPECT_EQ(SplitUrl("https://[::1]/x")->port, "443");
}

TEST(SplitUrl, RefusesWhatIsNoUrlForADownload) {
  for (const char* url :
       {"", "ftp://h/x", "file:///etc/passwd", "http://", "http:///x", "https://h",
        "http://user:secret@h/x", "https://:443/x", "https://h:/x", "HTTPS://h/x", "//h/x"}) {
    EXPECT_FALSE(SplitUrl(url).has_value()) << url;
    EXPECT_EQ(UrlOrigin(url), "");
  }
}

TEST(UrlOrigin, LeavesTheSignatureOut) {
  EXPECT_EQ(UrlOrigin("https://h:1/b/k?X-Amz-Signature=secret"), "https://h:1");
}

TEST(UrlParts, KnowsThisMachine) {
  for (const char* url : {"http://localhost/x", "http://127.0.0.1:1/x", "http://[::1]:1/x"}) {
    EXPECT_TRUE(SplitUrl(url)->IsLoopback()) << url;
  }
  for (const char* url :
       {"http://localhost.example/x", "http://10.0.0.1/x", "http://127.0.0.1.example/x"}) {
    EXPECT_FALSE(SplitUrl(url)->IsLoopback()) << url;
  }
}

TEST(SizeInContentRange, IsTakenOnlyForTheRangeThatWasAskedFor) {
  EXPECT_EQ(SizeInContentRange("bytes 10-99/100", 10), 100u);
  EXPECT_EQ(SizeInContentRange("bytes 1-99/100", 10), std::nullopt);
  EXPECT_EQ(SizeInContentRange("bytes 100-199/200", 10), std::nullopt);
  EXPECT_EQ(SizeInContentRange("bytes 10-99/*", 10), std::nullopt);
  EXPECT_EQ(SizeInContentRange("bytes 10-99", 10), std::nullopt);
  EXPECT_EQ(SizeInContentRange("bytes 10-99/-1", 10), std::nullopt);
  EXPECT_EQ(SizeInContentRange("", 0), std::nullopt);
}

}  // namespace
}  // namespace muster
