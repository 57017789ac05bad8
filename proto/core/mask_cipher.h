// Which keystream masks are made of.
#pragma once

namespace muster {

// AES in counter mode (SP 800-38A) where processors have instructions for it; ChaCha20 (RFC 8439)
// is the faster one where they do not.
enum class MaskCipher { kAes128Ctr, kAes256Ctr, kChaCha20 };

}  // namespace muster
