// An S3-compatible store on this machine against a folder: how long it takes to store and to read a
// blob and a staged upload, in ratios; and that memory does not grow with the blob.
#include <benchmark/benchmark.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/blobs/s3/s3_blobs.h"
#include "coordinator/blobs/s3/s3_staging.h"
#include "proto/core/limits.h"
#include "proto/core/random.h"
#include "tests/support/s3_server.h"

namespace muster {
namespace {

constexpr size_t kChunk = limits::kChunkBytes;

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
    std::_Exit(1);
  }
  return *std::move(value);
}
void Must(const absl::Status& status) {
  Must(absl::StatusOr<int>(status.ok() ? absl::StatusOr<int>(0) : status));
}

std::string Chunk(uint64_t seed) {
  std::string chunk(kChunk, '\0');
  SeededRandom(seed).Fill({reinterpret_cast<uint8_t*>(chunk.data()), chunk.size()});
  return chunk;
}

Digest Write(BlobStore& blobs, size_t chunks) {
  auto writer = Must(blobs.Create());
  for (size_t i = 0; i < chunks; ++i) Must(writer->Append(Chunk(i)));
  return Must(writer->Commit());
}

void Read(const BlobStore& blobs, const Digest& digest) {
  const auto reader = Must(blobs.Open(digest));
  std::vector<char> buffer(kChunk);
  for (uint64_t at = 0; at < reader->size();) at += Must(reader->ReadAt(at, buffer));
}

void Stage(StagingArea& area, const Digest& digest, size_t chunks) {
  for (size_t i = 0; i < chunks; ++i) {
    Must(area.Append("bench", digest, chunks * kChunk, i * kChunk, Chunk(i)));
  }
  if (!Must(area.Flush("bench", digest)).complete) std::_Exit(1);
  Must(area.Remove("bench", digest));
}

double Seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Stores {
  TempFolder folder;
  std::unique_ptr<S3Server> server;
  std::shared_ptr<S3Client> client;
  std::unique_ptr<BlobStore> directory, s3;
  std::unique_ptr<StagingArea> directory_staging, s3_staging;
};

// Null, with the reason printed, where there is no server.
std::unique_ptr<Stores> OpenStores(benchmark::State& state) {
  auto server = S3Server::Start();
  if (!server.ok()) {
    state.SkipWithError(std::string(server.status().message()).c_str());
    return nullptr;
  }
  auto stores = std::make_unique<Stores>();
  stores->server = *std::move(server);
  stores->client = stores->server->Client("bench");
  stores->directory = Must(OpenDirectoryBlobs(stores->folder.path() / "blobs"));
  stores->s3 = Must(S3Blobs::Open(stores->client));
  stores->directory_staging = Must(StagingArea::Open(stores->folder.path() / "staging"));
  stores->s3_staging = OpenS3Staging(stores->client);
  return stores;
}

void S3OverDirectory(benchmark::State& state) {
  const auto stores = OpenStores(state);
  if (stores == nullptr) return;
  const size_t chunks = static_cast<size_t>(state.range(0));
  const auto bytes = static_cast<double>(chunks * kChunk);
  for (auto _ : state) {
    Digest digest;
    const double folder_put = Seconds([&] { digest = Write(*stores->directory, chunks); });
    const double s3_put = Seconds([&] { Write(*stores->s3, chunks); });
    const double folder_get = Seconds([&] { Read(*stores->directory, digest); });
    const double s3_get = Seconds([&] { Read(*stores->s3, digest); });
    const double folder_stage = Seconds([&] { Stage(*stores->directory_staging, digest, chunks); });
    const double s3_stage = Seconds([&] { Stage(*stores->s3_staging, digest, chunks); });
    state.counters["s3_put_MBps"] = bytes / s3_put / 1e6;
    state.counters["s3_get_MBps"] = bytes / s3_get / 1e6;
    state.counters["s3_stage_MBps"] = bytes / s3_stage / 1e6;
    std::printf("s3_over_directory_put_%zumb %.3f\n", chunks, s3_put / folder_put);
    std::printf("s3_over_directory_get_%zumb %.3f\n", chunks, s3_get / folder_get);
    std::printf("s3_over_directory_stage_%zumb %.3f\n", chunks, s3_stage / folder_stage);
  }
}
BENCHMARK(S3OverDirectory)->Arg(4)->Arg(256)->Iterations(1)->Unit(benchmark::kSecond);

// Peak resident bytes of a process that stores, reads and stages a blob in S3.
double PeakBytes(const S3Server& server, size_t chunks) {
  const pid_t child = fork();
  if (child == 0) {
    const auto client = server.Client("peak");
    const auto blobs = Must(S3Blobs::Open(client));
    const Digest digest = Write(*blobs, chunks);
    Read(*blobs, digest);
    Stage(*OpenS3Staging(client), digest, chunks);
    _exit(0);
  }
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  return status == 0 ? static_cast<double>(usage.ru_maxrss) * 1024 : 0;
}

void S3PeakMemory(benchmark::State& state) {
  auto server = S3Server::Start();
  if (!server.ok()) {
    state.SkipWithError(std::string(server.status().message()).c_str());
    return;
  }
  for (auto _ : state) {
    const double small = PeakBytes(**server, 32), large = PeakBytes(**server, 512);
    if (small == 0 || large == 0) {
      state.SkipWithError("a case failed: see above");
      return;
    }
    state.counters["peak_32_MB"] = small / 1e6;
    state.counters["peak_512_MB"] = large / 1e6;
    std::printf("s3_peak_memory %.3f\n", large / small);
  }
}
BENCHMARK(S3PeakMemory)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace muster

BENCHMARK_MAIN();
