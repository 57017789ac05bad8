// What the files of commands share.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordinator/cli/api.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/json_view.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster::cli {

inline constexpr size_t kMaxListed = 100'000;  // rows that a listing collects

void PrintJson(Context& context, const Json& json);  // one document, one line

// NAME or NAME@VERSION; version 0 where none is given.
struct ModelOperand {
  std::string name;
  uint32_t version = 0;
};
absl::StatusOr<ModelOperand> ParseModelOperand(const std::string& text);

// A whole number within bounds, or InvalidArgument that names the option.
absl::StatusOr<uint32_t> CountOption(const Arguments& arguments, std::string_view name,
                                     uint32_t otherwise, uint32_t low, uint32_t high);
absl::StatusOr<Duration> TimeOption(const Arguments& arguments, std::string_view name,
                                    Duration otherwise);

// The rows of every page, in `first_page`'s response. `rows` gives the response's mutable rows.
template <typename Response, typename Request, typename Rows>
absl::StatusOr<Response> AllPages(Api& api, Request request, Rows rows) {
  request.set_page_size(limits::kMaxPageSize);
  Response all;
  do {
    MUSTER_ASSIGN_OR_RETURN(Response page, api.Call(request));
    request.set_page_token(page.next_page_token());
    for (auto& row : *rows(page)) rows(all)->Add()->Swap(&row);
  } while (!request.page_token().empty() && static_cast<size_t>(rows(all)->size()) < kMaxListed);
  return all;
}

// {"jobs": [...]} of a response whose pages were put together.
template <typename Rows>
Json ListView(const char* name, const Rows& rows) {
  Json list = Json::array();
  for (const auto& row : rows) list.push_back(ViewOf(row));
  return Json{{name, std::move(list)}};
}

// Shows how far a transfer is: a line that changes on a terminal, one line at the end elsewhere,
// nothing with --json.
class Meter {
 public:
  Meter(Context& context, std::string what) : context_(context), what_(std::move(what)) {}
  void operator()(uint64_t done, uint64_t total);
  void Finish(uint64_t total);

 private:
  Context& context_;
  std::string what_;
};

}  // namespace muster::cli
