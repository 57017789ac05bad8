// Everything has a limit, and every limit has a name. Those that operators may set have their
// default here; the rest are fixed because peers rely on them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace muster::limits {

using namespace std::chrono_literals;

// The wire.
inline constexpr size_t kMaxMessageBytes = 4u << 20;   // any gRPC message
inline constexpr size_t kChunkBytes = 1u << 20;        // blob data per message
inline constexpr uint64_t kMaxBlobBytes = 8ull << 30;  // one blob
inline constexpr size_t kMaxLabels = 32;               // per device or token
inline constexpr size_t kMaxLabelLength = 64;          // key or value
inline constexpr size_t kMaxTextLength = 4096;         // free text: reasons, descriptions
inline constexpr size_t kMaxMetrics = 64;              // per result
inline constexpr size_t kMaxCsrBytes = 8192;
inline constexpr size_t kMaxModelsPerDevice = 32;
inline constexpr size_t kMaxJobFileBytes = 256u << 10;
inline constexpr size_t kMaxPageSize = 1000;  // rows per listing
inline constexpr auto kMaxCheckInWait = 25s;  // long poll inside a round
inline constexpr auto kDefaultRpcDeadline = 30s;

// Rounds.
inline constexpr uint32_t kMaxRounds = 1'000'000;
inline constexpr uint32_t kMaxCohort = 100'000;
inline constexpr double kMaxOverSelection = 4.0;
inline constexpr uint32_t kMaxRoundAttempts = 10;
inline constexpr uint64_t kMaxParameters = 1ull << 30;  // one model, 4 GiB of float32
inline constexpr uint64_t kMaxExamplesPerUpdate = 1ull << 24;
inline constexpr auto kMaxRoundDeadline = 24h * 7;
inline constexpr uint32_t kMaxEpochs = 10'000;          // per round, on the device
inline constexpr uint32_t kMaxLocalSteps = 10'000'000;  // per round, on the device
inline constexpr uint32_t kMaxBatchSize = 1u << 16;
inline constexpr uint32_t kMaxCalibrationExamples = 1u << 16;

// Secure aggregation and differential privacy.
inline constexpr uint32_t kMinSecureClients = 4;   // in any sum that is revealed
inline constexpr double kMaxClientFraction = 0.5;  // that drops out, or colludes; exclusive
inline constexpr double kMaxClip = 1e6;            // L2 norm
inline constexpr auto kMinPhaseDeadline = 1s;
inline constexpr auto kMaxPhaseDeadline = 24h;
inline constexpr double kMaxNoiseMultiplier = 1e6;
inline constexpr double kMaxEpsilonBudget = 1e6;
inline constexpr double kMaxClipRate = 10;
inline constexpr double kMaxClipNoise = 1e6;

// Messages of secure aggregation.
inline constexpr uint32_t kMaxSecAggClients =
    static_cast<uint32_t>(kMaxCohort * kMaxOverSelection);  // in one session
inline constexpr uint32_t kMaxSecAggNeighbours = 2048;      // of one client
inline constexpr uint32_t kMaxSecAggMetrics = 16;           // summed next to the update
inline constexpr size_t kMaxMerkleDepth = 32;               // of a roster
inline constexpr size_t kMaxAdvertCertificateBytes = 2048;  // DER, of one client
inline constexpr size_t kMaxSecAggSignatureBytes = 72;      // DER ECDSA on P-256
inline constexpr size_t kSecAggShareBytes = 32;             // of one secret
inline constexpr size_t kSecAggBoxBytes = 80;               // two shares and a GCM tag

// Packages.
inline constexpr size_t kMaxManifestBytes = 4u << 20;
inline constexpr size_t kMaxLayoutEntries = 100'000;
inline constexpr size_t kMaxTensorRank = 8;
inline constexpr size_t kMaxParameterNameLength = 512;
inline constexpr size_t kMaxResources = 64;

// Identity.
inline constexpr auto kDefaultDeviceCertLifetime = 24h * 7;
inline constexpr auto kMaxTokenTtl = 24h * 90;
inline constexpr uint32_t kMaxTokenUses = 1'000'000;

// Device.
inline constexpr uint64_t kDefaultCacheBytes = 512ull << 20;
inline constexpr uint64_t kDefaultWorkerMemoryBytes = 2ull << 30;
inline constexpr auto kDefaultWorkerIdle = 60s;
inline constexpr size_t kMaxWorkerMessageBytes = 128u << 10;

}  // namespace muster::limits
