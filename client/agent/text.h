// absl::StrCat that also takes std::string_view, whether or not Abseil was built to use it.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"

namespace muster::text {

template <typename T>
decltype(auto) Piece(const T& part) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    const std::string_view view = part;
    return absl::string_view(view.data(), view.size());
  } else {
    return (part);
  }
}

template <typename... Parts>
std::string Cat(const Parts&... parts) {
  return absl::StrCat(Piece(parts)...);
}

inline std::string_view View(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace muster::text
