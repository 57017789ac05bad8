// Processes that die. A child writes and tells each acknowledged write through a pipe; the test
// kills it with SIGKILL and looks at what the next process finds.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

// Pairs of devices, written together: "a17" and "b17".
absl::Status PutPair(StateStore& store, uint32_t number) {
  return store.Write([&](StoreTx& tx) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(tx.PutDevice(SmallDevice(StrCat("a", number))));
    return tx.PutDevice(SmallDevice(StrCat("b", number)));
  });
}

// Never returns: four threads write pairs from `first` on and tell each acknowledged number.
[[noreturn]] void WriteUntilKilled(const std::filesystem::path& folder, uint32_t first, int fd) {
  auto store = OpenSqliteStore({.directory = folder});
  if (!store.ok()) _exit(1);
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t number = first + t;; number += 4) {
        if (!PutPair(**store, number).ok()) _exit(2);
        if (write(fd, &number, sizeof(number)) != sizeof(number)) _exit(3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  _exit(4);
}

TEST(SqliteDurability, WhatWasAcknowledgedSurvivesSigkillAndNothingIsThereByHalves) {
  TempFolder folder;
  std::vector<uint32_t> acknowledged;
  std::mt19937 random(17);
  for (uint32_t life = 0; life < 8; ++life) {
    int pipe_fds[2];
    ASSERT_EQ(pipe(pipe_fds), 0);
    const pid_t child = fork();
    if (child == 0) WriteUntilKilled(folder.path(), life * 1'000'000, pipe_fds[1]);
    close(pipe_fds[1]);
    // Killed after some acknowledgements, at whatever instruction it is then.
    const size_t enough = acknowledged.size() + 1 + random() % 200;
    uint32_t number = 0;
    while (acknowledged.size() < enough &&
           read(pipe_fds[0], &number, sizeof(number)) == sizeof(number)) {
      acknowledged.push_back(number);
    }
    ASSERT_EQ(acknowledged.size(), enough) << "the child stopped by itself";
    kill(child, SIGKILL);
    while (read(pipe_fds[0], &number, sizeof(number)) == sizeof(number)) {
      acknowledged.push_back(number);
    }
    close(pipe_fds[0]);
    int how = 0;
    ASSERT_EQ(waitpid(child, &how, 0), child);
    ASSERT_TRUE(WIFSIGNALED(how));

    auto store = OpenSqliteStore({.directory = folder.path()});
    ASSERT_TRUE(store.ok()) << store.status();
    ASSERT_OK((*store)->Read([&](const StoreReader& r) -> absl::Status {
      for (const uint32_t known : acknowledged) {
        EXPECT_TRUE(r.FindDevice(DeviceId::Trusted(StrCat("a", known))).ok()) << known;
      }
      MUSTER_ASSIGN_OR_RETURN(auto all, r.ListDevices({.limit = 1'000'000}));
      EXPECT_GE(all.size(), 2 * acknowledged.size());
      for (const DeviceRecord& device : all) {
        std::string partner = device.id.value();
        partner[0] = partner[0] == 'a' ? 'b' : 'a';
        EXPECT_TRUE(r.FindDevice(DeviceId::Trusted(partner)).ok()) << partner;
      }
      return absl::OkStatus();
    }));
  }
}

}  // namespace
}  // namespace muster
