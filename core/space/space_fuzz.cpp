// Random programs of operations on several spaces, related by fork, that map common objects and run on several CPUs,
// against a model that has neither tables nor TLBs. Every value read, every verdict, every error is compared; some
// allocations and some device accesses are made to fail. At the end nothing may be left.
//
//   VELLUM_FUZZ_PRINT=1      prints each operation before it is done
//   VELLUM_FUZZ_ONLY=FILE    does only the operations whose numbers stand in the file, to shorten a failing program
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <set>

#include "test/fuzz_run.hpp"

namespace {

using vellum::FuzzInput;

void (*previous_handler)(int) = SIG_DFL;

void print_on_abort(int signal) {
  vellum::test::ProgramRecord::of_process().print();
  std::signal(SIGABRT, previous_handler);
  if (previous_handler != SIG_DFL) {
    previous_handler(signal);
  }
  std::abort();
}

void prepare_process() {
  auto& record = vellum::test::ProgramRecord::of_process();
  previous_handler = std::signal(SIGABRT, print_on_abort);
  record.print_each = std::getenv("VELLUM_FUZZ_PRINT") != nullptr;
  if (const char* const name = std::getenv("VELLUM_FUZZ_ONLY"); name != nullptr) {
    std::ifstream file(name);
    record.only.emplace();
    for (std::uint64_t number = 0; file >> number;) {
      record.only->insert(number);
    }
  }
}

}  // namespace

extern "C" {
std::size_t vellum_fuzz_max_input = 65536;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool kPrepared = (prepare_process(), true);
  static_cast<void>(kPrepared);
  FuzzInput input(data, size);
  switch (input.take_u8() % 4U) {
    case 0:
      vellum::test::SpaceFuzz<vellum::Amd64>(input).run();
      break;
    case 1:
      vellum::test::SpaceFuzz<vellum::I386Pae>(input).run();
      break;
    case 2:
      vellum::test::SpaceFuzz<vellum::ToyNarrow>(input).run();
      break;
    default:
      vellum::test::SpaceFuzz<vellum::ToyDeep>(input).run();
      break;
  }
  return 0;
}
