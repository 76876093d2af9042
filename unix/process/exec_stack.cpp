// exec: the new program's stack, as the ABI wants it [amd64-abi 3.4.1]:
//
//   top        8 zero bytes
//              the file's name, the environment's strings, the arguments' strings (arguments lowest)
//              "x86_64", 16 random bytes
//              auxiliary vector, pointers to the environment, pointers to the arguments
//   rsp        the number of arguments

#include "exec.hpp"

#include <algorithm>

#include <vellum/unix/auxiliary.hpp>
#include <vellum/unix/user_memory.hpp>

namespace vellum::unix {

namespace {

constexpr ByteCount kEndMarker{8};
constexpr char kPlatform[] = "x86_64";
constexpr std::size_t kRandomSize = 16;
constexpr ByteCount kStackAlignment{16};

// 64-bit words on their way to the program.
class WordWriter {
 public:
  explicit WordWriter(VirtAddr at) : at_(at) {}

  Result<void> put(std::uint64_t word) {
    words_[count_++] = word;
    return count_ == std::size(words_) ? flush() : Result<void>();
  }
  Result<void> flush() {
    const std::span<const std::uint64_t> words(words_, count_);
    VELLUM_TRY(copy_out(at_, std::as_bytes(words)));
    at_ += ByteCount(words.size_bytes());
    count_ = 0;
    return {};
  }

 private:
  VirtAddr at_;
  std::uint64_t words_[32];
  std::size_t count_ = 0;
};

std::uint64_t pointer_words(const Arguments& arguments) {
  return std::uint64_t{1} + arguments.argument_count + 1 + arguments.environment_count + 1;
}

Result<void> write_pointers(VirtAddr at, VirtAddr strings, const Program& program, const Arguments& arguments) {
  WordWriter writer(at);
  const auto put = [&](std::uint64_t offset) { return writer.put((strings + ByteCount(offset)).value()); };
  VELLUM_TRY(writer.put(arguments.argument_count));
  VELLUM_TRY(arguments.stage.for_each(0, arguments.environment_start, put));
  VELLUM_TRY(writer.put(0));
  VELLUM_TRY(arguments.stage.for_each(arguments.environment_start, arguments.file_name_start, put));
  VELLUM_TRY(writer.put(0));
  for (unsigned i = 0; i < program.auxiliary_count; ++i) {
    VELLUM_TRY(writer.put(program.auxiliary[i].type));
    VELLUM_TRY(writer.put(program.auxiliary[i].value));
  }
  return writer.flush();
}

}  // namespace

Result<void> map_stack(Space& space, const ProgramLayout& layout, const Arguments& arguments, bool executable) {
  constexpr ByteCount kSpare{128U << 10};
  const ByteCount needed = kEndMarker + arguments.stage.size() +
                           ByteCount(8 * pointer_words(arguments) + 16 * Program::kMostAuxiliary) + ByteCount(256);
  const ByteCount size = bytes_of(pages_for(needed + kSpare));
  if (needed > space.layout().stack_limit) {
    return Errno::argument_list_too_long;
  }
  const ByteCount mapped =
      std::min(size, space.layout().stack_limit.value() < size.value() ? bytes_of(pages_for(needed)) : size);
  const Prot prot = Prot::read() | Prot::write();
  VELLUM_TRY(space.map({.address = layout.stack_top - mapped,
                        .length = mapped,
                        .prot = executable ? prot | Prot::execute() : prot,
                        .traits = Traits::grows_down(),
                        .placement = Placement::fixed}));
  return {};
}

Result<VirtAddr> fill_stack(Program& program, VirtAddr top, const Arguments& arguments) {
  const VirtAddr strings = top - kEndMarker - arguments.stage.size();
  VELLUM_TRY(arguments.stage.copy_to_user(strings));
  program.arguments = VirtRange::must(strings, ByteCount(arguments.environment_start));
  program.environment = VirtRange::must(strings + ByteCount(arguments.environment_start),
                                        ByteCount(arguments.file_name_start - arguments.environment_start));

  const VirtAddr platform = strings.align_down(kStackAlignment) - ByteCount(sizeof(kPlatform));
  VELLUM_TRY(copy_out(platform, std::as_bytes(std::span(kPlatform))));
  std::byte random[kRandomSize];
  fill_random(random);
  const VirtAddr random_at = (platform - ByteCount(kRandomSize)).align_down(kStackAlignment);
  VELLUM_TRY(copy_out(random_at, random));

  set_auxiliary(program, auxiliary::kPlatform, platform.value());
  set_auxiliary(program, auxiliary::kRandom, random_at.value());
  set_auxiliary(program, auxiliary::kFileName, (strings + ByteCount(arguments.file_name_start)).value());
  const ByteCount size(8 * (pointer_words(arguments) + 2 * std::uint64_t{program.auxiliary_count}));
  const VirtAddr pointer = (random_at - size).align_down(kStackAlignment);
  program.stack_start = pointer;
  VELLUM_TRY(write_pointers(pointer, strings, program, arguments));
  return pointer;
}

}  // namespace vellum::unix
