#include "coordinator/http/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "coordinator/listen/bind.h"
#include "tests/unit/http/http_call.h"

namespace muster {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

HttpResponse Echo(const HttpRequest& request) {
  return {.body = std::string(request.post ? "posted " : "got ") + std::string(request.path)};
}

TEST(HttpServerTest, TellsGetFromPostAndLeavesTheQueryOut) {
  const auto server = HttpServer::Start({.listen = "127.0.0.1:0"}, Echo).value();
  EXPECT_EQ(BodyOf(HttpGet(server->port(), "/a?b=c")), "got /a");
  EXPECT_EQ(BodyOf(HttpPost(server->port(), "/a", "whatever")), "posted /a");
  EXPECT_THAT(HttpCall(server->port(), "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
              StartsWith("HTTP/1.1 405"));
  const std::string head = HttpCall(server->port(), "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Length: 6"));
  EXPECT_EQ(BodyOf(head), "");
}

TEST(HttpServerTest, AnswersProbesWhileAPostIsAtWork) {
  std::promise<void> begun, go_on;
  const auto server =
      HttpServer::Start({.listen = "127.0.0.1:0"}, [&](const HttpRequest& request) -> HttpResponse {
        if (!request.post) return {.body = "alive"};
        begun.set_value();
        go_on.get_future().wait();
        return {.body = "done"};
      }).value();
  auto post = std::async(std::launch::async, [&] { return HttpPost(server->port(), "/slow"); });
  begun.get_future().wait();
  EXPECT_EQ(BodyOf(HttpGet(server->port(), "/healthz")), "alive");
  EXPECT_GE(server->open(), 1u);
  go_on.set_value();
  EXPECT_EQ(BodyOf(post.get()), "done");
}

TEST(HttpServerTest, BodiesAboveTheLimitAreCutOff) {
  const auto server = HttpServer::Start({.listen = "127.0.0.1:0"}, Echo).value();
  EXPECT_EQ(BodyOf(HttpPost(server->port(), "/a", std::string(100'000, 'x'))), "");
}

TEST(HttpServerTest, ServesAnInheritedSocketAndLeavesCallersInItWhenPaused) {
  auto bound = BindListeners("127.0.0.1:0").value();
  const auto port = static_cast<uint16_t>(PortOf(bound[0].get()));
  const auto server =
      HttpServer::Start({.listen = "", .inherited = std::move(bound[0])}, Echo).value();
  EXPECT_EQ(server->port(), port);
  server->Pause();
  auto waits = std::async(std::launch::async, [&] { return HttpGet(port, "/late"); });
  server->Resume();
  EXPECT_EQ(BodyOf(waits.get()), "got /late");
}

}  // namespace
}  // namespace muster
