// A job's place in larger messages.
#pragma once

#include "absl/status/statusor.h"
#include "muster/v1/job.pb.h"
#include "proto/codec/field.h"
#include "proto/core/job_spec.h"

namespace muster::wire {

inline constexpr EnumPair<v1::MaskCipher, MaskCipher> kMaskCiphers[] = {
    {v1::MASK_CIPHER_AES_128_CTR, MaskCipher::kAes128Ctr},
    {v1::MASK_CIPHER_AES_256_CTR, MaskCipher::kAes256Ctr},
    {v1::MASK_CIPHER_CHACHA20, MaskCipher::kChaCha20},
};

absl::StatusOr<JobSpec> Decode(const Field& at, const v1::JobSpec& wire);

}  // namespace muster::wire
