// Plays histories: muster-sim --seeds N [--seed S] [--jobs J], or --seed S alone with its trace.
#include <sys/wait.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <thread>
#include <vector>

#include "proto/core/log.h"
#include "proto/core/strings.h"
#include "tests/sim/history.h"

namespace muster::sim {
namespace {

namespace po = boost::program_options;

constexpr int kBadUsage = 2;
constexpr uint64_t kMostSeeds = 10'000'000;
constexpr uint64_t kTellEvery = 500;
constexpr uint64_t kEnoughToJudge = 200;  // whether histories get anywhere

// What a worker tells of a history; one line, so that lines of several workers do not mix.
std::string Line(const HistoryResult& r) {
  const auto& t = r.totals;
  return StrCat(r.seed, " ", r.hash.hex(), " ", r.events, " ", t.committed, " ", t.secure, " ",
                t.abandoned, " ", t.acknowledged, " ", t.succeeded, " ", t.failed, " ",
                r.failure.substr(0, 300), "\n");
}

[[noreturn]] void Work(int out, uint64_t first, uint64_t end, uint64_t step) {
  bool told = true;
  for (uint64_t seed = first; seed < end && told; seed += step) {
    const std::string line = Line(Play({.seed = seed}));
    told = write(out, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  }
  _exit(told ? 0 : 1);
}

struct Summary {
  std::map<uint64_t, std::string> hashes;
  uint64_t events = 0, failures = 0;
  Promises::Totals totals;
};

void Add(const std::string& line, bool print, Summary& summary) {
  std::istringstream in(line);
  uint64_t seed = 0, events = 0;
  std::string hash, failure;
  Promises::Totals t;
  in >> seed >> hash >> events >> t.committed >> t.secure >> t.abandoned >> t.acknowledged >>
      t.succeeded >> t.failed;
  std::getline(in >> std::ws, failure);
  summary.hashes[seed] = hash;
  summary.events += events;
  summary.totals.committed += t.committed;
  summary.totals.secure += t.secure;
  summary.totals.abandoned += t.abandoned;
  summary.totals.acknowledged += t.acknowledged;
  summary.totals.succeeded += t.succeeded;
  summary.totals.failed += t.failed;
  if (print) std::cout << "seed=" << seed << " trace=" << hash << "\n";
  if (failure.empty()) return;
  ++summary.failures;
  std::cout << "FAILED seed=" << seed << ": " << failure << std::endl;
}

// All traces as one, in the order of the seeds.
Digest Together(const Summary& summary) {
  Sha256Hasher all;
  for (const auto& [seed, hash] : summary.hashes) all.Update(hash);
  return all.Finish();
}

int PlayMany(uint64_t first, uint64_t seeds, unsigned jobs, bool print) {
  const auto begin = std::chrono::steady_clock::now();
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return 1;
  std::vector<pid_t> workers;
  for (unsigned i = 0; i < jobs; ++i) {
    const pid_t worker = fork();
    if (worker == 0) {
      close(pipe_ends[0]);
      Work(pipe_ends[1], first + i, first + seeds, jobs);
    }
    if (worker > 0) workers.push_back(worker);
  }
  close(pipe_ends[1]);
  Summary summary;
  FILE* in = fdopen(pipe_ends[0], "r");
  char line[1024];
  while (fgets(line, sizeof line, in) != nullptr) {
    Add(line, print, summary);
    if (summary.hashes.size() % kTellEvery != 0) continue;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::fprintf(stderr, "%zu of %llu seeds, %.0f s, %llu failed\n", summary.hashes.size(),
                 static_cast<unsigned long long>(seeds), took.count(),
                 static_cast<unsigned long long>(summary.failures));
  }
  std::fclose(in);
  bool died = workers.size() != jobs;
  for (const pid_t worker : workers) {
    int status = 0;
    waitpid(worker, &status, 0);
    died = died || status != 0;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const auto& t = summary.totals;
  std::cout << StrCat(summary.hashes.size(), " seeds from ", first, ": ", summary.failures,
                      " failed; ", t.committed, " rounds committed (", t.secure, " secure), ",
                      t.abandoned, " abandoned, ", t.acknowledged, " updates acknowledged, ",
                      t.succeeded, " jobs succeeded, ", t.failed, " did not; ", summary.events,
                      " events in ", static_cast<int64_t>(took.count()),
                      " s\ntrace of all: ", Together(summary).hex(), "\n");
  if (died || summary.hashes.size() != seeds) {
    std::cout << "a worker died: some seeds were not played\n";
    return 1;
  }
  if (seeds >= kEnoughToJudge && t.committed < seeds / 2) {
    std::cout << "the histories hardly train: the dice are too hostile\n";
    return 1;
  }
  return summary.failures == 0 ? 0 : 1;
}

int PlayOne(uint64_t seed) {
  const HistoryResult result = Play({.seed = seed, .trace = &std::cout});
  std::cout << "seed=" << seed << " trace=" << result.hash.hex() << " lines=" << result.lines
            << "\n";
  if (result.failure.empty()) return 0;
  std::cout << "FAILED seed=" << seed << ": " << result.failure << "\n";
  return 1;
}

int Main(int argc, char** argv) {
  SetLogLevel(static_cast<LogLevel>(1 + static_cast<int>(LogLevel::kError)));  // none
  po::options_description options("muster-sim");
  options.add_options()("help,h", "this text")                                              //
      ("seeds", po::value<uint64_t>(), "how many histories to play")                        //
      ("seed", po::value<uint64_t>(), "the first; alone: the one to play, with its trace")  //
      ("jobs", po::value<unsigned>()->default_value(std::thread::hardware_concurrency()),
       "processes")                                   //
      ("hashes", "print each history's trace hash");  //
  po::variables_map values;
  try {
    po::store(po::parse_command_line(argc, argv, options), values);
    po::notify(values);
  } catch (const po::error& error) {
    std::cerr << "muster-sim: " << error.what() << "\n" << options;
    return kBadUsage;
  }
  if (values.count("help") > 0) {
    std::cout << options;
    return 0;
  }
  const uint64_t first = values.count("seed") > 0 ? values["seed"].as<uint64_t>() : 1;
  if (values.count("seeds") == 0) return PlayOne(first);
  const uint64_t seeds = values["seeds"].as<uint64_t>();
  const unsigned jobs = std::max(1u, values["jobs"].as<unsigned>());
  if (seeds == 0 || seeds > kMostSeeds) {
    std::cerr << "muster-sim: --seeds is 1 to " << kMostSeeds << "\n";
    return kBadUsage;
  }
  return PlayMany(first, seeds, static_cast<unsigned>(std::min<uint64_t>(jobs, seeds)),
                  values.count("hashes") > 0);
}

}  // namespace
}  // namespace muster::sim

int main(int argc, char** argv) { return muster::sim::Main(argc, argv); }
