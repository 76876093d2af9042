// Archives that are nearly right: members as the input says, then a few bytes changed, cut or added. Unpacking must
// end, and when the files are gone all memory must be free, which the system's end checks.
#include <vellum/fuzz/fuzz.hpp>
#include <vellum/unix/cpio.hpp>

#include "test/archive.hpp"
#include "test/world.hpp"

namespace vellum {
namespace {

using test::Archive;
using test::Member;

Member decode_member(FuzzInput& input) {
  static constexpr const char* kNames[] = {"a", "b", "a/b", "a/b/c", ".", "..", "/a", "a/", "link/x", "link", ""};
  static constexpr unsigned kModes[] = {0100644, 040755, 0120777, 020600, 010600, 060600, 0140600, 0, 0170000};
  Member member = {.name = kNames[input.take_in_range(0, std::size(kNames) - 1)],
                   .mode = kModes[input.take_in_range(0, std::size(kModes) - 1)]};
  member.data = member.mode == 0120777 ? kNames[input.take_in_range(0, std::size(kNames) - 1)]
                                       : std::string(input.take_in_range(0, 300), 'd');
  member.inode = static_cast<unsigned>(input.take_in_range(0, 3));
  member.links = static_cast<unsigned>(input.take_in_range(0, 3));
  return member;
}

std::string decode_archive(FuzzInput& input) {
  Archive archive;
  for (std::uint64_t count = input.take_in_range(0, 12); count > 0; --count) {
    archive.add(decode_member(input));
    if (input.take_in_range(0, 7) == 0) {
      archive.end();
    }
  }
  std::string bytes = archive.bytes();
  for (std::uint64_t count = input.take_in_range(0, 3); count > 0 && !bytes.empty(); --count) {
    const std::size_t at = input.take_in_range(0, bytes.size() - 1);
    switch (input.take_in_range(0, 2)) {
      case 0:
        bytes[at] = static_cast<char>(input.take_in_range(0, 255));
        break;
      case 1:
        bytes.resize(at);
        break;
      default:
        bytes.insert(at, input.take_in_range(1, 9), '\0');
        break;
    }
  }
  return bytes;
}

}  // namespace
}  // namespace vellum

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vellum::FuzzInput input(data, size);
  vellum::test::World world;
  while (!input.empty()) {
    const std::string archive = vellum::decode_archive(input);
    (void)vellum::unix::unpack_cpio(world.files(), world.files().root(),
                                    std::as_bytes(std::span(archive.data(), archive.size())));
  }
  return 0;
}
