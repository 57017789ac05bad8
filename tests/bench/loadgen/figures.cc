#include "tests/bench/loadgen/figures.h"

#include <algorithm>
#include <cmath>

namespace muster::load {
namespace {

constexpr double kStep = 1.05;
constexpr double kFirstUs = 1;

}  // namespace

void Latencies::Add(Duration took) {
  const auto us = static_cast<double>(std::max<int64_t>(took.count(), 1));
  const auto bucket = static_cast<size_t>(std::log(us / kFirstUs) / std::log(kStep));
  ++buckets_[std::min(bucket, kBuckets - 1)];
  int64_t longest = longest_us_;
  while (took.count() > longest && !longest_us_.compare_exchange_weak(longest, took.count())) {
  }
}

// The upper end of the bucket in which the quantile lies, in milliseconds.
double Latencies::At(double quantile, uint64_t count) const {
  const auto wanted = static_cast<uint64_t>(std::ceil(quantile * static_cast<double>(count)));
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return kFirstUs * std::pow(kStep, static_cast<double>(i + 1)) / 1000;
  }
  return 0;
}

nlohmann::json Latencies::ToJson() const {
  uint64_t count = 0;
  for (const auto& bucket : buckets_) count += bucket;
  const double longest = static_cast<double>(longest_us_) / 1000;
  return {{"count", count},
          {"p50_ms", std::min(At(0.5, count), longest)},
          {"p99_ms", std::min(At(0.99, count), longest)},
          {"max_ms", longest}};
}

Latencies& Figures::calls(const std::string& method) {
  std::lock_guard lock(mutex_);
  return calls_[method];
}

void Figures::Count(const std::string& outcome) {
  std::lock_guard lock(mutex_);
  ++outcomes_[outcome];
}

uint64_t Figures::counted(const std::string& outcome) const {
  std::lock_guard lock(mutex_);
  const auto found = outcomes_.find(outcome);
  return found == outcomes_.end() ? 0 : found->second;
}

nlohmann::json Figures::ToJson() const {
  std::lock_guard lock(mutex_);
  nlohmann::json calls = nlohmann::json::object();
  for (const auto& [method, latencies] : calls_) calls[method] = latencies.ToJson();
  return {{"calls", std::move(calls)},
          {"outcomes", outcomes_},
          {"bytes_up", bytes_up_.load()},
          {"bytes_down", bytes_down_.load()}};
}

}  // namespace muster::load
