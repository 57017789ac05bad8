#include "coordinator/store/postgres/hint_channel.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr std::chrono::seconds kConnectFor{30};

// Keys in notifications of a fitting size, one in a line.
std::vector<std::string> Payloads(const std::set<std::string>& keys) {
  std::vector<std::string> payloads;
  for (const std::string& key : keys) {
    if (key.size() > kMaxHintBytes) continue;
    if (payloads.empty() || payloads.back().size() + 1 + key.size() > kMaxHintBytes) {
      payloads.push_back(key);
    } else {
      StrAppend(&payloads.back(), "\n", key);
    }
  }
  return payloads;
}

}  // namespace

HintChannel::HintChannel(const PgConnector& connector)
    : connector_(connector), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_.valid()) std::abort();  // no file descriptors are left
}

HintChannel::~HintChannel() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  Nudge();
  if (thread_.joinable()) thread_.join();
}

void HintChannel::Start() {
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
}

void HintChannel::Send(const std::vector<std::string>& keys) {
  if (keys.empty()) return;
  {
    std::lock_guard lock(mutex_);
    Start();
    for (const std::string& key : keys) {
      if (queued_.size() < kMaxHintsQueued) queued_.insert(key);
    }
  }
  Nudge();
}

void HintChannel::Listen(Callback callback) {
  {
    std::lock_guard lock(callback_mutex_);
    callback_ = std::move(callback);
    if (!callback_) return;
  }
  std::lock_guard lock(mutex_);
  Start();
}

void HintChannel::Nudge() { ::eventfd_write(wake_.get(), 1); }

bool HintChannel::stopping() const {
  std::lock_guard lock(mutex_);
  return stopping_;
}

bool HintChannel::Pause(std::chrono::milliseconds time) {
  pollfd wait{.fd = wake_.get(), .events = POLLIN, .revents = 0};
  const PgDeadline until = std::chrono::steady_clock::now() + time;
  while (!stopping()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return true;
    if (::poll(&wait, 1, static_cast<int>(left.count())) > 0) {
      eventfd_t ignored = 0;
      ::eventfd_read(wake_.get(), &ignored);
    }
  }
  return false;
}

void HintChannel::Run() {
  const auto pause = [this](std::chrono::milliseconds time) { return Pause(time); };
  Backoff backoff;
  while (!stopping()) {
    auto db = connector_.Connect(std::chrono::steady_clock::now() + kConnectFor, pause);
    if (db.ok() && Serve(**db)) backoff = Backoff();
    if (!Pause(backoff.Next())) return;
  }
}

// Until the connection breaks. True: it worked for a while.
bool HintChannel::Serve(PgConnection& db) {
  // One channel for each schema, because several coordinators may share a database.
  const auto schema = db.Execute("SELECT current_schema()::regnamespace::oid::text");
  if (!schema.ok()) return false;
  channel_ = StrCat("muster_hint_", PQgetvalue(schema->get(), 0, 0));
  // A hint need not be durable: nobody waits for the disk on its account.
  if (!db.Execute(StrCat("SET synchronous_commit = off; LISTEN ", channel_)).ok()) return false;
  while (!stopping()) {
    if (!SendQueued(db).ok()) return true;
    if (PQconsumeInput(db.handle()) == 0) return true;
    while (PGnotify* notice = PQnotifies(db.handle())) {
      if (notice->be_pid != db.backend_pid()) Deliver(notice->extra);
      PQfreemem(notice);
    }
    pollfd wait[2] = {{.fd = db.socket(), .events = POLLIN, .revents = 0},
                      {.fd = wake_.get(), .events = POLLIN, .revents = 0}};
    ::poll(wait, 2, -1);
    if (wait[1].revents != 0) {
      eventfd_t ignored = 0;
      ::eventfd_read(wake_.get(), &ignored);
    }
  }
  return true;
}

absl::Status HintChannel::SendQueued(PgConnection& db) {
  std::set<std::string> keys;
  {
    std::lock_guard lock(mutex_);
    keys.swap(queued_);
  }
  static constexpr char kNotify[] = "SELECT pg_notify(?, ?)";
  for (const std::string& payload : Payloads(keys)) {
    MUSTER_ASSIGN_OR_RETURN(Statement notify, db.Prepare(kNotify));
    MUSTER_RETURN_IF_ERROR(notify.BindAll(channel_, payload).Run());
  }
  return absl::OkStatus();
}

void HintChannel::Deliver(const std::string& payload) {
  std::lock_guard lock(callback_mutex_);
  if (!callback_) return;
  for (size_t begin = 0; begin <= payload.size();) {
    const size_t end = std::min(payload.find('\n', begin), payload.size());
    callback_(payload.substr(begin, end - begin));
    begin = end + 1;
  }
}

}  // namespace muster
