// A function package: named resources, each by digest and size, under one signature. The package's
// own bytes are the signature file of OpenSSF Model Signing 1.0: a Sigstore bundle (v0.3) around a
// DSSE envelope around an in-toto Statement v1. The digest of those bytes names the package.
//
//   bundle     {mediaType, verificationMaterial.publicKey.hint = SHA-256 of the key's PEM,
//               dsseEnvelope {payload, payloadType, signatures[1]}}
//   signature  ECDSA P-256 over PAE = "DSSEv1 <len> <type> <len> <body>" (DSSE protocol 1.0)
//   statement  subject[1] {name, sha256 over the resources' digests in order},
//              predicate {serialization {method: files, hash_type: sha256}, resources[]}
//
// Other tools' verifiers accept these files; `size` in a resource is Muster's own addition, which
// they ignore.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/digest.h"
#include "proto/x509/ec_key.h"

namespace muster {

inline constexpr char kManifestResource[] = "manifest.json";  // Manifest, canonical JSON
inline constexpr char kWeightsResource[] = "weights.f32";     // float32 little endian, whole layout
inline constexpr char kModuleResource[] = "module.pt";        // TorchScript; absent for zoo models

inline constexpr size_t kMaxPackageBytes = 128u << 10;
inline constexpr size_t kMaxPackageNameBytes = 255;
inline constexpr size_t kMaxResourceNameBytes = 255;

struct Resource {
  std::string name;  // relative path of plain segments: no "..", no leading "/"
  Digest digest;
  uint64_t size = 0;  // bytes; 0 where the signer did not say
  friend bool operator==(const Resource&, const Resource&) = default;
};

struct Package {
  std::string name;
  std::vector<Resource> resources;  // 1 to limits::kMaxResources, ascending by path

  const Resource* Find(std::string_view resource) const;
  friend bool operator==(const Package&, const Package&) = default;
};

// InvalidArgument for bad or repeated names, empty digests, oversized or too many resources. Order
// is not checked: Sign sorts.
absl::Status ValidatePackage(const Package& package);

// Thread-safe.
class PackageSigner {
 public:
  // Makes the signing key, mode 0600; AlreadyExists if the file is there.
  static absl::Status Create(const std::filesystem::path& key_file);
  static absl::StatusOr<PackageSigner> Open(const std::filesystem::path& key_file);

  std::string public_key_pem() const;
  // The package's bytes. Two signings of one package differ, because ECDSA is randomised.
  absl::StatusOr<std::string> Sign(const Package& package) const;

 private:
  explicit PackageSigner(EcPrivateKey key) : key_(std::move(key)) {}
  EcPrivateKey key_;
};

// Thread-safe.
class PackageVerifier {
 public:
  static absl::StatusOr<PackageVerifier> FromPublicKeyPem(std::string_view pem);

  // What was signed. Unauthenticated: the signature is not this key's over these bytes.
  // InvalidArgument: not the format above, with what is wrong.
  absl::StatusOr<Package> Verify(std::string_view bytes) const;

 private:
  PackageVerifier(EcPublicKey key, std::string hint)
      : key_(std::move(key)), hint_(std::move(hint)) {}
  EcPublicKey key_;
  std::string hint_;
};

}  // namespace muster
