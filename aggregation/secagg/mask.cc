#include "aggregation/secagg/mask.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "aggregation/secagg/mask_kernels.h"
#include "aggregation/secagg/mask_portable.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace muster::secagg {
namespace {

// ChaCha20 numbers 2^32 blocks of 64 bytes. No vector of the protocol is near it.
constexpr uint64_t kMaxVectorBytes = 1ull << 38;

struct Processor {
  bool aes_ni = false, vaes256 = false, vaes512 = false;
};

Processor DetectProcessor() {
  Processor has;
#if defined(__x86_64__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  const bool aes = __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_AES) != 0;
  const bool vaes = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_VAES) != 0;
  // These also ask whether the operating system saves the wide registers.
  has.aes_ni = aes && __builtin_cpu_supports("sse4.1");
  has.vaes256 = has.aes_ni && vaes && __builtin_cpu_supports("avx2");
  has.vaes512 = has.vaes256 && __builtin_cpu_supports("avx512f") &&
                __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
  return has;
}

// The kernel's code, or null if the processor or the program does not have it.
FusedKernel FindFused(MaskKernel kernel) {
  static const Processor processor = DetectProcessor();
  if (!processor.aes_ni || AesNiKernel() == nullptr) return nullptr;  // expands all keys
  if (kernel == MaskKernel::kAesNi) return AesNiKernel();
  if (kernel != MaskKernel::kVaes) return nullptr;
  if (processor.vaes512 && Vaes512Kernel() != nullptr) return Vaes512Kernel();
  return processor.vaes256 ? Vaes256Kernel() : nullptr;
}

bool IsAes(MaskCipher cipher) { return cipher != MaskCipher::kChaCha20; }

// Expanded keys and the kernel that they are for.
class FusedMasks {
 public:
  FusedMasks(FusedKernel kernel, MaskCipher cipher, uint32_t ring_bits,
             const std::vector<SignedMask>& masks)
      : kernel_(kernel),
        rounds_(cipher == MaskCipher::kAes128Ctr ? kAes128Rounds : kAes256Rounds),
        bits_(ring_bits),
        schedules_(masks.size()) {
    for (size_t i = 0; i < masks.size(); ++i) {
      ExpandAesKey(masks[i].key.span().data(), rounds_, schedules_[i]);
      schedules_[i].subtract = masks[i].subtract;
    }
  }
  ~FusedMasks() { OPENSSL_cleanse(schedules_.data(), schedules_.size() * sizeof(AesSchedule)); }
  FusedMasks(const FusedMasks&) = delete;
  FusedMasks& operator=(const FusedMasks&) = delete;

  size_t size() const { return schedules_.size(); }
  void Apply(uint64_t first_group, std::span<uint8_t> groups) const {
    kernel_(schedules_.data(), schedules_.size(), rounds_, bits_, first_group, groups.data(),
            groups.size() / kGroupBytes);
  }

 private:
  FusedKernel kernel_;
  int rounds_;
  uint32_t bits_;
  std::vector<AesSchedule> schedules_;
};

}  // namespace

bool HasKernel(MaskKernel kernel) {
  return kernel == MaskKernel::kPortable || FindFused(kernel) != nullptr;
}

MaskKernel BestKernel() {
  if (HasKernel(MaskKernel::kVaes)) return MaskKernel::kVaes;
  return HasKernel(MaskKernel::kAesNi) ? MaskKernel::kAesNi : MaskKernel::kPortable;
}

std::string_view KernelName(MaskKernel kernel) {
  switch (kernel) {
    case MaskKernel::kPortable:
      return "portable";
    case MaskKernel::kAesNi:
      return "aes-ni";
    case MaskKernel::kVaes:
      return "vaes";
  }
  return "unknown";
}

struct MaskSet::Impl {
  uint32_t element_bytes;
  std::unique_ptr<const FusedMasks> fused;  // or
  std::unique_ptr<const PortableMasks> portable;

