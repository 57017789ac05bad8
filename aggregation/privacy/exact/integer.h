// Whole numbers of any size: a value type over OpenSSL's BIGNUM, for decisions that must be exact.
// Running out of memory aborts. Numbers are wiped when they go: they may tell of the noise.
#pragma once

#include <openssl/bn.h>

#include <compare>
#include <cstdint>
#include <memory>

namespace muster::exact {

class Integer {
 public:
  Integer() : Integer(int64_t{0}) {}
  Integer(int64_t value);  // NOLINT: a number is a number
  static Integer FromUnsigned(uint64_t value);
  static Integer PowerOfTwo(unsigned exponent);

  Integer(const Integer& other);
  Integer& operator=(const Integer& other);
  Integer(Integer&&) noexcept = default;
  Integer& operator=(Integer&&) noexcept = default;
  ~Integer() = default;

  bool negative() const { return BN_is_negative(value_.get()) != 0; }
  bool zero() const { return BN_is_zero(value_.get()); }
  unsigned bits() const { return static_cast<unsigned>(BN_num_bits(value_.get())); }  // of |value|
  uint64_t ToUnsigned() const;  // aborts unless 0 <= value < 2^64

  friend Integer operator+(Integer a, const Integer& b);
  friend Integer operator-(Integer a, const Integer& b);
  friend Integer operator*(const Integer& a, const Integer& b);
  friend Integer operator-(Integer a);
  friend Integer operator<<(Integer a, unsigned bits);
  friend bool operator==(const Integer& a, const Integer& b);
  friend std::strong_ordering operator<=>(const Integer& a, const Integer& b);

  // a / 2^bits, and a / d for d > 0, rounded down or up.
  friend Integer FloorShift(Integer a, unsigned bits);
  friend Integer CeilShift(Integer a, unsigned bits);
  friend Integer FloorDiv(Integer a, const Integer& d);
  friend Integer CeilDiv(Integer a, const Integer& d);
  // The same for a >= 0 and a small d > 0, faster.
  friend Integer FloorDivSmall(Integer a, uint64_t d);
  friend Integer CeilDivSmall(Integer a, uint64_t d);

 private:
  struct Wipe {
    void operator()(BIGNUM* value) const { BN_clear_free(value); }
  };
  using Value = std::unique_ptr<BIGNUM, Wipe>;
  explicit Integer(Value value);  // aborts without one
  Value value_;
};

}  // namespace muster::exact
