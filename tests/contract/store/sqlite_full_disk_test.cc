#include "tests/contract/small_disk.h"
#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

constexpr size_t kRowBytes = 4096;

DeviceRecord LargeDevice(int number) {
  DeviceRecord device = SmallDevice(StrCat("d", number));
  device.agent_version = std::string(kRowBytes, 'v');
  return device;
}

void ExpectAll(StateStore& store, int count) {
  ASSERT_OK(store.Read([&](const StoreReader& r) {
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(*r.FindDevice(DeviceId::Trusted(StrCat("d", i))), Stored(LargeDevice(i)));
    }
    return absl::OkStatus();
  }));
}

void FillsAndGoesOn(SmallDisk& disk) {
  const std::filesystem::path folder = disk.path() / "store";
  int acknowledged = 0;
  const auto put = [&](StateStore& store) {
    const absl::Status status =
        store.Write([&](StoreTx& tx) { return tx.PutDevice(LargeDevice(acknowledged)); });
    if (status.ok()) ++acknowledged;
    return status;
  };
  {
    auto store = OpenSqliteStore({.directory = folder});
    ASSERT_TRUE(store.ok()) << store.status();
    for (int i = 0; i < 20; ++i) ASSERT_OK(put(**store));
    disk.Fill();
    absl::Status full;
    for (int i = 0; i < 10'000 && full.ok(); ++i) full = put(**store);
    ASSERT_TRUE(absl::IsResourceExhausted(full)) << full;
    EXPECT_THAT(std::string(full.message()), HasSubstr(folder.string()));
    EXPECT_THAT(std::string(full.message()), HasSubstr("Free space"));
    // It stays readable, and keeps answering the same.
    ExpectAll(**store, acknowledged);
    EXPECT_TRUE(absl::IsResourceExhausted(put(**store)));
    // A function that goes on after the disk refused it leaves nothing either.
    const int before = acknowledged;
    EXPECT_FALSE((*store)
                     ->Write([&](StoreTx& tx) {
                       for (int i = 0; i < 3000; ++i) {
                         tx.PutDevice(LargeDevice(before + i)).IgnoreError();
                       }
                       return absl::OkStatus();
                     })
                     .ok());
    ASSERT_OK((*store)->Read([&](const StoreReader& r) {
      EXPECT_EQ(*r.CountDevices(), static_cast<size_t>(before));
      return absl::OkStatus();
    }));
    disk.Free();
    for (int i = 0; i < 20; ++i) ASSERT_OK(put(**store));
    ExpectAll(**store, acknowledged);
  }
  auto store = OpenSqliteStore({.directory = folder});
  ASSERT_TRUE(store.ok()) << store.status();
  ExpectAll(**store, acknowledged);
}

TEST(SqliteFullDisk, RefusesClearlyLosesNothingAndGoesOnWhenThereIsSpace) {
  const auto disk = MakeSmallDisk(/*disk_bytes=*/2u << 20, /*file_bytes=*/512u << 10);
  FillsAndGoesOn(*disk);
}

TEST(SqliteFullDisk, AFileSizeLimitIsAFullDiskToo) {
  FileSizeLimit disk(512u << 10);
  FillsAndGoesOn(disk);
}

TEST(SqliteFullDisk, AStoreThatIsKilledByAFullDiskAtOpeningSaysSo) {
  FileSizeLimit disk(/*bytes=*/8192);
  disk.Fill();
  const absl::Status status = OpenSqliteStore({.directory = disk.path() / "store"}).status();
  disk.Free();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(OpenSqliteStore({.directory = disk.path() / "store"}).ok());
}

}  // namespace
}  // namespace muster
