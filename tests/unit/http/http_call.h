// One HTTP/1.1 exchange over a socket of its own.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "proto/core/files.h"

namespace muster {

// The whole answer, status line and all; empty if there was none.
inline std::string HttpCall(uint16_t port, const std::string& request) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return "";
  }
  send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
  std::string answer;
  char buffer[4096];
  for (ssize_t got; (got = recv(fd.get(), buffer, sizeof(buffer), 0)) > 0;) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  return answer;
}

inline std::string HttpGet(uint16_t port, const std::string& path) {
  return HttpCall(port, "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
}

inline std::string HttpPost(uint16_t port, const std::string& path, const std::string& body = "",
                            const std::string& headers = "") {
  return HttpCall(port, "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + headers +
                            "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
}

inline std::string BodyOf(const std::string& answer) {
  const size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? "" : answer.substr(end + 4);
}

}  // namespace muster
