// "did you mean": the candidate nearest to what was typed, by edit distance; empty if none is near.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace muster {

std::string Nearest(std::string_view typed, std::span<const std::string_view> candidates);
// " (did you mean 'x'?)" or "".
std::string DidYouMean(std::string_view typed, std::span<const std::string_view> candidates);

}  // namespace muster
