// A server that lies: random requests of the lower layer, answered by true replies of which some are cut, made longer
// or changed. Whatever comes is an error or an answer; no byte beyond a buffer is touched (the sanitizers watch), and
// once the server tells the truth again, so does the client.
#include <vellum/host/host_files.hpp>

#include <memory>
#include <vector>

#include <vellum/fuzz/fuzz.hpp>

#include "test/fake_server.hpp"
#include "test/heap_source.hpp"

namespace vellum::host {
namespace {

class LyingServer final : public Transport {
 public:
  explicit LyingServer(FuzzInput& input) : input_(input) {
    server_.add(server_.top, "file", 0100644, std::string(200000, 'x'));
    FakeFile* const directory = server_.add(server_.top, "directory", 0040755);
    server_.add(directory, "link", 0120777, "../file");
  }

  Result<std::size_t> exchange(std::span<const std::byte> request, std::span<std::byte> head,
                               std::span<std::byte> body) override {
    const std::size_t size = VELLUM_TRY(server_.exchange(request, head, body));
    if (honest) {
      return size;
    }
    const std::uint64_t lie = input_.take_u8() % 8U;
    if (lie == 0) {
      return static_cast<std::size_t>(input_.take_in_range(0, head.size() + body.size() + 8));
    }
    for (std::uint64_t changes = lie < 4 ? lie : 0; changes != 0; --changes) {
      head[static_cast<std::size_t>(input_.take_in_range(0, std::min<std::size_t>(head.size(), 200) - 1))] =
          std::byte{input_.take_u8()};
    }
    return size;
  }

  bool honest = true;

 private:
  FuzzInput& input_;
  FakeServer server_;
};

class Program {
 public:
  explicit Program(FuzzInput& input) : input_(input), server_(input), files_(server_, memory_, source_) {}

  void run() {
    VELLUM_CHECK(files_.start().ok());
    keep(files_.root());
    server_.honest = false;
    while (!input_.empty()) {
      ++vellum_fuzz_operations;
      step();
    }
    server_.honest = true;
    for (const unix::LowerNode& node : nodes_) {
      files_.release(node.handle);
    }
  }

 private:
  struct Listing final : unix::LowerListing {
    bool put(std::string_view name, unix::NodeKind /*kind*/, std::uint64_t /*inode*/, std::uint64_t /*next*/) override {
      VELLUM_CHECK(!name.empty() && name.size() <= unix::kLongestName && name.find('/') == std::string_view::npos);
      return ++count < 1000;
    }
    unsigned count = 0;
  };

  void keep(const Result<unix::LowerNode>& node) {
    if (node.ok()) {
      nodes_.push_back(node.value());
    }
  }

  void step() {
    static constexpr std::string_view kNames[] = {"file", "directory", "link", "nothing"};
    if (nodes_.empty()) {
      keep(files_.root());
      return;
    }
    const std::size_t chosen = input_.take_u8() % nodes_.size();
    const unix::LowerHandle handle = nodes_[chosen].handle;
    switch (input_.take_u8() % 8U) {
      case 0:
        keep(files_.root());
        break;
      case 1: {
        Listing listing;
        (void)files_.list(handle, input_.take_u8() % 4U, listing).ok();
        break;
      }
      case 2: {
        char target[8];
        const Result<std::size_t> size = files_.read_link(handle, target);
        VELLUM_CHECK(!size.ok() || size.value() <= sizeof(target));
        break;
      }
      case 3:
      case 4: {
        std::vector<std::byte> bytes(input_.take_u16());
        const Result<std::size_t> size = files_.read(handle, ByteCount(input_.take_in_range(0, 0x3FFFF)), bytes);
        VELLUM_CHECK(!size.ok() || size.value() <= bytes.size());
        break;
      }
      case 5:
        files_.release(handle);
        nodes_[chosen] = nodes_.back();
        nodes_.pop_back();
        break;
      default:
        keep(files_.lookup(handle, kNames[input_.take_u8() % std::size(kNames)]));
        break;
    }
  }

  FuzzInput& input_;
  LyingServer server_;
  HeapSource source_;
  std::vector<std::byte> memory_ = std::vector<std::byte>(HostFiles::kMessages + 2 * HostFiles::kWindow);
  std::vector<unix::LowerNode> nodes_;
  HostFiles files_;
};

}  // namespace
}  // namespace vellum::host

extern "C" {
std::size_t vellum_fuzz_max_input = 4096;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vellum::FuzzInput input(data, size);
  vellum::host::Program(input).run();
  return 0;
}
