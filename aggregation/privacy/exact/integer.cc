#include "aggregation/privacy/exact/integer.h"

#include <openssl/crypto.h>

#include <climits>
#include <cstdlib>
#include <utility>

namespace muster::exact {
namespace {

static_assert(sizeof(BN_ULONG) == 8, "written for 64-bit machines");

// BIGNUM fails only without memory, or on arguments that the callers here exclude.
void Must(int ok) {
  if (ok != 1) std::abort();
}

struct FreeContext {
  void operator()(BN_CTX* context) const { BN_CTX_free(context); }
};

// BIGNUM's scratch space; one for each thread, as it must not be shared.
BN_CTX* Scratch() {
  thread_local const std::unique_ptr<BN_CTX, FreeContext> context(BN_CTX_new());
  if (context == nullptr) std::abort();
  return context.get();
}

int Count(unsigned bits) {
  if (bits > static_cast<unsigned>(INT_MAX)) std::abort();
  return static_cast<int>(bits);
}

}  // namespace

Integer::Integer(Value value) : value_(std::move(value)) {
  if (value_ == nullptr) std::abort();
}

Integer::Integer(int64_t value) : Integer(Value(BN_new())) {
  const uint64_t magnitude =
      value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  Must(BN_set_word(value_.get(), magnitude));
  BN_set_negative(value_.get(), value < 0 ? 1 : 0);
}

Integer Integer::FromUnsigned(uint64_t value) {
  Integer result;
  Must(BN_set_word(result.value_.get(), value));
  return result;
}

Integer Integer::PowerOfTwo(unsigned exponent) {
  Integer result;
  Must(BN_set_bit(result.value_.get(), Count(exponent)));
  return result;
}

Integer::Integer(const Integer& other) : Integer(Value(BN_dup(other.value_.get()))) {}

Integer& Integer::operator=(const Integer& other) {
  if (this != &other) *this = Integer(other);
  return *this;
}

uint64_t Integer::ToUnsigned() const {
  if (negative() || bits() > 64) std::abort();
  return BN_get_word(value_.get());
}

Integer operator+(Integer a, const Integer& b) {
  Must(BN_add(a.value_.get(), a.value_.get(), b.value_.get()));
  return a;
}

Integer operator-(Integer a, const Integer& b) {
  Must(BN_sub(a.value_.get(), a.value_.get(), b.value_.get()));
  return a;
}

Integer operator*(const Integer& a, const Integer& b) {
  Integer result;
  Must(BN_mul(result.value_.get(), a.value_.get(), b.value_.get(), Scratch()));
  return result;
}

Integer operator-(Integer a) {
  BN_set_negative(a.value_.get(), a.negative() ? 0 : 1);  // zero stays zero
  return a;
}

Integer operator<<(Integer a, unsigned bits) {
  Must(BN_lshift(a.value_.get(), a.value_.get(), Count(bits)));
  return a;
}

bool operator==(const Integer& a, const Integer& b) { return (a <=> b) == 0; }

std::strong_ordering operator<=>(const Integer& a, const Integer& b) {
  return BN_cmp(a.value_.get(), b.value_.get()) <=> 0;
}

// BIGNUM rounds toward zero. For a > 0, ceil(a / d) = floor((a - 1) / d) + 1.
Integer FloorShift(Integer a, unsigned bits) {
  if (a.negative()) return -CeilShift(-std::move(a), bits);
  Must(BN_rshift(a.value_.get(), a.value_.get(), Count(bits)));
  return a;
}

Integer CeilShift(Integer a, unsigned bits) {
  if (a.negative()) return -FloorShift(-std::move(a), bits);
  if (a.zero()) return a;
  Must(BN_sub_word(a.value_.get(), 1));
  Must(BN_rshift(a.value_.get(), a.value_.get(), Count(bits)));
  Must(BN_add_word(a.value_.get(), 1));
  return a;
}

Integer FloorDiv(Integer a, const Integer& d) {
  if (d.negative() || d.zero()) std::abort();
  if (a.negative()) return -CeilDiv(-std::move(a), d);
  Integer result;
  Must(BN_div(result.value_.get(), nullptr, a.value_.get(), d.value_.get(), Scratch()));
  return result;
}

Integer CeilDiv(Integer a, const Integer& d) {
  if (d.negative() || d.zero()) std::abort();
  if (a.negative()) return -FloorDiv(-std::move(a), d);
  if (a.zero()) return a;
  Must(BN_sub_word(a.value_.get(), 1));
  Integer result;
  Must(BN_div(result.value_.get(), nullptr, a.value_.get(), d.value_.get(), Scratch()));
  Must(BN_add_word(result.value_.get(), 1));
  return result;
}

Integer FloorDivSmall(Integer a, uint64_t d) {
  if (a.negative() || d == 0) std::abort();
  BN_div_word(a.value_.get(), d);
  return a;
}

Integer CeilDivSmall(Integer a, uint64_t d) {
  if (a.negative() || d == 0) std::abort();
  if (BN_div_word(a.value_.get(), d) != 0) Must(BN_add_word(a.value_.get(), 1));
  return a;
}

}  // namespace muster::exact
