// Abseil's string functions for std::string_view. Where Abseil was built for C++14, as in Debian
// 12, absl::string_view is a type of its own that does not convert from or to the standard one.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace muster {

inline absl::string_view AbslView(std::string_view text) { return {text.data(), text.size()}; }

// For status.message() and the like.
inline std::string_view StdView(const absl::string_view& text) {
  return {text.data(), text.size()};
}

namespace strings_internal {
template <typename T>
decltype(auto) Piece(const T& value) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return AbslView(value);
  } else {
    return (value);
  }
}
}  // namespace strings_internal

// absl::StrCat that takes std::string_view as well.
template <typename... Parts>
std::string StrCat(const Parts&... parts) {
  return absl::StrCat(strings_internal::Piece(parts)...);
}

template <typename... Parts>
void StrAppend(std::string* out, const Parts&... parts) {
  absl::StrAppend(out, strings_internal::Piece(parts)...);
}

// The elements, of any type that StrCat takes, with `separator` between them.
template <typename Container>
std::string StrJoin(const Container& elements, std::string_view separator) {
  std::string out;
  bool first = true;
  for (const auto& element : elements) {
    if (!first) out.append(separator);
    first = false;
    StrAppend(&out, element);
  }
  return out;
}

}  // namespace muster
