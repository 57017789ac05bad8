#include "aggregation/secagg/shamir.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "aggregation/secagg/shamir_field.h"
#include "aggregation/secagg/shamir_kernels.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

// A polynomial's coefficients, degree 0 first: all secret.
class Coefficients {
 public:
  explicit Coefficients(size_t count) : bytes_(count * kShareBytes) {}
  ~Coefficients() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
  Coefficients(const Coefficients&) = delete;
  Coefficients& operator=(const Coefficients&) = delete;
  std::span<uint8_t> bytes() { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

bool IsWide(uint32_t holders) { return holders > kMaxHoldersGf8; }

uint16_t XOf(uint32_t holder) { return static_cast<uint16_t>(holder + 1); }

const ShamirKernel& Kernel() {
  static const ShamirKernel kKernel = HasShuffledShamir() ? ShuffledShamir() : PortableShamir();
  return kKernel;
}

// Lagrange's coefficients at zero: for each j the product over m != j of x_m / (x_m - x_j), where
// subtraction is addition is XOR.
template <typename Field>
std::vector<uint16_t> LagrangeAtZero(const std::vector<uint32_t>& responders) {
  const auto& logarithms = Logarithms<Field>::Get();
  uint64_t numerator = 0;  // logarithm of the product of all x
  for (const uint32_t holder : responders) numerator += logarithms.Of(XOf(holder));
  std::vector<uint16_t> coefficients;
  coefficients.reserve(responders.size());
  for (const uint32_t own : responders) {
    uint64_t denominator = logarithms.Of(XOf(own));
    for (const uint32_t other : responders) {
      denominator += logarithms.Of(static_cast<uint16_t>(XOf(other) ^ XOf(own)));  // own: 0
    }
    const uint64_t inverse = Logarithms<Field>::kOrder - denominator % Logarithms<Field>::kOrder;
    coefficients.push_back(logarithms.Power(numerator + inverse));
  }
  return coefficients;
}

}  // namespace

std::vector<SecretBytes<kShareBytes>> SplitSecret(std::span<const uint8_t, kSecretBytes> secret,
                                                  uint32_t holders, uint32_t threshold,
                                                  RandomSource& random) {
  if (threshold < 1 || threshold > holders || holders > kMaxHolders) std::abort();
  Coefficients coefficients(threshold);
  std::ranges::copy(secret, coefficients.bytes().begin());
  random.Fill(coefficients.bytes().subspan(kSecretBytes));
  const EvaluatePolynomial evaluate = IsWide(holders) ? Kernel().wide : Kernel().narrow;
  std::vector<SecretBytes<kShareBytes>> shares(holders);
  for (uint32_t holder = 0; holder < holders; ++holder) {
    evaluate(coefficients.bytes(), XOf(holder), shares[holder].writable());
  }
  return shares;
}

absl::StatusOr<Recovery> Recovery::For(uint32_t holders, std::vector<uint32_t> responders) {
  if (holders < 1 || holders > kMaxHolders) {
    return absl::InvalidArgumentError(
        StrCat("a secret has 1 to ", kMaxHolders, " holders, not ", holders));
  }
  if (responders.empty()) return absl::InvalidArgumentError("nobody gave a share of the secret");
  std::vector<bool> seen(holders, false);
  for (const uint32_t holder : responders) {
    if (holder >= holders) {
      return absl::InvalidArgumentError(
          StrCat("a share comes from holder ", holder, " of ", holders));
    }
    if (seen[holder]) {
      return absl::InvalidArgumentError(StrCat("holder ", holder, " gave two shares"));
    }
    seen[holder] = true;
  }
  Recovery recovery;
  recovery.wide_ = IsWide(holders);
  recovery.coefficients_ =
      recovery.wide_ ? LagrangeAtZero<Gf16>(responders) : LagrangeAtZero<Gf8>(responders);
  recovery.responders_ = std::move(responders);
  return recovery;
}

SecretBytes<kSecretBytes> Recovery::Combine(
    std::span<const std::span<const uint8_t, kShareBytes>> shares) const {
  if (shares.size() != coefficients_.size()) std::abort();
  SecretBytes<kSecretBytes> secret;
  (wide_ ? CombineWide : CombineNarrow)(shares, coefficients_, secret.writable());
  return secret;
}

}  // namespace muster::secagg