  size_t size() const { return fused != nullptr ? fused->size() : portable->size(); }
  void ApplyGroups(uint64_t first_group, std::span<uint8_t> groups) const {
    fused != nullptr ? fused->Apply(first_group, groups) : portable->Apply(first_group, groups);
  }
  // Part of one group: the rest of the group is made up.
  void ApplyWithin(uint64_t offset, std::span<uint8_t> part) const {
    alignas(64) std::array<uint8_t, kGroupBytes> group{};
    const auto at = group.begin() + static_cast<ptrdiff_t>(offset % kGroupBytes);
    std::copy(part.begin(), part.end(), at);
    ApplyGroups(offset / kGroupBytes, group);
    std::copy_n(at, part.size(), part.begin());
    OPENSSL_cleanse(group.data(), group.size());  // keystream where nothing was masked
  }
};

MaskSet::MaskSet(MaskCipher cipher, uint32_t ring_bits, std::vector<SignedMask> masks,
                 MaskKernel kernel)
    : impl_(std::make_unique<Impl>()) {
  assert(ring_bits == 16 || ring_bits == 32 || ring_bits == 64);
  assert(HasKernel(kernel));
  impl_->element_bytes = ring_bits / 8;
  if (kernel == MaskKernel::kPortable || !IsAes(cipher)) {
    impl_->portable = std::make_unique<PortableMasks>(cipher, ring_bits, std::move(masks));
  } else {
    impl_->fused = std::make_unique<FusedMasks>(FindFused(kernel), cipher, ring_bits, masks);
  }
}

MaskSet::~MaskSet() = default;
MaskSet::MaskSet(MaskSet&&) noexcept = default;
MaskSet& MaskSet::operator=(MaskSet&&) noexcept = default;

size_t MaskSet::size() const { return impl_->size(); }

void MaskSet::Apply(uint64_t offset, std::span<uint8_t> part) const {
  assert(offset % impl_->element_bytes == 0 && part.size() % impl_->element_bytes == 0);
  assert(offset <= kMaxVectorBytes && part.size() <= kMaxVectorBytes - offset);
  if (const size_t lead = offset % kGroupBytes; lead != 0) {
    const size_t n = std::min(kGroupBytes - lead, part.size());
    impl_->ApplyWithin(offset, part.first(n));
    offset += n;
    part = part.subspan(n);
  }
  const size_t whole = part.size() - part.size() % kGroupBytes;
  if (whole > 0) impl_->ApplyGroups(offset / kGroupBytes, part.first(whole));
  if (whole < part.size()) impl_->ApplyWithin(offset + whole, part.subspan(whole));
}

namespace {

constexpr size_t kTileBytes = kTileGroups * kGroupBytes;
// What a thread takes at a time: large enough that opening the portable kernel's keystreams costs
// little, small enough that all threads finish at about the same time.
constexpr size_t kMinPiece = 64u << 10, kMaxPiece = 1u << 20;
constexpr size_t kPiecesPerThread = 4;

size_t PieceBytes(size_t vector, unsigned threads) {
  const size_t fair = vector / (threads * kPiecesPerThread) + 1;
  const size_t tiles = (fair + kTileBytes - 1) / kTileBytes;
  return std::clamp(tiles * kTileBytes, kMinPiece, kMaxPiece);
}

}  // namespace

void ApplyParallel(const MaskSet& masks, std::span<uint8_t> vector, unsigned threads,
                   const std::function<void(uint64_t done)>& progress) {
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  const size_t piece = PieceBytes(vector.size(), threads);
  std::atomic<size_t> next{0};
  std::mutex mutex;  // of `done`, and of calls to `progress`
  uint64_t done = 0;
  const auto work = [&] {
    for (size_t at; (at = next.fetch_add(piece)) < vector.size();) {
      const auto part = vector.subspan(at, std::min(piece, vector.size() - at));
      masks.Apply(at, part);
      if (progress == nullptr) continue;
      const std::lock_guard lock(mutex);
      done += part.size();
      progress(done);
    }
  };
  std::vector<std::thread> helpers;
  const size_t pieces = (vector.size() + piece - 1) / piece;
  while (helpers.size() + 1 < std::min<size_t>(threads, pieces)) {
    try {
      helpers.emplace_back(work);
    } catch (const std::system_error&) {
      break;  // no more threads to be had: those there are do it all
    }
  }
  work();
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace muster::secagg
